/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_http - what http.h promises.  Tests named case_N are the edge cases
 * of the protocol page; each head is also parsed as it grows byte by byte.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proto/http.h"

/* heads up to this size are tried with every length */
#define SPLIT_MAX 1024

static const char text_untouched[] = "untouched";

static struct http_request req;
static struct http_error err;

/* Parse a copy that ends where it ends, so that ASan sees a step too far. */
static enum http_result
parse_copy(const char *text, size_t len, struct http_scan *scan)
{
	char *copy = malloc(len > 0 ? len : 1);
	enum http_result result;
	unsigned i;

	assert_non_null(copy);
	memcpy(copy, text, len);
	result = http_parse(copy, len, scan, &req, &err);
	/* what must outlive the copy points into the text */
	if (result == HTTP_OK) {
		ptrdiff_t d = text - copy;

		req.method_text.p += d;
		req.target.p += d;
		if (req.path.p >= copy && req.path.p < copy + len)
			req.path.p += d;
		req.query.p += d;
		if (req.host.len > 0)
			req.host.p += d;
		for (i = 0; i < req.nheaders; i++) {
			req.headers[i].name.p += d;
			req.headers[i].value.p += d;
		}
	}
	free(copy);
	return result;
}

/* Grow the head byte by byte: the outcome must be that of the whole. */
static void
parse_growing(const char *text, size_t len, enum http_result want,
    int want_status, size_t want_len)
{
	struct http_scan scan = { 0 };
	enum http_result result = HTTP_MORE;
	size_t n;

	for (n = 0; n <= len && result == HTTP_MORE; n++)
		result = parse_copy(text, n, &scan);
	assert_int_equal(result, want);
	if (want == HTTP_BAD)
		assert_int_equal(err.status, want_status);
	if (want == HTTP_OK)
		assert_int_equal(n - 1, want_len);
}

static enum http_result
parse_n(const char *text, size_t len)
{
	struct http_scan scan = { 0 };
	enum http_result result = parse_copy(text, len, &scan);
	struct http_error first = err;
	size_t head_len = result == HTTP_OK ? req.head_len : 0;

	if (len <= SPLIT_MAX) {
		parse_growing(text, len, result, err.status, head_len);
		scan = (struct http_scan){ 0 };
		(void)parse_copy(text, len, &scan);
		if (result == HTTP_BAD)
			assert_string_equal(err.why, first.why);
	}
	return result;
}

static void
good(const char *text)
{
	enum http_result result = parse_n(text, strlen(text));

	if (result != HTTP_OK)
		fail_msg("%s: %s", text, result == HTTP_BAD ? err.why : "more");
	assert_int_equal(req.head_len, strlen(text));
}

static void
bad(const char *text, int status)
{
	enum http_result result = parse_n(text, strlen(text));

	if (result != HTTP_BAD || err.status != status)
		fail_msg("%s: %d, status %d", text, (int)result,
		    result == HTTP_BAD ? err.status : 0);
}

/* The same for a GET with these fields besides Host. */
static void
good_with(const char *fields)
{
	static char text[4096];

	(void)snprintf(text, sizeof(text),
	    "GET / HTTP/1.1\r\nHost: x\r\n%s\r\n", fields);
	good(text);
}

static void
bad_with(const char *fields, int status)
{
	static char text[4096];

	(void)snprintf(text, sizeof(text),
	    "GET / HTTP/1.1\r\nHost: x\r\n%s\r\n", fields);
	bad(text, status);
}

#define assert_span(s, text) \
	do { \
		if (!span_is(s, text)) \
			fail_msg("%.*s is not %s", (int)(s).len, (s).p, text); \
	} while (0)

/* --- request line -------------------------------------------------------- */

static void
a_request_is_cut_into_its_parts(void **state)
{
	struct span v;

	good("GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\n"
	     "Host: chat.example:3002\r\n"
	     "User-Agent:  a b \t\r\n"
	     "Empty:\r\n\r\n");
	assert_int_equal(req.method, HTTP_GET);
	assert_span(req.method_text, "GET");
	assert_span(req.target, "/socket.io/?EIO=4&transport=websocket");
	assert_span(req.path, "/socket.io/");
	assert_span(req.query, "EIO=4&transport=websocket");
	assert_span(req.host, "chat.example:3002");
	assert_int_equal(req.minor, 1);
	assert_int_equal(req.nheaders, 3);
	assert_int_equal(http_header(&req, "USER-agent", &v), 1);
	assert_span(v, "a b");
	assert_int_equal(http_header(&req, "empty", &v), 1);
	assert_int_equal(v.len, 0);
	v.p = text_untouched;
	assert_int_equal(http_header(&req, "none", &v), 0);
	assert_ptr_equal(v.p, text_untouched);
	assert_false(req.chunked || req.expect_continue);
	assert_false(req.upgrade_websocket);
	assert_true(req.keep_alive);
	assert_int_equal(req.content_length, 0);
}

static void
the_next_request_begins_behind_the_head(void **state)
{
	static const char two[] = "GET /1 HTTP/1.1\r\nHost: x\r\n\r\n"
				  "GET /2 HTTP/1.1\r\nHost: x\r\n\r\n";
	struct http_scan scan = { 0 };
	size_t first;

	assert_int_equal(parse_copy(two, sizeof(two) - 1, &scan), HTTP_OK);
	assert_span(req.path, "/1");
	first = req.head_len;
	assert_int_equal(parse_copy(two + first, sizeof(two) - 1 - first,
			     &scan),
	    HTTP_OK);
	assert_span(req.path, "/2");
	assert_int_equal(first + req.head_len, sizeof(two) - 1);
}

static void
bytes_behind_the_head_are_not_looked_at(void **state)
{
	static const char text[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n\x81\0\n";

	assert_int_equal(parse_n(text, sizeof(text) - 1), HTTP_OK);
	assert_int_equal(req.head_len, sizeof(text) - 1 - 3);
}

static void
one_empty_line_in_front_is_skipped(void **state)
{
	good("\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n");
	bad("\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", 400);
	/* at once */
	bad("\r\n\r\n", 400);
	assert_int_equal(parse_n("\r\n", 2), HTTP_MORE);
	assert_int_equal(parse_n("\r", 1), HTTP_MORE);
	assert_int_equal(parse_n("", 0), HTTP_MORE);
}

static void
methods_are_known_or_refused(void **state)
{
	static const struct {
		const char *text;
		enum http_method method;
	} known[] = {
		{ "GET", HTTP_GET },
		{ "HEAD", HTTP_HEAD },
		{ "POST", HTTP_POST },
		{ "PUT", HTTP_PUT },
		{ "DELETE", HTTP_DELETE },
		{ "OPTIONS", HTTP_OPTIONS },
		{ "PATCH", HTTP_PATCH },
		{ "TRACE", HTTP_TRACE },
	};
	char text[80];
	size_t i;

	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		(void)snprintf(text, sizeof(text),
		    "%s / HTTP/1.1\r\nHost: x\r\n\r\n", known[i].text);
		good(text);
		assert_int_equal(req.method, known[i].method);
	}
	bad("get / HTTP/1.1\r\nHost: x\r\n\r\n", 501);
	bad("BREW / HTTP/1.1\r\nHost: x\r\n\r\n", 501);
	bad("CONNECT a:1 HTTP/1.1\r\nHost: x\r\n\r\n", 501);
	bad("G(T / HTTP/1.1\r\nHost: x\r\n\r\n", 400);
	bad(" GET / HTTP/1.1\r\nHost: x\r\n\r\n", 400);
	bad("GET\r\n\r\n", 400);
	bad("SSH-2.0-OpenSSH_9.2\r\n\r\n", 400);
}

static void
versions_are_one_point_something(void **state)
{
	good("GET / HTTP/1.0\r\n\r\n");
	assert_int_equal(req.minor, 0);
	good("GET / HTTP/1.7\r\nHost: x\r\n\r\n");
	assert_int_equal(req.minor, 1);
	bad("GET / HTTP/0.9\r\n\r\n", 505);
	bad("GET / HTTP/2.0\r\n\r\n", 505);
	bad("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505);
	bad("GET /\r\n\r\n", 400);
	bad("GET / \r\n\r\n", 400);
	bad("GET / HTTP/1.10\r\nHost: x\r\n\r\n", 400);
	bad("GET / HTTP/1\r\nHost: x\r\n\r\n", 400);
	bad("GET / HTTP/1.x\r\nHost: x\r\n\r\n", 400);
	bad("GET / HTTP/x.1\r\nHost: x\r\n\r\n", 400);
	bad("GET / HTTP/:.1\r\nHost: x\r\n\r\n", 400);
	bad("GET / HTTP/1:1\r\nHost: x\r\n\r\n", 400);
	bad("GET / HTTX/1.1\r\nHost: x\r\n\r\n", 400);
	bad("GET / http/1.1\r\nHost: x\r\n\r\n", 400);
	bad("GET / HTTP/1.1 \r\nHost: x\r\n\r\n", 400);
	bad("GET /  HTTP/1.1\r\nHost: x\r\n\r\n", 400);
	bad("GET / a HTTP/1.1\r\nHost: x\r\n\r\n", 400);
	bad("GET\t/ HTTP/1.1\r\nHost: x\r\n\r\n", 400);
}

static void
targets_hold_what_an_url_can_hold(void **state)
{
	good("GET /a%00b?{|}\"^`\\?x HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_span(req.path, "/a%00b");
	assert_span(req.query, "{|}\"^`\\?x");
	good("GET /? HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_int_equal(req.query.len, 0);
	good("GET /!~ HTTP/1.1\r\nHost: x\r\n\r\n");
	good("GET //x HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_span(req.path, "//x");
	bad("GET /a#b HTTP/1.1\r\nHost: x\r\n\r\n", 400);
	bad("GET /\xc3\xa9 HTTP/1.1\r\nHost: x\r\n\r\n", 400);
	bad("GET /a\tb HTTP/1.1\r\nHost: x\r\n\r\n", 400);
	bad("GET a HTTP/1.1\r\nHost: x\r\n\r\n", 400);
	bad("GET ?a HTTP/1.1\r\nHost: x\r\n\r\n", 400);
}

static void
an_absolute_target_brings_its_own_host(void **state)
{
	good("GET http://h.example:80/socket.io/?a HTTP/1.1\r\n"
	     "Host: other\r\n\r\n");
	assert_span(req.path, "/socket.io/");
	assert_span(req.query, "a");
	assert_span(req.host, "h.example:80");
	good("GET HTTPS://[::1]?q HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_span(req.path, "/");
	assert_span(req.query, "q");
	good("GET http://h HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_span(req.path, "/");
	bad("GET http:///a HTTP/1.1\r\nHost: x\r\n\r\n", 400);
	bad("GET http://:80/a HTTP/1.1\r\nHost: x\r\n\r\n", 400);
	bad("GET http://u@h/a HTTP/1.1\r\nHost: x\r\n\r\n", 400);
	bad("GET ftp://h/a HTTP/1.1\r\nHost: x\r\n\r\n", 400);
	bad("GET http:// HTTP/1.1\r\nHost: x\r\n\r\n", 400);
	/* a Host is needed all the same */
	bad("GET http://h/a HTTP/1.1\r\n\r\n", 400);
}

static void
a_star_is_for_options_alone(void **state)
{
	good("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_span(req.path, "*");
	assert_int_equal(req.query.len, 0);
	bad("GET * HTTP/1.1\r\nHost: x\r\n\r\n", 400);
	bad("OPTIONS *a HTTP/1.1\r\nHost: x\r\n\r\n", 400);
}

/* --- limits -------------------------------------------------------------- */

static char big[HTTP_HEAD_MAX + 4096];

/* "GET /aaa... HTTP/1.1" of that length, without its end. */
static size_t
big_line(size_t len)
{
	memcpy(big, "GET /", 5);
	memset(big + 5, 'a', len - 14);
	memcpy(big + len - 9, " HTTP/1.1", 9);
	return len;
}

static size_t
big_add(size_t at, const char *text)
{
	memcpy(big + at, text, strlen(text));
	return at + strlen(text);
}

static void
the_request_line_has_8192_bytes_at_most(void **state)
{
	struct http_scan scan = { 0 };
	size_t n;

	n = big_add(big_line(HTTP_LINE_MAX), "\r\nHost: x\r\n\r\n");
	assert_int_equal(parse_n(big, n), HTTP_OK);
	n = big_add(big_line(HTTP_LINE_MAX + 1), "\r\nHost: x\r\n\r\n");
	assert_int_equal(parse_n(big, n), HTTP_BAD);
	assert_int_equal(err.status, 414);
	/* an empty line in front of it does not count */
	n = big_add(big_line(HTTP_LINE_MAX), "\r\nHost: x\r\n\r\n");
	memmove(big + 2, big, n);
	memcpy(big, "\r\n", 2);
	assert_int_equal(parse_n(big, n + 2), HTTP_OK);
	n = big_add(big_line(HTTP_LINE_MAX + 1), "\r\nHost: x\r\n\r\n");
	memmove(big + 2, big, n);
	memcpy(big, "\r\n", 2);
	assert_int_equal(parse_n(big, n + 2), HTTP_BAD);
	assert_int_equal(err.status, 414);
	n = big_add(big_line(HTTP_LINE_MAX + 1), "\r\nHost: x\r\n\r\n");
	/* without waiting for its end; a sid of any length is like that */
	memset(big + 5, 'a', sizeof(big) - 5);
	assert_int_equal(parse_copy(big, HTTP_LINE_MAX, &scan), HTTP_MORE);
	assert_int_equal(parse_copy(big, HTTP_LINE_MAX + 1, &scan), HTTP_BAD);
	assert_int_equal(err.status, 414);
	assert_int_equal(parse_n(big, sizeof(big)), HTTP_BAD);
	assert_int_equal(err.status, 414);
}

static void
the_head_has_16384_bytes_at_most(void **state)
{
	struct http_scan scan = { 0 };
	size_t n = big_add(0, "GET / HTTP/1.1\r\nHost: x\r\nA: ");

	memset(big + n, 'a', sizeof(big) - n);
	(void)big_add(HTTP_HEAD_MAX - 4, "\r\n\r\n");
	assert_int_equal(parse_n(big, HTTP_HEAD_MAX), HTTP_OK);
	assert_int_equal(req.head_len, HTTP_HEAD_MAX);
	assert_int_equal(parse_n(big, sizeof(big)), HTTP_OK);
	assert_int_equal(parse_copy(big, HTTP_HEAD_MAX - 1, &scan), HTTP_MORE);
	assert_int_equal(parse_copy(big, HTTP_HEAD_MAX, &scan), HTTP_OK);

	memset(big + HTTP_HEAD_MAX - 4, 'a', 4);
	(void)big_add(HTTP_HEAD_MAX - 3, "\r\n\r\n");
	scan = (struct http_scan){ 0 };
	assert_int_equal(parse_copy(big, HTTP_HEAD_MAX, &scan), HTTP_BAD);
	assert_int_equal(err.status, 431);
	assert_int_equal(parse_n(big, HTTP_HEAD_MAX + 1), HTTP_BAD);
	assert_int_equal(err.status, 431);
}

static size_t
head_with_fields(unsigned fields)
{
	size_t n = big_add(0, "GET / HTTP/1.1\r\nHost: x\r\n");
	unsigned i;

	for (i = 1; i < fields; i++)
		n = big_add(n, "a: b\r\n");
	return big_add(n, "\r\n");
}

static void
a_head_has_100_fields_at_most(void **state)
{
	assert_int_equal(parse_n(big, head_with_fields(100)), HTTP_OK);
	assert_int_equal(req.nheaders, 100);
	assert_int_equal(parse_n(big, head_with_fields(101)), HTTP_BAD);
	assert_int_equal(err.status, 431);
}

static void
cve_2024_37890_two_thousand_fields(void **state)
{
	assert_int_equal(parse_n(big, head_with_fields(2000)), HTTP_BAD);
	assert_int_equal(err.status, 431);
}

static void
a_head_is_scanned_once(void **state)
{
	struct http_scan scan = { 0 };

	(void)big_add(0, "GET / HTTP/1.1\r\nHost: x\r\n");
	memset(big + 25, 'a', 100);
	assert_int_equal(parse_copy(big, 100, &scan), HTTP_MORE);
	assert_int_equal(scan.pos, 100);
	assert_int_equal(scan.lines, 2);
	/* not even a NUL is seen where it was before */
	big[50] = '\0';
	assert_int_equal(parse_copy(big, 110, &scan), HTTP_MORE);
}

/* --- fields -------------------------------------------------------------- */

static void
field_lines_have_one_form(void **state)
{
	bad_with(" folded: x\r\n", 400);
	bad_with("A: b\r\n c\r\n", 400);
	bad_with("A: b\r\n\tc\r\n", 400);
	bad_with("A : b\r\n", 400);
	bad_with("A\t: b\r\n", 400);
	bad_with(": b\r\n", 400);
	bad_with("A\r\n", 400);
	bad_with("A(: b\r\n", 400);
	bad_with("A\xc3\xa9: b\r\n", 400);
	bad_with("A b: c\r\n", 400);
	/* nor may the first one be folded: it would hide from others */
	bad("GET / HTTP/1.1\r\n Host: x\r\n\r\n", 400);
	good_with("A: caf\xc3\xa9 \xff\tx\r\n");
	good_with("!#$%&'*+-.^_`|~0aZ: b:c\r\n");
}

static void
lines_end_in_cr_lf(void **state)
{
	bad("GET / HTTP/1.1\nHost: x\n\n", 400);
	bad("GET / HTTP/1.1\r\nHost: x\n\r\n", 400);
	bad("GET / HTTP/1.1\r\nHost: x\r\n\n", 400);
	bad_with("A: b\rc\r\n", 400);
	bad_with("A: b\r\r\n", 400);
	bad("\n", 400);
}

static void
control_characters_are_refused_at_once(void **state)
{
	static const char nul[] = "GET / HTTP/1.1\r\nHost: x\r\nA: \0\r\n\r\n";
	static const char nul_line[] = "GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n";

	assert_int_equal(parse_n(nul, sizeof(nul) - 1), HTTP_BAD);
	assert_int_equal(parse_n(nul_line, sizeof(nul_line) - 1), HTTP_BAD);
	bad_with("A: \x01\r\n", 400);
	bad_with("A: \x7f\r\n", 400);
	bad("\x16\x03\x01\x02", 400);
	bad("GET /\x1b", 400);
}

static void
case_37_an_origin_with_control_bytes_is_refused(void **state)
{
	bad_with("Origin: http://a\x0b\r\n", 400);
	bad_with("Origin: \x1f\r\n", 400);
}

static void
case_75_http_1_1_needs_one_good_host(void **state)
{
	bad("GET / HTTP/1.1\r\n\r\n", 400);
	bad("GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n", 400);
	bad("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400);
	bad("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400);
	bad("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400);
	bad("GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", 400);
	bad("GET / HTTP/1.1\r\nHost: a:1:2\r\n\r\n", 400);
	bad("GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", 400);
	bad("GET / HTTP/1.1\r\nHost: []\r\n\r\n", 400);
	bad("GET / HTTP/1.1\r\nHost: [::1]x\r\n\r\n", 400);
	bad("GET / HTTP/1.1\r\nHost: [a/b]\r\n\r\n", 400);
	bad("GET / HTTP/1.1\r\nHost: [a b]\r\n\r\n", 400);
	bad("GET / HTTP/1.1\r\nHost: a:1/\r\n\r\n", 400);
	bad("GET / HTTP/1.1\r\nHost: \xc3\xa9\r\n\r\n", 400);
	good("GET / HTTP/1.1\r\nHost:\r\n\r\n");
	good("GET / HTTP/1.1\r\nHost: [fe80::1]:3002\r\n\r\n");
	good("GET / HTTP/1.1\r\nHost: [v]\r\n\r\n");
	good("GET / HTTP/1.1\r\nHost: a_b.example:\r\n\r\n");
	good("GET / HTTP/1.1\r\nHost: azAZ09-~.%:0918273645\r\n\r\n");
}

static void
case_75_http_1_0_needs_none(void **state)
{
	good("GET / HTTP/1.0\r\n\r\n");
	assert_false(req.keep_alive);
	assert_int_equal(req.host.len, 0);
	good("GET / HTTP/1.0\r\nHost: x\r\nConnection: Keep-Alive\r\n\r\n");
	assert_true(req.keep_alive);
	bad("GET / HTTP/1.0\r\nHost: x\r\nHost: y\r\n\r\n", 400);
}

static void
content_length_is_one_number(void **state)
{
	good_with("Content-Length: 0\r\n");
	good_with("content-length:  0012\t\r\n");
	assert_int_equal(req.content_length, 12);
	good_with("Content-Length: 9223372036854775807\r\n");
	assert_int_equal(req.content_length, INT64_MAX);
	bad_with("Content-Length: 9223372036854775808\r\n", 413);
	bad_with("Content-Length: 99999999999999999999999\r\n", 413);
	bad_with("Content-Length: 5\r\nContent-Length: 5\r\n", 400);
	bad_with("Content-Length: 5\r\nContent-Length: 6\r\n", 400);
	bad_with("Content-Length: 5, 5\r\n", 400);
	bad_with("Content-Length:\r\n", 400);
	bad_with("Content-Length: +5\r\n", 400);
	bad_with("Content-Length: -5\r\n", 400);
	bad_with("Content-Length: 0x5\r\n", 400);
	bad_with("Content-Length: 5 5\r\n", 400);
	bad_with("Content-Length: 5.0\r\n", 400);
	bad_with("Content-Length: 99999999999999999999999x\r\n", 400);
}

static void
transfer_encoding_is_chunked_and_alone(void **state)
{
	good_with("Transfer-Encoding: chunked\r\n");
	assert_true(req.chunked);
	good_with("Transfer-Encoding: , CHUNKED ,\r\n");
	assert_true(req.chunked);
	bad_with("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", 400);
	bad_with("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", 400);
	bad_with("Transfer-Encoding: identity\r\nContent-Length: 5\r\n", 400);
	bad_with("Transfer-Encoding: gzip, chunked\r\n", 501);
	bad_with("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n",
	    501);
	bad_with("Transfer-Encoding: chunked, gzip\r\n", 400);
	bad_with("Transfer-Encoding: chunked, chunked\r\n", 400);
	bad_with("Transfer-Encoding: identity\r\n", 400);
	bad_with("Transfer-Encoding: xchunked\r\n", 400);
	bad_with("Transfer-Encoding: \"chunked\"\r\n", 400);
	bad_with("Transfer-Encoding: chunked;a=b\r\n", 400);
	bad_with("Transfer-Encoding:\r\n", 400);
	bad("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400);
}

static void
connection_tokens_decide_about_keep_alive(void **state)
{
	good_with("");
	assert_true(req.keep_alive);
	good_with("Connection: CLOSE\r\n");
	assert_false(req.keep_alive);
	good_with("Connection: keep-alive\r\nConnection: x , close\r\n");
	assert_false(req.keep_alive);
	good_with("Connection: closed\r\n");
	assert_true(req.keep_alive);
	good("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n");
	assert_false(req.keep_alive);
}

static void
case_74_upgrade_is_a_token_in_any_case(void **state)
{
	good_with("Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n");
	assert_true(req.upgrade_websocket);
	good_with("connection: upgrade\r\nupgrade: WebSocket\r\n");
	assert_true(req.upgrade_websocket);
	good_with("Connection: x\r\nConnection: UPGRADE\r\n"
		  "Upgrade: h2c, websocket\r\n");
	assert_true(req.upgrade_websocket);
	good_with("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n");
	assert_false(req.upgrade_websocket);
	good_with("Upgrade: websocket\r\n");
	assert_false(req.upgrade_websocket);
	good_with("Connection: Upgrade\r\n");
	assert_false(req.upgrade_websocket);
	good_with("Connection: Upgrade\r\nUpgrade: websocket/13\r\n");
	assert_false(req.upgrade_websocket);
	good("GET / HTTP/1.0\r\nConnection: Upgrade\r\n"
	     "Upgrade: websocket\r\n\r\n");
	assert_false(req.upgrade_websocket);
}

static void
only_100_continue_may_be_expected(void **state)
{
	good_with("Expect: 100-Continue\r\n");
	assert_true(req.expect_continue);
	bad_with("Expect: 200-maybe\r\n", 417);
	bad_with("Expect: 100-continue, more\r\n", 417);
	good("POST / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n");
	assert_false(req.expect_continue);
}

static void
lists_are_walked_over_all_fields(void **state)
{
	struct http_list list = { 0 };
	struct span e;

	good_with("L: a , ,b\r\nother: x\r\nl:\r\nL: ,c\t,\r\n");
	assert_int_equal(http_header(&req, "l", NULL), 3);
	assert_true(http_list_next(&req, "L", &list, &e));
	assert_span(e, "a");
	assert_true(http_list_next(&req, "L", &list, &e));
	assert_span(e, "b");
	assert_true(http_list_next(&req, "L", &list, &e));
	assert_span(e, "c");
	assert_false(http_list_next(&req, "L", &list, &e));
	assert_span(e, "c");
	assert_false(http_list_next(&req, "L", &list, &e));
}

static void
each_refusal_says_why(void **state)
{
	static const struct {
		const char *text;
		const char *why;
	} rows[] = {
		{ "\r\n\r\n", "empty request line" },
		{ "GET / HTTP/1.1\rx", "CR without LF" },
		{ "GET / HTTP/1.1\n", "LF without CR" },
		{ "\x16", "control character" },
		{ "GET\r\n\r\n", "malformed request line" },
		{ "GET / HTTP/1\r\n\r\n", "malformed HTTP version" },
		{ "GET / HTTP/2.0\r\n\r\n", "HTTP version not supported" },
		{ "X / HTTP/1.0\r\n\r\n", "unknown method" },
		{ "GET a HTTP/1.0\r\n\r\n", "malformed request target" },
		{ "GET http:// HTTP/1.0\r\n\r\n", "malformed request target" },
		{ "GET http:/// HTTP/1.0\r\n\r\n",
		    "malformed authority in request target" },
		{ "GET /# HTTP/1.0\r\n\r\n",
		    "character not allowed in request target" },
		{ "GET / HTTP/1.0\r\n a\r\n\r\n", "folded header field" },
		{ "GET / HTTP/1.0\r\na\r\n\r\n",
		    "header field without a colon" },
		{ "GET / HTTP/1.0\r\na :\r\n\r\n",
		    "malformed header field name" },
		{ "GET / HTTP/1.1\r\n\r\n", "no Host field" },
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(parse_n(rows[i].text, strlen(rows[i].text)),
		    HTTP_BAD);
		assert_string_equal(err.why, rows[i].why);
	}
}

static void
section_8_a_session_id_of_a_million_characters(void **state)
{
	static char text[1000000];
	struct http_scan scan = { 0 };
	static const char start[] = "GET /socket.io/?EIO=4&sid=";

	memset(text, 'A', sizeof(text));
	memcpy(text, start, sizeof(start) - 1);
	/* refused as soon as that is clear, not at the end */
	assert_int_equal(parse_copy(text, HTTP_LINE_MAX, &scan), HTTP_MORE);
	assert_int_equal(parse_copy(text, HTTP_LINE_MAX + 100, &scan),
	    HTTP_BAD);
	assert_int_equal(err.status, 414);
	assert_int_equal(parse_n(text, sizeof(text)), HTTP_BAD);
	assert_int_equal(err.status, 414);
}

static void
section_8_an_escaped_nul_stays_escaped(void **state)
{
	good("GET /socket.io/%00?EIO=4%00&sid=%00 HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_span(req.path, "/socket.io/%00");
	assert_span(req.query, "EIO=4%00&sid=%00");
}

static void
section_8_smuggled_lengths_are_refused(void **state)
{
	/* blanks, other separators and lists: whatever another reader takes */
	bad_with("Content-Length : 5\r\n", 400);
	bad_with("Content-Length:\t5,\r\n", 400);
	bad_with("Content-Length: 5\r\ncontent-length: 5\r\n", 400);
	bad_with("Transfer-Encoding\t: chunked\r\n", 400);
	bad_with("Transfer-Encoding: chunked\r\n"
		 "transfer-encoding: identity\r\n",
	    400);
	bad_with("Transfer-Encoding:\x0b"
		 "chunked\r\n",
	    400);
	bad_with(" Transfer-Encoding: chunked\r\n", 400);
	bad_with("X: y\r\n Transfer-Encoding: chunked\r\n", 400);
	bad_with("X: y\nTransfer-Encoding: chunked\r\n", 400);
	bad_with("X: y\rTransfer-Encoding: chunked\r\n", 400);
	bad_with("Content-Length: 5\r\nTransfer-Encoding: x\r\n", 400);
	bad("POST / HTTP/1.0\r\nContent-Length: 5\r\n"
	    "Transfer-Encoding: chunked\r\n\r\n",
	    400);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_is_cut_into_its_parts),
		cmocka_unit_test(the_next_request_begins_behind_the_head),
		cmocka_unit_test(bytes_behind_the_head_are_not_looked_at),
		cmocka_unit_test(one_empty_line_in_front_is_skipped),
		cmocka_unit_test(methods_are_known_or_refused),
		cmocka_unit_test(versions_are_one_point_something),
		cmocka_unit_test(targets_hold_what_an_url_can_hold),
		cmocka_unit_test(an_absolute_target_brings_its_own_host),
		cmocka_unit_test(a_star_is_for_options_alone),
		cmocka_unit_test(the_request_line_has_8192_bytes_at_most),
		cmocka_unit_test(the_head_has_16384_bytes_at_most),
		cmocka_unit_test(a_head_has_100_fields_at_most),
		cmocka_unit_test(cve_2024_37890_two_thousand_fields),
		cmocka_unit_test(a_head_is_scanned_once),
		cmocka_unit_test(field_lines_have_one_form),
		cmocka_unit_test(lines_end_in_cr_lf),
		cmocka_unit_test(control_characters_are_refused_at_once),
		cmocka_unit_test(
		    case_37_an_origin_with_control_bytes_is_refused),
		cmocka_unit_test(case_75_http_1_1_needs_one_good_host),
		cmocka_unit_test(case_75_http_1_0_needs_none),
		cmocka_unit_test(content_length_is_one_number),
		cmocka_unit_test(transfer_encoding_is_chunked_and_alone),
		cmocka_unit_test(connection_tokens_decide_about_keep_alive),
		cmocka_unit_test(case_74_upgrade_is_a_token_in_any_case),
		cmocka_unit_test(only_100_continue_may_be_expected),
		cmocka_unit_test(lists_are_walked_over_all_fields),
		cmocka_unit_test(each_refusal_says_why),
		cmocka_unit_test(
		    section_8_a_session_id_of_a_million_characters),
		cmocka_unit_test(section_8_an_escaped_nul_stays_escaped),
		cmocka_unit_test(section_8_smuggled_lengths_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
