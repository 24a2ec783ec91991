/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * stream_impl - what stream.c, stream_look.c, stream_memory.c and
 * stream_share.c share;
 * nobody else includes it.
 *
 * The area (each part begins on a page of its own):
 *
 *   head       how many rows are backed by memory
 *   slab[]     a word for each 64 blocks: are they backed?
 *   --- on demand, with the rows and slabs that need it:
 *   state[]    a word a row, see stream.h
 *   key[]      keyed hash of room and id; 0: none
 *   room[]
 *   owner[]    a word a block: which row and generation holds it
 *   rows       the rest of each row
 *   blocks
 *
 * What is looked for lies close together: state, key and room are columns.
 *
 * The bytes of a stream are its preamble (id, user id, user name, agent id,
 * head, tail) and behind it the text, in the blocks of the row's list.  A
 * later tail has two lists of its own, used in turn.
 *
 * Any byte may be read by somebody who has not noticed that it belongs to
 * another stream by now.  So all of it is copied by relaxed atomic words, as
 * in the arenas of the rings: the writer has a release fence between taking
 * row or block and its first store, the reader an acquire fence between its
 * last load and the look at the state.  Whoever meets a byte of the next
 * stream then meets the end of the one before.
 */

#ifndef SHM_STREAM_IMPL_H
#define SHM_STREAM_IMPL_H

#include "shm/atomic.h"
#include "shm/stream.h"
#include "shm/tables.h"

#define STREAM_PAGE 4096
#define STREAM_SLAB 64
#define STREAM_MAX_BLOCKS (1 << 17)
#define STREAM_MAX_ROWS (1 << 16)
/* rows that are backed together */
#define STREAM_ROWS 64

#define STREAM_MAX_PREAMBLE \
	(3 * STREAM_MAX_ID + STREAM_MAX_NAME + STREAM_MAX_HEAD + \
	    STREAM_MAX_TAIL)
#define STREAM_LIST \
	((STREAM_MAX_TEXT + STREAM_MAX_PREAMBLE + STREAM_PAGE - 1) / \
	    STREAM_PAGE)
#define STREAM_TAIL_LIST (STREAM_MAX_TAIL / STREAM_PAGE)

/* A number of a block, counted from 1; 0: none. */
typedef _Atomic uint32_t stream_entry;

/* What is not in the columns; written by the owner but for 'cancel'. */
struct stream_row {
	/* next index:40 | bytes of text:24, stored with release */
	a_u64 progress;
	a_u64 active_ns;
	a_u64 until_ns;
	/* generation, its low bits:16 | us:48; whoever comes first */
	a_u64 cancel;
	/* theoretical arrival time, see shm/gcra.h */
	a_u64 rate;
	a_u64 begun_ms;
	a_u64 user;
	/* bytes of the preamble:32 | max_text:32 */
	a_u64 sizes;
	/* of id, user id, user name, agent id: 16 bits each, id lowest */
	a_u64 names;
	/* of the head:32 | of the tail in the preamble:32 */
	a_u64 ends;
	/*
	 * Where the tail is: count:32 | bytes:31 | list:1; 0: in the
	 * preamble.  Stored with release; each has another count.
	 */
	a_u64 tail;
	uint64_t reserved[5];
	/* dense: the first 0 ends a list */
	stream_entry list[STREAM_LIST];
	stream_entry tails[2][STREAM_TAIL_LIST];
};

_Static_assert(offsetof(struct stream_row, list) == A_LINE, "one line");

struct streams {
	/* how many rows may be touched; grows only */
	a_u64 rows;
};

enum stream_slab {
	STREAM_SLAB_NEW,
	STREAM_SLAB_BACKED,
	/* its owner words are backed, its blocks are not */
	STREAM_SLAB_PUNCHED,
};

/* --- the state word: incarnation:32 | generation:29 | state:3 -------------- */

enum stream_word {
	STREAM_WORD_FREE,
	STREAM_WORD_BEGINNING,
	STREAM_WORD_ABORTED,
	STREAM_WORD_OPEN,
	STREAM_WORD_DETACHED,
	STREAM_WORD_ENDING,
};

#define STREAM_GENERATION ((UINT32_C(1) << 29) - 1)

static inline uint64_t
stream_word(enum stream_word state, uint32_t generation, uint32_t incarnation)
{
	return (uint64_t)incarnation << 32 |
	    (uint64_t)(generation & STREAM_GENERATION) << 3 | (uint64_t)state;
}

static inline enum stream_word
stream_word_state(uint64_t w)
{
	return (enum stream_word)(w & 7);
}

static inline uint32_t
stream_word_generation(uint64_t w)
{
	return (uint32_t)(w >> 3) & STREAM_GENERATION;
}

static inline uint32_t
stream_word_owner(uint64_t w)
{
	return (uint32_t)(w >> 32);
}

/* --- stream_memory.c ------------------------------------------------------- */

/* Where things are; how many there are follows from the memory. */
struct stream_layout {
	size_t block;
	uint32_t blocks, rows, slabs;
	size_t slab_at, state_at, key_at, room_at, owner_at, row_at, block_at;
	size_t fixed, size;
};

void stream_lay_out(size_t memory, struct stream_layout *l);

static inline void *
stream_part(const struct tables *t, size_t at)
{
	return (uint8_t *)t->streams + at;
}

static inline a_u64 *
stream_word_at(const struct tables *t, size_t at, uint32_t i)
{
	return (a_u64 *)stream_part(t, at) + i;
}

static inline a_u64 *
stream_state(const struct tables *t, uint32_t row)
{
	return stream_word_at(t, t->stream_at->state_at, row);
}

static inline a_u64 *
stream_key(const struct tables *t, uint32_t row)
{
	return stream_word_at(t, t->stream_at->key_at, row);
}

static inline a_u64 *
stream_room(const struct tables *t, uint32_t row)
{
	return stream_word_at(t, t->stream_at->room_at, row);
}

static inline struct stream_row *
stream_row(const struct tables *t, uint32_t row)
{
	return (struct stream_row *)stream_part(t, t->stream_at->row_at) + row;
}

/* How many rows may be touched; at least one more of them: 0 or -1. */
uint32_t stream_backed_rows(const struct tables *t);
int stream_back_rows(struct tables *t, uint32_t than);

/* Who takes blocks. */
struct stream_holder {
	uint32_t row;
	uint32_t generation;
};

/*
 * Make the list hold so many blocks.  0, or -1 with ENOSPC; those that it got
 * stay in it.
 */
int stream_take(struct tables *t, const struct stream_holder *h,
    stream_entry *list, uint32_t blocks);
/* Become the holder of a list that another has left. */
void stream_settle(struct tables *t, const struct stream_holder *h,
    stream_entry *list, uint32_t max);
/* Give back all that the list holds, but for the first 'keep' blocks. */
void stream_give(struct tables *t, const struct stream_holder *h,
    stream_entry *list, uint32_t max, uint32_t keep);

/* Bytes from 'pos' on, in the blocks of the list; false: they are not there. */
bool stream_put(const struct tables *t, stream_entry *list, uint32_t max,
    size_t pos, const void *p, size_t len);
bool stream_get(const struct tables *t, stream_entry *list, uint32_t max,
    size_t pos, void *p, size_t len);

/* Memory that has not been used goes back; 'incarnation' is ours. */
void stream_punch(struct tables *t, uint32_t incarnation);
/* Blocks that a row or somebody who punches holds. */
void stream_blocks(const struct tables *t, uint64_t *used_r,
    uint64_t *backed_r);

static inline uint32_t
stream_blocks_for(const struct tables *t, size_t bytes)
{
	return (
	    uint32_t)((bytes + t->stream_at->block - 1) / t->stream_at->block);
}

/* --- stream_share.c -------------------------------------------------------- */

/*
 * Are so many blocks more still this user's share?  Then they are taken, for
 * who counts; user 0 is not counted.
 */
bool stream_may_take(struct tables *t, uint64_t user, uint32_t blocks,
    uint64_t now_ns);
/* This process, whose row it is, is about to give it back. */
void stream_gives(struct tables *t, uint32_t row);
void stream_census_free(struct tables *t);

/* --- rows ------------------------------------------------------------------ */

#define STREAM_BYTES_BITS 24
#define STREAM_CANCEL_BITS 48
#define STREAM_CANCEL_MASK ((UINT64_C(1) << STREAM_CANCEL_BITS) - 1)
#define STREAM_TAIL_SIDE 1
#define STREAM_US 1000

static inline bool
stream_runs(uint64_t w)
{
	return stream_word_state(w) == STREAM_WORD_OPEN ||
	    stream_word_state(w) == STREAM_WORD_DETACHED;
}

/* Is that the stream that the ref means? */
static inline bool
stream_is(const struct stream_ref *r, uint64_t w)
{
	return stream_runs(w) && stream_word_generation(w) == r->generation;
}

/* The state word of a row that a ref names, if there can be such a row. */
static inline uint64_t
stream_word_of(const struct tables *t, const struct stream_ref *r)
{
	if (r->row >= stream_backed_rows(t))
		return stream_word(STREAM_WORD_FREE, 0, 0);
	return A_LOAD(stream_state(t, r->row), A_ACQUIRE);
}

/* What was read since stream_word_of() is this stream's. */
static inline bool
stream_still(const struct tables *t, const struct stream_ref *r)
{
	A_FENCE(A_ACQUIRE);
	return stream_is(r, A_LOAD(stream_state(t, r->row), A_RELAXED));
}

static inline struct stream_progress
stream_progress_of(uint64_t w)
{
	return (struct stream_progress){ .next = w >> STREAM_BYTES_BITS,
		.bytes =
		    (uint32_t)(w & ((UINT64_C(1) << STREAM_BYTES_BITS) - 1)) };
}

/* How many bytes stand before the text. */
static inline uint32_t
stream_preamble(const struct stream_row *s)
{
	uint32_t n = (uint32_t)(A_LOAD(&s->sizes, A_RELAXED) >> 32);

	return n <= STREAM_MAX_PREAMBLE ? n : STREAM_MAX_PREAMBLE;
}

/* stream_look.c; 'len' is at most STREAM_MAX_ID */
uint64_t stream_make_key(const struct tables *t, uint64_t room, const void *id,
    size_t len);

/* --- stream.c -------------------------------------------------------------- */

/* Has the process of this incarnation been reaped? */
bool stream_dead(const struct tables *t, uint32_t incarnation);
/* Row in ENDING, ours: give back what it holds, and the row. */
void stream_free_row(struct tables *t, uint32_t row, uint64_t word);

#endif /* SHM_STREAM_IMPL_H */
