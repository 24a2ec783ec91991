/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_table - what table.h promises about columns.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "chatctl/table.h"

static __attribute__((noinline)) char *
print(const struct table *t, unsigned indent)
{
	char *text;
	size_t len;
	FILE *fp = open_memstream(&text, &len);

	table_print(t, indent, fp);
	(void)fclose(fp);
	return text;
}

static void
columns_are_as_wide_as_their_widest_cell(void **state)
{
	struct table *t = table_new();
	char *text;

	table_cell(t, "name", false);
	table_cell(t, "n", true);
	table_cell(t, "what", false);
	table_end_row(t);
	table_cell(t, "a", false);
	table_cell(t, "1000", true);
	table_cell(t, "x", false);
	table_end_row(t);
	text = print(t, 2);
	assert_string_equal(text,
	    "  name     n  what\n"
	    "  a     1000  x\n");
	free(text);
	table_free(&t);
	assert_null(t);
}

static void
characters_count_and_not_bytes(void **state)
{
	struct table *t = table_new();
	char *text;

	table_cell(t, "\xc3\xa4\xe2\x82\xac", false);
	table_cell(t, "x", false);
	table_end_row(t);
	table_cell(t, "abc", false);
	table_cell(t, "y", false);
	table_end_row(t);
	text = print(t, 0);
	assert_string_equal(text,
	    "\xc3\xa4\xe2\x82\xac   x\n"
	    "abc  y\n");
	free(text);
	table_free(&t);
}

static void
rows_may_be_short_and_too_many_cells_are_dropped(void **state)
{
	struct table *t = table_new();
	char *text;

	table_cell(t, "", false);
	table_end_row(t);
	for (int i = 0; i < TABLE_MAX_COLUMNS + 5; i++)
		table_cell(t, "c", false);
	table_end_row(t);
	text = print(t, 0);
	assert_int_equal(text[0], '\n');
	assert_int_equal(strlen(text), 1 + TABLE_MAX_COLUMNS * 3 - 2 + 1);
	free(text);
	table_free(&t);
}

static void
no_rows_print_nothing(void **state)
{
	struct table *t = table_new();
	char *text = print(t, 4);

	assert_string_equal(text, "");
	free(text);
	table_free(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(columns_are_as_wide_as_their_widest_cell),
		cmocka_unit_test(characters_count_and_not_bytes),
		cmocka_unit_test(
		    rows_may_be_short_and_too_many_cells_are_dropped),
		cmocka_unit_test(no_rows_print_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
