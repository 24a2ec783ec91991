/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_scribe_steer - what operators decide is stored, and goes when it ends.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "scribe/steer.h"
#include "store/rows.h"
#include "tests/unit/scribe_fixture.h"

enum {
	BAN = 1,
	MUTE,
	TOKEN,
	USER,
	KICK,
	KICK_SOCKET,
};

static uint64_t
publish(struct scribe_fixture *f, const char *action, const char *user,
    const char *id, const char *until)
{
	const char *const fields[] = { action, user, id, until, "why", "uid 0",
		"", "" };
	struct record h = { .type = RECORD_STEER };

	return fix_publish(f, &h, fields, 8);
}

/* Its entry, once it is durable. */
static struct ring_index
decided(struct scribe_fixture *f, const char *action, const char *user,
    const char *id, const char *until)
{
	uint64_t gseq = publish(f, action, user, id, until);

	assert_int_equal(fix_turns(f), COMMIT_IDLE);
	return fix_index(f, gseq);
}

static bool
find(struct scribe_fixture *f, unsigned kind, const char *id,
    struct store_ban *ban_r)
{
	struct store_txn *t;
	int rc;

	assert_non_null(t = store_begin(f->st.s));
	rc = store_ban_get(t, kind, text(id), ban_r);
	if (rc == 0) {
		assert_int_equal(ban_r->reason.len, 3);
		assert_int_equal(ban_r->by.len, 5);
	}
	store_abort(&t);
	return rc == 0;
}

static void
each_decision_has_its_row(void **state)
{
	struct scribe_fixture *f = *state;
	struct store_ban row;
	struct ring_index ix;

	ix = decided(f, "ban", "eve", "", "12345");
	assert_int_equal(ix.verdict, RING_STORED);
	assert_int_equal(ix.type, RECORD_STEER);
	assert_int_equal(ix.room, 0);
	assert_true(find(f, BAN, "eve", &row));
	assert_int_equal(row.until_ms, 12345);
	assert_true(row.gseq >= FIX_BASE);
	ix = decided(f, "mute", "eve", "", "");
	assert_int_equal(ix.verdict, RING_STORED);
	assert_true(find(f, MUTE, "eve", &row));
	assert_true(row.until_ms == UINT64_MAX);
	assert_int_equal(decided(f, "revoke-token", "", "jti", "").verdict,
	    RING_STORED);
	assert_true(find(f, TOKEN, "jti", &row));
	assert_int_equal(decided(f, "revoke-user", "eve", "777", "").verdict,
	    RING_STORED);
	assert_true(find(f, USER, "eve", &row));
	assert_int_equal(row.since_ms, 777);
	/* the same again, and another in its place */
	assert_int_equal(decided(f, "revoke-user", "eve", "777", "").verdict,
	    RING_STORED);
	assert_int_equal(decided(f, "ban", "eve", "", "").verdict, RING_STORED);
	assert_true(find(f, BAN, "eve", &row));
	assert_true(row.until_ms == UINT64_MAX);
}

static void
what_is_taken_back_must_be_there(void **state)
{
	struct scribe_fixture *f = *state;
	struct store_ban row;

	assert_int_equal(decided(f, "unban", "eve", "", "").verdict,
	    RING_NOT_FOUND);
	(void)decided(f, "ban", "eve", "", "");
	(void)decided(f, "mute", "eve", "", "");
	assert_int_equal(decided(f, "unban", "eve", "", "").verdict,
	    RING_STORED);
	assert_false(find(f, BAN, "eve", &row));
	assert_true(find(f, MUTE, "eve", &row));
	assert_int_equal(decided(f, "unban", "eve", "", "").verdict,
	    RING_NOT_FOUND);
	assert_int_equal(decided(f, "unmute", "eve", "", "").verdict,
	    RING_STORED);
	assert_false(find(f, MUTE, "eve", &row));
}

static void
what_is_asked_for_again_was_done_perhaps(void **state)
{
	const char *const fields[] = { "unban", "eve", "", "", "", "", "", "" };
	struct record h = { .type = RECORD_STEER, .flags = RECORD_F_AGAIN };
	struct scribe_fixture *f = *state;
	uint64_t gseq = fix_publish(f, &h, fields, 8);

	assert_int_equal(fix_turns(f), COMMIT_IDLE);
	assert_int_equal(fix_index(f, gseq).verdict, RING_DUPLICATE);
}

static void
kicks_are_kept_for_a_while_and_broadcasts_are_not(void **state)
{
	struct scribe_fixture *f = *state;
	struct store_ban row;
	uint64_t rows;

	assert_int_equal(decided(f, "kick", "eve", "", "").verdict,
	    RING_STORED);
	assert_true(find(f, KICK, "eve", &row));
	assert_int_equal(row.until_ms - row.since_ms, STEER_KICK_MS);
	assert_int_equal(decided(f, "kick-socket", "", "sid", "").verdict,
	    RING_STORED);
	assert_true(find(f, KICK_SOCKET, "sid", &row));
	rows = row.gseq;
	assert_int_equal(decided(f, "broadcast", "", "id1", "").verdict,
	    RING_STORED);
	assert_true(find(f, KICK_SOCKET, "sid", &row));
	assert_int_equal(row.gseq, rows);
}

static void
what_makes_no_sense_is_rejected(void **state)
{
	struct scribe_fixture *f = *state;
	char longer[STORE_MAX_NAME + 2];
	struct store_ban row;

	memset(longer, 'x', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(decided(f, "", "eve", "", "").verdict, RING_REJECTED);
	assert_int_equal(decided(f, "bann", "eve", "", "").verdict,
	    RING_REJECTED);
	assert_int_equal(decided(f, "ban", "", "", "").verdict, RING_REJECTED);
	assert_int_equal(decided(f, "ban", longer, "", "").verdict,
	    RING_REJECTED);
	assert_int_equal(decided(f, "ban", "eve", "", "soon").verdict,
	    RING_REJECTED);
	assert_int_equal(decided(f, "ban", "eve", "", "99999999999999999999")
			     .verdict,
	    RING_REJECTED);
	assert_int_equal(decided(f, "revoke-user", "eve", "-1", "").verdict,
	    RING_REJECTED);
	assert_int_equal(decided(f, "revoke-token", "eve", "", "").verdict,
	    RING_REJECTED);
	assert_false(find(f, BAN, "eve", &row));
	assert_int_equal(sequence_counts(f->q)->bad, 8);
}

static void
on_a_store_that_fails_only_what_needs_no_row_goes(void **state)
{
	static const struct {
		const char *action;
		enum ring_verdict verdict;
	} all[] = {
		{ "ban", RING_STORE_UNAVAILABLE },
		{ "unban", RING_STORE_UNAVAILABLE },
		{ "mute", RING_STORE_UNAVAILABLE },
		{ "revoke-user", RING_STORE_UNAVAILABLE },
		{ "kick", RING_STORED },
		{ "broadcast", RING_STORED },
	};
	struct scribe_fixture *f = *state;
	struct record_field rf[RECORD_MAX_FIELDS] = { { NULL, 0 } };
	struct record h = { .type = RECORD_STEER };
	struct ring_index ix = { 0 };
	struct store_txn *t;
	size_t i, len;

	assert_non_null(t = store_begin(f->st.s));
	assert_int_equal(sequence_begin(f->q, t, 1000, true), 0);
	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		rf[0].p = all[i].action;
		rf[0].len = (uint32_t)strlen(all[i].action);
		rf[1].p = rf[2].p = "1";
		rf[1].len = rf[2].len = 1;
		len = record_build(f->rec, sizeof(f->rec), &h, rf, 8);
		assert_true(len > 0);
		sequence_decide(f->q, FIX_BASE + i, f->rec, len, &ix);
		assert_int_equal(ix.verdict, all[i].verdict);
	}
	assert_false(sequence_dirty(f->q));
	sequence_rollback(f->q);
	store_abort(&t);
}

static void
decisions_survive_a_new_scribe(void **state)
{
	struct scribe_fixture *f = *state;
	struct store_ban row;

	(void)decided(f, "ban", "eve", "", "");
	fix_stop(f);
	assert_int_equal(fix_start(f), 0);
	assert_true(find(f, BAN, "eve", &row));
	assert_int_equal(decided(f, "unban", "eve", "", "").verdict,
	    RING_STORED);
}

static void
what_has_ended_is_swept(void **state)
{
	struct scribe_fixture *f = *state;
	struct steer_sweep sw;
	struct store_ban row;
	uint64_t now = clock_mono_ns();

	(void)decided(f, "ban", "eve", "", "1000");
	(void)decided(f, "ban", "bob", "", "1001");
	(void)decided(f, "ban", "dan", "", "");
	steer_sweep_init(&sw, f->st.s);
	assert_int_equal(steer_sweep_next(&sw), 0);
	assert_int_equal(steer_sweep_turn(&sw, now, 1000), 0);
	assert_int_equal(sw.removed, 1);
	assert_true(steer_sweep_next(&sw) == now + STEER_PASS_NS);
	assert_false(find(f, BAN, "eve", &row));
	assert_true(find(f, BAN, "bob", &row));
	assert_int_equal(steer_sweep_turn(&sw, now, UINT64_MAX - 1), 0);
	assert_int_equal(sw.removed, 2);
	assert_true(find(f, BAN, "dan", &row));
}

static void
what_the_server_says_is_a_message_of_nobody(void **state)
{
	struct scribe_fixture *f = *state;
	struct ring_index in, ix;
	uint64_t gseq = fix_join(f, "w", "s", "u", "sock");

	assert_int_equal(fix_turns(f), COMMIT_IDLE);
	in = fix_index(f, gseq);
	gseq = fix_message(f, in.room, 0, "m1", 0);
	(void)fix_turns(f);
	assert_int_equal(fix_index(f, gseq).verdict, RING_REJECTED);
	gseq = fix_message(f, in.room, 0, "m1", RECORD_F_SERVICE);
	(void)fix_turns(f);
	ix = fix_index(f, gseq);
	assert_int_equal(ix.verdict, RING_STORED);
	assert_int_equal(ix.seq, 1);
	/* again; and its id is nobody else's */
	gseq = fix_message(f, in.room, 0, "m1", RECORD_F_SERVICE);
	(void)fix_turns(f);
	assert_int_equal(fix_index(f, gseq).verdict, RING_DUPLICATE);
	gseq = fix_message(f, in.room, in.user, "m1", 0);
	(void)fix_turns(f);
	assert_int_equal(fix_index(f, gseq).verdict, RING_ID_TAKEN);
}

#define T(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(each_decision_has_its_row),
		T(what_is_taken_back_must_be_there),
		T(what_is_asked_for_again_was_done_perhaps),
		T(kicks_are_kept_for_a_while_and_broadcasts_are_not),
		T(what_makes_no_sense_is_rejected),
		T(on_a_store_that_fails_only_what_needs_no_row_goes),
		T(decisions_survive_a_new_scribe),
		T(what_has_ended_is_swept),
		T(what_the_server_says_is_a_message_of_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
