/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_desk - what desk.h promises: each question is answered once, few are
 * put.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bridge/breaker.h"
#include "bridge/desk.h"
#include "common/log.h"

#define TIMEOUT 1000
#define CALLS 256
#define ANSWERS 20000

static struct {
	struct desk *d;
	uint64_t now;
	/* that are being put, in their order */
	struct desk_call *call[CALLS];
	char body[CALLS][256];
	uint64_t timeout[CALLS];
	unsigned ncalls;
	/* what was told */
	struct {
		unsigned slot;
		struct ask_answer a;
		char claims[128];
	} answer[ANSWERS];
	unsigned nanswers;
	unsigned count[COUNTER__MAX];
	bool cannot;
} f;

static int
op_call(void *ctx, struct desk_call *call, const char *body, size_t len,
    uint64_t timeout_ms)
{
	if (f.cannot)
		return -1;
	assert_true(f.ncalls < CALLS && len < sizeof(f.body[0]));
	f.call[f.ncalls] = call;
	memcpy(f.body[f.ncalls], body, len);
	f.body[f.ncalls][len] = '\0';
	f.timeout[f.ncalls++] = timeout_ms;
	return 0;
}

static void
op_answer(void *ctx, unsigned slot, const struct ask_answer *a)
{
	assert_true(f.nanswers < ANSWERS);
	f.answer[f.nanswers].slot = slot;
	f.answer[f.nanswers].a = *a;
	(void)snprintf(f.answer[f.nanswers++].claims,
	    sizeof(f.answer[0].claims), "%.*s", (int)a->claims.len,
	    a->claims.p == NULL ? "" : a->claims.p);
}

static void
op_count(void *ctx, enum counter what)
{
	f.count[what]++;
}

static const struct desk_ops ops = { op_call, op_answer, op_count };

static int
setup(void **state)
{
	memset(&f, 0, sizeof(f));
	f.now = 100000;
	f.d = desk_new(&ops, NULL, TIMEOUT);
	return 0;
}

static int
teardown(void **state)
{
	desk_free(&f.d);
	return 0;
}

static struct ask_question
question(uint32_t number, const char *token)
{
	return (struct ask_question){ .incarnation = 5,
		.number = number,
		.until_ms = f.now + TIMEOUT + 1000,
		.token = { token, strlen(token) },
		.address = { "1.2.3.4", 7 },
		.agent = { "x", 1 } };
}

static void
ask(unsigned slot, uint32_t number, const char *token)
{
	const struct ask_question q = question(number, token);

	desk_question(f.d, slot, &q, f.now);
}

static void
recheck(unsigned slot, uint32_t number, const char *token)
{
	struct ask_question q = question(number, token);

	q.recheck = true;
	desk_question(f.d, slot, &q, f.now);
}

/* What becomes of the i-th call. */
static void
reply_with(unsigned i, int status, const char *body, const char *cache)
{
	const struct post_reply r = { .status = status,
		.body = { body, strlen(body) },
		.cache_control = cache };
	struct desk_call *call = f.call[i];

	f.ncalls--;
	memmove(&f.call[i], &f.call[i + 1], (f.ncalls - i) * sizeof(f.call[0]));
	memmove(&f.body[i], &f.body[i + 1], (f.ncalls - i) * sizeof(f.body[0]));
	desk_reply(f.d, call, &r, f.now);
}

static void
grant(unsigned i)
{
	reply_with(i, 200, "{\"userId\":\"u\"}", NULL);
}

static void
lose(unsigned i)
{
	reply_with(i, 0, "", NULL);
}

/* The next answer is this one's. */
static unsigned seen;

static void
told(unsigned slot, uint32_t number, enum ask_outcome outcome)
{
	assert_true(seen < f.nanswers);
	assert_int_equal(f.answer[seen].slot, slot);
	assert_int_equal(f.answer[seen].a.number, number);
	assert_int_equal(f.answer[seen].a.incarnation, 5);
	assert_int_equal(f.answer[seen].a.outcome, outcome);
	seen++;
}

static void
told_nothing(void)
{
	assert_int_equal(f.nanswers, seen);
}

static int
begin(void **state)
{
	seen = 0;
	return setup(state);
}

/* --- promises -------------------------------------------------------------- */

static void
a_question_is_put_and_answered(void **state)
{
	ask(3, 9, "t");
	assert_int_equal(f.ncalls, 1);
	assert_string_equal(f.body[0],
	    "{\"token\":\"t\",\"remoteAddress\":\"1.2.3.4\","
	    "\"userAgent\":\"x\"}");
	assert_int_equal(f.timeout[0], TIMEOUT);
	assert_int_equal(desk_calls(f.d), 1);
	told_nothing();
	grant(0);
	told(3, 9, ASK_GRANTED);
	assert_string_equal(f.answer[0].claims, "{\"userId\":\"u\"}");
	ask(3, 10, "t");
	reply_with(0, 403, "", NULL);
	told(3, 10, ASK_REFUSED);
	ask(3, 11, "t");
	reply_with(0, 500, "", NULL);
	told(3, 11, ASK_UNAVAILABLE);
	assert_true(f.answer[2].a.retry_after >= 1);
	assert_int_equal(desk_calls(f.d), 0);
	assert_int_equal(f.count[COUNTER_BRIDGE_ASKED], 3);
	assert_int_equal(f.count[COUNTER_BRIDGE_GRANTED], 1);
	assert_int_equal(f.count[COUNTER_BRIDGE_REFUSED], 1);
	assert_int_equal(f.count[COUNTER_BRIDGE_FAILED], 1);
}

static void
the_same_question_is_put_once(void **state)
{
	struct ask_question other = question(4, "t");

	ask(0, 1, "t");
	ask(1, 1, "t");
	ask(0, 2, "t");
	/* from elsewhere it is another */
	other.address = (struct ask_text){ "5.6.7.8", 7 };
	desk_question(f.d, 0, &other, f.now);
	assert_int_equal(f.ncalls, 2);
	assert_int_equal(f.count[COUNTER_BRIDGE_SHARED], 2);
	grant(0);
	told(0, 2, ASK_GRANTED);
	told(1, 1, ASK_GRANTED);
	told(0, 1, ASK_GRANTED);
	told_nothing();
	reply_with(0, 401, "", NULL);
	told(0, 4, ASK_REFUSED);
	/* that was then */
	ask(0, 5, "t");
	assert_int_equal(f.ncalls, 1);
}

static void
one_that_is_repeated_is_answered_once(void **state)
{
	ask(0, 1, "t");
	ask(0, 1, "t");
	assert_int_equal(f.count[COUNTER_BRIDGE_SHARED], 0);
	grant(0);
	told(0, 1, ASK_GRANTED);
	told_nothing();
}

static void
what_may_be_remembered_is_not_asked_again(void **state)
{
	ask(0, 1, "t");
	reply_with(0, 200, "{\"userId\":\"u\"}", "max-age=10");
	ask(1, 2, "t");
	assert_int_equal(f.ncalls, 0);
	told(0, 1, ASK_GRANTED);
	told(1, 2, ASK_GRANTED);
	assert_string_equal(f.answer[1].claims, "{\"userId\":\"u\"}");
	assert_int_equal(f.count[COUNTER_BRIDGE_CACHED], 1);
	/* another token; a recheck; later */
	ask(0, 3, "s");
	recheck(0, 4, "t");
	f.now += 10000;
	ask(0, 5, "t");
	assert_int_equal(f.ncalls, 2);
	assert_int_equal(f.count[COUNTER_BRIDGE_SHARED], 1);
}

static void
a_token_that_is_refused_is_forgotten(void **state)
{
	ask(0, 1, "t");
	reply_with(0, 200, "{\"userId\":\"u\"}", "max-age=1000");
	recheck(0, 2, "t");
	reply_with(0, 401, "", NULL);
	ask(0, 3, "t");
	assert_int_equal(f.ncalls, 1);
}

static void
so_many_are_put_at_once_and_clients_come_first(void **state)
{
	char token[16];
	unsigned i;

	for (i = 0; i < DESK_CALLS + 10; i++) {
		(void)snprintf(token, sizeof(token), "r%u", i);
		recheck(0, i, token);
	}
	assert_int_equal(f.ncalls, DESK_LOW_CALLS);
	for (i = 0; i < DESK_CALLS; i++) {
		(void)snprintf(token, sizeof(token), "c%u", i);
		ask(1, i, token);
	}
	assert_int_equal(f.ncalls, DESK_CALLS);
	assert_int_equal(desk_waiting(f.d), DESK_CALLS + 10);
	/* whoever ends, a client takes the place */
	for (i = 0; i < DESK_LOW_CALLS; i++)
		grant(0);
	assert_int_equal(f.ncalls, DESK_CALLS);
	assert_non_null(strstr(f.body[DESK_CALLS - 1], "c63"));
	grant(0);
	assert_int_equal(f.ncalls, DESK_CALLS);
	assert_non_null(strstr(f.body[DESK_CALLS - 1], "r16"));
}

static void
a_client_takes_its_recheck_with_it(void **state)
{
	char token[16];

	for (unsigned i = 0; i < DESK_LOW_CALLS + 2; i++) {
		(void)snprintf(token, sizeof(token), "r%u", i);
		recheck(0, i, token);
	}
	assert_int_equal(f.ncalls, DESK_LOW_CALLS);
	ask(1, 1, "r17");
	assert_int_equal(f.ncalls, DESK_LOW_CALLS + 1);
	assert_non_null(strstr(f.body[DESK_LOW_CALLS], "r17"));
	/* and one that is being put makes room for another */
	ask(1, 2, "r0");
	assert_int_equal(f.ncalls, DESK_LOW_CALLS + 2);
}

static void
who_waits_too_long_is_told(void **state)
{
	char token[16];
	unsigned i;

	for (i = 0; i < DESK_CALLS + 2; i++) {
		(void)snprintf(token, sizeof(token), "c%u", i);
		ask(0, i, token);
		f.now += i == DESK_CALLS ? 100 : 0;
	}
	f.now += TIMEOUT / 2 - 100;
	desk_tick(f.d, f.now);
	told(0, DESK_CALLS, ASK_UNAVAILABLE);
	told_nothing();
	assert_int_equal(f.count[COUNTER_BRIDGE_HELD_OFF], 1);
	/* who comes to its turn late has the rest of its time */
	f.now += 50;
	grant(0);
	assert_int_equal(f.timeout[DESK_CALLS - 1], TIMEOUT - 450);
}

static void
what_nobody_waits_for_is_not_put(void **state)
{
	struct ask_question q = question(1, "t");

	q.until_ms = f.now;
	desk_question(f.d, 0, &q, f.now);
	assert_int_equal(f.ncalls, 0);
	told_nothing();
}

static void
too_many_are_held_off(void **state)
{
	char token[16];
	unsigned i;

	for (i = 0; i < DESK_CALLS + DESK_WAITING; i++) {
		(void)snprintf(token, sizeof(token), "c%u", i);
		ask(0, i, token);
	}
	told_nothing();
	ask(0, i, "one more");
	told(0, i, ASK_UNAVAILABLE);
	assert_int_equal(f.answer[0].a.retry_after, 1);
	/* who waits for the same takes no place */
	ask(0, i + 1, "c70");
	told_nothing();
}

static void
an_application_that_is_down_is_left_alone(void **state)
{
	char token[16];
	unsigned i;

	for (i = 0; i < DESK_CALLS + 5; i++) {
		(void)snprintf(token, sizeof(token), "c%u", i);
		ask(0, i, token);
	}
	for (i = 0; i < BREAKER_FAILURES; i++)
		lose(0);
	assert_true(desk_is_down(f.d));
	/* five were answered, and those that waited */
	for (i = 0; i < BREAKER_FAILURES - 1; i++)
		told(0, i, ASK_UNAVAILABLE);
	seen = f.nanswers;
	assert_int_equal(desk_waiting(f.d), 0);
	ask(0, 100, "new");
	told(0, 100, ASK_UNAVAILABLE);
	assert_int_equal(f.answer[seen - 1].a.retry_after, 1);
	while (f.ncalls > 0)
		lose(0);
	seen = f.nanswers;
	/* then one goes to see */
	f.now += BREAKER_FIRST_MS;
	ask(0, 101, "probe");
	ask(0, 102, "other");
	assert_int_equal(f.ncalls, 1);
	told(0, 102, ASK_UNAVAILABLE);
	grant(0);
	told(0, 101, ASK_GRANTED);
	assert_false(desk_is_down(f.d));
	ask(0, 103, "a");
	ask(0, 104, "b");
	assert_int_equal(f.ncalls, 2);
}

static void
nonsense_is_no_reason_to_leave_it_alone(void **state)
{
	for (unsigned i = 0; i < 3 * BREAKER_FAILURES; i++) {
		ask(0, i, "t");
		reply_with(0, i % 2 ? 500 : 200, "nonsense", NULL);
		told(0, i, ASK_UNAVAILABLE);
	}
	assert_false(desk_is_down(f.d));
}

static void
a_call_that_cannot_be_begun_is_answered(void **state)
{
	f.cannot = true;
	ask(0, 1, "t");
	told(0, 1, ASK_UNAVAILABLE);
	assert_int_equal(desk_calls(f.d), 0);
	f.cannot = false;
	ask(0, 2, "t");
	assert_int_equal(f.ncalls, 1);
}

static void
a_dead_worker_is_told_nothing(void **state)
{
	struct ask_question q = question(1, "new");
	char token[16];
	unsigned i;

	for (i = 0; i < DESK_CALLS + 5; i++) {
		(void)snprintf(token, sizeof(token), "c%u", i);
		ask(0, i, token);
	}
	ask(1, 7, "c66");
	assert_int_equal(desk_waiting(f.d), 5);
	q.incarnation = 6;
	desk_question(f.d, 0, &q, f.now);
	/* but for the one that somebody else waits for, and the new one */
	assert_int_equal(desk_waiting(f.d), 2);
	grant(0);
	told_nothing();
	/* nor what its predecessor had left in the socket */
	ask(0, 99, "old");
	assert_int_equal(desk_waiting(f.d), 1);
	while (f.ncalls > 0)
		grant(0);
	assert_int_equal(f.nanswers, 2);
	told(1, 7, ASK_GRANTED);
	assert_int_equal(f.answer[1].slot, 0);
	assert_int_equal(f.answer[1].a.incarnation, 6);
}

static void
another_application_knows_nothing_of_the_old(void **state)
{
	ask(0, 1, "known");
	reply_with(0, 200, "{\"userId\":\"u\"}", "max-age=1000");
	ask(0, 2, "asked");
	told(0, 1, ASK_GRANTED);
	desk_configure(f.d, 2 * TIMEOUT, true);
	ask(0, 3, "known");
	ask(0, 4, "asked");
	assert_int_equal(f.ncalls, 3);
	assert_int_equal(f.timeout[2], 2 * TIMEOUT);
	/* who asked the old one has its answer, and nobody else */
	reply_with(0, 200, "{\"userId\":\"u\"}", "max-age=1000");
	told(0, 2, ASK_GRANTED);
	told_nothing();
	grant(1);
	ask(0, 5, "asked");
	assert_int_equal(f.ncalls, 2);
	/* the same one goes on */
	desk_configure(f.d, TIMEOUT, false);
	ask(0, 6, "known");
	assert_int_equal(f.ncalls, 2);
}

/* Perhaps it is another one because the old one is down. */
static void
nor_is_it_down_because_the_old_one_was(void **state)
{
	char token[20];
	unsigned i;

	for (i = 0; i < BREAKER_FAILURES; i++) {
		(void)snprintf(token, sizeof(token), "t%u", i);
		ask(0, i, token);
	}
	desk_configure(f.d, TIMEOUT, true);
	while (f.ncalls > 0)
		reply_with(0, 0, "", NULL);
	assert_false(desk_is_down(f.d));
	told(0, 0, ASK_UNAVAILABLE);
	/* nor is it there because that one was */
	for (i = 0; i < BREAKER_FAILURES; i++) {
		(void)snprintf(token, sizeof(token), "u%u", i);
		ask(0, 100 + i, token);
	}
	ask(0, 200, "late");
	desk_configure(f.d, TIMEOUT, true);
	ask(0, 300, "v");
	for (i = 0; i < BREAKER_FAILURES; i++)
		reply_with(0, 0, "", NULL);
	for (i = 0; i < BREAKER_FAILURES; i++) {
		(void)snprintf(token, sizeof(token), "w%u", i);
		ask(0, 400 + i, token);
	}
	while (f.ncalls > 1)
		reply_with(1, 0, "", NULL);
	assert_true(desk_is_down(f.d));
	/* the one that is left is the old one's */
	reply_with(0, 200, "{\"userId\":\"u\"}", NULL);
	assert_true(desk_is_down(f.d));
}

static void
a_token_that_is_no_text_was_never_issued(void **state)
{
	ask(0, 1, "t\xff");
	told(0, 1, ASK_REFUSED);
	assert_int_equal(f.ncalls, 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, begin, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_question_is_put_and_answered),
		T(the_same_question_is_put_once),
		T(one_that_is_repeated_is_answered_once),
		T(what_may_be_remembered_is_not_asked_again),
		T(a_token_that_is_refused_is_forgotten),
		T(so_many_are_put_at_once_and_clients_come_first),
		T(a_client_takes_its_recheck_with_it),
		T(who_waits_too_long_is_told),
		T(what_nobody_waits_for_is_not_put),
		T(too_many_are_held_off),
		T(an_application_that_is_down_is_left_alone),
		T(nonsense_is_no_reason_to_leave_it_alone),
		T(a_call_that_cannot_be_begun_is_answered),
		T(a_dead_worker_is_told_nothing),
		T(another_application_knows_nothing_of_the_old),
		T(nor_is_it_down_because_the_old_one_was),
		T(a_token_that_is_no_text_was_never_issued),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
