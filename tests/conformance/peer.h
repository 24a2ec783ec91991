/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * peer - a Socket.IO socket as a mode sees it.
 *
 * What is emitted here carries an offset and can be had again, if recovery
 * is on; answers and events that ask for one do not (wire page 4.8).
 */

#ifndef CONFORMANCE_PEER_H
#define CONFORMANCE_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/conformance/call.h"
#include "tests/conformance/conformance.h"
#include "tests/conformance/recovery.h"
#include "worker/sock.h"

struct event;

/* An answer that is awaited. */
struct asked {
	uint64_t id;
	uint32_t tag;
};

struct peer {
	struct peer *next;
	struct peer **prev;
	struct conformance *cf;
	struct sock *so;
	const struct place *place;
	/* the CONNECT's payload, a JSON object */
	char *auth;
	size_t auth_len;
	/* the socket that it wants to take up again; "" */
	char pid[RECOVERY_ID];
	char offset[RECOVERY_OFFSET];
	/* the CONNECT is answered, or the peer greeted, when it fires; NULL */
	struct event *delay;
	/* ms since the epoch */
	uint64_t issued_ms;
	uint64_t holder;
	/* of the recovery table; -1: none */
	int row;
	struct asked *asked;
	size_t nasked;
	/* connected() has run */
	bool greeted;
	/* where a series of events is: the mode's */
	unsigned step;
};

/* The CONNECT's payload. */
struct json_value peer_auth(const struct peer *p);

/* Emit an event with these arguments (JSON, commas between; may be ""). */
void peer_emit(struct peer *p, const char *name, const char *json, size_t len);
void peer_emit_text(struct peer *p, const char *name, const char *json);
void peer_emit_packed(struct peer *p, const char *name,
    const struct packed *pk);
/* Emit one with the arguments of 'c'. */
void peer_emit_back(struct peer *p, const char *name, const struct call *c);
/* Emit one that asks for an answer: place->answered() gets it with 'tag'. */
void peer_ask(struct peer *p, const char *name, const char *json, uint32_t tag);

/* Answer an event, if it asks for that: with arguments, or with its own. */
void peer_answer(struct peer *p, const struct call *c, const char *json,
    size_t len);
void peer_answer_back(struct peer *p, const struct call *c);

/*
 * Let go of sockets that were taken up elsewhere; to be called now and then.
 */
void peer_check_all(struct conformance *cf);

#endif /* CONFORMANCE_PEER_H */
