/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * The scribe's side of the log ring: fetch, decide, make readable, and keep
 * the gate: who may read, and what is free to be written again.
 */

#include <string.h>

#include "common/log.h"
#include "shm/record.h"
#include "shm/ring.h"
#include "shm/ring_impl.h"

/* A consumer that holds others up and does not move is given this long after
 * it was woken. */
#define RING_PATIENCE_NS 250000000u

/* --- sequencing -------------------------------------------------------- */

bool
ring_published(const struct ring *r, uint64_t gseq)
{
	return ring_core_is_taken(&r->core, gseq);
}

enum ring_result
ring_fetch(struct ring *r, uint64_t gseq, void *buf, size_t size, size_t *len_r,
    struct ring_index *ix_r)
{
	uint64_t word, owner = 0;
	const struct record *rec = buf;
	struct ring_index ix = { 0 };
	unsigned arena;
	size_t len;

	CHECK(size >= r->max_record && (uintptr_t)buf % sizeof(word) == 0);
	if (!ring_core_is_published(&r->core, gseq) &&
	    !ring_core_repair(&r->core, gseq) &&
	    !ring_core_is_published(&r->core, gseq))
		return RING_EMPTY;
	word = A_LOAD(&r->core.slot[gseq & r->core.mask], O_SLOT_SEEN);
	arena = (unsigned)(word >> 24 & 0xff);
	ix.word = word;
	ix.arena = (uint8_t)arena;
	if (arena < r->geo.narenas)
		owner = A_LOAD(&r->arena_table[arena].owner, A_ACQUIRE);
	ix.incarnation = ring_owner_incarnation(owner);
	if (!ring_copy(r, word, buf, &len) || !record_intact(buf, len)) {
		*ix_r = ix;
		return RING_BAD;
	}
	ix.type = rec->type;
	ix.len = rec->len;
	ix.room = rec->room;
	ix.user = rec->user;
	*ix_r = ix;
	*len_r = len;
	return RING_OK;
}

void
ring_decide(struct ring *r, uint64_t gseq, const struct ring_index *ix)
{
	a_u64 *dst = &r->index[(gseq & r->core.mask) * RING_INDEX_WORDS];
	const char *src = (const char *)ix;

	CHECK(
	    gseq >= ring_durable_seq(r) && gseq - ring_free_seq(r) < r->core.n);
	/* an evicted reader may still be looking at the last lap's entry */
	A_FENCE(O_WRITE_FENCE);
	ring_core_write(dst, src, RING_INDEX_WORDS / 2);
	FAULT(DECIDE_HALF);
	ring_core_write(dst + RING_INDEX_WORDS / 2, src + sizeof(*ix) / 2,
	    RING_INDEX_WORDS / 2);
}

/* Who is to be told about position 'gseq': its author, and who follows the
 * room. */
static uint64_t
ring_audience(const struct ring *r, uint64_t gseq)
{
	struct ring_index ix;
	uint64_t mask = 0, owner;

	ring_core_read(&ix, &r->index[(gseq & r->core.mask) * RING_INDEX_WORDS],
	    RING_INDEX_WORDS);
	if (ix.room != 0)
		mask = A_LOAD(ring_interest_word(r, ix.room), O_WANT);
	if (ix.arena < r->geo.narenas) {
		owner = A_LOAD(&r->arena_table[ix.arena].owner, A_ACQUIRE);
		if (ring_owner_slot(owner) < RING_MAX_CONSUMERS)
			mask |= ring_bit(ring_owner_slot(owner));
	}
	return mask;
}

void
ring_durable(struct ring *r, uint64_t from, uint64_t next)
{
	uint64_t was = ring_durable_seq(r), mask = 0, sleepers;

	CHECK(from <= next && was <= next &&
	    next - ring_free_seq(r) <= r->core.n);
	FAULT(BEFORE_DURABLE);
	A_STORE(&r->control->durable_seq.v, next, O_DURABLE);
	FAULT(AFTER_DURABLE);
	if (r->wake == NULL)
		return;
	/* partner: the worker's ring_limit() between wake_prepare() and sleep */
	sleepers = wake_sleepers(r->wake);
	for (; from < next && (sleepers & ~mask) != 0; from++)
		mask |= ring_audience(r, from);
	if ((sleepers & mask) != 0)
		wake_workers(r->wake, mask);
}

/* --- the gate ---------------------------------------------------------- */

bool
ring_space_wanted(const struct ring *r)
{
	return A_LOAD(&r->control->space_wait.v, O_WANT) != 0;
}

bool
ring_join_wanted(const struct ring *r)
{
	return A_LOAD(&r->control->joining.v, O_WANT) != 0;
}

static void
ring_wake_slot(struct ring *r, unsigned slot)
{
	if (r->wake != NULL)
		(void)wake_one(r->wake, slot);
}

/* Who asks to join is let in at 'next'. */
static void
gate_admit(struct ring *r, uint64_t next)
{
	struct ring_gatekeeper *g = &r->gate;
	struct ring_consumer *k;
	uint64_t mask = 0, word;
	unsigned i;

	if (ring_join_wanted(r))
		mask = A_SWAP(&r->control->joining.v, 0, O_WANT);
	if (!g->started) {
		/* our predecessor may have died with a mask in its hands */
		g->started = true;
		g->members = ~(uint64_t)0;
		mask = ~(uint64_t)0;
	}
	for (; mask != 0; mask &= mask - 1) {
		i = (unsigned)__builtin_ctzll(mask);
		k = &r->core.consumer[i];
		word = A_LOAD(&k->state, O_STATE_SEEN);
		if (ring_state_of(word) != RING_JOINING ||
		    !ring_core_admit(k, word, next))
			continue;
		g->members |= ring_bit(i);
		g->watch[i].stuck = false;
		ring_wake_slot(r, i);
	}
}

static bool
gate_evict(struct ring *r, unsigned i, uint64_t word)
{
	if (!ring_core_evict(&r->core.consumer[i], word))
		return false;
	FAULT(EVICTED);
	(void)A_ADD(&r->control->evictions.v, 1, A_RELAXED);
	ring_wake_slot(r, i);
	return true;
}

/*
 * Has consumer 'i', which holds others up at 'cursor', stood there for too
 * long?  The clock starts when it is woken, not before.
 */
static bool
gate_is_stuck(struct ring *r, unsigned i, uint64_t cursor, uint64_t now_ns)
{
	struct ring_watch *w = &r->gate.watch[i];

	if (w->stuck && w->cursor == cursor)
		return now_ns - w->since_ns >= RING_PATIENCE_NS;
	w->stuck = true;
	w->cursor = cursor;
	w->since_ns = now_ns;
	ring_wake_slot(r, i);
	return false;
}

/* What one turn of the gate knows. */
struct gate_turn {
	uint64_t next, free, used, now_ns;
	bool wanted;
	unsigned evicted;
	/* the slowest consumer: its state word and its cursor */
	unsigned slowest;
	uint64_t word, min;
	/* who is behind */
	uint64_t behind;
};

/* One look at one consumer. */
static void
gate_look(struct ring *r, struct gate_turn *t, unsigned i)
{
	struct ring_consumer *k = &r->core.consumer[i];
	bool pressure = t->wanted || t->used > r->core.n / 4 * 3;
	uint64_t word = A_LOAD(&k->state, O_STATE_SCAN), cursor;

	if (ring_state_of(word) != RING_ACTIVE) {
		r->gate.members &= ~ring_bit(i);
		r->gate.watch[i].stuck = false;
		return;
	}
	cursor = A_LOAD(&k->cursor, O_CURSOR_SEEN);
	if (cursor >= t->next) {
		r->gate.watch[i].stuck = false;
		return;
	}
	if (!pressure)
		r->gate.watch[i].stuck = false;
	else if (gate_is_stuck(r, i, cursor, t->now_ns) &&
	    gate_evict(r, i, word)) {
		t->evicted++;
		r->gate.members &= ~ring_bit(i);
		return;
	}
	t->behind |= ring_bit(i);
	if (cursor < t->min) {
		t->min = cursor;
		t->slowest = i;
		t->word = word;
	}
}

/*
 * The smallest cursor, after throwing out who has to go: whoever stood still
 * for too long while space is wanted, and when all but 1/8 is used the
 * slowest, if it is more than half a ring behind.
 */
static void
gate_survey(struct ring *r, struct gate_turn *t)
{
	uint64_t mask;

	for (;;) {
		t->min = t->next;
		t->behind = 0;
		for (mask = r->gate.members; mask != 0; mask &= mask - 1)
			gate_look(r, t, (unsigned)__builtin_ctzll(mask));
		if (t->used <= r->core.n / 8 * 7 ||
		    t->next - t->min <= r->core.n / 2)
			return;
		if (!gate_evict(r, t->slowest, t->word))
			return;
		t->evicted++;
	}
}

/*
 * Tell who waits for space: when there is more of it, and also when nothing
 * is in use at all, for it may have asked just after the last raise.
 */
static void
gate_tell_space(struct ring *r, const struct gate_turn *t, bool moved)
{
	uint64_t mask;

	if (!t->wanted || (!moved && t->min != r->gate.end))
		return;
	mask = A_SWAP(&r->control->space_wait.v, 0, O_WANT);
	FAULT(SPACE_TAKEN);
	if (r->wake != NULL)
		wake_workers(r->wake, mask);
}

unsigned
ring_gate(struct ring *r, uint64_t now_ns)
{
	struct gate_turn t = { .now_ns = now_ns };
	bool moved = false;

	t.next = ring_durable_seq(r);
	t.free = ring_free_seq(r);
	gate_admit(r, t.next);
	if (r->gate.end < t.next)
		r->gate.end = t.next;
	r->gate.end = ring_core_end(&r->core, r->gate.end);
	t.used = r->gate.end - t.free;
	t.wanted = ring_space_wanted(r);
	gate_survey(r, &t);
	if (r->wake != NULL && t.used > r->core.n / 4)
		wake_workers(r->wake, t.behind);
	if (t.min > t.free) {
		FAULT(BEFORE_RAISE);
		A_STORE(r->core.free_seq, t.min, O_FREE_RAISE);
		moved = true;
	}
	gate_tell_space(r, &t, moved);
	return t.evicted;
}
