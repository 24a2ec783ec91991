/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_ws - what ws.h promises about frames.  Tests named case_N are the
 * edge cases of the protocol page.
 */

#include "tests/unit/ws_story.h"

/* --- messages ------------------------------------------------------------ */

static void
a_message_comes_unmasked(void **state)
{
	in_text(FIN | WS_TEXT, "hello");
	in_frame(FIN | WS_BINARY, "\xff\xfe\x80", 3);
	check("text hello; binary \xff\xfe\x80; ");
}

static void
a_whole_frame_is_one_event_in_place(void **state)
{
	struct ws_parser p;
	struct ws_event ev;
	size_t used;

	in_text(FIN | WS_TEXT, "hello");
	in_text(FIN | WS_TEXT, "you");
	ws_init(&p, 100);
	assert_int_equal(ws_next(&p, in, in_len, &used, &ev), WS_DATA);
	assert_int_equal(used, 11);
	assert_ptr_equal(ev.data, in + 6);
	assert_int_equal(ev.opcode, WS_TEXT);
	assert_true(ev.first && ev.last);
	assert_int_equal(ev.len, 5);
	assert_memory_equal(ev.data, "hello", 5);
	assert_int_equal(ws_next(&p, in + 11, in_len - 11, &used, &ev),
	    WS_DATA);
	assert_memory_equal(ev.data, "you", 3);
	assert_int_equal(used, in_len - 11);
	assert_int_equal(ws_next(&p, in + in_len, 0, &used, &ev), WS_MORE);
	assert_int_equal(used, 0);
}

static void
what_is_there_of_a_message_comes_at_once(void **state)
{
	struct ws_parser p;
	struct ws_event ev;
	size_t used;

	in_text(WS_TEXT, "abcdef");
	in_text(FIN | WS_CONTINUATION, "ghi");
	ws_init(&p, 100);
	assert_int_equal(ws_next(&p, in, 8, &used, &ev), WS_DATA);
	assert_int_equal(used, 8);
	assert_int_equal(ev.len, 2);
	assert_true(ev.first && !ev.last);
	assert_int_equal(ws_next(&p, in + 8, 0, &used, &ev), WS_MORE);
	assert_int_equal(ws_next(&p, in + 8, in_len - 8, &used, &ev), WS_DATA);
	assert_memory_equal(ev.data, "cdef", 4);
	assert_int_equal(ev.len, 4);
	assert_true(!ev.first && !ev.last);
	assert_int_equal(used, 4);
	assert_int_equal(ws_next(&p, in + 12, in_len - 12, &used, &ev),
	    WS_DATA);
	assert_memory_equal(ev.data, "ghi", 3);
	assert_true(!ev.first && ev.last);
}

static void
the_parser_is_idle_between_messages(void **state)
{
	struct ws_parser p;
	struct ws_event ev;
	size_t used;

	in_text(WS_TEXT, "ab");
	in_text(FIN | WS_CONTINUATION, "c");
	in_text(FIN | WS_CLOSE, "");
	ws_init(&p, 100);
	assert_true(ws_is_idle(&p));
	/* part of a header is still in the caller's hands */
	(void)ws_next(&p, in, 5, &used, &ev);
	assert_int_equal(used, 0);
	assert_true(ws_is_idle(&p));
	(void)ws_next(&p, in, 7, &used, &ev);
	assert_false(ws_is_idle(&p));
	(void)ws_next(&p, in + 7, 1, &used, &ev);
	assert_false(ws_is_idle(&p));
	assert_int_equal(ws_next(&p, in + 8, 7, &used, &ev), WS_DATA);
	assert_true(ev.last);
	assert_true(ws_is_idle(&p));
	(void)ws_next(&p, in + 15, 6, &used, &ev);
	assert_false(ws_is_idle(&p));
}

static void
case_60_headers_may_be_split_anywhere(void **state)
{
	char text[300];

	memset(text, 'x', sizeof(text));
	in_frame(WS_TEXT, text, 126);
	in_text(FIN | WS_PING, "p");
	in_frame(FIN | WS_CONTINUATION, text, 300);
	in_text(FIN | WS_TEXT, "end");
	check_begins("ping p; text 426 bytes ");
}

static void
case_61_ping_between_fragments(void **state)
{
	in_text(WS_TEXT, "a");
	in_text(FIN | WS_PING, "one");
	in_text(WS_CONTINUATION, "b");
	in_text(FIN | WS_PONG, "two");
	in_text(FIN | WS_PING, "");
	in_text(FIN | WS_CONTINUATION, "c");
	check("ping one; pong two; ping ; text abc; ");
}

static void
case_62_empty_frames_and_fragments(void **state)
{
	in_text(FIN | WS_TEXT, "");
	in_text(FIN | WS_BINARY, "");
	in_text(WS_TEXT, "");
	in_text(WS_CONTINUATION, "");
	in_text(FIN | WS_CONTINUATION, "");
	in_text(WS_BINARY, "");
	in_text(WS_CONTINUATION, "x");
	in_text(FIN | WS_CONTINUATION, "");
	check("text ; binary ; text ; binary x; ");
}

static void
case_63_lengths_at_the_borders(void **state)
{
	static const size_t lengths[] = { 124, 125, 126, 127, 128, 65534, 65535,
		65536, 65537 };
	static char text[70000];
	char want[32];
	size_t i;

	memset(text, 'y', sizeof(text));
	for (i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		in_frame(FIN | WS_TEXT, text, lengths[i]);
		feed_cut(in_len, in_len);
		(void)snprintf(want, sizeof(want), "text %zu bytes ",
		    lengths[i]);
		assert_memory_equal(story, want, strlen(want));
		feed_cut(0, 4093);
		assert_memory_equal(story, want, strlen(want));
		in_len = 0;
	}
}

static void
case_64_lengths_in_a_longer_form_are_refused(void **state)
{
	in_head(FIN | WS_TEXT, 125, 2);
	check("error 1002; ");
	in_head(FIN | WS_TEXT, 0, 2);
	check("error 1002; ");
	in_head(FIN | WS_TEXT, 65535, 8);
	check("error 1002; ");
	in_head(FIN | WS_TEXT, 5, 8);
	check("error 1002; ");
}

/* --- text ---------------------------------------------------------------- */

static void
case_65_characters_may_cross_the_borders_of_fragments(void **state)
{
	in_text(WS_TEXT, "\xf0");
	in_text(WS_CONTINUATION, "\x9f\x98");
	in_text(FIN | WS_PING, "\xff");
	in_text(WS_CONTINUATION, "");
	in_text(FIN | WS_CONTINUATION, "\x80!");
	check("ping \xff; text \xf0\x9f\x98\x80!; ");
}

static void
case_65_invalid_text_is_1007_wherever_it_is_cut(void **state)
{
	in_text(WS_TEXT, "\xf0\x9f");
	in_text(FIN | WS_CONTINUATION, "\x98");
	check("error 1007; ");
	in_text(WS_TEXT, "\xc3");
	in_text(FIN | WS_CONTINUATION, "a");
	check("error 1007; ");
	in_text(WS_TEXT, "\xed");
	in_text(FIN | WS_CONTINUATION, "\xa0\x80");
	check("error 1007; ");
	in_text(FIN | WS_TEXT, "a\xc0\xaf");
	check("error 1007; ");
	in_text(FIN | WS_TEXT, "\xce");
	check("error 1007; ");
	in_text(FIN | WS_TEXT, "\xf4\x90\x80\x80");
	check("error 1007; ");
	in_text(WS_TEXT, "\xce");
	in_text(FIN | WS_CONTINUATION, "");
	check("error 1007; ");
	/* the next message begins afresh */
	in_text(FIN | WS_TEXT, "ok");
	in_text(WS_BINARY, "\xce");
	in_text(FIN | WS_CONTINUATION, "\xff");
	in_text(FIN | WS_TEXT, "\xc3\xa9");
	check("text ok; binary \xce\xff; text \xc3\xa9; ");
}

/* --- close --------------------------------------------------------------- */

static void
a_close_brings_code_and_reason(void **state)
{
	in_close(1000, "bye \xc3\xa9");
	check("close 1000 bye \xc3\xa9; ");
	in_text(FIN | WS_CLOSE, "");
	check("close 0 ; ");
	in_close(1001, "");
	check("close 1001 ; ");
	in_close(1000, "\xc3");
	check("error 1007; ");
}

static void
case_66_half_a_close_code(void **state)
{
	in_text(FIN | WS_CLOSE, "\x03");
	check("error 1002; ");
}

static void
case_67_close_codes(void **state)
{
	static const struct {
		unsigned from, to;
		bool valid;
	} ranges[] = {
		{ 0, 999, false },
		{ 1000, 1003, true },
		{ 1004, 1006, false },
		{ 1007, 1014, true },
		{ 1015, 2999, false },
		{ 3000, 4999, true },
		{ 5000, 65535, false },
	};
	unsigned i, code;
	char want[32];

	for (i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
		for (code = ranges[i].from; code <= ranges[i].to; code++) {
			assert_int_equal(ws_code_valid(code), ranges[i].valid);
			in_len = 0;
			in_close(code, "");
			feed_cut(in_len, in_len);
			(void)snprintf(want, sizeof(want),
			    ranges[i].valid ? "close %u ; " : "error %u; ",
			    ranges[i].valid ? code : 1002);
			assert_string_equal(story, want);
		}
	}
}

static void
case_68_data_after_close_is_ignored(void **state)
{
	in_close(1000, "");
	in_text(FIN | WS_TEXT, "late");
	in_byte(0xff);
	in_byte(0xff);
	check("close 1000 ; ");
	/* within a message, too */
	in_text(WS_TEXT, "half");
	in_close(1000, "");
	in_text(FIN | WS_CONTINUATION, "late");
	check("close 1000 ; ");
}

static void
nothing_comes_after_an_error(void **state)
{
	in_text(FIN | WS_TEXT, "ok");
	in_byte(0xff);
	in_byte(0xff);
	in_text(FIN | WS_TEXT, "late");
	check("text ok; error 1002; ");
}

/* --- broken frames ------------------------------------------------------- */

static void
case_69_frames_without_mask(void **state)
{
	in_byte(FIN | WS_TEXT);
	in_byte(2);
	in_be(0x3430, 2);
	check("error 1002; ");
	in_byte(FIN | WS_PING);
	in_byte(0);
	check("error 1002; ");
}

static void
case_70_and_cve_2022_21676_reserved_bits(void **state)
{
	unsigned bits;

	for (bits = 0x10; bits <= 0x70; bits += 0x10) {
		in_text(FIN | bits | WS_TEXT, "x");
		check("error 1002; ");
		in_text(FIN | bits | WS_PING, "x");
		check("error 1002; ");
	}
	/* also on a continuation */
	in_text(WS_TEXT, "x");
	in_text(FIN | 0x40 | WS_CONTINUATION, "x");
	check("error 1002; ");
}

static void
unknown_opcodes(void **state)
{
	unsigned opcode;

	for (opcode = 3; opcode <= 15; opcode++) {
		if (opcode >= 8 && opcode <= 10)
			continue;
		in_text(FIN | opcode, "x");
		check("error 1002; ");
	}
}

static void
continuations_need_a_beginning(void **state)
{
	in_text(FIN | WS_CONTINUATION, "x");
	check("error 1002; ");
	in_text(WS_CONTINUATION, "");
	check("error 1002; ");
	in_text(FIN | WS_TEXT, "x");
	in_text(FIN | WS_CONTINUATION, "x");
	check("text x; error 1002; ");
	in_text(WS_TEXT, "x");
	in_text(FIN | WS_TEXT, "x");
	check("error 1002; ");
	in_text(WS_TEXT, "");
	in_text(WS_BINARY, "x");
	check("error 1002; ");
}

static void
control_frames_are_short_and_whole(void **state)
{
	char text[126];

	memset(text, 'x', sizeof(text));
	in_text(WS_PING, "x");
	check("error 1002; ");
	in_text(WS_CLOSE, "");
	check("error 1002; ");
	in_frame(FIN | WS_PING, text, 126);
	check("error 1002; ");
	in_head(FIN | WS_PONG, 1 << 20, 8);
	check("error 1002; ");
	in_frame(FIN | WS_PING, text, 125);
	check_begins("ping 125 bytes ");
}

static void
each_error_says_why(void **state)
{
	static const struct {
		const char *bytes, *why;
	} rows[] = {
		{ "\xc1\x80", "reserved bit set" },
		{ "\x80\x80", "continuation of nothing" },
		{ "\x09\x80", "fragmented control frame" },
		{ "\x89\xfe", "control frame too long" },
		{ "\x83\x80", "unknown opcode" },
		{ "\x81\x01", "frame without mask" },
		{ "\x81\xfe\1\1", "message too big" },
		{ "\x88\x81zzzzz", "half a close code" },
		{ "\x88\x82zzzzzz", "invalid close code" },
		{ "\x81\x81zzzz\x80", "text is not UTF-8" },
	};
	char copy[16];
	struct ws_parser p;
	struct ws_event ev;
	size_t i, used;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		(void)snprintf(copy, sizeof(copy), "%s", rows[i].bytes);
		ws_init(&p, 100);
		assert_int_equal(ws_next(&p, copy, strlen(copy), &used, &ev),
		    WS_ERROR);
		assert_string_equal(ev.why, rows[i].why);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_message_comes_unmasked),
		T(a_whole_frame_is_one_event_in_place),
		T(what_is_there_of_a_message_comes_at_once),
		T(the_parser_is_idle_between_messages),
		T(case_60_headers_may_be_split_anywhere),
		T(case_61_ping_between_fragments),
		T(case_62_empty_frames_and_fragments),
		T(case_63_lengths_at_the_borders),
		T(case_64_lengths_in_a_longer_form_are_refused),
		T(case_65_characters_may_cross_the_borders_of_fragments),
		T(case_65_invalid_text_is_1007_wherever_it_is_cut),
		T(a_close_brings_code_and_reason),
		T(case_66_half_a_close_code),
		T(case_67_close_codes),
		T(case_68_data_after_close_is_ignored),
		T(nothing_comes_after_an_error),
		T(case_69_frames_without_mask),
		T(case_70_and_cve_2022_21676_reserved_bits),
		T(unknown_opcodes),
		T(continuations_need_a_beginning),
		T(control_frames_are_short_and_whole),
		T(each_error_says_why),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
