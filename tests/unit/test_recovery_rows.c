/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_recovery_rows - what joins and leaves make of recovery rows, and
 * what a damaged one costs.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store/env.h"
#include "tests/unit/recovery_fixture.h"

/* --- joins ------------------------------------------------------------- */

static void
the_first_join_makes_the_row(void **state)
{
	struct scribe_fixture *f = *state;
	uint64_t g = fix_sock_join(f, &ada, "a", 0, "41");
	struct ring_index in = fix_decided(f, g);
	struct row row = row_of(f, &ada);

	assert_int_equal(in.verdict, RING_STORED);
	assert_true(row.there);
	assert_string_equal(row.socket, "socket-of-ada");
	assert_string_equal(row.user, "ada");
	assert_string_equal(row.agent, "agent");
	assert_int_equal(row.r.user, in.user);
	assert_int_equal(row.r.lost_ms, 0);
	assert_int_equal(row.r.run, FIX_BASE);
	assert_int_equal(row.r.incarnation, FIX_INCARNATION);
	assert_int_equal(row.r.client, 7);
	assert_int_equal(row.r.generation, 1);
	assert_false(row.r.partial);
	assert_int_equal(row.r.nrooms, 1);
	assert_int_equal(row.r.room[0].room, in.room);
	assert_int_equal(row.r.room[0].gseq, g);
	assert_true(row.r.room[0].has_after);
	assert_int_equal(row.r.room[0].after_seq, 41);
	assert_true(row.r.room[0].present);
	assert_true(is_member(f, &ada, &in, true));
}

static void
further_joins_add_their_rooms(void **state)
{
	struct scribe_fixture *f = *state;
	struct ring_index one = join(f, &ada, "a"), two = join(f, &ada, "b");
	struct row row = row_of(f, &ada);

	assert_int_equal(row.r.nrooms, 2);
	assert_int_equal(row.r.room[0].room, one.room);
	assert_int_equal(row.r.room[1].room, two.room);
	assert_false(row.r.room[1].has_after);
	assert_true(row.r.room[1].gseq > row.r.room[0].gseq);
}

static void
a_join_without_a_pid_makes_no_row(void **state)
{
	struct scribe_fixture *f = *state;
	struct ring_index in =
	    fix_decided(f, fix_join(f, "w", "a", "ada", "socket-of-ada"));

	assert_int_equal(in.verdict, RING_STORED);
	assert_false(row_of(f, &ada).there);
	assert_true(is_member(f, &ada, &in, false));
}

static void
a_join_that_is_published_again_counts_from_then(void **state)
{
	struct scribe_fixture *f = *state;
	uint64_t g;
	struct row row;

	(void)join(f, &ada, "a");
	g = fix_sock_join(f, &ada, "a", 0, "5");
	assert_int_equal(fix_decided(f, g).verdict, RING_DUPLICATE);
	row = row_of(f, &ada);
	assert_int_equal(row.r.nrooms, 1);
	assert_int_equal(row.r.room[0].gseq, g);
	assert_int_equal(row.r.room[0].after_seq, 5);
}

static void
a_join_with_fields_that_make_no_sense_is_rejected(void **state)
{
	struct scribe_fixture *f = *state;
	static const char *const after[] = { "x", "-1", "1 ", " 1", "0x1",
		"18446744073709551616", "99999999999999999999" };
	struct fix_socket bad = ada;
	unsigned i;

	for (i = 0; i < sizeof(after) / sizeof(after[0]); i++)
		assert_int_equal(fix_decided(f,
				     fix_sock_join(f, &ada, "a", 0, after[i]))
				     .verdict,
		    RING_REJECTED);
	bad.pid = "a-pid-of-21-character";
	assert_int_equal(join(f, &bad, "a").verdict, RING_REJECTED);
	bad.pid = "short";
	assert_int_equal(join(f, &bad, "a").verdict, RING_REJECTED);
	assert_int_equal(fix_decided(f,
			     fix_sock_join(f, &ada, "a", 0,
				 "18446744073709551615"))
			     .verdict,
	    RING_STORED);
	assert_true(row_of(f, &ada).r.room[0].after_seq == UINT64_MAX);
}

static void
nobody_joins_with_the_pid_of_somebody_else(void **state)
{
	struct scribe_fixture *f = *state;
	struct fix_socket other = ada;
	struct ring_index in = join(f, &ada, "a"), ix;

	assert_int_equal(join(f, &back, "b").verdict, RING_REJECTED);
	assert_int_equal(rejoin(f, &back, "a").verdict, RING_REJECTED);
	other.user = "eve";
	assert_int_equal(join(f, &other, "b").verdict, RING_REJECTED);
	other.user = "ada";
	other.socket = "another";
	ix = join(f, &other, "b");
	assert_int_equal(ix.verdict, RING_REJECTED);
	/* and no number was given out for it */
	assert_int_equal(ix.room, 0);
	assert_int_equal(row_of(f, &ada).r.nrooms, 1);
	assert_true(is_member(f, &ada, &in, true));
	assert_int_equal(join(f, &ada, "new").room, in.room + 1);
}

static void
a_full_session_leaves_no_trace_in_the_row(void **state)
{
	struct scribe_fixture *f = *state;
	struct ring_index in;
	uint64_t g;

	f->limits.members_per_session = 1;
	sequence_configure(f->q, &f->limits);
	(void)fix_room(f, "full", NULL);
	assert_int_equal(join(f, &ada, "full").verdict, RING_SESSION_FULL);
	assert_false(row_of(f, &ada).there);
	in = join(f, &ada, "a");
	g = fix_sock_join(f, &ada, "full", 0, NULL);
	/* with something that is written in the same batch */
	fix_decided(f, fix_message(f, in.room, in.user, "m1", 0));
	assert_int_equal(fix_index(f, g).verdict, RING_SESSION_FULL);
	assert_int_equal(row_of(f, &ada).r.nrooms, 1);
}

static void
a_socket_in_more_rooms_than_fit_cannot_be_recovered(void **state)
{
	struct scribe_fixture *f = *state;
	struct ring_index ix;
	char session[16];
	unsigned i;

	for (i = 0; i < STORE_RECOVERY_ROOMS; i++) {
		snprintf(session, sizeof(session), "s%u", i);
		ix = join(f, &ada, session);
		assert_int_equal(ix.verdict, RING_STORED);
	}
	assert_false(row_of(f, &ada).r.partial);
	ix = join(f, &ada, "one more");
	assert_int_equal(ix.verdict, RING_STORED);
	assert_true(is_member(f, &ada, &ix, false));
	assert_true(row_of(f, &ada).r.partial);
	assert_int_equal(row_of(f, &ada).r.nrooms, STORE_RECOVERY_ROOMS);
	assert_int_equal(resume(f, &back).verdict, RING_REJECTED);
	assert_int_equal(leave(f, &ada, &ix, RECORD_F_LOST).verdict,
	    RING_STORED);
	/* which is nobody else's fault */
	(void)join(f, &bob, "s1");
	assert_false(row_of(f, &bob).r.partial);
}

static void
an_owner_is_worker_session_and_serial(void **state)
{
	struct scribe_fixture *f = *state;
	struct fix_socket other = ada;
	struct ring *first;
	uint64_t g;

	(void)join(f, &ada, "a");
	other.client++;
	assert_int_equal(join(f, &other, "b").verdict, RING_REJECTED);
	other.client--;
	other.generation++;
	assert_int_equal(join(f, &other, "b").verdict, RING_REJECTED);
	other.generation--;
	assert_int_equal(join(f, &other, "b").verdict, RING_STORED);
	/* the same numbers in another worker */
	first = fix_other_worker(f);
	g = fix_sock_join(f, &other, "c", 0, NULL);
	fix_first_worker(f, first);
	assert_int_equal(fix_decided(f, g).verdict, RING_REJECTED);
}

/* One of many sockets, with an agent of its own in each room. */
static uint64_t
join_with_agent(struct scribe_fixture *f, unsigned i, unsigned room)
{
	char pid[STORE_PID + 1], socket[16], session[16], agent[64];
	const char *const fields[] = { "w", session, "ada", "A", socket, agent,
		pid, "" };
	struct record h = { .type = RECORD_JOIN, .client = i };

	snprintf(pid, sizeof(pid), "pid-%016u", i);
	snprintf(socket, sizeof(socket), "s%u", i);
	snprintf(session, sizeof(session), "room%u", room);
	snprintf(agent, sizeof(agent), "agent-%u-%0*u", i, (int)(room * 7 + 1),
	    room);
	return fix_publish(f, &h, fields, 8);
}

static void
rows_that_grow_side_by_side_keep_their_text(void **state)
{
	struct scribe_fixture *f = *state;
	char pid[STORE_PID + 1], agent[64];
	struct store_recovery row;
	struct store_txn *t;
	unsigned i, k;

	for (k = 0; k < 6; k++)
		for (i = 0; i < 40; i++)
			(void)join_with_agent(f, i, k);
	fix_turns(f);
	assert_non_null(t = store_snapshot(f->st.s));
	for (i = 0; i < 40; i++) {
		snprintf(pid, sizeof(pid), "pid-%016u", i);
		assert_int_equal(store_recovery_get(t, text(pid), &row), 0);
		assert_int_equal(row.nrooms, 6);
		for (k = 0; k < 6; k++) {
			snprintf(agent, sizeof(agent), "agent-%u-%0*u", i,
			    (int)(k * 7 + 1), k);
			assert_int_equal(row.room[k].agent.len, strlen(agent));
			assert_memory_equal(row.room[k].agent.p, agent,
			    strlen(agent));
		}
	}
	store_snapshot_end(&t);
}

static void
a_change_of_status_keeps_the_pid(void **state)
{
	struct scribe_fixture *f = *state;
	struct ring_index in = join(f, &ada, "a");

	fix_decided(f, fix_presence(f, in.room, in.user, ada.socket, "away"));
	assert_true(is_member(f, &ada, &in, true));
	leave(f, &ada, &in, RECORD_F_LOST);
	assert_true(row_of(f, &ada).r.lost_ms > 0);
}

/* --- leaves ------------------------------------------------------------ */

static void
who_leaves_a_room_forgets_it(void **state)
{
	struct scribe_fixture *f = *state;
	struct ring_index one = join(f, &ada, "a"), two = join(f, &ada, "b");
	struct ring_index three = join(f, &ada, "c");
	struct row row;

	assert_int_equal(leave(f, &ada, &two, 0).verdict, RING_STORED);
	row = row_of(f, &ada);
	assert_int_equal(row.r.nrooms, 2);
	assert_int_equal(row.r.room[0].room, one.room);
	assert_int_equal(row.r.room[1].room, three.room);
	assert_int_equal(row.r.lost_ms, 0);
	leave(f, &ada, &one, 0);
	leave(f, &ada, &three, 0);
	assert_false(row_of(f, &ada).there);
	assert_int_equal(resume(f, &back).verdict, RING_REJECTED);
}

static void
a_lost_transport_keeps_the_rooms_from_the_last_leave_on(void **state)
{
	struct scribe_fixture *f = *state;
	struct ring_index one = join(f, &ada, "a"), two = join(f, &ada, "b");
	uint64_t before;
	struct row row;

	leave(f, &ada, &one, RECORD_F_LOST);
	row = row_of(f, &ada);
	assert_int_equal(row.r.nrooms, 2);
	assert_false(row.r.room[0].present);
	assert_true(row.r.room[1].present);
	assert_int_equal(row.r.lost_ms, 0);
	before = clock_real_ms();
	leave(f, &ada, &two, RECORD_F_LOST);
	row = row_of(f, &ada);
	assert_int_equal(row.r.nrooms, 2);
	assert_in_range(row.r.lost_ms, before, clock_real_ms());
	assert_false(is_member(f, &ada, &one, true));
}

static void
a_disconnect_on_purpose_ends_it(void **state)
{
	struct scribe_fixture *f = *state;
	struct ring_index one = join(f, &ada, "a"), two = join(f, &ada, "b");

	assert_int_equal(leave(f, &ada, &one, RECORD_F_FINAL).verdict,
	    RING_STORED);
	assert_false(row_of(f, &ada).there);
	assert_int_equal(leave(f, &ada, &two, RECORD_F_FINAL).verdict,
	    RING_STORED);
	assert_false(is_member(f, &ada, &two, true));
	assert_int_equal(resume(f, &back).verdict, RING_REJECTED);
	assert_int_equal(sequence_counts(f->q)->resumes_refused, 1);
}

static void
what_is_left_behind_is_lost_when_the_last_present_room_is_left(void **state)
{
	struct scribe_fixture *f = *state;
	struct ring_index one = join(f, &ada, "a"), two = join(f, &ada, "b");
	struct row row;

	leave(f, &ada, &one, RECORD_F_LOST);
	leave(f, &ada, &two, 0);
	row = row_of(f, &ada);
	assert_int_equal(row.r.nrooms, 1);
	assert_int_equal(row.r.room[0].room, one.room);
	assert_true(row.r.lost_ms > 0);
}

static void
members_of_a_dead_worker_are_lost_not_gone(void **state)
{
	struct scribe_fixture *f = *state;
	struct ring_index one = join(f, &ada, "a"), two = join(f, &ada, "b");
	struct row row;

	assert_int_equal(orphans_worker_dead(f->o, FIX_INCARNATION,
			     commit_next(f->c), false),
	    0);
	while (orphans_turn(f->o, commit_next(f->c)))
		fix_turns(f);
	fix_turns(f);
	assert_false(is_member(f, &ada, &one, true));
	assert_false(is_member(f, &ada, &two, true));
	row = row_of(f, &ada);
	assert_int_equal(row.r.nrooms, 2);
	assert_true(row.r.lost_ms > 0);
	assert_int_equal(resume(f, &back).verdict, RING_STORED);
}

/* --- damage ------------------------------------------------------------ */

/* A row under ada's pid that is none. */
static void
spoil(struct scribe_fixture *f)
{
	struct store_put put;
	struct store_txn *t;
	struct store_key k;

	store_key_begin(&k);
	assert_true(store_key_bytes(&k, ada.pid, STORE_PID));
	assert_non_null(t = store_begin(f->st.s));
	store_put_begin(t, STORE_RECOVERY, &k, 0, 4, false, &put);
	store_add_u32(&put.f, 7);
	store_put_end(&put);
	assert_int_equal(store_commit(&t), 0);
}

static void
a_damaged_row_costs_the_recovery_and_nothing_else(void **state)
{
	struct scribe_fixture *f = *state;
	struct ring_index one = join(f, &ada, "a"), two;

	spoil(f);
	assert_int_equal(resume(f, &back).verdict, RING_REJECTED);
	assert_int_equal(release(f, &back, 0).verdict, RING_REJECTED);
	/* nobody knows any more what else it held */
	two = join(f, &ada, "b");
	assert_int_equal(two.verdict, RING_STORED);
	assert_true(row_of(f, &ada).r.partial);
	assert_int_equal(row_of(f, &ada).r.nrooms, 1);
	assert_int_equal(resume(f, &back).verdict, RING_REJECTED);
	assert_int_equal(leave(f, &ada, &one, RECORD_F_LOST).verdict,
	    RING_STORED);
	spoil(f);
	assert_int_equal(leave(f, &ada, &two, RECORD_F_LOST).verdict,
	    RING_STORED);
	assert_false(is_member(f, &ada, &two, true));
	assert_false(row_of(f, &ada).there);
	assert_int_equal(join(f, &ada, "a").verdict, RING_STORED);
	assert_false(row_of(f, &ada).r.partial);
}

#define T(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(the_first_join_makes_the_row),
		T(further_joins_add_their_rooms),
		T(a_join_without_a_pid_makes_no_row),
		T(a_join_that_is_published_again_counts_from_then),
		T(a_join_with_fields_that_make_no_sense_is_rejected),
		T(nobody_joins_with_the_pid_of_somebody_else),
		T(a_full_session_leaves_no_trace_in_the_row),
		T(a_socket_in_more_rooms_than_fit_cannot_be_recovered),
		T(an_owner_is_worker_session_and_serial),
		T(rows_that_grow_side_by_side_keep_their_text),
		T(a_change_of_status_keeps_the_pid),
		T(who_leaves_a_room_forgets_it),
		T(a_lost_transport_keeps_the_rooms_from_the_last_leave_on),
		T(a_disconnect_on_purpose_ends_it),
		T(what_is_left_behind_is_lost_when_the_last_present_room_is_left),
		T(members_of_a_dead_worker_are_lost_not_gone),
		T(a_damaged_row_costs_the_recovery_and_nothing_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
