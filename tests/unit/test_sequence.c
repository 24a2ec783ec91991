/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_sequence - what becomes of messages: seq, time, duplicates.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/scribe_fixture.h"

static void
seq_is_dense_from_one_in_each_room(void **state)
{
	struct scribe_fixture *f = *state;
	uint64_t user, a = fix_room(f, "a", &user), b = fix_room(f, "b", NULL);
	uint64_t g[6];
	char id[16];
	int i;

	assert_int_not_equal(a, b);
	for (i = 0; i < 6; i++) {
		snprintf(id, sizeof(id), "m%d", i);
		g[i] = fix_message(f, i % 2 ? a : b, user, id, 0);
	}
	fix_turns(f);
	for (i = 0; i < 6; i++) {
		struct ring_index ix = fix_index(f, g[i]);

		assert_int_equal(ix.verdict, RING_STORED);
		assert_int_equal(ix.type, RECORD_MESSAGE);
		assert_int_equal(ix.room, i % 2 ? a : b);
		assert_int_equal(ix.user, user);
		assert_int_equal(ix.seq, i / 2 + 1);
	}
}

static void
what_is_stored_can_be_read_with_its_position(void **state)
{
	struct scribe_fixture *f = *state;
	uint64_t user, room = fix_room(f, "a", &user);
	uint64_t g = fix_message(f, room, user, "m1", 0);
	struct ring_index ix = fix_decided(f, g);
	struct store_message m;
	struct store_txn *t;

	assert_non_null(t = store_snapshot(f->st.s));
	assert_int_equal(store_message_get(t, room, 1, &m), 0);
	assert_int_equal(m.gseq, g);
	assert_int_equal(m.user, user);
	assert_int_equal(m.time_ms, ix.time_ms);
	assert_int_equal(m.id.len, 2);
	assert_memory_equal(m.id.p, "m1", 2);
	assert_int_equal(m.body.len, 14);
	assert_memory_equal(m.body.p, "\"content\":\"hi\"", 14);
	assert_true(store_pos(t) > g);
	store_snapshot_end(&t);
}

static void
the_same_id_again_gets_the_first_seq_and_time(void **state)
{
	struct scribe_fixture *f = *state;
	uint64_t user, room = fix_room(f, "a", &user);
	uint64_t first, again, other, third;
	struct ring_index one, two;

	first = fix_message(f, room, user, "m1", 0);
	/* in the same batch, and in a later one */
	again = fix_message(f, room, user, "m1", 0);
	other = fix_message(f, room, user, "m2", 0);
	one = fix_decided(f, first);
	two = fix_index(f, again);
	assert_int_equal(two.verdict, RING_DUPLICATE);
	assert_int_equal(two.seq, 1);
	assert_int_equal(two.time_ms, one.time_ms);
	assert_int_equal(fix_index(f, other).seq, 2);
	usleep(3000);
	third = fix_message(f, room, user, "m1", 0);
	two = fix_decided(f, third);
	assert_int_equal(two.verdict, RING_DUPLICATE);
	assert_int_equal(two.seq, 1);
	assert_int_equal(two.time_ms, one.time_ms);
	assert_int_equal(fix_decided(f, fix_message(f, room, user, "m3", 0))
			     .seq,
	    3);
}

static void
the_id_of_another_user_is_taken(void **state)
{
	struct scribe_fixture *f = *state;
	uint64_t user, room = fix_room(f, "a", &user);
	uint64_t bob = fix_decided(f, fix_join(f, "w", "a", "bob", "s2")).user;
	struct ring_index ix;

	assert_int_not_equal(bob, user);
	fix_decided(f, fix_message(f, room, user, "m1", 0));
	ix = fix_decided(f, fix_message(f, room, bob, "m1", 0));
	assert_int_equal(ix.verdict, RING_ID_TAKEN);
	assert_int_equal(ix.seq, 0);
}

static void
the_same_id_in_another_room_is_another_message(void **state)
{
	struct scribe_fixture *f = *state;
	uint64_t user, a = fix_room(f, "a", &user), b = fix_room(f, "b", NULL);

	fix_decided(f, fix_message(f, a, user, "m1", 0));
	assert_int_equal(fix_decided(f, fix_message(f, b, user, "m1", 0))
			     .verdict,
	    RING_STORED);
}

static void
ids_with_the_same_hash_are_compared_whole(void **state)
{
	struct scribe_fixture *f = *state;
	uint64_t user, room = fix_room(f, "a", &user);
	const char *const one[] = { "one", "sock", "\"content\":1" };
	const char *const two[] = { "two", "sock", "\"content\":2" };
	struct record h = { .type = RECORD_MESSAGE,
		.room = room,
		.user = user,
		.id_hash = { 42, 42 } };

	assert_int_equal(fix_decided(f, fix_publish(f, &h, one, 3)).seq, 1);
	assert_int_equal(fix_decided(f, fix_publish(f, &h, two, 3)).seq, 2);
	assert_int_equal(fix_decided(f, fix_publish(f, &h, one, 3)).verdict,
	    RING_DUPLICATE);
	assert_int_equal(fix_decided(f, fix_publish(f, &h, two, 3)).seq, 2);
}

static void
who_makes_hashes_collide_is_refused_in_the_end(void **state)
{
	struct scribe_fixture *f = *state;
	uint64_t user, room = fix_room(f, "a", &user);
	struct record h = { .type = RECORD_MESSAGE,
		.room = room,
		.user = user,
		.id_hash = { 42, 42 } };
	struct ring_index ix;
	char id[16];
	int i, stored = 0;

	for (i = 0; i < 40; i++) {
		const char *const fields[] = { id, "sock", "\"content\":1" };

		snprintf(id, sizeof(id), "id%d", i);
		ix = fix_decided(f, fix_publish(f, &h, fields, 3));
		stored += ix.verdict == RING_STORED;
	}
	assert_int_equal(ix.verdict, RING_REJECTED);
	assert_true(stored >= 8 && stored <= 32);
}

static void
duplicates_are_known_to_a_new_process(void **state)
{
	struct scribe_fixture *f = *state;
	uint64_t user, room = fix_room(f, "a", &user);
	struct ring_index one, two;

	one = fix_decided(f, fix_message(f, room, user, "m1", 0));
	fix_decided(f, fix_message(f, room, user, "m2", 0));
	fix_stop(f);
	assert_int_equal(fix_start(f), 0);
	two = fix_decided(f, fix_message(f, room, user, "m1", 0));
	assert_int_equal(two.verdict, RING_DUPLICATE);
	assert_int_equal(two.seq, 1);
	assert_int_equal(two.time_ms, one.time_ms);
	two = fix_decided(f, fix_message(f, room, user, "m3", 0));
	assert_int_equal(two.verdict, RING_STORED);
	assert_int_equal(two.seq, 3);
}

static void
an_id_is_forgotten_when_the_window_is_over(void **state)
{
	struct scribe_fixture *f = *state;
	uint64_t user, room = fix_room(f, "a", &user);
	struct ring_index ix;

	f->limits.dedupe_window_ms = 200;
	sequence_configure(f->q, &f->limits);
	fix_decided(f, fix_message(f, room, user, "m1", 0));
	ix = fix_decided(f, fix_message(f, room, user, "m1", 0));
	assert_int_equal(ix.verdict, RING_DUPLICATE);
	usleep(250000);
	ix = fix_decided(f, fix_message(f, room, user, "m1", 0));
	assert_int_equal(ix.verdict, RING_STORED);
	assert_int_equal(ix.seq, 2);
	/* and from now on it is the newer one that is meant */
	ix = fix_decided(f, fix_message(f, room, user, "m1", 0));
	assert_int_equal(ix.verdict, RING_DUPLICATE);
	assert_int_equal(ix.seq, 2);
}

static void
a_window_of_zero_looks_at_no_ids(void **state)
{
	struct scribe_fixture *f = *state;
	uint64_t user, room = fix_room(f, "a", &user);

	f->limits.dedupe_window_ms = 0;
	sequence_configure(f->q, &f->limits);
	fix_decided(f, fix_message(f, room, user, "m1", 0));
	assert_int_equal(fix_decided(f, fix_message(f, room, user, "m1", 0))
			     .seq,
	    2);
	/* what came then is recognised once there is a window */
	f->limits.dedupe_window_ms = 60000;
	sequence_configure(f->q, &f->limits);
	assert_int_equal(fix_decided(f, fix_message(f, room, user, "m1", 0))
			     .verdict,
	    RING_DUPLICATE);
}

static void
asking_only_for_duplicates_stores_nothing(void **state)
{
	struct scribe_fixture *f = *state;
	uint64_t user, room = fix_room(f, "a", &user);
	struct ring_index ix;

	ix = fix_decided(f,
	    fix_message(f, room, user, "m1", RECORD_F_ONLY_DUPLICATE));
	assert_int_equal(ix.verdict, RING_REJECTED);
	ix = fix_decided(f, fix_message(f, room, user, "m1", 0));
	assert_int_equal(ix.verdict, RING_STORED);
	assert_int_equal(ix.seq, 1);
	ix = fix_decided(f,
	    fix_message(f, room, user, "m1", RECORD_F_ONLY_DUPLICATE));
	assert_int_equal(ix.verdict, RING_DUPLICATE);
	assert_int_equal(ix.seq, 1);
}

static void
a_store_that_is_full_takes_no_new_message_and_all_else(void **state)
{
	struct scribe_fixture *f = *state;
	uint64_t user, room = fix_room(f, "a", &user);
	struct ring_index ix;

	fix_decided(f, fix_message(f, room, user, "m1", 0));
	sequence_set_full(f->q, true);
	ix = fix_decided(f, fix_message(f, room, user, "m2", 0));
	assert_int_equal(ix.verdict, RING_STORE_UNAVAILABLE);
	ix = fix_decided(f, fix_message(f, room, user, "m1", 0));
	assert_int_equal(ix.verdict, RING_DUPLICATE);
	ix = fix_decided(f, fix_join(f, "w", "a", "bob", "s2"));
	assert_int_equal(ix.verdict, RING_STORED);
	ix = fix_decided(f, fix_leave(f, room, ix.user, "s2"));
	assert_int_equal(ix.verdict, RING_STORED);
	sequence_set_full(f->q, false);
	ix = fix_decided(f, fix_message(f, room, user, "m2", 0));
	assert_int_equal(ix.seq, 2);
}

static void
a_message_for_no_room_or_nobody_is_rejected(void **state)
{
	struct scribe_fixture *f = *state;
	uint64_t user, room = fix_room(f, "a", &user);
	struct ring_index ix;
	static char longid[STORE_MAX_NAME + 2];

	memset(longid, 'x', sizeof(longid) - 1);
	ix = fix_decided(f, fix_message(f, room + 1, user, "m1", 0));
	assert_int_equal(ix.verdict, RING_REJECTED);
	ix = fix_decided(f, fix_message(f, 0, user, "m1", 0));
	assert_int_equal(ix.verdict, RING_REJECTED);
	ix = fix_decided(f, fix_message(f, room, 0, "m1", 0));
	assert_int_equal(ix.verdict, RING_REJECTED);
	ix = fix_decided(f, fix_message(f, room, user, "", 0));
	assert_int_equal(ix.verdict, RING_REJECTED);
	ix = fix_decided(f, fix_message(f, room, user, longid, 0));
	assert_int_equal(ix.verdict, RING_REJECTED);
	ix = fix_decided(f, fix_message(f, room, user, "m1", 0));
	assert_int_equal(ix.seq, 1);
}

static void
a_probe_passes_without_touching_the_store(void **state)
{
	struct scribe_fixture *f = *state;
	struct record h = { .type = RECORD_PROBE };
	struct store_stat before, after;
	struct ring_index ix;

	assert_int_equal(store_stat(f->st.s, &before), 0);
	ix = fix_decided(f, fix_publish(f, &h, NULL, 0));
	assert_int_equal(ix.verdict, RING_STORED);
	assert_int_equal(ix.type, RECORD_PROBE);
	assert_int_equal(store_stat(f->st.s, &after), 0);
	assert_int_equal(after.last_txn, before.last_txn);
}

static void
what_belongs_to_the_live_ring_is_rejected(void **state)
{
	struct scribe_fixture *f = *state;
	const char *const fields[] = { "sock", "u", "" };
	struct record h = { .type = RECORD_TYPING, .room = 1, .user = 1 };

	assert_int_equal(fix_decided(f, fix_publish(f, &h, fields, 3)).verdict,
	    RING_REJECTED);
	assert_int_equal(sequence_counts(f->q)->bad, 1);
}

/* Without the ring: one record, a clock that we set. */
static struct ring_index
decide_at(struct scribe_fixture *f, uint64_t now_ms, uint64_t gseq,
    const void *rec, size_t len)
{
	struct ring_index ix = { .incarnation = FIX_INCARNATION };
	struct store_txn *t;

	assert_non_null(t = store_begin(f->st.s));
	assert_int_equal(sequence_begin(f->q, t, now_ms, false), 0);
	sequence_decide(f->q, gseq, rec, len, &ix);
	assert_int_equal(sequence_error(f->q), 0);
	assert_int_equal(store_commit(&t), 0);
	sequence_commit(f->q);
	return ix;
}

static void
time_never_runs_back_within_a_room(void **state)
{
	struct scribe_fixture *f = *state;
	uint64_t user, room = fix_room(f, "a", &user), now = 1ULL << 42;
	uint64_t g = commit_next(f->c);
	struct ring_index ix;

	(void)fix_message(f, room, user, "m1", 0);
	ix = decide_at(f, now, g, f->rec, ((struct record *)f->rec)->len);
	assert_int_equal(ix.time_ms, now);
	(void)fix_message(f, room, user, "m2", 0);
	ix = decide_at(f, now - 5000, g + 1, f->rec,
	    ((struct record *)f->rec)->len);
	assert_int_equal(ix.time_ms, now);
	/* also not across a restart of the process */
	fix_stop(f);
	assert_non_null(f->q = sequence_new(&f->limits));
	(void)fix_message(f, room, user, "m3", 0);
	ix = decide_at(f, now - 9000, g + 2, f->rec,
	    ((struct record *)f->rec)->len);
	assert_int_equal(ix.seq, 3);
	assert_int_equal(ix.time_ms, now);
}

static void
a_scribbled_record_gets_a_verdict_and_harms_nobody(void **state)
{
	struct scribe_fixture *f = *state;
	uint64_t user, room = fix_room(f, "a", &user), g;
	struct ring_index ix;
	size_t len, i;

	g = fix_message(f, room, user, "m1", 0);
	len = ((struct record *)f->rec)->len;
	assert_int_equal(fix_decided(f, g).seq, 1);
	for (i = 0; i < len; i++) {
		f->rec[i] ^= 0x40;
		ix = decide_at(f, 1, g + 1 + i, f->rec, len);
		assert_int_equal(ix.verdict, RING_REJECTED);
		f->rec[i] ^= 0x40;
	}
	ix = decide_at(f, 1, g + 1 + len, NULL, 0);
	assert_int_equal(ix.verdict, RING_REJECTED);
	assert_int_equal(fix_decided(f, fix_message(f, room, user, "m2", 0))
			     .seq,
	    2);
}

static void
a_batch_rolled_back_leaves_no_trace(void **state)
{
	struct scribe_fixture *f = *state;
	uint64_t user, room = fix_room(f, "a", &user), g = commit_next(f->c);
	struct ring_index ix = { .incarnation = 1 }, first, second;
	struct store_txn *t;
	int round;

	memset(&first, 0, sizeof(first));
	for (round = 0; round < 3; round++) {
		assert_non_null(t = store_begin(f->st.s));
		assert_int_equal(sequence_begin(f->q, t, 1ULL << 42, false), 0);
		(void)fix_message(f, room, user, "m1", 0);
		sequence_decide(f->q, g, f->rec, ((struct record *)f->rec)->len,
		    &ix);
		assert_int_equal(ix.verdict, RING_STORED);
		assert_int_equal(ix.seq, 1);
		/* a new room, a new user, a member */
		(void)fix_join(f, "w", "new", "eve", "s9");
		sequence_decide(f->q, g + 1, f->rec,
		    ((struct record *)f->rec)->len, &second);
		assert_int_equal(second.verdict, RING_STORED);
		if (round == 0)
			first = second;
		assert_int_equal(second.room, first.room);
		assert_int_equal(second.user, first.user);
		assert_true(sequence_dirty(f->q));
		store_abort(&t);
		sequence_rollback(f->q);
		assert_int_equal(sequence_counts(f->q)->stored, 0);
	}
}

static void
dense_numbers_survive_a_mixture_of_rollbacks(void **state)
{
	struct scribe_fixture *f = *state;
	uint64_t user, room = fix_room(f, "a", &user), g = commit_next(f->c);
	unsigned rnd = 1, i, n, round;
	uint64_t seq = 0, try;
	struct ring_index ix;
	struct store_txn *t;
	char id[24];

	for (round = 0; round < 60; round++) {
		assert_non_null(t = store_begin(f->st.s));
		assert_int_equal(sequence_begin(f->q, t, 1000, false), 0);
		rnd = rnd * 1103515245 + 12345;
		n = 1 + (rnd >> 16) % 9;
		try = seq;
		for (i = 0; i < n; i++) {
			/* some ids come twice in a batch */
			snprintf(id, sizeof(id), "m%llu",
			    (unsigned long long)(seq + i / 2));
			fix_delivered(f);
			(void)fix_message(f, room, user, id, 0);
			sequence_decide(f->q, g++, f->rec,
			    ((struct record *)f->rec)->len, &ix);
			if (i % 2 == 0)
				assert_int_equal(ix.seq, ++try);
			else
				assert_int_equal(ix.verdict, RING_DUPLICATE);
		}
		if ((rnd >> 20) % 3 == 0) {
			store_abort(&t);
			sequence_rollback(f->q);
		} else {
			assert_int_equal(store_commit(&t), 0);
			sequence_commit(f->q);
			seq = try;
		}
	}
	assert_true(seq > 60);
}

#define T(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(seq_is_dense_from_one_in_each_room),
		T(what_is_stored_can_be_read_with_its_position),
		T(the_same_id_again_gets_the_first_seq_and_time),
		T(the_id_of_another_user_is_taken),
		T(the_same_id_in_another_room_is_another_message),
		T(ids_with_the_same_hash_are_compared_whole),
		T(who_makes_hashes_collide_is_refused_in_the_end),
		T(duplicates_are_known_to_a_new_process),
		T(an_id_is_forgotten_when_the_window_is_over),
		T(a_window_of_zero_looks_at_no_ids),
		T(asking_only_for_duplicates_stores_nothing),
		T(a_store_that_is_full_takes_no_new_message_and_all_else),
		T(a_message_for_no_room_or_nobody_is_rejected),
		T(a_probe_passes_without_touching_the_store),
		T(what_belongs_to_the_live_ring_is_rejected),
		T(time_never_runs_back_within_a_room),
		T(a_scribbled_record_gets_a_verdict_and_harms_nobody),
		T(a_batch_rolled_back_leaves_no_trace),
		T(dense_numbers_survive_a_mixture_of_rollbacks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
