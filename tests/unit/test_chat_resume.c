/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_chat_resume - a socket that is taken up again: what chat.h promises
 * about chat_resume(), step by step.
 */

#include "tests/unit/chat_return.h"

#define SENT "chat:message-sent"
#define RECEIVED "chat:message-received"
#define SUCCESS "chat:join-session-success"
#define SYNC "chat:presence-sync"

static void
what_was_missed_comes_before_connect(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b = client(w, 0, "bob"), *a2;
	struct json_value v;

	join_all(w, "s1");
	say_messages(b, "s1", 1, 2);
	run(w);
	expect_received(a, 1, 2);
	hang_up(a, "transport close");
	say_messages(b, "s1", 3, 4);
	run(w);
	skip_all(b);

	a2 = come_back(a, 1, "ada");
	assert_int_equal(a2->nout, 0);
	run(w);
	expect_received(a2, 3, 4);
	expect(a2, "CONNECT recovered");
	assert_string_equal(a2->id, a->id);
	assert_string_equal(a2->pid, a->pid);
	v = expect_event(a2, SYNC);
	assert_member(v, "sessionId", "\"s1\"");
	assert_member(v, "count", "2");
	expect_nothing(a2);
	(void)expect_event(b, "chat:user-joined");
	say_messages(b, "s1", 5, 5);
	run(w);
	expect_received(a2, 5, 5);
	expect_nothing(a2);
	assert_int_equal(w->charged[CHAT_RATE_JOIN], 2);
	assert_int_equal(w->counts[CHAT_COUNT_RESUMED], 1);
	assert_int_equal(w->counts[CHAT_COUNT_TAKEN_OVER], 0);
}

static void
many_rooms_and_nothing_missed(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *a2;
	char name[16];
	int i;

	for (i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "s%d", i);
		join(a, "w1", name);
	}
	hang_up(a, "ping timeout");
	run(w);
	a2 = come_back(a, 1, "ada");
	run(w);
	expect(a2, "CONNECT recovered");
	for (i = 0; i < 20; i++)
		(void)expect_event(a2, SYNC);
	expect_nothing(a2);
	/* its rights and its status are those of one who has joined */
	for (i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "s%d", i);
		message(a2, name, "m", "x");
	}
	run(w);
	for (i = 0; i < 20; i++)
		(void)expect_event(a2, SENT);
	expect_nothing(a2);
}

static void
answers_to_its_own_messages_are_among_what_it_missed(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b = client(w, 1, "bob"), *a2;

	join_all(w, "s1");
	say_messages(b, "s1", 1, 1);
	say_messages(a, "s1", 2, 2);
	hang_up(a, "transport close");
	run(w);
	say_messages(b, "s1", 3, 3);
	run(w);
	a2 = come_back(a, 1, "ada");
	run(w);
	expect_seq(a2, RECEIVED, 1);
	expect(a2,
	    "chat:message-sent {\"messageId\":\"s1-m2\",\"timestamp\":"
	    "1700000000000,\"sessionId\":\"s1\",\"seq\":2}");
	expect_seq(a2, RECEIVED, 3);
	expect(a2, "CONNECT recovered");
	/* and come once */
	hang_up(a2, "transport close");
	run(w);
	a2 = come_back(a2, 0, "ada");
	run(w);
	expect(a2, "CONNECT recovered");
	(void)expect_event(a2, SYNC);
	expect_nothing(a2);
}

/* Published by the old connection, but stored behind the RESUME. */
static void
a_message_that_was_under_way_is_answered_too(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b = client(w, 1, "bob"), *a2;
	struct stored *late;
	int worker;

	join_all(w, "s1");
	for (worker = 0; worker < WORKERS; worker++) {
		say_messages(a, "s1", 10 + worker, 10 + worker);
		late = w->published[--w->npublished];
		hang_up(a, "transport close");
		run(w);
		a2 = come_back(a, worker, "ada");
		if (worker == 1) {
			/* it may even come while nobody is connected yet */
			steps(w);
			w->published[w->npublished++] = late;
			run(w);
			expect_seq(a2, SENT, 2);
			expect(a2, "CONNECT recovered");
		} else {
			run(w);
			expect(a2, "CONNECT recovered");
			(void)expect_event(a2, SYNC);
			w->published[w->npublished++] = late;
			run(w);
			expect_seq(a2, SENT, 1);
			expect_nothing(a2);
		}
		a = a2;
	}
	skip_all(b);
}

static void
without_an_offset_it_gets_all_since_it_joined(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b = client(w, 1, "bob"), *a2;
	struct json_value v;

	join(b, "w1", "s1");
	say_messages(b, "s1", 1, 3);
	run(w);
	say(a, "chat:join-session",
	    "{\"sessionId\":\"s1\",\"workspaceId\":\"w1\",\"agentId\":\"bot\","
	    "\"afterSeq\":1}",
	    0);
	steps(w);
	say_messages(b, "s1", 4, 4);
	say_messages(a, "s1", 5, 5);
	hang_up(a, "transport close");
	run(w);
	a2 = come_back_as(w, 0, "ada", a->pid, NULL);
	run(w);
	/* as if the connection had never been lost */
	v = expect_event(a2, SUCCESS);
	assert_member(v, "lastSeq", "3");
	assert_member(v, "agentId", "\"bot\"");
	assert_member(v, "workspaceId", "\"w1\"");
	assert_int_equal(json_member(v, "truncated").kind, JSON_KIND_NONE);
	expect_received(a2, 2, 4);
	expect_seq(a2, SENT, 5);
	expect(a2, "CONNECT recovered");
	(void)expect_event(a2, SYNC);
	expect_nothing(a2);
}

static void
a_lost_answer_is_cut_as_it_would_have_been(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b = client(w, 1, "bob"), *a2;

	w->cfg.replay_max = 2;
	join(b, "w1", "s1");
	say_messages(b, "s1", 1, 5);
	run(w);
	say(a, "chat:join-session",
	    "{\"sessionId\":\"s1\",\"workspaceId\":\"w1\",\"afterSeq\":0}", 0);
	say_messages(b, "s1", 6, 9);
	steps(w);
	hang_up(a, "transport close");
	run(w);
	a2 = come_back_as(w, 0, "ada", a->pid, NULL);
	run(w);
	assert_member(expect_event(a2, SUCCESS), "truncated", "true");
	/* two of the replay, and all that was live: that is never cut */
	expect_received(a2, 4, 9);
	expect(a2, "CONNECT recovered");
}

/* The answers of two joins are lost, that of the first was seen. */
static void
only_answers_that_were_lost_come_again(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b = client(w, 1, "bob"), *a2;
	char *offset;

	join(a, "w1", "s1");
	offset = xdup(last_offset(a));
	join(a, "w1", "s2");
	join(a, "w1", "s3");
	join_all(w, "s1");
	join(b, "w1", "s2");
	say_messages(b, "s1", 1, 2);
	say_messages(b, "s2", 1, 1);
	run(w);
	hang_up(a, "transport close");
	run(w);
	a2 = come_back_as(w, 1, "ada", a->pid, offset);
	run(w);
	expect_received(a2, 1, 2);
	assert_member(expect_event(a2, SUCCESS), "sessionId", "\"s2\"");
	expect_received(a2, 1, 1);
	assert_member(expect_event(a2, SUCCESS), "sessionId", "\"s3\"");
	expect(a2, "CONNECT recovered");
	free(offset);
}

static void
offsets_that_make_no_sense_give_a_new_socket(void **state)
{
	static const char *const bad[] = { "", "0", "Q84gah_", "1.0:1",
		"zzzzzzzz", "1\\u0031", "3w5e11264sgsf" };
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b = client(w, 1, "bob"), *a2;
	size_t i;

	join(b, "w1", "s1");
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		join(a, "w1", "s1");
		hang_up(a, "transport close");
		run(w);
		a2 = come_back_as(w, (int)i % WORKERS, "ada", a->pid, bad[i]);
		run(w);
		expect(a2, "CONNECT new");
		expect_nothing(a2);
		assert_string_not_equal(a2->id, a->id);
		assert_string_not_equal(a2->pid, a->pid);
		/* one from the future is seen only when the row is ours */
		assert_int_equal(row_of(a) == NULL,
		    strlen(bad[i]) >= 8 && bad[i][0] != 'Q');
		/* it is a socket like any other, and can be resumed itself */
		join(a2, "w1", "s1");
		(void)expect_event(a2, SUCCESS);
		hang_up(a2, "transport close");
		run(w);
		a = come_back(a2, 0, "ada");
		run(w);
		expect(a, "CONNECT recovered");
		say(a, "chat:leave-session", "{\"sessionId\":\"s1\"}", 0);
		run(w);
	}
	assert_int_equal(w->counts[CHAT_COUNT_NOT_RESUMED], i);
}

/* An offset that some other socket was told. */
static void
a_foreign_offset_harms_only_its_bearer(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b = client(w, 1, "bob"), *a2;
	char offset[80];

	join_all(w, "s1");
	join(b, "w1", "s2");
	say_messages(b, "s1", 1, 4);
	run(w);
	hang_up(a, "transport close");
	run(w);
	/* of rooms 2, in which it is not, and 30, which there is not */
	snprintf(offset, sizeof(offset), "%s.2:1:1.u:5", last_offset(a));
	a2 = come_back_as(w, 0, "ada", a->pid, offset);
	run(w);
	expect(a2, "CONNECT recovered");
	(void)expect_event(a2, SYNC);
	hang_up(a2, "transport close");
	run(w);
	/* it may read again what it may read */
	snprintf(offset, sizeof(offset), "%s.1:2:3", last_offset(a));
	a2 = come_back_as(w, 0, "ada", a->pid, offset);
	run(w);
	expect_received(a2, 2, 4);
	expect(a2, "CONNECT recovered");
}

static void
somebody_elses_pid_gives_a_new_socket_and_disturbs_nobody(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *e;
	static const char *const pids[] = { "", "x", "pid-000-01234567890",
		"pid-000-0123456789012", "nobody-has-this-pid-",
		"pid-000-01234567890\\\"" };
	size_t i;

	join(a, "w1", "s1");
	skip_all(a);
	e = come_back_as(w, 0, "eve", a->pid, last_offset(a));
	expect(e, "CONNECT new");
	assert_int_equal(w->npublished, 0);
	e = come_back_as(w, 1, "eve", a->pid, last_offset(a));
	expect(e, "CONNECT new");
	assert_int_equal(w->npublished, 0);
	for (i = 0; i < sizeof(pids) / sizeof(pids[0]); i++) {
		e = come_back_as(w, 1, "ada", pids[i], NULL);
		expect(e, "CONNECT new");
	}
	run(w);
	expect_nothing(a);
	message(a, "s1", "m1", "x");
	run(w);
	(void)expect_event(a, SENT);
}

static void
a_connection_that_is_still_there_is_taken_over_unseen(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b = client(w, 0, "bob"), *a2;
	int i;

	join_all(w, "s1");
	for (i = 0; i < 6; i++) {
		w->close_at_once = i % 2 == 0;
		a2 = come_back(a, i / 2 % WORKERS, "ada");
		/* the RESUME is everywhere, the new one has not joined yet */
		sequence(w);
		deliver(w, 9);
		w->mono_ms += 1000;
		chat_tick(w->chat[0]);
		chat_tick(w->chat[1]);
		run(w);
		expect(a, "CLOSE");
		assert_null(a->s);
		expect(a2, "CONNECT recovered");
		(void)expect_event(a2, SYNC);
		expect_nothing(a2);
		expect_nothing(b);
		a = a2;
		/* what the old ones could not know is put in order silently */
		w->mono_ms += 20000;
		chat_tick(w->chat[0]);
		chat_tick(w->chat[1]);
		run(w);
		expect_nothing(b);
		say_messages(b, "s1", i + 1, i + 1);
		run(w);
		expect_received(a, i + 1, i + 1);
		skip_all(b);
	}
	assert_int_equal(w->counts[CHAT_COUNT_TAKEN_OVER], 6);
}

/* The one who took over is lost before he is in the session. */
static void
if_the_new_one_does_not_join_the_old_one_leaves(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b = client(w, 0, "bob"), *a2;

	join_all(w, "s1");
	say(a, "chat:typing", "{\"sessionId\":\"s1\",\"isTyping\":true}", 0);
	run(w);
	(void)expect_event(b, "chat:typing-indicator");
	a2 = come_back(a, 1, "ada");
	steps(w);
	expect(a, "CLOSE");
	hang_up(a, "forced close");
	hang_up(a2, "transport close");
	run(w);
	assert_member(expect_event(b, "chat:typing-indicator"), "isTyping",
	    "false");
	expect_nothing(b);
	w->mono_ms += 5000;
	chat_tick(w->chat[0]);
	run(w);
	assert_member(expect_event(b, "chat:user-left"), "reason",
	    "\"transport close\"");
	expect_nothing(b);
	/* and it can still come back */
	a2 = come_back(a, 1, "ada");
	run(w);
	expect(a2, "CONNECT recovered");
	(void)expect_event(b, "chat:user-joined");
}

static void
of_two_with_one_pid_one_remains(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b = client(w, 0, "bob");
	struct conn *x, *y;
	int i;

	join_all(w, "s1");
	hang_up(a, "transport close");
	run(w);
	(void)expect_event(b, "chat:user-left");
	for (i = 0; i < 4; i++) {
		x = come_back(a, 0, "ada");
		y = come_back(a, i % WORKERS, "ada");
		run(w);
		expect(x, "CLOSE");
		expect_nothing(x);
		assert_null(x->s);
		expect(y, "CONNECT recovered");
		(void)expect_event(y, SYNC);
		expect_nothing(y);
		(void)expect_event(b, "chat:user-joined");
		expect_nothing(b);
		hang_up(y, "transport close");
		run(w);
		(void)expect_event(b, "chat:user-left");
	}
	assert_int_equal(waiting(b), 0);
}

static void
what_it_may_not_reach_any_more_is_left(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b = client(w, 1, "bob"), *a2;
	char auth[300];

	join_all(w, "s1");
	join(a, "w2", "t1");
	hang_up(a, "transport close");
	say_messages(b, "s1", 1, 1);
	run(w);
	snprintf(auth, sizeof(auth),
	    "\"userId\":\"ada\",\"workspaces\":[\"w2\"],\"pid\":\"%s\","
	    "\"offset\":\"%s\"",
	    a->pid, last_offset(a));
	a2 = connect_with(w, 0, auth, false);
	run(w);
	expect(a2,
	    "chat:join-session-error {\"error\":\"Access denied to chat "
	    "session\",\"code\":\"ACCESS_DENIED\",\"retryable\":false,"
	    "\"sessionId\":\"s1\",\"workspaceId\":\"w1\"}");
	expect(a2, "CONNECT recovered");
	assert_member(expect_event(a2, SYNC), "sessionId", "\"t1\"");
	expect_nothing(a2);
	assert_int_equal(w->counts[CHAT_COUNT_UNAUTHORIZED_ACCESS], 1);
	assert_int_equal(row_of(a2)->nrooms, 1);
	skip_all(b);
	say_messages(b, "s1", 2, 2);
	run(w);
	expect_nothing(a2);
	/* with none left it is still its socket */
	hang_up(a2, "transport close");
	snprintf(auth, sizeof(auth),
	    "\"userId\":\"ada\",\"workspaces\":[],\"pid\":\"%s\"", a->pid);
	run(w);
	a2 = connect_with(w, 0, auth, false);
	run(w);
	(void)expect_event(a2, "chat:join-session-error");
	expect(a2, "CONNECT recovered");
	expect_nothing(a2);
	assert_null(row_of(a2));
}

static void
a_session_that_is_full_now_is_refused_alone(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *a2;
	int i;

	join(a, "w1", "s1");
	join(a, "w1", "s2");
	hang_up(a, "transport close");
	run(w);
	a2 = come_back(a, 0, "ada");
	/* its RESUME; then the first of its joins */
	sequence(w);
	deliver(w, 1);
	a2->want_produce = false;
	chat_produce(w->chat[0], a2->s, w->engine[0].delivered);
	assert_int_equal(w->npublished, 2);
	w->force = true;
	w->forced = CHAT_SESSION_FULL;
	decide(w, w->published[0]);
	w->force = false;
	decide(w, w->published[1]);
	/* the verdict tells the room as the scribe's does */
	w->published[0]->d.ev.room = 1;
	for (i = 0; i < 2; i++)
		w->sequenced[w->nsequenced++] = w->published[i];
	w->npublished = 0;
	run(w);
	assert_member(expect_event(a2, "chat:join-session-error"), "code",
	    "\"SESSION_FULL\"");
	expect(a2, "CONNECT recovered");
	assert_member(expect_event(a2, SYNC), "sessionId", "\"s2\"");
	expect_nothing(a2);
	assert_int_equal(row_of(a2)->nrooms, 1);
}

static void
the_window_is_kept(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *a2;

	join(a, "w1", "s1");
	hang_up(a, "transport close");
	run(w);
	w->real_ms += 120000;
	a2 = come_back(a, 0, "ada");
	run(w);
	expect(a2, "CONNECT recovered");
	hang_up(a2, "transport close");
	run(w);
	w->real_ms += 120001;
	a2 = come_back(a2, 0, "ada");
	assert_int_equal(w->npublished, 0);
	expect(a2, "CONNECT new");
	/* it ends while the RESUME is under way */
	join(a2, "w1", "s1");
	skip_all(a2);
	hang_up(a2, "transport close");
	run(w);
	a = come_back(a2, 0, "ada");
	w->real_ms += 200000;
	run(w);
	expect(a, "CONNECT new");
	expect_nothing(a);
	assert_non_null(chat_socket_pid(a->s));
}

static void
without_a_window_there_is_nothing_of_it(void **state)
{
	struct world *w = *state;
	struct conn *a, *a2;

	w->cfg.recovery_window = 0;
	a = client(w, 0, "ada");
	assert_null(chat_socket_pid(a->s));
	join(a, "w1", "s1");
	assert_null(last_offset(a));
	assert_string_equal(w->sequenced[0]->field[6], "");
	hang_up(a, "transport close");
	run(w);
	a2 = come_back_as(w, 0, "ada", a->pid, NULL);
	expect(a2, "CONNECT new");
	assert_null(chat_socket_pid(a2->s));
	assert_int_equal(w->npublished, 0);
}

static void
who_takes_no_offset_gets_none(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b = client(w, 0, "bob"), *c, *d;
	int encodes;

	w->without_offsets = true;
	c = client(w, 0, "cyd");
	d = client(w, 0, "dan");
	assert_null(chat_socket_pid(c->s));
	join_all(w, "s1");
	encodes = w->encodes;
	say_messages(a, "s1", 1, 1);
	run(w);
	/* one frame for all with, one for all without, one for the sender */
	assert_int_equal(w->encodes, encodes + 3);
	expect_received(b, 1, 1);
	expect_received(c, 1, 1);
	expect_received(d, 1, 1);
	assert_string_equal(last_offset(b), last_offset(a));
	assert_null(last_offset(c));
	say_messages(c, "s1", 2, 2);
	run(w);
	(void)expect_event(c, SENT);
	assert_null(last_offset(c));
	assert_null(last_offset(d));
	/* and its pid, whatever it says, is none */
	hang_up(c, "transport close");
	run(w);
	c = come_back(c, 0, "cyd");
	expect(c, "CONNECT new");
}

static void
disconnected_on_purpose_it_does_not_come_back(void **state)
{
	static const char *const meant[] = { "client namespace disconnect",
		"server namespace disconnect", "kicked", "parse error" };
	static const char *const not [] = { "transport close",
		"transport error", "ping timeout", "forced close",
		"server shutting down" };
	struct world *w = *state;
	struct conn *a, *a2;
	size_t i;

	for (i = 0; i < sizeof(meant) / sizeof(meant[0]); i++) {
		a = client(w, 0, "ada");
		join(a, "w1", "s1");
		join(a, "w1", "s2");
		hang_up(a, meant[i]);
		run(w);
		a2 = come_back(a, 1, "ada");
		run(w);
		expect(a2, "CONNECT new");
	}
	for (i = 0; i < sizeof(not ) / sizeof(not [0]); i++) {
		a = client(w, 0, "ada");
		join(a, "w1", "s1");
		hang_up(a, not [i]);
		run(w);
		a2 = come_back(a, 1, "ada");
		run(w);
		expect(a2, "CONNECT recovered");
	}
}

/* Also when what it joined was not known yet. */
static void
who_goes_for_good_while_joining_does_not_come_back(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b = client(w, 1, "bob"), *a2;

	join_all(w, "s1");
	say(a, "chat:leave-session", "{\"sessionId\":\"s1\"}", 0);
	run(w);
	skip_all(b);
	say(a, "chat:join-session",
	    "{\"sessionId\":\"s1\",\"workspaceId\":\"w1\"}", 0);
	hang_up(a, "client namespace disconnect");
	run(w);
	(void)expect_event(b, "chat:user-joined");
	assert_member(expect_event(b, "chat:user-left"), "reason",
	    "\"client namespace disconnect\"");
	assert_null(row_of(a));
	a2 = come_back(a, 1, "ada");
	run(w);
	expect(a2, "CONNECT new");
	/* lost while joining it comes back into what it joined */
	say(a2, "chat:join-session",
	    "{\"sessionId\":\"s1\",\"workspaceId\":\"w1\"}", 0);
	hang_up(a2, "transport close");
	run(w);
	a = come_back(a2, 0, "ada");
	run(w);
	(void)expect_event(a, SUCCESS);
	expect(a, "CONNECT recovered");
}

static void
a_session_that_was_left_is_not_restored(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *a2;

	join(a, "w1", "s1");
	join(a, "w1", "s2");
	say(a, "chat:leave-session", "{\"sessionId\":\"s1\"}", 0);
	run(w);
	hang_up(a, "transport close");
	run(w);
	a2 = come_back(a, 1, "ada");
	run(w);
	expect(a2, "CONNECT recovered");
	assert_member(expect_event(a2, SYNC), "sessionId", "\"s2\"");
	expect_nothing(a2);
}

static void
what_a_connect_says_is_read_with_care(void **state)
{
	static const struct {
		const char *payload, *pid, *offset;
	} rows[] = {
		{ "{\"pid\":\"p\",\"offset\":\"o\"}", "p", "o" },
		{ "{\"token\":\"t\",\"offset\":\"1.2\",\"pid\":\"x\\n\"}",
		    "x\\n", "1.2" },
		{ "{\"pid\":\"\"}", "", NULL },
		{ "{\"pid\":\"p\",\"offset\":null}", "p", "" },
		{ "{\"pid\":\"p\",\"offset\":17}", "p", "" },
		{ "{\"pid\":\"p\",\"offset\":[\"1\"]}", "p", "" },
		{ "{\"pid\":null,\"offset\":\"o\"}", NULL, NULL },
		{ "{\"pid\":5}", NULL, NULL },
		{ "{\"pid\":{}}", NULL, NULL },
		{ "{\"offset\":\"o\"}", NULL, NULL },
		{ "{}", NULL, NULL },
		{ "", NULL, NULL },
	};
	struct chat_resume r;
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bool wants = chat_wants_resume(rows[i].payload,
		    strlen(rows[i].payload), &r);

		assert_int_equal(wants, rows[i].pid != NULL);
		if (!wants)
			continue;
		assert_int_equal(r.pid.len, strlen(rows[i].pid));
		assert_memory_equal(r.pid.p, rows[i].pid, r.pid.len);
		assert_int_equal(r.offset.p != NULL, rows[i].offset != NULL);
		if (rows[i].offset == NULL)
			continue;
		assert_int_equal(r.offset.len, strlen(rows[i].offset));
		assert_memory_equal(r.offset.p, rows[i].offset, r.offset.len);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(what_was_missed_comes_before_connect),
		T(many_rooms_and_nothing_missed),
		T(answers_to_its_own_messages_are_among_what_it_missed),
		T(a_message_that_was_under_way_is_answered_too),
		T_NOW(without_an_offset_it_gets_all_since_it_joined),
		T(a_lost_answer_is_cut_as_it_would_have_been),
		T_NOW(only_answers_that_were_lost_come_again),
		T(offsets_that_make_no_sense_give_a_new_socket),
		T(a_foreign_offset_harms_only_its_bearer),
		T_NOW(
		    somebody_elses_pid_gives_a_new_socket_and_disturbs_nobody),
		T(a_connection_that_is_still_there_is_taken_over_unseen),
		T_NOW(if_the_new_one_does_not_join_the_old_one_leaves),
		T_NOW(of_two_with_one_pid_one_remains),
		T(what_it_may_not_reach_any_more_is_left),
		T_NOW(a_session_that_is_full_now_is_refused_alone),
		T_NOW(the_window_is_kept),
		T(without_a_window_there_is_nothing_of_it),
		T(who_takes_no_offset_gets_none),
		T(disconnected_on_purpose_it_does_not_come_back),
		T(who_goes_for_good_while_joining_does_not_come_back),
		T(a_session_that_was_left_is_not_restored),
		T(what_a_connect_says_is_read_with_care),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
