/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * A block's owner word:
 *
 *   0 ---- take, by a row ----> generation:32 | row + 1:32 ---- give ----> 0
 *   0 ---- mark, to punch ----> 1 << 63 | incarnation ---- unmark -------> 0
 *
 * take: the number goes into the row's list first, and then the word is
 * taken by compare-and-swap.  give: by compare-and-swap from the row's own
 * word, so that who gives back what a dead process had half given back
 * cannot hit the block's next owner.  A slab is punched while somebody has
 * marked all its blocks; marks of the dead are taken away.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/fault.h"
#include "common/log.h"
#include "shm/stream_impl.h"

#define MARK (UINT64_C(1) << 63)
/* slabs that are punched in a turn: each costs a system call */
#define PUNCH_A_TURN 16

_Static_assert(STREAM_MAX_BLOCKS % STREAM_SLAB == 0 &&
	STREAM_MAX_ROWS % STREAM_ROWS == 0,
    "whole slabs and groups");

static size_t
pages(size_t n)
{
	return (n + STREAM_PAGE - 1) & ~(size_t)(STREAM_PAGE - 1);
}

void
stream_lay_out(size_t memory, struct stream_layout *l)
{
	size_t at = STREAM_PAGE;

	memset(l, 0, sizeof(*l));
	for (l->block = STREAM_PAGE; memory / l->block > STREAM_MAX_BLOCKS;)
		l->block *= 2;
	l->slabs = (uint32_t)(memory / l->block / STREAM_SLAB);
	if (l->slabs == 0)
		return;
	l->blocks = l->slabs * STREAM_SLAB;
	l->rows = l->blocks < STREAM_MAX_ROWS ? l->blocks : STREAM_MAX_ROWS;
	l->slab_at = at;
	at += pages(l->slabs * sizeof(a_u64));
	l->fixed = at;
	l->state_at = at;
	at += pages(l->rows * sizeof(a_u64));
	l->key_at = at;
	at += pages(l->rows * sizeof(a_u64));
	l->room_at = at;
	at += pages(l->rows * sizeof(a_u64));
	l->owner_at = at;
	at += pages(l->blocks * sizeof(a_u64));
	l->row_at = at;
	at += pages(l->rows * sizeof(struct stream_row));
	l->block_at = at;
	l->size = at + (size_t)l->blocks * l->block;
}

size_t
streams_size(size_t memory)
{
	struct stream_layout l;

	stream_lay_out(memory, &l);
	return l.size;
}

size_t
streams_fixed_size(size_t memory)
{
	struct stream_layout l;

	stream_lay_out(memory, &l);
	return l.fixed;
}

uint64_t
streams_abi(void)
{
	return sizeof(struct stream_row) * 31 + STREAM_LIST * 7 +
	    STREAM_TAIL_LIST;
}

int
streams_open(struct tables *t, void *mem)
{
	if (t->geometry.stream_bytes == 0)
		return 0;
	if ((t->stream_at = calloc(1, sizeof(*t->stream_at))) == NULL)
		return -1;
	stream_lay_out(t->geometry.stream_bytes, t->stream_at);
	t->streams = mem;
	return 0;
}

void
streams_close(struct tables *t)
{
	stream_census_free(t);
	free(t->stream_at);
	t->stream_at = NULL;
	t->streams = NULL;
}

/* --- where things are ------------------------------------------------------ */

static a_u64 *
slab_of(const struct tables *t, uint32_t slab)
{
	return stream_word_at(t, t->stream_at->slab_at, slab);
}

static a_u64 *
owner_of(const struct tables *t, uint32_t block)
{
	return stream_word_at(t, t->stream_at->owner_at, block);
}

static a_u64 *
block_of(const struct tables *t, uint32_t block)
{
	void *p = stream_part(t,
	    t->stream_at->block_at + block * t->stream_at->block);

	return p;
}

/* --- memory for rows ------------------------------------------------------- */

static int
back(const struct tables *t, size_t at, size_t len)
{
	size_t base = (size_t)((uint8_t *)t->streams - (uint8_t *)t->seg.mem);

	return segment_allocate(&t->seg, base + at, len);
}

uint32_t
stream_backed_rows(const struct tables *t)
{
	uint64_t n;

	if (t->streams == NULL)
		return 0;
	n = A_LOAD(&t->streams->rows, A_SEQ_CST);
	return n > t->stream_at->rows ? t->stream_at->rows : (uint32_t)n;
}

int
stream_back_rows(struct tables *t, uint32_t than)
{
	const struct stream_layout *l = t->stream_at;
	const size_t n = STREAM_ROWS * sizeof(a_u64);
	const size_t at = than * sizeof(a_u64);
	uint64_t was = than;

	errno = ENOSPC;
	if (l == NULL || than >= l->rows)
		return -1;
	if (back(t, l->state_at + at, n) == -1 ||
	    back(t, l->key_at + at, n) == -1 ||
	    back(t, l->room_at + at, n) == -1 ||
	    back(t, l->row_at + than * sizeof(struct stream_row),
		STREAM_ROWS * sizeof(struct stream_row)) == -1)
		return -1;
	/* who comes second finds it done */
	(void)A_CAS(&t->streams->rows, &was, than + STREAM_ROWS, A_SEQ_CST);
	return 0;
}

/* --- taking blocks --------------------------------------------------------- */

static uint64_t
held_by(const struct stream_holder *h)
{
	return (uint64_t)h->generation << 32 | (h->row + 1);
}

/* By who holds a block of it: nobody punches it then. */
static int
back_slab(const struct tables *t, uint32_t slab)
{
	const struct stream_layout *l = t->stream_at;

	if (back(t, l->block_at + slab * STREAM_SLAB * l->block,
		STREAM_SLAB * l->block) == -1)
		return -1;
	A_STORE(slab_of(t, slab), STREAM_SLAB_BACKED, A_RELEASE);
	return 0;
}

/* The owner words of a slab that has never been used. */
static int
back_owners(const struct tables *t, uint32_t slab)
{
	const size_t n = STREAM_SLAB * sizeof(a_u64);
	uint64_t was = STREAM_SLAB_NEW;

	if (A_LOAD(slab_of(t, slab), A_ACQUIRE) != STREAM_SLAB_NEW)
		return 0;
	if (back(t, t->stream_at->owner_at + slab * n, n) == -1)
		return -1;
	(void)A_CAS(slab_of(t, slab), &was, STREAM_SLAB_PUNCHED, A_ACQ_REL);
	return 0;
}

/* 1: the list has this block now; 0: another was faster; -1: no memory. */
static int
take_block(struct tables *t, const struct stream_holder *h, stream_entry *entry,
    uint32_t block)
{
	uint64_t was = 0;

	A_STORE(entry, block + 1, A_RELEASE);
	FAULT(STREAM_MEANT);
	if (!A_CAS(owner_of(t, block), &was, held_by(h), A_ACQ_REL))
		return 0;
	FAULT(STREAM_TAKEN);
	/* it may have been punched before it was ours */
	if (A_LOAD(slab_of(t, block / STREAM_SLAB), A_ACQUIRE) !=
		STREAM_SLAB_BACKED &&
	    back_slab(t, block / STREAM_SLAB) == -1) {
		was = held_by(h);
		(void)A_CAS(owner_of(t, block), &was, 0, A_ACQ_REL);
		return -1;
	}
	t->stream_hint = block + 1;
	return 1;
}

/* Look for a free block in one slab, from its 'from'th on. */
static int
take_in_slab(struct tables *t, const struct stream_holder *h,
    stream_entry *entry, uint32_t slab, uint32_t from)
{
	uint32_t i, block;
	int rc;

	for (i = from; i < STREAM_SLAB; i++) {
		block = slab * STREAM_SLAB + i;
		if (A_LOAD(owner_of(t, block), A_RELAXED) != 0)
			continue;
		if ((rc = take_block(t, h, entry, block)) != 0)
			return rc;
	}
	return 0;
}

/* What is backed comes first, from where the last one was found. */
static int
take_one(struct tables *t, const struct stream_holder *h, stream_entry *entry)
{
	const uint32_t slabs = t->stream_at->slabs;
	uint32_t first = t->stream_hint / STREAM_SLAB, i, slab;
	uint32_t from = t->stream_hint % STREAM_SLAB;
	int rc = 0;

	for (i = 0; i <= slabs && rc == 0; i++) {
		slab = (first + i) % slabs;
		if (A_LOAD(slab_of(t, slab), A_ACQUIRE) == STREAM_SLAB_BACKED)
			rc = take_in_slab(t, h, entry, slab, i == 0 ? from : 0);
	}
	for (slab = 0; slab < slabs && rc == 0; slab++) {
		if (A_LOAD(slab_of(t, slab), A_ACQUIRE) == STREAM_SLAB_BACKED)
			continue;
		rc = back_owners(t, slab);
		if (rc == 0)
			rc = take_in_slab(t, h, entry, slab, 0);
	}
	if (rc == 1)
		return 0;
	A_STORE(entry, 0, A_RELEASE);
	errno = ENOSPC;
	return -1;
}

int
stream_take(struct tables *t, const struct stream_holder *h, stream_entry *list,
    uint32_t blocks)
{
	uint32_t i;

	if (blocks == 0 || A_LOAD(&list[blocks - 1], A_RELAXED) != 0)
		return 0;
	for (i = 0; i < blocks; i++)
		if (A_LOAD(&list[i], A_RELAXED) == 0 &&
		    take_one(t, h, &list[i]) == -1)
			return -1;
	return 0;
}

/*
 * The last number of a list may have been meant when its owner died, and
 * never taken; or taken and not backed.
 */
void
stream_settle(struct tables *t, const struct stream_holder *h,
    stream_entry *list, uint32_t max)
{
	uint32_t n, block;
	uint64_t mine = held_by(h);

	for (n = 0; n < max && A_LOAD(&list[n], A_RELAXED) != 0;)
		n++;
	if (n == 0)
		return;
	block = A_LOAD(&list[n - 1], A_RELAXED) - 1;
	if (block >= t->stream_at->blocks ||
	    A_LOAD(owner_of(t, block), A_ACQUIRE) != mine) {
		A_STORE(&list[n - 1], 0, A_RELEASE);
		return;
	}
	if (A_LOAD(slab_of(t, block / STREAM_SLAB), A_ACQUIRE) !=
		STREAM_SLAB_BACKED &&
	    back_slab(t, block / STREAM_SLAB) == -1)
		stream_give(t, h, list, max, n - 1);
}

void
stream_give(struct tables *t, const struct stream_holder *h, stream_entry *list,
    uint32_t max, uint32_t keep)
{
	uint32_t n, block;
	uint64_t mine;

	for (n = 0; n < max && A_LOAD(&list[n], A_RELAXED) != 0;)
		n++;
	/* from the end: what is left stays dense */
	while (n > keep) {
		block = A_LOAD(&list[--n], A_RELAXED) - 1;
		mine = held_by(h);
		if (block < t->stream_at->blocks)
			(void)A_CAS(owner_of(t, block), &mine, 0, A_ACQ_REL);
		FAULT(STREAM_GIVEN);
		A_STORE(&list[n], 0, A_RELEASE);
	}
}

/* --- bytes ----------------------------------------------------------------- */

/* Into one block, which they fit in. */
static void
put_bytes(a_u64 *words, size_t at, const uint8_t *p, size_t len)
{
	uint64_t w;
	size_t n;

	words += at / 8;
	if (at % 8 != 0) {
		n = 8 - at % 8;
		if (n > len)
			n = len;
		w = A_LOAD(words, A_RELAXED);
		memcpy((uint8_t *)&w + at % 8, p, n);
		A_STORE(words++, w, A_RELAXED);
		p += n;
		len -= n;
	}
	for (; len >= 8; p += 8, len -= 8) {
		memcpy(&w, p, 8);
		A_STORE(words++, w, A_RELAXED);
	}
	if (len > 0) {
		w = 0;
		memcpy(&w, p, len);
		A_STORE(words, w, A_RELAXED);
	}
}

static void
get_bytes(const a_u64 *words, size_t at, uint8_t *p, size_t len)
{
	uint64_t w;
	size_t n;

	words += at / 8;
	if (at % 8 != 0) {
		n = 8 - at % 8;
		if (n > len)
			n = len;
		w = A_LOAD(words++, A_RELAXED);
		memcpy(p, (const uint8_t *)&w + at % 8, n);
		p += n;
		len -= n;
	}
	for (; len >= 8; p += 8, len -= 8) {
		w = A_LOAD(words++, A_RELAXED);
		memcpy(p, &w, 8);
	}
	if (len > 0) {
		w = A_LOAD(words, A_RELAXED);
		memcpy(p, &w, len);
	}
}

/* The block that holds the byte at 'pos', and how much of 'len' is in it. */
static a_u64 *
block_at(const struct tables *t, stream_entry *list, uint32_t max, size_t pos,
    size_t *len)
{
	const size_t size = t->stream_at->block;
	uint32_t no;

	if (pos / size >= max)
		return NULL;
	no = A_LOAD(&list[pos / size], A_RELAXED);
	if (no == 0 || no > t->stream_at->blocks)
		return NULL;
	if (*len > size - pos % size)
		*len = size - pos % size;
	return block_of(t, no - 1);
}

bool
stream_put(const struct tables *t, stream_entry *list, uint32_t max, size_t pos,
    const void *p, size_t len)
{
	const uint8_t *from = p;
	a_u64 *words;
	size_t n;

	for (; len > 0; from += n, pos += n, len -= n) {
		n = len;
		if ((words = block_at(t, list, max, pos, &n)) == NULL)
			return false;
		put_bytes(words, pos % t->stream_at->block, from, n);
	}
	return true;
}

bool
stream_get(const struct tables *t, stream_entry *list, uint32_t max, size_t pos,
    void *p, size_t len)
{
	uint8_t *to = p;
	a_u64 *words;
	size_t n;

	for (; len > 0; to += n, pos += n, len -= n) {
		n = len;
		if ((words = block_at(t, list, max, pos, &n)) == NULL)
			return false;
		get_bytes(words, pos % t->stream_at->block, to, n);
	}
	return true;
}

/* --- giving memory back ---------------------------------------------------- */

static void
unmark(struct tables *t, uint32_t slab, uint32_t n, uint64_t mark)
{
	uint64_t was;

	while (n > 0) {
		was = mark;
		(void)A_CAS(owner_of(t, slab * STREAM_SLAB + --n), &was, 0,
		    A_ACQ_REL);
	}
}

/* All blocks of the slab, or none. */
static bool
mark_all(struct tables *t, uint32_t slab, uint64_t mark)
{
	uint64_t was;
	uint32_t i;

	for (i = 0; i < STREAM_SLAB; i++) {
		was = 0;
		if (!A_CAS(owner_of(t, slab * STREAM_SLAB + i), &was, mark,
			A_ACQ_REL)) {
			unmark(t, slab, i, mark);
			return false;
		}
	}
	return true;
}

/* Marks of the dead are taken away.  True: nobody holds a block of it. */
static bool
look_at_slab(struct tables *t, uint32_t slab)
{
	bool free = true;
	uint32_t i;
	uint64_t w;

	for (i = 0; i < STREAM_SLAB; i++) {
		w = A_LOAD(owner_of(t, slab * STREAM_SLAB + i), A_RELAXED);
		if ((w & MARK) != 0 && stream_dead(t, (uint32_t)w))
			(void)A_CAS(owner_of(t, slab * STREAM_SLAB + i), &w, 0,
			    A_ACQ_REL);
		else if (w != 0)
			free = false;
	}
	return free;
}

static void
punch_slab(struct tables *t, uint32_t slab, uint64_t mark)
{
	const struct stream_layout *l = t->stream_at;
	size_t base = (size_t)((uint8_t *)t->streams - (uint8_t *)t->seg.mem);

	if (!mark_all(t, slab, mark))
		return;
	FAULT(STREAM_MARKED);
	A_STORE(slab_of(t, slab), STREAM_SLAB_PUNCHED, A_RELEASE);
	(void)segment_punch(&t->seg,
	    base + l->block_at + slab * STREAM_SLAB * l->block,
	    STREAM_SLAB * l->block);
	FAULT(STREAM_PUNCHED);
	unmark(t, slab, STREAM_SLAB, mark);
}

/*
 * Not what has just become free: somebody may still be copying out of it, to
 * find then that it is stale.
 */
void
stream_punch(struct tables *t, uint32_t incarnation)
{
	uint32_t slab, n = 0;
	uint64_t w, bit;
	bool free, before;

	/* the lowest ones are filled first again */
	t->stream_hint = 0;
	for (slab = 0; slab < t->stream_at->slabs; slab++) {
		w = A_LOAD(slab_of(t, slab), A_ACQUIRE);
		bit = UINT64_C(1) << slab % 64;
		free = w != STREAM_SLAB_NEW && look_at_slab(t, slab);
		before = (t->stream_free[slab / 64] & bit) != 0;
		t->stream_free[slab / 64] &= ~bit;
		if (!free || w != STREAM_SLAB_BACKED || slab == 0)
			continue;
		if (!before || n == PUNCH_A_TURN) {
			t->stream_free[slab / 64] |= bit;
			continue;
		}
		punch_slab(t, slab, MARK | incarnation);
		n++;
	}
}

void
stream_blocks(const struct tables *t, uint64_t *used_r, uint64_t *backed_r)
{
	uint32_t slab, i;
	uint64_t w;

	*used_r = *backed_r = 0;
	for (slab = 0; slab < t->stream_at->slabs; slab++) {
		w = A_LOAD(slab_of(t, slab), A_ACQUIRE);
		if (w == STREAM_SLAB_NEW)
			continue;
		*backed_r += w == STREAM_SLAB_BACKED ? STREAM_SLAB : 0;
		for (i = 0; i < STREAM_SLAB; i++)
			*used_r += A_LOAD(owner_of(t, slab * STREAM_SLAB + i),
				       A_RELAXED) != 0;
	}
}
