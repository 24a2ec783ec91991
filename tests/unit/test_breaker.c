/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_breaker - what breaker.h promises.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bridge/breaker.h"

static struct breaker b;

static int
setup(void **state)
{
	b = (struct breaker){ 0 };
	return 0;
}

static bool
allows(uint64_t now)
{
	bool probe;

	return breaker_allows(&b, now, &probe);
}

static void
fail_often(unsigned n, uint64_t now)
{
	while (n-- > 0)
		(void)breaker_failure(&b, now, false);
}

static void
so_many_failures_in_a_row_open_it(void **state)
{
	fail_often(BREAKER_FAILURES - 1, 1000);
	assert_true(allows(1000));
	assert_false(breaker_is_open(&b));
	/* an answer in between begins anew, and is no news */
	assert_false(breaker_success(&b));
	fail_often(BREAKER_FAILURES - 1, 1000);
	assert_false(breaker_is_open(&b));
	assert_true(breaker_failure(&b, 1000, false));
	assert_true(breaker_is_open(&b));
	assert_false(allows(1000));
	assert_false(breaker_is_ready(&b, 1000 + BREAKER_FIRST_MS - 1));
}

static void
one_probe_at_a_time_tells(void **state)
{
	bool probe;

	fail_often(BREAKER_FAILURES, 0);
	assert_true(breaker_is_ready(&b, BREAKER_FIRST_MS));
	assert_true(breaker_allows(&b, BREAKER_FIRST_MS, &probe));
	assert_true(probe);
	assert_false(allows(BREAKER_FIRST_MS * 100));
	assert_true(breaker_success(&b));
	assert_true(breaker_allows(&b, BREAKER_FIRST_MS, &probe));
	assert_false(probe);
}

static void
a_probe_that_fails_is_followed_by_a_later_one(void **state)
{
	uint64_t now = 0, wait = BREAKER_FIRST_MS;
	bool probe;

	fail_often(BREAKER_FAILURES, now);
	for (int i = 0; i < 10; i++) {
		assert_false(allows(now + wait - 1));
		now += wait;
		assert_true(breaker_allows(&b, now, &probe));
		/* it is known already */
		assert_false(breaker_failure(&b, now, probe));
		wait = wait * 2 < BREAKER_MAX_MS ? wait * 2 : BREAKER_MAX_MS;
	}
	assert_int_equal(wait, BREAKER_MAX_MS);
}

static void
what_was_asked_before_it_opened_changes_nothing(void **state)
{
	bool probe;

	fail_often(BREAKER_FAILURES, 0);
	/* 59 others that were under way */
	fail_often(59, 500);
	assert_true(breaker_allows(&b, BREAKER_FIRST_MS, &probe));
	fail_often(3, BREAKER_FIRST_MS);
	assert_false(allows(BREAKER_FIRST_MS));
	assert_true(breaker_success(&b));
}

static void
a_probe_without_an_outcome_is_forgotten(void **state)
{
	bool probe;

	fail_often(BREAKER_FAILURES, 0);
	assert_true(breaker_allows(&b, BREAKER_FIRST_MS, &probe));
	breaker_forget(&b, false);
	assert_false(allows(BREAKER_FIRST_MS));
	breaker_forget(&b, probe);
	assert_true(allows(BREAKER_FIRST_MS));
}

static void
when_to_try_again_is_told_in_whole_seconds(void **state)
{
	bool probe;

	assert_int_equal(breaker_retry_after(&b, 0), 1);
	fail_often(BREAKER_FAILURES, 0);
	assert_int_equal(breaker_retry_after(&b, 0), 1);
	assert_true(breaker_allows(&b, 1000, &probe));
	(void)breaker_failure(&b, 1000, probe);
	assert_int_equal(breaker_retry_after(&b, 1000), 2);
	assert_int_equal(breaker_retry_after(&b, 1001), 2);
	assert_int_equal(breaker_retry_after(&b, 2000), 1);
	assert_int_equal(breaker_retry_after(&b, 9000), 1);
}

#define T(name) cmocka_unit_test_setup(name, setup)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(so_many_failures_in_a_row_open_it),
		T(one_probe_at_a_time_tells),
		T(a_probe_that_fails_is_followed_by_a_later_one),
		T(what_was_asked_before_it_opened_changes_nothing),
		T(a_probe_without_an_outcome_is_forgotten),
		T(when_to_try_again_is_told_in_whole_seconds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
