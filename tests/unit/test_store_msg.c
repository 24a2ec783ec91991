/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_store_msg - messages, pages of them, and the log.
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

#define ROOM 5
#define MANY 300

static void
add(struct store_txn *t, uint64_t room, uint64_t seq, const char *body)
{
	uint64_t hash[2] = { seq * 11, seq * 13 };
	struct store_message m = { .room = room,
		.seq = seq,
		.gseq = 1000 + seq * 10,
		.time_ms = 2000 + seq,
		.user = 3,
		.type = 4,
		.id = text("m"),
		.body = text(body) };

	store_message_add(t, &m, hash);
}

/* Messages 1..n in ROOM, and neighbours before and behind it. */
static void
fill(struct store *s, uint64_t n)
{
	struct store_txn *t;
	uint64_t seq;
	char body[32];

	assert_non_null(t = store_begin(s));
	add(t, ROOM - 1, 9, "before");
	add(t, ROOM + 1, 1, "behind");
	for (seq = 1; seq <= n; seq++) {
		snprintf(body, sizeof(body), "\"body\":%llu",
		    (unsigned long long)seq);
		add(t, ROOM, seq, body);
	}
	assert_int_equal(store_commit(&t), 0);
}

static void
assert_page(struct store_txn *t, const struct store_query *q, uint64_t first,
    unsigned count, bool more)
{
	struct store_message m[MANY];
	unsigned i, n = 99;
	bool more_r = !more;
	char body[32];

	assert_true(q->count <= MANY);
	assert_int_equal(store_page(t, q, m, &n, &more_r), 0);
	assert_int_equal(n, count);
	assert_int_equal(more_r, more);
	for (i = 0; i < n; i++) {
		snprintf(body, sizeof(body), "\"body\":%llu",
		    (unsigned long long)(first + i));
		assert_int_equal(m[i].room, q->room);
		assert_int_equal(m[i].seq, first + i);
		assert_int_equal(m[i].body.len, strlen(body));
		assert_memory_equal(m[i].body.p, body, m[i].body.len);
	}
}

static void
a_message_comes_out_as_it_went_in(void **state)
{
	struct store_fixture *f = *state;
	struct store_message m;
	struct store_txn *t;

	fill(f->s, 3);
	assert_non_null(t = store_snapshot(f->s));
	assert_int_equal(store_message_get(t, ROOM, 2, &m), 0);
	assert_int_equal(m.room, ROOM);
	assert_int_equal(m.seq, 2);
	assert_int_equal(m.gseq, 1020);
	assert_int_equal(m.time_ms, 2002);
	assert_int_equal(m.user, 3);
	assert_int_equal(m.type, 4);
	assert_int_equal(m.id.len, 1);
	assert_memory_equal(m.body.p, "\"body\":2", 8);
	errno = 0;
	assert_int_equal(store_message_get(t, ROOM, 4, &m), -1);
	assert_int_equal(errno, ENOENT);
	store_snapshot_end(&t);
}

static void
a_body_of_half_a_mebibyte_is_stored(void **state)
{
	struct store_fixture *f = *state;
	static char body[512 << 10];
	struct store_message m = { .room = ROOM,
		.seq = 1,
		.gseq = 1,
		.body = { body, sizeof(body) } };
	uint64_t hash[2] = { 0, 0 };
	struct store_txn *t;
	size_t i;

	for (i = 0; i < sizeof(body); i++)
		body[i] = (char)(i * 31);
	assert_non_null(t = store_begin(f->s));
	store_message_add(t, &m, hash);
	assert_int_equal(store_commit(&t), 0);
	assert_non_null(t = store_snapshot(f->s));
	assert_int_equal(store_message_get(t, ROOM, 1, &m), 0);
	assert_int_equal(m.body.len, sizeof(body));
	assert_memory_equal(m.body.p, body, sizeof(body));
	store_snapshot_end(&t);
}

static void
the_last_seq_is_the_rooms_own(void **state)
{
	struct store_fixture *f = *state;
	struct store_txn *t;
	uint64_t seq = 99;

	fill(f->s, 300);
	assert_non_null(t = store_snapshot(f->s));
	assert_int_equal(store_last_seq(t, ROOM, &seq), 0);
	assert_int_equal(seq, 300);
	assert_int_equal(store_last_seq(t, ROOM + 1, &seq), 0);
	assert_int_equal(seq, 1);
	assert_int_equal(store_last_seq(t, ROOM + 2, &seq), 0);
	assert_int_equal(seq, 0);
	assert_int_equal(store_last_seq(t, 1, &seq), 0);
	assert_int_equal(seq, 0);
	store_snapshot_end(&t);
}

static void
a_page_forward_begins_where_it_is_told(void **state)
{
	struct store_fixture *f = *state;
	struct store_query q = { .room = ROOM, .from = 4, .count = 3 };
	struct store_txn *t;

	fill(f->s, 10);
	assert_non_null(t = store_snapshot(f->s));
	assert_page(t, &q, 4, 3, true);
	q.from = 8;
	assert_page(t, &q, 8, 3, false);
	q.from = 9;
	assert_page(t, &q, 9, 2, false);
	q.from = 11;
	assert_page(t, &q, 0, 0, false);
	q.from = 0;
	assert_page(t, &q, 1, 3, true);
	store_snapshot_end(&t);
}

static void
a_page_backward_is_ascending_all_the_same(void **state)
{
	struct store_fixture *f = *state;
	struct store_query q = { .room = ROOM,
		.from = UINT64_MAX,
		.backward = true,
		.count = 3 };
	struct store_txn *t;

	fill(f->s, 10);
	assert_non_null(t = store_snapshot(f->s));
	assert_page(t, &q, 8, 3, true);
	q.from = 10;
	assert_page(t, &q, 8, 3, true);
	q.from = 7;
	assert_page(t, &q, 5, 3, true);
	q.from = 3;
	assert_page(t, &q, 1, 3, false);
	q.from = 2;
	assert_page(t, &q, 1, 2, false);
	q.from = 0;
	assert_page(t, &q, 0, 0, false);
	q.room = 77;
	q.from = UINT64_MAX;
	assert_page(t, &q, 0, 0, false);
	store_snapshot_end(&t);
}

static void
a_page_of_everything_is_every_message(void **state)
{
	struct store_fixture *f = *state;
	struct store_query q = { .room = ROOM, .from = 1, .count = MANY };
	struct store_txn *t;

	fill(f->s, MANY);
	assert_non_null(t = store_snapshot(f->s));
	assert_page(t, &q, 1, MANY, false);
	q.from = UINT64_MAX;
	q.backward = true;
	assert_page(t, &q, 1, MANY, false);
	store_snapshot_end(&t);
}

static void
a_page_ends_at_its_bytes_but_has_one_message(void **state)
{
	struct store_fixture *f = *state;
	/* a body has eight bytes here */
	struct store_query q = { .room = ROOM,
		.from = 2,
		.count = 9,
		.bytes = 23 };
	struct store_txn *t;

	fill(f->s, 9);
	assert_non_null(t = store_snapshot(f->s));
	assert_page(t, &q, 2, 2, true);
	q.bytes = 24;
	assert_page(t, &q, 2, 3, true);
	q.bytes = 1;
	assert_page(t, &q, 2, 1, true);
	/* backward it is the newest that stay */
	q.from = UINT64_MAX;
	q.backward = true;
	q.bytes = 16;
	assert_page(t, &q, 8, 2, true);
	store_snapshot_end(&t);
}

static void
a_damaged_message_is_left_out_and_counted(void **state)
{
	struct store_fixture *f = *state;
	struct store_query q = { .room = ROOM, .from = 1, .count = 9 };
	struct store_message m[9];
	struct store_key k;
	struct store_txn *t;
	MDB_val key, val, copy;
	uint8_t buf[256];
	bool more;
	unsigned n;

	fill(f->s, 3);
	store_key_begin(&k);
	store_key_u64(&k, ROOM);
	store_key_u64(&k, 2);
	key.mv_data = k.b;
	key.mv_size = k.len;
	assert_non_null(t = store_begin(f->s));
	assert_int_equal(mdb_get(t->txn, f->s->dbi[STORE_MSG], &key, &val), 0);
	copy.mv_size = val.mv_size;
	copy.mv_data = memcpy(buf, val.mv_data, val.mv_size);
	buf[val.mv_size - 1] ^= 0x20;
	assert_int_equal(mdb_put(t->txn, f->s->dbi[STORE_MSG], &key, &copy, 0),
	    0);
	assert_int_equal(store_commit(&t), 0);

	assert_non_null(t = store_snapshot(f->s));
	assert_int_equal(store_page(t, &q, m, &n, &more), 0);
	assert_int_equal(n, 2);
	assert_int_equal(m[0].seq, 1);
	assert_int_equal(m[1].seq, 3);
	assert_int_equal(store_bad_values(f->s), 1);
	errno = 0;
	assert_int_equal(store_message_get(t, ROOM, 2, m), -1);
	assert_int_equal(errno, EBADMSG);
	store_snapshot_end(&t);
}

static void
the_same_seq_or_position_twice_is_an_error(void **state)
{
	struct store_fixture *f = *state;
	uint64_t hash[2] = { 0, 0 };
	struct store_message m = { .room = ROOM, .seq = 4, .gseq = 1020 };
	struct store_txn *t;

	fill(f->s, 3);
	assert_non_null(t = store_begin(f->s));
	add(t, ROOM, 3, "again");
	assert_int_equal(store_error(t), EEXIST);
	store_abort(&t);
	assert_non_null(t = store_begin(f->s));
	store_message_add(t, &m, hash);
	assert_int_equal(store_error(t), EEXIST);
	store_abort(&t);
}

static void
the_log_finds_a_message_by_its_position(void **state)
{
	struct store_fixture *f = *state;
	struct store_log log;
	struct store_txn *t;

	fill(f->s, 3);
	assert_non_null(t = store_snapshot(f->s));
	assert_int_equal(store_log_get(t, ROOM, 1030, &log), 0);
	assert_int_equal(log.seq, 3);
	assert_int_equal(log.gseq, 1030);
	assert_int_equal(log.time_ms, 2003);
	assert_int_equal(log.user, 3);
	assert_int_equal(log.type, 4);
	assert_int_equal(log.id_hash[0], 33);
	assert_int_equal(log.id_hash[1], 39);
	errno = 0;
	assert_int_equal(store_log_get(t, ROOM, 1031, &log), -1);
	assert_int_equal(errno, ENOENT);
	store_snapshot_end(&t);
}

static bool
three(const struct store_log *log, void *arg)
{
	uint64_t *seqs = arg;

	seqs[seqs[3]++] = log->seq;
	return seqs[3] < 3;
}

static void
the_log_is_walked_from_the_newest(void **state)
{
	struct store_fixture *f = *state;
	uint64_t seqs[4] = { 0, 0, 0, 0 };
	struct store_txn *t;

	fill(f->s, 9);
	assert_non_null(t = store_snapshot(f->s));
	assert_int_equal(store_log_newest(t, ROOM, three, seqs), 0);
	assert_int_equal(seqs[3], 3);
	assert_int_equal(seqs[0], 9);
	assert_int_equal(seqs[1], 8);
	assert_int_equal(seqs[2], 7);
	memset(seqs, 0, sizeof(seqs));
	assert_int_equal(store_log_newest(t, ROOM + 9, three, seqs), 0);
	assert_int_equal(seqs[3], 0);
	store_snapshot_end(&t);
}

static void
the_log_is_sought_from_a_position(void **state)
{
	struct store_fixture *f = *state;
	struct store_txn *t;
	struct store_log log;

	/* at 1010, 1020, 1030 */
	fill(f->s, 3);
	assert_non_null(t = store_snapshot(f->s));
	assert_int_equal(store_log_seek(t, ROOM, 0, &log), 0);
	assert_int_equal(log.seq, 1);
	assert_int_equal(log.room, ROOM);
	assert_int_equal(store_log_seek(t, ROOM, 1010, &log), 0);
	assert_int_equal(log.seq, 1);
	assert_int_equal(store_log_seek(t, ROOM, 1011, &log), 0);
	assert_int_equal(log.seq, 2);
	assert_int_equal(log.gseq, 1020);
	assert_int_equal(store_log_seek(t, ROOM, 1030, &log), 0);
	assert_int_equal(log.seq, 3);
	/* not into the next room */
	errno = 0;
	assert_int_equal(store_log_seek(t, ROOM, 1031, &log), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(store_log_seek(t, ROOM + 9, 0, &log), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(log.seq, 3);
	store_snapshot_end(&t);
}

#define T(name) \
	cmocka_unit_test_setup_teardown(name, store_fixture_setup, \
	    store_fixture_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_message_comes_out_as_it_went_in),
		T(a_body_of_half_a_mebibyte_is_stored),
		T(the_last_seq_is_the_rooms_own),
		T(a_page_forward_begins_where_it_is_told),
		T(a_page_backward_is_ascending_all_the_same),
		T(a_page_of_everything_is_every_message),
		T(a_page_ends_at_its_bytes_but_has_one_message),
		T(a_damaged_message_is_left_out_and_counted),
		T(the_same_seq_or_position_twice_is_an_error),
		T(the_log_finds_a_message_by_its_position),
		T(the_log_is_walked_from_the_newest),
		T(the_log_is_sought_from_a_position),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
