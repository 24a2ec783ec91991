/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_scribe_presence - joins, leaves, status.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/scribe_fixture.h"

/* One row, copied. */
struct row {
	bool there;
	struct store_presence p;
	char status[17];
	char name[64];
};

static struct row
row_of(struct scribe_fixture *f, uint64_t room, uint64_t user,
    const char *socket)
{
	struct row r = { .there = false };
	struct store_txn *t;

	assert_non_null(t = store_snapshot(f->st.s));
	if (store_presence_get(t, room, user, text(socket), &r.p) == 0) {
		r.there = true;
		snprintf(r.status, sizeof(r.status), "%.*s",
		    (int)r.p.status.len, r.p.status.p);
		snprintf(r.name, sizeof(r.name), "%.*s", (int)r.p.user_name.len,
		    r.p.user_name.p);
	}
	store_snapshot_end(&t);
	return r;
}

static void
a_join_tells_numbers_and_the_last_seq(void **state)
{
	struct scribe_fixture *f = *state;
	struct ring_index one, two;

	one = fix_decided(f, fix_join(f, "w", "a", "ada", "s1"));
	assert_int_equal(one.verdict, RING_STORED);
	assert_int_equal(one.room, 1);
	assert_int_equal(one.user, 1);
	assert_int_equal(one.seq, 0);
	fix_decided(f, fix_message(f, one.room, one.user, "m1", 0));
	two = fix_decided(f, fix_join(f, "w", "a", "bob", "s2"));
	assert_int_equal(two.room, one.room);
	assert_int_equal(two.user, 2);
	assert_int_equal(two.seq, 1);
}

static void
names_keep_their_numbers_for_ever(void **state)
{
	struct scribe_fixture *f = *state;
	struct ring_index one, two;

	one = fix_decided(f, fix_join(f, "w", "a", "ada", "s1"));
	two = fix_decided(f, fix_join(f, "x", "a", "ada", "s1"));
	assert_int_not_equal(two.room, one.room);
	assert_int_equal(two.user, one.user);
	fix_stop(f);
	assert_int_equal(fix_start(f), 0);
	two = fix_decided(f, fix_join(f, "w", "b", "bob", "s3"));
	assert_int_equal(two.room, 3);
	assert_int_equal(two.user, 2);
	two = fix_decided(f, fix_join(f, "w", "a", "ada", "s4"));
	assert_int_equal(two.room, one.room);
	assert_int_equal(two.user, one.user);
}

static void
a_join_makes_a_row_with_its_owner(void **state)
{
	struct scribe_fixture *f = *state;
	uint64_t g = fix_join(f, "w", "a", "ada", "s1");
	struct ring_index ix = fix_decided(f, g);
	struct row r = row_of(f, ix.room, ix.user, "s1");

	assert_true(r.there);
	assert_string_equal(r.status, "active");
	assert_string_equal(r.name, "A Name");
	assert_int_equal(r.p.incarnation, FIX_INCARNATION);
	assert_int_equal(r.p.client, 1);
	assert_int_equal(r.p.gseq, g);
	assert_int_equal(r.p.joined_ms, ix.time_ms);
	assert_int_equal(r.p.activity_ms, ix.time_ms);
}

/* Whatever is in the cache of rooms: joins and leaves tell how many are in. */
static void
members_are_counted(void **state)
{
	struct scribe_fixture *f = *state;
	struct ring_index ix;

	ix = fix_decided(f, fix_join(f, "w", "a", "ada", "s1"));
	assert_int_equal(ix.members, 1);
	ix = fix_decided(f, fix_join(f, "w", "a", "ada", "s2"));
	assert_int_equal(ix.members, 2);
	assert_int_equal(fix_decided(f, fix_join(f, "w", "b", "ada", "s1"))
			     .members,
	    1);
	assert_int_equal(fix_decided(f, fix_join(f, "w", "a", "ada", "s2"))
			     .members,
	    2);
	fix_stop(f);
	assert_int_equal(fix_start(f), 0);
	/* nobody has counted here yet */
	ix = fix_decided(f, fix_leave(f, ix.room, ix.user, "s1"));
	assert_int_equal(ix.verdict, RING_STORED);
	assert_int_equal(ix.members, 1);
	ix = fix_decided(f, fix_leave(f, ix.room, ix.user, "s2"));
	assert_int_equal(ix.members, 0);
}

static void
joining_again_leaves_the_status_as_it_is(void **state)
{
	struct scribe_fixture *f = *state;
	struct ring_index ix;

	ix = fix_decided(f, fix_join(f, "w", "a", "ada", "s1"));
	fix_decided(f, fix_presence(f, ix.room, ix.user, "s1", "away"));
	ix = fix_decided(f, fix_join(f, "w", "a", "ada", "s1"));
	assert_int_equal(ix.verdict, RING_DUPLICATE);
	assert_string_equal(row_of(f, ix.room, ix.user, "s1").status, "away");
}

static void
joining_again_is_a_duplicate_and_keeps_the_first_time(void **state)
{
	struct scribe_fixture *f = *state;
	struct ring_index one, two;
	struct row r;
	uint64_t g;

	one = fix_decided(f, fix_join(f, "w", "a", "ada", "s1"));
	usleep(3000);
	g = fix_join(f, "w", "a", "ada", "s1");
	two = fix_decided(f, g);
	assert_int_equal(two.verdict, RING_DUPLICATE);
	assert_int_equal(two.room, one.room);
	assert_int_equal(two.user, one.user);
	r = row_of(f, one.room, one.user, "s1");
	assert_int_equal(r.p.joined_ms, one.time_ms);
	assert_int_equal(r.p.gseq, g);
	assert_int_equal(sequence_counts(f->q)->joins, 1);
}

static void
a_full_session_takes_nobody_but_who_is_there(void **state)
{
	struct scribe_fixture *f = *state;
	uint64_t room;

	f->limits.members_per_session = 2;
	sequence_configure(f->q, &f->limits);
	room = fix_room(f, "a", NULL);
	assert_int_equal(fix_decided(f, fix_join(f, "w", "a", "bob", "s2"))
			     .verdict,
	    RING_STORED);
	assert_int_equal(fix_decided(f, fix_join(f, "w", "a", "eve", "s3"))
			     .verdict,
	    RING_SESSION_FULL);
	assert_int_equal(fix_decided(f, fix_join(f, "w", "a", "bob", "s2"))
			     .verdict,
	    RING_DUPLICATE);
	/* the same in a new process, which has to count */
	fix_stop(f);
	assert_int_equal(fix_start(f), 0);
	assert_int_equal(fix_decided(f, fix_join(f, "w", "a", "eve", "s3"))
			     .verdict,
	    RING_SESSION_FULL);
	fix_decided(f, fix_leave(f, room, 2, "s2"));
	assert_int_equal(fix_decided(f, fix_join(f, "w", "a", "eve", "s3"))
			     .verdict,
	    RING_STORED);
	assert_int_equal(fix_decided(f, fix_join(f, "w", "a", "max", "s4"))
			     .verdict,
	    RING_SESSION_FULL);
}

static void
a_leave_removes_the_row_and_counts_what_remains(void **state)
{
	struct scribe_fixture *f = *state;
	uint64_t user, room = fix_room(f, "a", &user);
	struct ring_index ix;

	fix_decided(f, fix_join(f, "w", "a", "ada", "s2"));
	fix_decided(f, fix_join(f, "w", "a", "bob", "s3"));
	fix_decided(f, fix_join(f, "w", "b", "ada", "s4"));
	ix = fix_decided(f, fix_leave(f, room, user, "sock"));
	assert_int_equal(ix.verdict, RING_STORED);
	assert_int_equal(ix.seq, 1);
	assert_false(row_of(f, room, user, "sock").there);
	ix = fix_decided(f, fix_leave(f, room, user, "s2"));
	assert_int_equal(ix.seq, 0);
	ix = fix_decided(f, fix_leave(f, room, user, "s2"));
	assert_int_equal(ix.verdict, RING_REJECTED);
	assert_true(row_of(f, room, 2, "s3").there);
}

static void
a_leave_of_somebody_else_changes_nothing(void **state)
{
	struct scribe_fixture *f = *state;
	struct fix_socket first = { 7, 1, "", "ada", "s" }, other;
	struct ring_index in, ix;
	struct row r;

	in = fix_decided(f, fix_sock_join(f, &first, "a", 0, NULL));
	other = first;
	other.generation = 2;
	ix = fix_decided(f, fix_sock_leave(f, &other, &in, RECORD_F_FINAL));
	assert_int_equal(ix.verdict, RING_REJECTED);
	other.generation = 1;
	other.client = 8;
	ix = fix_decided(f, fix_sock_leave(f, &other, &in, RECORD_F_LOST));
	assert_int_equal(ix.verdict, RING_REJECTED);
	r = row_of(f, in.room, in.user, "s");
	assert_true(r.there);
	assert_int_equal(r.p.client, 7);
	/* who joins last is who may leave */
	ix = fix_decided(f, fix_sock_join(f, &other, "a", 0, NULL));
	assert_int_equal(ix.verdict, RING_DUPLICATE);
	ix = fix_decided(f, fix_sock_leave(f, &first, &in, 0));
	assert_int_equal(ix.verdict, RING_REJECTED);
	assert_true(row_of(f, in.room, in.user, "s").there);
	ix = fix_decided(f, fix_sock_leave(f, &other, &in, 0));
	assert_int_equal(ix.verdict, RING_STORED);
	assert_false(row_of(f, in.room, in.user, "s").there);
	assert_int_equal(sequence_counts(f->q)->leaves, 1);
}

static void
joins_and_leaves_of_one_batch_are_in_order(void **state)
{
	struct scribe_fixture *f = *state;
	uint64_t user, room = fix_room(f, "a", &user), g[4];

	g[0] = fix_join(f, "w", "a", "ada", "s2");
	g[1] = fix_leave(f, room, user, "s2");
	g[2] = fix_join(f, "w", "a", "ada", "s2");
	g[3] = fix_leave(f, room, user, "sock");
	fix_turns(f);
	assert_int_equal(fix_index(f, g[0]).verdict, RING_STORED);
	assert_int_equal(fix_index(f, g[1]).seq, 1);
	assert_int_equal(fix_index(f, g[2]).verdict, RING_STORED);
	assert_int_equal(fix_index(f, g[3]).seq, 1);
	assert_true(row_of(f, room, user, "s2").there);
}

static void
status_and_activity_change_with_the_row(void **state)
{
	struct scribe_fixture *f = *state;
	uint64_t user, room = fix_room(f, "a", &user), g;
	struct ring_index ix;
	struct row r;

	usleep(3000);
	g = fix_presence(f, room, user, "sock", "away");
	ix = fix_decided(f, g);
	assert_int_equal(ix.verdict, RING_STORED);
	r = row_of(f, room, user, "sock");
	assert_string_equal(r.status, "away");
	assert_string_equal(r.name, "A Name");
	assert_int_equal(r.p.gseq, g);
	assert_int_equal(r.p.activity_ms, ix.time_ms);
	assert_true(r.p.joined_ms < r.p.activity_ms);
	/* two changes of one row in one batch */
	fix_presence(f, room, user, "sock", "idle");
	fix_decided(f, fix_presence(f, room, user, "sock", "active"));
	r = row_of(f, room, user, "sock");
	assert_string_equal(r.status, "active");
	assert_string_equal(r.name, "A Name");
}

static void
status_of_who_is_not_there_is_rejected(void **state)
{
	struct scribe_fixture *f = *state;
	uint64_t user, room = fix_room(f, "a", &user);

	assert_int_equal(fix_decided(f,
			     fix_presence(f, room, user, "sx", "idle"))
			     .verdict,
	    RING_REJECTED);
	assert_int_equal(fix_decided(f,
			     fix_presence(f, room + 1, user, "sock", "idle"))
			     .verdict,
	    RING_REJECTED);
	assert_int_equal(fix_decided(f, fix_presence(f, room, user, "sock", ""))
			     .verdict,
	    RING_REJECTED);
	assert_int_equal(fix_decided(f,
			     fix_presence(f, room, user, "sock",
				 "a status that is too long"))
			     .verdict,
	    RING_REJECTED);
}

static void
a_join_without_names_is_rejected(void **state)
{
	struct scribe_fixture *f = *state;

	assert_int_equal(fix_decided(f, fix_join(f, "", "a", "ada", "s"))
			     .verdict,
	    RING_REJECTED);
	assert_int_equal(fix_decided(f, fix_join(f, "w", "", "ada", "s"))
			     .verdict,
	    RING_REJECTED);
	assert_int_equal(fix_decided(f, fix_join(f, "w", "a", "", "s")).verdict,
	    RING_REJECTED);
	assert_int_equal(fix_decided(f, fix_join(f, "w", "a", "ada", ""))
			     .verdict,
	    RING_REJECTED);
	/* no number was used up */
	assert_int_equal(fix_decided(f, fix_join(f, "w", "a", "ada", "s")).room,
	    1);
}

static void
a_user_has_the_name_used_last(void **state)
{
	struct scribe_fixture *f = *state;
	const char *const fields[] = { "w", "a", "ada", "Countess", "s9", "",
		"", "" };
	struct record h = { .type = RECORD_JOIN };
	struct store_user user;
	struct store_txn *t;
	uint64_t number;

	(void)fix_room(f, "a", &number);
	fix_decided(f, fix_publish(f, &h, fields, 8));
	assert_non_null(t = store_snapshot(f->st.s));
	assert_int_equal(store_user_get(t, number, &user), 0);
	assert_int_equal(user.name.len, 8);
	assert_memory_equal(user.name.p, "Countess", 8);
	assert_memory_equal(user.id.p, "ada", 3);
	store_snapshot_end(&t);
}

static void
nobody_is_present_in_a_new_ring(void **state)
{
	struct scribe_fixture *f = *state;
	uint64_t user, room = fix_room(f, "a", &user), base;

	fix_decided(f, fix_message(f, room, user, "m1", 0));
	fix_stop(f);
	base = FIX_BASE + (1 << 20);
	fix_drop_ring(f);
	assert_int_equal(fix_ring(f, 12, 2, base), 0);
	assert_int_equal(fix_start(f), 0);
	assert_false(row_of(f, room, user, "sock").there);
	/* what was said is still there, and counted on */
	assert_int_equal(fix_decided(f, fix_message(f, room, user, "m1", 0))
			     .verdict,
	    RING_DUPLICATE);
	assert_int_equal(fix_decided(f, fix_message(f, room, user, "m2", 0))
			     .seq,
	    2);
}

#define T(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_join_tells_numbers_and_the_last_seq),
		T(names_keep_their_numbers_for_ever),
		T(a_join_makes_a_row_with_its_owner),
		T(members_are_counted),
		T(joining_again_leaves_the_status_as_it_is),
		T(joining_again_is_a_duplicate_and_keeps_the_first_time),
		T(a_full_session_takes_nobody_but_who_is_there),
		T(a_leave_removes_the_row_and_counts_what_remains),
		T(a_leave_of_somebody_else_changes_nothing),
		T(joins_and_leaves_of_one_batch_are_in_order),
		T(status_and_activity_change_with_the_row),
		T(status_of_who_is_not_there_is_rejected),
		T(a_join_without_names_is_rejected),
		T(a_user_has_the_name_used_last),
		T(nobody_is_present_in_a_new_ring),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
