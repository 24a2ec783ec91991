/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * deliver - events out of the rings, to the chat.
 *
 * The order in one turn: durable_seq is read first, then the live ring is
 * drained, then the log ring is delivered up to that durable_seq.  So what
 * was published on the live ring before a stored event was published (a
 * typist's last "false" before the message) is seen before it.
 */

#include <string.h>

#include "chat/steer.h"
#include "common/clock.h"
#include "common/fault.h"
#include "common/log.h"
#include "worker/ctl.h"
#include "worker/crowd.h"
#include "worker/worker.h"

/* stored events in one turn */
#define EVENTS_A_TURN 256

static enum chat_outcome
outcome_of(uint8_t verdict)
{
	switch (verdict) {
	case RING_STORED:
		return CHAT_STORED;
	case RING_DUPLICATE:
		return CHAT_DUPLICATE;
	case RING_ID_TAKEN:
		return CHAT_ID_TAKEN;
	case RING_SESSION_FULL:
		return CHAT_SESSION_FULL;
	case RING_STORE_UNAVAILABLE:
		return CHAT_STORE_UNAVAILABLE;
	case RING_NOT_FOUND:
		return CHAT_NOT_FOUND;
	case RING_FORBIDDEN:
		return CHAT_FORBIDDEN;
	default:
		return CHAT_REJECTED;
	}
}

/* The chat's socket of a session, if it still is there. */
static struct chat_socket *
waiting_socket(const struct worker *w, const struct publish_waiter *who)
{
	const struct session *s;
	const struct sock *so;

	if ((s = session_find_number(w, who->number, who->serial)) == NULL)
		return NULL;
	for (so = s->socks; so != NULL; so = so->next)
		if (!so->gone)
			return so->app;
	return NULL;
}

/* Find who waits for a record of ours; returns the id of a ctl, or 0. */
static uint32_t
deliver_own(struct worker *w, const struct record *rec, struct chat_delivery *d)
{
	struct publish_waiter who;

	d->own = true;
	if (rec->request == 0)
		return 0;
	if (!publisher_settle(w->publisher, rec->request, &who)) {
		/* it was told that nobody decides (publisher_abandon()) */
		who = (struct publish_waiter){ .number = rec->client,
			.serial = rec->generation };
		if (rec->type == RECORD_MESSAGE)
			d->socket = waiting_socket(w, &who);
		return 0;
	}
	if (who.number == PUBLISH_CTL)
		return who.request;
	FAULT(DELIVER_OWN);
	hist_add(w->tables, w->slot, HIST_DURABLE,
	    (clock_mono_ns() - rec->received_ns) / 1000);
	if ((d->socket = waiting_socket(w, &who)) != NULL)
		d->request = who.request;
	return 0;
}

/* It asks the worker that a member belongs to, about a session of it. */
static void
deliver_ask(const struct worker *w, const struct record *rec,
    struct chat_delivery *d)
{
	const struct publish_waiter who = { .number = rec->client,
		.serial = rec->generation };

	d->own = rec->id_hash[0] == w->incarnation;
	if (d->own)
		d->socket = waiting_socket(w, &who);
}

/* A record that was read whole. */
static void
deliver_record(struct worker *w, uint64_t gseq, const struct ring_index *ix,
    const void *bytes, size_t len, bool own)
{
	const struct record *rec = bytes;
	struct record_field f[RECORD_MAX_FIELDS];
	struct chat_delivery d = { .gseq = gseq };
	uint32_t ctl = 0;
	int n;

	if ((n = record_parse(bytes, len, f)) < 0) {
		WORKER_COUNT(w, RING_BAD, 1);
		return;
	}
	if (rec->type == RECORD_ASK)
		deliver_ask(w, rec, &d);
	else if (own)
		ctl = deliver_own(w, rec, &d);
	if (!publish_event(rec, f, n, &d.ev))
		return;
	if (ix != NULL) {
		d.outcome = outcome_of(ix->verdict);
		d.seq = ix->seq;
		d.revision = ix->revision;
		d.members = ix->members;
		d.time_ms = ix->time_ms;
	}
	/* a JOIN carries names: its numbers are in the verdict.  What every
	 * worker is to hear of has no room there */
	if (ix != NULL && ix->room != 0)
		d.ev.room = ix->room;
	if (ix != NULL && ix->user != 0)
		d.ev.user = ix->user;
	FAULT(DELIVER_HALF);
	if (d.ev.type == CHAT_PING)
		crowd_probe(w, d.ev.field[0].p, d.ev.field[0].len);
	chat_deliver(w->chat, &d);
	FAULT(DELIVERED);
	if (ctl != 0)
		ctl_verdict(w, ctl, &d);
	if (!TAILQ_EMPTY(&w->ctls))
		ctl_deliver(w, &d);
}

/* Events of no room, that every worker has to know of. */
static bool
is_for_all(const struct ring_index *ix)
{
	switch (ix->type) {
	case RECORD_ASK:
		return true;
	case RECORD_RESUME:
	case RECORD_STATUS:
	case RECORD_STEER:
		return ix->verdict == RING_STORED;
	default:
		return false;
	}
}

static enum ring_result
deliver_one(struct worker *w, uint64_t gseq)
{
	struct ring_index ix;
	enum ring_result r;
	size_t len;
	bool own;

	if ((r = ring_peek(w->log, w->slot, gseq, &ix)) != RING_OK)
		return r;
	own = ix.incarnation == w->incarnation && ix.arena != RING_SCRIBE_ARENA;
	if (ix.type == RECORD_PROBE) {
		w->probed = w->probed || (own && gseq == w->probe);
		return RING_OK;
	}
	if (!own && !is_for_all(&ix) && !chat_has_room(w->chat, ix.room) &&
	    !ctl_watches(w, ix.room))
		return RING_OK;
	r = ring_read(w->log, w->slot, gseq, w->record, w->record_size, &len);
	if (r == RING_OK)
		deliver_record(w, gseq, &ix, w->record, len, own);
	else if (r == RING_BAD)
		WORKER_COUNT(w, RING_BAD, 1);
	return r;
}

/* Evicted from the log ring, or not admitted yet. */
static void
deliver_rejoin(struct worker *w)
{
	uint64_t pos;

	switch (ring_state(w->log, w->slot)) {
	case RING_EVICTED:
		if (w->log_active) {
			WORKER_COUNT(w, EVICTIONS, 1);
			log_warn("evicted from the log ring cursor=%llu",
			    (unsigned long long)w->log_cursor);
		}
		w->log_active = false;
		FAULT(REJOIN_EVICTED);
		ring_join(w->log, w->slot, w->incarnation);
		break;
	case RING_ACTIVE:
		pos = ring_join_pos(w->log, w->slot);
		if (pos > w->log_cursor)
			ctl_evicted(w, false, pos - w->log_cursor);
		w->log_cursor = pos;
		w->log_active = true;
		/* what is below is in the store: the probe came there */
		if (w->probe != 0 && w->probe < pos)
			w->probed = true;
		if (w->chat != NULL && w->phase != WORKER_STARTING) {
			WORKER_COUNT(w, RESYNCS, 1);
			FAULT(REJOIN_ACTIVE);
			chat_resync(w->chat, pos);
			FAULT(REJOIN_RESYNCED);
			publisher_again(w->publisher, pos);
		} else if (w->chat != NULL) {
			/* it is read before anybody is served */
			steer_load(w->chat);
		}
		break;
	default:
		break;
	}
}

static bool
deliver_log(struct worker *w, uint64_t limit)
{
	unsigned budget = EVENTS_A_TURN;
	enum ring_result r;

	while (w->log_cursor < limit && budget-- > 0 && !output_full(w)) {
		r = deliver_one(w, w->log_cursor);
		if (r == RING_GONE) {
			deliver_rejoin(w);
			return true;
		}
		w->log_cursor++;
	}
	ring_advance(w->log, w->slot, w->log_cursor);
	return w->log_cursor < limit;
}

/*
 * All that is there now, without a budget: the log ring waits for it, and
 * must not wait for what is published meanwhile.  True after an eviction.
 */
static bool
deliver_live_ring(struct worker *w)
{
	enum ring_result r;
	uint64_t limit, from;
	size_t len;

	limit = ring_limit(w->live, w->live_cursor);
	while (w->live_cursor < limit) {
		r = ring_read(w->live, w->slot, w->live_cursor, w->record,
		    w->record_size, &len);
		if (r == RING_GONE) {
			WORKER_COUNT(w, EVICTIONS, 1);
			ring_join(w->live, w->slot, w->incarnation);
			from = w->live_cursor;
			w->live_cursor = ring_join_pos(w->live, w->slot);
			ctl_evicted(w, true, w->live_cursor - from);
			chat_resync_live(w->chat);
			return true;
		}
		if (r == RING_OK)
			deliver_record(w, w->live_cursor, NULL, w->record, len,
			    false);
		w->live_cursor++;
		if (output_full(w))
			output_flush(w);
	}
	FAULT(LIVE_DELIVERED);
	ring_advance(w->live, w->slot, w->live_cursor);
	return false;
}

/* Both live rings, while one follows on another. */
static bool
deliver_live(struct worker *w)
{
	bool evicted;

	do {
		evicted = deliver_live_ring(w);
	} while (!evicted && worker_pass_live(w));
	return evicted;
}

bool
worker_deliver(struct worker *w)
{
	uint64_t durable;
	bool more;

	if (!w->log_active || ring_state(w->log, w->slot) != RING_ACTIVE)
		deliver_rejoin(w);
	worker_pass_log(w);
	durable = w->log_active ? ring_limit(w->log, w->log_cursor) : 0;
	FAULT(DELIVER_TURN);
	more = deliver_live(w);
	if (w->log_active && !more)
		more = deliver_log(w, durable);
	return more;
}

bool
worker_has_events(struct worker *w)
{
	if (worker_may_pass(w))
		return true;
	if (ring_limit(w->live, w->live_cursor) > w->live_cursor)
		return true;
	if (!w->log_active || ring_state(w->log, w->slot) != RING_ACTIVE)
		return ring_state(w->log, w->slot) != RING_JOINING;
	return ring_limit(w->log, w->log_cursor) > w->log_cursor;
}

void
worker_lost(void *arg, const struct chat_event *ev,
    const struct publish_waiter *waiter)
{
	struct worker *w = arg;
	struct chat_delivery d = { .ev = *ev, .own = true };

	d.outcome = CHAT_STORE_UNAVAILABLE;
	if (waiter->number == PUBLISH_CTL) {
		ctl_verdict(w, waiter->request, &d);
		return;
	}
	if ((d.socket = waiting_socket(w, waiter)) == NULL)
		return;
	d.request = waiter->request;
	chat_deliver(w->chat, &d);
}
