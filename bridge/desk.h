/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * desk - questions come in, some are put to the application, all are
 * answered.
 *
 *   question -- known (cache.h) --------------------------> answer
 *       |
 *       +-- the same is being asked: waits with it
 *       |
 *       +-- application down (breaker.h), or too many wait --> UNAVAILABLE
 *       |
 *   waiting: clients who connect first, then rechecks ----> UNAVAILABLE
 *       |                                         too long
 *   call: at most DESK_CALLS at once ---------------------> answer to all
 *
 * Two questions are the same if the POST would be: token, address, and user
 * agent.  It knows no sockets, no HTTP and no clock.
 */

#ifndef BRIDGE_DESK_H
#define BRIDGE_DESK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bridge/post.h"
#include "shm/ask.h"
#include "shm/counter.h"

/* calls at once, and how many of them may be rechecks */
#define DESK_CALLS 64
#define DESK_LOW_CALLS 16
/* what may wait: calls, their bytes, and who waits for them */
#define DESK_WAITING 8192
#define DESK_BYTES (32UL * 1024 * 1024)
#define DESK_WAITERS 65536

struct desk;
/* A question that is being put. */
struct desk_call;

struct desk_ops {
	/*
	 * POST this body, which stays until desk_reply(); that must follow,
	 * but not from within.  -1: it cannot be begun.
	 */
	int (*call)(void *ctx, struct desk_call *call, const char *body,
	    size_t len, uint64_t timeout_ms);
	/* To the worker in 'slot'. */
	void (*answer)(void *ctx, unsigned slot, const struct ask_answer *a);
	void (*count)(void *ctx, enum counter what);
};

/* Ends the process if there is no memory.  'timeout_ms' is all that a
 * question may take. */
struct desk *desk_new(const struct desk_ops *ops, void *ctx,
    uint64_t timeout_ms);
/* Calls that are under way are forgotten: there will be no desk_reply(). */
void desk_free(struct desk **d);

/* From now on; 'other': another application is asked: forget what is known
 * of the old one. */
void desk_configure(struct desk *d, uint64_t timeout_ms, bool other);

void desk_question(struct desk *d, unsigned slot, const struct ask_question *q,
    uint64_t now_ms);
/* What became of a call, which is gone then. */
void desk_reply(struct desk *d, struct desk_call *call,
    const struct post_reply *reply, uint64_t now_ms);
/* Some ten times a second: who has waited for too long. */
void desk_tick(struct desk *d, uint64_t now_ms);

/* Calls, questions that wait for one, and whether the application is taken
 * for down. */
unsigned desk_calls(const struct desk *d);
unsigned desk_waiting(const struct desk *d);
bool desk_is_down(const struct desk *d);

#endif /* BRIDGE_DESK_H */
