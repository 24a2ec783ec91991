/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * backoff - when a child that died is started again.
 */

#include "master/backoff.h"

uint64_t
backoff_died(struct backoff *b, uint64_t ready_for_ms, bool worked)
{
	uint64_t max = worked ? BACKOFF_MAX_WORKED_MS : BACKOFF_MAX_MS;
	uint64_t delay = BACKOFF_FIRST_MS;

	if (ready_for_ms >= BACKOFF_EARLY_MS) {
		b->early = 0;
		return 0;
	}
	if (b->early < UINT32_MAX)
		b->early++;
	if (b->early == 1)
		return 0;
	for (unsigned i = 2; i < b->early && delay < max; i++)
		delay *= 2;
	return delay < max ? delay : max;
}

bool
backoff_hopeless(const struct backoff *b, bool worked)
{
	return !worked && b->early >= BACKOFF_GIVE_UP;
}

bool
burst_add(struct burst *b, uint64_t now_ms)
{
	/* at 'next' stands the oldest of the last BURST_MAX */
	bool full = b->n == BURST_MAX;
	bool many = full && now_ms - b->at_ms[b->next] < BURST_MS;

	b->at_ms[b->next] = now_ms;
	b->next = (b->next + 1) % BURST_MAX;
	if (!full)
		b->n++;
	return many;
}
