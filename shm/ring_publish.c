/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * Producers: room in one's own arena, then one compare-and-swap.
 */

#include "shm/ring.h"

#include <errno.h>
#include <string.h>

#include "common/log.h"
#include "shm/record.h"
#include "shm/ring_impl.h"

void
ring_producer_init(struct ring *r, unsigned arena)
{
	struct ring_producer *p = &r->prod;

	CHECK(arena < r->geo.narenas);
	p->arena = arena;
	p->mem =
	    (a_u64 *)(void *)(r->mem + r->at.arenas + arena * r->at.stride);
	p->granules = (uint32_t)(r->geo.arena_bytes / RING_GRANULE);
	p->pos = p->tail = 0;
	p->head = p->count = 0;
	p->last = 0;
	p->since_kick = 0;
	p->drain = A_LOAD(&r->arena_table[arena].drain, A_ACQUIRE);
}

/* --- the arena: a ring buffer of records, each in one piece -------------- */

/* Forget our records that nobody can read any more. */
static void
arena_reclaim(struct ring_producer *p, uint64_t free)
{
	const struct ring_unfreed *u;

	while (p->count > 0) {
		u = &p->fifo[p->head & (p->cap - 1)];
		if (u->gseq >= free)
			return;
		p->tail = u->end;
		p->head++;
		p->count--;
	}
	/* begin at the front, where the cache is warm */
	p->pos = p->tail = 0;
	p->head = 0;
}

/*
 * Where 'need' granules fit, or -1.  What may still be read is [tail, pos),
 * or, when pos has wrapped, all but [pos, tail).  A record that does not fit
 * before the arena's end goes to its front; nobody walks an arena, so the
 * rest needs no padding.
 */
static int64_t
arena_find(const struct ring_producer *p, uint32_t need)
{
	if (p->count == p->cap)
		return -1;
	if (p->count == 0)
		return need <= p->granules ? 0 : -1;
	if (p->pos > p->tail) {
		if (p->granules - p->pos >= need)
			return p->pos;
		return p->tail >= need ? 0 : -1;
	}
	return p->tail - p->pos >= need ? (int64_t)p->pos : -1;
}

static int64_t
arena_alloc(struct ring *r, uint32_t need)
{
	struct ring_producer *p = &r->prod;
	uint64_t free = A_LOAD(r->core.free_seq, O_FREE_SEEN);
	int64_t at;

	/* what the arena's last owner published may still be read */
	if (free < p->drain)
		return -1;
	arena_reclaim(p, free);
	if ((at = arena_find(p, need)) != -1 || r->geo.kind == RING_LOG)
		return at;
	if (ring_live_reclaim(r, false)) {
		arena_reclaim(p, A_LOAD(r->core.free_seq, O_FREE_SEEN));
		at = arena_find(p, need);
	}
	if (at == -1 && ring_live_reclaim(r, true)) {
		arena_reclaim(p, A_LOAD(r->core.free_seq, O_FREE_SEEN));
		at = arena_find(p, need);
	}
	return at;
}

/*
 * Nobody looks at these bytes until they are published; but a consumer that
 * has been evicted and does not know it may still be copying what was here
 * before, hence the fence.
 */
static void
arena_write(a_u64 *dst, const void *rec, size_t len)
{
	size_t words = len / sizeof(uint64_t), half = words / 2;
	const char *p = rec;
	uint64_t last = 0;

	A_FENCE(O_WRITE_FENCE);
	ring_core_write(dst, p, half);
	FAULT(COPY_HALF);
	ring_core_write(dst + half, p + half * sizeof(uint64_t), words - half);
	if (len % sizeof(uint64_t) != 0) {
		memcpy(&last, p + words * sizeof(uint64_t),
		    len % sizeof(uint64_t));
		ring_core_write(dst + words, &last, 1);
	}
}

/* --- publishing -------------------------------------------------------- */

/* The slot is won: from now on the record's place in the arena is taken. */
static void
arena_commit(struct ring_producer *p, uint64_t gseq, uint32_t at, uint32_t need)
{
	struct ring_unfreed *u;

	u = &p->fifo[(p->head + p->count) & (p->cap - 1)];
	u->gseq = gseq;
	u->end = at + need;
	p->count++;
	p->pos = u->end;
	p->last = gseq + 1;
	p->since_kick += need;
}

/* There will never be room again in a ring that is closed. */
static int
ring_full(struct ring *r)
{
	uint64_t end;

	if (ring_closed(r, &end)) {
		errno = ESHUTDOWN;
		return -1;
	}
	(void)A_ADD(&r->control->full.v, 1, A_RELAXED);
	errno = EAGAIN;
	return -1;
}

static enum ring_core_result
ring_win_slot(struct ring *r, uint32_t granule, uint64_t *gseq_r)
{
	struct ring_producer *p = &r->prod;
	enum ring_core_result res;
	uint64_t free = 0;

	do {
		res = ring_core_publish(&r->core, p->arena, granule, p->last,
		    gseq_r, &free);
	} while (res == RING_CORE_FULL && r->geo.kind == RING_LIVE &&
	    ring_live_raise(r, free, *gseq_r));
	return res;
}

int
ring_publish(struct ring *r, const void *rec, size_t len, uint64_t *gseq_r)
{
	struct ring_producer *p = &r->prod;
	enum ring_core_result res;
	struct record h;
	uint64_t gseq;
	uint32_t need;
	int64_t at;

	if (len > r->max_record) {
		errno = EMSGSIZE;
		return -1;
	}
	if (len >= sizeof(h))
		memcpy(&h, rec, sizeof(h));
	if (len < sizeof(h) || h.len != len) {
		errno = EINVAL;
		return -1;
	}
	need = (uint32_t)((len + RING_GRANULE - 1) / RING_GRANULE);
	if ((at = arena_alloc(r, need)) == -1)
		return ring_full(r);
	FAULT(ARENA_ALLOC);

	arena_write(p->mem + (size_t)at * (RING_GRANULE / sizeof(uint64_t)),
	    rec, len);
	res = ring_win_slot(r, (uint32_t)at, &gseq);
	if (res == RING_CORE_CLOSED) {
		/* what is in our arena was never published */
		errno = ESHUTDOWN;
		return -1;
	}
	if (res != RING_CORE_PUBLISHED)
		return ring_full(r);
	FAULT(AFTER_HINT);
	arena_commit(p, gseq, (uint32_t)at, need);
	if (r->wake != NULL && r->geo.kind == RING_LOG)
		(void)wake_one(r->wake, WAKE_SCRIBE);
	else if (r->wake != NULL)
		ring_live_wake(r, h.room, gseq);
	*gseq_r = gseq;
	return 0;
}

void
ring_want_space(struct ring *r, unsigned slot)
{
	CHECK(slot < RING_MAX_CONSUMERS);
	if (r->geo.kind != RING_LOG)
		return;
	(void)A_OR(&r->control->space_wait.v, ring_bit(slot), O_WANT);
	if (r->wake != NULL)
		(void)wake_one(r->wake, WAKE_SCRIBE);
}
