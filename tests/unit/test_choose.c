/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_choose - what choose.h promises about the next client's worker.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "master/choose.h"

static void
the_least_loaded_is_chosen(void **state)
{
	const struct choice c[] = { { true, 5 }, { true, 3 }, { true, 4 } };
	unsigned turn;

	for (unsigned i = 0; i < 3; i++) {
		turn = i;
		assert_int_equal(choose_worker(c, 3, &turn), 1);
	}
}

static void
whoever_is_not_usable_is_not_chosen(void **state)
{
	struct choice c[] = { { true, 9 }, { false, 0 } };
	unsigned turn = 1;

	assert_int_equal(choose_worker(c, 2, &turn), 0);
	c[0].usable = false;
	assert_int_equal(choose_worker(c, 2, &turn), -1);
	assert_int_equal(choose_worker(c, 0, &turn), -1);
}

static void
equals_take_turns(void **state)
{
	const struct choice c[] = { { true, 1 }, { true, 1 }, { false, 0 },
		{ true, 1 } };
	unsigned turn = 0;

	assert_int_equal(choose_worker(c, 4, &turn), 0);
	assert_int_equal(choose_worker(c, 4, &turn), 1);
	assert_int_equal(choose_worker(c, 4, &turn), 3);
	assert_int_equal(choose_worker(c, 4, &turn), 0);
}

static void
a_batch_is_spread_evenly(void **state)
{
	struct choice c[] = { { true, 0 }, { true, 7 }, { true, 0 } };
	unsigned turn = 0;

	for (int i = 0; i < 20; i++)
		c[choose_worker(c, 3, &turn)].load++;
	assert_int_equal(c[0].load, 9);
	assert_int_equal(c[1].load, 9);
	assert_int_equal(c[2].load, 9);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_least_loaded_is_chosen),
		cmocka_unit_test(whoever_is_not_usable_is_not_chosen),
		cmocka_unit_test(equals_take_turns),
		cmocka_unit_test(a_batch_is_spread_evenly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
