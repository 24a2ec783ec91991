/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "scribe/steps.h"

#include <string.h>

#include "common/clock.h"

/* The wall clock is 'step' ms further than it should be. */
static int64_t
stepped(struct steps *st, int64_t step)
{
	uint64_t ms = (uint64_t)(step < 0 ? -step : step);

	if (ms < STEPS_MIN_MS)
		return 0;
	st->now.held_ns = st->mono_ns + STEPS_HOLD_NS;
	if (step > 0) {
		st->now.ahead_ms += ms;
		st->now.ahead_ns = st->mono_ns;
	} else {
		/* set right again, perhaps */
		st->now.ahead_ms -=
		    ms < st->now.ahead_ms ? ms : st->now.ahead_ms;
	}
	return step;
}

int64_t
steps_begin(struct steps *st, uint64_t mono_ns, uint64_t real_ms,
    uint64_t written_ms, const struct steps_state *before)
{
	memset(st, 0, sizeof(*st));
	if (before != NULL)
		st->now = *before;
	st->mono_ns = mono_ns;
	st->real_ms = real_ms;
	if (written_ms == 0)
		return 0;
	return stepped(st, (int64_t)(real_ms - written_ms));
}

int64_t
steps_look(struct steps *st, uint64_t mono_ns, uint64_t real_ms)
{
	uint64_t passed_ms = (mono_ns - st->mono_ns) / CLOCK_MS_NS;
	int64_t step = (int64_t)(real_ms - (st->real_ms + passed_ms));

	st->mono_ns = mono_ns;
	st->real_ms = real_ms;
	return stepped(st, step);
}

bool
steps_held(const struct steps *st, uint64_t mono_ns)
{
	return st->now.held_ns != 0 && mono_ns < st->now.held_ns;
}

uint64_t
steps_window_now(const struct steps *st, uint64_t window_ms)
{
	const struct steps_state *s = &st->now;

	if (s->ahead_ms == 0 || s->ahead_ms > st->real_ms ||
	    (st->mono_ns - s->ahead_ns) / CLOCK_MS_NS >= window_ms)
		return st->real_ms;
	return st->real_ms - s->ahead_ms;
}
