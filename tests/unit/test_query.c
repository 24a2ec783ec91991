/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_query - what query.h promises; expectations are those of
 * URLSearchParams.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proto/query.h"

static char buf[256];
static size_t len;

/* Of a copy that ends where it ends. */
static enum query_result
get(const char *query, const char *key)
{
	size_t n = strlen(query);
	char *copy = malloc(n > 0 ? n : 1);
	enum query_result result;

	assert_non_null(copy);
	memcpy(copy, query, n);
	len = 0;
	result =
	    query_get((struct span){ copy, n }, key, buf, sizeof(buf), &len);
	free(copy);
	return result;
}

static void
assert_get(const char *query, const char *key, const char *want)
{
	assert_int_equal(get(query, key), QUERY_FOUND);
	assert_string_equal(buf, want);
	assert_int_equal(len, strlen(want));
}

static void
assert_decodes(const char *raw, const char *want)
{
	long n =
	    query_decode((struct span){ raw, strlen(raw) }, buf, sizeof(buf));

	assert_int_equal(n, strlen(want));
	assert_string_equal(buf, want);
}

static void
values_are_found_by_their_key(void **state)
{
	assert_get("EIO=4&transport=websocket&t=x", "EIO", "4");
	assert_get("EIO=4&transport=websocket&t=x", "transport", "websocket");
	assert_get("EIO=4&transport=websocket&t=x", "t", "x");
	assert_int_equal(get("EIO=4", "eio"), QUERY_NONE);
	assert_int_equal(get("EIOO=4&EI=4&=4&4", "EIO"), QUERY_NONE);
	assert_int_equal(get("", "EIO"), QUERY_NONE);
	assert_int_equal(get("&&", "EIO"), QUERY_NONE);
}

static void
case_1_an_empty_sid_is_found_and_empty(void **state)
{
	assert_get("sid=", "sid", "");
	assert_get("sid", "sid", "");
	assert_get("a&sid&b", "sid", "");
}

static void
case_2_values_are_compared_as_they_are(void **state)
{
	assert_get("EIO=04", "EIO", "04");
	assert_get("EIO=4.0", "EIO", "4.0");
	assert_get("EIO=%204", "EIO", " 4");
}

static void
case_40_the_last_of_repeated_keys_wins(void **state)
{
	assert_get("EIO=3&EIO=4", "EIO", "4");
	assert_get("EIO=4&EIO=3&x", "EIO", "3");
	assert_get("sid=a&sid=", "sid", "");
	assert_get("sid=a&%73id=b", "sid", "b");
}

static void
only_the_first_equals_sign_separates(void **state)
{
	assert_get("a=b=c", "a", "b=c");
	assert_get("a==", "a", "=");
	assert_get("=x", "", "x");
	assert_get("a=b;c=d", "a", "b;c=d");
	assert_get("a=b?c", "a", "b?c");
}

static void
keys_are_decoded_too(void **state)
{
	assert_get("E%49O=4", "EIO", "4");
	assert_get("a+b=c", "a b", "c");
	assert_int_equal(get("E%49=4", "EIO"), QUERY_NONE);
	/* longer than any key that is asked for */
	assert_int_equal(get("%41aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
			     "a"
			     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa=1",
			     "A"),
	    QUERY_NONE);
}

static void
escapes_stand_for_bytes_and_bad_ones_for_themselves(void **state)
{
	assert_decodes("a+b%20c%2B%2b", "a b c++");
	assert_decodes("%", "%");
	assert_decodes("%4", "%4");
	assert_decodes("%zz%4g%g4", "%zz%4g%g4");
	assert_decodes("%%41", "%A");
	assert_decodes("%25%34%31", "%41");
	assert_decodes("", "");
}

static void
percent_00_is_a_nul_that_the_length_tells(void **state)
{
	assert_int_equal(get("EIO=4%00x", "EIO"), QUERY_FOUND);
	assert_int_equal(len, 3);
	assert_memory_equal(buf, "4\0x", 4);
}

static void
what_is_not_utf8_becomes_a_replacement(void **state)
{
	assert_decodes("caf%C3%A9", "caf\xc3\xa9");
	assert_decodes("\xc3\xa9", "\xc3\xa9");
	assert_decodes("%f0%9f%98%80", "\xf0\x9f\x98\x80");
	assert_decodes("%aFz", "\xef\xbf\xbdz");
	assert_decodes("%ff", "\xef\xbf\xbd");
	assert_decodes("%c3", "\xef\xbf\xbd");
	assert_decodes("%c3a",
	    "\xef\xbf\xbd"
	    "a");
	/* a piece that could have become a character is replaced once */
	assert_decodes("%f0%9f%98", "\xef\xbf\xbd");
	assert_decodes("%f0%9f%98x", "\xef\xbf\xbdx");
	assert_decodes("%e2%82%c3%a9", "\xef\xbf\xbd\xc3\xa9");
	assert_decodes("%e2%82%ff", "\xef\xbf\xbd\xef\xbf\xbd");
	/* overlong, surrogate: no piece of it could */
	assert_decodes("%c0%af", "\xef\xbf\xbd\xef\xbf\xbd");
	assert_decodes("%ed%a0%80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
}

static void
a_value_that_does_not_fit_is_told(void **state)
{
	struct span q = { "a=12%33", 7 };
	char small[4];
	size_t n = 99;

	assert_int_equal(query_get(q, "a", small, 3, &n), QUERY_LONG);
	assert_int_equal(n, 99);
	assert_int_equal(query_get(q, "a", small, 4, &n), QUERY_FOUND);
	assert_string_equal(small, "123");
	assert_int_equal(query_get(q, "b", NULL, 0, &n), QUERY_NONE);
	assert_int_equal(query_get(q, "a", NULL, 0, &n), QUERY_LONG);
	assert_int_equal(query_decode((struct span){ "%ff", 3 }, small, 3), -1);
	/* the longest growth */
	assert_int_equal(query_decode((struct span){ "\xff", 1 }, small, 4), 3);
}

static void
pairs_are_walked_in_order_and_as_they_came(void **state)
{
	struct span rest = { "&a=%31&&b&=c&", 13 };
	struct span k, v;

	assert_true(query_next(&rest, &k, &v));
	assert_true(span_is(k, "a") && span_is(v, "%31"));
	assert_true(query_next(&rest, &k, &v));
	assert_true(span_is(k, "b") && span_is(v, ""));
	assert_true(query_next(&rest, &k, &v));
	assert_true(span_is(k, "") && span_is(v, "c"));
	assert_false(query_next(&rest, &k, &v));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_are_found_by_their_key),
		cmocka_unit_test(case_1_an_empty_sid_is_found_and_empty),
		cmocka_unit_test(case_2_values_are_compared_as_they_are),
		cmocka_unit_test(case_40_the_last_of_repeated_keys_wins),
		cmocka_unit_test(only_the_first_equals_sign_separates),
		cmocka_unit_test(keys_are_decoded_too),
		cmocka_unit_test(
		    escapes_stand_for_bytes_and_bad_ones_for_themselves),
		cmocka_unit_test(percent_00_is_a_nul_that_the_length_tells),
		cmocka_unit_test(what_is_not_utf8_becomes_a_replacement),
		cmocka_unit_test(a_value_that_does_not_fit_is_told),
		cmocka_unit_test(pairs_are_walked_in_order_and_as_they_came),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
