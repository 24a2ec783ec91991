/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_user_rate - what user.h promises about rates.
 */

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "shm/tables.h"
#include "shm/user.h"
#include "tests/unit/tables_fixture.h"

#define SECOND UINT64_C(1000000000)
#define MINUTE (60 * SECOND)
#define NOW (1000 * SECOND)

static struct user_ref
user(struct tables *t, const char *id)
{
	struct user_ref u;

	assert_int_equal(user_find_or_add(t, id, strlen(id), &u), 0);
	return u;
}

/* How many of 'n' events at 'now' pass. */
static unsigned
pass(struct tables *t, const struct user_ref *u, uint32_t per_minute,
    uint64_t now, unsigned n)
{
	unsigned passed = 0;

	for (; n > 0; n--)
		passed +=
		    user_rate(t, u, USER_RATE_MESSAGE, per_minute, now) == 0;
	return passed;
}

static void
so_many_at_once_then_one_at_a_time(void **state)
{
	static const uint32_t rates[] = { 1, 2, 7, 30, 60, 599, 6000, 100000 };
	struct tables *t = *state;
	struct user_ref u;
	uint64_t now, step;
	unsigned i, k;
	char id[2] = "a";

	for (i = 0; i < sizeof(rates) / sizeof(rates[0]); i++, id[0]++) {
		u = user(t, id);
		now = NOW;
		step = MINUTE / rates[i];
		assert_int_equal(pass(t, &u, rates[i], now, rates[i]),
		    rates[i]);
		for (k = 0; k < 3; k++) {
			assert_int_equal(user_rate(t, &u, USER_RATE_MESSAGE,
					     rates[i], now),
			    step);
			/* refusals cost nothing, however many */
			assert_int_equal(pass(t, &u, rates[i], now + step - 1,
					     50),
			    0);
			now += step;
			assert_int_equal(pass(t, &u, rates[i], now, 2), 1);
		}
		/* quiet for a minute: all of it again, and not more */
		now += 2 * MINUTE;
		assert_int_equal(pass(t, &u, rates[i], now, rates[i] + 10),
		    rates[i]);
	}
}

static void
over_a_long_time_no_more_than_the_rate_passes(void **state)
{
	struct tables *t = *state;
	struct user_ref u = user(t, "ada");
	uint64_t now;
	unsigned n = 0;

	/* ten minutes, an attempt each 10 ms */
	for (now = NOW; now < NOW + 10 * MINUTE; now += SECOND / 100)
		n += pass(t, &u, 30, now, 1);
	assert_in_range(n, 329, 330);
}

static void
the_answer_is_how_long_to_wait(void **state)
{
	struct tables *t = *state;
	struct user_ref u = user(t, "ada");
	uint64_t wait;

	assert_int_equal(pass(t, &u, 10, NOW, 10), 10);
	wait = user_rate(t, &u, USER_RATE_MESSAGE, 10, NOW + 1234);
	assert_int_equal(wait, 6 * SECOND - 1234);
	assert_int_not_equal(user_rate(t, &u, USER_RATE_MESSAGE, 10,
				 NOW + 1233 + wait),
	    0);
	assert_int_equal(user_rate(t, &u, USER_RATE_MESSAGE, 10,
			     NOW + 1234 + wait),
	    0);
}

static void
kinds_and_users_are_limited_apart(void **state)
{
	struct tables *t = *state;
	struct user_ref a = user(t, "ada"), b = user(t, "bob");
	enum user_rate kind;

	for (kind = 0; kind < USER_RATE__MAX; kind++) {
		assert_int_equal(user_rate(t, &a, kind, 1, NOW), 0);
		assert_int_not_equal(user_rate(t, &a, kind, 1, NOW), 0);
	}
	for (kind = 0; kind < USER_RATE__MAX; kind++)
		assert_int_equal(user_rate(t, &b, kind, 1, NOW), 0);
}

/* --- who does not stop ---------------------------------------------------- */

#define MAX (15 * MINUTE)

/* Asked again and again at 'now': refused each time. */
static uint64_t
refuse(struct tables *t, const struct user_ref *u, uint64_t now, unsigned n,
    bool *out_r)
{
	uint64_t wait = 0;

	for (; n > 0; n--) {
		wait = user_rate(t, u, USER_RATE_MESSAGE, 30, now);
		assert_int_not_equal(wait, 0);
		wait = user_refused(t, u, USER_RATE_MESSAGE, 30, wait, MAX, now,
		    out_r);
	}
	return wait;
}

static void
ten_refusals_double_the_time(void **state)
{
	struct tables *t = *state;
	struct user_ref u = user(t, "ada");
	bool out;

	assert_int_equal(pass(t, &u, 30, NOW, 30), 30);
	assert_int_equal(refuse(t, &u, NOW, 9, &out), 2 * SECOND);
	assert_int_equal(refuse(t, &u, NOW, 1, &out), 4 * SECOND);
	assert_int_equal(refuse(t, &u, NOW, 9, &out), 4 * SECOND);
	/* nothing passes before it is over, and then one does */
	assert_int_equal(pass(t, &u, 30, NOW + 4 * SECOND - 1, 5), 0);
	assert_int_equal(pass(t, &u, 30, NOW + 4 * SECOND, 2), 1);
	/* nothing else is held off, and nobody else */
	assert_int_equal(user_rate(t, &u, USER_RATE_JOIN, 10, NOW), 0);
	u = user(t, "bob");
	assert_int_equal(pass(t, &u, 30, NOW, 30), 30);
	assert_false(out);
}

static void
it_is_never_longer_than_the_longest(void **state)
{
	struct tables *t = *state;
	struct user_ref u = user(t, "ada");
	unsigned i;
	bool out;

	assert_int_equal(pass(t, &u, 30, NOW, 30), 30);
	for (i = 0; i < 20; i++)
		(void)refuse(t, &u, NOW, 10, &out);
	assert_int_equal(refuse(t, &u, NOW, 10, &out), MAX);
	assert_int_equal(refuse(t, &u, NOW, 100, &out), MAX);
	assert_int_equal(pass(t, &u, 30, NOW + MAX, 2), 1);
}

static void
a_hundred_refusals_are_enough(void **state)
{
	struct tables *t = *state;
	struct user_ref u = user(t, "ada");
	uint64_t wait;
	bool out;

	assert_int_equal(pass(t, &u, 30, NOW, 30), 30);
	(void)refuse(t, &u, NOW, 99, &out);
	assert_false(out);
	assert_int_equal(user_held(t, &u, NOW), 0);
	wait = refuse(t, &u, NOW, 1, &out);
	assert_true(out);
	/* in whole seconds */
	assert_in_range(user_held(t, &u, NOW), wait, wait + SECOND);
	assert_int_equal(user_held(t, &u, NOW + wait + SECOND), 0);
	/* its row is kept as long as that matters */
	assert_int_equal(users_sweep(t, NOW + wait / 2, UINT32_MAX), 0);
	assert_int_equal(users_sweep(t, NOW + wait + 2 * MINUTE, UINT32_MAX),
	    1);
}

static void
it_is_the_same_after_years(void **state)
{
	static const uint64_t starts[] = { (1 << 26) - 30, (1 << 26) + 1000,
		(3 << 25) + 7, (UINT64_C(5) << 26) - 1 };
	struct tables *t = *state;
	struct user_ref u;
	char id[2] = "a";
	uint64_t wait, now;
	unsigned i;
	bool out;

	for (i = 0; i < sizeof(starts) / sizeof(starts[0]); i++, id[0]++) {
		u = user(t, id);
		now = starts[i] * SECOND;
		assert_int_equal(pass(t, &u, 30, now, 30), 30);
		(void)refuse(t, &u, now, 50, &out);
		/* half a minute later, and perhaps in the next round */
		now += 40 * SECOND;
		(void)refuse(t, &u, now, 49, &out);
		assert_false(out);
		assert_int_equal(user_strikes(t, &u, now), 99);
		assert_int_equal(user_held(t, &u, now), 0);
		wait = refuse(t, &u, now, 1, &out);
		assert_true(out);
		assert_in_range(user_held(t, &u, now), wait, wait + SECOND);
		assert_int_equal(user_held(t, &u, now + wait + SECOND), 0);
		assert_int_equal(users_sweep(t, now + wait / 2, UINT32_MAX), 0);
		now += wait + 2 * MINUTE;
		assert_int_equal(user_strikes(t, &u, now), 0);
		assert_int_equal(users_sweep(t, now, UINT32_MAX), 1);
	}
}

static void
a_quiet_minute_forgives(void **state)
{
	struct tables *t = *state;
	struct user_ref u = user(t, "ada");
	uint64_t now = NOW;
	unsigned i;
	bool out;

	/* nine in each minute, for an hour */
	for (i = 0; i < 60; i++, now += MINUTE) {
		(void)pass(t, &u, 30, now, 30);
		assert_true(refuse(t, &u, now, 9, &out) <= 2 * SECOND);
		assert_false(out);
	}
}

static void
what_is_left_can_be_looked_at(void **state)
{
	struct tables *t = *state;
	struct user_ref u = user(t, "ada");
	uint64_t wait;
	bool out;

	assert_int_equal(user_rate_left(t, &u, USER_RATE_MESSAGE, 30, NOW,
			     &wait),
	    30);
	assert_int_equal(pass(t, &u, 30, NOW, 12), 12);
	assert_int_equal(user_rate_left(t, &u, USER_RATE_MESSAGE, 30, NOW,
			     &wait),
	    18);
	assert_int_equal(wait, 0);
	assert_int_equal(pass(t, &u, 30, NOW, 18), 18);
	assert_int_equal(user_rate_left(t, &u, USER_RATE_MESSAGE, 30, NOW,
			     &wait),
	    0);
	assert_int_equal(wait, 2 * SECOND);
	(void)refuse(t, &u, NOW, 7, &out);
	assert_int_equal(user_strikes(t, &u, NOW), 7);
	assert_int_equal(user_strikes(t, &u, NOW + 61 * SECOND), 0);
	/* looking makes no row, and without a limit nothing is counted */
	assert_int_equal(user_rate_left(t, &u, USER_RATE_MESSAGE, 0, NOW,
			     &wait),
	    0);
	assert_int_equal(wait, 0);
}

static void
under_load_the_heaviest_wait_first(void **state)
{
	struct tables *t = *state;
	struct user_ref heavy = user(t, "ada"), light = user(t, "bob");
	unsigned i, n = 0;
	bool busy;

	assert_int_equal(pass(t, &heavy, 30, NOW, 20), 20);
	/* who has sent 20 of 30 waits, who has sent nothing does not */
	assert_int_not_equal(user_rate_shed(t, &heavy, USER_RATE_MESSAGE, 30, 1,
				 NOW, &busy),
	    0);
	assert_true(busy);
	for (i = 0; i < 30; i++)
		n += user_rate_shed(t, &light, USER_RATE_MESSAGE, 30, 1, NOW,
			 &busy) == 0;
	assert_int_equal(n, 15);
	/* over the rate itself it is that, however busy we are */
	assert_int_equal(pass(t, &heavy, 30, NOW, 20), 10);
	assert_int_not_equal(user_rate_shed(t, &heavy, USER_RATE_MESSAGE, 30, 3,
				 NOW, &busy),
	    0);
	assert_false(busy);
}

static void
a_rate_of_0_is_no_limit(void **state)
{
	struct tables *t = *state;
	struct user_ref u = user(t, "ada");

	assert_int_equal(pass(t, &u, 0, NOW, 1000), 1000);
	user_rate_give_back(t, &u, USER_RATE_MESSAGE, 0);
	/* and left no trace */
	assert_int_equal(pass(t, &u, 1, NOW, 2), 1);
}

static void
a_rate_may_be_changed(void **state)
{
	struct tables *t = *state;
	struct user_ref u = user(t, "ada");

	assert_int_equal(pass(t, &u, 30, NOW, 31), 30);
	/* stricter: the minute that is used up stays used up, no longer */
	assert_int_equal(pass(t, &u, 2, NOW, 1), 0);
	assert_int_equal(pass(t, &u, 2, NOW + 30 * SECOND, 2), 1);
	/* more generous: the next one comes sooner */
	assert_int_equal(pass(t, &u, 60, NOW + 31 * SECOND, 5), 1);
}

static void
what_is_given_back_may_be_used_again(void **state)
{
	struct tables *t = *state;
	struct user_ref u = user(t, "ada");
	unsigned i;

	assert_int_equal(pass(t, &u, 30, NOW, 31), 30);
	user_rate_give_back(t, &u, USER_RATE_MESSAGE, 30);
	assert_int_equal(pass(t, &u, 30, NOW, 2), 1);

	/* never more than a quiet user has */
	for (i = 0; i < 100; i++)
		user_rate_give_back(t, &u, USER_RATE_MESSAGE, 30);
	assert_int_equal(pass(t, &u, 30, NOW, 40), 30);
	u = user(t, "bob");
	user_rate_give_back(t, &u, USER_RATE_MESSAGE, 1);
	assert_int_equal(pass(t, &u, 1, NOW, 2), 1);
}

static void
a_user_whose_row_was_freed_is_still_limited(void **state)
{
	struct tables *t = *state;
	struct user_ref u = user(t, "ada");

	assert_int_equal(users_sweep(t, NOW, UINT32_MAX), 1);
	assert_int_equal(pass(t, &u, 3, NOW, 5), 3);
}

/* --- all at once ------------------------------------------------------- */

#define THREADS 4
#define PER_MINUTE 5000

struct sender {
	struct tables *tables;
	struct user_ref user;
	unsigned passed;
	bool gives_back;
};

static void *
send_all(void *arg)
{
	struct sender *s = arg;
	unsigned i;

	for (i = 0; i < PER_MINUTE; i++) {
		if (user_rate(s->tables, &s->user, USER_RATE_MESSAGE,
			PER_MINUTE, NOW) != 0)
			continue;
		s->passed++;
		if (s->gives_back && i % 2 == 0) {
			user_rate_give_back(s->tables, &s->user,
			    USER_RATE_MESSAGE, PER_MINUTE);
			s->passed--;
		}
	}
	return NULL;
}

static unsigned
all_send_at_once(struct tables *t, struct user_ref u, bool give_back)
{
	struct sender s[THREADS];
	pthread_t thread[THREADS];
	unsigned i, sum = 0;

	for (i = 0; i < THREADS; i++) {
		s[i] = (struct sender){ t, u, 0, give_back };
		assert_int_equal(pthread_create(&thread[i], NULL, send_all,
				     &s[i]),
		    0);
	}
	for (i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(thread[i], NULL), 0);
		sum += s[i].passed;
	}
	return sum;
}

static void
exactly_the_rate_passes_of_all_together(void **state)
{
	struct tables *t = *state;
	struct user_ref u = user(t, "ada");
	unsigned n;

	assert_int_equal(all_send_at_once(t, u, false), PER_MINUTE);
	u = user(t, "bob");
	n = all_send_at_once(t, u, true);
	assert_int_equal(n + pass(t, &u, PER_MINUTE, NOW, PER_MINUTE + 1),
	    PER_MINUTE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(so_many_at_once_then_one_at_a_time),
		T(over_a_long_time_no_more_than_the_rate_passes),
		T(the_answer_is_how_long_to_wait),
		T(kinds_and_users_are_limited_apart),
		T(a_rate_of_0_is_no_limit),
		T(a_rate_may_be_changed),
		T(what_is_given_back_may_be_used_again),
		T(a_user_whose_row_was_freed_is_still_limited),
		T(exactly_the_rate_passes_of_all_together),
		T(ten_refusals_double_the_time),
		T(it_is_never_longer_than_the_longest),
		T(a_hundred_refusals_are_enough),
		T(it_is_the_same_after_years),
		T(a_quiet_minute_forgives),
		T(what_is_left_can_be_looked_at),
		T(under_load_the_heaviest_wait_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
