/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * hist - see hist.h.
 */

#include "tests/bench/hist.h"

#include <math.h>
#include <stddef.h>

static unsigned
bucket_of(uint64_t ns)
{
	unsigned shift;

	if (ns >> HIST_BITS != 0)
		return HIST_SIZE - 1;
	if (ns >> (HIST_SUB + 1) == 0)
		return (unsigned)ns;
	shift = 63 - (unsigned)__builtin_clzll(ns) - HIST_SUB;
	return (shift << HIST_SUB) + (unsigned)(ns >> shift);
}

/* The largest duration that falls into bucket 'b'. */
static uint64_t
bucket_end(unsigned b)
{
	unsigned shift;

	if (b >> (HIST_SUB + 1) == 0)
		return b;
	shift = (b >> HIST_SUB) - 1;
	return ((uint64_t)(b - (shift << HIST_SUB) + 1) << shift) - 1;
}

void
hist_add(struct hist *h, uint64_t ns)
{
	h->n++;
	if (ns > h->max)
		h->max = ns;
	h->bucket[bucket_of(ns)]++;
}

uint64_t
hist_at(const struct hist *h, double q)
{
	uint64_t want = (uint64_t)ceil(q * (double)h->n);
	uint64_t sum = 0;
	unsigned b;

	if (h->n == 0)
		return 0;
	for (b = 0; b < HIST_SIZE - 1; b++) {
		sum += h->bucket[b];
		if (sum >= want)
			break;
	}
	return bucket_end(b) < h->max ? bucket_end(b) : h->max;
}
