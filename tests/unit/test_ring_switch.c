/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_ring_switch - what ring.h promises about a ring that is closed, and
 * the one that follows on it.
 */

#include "tests/unit/ring_fixture.h"

#define NEXT_BASE (64 * SLOTS)

/* Another ring, of 128 slots, as worker 'w' and the scribe see it. */
struct next {
	void *mem;
	size_t size;
	struct ring *scribe, *w;
};

static int
setup(void **state)
{
	return fixture_setup(state, RING_LOG);
}

static int
setup_live(void **state)
{
	return fixture_setup(state, RING_LIVE);
}

static void
next_open(struct fixture *f, struct next *n, unsigned w)
{
	static const uint8_t id[16] = { 9 };
	struct ring_geometry g = { f->scribe->geo.kind, 7, NARENAS,
		ARENA_BYTES };
	const char *why;

	n->size = ring_size(&g);
	n->mem = fixture_map(n->size);
	assert_int_equal(ring_create_next(n->mem, n->size, &g, id, NEXT_BASE,
			     ring_run(f->scribe)),
	    0);
	n->scribe = ring_attach(n->mem, n->size, f->wake, &why);
	n->w = ring_attach(n->mem, n->size, f->wake, &why);
	assert_non_null(n->scribe);
	assert_non_null(n->w);
	ring_producer_init(n->w,
	    (unsigned)ring_arena_take(n->scribe, w, 10 + w));
}

static void
next_close(struct next *n)
{
	ring_detach(&n->w);
	ring_detach(&n->scribe);
	fixture_unmap(n->mem, n->size);
}

static uint64_t
close_ring(struct fixture *f)
{
	uint64_t end = 0;

	assert_int_equal(ring_close(f->scribe, NEXT_BASE, &end), 0);
	return end;
}

static void
assert_closed(struct fixture *f, unsigned w)
{
	errno = 0;
	assert_int_equal(publish(f, w, 9, 100), -1);
	assert_int_equal(errno, ESHUTDOWN);
}

static void
nothing_is_published_after_the_end(void **state)
{
	struct fixture *f = *state;
	uint64_t end;

	assert_false(ring_closed(f->w[0], &end));
	assert_false(ring_ends_at(f->w[0], BASE));
	assert_int_equal(publish(f, 0, 1, 100), 0);
	assert_int_equal(publish(f, 1, 2, 100), 0);
	assert_int_equal(close_ring(f), BASE + 2);
	/* who published before, and who never did */
	assert_closed(f, 0);
	assert_closed(f, 1);
	assert_closed(f, 2);
	assert_true(ring_closed(f->w[2], &end));
	assert_int_equal(end, BASE + 2);
	assert_false(ring_ends_at(f->w[0], BASE + 1));
	assert_true(ring_ends_at(f->w[0], BASE + 2));
	assert_false(ring_ends_at(f->w[0], BASE + 3));
	errno = 0;
	assert_int_equal(ring_close(f->scribe, NEXT_BASE, &end), -1);
	assert_int_equal(errno, EALREADY);
}

static void
the_end_is_no_record(void **state)
{
	struct fixture *f = *state;
	struct ring_index ix;
	struct ring_info info;
	uint64_t end;
	size_t len;

	assert_int_equal(publish(f, 0, 1, 100), 0);
	end = close_ring(f);
	assert_true(ring_published(f->scribe, end - 1));
	assert_false(ring_published(f->scribe, end));
	assert_int_equal(ring_fetch(f->scribe, end, f->buf, sizeof(f->buf),
			     &len, &ix),
	    RING_EMPTY);
	sequence(f);
	assert_int_equal(f->next, end);
	ring_info(f->scribe, &info);
	assert_int_equal(info.end, end);
	assert_int_equal(info.durable, end);
}

/* The hint moves once a line of slots, and may be scribbled. */
static void
no_hint_leads_past_the_end(void **state)
{
	struct fixture *f = *state;
	unsigned i;
	uint64_t end;

	for (i = 0; i < RING_HINT_STEP - 1; i++)
		assert_int_equal(publish(f, i % 2, i, 100), 0);
	/* the last slot of a line: closing it moves the hint */
	end = close_ring(f);
	assert_int_equal(end % RING_HINT_STEP, RING_HINT_STEP - 1);
	assert_closed(f, 2);
	for (i = 0; i < 3 * RING_HINT_STEP; i++) {
		A_STORE(f->scribe->core.hint, end + i, A_RELAXED);
		assert_closed(f, i % WORKERS);
		assert_int_equal(ring_end_from(f->scribe, BASE), end);
	}
	assert_false(ring_published(f->scribe, end + 1));
}

static void
a_ring_that_came_too_far_is_not_closed(void **state)
{
	struct fixture *f = *state;
	uint64_t end;

	assert_int_equal(publish(f, 0, 1, 100), 0);
	errno = 0;
	assert_int_equal(ring_close(f->scribe, BASE + 1, &end), -1);
	assert_int_equal(errno, ERANGE);
	assert_false(ring_closed(f->scribe, &end));
	/* nothing has happened */
	assert_int_equal(publish(f, 0, 2, 100), 0);
	assert_int_equal(ring_close(f->scribe, BASE + 3, &end), 0);
	assert_int_equal(end, BASE + 2);
}

static void
a_full_log_ring_is_closed_as_soon_as_there_is_room(void **state)
{
	struct fixture *f = *state;
	unsigned i;
	uint64_t end;

	ring_producer_init(f->scribe, RING_SCRIBE_ARENA);
	for (i = 0; i < SLOTS; i++) {
		struct ring *r = i % 4 == 3 ? f->scribe : f->w[i % 4];
		uint64_t gseq;

		make(f, 1, i, 100);
		assert_int_equal(ring_publish(r, f->rec, f->len, &gseq), 0);
	}
	errno = 0;
	assert_int_equal(ring_close(f->scribe, NEXT_BASE, &end), -1);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(publish(f, 0, 1, 100), -1);
	assert_int_equal(errno, EAGAIN);
	sequence(f);
	(void)gate(f, 0);
	assert_int_equal(close_ring(f), BASE + SLOTS);
	assert_closed(f, 0);
}

static void
who_finds_its_arena_full_hears_that_the_ring_is_closed(void **state)
{
	struct fixture *f = *state;
	unsigned i;

	for (i = 0; i < 4; i++)
		assert_int_equal(publish(f, 0, i, MAX_RECORD), 0);
	assert_int_equal(publish(f, 0, 9, 100), -1);
	assert_int_equal(errno, EAGAIN);
	(void)close_ring(f);
	/* nobody will ever make room there */
	assert_closed(f, 0);
}

static void
readers_come_to_the_end_and_go_on_at_the_base(void **state)
{
	struct fixture *f = *state;
	struct ring_index ix;
	struct next n;
	uint64_t gseq;
	size_t len;

	assert_int_equal(join(f, 0), BASE);
	next_open(f, &n, 0);
	ring_seat(n.w, 0, 10);
	assert_int_equal(publish(f, 0, 1, 100), 0);
	assert_int_equal(close_ring(f), BASE + 1);
	assert_closed(f, 0);
	make(f, 1, 2, 100);
	assert_int_equal(ring_publish(n.w, f->rec, f->len, &gseq), 0);
	assert_int_equal(gseq, NEXT_BASE);
	sequence(f);
	assert_int_equal(ring_limit(f->w[0], BASE), BASE + 1);
	assert_true(ring_ends_at(f->w[0], BASE + 1));

	/* the scribe goes on, and the seat holds the record */
	assert_true(ring_published(n.scribe, NEXT_BASE));
	assert_int_equal(ring_fetch(n.scribe, NEXT_BASE, f->buf, sizeof(f->buf),
			     &len, &ix),
	    RING_OK);
	ix.verdict = RING_STORED;
	ring_decide(n.scribe, NEXT_BASE, &ix);
	ring_durable(n.scribe, NEXT_BASE, NEXT_BASE + 1);
	(void)ring_gate(n.scribe, f->now_ns);
	assert_int_equal(ring_free_seq(n.scribe), NEXT_BASE);
	assert_int_equal(ring_state(n.w, 0), RING_ACTIVE);
	assert_int_equal(ring_join_pos(n.w, 0), NEXT_BASE);
	assert_int_equal(ring_limit(n.w, NEXT_BASE), NEXT_BASE + 1);
	assert_int_equal(ring_read(n.w, 0, NEXT_BASE, f->buf, sizeof(f->buf),
			     &len),
	    RING_OK);
	assert_int_equal(value_of(f, len), 2);
	ring_advance(n.w, 0, NEXT_BASE + 1);
	(void)ring_gate(n.scribe, f->now_ns);
	assert_int_equal(ring_free_seq(n.scribe), NEXT_BASE + 1);
	next_close(&n);
}

static void
a_seat_that_nobody_fills_is_taken_away_like_any_laggards(void **state)
{
	struct fixture *f = *state;
	struct next n;
	uint64_t now = f->now_ns;

	next_open(f, &n, 0);
	ring_seat(n.w, 0, 10);
	ring_durable(n.scribe, NEXT_BASE, NEXT_BASE + 8);
	ring_want_space(n.w, 1);
	assert_int_equal(ring_gate(n.scribe, now), 0);
	assert_int_equal(ring_gate(n.scribe, now + 300 * MS), 1);
	assert_int_equal(ring_state(n.w, 0), RING_EVICTED);
	/* and it joins like any other */
	ring_join(n.w, 0, 10);
	(void)ring_gate(n.scribe, now + 301 * MS);
	assert_int_equal(ring_state(n.w, 0), RING_ACTIVE);
	assert_int_equal(ring_join_pos(n.w, 0), NEXT_BASE + 8);
	next_close(&n);
}

static void
who_takes_the_seat_of_the_dead_has_a_session_of_its_own(void **state)
{
	struct fixture *f = *state;
	struct next n;
	uint64_t before;

	next_open(f, &n, 0);
	ring_seat(n.w, 0, 10);
	before = n.w->active;
	(void)ring_worker_dead(n.scribe, 0, n.w->prod.arena);
	assert_int_equal(ring_state(n.w, 0), RING_DEAD);
	/* its arena is free at once: nothing was published there */
	assert_int_equal(ring_arena_take(n.scribe, 0, 20), n.w->prod.arena);
	ring_seat(n.w, 0, 20);
	assert_int_equal(ring_state(n.w, 0), RING_ACTIVE);
	assert_int_not_equal(n.w->active, before);
	next_close(&n);
}

static void
interest_is_shown_in_both_rings(void **state)
{
	struct fixture *f = *state;
	struct next n;
	uint64_t bit = ring_bit(0);

	ring_interest(f->w[0], 0, 5, true);
	next_open(f, &n, 0);
	ring_mirror_interest(f->w[0], 0, n.w);
	assert_int_equal(*ring_interest_word(n.w, 5) & bit, bit);
	ring_interest(f->w[0], 0, 6, true);
	ring_interest(f->w[0], 0, 5, false);
	assert_int_equal(*ring_interest_word(n.w, 6) & bit, bit);
	assert_int_equal(*ring_interest_word(n.w, 5) & bit, 0);
	assert_int_equal(*ring_interest_word(f->w[0], 5) & bit, 0);
	/* the next ring goes on by itself */
	ring_interest(n.w, 0, 6, false);
	assert_int_equal(*ring_interest_word(n.w, 6) & bit, 0);
	ring_mirror_interest(f->w[0], 0, NULL);
	ring_interest(f->w[0], 0, 7, true);
	assert_int_equal(*ring_interest_word(n.w, 7) & bit, 0);
	next_close(&n);
}

static void
the_run_is_that_of_the_first_ring(void **state)
{
	struct fixture *f = *state;
	struct next n;

	assert_int_equal(ring_run(f->scribe), BASE);
	next_open(f, &n, 0);
	assert_int_equal(ring_base(n.w), NEXT_BASE);
	assert_int_equal(ring_run(n.w), BASE);
	next_close(&n);
}

/* --- the live ring --------------------------------------------------------- */

static void
live_readers_come_to_the_end(void **state)
{
	struct fixture *f = *state;
	uint64_t at = join(f, 0);
	size_t len;

	assert_int_equal(publish(f, 1, 1, 100), 0);
	assert_int_equal(close_ring(f), BASE + 1);
	assert_int_equal(ring_limit(f->w[0], at), BASE + 1);
	assert_int_equal(ring_read(f->w[0], 0, at, f->buf, sizeof(f->buf),
			     &len),
	    RING_OK);
	assert_int_equal(ring_limit(f->w[0], at + 1), BASE + 1);
	assert_true(ring_ends_at(f->w[0], at + 1));
	assert_closed(f, 0);
	assert_closed(f, 1);
}

/* A consumer that stands still, and a ring that is full. */
static void
a_full_live_ring_is_closed_at_once(void **state)
{
	struct fixture *f = *state;
	unsigned i;
	uint64_t end;

	(void)join(f, 0);
	for (i = 0; i < SLOTS; i++)
		assert_int_equal(publish(f, i % WORKERS, i, 100), 0);
	end = close_ring(f);
	assert_true(end >= BASE + SLOTS);
	assert_int_equal(ring_state(f->w[0], 0), RING_EVICTED);
	/* who was evicted joins at the end, and goes on from there */
	assert_int_equal(join(f, 0), end);
	assert_true(ring_ends_at(f->w[0], end));
}

#define LOG(name) cmocka_unit_test_setup_teardown(name, setup, fixture_teardown)
#define LIVE(name) \
	cmocka_unit_test_setup_teardown(name, setup_live, fixture_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		LOG(nothing_is_published_after_the_end),
		LOG(the_end_is_no_record),
		LOG(no_hint_leads_past_the_end),
		LOG(a_ring_that_came_too_far_is_not_closed),
		LOG(a_full_log_ring_is_closed_as_soon_as_there_is_room),
		LOG(who_finds_its_arena_full_hears_that_the_ring_is_closed),
		LOG(readers_come_to_the_end_and_go_on_at_the_base),
		LOG(a_seat_that_nobody_fills_is_taken_away_like_any_laggards),
		LOG(who_takes_the_seat_of_the_dead_has_a_session_of_its_own),
		LOG(interest_is_shown_in_both_rings),
		LOG(the_run_is_that_of_the_first_ring),
		LIVE(live_readers_come_to_the_end),
		LIVE(a_full_live_ring_is_closed_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
