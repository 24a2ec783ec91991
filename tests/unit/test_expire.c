/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_expire - merged ids go when their window is over, in slices.
 */

#include "scribe/expire.h"

#include "tests/unit/room_fixture.h"

#define NROWS 2000
#define T0 1000000
#define WINDOW 10000

struct fixture {
	struct room_fixture r;
	struct expire e;
};

/* One row a millisecond, in ten rooms. */
static int
setup(void **state)
{
	struct store_dedupe d = { .user = 7, .id = text("an id") };
	struct store_merged m = { .count = NROWS / 10 };
	struct store_txn *t;
	struct fixture *f;
	uint64_t i;

	if ((f = calloc(1, sizeof(*f))) == NULL)
		return -1;
	*state = f;
	if (room_fixture_open(&f->r) == -1 ||
	    (t = store_begin(f->r.st.s)) == NULL)
		return -1;
	for (i = 0; i < NROWS; i++) {
		d.room = 1 + i % 10;
		d.hash = i * 0x9e3779b97f4a7c15;
		d.seq = i + 1;
		d.time_ms = T0 + i;
		store_dedupe_put(t, &d);
	}
	for (m.room = 1; m.room <= 10; m.room++)
		store_merged_put(t, &m);
	if (store_commit(&t) == -1)
		return -1;
	expire_init(&f->e, f->r.st.s);
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;
	int rc = room_fixture_close(&f->r);

	free(f);
	return rc;
}

static unsigned
pass(struct fixture *f, uint64_t now_ms)
{
	unsigned slices = 0;
	int rc;

	do {
		rc = expire_slice(&f->e, now_ms, WINDOW, expire_next(&f->e));
		assert_int_not_equal(rc, -1);
		slices++;
	} while (rc == 0);
	return slices;
}

static void
what_is_over_goes_and_the_rest_stays(void **state)
{
	struct fixture *f = *state;

	assert_true(pass(f, T0 + WINDOW + 500) >= NROWS / EXPIRE_SLICE);
	assert_int_equal(f->e.pass_removed, 500);
	assert_int_equal(room_rows(&f->r, "dedupe"), NROWS - 500 + 10);
	assert_int_equal(room_merged(&f->r, 1).count, NROWS / 10 - 50);
	pass(f, T0 + WINDOW + NROWS);
	assert_int_equal(expire_count(&f->e), NROWS);
	/* where the rooms stand stays */
	assert_int_equal(room_rows(&f->r, "dedupe"), 10);
}

static void
within_the_window_nothing_is_written(void **state)
{
	struct fixture *f = *state;
	struct store_stat a, b;

	assert_int_equal(store_stat(f->r.st.s, &a), 0);
	pass(f, T0 + WINDOW);
	assert_int_equal(store_stat(f->r.st.s, &b), 0);
	assert_int_equal(a.last_txn, b.last_txn);
	assert_int_equal(expire_count(&f->e), 0);
}

static void
a_clock_below_the_window_deletes_nothing(void **state)
{
	struct fixture *f = *state;

	pass(f, 5);
	assert_int_equal(expire_count(&f->e), 0);
}

static void
slices_and_passes_are_apart(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(expire_slice(&f->e, T0, WINDOW, 7), 0);
	assert_int_equal(expire_next(&f->e), 7 + EXPIRE_SLICE_NS);
	pass(f, T0);
	assert_true(expire_next(&f->e) >= EXPIRE_PASS_MIN_NS);
	/* the longer the window, the less it matters */
	while (expire_slice(&f->e, T0, UINT64_MAX / 4, 0) == 0)
		;
	assert_int_equal(expire_next(&f->e), EXPIRE_PASS_MAX_NS);
}

static void
on_demand_there_are_no_pauses(void **state)
{
	struct fixture *f = *state;
	uint64_t now_ms = T0 + WINDOW + 100;
	int rc;

	expire_now(&f->e);
	do {
		assert_int_equal(expire_next(&f->e), 0);
		rc = expire_slice(&f->e, now_ms, WINDOW, 7);
	} while (rc == 0);
	assert_int_equal(rc, 1);
	assert_int_equal(f->e.pass_removed, 100);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(what_is_over_goes_and_the_rest_stays),
		T(within_the_window_nothing_is_written),
		T(a_clock_below_the_window_deletes_nothing),
		T(slices_and_passes_are_apart),
		T(on_demand_there_are_no_pauses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
