/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_commit - batches, going on after a death, and a disk that fails.
 */

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <sys/resource.h>

#include <cmocka.h>

#include "tests/unit/scribe_fixture.h"

/* Let every write to a file fail, or none. */
static void
disk_fails(bool fails)
{
	struct rlimit lim;

	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &lim), 0);
	lim.rlim_cur = fails ? 0 : lim.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &lim), 0);
}

static uint64_t
stored_pos(struct scribe_fixture *f)
{
	struct store_txn *t;
	uint64_t pos;

	assert_non_null(t = store_snapshot(f->st.s));
	pos = store_pos(t);
	store_snapshot_end(&t);
	return pos;
}

static uint64_t
last_seq(struct scribe_fixture *f, uint64_t room)
{
	struct store_txn *t;
	uint64_t seq;

	assert_non_null(t = store_snapshot(f->st.s));
	assert_int_equal(store_last_seq(t, room, &seq), 0);
	store_snapshot_end(&t);
	return seq;
}

/* Turns until the state is this one; false after two seconds. */
static bool
turns_until(struct scribe_fixture *f, enum commit_state state)
{
	uint64_t again, end = clock_mono_ns() + 2 * CLOCK_S_NS;

	while (commit_state(f->c) != state && clock_mono_ns() < end) {
		(void)commit_turn(f->c, &again);
		usleep(1000);
	}
	return commit_state(f->c) == state;
}

/* Turns until this position is decided. */
static void
turns_past(struct scribe_fixture *f, uint64_t gseq)
{
	uint64_t again, end = clock_mono_ns() + 2 * CLOCK_S_NS;

	while (commit_next(f->c) <= gseq && clock_mono_ns() < end) {
		(void)commit_turn(f->c, &again);
		usleep(1000);
	}
	assert_true(commit_next(f->c) > gseq);
}

/* --- batches ----------------------------------------------------------- */

static void
without_records_there_is_nothing_to_do(void **state)
{
	struct scribe_fixture *f = *state;
	uint64_t again;

	assert_int_equal(commit_turn(f->c, &again), COMMIT_IDLE);
	assert_int_equal(commit_next(f->c), FIX_BASE);
	assert_int_equal(stored_pos(f), FIX_BASE);
}

static void
what_waits_is_one_batch_and_one_commit(void **state)
{
	struct scribe_fixture *f = *state;
	uint64_t user, room = fix_room(f, "a", &user), again;
	struct store_stat before, after;
	char id[16];
	int i;

	for (i = 0; i < 100; i++) {
		snprintf(id, sizeof(id), "m%d", i);
		(void)fix_message(f, room, user, id, 0);
	}
	assert_int_equal(store_stat(f->st.s, &before), 0);
	assert_int_equal(commit_turn(f->c, &again), COMMIT_WORKED);
	assert_int_equal(commit_turn(f->c, &again), COMMIT_IDLE);
	assert_int_equal(store_stat(f->st.s, &after), 0);
	assert_int_equal(after.last_txn, before.last_txn + 1);
	assert_int_equal(last_seq(f, room), 100);
	assert_int_equal(stored_pos(f), commit_next(f->c));
	assert_int_equal(ring_durable_seq(f->scribe), commit_next(f->c));
}

static void
a_batch_is_bounded(void **state)
{
	struct scribe_fixture *f = *state;
	uint64_t user, room = fix_room(f, "a", &user), again, from;
	char id[16];
	int i;

	for (i = 0; i < COMMIT_BATCH + 10; i++) {
		snprintf(id, sizeof(id), "m%d", i);
		(void)fix_message(f, room, user, id, 0);
	}
	from = commit_next(f->c);
	assert_int_equal(commit_turn(f->c, &again), COMMIT_WORKED);
	assert_int_equal(commit_next(f->c), from + COMMIT_BATCH);
	assert_int_equal(commit_turn(f->c, &again), COMMIT_WORKED);
	assert_int_equal(commit_next(f->c), from + COMMIT_BATCH + 10);
}

static void
an_interval_between_commits_is_kept(void **state)
{
	struct scribe_fixture *f = *state;
	uint64_t user, room = fix_room(f, "a", &user), again = 0, begin;

	commit_set_interval(f->c, 50 * CLOCK_MS_NS);
	usleep(60000);
	begin = clock_mono_ns();
	(void)fix_message(f, room, user, "m1", 0);
	assert_int_equal(commit_turn(f->c, &again), COMMIT_WORKED);
	(void)fix_message(f, room, user, "m2", 0);
	assert_int_equal(commit_turn(f->c, &again), COMMIT_WAIT);
	assert_true(again >= begin + 50 * CLOCK_MS_NS);
	assert_true(again <= clock_mono_ns() + 50 * CLOCK_MS_NS);
	while (commit_turn(f->c, &again) == COMMIT_WAIT)
		usleep(1000);
	assert_true(clock_mono_ns() >= begin + 50 * CLOCK_MS_NS);
	assert_int_equal(last_seq(f, room), 2);
}

/* Half an hour in which nothing is committed, unless somebody wants it. */
static uint64_t
long_interval(struct scribe_fixture *f, unsigned log2_slots, uint64_t *user)
{
	uint64_t room, again;

	fix_stop(f);
	fix_drop_ring(f);
	assert_int_equal(fix_ring(f, log2_slots, 2, 2 * FIX_BASE), 0);
	assert_int_equal(fix_start(f), 0);
	room = fix_room(f, "a", user);
	commit_set_interval(f->c, 1800 * CLOCK_S_NS);
	assert_int_equal(commit_turn(f->c, &again), COMMIT_IDLE);
	return room;
}

static void
in_a_small_ring_the_interval_is_kept_too(void **state)
{
	struct scribe_fixture *f = *state;
	uint64_t user, again, room = long_interval(f, 8, &user);
	char id[16];
	int i;

	/* half of what one publisher may have in the ring is a batch */
	for (i = 0; i < 32; i++) {
		assert_int_not_equal(commit_turn(f->c, &again), COMMIT_WORKED);
		snprintf(id, sizeof(id), "m%d", i);
		(void)fix_message(f, room, user, id, 0);
	}
	assert_int_equal(commit_turn(f->c, &again), COMMIT_WORKED);
	assert_int_equal(last_seq(f, room), 32);
}

static void
who_waits_for_room_does_not_wait_for_the_interval(void **state)
{
	struct scribe_fixture *f = *state;
	uint64_t user, again, room = long_interval(f, 12, &user);

	(void)fix_message(f, room, user, "m1", 0);
	assert_int_equal(commit_turn(f->c, &again), COMMIT_WAIT);
	commit_urge(f->c);
	assert_int_equal(commit_turn(f->c, &again), COMMIT_WORKED);
	/* once */
	(void)fix_message(f, room, user, "m2", 0);
	assert_int_equal(commit_turn(f->c, &again), COMMIT_WAIT);
	assert_int_equal(last_seq(f, room), 1);
}

static void
at_the_end_nothing_waits_for_the_interval(void **state)
{
	struct scribe_fixture *f = *state;
	uint64_t user, again, room = long_interval(f, 12, &user);

	(void)fix_message(f, room, user, "m1", 0);
	assert_int_equal(commit_turn(f->c, &again), COMMIT_WAIT);
	commit_hurry(f->c);
	assert_int_equal(commit_turn(f->c, &again), COMMIT_WORKED);
	assert_int_equal(last_seq(f, room), 1);
}

/* --- going on ---------------------------------------------------------- */

static void
nothing_durable(void *ctx, uint64_t from, uint64_t next)
{
}

static void
killed_between_commit_and_telling_the_verdicts_stand(void **state)
{
	struct scribe_fixture *f = *state;
	uint64_t user, room = fix_room(f, "a", &user), g, durable, again;
	struct scribe_log mute = f->log;
	struct ring_index ix;
	struct commit *c;
	const char *why;

	durable = ring_durable_seq(f->scribe);
	g = fix_message(f, room, user, "m1", 0);
	mute.durable = nothing_durable;
	assert_non_null(c = commit_new(&mute, f->st.s, f->q, NULL, NULL));
	assert_int_equal(commit_resume(c, ring_id(f->scribe), FIX_BASE, &why),
	    0);
	assert_int_equal(commit_turn(c, &again), COMMIT_WORKED);
	commit_free(&c);
	assert_int_equal(ring_durable_seq(f->scribe), durable);
	assert_int_equal(stored_pos(f), g + 1);

	fix_stop(f);
	assert_int_equal(fix_start(f), 0);
	assert_int_equal(commit_next(f->c), g + 1);
	assert_int_equal(ring_durable_seq(f->scribe), g + 1);
	ix = fix_index(f, g);
	assert_int_equal(ix.verdict, RING_STORED);
	assert_int_equal(ix.seq, 1);
	assert_int_equal(last_seq(f, room), 1);
}

static void
killed_before_the_commit_the_batch_is_done_again(void **state)
{
	struct scribe_fixture *f = *state;
	uint64_t user, room = fix_room(f, "a", &user), g;
	struct ring_index ix;
	struct store_txn *t;
	uint8_t *buf;
	size_t len;

	g = fix_message(f, room, user, "m1", 0);
	/* decided and put, and then the process is gone */
	assert_non_null(t = store_begin(f->st.s));
	assert_int_equal(sequence_begin(f->q, t, 1, false), 0);
	assert_non_null(buf = malloc(f->log.max_record));
	assert_int_equal(ring_fetch(f->scribe, g, buf, f->log.max_record, &len,
			     &ix),
	    RING_OK);
	sequence_decide(f->q, g, buf, len, &ix);
	ring_decide(f->scribe, g, &ix);
	store_abort(&t);
	free(buf);
	fix_stop(f);

	assert_int_equal(fix_start(f), 0);
	assert_int_equal(commit_next(f->c), g);
	ix = fix_decided(f, g);
	assert_int_equal(ix.verdict, RING_STORED);
	assert_int_equal(ix.seq, 1);
	assert_int_equal(last_seq(f, room), 1);
}

static void
what_was_decided_without_a_commit_stays_decided(void **state)
{
	struct scribe_fixture *f = *state;
	struct record h = { .type = RECORD_PROBE };
	uint64_t g = fix_publish(f, &h, NULL, 0);

	fix_decided(f, g);
	assert_true(stored_pos(f) < g + 1);
	fix_stop(f);
	assert_int_equal(fix_start(f), 0);
	assert_int_equal(commit_next(f->c), g + 1);
}

static void
a_ring_below_what_was_seen_is_refused(void **state)
{
	struct scribe_fixture *f = *state;
	uint8_t id[16] = { 9 };
	struct ring_index ix;
	const char *why;

	fix_room(f, "a", NULL);
	errno = 0;
	assert_int_equal(commit_resume(f->c, id, FIX_BASE, &why), -1);
	assert_int_equal(errno, ERANGE);
	assert_non_null(strstr(why, "clock"));
	/* the refusal changed nothing */
	assert_int_equal(commit_resume(f->c, ring_id(f->scribe), FIX_BASE,
			     &why),
	    0);
	ix = fix_decided(f, fix_join(f, "w", "a", "bob", "s2"));
	assert_int_equal(ix.room, 1);
	assert_int_equal(ix.user, 2);
}

/* --- a disk that fails ------------------------------------------------- */

static void
while_the_disk_fails_nothing_is_told_and_then_everything(void **state)
{
	struct scribe_fixture *f = *state;
	uint64_t user, room = fix_room(f, "a", &user), g, again;

	disk_fails(true);
	g = fix_message(f, room, user, "m1", 0);
	assert_int_equal(commit_turn(f->c, &again), COMMIT_WAIT);
	assert_int_equal(commit_state(f->c), COMMIT_RETRYING);
	assert_true(again > clock_mono_ns());
	assert_int_equal(ring_limit(f->worker, 0), g);
	usleep(30000);
	(void)fix_message(f, room, user, "m2", 0);
	assert_int_equal(commit_turn(f->c, &again), COMMIT_WAIT);
	assert_int_equal(commit_failures(f->c), 2);
	assert_int_equal(ring_limit(f->worker, 0), g);
	disk_fails(false);
	assert_true(turns_until(f, COMMIT_OK));
	assert_int_equal(fix_index(f, g).seq, 1);
	assert_int_equal(fix_index(f, g + 1).seq, 2);
	assert_int_equal(last_seq(f, room), 2);
}

static void
a_disk_that_stays_full_refuses_messages_and_lets_go(void **state)
{
	struct scribe_fixture *f = *state;
	uint64_t user, room = fix_room(f, "a", &user), g[6];
	struct store_presence p;
	struct store_txn *t;
	int i;

	fix_decided(f, fix_message(f, room, user, "old", 0));
	fix_decided(f, fix_join(f, "w", "a", "ada", "s2"));
	commit_set_patience(f->c, 30 * CLOCK_MS_NS);
	disk_fails(true);
	g[0] = fix_message(f, room, user, "m1", 0);
	g[1] = fix_join(f, "w", "a", "bob", "s3");
	g[2] = fix_presence(f, room, user, "s2", "away");
	g[3] = fix_message(f, room, user, "old", 0);
	g[4] = fix_leave(f, room, user, "sock");
	assert_true(turns_until(f, COMMIT_REFUSING));
	turns_past(f, g[4]);
	g[5] = fix_leave(f, room, user, "s2");
	turns_past(f, g[5]);
	for (i = 0; i < 3; i++)
		assert_int_equal(fix_index(f, g[i]).verdict,
		    RING_STORE_UNAVAILABLE);
	/* what is stored is known all the same */
	assert_int_equal(fix_index(f, g[3]).verdict, RING_DUPLICATE);
	assert_int_equal(fix_index(f, g[3]).seq, 1);
	assert_int_equal(fix_index(f, g[4]).verdict, RING_STORED);
	assert_int_equal(fix_index(f, g[4]).seq, 1);
	assert_int_equal(fix_index(f, g[5]).seq, 0);
	assert_true(commit_failures(f->c) > 0);

	/* recovers by itself, and then writes the leaves */
	disk_fails(false);
	assert_true(turns_until(f, COMMIT_OK));
	assert_int_equal(commit_error(f->c), 0);
	assert_non_null(t = store_snapshot(f->st.s));
	assert_int_equal(store_presence_get(t, room, user, text("sock"), &p),
	    -1);
	assert_int_equal(store_presence_get(t, room, user, text("s2"), &p), -1);
	store_snapshot_end(&t);
	assert_int_equal(fix_decided(f, fix_message(f, room, user, "m1", 0))
			     .seq,
	    2);
	assert_int_equal(last_seq(f, room), 2);
}

/* The row of a pid, without its text. */
static bool
row_of(struct scribe_fixture *f, const char *pid, struct store_recovery *row)
{
	struct store_txn *t;
	int rc;

	assert_non_null(t = store_snapshot(f->st.s));
	rc = store_recovery_get(t, text(pid), row);
	store_snapshot_end(&t);
	return rc == 0;
}

static void
leaves_decided_while_refusing_mean_the_same_to_recovery(void **state)
{
	static const struct fix_socket s[] = {
		{ 1, 1, "pid-of-who-was-lost-", "ada", "s1" },
		{ 2, 1, "pid-of-who-asked----", "ada", "s2" },
		{ 3, 1, "pid-of-who-ended----", "ada", "s3" },
		{ 4, 1, "pid-of-an-orphan----", "ada", "s4" },
	};
	static const unsigned flags[] = { RECORD_F_LOST, 0, RECORD_F_FINAL, 0 };
	struct scribe_fixture *f = *state;
	struct store_recovery row;
	struct ring_index in[4];
	uint64_t g = 0, refused, before, after;
	int i;

	for (i = 0; i < 4; i++)
		in[i] = fix_decided(f, fix_sock_join(f, &s[i], "a", 0, NULL));
	commit_set_patience(f->c, 0);
	disk_fails(true);
	refused = fix_sock_resume(f, &s[0]);
	fix_sock_row(f, &s[0], RECORD_RELEASE, 0);
	before = clock_real_ms();
	for (i = 0; i < 3; i++)
		g = fix_sock_leave(f, &s[i], &in[i], flags[i]);
	turns_past(f, g);
	after = clock_real_ms();
	for (i = 0; i < 2; i++)
		assert_int_equal(fix_index(f, refused + i).verdict,
		    RING_STORE_UNAVAILABLE);
	assert_int_equal(fix_index(f, g - 2).verdict, RING_STORED);
	/* who asked is told that it has not left */
	assert_int_equal(fix_index(f, g - 1).verdict, RING_STORE_UNAVAILABLE);
	assert_int_equal(fix_index(f, g).verdict, RING_STORED);
	assert_int_equal(orphans_worker_dead(f->o, FIX_INCARNATION, g + 1,
			     false),
	    0);
	/* in the snapshot they are all there still: two of them leave twice,
	 * and the second time means nothing */
	while (orphans_turn(f->o, commit_next(f->c)))
		;
	turns_past(f, g + 4);
	assert_int_equal(fix_index(f, g + 1).verdict, RING_REJECTED);
	assert_int_equal(fix_index(f, g + 4).verdict, RING_STORED);
	usleep(20000);
	disk_fails(false);
	assert_true(turns_until(f, COMMIT_OK));

	assert_true(row_of(f, s[0].pid, &row));
	assert_in_range(row.lost_ms, before, after);
	assert_true(row_of(f, s[1].pid, &row));
	assert_true(row.lost_ms >= after);
	assert_false(row_of(f, s[2].pid, &row));
	assert_true(row_of(f, s[3].pid, &row));
	assert_true(row.lost_ms >= after);
	assert_int_equal(fix_decided(f, fix_sock_resume(f, &s[3])).verdict,
	    RING_STORED);
}

/* The file may not grow beyond this. */
static void
disk_ends_at(off_t size)
{
	struct rlimit lim;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &lim), 0);
	lim.rlim_cur = (rlim_t)size;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &lim), 0);
}

static void
a_small_commit_that_succeeds_is_not_a_disk_with_space(void **state)
{
	struct scribe_fixture *f = *state;
	uint64_t user, room = fix_room(f, "a", &user), g;
	struct store_presence p;
	struct store_txn *t;
	struct stat st;

	/* a few pages more fit, a megabyte does not */
	fix_decided(f, fix_message(f, room, user, "m1", 0));
	fix_decided(f, fix_message(f, room, user, "m2", 0));
	commit_set_patience(f->c, 0);
	disk_fails(true);
	(void)fix_message(f, room, user, "m3", 0);
	assert_true(turns_until(f, COMMIT_REFUSING));
	assert_int_equal(stat("db/data.mdb", &st), 0);
	disk_ends_at(st.st_size + (64 << 10));
	g = fix_leave(f, room, user, "sock");
	usleep(100000);
	turns_past(f, g);
	/* the leave is in the store, and messages are still refused */
	usleep(1100000);
	g = fix_message(f, room, user, "m4", 0);
	turns_past(f, g);
	assert_int_equal(commit_state(f->c), COMMIT_REFUSING);
	assert_int_equal(fix_index(f, g).verdict, RING_STORE_UNAVAILABLE);
	assert_non_null(t = store_snapshot(f->st.s));
	assert_int_equal(store_presence_get(t, room, user, text("sock"), &p),
	    -1);
	store_snapshot_end(&t);
	disk_fails(false);
	assert_true(turns_until(f, COMMIT_OK));
	assert_int_equal(fix_decided(f, fix_message(f, room, user, "m3", 0))
			     .seq,
	    3);
}

static void
a_death_while_refusing_repeats_no_verdict(void **state)
{
	struct scribe_fixture *f = *state;
	uint64_t user, room = fix_room(f, "a", &user), g;

	commit_set_patience(f->c, 0);
	disk_fails(true);
	g = fix_message(f, room, user, "m1", 0);
	turns_past(f, g);
	assert_int_equal(fix_index(f, g).verdict, RING_STORE_UNAVAILABLE);
	disk_fails(false);
	fix_stop(f);
	assert_int_equal(fix_start(f), 0);
	assert_int_equal(commit_next(f->c), g + 1);
	assert_int_equal(fix_decided(f, fix_message(f, room, user, "m1", 0))
			     .seq,
	    1);
}

static void
when_no_more_leaves_can_be_remembered_everybody_waits(void **state)
{
	struct scribe_fixture *f = *state;
	const uint64_t all = COMMIT_LEAVES + 600;
	uint64_t user, room = fix_room(f, "a", &user), n, begin, was = 0;
	uint64_t again, moved_ns = clock_mono_ns();
	struct store_txn *t;
	char socket[24];

	for (n = 0; n < all; n++) {
		snprintf(socket, sizeof(socket), "s%llu",
		    (unsigned long long)n);
		(void)fix_join(f, "w", "a", "ada", socket);
		if (n % 400 == 399)
			fix_turns(f);
		fix_delivered(f);
	}
	fix_turns(f);
	begin = commit_next(f->c);
	commit_set_patience(f->c, 0);
	disk_fails(true);
	/* at most 400 under way, until nothing has moved for a while */
	for (n = 0; clock_mono_ns() - moved_ns < CLOCK_S_NS / 2;) {
		fix_delivered(f);
		(void)ring_gate(f->scribe, clock_mono_ns());
		if (n < all && n < commit_next(f->c) - begin + 400) {
			snprintf(socket, sizeof(socket), "s%llu",
			    (unsigned long long)n++);
			(void)fix_leave(f, room, user, socket);
			continue;
		}
		(void)commit_turn(f->c, &again);
		usleep(200);
		if (commit_next(f->c) != was)
			moved_ns = clock_mono_ns();
		was = commit_next(f->c);
	}
	/* it stopped deciding, and lost none */
	assert_true(was - begin <= COMMIT_LEAVES);
	assert_true(was - begin > COMMIT_LEAVES - COMMIT_BATCH);
	disk_fails(false);
	assert_true(turns_until(f, COMMIT_OK));
	while (n < all) {
		snprintf(socket, sizeof(socket), "s%llu",
		    (unsigned long long)n++);
		(void)fix_leave(f, room, user, socket);
		fix_turns(f);
		fix_delivered(f);
	}
	fix_turns(f);
	assert_non_null(t = store_snapshot(f->st.s));
	assert_int_equal(store_presence_count(t, room, 0, &n), 0);
	/* the first member, who never left */
	assert_int_equal(n, 1);
	store_snapshot_end(&t);
}

#define T(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(without_records_there_is_nothing_to_do),
		T(what_waits_is_one_batch_and_one_commit),
		T(a_batch_is_bounded),
		T(an_interval_between_commits_is_kept),
		T(in_a_small_ring_the_interval_is_kept_too),
		T(who_waits_for_room_does_not_wait_for_the_interval),
		T(at_the_end_nothing_waits_for_the_interval),
		T(killed_between_commit_and_telling_the_verdicts_stand),
		T(killed_before_the_commit_the_batch_is_done_again),
		T(what_was_decided_without_a_commit_stays_decided),
		T(a_ring_below_what_was_seen_is_refused),
		T(while_the_disk_fails_nothing_is_told_and_then_everything),
		T(a_disk_that_stays_full_refuses_messages_and_lets_go),
		T(leaves_decided_while_refusing_mean_the_same_to_recovery),
		T(a_small_commit_that_succeeds_is_not_a_disk_with_space),
		T(a_death_while_refusing_repeats_no_verdict),
		T(when_no_more_leaves_can_be_remembered_everybody_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
