/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * counter - counters, gauges and histograms, in one row a process.
 *
 * A row has one writer, so an increment is a load and a store and no locked
 * instruction; readers in any process see whole words.  Rows belong to
 * places, not to processes: what a worker counted is still there when its
 * replacement goes on.  The list is tbl_counters.h.
 *
 * Histograms have four buckets an octave: a percentile read from one is at
 * most 25 % too high and never too low.
 */

#ifndef SHM_COUNTER_H
#define SHM_COUNTER_H

#include <stdint.h>

#include "shm/atomic.h"
#include "shm/tables.h"

/* Rows 0..63 are the workers by slot. */
#define COUNTER_SCRIBE 64
#define COUNTER_MASTER 65
#define COUNTER_BRIDGE 66
#define COUNTER_ROWS 67

enum counter {
#define COUNTER(NAME, name, help) COUNTER_##NAME,
#include "shm/tbl_counters.h"
	COUNTER__MAX,
};

enum gauge {
#define GAUGE(NAME, name, help) GAUGE_##NAME,
#include "shm/tbl_counters.h"
	GAUGE__MAX,
};

enum hist {
#define HISTOGRAM(NAME, name, unit, help) HIST_##NAME,
#include "shm/tbl_counters.h"
	HIST__MAX,
};

/* values from 0 to 2^30 - 1, and one bucket for all above */
#define HIST_BUCKETS 117

struct hist_row {
	_Atomic uint64_t sum;
	_Atomic uint64_t bucket[HIST_BUCKETS];
};

/* A process's row, as it lies in shared memory. */
struct counter_row {
	_Atomic uint64_t counter[COUNTER__MAX];
	_Atomic int64_t gauge[GAUGE__MAX];
	struct hist_row hist[HIST__MAX];
} __attribute__((aligned(128)));

/* What the rows of a histogram add up to. */
struct hist_sum {
	uint64_t count;
	uint64_t sum;
	uint64_t bucket[HIST_BUCKETS];
};

/* Add to the caller's own row. */
static inline void
counter_add(const struct tables *t, unsigned row, enum counter c, uint64_t n)
{
	_Atomic uint64_t *p = &t->counters[row].counter[c];

	atomic_store_explicit(p,
	    atomic_load_explicit(p, memory_order_relaxed) + n,
	    memory_order_relaxed);
}

static inline void
gauge_add(const struct tables *t, unsigned row, enum gauge g, int64_t n)
{
	_Atomic int64_t *p = &t->counters[row].gauge[g];

	atomic_store_explicit(p,
	    atomic_load_explicit(p, memory_order_relaxed) + n,
	    memory_order_relaxed);
}

static inline void
gauge_set(const struct tables *t, unsigned row, enum gauge g, int64_t n)
{
	atomic_store_explicit(&t->counters[row].gauge[g], n,
	    memory_order_relaxed);
}

void hist_add(const struct tables *t, unsigned row, enum hist h,
    uint64_t value);

/* One row's value, and all rows' together. */
uint64_t counter_get(const struct tables *t, unsigned row, enum counter c);
uint64_t counter_sum(const struct tables *t, enum counter c);
int64_t gauge_get(const struct tables *t, unsigned row, enum gauge g);
int64_t gauge_sum(const struct tables *t, enum gauge g);
void hist_sum(const struct tables *t, enum hist h, struct hist_sum *sum_r);

/* The same of one row; they add to what is in *sum_r. */
void hist_sum_row(const struct tables *t, unsigned row, enum hist h,
    struct hist_sum *sum_r);

/*
 * The value that 'percent' (0 to 100) of all values do not exceed: the
 * upper end of its bucket (2^30 for all that is larger).  0 if there are
 * none.
 */
uint64_t hist_percentile(const struct hist_sum *s, double percent);

/* The largest value that falls into a bucket. */
uint64_t hist_bucket_max(unsigned bucket);

const char *counter_name(enum counter c);
const char *counter_help(enum counter c);
const char *gauge_name(enum gauge g);
const char *gauge_help(enum gauge g);
const char *hist_name(enum hist h);
const char *hist_unit(enum hist h);
const char *hist_help(enum hist h);

/* The process of this row has been reaped: its gauges are 0.  Master. */
void counter_row_dead(const struct tables *t, unsigned row);

#endif /* SHM_COUNTER_H */
