/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_reader_streams - what a former run has left is read piece by piece.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/store_fixture.h"
#include "tests/unit/stream_fixture.h"
#include "worker/reader.h"

#define RUN 8192
#define FORMER 4096

struct world {
	struct store_fixture f;
	struct store_reader *r;
};

static int
setup(void **state)
{
	static struct world w;

	memset(&w, 0, sizeof(w));
	*state = &w;
	if (store_fixture_open(&w.f) == -1 ||
	    (w.r = store_reader_new(w.f.s)) == NULL)
		return -1;
	return 0;
}

static int
teardown(void **state)
{
	struct world *w = *state;

	store_reader_free(&w->r);
	return store_fixture_close(&w->f);
}

/* A stream with 'len' bytes of text, in pieces of 1,000. */
static void
put(struct store_txn *t, uint64_t room, const char *id, uint64_t run,
    size_t len)
{
	struct store_stream st = { .room = room,
		.id = text(id),
		.user = 5,
		.next = 1,
		.time_ms = 1000,
		.run = run,
		.begun_ms = 900,
		.user_id = text("bot"),
		.user_name = text("The Bot"),
		.agent = text("agent"),
		.head = text("head "),
		.tail = text(" tail") };
	struct store_piece p = { .no = 0 };
	static char buf[1000];

	store_stream_put(t, &st);
	for (; p.start < len; p.start += p.text.len) {
		p.text.p = buf;
		p.text.len = len - p.start < 1000 ? len - p.start : 1000;
		stream_fill(room, p.start, buf, p.text.len);
		p.no++;
		p.next = p.no + 1;
		p.time_ms = 1000 + p.no;
		store_piece_put(t, room, st.id, &p);
	}
}

static void
ask(struct world *w, struct read_query *q, struct read_answer *a)
{
	memset(a, 0, sizeof(*a));
	q->kind = READ_STREAMS;
	q->from = RUN;
	reader_read(w->r, q, a);
	assert_int_equal(a->error, 0);
}

static void
row_is(const struct read_answer *a, size_t *at, uint64_t room, const char *id,
    size_t len)
{
	struct read_row row;

	assert_true(reader_row(a, at, &row));
	assert_int_equal(row.n[0], room);
	assert_int_equal(row.n[1], 5);
	assert_int_equal(row.n[2], len == 0 ? 1 : (len + 999) / 1000 + 1);
	assert_int_equal(row.n[3], 1000 + (len + 999) / 1000);
	assert_int_equal(row.n[4], 900);
	assert_int_equal(row.text[0].len, strlen(id));
	assert_memory_equal(row.text[0].p, id, strlen(id));
	assert_memory_equal(row.text[1].p, "bot", 3);
	assert_memory_equal(row.text[2].p, "The Bot", 7);
	assert_memory_equal(row.text[3].p, "agent", 5);
	assert_true(reader_row(a, at, &row));
	assert_memory_equal(row.text[0].p, "head ", 5);
	assert_int_equal(row.text[1].len, len);
	assert_true(stream_is_text(room, 0, row.text[1].p, len));
	assert_memory_equal(row.text[2].p, " tail", 5);
}

static void
end_is(const struct read_answer *a, size_t *at, struct read_row *end)
{
	assert_true(reader_row(a, at, end));
	assert_int_equal(end->n[0], 0);
	assert_false(reader_row(a, at, &(struct read_row){ .n = { 0 } }));
}

static void
fill(struct world *w)
{
	struct store_txn *t = store_begin(w->f.s);

	assert_non_null(t);
	put(t, 3, "a", FORMER, 12345);
	put(t, 3, "b", RUN, 5000);
	put(t, 3, "c", FORMER, 0);
	put(t, 4, "a", FORMER, 999);
	assert_int_equal(store_commit(&t), 0);
}

static void
only_those_of_former_runs_are_read(void **state)
{
	struct world *w = *state;
	struct read_query q = { .count = 100, .bytes = 1 << 20 };
	struct read_answer a;
	struct read_row end;
	size_t at = 0;

	fill(w);
	ask(w, &q, &a);
	assert_false(a.more);
	row_is(&a, &at, 3, "a", 12345);
	row_is(&a, &at, 3, "c", 0);
	row_is(&a, &at, 4, "a", 999);
	end_is(&a, &at, &end);
	free(a.bytes);
}

static void
they_come_a_few_at_a_time(void **state)
{
	static const struct {
		uint64_t count;
		size_t bytes;
	} bounds[] = { { 1, 1 << 20 }, { 100, 10 } };
	struct world *w = *state;
	char place[512];
	struct read_answer a;
	struct read_query q;
	struct read_row end;
	size_t at, i;

	fill(w);
	for (i = 0; i < 2; i++) {
		q = (struct read_query){ .count = bounds[i].count,
			.bytes = bounds[i].bytes };
		ask(w, &q, &a);
		at = 0;
		assert_true(a.more);
		row_is(&a, &at, 3, "a", 12345);
		end_is(&a, &at, &end);
		memcpy(place, end.text[0].p, end.text[0].len);
		q.text = (struct store_text){ place, end.text[0].len };
		free(a.bytes);
		ask(w, &q, &a);
		at = 0;
		row_is(&a, &at, 3, "c", 0);
		/* one without any text counts as none */
		if (i == 1)
			row_is(&a, &at, 4, "a", 999);
		end_is(&a, &at, &end);
		free(a.bytes);
	}
	q.text = (struct store_text){ place, sizeof(place) };
	reader_read(w->r, &q, &a);
	assert_int_equal(a.error, EINVAL);
}

/* However many others there are before it. */
static void
there_may_be_nothing_in_a_piece(void **state)
{
	struct world *w = *state;
	struct store_txn *t = store_begin(w->f.s);
	struct read_query q = { .count = 1, .bytes = 1 };
	char place[512], id[24];
	struct read_answer a;
	struct read_row end;
	unsigned i, asked = 0;
	size_t at;

	for (i = 0; i < 1000; i++) {
		(void)snprintf(id, sizeof(id), "m%u", i);
		put(t, 7, id, RUN, 10);
	}
	put(t, 9, "last", FORMER, 10);
	assert_int_equal(store_commit(&t), 0);
	for (;;) {
		ask(w, &q, &a);
		asked++;
		at = 0;
		if (a.nrows > 1)
			break;
		assert_true(a.more);
		end_is(&a, &at, &end);
		memcpy(place, end.text[0].p, end.text[0].len);
		q.text = (struct store_text){ place, end.text[0].len };
		free(a.bytes);
	}
	row_is(&a, &at, 9, "last", 10);
	end_is(&a, &at, &end);
	free(a.bytes);
	assert_int_equal(asked, 4);
}

static void
an_empty_table_is_no_error(void **state)
{
	struct world *w = *state;
	struct read_query q = { .count = 1, .bytes = 1 };
	struct read_answer a;
	struct read_row end;
	size_t at = 0;

	ask(w, &q, &a);
	assert_false(a.more);
	end_is(&a, &at, &end);
	free(a.bytes);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(only_those_of_former_runs_are_read),
		T(they_come_a_few_at_a_time),
		T(there_may_be_nothing_in_a_piece),
		T(an_empty_table_is_no_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
