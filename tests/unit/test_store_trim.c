/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_store_trim - messages that go from the front of a room.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <cmocka.h>

#include "store/env.h"
#include "tests/unit/store_fixture.h"

#define ROOM 5
#define ROUNDS 300
#define MODEL 4000

static void
make_room(struct store_txn *t, uint64_t number)
{
	char name[16];
	struct store_room room = { .room = number,
		.workspace = text("w"),
		.created_ms = 77 };

	snprintf(name, sizeof(name), "s%llu", (unsigned long long)number);
	room.session = text(name);
	store_room_add(t, &room);
}

static void
id_of(char *id, size_t size, uint64_t seq)
{
	snprintf(id, size, "id-%llu", (unsigned long long)seq);
}

static void
add(struct store_txn *t, uint64_t room, uint64_t seq)
{
	XXH128_hash_t h;
	uint64_t hash[2];
	char id[32];
	struct store_message m = { .room = room,
		.seq = seq,
		.gseq = seq * 10,
		.time_ms = 1000 + seq,
		.user = 3,
		.type = 4,
		.body = text("\"a\":1") };

	id_of(id, sizeof(id), seq);
	m.id = text(id);
	h = XXH3_128bits(id, strlen(id));
	hash[0] = h.low64;
	hash[1] = h.high64;
	store_message_add(t, &m, hash);
}

static void
fill(struct store *s, uint64_t n)
{
	struct store_txn *t;
	uint64_t seq;

	assert_non_null(t = store_begin(s));
	make_room(t, ROOM);
	make_room(t, ROOM + 1);
	add(t, ROOM + 1, 1);
	for (seq = 1; seq <= n; seq++)
		add(t, ROOM, seq);
	assert_int_equal(store_commit(&t), 0);
}

static void
trim(struct store *s, struct store_trim *tr)
{
	struct store_txn *t;

	assert_non_null(t = store_begin(s));
	assert_int_equal(store_trim(t, tr), 0);
	assert_int_equal(store_commit(&t), 0);
}

static void
messages_go_by_seq_with_their_log_and_the_floor_stays(void **state)
{
	struct store_fixture *f = *state;
	struct store_trim tr = { .room = ROOM,
		.below_seq = 8,
		.keep_ids_ms = UINT64_MAX,
		.max = 5 };
	struct store_message m;
	struct store_merged merged;
	struct store_log log;
	struct store_room room;
	struct store_txn *t;
	uint64_t seq;

	fill(f->s, 10);
	trim(f->s, &tr);
	assert_int_equal(tr.removed, 5);
	assert_true(tr.more);
	assert_int_equal(tr.floor.seq, 5);
	assert_int_equal(tr.floor.ms, 1005);
	trim(f->s, &tr);
	assert_int_equal(tr.removed, 2);
	assert_false(tr.more);
	trim(f->s, &tr);
	assert_int_equal(tr.removed, 0);
	assert_non_null(t = store_snapshot(f->s));
	for (seq = 1; seq <= 10; seq++) {
		assert_int_equal(store_message_get(t, ROOM, seq, &m),
		    seq < 8 ? -1 : 0);
		assert_int_equal(store_log_get(t, ROOM, seq * 10, &log),
		    seq < 8 ? -1 : 0);
	}
	assert_int_equal(store_room_get(t, ROOM, &room), 0);
	assert_int_equal(room.floor.seq, 7);
	assert_int_equal(room.floor.ms, 1007);
	assert_int_equal(room.created_ms, 77);
	assert_int_equal(room.session.len, 2);
	assert_int_equal(store_message_get(t, ROOM + 1, 1, &m), 0);
	assert_int_equal(store_merged_get(t, ROOM, &merged), -1);
	store_snapshot_end(&t);
}

static void
messages_go_by_age_and_none_behind_one_that_stays(void **state)
{
	struct store_fixture *f = *state;
	struct store_trim tr = { .room = ROOM,
		.before_ms = 1004,
		.keep_ids_ms = UINT64_MAX,
		.max = 99 };

	fill(f->s, 10);
	trim(f->s, &tr);
	assert_int_equal(tr.removed, 3);
	assert_int_equal(tr.floor.seq, 3);
	assert_false(tr.more);
}

static void
the_last_seq_is_never_given_again(void **state)
{
	struct store_fixture *f = *state;
	struct store_trim tr = { .room = ROOM,
		.below_seq = 99,
		.keep_ids_ms = UINT64_MAX,
		.max = 99 };
	struct store_txn *t;
	uint64_t seq = 0, rev;

	fill(f->s, 4);
	assert_non_null(t = store_begin(f->s));
	assert_int_equal(store_message_edit(t, ROOM, 3, text("x"), 1, 1, &rev),
	    0);
	assert_int_equal(store_commit(&t), 0);
	trim(f->s, &tr);
	assert_int_equal(tr.removed, 4);
	assert_int_equal(tr.floor.revision, 1);
	assert_non_null(t = store_begin(f->s));
	assert_int_equal(store_last_seq(t, ROOM, &seq), 0);
	assert_int_equal(seq, 4);
	assert_int_equal(store_last_revision(t, ROOM, &rev), 0);
	assert_int_equal(rev, 1);
	add(t, ROOM, 5);
	assert_int_equal(store_message_edit(t, ROOM, 5, text("y"), 1, 1, &rev),
	    0);
	assert_int_equal(rev, 2);
	assert_int_equal(store_last_seq(t, ROOM, &seq), 0);
	assert_int_equal(seq, 5);
	assert_int_equal(store_commit(&t), 0);
}

static bool
no_change(const struct store_change *c, void *arg)
{
	++*(unsigned *)arg;
	return true;
}

static void
changes_go_with_their_messages_and_receipts_stay(void **state)
{
	struct store_fixture *f = *state;
	struct store_trim tr = { .room = ROOM,
		.below_seq = 3,
		.keep_ids_ms = UINT64_MAX,
		.max = 99 };
	struct store_txn *t;
	uint64_t rev;
	unsigned n = 0;

	fill(f->s, 4);
	assert_non_null(t = store_begin(f->s));
	assert_int_equal(store_message_edit(t, ROOM, 1, text("x"), 1, 1, &rev),
	    0);
	assert_int_equal(store_message_delete(t, ROOM, 2, 1, 1, &rev), 0);
	assert_int_equal(store_receipt_put(t, ROOM, 9, 1, 1, 1, &rev), 0);
	assert_int_equal(store_message_edit(t, ROOM, 3, text("x"), 1, 1, &rev),
	    0);
	assert_int_equal(store_commit(&t), 0);
	trim(f->s, &tr);
	assert_int_equal(tr.floor.revision, 2);
	assert_non_null(t = store_snapshot(f->s));
	assert_int_equal(store_change_each(t, ROOM, 0, no_change, &n), 0);
	assert_int_equal(n, 2);
	assert_int_equal(store_last_revision(t, ROOM, &rev), 0);
	assert_int_equal(rev, 4);
	store_snapshot_end(&t);
}

static void
ids_of_the_window_are_known_behind_their_messages(void **state)
{
	struct store_fixture *f = *state;
	struct store_trim tr = { .room = ROOM,
		.below_seq = 7,
		.keep_ids_ms = 1004,
		.max = 99 };
	struct store_merged merged;
	struct store_dedupe d;
	struct store_txn *t;
	uint64_t seq;
	char id[32];

	fill(f->s, 10);
	trim(f->s, &tr);
	assert_int_equal(tr.removed, 6);
	assert_int_equal(tr.ids_kept, 3);
	assert_non_null(t = store_snapshot(f->s));
	for (seq = 1; seq <= 10; seq++) {
		id_of(id, sizeof(id), seq);
		memset(&d, 0, sizeof(d));
		assert_int_equal(store_dedupe_find(t, ROOM,
				     XXH3_128bits(id, strlen(id)).low64,
				     text(id), &d),
		    seq >= 4 && seq <= 6 ? 0 : -1);
		if (seq >= 4 && seq <= 6) {
			assert_int_equal(d.seq, seq);
			assert_int_equal(d.time_ms, 1000 + seq);
			assert_int_equal(d.user, 3);
		}
	}
	assert_int_equal(store_merged_get(t, ROOM, &merged), 0);
	assert_int_equal(merged.seq, 6);
	assert_int_equal(merged.gseq, 60);
	assert_int_equal(merged.count, 3);
	store_snapshot_end(&t);
	/* those that were merged before are not counted again */
	assert_non_null(t = store_begin(f->s));
	id_of(id, sizeof(id), 7);
	d.room = ROOM;
	d.hash = XXH3_128bits(id, strlen(id)).low64;
	d.seq = 7;
	d.time_ms = 1007;
	d.id = text(id);
	store_dedupe_put(t, &d);
	merged.count = 4;
	merged.seq = 8;
	merged.gseq = 80;
	store_merged_put(t, &merged);
	assert_int_equal(store_commit(&t), 0);
	tr.below_seq = 8;
	trim(f->s, &tr);
	assert_int_equal(tr.ids_kept, 0);
	assert_non_null(t = store_snapshot(f->s));
	assert_int_equal(store_merged_get(t, ROOM, &merged), 0);
	assert_int_equal(merged.count, 4);
	assert_int_equal(merged.seq, 8);
	store_snapshot_end(&t);
}

static void
a_room_that_is_not_there_cannot_be_trimmed(void **state)
{
	struct store_fixture *f = *state;
	struct store_trim tr = { .room = 99, .below_seq = 9, .max = 9 };
	struct store_txn *t;

	assert_non_null(t = store_begin(f->s));
	assert_int_equal(store_trim(t, &tr), -1);
	assert_int_equal(errno, ENOENT);
	store_abort(&t);
}

static void
spoil(struct store *s, enum store_table table, uint64_t a, uint64_t b)
{
	struct store_txn *t;
	struct store_key k;
	MDB_val key, val, copy;
	uint8_t bytes[512];

	assert_non_null(t = store_begin(s));
	store_room_key(&k, a, b);
	assert_int_equal(store_get(t, table, &k, &val), 0);
	assert_true(val.mv_size <= sizeof(bytes));
	memcpy(bytes, val.mv_data, val.mv_size);
	bytes[val.mv_size - 1] ^= 1;
	key.mv_data = k.b;
	key.mv_size = k.len;
	copy.mv_data = bytes;
	copy.mv_size = val.mv_size;
	assert_int_equal(mdb_put(t->txn, s->dbi[table], &key, &copy, 0), 0);
	assert_int_equal(store_commit(&t), 0);
}

static void
what_is_damaged_goes_with_its_neighbours(void **state)
{
	struct store_fixture *f = *state;
	struct store_trim tr = { .room = ROOM,
		.before_ms = 1005,
		.keep_ids_ms = UINT64_MAX,
		.max = 99 };
	struct store_stat st;

	fill(f->s, 10);
	spoil(f->s, STORE_MSG, ROOM, 1);
	spoil(f->s, STORE_MSG, ROOM, 3);
	/* the one behind it is too young, so who knows */
	spoil(f->s, STORE_MSG, ROOM, 5);
	spoil(f->s, STORE_LOG, ROOM, 20);
	trim(f->s, &tr);
	assert_int_equal(tr.removed, 4);
	assert_int_equal(tr.floor.seq, 4);
	assert_int_equal(store_stat(f->s, &st), 0);
	assert_int_equal(st.table[STORE_MSG].entries, 7);
	assert_int_equal(st.table[STORE_LOG].entries, 7);
	/* by seq there is no doubt */
	tr.before_ms = 0;
	tr.below_seq = 6;
	trim(f->s, &tr);
	assert_int_equal(tr.removed, 1);
	assert_int_equal(tr.floor.seq, 5);
}

/* --- at random, against a model ---------------------------------------- */

struct model {
	uint64_t first, last;
	uint64_t revision;
	/* revision of each message; all that has been said of each is kept */
	uint64_t rev[MODEL];
};

static void
compare(struct store *s, const struct model *mo)
{
	struct store_message m;
	struct store_txn *t;
	uint64_t seq, rev, i;
	unsigned n = 0, want = 0;

	assert_non_null(t = store_snapshot(s));
	assert_int_equal(store_last_seq(t, ROOM, &seq), 0);
	assert_int_equal(seq, mo->last);
	assert_int_equal(store_last_revision(t, ROOM, &rev), 0);
	assert_int_equal(rev, mo->revision);
	for (i = mo->last > 40 ? mo->last - 40 : 1; i <= mo->last; i++) {
		assert_int_equal(store_message_get(t, ROOM, i, &m),
		    i < mo->first ? -1 : 0);
		if (i >= mo->first)
			assert_int_equal(m.revision, mo->rev[i]);
	}
	for (i = mo->first; i <= mo->last; i++)
		want += mo->rev[i] != 0;
	assert_int_equal(store_change_each(t, ROOM, 0, no_change, &n), 0);
	assert_int_equal(n, want);
	store_snapshot_end(&t);
}

static void
at_random_seqs_and_revisions_only_grow(void **state)
{
	struct store_fixture *f = *state;
	struct model mo = { .first = 1 };
	unsigned round, i;
	struct store_txn *t;
	uint64_t seq, rev;

	srandom(1);
	assert_non_null(t = store_begin(f->s));
	make_room(t, ROOM);
	assert_int_equal(store_commit(&t), 0);
	for (round = 0; round < ROUNDS; round++) {
		struct store_trim tr = { .room = ROOM,
			.keep_ids_ms = (uint64_t)random() % 4000,
			.max = 1 + (unsigned)random() % 20 };

		assert_non_null(t = store_begin(f->s));
		for (i = (unsigned)random() % 10; i > 0; i--)
			add(t, ROOM, ++mo.last);
		for (i = (unsigned)random() % 4; i > 0; i--) {
			if (mo.last < mo.first)
				break;
			seq = mo.first +
			    (uint64_t)random() % (mo.last - mo.first + 1);
			assert_int_equal(store_message_edit(t, ROOM, seq,
					     text("e"), 1, 1, &rev),
			    0);
			assert_int_equal(rev, mo.revision + 1);
			mo.rev[seq] = mo.revision = rev;
		}
		tr.below_seq = random() % 3 == 0
		    ? mo.last + 1
		    : mo.first + (uint64_t)random() % 8;
		assert_int_equal(store_trim(t, &tr), 0);
		assert_true(tr.removed <= tr.max);
		mo.first += tr.removed;
		assert_int_equal(store_commit(&t), 0);
		compare(f->s, &mo);
	}
}

int
main(void)
{
#define T(name) \
	cmocka_unit_test_setup_teardown(name, store_fixture_setup, \
	    store_fixture_teardown)
	const struct CMUnitTest tests[] = {
		T(messages_go_by_seq_with_their_log_and_the_floor_stays),
		T(messages_go_by_age_and_none_behind_one_that_stays),
		T(the_last_seq_is_never_given_again),
		T(changes_go_with_their_messages_and_receipts_stay),
		T(ids_of_the_window_are_known_behind_their_messages),
		T(a_room_that_is_not_there_cannot_be_trimmed),
		T(what_is_damaged_goes_with_its_neighbours),
		T(at_random_seqs_and_revisions_only_grow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
