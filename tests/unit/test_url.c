/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_url - what url.h promises of addresses.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/url.h"

static const char *
refused(const char *text)
{
	struct url url;
	const char *why = NULL;

	if (url_parse(text, &url, &why))
		return "it is fine";
	return why;
}

static const char *
origin(const char *text)
{
	static char buf[URL_ORIGIN_SIZE];
	struct url url;
	const char *why;

	assert_true(url_parse(text, &url, &why));
	return url_origin(&url, buf);
}

static void
an_address_has_scheme_host_and_port(void **state)
{
	struct url url;
	const char *why;

	assert_true(url_parse("https://app.example/who?a=b", &url, &why));
	assert_true(url.tls);
	assert_string_equal(url.host, "app.example");
	assert_int_equal(url.port, 443);
	assert_true(url_parse("HTTP://127.0.0.1:8080", &url, &why));
	assert_false(url.tls);
	assert_string_equal(url.host, "127.0.0.1");
	assert_int_equal(url.port, 8080);
	assert_true(url_parse("http://[::1]:65535/", &url, &why));
	assert_string_equal(url.host, "::1");
	assert_int_equal(url.port, 65535);
	assert_true(url_parse("http://h?q=1", &url, &why));
	assert_int_equal(url.port, 80);
}

static void
what_may_be_shown_is_the_origin(void **state)
{
	assert_string_equal(origin("https://a.b/secret?key=sesame"),
	    "https://a.b:443");
	assert_string_equal(origin("http://[fe80::1]/x"),
	    "http://[fe80::1]:80");
}

static void
whatever_else_it_may_mean_is_refused(void **state)
{
	static const char *const list[] = { "", "app.example", "ftp://a/",
		"http:/a/", "http://", "http:///x", "http://:80/",
		"http://a:/x", "http://a:0/", "http://a:65536/", "http://a:8x/",
		"http://a:99999999999999999999/", "http://u@a/",
		"http://u:p@a/", "http://a/#b", "http://a b/", "http://a/\n",
		"http://a/\"", "http://a\\b/", "http://\xc3\xa4/",
		"http://[::1/", "http://[]/", "http://[a.b]/", "http://[::1]x/",
		"http://a%41/", "http://-a/", "http://.a/", "http://a..b/" };

	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
		if (strcmp(refused(list[i]), "it is fine") == 0)
			fail_msg("%s is fine", list[i]);
	/* what a mail address would be is path or query */
	assert_string_equal(refused("http://a/x@y?z=u@v"), "it is fine");
}

static void
why_holds_nothing_of_the_text(void **state)
{
	assert_null(strstr(refused("http://me:sesame@a/"), "sesame"));
	assert_non_null(strstr(refused("http://me:sesame@a/"), "a password"));
}

static void
a_host_may_be_as_long_as_a_name(void **state)
{
	char text[300];

	(void)snprintf(text, sizeof(text), "http://%0*d/", URL_HOST_MAX, 1);
	assert_string_equal(refused(text), "it is fine");
	(void)snprintf(text, sizeof(text), "http://%0*d/", URL_HOST_MAX + 1, 1);
	assert_string_not_equal(refused(text), "it is fine");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_address_has_scheme_host_and_port),
		cmocka_unit_test(what_may_be_shown_is_the_origin),
		cmocka_unit_test(whatever_else_it_may_mean_is_refused),
		cmocka_unit_test(why_holds_nothing_of_the_text),
		cmocka_unit_test(a_host_may_be_as_long_as_a_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
