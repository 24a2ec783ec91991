/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_backoff - what backoff.h promises about children that die.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "master/backoff.h"

static void
the_first_early_death_is_replaced_at_once(void **state)
{
	struct backoff b = { 0 };

	assert_int_equal(backoff_died(&b, 0, true), 0);
}

static void
early_deaths_in_a_row_double_the_delay(void **state)
{
	static const uint64_t want[] = { 0, 100, 200, 400, 800, 1000, 1000 };
	struct backoff b = { 0 };

	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++)
		assert_int_equal(backoff_died(&b, i % 2 == 0 ? 0 : 499, true),
		    want[i]);
}

static void
a_daemon_that_never_worked_waits_up_to_half_a_minute(void **state)
{
	struct backoff b = { 0 };
	uint64_t delay = 0;

	for (int i = 0; i < 9; i++)
		delay = backoff_died(&b, 0, false);
	assert_int_equal(delay, 12800);
	for (int i = 0; i < 3; i++)
		delay = backoff_died(&b, 0, false);
	assert_int_equal(delay, 30000);
}

static void
whoever_served_for_half_a_second_is_replaced_at_once(void **state)
{
	struct backoff b = { 0 };

	for (int i = 0; i < 5; i++)
		(void)backoff_died(&b, 0, true);
	assert_int_equal(backoff_died(&b, 500, true), 0);
	/* and its past is forgotten */
	assert_int_equal(backoff_died(&b, 0, true), 0);
	assert_int_equal(backoff_died(&b, 0, true), 100);
}

static void
ten_early_deaths_end_the_first_start_only(void **state)
{
	struct backoff b = { 0 };

	for (int i = 0; i < 9; i++) {
		(void)backoff_died(&b, 0, false);
		assert_false(backoff_hopeless(&b, false));
	}
	(void)backoff_died(&b, 0, false);
	assert_true(backoff_hopeless(&b, false));
	assert_false(backoff_hopeless(&b, true));
}

static void
no_number_of_deaths_breaks_it(void **state)
{
	struct backoff b = { .early = UINT32_MAX - 1 };

	for (int i = 0; i < 3; i++)
		assert_int_equal(backoff_died(&b, 0, true), 1000);
}

static void
more_than_five_deaths_within_a_minute_are_too_many(void **state)
{
	struct burst b = { 0 };

	for (uint64_t i = 0; i < 5; i++)
		assert_false(burst_add(&b, 1000 + i * 11999));
	assert_true(burst_add(&b, 1000 + 59999));
	/* the first of them is out of sight now */
	assert_false(burst_add(&b, 1000 + 11999 + 60000));
}

static void
deaths_far_apart_are_never_too_many(void **state)
{
	struct burst b = { 0 };

	for (uint64_t i = 1; i < 100; i++)
		assert_false(burst_add(&b, i * 12000));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_early_death_is_replaced_at_once),
		cmocka_unit_test(early_deaths_in_a_row_double_the_delay),
		cmocka_unit_test(
		    a_daemon_that_never_worked_waits_up_to_half_a_minute),
		cmocka_unit_test(
		    whoever_served_for_half_a_second_is_replaced_at_once),
		cmocka_unit_test(ten_early_deaths_end_the_first_start_only),
		cmocka_unit_test(no_number_of_deaths_breaks_it),
		cmocka_unit_test(
		    more_than_five_deaths_within_a_minute_are_too_many),
		cmocka_unit_test(deaths_far_apart_are_never_too_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
