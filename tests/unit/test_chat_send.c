/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_chat_send - messages: what is taken, what is stored, who gets it.
 */

#include "tests/unit/chat_world.h"

#define SEND "chat:send-message"
#define ERR "chat:send-message-error"
#define SENDER \
	"\"metadata\":{\"senderName\":\"Name of ada\",\"senderSocketId\":" \
	"\"socket-00-0123456789\"}"

/* Two in s1 on two workers. */
static void
two(struct world *w, struct conn **a, struct conn **b)
{
	*a = client(w, 0, "ada");
	*b = client(w, 1, "bob");
	join_all(w, "s1");
}

static void
a_message_reaches_the_room_and_its_sender_is_told(void **state)
{
	struct world *w = *state;
	struct conn *a, *b;

	two(w, &a, &b);
	say(a, SEND,
	    "{\"message\":{\"id\":\"m1\",\"content\":\"hi\",\"type\":\"user\","
	    "\"timestamp\":1,\"sessionId\":\"s1\",\"userId\":\"mallory\","
	    "\"seq\":99,\"agentId\":\"bot\"}}",
	    8);
	/* not before it is durable */
	expect_nothing(a);
	expect_nothing(b);
	run(w);
	expect(b,
	    "chat:message-received {\"id\":\"m1\",\"content\":\"hi\",\"type\":"
	    "\"user\",\"userId\":\"ada\",\"agentId\":\"bot\"," SENDER
	    ",\"sessionId\":\"s1\",\"timestamp\":1700000000000,\"seq\":1}");
	expect(a,
	    "chat:message-sent {\"messageId\":\"m1\",\"timestamp\":"
	    "1700000000000,\"sessionId\":\"s1\",\"seq\":1}");
	expect(a,
	    "ack:8 {\"ok\":true,\"messageId\":\"m1\",\"timestamp\":"
	    "1700000000000,\"sessionId\":\"s1\",\"seq\":1}");
	expect_nothing(a);
	expect_nothing(b);
	assert_int_equal(b->prio[b->next - 1], CHAT_EVENT);
	assert_int_equal(a->prio[a->next - 1], CHAT_ANSWER);
}

static void
the_senders_other_sockets_get_it(void **state)
{
	struct world *w = *state;
	struct conn *a, *b, *a2;

	two(w, &a, &b);
	a2 = client(w, 0, "ada");
	join_all(w, "s1");
	message(a, "s1", "m1", "hi");
	run(w);
	(void)expect_event(a, "chat:message-sent");
	expect_nothing(a);
	(void)expect_event(a2, "chat:message-received");
	(void)expect_event(b, "chat:message-received");
}

static void
many_members_share_one_encoding(void **state)
{
	struct world *w = *state;
	int i, encodes;

	for (i = 0; i < 20; i++)
		(void)client(w, i % WORKERS, "ada");
	join_all(w, "s1");
	encodes = w->encodes;
	message(&w->conn[0], "s1", "m1", "hi");
	run(w);
	/* one on each worker, and the sender's answer */
	assert_int_equal(w->encodes, encodes + 3);
	for (i = 1; i < 20; i++)
		(void)expect_event(&w->conn[i], "chat:message-received");
}

static void
a_lonely_message_is_not_even_rendered(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada");
	int encodes;

	join_all(w, "s1");
	encodes = w->encodes;
	message(a, "s1", "m1", "hi");
	run(w);
	(void)expect_event(a, "chat:message-sent");
	assert_int_equal(w->encodes, encodes + 1);
}

static void
an_id_is_made_when_there_is_none(void **state)
{
	struct world *w = *state;
	struct conn *a, *b;
	struct json_value v;
	char id[2][64];
	int i;

	two(w, &a, &b);
	for (i = 0; i < 2; i++) {
		say(a, SEND,
		    "{\"message\":{\"content\":\"hi\",\"sessionId\":\"s1\"}}",
		    0);
		run(w);
		v = json_member(expect_event(b, "chat:message-received"), "id");
		assert_int_equal(json_decode(v, id[i], sizeof(id[i])), 22);
		assert_int_equal(strspn(id[i],
				     "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmn"
				     "opqrstuvwxyz0123456789-_"),
		    22);
		assert_text_equal(json_member(expect_event(a,
						  "chat:message-sent"),
				      "messageId"),
		    v);
	}
	assert_string_not_equal(id[0], id[1]);
}

static void
metadata_travels_as_it_came(void **state)
{
	struct world *w = *state;
	struct conn *a, *b;

	two(w, &a, &b);
	say(a, SEND,
	    "{\"message\":{\"id\":\"m1\",\"content\":\"a\\u0062\\n\\ud83d"
	    "\\ude00\",\"sessionId\":\"s1\",\"metadata\":{ \"n\" : "
	    "9007199254740993 , \"x\":1e400,\"senderName\":\"mallory\","
	    "\"t\":[ 1.0 ,{\"senderName\":\"inner\"} ],\"\\u0073enderSocketId\""
	    ":\"fake\",\"e\":\"\\u00e9 \\\"\" } }}",
	    0);
	run(w);
	expect(b,
	    "chat:message-received {\"id\":\"m1\",\"content\":\"a\\u0062\\n"
	    "\\ud83d\\ude00\",\"type\":\"user\",\"userId\":\"ada\",\"metadata\""
	    ":{\"n\":9007199254740993,\"x\":1e400,\"t\":[1.0,{\"senderName\":"
	    "\"inner\"}],\"e\":\"\\u00e9 \\\"\",\"senderName\":\"Name of ada\","
	    "\"senderSocketId\":\"socket-00-0123456789\"},\"sessionId\":\"s1\","
	    "\"timestamp\":1700000000000,\"seq\":1}");
}

static void
names_are_escaped(void **state)
{
	struct world *w = *state;
	struct conn *a, *b;

	a = client_as(w, 0,
	    "{\"userId\":\"auth0|\\\"17\\\"\",\"userName\":\"A \\\\ \\\"B\\\" "
	    "\xc3\xbc\"}");
	b = client(w, 1, "bob");
	join_all(w, "s1");
	message(a, "s1", "m1", "hi");
	run(w);
	expect(b,
	    "chat:message-received {\"id\":\"m1\",\"content\":\"hi\",\"type\":"
	    "\"user\",\"userId\":\"auth0|\\\"17\\\"\",\"metadata\":{"
	    "\"senderName\":\"A \\\\ \\\"B\\\" \xc3\xbc\",\"senderSocketId\":"
	    "\"socket-00-0123456789\"},\"sessionId\":\"s1\",\"timestamp\":"
	    "1700000000000,\"seq\":1}");
}

static void
malformed_messages_are_refused(void **state)
{
	static const char *const bad[] = { "", "1", "[]", "{}",
		"{\"message\":null}", "{\"message\":\"hi\"}",
		"{\"message\":[]}", "{\"message\":{}}",
		"{\"content\":\"hi\",\"sessionId\":\"s1\"}",
		"{\"message\":{\"content\":\"hi\"}}",
		"{\"message\":{\"sessionId\":\"s1\"}}",
		"{\"message\":{\"content\":1,\"sessionId\":\"s1\"}}",
		"{\"message\":{\"content\":null,\"sessionId\":\"s1\"}}",
		"{\"message\":{\"content\":{\"a\":\"hi\"},\"sessionId\":\"s1\"}"
		"}",
		"{\"message\":{\"content\":[\"hi\"],\"sessionId\":\"s1\"}}",
		"{\"message\":{\"content\":\"hi\",\"sessionId\":\"\"}}",
		"{\"message\":{\"content\":\"hi\",\"sessionId\":7}}",
		"{\"message\":{\"content\":\"hi\",\"sessionId\":\"s1\",\"id\":"
		"\"\"}}",
		"{\"message\":{\"content\":\"hi\",\"sessionId\":\"s1\",\"id\":"
		"null}}",
		"{\"message\":{\"content\":\"hi\",\"sessionId\":\"s1\",\"id\":"
		"7}}",
		"{\"message\":{\"content\":\"hi\",\"sessionId\":\"s1\",\"id\":"
		"\"a b\"}}",
		"{\"message\":{\"content\":\"hi\",\"sessionId\":\"s1\",\"id\":"
		"\"a\\u0000\"}}",
		"{\"message\":{\"content\":\"hi\",\"sessionId\":\"s1\","
		"\"agentId\":null}}",
		"{\"message\":{\"content\":\"hi\",\"sessionId\":\"s1\","
		"\"type\":\"admin\"}}",
		"{\"message\":{\"content\":\"hi\",\"sessionId\":\"s1\","
		"\"type\":null}}",
		"{\"message\":{\"content\":\"hi\",\"sessionId\":\"s1\","
		"\"metadata\":null}}",
		"{\"message\":{\"content\":\"hi\",\"sessionId\":\"s1\","
		"\"metadata\":[]}}",
		"{\"message\":{\"content\":\"hi\",\"sessionId\":\"s1\","
		"\"metadata\":\"x\"}}" };
	struct world *w = *state;
	struct conn *a, *b;
	struct json_value v;
	size_t i;

	two(w, &a, &b);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		say(a, SEND, bad[i], 1);
		run(w);
		v = expect_event(a, ERR);
		assert_member(v, "error", "\"Invalid message content\"");
		assert_member(v, "code", "\"INVALID_PAYLOAD\"");
		assert_member(v, "retryable", "false");
		assert_member(expect_event(a, "ack:1"), "ok", "false");
		expect_nothing(a);
	}
	expect_nothing(b);
	assert_int_equal(w->nmessages, 0);
	assert_int_equal(w->charged[CHAT_RATE_MESSAGE], i);
	assert_int_equal(w->counts[CHAT_COUNT_MESSAGE_ERRORS], i);
}

static void
who_is_not_in_the_session_cannot_send_to_it(void **state)
{
	struct world *w = *state;
	struct conn *a, *b, *c;

	two(w, &a, &b);
	c = client(w, 0, "cyd");
	message(c, "s1", "m1", "hi");
	run(w);
	expect(c,
	    ERR " {\"error\":\"Not joined to this chat session\",\"code\":"
		"\"NOT_JOINED\",\"retryable\":false,\"sessionId\":\"s1\","
		"\"messageId\":\"m1\"}");
	expect_nothing(a);
	expect_nothing(b);
	/* what it says makes no difference then */
	message(c, "s1", "m1", "");
	assert_member(expect_event(c, ERR), "code", "\"NOT_JOINED\"");
}

static void
each_role_says_what_it_may(void **state)
{
	static const char *const roles[] = { "user", "agent", "service" };
	static const char *const types[] = { "user", "assistant", "system",
		NULL };
	static const char *const says[3][4] = {
		{ "user", NULL, NULL, "user" },
		{ NULL, "assistant", NULL, "assistant" },
		{ "user", "assistant", "system", "system" },
	};
	struct world *w = *state;
	struct conn *b = client(w, 1, "bob"), *c;
	struct json_value v;
	char json[300], want[30];
	int r, t;

	for (r = 0; r < 3; r++) {
		snprintf(json, sizeof(json),
		    "{\"userId\":\"x\",\"workspaces\":[{\"id\":\"w1\",\"role\":"
		    "\"%s\"}]}",
		    roles[r]);
		c = client_as(w, 0, json);
		join_all(w, "s1");
		for (t = 0; t < 4; t++) {
			snprintf(json, sizeof(json),
			    "{\"message\":{\"content\":\"hi\",\"sessionId\":"
			    "\"s1\"%s%s%s}}",
			    types[t] == NULL ? "" : ",\"type\":\"",
			    types[t] == NULL ? "" : types[t],
			    types[t] == NULL ? "" : "\"");
			say(c, SEND, json, 0);
			run(w);
			if (says[r][t] == NULL) {
				v = expect_event(c, ERR);
				assert_member(v, "code", "\"FORBIDDEN_TYPE\"");
				assert_member(v, "error",
				    "\"Message type not allowed\"");
				continue;
			}
			(void)expect_event(c, "chat:message-sent");
			snprintf(want, sizeof(want), "\"%s\"", says[r][t]);
			assert_member(expect_event(b, "chat:message-received"),
			    "type", want);
		}
		hang_up(c, "transport close");
		run(w);
		skip_all(b);
	}
}

static void
a_blank_is_what_trim_empties(void **state)
{
	static const char *const blank[] = { "", " ", "\\t\\n\\u000b\\f\\r",
		"\xc2\xa0", "\xe1\x9a\x80", "\xe2\x80\x80\xe2\x80\x8a",
		"\xe2\x80\xa8\xe2\x80\xa9", "\xe2\x80\xaf\xe2\x81\x9f",
		"\xe3\x80\x80", "\xef\xbb\xbf", "\\u00a0\\ufeff \\u3000" };
	/* these are not blank to JavaScript */
	static const char *const not_blank[] = { "a", " a ", "\\u200b",
		"\\u180e", "\\u0085", "\\u2060", "\\u0001", "0" };
	struct world *w = *state;
	struct conn *a, *b;
	char json[200];
	size_t i;

	two(w, &a, &b);
	for (i = 0; i < sizeof(blank) / sizeof(blank[0]); i++) {
		message(a, "s1", "m", blank[i]);
		run(w);
		expect(a,
		    ERR " {\"error\":\"Message content cannot be empty\","
			"\"code\":\"CONTENT_EMPTY\",\"retryable\":false,"
			"\"sessionId\":\"s1\",\"messageId\":\"m\"}");
	}
	for (i = 0; i < sizeof(not_blank) / sizeof(not_blank[0]); i++) {
		snprintf(json, sizeof(json),
		    "{\"message\":{\"content\":\"%s\",\"sessionId\":\"s1\"}}",
		    not_blank[i]);
		say(a, SEND, json, 0);
		run(w);
		(void)expect_event(a, "chat:message-sent");
	}
}

/* 'n' times 'unit' as a message's content. */
static char *
long_message(const char *unit, int n)
{
	size_t len = strlen(unit), i;
	char *text = malloc(len * (size_t)n + 1), *json;

	assert_non_null(text);
	for (i = 0; i < (size_t)n; i++)
		memcpy(text + i * len, unit, len);
	text[len * (size_t)n] = '\0';
	assert_true(asprintf(&json,
			"{\"message\":{\"id\":\"m\",\"sessionId\":\"s1\","
			"\"content\":\"%s\"}}",
			text) > 0);
	free(text);
	return json;
}

static void
length_is_counted_as_javascript_does(void **state)
{
	static const struct {
		const char *unit;
		int fits;
	} rows[] = { { "a", 10 }, { "\xc3\xbc", 10 }, { "\xe2\x82\xac", 10 },
		{ "\xf0\x9f\x98\x80", 5 }, { "\\\"", 10 }, { "\\u0041", 10 },
		{ "\\ud83d\\ude00", 5 } };
	struct world *w = *state;
	struct conn *a, *b;
	char *json;
	size_t i;

	two(w, &a, &b);
	w->cfg.limits_message_length = 10;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		json = long_message(rows[i].unit, rows[i].fits);
		say(a, SEND, json, 0);
		free(json);
		run(w);
		assert_int_equal(waiting(a), 1);
		if (i == 0)
			(void)expect_event(a, "chat:message-sent");
		skip_all(a);
		json = long_message(rows[i].unit, rows[i].fits + 1);
		say(a, SEND, json, 0);
		free(json);
		run(w);
		expect(a,
		    ERR " {\"error\":\"Message content exceeds maximum length "
			"(10 characters)\",\"code\":\"CONTENT_TOO_LONG\","
			"\"retryable\":false,\"sessionId\":\"s1\","
			"\"messageId\":\"m\"}");
	}
	w->cfg.limits_message_length = 0;
	json = long_message("a", 20000);
	say(a, SEND, json, 0);
	free(json);
	run(w);
	assert_member(expect_event(a, "chat:message-sent"), "duplicate",
	    "true");
}

static void
metadata_has_a_limit_in_compact_bytes(void **state)
{
	struct world *w = *state;
	struct conn *a, *b;

	two(w, &a, &b);
	w->cfg.limits_metadata_bytes = 13;
	say(a, SEND,
	    "{\"message\":{\"id\":\"m1\",\"content\":\"x\",\"sessionId\":\"s1\""
	    ",\"metadata\":{\"a\":\"123456\"}}}",
	    0);
	run(w);
	assert_member(expect_event(a, ERR), "error",
	    "\"Message metadata exceeds maximum size (13 bytes)\"");
	/* blanks do not count, nor what the server adds */
	say(a, SEND,
	    "{\"message\":{\"id\":\"m1\",\"content\":\"x\",\"sessionId\":\"s1\""
	    ",\"metadata\":{   \"a\" : \"12345\"   }}}",
	    0);
	run(w);
	(void)expect_event(a, "chat:message-sent");
}

static void
an_event_has_a_limit(void **state)
{
	struct world *w = *state;
	struct conn *a, *b;
	char *json = long_message("a", 2000);

	two(w, &a, &b);
	w->cfg.limits_event_bytes = strlen(json) - 1;
	say(a, SEND, json, 0);
	assert_member(expect_event(a, ERR), "code", "\"INVALID_PAYLOAD\"");
	w->cfg.limits_event_bytes++;
	say(a, SEND, json, 0);
	run(w);
	(void)expect_event(a, "chat:message-sent");
	free(json);
}

static void
a_retry_is_the_same_message(void **state)
{
	struct world *w = *state;
	struct conn *a, *b;

	two(w, &a, &b);
	message(a, "s1", "m1", "hi");
	message(a, "s1", "m2", "ho");
	run(w);
	skip_all(a);
	skip_all(b);
	w->real_ms += 5000;
	say(a, SEND,
	    "{\"message\":{\"id\":\"m1\",\"content\":\"hi\",\"sessionId\":"
	    "\"s1\"}}",
	    6);
	run(w);
	expect(a,
	    "chat:message-sent {\"messageId\":\"m1\",\"timestamp\":"
	    "1700000000000,\"sessionId\":\"s1\",\"seq\":1,\"duplicate\":true}");
	assert_member(expect_event(a, "ack:6"), "duplicate", "true");
	expect_nothing(b);
	/* and does not count */
	assert_int_equal(w->charged[CHAT_RATE_MESSAGE], 3);
	assert_int_equal(w->given_back[CHAT_RATE_MESSAGE], 1);
}

static void
anothers_id_is_taken(void **state)
{
	struct world *w = *state;
	struct conn *a, *b;

	two(w, &a, &b);
	message(a, "s1", "m1", "hi");
	run(w);
	skip_all(b);
	message(b, "s1", "m1", "mine");
	run(w);
	expect(b,
	    ERR " {\"error\":\"Message id already used\",\"code\":\"ID_TAKEN\","
		"\"retryable\":false,\"sessionId\":\"s1\",\"messageId\":"
		"\"m1\"}");
	assert_int_equal(w->given_back[CHAT_RATE_MESSAGE], 0);
}

static void
over_the_rate_a_retry_is_still_known(void **state)
{
	struct world *w = *state;
	struct conn *a, *b;

	two(w, &a, &b);
	message(a, "s1", "m1", "hi");
	run(w);
	skip_all(a);
	skip_all(b);
	w->wait_ns[CHAT_RATE_MESSAGE] = 1500000000;
	message(a, "s1", "m1", "hi");
	message(a, "s1", "m2", "new");
	run(w);
	assert_member(expect_event(a, "chat:message-sent"), "duplicate",
	    "true");
	expect(a,
	    ERR " {\"error\":\"Rate limit exceeded\",\"code\":\"RATE_LIMITED\","
		"\"retryable\":true,\"retryAfter\":2,\"sessionId\":\"s1\","
		"\"messageId\":\"m2\"}");
	expect_nothing(b);
	assert_int_equal(w->nmessages, 1);
	assert_int_equal(w->given_back[CHAT_RATE_MESSAGE], 0);
	/* without an id of its own it can be no retry */
	say(a, SEND, "{\"message\":{\"content\":\"x\",\"sessionId\":\"s1\"}}",
	    0);
	assert_int_equal(w->npublished, 0);
	assert_member(expect_event(a, ERR), "retryAfter", "2");
	/* nor if it makes no sense, or is in no session */
	say(a, SEND, "{\"message\":{\"id\":\"m1\"}}", 0);
	assert_member(expect_event(a, ERR), "code", "\"RATE_LIMITED\"");
	message(a, "s9", "m1", "hi");
	assert_member(expect_event(a, ERR), "code", "\"RATE_LIMITED\"");
}

static void
asking_for_retries_is_limited_too(void **state)
{
	struct world *w = *state;
	struct conn *a, *b;
	int i;

	two(w, &a, &b);
	w->wait_ns[CHAT_RATE_MESSAGE] = 1;
	for (i = 0; i < 10; i++)
		message(a, "s1", "m1", "hi");
	assert_int_equal(w->npublished, 5);
	assert_int_equal(waiting(a), 5);
	run(w);
	assert_int_equal(waiting(a), 10);
	w->mono_ms += 1000;
	message(a, "s1", "m1", "hi");
	assert_int_equal(w->npublished, 1);
}

static void
the_stores_verdicts_are_told(void **state)
{
	static const struct {
		enum chat_outcome outcome;
		const char *code;
	} rows[] = { { CHAT_STORE_UNAVAILABLE, "\"STORE_UNAVAILABLE\"" },
		{ CHAT_REJECTED, "\"INTERNAL\"" } };
	struct world *w = *state;
	struct conn *a, *b;
	struct json_value v;
	size_t i;

	two(w, &a, &b);
	w->force = true;
	for (i = 0; i < 2; i++) {
		w->forced = rows[i].outcome;
		message(a, "s1", "m1", "hi");
		run(w);
		v = expect_event(a, ERR);
		assert_member(v, "code", rows[i].code);
		assert_member(v, "retryable", "true");
	}
	expect_nothing(b);
}

static void
all_see_one_order(void **state)
{
	struct world *w = *state;
	struct conn *a, *b, *c;
	struct json_value v;
	char id[16], want[16];
	int i;

	two(w, &a, &b);
	c = client(w, 0, "cyd");
	join_all(w, "s1");
	for (i = 0; i < 20; i++) {
		snprintf(id, sizeof(id), "m%d", i);
		message(i % 2 == 0 ? a : b, "s1", id, "x");
	}
	run(w);
	for (i = 0; i < 20; i++) {
		snprintf(want, sizeof(want), "\"m%d\"", i);
		v = expect_event(c, "chat:message-received");
		assert_member(v, "id", want);
		snprintf(want, sizeof(want), "%d", i + 1);
		assert_member(v, "seq", want);
	}
}

static void
a_verdict_finds_a_sender_that_has_left_or_gone(void **state)
{
	struct world *w = *state;
	struct conn *a, *b;

	two(w, &a, &b);
	message(a, "s1", "m1", "hi");
	say(a, "chat:leave-session", "{\"sessionId\":\"s1\"}", 0);
	message(b, "s1", "m2", "ho");
	hang_up(b, "transport close");
	run(w);
	assert_member(expect_event(a, "chat:message-sent"), "sessionId",
	    "\"s1\"");
	(void)expect_event(a, "chat:leave-session-success");
	expect_nothing(a);
	assert_int_equal(w->nmessages, 2);
}

/* It was told that nobody decides; then somebody has decided. */
static void
who_was_told_too_early_is_told_again(void **state)
{
	struct world *w = *state;
	struct chat_delivery lost;
	struct conn *a, *b;

	two(w, &a, &b);
	message(a, "s1", "m1", "hi");
	lost = w->published[w->npublished - 1]->d;
	lost.own = true;
	lost.outcome = CHAT_STORE_UNAVAILABLE;
	chat_deliver(w->chat[a->worker], &lost);
	assert_member(expect_event(a, "chat:send-message-error"), "code",
	    "\"STORE_UNAVAILABLE\"");
	/* nobody waits for it any more */
	w->published[w->npublished - 1]->d.request = 0;
	run(w);
	assert_member(expect_event(a, "chat:message-sent"), "seq", "1");
	expect_nothing(a);
	assert_member(expect_event(b, "chat:message-received"), "seq", "1");
}

static void
nothing_crosses_sessions(void **state)
{
	struct world *w = *state;
	struct conn *a, *b, *c;

	two(w, &a, &b);
	c = client(w, 0, "cyd");
	join(c, "w1", "s2");
	skip_all(c);
	message(a, "s1", "m1", "hi");
	say(a, "chat:typing", "{\"sessionId\":\"s1\",\"isTyping\":true}", 0);
	say(a, "chat:update-presence",
	    "{\"sessionId\":\"s1\",\"status\":\"away\"}", 0);
	run(w);
	say(a, "chat:leave-session", "{\"sessionId\":\"s1\"}", 0);
	run(w);
	expect_nothing(c);
	/* message, typing, presence, not typing, left */
	assert_int_equal(waiting(b), 5);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_message_reaches_the_room_and_its_sender_is_told),
		T(the_senders_other_sockets_get_it),
		T(many_members_share_one_encoding),
		T(a_lonely_message_is_not_even_rendered),
		T(an_id_is_made_when_there_is_none),
		T(metadata_travels_as_it_came),
		T(names_are_escaped),
		T(malformed_messages_are_refused),
		T(who_is_not_in_the_session_cannot_send_to_it),
		T(each_role_says_what_it_may),
		T(a_blank_is_what_trim_empties),
		T(length_is_counted_as_javascript_does),
		T(metadata_has_a_limit_in_compact_bytes),
		T(an_event_has_a_limit),
		T(a_retry_is_the_same_message),
		T(anothers_id_is_taken),
		T(over_the_rate_a_retry_is_still_known),
		T(asking_for_retries_is_limited_too),
		T(the_stores_verdicts_are_told),
		T(all_see_one_order),
		T(a_verdict_finds_a_sender_that_has_left_or_gone),
		T(who_was_told_too_early_is_told_again),
		T(nothing_crosses_sessions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
