/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_chat_refresh - a socket goes on by another token: who may, and what
 * becomes of what it is in.
 */

#include "chat/socket.h"
#include "tests/unit/chat_world.h"
#undef UNUSED
#include "tests/unit/token_fixture.h"

#define DENIED(session) \
	"chat:join-session-error {\"error\":\"Access denied to chat " \
	"session\",\"code\":\"ACCESS_DENIED\",\"retryable\":false," \
	"\"sessionId\":\"" session "\",\"workspaceId\":\"w1\"}"
#define OK "ack:9 {\"ok\":true}"

static struct keys *keys;

static int
setup(void **state)
{
	struct world *w;

	if (world_setup(state) == -1)
		return -1;
	w = *state;
	keys = keys_new();
	if (!keys_add_secret(keys, SECRET, strlen(SECRET)))
		return -1;
	w->cfg.keys = keys;
	w->cfg.auth_mode = AUTH_MODE_JWT;
	w->cfg.auth_issuer = w->cfg.auth_audience = nothing;
	w->cfg.auth_expiry_grace = 30000;
	return 0;
}

static int
teardown(void **state)
{
	int rc = world_teardown(state);

	keys_free(&keys);
	return rc;
}

/* Of that user with these claims besides, for 'ms' from now on. */
static char *
token_for(const struct world *w, const char *user, int64_t ms, const char *more)
{
	const struct how how = { .secret = SECRET,
		.secret_len = strlen(SECRET),
		.md = EVP_sha256 };
	char claims[500];

	snprintf(claims, sizeof(claims), "{\"sub\":\"%s\",\"exp\":%f%s%s}",
	    user, (double)((int64_t)w->real_ms + ms) / 1000,
	    more[0] == '\0' ? "" : ",", more);
	return token_signed("{\"alg\":\"HS256\"}", claims, &how);
}

#define W1 "\"workspaces\":[\"w1\"]"

static struct conn *
enter(struct world *w, int worker, const char *user, int64_t ms,
    const char *more)
{
	char *token = token_for(w, user, ms, more), *auth;
	struct conn *c;

	assert_true(asprintf(&auth, "{\"token\":\"%s\"}", token) > 0);
	c = client_as(w, worker, auth);
	free(auth);
	free(token);
	return c;
}

static void
refresh_with(struct conn *c, const char *token)
{
	char *json;

	assert_true(asprintf(&json, "{\"token\":\"%s\"}", token) > 0);
	say(c, "chat:refresh-token", json, 9);
	free(json);
}

static void
refresh(struct conn *c, const char *user, int64_t ms, const char *more)
{
	char *token = token_for(c->w, user, ms, more);

	refresh_with(c, token);
	free(token);
}

static void
expect_refused(struct conn *c, const char *code)
{
	struct json_value v = expect_event(c, "ack:9");
	char quoted[40];

	snprintf(quoted, sizeof(quoted), "\"%s\"", code);
	assert_member(v, "ok", "false");
	assert_member(v, "code", quoted);
}

static void
pass(struct world *w, uint64_t ms)
{
	int i;

	w->real_ms += ms;
	w->mono_ms += ms;
	for (i = 0; i < WORKERS; i++)
		chat_tick(w->chat[i]);
	run(w);
}

static void
another_token_puts_the_end_off(void **state)
{
	struct world *w = *state;
	struct conn *ada = enter(w, 0, "ada", 60000, W1);

	pass(w, 50000);
	refresh(ada, "ada", 60000, W1);
	expect(ada, OK);
	pass(w, 59999);
	expect_nothing(ada);
	pass(w, 1);
	(void)expect_event(ada, "chat:auth-expired");
	/* within the grace time, too; and it may end sooner */
	pass(w, 29000);
	refresh(ada, "ada", 5000, W1);
	expect(ada, OK);
	pass(w, 4999);
	expect_nothing(ada);
	pass(w, 1);
	(void)expect_event(ada, "chat:auth-expired");
	pass(w, 30000);
	(void)expect_event(ada, "chat:disconnect-reason");
}

static void
a_bad_one_changes_nothing(void **state)
{
	struct world *w = *state;
	struct conn *ada = enter(w, 0, "ada", 60000, W1);
	char *token;

	join_all(w, "s1");
	refresh(ada, "bob", 90000, W1);
	expect_refused(ada, "ACCESS_DENIED");
	refresh(ada, "ada", -1, W1);
	expect_refused(ada, "TOKEN_EXPIRED");
	refresh(ada, "ada", 90000, "\"role\":\"root\"");
	expect_refused(ada, "TOKEN_INVALID");
	refresh_with(ada, "no.to.ken");
	expect_refused(ada, "TOKEN_INVALID");
	token = token_for(w, "ada", 90000, W1);
	token[strlen(token) - 5] ^= 3;
	refresh_with(ada, token);
	expect_refused(ada, "TOKEN_INVALID");
	free(token);
	say(ada, "chat:refresh-token", "{}", 9);
	expect_refused(ada, "INVALID_PAYLOAD");
	say(ada, "chat:refresh-token", "{\"token\":7}", 9);
	expect_refused(ada, "INVALID_PAYLOAD");
	say(ada, "chat:refresh-token", "{\"token\":\"\"}", 9);
	expect_refused(ada, "INVALID_PAYLOAD");
	/* without an acknowledgement nobody is told */
	say(ada, "chat:refresh-token", "{\"token\":\"x\"}", 0);
	expect_nothing(ada);
	/* the old one is in force, and ends when it does */
	message(ada, "s1", "m1", "hello");
	run(w);
	(void)expect_event(ada, "chat:message-sent");
	pass(w, 60000);
	(void)expect_event(ada, "chat:auth-expired");
}

static void
without_tokens_there_is_nothing_to_refresh(void **state)
{
	struct world *w = *state;
	struct conn *ada = enter(w, 0, "ada", 60000, W1);

	w->cfg.auth_mode = AUTH_MODE_NONE;
	refresh(ada, "ada", 90000, W1);
	expect_refused(ada, "FORBIDDEN");
}

static void
what_is_not_covered_is_left(void **state)
{
	struct world *w = *state;
	struct conn *ada = enter(w, 0, "ada", 60000, W1);
	struct conn *bob = enter(w, 1, "bob", 60000, W1);
	struct json_value v;

	join_all(w, "s1");
	join_all(w, "s2");
	say(ada, "chat:typing", "{\"sessionId\":\"s2\",\"isTyping\":true}", 0);
	run(w);
	skip_all(bob);
	refresh(ada, "ada", 60000,
	    "\"workspaces\":[{\"id\":\"w1\",\"sessions\":[\"s1\",\"s3\"]}]");
	/* at once: what is said there now is not for it */
	message(bob, "s2", "m1", "secret");
	expect(ada, DENIED("s2"));
	expect(ada, OK);
	run(w);
	expect_nothing(ada);
	v = expect_event(bob, "chat:typing-indicator");
	assert_member(v, "isTyping", "false");
	v = expect_event(bob, "chat:user-left");
	assert_member(v, "sessionId", "\"s2\"");
	assert_member(v, "userId", "\"ada\"");
	assert_member(v, "reason", "\"access-revoked\"");
	assert_member(v, "remaining", "0");
	(void)expect_event(bob, "chat:message-sent");
	expect_nothing(bob);
	/* it is in the other one still, and cannot come back */
	message(bob, "s1", "m2", "hello");
	run(w);
	(void)expect_event(ada, "chat:message-received");
	skip_all(bob);
	join(ada, "w1", "s2");
	expect(ada, DENIED("s2"));
	message(ada, "s2", "m3", "x");
	run(w);
	assert_member(expect_event(ada, "chat:send-message-error"), "code",
	    "\"NOT_JOINED\"");
	/* until it may again */
	refresh(ada, "ada", 60000, W1);
	expect(ada, OK);
	join(ada, "w1", "s2");
	(void)expect_event(ada, "chat:join-session-success");
}

static void
without_workspaces_all_is_left(void **state)
{
	struct world *w = *state;
	struct conn *ada = enter(w, 0, "ada", 60000, W1);

	join_all(w, "s1");
	join_all(w, "s2");
	join_all(w, "s3");
	refresh(ada, "ada", 60000, "");
	(void)expect_event(ada, "chat:join-session-error");
	(void)expect_event(ada, "chat:join-session-error");
	(void)expect_event(ada, "chat:join-session-error");
	expect(ada, OK);
	run(w);
	expect_nothing(ada);
}

static void
roles_change_at_once(void **state)
{
	struct world *w = *state;
	struct conn *ada = enter(w, 0, "ada", 60000, W1);
	struct conn *bob = enter(w, 1, "bob", 60000, W1);
	struct json_value v;

	join_all(w, "s1");
	message(ada, "s1", "m1", "one");
	run(w);
	assert_member(expect_event(bob, "chat:message-received"), "type",
	    "\"user\"");
	refresh(ada, "ada", 60000,
	    "\"name\":\"Agent A\",\"workspaces\":[{\"id\":\"w1\",\"role\":"
	    "\"agent\"}]");
	message(ada, "s1", "m2", "two");
	run(w);
	v = expect_event(bob, "chat:message-received");
	assert_member(v, "type", "\"assistant\"");
	assert_member(json_member(v, "metadata"), "senderName", "\"Agent A\"");
}

/* Its verdict has not come when the rights go. */
static void
a_join_under_way_is_judged_again(void **state)
{
	struct world *w = *state;
	struct conn *ada = enter(w, 0, "ada", 60000, W1);
	struct conn *bob = enter(w, 1, "bob", 60000, W1);
	int i, joined = 0, left = 0;

	join(bob, "w1", "s1");
	skip_all(bob);
	say(ada, "chat:join-session",
	    "{\"sessionId\":\"s1\",\"workspaceId\":\"w1\"}", 5);
	refresh(ada, "ada", 60000, "\"workspaces\":[\"w2\"]");
	expect(ada, OK);
	run(w);
	pass(w, 100);
	run(w);
	for (i = bob->next; i < bob->nout; i++) {
		joined += strstr(bob->out[i], "chat:user-joined") != NULL;
		left += strstr(bob->out[i], "access-revoked") != NULL;
	}
	assert_int_equal(joined, 1);
	assert_int_equal(left, 1);
	skip_all(ada);
	message(bob, "s1", "m1", "secret");
	run(w);
	expect_nothing(ada);
	join(ada, "w1", "s1");
	expect(ada, DENIED("s1"));
}

/* A page of history that was asked for is not given any more. */
static void
what_was_asked_for_is_not_given(void **state)
{
	struct world *w = *state;
	struct conn *ada = enter(w, 0, "ada", 60000, W1);

	join_all(w, "s1");
	message(ada, "s1", "m1", "one");
	run(w);
	skip_all(ada);
	say(ada, "chat:request-history", "{\"sessionId\":\"s1\"}", 3);
	refresh(ada, "ada", 60000, "");
	run(w);
	while (ada->next < ada->nout) {
		assert_null(strstr(ada->out[ada->next], "\"one\""));
		ada->next++;
	}
}

/* --- mode webhook ----------------------------------------------------------------- */

static struct identity *
identity_for(struct world *w, const char *user, const char *more)
{
	char *token = token_for(w, user, 60000, more), *auth;
	struct identity *id;

	w->cfg.auth_mode = AUTH_MODE_JWT;
	assert_true(asprintf(&auth, "{\"token\":\"%s\"}", token) > 0);
	id = identity_of(w, auth);
	free(auth);
	free(token);
	w->cfg.auth_mode = AUTH_MODE_WEBHOOK;
	return id;
}

static bool
answer(struct conn *c, struct identity *id, enum chat_error err, unsigned retry)
{
	uint32_t request = c->verify;
	bool taken;

	c->verify = 0;
	taken = chat_verified(c->w->chat[c->worker], c->s, request, &id, err,
	    retry);
	assert_int_equal(taken, id == NULL && err == CHAT_OK);
	identity_free(&id);
	return taken;
}

static void
the_application_is_asked(void **state)
{
	struct world *w = *state;
	struct conn *ada = enter(w, 0, "ada", 60000, W1);

	join_all(w, "s1");
	w->cfg.auth_mode = AUTH_MODE_WEBHOOK;
	refresh_with(ada, "one-time\\u002f1");
	expect_nothing(ada);
	assert_string_equal(ada->verify_token, "one-time/1");
	/* one question at a time */
	refresh_with(ada, "two");
	expect_refused(ada, "OVERLOADED");
	assert_true(answer(ada, identity_for(w, "ada", ""), CHAT_OK, 0));
	expect(ada, DENIED("s1"));
	expect(ada, OK);
	run(w);
	expect_nothing(ada);
	/* and the next */
	refresh_with(ada, "two");
	assert_string_equal(ada->verify_token, "two");
	assert_false(answer(ada, NULL, CHAT_E_AUTH_UNAVAILABLE, 5));
	assert_member(expect_event(ada, "ack:9"), "retryAfter", "5");
	refresh_with(ada, "three");
	assert_false(answer(ada, identity_for(w, "bob", W1), CHAT_OK, 0));
	expect_refused(ada, "ACCESS_DENIED");
	refresh_with(ada, "four");
	assert_false(answer(ada, NULL, CHAT_E_SESSION_INVALID, 0));
	expect_refused(ada, "SESSION_INVALID");
	expect_nothing(ada);
}

/* As at a CONNECT: who tries it again is told the same. */
static void
what_is_too_long_is_no_token(void **state)
{
	static char token[TOKEN_MAX + 2];
	struct world *w = *state;
	struct conn *ada = enter(w, 0, "ada", 60000, W1);

	w->cfg.auth_mode = AUTH_MODE_WEBHOOK;
	memset(token, 'x', sizeof(token) - 1);
	refresh_with(ada, token);
	expect_refused(ada, "TOKEN_INVALID");
	assert_int_equal(ada->verify, 0);
	/* nothing is under way */
	refresh_with(ada, "two");
	assert_string_equal(ada->verify_token, "two");
	assert_true(answer(ada, identity_for(w, "ada", W1), CHAT_OK, 0));
	expect(ada, OK);
}

/* Nobody waits for the answer. */
static void
an_answer_that_comes_too_late_is_dropped(void **state)
{
	struct world *w = *state;
	struct conn *ada = enter(w, 0, "ada", 60000, W1);
	struct identity *id;

	w->cfg.auth_mode = AUTH_MODE_WEBHOOK;
	refresh_with(ada, "one");
	socket_disconnect(w->chat[0], ada->s, "KICKED", "out", 0);
	skip_all(ada);
	id = identity_for(w, "ada", W1);
	assert_false(
	    chat_verified(w->chat[0], ada->s, ada->verify, &id, CHAT_OK, 0));
	assert_non_null(id);
	/* nor to one that was never asked */
	assert_false(chat_verified(w->chat[0], ada->s, 4711, &id, CHAT_OK, 0));
	identity_free(&id);
	expect_nothing(ada);
	run(w);
}

static void
who_is_looked_at_again_stays_or_goes(void **state)
{
	struct world *w = *state;
	struct conn *ada = enter(w, 0, "ada", 60000, W1);
	struct conn *bob = enter(w, 0, "bob", 60000, W1);
	struct identity *id = NULL;

	join_all(w, "s1");
	id = identity_for(w, "ada", "\"workspaces\":[\"w2\"]");
	chat_rechecked(w->chat[0], ada->s, &id);
	assert_null(id);
	expect(ada, DENIED("s1"));
	run(w);
	assert_member(expect_event(bob, "chat:user-left"), "reason",
	    "\"access-revoked\"");
	/* it is somebody else's now */
	id = identity_for(w, "bob", W1);
	chat_rechecked(w->chat[0], ada->s, &id);
	identity_free(&id);
	assert_member(expect_event(ada, "chat:disconnect-reason"), "code",
	    "\"TOKEN_REVOKED\"");
	/* nobody's */
	chat_rechecked(w->chat[0], bob->s, &id);
	assert_member(expect_event(bob, "chat:disconnect-reason"), "code",
	    "\"TOKEN_REVOKED\"");
	expect(bob, "DISCONNECT access-revoked");
	run(w);
	assert_null(ada->s);
	assert_null(bob->s);
}

#undef T
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(another_token_puts_the_end_off),
		T(a_bad_one_changes_nothing),
		T(without_tokens_there_is_nothing_to_refresh),
		T(what_is_not_covered_is_left),
		T(without_workspaces_all_is_left),
		T(roles_change_at_once),
		T(a_join_under_way_is_judged_again),
		T(what_was_asked_for_is_not_given),
		T(the_application_is_asked),
		T(what_is_too_long_is_no_token),
		T(an_answer_that_comes_too_late_is_dropped),
		T(who_is_looked_at_again_stays_or_goes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
