/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_rooms - what the scribe remembers of rooms, and takes back.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "scribe/rooms.h"
#include "tests/unit/store_fixture.h"

#define NROOMS 20

struct fixture {
	struct store_fixture st;
	struct store_txn *t;
	struct rooms *rs;
};

/* Rooms 1..NROOMS with as many messages as their number. */
static void
fill(struct store_txn *t)
{
	char name[16];
	uint64_t n, seq;

	for (n = 1; n <= NROOMS; n++) {
		struct store_room room = { .room = n, .workspace = text("w") };

		snprintf(name, sizeof(name), "s%llu", (unsigned long long)n);
		room.session = text(name);
		store_room_add(t, &room);
		for (seq = 1; seq <= n; seq++) {
			uint64_t hash[2] = { seq, 0 };
			struct store_message m = { .room = n,
				.seq = seq,
				.gseq = seq,
				.time_ms = 500 + seq };

			store_message_add(t, &m, hash);
		}
	}
}

static int
setup(void **state)
{
	struct fixture *f;

	if ((f = calloc(1, sizeof(*f))) == NULL)
		return -1;
	*state = f;
	if (store_fixture_open(&f->st) == -1 ||
	    (f->t = store_begin(f->st.s)) == NULL)
		return -1;
	fill(f->t);
	f->rs = rooms_new(8, 4096);
	return f->rs == NULL ? -1 : 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;
	int rc;

	rooms_free(&f->rs);
	store_abort(&f->t);
	rc = store_fixture_close(&f->st);
	free(f);
	return rc;
}

static void
a_room_comes_with_its_last_seq_and_time(void **state)
{
	struct fixture *f = *state;
	struct room *room;

	assert_non_null(room = rooms_get(f->rs, f->t, 7));
	assert_int_equal(room->now.last_seq, 7);
	assert_int_equal(room->now.last_ms, 507);
	assert_ptr_equal(rooms_get(f->rs, f->t, 7), room);
	assert_int_equal(rooms_count(f->rs), 1);
}

static void
a_room_that_is_not_stored_is_not_there(void **state)
{
	struct fixture *f = *state;

	errno = 0;
	assert_null(rooms_get(f->rs, f->t, NROOMS + 1));
	assert_int_equal(errno, ENOENT);
	assert_int_equal(rooms_count(f->rs), 0);
}

static void
a_rollback_takes_back_numbers_and_ids(void **state)
{
	struct fixture *f = *state;
	struct room *room;
	uint32_t place = 0;

	assert_non_null(room = rooms_get(f->rs, f->t, 3));
	assert_int_equal(rooms_load_ids(f->rs, f->t, room, 0), 0);
	assert_int_equal(rooms_add_id(f->rs, room, 77, 4), 0);
	room->now.last_seq = 4;
	rooms_commit(f->rs);

	assert_ptr_equal(rooms_get(f->rs, f->t, 3), room);
	assert_int_equal(rooms_add_id(f->rs, room, 88, 5), 0);
	assert_int_equal(rooms_add_id(f->rs, room, 77, 6), 0);
	room->now.last_seq = 6;
	room->now.members = 9;
	rooms_rollback(f->rs);

	assert_ptr_equal(rooms_get(f->rs, f->t, 3), room);
	assert_int_equal(room->now.last_seq, 4);
	assert_true(room->now.members == ROOM_UNCOUNTED);
	assert_int_equal(dedupe_next(&room->ids, 88, &place), 0);
	place = 0;
	assert_int_equal(dedupe_next(&room->ids, 77, &place), 4);
	assert_int_equal(dedupe_next(&room->ids, 77, &place), 0);
}

static void
a_room_that_was_never_stored_is_gone_after_a_rollback(void **state)
{
	struct fixture *f = *state;
	struct room *room;

	assert_non_null(room = rooms_create(f->rs, 99));
	assert_int_equal(room->now.members, 0);
	assert_ptr_equal(rooms_get(f->rs, f->t, 99), room);
	assert_int_equal(rooms_add_id(f->rs, room, 1, 1), 0);
	rooms_rollback(f->rs);
	assert_null(rooms_get(f->rs, f->t, 99));

	assert_non_null(room = rooms_create(f->rs, 99));
	rooms_commit(f->rs);
	assert_ptr_equal(rooms_get(f->rs, f->t, 99), room);
	rooms_rollback(f->rs);
	assert_ptr_equal(rooms_get(f->rs, f->t, 99), room);
}

static void
the_rooms_not_used_for_longest_are_forgotten(void **state)
{
	struct fixture *f = *state;
	struct room *room;
	uint64_t n;

	for (n = 1; n <= 12; n++) {
		assert_non_null(rooms_get(f->rs, f->t, 1));
		assert_non_null(room = rooms_get(f->rs, f->t, n));
		room->now.members = 1000 + n;
		rooms_commit(f->rs);
		assert_true(rooms_count(f->rs) <= 8);
	}
	/* 1 was always used, 12 was just used, 2 was not */
	assert_int_equal(rooms_get(f->rs, f->t, 1)->now.members, 1001);
	assert_int_equal(rooms_get(f->rs, f->t, 12)->now.members, 1012);
	assert_true(rooms_get(f->rs, f->t, 2)->now.members == ROOM_UNCOUNTED);
}

static void
within_a_batch_nothing_is_forgotten(void **state)
{
	struct fixture *f = *state;
	struct room *room[NROOMS + 1];
	uint64_t n;

	for (n = 1; n <= NROOMS; n++)
		assert_non_null(room[n] = rooms_get(f->rs, f->t, n));
	for (n = 1; n <= NROOMS; n++)
		assert_ptr_equal(rooms_get(f->rs, f->t, n), room[n]);
	rooms_commit(f->rs);
	assert_int_equal(rooms_count(f->rs), 8);
}

static void
ids_are_forgotten_before_they_take_too_much(void **state)
{
	struct fixture *f = *state;
	struct room *room;
	uint64_t n;

	/* some tables of 512 bytes: 4096 bytes hold eight */
	for (n = 13; n <= NROOMS; n++) {
		assert_non_null(room = rooms_get(f->rs, f->t, n));
		assert_int_equal(rooms_load_ids(f->rs, f->t, room, 0), 0);
		assert_int_equal(room->ids.n, n);
		rooms_commit(f->rs);
		assert_true(rooms_bytes(f->rs) <= 4096);
	}
	assert_int_equal(rooms_count(f->rs), 8);
	assert_non_null(room = rooms_get(f->rs, f->t, NROOMS));
	assert_true(room->ids.loaded);
	for (n = 1; n <= 400; n++)
		assert_int_equal(rooms_add_id(f->rs, room, n, 100 + n), 0);
	rooms_commit(f->rs);
	assert_true(rooms_bytes(f->rs) <= 4096);
	/* and come back when they are wanted */
	assert_non_null(room = rooms_get(f->rs, f->t, 13));
	assert_false(room->ids.loaded);
	assert_int_equal(rooms_load_ids(f->rs, f->t, room, 0), 0);
	assert_int_equal(room->ids.n, 13);
}

static void
members_are_counted_once(void **state)
{
	struct fixture *f = *state;
	struct store_presence p = { .room = 4, .user = 1, .socket = text("a") };
	struct room *room;

	store_presence_put(f->t, &p);
	p.socket = text("b");
	store_presence_put(f->t, &p);
	assert_non_null(room = rooms_get(f->rs, f->t, 4));
	assert_true(room->now.members == ROOM_UNCOUNTED);
	assert_int_equal(rooms_count_members(f->t, room), 0);
	assert_int_equal(room->now.members, 2);
	p.socket = text("c");
	store_presence_put(f->t, &p);
	assert_int_equal(rooms_count_members(f->t, room), 0);
	assert_int_equal(room->now.members, 2);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_room_comes_with_its_last_seq_and_time),
		T(a_room_that_is_not_stored_is_not_there),
		T(a_rollback_takes_back_numbers_and_ids),
		T(a_room_that_was_never_stored_is_gone_after_a_rollback),
		T(the_rooms_not_used_for_longest_are_forgotten),
		T(within_a_batch_nothing_is_forgotten),
		T(ids_are_forgotten_before_they_take_too_much),
		T(members_are_counted_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
