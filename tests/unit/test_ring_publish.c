/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_ring_publish - what ring.h promises to producers.
 */

#include "tests/unit/ring_fixture.h"

static int
setup(void **state)
{
	return fixture_setup(state, RING_LOG);
}

static void
publish_gives_out_positions_in_order(void **state)
{
	struct fixture *f = *state;
	uint64_t gseq, i;

	for (i = 0; i < 10; i++) {
		make(f, 1, i, 200);
		assert_false(ring_published(f->scribe, BASE + i));
		assert_int_equal(ring_publish(f->w[i % 2], f->rec, f->len,
				     &gseq),
		    0);
		assert_int_equal(gseq, BASE + i);
		assert_true(ring_published(f->scribe, gseq));
	}
}

static void
publish_wakes_the_scribe_if_it_sleeps(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(publish(f, 0, 1, 200), 0);
	assert_false(was_woken(f, WAKE_SCRIBE));
	wake_prepare(f->wake, WAKE_SCRIBE);
	wake_prepare(f->wake, 1);
	assert_int_equal(publish(f, 0, 2, 200), 0);
	assert_true(was_woken(f, WAKE_SCRIBE));
	assert_false(was_woken(f, 1));
}

static void
publish_refuses_what_can_never_fit_and_what_contradicts_itself(void **state)
{
	struct fixture *f = *state;
	uint64_t gseq;

	make(f, 1, 1, MAX_RECORD);
	errno = 0;
	assert_int_equal(ring_publish(f->w[0], f->rec, MAX_RECORD + 1, &gseq),
	    -1);
	assert_int_equal(errno, EMSGSIZE);
	errno = 0;
	assert_int_equal(ring_publish(f->w[0], f->rec, 63, &gseq), -1);
	assert_int_equal(errno, EINVAL);
	errno = 0;
	assert_int_equal(ring_publish(f->w[0], f->rec, MAX_RECORD - 1, &gseq),
	    -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(ring_publish(f->w[0], f->rec, MAX_RECORD, &gseq), 0);
}

static void
publish_lets_one_producer_hold_a_quarter_of_the_slots(void **state)
{
	struct fixture *f = *state;
	unsigned i;

	for (i = 0; i < QUOTA; i++)
		assert_int_equal(publish(f, 0, i, 100), 0);
	errno = 0;
	assert_int_equal(publish(f, 0, i, 100), -1);
	assert_int_equal(errno, EAGAIN);
	/* the others are not concerned */
	assert_int_equal(publish(f, 1, i, 100), 0);
	sequence(f);
	(void)gate(f, 0);
	assert_int_equal(publish(f, 0, i, 100), 0);
}

static void
publish_says_eagain_when_all_slots_are_taken(void **state)
{
	struct fixture *f = *state;
	struct ring_info info;
	uint64_t gseq;
	unsigned i, w;

	ring_producer_init(f->scribe, RING_SCRIBE_ARENA);
	for (w = 0; w < WORKERS; w++)
		for (i = 0; i < QUOTA; i++)
			assert_int_equal(publish(f, w, i, 100), 0);
	for (i = 0; i < QUOTA; i++) {
		make(f, 1, i, 100);
		assert_int_equal(ring_publish(f->scribe, f->rec, f->len, &gseq),
		    0);
	}
	ring_info(f->scribe, &info);
	assert_int_equal(info.occupied, SLOTS);
	/* another one, whose own quota is not used up */
	ring_producer_init(f->w[0], NARENAS - 1);
	errno = 0;
	assert_int_equal(publish(f, 0, 0, 100), -1);
	assert_int_equal(errno, EAGAIN);
	ring_info(f->scribe, &info);
	assert_int_equal(info.full, 1);
	sequence(f);
	(void)gate(f, 0);
	assert_int_equal(publish(f, 0, 0, 100), 0);
}

static void
publish_says_eagain_when_the_arena_is_full(void **state)
{
	struct fixture *f = *state;
	unsigned i;

	for (i = 0; i < 4; i++)
		assert_int_equal(publish(f, 0, i, MAX_RECORD), 0);
	errno = 0;
	assert_int_equal(publish(f, 0, i, 100), -1);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(publish(f, 1, i, MAX_RECORD), 0);
	sequence(f);
	(void)gate(f, 0);
	assert_int_equal(publish(f, 0, i, MAX_RECORD), 0);
}

/* [tail, pos) wrapped round: what is between pos and tail is all there is. */
static void
publish_leaves_alone_what_may_still_be_read(void **state)
{
	struct fixture *f = *state;
	uint64_t cursor = join(f, 0);
	size_t len;
	unsigned i;

	for (i = 0; i < 4; i++)
		assert_int_equal(publish(f, 1, i, MAX_RECORD), 0);
	sequence(f);
	ring_advance(f->w[0], 0, cursor + 1);
	(void)gate(f, 0);
	/* the first quarter is free again */
	assert_int_equal(publish(f, 1, 4, MAX_RECORD / 4 * 3), 0);
	errno = 0;
	assert_int_equal(publish(f, 1, 5, MAX_RECORD / 2), -1);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(publish(f, 1, 5, MAX_RECORD / 4), 0);
	assert_int_equal(publish(f, 1, 6, 100), -1);
	sequence(f);
	for (i = 1; i < 6; i++) {
		assert_int_equal(ring_read(f->w[0], 0, cursor + i, f->buf,
				     sizeof(f->buf), &len),
		    RING_OK);
		assert_int_equal(value_of(f, len), i);
	}
}

/* The hint saves others the walk: it follows what is published. */
static void
publish_moves_the_hint(void **state)
{
	struct fixture *f = *state;
	unsigned i;

	for (i = 0; i < 15; i++)
		assert_int_equal(publish(f, 0, i, 100), 0);
	assert_int_equal(f->scribe->control->hint.v, BASE + 8);
}

/* Sizes without a common divisor, thousands of laps, everything checked. */
static void
publish_wraps_slots_and_arena_without_a_torn_record(void **state)
{
	struct fixture *f = *state;
	uint64_t value[2] = { 0 }, seen[2] = { 0 }, cursor;
	struct ring_index ix;
	unsigned turn, w, burst;
	size_t len;

	cursor = join(f, 0);
	srand(1);
	for (turn = 0; turn < 20000; turn++) {
		w = (unsigned)rand() % 2;
		for (burst = (unsigned)rand() % 6; burst > 0; burst--) {
			len = 100 + (size_t)rand() % 6000;
			if (publish(f, w, value[w] << 1 | w, len) == -1) {
				assert_int_equal(errno, EAGAIN);
				break;
			}
			value[w]++;
		}
		if (rand() % 3 == 0)
			sequence(f);
		for (; cursor < ring_limit(f->w[0], cursor); cursor++) {
			assert_int_equal(ring_peek(f->w[0], 0, cursor, &ix),
			    RING_OK);
			assert_int_equal(ix.seq, cursor - BASE + 1);
			assert_int_equal(ring_read(f->w[0], 0, cursor, f->buf,
					     sizeof(f->buf), &len),
			    RING_OK);
			w = value_of(f, len) & 1;
			assert_int_equal(value_of(f, len) >> 1, seen[w]++);
		}
		ring_advance(f->w[0], 0, cursor);
		(void)gate(f, 0);
	}
	assert_true(cursor > BASE + 100 * SLOTS);
	assert_int_equal(seen[0] + seen[1], cursor - BASE);
}

/* The hint may say anything, and any producer may write it. */
static void
publish_survives_a_scribbled_hint(void **state)
{
	static const uint64_t lies[] = { 0, 1, BASE - 1, BASE + 1, BASE + 5,
		BASE + SLOTS - 1, BASE + SLOTS, BASE + SLOTS + 1, 1u << 31,
		UINT64_MAX, UINT64_MAX - SLOTS };
	struct fixture *f = *state;
	uint64_t expect = BASE, gseq;
	size_t i;
	unsigned k;

	for (i = 0; i < 8 * sizeof(lies) / sizeof(lies[0]); i++) {
		for (k = 0; k < 9; k++) {
			atomic_store(&f->scribe->control->hint.v,
			    lies[i % (sizeof(lies) / sizeof(lies[0]))]);
			/* a producer that has to ask the hint */
			f->w[0]->prod.last = 0;
			make(f, 1, i, 100);
			assert_int_equal(ring_publish(f->w[0], f->rec, f->len,
					     &gseq),
			    0);
			assert_int_equal(gseq, expect++);
		}
		sequence(f);
		(void)gate(f, 0);
	}
}

/* A slot word with a tag that cannot be there holds nobody up: it is made a
 * record of nothing, which the scribe finds bad. */
static void
publish_passes_a_scribbled_slot(void **state)
{
	struct fixture *f = *state;
	struct ring_index ix;
	size_t len;

	assert_int_equal(publish(f, 0, 1, 100), 0);
	atomic_store(&f->scribe->core.slot[1], 0xdeadbeefdeadbeef);
	assert_int_equal(publish(f, 0, 2, 100), 0);
	assert_int_equal(publish(f, 1, 3, 100), 0);
	assert_int_equal(ring_fetch(f->scribe, BASE, f->buf, sizeof(f->buf),
			     &len, &ix),
	    RING_OK);
	assert_int_equal(ring_fetch(f->scribe, BASE + 1, f->buf, sizeof(f->buf),
			     &len, &ix),
	    RING_BAD);
	assert_int_equal(ring_fetch(f->scribe, BASE + 2, f->buf, sizeof(f->buf),
			     &len, &ix),
	    RING_OK);
	assert_int_equal(value_of(f, len), 2);
	sequence(f);
	assert_int_equal(f->next, BASE + 4);
}

/* A word of the next lap is no damage: free_seq has moved. */
static void
publish_does_not_repair_what_is_of_a_later_lap(void **state)
{
	struct fixture *f = *state;
	unsigned i;

	for (i = 0; i < SLOTS + 3; i++) {
		assert_int_equal(publish(f, i % 2, i, 100), 0);
		sequence(f);
		(void)gate(f, 0);
	}
	for (i = 0; i < SLOTS + 3; i++)
		assert_false(ring_core_repair(&f->w[0]->core, BASE + i));
	for (i = 3; i < SLOTS + 3; i++)
		assert_true(ring_core_is_published(&f->w[0]->core, BASE + i));
}

/* Even if every word is garbage, publishing ends, one way or the other. */
static void
publish_ends_in_a_ring_full_of_garbage(void **state)
{
	struct fixture *f = *state;
	uint64_t gseq;
	unsigned i;

	srand(2);
	for (i = 0; i < SLOTS; i++)
		atomic_store(&f->scribe->core.slot[i],
		    (uint64_t)rand() << 32 | (uint64_t)rand());
	for (i = 0; i < SLOTS; i++) {
		make(f, 1, i, 100);
		(void)ring_publish(f->w[0], f->rec, f->len, &gseq);
	}
	sequence(f);
	assert_int_equal(f->next, BASE + SLOTS);
}

/* What a dead scribe published is not overwritten before it has drained. */
static void
publish_of_a_new_scribe_waits_for_its_predecessors_records(void **state)
{
	struct fixture *f = *state;
	uint64_t cursor, gseq;
	size_t len;

	cursor = join(f, 0);
	ring_producer_init(f->scribe, RING_SCRIBE_ARENA);
	make(f, 1, 77, 100);
	assert_int_equal(ring_publish(f->scribe, f->rec, f->len, &gseq), 0);
	assert_int_equal(publish(f, 0, 78, 100), 0);
	ring_scribe_dead(f->w[1]);
	ring_detach(&f->scribe);
	f->scribe = fixture_attach(f);
	ring_producer_init(f->scribe, RING_SCRIBE_ARENA);
	make(f, 1, 79, 100);
	errno = 0;
	assert_int_equal(ring_publish(f->scribe, f->rec, f->len, &gseq), -1);
	assert_int_equal(errno, EAGAIN);
	sequence(f);
	(void)gate(f, 0);
	assert_int_equal(ring_publish(f->scribe, f->rec, f->len, &gseq), -1);
	assert_int_equal(ring_read(f->w[0], 0, cursor, f->buf, sizeof(f->buf),
			     &len),
	    RING_OK);
	assert_int_equal(value_of(f, len), 77);
	ring_advance(f->w[0], 0, f->next);
	(void)gate(f, 0);
	make(f, 1, 79, 100);
	assert_int_equal(ring_publish(f->scribe, f->rec, f->len, &gseq), 0);
	assert_int_equal(gseq, f->next);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, fixture_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(publish_gives_out_positions_in_order),
		T(publish_wakes_the_scribe_if_it_sleeps),
		T(publish_refuses_what_can_never_fit_and_what_contradicts_itself),
		T(publish_lets_one_producer_hold_a_quarter_of_the_slots),
		T(publish_says_eagain_when_all_slots_are_taken),
		T(publish_says_eagain_when_the_arena_is_full),
		T(publish_leaves_alone_what_may_still_be_read),
		T(publish_moves_the_hint),
		T(publish_wraps_slots_and_arena_without_a_torn_record),
		T(publish_survives_a_scribbled_hint),
		T(publish_passes_a_scribbled_slot),
		T(publish_does_not_repair_what_is_of_a_later_lap),
		T(publish_ends_in_a_ring_full_of_garbage),
		T(publish_of_a_new_scribe_waits_for_its_predecessors_records),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
