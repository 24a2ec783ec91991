/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_chat_resume_faults - a socket that is taken up again while the store
 * fails, connections are cut and workers die.
 */

#include "tests/unit/chat_return.h"

#define SENT "chat:message-sent"
#define RECEIVED "chat:message-received"
#define SUCCESS "chat:join-session-success"
#define SYNC "chat:presence-sync"

static void
events_that_come_too_early_are_done_in_order(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b = client(w, 1, "bob"), *a2;
	int i;

	join_all(w, "s1");
	hang_up(a, "transport close");
	say_messages(b, "s1", 1, 1);
	run(w);
	skip_all(b);
	a2 = come_back(a, 0, "ada");
	say_messages(a2, "s1", 2, 3);
	say(a2, "chat:typing", "{\"sessionId\":\"s1\",\"isTyping\":true}", 0);
	say(a2, "chat:nonsense", "{}", 5);
	for (i = 4; i < 32; i++)
		say(a2, "chat:nonsense", "{}", 0);
	/* that is too much */
	say(a2, "chat:typing", "{}", 6);
	assert_member(expect_event(a2, "ack:6"), "code", "\"OVERLOADED\"");
	run(w);
	expect_received(a2, 1, 1);
	expect(a2, "CONNECT recovered");
	assert_member(expect_event(a2, "ack:5"), "code", "\"UNKNOWN_EVENT\"");
	(void)expect_event(a2, SYNC);
	expect_seq(a2, SENT, 2);
	expect_seq(a2, SENT, 3);
	(void)expect_event(b, "chat:user-joined");
	expect_received(b, 2, 3);
}

/* However late one of them is read. */
static void
what_was_missed_in_all_sessions_comes_before_connect(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b = client(w, 0, "bob"), *a2;

	/* by chance the first one has all of them at once */
	if (w->late > 0)
		w->late_seed++;
	join_all(w, "s1");
	join_all(w, "s2");
	join_all(w, "s3");
	hang_up(a, "transport close");
	say_messages(b, "s1", 1, 2);
	say_messages(b, "s2", 1, 2);
	say_messages(b, "s3", 1, 2);
	run(w);
	a2 = come_back(a, 1, "ada");
	run(w);
	expect_received(a2, 1, 2);
	expect_received(a2, 1, 2);
	expect_received(a2, 1, 2);
	expect(a2, "CONNECT recovered");
}

static void
a_store_that_cannot_be_read_is_waited_for(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b = client(w, 1, "bob"), *a2;
	bool *const faults[] = { &w->fail_recovery, &w->fail_seek };
	int i, k;

	join_all(w, "s1");
	hang_up(a, "transport close");
	say_messages(b, "s1", 1, 1);
	run(w);
	for (i = 0; i < 3; i++) {
		/* 0: from the start, 1: behind the RESUME, 2: the replays */
		*faults[i / 2] = i != 1;
		a2 = come_back(a, 0, "ada");
		*faults[i / 2] = true;
		for (k = 0; k < 4; k++) {
			run(w);
			expect_nothing(a2);
			w->mono_ms += 1000;
			chat_tick(w->chat[0]);
		}
		*faults[i / 2] = false;
		chat_tick(w->chat[0]);
		run(w);
		expect_received(a2, 1, 1);
		expect(a2, "CONNECT recovered");
		hang_up(a2, "transport close");
		run(w);
	}
}

static void
but_not_for_ever(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b = client(w, 1, "bob"), *a2;
	bool *const faults[] = { &w->fail_recovery, &w->fail_seek };
	int i, k;

	join_all(w, "s1");
	hang_up(a, "transport close");
	say_messages(b, "s1", 1, 1);
	run(w);
	for (i = 0; i < 3; i++) {
		*faults[i / 2] = i != 1;
		a2 = come_back(a, 0, "ada");
		*faults[i / 2] = true;
		for (k = 0; k < 7; k++) {
			run(w);
			w->mono_ms += 1000;
			chat_tick(w->chat[0]);
		}
		run(w);
		expect(a2, "CONNECT_ERROR STORE_UNAVAILABLE");
		expect_nothing(a2);
		assert_null(a2->s);
		*faults[i / 2] = false;
		/* nothing is lost: it tries again */
		assert_false(w->presence[0].used);
		a2 = come_back(a, 1, "ada");
		run(w);
		expect_received(a2, 1, 1);
		expect(a2, "CONNECT recovered");
		hang_up(a2, "transport close");
		run(w);
	}
}

static void
verdicts_that_the_store_is_down_are_told(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b = client(w, 1, "bob"), *a2;
	int i;

	join_all(w, "s1");
	join(a, "w1", "s2");
	hang_up(a, "transport close");
	run(w);
	skip_all(b);
	w->forced = CHAT_STORE_UNAVAILABLE;
	for (i = 0; i < 2; i++) {
		/* about the RESUME; about the second JOIN */
		a2 = come_back(a, 0, "ada");
		w->force = i == 0;
		sequence(w);
		deliver(w, 9);
		(void)produce(w);
		if (i == 1) {
			decide(w, w->published[0]);
			w->force = true;
			decide(w, w->published[1]);
			w->sequenced[w->nsequenced++] = w->published[0];
			w->sequenced[w->nsequenced++] = w->published[1];
			w->npublished = 0;
		}
		w->force = false;
		run(w);
		expect(a2, "CONNECT_ERROR STORE_UNAVAILABLE");
		assert_null(a2->s);
	}
	/* it was in for a moment */
	(void)expect_event(b, "chat:user-joined");
	(void)expect_event(b, "chat:user-left");
	a2 = come_back(a, 0, "ada");
	run(w);
	expect(a2, "CONNECT recovered");
	(void)expect_event(a2, SYNC);
	(void)expect_event(a2, SYNC);
}

static void
in_a_crowd_only_a_place_that_is_taken_is_free(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *a2;
	char auth[100];
	struct chat_resume resume = { .crowded = true };
	struct chat_connect options = { .offsets = true };
	struct identity *id = identity_of(w, "{\"userId\":\"ada\"}");

	join(a, "w1", "s1");
	snprintf(auth, sizeof(auth), "\"userId\":\"ada\",\"pid\":\"%s\"",
	    a->pid);
	skip_all(a);
	a2 = connect_with(w, 1, auth, true);
	run(w);
	expect(a, "CLOSE");
	(void)expect_event(a2, SUCCESS);
	expect(a2, "CONNECT recovered");
	/* one that is not there has no place */
	hang_up(a2, "transport close");
	run(w);
	resume.pid = str_of(a2->pid);
	assert_null(chat_resume(w->chat[0], a2, &id, &resume, &options));
	assert_non_null(id);
	identity_free(&id);
	/* or goes before the RESUME is decided */
	a2 = come_back(a2, 1, "ada");
	run(w);
	a = connect_with(w, 1, auth, true);
	hang_up(a2, "client namespace disconnect");
	/* in that order */
	assert_int_equal(w->npublished, 2);
	w->published[EVENTS - 1] = w->published[0];
	w->published[0] = w->published[1];
	w->published[1] = w->published[EVENTS - 1];
	run(w);
	expect(a, "CONNECT_ERROR TOO_MANY_CONNECTIONS");
	assert_null(a->s);
}

static void
cut_at_any_step_it_begins_again(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b = client(w, 0, "bob"), *a2;
	int step, i;

	join_all(w, "s1");
	join(a, "w1", "s2");
	hang_up(a, "transport close");
	say_messages(b, "s1", 1, 3);
	run(w);
	for (step = 0; step < 8; step++) {
		a2 = come_back(a, step % WORKERS, "ada");
		for (i = 0; i < step; i++) {
			if (i % 3 == 0)
				sequence(w);
			else if (i % 3 == 1)
				deliver(w, 9);
			else
				(void)produce(w);
		}
		hang_up(a2, "transport error");
		run(w);
		w->mono_ms += 6000;
		chat_tick(w->chat[0]);
		chat_tick(w->chat[1]);
		run(w);
		/* nobody is there, the row is lost, and has both */
		assert_non_null(row_of(a));
		assert_true(row_of(a)->lost_ms > 0);
		assert_int_equal(row_of(a)->nrooms, 2);
		for (i = 0; i < ROWS; i++)
			assert_false(w->presence[i].used &&
			    strcmp(w->presence[i].user_id, "ada") == 0);
	}
	a2 = come_back(a, 0, "ada");
	run(w);
	expect_received(a2, 1, 3);
	expect(a2, "CONNECT recovered");
	/* the others saw as many come as go, and the last one come */
	for (i = 0; i < b->nout; i++) {
		if (strncmp(b->out[i], "chat:user-joined", 16) == 0)
			step++;
		else if (strncmp(b->out[i], "chat:user-left", 14) == 0)
			step--;
	}
	assert_int_equal(step, 8);
}

static void
it_outlives_its_worker_and_the_daemon(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b = client(w, 1, "bob"), *a2;

	join_all(w, "s1");
	say_messages(b, "s1", 1, 1);
	run(w);
	skip_all(b);
	skip_all(a);
	kill_worker(w, 0);
	say_messages(b, "s1", 2, 2);
	run(w);
	(void)expect_event(b, "chat:user-left");
	a2 = come_back(a, 0, "ada");
	run(w);
	expect_received(a2, 2, 2);
	expect(a2, "CONNECT recovered");
	(void)expect_event(b, SENT);
	(void)expect_event(b, "chat:user-joined");
	/* before anybody has noticed that it is dead */
	kill_worker(w, 0);
	a = come_back(a2, 1, "ada");
	run(w);
	expect(a, "CONNECT recovered");
	/* its JOIN may be there before its worker's orphan, or behind it */
	while (waiting(b) > 1) {
		(void)expect_event(b, "chat:user-left");
		(void)expect_event(b, "chat:user-joined");
	}
	expect_nothing(b);
	say_messages(b, "s1", 3, 3);
	run(w);
	(void)expect_event(a, SYNC);
	expect_received(a, 3, 3);
	restart_daemon(w);
	a2 = come_back(a, 0, "ada");
	run(w);
	expect(a2, "CONNECT recovered");
	(void)expect_event(a2, SYNC);
	b = come_back(b, 1, "bob");
	run(w);
	expect(b, "CONNECT recovered");
	say_messages(b, "s1", 4, 4);
	run(w);
	(void)expect_event(a2, "chat:user-joined");
	expect_received(a2, 4, 4);
	expect_nothing(a2);
}

/* Messages of 2000 characters. */
static void
say_long(struct conn *c, const char *session, int from, int to)
{
	char json[2200], id[40];

	for (; from <= to; from++) {
		snprintf(id, sizeof(id), "%s-m%d", session, from);
		snprintf(json, sizeof(json),
		    "{\"message\":{\"id\":\"%s\",\"content\":\"%02000d\","
		    "\"sessionId\":\"%s\"}}",
		    id, from, session);
		say(c, "chat:send-message", json, 0);
	}
	run(c->w);
}

/* Until the first piece has been sent. */
static void
first_piece(struct conn *c)
{
	struct world *w = c->w;

	while (c->nout == 0) {
		c->want_produce = false;
		chat_produce(w->chat[c->worker], c->s,
		    w->engine[c->worker].delivered);
		steps(w);
		reads_go_on(w);
	}
}

static void
a_long_replay_goes_on_behind_connect(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b = client(w, 1, "bob"), *a2;
	struct offset o;
	const char *why;
	int before = 0;

	w->cfg.limits_message_length = 0;
	join_all(w, "s1");
	join_all(w, "s2");
	hang_up(a, "transport close");
	say_long(b, "s1", 1, 100);
	a2 = come_back(a, 0, "ada");
	first_piece(a2);
	for (; strncmp(a2->out[a2->next], RECEIVED, 10) == 0; a2->next++)
		before++;
	/* one piece */
	assert_in_range(before, 25, 40);
	expect(a2, "CONNECT recovered");
	/* the other session is live soon; and what it is sent there tells how
	 * far it is here */
	chat_produce(w->chat[0], a2->s, w->engine[0].delivered);
	(void)expect_event(a2, SYNC);
	(void)expect_event(a2, SYNC);
	for (; a2->next < a2->nout; a2->next++)
		before++;
	say_messages(b, "s2", 1, 1);
	say_messages(b, "s1", 101, 101);
	say_messages(a2, "s1", 102, 102);
	steps(w);
	expect_received(a2, 1, 1);
	assert_true(
	    offset_parse(last_offset(a2), strlen(last_offset(a2)), &o, &why));
	assert_int_equal(o.npairs, 1);
	assert_int_equal(o.pair[0].room, 1);
	assert_int_equal(o.pair[0].next, before + 1);
	assert_int_equal(o.pos, w->gseq - 2);
	expect_nothing(a2);
	run(w);
	expect_received(a2, before + 1, 101);
	expect_seq(a2, SENT, 102);
	expect_nothing(a2);
	say_messages(b, "s1", 103, 103);
	run(w);
	expect_received(a2, 103, 103);
	assert_null(strchr(last_offset(a2), '.'));
}

/*
 * What a client said before it joined comes back to it as messages, what it
 * said behind that as answers: also when the replay is cut in two.
 */
static void
a_replay_that_is_cut_goes_on_as_it_began(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *a2;
	int first, read, seq;

	join(a, "w1", "s1");
	say_messages(a, "s1", 1, 6);
	say(a, "chat:leave-session", "{\"sessionId\":\"s1\"}", 0);
	run(w);
	first = a->nout;
	say(a, "chat:join-session",
	    "{\"sessionId\":\"s1\",\"workspaceId\":\"w1\",\"afterSeq\":0}", 0);
	steps(w);
	say_messages(a, "s1", 7, 7);
	run(w);
	/* the answer, six messages, and an answer */
	assert_int_equal(a->nout, first + 8);
	hang_up(a, "transport close");
	run(w);
	for (read = 1; read <= 8; read++) {
		a2 = come_back_as(w, read % WORKERS, "ada", a->pid,
		    offset_after(a, first + read));
		run(w);
		for (seq = read; seq <= 7; seq++)
			expect_seq(a2, seq < 7 ? RECEIVED : SENT, seq);
		expect(a2, "CONNECT recovered");
		hang_up(a2, "transport close");
		run(w);
	}
}

/* The answers that it missed are owed to it, even if it leaves. */
static void
who_leaves_in_the_middle_still_gets_the_answers(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b = client(w, 1, "bob"), *a2;
	char *offset;

	w->cfg.limits_message_length = 0;
	join_all(w, "s1");
	offset = xdup(last_offset(a));
	say_long(b, "s1", 1, 50);
	say_messages(a, "s1", 51, 51);
	hang_up(a, "transport close");
	say_messages(b, "s1", 52, 52);
	run(w);
	a2 = come_back_as(w, 0, "ada", a->pid, offset);
	free(offset);
	first_piece(a2);
	say(a2, "chat:leave-session", "{\"sessionId\":\"s1\"}", 0);
	steps(w);
	assert_string_equal(a2->out[a2->nout - 2], "CONNECT recovered");
	assert_int_equal(strncmp(a2->out[a2->nout - 1],
			     "chat:leave-session-success", 26),
	    0);
	skip_all(a2);
	run(w);
	expect_seq(a2, SENT, 51);
	expect_nothing(a2);
}

/* Nothing is told before CONNECT but what is stored. */
static void
typing_presence_and_announcements_wait(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b = client(w, 0, "bob"), *a2;

	join_all(w, "s1");
	hang_up(a, "transport close");
	run(w);
	a2 = come_back(a, 0, "ada");
	steps(w);
	chat_produce(w->chat[0], a2->s, w->engine[0].delivered);
	steps(w);
	/* it is in, and not yet answered */
	say(b, "chat:typing", "{\"sessionId\":\"s1\",\"isTyping\":true}", 0);
	say(b, "chat:update-presence",
	    "{\"sessionId\":\"s1\",\"status\":\"idle\"}", 0);
	sequence(w);
	deliver(w, 9);
	chat_announce(w->chat[0], "SERVER_SHUTDOWN", "Bye");
	chat_resync(w->chat[0], w->gseq);
	expect_nothing(a2);
	run(w);
	expect(a2, "CONNECT recovered");
	assert_member(expect_event(a2, SYNC), "count", "2");
	expect_nothing(a2);
	say(b, "chat:update-presence",
	    "{\"sessionId\":\"s1\",\"status\":\"away\"}", 0);
	run(w);
	(void)expect_event(a2, "chat:presence-updated");
	expect_nothing(a2);
}

static void
a_roster_that_cannot_be_read_comes_later(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b = client(w, 0, "bob"), *a2;

	join_all(w, "s1");
	hang_up(a, "transport close");
	say_messages(b, "s1", 1, 2);
	run(w);
	w->fail_roster = true;
	a2 = come_back(a, 1, "ada");
	run(w);
	expect_received(a2, 1, 2);
	expect(a2, "CONNECT recovered");
	expect_nothing(a2);
	hang_up(a2, "transport close");
	run(w);
	/* even the lost answer of a join does; live messages wait for it */
	a2 = come_back_as(w, 1, "ada", a->pid, NULL);
	run(w);
	expect(a2, "CONNECT recovered");
	say_messages(b, "s1", 3, 3);
	run(w);
	expect_nothing(a2);
	w->fail_roster = false;
	chat_tick(w->chat[1]);
	run(w);
	(void)expect_event(a2, SYNC);
	(void)expect_event(a2, SUCCESS);
	expect_received(a2, 1, 3);
	expect_nothing(a2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T_NOW(events_that_come_too_early_are_done_in_order),
		T(what_was_missed_in_all_sessions_comes_before_connect),
		T(a_store_that_cannot_be_read_is_waited_for),
		T(but_not_for_ever),
		T_NOW(verdicts_that_the_store_is_down_are_told),
		T_NOW(in_a_crowd_only_a_place_that_is_taken_is_free),
		T(cut_at_any_step_it_begins_again),
		T(it_outlives_its_worker_and_the_daemon),
		T_NOW(a_long_replay_goes_on_behind_connect),
		T(a_replay_that_is_cut_goes_on_as_it_began),
		T(who_leaves_in_the_middle_still_gets_the_answers),
		T(typing_presence_and_announcements_wait),
		T(a_roster_that_cannot_be_read_comes_later),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
