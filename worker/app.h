/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * app - what is served: the chat, or what a test wants of us.
 *
 * Everything below (connections, transports, Engine.IO, Socket.IO) calls the
 * application through these operations, and knows nothing else of it.  What
 * an application may call is in session.h and sock.h.
 *
 * All calls come from the worker's loop.  An operation may close the session
 * or leave the namespace it is called for; the structures stay readable
 * until it returns.
 */

#ifndef WORKER_APP_H
#define WORKER_APP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/sio.h"
#include "proto/span.h"

struct session;
struct sock;

enum app_kind {
	/* Socket.IO over Engine.IO: nsp, connect, event, ack, disconnect */
	APP_SOCKETIO,
	/* Engine.IO alone: open, message, closed */
	APP_ENGINEIO,
	/* WebSocket alone, at the same path: open, message, closed */
	APP_WEBSOCKET,
};

/* A CONNECT. */
struct app_connect {
	/* the JSON object of the packet, or of a revision 3 handshake's or
	 * namespace's query; empty if there is none */
	struct span payload;
	/* why the payload is JSON, but none that we take; else NULL */
	const char *refused;
};

/* An event or an acknowledgement. */
struct app_event {
	const struct sio_packet *pkt;
	/* the bytes behind its placeholders, by number; NULL if the
	 * application does not keep_binary */
	const struct span *attachments;
	/* of the whole packet as received, attachments included */
	size_t size;
};

struct app_ops {
	enum app_kind kind;
	/* session_head() is wanted: costs the head's size a session */
	bool keep_head;
	/* attachments are wanted; else they are counted and dropped */
	bool keep_binary;

	/* --- APP_ENGINEIO, APP_WEBSOCKET ------------------------------- */

	/* A session is open; Engine.IO: its open packet is on its way. */
	void (*open)(void *ctx, struct session *s);
	/* 'data' may be changed; valid during the call. */
	void (*message)(void *ctx, struct session *s, char *data, size_t len,
	    bool binary);
	/* The session is closed, for whatever reason. */
	void (*closed)(void *ctx, struct session *s, const char *reason);

	/* --- APP_SOCKETIO ---------------------------------------------- */

	/*
	 * The application's own copy of a namespace's name; NULL: there is
	 * no such namespace.
	 */
	const char *(*nsp)(void *ctx, struct span name);
	/*
	 * A socket wants to join so->nsp: answer with sock_accept() or
	 * sock_refuse(), now or later.  disconnect() ends the wait.
	 */
	void (*connect)(void *ctx, struct sock *so,
	    const struct app_connect *req);
	/* Of an accepted socket. */
	void (*event)(void *ctx, struct sock *so, const struct app_event *ev);
	void (*ack)(void *ctx, struct sock *so, const struct app_event *ev);
	/*
	 * The socket is gone, or will not be (it was still waiting for the
	 * answer to its CONNECT); 'reason' is Socket.IO's name for why.
	 */
	void (*disconnect)(void *ctx, struct sock *so, const char *reason);
	/*
	 * What was sent to it has left: the next piece of what it asked for
	 * (see sock_want_produce()).  NULL: never wanted.
	 */
	void (*produce)(void *ctx, struct sock *so);

	/*
	 * Too much is under way: read no more from those who may send
	 * something.  NULL: never.
	 */
	bool (*congested)(void *ctx);
};

struct app {
	const struct app_ops *ops;
	void *ctx;
};

#endif /* WORKER_APP_H */
