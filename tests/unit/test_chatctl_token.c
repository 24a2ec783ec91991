/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_chatctl_token - what token.h promises about what is signed.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "chatctl/token.h"
#include "common/strbuf.h"

/* made with Python's hmac and base64 from the same claims */
#define EXPECTED \
	"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhZGEiLCJuYW1" \
	"lIjoiQWRhIMOkIiwicm9sZSI6ImFnZW50Iiwid29ya3NwYWNlcyI6WyJ3MSI" \
	"seyJpZCI6IncyIiwic2Vzc2lvbnMiOlsiczEiLCJzMiJdfV0sImlzcyI6InV" \
	"zIiwiaWF0IjoxMDAwMDAwMDAwLCJleHAiOjEwMDAwMDM2MDB9.3xk9wqUeRA" \
	"U-jI-dob7UBq_41A1bMgdKq1wMUJTt_JU"

static void
a_token_is_what_anybody_else_would_have_made(void **state)
{
	static const char secret[] = "0123456789abcdef0123456789abcdef";
	const struct token t = {
		.user = "ada",
		.name = "Ada \xc3\xa4",
		.role = "agent",
		.issuer = "us",
		.audience = "",
		.workspaces = { { .id = "w1" },
		    { .id = "w2",
			.sessions = { "s1", "s2" },
			.nsessions = 2 } },
		.nworkspaces = 2,
		.issued = 1000000000,
		.expires = 1000003600,
	};
	struct strbuf sb = STRBUF_INIT;

	assert_int_equal(token_sign(&t, secret, sizeof(secret) - 1, &sb), 0);
	assert_string_equal(sb.data, EXPECTED);
	sb_clear(&sb);
}

/* One, two and three bytes behind the last whole group. */
static void
every_length_is_encoded_without_padding(void **state)
{
	static const char *const users[] = { "a", "ab", "abc" };
	struct strbuf sb = STRBUF_INIT;
	struct token t = { 0 };

	for (size_t i = 0; i < 3; i++) {
		t.user = users[i];
		sb_reset(&sb);
		assert_int_equal(token_sign(&t, "k", 1, &sb), 0);
		assert_null(strpbrk(sb.data, "=+/\n"));
		/* 32 bytes of signature are 43 characters */
		assert_int_equal(strlen(strrchr(sb.data, '.') + 1), 43);
	}
	sb_clear(&sb);
}

static void
claims_that_are_not_there_are_left_out(void **state)
{
	struct strbuf sb = STRBUF_INIT;
	const struct token t = { .user = "a", .issued = 1, .expires = 2 };

	assert_int_equal(token_sign(&t, "k", 1, &sb), 0);
	/* {"sub":"a","workspaces":[],"iat":1,"exp":2} */
	assert_non_null(strstr(sb.data,
	    ".eyJzdWIiOiJhIiwid29ya3NwYWNlcyI6W10sImlhdCI6MSwiZXhwIjoyfQ."));
	sb_clear(&sb);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_token_is_what_anybody_else_would_have_made),
		cmocka_unit_test(every_length_is_encoded_without_padding),
		cmocka_unit_test(claims_that_are_not_there_are_left_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
