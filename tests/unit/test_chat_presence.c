/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_chat_presence - active, idle, away; and after a gap the whole roster.
 */

#include "tests/unit/chat_world.h"

#define UPDATE "chat:update-presence"
#define STATUS(s) "{\"sessionId\":\"s1\",\"status\":\"" s "\"}"

static void
the_others_see_the_status(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b = client(w, 1, "bob");
	struct conn *c = client(w, 0, "cyd");

	join_all(w, "s1");
	w->real_ms += 2000;
	say(a, UPDATE, STATUS("idle"), 4);
	expect_nothing(a);
	run(w);
	expect(a, "ack:4 {\"ok\":true}");
	expect_nothing(a);
	/* on his own worker and on another */
	expect(b,
	    "chat:presence-updated {\"sessionId\":\"s1\",\"userId\":\"ada\","
	    "\"userName\":\"Name of ada\",\"socketId\":\"socket-00-0123456789\""
	    ",\"joinedAt\":1700000000000,\"lastActivity\":1700000002000,"
	    "\"status\":\"idle\"}");
	assert_member(expect_event(c, "chat:presence-updated"), "joinedAt",
	    "1700000000000");
	expect_nothing(b);
	expect_nothing(c);
	assert_int_equal(w->counts[CHAT_COUNT_PRESENCE], 1);
}

static void
a_later_joiner_finds_it_in_the_roster(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b = client(w, 1, "bob");
	struct json_iter it;
	struct json_value v;

	join(a, "w1", "s1");
	say(a, UPDATE, STATUS("away"), 0);
	run(w);
	join(b, "w1", "s1");
	it = json_iter(json_member(expect_event(b, "chat:join-session-success"),
	    "presences"));
	assert_true(json_next(&it, &v));
	assert_member(v, "userId", "\"ada\"");
	assert_member(v, "status", "\"away\"");
	/* and who joins again is told of himself as he is */
	skip_all(a);
	join(a, "w1", "s1");
	v = json_member(expect_event(a, "chat:join-session-success"),
	    "presence");
	assert_member(v, "status", "\"away\"");
}

static void
bad_requests_are_refused(void **state)
{
	static const char *const bad[] = { "", "{}", "[]",
		"{\"sessionId\":\"s1\"}", "{\"status\":\"idle\"}",
		STATUS("busy"), STATUS(""), STATUS("Idle"),
		"{\"sessionId\":\"s1\",\"status\":null}",
		"{\"sessionId\":\"s1\",\"status\":1}",
		"{\"sessionId\":null,\"status\":\"idle\"}" };
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b = client(w, 0, "bob");
	size_t i;

	join_all(w, "s1");
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		say(a, UPDATE, bad[i], 1);
		assert_member(expect_event(a, "ack:1"), "error",
		    "\"Invalid request data\"");
		say(a, UPDATE, bad[i], 0);
		expect_nothing(a);
	}
	say(a, UPDATE, "{\"sessionId\":\"s2\",\"status\":\"idle\"}", 1);
	assert_member(expect_event(a, "ack:1"), "code", "\"NOT_JOINED\"");
	w->wait_ns[CHAT_RATE_PRESENCE] = 60000000000;
	say(a, UPDATE, STATUS("idle"), 1);
	assert_member(expect_event(a, "ack:1"), "retryAfter", "60");
	run(w);
	expect_nothing(b);
}

static void
what_is_not_stored_is_not_told(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b = client(w, 0, "bob");

	join_all(w, "s1");
	w->force = true;
	w->forced = CHAT_STORE_UNAVAILABLE;
	say(a, UPDATE, STATUS("idle"), 3);
	run(w);
	expect(a,
	    "ack:3 {\"ok\":false,\"error\":\"Message store unavailable\","
	    "\"code\":\"STORE_UNAVAILABLE\",\"retryable\":true,\"sessionId\":"
	    "\"s1\"}");
	expect_nothing(b);
}

static void
who_was_told_by_the_roster_is_not_told_again(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b = client(w, 1, "bob");
	struct conn *c = client(w, 1, "cyd");

	join(a, "w1", "s1");
	join(c, "w1", "s1");
	skip_all(a);
	skip_all(c);
	/* the join is delivered when the change behind it is stored */
	say(b, "chat:join-session",
	    "{\"sessionId\":\"s1\",\"workspaceId\":\"w1\"}", 0);
	say(a, UPDATE, STATUS("idle"), 0);
	run(w);
	(void)expect_event(b, "chat:join-session-success");
	expect_nothing(b);
	(void)expect_event(c, "chat:user-joined");
	(void)expect_event(c, "chat:presence-updated");
	say(a, UPDATE, STATUS("active"), 0);
	run(w);
	(void)expect_event(b, "chat:presence-updated");
}

static void
who_has_left_meanwhile_is_shown_with_his_times(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b = client(w, 1, "bob");

	join_all(w, "s1");
	w->real_ms += 3000;
	say(a, UPDATE, STATUS("idle"), 0);
	hang_up(a, "transport close");
	/* the store has forgotten him already */
	sequence(w);
	deliver(w, 2);
	expect(b,
	    "chat:presence-updated {\"sessionId\":\"s1\",\"userId\":\"ada\","
	    "\"userName\":\"Name of ada\",\"socketId\":\"socket-00-0123456789\""
	    ",\"joinedAt\":1700000000000,\"lastActivity\":1700000003000,"
	    "\"status\":\"idle\"}");
	(void)expect_event(b, "chat:user-left");
	expect_nothing(b);
}

static void
a_verdict_finds_nobody(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b = client(w, 0, "bob");

	join_all(w, "s1");
	say(a, UPDATE, STATUS("idle"), 1);
	sequence(w);
	hang_up(a, "transport close");
	deliver(w, 1);
	assert_member(expect_event(b, "chat:presence-updated"), "status",
	    "\"idle\"");
	run(w);
	(void)expect_event(b, "chat:user-left");
}

static void
after_a_gap_everybody_gets_the_roster(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b = client(w, 1, "bob");
	struct conn *c = client(w, 0, "cyd");
	struct json_value v;
	struct json_iter it;
	int encodes;

	join(a, "w1", "s1");
	join(b, "w1", "s1");
	join(c, "w1", "s1");
	skip_all(a);
	skip_all(c);
	/* worker 0 sleeps while bob goes idle */
	say(b, UPDATE, STATUS("idle"), 0);
	sequence(w);
	deliver_to(w, w->sequenced[w->ndelivered++], 1);
	encodes = w->encodes;
	w->engine[0].delivered = w->gseq;
	chat_resync(w->chat[0], w->gseq);
	assert_int_equal(w->encodes, encodes + 1);
	v = expect_event(a, "chat:presence-sync");
	assert_member(v, "sessionId", "\"s1\"");
	assert_member(v, "count", "3");
	it = json_iter(json_member(v, "presences"));
	assert_true(json_next(&it, &v) && json_next(&it, &v));
	assert_member(v, "userId", "\"bob\"");
	assert_member(v, "status", "\"idle\"");
	assert_true(json_next(&it, &v));
	assert_false(json_next(&it, &v));
	(void)expect_event(c, "chat:presence-sync");
	/* what is below the roster's position is not told again */
	deliver_to(w, w->sequenced[w->ndelivered - 1], 0);
	run(w);
	expect_nothing(a);
	say(b, UPDATE, STATUS("active"), 0);
	run(w);
	(void)expect_event(a, "chat:presence-updated");
}

static void
a_large_roster_is_cut_but_counted(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada");
	struct json_value v, e;
	struct json_iter it;
	int i, n = 0;

	join_all(w, "s1");
	for (i = 1; i < 250; i++) {
		w->presence[i] = w->presence[0];
		snprintf(w->presence[i].socket_id,
		    sizeof(w->presence[i].socket_id), "socket-x%d", i);
	}
	chat_resync(w->chat[0], w->gseq);
	v = expect_event(a, "chat:presence-sync");
	assert_member(v, "count", "250");
	it = json_iter(json_member(v, "presences"));
	while (json_next(&it, &e))
		n++;
	assert_int_equal(n, 200);
	run(w);
}

static void
without_a_store_there_is_no_roster_to_send(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b = client(w, 1, "bob");

	join_all(w, "s1");
	w->fail_roster = true;
	chat_resync(w->chat[0], w->gseq);
	run(w);
	expect_nothing(a);
	/* changes are told as ever */
	say(b, UPDATE, STATUS("idle"), 0);
	run(w);
	(void)expect_event(a, "chat:presence-updated");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(the_others_see_the_status),
		T(a_later_joiner_finds_it_in_the_roster),
		T(bad_requests_are_refused),
		T(what_is_not_stored_is_not_told),
		T(who_was_told_by_the_roster_is_not_told_again),
		T(who_has_left_meanwhile_is_shown_with_his_times),
		T(a_verdict_finds_nobody),
		T_NOW(after_a_gap_everybody_gets_the_roster),
		T_NOW(a_large_roster_is_cut_but_counted),
		T(without_a_store_there_is_no_roster_to_send),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
