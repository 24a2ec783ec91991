/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * fuzz_http_body - bodies: they mean the same wherever the bytes are cut, and
 * a chunked one that was taken can be written again and read as the same.
 * The first input byte chooses: chunked (0), or the declared length.
 */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/log.h"
#include "proto/http_body.h"

/* inputs up to this size are cut in two at every byte */
#define SPLIT_MAX 512

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct story {
	enum http_body_result result;
	uint64_t sum;
	size_t total;
	size_t used;
	/* room for all data, or NULL */
	char *out;
};

/* One buffer, a copy that ends where it ends. */
static void
feed(struct http_body *b, const uint8_t *data, size_t size, struct story *s)
{
	char *copy = malloc(size > 0 ? size : 1);
	struct http_error err = { 0 };
	struct span piece;
	size_t pos = 0, used, i;

	CHECK(copy != NULL);
	if (size > 0)
		memcpy(copy, data, size);
	for (;;) {
		s->result = http_body_next(b, copy + pos, size - pos, &used,
		    &piece, &err);
		CHECK(used <= size - pos);
		if (s->result != HTTP_BODY_DATA)
			break;
		CHECK(piece.len > 0 && piece.len <= used);
		CHECK(piece.p + piece.len == copy + pos + used);
		for (i = 0; i < piece.len; i++)
			s->sum = (s->sum ^ (uint8_t)piece.p[i]) *
			    UINT64_C(0x100000001b3);
		if (s->out != NULL)
			memcpy(s->out + s->total, piece.p, piece.len);
		s->total += piece.len;
		CHECK(b->total == s->total);
		CHECK(http_body_exceeds(b, s->total - 1));
		pos += used;
	}
	pos += used;
	s->used += pos;
	CHECK(s->result != HTTP_BODY_MORE || pos == size);
	if (s->result == HTTP_BODY_BAD)
		CHECK(err.status == 400 && err.why != NULL);
	if (s->result == HTTP_BODY_DONE)
		CHECK(!http_body_exceeds(b, s->total));
	free(copy);
}

static struct story
run(const struct http_request *req, const uint8_t *data, size_t size,
    size_t first, size_t step, char *out)
{
	struct http_body b;
	struct story s = { .out = out };
	size_t pos = 0, n = first;

	http_body_init(&b, req);
	do {
		n = n < size - pos ? n : size - pos;
		feed(&b, data + pos, n, &s);
		pos += n;
		n = step;
	} while (s.result == HTTP_BODY_MORE && pos < size);
	return s;
}

static void
check_same(const struct story *a, const struct story *b)
{
	CHECK(a->result == b->result && a->sum == b->sum);
	CHECK(a->total == b->total && a->used == b->used);
}

/* In chunks of 7 bytes. */
static void
check_again(const struct http_request *req, const struct story *want)
{
	size_t size = want->total / 7 * 16 + 64, len = 0, pos = 0, n;
	char *text = malloc(size);
	struct story got;

	CHECK(text != NULL);
	while (pos < want->total) {
		n = want->total - pos < 7 ? want->total - pos : 7;
		len += (size_t)snprintf(text + len, size - len, "%zX\r\n", n);
		memcpy(text + len, want->out + pos, n);
		len += n;
		memcpy(text + len, "\r\n", 2);
		len += 2;
		pos += n;
	}
	memcpy(text + len, "0\r\n\r\n", 5);
	len += 5;
	got = run(req, (uint8_t *)text, len, len, len, NULL);
	CHECK(got.result == HTTP_BODY_DONE && got.sum == want->sum);
	free(text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct http_request req = { 0 };
	struct story want, got;
	char *out;
	size_t cut;

	if (size == 0)
		return 0;
	req.chunked = data[0] == 0;
	req.content_length = data[0] == 0xff ? INT64_MAX : data[0];
	if (req.chunked)
		req.content_length = 0;
	data++;
	size--;
	CHECK((out = malloc(size + 1)) != NULL);
	want = run(&req, data, size, size, size, out);
	got = run(&req, data, size, 0, size / 4096 + 1, NULL);
	check_same(&want, &got);
	for (cut = 1; cut < size && cut < SPLIT_MAX; cut++) {
		got = run(&req, data, size, cut, size, NULL);
		check_same(&want, &got);
	}
	if (req.chunked && want.result == HTTP_BODY_DONE)
		check_again(&req, &want);
	free(out);
	return 0;
}
