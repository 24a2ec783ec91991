/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_conformance_handshake - a handshake as the reference shows it.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/conformance/handshake.h"

#define LINE "GET /socket.io/?EIO=4&transport=polling"

static struct json_out out;

static void
shows(const char *head, const char *json)
{
	const struct handshake h = {
		.head = { head, strlen(head) },
		.auth = { "{\"a\":1}", 7 },
		.address = "127.0.0.1",
		.issued_ms = 1700000000123,
	};
	const char *why;

	json_out_reset(&out);
	handshake_json(&out, &h);
	assert_int_equal(json_scan(out.p, out.len, 8, &why), JSON_FINE);
	assert_int_equal(out.len, strlen(json));
	assert_memory_equal(out.p, json, out.len);
	json_out_clear(&out);
}

static bool
has(const char *head, const char *key)
{
	return handshake_has((struct span){ head, strlen(head) }, key);
}

static void
everything_is_shown(void **state)
{
	shows(LINE " HTTP/1.1\r\nHost: x\r\nORIGIN: http://y\r\n\r\n",
	    "{\"headers\":{\"host\":\"x\",\"origin\":\"http://y\"},"
	    "\"time\":\"2023-11-14T22:13:20.123Z\",\"address\":\"127.0.0.1\","
	    "\"xdomain\":true,\"secure\":false,\"issued\":1700000000123,"
	    "\"url\":\"/socket.io/?EIO=4&transport=polling\","
	    "\"query\":{\"EIO\":\"4\",\"transport\":\"polling\"},"
	    "\"auth\":{\"a\":1}}");
}

static void
of_a_repeated_parameter_the_last_is_shown_of_a_field_the_first(void **state)
{
	shows(LINE "&a=1&%61=2%22 HTTP/1.1\r\nHost: x\r\nA: 1\r\na: 2\r\n\r\n",
	    "{\"headers\":{\"host\":\"x\",\"a\":\"1\"},"
	    "\"time\":\"2023-11-14T22:13:20.123Z\",\"address\":\"127.0.0.1\","
	    "\"xdomain\":false,\"secure\":false,\"issued\":1700000000123,"
	    "\"url\":\"/socket.io/?EIO=4&transport=polling&a=1&%61=2%22\","
	    "\"query\":{\"EIO\":\"4\",\"transport\":\"polling\","
	    "\"a\":\"2\\\"\"},\"auth\":{\"a\":1}}");
}

static void
a_parameter_is_there_whatever_it_is(void **state)
{
	assert_true(has(LINE "&fail HTTP/1.1\r\nHost: x\r\n\r\n", "fail"));
	assert_true(has(LINE "&fail= HTTP/1.1\r\nHost: x\r\n\r\n", "fail"));
	assert_true(
	    has(LINE "&fail=a+long+text HTTP/1.1\r\nHost: x\r\n\r\n", "fail"));
	assert_false(has(LINE "&nofail=1 HTTP/1.1\r\nHost: x\r\n\r\n", "fail"));
	assert_false(has("", "fail"));
}

static void
dates_are_as_javascript_shows_them(void **state)
{
	char buf[ISO_SIZE];

	iso_date(buf, 0);
	assert_string_equal(buf, "1970-01-01T00:00:00.000Z");
	iso_date(buf, 1709251199007);
	assert_string_equal(buf, "2024-02-29T23:59:59.007Z");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everything_is_shown),
		cmocka_unit_test(
		    of_a_repeated_parameter_the_last_is_shown_of_a_field_the_first),
		cmocka_unit_test(a_parameter_is_there_whatever_it_is),
		cmocka_unit_test(dates_are_as_javascript_shows_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
