/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_scribe_edit - verdicts about edits, deletions, receipts and status.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "store/rows.h"
#include "tests/unit/scribe_edit.h"

/* --- edits and deletions --------------------------------------------------- */

static void
an_edit_gets_the_next_revision(void **state)
{
	struct scribe_fixture *f = *state;
	struct ring_index in, ix;
	struct store_message m;
	uint64_t user, room = fix_room(f, "s", &user);

	in = fix_decided(f, fix_message(f, room, user, "m1", 0));
	ix = fix_edited(f, room, user, &in, "m1", "\"content\":\"new\"", 0);
	assert_int_equal(ix.verdict, RING_STORED);
	assert_int_equal(ix.seq, in.seq);
	assert_int_equal(ix.revision, 1);
	assert_true(ix.time_ms >= in.time_ms);
	assert_int_equal(ix.room, room);
	m = fix_stored(f, room, in.seq);
	assert_int_equal(m.revision, 1);
	assert_int_equal(m.edited_ms, ix.time_ms);
	assert_int_equal(m.time_ms, in.time_ms);
	assert_false(m.deleted);
	ix = fix_edited(f, room, user, &in, "m1", "\"content\":\"new\"", 0);
	assert_int_equal(ix.revision, 2);
	assert_int_equal(fix_changes(f, room), 1);
	/* the next JOIN tells it */
	ix = fix_decided(f, fix_join(f, "w", "s", "bob", "sock2"));
	assert_int_equal(ix.revision, 2);
}

static void
what_is_deleted_is_not_found(void **state)
{
	struct scribe_fixture *f = *state;
	struct ring_index in, ix;
	uint64_t user, room = fix_room(f, "s", &user);

	in = fix_decided(f, fix_message(f, room, user, "m1", 0));
	ix = fix_deleted(f, room, user, &in, "m1", 0);
	assert_int_equal(ix.verdict, RING_STORED);
	assert_int_equal(ix.revision, 1);
	assert_true(fix_stored(f, room, in.seq).deleted);
	ix = fix_deleted(f, room, user, &in, "m1", 0);
	assert_int_equal(ix.verdict, RING_NOT_FOUND);
	ix = fix_edited(f, room, user, &in, "m1", "\"content\":\"x\"", 0);
	assert_int_equal(ix.verdict, RING_NOT_FOUND);
	/* its id stays taken */
	ix = fix_decided(f, fix_message(f, room, user, "m1", 0));
	assert_int_equal(ix.verdict, RING_DUPLICATE);
	assert_int_equal(ix.seq, in.seq);
	ix = fix_decided(f, fix_message(f, room, user + 1, "m1", 0));
	assert_int_equal(ix.verdict, RING_ID_TAKEN);
}

static void
what_is_not_there_is_not_found(void **state)
{
	struct scribe_fixture *f = *state;
	struct ring_index in, ix, other;
	uint64_t user, room = fix_room(f, "s", &user);

	in = fix_decided(f, fix_message(f, room, user, "m1", 0));
	other = in;
	other.seq = 99;
	ix = fix_edited(f, room, user, &other, "m1", "\"content\":\"x\"", 0);
	assert_int_equal(ix.verdict, RING_NOT_FOUND);
	/* another message has its place: the worker looked somewhere else */
	ix = fix_edited(f, room, user, &in, "m2", "\"content\":\"x\"", 0);
	assert_int_equal(ix.verdict, RING_NOT_FOUND);
	ix = fix_deleted(f, room, user, &in, "m2", 0);
	assert_int_equal(ix.verdict, RING_NOT_FOUND);
	ix = fix_edited(f, room + 7, user, &in, "m1", "\"content\":\"x\"", 0);
	assert_int_equal(ix.verdict, RING_REJECTED);
	/* a time that is not the message's */
	other = in;
	other.time_ms++;
	ix = fix_edited(f, room, user, &other, "m1", "\"content\":\"x\"", 0);
	assert_int_equal(ix.verdict, RING_REJECTED);
	assert_int_equal(fix_changes(f, room), 0);
	assert_int_equal(fix_stored(f, room, in.seq).revision, 0);
}

static void
others_may_not_but_a_service(void **state)
{
	struct scribe_fixture *f = *state;
	struct ring_index in, ix;
	uint64_t user, room = fix_room(f, "s", &user);

	in = fix_decided(f, fix_message(f, room, user, "m1", 0));
	ix = fix_edited(f, room, user + 1, &in, "m1", "\"content\":\"x\"", 0);
	assert_int_equal(ix.verdict, RING_FORBIDDEN);
	ix = fix_deleted(f, room, user + 1, &in, "m1", 0);
	assert_int_equal(ix.verdict, RING_FORBIDDEN);
	ix = fix_deleted(f, room, 0, &in, "m1", 0);
	assert_int_equal(ix.verdict, RING_REJECTED);
	ix = fix_edited(f, room, user + 1, &in, "m1", "\"content\":\"x\"",
	    RECORD_F_SERVICE);
	assert_int_equal(ix.verdict, RING_STORED);
	/* still its author's */
	assert_int_equal(fix_stored(f, room, in.seq).user, user);
	ix = fix_deleted(f, room, 0, &in, "m1", RECORD_F_SERVICE);
	assert_int_equal(ix.verdict, RING_STORED);
	/* who may not know of it learns nothing more */
	ix = fix_deleted(f, room, user + 1, &in, "m1", 0);
	assert_int_equal(ix.verdict, RING_NOT_FOUND);
}

static void
nonsense_is_rejected(void **state)
{
	struct scribe_fixture *f = *state;
	static const char *const fields[][5] = {
		{ "", "sock", "1", "\"content\":\"x\"", "1" },
		{ "m1", "sock", "", "\"content\":\"x\"", "1" },
		{ "m1", "sock", "1x", "\"content\":\"x\"", "1" },
		{ "m1", "sock", "99999999999999999999", "\"content\":\"x\"",
		    "1" },
		{ "m1", "sock", "1", "", "1" },
		{ "m1", "sock", "1", "\"content\":\"x\"", "-1" },
	};
	uint64_t user, room = fix_room(f, "s", &user), g;
	struct record h;
	size_t i;

	(void)fix_decided(f, fix_message(f, room, user, "m1", 0));
	for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		h = (struct record){ .type = RECORD_EDIT,
			.room = room,
			.user = user };
		g = fix_publish(f, &h, fields[i], 5);
		assert_int_equal(fix_decided(f, g).verdict, RING_REJECTED);
	}
	assert_int_equal(fix_changes(f, room), 0);
}

/* A worker that was evicted publishes again what it has no verdict of. */
static void
what_is_published_again_is_done_once(void **state)
{
	struct scribe_fixture *f = *state;
	struct ring_index in, first, ix;
	uint64_t user, room = fix_room(f, "s", &user);
	static const char a[] = "\"content\":\"a\"", b[] = "\"content\":\"b\"";

	in = fix_decided(f, fix_message(f, room, user, "m1", 0));
	first = fix_edited(f, room, user, &in, "m1", a, 0);
	ix = fix_edited(f, room, user, &in, "m1", a, RECORD_F_AGAIN);
	assert_int_equal(ix.verdict, RING_DUPLICATE);
	assert_int_equal(ix.revision, first.revision);
	assert_int_equal(ix.time_ms, first.time_ms);
	assert_int_equal(ix.seq, in.seq);
	/* it had never been decided */
	ix = fix_edited(f, room, user, &in, "m1", b, RECORD_F_AGAIN);
	assert_int_equal(ix.verdict, RING_STORED);
	assert_int_equal(ix.revision, 2);
	first = fix_deleted(f, room, user, &in, "m1", RECORD_F_AGAIN);
	assert_int_equal(first.verdict, RING_STORED);
	ix = fix_deleted(f, room, user, &in, "m1", RECORD_F_AGAIN);
	assert_int_equal(ix.verdict, RING_DUPLICATE);
	assert_int_equal(ix.revision, first.revision);
	ix = fix_deleted(f, room, user + 1, &in, "m1", RECORD_F_AGAIN);
	assert_int_equal(ix.verdict, RING_NOT_FOUND);
	ix = fix_edited(f, room, user, &in, "m1", b, RECORD_F_AGAIN);
	assert_int_equal(ix.verdict, RING_NOT_FOUND);
	assert_int_equal(fix_changes(f, room), 1);
}

/* Two workers have looked the same message up. */
static void
the_first_of_two_decides(void **state)
{
	struct scribe_fixture *f = *state;
	struct ring_index in, ix;
	uint64_t user, room = fix_room(f, "s", &user), g[4];
	unsigned i;

	in = fix_decided(f, fix_message(f, room, user, "m1", 0));
	g[0] = fix_edit(f, room, user, &in, "m1", "\"content\":\"a\"", 0);
	g[1] = fix_edit(f, room, user, &in, "m1", "\"content\":\"b\"", 0);
	g[2] = fix_delete(f, room, user, &in, "m1", 0);
	g[3] = fix_edit(f, room, user, &in, "m1", "\"content\":\"c\"", 0);
	(void)fix_turns(f);
	for (i = 0; i < 3; i++) {
		ix = fix_index(f, g[i]);
		assert_int_equal(ix.verdict, RING_STORED);
		assert_int_equal(ix.revision, i + 1);
	}
	assert_int_equal(fix_index(f, g[3]).verdict, RING_NOT_FOUND);
	assert_true(fix_stored(f, room, in.seq).deleted);
	assert_int_equal(fix_changes(f, room), 1);
}

static void
retention_wins_over_an_edit(void **state)
{
	struct scribe_fixture *f = *state;
	struct ring_index in, ix;
	uint64_t user, room = fix_room(f, "s", &user);
	struct store_trim trim = { .room = room,
		.below_seq = 2,
		.keep_ids_ms = 0,
		.max = 10 };
	struct store_txn *t;

	in = fix_decided(f, fix_message(f, room, user, "m1", 0));
	(void)fix_decided(f, fix_message(f, room, user, "m2", 0));
	ix = fix_edited(f, room, user, &in, "m1", "\"content\":\"a\"", 0);
	assert_int_equal(ix.revision, 1);
	assert_non_null(t = store_begin(f->st.s));
	assert_int_equal(store_trim(t, &trim), 0);
	assert_int_equal(store_commit(&t), 0);
	ix = fix_edited(f, room, user, &in, "m1", "\"content\":\"b\"", 0);
	assert_int_equal(ix.verdict, RING_NOT_FOUND);
	in.seq = 2;
	in.time_ms = fix_stored(f, room, 2).time_ms;
	ix = fix_edited(f, room, user, &in, "m2", "\"content\":\"b\"", 0);
	assert_int_equal(ix.verdict, RING_STORED);
	assert_int_equal(ix.revision, 2);
}

/* --- receipts -------------------------------------------------------------- */

static void
a_receipt_only_grows(void **state)
{
	struct scribe_fixture *f = *state;
	struct ring_index first, ix;
	uint64_t user, room = fix_room(f, "s", &user);
	int i;

	for (i = 0; i < 3; i++)
		(void)fix_decided(f,
		    fix_message(f, room, user,
			(const char *[]){ "a", "b", "c" }[i], 0));
	first = fix_read(f, room, user, "2", 0);
	assert_int_equal(first.verdict, RING_STORED);
	assert_int_equal(first.seq, 2);
	assert_int_equal(first.revision, 1);
	ix = fix_read(f, room, user, "1", 0);
	assert_int_equal(ix.verdict, RING_DUPLICATE);
	assert_int_equal(ix.seq, 2);
	assert_int_equal(ix.revision, 1);
	assert_int_equal(ix.time_ms, first.time_ms);
	ix = fix_read(f, room, user, "4", 0);
	assert_int_equal(ix.verdict, RING_REJECTED);
	ix = fix_read(f, room, user + 1, "0", 0);
	assert_int_equal(ix.verdict, RING_DUPLICATE);
	assert_int_equal(ix.seq, 0);
	assert_int_equal(ix.revision, 0);
	assert_int_equal(fix_read(f, room, 0, "1", 0).verdict, RING_REJECTED);
	assert_int_equal(fix_read(f, room, user, "", 0).verdict, RING_REJECTED);
	ix = fix_read(f, room, user, "3", RECORD_F_AGAIN);
	assert_int_equal(ix.verdict, RING_STORED);
	assert_int_equal(ix.revision, 2);
	ix = fix_read(f, room, user, "3", RECORD_F_AGAIN);
	assert_int_equal(ix.verdict, RING_DUPLICATE);
	assert_int_equal(fix_changes(f, room), 1);
}

/* --- status ---------------------------------------------------------------- */

static void
the_last_status_stays_with_the_session(void **state)
{
	struct scribe_fixture *f = *state;
	struct store_room row;
	struct store_txn *t;
	struct ring_index ix;
	uint64_t user, room = fix_room(f, "s", &user);

	ix = fix_status(f, room, "paused", "lunch", 0);
	assert_int_equal(ix.verdict, RING_STORED);
	/* every worker hears of it */
	assert_int_equal(ix.room, 0);
	ix = fix_status(f, room, "paused", "lunch", RECORD_F_AGAIN);
	assert_int_equal(ix.verdict, RING_DUPLICATE);
	ix = fix_status(f, room, "error", "", 0);
	assert_int_equal(ix.verdict, RING_STORED);
	assert_non_null(t = store_snapshot(f->st.s));
	assert_int_equal(store_room_get(t, room, &row), 0);
	assert_int_equal(row.status.len, 5);
	assert_memory_equal(row.status.p, "error", 5);
	assert_int_equal(row.status_reason.len, 0);
	assert_int_equal(row.status_ms, ix.time_ms);
	assert_int_equal(row.session.len, 1);
	store_snapshot_end(&t);
	assert_int_equal(fix_status(f, room, "sad", "", 0).verdict,
	    RING_REJECTED);
	assert_int_equal(fix_status(f, room + 9, "error", "", 0).verdict,
	    RING_REJECTED);
}

/* --- full, failing, starting again ------------------------------------------ */

static void
a_full_store_takes_deletions_only(void **state)
{
	struct scribe_fixture *f = *state;
	struct ring_index in;
	uint64_t user, room = fix_room(f, "s", &user);

	in = fix_decided(f, fix_message(f, room, user, "m1", 0));
	sequence_set_full(f->q, true);
	assert_int_equal(fix_edited(f, room, user, &in, "m1",
			     "\"content\":\"b\"", 0)
			     .verdict,
	    RING_STORE_UNAVAILABLE);
	assert_int_equal(fix_read(f, room, user, "1", 0).verdict,
	    RING_STORE_UNAVAILABLE);
	assert_int_equal(fix_status(f, room, "error", "", 0).verdict,
	    RING_STORE_UNAVAILABLE);
	assert_int_equal(fix_deleted(f, room, user, &in, "m1", 0).verdict,
	    RING_STORED);
	sequence_set_full_from(f->q, 0);
	assert_int_equal(fix_deleted(f, room, user, &in, "m1", 0).verdict,
	    RING_NOT_FOUND);
	sequence_set_full(f->q, false);
	sequence_set_full_from(f->q, UINT64_MAX);
	assert_int_equal(fix_read(f, room, user, "1", 0).verdict, RING_STORED);
}

static void
a_new_scribe_goes_on_with_revisions_and_times(void **state)
{
	struct scribe_fixture *f = *state;
	struct clock_shift shift = { .mono_ns = 1 };
	struct ring_index in, edited, said, ix;
	uint64_t user, room = fix_room(f, "s", &user), cursor;

	in = fix_decided(f, fix_message(f, room, user, "m1", 0));
	shift.real_ms = 1000000;
	clock_set_shift(&shift);
	edited = fix_edited(f, room, user, &in, "m1", "\"content\":\"b\"", 0);
	cursor = f->cursor;
	fix_stop(f);
	assert_int_equal(fix_start(f), 0);
	f->cursor = cursor;
	/* the clock was set back */
	shift.real_ms = 0;
	ix = fix_read(f, room, user, "1", 0);
	assert_int_equal(ix.revision, 2);
	assert_true(ix.time_ms >= edited.time_ms);
	shift.real_ms = 2000000;
	said = fix_status(f, room, "paused", "", 0);
	fix_stop(f);
	assert_int_equal(fix_start(f), 0);
	f->cursor = cursor;
	shift.real_ms = 0;
	ix = fix_decided(f, fix_join(f, "w", "s", "bob", "sock2"));
	assert_int_equal(ix.revision, 2);
	assert_true(ix.time_ms >= said.time_ms);
	clock_set_shift(NULL);
}

#define T(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(an_edit_gets_the_next_revision),
		T(what_is_deleted_is_not_found),
		T(what_is_not_there_is_not_found),
		T(others_may_not_but_a_service),
		T(nonsense_is_rejected),
		T(what_is_published_again_is_done_once),
		T(the_first_of_two_decides),
		T(retention_wins_over_an_edit),
		T(a_receipt_only_grows),
		T(the_last_status_stays_with_the_session),
		T(a_full_store_takes_deletions_only),
		T(a_new_scribe_goes_on_with_revisions_and_times),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
