/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * fuzz_deflate - the input as a compressed message, and as one to compress.
 * It inflates to the same wherever it is cut, and to what zlib makes of it;
 * what is deflated comes back.  The first input byte chooses limit and
 * window.
 */

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <zlib.h>

#include "common/log.h"
#include "proto/deflate.h"

/* inputs are cut into pieces of all sizes up to this one */
#define SPLIT_MAX 64
#define OUT_MAX (1 << 18)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct deflate *coder;
static uint8_t reference[OUT_MAX];

/* What became of a message. */
struct outcome {
	enum deflate_result result;
	size_t len;
	uint8_t *out;
};

/* A copy that ends where it ends. */
static uint8_t *
copy_of(const void *p, size_t len)
{
	uint8_t *copy = malloc(len > 0 ? len : 1);

	CHECK(copy != NULL);
	if (len > 0)
		memcpy(copy, p, len);
	return copy;
}

/* In pieces of 'step' bytes. */
static struct outcome
inflate_cut(const uint8_t *data, size_t size, size_t limit, size_t step)
{
	struct outcome o = { .result = DEFLATE_OK };
	const char *why = NULL;
	size_t at, n;
	uint8_t *piece;

	o.out = malloc(limit > 0 ? limit : 1);
	CHECK(o.out != NULL);
	deflate_begin(coder, o.out, limit);
	for (at = 0; at < size && o.result == DEFLATE_OK; at += n) {
		n = size - at < step ? size - at : step;
		piece = copy_of(data + at, n);
		o.result = deflate_feed(coder, piece, n, &why);
		free(piece);
	}
	if (o.result == DEFLATE_OK)
		o.result = deflate_end(coder, &o.len, &why);
	CHECK((why != NULL) == (o.result != DEFLATE_OK));
	CHECK(o.len <= limit);
	return o;
}

static void
assert_same(const struct outcome *a, struct outcome b)
{
	CHECK(a->result == b.result && a->len == b.len);
	CHECK(a->len == 0 || memcmp(a->out, b.out, a->len) == 0);
	free(b.out);
}

/*
 * One stream without a last block, by zlib alone.  False if it is none, or
 * does not end between two blocks.
 */
static bool
inflate_by_zlib(const uint8_t *data, size_t size, size_t *len_r)
{
	static const uint8_t tail[4] = { 0, 0, 0xff, 0xff };
	z_stream z = { 0 };
	bool fine;

	CHECK(inflateInit2(&z, -15) == Z_OK);
	z.next_out = reference;
	z.avail_out = sizeof(reference);
	z.next_in = (Bytef *)(uintptr_t)data;
	z.avail_in = (uInt)size;
	fine = inflate(&z, Z_SYNC_FLUSH) == Z_OK && z.avail_out > 0;
	z.next_in = (Bytef *)(uintptr_t)tail;
	z.avail_in = sizeof(tail);
	fine = fine && inflate(&z, Z_SYNC_FLUSH) == Z_OK && z.avail_in == 0 &&
	    z.avail_out > 0 && (z.data_type & 0xbf) == 128;
	*len_r = z.total_out;
	CHECK(inflateEnd(&z) == Z_OK);
	return fine;
}

static struct outcome
inflate_whole(const uint8_t *data, size_t size, size_t limit)
{
	struct outcome o = { .out = malloc(limit > 0 ? limit : 1) };
	const char *why = NULL;

	CHECK(o.out != NULL);
	o.result =
	    deflate_inflate(coder, data, size, o.out, limit, &o.len, &why);
	return o;
}

static void
as_message(const uint8_t *data, size_t size, size_t limit)
{
	struct outcome whole = inflate_cut(data, size, limit, size + 1);
	size_t cut, len;

	assert_same(&whole, inflate_whole(data, size, limit));
	assert_same(&whole, inflate_cut(data, size, limit, 1));
	for (cut = 2; cut < size && cut < SPLIT_MAX; cut++)
		assert_same(&whole, inflate_cut(data, size, limit, cut));
	if (size > 0 && inflate_by_zlib(data, size, &len)) {
		CHECK((len <= limit) == (whole.result == DEFLATE_OK));
		CHECK((len > limit) == (whole.result == DEFLATE_TOO_BIG));
		CHECK(len > limit ||
		    (len == whole.len &&
			(len == 0 || memcmp(reference, whole.out, len) == 0)));
	}
	free(whole.out);
}

static void
as_text(const uint8_t *data, size_t size, unsigned bits, size_t room)
{
	uint8_t *packed = malloc(room > 0 ? room : 1);
	size_t n;
	struct outcome o;
	z_stream z = { 0 };

	CHECK(packed != NULL);
	n = deflate_message(coder, bits, data, size, packed, room);
	CHECK(n + DEFLATE_SPARE <= room || n == 0);
	if (n > 0) {
		o = inflate_cut(packed, n, size, n + 1);
		CHECK(o.result == DEFLATE_OK && o.len == size);
		CHECK(size == 0 || memcmp(o.out, data, size) == 0);
		free(o.out);
	}
	n = deflate_body(coder, bits % 2 == 0 ? DEFLATE_GZIP : DEFLATE_ZLIB,
	    data, size, packed, room);
	CHECK(n <= room);
	if (n > 0) {
		CHECK(inflateInit2(&z, bits % 2 == 0 ? 15 + 16 : 15) == Z_OK);
		z.next_in = packed;
		z.avail_in = (uInt)n;
		z.next_out = reference;
		z.avail_out = sizeof(reference);
		CHECK(inflate(&z, Z_FINISH) == Z_STREAM_END);
		CHECK(z.avail_in == 0 && z.total_out == size);
		CHECK(size == 0 || memcmp(reference, data, size) == 0);
		CHECK(inflateEnd(&z) == Z_OK);
	}
	free(packed);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const size_t limits[] = { 65536, 1000, 16, 5, 1, 0, 32768,
		100000 };

	if (size == 0 || size > 65536)
		return 0;
	if (coder == NULL)
		coder = deflate_new();
	CHECK(coder != NULL);
	as_message(data + 1, size - 1, limits[data[0] % 8]);
	/* room enough, and room for what becomes smaller */
	as_text(data + 1, size - 1, 9 + data[0] / 8 % 7, 2 * size + 64);
	as_text(data + 1, size - 1, 9 + data[0] / 8 % 7, size - 1);
	return 0;
}
