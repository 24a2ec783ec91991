/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * main - a worker from HELLO to its exit.
 */

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/role.h"
#include "common/sandbox.h"
#include "proto/ws.h"
#include "worker/worker.h"

/* how long the way through rings and store may take at the start */
#define PROBE_MS 30000

static struct worker self;

static void
on_wake(int fd, short what, void *arg)
{
	uint64_t n;

	/* level-triggered: it would be reported in every turn without sleep */
	if (read(fd, &n, sizeof(n)) == -1 && errno != EAGAIN)
		log_error_errno("eventfd");
}

static void
on_tick(int fd, short what, void *arg)
{
	/* the loop looks at the clock in every turn */
}

static void
start_events(struct worker *w)
{
	struct timeval tick = { 0, WHEEL_TICK_MS * 1000 };
	struct event_config *ec;

	if ((ec = event_config_new()) == NULL ||
	    event_config_set_flag(ec, EVENT_BASE_FLAG_NOLOCK) == -1 ||
	    (w->base = event_base_new_with_config(ec)) == NULL)
		fatalx("event base");
	event_config_free(ec);
	w->master_ev = event_new(w->base, ROLE_IPC_FD, EV_READ | EV_PERSIST,
	    worker_on_master, w);
	w->wake_ev = event_new(w->base, w->child.efd[w->slot],
	    EV_READ | EV_PERSIST, on_wake, w);
	w->tick_ev = event_new(w->base, -1, EV_PERSIST, on_tick, w);
	if (w->master_ev == NULL || w->wake_ev == NULL || w->tick_ev == NULL ||
	    event_add(w->master_ev, NULL) == -1 ||
	    event_add(w->wake_ev, NULL) == -1 ||
	    event_add(w->tick_ev, &tick) == -1)
		fatalx("events");
}

static void
start_memory(struct worker *w)
{
	LIST_INIT(&w->conns);
	LIST_INIT(&w->dead);
	TAILQ_INIT(&w->producers);
	TAILQ_INIT(&w->paused);
	TAILQ_INIT(&w->inspectors);
	w->now_ms = clock_mono_ms();
	wheel_init(&w->wheel, w->now_ms);
	iobuf_open(&w->io, w->tables, w->slot);
	w->by_client =
	    calloc(w->tables->geometry.max_clients, sizeof(*w->by_client));
	w->record_size = ring_max_record(w->log);
	w->record = aligned_alloc(64, (w->record_size + 63) & ~63UL);
	w->publisher = publisher_new(w->log, w->live, w->slot);
	w->chat = chat_new(w->cfg, &worker_chat_ops, w);
	if (w->by_client == NULL || w->record == NULL || w->publisher == NULL ||
	    w->chat == NULL)
		fatal("memory for a worker");
}

/*
 * libcrypto reads its configuration when it is first used, which would be
 * in the sandbox: it is used once before, without a configuration.
 */
static void
start_crypto(void)
{
	if (OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) != 1 ||
	    ws_prepare() == -1)
		fatalx("libcrypto does not work");
}

/* One record through ring, scribe, disk and back: the way is open. */
static void
start_probe(struct worker *w)
{
	struct {
		struct record h;
	} rec;
	uint64_t deadline = clock_mono_ms() + PROBE_MS;
	struct record h = { .type = RECORD_PROBE };
	bool sent = false;
	size_t len;

	h.received_ns = clock_mono_ns();
	if ((len = record_build(&rec, sizeof(rec), &h, NULL, 0)) == 0)
		fatalx("probe");
	ring_join(w->live, w->slot, w->incarnation);
	w->live_cursor = ring_join_pos(w->live, w->slot);
	ring_join(w->log, w->slot, w->incarnation);
	while (!w->probed && w->phase == WORKER_STARTING) {
		if (clock_mono_ms() > deadline)
			fatalx("the scribe does not answer");
		(void)worker_deliver(w);
		if (w->log_active && !sent)
			sent = ring_publish(w->log, &rec, len, &w->probe) == 0;
		if (w->probed)
			break;
		wake_prepare(w->wake, w->slot);
		if (event_base_loop(w->base,
			EVLOOP_ONCE |
			    (worker_has_events(w) ? EVLOOP_NONBLOCK : 0)) == -1)
			fatalx("event loop");
		wake_cancel(w->wake, w->slot);
	}
}

static void
finish(struct worker *w)
{
	struct conn *c;

	inspect_free_all(w);
	while ((c = LIST_FIRST(&w->conns)) != NULL) {
		if (c->chat != NULL)
			chat_forget(w->chat, &c->chat);
		conn_drop(c, COUNTER_CLOSED_SERVER, "server shutting down");
	}
	conn_reap(w);
	ring_quit(w->log, w->slot);
	ring_quit(w->live, w->slot);
	chat_free(&w->chat);
	publisher_free(&w->publisher);
	output_free(&w->out);
	store_close(&w->store);
	free(w->message);
	free(w->record);
	free(w->by_client);
	event_free(w->tick_ev);
	event_free(w->wake_ev);
	event_free(w->master_ev);
	event_base_free(w->base);
	child_free(&w->child);
}

int
worker_main(void)
{
	struct worker *w = &self;
	const char *why;
	int status;

	signal(SIGPIPE, SIG_IGN);
	/* the terminal's keys are for the master */
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	worker_hello(w);
	if ((w->store = store_open(STORE_READ, &why)) == NULL)
		fatalx("store: %s", why);
	start_memory(w);
	start_events(w);
	start_crypto();
	if (sandbox_enter(ROLE_WORKER) == -1)
		fatal("sandbox");
	start_probe(w);
	child_ready(&w->child);
	w->phase = WORKER_SERVING;
	status = worker_loop(w);
	finish(w);
	return status;
}
