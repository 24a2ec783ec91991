/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_offset - what chat/offset.h promises about the text.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "chat/offset.h"

static void
expect_text(const struct offset *o, const char *want)
{
	char buf[OFFSET_TEXT_SIZE];

	assert_string_equal(offset_write(o, buf), want);
}

static void
it_is_written_in_base_36(void **state)
{
	struct offset o = { .pos = 0 };

	expect_text(&o, "0");
	o.pos = 35;
	expect_text(&o, "z");
	o.pos = 36;
	expect_text(&o, "10");
	o.pos = UINT64_MAX;
	expect_text(&o, "3w5e11264sgsf");
	assert_true(offset_add(&o, (struct offset_pair){ 71, 1, 0, 0 }));
	assert_true(offset_add(&o, (struct offset_pair){ 2, 37, 100, 0 }));
	assert_true(offset_add(&o, (struct offset_pair){ 9, 0, 0, 0 }));
	assert_true(offset_add(&o, (struct offset_pair){ 72, 1, 0, 36 }));
	assert_true(offset_add(&o, (struct offset_pair){ 73, 2, 3, 1 }));
	expect_text(&o, "3w5e11264sgsf.2:11:2s.9:0.1z:1.20:1:0:10.21:2:3:1");
}

static void
what_was_written_is_read(void **state)
{
	struct offset o = { .pos = 123456789 }, back;
	const char *why;
	char buf[OFFSET_TEXT_SIZE];
	uint64_t i;

	for (i = OFFSET_MAX_PAIRS; i > 0; i--) {
		struct offset_pair pair = { UINT64_MAX - i * 7, UINT64_MAX - i,
			i % 3 == 0 ? UINT64_MAX - i / 2 : 0,
			i % 2 == 0 ? UINT64_MAX - i / 3 : 0 };

		assert_true(offset_add(&o, pair));
	}
	assert_false(offset_add(&o, (struct offset_pair){ 1, 1, 1, 0 }));
	assert_true(strlen(offset_write(&o, buf)) < OFFSET_TEXT_SIZE);
	assert_true(offset_parse(buf, strlen(buf), &back, &why));
	assert_memory_equal(&o, &back, sizeof(o));
	assert_int_equal(offset_find(&back, UINT64_MAX - 14)->next,
	    UINT64_MAX - 2);
	assert_null(offset_find(&back, 5));
}

static void
nothing_else_is_read(void **state)
{
	static const char *const rows[] = { "", " ", "A", "1 ", " 1", "+1",
		"-1", "01", "00", "1.", "1.5", "1.5:", "1.:5", "1.0:5",
		"1.5:1.", "1.5:1:", "1.5:2:1", "1.5:1:0", "1.5:0:1",
		"1.5:1:2:0", "1.5:0:0:3", "1.5:1:2:3:4", "1.5:2:1:3",
		"1.5:1::3", "1..5:1", "1.5:01", "1.05:1", "1.5:1.5:2",
		"1.6:1.5:2", "0.5:1", "1,5:1", "1.5;1", "3w5e11264sgsg",
		"1000000000000000", "1.3w5e11264sgsg:1", "1.1:3w5e11264sgsg",
		"\xc3\xbc", "1\\u0031", "Q84gah_", "1795374663599-0" };
	struct offset o = { .pos = 77 };
	const char *why;
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		why = NULL;
		if (offset_parse(rows[i], strlen(rows[i]), &o, &why))
			fail_msg("accepted: %s", rows[i]);
		assert_non_null(why);
		assert_int_equal(o.pos, 77);
	}
	assert_false(offset_parse("1\0", 2, &o, &why));
}

static void
it_has_at_most_64_rooms(void **state)
{
	char text[2000];
	struct offset o;
	const char *why;
	size_t len = 0;
	int i;

	len += (size_t)snprintf(text, sizeof(text), "1");
	for (i = 0; i < OFFSET_MAX_PAIRS; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len,
		    ".1%c%c:1", 'a' + i / 26, 'a' + i % 26);
	assert_true(offset_parse(text, len, &o, &why));
	assert_int_equal(o.npairs, OFFSET_MAX_PAIRS);
	len += (size_t)snprintf(text + len, sizeof(text) - len, ".1zz:1");
	assert_false(offset_parse(text, len, &o, &why));
	assert_string_equal(why, "too many rooms");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_written_in_base_36),
		cmocka_unit_test(what_was_written_is_read),
		cmocka_unit_test(nothing_else_is_read),
		cmocka_unit_test(it_has_at_most_64_rooms),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
