/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_request - what request.h promises about chatctl's line.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "master/request.h"

static int
parse(struct request *r, const char *line, const char **why_r)
{
	*why_r = NULL;
	return request_parse(r, line, strlen(line), why_r);
}

static void
a_request_is_taken_apart(void **state)
{
	struct request r;
	const char *why;

	assert_int_equal(parse(&r,
			     "{\"v\":1,\"command\":\"history\","
			     "\"args\":[\"w/s\",\"\\u0031\\n\"]}",
			     &why),
	    0);
	assert_string_equal(r.command, "history");
	assert_int_equal(r.nargs, 2);
	assert_string_equal(r.args[0], "w/s");
	assert_string_equal(r.args[1], "1\n");
	request_clear(&r);
	assert_int_equal(r.nargs, 0);
}

static void
arguments_may_be_absent_and_more_may_be_there(void **state)
{
	struct request r;
	const char *why;

	assert_int_equal(parse(&r,
			     " { \"command\":\"x\", \"new\":[{}], \"v\":1 } ",
			     &why),
	    0);
	assert_string_equal(r.command, "x");
	assert_int_equal(r.nargs, 0);
	request_clear(&r);
}

static void
whatever_makes_no_sense_is_refused_with_a_sentence(void **state)
{
	static const char *const bad[] = {
		"",
		"x",
		"[]",
		"null",
		"\"status\"",
		"{}",
		"{\"v\":1}",
		"{\"command\":\"x\"}",
		"{\"v\":2,\"command\":\"x\"}",
		"{\"v\":1.5,\"command\":\"x\"}",
		"{\"v\":\"1\",\"command\":\"x\"}",
		"{\"v\":1,\"command\":1}",
		"{\"v\":1,\"command\":\"0123456789012345678901234567890123\"}",
		"{\"v\":1,\"command\":\"x\",\"args\":{}}",
		"{\"v\":1,\"command\":\"x\",\"args\":\"y\"}",
		"{\"v\":1,\"command\":\"x\",\"args\":[1]}",
		"{\"v\":1,\"command\":\"x\",\"args\":[\"a\",null]}",
		"{\"v\":1,\"command\":\"x\",\"args\":[\"a\\u0000b\"]}",
		"{\"v\":1,\"command\":\"x\",\"args\":[\"\xff\"]}",
		"{\"v\":1,\"v\":1,\"command\":\"x\"}",
		"{\"v\":1,\"command\":\"x\"} y",
		"{\"v\":1,\"command\":\"x\",\"args\":[\"0\",\"1\",\"2\",\"3\","
		"\"4\",\"5\",\"6\",\"7\",\"8\",\"9\",\"a\",\"b\",\"c\",\"d\","
		"\"e\",\"f\",\"10\"]}",
	};
	struct request r;
	const char *why;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(parse(&r, bad[i], &why), -1);
		assert_non_null(why);
		assert_int_equal(r.nargs, 0);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_is_taken_apart),
		cmocka_unit_test(arguments_may_be_absent_and_more_may_be_there),
		cmocka_unit_test(
		    whatever_makes_no_sense_is_refused_with_a_sentence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
