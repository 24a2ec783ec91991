/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_sweep - rows whose window is over go, in slices, and no others.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <sys/resource.h>

#include <signal.h>

#include <cmocka.h>

#include "scribe/sweep.h"
#include "store/env.h"
#include "tests/unit/store_fixture.h"

#define RUN 64
#define BEGUN_MS 500
#define WINDOW_MS 1000
#define NOW_MS 10000

struct fixture {
	struct store_fixture st;
	struct sweep sw;
	uint64_t now_ns;
};

static int
setup(void **state)
{
	struct store_run run = { RUN, BEGUN_MS };
	struct store_txn *t;
	struct fixture *f;

	if ((f = calloc(1, sizeof(*f))) == NULL)
		return -1;
	*state = f;
	if (store_fixture_open(&f->st) == -1 ||
	    (t = store_begin(f->st.s)) == NULL)
		return -1;
	store_run_put(t, &run);
	if (store_commit(&t) == -1)
		return -1;
	sweep_init(&f->sw, f->st.s);
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;
	int rc = store_fixture_close(&f->st);

	free(f);
	return rc;
}

/* Rows first..first+n-1 that are lost since then (0: there). */
static void
put(struct fixture *f, unsigned first, unsigned n, uint64_t lost_ms,
    uint64_t run)
{
	struct store_recovery row = { .socket = text("s"),
		.user_id = text("ada"),
		.user = 1,
		.run = run,
		.lost_ms = lost_ms,
		.nrooms = 1 };
	struct store_txn *t;
	char pid[STORE_PID + 1];
	unsigned i;

	row.room[0].room = 1;
	row.room[0].present = lost_ms == 0;
	row.room[0].agent = text("");
	assert_non_null(t = store_begin(f->st.s));
	for (i = first; i < first + n; i++) {
		snprintf(pid, sizeof(pid), "%020u", i);
		store_recovery_put(t, text(pid), &row);
	}
	assert_int_equal(store_commit(&t), 0);
}

static bool
is_there(struct fixture *f, unsigned i)
{
	struct store_recovery row;
	struct store_txn *t;
	char pid[STORE_PID + 1];
	int rc;

	snprintf(pid, sizeof(pid), "%020u", i);
	assert_non_null(t = store_snapshot(f->st.s));
	rc = store_recovery_get(t, text(pid), &row);
	store_snapshot_end(&t);
	return rc == 0;
}

static struct store_stat
stat_of(struct fixture *f)
{
	struct store_stat st;

	assert_int_equal(store_stat(f->st.s, &st), 0);
	return st;
}

/* One whole walk; returns how many turns it took. */
static unsigned
walk(struct fixture *f, uint64_t window_ms)
{
	unsigned turns = 0;

	do {
		f->now_ns = sweep_next(&f->sw);
		sweep_turn(&f->sw, f->now_ns, NOW_MS, window_ms, UINT64_MAX);
		turns++;
	} while (sweep_next(&f->sw) < f->now_ns + SWEEP_WALK_NS);
	return turns;
}

static void
rows_whose_window_is_over_go_and_others_stay(void **state)
{
	struct fixture *f = *state;

	put(f, 1, 1, 0, RUN);
	put(f, 2, 1, NOW_MS - WINDOW_MS, RUN);
	put(f, 3, 1, NOW_MS - WINDOW_MS - 1, RUN);
	put(f, 4, 1, NOW_MS + 5, RUN);
	/* of a former run: lost at the start of this one */
	put(f, 5, 1, 0, RUN - 1);
	put(f, 6, 1, NOW_MS - 5, RUN - 1);
	assert_int_equal(walk(f, WINDOW_MS), 1);
	assert_true(is_there(f, 1));
	assert_true(is_there(f, 2));
	assert_false(is_there(f, 3));
	assert_true(is_there(f, 4));
	assert_false(is_there(f, 5));
	assert_true(is_there(f, 6));
	assert_int_equal(sweep_count(&f->sw), 2);
}

static void
a_window_of_zero_leaves_only_who_is_there(void **state)
{
	struct fixture *f = *state;

	put(f, 1, 1, 0, RUN);
	put(f, 2, 1, NOW_MS - 1, RUN);
	walk(f, 0);
	assert_true(is_there(f, 1));
	assert_false(is_there(f, 2));
}

static void
a_turn_looks_at_a_slice_and_is_one_transaction(void **state)
{
	struct fixture *f = *state;
	const unsigned n = 5 * SWEEP_SLICE + 3;
	struct store_stat before, after;

	put(f, 0, n, 1, RUN);
	before = stat_of(f);
	sweep_turn(&f->sw, f->now_ns, NOW_MS, WINDOW_MS, UINT64_MAX);
	after = stat_of(f);
	assert_int_equal(after.last_txn, before.last_txn + 1);
	assert_int_equal(sweep_count(&f->sw), SWEEP_SLICE);
	assert_int_equal(after.table[STORE_RECOVERY].entries, n - SWEEP_SLICE);
	assert_int_equal(sweep_next(&f->sw), f->now_ns + SWEEP_SLICE_NS);
	/* too early for more */
	sweep_turn(&f->sw, f->now_ns + SWEEP_SLICE_NS - 1, NOW_MS, WINDOW_MS,
	    UINT64_MAX);
	assert_int_equal(sweep_count(&f->sw), SWEEP_SLICE);
	assert_int_equal(walk(f, WINDOW_MS), 5);
	assert_int_equal(sweep_count(&f->sw), n);
	assert_int_equal(stat_of(f).table[STORE_RECOVERY].entries, 0);
}

static void
a_walk_without_rows_that_go_costs_no_commit(void **state)
{
	struct fixture *f = *state;
	struct store_stat before;

	put(f, 0, 3 * SWEEP_SLICE, 0, RUN);
	before = stat_of(f);
	assert_int_equal(walk(f, WINDOW_MS), 3);
	assert_int_equal(walk(f, WINDOW_MS), 3);
	assert_int_equal(stat_of(f).last_txn, before.last_txn);
	assert_int_equal(sweep_count(&f->sw), 0);
}

static void
each_walk_begins_at_the_first_row_again(void **state)
{
	struct fixture *f = *state;

	put(f, 10, 2 * SWEEP_SLICE, 0, RUN);
	walk(f, WINDOW_MS);
	put(f, 0, 10, 1, RUN);
	put(f, 1000, 10, 1, RUN);
	walk(f, WINDOW_MS);
	assert_int_equal(sweep_count(&f->sw), 20);
	assert_int_equal(stat_of(f).table[STORE_RECOVERY].entries,
	    2 * SWEEP_SLICE);
}

static void
damaged_rows_go(void **state)
{
	struct fixture *f = *state;
	struct store_put put_;
	struct store_txn *t;
	struct store_key k;

	put(f, 1, 2, 0, RUN);
	store_key_begin(&k);
	assert_true(store_key_bytes(&k, "00000000000000000009", STORE_PID));
	assert_non_null(t = store_begin(f->st.s));
	store_put_begin(t, STORE_RECOVERY, &k, 0, 4, false, &put_);
	store_add_u32(&put_.f, 7);
	store_put_end(&put_);
	assert_int_equal(store_commit(&t), 0);
	walk(f, WINDOW_MS);
	assert_int_equal(sweep_count(&f->sw), 1);
	assert_int_equal(stat_of(f).table[STORE_RECOVERY].entries, 2);
}

static void
a_disk_that_fails_is_tried_again_with_the_next_walk(void **state)
{
	struct fixture *f = *state;
	struct rlimit lim, none;

	put(f, 0, SWEEP_SLICE + 9, 1, RUN);
	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &lim), 0);
	none = lim;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
	assert_int_equal(walk(f, WINDOW_MS), 1);
	assert_int_equal(walk(f, WINDOW_MS), 1);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &lim), 0);
	assert_int_equal(sweep_count(&f->sw), 0);
	assert_int_equal(stat_of(f).table[STORE_RECOVERY].entries,
	    SWEEP_SLICE + 9);
	assert_int_equal(walk(f, WINDOW_MS), 2);
	assert_int_equal(sweep_count(&f->sw), SWEEP_SLICE + 9);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(rows_whose_window_is_over_go_and_others_stay),
		T(a_window_of_zero_leaves_only_who_is_there),
		T(a_turn_looks_at_a_slice_and_is_one_transaction),
		T(a_walk_without_rows_that_go_costs_no_commit),
		T(each_walk_begins_at_the_first_row_again),
		T(damaged_rows_go),
		T(a_disk_that_fails_is_tried_again_with_the_next_walk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
