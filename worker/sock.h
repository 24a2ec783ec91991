/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * sock - a Socket.IO socket: a session in a namespace (wire page 4).
 *
 *   CONNECT --> connecting --accept--> connected --> gone
 *                   |                                 ^
 *                   +---refuse, session closed--------+
 *
 * Events that come while the CONNECT is not answered are kept, and taken
 * after the answer.
 */

#ifndef WORKER_SOCK_H
#define WORKER_SOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chat/chat.h"
#include "proto/span.h"
#include "shm/user.h"

struct early;
struct session;
struct worker;

/* To let go of the socket of a namespace. */
struct sock_order {
	/* the session's */
	uint32_t number, serial;
	/* the application's copy */
	const char *nsp;
	const char *reason;
};

struct sock {
	struct sock *next;
	struct session *session;
	/* the application's copy */
	const char *nsp;
	/* the application's own */
	void *app;
	/* for limits, when the application counts users */
	struct user_ref user;
	/* packets behind a CONNECT without an answer, in order */
	struct early *early, *early_last;
	size_t early_bytes;
	char sid[21];
	/* ids of acknowledgements that we ask for */
	uint32_t next_ack;
	bool connected : 1;
	/* asked for by sock_want_produce() */
	bool wants : 1;
	/* counted in the user table */
	bool counted : 1;
	/* gone; freed at the end of the turn */
	bool gone : 1;
};

/* --- for applications -------------------------------------------------- */

/*
 * Let it in: CONNECT with 'sid' (20 characters; NULL: a new one, which is
 * in so->sid then) and, for connection state recovery, 'pid' (or NULL).
 * Events that waited are handed to the application before this returns.
 */
void sock_accept(struct sock *so, const char *sid, const char *pid);
/*
 * CONNECT_ERROR with this message and data (JSON, or NULL).  The session
 * stays, the client may try again (a few times); 'so' is gone.
 */
void sock_refuse(struct sock *so, const char *message, const char *json,
    size_t len);
/* DISCONNECT; 'close': for all namespaces, and the session is closed. */
void sock_disconnect(struct sock *so, bool close, const char *reason);
/*
 * The same for this namespace, before the turn ends, whoever is at work with it
 * now; 'reason' is a constant.  Nothing comes of it if the socket goes before
 * that.  A client that stays without a namespace is closed as one that never
 * joined any.
 */
void sock_disconnect_later(struct sock *so, const char *reason);

/*
 * Emit an event; 'json' are the arguments, comma-separated.  With
 * attachments (n > 0) they hold the placeholders already.
 */
void sock_emit(struct sock *so, const char *name, const char *json, size_t len,
    enum chat_priority prio);
void sock_emit_binary(struct sock *so, const char *name, const char *json,
    size_t len, const struct span *attachments, unsigned n);
/* Emit one that asks for an acknowledgement; returns its id. */
uint64_t sock_emit_ack(struct sock *so, const char *name, const char *json,
    size_t len);
/* Answer an event's acknowledgement id. */
void sock_ack(struct sock *so, uint64_t id, const char *json, size_t len);
void sock_ack_binary(struct sock *so, uint64_t id, const char *json, size_t len,
    const struct span *attachments, unsigned n);

/* Call ops->produce() once what was sent has left. */
void sock_want_produce(struct sock *so);

/* --- for the session --------------------------------------------------- */

/* A whole Socket.IO packet's text; 'data' binary: an attachment. */
void sock_packet(struct session *s, const char *text, size_t len);
void sock_attachment(struct session *s, const char *data, size_t len);
/* Revision 3: a session joins "/" by itself. */
void sock_autoconnect(struct session *s, struct span query);
/* All leave; the application is told why. */
void sock_leave_all(struct session *s, const char *reason);
/* Give each what it waits for. */
void sock_produce(struct session *s);
void sock_free_all(struct session *s);
/* Let go of those that are to be. */
void sock_run_orders(struct worker *w);

#endif /* WORKER_SOCK_H */
