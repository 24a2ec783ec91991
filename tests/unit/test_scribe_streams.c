/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_scribe_streams - what runs is in the store soon, what has ended is not,
 * and nobody waits for it.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "scribe/streams.h"
#include "tests/unit/scribe_fixture.h"
#include "tests/unit/stream_fixture.h"
#include "tests/unit/tables_fixture.h"

#define A 11
#define S CLOCK_S_NS
#define MS CLOCK_MS_NS
#define NOW_MS 1700000005000
#define PIECE 1800

struct world {
	struct scribe_fixture *f;
	struct tables *t;
	struct streams_store *ss;
	/* of the session that is joined, and who did */
	uint64_t room, user;
	/* "now" */
	uint64_t ns;
};

static void
new_scribe(struct world *w)
{
	streams_store_free(&w->ss);
	w->ss = streams_store_new(w->t, w->f->st.s);
	assert_non_null(w->ss);
	commit_set_rider(w->f->c, streams_store_ride, streams_store_rode,
	    w->ss);
}

static int
setup(void **state)
{
	static struct world w;
	struct ring_index ix;
	uint64_t gseq;

	memset(&w, 0, sizeof(w));
	if (small_tables_setup((void **)&w.t) == -1 ||
	    fix_setup((void **)&w.f) == -1)
		return -1;
	stream_worker(w.t, 0, A, TABLES_CHILD_READY);
	new_scribe(&w);
	gseq = fix_join(w.f, "w", "s", "bot", "sock");
	(void)fix_turns(w.f);
	ix = fix_index(w.f, gseq);
	w.room = ix.room;
	w.user = ix.user;
	w.ns = clock_mono_ns();
	*state = &w;
	return 0;
}

static int
teardown(void **state)
{
	struct world *w = *state;
	void *f = w->f;
	int rc;

	streams_store_free(&w->ss);
	tables_free(&w->t);
	rc = fix_teardown(&f);
	return rc;
}

/* --- a world ---------------------------------------------------------------- */

static struct stream_ref
begun(struct world *w, const char *id)
{
	struct stream_new n = stream_described(w->room, id);
	struct stream_ref r;

	n.max_text = STREAM_MAX_TEXT;
	n.user = w->user;
	assert_int_equal(stream_begin(w->t, A, &n, w->ns, &r), 0);
	return r;
}

/* 'len' more bytes of the text of stream 'which'. */
static void
grow(struct world *w, const struct stream_ref *r, uint64_t which, size_t len)
{
	static char buf[STREAM_MAX_TEXT];
	struct stream_progress p;

	assert_int_equal(stream_progress(w->t, r, &p), 0);
	stream_fill(which, p.bytes, buf, len);
	assert_int_equal(stream_append(w->t, r, buf, len, w->ns, NULL), 0);
}

/* The scribe has nothing else to do for so long. */
static void
pass(struct world *w, uint64_t ns)
{
	uint64_t end = w->ns + ns, next;

	for (;;) {
		assert_int_equal(streams_store_turn(w->ss, w->ns, NOW_MS), 0);
		next = streams_store_next(w->ss, w->ns);
		assert_true(next > w->ns);
		if (next > end)
			break;
		w->ns = next;
	}
	w->ns = end;
}

static uint64_t
last_txn(struct world *w)
{
	struct store_stat st;

	assert_int_equal(store_stat(w->f->st.s, &st), 0);
	return st.last_txn;
}

struct found {
	struct store_stream st;
	struct store_piece last;
	unsigned pieces;
	size_t len;
	char text[STREAM_MAX_TEXT];
	char tail[64];
};

static bool
join_piece(const struct store_piece *p, void *arg)
{
	struct found *x = arg;

	memcpy(x->text + x->len, p->text.p, p->text.len);
	x->len += p->text.len;
	x->last = *p;
	x->pieces++;
	return true;
}

/* Is this stream in the store? */
static bool
is_stored(struct world *w, const char *id, struct found *x)
{
	struct store_txn *t = store_snapshot(w->f->st.s);
	bool there;

	assert_non_null(t);
	x->len = 0;
	x->pieces = 0;
	there = store_stream_get(t, w->room, text(id), &x->st) == 0;
	if (there) {
		assert_int_equal(store_piece_each(t, &x->st, join_piece, x), 0);
		assert_true(x->st.tail.len < sizeof(x->tail));
		memcpy(x->tail, x->st.tail.p, x->st.tail.len);
		x->tail[x->st.tail.len] = '\0';
		assert_memory_equal(x->st.user_id.p, "auth0|bot", 9);
		assert_memory_equal(x->st.head.p, "\"id\":\"m\"", 8);
	}
	store_snapshot_end(&t);
	return there;
}

static bool
count_one(const struct store_stream *st, void *arg)
{
	++*(unsigned *)arg;
	return true;
}

static unsigned
stored_streams(struct world *w)
{
	struct store_place place = { .len = 0 };
	struct store_txn *t = store_snapshot(w->f->st.s);
	unsigned n = 0;

	assert_non_null(t);
	while (!place.done)
		assert_int_equal(store_stream_walk(t, &place, 100, count_one,
				     &n),
		    0);
	store_snapshot_end(&t);
	return n;
}

/* Rows of the table, whatever they are. */
static uint64_t
stored_rows(struct world *w)
{
	struct store_stat st;
	unsigned i;

	assert_int_equal(store_stat(w->f->st.s, &st), 0);
	for (i = 0; i < STORE_TABLES; i++)
		if (strcmp(st.table[i].name, "stream") == 0)
			return st.table[i].entries;
	return UINT64_MAX;
}

static struct found x;

/* --- promises ----------------------------------------------------------------- */

static void
a_text_is_in_the_store_within_two_seconds(void **state)
{
	struct world *w = *state;
	struct stream_ref r = begun(w, "m1");

	grow(w, &r, 1, 100);
	pass(w, 2 * S);
	assert_true(is_stored(w, "m1", &x));
	assert_int_equal(x.st.user, w->user);
	assert_int_equal(x.st.run, FIX_BASE);
	assert_int_equal(x.st.begun_ms, 1700000000000);
	assert_int_equal(x.len, 100);
	assert_true(stream_is_text(1, 0, x.text, 100));
	assert_int_equal(x.last.next, 1);
	assert_int_equal(x.pieces, 1);
	assert_string_equal(x.tail, "\",\"type\":\"assistant\"");
	/* a text that has not begun need not be found */
	r = begun(w, "m2");
	pass(w, 2 * S);
	assert_false(is_stored(w, "m2", &x));
}

static void
nothing_is_written_when_nothing_has_changed(void **state)
{
	struct world *w = *state;
	struct stream_ref r = begun(w, "m1");
	uint64_t txn, puts;

	grow(w, &r, 1, 100);
	pass(w, 2 * S);
	txn = last_txn(w);
	puts = streams_store_puts(w->ss);
	assert_int_equal(puts, 2);
	pass(w, 10 * S);
	assert_int_equal(last_txn(w), txn);
	assert_int_equal(streams_store_puts(w->ss), puts);
	/* one commit a second, however fast it grows */
	for (unsigned i = 0; i < 50; i++) {
		grow(w, &r, 1, 10);
		pass(w, S / 10);
	}
	assert_in_range(last_txn(w) - txn, 4, 6);
}

static void
a_text_grows_by_pieces(void **state)
{
	struct world *w = *state;
	struct stream_ref r = begun(w, "m1");
	size_t len = 0;
	unsigned i;

	for (i = 0; i < 20; i++) {
		grow(w, &r, 7, 500);
		len += 500;
		pass(w, 2 * S);
		assert_true(is_stored(w, "m1", &x));
		assert_int_equal(x.len, len);
		assert_true(stream_is_text(7, 0, x.text, len));
		/* none is smaller than it has to be, but for the last one */
		assert_int_equal(x.pieces, (len + 1999) / 2000);
	}
	grow(w, &r, 7, STREAM_MAX_TEXT - len);
	pass(w, 2 * S);
	assert_true(is_stored(w, "m1", &x));
	assert_int_equal(x.len, STREAM_MAX_TEXT);
	assert_true(stream_is_text(7, 0, x.text, STREAM_MAX_TEXT));
	assert_int_equal(x.pieces, 6);
	assert_int_equal(stream_end(w->t, &r), 0);
	pass(w, 2 * S);
	assert_false(is_stored(w, "m1", &x));
	assert_int_equal(x.pieces, 0);
}

static void
a_later_tail_is_stored(void **state)
{
	struct world *w = *state;
	struct stream_ref r = begun(w, "m1");

	grow(w, &r, 1, 3000);
	pass(w, 2 * S);
	assert_int_equal(stream_set_tail(w->t, &r, "\",\"new\":1", 9), 0);
	pass(w, 2 * S);
	assert_true(is_stored(w, "m1", &x));
	assert_string_equal(x.tail, "\",\"new\":1");
	assert_int_equal(x.len, 3000);
	assert_true(stream_is_text(1, 0, x.text, 3000));
}

static void
batches_take_it_along(void **state)
{
	struct world *w = *state;
	struct stream_ref r = begun(w, "m1");
	uint64_t txn;

	grow(w, &r, 1, 100);
	assert_int_equal(streams_store_turn(w->ss, w->ns, NOW_MS), 0);
	assert_false(is_stored(w, "m1", &x));
	(void)fix_message(w->f, w->room, w->user, "other", 0);
	(void)fix_turns(w->f);
	assert_true(is_stored(w, "m1", &x));
	txn = last_txn(w);
	pass(w, S / 2);
	assert_int_equal(last_txn(w), txn);
}

static void
what_is_gone_is_deleted(void **state)
{
	struct world *w = *state;
	struct stream_ref r = begun(w, "m1"), s = begun(w, "m2");

	grow(w, &r, 1, 5000);
	grow(w, &s, 2, 100);
	pass(w, 2 * S);
	assert_int_equal(stored_streams(w), 2);
	assert_int_equal(stream_end(w->t, &r), 0);
	/* another one in its row */
	r = begun(w, "m3");
	grow(w, &r, 3, 100);
	pass(w, 2 * S);
	assert_false(is_stored(w, "m1", &x));
	assert_true(is_stored(w, "m2", &x));
	assert_true(is_stored(w, "m3", &x));
	assert_true(stream_is_text(3, 0, x.text, 100));
	/* the same id again: what is stored is the new one's */
	assert_int_equal(stream_end(w->t, &s), 0);
	s = begun(w, "m2");
	grow(w, &s, 9, 50);
	pass(w, 2 * S);
	assert_true(is_stored(w, "m2", &x));
	assert_int_equal(x.len, 50);
	assert_true(stream_is_text(9, 0, x.text, 50));
	/* nobody owns it, but it may be taken up again */
	assert_int_equal(stream_detach(w->t, &s, w->ns + 100 * S), 0);
	pass(w, 2 * S);
	assert_true(is_stored(w, "m2", &x));
}

static void
the_message_takes_its_row_away(void **state)
{
	struct world *w = *state;
	struct stream_ref r[4];
	static const char *const id[] = { "m0", "m1", "m2", "m3" };
	uint64_t gseq, i;

	for (i = 0; i < 4; i++) {
		r[i] = begun(w, id[i]);
		grow(w, &r[i], i, 4000);
	}
	pass(w, 2 * S);
	assert_int_equal(stored_streams(w), 4);
	gseq = fix_message(w->f, w->room, w->user, "m0", RECORD_F_STREAM);
	(void)fix_turns(w->f);
	assert_int_equal(fix_index(w->f, gseq).verdict, RING_STORED);
	assert_false(is_stored(w, "m0", &x));
	/* any other message has nothing to do with it */
	gseq = fix_message(w->f, w->room, w->user, "m1", 0);
	(void)fix_turns(w->f);
	assert_int_equal(fix_index(w->f, gseq).verdict, RING_STORED);
	assert_true(is_stored(w, "m1", &x));
	gseq = fix_message(w->f, w->room, w->user, "m1", RECORD_F_STREAM);
	(void)fix_turns(w->f);
	assert_int_equal(fix_index(w->f, gseq).verdict, RING_DUPLICATE);
	assert_false(is_stored(w, "m1", &x));
	/* a text that is not to be stored at all */
	gseq = fix_message(w->f, w->room, w->user, "m2",
	    RECORD_F_STREAM | RECORD_F_ONLY_DUPLICATE);
	(void)fix_turns(w->f);
	assert_int_equal(fix_index(w->f, gseq).verdict, RING_REJECTED);
	assert_false(is_stored(w, "m2", &x));
	/* what is not stored now will come again */
	sequence_set_full(w->f->q, true);
	gseq = fix_message(w->f, w->room, w->user, "m3", RECORD_F_STREAM);
	(void)fix_turns(w->f);
	assert_int_equal(fix_index(w->f, gseq).verdict, RING_STORE_UNAVAILABLE);
	assert_true(is_stored(w, "m3", &x));
	for (i = 0; i < 4; i++)
		assert_int_equal(stream_end(w->t, &r[i]), 0);
	pass(w, 2 * S);
	assert_int_equal(stored_streams(w), 0);
}

/* Its last chunks and its message come between two looks. */
static void
nothing_is_written_behind_the_message(void **state)
{
	struct world *w = *state;
	struct stream_ref r = begun(w, "m1");
	unsigned i;

	for (i = 0; i < 2; i++) {
		grow(w, &r, 1, 5000);
		pass(w, 2 * S);
	}
	grow(w, &r, 1, 5000);
	w->ns = streams_store_next(w->ss, w->ns);
	assert_int_equal(streams_store_turn(w->ss, w->ns, NOW_MS), 0);
	(void)fix_message(w->f, w->room, w->user, "m1", RECORD_F_STREAM);
	(void)fix_turns(w->f);
	assert_int_equal(stored_rows(w), 0);
	pass(w, 2 * S);
	grow(w, &r, 1, 5000);
	pass(w, 2 * S);
	assert_int_equal(stored_rows(w), 0);
	assert_int_equal(stream_end(w->t, &r), 0);
	pass(w, 2 * S);
	assert_int_equal(stored_rows(w), 0);
}

static void
a_batch_takes_no_more_than_it_should(void **state)
{
	struct world *w = *state;
	struct stream_ref r;
	char id[24];
	unsigned i;

	for (i = 0; i < 700; i++) {
		(void)snprintf(id, sizeof(id), "m%u", i);
		r = begun(w, id);
		grow(w, &r, i, 100 + i);
	}
	assert_int_equal(streams_store_turn(w->ss, w->ns, NOW_MS), 0);
	(void)fix_message(w->f, w->room, w->user, "a", 0);
	(void)fix_turns(w->f);
	assert_int_equal(stored_streams(w), 64);
	(void)fix_message(w->f, w->room, w->user, "b", 0);
	(void)fix_turns(w->f);
	assert_int_equal(stored_streams(w), 128);
	w->ns += S / 5;
	assert_int_equal(streams_store_turn(w->ss, w->ns, NOW_MS), 0);
	assert_int_equal(stored_streams(w), 128 + 256);
	pass(w, 4 * S);
	assert_int_equal(stored_streams(w), 700);
	for (i = 0; i < 700; i++) {
		(void)snprintf(id, sizeof(id), "m%u", i);
		assert_true(is_stored(w, id, &x));
		assert_int_equal(x.len, 100 + i);
		assert_true(stream_is_text(i, 0, x.text, x.len));
	}
}

static void
large_texts_are_spread_over_batches(void **state)
{
	struct world *w = *state;
	struct stream_ref r;
	char id[24];
	unsigned i;

	for (i = 0; i < 10; i++) {
		(void)snprintf(id, sizeof(id), "m%u", i);
		r = begun(w, id);
		grow(w, &r, i, 100 << 10);
	}
	assert_int_equal(streams_store_turn(w->ss, w->ns, NOW_MS), 0);
	(void)fix_message(w->f, w->room, w->user, "a", 0);
	(void)fix_turns(w->f);
	assert_int_equal(stored_streams(w), 2);
}

/* A successor knows nothing but the store and the table. */
static void
a_new_scribe_puts_it_in_order(void **state)
{
	struct world *w = *state;
	struct stream_ref stays = begun(w, "stays"), grows = begun(w, "grows");
	struct stream_ref ends = begun(w, "ends");
	struct store_stream old = { .room = w->room,
		.id = text("old"),
		.user = w->user,
		.run = FIX_BASE - 4096,
		.user_id = text("auth0|bot"),
		.head = text("\"id\":\"m\""),
		.text = text("of a former run") };
	struct store_txn *t;

	grow(w, &stays, 1, 6000);
	grow(w, &grows, 2, 100);
	grow(w, &ends, 3, 100);
	pass(w, 2 * S);
	grow(w, &stays, 1, 2000);
	pass(w, 2 * S);
	assert_non_null(t = store_begin(w->f->st.s));
	store_stream_put(t, &old);
	assert_int_equal(store_commit(&t), 0);
	assert_int_equal(stored_streams(w), 4);

	assert_int_equal(stream_end(w->t, &ends), 0);
	grow(w, &grows, 2, 100);
	new_scribe(w);
	pass(w, 2 * S);
	assert_int_equal(stored_streams(w), 3);
	assert_false(is_stored(w, "ends", &x));
	assert_true(is_stored(w, "old", &x));
	assert_true(is_stored(w, "stays", &x));
	assert_int_equal(x.len, 8000);
	assert_true(stream_is_text(1, 0, x.text, 8000));
	assert_true(is_stored(w, "grows", &x));
	assert_int_equal(x.len, 200);
	assert_true(stream_is_text(2, 0, x.text, 200));
	assert_int_equal(stream_end(w->t, &stays), 0);
	assert_int_equal(stream_end(w->t, &grows), 0);
	pass(w, 2 * S);
	assert_int_equal(stored_streams(w), 1);
}

/* What a batch took along was lost with it. */
static void
what_was_not_committed_is_written_again(void **state)
{
	struct world *w = *state;
	struct stream_ref r = begun(w, "m1"), gone = begun(w, "m2");
	struct store_txn *t;
	unsigned i;

	grow(w, &gone, 2, 100);
	pass(w, 2 * S);
	grow(w, &r, 1, 100);
	assert_int_equal(stream_end(w->t, &gone), 0);
	w->ns = streams_store_next(w->ss, w->ns);
	assert_int_equal(streams_store_turn(w->ss, w->ns, NOW_MS), 0);
	for (i = 0; i < 2; i++) {
		assert_non_null(t = store_begin(w->f->st.s));
		streams_store_ride(w->ss, t);
		store_abort(&t);
		streams_store_rode(w->ss, false);
	}
	assert_false(is_stored(w, "m1", &x));
	assert_true(is_stored(w, "m2", &x));
	/* not at once: the disk is not well */
	w->ns = clock_mono_ns();
	pass(w, 5 * S);
	assert_false(is_stored(w, "m1", &x));
	pass(w, 10 * S);
	assert_true(is_stored(w, "m1", &x));
	assert_int_equal(x.len, 100);
	assert_true(stream_is_text(1, 0, x.text, 100));
	assert_false(is_stored(w, "m2", &x));
}

/* A rider that writes what cannot be written spoils nobody else's batch. */
struct spoiler {
	unsigned rides, refusals;
};

static void
spoil(void *arg, struct store_txn *t)
{
	struct spoiler *s = arg;

	if (s->rides++ == 0)
		store_stream_put(t, &(struct store_stream){ .room = 1 });
}

static void
spoiled(void *arg, bool committed)
{
	struct spoiler *s = arg;

	s->refusals += !committed;
}

static void
a_batch_goes_on_without_a_rider_that_fails(void **state)
{
	struct world *w = *state;
	struct spoiler s = { .rides = 0 };
	uint64_t gseq;

	commit_set_rider(w->f->c, spoil, spoiled, &s);
	gseq = fix_message(w->f, w->room, w->user, "m1", 0);
	(void)fix_turns(w->f);
	assert_int_equal(fix_index(w->f, gseq).verdict, RING_STORED);
	assert_int_equal(s.rides, 2);
	assert_int_equal(s.refusals, 1);
	assert_int_equal(commit_failures(w->f->c), 0);
	commit_set_rider(w->f->c, NULL, NULL, NULL);
}

static void
at_the_end_all_of_it_is_written(void **state)
{
	struct world *w = *state;
	struct stream_ref r;
	char id[24];
	unsigned i;

	for (i = 0; i < 700; i++) {
		(void)snprintf(id, sizeof(id), "m%u", i);
		r = begun(w, id);
		grow(w, &r, i, 2000);
	}
	streams_store_stop(w->ss, w->ns, NOW_MS);
	assert_int_equal(stored_streams(w), 700);
}

#undef T
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_text_is_in_the_store_within_two_seconds),
		T(nothing_is_written_when_nothing_has_changed),
		T(a_text_grows_by_pieces),
		T(a_later_tail_is_stored),
		T(batches_take_it_along),
		T(what_is_gone_is_deleted),
		T(the_message_takes_its_row_away),
		T(nothing_is_written_behind_the_message),
		T(a_batch_takes_no_more_than_it_should),
		T(large_texts_are_spread_over_batches),
		T(a_new_scribe_puts_it_in_order),
		T(what_was_not_committed_is_written_again),
		T(a_batch_goes_on_without_a_rider_that_fails),
		T(at_the_end_all_of_it_is_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
