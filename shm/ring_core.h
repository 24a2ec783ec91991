/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * ring_core - the algorithms of the ring, without its surroundings.
 *
 * Everything here that touches shared memory goes through shm/atomic.h with
 * an order from shm/order.h, so that the very same lines run in production
 * and under Relacy (tests/model/ring_relacy.cc), which compiles them as C++.
 * The prose of the argument is in HACKING.md.
 */

#ifndef SHM_RING_CORE_H
#define SHM_RING_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "shm/atomic.h"
#include "common/fault.h"
#include "shm/order.h"

/* The arena of a word that refers to nothing. */
#define RING_NO_ARENA 0xff
/* ... and of the word that ends a ring: see ring_core_close(). */
#define RING_END_ARENA 0xfe

/*
 * A consumer's state word: incarnation:32 | session:24 | state:8.  Each join
 * is another session, so that a compare-and-swap that was prepared for one
 * session cannot hit the next.
 */
#define RING_STATE_MASK 0xffu
#define RING_SESSION_ONE 0x100u
#define RING_SESSION_MASK 0xffffff00u

/* The numbers of enum ring_state, for the models, which have no ring.h. */
#define RING_CORE_JOINING 1
#define RING_CORE_ACTIVE 2
#define RING_CORE_EVICTED 3

struct ring_line {
	a_u64 v;
	char pad[A_LINE - sizeof(uint64_t)];
};

struct ring_consumer {
	a_u64 state;
	a_u64 cursor;
	a_u64 join_pos;
	char pad[A_LINE - 3 * sizeof(uint64_t)];
};

/* What the algorithms need of a ring; private to each process. */
struct ring_core {
	a_u64 *slot;
	a_u64 *free_seq;
	a_u64 *hint;
	struct ring_consumer *consumer;
	unsigned nconsumers;
	unsigned log2_slots;
	/* number of slots, and that less one */
	uint64_t n, mask;
};

enum ring_core_result {
	RING_CORE_PUBLISHED,
	RING_CORE_FULL,
	/* nothing is published here any more */
	RING_CORE_CLOSED,
	/* closing only: too much has been published meanwhile */
	RING_CORE_LATE,
	/* the words of the ring make no sense, or all luck is gone */
	RING_CORE_STUCK,
};

static inline uint32_t
ring_word_tag(uint64_t word)
{
	return (uint32_t)(word >> 32);
}

static inline unsigned
ring_word_arena(uint64_t word)
{
	return (unsigned)(word >> 24 & 0xff);
}

static inline uint32_t
ring_lap(const struct ring_core *c, uint64_t pos)
{
	return (uint32_t)(pos >> c->log2_slots);
}

static inline uint64_t
ring_word(uint32_t tag, unsigned arena, uint32_t granule)
{
	return (uint64_t)tag << 32 | (uint64_t)arena << 24 | granule;
}

static inline uint64_t
ring_state_word(uint64_t word, unsigned state)
{
	return (word & ~(uint64_t)RING_STATE_MASK) | state;
}

static inline unsigned
ring_state_of(uint64_t word)
{
	return (unsigned)(word & RING_STATE_MASK);
}

/* --- what is published ------------------------------------------------- */

/* Is 'w', read at 'pos', the word that ends the ring? */
static inline bool
ring_core_ends(const struct ring_core *c, uint64_t pos, uint64_t w)
{
	return ring_word_tag(w) == ring_lap(c, pos) + 1 &&
	    ring_word_arena(w) == RING_END_ARENA;
}

/* The end of a closed ring is no record: nobody steps over it. */
static inline bool
ring_core_is_published(const struct ring_core *c, uint64_t pos)
{
	uint64_t w = A_LOAD(&c->slot[pos & c->mask], O_SLOT_SEEN);

	return ring_word_tag(w) == ring_lap(c, pos) + 1 &&
	    ring_word_arena(w) != RING_END_ARENA;
}

/*
 * Is there anything at 'pos', be it a record, a later lap, or nonsense?
 * Consumers walk by this, so that a scribbled word is met and reported
 * instead of being waited for.  Sequentially consistent.
 */
static inline bool
ring_core_is_taken(const struct ring_core *c, uint64_t pos)
{
	uint64_t w = A_LOAD(&c->slot[pos & c->mask], O_SLOT_RECHECK);

	return ring_word_tag(w) != ring_lap(c, pos) &&
	    !ring_core_ends(c, pos, w);
}

/* Does the ring end at 'pos'?  Sequentially consistent. */
static inline bool
ring_core_is_closed(const struct ring_core *c, uint64_t pos)
{
	return ring_core_ends(c, pos,
	    A_LOAD(&c->slot[pos & c->mask], O_SLOT_RECHECK));
}

/*
 * The first position from 'pos' on where nothing is.  Never further than one
 * round, which nobody can be behind.
 */
static inline uint64_t
ring_core_end(const struct ring_core *c, uint64_t pos)
{
	uint64_t stop = pos + c->n;

	while (pos < stop && ring_core_is_taken(c, pos))
		pos++;
	return pos;
}

/*
 * The word at 'pos' seemed neither empty nor published in this lap.  If
 * free_seq, loaded after the word, still allows only this lap here, then the
 * word is scribbled: that of the next lap can stand here only after free_seq
 * has passed 'pos', and whoever acquires that word sees that free_seq.  Make
 * it a published nothing, which consumers report as RING_BAD and pass.
 */
static inline bool
ring_core_repair(const struct ring_core *c, uint64_t pos)
{
	uint64_t w = A_LOAD(&c->slot[pos & c->mask], O_SLOT_SEEN);
	uint32_t lap = ring_lap(c, pos);

	if (ring_word_tag(w) == lap || ring_word_tag(w) == lap + 1)
		return false;
	if (pos < A_LOAD(c->free_seq, O_FREE_SEEN))
		return false;
	return A_CAS(&c->slot[pos & c->mask], &w,
	    ring_word(lap + 1, RING_NO_ARENA, 0), O_SLOT_PUBLISH);
}

/* --- producers --------------------------------------------------------- */

/* Slots in a cache line; the hint moves and is asked once a line. */
#define RING_HINT_STEP 8

/*
 * 'pos' and many before it are taken: skip to where the hint says, if that
 * is further on.  The hint is anybody's last word and may be old or
 * scribbled: it is believed only if the position before it is published,
 * for else it would leave a hole.
 */
static inline uint64_t
ring_core_skip(const struct ring_core *c, uint64_t pos, uint64_t free)
{
	uint64_t hint = A_LOAD(c->hint, O_HINT);

	if (hint > pos && hint - free <= c->n &&
	    ring_core_is_published(c, hint - 1))
		return hint;
	return pos;
}

/* Is position 'pos' ours?  *w_r is the word that stood there. */
static inline bool
ring_core_claim(const struct ring_core *c, uint64_t pos, unsigned arena,
    uint32_t granule, uint64_t *w_r)
{
	a_u64 *slot = &c->slot[pos & c->mask];
	uint32_t lap = ring_lap(c, pos);

	*w_r = A_LOAD(slot, O_SLOT_SEEN);
	if (ring_word_tag(*w_r) != lap)
		return false;
	FAULT(BEFORE_CAS);
	if (!A_CAS(slot, w_r, ring_word(lap + 1, arena, granule),
		O_SLOT_PUBLISH))
		return false;
	FAULT(AFTER_CAS);
	if (pos % RING_HINT_STEP == RING_HINT_STEP - 1)
		A_STORE(c->hint, pos + 1, O_HINT);
	return true;
}

/*
 * Put what 'arena' and 'granule' refer to at the first empty position, if
 * that is below 'below'.  'pos' is where to begin: all below it is known to
 * be published (the caller's last position plus one), or 0.  *pos_r is the
 * position won; if the ring is full or closed, the position that would have
 * been next, all below which is published, and *free_r the free_seq that
 * forbade it.
 *
 * No hole: 'pos' steps over a position only after it was seen published, or
 * because it is below free_seq.  Lock-free: a CAS fails only because that of
 * another succeeded.  The bound on the tries is for scribbled memory.
 */
static inline enum ring_core_result
ring_core_append(const struct ring_core *c, unsigned arena, uint32_t granule,
    uint64_t pos, uint64_t below, uint64_t *pos_r, uint64_t *free_r)
{
	uint64_t tries, free, w;

	for (tries = 1; tries < 8 * c->n + 64; tries++) {
		free = A_LOAD(c->free_seq, O_FREE_SEEN);
		if (pos < free)
			pos = free;
		*pos_r = pos;
		*free_r = free;
		if (pos - free >= c->n)
			return RING_CORE_FULL;
		if (pos >= below)
			return RING_CORE_LATE;
		if (ring_core_claim(c, pos, arena, granule, &w))
			return RING_CORE_PUBLISHED;
		if (ring_core_ends(c, pos, w))
			return RING_CORE_CLOSED;
		if (ring_word_tag(w) == ring_lap(c, pos) + 1)
			pos++;
		else
			(void)ring_core_repair(c, pos);
		if (tries % RING_HINT_STEP == 0)
			pos = ring_core_skip(c, pos, free);
	}
	return RING_CORE_STUCK;
}

/* Publish a record; as above. */
static inline enum ring_core_result
ring_core_publish(const struct ring_core *c, unsigned arena, uint32_t granule,
    uint64_t pos, uint64_t *pos_r, uint64_t *free_r)
{
	return ring_core_append(c, arena, granule, pos, UINT64_MAX, pos_r,
	    free_r);
}

/*
 * End the ring at the first empty position, if that is below 'below': the
 * same compare-and-swap as any record's.  Whatever is published is before
 * it, for ever, and who comes later is told RING_CORE_CLOSED: so what it
 * publishes elsewhere is behind all of this ring.
 */
static inline enum ring_core_result
ring_core_close(const struct ring_core *c, uint64_t below, uint64_t *pos_r,
    uint64_t *free_r)
{
	return ring_core_append(c, RING_END_ARENA, 0, 0, below, pos_r, free_r);
}

/* --- copies that may race with the next writer -------------------------- */

static inline uint64_t
ring_core_word(const char *p)
{
	uint64_t w;

	memcpy(&w, p, sizeof(w));
	return w;
}

/*
 * 'n' words into an arena or the index, four at a time: so the loads do not
 * wait for the stores.  O_WRITE_FENCE must stand between the load that showed
 * the place to be free and the first call.
 */
static inline void
ring_core_write(a_u64 *dst, const void *src, size_t n)
{
	const char *p = (const char *)src;
	uint64_t a, b, c, d;

	for (; n >= 4; n -= 4, dst += 4, p += 32) {
		a = ring_core_word(p);
		b = ring_core_word(p + 8);
		c = ring_core_word(p + 16);
		d = ring_core_word(p + 24);
		A_STORE(&dst[0], a, O_COPY);
		A_STORE(&dst[1], b, O_COPY);
		A_STORE(&dst[2], c, O_COPY);
		A_STORE(&dst[3], d, O_COPY);
	}
	for (; n > 0; n--, dst++, p += 8)
		A_STORE(dst, ring_core_word(p), O_COPY);
}

static inline void
ring_core_read(void *dst, a_u64 *src, size_t n)
{
	char *p = (char *)dst;
	uint64_t w[4];

	for (; n >= 4; n -= 4, src += 4, p += 32) {
		w[0] = A_LOAD(&src[0], O_COPY);
		w[1] = A_LOAD(&src[1], O_COPY);
		w[2] = A_LOAD(&src[2], O_COPY);
		w[3] = A_LOAD(&src[3], O_COPY);
		memcpy(p, w, sizeof(w));
	}
	for (; n > 0; n--, src++, p += 8) {
		w[0] = A_LOAD(src, O_COPY);
		memcpy(p, w, sizeof(w[0]));
	}
}

/*
 * After a copy: has the consumer been ACTIVE in session 'active' all the
 * time?  If not, the copy may be of anything.
 */
static inline bool
ring_core_still(struct ring_consumer *self, uint64_t active)
{
	A_FENCE(O_READ_FENCE);
	return A_LOAD(&self->state, O_STATE_CHECK) == active;
}

/* --- gating ------------------------------------------------------------ */

/* One CAS out of ACTIVE.  The caller raises free_seq afterwards, never
 * before. */
static inline bool
ring_core_evict(struct ring_consumer *k, uint64_t active)
{
	uint64_t expected = active;

	return A_CAS(&k->state, &expected,
	    ring_state_word(active, RING_CORE_EVICTED), O_STATE_EVICT);
}

/* The scribe lets a JOINING consumer in at 'next'. */
static inline bool
ring_core_admit(struct ring_consumer *k, uint64_t joining, uint64_t next)
{
	uint64_t expected = joining;

	A_STORE(&k->cursor, next, A_RELAXED);
	A_STORE(&k->join_pos, next, A_RELAXED);
	FAULT(ADMIT_CURSOR);
	return A_CAS(&k->state, &expected,
	    ring_state_word(joining, RING_CORE_ACTIVE), O_STATE_ADMIT);
}

/* --- the live ring ------------------------------------------------------ */

/*
 * The position that consumer 'k' holds, or UINT64_MAX if it holds nothing.
 * If that is below 'laggard', it is evicted and holds nothing any more.
 */
static inline uint64_t
ring_core_hold(struct ring_consumer *k, uint64_t laggard, unsigned *evicted_r)
{
	uint64_t v, cursor;

	for (;;) {
		v = A_LOAD(&k->state, O_STATE_SCAN);
		if (ring_state_of(v) != RING_CORE_ACTIVE)
			return UINT64_MAX;
		cursor = A_LOAD(&k->cursor, O_CURSOR_SEEN);
		if (cursor >= laggard)
			return cursor;
		if (ring_core_evict(k, v)) {
			++*evicted_r;
			FAULT(LIVE_EVICTED);
		}
	}
}

/*
 * Raise free_seq from 'free' to the smallest cursor of an ACTIVE consumer,
 * at most to 'end'; consumers whose cursor is below 'laggard' are evicted
 * first.  The caller loaded 'free', then saw all below 'end' published, and
 * only then calls this.  Returns whether free_seq has moved, by us or by
 * another; *evicted_r counts.
 *
 * Against one who joins while we scan: if we do not see it ACTIVE, then its
 * join comes after our look in the single order of these accesses, hence
 * after all that we saw published, so that the end it then finds, and moves
 * its cursor to, is not below 'end' and not below what we raise to.  If we do
 * see it, its cursor holds us back.  And if we stall between scan and CAS,
 * free_seq either still is 'free', and all of this holds, or the CAS fails.
 */
static inline bool
ring_core_raise(const struct ring_core *c, uint64_t free, uint64_t end,
    uint64_t laggard, unsigned *evicted_r)
{
	uint64_t hold, expected = free, min = end;
	unsigned i;

	for (i = 0; i < c->nconsumers; i++) {
		hold = ring_core_hold(&c->consumer[i], laggard, evicted_r);
		if (hold < min)
			min = hold;
	}
	FAULT(LIVE_SCANNED);
	if (min > free && A_CAS(c->free_seq, &expected, min, O_FREE_RAISE))
		return true;
	return A_LOAD(c->free_seq, O_FREE_SEEN) > free;
}

/*
 * Become ACTIVE by oneself, in the session that the state word 'active'
 * names.  Returns where to read from.
 *
 * First ACTIVE with a cursor that holds everybody back, then look for the
 * end, then move there: see ring_core_raise().  Nothing may be read before
 * the cursor stands at the end, since one who scanned before we were ACTIVE
 * may still raise free_seq past our first cursor, to an end that we shall
 * find as well.  The look ends at an empty slot and nowhere else: free_seq
 * may have been raised between our load and our becoming ACTIVE, so a fixed
 * number of steps from there need not reach the end that the other saw.
 */
static inline uint64_t
ring_core_join(const struct ring_core *c, struct ring_consumer *self,
    uint64_t active)
{
	uint64_t pos = A_LOAD(c->free_seq, O_FREE_SEEN);
	uint64_t free;

	A_STORE(&self->cursor, pos, A_RELAXED);
	(void)A_SWAP(&self->state, active, O_STATE_JOIN);
	FAULT(LIVE_JOINED);
	for (;;) {
		pos = ring_core_end(c, pos);
		free = A_LOAD(c->free_seq, O_FREE_SEEN);
		if (pos < free)
			pos = free;
		else if (!ring_core_is_taken(c, pos))
			break;
	}
	A_STORE(&self->join_pos, pos, A_RELAXED);
	A_STORE(&self->cursor, pos, O_CURSOR);
	return pos;
}

#endif /* SHM_RING_CORE_H */
