/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * The master's side: who owns which arena, and what becomes of it after a
 * death.  Only the master writes the arena table.
 *
 * "Dead" means reaped.  A process that has merely not been heard of may be
 * stopped, and write tomorrow.
 */

#include <errno.h>

#include "common/log.h"
#include "shm/ring.h"
#include "shm/ring_impl.h"

/* The first arena that nobody owns or has to drain any more, or -1. */
static int
ring_arena_free(const struct ring *r)
{
	uint64_t free = ring_free_seq(r), owner;
	unsigned i = r->geo.kind == RING_LOG ? RING_SCRIBE_ARENA + 1 : 0;
	const struct ring_arena *a;

	for (; i < r->geo.narenas; i++) {
		a = &r->arena_table[i];
		owner = A_LOAD(&a->owner, A_ACQUIRE);
		if (ring_owner_state(owner) == RING_ARENA_FREE ||
		    (ring_owner_state(owner) == RING_ARENA_DRAINING &&
			free >= A_LOAD(&a->drain, A_RELAXED)))
			return (int)i;
	}
	return -1;
}

int
ring_arena_take(struct ring *r, unsigned slot, uint32_t incarnation)
{
	int i;

	CHECK(slot < RING_MAX_CONSUMERS);
	i = ring_arena_free(r);
	if (i == -1 && r->geo.kind == RING_LIVE) {
		/* a live ring that is never full never drains by itself */
		ring_live_settle(r);
		i = ring_arena_free(r);
	}
	if (i == -1) {
		errno = EAGAIN;
		return -1;
	}
	A_STORE(&r->arena_table[i].owner,
	    ring_arena_owner(RING_ARENA_USED, slot, incarnation), A_RELEASE);
	return i;
}

/* All that the dead have published is below this: the kernel's wait() put
 * their last store before our load. */
static uint64_t
ring_reaped_end(const struct ring *r)
{
	return ring_end_from(r, ring_free_seq(r));
}

uint64_t
ring_worker_dead(struct ring *r, unsigned slot, unsigned arena)
{
	struct ring_consumer *k;
	struct ring_arena *a;
	uint64_t word, end;
	size_t i;

	CHECK(slot < RING_MAX_CONSUMERS && arena < r->geo.narenas);
	k = &r->core.consumer[slot];
	word = A_LOAD(&k->state, O_STATE_SEEN);
	/* the scribe may be admitting or evicting it just now */
	while (!A_CAS(&k->state, &word, ring_state_word(word, RING_DEAD),
	    O_STATE_JOIN))
		continue;
	end = ring_reaped_end(r);
	a = &r->arena_table[arena];
	A_STORE(&a->drain, end, A_RELAXED);
	A_STORE(&a->owner,
	    ring_state_word(A_LOAD(&a->owner, A_RELAXED), RING_ARENA_DRAINING),
	    A_RELEASE);
	(void)A_AND(&r->control->space_wait.v, ~ring_bit(slot), O_WANT);
	(void)A_AND(&r->control->joining.v, ~ring_bit(slot), O_WANT);
	for (i = 0; r->geo.kind == RING_LOG && i < RING_INTEREST; i++)
		if ((A_LOAD(&r->interest[i], A_RELAXED) & ring_bit(slot)) != 0)
			(void)A_AND(&r->interest[i], ~ring_bit(slot), O_WANT);
	/* what it held up may go on */
	if (r->geo.kind == RING_LOG && r->wake != NULL)
		(void)wake_one(r->wake, WAKE_SCRIBE);
	return end;
}

void
ring_scribe_dead(struct ring *r)
{
	CHECK(r->geo.kind == RING_LOG);
	A_STORE(&r->arena_table[RING_SCRIBE_ARENA].drain, ring_reaped_end(r),
	    A_RELEASE);
}
