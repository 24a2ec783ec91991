/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_chat_changes - what was changed while somebody was away: each item
 * once, as it is now, behind its message and before what is live.
 */

#include <stdlib.h>

#include "tests/unit/chat_return.h"

#define ACTORS 5
#define STEPS 120
#define LIVES 40
#define SEQS 400

/* --- one thing at a time ----------------------------------------------------- */

static void
edit(struct conn *c, const char *id, const char *content)
{
	char json[200];

	snprintf(json, sizeof(json),
	    "{\"sessionId\":\"s1\",\"messageId\":\"%s\",\"content\":\"%s\"}",
	    id, content);
	say(c, "chat:edit-message", json, 0);
}

static void
delete_message(struct conn *c, const char *id)
{
	char json[200];

	snprintf(json, sizeof(json),
	    "{\"sessionId\":\"s1\",\"messageId\":\"%s\"}", id);
	say(c, "chat:delete-message", json, 0);
}

static void
mark_read(struct conn *c, int seq)
{
	char json[100];

	snprintf(json, sizeof(json), "{\"sessionId\":\"s1\",\"seq\":%d}", seq);
	say(c, "chat:mark-read", json, 0);
}

static void
publish_status(struct world *w, const char *status)
{
	struct chat_event ev = { .type = CHAT_STATUS, .room = 1, .nfields = 5 };

	ev.field[0] = str_of(status);
	ev.field[1] = str_of("why");
	ev.field[2] = str_of("operator");
	ev.field[3] = str_of("w1");
	ev.field[4] = str_of("s1");
	op_publish(&w->engine[0], NULL, 0, &ev);
}

static void
join_after(struct conn *c, const char *more)
{
	char json[200];

	snprintf(json, sizeof(json),
	    "{\"sessionId\":\"s1\",\"workspaceId\":\"w1\"%s}", more);
	say(c, "chat:join-session", json, 0);
	run(c->w);
}

/* What came of this event did not. */
static void
forget(struct conn *c, const char *event)
{
	int i, n = c->next;

	for (i = n; i < c->nout; i++) {
		if (strncmp(c->out[i], event, strlen(event)) == 0) {
			free(c->out[i]);
			free(c->offset[i]);
			continue;
		}
		c->out[n] = c->out[i];
		c->offset[n++] = c->offset[i];
	}
	c->nout = n;
}

/* The next is this change, with that revision. */
static void
expect_change(struct conn *c, const char *event, const char *revision)
{
	assert_member(expect_event(c, event), "revision", revision);
}

/*
 * Ada's messages s1-m1 to s1-m4; 2: edited twice, 3: deleted, 1: edited; Bob
 * has read: revisions 1, (2), 3, 4, 5 and 6.
 */
static void
changed_session(struct world *w, struct conn **ada_r, struct conn **bob_r)
{
	*ada_r = client(w, 0, "ada");
	*bob_r = client(w, 1, "bob");
	join_all(w, "s1");
	say_messages(*ada_r, "s1", 1, 4);
	run(w);
	mark_read(*bob_r, 1);
	run(w);
	edit(*ada_r, "s1-m2", "first");
	run(w);
	edit(*ada_r, "s1-m2", "second");
	run(w);
	delete_message(*ada_r, "s1-m3");
	run(w);
	edit(*ada_r, "s1-m1", "one");
	run(w);
	mark_read(*bob_r, 2);
	run(w);
	skip_all(*ada_r);
	skip_all(*bob_r);
}

static void
who_asks_gets_each_item_once_as_it_is(void **state)
{
	struct world *w = *state;
	struct conn *ada, *bob, *eve;

	changed_session(w, &ada, &bob);
	w->changes_a_page = 2;
	eve = client(w, 1, "eve");
	join_after(eve, ",\"afterSeq\":2,\"afterRevision\":0");
	assert_member(expect_event(eve, "chat:join-session-success"),
	    "lastRevision", "6");
	expect(eve,
	    "chat:message-received {\"id\":\"s1-m3\",\"sessionId\":\"s1\","
	    "\"seq\":3,\"deleted\":true}");
	expect_seq(eve, "chat:message-received", 4);
	assert_member(expect_event(eve, "chat:message-updated"), "content",
	    "\"second\"");
	expect_change(eve, "chat:message-deleted", "4");
	expect_change(eve, "chat:message-updated", "5");
	expect_change(eve, "chat:read-receipt", "6");
	expect_nothing(eve);
}

static void
a_lost_answer_tells_of_the_revision_at_its_join(void **state)
{
	struct world *w = *state;
	struct conn *ada, *bob, *eve, *back;

	changed_session(w, &ada, &bob);
	eve = client(w, 0, "eve");
	say(eve, "chat:join-session",
	    "{\"sessionId\":\"s1\",\"workspaceId\":\"w1\"}", 0);
	steps(w);
	mark_read(bob, 3);
	hang_up(eve, "transport close");
	run(w);
	back = come_back_as(w, 0, "eve", eve->pid, NULL);
	run(w);
	/* not of what was changed while it was away: that comes */
	assert_member(expect_event(back, "chat:join-session-success"),
	    "lastRevision", "6");
	expect_change(back, "chat:read-receipt", "7");
	expect(back, "CONNECT recovered");
}

static void
who_knows_some_gets_the_rest(void **state)
{
	struct world *w = *state;
	struct conn *ada, *bob, *eve;

	changed_session(w, &ada, &bob);
	eve = client(w, 1, "eve");
	join_after(eve, ",\"afterRevision\":4");
	(void)expect_event(eve, "chat:join-session-success");
	expect_change(eve, "chat:message-updated", "5");
	expect_change(eve, "chat:read-receipt", "6");
	expect_nothing(eve);
	/* in already: asks again, for more, for nothing, for what is not */
	join_after(eve, ",\"afterRevision\":5");
	assert_member(expect_event(eve, "chat:join-session-success"),
	    "lastRevision", "6");
	expect_change(eve, "chat:read-receipt", "6");
	join_after(eve, ",\"afterRevision\":6");
	(void)expect_event(eve, "chat:join-session-success");
	join_after(eve, ",\"afterRevision\":600");
	(void)expect_event(eve, "chat:join-session-success");
	join_after(eve, ",\"afterSeq\":3,\"afterRevision\":5");
	(void)expect_event(eve, "chat:join-session-success");
	expect_received(eve, 4, 4);
	expect_change(eve, "chat:read-receipt", "6");
	join_after(eve, "");
	(void)expect_event(eve, "chat:join-session-success");
	expect_nothing(eve);
	edit(ada, "s1-m4", "live");
	run(w);
	expect_change(eve, "chat:message-updated", "7");
	expect_nothing(eve);
}

static void
who_asks_for_nothing_gets_nothing(void **state)
{
	struct world *w = *state;
	struct conn *ada, *bob, *eve;

	changed_session(w, &ada, &bob);
	eve = client(w, 1, "eve");
	join_after(eve, "");
	(void)expect_event(eve, "chat:join-session-success");
	expect_nothing(eve);
	join_after(bob, ",\"afterRevision\":-1");
	assert_member(expect_event(bob, "chat:user-joined"), "userId",
	    "\"eve\"");
	assert_member(expect_event(bob, "chat:join-session-error"), "code",
	    "\"INVALID_PAYLOAD\"");
}

/* --- recovery ---------------------------------------------------------------- */

static void
who_comes_back_gets_what_was_changed(void **state)
{
	struct world *w = *state;
	struct conn *ada, *bob;

	changed_session(w, &ada, &bob);
	hang_up(bob, "transport close");
	run(w);
	edit(ada, "s1-m1", "away");
	run(w);
	say_messages(ada, "s1", 5, 5);
	run(w);
	publish_status(w, "paused");
	run(w);
	edit(ada, "s1-m1", "away again");
	edit(ada, "s1-m5", "new");
	mark_read(ada, 5);
	run(w);
	bob = come_back(bob, 0, "bob");
	run(w);
	assert_member(expect_event(bob, "chat:message-received"), "content",
	    "\"new\"");
	assert_member(expect_event(bob, "chat:session-status-changed"),
	    "reason", "\"why\"");
	assert_member(expect_event(bob, "chat:message-updated"), "content",
	    "\"away again\"");
	expect_change(bob, "chat:message-updated", "9");
	expect_change(bob, "chat:read-receipt", "10");
	expect(bob, "CONNECT recovered");
	(void)expect_event(bob, "chat:presence-sync");
	expect_nothing(bob);
	/* and only once */
	hang_up(bob, "transport close");
	bob = come_back(bob, 1, "bob");
	run(w);
	expect(bob, "CONNECT recovered");
	(void)expect_event(bob, "chat:presence-sync");
	expect_nothing(bob);
	delete_message(ada, "s1-m5");
	run(w);
	expect_change(bob, "chat:message-deleted", "11");
}

/* Wherever the connection is cut while changes are replayed. */
static void
a_replay_of_changes_goes_on_where_it_was_cut(void **state)
{
	struct world *w = *state;
	struct conn *ada, *bob, *eve, *first;
	int n, cut, i, got;

	changed_session(w, &ada, &bob);
	w->changes_a_page = 1;
	eve = client(w, 1, "eve");
	join_after(eve, ",\"afterSeq\":0,\"afterRevision\":1");
	first = eve;
	n = first->nout;
	/* join, four messages, four changes */
	assert_int_equal(n, 9);
	for (cut = 0; cut <= n; cut++) {
		hang_up(eve, "transport close");
		run(w);
		eve = come_back_as(w, cut % 2, "eve", first->pid,
		    offset_after(first, cut));
		run(w);
		got = 0;
		for (i = 0; i < eve->nout; i++)
			got += strstr(eve->out[i], "\"revision\":") != NULL &&
			    strncmp(eve->out[i], "chat:message-received", 21) !=
				0;
		if (got != 4 - (cut > 5 ? cut - 5 : 0))
			fail_msg("cut behind %d: %d changes", cut, got);
	}
}

static void
a_worker_that_fell_behind_sends_what_was_changed(void **state)
{
	struct world *w = *state;
	struct conn *ada, *bob;

	changed_session(w, &ada, &bob);
	edit(ada, "s1-m2", "missed");
	mark_read(ada, 4);
	say_messages(ada, "s1", 5, 5);
	while (w->npublished > 0 || reads_under_way(w)) {
		sequence(w);
		reads_go_on(w);
		(void)produce(w);
	}
	publish_status(w, "error");
	sequence(w);
	fall_behind(w, 1);
	run(w);
	/* that is sent when it has been read */
	forget(bob, "chat:presence-sync");
	expect_received(bob, 5, 5);
	expect_change(bob, "chat:message-updated", "7");
	expect_change(bob, "chat:read-receipt", "8");
	(void)expect_event(bob, "chat:session-status-changed");
	expect_nothing(bob);
	/* and who asks once more is told of it, too */
	join_after(bob, ",\"afterRevision\":7");
	assert_member(expect_event(bob, "chat:join-session-success"),
	    "lastRevision", "8");
	expect_change(bob, "chat:read-receipt", "8");
	expect_nothing(bob);
}

/* --- everything at once ------------------------------------------------------ */

/* What a client has made of what it was sent. */
struct view {
	struct conn *c;
	char user[16];
	bool in, fresh;
	/* the next message; the last revision that it was told */
	uint64_t next, revision;
	char text[SEQS][24];
	int receipt[ACTORS];
	char status[16];
	/* the last that it has got, on whatever connection; or NULL */
	const char *offset;
};

static uint64_t
number_in(struct json_value p, const char *key)
{
	int64_t n;

	assert_true(json_to_int(json_member(p, key), 0, INT64_MAX, &n));
	return (uint64_t)n;
}

static void
view_put(struct view *v, uint64_t seq, struct json_value p)
{
	assert_true(seq < SEQS);
	if (json_member(p, "deleted").kind == JSON_KIND_BOOL ||
	    json_member(p, "content").kind == JSON_KIND_NONE)
		snprintf(v->text[seq], sizeof(v->text[seq]), "(deleted)");
	else
		assert_true(json_decode(json_member(p, "content"), v->text[seq],
				sizeof(v->text[seq])) > 0);
}

static void
view_message(struct view *v, struct json_value p, bool own)
{
	if (number_in(p, "seq") != v->next)
		fail_msg("%s: message %llu instead of %llu", v->user,
		    (unsigned long long)number_in(p, "seq"),
		    (unsigned long long)v->next);
	if (own)
		snprintf(v->text[v->next], sizeof(v->text[0]), "x");
	else
		view_put(v, v->next, p);
	v->next++;
}

static void
view_revision(struct view *v, struct json_value p)
{
	uint64_t revision = number_in(p, "revision");

	if (revision <= v->revision)
		fail_msg("%s: revision %llu behind %llu", v->user,
		    (unsigned long long)revision,
		    (unsigned long long)v->revision);
	v->revision = revision;
}

static void
view_change(struct view *v, struct json_value p)
{
	uint64_t seq = number_in(p, "seq");

	view_revision(v, p);
	if (seq >= v->next)
		fail_msg("%s: message %llu was changed before it was sent",
		    v->user, (unsigned long long)seq);
	view_put(v, seq, p);
}

static void
view_receipt(struct view *v, struct json_value p)
{
	char user[16];

	view_revision(v, p);
	assert_true(
	    json_decode(json_member(p, "userId"), user, sizeof(user)) == 2);
	v->receipt[user[1] - '0'] = (int)number_in(p, "seq");
}

static bool
is_event(const char *text, const char *event, struct json_value *p_r)
{
	size_t n = strlen(event);

	if (strncmp(text, event, n) != 0 || text[n] != ' ')
		return false;
	*p_r = json_value(text + n + 1, strlen(text + n + 1));
	return true;
}

/* A new socket: it is told of the status when that changes. */
static void
view_begin(struct view *v)
{
	v->in = false;
	v->status[0] = '\0';
	v->offset = NULL;
}

static void
view_event(struct view *v, const char *text)
{
	struct json_value p;

	if (is_event(text, "chat:join-session-success", &p))
		v->in = true;
	else if (is_event(text, "chat:message-received", &p))
		view_message(v, p, false);
	else if (is_event(text, "chat:message-sent", &p))
		view_message(v, p, true);
	else if (is_event(text, "chat:message-updated", &p) ||
	    is_event(text, "chat:message-deleted", &p))
		view_change(v, p);
	else if (is_event(text, "chat:read-receipt", &p))
		view_receipt(v, p);
	else if (is_event(text, "chat:session-status-changed", &p))
		assert_true(json_decode(json_member(p, "status"), v->status,
				sizeof(v->status)) > 0);
	else if (strcmp(text, "CONNECT new") == 0)
		view_begin(v);
}

/* So many of those that it was sent arrive. */
static void
view_read(struct view *v, int n)
{
	struct conn *c = v->c;

	for (; n-- > 0 && c->next < c->nout; c->next++) {
		view_event(v, c->out[c->next]);
		if (c->offset[c->next] != NULL)
			v->offset = c->offset[c->next];
	}
}

static void
view_join(struct view *v)
{
	char json[200];

	snprintf(json, sizeof(json),
	    "{\"sessionId\":\"s1\",\"workspaceId\":\"w1\",\"afterSeq\":%llu,"
	    "\"afterRevision\":%llu}",
	    (unsigned long long)v->next - 1, (unsigned long long)v->revision);
	say(v->c, "chat:join-session", json, 0);
}

/* Its connection is lost with some of what is on its way, and it comes back:
 * to the same socket, or to another if that is gone. */
static void
view_return(struct world *w, struct view *v, unsigned rnd)
{
	struct conn *old = v->c;

	view_read(v, (int)(rnd / 8 % 8));
	hang_up(old, "transport close");
	if (rnd % 3 == 0)
		(void)sequence(w);
	v->c =
	    come_back_as(w, (int)(rnd / 4 % 2), v->user, old->pid, v->offset);
	v->fresh = true;
}

static void
view_act(struct world *w, struct view *v, unsigned rnd, unsigned *number)
{
	char id[20], text[24];

	/* it joins as soon as it is told that it is new */
	if (v->c->nout == 0 || v->c->nout == v->c->next)
		view_read(v, 1);
	snprintf(id, sizeof(id), "m%u", *number > 0 ? rnd / 8 % *number : 0);
	switch (rnd % 8) {
	case 0:
		edit(v->c, id, "e");
		break;
	case 1:
		snprintf(text, sizeof(text), "e%u", rnd);
		edit(v->c, id, text);
		break;
	case 2:
		if (rnd / 8 % 4 == 0)
			delete_message(v->c, id);
		break;
	case 3:
	case 4:
		mark_read(v->c, (int)(rnd / 8 % (*number + 1)));
		break;
	default:
		snprintf(id, sizeof(id), "m%u", (*number)++);
		message(v->c, "s1", id, "x");
		break;
	}
}

static bool
waits_for_nothing(const struct world *w, unsigned worker)
{
	int i;

	for (i = w->ndelivered; i < w->nsequenced; i++) {
		if (w->sequenced[i]->worker == (int)worker &&
		    w->sequenced[i]->d.request != 0)
			return false;
	}
	return true;
}

static void
one_step(struct world *w, struct view *v, unsigned *number)
{
	static const char *const statuses[] = { "active", "paused", "error" };
	unsigned what = late_random(w), which = late_random(w);
	struct view *one = &v[which % ACTORS];

	switch (what % 8) {
	case 0:
	case 1:
		view_act(w, one, late_random(w), number);
		break;
	case 2:
		sequence(w);
		break;
	case 3:
	case 4:
		deliver(w, 1 + (int)(what / 8 % 3));
		break;
	case 5:
		view_read(one, (int)(what / 8 % 4));
		break;
	default:
		reads_go_on(w);
		(void)produce(w);
		break;
	}
	w->mono_ms += late_random(w) % 200;
	w->real_ms += 1;
	what = late_random(w);
	if (what % 64 == 1 && waits_for_nothing(w, what / 64 % WORKERS))
		fall_behind(w, (int)(what / 64 % WORKERS));
	else if (what % 64 == 2)
		publish_status(w, statuses[what / 64 % 3]);
	else if (what % 32 == 3 && w->nconns < CONNS - 1 && one->in)
		view_return(w, one, late_random(w));
	close_told(w);
	/* whoever is new, or has been closed */
	if (one->c->s == NULL && w->nconns < CONNS - 1)
		one->c =
		    come_back_as(w, 0, one->user, one->c->pid, one->offset);
	w->changes_a_page = 1 + (int)(late_random(w) % 4);
}

static void
view_check(struct world *w, const struct view *v)
{
	const struct change_row *c;
	char want[24];
	int i;

	assert_int_equal(v->next, w->room[0].last + 1);
	for (i = 0; i < w->nmessages; i++) {
		c = change_of_message(w, &w->message[i], UINT64_MAX);
		snprintf(want, sizeof(want), "x");
		if (c != NULL && c->type == CHAT_DELETE)
			snprintf(want, sizeof(want), "(deleted)");
		else if (c != NULL)
			sscanf(strstr(c->text, "\"content\":\""),
			    "\"content\":\"%23[^\"]", want);
		if (strcmp(want, v->text[i + 1]) != 0)
			fail_msg("%s: message %d is %s, not %s", v->user, i + 1,
			    v->text[i + 1], want);
	}
	for (i = 0; i < ACTORS; i++) {
		struct change_row item = { .type = CHAT_RECEIPT, .room = 1 };

		snprintf(item.user, sizeof(item.user), "u%d", i);
		c = change_of_item(w, &item, UINT64_MAX);
		assert_int_equal(v->receipt[i], c == NULL ? 0 : c->seq);
	}
	for (i = w->nchanges - 1; i >= 0; i--) {
		if (w->change[i].type == CHAT_STATUS)
			break;
	}
	if (i >= 0 && v->status[0] != '\0')
		assert_string_equal(v->status, w->change[i].text);
}

/* Those that are new join; true if somebody did. */
static bool
join_the_new(struct view *v)
{
	bool some = false;
	int i;

	for (i = 0; i < ACTORS; i++) {
		view_read(&v[i], OUTS);
		if (v[i].c->s == NULL || v[i].in)
			continue;
		view_join(&v[i]);
		some = true;
	}
	return some;
}

static void
one_life(struct world *w, unsigned seed)
{
	struct view v[ACTORS];
	unsigned number = 0;
	int i, step;

	memset(v, 0, sizeof(v));
	w->late = seed % 3 == 0 ? 0 : 70;
	w->late_seed = seed;
	w->cfg.replay_max = 0;
	for (i = 0; i < ACTORS; i++) {
		snprintf(v[i].user, sizeof(v[i].user), "u%d", i);
		v[i].c = client(w, i % WORKERS, v[i].user);
		v[i].next = 1;
		view_join(&v[i]);
		run(w);
		view_read(&v[i], OUTS);
	}
	publish_status(w, "active");
	run(w);
	for (step = 0; step < STEPS; step++)
		one_step(w, v, &number);
	do {
		run(w);
		close_told(w);
		chat_tick(w->chat[0]);
		chat_tick(w->chat[1]);
	} while (join_the_new(v));
	for (i = 0; i < ACTORS; i++) {
		if (v[i].c->s != NULL)
			view_check(w, &v[i]);
	}
}

/*
 * Whatever is cut, late, or missed: who is in has every message once and in
 * order, and everything as it is now; and no revision twice.
 */
static void
changes_are_those_of_the_store(void **state)
{
	const char *seed = getenv("CHATD_SEED");
	unsigned life,
	    first = seed == NULL ? 1 : (unsigned)strtoul(seed, NULL, 10);

	(void)world_teardown(state);
	for (life = first; life < first + LIVES; life++) {
		assert_int_equal(world_setup(state), 0);
		print_message("seed %u\n", life);
		one_life(*state, life);
		(void)world_teardown(state);
	}
	assert_int_equal(world_setup(state), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(who_asks_gets_each_item_once_as_it_is),
		T(a_lost_answer_tells_of_the_revision_at_its_join),
		T(who_knows_some_gets_the_rest),
		T(who_asks_for_nothing_gets_nothing),
		T(who_comes_back_gets_what_was_changed),
		T(a_replay_of_changes_goes_on_where_it_was_cut),
		T(a_worker_that_fell_behind_sends_what_was_changed),
		T_NOW(changes_are_those_of_the_store),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
