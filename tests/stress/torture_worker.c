/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * The tortured worker: publishes in bursts into both rings, reads all of
 * both, catches up from the store when it was evicted, and checks whatever
 * it sees.
 */

#include <sys/prctl.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shm/record.h"
#include "tests/stress/torture.h"

#define BUDGET 256

/* A stream that several readers must see alike. */
struct stream {
	/* the current block is complete from its first position on */
	bool whole;
	uint64_t hash;
};

struct worker {
	const struct torture *t;
	unsigned slot;
	uint32_t incarnation;
	struct wake *wake;
	struct ring *log, *live;
	struct torture_store store;
	void *buf, *rec;

	/* what is next to deliver; not known before the first join */
	uint64_t cursor, live_cursor;
	bool placed, joined;
	struct stream seen, live_seen;

	/* ours: last counters published */
	uint64_t counter, live_counter;
	unsigned left;
	uint64_t pause_until;
	/* there was no space; tell us */
	bool blocked;
	/* how the last sleep ended, if it was one */
	bool woken, timed_out;
	/* last counter seen by author, in this session of the live ring */
	uint64_t *live_last;
	uint64_t *log_last;
};

static unsigned
any(unsigned n)
{
	return (unsigned)rand() % n;
}

static bool
follows(const struct worker *w, uint64_t room)
{
	return (room + w->slot) % 2 == 0;
}

/* --- what has been seen ------------------------------------------------- */

static void
note(struct worker *w, struct stream *s, bool live, uint64_t gseq,
    uint32_t incarnation, uint64_t counter)
{
	struct board *b = w->t->board;

	if (gseq % TORTURE_BLOCK == 0) {
		s->whole = true;
		s->hash = gseq;
	}
	s->hash = torture_mix(torture_mix(s->hash, incarnation), counter);
	if (!s->whole || gseq % TORTURE_BLOCK != TORTURE_BLOCK - 1)
		return;
	if (torture_block(w->t, live ? b->live_block : b->block,
		gseq / TORTURE_BLOCK, s->hash)) {
		if (live)
			b->live_compared++;
		else
			b->compared++;
	}
}

/* Each author's records come in its order and none is missing. */
static void
note_log(struct worker *w, uint64_t gseq, uint32_t incarnation,
    uint64_t counter)
{
	uint64_t *last = &w->log_last[incarnation % TORTURE_AUTHORS];

	if (gseq != w->cursor)
		torture_fail(w->t, "worker: %llu follows %llu",
		    (unsigned long long)gseq,
		    (unsigned long long)w->cursor - 1);
	if (*last != 0 && counter != *last + 1)
		torture_fail(w->t, "worker: %llu: %u wrote %llu after %llu",
		    (unsigned long long)gseq, incarnation,
		    (unsigned long long)counter, (unsigned long long)*last);
	*last = counter;
	note(w, &w->seen, false, gseq, incarnation, counter);
	w->cursor = gseq + 1;
}

static void
note_row(uint64_t gseq, const struct torture_row *row, void *arg)
{
	note_log(arg, gseq, row->incarnation, row->counter);
}

/* --- the live ring ------------------------------------------------------ */

static void
join_live(struct worker *w)
{
	ring_join(w->live, w->slot, w->incarnation);
	w->live_cursor = ring_join_pos(w->live, w->slot);
	w->live_seen.whole = false;
	memset(w->live_last, 0, TORTURE_AUTHORS * sizeof(*w->live_last));
	w->t->board->live_rejoined++;
}

static bool
read_live(struct worker *w)
{
	const struct record *rec = w->buf;
	uint64_t end = ring_limit(w->live, w->live_cursor), *last;
	enum ring_result res = RING_OK;
	bool worked = end > w->live_cursor;
	size_t len;

	for (; w->live_cursor < end; w->live_cursor++) {
		res = ring_read(w->live, w->slot, w->live_cursor, w->buf,
		    ring_max_record(w->live), &len);
		if (res == RING_GONE)
			break;
		if (res != RING_OK || rec->type != RECORD_TYPING)
			torture_fail(w->t, "live %llu: result %d",
			    (unsigned long long)w->live_cursor, res);
		last = &w->live_last[rec->client % TORTURE_AUTHORS];
		if (*last != 0 && rec->user != *last + 1)
			torture_fail(w->t,
			    "live %llu: %u wrote %llu after %llu",
			    (unsigned long long)w->live_cursor, rec->client,
			    (unsigned long long)rec->user,
			    (unsigned long long)*last);
		*last = rec->user;
		note(w, &w->live_seen, true, w->live_cursor, rec->client,
		    rec->user);
	}
	if (res == RING_GONE)
		join_live(w);
	else if (worked)
		ring_advance(w->live, w->slot, w->live_cursor);
	w->t->board->live_cursor[w->slot] = w->live_cursor;
	return worked;
}

/* --- the log ring ------------------------------------------------------- */

/* Admitted: first what the store has and we have not. */
static void
catch_up(struct worker *w)
{
	uint64_t to = ring_join_pos(w->log, w->slot), got;

	w->joined = true;
	if (!w->placed) {
		w->placed = true;
		w->cursor = to;
		return;
	}
	w->t->board->rejoined++;
	got = store_scan(&w->store, w->cursor, to, note_row, w);
	if (got != to)
		torture_fail(w->t, "rejoin: the store ends at %llu, not %llu",
		    (unsigned long long)got, (unsigned long long)to);
}

/* The record itself agrees with what the scribe said about it. */
static enum ring_result
check_record(struct worker *w, const struct ring_index *ix)
{
	const struct record *rec = w->buf;
	enum ring_result res;
	uint64_t live;
	size_t len;

	res = ring_read(w->log, w->slot, w->cursor, w->buf,
	    ring_max_record(w->log), &len);
	if (res == RING_GONE)
		return res;
	if (res != RING_OK || rec->client != ix->incarnation ||
	    rec->user != ix->user || rec->room != ix->room || len != ix->len)
		torture_fail(w->t, "log %llu: result %d, not what was decided",
		    (unsigned long long)w->cursor, res);
	/* durable first, then all of the live ring, then this: what its
	 * author said in the live ring before has been seen */
	live = w->live_last[rec->client % TORTURE_AUTHORS];
	if (live != 0 && (uint32_t)live < rec->request)
		torture_fail(w->t, "log %llu: live %u of author %u not seen",
		    (unsigned long long)w->cursor, rec->request, rec->client);
	return res;
}

static bool
deliver(struct worker *w, uint64_t limit)
{
	unsigned budget = BUDGET;
	struct ring_index ix;
	enum ring_result res = RING_OK;
	uint64_t from = w->cursor;

	while (w->cursor < limit && budget-- > 0) {
		res = ring_peek(w->log, w->slot, w->cursor, &ix);
		if (res == RING_OK &&
		    (follows(w, ix.room) || ix.incarnation == w->incarnation))
			res = check_record(w, &ix);
		if (res != RING_OK)
			break;
		if (ix.incarnation == w->incarnation)
			w->t->board->acked[w->incarnation] = ix.user;
		note_log(w, w->cursor, ix.incarnation, ix.user);
	}
	if (res == RING_BAD || res == RING_EMPTY)
		torture_fail(w->t, "log %llu below %llu: result %d",
		    (unsigned long long)w->cursor, (unsigned long long)limit,
		    res);
	if (res == RING_OK && w->cursor > from)
		ring_advance(w->log, w->slot, w->cursor);
	w->t->board->cursor[w->slot] = w->cursor;
	return w->cursor > from;
}

static bool
read_both(struct worker *w)
{
	uint64_t limit;
	bool worked;

	switch (ring_state(w->log, w->slot)) {
	case RING_FREE:
	case RING_DEAD:
	case RING_EVICTED:
		w->joined = false;
		ring_join(w->log, w->slot, w->incarnation);
		break;
	case RING_JOINING:
		break;
	case RING_ACTIVE:
		if (!w->joined)
			catch_up(w);
		limit = ring_limit(w->log, w->cursor);
		worked = read_live(w);
		return deliver(w, limit) || worked;
	}
	return read_live(w);
}

/* --- publishing -------------------------------------------------------- */

static bool
publish_live(struct worker *w)
{
	uint64_t gseq;
	size_t len;

	len = torture_record(w->rec, ring_max_record(w->live), RECORD_TYPING,
	    1 + any(TORTURE_ROOMS), w->incarnation, w->live_counter + 1, 0,
	    any(200));
	if (ring_publish(w->live, w->rec, len, &gseq) == -1)
		return false;
	w->live_counter++;
	w->t->board->live_published++;
	return true;
}

/* Mostly small, sometimes as large as it may be. */
static size_t
any_size(struct worker *w)
{
	size_t most = ring_max_record(w->log) - 128;

	return any(50) == 0 ? any((unsigned)most) : any(600);
}

static bool
publish_log(struct worker *w)
{
	struct board *b = w->t->board;
	uint64_t newest = b->newest, gseq;
	size_t len;

	len = torture_record(w->rec, ring_max_record(w->log), RECORD_MESSAGE,
	    1 + any(TORTURE_ROOMS), w->incarnation, w->counter + 1,
	    (uint32_t)w->live_counter, any_size(w));
	b->attempted[w->incarnation] = w->counter + 1;
	if (ring_publish(w->log, w->rec, len, &gseq) == -1) {
		if (errno != EAGAIN)
			torture_fail(w->t, "ring_publish: errno %d", errno);
		b->attempted[w->incarnation] = w->counter;
		b->full++;
		ring_want_space(w->log, w->slot);
		w->blocked = true;
		w->woken = w->timed_out = false;
		return false;
	}
	if (w->blocked && w->timed_out && w->t->calm)
		torture_fail(w->t, "worker: there is space and nobody said so");
	w->blocked = false;
	w->counter++;
	/* real time: what had been published when we began is before us */
	if (newest != 0 && gseq <= newest)
		torture_fail(w->t, "%llu begun after %llu had been published",
		    (unsigned long long)gseq, (unsigned long long)newest);
	torture_max(&b->newest, gseq);
	return true;
}

static bool
publish_some(struct worker *w)
{
	unsigned n;

	if (w->t->board->phase != TORTURE_RUN ||
	    (w->left == 0 && torture_now() < w->pause_until))
		return false;
	if (w->blocked && !w->woken && !w->timed_out)
		return false;
	if (w->left == 0)
		w->left = 1 + any(400);
	for (n = 0; n < 16 && w->left > 0; n++, w->left--) {
		if (any(3) == 0)
			(void)publish_live(w);
		if (!publish_log(w))
			return n > 0;
	}
	if (w->left == 0 && w->t->pause_us > 0)
		w->pause_until =
		    torture_now() + any(2 * w->t->pause_us) * 1000ull;
	return true;
}

/* --- sleeping ---------------------------------------------------------- */

/* Our time is over and nobody woke us: is there a record for us, of ours or
 * in a room we follow, that became durable long ago? */
static void
check_wake(struct worker *w)
{
	uint64_t limit, n, when;
	struct ring_index ix;

	if (!w->t->calm || !w->joined ||
	    ring_state(w->log, w->slot) != RING_ACTIVE)
		return;
	limit = ring_limit(w->log, w->cursor);
	for (n = w->cursor; n < limit; n++) {
		if (ring_peek(w->log, w->slot, n, &ix) != RING_OK ||
		    (!follows(w, ix.room) && ix.incarnation != w->incarnation))
			continue;
		when = w->t->board->durable_ns[n % TORTURE_TIMES];
		if (torture_now() - when > TORTURE_LATE_NS)
			torture_fail(w->t, "worker: wake-up lost at %llu",
			    (unsigned long long)n);
	}
}

static bool
has_work(struct worker *w)
{
	enum ring_state state = ring_state(w->log, w->slot);

	if (w->t->board->phase == TORTURE_EXIT)
		return true;
	if (ring_limit(w->live, w->live_cursor) > w->live_cursor)
		return true;
	if (state == RING_ACTIVE)
		return !w->joined || ring_limit(w->log, w->cursor) > w->cursor;
	return state != RING_JOINING;
}

static void
rest(struct worker *w)
{
	uint64_t now = torture_now();
	unsigned ms = torture_tick(w->t), pause;

	if (w->t->board->phase == TORTURE_RUN && !w->blocked &&
	    w->pause_until > now) {
		pause = 1 + (unsigned)((w->pause_until - now) / 1000000);
		ms = pause < ms ? pause : ms;
	}
	w->woken = w->timed_out = false;
	wake_prepare(w->wake, w->slot);
	if (!has_work(w)) {
		w->woken = torture_sleep(w->t, w->slot, ms);
		w->timed_out = !w->woken;
		if (w->timed_out)
			check_wake(w);
	}
	wake_cancel(w->wake, w->slot);
}

/* --- life -------------------------------------------------------------- */

static void
worker_init(struct worker *w, unsigned log_arena, unsigned live_arena)
{
	const struct torture *t = w->t;
	uint64_t room;

	w->wake = torture_wake(t);
	w->log = torture_attach(t, t->log_mem, t->log_size, w->wake);
	w->live = torture_attach(t, t->live_mem, t->live_size, w->wake);
	ring_follow_interest(w->live, w->log);
	ring_producer_init(w->log, log_arena);
	ring_producer_init(w->live, live_arena);
	if (ring_protect(w->log, log_arena) == -1 ||
	    ring_protect(w->live, live_arena) == -1)
		torture_fail(t, "ring_protect");
	w->buf = aligned_alloc(8, ring_max_record(w->log));
	w->rec = aligned_alloc(8, ring_max_record(w->log));
	w->live_last = calloc(TORTURE_AUTHORS, sizeof(*w->live_last));
	w->log_last = calloc(TORTURE_AUTHORS, sizeof(*w->log_last));
	if (w->buf == NULL || w->rec == NULL || w->live_last == NULL ||
	    w->log_last == NULL)
		torture_fail(t, "out of memory");
	store_open(&w->store, t, false);
	for (room = 1; room <= TORTURE_ROOMS; room++)
		if (follows(w, room))
			ring_interest(w->log, w->slot, room, true);
	ring_join(w->log, w->slot, w->incarnation);
	join_live(w);
}

static void
scribble(struct worker *w)
{
	static _Atomic uint64_t *hint;

	/* the third of the control lines, see shm/ring_impl.h */
	if (hint == NULL)
		hint = (_Atomic uint64_t *)(void *)((char *)w->t->log_mem +
		    4096 + 2 * 128);
	*hint = any(2) == 0 ? w->cursor + any(64) : (uint64_t)rand() << any(33);
}

void
worker_run(const struct torture *t, unsigned slot, uint32_t incarnation,
    unsigned log_arena, unsigned live_arena, unsigned seed)
{
	struct worker w = { .t = t, .slot = slot, .incarnation = incarnation };
	bool worked;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	srand(seed);
	worker_init(&w, log_arena, live_arena);
	while (t->board->phase != TORTURE_EXIT) {
		worked = read_both(&w);
		if (t->scribble && any(4) == 0)
			scribble(&w);
		if (publish_some(&w))
			worked = true;
		if (!worked)
			rest(&w);
	}
	_exit(0);
}
