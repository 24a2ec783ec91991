/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * conn - a client's connection, from its descriptor to its close.
 *
 * What is needed to go on with a connection stands in its record in the
 * client table (shm/client.h); here is what only this process can use.
 */

#ifndef WORKER_CONN_H
#define WORKER_CONN_H

#include <event2/event_struct.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "shm/client.h"
#include "shm/counter.h"
#include "shm/user.h"
#include "worker/wheel.h"

struct chat_socket;
struct worker;

/* Where a connection is; client.phase. */
enum conn_phase {
	/* waits for a request head */
	CONN_HEAD,
	/* a WebSocket with an Engine.IO session */
	CONN_OPEN,
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
	/* in one of the queues: producers, paused */
	TAILQ_ENTRY(conn) queue_entry;
	struct wheel_entry timer;
	struct chat_socket *chat;
	/* the token of the handshake's Authorization field, or NULL */
	char *bearer;
	struct user_ref user;
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
	uint8_t refusal;
	/* counted in the user table */
	bool counted;
	/* in the list of those with output */
	bool dirty;
	/* the kernel takes no more: waits until it is writable */
	bool writing;
	/* in the queue of producers, of the paused */
	bool producing;
	bool paused;
	/* paused while it was producing */
	bool resume_producing;
	/* has to take the answers that wait before it may ask on */
	bool choked;
	/* too slow, or no memory for it: to be closed after the turn */
	bool doomed;
	/* has joined its namespace once */
	bool connected_once;
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
 * Close in good order: the chat socket leaves with 'reason' (Socket.IO's
 * name), a WebSocket gets a close frame with 'code' (0: without) and 'why',
 * and input is dropped until the peer has closed too.
 */
void conn_close(struct conn *c, enum counter count, const char *reason,
    unsigned code, const char *why);
/* The answer to a request has been written, and nothing follows. */
void conn_finish(struct conn *c);
/* The connection is gone: forget it, tell the master. */
void conn_drop(struct conn *c, enum counter count, const char *reason);
/* The chat socket leaves (if there is one); the connection stays. */
void conn_leave(struct conn *c, const char *reason);
/* Free those that were dropped in this turn. */
void conn_reap(struct worker *w);

/* The connection of a client table entry, if it still is the same. */
struct conn *conn_find(const struct worker *w, uint32_t slot,
    uint32_t generation);

/* Which events of its socket are wanted, after a change. */
void conn_watch(struct conn *c);
/* Its next deadline, after a change of one of them. */
void conn_set_timer(struct conn *c);
void conn_on_timer(void *arg, struct wheel_entry *e);

/* Publish no more for now: the rest of the input waits. */
void conn_pause(struct conn *c);
/*
 * Append to one of its chains.  When no chunk is left, those who hold most
 * are dropped to make room; -1: it would hold most itself.
 */
int conn_keep(struct conn *c, struct chain *chain, const void *data,
    size_t len);

/* It does not read what it is answered: neither do we what it sends. */
void conn_choke(struct conn *c);
/* It has read: the rest of its input comes with the paused ones'. */
void conn_unchoke(struct conn *c);
/* Less is queued again: go on with those who wait. */
void conn_resume_all(struct worker *w);

/* --- the layers above, in the order that bytes take -------------------- */

/*
 * request.c: 'buf' begins with a request.  Returns how many bytes are done
 * with; the rest is kept and comes again.
 */
size_t request_input(struct conn *c, char *buf, size_t len);

/* input.c: frames.  As above. */
size_t ws_input(struct conn *c, char *buf, size_t len);

/* engine.c: a whole message of the WebSocket. */
void engine_open(struct conn *c);
void engine_message(struct conn *c, char *data, size_t len, bool binary);
/* A deadline has passed. */
void engine_on_timer(struct conn *c);

/* socket.c: a Socket.IO packet. */
void socket_packet(struct conn *c, const char *text, size_t len, size_t size);

/* 20 characters of a new session id, terminated. */
#define CONN_SID_SIZE (CLIENT_SID + 1)
void conn_new_sid(const struct worker *w, char sid[CONN_SID_SIZE]);

#endif /* WORKER_CONN_H */
