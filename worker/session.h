/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * session - an Engine.IO session, whatever carries it (wire page 2).
 *
 *           handshake by GET                     handshake by WebSocket
 *                  |                                        |
 *                  v            5 on the probing one        v
 *      polling: s->poll != NULL ------------------> websocket: s->conn
 *        get, post, probe                                   |
 *                  |                                        |
 *                  +------------> closed, freed <-----------+
 *
 * What is due to a polling session is kept as the WebSocket frames that it
 * would have been: a GET has them rewritten into a payload, an upgrade sends
 * them as they are.
 *
 * A session without a conn of its own also stands for a plain WebSocket
 * (APP_WEBSOCKET): no packets, no heartbeat.
 */

#ifndef WORKER_SESSION_H
#define WORKER_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "chat/chat.h"
#include "proto/address.h"
#include "proto/eio.h"
#include "proto/span.h"
#include "shm/counter.h"
#include "shm/iobuf.h"
#include "worker/sock.h"
#include "worker/wheel.h"

struct conn;
struct worker;

/* 20 characters of a session id, terminated. */
#define SID_LEN 20
#define SID_SIZE (SID_LEN + 1)

/* The polling half of a session. */
struct poll {
	/* pending requests, or NULL */
	struct conn *get;
	struct conn *post;
	/* a WebSocket that wants to take over, or NULL */
	struct conn *probe;
	/* frames that wait for a GET */
	struct chain out;
	/* bytes of them that the client asked for */
	uint32_t answer_bytes;
	/* the probe must have become the transport by then; 0: none */
	uint64_t upgrade_due;
	/* `3probe' is out: each GET is answered at once */
	bool probed;
	/* a ping is due to it */
	bool pinged;
	/* the pending GET came when the session was closing already */
	bool late;
	/* the session's deadlines, while no WebSocket has them */
	struct wheel_entry timer;
	struct session *session;
	/* whose requests these are, as far as proxies that we trust tell */
	struct net_address peer;
};

/* A binary packet that is not complete. */
struct attachments;

/* What few sessions have. */
struct session_extra {
	/* the token of the handshake's Authorization field, or NULL */
	char *bearer;
	/* its User-Agent, if the web application is told, or NULL */
	char *agent;
	/* the handshake's request head, if the application keeps it */
	char *head;
	size_t head_len;
	struct attachments *binary;
};

struct session {
	/* in the table by sid */
	struct session *next;
	struct worker *worker;
	/* the WebSocket that carries it, or NULL */
	struct conn *conn;
	/* while it is polling, or NULL */
	struct poll *poll;
	/* the namespace "/" is the first, if it is joined */
	struct sock *socks;
	/* or NULL */
	struct session_extra *extra;
	TAILQ_ENTRY(session) produce_entry;
	LIST_ENTRY(session) entry;
	/* ms, as its client was told: a reload is for those who come later */
	uint32_t ping_interval, ping_timeout;
	/* CLOCK_MONOTONIC ms; 0: none */
	uint64_t ping_due;
	uint64_t pong_due;
	/* no namespace joined by then; when closing: the end of that */
	uint64_t connect_due;
	/* names it within this worker: an index, and a number never used
	 * again */
	uint32_t number;
	uint32_t serial;
	char sid[SID_LEN];
	/* of the protocol: 4 or 3 */
	uint8_t revision;
	/* CONNECTs that were refused */
	uint8_t refusals;
	/* binary as base64 on a WebSocket, too */
	bool b64 : 1;
	/* revision 4: events may carry recovery offsets */
	bool offsets : 1;
	/* one packet besides the pong has put the pong off */
	bool put_off : 1;
	/* a namespace was joined once */
	bool joined : 1;
	/* said goodbye: what is queued is still fetched, nothing is taken */
	bool closing : 1;
	/* closed: freed at the end of the turn */
	bool dead : 1;
	/* some of its sockets are gone and to be freed */
	bool sweep : 1;
	/* we have let go of a socket: what was under way is not held
	 * against it */
	bool dismissed : 1;
	/* in the queue of producers */
	bool producing : 1;
	/* in the list of those whose GET may be answered */
	bool dirty : 1;
	/* too slow, or no memory for it: closed at the end of the turn */
	bool doomed : 1;
	/* ... and what was queued is gone already */
	bool robbed : 1;
};

LIST_HEAD(session_list, session);
TAILQ_HEAD(session_queue, session);

/* --- for applications -------------------------------------------------- */

/* A message: text, which is valid UTF-8, or bytes. */
void session_send_text(struct session *s, const char *text, size_t len,
    enum chat_priority prio);
void session_send_binary(struct session *s, const void *data, size_t len,
    enum chat_priority prio);

/* The handshake's request head, if the application keeps heads. */
struct span session_head(const struct session *s);
/* Whose it is, as far as proxies that we trust tell. */
struct net_address session_peer(const struct session *s);

/*
 * Close in good order: what is queued is sent, then a close packet.  The
 * reason is Socket.IO's name for it.
 */
void session_close(struct session *s, enum counter count, const char *reason);

/* The session of that number, if it still is the same one. */
struct session *session_find_number(const struct worker *w, uint32_t number,
    uint32_t serial);

/* --- for the parts of the worker --------------------------------------- */

/* What a handshake decides. */
struct session_init {
	uint8_t revision;
	bool b64;
	bool offsets;
	struct net_address peer;
	const char *bearer;
	size_t bearer_len;
	struct span agent;
	struct span head;
	/* revision 3: the auth of the namespace "/" */
	struct span query;
};

/*
 * A new session: on the WebSocket 'c', or (NULL) polling.  Its open packet
 * is queued, and for revision 3 what follows from joining "/".
 */
struct session *session_open(struct worker *w, struct conn *c,
    const struct session_init *init);

struct session *session_find(const struct worker *w, struct span sid);

/* A frame that was encoded for it, and perhaps for others. */
void session_send(struct session *s, struct chat_frame frame,
    enum chat_priority prio);
/* Bytes that wait for it. */
size_t session_queued(const struct session *s);

/*
 * End it: error drops what is queued (parse errors, overlaps, a transport
 * that is lost).  'code' and 'why' go into a WebSocket's close frame.
 */
void session_fail(struct session *s, enum counter count, const char *reason,
    unsigned code, const char *why);
/* The client says that it goes. */
void session_quit(struct session *s);
/* A closing one has given everything away. */
void session_finish(struct session *s);
/* Its transport is gone already. */
void session_lost(struct session *s, enum counter count, const char *reason);

/* engine.c: a whole packet, from whatever transport. */
void session_packet(struct session *s, const struct eio_packet *pkt);
/* A whole message of its WebSocket. */
void session_message(struct session *s, char *data, size_t len, bool binary);
/* Start the heartbeat; the deadline that is next. */
void session_start(struct session *s);
void session_set_timer(struct session *s);
void session_on_timer(struct session *s);
/*
 * Is its client there?  It is pinged now, and closed if nothing comes within
 * 'ms'.  Not in revision 3, where it is the client who pings.
 */
void session_probe(struct session *s, uint64_t ms);
/* For the wheel of those who poll. */
void session_on_poll_timer(void *arg, struct wheel_entry *e);
/* Has a deadline passed that nobody has looked at yet?  Then it is closed. */
bool session_expired(struct session *s);

/* The place for what few have. */
struct session_extra *session_extra(struct session *s);

/* Free those that were closed in this turn. */
void session_reap(struct worker *w);
void session_free_all(struct worker *w);

/* A new id with this worker's slot in it. */
void sid_new(const struct worker *w, char sid[SID_SIZE]);
/* The slot that stands in an id; -1 if it is none. */
int sid_slot(struct span sid);

#endif /* WORKER_SESSION_H */
