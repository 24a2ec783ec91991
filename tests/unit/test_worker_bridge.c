/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_worker_bridge - what worker/bridge.h promises: each who asks is told
 * once, whatever becomes of the bridge.
 */

#include <sys/socket.h>

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/config.h"
#include "common/log.h"
#include "worker/bridge.h"

#define INCARNATION 7
#define CONNS 64
#define TIMEOUT 1000
/* what is added to it */
#define MARGIN 1000

static struct {
	struct bridge *b;
	struct config cfg;
	struct tables tables;
	struct tables_state state;
	/* the worker's end, and the bridge's */
	int fd[2];
	uint64_t now;
	char buf[ASK_QUESTION_SIZE];
	/* of each connection: what it was told last, and how often */
	struct conn {
		unsigned told;
		enum bridge_purpose purpose;
		enum ask_outcome outcome;
		unsigned retry_after;
		uint32_t request;
		char claims[64], pid[32], offset[32];
		bool has_resume, has_offset;
		/* what it says to an answer; it goes, in the middle of it */
		bool in, goes;
	} conn[CONNS];
	unsigned count[COUNTER__MAX];
} f;

static void
op_who(void *ctx, void *conn, char address[ASK_ADDRESS_MAX],
    struct ask_text *agent_r)
{
	(void)snprintf(address, ASK_ADDRESS_MAX, "10.0.0.%u",
	    (unsigned)((struct conn *)conn - f.conn));
	*agent_r = (struct ask_text){ "agent", 5 };
}

static bool
op_answer(void *ctx, void *conn, const struct bridge_answer *a)
{
	struct conn *c = conn;

	c->told++;
	c->purpose = a->purpose;
	c->outcome = a->outcome;
	c->retry_after = a->retry_after;
	c->request = a->request;
	(void)snprintf(c->claims, sizeof(c->claims), "%.*s", (int)a->claims.len,
	    a->claims.p == NULL ? "" : a->claims.p);
	c->has_resume = a->resume != NULL;
	c->has_offset = a->resume != NULL && a->resume->offset.p != NULL;
	if (a->resume != NULL)
		(void)snprintf(c->pid, sizeof(c->pid), "%.*s",
		    (int)a->resume->pid.len, a->resume->pid.p);
	if (c->has_offset)
		(void)snprintf(c->offset, sizeof(c->offset), "%.*s",
		    (int)a->resume->offset.len, a->resume->offset.p);
	if (c->goes)
		bridge_forget(f.b, conn);
	return c->in;
}

static void
op_count(void *ctx, enum counter what)
{
	f.count[what]++;
}

static const struct bridge_ops ops = { op_who, op_answer, op_count };

static void
set_bridge(uint32_t incarnation)
{
	atomic_store_explicit(&f.state.child[TABLES_BRIDGE].incarnation,
	    incarnation, memory_order_relaxed);
}

static int
setup(void **state)
{
	struct bridge_init init = { .ops = &ops,
		.cfg = &f.cfg,
		.incarnation = INCARNATION,
		.tables = &f.tables };

	memset(&f, 0, sizeof(f));
	f.tables.state = &f.state;
	f.cfg.auth_mode = AUTH_MODE_WEBHOOK;
	f.cfg.auth_webhook_timeout = TIMEOUT;
	f.cfg.auth_webhook_recheck = 60000;
	f.now = init.now_ms = 1000000;
	set_bridge(20);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, f.fd) == -1)
		return -1;
	init.fd = f.fd[0];
	f.b = bridge_new(&init);
	return 0;
}

static int
teardown(void **state)
{
	bridge_free(&f.b);
	(void)close(f.fd[0]);
	(void)close(f.fd[1]);
	return 0;
}

static void
connect_with(unsigned i, const char *token, const struct chat_resume *resume)
{
	char *copy = strdup(token);

	bridge_connect(f.b, &f.conn[i], &copy, strlen(token), resume, f.now);
	assert_null(copy);
}

/* The bridge reads one; false: there is none. */
static bool
asked(struct ask_question *q)
{
	int rc = ask_receive_question(f.fd[1], f.buf, q);

	assert_int_not_equal(rc, -1);
	return rc == 1;
}

static struct ask_question
next_question(const char *token)
{
	struct ask_question q;

	assert_true(asked(&q));
	assert_int_equal(q.token.len, strlen(token));
	assert_memory_equal(q.token.p, token, q.token.len);
	assert_int_equal(q.incarnation, INCARNATION);
	return q;
}

static void
say(uint32_t number, enum ask_outcome outcome, const char *claims)
{
	const struct ask_answer a = { .incarnation = INCARNATION,
		.number = number,
		.outcome = outcome,
		.claims = { claims, strlen(claims) } };

	assert_int_equal(ask_send_answer(f.fd[1], &a), 0);
	bridge_on_readable(f.b, f.now);
}

static void
pass(uint64_t ms)
{
	uint64_t end = f.now + ms;

	while (f.now < end) {
		f.now += end - f.now < 100 ? end - f.now : 100;
		bridge_tick(f.b, f.now);
	}
}

/* It connects and is let in. */
static void
come_in(unsigned i, const char *token)
{
	f.conn[i].in = true;
	connect_with(i, token, NULL);
	say(next_question(token).number, ASK_GRANTED, "{}");
	assert_int_equal(f.conn[i].outcome, ASK_GRANTED);
}

/* The token of the next recheck; all others are left without an answer. */
static bool
recheck_is_of(const char *token)
{
	struct ask_question q;

	while (asked(&q))
		continue;
	for (int i = 0; i < 1000; i++) {
		pass(100);
		if (asked(&q))
			return q.recheck && q.token.len == strlen(token) &&
			    memcmp(q.token.p, token, q.token.len) == 0;
	}
	return false;
}

/* --- CONNECT --------------------------------------------------------------- */

static void
who_connects_is_told_what_the_bridge_says(void **state)
{
	struct ask_question q;

	connect_with(1, "one", NULL);
	connect_with(2, "two", NULL);
	q = next_question("one");
	assert_false(q.recheck);
	assert_int_equal(q.until_ms, f.now + TIMEOUT + MARGIN);
	assert_memory_equal(q.address.p, "10.0.0.1", q.address.len);
	assert_memory_equal(q.agent.p, "agent", q.agent.len);
	say(next_question("two").number, ASK_REFUSED, "");
	f.conn[1].in = true;
	say(q.number, ASK_GRANTED, "{\"userId\":\"u\"}");
	assert_int_equal(f.conn[1].told, 1);
	assert_int_equal(f.conn[1].purpose, BRIDGE_CONNECT);
	assert_string_equal(f.conn[1].claims, "{\"userId\":\"u\"}");
	assert_false(f.conn[1].has_resume);
	assert_int_equal(f.conn[2].told, 1);
	assert_int_equal(f.conn[2].outcome, ASK_REFUSED);
	assert_int_equal(bridge_asked(f.b), 0);
	/* who was not let in is not remembered */
	assert_int_equal(bridge_guests(f.b), 1);
}

static void
what_it_wants_taken_up_again_comes_back(void **state)
{
	char pid[] = "the pid", offset[] = "the offset";
	struct chat_resume r = { .pid = { pid, 7 }, .offset = { offset, 10 } };

	connect_with(1, "t", &r);
	memset(pid, 'x', 7);
	memset(offset, 'x', 10);
	say(next_question("t").number, ASK_GRANTED, "{}");
	assert_string_equal(f.conn[1].pid, "the pid");
	assert_string_equal(f.conn[1].offset, "the offset");
	r.offset = (struct chat_str){ NULL, 0 };
	connect_with(2, "t", &r);
	say(next_question("t").number, ASK_GRANTED, "{}");
	assert_true(f.conn[2].has_resume);
	assert_false(f.conn[2].has_offset);
}

static void
a_bridge_that_does_not_answer_is_not_waited_for(void **state)
{
	uint32_t number;

	connect_with(1, "t", NULL);
	number = next_question("t").number;
	pass(TIMEOUT + MARGIN - 1);
	assert_int_equal(f.conn[1].told, 0);
	pass(1);
	assert_int_equal(f.conn[1].told, 1);
	assert_int_equal(f.conn[1].outcome, ASK_UNAVAILABLE);
	assert_true(f.conn[1].retry_after > 0);
	assert_int_equal(f.count[COUNTER_BRIDGE_MISSING], 1);
	/* too late */
	say(number, ASK_GRANTED, "{}");
	assert_int_equal(f.conn[1].told, 1);
	assert_int_equal(bridge_guests(f.b), 0);
}

static void
a_full_socket_is_told_at_once(void **state)
{
	char token[ASK_TOKEN_MAX + 1];
	unsigned i;

	memset(token, 'x', ASK_TOKEN_MAX);
	token[ASK_TOKEN_MAX] = '\0';
	for (i = 0; i < CONNS && f.conn[i].told == 0; i++) {
		connect_with(i, token, NULL);
		if (f.conn[i].told > 0)
			break;
	}
	assert_true(i > 1 && i < CONNS);
	assert_int_equal(f.conn[i].outcome, ASK_UNAVAILABLE);
	assert_true(f.conn[i].retry_after > 0);
	assert_int_equal(bridge_asked(f.b), i);
	assert_int_equal(f.conn[0].told, 0);
}

static void
who_goes_is_told_nothing(void **state)
{
	uint32_t number;

	connect_with(1, "t", NULL);
	number = next_question("t").number;
	bridge_forget(f.b, &f.conn[1]);
	bridge_forget(f.b, &f.conn[1]);
	assert_int_equal(bridge_asked(f.b), 0);
	assert_int_equal(bridge_guests(f.b), 0);
	say(number, ASK_GRANTED, "{}");
	pass(2 * TIMEOUT + MARGIN);
	assert_int_equal(f.conn[1].told, 0);
	/* or goes while it is told */
	f.conn[2].goes = f.conn[2].in = true;
	connect_with(2, "t", NULL);
	say(next_question("t").number, ASK_GRANTED, "{}");
	assert_int_equal(f.conn[2].told, 1);
	assert_int_equal(bridge_guests(f.b), 0);
}

static void
answers_to_others_are_not_taken(void **state)
{
	struct ask_answer a = { .incarnation = INCARNATION - 1,
		.outcome = ASK_GRANTED };
	uint32_t number;

	connect_with(1, "t", NULL);
	number = a.number = next_question("t").number;
	assert_int_equal(ask_send_answer(f.fd[1], &a), 0);
	assert_int_equal(send(f.fd[1], "nonsense", 8, 0), 8);
	bridge_on_readable(f.b, f.now);
	say(number + 1, ASK_GRANTED, "{}");
	assert_int_equal(f.conn[1].told, 0);
	say(number, ASK_GRANTED, "{}");
	say(number, ASK_GRANTED, "{}");
	assert_int_equal(f.conn[1].told, 1);
}

static void
a_dead_bridges_questions_are_asked_again_once(void **state)
{
	struct ask_question q;
	uint32_t number;

	connect_with(1, "t", NULL);
	number = next_question("t").number;
	set_bridge(21);
	/* one that the new one is asked in the first place */
	connect_with(2, "u", NULL);
	(void)next_question("u");
	pass(100);
	assert_int_equal(next_question("t").number, number);
	assert_false(asked(&q));
	assert_int_equal(f.count[COUNTER_BRIDGE_REPEATED], 1);
	set_bridge(22);
	pass(100);
	(void)next_question("u");
	assert_false(asked(&q));
	pass(TIMEOUT + MARGIN);
	assert_int_equal(f.conn[1].outcome, ASK_UNAVAILABLE);
	assert_int_equal(f.conn[1].told, 1);
}

/* --- refresh ----------------------------------------------------------------- */

static void
another_token_takes_the_place_if_it_is_taken(void **state)
{
	struct ask_question q;

	come_in(1, "old");
	bridge_verify(f.b, &f.conn[1], 5, (struct chat_str){ "new", 3 }, f.now);
	q = next_question("new");
	assert_false(q.recheck);
	f.conn[1].in = false;
	say(q.number, ASK_GRANTED, "{}");
	assert_int_equal(f.conn[1].purpose, BRIDGE_REFRESH);
	assert_int_equal(f.conn[1].request, 5);
	/* it was not */
	assert_true(recheck_is_of("old"));
	f.conn[1].in = true;
	bridge_verify(f.b, &f.conn[1], 6, (struct chat_str){ "new", 3 }, f.now);
	say(next_question("new").number, ASK_GRANTED, "{}");
	assert_int_equal(f.conn[1].request, 6);
	assert_true(recheck_is_of("new"));
}

/* The number of the recheck that comes next. */
static uint32_t
next_recheck(const char *token)
{
	struct ask_question q;

	for (int i = 0; i < 1000; i++) {
		pass(100);
		if (!asked(&q))
			continue;
		assert_true(q.recheck);
		assert_int_equal(q.token.len, strlen(token));
		assert_memory_equal(q.token.p, token, q.token.len);
		return q.number;
	}
	fail_msg("nobody looks at it");
	return 0;
}

static void
what_is_said_of_the_old_token_is_not_taken_of_the_new(void **state)
{
	uint32_t old, other;

	come_in(1, "old");
	old = next_recheck("old");
	bridge_verify(f.b, &f.conn[1], 5, (struct chat_str){ "new", 3 }, f.now);
	say(next_question("new").number, ASK_GRANTED, "{}");
	assert_int_equal(f.conn[1].told, 2);
	/* the application has ended it for the new one's sake */
	say(old, ASK_REFUSED, "");
	assert_int_equal(f.conn[1].told, 2);
	assert_int_equal(f.conn[1].purpose, BRIDGE_REFRESH);
	assert_int_equal(bridge_asked(f.b), 0);
	/* it is looked at as before, by the token that it has */
	other = next_recheck("new");
	bridge_verify(f.b, &f.conn[1], 6, (struct chat_str){ "no", 2 }, f.now);
	f.conn[1].in = false;
	say(next_question("no").number, ASK_REFUSED, "");
	assert_int_equal(f.conn[1].told, 3);
	/* one that was not taken changes nothing */
	f.conn[1].in = true;
	say(other, ASK_GRANTED, "{}");
	assert_int_equal(f.conn[1].told, 4);
	assert_int_equal(f.conn[1].purpose, BRIDGE_RECHECK);
}

static void
what_cannot_be_asked_is_answered_in_a_later_turn(void **state)
{
	char token[ASK_TOKEN_MAX + 1];

	memset(token, 'x', sizeof(token));
	come_in(1, "t");
	f.conn[1].in = false;
	connect_with(2, "u", NULL);
	bridge_verify(f.b, &f.conn[1], 5,
	    (struct chat_str){ token, sizeof(token) }, f.now);
	assert_int_equal(f.conn[1].told, 1);
	pass(100);
	assert_int_equal(f.conn[1].told, 2);
	assert_int_equal(f.conn[1].outcome, ASK_UNAVAILABLE);
	assert_int_equal(f.conn[1].request, 5);
	assert_int_equal(f.conn[2].told, 0);
}

/* --- rechecks ----------------------------------------------------------------- */

static void
who_is_in_is_looked_at_now_and_then(void **state)
{
	struct ask_question q;
	unsigned n = 0;

	come_in(1, "t");
	assert_false(asked(&q));
	for (int i = 0; i < 1200; i++) {
		pass(500);
		if (!asked(&q))
			continue;
		assert_true(q.recheck);
		say(q.number, ASK_GRANTED, "{}");
		assert_int_equal(f.conn[1].purpose, BRIDGE_RECHECK);
		n++;
	}
	/* ten minutes, once a minute more or less */
	assert_in_range(n, 8, 13);
	assert_int_equal(f.count[COUNTER_RECHECKED], n);
	bridge_forget(f.b, &f.conn[1]);
	pass(120000);
	assert_false(asked(&q));
}

static void
who_came_together_is_not_looked_at_together(void **state)
{
	struct ask_question q;
	unsigned halves[2] = { 0, 0 };
	char token[16];

	for (unsigned i = 0; i < CONNS; i++) {
		(void)snprintf(token, sizeof(token), "t%u", i);
		come_in(i, token);
	}
	for (unsigned half = 0; half < 2; half++) {
		for (int i = 0; i < 300; i++) {
			pass(100);
			while (asked(&q)) {
				halves[half]++;
				say(q.number, ASK_GRANTED, "{}");
			}
		}
	}
	assert_true(halves[0] > CONNS / 5);
	assert_true(halves[1] > CONNS / 5);
	assert_int_equal(f.count[COUNTER_RECHECKED], halves[0] + halves[1]);
}

static void
few_are_looked_at_at_once(void **state)
{
	struct ask_question q;
	unsigned n = 0;
	char token[16];

	f.cfg.auth_webhook_timeout = 600000;
	for (unsigned i = 0; i < CONNS; i++) {
		(void)snprintf(token, sizeof(token), "t%u", i);
		come_in(i, token);
	}
	pass(62000);
	while (asked(&q))
		n++;
	assert_int_equal(n, 16);
	say(q.number, ASK_GRANTED, "{}");
	pass(100);
	assert_true(asked(&q));
	assert_false(asked(&q));
}

static void
an_application_that_is_down_changes_nothing(void **state)
{
	struct ask_question q;
	unsigned n = 0;

	come_in(1, "t");
	f.conn[1].in = false;
	for (int i = 0; i < 300; i++) {
		pass(1000);
		if (!asked(&q))
			continue;
		n++;
		/* sometimes not even that */
		if (n % 2)
			say(q.number, ASK_UNAVAILABLE, "");
	}
	assert_true(n > 5);
	assert_int_equal(f.count[COUNTER_RECHECKED], 0);
	assert_int_equal(bridge_guests(f.b), 1);
}

static void
nothing_is_kept_when_nobody_is_looked_at(void **state)
{
	f.cfg.auth_webhook_recheck = 0;
	come_in(1, "t");
	assert_int_equal(bridge_guests(f.b), 0);
	bridge_verify(f.b, &f.conn[1], 1, (struct chat_str){ "new", 3 }, f.now);
	say(next_question("new").number, ASK_GRANTED, "{}");
	assert_int_equal(f.conn[1].purpose, BRIDGE_REFRESH);
	assert_int_equal(bridge_guests(f.b), 0);
}

/* --- reloads ------------------------------------------------------------------- */

static void
another_mode_ends_all_questions(void **state)
{
	struct config other = f.cfg;
	struct ask_question q;

	come_in(1, "t");
	connect_with(2, "u", NULL);
	(void)next_question("u");
	other.auth_mode = AUTH_MODE_JWT;
	bridge_configure(f.b, &other, f.now);
	assert_int_equal(f.conn[2].outcome, ASK_UNAVAILABLE);
	assert_int_equal(f.conn[2].told, 1);
	assert_int_equal(bridge_asked(f.b), 0);
	assert_int_equal(bridge_guests(f.b), 0);
	pass(120000);
	assert_false(asked(&q));
}

static void
another_interval_counts_at_once(void **state)
{
	struct config other = f.cfg;
	struct ask_question q;

	f.cfg.auth_webhook_recheck = 86400000;
	come_in(1, "t");
	connect_with(2, "u", NULL);
	(void)next_question("u");
	other.auth_webhook_recheck = 1000;
	bridge_configure(f.b, &other, f.now);
	pass(1300);
	assert_true(asked(&q));
	assert_true(q.recheck);
	say(q.number, ASK_GRANTED, "{}");
	f.cfg = other;
	f.cfg.auth_webhook_recheck = 0;
	bridge_configure(f.b, &f.cfg, f.now);
	/* who waits for its CONNECT goes on */
	assert_int_equal(bridge_guests(f.b), 1);
	assert_int_equal(f.conn[2].told, 0);
}

static void
without_a_bridge_there_is_nothing_to_do(void **state)
{
	struct bridge *none = NULL;

	bridge_forget(none, &f.conn[1]);
	bridge_tick(none, f.now);
	bridge_configure(none, &f.cfg, f.now);
	assert_int_equal(bridge_asked(none) + bridge_guests(none), 0);
	bridge_free(&none);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(who_connects_is_told_what_the_bridge_says),
		T(what_it_wants_taken_up_again_comes_back),
		T(a_bridge_that_does_not_answer_is_not_waited_for),
		T(a_full_socket_is_told_at_once),
		T(who_goes_is_told_nothing),
		T(answers_to_others_are_not_taken),
		T(a_dead_bridges_questions_are_asked_again_once),
		T(another_token_takes_the_place_if_it_is_taken),
		T(what_is_said_of_the_old_token_is_not_taken_of_the_new),
		T(what_cannot_be_asked_is_answered_in_a_later_turn),
		T(who_is_in_is_looked_at_now_and_then),
		T(who_came_together_is_not_looked_at_together),
		T(few_are_looked_at_at_once),
		T(an_application_that_is_down_changes_nothing),
		T(nothing_is_kept_when_nobody_is_looked_at),
		T(another_mode_ends_all_questions),
		T(another_interval_counts_at_once),
		T(without_a_bridge_there_is_nothing_to_do),
	};

	/* it says that nonsense was told */
	log_set(open("/dev/null", O_WRONLY | O_CLOEXEC), LOG_KIND_FILE,
	    LOG_FORMAT_TEXT, LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
