/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_chat_stream_show - what is shown of streams to those who come later,
 * missed something, or read slowly (stream_show.c, stream_lag.c).
 */

#include "tests/unit/chat_screen.h"

struct scene {
	struct world *w;
	struct conn *bot, *ada;
};

/* A bot and one who looks, both on worker 0. */
static struct scene
scene(void **state)
{
	struct scene t = { .w = *state };

	t.bot = agent(t.w, 0, "bot");
	t.ada = client(t.w, 0, "ada");
	join_all(t.w, "s1");
	return t;
}

static void
write_all(struct scene *t, const char *id, const char *text)
{
	char one[2] = "";

	for (; *text != '\0'; text++) {
		one[0] = *text;
		chunk(t->bot, id, one, false);
	}
}

/* The stream of a join's answer or a sync. */
static void
assert_streams(struct json_value v, const char *want)
{
	struct json_value streams = json_member(v, "streams");

	assert_int_equal(streams.text.len, strlen(want));
	assert_memory_equal(streams.text.p, want, strlen(want));
}

static void
a_joiner_gets_the_text_so_far(void **state)
{
	struct scene t = scene(state);
	struct conn *eve = client(t.w, 1, "eve");

	write_all(&t, "m1", "ab");
	run(t.w);
	/* the first of its worker: what is on its way is included */
	write_all(&t, "m1", "c");
	join(eve, "w1", "s1");
	assert_streams(expect_event(eve, "chat:join-session-success"),
	    "[{\"messageId\":\"m1\",\"content\":\"abc\",\"index\":2}]");
	expect_nothing(eve);
	write_all(&t, "m1", "d");
	run(t.w);
	assert_member(expect_event(eve, "chat:agent-stream-chunk"), "chunk",
	    "\"d\"");
}

static void
and_not_what_it_will_get_as_a_chunk(void **state)
{
	struct scene t = scene(state);
	struct conn *eve = client(t.w, 0, "eve");
	struct json_value v;

	write_all(&t, "m1", "ab");
	run(t.w);
	say(eve, "chat:join-session",
	    "{\"sessionId\":\"s1\",\"workspaceId\":\"w1\"}", 0);
	sequence(t.w);
	/* not delivered on that worker */
	write_all(&t, "m1", "c");
	run(t.w);
	v = expect_event(eve, "chat:join-session-success");
	if (strstr(v.text.p, "abc") != NULL) {
		expect_nothing(eve);
	} else {
		assert_streams(v,
		    "[{\"messageId\":\"m1\",\"content\":\"ab\",\"index\":1}]");
		assert_member(expect_event(eve, "chat:agent-stream-chunk"),
		    "chunk", "\"c\"");
	}
}

static void
what_has_ended_is_in_no_answer(void **state)
{
	struct scene t = scene(state);
	struct conn *eve = client(t.w, 1, "eve");

	chunk(t.bot, "m1", "a", true);
	run(t.w);
	join(eve, "w1", "s1");
	assert_streams(expect_event(eve, "chat:join-session-success"), "[]");
	pass(t.w, 5000);
	expect_nothing(eve);
}

static void
what_was_missed_comes_as_one_chunk(void **state)
{
	struct scene t = scene(state);
	struct conn *eve = client(t.w, 1, "eve");
	struct json_value v;

	join(eve, "w1", "s1");
	write_all(&t, "m1", "ab");
	run(t.w);
	skip_all(eve);
	t.w->engine[1].deaf = true;
	write_all(&t, "m1", "cde");
	write_all(&t, "m2", "xy");
	deliver_live(t.w);
	t.w->engine[1].deaf = false;
	chat_resync_live(t.w->chat[1]);
	v = expect_event(eve, "chat:agent-stream-chunk");
	if (strstr(v.text.p, "\"m2\"") != NULL) {
		assert_member(v, "chunk", "\"xy\"");
		v = expect_event(eve, "chat:agent-stream-chunk");
	} else {
		assert_member(expect_event(eve, "chat:agent-stream-chunk"),
		    "chunk", "\"xy\"");
	}
	assert_member(v, "chunk", "\"cde\"");
	assert_member(v, "index", "4");
	expect_nothing(eve);
	write_all(&t, "m1", "f");
	run(t.w);
	assert_member(expect_event(eve, "chat:agent-stream-chunk"), "chunk",
	    "\"f\"");
}

static void
one_that_was_lost_comes_with_the_next(void **state)
{
	struct scene t = scene(state);
	struct conn *eve = client(t.w, 1, "eve");
	struct json_value v;

	join(eve, "w1", "s1");
	skip_all(eve);
	write_all(&t, "m1", "ab");
	/* without a word */
	while (t.w->nlive > 0)
		stored_free(t.w->live[--t.w->nlive]);
	write_all(&t, "m1", "c");
	run(t.w);
	v = expect_event(eve, "chat:agent-stream-chunk");
	assert_member(v, "chunk", "\"abc\"");
	assert_member(v, "index", "2");
	/* the end, too, before the message */
	chunk(t.bot, "m1", "d", true);
	while (t.w->nlive > 0)
		stored_free(t.w->live[--t.w->nlive]);
	run(t.w);
	v = expect_event(eve, "chat:agent-stream-chunk");
	assert_member(v, "chunk", "\"d\"");
	assert_member(v, "isComplete", "true");
	assert_member(expect_event(eve, "chat:message-received"), "content",
	    "\"abcd\"");
}

static void
an_end_without_a_message_is_told_as_well(void **state)
{
	struct scene t = scene(state);
	struct conn *eve = client(t.w, 1, "eve");

	join(eve, "w1", "s1");
	chunk(t.bot, "m1", " ", false);
	run(t.w);
	skip_all(eve);
	chunk(t.bot, "m1", "", true);
	while (t.w->nlive > 0)
		stored_free(t.w->live[--t.w->nlive]);
	pass(t.w, 10000);
	assert_member(expect_event(eve, "chat:agent-stream-chunk"),
	    "isComplete", "true");
	expect_nothing(eve);
	assert_int_equal(t.w->nmessages, 0);
}

static void
a_slow_reader_gets_it_in_one_piece(void **state)
{
	struct scene t = scene(state);
	struct json_value v;

	write_all(&t, "m1", "a");
	run(t.w);
	skip_all(t.ada);
	t.ada->slow = true;
	write_all(&t, "m1", "bcd");
	write_all(&t, "m2", "xyz");
	run(t.w);
	expect_nothing(t.ada);
	t.ada->slow = false;
	run(t.w);
	v = expect_event(t.ada, "chat:agent-stream-chunk");
	if (strstr(v.text.p, "\"m2\"") != NULL) {
		assert_member(v, "chunk", "\"xyz\"");
		v = expect_event(t.ada, "chat:agent-stream-chunk");
	} else {
		assert_member(expect_event(t.ada, "chat:agent-stream-chunk"),
		    "chunk", "\"xyz\"");
	}
	assert_member(v, "chunk", "\"bcd\"");
	assert_member(v, "index", "3");
	expect_nothing(t.ada);
	write_all(&t, "m1", "e");
	run(t.w);
	assert_member(expect_event(t.ada, "chat:agent-stream-chunk"), "chunk",
	    "\"e\"");
	assert_int_equal(t.w->counts[CHAT_COUNT_CHUNKS_MERGED], 1);
}

static void
a_slow_reader_sees_the_end_before_the_message(void **state)
{
	struct scene t = scene(state);
	struct json_value v;

	t.ada->slow = true;
	write_all(&t, "m1", "ab");
	chunk(t.bot, "m1", "c", true);
	run(t.w);
	v = expect_event(t.ada, "chat:agent-stream-chunk");
	assert_member(v, "chunk", "\"abc\"");
	assert_member(v, "isComplete", "true");
	expect_event(t.ada, "chat:message-received");
	t.ada->slow = false;
	run(t.w);
	expect_nothing(t.ada);
}

static void
a_slow_reader_that_joins_again_is_level(void **state)
{
	struct scene t = scene(state);
	struct screen v = { .c = t.ada };

	t.ada->slow = true;
	write_all(&t, "m1", "ab");
	run(t.w);
	say(t.ada, "chat:join-session",
	    "{\"sessionId\":\"s1\",\"workspaceId\":\"w1\"}", 0);
	t.ada->slow = false;
	run(t.w);
	pass(t.w, 500);
	screen_read(&v);
	assert_string_equal(screen_find(&v, "m1")->text, "ab");
	screen_free(&v);
}

static void
who_is_recovered_gets_the_text_so_far(void **state)
{
	struct scene t = scene(state);
	struct conn *eve;

	message(t.bot, "s1", "m0", "x");
	run(t.w);
	write_all(&t, "m1", "ab");
	run(t.w);
	hang_up(t.ada, "transport close");
	run(t.w);
	write_all(&t, "m1", "cd");
	run(t.w);
	eve = come_back(t.ada, 1, "ada");
	run(t.w);
	expect(eve, "CONNECT recovered");
	assert_streams(expect_event(eve, "chat:stream-sync"),
	    "[{\"messageId\":\"m1\",\"content\":\"abcd\",\"index\":3}]");
	write_all(&t, "m1", "e");
	run(t.w);
	while (strstr(eve->out[eve->next], "stream-chunk") == NULL)
		eve->next++;
	assert_member(expect_event(eve, "chat:agent-stream-chunk"), "chunk",
	    "\"e\"");
}

/* Its join was not answered: the text comes with the answer, not before. */
static void
who_is_recovered_in_its_join_gets_the_text_with_it(void **state)
{
	struct scene t = scene(state);
	struct conn *eve = client(t.w, 0, "eve"), *back;

	write_all(&t, "m1", "ab");
	run(t.w);
	say(eve, "chat:join-session",
	    "{\"sessionId\":\"s1\",\"workspaceId\":\"w1\"}", 0);
	steps(t.w);
	hang_up(eve, "transport close");
	run(t.w);
	t.w->fail_roster = true;
	back = come_back_as(t.w, 1, "eve", eve->pid, NULL);
	run(t.w);
	t.w->fail_roster = false;
	t.w->mono_ms += 5000;
	chat_tick(t.w->chat[1]);
	run(t.w);
	while (back->next < back->nout &&
	    strstr(back->out[back->next], "join-session-success") == NULL)
		assert_null(strstr(back->out[back->next++], "stream-sync"));
	assert_streams(expect_event(back, "chat:join-session-success"),
	    "[{\"messageId\":\"m1\",\"content\":\"ab\",\"index\":1}]");
}

/* More than an answer tells, in four streams. */
static size_t
write_much(struct scene *t)
{
	char text[1500], id[20];
	int i, k;

	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	t->w->streams.max_bytes = SIZE_MAX;
	for (i = 0; i < 4; i++) {
		snprintf(id, sizeof(id), "m%d", i);
		for (k = 0; k < 160; k++)
			chunk(t->bot, id, text, false);
		run(t->w);
	}
	return 160 * (sizeof(text) - 1);
}

static void
much_text_comes_behind_the_answer(void **state)
{
	struct scene t = scene(state);
	struct conn *eve = client(t.w, 0, "eve");
	struct screen v = { .c = eve };
	size_t len = write_much(&t);
	char id[20];
	int i;

	join(eve, "w1", "s1");
	write_all(&t, "m0", "y");
	run(t.w);
	screen_read(&v);
	assert_int_equal(v.syncs, 2);
	assert_int_equal(v.n, 4);
	for (i = 0; i < 4; i++) {
		snprintf(id, sizeof(id), "m%d", i);
		assert_int_equal(screen_find(&v, id)->len, len + (i == 0));
	}
	screen_free(&v);
}

/* The roster that is there for the answer is older than the question. */
static void
none_comes_before_it(void **state)
{
	struct scene t = scene(state);
	struct world *w = t.w;
	struct read *r = w->reads;
	int i;

	(void)write_much(&t);
	skip_all(t.ada);
	w->late = 100;
	say(t.ada, "chat:join-session",
	    "{\"sessionId\":\"s1\",\"workspaceId\":\"w1\"}", 0);
	while (!r->used || r->kind != READ_ROSTER)
		assert_ptr_not_equal(++r, w->reads + READS);
	read_now(w, r);
	r->pos = 0;
	r->ready = true;
	for (i = 0; i < 2; i++) {
		t.ada->want_produce = true;
		produce(w);
	}
	expect_nothing(t.ada);
	run(w);
	(void)expect_event(t.ada, "chat:join-session-success");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_joiner_gets_the_text_so_far),
		T(and_not_what_it_will_get_as_a_chunk),
		T(what_has_ended_is_in_no_answer),
		T(what_was_missed_comes_as_one_chunk),
		T(one_that_was_lost_comes_with_the_next),
		T(an_end_without_a_message_is_told_as_well),
		T(a_slow_reader_gets_it_in_one_piece),
		T(a_slow_reader_sees_the_end_before_the_message),
		T(a_slow_reader_that_joins_again_is_level),
		T(who_is_recovered_gets_the_text_so_far),
		T(who_is_recovered_in_its_join_gets_the_text_with_it),
		T(much_text_comes_behind_the_answer),
		T_NOW(none_comes_before_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
