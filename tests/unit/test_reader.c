/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_reader - what is read beside the loop is what the store has, for whom
 * it was asked, and nobody waits for what he did not ask for.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>

#include "common/clock.h"
#include "common/log.h"
#include "tests/unit/store_fixture.h"
#include "worker/reader.h"

#define ROOM 7
#define MESSAGES 300
#define BODY 2000
#define PID "aaaaaaaaaaaaaaaaaaa1"
/* long enough for any machine */
#define WAIT_MS 20000

struct world {
	struct store_fixture f;
	struct reader *r;
	int efd;
};

struct asker {
	int notified;
};

/* --- a store with something in it -------------------------------------------- */

static void
add_message(struct store_txn *t, uint64_t seq)
{
	static char body[BODY];
	uint64_t hash[2] = { seq, seq };
	char id[20];
	struct store_message m = { .room = ROOM,
		.seq = seq,
		.gseq = 1000 + seq * 2,
		.time_ms = 50000 + seq,
		.user = 3,
		.type = 1 };

	memset(body, 'a' + (int)(seq % 26), sizeof(body));
	snprintf(id, sizeof(id), "m%d", (int)seq);
	m.id = text(id);
	m.body.p = body;
	m.body.len = sizeof(body);
	store_message_add(t, &m, hash);
}

static void
fill(struct store *s)
{
	const struct store_room room = { .room = ROOM,
		.workspace = text("w1"),
		.session = text("s1") };
	struct store_presence p = { .room = ROOM,
		.user = 3,
		.socket = text("socket-1"),
		.user_id = text("ada"),
		.user_name = text("Ada"),
		.status = text("idle"),
		.joined_ms = 11,
		.activity_ms = 12,
		.gseq = 13 };
	struct store_recovery row = { .socket = text("socket-1"),
		.user_id = text("ada"),
		.user = 3,
		.run = 4096,
		.incarnation = 5,
		.client = 6,
		.generation = 7,
		.nrooms = 2 };
	struct store_txn *t;
	uint64_t seq;

	row.room[0].room = ROOM;
	row.room[0].gseq = 44;
	row.room[0].has_after = true;
	row.room[0].after_seq = 45;
	row.room[0].agent = text("helper");
	/* a room that there is not */
	row.room[1].room = 99;
	assert_non_null(t = store_begin(s));
	store_room_add(t, &room);
	for (seq = 1; seq <= MESSAGES; seq++)
		add_message(t, seq);
	store_presence_put(t, &p);
	p.socket = text("socket-2");
	p.user_name = text("");
	store_presence_put(t, &p);
	store_recovery_put(t, text(PID), &row);
	assert_int_equal(store_commit(&t), 0);
}

static void
wake(void *arg)
{
	const struct world *w = arg;
	uint64_t one = 1;

	if (write(w->efd, &one, sizeof(one)) == -1)
		abort();
}

static int
setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	struct store *s;

	if (w == NULL)
		return -1;
	*state = w;
	log_set_level(LOG_LEVEL_ERROR);
	if ((w->efd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) == -1 ||
	    store_fixture_open(&w->f) == -1)
		return -1;
	fill(w->f.s);
	s = w->f.s;
	if ((w->r = reader_new(&s, wake, w)) == NULL || s != NULL)
		return -1;
	return 0;
}

static int
teardown(void **state)
{
	struct world *w = *state;
	int rc;

	reader_free(&w->r, WAIT_MS);
	rc = store_fixture_leave(&w->f);
	close(w->efd);
	free(w);
	return rc;
}

/* --- asking ------------------------------------------------------------------- */

static void
notified(void *arg)
{
	((struct asker *)arg)->notified++;
}

static void
wait_for_thread(struct world *w)
{
	struct pollfd pfd = { .fd = w->efd, .events = POLLIN };
	uint64_t n;

	while (!reader_has_answers(w->r)) {
		assert_int_equal(poll(&pfd, 1, WAIT_MS), 1);
		(void)!read(w->efd, &n, sizeof(n));
	}
}

/* The answer; the caller gives it back. */
static const struct read_answer *
wait_for(struct world *w, struct asker *who, const struct read_query *q)
{
	const struct read_answer *a;
	uint64_t began = clock_mono_ms();

	while ((a = reader_ask(w->r, who, q, 0)) == NULL) {
		assert_true(clock_mono_ms() < began + WAIT_MS);
		wait_for_thread(w);
		reader_collect(w->r, 0);
	}
	return a;
}

static struct read_query
messages(uint64_t from, bool backward, uint64_t count)
{
	return (struct read_query){ .kind = READ_MESSAGES,
		.room = ROOM,
		.from = from,
		.backward = backward,
		.count = count,
		.bytes = 1000000,
		.notify = notified };
}

static void
assert_page(const struct read_answer *a, uint64_t from, uint64_t to, bool more)
{
	struct read_row row;
	uint64_t seq = from;
	size_t at = 0;
	char id[20];

	assert_int_equal(a->error, 0);
	while (reader_row(a, &at, &row)) {
		assert_int_equal(row.n[0], seq);
		assert_int_equal(row.n[1], 1000 + seq * 2);
		assert_int_equal(row.n[2], 50000 + seq);
		snprintf(id, sizeof(id), "m%d", (int)seq);
		assert_int_equal(row.text[0].len, strlen(id));
		assert_memory_equal(row.text[0].p, id, strlen(id));
		assert_int_equal(row.text[1].len, BODY);
		assert_int_equal(row.text[1].p[BODY - 1],
		    'a' + (int)(seq % 26));
		seq++;
	}
	assert_int_equal(seq, to + 1);
	assert_int_equal(a->more, more);
}

static void
expect_page(struct world *w, const struct read_query *q, uint64_t from,
    uint64_t to, bool more)
{
	struct asker who = { 0 };
	const struct read_answer *a = wait_for(w, &who, q);

	assert_int_equal(who.notified, 1);
	assert_page(a, from, to, more);
	assert_int_equal(a->seq, MESSAGES);
	reader_taken(w->r, a);
	assert_null(reader_ask(w->r, NULL, q, 0));
	reader_forget(w->r, NULL);
}

/* --- what is read ----------------------------------------------------------------- */

static void
pages_are_ascending_whichever_way_they_are_looked_for(void **state)
{
	struct world *w = *state;
	struct read_query q = messages(1, false, 10);

	expect_page(w, &q, 1, 10, true);
	q = messages(50, false, 100);
	expect_page(w, &q, 50, 149, true);
	q = messages(291, false, 10);
	expect_page(w, &q, 291, 300, false);
	q = messages(295, false, 10);
	expect_page(w, &q, 295, 300, false);
	q = messages(UINT64_MAX, true, 50);
	expect_page(w, &q, 251, 300, true);
	q.offset = 250;
	expect_page(w, &q, 1, 50, false);
	q.offset = 260;
	expect_page(w, &q, 1, 40, false);
	q = messages(100, true, 1);
	expect_page(w, &q, 100, 100, true);
	q = messages(1, true, 5);
	expect_page(w, &q, 1, 1, false);
}

static void
empty_pages_are_pages(void **state)
{
	struct world *w = *state;
	struct asker who = { 0 };
	struct read_query q = messages(301, false, 10);
	const struct read_answer *a;

	expect_page(w, &q, 1, 0, false);
	q = messages(UINT64_MAX, true, 10);
	q.offset = 300;
	expect_page(w, &q, 1, 0, false);
	q.room = 12345;
	q.offset = 0;
	a = wait_for(w, &who, &q);
	assert_int_equal(a->error + (int)a->nrows + (int)a->seq, 0);
	reader_taken(w->r, a);
}

static void
bytes_are_bounded_but_one_message_is_always_in(void **state)
{
	struct world *w = *state;
	struct read_query q = messages(1, false, 300);

	q.extra = 100;
	q.bytes = 10 * (BODY + 100);
	expect_page(w, &q, 1, 10, true);
	q.bytes--;
	expect_page(w, &q, 1, 9, true);
	q.bytes = 1;
	expect_page(w, &q, 1, 1, true);
	q.backward = true;
	q.from = UINT64_MAX;
	expect_page(w, &q, 300, 300, true);
}

static void
a_roster_has_everybody(void **state)
{
	struct world *w = *state;
	const struct read_query q = { .kind = READ_ROSTER,
		.room = ROOM,
		.count = 200,
		.text = text("\n\n") };
	const struct read_answer *a = wait_for(w, NULL, &q);
	struct read_row row;
	size_t at = 0;

	assert_int_equal(a->nrows, 2);
	assert_true(reader_row(a, &at, &row));
	assert_int_equal(row.n[0], 3);
	assert_int_equal(row.n[1], 11);
	assert_int_equal(row.n[2], 12);
	assert_int_equal(row.n[3], 13);
	assert_memory_equal(row.text[0].p, "ada", 3);
	assert_memory_equal(row.text[1].p, "Ada", 3);
	assert_memory_equal(row.text[2].p, "socket-1", 8);
	assert_memory_equal(row.text[3].p, "idle", 4);
	assert_true(reader_row(a, &at, &row));
	assert_int_equal(row.text[1].len, 0);
	assert_false(reader_row(a, &at, &row));
	reader_taken(w->r, a);
}

static void
a_seek_finds_the_first_at_or_behind(void **state)
{
	static const struct {
		uint64_t pos, seq;
	} cases[] = { { 0, 1 }, { 1002, 1 }, { 1003, 2 }, { 1600, 300 },
		{ 1601, 301 } };
	struct world *w = *state;
	struct asker who = { 0 };
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct read_query q = { .kind = READ_SEEK,
			.room = ROOM,
			.from = cases[i].pos };
		const struct read_answer *a = wait_for(w, &who, &q);

		assert_int_equal(a->error, 0);
		assert_int_equal(a->seq, cases[i].seq);
		/* nothing was changed */
		assert_int_equal(a->revision, 1);
		reader_taken(w->r, a);
	}
}

/* What was refused is in no transaction: the store's position stays behind. */
static void
what_was_decided_is_in_the_answer(void **state)
{
	struct world *w = *state;
	struct asker who = { 0 };
	struct read_query q = { .kind = READ_ROSTER,
		.room = ROOM,
		.count = 200,
		.text = text("\n\n") };
	const struct read_answer *a = wait_for(w, &who, &q);
	uint64_t pos = a->pos;

	reader_taken(w->r, a);
	q.decided = pos + 5;
	a = wait_for(w, &who, &q);
	assert_int_equal(a->pos, pos + 5);
	/* the same question, and still what was decided when it was asked */
	q.decided = pos + 9;
	a = reader_ask(w->r, &who, &q, 0);
	assert_non_null(a);
	assert_int_equal(a->pos, pos + 5);
	reader_taken(w->r, a);
}

static void
a_recovery_row_has_its_rooms(void **state)
{
	struct world *w = *state;
	struct read_query q = { .kind = READ_RECOVERY, .text = text(PID) };
	const struct read_answer *a = wait_for(w, NULL, &q);
	struct read_row row;
	size_t at = 0;

	assert_int_equal(a->nrows, 3);
	assert_true(reader_row(a, &at, &row));
	assert_int_equal(row.n[0], 3);
	assert_int_equal(row.n[2], 4096);
	assert_int_equal(row.n[3], 5);
	assert_int_equal(row.n[4], UINT64_C(6) << 32 | 7);
	assert_memory_equal(row.text[1].p, "socket-1", 8);
	assert_true(reader_row(a, &at, &row));
	assert_int_equal(row.n[0], ROOM);
	assert_int_equal(row.n[3], 45);
	assert_memory_equal(row.text[0].p, "helper", 6);
	assert_memory_equal(row.text[2].p, "s1", 2);
	assert_true(reader_row(a, &at, &row));
	assert_int_equal(row.n[0], 99);
	assert_int_equal(row.text[1].len, 0);
	reader_taken(w->r, a);
	q.text = text("nobody has this one1");
	a = wait_for(w, NULL, &q);
	assert_int_equal(a->error + (int)a->nrows, 0);
	reader_taken(w->r, a);
}

static void
a_session_is_found_by_its_name(void **state)
{
	struct world *w = *state;
	struct read_query q = messages(UINT64_MAX, true, 3);
	const struct read_answer *a;

	q.kind = READ_SESSION;
	q.room = 0;
	q.text = text("w1/s1");
	a = wait_for(w, NULL, &q);
	assert_int_equal(a->room, ROOM);
	assert_page(a, 298, 300, true);
	reader_taken(w->r, a);
	q.text = text("w1/s2");
	a = wait_for(w, NULL, &q);
	assert_int_equal(a->error, ENOENT);
	reader_taken(w->r, a);
}

/* --- who asks ---------------------------------------------------------------------- */

static void
each_gets_its_own(void **state)
{
	struct world *w = *state;
	struct asker who[200] = { { 0 } };
	const struct read_answer *a;
	struct read_query q;
	uint64_t i;

	for (i = 0; i < 200; i++) {
		q = messages(i + 1, false, 2);
		assert_null(reader_ask(w->r, &who[i], &q, 0));
		/* and once more changes nothing */
		assert_null(reader_ask(w->r, &who[i], &q, 0));
	}
	assert_true(reader_pending(w->r) > 100);
	for (i = 200; i > 0; i--) {
		q = messages(i, false, 2);
		a = wait_for(w, &who[i - 1], &q);
		assert_page(a, i, i + 1, true);
		assert_int_equal(who[i - 1].notified, 1);
		reader_taken(w->r, a);
	}
	assert_int_equal(reader_pending(w->r), 0);
}

static void
a_new_question_replaces_the_old_one(void **state)
{
	struct world *w = *state;
	struct asker who = { 0 };
	struct read_query q = messages(1, false, 2), r = q;
	const struct read_answer *a;

	assert_null(reader_ask(w->r, &who, &q, 0));
	/* another room's is another question */
	r.room = 8;
	assert_null(reader_ask(w->r, &who, &r, 0));
	q.from = 5;
	a = wait_for(w, &who, &q);
	assert_page(a, 5, 6, true);
	reader_taken(w->r, a);
	a = wait_for(w, &who, &r);
	assert_int_equal(a->nrows, 0);
	reader_taken(w->r, a);
	assert_int_equal(who.notified, 2);
}

static void
who_has_gone_is_not_told(void **state)
{
	struct world *w = *state;
	struct asker *who = calloc(50, sizeof(*who));
	struct asker last = { 0 };
	struct read_query q = messages(1, false, 100);
	const struct read_answer *a;
	int i;

	assert_non_null(who);
	for (i = 0; i < 50; i++)
		assert_null(reader_ask(w->r, &who[i], &q, 0));
	/* some wait, some are being read, some are ready */
	wait_for_thread(w);
	reader_collect(w->r, 0);
	for (i = 0; i < 50; i++)
		reader_forget(w->r, &who[i]);
	free(who);
	a = wait_for(w, &last, &q);
	assert_page(a, 1, 100, true);
	reader_taken(w->r, a);
}

static void
an_answer_that_nobody_takes_is_dropped(void **state)
{
	struct world *w = *state;
	struct asker who = { 0 };
	struct read_query q = messages(1, false, 100);
	const struct read_answer *a;

	a = wait_for(w, &who, &q);
	assert_ptr_equal(reader_ask(w->r, &who, &q, 0), a);
	reader_tick(w->r, READER_PATIENCE_MS);
	assert_ptr_equal(reader_ask(w->r, &who, &q, 0), a);
	reader_tick(w->r, READER_PATIENCE_MS + 1);
	assert_null(reader_ask(w->r, &who, &q, READER_PATIENCE_MS));
}

/* It is in the hands of a disk that does not answer. */
static void
what_takes_too_long_is_an_error(void **state)
{
	struct world *w = *state;
	struct asker who[40] = { { 0 } };
	struct read_query q = messages(1, false, 100);
	const struct read_answer *a;
	int i;

	for (i = 0; i < 40; i++)
		assert_null(reader_ask(w->r, &who[i], &q, 0));
	assert_int_equal(reader_oldest_ms(w->r), 0);
	/* as if the thread had not come back: nothing is collected */
	reader_tick(w->r, READER_PATIENCE_MS + 1);
	for (i = 0; i < 40; i++) {
		a = reader_ask(w->r, &who[i], &q, READER_PATIENCE_MS + 1);
		assert_non_null(a);
		assert_int_equal(a->error, ETIMEDOUT);
		assert_int_equal(who[i].notified, 1);
		reader_taken(w->r, a);
	}
	/* and the next time it is there */
	a = wait_for(w, &who[0], &q);
	assert_page(a, 1, 100, true);
	reader_taken(w->r, a);
}

/* What is not taken has a bound, and everybody is served in the end. */
static void
many_large_pages_take_turns(void **state)
{
	struct world *w = *state;
	struct asker who[100] = { { 0 } };
	struct read_query q = messages(1, false, 300);
	const struct read_answer *a;
	uint64_t now = 0;
	int i, ready = 0, served = 0;

	for (i = 0; i < 100; i++)
		assert_null(reader_ask(w->r, &who[i], &q, 0));
	/* nobody takes anything for a while: each is 600 KB */
	while (ready < READER_READY_BYTES / 1000000) {
		wait_for_thread(w);
		reader_collect(w->r, 0);
		for (i = 0, ready = 0; i < 100; i++)
			ready += who[i].notified;
	}
	while (served < 100) {
		reader_tick(w->r, now += READER_CROWD_MS + 1);
		for (i = 0; i < 100; i++) {
			if (who[i].notified < 0)
				continue;
			a = reader_ask(w->r, &who[i], &q, now);
			if (a == NULL)
				continue;
			if (a->error == 0)
				assert_page(a, 1, 300, false);
			else
				assert_int_equal(a->error, ETIMEDOUT);
			reader_taken(w->r, a);
			who[i].notified = -1000;
			served++;
		}
		if (served < 100 && reader_pending(w->r) > 0)
			wait_for_thread(w);
		reader_collect(w->r, now);
	}
}

/* The writer goes on while it is read. */
static void
what_is_written_meanwhile_is_seen_or_not(void **state)
{
	struct world *w = *state;
	struct read_query q = messages(1, false, 1000);
	const struct read_answer *a;
	struct asker who = { 0 };
	struct store_txn *t;
	uint64_t seq, n, before = MESSAGES;

	q.bytes = 100000000;
	for (seq = MESSAGES + 1; seq <= MESSAGES + 60; seq++) {
		assert_null(reader_ask(w->r, &who, &q, 0));
		assert_non_null(t = store_begin(w->f.s));
		add_message(t, seq);
		assert_int_equal(store_commit(&t), 0);
		a = wait_for(w, &who, &q);
		n = a->nrows;
		assert_true(n >= before && n <= seq);
		assert_page(a, 1, n, false);
		assert_int_equal(a->seq, n);
		before = n;
		reader_taken(w->r, a);
	}
}

static void
it_ends_in_the_middle(void **state)
{
	struct world *w = *state;
	struct asker who[30] = { { 0 } };
	struct read_query q = messages(1, false, 300);
	int i;

	for (i = 0; i < 30; i++)
		assert_null(reader_ask(w->r, &who[i], &q, 0));
	/* teardown ends it; nobody is told */
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(pages_are_ascending_whichever_way_they_are_looked_for),
		T(empty_pages_are_pages),
		T(bytes_are_bounded_but_one_message_is_always_in),
		T(a_roster_has_everybody),
		T(a_seek_finds_the_first_at_or_behind),
		T(what_was_decided_is_in_the_answer),
		T(a_recovery_row_has_its_rooms),
		T(a_session_is_found_by_its_name),
		T(each_gets_its_own),
		T(a_new_question_replaces_the_old_one),
		T(who_has_gone_is_not_told),
		T(an_answer_that_nobody_takes_is_dropped),
		T(what_takes_too_long_is_an_error),
		T(many_large_pages_take_turns),
		T(what_is_written_meanwhile_is_seen_or_not),
		T(it_ends_in_the_middle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
