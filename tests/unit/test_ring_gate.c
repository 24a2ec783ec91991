/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_ring_gate - what ring.h promises to the scribe, and the scribe to all.
 */

#include "tests/unit/ring_fixture.h"

static int
setup(void **state)
{
	return fixture_setup(state, RING_LOG);
}

/* 'n' records by the workers in turn, so that nobody's quota is used up. */
static void
publish_many(struct fixture *f, unsigned n)
{
	unsigned i;

	for (i = 0; i < n; i++)
		assert_int_equal(publish(f, i % WORKERS, i, 100), 0);
}

static void
fetch_finds_nothing_where_nothing_is_published(void **state)
{
	struct fixture *f = *state;
	struct ring_index ix;
	size_t len;

	assert_int_equal(ring_fetch(f->scribe, BASE, f->buf, sizeof(f->buf),
			     &len, &ix),
	    RING_EMPTY);
}

/* Length, type, body: whatever of a record is scribbled, the scribe sees it,
 * and what it decides then reaches the readers. */
static void
fetch_calls_a_scribbled_record_bad_and_readers_see_the_verdict(void **state)
{
	struct fixture *f = *state;
	uint64_t cursor = join(f, 0);
	struct ring_index ix;
	uint32_t *len_field;
	size_t len;

	publish_many(f, 2);
	len_field = (uint32_t *)((char *)f->mem + f->w[0]->at.arenas +
	    (size_t)f->arena[0] * f->w[0]->at.stride);
	*len_field = 0xffffffff;
	assert_int_equal(ring_fetch(f->scribe, BASE, f->buf, sizeof(f->buf),
			     &len, &ix),
	    RING_BAD);
	sequence(f);
	assert_int_equal(ring_peek(f->w[0], 0, cursor, &ix), RING_OK);
	assert_int_equal(ix.verdict, RING_REJECTED);
	assert_int_equal(ring_peek(f->w[0], 0, cursor + 1, &ix), RING_OK);
	assert_int_equal(ix.verdict, RING_STORED);
}

static void
durable_wakes_the_author_and_who_follows_the_room(void **state)
{
	struct fixture *f = *state;
	uint64_t gseq;
	unsigned w;

	ring_interest(f->w[1], 1, 1, true);
	ring_interest(f->w[2], 2, 2, true);
	for (w = 0; w < WORKERS; w++)
		wake_prepare(f->wake, w);
	make(f, 1, 1, 100);
	assert_int_equal(ring_publish(f->w[0], f->rec, f->len, &gseq), 0);
	sequence(f);
	assert_true(was_woken(f, 0));
	assert_true(was_woken(f, 1));
	assert_false(was_woken(f, 2));
}

static void
durable_wakes_no_worker_for_the_scribes_own_record(void **state)
{
	struct fixture *f = *state;
	uint64_t gseq;
	unsigned w;

	ring_producer_init(f->scribe, RING_SCRIBE_ARENA);
	for (w = 0; w < WAKE_WORKERS; w++)
		wake_prepare(f->wake, w);
	make(f, 1, 1, 100);
	assert_int_equal(ring_publish(f->scribe, f->rec, f->len, &gseq), 0);
	sequence(f);
	for (w = 0; w < WAKE_WORKERS; w++)
		assert_false(was_woken(f, w));
}

static void
gate_leaves_a_laggard_alone_while_nobody_wants_space(void **state)
{
	struct fixture *f = *state;
	unsigned i;

	(void)join(f, 0);
	publish_many(f, 20);
	sequence(f);
	for (i = 0; i < 20; i++)
		assert_int_equal(gate(f, 1000), 0);
	assert_int_equal(ring_state(f->w[0], 0), RING_ACTIVE);
}

static void
gate_evicts_who_stands_still_for_250_ms_while_space_is_wanted(void **state)
{
	struct fixture *f = *state;
	uint64_t cursor = join(f, 0);

	(void)join(f, 1);
	publish_many(f, 20);
	sequence(f);
	(void)gate(f, 1000);
	assert_false(ring_space_wanted(f->scribe));
	wake_prepare(f->wake, WAKE_SCRIBE);
	ring_want_space(f->w[2], 2);
	assert_true(was_woken(f, WAKE_SCRIBE));
	assert_true(ring_space_wanted(f->scribe));
	/* both are woken, and their time begins */
	wake_prepare(f->wake, 0);
	assert_int_equal(gate(f, 1000), 0);
	assert_true(was_woken(f, 0));
	assert_int_equal(gate(f, 200), 0);
	/* one moves on, if only by a step: its time begins anew */
	ring_advance(f->w[1], 1, cursor + 1);
	wake_prepare(f->wake, 2);
	assert_int_equal(gate(f, 60), 1);
	assert_int_equal(ring_state(f->w[0], 0), RING_EVICTED);
	assert_int_equal(ring_state(f->w[1], 1), RING_ACTIVE);
	assert_int_equal(ring_free_seq(f->scribe), BASE + 1);
	/* and who waited for space is told */
	assert_true(was_woken(f, 2));
	assert_false(ring_space_wanted(f->scribe));
}

static void
gate_counts_the_time_from_the_moment_when_space_is_wanted(void **state)
{
	struct fixture *f = *state;

	(void)join(f, 0);
	publish_many(f, 20);
	sequence(f);
	ring_want_space(f->w[2], 2);
	(void)gate(f, 0);
	assert_int_equal(gate(f, 200), 0);
	atomic_store(&f->scribe->control->space_wait.v, 0);
	assert_int_equal(gate(f, 10), 0);
	ring_want_space(f->w[2], 2);
	assert_int_equal(gate(f, 100), 0);
	assert_int_equal(gate(f, 249), 0);
	assert_int_equal(gate(f, 1), 1);
}

static void
gate_evicts_nobody_who_has_read_all(void **state)
{
	struct fixture *f = *state;
	uint64_t cursor = join(f, 0);

	publish_many(f, 20);
	sequence(f);
	ring_advance(f->w[0], 0, cursor + 20);
	(void)gate(f, 0);
	/* now the disk stalls: published, not durable, space wanted */
	publish_many(f, 40);
	ring_want_space(f->w[1], 1);
	assert_int_equal(gate(f, 1000), 0);
	assert_int_equal(gate(f, 1000), 0);
	assert_int_equal(ring_state(f->w[0], 0), RING_ACTIVE);
}

static void
gate_presses_when_three_quarters_are_used(void **state)
{
	struct fixture *f = *state;

	(void)join(f, 0);
	ring_producer_init(f->scribe, RING_SCRIBE_ARENA);
	publish_many(f, SLOTS / 4 * 3);
	sequence(f);
	(void)gate(f, 0);
	assert_int_equal(gate(f, 1000), 0);
	make(f, 1, 1, 100);
	assert_int_equal(ring_publish(f->scribe, f->rec, f->len,
			     &(uint64_t){ 0 }),
	    0);
	sequence(f);
	assert_int_equal(gate(f, 0), 0);
	assert_int_equal(gate(f, 250), 1);
}

static void
gate_evicts_the_slowest_at_once_when_seven_eighths_are_used(void **state)
{
	struct fixture *f = *state;
	uint64_t cursor = join(f, 0), gseq;
	unsigned i;

	(void)join(f, 1);
	ring_producer_init(f->scribe, RING_SCRIBE_ARENA);
	publish_many(f, SLOTS / 4 * 3);
	for (i = 0; i < SLOTS / 8; i++) {
		make(f, 1, i, 100);
		assert_int_equal(ring_publish(f->scribe, f->rec, f->len, &gseq),
		    0);
	}
	sequence(f);
	ring_advance(f->w[1], 1, cursor + SLOTS / 2);
	assert_int_equal(gate(f, 0), 0);
	make(f, 1, 1, 100);
	assert_int_equal(ring_publish(f->scribe, f->rec, f->len, &gseq), 0);
	sequence(f);
	/* one is more than half a ring behind, the other is not */
	assert_int_equal(gate(f, 0), 1);
	assert_int_equal(ring_state(f->w[0], 0), RING_EVICTED);
	assert_int_equal(ring_state(f->w[1], 1), RING_ACTIVE);
	assert_int_equal(ring_free_seq(f->scribe), cursor + SLOTS / 2);
}

static void
gate_wakes_sleepers_that_are_behind_when_a_quarter_is_used(void **state)
{
	struct fixture *f = *state;
	uint64_t cursor = join(f, 0);

	(void)join(f, 1);
	publish_many(f, SLOTS / 4);
	sequence(f);
	wake_prepare(f->wake, 0);
	wake_prepare(f->wake, 1);
	(void)gate(f, 0);
	assert_false(was_woken(f, 0));
	publish_many(f, 1);
	sequence(f);
	ring_advance(f->w[1], 1, f->next);
	(void)was_woken(f, 1);
	wake_prepare(f->wake, 0);
	wake_prepare(f->wake, 1);
	(void)gate(f, 0);
	assert_true(was_woken(f, 0));
	assert_false(was_woken(f, 1));
	assert_int_equal(ring_free_seq(f->scribe), cursor);
}

static void
gate_lets_an_evicted_consumer_join_again(void **state)
{
	struct fixture *f = *state;
	size_t len;

	(void)join(f, 0);
	publish_many(f, 20);
	sequence(f);
	ring_want_space(f->w[1], 1);
	(void)gate(f, 0);
	assert_int_equal(gate(f, 250), 1);
	assert_int_equal(ring_read(f->w[0], 0, BASE, f->buf, sizeof(f->buf),
			     &len),
	    RING_GONE);
	assert_int_equal(join(f, 0), BASE + 20);
	publish_many(f, 1);
	sequence(f);
	assert_int_equal(ring_read(f->w[0], 0, BASE + 20, f->buf,
			     sizeof(f->buf), &len),
	    RING_OK);
}

/* Who asks just after the last raise would wait for ever if only a raise
 * were told. */
static void
gate_tells_who_asks_for_space_when_all_is_free_already(void **state)
{
	struct fixture *f = *state;

	publish_many(f, 20);
	sequence(f);
	(void)gate(f, 0);
	ring_want_space(f->w[1], 1);
	wake_prepare(f->wake, 1);
	(void)gate(f, 1);
	assert_true(was_woken(f, 1));
	assert_false(ring_space_wanted(f->scribe));
}

static void
gate_keeps_a_wish_for_space_that_it_cannot_fulfil_yet(void **state)
{
	struct fixture *f = *state;

	publish_many(f, 20);
	ring_want_space(f->w[1], 1);
	wake_prepare(f->wake, 1);
	(void)gate(f, 1);
	assert_false(was_woken(f, 1));
	assert_true(ring_space_wanted(f->scribe));
	sequence(f);
	(void)gate(f, 1);
	assert_true(was_woken(f, 1));
}

static void
gate_of_a_new_scribe_counts_the_consumers_of_the_old(void **state)
{
	struct fixture *f = *state;

	(void)join(f, 0);
	publish_many(f, 10);
	ring_detach(&f->scribe);
	f->scribe = fixture_attach(f);
	sequence(f);
	(void)gate(f, 0);
	assert_int_equal(ring_free_seq(f->scribe), BASE);
	assert_int_equal(ring_durable_seq(f->scribe), BASE + 10);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, fixture_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(fetch_finds_nothing_where_nothing_is_published),
		T(fetch_calls_a_scribbled_record_bad_and_readers_see_the_verdict),
		T(durable_wakes_the_author_and_who_follows_the_room),
		T(durable_wakes_no_worker_for_the_scribes_own_record),
		T(gate_leaves_a_laggard_alone_while_nobody_wants_space),
		T(gate_evicts_who_stands_still_for_250_ms_while_space_is_wanted),
		T(gate_counts_the_time_from_the_moment_when_space_is_wanted),
		T(gate_evicts_nobody_who_has_read_all),
		T(gate_presses_when_three_quarters_are_used),
		T(gate_evicts_the_slowest_at_once_when_seven_eighths_are_used),
		T(gate_wakes_sleepers_that_are_behind_when_a_quarter_is_used),
		T(gate_lets_an_evicted_consumer_join_again),
		T(gate_tells_who_asks_for_space_when_all_is_free_already),
		T(gate_keeps_a_wish_for_space_that_it_cannot_fulfil_yet),
		T(gate_of_a_new_scribe_counts_the_consumers_of_the_old),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
