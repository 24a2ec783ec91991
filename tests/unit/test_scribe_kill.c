/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_scribe_kill - a scribe process is killed at any instruction, again
 * and again; nothing that was durable is lost, nothing is there twice.
 *
 * CHATD_KILLS=n kills so often (default 30), CHATD_SEED=n repeats a run.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/scribe_process.h"

static void
one_event(struct harness *h)
{
	unsigned what = rnd(h, 20), room = rnd(h, ROOMS);
	uint32_t id;

	if (what == 0) {
		(void)publish_join(h, room, rnd(h, SOCKETS));
	} else if (what == 1) {
		(void)publish_leave(h, room, rnd(h, SOCKETS));
	} else if (what < 5 && h->ids > 0) {
		/* again: one that is just under way, or an old one */
		id = what == 2 ? h->ids - 1 : rnd(h, h->ids);
		(void)publish_message(h, id % ROOMS, id);
	} else if (h->ids < MAX_IDS) {
		h->ids += publish_message(h, h->ids % ROOMS, h->ids);
	}
}

/* Publish in bursts for a while. */
static void
traffic(struct harness *h, unsigned us)
{
	uint64_t end = clock_mono_ns() + us * 1000ULL;
	unsigned i, burst;

	do {
		burst = 1 + rnd(h, 60);
		for (i = 0; i < burst; i++)
			one_event(h);
		deliver(h);
		usleep(rnd(h, 500));
	} while (clock_mono_ns() < end);
}

static unsigned long
number_of(const char *env, unsigned long def)
{
	const char *s = getenv(env);

	return s != NULL ? strtoul(s, NULL, 10) : def;
}

static void
nothing_is_lost_or_doubled_whenever_the_scribe_dies(void **state)
{
	struct harness *h = *state;
	unsigned kills = (unsigned)number_of("CHATD_KILLS", 30), i;
	uint64_t seed = number_of("CHATD_SEED", (unsigned long)getpid());
	uint64_t begin = clock_mono_ns();

	/* whatever goes wrong, the test ends */
	alarm(120 + kills);
	h->rnd = (seed << 1 | 1) * 0x9e3779b97f4a7c15;
	start_scribe(h, true);
	join_ring(h);
	wait_ready(h);
	for (i = 0; i < kills; i++) {
		/* sometimes before it has said that it is ready */
		traffic(h, rnd(h, 3) == 0 ? rnd(h, 8000) : rnd(h, 40000));
		kill_scribe(h);
		deliver(h);
		start_scribe(h, false);
	}
	traffic(h, 20000);
	settle(h);
	assert_int_equal(stop_scribe(h), 0);
	check_store(h);
	print_message("seed=%llu kills=%u in_flight=%u messages=%u "
		      "duplicates=%u ms=%llu\n",
	    (unsigned long long)seed, h->kills, h->kills_in_flight, h->ids,
	    h->duplicates,
	    (unsigned long long)((clock_mono_ns() - begin) / CLOCK_MS_NS));
	assert_true(h->kills_in_flight >= kills / 3);
	assert_true(h->duplicates > 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(nothing_is_lost_or_doubled_whenever_the_scribe_dies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
