/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * gcra - a rate limit in one word: the theoretical arrival time.
 *
 * Of 'per_minute' events all may come at once, the next ones every
 * minute / per_minute.  The word says when the last of those that were let
 * in would have come, had they come evenly; it lies at most a minute ahead.
 * One word, so that a compare-and-swap changes it and a killed process
 * leaves nothing half done.
 *
 * 'shed' makes it stricter for who has come often lately, and for nobody
 * else: only the 2^shed-th part may come at once.  The pace stays.
 */

#ifndef SHM_GCRA_H
#define SHM_GCRA_H

#include <stdint.h>

/* How far one event moves the word; 'minute' in the caller's unit. */
static inline uint64_t
gcra_step(uint64_t minute, uint32_t per_minute)
{
	uint64_t step = minute / per_minute;

	return step == 0 ? 1 : step;
}

/*
 * One event at 'now', the word being 'tat'.  Returns 0 and the new word in
 * *tat_r, or how long to wait.  'per_minute' is not 0.
 */
static inline uint64_t
gcra_charge(uint64_t tat, uint64_t now, uint64_t minute, uint32_t per_minute,
    unsigned shed, uint64_t *tat_r)
{
	uint64_t step = gcra_step(minute, per_minute);
	uint64_t burst = ((per_minute - 1) >> shed) * step;
	uint64_t t = tat > now ? tat : now;

	if (t - now > burst)
		return t - now - burst;
	*tat_r = t + step;
	return 0;
}

#endif /* SHM_GCRA_H */
