/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_chat_typing - an indicator is shown to the others, and never sticks.
 */

#include "tests/unit/chat_world.h"

#define ON "{\"sessionId\":\"s1\",\"isTyping\":true}"
#define OFF "{\"sessionId\":\"s1\",\"isTyping\":false}"
#define SHOWN(user, on, ms) \
	"chat:typing-indicator {\"sessionId\":\"s1\",\"userId\":\"" user \
	"\",\"isTyping\":" on ",\"timestamp\":17000000" ms "}"

struct cast {
	struct world *w;
	/* ada on two workers, bob on the second */
	struct conn *a, *a2, *b;
};

static struct cast
cast(void **state)
{
	struct cast t = { .w = *state };

	t.a = client(t.w, 0, "ada");
	t.a2 = client(t.w, 1, "ada");
	t.b = client(t.w, 1, "bob");
	join_all(t.w, "s1");
	return t;
}

static void
type(struct conn *c, const char *json)
{
	say(c, "chat:typing", json, 0);
	run(c->w);
}

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

static void
expect_shown(struct conn *c, const char *on)
{
	assert_member(expect_event(c, "chat:typing-indicator"), "isTyping", on);
}

static void
the_others_see_it_and_no_socket_of_the_typist(void **state)
{
	struct cast t = cast(state);

	say(t.a, "chat:typing", ON, 3);
	expect(t.a, "ack:3 {\"ok\":true}");
	run(t.w);
	expect(t.b, SHOWN("ada", "true", "00000"));
	assert_int_equal(t.b->prio[t.b->next - 1], CHAT_DROPPABLE);
	type(t.a, OFF);
	expect(t.b, SHOWN("ada", "false", "00000"));
	/* what was shown must be taken back */
	assert_int_equal(t.b->prio[t.b->next - 1], CHAT_EVENT);
	expect_nothing(t.a);
	expect_nothing(t.a2);
	expect_nothing(t.b);
}

static void
bad_requests_are_refused(void **state)
{
	static const char *const bad[] = { "", "{}", "1",
		"{\"sessionId\":\"s1\"}", "{\"isTyping\":true}",
		"{\"sessionId\":\"s1\",\"isTyping\":1}",
		"{\"sessionId\":\"s1\",\"isTyping\":\"true\"}",
		"{\"sessionId\":\"s1\",\"isTyping\":null}",
		"{\"sessionId\":\"\",\"isTyping\":true}" };
	struct cast t = cast(state);
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		say(t.a, "chat:typing", bad[i], 1);
		assert_member(expect_event(t.a, "ack:1"), "error",
		    "\"Invalid request data\"");
		/* nothing but the acknowledgement tells */
		say(t.a, "chat:typing", bad[i], 0);
		expect_nothing(t.a);
	}
	say(t.a, "chat:typing", "{\"sessionId\":\"s2\",\"isTyping\":true}", 1);
	assert_member(expect_event(t.a, "ack:1"), "code", "\"NOT_JOINED\"");
	t.w->wait_ns[CHAT_RATE_TYPING] = 1;
	say(t.a, "chat:typing", ON, 1);
	assert_member(expect_event(t.a, "ack:1"), "retryAfter", "1");
	run(t.w);
	expect_nothing(t.b);
}

static void
repeating_it_within_three_seconds_is_not_told_again(void **state)
{
	struct cast t = cast(state);

	type(t.a, ON);
	expect_shown(t.b, "true");
	pass(t.w, 1000);
	type(t.a, ON);
	pass(t.w, 1999);
	type(t.a, ON);
	expect_nothing(t.b);
	pass(t.w, 1);
	type(t.a, ON);
	expect(t.b, SHOWN("ada", "true", "03000"));
	pass(t.w, 2999);
	type(t.a, ON);
	expect_nothing(t.b);
}

/* Its worker has stopped, and will not say that it has ended. */
static void
it_ends_when_nothing_more_is_heard(void **state)
{
	struct cast t = cast(state);
	int i;

	type(t.a, ON);
	expect_shown(t.b, "true");
	for (i = 0; i < 10; i++) {
		t.w->mono_ms += 1000;
		chat_tick(t.w->chat[1]);
	}
	expect_nothing(t.b);
	t.w->mono_ms += 1000;
	chat_tick(t.w->chat[1]);
	expect_shown(t.b, "false");
	/* it wakes up: that has been told */
	pass(t.w, 1000);
	expect_nothing(t.b);
	type(t.a, ON);
	expect_shown(t.b, "true");
}

static void
it_expires_when_it_is_not_renewed(void **state)
{
	struct cast t = cast(state);

	type(t.a, ON);
	expect_shown(t.b, "true");
	pass(t.w, 2000);
	/* re-arms without a word */
	type(t.a, ON);
	pass(t.w, 5999);
	expect_nothing(t.b);
	pass(t.w, 1);
	expect_shown(t.b, "false");
	pass(t.w, 60000);
	expect_nothing(t.b);
	type(t.a, ON);
	expect_shown(t.b, "true");
}

static void
a_reload_is_for_those_who_type_too(void **state)
{
	static struct config cfg;
	struct world *w = *state;
	struct cast t = cast(state);
	int k;

	w->cfg.typing_expiry = 600000;
	type(t.a, ON);
	cfg = w->cfg;
	cfg.typing_expiry = 6000;
	for (k = 0; k < WORKERS; k++)
		chat_configure(w->chat[k], &cfg);
	type(t.b, ON);
	expect_shown(t.b, "true");
	expect_shown(t.a, "true");
	expect_shown(t.a2, "true");
	pass(w, 6000);
	expect_shown(t.b, "false");
	expect_shown(t.a, "false");
	expect_shown(t.a2, "false");
	for (k = 0; k < WORKERS; k++)
		chat_configure(w->chat[k], &w->cfg);
}

static void
false_without_true_is_not_relayed(void **state)
{
	struct cast t = cast(state);

	type(t.a, OFF);
	expect_nothing(t.b);
	assert_int_equal(t.w->counts[CHAT_COUNT_TYPING], 0);
	type(t.a, ON);
	type(t.a, OFF);
	type(t.a, OFF);
	assert_int_equal(waiting(t.b), 2);
}

static void
it_is_per_user_over_all_sockets(void **state)
{
	struct cast t = cast(state);

	type(t.a, ON);
	type(t.a2, ON);
	expect_shown(t.b, "true");
	expect_nothing(t.b);
	type(t.a, OFF);
	expect_nothing(t.b);
	type(t.a2, OFF);
	expect_shown(t.b, "false");
	expect_nothing(t.b);
	expect_nothing(t.a);
	expect_nothing(t.a2);
}

static void
two_sockets_renew_no_more_often_than_one(void **state)
{
	struct cast t = cast(state);
	int i;

	type(t.a, ON);
	pass(t.w, 1500);
	type(t.a2, ON);
	/* each of them renews every three seconds, one between the other */
	for (i = 0; i < 4; i++) {
		pass(t.w, 1500);
		type(t.a, ON);
		pass(t.w, 1500);
		type(t.a2, ON);
	}
	/* at 0, 3, 6, 9, 12 seconds */
	assert_int_equal(waiting(t.b), 5);
}

static void
a_message_from_any_socket_ends_it(void **state)
{
	struct cast t = cast(state);

	type(t.a, ON);
	type(t.a2, ON);
	skip_all(t.b);
	message(t.a2, "s1", "m1", "hi");
	run(t.w);
	expect_shown(t.b, "false");
	(void)expect_event(t.b, "chat:message-received");
	expect_nothing(t.b);
	/* it has ended: no expiry, and true is the first again */
	pass(t.w, 1000);
	type(t.a, ON);
	expect_shown(t.b, "true");
	pass(t.w, 5500);
	expect_nothing(t.b);
	pass(t.w, 500);
	expect_shown(t.b, "false");
	pass(t.w, 60000);
	expect_nothing(t.b);
}

static void
anothers_message_does_not(void **state)
{
	struct cast t = cast(state);

	type(t.a, ON);
	skip_all(t.b);
	type(t.b, ON);
	message(t.b, "s1", "m1", "hi");
	run(t.w);
	(void)expect_event(t.b, "chat:message-sent");
	expect_nothing(t.b);
	/* and what goes on expires as ever; with one on the same worker too */
	pass(t.w, 6000);
	expect_shown(t.b, "false");
	type(t.a2, ON);
	type(t.b, ON);
	skip_all(t.b);
	message(t.b, "s1", "m2", "hi");
	run(t.w);
	skip_all(t.b);
	pass(t.w, 6000);
	expect_shown(t.b, "false");
}

static void
what_is_typed_behind_a_message_is_shown_behind_it(void **state)
{
	struct cast t = cast(state);

	type(t.a, ON);
	skip_all(t.b);
	message(t.a, "s1", "m1", "hi");
	say(t.a, "chat:typing", ON, 0);
	run(t.w);
	expect_shown(t.b, "false");
	(void)expect_event(t.b, "chat:message-received");
	expect_shown(t.b, "true");
	expect_nothing(t.b);
	type(t.a, OFF);
	expect_shown(t.b, "false");
}

static void
the_same_when_nothing_was_typed_before(void **state)
{
	struct cast t = cast(state);

	message(t.a, "s1", "m1", "one");
	message(t.a, "s1", "m2", "two");
	say(t.a, "chat:typing", ON, 0);
	run(t.w);
	(void)expect_event(t.b, "chat:message-received");
	(void)expect_event(t.b, "chat:message-received");
	expect_shown(t.b, "true");
	expect_nothing(t.b);
}

static void
a_message_that_is_not_stored_ends_it_too(void **state)
{
	static const enum chat_outcome outcomes[] = { CHAT_STORE_UNAVAILABLE,
		CHAT_ID_TAKEN, CHAT_REJECTED, CHAT_DUPLICATE };
	struct cast t = cast(state);
	size_t i;

	for (i = 0; i < sizeof(outcomes) / sizeof(outcomes[0]); i++) {
		type(t.a, ON);
		expect_shown(t.b, "true");
		t.w->force = true;
		t.w->forced = outcomes[i];
		message(t.a, "s1", "m1", "hi");
		run(t.w);
		expect_shown(t.b, "false");
		expect_nothing(t.b);
		/* unless more is being typed */
		type(t.a, ON);
		message(t.a, "s1", "m1", "hi");
		say(t.a, "chat:typing", ON, 0);
		run(t.w);
		expect_shown(t.b, "true");
		expect_nothing(t.b);
		t.w->force = false;
		type(t.a, OFF);
		expect_shown(t.b, "false");
		expect_nothing(t.b);
	}
}

static void
a_message_that_takes_long_does_not_hold_it(void **state)
{
	struct cast t = cast(state);

	type(t.a, ON);
	skip_all(t.b);
	/* published, and the disk stalls */
	message(t.a, "s1", "m1", "hi");
	t.w->mono_ms += 6000;
	chat_tick(t.w->chat[0]);
	deliver_live(t.w);
	expect_shown(t.b, "false");
	run(t.w);
	(void)expect_event(t.b, "chat:message-received");
	expect_nothing(t.b);
}

static void
leaving_ends_it(void **state)
{
	struct cast t = cast(state);

	type(t.a, ON);
	skip_all(t.b);
	say(t.a, "chat:leave-session", "{\"sessionId\":\"s1\"}", 0);
	/* told at once, even if the disk stalls */
	deliver_live(t.w);
	expect_shown(t.b, "false");
	run(t.w);
	(void)expect_event(t.b, "chat:user-left");
	expect_nothing(t.b);
}

static void
hanging_up_ends_it(void **state)
{
	struct cast t = cast(state);

	type(t.a, ON);
	type(t.a2, ON);
	skip_all(t.b);
	hang_up(t.a, "transport close");
	run(t.w);
	/* the other one still types */
	(void)expect_event(t.b, "chat:user-left");
	expect_nothing(t.b);
	hang_up(t.a2, "transport close");
	run(t.w);
	expect_shown(t.b, "false");
	(void)expect_event(t.b, "chat:user-left");
	pass(t.w, 60000);
	expect_nothing(t.b);
}

static void
a_dead_workers_typist_is_ended_by_its_leave(void **state)
{
	struct cast t = cast(state);
	struct chat_delivery d = { .ev = { .type = CHAT_TYPING,
				       .flags = CHAT_F_TYPING,
				       .room = 1,
				       .user = 777,
				       .nfields = 3 } };

	d.ev.field[0] = str_of("socket-x");
	d.ev.field[1] = str_of("zoe");
	d.ev.field[2] = str_of("");
	chat_deliver(t.w->chat[1], &d);
	expect_shown(t.b, "true");
	expect_shown(t.a2, "true");
	d.ev.type = CHAT_LEAVE;
	d.ev.flags = CHAT_F_ORPHAN;
	d.ev.field[2] = str_of("transport close");
	d.gseq = t.w->gseq;
	chat_deliver(t.w->chat[1], &d);
	expect_shown(t.b, "false");
	(void)expect_event(t.b, "chat:user-left");
}

static void
after_a_gap_nobody_types(void **state)
{
	struct cast t = cast(state);

	type(t.a, ON);
	type(t.b, ON);
	skip_all(t.a);
	skip_all(t.a2);
	skip_all(t.b);
	chat_resync_live(t.w->chat[1]);
	expect_shown(t.b, "false");
	expect_shown(t.a2, "false");
	expect_nothing(t.b);
	run(t.w);
	/* the other workers hear from its own typists */
	expect_shown(t.a, "false");
	expect_nothing(t.a);
	/* bob's next true is the first */
	type(t.b, ON);
	expect_shown(t.a, "true");
	expect_shown(t.a2, "true");
	/* ada's worker knows of no gap: her next renewal shows her */
	type(t.a, ON);
	expect_nothing(t.b);
	pass(t.w, 3000);
	type(t.a, ON);
	expect_shown(t.b, "true");
}

/* The message or the leave that ended it was not seen here. */
static void
after_a_gap_of_the_stored_nobody_types_either(void **state)
{
	struct cast t = cast(state);

	type(t.a, ON);
	skip_all(t.b);
	message(t.a, "s1", "m1", "hi");
	sequence(t.w);
	deliver_to(t.w, t.w->sequenced[t.w->ndelivered++], 0);
	t.w->engine[1].delivered = t.w->gseq;
	chat_resync(t.w->chat[1], t.w->gseq);
	run(t.w);
	expect_shown(t.b, "false");
	(void)expect_event(t.b, "chat:presence-sync");
	(void)expect_event(t.b, "chat:message-received");
	pass(t.w, 60000);
	expect_nothing(t.b);
}

static void
who_joins_late_sees_the_next_renewal(void **state)
{
	struct cast t = cast(state);
	struct conn *c;

	type(t.a, ON);
	c = client(t.w, 0, "cyd");
	join(c, "w1", "s1");
	skip_all(c);
	pass(t.w, 3000);
	type(t.a, ON);
	expect_shown(c, "true");
	type(t.a, OFF);
	expect_shown(c, "false");
	expect_nothing(c);
}

static void
a_session_of_its_own_each(void **state)
{
	struct cast t = cast(state);

	join_all(t.w, "s2");
	type(t.a, ON);
	type(t.a, "{\"sessionId\":\"s2\",\"isTyping\":true}");
	assert_member(expect_event(t.b, "chat:typing-indicator"), "sessionId",
	    "\"s1\"");
	assert_member(expect_event(t.b, "chat:typing-indicator"), "sessionId",
	    "\"s2\"");
	message(t.a, "s2", "m1", "hi");
	run(t.w);
	assert_member(expect_event(t.b, "chat:typing-indicator"), "sessionId",
	    "\"s2\"");
	(void)expect_event(t.b, "chat:message-received");
	expect_nothing(t.b);
}

static void
an_agent_is_named(void **state)
{
	struct cast t = cast(state);
	struct conn *g = client_as(t.w, 0,
	    "{\"userId\":\"bot-7\",\"role\":\"agent\",\"workspaces\":[\"w1\"]"
	    "}");
	struct conn *u = client(t.w, 0, "cyd");

	say(g, "chat:join-session",
	    "{\"sessionId\":\"s1\",\"workspaceId\":\"w1\",\"agentId\":\"ag\"}",
	    0);
	/* a user names the agent that it talks to */
	say(u, "chat:join-session",
	    "{\"sessionId\":\"s1\",\"workspaceId\":\"w1\",\"agentId\":\"ag\"}",
	    0);
	run(t.w);
	skip_all(t.b);
	type(g, ON);
	expect(t.b,
	    "chat:typing-indicator {\"sessionId\":\"s1\",\"userId\":\"bot-7\","
	    "\"agentId\":\"ag\",\"isTyping\":true,\"timestamp\":"
	    "1700000000000}");
	type(u, ON);
	expect(t.b, SHOWN("cyd", "true", "00000"));
}

/* Read on; who is shown typing: bit 0 ada, bit 1 bob. */
static void
watch(struct conn *c, int *shown)
{
	struct json_value v;
	int user;

	while (waiting(c) > 0) {
		if (strncmp(c->out[c->next], "chat:typing-indicator ", 22) !=
		    0) {
			c->next++;
			continue;
		}
		v = expect_event(c, "chat:typing-indicator");
		user = json_is(json_member(v, "userId"), "ada") ? 1 : 2;
		if (json_member(v, "isTyping").text.p[0] == 't')
			*shown |= user;
		else
			*shown &= ~user;
	}
}

static void
something_happens(struct world *w, struct conn *c, unsigned what, int step)
{
	char id[20];

	snprintf(id, sizeof(id), "m%d", what == 6 ? step / 3 : step);
	if (what < 4) {
		say(c, "chat:typing", ON, 0);
	} else if (what < 6) {
		say(c, "chat:typing", OFF, 0);
	} else if (what == 6) {
		message(c, "s1", id, "x");
	} else if (what == 7) {
		deliver_live(w);
	} else if (what == 8) {
		sequence(w);
		deliver(w, 1);
	} else if (what == 9) {
		w->force = true;
		w->forced = CHAT_STORE_UNAVAILABLE;
		message(c, "s1", id, "x");
		sequence(w);
		w->force = false;
	} else if (what == 10) {
		pass(w, 700);
	} else if (what == 11) {
		say(c, "chat:leave-session", "{\"sessionId\":\"s1\"}", 0);
		say(c, "chat:join-session",
		    "{\"sessionId\":\"s1\",\"workspaceId\":\"w1\"}", 0);
	} else {
		run(w);
	}
}

/* Whatever happens in whatever order: in the end nobody is shown typing. */
static void
it_never_sticks(void **state)
{
	struct cast t = cast(state);
	struct conn *c[4] = { t.a, t.a2, t.b, t.a };
	int step, bob_sees = 0, ada_sees = 0, ever = 0;
	unsigned seed = 1;

	for (step = 0; t.w->nframes < OUTS / 2 && t.w->nmessages < ROWS / 2 &&
	     t.b->nout < OUTS / 2 && t.a2->nout < OUTS / 2 &&
	     t.a->nout < OUTS / 2 && t.w->nsequenced < EVENTS / 2;
	     step++) {
		seed = seed * 1103515245 + 12345;
		something_happens(t.w, c[seed >> 16 & 3], seed >> 20 & 15,
		    step);
		watch(t.b, &bob_sees);
		watch(t.a2, &ada_sees);
		ever |= bob_sees | ada_sees << 2;
	}
	assert_true(step > 1000);
	assert_int_equal(ever, 1 | 2 << 2);
	run(t.w);
	pass(t.w, 7000);
	watch(t.b, &bob_sees);
	watch(t.a2, &ada_sees);
	assert_int_equal(bob_sees, 0);
	assert_int_equal(ada_sees, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(the_others_see_it_and_no_socket_of_the_typist),
		T(bad_requests_are_refused),
		T(repeating_it_within_three_seconds_is_not_told_again),
		T(it_ends_when_nothing_more_is_heard),
		T(it_expires_when_it_is_not_renewed),
		T(a_reload_is_for_those_who_type_too),
		T(false_without_true_is_not_relayed),
		T(it_is_per_user_over_all_sockets),
		T(two_sockets_renew_no_more_often_than_one),
		T(a_message_from_any_socket_ends_it),
		T(anothers_message_does_not),
		T(what_is_typed_behind_a_message_is_shown_behind_it),
		T(the_same_when_nothing_was_typed_before),
		T(a_message_that_is_not_stored_ends_it_too),
		T(a_message_that_takes_long_does_not_hold_it),
		T(leaving_ends_it),
		T(hanging_up_ends_it),
		T(a_dead_workers_typist_is_ended_by_its_leave),
		T(after_a_gap_nobody_types),
		T_NOW(after_a_gap_of_the_stored_nobody_types_either),
		T(who_joins_late_sees_the_next_renewal),
		T(a_session_of_its_own_each),
		T(an_agent_is_named),
		T(it_never_sticks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
