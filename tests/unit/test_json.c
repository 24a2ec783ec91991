/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_json - what json.h promises of scanning, reading, writing, trees.
 */

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "common/json.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))

/* Texts are copied to the heap, so that ASan sees a read behind the end. */
static enum json_verdict
scan_n(const char *text, size_t len, unsigned depth, const char **why)
{
	enum json_verdict v;
	char *copy;

	assert_non_null(copy = malloc(len == 0 ? 1 : len));
	memcpy(copy, text, len);
	v = json_scan(copy, len, depth, why);
	free(copy);
	return v;
}

static enum json_verdict
scan(const char *text)
{
	const char *why = NULL;
	enum json_verdict v = scan_n(text, strlen(text), 32, &why);

	assert_int_equal(v == JSON_FINE, why == NULL);
	return v;
}

static struct json_value
value(const char *text)
{
	return json_value(text, strlen(text));
}

static void
assert_text(struct json_span s, const char *text)
{
	assert_int_equal(s.len, strlen(text));
	assert_memory_equal(s.p, text, s.len);
}

/* --- scanning ----------------------------------------------------------- */

static const char *const fine[] = { "0", "-0", "1", "-1", "10", "1.5", "-1.50",
	"1e5", "1E+5", "1e-05", "123456789012345678901234567890", "1e400",
	"true", "false", "null", "\"\"", "\"a\"", "\"\\u0041\"",
	"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\ud83d\\ude00\"",
	"\"\\uD83D\\uDE00\"", "\"\x7f\"", "\"\xf0\x9f\x98\x80\"",
	"\"\xe2\x80\xa8\"", "[]", "[ ]", "{}", "{ }", "[1,2]", "[[],[]]",
	" [ 1 , 2 ] ", "\t\r\n {\"a\" : 1 , \"b\" : [ ] } \n", "{\"\":0}",
	"{\"a\":{\"a\":{\"a\":1}}}", "[{\"a\":1},{\"a\":1}]",
	"{\"a\":1,\"A\":1,\"aa\":1}", "{\"__proto__\":1}",
	"{\"a\":{\"b\":1},\"b\":1}" };

static const char *const bad[] = { "", " ", "+1", "01", "-01", "00", "1.", ".5",
	"1e", "1e+", "-", "--1", "0x10", "1 2", "[] []", "{}x", "nul", "nulll",
	"True", "NaN", "Infinity", "-Infinity", "undefined", "'a'", "\"", "\"a",
	"\"\\\"", "\"\\x41\"", "\"\\u004\"", "\"\\u00g0\"", "\"\\u\"", "\"\\",
	"\"\\u", "\"\t\"", "\"\n\"", "\"\x1f\"", "[", "]", "[1", "[1,", "[1,]",
	"[,1]", "[1 2]", "[1:2]", "[1}", "{", "}", "{]", "{\"a\"",
	"{\"a\":", "{\"a\":1", "{\"a\":1,", "{\"a\":1,}", "{a:1}", "{1:1}",
	"{\"a\" 1}", "{\"a\":1 \"b\":2}", "{,}", "{\"a\":1]", ",", ":",
	"[1,,2]", "[[]", "/**/1", "//\n1", "\xef\xbb\xbf[]", "1\f", "[\"a\",\n",
	"{\"a\":tru}", "\"\\ud83d\\u\"" };

static const char *const refused[] = { "\"\\u0000\"", "\"\\ud83d\"",
	"\"\\ud83dx\"", "\"\\ude00\"", "\"\\ude00\\ud83d\"",
	"\"\\ud83d\\ud83d\"", "\"\\ud83d\\n\"", "\"\\ud83d\\u0041\"",
	"{\"\\u0000\":1}", "\"\xff\"", "\"\xc0\xaf\"",
	"\"aaaaaaaa\x80 aaaaaaaaaaaa\"", "\"\xed\xa0\x80\"",
	"\"\xf4\x90\x80\x80\"", "\"\xe2\x82\"", "{\"a\":1,\"a\":1}",
	"{\"a\":1,\"\\u0061\":1}", "{\"\\u0061\":1,\"a\":1}", "{\"\":1,\"\":2}",
	"[[{\"x\":{\"a\":1,\"b\":2,\"a\":3}}]]",
	"{\"\xf0\x9f\x98\x80\":1,\"\\ud83d\\ude00\":1}",
	"{\"a\":[{\"b\":1}],\"c\":0,\"a\":0}" };

static void
takes_what_the_grammar_says(void **state)
{
	size_t i;

	for (i = 0; i < N(fine); i++) {
		if (scan(fine[i]) != JSON_FINE)
			fail_msg("%s", fine[i]);
	}
}

static void
finds_what_is_no_json(void **state)
{
	size_t i;

	for (i = 0; i < N(bad); i++) {
		if (scan(bad[i]) != JSON_BAD)
			fail_msg("%s", bad[i]);
	}
}

static void
refuses_what_is_json_but_not_for_us(void **state)
{
	size_t i;

	for (i = 0; i < N(refused); i++) {
		if (scan(refused[i]) != JSON_REFUSED)
			fail_msg("%s", refused[i]);
	}
}

static void
what_is_no_json_stays_that_even_after_a_refusal(void **state)
{
	assert_int_equal(scan("[\"\\u0000\","), JSON_BAD);
	assert_int_equal(scan("{\"a\":1,\"a\":1"), JSON_BAD);
	assert_int_equal(scan("[\"\xff\"}"), JSON_BAD);
}

static void
a_raw_nul_is_no_json(void **state)
{
	const char *why;

	assert_int_equal(scan_n("\"a\0b\"", 5, 32, &why), JSON_BAD);
	assert_int_equal(scan_n("1\0", 2, 32, &why), JSON_BAD);
	assert_int_equal(scan_n("\0", 1, 32, &why), JSON_BAD);
	assert_int_equal(scan_n("\"\\\0\"", 4, 32, &why), JSON_BAD);
}

static void
every_beginning_of_a_text_is_read_within_its_bounds(void **state)
{
	static const char text[] =
	    "{\"k\\u0041\":[1.5e+3,true,null,"
	    "\"\\ud83d\\ude00\xe2\x82\xac tail of sixteen bytes\"],\"z\":{}}";
	const char *why;
	size_t i;

	for (i = 0; i < sizeof(text) - 1; i++)
		assert_int_equal(scan_n(text, i, 32, &why), JSON_BAD);
	assert_int_equal(scan_n(text, i, 32, &why), JSON_FINE);
}

static char *
nest(size_t depth, const char *open, const char *shut)
{
	size_t i, lo = strlen(open), ls = strlen(shut);
	char *p, *q;

	assert_non_null(p = q = malloc(depth * (lo + ls) + 2));
	for (i = 0; i < depth; i++, q += lo)
		memcpy(q, open, lo);
	*q++ = '1';
	for (i = 0; i < depth; i++, q += ls)
		memcpy(q, shut, ls);
	*q = '\0';
	return p;
}

static void
counts_depth_from_one(void **state)
{
	const char *why;
	char *p;

	p = nest(32, "[", "]");
	assert_int_equal(scan(p), JSON_FINE);
	assert_int_equal(scan_n(p, strlen(p), 31, &why), JSON_REFUSED);
	free(p);
	p = nest(33, "{\"a\":", "}");
	assert_int_equal(scan(p), JSON_REFUSED);
	assert_int_equal(scan_n(p, strlen(p), 33, &why), JSON_FINE);
	free(p);
	assert_int_equal(scan_n("1", 1, 0, &why), JSON_FINE);
	assert_int_equal(scan_n("[]", 2, 0, &why), JSON_REFUSED);
}

static void
reads_deep_nesting_without_recursion(void **state)
{
	const char *why;
	char *p = nest(300000, "[", "]");
	size_t len = strlen(p);

	assert_int_equal(scan_n(p, len, 32, &why), JSON_REFUSED);
	assert_string_equal(why, "nested too deeply");
	assert_int_equal(scan_n(p, len - 1, 32, &why), JSON_BAD);
	p[len - 7] = '}';
	assert_int_equal(scan_n(p, len, 32, &why), JSON_BAD);
	free(p);
}

/* 'n' keys, the last of which is the first again if 'twice'. */
static char *
many_keys(size_t n, bool twice)
{
	size_t i, size = n * 24 + 3;
	char *p, *q;

	assert_non_null(p = q = malloc(size));
	*q++ = '{';
	for (i = 0; i < n; i++)
		q += snprintf(q, size - (size_t)(q - p), "%s\"%skey%zu\":1",
		    i == 0 ? "" : ",", i % 7 == 3 ? "\\u0061" : "a",
		    twice && i == n - 1 ? 0 : i);
	*q++ = '}';
	*q = '\0';
	return p;
}

static void
finds_a_duplicate_among_any_number_of_keys(void **state)
{
	size_t n;
	char *p;

	for (n = 2; n < 200; n++) {
		p = many_keys(n, false);
		assert_int_equal(scan(p), JSON_FINE);
		free(p);
		p = many_keys(n, true);
		assert_int_equal(scan(p), JSON_REFUSED);
		free(p);
	}
}

static void
a_hundred_thousand_keys_take_no_quadratic_time(void **state)
{
	char *p = many_keys(100000, false);
	clock_t from = clock();

	assert_int_equal(scan(p), JSON_FINE);
	/* each with each would be 5e9 comparisons: minutes */
	assert_true((double)(clock() - from) / CLOCKS_PER_SEC < 5);
	free(p);
}

static void
a_duplicate_is_found_behind_an_inner_object(void **state)
{
	char text[4096];
	char *inner = many_keys(60, false);

	snprintf(text, sizeof(text), "{\"x\":1,\"y\":%s,\"x\":2}", inner);
	assert_int_equal(scan(text), JSON_REFUSED);
	snprintf(text, sizeof(text), "{\"x\":1,\"y\":%s,\"z\":2}", inner);
	assert_int_equal(scan(text), JSON_FINE);
	free(inner);
}

/* --- reading ------------------------------------------------------------ */

static void
members_come_in_order_with_their_text(void **state)
{
	struct json_iter it = json_iter(value(
	    " { \"a\" : 1e2 , \"b\\n\":{\"x\":[1,\"]\"]} ,\"c\":\"}\\\"\","
	    "\"d\":[ ],\"e\":null,\"f\":false } "));
	static const char *const keys[] = { "\"a\"", "\"b\\n\"", "\"c\"",
		"\"d\"", "\"e\"", "\"f\"" };
	static const char *const texts[] = { "1e2", "{\"x\":[1,\"]\"]}",
		"\"}\\\"\"", "[ ]", "null", "false" };
	static const enum json_kind kinds[] = { JSON_KIND_NUMBER,
		JSON_KIND_OBJECT, JSON_KIND_STRING, JSON_KIND_ARRAY,
		JSON_KIND_NULL, JSON_KIND_BOOL };
	struct json_value k, v;
	size_t i;

	for (i = 0; i < N(keys); i++) {
		assert_true(json_next_member(&it, &k, &v));
		assert_text(k.text, keys[i]);
		assert_text(v.text, texts[i]);
		assert_int_equal(v.kind, kinds[i]);
	}
	assert_false(json_next_member(&it, &k, &v));
	assert_false(json_next_member(&it, &k, &v));
}

static void
elements_come_in_order(void **state)
{
	static const char inside[] = "{\"a\":1} , 2,\"x\" ";
	struct json_iter it = json_iter(value("[1,[2],\"3\"]"));
	struct json_value v;

	assert_true(json_next(&it, &v));
	assert_text(v.text, "1");
	assert_true(json_next(&it, &v));
	assert_text(v.text, "[2]");
	assert_true(json_next(&it, &v));
	assert_text(v.text, "\"3\"");
	assert_false(json_next(&it, &v));

	it = json_iter_inside(inside, strlen(inside));
	assert_true(json_next(&it, &v));
	assert_text(v.text, "{\"a\":1}");
	assert_true(json_next(&it, &v));
	assert_text(v.text, "2");
	assert_true(json_next(&it, &v));
	assert_text(v.text, "\"x\"");
	assert_false(json_next(&it, &v));
}

static void
what_is_empty_has_nothing_in_it(void **state)
{
	static const char *const texts[] = { "{}", "{ }", "[]", "[ ]", "1",
		"\"[1]\"", "null", "", "  " };
	struct json_iter it;
	struct json_value v;
	size_t i;

	for (i = 0; i < N(texts); i++) {
		it = json_iter(value(texts[i]));
		assert_false(json_next(&it, &v));
	}
	it = json_iter_inside(NULL, 0);
	assert_false(json_next(&it, &v));
	assert_int_equal(value("").kind, JSON_KIND_NONE);
	assert_int_equal(value(" \n").kind, JSON_KIND_NONE);
}

static void
a_member_is_found_by_its_name_however_written(void **state)
{
	struct json_value o =
	    value("{\"ab\":1,\"\\u0061b\\n\":2,\"\\ud83d\\ude00\":3}");

	assert_text(json_member(o, "ab").text, "1");
	assert_text(json_member(o, "ab\n").text, "2");
	assert_text(json_member(o, "\xf0\x9f\x98\x80").text, "3");
	assert_int_equal(json_member(o, "a").kind, JSON_KIND_NONE);
	assert_int_equal(json_member(o, "abc").kind, JSON_KIND_NONE);
	assert_int_equal(json_member(o, "").kind, JSON_KIND_NONE);
	assert_int_equal(json_member(value("[\"ab\",1]"), "ab").kind,
	    JSON_KIND_NONE);
	assert_true(json_is(value("\"\\\\\""), "\\"));
	assert_false(json_is(value("\"a\\\\\""), "a"));
	assert_false(json_is(value("\"\\\\\\\\\""), "\\\\\\"));
	assert_false(json_is(value("\"\\\\n\""), "\\\\n"));
	assert_false(json_is(value("1"), "1"));
}

static void
strings_are_decoded(void **state)
{
	char buf[64];
	struct json_value v = value("\"a\\\"\\\\\\/\\b\\f\\n\\r\\t"
				    "\\u00fc\\u20ac\\ud83d\\ude00\xc3\xbc\"");
	static const char want[] = "a\"\\/\b\f\n\r\t\xc3\xbc\xe2\x82\xac"
				   "\xf0\x9f\x98\x80\xc3\xbc";
	ssize_t len = sizeof(want) - 1, i;

	assert_int_equal(json_decode(v, buf, sizeof(buf)), len);
	assert_string_equal(buf, want);
	for (i = 0; i <= len; i++) {
		char *exact = malloc(i == 0 ? 1 : (size_t)i);

		assert_non_null(exact);
		assert_int_equal(json_decode(v, exact, (size_t)i), -1);
		free(exact);
	}
	assert_int_equal(json_decode(v, buf, (size_t)len + 1), len);
	assert_int_equal(json_decode(value("\"\""), buf, 1), 0);
	assert_int_equal(json_decode(value("\"\""), buf, 0), -1);
	assert_int_equal(json_utf16_length(v), 9 + 1 + 1 + 2 + 1);
}

static void
length_is_the_same_however_written(void **state)
{
	assert_int_equal(json_utf16_length(value("\"\"")), 0);
	assert_int_equal(json_utf16_length(value("\"abc\"")), 3);
	assert_int_equal(json_utf16_length(value("\"\\u0041bc\\n\"")), 4);
	assert_int_equal(json_utf16_length(value("\"\xf0\x9f\x98\x80\"")), 2);
	assert_int_equal(json_utf16_length(value("\"\\ud83d\\ude00\"")), 2);
	assert_int_equal(json_utf16_length(
			     value("\"\xe2\x82\xac\\u20ac\xe2\x82\xac\"")),
	    3);
	assert_int_equal(json_utf16_length(value("12")), 0);
}

static void
whole_numbers_keep_their_bounds(void **state)
{
	static const char *const yes[] = { "5", "5.0", "5e0", "50e-1", "0.5e1",
		"5.000" };
	static const char *const no[] = { "5.5", "4", "6", "-5", "\"5\"",
		"true", "1e400", "-1e400", "null", "[5]", "5e1" };
	static const char big[] = "9007199254740991";
	int64_t n = 0;
	size_t i;

	for (i = 0; i < N(yes); i++) {
		assert_true(json_to_int(value(yes[i]), 5, 5, &n));
		assert_int_equal(n, 5);
	}
	n = 99;
	for (i = 0; i < N(no); i++)
		assert_false(json_to_int(value(no[i]), 5, 5, &n));
	assert_int_equal(n, 99);
	assert_true(json_to_int(value("-0"), 0, 1, &n));
	assert_int_equal(n, 0);
	assert_true(json_to_int(value(big), 0, INT64_C(9007199254740991), &n));
	assert_true(n == INT64_C(9007199254740991));
	assert_false(json_to_int(value("9007199254740993"), 0,
	    INT64_C(9007199254740991), &n));
}

static void
numbers_and_booleans(void **state)
{
	double d = 7;
	bool b = false;

	assert_true(json_to_double(value("-1.5e3"), &d));
	assert_true(d == -1500);
	assert_false(json_to_double(value("1e400"), &d));
	assert_false(json_to_double(value("\"1\""), &d));
	assert_true(d == -1500);
	assert_true(json_to_bool(value("true"), &b));
	assert_true(b);
	assert_false(json_to_bool(value("1"), &b));
	assert_true(b);
	assert_true(json_to_bool(value("false"), &b));
	assert_false(b);
}

static void
compact_takes_out_blanks_between_tokens_only(void **state)
{
	static const char text[] = " { \"a b\" : [ 1 , \"x \\\" y\" ] ,\n\t"
				   "\"c\" : \"\\\\\" , \"d\" : 1.0 } ";
	static const char want[] =
	    "{\"a b\":[1,\"x \\\" y\"],\"c\":\"\\\\\",\"d\":1.0}";
	struct json_span s = { text, sizeof(text) - 1 };
	struct json_out o = { 0 };
	char buf[sizeof(text)];

	assert_int_equal(json_compact_length(s), sizeof(want) - 1);
	assert_int_equal(json_compact(s, buf), sizeof(want) - 1);
	assert_memory_equal(buf, want, sizeof(want) - 1);
	json_out_array(&o);
	json_out_compact(&o, s);
	json_out_compact(&o, s);
	json_out_array_end(&o);
	assert_int_equal(o.len, 2 * (sizeof(want) - 1) + 3);
	assert_int_equal(o.p[sizeof(want)], ',');
	json_out_clear(&o);
}

/* The reader is only for scanned texts, but must never leave any text. */
static void
reading_what_was_not_scanned_stays_within_it(void **state)
{
	struct json_iter it;
	struct json_value k, v;
	const char *at;
	char buf[64], *copy;
	uint32_t c;
	size_t i, len;

	for (i = 0; i < N(bad) + N(refused); i++) {
		const char *t = i < N(bad) ? bad[i] : refused[i - N(bad)];

		len = strlen(t);
		assert_non_null(copy = malloc(len + 1));
		memcpy(copy, t, len);
		copy = realloc(copy, len == 0 ? 1 : len);
		v = json_value(copy, len);
		it = json_iter(v);
		while (json_next_member(&it, &k, &v))
			(void)json_is(k, "a");
		it = json_iter_inside(copy, len);
		while (json_next(&it, &v)) {
			at = NULL;
			while (json_next_char(v, &at, &c))
				;
			(void)json_utf16_length(v);
			(void)json_decode(v, buf, sizeof(buf));
			(void)json_compact_length(v.text);
		}
		free(copy);
	}
}

/* --- writing ------------------------------------------------------------ */

static void
commas_stand_where_they_belong(void **state)
{
	struct json_out o = { 0 };

	json_out_object(&o);
	json_out_key(&o, "a");
	json_out_u64(&o, 1);
	json_out_key(&o, "b");
	json_out_array(&o);
	json_out_array(&o);
	json_out_array_end(&o);
	json_out_object(&o);
	json_out_object_end(&o);
	json_out_i64(&o, -2);
	json_out_i64(&o, INT64_MIN);
	json_out_bool(&o, true);
	json_out_bool(&o, false);
	json_out_null(&o);
	json_out_cstring(&o, "x");
	json_out_raw(&o, "1e2", 3);
	json_out_array_end(&o);
	json_out_inside(&o, "\"c\":1,\"d\":2", 11);
	json_out_inside(&o, NULL, 0);
	json_out_key(&o, "e");
	json_out_u64(&o, UINT64_MAX);
	json_out_object_end(&o);
	assert_text((struct json_span){ o.p, o.len },
	    "{\"a\":1,\"b\":[[],{},-2,-9223372036854775808,true,false,null,"
	    "\"x\",1e2],\"c\":1,\"d\":2,\"e\":18446744073709551615}");
	json_out_reset(&o);
	json_out_u64(&o, 0);
	assert_text((struct json_span){ o.p, o.len }, "0");
	json_out_clear(&o);
	assert_null(o.p);
}

static void
escapes_as_json_stringify_does(void **state)
{
	struct json_out o = { 0 };
	char all[0x21];
	size_t i;

	for (i = 0; i <= 0x20; i++)
		all[i] = (char)i;
	json_out_string(&o, all, sizeof(all));
	assert_text((struct json_span){ o.p, o.len },
	    "\"\\u0000\\u0001\\u0002\\u0003\\u0004\\u0005\\u0006\\u0007\\b\\t"
	    "\\n\\u000b\\f\\r\\u000e\\u000f\\u0010\\u0011\\u0012\\u0013"
	    "\\u0014\\u0015\\u0016\\u0017\\u0018\\u0019\\u001a\\u001b\\u001c"
	    "\\u001d\\u001e\\u001f \"");
	json_out_reset(&o);
	json_out_cstring(&o, "\"\\/<\x7f\xe2\x80\xa8\xf0\x9f\x98\x80\"");
	assert_text((struct json_span){ o.p, o.len },
	    "\"\\\"\\\\/<\x7f\xe2\x80\xa8\xf0\x9f\x98\x80\\\"\"");
	json_out_clear(&o);
}

static void
an_escape_is_found_at_every_offset(void **state)
{
	static const char special[] = "\"\\\n\x1f";
	struct json_out o = { 0 };
	char text[40], buf[sizeof(text)];
	size_t i, k, len;

	for (k = 0; k < sizeof(special) - 1; k++) {
		for (i = 0; i < sizeof(text); i++) {
			memset(text, i % 2 == 0 ? 'a' : 0xc3, sizeof(text));
			if (i % 2 == 1)
				for (len = 1; len < sizeof(text); len += 2)
					text[len] = (char)0xbc;
			text[i & ~1U] = special[k];
			if (i % 2 == 1)
				text[i] = 'x';
			json_out_reset(&o);
			json_out_string(&o, text, sizeof(text) - 1);
			assert_int_equal(o.len,
			    sizeof(text) - 1 + 2 +
				(special[k] == 0x1f ? 5 : 1) -
				((i & ~1U) == sizeof(text) ? 1 : 0));
			assert_int_equal(json_decode(json_value(o.p, o.len),
					     buf, sizeof(buf)),
			    sizeof(text) - 1);
			assert_memory_equal(buf, text, sizeof(text) - 1);
		}
	}
	json_out_clear(&o);
}

static void
numbers_of_every_length(void **state)
{
	struct json_out o = { 0 };
	char want[32];
	uint64_t n;
	int i, k;

	for (i = 0, n = 1; i < 20; i++, n *= 10) {
		for (k = -1; k <= 1; k++) {
			json_out_reset(&o);
			json_out_u64(&o, n + (uint64_t)k);
			snprintf(want, sizeof(want), "%llu",
			    (unsigned long long)(n + (uint64_t)k));
			assert_text((struct json_span){ o.p, o.len }, want);
		}
	}
	json_out_clear(&o);
}

static void
doubles_read_back_the_same(void **state)
{
	static const double d[] = { 0, -0.0, 1, -1, 0.1, 1.5, 1e21, 1e-7,
		1.7976931348623157e308, 5e-324, 1.0 / 3, 9007199254740993.0 };
	struct json_out o = { 0 };
	size_t i;
	double back;

	for (i = 0; i < N(d); i++) {
		json_out_reset(&o);
		json_out_double(&o, d[i]);
		assert_true(json_to_double(json_value(o.p, o.len), &back));
		assert_true(back == d[i]);
	}
	json_out_reset(&o);
	json_out_double(&o, 0.1);
	assert_text((struct json_span){ o.p, o.len }, "0.1");
	json_out_reset(&o);
	json_out_double(&o, NAN);
	json_out_double(&o, INFINITY);
	assert_text((struct json_span){ o.p, o.len }, "null,null");
	json_out_clear(&o);
}

static void
what_is_written_scans_and_reads_back(void **state)
{
	struct json_out o = { 0 };
	char text[256], buf[sizeof(text) * 6];
	const char *why;
	size_t i, len;

	for (i = 0; i < 2000; i++) {
		for (len = 0; len < i % sizeof(text); len++)
			text[len] = (char)(1 + (i * 31 + len * 17) % 127);
		json_out_reset(&o);
		json_out_string(&o, text, len);
		assert_int_equal(json_scan(o.p, o.len, 1, &why), JSON_FINE);
		assert_int_equal(json_decode(json_value(o.p, o.len), buf,
				     sizeof(buf)),
		    len);
		assert_memory_equal(buf, text, len);
	}
	json_out_clear(&o);
}

/* --- trees -------------------------------------------------------------- */

static void
a_tree_gives_what_it_holds(void **state)
{
	static const char text[] = "{\"v\":1,\"command\":\"status\","
				   "\"args\":[\"a\",2.5,true,null],\"o\":{}}";
	const struct json_tree *a;
	struct json_tree *t;
	const char *why = NULL;
	double d;
	bool b;

	assert_non_null(t = json_tree_parse(text, sizeof(text) - 1, &why));
	assert_int_equal(json_tree_kind(t), JSON_KIND_OBJECT);
	assert_int_equal(json_tree_size(t), 4);
	assert_string_equal(json_tree_key(json_tree_at(t, 1)), "command");
	assert_string_equal(json_tree_text(json_tree_get(t, "command")),
	    "status");
	assert_null(json_tree_get(t, "Command"));
	a = json_tree_get(t, "args");
	assert_int_equal(json_tree_size(a), 4);
	assert_string_equal(json_tree_text(json_tree_at(a, 0)), "a");
	assert_null(json_tree_key(json_tree_at(a, 0)));
	assert_true(json_tree_number(json_tree_at(a, 1), &d));
	assert_true(d == 2.5);
	assert_true(json_tree_bool(json_tree_at(a, 2), &b));
	assert_true(b);
	assert_int_equal(json_tree_kind(json_tree_at(a, 3)), JSON_KIND_NULL);
	assert_null(json_tree_at(a, 4));
	assert_int_equal(json_tree_size(json_tree_get(t, "o")), 0);
	json_tree_free(&t);
	assert_null(t);
}

static void
a_tree_is_as_strict_as_the_scanner(void **state)
{
	const char *why;
	size_t i;

	for (i = 0; i < N(bad); i++)
		assert_null(json_tree_parse(bad[i], strlen(bad[i]), &why));
	for (i = 0; i < N(refused); i++)
		assert_null(
		    json_tree_parse(refused[i], strlen(refused[i]), &why));
}

static void
nothing_has_no_members(void **state)
{
	double d;
	bool b;

	assert_int_equal(json_tree_kind(NULL), JSON_KIND_NONE);
	assert_null(json_tree_get(NULL, "a"));
	assert_null(json_tree_at(NULL, 0));
	assert_null(json_tree_text(NULL));
	assert_null(json_tree_key(NULL));
	assert_false(json_tree_number(NULL, &d));
	assert_false(json_tree_bool(NULL, &b));
	assert_int_equal(json_tree_size(NULL), 0);
}

#define T(name) cmocka_unit_test(name)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(takes_what_the_grammar_says),
		T(finds_what_is_no_json),
		T(refuses_what_is_json_but_not_for_us),
		T(what_is_no_json_stays_that_even_after_a_refusal),
		T(a_raw_nul_is_no_json),
		T(every_beginning_of_a_text_is_read_within_its_bounds),
		T(counts_depth_from_one),
		T(reads_deep_nesting_without_recursion),
		T(finds_a_duplicate_among_any_number_of_keys),
		T(a_hundred_thousand_keys_take_no_quadratic_time),
		T(a_duplicate_is_found_behind_an_inner_object),
		T(members_come_in_order_with_their_text),
		T(elements_come_in_order),
		T(what_is_empty_has_nothing_in_it),
		T(a_member_is_found_by_its_name_however_written),
		T(strings_are_decoded),
		T(length_is_the_same_however_written),
		T(whole_numbers_keep_their_bounds),
		T(numbers_and_booleans),
		T(compact_takes_out_blanks_between_tokens_only),
		T(reading_what_was_not_scanned_stays_within_it),
		T(commas_stand_where_they_belong),
		T(escapes_as_json_stringify_does),
		T(an_escape_is_found_at_every_offset),
		T(numbers_of_every_length),
		T(doubles_read_back_the_same),
		T(what_is_written_scans_and_reads_back),
		T(a_tree_gives_what_it_holds),
		T(a_tree_is_as_strict_as_the_scanner),
		T(nothing_has_no_members),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
