/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_error - the contract's table of errors, word for word.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "chat/count.h"
#include "chat/error.h"
#include "common/config.h"

static const struct {
	enum chat_error err;
	const char *code, *text;
	bool retryable;
} contract[] = {
	{ CHAT_E_AUTHENTICATION_REQUIRED, "AUTHENTICATION_REQUIRED",
	    "Authentication required", false },
	{ CHAT_E_SESSION_INVALID, "SESSION_INVALID", "Invalid session", false },
	{ CHAT_E_TOKEN_INVALID, "TOKEN_INVALID", "Token validation failed",
	    false },
	{ CHAT_E_TOKEN_EXPIRED, "TOKEN_EXPIRED", "Token validation failed",
	    false },
	{ CHAT_E_AUTH_UNAVAILABLE, "AUTH_UNAVAILABLE", "Authentication failed",
	    true },
	{ CHAT_E_TOO_MANY_CONNECTIONS, "TOO_MANY_CONNECTIONS",
	    "Maximum connections per user exceeded (5)", true },
	{ CHAT_E_BANNED, "BANNED", "Access suspended", true },
	{ CHAT_E_MUTED, "MUTED", "Sending suspended", true },
	{ CHAT_E_INVALID_MESSAGE, "INVALID_PAYLOAD", "Invalid message content",
	    false },
	{ CHAT_E_INVALID_REQUEST, "INVALID_PAYLOAD", "Invalid request data",
	    false },
	{ CHAT_E_ACCESS_DENIED, "ACCESS_DENIED",
	    "Access denied to chat session", false },
	{ CHAT_E_NOT_JOINED, "NOT_JOINED", "Not joined to this chat session",
	    false },
	{ CHAT_E_TOO_MANY_SESSIONS, "TOO_MANY_SESSIONS",
	    "Too many chat sessions on this connection", false },
	{ CHAT_E_SESSION_FULL, "SESSION_FULL", "Chat session is full", true },
	{ CHAT_E_RATE_LIMITED, "RATE_LIMITED", "Rate limit exceeded", true },
	{ CHAT_E_CONTENT_EMPTY, "CONTENT_EMPTY",
	    "Message content cannot be empty", false },
	{ CHAT_E_CONTENT_TOO_LONG, "CONTENT_TOO_LONG",
	    "Message content exceeds maximum length (10000 characters)",
	    false },
	{ CHAT_E_METADATA_TOO_LARGE, "METADATA_TOO_LARGE",
	    "Message metadata exceeds maximum size (8192 bytes)", false },
	{ CHAT_E_CONTENT_BLOCKED, "CONTENT_BLOCKED",
	    "Message contains potentially unsafe content", false },
	{ CHAT_E_SPAM_BLOCKED, "SPAM_BLOCKED",
	    "Message appears to contain spam or suspicious content", false },
	{ CHAT_E_FORBIDDEN_TYPE, "FORBIDDEN_TYPE", "Message type not allowed",
	    false },
	{ CHAT_E_FORBIDDEN, "FORBIDDEN", "Operation not allowed", false },
	{ CHAT_E_ID_TAKEN, "ID_TAKEN", "Message id already used", false },
	{ CHAT_E_NOT_FOUND, "NOT_FOUND", "Message not found", false },
	{ CHAT_E_STREAM_UNKNOWN, "STREAM_UNKNOWN", "Unknown stream", false },
	{ CHAT_E_STREAM_TOO_LONG, "STREAM_TOO_LONG",
	    "Stream exceeds maximum length", false },
	{ CHAT_E_OVERLOADED, "OVERLOADED", "Server busy", true },
	{ CHAT_E_STORE_UNAVAILABLE, "STORE_UNAVAILABLE",
	    "Message store unavailable", true },
	{ CHAT_E_UNKNOWN_EVENT, "UNKNOWN_EVENT", "Unknown event", false },
	{ CHAT_E_INTERNAL, "INTERNAL", "Internal error", true },
};

#define N (sizeof(contract) / sizeof(contract[0]))

static void
each_is_as_the_contract_says(void **state)
{
	struct config cfg = { .limits_connections_per_user = 5,
		.limits_message_length = 10000,
		.limits_metadata_bytes = 8192 };
	char buf[CHAT_ERROR_TEXT_MAX];
	size_t i;

	/* and there are no others */
	assert_int_equal(N, CHAT_E__MAX - 1);
	for (i = 0; i < N; i++) {
		assert_string_equal(chat_error_code(contract[i].err),
		    contract[i].code);
		assert_string_equal(chat_error_text(&cfg, contract[i].err, buf,
					sizeof(buf)),
		    contract[i].text);
		assert_int_equal(chat_error_retryable(contract[i].err),
		    contract[i].retryable);
	}
}

static void
configured_numbers_are_shown(void **state)
{
	struct config cfg = { .limits_connections_per_user = UINT32_MAX,
		.limits_message_length = 7,
		.limits_metadata_bytes = UINT64_MAX };
	char buf[CHAT_ERROR_TEXT_MAX];

	assert_string_equal(chat_error_text(&cfg, CHAT_E_TOO_MANY_CONNECTIONS,
				buf, sizeof(buf)),
	    "Maximum connections per user exceeded (4294967295)");
	assert_string_equal(chat_error_text(&cfg, CHAT_E_CONTENT_TOO_LONG, buf,
				sizeof(buf)),
	    "Message content exceeds maximum length (7 characters)");
	/* the longest of all fits */
	assert_string_equal(chat_error_text(&cfg, CHAT_E_METADATA_TOO_LARGE,
				buf, sizeof(buf)),
	    "Message metadata exceeds maximum size "
	    "(18446744073709551615 bytes)");
}

static void
a_short_buffer_is_not_overrun(void **state)
{
	struct config cfg = { .limits_message_length = 10000 };
	char buf[8] = "zzzzzzz";

	chat_error_text(&cfg, CHAT_E_CONTENT_TOO_LONG, buf, 5);
	assert_string_equal(buf, "Mess");
	assert_int_equal(buf[5], 'z');
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_is_as_the_contract_says),
		cmocka_unit_test(configured_numbers_are_shown),
		cmocka_unit_test(a_short_buffer_is_not_overrun),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
