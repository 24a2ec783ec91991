/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_chat_delta - presence in a large session is told once a second.
 */

#include "tests/unit/chat_return.h"

#define STATUS(s) "{\"sessionId\":\"s1\",\"status\":\"" s "\"}"
#define LEAVE "{\"sessionId\":\"s1\"}"
#define JOIN "{\"sessionId\":\"s1\",\"workspaceId\":\"w1\"}"

/* Time passes, and what is due is told. */
static void
pass(struct world *w, uint64_t ms)
{
	int i;

	w->mono_ms += ms;
	w->real_ms += ms;
	for (i = 0; i < WORKERS; i++)
		chat_tick(w->chat[i]);
	run(w);
}

/* 'n' clients in a session where more than 'above' are many. */
static void
crowd(struct world *w, int n, unsigned above)
{
	char user[20];
	int i;

	for (i = 0; i < n; i++) {
		snprintf(user, sizeof(user), "u%d", i);
		(void)client(w, i % WORKERS, user);
	}
	w->cfg.presence_delta_above = above;
	join_all(w, "s1");
	/* a second without anything ends it */
	pass(w, 1000);
	pass(w, 1000);
	for (i = 0; i < w->nconns; i++)
		skip_all(&w->conn[i]);
}

static int
length(struct json_value list)
{
	struct json_iter it = json_iter(list);
	struct json_value v;
	int n = 0;

	while (json_next(&it, &v))
		n++;
	return n;
}

/* The next is a delta of so many; 'count' are there. */
static struct json_value
expect_delta(struct conn *c, int joined, int left, int changed,
    const char *count)
{
	struct json_value v = expect_event(c, "chat:presence-delta");

	assert_member(v, "sessionId", "\"s1\"");
	assert_int_equal(length(json_member(v, "joined")), joined);
	assert_int_equal(length(json_member(v, "left")), left);
	assert_int_equal(length(json_member(v, "changed")), changed);
	assert_member(v, "count", count);
	return v;
}

static void
all_that_a_second_brings_is_one_event(void **state)
{
	struct world *w = *state;
	struct conn *c = w->conn, *d;
	struct json_value v;
	int i;

	crowd(w, 6, 3);
	d = client(w, 0, "new");
	say(&c[1], "chat:update-presence", STATUS("idle"), 0);
	say(&c[2], "chat:leave-session", LEAVE, 0);
	join(d, "w1", "s1");
	(void)expect_event(d, "chat:join-session-success");
	for (i = 0; i < 7; i++) {
		if (i != 2)
			expect_nothing(&c[i]);
	}
	pass(w, 100);
	for (i = 0; i < 6; i++) {
		if (i == 1 || i == 2)
			continue;
		v = expect_delta(&c[i], 1, 1, 1, "6");
		assert_member(v, "left", "[\"socket-02-0123456789\"]");
		expect_nothing(&c[i]);
	}
	/* nobody is told of himself, nor of what the roster told him */
	(void)expect_delta(&c[1], 1, 1, 0, "6");
	expect_nothing(&c[1]);
	expect_nothing(d);
	(void)expect_event(&c[2], "chat:leave-session-success");
	expect_nothing(&c[2]);
}

static void
it_comes_at_most_once_a_second(void **state)
{
	struct world *w = *state;
	struct conn *c = w->conn;

	crowd(w, 5, 3);
	say(&c[1], "chat:update-presence", STATUS("idle"), 0);
	run(w);
	pass(w, 100);
	(void)expect_delta(&c[0], 0, 0, 1, "5");
	say(&c[1], "chat:update-presence", STATUS("away"), 0);
	run(w);
	pass(w, 900);
	expect_nothing(&c[0]);
	say(&c[1], "chat:update-presence", STATUS("active"), 0);
	run(w);
	expect_nothing(&c[0]);
	pass(w, 100);
	/* what it is now, and nothing else */
	assert_non_null(strstr(expect_delta(&c[0], 0, 0, 1, "5").text.p,
	    "\"status\":\"active\""));
	expect_nothing(&c[0]);
}

static void
it_is_encoded_once_a_worker(void **state)
{
	struct world *w = *state;
	struct conn *c = w->conn;
	int i, encodes;

	crowd(w, 30, 3);
	say(&c[0], "chat:update-presence", STATUS("idle"), 0);
	say(&c[2], "chat:leave-session", LEAVE, 0);
	run(w);
	encodes = w->encodes;
	pass(w, 100);
	/* and one for him who is in it */
	assert_int_equal(w->encodes, encodes + WORKERS + 1);
	for (i = 1; i < 30; i++) {
		if (i != 2)
			(void)expect_delta(&c[i], 0, 1, 1, "29");
	}
}

static void
who_comes_and_goes_within_the_second_is_not_told(void **state)
{
	struct world *w = *state;
	struct conn *c = w->conn, *d;

	crowd(w, 5, 3);
	d = client(w, 1, "new");
	join(d, "w1", "s1");
	say(&c[4], "chat:leave-session", LEAVE, 0);
	run(w);
	hang_up(d, "transport close");
	join(&c[4], "w1", "s1");
	pass(w, 100);
	/* he has joined anew: his entry is another */
	(void)expect_delta(&c[0], 0, 0, 1, "5");
	expect_nothing(&c[0]);
	/* nothing is left of it */
	d = client(w, 1, "again");
	join(d, "w1", "s1");
	hang_up(d, "transport close");
	run(w);
	pass(w, 1000);
	expect_nothing(&c[0]);
}

/* Whose roster is of the middle of a second is told the rest of it. */
static void
the_rest_is_told_to_who_comes_in_the_middle(void **state)
{
	struct world *w = *state;
	struct conn *c = w->conn, *d;

	crowd(w, 6, 3);
	say(&c[1], "chat:update-presence", STATUS("idle"), 0);
	say(&c[2], "chat:leave-session", LEAVE, 0);
	run(w);
	d = client(w, 0, "new");
	join(d, "w1", "s1");
	assert_int_equal(length(json_member(expect_event(d,
						"chat:join-session-success"),
			     "presences")),
	    6);
	say(&c[3], "chat:update-presence", STATUS("away"), 0);
	say(&c[4], "chat:leave-session", LEAVE, 0);
	run(w);
	pass(w, 100);
	(void)expect_delta(&c[0], 1, 2, 2, "5");
	(void)expect_delta(d, 0, 1, 1, "5");
	expect_nothing(d);
	/* from then on as all others */
	say(&c[3], "chat:update-presence", STATUS("idle"), 0);
	run(w);
	pass(w, 1000);
	(void)expect_delta(d, 0, 0, 1, "5");
}

/* However often somebody comes and goes: who was told of him is told. */
static void
who_comes_and_goes_often_is_no_ghost(void **state)
{
	struct world *w = *state;
	struct conn *c = w->conn, *d;
	struct json_value v;
	int i;

	crowd(w, 6, 3);
	say(&c[1], "chat:leave-session", LEAVE, 0);
	run(w);
	join(&c[1], "w1", "s1");
	d = client(w, 0, "new");
	join(d, "w1", "s1");
	assert_non_null(
	    strstr(expect_event(d, "chat:join-session-success").text.p,
		c[1].id));
	for (i = 0; i < 9; i++) {
		say(&c[1], "chat:leave-session", LEAVE, 0);
		run(w);
		if (i < 8)
			join(&c[1], "w1", "s1");
	}
	pass(w, 100);
	v = expect_delta(d, 0, 1, 0, "6");
	assert_member(v, "left", "[\"socket-01-0123456789\"]");
	(void)expect_delta(&c[0], 1, 1, 0, "6");
}

/* Below and above the border: each change is told once. */
static void
the_border_is_crossed_without_loss(void **state)
{
	struct world *w = *state;
	struct conn *c = w->conn, *d;

	crowd(w, 3, 3);
	d = client(w, 0, "new");
	/* the fourth is many */
	join(d, "w1", "s1");
	expect_nothing(&c[1]);
	pass(w, 100);
	(void)expect_delta(&c[1], 1, 0, 0, "4");
	/* three are not, but what is under way is told first */
	say(&c[0], "chat:update-presence", STATUS("idle"), 0);
	say(&c[2], "chat:leave-session", LEAVE, 0);
	run(w);
	expect_nothing(&c[1]);
	pass(w, 1000);
	(void)expect_delta(&c[1], 0, 1, 1, "3");
	pass(w, 1000);
	say(&c[0], "chat:update-presence", STATUS("away"), 0);
	run(w);
	assert_member(expect_event(&c[1], "chat:presence-updated"), "status",
	    "\"away\"");
	hang_up(&c[0], "transport close");
	run(w);
	(void)expect_event(&c[1], "chat:user-left");
	expect_nothing(&c[1]);
	/* and who came by the delta has had the same */
	(void)expect_event(d, "chat:join-session-success");
	(void)expect_delta(d, 0, 1, 1, "3");
	(void)expect_event(d, "chat:presence-updated");
	(void)expect_event(d, "chat:user-left");
	expect_nothing(d);
}

static void
a_reload_changes_the_border(void **state)
{
	struct world *w = *state;
	struct conn *c = w->conn;

	crowd(w, 4, 3);
	w->cfg.presence_delta_above = 0;
	say(&c[0], "chat:update-presence", STATUS("idle"), 0);
	run(w);
	(void)expect_event(&c[1], "chat:presence-updated");
	w->cfg.presence_delta_above = 3;
	say(&c[0], "chat:update-presence", STATUS("away"), 0);
	run(w);
	expect_nothing(&c[1]);
	pass(w, 100);
	(void)expect_delta(&c[1], 0, 0, 1, "4");
}

static void
after_a_gap_the_roster_says_what_was_missed(void **state)
{
	struct world *w = *state;
	struct conn *c = w->conn;
	struct json_value v;
	int i;

	crowd(w, 6, 3);
	say(&c[1], "chat:update-presence", STATUS("idle"), 0);
	run(w);
	/* worker 0 misses this */
	say(&c[3], "chat:leave-session", LEAVE, 0);
	sequence(w);
	fall_behind(w, 0);
	run(w);
	v = expect_event(&c[0], "chat:presence-sync");
	assert_member(v, "count", "5");
	assert_int_equal(length(json_member(v, "presences")), 5);
	pass(w, 100);
	/* nothing of it is told again */
	expect_nothing(&c[0]);
	(void)expect_delta(&c[5], 0, 1, 1, "5");
	say(&c[1], "chat:update-presence", STATUS("away"), 0);
	run(w);
	pass(w, 1000);
	(void)expect_delta(&c[0], 0, 0, 1, "5");
	for (i = 2; i < 6; i += 2) {
		(void)expect_event(&c[i], "chat:presence-sync");
		(void)expect_delta(&c[i], 0, 0, 1, "5");
	}
}

/* What a worker leaves behind when it dies: all of them at once. */
static void
a_crowd_that_is_gone_is_told_in_one(void **state)
{
	struct world *w = *state;
	struct conn *c = w->conn;

	crowd(w, 40, 3);
	kill_worker(w, 1);
	run(w);
	pass(w, 100);
	(void)expect_delta(&c[0], 0, 20, 0, "20");
	expect_nothing(&c[0]);
}

/* More than are told come as a number; those who have left come all. */
static void
a_flood_is_bounded(void **state)
{
	struct world *w = *state;
	struct chat_delivery d = { .outcome = CHAT_STORED };
	struct conn *c = w->conn;
	char id[40];
	int i;

	crowd(w, 5, 3);
	d.ev.type = CHAT_JOIN;
	d.ev.room = 1;
	d.ev.nfields = 8;
	for (i = 0; i < 8; i++)
		d.ev.field[i] = str_of(i == 0 ? "w1" : i == 1 ? "s1" : "x");
	for (i = 0; i < 5000; i++) {
		snprintf(id, sizeof(id), "flood-%d", i);
		d.ev.field[4] = str_of(id);
		d.gseq = w->gseq++;
		d.members = 6 + (uint32_t)i;
		chat_deliver(w->chat[0], &d);
	}
	pass(w, 100);
	(void)expect_delta(&c[0], 200, 0, 0, "5005");
	d.ev.type = CHAT_LEAVE;
	d.ev.nfields = 3;
	for (i = 0; i < 5000; i++) {
		snprintf(id, sizeof(id), "flood-%d", i);
		d.ev.field[0] = str_of(id);
		d.gseq = w->gseq++;
		d.members = 5004 - (uint32_t)i;
		chat_deliver(w->chat[0], &d);
	}
	pass(w, 1000);
	(void)expect_delta(&c[0], 0, 4000, 0, "5");
	pass(w, 1000);
	(void)expect_delta(&c[0], 0, 1000, 0, "5");
	pass(w, 1000);
	expect_nothing(&c[0]);
}

/* A status stays what it was told to be: none of them may be left out. */
static void
many_changes_take_some_seconds(void **state)
{
	struct world *w = *state;
	struct chat_delivery d = { .outcome = CHAT_STORED, .members = 5 };
	struct conn *c = w->conn;
	char id[40];
	int i;

	crowd(w, 5, 3);
	d.ev.type = CHAT_PRESENCE;
	d.ev.room = 1;
	d.ev.nfields = 5;
	d.ev.field[1] = d.ev.field[2] = str_of("x");
	d.ev.field[3] = str_of("idle");
	d.ev.field[4] = str_of("1 1");
	for (i = 0; i < 450; i++) {
		snprintf(id, sizeof(id), "flood-%d", i);
		d.ev.field[0] = str_of(id);
		d.gseq = w->gseq++;
		chat_deliver(w->chat[0], &d);
	}
	pass(w, 100);
	(void)expect_delta(&c[0], 0, 0, 200, "5");
	pass(w, 1000);
	(void)expect_delta(&c[0], 0, 0, 200, "5");
	/* one of those that wait is gone before it is told */
	d.ev.type = CHAT_LEAVE;
	d.ev.nfields = 3;
	d.gseq = w->gseq++;
	d.members = 4;
	chat_deliver(w->chat[0], &d);
	pass(w, 1000);
	(void)expect_delta(&c[0], 0, 1, 49, "4");
	pass(w, 1000);
	expect_nothing(&c[0]);
}

/* Nobody is left who could be told. */
static void
it_goes_with_the_last_member(void **state)
{
	struct world *w = *state;
	struct conn *c = w->conn;
	int i;

	crowd(w, 6, 3);
	for (i = 0; i < 6; i++)
		say(&c[i], "chat:update-presence", STATUS("idle"), 0);
	run(w);
	for (i = 0; i < 6; i++)
		hang_up(&c[i], "transport close");
	run(w);
	pass(w, 1000);
	/* teardown sees that nothing is left */
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(all_that_a_second_brings_is_one_event),
		T(it_comes_at_most_once_a_second),
		T_NOW(it_is_encoded_once_a_worker),
		T(who_comes_and_goes_within_the_second_is_not_told),
		T_NOW(the_rest_is_told_to_who_comes_in_the_middle),
		T_NOW(who_comes_and_goes_often_is_no_ghost),
		T(the_border_is_crossed_without_loss),
		T(a_reload_changes_the_border),
		T(after_a_gap_the_roster_says_what_was_missed),
		T(a_crowd_that_is_gone_is_told_in_one),
		T_NOW(a_flood_is_bounded),
		T_NOW(many_changes_take_some_seconds),
		T(it_goes_with_the_last_member),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
