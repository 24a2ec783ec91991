/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_counter - what counter.h promises.
 */

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "shm/counter.h"
#include "shm/tables.h"
#include "tests/unit/tables_fixture.h"

static void
counters_add_up_over_all_rows(void **state)
{
	struct tables *t = *state, *o = small_tables_again(t);
	unsigned row;

	for (row = 0; row < COUNTER_ROWS; row++)
		counter_add(t, row, COUNTER_DELIVERIES, row + 1);
	counter_add(t, 3, COUNTER_BYTES_OUT, UINT64_C(1) << 40);
	counter_add(t, 3, COUNTER_DELIVERIES, 0);
	assert_int_equal(counter_get(o, 3, COUNTER_DELIVERIES), 4);
	assert_int_equal(counter_sum(o, COUNTER_DELIVERIES),
	    COUNTER_ROWS * (COUNTER_ROWS + 1) / 2);
	assert_int_equal(counter_sum(o, COUNTER_BYTES_OUT), UINT64_C(1) << 40);
	assert_int_equal(counter_sum(o, COUNTER_BYTES_IN), 0);
	tables_free(&o);
}

static void
every_counter_has_a_place_of_its_own(void **state)
{
	struct tables *t = *state;
	enum counter c;
	enum gauge g;
	enum hist h;
	struct hist_sum s;

	for (c = 0; c < COUNTER__MAX; c++)
		counter_add(t, COUNTER_SCRIBE, c, c + 1);
	for (g = 0; g < GAUGE__MAX; g++)
		gauge_set(t, COUNTER_SCRIBE, g, 1000 + (int64_t)g);
	for (h = 0; h < HIST__MAX; h++)
		hist_add(t, COUNTER_SCRIBE, h, 2000 + h);
	for (c = 0; c < COUNTER__MAX; c++)
		assert_int_equal(counter_sum(t, c), c + 1);
	for (g = 0; g < GAUGE__MAX; g++)
		assert_int_equal(gauge_sum(t, g), 1000 + g);
	for (h = 0; h < HIST__MAX; h++) {
		hist_sum(t, h, &s);
		assert_int_equal(s.count, 1);
		assert_int_equal(s.sum, 2000 + h);
	}
}

static void
gauges_go_up_and_down(void **state)
{
	struct tables *t = *state;

	gauge_add(t, 0, GAUGE_ROOMS, 5);
	gauge_add(t, 0, GAUGE_ROOMS, -2);
	gauge_add(t, 1, GAUGE_ROOMS, -1);
	gauge_set(t, 2, GAUGE_ROOMS, 10);
	assert_int_equal(gauge_get(t, 0, GAUGE_ROOMS), 3);
	assert_int_equal(gauge_get(t, 1, GAUGE_ROOMS), -1);
	assert_int_equal(gauge_sum(t, GAUGE_ROOMS), 12);
}

static void
counters_survive_the_worker_and_gauges_do_not(void **state)
{
	struct tables *t = *state;
	struct hist_sum s;
	enum gauge g;

	for (g = 0; g < GAUGE__MAX; g++) {
		gauge_add(t, 4, g, 7);
		gauge_add(t, 5, g, 1);
	}
	counter_add(t, 4, COUNTER_CLOSED, 7);
	hist_add(t, 4, HIST_TURN, 7);
	counter_row_dead(t, 4);
	for (g = 0; g < GAUGE__MAX; g++)
		assert_int_equal(gauge_sum(t, g), 1);
	assert_int_equal(counter_sum(t, COUNTER_CLOSED), 7);
	hist_sum(t, HIST_TURN, &s);
	assert_int_equal(s.count, 1);
}

static void
check_names(const char *const *names, const char *const *helps, size_t n)
{
	size_t i, k;

	for (i = 0; i < n; i++) {
		assert_int_not_equal(names[i][0], '\0');
		assert_int_equal(strspn(names[i],
				     "abcdefghijklmnopqrstuvwxyz_"),
		    strlen(names[i]));
		assert_true(strlen(helps[i]) > 4);
		for (k = 0; k < i; k++)
			assert_string_not_equal(names[i], names[k]);
	}
}

static void
names_are_fit_for_metrics_and_differ(void **state)
{
	const char *name[COUNTER__MAX + GAUGE__MAX + HIST__MAX];
	const char *help[COUNTER__MAX + GAUGE__MAX + HIST__MAX];
	enum counter c;
	enum gauge g;
	enum hist h;
	size_t n = 0;

	for (c = 0; c < COUNTER__MAX; c++, n++) {
		name[n] = counter_name(c);
		help[n] = counter_help(c);
	}
	for (g = 0; g < GAUGE__MAX; g++, n++) {
		name[n] = gauge_name(g);
		help[n] = gauge_help(g);
	}
	for (h = 0; h < HIST__MAX; h++, n++) {
		name[n] = hist_name(h);
		help[n] = hist_help(h);
		assert_int_not_equal(hist_unit(h)[0], '\0');
	}
	check_names(name, help, n);
	assert_string_equal(counter_name(COUNTER_ACCEPTED), "accepted");
	assert_string_equal(gauge_name(GAUGE_SOCKETS), "sockets");
	assert_string_equal(hist_name(HIST_COMMIT), "commit");
	assert_string_equal(hist_unit(HIST_COMMIT), "us");
}

/* --- histograms -------------------------------------------------------- */

/* The bucket that a single value falls into. */
static unsigned
bucket_of(struct tables *t, uint64_t value)
{
	struct hist_sum before, after;
	unsigned i, found = HIST_BUCKETS;

	hist_sum(t, HIST_TURN, &before);
	hist_add(t, 0, HIST_TURN, value);
	hist_sum(t, HIST_TURN, &after);
	assert_int_equal(after.count, before.count + 1);
	assert_int_equal(after.sum, before.sum + value);
	for (i = 0; i < HIST_BUCKETS; i++) {
		if (after.bucket[i] == before.bucket[i])
			continue;
		assert_int_equal(after.bucket[i], before.bucket[i] + 1);
		assert_int_equal(found, HIST_BUCKETS);
		found = i;
	}
	return found;
}

static void
each_value_falls_into_its_bucket(void **state)
{
	struct tables *t = *state;
	uint64_t max, value;
	unsigned i;

	for (i = 0; i < HIST_BUCKETS - 1; i++) {
		max = hist_bucket_max(i);
		assert_int_equal(bucket_of(t, max), i);
		assert_int_equal(bucket_of(t, max + 1), i + 1);
	}
	assert_int_equal(hist_bucket_max(0), 0);
	assert_int_equal(hist_bucket_max(HIST_BUCKETS - 2),
	    (UINT64_C(1) << 30) - 1);
	assert_int_equal(bucket_of(t, UINT64_MAX / 4), HIST_BUCKETS - 1);

	/* a bucket's end is at most a quarter above what is in it */
	for (value = 0; value < 100000; value++) {
		max = hist_bucket_max(bucket_of(t, value));
		assert_true(max >= value);
		assert_true(max <= value + value / 4);
		if (value >= 4096)
			value += 97;
	}
}

static int
compare(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void
percentiles_are_never_too_low_and_little_too_high(void **state)
{
	static const double percent[] = { 0.1, 1, 10, 25, 50, 75, 90, 99, 99.9,
		100 };
	static uint64_t value[5000];
	struct tables *t = *state;
	struct hist_sum s;
	uint64_t exact, got;
	size_t i, rank;

	srandom(1);
	for (i = 0; i < 5000; i++) {
		value[i] = (uint64_t)random() >> (random() % 28 + 3);
		hist_add(t, i % COUNTER_ROWS, HIST_COMMIT, value[i]);
	}
	qsort(value, 5000, sizeof(value[0]), compare);
	hist_sum(t, HIST_COMMIT, &s);
	assert_int_equal(s.count, 5000);
	for (i = 0; i < sizeof(percent) / sizeof(percent[0]); i++) {
		rank = (size_t)(5000 * percent[i] / 100);
		exact = value[rank - 1];
		got = hist_percentile(&s, percent[i]);
		assert_true(got >= exact);
		assert_true(got <= exact + exact / 4);
	}
}

static void
percentiles_have_ends(void **state)
{
	struct tables *t = *state;
	struct hist_sum s;

	hist_sum(t, HIST_BATCH, &s);
	assert_int_equal(hist_percentile(&s, 50), 0);
	hist_add(t, 0, HIST_BATCH, 5);
	hist_sum(t, HIST_BATCH, &s);
	assert_int_equal(hist_percentile(&s, 0), 5);
	assert_int_equal(hist_percentile(&s, 50), 5);
	assert_int_equal(hist_percentile(&s, 100), 5);
	hist_add(t, 0, HIST_BATCH, UINT64_C(1) << 40);
	hist_sum(t, HIST_BATCH, &s);
	assert_int_equal(hist_percentile(&s, 50), 5);
	assert_int_equal(hist_percentile(&s, 100), UINT64_C(1) << 30);
}

static void
rows_can_be_summed_alone(void **state)
{
	struct tables *t = *state;
	struct hist_sum s = { 0 };

	hist_add(t, 2, HIST_DURABLE, 10);
	hist_add(t, 3, HIST_DURABLE, 1000);
	hist_add(t, 4, HIST_DURABLE, 7);
	hist_sum_row(t, 2, HIST_DURABLE, &s);
	assert_int_equal(s.count, 1);
	assert_int_equal(s.sum, 10);
	hist_sum_row(t, 4, HIST_DURABLE, &s);
	assert_int_equal(s.count, 2);
	assert_int_equal(s.sum, 17);
	assert_int_equal(hist_percentile(&s, 50), 7);
}

/* --- all at once ------------------------------------------------------- */

#define THREADS 4
#define ADDS 100000

struct adder {
	const struct tables *tables;
	unsigned row;
};

static void *
add_many(void *arg)
{
	const struct adder *a = arg;
	unsigned i;

	for (i = 0; i < ADDS; i++) {
		counter_add(a->tables, a->row, COUNTER_FRAMES_IN, 3);
		gauge_add(a->tables, a->row, GAUGE_CHUNKS, i % 2 ? 2 : -1);
		hist_add(a->tables, a->row, HIST_TURN, i % 100);
	}
	return NULL;
}

static void
nothing_is_lost_while_all_count(void **state)
{
	struct tables *t = *state;
	struct adder a[THREADS];
	pthread_t thread[THREADS];
	struct hist_sum s;
	uint64_t last = 0, now;
	unsigned i;

	for (i = 0; i < THREADS; i++) {
		a[i] = (struct adder){ t, i };
		assert_int_equal(pthread_create(&thread[i], NULL, add_many,
				     &a[i]),
		    0);
	}
	/* whoever reads meanwhile sees them grow */
	for (i = 0; i < 1000; i++) {
		now = counter_sum(t, COUNTER_FRAMES_IN);
		assert_true(now >= last);
		assert_int_equal(now % 3, 0);
		last = now;
	}
	for (i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(thread[i], NULL), 0);
	assert_int_equal(counter_sum(t, COUNTER_FRAMES_IN), 3 * THREADS * ADDS);
	assert_int_equal(gauge_sum(t, GAUGE_CHUNKS), THREADS * ADDS / 2);
	hist_sum(t, HIST_TURN, &s);
	assert_int_equal(s.count, THREADS * ADDS);
	assert_int_equal(s.sum, UINT64_C(4950) * THREADS * ADDS / 100);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(counters_add_up_over_all_rows),
		T(every_counter_has_a_place_of_its_own),
		T(gauges_go_up_and_down),
		T(counters_survive_the_worker_and_gauges_do_not),
		T(names_are_fit_for_metrics_and_differ),
		T(each_value_falls_into_its_bucket),
		T(percentiles_are_never_too_low_and_little_too_high),
		T(percentiles_have_ends),
		T(rows_can_be_summed_alone),
		T(nothing_is_lost_while_all_count),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
