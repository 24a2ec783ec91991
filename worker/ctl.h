/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * ctl - a chatctl that a worker serves.
 *
 * The master passes its connection and its request; the answer goes straight
 * to it, a line of JSON each, and a last line with "done".  A command is a
 * row of the table in ctl.c; what it has under way hangs on its connection
 * and ends with it.
 *
 *   master --request--> ctl_request() --> serve() ... ctl_put() ctl_done()
 *                                           |  ^
 *                       ctl_publish() ------+  +-- verdict(), deliver()
 */

#ifndef WORKER_CTL_H
#define WORKER_CTL_H

#include <sys/queue.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chat/event.h"
#include "common/json.h"

struct ctl;
struct event;
struct worker;

/* What a command wants to hear of; each may be NULL. */
struct ctl_ops {
	/* What became of its event (ctl_publish()). */
	void (*verdict)(struct ctl *c, const struct chat_delivery *d);
	/* An event of the room that it watches, or of none. */
	void (*deliver)(struct ctl *c, const struct chat_delivery *d);
	/* Some ten times a second. */
	void (*tick)(struct ctl *c);
	/* The connection ends; ctl->state is its own to free. */
	void (*free)(struct ctl *c);
	/* Who listens is told when events of this ring passed it by. */
	enum {
		CTL_NO_RING,
		CTL_LOG,
		CTL_LIVE
	} ring;
};

struct ctl {
	TAILQ_ENTRY(ctl) entry;
	struct worker *worker;
	struct event *ev;
	int fd;
	/* never 0, never used again by this worker */
	uint32_t id;
	/* who asks, such as "uid 0 pid 17" */
	char by[48];
	/* until the command is known, NULL */
	const struct ctl_ops *ops;
	void *state;
	/* what was asked; texts of it may be kept as long as this is here */
	struct json_tree *request;
	/* 0, or the room whose events it is given */
	uint64_t room;
	/* bytes to be written; documents that it was not given */
	char *buf;
	size_t len, size, sent;
	uint64_t missed;
	/* the answer is complete: close when it is written */
	bool done;
};

/* Takes 'fd' over. */
void ctl_request(struct worker *w, int fd, const char *line, size_t len);

/*
 * A document, as {"data":...}.  'may_miss': what is too much for who does
 * not read is dropped and told later, by {"missed":n}.
 */
void ctl_put(struct ctl *c, const struct json_out *o, bool may_miss);
/*
 * Write what there is; false: the connection is gone, and 'c' with it.
 */
bool ctl_flush(struct ctl *c);
/*
 * The end: NULL, or why it was not done.  'c' may be gone when these return.
 * ctl_usage(): it was not asked for in the right way.
 */
void ctl_done(struct ctl *c, const char *error);
void ctl_usage(struct ctl *c, const char *error);

/* Publish an event; ops->verdict() will hear of it. */
void ctl_publish(struct ctl *c, const struct chat_event *ev);
/* Be given the events of a room. */
void ctl_watch(struct ctl *c, uint64_t room);

/* --- for the worker ---------------------------------------------------- */

/* Does any of them watch this room? */
bool ctl_watches(const struct worker *w, uint64_t room);
/* An event was delivered. */
void ctl_deliver(struct worker *w, const struct chat_delivery *d);
/* What became of the event of the ctl with this id. */
void ctl_verdict(struct worker *w, uint32_t id, const struct chat_delivery *d);
/*
 * This worker was evicted from a ring and passes by so many records of it:
 * who listens to it is told, by {"missed":n}.
 */
void ctl_evicted(struct worker *w, bool live, uint64_t records);
void ctl_tick(struct worker *w);
void ctl_free_all(struct worker *w);

/* --- the commands: one answers, or will ----------------------------------- */

typedef void ctl_serve_fn(struct ctl *c, const char *command,
    const struct json_tree *args);
/* inspect.c, steer.c, bans.c, events.c, filter.c, look.c, look_limits.c */
ctl_serve_fn inspect_serve, steer_serve, bans_serve, events_serve, filter_serve,
    look_serve, limits_serve;

#endif /* WORKER_CTL_H */
