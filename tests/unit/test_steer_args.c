/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_steer_args - what chatctl's steering commands are told, and what they
 * make of it.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "chat/steer.h"
#include "common/clock.h"
#include "worker/steer_impl.h"

struct fixture {
	struct json_tree *tree;
	struct steering st;
	char why[200];
};

static int
setup(void **state)
{
	return (*state = calloc(1, sizeof(struct fixture))) == NULL ? -1 : 0;
}

static void
forget(struct fixture *f)
{
	json_out_clear(&f->st.body);
	json_tree_free(&f->tree);
	memset(&f->st, 0, sizeof(f->st));
}

static int
teardown(void **state)
{
	forget(*state);
	free(*state);
	return 0;
}

/* NULL, or what is wrong; 'args' is a JSON array with ' for ". */
static const char *
command(struct fixture *f, const char *name, const char *args)
{
	const char *why;
	char json[1024];
	size_t i;

	forget(f);
	assert_true(strlen(args) < sizeof(json));
	for (i = 0; args[i] != '\0'; i++)
		json[i] = args[i] == '\'' ? '"' : args[i];
	f->tree = json_tree_parse(json, i, &why);
	assert_non_null(f->tree);
	return steer_command(&f->st, name, f->tree, f->why, sizeof(f->why));
}

static void
assert_wrong(struct fixture *f, const char *name, const char *args)
{
	const char *why = command(f, name, args);

	if (why == NULL)
		fail_msg("%s %s", name, args);
	assert_true(strlen(why) > 5);
}

static void
a_ban_has_a_user_and_perhaps_an_end_and_a_reason(void **state)
{
	struct fixture *f = *state;
	uint64_t now = clock_real_ms();

	assert_null(command(f, "ban", "['eve']"));
	assert_string_equal(f->st.action, "ban");
	assert_string_equal(f->st.whom, "eve");
	assert_true(f->st.about_user);
	assert_true(f->st.until_ms == STEER_EVER);
	assert_null(f->st.text);
	assert_null(command(f, "ban", "['--for','1h','eve','--reason','x y']"));
	assert_true(
	    f->st.until_ms >= now + 3600000 && f->st.until_ms < now + 3660000);
	assert_string_equal(f->st.text, "x y");
	assert_null(command(f, "ban", "['eve','x y','--for','1h']"));
	assert_string_equal(f->st.text, "x y");
	/* behind -- nothing is an option */
	assert_null(command(f, "ban", "['--','--for','--reason']"));
	assert_string_equal(f->st.whom, "--for");
	assert_string_equal(f->st.text, "--reason");
	assert_wrong(f, "ban", "[]");
	assert_wrong(f, "ban", "['']");
	assert_wrong(f, "ban", "['a\\u0007b']");
	assert_wrong(f, "ban", "['a\\u0085b']");
	assert_wrong(f, "ban", "['eve','a','b']");
	assert_wrong(f, "ban", "['eve','a','--reason','b']");
	assert_wrong(f, "ban", "['eve','--for']");
	assert_wrong(f, "ban", "['eve','--for','1 h']");
	assert_wrong(f, "ban", "['eve','--conn','x']");
	assert_wrong(f, "ban", "['eve','a\\nb']");
	assert_wrong(f, "unban", "['eve','why']");
	assert_wrong(f, "nonsense", "['eve']");
	assert_wrong(f, "ban", "[1]");
}

static void
a_kick_and_a_revocation_name_a_user_or_something_else(void **state)
{
	struct fixture *f = *state;

	assert_null(command(f, "kick", "['eve','be nice']"));
	assert_string_equal(f->st.action, "kick");
	assert_string_equal(f->st.text, "be nice");
	assert_null(command(f, "kick", "['--conn','sid','be nice']"));
	assert_string_equal(f->st.action, "kick-socket");
	assert_string_equal(f->st.whom, "sid");
	assert_string_equal(f->st.text, "be nice");
	assert_false(f->st.about_user);
	assert_wrong(f, "kick", "[]");
	assert_wrong(f, "kick", "['--conn','']");
	assert_wrong(f, "kick", "['--conn','sid','eve','why']");
	assert_null(command(f, "revoke", "['eve']"));
	assert_string_equal(f->st.action, "revoke-user");
	assert_true(strtoull(f->st.since, NULL, 10) <= clock_real_ms());
	assert_true(strlen(f->st.since) >= 13);
	assert_null(command(f, "revoke", "['--token','jti','--for','1d']"));
	assert_string_equal(f->st.action, "revoke-token");
	assert_string_equal(f->st.whom, "jti");
	assert_wrong(f, "revoke", "['--for','1d']");
}

static void
a_broadcast_is_for_all_or_a_workspace_or_a_session(void **state)
{
	struct fixture *f = *state;

	assert_null(command(f, "broadcast", "['down at 8\\nsharp']"));
	assert_string_equal(f->st.text, "down at 8\nsharp");
	assert_int_equal(f->st.workspace_len, 0);
	assert_null(f->st.session);
	assert_int_equal(strlen(f->st.id), 22);
	assert_null(command(f, "broadcast", "['--workspace','w1','x']"));
	assert_int_equal(f->st.workspace_len, 2);
	assert_null(command(f, "broadcast", "['x','--session','w1/s1']"));
	assert_int_equal(f->st.workspace_len, 2);
	assert_string_equal(f->st.session, "s1");
	assert_wrong(f, "broadcast", "['x','y']");
	assert_wrong(f, "broadcast", "[' \\n']");
	assert_wrong(f, "broadcast", "['x','--session','s1']");
	assert_wrong(f, "broadcast", "['x','--workspace','w/1']");
	assert_wrong(f, "broadcast",
	    "['x','--session','w1/s1','--workspace','w1']");
	assert_wrong(f, "broadcast", "['x','--name','a\\nb']");
}

static void
sessions_and_messages_are_named_whole(void **state)
{
	static const char *const bad[] = { "['s','x']", "['w/','x']",
		"['/s','x']", "['w/s/t','x']", "['w/s t','x']", "['w/s']" };
	struct fixture *f = *state;
	size_t i;

	assert_null(command(f, "say", "['w/s','hi']"));
	assert_true(f->st.cmd->needs_session);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_wrong(f, "say", bad[i]);
	assert_null(command(f, "session", "['status','w/s','paused','x']"));
	assert_string_equal(f->st.whom, "w/s");
	assert_string_equal(f->st.status, "paused");
	assert_string_equal(f->st.args.option[OPTION_REASON], "x");
	assert_wrong(f, "session", "['status','w/s','asleep']");
	assert_wrong(f, "session", "['status','s','paused']");
	assert_wrong(f, "session", "['purge','w/s','paused']");
	assert_null(command(f, "message", "['delete','w/s','m1']"));
	assert_string_equal(f->st.id, "m1");
	assert_wrong(f, "message", "['delete','w/s','m 1']");
	assert_wrong(f, "message", "['remove','w/s','m1']");
}

static void
a_duration_is_a_number_and_a_unit(void **state)
{
	static const struct {
		const char *text;
		uint64_t ms;
	} good[] = { { "1ms", 1 }, { "90s", 90000 }, { "5m", 300000 },
		{ "2h", 7200000 }, { "36500d", UINT64_C(3153600000000) } };
	static const char *const bad[] = { "", "1", "h", "-1h", "+1h", " 1h",
		"1 h", "1h ", "0s", "1w", "36501d", "99999999999999999999s",
		"0x1s", "1.5h" };
	uint64_t ms;
	size_t i;

	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_true(steer_args_duration(good[i].text, &ms));
		assert_true(ms == good[i].ms);
	}
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (steer_args_duration(bad[i], &ms))
			fail_msg("%s", bad[i]);
	}
}

static void
names_are_the_contracts(void **state)
{
	char longer[130];

	memset(longer, 'x', sizeof(longer));
	longer[129] = '\0';
	assert_false(steer_args_is_user(longer));
	longer[128] = '\0';
	assert_true(steer_args_is_user(longer));
	assert_false(steer_args_is_id(longer, 101));
	assert_true(steer_args_is_id(longer, 100));
	assert_false(steer_args_is_id("", 0));
	assert_true(steer_args_is_user("auth0|17 \xc3\xbc"));
	assert_false(steer_args_is_user("\xc3"));
	assert_true(steer_args_is_session("w-1/s_2"));
	assert_false(steer_args_is_session("w"));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_ban_has_a_user_and_perhaps_an_end_and_a_reason),
		T(a_kick_and_a_revocation_name_a_user_or_something_else),
		T(a_broadcast_is_for_all_or_a_workspace_or_a_session),
		T(sessions_and_messages_are_named_whole),
		T(a_duration_is_a_number_and_a_unit),
		T(names_are_the_contracts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
