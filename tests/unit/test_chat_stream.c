/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_chat_stream - what agents are answered, and who may cancel.
 */

#include "tests/unit/chat_screen.h"

struct scene {
	struct world *w;
	struct conn *bot, *ada, *eve;
};

/* A bot and two who look, on both workers. */
static struct scene
scene(void **state)
{
	struct scene t = { .w = *state };

	t.bot = agent(t.w, 0, "bot");
	t.ada = client(t.w, 0, "ada");
	t.eve = client(t.w, 1, "eve");
	join_all(t.w, "s1");
	return t;
}

static const struct message_row *
stored(const struct world *w, const char *id)
{
	int i;

	for (i = 0; i < w->nmessages; i++) {
		if (strcmp(w->message[i].id, id) == 0)
			return &w->message[i];
	}
	return NULL;
}

static void
a_chunk_is_acknowledged_and_shown_to_all(void **state)
{
	struct scene t = scene(state);
	struct json_value v;

	chunk_with(t.bot, "m1", "Hel\\u006c", false, "", 5);
	expect(t.bot, "ack:5 {\"ok\":true,\"messageId\":\"m1\",\"index\":0}");
	run(t.w);
	v = expect_event(t.eve, "chat:agent-stream-chunk");
	assert_member(v, "sessionId", "\"s1\"");
	assert_member(v, "messageId", "\"m1\"");
	assert_member(v, "chunk", "\"Hel\\u006c\"");
	assert_member(v, "isComplete", "false");
	assert_member(v, "index", "0");
	assert_member(v, "timestamp", "1700000000000");
	assert_int_equal(json_member(v, "agentId").kind, JSON_KIND_NONE);
	expect_event(t.bot, "chat:agent-stream-chunk");
	expect_event(t.ada, "chat:agent-stream-chunk");
	chunk_with(t.bot, "m1", "o", false, "", 6);
	expect(t.bot, "ack:6 {\"ok\":true,\"messageId\":\"m1\",\"index\":1}");
	run(t.w);
	skip_all(t.eve);
	chunk_with(t.bot, "m1", "!", true, "", 7);
	run(t.w);
	v = expect_event(t.eve, "chat:agent-stream-chunk");
	assert_member(v, "isComplete", "true");
	assert_member(v, "index", "2");
	v = expect_event(t.eve, "chat:message-received");
	assert_member(v, "id", "\"m1\"");
	assert_member(v, "content", "\"Hel\\u006co!\"");
	assert_member(v, "type", "\"assistant\"");
	assert_member(v, "userId", "\"bot\"");
	assert_member(v, "seq", "1");
	expect_nothing(t.eve);
	v = expect_ack(t.bot, 7);
	assert_member(v, "ok", "true");
	assert_member(v, "messageId", "\"m1\"");
	assert_member(v, "seq", "1");
	assert_member(v, "timestamp", "1700000000000");
	expect_nothing(t.bot);
}

static void
the_message_has_what_its_agent_said_of_it(void **state)
{
	struct scene t = scene(state);
	struct json_value v, m;

	chunk_with(t.bot, "m1", "a", false,
	    ",\"agentId\":\"helper\",\"metadata\":{\"tokens\": 1,"
	    "\"isStreaming\":true,\"senderName\":\"no\"}",
	    0);
	run(t.w);
	v = expect_event(t.ada, "chat:agent-stream-chunk");
	assert_member(v, "agentId", "\"helper\"");
	chunk(t.bot, "m1", "b", true);
	run(t.w);
	expect_event(t.ada, "chat:agent-stream-chunk");
	v = expect_event(t.ada, "chat:message-received");
	assert_member(v, "agentId", "\"helper\"");
	m = json_member(v, "metadata");
	assert_member(m, "tokens", "1");
	assert_member(m, "isStreaming", "false");
	assert_member(m, "isComplete", "true");
	assert_member(m, "senderName", "\"Name of bot\"");
	assert_int_equal(json_member(m, "interrupted").kind, JSON_KIND_NONE);
	/* the last word replaces it, but not who it is */
	chunk_with(t.bot, "m2", "a", false,
	    ",\"agentId\":\"helper\",\"metadata\":{\"tokens\":1}", 0);
	chunk_with(t.bot, "m2", "b", true, ",\"metadata\":{\"cost\":2}", 0);
	run(t.w);
	skip_all(t.eve);
	assert_non_null(strstr(stored(t.w, "m2")->body, "\"cost\":2"));
	assert_null(strstr(stored(t.w, "m2")->body, "tokens"));
	assert_non_null(strstr(stored(t.w, "m2")->body, "\"helper\""));
}

static void
an_index_says_which_chunk_it_is(void **state)
{
	struct scene t = scene(state);

	chunk_with(t.bot, "m1", "a", false, ",\"index\":0", 1);
	expect(t.bot, "ack:1 {\"ok\":true,\"messageId\":\"m1\",\"index\":0}");
	chunk_with(t.bot, "m1", "a", false, ",\"index\":0", 2);
	expect(t.bot,
	    "ack:2 {\"ok\":true,\"messageId\":\"m1\",\"index\":0,"
	    "\"duplicate\":true}");
	chunk_with(t.bot, "m1", "c", false, ",\"index\":2", 3);
	assert_member(expect_ack(t.bot, 3), "code", "\"INVALID_PAYLOAD\"");
	chunk_with(t.bot, "m1", "b", false, ",\"index\":1", 4);
	assert_member(expect_ack(t.bot, 4), "index", "1");
	/* its last chunk again, whose end was lost: it is the end */
	chunk_with(t.bot, "m1", "b", true, ",\"index\":1", 5);
	run(t.w);
	assert_member(expect_ack(t.bot, 5), "seq", "1");
	assert_non_null(strstr(stored(t.w, "m1")->body, "\"ab\""));
	/* nobody knows of it */
	chunk_with(t.bot, "m9", "b", false, ",\"index\":1", 6);
	run(t.w);
	assert_member(expect_ack(t.bot, 6), "code", "\"STREAM_UNKNOWN\"");
}

static void
what_is_refused(void **state)
{
	struct scene t = scene(state);
	struct json_value v;

	chunk_with(t.ada, "m1", "a", false, "", 1);
	v = expect_event(t.ada, "chat:send-message-error");
	assert_member(v, "code", "\"FORBIDDEN\"");
	assert_member(v, "messageId", "\"m1\"");
	assert_member(v, "sessionId", "\"s1\"");
	assert_member(expect_ack(t.ada, 1), "code", "\"FORBIDDEN\"");
	say(t.bot, "chat:agent-message-stream",
	    "{\"sessionId\":\"s1\",\"messageId\":\"m1\",\"chunk\":\"a\"}", 2);
	assert_member(expect_ack(t.bot, 2), "code", "\"INVALID_PAYLOAD\"");
	chunk_with(t.bot, "m1", "a", false, ",\"index\":-1", 3);
	assert_member(expect_ack(t.bot, 3), "code", "\"INVALID_PAYLOAD\"");
	chunk_with(t.bot, "m1", "a", false, ",\"agentId\":null", 4);
	assert_member(expect_ack(t.bot, 4), "code", "\"INVALID_PAYLOAD\"");
	chunk_with(t.bot, "m1", "a", false, ",\"metadata\":[]", 5);
	assert_member(expect_ack(t.bot, 5), "code", "\"INVALID_PAYLOAD\"");
	t.w->cfg.limits_metadata_bytes = 10;
	chunk_with(t.bot, "m1", "a", false, ",\"metadata\":{\"a\":12345678}",
	    6);
	assert_member(expect_ack(t.bot, 6), "code", "\"METADATA_TOO_LARGE\"");
	run(t.w);
	skip_all(t.eve);
	say(t.bot, "chat:agent-message-stream",
	    "{\"sessionId\":\"s2\",\"messageId\":\"m1\",\"chunk\":\"a\","
	    "\"isComplete\":false}",
	    7);
	assert_member(expect_ack(t.bot, 7), "code", "\"NOT_JOINED\"");
	expect_nothing(t.eve);
}

static void
a_stream_has_its_limits(void **state)
{
	struct scene t = scene(state);
	struct json_value v;

	t.w->streams.max_text = 5;
	chunk(t.bot, "m1", "abc", false);
	t.w->streams.wait_ns = 1500000000;
	chunk_with(t.bot, "m1", "x", false, "", 1);
	v = expect_ack(t.bot, 1);
	assert_member(v, "code", "\"RATE_LIMITED\"");
	assert_member(v, "retryAfter", "2");
	t.w->streams.wait_ns = 0;
	chunk_with(t.bot, "m1", "def", false, "", 2);
	assert_member(expect_ack(t.bot, 2), "code", "\"STREAM_TOO_LONG\"");
	/* it goes on */
	chunk_with(t.bot, "m1", "d", true, "", 3);
	run(t.w);
	assert_member(expect_ack(t.bot, 3), "seq", "1");
	assert_non_null(strstr(stored(t.w, "m1")->body, "\"abcd\""));
	pass(t.w, 3000);
	t.w->streams.max_rows = 1;
	chunk(t.bot, "m2", "a", false);
	chunk_with(t.bot, "m3", "a", false, "", 4);
	assert_member(expect_ack(t.bot, 4), "code", "\"OVERLOADED\"");
	t.w->streams.max_bytes = 1;
	chunk_with(t.bot, "m2", "b", false, "", 5);
	assert_member(expect_ack(t.bot, 5), "code", "\"OVERLOADED\"");
	chunk(t.bot, "m2", "", true);
	run(t.w);
	assert_non_null(strstr(stored(t.w, "m2")->body, "\"a\""));
	/* what only lingers makes room */
	chunk_with(t.bot, "m3", "a", false, "", 6);
	assert_member(expect_ack(t.bot, 6), "index", "0");
}

static void
who_has_its_share_gives_up_its_own(void **state)
{
	struct scene t = scene(state);
	struct conn *near = agent(t.w, 0, "near");

	join(near, "w1", "s1");
	t.w->streams.user_rows = 2;
	/* each has one that lingers, near's the longer; the bot has one more */
	chunk(near, "n1", "a", true);
	run(t.w);
	chunk(t.bot, "m1", "a", true);
	chunk(t.bot, "m2", "a", false);
	run(t.w);
	skip_all(t.bot);
	chunk_with(t.bot, "m3", "a", false, "", 1);
	assert_member(expect_ack(t.bot, 1), "index", "0");
	run(t.w);
	skip_all(t.bot);
	/* both run, and nothing of another's makes room for a third */
	chunk_with(t.bot, "m4", "a", false, "", 2);
	assert_member(expect_ack(t.bot, 2), "code", "\"OVERLOADED\"");
	skip_all(near);
	chunk_with(near, "n1", "", true, "", 3);
	assert_member(expect_ack(near, 3), "duplicate", "true");
	assert_int_equal(t.w->nmessages, 2);
}

static void
an_id_belongs_to_one(void **state)
{
	struct scene t = scene(state);
	struct conn *other = agent(t.w, 1, "other");
	struct conn *near = agent(t.w, 0, "near");

	join(other, "w1", "s1");
	join(near, "w1", "s1");
	chunk(t.bot, "m1", "a", false);
	run(t.w);
	skip_all(other);
	chunk_with(other, "m1", "b", false, "", 1);
	assert_member(expect_ack(other, 1), "code", "\"ID_TAKEN\"");
	chunk_with(near, "m1", "b", false, "", 1);
	assert_member(expect_ack(near, 1), "code", "\"ID_TAKEN\"");
	skip_all(t.ada);
	message(t.ada, "s1", "m1", "mine");
	assert_member(expect_event(t.ada, "chat:send-message-error"), "code",
	    "\"ID_TAKEN\"");
	chunk(t.bot, "m1", "", true);
	run(t.w);
	assert_int_equal(t.w->nmessages, 1);
	/* and that of a message to whoever sent it */
	message(t.ada, "s1", "m2", "mine");
	run(t.w);
	skip_all(t.bot);
	skip_all(t.eve);
	chunk_with(t.bot, "m2", "a", false, "", 2);
	run(t.w);
	assert_member(expect_ack(t.bot, 2), "ok", "true");
	expect_event(t.eve, "chat:agent-stream-chunk");
	assert_member(expect_event(t.eve, "chat:agent-stream-chunk"),
	    "interrupted", "true");
	chunk_with(t.bot, "m2", "b", false, ",\"index\":1", 4);
	assert_member(expect_ack(t.bot, 4), "code", "\"ID_TAKEN\"");
	chunk_with(t.bot, "m2", "b", true, "", 3);
	assert_member(expect_ack(t.bot, 3), "code", "\"ID_TAKEN\"");
	pass(t.w, 3000);
	/* nor is it forgotten */
	chunk_with(t.bot, "m2", "b", false, ",\"index\":1", 4);
	run(t.w);
	assert_member(expect_ack(t.bot, 4), "code", "\"ID_TAKEN\"");
	assert_int_equal(t.w->nmessages, 2);
}

static void
what_was_completed_is_known(void **state)
{
	struct scene t = scene(state);
	struct json_value v;
	int i;

	chunk(t.bot, "m1", "a", true);
	run(t.w);
	skip_all(t.bot);
	/* a moment later, and when nobody remembers */
	for (i = 0; i < 2; i++) {
		chunk_with(t.bot, "m1", "a", true, ",\"index\":0", 1);
		run(t.w);
		v = expect_ack(t.bot, 1);
		assert_member(v, "ok", "true");
		assert_member(v, "duplicate", "true");
		assert_member(v, "seq", "1");
		chunk_with(t.bot, "m1", "z", false, ",\"index\":3", 2);
		run(t.w);
		assert_member(expect_ack(t.bot, 2), "duplicate", "true");
		pass(t.w, 5000);
	}
	assert_int_equal(t.w->nmessages, 1);
}

static void
blank_and_blocked_text_is_not_stored(void **state)
{
	struct scene t = scene(state);

	chunk(t.bot, "m1", " \\n", false);
	chunk_with(t.bot, "m1", "", true, "", 1);
	run(t.w);
	assert_member(expect_ack(t.bot, 1), "code", "\"CONTENT_EMPTY\"");
	expect_event(t.eve, "chat:agent-stream-chunk");
	assert_member(expect_event(t.eve, "chat:agent-stream-chunk"),
	    "isComplete", "true");
	expect_nothing(t.eve);
	pass(t.w, 5000);
	assert_int_equal(t.w->nmessages, 0);
	expect_nothing(t.eve);
}

static void
somebody_cancels(void **state)
{
	struct scene t = scene(state);
	struct json_value v;

	cancel(t.eve, "m1", 1);
	assert_member(expect_ack(t.eve, 1), "code", "\"STREAM_UNKNOWN\"");
	chunk(t.bot, "m1", "to be ", false);
	run(t.w);
	skip_all(t.bot);
	skip_all(t.ada);
	cancel(t.eve, "m1", 2);
	assert_member(expect_ack(t.eve, 2), "ok", "true");
	run(t.w);
	v = expect_event(t.bot, "chat:stream-cancelled");
	assert_member(v, "sessionId", "\"s1\"");
	assert_member(v, "messageId", "\"m1\"");
	assert_member(v, "userId", "\"eve\"");
	assert_member(v, "timestamp", "1700000000000");
	/* said before it has heard of that */
	chunk_with(t.bot, "m1", "x", false, ",\"index\":1", 3);
	assert_member(expect_ack(t.bot, 3), "code", "\"STREAM_UNKNOWN\"");
	chunk_with(t.bot, "m1", "continued", true, ",\"index\":2", 4);
	run(t.w);
	assert_member(expect_ack(t.bot, 4), "seq", "1");
	v = expect_event(t.ada, "chat:agent-stream-chunk");
	assert_member(v, "isComplete", "true");
	assert_member(v, "cancelled", "true");
	v = expect_event(t.ada, "chat:message-received");
	assert_member(v, "content", "\"to be continued\"");
	assert_member(json_member(v, "metadata"), "cancelled", "true");
	/* it is over */
	cancel(t.eve, "m1", 5);
	assert_member(expect_ack(t.eve, 5), "code", "\"STREAM_UNKNOWN\"");
}

static void
who_is_cancelled_and_says_nothing_is_ended(void **state)
{
	struct scene t = scene(state);
	struct json_value v;

	chunk(t.bot, "m1", "never ending", false);
	run(t.w);
	skip_all(t.ada);
	cancel(t.ada, "m1", 0);
	run(t.w);
	skip_all(t.ada);
	pass(t.w, 4900);
	expect_nothing(t.ada);
	pass(t.w, 200);
	v = expect_event(t.ada, "chat:agent-stream-chunk");
	assert_member(v, "cancelled", "true");
	v = expect_event(t.ada, "chat:message-received");
	assert_member(json_member(v, "metadata"), "cancelled", "true");
	/* afterwards */
	chunk_with(t.bot, "m1", "x", false, "", 1);
	assert_member(expect_ack(t.bot, 1), "code", "\"STREAM_UNKNOWN\"");
}

static void
what_nobody_writes_can_be_cancelled(void **state)
{
	struct scene t = scene(state);
	struct json_value v;

	chunk(t.bot, "m1", "left alone", false);
	run(t.w);
	hang_up(t.bot, "transport close");
	run(t.w);
	skip_all(t.eve);
	cancel(t.eve, "m1", 1);
	assert_member(expect_ack(t.eve, 1), "ok", "true");
	pass(t.w, 5200);
	v = expect_event(t.eve, "chat:agent-stream-chunk");
	assert_member(v, "cancelled", "true");
	assert_non_null(stored(t.w, "m1"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_chunk_is_acknowledged_and_shown_to_all),
		T(the_message_has_what_its_agent_said_of_it),
		T(an_index_says_which_chunk_it_is),
		T(what_is_refused),
		T(a_stream_has_its_limits),
		T(who_has_its_share_gives_up_its_own),
		T(an_id_belongs_to_one),
		T(what_was_completed_is_known),
		T(blank_and_blocked_text_is_not_stored),
		T(somebody_cancels),
		T(who_is_cancelled_and_says_nothing_is_ended),
		T(what_nobody_writes_can_be_cancelled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
