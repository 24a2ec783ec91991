/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_chat_resume_gaps - a socket that is taken up again while its worker
 * misses events, or while others take it up.
 */

#include "tests/unit/chat_return.h"

#define SYNC "chat:presence-sync"

/* Taken over while its worker was not listening. */
static void
after_a_gap_those_that_were_taken_are_closed(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b = client(w, 0, "bob"), *a2;

	join_all(w, "s1");
	a2 = come_back(a, 1, "ada");
	sequence(w);
	fall_behind(w, 0);
	run(w);
	expect(a2, "CONNECT recovered");
	w->fail_recovery = true;
	chat_tick(w->chat[0]);
	assert_non_null(a->s);
	w->fail_recovery = false;
	chat_tick(w->chat[0]);
	assert_string_equal(a->out[a->nout - 1], "CLOSE");
	close_told(w);
	chat_tick(w->chat[0]);
	assert_non_null(b->s);
	assert_int_not_equal(strcmp(b->out[b->nout - 1], "CLOSE"), 0);
	assert_non_null(a2->s);
	run(w);
	expect(b, b->out[b->next]);
	assert_int_equal(w->counts[CHAT_COUNT_TAKEN_OVER], 1);
}

/* Verdicts about a resume are lost with a gap: the worker asks again. */
static void
a_resume_survives_a_gap(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b = client(w, 1, "bob"), *a2;
	struct stored *again;
	int i, n;

	join_all(w, "s1");
	hang_up(a, "transport close");
	say_messages(b, "s1", 1, 2);
	run(w);
	a2 = come_back(a, 0, "ada");
	for (i = 0; i < 2; i++) {
		n = w->nsequenced;
		sequence(w);
		fall_behind(w, 0);
		/* as publisher_again() does it */
		again = calloc(1, sizeof(*again));
		*again = *w->sequenced[n];
		again->d.ev.room = again->d.ev.user = 0;
		for (n = 0; n < (int)again->d.ev.nfields; n++) {
			again->field[n] = strdup(again->field[n]);
			again->d.ev.field[n] = str_of(again->field[n]);
		}
		w->published[w->npublished++] = again;
		sequence(w);
		deliver(w, 9);
		chat_produce(w->chat[0], a2->s, w->engine[0].delivered);
	}
	run(w);
	expect_received(a2, 1, 2);
	expect(a2, "CONNECT recovered");
	(void)expect_event(a2, SYNC);
	expect_nothing(a2);
}

/* The join was decided while the worker was not listening, and what it is
 * sent of another session stands behind it: it must not say that it has the
 * answer. */
static void
an_offset_does_not_pass_a_join_that_a_gap_has_swallowed(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b = client(w, 1, "bob"), *a2;

	join_all(w, "s1");
	say(a, "chat:join-session",
	    "{\"sessionId\":\"s2\",\"workspaceId\":\"w1\"}", 0);
	sequence(w);
	fall_behind(w, 0);
	run(w);
	say_messages(b, "s1", 1, 1);
	run(w);
	(void)expect_event(a, SYNC);
	expect_received(a, 1, 1);
	assert_string_equal(last_offset(a), "0");
	hang_up(a, "transport close");
	run(w);
	/* rather a new socket than a member that does not know of it */
	a2 = come_back(a, 1, "ada");
	run(w);
	expect(a2, "CONNECT new");
}

/* The verdict about a RESUME comes twice: nobody is taken over. */
static void
it_is_not_taken_over_by_itself(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *a2;
	struct chat_delivery d;
	int i;

	join(a, "w1", "s1");
	hang_up(a, "transport close");
	run(w);
	a2 = come_back(a, 0, "ada");
	run(w);
	expect(a2, "CONNECT recovered");
	skip_all(a2);
	for (i = 0; w->sequenced[i]->d.ev.type != CHAT_RESUME; i++)
		continue;
	d = w->sequenced[i]->d;
	d.own = true;
	d.socket = a2->s;
	d.gseq = w->gseq++;
	chat_deliver(w->chat[0], &d);
	expect_nothing(a2);
	/* a RESUME that was rejected takes nobody over either, nor does one
	 * that names another pid */
	d.own = false;
	d.outcome = CHAT_REJECTED;
	chat_deliver(w->chat[0], &d);
	d.outcome = CHAT_STORED;
	d.ev.field[0] = str_of("pid-999-012345678901");
	chat_deliver(w->chat[0], &d);
	expect_nothing(a2);
}

/* The store knows already who is next; this worker hears of it soon. */
static void
who_is_overtaken_waits_for_the_end(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b = client(w, 1, "bob"), *x, *y;

	join_all(w, "s1");
	hang_up(a, "transport close");
	run(w);
	skip_all(b);
	x = come_back(a, 0, "ada");
	say(x, "chat:typing", "{\"sessionId\":\"s1\",\"isTyping\":true}", 0);
	sequence(w);
	y = come_back(a, 1, "ada");
	sequence(w);
	deliver(w, 1);
	/* it must not join: the row is the other's */
	(void)produce(w);
	assert_int_equal(w->npublished, 0);
	chat_tick(w->chat[0]);
	(void)produce(w);
	assert_int_equal(w->npublished, 0);
	run(w);
	expect(x, "CLOSE");
	expect_nothing(x);
	expect(y, "CONNECT recovered");
	(void)expect_event(b, "chat:user-joined");
	expect_nothing(b);
}

static void
who_gives_up_for_good_before_it_is_in_is_forgotten(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *a2;

	join(a, "w1", "s1");
	hang_up(a, "transport close");
	run(w);
	a2 = come_back(a, 0, "ada");
	say(a2, "chat:typing", "{\"sessionId\":\"s1\",\"isTyping\":true}", 0);
	steps(w);
	hang_up(a2, "kicked");
	run(w);
	assert_null(row_of(a));
}

static void
with_more_replays_than_an_offset_holds_there_is_no_way_back(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b = client(w, 1, "bob");
	char json[100], name[16];
	int i;

	(void)b;
	w->cfg.limits_sessions_per_socket = 0;
	for (i = 0; i < OFFSET_MAX_PAIRS + 1; i++) {
		snprintf(name, sizeof(name), "s%d", i);
		join(a, "w1", name);
		message(a, name, "m", "x");
	}
	run(w);
	for (i = 0; i < OFFSET_MAX_PAIRS + 1; i++) {
		snprintf(json, sizeof(json),
		    "{\"sessionId\":\"s%d\",\"workspaceId\":\"w1\","
		    "\"afterSeq\":"
		    "0}",
		    i);
		say(a, "chat:join-session", json, 0);
		assert_int_equal(strcmp(last_offset(a), "0") == 0,
		    i == OFFSET_MAX_PAIRS);
	}
	run(w);
	/* and then there is again */
	assert_int_not_equal(strcmp(last_offset(a), "0"), 0);
}

static void
a_member_that_is_asked_for_and_gone_leaves(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada");
	struct chat_delivery d = { .ev = { .type = CHAT_ASK,
				       .room = 1,
				       .user = 100,
				       .owner = { 77, 78 },
				       .nfields = 2 },
		.gseq = 5000,
		.own = true };
	char *gone = xdup("socket-of-the-past--"), *zoe = xdup("zoe");

	join_all(w, "s1");
	d.ev.field[0] = str_of(a->id);
	d.ev.field[1] = str_of("ada");
	chat_deliver(w->chat[0], &d);
	assert_int_equal(w->npublished, 0);
	d.ev.field[0] = str_of(gone);
	d.ev.field[1] = str_of(zoe);
	chat_deliver(w->chat[0], &d);
	assert_int_equal(w->npublished, 1);
	assert_int_equal(w->published[0]->d.ev.flags, CHAT_F_LOST);
	assert_int_equal(w->published[0]->d.ev.owner.number, 77);
	assert_int_equal(w->published[0]->d.ev.owner.serial, 78);
	assert_string_equal(w->published[0]->field[0], gone);
	/* another worker is asked */
	d.own = false;
	chat_deliver(w->chat[1], &d);
	assert_int_equal(w->npublished, 1);
	/* it is about to be here: its join is under way once more */
	run(w);
	say(a, "chat:join-session",
	    "{\"sessionId\":\"s2\",\"workspaceId\":\"w1\"}", 0);
	assert_int_equal(w->npublished, 1);
	d.own = true;
	d.socket = a->s;
	d.ev.room = 2;
	d.ev.field[0] = str_of(a->id);
	chat_deliver(w->chat[0], &d);
	assert_int_equal(w->npublished, 1);
	free(gone);
	free(zoe);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T_NOW(after_a_gap_those_that_were_taken_are_closed),
		T_NOW(a_resume_survives_a_gap),
		T(an_offset_does_not_pass_a_join_that_a_gap_has_swallowed),
		T(it_is_not_taken_over_by_itself),
		T_NOW(who_is_overtaken_waits_for_the_end),
		T_NOW(who_gives_up_for_good_before_it_is_in_is_forgotten),
		T_NOW(
		    with_more_replays_than_an_offset_holds_there_is_no_way_back),
		T(a_member_that_is_asked_for_and_gone_leaves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
