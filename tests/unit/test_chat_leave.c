/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_chat_leave - leaving sessions, in good order and otherwise.
 */

#include "tests/unit/chat_world.h"

#define LEAVE "chat:leave-session"
#define S1 "{\"sessionId\":\"s1\",\"workspaceId\":\"w1\"}"

static void
leaving_is_answered_and_told(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b = client(w, 1, "bob");

	join_all(w, "s1");
	w->real_ms += 1000;
	say(a, LEAVE, "{\"sessionId\":\"s1\"}", 2);
	run(w);
	expect(a,
	    "chat:leave-session-success {\"sessionId\":\"s1\",\"roomId\":"
	    "\"chat:session:s1\",\"timestamp\":1700000001000}");
	expect(a,
	    "ack:2 {\"ok\":true,\"sessionId\":\"s1\",\"roomId\":"
	    "\"chat:session:s1\",\"timestamp\":1700000001000}");
	expect(b,
	    "chat:user-left {\"sessionId\":\"s1\",\"userId\":\"ada\","
	    "\"socketId\":\"socket-00-0123456789\",\"timestamp\":"
	    "1700000001000,\"remaining\":0}");
	/* nothing of it reaches it any more */
	message(b, "s1", "m1", "hello");
	say(b, "chat:typing", "{\"sessionId\":\"s1\",\"isTyping\":true}", 0);
	say(b, "chat:update-presence",
	    "{\"sessionId\":\"s1\",\"status\":\"idle\"}", 0);
	run(w);
	expect_nothing(a);
	assert_int_equal(w->charged[CHAT_RATE_PRESENCE], 2);
}

static void
leaving_what_is_not_joined_is_an_error(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b = client(w, 1, "bob");

	join(b, "w1", "s1");
	skip_all(b);
	say(a, LEAVE, "{\"sessionId\":\"s1\"}", 2);
	run(w);
	expect(a,
	    "chat:leave-session-error {\"error\":\"Not joined to this chat "
	    "session\",\"code\":\"NOT_JOINED\",\"retryable\":false,"
	    "\"sessionId\":\"s1\"}");
	assert_member(expect_event(a, "ack:2"), "ok", "false");
	expect_nothing(b);
	assert_int_equal(w->counts[CHAT_COUNT_SESSION_VALIDATION_FAILED], 1);
	say(a, LEAVE, "{}", 0);
	assert_member(expect_event(a, "chat:leave-session-error"), "code",
	    "\"INVALID_PAYLOAD\"");
}

static void
the_others_learn_how_many_sockets_remain(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b = client(w, 1, "ada");
	struct conn *c = client(w, 1, "bob");

	join_all(w, "s1");
	say(a, LEAVE, "{\"sessionId\":\"s1\"}", 0);
	run(w);
	assert_member(expect_event(c, "chat:user-left"), "remaining", "1");
	hang_up(b, "ping timeout");
	run(w);
	expect(c,
	    "chat:user-left {\"sessionId\":\"s1\",\"userId\":\"ada\","
	    "\"socketId\":\"socket-01-0123456789\",\"timestamp\":"
	    "1700000000000,\"reason\":\"ping timeout\",\"remaining\":0}");
}

static void
a_disconnect_leaves_all_sessions(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b = client(w, 1, "bob");
	struct chat_totals t;

	join_all(w, "s1");
	join_all(w, "s2");
	chat_totals(w->chat[0], &t);
	assert_int_equal(t.rooms, 2);
	assert_int_equal(t.members, 2);
	hang_up(a, "transport close");
	chat_totals(w->chat[0], &t);
	assert_int_equal(t.rooms + t.members + t.sockets, 0);
	run(w);
	assert_member(expect_event(b, "chat:user-left"), "reason",
	    "\"transport close\"");
	(void)expect_event(b, "chat:user-left");
	expect_nothing(b);
}

static void
who_hangs_up_while_joining_is_seen_to_come_and_go(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b = client(w, 1, "bob");

	join(b, "w1", "s1");
	skip_all(b);
	say(a, "chat:join-session", S1, 0);
	hang_up(a, "transport close");
	run(w);
	(void)expect_event(b, "chat:user-joined");
	assert_member(expect_event(b, "chat:user-left"), "reason",
	    "\"transport close\"");
	assert_false(w->presence[1].used);
	expect_nothing(b);
}

/* A namespace left and joined again: the connection is the same. */
static void
a_connections_next_socket_is_another(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b = client(w, 0, "bob"), *a2;
	struct chat_delivery d;
	int i;

	join_all(w, "s1");
	say(a, "chat:join-session",
	    "{\"sessionId\":\"s2\",\"workspaceId\":\"w1\"}", 0);
	message(a, "s1", "m1", "the last words");
	say(a, "chat:update-presence",
	    "{\"sessionId\":\"s1\",\"status\":\"idle\"}", 0);
	sequence(w);
	hang_up(a, "client namespace disconnect");
	a2 = client(w, 0, "ada");
	join(a2, "w1", "s1");
	skip_all(a2);
	skip_all(b);
	/* the verdicts about the first come to the second */
	for (i = 2; i < 5; i++) {
		d = w->sequenced[i]->d;
		d.own = true;
		d.socket = a2->s;
		d.gseq = w->gseq;
		chat_deliver(w->chat[0], &d);
	}
	(void)expect_event(a2, "chat:message-received");
	(void)expect_event(a2, "chat:presence-updated");
	expect_nothing(a2);
	(void)expect_event(b, "chat:message-received");
	(void)expect_event(b, "chat:presence-updated");
	/* and the session that the first never entered is left */
	run(w);
	for (i = 0; i < ROWS; i++)
		assert_false(w->presence[i].used && w->presence[i].room == 2);
}

static void
who_hangs_up_while_leaving_leaves_once(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b = client(w, 1, "bob");

	join_all(w, "s1");
	say(a, LEAVE, "{\"sessionId\":\"s1\"}", 0);
	hang_up(a, "transport close");
	assert_int_equal(w->npublished, 1);
	run(w);
	(void)expect_event(b, "chat:user-left");
	expect_nothing(b);
}

static void
a_leave_that_the_store_could_not_take_comes_again(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b = client(w, 1, "bob");

	join_all(w, "s1");
	w->force = true;
	w->forced = CHAT_STORE_UNAVAILABLE;
	hang_up(a, "transport close");
	run(w);
	expect_nothing(b);
	assert_true(w->presence[0].used);
	w->force = false;
	w->mono_ms += 900;
	chat_tick(w->chat[0]);
	run(w);
	expect_nothing(b);
	w->mono_ms += 200;
	chat_tick(w->chat[0]);
	run(w);
	assert_member(expect_event(b, "chat:user-left"), "reason",
	    "\"transport close\"");
	assert_false(w->presence[0].used);
	w->mono_ms += 10000;
	chat_tick(w->chat[0]);
	run(w);
	expect_nothing(b);
}

static void
who_asks_to_leave_stays_when_that_cannot_be_stored(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b = client(w, 1, "bob");

	join_all(w, "s1");
	w->force = true;
	w->forced = CHAT_STORE_UNAVAILABLE;
	say(a, LEAVE, "{\"sessionId\":\"s1\"}", 2);
	run(w);
	assert_member(expect_event(a, "chat:leave-session-error"), "code",
	    "\"STORE_UNAVAILABLE\"");
	assert_member(expect_event(a, "ack:2"), "retryable", "true");
	w->force = false;
	w->mono_ms += 5000;
	chat_tick(w->chat[0]);
	run(w);
	expect_nothing(b);
	assert_true(w->presence[0].used);
	/* a member as before, who may go when there is room again */
	message(b, "s1", "m1", "hello");
	run(w);
	skip_all(b);
	(void)expect_event(a, "chat:message-received");
	say(a, LEAVE, "{\"sessionId\":\"s1\"}", 0);
	run(w);
	(void)expect_event(a, "chat:leave-session-success");
	(void)expect_event(b, "chat:user-left");
	assert_false(w->presence[0].used);
}

/* What is put off for long does not hold up what is put off for short. */
static void
leaves_are_published_when_they_are_due(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b = client(w, 0, "bob");
	struct chat_delivery d = { .ev = { .type = CHAT_RESUME, .nfields = 3 },
		.outcome = CHAT_STORED };

	join_all(w, "s1");
	/* taken over by one who never joins: five seconds */
	d.ev.field[0] = str_of(a->pid);
	d.ev.field[1] = str_of("ada");
	d.ev.field[2] = str_of(a->id);
	chat_deliver(w->chat[0], &d);
	assert_string_equal(a->out[a->nout - 1], "CLOSE");
	close_told(w);
	/* not taken by the store: one second */
	w->force = true;
	w->forced = CHAT_STORE_UNAVAILABLE;
	hang_up(b, "transport close");
	run(w);
	w->force = false;
	w->mono_ms += 1000;
	chat_tick(w->chat[0]);
	assert_int_equal(w->npublished, 1);
	assert_string_equal(w->published[0]->field[0], b->id);
	assert_int_equal(w->published[0]->d.ev.flags, CHAT_F_LOST);
	run(w);
	w->mono_ms += 3999;
	chat_tick(w->chat[0]);
	assert_int_equal(w->npublished, 0);
	w->mono_ms += 1;
	chat_tick(w->chat[0]);
	assert_int_equal(w->npublished, 1);
	assert_string_equal(w->published[0]->field[0], a->id);
	assert_int_equal(w->published[0]->d.ev.owner.serial, a->owner.serial);
	run(w);
	assert_false(w->presence[0].used || w->presence[1].used);
}

static void
why_one_went_is_remembered_for_a_minute(void **state)
{
	struct world *w = *state;
	struct conn *a, *b = client(w, 1, "bob");
	int late;

	join_all(w, "s1");
	for (late = 0; late < 2; late++) {
		a = client(w, 0, "ada");
		say(a, "chat:join-session", S1, 0);
		hang_up(a, "kicked");
		w->mono_ms += late ? 60000 : 59999;
		chat_tick(w->chat[0]);
		run(w);
		(void)expect_event(b, "chat:user-joined");
		assert_member(expect_event(b, "chat:user-left"), "reason",
		    late ? "\"transport close\"" : "\"kicked\"");
	}
	/* and only of so many */
	for (late = 0; late < 1100; late++) {
		w->nconns = 1;
		a = client(w, 0, "ada");
		say(a, "chat:join-session", S1, 0);
		hang_up(a, "kicked");
	}
	run(w);
	skip_all(b);
}

static void
an_orphans_leave_is_told(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada");
	struct chat_delivery d = { .ev = { .type = CHAT_LEAVE,
				       .flags = CHAT_F_ORPHAN,
				       .room = 1,
				       .user = 100,
				       .nfields = 3 },
		.gseq = 5000,
		.time_ms = START_MS };

	join_all(w, "s1");
	d.ev.field[0] = str_of("socket-of-the-dead");
	d.ev.field[1] = str_of("zoe");
	d.ev.field[2] = str_of("transport close");
	chat_deliver(w->chat[0], &d);
	expect(a,
	    "chat:user-left {\"sessionId\":\"s1\",\"userId\":\"zoe\","
	    "\"socketId\":\"socket-of-the-dead\",\"timestamp\":1700000000000,"
	    "\"reason\":\"transport close\",\"remaining\":0}");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(leaving_is_answered_and_told),
		T(leaving_what_is_not_joined_is_an_error),
		T(the_others_learn_how_many_sockets_remain),
		T(a_disconnect_leaves_all_sessions),
		T(who_hangs_up_while_joining_is_seen_to_come_and_go),
		T(a_connections_next_socket_is_another),
		T(who_hangs_up_while_leaving_leaves_once),
		T(a_leave_that_the_store_could_not_take_comes_again),
		T(who_asks_to_leave_stays_when_that_cannot_be_stored),
		T(leaves_are_published_when_they_are_due),
		T(why_one_went_is_remembered_for_a_minute),
		T(an_orphans_leave_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
