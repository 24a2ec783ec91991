/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * room_fixture - rooms with messages, straight into the store, and what the
 * scribe remembers of them.
 */

#ifndef TESTS_UNIT_ROOM_FIXTURE_H
#define TESTS_UNIT_ROOM_FIXTURE_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <xxhash.h>

#include "scribe/rooms.h"
#include "tests/unit/store_fixture.h"

struct room_fixture {
	struct store_fixture st;
	struct rooms *rs;
	uint64_t gseq;
};

static inline int
room_fixture_open(struct room_fixture *f)
{
	if (store_fixture_open(&f->st) == -1)
		return -1;
	f->gseq = 1000;
	f->rs = rooms_new(1000, 1 << 20);
	return f->rs == NULL ? -1 : 0;
}

static inline int
room_fixture_close(struct room_fixture *f)
{
	rooms_free(&f->rs);
	return store_fixture_close(&f->st);
}

static inline void
room_add(struct room_fixture *f, uint64_t number)
{
	struct store_room room = { .room = number, .workspace = text("w") };
	struct store_txn *t;
	char name[32];

	snprintf(name, sizeof(name), "s%llu", (unsigned long long)number);
	room.session = text(name);
	assert_non_null(t = store_begin(f->st.s));
	store_room_add(t, &room);
	assert_int_equal(store_commit(&t), 0);
}

static inline uint64_t
room_hash(const char *id, uint64_t *high_r)
{
	XXH128_hash_t h = XXH3_128bits(id, strlen(id));

	if (high_r != NULL)
		*high_r = h.high64;
	return h.low64;
}

/*
 * Messages from..to with ids "room-seq" by user 7, a millisecond apart; the
 * rooms hear of them as the scribe's do.
 */
static inline void
room_fill(struct room_fixture *f, uint64_t number, uint64_t from, uint64_t to,
    uint64_t begin_ms)
{
	struct store_message m = { .room = number,
		.user = 7,
		.type = 4,
		.body = text("\"content\":\"hi\"") };
	struct store_txn *t;
	struct room *room;
	uint64_t hash[2];
	char id[64];

	assert_non_null(t = store_begin(f->st.s));
	assert_non_null(room = rooms_get(f->rs, t, number));
	assert_int_equal(rooms_load_ids(f->rs, t, room, 0), 0);
	for (m.seq = from; m.seq <= to; m.seq++) {
		snprintf(id, sizeof(id), "%llu-%llu",
		    (unsigned long long)number, (unsigned long long)m.seq);
		m.id = text(id);
		m.gseq = f->gseq++;
		m.time_ms = begin_ms + m.seq;
		hash[0] = room_hash(id, &hash[1]);
		store_message_add(t, &m, hash);
		assert_int_equal(rooms_add_id(f->rs, room, hash[0], m.seq), 0);
		room->now.last_seq = m.seq;
		room->now.last_ms = m.time_ms;
	}
	assert_int_equal(store_commit(&t), 0);
	rooms_commit(f->rs);
}

/* Is the id of this message in 'dedupe', with all that belongs to it? */
static inline bool
room_id_merged(struct room_fixture *f, uint64_t number, uint64_t seq,
    uint64_t begin_ms)
{
	struct store_dedupe d;
	struct store_txn *t;
	char id[64];
	int rc;

	snprintf(id, sizeof(id), "%llu-%llu", (unsigned long long)number,
	    (unsigned long long)seq);
	assert_non_null(t = store_snapshot(f->st.s));
	rc = store_dedupe_find(t, number, room_hash(id, NULL), text(id), &d);
	if (rc == 0) {
		assert_int_equal(d.seq, seq);
		assert_int_equal(d.user, 7);
		assert_int_equal(d.time_ms, begin_ms + seq);
	} else {
		assert_int_equal(errno, ENOENT);
	}
	store_snapshot_end(&t);
	return rc == 0;
}

static inline struct store_merged
room_merged(struct room_fixture *f, uint64_t number)
{
	struct store_merged m = { .room = number };
	struct store_txn *t;

	assert_non_null(t = store_snapshot(f->st.s));
	if (store_merged_get(t, number, &m) == -1)
		assert_int_equal(errno, ENOENT);
	store_snapshot_end(&t);
	return m;
}

/* Rows of a table. */
static inline uint64_t
room_rows(struct room_fixture *f, const char *table)
{
	struct store_stat st;
	unsigned i;

	assert_int_equal(store_stat(f->st.s, &st), 0);
	for (i = 0; i < STORE_TABLES; i++)
		if (strcmp(st.table[i].name, table) == 0)
			return st.table[i].entries;
	fail();
	return 0;
}

static inline bool
room_has_message(struct room_fixture *f, uint64_t number, uint64_t seq)
{
	struct store_message m;
	struct store_txn *t;
	int rc;

	assert_non_null(t = store_snapshot(f->st.s));
	rc = store_message_get(t, number, seq, &m);
	store_snapshot_end(&t);
	return rc == 0;
}

#endif /* TESTS_UNIT_ROOM_FIXTURE_H */
