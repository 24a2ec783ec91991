/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_lost - what lost.h promises.
 */

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "shm/lost.h"
#include "shm/tables.h"
#include "tests/unit/tables_fixture.h"

#define NOW 1000000
#define WINDOW 120000

static void
each_loss_is_remembered_once(void **state)
{
	struct tables *t = *state;

	assert_false(lost_take(t, 7, "w", "s", NOW));
	lost_put(t, 7, "w", "s", NOW + WINDOW);
	lost_put(t, 7, "w", "s", NOW + WINDOW);
	assert_true(lost_take(t, 7, "w", "s", NOW));
	assert_true(lost_take(t, 7, "w", "s", NOW));
	assert_false(lost_take(t, 7, "w", "s", NOW));
}

static void
others_have_lost_nothing(void **state)
{
	struct tables *t = *state;

	lost_put(t, 7, "w", "s", NOW + WINDOW);
	assert_false(lost_take(t, 8, "w", "s", NOW));
	assert_false(lost_take(t, 7, "w", "s2", NOW));
	assert_false(lost_take(t, 7, "w2", "s", NOW));
	assert_false(lost_take(t, 7, "s", "w", NOW));
	assert_true(lost_take(t, 7, "w", "s", NOW));
}

static void
it_is_over_after_a_while(void **state)
{
	struct tables *t = *state;

	lost_put(t, 7, "w", "s", NOW + WINDOW);
	assert_false(lost_take(t, 7, "w", "s", NOW + WINDOW));
	lost_put(t, 7, "w", "s", NOW + 2 * WINDOW);
	assert_true(lost_take(t, 7, "w", "s", NOW + 2 * WINDOW - 1));
}

/* Twice as many as there is room for: those that last longest are there. */
static void
the_table_never_grows(void **state)
{
	struct tables *t = *state;
	const size_t n = lost_size() / sizeof(uint64_t);
	size_t i, found = 0;
	char session[32];

	for (i = 0; i < 2 * n; i++) {
		snprintf(session, sizeof(session), "s%zu", i);
		lost_put(t, i, "w", session, NOW + WINDOW + i);
	}
	for (i = 0; i < 2 * n; i++) {
		snprintf(session, sizeof(session), "s%zu", i);
		found += lost_take(t, i, "w", session, NOW);
		if (i == n - 1)
			assert_true(found < n / 4);
	}
	assert_in_range(found, n * 9 / 10, n);
}

#define THREADS 4
#define EACH 1000

static _Atomic unsigned taken;

static void *
take_all(void *arg)
{
	struct tables *t = arg;
	unsigned i;
	char session[32];

	for (i = 0; i < EACH; i++) {
		snprintf(session, sizeof(session), "s%u", i);
		taken += lost_take(t, 7, "w", session, NOW);
	}
	return NULL;
}

static void
of_all_who_take_one_gets_it(void **state)
{
	struct tables *t = *state;
	pthread_t threads[THREADS];
	unsigned i;
	char session[32];

	for (i = 0; i < EACH; i++) {
		snprintf(session, sizeof(session), "s%u", i);
		lost_put(t, 7, "w", session, NOW + WINDOW);
	}
	taken = 0;
	for (i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, take_all, t),
		    0);
	for (i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(taken, EACH);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(each_loss_is_remembered_once),
		T(others_have_lost_nothing),
		T(it_is_over_after_a_while),
		T(the_table_never_grows),
		T(of_all_who_take_one_gets_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
