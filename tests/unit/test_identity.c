/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_identity - who is let in without a token, and which sessions an
 * identity may reach.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "chat/identity.h"

static struct identity *
none(const char *auth, enum chat_error *err)
{
	struct config cfg = { .auth_mode = AUTH_MODE_NONE };
	struct identity *id;
	char *copy = strdup(auth);

	assert_non_null(copy);
	*err = CHAT_OK;
	id = identity_authenticate(&cfg, copy, strlen(auth), "bearer", 6, 1000,
	    err);
	free(copy);
	return id;
}

static struct identity *
let_in(const char *auth)
{
	enum chat_error err;
	struct identity *id = none(auth, &err);

	if (id == NULL)
		fail_msg("%s: %s", auth, chat_error_code(err));
	return id;
}

static void
one_says_who_one_is(void **state)
{
	struct identity *id = let_in(
	    "{\"userId\":\"auth0|17\",\"userName\":\"Ad\\u00e4 \\\"L\\\"\"}");

	assert_string_equal(id->user_id, "auth0|17");
	assert_string_equal(id->user_name, "Ad\xc3\xa4 \"L\"");
	assert_int_equal(id->role, IDENTITY_USER);
	assert_true(id->all_workspaces);
	assert_int_equal(id->expires_ms, 0);
	identity_free(&id);
	assert_null(id);
	identity_free(&id);
}

static void
the_id_stands_in_for_a_name(void **state)
{
	struct identity *id = let_in("{\"userId\":\"ada@example.org\"}");

	assert_string_equal(id->user_name, "ada@example.org");
	identity_free(&id);
}

static void
no_user_is_no_authentication(void **state)
{
	static const char *const texts[] = { "", "{}", "{\"userName\":\"x\"}" };
	enum chat_error err;
	size_t i;

	for (i = 0; i < 3; i++) {
		assert_null(none(texts[i], &err));
		assert_int_equal(err, CHAT_E_AUTHENTICATION_REQUIRED);
	}
}

static void
nonsense_is_refused(void **state)
{
	static const char *const texts[] = { "[]", "1", "null", "\"ada\"",
		"{\"userId\":\"ada\"", "{\"userId\":\"ada\"}x",
		"{\"userId\":\"ada\",\"userId\":\"bob\"}", "{\"userId\":1}",
		"{\"userId\":null}", "{\"userId\":\"\"}",
		"{\"userId\":\"a\\nb\"}", "{\"userId\":\"a\\u007f\"}",
		"{\"userId\":\"a\xc2\x85\"}", "{\"userId\":\"a\\u0000\"}",
		"{\"userId\":\"\\ud800\"}", "{\"userId\":\"\xff\"}",
		"{\"userId\":{\"a\":1}}",
		"{\"userId\":\"ada\",\"userName\":\"\"}",
		"{\"userId\":\"ada\",\"userName\":null}",
		"{\"userId\":\"ada\",\"userName\":7}",
		"{\"userId\":\"ada\",\"userName\":\"a\\u001b[2J\"}",
		"{\"userId\":\"ada\",\"role\":\"admin\"}",
		"{\"userId\":\"ada\",\"role\":null}",
		"{\"userId\":\"ada\",\"role\":\"User\"}",
		"{\"userId\":\"ada\",\"role\":[\"user\"]}",
		"{\"userId\":\"ada\",\"workspaces\":null}",
		"{\"userId\":\"ada\",\"workspaces\":\"w1\"}",
		"{\"userId\":\"ada\",\"workspaces\":{\"id\":\"w1\"}}",
		"{\"userId\":\"ada\",\"workspaces\":[\"\"]}",
		"{\"userId\":\"ada\",\"workspaces\":[\"w 1\"]}",
		"{\"userId\":\"ada\",\"workspaces\":[1]}",
		"{\"userId\":\"ada\",\"workspaces\":[null]}",
		"{\"userId\":\"ada\",\"workspaces\":[[\"w1\"]]}",
		"{\"userId\":\"ada\",\"workspaces\":[{}]}",
		"{\"userId\":\"ada\",\"workspaces\":[{\"id\":\"\"}]}",
		"{\"userId\":\"ada\",\"workspaces\":[{\"id\":\"w1\",\"role\":"
		"\"root\"}]}",
		"{\"userId\":\"ada\",\"workspaces\":[{\"id\":\"w1\",\"role\":"
		"null}]}",
		"{\"userId\":\"ada\",\"workspaces\":[{\"id\":\"w1\","
		"\"sessions\":null}]}",
		"{\"userId\":\"ada\",\"workspaces\":[{\"id\":\"w1\","
		"\"sessions\":\"s1\"}]}",
		"{\"userId\":\"ada\",\"workspaces\":[{\"id\":\"w1\","
		"\"sessions\":[\"s1\",\"\"]}]}",
		"{\"userId\":\"ada\",\"workspaces\":[{\"id\":\"w1\","
		"\"sessions\":[1]}]}" };
	enum chat_error err;
	size_t i;

	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (none(texts[i], &err) != NULL)
			fail_msg("%s", texts[i]);
		assert_int_equal(err, CHAT_E_TOKEN_INVALID);
	}
}

/* 'n' times 'unit' as the value of 'key'. */
static struct identity *
long_one(const char *key, const char *unit, int n)
{
	enum chat_error err;
	char text[2000];
	int len;

	len = snprintf(text, sizeof(text), "{%s\"%s\":\"",
	    strcmp(key, "userId") == 0 ? "" : "\"userId\":\"ada\",", key);
	while (n-- > 0)
		len += snprintf(text + len, sizeof(text) - (size_t)len, "%s",
		    unit);
	snprintf(text + len, sizeof(text) - (size_t)len, "\"}");
	return none(text, &err);
}

static void
ids_and_names_have_a_length(void **state)
{
	static const struct {
		const char *key, *unit;
		int fits;
	} rows[] = {
		/* an id counts bytes */
		{ "userId", "a", 128 },
		{ "userId", "\xc3\xbc", 64 },
		{ "userId", "\\u00fc", 64 },
		/* a name characters */
		{ "userName", "a", 128 },
		{ "userName", "\xc3\xbc", 128 },
		{ "userName", "\xf0\x9f\x98\x80", 64 },
	};
	struct identity *id;
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		id = long_one(rows[i].key, rows[i].unit, rows[i].fits);
		assert_non_null(id);
		identity_free(&id);
		assert_null(
		    long_one(rows[i].key, rows[i].unit, rows[i].fits + 1));
	}
}

static bool
allows(const struct identity *id, const char *workspace, const char *session,
    enum identity_role want)
{
	enum identity_role role = IDENTITY_USER;

	if (!identity_allows(id, workspace, session, &role))
		return false;
	assert_int_equal(role, want);
	assert_true(identity_allows(id, workspace, session, NULL));
	return true;
}

static void
no_list_means_every_workspace(void **state)
{
	struct identity *id = let_in("{\"userId\":\"a\",\"role\":\"service\"}");

	assert_true(allows(id, "any", "thing", IDENTITY_SERVICE));
	identity_free(&id);
}

static void
an_empty_list_means_none(void **state)
{
	struct identity *id = let_in("{\"userId\":\"a\",\"workspaces\":[]}");

	assert_false(allows(id, "w1", "s1", IDENTITY_USER));
	identity_free(&id);
}

static void
rights_and_roles_are_those_of_the_workspace(void **state)
{
	struct identity *id = let_in(
	    "{\"userId\":\"a\",\"role\":\"agent\",\"workspaces\":[\"w1\","
	    "{\"id\":\"w2\",\"role\":\"user\"},{\"id\":\"w3\",\"sessions\":"
	    "[\"s1\",\"s2\"],\"unknown\":[1]},{\"id\":\"w4\",\"sessions\":[],"
	    "\"role\":\"service\"}]}");

	assert_true(allows(id, "w1", "s9", IDENTITY_AGENT));
	assert_true(allows(id, "w2", "s9", IDENTITY_USER));
	assert_true(allows(id, "w3", "s1", IDENTITY_AGENT));
	assert_true(allows(id, "w3", "s2", IDENTITY_AGENT));
	assert_false(allows(id, "w3", "s3", IDENTITY_AGENT));
	assert_false(allows(id, "w4", "s1", IDENTITY_SERVICE));
	assert_false(allows(id, "w5", "s1", IDENTITY_AGENT));
	assert_false(allows(id, "W1", "s1", IDENTITY_AGENT));
	assert_false(allows(id, "", "", IDENTITY_AGENT));
	identity_free(&id);
}

static void
a_workspace_named_twice_gives_both(void **state)
{
	struct identity *id = let_in(
	    "{\"userId\":\"a\",\"workspaces\":[{\"id\":\"w1\",\"sessions\":"
	    "[\"s1\"]},{\"id\":\"w1\",\"sessions\":[\"s2\"],\"role\":"
	    "\"agent\"}]}");

	assert_true(allows(id, "w1", "s1", IDENTITY_USER));
	assert_true(allows(id, "w1", "s2", IDENTITY_AGENT));
	assert_false(allows(id, "w1", "s3", IDENTITY_USER));
	identity_free(&id);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_says_who_one_is),
		cmocka_unit_test(the_id_stands_in_for_a_name),
		cmocka_unit_test(no_user_is_no_authentication),
		cmocka_unit_test(nonsense_is_refused),
		cmocka_unit_test(ids_and_names_have_a_length),
		cmocka_unit_test(no_list_means_every_workspace),
		cmocka_unit_test(an_empty_list_means_none),
		cmocka_unit_test(rights_and_roles_are_those_of_the_workspace),
		cmocka_unit_test(a_workspace_named_twice_gives_both),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
