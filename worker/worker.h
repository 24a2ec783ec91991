/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * worker - one process that serves clients: what its parts share.
 *
 *   main      from HELLO to READY, and the end
 *   loop      one turn: rings, clients, sleep
 *   master    messages from the master
 *   core      what follows, as one: clients and their sessions
 *   conn      a connection from its descriptor to its close
 *   request   an HTTP request: whose it is
 *   exchange  and its answer
 *   handoff   a connection goes to another worker
 *   asset     the browser's bundle
 *   poll      long-polling
 *   upgrade   from a request, and from polling, to a WebSocket
 *   input     WebSocket frames to messages
 *   compress  and what is compressed in them
 *   session   an Engine.IO session, whatever carries it
 *   engine    its packets and its heartbeat
 *   sock      Socket.IO packets, namespaces
 *   app_chat  the chat as the application above
 *   bridge    whose a token is, as the web application says
 *   ops       what the chat asks for
 *   stream    and of that, what it asks about streams
 *   leftover  streams of a former run
 *   reader    the store, read beside the loop
 *   publish   events on their way into the rings
 *   deliver   events out of the rings
 *   rings     from the rings that we have to those that follow
 *   output    frames to clients
 *   ctl       what chatctl asks a worker
 *   inspect   messages of a session
 *   steer     what operators decide
 *   bans      what they have decided
 *   events    security events
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
#include "worker/app.h"
#include "worker/conn.h"
#include "worker/output.h"
#include "worker/overload.h"
#include "worker/publish.h"
#include "worker/session.h"
#include "worker/wheel.h"

struct assets;
struct bridge;
struct bridge_ops;
struct compressor;
struct event;
struct ctl;
struct event_base;
struct read_row;
struct reader;

/* Memory for what is under way for a moment, by who uses it. */
enum scratch {
	/* a whole message out of several frames or reads */
	SCRATCH_MESSAGE,
	/* ... after it was decoded, or repaired */
	SCRATCH_TEXT,
	/* ... after it was inflated */
	SCRATCH_INFLATED,
	/* a packet that is being made */
	SCRATCH_SOCK,
	/* what stands behind a stream's text */
	SCRATCH_STREAM,
	/* bytes that go with a connection */
	SCRATCH_PASS,
	SCRATCH__MAX,
};

enum worker_phase {
	WORKER_STARTING,
	WORKER_SERVING,
	/* told to end, or the master is gone: verdicts are awaited */
	WORKER_STOPPING,
	/* clients have been told; their output is flushed */
	WORKER_CLOSING,
};

/* Where it is in the list of streams that a former run has left. */
struct leftovers {
	uint8_t key[CHAT_PLACE_MAX];
	size_t len;
	/* some were found in this pass; none are left */
	bool any, done;
	uint64_t due_ms;
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
	struct event *master_ev, *wake_ev, *tick_ev, *inbox_ev;
	struct tables *tables;
	struct wake *wake;
	struct ring *log, *live;
	uint8_t *record;
	size_t record_size;
	/* the store is its, and nobody else's */
	struct reader *reader;
	struct iobuf io;
	struct overload overload;
	struct output out;
	struct publisher *publisher;
	struct chat *chat;
	struct app app;
	/* or NULL: there will never be one */
	struct bridge *bridge;
	struct event *bridge_ev;

	/* next position to deliver; valid while log_active */
	uint64_t log_cursor;
	uint64_t live_cursor;
	bool log_active;
	struct leftovers leftovers;
	/* the record that tests the whole path at the start */
	uint64_t probe;
	bool probed;

	/* --- core --- */

	struct conn_list conns;
	struct conn_list dead;
	/* they wait until less is queued for the rings, or for their turn */
	struct conn_queue paused;
	uint32_t npaused;
	struct session_list sessions;
	struct session_list dead_sessions;
	uint32_t nsessions;
	/* what they asked for is not all sent */
	struct session_queue producers;
	uint32_t nproducers;
	/* sockets that are let go before the turn ends */
	struct sock_order *orders;
	uint32_t norders, max_orders;
	/* sessions by sid: 1 << sid_bits lists */
	struct session **by_sid;
	unsigned sid_bits;
	/* sessions by number, and the numbers that are free */
	struct session **by_number;
	uint32_t *free_numbers;
	uint32_t nfree_numbers, max_numbers, last_serial;
	/* polling sessions that may have something for their GET */
	struct session **polls;
	uint32_t npolls, maxpolls;
	/* deadlines of connections and what they carry, and of sessions that
	 * poll */
	struct wheel conn_wheel, poll_wheel;
	struct compressor *compressor;
	/* the browser's bundle, or NULL */
	struct assets *assets;
	struct {
		char *p;
		size_t size;
	} scratch[SCRATCH__MAX];
	/* the Date of answers, and its second */
	char date[30];
	int64_t date_second;
	/* there is more to do at once */
	bool again;

	/* chatctl's (ctl.h) */
	TAILQ_HEAD(, ctl) ctls;
	/* those who wait for a place (crowd.h) */
	TAILQ_HEAD(, crowd) crowds;
	size_t ncrowds;
	uint32_t last_ctl;

	/* CLOCK_MONOTONIC, read once a turn */
	uint64_t now_ms;
	uint64_t last_tick_ms;
};

/* count something in this worker's row */
#define WORKER_COUNT(w, c, n) \
	counter_add((w)->tables, (w)->slot, COUNTER_##c, (n))

/* the same for one that is told by a variable */
#define WORKER_COUNT_DYNAMIC(w, c) counter_add((w)->tables, (w)->slot, (c), 1)

static inline bool
app_congested(const struct worker *w)
{
	return w->app.ops->congested != NULL &&
	    w->app.ops->congested(w->app.ctx);
}

/* core.c */
/* At least 'len' bytes; what was there is lost. */
char *scratch(struct worker *w, enum scratch which, size_t len);
/* For the Date field. */
const char *worker_date(struct worker *w);

/* app_chat.c */
extern const struct app_ops app_chat;
/* A CONNECT that waited for a place (crowd.h): is there one; go on, or refuse
 * it for good. */
bool app_chat_has_place(const struct sock *so, const struct identity *id);
void app_chat_again(struct sock *so, struct identity **id);
/* operations of the chat that end a CONNECT, or a socket */
void app_chat_connected(void *ctx, void *conn, const char *sid, const char *pid,
    bool recovered);
void app_chat_refused(void *ctx, void *conn, enum chat_error err);
void app_chat_close(void *ctx, void *conn);
/* ... and one that asks about a token */
void app_chat_verify(void *ctx, void *conn, uint32_t request,
    struct chat_str token);
extern const struct bridge_ops app_chat_bridge_ops;
void app_chat_disconnect(void *ctx, void *conn, const char *reason);

/* loop.c */
int worker_loop(struct worker *w);

/* master.c */
/* Take what HELLO brings. */
void worker_hello(struct worker *w);
void worker_on_master(int fd, short what, void *arg);
void worker_stop(struct worker *w, uint64_t within_ms);
/* The browser's bundle, as the master has it now. */
void worker_open_assets(struct worker *w);

/* main.c */
/* Nobody is told that they go: the daemon ends. */
void worker_forget_sockets(struct worker *w);

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

/* rings.c */
/* The next rings have come, or go unused. */
void worker_rings(void *arg);
/*
 * At the end of the old log ring, or out of it: go on in the next.  Of the
 * old live ring: true if there may be more to read now.
 */
void worker_pass_log(struct worker *w);
bool worker_pass_live(struct worker *w);
/* Would one of these do anything?  Sequentially consistent. */
bool worker_may_pass(const struct worker *w);

/* leftover.c */
/* Some ten times a second: what a former run has left is stored. */
void leftovers_tick(struct worker *w);

/* ops.c */
extern const struct chat_ops worker_chat_ops;
/* ops_bans.c */
enum chat_read worker_bans(void *ctx, struct chat_place *place, uint64_t pos,
    chat_steered_fn fn, void *arg);
/* A row of READ_MESSAGES and the like. */
struct chat_row worker_message_of(const struct read_row *r);

#endif /* WORKER_WORKER_H */
