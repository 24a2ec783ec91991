/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_recovery_resume - who takes a socket up again, when, and what it finds.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/recovery_fixture.h"

/* --- coming back ------------------------------------------------------- */

static void
a_resume_makes_the_row_the_publishers_and_joins_make_it_whole(void **state)
{
	struct scribe_fixture *f = *state;
	uint64_t g = fix_sock_join(f, &ada, "a", 0, "3");
	struct ring_index one = fix_decided(f, g), two = join(f, &ada, "b"), ix;
	struct row was, row;

	leave(f, &ada, &one, RECORD_F_LOST);
	leave(f, &ada, &two, RECORD_F_LOST);
	was = row_of(f, &ada);
	usleep(3000);
	ix = resume(f, &back);
	assert_int_equal(ix.verdict, RING_STORED);
	assert_int_equal(ix.type, RECORD_RESUME);
	assert_int_equal(ix.room, 0);
	assert_int_equal(ix.user, one.user);
	row = row_of(f, &back);
	assert_int_equal(row.r.client, 8);
	assert_int_equal(row.r.generation, 2);
	/* nobody is in a room yet: its window runs from now */
	assert_true(row.r.lost_ms > was.r.lost_ms);

	ix = rejoin(f, &back, "a");
	assert_int_equal(ix.verdict, RING_STORED);
	assert_int_equal(ix.room, one.room);
	assert_int_equal(ix.user, one.user);
	row = row_of(f, &back);
	assert_int_equal(row.r.lost_ms, 0);
	assert_int_equal(rejoin(f, &back, "b").verdict, RING_STORED);
	row = row_of(f, &back);
	assert_int_equal(row.r.nrooms, 2);
	assert_true(row.r.room[0].present && row.r.room[1].present);
	/* what the first join said */
	assert_int_equal(row.r.room[0].gseq, g);
	assert_int_equal(row.r.room[0].after_seq, 3);
	assert_int_equal(row.r.room[1].gseq, was.r.room[1].gseq);
	assert_false(row.r.room[1].has_after);
	assert_true(is_member(f, &back, &one, true));
	assert_int_equal(sequence_counts(f->q)->resumed, 1);
	assert_int_equal(sequence_counts(f->q)->resumes_refused, 0);
}

static void
a_socket_that_is_there_is_taken_over_without_leaving(void **state)
{
	struct scribe_fixture *f = *state;
	struct ring_index one = join(f, &ada, "a"), two = join(f, &ada, "b");
	struct row row;

	assert_int_equal(resume(f, &back).verdict, RING_STORED);
	/* in the room all the time: nobody is told */
	assert_int_equal(rejoin(f, &back, "a").verdict, RING_DUPLICATE);
	/* the old one goes, in whatever way, and harms nothing */
	assert_int_equal(leave(f, &ada, &one, RECORD_F_FINAL).verdict,
	    RING_REJECTED);
	/* in the other room it is still the old one's, and can leave it */
	assert_int_equal(leave(f, &ada, &two, RECORD_F_FINAL).verdict,
	    RING_STORED);
	row = row_of(f, &back);
	assert_true(row.there);
	assert_int_equal(row.r.nrooms, 2);
	assert_int_equal(row.r.lost_ms, 0);
	assert_true(is_member(f, &back, &one, true));
	assert_int_equal(rejoin(f, &back, "b").verdict, RING_STORED);
	assert_true(is_member(f, &back, &two, true));
	/* nor can it join any more */
	assert_int_equal(join(f, &ada, "c").verdict, RING_REJECTED);
}

static void
of_two_in_one_batch_the_later_one_has_it(void **state)
{
	struct scribe_fixture *f = *state;
	struct ring_index in = join(f, &ada, "a");
	uint64_t g[5];

	leave(f, &ada, &in, RECORD_F_LOST);
	g[0] = fix_sock_resume(f, &back);
	g[1] = fix_sock_join(f, &back, "a", RECORD_F_RESUME, NULL);
	g[2] = fix_sock_resume(f, &again);
	g[3] = fix_sock_join(f, &back, "b", 0, NULL);
	g[4] = fix_sock_join(f, &again, "a", RECORD_F_RESUME, NULL);
	fix_turns(f);
	assert_int_equal(fix_index(f, g[0]).verdict, RING_STORED);
	assert_int_equal(fix_index(f, g[1]).verdict, RING_STORED);
	assert_int_equal(fix_index(f, g[2]).verdict, RING_STORED);
	assert_int_equal(fix_index(f, g[3]).verdict, RING_REJECTED);
	assert_int_equal(fix_index(f, g[4]).verdict, RING_DUPLICATE);
	assert_int_equal(row_of(f, &again).r.client, again.client);
	assert_int_equal(leave(f, &back, &in, 0).verdict, RING_REJECTED);
	assert_true(is_member(f, &again, &in, true));
}

static void
what_is_published_again_changes_nothing(void **state)
{
	struct scribe_fixture *f = *state;
	struct ring_index in = join(f, &ada, "a");
	struct row row, same;

	leave(f, &ada, &in, RECORD_F_LOST);
	assert_int_equal(resume(f, &back).verdict, RING_STORED);
	assert_int_equal(resume(f, &back).verdict, RING_STORED);
	assert_int_equal(rejoin(f, &back, "a").verdict, RING_STORED);
	row = row_of(f, &back);
	assert_int_equal(resume(f, &back).verdict, RING_STORED);
	assert_int_equal(rejoin(f, &back, "a").verdict, RING_DUPLICATE);
	same = row_of(f, &back);
	assert_int_equal(same.r.lost_ms, 0);
	assert_int_equal(same.r.nrooms, 1);
	assert_true(same.r.room[0].present);
	assert_int_equal(same.r.room[0].gseq, row.r.room[0].gseq);
	assert_int_equal(sequence_counts(f->q)->resumed, 1);
}

/* Its worker's leaves may come late; who joins after that is another one. */
static void
who_was_kicked_does_not_resume(void **state)
{
	static const struct {
		const char *action, *user, *id;
		bool is_meant;
	} kicks[] = { { "kick", "eve", "", false },
		{ "kick-socket", "", "another", false },
		{ "kick-socket", "", "socket-of-ada", true },
		{ "kick", "ada", "", true } };
	struct scribe_fixture *f = *state;
	struct record h = { .type = RECORD_STEER };
	const struct fix_socket *who;
	struct ring_index in;
	size_t i;

	for (i = 0; i < sizeof(kicks) / sizeof(kicks[0]); i++) {
		const char *const fields[] = { kicks[i].action, kicks[i].user,
			kicks[i].id, "", "why", "by", "", "" };

		in = join(f, &ada, "a");
		(void)fix_publish(f, &h, fields, 8);
		assert_int_equal(resume(f, &back).verdict,
		    kicks[i].is_meant ? RING_REJECTED : RING_STORED);
		who = &ada;
		if (!kicks[i].is_meant) {
			who = &back;
			in = rejoin(f, who, "a");
		}
		assert_int_equal(leave(f, who, &in, RECORD_F_FINAL).verdict,
		    RING_STORED);
	}
	/* it has come anew */
	in = join(f, &ada, "a");
	assert_int_equal(leave(f, &ada, &in, RECORD_F_LOST).verdict,
	    RING_STORED);
	assert_int_equal(resume(f, &back).verdict, RING_STORED);
}

static void
only_the_user_of_the_socket_resumes_it(void **state)
{
	struct scribe_fixture *f = *state;
	struct ring_index in = join(f, &ada, "a"), ix;
	struct fix_socket other = back;

	leave(f, &ada, &in, RECORD_F_LOST);
	other.user = "eve";
	ix = resume(f, &other);
	assert_int_equal(ix.verdict, RING_REJECTED);
	assert_int_equal(ix.user, 0);
	other.user = "";
	assert_int_equal(resume(f, &other).verdict, RING_REJECTED);
	other = back;
	other.socket = "another";
	assert_int_equal(resume(f, &other).verdict, RING_REJECTED);
	other = back;
	other.pid = "pid-of-nobody-aaaaaa";
	assert_int_equal(resume(f, &other).verdict, RING_REJECTED);
	other.pid = "";
	assert_int_equal(resume(f, &other).verdict, RING_REJECTED);
	assert_int_equal(row_of(f, &ada).r.client, ada.client);
	assert_int_equal(sequence_counts(f->q)->resumes_refused, 5);
	assert_int_equal(resume(f, &back).verdict, RING_STORED);
}

static void
after_its_window_nobody_resumes_it(void **state)
{
	struct scribe_fixture *f = *state;
	struct ring_index in = join(f, &ada, "a");

	set_window(f, 50);
	usleep(80000);
	/* it was there all the time */
	assert_int_equal(resume(f, &back).verdict, RING_STORED);
	assert_int_equal(rejoin(f, &back, "a").verdict, RING_DUPLICATE);
	leave(f, &back, &in, RECORD_F_LOST);
	usleep(80000);
	assert_int_equal(resume(f, &again).verdict, RING_REJECTED);
	assert_true(row_of(f, &ada).there);
}

static void
without_a_window_there_are_no_rows(void **state)
{
	struct scribe_fixture *f = *state;
	struct ring_index in = join(f, &ada, "a"), ix;

	set_window(f, 0);
	ix = join(f, &bob, "a");
	assert_int_equal(ix.verdict, RING_STORED);
	assert_true(is_member(f, &bob, &ix, false));
	assert_false(row_of(f, &bob).there);
	assert_int_equal(resume(f, &back).verdict, RING_REJECTED);
	/* a row that is there stays true, and ends with its socket */
	ix = join(f, &ada, "b");
	assert_int_equal(row_of(f, &ada).r.nrooms, 2);
	assert_true(is_member(f, &ada, &ix, true));
	leave(f, &ada, &in, RECORD_F_LOST);
	leave(f, &ada, &ix, RECORD_F_LOST);
	assert_false(row_of(f, &ada).there);
}

static void
a_restored_join_makes_no_row(void **state)
{
	struct scribe_fixture *f = *state;
	struct ring_index in;

	/* the row is gone by the time that it comes: the socket is in */
	in = rejoin(f, &back, "a");
	assert_int_equal(in.verdict, RING_STORED);
	assert_false(row_of(f, &back).there);
	assert_true(is_member(f, &back, &in, false));
	assert_int_equal(leave(f, &back, &in, RECORD_F_LOST).verdict,
	    RING_STORED);
	assert_false(row_of(f, &back).there);
}

static void
a_restored_join_of_a_room_left_meanwhile_is_a_new_one(void **state)
{
	struct scribe_fixture *f = *state;
	struct ring_index one = join(f, &ada, "a"), two = join(f, &ada, "b");
	uint64_t g;
	struct row row;

	leave(f, &ada, &one, 0);
	leave(f, &ada, &two, RECORD_F_LOST);
	(void)resume(f, &back);
	g = fix_sock_join(f, &back, "a", RECORD_F_RESUME, "8");
	assert_int_equal(fix_decided(f, g).verdict, RING_STORED);
	row = row_of(f, &back);
	assert_int_equal(row.r.nrooms, 2);
	assert_int_equal(row.r.room[1].room, one.room);
	assert_int_equal(row.r.room[1].gseq, g);
	assert_int_equal(row.r.room[1].after_seq, 8);
}

static void
who_was_cut_off_finds_a_place_in_a_full_session(void **state)
{
	struct scribe_fixture *f = *state;
	struct ring_index in = join(f, &ada, "a"), ix;
	struct fix_socket bob_back = bob;

	f->limits.members_per_session = 1;
	sequence_configure(f->q, &f->limits);
	leave(f, &ada, &in, RECORD_F_LOST);
	ix = join(f, &bob, "a");
	assert_int_equal(ix.verdict, RING_STORED);
	(void)resume(f, &back);
	assert_int_equal(rejoin(f, &back, "a").verdict, RING_STORED);
	/* but not any number of them */
	leave(f, &bob, &ix, RECORD_F_LOST);
	fix_decided(f, fix_join(f, "w", "a", "max", "s-max"));
	leave(f, &back, &in, RECORD_F_LOST);
	assert_int_equal(fix_decided(f, fix_join(f, "w", "a", "max", "s-max"))
			     .verdict,
	    RING_STORED);
	bob_back.generation++;
	(void)resume(f, &bob_back);
	assert_int_equal(rejoin(f, &bob_back, "a").verdict, RING_STORED);
	(void)resume(f, &again);
	assert_int_equal(rejoin(f, &again, "a").verdict, RING_SESSION_FULL);
	/* it keeps what it had, and can try again */
	assert_int_equal(row_of(f, &again).r.nrooms, 1);
}

static void
what_dies_between_resume_and_join_is_lost_since_then(void **state)
{
	struct scribe_fixture *f = *state;
	struct ring_index in = join(f, &ada, "a");
	struct row row;

	leave(f, &ada, &in, RECORD_F_LOST);
	(void)resume(f, &back);
	/* nobody is in presence, so no orphan is found */
	assert_int_equal(orphans_worker_dead(f->o, FIX_INCARNATION,
			     commit_next(f->c), false),
	    0);
	while (orphans_turn(f->o, commit_next(f->c)))
		;
	assert_int_equal(orphans_count(f->o), 0);
	row = row_of(f, &ada);
	assert_true(row.r.lost_ms > 0);
	assert_int_equal(resume(f, &again).verdict, RING_STORED);
	assert_int_equal(rejoin(f, &again, "a").verdict, RING_STORED);
}

/* --- releases ---------------------------------------------------------- */

static void
a_room_without_access_is_released(void **state)
{
	struct scribe_fixture *f = *state;
	struct ring_index one = join(f, &ada, "a"), two = join(f, &ada, "b");
	struct row row;

	leave(f, &ada, &one, RECORD_F_LOST);
	leave(f, &ada, &two, RECORD_F_LOST);
	(void)resume(f, &back);
	assert_int_equal(rejoin(f, &back, "a").verdict, RING_STORED);
	/* nobody else's, nor one that it is in, nor one that is not there */
	assert_int_equal(release(f, &ada, two.room).verdict, RING_REJECTED);
	assert_int_equal(release(f, &back, one.room).verdict, RING_REJECTED);
	assert_int_equal(release(f, &back, 99).verdict, RING_REJECTED);
	assert_int_equal(release(f, &back, 0).verdict, RING_REJECTED);
	assert_int_equal(row_of(f, &back).r.nrooms, 2);
	assert_int_equal(release(f, &back, two.room).verdict, RING_STORED);
	row = row_of(f, &back);
	assert_int_equal(row.r.nrooms, 1);
	assert_int_equal(row.r.room[0].room, one.room);
	assert_int_equal(row.r.lost_ms, 0);
}

static void
the_last_room_or_all_of_them_released_end_the_row(void **state)
{
	struct scribe_fixture *f = *state;
	struct ring_index one = join(f, &ada, "a"), two;
	uint64_t lost;

	leave(f, &ada, &one, RECORD_F_LOST);
	(void)resume(f, &back);
	assert_int_equal(release(f, &back, one.room).verdict, RING_STORED);
	assert_false(row_of(f, &back).there);
	assert_int_equal(release(f, &back, one.room).verdict, RING_REJECTED);

	one = join(f, &ada, "a");
	two = join(f, &ada, "b");
	leave(f, &ada, &one, RECORD_F_LOST);
	leave(f, &ada, &two, RECORD_F_LOST);
	(void)resume(f, &back);
	lost = row_of(f, &back).r.lost_ms;
	usleep(3000);
	/* no new window because of that */
	assert_int_equal(release(f, &back, one.room).verdict, RING_STORED);
	assert_int_equal(row_of(f, &back).r.lost_ms, lost);
	assert_int_equal(release(f, &back, 0).verdict, RING_STORED);
	assert_false(row_of(f, &back).there);
}

/* --- restarts ---------------------------------------------------------- */

static void
a_new_scribe_knows_whose_rows_they_are(void **state)
{
	struct scribe_fixture *f = *state;
	struct ring_index in = join(f, &ada, "a");

	fix_stop(f);
	assert_int_equal(fix_start(f), 0);
	assert_int_equal(row_of(f, &ada).r.lost_ms, 0);
	assert_int_equal(join(f, &back, "b").verdict, RING_REJECTED);
	assert_int_equal(join(f, &ada, "b").verdict, RING_STORED);
	assert_int_equal(leave(f, &ada, &in, RECORD_F_LOST).verdict,
	    RING_STORED);
	assert_int_equal(row_of(f, &ada).r.nrooms, 2);
}

static void
after_a_restart_of_the_daemon_sockets_come_back(void **state)
{
	struct scribe_fixture *f = *state;
	struct ring_index in = join(f, &ada, "a"), ix;
	uint64_t before = clock_real_ms();
	struct row row;

	restart(f);
	assert_false(is_member(f, &ada, &in, true));
	row = row_of(f, &ada);
	assert_true(row.there);
	assert_in_range(row.r.lost_ms, before, clock_real_ms());
	assert_false(row.r.room[0].present);
	/* the same numbers, but of another run */
	assert_int_equal(join(f, &ada, "b").verdict, RING_REJECTED);
	assert_int_equal(release(f, &ada, 0).verdict, RING_REJECTED);
	ix = resume(f, &ada);
	assert_int_equal(ix.verdict, RING_STORED);
	assert_int_equal(ix.user, in.user);
	assert_int_equal(rejoin(f, &ada, "a").verdict, RING_STORED);
	row = row_of(f, &ada);
	assert_int_equal(row.r.lost_ms, 0);
	assert_int_equal(row.r.run, ring_base(f->scribe));
	assert_int_equal(row.r.room[0].room, in.room);
}

static void
after_a_restart_the_window_runs_from_the_start(void **state)
{
	struct scribe_fixture *f = *state;

	(void)join(f, &ada, "a");
	restart(f);
	set_window(f, 50);
	usleep(80000);
	assert_int_equal(resume(f, &back).verdict, RING_REJECTED);
}

static void
a_batch_rolled_back_leaves_the_row_as_it_was(void **state)
{
	struct scribe_fixture *f = *state;
	struct ring_index ix;
	struct store_txn *t;
	struct row row;
	uint64_t g;

	(void)join(f, &ada, "a");
	g = commit_next(f->c);
	memset(&ix, 0, sizeof(ix));
	ix.incarnation = FIX_INCARNATION;
	assert_non_null(t = store_begin(f->st.s));
	assert_int_equal(sequence_begin(f->q, t, 1ULL << 42, false), 0);
	(void)fix_sock_resume(f, &back);
	sequence_decide(f->q, g, f->rec, ((struct record *)f->rec)->len, &ix);
	assert_int_equal(ix.verdict, RING_STORED);
	store_abort(&t);
	sequence_rollback(f->q);
	row = row_of(f, &ada);
	assert_int_equal(row.r.client, ada.client);
	assert_int_equal(row.r.lost_ms, 0);
	assert_int_equal(sequence_counts(f->q)->resumed, 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_resume_makes_the_row_the_publishers_and_joins_make_it_whole),
		T(a_socket_that_is_there_is_taken_over_without_leaving),
		T(of_two_in_one_batch_the_later_one_has_it),
		T(what_is_published_again_changes_nothing),
		T(who_was_kicked_does_not_resume),
		T(only_the_user_of_the_socket_resumes_it),
		T(after_its_window_nobody_resumes_it),
		T(without_a_window_there_are_no_rows),
		T(a_restored_join_makes_no_row),
		T(a_restored_join_of_a_room_left_meanwhile_is_a_new_one),
		T(who_was_cut_off_finds_a_place_in_a_full_session),
		T(what_dies_between_resume_and_join_is_lost_since_then),
		T(a_room_without_access_is_released),
		T(the_last_room_or_all_of_them_released_end_the_row),
		T(a_new_scribe_knows_whose_rows_they_are),
		T(after_a_restart_of_the_daemon_sockets_come_back),
		T(after_a_restart_the_window_runs_from_the_start),
		T(a_batch_rolled_back_leaves_the_row_as_it_was),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
