/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_frame - what frame.h promises.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/frame.h"

static char out[1 << 17];

static void
assert_out(size_t len, const char *want, size_t want_len)
{
	assert_int_equal(len, want_len);
	assert_memory_equal(out, want, len);
	memset(out, '?', sizeof(out));
}

#define OUT(call, want) assert_out(call, want, sizeof(want) - 1)

static void
packets_stand_in_frames(void **state)
{
	struct span nope = { "/nope", 5 };
	const struct eio_open o = {
		.sid = "abcdefghijklmnopqrAB",
		.ping_interval = 25000,
		.ping_timeout = 20000,
		.max_payload = 1000000,
	};

	OUT(frame_packet(out, sizeof(out), EIO_PING),
	    "\x81\x01"
	    "2");
	OUT(frame_packet(out, sizeof(out), EIO_CLOSE),
	    "\x81\x01"
	    "1");
	OUT(frame_message(out, sizeof(out), "2[\"a\"]", 6),
	    "\x81\x07"
	    "42[\"a\"]");
	OUT(frame_message(out, sizeof(out), NULL, 0),
	    "\x81\x01"
	    "4");
	OUT(frame_connect_to(out, sizeof(out), NULL, "abc", NULL),
	    "\x81\x0f"
	    "40{\"sid\":\"abc\"}");
	OUT(frame_connect_to(out, sizeof(out), NULL, "abc", "de"),
	    "\x81\x1a"
	    "40{\"sid\":\"abc\",\"pid\":\"de\"}");
	OUT(frame_connect_error(out, sizeof(out), &nope, "no", NULL, 0),
	    "\x81\x18"
	    "44/nope,{\"message\":\"no\"}");
	OUT(frame_connect_error(out, sizeof(out), NULL, "no", "{}", 2),
	    "\x81\x1c"
	    "44{\"message\":\"no\",\"data\":{}}");
	OUT(frame_event(out, sizeof(out), "hey", "\"Jude\"", 6),
	    "\x81\x10"
	    "42[\"hey\",\"Jude\"]");
	OUT(frame_event(out, sizeof(out), "hey", NULL, 0),
	    "\x81\x09"
	    "42[\"hey\"]");
	OUT(frame_ack(out, sizeof(out), 12, "{}", 2),
	    "\x81\x08"
	    "4312[{}]");
	OUT(frame_open(out, sizeof(out), &o),
	    "\x81\x6b"
	    "0{\"sid\":\"abcdefghijklmnopqrAB\",\"upgrades\":[],"
	    "\"pingInterval\":25000,\"pingTimeout\":20000,"
	    "\"maxPayload\":1000000}");
}

static void
packets_of_any_namespace_stand_in_frames(void **state)
{
	struct span nsp = { "/x", 2 };
	struct sio_message m = {
		.type = SIO_EVENT,
		.nsp = nsp,
		.has_id = true,
		.id = 3,
		.nattach = 1,
		.name = { "\"a\"", 3 },
		.args = { "{}", 2 },
	};

	OUT(frame_connect_to(out, sizeof(out), &nsp, "abc", NULL),
	    "\x81\x12"
	    "40/x,{\"sid\":\"abc\"}");
	OUT(frame_sio(out, sizeof(out), &m),
	    "\x81\x10"
	    "451-/x,3[\"a\",{}]");
	m = (struct sio_message){ .type = SIO_CONNECT };
	OUT(frame_sio(out, sizeof(out), &m),
	    "\x81\x02"
	    "40");
}

static void
an_offset_stands_behind_the_arguments(void **state)
{
	OUT(frame_event_offset(out, sizeof(out), "hey", "{}", 2, "1a"),
	    "\x81\x11"
	    "42[\"hey\",{},\"1a\"]");
	OUT(frame_event_offset(out, sizeof(out), "hey", NULL, 0, "1a"),
	    "\x81\x0e"
	    "42[\"hey\",\"1a\"]");
}

static void
binary_stands_in_frames(void **state)
{
	OUT(frame_binary(out, sizeof(out), "\0\1\2", 3, EIO_REVISION_4),
	    "\x82\x03\0\1\2");
	OUT(frame_binary(out, sizeof(out), "\0\1\2", 3, EIO_REVISION_3),
	    "\x82\x04\x04\0\1\2");
	OUT(frame_binary_b64(out, sizeof(out), "\0\1\2", 3, EIO_REVISION_4),
	    "\x81\x05"
	    "bAAEC");
	OUT(frame_binary_b64(out, sizeof(out), "\0\1", 2, EIO_REVISION_3),
	    "\x81\x06"
	    "b4AAE=");
	OUT(frame_binary(out, sizeof(out), NULL, 0, EIO_REVISION_4),
	    "\x82\x00");
	OUT(frame_binary(out, sizeof(out), NULL, 0, EIO_REVISION_3),
	    "\x82\x01\x04");
	OUT(frame_binary_b64(out, sizeof(out), NULL, 0, EIO_REVISION_4),
	    "\x81\x01"
	    "b");
}

static void
nothing_is_written_into_too_small_a_buffer(void **state)
{
	const struct eio_open o = { .sid = "s" };
	size_t n;
	char *small;

	for (n = 0; n < 12; n++) {
		small = calloc(1, n > 0 ? n : 1);
		assert_non_null(small);
		assert_true(frame_event(small, n, "hey", "1", 1) > n);
		assert_true(frame_ack(small, n, 1234567, "12", 2) > n);
		assert_true(
		    frame_connect_error(small, n, NULL, "", "1", 1) > n);
		assert_true(frame_open(small, n, &o) > n);
		assert_true(frame_message(small, n, "abcdefghijkl", 12) > n);
		assert_true(frame_binary(small, n, "abcdefghijkl", 12, 4) > n);
		assert_true(frame_binary_b64(small, n, "abcdefgh", 8, 3) > n);
		assert_true(
		    frame_event_offset(small, n, "h", NULL, 0, "off") > n);
		assert_true(frame_connect_to(small, n, NULL, "a", NULL) > n);
		if (n < 4)
			assert_true(frame_sio(small, n,
					&(struct sio_message){
					    .type = SIO_CONNECT }) > n);
		if (n < 3)
			assert_true(frame_packet(small, n, EIO_PONG) > n);
		if (n > 0)
			assert_int_equal(small[0], 0);
		free(small);
	}
	assert_int_equal(frame_event(NULL, 0, "hey", "1", 1), 13);
	/* and the exact size is enough */
	n = frame_open(NULL, 0, &o);
	assert_int_equal(frame_open(out, n, &o), n);
	assert_int_equal(out[n - 1], '}');
	assert_int_equal(frame_packet(out, FRAME_PACKET_SIZE, EIO_NOOP), 3);
	assert_int_equal(out[2], '6');
}

/* The frame of an event with 'len' bytes of JSON has such a header. */
static void
assert_header(size_t len, size_t header)
{
	static char json[70000];
	size_t whole = frame_event(NULL, 0, "name", json, len), n;
	char *frame = malloc(whole);

	assert_non_null(frame);
	memset(json, '7', sizeof(json));
	assert_int_equal(whole, header + 10 + len + (len > 0));
	assert_int_equal(frame_event(frame, whole, "name", json, len), whole);
	assert_memory_equal(frame + header, "42[\"name\"", 9);
	assert_int_equal(frame[whole - 1], ']');
	/* what the header says is what follows */
	n = header == 2	  ? (uint8_t)frame[1]
	    : header == 4 ? (size_t)((uint8_t)frame[2] << 8 | (uint8_t)frame[3])
			  : (size_t)((uint8_t)frame[7] << 16 |
				(uint8_t)frame[8] << 8 | (uint8_t)frame[9]);
	assert_int_equal(n, whole - header);
	free(frame);
}

static void
the_header_grows_with_the_length(void **state)
{
	assert_header(0, 2);
	assert_header(1, 2);
	assert_header(114, 2);
	assert_header(115, 4);
	assert_header(65524, 4);
	assert_header(65525, 10);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(packets_stand_in_frames),
		cmocka_unit_test(packets_of_any_namespace_stand_in_frames),
		cmocka_unit_test(an_offset_stands_behind_the_arguments),
		cmocka_unit_test(binary_stands_in_frames),
		cmocka_unit_test(nothing_is_written_into_too_small_a_buffer),
		cmocka_unit_test(the_header_grows_with_the_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
