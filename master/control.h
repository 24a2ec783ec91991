/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * control - chatctl's socket, run_dir/chatd.sock.
 *
 * One request a connection, one line of JSON each way and no line longer
 * than CONTROL_LINE_MAX from them:
 *
 *	{"v":1,"command":"status","args":[]}	and one descriptor, perhaps
 *	{"data":...}				none, one or many
 *	{"done":true,"ok":true}			the last one
 *	{"done":true,"ok":false,"error":"..."}
 *
 * Root, the daemon's own user and the members of its group may ask.  Nobody
 * who asks can hold the master up: it never waits for them, keeps a bounded
 * number of them for a bounded time, and a bounded answer for each.
 */

#ifndef MASTER_CONTROL_H
#define MASTER_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONTROL_VERSION 1
#define CONTROL_LINE_MAX 65536

struct control;
struct master;

/* Bind; before the privileges are dropped.  No return on failure. */
struct control *control_open(struct master *m);
void control_start(struct control *c);
/* Nobody new; those who wait for the end stay. */
void control_close_listener(struct control *c);
/* Who still waits, waited for the end of the daemon, and is told of it. */
void control_free(struct control **c);

/*
 * Answers to the asker of that number; if it has gone, nothing happens.
 * 'json' is one document on one line.
 */
void control_data(struct control *c, uint64_t asker, const char *json,
    size_t len);
void control_done(struct control *c, uint64_t asker);
void control_failed(struct control *c, uint64_t asker, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/*
 * The file whose descriptor came with the request; it belongs to the caller
 * then.  -1: there is none (any more).
 */
int control_take_file(struct control *c, uint64_t asker);

/*
 * Take the connection away from us and forget it; the descriptor belongs to
 * the caller.  -1: it has gone, or part of an answer is under way.
 */
int control_take(struct control *c, uint64_t asker);

#endif /* MASTER_CONTROL_H */
