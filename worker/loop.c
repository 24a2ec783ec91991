/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * loop - one turn after the other: what the rings hold, what was read of the
 * store, what clients asked for, what is due to them, and sleep when there is
 * nothing.
 */

#include <event2/event.h>

#include "common/clock.h"
#include "common/fault.h"
#include "common/log.h"
#include "worker/bridge.h"
#include "worker/core.h"
#include "worker/crowd.h"
#include "worker/ctl.h"
#include "worker/reader.h"
#include "worker/worker.h"

/* how often deadlines that are not a connection's are looked at */
#define TICK_MS 100
/* how often a worker with nothing to do gives memory back */
#define IDLE_MS 5000

/* Nobody stores anything: those who wait for it are told after a while. */
static bool
scribe_is_missing(const struct worker *w)
{
	const struct tables_child *scribe =
	    &w->tables->state->child[TABLES_SCRIBE];

	return atomic_load_explicit(&scribe->state, memory_order_relaxed) !=
	    TABLES_CHILD_READY;
}

/* How full the log ring is; what waits for space in it: too full for us. */
static unsigned
ring_sign(const struct worker *w, const struct ring_info *ring)
{
	unsigned full = (unsigned)(ring->occupied * 100 / ring->slots);

	return !publisher_idle(w->publisher) && full < OVERLOAD_HIGH
	    ? OVERLOAD_HIGH
	    : full;
}

/* Refuse more, or less, of those who ask for most. */
static void
loop_overload(struct worker *w)
{
	struct ring_info ring;
	size_t max = iobuf_chunks_max(&w->io);
	unsigned before = w->overload.level;

	ring_info(w->log, &ring);
	if (!overload_tick(&w->overload, w->now_ms, TICK_MS,
		ring_sign(w, &ring),
		(unsigned)(iobuf_chunks_used(&w->io) * 100 / max)))
		return;
	gauge_set(w->tables, w->slot, GAUGE_OVERLOAD, w->overload.level);
	log_warn("%s level=%u before=%u late_ms=%u ring=%llu/%llu "
		 "chunks=%zu/%zu",
	    w->overload.level > before
		? "too much to do: who asks for most is refused"
		: "there is less to do",
	    w->overload.level, before, w->overload.late / 16,
	    (unsigned long long)ring.occupied, (unsigned long long)ring.slots,
	    iobuf_chunks_used(&w->io), max);
}

static void
loop_tick(struct worker *w)
{
	struct chat_totals totals;
	struct publish_counts counts;

	if (w->now_ms < w->last_tick_ms + TICK_MS)
		return;
	if (w->now_ms / IDLE_MS != w->last_tick_ms / IDLE_MS)
		(void)iobuf_idle(&w->io);
	w->last_tick_ms = w->now_ms;
	child_beat(&w->child);
	loop_overload(w);
	crowd_tick(w);
	reader_tick(w->reader, w->now_ms);
	chat_tick(w->chat);
	leftovers_tick(w);
	bridge_tick(w->bridge, w->now_ms);
	ctl_tick(w);
	publisher_expire(w->publisher, w->now_ms, worker_lost, w);
	if (scribe_is_missing(w))
		publisher_abandon(w->publisher, w->now_ms, worker_lost, w);
	publisher_counts(w->publisher, &counts);
	WORKER_COUNT(w, PUBLISHED_LOG, counts.published);
	WORKER_COUNT(w, RING_FULL, counts.full);
	chat_totals(w->chat, &totals);
	gauge_set(w->tables, w->slot, GAUGE_MEMBERS, (int64_t)totals.members);
	gauge_set(w->tables, w->slot, GAUGE_CHUNKS,
	    (int64_t)iobuf_chunks_used(&w->io));
	gauge_set(w->tables, w->slot, GAUGE_DEFERRED,
	    (int64_t)publisher_waiting(w->publisher));
}

/* Tell the clients and close them; they are to come back. */
static void
loop_say_goodbye(struct worker *w)
{
	chat_announce(w->chat, "SERVER_SHUTDOWN", "Server is shutting down");
	output_flush(w);
	/* their memberships end with the daemon */
	worker_forget_sockets(w);
	core_goodbye(w, "server shutting down");
	FAULT(GOODBYE);
	w->phase = WORKER_CLOSING;
}

/* The steps of an orderly end; true when there is nothing left to do. */
static bool
loop_ending(struct worker *w)
{
	if (w->phase == WORKER_STOPPING &&
	    ((publisher_waiting(w->publisher) == 0 &&
		 publisher_idle(w->publisher)) ||
		w->now_ms + 1000 >= w->stop_by_ms))
		loop_say_goodbye(w);
	if (w->phase != WORKER_CLOSING)
		return false;
	return LIST_EMPTY(&w->conns) || w->now_ms >= w->stop_by_ms;
}

/* Wait for events, unless there is more to do at once. */
static void
loop_wait(struct worker *w, bool more)
{
	/* NONBLOCK alone goes on until nothing is ready, which a written
	 * eventfd, emptied only afterwards, always is */
	int flags = EVLOOP_ONCE | EVLOOP_NONBLOCK;

	if (!more) {
		wake_prepare(w->wake, w->slot);
		if (!worker_has_events(w) && !reader_has_answers(w->reader))
			flags = EVLOOP_ONCE;
	}
	if (event_base_loop(w->base, flags) == -1)
		fatalx("event loop");
	if (!more)
		wake_cancel(w->wake, w->slot);
	w->now_ms = clock_mono_ms();
}

int
worker_loop(struct worker *w)
{
	uint64_t began;
	bool more;

	for (;;) {
		began = clock_mono_ns();
		(void)publisher_flush(w->publisher);
		more = worker_deliver(w);
		reader_collect(w->reader, w->now_ms);
		loop_tick(w);
		more = core_turn(w) || more;
		if (loop_ending(w))
			break;
		WORKER_COUNT(w, TURNS, 1);
		hist_add(w->tables, w->slot, HIST_TURN,
		    (clock_mono_ns() - began) / 1000);
		loop_wait(w, more);
	}
	return 0;
}
