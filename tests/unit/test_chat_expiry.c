/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_chat_expiry - tokens that end while their sockets are there, and
 * sockets that are let go.
 */

#include "chat/expiry.h"
#include "tests/unit/chat_world.h"

#define GRACE_MS 30000
#define EXPIRED \
	"chat:disconnect-reason {\"code\":\"TOKEN_EXPIRED\",\"message\":" \
	"\"Token has expired\"}"

static int
setup(void **state)
{
	struct world *w;

	if (world_setup(state) == -1)
		return -1;
	w = *state;
	w->cfg.auth_expiry_grace = GRACE_MS;
	return 0;
}

/* A client whose token ends in 'ms'; 0: never. */
static struct conn *
client_until(struct world *w, int worker, const char *user, uint64_t ms)
{
	struct conn *c = new_conn(w, worker);
	char auth[100];
	struct identity *id;
	struct chat_connect options = { .pid = c->pid,
		.offsets = true,
		.owner = c->owner };

	snprintf(auth, sizeof(auth), "{\"userId\":\"%s\"}", user);
	snprintf(c->id, sizeof(c->id), "socket-%02d-0123456789", w->nconns - 1);
	snprintf(c->pid, sizeof(c->pid), "pid-%03d-012345678901",
	    w->nconns - 1);
	id = identity_of(w, auth);
	id->expires_ms = ms == 0 ? 0 : w->real_ms + ms;
	c->s = chat_connect(w->chat[worker], c, &id, c->id, &options);
	assert_non_null(c->s);
	return c;
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
expect_told(struct conn *c, uint64_t now_ms)
{
	struct json_value v = expect_event(c, "chat:auth-expired");
	char number[30];

	snprintf(number, sizeof(number), "%llu", (unsigned long long)now_ms);
	assert_member(v, "timestamp", number);
	assert_member(v, "graceMs", "30000");
}

static void
who_does_not_come_with_another_is_let_go(void **state)
{
	struct world *w = *state;
	struct conn *ada = client_until(w, 0, "ada", 60000);
	struct conn *bob = client_until(w, 1, "bob", 0);
	struct json_value v;

	join_all(w, "s1");
	pass(w, 59999);
	expect_nothing(ada);
	pass(w, 1);
	expect_told(ada, w->real_ms);
	/* all is as before in the meantime, and it is told once */
	message(ada, "s1", "m1", "still here");
	run(w);
	(void)expect_event(bob, "chat:message-received");
	skip_all(ada);
	pass(w, GRACE_MS - 1);
	expect_nothing(ada);
	pass(w, 1);
	expect(ada, EXPIRED);
	expect(ada, "DISCONNECT server namespace disconnect");
	run(w);
	expect_nothing(ada);
	assert_null(ada->s);
	v = expect_event(bob, "chat:user-left");
	assert_member(v, "userId", "\"ada\"");
	assert_member(v, "reason", "\"server namespace disconnect\"");
	expect_nothing(bob);
	/* nobody's token ends any more */
	pass(w, 10000000);
	expect_nothing(bob);
}

static void
without_grace_it_is_at_once(void **state)
{
	struct world *w = *state;
	struct conn *ada = client_until(w, 0, "ada", 5);

	w->cfg.auth_expiry_grace = 0;
	pass(w, 5);
	(void)expect_event(ada, "chat:auth-expired");
	expect(ada, EXPIRED);
	expect(ada, "DISCONNECT server namespace disconnect");
}

/* It was about to end, and did before CONNECT was answered. */
static void
a_token_that_has_ended_already_is_told_at_once(void **state)
{
	struct world *w = *state;
	struct conn *ada = client_until(w, 0, "ada", 1);

	w->real_ms += 50;
	pass(w, 0);
	expect_told(ada, w->real_ms);
}

/* The operator set the clock: what counts is what it says now. */
static void
the_wall_clock_decides(void **state)
{
	struct world *w = *state;
	struct conn *ada = client_until(w, 0, "ada", 60000);

	w->mono_ms += 120000;
	pass(w, 0);
	expect_nothing(ada);
	w->real_ms += 60000;
	pass(w, 0);
	expect_told(ada, w->real_ms);
}

/* Nothing comes of what it sends, and it is told once. */
static void
who_is_let_go_says_nothing_more(void **state)
{
	struct world *w = *state;
	struct conn *ada = client_until(w, 0, "ada", 0);
	struct conn *bob = client_until(w, 0, "bob", 0);

	join_all(w, "s1");
	socket_disconnect(w->chat[0], ada->s, "BANNED", "Access suspended", 60);
	socket_disconnect(w->chat[0], ada->s, "KICKED", "again", 0);
	message(ada, "s1", "m1", "hello");
	say(ada, "chat:no-such-event", "{}", 7);
	expect(ada,
	    "chat:disconnect-reason {\"code\":\"BANNED\",\"message\":\"Access "
	    "suspended\",\"retryAfter\":60}");
	expect(ada, "DISCONNECT kicked");
	expect_nothing(ada);
	run(w);
	assert_null(ada->s);
	assert_member(expect_event(bob, "chat:user-left"), "reason",
	    "\"kicked\"");
	expect_nothing(bob);
}

/* What is done on purpose cannot be recovered. */
static void
who_is_let_go_does_not_come_back(void **state)
{
	static const char *const codes[] = { "TOKEN_EXPIRED", "KICKED",
		"TOKEN_REVOKED", "BANNED" };
	struct world *w = *state;
	struct chat_resume resume;
	struct identity *id;
	struct conn *ada;
	char payload[200];
	int i;

	for (i = 0; i < 4; i++) {
		ada = client_until(w, 0, "ada", 0);
		join(ada, "w1", "s1");
		socket_disconnect(w->chat[0], ada->s, codes[i], "x", 0);
		run(w);
		assert_null(ada->s);
		snprintf(payload, sizeof(payload),
		    "{\"pid\":\"%s\",\"offset\":\"1\"}", ada->pid);
		assert_true(
		    chat_wants_resume(payload, strlen(payload), &resume));
		resume.crowded = false;
		id = identity_of(w, "{\"userId\":\"ada\"}");
		ada = new_conn(w, 1);
		ada->s = chat_resume(w->chat[1], ada, &id, &resume,
		    &(struct chat_connect){ .offsets = true,
			.owner = ada->owner });
		run(w);
		if (ada->s != NULL)
			expect(ada, "CONNECT new");
		skip_all(ada);
		identity_free(&id);
	}
}

/* Its CONNECT has not been answered: it is refused. */
static void
who_is_being_resumed_is_refused(void **state)
{
	struct world *w = *state;
	struct conn *ada = client_until(w, 0, "ada", 0), *again;
	struct chat_resume resume;
	struct identity *id;
	char payload[200];

	join(ada, "w1", "s1");
	hang_up(ada, "transport close");
	run(w);
	snprintf(payload, sizeof(payload), "{\"pid\":\"%s\",\"offset\":\"1\"}",
	    ada->pid);
	assert_true(chat_wants_resume(payload, strlen(payload), &resume));
	resume.crowded = false;
	id = identity_of(w, "{\"userId\":\"ada\"}");
	again = new_conn(w, 1);
	again->s = chat_resume(w->chat[1], again, &id, &resume,
	    &(struct chat_connect){ .offsets = true, .owner = again->owner });
	assert_non_null(again->s);
	assert_null(id);
	socket_disconnect(w->chat[1], again->s, "KICKED", "out", 0);
	run(w);
	expect(again, "CONNECT_ERROR SESSION_INVALID");
	expect_nothing(again);
	assert_null(again->s);
}

/* Tokens that end in any order are told in theirs. */
#define MANY 60

static void
each_has_its_own_time(void **state)
{
	struct world *w = *state;
	struct conn *c[MANY];
	uint64_t due[MANY], now = 0, seed = 12345;
	int i, k;

	for (i = 0; i < MANY; i++) {
		char user[20];

		seed = seed * 6364136223846793005u + 1442695040888963407u;
		due[i] = 1 + (seed >> 33) % 20000;
		snprintf(user, sizeof(user), "u%d", i);
		c[i] = client_until(w, 0, user, due[i]);
	}
	/* some go, some others stay */
	for (i = 0; i < MANY; i += 3) {
		hang_up(c[i], "transport close");
		due[i] = UINT64_MAX;
	}
	for (k = 0; k < 220; k++) {
		now += 100;
		pass(w, 100);
		for (i = 0; i < MANY; i++) {
			if (c[i]->s == NULL)
				continue;
			if (due[i] <= now && due[i] != 0) {
				expect_told(c[i], w->real_ms);
				due[i] = 0;
			}
			expect_nothing(c[i]);
		}
	}
	for (i = 0; i < MANY; i++)
		assert_true(due[i] == 0 || due[i] == UINT64_MAX);
}

#undef T
#define T(name) cmocka_unit_test_setup_teardown(name, setup, world_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(who_does_not_come_with_another_is_let_go),
		T(without_grace_it_is_at_once),
		T(a_token_that_has_ended_already_is_told_at_once),
		T(the_wall_clock_decides),
		T(who_is_let_go_says_nothing_more),
		T(who_is_let_go_does_not_come_back),
		T(who_is_being_resumed_is_refused),
		T(each_has_its_own_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
