/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * worker - one process that serves clients: what its parts share.
 *
 *   main      from HELLO to READY, and the end
 *   loop      one turn: rings, what clients asked for, output, sleep
 *   master    messages from the master
 *   conn      a connection from its descriptor to its close
 *   request   an HTTP request head
 *   input     WebSocket frames to messages
 *   engine    Engine.IO packets and the heartbeat
 *   socket    Socket.IO packets, CONNECT
 *   ops       what the chat asks for
 *   publish   events on their way into the rings
 *   deliver   events out of the rings
 *   output    frames to clients
 *   inspect   what chatctl asks a worker
 */

#ifndef WORKER_WORKER_H
#define WORKER_WORKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "chat/chat.h"
#include "common/config.h"
#include "shm/child.h"
#include "shm/counter.h"
#include "shm/iobuf.h"
#include "shm/ring.h"
#include "shm/tables.h"
#include "shm/wake.h"
#include "store/store.h"
#include "worker/conn.h"
#include "worker/output.h"
#include "worker/publish.h"
#include "worker/wheel.h"

struct event;
struct event_base;
struct inspector;

enum worker_phase {
	WORKER_STARTING,
	WORKER_SERVING,
	/* told to end, or the master is gone: verdicts are awaited */
	WORKER_STOPPING,
	/* clients have been told; their output is flushed */
	WORKER_CLOSING,
};

struct worker {
	/* what every child has; the pointers below are copies for short */
	struct child child;
	unsigned slot;
	uint32_t incarnation;
	enum worker_phase phase;
	/* STOPPING, CLOSING: when to go whatever is left; mono ms */
	uint64_t stop_by_ms;

	struct config *cfg;

	struct event_base *base;
	struct event *master_ev, *wake_ev, *tick_ev;
	struct tables *tables;
	struct wake *wake;
	struct ring *log, *live;
	uint8_t *record;
	size_t record_size;
	struct store *store;
	struct iobuf io;
	struct output out;
	struct publisher *publisher;
	struct chat *chat;

	/* next position to deliver; valid while log_active */
	uint64_t log_cursor;
	uint64_t live_cursor;
	bool log_active;
	/* the record that tests the whole path at the start */
	uint64_t probe;
	bool probed;

	struct conn_list conns;
	struct conn_list dead;
	/* what they asked for is not all sent */
	struct conn_queue producers;
	/* they wait until less is queued for the rings */
	struct conn_queue paused;
	/* client table slot to connection */
	struct conn **by_client;
	struct wheel wheel;
	TAILQ_HEAD(, inspector) inspectors;
	/* a whole message out of several frames or reads */
	uint8_t *message;
	size_t message_size;

	/* CLOCK_MONOTONIC, read once a turn */
	uint64_t now_ms;
	uint64_t last_tick_ms;
};

/* count something in this worker's row */
#define WORKER_COUNT(w, c, n) \
	counter_add((w)->tables, (w)->slot, COUNTER_##c, (n))

/* loop.c */
int worker_loop(struct worker *w);

/* master.c */
/* Take what HELLO brings. */
void worker_hello(struct worker *w);
void worker_on_master(int fd, short what, void *arg);
void worker_stop(struct worker *w, uint64_t within_ms);

/* deliver.c */
/*
 * Deliver what is in the rings, up to a budget.  True if there is more.
 */
bool worker_deliver(struct worker *w);
/* Is there something to deliver?  Sequentially consistent. */
bool worker_has_events(struct worker *w);
/* An event of 'conn' that was not published after all. */
void worker_lost(void *arg, const struct chat_event *ev,
    const struct publish_waiter *waiter);

/* ops.c */
extern const struct chat_ops worker_chat_ops;

/* inspect.c */
/* chatctl asks; takes 'fd' over. */
void inspect_request(struct worker *w, int fd, const char *line, size_t len);
/* Show a stored message to those who watch its room. */
bool inspect_watches(const struct worker *w, uint64_t room);
void inspect_deliver(struct worker *w, const struct chat_delivery *d);
void inspect_free_all(struct worker *w);

#endif /* WORKER_WORKER_H */
