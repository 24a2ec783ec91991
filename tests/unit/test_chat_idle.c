/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_chat_idle - who says nothing is idle, and then away.
 */

#include "tests/unit/chat_return.h"

#define STATUS(s) "{\"sessionId\":\"s1\",\"status\":\"" s "\"}"
#define IDLE_MS 10000
#define AWAY_MS 60000
#define TICK_MS 100

static void
pass(struct world *w, uint64_t ms)
{
	int i;

	for (; ms > 0; ms -= TICK_MS) {
		w->mono_ms += TICK_MS;
		w->real_ms += TICK_MS;
		for (i = 0; i < WORKERS; i++)
			chat_tick(w->chat[i]);
		run(w);
	}
}

static void
begin(struct world *w)
{
	w->cfg.presence_idle_after = IDLE_MS;
	w->cfg.presence_away_after = AWAY_MS;
	/* it types now and then */
	w->cfg.typing_expiry = 600000;
}

static void
expect_status(struct conn *c, const char *who, const char *status)
{
	struct json_value v = expect_event(c, "chat:presence-updated");
	char user[20], text[20];

	snprintf(user, sizeof(user), "\"%s\"", who);
	snprintf(text, sizeof(text), "\"%s\"", status);
	assert_member(v, "userId", user);
	assert_member(v, "status", text);
}

static void
type(struct conn *c, const char *session)
{
	char json[80];

	snprintf(json, sizeof(json),
	    "{\"sessionId\":\"%s\",\"isTyping\":false}", session);
	say(c, "chat:typing", json, 0);
	run(c->w);
}

static void
silence_is_idle_and_then_away(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b = client(w, 1, "bob");
	int i;

	begin(w);
	join_all(w, "s1");
	for (i = 0; i < 10; i++) {
		pass(w, IDLE_MS / 2);
		type(b, "s1");
	}
	expect_status(b, "ada", "idle");
	expect_nothing(b);
	pass(w, IDLE_MS / 2);
	type(b, "s1");
	pass(w, IDLE_MS / 2);
	type(b, "s1");
	pass(w, IDLE_MS / 2);
	expect_status(b, "ada", "away");
	expect_nothing(b);
	/* it is told by others' events as if it had said so itself */
	expect_nothing(a);
	assert_string_equal(presence_find(w, 1, a->id)->status, "away");
	/* its next event, whatever that is */
	type(a, "s1");
	expect_status(b, "ada", "active");
	expect_nothing(b);
	assert_string_equal(presence_find(w, 1, a->id)->status, "active");
	pass(w, IDLE_MS + 1000);
	expect_status(b, "ada", "idle");
}

static void
it_says_when_it_was_active_last(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b = client(w, 1, "bob");
	struct json_value v;
	int64_t ms;

	begin(w);
	join_all(w, "s1");
	pass(w, 5000);
	type(a, "s1");
	pass(w, 5000);
	type(b, "s1");
	pass(w, 6000);
	v = expect_event(b, "chat:presence-updated");
	assert_member(v, "status", "\"idle\"");
	assert_member(v, "joinedAt", "1700000000000");
	assert_true(
	    json_to_int(json_member(v, "lastActivity"), 0, INT64_MAX, &ms));
	assert_in_range(ms, 1700000005000 - TICK_MS, 1700000005000 + TICK_MS);
}

static void
all_its_sessions_are_told(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b = client(w, 1, "bob");

	begin(w);
	join_all(w, "s1");
	join_all(w, "s2");
	pass(w, IDLE_MS + 1000);
	expect_status(b, "ada", "idle");
	expect_status(b, "ada", "idle");
	expect_nothing(b);
	/* an event in one of them is heard in all */
	skip_all(a);
	type(a, "s2");
	expect_status(b, "ada", "active");
	expect_status(b, "ada", "active");
	expect_nothing(b);
}

static void
what_a_client_has_chosen_stays(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b = client(w, 1, "bob");

	begin(w);
	w->cfg.presence_idle_after = 0;
	w->cfg.presence_away_after = 0;
	join_all(w, "s1");
	say(a, "chat:update-presence", STATUS("away"), 0);
	run(w);
	expect_status(b, "ada", "away");
	type(a, "s1");
	begin(w);
	type(a, "s1");
	expect_nothing(b);
	pass(w, IDLE_MS + 1000);
	/* bob sees no idle of one who is away */
	expect_nothing(b);
	type(a, "s1");
	expect_nothing(b);
	say(a, "chat:update-presence", STATUS("idle"), 0);
	run(w);
	expect_status(b, "ada", "idle");
	/* but the server goes further, and takes that back */
	pass(w, AWAY_MS + 5000);
	expect_status(b, "ada", "away");
	type(a, "s1");
	expect_status(b, "ada", "active");
	expect_nothing(b);
}

/* Its own word is the next event, and not an active before it. */
static void
a_status_of_its_own_is_told_once(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b = client(w, 1, "bob");

	begin(w);
	join_all(w, "s1");
	join_all(w, "s2");
	pass(w, IDLE_MS + 1000);
	expect_status(b, "ada", "idle");
	expect_status(b, "ada", "idle");
	say(a, "chat:update-presence", STATUS("away"), 0);
	run(w);
	assert_member(expect_event(b, "chat:presence-updated"), "sessionId",
	    "\"s2\"");
	expect_status(b, "ada", "away");
	expect_nothing(b);
}

static void
each_socket_of_a_user_has_its_own(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *a2 = client(w, 1, "ada");
	struct conn *b = client(w, 1, "bob");
	struct json_value v;

	begin(w);
	join_all(w, "s1");
	pass(w, IDLE_MS / 2);
	type(a2, "s1");
	pass(w, IDLE_MS / 2 + 1000);
	v = expect_event(b, "chat:presence-updated");
	assert_member(v, "socketId", "\"socket-00-0123456789\"");
	assert_member(v, "status", "\"idle\"");
	expect_nothing(b);
	hang_up(a, "transport close");
	run(w);
	assert_member(expect_event(b, "chat:user-left"), "remaining", "1");
	hang_up(a2, "transport close");
	run(w);
	assert_member(expect_event(b, "chat:user-left"), "remaining", "0");
}

static void
never_is_never(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b = client(w, 1, "bob");

	begin(w);
	w->cfg.presence_idle_after = 0;
	w->cfg.presence_away_after = 0;
	join_all(w, "s1");
	pass(w, IDLE_MS);
	expect_nothing(b);
	/* by a reload, away alone */
	w->cfg.presence_away_after = IDLE_MS;
	pass(w, 2000);
	expect_status(b, "ada", "away");
	/* and what was set is taken back when they are off again */
	w->cfg.presence_away_after = 0;
	type(a, "s1");
	expect_status(b, "ada", "active");
	pass(w, IDLE_MS * 2);
	expect_nothing(b);
}

/* What the store does not take is tried again. */
static void
a_store_that_refuses_is_asked_again(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b = client(w, 1, "bob");

	begin(w);
	join_all(w, "s1");
	w->force = true;
	w->forced = CHAT_STORE_UNAVAILABLE;
	pass(w, IDLE_MS + 1000);
	expect_nothing(b);
	w->force = false;
	pass(w, 2000);
	expect_status(b, "ada", "idle");
	assert_member(expect_event(a, "chat:presence-updated"), "userId",
	    "\"bob\"");
	w->force = true;
	type(a, "s1");
	expect_nothing(b);
	w->force = false;
	type(a, "s1");
	expect_status(b, "ada", "active");
	/* nobody but the client asked */
	expect_nothing(a);
}

/* An event while idle is on its way. */
static void
who_speaks_up_at_that_moment_is_active(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b = client(w, 1, "bob");

	begin(w);
	join_all(w, "s1");
	w->mono_ms += IDLE_MS - 200;
	type(b, "s1");
	while (w->npublished == 0) {
		w->mono_ms += TICK_MS;
		chat_tick(w->chat[0]);
	}
	say(a, "chat:typing", "{\"sessionId\":\"s1\",\"isTyping\":false}", 0);
	run(w);
	expect_status(b, "ada", "idle");
	expect_status(b, "ada", "active");
	expect_nothing(b);
}

static void
who_comes_back_is_active(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b = client(w, 1, "bob");

	begin(w);
	join_all(w, "s1");
	pass(w, IDLE_MS + 1000);
	expect_status(b, "ada", "idle");
	hang_up(a, "transport close");
	run(w);
	(void)expect_event(b, "chat:user-left");
	a = come_back(a, 1, "ada");
	run(w);
	assert_member(expect_event(b, "chat:user-joined"), "status",
	    "\"active\"");
	expect_nothing(b);
	pass(w, IDLE_MS + 1000);
	expect_status(b, "ada", "idle");
}

/* Taken over alive: nobody sees anything, and it is what it was. */
static void
who_takes_itself_over_stays_idle_until_it_speaks(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b = client(w, 1, "bob");

	begin(w);
	join_all(w, "s1");
	pass(w, IDLE_MS + 1000);
	expect_status(b, "ada", "idle");
	a = come_back(a, 1, "ada");
	run(w);
	expect_nothing(b);
	assert_string_equal(presence_find(w, 1, a->id)->status, "idle");
	type(a, "s1");
	expect_status(b, "ada", "active");
	expect_nothing(b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(silence_is_idle_and_then_away),
		T(it_says_when_it_was_active_last),
		T(all_its_sessions_are_told),
		T(what_a_client_has_chosen_stays),
		T(a_status_of_its_own_is_told_once),
		T(each_socket_of_a_user_has_its_own),
		T(never_is_never),
		T(a_store_that_refuses_is_asked_again),
		T(who_speaks_up_at_that_moment_is_active),
		T(who_comes_back_is_active),
		T(who_takes_itself_over_stays_idle_until_it_speaks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
