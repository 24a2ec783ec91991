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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
