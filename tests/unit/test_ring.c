/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_ring - making, attaching to and looking into a ring.
 */

#include "tests/unit/ring_fixture.h"

#include <sys/wait.h>

#include <signal.h>

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
ring_refuses_a_geometry_that_is_out_of_range(void **state)
{
	static const struct ring_geometry bad[] = {
		{ RING_LOG, 5, 4, 65536 },
		{ RING_LOG, 25, 4, 65536 },
		{ RING_LOG, 6, 0, 65536 },
		{ RING_LOG, 6, RING_MAX_ARENAS + 1, 65536 },
		{ RING_LOG, 6, 4, 0 },
		{ RING_LOG, 6, 4, 65537 },
		{ RING_LOG, 6, 4, ((size_t)1 << 30) + 64 },
		{ (enum ring_kind)2, 6, 4, 65536 },
	};
	struct fixture *f = *state;
	uint8_t id[16] = { 0 };
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(ring_size(&bad[i]), 0);
		errno = 0;
		assert_int_equal(ring_create(f->mem, f->size, &bad[i], id, 0),
		    -1);
		assert_int_equal(errno, EINVAL);
	}
}

static void
ring_refuses_a_base_between_laps_and_memory_too_small(void **state)
{
	struct ring_geometry g = { RING_LOG, 6, NARENAS, ARENA_BYTES };
	struct fixture *f = *state;
	uint8_t id[16] = { 0 };

	errno = 0;
	assert_int_equal(ring_create(f->mem, f->size, &g, id, SLOTS + 1), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(ring_create(f->mem, f->size - 1, &g, id, SLOTS), -1);
	assert_int_equal(ring_create((char *)f->mem + 64, f->size, &g, id,
			     SLOTS),
	    -1);
}

static void
ring_tells_what_it_was_made_with(void **state)
{
	static const uint8_t id[16] = { 1, 2, 3 };
	struct fixture *f = *state;
	struct ring_info i;

	assert_memory_equal(ring_id(f->w[0]), id, sizeof(id));
	assert_int_equal(ring_base(f->w[0]), BASE);
	assert_int_equal(ring_slots(f->w[0]), SLOTS);
	assert_int_equal(ring_arena_bytes(f->w[0]), ARENA_BYTES);
	assert_int_equal(ring_max_record(f->w[0]), MAX_RECORD);
	ring_info(f->w[0], &i);
	assert_int_equal(i.base, BASE);
	assert_int_equal(i.end, BASE);
	assert_int_equal(i.durable, BASE);
	assert_int_equal(i.free, BASE);
	assert_int_equal(i.occupied, 0);
	assert_int_equal(i.published, 0);
}

static const char *
attach_why(struct fixture *f, size_t size)
{
	const char *why = NULL;

	assert_null(ring_attach(f->mem, size, NULL, &why));
	assert_non_null(why);
	return why;
}

static void
ring_attach_refuses_what_is_no_ring_and_says_why(void **state)
{
	struct fixture *f = *state;
	struct ring_header *h = f->mem, saved = *h;

	(void)attach_why(f, 0);
	(void)attach_why(f, f->size - 1);
	h->magic[0] ^= 1;
	assert_non_null(strstr(attach_why(f, f->size), "no ring"));
	*h = saved;
	h->abi ^= 1;
	assert_non_null(strstr(attach_why(f, f->size), "layout"));
	*h = saved;
	h->log2_slots++;
	assert_non_null(strstr(attach_why(f, f->size), "damaged"));
	*h = saved;
	h->base++;
	assert_non_null(strstr(attach_why(f, f->size), "damaged"));
	*h = saved;
}

static void
ring_abi_is_the_same_in_the_same_build(void **state)
{
	assert_int_equal(ring_abi(), ring_abi());
	assert_int_not_equal(ring_abi(), 0);
}

static void
ring_detach_leaves_null(void **state)
{
	struct ring *r = fixture_attach(*state);

	ring_detach(&r);
	assert_null(r);
	ring_detach(&r);
}

static void
ring_info_counts_what_is_published_and_in_use(void **state)
{
	struct fixture *f = *state;
	struct ring_consumer_info c;
	struct ring_info i;
	unsigned k;

	(void)join(f, 0);
	for (k = 0; k < 10; k++)
		assert_int_equal(publish(f, 0, k, 200), 0);
	ring_info(f->w[1], &i);
	assert_int_equal(i.end, BASE + 10);
	assert_int_equal(i.published, 10);
	assert_int_equal(i.durable, BASE);
	assert_int_equal(i.occupied, 10);
	sequence(f);
	(void)gate(f, 0);
	ring_info(f->w[1], &i);
	assert_int_equal(i.durable, BASE + 10);
	assert_int_equal(i.free, BASE);
	ring_consumer_info(f->w[1], 0, &c);
	assert_int_equal(c.state, RING_ACTIVE);
	assert_int_equal(c.incarnation, 10);
	assert_int_equal(c.cursor, BASE);
	assert_int_equal(c.lag, 10);
	ring_consumer_info(f->w[1], 5, &c);
	assert_int_equal(c.state, RING_FREE);
	assert_int_equal(c.lag, 0);
}

/* The end does not depend on what anybody wrote into the hint. */
static void
ring_info_is_not_misled_by_the_hint(void **state)
{
	static const uint64_t lies[] = { 0, BASE + 11, BASE + 40,
		BASE + SLOTS + 5, UINT64_MAX };
	struct fixture *f = *state;
	struct ring_info info;
	unsigned i;

	for (i = 0; i < 10; i++)
		assert_int_equal(publish(f, 0, i, 200), 0);
	for (i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		atomic_store(&f->scribe->control->hint.v, lies[i]);
		ring_info(f->w[1], &info);
		assert_int_equal(info.end, BASE + 10);
	}
	/* of an old lap, where there is a word that looks right */
	atomic_store(&f->scribe->core.slot[20],
	    ring_word(ring_lap(&f->scribe->core, BASE) + 3, 0, 0));
	atomic_store(&f->scribe->control->hint.v, BASE + 2 * SLOTS + 21);
	ring_info(f->w[1], &info);
	assert_int_equal(info.end, BASE + 10);
}

/* Does writing to 'p' kill a child that has called ring_protect()? */
static bool
is_writable(struct fixture *f, struct ring *r, unsigned arena, char *p)
{
	pid_t pid = fork();
	int status;

	assert_int_not_equal(pid, -1);
	if (pid == 0) {
		signal(SIGSEGV, SIG_DFL);
		if (ring_protect(r, arena) == -1)
			_exit(2);
		*(volatile char *)p = *(volatile char *)p;
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(!WIFEXITED(status) || WEXITSTATUS(status) == 0);
	return WIFEXITED(status);
}

static void
ring_protect_leaves_a_worker_its_own_arena_and_nothing_else(void **state)
{
	struct fixture *f = *state;
	struct ring *r = f->w[0];
	unsigned own = (unsigned)f->arena[0], i;
	char *mem = f->mem;

	assert_false(is_writable(f, r, own, mem));
	assert_true(is_writable(f, r, own, mem + r->at.control));
	assert_true(is_writable(f, r, own, mem + r->at.consumers));
	assert_false(is_writable(f, r, own, mem + r->at.arena_table));
	assert_true(is_writable(f, r, own, mem + r->at.slots));
	assert_false(is_writable(f, r, own, mem + r->at.index));
	assert_true(is_writable(f, r, own, mem + r->at.interest));
	for (i = 0; i < NARENAS; i++)
		assert_int_equal(is_writable(f, r, own,
				     mem + r->at.arenas + i * r->at.stride),
		    i == own);
}

static void
ring_protect_leaves_the_scribe_its_index(void **state)
{
	struct fixture *f = *state;
	struct ring *r = f->scribe;
	char *mem = f->mem;

	assert_true(is_writable(f, r, RING_SCRIBE_ARENA, mem + r->at.index));
	assert_true(is_writable(f, r, RING_SCRIBE_ARENA, mem + r->at.arenas));
	assert_false(is_writable(f, r, RING_SCRIBE_ARENA,
	    mem + r->at.arenas + r->at.stride));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, fixture_teardown)
#define L(name) \
	cmocka_unit_test_setup_teardown(name, setup_live, fixture_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(ring_refuses_a_geometry_that_is_out_of_range),
		T(ring_refuses_a_base_between_laps_and_memory_too_small),
		T(ring_tells_what_it_was_made_with),
		L(ring_tells_what_it_was_made_with),
		T(ring_attach_refuses_what_is_no_ring_and_says_why),
		L(ring_attach_refuses_what_is_no_ring_and_says_why),
		T(ring_abi_is_the_same_in_the_same_build),
		T(ring_detach_leaves_null),
		T(ring_info_counts_what_is_published_and_in_use),
		T(ring_info_is_not_misled_by_the_hint),
		T(ring_protect_leaves_a_worker_its_own_arena_and_nothing_else),
		T(ring_protect_leaves_the_scribe_its_index),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
