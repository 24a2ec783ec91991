/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_reader_changes - changes, receipts and a message by its id, as the
 * reader's thread takes them out of the store; and what of the store only it
 * uses.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <endian.h>
#include <errno.h>
#include <xxhash.h>

#include "common/log.h"
#include "store/env.h"
#include "tests/unit/store_fixture.h"
#include "worker/reader.h"

#define ROOM 7
#define MESSAGES 100
/* position of a message, and of the n-th change */
#define GSEQ(seq) (1000 + (seq))
#define CHANGE(n) (5000 + 10 * (n))

struct world {
	struct store_fixture f;
	struct store_txn *t;
	struct read_answer a;
};

static void
name_of(char *buf, size_t size, uint64_t seq)
{
	snprintf(buf, size, "m%d", (int)seq);
}

static void
add_message(struct store_txn *t, uint64_t seq)
{
	struct store_message m = { .room = ROOM,
		.seq = seq,
		.gseq = GSEQ(seq),
		.time_ms = 50000 + seq,
		.user = 3,
		.type = 4,
		.body = text("\"content\":\"x\"") };
	XXH128_hash_t h;
	uint64_t hash[2];
	char id[20];

	name_of(id, sizeof(id), seq);
	m.id = text(id);
	h = XXH3_128bits(id, strlen(id));
	hash[0] = h.low64;
	hash[1] = h.high64;
	store_message_add(t, &m, hash);
}

/* Revisions 1: message 5; 2: read; 3: message 6 gone; 4: message 5 again;
 * 5: read further; 6: message 7; and the status between 4 and 5. */
static void
fill(struct store *s)
{
	const struct store_room room = { .room = ROOM,
		.workspace = text("w1"),
		.session = text("s1") };
	struct store_user ada = { .user = 3,
		.id = text("ada"),
		.name = text("Ada") };
	struct store_user bob = { .user = 4,
		.id = text("bob"),
		.name = text("Bob") };
	struct store_txn *t;
	uint64_t seq, rev;

	assert_non_null(t = store_begin(s));
	store_room_add(t, &room);
	store_user_add(t, &ada);
	store_user_add(t, &bob);
	for (seq = 1; seq <= MESSAGES; seq++)
		add_message(t, seq);
	assert_int_equal(store_message_edit(t, ROOM, 5, text("a"), 1, CHANGE(1),
			     &rev),
	    0);
	assert_int_equal(store_receipt_put(t, ROOM, 3, 5, 2, CHANGE(2), &rev),
	    0);
	assert_int_equal(store_message_delete(t, ROOM, 6, 3, CHANGE(3), &rev),
	    0);
	assert_int_equal(store_message_edit(t, ROOM, 5, text("b"), 4, CHANGE(4),
			     &rev),
	    0);
	assert_int_equal(store_status_put(t, ROOM, text("paused"), text("why"),
			     45, CHANGE(4) + 5),
	    0);
	assert_int_equal(store_receipt_put(t, ROOM, 3, 9, 5, CHANGE(5), &rev),
	    0);
	assert_int_equal(store_message_edit(t, ROOM, 7, text("c"), 6, CHANGE(6),
			     &rev),
	    0);
	assert_int_equal(rev, 6);
	assert_int_equal(store_receipt_put(t, ROOM, 4, 1, 7, CHANGE(7), &rev),
	    0);
	assert_int_equal(store_commit(&t), 0);
}

static int
setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return -1;
	*state = w;
	log_set_level(LOG_LEVEL_ERROR);
	if (store_fixture_open(&w->f) == -1)
		return -1;
	fill(w->f.s);
	return 0;
}

static int
teardown(void **state)
{
	struct world *w = *state;
	int rc = store_fixture_close(&w->f);

	free(w->a.bytes);
	free(w);
	return rc;
}

/* --- reading --------------------------------------------------------------- */

typedef int read_fn(struct store_txn *, const struct read_query *,
    struct read_answer *);

static int
try_it(struct world *w, read_fn *fn, const struct read_query *q)
{
	struct store_txn *t;
	int rc, error;

	free(w->a.bytes);
	memset(&w->a, 0, sizeof(w->a));
	assert_non_null(t = store_snapshot(w->f.s));
	rc = fn(t, q, &w->a);
	error = errno;
	store_snapshot_end(&t);
	errno = error;
	return rc;
}

static void
read_it(struct world *w, read_fn *fn, const struct read_query *q)
{
	assert_int_equal(try_it(w, fn, q), 0);
}

static struct read_query
changes(uint64_t revision, uint64_t from, uint64_t count)
{
	return (struct read_query){ .kind = READ_CHANGES,
		.room = ROOM,
		.offset = revision,
		.from = from,
		.count = count,
		.bytes = 100000 };
}

/* The rows are of these positions. */
static void
expect_changes(struct world *w, const struct read_query *q,
    const uint64_t *positions, bool more)
{
	struct read_row row;
	size_t at = 0;

	read_it(w, reader_changes, q);
	for (; *positions != 0; positions++) {
		assert_true(reader_row(&w->a, &at, &row));
		assert_int_equal(row.n[2], *positions);
	}
	assert_false(reader_row(&w->a, &at, &row));
	assert_int_equal(w->a.more, more);
}

#define AT(...) \
	(const uint64_t[]) \
	{ \
		__VA_ARGS__, 0 \
	}

static void
each_item_comes_once_where_it_was_changed_last(void **state)
{
	struct world *w = *state;
	struct read_query q = changes(1, 1, 100);

	expect_changes(w, &q,
	    AT(CHANGE(3), CHANGE(4), CHANGE(4) + 5, CHANGE(5), CHANGE(6),
		CHANGE(7)),
	    false);
	q = changes(4, CHANGE(5), 100);
	expect_changes(w, &q, AT(CHANGE(4), CHANGE(5), CHANGE(6), CHANGE(7)),
	    false);
	q = changes(8, UINT64_MAX, 100);
	expect_changes(w, &q, AT(0), false);
	q = changes(0, CHANGE(4) + 1, 100);
	expect_changes(w, &q,
	    AT(CHANGE(4) + 5, CHANGE(5), CHANGE(6), CHANGE(7)), false);
	q = changes(0, CHANGE(4) + 6, 2);
	expect_changes(w, &q, AT(CHANGE(5), CHANGE(6)), true);
	q = changes(0, CHANGE(6) + 1, 1);
	expect_changes(w, &q, AT(CHANGE(7)), false);
	q = changes(0, CHANGE(7) + 1, 1);
	expect_changes(w, &q, AT(0), false);
	/* a page has one, however large that is */
	q = changes(0, CHANGE(6), 100);
	q.bytes = 1;
	expect_changes(w, &q, AT(CHANGE(6)), true);
}

static bool
is(struct store_text t, const char *s)
{
	return t.len == strlen(s) && memcmp(t.p, s, t.len) == 0;
}

static void
they_tell_how_it_is_now(void **state)
{
	struct world *w = *state;
	const struct read_query q = changes(3, CHANGE(1), 100);
	struct read_row r;
	size_t at = 0;

	read_it(w, reader_changes, &q);
	assert_true(reader_row(&w->a, &at, &r));
	assert_int_equal(r.n[0], STORE_CHANGE_DELETE);
	assert_int_equal(r.n[1], 6);
	assert_int_equal(r.n[3], 3);
	assert_int_equal(r.n[4], 3);
	assert_true(is(r.text[0], "m6") && r.text[1].len == 0);
	assert_true(reader_row(&w->a, &at, &r));
	assert_int_equal(r.n[0], STORE_CHANGE_EDIT);
	assert_int_equal(r.n[1], 5);
	assert_int_equal(r.n[3], 4);
	assert_int_equal(r.n[4], 4);
	assert_int_equal(r.n[5], 50005);
	assert_true(is(r.text[0], "m5") && is(r.text[1], "b"));
	assert_true(reader_row(&w->a, &at, &r));
	assert_int_equal(r.n[0], READ_CHANGE_STATUS);
	assert_int_equal(r.n[3], 0);
	assert_int_equal(r.n[4], 45);
	assert_true(is(r.text[0], "paused") && is(r.text[1], "why"));
	assert_true(reader_row(&w->a, &at, &r));
	assert_int_equal(r.n[0], STORE_CHANGE_RECEIPT);
	assert_int_equal(r.n[1], 9);
	assert_int_equal(r.n[3], 5);
	assert_true(is(r.text[0], "ada"));
}

/* Many more than are looked at together. */
static void
all_pages_together_have_all(void **state)
{
	struct world *w = *state;
	struct store_txn *t;
	struct read_query q = changes(1, 1, 7);
	struct read_row row;
	uint64_t seq, rev, last = 0, n = 0;
	size_t at;

	assert_non_null(t = store_begin(w->f.s));
	for (seq = 10; seq <= MESSAGES; seq++)
		assert_int_equal(store_message_edit(t, ROOM, seq, text("x"), 9,
				     CHANGE(seq), &rev),
		    0);
	/* every other one again: holes between the revisions */
	for (seq = 10; seq <= MESSAGES; seq += 2)
		assert_int_equal(store_message_edit(t, ROOM, seq, text("x"), 9,
				     CHANGE(MESSAGES + seq), &rev),
		    0);
	assert_int_equal(store_commit(&t), 0);
	do {
		read_it(w, reader_changes, &q);
		for (at = 0; reader_row(&w->a, &at, &row); n++) {
			assert_true(row.n[2] > last);
			last = row.n[2];
		}
		/* by revision first, then by position */
		q = changes(0, last + 1, 7);
	} while (w->a.more);
	/* 5 items and the status, and the others */
	assert_int_equal(n, 6 + MESSAGES - 9);
}

static void
a_position_is_found_among_holes(void **state)
{
	struct world *w = *state;
	static const struct {
		uint64_t gseq, revision;
	} row[] = { { 1, 1 }, { CHANGE(3), 1 }, { CHANGE(3) + 1, 4 },
		{ CHANGE(4), 4 }, { CHANGE(6), 6 }, { CHANGE(7), 7 },
		{ CHANGE(7) + 1, 8 }, { UINT64_MAX, 8 } };
	struct store_txn *t;
	uint64_t rev;
	size_t i;

	assert_non_null(t = store_snapshot(w->f.s));
	for (i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		assert_int_equal(store_change_seek(t, ROOM, row[i].gseq, &rev),
		    0);
		assert_int_equal(rev, row[i].revision);
	}
	assert_int_equal(store_change_seek(t, ROOM + 1, 5, &rev), 0);
	assert_int_equal(rev, 1);
	assert_true(reader_changed_since(t, ROOM, CHANGE(7)));
	assert_false(reader_changed_since(t, ROOM, CHANGE(7) + 1));
	assert_false(reader_changed_since(t, ROOM + 1, 1));
	store_snapshot_end(&t);
	assert_non_null(t = store_begin(w->f.s));
	assert_int_equal(store_status_put(t, ROOM, text("error"), text(""), 1,
			     CHANGE(9)),
	    0);
	assert_true(reader_changed_since(t, ROOM, CHANGE(7) + 1));
	store_abort(&t);
}

static void
receipts_begin_with_ones_own(void **state)
{
	struct world *w = *state;
	struct read_query q = { .kind = READ_RECEIPTS,
		.room = ROOM,
		.from = 4,
		.count = 10 };
	struct read_row row;
	size_t at = 0;

	read_it(w, reader_receipts, &q);
	assert_int_equal(w->a.nrows, 2);
	assert_true(reader_row(&w->a, &at, &row));
	assert_true(is(row.text[0], "bob") && row.n[0] == 1);
	assert_true(reader_row(&w->a, &at, &row));
	assert_true(is(row.text[0], "ada") && row.n[0] == 9);
	q.count = 1;
	read_it(w, reader_receipts, &q);
	assert_int_equal(w->a.nrows, 1);
	q.from = 99;
	at = 0;
	read_it(w, reader_receipts, &q);
	assert_int_equal(w->a.nrows, 1);
	assert_true(reader_row(&w->a, &at, &row));
	assert_true(is(row.text[0], "ada"));
}

/* --- one message --------------------------------------------------------------- */

/* In pieces of 'count': how many it takes; 0: it is not found. */
static unsigned
find(struct world *w, const char *id, uint64_t count, uint64_t seq)
{
	struct read_query q = { .kind = READ_FIND,
		.room = ROOM,
		.count = count,
		.text = text(id) };
	struct read_row row;
	unsigned n = 0;
	size_t at = 0;

	do {
		read_it(w, reader_find, &q);
		q.from = w->a.seq;
		n++;
		assert_true(n < 1000);
	} while (w->a.more);
	if (!reader_row(&w->a, &at, &row))
		return 0;
	assert_int_equal(row.n[0], seq);
	assert_true(is(row.text[0], id));
	return n;
}

static void
a_message_of_any_age_is_found_in_pieces(void **state)
{
	struct world *w = *state;

	assert_int_equal(find(w, "m100", 10, 100), 1);
	assert_int_equal(find(w, "m95", 10, 95), 1);
	assert_int_equal(find(w, "m1", 1000, 1), 1);
	assert_true(find(w, "m1", 10, 1) >= 9);
	assert_true(find(w, "m40", 1, 40) > 20);
	assert_int_equal(find(w, "m101", 10, 0), 0);
	assert_int_equal(find(w, "m6", 1000, 6), 1);
}

static void
merge(struct world *w, uint64_t from, uint64_t to)
{
	struct store_merged merged = { .room = ROOM,
		.seq = to,
		.gseq = GSEQ(to),
		.count = to };
	struct store_dedupe d = { .room = ROOM, .user = 3 };
	struct store_txn *t;
	char id[20];

	assert_non_null(t = store_begin(w->f.s));
	for (d.seq = from; d.seq <= to; d.seq++) {
		name_of(id, sizeof(id), d.seq);
		d.id = text(id);
		d.hash = XXH3_128bits(id, strlen(id)).low64;
		d.time_ms = 50000 + d.seq;
		store_dedupe_put(t, &d);
	}
	store_merged_put(t, &merged);
	assert_int_equal(store_commit(&t), 0);
}

static void
merged_ids_are_found_at_once(void **state)
{
	struct world *w = *state;

	/* the window of the first ten is over */
	merge(w, 11, 90);
	assert_int_equal(find(w, "m20", 11, 20), 1);
	assert_int_equal(find(w, "m90", 11, 90), 1);
	assert_int_equal(find(w, "m95", 11, 95), 1);
	assert_true(find(w, "m3", 11, 3) > 5);
	assert_int_equal(find(w, "m300", 11, 0), 0);
}

static void
of_an_id_that_was_used_again_the_newest_is_found(void **state)
{
	struct world *w = *state;
	XXH128_hash_t h = XXH3_128bits("m20", 3);
	const uint64_t hash[2] = { h.low64, h.high64 };
	struct store_message m = { .room = ROOM,
		.seq = MESSAGES + 1,
		.gseq = GSEQ(MESSAGES + 1),
		.time_ms = 99999,
		.user = 3,
		.type = 4,
		.id = text("m20"),
		.body = text("\"content\":\"new\"") };
	struct store_txn *t;

	merge(w, 1, 90);
	assert_non_null(t = store_begin(w->f.s));
	store_message_add(t, &m, hash);
	assert_int_equal(store_commit(&t), 0);
	assert_int_equal(find(w, "m20", 1000, MESSAGES + 1), 1);
}

static void
what_retention_took_is_not_found(void **state)
{
	struct world *w = *state;
	struct store_trim trim = { .room = ROOM,
		.below_seq = 51,
		.keep_ids_ms = 0,
		.max = 100 };
	struct store_txn *t;

	assert_non_null(t = store_begin(w->f.s));
	assert_int_equal(store_trim(t, &trim), 0);
	assert_int_equal(trim.removed, 50);
	assert_int_equal(store_commit(&t), 0);
	assert_int_equal(find(w, "m20", 10, 0), 0);
	assert_true(find(w, "m51", 10, 51) > 0);
	/* and with it what was changed of it */
	read_it(w, reader_changes,
	    &(struct read_query){ .kind = READ_CHANGES,
		.room = ROOM,
		.offset = 1,
		.from = UINT64_MAX,
		.count = 10,
		.bytes = 1000 });
	assert_int_equal(w->a.nrows, 2);
}

/* The hash is right and the id is not. */
static void
a_hash_alone_is_not_enough(void **state)
{
	struct world *w = *state;
	XXH128_hash_t h = XXH3_128bits("m20", 3);
	const uint64_t hash[2] = { h.low64, h.high64 };
	struct store_message m = { .room = ROOM,
		.seq = MESSAGES + 1,
		.gseq = GSEQ(MESSAGES + 1),
		.user = 3,
		.type = 4,
		.id = text("other"),
		.body = text("\"content\":\"new\"") };
	struct store_txn *t;

	assert_non_null(t = store_begin(w->f.s));
	store_message_add(t, &m, hash);
	assert_int_equal(store_commit(&t), 0);
	assert_int_equal(find(w, "m20", 1000, 20), 1);
}

/* The next piece. */
static int
find_piece(struct world *w, struct read_query *q)
{
	int rc = try_it(w, reader_find, q);

	q->from = w->a.seq;
	return rc;
}

static void
what_cannot_be_read_is_not_called_missing(void **state)
{
	struct world *w = *state;
	struct read_query q = { .kind = READ_FIND,
		.room = ROOM,
		.count = 10,
		.text = text("m101") };
	struct read_query old = q;
	struct stat st;
	char *whole;
	int fd;

	/* cmocka has set handlers of its own since the store was opened */
	store_guard_install();
	/* the first pieces are sound: the others must not say more than they
	 * know */
	assert_int_equal(find_piece(w, &old), 0);
	assert_true(w->a.more);
	assert_true((fd = open("db/data.mdb", O_RDWR)) >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_non_null(whole = malloc((size_t)st.st_size));
	assert_int_equal(read(fd, whole, (size_t)st.st_size), st.st_size);
	assert_int_equal(ftruncate(fd, 8192), 0);
	assert_int_equal(find_piece(w, &q), -1);
	assert_int_equal(errno, EUCLEAN);
	assert_int_equal(find_piece(w, &old), -1);
	assert_int_equal(errno, EUCLEAN);
	assert_int_equal(pwrite(fd, whole, (size_t)st.st_size, 0), st.st_size);
	free(whole);
	close(fd);
	assert_int_equal(find(w, "m101", 10, 0), 0);
	assert_int_equal(find(w, "m20", 1000, 20), 1);
}

/* A row of the log is damaged: it may have been that of any id. */
static void
a_search_remembers_what_it_passed_by(void **state)
{
	struct world *w = *state;
	struct read_query q = { .kind = READ_FIND,
		.room = ROOM,
		.count = 10,
		.text = text("m101") };
	const uint64_t be = htobe64(GSEQ(95));
	uint8_t page[4096], *p;
	unsigned spoilt = 0;
	off_t at;
	int fd, rc;

	assert_true((fd = open("db/data.mdb", O_RDWR)) >= 0);
	for (at = 8192; pread(fd, page, 4096, at) == 4096; at += 4096) {
		uint8_t key[16] = { 0, 0, 0, 0, 0, 0, 0, ROOM };

		memcpy(key + 8, &be, 8);
		if ((p = memmem(page, 4096, key, 16)) == NULL)
			continue;
		p[24] ^= 1;
		assert_int_equal(pwrite(fd, page, 4096, at), 4096);
		spoilt++;
	}
	close(fd);
	assert_true(spoilt > 0);
	while ((rc = find_piece(w, &q)) == 0)
		assert_true(w->a.more);
	assert_int_equal(errno, EUCLEAN);
	/* and yet what can be read is found behind it */
	assert_true(find(w, "m20", 10, 20) > 5);
}

/* --- a status ---------------------------------------------------------------------- */

static void
a_status_survives_what_else_is_written_of_its_room(void **state)
{
	struct world *w = *state;
	struct store_trim trim = { .room = ROOM,
		.below_seq = 3,
		.keep_ids_ms = UINT64_MAX,
		.max = 100 };
	char reason[STORE_MAX_STATUS + 1];
	struct store_room room;
	struct store_txn *t;

	memset(reason, 'r', sizeof(reason));
	reason[STORE_MAX_STATUS] = '\0';
	assert_non_null(t = store_begin(w->f.s));
	assert_int_equal(store_trim(t, &trim), 0);
	assert_int_equal(store_room_get(t, ROOM, &room), 0);
	assert_int_equal(room.floor.seq, 2);
	assert_true(is(room.status, "paused") && is(room.status_reason, "why"));
	assert_int_equal(room.status_gseq, CHANGE(4) + 5);
	assert_true(is(room.workspace, "w1") && is(room.session, "s1"));
	assert_int_equal(store_status_put(t, ROOM, text("x"), text(reason), 1,
			     2),
	    -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(store_status_put(t, ROOM + 1, text("x"), text(""), 1,
			     2),
	    -1);
	assert_int_equal(errno, ENOENT);
	reason[STORE_MAX_STATUS - 1] = '\0';
	assert_int_equal(store_status_put(t, ROOM, text("x"), text(reason), 1,
			     2),
	    0);
	assert_int_equal(store_room_get(t, ROOM, &room), 0);
	assert_int_equal(room.status_reason.len, STORE_MAX_STATUS - 1);
	assert_int_equal(room.floor.seq, 2);
	store_abort(&t);
}

static void
a_recovery_row_keeps_the_revision_that_was_asked_for(void **state)
{
	struct world *w = *state;
	struct store_recovery row = { .socket = text("socket"),
		.user_id = text("ada"),
		.user = 3,
		.nrooms = 3 },
			      back;
	struct store_text pid = text("aaaaaaaaaaaaaaaaaaaa");
	struct store_txn *t;

	row.room[0].room = 1;
	row.room[1].room = 2;
	row.room[1].has_revision = true;
	row.room[1].after_revision = 77;
	row.room[1].agent = text("bot");
	row.room[2].room = 3;
	row.room[2].has_after = true;
	row.room[2].after_seq = 9;
	assert_non_null(t = store_begin(w->f.s));
	store_recovery_put(t, pid, &row);
	assert_int_equal(store_recovery_get(t, pid, &back), 0);
	assert_int_equal(back.nrooms, 3);
	assert_false(back.room[0].has_revision);
	assert_true(back.room[1].has_revision);
	assert_int_equal(back.room[1].after_revision, 77);
	assert_true(is(back.room[1].agent, "bot"));
	assert_false(back.room[2].has_revision);
	assert_int_equal(back.room[2].after_seq, 9);
	store_abort(&t);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(each_item_comes_once_where_it_was_changed_last),
		T(they_tell_how_it_is_now),
		T(all_pages_together_have_all),
		T(a_position_is_found_among_holes),
		T(receipts_begin_with_ones_own),
		T(a_message_of_any_age_is_found_in_pieces),
		T(merged_ids_are_found_at_once),
		T(of_an_id_that_was_used_again_the_newest_is_found),
		T(what_retention_took_is_not_found),
		T(a_hash_alone_is_not_enough),
		T(what_cannot_be_read_is_not_called_missing),
		T(a_search_remembers_what_it_passed_by),
		T(a_status_survives_what_else_is_written_of_its_room),
		T(a_recovery_row_keeps_the_revision_that_was_asked_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
