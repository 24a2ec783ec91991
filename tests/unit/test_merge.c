/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_merge - ids go from memory into the store, all of them, in slices.
 */

#include "scribe/merge.h"

#include "tests/unit/room_fixture.h"

#define ROOM 3
#define T0 1000000

struct fixture {
	struct room_fixture r;
	struct merge m;
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
	merge_init(&f->m, f->r.st.s);
	room_add(&f->r, ROOM);
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;
	int rc;

	merge_clear(&f->m);
	rc = room_fixture_close(&f->r);
	free(f);
	return rc;
}

/* The whole of it; returns how many slices it took. */
static unsigned
merge(struct fixture *f, uint64_t since_ms, unsigned max)
{
	unsigned slices = 0;
	int rc;

	assert_int_equal(merge_begin(&f->m, ROOM, since_ms), 0);
	assert_true(merge_active(&f->m));
	do {
		rc = merge_slice(&f->m, f->r.rs, max);
		assert_int_not_equal(rc, -1);
		slices++;
	} while (rc == 0);
	assert_false(merge_active(&f->m));
	return slices;
}

static struct room *
room_of(struct fixture *f)
{
	struct store_txn *t;
	struct room *room;

	assert_non_null(t = store_snapshot(f->r.st.s));
	assert_non_null(room = rooms_get(f->r.rs, t, ROOM));
	store_snapshot_end(&t);
	rooms_commit(f->r.rs);
	return room;
}

static void
all_ids_up_to_the_newest_are_in_the_store_and_not_in_memory(void **state)
{
	struct fixture *f = *state;
	struct store_merged m;
	uint64_t seq;

	room_fill(&f->r, ROOM, 1, 5000, T0);
	assert_int_equal(rooms_ids(f->r.rs), 5000);
	merge(f, 0, MERGE_PUT);
	for (seq = 1; seq <= 5000; seq++)
		assert_true(room_id_merged(&f->r, ROOM, seq, T0));
	m = room_merged(&f->r, ROOM);
	assert_int_equal(m.seq, 5000);
	assert_int_equal(m.gseq, 1000 + 5000 - 1);
	assert_int_equal(m.count, 5000);
	assert_int_equal(rooms_ids(f->r.rs), 0);
	assert_int_equal(room_of(f)->merged.seq, 5000);
	assert_int_equal(merge_count(&f->m), 5000);
}

static void
a_slice_is_small_and_messages_go_on_between(void **state)
{
	struct fixture *f = *state;
	unsigned slices = 0;
	uint64_t rows = 0, now, seq = 4100;
	int rc;

	room_fill(&f->r, ROOM, 1, seq, T0);
	assert_int_equal(merge_begin(&f->m, ROOM, 0), 0);
	do {
		room_fill(&f->r, ROOM, seq + 1, seq + 10, T0);
		seq += 10;
		rc = merge_slice(&f->m, f->r.rs, 100);
		assert_int_not_equal(rc, -1);
		now = room_rows(&f->r, "dedupe");
		assert_true(now - rows <= 101);
		rows = now;
		slices++;
	} while (rc == 0);
	/* three of reading, 41 of writing */
	assert_int_equal(slices, 44);
	assert_int_equal(room_merged(&f->r, ROOM).seq, 4100);
	/* what came meanwhile is still known, in memory */
	assert_int_equal(rooms_ids(f->r.rs), seq - 4100);
	assert_false(room_id_merged(&f->r, ROOM, seq, T0));
}

static void
the_next_merge_begins_behind_the_last(void **state)
{
	struct fixture *f = *state;
	struct store_merged m;

	room_fill(&f->r, ROOM, 1, 300, T0);
	merge(f, 0, MERGE_PUT);
	room_fill(&f->r, ROOM, 301, 500, T0);
	merge(f, 0, MERGE_PUT);
	assert_int_equal(merge_count(&f->m), 500);
	m = room_merged(&f->r, ROOM);
	assert_int_equal(m.seq, 500);
	assert_int_equal(m.count, 500);
	assert_true(room_id_merged(&f->r, ROOM, 1, T0));
	assert_true(room_id_merged(&f->r, ROOM, 500, T0));
}

static void
a_merge_that_ended_in_the_middle_is_done_again_without_harm(void **state)
{
	struct fixture *f = *state;
	struct store_merged m;
	uint64_t seq;
	int i;

	room_fill(&f->r, ROOM, 1, 600, T0);
	assert_int_equal(merge_begin(&f->m, ROOM, 0), 0);
	for (i = 0; i < 5; i++)
		assert_int_equal(merge_slice(&f->m, f->r.rs, 100), 0);
	assert_int_equal(room_merged(&f->r, ROOM).seq, 0);
	assert_true(room_rows(&f->r, "dedupe") > 0);
	/* the process dies, another one begins with nothing */
	merge_clear(&f->m);
	merge_init(&f->m, f->r.st.s);
	rooms_free(&f->r.rs);
	assert_non_null(f->r.rs = rooms_new(1000, 1 << 20));
	merge(f, 0, 100);
	m = room_merged(&f->r, ROOM);
	assert_int_equal(m.seq, 600);
	assert_int_equal(m.count, 600);
	for (seq = 1; seq <= 600; seq++)
		assert_true(room_id_merged(&f->r, ROOM, seq, T0));
	assert_int_equal(room_rows(&f->r, "dedupe"), 601);
}

static void
what_is_older_than_the_window_gets_no_row(void **state)
{
	struct fixture *f = *state;
	struct store_merged m;

	room_fill(&f->r, ROOM, 1, 100, T0);
	merge(f, T0 + 41, MERGE_PUT);
	m = room_merged(&f->r, ROOM);
	assert_int_equal(m.seq, 100);
	assert_int_equal(m.count, 60);
	assert_false(room_id_merged(&f->r, ROOM, 40, T0));
	assert_true(room_id_merged(&f->r, ROOM, 41, T0));
}

static void
what_retention_removes_meanwhile_is_known_all_the_same(void **state)
{
	struct store_trim trim = { .room = ROOM, .below_seq = 51, .max = 100 };
	struct fixture *f = *state;
	struct store_txn *t;
	uint64_t seq;
	int rc;

	room_fill(&f->r, ROOM, 1, 200, T0);
	assert_int_equal(merge_begin(&f->m, ROOM, 0), 0);
	assert_int_equal(merge_slice(&f->m, f->r.rs, 20), 0);
	assert_int_equal(merge_slice(&f->m, f->r.rs, 20), 0);
	assert_non_null(t = store_begin(f->r.st.s));
	assert_int_equal(store_trim(t, &trim), 0);
	assert_int_equal(trim.removed, 50);
	assert_int_equal(store_commit(&t), 0);
	while ((rc = merge_slice(&f->m, f->r.rs, 20)) == 0)
		;
	assert_int_equal(rc, 1);
	for (seq = 1; seq <= 200; seq++)
		assert_true(room_id_merged(&f->r, ROOM, seq, T0));
	assert_int_equal(room_merged(&f->r, ROOM).seq, 200);
}

static void
what_retention_removed_before_is_not_looked_for(void **state)
{
	struct store_trim trim = { .room = ROOM, .below_seq = 101, .max = 200 };
	struct fixture *f = *state;
	struct store_txn *t;

	room_fill(&f->r, ROOM, 1, 100, T0);
	assert_non_null(t = store_begin(f->r.st.s));
	assert_int_equal(store_trim(t, &trim), 0);
	assert_int_equal(store_commit(&t), 0);
	assert_false(room_has_message(&f->r, ROOM, 100));
	merge(f, 0, MERGE_PUT);
	assert_int_equal(room_merged(&f->r, ROOM).seq, 100);
	assert_true(room_id_merged(&f->r, ROOM, 1, T0));
	assert_true(room_id_merged(&f->r, ROOM, 100, T0));
}

static void
a_large_room_takes_several_merges(void **state)
{
	struct fixture *f = *state;

	f->m.max_runs = 2;
	room_fill(&f->r, ROOM, 1, 5000, T0);
	merge(f, 0, MERGE_PUT);
	assert_int_equal(room_merged(&f->r, ROOM).seq, 2 * MERGE_READ);
	assert_true(room_id_merged(&f->r, ROOM, 2 * MERGE_READ, T0));
	assert_false(room_id_merged(&f->r, ROOM, 2 * MERGE_READ + 1, T0));
	assert_int_equal(rooms_ids(f->r.rs), 5000 - 2 * MERGE_READ);
	merge(f, 0, MERGE_PUT);
	assert_int_equal(room_merged(&f->r, ROOM).seq, 5000);
	assert_int_equal(rooms_ids(f->r.rs), 0);
}

static void
ids_with_one_hash_are_all_there(void **state)
{
	struct fixture *f = *state;

	/* nobody can make them here; that runs with equal elements end does
	 * not depend on it */
	room_fill(&f->r, ROOM, 1, 3, T0);
	assert_int_equal(merge_begin(&f->m, ROOM, 0), 0);
	assert_int_equal(merge_slice(&f->m, f->r.rs, 1), 0);
	f->m.id[1].hash = f->m.id[0].hash;
	assert_int_equal(merge_slice(&f->m, f->r.rs, 1), 0);
	assert_int_equal(merge_slice(&f->m, f->r.rs, 1), 0);
	assert_int_equal(merge_slice(&f->m, f->r.rs, 1), 1);
	assert_int_equal(room_rows(&f->r, "dedupe"), 4);
}

static void
an_empty_room_is_merged_at_once(void **state)
{
	struct fixture *f = *state;

	merge(f, 0, MERGE_PUT);
	assert_int_equal(room_merged(&f->r, ROOM).seq, 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(all_ids_up_to_the_newest_are_in_the_store_and_not_in_memory),
		T(a_slice_is_small_and_messages_go_on_between),
		T(the_next_merge_begins_behind_the_last),
		T(a_merge_that_ended_in_the_middle_is_done_again_without_harm),
		T(what_is_older_than_the_window_gets_no_row),
		T(what_retention_removes_meanwhile_is_known_all_the_same),
		T(what_retention_removed_before_is_not_looked_for),
		T(a_large_room_takes_several_merges),
		T(ids_with_one_hash_are_all_there),
		T(an_empty_room_is_merged_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
