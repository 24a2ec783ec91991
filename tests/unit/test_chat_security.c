/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_chat_security - a line and a count for each security event, never a
 * message's text, and no flood.
 */

#include <fcntl.h>
#include <unistd.h>

#include "chat/security.h"
#include "tests/unit/chat_world.h"

struct log {
	int fd;
	char text[65536];
};

static struct log
log_begin(void)
{
	struct log l;
	int p[2];

	assert_int_equal(pipe2(p, O_NONBLOCK | O_CLOEXEC), 0);
	log_set(p[1], LOG_KIND_FILE, LOG_FORMAT_LOGFMT, LOG_LEVEL_INFO);
	l.fd = p[0];
	return l;
}

/* How many lines there are with this in them since the last call. */
static int
lines_with(struct log *l, const char *what)
{
	ssize_t n = read(l->fd, l->text, sizeof(l->text) - 1);
	const char *p;
	int lines = 0;

	l->text[n < 0 ? 0 : n] = '\0';
	for (p = l->text; (p = strstr(p, what)) != NULL; p += strlen(what))
		lines++;
	return lines;
}

static void
log_end(struct log *l)
{
	log_set(STDERR_FILENO, LOG_KIND_STDERR, LOG_FORMAT_TEXT,
	    LOG_LEVEL_ERROR);
	close(l->fd);
}

static void
each_has_a_line_and_a_count(void **state)
{
	struct world *w = *state;
	struct conn *a =
	    client_as(w, 0, "{\"userId\":\"ada x=1\",\"workspaces\":[\"w1\"]}");
	struct log l = log_begin();

	join(a, "w2", "s1");
	assert_int_equal(lines_with(&l, "event=unauthorized_access_attempt"),
	    1);
	/* what the user is called cannot pretend to be fields */
	assert_non_null(strstr(l.text, "\"ada x=1\""));
	assert_non_null(strstr(l.text, "socket=socket-00-0123456789"));
	assert_non_null(strstr(l.text, "session=s1"));
	message(a, "s1", "m1", "top secret");
	assert_int_equal(lines_with(&l, "event=session_validation_failed"), 1);
	assert_null(strstr(l.text, "secret"));
	w->wait_ns[CHAT_RATE_MESSAGE] = 1;
	message(a, "s1", "m1", "top secret");
	assert_int_equal(lines_with(&l, "event=rate_limit_exceeded"), 1);
	assert_null(strstr(l.text, "secret"));
	assert_int_equal(w->counts[CHAT_COUNT_UNAUTHORIZED_ACCESS], 1);
	assert_int_equal(w->counts[CHAT_COUNT_SESSION_VALIDATION_FAILED], 1);
	assert_int_equal(w->counts[CHAT_COUNT_RATE_LIMIT_EXCEEDED], 1);
	log_end(&l);
}

static void
a_flood_is_counted_but_not_logged(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada");
	struct log l = log_begin();
	int i;

	for (i = 0; i < 100; i++)
		message(a, "s1", "m1", "x");
	assert_int_equal(lines_with(&l, "event=session_validation"), 20);
	assert_int_equal(w->counts[CHAT_COUNT_SESSION_VALIDATION_FAILED], 100);
	w->mono_ms += 1000;
	message(a, "s1", "m1", "x");
	assert_int_equal(lines_with(&l, "event=session_validation_failed user"),
	    1);
	assert_non_null(
	    strstr(l.text, "event=session_validation_failed count=80"));
	log_end(&l);
}

static void
one_kind_does_not_hide_another(void **state)
{
	struct world *w = *state;
	struct conn *a =
	    client_as(w, 0, "{\"userId\":\"ada\",\"workspaces\":[\"w1\"]}");
	struct log l = log_begin();
	int i;

	for (i = 0; i < 100; i++)
		message(a, "s1", "m1", "x");
	join(a, "w2", "s1");
	assert_int_equal(lines_with(&l, "event=unauthorized"), 1);
	/* nor is what was left out forgotten when nothing more comes */
	w->mono_ms += 1000;
	chat_tick(w->chat[0]);
	assert_int_equal(lines_with(&l, "count=80"), 1);
	w->mono_ms += 1000;
	chat_tick(w->chat[0]);
	assert_int_equal(lines_with(&l, "count="), 0);
	log_end(&l);
}

/* What was published last, for those who watch. */
static struct json_value
told(const struct world *w)
{
	const struct stored *e;

	assert_true(w->nlive > 0);
	e = w->live[w->nlive - 1];
	assert_int_equal(e->d.ev.type, CHAT_SECURITY);
	return json_value(e->field[0], strlen(e->field[0]));
}

static void
who_watches_is_told_all_that_is_known(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada");
	struct log l = log_begin();
	struct json_value v;

	join(a, "w1", "s1");
	w->wait_ns[CHAT_RATE_TYPING] = 1;
	say(a, "chat:typing", "{\"sessionId\":\"s1\",\"isTyping\":true}", 0);
	v = told(w);
	assert_member(v, "event", "\"rate_limit_exceeded\"");
	assert_member(v, "userId", "\"ada\"");
	assert_member(v, "socketId", "\"socket-00-0123456789\"");
	assert_member(v, "workspaceId", "\"w1\"");
	assert_member(v, "sessionId", "\"s1\"");
	assert_member(v, "address", "\"192.0.2.1\"");
	assert_member(v, "details", "\"chat:typing\"");
	assert_member(v, "timestamp", "1700000000000");
	security_refused(w->chat[0], NULL, "192.0.2.7", CHAT_E_TOKEN_INVALID);
	v = told(w);
	assert_member(v, "event", "\"unauthorized_access_attempt\"");
	assert_member(v, "address", "\"192.0.2.7\"");
	assert_member(v, "details", "\"TOKEN_INVALID\"");
	assert_int_equal(json_member(v, "userId").kind, JSON_KIND_NONE);
	assert_int_equal(json_member(v, "socketId").kind, JSON_KIND_NONE);
	run(w);
	log_end(&l);
}

static void
names_that_are_none_are_told_but_not_repeated(void **state)
{
	static const char *const bad[] = {
		"{\"sessionId\":\"no/id\",\"workspaceId\":\"w1\"}",
		"{\"sessionId\":\"\",\"workspaceId\":\"w1\"}",
	};
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada");
	struct log l = log_begin();
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		say(a, "chat:join-session", bad[i], 0);
		assert_int_equal(lines_with(&l,
				     "event=session_validation_failed"),
		    1);
		assert_null(strstr(l.text, "no/id"));
	}
	run(w);
	/* a name that is one, and something else that is wrong */
	say(a, "chat:join-session", "{\"sessionId\":\"s1\"}", 0);
	assert_int_equal(lines_with(&l, "event="), 0);
	log_end(&l);
}

static void
what_is_only_wrong_is_not_logged(void **state)
{
	struct world *w = *state;
	struct conn *a = client(w, 0, "ada");
	struct log l = log_begin();

	say(a, "chat:join-session", "{}", 0);
	say(a, "chat:nonsense", "{}", 0);
	assert_int_equal(lines_with(&l, "event="), 0);
	log_end(&l);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(each_has_a_line_and_a_count),
		T(a_flood_is_counted_but_not_logged),
		T(what_is_only_wrong_is_not_logged),
		T(one_kind_does_not_hide_another),
		T(who_watches_is_told_all_that_is_known),
		T(names_that_are_none_are_told_but_not_repeated),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
