/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_store_rows - changes, receipts, members, known ids, streams, bans.
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

static void
add(struct store_txn *t, uint64_t room, uint64_t seq)
{
	uint64_t hash[2] = { seq, seq };
	struct store_message m = { .room = room,
		.seq = seq,
		.gseq = seq * 10,
		.time_ms = 1000 + seq,
		.user = 3,
		.type = 4,
		.id = text("an id"),
		.body = text("\"a\":1") };

	store_message_add(t, &m, hash);
}

static bool
equal(struct store_text a, const char *b)
{
	return a.len == strlen(b) && memcmp(a.p, b, a.len) == 0;
}

/* --- changes ----------------------------------------------------------- */

struct changes {
	struct store_change c[16];
	unsigned n;
};

static bool
collect(const struct store_change *c, void *arg)
{
	struct changes *all = arg;

	assert_true(all->n < 16);
	all->c[all->n++] = *c;
	return true;
}

static void
an_edit_replaces_the_body_and_nothing_else(void **state)
{
	struct store_fixture *f = *state;
	struct store_message m;
	struct store_log log;
	struct store_txn *t;
	uint64_t rev = 0;

	assert_non_null(t = store_begin(f->s));
	add(t, ROOM, 1);
	assert_int_equal(store_message_edit(t, ROOM, 1, text("\"b\":22"), 7777,
			     90, &rev),
	    0);
	assert_int_equal(rev, 1);
	assert_int_equal(store_commit(&t), 0);
	assert_non_null(t = store_snapshot(f->s));
	assert_int_equal(store_message_get(t, ROOM, 1, &m), 0);
	assert_true(equal(m.body, "\"b\":22"));
	assert_true(equal(m.id, "an id"));
	assert_int_equal(m.gseq, 10);
	assert_int_equal(m.time_ms, 1001);
	assert_int_equal(m.user, 3);
	assert_int_equal(m.type, 4);
	assert_int_equal(m.revision, 1);
	assert_int_equal(m.edited_ms, 7777);
	assert_false(m.deleted);
	assert_int_equal(store_log_get(t, ROOM, 10, &log), 0);
	assert_int_equal(store_bad_values(f->s), 0);
	store_snapshot_end(&t);
}

static void
a_deletion_leaves_who_when_and_the_id(void **state)
{
	struct store_fixture *f = *state;
	struct store_query q = { .room = ROOM, .count = 8 };
	struct store_message m, page[8];
	struct store_txn *t;
	uint64_t rev, seq;
	unsigned n;
	bool more;

	assert_non_null(t = store_begin(f->s));
	add(t, ROOM, 1);
	add(t, ROOM, 2);
	assert_int_equal(store_message_delete(t, ROOM, 2, 8888, 91, &rev), 0);
	/* gone is gone */
	assert_int_equal(store_message_delete(t, ROOM, 2, 8889, 92, &rev), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(store_message_edit(t, ROOM, 2, text("x"), 1, 1, &rev),
	    -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(store_message_edit(t, ROOM, 3, text("x"), 1, 1, &rev),
	    -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(store_error(t), 0);
	assert_int_equal(store_commit(&t), 0);
	assert_non_null(t = store_snapshot(f->s));
	assert_int_equal(store_message_get(t, ROOM, 2, &m), 0);
	assert_true(m.deleted);
	assert_int_equal(m.body.len, 0);
	assert_true(equal(m.id, "an id"));
	assert_int_equal(m.user, 3);
	assert_int_equal(m.edited_ms, 8888);
	assert_int_equal(store_last_seq(t, ROOM, &seq), 0);
	assert_int_equal(seq, 2);
	assert_int_equal(store_page(t, &q, page, &n, &more), 0);
	assert_int_equal(n, 2);
	assert_false(page[0].deleted);
	assert_true(page[1].deleted);
	store_snapshot_end(&t);
}

static void
each_message_has_one_change_under_its_newest_revision(void **state)
{
	struct store_fixture *f = *state;
	struct changes all = { .n = 0 };
	struct store_txn *t;
	uint64_t rev, i;

	assert_non_null(t = store_begin(f->s));
	assert_int_equal(store_last_revision(t, ROOM, &rev), 0);
	assert_int_equal(rev, 0);
	add(t, ROOM - 1, 1);
	add(t, ROOM + 1, 1);
	assert_int_equal(store_message_edit(t, ROOM + 1, 1, text("n"), 1, 1,
			     &rev),
	    0);
	for (i = 1; i <= 3; i++)
		add(t, ROOM, i);
	for (i = 1; i <= 3; i++) {
		assert_int_equal(store_message_edit(t, ROOM, i, text("e"),
				     100 + i, 200 + i, &rev),
		    0);
		assert_int_equal(rev, i);
	}
	assert_int_equal(store_message_edit(t, ROOM, 1, text("f"), 104, 204,
			     &rev),
	    0);
	assert_int_equal(rev, 4);
	assert_int_equal(store_message_delete(t, ROOM, 2, 105, 205, &rev), 0);
	assert_int_equal(rev, 5);
	assert_int_equal(store_commit(&t), 0);

	assert_non_null(t = store_snapshot(f->s));
	assert_int_equal(store_last_revision(t, ROOM, &rev), 0);
	assert_int_equal(rev, 5);
	assert_int_equal(store_change_each(t, ROOM, 0, collect, &all), 0);
	assert_int_equal(all.n, 3);
	assert_int_equal(all.c[0].revision, 3);
	assert_int_equal(all.c[0].seq, 3);
	assert_int_equal(all.c[1].revision, 4);
	assert_int_equal(all.c[1].seq, 1);
	assert_int_equal(all.c[1].kind, STORE_CHANGE_EDIT);
	assert_int_equal(all.c[2].revision, 5);
	assert_int_equal(all.c[2].seq, 2);
	assert_int_equal(all.c[2].kind, STORE_CHANGE_DELETE);
	assert_int_equal(all.c[2].gseq, 205);
	assert_int_equal(all.c[2].time_ms, 105);
	assert_int_equal(all.c[2].user, 0);
	all.n = 0;
	assert_int_equal(store_change_each(t, ROOM, 5, collect, &all), 0);
	assert_int_equal(all.n, 1);
	store_snapshot_end(&t);
}

/* --- receipts ---------------------------------------------------------- */

static bool
count_receipt(const struct store_receipt *r, void *arg)
{
	assert_int_equal(r->room, ROOM);
	++*(unsigned *)arg;
	return true;
}

static void
a_receipt_only_goes_up(void **state)
{
	struct store_fixture *f = *state;
	struct changes all = { .n = 0 };
	struct store_receipt r;
	struct store_txn *t;
	unsigned n = 0;
	uint64_t rev;

	assert_non_null(t = store_begin(f->s));
	assert_int_equal(store_receipt_put(t, ROOM, 9, 4, 50, 60, &rev), 0);
	assert_int_equal(rev, 1);
	assert_int_equal(store_receipt_put(t, ROOM, 8, 2, 51, 61, &rev), 0);
	assert_int_equal(rev, 2);
	assert_int_equal(store_receipt_put(t, ROOM, 9, 4, 52, 62, &rev), -1);
	assert_int_equal(errno, EALREADY);
	assert_int_equal(store_receipt_put(t, ROOM, 9, 3, 52, 62, &rev), -1);
	assert_int_equal(errno, EALREADY);
	assert_int_equal(store_receipt_put(t, ROOM, 9, 5, 53, 63, &rev), 0);
	assert_int_equal(rev, 3);
	assert_int_equal(store_error(t), 0);
	assert_int_equal(store_commit(&t), 0);

	assert_non_null(t = store_snapshot(f->s));
	assert_int_equal(store_receipt_get(t, ROOM, 9, &r), 0);
	assert_int_equal(r.seq, 5);
	assert_int_equal(r.revision, 3);
	assert_int_equal(r.time_ms, 53);
	assert_int_equal(store_receipt_get(t, ROOM, 7, &r), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(store_receipt_each(t, ROOM, count_receipt, &n), 0);
	assert_int_equal(n, 2);
	assert_int_equal(store_change_each(t, ROOM, 1, collect, &all), 0);
	assert_int_equal(all.n, 2);
	assert_int_equal(all.c[0].user, 8);
	assert_int_equal(all.c[0].seq, 0);
	assert_int_equal(all.c[0].kind, STORE_CHANGE_RECEIPT);
	assert_int_equal(all.c[1].user, 9);
	assert_int_equal(all.c[1].revision, 3);
	store_snapshot_end(&t);
}

/* --- members, streams, bans -------------------------------------------- */

static bool
count_member(const struct store_member *m, void *arg)
{
	++*(unsigned *)arg;
	return true;
}

static void
members_are_put_found_and_deleted(void **state)
{
	struct store_fixture *f = *state;
	struct store_member in = { ROOM, 4, 2, 77, 88 }, out;
	struct store_txn *t;
	unsigned n = 0;

	assert_non_null(t = store_begin(f->s));
	store_member_put(t, &in);
	in.user = 5;
	store_member_put(t, &in);
	in.room = ROOM + 1;
	store_member_put(t, &in);
	assert_int_equal(store_commit(&t), 0);
	assert_non_null(t = store_begin(f->s));
	assert_int_equal(store_member_get(t, ROOM, 4, &out), 0);
	assert_int_equal(out.role, 2);
	assert_int_equal(out.joined_ms, 77);
	assert_int_equal(out.from_seq, 88);
	assert_int_equal(store_member_each(t, ROOM, count_member, &n), 0);
	assert_int_equal(n, 2);
	store_member_del(t, ROOM, 4);
	store_member_del(t, ROOM, 4);
	assert_int_equal(store_member_get(t, ROOM, 4, &out), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(store_error(t), 0);
	in.role = 256;
	store_member_put(t, &in);
	assert_int_equal(store_error(t), EINVAL);
	store_abort(&t);
}

static bool
count_stream(const struct store_stream *st, void *arg)
{
	++*(unsigned *)arg;
	return true;
}

static void
a_stream_keeps_its_text_so_far(void **state)
{
	struct store_fixture *f = *state;
	struct store_stream in = { .room = ROOM,
		.id = text("m1"),
		.user = 6,
		.next = 3,
		.time_ms = 99,
		.text = text("so far") };
	struct store_place place = { .len = 0 };
	struct store_stream out;
	struct store_txn *t;
	unsigned n = 0;

	assert_non_null(t = store_begin(f->s));
	store_stream_put(t, &in);
	in.next = 4;
	in.text = text("so far and further");
	store_stream_put(t, &in);
	in.id = text("m2");
	store_stream_put(t, &in);
	assert_int_equal(store_commit(&t), 0);
	assert_non_null(t = store_begin(f->s));
	assert_int_equal(store_stream_get(t, ROOM, text("m1"), &out), 0);
	assert_int_equal(out.next, 4);
	assert_int_equal(out.user, 6);
	assert_int_equal(out.time_ms, 99);
	assert_true(equal(out.text, "so far and further"));
	assert_int_equal(store_stream_walk(t, &place, 9, count_stream, &n), 0);
	assert_true(place.done);
	assert_int_equal(n, 2);
	store_stream_del(t, ROOM, text("m1"));
	assert_int_equal(store_stream_get(t, ROOM, text("m1"), &out), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(store_stream_get(t, ROOM, text(""), &out), -1);
	assert_int_equal(errno, ENOENT);
	in.id = text("");
	store_stream_put(t, &in);
	assert_int_equal(store_error(t), EINVAL);
	store_abort(&t);
}

struct joined {
	char text[64];
	size_t len;
	uint64_t next;
	unsigned n;
};

static bool
join_piece(const struct store_piece *p, void *arg)
{
	struct joined *j = arg;

	memcpy(j->text + j->len, p->text.p, p->text.len);
	j->len += p->text.len;
	j->next = p->next;
	return ++j->n < 3;
}

static void
a_stream_goes_on_in_pieces(void **state)
{
	struct store_fixture *f = *state;
	struct store_stream in = { .room = ROOM,
		.id = text("m1"),
		.user = 6,
		.next = 1,
		.time_ms = 99,
		.text = text("so"),
		.run = 77,
		.begun_ms = 55,
		.user_id = text("bot"),
		.user_name = text("The Bot"),
		.agent = text("agent"),
		.head = text("\"id\":\"m1\",\"content\":\""),
		.tail = text("\",\"type\":\"assistant\"") };
	struct store_piece p = { 1, 2, 2, 100, text(" far") };
	struct store_place place = { .len = 0 };
	struct joined j = { .len = 0 };
	struct store_stream out;
	struct store_txn *t;
	unsigned n = 0;

	assert_non_null(t = store_begin(f->s));
	store_stream_put(t, &in);
	store_piece_put(t, ROOM, in.id, &p);
	p = (struct store_piece){ 2, 6, 3, 101, text(" and") };
	store_piece_put(t, ROOM, in.id, &p);
	p.text = text(" and further");
	p.next = 4;
	store_piece_put(t, ROOM, in.id, &p);
	/* there is a hole before this one */
	p = (struct store_piece){ 3, 20, 9, 101, text("lost") };
	store_piece_put(t, ROOM, in.id, &p);
	in.id = text("m10");
	store_stream_put(t, &in);
	in.id = text("m");
	store_stream_put(t, &in);
	assert_int_equal(store_commit(&t), 0);

	assert_non_null(t = store_begin(f->s));
	assert_int_equal(store_stream_get(t, ROOM, text("m1"), &out), 0);
	assert_int_equal(out.run, 77);
	assert_int_equal(out.begun_ms, 55);
	assert_true(equal(out.user_id, "bot"));
	assert_true(equal(out.user_name, "The Bot"));
	assert_true(equal(out.agent, "agent"));
	assert_true(equal(out.head, "\"id\":\"m1\",\"content\":\""));
	assert_true(equal(out.tail, "\",\"type\":\"assistant\""));
	assert_true(equal(out.text, "so"));
	assert_int_equal(store_piece_each(t, &out, join_piece, &j), 0);
	assert_int_equal(j.n, 2);
	assert_int_equal(j.next, 4);
	assert_int_equal(j.len, 16);
	assert_memory_equal(j.text, " far and further", 16);
	/* the walk is by streams, however many at a time */
	while (!place.done)
		assert_int_equal(store_stream_walk(t, &place, 1, count_stream,
				     &n),
		    0);
	assert_int_equal(n, 3);
	assert_true(store_stream_del(t, ROOM, text("m1")));
	assert_false(store_stream_del(t, ROOM, text("m1")));
	/* a piece behind a hole goes with it, and nobody else's */
	p.no = 7;
	store_piece_put(t, ROOM, text("m1"), &p);
	store_piece_put(t, ROOM, text("m10"), &p);
	assert_true(store_stream_del(t, ROOM, text("m1")));
	assert_false(store_stream_del(t, ROOM, text("m1")));
	assert_true(store_stream_del(t, ROOM, text("m10")));
	assert_false(store_stream_del(t, ROOM, text("m10")));
	in.id = text("m10");
	store_stream_put(t, &in);
	assert_int_equal(store_stream_get(t, ROOM, text("m"), &out), 0);
	assert_int_equal(store_stream_get(t, ROOM, text("m10"), &out), 0);
	j.n = 0;
	assert_int_equal(store_piece_each(t, &out, join_piece, &j), 0);
	assert_int_equal(j.n, 0);
	p.no = 0;
	store_piece_put(t, ROOM, text("m"), &p);
	assert_int_equal(store_error(t), EINVAL);
	store_abort(&t);
}

static bool
count_ban(const struct store_ban *ban, void *arg)
{
	++*(unsigned *)arg;
	return true;
}

static void
bans_are_put_found_and_deleted(void **state)
{
	struct store_fixture *f = *state;
	struct store_ban in = { 1, text("eve"), UINT64_MAX, 7, 8, text("spam"),
		text("root") };
	struct store_place place = { .len = 0 };
	struct store_ban out;
	struct store_txn *t;
	unsigned n = 0;

	assert_non_null(t = store_begin(f->s));
	store_ban_put(t, &in);
	in.kind = 2;
	in.until_ms = 5;
	store_ban_put(t, &in);
	assert_int_equal(store_ban_get(t, 1, text("eve"), &out), 0);
	assert_int_equal(out.until_ms, UINT64_MAX);
	assert_int_equal(out.since_ms, 7);
	assert_int_equal(out.gseq, 8);
	assert_true(equal(out.reason, "spam"));
	assert_true(equal(out.by, "root"));
	assert_int_equal(store_ban_get(t, 2, text("eve"), &out), 0);
	assert_int_equal(out.until_ms, 5);
	assert_int_equal(store_ban_walk(t, &place, 1, count_ban, &n), 0);
	assert_int_equal(n, 1);
	assert_false(place.done);
	assert_int_equal(store_ban_walk(t, &place, 1, count_ban, &n), 0);
	assert_int_equal(n, 2);
	assert_true(store_ban_del(t, 1, text("eve")));
	assert_false(store_ban_del(t, 1, text("eve")));
	assert_int_equal(store_ban_get(t, 1, text("eve"), &out), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(store_ban_get(t, 2, text("eve"), &out), 0);
	assert_int_equal(store_commit(&t), 0);
}

static void
bans_that_have_ended_are_swept(void **state)
{
	struct store_fixture *f = *state;
	struct store_ban in = { 1, text(""), 0, 7, 8, text(""), text("") };
	struct store_place place = { .len = 0 }, all = { .len = 0 };
	unsigned i, removed = 0, n = 0, turns = 0, left = 0;
	struct store_txn *t;
	char id[16];

	assert_non_null(t = store_begin(f->s));
	for (i = 0; i < 3 * STORE_BAN_SWEEP; i++) {
		snprintf(id, sizeof(id), "u%04u", i);
		in.id = text(id);
		in.until_ms = i % 3 == 0 ? UINT64_MAX
		    : i % 3 == 1	 ? 1000
					 : 1001;
		store_ban_put(t, &in);
	}
	for (; !place.done; turns++) {
		assert_int_equal(store_ban_sweep(t, &place, 1000, &n), 0);
		removed += n;
	}
	assert_true(turns >= 3);
	assert_int_equal(removed, STORE_BAN_SWEEP);
	assert_int_equal(store_ban_walk(t, &all, 1000, count_ban, &left), 0);
	assert_int_equal(left, 2 * STORE_BAN_SWEEP);
	assert_int_equal(store_commit(&t), 0);
}

static void
what_is_no_key_is_no_ban(void **state)
{
	struct store_fixture *f = *state;
	struct store_ban in = { 0, text("eve"), 1, 2, 3, text(""), text("") };
	struct store_ban out;
	struct store_txn *t;

	assert_non_null(t = store_begin(f->s));
	assert_int_equal(store_ban_get(t, 1, text(""), &out), -1);
	assert_int_equal(errno, ENOENT);
	assert_false(store_ban_del(t, 1, text("")));
	store_ban_put(t, &in);
	assert_int_equal(store_error(t), EINVAL);
	store_abort(&t);
}

/* --- known ids --------------------------------------------------------- */

static void
put_id(struct store_txn *t, uint64_t room, uint64_t hash, uint64_t seq,
    const char *id)
{
	struct store_dedupe d = { room, hash, seq, 100 + seq, 3, text(id) };

	store_dedupe_put(t, &d);
}

static void
an_id_is_found_whole_and_the_newest_first(void **state)
{
	struct store_fixture *f = *state;
	struct store_dedupe d;
	struct store_merged m;
	struct store_txn *t;

	assert_non_null(t = store_begin(f->s));
	assert_int_equal(store_merged_get(t, ROOM, &m), -1);
	assert_int_equal(errno, ENOENT);
	put_id(t, ROOM, 7, 1, "a");
	put_id(t, ROOM, 7, 1, "a");
	put_id(t, ROOM, 7, 2, "b");
	put_id(t, ROOM, 7, 3, "a");
	put_id(t, ROOM, 8, 4, "c");
	put_id(t, ROOM + 1, 7, 5, "d");
	m.room = ROOM;
	m.seq = 4;
	m.gseq = 40;
	m.count = 4;
	store_merged_put(t, &m);
	assert_int_equal(store_commit(&t), 0);

	assert_non_null(t = store_snapshot(f->s));
	assert_int_equal(store_dedupe_find(t, ROOM, 7, text("a"), &d), 0);
	assert_int_equal(d.seq, 3);
	assert_int_equal(d.time_ms, 103);
	assert_int_equal(d.user, 3);
	assert_int_equal(store_dedupe_find(t, ROOM, 7, text("b"), &d), 0);
	assert_int_equal(d.seq, 2);
	assert_int_equal(store_dedupe_find(t, ROOM, 7, text("c"), &d), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(store_dedupe_find(t, ROOM, 7, text("d"), &d), -1);
	assert_int_equal(store_dedupe_find(t, ROOM, 9, text("a"), &d), -1);
	memset(&m, 0, sizeof(m));
	assert_int_equal(store_merged_get(t, ROOM, &m), 0);
	assert_int_equal(m.seq, 4);
	assert_int_equal(m.gseq, 40);
	assert_int_equal(m.count, 4);
	store_snapshot_end(&t);
	assert_int_equal(store_bad_values(f->s), 0);
}

static void
a_sweep_takes_what_is_over_and_counts_it(void **state)
{
	struct store_fixture *f = *state;
	struct store_place place = { .len = 0 };
	struct store_merged m = { ROOM, 20, 200, 20 };
	unsigned removed = 0, total = 0, turns = 0;
	struct store_dedupe d;
	struct store_txn *t;
	uint64_t i;
	char id[16];

	assert_non_null(t = store_begin(f->s));
	for (i = 1; i <= 20; i++) {
		snprintf(id, sizeof(id), "id%llu", (unsigned long long)i);
		put_id(t, ROOM, i * 77 % 13, i, id);
	}
	store_merged_put(t, &m);
	m.room = ROOM + 1;
	store_merged_put(t, &m);
	assert_int_equal(store_commit(&t), 0);
	while (!place.done) {
		assert_true(++turns < 30);
		assert_non_null(t = store_begin(f->s));
		assert_int_equal(store_dedupe_sweep(t, &place, 3, 111,
				     &removed),
		    0);
		total += removed;
		assert_int_equal(store_commit(&t), 0);
	}
	/* 101 to 110 are before 111 */
	assert_int_equal(total, 10);
	assert_true(turns >= 7);
	assert_non_null(t = store_snapshot(f->s));
	for (i = 1; i <= 20; i++) {
		snprintf(id, sizeof(id), "id%llu", (unsigned long long)i);
		assert_int_equal(store_dedupe_find(t, ROOM, i * 77 % 13,
				     text(id), &d),
		    i <= 10 ? -1 : 0);
	}
	assert_int_equal(store_merged_get(t, ROOM, &m), 0);
	assert_int_equal(m.count, 10);
	assert_int_equal(m.seq, 20);
	assert_int_equal(store_merged_get(t, ROOM + 1, &m), 0);
	assert_int_equal(m.count, 20);
	store_snapshot_end(&t);
}

/* --- rooms ------------------------------------------------------------- */

static bool
see_room(const struct store_room *room, void *arg)
{
	uint64_t *last = arg;

	assert_int_equal(room->room, *last + 1);
	*last = room->room;
	return true;
}

static void
a_walk_through_the_rooms_meets_each_once(void **state)
{
	struct store_fixture *f = *state;
	struct store_place place = { .len = 0 };
	struct store_txn *t;
	uint64_t i, last = 0;
	unsigned turns = 0;
	char name[16];

	assert_non_null(t = store_begin(f->s));
	for (i = 1; i <= 20; i++) {
		struct store_room room = { .room = i,
			.workspace = text("w"),
			.session = { name, 0 } };

		snprintf(name, sizeof(name), "s%llu", (unsigned long long)i);
		room.session.len = strlen(name);
		store_room_add(t, &room);
	}
	assert_int_equal(store_commit(&t), 0);
	while (!place.done) {
		assert_true(++turns < 10);
		assert_non_null(t = store_snapshot(f->s));
		assert_int_equal(store_room_walk(t, &place, 7, see_room, &last),
		    0);
		store_snapshot_end(&t);
	}
	assert_int_equal(last, 20);
	assert_int_equal(turns, 3);
	assert_int_equal(store_bad_values(f->s), 0);
}

int
main(void)
{
#define T(name) \
	cmocka_unit_test_setup_teardown(name, store_fixture_setup, \
	    store_fixture_teardown)
	const struct CMUnitTest tests[] = {
		T(an_edit_replaces_the_body_and_nothing_else),
		T(a_deletion_leaves_who_when_and_the_id),
		T(each_message_has_one_change_under_its_newest_revision),
		T(a_receipt_only_goes_up),
		T(members_are_put_found_and_deleted),
		T(a_stream_keeps_its_text_so_far),
		T(a_stream_goes_on_in_pieces),
		T(bans_are_put_found_and_deleted),
		T(bans_that_have_ended_are_swept),
		T(what_is_no_key_is_no_ban),
		T(an_id_is_found_whole_and_the_newest_first),
		T(a_sweep_takes_what_is_over_and_counts_it),
		T(a_walk_through_the_rooms_meets_each_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
