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

#include "chat/steer.h"
#include "common/clock.h"
#include "common/fault.h"
#include "common/log.h"
#include "common/role.h"
#include "common/sandbox.h"
#include "proto/ws.h"
#include "store/store.h"
#include "worker/bridge.h"
#include "worker/core.h"
#include "worker/crowd.h"
#include "worker/ctl.h"
#include "worker/reader.h"
#include "worker/worker.h"

/* how long the way through rings and store may take at the start */
#define PROBE_MS 30000
/* and a read of the store at the end */
#define READER_END_MS 500

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
on_bridge(int fd, short what, void *arg)
{
	struct worker *w = arg;

	bridge_on_readable(w->bridge, clock_mono_ms());
}

/* It is there whether or not it is asked: a reload may change that. */
static void
start_bridge(struct worker *w)
{
	const struct bridge_init init = { .ops = &app_chat_bridge_ops,
		.ctx = w,
		.cfg = w->cfg,
		.fd = w->child.ask[0],
		.incarnation = w->incarnation,
		.tables = w->tables,
		.now_ms = clock_mono_ms() };

	if (w->child.nask == 0)
		return;
	w->bridge = bridge_new(&init);
	w->bridge_ev = event_new(w->base, w->child.ask[0], EV_READ | EV_PERSIST,
	    on_bridge, w);
	if (w->bridge_ev == NULL || event_add(w->bridge_ev, NULL) == -1)
		fatalx("event of the bridge");
}

static void
start_events(struct worker *w)
{
	struct timeval tick = { 0, WHEEL_TICK_MS * 1000 };

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
	start_bridge(w);
}

static void
start_memory(struct worker *w)
{
	TAILQ_INIT(&w->ctls);
	TAILQ_INIT(&w->crowds);
	w->app.ops = &app_chat;
	w->app.ctx = w;
	core_start(w);
	/* whatever rings will follow */
	w->record_size = RING_RECORD_LIMIT;
	w->record = aligned_alloc(64, (w->record_size + 63) & ~63UL);
	w->publisher = publisher_new(w->log, w->live, w->slot);
	w->chat = chat_new(w->cfg, &worker_chat_ops, w);
	if (w->record == NULL || w->publisher == NULL || w->chat == NULL)
		fatal("memory for a worker");
	worker_open_assets(w);
}

/* By the reader's thread. */
static void
wake_self(void *arg)
{
	struct worker *w = arg;

	(void)wake_one(w->wake, w->slot);
}

/* The thread is there before the sandbox, which is then around it too. */
static void
start_reader(struct worker *w)
{
	struct store *store;
	const char *why;

	if ((store = store_open(STORE_READ, &why)) == NULL)
		fatalx("store: %s", why);
	if ((w->reader = reader_new(&store, wake_self, w)) == NULL)
		fatal("reader of the store");
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
	/* what is for all workers has no room */
	ring_interest(w->log, w->slot, 0, true);
	FAULT(WORKER_JOINED);
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

/*
 * Who is banned is known before anybody is served; but a store that cannot
 * be read does not keep everybody out.
 */
static void
start_bans(struct worker *w)
{
	uint64_t deadline = clock_mono_ms() + PROBE_MS;

	while (w->phase == WORKER_STARTING) {
		w->now_ms = clock_mono_ms();
		(void)worker_deliver(w);
		reader_collect(w->reader, w->now_ms);
		if (steer_turn(w->chat) || steer_failed(w->chat))
			break;
		if (w->now_ms > deadline) {
			log_error("the list of bans cannot be read in time");
			break;
		}
		wake_prepare(w->wake, w->slot);
		if (event_base_loop(w->base,
			EVLOOP_ONCE |
			    (worker_has_events(w) ||
					reader_has_answers(w->reader)
				    ? EVLOOP_NONBLOCK
				    : 0)) == -1)
			fatalx("event loop");
		wake_cancel(w->wake, w->slot);
	}
}

/* The sockets go without a word: the daemon ends, and all with it. */
void
worker_forget_sockets(struct worker *w)
{
	struct chat_socket *cs;
	struct session *s;
	struct sock *so;

	LIST_FOREACH(s, &w->sessions, entry) {
		for (so = s->socks; so != NULL; so = so->next) {
			cs = so->app;
			so->app = NULL;
			if (cs != NULL)
				chat_forget(w->chat, &cs);
			reader_forget(w->reader, so);
		}
	}
}

static void
finish(struct worker *w)
{
	ctl_free_all(w);
	worker_forget_sockets(w);
	crowd_free_all(w);
	bridge_free(&w->bridge);
	if (w->bridge_ev != NULL)
		event_free(w->bridge_ev);
	event_free(w->tick_ev);
	event_free(w->wake_ev);
	event_free(w->master_ev);
	core_stop(w);
	ring_quit(w->log, w->slot);
	ring_quit(w->live, w->slot);
	chat_free(&w->chat);
	publisher_free(&w->publisher);
	reader_free(&w->reader, READER_END_MS);
	free(w->record);
	child_free(&w->child);
}

int
worker_main(void)
{
	struct worker *w = &self;
	int status;

	signal(SIGPIPE, SIG_IGN);
	/* the terminal's keys are for the master */
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	worker_hello(w);
	start_memory(w);
	start_reader(w);
	start_events(w);
	start_crypto();
	if (sandbox_enter(ROLE_WORKER) == -1)
		fatal("sandbox");
	start_probe(w);
	start_bans(w);
	child_ready(&w->child);
	w->phase = WORKER_SERVING;
	status = worker_loop(w);
	finish(w);
	return status;
}
