/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * The live ring has no scribe: who finds it full makes room.
 */

#include "shm/ring_impl.h"

static bool
live_raise(struct ring *r, uint64_t free, uint64_t end, uint64_t laggard)
{
	unsigned evicted = 0;
	bool moved;

	moved = ring_core_raise(&r->core, free, end, laggard, &evicted);
	if (evicted > 0)
		(void)A_ADD(&r->control->evictions.v, evicted, A_RELAXED);
	return moved;
}

/* All slots are taken: whoever is more than 3/4 of them behind has to go. */
bool
ring_live_raise(struct ring *r, uint64_t free, uint64_t end)
{
	return live_raise(r, free, end, end - r->core.n / 4 * 3);
}

/*
 * Our own arena or quota is used up.  First let go what all have read; then
 * ('evict') whoever holds more than 3/4 of our records.
 */
bool
ring_live_reclaim(struct ring *r, bool evict)
{
	const struct ring_producer *p = &r->prod;
	uint64_t free = A_LOAD(r->core.free_seq, O_FREE_SEEN);
	uint64_t laggard = 0, i;

	if (p->count == 0)
		return false;
	if (evict) {
		i = p->head + p->count / 4;
		laggard = p->fifo[i & (p->cap - 1)].gseq + 1;
	}
	/* all below our own last record is published */
	return live_raise(r, free, p->last, laggard);
}

/*
 * Let go what all have read, though nobody needs the room now, and wake who
 * has not read all: for an arena that is to drain.
 */
void
ring_live_settle(struct ring *r)
{
	uint64_t free = A_LOAD(r->core.free_seq, O_FREE_SEEN);

	(void)live_raise(r, free, ring_end_from(r, free), 0);
	if (r->wake != NULL)
		wake_workers(r->wake, ~(uint64_t)0);
}

/*
 * Wake whoever sleeps and wants this room.  Eight times a round, of the
 * slots or of our arena, wake everybody, lest somebody who wants nothing
 * holds the ring up until it is evicted.
 */
void
ring_live_wake(struct ring *r, uint64_t room, uint64_t gseq)
{
	struct ring_producer *p = &r->prod;
	uint64_t mask = ~(uint64_t)0;
	bool all = gseq % (r->core.n / 8) == 0;

	if (p->since_kick >= p->granules / 8) {
		p->since_kick = 0;
		all = true;
	}
	if (wake_sleepers(r->wake) == 0)
		return;
	if (!all && r->follow != NULL && room != 0)
		mask = A_LOAD(ring_interest_word(r->follow, room), O_WANT);
	wake_workers(r->wake, mask);
}
