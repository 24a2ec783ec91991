/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_ws - what ws.h promises about frames.  Tests named case_N are the
 * edge cases of the protocol page; whatever is fed is fed whole, cut in two
 * at every byte, and byte by byte, and must mean the same each time.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/ws.h"

#define FIN 0x80
#define MESSAGE_MAX 1000000
/* inputs up to this size are cut at every byte */
#define SPLIT_MAX 1200

/* --- what a client sends ------------------------------------------------- */

static uint8_t in[1 << 18];
static size_t in_len;

static void
in_byte(unsigned b)
{
	assert_true(in_len < sizeof(in));
	in[in_len++] = (uint8_t)b;
}

static void
in_be(uint64_t v, unsigned n)
{
	while (n-- > 0)
		in_byte((unsigned)(v >> (8 * n)) & 0xff);
}

/* The first bytes of a masked frame, its length in 'form' bytes (1, 2, 8). */
static void
in_head(unsigned first, uint64_t len, unsigned form)
{
	in_byte(first);
	if (form == 1) {
		in_byte(0x80 | (unsigned)len);
		return;
	}
	in_byte(0x80 | (form == 2 ? 126 : 127));
	in_be(len, form);
}

static void
in_frame(unsigned first, const void *payload, size_t len)
{
	static const uint8_t key[4] = { 0x12, 0xff, 0x00, 0xa7 };
	size_t i;

	in_head(first, len, len < 126 ? 1 : len < 65536 ? 2 : 8);
	for (i = 0; i < 4; i++)
		in_byte(key[i]);
	for (i = 0; i < len; i++)
		in_byte(((const uint8_t *)payload)[i] ^ key[i % 4]);
}

static void
in_text(unsigned first, const char *text)
{
	in_frame(first, text, strlen(text));
}

static void
in_close(unsigned code, const char *reason)
{
	char payload[125];

	payload[0] = (char)(code >> 8);
	payload[1] = (char)code;
	memcpy(payload + 2, reason, strlen(reason));
	in_frame(FIN | WS_CLOSE, payload, strlen(reason) + 2);
}

/* --- what comes out ------------------------------------------------------ */

/* One line: "text hello; ping x; close 1000 bye; error 1002;" */
static char story[1 << 12];
static size_t story_len;
/* the message under way; long ones are told by length and sum */
static uint8_t message[1 << 18];
static size_t message_len;
static uint64_t message_max;
static size_t events;

static void
tell(const char *text, size_t len)
{
	assert_true(story_len + len < sizeof(story));
	memcpy(story + story_len, text, len);
	story_len += len;
	story[story_len] = '\0';
}

static void
tell_payload(const void *data, size_t len)
{
	char text[64];
	unsigned sum = 0;
	size_t i;

	if (len <= 64) {
		tell(data, len);
		return;
	}
	for (i = 0; i < len; i++)
		sum = sum * 31 + ((const uint8_t *)data)[i];
	(void)snprintf(text, sizeof(text), "%zu bytes %x", len, sum);
	tell(text, strlen(text));
}

static void
tell_data(const struct ws_event *ev)
{
	assert_int_equal(ev->first, message_len == 0 && events == 0);
	memcpy(message + message_len, ev->data, ev->len);
	message_len += ev->len;
	events++;
	if (!ev->last)
		return;
	tell(ev->opcode == WS_TEXT ? "text " : "binary ",
	    ev->opcode == WS_TEXT ? 5 : 7);
	tell_payload(message, message_len);
	tell("; ", 2);
	message_len = 0;
	events = 0;
}

static void
tell_event(enum ws_result result, const struct ws_event *ev)
{
	char text[32];

	if (result == WS_DATA) {
		tell_data(ev);
		return;
	}
	if (result == WS_ERROR) {
		assert_non_null(ev->why);
		(void)snprintf(text, sizeof(text), "error %u", ev->code);
	} else if (ev->opcode == WS_CLOSE) {
		(void)snprintf(text, sizeof(text), "close %u ", ev->code);
	} else {
		(void)snprintf(text, sizeof(text), "%s ",
		    ev->opcode == WS_PING ? "ping" : "pong");
	}
	tell(text, strlen(text));
	if (result == WS_CONTROL)
		tell_payload(ev->data, ev->len);
	tell("; ", 2);
}

/*
 * Feed one buffer, from a copy that ends where it ends.  The parser moves,
 * too: it has no pointers.  Returns the bytes that have to come again.
 */
static size_t
feed(struct ws_parser **p, const uint8_t *bytes, size_t len)
{
	struct ws_parser *moved = malloc(sizeof(*moved));
	uint8_t *copy = malloc(len > 0 ? len : 1);
	size_t pos = 0, used;
	struct ws_event ev;
	enum ws_result result;

	assert_non_null(moved);
	assert_non_null(copy);
	*moved = **p;
	free(*p);
	*p = moved;
	memcpy(copy, bytes, len);
	do {
		result = ws_next(moved, copy + pos, len - pos, &used, &ev);
		assert_true(used <= len - pos);
		pos += used;
		if (result != WS_MORE)
			tell_event(result, &ev);
	} while (result != WS_MORE);
	assert_true(len - pos < WS_KEEP_MAX);
	free(copy);
	return len - pos;
}

static struct ws_parser *
begin(void)
{
	struct ws_parser *p = malloc(sizeof(*p));

	assert_non_null(p);
	ws_init(p, message_max);
	story_len = 0;
	story[0] = '\0';
	message_len = 0;
	events = 0;
	return p;
}

/* Cut into pieces: the first of 'first' bytes, the others of 'step'. */
static void
feed_cut(size_t first, size_t step)
{
	struct ws_parser *p = begin();
	size_t from = 0, to = first;

	for (;;) {
		from = to - feed(&p, in + from, to - from);
		if (to == in_len)
			break;
		to = in_len - to > step ? to + step : in_len;
	}
	free(p);
}

static void
check(const char *want)
{
	size_t cut;

	feed_cut(in_len, in_len);
	assert_string_equal(story, want);
	feed_cut(0, in_len > SPLIT_MAX ? 4093 : 1);
	assert_string_equal(story, want);
	for (cut = 1; cut < in_len && cut < SPLIT_MAX; cut++) {
		feed_cut(cut, in_len);
		assert_string_equal(story, want);
	}
	in_len = 0;
}

/* What it means must begin so, and be the same however it is cut. */
static void
check_begins(const char *want)
{
	char whole[sizeof(story)];

	feed_cut(in_len, in_len);
	assert_memory_equal(story, want, strlen(want));
	memcpy(whole, story, sizeof(story));
	check(whole);
}

static int
setup(void **state)
{
	in_len = 0;
	message_max = MESSAGE_MAX;
	return 0;
}

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

/* --- limits -------------------------------------------------------------- */

static void
case_71_too_big_by_the_declared_length(void **state)
{
	message_max = 300;
	/* not even the mask has come */
	in_head(FIN | WS_TEXT, 301, 2);
	check("error 1009; ");
	in_head(WS_BINARY, 65536, 8);
	check("error 1009; ");
	message_max = 100;
	in_head(FIN | WS_TEXT, 101, 1);
	check("error 1009; ");
	in_frame(FIN | WS_TEXT, story, 0);
	check("text ; ");
	message_max = 5;
	in_text(FIN | WS_TEXT, "12345");
	in_text(FIN | WS_PING, "longer than that");
	in_text(FIN | WS_TEXT, "12345");
	check("text 12345; ping longer than that; text 12345; ");
}

static void
cve_2016_10542_256_megabytes(void **state)
{
	in_head(FIN | WS_TEXT, 256 << 20, 8);
	check("error 1009; ");
}

static void
cve_2026_50161_lengths_that_overflow(void **state)
{
	in_head(FIN | WS_TEXT, INT64_MAX, 8);
	check("error 1009; ");
	in_head(FIN | WS_TEXT, UINT64_MAX, 8);
	check("error 1009; ");
	in_head(FIN | WS_TEXT, UINT64_C(1) << 63, 8);
	check("error 1009; ");
	/* the sum, with no limit but the number's */
	message_max = UINT64_MAX;
	in_text(WS_TEXT, "12345678");
	in_head(FIN | WS_CONTINUATION, UINT64_MAX - 7, 8);
	check("error 1009; ");
	in_text(WS_TEXT, "12345678");
	in_head(FIN | WS_CONTINUATION, UINT64_MAX - 8, 8);
	in_be(0, 4);
	in_be(0, 2);
	check("");
}

static void
case_72_too_big_by_the_sum_of_fragments(void **state)
{
	message_max = 5;
	in_text(WS_TEXT, "123");
	in_text(FIN | WS_PING, "");
	in_text(FIN | WS_CONTINUATION, "45");
	in_text(WS_TEXT, "123");
	in_head(WS_CONTINUATION, 3, 1);
	check("ping ; text 12345; error 1009; ");
}

static void
in_fragments(unsigned n, const char *text)
{
	unsigned i;

	in_text(WS_BINARY, text);
	for (i = 1; i < n; i++)
		in_text(WS_CONTINUATION, text);
}

static void
case_73_too_many_fragments(void **state)
{
	in_fragments(WS_FRAGMENTS_MAX - 1, "x");
	in_text(FIN | WS_CONTINUATION, "x");
	in_text(FIN | WS_BINARY, "y");
	feed_cut(in_len, in_len);
	assert_memory_equal(story, "binary 16384 bytes ", 19);
	assert_non_null(strstr(story, "binary y; "));
	in_len = 0;
	in_fragments(WS_FRAGMENTS_MAX + 1, "x");
	feed_cut(in_len, in_len);
	assert_string_equal(story, "error 1008; ");
	feed_cut(0, 1);
	assert_string_equal(story, "error 1008; ");
}

static void
cve_2026_62389_endless_empty_fragments(void **state)
{
	in_fragments(WS_FRAGMENTS_MAX, "");
	feed_cut(in_len, in_len);
	assert_string_equal(story, "");
	in_text(WS_CONTINUATION, "");
	feed_cut(in_len, in_len);
	assert_string_equal(story, "error 1008; ");
	feed_cut(0, 7);
	assert_string_equal(story, "error 1008; ");
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

#define T(name) cmocka_unit_test_setup(name, setup)

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
		T(case_71_too_big_by_the_declared_length),
		T(cve_2016_10542_256_megabytes),
		T(cve_2026_50161_lengths_that_overflow),
		T(case_72_too_big_by_the_sum_of_fragments),
		T(case_73_too_many_fragments),
		T(cve_2026_62389_endless_empty_fragments),
		T(each_error_says_why),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
