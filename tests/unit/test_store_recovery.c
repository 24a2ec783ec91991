/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_store_recovery - the rows by which sockets are taken up again, and
 * stores of chatds that had none.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "store/env.h"
#include "tests/unit/store_fixture.h"

#define PID "aaaaaaaaaaaaaaaaaaa1"
#define RUN 4096
#define BEGUN_MS 5000

static void
begin_run(struct store *s, uint64_t base, uint64_t begun_ms)
{
	struct store_run run = { base, begun_ms };
	struct store_txn *t;

	assert_non_null(t = store_begin(s));
	store_run_put(t, &run);
	assert_int_equal(store_commit(&t), 0);
}

static int
setup(void **state)
{
	struct store_fixture *f;

	if ((f = calloc(1, sizeof(*f))) == NULL)
		return -1;
	*state = f;
	if (store_fixture_open(f) == -1)
		return -1;
	begin_run(f->s, RUN, BEGUN_MS);
	return 0;
}

static int
teardown(void **state)
{
	struct store_fixture *f = *state;
	int rc = store_fixture_close(f);

	free(f);
	return rc;
}

/* A row of two rooms whose socket is there. */
static struct store_recovery
sample(void)
{
	struct store_recovery row = { .socket = text("socket-1"),
		.user_id = text("ada"),
		.user = 7,
		.run = RUN,
		.incarnation = 3,
		.client = 4,
		.generation = 5,
		.nrooms = 2 };

	row.room[0].room = 11;
	row.room[0].gseq = 12;
	row.room[0].has_after = true;
	row.room[0].after_seq = 13;
	row.room[0].present = true;
	row.room[0].agent = text("helper");
	row.room[1].room = 21;
	row.room[1].gseq = 22;
	row.room[1].agent = text("");
	return row;
}

static void
put(struct store *s, const char *pid, const struct store_recovery *row)
{
	struct store_txn *t;

	assert_non_null(t = store_begin(s));
	store_recovery_put(t, text(pid), row);
	assert_int_equal(store_commit(&t), 0);
}

static int
get(struct store *s, const char *pid, struct store_recovery *row_r)
{
	struct store_txn *t;
	int rc;

	assert_non_null(t = store_snapshot(s));
	errno = 0;
	rc = store_recovery_get(t, text(pid), row_r);
	store_snapshot_end(&t);
	return rc;
}

static void
a_row_comes_out_as_it_went_in(void **state)
{
	struct store_fixture *f = *state;
	struct store_recovery row = sample(), got;
	struct store_txn *t;

	put(f->s, PID, &row);
	assert_non_null(t = store_snapshot(f->s));
	assert_int_equal(store_recovery_get(t, text(PID), &got), 0);
	assert_int_equal(got.socket.len, 8);
	assert_memory_equal(got.socket.p, "socket-1", 8);
	assert_int_equal(got.user_id.len, 3);
	assert_memory_equal(got.user_id.p, "ada", 3);
	assert_int_equal(got.user, 7);
	assert_int_equal(got.lost_ms, 0);
	assert_int_equal(got.run, RUN);
	assert_int_equal(got.incarnation, 3);
	assert_int_equal(got.client, 4);
	assert_int_equal(got.generation, 5);
	assert_false(got.partial);
	assert_int_equal(got.nrooms, 2);
	assert_int_equal(got.room[0].room, 11);
	assert_int_equal(got.room[0].gseq, 12);
	assert_true(got.room[0].has_after);
	assert_int_equal(got.room[0].after_seq, 13);
	assert_true(got.room[0].present);
	assert_int_equal(got.room[0].agent.len, 6);
	assert_memory_equal(got.room[0].agent.p, "helper", 6);
	assert_int_equal(got.room[1].room, 21);
	assert_int_equal(got.room[1].gseq, 22);
	assert_false(got.room[1].has_after);
	assert_false(got.room[1].present);
	assert_int_equal(got.room[1].agent.len, 0);
	store_snapshot_end(&t);
	/* and is replaced by a shorter one */
	row.nrooms = 1;
	row.partial = true;
	put(f->s, PID, &row);
	assert_int_equal(get(f->s, PID, &got), 0);
	assert_int_equal(got.nrooms, 1);
	assert_true(got.partial);
}

static void
a_row_that_is_deleted_is_not_there(void **state)
{
	struct store_fixture *f = *state;
	struct store_recovery row = sample(), got;
	struct store_txn *t;

	put(f->s, PID, &row);
	assert_non_null(t = store_begin(f->s));
	store_recovery_del(t, text("aaaaaaaaaaaaaaaaaaa2"));
	store_recovery_del(t, text(""));
	store_recovery_del(t, text(PID));
	store_recovery_del(t, text(PID));
	assert_int_equal(store_commit(&t), 0);
	assert_int_equal(get(f->s, PID, &got), -1);
	assert_int_equal(errno, ENOENT);
}

static void
what_cannot_be_a_pid_has_no_row(void **state)
{
	struct store_fixture *f = *state;
	struct store_recovery row = sample(), got;
	struct store_txn *t;

	assert_int_equal(get(f->s, "", &got), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(get(f->s, "aaaaaaaaaaaaaaaaaaa", &got), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(get(f->s, PID "x", &got), -1);
	assert_int_equal(errno, ENOENT);
	assert_non_null(t = store_begin(f->s));
	store_recovery_put(t, text(PID "x"), &row);
	assert_int_equal(store_error(t), EINVAL);
	store_abort(&t);
}

static void
the_most_rooms_with_the_longest_agents_fit(void **state)
{
	struct store_fixture *f = *state;
	static char agent[STORE_MAX_NAME + 1];
	struct store_recovery row = sample(), got;
	unsigned i;

	memset(agent, 'x', STORE_MAX_NAME);
	row.nrooms = STORE_RECOVERY_ROOMS;
	for (i = 0; i < row.nrooms; i++) {
		memset(&row.room[i], 0, sizeof(row.room[i]));
		row.room[i].room = i + 1;
		row.room[i].after_seq = UINT64_MAX - i;
		row.room[i].agent = text(agent);
	}
	put(f->s, PID, &row);
	assert_int_equal(get(f->s, PID, &got), 0);
	assert_int_equal(got.nrooms, STORE_RECOVERY_ROOMS);
	for (i = 0; i < got.nrooms; i++) {
		assert_int_equal(got.room[i].room, i + 1);
		assert_int_equal(got.room[i].after_seq, UINT64_MAX - i);
		assert_int_equal(got.room[i].agent.len, STORE_MAX_NAME);
	}
}

static void
nobody_of_a_former_run_is_there(void **state)
{
	struct store_fixture *f = *state;
	struct store_recovery row = sample(), got;

	put(f->s, PID, &row);
	begin_run(f->s, RUN + 64, BEGUN_MS + 900);
	assert_int_equal(get(f->s, PID, &got), 0);
	assert_int_equal(got.lost_ms, BEGUN_MS + 900);
	assert_int_equal(got.run, RUN);
	assert_int_equal(got.nrooms, 2);
	assert_false(got.room[0].present);
	/* who was lost before goes on being lost */
	row.lost_ms = 123;
	put(f->s, PID, &row);
	assert_int_equal(get(f->s, PID, &got), 0);
	assert_int_equal(got.lost_ms, 123);
	/* without any run nobody is there either */
	row.lost_ms = 0;
	row.run = 0;
	put(f->s, PID, &row);
	begin_run(f->s, RUN, 0);
	assert_int_equal(get(f->s, PID, &got), 0);
	assert_true(got.lost_ms > 0);
}

static void
a_row_can_be_used_by_its_user_within_its_window(void **state)
{
	struct store_recovery row = sample();
	struct store_text ada = text("ada");

	assert_true(store_recovery_usable(&row, ada, 1 << 30, 100));
	assert_false(store_recovery_over(&row, 1 << 30, 100));
	assert_false(store_recovery_usable(&row, text("eve"), 1, 100));
	assert_false(store_recovery_usable(&row, text("ad"), 1, 100));
	assert_false(store_recovery_usable(&row, text("adam"), 1, 100));
	assert_false(store_recovery_usable(&row, ada, 1 << 30, 0));
	row.lost_ms = 1000;
	assert_true(store_recovery_usable(&row, ada, 1100, 100));
	assert_false(store_recovery_over(&row, 1100, 100));
	assert_false(store_recovery_usable(&row, ada, 1101, 100));
	assert_true(store_recovery_over(&row, 1101, 100));
	/* the clock was set back meanwhile */
	assert_true(store_recovery_usable(&row, ada, 10, 100));
	assert_true(store_recovery_over(&row, 1001, 0));
	row.partial = true;
	assert_false(store_recovery_usable(&row, ada, 1000, 100));
}

/* --- walks and damage -------------------------------------------------- */

struct seen {
	unsigned rows;
	unsigned damaged;
	char last[STORE_PID];
	/* stop at this row, once */
	unsigned stop;
};

static bool
see(struct store_text pid, const struct store_recovery *row, void *arg)
{
	struct seen *seen = arg;

	assert_int_equal(pid.len, STORE_PID);
	if (seen->stop > 0 && seen->rows + 1 == seen->stop) {
		seen->stop = 0;
		return false;
	}
	assert_true(memcmp(seen->last, pid.p, STORE_PID) < 0);
	memcpy(seen->last, pid.p, STORE_PID);
	seen->rows++;
	seen->damaged += row == NULL;
	return true;
}

static void
put_many(struct store *s, unsigned n)
{
	struct store_recovery row = sample();
	struct store_txn *t;
	char pid[STORE_PID + 1];
	unsigned i;

	assert_non_null(t = store_begin(s));
	for (i = 0; i < n; i++) {
		snprintf(pid, sizeof(pid), "%020u", i * 7919 % 100003);
		store_recovery_put(t, text(pid), &row);
	}
	assert_int_equal(store_commit(&t), 0);
}

static void
a_walk_goes_on_where_it_stopped_each_row_once(void **state)
{
	struct store_fixture *f = *state;
	struct store_place place;
	struct seen seen = { .stop = 17 };
	struct store_txn *t;
	unsigned turns;

	put_many(f->s, 100);
	memset(&place, 0, sizeof(place));
	for (turns = 0; !place.done && turns < 99; turns++) {
		assert_non_null(t = store_snapshot(f->s));
		assert_int_equal(store_recovery_walk(t, &place, 9, see, &seen),
		    0);
		store_snapshot_end(&t);
	}
	assert_int_equal(seen.rows, 100);
	assert_int_equal(seen.damaged, 0);
	assert_int_equal(turns, 12);
}

/* Overwrite one byte of the row in place, below LMDB's own checks. */
static size_t
damage(struct store *s, const char *pid, size_t at)
{
	MDB_val key = { STORE_PID, (void *)(uintptr_t)pid }, val, copy;
	uint8_t buf[1024];
	MDB_txn *txn;

	assert_int_equal(mdb_txn_begin(s->env, NULL, 0, &txn), 0);
	assert_int_equal(mdb_get(txn, s->dbi[STORE_RECOVERY], &key, &val), 0);
	assert_true(at < val.mv_size && val.mv_size <= sizeof(buf));
	memcpy(buf, val.mv_data, val.mv_size);
	buf[at] ^= 1;
	copy.mv_size = val.mv_size;
	copy.mv_data = buf;
	assert_int_equal(mdb_put(txn, s->dbi[STORE_RECOVERY], &key, &copy, 0),
	    0);
	assert_int_equal(mdb_txn_commit(txn), 0);
	return copy.mv_size;
}

static void
any_damaged_byte_of_a_row_is_found(void **state)
{
	struct store_fixture *f = *state;
	struct store_recovery row = sample(), got;
	size_t at, len = 1;

	put(f->s, PID, &row);
	for (at = 0; at < len; at++) {
		len = damage(f->s, PID, at);
		assert_int_equal(get(f->s, PID, &got), -1);
		assert_int_equal(errno, EBADMSG);
		(void)damage(f->s, PID, at);
	}
	/* what HACKING.md says about its size: two rooms, one agent */
	assert_in_range(len, 100, 150);
	assert_int_equal(store_bad_values(f->s), len);
	assert_int_equal(get(f->s, PID, &got), 0);
}

static void
a_walk_tells_of_damaged_rows(void **state)
{
	struct store_fixture *f = *state;
	struct seen seen = { .stop = 0 };
	struct store_place place;
	struct store_txn *t;

	put_many(f->s, 3);
	(void)damage(f->s, "00000000000000007919", 20);
	memset(&place, 0, sizeof(place));
	assert_non_null(t = store_snapshot(f->s));
	assert_int_equal(store_recovery_walk(t, &place, 9, see, &seen), 0);
	store_snapshot_end(&t);
	assert_int_equal(seen.rows, 3);
	assert_int_equal(seen.damaged, 1);
}

static void
a_row_with_bytes_too_few_or_too_many_is_damaged(void **state)
{
	struct store_fixture *f = *state;
	struct store_recovery got;
	struct store_put put_;
	struct store_txn *t;
	struct store_key k;
	size_t len;

	/* rightly sealed, but not what a row can be: none has no room */
	for (len = 0; len < 60; len++) {
		store_key_begin(&k);
		assert_true(store_key_bytes(&k, PID, STORE_PID));
		assert_non_null(t = store_begin(f->s));
		store_put_begin(t, STORE_RECOVERY, &k, 0, len, false, &put_);
		memset(put_.f.w, 0, len);
		put_.f.left = 0;
		store_put_end(&put_);
		assert_int_equal(store_commit(&t), 0);
		assert_int_equal(get(f->s, PID, &got), -1);
		assert_int_equal(errno, EBADMSG);
	}
}

/* --- stores of older chatds --------------------------------------------- */

/* A presence row as it was written before there were pids. */
static void
put_plain_presence(struct store_txn *t)
{
	struct store_put put_;
	struct store_key k;
	int i;

	store_key_begin(&k);
	store_key_u64(&k, 1);
	store_key_u64(&k, 2);
	assert_true(store_key_bytes(&k, "sock", 4));
	store_put_begin(t, STORE_PRESENCE, &k, 0,
	    3 * 8 + 3 * 4 + 2 + 3 + 2 + 3 + 2 + 6 + 2, false, &put_);
	for (i = 0; i < 3; i++)
		store_add_u64(&put_.f, 100);
	for (i = 0; i < 3; i++)
		store_add_u32(&put_.f, 9);
	store_add_text(&put_.f, text("ada"));
	store_add_text(&put_.f, text("Ada"));
	store_add_text(&put_.f, text("active"));
	store_add_text(&put_.f, text(""));
	store_put_end(&put_);
}

/* Make of the store what a chatd left that knew no recovery. */
static void
make_old(struct store_fixture *f)
{
	MDB_val run = { 3, (void *)(uintptr_t) "run" };
	struct store_message m = { .room = 1,
		.seq = 1,
		.gseq = 50,
		.user = 2,
		.type = 4,
		.id = text("m1"),
		.body = text("\"content\":\"old\"") };
	uint64_t hash[2] = { 1, 2 };
	struct store_txn *t;

	assert_non_null(t = store_begin(f->s));
	put_plain_presence(t);
	store_message_add(t, &m, hash);
	assert_int_equal(mdb_drop(t->txn, f->s->dbi[STORE_RECOVERY], 1), 0);
	assert_int_equal(mdb_del(t->txn, f->s->dbi[STORE_META], &run, NULL), 0);
	assert_int_equal(store_commit(&t), 0);
	store_close(&f->s);
}

static void
a_store_that_knew_no_recovery_is_opened_and_read(void **state)
{
	struct store_fixture *f = *state;
	struct store_recovery row = sample(), got;
	struct store_presence p;
	struct store_message m;
	struct store_run run;
	struct store_stat st;
	struct store_txn *t;
	const char *why;

	make_old(f);
	assert_non_null(f->s = store_open(STORE_WRITE, &why));
	assert_non_null(t = store_snapshot(f->s));
	assert_int_equal(store_presence_get(t, 1, 2, text("sock"), &p), 0);
	assert_int_equal(p.pid.len, 0);
	assert_memory_equal(p.status.p, "active", 6);
	assert_int_equal(p.client, 9);
	assert_int_equal(store_message_get(t, 1, 1, &m), 0);
	assert_int_equal(store_run_get(t, &run), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(store_recovery_get(t, text(PID), &got), -1);
	assert_int_equal(errno, ENOENT);
	store_snapshot_end(&t);
	assert_int_equal(store_bad_values(f->s), 0);
	assert_int_equal(store_stat(f->s, &st), 0);
	assert_string_equal(st.table[STORE_RECOVERY].name, "recovery");
	assert_int_equal(st.table[STORE_RECOVERY].entries, 0);
	/* and takes what is new */
	begin_run(f->s, RUN, BEGUN_MS);
	put(f->s, PID, &row);
	assert_int_equal(get(f->s, PID, &got), 0);
	assert_int_equal(got.lost_ms, 0);
}

static void
a_member_without_a_pid_is_written_as_it_ever_was(void **state)
{
	struct store_fixture *f = *state;
	struct store_presence p = { .room = 1,
		.user = 2,
		.socket = text("sock"),
		.user_id = text("ada"),
		.user_name = text("Ada"),
		.status = text("active"),
		.agent = text(""),
		.joined_ms = 100,
		.activity_ms = 100,
		.gseq = 100,
		.incarnation = 9,
		.client = 9,
		.generation = 9 };
	uint8_t old[256], key[20] = { 0 };
	MDB_val k = { sizeof(key), key }, val;
	struct store_txn *t;
	size_t len;

	key[7] = 1;
	key[15] = 2;
	memcpy(key + 16, "sock", 4);
	assert_non_null(t = store_begin(f->s));
	put_plain_presence(t);
	assert_int_equal(mdb_get(t->txn, f->s->dbi[STORE_PRESENCE], &k, &val),
	    0);
	assert_true((len = val.mv_size) <= sizeof(old));
	memcpy(old, val.mv_data, len);
	store_presence_put(t, &p);
	assert_int_equal(mdb_get(t->txn, f->s->dbi[STORE_PRESENCE], &k, &val),
	    0);
	assert_int_equal(val.mv_size, len);
	assert_memory_equal(val.mv_data, old, len);
	store_abort(&t);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_row_comes_out_as_it_went_in),
		T(a_row_that_is_deleted_is_not_there),
		T(what_cannot_be_a_pid_has_no_row),
		T(the_most_rooms_with_the_longest_agents_fit),
		T(nobody_of_a_former_run_is_there),
		T(a_row_can_be_used_by_its_user_within_its_window),
		T(a_walk_goes_on_where_it_stopped_each_row_once),
		T(any_damaged_byte_of_a_row_is_found),
		T(a_walk_tells_of_damaged_rows),
		T(a_row_with_bytes_too_few_or_too_many_is_damaged),
		T(a_store_that_knew_no_recovery_is_opened_and_read),
		T(a_member_without_a_pid_is_written_as_it_ever_was),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
