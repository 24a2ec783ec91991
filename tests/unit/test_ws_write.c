/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_ws_write - what ws.h promises about masking and writing frames.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proto/ws.h"

static void
masking_is_the_rfc_s(void **state)
{
	static const uint8_t key[4] = { 0x37, 0xfa, 0x21, 0x3d };
	static const uint8_t hello[5] = { 0x7f, 0x9f, 0x4d, 0x51, 0x58 };
	char buf[160], want[160];
	size_t len, from, i;
	unsigned at;

	memcpy(buf, hello, 5);
	ws_mask(buf, 5, key, 0);
	assert_memory_equal(buf, "Hello", 5);
	for (len = 0; len < 70; len++) {
		for (from = 0; from < 9; from++) {
			for (at = 0; at < 4; at++) {
				for (i = 0; i < sizeof(buf); i++)
					buf[i] = want[i] = (char)(i * 7);
				for (i = 0; i < len; i++)
					want[from + i] = (char)(want[from + i] ^
					    key[(at + i) % 4]);
				ws_mask(buf + from, len, key, at);
				assert_memory_equal(buf, want, sizeof(buf));
			}
		}
	}
}

static void
a_compressed_message_has_rsv1(void **state)
{
	uint8_t buf[WS_HEADER_MAX];

	assert_int_equal(ws_header_deflated(buf, WS_TEXT, 5), 2);
	assert_memory_equal(buf, "\xc1\x05", 2);
	assert_int_equal(ws_header_deflated(buf, WS_BINARY, 126), 4);
	assert_memory_equal(buf, "\xc2\x7e\x00\x7e", 4);
	assert_int_equal(ws_header_deflated(buf, WS_TEXT, 65536), 10);
	assert_memory_equal(buf, "\xc1\x7f\0\0\0\0\0\1\0\0", 10);
}

static void
headers_have_the_shortest_form(void **state)
{
	uint8_t buf[WS_HEADER_MAX];

	assert_int_equal(ws_header(buf, WS_TEXT, 0), 2);
	assert_memory_equal(buf, "\x81\x00", 2);
	assert_int_equal(ws_header(buf, WS_PONG, 125), 2);
	assert_memory_equal(buf, "\x8a\x7d", 2);
	assert_int_equal(ws_header(buf, WS_BINARY, 126), 4);
	assert_memory_equal(buf, "\x82\x7e\x00\x7e", 4);
	assert_int_equal(ws_header(buf, WS_TEXT, 65535), 4);
	assert_memory_equal(buf, "\x81\x7e\xff\xff", 4);
	assert_int_equal(ws_header(buf, WS_TEXT, 65536), 10);
	assert_memory_equal(buf, "\x81\x7f\0\0\0\0\0\1\0\0", 10);
	assert_int_equal(ws_header(buf, WS_TEXT, 0x0102030405060708), 10);
	assert_memory_equal(buf, "\x81\x7f\1\2\3\4\5\6\7\x08", 10);
	assert_int_equal(ws_header_size(65536), 10);
}

static void
close_frames_are_cut_at_a_character(void **state)
{
	uint8_t buf[WS_CLOSE_MAX];
	char reason[200];

	assert_int_equal(ws_close_frame(buf, WS_CODE_NONE, "no"), 2);
	assert_memory_equal(buf, "\x88\x00", 2);
	assert_int_equal(ws_close_frame(buf, 1008, "ab"), 6);
	assert_memory_equal(buf,
	    "\x88\x04\x03\xf0"
	    "ab",
	    6);
	assert_int_equal(ws_close_frame(buf, 1000, NULL), 4);
	assert_memory_equal(buf, "\x88\x02\x03\xe8", 4);
	memset(reason, 'a', sizeof(reason));
	reason[199] = '\0';
	assert_int_equal(ws_close_frame(buf, 1000, reason), 127);
	memcpy(reason + 121, "\xe2\x82\xac", 3);
	assert_int_equal(ws_close_frame(buf, 1000, reason), 125);
	assert_int_equal(buf[1], 123);
	reason[123] = '\0';
	assert_int_equal(ws_close_frame(buf, 1000, reason), 127);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(masking_is_the_rfc_s),
		cmocka_unit_test(headers_have_the_shortest_form),
		cmocka_unit_test(a_compressed_message_has_rsv1),
		cmocka_unit_test(close_frames_are_cut_at_a_character),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
