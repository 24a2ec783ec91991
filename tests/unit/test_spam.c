/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_spam - what spam.h promises.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "chat/spam.h"

static struct json_value
string(const char *inside)
{
	static char text[16384];
	int n = snprintf(text, sizeof(text), "\"%s\"", inside);

	return (struct json_value){ JSON_KIND_STRING, { text, (size_t)n } };
}

/* 'before', n times 'what', 'behind' */
static bool
repeats(const char *before, const char *what, int n, const char *behind)
{
	char text[8192];
	size_t at = (size_t)snprintf(text, sizeof(text), "%s", before);

	while (n-- > 0)
		at +=
		    (size_t)snprintf(text + at, sizeof(text) - at, "%s", what);
	(void)snprintf(text + at, sizeof(text) - at, "%s", behind);
	return spam_repeats(string(text));
}

static void
twenty_are_fine_and_one_more_is_not(void **state)
{
	static const char *const what[] = { "a", "!", "é", "語", "😀", "\\u0041",
		"\\\"", "\\ud83d\\ude00", "\\u00e9", "0" };
	static const char *const before[] = { "", "x", "xy", "xyz",
		"no: ", "\\n", "ü", "12345678901" };
	size_t i, k;

	for (i = 0; i < sizeof(what) / sizeof(what[0]); i++) {
		for (k = 0; k < sizeof(before) / sizeof(before[0]); k++) {
			assert_false(repeats(before[k], what[i], 20, ""));
			assert_false(repeats(before[k], what[i], 20, " z"));
			assert_true(repeats(before[k], what[i], 21, ""));
			assert_true(repeats(before[k], what[i], 21, "z"));
			assert_true(repeats(before[k], what[i], 500, "."));
		}
	}
	/* however it is written, it is the same character */
	assert_true(repeats("aaaaaaaaaa\\u0061", "a", 10, ""));
	assert_false(repeats("", "ab", 100, ""));
	assert_false(repeats("", "aA", 100, ""));
}

static void
blanks_and_rulers_are_no_repetition(void **state)
{
	static const char *const what[] = { " ", "\\n", "\\t", "-", "=", "_",
		"*", "#", "~", ".", "─", "═", "—", "█", "\\u2500", "　" };
	size_t i;

	for (i = 0; i < sizeof(what) / sizeof(what[0]); i++)
		assert_false(repeats("x", what[i], 200, "y"));
}

static void
code_is_let_be(void **state)
{
	assert_false(repeats("`", "a", 50, "`"));
	assert_false(repeats("see ```\\n", "0", 50, "\\n```"));
	assert_false(repeats("    x = ", "f", 50, "\\n"));
	assert_false(repeats("\\tx = ", "f", 50, "\\n"));
	assert_false(repeats("", "`", 50, ""));
	assert_true(repeats("`x` ", "a", 50, ""));
	assert_true(repeats("```\\nx\\n``` ", "a", 50, ""));
	assert_true(repeats("``a` b`` ", "a", 50, ""));
	/* a backtick alone is no code beyond its line */
	assert_true(repeats("it`s\\n", "a", 50, ""));
	assert_true(repeats("    x\\n", "a", 50, ""));
	assert_true(repeats("   ", "a", 50, ""));
}

static uint64_t
mark(const char *inside)
{
	return spam_mark(string(inside));
}

static void
short_texts_have_no_mark(void **state)
{
	assert_int_equal(mark(""), 0);
	assert_int_equal(mark("1234567890123456789"), 0);
	assert_int_not_equal(mark("12345678901234567890"), 0);
	/* characters, not bytes */
	assert_int_equal(mark("ééééééééééééééééééé"), 0);
	assert_int_not_equal(mark("éééééééééééééééééééé"), 0);
	assert_int_equal(mark("\\u0041\\u0041\\u0041\\u0041\\u0041"), 0);
}

static void
case_digits_and_blanks_make_no_difference(void **state)
{
	uint64_t m = mark("buy now at the market");

	assert_int_not_equal(m, 0);
	assert_int_equal(mark("BUY now at THE market"), m);
	assert_int_equal(mark("buy now 123 at the market 4567"), m);
	assert_int_equal(mark("b u y n o w a t t h e m a r k e t"), m);
	assert_int_equal(mark("buy\\nnow\\tat\\u00a0the market"), m);
	assert_int_equal(mark("buy n\\u200bow at the market"), m);
	assert_int_equal(mark("\\u0062uy now at the market ٣"), m);
	assert_int_not_equal(mark("buy now at the markets"), m);
	assert_int_not_equal(mark("buy now, at the market"), m);
	assert_int_equal(mark("ПРИВЕТ, ДОРОГОЙ ДРУГ МОЙ"),
	    mark("привет, дорогой друг мой"));
	assert_int_equal(mark("GRÜSSE AN ÖSTERREICH ÇA"),
	    mark("grüsse an österreich ça"));
	assert_int_equal(mark("ΚΑΛΗΜΕΡΑ ΣΕ ΟΛΟΥΣ ΕΔΩ"),
	    mark("καλημερα σε ολουσ εδω"));
	assert_int_equal(mark("ŁÓDŹ ŽIŽKOV ĎÁBELSKÉ ÓDY"),
	    mark("łódź žižkov ďábelské ódy"));
}

/* More than one block of the hash. */
static void
long_texts_have_one(void **state)
{
	char a[4096], b[4096];

	memset(a, 'a', sizeof(a) - 1);
	a[sizeof(a) - 1] = '\0';
	memcpy(b, a, sizeof(b));
	assert_int_equal(mark(a), mark(b));
	b[4000] = 'b';
	assert_int_not_equal(mark(a), mark(b));
	memcpy(b, a, sizeof(b));
	b[1] = 'b';
	assert_int_not_equal(mark(a), mark(b));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(twenty_are_fine_and_one_more_is_not),
		cmocka_unit_test(blanks_and_rulers_are_no_repetition),
		cmocka_unit_test(code_is_let_be),
		cmocka_unit_test(short_texts_have_no_mark),
		cmocka_unit_test(case_digits_and_blanks_make_no_difference),
		cmocka_unit_test(long_texts_have_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
