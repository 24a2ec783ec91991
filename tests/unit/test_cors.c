/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_cors - what cors.h promises; the lines are those of the package cors
 * 2.8 with a list of origins.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "proto/cors.h"

static char a_example[] = "https://a.example";
static char b_example[] = "http://b.example:8080";
static char all[] = "*";
static char *const list[] = { a_example, b_example };
static char *const star[] = { all };

static const struct cors none = { 0 };
static const struct cors listed = { list, 2, false };
static const struct cors trusting = { list, 2, true };
static const struct cors public = { star, 1, false };
static const struct cors public_trusting = { star, 1, true };

static struct http_request req;

static const struct http_request *
request(const char *method, const char *fields)
{
	static char text[HTTP_HEAD_MAX + 1];
	struct http_scan scan = { 0 };
	struct http_error err = { 0 };

	(void)snprintf(text, sizeof(text), "%s / HTTP/1.1\r\nHost: x\r\n%s\r\n",
	    method, fields);
	if (http_parse(text, strlen(text), &scan, &req, &err) != HTTP_OK)
		fail_msg("%s: %s", fields, err.why);
	return &req;
}

static char out[8192];

static void
assert_out(const struct put *w, const char *want)
{
	assert_true(w->len < sizeof(out));
	out[w->len] = '\0';
	assert_string_equal(out, want);
}

static void
simple(const struct cors *c, const char *fields, const char *want)
{
	struct put w = { out, sizeof(out), 0 };

	cors_headers(&w, c, request("GET", fields));
	assert_out(&w, want);
}

static void
preflight(const struct cors *c, const char *fields, const char *want)
{
	struct put w = { out, sizeof(out), 0 };

	assert_true(cors_is_preflight(c, request("OPTIONS", fields)));
	cors_preflight(&w, c, request("OPTIONS", fields));
	assert_out(&w, want);
}

#define ORIGIN_A "Origin: https://a.example\r\n"
#define ORIGIN_X "Origin: https://x.example\r\n"
#define ALLOW_A "Access-Control-Allow-Origin: https://a.example\r\n"
#define ALLOW_ALL "Access-Control-Allow-Origin: *\r\n"
#define CREDENTIALS "Access-Control-Allow-Credentials: true\r\n"
#define METHODS \
	"Access-Control-Allow-Methods: GET,HEAD,PUT,PATCH,POST,DELETE\r\n"
#define VARY "Vary: Origin\r\n"
#define VARY_BOTH "Vary: Origin, Access-Control-Request-Headers\r\n"
#define VARY_HEADERS "Vary: Access-Control-Request-Headers\r\n"
#define ASKS "Access-Control-Request-Headers: "
#define ALLOW "Access-Control-Allow-Headers: "
#define EMPTY "Content-Length: 0\r\n"

static void
without_a_list_nothing_is_written(void **state)
{
	struct put w = { out, sizeof(out), 0 };

	simple(&none, ORIGIN_A, "");
	assert_false(cors_is_preflight(&none, request("OPTIONS", ORIGIN_A)));
	cors_preflight(&w, &none, request("OPTIONS", ORIGIN_A));
	assert_int_equal(w.len, 0);
}

static void
a_listed_origin_is_reflected(void **state)
{
	simple(&listed, ORIGIN_A, ALLOW_A VARY);
	simple(&listed, "origin: http://b.example:8080\r\n",
	    "Access-Control-Allow-Origin: http://b.example:8080\r\n" VARY);
	simple(&trusting, ORIGIN_A, ALLOW_A VARY CREDENTIALS);
}

static void
a_foreign_origin_gets_no_more_than_vary(void **state)
{
	simple(&listed, ORIGIN_X, VARY);
	simple(&listed, "", VARY);
	simple(&trusting, ORIGIN_X, VARY CREDENTIALS);
	simple(&listed, "Origin: null\r\n", VARY);
}

static void
origins_are_compared_byte_for_byte(void **state)
{
	simple(&listed, "Origin: https://A.example\r\n", VARY);
	simple(&listed, "Origin: https://a.example/\r\n", VARY);
	simple(&listed, "Origin: https://a.example:443\r\n", VARY);
	simple(&listed, "Origin: https://a.example.evil.example\r\n", VARY);
	simple(&listed, "Origin: http://a.example\r\n", VARY);
	simple(&listed, "Origin: https://a.exampl\r\n", VARY);
	simple(&listed, "Origin: *\r\n", VARY);
	simple(&listed, ORIGIN_A ORIGIN_A, VARY);
	simple(&listed, "Origin: https://a.example, http://b.example:8080\r\n",
	    VARY);
}

static void
a_star_is_for_all(void **state)
{
	simple(&public, ORIGIN_X, ALLOW_ALL);
	simple(&public, "", ALLOW_ALL);
	simple(&public_trusting, ORIGIN_X, ALLOW_ALL CREDENTIALS);
}

static void
a_preflight_tells_what_may_be_sent(void **state)
{
	preflight(&listed, ORIGIN_A ASKS "content-type, x-a\r\n",
	    ALLOW_A VARY_BOTH METHODS ALLOW "content-type, x-a\r\n" EMPTY);
	preflight(&trusting, ORIGIN_A,
	    ALLOW_A VARY_BOTH CREDENTIALS METHODS EMPTY);
	preflight(&trusting, ORIGIN_X ASKS "a\r\n",
	    VARY_BOTH CREDENTIALS METHODS ALLOW "a\r\n" EMPTY);
	preflight(&public, ORIGIN_X ASKS "a\r\n",
	    ALLOW_ALL METHODS VARY_HEADERS ALLOW "a\r\n" EMPTY);
	preflight(&public_trusting, "",
	    ALLOW_ALL CREDENTIALS METHODS VARY_HEADERS EMPTY);
	assert_false(cors_is_preflight(&listed, request("GET", ORIGIN_A)));
	assert_true(cors_is_preflight(&listed, request("OPTIONS", "")));
}

static void
only_names_of_fields_are_reflected(void **state)
{
	preflight(&public, ASKS "a\r\n" ASKS "\tb , c\r\n",
	    ALLOW_ALL METHODS VARY_HEADERS ALLOW "a, b , c\r\n" EMPTY);
	preflight(&public, ASKS "\r\n", ALLOW_ALL METHODS VARY_HEADERS EMPTY);
	preflight(&public, ASKS "a: b\r\n",
	    ALLOW_ALL METHODS VARY_HEADERS EMPTY);
	preflight(&public, ASKS "a\xc3\xa9\r\n",
	    ALLOW_ALL METHODS VARY_HEADERS EMPTY);
	preflight(&public, ASKS "a\r\n" ASKS "<b>\r\n",
	    ALLOW_ALL METHODS VARY_HEADERS EMPTY);
	preflight(&public, ASKS "a;b=\"c\"\r\n",
	    ALLOW_ALL METHODS VARY_HEADERS EMPTY);
}

static void
what_is_reflected_is_bounded(void **state)
{
	static char fields[8192];
	struct put w = { out, sizeof(out), 0 };
	size_t start = strlen(ASKS), half;

	memset(fields, 'a', sizeof(fields));
	memcpy(fields, ASKS, start);
	memcpy(fields + start + CORS_REQUEST_HEADERS_MAX, "\r\n", 3);
	cors_preflight(&w, &trusting, request("OPTIONS", fields));
	assert_true(w.len > CORS_REQUEST_HEADERS_MAX);
	assert_true(w.len <= CORS_REQUEST_HEADERS_MAX + CORS_HEADERS_MAX);
	fields[start + CORS_REQUEST_HEADERS_MAX] = 'a';
	memcpy(fields + start + CORS_REQUEST_HEADERS_MAX + 1, "\r\n", 3);
	w.len = 0;
	cors_preflight(&w, &trusting, request("OPTIONS", fields));
	assert_true(w.len <= CORS_HEADERS_MAX);
	/* two of them, with what is put between */
	half = CORS_REQUEST_HEADERS_MAX / 2 - 1;
	memset(fields, 'a', sizeof(fields));
	memcpy(fields, ASKS, start);
	memcpy(fields + start + half, "\r\n" ASKS, 2 + start);
	memcpy(fields + 2 * (start + half) + 2, "\r\n", 3);
	w.len = 0;
	cors_preflight(&w, &trusting, request("OPTIONS", fields));
	assert_true(w.len > CORS_REQUEST_HEADERS_MAX);
	memcpy(fields + 2 * (start + half) + 2, "a\r\n", 4);
	w.len = 0;
	cors_preflight(&w, &trusting, request("OPTIONS", fields));
	assert_true(w.len <= CORS_HEADERS_MAX);
}

static bool
allows(const struct cors *c, const char *fields)
{
	return cors_allows(c, request("GET", fields));
}

static void
cve_2019_13611_a_foreign_page_opens_no_websocket(void **state)
{
	assert_true(allows(&listed, ORIGIN_A));
	assert_false(allows(&listed, ORIGIN_X));
	assert_false(allows(&listed, "Origin: null\r\n"));
	assert_false(allows(&listed, "Origin:\r\n"));
	assert_false(allows(&listed, "Origin: http://x\r\n"));
	assert_false(allows(&listed, ORIGIN_A ORIGIN_X));
	assert_true(allows(&public, ORIGIN_X));
	assert_true(allows(&none, ORIGIN_X));
	/* no browser */
	assert_true(allows(&listed, ""));
}

static void
a_star_among_others_is_no_star(void **state)
{
	static char *const both[] = { all, a_example };
	const struct cors c = { both, 2, false };

	simple(&c, ORIGIN_X, VARY);
	simple(&c, ORIGIN_A, ALLOW_A VARY);
	assert_false(allows(&c, ORIGIN_X));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_a_list_nothing_is_written),
		cmocka_unit_test(a_listed_origin_is_reflected),
		cmocka_unit_test(a_foreign_origin_gets_no_more_than_vary),
		cmocka_unit_test(origins_are_compared_byte_for_byte),
		cmocka_unit_test(a_star_is_for_all),
		cmocka_unit_test(a_preflight_tells_what_may_be_sent),
		cmocka_unit_test(only_names_of_fields_are_reflected),
		cmocka_unit_test(what_is_reflected_is_bounded),
		cmocka_unit_test(
		    cve_2019_13611_a_foreign_page_opens_no_websocket),
		cmocka_unit_test(a_star_among_others_is_no_star),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
