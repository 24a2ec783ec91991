/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_chat_join - joining sessions, isolation, who is told.
 */

#include "tests/unit/chat_world.h"

#define JOIN "chat:join-session"
#define LEAVE "chat:leave-session"
#define S1 "{\"sessionId\":\"s1\",\"workspaceId\":\"w1\"}"
#define ADA \
	"{\"sessionId\":\"s1\",\"userId\":\"ada\",\"userName\":\"Name of " \
	"ada\",\"socketId\":\"socket-00-0123456789\",\"joinedAt\":" \
	"1700000000000,\"lastActivity\":1700000000000,\"status\":\"active\"}"
#define BOB \
	"{\"sessionId\":\"s1\",\"userId\":\"bob\",\"userName\":\"Name of " \
	"bob\",\"socketId\":\"socket-01-0123456789\",\"joinedAt\":" \
	"1700000000000,\"lastActivity\":1700000000000,\"status\":\"active\"}"

static void
the_joiner_learns_all_at_once(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada");

	say(a, JOIN,
	    "{\"sessionId\":\"s1\",\"agentId\":\"bot\",\"workspaceId\":\"w1\"}",
	    7);
	expect_nothing(a);
	run(w);
	expect(a,
	    "chat:join-session-success {\"sessionId\":\"s1\",\"agentId\":"
	    "\"bot\",\"workspaceId\":\"w1\",\"roomId\":\"chat:session:s1\","
	    "\"workspaceRoomId\":\"chat:workspace:w1\",\"timestamp\":"
	    "1700000000000,\"presences\":[" ADA
	    "],\"count\":1,\"presence\":" ADA
	    ",\"lastSeq\":0,\"lastRevision\":0,\"receipts\":[],\"streams\":[]"
	    "}");
	expect(a,
	    "ack:7 {\"ok\":true,\"sessionId\":\"s1\",\"agentId\":"
	    "\"bot\",\"workspaceId\":\"w1\",\"roomId\":\"chat:session:s1\","
	    "\"workspaceRoomId\":\"chat:workspace:w1\",\"timestamp\":"
	    "1700000000000,\"presences\":[" ADA
	    "],\"count\":1,\"presence\":" ADA
	    ",\"lastSeq\":0,\"lastRevision\":0,\"receipts\":[],\"streams\":[]"
	    "}");
	expect_nothing(a);
	assert_int_equal(w->charged[CHAT_RATE_JOIN], 1);
	assert_int_equal(w->counts[CHAT_COUNT_JOINS], 1);
}

static void
everybody_sees_everybody_on_any_worker(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b = client(w, 1, "bob");
	struct json_value v;

	join(a, "w1", "s1");
	skip_all(a);
	join(b, "w1", "s1");
	v = expect_event(b, "chat:join-session-success");
	assert_member(v, "presences", "[" ADA "," BOB "]");
	assert_member(v, "presence", BOB);
	expect_nothing(b);
	expect(a, "chat:user-joined " BOB);
	expect_nothing(a);
}

static void
a_sockets_without_ack_gets_none(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada");

	say(a, JOIN, S1, 0);
	run(w);
	(void)expect_event(a, "chat:join-session-success");
	expect_nothing(a);
}

static void
last_seq_is_that_of_the_joins_position(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b = client(w, 1, "bob");

	join(a, "w1", "s1");
	message(a, "s1", "m1", "one");
	message(a, "s1", "m2", "two");
	run(w);
	/* the third is stored before the join is delivered, but behind it */
	say(b, JOIN, S1, 0);
	message(a, "s1", "m3", "three");
	sequence(w);
	deliver(w, 1);
	assert_member(expect_event(b, "chat:join-session-success"), "lastSeq",
	    "2");
	expect_nothing(b);
	deliver(w, 1);
	assert_member(expect_event(b, "chat:message-received"), "seq", "3");
}

static void
bad_requests_are_refused(void **state)
{
	static const char *const bad[] = { "", "1", "\"s1\"", "[]", "null",
		"{}", "{\"sessionId\":\"s1\"}", "{\"workspaceId\":\"w1\"}",
		"{\"sessionId\":\"\",\"workspaceId\":\"w1\"}",
		"{\"sessionId\":\"s 1\",\"workspaceId\":\"w1\"}",
		"{\"sessionId\":\"s/1\",\"workspaceId\":\"w1\"}",
		"{\"sessionId\":\"\xc3\xbc\",\"workspaceId\":\"w1\"}",
		"{\"sessionId\":1,\"workspaceId\":\"w1\"}",
		"{\"sessionId\":null,\"workspaceId\":\"w1\"}",
		"{\"sessionId\":[\"s1\"],\"workspaceId\":\"w1\"}",
		"{\"sessionId\":\"s1\",\"workspaceId\":\"\"}",
		"{\"sessionId\":\"s1\",\"workspaceId\":{}}",
		"{\"sessionId\":\"s1\",\"workspaceId\":\"w1\",\"agentId\":"
		"\"\"}",
		"{\"sessionId\":\"s1\",\"workspaceId\":\"w1\",\"agentId\":"
		"null}",
		"{\"sessionId\":\"s1\",\"workspaceId\":\"w1\",\"afterSeq\":-1}",
		"{\"sessionId\":\"s1\",\"workspaceId\":\"w1\",\"afterSeq\":1."
		"5}",
		"{\"sessionId\":\"s1\",\"workspaceId\":\"w1\",\"afterSeq\":"
		"\"1\"}",
		"{\"sessionId\":\"s1\",\"workspaceId\":\"w1\",\"afterSeq\":"
		"null}",
		"{\"sessionId\":\"s1\",\"workspaceId\":\"w1\","
		"\"afterRevision\":"
		"\"x\"}" };
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada");
	struct json_value v;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		say(a, JOIN, bad[i], 1);
		run(w);
		v = expect_event(a, "chat:join-session-error");
		assert_member(v, "error", "\"Invalid request data\"");
		assert_member(v, "code", "\"INVALID_PAYLOAD\"");
		assert_member(v, "retryable", "false");
		assert_member(expect_event(a, "ack:1"), "ok", "false");
		expect_nothing(a);
	}
	assert_int_equal(w->nsequenced, 0);
	assert_int_equal(w->counts[CHAT_COUNT_INVALID_PAYLOADS], i);
	assert_int_equal(w->charged[CHAT_RATE_JOIN], i);
}

static void
ids_have_at_most_a_hundred_characters(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada");
	char id[102], json[300];
	int n;

	for (n = 100; n <= 101; n++) {
		memset(id, 'x', sizeof(id));
		id[n] = '\0';
		snprintf(json, sizeof(json),
		    "{\"sessionId\":\"%s\",\"workspaceId\":\"w1\"}", id);
		say(a, JOIN, json, 0);
		run(w);
		(void)expect_event(a,
		    n == 100 ? "chat:join-session-success"
			     : "chat:join-session-error");
	}
}

static void
an_error_tells_what_it_is_about(void **state)
{
	struct world *w = *state;
	struct conn *a =
	    client_as(w, 0, "{\"userId\":\"ada\",\"workspaces\":[\"w2\"]}");

	say(a, JOIN,
	    "{\"sessionId\":\"s1\",\"agentId\":\"bot\",\"workspaceId\":\"w1\"}",
	    3);
	run(w);
	expect(a,
	    "chat:join-session-error {\"error\":\"Access denied to chat "
	    "session\",\"code\":\"ACCESS_DENIED\",\"retryable\":false,"
	    "\"sessionId\":\"s1\",\"workspaceId\":\"w1\",\"agentId\":\"bot\"}");
	expect(a,
	    "ack:3 {\"ok\":false,\"error\":\"Access denied to chat "
	    "session\",\"code\":\"ACCESS_DENIED\",\"retryable\":false,"
	    "\"sessionId\":\"s1\",\"workspaceId\":\"w1\",\"agentId\":\"bot\"}");
	assert_int_equal(w->nsequenced, 0);
	assert_int_equal(w->counts[CHAT_COUNT_UNAUTHORIZED_ACCESS], 1);
}

static void
rights_are_the_tokens(void **state)
{
	static const struct {
		const char *workspace, *session;
		bool ok;
	} tries[] = { { "w1", "s1", true }, { "w2", "s1", false },
		{ "w2", "s2", true }, { "w3", "s3", false },
		{ "w4", "s4", false } };
	struct world *w = *state;
	struct conn *a = client_as(w, 0,
	    "{\"userId\":\"ada\",\"workspaces\":[\"w1\",{\"id\":\"w2\","
	    "\"sessions\":[\"s2\"]},{\"id\":\"w3\",\"sessions\":[]}]}");
	size_t i;

	for (i = 0; i < sizeof(tries) / sizeof(tries[0]); i++) {
		join(a, tries[i].workspace, tries[i].session);
		(void)expect_event(a,
		    tries[i].ok ? "chat:join-session-success"
				: "chat:join-session-error");
	}
}

static void
the_same_id_in_another_workspace_is_another_session(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b = client(w, 0, "bob");

	join(a, "w1", "s1");
	join(b, "w2", "s1");
	skip_all(a);
	assert_member(expect_event(b, "chat:join-session-success"), "presences",
	    "[{\"sessionId\":\"s1\",\"userId\":\"bob\",\"userName\":\"Name of "
	    "bob\",\"socketId\":\"socket-01-0123456789\",\"joinedAt\":"
	    "1700000000000,\"lastActivity\":1700000000000,\"status\":"
	    "\"active\"}]");
	message(a, "s1", "m1", "secret");
	run(w);
	expect_nothing(b);
	assert_member(expect_event(a, "chat:message-sent"), "seq", "1");
	/* the same message id is free there, and seq begins at 1 */
	message(b, "s1", "m1", "other");
	run(w);
	assert_member(expect_event(b, "chat:message-sent"), "seq", "1");
	expect_nothing(a);
}

static void
a_socket_is_in_one_of_two_sessions_of_one_id(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada");

	join(a, "w1", "s1");
	skip_all(a);
	join(a, "w2", "s1");
	assert_member(expect_event(a, "chat:join-session-error"), "error",
	    "\"Access denied to chat session\"");
	/* also while the first is still under way */
	say(a, JOIN, "{\"sessionId\":\"s2\",\"workspaceId\":\"w1\"}", 0);
	say(a, JOIN, "{\"sessionId\":\"s2\",\"workspaceId\":\"w2\"}", 0);
	run(w);
	(void)expect_event(a, "chat:join-session-success");
	assert_member(expect_event(a, "chat:join-session-error"), "workspaceId",
	    "\"w2\"");
	/* when it has left the first it may join the other */
	say(a, LEAVE, "{\"sessionId\":\"s1\"}", 0);
	join(a, "w2", "s1");
	(void)expect_event(a, "chat:leave-session-success");
	assert_member(expect_event(a, "chat:join-session-success"),
	    "workspaceId", "\"w2\"");
}

static void
joining_again_tells_nobody(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b = client(w, 1, "bob");
	struct json_value v;

	join_all(w, "s1");
	w->real_ms += 5000;
	say(a, JOIN, S1, 9);
	run(w);
	v = expect_event(a, "chat:join-session-success");
	assert_member(v, "timestamp", "1700000005000");
	assert_member(v, "presence", ADA);
	assert_member(v, "presences", "[" ADA "," BOB "]");
	(void)expect_event(a, "ack:9");
	expect_nothing(a);
	expect_nothing(b);
}

static void
two_joins_at_once_are_two_successes_and_one_arrival(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b = client(w, 1, "bob");

	join(b, "w1", "s1");
	skip_all(b);
	say(a, JOIN, S1, 1);
	say(a, JOIN, S1, 2);
	run(w);
	(void)expect_event(a, "chat:join-session-success");
	(void)expect_event(a, "ack:1");
	(void)expect_event(a, "chat:join-session-success");
	(void)expect_event(a, "ack:2");
	expect_nothing(a);
	(void)expect_event(b, "chat:user-joined");
	expect_nothing(b);
}

static void
what_comes_behind_a_join_waits_for_it(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada");

	/* as a client that does not wait for answers */
	say(a, JOIN, S1, 0);
	message(a, "s1", "m1", "hello");
	say(a, "chat:typing", "{\"sessionId\":\"s2\",\"isTyping\":true}", 5);
	say(a, LEAVE, "{\"sessionId\":\"s1\"}", 0);
	message(a, "s1", "m2", "gone");
	/* another session is not held up */
	assert_member(expect_event(a, "ack:5"), "code", "\"NOT_JOINED\"");
	expect_nothing(a);
	run(w);
	(void)expect_event(a, "chat:join-session-success");
	(void)expect_event(a, "chat:message-sent");
	(void)expect_event(a, "chat:leave-session-success");
	assert_member(expect_event(a, "chat:send-message-error"), "code",
	    "\"NOT_JOINED\"");
	expect_nothing(a);
}

static void
only_so_much_waits_for_a_join(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada");
	int i;

	say(a, JOIN, S1, 0);
	for (i = 0; i < 32; i++)
		message(a, "s1", "m1", "hello");
	expect_nothing(a);
	message(a, "s1", "m2", "hello");
	expect(a,
	    "chat:send-message-error {\"error\":\"Server busy\",\"code\":"
	    "\"OVERLOADED\",\"retryable\":true,\"sessionId\":\"s1\","
	    "\"messageId\":\"m2\"}");
	run(w);
	(void)expect_event(a, "chat:join-session-success");
	for (i = 0; i < 32; i++)
		(void)expect_event(a, "chat:message-sent");
	expect_nothing(a);
}

static void
a_socket_has_so_many_sessions(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada");

	w->cfg.limits_sessions_per_socket = 2;
	join(a, "w1", "s1");
	skip_all(a);
	/* one that is under way counts */
	say(a, JOIN, "{\"sessionId\":\"s2\",\"workspaceId\":\"w1\"}", 0);
	say(a, JOIN, "{\"sessionId\":\"s3\",\"workspaceId\":\"w1\"}", 0);
	assert_member(expect_event(a, "chat:join-session-error"), "error",
	    "\"Too many chat sessions on this connection\"");
	run(w);
	(void)expect_event(a, "chat:join-session-success");
	/* joining again is none more */
	join(a, "w1", "s1");
	(void)expect_event(a, "chat:join-session-success");
	say(a, LEAVE, "{\"sessionId\":\"s1\"}", 0);
	run(w);
	(void)expect_event(a, "chat:leave-session-success");
	join(a, "w1", "s3");
	(void)expect_event(a, "chat:join-session-success");
}

static void
many_sessions_of_one_socket_are_told_apart(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b = client(w, 1, "bob");
	char name[16], id[16];
	int i;

	w->cfg.limits_sessions_per_socket = 0;
	for (i = 0; i < 30; i++) {
		snprintf(name, sizeof(name), "s%d", i);
		join(a, "w1", name);
		join(b, "w1", name);
	}
	skip_all(a);
	skip_all(b);
	for (i = 29; i >= 0; i--) {
		snprintf(name, sizeof(name), "s%d", i);
		snprintf(id, sizeof(id), "\"s%d\"", i);
		message(a, name, "m", "x");
		run(w);
		assert_member(expect_event(b, "chat:message-received"),
		    "sessionId", id);
		assert_member(expect_event(a, "chat:message-sent"), "sessionId",
		    id);
	}
	expect_nothing(b);
}

static void
a_rate_that_is_exceeded_tells_when_to_come_back(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada");

	w->wait_ns[CHAT_RATE_JOIN] = 5000000001;
	say(a, JOIN, S1, 4);
	run(w);
	expect(a,
	    "chat:join-session-error {\"error\":\"Rate limit exceeded\","
	    "\"code\":\"RATE_LIMITED\",\"retryable\":true,\"retryAfter\":6,"
	    "\"sessionId\":\"s1\",\"workspaceId\":\"w1\"}");
	assert_member(expect_event(a, "ack:4"), "retryAfter", "6");
	/* before everything else that could be wrong */
	w->wait_ns[CHAT_RATE_JOIN] = 1;
	say(a, JOIN, "{}", 0);
	assert_member(expect_event(a, "chat:join-session-error"), "retryAfter",
	    "1");
	assert_int_equal(w->nsequenced, 0);
	assert_int_equal(w->counts[CHAT_COUNT_RATE_LIMIT_EXCEEDED], 2);
}

static void
the_stores_verdicts_are_told(void **state)
{
	static const struct {
		enum chat_outcome outcome;
		const char *code, *retryable;
	} rows[] = {
		{ CHAT_SESSION_FULL, "\"SESSION_FULL\"", "true" },
		{ CHAT_STORE_UNAVAILABLE, "\"STORE_UNAVAILABLE\"", "true" },
		{ CHAT_REJECTED, "\"INTERNAL\"", "true" },
	};
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada");
	struct json_value v;
	size_t i;

	w->force = true;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		w->forced = rows[i].outcome;
		say(a, JOIN, S1, 0);
		run(w);
		v = expect_event(a, "chat:join-session-error");
		assert_member(v, "code", rows[i].code);
		assert_member(v, "retryable", rows[i].retryable);
		assert_member(v, "sessionId", "\"s1\"");
	}
	w->force = false;
	join(a, "w1", "s1");
	(void)expect_event(a, "chat:join-session-success");
}

static void
without_a_roster_there_is_no_join(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b = client(w, 1, "bob");

	join(b, "w1", "s1");
	skip_all(b);
	w->fail_roster = true;
	say(a, JOIN, S1, 0);
	run(w);
	assert_member(expect_event(a, "chat:join-session-error"), "code",
	    "\"STORE_UNAVAILABLE\"");
	(void)expect_event(b, "chat:user-joined");
	(void)expect_event(b, "chat:user-left");
	w->fail_roster = false;
	message(b, "s1", "m1", "hello");
	run(w);
	expect_nothing(a);
	join(a, "w1", "s1");
	(void)expect_event(a, "chat:join-session-success");
}

static void
who_was_told_by_the_roster_is_not_told_again(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b = client(w, 1, "bob");
	struct conn *c = client(w, 1, "cyd");

	/* all three are in the store before any is delivered */
	say(a, JOIN, S1, 0);
	say(b, JOIN, S1, 0);
	say(c, JOIN, S1, 0);
	sequence(w);
	run(w);
	assert_int_equal(waiting(a), 1);
	assert_int_equal(waiting(b), 1);
	assert_int_equal(waiting(c), 1);
	(void)expect_event(a, "chat:join-session-success");
	/* a later one is told to all */
	join(client(w, 0, "dan"), "w1", "s1");
	(void)expect_event(a, "chat:user-joined");
	expect_nothing(a);
}

static void
a_verdict_that_comes_twice_does_nothing(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b = client(w, 1, "bob");
	struct chat_delivery d;

	join_all(w, "s1");
	/* the join of a, published again after an eviction */
	d = w->sequenced[0]->d;
	d.own = true;
	d.gseq = w->gseq;
	d.outcome = CHAT_DUPLICATE;
	d.socket = a->s;
	chat_deliver(w->chat[0], &d);
	d.socket = NULL;
	chat_deliver(w->chat[0], &d);
	run(w);
	expect_nothing(a);
	expect_nothing(b);
	assert_true(w->presence[0].used);
}

/* Lost with an eviction, published again: the others were told before. */
static void
a_join_that_was_stored_before_is_told_to_nobody_else(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b = client(w, 0, "bob");

	join(b, "w1", "s1");
	skip_all(b);
	w->presence[1] = w->presence[0];
	snprintf(w->presence[1].socket_id, sizeof(w->presence[1].socket_id),
	    "%s", a->id);
	say(a, JOIN, S1, 0);
	run(w);
	assert_int_equal(w->sequenced[1]->d.outcome, CHAT_DUPLICATE);
	(void)expect_event(a, "chat:join-session-success");
	expect_nothing(b);
	message(b, "s1", "m1", "hello");
	run(w);
	(void)expect_event(a, "chat:message-received");
}

static void
unknown_events_are_answered(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada");

	say(a, "chat:nonsense", "{}", 5);
	expect(a,
	    "ack:5 {\"ok\":false,\"error\":\"Unknown event\",\"code\":"
	    "\"UNKNOWN_EVENT\",\"retryable\":false}");
	say(a, "error", "", 6);
	(void)expect_event(a, "ack:6");
	say(a, "", "", 0);
	say(a, "chat:join-sessio", S1, 0);
	say(a, "chat:join-session ", S1, 0);
	expect_nothing(a);
	assert_int_equal(w->counts[CHAT_COUNT_UNKNOWN_EVENTS], 5);
}

static void
everybody_hears_an_announcement(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b = client(w, 0, "bob");
	int encodes = w->encodes;

	chat_announce(w->chat[0], "SERVER_SHUTDOWN", "Bye");
	expect(a,
	    "chat:disconnect-reason {\"code\":\"SERVER_SHUTDOWN\",\"message\":"
	    "\"Bye\"}");
	(void)expect_event(b, "chat:disconnect-reason");
	assert_int_equal(w->encodes, encodes + 1);
	chat_announce(w->chat[1], "SERVER_SHUTDOWN", "Bye");
	assert_int_equal(w->encodes, encodes + 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(the_joiner_learns_all_at_once),
		T(everybody_sees_everybody_on_any_worker),
		T(a_sockets_without_ack_gets_none),
		T_NOW(last_seq_is_that_of_the_joins_position),
		T(bad_requests_are_refused),
		T(ids_have_at_most_a_hundred_characters),
		T(an_error_tells_what_it_is_about),
		T(rights_are_the_tokens),
		T(the_same_id_in_another_workspace_is_another_session),
		T(a_socket_is_in_one_of_two_sessions_of_one_id),
		T(joining_again_tells_nobody),
		T(two_joins_at_once_are_two_successes_and_one_arrival),
		T(what_comes_behind_a_join_waits_for_it),
		T(only_so_much_waits_for_a_join),
		T(a_socket_has_so_many_sessions),
		T(many_sessions_of_one_socket_are_told_apart),
		T(a_rate_that_is_exceeded_tells_when_to_come_back),
		T(the_stores_verdicts_are_told),
		T(without_a_roster_there_is_no_join),
		T(who_was_told_by_the_roster_is_not_told_again),
		T(a_verdict_that_comes_twice_does_nothing),
		T(a_join_that_was_stored_before_is_told_to_nobody_else),
		T(unknown_events_are_answered),
		T(everybody_hears_an_announcement),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
