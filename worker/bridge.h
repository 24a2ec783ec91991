/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * bridge - a worker's questions to the bridge, and who waits for answers
 * (auth.mode webhook; shm/ask.h).
 *
 *   CONNECT ------ bridge_connect() --> asked ---- answer ----> admitted
 *   refresh ------ bridge_verify() ---> asked ---- answer ----> new token
 *   now and then ---------------------> rechecked - answer ---> goes on
 *                                          |
 *                                          +-- revoked: disconnected
 *
 * Nothing here waits.  What the bridge does not take or does not answer in
 * time (auth.webhook_timeout and a second) is answered as UNAVAILABLE; what
 * was asked of a bridge that died is asked again, once.
 *
 * While there is somebody to recheck, their tokens are kept, in memory only,
 * and wiped when they go.
 */

#ifndef WORKER_BRIDGE_H
#define WORKER_BRIDGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chat/chat.h"
#include "common/config.h"
#include "shm/ask.h"
#include "shm/counter.h"
#include "shm/tables.h"

struct bridge;

enum bridge_purpose {
	BRIDGE_CONNECT,
	BRIDGE_REFRESH,
	BRIDGE_RECHECK,
};

/* An answer; valid during the call. */
struct bridge_answer {
	enum bridge_purpose purpose;
	/* REFRESH: of bridge_verify() */
	uint32_t request;
	enum ask_outcome outcome;
	struct ask_text claims;
	/* seconds; 0: not known */
	unsigned retry_after;
	/* CONNECT: what it wants taken up again, or NULL */
	const struct chat_resume *resume;
};

struct bridge_ops {
	/* What is told of a connection with its token. */
	void (*who)(void *ctx, void *conn, char address[ASK_ADDRESS_MAX],
	    struct ask_text *agent_r);
	/*
	 * 'conn' has an answer.  Returns whether it is in, and goes by this
	 * token from now on; it may be gone when this returns.
	 */
	bool (*answer)(void *ctx, void *conn, const struct bridge_answer *a);
	void (*count)(void *ctx, enum counter what);
};

struct bridge_init {
	const struct bridge_ops *ops;
	void *ctx;
	const struct config *cfg;
	/* the worker's end of its pair; stays the caller's */
	int fd;
	uint32_t incarnation;
	/* where it sees that a bridge has died */
	const struct tables *tables;
	uint64_t now_ms;
};

/* Ends the process if there is no memory. */
struct bridge *bridge_new(const struct bridge_init *init);
/* Nobody is told anything any more.  NULL is fine, here and below. */
void bridge_free(struct bridge **b);

/* A new configuration: in another mode nothing is asked or kept. */
void bridge_configure(struct bridge *b, const struct config *cfg,
    uint64_t now_ms);

/*
 * Ask who 'conn', which waits for its CONNECT, is.  Takes the token over
 * (chat/webhook.h); 'resume' may be NULL, and is copied.  The answer comes in
 * a later turn, or, if there is no bridge to be asked, from within.
 */
void bridge_connect(struct bridge *b, void *conn, char **token, size_t len,
    const struct chat_resume *resume, uint64_t now_ms);
/*
 * Ask whose this token is, for one that is in.  The answer comes in a later
 * turn.
 */
void bridge_verify(struct bridge *b, void *conn, uint32_t request,
    struct chat_str token, uint64_t now_ms);
/* It is gone: nobody waits, and its token is wiped. */
void bridge_forget(struct bridge *b, void *conn);

/* The socket is readable. */
void bridge_on_readable(struct bridge *b, uint64_t now_ms);
/* Some ten times a second. */
void bridge_tick(struct bridge *b, uint64_t now_ms);

/* Questions without an answer, and those whose tokens are kept. */
size_t bridge_asked(const struct bridge *b);
size_t bridge_guests(const struct bridge *b);

#endif /* WORKER_BRIDGE_H */
