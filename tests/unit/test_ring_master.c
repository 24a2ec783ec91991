/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_ring_master - what ring.h promises about deaths.
 */

#include "tests/unit/ring_fixture.h"

static int
setup(void **state)
{
	return fixture_setup(state, RING_LOG);
}

static void
arena_is_given_to_one_and_never_the_scribes(void **state)
{
	struct fixture *f = *state;
	unsigned i, k;

	for (i = 0; i < WORKERS; i++) {
		assert_int_not_equal(f->arena[i], RING_SCRIBE_ARENA);
		for (k = 0; k < i; k++)
			assert_int_not_equal(f->arena[i], f->arena[k]);
	}
	assert_int_equal(ring_arena_take(f->scribe, 9, 1), NARENAS - 1);
	errno = 0;
	assert_int_equal(ring_arena_take(f->scribe, 10, 1), -1);
	assert_int_equal(errno, EAGAIN);
}

static void
arena_of_the_dead_is_given_out_when_it_has_drained(void **state)
{
	struct fixture *f = *state;
	unsigned a = (unsigned)f->arena[0];

	assert_int_equal(ring_arena_take(f->scribe, 9, 1), NARENAS - 1);
	(void)join(f, 1);
	assert_int_equal(publish(f, 0, 1, 100), 0);
	assert_int_equal(publish(f, 1, 2, 100), 0);
	assert_int_equal(ring_worker_dead(f->scribe, 0, a), BASE + 2);
	assert_int_equal(ring_arena_take(f->scribe, 0, 20), -1);
	sequence(f);
	(void)gate(f, 0);
	/* decided, but worker 1 may still be reading it */
	assert_int_equal(ring_arena_take(f->scribe, 0, 20), -1);
	ring_advance(f->w[1], 1, f->next);
	(void)gate(f, 0);
	assert_int_equal(ring_arena_take(f->scribe, 0, 20), a);
}

static void
records_of_the_dead_keep_their_authors_incarnation(void **state)
{
	struct fixture *f = *state;
	struct ring_index ix;
	size_t len;

	assert_int_equal(publish(f, 0, 1, 100), 0);
	(void)ring_worker_dead(f->scribe, 0, (unsigned)f->arena[0]);
	assert_int_equal(ring_fetch(f->scribe, BASE, f->buf, sizeof(f->buf),
			     &len, &ix),
	    RING_OK);
	assert_int_equal(ix.incarnation, 10);
	assert_int_equal(ix.arena, f->arena[0]);
}

/* Whatever the dead published is below what ring_worker_dead() returns, even
 * if its last word never reached the hint. */
static void
death_is_after_all_that_the_dead_published(void **state)
{
	struct fixture *f = *state;
	unsigned i;

	for (i = 0; i < 13; i++)
		assert_int_equal(publish(f, 0, i, 100), 0);
	atomic_store(&f->scribe->control->hint.v, BASE + 3);
	assert_int_equal(ring_worker_dead(f->scribe, 0, (unsigned)f->arena[0]),
	    BASE + 13);
	atomic_store(&f->scribe->control->hint.v, UINT64_MAX);
	assert_int_equal(ring_worker_dead(f->scribe, 1, (unsigned)f->arena[1]),
	    BASE + 13);
}

static void
death_takes_back_cursor_interest_and_wishes(void **state)
{
	struct fixture *f = *state;

	(void)join(f, 0);
	ring_interest(f->w[0], 0, 1, true);
	ring_interest(f->w[1], 1, 1, true);
	ring_want_space(f->w[0], 0);
	ring_want_space(f->w[1], 1);
	assert_int_equal(publish(f, 1, 1, 100), 0);
	sequence(f);
	wake_prepare(f->wake, WAKE_SCRIBE);
	(void)ring_worker_dead(f->scribe, 0, (unsigned)f->arena[0]);
	assert_true(was_woken(f, WAKE_SCRIBE));
	assert_int_equal(ring_state(f->w[0], 0), RING_DEAD);
	assert_int_equal(*ring_interest_word(f->w[0], 1), 2);
	assert_int_equal(f->scribe->control->space_wait.v, 2);
	(void)gate(f, 0);
	assert_int_equal(ring_free_seq(f->scribe), f->next);
}

static void
death_of_a_joiner_is_not_undone_by_its_admission(void **state)
{
	struct fixture *f = *state;

	ring_join(f->w[0], 0, 10);
	(void)ring_worker_dead(f->scribe, 0, (unsigned)f->arena[0]);
	assert_false(ring_join_wanted(f->scribe));
	(void)gate(f, 0);
	assert_int_equal(ring_state(f->w[0], 0), RING_DEAD);
}

static void
replacement_joins_in_the_slot_of_the_dead(void **state)
{
	struct fixture *f = *state;
	struct ring_consumer_info c;

	(void)join(f, 0);
	(void)ring_worker_dead(f->scribe, 0, (unsigned)f->arena[0]);
	ring_join(f->w[0], 0, 20);
	(void)gate(f, 0);
	assert_int_equal(ring_state(f->w[0], 0), RING_ACTIVE);
	ring_consumer_info(f->scribe, 0, &c);
	assert_int_equal(c.incarnation, 20);
}

static int
setup_live(void **state)
{
	return fixture_setup(state, RING_LIVE);
}

/* In a live ring nobody raises free_seq while there is room. */
static void
arenas_of_the_dead_drain_in_a_live_ring_that_is_never_full(void **state)
{
	struct fixture *f = *state;
	unsigned i;
	int a = f->arena[0];

	(void)join(f, 1);
	for (i = 0; i < 100; i++) {
		ring_producer_init(f->w[0], (unsigned)a);
		assert_int_equal(publish(f, 0, i, 100), 0);
		(void)ring_worker_dead(f->scribe, 0, (unsigned)a);
		ring_advance(f->w[1], 1, BASE + i + 1);
		a = ring_arena_take(f->scribe, 0, 100 + i);
		assert_int_not_equal(a, -1);
	}
}

static void
arena_of_the_dead_is_kept_while_a_live_reader_is_behind(void **state)
{
	struct fixture *f = *state;

	(void)join(f, 1);
	assert_int_equal(publish(f, 0, 1, 100), 0);
	(void)ring_worker_dead(f->scribe, 0, (unsigned)f->arena[0]);
	assert_int_not_equal(ring_arena_take(f->scribe, 0, 20), -1);
	assert_int_not_equal(ring_arena_take(f->scribe, 9, 21), -1);
	wake_prepare(f->wake, 1);
	assert_int_equal(ring_arena_take(f->scribe, 10, 22), -1);
	assert_true(was_woken(f, 1));
	ring_advance(f->w[1], 1, BASE + 1);
	assert_int_equal(ring_arena_take(f->scribe, 10, 22), f->arena[0]);
}

#define L(name) \
	cmocka_unit_test_setup_teardown(name, setup_live, fixture_teardown)
#define T(name) cmocka_unit_test_setup_teardown(name, setup, fixture_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(arena_is_given_to_one_and_never_the_scribes),
		T(arena_of_the_dead_is_given_out_when_it_has_drained),
		T(records_of_the_dead_keep_their_authors_incarnation),
		T(death_is_after_all_that_the_dead_published),
		T(death_takes_back_cursor_interest_and_wishes),
		T(death_of_a_joiner_is_not_undone_by_its_admission),
		T(replacement_joins_in_the_slot_of_the_dead),
		L(arenas_of_the_dead_drain_in_a_live_ring_that_is_never_full),
		L(arena_of_the_dead_is_kept_while_a_live_reader_is_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
