/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_chat_content - messages through the content rules: what is stored,
 * refused, counted.
 */

#include "tests/unit/chat_world.h"

#define SEND "chat:send-message"
#define ERR "chat:send-message-error"
#define LONG "twenty characters and more"

static void
two(struct world *w, struct conn **a, struct conn **b)
{
	*a = client(w, 0, "ada");
	*b = client(w, 1, "bob");
	join_all(w, "s1");
	w->cfg.content_burst = 10;
	w->cfg.ring_arena_bytes = 4 << 20;
}

static void
say_content(struct conn *c, const char *id, const char *content)
{
	char text[16384];

	snprintf(text, sizeof(text),
	    "{\"message\":{%s%s%s\"content\":\"%s\",\"sessionId\":\"s1\"}}",
	    id == NULL ? "" : "\"id\":\"", id == NULL ? "" : id,
	    id == NULL ? "" : "\",", content);
	say(c, SEND, text, 0);
}

/* The next begins with 'event' and holds this. */
static void
expect_part(struct conn *c, const char *event, const char *part)
{
	struct json_value v = expect_event(c, event);

	if (memmem(v.text.p, v.text.len, part, strlen(part)) == NULL)
		fail_msg("%s is not in %.*s", part, (int)v.text.len, v.text.p);
}

static void
active_content_is_stored_inert(void **state)
{
	struct world *w = *state;
	struct conn *a, *b;

	two(w, &a, &b);
	say_content(a, "m1", "x \\u003cscript\\u003e <b>");
	run(w);
	expect_part(b, "chat:message-received",
	    "\"content\":\"x &lt;script\\u003e <b>\"");
	(void)expect_event(a, "chat:message-sent");
	assert_int_equal(w->counts[CHAT_COUNT_MESSAGE_BLOCKED], 0);
	assert_int_equal(w->counts[CHAT_COUNT_SUSPICIOUS_ACTIVITY], 0);
}

static void
content_is_measured_before_it_is_changed(void **state)
{
	struct world *w = *state;
	struct conn *a, *b;

	two(w, &a, &b);
	w->cfg.limits_message_length = 8;
	say_content(a, "m1", "<script>");
	run(w);
	expect_part(b, "chat:message-received", "\"content\":\"&lt;script>\"");
	(void)expect_event(a, "chat:message-sent");
	say_content(a, "m2", "<script>x");
	expect_part(a, ERR, "\"code\":\"CONTENT_TOO_LONG\"");
}

static void
reject(struct world *w)
{
	w->cfg.content_html = CONTENT_HTML_REJECT;
	chat_configure(w->chat[0], &w->cfg);
}

static void
blocked_content_reaches_nobody(void **state)
{
	struct world *w = *state;
	struct conn *a, *b;

	two(w, &a, &b);
	reject(w);
	say_content(a, "m1", "<script>");
	expect(a,
	    ERR " {\"error\":\"Message contains potentially unsafe content\","
		"\"code\":\"CONTENT_BLOCKED\",\"retryable\":false,"
		"\"sessionId\":\"s1\",\"messageId\":\"m1\"}");
	run(w);
	expect_nothing(b);
	assert_int_equal(w->counts[CHAT_COUNT_MESSAGE_BLOCKED], 1);
}

static void
odd_content_is_delivered_and_counted(void **state)
{
	struct world *w = *state;
	struct conn *a, *b;

	two(w, &a, &b);
	say_content(a, "m1", "aaaaaaaaaaaaaaaaaaaaa");
	run(w);
	expect_part(b, "chat:message-received", "\"aaaaaaaaaaaaaaaaaaaaa\"");
	(void)expect_event(a, "chat:message-sent");
	assert_int_equal(w->counts[CHAT_COUNT_SUSPICIOUS_ACTIVITY], 1);
}

/* --- bursts -------------------------------------------------------------------- */

static void
equal_texts_have_one_mark(void **state)
{
	struct world *w = *state;
	struct conn *a, *b;

	two(w, &a, &b);
	say_content(a, "m1", LONG);
	say_content(a, "m2", "12 TWENTY characters\\nand more");
	say_content(a, "m3", "short");
	say_content(a, "m4", LONG ".");
	assert_int_equal(w->nmarks, 3);
	assert_true(w->marks[0] == w->marks[1] && w->marks[0] != w->marks[2]);
	w->cfg.content_burst = 0;
	say_content(a, "m5", LONG);
	assert_int_equal(w->nmarks, 3);
	run(w);
}

/* Without an id it cannot be a retry. */
static void
one_too_many_is_spam(void **state)
{
	struct world *w = *state;
	struct conn *a, *b;

	two(w, &a, &b);
	w->bursting = true;
	say_content(a, NULL, LONG);
	expect(a,
	    ERR " {\"error\":\"Message appears to contain spam or suspicious "
		"content\",\"code\":\"SPAM_BLOCKED\",\"retryable\":false,"
		"\"sessionId\":\"s1\"}");
	run(w);
	expect_nothing(b);
	assert_int_equal(w->counts[CHAT_COUNT_MESSAGE_BLOCKED], 1);
	say_content(a, "m1", "short");
	run(w);
	(void)expect_event(b, "chat:message-received");
}

static void
one_with_an_id_is_spam_unless_it_is_a_retry(void **state)
{
	struct world *w = *state;
	struct conn *a, *b;

	two(w, &a, &b);
	say_content(a, "m1", LONG);
	run(w);
	(void)expect_event(a, "chat:message-sent");
	(void)expect_event(b, "chat:message-received");
	w->bursting = true;
	say_content(a, "m1", LONG);
	say_content(a, "m2", LONG);
	run(w);
	expect_part(a, "chat:message-sent", "\"seq\":1,\"duplicate\":true");
	expect_part(a, ERR,
	    "\"code\":\"SPAM_BLOCKED\",\"retryable\":false,\"sessionId\":"
	    "\"s1\",\"messageId\":\"m2\"");
	expect_nothing(b);
	assert_int_equal(w->counts[CHAT_COUNT_MESSAGE_BLOCKED], 1);
	assert_int_equal(w->counts[CHAT_COUNT_RATE_LIMIT_EXCEEDED], 0);
	/* all three were charged, and one did not count */
	assert_int_equal(w->charged[CHAT_RATE_MESSAGE], 3);
	assert_int_equal(w->given_back[CHAT_RATE_MESSAGE], 1);
}

static void
a_retry_is_given_back(void **state)
{
	struct world *w = *state;
	struct conn *a, *b;

	two(w, &a, &b);
	say_content(a, "m1", LONG);
	run(w);
	assert_int_equal(w->marks_back, 0);
	say_content(a, "m1", LONG);
	run(w);
	assert_int_equal(w->nmarks, 2);
	assert_int_equal(w->marks_back, 1);
	/* a short one has nothing to give back */
	say_content(a, "m2", "x");
	say_content(a, "m2", "x");
	run(w);
	assert_int_equal(w->marks_back, 1);
}

/* What is refused for another reason is no part of a burst. */
static void
what_is_refused_is_not_counted(void **state)
{
	struct world *w = *state;
	struct conn *a, *b;

	two(w, &a, &b);
	reject(w);
	say_content(a, "m1", LONG " <script>");
	assert_int_equal(w->nmarks, 0);
	run(w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(active_content_is_stored_inert),
		T(content_is_measured_before_it_is_changed),
		T(blocked_content_reaches_nobody),
		T(odd_content_is_delivered_and_counted),
		T(equal_texts_have_one_mark),
		T(one_too_many_is_spam),
		T(one_with_an_id_is_spam_unless_it_is_a_retry),
		T(a_retry_is_given_back),
		T(what_is_refused_is_not_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
