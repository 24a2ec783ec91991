/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_scribe_rings - a scribe process goes from ring to ring, and is killed
 * at any instruction meanwhile; nothing is lost, nothing is there twice.
 *
 * CHATD_ROUNDS=n changes rings so often (default 30), CHATD_SEED=n repeats a
 * run.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/scribe_process.h"

/* What the scribe that runs has said. */
static struct {
	bool ready, mapped, left;
	unsigned kills_before, kills_after;
} said;

static void
listen_to(struct harness *h)
{
	static struct ipc_msg m;

	while (ipc_recv(h->ipc, &m) == 1) {
		switch (m.type) {
		case IPC_READY:
			said.ready = true;
			break;
		case IPC_RINGS_MAPPED:
			assert_int_equal(ipc_get_u64(&m), h->generation);
			assert_int_equal(ipc_get_u8(&m), 1);
			(void)ipc_get_bytes(&m, &(size_t){ 0 });
			said.mapped = true;
			break;
		case IPC_RINGS_LEFT:
			assert_int_equal(ipc_get_u64(&m), h->generation);
			said.left = true;
			break;
		default:
			fail_msg("the scribe sent %s", ipc_name(m.type));
		}
		assert_int_equal(ipc_end(&m), 0);
	}
}

static void
await(struct harness *h, const bool *what)
{
	uint64_t end = clock_mono_ns() + 20 * CLOCK_S_NS;

	for (listen_to(h); !*what && clock_mono_ns() < end; listen_to(h)) {
		deliver(h);
		usleep(200);
	}
	assert_true(*what);
}

static void
begin_scribe(struct harness *h, bool first)
{
	said.ready = said.mapped = said.left = false;
	start_scribe(h, first);
}

static void
replace_scribe(struct harness *h)
{
	kill_scribe(h);
	said.kills_after += h->closed;
	said.kills_before += !h->closed;
	begin_scribe(h, false);
}

/* Publish in bursts for a while. */
static void
traffic(struct harness *h, unsigned us)
{
	uint64_t end = clock_mono_ns() + us * 1000ULL;
	unsigned i;

	do {
		for (i = rnd(h, 40); i > 0; i--) {
			if (rnd(h, 10) == 0 && h->ids > 0)
				(void)publish_message(h, (h->ids - 1) % ROOMS,
				    h->ids - 1);
			else
				h->ids +=
				    publish_message(h, h->ids % ROOMS, h->ids);
		}
		deliver(h);
		usleep(rnd(h, 500));
	} while (clock_mono_ns() < end);
}

static void
offer_next(struct harness *h)
{
	struct ring_geometry g = { .kind = RING_LOG,
		.log2_slots = 6 + rnd(h, 7),
		.narenas = 3,
		.arena_bytes = (size_t)65536 << rnd(h, 4) };
	const uint8_t id[16] = { ++h->ring_name, 1 };
	struct ring_info info;
	const char *why;
	int arena;

	ring_info(h->ring, &info);
	h->generation++;
	said.mapped = said.left = false;
	assert_int_equal(segment_create(&h->next_seg, "next", ring_size(&g),
			     ring_size(&g), ring_abi(), 0, &why),
	    0);
	assert_int_equal(ring_create_next(h->next_seg.mem, h->next_seg.size, &g,
			     id, ((info.end >> 24) + 1) << 24,
			     ring_run(h->ring)),
	    0);
	h->next = ring_attach(h->next_seg.mem, h->next_seg.size, h->wake, &why);
	assert_non_null(h->next);
	arena = ring_arena_take(h->next, SLOT, INCARNATION);
	ring_producer_init(h->next, (unsigned)arena);
	ring_seat(h->next, SLOT, INCARNATION);
	send_next(h);
}

static void
close_old(struct harness *h)
{
	uint64_t end, until = clock_mono_ns() + 10 * CLOCK_S_NS;

	while (ring_close(h->ring, ring_base(h->next), &end) == -1) {
		assert_int_equal(errno, EAGAIN);
		assert_true(clock_mono_ns() < until);
		deliver(h);
	}
	h->closed = true;
	wake_kick_all(h->wake);
}

/* The worker reads the old ring to its end, whoever dies meanwhile. */
static void
read_to_the_end(struct harness *h)
{
	uint64_t until = clock_mono_ns() + 20 * CLOCK_S_NS;
	unsigned kills = rnd(h, 4);

	while (!ring_ends_at(h->ring, h->cursor)) {
		deliver(h);
		if (kills > 0 && rnd(h, 4) == 0) {
			usleep(rnd(h, 3000));
			replace_scribe(h);
			kills--;
		}
		usleep(rnd(h, 300));
		assert_true(clock_mono_ns() < until);
	}
}

/* From now on the next ring is the ring. */
static void
swap(struct harness *h)
{
	ring_detach(&h->ring);
	segment_close(&h->seg);
	h->seg = h->next_seg;
	h->ring = h->next;
	h->next_seg = (struct segment){ .fd = -1 };
	h->next = NULL;
	h->closed = false;
}

static void
change_rings(struct harness *h)
{
	struct ring *old;
	uint64_t base;

	offer_next(h);
	traffic(h, rnd(h, 4000));
	if (rnd(h, 4) == 0)
		replace_scribe(h);
	await(h, &said.mapped);
	traffic(h, rnd(h, 3000));
	close_old(h);
	read_to_the_end(h);
	/* in the next ring, while the scribe may still be in the old one */
	old = h->ring;
	base = ring_base(h->next);
	h->ring = h->next;
	h->cursor = h->published = base;
	traffic(h, rnd(h, 4000));
	if (rnd(h, 2) == 0)
		replace_scribe(h);
	await(h, &said.left);
	traffic(h, rnd(h, 2000));
	h->ring = old;
	swap(h);
}

static unsigned long
number_of(const char *env, unsigned long def)
{
	const char *s = getenv(env);

	return s != NULL ? strtoul(s, NULL, 10) : def;
}

static void
nothing_is_lost_or_doubled_when_rings_follow_on_each_other(void **state)
{
	struct harness *h = *state;
	unsigned rounds = (unsigned)number_of("CHATD_ROUNDS", 30), i;
	uint64_t seed = number_of("CHATD_SEED", (unsigned long)getpid());

	/* whatever goes wrong, the test ends */
	alarm(120 + rounds);
	h->rnd = (seed << 1 | 1) * 0x9e3779b97f4a7c15;
	begin_scribe(h, true);
	join_ring(h);
	await(h, &said.ready);
	for (i = 0; i < rounds; i++) {
		change_rings(h);
		/* one that knows only the new ring */
		if (rnd(h, 3) == 0)
			replace_scribe(h);
	}
	traffic(h, 10000);
	settle(h);
	assert_int_equal(stop_scribe(h), 0);
	check_store(h);
	print_message("seed=%llu rounds=%u kills=%u+%u messages=%u "
		      "duplicates=%u\n",
	    (unsigned long long)seed, rounds, said.kills_before,
	    said.kills_after, h->ids, h->duplicates);
	assert_true(said.kills_after >= rounds / 2);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(nothing_is_lost_or_doubled_when_rings_follow_on_each_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
