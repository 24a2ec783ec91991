/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_nearest - what nearest.h promises.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/nearest.h"

static void
distance_counts_each_kind_of_slip_once(void **state)
{
	assert_int_equal(nearest_distance("", ""), 0);
	assert_int_equal(nearest_distance("listen", "listen"), 0);
	assert_int_equal(nearest_distance("lisen", "listen"), 1);
	assert_int_equal(nearest_distance("liisten", "listen"), 1);
	assert_int_equal(nearest_distance("lixten", "listen"), 1);
	assert_int_equal(nearest_distance("litsen", "listen"), 1);
	assert_int_equal(nearest_distance("", "abc"), 3);
	assert_int_equal(nearest_distance("abc", ""), 3);
	assert_int_equal(nearest_distance("kitten", "sitting"), 3);
	/* swapped letters are not touched again: 3, not 2 */
	assert_int_equal(nearest_distance("ca", "abc"), 3);
}

static void
distance_is_the_same_both_ways(void **state)
{
	static const char *const words[] = { "a", "ab", "ba", "abcd", "acbd",
		"workers", "wrokers", "log.level", "log.lvel", "" };

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		for (size_t k = 0; k < sizeof(words) / sizeof(words[0]); k++)
			assert_int_equal(nearest_distance(words[i], words[k]),
			    nearest_distance(words[k], words[i]));
}

static void
a_name_that_is_too_long_has_no_distance(void **state)
{
	char name[NEAREST_MAX_NAME + 2];

	memset(name, 'x', sizeof(name));
	name[NEAREST_MAX_NAME] = '\0';
	assert_int_equal(nearest_distance(name, ""), NEAREST_MAX_NAME);
	name[NEAREST_MAX_NAME] = 'x';
	name[NEAREST_MAX_NAME + 1] = '\0';
	assert_true(nearest_distance(name, "") == SIZE_MAX);
	assert_true(nearest_distance("", name) == SIZE_MAX);
}

static const char *
best_of(const char *name, const char *a, const char *b, const char *c)
{
	struct nearest n;

	nearest_init(&n, name);
	nearest_try(&n, a);
	nearest_try(&n, b);
	nearest_try(&n, c);
	return nearest_get(&n);
}

static void
the_best_of_all_is_found(void **state)
{
	assert_string_equal(best_of("debgu", "info", "debug", "error"),
	    "debug");
	assert_string_equal(best_of("inof", "info", "debug", NULL), "info");
	assert_string_equal(best_of("limits.mesage_rate",
				"limits.message_length", "limits.message_rate",
				"limits.typing_rate"),
	    "limits.message_rate");
}

static void
what_is_too_far_is_not_suggested(void **state)
{
	assert_null(best_of("xyzzy", "info", "debug", "error"));
	assert_null(best_of("x", NULL, NULL, NULL));
	assert_null(best_of("abc", "jwt", "none", NULL));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(distance_counts_each_kind_of_slip_once),
		cmocka_unit_test(distance_is_the_same_both_ways),
		cmocka_unit_test(a_name_that_is_too_long_has_no_distance),
		cmocka_unit_test(the_best_of_all_is_found),
		cmocka_unit_test(what_is_too_far_is_not_suggested),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
