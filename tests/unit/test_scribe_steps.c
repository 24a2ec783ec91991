/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_scribe_steps - what steps.h promises of windows when a clock is set.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/clock.h"
#include "scribe/steps.h"

#define BEGIN_MS 1700000000000ULL
#define BEGIN_NS (5000 * CLOCK_S_NS)
#define DAY_MS 86400000LL
#define YEAR_MS (365 * DAY_MS)
#define WEEK_MS (7 * (uint64_t)DAY_MS)

/* Two clocks that go on together, until one of them is set. */
struct world {
	struct steps st;
	uint64_t ns;
	uint64_t ms;
};

static void
begin(struct world *w)
{
	w->ns = BEGIN_NS;
	w->ms = BEGIN_MS;
	assert_int_equal(steps_begin(&w->st, w->ns, w->ms, w->ms - 1000, NULL),
	    0);
}

static void
pass(struct world *w, uint64_t ms)
{
	w->ms += ms;
	w->ns += ms * CLOCK_MS_NS;
	assert_int_equal(steps_look(&w->st, w->ns, w->ms), 0);
}

static void
set(struct world *w, int64_t by_ms)
{
	w->ms += (uint64_t)by_ms;
	assert_int_equal(steps_look(&w->st, w->ns, w->ms), by_ms);
}

/* Is what happened at 'ms' within the window? */
static bool
within(const struct world *w, uint64_t ms, uint64_t window_ms)
{
	return steps_window_now(&w->st, window_ms) < ms + window_ms;
}

static void
clocks_that_agree_hold_nothing(void **state)
{
	struct world w;
	int i;

	begin(&w);
	for (i = 0; i < 1000; i++) {
		pass(&w, 3600000);
		assert_false(steps_held(&w.st, w.ns));
		assert_int_equal(steps_window_now(&w.st, WEEK_MS), w.ms);
	}
}

static void
less_than_an_hour_is_no_step(void **state)
{
	struct world w;

	begin(&w);
	w.ms += 3599999;
	assert_int_equal(steps_look(&w.st, w.ns, w.ms), 0);
	w.ms -= 3599999;
	assert_int_equal(steps_look(&w.st, w.ns, w.ms), 0);
	assert_false(steps_held(&w.st, w.ns));
}

static void
retention_waits_an_hour_after_a_step_either_way(void **state)
{
	struct world w;
	int i;

	for (i = 0; i < 2; i++) {
		begin(&w);
		set(&w, i == 0 ? YEAR_MS : -YEAR_MS);
		assert_true(steps_held(&w.st, w.ns));
		pass(&w, 3599999);
		assert_true(steps_held(&w.st, w.ns));
		pass(&w, 1);
		assert_false(steps_held(&w.st, w.ns));
	}
}

static void
what_was_in_a_window_before_a_jump_ahead_stays_as_long_as_without(void **state)
{
	uint64_t at;
	struct world w;

	begin(&w);
	at = w.ms;
	pass(&w, 1000);
	set(&w, 10 * YEAR_MS);
	assert_true(within(&w, at, WEEK_MS));
	pass(&w, WEEK_MS - 1001);
	assert_true(within(&w, at, WEEK_MS));
	pass(&w, 1001);
	assert_false(within(&w, at, WEEK_MS));
}

static void
what_came_after_a_jump_ahead_has_its_own_window(void **state)
{
	uint64_t at;
	struct world w;

	begin(&w);
	set(&w, YEAR_MS);
	at = w.ms;
	pass(&w, WEEK_MS - 1);
	assert_true(within(&w, at, WEEK_MS));
	pass(&w, 1);
	assert_false(within(&w, at, WEEK_MS));
}

static void
a_jump_back_loses_nothing_of_a_window(void **state)
{
	uint64_t at;
	struct world w;

	begin(&w);
	at = w.ms;
	set(&w, -YEAR_MS);
	pass(&w, WEEK_MS);
	assert_true(within(&w, at, WEEK_MS));
}

static void
a_clock_that_is_set_right_again_is_as_before(void **state)
{
	uint64_t at;
	struct world w;

	begin(&w);
	at = w.ms;
	set(&w, 20 * YEAR_MS);
	pass(&w, 60000);
	set(&w, -20 * YEAR_MS);
	assert_true(within(&w, at, WEEK_MS));
	pass(&w, WEEK_MS - 60001);
	assert_true(within(&w, at, WEEK_MS));
	pass(&w, 1);
	assert_false(within(&w, at, WEEK_MS));
}

static void
a_start_long_after_the_last_write_counts_as_a_step(void **state)
{
	struct world w;
	uint64_t at = BEGIN_MS - YEAR_MS;

	w.ns = BEGIN_NS;
	w.ms = BEGIN_MS;
	assert_int_equal(steps_begin(&w.st, w.ns, w.ms, at + 5, NULL),
	    YEAR_MS - 5);
	assert_true(steps_held(&w.st, w.ns));
	assert_true(within(&w, at, WEEK_MS));
	pass(&w, WEEK_MS);
	assert_false(within(&w, at, WEEK_MS));
	/* not known: nothing is to be said */
	assert_int_equal(steps_begin(&w.st, w.ns, w.ms, 0, NULL), 0);
	assert_false(steps_held(&w.st, w.ns));
}

static void
a_successor_knows_of_its_predecessors_steps(void **state)
{
	struct world w;
	uint64_t at;
	struct steps_state left;

	begin(&w);
	at = w.ms;
	set(&w, YEAR_MS);
	left = w.st.now;
	assert_int_equal(steps_begin(&w.st, w.ns, w.ms, w.ms, &left), 0);
	assert_true(within(&w, at, WEEK_MS));
	assert_true(steps_held(&w.st, w.ns));
}

static void
a_clock_near_its_beginning_does_not_wrap(void **state)
{
	struct steps st;

	steps_begin(&st, BEGIN_NS, BEGIN_MS, BEGIN_MS, NULL);
	assert_int_not_equal(steps_look(&st, BEGIN_NS, BEGIN_MS + YEAR_MS), 0);
	assert_int_not_equal(steps_look(&st, BEGIN_NS, 5), 0);
	assert_int_equal(steps_window_now(&st, WEEK_MS), 5);
	assert_int_not_equal(steps_look(&st, BEGIN_NS, BEGIN_MS), 0);
	assert_true(steps_window_now(&st, WEEK_MS) <= BEGIN_MS);
}

static void
the_clocks_of_a_test_can_be_set(void **state)
{
	struct clock_shift shift = { .real_ms = -DAY_MS };
	uint64_t ms = clock_real_ms(), ns = clock_mono_ns();

	clock_set_shift(&shift);
	assert_true(clock_real_ms() < ms - DAY_MS / 2);
	shift.real_ms = 0;
	shift.mono_ns = 3600LL * 1000000000;
	assert_true(clock_mono_ns() >= ns + 3600 * CLOCK_S_NS);
	assert_true(clock_real_ms() >= ms);
	clock_set_shift(NULL);
	assert_true(clock_mono_ns() < ns + 3600 * CLOCK_S_NS);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(clocks_that_agree_hold_nothing),
		cmocka_unit_test(less_than_an_hour_is_no_step),
		cmocka_unit_test(
		    retention_waits_an_hour_after_a_step_either_way),
		cmocka_unit_test(
		    what_was_in_a_window_before_a_jump_ahead_stays_as_long_as_without),
		cmocka_unit_test(
		    what_came_after_a_jump_ahead_has_its_own_window),
		cmocka_unit_test(a_jump_back_loses_nothing_of_a_window),
		cmocka_unit_test(a_clock_that_is_set_right_again_is_as_before),
		cmocka_unit_test(
		    a_start_long_after_the_last_write_counts_as_a_step),
		cmocka_unit_test(a_successor_knows_of_its_predecessors_steps),
		cmocka_unit_test(a_clock_near_its_beginning_does_not_wrap),
		cmocka_unit_test(the_clocks_of_a_test_can_be_set),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
