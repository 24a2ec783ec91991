/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_http_accept - what http.h promises of what a client can take.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "proto/http.h"

static struct http_request req;

/* A GET with these fields; they are read from a copy of their own. */
static const struct http_request *
with(const char *fields)
{
	static char text[2048];
	struct http_scan scan = { 0 };
	struct http_error err = { 0 };

	(void)snprintf(text, sizeof(text),
	    "GET / HTTP/1.1\r\nHost: x\r\n%s\r\n", fields);
	if (http_parse(text, strlen(text), &scan, &req, &err) != HTTP_OK)
		fail_msg("%s: %s", fields, err.why);
	return &req;
}

static bool
accepts(const char *value)
{
	char fields[1024];

	(void)snprintf(fields, sizeof(fields), "accept-encoding: %s\r\n",
	    value);
	return http_accepts_gzip(with(fields));
}

static void
case_32_gzip_only_if_it_is_offered(void **state)
{
	assert_true(accepts("gzip"));
	assert_true(accepts("GZip"));
	assert_true(accepts("x-gzip"));
	assert_true(accepts("gzip, deflate, br"));
	assert_true(accepts("br;q=1.0, gzip;q=0.8, *;q=0.1"));
	assert_true(accepts("*"));
	assert_false(http_accepts_gzip(with("")));
	assert_false(accepts(""));
	assert_false(accepts("br"));
	assert_false(accepts("deflate"));
	assert_false(accepts("identity"));
	assert_false(accepts("gzipped, agzip, gzi"));
}

static void
a_q_of_zero_forbids(void **state)
{
	assert_false(accepts("gzip;q=0"));
	assert_false(accepts("gzip;q=0.000"));
	assert_false(accepts("gzip ; q=0."));
	assert_false(accepts("*;q=0"));
	assert_true(accepts("gzip;q=0.001"));
	assert_true(accepts("gzip;q=1"));
	assert_true(accepts("gzip;q=0.9"));
	assert_true(accepts("gzip;q=1.000"));
	assert_true(accepts("gzip \t; Q = 0.5"));
	assert_true(accepts("gzip;level=9;q=0.5"));
	assert_true(accepts("gzip;level=9"));
	assert_false(accepts("gzip;level=9;q=0"));
}

static void
case_32_deflate_only_if_it_is_offered(void **state)
{
	assert_true(http_accepts_deflate(
	    with("Accept-Encoding: gzip;q=0, deflate;q=0.3\r\n")));
	assert_true(http_accepts_deflate(with("Accept-Encoding: *\r\n")));
	assert_false(
	    http_accepts_deflate(with("Accept-Encoding: deflate;q=0, *\r\n")));
	assert_false(http_accepts_deflate(with("Accept-Encoding: gzip\r\n")));
	assert_false(http_accepts_deflate(with("")));
}

static void
the_name_counts_more_than_the_star(void **state)
{
	assert_false(accepts("gzip;q=0, *"));
	assert_false(accepts("*, gzip;q=0"));
	assert_true(accepts("*;q=0, gzip"));
	assert_true(accepts("gzip, *;q=0"));
	/* said twice: the better one, in whatever order */
	assert_true(accepts("gzip;q=0, x-gzip"));
	assert_true(accepts("x-gzip, gzip;q=0"));
	assert_true(http_accepts_gzip(
	    with("Accept-Encoding: br\r\nAccept-Encoding: gzip\r\n")));
}

static void
a_malformed_q_is_no_wish(void **state)
{
	static const char *const bad[] = { "", "x", "-1", "+1", "2", "1.001",
		"0.1234", ".5", "0,5", "0x1", "1e0", "0.5x", "00.5", "1 1",
		"0.:", "0./", "0.0:" };
	char value[64];
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		(void)snprintf(value, sizeof(value), "gzip;q=%s", bad[i]);
		if (accepts(value))
			fail_msg("%s is taken", value);
	}
}

static bool
matches(const char *value, const char *etag)
{
	char fields[1024];

	(void)snprintf(fields, sizeof(fields), "If-None-Match: %s\r\n", value);
	return http_etag_matches(with(fields), etag);
}

static void
entity_tags_are_compared_weakly(void **state)
{
	assert_true(matches("\"4.8.1\"", "\"4.8.1\""));
	assert_true(matches("W/\"4.8.1\"", "\"4.8.1\""));
	assert_true(matches("\"4.8.1\"", "W/\"4.8.1\""));
	assert_true(matches("W/\"4.8.1\"", "W/\"4.8.1\""));
	assert_true(matches("*", "\"4.8.1\""));
	assert_true(matches("\"\"", "\"\""));
	assert_false(matches("\"4.8.2\"", "\"4.8.1\""));
	assert_false(matches("\"4.8.1", "\"4.8.1\""));
	assert_false(matches("4.8.1", "\"4.8.1\""));
	assert_false(matches("w/\"4.8.1\"", "\"4.8.1\""));
	assert_false(matches("", "\"4.8.1\""));
	assert_false(matches("\"A\"", "\"a\""));
	assert_false(http_etag_matches(with(""), "\"a\""));
	assert_false(http_etag_matches(with("If-Match: \"a\"\r\n"), "\"a\""));
}

static void
entity_tags_come_in_lists(void **state)
{
	assert_true(matches("\"x\", W/\"y\" ,\"a\"", "\"a\""));
	assert_true(matches(",, \t\"x\",,\"a\",", "\"a\""));
	/* a tag may hold a comma */
	assert_true(matches("\"x,\"a\",y\", \"a\"", "\"x,\""));
	assert_true(matches("\"x,y\",\"a\"", "\"a\""));
	assert_false(matches("\"x,\\\"a\\\",y\"", "\"a\""));
	/* what follows a break is not looked at */
	assert_false(matches("\"x\"\"a\"", "\"a\""));
	assert_false(matches("x, \"a\"", "\"a\""));
	assert_true(matches("\"a\", x", "\"a\""));
	/* a star is no member of a list */
	assert_false(matches("\"x\", *", "\"a\""));
	assert_true(http_etag_matches(
	    with("If-None-Match: \"x\"\r\nif-none-match: \"a\"\r\n"), "\"a\""));
}

static void
old_explorers_are_known(void **state)
{
	assert_true(http_is_explorer(
	    with("User-Agent: Mozilla/4.0 (compatible;MSIE 8.0)\r\n")));
	assert_true(http_is_explorer(
	    with("User-Agent: Mozilla/5.0 (Trident/7.0; rv:11.0)\r\n")));
	assert_false(http_is_explorer(
	    with("User-Agent: Mozilla/4.0 (compatible; MSIE 8.0)\r\n")));
	assert_false(http_is_explorer(with("User-Agent: Trident\r\n")));
	assert_false(http_is_explorer(with("User-Agent:\r\n")));
	assert_false(http_is_explorer(with("")));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(case_32_gzip_only_if_it_is_offered),
		cmocka_unit_test(case_32_deflate_only_if_it_is_offered),
		cmocka_unit_test(a_q_of_zero_forbids),
		cmocka_unit_test(the_name_counts_more_than_the_star),
		cmocka_unit_test(a_malformed_q_is_no_wish),
		cmocka_unit_test(entity_tags_are_compared_weakly),
		cmocka_unit_test(entity_tags_come_in_lists),
		cmocka_unit_test(old_explorers_are_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
