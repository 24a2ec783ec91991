/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_http_body - what http_body.h promises.  Each body is read at once, in
 * two pieces cut at each byte, and byte by byte: the outcome must be one.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proto/http_body.h"

#define OUT_MAX 65536

static const struct http_request chunked = { .chunked = true };

/* What became of a body. */
struct outcome {
	enum http_body_result result;
	struct http_error err;
	size_t used;
	uint64_t total;
	size_t len;
	char out[OUT_MAX];
};

/* From a copy that ends where it ends. */
static void
feed(struct http_body *b, const char *text, size_t len, struct outcome *o)
{
	char *copy = malloc(len > 0 ? len : 1);
	size_t pos = 0, used;
	struct span data;

	assert_non_null(copy);
	memcpy(copy, text, len);
	for (;;) {
		used = SIZE_MAX;
		o->result = http_body_next(b, copy + pos, len - pos, &used,
		    &data, &o->err);
		assert_true(used <= len - pos);
		pos += used;
		if (o->result != HTTP_BODY_DATA)
			break;
		assert_true(data.len > 0 && o->len + data.len <= OUT_MAX);
		memcpy(o->out + o->len, data.p, data.len);
		o->len += data.len;
		assert_int_equal(b->total, o->len);
	}
	if (o->result == HTTP_BODY_MORE)
		assert_int_equal(pos, len);
	o->used += pos;
	o->total = b->total;
	free(copy);
}

static void
run(const struct http_request *req, const char *text, size_t len, size_t cut,
    size_t step, struct outcome *o)
{
	struct http_body b;
	size_t pos = 0, n = cut;

	memset(o, 0, offsetof(struct outcome, out));
	http_body_init(&b, req);
	do {
		if (n > len - pos)
			n = len - pos;
		feed(&b, text + pos, n, o);
		pos += n;
		n = step;
	} while (o->result == HTTP_BODY_MORE && pos < len);
}

static void
same(const struct outcome *a, const struct outcome *b)
{
	assert_int_equal(a->result, b->result);
	assert_int_equal(a->used, b->used);
	assert_int_equal(a->len, b->len);
	assert_memory_equal(a->out, b->out, a->len);
	if (a->result == HTTP_BODY_BAD)
		assert_string_equal(a->err.why, b->err.why);
}

static struct outcome whole, part;

static const struct outcome *
read_body(const struct http_request *req, const char *text, size_t len)
{
	size_t cut;

	run(req, text, len, len, len, &whole);
	run(req, text, len, 1, 1, &part);
	same(&whole, &part);
	for (cut = 0; cut < len && len < 600; cut++) {
		run(req, text, len, cut, len, &part);
		same(&whole, &part);
	}
	return &whole;
}

static void
good(const char *text, const char *want)
{
	const struct outcome *o = read_body(&chunked, text, strlen(text));

	if (o->result != HTTP_BODY_DONE)
		fail_msg("%s: %s", text,
		    o->result == HTTP_BODY_BAD ? o->err.why : "more");
	assert_int_equal(o->used, strlen(text));
	assert_int_equal(o->len, strlen(want));
	assert_memory_equal(o->out, want, o->len);
}

static void
bad(const char *text, const char *why)
{
	const struct outcome *o = read_body(&chunked, text, strlen(text));

	if (o->result != HTTP_BODY_BAD)
		fail_msg("%s: %d", text, (int)o->result);
	assert_int_equal(o->err.status, 400);
	assert_string_equal(o->err.why, why);
}

/* --- by length ----------------------------------------------------------- */

static void
a_body_has_its_declared_length(void **state)
{
	struct http_request req = { .content_length = 5 };
	const struct outcome *o = read_body(&req, "helloGET /", 10);

	assert_int_equal(o->result, HTTP_BODY_DONE);
	assert_int_equal(o->used, 5);
	assert_int_equal(o->len, 5);
	assert_memory_equal(o->out, "hello", 5);
	o = read_body(&req, "hell", 4);
	assert_int_equal(o->result, HTTP_BODY_MORE);
	assert_int_equal(o->total, 4);
}

static void
no_body_is_done_at_once(void **state)
{
	const struct http_request req = { 0 };
	const struct outcome *o = read_body(&req, "GET /", 5);

	assert_int_equal(o->result, HTTP_BODY_DONE);
	assert_int_equal(o->used, 0);
	o = read_body(&req, "", 0);
	assert_int_equal(o->result, HTTP_BODY_DONE);
}

static void
what_is_too_long_is_known_early(void **state)
{
	struct http_request req = { .content_length = 100 };
	struct http_body b;
	struct http_error err;
	struct span data;
	size_t used;

	http_body_init(&b, &req);
	assert_false(http_body_exceeds(&b, 100));
	assert_true(http_body_exceeds(&b, 99));
	assert_int_equal(http_body_next(&b, "abc", 3, &used, &data, &err),
	    HTTP_BODY_DATA);
	assert_false(http_body_exceeds(&b, 100));
	assert_true(http_body_exceeds(&b, 99));
	assert_true(http_body_exceeds(&b, 2));
	/* all that was declared has come */
	req.content_length = 3;
	http_body_init(&b, &req);
	assert_int_equal(http_body_next(&b, "abc", 3, &used, &data, &err),
	    HTTP_BODY_DATA);
	assert_false(http_body_exceeds(&b, 3));
	req.content_length = INT64_MAX;
	http_body_init(&b, &req);
	assert_true(http_body_exceeds(&b, 1000000));
	/* a chunk's size tells it, too */
	http_body_init(&b, &chunked);
	assert_false(http_body_exceeds(&b, 0));
	assert_int_equal(http_body_next(&b, "5\r\n", 3, &used, &data, &err),
	    HTTP_BODY_MORE);
	assert_true(http_body_exceeds(&b, 4));
	assert_false(http_body_exceeds(&b, 5));
	assert_int_equal(http_body_next(&b, "hello", 5, &used, &data, &err),
	    HTTP_BODY_DATA);
	assert_true(http_body_exceeds(&b, 4));
	assert_false(http_body_exceeds(&b, 5));
}

/* --- chunked ------------------------------------------------------------- */

static void
case_17_chunks_are_put_together(void **state)
{
	good("0\r\n\r\n", "");
	good("5\r\nhello\r\n0\r\n\r\n", "hello");
	good("5\r\nhello\r\n7\r\n, world\r\n0\r\n\r\n", "hello, world");
	good("a\r\n0123456789\r\nA\r\nabcdefghij\r\n0\r\n\r\n",
	    "0123456789abcdefghij");
	good("2\r\n\r\n\r\n1\r\n0\r\n0\r\n\r\n", "\r\n0");
	good("9\r\n123456789\r\nF\r\nabcdefghijklmno\r\n"
	     "f\r\nabcdefghijklmno\r\n0\r\n\r\n",
	    "123456789abcdefghijklmnoabcdefghijklmno");
}

static void
what_follows_a_body_is_left(void **state)
{
	static const char text[] = "1\r\na\r\n0\r\n\r\nGET / HTTP/1.1\r\n";
	const struct outcome *o = read_body(&chunked, text, sizeof(text) - 1);

	assert_int_equal(o->result, HTTP_BODY_DONE);
	assert_int_equal(o->used, 11);
}

static void
done_and_bad_stay(void **state)
{
	struct http_body b;
	struct http_error err;
	struct span data;
	size_t used;

	http_body_init(&b, &chunked);
	assert_int_equal(http_body_next(&b, "0\r\n\r\n", 5, &used, &data, &err),
	    HTTP_BODY_DONE);
	assert_int_equal(http_body_next(&b, "5", 1, &used, &data, &err),
	    HTTP_BODY_DONE);
	assert_int_equal(used, 0);
	http_body_init(&b, &chunked);
	assert_int_equal(http_body_next(&b, "x", 1, &used, &data, &err),
	    HTTP_BODY_BAD);
	err.why = NULL;
	assert_int_equal(http_body_next(&b, "5", 1, &used, &data, &err),
	    HTTP_BODY_BAD);
	assert_non_null(err.why);
}

static void
sizes_are_hexadecimal_and_nothing_else(void **state)
{
	good("00000000000000A\r\n0123456789\r\n0000000000000000\r\n\r\n",
	    "0123456789");
	bad("\r\n", "chunk without a size");
	bad(";a\r\n", "chunk without a size");
	bad(" 5\r\n", "chunk without a size");
	bad("-5\r\n", "chunk without a size");
	bad("+5\r\n", "chunk without a size");
	bad("g\r\n", "chunk without a size");
	bad("0x5\r\n", "malformed chunk size");
	bad("5g\r\n", "malformed chunk size");
	bad("5.\r\n", "malformed chunk size");
	bad("5_0\r\n", "malformed chunk size");
	bad("5,5\r\n", "malformed chunk size");
	bad("5\n", "malformed chunk size");
	bad("5\rx", "CR without LF");
	bad("5 \r\n", "malformed chunk extension");
	bad("5 5\r\n", "malformed chunk extension");
	bad("5 5;\r\nhello\r\n0\r\n\r\n", "malformed chunk extension");
	bad("1\r\na\r\n\r\n", "chunk without a size");
}

static void
sizes_do_not_overflow(void **state)
{
	const struct outcome *o;

	bad("00000000000000001\r\n", "chunk size has too many digits");
	bad("8000000000000000\r\n", "chunk size too large");
	bad("ffffffffffffffff\r\n", "chunk size too large");
	bad("10000000000000005\r\n", "chunk size has too many digits");
	bad("fffffffffffffffff\r\n", "chunk size too large");
	o = read_body(&chunked, "7fffffffffffffff\r\nab", 20);
	assert_int_equal(o->result, HTTP_BODY_MORE);
	assert_int_equal(o->total, 2);
}

static void
a_chunk_ends_where_it_says(void **state)
{
	bad("1\r\nab\r\n0\r\n\r\n", "chunk longer than its size");
	bad("3\r\nab\r\n0\r\n\r\n", "chunk longer than its size");
	bad("1\r\na\n0\r\n\r\n", "chunk longer than its size");
	bad("1\r\na\rb", "CR without LF");
	bad("0\r\n\rb", "CR without LF");
	bad("0\r\n\n", "malformed trailer field");
	bad("0\n", "malformed chunk size");
}

static void
extensions_are_skipped(void **state)
{
	good("1;a=b\r\nx\r\n0;c\r\n\r\n", "x");
	good("1 \t;a=b;c\r\nx\r\n0 ; c=\"d e\"\r\n\r\n", "x");
	good("1;\r\nx\r\n0;;\r\n\r\n", "x");
	good("1 \t \t;a\r\nx\r\n0\r\n\r\n", "x");
	good("1;a=\xc3\xa9\t\r\nx\r\n0\r\n\r\n", "x");
	bad("1;a\nx", "malformed chunk extension");
	bad("1;a\x01", "malformed chunk extension");
	bad("1;a\x7f", "malformed chunk extension");
	bad("1;a\rb", "CR without LF");
}

static void
trailers_are_skipped(void **state)
{
	good("0\r\nA: b\r\nC:\r\nD:e: f\r\n\r\n", "");
	good("1\r\nx\r\n0;x\r\nContent-Length: 5\r\n\r\n", "x");
	bad("0\r\n: b\r\n\r\n", "malformed trailer field");
	bad("0\r\nA\r\n\r\n", "malformed trailer field");
	bad("0\r\n A: b\r\n\r\n", "malformed trailer field");
	bad("0\r\nA : b\r\n\r\n", "malformed trailer field");
	bad("0\r\nA: b\n\r\n", "malformed trailer field");
	bad("0\r\nA: \x01\r\n\r\n", "malformed trailer field");
	bad("0\r\nA: b\r\n c\r\n\r\n", "malformed trailer field");
	bad("0\r\nA: b\rc\r\n\r\n", "CR without LF");
	bad("0\r\nGET / HTTP/1.1\r\n", "malformed trailer field");
}

/* --- limits -------------------------------------------------------------- */

static char big[200000];
static size_t big_len;

static void
add(const char *text)
{
	size_t n = strlen(text);

	assert_true(big_len + n < sizeof(big));
	memcpy(big + big_len, text, n + 1);
	big_len += n;
}

static void
trailers_are_bounded_in_number(void **state)
{
	int i;

	big_len = 0;
	add("0\r\n");
	for (i = 0; i < HTTP_TRAILERS_MAX; i++)
		add("a:\r\n");
	add("\r\n");
	good(big, "");
	big_len -= 2;
	add("a:\r\n\r\n");
	bad(big, "too many trailer fields");
}

/* As llhttp had to learn. */
static void
cve_2024_22019_extensions_are_bounded_in_bytes(void **state)
{
	size_t i, n;

	/* an endless one */
	big_len = 0;
	add("1;");
	memset(big + 2, 'a', HTTP_BODY_EXTRA_MAX + 1);
	big_len += HTTP_BODY_EXTRA_MAX + 1;
	big[big_len] = '\0';
	bad(big, "chunk extensions or trailers too long");
	/* some at each of many chunks: the CR is counted, too */
	big_len = 0;
	n = HTTP_BODY_EXTRA_MAX / 4;
	for (i = 0; i < n; i++)
		add("1;abc\r\nx\r\n");
	add("0\r\n");
	assert_int_equal(read_body(&chunked, big, big_len)->result,
	    HTTP_BODY_MORE);
	assert_int_equal(whole.total, n);
	add("\r\n");
	bad(big, "chunk extensions or trailers too long");
	/* an endless trailer */
	big_len = 0;
	add("0\r\na:");
	memset(big + big_len, 'a', HTTP_BODY_EXTRA_MAX);
	big_len += HTTP_BODY_EXTRA_MAX;
	big[big_len] = '\0';
	bad(big, "chunk extensions or trailers too long");
}

static void
one_byte_chunks_are_as_good_as_others(void **state)
{
	size_t i;

	big_len = 0;
	for (i = 0; i < 20000; i++)
		add("1\r\nx\r\n");
	add("0\r\n\r\n");
	assert_int_equal(read_body(&chunked, big, big_len)->result,
	    HTTP_BODY_DONE);
	assert_int_equal(whole.total, 20000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_body_has_its_declared_length),
		cmocka_unit_test(no_body_is_done_at_once),
		cmocka_unit_test(what_is_too_long_is_known_early),
		cmocka_unit_test(case_17_chunks_are_put_together),
		cmocka_unit_test(what_follows_a_body_is_left),
		cmocka_unit_test(done_and_bad_stay),
		cmocka_unit_test(sizes_are_hexadecimal_and_nothing_else),
		cmocka_unit_test(sizes_do_not_overflow),
		cmocka_unit_test(a_chunk_ends_where_it_says),
		cmocka_unit_test(extensions_are_skipped),
		cmocka_unit_test(trailers_are_skipped),
		cmocka_unit_test(trailers_are_bounded_in_number),
		cmocka_unit_test(
		    cve_2024_22019_extensions_are_bounded_in_bytes),
		cmocka_unit_test(one_byte_chunks_are_as_good_as_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
