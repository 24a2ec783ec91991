/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * What a test's own work took, whatever else the machine did.
 */

#ifndef UNIT_CPU_TIME_H
#define UNIT_CPU_TIME_H

#include <time.h>

/* CPU time of this process in ms, since its beginning. */
static inline double
cpu_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

#endif /* UNIT_CPU_TIME_H */
