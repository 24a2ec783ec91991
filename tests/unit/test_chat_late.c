/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_chat_late - the store answers late: what clients see is the same, and
 * nothing that is old.
 */

#include "tests/unit/chat_return.h"

#define ACTORS 6
#define STEPS 60
#define LIVES 60

/* What a client knows of one session. */
struct view {
	struct conn *c;
	bool in;
	/* who is there, and how; by socket id */
	char who[CONNS][40], status[CONNS][16];
	int n;
	uint64_t next;
	/* as it was told last, and has counted since */
	int64_t count;
	/* how often presence was told so */
	int deltas, singles;
	/* its worker has missed something in this life: it may be told of some
	 * whom it does not know, or again */
	bool gap;
	/* it was in before, and may still owe answers of that time */
	bool left;
};

static bool
view_knows(const struct view *v, const char *id)
{
	int i;

	for (i = 0; i < v->n; i++) {
		if (strcmp(v->who[i], id) == 0)
			return true;
	}
	return false;
}

static void
view_put(struct view *v, const char *id, const char *status)
{
	int i;

	for (i = 0; i < v->n && strcmp(v->who[i], id) != 0; i++)
		continue;
	assert_true(i < CONNS);
	v->n += i == v->n;
	snprintf(v->who[i], sizeof(v->who[i]), "%s", id);
	snprintf(v->status[i], sizeof(v->status[i]), "%s", status);
}

static void
view_drop(struct view *v, const char *id)
{
	int i;

	for (i = 0; i < v->n && strcmp(v->who[i], id) != 0; i++)
		continue;
	if (i == v->n)
		return;
	v->n--;
	memmove(v->who[i], v->who[v->n], sizeof(v->who[i]));
	memmove(v->status[i], v->status[v->n], sizeof(v->status[i]));
}

/* Nothing is told twice: 'new' is of one who is not there, else he is. */
static void
view_presence(struct view *v, struct json_value p, bool new)
{
	struct json_value has = json_member(p, "status");
	char id[40], status[16];

	assert_true(
	    json_decode(json_member(p, "socketId"), id, sizeof(id)) > 0);
	if (v->in && !v->gap && strcmp(id, v->c->id) != 0 &&
	    view_knows(v, id) == new)
		fail_msg("%s: %s is told of %s%s", v->c->id,
		    new ? "joined" : "else", id, new ? " again" : "");
	if (has.kind != JSON_KIND_STRING ||
	    json_decode(has, status, sizeof(status)) <= 0)
		view_drop(v, id);
	else
		view_put(v, id, status);
}

static void
view_roster(struct view *v, struct json_value p)
{
	struct json_iter it = json_iter(json_member(p, "presences"));
	struct json_value e;

	v->n = 0;
	while (json_next(&it, &e))
		view_presence(v, e, true);
	assert_true(
	    json_to_int(json_member(p, "count"), 0, INT64_MAX, &v->count));
	assert_int_equal(v->count, v->n);
}

static void
view_list(struct view *v, struct json_value list, bool new)
{
	struct json_iter it = json_iter(list);
	struct json_value p;

	while (json_next(&it, &p))
		view_presence(v, p, new);
}

static void
view_single(struct view *v, struct json_value p, bool new)
{
	v->singles++;
	view_presence(v, p, new);
}

static void
view_delta(struct view *v, struct json_value p)
{
	struct json_iter it = json_iter(json_member(p, "left"));
	struct json_value id;
	char text[40];

	v->deltas++;
	view_list(v, json_member(p, "joined"), true);
	view_list(v, json_member(p, "changed"), false);
	while (json_next(&it, &id)) {
		assert_true(json_decode(id, text, sizeof(text)) > 0);
		if (v->in && !v->gap && !view_knows(v, text))
			fail_msg("%s: %s has left twice", v->c->id, text);
		view_drop(v, text);
	}
}

static void
view_message(struct view *v, struct json_value payload, bool own)
{
	int64_t seq;

	/* who has left still gets the answers to what he sent */
	if (!v->in)
		return;
	assert_true(
	    json_to_int(json_member(payload, "seq"), 1, INT64_MAX, &seq));
	/* or has joined again by then */
	if (own && v->left && (uint64_t)seq < v->next)
		return;
	assert_int_equal(seq, v->next);
	v->next++;
}

static bool
is_event(const char *text, const char *event, struct json_value *payload_r)
{
	size_t n = strlen(event);

	if (strncmp(text, event, n) != 0 || text[n] != ' ')
		return false;
	*payload_r = json_value(text + n + 1, strlen(text + n + 1));
	return true;
}

static void
view_joined(struct view *v, struct json_value p)
{
	int64_t last;

	assert_true(
	    json_to_int(json_member(p, "lastSeq"), 0, INT64_MAX, &last));
	/* from there on it is live; who is told again was */
	if (!v->in)
		v->next = (uint64_t)last + 1;
	v->in = true;
	view_roster(v, p);
}

static void
view_left(struct view *v)
{
	v->in = false;
	v->left = true;
}

/* Take in what it has been sent. */
static void
view_read(struct view *v)
{
	struct conn *c = v->c;
	struct json_value p;
	const char *text;

	while (c->next < c->nout) {
		text = c->out[c->next++];
		if (is_event(text, "chat:join-session-success", &p))
			view_joined(v, p);
		else if (is_event(text, "chat:presence-sync", &p))
			view_roster(v, p);
		else if (is_event(text, "chat:user-joined", &p))
			view_single(v, p, true);
		else if (is_event(text, "chat:presence-updated", &p) ||
		    is_event(text, "chat:user-left", &p))
			view_single(v, p, false);
		else if (is_event(text, "chat:presence-delta", &p))
			view_delta(v, p);
		else if (is_event(text, "chat:leave-session-success", &p))
			view_left(v);
		else if (is_event(text, "chat:message-received", &p))
			view_message(v, p, false);
		else if (is_event(text, "chat:message-sent", &p))
			view_message(v, p, true);
		else if (is_event(text, "chat:join-session-error", &p))
			assert_member(p, "code", "\"STORE_UNAVAILABLE\"");
	}
}

static bool
is_member(struct world *w, const struct conn *c)
{
	return presence_find(w, 1, c->id) != NULL;
}

/* What it knows is what there is. */
static void
view_check(struct world *w, const struct view *v)
{
	int i, k, n = 0;

	assert_int_equal(v->in, is_member(w, v->c));
	if (!v->in)
		return;
	for (i = 0; i < ROWS; i++) {
		const struct presence_row *p = &w->presence[i];

		if (!p->used || p->room != 1)
			continue;
		n++;
		for (k = 0; k < v->n; k++) {
			if (strcmp(v->who[k], p->socket_id) == 0)
				break;
		}
		if (k == v->n)
			fail_msg("%s does not know of %s", v->c->id,
			    p->socket_id);
		/* of its own it is told by the acknowledgement */
		if (strcmp(p->socket_id, v->c->id) != 0)
			assert_string_equal(v->status[k], p->status);
	}
	if (v->n != n)
		fail_msg("%s knows of some who are not there", v->c->id);
	assert_int_equal(v->next, w->room[0].last + 1);
}

static void
act(struct world *w, struct view *v, unsigned what, unsigned *number)
{
	static const char *const statuses[] = { "active", "idle", "away" };
	char json[200], id[20];

	switch (what % 8) {
	case 0:
	case 1:
		say(v->c, "chat:join-session",
		    "{\"sessionId\":\"s1\",\"workspaceId\":\"w1\"}", 0);
		break;
	case 2:
		say(v->c, "chat:leave-session", "{\"sessionId\":\"s1\"}", 0);
		break;
	case 3:
	case 4:
		snprintf(json, sizeof(json),
		    "{\"sessionId\":\"s1\",\"status\":\"%s\"}",
		    statuses[what / 8 % 3]);
		say(v->c, "chat:update-presence", json, 0);
		break;
	default:
		snprintf(id, sizeof(id), "m%u", (*number)++);
		message(v->c, "s1", id, "x");
		break;
	}
}

/* What it would miss now is nothing that somebody waits for. */
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
miss_some(struct world *w, struct view *v, int worker)
{
	int i;

	for (i = 0; i < ACTORS; i++) {
		view_read(&v[i]);
		v[i].gap = v[i].gap || v[i].c->worker == worker;
	}
	fall_behind(w, worker);
}

static void
one_step(struct world *w, struct view *v, unsigned *number)
{
	unsigned what = late_random(w), who = late_random(w);

	switch (what % 4) {
	case 0:
		act(w, &v[who % ACTORS], late_random(w), number);
		break;
	case 1:
		sequence(w);
		break;
	case 2:
		deliver(w, 1 + (int)(what / 4 % 3));
		break;
	case 3:
		reads_go_on(w);
		(void)produce(w);
		break;
	}
	w->mono_ms += late_random(w) % 200;
	if (what % 64 == 5 && waits_for_nothing(w, what / 64 % WORKERS))
		miss_some(w, v, (int)(what / 64 % WORKERS));
	else if (what % 4 == 2)
		chat_tick(w->chat[what / 8 % WORKERS]);
	w->fail_roster =
	    w->fail_roster ? late_random(w) % 8 > 0 : late_random(w) % 64 == 0;
}

/*
 * Whatever is read late, and whenever, and however many there are: who is in
 * knows who is there and in which status, and has every message once and in
 * order.
 */
static void
rosters_and_messages_are_those_of_the_store(void **state)
{
	struct world *w = *state;
	struct view v[ACTORS];
	unsigned life, number = 0;
	int i, step, deltas = 0, singles = 0;

	memset(v, 0, sizeof(v));
	w->late = 70;
	if (getenv("CHATD_SEED") != NULL)
		w->late_seed = (unsigned)strtoul(getenv("CHATD_SEED"), NULL, 0);
	w->cfg.replay_max = 0;
	for (i = 0; i < ACTORS; i++) {
		char user[16];

		snprintf(user, sizeof(user), "u%d", i);
		v[i].c = client(w, i % WORKERS, user);
	}
	for (life = 0; life < LIVES; life++) {
		for (i = 0; i < ACTORS; i++)
			v[i].gap = false;
		/* the border is crossed in some of them */
		w->cfg.presence_delta_above = life % 4 < 2 ? 3 : life % 4 - 2;
		for (step = 0; step < STEPS; step++)
			one_step(w, v, &number);
		w->fail_roster = false;
		for (i = 0; i < 3; i++) {
			w->mono_ms += 2000;
			chat_tick(w->chat[0]);
			chat_tick(w->chat[1]);
			run(w);
		}
		for (i = 0; i < ACTORS; i++) {
			view_read(&v[i]);
			view_check(w, &v[i]);
		}
	}
	for (i = 0; i < ACTORS; i++) {
		deltas += v[i].deltas;
		singles += v[i].singles;
	}
	assert_true(w->nmessages > 30 && deltas > 100 && singles > 100);
}

/* Messages come all the time: who has missed some is level all the same. */
static void
a_replay_ends_in_a_busy_session(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b = client(w, 0, "bob");
	char id[20];
	int i, reads = 0;
	bool was = false, is;

	w->late = 0;
	join(a, "w1", "s1");
	for (i = 1; i <= 20; i++) {
		snprintf(id, sizeof(id), "m%d", i);
		message(a, "s1", id, "x");
	}
	run(w);
	w->late = 100;
	say(b, "chat:join-session",
	    "{\"sessionId\":\"s1\",\"workspaceId\":\"w1\",\"afterSeq\":0}", 0);
	for (; i <= 200; i++) {
		snprintf(id, sizeof(id), "m%d", i);
		message(a, "s1", id, "x");
		sequence(w);
		deliver(w, EVENTS);
		is = reads_under_way(w);
		reads += is && !was;
		was = is;
		reads_go_on(w);
		(void)produce(w);
	}
	/* the roster, and the messages; not one a message */
	assert_true(reads <= 4);
	run(w);
	(void)expect_event(b, "chat:join-session-success");
	for (i = 1; i <= 200; i++) {
		snprintf(id, sizeof(id), "%d", i);
		assert_member(expect_event(b, "chat:message-received"), "seq",
		    id);
	}
	expect_nothing(b);
}

/* What comes behind a join waits for its answer, as if that were at once. */
static void
the_answer_to_a_join_comes_first(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b = client(w, 1, "bob");
	int round;

	join_all(w, "s1");
	for (round = 0; round < 20; round++) {
		say(a, "chat:leave-session", "{\"sessionId\":\"s1\"}", 1);
		say(a, "chat:join-session",
		    "{\"sessionId\":\"s1\",\"workspaceId\":\"w1\"}", 2);
		say(a, "chat:request-history",
		    "{\"sessionId\":\"s1\",\"limit\":1}", 3);
		message(b, "s1", round % 2 ? "x" : "y", "x");
		run(w);
		while (a->next < a->nout &&
		    strncmp(a->out[a->next], "ack:1", 5) != 0)
			a->next++;
		(void)expect_event(a, "ack:1");
		(void)expect_event(a, "chat:join-session-success");
		(void)expect_event(a, "ack:2");
		skip_all(a);
	}
}

/* A read that was asked for long ago is not the answer to a new question. */
static void
an_old_roster_is_not_given(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b = client(w, 0, "bob");
	struct json_value v;

	join(a, "w1", "s1");
	w->late = 100;
	say(b, "chat:join-session",
	    "{\"sessionId\":\"s1\",\"workspaceId\":\"w1\"}", 0);
	sequence(w);
	deliver(w, EVENTS);
	b->want_produce = false;
	/* it is read, and bob does not come for it before it is old */
	while (!b->want_produce)
		reads_go_on(w);
	say(a, "chat:update-presence",
	    "{\"sessionId\":\"s1\",\"status\":\"away\"}", 0);
	sequence(w);
	deliver(w, EVENTS);
	run(w);
	v = expect_event(b, "chat:join-session-success");
	assert_non_null(strstr(v.text.p, "\"status\":\"active\""));
	/* so he is told what came behind it */
	assert_member(expect_event(b, "chat:presence-updated"), "status",
	    "\"away\"");
	expect_nothing(b);
}

static void
who_goes_while_it_is_read_leaves_nothing(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b;
	int i;

	join_all(w, "s1");
	w->late = 100;
	for (i = 0; i < 20; i++) {
		b = client(w, i % WORKERS, "bob");
		say(b, "chat:join-session",
		    "{\"sessionId\":\"s1\",\"workspaceId\":\"w1\","
		    "\"afterSeq\":0}",
		    0);
		sequence(w);
		deliver(w, EVENTS);
		if (i % 3 > 0)
			reads_go_on(w);
		if (i % 3 > 1)
			(void)produce(w);
		hang_up(b, "transport close");
		run(w);
	}
	skip_all(a);
	/* teardown sees that nothing is left */
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(rosters_and_messages_are_those_of_the_store),
		T(a_replay_ends_in_a_busy_session),
		T(the_answer_to_a_join_comes_first),
		T_NOW(an_old_roster_is_not_given),
		T(who_goes_while_it_is_read_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
