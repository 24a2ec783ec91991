/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_clock - what clock.h promises.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "common/clock.h"

static void
the_monotonic_clock_never_goes_back_and_moves(void **state)
{
	struct timespec nap = { .tv_nsec = 2000000 };
	uint64_t first = clock_mono_ns(), last = first, now;

	for (int i = 0; i < 10000; i++) {
		now = clock_mono_ns();
		assert_true(now >= last);
		last = now;
	}
	assert_int_equal(nanosleep(&nap, NULL), 0);
	assert_true(clock_mono_ns() >= first + 2000000);
}

static void
milliseconds_are_the_nanoseconds_divided(void **state)
{
	uint64_t before = clock_mono_ns() / 1000000;
	uint64_t ms = clock_mono_ms();
	uint64_t after = clock_mono_ns() / 1000000;

	assert_true(ms >= before && ms <= after);
}

static void
real_time_is_that_of_the_system_in_milliseconds(void **state)
{
	uint64_t before = (uint64_t)time(NULL);
	uint64_t ms = clock_real_ms();

	/* time() may lag by one tick of the kernel */
	assert_true(ms / 1000 >= before);
	assert_true(ms / 1000 <= before + 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_monotonic_clock_never_goes_back_and_moves),
		cmocka_unit_test(milliseconds_are_the_nanoseconds_divided),
		cmocka_unit_test(
		    real_time_is_that_of_the_system_in_milliseconds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
