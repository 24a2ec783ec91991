/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_chat_roster - who is in a session, told in pieces.
 */

#include "tests/unit/chat_return.h"

#define REQUEST "chat:request-presence"
#define MANY 450

/* So many others are in the session, before all of ours. */
static void
fill(struct world *w, int n)
{
	struct presence_row *p;
	int i, k;

	for (i = 0, k = 0; i < n; k++) {
		p = &w->presence[k];
		if (p->used)
			continue;
		p->used = true;
		p->room = 1;
		p->user = 1;
		p->gseq = w->gseq - 1;
		snprintf(p->user_id, sizeof(p->user_id), "the other");
		snprintf(p->user_name, sizeof(p->user_name), "Other");
		snprintf(p->socket_id, sizeof(p->socket_id), "other-%04d", i);
		snprintf(p->status, sizeof(p->status), "active");
		i++;
	}
}

/* How many entries there are, and whether this socket is among them. */
static int
entries(struct json_value v, const char *socket, bool *has_r)
{
	struct json_iter it = json_iter(json_member(v, "presences"));
	struct json_value e;
	char id[40];
	int n = 0;

	*has_r = false;
	for (; json_next(&it, &e); n++) {
		assert_true(json_decode(json_member(e, "socketId"), id,
				sizeof(id)) > 0);
		*has_r = *has_r || strcmp(id, socket) == 0;
	}
	return n;
}

static void
ask(struct conn *c, const char *after, int limit, uint64_t ack)
{
	char json[400], more[300] = "", most[30] = "";

	if (after != NULL)
		snprintf(more, sizeof(more), ",\"after\":\"%s\"", after);
	if (limit > 0)
		snprintf(most, sizeof(most), ",\"limit\":%d", limit);
	snprintf(json, sizeof(json), "{\"sessionId\":\"s1\"%s%s}", more, most);
	say(c, REQUEST, json, ack);
	run(c->w);
}

static void
a_joiner_is_told_of_some_and_how_many_there_are(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b = client(w, 1, "bob");
	struct json_value v;
	bool has;

	join(a, "w1", "s1");
	v = expect_event(a, "chat:join-session-success");
	assert_member(v, "count", "1");
	fill(w, MANY);
	/* the last in the roster */
	join(b, "w1", "s1");
	v = expect_event(b, "chat:join-session-success");
	assert_member(v, "count", "452");
	assert_int_equal(entries(v, b->id, &has), 200);
	assert_true(has);
	assert_member(json_member(v, "presence"), "userId", "\"bob\"");
	/* and when he joins again */
	skip_all(b);
	join(b, "w1", "s1");
	v = expect_event(b, "chat:join-session-success");
	assert_member(v, "count", "452");
	assert_int_equal(entries(v, b->id, &has), 200);
	assert_true(has);
}

/* What is told of presence is counted from where the roster was read. */
static void
the_count_is_of_the_rosters_time(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b = client(w, 0, "bob");
	struct conn *c = client(w, 1, "cyd");
	struct json_value v;

	join(a, "w1", "s1");
	join(c, "w1", "s1");
	fill(w, MANY);
	skip_all(a);
	w->late = 100;
	say(b, "chat:join-session",
	    "{\"sessionId\":\"s1\",\"workspaceId\":\"w1\"}", 0);
	sequence(w);
	deliver(w, EVENTS);
	/* it is read, then cyd leaves, then it is told */
	b->want_produce = false;
	while (!b->want_produce)
		reads_go_on(w);
	hang_up(c, "transport close");
	sequence(w);
	deliver(w, EVENTS);
	run(w);
	v = expect_event(b, "chat:join-session-success");
	assert_member(v, "count", "453");
	(void)expect_event(b, "chat:user-left");
	expect_nothing(b);
}

static void
it_is_read_page_by_page(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada");
	struct json_value v, ack, behind;
	char next[200] = "";
	int n = 0, pages = 0;
	bool has;

	join(a, "w1", "s1");
	fill(w, MANY);
	skip_all(a);
	do {
		ask(a, pages == 0 ? NULL : next, 0, 7);
		v = expect_event(a, "chat:presence-sync");
		ack = expect_event(a, "ack:7");
		assert_member(ack, "ok", "true");
		assert_text_equal(json_member(v, "presences"),
		    json_member(ack, "presences"));
		assert_member(v, "sessionId", "\"s1\"");
		n += entries(v, a->id, &has);
		pages++;
		assert_true(has == (pages == 3));
		behind = json_member(v, "next");
	} while (behind.kind == JSON_KIND_STRING &&
	    json_decode(behind, next, sizeof(next)) > 0);
	assert_int_equal(pages, 3);
	assert_int_equal(n, MANY + 1);
}

static void
a_page_begins_behind_any_socket(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada");
	struct json_value v;
	bool has;

	join(a, "w1", "s1");
	fill(w, 10);
	skip_all(a);
	ask(a, "other-0004", 3, 0);
	v = expect_event(a, "chat:presence-sync");
	assert_int_equal(entries(v, "other-0005", &has), 3);
	assert_true(has);
	assert_member(v, "next", "\"other-0007 the other\"");
	ask(a, "other-0007 the other", 3, 0);
	v = expect_event(a, "chat:presence-sync");
	assert_int_equal(entries(v, "other-0008", &has), 3);
	assert_true(has);
	assert_int_equal(json_member(v, "next").kind, JSON_KIND_NONE);
	/* who is not there any more stood somewhere: all of it */
	ask(a, "gone", 0, 0);
	v = expect_event(a, "chat:presence-sync");
	assert_int_equal(entries(v, a->id, &has), 11);
	assert_true(has);
	expect_nothing(a);
}

static void
a_limit_is_kept(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada");
	bool has;

	join(a, "w1", "s1");
	fill(w, MANY);
	skip_all(a);
	ask(a, NULL, 1, 0);
	assert_int_equal(entries(expect_event(a, "chat:presence-sync"), a->id,
			     &has),
	    1);
	ask(a, NULL, 100000, 0);
	assert_int_equal(entries(expect_event(a, "chat:presence-sync"), a->id,
			     &has),
	    200);
}

static void
bad_requests_are_refused(void **state)
{
	static const char *const bad[] = { "", "{}", "[]",
		"{\"sessionId\":\"\"}", "{\"sessionId\":1}",
		"{\"sessionId\":\"s1\",\"limit\":0}",
		"{\"sessionId\":\"s1\",\"limit\":-1}",
		"{\"sessionId\":\"s1\",\"limit\":\"1\"}",
		"{\"sessionId\":\"s1\",\"limit\":null}",
		"{\"sessionId\":\"s1\",\"after\":null}",
		"{\"sessionId\":\"s1\",\"after\":\"\"}",
		"{\"sessionId\":\"s1\",\"after\":7}",
		"{\"sessionId\":\"s1\",\"after\":\"a\\nb\"}" };
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada");
	char text[400], json[500];
	size_t i;

	join_all(w, "s1");
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		say(a, REQUEST, bad[i], 1);
		assert_member(expect_event(a, "ack:1"), "error",
		    "\"Invalid request data\"");
	}
	memset(text, 'x', 300);
	text[300] = '\0';
	snprintf(json, sizeof(json), "{\"sessionId\":\"s1\",\"after\":\"%s\"}",
	    text);
	say(a, REQUEST, json, 1);
	assert_member(expect_event(a, "ack:1"), "code", "\"INVALID_PAYLOAD\"");
	say(a, REQUEST, "{\"sessionId\":\"s2\"}", 1);
	assert_member(expect_event(a, "ack:1"), "code", "\"NOT_JOINED\"");
	w->wait_ns[CHAT_RATE_HISTORY] = 60000000000;
	say(a, REQUEST, "{\"sessionId\":\"s1\"}", 1);
	assert_member(expect_event(a, "ack:1"), "code", "\"RATE_LIMITED\"");
	expect_nothing(a);
}

static void
without_a_store_there_is_no_page(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada");

	join_all(w, "s1");
	w->fail_roster = true;
	ask(a, NULL, 0, 3);
	assert_member(expect_event(a, "ack:3"), "code",
	    "\"STORE_UNAVAILABLE\"");
	expect_nothing(a);
}

static void
who_leaves_meanwhile_is_told_nothing_of_it(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada");

	join_all(w, "s1");
	say(a, "chat:leave-session", "{\"sessionId\":\"s1\"}", 0);
	sequence(w);
	w->late = 100;
	say(a, REQUEST, "{\"sessionId\":\"s1\"}", 5);
	run(w);
	(void)expect_event(a, "chat:leave-session-success");
	assert_member(expect_event(a, "ack:5"), "code", "\"NOT_JOINED\"");
	expect_nothing(a);
}

/* Nobody counts while the joins and leaves tell it; but after a gap. */
static void
a_gap_is_counted_over(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b = client(w, 1, "bob");
	struct json_value v;

	join(a, "w1", "s1");
	join(b, "w1", "s1");
	fill(w, MANY);
	skip_all(a);
	hang_up(b, "transport close");
	sequence(w);
	fall_behind(w, 0);
	run(w);
	v = expect_event(a, "chat:presence-sync");
	assert_member(v, "count", "451");
	ask(a, NULL, 1, 0);
	assert_member(expect_event(a, "chat:presence-sync"), "count", "451");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_joiner_is_told_of_some_and_how_many_there_are),
		T_NOW(the_count_is_of_the_rosters_time),
		T(it_is_read_page_by_page),
		T(a_page_begins_behind_any_socket),
		T(a_limit_is_kept),
		T(bad_requests_are_refused),
		T(without_a_store_there_is_no_page),
		T_NOW(who_leaves_meanwhile_is_told_nothing_of_it),
		T(a_gap_is_counted_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
