/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_ring_read - what ring.h promises to consumers of the log ring.
 */

#include "tests/unit/ring_fixture.h"

static int
setup(void **state)
{
	return fixture_setup(state, RING_LOG);
}

static enum ring_result
read_at(struct fixture *f, unsigned w, uint64_t gseq, size_t *len_r)
{
	return ring_read(f->w[w], w, gseq, f->buf, sizeof(f->buf), len_r);
}

static void
read_returns_what_was_published_with_its_verdict(void **state)
{
	struct fixture *f = *state;
	uint64_t cursor = join(f, 0), gseq;
	struct ring_index ix;
	size_t len;

	assert_int_equal(cursor, BASE);
	make(f, 42, 7, 333);
	assert_int_equal(ring_publish(f->w[1], f->rec, f->len, &gseq), 0);
	sequence(f);
	assert_int_equal(ring_limit(f->w[0], cursor), BASE + 1);
	assert_int_equal(ring_peek(f->w[0], 0, cursor, &ix), RING_OK);
	assert_int_equal(ix.room, 42);
	assert_int_equal(ix.seq, 1);
	assert_int_equal(ix.verdict, RING_STORED);
	assert_int_equal(ix.type, RECORD_MESSAGE);
	assert_int_equal(ix.arena, f->arena[1]);
	assert_int_equal(ix.incarnation, 11);
	assert_int_equal(ix.len, 333);
	assert_int_equal(read_at(f, 0, cursor, &len), RING_OK);
	assert_int_equal(len, 333);
	assert_memory_equal(f->buf, f->rec, len);
}

static void
read_shows_nothing_that_is_not_durable(void **state)
{
	struct fixture *f = *state;
	uint64_t cursor = join(f, 0);
	struct ring_index ix;
	size_t len;

	assert_int_equal(publish(f, 1, 7, 333), 0);
	assert_int_equal(ring_limit(f->w[0], cursor), cursor);
	assert_int_equal(ring_peek(f->w[0], 0, cursor, &ix), RING_EMPTY);
	assert_int_equal(read_at(f, 0, cursor, &len), RING_EMPTY);
	sequence(f);
	assert_int_equal(read_at(f, 0, cursor, &len), RING_OK);
}

static void
read_says_gone_to_who_is_not_active(void **state)
{
	struct fixture *f = *state;
	struct ring_index ix;
	size_t len;

	assert_int_equal(publish(f, 1, 7, 333), 0);
	sequence(f);
	assert_int_equal(ring_state(f->w[0], 0), RING_FREE);
	assert_int_equal(ring_peek(f->w[0], 0, BASE, &ix), RING_GONE);
	assert_int_equal(read_at(f, 0, BASE, &len), RING_GONE);
	ring_join(f->w[0], 0, 10);
	assert_int_equal(ring_state(f->w[0], 0), RING_JOINING);
	assert_int_equal(read_at(f, 0, BASE, &len), RING_GONE);
	(void)gate(f, 0);
	assert_int_equal(ring_state(f->w[0], 0), RING_ACTIVE);
	ring_quit(f->w[0], 0);
	assert_int_equal(read_at(f, 0, BASE, &len), RING_GONE);
}

/* The words of a session are not those of the next one. */
static void
read_says_gone_to_an_earlier_session_of_the_same_worker(void **state)
{
	struct fixture *f = *state;
	struct ring *before = fixture_attach(f);
	struct ring_index ix;

	assert_int_equal(publish(f, 1, 7, 333), 0);
	sequence(f);
	(void)join(f, 0);
	before->active = f->w[0]->active;
	ring_quit(f->w[0], 0);
	(void)join(f, 0);
	assert_int_equal(ring_peek(before, 0, BASE, &ix), RING_GONE);
	assert_int_equal(ring_peek(f->w[0], 0, BASE, &ix), RING_OK);
	ring_detach(&before);
}

static void
join_begins_at_what_is_durable(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(publish(f, 1, 1, 100), 0);
	sequence(f);
	assert_int_equal(publish(f, 1, 2, 100), 0);
	assert_false(ring_join_wanted(f->scribe));
	wake_prepare(f->wake, WAKE_SCRIBE);
	ring_join(f->w[0], 0, 10);
	assert_true(ring_join_wanted(f->scribe));
	assert_true(was_woken(f, WAKE_SCRIBE));
	wake_prepare(f->wake, 0);
	(void)gate(f, 0);
	assert_true(was_woken(f, 0));
	assert_false(ring_join_wanted(f->scribe));
	assert_int_equal(ring_join_pos(f->w[0], 0), BASE + 1);
}

/* A scribe that died with the list of who wants to join in its hands. */
static void
join_is_found_by_a_new_scribe(void **state)
{
	struct fixture *f = *state;

	(void)gate(f, 0);
	ring_join(f->w[0], 0, 10);
	atomic_store(&f->scribe->control->joining.v, 0);
	(void)gate(f, 0);
	assert_int_equal(ring_state(f->w[0], 0), RING_JOINING);
	ring_detach(&f->scribe);
	f->scribe = fixture_attach(f);
	(void)gate(f, 0);
	assert_int_equal(ring_state(f->w[0], 0), RING_ACTIVE);
}

static void
cursor_of_a_consumer_holds_the_slots_until_it_advances(void **state)
{
	struct fixture *f = *state;
	uint64_t cursor = join(f, 0);

	assert_int_equal(publish(f, 1, 1, 100), 0);
	assert_int_equal(publish(f, 1, 2, 100), 0);
	sequence(f);
	(void)gate(f, 0);
	assert_int_equal(ring_free_seq(f->scribe), BASE);
	ring_advance(f->w[0], 0, cursor + 1);
	(void)gate(f, 0);
	assert_int_equal(ring_free_seq(f->scribe), BASE + 1);
	ring_quit(f->w[0], 0);
	(void)gate(f, 0);
	assert_int_equal(ring_free_seq(f->scribe), BASE + 2);
}

/* While JOINING the cursor is the scribe's to set. */
static void
cursor_is_not_moved_by_who_is_not_active(void **state)
{
	struct fixture *f = *state;
	struct ring_consumer_info info;

	ring_join(f->w[0], 0, 10);
	ring_advance(f->w[0], 0, BASE + 50);
	ring_consumer_info(f->scribe, 0, &info);
	assert_int_equal(info.cursor, 0);
	(void)gate(f, 0);
	assert_int_equal(publish(f, 1, 1, 100), 0);
	sequence(f);
	(void)gate(f, 0);
	assert_int_equal(ring_free_seq(f->scribe), BASE);
}

/* A cursor beyond what is durable frees nothing that is not. */
static void
cursor_too_far_ahead_frees_only_what_is_durable(void **state)
{
	struct fixture *f = *state;

	(void)join(f, 0);
	assert_int_equal(publish(f, 1, 1, 100), 0);
	assert_int_equal(publish(f, 1, 2, 100), 0);
	ring_advance(f->w[0], 0, UINT64_MAX);
	(void)gate(f, 0);
	assert_int_equal(ring_free_seq(f->scribe), BASE);
	sequence(f);
	(void)gate(f, 0);
	assert_int_equal(ring_free_seq(f->scribe), BASE + 2);
}

static void
read_calls_a_scribbled_record_bad(void **state)
{
	struct fixture *f = *state;
	uint64_t cursor = join(f, 0);
	size_t len, at;
	unsigned char *arena;

	assert_int_equal(publish(f, 1, 1, 100), 0);
	sequence(f);
	arena = (unsigned char *)f->mem + f->w[1]->at.arenas +
	    (size_t)f->arena[1] * f->w[1]->at.stride;
	for (at = 0; at < 100; at++) {
		arena[at] ^= 0x40;
		assert_int_equal(read_at(f, 0, cursor, &len), RING_BAD);
		arena[at] ^= 0x40;
		assert_int_equal(read_at(f, 0, cursor, &len), RING_OK);
	}
}

/* Words that point nowhere: no arena, past its end, at a length that leads
 * out of it. */
static void
read_calls_a_scribbled_index_word_bad(void **state)
{
	struct fixture *f = *state;
	uint64_t cursor = join(f, 0), tag, i;
	const uint64_t refs[] = { 0xff000000, (uint64_t)NARENAS << 24,
		0x01ffffff, 0x01000000 | ARENA_BYTES / RING_GRANULE,
		0x01000000 | (ARENA_BYTES / RING_GRANULE - 1) };
	struct ring_index ix;
	a_u64 *word;
	size_t len;

	assert_int_equal(publish(f, 1, 1, 100), 0);
	sequence(f);
	word = &f->w[0]->index[offsetof(struct ring_index, word) / 8];
	tag = *word & 0xffffffff00000000;
	for (i = 0; i < sizeof(refs) / sizeof(refs[0]); i++) {
		*word = tag | refs[i];
		assert_int_equal(read_at(f, 0, cursor, &len), RING_BAD);
	}
	*word = (tag + (1ull << 32)) | (uint64_t)f->arena[1] << 24;
	assert_int_equal(read_at(f, 0, cursor, &len), RING_BAD);
	assert_int_equal(ring_peek(f->w[0], 0, cursor, &ix), RING_BAD);
	*word = tag | (uint64_t)f->arena[1] << 24;
	assert_int_equal(read_at(f, 0, cursor, &len), RING_OK);
}

/* A length that leads out of the last arena, and of the mapping. */
static void
read_does_not_follow_a_length_out_of_the_arena(void **state)
{
	struct fixture *f = *state;
	uint64_t cursor = join(f, 0);
	size_t at = ARENA_BYTES - 2 * RING_GRANULE, len;
	uint32_t *lie = (uint32_t *)((char *)f->mem + f->w[0]->at.arenas +
	    (NARENAS - 1) * f->w[0]->at.stride + at);
	a_u64 *word = &f->w[0]->index[offsetof(struct ring_index, word) / 8];

	assert_int_equal(publish(f, 1, 1, 100), 0);
	sequence(f);
	*word = (*word & 0xffffffff00000000) | (uint64_t)(NARENAS - 1) << 24 |
	    at / RING_GRANULE;
	*lie = MAX_RECORD;
	assert_int_equal(read_at(f, 0, cursor, &len), RING_BAD);
	*lie = 2 * RING_GRANULE;
	assert_int_equal(read_at(f, 0, cursor, &len), RING_BAD);
}

static void
interest_of_two_rooms_in_one_word_ends_with_the_last(void **state)
{
	struct fixture *f = *state;
	a_u64 *word = ring_interest_word(f->w[0], 5);
	uint64_t twin;

	for (twin = 6; ring_interest_word(f->w[0], twin) != word; twin++)
		continue;
	ring_interest(f->w[0], 0, 5, true);
	ring_interest(f->w[0], 0, twin, true);
	ring_interest(f->w[1], 1, 5, true);
	assert_int_equal(*word, 3);
	ring_interest(f->w[0], 0, 5, false);
	assert_int_equal(*word, 3);
	ring_interest(f->w[0], 0, twin, false);
	assert_int_equal(*word, 2);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, fixture_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(read_returns_what_was_published_with_its_verdict),
		T(read_shows_nothing_that_is_not_durable),
		T(read_says_gone_to_who_is_not_active),
		T(read_says_gone_to_an_earlier_session_of_the_same_worker),
		T(join_begins_at_what_is_durable),
		T(join_is_found_by_a_new_scribe),
		T(cursor_of_a_consumer_holds_the_slots_until_it_advances),
		T(cursor_is_not_moved_by_who_is_not_active),
		T(cursor_too_far_ahead_frees_only_what_is_durable),
		T(read_calls_a_scribbled_record_bad),
		T(read_calls_a_scribbled_index_word_bad),
		T(read_does_not_follow_a_length_out_of_the_arena),
		T(interest_of_two_rooms_in_one_word_ends_with_the_last),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
