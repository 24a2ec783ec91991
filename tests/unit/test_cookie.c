/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_cookie - what cookie.h promises.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/cookie.h"

static void
writes(const char *name, const char *attributes, const char *want)
{
	char buf[256];
	struct put w = { buf, sizeof(buf), 0 };

	cookie_header(&w, name, attributes,
	    (struct span){ "lv_VI97HAXpY6yYWAAAB!", 20 });
	assert_int_equal(w.len, strlen(want));
	assert_memory_equal(buf, want, w.len);
}

static void
case_38_a_cookie_carries_the_session_id(void **state)
{
	writes("io", "Path=/; HttpOnly; SameSite=Lax",
	    "Set-Cookie: io=lv_VI97HAXpY6yYWAAAB; Path=/; HttpOnly; "
	    "SameSite=Lax\r\n");
}

static void
attributes_may_be_none(void **state)
{
	writes("io", NULL, "Set-Cookie: io=lv_VI97HAXpY6yYWAAAB\r\n");
	writes("io", "", "Set-Cookie: io=lv_VI97HAXpY6yYWAAAB\r\n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(case_38_a_cookie_carries_the_session_id),
		cmocka_unit_test(attributes_may_be_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
