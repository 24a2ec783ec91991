/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_http_answer - what http.h promises of answers.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "proto/http.h"

static char out[1024];

static void
assert_out(size_t len, const char *want)
{
	assert_int_equal(len, strlen(want));
	assert_memory_equal(out, want, len);
}

static void
an_answer_tells_its_length(void **state)
{
	struct http_response res = {
		.status = 200,
		.type = "text/plain",
		.date = "Sun, 06 Nov 1994 08:49:37 GMT",
		.headers = "A: b\r\nC: d\r\n",
		.body = "ok",
		.body_len = 2,
	};
	static const char head[] = "HTTP/1.1 200 OK\r\n"
				   "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
				   "Content-Type: text/plain\r\n"
				   "Content-Length: 2\r\n"
				   "A: b\r\nC: d\r\n"
				   "Connection: keep-alive\r\n\r\n";
	char want[512];

	(void)snprintf(want, sizeof(want), "%sok", head);
	assert_out(http_respond(out, sizeof(out), &res), want);
	res.head_only = true;
	assert_out(http_respond(out, sizeof(out), &res), head);
	res = (struct http_response){ .status = 404 };
	assert_out(http_respond(out, sizeof(out), &res),
	    "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n"
	    "Connection: keep-alive\r\n\r\n");
	res = (struct http_response){ .status = 204, .close = true };
	assert_out(http_respond(out, sizeof(out), &res),
	    "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
	res = (struct http_response){ .status = 304, .headers = "ETag: a\r\n" };
	assert_out(http_respond(out, sizeof(out), &res),
	    "HTTP/1.1 304 Not Modified\r\nETag: a\r\n"
	    "Connection: keep-alive\r\n\r\n");
}

static void
an_answer_that_does_not_fit_is_none(void **state)
{
	const struct http_response res = { .status = 404 };
	size_t len = http_respond(out, sizeof(out), &res);
	char *small;
	size_t n;

	for (n = 0; n < len; n++) {
		small = malloc(n > 0 ? n : 1);
		assert_non_null(small);
		assert_int_equal(http_respond(small, n, &res), 0);
		free(small);
	}
	assert_int_equal(http_respond(out, len, &res), len);
}

static void
refusals_close(void **state)
{
	assert_out(http_refuse(out, sizeof(out), 431),
	    "HTTP/1.1 431 Request Header Fields Too Large\r\n"
	    "Content-Length: 0\r\nConnection: close\r\n\r\n");
	assert_out(http_busy(out, sizeof(out), 5),
	    "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n"
	    "Retry-After: 5\r\nConnection: close\r\n\r\n");
}

static void
a_kept_connection_tells_how_long(void **state)
{
	struct http_response res = {
		.status = 200,
		.keep_alive = 5,
	};

	assert_out(http_respond(out, sizeof(out), &res),
	    "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"
	    "Connection: keep-alive\r\nKeep-Alive: timeout=5\r\n\r\n");
	res.close = true;
	assert_out(http_respond(out, sizeof(out), &res),
	    "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"
	    "Connection: close\r\n\r\n");
	res = (struct http_response){ .status = 101, .keep_alive = 5 };
	assert_out(http_respond(out, sizeof(out), &res),
	    "HTTP/1.1 101 Switching Protocols\r\n\r\n");
}

static void
case_7_and_8_ok_to_a_post(void **state)
{
	const struct http_response res = {
		.status = 200,
		.type = "text/html",
		.headers = HTTP_NO_STORE HTTP_NO_XSS_FILTER,
		.body = "ok",
		.body_len = 2,
	};

	assert_out(http_respond(out, sizeof(out), &res),
	    "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
	    "Content-Length: 2\r\ncache-control: no-store\r\n"
	    "X-XSS-Protection: 0\r\nConnection: keep-alive\r\n\r\nok");
	assert_string_equal(HTTP_CONTINUE, "HTTP/1.1 100 Continue\r\n\r\n");
}

static void
assert_date(int64_t seconds, const char *want)
{
	char buf[HTTP_DATE_SIZE];

	http_date(buf, seconds);
	assert_string_equal(buf, want);
}

static void
dates_are_of_one_form(void **state)
{
	assert_date(784111777, "Sun, 06 Nov 1994 08:49:37 GMT");
	assert_date(0, "Thu, 01 Jan 1970 00:00:00 GMT");
	assert_date(-1, "Thu, 01 Jan 1970 00:00:00 GMT");
	assert_date(INT64_MIN, "Thu, 01 Jan 1970 00:00:00 GMT");
	assert_date(951782399, "Mon, 28 Feb 2000 23:59:59 GMT");
	assert_date(951782400, "Tue, 29 Feb 2000 00:00:00 GMT");
	assert_date(951868800, "Wed, 01 Mar 2000 00:00:00 GMT");
	assert_date(4107542400, "Mon, 01 Mar 2100 00:00:00 GMT");
	assert_date(4107542399, "Sun, 28 Feb 2100 23:59:59 GMT");
	assert_date(253402300799, "Fri, 31 Dec 9999 23:59:59 GMT");
	assert_date(253402300800, "Fri, 31 Dec 9999 23:59:59 GMT");
	assert_date(INT64_MAX, "Fri, 31 Dec 9999 23:59:59 GMT");
}

/* Each day of 700 years, against the C library in its own locale. */
static void
dates_are_those_of_the_calendar(void **state)
{
	char want[HTTP_DATE_SIZE], got[HTTP_DATE_SIZE];
	struct tm tm;
	time_t t;

	for (t = 0; t < (time_t)700 * 366 * 86400; t += 86399) {
		assert_non_null(gmtime_r(&t, &tm));
		(void)strftime(want, sizeof(want), "%a, %d %b %Y %T GMT", &tm);
		http_date(got, t);
		if (strcmp(got, want) != 0)
			fail_msg("%s is not %s", got, want);
	}
}

static void
each_status_that_is_sent_has_its_reason(void **state)
{
	static const int sent[] = { 101, 200, 204, 304, 400, 403, 404, 405, 408,
		413, 414, 417, 426, 429, 431, 500, 501, 503, 505 };
	size_t i;

	for (i = 0; i < sizeof(sent) / sizeof(sent[0]); i++)
		assert_string_not_equal(http_reason(sent[i]), "Unknown");
	assert_string_equal(http_reason(299), "Unknown");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_answer_tells_its_length),
		cmocka_unit_test(an_answer_that_does_not_fit_is_none),
		cmocka_unit_test(refusals_close),
		cmocka_unit_test(a_kept_connection_tells_how_long),
		cmocka_unit_test(case_7_and_8_ok_to_a_post),
		cmocka_unit_test(dates_are_of_one_form),
		cmocka_unit_test(dates_are_those_of_the_calendar),
		cmocka_unit_test(each_status_that_is_sent_has_its_reason),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
