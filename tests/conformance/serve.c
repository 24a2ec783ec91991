/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * serve - a worker process: the worker's core, one of the modes above it,
 * and the parent in the master's place.
 */

#include <event2/event.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "master/inbox.h"
#include "proto/ws.h"
#include "tests/conformance/conformance.h"
#include "tests/conformance/peer.h"
#include "worker/core.h"
#include "worker/worker.h"

/* how long clients may take to hear goodbye */
#define GOODBYE_MS 1000
/* how often the clock is looked at: tests count in tens of ms */
#define TICK_MS 10
/* how often sockets that were taken up elsewhere are looked for */
#define CHECK_MS 50

static struct worker self;
static struct conformance conformance;
/* too large for a stack */
static struct ipc_msg msg;

static void
on_clients(struct worker *w)
{
	uint32_t n, slot, generation;
	int fd;

	for (n = ipc_get_u32(&msg); n > 0 && !msg.bad; n--) {
		slot = ipc_get_u32(&msg);
		generation = ipc_get_u32(&msg);
		(void)ipc_get_u8(&msg);
		fd = ipc_get_fd(&msg);
		if (fd != -1 && !msg.bad)
			conn_open(w, fd, slot, generation, CONN_WELCOME);
	}
}

static void
on_parent(int fd, short what, void *arg)
{
	struct worker *w = arg;
	int rc;

	while ((rc = child_receive(&w->child, &msg)) == 1) {
		switch (msg.type) {
		case IPC_CLIENTS:
			on_clients(w);
			break;
		case IPC_STOP:
			(void)ipc_get_u32(&msg);
			w->phase = WORKER_STOPPING;
			break;
		default:
			fatalx("the parent sent %s", ipc_name(msg.type));
		}
		child_end(&msg);
	}
	if (rc == 0)
		return;
	event_del(w->master_ev);
	w->phase = WORKER_STOPPING;
}

static void
on_tick(int fd, short what, void *arg)
{
	/* the loop looks at the clock in every turn */
}

static void
on_check(int fd, short what, void *arg)
{
	peer_check_all(arg);
}

/* What HELLO brings elsewhere. */
static void
take_over(struct worker *w, const struct serve *in)
{
	struct child *c = &w->child;

	c->role = ROLE_WORKER;
	c->slot = w->slot = in->slot;
	c->incarnation = w->incarnation = in->incarnation;
	c->cfg = w->cfg = in->options->cfg;
	c->tables = w->tables = in->tables;
	c->inbox = in->inboxes->receive[in->slot];
	c->noutbox = in->inboxes->n;
	for (unsigned i = 0; i < TABLES_WORKERS; i++)
		c->outbox[i] = i < in->inboxes->n ? in->inboxes->send[i] : -1;
	c->bundle = c->next_bundle = -1;
	if ((c->master = ipc_new(in->parent, IPC_FROM_CHILD)) == NULL)
		fatal("connection to the parent");
	if (tables_protect(w->tables, w->slot) == -1)
		fatal("protect the tables");
	conformance.options = in->options;
	conformance.worker = w;
	conformance.recovery = in->recovery;
	w->app.ops = in->options->mode->ops;
	w->app.ctx = &conformance;
}

static struct event *
periodic(struct worker *w, unsigned ms, event_callback_fn fn, void *arg)
{
	struct timeval tv = { 0, ms * 1000 };
	struct event *ev;

	ev = event_new(w->base, -1, EV_PERSIST, fn, arg);
	if (ev == NULL || event_add(ev, &tv) == -1)
		fatalx("timer");
	return ev;
}

/* True when there is nothing left to do. */
static bool
ending(struct worker *w)
{
	if (w->phase == WORKER_STOPPING) {
		core_goodbye(w, "server shutting down");
		w->phase = WORKER_CLOSING;
		w->stop_by_ms = clock_mono_ms() + GOODBYE_MS;
	}
	if (w->phase != WORKER_CLOSING)
		return false;
	return LIST_EMPTY(&w->conns) || clock_mono_ms() >= w->stop_by_ms;
}

static void
run(struct worker *w)
{
	bool more;

	do {
		more = core_turn(w);
		if (event_base_loop(w->base,
			EVLOOP_ONCE | (more ? EVLOOP_NONBLOCK : 0)) == -1)
			fatalx("event loop");
	} while (!ending(w));
}

int
serve(const struct serve *in)
{
	struct worker *w = &self;
	struct event *tick, *check = NULL;

	/* it ends when the parent says so, or is gone */
	signal(SIGTERM, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	log_init("chatd-conformance", ROLE_WORKER, (int)in->slot);
	take_over(w, in);
	if (ws_prepare() == -1)
		fatalx("libcrypto does not work");
	core_start(w);
	w->master_ev =
	    event_new(w->base, in->parent, EV_READ | EV_PERSIST, on_parent, w);
	if (w->master_ev == NULL || event_add(w->master_ev, NULL) == -1)
		fatalx("events");
	tick = periodic(w, TICK_MS, on_tick, w);
	if (in->recovery != NULL && in->options->workers > 1)
		check = periodic(w, CHECK_MS, on_check, &conformance);
	child_ready(&w->child);
	w->phase = WORKER_SERVING;
	run(w);
	if (check != NULL)
		event_free(check);
	event_free(tick);
	event_free(w->master_ev);
	core_stop(w);
	ipc_free(&w->child.master);
	return 0;
}
