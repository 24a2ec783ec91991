/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_scribe_damage - pages of one session are damaged under a scribe that
 * works: that session is refused, the others go on, nobody dies of it.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/scribe_fixture.h"

#define PAGE 4096
#define MESSAGES 300

struct two {
	uint64_t a, b, user;
};

static uint64_t
message(struct scribe_fixture *f, uint64_t room, uint64_t user, unsigned n)
{
	char id[64];

	snprintf(id, sizeof(id), "message-%llu-number-%u-end",
	    (unsigned long long)room, n);
	return fix_message(f, room, user, id, 0);
}

static void
fill(struct scribe_fixture *f, struct two *r)
{
	unsigned i;

	r->a = fix_room(f, "a", &r->user);
	r->b = fix_room(f, "b", NULL);
	for (i = 1; i <= MESSAGES; i++) {
		(void)message(f, r->a, r->user, i);
		(void)message(f, r->b, r->user, i);
		(void)fix_turns(f);
		fix_delivered(f);
	}
}

/* Make nonsense of the head of each page that holds these bytes. */
static unsigned
damage(const char *needle)
{
	static const uint8_t nonsense[24] = { 0xff, 0xff, 0xff, 0xff, 0xff,
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
	int fd = open("db/data.mdb", O_RDWR | O_CLOEXEC);
	uint8_t page[PAGE];
	unsigned n = 0;
	off_t at;

	assert_int_not_equal(fd, -1);
	for (at = 2 * PAGE; pread(fd, page, PAGE, at) == PAGE; at += PAGE) {
		if (memmem(page, PAGE, needle, strlen(needle)) == NULL)
			continue;
		assert_int_equal(pwrite(fd, nonsense, sizeof(nonsense), at),
		    sizeof(nonsense));
		n++;
	}
	close(fd);
	return n;
}

/* The page that the next message of the room goes to. */
static void
damage_end_of(uint64_t room)
{
	char needle[64];

	snprintf(needle, sizeof(needle), "message-%llu-number-%u-end",
	    (unsigned long long)room, MESSAGES);
	assert_true(damage(needle) > 0);
}

static enum ring_verdict
verdict(struct scribe_fixture *f, uint64_t gseq)
{
	return (enum ring_verdict)fix_decided(f, gseq).verdict;
}

/* The session that is damaged is refused, and only that. */
static void
check_goes_on(struct scribe_fixture *f, const struct two *r, unsigned n)
{
	assert_int_equal(verdict(f, message(f, r->a, r->user, n)),
	    RING_STORE_UNAVAILABLE);
	assert_int_equal(verdict(f, message(f, r->b, r->user, n)), RING_STORED);
	assert_int_equal(verdict(f, message(f, r->a, r->user, n + 1)),
	    RING_STORE_UNAVAILABLE);
	assert_int_equal(commit_state(f->c), COMMIT_OK);
}

static void
only_the_session_that_is_damaged_is_refused(void **state)
{
	struct scribe_fixture *f = *state;
	struct two r;

	fill(f, &r);
	damage_end_of(r.a);
	check_goes_on(f, &r, MESSAGES + 1);
	assert_true(sequence_room_refused(f->q, r.a));
	assert_false(sequence_room_refused(f->q, r.b));
	/* rooms and users can still be made */
	assert_int_not_equal(fix_room(f, "c", NULL), 0);
}

static void
a_batch_with_good_and_bad_is_decided_without_the_bad(void **state)
{
	struct scribe_fixture *f = *state;
	uint64_t g[40];
	struct two r;
	unsigned i;

	fill(f, &r);
	damage_end_of(r.a);
	for (i = 0; i < 40; i++)
		g[i] = message(f, i % 2 == 0 ? r.b : r.a, r.user,
		    MESSAGES + 1 + i);
	(void)fix_turns(f);
	for (i = 0; i < 40; i++) {
		struct ring_index ix = fix_index(f, g[i]);

		assert_int_equal(ix.verdict,
		    i % 2 == 0 ? RING_STORED : RING_STORE_UNAVAILABLE);
		if (i % 2 == 0)
			assert_int_equal(ix.seq, MESSAGES + 1 + i / 2);
	}
}

static void
who_leaves_is_gone_all_the_same(void **state)
{
	struct scribe_fixture *f = *state;
	struct ring_index ix;
	struct two r;

	fill(f, &r);
	damage_end_of(r.a);
	assert_int_equal(verdict(f, message(f, r.a, r.user, MESSAGES + 1)),
	    RING_STORE_UNAVAILABLE);
	ix = fix_decided(f, fix_leave(f, r.a, r.user, "sock"));
	assert_int_equal(ix.verdict, RING_STORED);
	assert_int_equal(ix.room, r.a);
	ix = fix_decided(f, fix_join(f, "w", "a", "ada", "sock"));
	assert_int_equal(ix.verdict, RING_STORE_UNAVAILABLE);
}

static void
a_new_process_goes_on_as_well(void **state)
{
	struct scribe_fixture *f = *state;
	uint64_t cursor;
	const char *why;
	struct two r;
	int i;

	fill(f, &r);
	damage_end_of(r.a);
	for (i = 0; i < 3; i++) {
		cursor = f->cursor;
		fix_stop(f);
		store_close(&f->st.s);
		assert_non_null(f->st.s = store_open(STORE_WRITE, &why));
		assert_int_equal(fix_start(f), 0);
		f->cursor = cursor;
		check_goes_on(f, &r, MESSAGES + 1 + (unsigned)i * 10);
	}
}

static void
a_room_is_tried_again_after_a_minute(void **state)
{
	struct scribe_fixture *f = *state;
	struct clock_shift shift = { .mono_ns = 0 };
	struct two r;

	fill(f, &r);
	sequence_refuse_room(f->q, r.b, clock_mono_ns());
	assert_int_equal(verdict(f, message(f, r.b, r.user, MESSAGES + 1)),
	    RING_STORE_UNAVAILABLE);
	clock_set_shift(&shift);
	shift.mono_ns = (int64_t)SEQUENCE_REFUSE_NS;
	assert_int_equal(verdict(f, message(f, r.b, r.user, MESSAGES + 1)),
	    RING_STORED);
	clock_set_shift(NULL);
}

static void
more_damaged_rooms_than_are_remembered_are_refused_too(void **state)
{
	struct scribe_fixture *f = *state;
	uint64_t room;

	for (room = 1; room <= 1000; room++)
		sequence_refuse_room(f->q, room, clock_mono_ns());
	assert_true(sequence_room_refused(f->q, 1000));
	assert_false(sequence_room_refused(f->q, 1));
	assert_false(sequence_room_refused(f->q, 1001));
}

#define T(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(only_the_session_that_is_damaged_is_refused),
		T(a_batch_with_good_and_bad_is_decided_without_the_bad),
		T(who_leaves_is_gone_all_the_same),
		T(a_new_process_goes_on_as_well),
		T(a_room_is_tried_again_after_a_minute),
		T(more_damaged_rooms_than_are_remembered_are_refused_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
