/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * clock - the two times there are.
 */

#include "common/clock.h"

#include <time.h>

static const struct clock_shift none;
static const struct clock_shift *shift = &none;

void
clock_set_shift(const struct clock_shift *s)
{
	shift = s != NULL ? s : &none;
}

uint64_t
clock_mono_ns(void)
{
	struct timespec ts;

	/* cannot fail with this clock and a valid pointer */
	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * CLOCK_S_NS + (uint64_t)ts.tv_nsec +
	    (uint64_t)shift->mono_ns;
}

uint64_t
clock_mono_ms(void)
{
	return clock_mono_ns() / CLOCK_MS_NS;
}

uint64_t
clock_real_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / CLOCK_MS_NS +
	    (uint64_t)shift->real_ms;
}
