/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_clerk_check - what verify finds: each kind of damage, planted, is
 * named with its table and key, and nothing else is.
 */

#include "tests/unit/clerk_fixture.h"

#include <endian.h>
#include <fcntl.h>

#include "clerk/check.h"
#include "common/log.h"

static struct clerk_fixture f;

/* --- the file as LMDB sees it ------------------------------------------ */

struct raw {
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi dbi;
};

static void
raw_open(struct raw *r, const char *table)
{
	assert_int_equal(mdb_env_create(&r->env), 0);
	assert_int_equal(mdb_env_set_maxdbs(r->env, 32), 0);
	assert_int_equal(mdb_env_set_mapsize(r->env, 1 << 30), 0);
	assert_int_equal(mdb_env_open(r->env, "db", 0, 0600), 0);
	assert_int_equal(mdb_txn_begin(r->env, NULL, 0, &r->txn), 0);
	assert_int_equal(mdb_dbi_open(r->txn, table, 0, &r->dbi), 0);
}

static void
raw_close(struct raw *r)
{
	assert_int_equal(mdb_txn_commit(r->txn), 0);
	mdb_env_close(r->env);
}

static MDB_val
numbers(uint64_t *buf, uint64_t a, uint64_t b)
{
	buf[0] = htobe64(a);
	buf[1] = htobe64(b);
	return (MDB_val){ 16, buf };
}

/* '#' number */
static MDB_val
hash_number(uint8_t *buf, uint64_t n)
{
	n = htobe64(n);
	buf[0] = '#';
	memcpy(buf + 1, &n, 8);
	return (MDB_val){ 9, buf };
}

static void
raw_del(const char *table, MDB_val key)
{
	struct raw r;

	raw_open(&r, table);
	assert_int_equal(mdb_del(r.txn, r.dbi, &key, NULL), 0);
	raw_close(&r);
}

/* Change one byte of a value, or cut it off. */
static void
raw_change(const char *table, MDB_val key, size_t at, size_t len)
{
	char copy[4096];
	struct raw r;
	MDB_val v;

	raw_open(&r, table);
	assert_int_equal(mdb_get(r.txn, r.dbi, &key, &v), 0);
	assert_true(v.mv_size <= sizeof(copy) && at < v.mv_size);
	memcpy(copy, v.mv_data, v.mv_size);
	copy[at] ^= 0x40;
	v.mv_data = copy;
	if (len != 0)
		v.mv_size = len;
	assert_int_equal(mdb_put(r.txn, r.dbi, &key, &v, 0), 0);
	raw_close(&r);
}

/* Make the checksum right again, whatever it is about. */
static void
raw_seal(const char *table, MDB_val key)
{
	uint8_t copy[4096];
	uint64_t h[3] = { 0 };
	uint32_t sum;
	struct raw r;
	MDB_val v;

	raw_open(&r, table);
	assert_int_equal(mdb_get(r.txn, r.dbi, &key, &v), 0);
	assert_true(v.mv_size <= sizeof(copy));
	memcpy(copy, v.mv_data, v.mv_size);
	memcpy(h, copy, 4);
	h[1] = XXH3_64bits(key.mv_data, key.mv_size);
	h[2] = XXH3_64bits(copy + 8, v.mv_size - 8);
	sum = htobe32((uint32_t)XXH3_64bits(h, sizeof(h)));
	memcpy(copy + 4, &sum, sizeof(sum));
	v.mv_data = copy;
	assert_int_equal(mdb_put(r.txn, r.dbi, &key, &v, 0), 0);
	raw_close(&r);
}

static void
raw_put(const char *table, MDB_val key, const char *value)
{
	MDB_val v = { strlen(value), (void *)(uintptr_t)value };
	struct raw r;

	raw_open(&r, table);
	assert_int_equal(mdb_put(r.txn, r.dbi, &key, &v, 0), 0);
	raw_close(&r);
}

/* --- helpers ----------------------------------------------------------- */

static int
setup(void **state)
{
	make_store(&f);
	return 0;
}

static int
teardown(void **state)
{
	store_close(&f.store.s);
	return store_fixture_leave(&f.store);
}

/* Errors that the answer tells; with this table, key and words among them. */
static unsigned
verify(const char *table, const char *key, const char *words, bool *found_r)
{
	struct json_value answer, errors, e;
	struct json_iter it;
	const char *why, *end;
	char buf[256];
	unsigned n = 0;

	store_close(&f.store.s);
	make_clerk(&f, "verify", open(".", O_RDONLY | O_DIRECTORY));
	assert_int_equal(clerk_open_store(&f.clerk), 0);
	assert_int_equal(verify_run(&f.clerk), 0);
	(void)hear(&f);
	/* the last line of them is it */
	why = strstr(f.answer, "{\"data\":{\"result\"");
	assert_non_null(why);
	end = strchr(why, '\n');
	answer = json_member(json_value(why, (size_t)(end - why)), "data");
	errors = json_member(answer, "errors");
	*found_r = table == NULL;
	for (it = json_iter(errors); json_next(&it, &e); n++) {
		if (table == NULL || !json_is(json_member(e, "table"), table) ||
		    !json_is(json_member(e, "key"), key))
			continue;
		(void)json_decode(json_member(e, "error"), buf, sizeof(buf));
		*found_r |= strstr(buf, words) != NULL;
	}
	close(f.clerk.dir);
	end_clerk(&f);
	return n;
}

/* Exactly 'n' errors, this one among them. */
static void
expect(unsigned n, const char *table, const char *key, const char *words)
{
	bool found;
	unsigned got = verify(table, key, words, &found);

	if (got != n || !found)
		fail_msg("%u errors: %s", got,
		    strstr(f.answer, "\"errors\":["));
}

static struct store_txn *
begin(void)
{
	struct store_txn *t = store_begin(f.store.s);

	assert_non_null(t);
	return t;
}

static void
commit(struct store_txn *t)
{
	assert_int_equal(store_commit(&t), 0);
}

/* --- promises -------------------------------------------------------------- */

static void
a_store_in_order_has_no_errors(void **state)
{
	expect(0, NULL, NULL, NULL);
	assert_non_null(strstr(f.answer, "\"errors_found\":0"));
	assert_non_null(strstr(f.answer, "{\"table\":\"msg\",\"rows\":10,"));
	assert_non_null(strstr(f.answer, "\"lost\":0"));
}

static void
a_flipped_bit_is_found_in_every_table(void **state)
{
	static const char *const tables[] = { "meta", "session", "user", "msg",
		"log", "presence", "recovery", "dedupe", "member", "change",
		"receipt", "stream", "ban" };
	struct raw r;
	MDB_cursor *cur;
	MDB_val k, v;
	uint8_t key[512];
	bool found;

	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		store_close(&f.store.s);
		raw_open(&r, tables[i]);
		assert_int_equal(mdb_cursor_open(r.txn, r.dbi, &cur), 0);
		assert_int_equal(mdb_cursor_get(cur, &k, &v, MDB_LAST), 0);
		memcpy(key, k.mv_data, k.mv_size);
		k.mv_data = key;
		mdb_cursor_close(cur);
		raw_close(&r);
		raw_change(tables[i], k, v.mv_size - 1, 0);
		if (strcmp(tables[i], "meta") == 0) {
			/* without its schema a store is none */
			raw_change(tables[i], k, v.mv_size - 1, 0);
			continue;
		}
		if (verify(tables[i], "", "", &found) == 0 ||
		    strstr(f.answer, "the checksum is wrong") == NULL)
			fail_msg("%s: %s", tables[i], f.answer);
		raw_change(tables[i], k, v.mv_size - 1, 0);
		expect(0, NULL, NULL, NULL);
	}
}

static void
a_damaged_message_is_one_error_and_keeps_its_place(void **state)
{
	uint64_t k[2];

	store_close(&f.store.s);
	raw_change("msg", numbers(k, ROOM, 5), 30, 0);
	expect(1, "msg", "1|5", "the checksum is wrong");
}

static void
values_of_other_sizes_and_versions_are_found(void **state)
{
	uint64_t k[2];

	store_close(&f.store.s);
	raw_change("log", numbers(k, ROOM, 105), 20, 3);
	expect(1, "log", "1|105", "no size");
	raw_change("member", numbers(k, ROOM, USER), 0, 0);
	expect(2, "member", "1|1", "the checksum is wrong");
	raw_seal("member", numbers(k, ROOM, USER));
	expect(2, "member", "1|1", "version that is not known");
}

static void
keys_of_another_shape_are_found(void **state)
{
	char key[] = "short";

	store_close(&f.store.s);
	raw_put("receipt", (MDB_val){ 5, key }, "whatever it is");
	expect(1, "receipt", "73686f7274", "shape");
}

static void
a_missing_message_is_seen_from_both_sides(void **state)
{
	uint64_t k[2];

	store_close(&f.store.s);
	raw_del("msg", numbers(k, ROOM, 6));
	expect(2, "msg", "1|7", "seq 6 was expected here");
	expect(2, "log", "1|106", "its message, seq 6, is not there");
	raw_del("log", numbers(k, ROOM, 106));
	expect(1, "msg", "1|7", "seq 6 was expected here");
}

static void
the_first_message_is_the_first_that_was_kept(void **state)
{
	struct store_trim trim = { .room = ROOM,
		.below_seq = 3,
		.max = 64,
		.keep_ids_ms = UINT64_MAX };
	struct store_txn *t = begin();
	uint64_t k[2];

	assert_int_equal(store_trim(t, &trim), 0);
	commit(t);
	expect(0, NULL, NULL, NULL);
	raw_del("msg", numbers(k, ROOM, 3));
	raw_del("log", numbers(k, ROOM, 103));
	/* and the edit of message 3 has lost it */
	expect(2, "msg", "1|4", "seq 3 was expected here");
}

static void
a_missing_entry_of_the_log_is_found(void **state)
{
	uint64_t k[2];

	store_close(&f.store.s);
	raw_del("log", numbers(k, ROOM, 108));
	expect(1, "msg", "1|8", "has no entry in log at 108");
}

static void
times_and_positions_do_not_run_back(void **state)
{
	struct store_txn *t = begin();

	add_message(t, 11, 300, 5);
	commit(t);
	expect(1, "msg", "1|11", "its time is before");
	f.store.s = NULL;
}

static void
positions_ascend_with_the_seq(void **state)
{
	struct store_txn *t = begin();

	add_message(t, 11, 50, 500);
	commit(t);
	expect(1, "msg", "1|11", "its position is not above");
}

static void
no_position_is_above_the_stores(void **state)
{
	struct store_txn *t = begin();

	add_message(t, 11, POS, 500);
	commit(t);
	expect(1, "msg", "1|11", "is not below the store's");
}

static void
what_the_server_said_has_no_author(void **state)
{
	struct store_message m = { .room = ROOM,
		.seq = 11,
		.gseq = 300,
		.time_ms = 1000,
		.id = text("said"),
		.body = text("\"id\":\"said\"") };
	XXH128_hash_t h = XXH3_128bits("said", 4);
	uint64_t hash[2] = { h.low64, h.high64 };
	struct store_txn *t = begin();

	store_message_add(t, &m, hash);
	commit(t);
	expect(0, NULL, NULL, NULL);
}

static void
bans_have_a_kind_and_a_position(void **state)
{
	struct store_ban ban = { .kind = 9, .id = text("eve"), .gseq = 5 };
	struct store_txn *t = begin();

	store_ban_put(t, &ban);
	ban.kind = 2;
	ban.gseq = POS;
	store_ban_put(t, &ban);
	commit(t);
	expect(2, "ban", "\\x09eve", "its kind is 9");
	expect(2, "ban", "\\x02eve", "is not below the store's");
}

static void
the_log_knows_the_hash_of_the_id(void **state)
{
	struct store_message m = { .room = ROOM,
		.seq = 11,
		.gseq = 300,
		.time_ms = 900,
		.user = USER,
		.type = 1 };
	const uint64_t hash[2] = { 1, 2 };
	struct store_txn *t = begin();

	m.id = text("id-11");
	m.body = text("\"id\":\"id-11\"");
	store_message_add(t, &m, hash);
	commit(t);
	expect(1, "msg", "1|11", "another id's hash");
}

static void
a_session_is_found_by_its_name_and_number(void **state)
{
	char name[] = "nw\0s";
	uint8_t k[16];
	bool found;

	store_close(&f.store.s);
	raw_del("session", (MDB_val){ 4, name });
	expect(1, "session", "1", "is not found by its name");
	raw_put("session", (MDB_val){ 4, name }, "abcdefgh");
	expect(1, "session", "w/s", "checksum");
	raw_del("session", hash_number(k, ROOM));
	/* everything in it */
	assert_true(verify("msg", "1|1", "there is no session 1", &found) > 20);
	assert_true(found);
}

static void
a_user_is_found_by_its_id_and_number(void **state)
{
	char name[] = "nada";
	uint8_t k[16];
	bool found;

	store_close(&f.store.s);
	raw_del("user", (MDB_val){ 4, name });
	expect(1, "user", "1", "is not found by its id");
	raw_del("user", hash_number(k, USER));
	assert_true(verify("msg", "1|1", "there is no user 1", &found) > 10);
	assert_true(found);
	assert_non_null(strstr(f.answer,
	    "\"table\":\"member\",\"key\":"
	    "\"1|1\",\"error\":\"there is no user"));
}

static void
numbers_that_were_not_given_out_are_found(void **state)
{
	const struct store_next next = { .room = ROOM, .user = USER };
	struct store_txn *t = begin();

	store_next_put(t, &next);
	commit(t);
	expect(2, "session", "1", "was not given out");
	expect(2, "user", "1", "was not given out");
}

static void
presence_and_recovery_name_each_other(void **state)
{
	char key[] = PID;
	uint8_t k[22];

	store_close(&f.store.s);
	raw_del("recovery", (MDB_val){ 20, key });
	expect(1, "presence", "1|1|socket", "its recovery row is not there");
	memcpy(k, "\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\1socket", 22);
	raw_del("presence", (MDB_val){ 22, k });
	expect(0, NULL, NULL, NULL);
}

static void
who_is_present_by_its_recovery_row_is_there(void **state)
{
	uint8_t k[22];

	store_close(&f.store.s);
	memcpy(k, "\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\1socket", 22);
	raw_del("presence", (MDB_val){ 22, k });
	expect(1, "recovery", PID, "is not present in session 1");
}

static void
known_ids_are_those_of_their_messages(void **state)
{
	struct store_dedupe d = { .room = ROOM,
		.hash = 77,
		.seq = 2,
		.user = USER,
		.id = text("other") };
	struct store_txn *t = begin();

	store_dedupe_put(t, &d);
	commit(t);
	expect(1, "dedupe", "1|77|2", "message 2 has another id");
}

static void
known_ids_are_not_of_messages_to_come(void **state)
{
	struct store_dedupe d = { .room = ROOM,
		.hash = 77,
		.seq = 99,
		.user = USER,
		.id = text("other") };
	const struct store_merged m = { .room = ROOM, .seq = 50, .gseq = 2000 };
	struct store_txn *t = begin();

	store_dedupe_put(t, &d);
	store_merged_put(t, &m);
	commit(t);
	expect(3, "dedupe", "1|77|99", "names seq 99, the last one is 10");
	expect(3, "dedupe", "1", "is merged up to seq 50");
	expect(3, "dedupe", "1", "is not below the store's");
}

static void
known_ids_are_counted_somewhere(void **state)
{
	uint64_t room = htobe64(ROOM);

	store_close(&f.store.s);
	raw_del("dedupe", (MDB_val){ 8, &room });
	f.store.s = NULL;
	{
		bool found;

		assert_int_equal(verify(NULL, NULL, NULL, &found), 1);
		assert_non_null(strstr(f.answer, "no row that counts it"));
	}
}

static void
changes_and_what_they_changed_name_each_other(void **state)
{
	uint64_t k[2];

	store_close(&f.store.s);
	raw_del("change", numbers(k, ROOM, 1));
	expect(1, "msg", "1|3", "there is no change for its revision 1");
	raw_del("change", numbers(k, ROOM, 3));
	expect(2, "receipt", "1|1", "there is no change for its revision 3");
	raw_del("receipt", numbers(k, ROOM, USER));
	expect(1, "msg", "1|3", "there is no change for its revision 1");
}

static void
a_change_of_nothing_is_found(void **state)
{
	uint64_t k[2];

	store_close(&f.store.s);
	raw_del("receipt", numbers(k, ROOM, USER));
	expect(1, "change", "1|3", "the receipt of user 1 is not there");
}

static void
receipts_are_not_for_messages_to_come(void **state)
{
	struct store_txn *t = begin();
	uint64_t revision;

	assert_int_equal(store_receipt_put(t, ROOM, USER, 99, 600, 400,
			     &revision),
	    0);
	commit(t);
	expect(1, "receipt", "1|1", "has read seq 99, the last one is 10");
}

static void
a_status_is_not_of_a_time_to_come(void **state)
{
	struct store_txn *t = begin();

	assert_int_equal(store_status_put(t, ROOM, text("error"), text(""), 600,
			     UINT64_MAX),
	    0);
	commit(t);
	expect(1, "session", "1", "is not below the store's");
}

static void
members_and_streams_have_a_session_and_a_user(void **state)
{
	const struct store_member m = { .room = 9, .user = 8 };
	const struct store_stream s = { .room = 9,
		.id = text("x"),
		.user = 8,
		.text = text("") };
	struct store_txn *t = begin();

	store_member_put(t, &m);
	store_stream_put(t, &s);
	commit(t);
	expect(4, "member", "9|8", "there is no session 9");
	expect(4, "member", "9|8", "there is no user 8");
	expect(4, "stream", "9|x", "there is no session 9");
	expect(4, "stream", "9|x", "there is no user 8");
}

/* A text of two pieces, of which the second begins at 'start'. */
static void
put_text(struct store_txn *t, uint64_t start)
{
	const struct store_stream s = { .room = ROOM,
		.id = text("m1"),
		.user = USER,
		.text = text("1234") };
	struct store_piece p = { 1, 4, 2, 3, text("56") };

	store_stream_put(t, &s);
	store_piece_put(t, ROOM, s.id, &p);
	p = (struct store_piece){ 2, start, 3, 3, text("7") };
	store_piece_put(t, ROOM, s.id, &p);
}

static void
pieces_follow_on_their_stream(void **state)
{
	struct store_txn *t = begin();

	put_text(t, 6);
	commit(t);
	expect(0, NULL, NULL, NULL);
}

static void
a_text_with_a_hole_is_found(void **state)
{
	struct store_txn *t = begin();

	put_text(t, 9);
	commit(t);
	expect(1, "stream", "1|m1////\\x02",
	    "piece 2 begins at 9 and not at 6");
}

static void
a_piece_of_no_stream_is_found(void **state)
{
	const struct store_piece p = { 2, 6, 3, 3, text("7") };
	struct store_txn *t = begin();

	put_text(t, 6);
	store_piece_put(t, ROOM, text("alone"), &p);
	commit(t);
	expect(1, "stream", "1|alone////\\x02",
	    "there is no stream that it belongs to");
}

/* Overwrite the pages that hold this text. */
static void
ruin_pages_with(const char *words)
{
	static char file[1 << 20];
	int fd = open("db/data.mdb", O_RDWR);
	ssize_t n = read(fd, file, sizeof(file));
	size_t len = strlen(words);

	assert_true(n > 8192 && n < (ssize_t)sizeof(file));
	for (ssize_t at = 8192; at < n; at += 4096)
		if (memmem(file + at, 4096, words, len) != NULL)
			assert_int_equal(pwrite(fd, words, len, at), len);
	close(fd);
}

static void
a_ruined_page_is_named_and_the_rest_is_checked(void **state)
{
	bool found;

	store_close(&f.store.s);
	ruin_pages_with("so far");
	assert_true(verify(NULL, NULL, NULL, &found) >= 1);
	assert_non_null(
	    strstr(f.answer, "\"table\":\"stream\",\"key\":\"page "));
	assert_non_null(strstr(f.answer, "{\"table\":\"msg\",\"rows\":10,"));
}

static void
all_errors_are_counted_and_a_hundred_told(void **state)
{
	struct store_txn *t = begin();
	bool found;

	for (uint64_t i = 0; i < 200; i++) {
		const struct store_member m = { .room = 50 + i, .user = USER };

		store_member_put(t, &m);
	}
	commit(t);
	assert_int_equal(verify("member", "50|1", "there is no session",
			     &found),
	    100);
	assert_true(found);
	assert_non_null(strstr(f.answer, "\"errors_found\":200"));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_store_in_order_has_no_errors),
		T(a_flipped_bit_is_found_in_every_table),
		T(a_damaged_message_is_one_error_and_keeps_its_place),
		T(values_of_other_sizes_and_versions_are_found),
		T(keys_of_another_shape_are_found),
		T(a_missing_message_is_seen_from_both_sides),
		T(the_first_message_is_the_first_that_was_kept),
		T(a_missing_entry_of_the_log_is_found),
		T(times_and_positions_do_not_run_back),
		T(positions_ascend_with_the_seq),
		T(no_position_is_above_the_stores),
		T(what_the_server_said_has_no_author),
		T(bans_have_a_kind_and_a_position),
		T(the_log_knows_the_hash_of_the_id),
		T(a_session_is_found_by_its_name_and_number),
		T(a_user_is_found_by_its_id_and_number),
		T(numbers_that_were_not_given_out_are_found),
		T(presence_and_recovery_name_each_other),
		T(who_is_present_by_its_recovery_row_is_there),
		T(known_ids_are_those_of_their_messages),
		T(known_ids_are_not_of_messages_to_come),
		T(known_ids_are_counted_somewhere),
		T(changes_and_what_they_changed_name_each_other),
		T(a_change_of_nothing_is_found),
		T(receipts_are_not_for_messages_to_come),
		T(a_status_is_not_of_a_time_to_come),
		T(members_and_streams_have_a_session_and_a_user),
		T(pieces_follow_on_their_stream),
		T(a_text_with_a_hole_is_found),
		T(a_piece_of_no_stream_is_found),
		T(a_ruined_page_is_named_and_the_rest_is_checked),
		T(all_errors_are_counted_and_a_hundred_told),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
