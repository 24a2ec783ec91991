/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_rewrite - what rewrite.h promises.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "chat/rewrite.h"

static void
expect(const char *json, const struct rewrite *edits, size_t n,
    const char *with, const char *result)
{
	struct json_value v = { JSON_KIND_STRING, { json, strlen(json) } };
	struct strbuf sb = STRBUF_INIT;

	rewrite_string(&sb, v, edits, n,
	    (struct json_span){ with, strlen(with) });
	assert_string_equal(sb.data, result);
	sb_clear(&sb);
}

static void
without_edits_nothing_changes(void **state)
{
	expect("\"\"", NULL, 0, "x", "\"\"");
	expect("\"a\\u0041\\n\\/é\"", NULL, 0, "x", "\"a\\u0041\\n\\/é\"");
}

static void
only_the_places_change(void **state)
{
	const struct rewrite one[] = { { 1, 2 } };
	const struct rewrite ends[] = { { 0, 1 }, { 2, 3 } };
	const struct rewrite all[] = { { 0, 3 } };

	expect("\"abc\"", one, 1, "&lt;", "\"a&lt;c\"");
	expect("\"abc\"", ends, 2, "", "\"b\"");
	expect("\"abc\"", ends, 2, "--", "\"--b--\"");
	expect("\"abc\"", all, 1, "", "\"\"");
	/* neighbours */
	expect("\"abc\"", (struct rewrite[]){ { 0, 1 }, { 1, 3 } }, 2, "x",
	    "\"xx\"");
}

/* Places are bytes of the decoded text. */
static void
escapes_are_one_character(void **state)
{
	const struct rewrite at3[] = { { 3, 4 } };
	const struct rewrite at4[] = { { 4, 5 } };
	const struct rewrite wide[] = { { 0, 4 } };

	expect("\"\\u003c\\n\\u0041<b\"", at3, 1, "&lt;",
	    "\"\\u003c\\n\\u0041&lt;b\"");
	expect("\"é\\u00e9<\"", at4, 1, "&lt;", "\"é\\u00e9&lt;\"");
	expect("\"\\ud83d\\ude00<\"", at4, 1, "x", "\"\\ud83d\\ude00x\"");
	expect("\"\\ud83d\\ude00<\"", wide, 1, "x", "\"x<\"");
	expect("\"😀<\"", at4, 1, "x", "\"😀x\"");
	expect("\"ab\\u20ac<\"", (struct rewrite[]){ { 2, 5 } }, 1, "E",
	    "\"abE<\"");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_edits_nothing_changes),
		cmocka_unit_test(only_the_places_change),
		cmocka_unit_test(escapes_are_one_character),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
