/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_wheel - what wheel.h promises about deadlines.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "worker/wheel.h"

struct fixture {
	struct wheel wheel;
	uint64_t now;
	unsigned fired;
	uint64_t earliest_excess;
};

static void
on_due(void *arg, struct wheel_entry *e)
{
	struct fixture *f = arg;

	assert_true(e->due_ms <= f->now);
	e->due_ms = 0;
	f->fired++;
}

static void
nothing_fires_early_and_nothing_late(void **state)
{
	static struct wheel_entry e[2000];
	struct fixture f = { .now = 123456 };
	uint64_t last = 0;
	unsigned i;

	wheel_init(&f.wheel, f.now);
	srand(7);
	for (i = 0; i < 2000; i++) {
		uint64_t due = f.now + (uint64_t)(rand() % 200000);

		if (due > last)
			last = due;
		wheel_set(&f.wheel, &e[i], due);
	}
	while (f.now < last + 2 * WHEEL_TICK_MS) {
		f.now += 17;
		wheel_run(&f.wheel, f.now, on_due, &f);
		for (i = 0; i < 2000; i++)
			assert_true(e[i].due_ms == 0 ||
			    e[i].due_ms + 2 * WHEEL_TICK_MS > f.now);
	}
	assert_int_equal(f.fired, 2000);
}

static void
a_deadline_can_be_moved_and_taken_away(void **state)
{
	struct fixture f = { .now = 1000 };
	struct wheel_entry a = { 0 }, b = { 0 }, c = { 0 };

	wheel_init(&f.wheel, f.now);
	wheel_set(&f.wheel, &a, 2000);
	wheel_set(&f.wheel, &a, 9000);
	wheel_set(&f.wheel, &b, 9000);
	wheel_set(&f.wheel, &b, 2000);
	wheel_set(&f.wheel, &c, 2000);
	wheel_clear(&c);
	f.now = 3000;
	wheel_run(&f.wheel, f.now, on_due, &f);
	assert_int_equal(f.fired, 1);
	assert_int_equal(b.due_ms, 0);
	assert_int_equal(a.due_ms, 9000);
	f.now = 9200;
	wheel_run(&f.wheel, f.now, on_due, &f);
	assert_int_equal(f.fired, 2);
}

static void
a_stop_longer_than_the_horizon_loses_nothing(void **state)
{
	struct fixture f = { .now = 5000 };
	struct wheel_entry e[50] = { 0 };
	unsigned i;

	wheel_init(&f.wheel, f.now);
	for (i = 0; i < 50; i++)
		wheel_set(&f.wheel, &e[i], f.now + 1 + i * 2500);
	f.now += 10000000;
	wheel_run(&f.wheel, f.now, on_due, &f);
	assert_int_equal(f.fired, 50);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_fires_early_and_nothing_late),
		cmocka_unit_test(a_deadline_can_be_moved_and_taken_away),
		cmocka_unit_test(a_stop_longer_than_the_horizon_loses_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
