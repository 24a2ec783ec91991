/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_ring_live - what ring.h promises of the live ring.
 */

#include "tests/unit/ring_fixture.h"

static int
setup(void **state)
{
	return fixture_setup(state, RING_LIVE);
}

/* Read all there is, checking that values come one after the other. */
static uint64_t
read_all(struct fixture *f, unsigned w, uint64_t cursor)
{
	uint64_t end = ring_limit(f->w[w], cursor);
	size_t len;

	for (; cursor < end; cursor++) {
		assert_int_equal(ring_read(f->w[w], w, cursor, f->buf,
				     sizeof(f->buf), &len),
		    RING_OK);
		assert_int_equal(value_of(f, len), cursor);
	}
	ring_advance(f->w[w], w, cursor);
	return cursor;
}

static void
live_record_is_readable_as_soon_as_it_is_published(void **state)
{
	struct fixture *f = *state;
	uint64_t cursor = join(f, 0);
	size_t len;

	assert_int_equal(cursor, BASE);
	assert_int_equal(ring_limit(f->w[0], cursor), cursor);
	assert_int_equal(ring_read(f->w[0], 0, cursor, f->buf, sizeof(f->buf),
			     &len),
	    RING_EMPTY);
	assert_int_equal(publish(f, 1, BASE, 100), 0);
	assert_int_equal(ring_limit(f->w[0], cursor), cursor + 1);
	assert_int_equal(read_all(f, 0, cursor), cursor + 1);
}

static void
live_consumer_begins_at_the_end(void **state)
{
	struct fixture *f = *state;
	unsigned i;

	for (i = 0; i < 20; i++)
		assert_int_equal(publish(f, i % WORKERS, i, 100), 0);
	assert_int_equal(join(f, 0), BASE + 20);
	assert_int_equal(ring_limit(f->w[0], BASE + 20), BASE + 20);
}

static void
live_ring_without_consumers_never_fills(void **state)
{
	struct fixture *f = *state;
	unsigned i;

	for (i = 0; i < 100 * SLOTS; i++)
		assert_int_equal(publish(f, i % 2, i, 100 + i % 9000), 0);
}

static void
live_ring_goes_on_for_thousands_of_laps(void **state)
{
	struct fixture *f = *state;
	uint64_t cursor[2] = { join(f, 0), join(f, 1) };
	struct ring_info info;
	unsigned i, w;

	srand(3);
	for (i = 0; i < 50000; i++) {
		assert_int_equal(publish(f, 2, BASE + i,
				     100 + (size_t)rand() % 500),
		    0);
		for (w = 0; w < 2; w++)
			if (rand() % 8 == 0 || BASE + i - cursor[w] > 8)
				cursor[w] = read_all(f, w, cursor[w]);
	}
	ring_info(f->w[0], &info);
	assert_int_equal(info.evictions, 0);
	assert_int_equal(info.published, 50000);
}

/* Slots: three producers fill the ring while one consumer stands still. */
static void
live_laggard_of_more_than_three_quarters_is_evicted(void **state)
{
	struct fixture *f = *state;
	uint64_t cursor[2] = { join(f, 0), join(f, 1) };
	struct ring_info info;
	size_t len;
	unsigned i;

	for (i = 0; i < QUOTA * WORKERS; i++)
		assert_int_equal(publish(f, i % WORKERS, BASE + i, 100), 0);
	/* this one is behind as well, but by less than three quarters */
	cursor[1] += SLOTS / 4 + 1;
	ring_advance(f->w[1], 1, cursor[1]);
	assert_int_equal(ring_state(f->w[0], 0), RING_ACTIVE);
	/* a fourth producer takes the rest, a fifth finds the ring full */
	for (i = 0; i <= QUOTA; i++) {
		if (i % QUOTA == 0)
			ring_producer_init(f->scribe, NARENAS - 2 + i / QUOTA);
		make(f, 1, BASE + QUOTA * WORKERS + i, 100);
		assert_int_equal(ring_publish(f->scribe, f->rec, f->len,
				     &(uint64_t){ 0 }),
		    0);
		if (i < QUOTA)
			assert_int_equal(ring_state(f->w[0], 0), RING_ACTIVE);
	}
	assert_int_equal(ring_state(f->w[0], 0), RING_EVICTED);
	assert_int_equal(ring_state(f->w[1], 1), RING_ACTIVE);
	ring_info(f->w[0], &info);
	assert_int_equal(info.evictions, 1);
	assert_int_equal(ring_read(f->w[0], 0, cursor[0], f->buf,
			     sizeof(f->buf), &len),
	    RING_GONE);
	cursor[1] = read_all(f, 1, cursor[1]);
	/* it skips what it missed */
	assert_int_equal(join(f, 0), cursor[1]);
	assert_int_equal(publish(f, 2, cursor[1], 100), 0);
	(void)read_all(f, 0, cursor[1]);
}

/* A consumer that holds most of one producer's records goes, even if the
 * ring is far from full. */
static void
live_laggard_that_holds_a_producers_whole_quota_is_evicted(void **state)
{
	struct fixture *f = *state;
	unsigned i;

	(void)join(f, 0);
	for (i = 0; i < QUOTA; i++)
		assert_int_equal(publish(f, 1, BASE + i, 100), 0);
	assert_int_equal(ring_state(f->w[0], 0), RING_ACTIVE);
	assert_int_equal(publish(f, 1, BASE + i, 100), 0);
	assert_int_equal(ring_state(f->w[0], 0), RING_EVICTED);
}

/* Only who holds that much goes. */
static void
live_laggard_that_holds_a_producers_arena_goes_alone(void **state)
{
	struct fixture *f = *state;
	unsigned i;

	(void)join(f, 0);
	(void)join(f, 2);
	for (i = 0; i < 8; i++)
		assert_int_equal(publish(f, 1, BASE + i, MAX_RECORD / 2), 0);
	ring_advance(f->w[2], 2, BASE + 5);
	assert_int_equal(publish(f, 1, BASE + i, MAX_RECORD / 2), 0);
	assert_int_equal(ring_state(f->w[0], 0), RING_EVICTED);
	assert_int_equal(ring_state(f->w[2], 2), RING_ACTIVE);
}

static void
live_consumer_that_keeps_up_is_not_evicted_by_a_full_arena(void **state)
{
	struct fixture *f = *state;
	uint64_t cursor = join(f, 0);
	unsigned i;

	for (i = 0; i < 1000; i++) {
		assert_int_equal(publish(f, 1, BASE + i, MAX_RECORD - i % 1000),
		    0);
		cursor = read_all(f, 0, cursor);
	}
	assert_int_equal(ring_state(f->w[0], 0), RING_ACTIVE);
}

static void
live_limit_lets_an_overtaken_consumer_notice(void **state)
{
	struct fixture *f = *state;
	uint64_t cursor = join(f, 0);
	size_t len;
	unsigned i;

	for (i = 0; i < 3 * SLOTS; i++)
		assert_int_equal(publish(f, 1, BASE + i, 100), 0);
	assert_true(ring_limit(f->w[0], cursor) > cursor);
	assert_int_equal(ring_read(f->w[0], 0, cursor, f->buf, sizeof(f->buf),
			     &len),
	    RING_GONE);
}

static void
live_scribbled_slot_is_bad_and_passed(void **state)
{
	struct fixture *f = *state;
	uint64_t cursor = join(f, 0);
	size_t len;

	assert_int_equal(publish(f, 1, BASE, 100), 0);
	atomic_store(&f->w[0]->core.slot[1], 0x1234567812345678);
	assert_int_equal(publish(f, 1, BASE + 2, 100), 0);
	assert_int_equal(ring_limit(f->w[0], cursor), BASE + 3);
	assert_int_equal(ring_read(f->w[0], 0, BASE + 1, f->buf, sizeof(f->buf),
			     &len),
	    RING_BAD);
	assert_int_equal(ring_read(f->w[0], 0, BASE + 2, f->buf, sizeof(f->buf),
			     &len),
	    RING_OK);
}

/* A consumer meets the scribbled slot before any producer does. */
static void
live_scribbled_slot_is_repaired_by_a_reader(void **state)
{
	struct fixture *f = *state;
	uint64_t cursor = join(f, 0);
	size_t len;

	atomic_store(&f->w[0]->core.slot[0], 0x1234567812345678);
	assert_int_equal(ring_limit(f->w[0], cursor), BASE + 1);
	assert_int_equal(ring_read(f->w[0], 0, BASE, f->buf, sizeof(f->buf),
			     &len),
	    RING_BAD);
	assert_true(ring_core_is_published(&f->w[0]->core, BASE));
	assert_int_equal(publish(f, 1, BASE + 1, 100), 0);
	(void)read_all(f, 0, BASE + 1);
}

static void
live_publish_wakes_all_sleepers(void **state)
{
	struct fixture *f = *state;

	wake_prepare(f->wake, 0);
	wake_prepare(f->wake, 2);
	wake_prepare(f->wake, WAKE_SCRIBE);
	assert_int_equal(publish(f, 1, BASE, 100), 0);
	assert_true(was_woken(f, 0));
	assert_true(was_woken(f, 2));
	assert_false(was_woken(f, WAKE_SCRIBE));
}

/* With the log ring's interest bits, and everybody eight times a round. */
static void
live_publish_wakes_who_follows_the_room(void **state)
{
	struct ring_geometry g = { RING_LOG, 6, NARENAS, ARENA_BYTES };
	struct fixture *f = *state;
	void *mem = fixture_map(ring_size(&g));
	const char *why = NULL;
	struct ring *log;
	uint8_t id[16] = { 0 };
	unsigned i, woken = 0;

	assert_int_equal(ring_create(mem, ring_size(&g), &g, id, 0), 0);
	log = ring_attach(mem, ring_size(&g), f->wake, &why);
	assert_non_null(log);
	ring_follow_interest(f->w[1], log);
	ring_interest(log, 0, 1, true);
	for (i = 0; i < SLOTS - 1; i++) {
		wake_prepare(f->wake, 0);
		wake_prepare(f->wake, 2);
		assert_int_equal(publish(f, 1, BASE + i, 100), 0);
		assert_true(was_woken(f, 0));
		woken += was_woken(f, 2);
	}
	assert_int_equal(woken, 8);
	ring_detach(&log);
	fixture_unmap(mem, ring_size(&g));
}

static void
live_dead_consumer_holds_nobody(void **state)
{
	struct fixture *f = *state;
	unsigned i;

	(void)join(f, 0);
	for (i = 0; i < QUOTA; i++)
		assert_int_equal(publish(f, 1, BASE + i, 100), 0);
	assert_int_equal(ring_worker_dead(f->scribe, 0, (unsigned)f->arena[0]),
	    BASE + QUOTA);
	assert_int_equal(ring_state(f->w[0], 0), RING_DEAD);
	for (i = 0; i < 10 * SLOTS; i++)
		assert_int_equal(publish(f, 1, i, 100), 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, fixture_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(live_record_is_readable_as_soon_as_it_is_published),
		T(live_consumer_begins_at_the_end),
		T(live_ring_without_consumers_never_fills),
		T(live_ring_goes_on_for_thousands_of_laps),
		T(live_laggard_of_more_than_three_quarters_is_evicted),
		T(live_laggard_that_holds_a_producers_whole_quota_is_evicted),
		T(live_laggard_that_holds_a_producers_arena_goes_alone),
		T(live_consumer_that_keeps_up_is_not_evicted_by_a_full_arena),
		T(live_limit_lets_an_overtaken_consumer_notice),
		T(live_scribbled_slot_is_bad_and_passed),
		T(live_scribbled_slot_is_repaired_by_a_reader),
		T(live_publish_wakes_all_sleepers),
		T(live_publish_wakes_who_follows_the_room),
		T(live_dead_consumer_holds_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
