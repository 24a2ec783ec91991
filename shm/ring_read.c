/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * Consumers: joining, reading, moving on.
 */

#include <string.h>

#include "common/log.h"
#include "shm/record.h"
#include "shm/ring.h"
#include "shm/ring_impl.h"

/* --- membership -------------------------------------------------------- */

static struct ring_consumer *
ring_consumer(const struct ring *r, unsigned slot)
{
	CHECK(slot < RING_MAX_CONSUMERS);
	return &r->core.consumer[slot];
}

/* The state word of the next session. */
static uint64_t
ring_next_session(uint64_t word, uint32_t incarnation, enum ring_state state)
{
	uint64_t session = (word + RING_SESSION_ONE) & RING_SESSION_MASK;

	return (uint64_t)incarnation << 32 | session | (uint64_t)state;
}

static void
ring_join_log(struct ring *r, unsigned slot, uint32_t incarnation)
{
	struct ring_consumer *k = ring_consumer(r, slot);
	uint64_t word = A_LOAD(&k->state, O_STATE_SEEN), joining;

	do {
		joining = ring_next_session(word, incarnation, RING_JOINING);
	} while (!A_CAS(&k->state, &word, joining, O_STATE_JOIN));
	r->active = ring_state_word(joining, RING_ACTIVE);
	FAULT(JOIN_WANTED);
	(void)A_OR(&r->control->joining.v, ring_bit(slot), O_WANT);
	if (r->wake != NULL)
		(void)wake_one(r->wake, WAKE_SCRIBE);
}

/* Whoever was stopped while joining may find itself evicted already. */
static void
ring_join_live(struct ring *r, unsigned slot, uint32_t incarnation)
{
	struct ring_consumer *k = ring_consumer(r, slot);
	uint64_t word;

	do {
		word = A_LOAD(&k->state, O_STATE_SEEN);
		r->active = ring_next_session(word, incarnation, RING_ACTIVE);
		(void)ring_core_join(&r->core, k, r->active);
	} while (A_LOAD(&k->state, O_STATE_SEEN) != r->active);
}

void
ring_join(struct ring *r, unsigned slot, uint32_t incarnation)
{
	if (r->geo.kind == RING_LOG)
		ring_join_log(r, slot, incarnation);
	else
		ring_join_live(r, slot, incarnation);
}

void
ring_quit(struct ring *r, unsigned slot)
{
	struct ring_consumer *k = ring_consumer(r, slot);
	uint64_t word = A_LOAD(&k->state, O_STATE_SEEN);

	while (!A_CAS(&k->state, &word, ring_state_word(word, RING_FREE),
	    O_STATE_JOIN))
		continue;
	r->active = RING_NO_SESSION;
	if (r->geo.kind == RING_LOG && r->wake != NULL)
		(void)wake_one(r->wake, WAKE_SCRIBE);
}

enum ring_state
ring_state(const struct ring *r, unsigned slot)
{
	uint64_t word = A_LOAD(&ring_consumer(r, slot)->state, O_STATE_SCAN);

	switch (ring_state_of(word)) {
	case RING_JOINING:
		return RING_JOINING;
	case RING_ACTIVE:
		return RING_ACTIVE;
	case RING_EVICTED:
		return RING_EVICTED;
	case RING_DEAD:
		return RING_DEAD;
	}
	return RING_FREE;
}

uint64_t
ring_join_pos(const struct ring *r, unsigned slot)
{
	return A_LOAD(&ring_consumer(r, slot)->join_pos, A_RELAXED);
}

/* --- reading ----------------------------------------------------------- */

uint64_t
ring_limit(struct ring *r, uint64_t cursor)
{
	if (r->geo.kind == RING_LIVE)
		return ring_end_from(r, cursor);
	r->limit = A_LOAD(&r->control->durable_seq.v, O_DURABLE_RECHECK);
	return r->limit;
}

static bool
ring_below_limit(struct ring *r, uint64_t gseq)
{
	if (gseq < r->limit)
		return true;
	r->limit = ring_durable_seq(r);
	return gseq < r->limit;
}

static a_u64 *
ring_index_entry(const struct ring *r, uint64_t gseq)
{
	return &r->index[(gseq & r->core.mask) * RING_INDEX_WORDS];
}

/*
 * Every number that comes out of shared memory is bounded before it is used,
 * and used as it was bounded: the length is loaded once.
 */
bool
ring_copy(const struct ring *r, uint64_t word, void *buf, size_t *len_r)
{
	unsigned arena = (unsigned)(word >> 24 & 0xff);
	size_t at = (size_t)(word & 0xffffff) * RING_GRANULE, words, half;
	uint32_t len;
	uint64_t first;
	a_u64 *src;

	if (arena >= r->geo.narenas ||
	    at > r->geo.arena_bytes - sizeof(struct record))
		return false;
	src = (a_u64 *)(void *)(r->mem + r->at.arenas + arena * r->at.stride +
	    at);
	first = A_LOAD(src, O_COPY);
	memcpy(&len, &first, sizeof(len));
	if (len < sizeof(struct record) || len > r->max_record ||
	    len > r->geo.arena_bytes - at)
		return false;
	words = (len + sizeof(first) - 1) / sizeof(first);
	half = words / 2;
	ring_core_read(buf, src, half);
	FAULT(READ_HALF);
	ring_core_read((char *)buf + half * sizeof(first), src + half,
	    words - half);
	FAULT(READ_DONE);
	*len_r = len;
	return true;
}

enum ring_result
ring_peek(struct ring *r, unsigned slot, uint64_t gseq, struct ring_index *ix_r)
{
	struct ring_index ix;

	if (!ring_below_limit(r, gseq))
		return RING_EMPTY;
	ring_core_read(&ix, ring_index_entry(r, gseq), RING_INDEX_WORDS);
	if (!ring_core_still(ring_consumer(r, slot), r->active))
		return RING_GONE;
	if (ring_word_tag(ix.word) != ring_lap(&r->core, gseq) + 1)
		return RING_BAD;
	*ix_r = ix;
	return RING_OK;
}

/* The slot word at 'gseq'; RING_BAD if there is nothing that fits. */
static enum ring_result
ring_find(struct ring *r, uint64_t gseq, uint64_t *word_r)
{
	uint64_t word;

	if (r->geo.kind == RING_LOG) {
		if (!ring_below_limit(r, gseq))
			return RING_EMPTY;
		word = A_LOAD(ring_index_entry(r, gseq) +
			offsetof(struct ring_index, word) / sizeof(uint64_t),
		    O_COPY);
	} else {
		word = A_LOAD(&r->core.slot[gseq & r->core.mask], O_SLOT_SEEN);
		if (ring_word_tag(word) == ring_lap(&r->core, gseq))
			return RING_EMPTY;
	}
	*word_r = word;
	return ring_word_tag(word) == ring_lap(&r->core, gseq) + 1 ? RING_OK
								   : RING_BAD;
}

enum ring_result
ring_read(struct ring *r, unsigned slot, uint64_t gseq, void *buf, size_t size,
    size_t *len_r)
{
	enum ring_result res;
	uint64_t word;
	size_t len;

	CHECK(size >= r->max_record && (uintptr_t)buf % sizeof(word) == 0);
	res = ring_find(r, gseq, &word);
	if (res == RING_OK && !ring_copy(r, word, buf, &len))
		res = RING_BAD;
	if (!ring_core_still(ring_consumer(r, slot), r->active))
		return RING_GONE;
	if (res == RING_OK && !record_intact(buf, len))
		res = RING_BAD;
	if (res == RING_OK)
		*len_r = len;
	else if (res == RING_BAD && r->geo.kind == RING_LIVE)
		(void)ring_core_repair(&r->core, gseq);
	return res;
}

void
ring_advance(struct ring *r, unsigned slot, uint64_t cursor)
{
	struct ring_consumer *k = ring_consumer(r, slot);

	FAULT(CURSOR);
	/* while JOINING the cursor is the scribe's */
	if (A_LOAD(&k->state, O_STATE_CHECK) == r->active)
		A_STORE(&k->cursor, cursor, O_CURSOR);
}

void
ring_interest(struct ring *r, unsigned slot, uint64_t room, bool on)
{
	a_u64 *word = ring_interest_word(r, room);
	uint32_t *rooms;

	CHECK(r->geo.kind == RING_LOG && slot < RING_MAX_CONSUMERS);
	if (r->mirror != NULL)
		ring_interest(r->mirror, slot, room, on);
	rooms = &r->rooms[word - r->interest];
	if (on) {
		if ((*rooms)++ == 0)
			(void)A_OR(word, ring_bit(slot), O_WANT);
		return;
	}
	CHECK(*rooms > 0);
	if (--*rooms == 0)
		(void)A_AND(word, ~ring_bit(slot), O_WANT);
}
