/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "worker/overload.h"

/* a level up or down takes so long */
#define STEP_MS 1000
/* of one sample: a process that was stopped is not overloaded */
#define LATE_MAX_MS 1000

static void
sample(struct overload *o, uint64_t now_ms, unsigned period_ms)
{
	uint64_t late = now_ms - o->last_ms;

	if (o->last_ms != 0) {
		late = late > period_ms ? late - period_ms : 0;
		if (late > LATE_MAX_MS)
			late = LATE_MAX_MS;
		o->late += (unsigned)late - o->late / 16;
	}
	o->last_ms = now_ms;
}

static unsigned
worst(const struct overload *o, unsigned ring, unsigned chunks)
{
	unsigned late = o->late / 16 * 100 / OVERLOAD_LATE_MS;

	if (late < ring)
		late = ring;
	return late < chunks ? chunks : late;
}

bool
overload_tick(struct overload *o, uint64_t now_ms, unsigned period_ms,
    unsigned ring, unsigned chunks)
{
	unsigned sign;
	int way;

	sample(o, now_ms, period_ms);
	sign = worst(o, ring, chunks);
	way = (sign >= OVERLOAD_HIGH) - (sign < OVERLOAD_LOW);
	if (way != o->way) {
		o->way = way;
		o->since_ms = now_ms;
	}
	if (way == 0 || now_ms < o->since_ms + STEP_MS ||
	    o->level == (way > 0 ? OVERLOAD_LEVELS : 0))
		return false;
	o->level = way > 0 ? o->level + 1 : o->level - 1;
	o->since_ms = now_ms;
	return true;
}
