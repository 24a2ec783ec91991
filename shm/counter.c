/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "shm/counter.h"

#include "common/log.h"

/* values below this have a bucket each, those above four an octave */
#define EXACT 8
#define TOP (UINT64_C(1) << 30)

struct hist_text {
	const char *name;
	const char *unit;
	const char *help;
};

static const char *const counter_text[COUNTER__MAX][2] = {
#define COUNTER(NAME, name, help) { name, help },
#include "shm/tbl_counters.h"
};

static const char *const gauge_text[GAUGE__MAX][2] = {
#define GAUGE(NAME, name, help) { name, help },
#include "shm/tbl_counters.h"
};

static const struct hist_text hist_text[HIST__MAX] = {
#define HISTOGRAM(NAME, name, unit, help) { name, unit, help },
#include "shm/tbl_counters.h"
};

static uint64_t
get(const _Atomic uint64_t *p)
{
	return atomic_load_explicit(p, memory_order_relaxed);
}

static void
add(_Atomic uint64_t *p, uint64_t n)
{
	atomic_store_explicit(p, get(p) + n, memory_order_relaxed);
}

static unsigned
bucket_of(uint64_t value)
{
	unsigned octave;

	if (value < EXACT)
		return (unsigned)value;
	if (value >= TOP)
		return HIST_BUCKETS - 1;
	octave = 63 - (unsigned)__builtin_clzll(value);
	return EXACT + (octave - 3) * 4 + (unsigned)(value >> (octave - 2) & 3);
}

uint64_t
hist_bucket_max(unsigned bucket)
{
	unsigned octave;

	CHECK(bucket < HIST_BUCKETS);
	if (bucket < EXACT)
		return bucket;
	if (bucket == HIST_BUCKETS - 1)
		return TOP;
	octave = 3 + (bucket - EXACT) / 4;
	return ((UINT64_C(5) + (bucket - EXACT) % 4) << (octave - 2)) - 1;
}

void
hist_add(const struct tables *t, unsigned row, enum hist h, uint64_t value)
{
	struct hist_row *r = &t->counters[row].hist[h];

	add(&r->bucket[bucket_of(value)], 1);
	add(&r->sum, value);
}

uint64_t
counter_get(const struct tables *t, unsigned row, enum counter c)
{
	return get(&t->counters[row].counter[c]);
}

uint64_t
counter_sum(const struct tables *t, enum counter c)
{
	uint64_t sum = 0;
	unsigned row;

	for (row = 0; row < COUNTER_ROWS; row++)
		sum += counter_get(t, row, c);
	return sum;
}

int64_t
gauge_get(const struct tables *t, unsigned row, enum gauge g)
{
	return atomic_load_explicit(&t->counters[row].gauge[g],
	    memory_order_relaxed);
}

int64_t
gauge_sum(const struct tables *t, enum gauge g)
{
	int64_t sum = 0;
	unsigned row;

	for (row = 0; row < COUNTER_ROWS; row++)
		sum += gauge_get(t, row, g);
	return sum;
}

void
hist_sum_row(const struct tables *t, unsigned row, enum hist h,
    struct hist_sum *sum_r)
{
	const struct hist_row *r = &t->counters[row].hist[h];
	unsigned i;
	uint64_t n;

	for (i = 0; i < HIST_BUCKETS; i++) {
		n = get(&r->bucket[i]);
		sum_r->bucket[i] += n;
		sum_r->count += n;
	}
	sum_r->sum += get(&r->sum);
}

void
hist_sum(const struct tables *t, enum hist h, struct hist_sum *sum_r)
{
	unsigned row;

	*sum_r = (struct hist_sum){ 0 };
	for (row = 0; row < COUNTER_ROWS; row++)
		hist_sum_row(t, row, h, sum_r);
}

uint64_t
hist_percentile(const struct hist_sum *s, double percent)
{
	double want = (double)s->count * percent / 100;
	uint64_t seen = 0;
	unsigned i, last = 0;

	for (i = 0; i < HIST_BUCKETS; i++) {
		if (s->bucket[i] == 0)
			continue;
		seen += s->bucket[i];
		last = i;
		if ((double)seen >= want)
			break;
	}
	return s->count == 0 ? 0 : hist_bucket_max(last);
}

const char *
counter_name(enum counter c)
{
	return counter_text[c][0];
}

const char *
counter_help(enum counter c)
{
	return counter_text[c][1];
}

const char *
gauge_name(enum gauge g)
{
	return gauge_text[g][0];
}

const char *
gauge_help(enum gauge g)
{
	return gauge_text[g][1];
}

const char *
hist_name(enum hist h)
{
	return hist_text[h].name;
}

const char *
hist_unit(enum hist h)
{
	return hist_text[h].unit;
}

const char *
hist_help(enum hist h)
{
	return hist_text[h].help;
}

void
counter_row_dead(const struct tables *t, unsigned row)
{
	enum gauge g;

	for (g = 0; g < GAUGE__MAX; g++)
		gauge_set(t, row, g, 0);
}
