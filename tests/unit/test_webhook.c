/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_webhook - what webhook.h promises of tokens and answers.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "chat/token.h"
#include "chat/webhook.h"
#include "common/log.h"

#define NOW UINT64_C(1700000000000)

/* --- tokens ---------------------------------------------------------------- */

static void
token_is(const char *auth, const char *bearer, const char *want)
{
	enum chat_error err;
	size_t len = 0;
	char *p = webhook_token(auth, strlen(auth), bearer, strlen(bearer),
	    &len, &err);

	assert_non_null(p);
	assert_string_equal(p, want);
	assert_int_equal(len, strlen(want));
	webhook_token_free(&p, len);
	assert_null(p);
}

static void
no_token(const char *auth, const char *bearer, enum chat_error want)
{
	enum chat_error err = CHAT_OK;
	size_t len;

	assert_null(webhook_token(auth, strlen(auth), bearer, strlen(bearer),
	    &len, &err));
	assert_int_equal(err, want);
}

static void
the_token_is_that_of_auth_else_the_bearers(void **state)
{
	token_is("{\"token\":\"a\"}", "b", "a");
	token_is(" {\"x\":1, \"token\" : \"a\\u00e4\\n\"} ", "b",
	    "a\xc3\xa4\n");
	token_is("{}", "b", "b");
	token_is("", "b", "b");
	token_is("{\"token\":null}", "b", "b");
	token_is("{\"token\":\"\"}", "b", "b");
}

static void
without_one_it_is_required(void **state)
{
	no_token("", "", CHAT_E_AUTHENTICATION_REQUIRED);
	no_token("{}", "", CHAT_E_AUTHENTICATION_REQUIRED);
	no_token("{\"token\":\"\"}", "", CHAT_E_AUTHENTICATION_REQUIRED);
	no_token("{\"tokens\":\"a\"}", "", CHAT_E_AUTHENTICATION_REQUIRED);
}

static void
what_is_no_token_is_refused(void **state)
{
	no_token("{\"token\":1}", "b", CHAT_E_TOKEN_INVALID);
	no_token("{\"token\":[\"a\"]}", "b", CHAT_E_TOKEN_INVALID);
	no_token("[]", "b", CHAT_E_TOKEN_INVALID);
	no_token("{", "b", CHAT_E_TOKEN_INVALID);
	no_token("{\"token\":\"a\",\"token\":\"b\"}", "", CHAT_E_TOKEN_INVALID);
}

static void
a_token_has_a_longest(void **state)
{
	char *text = calloc(1, TOKEN_MAX + 100), *bearer;
	enum chat_error err;
	size_t len;
	char *p;

	bearer = calloc(1, TOKEN_MAX + 2);
	memset(bearer, 'x', TOKEN_MAX);
	(void)snprintf(text, TOKEN_MAX + 100, "{\"token\":\"%s\"}", bearer);
	token_is(text, "", bearer);
	token_is("", bearer, bearer);
	bearer[TOKEN_MAX] = 'x';
	(void)snprintf(text, TOKEN_MAX + 100, "{\"token\":\"%s\"}", bearer);
	no_token(text, "", CHAT_E_TOKEN_INVALID);
	p = webhook_token(NULL, 0, bearer, TOKEN_MAX + 1, &len, &err);
	assert_null(p);
	assert_int_equal(err, CHAT_E_TOKEN_INVALID);
	free(bearer);
	free(text);
}

/* --- answers ----------------------------------------------------------------- */

static struct identity *
identity(const char *claims, enum chat_error *err_r)
{
	*err_r = CHAT_OK;
	return webhook_identity(claims, strlen(claims), NOW, err_r);
}

static void
the_application_says_who_it_is(void **state)
{
	enum chat_error err;
	struct identity *id =
	    identity("{\"userId\":\"auth0|1\",\"userName\":\"Ada\",\"role\":"
		     "\"agent\","
		     "\"workspaces\":[\"w\",{\"id\":\"x\",\"role\":\"user\","
		     "\"sessions\":[\"s\"]}],\"expiresAt\":1700000000001}",
		&err);
	enum identity_role role;

	assert_non_null(id);
	assert_string_equal(id->user_id, "auth0|1");
	assert_string_equal(id->user_name, "Ada");
	assert_int_equal(id->expires_ms, NOW + 1);
	assert_true(identity_allows(id, "w", "any", &role));
	assert_int_equal(role, IDENTITY_AGENT);
	assert_true(identity_allows(id, "x", "s", &role));
	assert_int_equal(role, IDENTITY_USER);
	assert_false(identity_allows(id, "x", "t", NULL));
	identity_free(&id);
}

static void
what_need_not_be_there_has_its_default(void **state)
{
	enum chat_error err;
	struct identity *id = identity("{\"userId\":\"u\"}", &err);

	assert_string_equal(id->user_name, "u");
	assert_int_equal(id->role, IDENTITY_USER);
	assert_int_equal(id->expires_ms, 0);
	/* none, not all */
	assert_false(identity_allows(id, "w", "s", NULL));
	identity_free(&id);
}

static void
nonsense_is_no_answer(void **state)
{
	static const char *const list[] = { "", "{", "[]", "null", "{}",
		"{\"userId\":1}", "{\"userId\":\"\"}",
		"{\"userId\":\"a\\u0000b\"}", "{\"userId\":\"a\\nb\"}",
		"{\"userId\":\"u\",\"role\":\"root\"}",
		"{\"userId\":\"u\",\"workspaces\":\"w\"}",
		"{\"userId\":\"u\",\"workspaces\":[\"a b\"]}",
		"{\"userId\":\"u\",\"workspaces\":[{}]}",
		"{\"userId\":\"u\",\"expiresAt\":\"soon\"}",
		"{\"userId\":\"u\",\"expiresAt\":-1}",
		"{\"userId\":\"u\",\"expiresAt\":0}" };
	enum chat_error err;

	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		assert_null(identity(list[i], &err));
		assert_int_equal(err, CHAT_E_AUTH_UNAVAILABLE);
	}
}

static void
what_has_expired_is_told_so(void **state)
{
	enum chat_error err;
	struct identity *id;

	assert_null(
	    identity("{\"userId\":\"u\",\"expiresAt\":1700000000000}", &err));
	assert_int_equal(err, CHAT_E_TOKEN_EXPIRED);
	/* seconds instead of milliseconds */
	assert_null(
	    identity("{\"userId\":\"u\",\"expiresAt\":1800000000}", &err));
	assert_int_equal(err, CHAT_E_TOKEN_EXPIRED);
	id = identity("{\"userId\":\"u\",\"expiresAt\":1e300}", &err);
	assert_non_null(id);
	assert_true(id->expires_ms > NOW);
	identity_free(&id);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_token_is_that_of_auth_else_the_bearers),
		cmocka_unit_test(without_one_it_is_required),
		cmocka_unit_test(what_is_no_token_is_refused),
		cmocka_unit_test(a_token_has_a_longest),
		cmocka_unit_test(the_application_says_who_it_is),
		cmocka_unit_test(what_need_not_be_there_has_its_default),
		cmocka_unit_test(nonsense_is_no_answer),
		cmocka_unit_test(what_has_expired_is_told_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
