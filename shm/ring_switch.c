/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * From one ring to the next: closing, taking a seat, going on.
 */

#include <errno.h>

#include "common/log.h"
#include "shm/ring.h"
#include "shm/ring_impl.h"

int
ring_close(struct ring *r, uint64_t base, uint64_t *end_r)
{
	enum ring_core_result res;
	uint64_t free = 0, end;

	do {
		res = ring_core_close(&r->core, base, &end, &free);
	} while (res == RING_CORE_FULL && r->geo.kind == RING_LIVE &&
	    ring_live_raise(r, free, end));
	switch (res) {
	case RING_CORE_PUBLISHED:
		FAULT(RING_CLOSED);
		/* nothing hangs on its order: the slot's word is the truth */
		A_STORE(&r->control->closed.v, end + 1, A_RELAXED);
		*end_r = end;
		return 0;
	case RING_CORE_CLOSED:
		errno = EALREADY;
		return -1;
	case RING_CORE_LATE:
		errno = ERANGE;
		return -1;
	case RING_CORE_FULL:
	case RING_CORE_STUCK:
		break;
	}
	errno = EAGAIN;
	return -1;
}

bool
ring_closed(const struct ring *r, uint64_t *end_r)
{
	uint64_t closed = A_LOAD(&r->control->closed.v, A_RELAXED);

	if (closed == 0)
		return false;
	*end_r = closed - 1;
	return true;
}

bool
ring_ends_at(const struct ring *r, uint64_t cursor)
{
	return ring_core_is_closed(&r->core, cursor);
}

/*
 * Nobody publishes, admits or raises here before the old ring is closed,
 * and that comes after our answer to the master: so there is nobody to race
 * with, and the cursor holds the first record from the beginning.
 */
void
ring_seat(struct ring *r, unsigned slot, uint32_t incarnation)
{
	struct ring_consumer *k;

	CHECK(slot < RING_MAX_CONSUMERS);
	k = &r->core.consumer[slot];
	r->active = (uint64_t)incarnation << 32 |
	    ((A_LOAD(&k->state, A_RELAXED) + RING_SESSION_ONE) &
		RING_SESSION_MASK) |
	    RING_ACTIVE;
	A_STORE(&k->cursor, r->base, A_RELAXED);
	A_STORE(&k->join_pos, r->base, A_RELAXED);
	(void)A_SWAP(&k->state, r->active, O_STATE_JOIN);
}

/* The words are the same in both: they come from the rooms' numbers. */
void
ring_mirror_interest(struct ring *r, unsigned slot, struct ring *next)
{
	size_t i;

	CHECK(r->geo.kind == RING_LOG && slot < RING_MAX_CONSUMERS);
	r->mirror = next;
	if (next == NULL)
		return;
	CHECK(next->geo.kind == RING_LOG);
	for (i = 0; i < RING_INTEREST; i++) {
		if (r->rooms[i] == 0)
			continue;
		next->rooms[i] = r->rooms[i];
		(void)A_OR(&next->interest[i], ring_bit(slot), O_WANT);
	}
}
