/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_payload_text - what payload.h promises of repairing and of JSONP.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/utf8.h"
#include "proto/payload.h"

#define FFFD "\xef\xbf\xbd"

/* Both copies end where they end. */
static void
repairs_n(const char *text, size_t len, const char *want, size_t want_len)
{
	char *src = malloc(len > 0 ? len : 1), *dst;

	assert_non_null(src);
	memcpy(src, text, len);
	assert_int_equal(payload_repair_size(src, len), want_len);
	assert_non_null(dst = malloc(want_len > 0 ? want_len : 1));
	payload_repair(dst, src, len);
	assert_memory_equal(dst, want, want_len);
	assert_true(utf8_valid(dst, want_len));
	free(dst);
	free(src);
}

#define repairs(text, want) \
	repairs_n(text, sizeof(text) - 1, want, sizeof(want) - 1)

static void
what_is_utf8_stays(void **state)
{
	repairs("", "");
	repairs("4hello", "4hello");
	repairs("a\0b", "a\0b");
	repairs("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80",
	    "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
	repairs(FFFD, FFFD);
}

/* Measured: Buffer.from(...).toString() of Node. */
static void
what_is_not_utf8_becomes_replacements(void **state)
{
	repairs("\xff", FFFD);
	repairs("a\xff"
		"b\x80"
		"c",
	    "a" FFFD "b" FFFD "c");
	/* one for what could have become a character */
	repairs("\xf0\x9f\x98", FFFD);
	repairs("\xf0\x9f\x98z", FFFD "z");
	repairs("\xe2\x82", FFFD);
	repairs("\xe2\x82\xe2\x82\xac", FFFD "\xe2\x82\xac");
	repairs("\xc3\xc3\xa9", FFFD "\xc3\xa9");
	/* one for each byte that could not */
	repairs("\xc0\xaf", FFFD FFFD);
	repairs("\xe0\x80\xaf", FFFD FFFD FFFD);
	repairs("\xed\xa0\x80", FFFD FFFD FFFD);
	repairs("\xf4\x90\x80\x80", FFFD FFFD FFFD FFFD);
	repairs("\xf0\x80\x80\x80", FFFD FFFD FFFD FFFD);
	repairs("\xf8\x88\x80\x80\x80", FFFD FFFD FFFD FFFD FFFD);
	repairs("\xfe\xff", FFFD FFFD);
}

static void
decodes_n(const char *form, size_t form_len, const char *want, size_t len)
{
	char *src = malloc(form_len > 0 ? form_len : 1);
	char *dst = malloc(3 * form_len + 1);
	size_t got = SIZE_MAX;

	assert_non_null(src);
	assert_non_null(dst);
	memcpy(src, form, form_len);
	assert_int_equal(payload_jsonp_decode(dst, src, form_len, &got),
	    want != NULL);
	if (want != NULL) {
		assert_int_equal(got, len);
		assert_memory_equal(dst, want, len);
	} else {
		assert_int_equal(got, SIZE_MAX);
	}
	free(dst);
	free(src);
}

#define decodes(form, want) \
	decodes_n(form, sizeof(form) - 1, want, sizeof(want) - 1)
#define ignored(form) decodes_n(form, sizeof(form) - 1, NULL, 0)

static void
jsonp_bodies_are_forms(void **state)
{
	decodes("d=4hello", "4hello");
	decodes("d=4a%20b+c%2Bd%26e%3D", "4a b c+d&e=");
	decodes("d=4a=b", "4a=b");
	decodes("x=1&d=4&y", "4");
	decodes("%64=4", "4");
	decodes("d=", "");
	decodes("d", "");
	decodes("d=4%1e4",
	    "4\x1e"
	    "4");
	decodes("d=4%00", "4\0");
	decodes("d=4%e2%82%ac\xe2\x82\xac", "4\xe2\x82\xac\xe2\x82\xac");
	decodes("d=4%ff\xff%c3", "4" FFFD FFFD FFFD);
	decodes("d=4%zz%4", "4%zz%4");
}

static void
jsonp_bodies_without_one_d_are_ignored(void **state)
{
	ignored("");
	ignored("&&");
	ignored("D=4");
	ignored("dd=4");
	ignored("=4");
	ignored("a%64=4");
	ignored("d=4a&d=4b");
	ignored("d=4a&x&%64=4b");
	ignored("dddddddddddddddddddddddddddddddd=4");
}

static void
jsonp_line_ends_are_escaped_by_clients(void **state)
{
	decodes("d=4a\\nb", "4a\nb");
	decodes("d=4a\\\\nb", "4a\\nb");
	decodes("d=4a\\\\\\nb", "4a\\\\nb");
	decodes("d=4a\\\\\\\\nb", "4a\\\\\\nb");
	decodes("d=%5Cn%5C%5Cn", "\n\\n");
	decodes("d=\\\\n\\n\\\\n\\n", "\\n\n\\n\n");
	decodes("d=\\", "\\");
	decodes("d=\\\\", "\\\\");
	decodes("d=\\r\\t\\\\\\", "\\r\\t\\\\\\");
}

static void
wraps_n(struct span index, const char *text, size_t len, const char *want)
{
	size_t size = payload_jsonp_size(index, text, len);
	char *dst = malloc(size);

	assert_non_null(dst);
	assert_int_equal(size, strlen(want));
	payload_jsonp_write(dst, index, text, len);
	assert_memory_equal(dst, want, size);
	free(dst);
}

#define WRAPS(j, text, want) \
	wraps_n((struct span){ j, sizeof(j) - 1 }, text, sizeof(text) - 1, want)

static void
jsonp_answers_are_javascript(void **state)
{
	WRAPS("0", "4hello", "___eio[0](\"4hello\");");
	WRAPS("12", "", "___eio[12](\"\");");
	WRAPS("0", "a\"b\\c/d\x7f", "___eio[0](\"a\\\"b\\\\c/d\x7f\");");
	WRAPS("0", " ]^", "___eio[0](\" ]^\");");
	WRAPS("0", "\b\t\n\f\r", "___eio[0](\"\\b\\t\\n\\f\\r\");");
	WRAPS("0", "\0\x01\x0b\x1e\x1f",
	    "___eio[0](\"\\u0000\\u0001\\u000b\\u001e\\u001f\");");
	WRAPS("0", "\xc3\xa9\xf0\x9f\x98\x80",
	    "___eio[0](\"\xc3\xa9\xf0\x9f\x98\x80\");");
}

static void
jsonp_line_separators_are_escaped(void **state)
{
	WRAPS("0", "a\xe2\x80\xa8z\xe2\x80\xa9",
	    "___eio[0](\"a\\u2028z\\u2029\");");
	WRAPS("0", "\xe2\x80\xa7\xe2\x80\xaa\xe2\x81\xa8",
	    "___eio[0](\"\xe2\x80\xa7\xe2\x80\xaa\xe2\x81\xa8\");");
}

static void
jsonp_gives_back_digits_alone(void **state)
{
	WRAPS("1]);alert(2", "", "___eio[12](\"\");");
	WRAPS("", "", "___eio[](\"\");");
	WRAPS("x", "", "___eio[](\"\");");
	wraps_n((struct span){ "123", 2 }, "", 0, "___eio[12](\"\");");
	WRAPS("123456789012345678901234567890", "",
	    "___eio[12345678901234567890](\"\");");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_utf8_stays),
		cmocka_unit_test(what_is_not_utf8_becomes_replacements),
		cmocka_unit_test(jsonp_bodies_are_forms),
		cmocka_unit_test(jsonp_bodies_without_one_d_are_ignored),
		cmocka_unit_test(jsonp_line_ends_are_escaped_by_clients),
		cmocka_unit_test(jsonp_answers_are_javascript),
		cmocka_unit_test(jsonp_line_separators_are_escaped),
		cmocka_unit_test(jsonp_gives_back_digits_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
