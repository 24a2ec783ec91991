/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_payload - what payload.h promises of bodies that came.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proto/payload.h"

#define RS "\x1e"

static char *body;
static struct payload it;
static struct eio_packet pkt;
static const char *why;

/* A copy that ends where it ends; freed by the next. */
static void
begin_n(enum payload_format format, const char *text, size_t len)
{
	free(body);
	assert_non_null(body = malloc(len > 0 ? len : 1));
	memcpy(body, text, len);
	payload_init(&it, format, body, len);
}

#define begin(format, text) begin_n(format, text, sizeof(text) - 1)

static int
teardown(void **state)
{
	free(body);
	body = NULL;
	return 0;
}

static void
expect_n(enum eio_type type, bool binary, const char *data, size_t len)
{
	why = "";
	if (payload_next(&it, &pkt, &why) != PAYLOAD_PACKET)
		fail_msg("no packet: %s", why);
	assert_int_equal(pkt.type, type);
	assert_int_equal(pkt.binary, binary);
	assert_false(pkt.base64);
	assert_int_equal(pkt.data.len, len);
	assert_memory_equal(pkt.data.p, data, len);
}

#define text(type, data) expect_n(type, false, data, sizeof(data) - 1)
#define binary(type, data) expect_n(type, true, data, sizeof(data) - 1)

static void
end(void)
{
	assert_int_equal(payload_next(&it, &pkt, &why), PAYLOAD_END);
	assert_int_equal(payload_next(&it, &pkt, &why), PAYLOAD_END);
}

static void
bad(const char *want)
{
	pkt.data.p = NULL;
	why = NULL;
	assert_int_equal(payload_next(&it, &pkt, &why), PAYLOAD_BAD);
	assert_string_equal(why, want);
	assert_null(pkt.data.p);
	end();
}

/* --- revision 4 ---------------------------------------------------------- */

static void
packets_are_separated(void **state)
{
	begin(PAYLOAD_V4, "4hello" RS "2" RS "4\xe2\x82\xac" RS "4");
	text(EIO_MESSAGE, "hello");
	text(EIO_PING, "");
	text(EIO_MESSAGE, "\xe2\x82\xac");
	text(EIO_MESSAGE, "");
	end();
	begin(PAYLOAD_V4, "1");
	text(EIO_CLOSE, "");
	end();
}

static void
case_35_pongs_and_messages_may_come_together(void **state)
{
	begin(PAYLOAD_V4, "3" RS "42[\"a\"]" RS "3probe");
	text(EIO_PONG, "");
	text(EIO_MESSAGE, "2[\"a\"]");
	text(EIO_PONG, "probe");
	end();
}

static void
case_12_nothing_is_a_parse_error(void **state)
{
	begin(PAYLOAD_V4, "");
	bad("empty packet");
}

static void
case_13_a_trailing_separator_is_an_empty_packet(void **state)
{
	begin(PAYLOAD_V4, "4a" RS);
	text(EIO_MESSAGE, "a");
	bad("empty packet");
	begin(PAYLOAD_V4, RS "4a");
	bad("empty packet");
	begin(PAYLOAD_V4, RS);
	bad("empty packet");
}

static void
case_14_packets_before_a_bad_one_are_handed_out(void **state)
{
	begin(PAYLOAD_V4, "4a" RS "4b" RS "7" RS "4c");
	text(EIO_MESSAGE, "a");
	text(EIO_MESSAGE, "b");
	bad("unknown packet type");
	begin(PAYLOAD_V4, "4a" RS RS "4c");
	text(EIO_MESSAGE, "a");
	bad("empty packet");
}

static void
case_33_base64_is_decoded_in_place(void **state)
{
	begin(PAYLOAD_V4,
	    "bAQIDBA==" RS "4a" RS "bAQIDBA" RS "b-_8" RS "b" RS "b!");
	binary(EIO_MESSAGE, "\1\2\3\4");
	text(EIO_MESSAGE, "a");
	binary(EIO_MESSAGE, "\1\2\3\4");
	binary(EIO_MESSAGE, "\xfb\xff");
	binary(EIO_MESSAGE, "");
	binary(EIO_MESSAGE, "");
	end();
}

static void
a_nul_is_a_character(void **state)
{
	begin(PAYLOAD_V4, "4a\0b" RS "4\0");
	text(EIO_MESSAGE, "a\0b");
	text(EIO_MESSAGE, "\0");
	end();
	begin(PAYLOAD_V4, "\0");
	bad("unknown packet type");
}

/* --- revision 3, text ---------------------------------------------------- */

static void
revision_3_has_lengths_in_utf16(void **state)
{
	begin(PAYLOAD_V3_TEXT,
	    "6:4hello1:22:4\xe2\x82\xac"
	    "3:4\xf0\x9f\x98\x80"
	    "3:4\xc3\xa9\xc3\xa9"
	    "1:1");
	text(EIO_MESSAGE, "hello");
	text(EIO_PING, "");
	text(EIO_MESSAGE, "\xe2\x82\xac");
	text(EIO_MESSAGE, "\xf0\x9f\x98\x80");
	text(EIO_MESSAGE, "\xc3\xa9\xc3\xa9");
	text(EIO_CLOSE, "");
	end();
	/* the first and the last of each length */
	begin(PAYLOAD_V3_TEXT,
	    "8:4\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80"
	    "\xef\xbf\xbf\xf0\x90\x80\x80"
	    "3:4\xf4\x8f\xbf\xbf");
	text(EIO_MESSAGE,
	    "\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf"
	    "\xf0\x90\x80\x80");
	text(EIO_MESSAGE, "\xf4\x8f\xbf\xbf");
	end();
	begin(PAYLOAD_V3_TEXT, "0000000002:4:5:4" RS ":0:");
	text(EIO_MESSAGE, ":");
	text(EIO_MESSAGE, RS ":0:");
	end();
}

static void
revision_3_packets_of_length_0_are_passed_over(void **state)
{
	begin(PAYLOAD_V3_TEXT, "0:");
	end();
	begin(PAYLOAD_V3_TEXT, "0:0:2:4a0:");
	text(EIO_MESSAGE, "a");
	end();
}

static void
revision_3_base64_has_a_type(void **state)
{
	begin(PAYLOAD_V3_TEXT, "10:b4AQIDBA==8:b4AQIDBA2:b43:b2A2:b9");
	binary(EIO_MESSAGE, "\1\2\3\4");
	binary(EIO_MESSAGE, "\1\2\3\4");
	binary(EIO_MESSAGE, "");
	binary(EIO_PING, "");
	bad("unknown packet type");
}

static void
revision_3_lengths_have_one_form(void **state)
{
	static const struct {
		const char *text;
		const char *why;
	} rows[] = {
		{ "", "packet length is cut off" },
		{ "5", "packet length is cut off" },
		{ ":", "packet without a length" },
		{ ":4a", "packet without a length" },
		{ "-1:4a", "malformed packet length" },
		{ "+2:4a", "malformed packet length" },
		{ " 2:4a", "malformed packet length" },
		{ "2 :4a", "malformed packet length" },
		{ "0x2:4a", "malformed packet length" },
		{ "2e0:4a", "malformed packet length" },
		{ "2.0:4a", "malformed packet length" },
		{ "4a", "malformed packet length" },
		{ "3:4a", "packet is cut off" },
		{ "9999999999:4a", "packet is cut off" },
		{ "00000000002:4a", "packet length too large" },
		{ "18446744073709551618:4a", "packet length too large" },
		/* the border lies within a character */
		{ "2:4\xf0\x9f\x98\x80", "packet is cut off" },
		{ "2:4\xf0\x9f\x98\x80"
		  "0:",
		    "packet is cut off" },
		{ "1:7", "unknown packet type" },
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		begin_n(PAYLOAD_V3_TEXT, rows[i].text, strlen(rows[i].text));
		bad(rows[i].why);
	}
	/* what stands in front of it is handed out first */
	begin(PAYLOAD_V3_TEXT, "2:4ax");
	text(EIO_MESSAGE, "a");
	bad("malformed packet length");
	/* not UTF-8, against the rule: nothing behind the end is read */
	begin(PAYLOAD_V3_TEXT, "2:4\xf0");
	bad("packet is cut off");
	begin(PAYLOAD_V3_TEXT, "3:4\xf0");
	bad("packet is cut off");
}

/* --- revision 3, binary -------------------------------------------------- */

static void
revision_3_binary_has_bytes_for_digits(void **state)
{
	begin(PAYLOAD_V3_BINARY,
	    "\0\6\xff"
	    "4hello"
	    "\1\4\xff"
	    "\4\0\1\xff"
	    "\0\1\0\xff"
	    "4123456\xc3\xa9!"
	    "\0\0\0\1\xff"
	    "2"
	    "\1\1\xff\4");
	text(EIO_MESSAGE, "hello");
	binary(EIO_MESSAGE, "\0\1\xff");
	text(EIO_MESSAGE, "123456\xc3\xa9!");
	text(EIO_PING, "");
	binary(EIO_MESSAGE, "");
	end();
	begin(PAYLOAD_V3_BINARY, "");
	end();
}

static void
revision_3_binary_may_hold_base64(void **state)
{
	begin(PAYLOAD_V3_BINARY,
	    "\0\1\0\xff"
	    "b4AQIDBA==");
	binary(EIO_MESSAGE, "\1\2\3\4");
	end();
}

static void
revision_3_binary_is_whole_or_refused(void **state)
{
	static const struct {
		const char *text;
		size_t len;
		const char *why;
	} rows[] = {
		{ "\2\1\xff"
		  "4",
		    4, "packet is neither text nor binary" },
		{ "0\1\xff"
		  "4",
		    4, "packet is neither text nor binary" },
		{ "\0", 1, "packet length is cut off" },
		{ "\0\1", 2, "packet length is cut off" },
		{ "\0\xff"
		  "4",
		    3, "packet without a length" },
		{ "\0\12\xff"
		  "4",
		    4, "malformed packet length" },
		{ "\0"
		  "1\xff"
		  "4",
		    4, "malformed packet length" },
		{ "\0\0\0\0\0\0\0\0\0\0\0\1\xff"
		  "4",
		    14, "packet length too large" },
		{ "\0\2\xff"
		  "4",
		    4, "packet is cut off" },
		{ "\0\0\xff", 3, "empty packet" },
		{ "\1\0\xff", 3, "empty packet" },
		{ "\1\1\xff\7", 4, "unknown packet type" },
		{ "\1\1\xff"
		  "4",
		    4, "unknown packet type" },
		{ "\0\1\xff\4", 4, "unknown packet type" },
		{ "\0\2\xff"
		  "4\xc3",
		    5, "packet is not UTF-8" },
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		begin_n(PAYLOAD_V3_BINARY, rows[i].text, rows[i].len);
		bad(rows[i].why);
	}
	begin(PAYLOAD_V3_BINARY,
	    "\0\1\xff"
	    "2"
	    "\0");
	text(EIO_PING, "");
	bad("packet length is cut off");
}

static void
answers_have_their_types(void **state)
{
	assert_string_equal(payload_type(PAYLOAD_V4),
	    "text/plain; charset=UTF-8");
	assert_string_equal(payload_type(PAYLOAD_V3_TEXT),
	    "text/plain; charset=UTF-8");
	assert_string_equal(payload_type(PAYLOAD_V3_BINARY),
	    "application/octet-stream");
}

#define T(name) cmocka_unit_test_teardown(name, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(packets_are_separated),
		T(case_35_pongs_and_messages_may_come_together),
		T(case_12_nothing_is_a_parse_error),
		T(case_13_a_trailing_separator_is_an_empty_packet),
		T(case_14_packets_before_a_bad_one_are_handed_out),
		T(case_33_base64_is_decoded_in_place),
		T(a_nul_is_a_character),
		T(revision_3_has_lengths_in_utf16),
		T(revision_3_packets_of_length_0_are_passed_over),
		T(revision_3_base64_has_a_type),
		T(revision_3_lengths_have_one_form),
		T(revision_3_binary_has_bytes_for_digits),
		T(revision_3_binary_may_hold_base64),
		T(revision_3_binary_is_whole_or_refused),
		T(answers_have_their_types),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
