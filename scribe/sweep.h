/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * sweep - deletes recovery rows whose window is over.
 *
 * It walks through all of them every few seconds, a slice at a time; a slice
 * in which something is deleted is one small transaction.  Nobody depends on
 * when that happens: who reads a row looks at its window.
 */

#ifndef SCRIBE_SWEEP_H
#define SCRIBE_SWEEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/write.h"

/* rows looked at in one turn; between two turns, and two walks */
#define SWEEP_SLICE 256
#define SWEEP_SLICE_NS 20000000ULL
#define SWEEP_WALK_NS 5000000000ULL

struct sweep {
	struct store *store;
	struct store_place place;
	uint64_t next_ns;
	uint64_t deleted;
	bool failing;
};

/* 's' must outlive it. */
void sweep_init(struct sweep *sw, struct store *s);

/*
 * Do a slice if it is time for one (now_ns: CLOCK_MONOTONIC).  Not while a
 * transaction of the store is under way.  What was lost behind 'future_ms'
 * is of a clock that was set back since, and is over too.
 */
void sweep_turn(struct sweep *sw, uint64_t now_ns, uint64_t now_ms,
    uint64_t window_ms, uint64_t future_ms);

/* When there is something to do again. */
uint64_t sweep_next(const struct sweep *sw);
/* Rows that were deleted. */
uint64_t sweep_count(const struct sweep *sw);

#endif /* SCRIBE_SWEEP_H */
