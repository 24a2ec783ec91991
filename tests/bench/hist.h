/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * hist - a histogram of durations: exact below 64 ns, then 32 steps to each
 * doubling, so that a percentile is never more than 3.2% off.
 */

#ifndef BENCH_HIST_H
#define BENCH_HIST_H

#include <stdint.h>

/* 2^44 ns are almost five hours; what takes longer counts as that */
#define HIST_BITS 44
#define HIST_SUB 5
#define HIST_SIZE ((HIST_BITS - HIST_SUB + 1) << HIST_SUB)

struct hist {
	uint64_t n;
	uint64_t max;
	uint64_t bucket[HIST_SIZE];
};

void hist_add(struct hist *h, uint64_t ns);

/*
 * The duration in ns that a share 'q' (0..1) of all stayed at or below,
 * rounded up to the end of its step; 0 if there is none.
 */
uint64_t hist_at(const struct hist *h, double q);

#endif /* BENCH_HIST_H */
