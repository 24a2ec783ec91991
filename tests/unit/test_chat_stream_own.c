/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_chat_stream_own - whose a stream is, and how it ends when its agent
 * does not end it.
 */

#include "tests/unit/chat_screen.h"

struct scene {
	struct world *w;
	struct conn *bot, *ada, *eve;
};

/* A bot that has written "one ", and two who look, on both workers. */
static struct scene
scene(void **state)
{
	struct scene t = { .w = *state };

	t.bot = agent(t.w, 0, "bot");
	t.ada = client(t.w, 0, "ada");
	t.eve = client(t.w, 1, "eve");
	join_all(t.w, "s1");
	chunk(t.bot, "m1", "one ", false);
	run(t.w);
	skip_all(t.bot);
	skip_all(t.ada);
	skip_all(t.eve);
	return t;
}

/* The next chunk is the last, and the message follows. */
static void
expect_end(struct conn *c, const char *why, const char *content)
{
	struct json_value v;

	while (c->next < c->nout &&
	    !event_is(c->out[c->next], "chat:agent-stream-chunk", &v))
		c->next++;
	v = expect_event(c, "chat:agent-stream-chunk");
	assert_member(v, "isComplete", "true");
	assert_member(v, "chunk", "\"\"");
	assert_member(v, why, "true");
	while (c->next < c->nout &&
	    !event_is(c->out[c->next], "chat:message-received", &v))
		c->next++;
	v = expect_event(c, "chat:message-received");
	assert_member(v, "content", content);
	assert_member(json_member(v, "metadata"), why, "true");
	assert_member(json_member(v, "metadata"), "isComplete", "true");
}

static int
rows(const struct world *w)
{
	int i, n = 0;

	for (i = 0; i < TABLE_ROWS; i++)
		n += w->streams.row[i].handle != 0;
	return n;
}

static void
who_leaves_ends_what_it_writes(void **state)
{
	struct scene t = scene(state);

	say(t.bot, "chat:leave-session", "{\"sessionId\":\"s1\"}", 1);
	run(t.w);
	expect_end(t.eve, "interrupted", "\"one \"");
	assert_int_equal(t.w->nmessages, 1);
	pass(t.w, 5000);
	assert_int_equal(rows(t.w), 0);
}

static void
so_does_who_disconnects_on_purpose(void **state)
{
	struct scene t = scene(state);

	hang_up(t.bot, "client namespace disconnect");
	run(t.w);
	expect_end(t.ada, "interrupted", "\"one \"");
	pass(t.w, 15000);
	assert_int_equal(t.w->nmessages, 1);
}

static void
a_lost_one_goes_on_at_another_worker(void **state)
{
	struct scene t = scene(state);
	struct conn *bot;

	hang_up(t.bot, "transport close");
	pass(t.w, 9000);
	bot = agent(t.w, 1, "bot");
	join(bot, "w1", "s1");
	skip_all(t.ada);
	chunk_with(bot, "m1", "two", false, ",\"index\":1", 1);
	assert_member(expect_ack(bot, 1), "index", "1");
	run(t.w);
	assert_member(expect_event(t.ada, "chat:agent-stream-chunk"), "chunk",
	    "\"two\"");
	chunk(bot, "m1", "", true);
	run(t.w);
	assert_int_equal(t.w->nmessages, 1);
	assert_non_null(strstr(t.w->message[0].body, "\"one two\""));
	assert_null(strstr(t.w->message[0].body, "interrupted"));
	/* whoever said the last word is not sent it */
	assert_non_null(strstr(t.w->message[0].body, bot->id));
}

static void
nobody_elses(void **state)
{
	struct scene t = scene(state);
	struct conn *other = agent(t.w, 1, "other");

	hang_up(t.bot, "transport close");
	join(other, "w1", "s1");
	chunk_with(other, "m1", "x", false, "", 1);
	assert_member(expect_ack(other, 1), "code", "\"ID_TAKEN\"");
}

static void
or_is_ended_after_a_while(void **state)
{
	struct scene t = scene(state);
	struct conn *bot;

	hang_up(t.bot, "ping timeout");
	pass(t.w, 9900);
	assert_int_equal(t.w->nmessages, 0);
	pass(t.w, 200);
	expect_end(t.eve, "interrupted", "\"one \"");
	assert_int_equal(t.w->nmessages, 1);
	/* it comes too late */
	bot = agent(t.w, 1, "bot");
	join(bot, "w1", "s1");
	chunk_with(bot, "m1", "two", true, ",\"index\":1", 1);
	run(t.w);
	assert_member(expect_ack(bot, 1), "duplicate", "true");
	pass(t.w, 5000);
	assert_int_equal(t.w->nmessages, 1);
}

static void
a_silent_one_is_ended(void **state)
{
	struct scene t = scene(state);

	pass(t.w, 30000);
	chunk(t.bot, "m1", "", false);
	pass(t.w, 59000);
	assert_int_equal(t.w->nmessages, 0);
	skip_all(t.eve);
	pass(t.w, 1500);
	expect_end(t.eve, "interrupted", "\"one \"");
}

/* Those that run do not hold up those that begin after the reload. */
static void
a_reload_is_for_those_that_run_too(void **state)
{
	static struct config cfg;
	struct world *w = *state;
	struct scene t;
	int k;

	w->cfg.stream_idle_timeout = 3600000;
	t = scene(state);
	pass(w, 10000);
	cfg = w->cfg;
	cfg.stream_idle_timeout = 60000;
	for (k = 0; k < WORKERS; k++)
		chat_configure(w->chat[k], &cfg);
	chunk(t.bot, "m2", "two ", false);
	run(w);
	pass(w, 49000);
	assert_int_equal(w->nmessages, 0);
	pass(w, 1500);
	assert_int_equal(w->nmessages, 1);
	pass(w, 8000);
	assert_int_equal(w->nmessages, 1);
	pass(w, 2000);
	assert_int_equal(w->nmessages, 2);
	for (k = 0; k < WORKERS; k++)
		chat_configure(w->chat[k], &w->cfg);
}

static void
a_dead_workers_are_taken_over(void **state)
{
	struct scene t = scene(state);
	struct conn *bot;

	chunk(t.bot, "m2", "more", false);
	run(t.w);
	skip_all(t.eve);
	kill_worker(t.w, 0);
	pass(t.w, 2000);
	bot = agent(t.w, 1, "bot");
	join(bot, "w1", "s1");
	chunk_with(bot, "m1", "two", true, ",\"index\":1", 1);
	run(t.w);
	assert_member(expect_ack(bot, 1), "ok", "true");
	assert_non_null(strstr(t.w->message[0].body, "\"one two\""));
	skip_all(t.eve);
	pass(t.w, 10000);
	expect_end(t.eve, "interrupted", "\"more\"");
	assert_int_equal(t.w->nmessages, 2);
	pass(t.w, 3000);
	assert_int_equal(rows(t.w), 0);
}

static void
its_end_is_told_when_it_died_over_that(void **state)
{
	struct scene t = scene(state);
	struct json_value v;

	/* published is nothing: the row says that it is complete */
	chunk(t.bot, "m1", "two", true);
	assert_int_equal(t.w->npublished, 1);
	stored_free(t.w->published[--t.w->npublished]);
	while (t.w->nlive > 0)
		stored_free(t.w->live[--t.w->nlive]);
	kill_worker(t.w, 0);
	pass(t.w, 300);
	skip_all(t.bot);
	assert_int_equal(t.w->nmessages, 1);
	assert_non_null(strstr(t.w->message[0].body, "\"one two\""));
	assert_null(strstr(t.w->message[0].body, "interrupted"));
	run(t.w);
	while (t.eve->next < t.eve->nout &&
	    strstr(t.eve->out[t.eve->next], "chunk\"") == NULL)
		t.eve->next++;
	v = expect_event(t.eve, "chat:agent-stream-chunk");
	assert_member(v, "chunk", "\"two\"");
	assert_member(v, "isComplete", "true");
	assert_int_equal(json_member(v, "interrupted").kind, JSON_KIND_NONE);
}

static void
who_is_cancelled_and_leaves_was_cancelled(void **state)
{
	struct scene t = scene(state);

	cancel(t.ada, "m1", 0);
	run(t.w);
	hang_up(t.bot, "client namespace disconnect");
	run(t.w);
	expect_end(t.eve, "cancelled", "\"one \"");
}

static void
a_message_is_right_without_memory_for_its_tail(void **state)
{
	struct scene t = scene(state);

	t.w->streams.no_tail = true;
	hang_up(t.bot, "client namespace disconnect");
	run(t.w);
	assert_int_equal(t.w->nmessages, 1);
	assert_non_null(strstr(t.w->message[0].body,
	    "\"isStreaming\":false,\"isComplete\":true,"
	    "\"interrupted\":true}"));
}

static void
a_store_that_fails_is_asked_again(void **state)
{
	struct scene t = scene(state);

	t.w->force = true;
	t.w->forced = CHAT_STORE_UNAVAILABLE;
	chunk_with(t.bot, "m1", "two", true, "", 1);
	run(t.w);
	assert_member(expect_ack(t.bot, 1), "code", "\"STORE_UNAVAILABLE\"");
	pass(t.w, 3000);
	assert_int_equal(t.w->nmessages, 0);
	/* its agent asks, too */
	chunk_with(t.bot, "m1", "two", true, ",\"index\":1", 2);
	run(t.w);
	assert_member(expect_ack(t.bot, 2), "code", "\"STORE_UNAVAILABLE\"");
	t.w->force = false;
	pass(t.w, 1500);
	assert_int_equal(t.w->nmessages, 1);
	chunk_with(t.bot, "m1", "two", true, ",\"index\":1", 3);
	assert_member(expect_ack(t.bot, 3), "seq", "1");
}

static void
another_connection_asks_for_what_is_thought_lost(void **state)
{
	struct scene t = scene(state);
	struct conn *bot = agent(t.w, 1, "bot");

	join(bot, "w1", "s1");
	chunk_with(bot, "m1", "two", false, ",\"index\":1", 1);
	assert_member(expect_ack(bot, 1), "code", "\"OVERLOADED\"");
	run(t.w);
	chunk_with(bot, "m1", "two", false, ",\"index\":1", 2);
	assert_member(expect_ack(bot, 2), "index", "1");
	/* and not another user's */
	cancel(t.ada, "m1", 0);
	run(t.w);
	hang_up(bot, "transport close");
	pass(t.w, 6000);
	assert_int_equal(t.w->nmessages, 1);
	assert_non_null(strstr(t.w->message[0].body, "\"cancelled\":true"));
}

static void
each_connection_that_says_the_last_word_is_answered(void **state)
{
	struct scene t = scene(state);
	struct conn *bot = agent(t.w, 0, "bot");

	join(bot, "w1", "s1");
	run(t.w);
	skip_all(t.bot);
	skip_all(bot);
	chunk_with(t.bot, "m1", "two", true, "", 1);
	/* this one has no part in the answer */
	chunk_with(bot, "m1", "two", false, "", 1);
	assert_member(expect_ack(bot, 1), "duplicate", "true");
	chunk_with(bot, "m1", "two", true, "", 2);
	run(t.w);
	assert_member(expect_ack(t.bot, 1), "seq", "1");
	assert_member(expect_ack(bot, 2), "seq", "1");
	assert_int_equal(t.w->nmessages, 1);
}

static void
a_wish_to_cancel_that_was_missed_is_found(void **state)
{
	struct scene t = scene(state);
	uint64_t handle = t.w->streams.row[0].handle;

	chat_resync_live(t.w->chat[0]);
	run(t.w);
	chunk_with(t.bot, "m1", "two ", false, "", 1);
	assert_member(expect_ack(t.bot, 1), "index", "1");
	/* it stands in the row, and the live ring has lost the event */
	assert_int_equal(table_cancel(&t.w->streams, handle), CHAT_STREAM_DONE);
	skip_all(t.bot);
	chat_resync_live(t.w->chat[0]);
	run(t.w);
	assert_member(expect_event(t.bot, "chat:stream-cancelled"), "messageId",
	    "\"m1\"");
	chunk_with(t.bot, "m1", "three ", false, "", 2);
	assert_member(expect_ack(t.bot, 2), "code", "\"STREAM_UNKNOWN\"");
	skip_all(t.eve);
	pass(t.w, 6000);
	expect_end(t.eve, "cancelled", "\"one two \"");
}

static void
leftovers_are_stored_or_forgotten(void **state)
{
	struct scene t = scene(state);
	const char *head = "\"id\":\"m7\",\"content\":\"";
	const char *tail = "\",\"type\":\"assistant\",\"userId\":\"bot\","
			   "\"metadata\":{\"senderName\":\"Bot\","
			   "\"isStreaming\":true,\"isComplete\":false}";
	struct chat_leftover left = {
		.room = 1,
		.user = user_number(t.w, "bot"),
		.id = str_of("m7"),
		.head = str_of(head),
		.text = str_of("left \\\"over\\\""),
		.tail = str_of(tail),
	};
	const unsigned *counts = t.w->counts;
	struct json_value v;

	/* until it is stored it is tried again */
	chat_store_leftover(t.w->chat[0], &left);
	chat_store_leftover(t.w->chat[1], &left);
	run(t.w);
	assert_int_equal(counts[CHAT_COUNT_STREAMS_INTERRUPTED], 1);
	assert_int_equal(counts[CHAT_COUNT_STREAMS_STORED], 1);
	v = expect_event(t.eve, "chat:message-received");
	assert_member(v, "content", "\"left \\\"over\\\"\"");
	assert_member(json_member(v, "metadata"), "interrupted", "true");
	assert_member(json_member(v, "metadata"), "isStreaming", "false");
	expect_nothing(t.eve);
	left.id = str_of("m8");
	left.text = str_of(" \\t");
	chat_store_leftover(t.w->chat[0], &left);
	assert_int_equal(t.w->published[0]->d.ev.flags,
	    CHAT_F_STREAM | CHAT_F_ONLY_DUPLICATE);
	run(t.w);
	assert_int_equal(t.w->nmessages, 1);
	assert_false(chat_stream_is_open(str_of("")));
	assert_true(chat_stream_is_open(str_of(tail)));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(who_leaves_ends_what_it_writes),
		T(so_does_who_disconnects_on_purpose),
		T(a_lost_one_goes_on_at_another_worker),
		T(nobody_elses),
		T(or_is_ended_after_a_while),
		T(a_silent_one_is_ended),
		T(a_reload_is_for_those_that_run_too),
		T(a_dead_workers_are_taken_over),
		T(its_end_is_told_when_it_died_over_that),
		T(who_is_cancelled_and_leaves_was_cancelled),
		T(a_message_is_right_without_memory_for_its_tail),
		T(a_store_that_fails_is_asked_again),
		T(another_connection_asks_for_what_is_thought_lost),
		T(each_connection_that_says_the_last_word_is_answered),
		T(a_wish_to_cancel_that_was_missed_is_found),
		T(leftovers_are_stored_or_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
