/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * conn - a client's connection, from its descriptor to its close.
 *
 * What is needed to go on with a connection stands in its record in the
 * client table (shm/client.h); here is what only this process can use.
 * A connection carries one session (a WebSocket), or requests of any: one
 * after the other, each for another session if a proxy likes it so.
 */

#ifndef WORKER_CONN_H
#define WORKER_CONN_H

#include <event2/event_struct.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "proto/address.h"
#include "shm/client.h"
#include "shm/counter.h"
#include "worker/wheel.h"

struct exchange;
struct session;
struct worker;

/* Where a connection is; client.phase. */
enum conn_phase {
	/* waits for the PROXY header */
	CONN_PROXY,
	/* waits for a request head */
	CONN_HEAD,
	/* a request's body: of a POST to a session, or to be dropped */
	CONN_BODY,
	/* a GET that is answered when there is something */
	CONN_WAIT,
	/* a file is being sent */
	CONN_FILE,
	/* a WebSocket beside a polling session, not yet its transport */
	CONN_PROBE,
	/* a WebSocket with a session */
	CONN_OPEN,
	/* its request belongs to another worker */
	CONN_PASSING,
	/* our last bytes are being sent; input is read and dropped */
	CONN_CLOSING,
	/* gone; freed at the end of the turn */
	CONN_DEAD,
};

/* Why it may not be served; from the master's flags. */
enum conn_refusal {
	CONN_WELCOME,
	/* the daemon is full: 503 */
	CONN_FULL,
	/* its address connects too often: 429 */
	CONN_TOO_OFTEN,
};

struct conn {
	struct event ev;
	struct worker *worker;
	struct client *client;
	LIST_ENTRY(conn) entry;
	/* in the queue of the paused */
	TAILQ_ENTRY(conn) queue_entry;
	struct wheel_entry timer;
	/* what it carries in BODY, WAIT, PROBE and OPEN, or NULL */
	struct session *session;
	/* BODY, WAIT, FILE: how the request wants to be answered */
	struct exchange *exchange;
	int fd;
	uint32_t slot;
	uint32_t generation;
	/* this turn's output: first and last reference + 1, and bytes */
	uint32_t out_first;
	uint32_t out_last;
	uint32_t out_bytes;
	/* queued bytes that the client asked for: they are not counted
	 * against it */
	uint32_t answer_bytes;
	/* those of them that come at once, not piece by piece */
	uint32_t unread_bytes;
	/* PASSING: tried until then */
	uint64_t pass_by_ms;
	/* PASSING: the worker it goes to */
	uint8_t pass_to;
	uint8_t refusal;
	/* permessage-deflate: bits of our window; 0: not negotiated */
	uint8_t deflate_bits;
	/* a head's first bytes are here */
	bool begun : 1;
	/* in the list of those with output */
	bool dirty : 1;
	/* the kernel takes no more: waits until it is writable */
	bool writing : 1;
	/* in the queue of the paused */
	bool paused : 1;
	/* has to take the answers that wait before it may ask on */
	bool choked : 1;
	/* too slow, or no memory for it: to be closed after the turn */
	bool doomed : 1;
	/* ... and what it held is gone already */
	bool robbed : 1;
};

LIST_HEAD(conn_list, conn);
TAILQ_HEAD(conn_queue, conn);

/*
 * Serve a client that the master passed; takes 'fd' over.  Failure closes
 * it: the outside cannot hurt us.
 */
void conn_open(struct worker *w, int fd, uint32_t slot, uint32_t generation,
    enum conn_refusal refusal);
/*
 * Serve one that another worker gave away in front of a request for us, of
 * which 'bytes' have been read.  Its record is ours already (handoff.h).
 */
void conn_receive(struct worker *w, int fd, uint32_t slot, uint32_t generation,
    const void *bytes, size_t len);

/*
 * Close a WebSocket in good order: a close frame with 'code' (0: without)
 * and 'why', then input is dropped until the peer has closed too.  The
 * session is not told.
 */
void conn_close(struct conn *c, unsigned code, const char *why);
/* Take no more requests: what was answered is sent, then the end. */
void conn_end(struct conn *c);
/* Everything that was due has been written. */
void conn_drained(struct conn *c);
/* The connection is gone: forget it, tell its session and the master. */
void conn_drop(struct conn *c, enum counter count, const char *reason);
/* It is another worker's now; nothing of it is touched any more. */
void conn_forget(struct conn *c);
/* Free those that were dropped in this turn. */
void conn_reap(struct worker *w);

/* Ready for the next request; what is here of it is taken up soon. */
void conn_next_request(struct conn *c);

/* Which events of its socket are wanted, after a change. */
void conn_watch(struct conn *c);
/* Whose it is, as proxies that we trust have told. */
void conn_set_peer(struct conn *c, const struct net_address *a);
/*
 * Its own deadline or, in OPEN, the next one of its session: CLOCK_MONOTONIC
 * ms, 0: none.
 */
void conn_set_due(struct conn *c, uint64_t due_ms);
void conn_on_timer(void *arg, struct wheel_entry *e);

/* Take no more input for now: the rest waits. */
void conn_pause(struct conn *c);
/*
 * Append to one of its chains.  When no chunk is left, those who hold most
 * lose it to make room, and are dropped after the turn; -1: it would hold most itself.
 */
int conn_keep(struct conn *c, struct chain *chain, const void *data,
    size_t len);
/* The same for what holds 'holds' bytes. */
int worker_keep(struct worker *w, struct chain *chain, const void *data,
    size_t len, size_t holds);

/* It does not read what it is answered: neither do we what it sends. */
void conn_choke(struct conn *c);
/* It has read: the rest of its input comes with the paused ones'. */
void conn_unchoke(struct conn *c);
/* Less is queued again: go on with those who wait. */
void conn_resume_all(struct worker *w);

/* --- the layers above, in the order that bytes take -------------------- */

/*
 * Each takes what it can use of 'buf' and returns how much it is done with;
 * the rest is kept and comes again.
 */

/* request.c: the PROXY header, request heads, bodies */
size_t request_proxy(struct conn *c, char *buf, size_t len);
size_t request_input(struct conn *c, char *buf, size_t len);
size_t request_body(struct conn *c, char *buf, size_t len);
/* input.c: frames */
size_t ws_input(struct conn *c, char *buf, size_t len);
/* upgrade.c: a whole message of a WebSocket that is no transport yet */
void upgrade_message(struct conn *c, const char *data, size_t len, bool binary);

/* PASSING, and everything is written: try to give it away. */
void request_pass(struct conn *c);
/* FILE: send the next piece. */
void request_file(struct conn *c);

#endif /* WORKER_CONN_H */
