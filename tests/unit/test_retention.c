/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_retention - messages go by age and by number, in slices, and no
 * others; the file does not grow by it.
 */

#include "scribe/retention.h"

#include "tests/unit/room_fixture.h"

#define T0 1000000

struct fixture {
	struct room_fixture r;
	struct retention ret;
	uint64_t now_ns;
	uint64_t stored;
};

static int
setup(void **state)
{
	struct fixture *f;

	if ((f = calloc(1, sizeof(*f))) == NULL)
		return -1;
	*state = f;
	if (room_fixture_open(&f->r) == -1)
		return -1;
	retention_init(&f->ret, f->r.st.s);
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

/* A whole walk; returns how many slices it took. */
static unsigned
walk(struct fixture *f, const struct retention_limits *limits)
{
	unsigned slices = 0;
	int rc;

	do {
		rc = retention_slice(&f->ret, f->r.rs, limits, f->stored,
		    f->now_ns);
		assert_int_not_equal(rc, -1);
		f->now_ns = retention_next(&f->ret);
		slices++;
	} while (rc == 0);
	return slices;
}

static uint64_t
last_seq(struct fixture *f, uint64_t room)
{
	struct store_txn *t;
	uint64_t seq;

	assert_non_null(t = store_snapshot(f->r.st.s));
	assert_int_equal(store_last_seq(t, room, &seq), 0);
	store_snapshot_end(&t);
	return seq;
}

static void
messages_that_are_too_old_go(void **state)
{
	struct retention_limits limits = { .before_ms = T0 + 51,
		.keep_ids_ms = UINT64_MAX };
	struct fixture *f = *state;

	room_add(&f->r, 1);
	room_add(&f->r, 2);
	room_fill(&f->r, 1, 1, 100, T0);
	room_fill(&f->r, 2, 1, 30, T0 + 40);
	walk(f, &limits);
	assert_false(room_has_message(&f->r, 1, 50));
	assert_true(room_has_message(&f->r, 1, 51));
	assert_false(room_has_message(&f->r, 2, 10));
	assert_true(room_has_message(&f->r, 2, 11));
	assert_int_equal(retention_count(&f->ret), 60);
	assert_int_equal(room_rows(&f->r, "msg"), 70);
	assert_int_equal(room_rows(&f->r, "log"), 70);
	assert_int_equal(room_rows(&f->r, "dedupe"), 0);
}

static void
messages_that_are_too_many_go_and_the_newest_stay(void **state)
{
	struct retention_limits limits = { .max_messages = 20,
		.keep_ids_ms = UINT64_MAX };
	struct fixture *f = *state;

	room_add(&f->r, 1);
	room_add(&f->r, 2);
	room_fill(&f->r, 1, 1, 500, T0);
	room_fill(&f->r, 2, 1, 20, T0);
	walk(f, &limits);
	assert_false(room_has_message(&f->r, 1, 480));
	assert_true(room_has_message(&f->r, 1, 481));
	assert_true(room_has_message(&f->r, 2, 1));
	assert_int_equal(room_rows(&f->r, "msg"), 40);
}

static void
a_seq_is_never_given_twice_though_all_messages_go(void **state)
{
	struct retention_limits limits = { .before_ms = T0 + 1000000,
		.keep_ids_ms = UINT64_MAX };
	struct fixture *f = *state;
	struct store_txn *t;
	struct room *room;

	room_add(&f->r, 1);
	room_fill(&f->r, 1, 1, 77, T0);
	walk(f, &limits);
	assert_int_equal(room_rows(&f->r, "msg"), 0);
	assert_int_equal(last_seq(f, 1), 77);
	/* and time goes on where it was */
	rooms_clear(f->r.rs);
	assert_non_null(t = store_snapshot(f->r.st.s));
	assert_non_null(room = rooms_get(f->r.rs, t, 1));
	assert_int_equal(room->now.last_seq, 77);
	assert_int_equal(room->now.last_ms, T0 + 77);
	store_snapshot_end(&t);
	rooms_commit(f->r.rs);
}

static void
no_limit_removes_nothing(void **state)
{
	struct retention_limits limits = { .keep_ids_ms = 0 };
	struct fixture *f = *state;

	room_add(&f->r, 1);
	room_fill(&f->r, 1, 1, 100, T0);
	walk(f, &limits);
	assert_int_equal(room_rows(&f->r, "msg"), 100);
}

static void
ids_within_the_window_are_kept_and_the_rooms_hear_of_it(void **state)
{
	struct retention_limits limits = { .max_messages = 10,
		.keep_ids_ms = T0 + 61 };
	struct fixture *f = *state;
	struct store_txn *t;
	struct room *room;
	uint64_t seq;

	room_add(&f->r, 1);
	room_fill(&f->r, 1, 1, 100, T0);
	walk(f, &limits);
	for (seq = 1; seq <= 90; seq++)
		assert_int_equal(room_id_merged(&f->r, 1, seq, T0), seq > 60);
	assert_non_null(t = store_snapshot(f->r.st.s));
	assert_non_null(room = rooms_get(f->r.rs, t, 1));
	assert_true(room->merged.any);
	store_snapshot_end(&t);
	rooms_commit(f->r.rs);
}

static void
a_slice_is_small_unless_much_is_stored(void **state)
{
	struct retention_limits limits = { .max_messages = 10,
		.keep_ids_ms = UINT64_MAX };
	struct fixture *f = *state;
	uint64_t before, n;

	room_add(&f->r, 1);
	room_fill(&f->r, 1, 1, 3000, T0);
	assert_int_equal(retention_slice(&f->ret, f->r.rs, &limits, 0, 0), 0);
	assert_int_equal(retention_count(&f->ret), RETENTION_SLICE);
	assert_int_equal(retention_next(&f->ret), RETENTION_SLICE_NS);
	before = retention_count(&f->ret);
	assert_int_equal(retention_slice(&f->ret, f->r.rs, &limits, 100, 0), 0);
	n = retention_count(&f->ret) - before;
	assert_int_equal(n, 200);
	before += n;
	assert_int_equal(retention_slice(&f->ret, f->r.rs, &limits, 90000, 0),
	    0);
	assert_int_equal(retention_count(&f->ret) - before,
	    RETENTION_SLICE_MAX);
}

static void
many_rooms_take_several_slices_and_none_is_left_out(void **state)
{
	struct retention_limits limits = { .max_messages = 1,
		.keep_ids_ms = UINT64_MAX };
	struct fixture *f = *state;
	uint64_t room;

	for (room = 1; room <= 200; room++) {
		room_add(&f->r, room);
		room_fill(&f->r, room, 1, 1 + room % 4, T0);
	}
	assert_true(walk(f, &limits) >= 200 / RETENTION_ROOMS);
	assert_int_equal(f->ret.rooms, 200);
	assert_int_equal(f->ret.walk_removed, 50 * (1 + 2 + 3));
	for (room = 1; room <= 200; room++)
		assert_true(room_has_message(&f->r, room, 1 + room % 4));
	assert_int_equal(room_rows(&f->r, "msg"), 200);
}

static void
walks_come_more_often_where_there_is_something_to_do(void **state)
{
	struct retention_limits limits = { .max_messages = 1,
		.keep_ids_ms = UINT64_MAX };
	struct fixture *f = *state;
	uint64_t at, pause = 0;
	int i;

	room_add(&f->r, 1);
	room_fill(&f->r, 1, 1, 2, T0);
	assert_int_equal(retention_slice(&f->ret, f->r.rs, &limits, 0, 0), 1);
	assert_int_equal(retention_next(&f->ret), RETENTION_BUSY_NS);
	for (i = 0; i < 12; i++) {
		at = retention_next(&f->ret);
		assert_int_equal(retention_slice(&f->ret, f->r.rs, &limits, 0,
				     at),
		    1);
		assert_true(retention_next(&f->ret) - at >= pause);
		pause = retention_next(&f->ret) - at;
	}
	assert_true(pause >= RETENTION_WALK_NS);
	assert_true(pause < 2 * RETENTION_WALK_NS);
}

static void
on_demand_there_are_no_pauses(void **state)
{
	struct retention_limits limits = { .max_messages = 10,
		.keep_ids_ms = UINT64_MAX };
	struct fixture *f = *state;
	int rc, slices = 0;

	room_add(&f->r, 1);
	room_fill(&f->r, 1, 1, 5000, T0);
	walk(f, &(struct retention_limits){ .keep_ids_ms = UINT64_MAX });
	retention_now(&f->ret);
	do {
		assert_int_equal(retention_next(&f->ret), 0);
		rc = retention_slice(&f->ret, f->r.rs, &limits, 0, 5);
		slices++;
	} while (rc == 0);
	assert_int_equal(rc, 1);
	assert_int_equal(f->ret.walk_removed, 4990);
	assert_true(slices <= 1 + 5000 / RETENTION_SLICE_MAX + 1);
	assert_true(retention_next(&f->ret) > 5);
}

/* In balance, what comes takes the place of what goes. */
static void
a_store_in_balance_does_not_grow(void **state)
{
	struct retention_limits limits = { .max_messages = 500,
		.keep_ids_ms = UINT64_MAX };
	struct fixture *f = *state;
	struct store_space sp;
	uint64_t seq = 0, file = 0;
	unsigned round;

	room_add(&f->r, 1);
	for (round = 0; round < 120; round++) {
		room_fill(&f->r, 1, seq + 1, seq + 100, T0);
		seq += 100;
		f->stored += 100;
		walk(f, &limits);
		assert_int_equal(store_space(f->r.st.s, &sp), 0);
		if (round == 30)
			file = sp.used_bytes;
	}
	assert_int_equal(room_rows(&f->r, "msg"), 500);
	/* 9,000 messages have come and gone */
	assert_true(sp.used_bytes <= file + file / 8);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(messages_that_are_too_old_go),
		T(messages_that_are_too_many_go_and_the_newest_stay),
		T(a_seq_is_never_given_twice_though_all_messages_go),
		T(no_limit_removes_nothing),
		T(ids_within_the_window_are_kept_and_the_rooms_hear_of_it),
		T(a_slice_is_small_unless_much_is_stored),
		T(many_rooms_take_several_slices_and_none_is_left_out),
		T(walks_come_more_often_where_there_is_something_to_do),
		T(on_demand_there_are_no_pauses),
		T(a_store_in_balance_does_not_grow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
