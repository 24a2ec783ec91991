/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_chat_history - pages of what was said.
 */

#include "tests/unit/chat_world.h"

#define ASK "chat:request-history"

/* One in s1 with 'n' messages of 'bytes' each. */
static struct conn *
with_messages(struct world *w, int n, int bytes)
{
	struct conn *a = client(w, 0, "ada");
	char *json, *text = malloc((size_t)bytes + 1);
	int i;

	assert_non_null(text);
	memset(text, 'x', (size_t)bytes);
	text[bytes] = '\0';
	w->cfg.limits_event_bytes = w->cfg.limits_message_length = 0;
	join_all(w, "s1");
	for (i = 1; i <= n; i++) {
		assert_true(asprintf(&json,
				"{\"message\":{\"id\":\"m%d\",\"sessionId\":"
				"\"s1\",\"content\":\"%s\"}}",
				i, text) > 0);
		say(a, "chat:send-message", json, 0);
		run(w);
		free(json);
	}
	free(text);
	skip_all(a);
	return a;
}

struct page {
	int n;
	int64_t first, last, limit, offset;
	bool more;
};

/* Ask with these members; the answer's messages are dense and ascending. */
static struct page
ask(struct conn *a, const char *members)
{
	struct page p = { 0 };
	struct json_value v, m;
	struct json_iter it;
	char json[200];
	int64_t seq, at = 0;

	snprintf(json, sizeof(json), "{\"sessionId\":\"s1\"%s%s}",
	    members[0] == '\0' ? "" : ",", members);
	say(a, ASK, json, 0);
	run(a->w);
	v = expect_event(a, "chat:history-response");
	expect_nothing(a);
	assert_member(v, "sessionId", "\"s1\"");
	it = json_iter(json_member(v, "messages"));
	while (json_next(&it, &m)) {
		assert_true(
		    json_to_int(json_member(m, "seq"), 1, INT32_MAX, &seq));
		assert_true(at == 0 || seq == at + 1);
		at = seq;
		p.n++;
	}
	assert_true(
	    json_to_int(json_member(v, "firstSeq"), 0, INT32_MAX, &p.first));
	assert_true(
	    json_to_int(json_member(v, "lastSeq"), 0, INT32_MAX, &p.last));
	assert_true(
	    json_to_int(json_member(v, "limit"), 0, INT32_MAX, &p.limit));
	assert_true(
	    json_to_int(json_member(v, "offset"), 0, INT32_MAX, &p.offset));
	assert_true(json_to_bool(json_member(v, "hasMore"), &p.more));
	assert_int_equal(p.last, at);
	assert_int_equal(p.n == 0 ? 0 : p.last - p.first + 1, p.n);
	return p;
}

static void
assert_page(struct page p, int first, int last, bool more)
{
	assert_int_equal(p.first, first);
	assert_int_equal(p.last, last);
	assert_int_equal(p.more, more);
}

static void
an_answer_has_all_its_members(void **state)
{
	struct world *w = *state;
	struct conn *a = with_messages(w, 1, 2);

	w->real_ms += 1000;
	say(a, ASK, "{\"sessionId\":\"s1\",\"limit\":10,\"offset\":0}", 6);
	run(w);
	expect(a,
	    "chat:history-response {\"sessionId\":\"s1\",\"messages\":[{\"id\":"
	    "\"m1\",\"content\":\"xx\",\"type\":\"user\",\"userId\":\"ada\","
	    "\"metadata\":{\"senderName\":\"Name of ada\",\"senderSocketId\":"
	    "\"socket-00-0123456789\"},\"sessionId\":\"s1\",\"timestamp\":"
	    "1700000000000,\"seq\":1}],\"limit\":10,\"offset\":0,\"hasMore\":"
	    "false,\"timestamp\":1700000001000,\"firstSeq\":1,\"lastSeq\":1}");
	assert_member(expect_event(a, "ack:6"), "lastSeq", "1");
	expect_nothing(a);
	assert_int_equal(w->counts[CHAT_COUNT_HISTORY], 1);
	assert_int_equal(w->charged[CHAT_RATE_HISTORY], 1);
}

static void
an_empty_session_has_an_empty_page(void **state)
{
	struct world *w = *state;
	struct conn *a = with_messages(w, 0, 0);

	assert_page(ask(a, ""), 0, 0, false);
	assert_page(ask(a, "\"beforeSeq\":5"), 0, 0, false);
	assert_page(ask(a, "\"afterSeq\":0"), 0, 0, false);
}

static void
offset_counts_back_from_the_newest(void **state)
{
	struct world *w = *state;
	struct conn *a = with_messages(w, 120, 2);
	struct page p = ask(a, "");

	/* the newest page of 50, ascending */
	assert_page(p, 71, 120, true);
	assert_int_equal(p.limit, 50);
	assert_page(ask(a, "\"limit\":50,\"offset\":50"), 21, 70, true);
	assert_page(ask(a, "\"limit\":50,\"offset\":100"), 1, 20, false);
	assert_page(ask(a, "\"limit\":20,\"offset\":100"), 1, 20, false);
	assert_page(ask(a, "\"limit\":19,\"offset\":100"), 2, 20, true);
	assert_page(ask(a, "\"limit\":1,\"offset\":119"), 1, 1, false);
	assert_page(ask(a, "\"limit\":1,\"offset\":120"), 0, 0, false);
	assert_page(ask(a, "\"offset\":1000000"), 0, 0, false);
	assert_page(ask(a, "\"limit\":120"), 1, 120, false);
}

static void
before_pages_towards_the_oldest(void **state)
{
	struct world *w = *state;
	struct conn *a = with_messages(w, 30, 2);

	assert_page(ask(a, "\"limit\":10,\"beforeSeq\":21"), 11, 20, true);
	assert_page(ask(a, "\"limit\":10,\"beforeSeq\":11"), 1, 10, false);
	assert_page(ask(a, "\"limit\":10,\"beforeSeq\":1"), 0, 0, false);
	assert_page(ask(a, "\"limit\":10,\"beforeSeq\":0"), 0, 0, false);
	assert_page(ask(a, "\"limit\":10,\"beforeSeq\":1000"), 21, 30, true);
}

static void
after_pages_towards_the_newest(void **state)
{
	struct world *w = *state;
	struct conn *a = with_messages(w, 30, 2);

	assert_page(ask(a, "\"limit\":10,\"afterSeq\":0"), 1, 10, true);
	assert_page(ask(a, "\"limit\":10,\"afterSeq\":10"), 11, 20, true);
	assert_page(ask(a, "\"limit\":10,\"afterSeq\":20"), 21, 30, false);
	assert_page(ask(a, "\"limit\":10,\"afterSeq\":30"), 0, 0, false);
	assert_page(ask(a, "\"afterSeq\":9007199254740991"), 0, 0, false);
}

static void
a_page_has_a_limit(void **state)
{
	struct world *w = *state;
	struct conn *a = with_messages(w, 30, 2);
	struct page p;

	w->cfg.limits_history_page = 20;
	p = ask(a, "\"limit\":25");
	assert_page(p, 11, 30, true);
	assert_int_equal(p.limit, 20);
	p = ask(a, "\"limit\":9007199254740991");
	assert_int_equal(p.limit, 20);
	/* the default as well */
	p = ask(a, "");
	assert_int_equal(p.limit, 20);
	w->cfg.limits_history_page = 0;
	assert_page(ask(a, "\"limit\":1000"), 1, 30, false);
}

static void
a_page_has_at_most_half_a_megabyte(void **state)
{
	struct world *w = *state;
	struct conn *a = with_messages(w, 12, 100000);

	assert_page(ask(a, ""), 8, 12, true);
	assert_page(ask(a, "\"beforeSeq\":8"), 3, 7, true);
	assert_page(ask(a, "\"beforeSeq\":3"), 1, 2, false);
	assert_page(ask(a, "\"afterSeq\":0"), 1, 5, true);
	assert_page(ask(a, "\"afterSeq\":10"), 11, 12, false);
}

static void
one_message_is_always_in(void **state)
{
	struct world *w = *state;
	struct conn *a = with_messages(w, 2, 600 * 1024);

	assert_page(ask(a, ""), 2, 2, true);
	assert_page(ask(a, "\"beforeSeq\":2"), 1, 1, false);
	assert_page(ask(a, "\"afterSeq\":0"), 1, 1, true);
}

static void
bad_requests_are_refused(void **state)
{
	static const char *const bad[] = { "", "[]", "{}",
		"{\"sessionId\":\"\"}", "{\"sessionId\":\"s1\",\"limit\":0}",
		"{\"sessionId\":\"s1\",\"limit\":-1}",
		"{\"sessionId\":\"s1\",\"limit\":1.5}",
		"{\"sessionId\":\"s1\",\"limit\":\"10\"}",
		"{\"sessionId\":\"s1\",\"limit\":null}",
		"{\"sessionId\":\"s1\",\"offset\":-1}",
		"{\"sessionId\":\"s1\",\"offset\":1e400}",
		"{\"sessionId\":\"s1\",\"beforeSeq\":-1}",
		"{\"sessionId\":\"s1\",\"afterSeq\":{}}",
		"{\"sessionId\":\"s1\",\"offset\":0,\"beforeSeq\":5}",
		"{\"sessionId\":\"s1\",\"offset\":0,\"afterSeq\":5}",
		"{\"sessionId\":\"s1\",\"beforeSeq\":9,\"afterSeq\":5}" };
	struct world *w = *state;
	struct conn *a = with_messages(w, 3, 2);
	struct json_value v;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		say(a, ASK, bad[i], 2);
		run(w);
		v = expect_event(a, "chat:request-history-error");
		assert_member(v, "error", "\"Invalid request data\"");
		assert_member(v, "code", "\"INVALID_PAYLOAD\"");
		assert_member(expect_event(a, "ack:2"), "ok", "false");
		expect_nothing(a);
	}
}

static void
only_members_may_ask(void **state)
{
	struct world *w = *state;
	struct conn *a = with_messages(w, 3, 2), *b = client(w, 0, "bob");

	say(b, ASK, "{\"sessionId\":\"s1\"}", 0);
	run(w);
	expect(b,
	    "chat:request-history-error {\"error\":\"Not joined to this chat "
	    "session\",\"code\":\"NOT_JOINED\",\"retryable\":false,"
	    "\"sessionId\":\"s1\"}");
	/* who has left before the answer gets none */
	say(a, ASK, "{\"sessionId\":\"s1\"}", 0);
	say(a, "chat:leave-session", "{\"sessionId\":\"s1\"}", 0);
	run(w);
	(void)expect_event(a, "chat:leave-session-success");
	assert_member(expect_event(a, "chat:request-history-error"), "code",
	    "\"NOT_JOINED\"");
	/* and who has gone disturbs nobody */
	join(a, "w1", "s1");
	say(a, ASK, "{\"sessionId\":\"s1\"}", 0);
	hang_up(a, "transport close");
	run(w);
}

static void
a_rate_is_told_with_the_session(void **state)
{
	struct world *w = *state;
	struct conn *a = with_messages(w, 1, 2);

	w->wait_ns[CHAT_RATE_HISTORY] = 2000000000;
	say(a, ASK, "{\"sessionId\":\"s1\"}", 0);
	expect(a,
	    "chat:request-history-error {\"error\":\"Rate limit exceeded\","
	    "\"code\":\"RATE_LIMITED\",\"retryable\":true,\"retryAfter\":2,"
	    "\"sessionId\":\"s1\"}");
}

static void
a_store_that_cannot_be_read_is_told(void **state)
{
	struct world *w = *state;
	struct conn *a = with_messages(w, 3, 2);
	int i;

	w->fail_messages = true;
	for (i = 0; i < 2; i++) {
		say(a, ASK, "{\"sessionId\":\"s1\"}", 3);
		run(w);
		expect(a,
		    "chat:request-history-error {\"error\":\"Message store "
		    "unavailable\",\"code\":\"STORE_UNAVAILABLE\",\"retryable\""
		    ":true,\"sessionId\":\"s1\"}");
		(void)expect_event(a, "ack:3");
	}
	assert_int_equal(w->counts[CHAT_COUNT_STORE_ERRORS], 2);
}

static void
pages_are_made_one_by_one_as_they_are_taken(void **state)
{
	struct world *w = *state;
	struct conn *a = with_messages(w, 3, 2);
	int i;

	for (i = 0; i < 64; i++)
		say(a, ASK, "{\"sessionId\":\"s1\"}", 0);
	expect_nothing(a);
	/* and so many wait, not more */
	say(a, ASK, "{\"sessionId\":\"s1\"}", 0);
	assert_member(expect_event(a, "chat:request-history-error"), "code",
	    "\"OVERLOADED\"");
	a->want_produce = false;
	chat_produce(w->chat[0], a->s, w->gseq);
	assert_int_equal(waiting(a), 1);
	assert_true(a->want_produce);
	assert_int_equal(produce(w), 63);
	assert_int_equal(waiting(a), 64);
	assert_false(a->want_produce);
	assert_int_equal(a->prio[a->nout - 1], CHAT_ANSWER);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(an_answer_has_all_its_members),
		T(an_empty_session_has_an_empty_page),
		T(offset_counts_back_from_the_newest),
		T(before_pages_towards_the_oldest),
		T(after_pages_towards_the_newest),
		T(a_page_has_a_limit),
		T(a_page_has_at_most_half_a_megabyte),
		T(one_message_is_always_in),
		T(bad_requests_are_refused),
		T(only_members_may_ask),
		T(a_rate_is_told_with_the_session),
		T(a_store_that_cannot_be_read_is_told),
		T_NOW(pages_are_made_one_by_one_as_they_are_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
