/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_log_line - what log_line.h promises about the look of a line.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "common/log_line.h"

static char line[LOG_LINE_MAX + 1];

static const struct log_event worker = {
	.level = LOG_LEVEL_INFO,
	/* 2024-02-29 12:34:56.789 */
	.time_ms = 1709210096789,
	.ident = "chatd",
	.role = "worker",
	.slot = 3,
	.pid = 42,
};

static struct log_event
say(const char *text)
{
	struct log_event ev = worker;

	ev.text = text;
	return ev;
}

static const char *
logfmt(const char *text)
{
	struct log_event ev = say(text);

	line[log_line_logfmt(&ev, line)] = '\0';
	return line;
}

static const char *
json(const char *text)
{
	struct log_event ev = say(text);

	line[log_line_json(&ev, line)] = '\0';
	return line;
}

#define LOGFMT_HEAD \
	"time=2024-02-29T12:34:56.789Z level=info role=worker slot=3 pid=42 "
#define JSON_HEAD \
	"{\"time\":\"2024-02-29T12:34:56.789Z\",\"level\":\"info\"," \
	"\"role\":\"worker\",\"slot\":3,\"pid\":42,"

static void
text_is_for_people(void **state)
{
	struct log_event ev = say("s1 message room=r seq=7");

	line[log_line_text(&ev, line)] = '\0';
	assert_string_equal(line,
	    "2024-02-29 12:34:56.789Z info   worker 3: s1 message room=r "
	    "seq=7\n");
	ev.slot = -1;
	ev.role = "scribe";
	ev.level = LOG_LEVEL_NOTICE;
	line[log_line_text(&ev, line)] = '\0';
	assert_string_equal(line,
	    "2024-02-29 12:34:56.789Z notice scribe: s1 message room=r "
	    "seq=7\n");
}

static void
pairs_at_the_end_are_fields(void **state)
{
	assert_string_equal(logfmt("s1 message room=r seq=7"),
	    LOGFMT_HEAD "msg=\"s1 message\" room=r seq=7\n");
	assert_string_equal(json("s1 message room=r seq=7"),
	    JSON_HEAD "\"msg\":\"s1 message\",\"room\":\"r\",\"seq\":\"7\"}\n");
	assert_string_equal(logfmt("a=1 b=2"),
	    LOGFMT_HEAD "msg=\"\" a=1 b=2\n");
}

static void
pairs_before_a_plain_word_are_message(void **state)
{
	assert_string_equal(logfmt("x=1 then y=2"),
	    LOGFMT_HEAD "msg=\"x=1 then\" y=2\n");
	assert_string_equal(logfmt("what=1 ever"),
	    LOGFMT_HEAD "msg=\"what=1 ever\"\n");
}

static void
quoted_values_keep_their_blanks(void **state)
{
	assert_string_equal(logfmt("open path=\"/a b\" error=\"No such\""),
	    LOGFMT_HEAD "msg=\"open\" path=\"/a b\" error=\"No such\"\n");
	assert_string_equal(json("open path=\"/a \\\"b\" n=\"c\\\\d\""),
	    JSON_HEAD
	    "\"msg\":\"open\",\"path\":\"/a \\\"b\",\"n\":\"c\\\\d\"}\n");
	/* an open quote is no field */
	assert_string_equal(logfmt("x y=\"z"),
	    LOGFMT_HEAD "msg=\"x y=\\\"z\"\n");
	assert_string_equal(logfmt("x y=\"z\"q"),
	    LOGFMT_HEAD "msg=\"x y=\\\"z\\\"q\"\n");
}

static void
a_pair_cannot_pretend_to_be_ours(void **state)
{
	assert_string_equal(logfmt("x level=error pid=1"),
	    LOGFMT_HEAD "msg=\"x level=error pid=1\"\n");
	assert_string_equal(json("x msg=\"y\""),
	    JSON_HEAD "\"msg\":\"x msg=\\\"y\\\"\"}\n");
}

static void
odd_values_are_quoted_in_logfmt(void **state)
{
	assert_string_equal(logfmt("x url=/a?b=c empty= w=a\\b"),
	    LOGFMT_HEAD "msg=\"x\" url=\"/a?b=c\" empty=\"\" w=\"a\\\\b\"\n");
}

static void
control_characters_never_get_through(void **state)
{
	char text[300];
	size_t n;

	assert_string_equal(logfmt("a\nb\tc\x1b[31m\x7f"),
	    LOGFMT_HEAD "msg=\"a\\\\nb\\\\tc\\\\x1b[31m\\\\x7f\"\n");
	assert_string_equal(json("x f=\"a\nb\x01\""),
	    JSON_HEAD "\"msg\":\"x\",\"f\":\"a\\nb\\\\x01\"}\n");
	for (int i = 1; i < 256; i++)
		text[i - 1] = (char)i;
	text[255] = '\0';
	struct log_event ev = say(text);
	for (int k = 0; k < 3; k++) {
		n = k == 0   ? log_line_text(&ev, line)
		    : k == 1 ? log_line_logfmt(&ev, line)
			     : log_line_json(&ev, line);
		for (size_t i = 0; i + 1 < n; i++)
			assert_in_range((unsigned char)line[i], 0x20, 0x7e);
		assert_int_equal(line[n - 1], '\n');
	}
}

static void
utf8_stays_and_what_is_none_is_escaped(void **state)
{
	assert_string_equal(logfmt("gr\xc3\xbc\xc3\x9f \xe2\x82\xac "
				   "\xf0\x9f\x98\x80"),
	    LOGFMT_HEAD "msg=\"gr\xc3\xbc\xc3\x9f \xe2\x82\xac "
			"\xf0\x9f\x98\x80\"\n");
	/* overlong, surrogate, too large, cut short, alone */
	assert_string_equal(logfmt("\xc0\xaf \xed\xa0\x80"),
	    LOGFMT_HEAD "msg=\"\\\\xc0\\\\xaf \\\\xed\\\\xa0\\\\x80\"\n");
	assert_string_equal(logfmt("\xf4\x90\x80\x80 \xe2\x82"),
	    LOGFMT_HEAD
	    "msg=\"\\\\xf4\\\\x90\\\\x80\\\\x80 \\\\xe2\\\\x82\"\n");
	/* C1 controls, and what turns the direction of a line */
	assert_string_equal(logfmt("\xc2\x9b \xe2\x80\xae"),
	    LOGFMT_HEAD "msg=\"\\\\xc2\\\\x9b \\\\xe2\\\\x80\\\\xae\"\n");
}

/* Is this one whole JSON object of strings and numbers on one line? */
static bool
json_is_whole(const char *s)
{
	bool in = false;
	size_t n = strlen(s);

	if (n < 3 || s[0] != '{' || strcmp(s + n - 2, "}\n") != 0)
		return false;
	for (size_t i = 0; i + 2 < n; i++) {
		if (in && s[i] == '\\') {
			if (strchr("\"\\nrt", s[i + 1]) == NULL)
				return false;
			i++;
		} else if (s[i] == '"')
			in = !in;
		else if (in && (unsigned char)s[i] < 0x20)
			return false;
	}
	return !in;
}

static void
every_length_gives_a_whole_line(void **state)
{
	static const char *const kinds[] = { "x", "\"", "\\", "\n",
		"\xe2\x82\xac", "x=\"y z\" ", "k=v ", "a b=\"\\x01\" " };
	size_t limit = LOG_LINE_MAX + 200, n, klen;
	char *text = malloc(limit + 16);
	struct log_event ev = say(text);

	assert_non_null(text);
	for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
		klen = strlen(kinds[k]);
		for (size_t len = 0; len + klen < limit;
		     len += klen * (len > 2500 ? 1 : 37)) {
			memcpy(text, "m f=\"", 5);
			for (size_t i = 5; i <= len; i += klen)
				memcpy(text + i, kinds[k], klen + 1);
			n = log_line_json(&ev, line);
			assert_true(n <= LOG_LINE_MAX);
			line[n] = '\0';
			assert_true(json_is_whole(line));
			n = log_line_logfmt(&ev, line);
			assert_true(n <= LOG_LINE_MAX);
			assert_int_equal(line[n - 1], '\n');
			n = log_line_text(&ev, line);
			assert_true(n <= LOG_LINE_MAX);
			assert_int_equal(line[n - 1], '\n');
			assert_true(
			    log_line_journal(&ev, line) <= LOG_LINE_MAX);
			for (int f = 0; f < LOG_FORMAT__MAX; f++)
				assert_true(
				    log_line_syslog(&ev, (enum log_format)f,
					line) <= LOG_LINE_MAX);
		}
	}
	free(text);
}

static void
a_long_field_ends_in_dots_and_the_line_is_whole(void **state)
{
	char text[LOG_LINE_MAX];
	const char *s;

	/* quotes double in JSON: the second field does not fit */
	memcpy(text, "m f=\"", 5);
	for (size_t i = 5; i < 3400; i += 2)
		memcpy(text + i, "\\n", 3);
	memcpy(text + 3399, "\" g=", 5);
	memset(text + 3403, '\\', 100);
	text[3503] = '\0';
	s = json(text);
	assert_true(json_is_whole(s));
	memset(text + 6, '"', 3000);
	text[3006] = '\0';
	s = json(text);
	assert_true(json_is_whole(s));
	assert_non_null(strstr(s, "...\"}"));
}

static void
more_pairs_than_fields_are_a_message(void **state)
{
	char text[1000] = "m";
	const char *s;

	for (int i = 0; i < 33; i++)
		(void)snprintf(text + strlen(text), sizeof(text) - strlen(text),
		    " k=%d", i);
	s = logfmt(text);
	assert_non_null(strstr(s, "msg=\"m k=0 k=1"));
	assert_non_null(strstr(s, "k=32\"\n"));
}

static void
time_is_that_of_gmtime(void **state)
{
	static const uint64_t times[] = { 0, 951782400000, 4102444799999,
		1709164800000, 1735689599999, 68169600000, 1e12,
		32503680000000 };
	struct log_event ev = say("x");
	char want[64];
	struct tm tm;
	time_t t;

	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		ev.time_ms = times[i];
		t = (time_t)(times[i] / 1000);
		assert_non_null(gmtime_r(&t, &tm));
		(void)strftime(want, sizeof(want), "%Y-%m-%d %H:%M:%S", &tm);
		line[log_line_text(&ev, line)] = '\0';
		assert_memory_equal(line, want, strlen(want));
	}
	for (uint64_t day = 0; day < 80000; day += 13) {
		ev.time_ms = day * 86400000;
		t = (time_t)(day * 86400);
		assert_non_null(gmtime_r(&t, &tm));
		(void)strftime(want, sizeof(want), "%Y-%m-%d", &tm);
		line[log_line_text(&ev, line)] = '\0';
		assert_memory_equal(line, want, strlen(want));
	}
}

static void
syslog_has_priority_time_and_tag(void **state)
{
	struct log_event ev = say("s1 message room=r");

	(void)setenv("TZ", "UTC-2", 1);
	tzset();
	line[log_line_syslog(&ev, LOG_FORMAT_LOGFMT, line)] = '\0';
	assert_string_equal(line,
	    "<30>Feb 29 14:34:56 chatd[42]: level=info role=worker slot=3 "
	    "pid=42 msg=\"s1 message\" room=r");
	line[log_line_syslog(&ev, LOG_FORMAT_TEXT, line)] = '\0';
	assert_string_equal(line,
	    "<30>Feb 29 14:34:56 chatd[42]: worker 3: s1 message room=r");
	ev.level = LOG_LEVEL_ERROR;
	ev.slot = -1;
	ev.time_ms -= 20 * 86400000ULL;
	line[log_line_syslog(&ev, LOG_FORMAT_JSON, line)] = '\0';
	assert_string_equal(line,
	    "<27>Feb  9 14:34:56 chatd[42]: {\"level\":\"error\","
	    "\"role\":\"worker\",\"pid\":42,\"msg\":\"s1 message\","
	    "\"room\":\"r\"}");
	(void)unsetenv("TZ");
	tzset();
}

static void
the_journal_gets_fields(void **state)
{
	struct log_event ev = say("s1 message room=r why=\"a b\"");

	ev.level = LOG_LEVEL_WARN;
	line[log_line_journal(&ev, line)] = '\0';
	assert_string_equal(line,
	    "PRIORITY=4\nSYSLOG_FACILITY=3\nSYSLOG_IDENTIFIER=chatd\n"
	    "SYSLOG_PID=42\nCHATD_ROLE=worker\nCHATD_SLOT=3\n"
	    "MESSAGE=s1 message room=r why=\"a b\"\n"
	    "CHATD_ROOM=r\nCHATD_WHY=a b\n");
}

static void
escape_stops_at_whole_characters(void **state)
{
	char buf[8];

	assert_int_equal(log_escape(buf, 4, "\xe2\x82\xac", 3, false), 3);
	assert_string_equal(buf, "\xe2\x82\xac");
	assert_int_equal(log_escape(buf, 3, "\xe2\x82\xac", 3, false), 0);
	assert_string_equal(buf, "");
	assert_int_equal(log_escape(buf, 4, "a\x01", 2, false), 1);
	assert_string_equal(buf, "a");
	assert_int_equal(log_escape(buf, sizeof(buf), "\0", 1, false), 1);
	assert_string_equal(buf, "\\x00");
	assert_int_equal(log_escape(buf, sizeof(buf), "\"\\", 2, true), 2);
	assert_string_equal(buf, "\\\"\\\\");
	assert_int_equal(log_escape(buf, 1, "x", 1, true), 0);
}

static void
every_level_has_a_name(void **state)
{
	assert_string_equal(log_level_name(LOG_LEVEL_ERROR), "error");
	assert_string_equal(log_level_name(LOG_LEVEL_DEBUG), "debug");
	assert_null(log_level_name(LOG_LEVEL__MAX));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_is_for_people),
		cmocka_unit_test(pairs_at_the_end_are_fields),
		cmocka_unit_test(pairs_before_a_plain_word_are_message),
		cmocka_unit_test(quoted_values_keep_their_blanks),
		cmocka_unit_test(a_pair_cannot_pretend_to_be_ours),
		cmocka_unit_test(odd_values_are_quoted_in_logfmt),
		cmocka_unit_test(control_characters_never_get_through),
		cmocka_unit_test(utf8_stays_and_what_is_none_is_escaped),
		cmocka_unit_test(every_length_gives_a_whole_line),
		cmocka_unit_test(
		    a_long_field_ends_in_dots_and_the_line_is_whole),
		cmocka_unit_test(more_pairs_than_fields_are_a_message),
		cmocka_unit_test(time_is_that_of_gmtime),
		cmocka_unit_test(syslog_has_priority_time_and_tag),
		cmocka_unit_test(the_journal_gets_fields),
		cmocka_unit_test(escape_stops_at_whole_characters),
		cmocka_unit_test(every_level_has_a_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
