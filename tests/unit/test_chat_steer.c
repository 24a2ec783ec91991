/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_chat_steer - what an operator decides takes effect on all workers, on
 * who is there and on who comes.
 */

#include "chat/socket.h"
#include "chat/steer.h"
#include "tests/unit/chat_return.h"

/* As worker/steer.c publishes it. */
static void
publish(struct world *w, const char *action, const char *user, const char *id,
    const char *until, const char *text, const char *where)
{
	struct chat_event ev = { .type = CHAT_STEER, .nfields = 8 };
	const char *slash = strchr(where, '/');

	ev.field[0] = str_of(action);
	ev.field[1] = str_of(user);
	ev.field[2] = str_of(id);
	ev.field[3] = str_of(until);
	ev.field[4] = str_of(text);
	ev.field[5] = str_of("uid 0");
	ev.field[6] = str_of(where);
	ev.field[7] = str_of(slash == NULL ? "" : slash + 1);
	if (slash != NULL)
		ev.field[6].len = (size_t)(slash - where);
	world_ops.publish(&w->engine[0], NULL, 0, &ev);
}

static void
steer(struct world *w, const char *action, const char *user, const char *id,
    const char *until, const char *text, const char *where)
{
	publish(w, action, user, id, until, text, where);
	run(w);
	/* who is let go goes */
	run(w);
}

/* The next event of this name has this in it; returns it. */
static const char *
expect_has(struct conn *c, const char *event, const char *text)
{
	size_t n = strlen(event);
	const char *out;

	while (c->next < c->nout) {
		out = c->out[c->next++];
		if (strncmp(out, event, n) != 0 || out[n] != ' ')
			continue;
		if (strstr(out, text) == NULL)
			fail_msg("%s without %s", out, text);
		return out;
	}
	fail_msg("no %s", event);
	return NULL;
}

static void
send_text(struct conn *c, const char *id, const char *content)
{
	message(c, "s1", id, content);
	run(c->w);
}

/* As if it had come with this token. */
static void
token_of(struct conn *c, const char *id, uint64_t issued_ms)
{
	/* the identity does not own it */
	c->s->identity->token_id = (char *)(uintptr_t)id;
	c->s->identity->issued_ms = issued_ms;
}

static void
restart(struct world *w, int worker)
{
	chat_free(&w->chat[worker]);
	w->chat[worker] = chat_new(&w->cfg, &world_ops, &w->engine[worker]);
	assert_non_null(w->chat[worker]);
}

static const char *
in(struct world *w, uint64_t ms)
{
	static char text[32];

	snprintf(text, sizeof(text), "%llu",
	    (unsigned long long)(w->real_ms + ms));
	return text;
}

static bool
may_enter(struct world *w, int worker, const char *user, const char *token,
    uint64_t issued_ms, uint64_t *wait_ns_r)
{
	const struct steer_who who = { user, token != NULL, token, issued_ms };
	enum chat_error err;

	*wait_ns_r = 0;
	err = steer_admit(w->chat[worker], &who, wait_ns_r);
	assert_true(err == CHAT_OK || err == CHAT_E_BANNED ||
	    err == CHAT_E_SESSION_INVALID);
	return err == CHAT_OK;
}

/* --- bans -------------------------------------------------------------------- */

static void
who_is_banned_while_it_comes_back_is_told_so(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "eve"), *b;

	join(a, "w1", "s1");
	hang_up(a, "transport close");
	run(w);
	/* in the log before its RESUME */
	publish(w, "ban", "eve", "", in(w, 60000), "spam", "");
	b = come_back(a, 1, "eve");
	run(w);
	run(w);
	assert_null(b->s);
	expect(b, "CONNECT_ERROR BANNED");
	expect_nothing(b);
}

static void
a_ban_ends_all_sockets_of_the_user_everywhere(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "eve"), *b = client(w, 1, "eve"),
		    *c = client(w, 1, "bob");
	uint64_t wait;

	join(a, "w1", "s1");
	join(c, "w1", "s1");
	steer(w, "ban", "eve", "", in(w, 60000), "spam", "");
	expect_has(a, "chat:disconnect-reason",
	    "{\"code\":\"BANNED\",\"message\":\"spam\",\"retryAfter\":60}");
	assert_null(a->s);
	assert_null(b->s);
	assert_non_null(c->s);
	expect_has(c, "chat:user-left", "\"reason\":\"kicked\"");
	assert_false(may_enter(w, 0, "eve", NULL, 0, &wait));
	assert_int_equal(wait, UINT64_C(60000000000));
	assert_false(may_enter(w, 1, "eve", NULL, 0, &wait));
	assert_true(may_enter(w, 1, "bob", NULL, 0, &wait));
	assert_true(may_enter(w, 1, "eve2", NULL, 0, &wait));
	/* its recovery row is gone as well */
	assert_null(recovery_find(w, str_of(a->pid)));
}

static void
a_ban_ends_by_time_and_by_hand(void **state)
{
	struct world *w = *state;
	uint64_t wait, until = 0;

	steer(w, "ban", "eve", "", in(w, 60000), "", "");
	steer(w, "ban", "mallory", "", "", "", "");
	assert_true(steer_is_banned(w->chat[1], "mallory", &until));
	assert_true(until == STEER_EVER);
	assert_false(may_enter(w, 0, "mallory", NULL, 0, &wait));
	assert_int_equal(wait, 0);
	w->real_ms += 59999;
	assert_true(steer_is_banned(w->chat[1], "eve", NULL));
	w->real_ms += 1;
	assert_false(steer_is_banned(w->chat[1], "eve", NULL));
	assert_int_equal(steer_count(w->chat[1]), 2);
	w->mono_ms += 60000;
	chat_tick(w->chat[1]);
	assert_int_equal(steer_count(w->chat[1]), 1);
	steer(w, "unban", "mallory", "", "", "", "");
	assert_true(may_enter(w, 0, "mallory", NULL, 0, &wait));
	assert_true(may_enter(w, 1, "mallory", NULL, 0, &wait));
	assert_int_equal(steer_count(w->chat[1]), 0);
}

static void
what_was_refused_changes_nothing(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "eve");

	w->force = true;
	w->forced = CHAT_STORE_UNAVAILABLE;
	steer(w, "ban", "eve", "", "", "", "");
	w->force = false;
	assert_non_null(a->s);
	assert_false(steer_is_banned(w->chat[0], "eve", NULL));
	steer(w, "nonsense", "eve", "", "", "", "");
	assert_non_null(a->s);
}

/* --- mutes ------------------------------------------------------------------- */

static void
who_is_muted_reads_but_cannot_send(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "eve"), *b = client(w, 1, "bob");
	const char *out;

	join(a, "w1", "s1");
	join(b, "w1", "s1");
	skip_all(a);
	skip_all(b);
	steer(w, "mute", "eve", "", in(w, 1500), "", "");
	send_text(a, "m1", "hi");
	out = expect_has(a, "chat:send-message-error", "\"code\":\"MUTED\"");
	assert_non_null(strstr(out, "\"error\":\"Sending suspended\""));
	assert_non_null(strstr(out, "\"retryable\":true"));
	assert_non_null(strstr(out, "\"retryAfter\":2"));
	expect_nothing(b);
	send_text(b, "m2", "hello");
	expect_has(a, "chat:message-received", "hello");
	w->real_ms += 1500;
	send_text(a, "m3", "free");
	expect_has(b, "chat:message-received", "free");
}

static void
a_mute_for_ever_names_no_time_and_is_taken_back(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "eve");

	join(a, "w1", "s1");
	skip_all(a);
	steer(w, "mute", "eve", "", "", "", "");
	send_text(a, "m1", "hi");
	assert_null(strstr(expect_has(a, "chat:send-message-error",
			       "\"code\":\"MUTED\""),
	    "retryAfter"));
	steer(w, "unmute", "eve", "", "", "", "");
	send_text(a, "m1", "hi");
	expect_has(a, "chat:message-sent", "m1");
}

static void
typing_of_who_is_muted_is_not_shown(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "eve"), *b = client(w, 1, "bob");

	join(a, "w1", "s1");
	join(b, "w1", "s1");
	skip_all(b);
	steer(w, "mute", "eve", "", "", "", "");
	say(a, "chat:typing", "{\"sessionId\":\"s1\",\"isTyping\":true}", 0);
	run(w);
	expect_nothing(b);
	steer(w, "unmute", "eve", "", "", "", "");
	say(a, "chat:typing", "{\"sessionId\":\"s1\",\"isTyping\":true}", 0);
	run(w);
	expect_has(b, "chat:typing-indicator", "eve");
}

/* --- tokens ------------------------------------------------------------------- */

static void
a_token_is_revoked_by_its_id(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "eve"), *b = client(w, 1, "eve");
	uint64_t wait;

	token_of(a, "t1", 1000);
	token_of(b, "t2", 1000);
	steer(w, "revoke-token", "", "t1", "", "", "");
	expect_has(a, "chat:disconnect-reason", "\"code\":\"TOKEN_REVOKED\"");
	assert_null(a->s);
	assert_non_null(b->s);
	assert_false(may_enter(w, 1, "eve", "t1", 5000, &wait));
	assert_true(may_enter(w, 1, "eve", "t2", 5000, &wait));
	assert_true(may_enter(w, 1, "eve", "", 5000, &wait));
	assert_true(may_enter(w, 1, "eve", NULL, 0, &wait));
}

static void
a_users_tokens_of_before_are_revoked(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "eve"), *b = client(w, 1, "eve");
	uint64_t wait;

	token_of(a, "t1", 1999);
	token_of(b, "t2", 2000);
	steer(w, "revoke-user", "eve", "2000", "", "", "");
	run(w);
	assert_null(a->s);
	assert_non_null(b->s);
	assert_false(may_enter(w, 0, "eve", "t1", 1999, &wait));
	assert_false(may_enter(w, 0, "eve", "", 1999, &wait));
	/* when it was issued is not told: it counts as old */
	assert_false(may_enter(w, 0, "eve", "t3", 0, &wait));
	assert_true(may_enter(w, 0, "eve", "t2", 2000, &wait));
	assert_true(may_enter(w, 0, "bob", "t1", 1999, &wait));
	/* without a token there is nothing to revoke */
	assert_true(may_enter(w, 0, "eve", NULL, 0, &wait));
}

/* --- kicks --------------------------------------------------------------------- */

static void
a_kick_meets_a_user_or_one_socket(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "eve"), *b = client(w, 1, "eve"),
		    *c = client(w, 1, "bob");
	uint64_t wait;

	steer(w, "kick-socket", "", b->id, "", "", "");
	run(w);
	expect_has(b, "chat:disconnect-reason",
	    "{\"code\":\"KICKED\",\"message\":\"Disconnected by the "
	    "operator\"}");
	assert_null(b->s);
	assert_non_null(a->s);
	steer(w, "kick", "eve", "", "", "be nice", "");
	expect_has(a, "chat:disconnect-reason",
	    "{\"code\":\"KICKED\",\"message\":\"be nice\"}");
	assert_null(a->s);
	assert_non_null(c->s);
	/* and may come again */
	assert_true(may_enter(w, 0, "eve", NULL, 0, &wait));
	assert_int_equal(steer_count(w->chat[0]), 0);
}

/* --- broadcasts ------------------------------------------------------------------ */

static int
heard(struct conn *c, const char *text)
{
	int i, n = 0;

	for (i = c->next; i < c->nout; i++)
		n += strncmp(c->out[i], "chat:message-received", 21) == 0 &&
		    strstr(c->out[i], text) != NULL;
	c->next = c->nout;
	return n;
}

static void
a_broadcast_is_heard_in_each_session_and_by_who_is_in_none(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b = client(w, 1, "bob"),
		    *c = client(w, 1, "cleo");

	join(a, "w1", "s1");
	join(a, "w1", "s2");
	join(b, "w2", "s1");
	skip_all(a);
	skip_all(b);
	skip_all(c);
	steer(w, "broadcast", "", "id1", "", "down at \"8\"", "");
	run(w);
	assert_non_null(strstr(a->out[a->next], "\"id\":\"id1\""));
	assert_non_null(strstr(a->out[a->next], "\"type\":\"system\""));
	assert_null(strstr(a->out[a->next], "\"seq\""));
	assert_null(a->offset[a->next]);
	assert_int_equal(heard(a, "down at \\\"8\\\""), 2);
	assert_non_null(strstr(b->out[b->next], "\"sessionId\":\"s1\""));
	assert_int_equal(heard(b, "down"), 1);
	assert_non_null(strstr(c->out[c->next], "\"sessionId\":\"\""));
	assert_int_equal(heard(c, "down"), 1);
	/* of a workspace, of a session: nobody else */
	steer(w, "broadcast", "", "id2", "", "one", "w1");
	assert_int_equal(heard(a, "one"), 2);
	assert_int_equal(heard(b, "one"), 0);
	assert_int_equal(heard(c, "one"), 0);
	steer(w, "broadcast", "", "id3", "", "two", "w2/s1");
	assert_int_equal(heard(a, "two"), 0);
	assert_int_equal(heard(b, "two"), 1);
	assert_int_equal(heard(c, "two"), 0);
	/* nothing of it is kept */
	assert_int_equal(w->nmessages, 0);
}

/* --- the list ----------------------------------------------------------------------- */

static void
the_list_is_read_page_by_page_at_the_start(void **state)
{
	struct world *w = *state;
	char name[16];
	int i;

	for (i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "u%d", i);
		steer(w, i % 2 == 0 ? "ban" : "mute", name, "", "", "", "");
	}
	restart(w, 1);
	assert_int_equal(steer_count(w->chat[1]), 0);
	w->bans_asked = 0;
	w->late_bans = 1;
	steer_load(w->chat[1]);
	assert_false(steer_is_banned(w->chat[1], "u18", NULL));
	assert_true(steer_turn(w->chat[1]));
	assert_true(w->bans_asked >= 7);
	assert_int_equal(steer_count(w->chat[1]), 20);
	assert_true(steer_is_banned(w->chat[1], "u18", NULL));
	assert_true(steer_is_muted(w->chat[1], "u19", NULL));
	assert_false(steer_is_banned(w->chat[1], "u19", NULL));
}

static void
a_list_that_cannot_be_read_is_tried_again(void **state)
{
	struct world *w = *state;

	steer(w, "ban", "eve", "", "", "", "");
	restart(w, 1);
	w->fail_bans = true;
	steer_load(w->chat[1]);
	assert_true(steer_failed(w->chat[1]));
	assert_false(steer_turn(w->chat[1]));
	w->fail_bans = false;
	w->mono_ms += 1000;
	chat_tick(w->chat[1]);
	assert_false(steer_failed(w->chat[1]));
	assert_true(steer_is_banned(w->chat[1], "eve", NULL));
}

/* What worker 1 did not hear of: as after an eviction. */
static void
missed(struct world *w, const char *action, const char *user, const char *id)
{
	struct stored *e;
	int i;

	publish(w, action, user, id, "", "", "");
	sequence(w);
	for (i = w->ndelivered; i < w->nsequenced; i++) {
		e = w->sequenced[i];
		deliver_to(w, e, 0);
	}
	w->ndelivered = w->nsequenced;
}

static void
what_was_decided_in_a_gap_is_done_behind_it(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 1, "eve"), *b = client(w, 1, "bob"),
		    *c = client(w, 1, "cleo");

	steer(w, "ban", "dan", "", "", "", "");
	missed(w, "ban", "eve", "");
	missed(w, "kick", "bob", "");
	missed(w, "unban", "dan", "");
	missed(w, "mute", "cleo", "");
	assert_non_null(a->s);
	assert_true(steer_is_banned(w->chat[1], "dan", NULL));
	chat_resync(w->chat[1], w->gseq);
	run(w);
	assert_null(a->s);
	assert_null(b->s);
	assert_non_null(c->s);
	assert_true(steer_is_banned(w->chat[1], "eve", NULL));
	assert_false(steer_is_banned(w->chat[1], "bob", NULL));
	assert_false(steer_is_banned(w->chat[1], "dan", NULL));
	assert_true(steer_is_muted(w->chat[1], "cleo", NULL));
}

static void
a_kick_of_before_a_gap_is_not_done_again(void **state)
{
	struct world *w = *state;
	struct conn *a;

	steer(w, "kick", "bob", "", "", "", "");
	a = client(w, 1, "bob");
	missed(w, "ban", "eve", "");
	chat_resync(w->chat[1], w->gseq);
	run(w);
	assert_non_null(a->s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(who_is_banned_while_it_comes_back_is_told_so),
		T(a_ban_ends_all_sockets_of_the_user_everywhere),
		T(a_ban_ends_by_time_and_by_hand),
		T(what_was_refused_changes_nothing),
		T(who_is_muted_reads_but_cannot_send),
		T(a_mute_for_ever_names_no_time_and_is_taken_back),
		T(typing_of_who_is_muted_is_not_shown),
		T(a_token_is_revoked_by_its_id),
		T(a_users_tokens_of_before_are_revoked),
		T(a_kick_meets_a_user_or_one_socket),
		T(a_broadcast_is_heard_in_each_session_and_by_who_is_in_none),
		T(the_list_is_read_page_by_page_at_the_start),
		T(a_list_that_cannot_be_read_is_tried_again),
		T(what_was_decided_in_a_gap_is_done_behind_it),
		T(a_kick_of_before_a_gap_is_not_done_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
