/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_overload - when a worker has too much to do, and when no more.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "worker/overload.h"

#define PERIOD 100

struct loop {
	struct overload o;
	uint64_t now;
};

/* So many ms with these signs, each look 'late' ms late; how often it has
 * changed. */
static unsigned
run(struct loop *l, unsigned ms, unsigned late, unsigned ring, unsigned chunks)
{
	uint64_t end = l->now + ms;
	unsigned n = 0;

	while (l->now < end) {
		l->now += PERIOD + late;
		n += overload_tick(&l->o, l->now, PERIOD, ring, chunks);
	}
	return n;
}

static void
nothing_happens_while_all_is_well(void **state)
{
	struct loop l = { .now = 5000 };

	assert_int_equal(run(&l, 60000, 0, 0, 0), 0);
	assert_int_equal(run(&l, 60000, 20, 49, 49), 0);
	assert_int_equal(l.o.level, 0);
}

static void
each_sign_raises_it_a_step_a_second(void **state)
{
	static const unsigned signs[][3] = { { 300, 0, 0 }, { 0, 80, 0 },
		{ 0, 0, 95 } };
	unsigned i;

	for (i = 0; i < 3; i++) {
		struct loop l = { .now = 5000 };

		(void)run(&l, 2000, 0, 0, 0);
		assert_int_equal(run(&l, 900, signs[i][0], signs[i][1],
				     signs[i][2]),
		    0);
		(void)run(&l, 20000, signs[i][0], signs[i][1], signs[i][2]);
		assert_int_equal(l.o.level, OVERLOAD_LEVELS);
		/* and it comes down by itself */
		assert_int_equal(run(&l, 30000, 0, 0, 0), OVERLOAD_LEVELS);
		assert_int_equal(l.o.level, 0);
	}
}

static void
in_between_it_stays(void **state)
{
	struct loop l = { .now = 5000 };

	(void)run(&l, 2500, 0, 90, 0);
	assert_in_range(l.o.level, 1, 2);
	assert_int_equal(run(&l, 60000, 0, 65, 0), 0);
	assert_in_range(l.o.level, 1, 2);
}

static void
a_short_peak_is_none(void **state)
{
	struct loop l = { .now = 5000 };
	unsigned i;

	for (i = 0; i < 50; i++) {
		assert_int_equal(run(&l, 800, 0, 100, 100), 0);
		assert_int_equal(run(&l, 200, 0, 10, 10), 0);
	}
}

static void
who_was_stopped_is_not_overloaded(void **state)
{
	struct loop l = { .now = 5000 };

	(void)run(&l, 2000, 0, 0, 0);
	/* a minute late, once */
	l.now += 60000;
	(void)overload_tick(&l.o, l.now, PERIOD, 0, 0);
	assert_int_equal(run(&l, 10000, 0, 0, 0), 0);
	assert_int_equal(l.o.level, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_happens_while_all_is_well),
		cmocka_unit_test(each_sign_raises_it_a_step_a_second),
		cmocka_unit_test(in_between_it_stays),
		cmocka_unit_test(a_short_peak_is_none),
		cmocka_unit_test(who_was_stopped_is_not_overloaded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
