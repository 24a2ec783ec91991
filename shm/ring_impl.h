/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * ring_impl - what the ring's own sources share; nobody else includes it.
 *
 * Shared memory (each section begins on a page of its own):
 *
 *   ring_header     written once by ring_create(); read-only in workers
 *   ring_control    one line a variable
 *   ring_consumer[] a line each: state, cursor, join_pos
 *   ring_slot[]     the arena table, a line each; only the master writes it
 *   slot[N]         one word each
 *   index[N]        eight words each (RING_LOG), only the scribe writes it
 *   interest[65536] one word each, bit = worker (RING_LOG)
 *   arenas          each a whole number of pages, one writer each
 */

#ifndef SHM_RING_IMPL_H
#define SHM_RING_IMPL_H

#include "shm/ring.h"
#include "shm/ring_core.h"

#define RING_PAGE 4096
#define RING_INTEREST_LOG2 16
#define RING_INTEREST ((size_t)1 << RING_INTEREST_LOG2)
#define RING_INDEX_WORDS (sizeof(struct ring_index) / sizeof(uint64_t))
#define RING_MIN_LOG2 6
#define RING_MAX_LOG2 24
#define RING_MAX_ARENA_BYTES ((size_t)1 << 30)

/* Is no consumer's state word, ever. */
#define RING_NO_SESSION UINT64_MAX

struct ring_header {
	uint8_t magic[8];
	uint64_t abi;
	uint8_t id[16];
	uint64_t base;
	/* the base of the first ring of this run of the daemon */
	uint64_t run;
	uint64_t size;
	uint64_t arena_bytes;
	uint32_t kind;
	uint32_t log2_slots;
	uint32_t narenas;
	uint32_t reserved;
	/* XXH3 of all before it */
	uint64_t sum;
};

struct ring_control {
	/* scribe (RING_LOG), whoever finds the ring full (RING_LIVE) */
	struct ring_line free_seq;
	/* scribe */
	struct ring_line durable_seq;
	/* every producer */
	struct ring_line hint;
	/* workers set their bit, the scribe takes all */
	struct ring_line space_wait;
	struct ring_line joining;
	/* counters */
	struct ring_line full;
	struct ring_line evictions;
	/* whoever closes the ring, afterwards: one more than where it ends */
	struct ring_line closed;
};

enum ring_arena_state {
	RING_ARENA_FREE,
	RING_ARENA_USED,
	/* its owner is dead; FREE once free_seq reaches drain */
	RING_ARENA_DRAINING,
};

struct ring_arena {
	/* incarnation:32 | worker slot:16 | state:8, as the master wrote it */
	a_u64 owner;
	/* nothing is written here until free_seq has reached this */
	a_u64 drain;
	char pad[A_LINE - 2 * sizeof(a_u64)];
};

/* Offsets of the sections. */
struct ring_layout {
	size_t control, consumers, arena_table, slots, index, interest;
	size_t arenas, stride, size;
};

/* A record of ours that may still be read: its position, its last granule
 * plus one. */
struct ring_unfreed {
	uint64_t gseq;
	uint32_t end;
};

/* The producer's private half. */
struct ring_producer {
	unsigned arena;
	a_u64 *mem;
	/* in granules: next free one, first one that may still be read */
	uint32_t granules, pos, tail;
	uint64_t drain;
	/* one more than the last position that we won */
	uint64_t last;
	/* ring buffer, 'cap' entries, a power of two */
	struct ring_unfreed *fifo;
	uint64_t head, count, cap;
	/* granules published since all sleepers were woken (RING_LIVE) */
	uint32_t since_kick;
};

/* What the scribe remembers about one consumer that does not move. */
struct ring_watch {
	bool stuck;
	uint64_t cursor;
	uint64_t since_ns;
};

/* The scribe's private half. */
struct ring_gatekeeper {
	bool started;
	/* who may be ACTIVE: only we admit, so nobody is missing */
	uint64_t members;
	/* all below is known to be published */
	uint64_t end;
	struct ring_watch watch[RING_MAX_CONSUMERS];
};

struct ring {
	unsigned char *mem;
	struct ring_geometry geo;
	struct ring_layout at;
	struct ring_core core;
	uint8_t id[16];
	uint64_t base, run;
	size_t max_record;

	struct ring_control *control;
	struct ring_arena *arena_table;
	a_u64 *index;
	a_u64 *interest;
	struct wake *wake;
	/* whose interest bits say who is to be woken (RING_LIVE) */
	const struct ring *follow;

	struct ring_producer prod;
	struct ring_gatekeeper gate;

	/* our state word while we are a consumer, else RING_NO_SESSION */
	uint64_t active;
	/* durable_seq as last seen */
	uint64_t limit;
	/* how many rooms of ours hash to each interest word */
	uint32_t *rooms;
	/* the ring that shows the same interest, or NULL */
	struct ring *mirror;
};

static inline uint64_t
ring_arena_owner(enum ring_arena_state state, unsigned slot, uint32_t inc)
{
	return (uint64_t)inc << 32 | (uint64_t)slot << 8 | (uint64_t)state;
}

static inline enum ring_arena_state
ring_owner_state(uint64_t owner)
{
	return (enum ring_arena_state)(owner & 0xff);
}

static inline unsigned
ring_owner_slot(uint64_t owner)
{
	return (unsigned)(owner >> 8 & 0xffff);
}

static inline uint32_t
ring_owner_incarnation(uint64_t owner)
{
	return (uint32_t)(owner >> 32);
}

static inline a_u64 *
ring_interest_word(const struct ring *r, uint64_t room)
{
	uint64_t h = room * 0x9e3779b97f4a7c15u;

	return &r->interest[h >> (64 - RING_INTEREST_LOG2)];
}

static inline uint64_t
ring_bit(unsigned slot)
{
	return (uint64_t)1 << slot;
}

/* ring.c: the first position where nothing is, found with the hint's help;
 * 'from' is a position below which all is published. */
uint64_t ring_end_from(const struct ring *r, uint64_t from);

/* ring_read.c: copy what 'word' refers to, without any check of what was
 * copied but that of its bounds.  Returns whether there was anything. */
bool ring_copy(const struct ring *r, uint64_t word, void *buf, size_t *len_r);

/* ring_live.c: the live ring is full at 'end' (seen with 'free'); or our own
 * arena is, or our quota.  Returns whether it is worth trying again. */
bool ring_live_raise(struct ring *r, uint64_t free, uint64_t end);
bool ring_live_reclaim(struct ring *r, bool evict);
void ring_live_settle(struct ring *r);
void ring_live_wake(struct ring *r, uint64_t room, uint64_t gseq);

#endif /* SHM_RING_IMPL_H */
