/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_stream_share - how much of the memory one user's streams may take.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/stream_fixture.h"
#include "tests/unit/tables_fixture.h"

#define A 11
#define B 12
#define BLOCK 4096
/* what small_tables_setup() makes */
#define BLOCKS 1024
#define MS UINT64_C(1000000)
/* a count is not believed for longer */
#define LATER (60 * MS)
#define ADA 1
#define BOB 2

static uint64_t now_ns;

static int
setup(void **state)
{
	if (small_tables_setup(state) == -1)
		return -1;
	now_ns = 1000 * MS;
	stream_worker(*state, 0, A, TABLES_CHILD_READY);
	stream_worker(*state, 1, B, TABLES_CHILD_READY);
	return 0;
}

static struct stream_ref held[BLOCKS];

/* Streams of one block each until it may not have more: how many. */
static uint32_t
fill(struct tables *t, uint32_t incarnation, uint64_t user, uint32_t from,
    uint32_t most)
{
	char id[24];
	uint32_t n;

	for (n = 0; n < most; n++) {
		(void)snprintf(id, sizeof(id), "s-%u", from + n);
		errno = 0;
		if (stream_start_of(t, incarnation, user, id, now_ns,
			&held[from + n]) == -1)
			break;
	}
	if (n < most)
		assert_int_equal(errno, EDQUOT);
	return n;
}

static void
end(struct tables *t, uint32_t from, uint32_t n)
{
	uint32_t i;

	for (i = from; i < from + n; i++)
		assert_int_equal(stream_end(t, &held[i]), 0);
}

static void
one_user_leaves_a_quarter(void **state)
{
	struct tables *t = *state;
	uint32_t n = fill(t, A, ADA, 0, BLOCKS);
	struct stream_ref r;

	/* three times what is free, and one block more */
	assert_in_range(n, BLOCKS * 3 / 4, BLOCKS * 3 / 4 + 1);
	/* a new count says the same */
	now_ns += LATER;
	assert_int_equal(fill(t, A, ADA, n, 1), 0);
	/* somebody else has all that it needs */
	assert_int_equal(stream_start_of(t, A, BOB, "b", now_ns, &r), 0);
	assert_int_equal(stream_append(t, &r, "some", 4, now_ns, NULL), 0);
	assert_int_equal(stream_end(t, &r), 0);
}

static void
a_text_grows_within_the_share(void **state)
{
	static char block[BLOCK];
	struct tables *t = *state;
	uint32_t n = fill(t, A, ADA, 0, BLOCKS);

	errno = 0;
	assert_int_equal(stream_append(t, &held[0], block, BLOCK, now_ns, NULL),
	    -1);
	assert_int_equal(errno, EDQUOT);
	/* what is left of a block is its own already */
	assert_int_equal(stream_append(t, &held[0], "some", 4, now_ns, NULL),
	    0);
	end(t, n - 8, 8);
	now_ns += LATER;
	assert_int_equal(stream_append(t, &held[0], block, BLOCK, now_ns, NULL),
	    0);
}

static void
what_others_hold_makes_the_share_smaller(void **state)
{
	struct tables *t = *state;
	uint32_t ada = fill(t, A, ADA, 0, 400), bob;

	assert_int_equal(ada, 400);
	bob = fill(t, A, BOB, ada, BLOCKS);
	/* b <= 3 (1024 - 400 - b) */
	assert_in_range(bob, 468, 469);
	/* who holds less than its share may go on */
	assert_int_equal(fill(t, A, ADA, ada + bob, 10), 10);
	assert_int_equal(fill(t, A, BOB, ada + bob + 10, 1), 0);
}

/* Each process counts for itself: what others took, it knows soon. */
static void
all_workers_count_together(void **state)
{
	struct tables *t = *state, *other = small_tables_again(t);
	uint32_t n = fill(t, A, ADA, 0, BLOCKS);

	assert_int_equal(fill(other, B, ADA, n, 1), 0);
	end(t, 0, n);
	/* those that it had when it counted */
	assert_int_equal(fill(other, B, ADA, n, 1), 0);
	now_ns += LATER;
	assert_int_equal(fill(other, B, ADA, 0, n), n);
	now_ns += LATER;
	assert_int_equal(fill(t, A, ADA, n + 1, 1), 0);
	tables_free(&other);
}

/* What a dead worker's streams hold is its user's as long as they are. */
static void
who_dies_leaves_no_wrong_count(void **state)
{
	struct tables *t = *state, *other = small_tables_again(t);
	uint32_t n = fill(t, A, ADA, 0, BLOCKS), i;

	stream_worker(t, 0, A, TABLES_CHILD_DEAD);
	now_ns += LATER;
	assert_int_equal(fill(other, B, ADA, n, 1), 0);
	for (i = 0; i < n; i++) {
		assert_int_equal(stream_claim(other, &held[i], B, ADA, now_ns),
		    0);
		assert_int_equal(stream_end(other, &held[i]), 0);
	}
	now_ns += LATER;
	assert_int_equal(fill(other, B, ADA, 0, BLOCKS), n);
	tables_free(&other);
}

/* More users than there was room for when they were counted. */
static void
each_of_many_users_has_a_little(void **state)
{
	struct tables *t = *state;
	uint32_t n = fill(t, A, ADA, 0, BLOCKS), i;
	struct stream_ref r;

	for (i = n; i < BLOCKS; i++)
		assert_int_equal(fill(t, A, 1000 + i, i, 1), 1);
	/* it is nobody's fault that there is none: room may be made */
	for (i = 0; i < 2; i++) {
		errno = 0;
		assert_int_equal(stream_start_of(t, A, BOB, "b", now_ns, &r),
		    -1);
		assert_int_equal(errno, ENOSPC);
		errno = 0;
		assert_int_equal(stream_start_of(t, A, ADA, "a", now_ns, &r),
		    -1);
		assert_int_equal(errno, EDQUOT);
		now_ns += LATER;
	}
}

#undef T
#define T(name) \
	cmocka_unit_test_setup_teardown(name, setup, small_tables_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(one_user_leaves_a_quarter),
		T(a_text_grows_within_the_share),
		T(what_others_hold_makes_the_share_smaller),
		T(all_workers_count_together),
		T(who_dies_leaves_no_wrong_count),
		T(each_of_many_users_has_a_little),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
