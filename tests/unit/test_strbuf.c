/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_strbuf - what strbuf.h promises.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/strbuf.h"

static void
an_empty_buffer_is_an_empty_string(void **state)
{
	struct strbuf sb = STRBUF_INIT;

	assert_string_equal(sb.data, "");
	assert_int_equal(sb.len, 0);
	sb_add(&sb, NULL, 0);
	assert_int_equal(sb.cap, 0);
	sb_reset(&sb);
	sb_clear(&sb);
	assert_string_equal(sb.data, "");
}

static void
what_is_added_is_there_and_ends_in_nul(void **state)
{
	struct strbuf sb;

	sb_init(&sb);
	sb_adds(&sb, "ab");
	sb_addc(&sb, '\0');
	sb_add(&sb, "cd", 2);
	sb_addf(&sb, "%d-%s", 42, "x");
	assert_int_equal(sb.len, 9);
	assert_memory_equal(sb.data, "ab\0cd42-x", 10);
	sb_clear(&sb);
}

static void
it_grows_past_any_boundary(void **state)
{
	struct strbuf sb = STRBUF_INIT;
	char chunk[100];

	memset(chunk, 'x', sizeof(chunk));
	for (size_t i = 0; i < 1000; i++) {
		sb_add(&sb, chunk, i % sizeof(chunk));
		assert_true(sb.len < sb.cap || sb.cap == 0);
		assert_int_equal(sb.data[sb.len], '\0');
	}
	assert_int_equal(sb.len, 10 * (99 * 100 / 2));
	assert_int_equal(strlen(sb.data), sb.len);
	sb_clear(&sb);
}

static void
a_format_that_fills_it_to_the_last_byte_is_whole(void **state)
{
	struct strbuf sb = STRBUF_INIT;
	char want[300];

	for (int n = 0; n < 260; n++) {
		sb_clear(&sb);
		memset(want, 'y', sizeof(want));
		want[n] = '\0';
		sb_addf(&sb, "%s", want);
		assert_string_equal(sb.data, want);
		assert_int_equal(sb.len, n);
	}
	sb_clear(&sb);
}

static void
reset_keeps_memory_and_truncate_keeps_the_head(void **state)
{
	struct strbuf sb = STRBUF_INIT;
	size_t cap;

	sb_adds(&sb, "hello");
	cap = sb.cap;
	sb_truncate(&sb, 2);
	assert_string_equal(sb.data, "he");
	sb_reset(&sb);
	assert_string_equal(sb.data, "");
	assert_int_equal(sb.cap, cap);
	sb_clear(&sb);
}

static void
reserve_gives_room_that_the_caller_fills(void **state)
{
	struct strbuf sb = STRBUF_INIT;
	char *p;

	sb_adds(&sb, "a");
	p = sb_reserve(&sb, 1000);
	memset(p, 'b', 1000);
	sb.len += 1000;
	sb_truncate(&sb, sb.len);
	assert_int_equal(strlen(sb.data), 1001);
	sb_clear(&sb);
}

static void
steal_hands_over_a_string_even_of_nothing(void **state)
{
	struct strbuf sb = STRBUF_INIT;
	char *p;

	p = sb_steal(&sb);
	assert_string_equal(p, "");
	free(p);
	sb_adds(&sb, "mine");
	p = sb_steal(&sb);
	assert_string_equal(p, "mine");
	assert_int_equal(sb.len, 0);
	assert_int_equal(sb.cap, 0);
	free(p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_buffer_is_an_empty_string),
		cmocka_unit_test(what_is_added_is_there_and_ends_in_nul),
		cmocka_unit_test(it_grows_past_any_boundary),
		cmocka_unit_test(
		    a_format_that_fills_it_to_the_last_byte_is_whole),
		cmocka_unit_test(
		    reset_keeps_memory_and_truncate_keeps_the_head),
		cmocka_unit_test(reserve_gives_room_that_the_caller_fills),
		cmocka_unit_test(steal_hands_over_a_string_even_of_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
