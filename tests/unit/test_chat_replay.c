/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_chat_replay - what was missed comes in order, before anything newer,
 * without gap or duplicate.
 */

#include "tests/unit/chat_world.h"

static void
say_messages(struct conn *c, int from, int to, const char *content)
{
	char id[20];
	int i;

	for (i = from; i <= to; i++) {
		snprintf(id, sizeof(id), "m%d", i);
		message(c, "s1", id, content);
	}
}

static void
join_after(struct conn *c, long long after, uint64_t ack)
{
	char json[120];

	snprintf(json, sizeof(json),
	    "{\"sessionId\":\"s1\",\"workspaceId\":\"w1\",\"afterSeq\":%lld}",
	    after);
	say(c, "chat:join-session", json, ack);
}

static void
expect_seqs(struct conn *c, int from, int to)
{
	char want[20];

	for (; from <= to; from++) {
		snprintf(want, sizeof(want), "%d", from);
		assert_member(expect_event(c, "chat:message-received"), "seq",
		    want);
	}
}

static void
what_was_missed_comes_after_the_success(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b = client(w, 1, "bob");
	struct json_value v;

	join(a, "w1", "s1");
	say_messages(a, 1, 10, "x");
	run(w);
	join_after(b, 4, 5);
	run(w);
	v = expect_event(b, "chat:join-session-success");
	assert_member(v, "lastSeq", "10");
	assert_int_equal(json_member(v, "truncated").kind, JSON_KIND_NONE);
	(void)expect_event(b, "ack:5");
	assert_int_equal(w->counts[CHAT_COUNT_REPLAYS], 1);
	assert_int_equal(w->counts[CHAT_COUNT_REPLAYED], 6);
	assert_int_equal(b->prio[b->next], CHAT_ANSWER);
	expect(b,
	    "chat:message-received {\"id\":\"m5\",\"content\":\"x\",\"type\":"
	    "\"user\",\"userId\":\"ada\",\"metadata\":{\"senderName\":\"Name "
	    "of ada\",\"senderSocketId\":\"socket-00-0123456789\"},"
	    "\"sessionId\":\"s1\",\"timestamp\":1700000000000,\"seq\":5}");
	expect_seqs(b, 6, 10);
	expect_nothing(b);
	say_messages(a, 11, 11, "x");
	run(w);
	expect_seqs(b, 11, 11);
	expect_nothing(b);
}

static void
nothing_is_asked_for_nothing_comes(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b = client(w, 1, "bob");

	join(a, "w1", "s1");
	say_messages(a, 1, 3, "x");
	run(w);
	join(b, "w1", "s1");
	(void)expect_event(b, "chat:join-session-success");
	expect_nothing(b);
	assert_false(b->want_produce);
}

static void
an_after_at_or_beyond_the_last_gives_nothing(void **state)
{
	static const long long after[] = { 3, 4, 1000, 9007199254740991 };
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b;
	size_t i;

	join(a, "w1", "s1");
	say_messages(a, 1, 3, "x");
	run(w);
	for (i = 0; i < sizeof(after) / sizeof(after[0]); i++) {
		b = client(w, 1, "bob");
		join_after(b, after[i], 0);
		run(w);
		assert_member(expect_event(b, "chat:join-session-success"),
		    "lastSeq", "3");
		expect_nothing(b);
	}
	say_messages(a, 4, 4, "x");
	run(w);
	expect_seqs(b, 4, 4);
}

static void
one_s_own_messages_are_included(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b = client(w, 1, "bob");

	join_all(w, "s1");
	say_messages(a, 1, 2, "x");
	say_messages(b, 3, 4, "x");
	run(w);
	skip_all(a);
	/* on the same socket, too */
	join_after(a, 0, 0);
	run(w);
	(void)expect_event(a, "chat:join-session-success");
	expect_seqs(a, 1, 4);
	expect_nothing(a);
}

static void
too_many_are_cut_to_the_newest(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b = client(w, 1, "bob");
	struct json_value v;

	w->cfg.replay_max = 5;
	join(a, "w1", "s1");
	say_messages(a, 1, 12, "x");
	run(w);
	join_after(b, 6, 0);
	run(w);
	v = expect_event(b, "chat:join-session-success");
	assert_member(v, "truncated", "true");
	assert_member(v, "lastSeq", "12");
	expect_seqs(b, 8, 12);
	expect_nothing(b);
	/* exactly as many are not */
	join_after(b, 7, 0);
	run(w);
	v = expect_event(b, "chat:join-session-success");
	assert_int_equal(json_member(v, "truncated").kind, JSON_KIND_NONE);
	expect_seqs(b, 8, 12);
	w->cfg.replay_max = 0;
	join_after(b, 0, 0);
	run(w);
	(void)expect_event(b, "chat:join-session-success");
	expect_seqs(b, 1, 12);
}

static void
it_comes_piece_by_piece(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b = client(w, 1, "bob");
	char big[301];
	int i, pieces;

	memset(big, 'x', 300);
	big[300] = '\0';
	join(a, "w1", "s1");
	for (i = 1; i <= 500; i += 10) {
		say_messages(a, i, i + 9, big);
		run(w);
	}
	join_after(b, 0, 0);
	sequence(w);
	deliver(w, 1);
	(void)expect_event(b, "chat:join-session-success");
	expect_nothing(b);
	pieces = produce(w);
	/* 500 x some 500 bytes in pieces of 64 KiB */
	assert_true(pieces >= 4 && pieces <= 6);
	expect_seqs(b, 1, 500);
	expect_nothing(b);
}

/*
 * The seam: while the replay runs, messages are published, stored and
 * delivered at any moment; the member gets each once and in order.
 */
static void
no_gap_and_no_duplicate_wherever_it_stands(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b;
	char big[301];
	unsigned seed = 7;
	int round, step, next = 1, from;

	memset(big, 'y', 300);
	big[300] = '\0';
	join(a, "w1", "s1");
	for (round = 0; round < 20; round++) {
		b = client(w, round % WORKERS, "bob");
		from = next > 200 ? next - 200 : 0;
		join_after(b, from, 0);
		for (step = 0; step < 60; step++) {
			seed = seed * 1103515245 + 12345;
			switch (seed >> 16 & 7) {
			case 0:
			case 1:
			case 2:
				say_messages(a, next, next, big);
				next++;
				break;
			case 3:
				sequence(w);
				break;
			case 4:
			case 5:
				deliver(w, 1 + (seed >> 20 & 3));
				break;
			default:
				if (!b->want_produce)
					break;
				b->want_produce = false;
				chat_produce(w->chat[b->worker], b->s,
				    w->engine[b->worker].delivered);
			}
		}
		run(w);
		(void)expect_event(b, "chat:join-session-success");
		expect_seqs(b, from + 1, next - 1);
		expect_nothing(b);
		hang_up(b, "transport close");
		run(w);
	}
	assert_true(next > 300);
}

/* They are answered, in their turn, and the acknowledgement at once. */
static void
one_s_own_new_messages_are_answered_by_the_replay(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b = client(w, 1, "bob");

	join_all(w, "s1");
	say_messages(b, 1, 3, "x");
	run(w);
	skip_all(a);
	join_after(a, 0, 0);
	/* sent while the replay has not begun */
	say(a, "chat:send-message",
	    "{\"message\":{\"id\":\"m4\",\"content\":\"\\\"senderSocketId"
	    "\\\":\\\"x\\\"}\",\"sessionId\":\"s1\"}}",
	    8);
	say_messages(b, 5, 5, "x");
	sequence(w);
	deliver(w, 9);
	(void)expect_event(a, "chat:join-session-success");
	expect(a,
	    "ack:8 {\"ok\":true,\"messageId\":\"m4\",\"timestamp\":"
	    "1700000000000,\"sessionId\":\"s1\",\"seq\":4}");
	expect_nothing(a);
	run(w);
	expect_seqs(a, 1, 3);
	expect(a,
	    "chat:message-sent {\"messageId\":\"m4\",\"timestamp\":"
	    "1700000000000,\"sessionId\":\"s1\",\"seq\":4}");
	expect_seqs(a, 5, 5);
	expect_nothing(a);
	say_messages(b, 6, 6, "x");
	say_messages(a, 7, 7, "x");
	run(w);
	expect_seqs(a, 6, 6);
	(void)expect_event(a, "chat:message-sent");
	expect_nothing(a);
}

/* Whoever leaves or begins anew meanwhile still gets his answers. */
static void
what_a_replay_owes_comes_when_it_is_stopped(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b = client(w, 1, "bob");

	join_all(w, "s1");
	say_messages(b, 1, 3, "x");
	run(w);
	skip_all(a);
	join_after(a, 0, 0);
	say_messages(a, 4, 4, "x");
	say(a, "chat:leave-session", "{\"sessionId\":\"s1\"}", 0);
	sequence(w);
	deliver(w, 9);
	(void)expect_event(a, "chat:join-session-success");
	(void)expect_event(a, "chat:leave-session-success");
	say_messages(b, 5, 5, "x");
	run(w);
	assert_member(expect_event(a, "chat:message-sent"), "seq", "4");
	expect_nothing(a);

	join(a, "w1", "s1");
	skip_all(a);
	join_after(a, 2, 0);
	say_messages(a, 6, 6, "x");
	sequence(w);
	deliver(w, 9);
	join_after(a, 4, 0);
	(void)expect_event(a, "chat:join-session-success");
	(void)expect_event(a, "chat:join-session-success");
	run(w);
	assert_member(expect_event(a, "chat:message-sent"), "seq", "6");
	expect_seqs(a, 5, 6);
	expect_nothing(a);
	skip_all(b);
}

static void
joining_again_begins_anew(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b = client(w, 1, "bob");

	join(a, "w1", "s1");
	say_messages(a, 1, 8, "x");
	run(w);
	join_after(b, 0, 0);
	sequence(w);
	deliver(w, 1);
	/* not yet produced; it has found seven elsewhere */
	join_after(b, 7, 0);
	(void)expect_event(b, "chat:join-session-success");
	(void)expect_event(b, "chat:join-session-success");
	run(w);
	expect_seqs(b, 8, 8);
	expect_nothing(b);
	/* or all of them */
	join_after(b, 0, 0);
	join_after(b, 8, 0);
	(void)expect_event(b, "chat:join-session-success");
	(void)expect_event(b, "chat:join-session-success");
	run(w);
	expect_nothing(b);
	say_messages(a, 9, 9, "x");
	run(w);
	expect_seqs(b, 9, 9);
}

static void
leaving_ends_the_replay(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b = client(w, 1, "bob");

	join(a, "w1", "s1");
	say_messages(a, 1, 8, "x");
	run(w);
	join_after(b, 0, 0);
	say(b, "chat:leave-session", "{\"sessionId\":\"s1\"}", 0);
	while (w->npublished > 0) {
		sequence(w);
		deliver(w, 9);
	}
	(void)expect_event(b, "chat:join-session-success");
	(void)expect_event(b, "chat:leave-session-success");
	run(w);
	expect_nothing(b);
	/* and so does hanging up */
	join_after(b, 0, 0);
	sequence(w);
	deliver(w, 9);
	hang_up(b, "transport close");
	run(w);
}

static void
a_store_that_cannot_be_read_is_asked_again(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b = client(w, 1, "bob");

	join(a, "w1", "s1");
	say_messages(a, 1, 3, "x");
	run(w);
	w->fail_messages = true;
	join_after(b, 0, 0);
	run(w);
	(void)expect_event(b, "chat:join-session-success");
	expect_nothing(b);
	assert_false(b->want_produce);
	say_messages(a, 4, 4, "x");
	run(w);
	expect_nothing(b);
	chat_tick(w->chat[1]);
	assert_true(b->want_produce);
	run(w);
	expect_nothing(b);
	w->fail_messages = false;
	chat_tick(w->chat[1]);
	run(w);
	expect_seqs(b, 1, 4);
	say_messages(a, 5, 5, "x");
	run(w);
	expect_seqs(b, 5, 5);
}

static void
after_a_gap_each_member_gets_what_it_missed(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *b = client(w, 1, "bob");
	struct conn *c = client(w, 1, "cyd");

	join_all(w, "s1");
	say_messages(a, 1, 2, "x");
	run(w);
	skip_all(b);
	skip_all(c);
	/* worker 1 sleeps; bob's own message is among what it misses */
	say_messages(a, 3, 4, "x");
	say_messages(b, 5, 5, "x");
	say_messages(a, 6, 6, "x");
	sequence(w);
	while (w->ndelivered < w->nsequenced)
		deliver_to(w, w->sequenced[w->ndelivered++], 0);
	w->engine[1].delivered = w->gseq;
	chat_resync(w->chat[1], w->gseq);
	(void)expect_event(b, "chat:presence-sync");
	(void)expect_event(c, "chat:presence-sync");
	run(w);
	expect_seqs(b, 3, 4);
	expect_seqs(b, 6, 6);
	expect_seqs(c, 3, 6);
	/* its verdict is asked for again by the worker */
	say_messages(b, 5, 5, "x");
	say_messages(a, 7, 7, "x");
	run(w);
	assert_member(expect_event(b, "chat:message-sent"), "duplicate",
	    "true");
	expect_seqs(b, 7, 7);
	expect_seqs(c, 7, 7);
	expect_nothing(b);
	expect_nothing(c);
}

/* After a gap all who are in two sessions have such a replay. */
static void
those_who_lack_the_same_share_one_encoding(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada"), *c[4];
	const char *offset;
	int i, encodes;

	join(a, "w1", "s1");
	say_messages(a, 1, 3, "x");
	run(w);
	for (i = 0; i < 4; i++) {
		c[i] = client(w, 1, "bob");
		join(c[i], "w1", "s2");
		join_after(c[i], 0, 0);
		c[i]->slow = true;
		run(w);
	}
	join(a, "w1", "s2");
	for (i = 0; i < 4; i++)
		skip_all(c[i]);
	skip_all(a);
	encodes = w->encodes;
	message(a, "s2", "m9", "hi");
	run(w);
	/* the sender's answer, and one for all of them */
	assert_int_equal(w->encodes, encodes + 2);
	offset = c[0]->offset[c[0]->next];
	assert_non_null(strchr(offset, ':'));
	for (i = 0; i < 4; i++) {
		assert_string_equal(c[i]->offset[c[i]->next], offset);
		(void)expect_event(c[i], "chat:message-received");
		c[i]->slow = false;
	}
	run(w);
	for (i = 0; i < 4; i++)
		expect_seqs(c[i], 1, 3);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(what_was_missed_comes_after_the_success),
		T(nothing_is_asked_for_nothing_comes),
		T(an_after_at_or_beyond_the_last_gives_nothing),
		T(one_s_own_messages_are_included),
		T(too_many_are_cut_to_the_newest),
		T_NOW(it_comes_piece_by_piece),
		T(no_gap_and_no_duplicate_wherever_it_stands),
		T_NOW(one_s_own_new_messages_are_answered_by_the_replay),
		T_NOW(what_a_replay_owes_comes_when_it_is_stopped),
		T_NOW(joining_again_begins_anew),
		T_NOW(leaving_ends_the_replay),
		T(a_store_that_cannot_be_read_is_asked_again),
		T_NOW(after_a_gap_each_member_gets_what_it_missed),
		T_NOW(those_who_lack_the_same_share_one_encoding),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
