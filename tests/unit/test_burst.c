/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_burst - what burst.h promises.
 */

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "shm/burst.h"
#include "shm/tables.h"
#include "tests/unit/tables_fixture.h"

#define SECOND UINT64_C(1000000000)
#define NOW (1000 * SECOND)
#define LIMIT 10

static bool
says(struct tables *t, uint64_t user, uint64_t mark, uint64_t s)
{
	return burst_charge(t, user, mark, LIMIT, NOW + s * SECOND);
}

static void
ten_and_not_the_eleventh(void **state)
{
	struct tables *t = *state;
	unsigned i;

	for (i = 0; i < LIMIT; i++)
		assert_true(says(t, 1, 7, 0));
	for (i = 0; i < 20; i++)
		assert_false(says(t, 1, 7, i));
	/* others, and other texts, are others */
	assert_true(says(t, 2, 7, 0));
	assert_true(says(t, 1, 8, 0));
}

static void
the_first_burst_is_counted_to_the_second(void **state)
{
	struct tables *t = *state;
	uint64_t s;

	assert_true(says(t, 1, 7, 0));
	for (s = 51; s < 60; s++)
		assert_true(says(t, 1, 7, s));
	assert_false(says(t, 1, 7, 59));
	/* the first is a minute ago */
	assert_true(says(t, 1, 7, 60));
	assert_false(says(t, 1, 7, 60));
	assert_false(says(t, 1, 7, 61));
}

static void
who_says_it_now_and_then_is_never_refused(void **state)
{
	struct tables *t = *state;
	uint64_t s;

	for (s = 0; s < 200000; s += 6)
		assert_true(says(t, 1, 7, s));
}

/* Never refused with less than ten in the minute before it, whatever the
 * rhythm. */
static void
a_refusal_has_ten_before_it(void **state)
{
	struct tables *t = *state;
	uint64_t at[LIMIT] = { 0 }, s = 100;
	unsigned i, n = 0, refused = 0;

	srand(5);
	for (i = 0; i < 20000; i++) {
		s += (unsigned)rand() % 12;
		if (says(t, 1, 7, s)) {
			at[n++ % LIMIT] = s;
			continue;
		}
		refused++;
		assert_true(n >= LIMIT && s - at[n % LIMIT] < 60);
	}
	assert_true(refused > 100);
}

static void
what_is_given_back_was_not_said(void **state)
{
	struct tables *t = *state;
	unsigned i;

	for (i = 0; i < 100; i++) {
		assert_true(says(t, 1, 7, i / 10));
		burst_give_back(t, 1, 7);
	}
	for (i = 0; i < LIMIT; i++)
		assert_true(says(t, 1, 7, 10));
	assert_false(says(t, 1, 7, 10));
	burst_give_back(t, 1, 7);
	assert_true(says(t, 1, 7, 10));
	assert_false(says(t, 1, 7, 10));
	/* of nobody */
	burst_give_back(t, 3, 7);
}

static void
without_a_limit_all_is_well(void **state)
{
	struct tables *t = *state;
	unsigned i;

	for (i = 0; i < 3000; i++)
		assert_true(burst_charge(t, 1, 7, 0, NOW));
	for (i = 0; i < 1000; i++)
		assert_true(burst_charge(t, 1, 7, 1000, NOW));
	assert_false(burst_charge(t, 1, 7, 1000, NOW));
}

/* Many say one thing each: who goes on saying his is not forgotten. */
static void
a_burst_outlives_a_crowd(void **state)
{
	struct tables *t = *state;
	uint64_t user;
	unsigned i;

	for (i = 0; i < LIMIT; i++) {
		assert_true(says(t, 1, 7, 0));
		for (user = 100; user < 5100; user++)
			(void)says(t, user + i * 10000, user, 0);
	}
	for (user = 200000; user < 400000; user++)
		(void)says(t, user, user, 1);
	assert_false(says(t, 1, 7, 2));
}

struct racer {
	struct tables *t;
	unsigned let_in;
};

static void *
race(void *arg)
{
	struct racer *r = arg;
	unsigned i;

	for (i = 0; i < 1000; i++)
		r->let_in += burst_charge(r->t, 9, 9, 500, NOW);
	return NULL;
}

static void
workers_count_together(void **state)
{
	struct racer r[4] = { 0 };
	pthread_t thread[4];
	unsigned i, sum = 0;

	for (i = 0; i < 4; i++) {
		r[i].t = *state;
		assert_int_equal(pthread_create(&thread[i], NULL, race, &r[i]),
		    0);
	}
	for (i = 0; i < 4; i++) {
		assert_int_equal(pthread_join(thread[i], NULL), 0);
		sum += r[i].let_in;
	}
	assert_int_equal(sum, 500);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(ten_and_not_the_eleventh),
		T(the_first_burst_is_counted_to_the_second),
		T(who_says_it_now_and_then_is_never_refused),
		T(a_refusal_has_ten_before_it),
		T(what_is_given_back_was_not_said),
		T(without_a_limit_all_is_well),
		T(a_burst_outlives_a_crowd),
		T(workers_count_together),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
