/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_store_check - every row and every page of a store, sound or not.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <sys/stat.h>

#include <cmocka.h>

#include "store/check.h"
#include "store/env.h"
#include "store/page.h"
#include "tests/unit/store_fixture.h"

#define MESSAGES 500

/* At least a row of each kind. */
static void
fill(struct store *s)
{
	static const char pid[] = "aaaaaaaaaaaaaaaaaaaa";
	struct store_recovery rec = { .socket = text("k"), .nrooms = 1 };
	struct store_room room = { .room = 1,
		.workspace = text("w"),
		.session = text("s") };
	struct store_user user = { .user = 2, .id = text("u") };
	struct store_presence p = { .room = 1, .user = 2, .socket = text("k") };
	struct store_dedupe d = { 1, 2, 3, 4, 5, text("id") };
	struct store_merged merged = { 1, 2, 3, 4 };
	struct store_member member = { 1, 2, 3, 4, 5 };
	struct store_stream st = { .room = 1,
		.id = text("m"),
		.user = 2,
		.next = 3,
		.time_ms = 4,
		.text = text("t") };
	struct store_piece piece = { 1, 1, 4, 5, text("more") };
	struct store_ban ban = { 1, text("e"), 2, 3, 4, text("r"), text("b") };
	struct store_ring ring = { .base = 64, .pos = 9999 };
	uint64_t hash[2] = { 1, 2 }, seq, rev;
	struct store_txn *t;

	assert_non_null(t = store_begin(s));
	store_ring_put(t, &ring);
	store_room_add(t, &room);
	store_user_add(t, &user);
	store_presence_put(t, &p);
	rec.room[0].room = 1;
	store_recovery_put(t, text(pid), &rec);
	store_dedupe_put(t, &d);
	store_merged_put(t, &merged);
	store_member_put(t, &member);
	store_stream_put(t, &st);
	store_piece_put(t, 1, st.id, &piece);
	store_ban_put(t, &ban);
	for (seq = 1; seq <= MESSAGES; seq++) {
		struct store_message m = { .room = 1,
			.seq = seq,
			.gseq = seq,
			.type = 4,
			.id = text("id"),
			.body = text("\"a\":\"a body of some length\"") };

		store_message_add(t, &m, hash);
	}
	assert_int_equal(store_message_edit(t, 1, 1, text("e"), 1, 1, &rev), 0);
	assert_int_equal(store_receipt_put(t, 1, 2, 1, 1, 1, &rev), 0);
	assert_int_equal(store_commit(&t), 0);
}

struct counts {
	unsigned rows;
	unsigned kind[STORE_ROW_BAN + 1];
	unsigned fault[STORE_FAULT__MAX];
	uint64_t page;
};

static bool
count(const struct store_row *row, void *arg)
{
	struct counts *c = arg;

	c->rows++;
	c->fault[row->fault]++;
	if (row->fault == STORE_SOUND) {
		c->kind[row->kind]++;
		assert_true(row->page > 1);
		assert_true(row->version == 1 || row->version == 2);
	} else {
		c->page = row->page;
	}
	return true;
}

static void
count_all(struct store *s, struct counts *c)
{
	struct store_place place;
	struct store_txn *t;
	unsigned table;

	memset(c, 0, sizeof(*c));
	assert_non_null(t = store_snapshot(s));
	for (table = 0; table < STORE_TABLES; table++) {
		memset(&place, 0, sizeof(place));
		while (!place.done)
			assert_int_equal(store_row_walk(t, table, &place, 70,
					     count, c),
			    0);
	}
	store_snapshot_end(&t);
}

static void
each_row_of_each_kind_is_met_once(void **state)
{
	struct store_fixture *f = *state;
	struct counts c;
	unsigned kind;

	fill(f->s);
	count_all(f->s, &c);
	assert_int_equal(c.fault[STORE_SOUND], c.rows);
	for (kind = 0; kind <= STORE_ROW_BAN; kind++)
		assert_true(c.kind[kind] > 0);
	assert_int_equal(c.kind[STORE_ROW_MESSAGE], MESSAGES);
	assert_int_equal(c.kind[STORE_ROW_LOG], MESSAGES);
	assert_int_equal(c.kind[STORE_ROW_CHANGE], 2);
	assert_int_equal(store_bad_values(f->s), 0);
}

static void
put_raw(struct store *s, enum store_table table, const void *key, size_t klen,
    const void *value, size_t vlen)
{
	MDB_val k = { klen, (void *)(uintptr_t)key };
	MDB_val v = { vlen, (void *)(uintptr_t)value };
	struct store_txn *t;

	assert_non_null(t = store_begin(s));
	assert_int_equal(mdb_put(t->txn, s->dbi[table], &k, &v, 0), 0);
	assert_int_equal(store_commit(&t), 0);
}

static void
seal_raw(struct store *s, enum store_table table, const struct store_key *k,
    uint8_t version, size_t fields)
{
	uint8_t v[64] = { 0 };

	store_value_seal(k, v, STORE_VALUE_HEAD + fields, version, 0);
	put_raw(s, table, k->b, k->len, v, STORE_VALUE_HEAD + fields);
}

static void
each_fault_is_called_by_its_name(void **state)
{
	struct store_fixture *f = *state;
	struct counts c;
	struct store_key k;

	fill(f->s);
	put_raw(f->s, STORE_MEMBER, "short", 5, "12345678", 8);
	store_room_key(&k, 8, 1);
	put_raw(f->s, STORE_MEMBER, k.b, k.len, "1234", 4);
	store_room_key(&k, 8, 2);
	put_raw(f->s, STORE_MEMBER, k.b, k.len, "1234567890", 10);
	store_room_key(&k, 8, 3);
	seal_raw(f->s, STORE_MEMBER, &k, 4, 16);
	store_room_key(&k, 8, 4);
	seal_raw(f->s, STORE_MEMBER, &k, 1, 15);
	count_all(f->s, &c);
	assert_int_equal(c.fault[STORE_FAULT_KEY], 1);
	assert_int_equal(c.fault[STORE_FAULT_SIZE], 1);
	assert_int_equal(c.fault[STORE_FAULT_SUM], 1);
	assert_int_equal(c.fault[STORE_FAULT_VERSION], 1);
	assert_int_equal(c.fault[STORE_FAULT_FIELDS], 1);
	assert_int_equal(c.kind[STORE_ROW_MEMBER], 1);
	assert_string_equal(store_fault_name(STORE_FAULT_SUM), "sum");
	assert_string_equal(store_table(STORE_MEMBER), "member");
}

/* --- pages ------------------------------------------------------------- */

struct found {
	unsigned n;
	uint64_t page;
	char table[32];
	char what[64];
};

static bool
on_page(uint64_t page, const char *table, const char *what, void *arg)
{
	struct found *fd = arg;

	fd->n++;
	fd->page = page;
	snprintf(fd->table, sizeof(fd->table), "%s", table);
	snprintf(fd->what, sizeof(fd->what), "%s", what);
	return true;
}

static void
check_pages(struct store *s, struct found *fd, uint64_t *pages)
{
	struct store_txn *t;

	memset(fd, 0, sizeof(*fd));
	assert_non_null(t = store_snapshot(s));
	assert_int_equal(store_check_pages(t, on_page, fd, pages), 0);
	store_snapshot_end(&t);
}

static void
each_page_is_used_or_free_and_nothing_is_wrong(void **state)
{
	struct store_fixture *f = *state;
	struct store_trim tr = { .room = 1,
		.below_seq = 300,
		.keep_ids_ms = UINT64_MAX,
		.max = 400 };
	struct store_space space;
	struct store_txn *t;
	struct found fd;
	uint64_t pages;

	fill(f->s);
	assert_non_null(t = store_begin(f->s));
	assert_int_equal(store_trim(t, &tr), 0);
	assert_int_equal(store_commit(&t), 0);
	check_pages(f->s, &fd, &pages);
	if (fd.n != 0)
		fail_msg("%llu %s %s", (unsigned long long)fd.page, fd.table,
		    fd.what);
	assert_int_equal(store_space(f->s, &space), 0);
	assert_int_equal(pages, space.used_bytes / space.page_bytes);
}

static bool
find_leaf(const struct store_row *row, void *arg)
{
	if (row->kind == STORE_ROW_MESSAGE && row->u.message.seq == 250)
		*(uint64_t *)arg = row->page;
	return true;
}

/* Damage the leaf of message 250 at 'at'. */
static uint64_t
damage_leaf(struct store_fixture *f, off_t at, const void *bytes, size_t len)
{
	struct store_place place = { .len = 0 };
	struct store_txn *t;
	uint64_t page = 0;
	const char *why;
	int fd;

	fill(f->s);
	assert_non_null(t = store_snapshot(f->s));
	assert_int_equal(store_row_walk(t, STORE_MSG, &place, 9999, find_leaf,
			     &page),
	    0);
	store_snapshot_end(&t);
	assert_true(page > 1);
	store_close(&f->s);
	assert_true((fd = open("db/data.mdb", O_RDWR)) >= 0);
	assert_int_equal(pwrite(fd, bytes, len, (off_t)page * 4096 + at), len);
	close(fd);
	assert_non_null(f->s = store_open(STORE_LOOK, &why));
	return page;
}

static void
a_damaged_page_is_found_by_its_number(void **state)
{
	static const struct {
		off_t at;
		uint8_t byte;
		const char *what;
	} damage[] = {
		{ 0, 0xff, "number" },
		{ 10, 0x77, "neither" },
		{ 12, 0x01, "bounds" },
		{ 17, 0xf0, "outside" },
	};
	struct store_fixture *f = *state;
	const char *why;
	struct found fd;
	uint64_t pages, page;
	unsigned i;

	for (i = 0; i < sizeof(damage) / sizeof(damage[0]); i++) {
		page = damage_leaf(f, damage[i].at, &damage[i].byte, 1);
		check_pages(f->s, &fd, &pages);
		assert_true(fd.n > 0);
		store_close(&f->s);
		/* its rows are missed as well: the first word counts */
		assert_non_null(f->s = store_open(STORE_LOOK, &why));
		memset(&fd, 0, sizeof(fd));
		check_pages(f->s, &fd, &pages);
		assert_string_equal(fd.table, "msg");
		if (fd.n == 1) {
			assert_int_equal(fd.page, page);
			assert_non_null(strstr(fd.what, damage[i].what));
		}
		store_close(&f->s);
		assert_int_equal(unlink("db/data.mdb"), 0);
		assert_non_null(f->s = store_open(STORE_WRITE, &why));
	}
}

static void
a_walk_goes_on_behind_a_page_and_names_it(void **state)
{
	static const uint8_t zero[4096];
	struct store_fixture *f = *state;
	struct counts c;
	uint64_t page;

	page = damage_leaf(f, 0, zero, sizeof(zero));
	store_guard_install();
	count_all(f->s, &c);
	assert_int_equal(c.fault[STORE_FAULT_PAGE], 1);
	assert_int_equal(c.page, page);
	assert_true(c.kind[STORE_ROW_MESSAGE] < MESSAGES);
	assert_true(c.kind[STORE_ROW_MESSAGE] > MESSAGES - 60);
	assert_int_equal(c.kind[STORE_ROW_LOG], MESSAGES);
}

int
main(void)
{
#define T(name) \
	cmocka_unit_test_setup_teardown(name, store_fixture_setup, \
	    store_fixture_teardown)
	const struct CMUnitTest tests[] = {
		T(each_row_of_each_kind_is_met_once),
		T(each_fault_is_called_by_its_name),
		T(each_page_is_used_or_free_and_nothing_is_wrong),
		T(a_damaged_page_is_found_by_its_number),
		T(a_walk_goes_on_behind_a_page_and_names_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
