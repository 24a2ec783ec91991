/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_deflate - what deflate.h promises; zlib itself is the other side.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zlib.h>

#include <cmocka.h>

#include "proto/deflate.h"

#define SIZE_MAX_HERE (1 << 20)

static struct deflate *coder;
static const char *why;
static char text[SIZE_MAX_HERE];
static uint8_t packed[SIZE_MAX_HERE];

static int
setup(void **state)
{
	coder = deflate_new();
	return coder == NULL ? -1 : 0;
}

static int
teardown(void **state)
{
	deflate_free(&coder);
	return coder == NULL ? 0 : -1;
}

/* --- inflating ----------------------------------------------------------- */

/* In one piece, into a buffer that ends at the limit. */
static enum deflate_result
inflate_into(const void *p, size_t len, size_t limit, char **out_r,
    size_t *len_r)
{
	char *out = malloc(limit > 0 ? limit : 1);
	uint8_t *in = malloc(len > 0 ? len : 1);
	enum deflate_result result;

	assert_non_null(out);
	assert_non_null(in);
	if (len > 0)
		memcpy(in, p, len);
	why = NULL;
	result = deflate_inflate(coder, in, len, out, limit, len_r, &why);
	assert_true((result == DEFLATE_OK) == (why == NULL));
	free(in);
	*out_r = out;
	return result;
}

static void
assert_inflates(const void *p, size_t len, const void *want, size_t want_len)
{
	char *out;
	size_t n = 12345, cut, i;

	if (inflate_into(p, len, want_len, &out, &n) != DEFLATE_OK)
		fail_msg("%s", why);
	assert_int_equal(n, want_len);
	assert_memory_equal(out, want, want_len);
	/* cut in two anywhere, and byte by byte */
	for (cut = 0; cut <= len && cut < 64; cut++) {
		memset(out, '?', want_len);
		deflate_begin(coder, out, want_len);
		assert_int_equal(deflate_feed(coder, p, cut, &why), 0);
		assert_int_equal(deflate_feed(coder, (const char *)p + cut,
				     len - cut, &why),
		    0);
		assert_int_equal(deflate_end(coder, &n, &why), 0);
		assert_int_equal(n, want_len);
		assert_memory_equal(out, want, want_len);
	}
	memset(out, '?', want_len);
	deflate_begin(coder, out, want_len);
	for (i = 0; i < len; i++)
		assert_int_equal(deflate_feed(coder, (const char *)p + i, 1,
				     &why),
		    0);
	assert_int_equal(deflate_end(coder, &n, &why), 0);
	assert_int_equal(n, want_len);
	assert_memory_equal(out, want, want_len);
	free(out);
}

static void
assert_result(const void *p, size_t len, size_t limit, enum deflate_result want)
{
	char *out;
	size_t n = 12345, cut;

	assert_int_equal(inflate_into(p, len, limit, &out, &n), want);
	assert_non_null(why);
	assert_int_equal(n, 12345);
	for (cut = 0; cut <= len && cut < 64; cut++) {
		enum deflate_result result;

		deflate_begin(coder, out, limit);
		result = deflate_feed(coder, p, cut, &why);
		if (result == DEFLATE_OK)
			result = deflate_feed(coder, (const char *)p + cut,
			    len - cut, &why);
		if (result == DEFLATE_OK)
			result = deflate_end(coder, &n, &why);
		assert_int_equal(result, want);
	}
	free(out);
}

#define INFLATES(bytes, want) \
	assert_inflates(bytes, sizeof(bytes) - 1, want, sizeof(want) - 1)
#define BAD(bytes) assert_result(bytes, sizeof(bytes) - 1, 1000, DEFLATE_BAD)

static void
the_rfc_s_examples_inflate(void **state)
{
	/* 7.2.3.1 one block, 3 no compression, 4 marked as last, 5 two */
	INFLATES("\xf2\x48\xcd\xc9\xc9\x07\x00", "Hello");
	INFLATES("\x00\x05\x00\xfa\xffHello\x00", "Hello");
	INFLATES("\xf3\x48\xcd\xc9\xc9\x07\x00\x00", "Hello");
	INFLATES("\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00",
	    "Hello");
}

static void
a_message_may_be_empty(void **state)
{
	/* 7.2.3.6, nothing at all, an empty last block */
	INFLATES("\x00", "");
	INFLATES("", "");
	INFLATES("\x03\x00", "");
	INFLATES("\x03\x00\x00", "");
	INFLATES("\x02\x00", "");
}

static void
a_message_may_end_with_a_last_block(void **state)
{
	INFLATES("\xf3\x48\xcd\xc9\xc9\x07\x00", "Hello");
	INFLATES("\x01\x05\x00\xfa\xffHello", "Hello");
}

/* Deflate by zlib, behind a dictionary, with this flush at the end. */
static size_t
zlib_deflate(int bits, const void *dict, size_t dict_len, const void *p,
    size_t len, int flush, uint8_t *out)
{
	z_stream z = { 0 };
	size_t n;

	assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, bits, 9, 0), Z_OK);
	if (dict_len > 0)
		assert_int_equal(deflateSetDictionary(&z, dict, (uInt)dict_len),
		    Z_OK);
	z.next_in = (Bytef *)(uintptr_t)p;
	z.avail_in = (uInt)len;
	z.next_out = out;
	z.avail_out = SIZE_MAX_HERE;
	assert_int_equal(deflate(&z, flush),
	    flush == Z_FINISH ? Z_STREAM_END : Z_OK);
	n = z.total_out;
	(void)deflateEnd(&z);
	return n;
}

static void
blocks_behind_a_last_one_may_look_back(void **state)
{
	static char twice[80000];
	size_t half = sizeof(twice) / 2, n, i;

	for (i = 0; i < half; i++)
		twice[i] = twice[half + i] = (char)(i * i >> 7);
	/* both borders of the window */
	for (i = 1; i <= 40000; i += 13333) {
		n = zlib_deflate(-15, NULL, 0, twice + half - i, i, Z_FINISH,
		    packed);
		n += zlib_deflate(-15, twice + half - i, i, twice + half, 30000,
		    Z_SYNC_FLUSH, packed + n);
		assert_inflates(packed, n - 4, twice + half - i, i + 30000);
		/* and once more at its end */
		n = zlib_deflate(-15, NULL, 0, twice + half - i, i, Z_FINISH,
		    packed);
		n += zlib_deflate(-15, twice + half - i, i, twice + half, 30000,
		    Z_FINISH, packed + n);
		assert_inflates(packed, n, twice + half - i, i + 30000);
	}
}

/* As Deflate writes it: 'n' bits, the lowest first. */
static void
put_bits(uint8_t *out, unsigned *at, unsigned bits, unsigned n)
{
	for (; n > 0; n--, bits >>= 1, (*at)++)
		out[*at / 8] = (uint8_t)(out[*at / 8] | (bits & 1) << *at % 8);
}

static void
the_window_is_32_kilobytes(void **state)
{
	static char want[32768 + 3];
	unsigned at = 0, i;
	size_t n;

	for (i = 0; i < 32768; i++)
		want[i] = (char)(i * 31 >> 3);
	memcpy(want + 32768, want, 3);
	n = zlib_deflate(-15, NULL, 0, want, 32768, Z_FINISH, packed);
	memset(packed + n, 0, 8);
	/* a fixed block: 3 bytes from 32768 back, its end; an empty block */
	put_bits(packed + n, &at, 2, 3);
	put_bits(packed + n, &at, 0x40, 7);
	put_bits(packed + n, &at, 0x17, 5);
	put_bits(packed + n, &at, 32768 - 24577, 13);
	put_bits(packed + n, &at, 0, 7);
	put_bits(packed + n, &at, 0, 3);
	assert_inflates(packed, n + (at + 7) / 8, want, sizeof(want));
}

static void
last_blocks_are_counted(void **state)
{
	char many[515] = { 0 };
	unsigned i;

	for (i = 0; i < 514; i += 2)
		many[i] = 3;
	/* 256 may have something behind them */
	assert_inflates(many, 512, "", 0);
	assert_inflates(many, 514, "", 0);
	assert_result(many, 515, 100, DEFLATE_BAD);
	assert_string_equal(why, "too many last blocks");
}

static void
what_no_compressor_writes_is_bad(void **state)
{
	/* an unknown kind of block, alone and behind a good one */
	BAD("\x06");
	BAD("\xf2\x48\xcd\xc9\xc9\x07\x06");
	/* lengths that contradict each other */
	BAD("\x00\x05\x00\xfa\xfeHello\x00");
	/* a distance that leads out of the message */
	BAD("\xf2\x48\xcd\xc9\x07\x52\x00");
	/* a last block, and then none */
	BAD("\xf3\x48\xcd\xc9\xc9\x07\x00garbage");
	BAD("\xf2\x48\xcd\xc9\xc9\x07\x00garbage");
}

static void
what_ends_too_early_is_bad(void **state)
{
	BAD("\xf2");
	BAD("\xf2\x48\xcd\xc9");
	BAD("\xf2\x48\xcd\xc9\xc9\x07");
	BAD("\x00\x05\x00\xfa\xffHello");
	BAD("\x00\x06\x00\xf9\xffHello");
	BAD("\x00\x0a\x00\xf5\xffHello");
	/* the end of a last block in what we append is none of the message's */
	BAD("\xf3\x48\xcd\xc9\xc9");
}

static void
no_message_looks_back_into_the_one_before(void **state)
{
	static const char first[] = "the quick brown fox jumps over";
	size_t n = zlib_deflate(-15, first, sizeof(first), first, sizeof(first),
	    Z_SYNC_FLUSH, packed);

	INFLATES("\x00\x05\x00\xfa\xffHello\x00", "Hello");
	assert_result(packed, n - 4, 1000, DEFLATE_BAD);
	/* and an error is forgotten with its message */
	INFLATES("\xf2\x48\xcd\xc9\xc9\x07\x00", "Hello");
}

/* --- limits -------------------------------------------------------------- */

static void
a_limit_is_a_limit(void **state)
{
	size_t limit, n = 1;

	assert_int_equal(deflate_inflate(coder, "\0", 1, NULL, 0, &n, &why),
	    DEFLATE_OK);
	assert_int_equal(n, 0);
	for (limit = 0; limit < 5; limit++) {
		assert_result("\xf2\x48\xcd\xc9\xc9\x07\x00", 7, limit,
		    DEFLATE_TOO_BIG);
		assert_result("\x01\x05\x00\xfa\xffHello", 10, limit,
		    DEFLATE_TOO_BIG);
	}
	/* a match that goes over it, in steps of the limit */
	memset(text, 'x', sizeof(text));
	n = zlib_deflate(-15, NULL, 0, text, 1000, Z_SYNC_FLUSH, packed);
	for (limit = 0; limit < 1000; limit++)
		assert_result(packed, n - 4, limit, DEFLATE_TOO_BIG);
	assert_inflates(packed, n - 4, text, 1000);
	/* behind a full buffer there may be what brings no byte */
	n = zlib_deflate(-15, NULL, 0, text, 1000, Z_FINISH, packed);
	memcpy(packed + n, "\x03\x00\x02\x00", 4);
	assert_inflates(packed, n + 4, text, 1000);
	memcpy(packed + n, "\x4b\x04\x00", 3);
	assert_result(packed, n + 3, 1000, DEFLATE_TOO_BIG);
	/* full by its last byte, which is one that we append */
	INFLATES("\x00\x05\x00\xfa\xffH", "H\x00\x00\xff\xff");
	/* too big comes before bad, wherever it is cut */
	assert_result("\x32\xc3\xf3\x00\x32", 5, 0, DEFLATE_TOO_BIG);
}

/* CVE-2016-10544, CVE-2018-1000518, CVE-2021-21419 */
static void
cve_2016_10544_a_bomb_is_noticed_while_it_goes_off(void **state)
{
	static char zeros[SIZE_MAX_HERE];
	z_stream z = { 0 };
	size_t len;
	unsigned i;

	/* 256 megabytes in a quarter of one */
	assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, -15, 9, 0), Z_OK);
	z.next_out = packed;
	z.avail_out = sizeof(packed);
	for (i = 0; i < 256; i++) {
		z.next_in = (Bytef *)zeros;
		z.avail_in = sizeof(zeros);
		assert_int_equal(deflate(&z, Z_NO_FLUSH), Z_OK);
	}
	assert_int_equal(deflate(&z, Z_SYNC_FLUSH), Z_OK);
	len = z.total_out - 4;
	(void)deflateEnd(&z);
	assert_true(len < 300000);
	assert_result(packed, len, 1000000, DEFLATE_TOO_BIG);
	/* it is not even read to its end */
	deflate_begin(coder, text, 1000000);
	for (i = 0; deflate_feed(coder, packed + i, 1, &why) == DEFLATE_OK; i++)
		assert_true(i < 1100);
}

/* --- deflating ----------------------------------------------------------- */

static void
fill_text(unsigned seed)
{
	size_t len = 0;

	while (len < sizeof(text) - 100) {
		seed = seed * 1103515245 + 12345;
		len += (size_t)snprintf(text + len, 100,
		    "{\"seq\":%u,\"content\":\"hello number %u\"},", seed >> 16,
		    seed >> 28);
	}
}

/* By zlib, in steps so small that it needs the window it was told. */
static void
assert_message(unsigned bits, const void *p, size_t len, size_t packed_len)
{
	uint8_t out[100];
	size_t at = 0, n;
	z_stream z = { 0 };

	memcpy(packed + packed_len, "\x00\x00\xff\xff", 4);
	assert_int_equal(inflateInit2(&z, -(int)bits), Z_OK);
	z.next_in = packed;
	z.avail_in = (uInt)packed_len + 4;
	do {
		z.next_out = out;
		z.avail_out = sizeof(out);
		assert_in_range(inflate(&z, Z_SYNC_FLUSH) - Z_BUF_ERROR, 0,
		    Z_OK - Z_BUF_ERROR);
		n = sizeof(out) - z.avail_out;
		assert_true(n <= len - at);
		assert_memory_equal(out, (const char *)p + at, n);
		at += n;
	} while (n > 0);
	assert_int_equal(z.avail_in, 0);
	assert_int_equal(at, len);
	(void)inflateEnd(&z);
}

static void
a_message_is_what_zlib_reads(void **state)
{
	static const size_t lengths[] = { 0, 1, 2, 100, 511, 512, 513, 1023,
		1024, 1025, 16383, 16384, 16385, 32768, 32769, 65536, 500000 };
	unsigned bits;
	size_t i, n;

	for (bits = DEFLATE_BITS_MIN; bits <= DEFLATE_BITS_MAX; bits++) {
		for (i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
			fill_text(bits);
			memset(packed, 0xee, sizeof(packed));
			n = deflate_message(coder, bits, text, lengths[i],
			    packed, sizeof(packed) - 4);
			assert_true(n > 0);
			/* the tail is not counted */
			assert_true(n < 5 ||
			    memcmp(packed + n - 4, "\x00\x00\xff\xff", 4) != 0);
			assert_message(bits, text, lengths[i], n);
			assert_inflates(packed, n, text, lengths[i]);
		}
	}
}

static void
a_smaller_window_is_kept_to(void **state)
{
	size_t n, same;

	/* the same 300 bytes again, 400 and 700 bytes behind */
	fill_text(1);
	memcpy(text + 400, text, 300);
	n = deflate_message(coder, 9, text, 700, packed, 10000);
	assert_message(9, text, 700, n);
	same = deflate_message(coder, 10, text, 700, packed, 10000);
	assert_message(10, text, 700, same);
	assert_true(same < n);
}

static void
messages_come_out_the_same_each_time(void **state)
{
	static uint8_t again[4096];
	size_t n;

	fill_text(7);
	n = deflate_message(coder, 15, text, 2000, packed, 4096);
	(void)deflate_message(coder, 9, text + 500, 3000, again, 4096);
	(void)deflate_body(coder, DEFLATE_GZIP, text, 100, again, 10);
	(void)deflate_message(coder, 15, text, 2000, again, 20);
	assert_int_equal(deflate_message(coder, 15, text, 2000, again, 4096),
	    n);
	assert_memory_equal(packed, again, n);
}

static void
a_message_has_the_room_it_has(void **state)
{
	size_t n, size, got;
	uint8_t *small;
	unsigned bits;

	for (bits = 9; bits <= 15; bits += 6) {
		fill_text(3);
		n = deflate_message(coder, bits, text, 1500, packed, 4096);
		for (size = 0; size < n + 12; size++) {
			small = malloc(size > 0 ? size : 1);
			assert_non_null(small);
			got = deflate_message(coder, bits, text, 1500, small,
			    size);
			if (size < n + DEFLATE_SPARE)
				assert_int_equal(got, 0);
			else
				assert_int_equal(got, n);
			free(small);
		}
	}
}

static void
what_cannot_be_made_smaller_is_0(void **state)
{
	unsigned i, r = 1;

	for (i = 0; i < 5000; i++) {
		r = r * 1103515245 + 12345;
		text[i] = (char)(r >> 16);
	}
	assert_int_equal(deflate_message(coder, 15, text, 5000, packed, 4999),
	    0);
	assert_int_equal(deflate_body(coder, DEFLATE_GZIP, text, 5000, packed,
			     4999),
	    0);
	assert_true(deflate_message(coder, 15, text, 5000, packed, 6000) > 0);
}

/* --- bodies -------------------------------------------------------------- */

static void
assert_body(enum deflate_coding coding, int bits, size_t len)
{
	static char out[SIZE_MAX_HERE];
	size_t n =
	    deflate_body(coder, coding, text, len, packed, sizeof(packed));
	size_t size;
	uint8_t *small;
	z_stream z = { 0 };

	assert_true(n > 0);
	assert_int_equal(inflateInit2(&z, bits), Z_OK);
	z.next_in = packed;
	z.avail_in = (uInt)n;
	z.next_out = (Bytef *)out;
	z.avail_out = sizeof(out);
	/* zlib checks sums and lengths */
	assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
	assert_int_equal(z.avail_in, 0);
	assert_int_equal(z.total_out, len);
	assert_memory_equal(out, text, len);
	(void)inflateEnd(&z);
	for (size = n < 40 ? 0 : n - 40; size <= n; size++) {
		small = malloc(size > 0 ? size : 1);
		assert_non_null(small);
		assert_int_equal(deflate_body(coder, coding, text, len, small,
				     size),
		    size < n ? 0 : n);
		free(small);
	}
}

static void
a_body_is_gzip_or_zlib(void **state)
{
	static const size_t lengths[] = { 0, 1, 1024, 70000, 1000000 };
	size_t i;

	fill_text(9);
	for (i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		assert_body(DEFLATE_GZIP, 15 + 16, lengths[i]);
		assert_memory_equal(packed, "\x1f\x8b\x08\0\0\0\0\0\0\x03", 10);
		assert_body(DEFLATE_ZLIB, 15, lengths[i]);
	}
}

static void
freeing_nothing_is_fine(void **state)
{
	struct deflate *none = NULL;

	deflate_free(&none);
	assert_null(none);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_rfc_s_examples_inflate),
		cmocka_unit_test(a_message_may_be_empty),
		cmocka_unit_test(a_message_may_end_with_a_last_block),
		cmocka_unit_test(blocks_behind_a_last_one_may_look_back),
		cmocka_unit_test(the_window_is_32_kilobytes),
		cmocka_unit_test(last_blocks_are_counted),
		cmocka_unit_test(what_no_compressor_writes_is_bad),
		cmocka_unit_test(what_ends_too_early_is_bad),
		cmocka_unit_test(no_message_looks_back_into_the_one_before),
		cmocka_unit_test(a_limit_is_a_limit),
		cmocka_unit_test(
		    cve_2016_10544_a_bomb_is_noticed_while_it_goes_off),
		cmocka_unit_test(a_message_is_what_zlib_reads),
		cmocka_unit_test(a_smaller_window_is_kept_to),
		cmocka_unit_test(messages_come_out_the_same_each_time),
		cmocka_unit_test(a_message_has_the_room_it_has),
		cmocka_unit_test(what_cannot_be_made_smaller_is_0),
		cmocka_unit_test(a_body_is_gzip_or_zlib),
		cmocka_unit_test(freeing_nothing_is_fine),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
