/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_chat_edit - edits, deletions, receipts and a session's status, as
 * those see them who are there.
 */

#include "tests/unit/chat_return.h"

#define BODY \
	"\"type\":\"user\",\"userId\":\"ada\",\"metadata\":{\"senderName\":" \
	"\"Name of ada\",\"senderSocketId\":\"socket-00-0123456789\"}," \
	"\"sessionId\":\"s1\",\"timestamp\":1700000000000,\"seq\":1"

static void
edit(struct conn *c, const char *id, const char *content, uint64_t ack)
{
	char json[400];

	snprintf(json, sizeof(json),
	    "{\"sessionId\":\"s1\",\"messageId\":\"%s\",\"content\":\"%s\"}",
	    id, content);
	say(c, "chat:edit-message", json, ack);
}

static void delete (struct conn *c, const char *id, uint64_t ack)
{
	char json[300];

	snprintf(json, sizeof(json),
	    "{\"sessionId\":\"s1\",\"messageId\":\"%s\"}", id);
	say(c, "chat:delete-message", json, ack);
}

static void
mark_read(struct conn *c, uint64_t seq, uint64_t ack)
{
	char json[100];

	snprintf(json, sizeof(json), "{\"sessionId\":\"s1\",\"seq\":%llu}",
	    (unsigned long long)seq);
	say(c, "chat:mark-read", json, ack);
}

/* Ada and Bob, of two workers, and a message of hers. */
static void
pair(struct world *w, struct conn **ada_r, struct conn **bob_r)
{
	*ada_r = client(w, 0, "ada");
	*bob_r = client(w, 1, "bob");
	join_all(w, "s1");
	message(*ada_r, "s1", "m1", "hi");
	run(w);
	skip_all(*ada_r);
	skip_all(*bob_r);
	w->real_ms += 1000;
}

static void
an_edit_is_shown_to_all_and_answered(void **state)
{
	struct world *w = *state;
	struct conn *ada, *bob;

	pair(w, &ada, &bob);
	edit(ada, "m1", "hi there", 5);
	run(w);
	expect(ada,
	    "chat:message-updated {\"id\":\"m1\",\"content\":\"hi there\"," BODY
	    ",\"editedAt\":1700000001000,\"revision\":1}");
	expect(ada,
	    "ack:5 {\"ok\":true,\"messageId\":\"m1\",\"sessionId\":\"s1\","
	    "\"seq\":1,\"revision\":1,\"timestamp\":1700000001000}");
	expect_nothing(ada);
	expect(bob,
	    "chat:message-updated {\"id\":\"m1\",\"content\":\"hi there\"," BODY
	    ",\"editedAt\":1700000001000,\"revision\":1}");
	expect_nothing(bob);
	assert_int_equal(w->charged[CHAT_RATE_MESSAGE], 2);
}

/* In rings as small as may be: with what it is to keep it is too large. */
static void
an_edit_that_fits_no_record_is_refused(void **state)
{
	struct world *w = *state;
	char text[8000], json[9000];
	struct conn *ada, *bob;

	w->cfg.ring_arena_bytes = 64 * 1024;
	pair(w, &ada, &bob);
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	snprintf(json, sizeof(json),
	    "{\"message\":{\"id\":\"m2\",\"content\":\"y\",\"sessionId\":"
	    "\"s1\",\"metadata\":{\"k\":\"%s\"}}}",
	    text);
	say(ada, "chat:send-message", json, 0);
	run(w);
	skip_all(ada);
	skip_all(bob);
	snprintf(json, sizeof(json),
	    "{\"sessionId\":\"s1\",\"messageId\":\"m2\",\"content\":"
	    "\"%s\"}",
	    text);
	say(ada, "chat:edit-message", json, 9);
	run(w);
	expect(ada,
	    "ack:9 {\"ok\":false,\"error\":\"Invalid message content\","
	    "\"code\":\"INVALID_PAYLOAD\",\"retryable\":false,"
	    "\"sessionId\":\"s1\",\"messageId\":\"m2\"}");
	edit(ada, "m2", "z", 10);
	run(w);
	assert_member(expect_event(ada, "chat:message-updated"), "content",
	    "\"z\"");
}

static void
a_deletion_is_shown_to_all_and_its_id_stays_taken(void **state)
{
	struct world *w = *state;
	struct conn *ada, *bob;

	pair(w, &ada, &bob);
	delete (ada, "m1", 6);
	run(w);
	expect(bob,
	    "chat:message-deleted {\"sessionId\":\"s1\",\"messageId\":\"m1\","
	    "\"seq\":1,\"revision\":1,\"timestamp\":1700000001000}");
	expect(ada,
	    "chat:message-deleted {\"sessionId\":\"s1\",\"messageId\":\"m1\","
	    "\"seq\":1,\"revision\":1,\"timestamp\":1700000001000}");
	expect(ada,
	    "ack:6 {\"ok\":true,\"messageId\":\"m1\",\"sessionId\":\"s1\","
	    "\"seq\":1,\"revision\":1,\"timestamp\":1700000001000}");
	edit(ada, "m1", "again", 7);
	delete (ada, "m1", 8);
	run(w);
	expect(ada,
	    "ack:7 {\"ok\":false,\"error\":\"Message not found\",\"code\":"
	    "\"NOT_FOUND\",\"retryable\":false,\"sessionId\":\"s1\","
	    "\"messageId\":\"m1\"}");
	assert_member(expect_event(ada, "ack:8"), "code", "\"NOT_FOUND\"");
	message(ada, "s1", "m1", "hi");
	message(bob, "s1", "m1", "hi");
	run(w);
	assert_member(expect_event(ada, "chat:message-sent"), "duplicate",
	    "true");
	assert_member(expect_event(bob, "chat:send-message-error"), "code",
	    "\"ID_TAKEN\"");
	expect_nothing(ada);
	expect_nothing(bob);
}

static void
nobody_changes_what_others_said_but_a_service(void **state)
{
	struct world *w = *state;
	struct conn *ada, *bob, *bot;

	pair(w, &ada, &bob);
	edit(bob, "m1", "mine", 1);
	delete (bob, "m1", 2);
	run(w);
	assert_member(expect_event(bob, "ack:1"), "code", "\"FORBIDDEN\"");
	assert_member(expect_event(bob, "ack:2"), "code", "\"FORBIDDEN\"");
	expect_nothing(ada);
	bot = client_as(w, 1,
	    "{\"userId\":\"bot\",\"userName\":\"Bot\",\"role\":\"service\"}");
	join(bot, "w1", "s1");
	skip_all(ada);
	skip_all(bot);
	edit(bot, "m1", "better", 3);
	run(w);
	assert_member(expect_event(ada, "chat:message-updated"), "userId",
	    "\"ada\"");
	assert_member(expect_event(bot, "chat:message-updated"), "content",
	    "\"better\"");
	assert_member(expect_event(bot, "ack:3"), "ok", "true");
}

static void
what_is_edited_is_checked_as_what_is_sent(void **state)
{
	struct world *w = *state;
	struct conn *ada, *bob;
	char *much = calloc(1, 300);

	assert_non_null(much);
	memset(much, 'x', 299);
	w->cfg.limits_message_length = 200;
	pair(w, &ada, &bob);
	edit(ada, "m1", " \\n\\u00a0", 1);
	edit(ada, "m1", much, 2);
	run(w);
	assert_member(expect_event(ada, "ack:1"), "code", "\"CONTENT_EMPTY\"");
	assert_member(expect_event(ada, "ack:2"), "code",
	    "\"CONTENT_TOO_LONG\"");
	edit(ada, "m9", "not there", 3);
	run(w);
	assert_member(expect_event(ada, "ack:3"), "code", "\"NOT_FOUND\"");
	edit(ada, "m1/", "no id", 4);
	say(ada, "chat:edit-message",
	    "{\"sessionId\":\"s1\",\"messageId\":\"m1\",\"content\":1}", 5);
	say(ada, "chat:delete-message", "{\"sessionId\":\"s1\"}", 6);
	say(ada, "chat:edit-message",
	    "{\"sessionId\":\"s2\",\"messageId\":\"m1\",\"content\":\"x\"}", 7);
	run(w);
	assert_member(expect_event(ada, "ack:4"), "code",
	    "\"INVALID_PAYLOAD\"");
	assert_member(expect_event(ada, "ack:5"), "error",
	    "\"Invalid message content\"");
	assert_member(expect_event(ada, "ack:6"), "error",
	    "\"Invalid request data\"");
	assert_member(expect_event(ada, "ack:7"), "code", "\"NOT_JOINED\"");
	expect_nothing(ada);
	expect_nothing(bob);
	free(much);
}

static void
an_edit_waits_for_what_was_sent_before_it(void **state)
{
	struct world *w = *state;
	struct conn *ada, *bob;

	pair(w, &ada, &bob);
	message(ada, "s1", "m2", "second");
	edit(ada, "m2", "2nd", 3);
	message(ada, "s1", "m3", "third");
	delete (ada, "m3", 4);
	run(w);
	assert_member(expect_event(bob, "chat:message-received"), "content",
	    "\"second\"");
	assert_member(expect_event(bob, "chat:message-updated"), "content",
	    "\"2nd\"");
	assert_member(expect_event(bob, "chat:message-received"), "content",
	    "\"third\"");
	assert_member(expect_event(bob, "chat:message-deleted"), "messageId",
	    "\"m3\"");
	expect_nothing(bob);
}

/* The lookup is late: the session's other events wait for it. */
static void
what_comes_behind_an_edit_comes_behind_it(void **state)
{
	struct world *w = *state;
	struct conn *ada, *bob;

	pair(w, &ada, &bob);
	w->late = 100;
	edit(ada, "m1", "one", 1);
	edit(ada, "m1", "two", 2);
	message(ada, "s1", "m2", "then");
	delete (ada, "m1", 3);
	say(ada, "chat:leave-session", "{\"sessionId\":\"s1\"}", 4);
	run(w);
	assert_member(expect_event(bob, "chat:message-updated"), "content",
	    "\"one\"");
	assert_member(expect_event(bob, "chat:message-updated"), "content",
	    "\"two\"");
	(void)expect_event(bob, "chat:message-received");
	(void)expect_event(bob, "chat:message-deleted");
	(void)expect_event(bob, "chat:user-left");
	expect_nothing(bob);
}

static void
who_is_gone_edits_nothing(void **state)
{
	struct world *w = *state;
	struct conn *ada, *bob;

	pair(w, &ada, &bob);
	w->late = 100;
	edit(ada, "m1", "one", 1);
	hang_up(ada, "transport close");
	run(w);
	(void)expect_event(bob, "chat:user-left");
	expect_nothing(bob);
}

static void
the_store_may_fail(void **state)
{
	struct world *w = *state;
	struct conn *ada, *bob;

	pair(w, &ada, &bob);
	w->fail_find = true;
	edit(ada, "m1", "one", 1);
	run(w);
	assert_member(expect_event(ada, "ack:1"), "code",
	    "\"STORE_UNAVAILABLE\"");
	w->fail_find = false;
	w->force = true;
	w->forced = CHAT_STORE_UNAVAILABLE;
	edit(ada, "m1", "one", 2);
	mark_read(ada, 1, 3);
	run(w);
	assert_member(expect_event(ada, "ack:2"), "code",
	    "\"STORE_UNAVAILABLE\"");
	assert_member(expect_event(ada, "ack:3"), "code",
	    "\"STORE_UNAVAILABLE\"");
	w->force = false;
	edit(ada, "m1", "one", 4);
	run(w);
	(void)expect_event(ada, "chat:message-updated");
	assert_member(expect_event(ada, "ack:4"), "ok", "true");
	(void)expect_event(bob, "chat:message-updated");
	expect_nothing(bob);
}

static void
history_shows_what_messages_are_now(void **state)
{
	struct world *w = *state;
	struct conn *ada, *bob;

	pair(w, &ada, &bob);
	message(ada, "s1", "m2", "two");
	run(w);
	edit(ada, "m1", "ONE", 0);
	delete (ada, "m2", 0);
	run(w);
	skip_all(bob);
	say(bob, "chat:request-history", "{\"sessionId\":\"s1\"}", 0);
	run(w);
	expect(bob,
	    "chat:history-response {\"sessionId\":\"s1\",\"messages\":["
	    "{\"id\":\"m1\",\"content\":\"ONE\"," BODY
	    ",\"editedAt\":1700000001000,\"revision\":1},"
	    "{\"id\":\"m2\",\"sessionId\":\"s1\",\"seq\":2,\"deleted\":true}],"
	    "\"limit\":50,\"offset\":0,\"hasMore\":false,\"timestamp\":"
	    "1700000001000,\"firstSeq\":1,\"lastSeq\":2}");
	expect_nothing(bob);
}

/* --- receipts -------------------------------------------------------------- */

static void
receipts_only_grow(void **state)
{
	struct world *w = *state;
	struct conn *ada, *bob;

	pair(w, &ada, &bob);
	mark_read(bob, 1, 1);
	run(w);
	expect(ada,
	    "chat:read-receipt {\"sessionId\":\"s1\",\"userId\":\"bob\","
	    "\"seq\":1,\"revision\":1,\"timestamp\":1700000001000}");
	(void)expect_event(bob, "chat:read-receipt");
	expect(bob,
	    "ack:1 {\"ok\":true,\"sessionId\":\"s1\",\"seq\":1,\"revision\":1,"
	    "\"timestamp\":1700000001000}");
	mark_read(bob, 1, 2);
	mark_read(bob, 0, 3);
	mark_read(bob, 2, 4);
	say(bob, "chat:mark-read", "{\"sessionId\":\"s1\"}", 5);
	say(bob, "chat:mark-read", "{\"sessionId\":\"s1\",\"seq\":-1}", 6);
	run(w);
	assert_member(expect_event(bob, "ack:5"), "code",
	    "\"INVALID_PAYLOAD\"");
	assert_member(expect_event(bob, "ack:6"), "code",
	    "\"INVALID_PAYLOAD\"");
	assert_member(expect_event(bob, "ack:2"), "seq", "1");
	assert_member(expect_event(bob, "ack:3"), "seq", "1");
	assert_member(expect_event(bob, "ack:4"), "error",
	    "\"Invalid request data\"");
	expect_nothing(ada);
	expect_nothing(bob);
	assert_int_equal(w->charged[CHAT_RATE_PRESENCE], 6);
}

static void
a_join_tells_receipts_and_the_last_revision(void **state)
{
	struct world *w = *state;
	struct conn *ada, *bob, *eve;
	struct json_value p;

	pair(w, &ada, &bob);
	mark_read(bob, 1, 0);
	edit(ada, "m1", "x", 0);
	run(w);
	eve = client(w, 1, "eve");
	w->late = 100;
	join(eve, "w1", "s1");
	p = expect_event(eve, "chat:join-session-success");
	assert_member(p, "lastRevision", "2");
	assert_member(p, "receipts", "[{\"userId\":\"bob\",\"seq\":1}]");
	expect_nothing(eve);
	join(ada, "w1", "s1");
	skip_all(bob);
	w->fail_changes = true;
	hang_up(eve, "transport close");
	eve = client(w, 1, "eve");
	join(eve, "w1", "s1");
	assert_member(expect_event(eve, "chat:join-session-error"), "code",
	    "\"STORE_UNAVAILABLE\"");
}

/* --- status ---------------------------------------------------------------- */

static void
publish_status(struct world *w, uint64_t room, const char *status,
    const char *reason)
{
	struct chat_event ev = { .type = CHAT_STATUS,
		.room = room,
		.nfields = 5 };

	ev.field[0] = str_of(status);
	ev.field[1] = str_of(reason);
	ev.field[2] = str_of("operator");
	ev.field[3] = str_of(w->room[room - 1].workspace);
	ev.field[4] = str_of(w->room[room - 1].session);
	op_publish(&w->engine[0], NULL, 0, &ev);
	run(w);
}

static void
a_status_is_told_in_the_session_and_to_who_may_join_it(void **state)
{
	struct world *w = *state;
	struct conn *ada, *bob, *in, *beside, *other, *none;

	pair(w, &ada, &bob);
	beside = client(w, 1, "may");
	join(beside, "w1", "s2");
	in = client_as(w, 1,
	    "{\"userId\":\"not\",\"userName\":\"n\",\"workspaces\":[{\"id\":"
	    "\"w1\",\"sessions\":[\"s2\"]}]}");
	join(in, "w1", "s2");
	other = client(w, 1, "oth");
	join(other, "w2", "s1");
	none = client(w, 1, "non");
	skip_all(beside);
	skip_all(in);
	skip_all(other);
	publish_status(w, 1, "paused", "lunch \"break\"");
	expect(ada,
	    "chat:session-status-changed {\"sessionId\":\"s1\",\"status\":"
	    "\"paused\",\"timestamp\":1700000001000,\"reason\":"
	    "\"lunch \\\"break\\\"\"}");
	(void)expect_event(bob, "chat:session-status-changed");
	(void)expect_event(beside, "chat:session-status-changed");
	expect_nothing(in);
	expect_nothing(other);
	expect_nothing(none);
	publish_status(w, 1, "active", "");
	expect(beside,
	    "chat:session-status-changed {\"sessionId\":\"s1\",\"status\":"
	    "\"active\",\"timestamp\":1700000001000}");
	expect_nothing(beside);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(an_edit_is_shown_to_all_and_answered),
		T(an_edit_that_fits_no_record_is_refused),
		T(a_deletion_is_shown_to_all_and_its_id_stays_taken),
		T(nobody_changes_what_others_said_but_a_service),
		T(what_is_edited_is_checked_as_what_is_sent),
		T(an_edit_waits_for_what_was_sent_before_it),
		T(what_comes_behind_an_edit_comes_behind_it),
		T(who_is_gone_edits_nothing),
		T(the_store_may_fail),
		T(history_shows_what_messages_are_now),
		T(receipts_only_grow),
		T(a_join_tells_receipts_and_the_last_revision),
		T(a_status_is_told_in_the_session_and_to_who_may_join_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
