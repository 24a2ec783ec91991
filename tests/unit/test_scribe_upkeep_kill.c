/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_scribe_upkeep_kill - a scribe that merges and removes messages is
 * killed at any instruction, again and again: each id that was ever stored
 * is still known with its first seq and time, and the newest messages of
 * each room are there.
 *
 * CHATD_KILLS=n kills so often (default 25), CHATD_SEED=n repeats a run.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "shm/counter.h"
#include "tests/unit/scribe_process.h"

#define KEEP 300
/* so few rooms that each has enough to be merged */
#define BUSY_ROOMS 2

static int
setup_limits(void **state)
{
	const char *const overrides[] = { "auth.mode=none",
		"store.max_messages_per_session=300", "store.ballast=1m" };
	struct config_source src = { .overrides = overrides,
		.noverrides = 3,
		.without_files = true };
	struct config_errors errors;
	struct harness *h;

	if (setup(state) == -1)
		return -1;
	h = *state;
	close(h->cfg_fd);
	config_free(&h->cfg);
	if ((h->cfg = config_load(&src, &errors)) == NULL)
		return -1;
	h->cfg_fd = config_memfd(h->cfg);
	return h->cfg_fd == -1 ? -1 : 0;
}

static void
traffic(struct harness *h, unsigned us)
{
	uint64_t end = clock_mono_ns() + us * 1000ULL;
	unsigned i, burst;
	uint32_t id;

	do {
		burst = 1 + rnd(h, 200);
		for (i = 0; i < burst; i++) {
			if (rnd(h, 5) == 0 && h->ids > 0) {
				id = rnd(h, h->ids);
				(void)publish_message(h, id % BUSY_ROOMS, id);
			} else if (h->ids < MAX_IDS) {
				h->ids += publish_message(h,
				    h->ids % BUSY_ROOMS, h->ids);
			}
		}
		deliver(h);
		usleep(rnd(h, 300));
	} while (clock_mono_ns() < end);
}

/* All ids once more: on_message() insists on the first seq and time. */
static void
send_all_again(struct harness *h)
{
	uint64_t end = clock_mono_ns() + 60 * CLOCK_S_NS;
	unsigned before;
	uint32_t id = 0;

	settle(h);
	before = h->duplicates;
	while (id < h->ids && clock_mono_ns() < end) {
		if (publish_message(h, id % BUSY_ROOMS, id))
			id++;
		else
			usleep(200);
		deliver(h);
	}
	settle(h);
	assert_int_equal(h->duplicates - before, h->ids);
}

static void
check_newest(struct harness *h)
{
	struct store_message m;
	struct store_txn *t;
	struct store *s;
	const char *why;
	uint64_t last, seq;
	unsigned room;

	assert_non_null(s = store_open(STORE_READ, &why));
	assert_non_null(t = store_snapshot(s));
	for (room = 0; room < BUSY_ROOMS; room++) {
		struct store_query q = { .room = h->room[room], .count = 1 };
		unsigned n;
		bool more;

		assert_int_equal(store_last_seq(t, h->room[room], &last), 0);
		assert_int_equal(last, h->seq[room]);
		seq = last > KEEP ? last - KEEP + 1 : 1;
		assert_int_equal(store_page(t, &q, &m, &n, &more), 0);
		assert_int_equal(m.seq, seq);
		for (; seq <= last; seq++)
			assert_int_equal(store_message_get(t, h->room[room],
					     seq, &m),
			    0);
	}
	assert_int_equal(store_bad_values(s), 0);
	store_snapshot_end(&t);
	store_close(&s);
}

/* The master asks for it, and is told what was done. */
static void
run_retention(struct harness *h)
{
	struct pollfd p = { .fd = ipc_fd(h->ipc), .events = POLLIN };
	static struct ipc_msg m;
	char why[100];

	ipc_begin(&m, IPC_RETENTION);
	ipc_put_u64(&m, 77);
	assert_int_equal(ipc_send(h->ipc, &m), 0);
	do {
		assert_int_equal(poll(&p, 1, 60000), 1);
		assert_int_equal(ipc_recv(h->ipc, &m), 1);
	} while (m.type == IPC_READY);
	assert_int_equal(m.type, IPC_RETENTION_DONE);
	assert_int_equal(ipc_get_u64(&m), 77);
	ipc_get_str(&m, why, sizeof(why));
	assert_string_equal(why, "");
	assert_int_equal(ipc_get_u64(&m), ROOMS);
	(void)ipc_get_u64(&m);
	(void)ipc_get_u64(&m);
	assert_int_equal(ipc_end(&m), 0);
}

static unsigned long
number_of(const char *env, unsigned long def)
{
	const char *s = getenv(env);

	return s != NULL ? strtoul(s, NULL, 10) : def;
}

static void
what_was_merged_or_removed_is_known_whenever_the_scribe_dies(void **state)
{
	struct harness *h = *state;
	unsigned kills = (unsigned)number_of("CHATD_KILLS", 25), i;
	uint64_t seed = number_of("CHATD_SEED", (unsigned long)getpid());
	uint64_t end;

	/* whatever goes wrong, the test ends */
	alarm(240 + kills);
	h->rnd = (seed << 1 | 1) * 0x9e3779b97f4a7c15;
	print_message("seed=%llu\n", (unsigned long long)seed);
	start_scribe(h, true);
	join_ring(h);
	wait_ready(h);
	/* enough to be merged and removed, from the first kill on */
	end = clock_mono_ns() + 60 * CLOCK_S_NS;
	while (h->ids < MAX_IDS / 2 && clock_mono_ns() < end &&
	    (h->ids < 10000 ||
		counter_get(h->tables, COUNTER_SCRIBE, COUNTER_IDS_MERGED) ==
		    0))
		traffic(h, 1000);
	for (i = 0; i < kills; i++) {
		traffic(h, rnd(h, 4) == 0 ? rnd(h, 150000) : rnd(h, 30000));
		kill_scribe(h);
		deliver(h);
		start_scribe(h, false);
	}
	settle(h);
	run_retention(h);
	send_all_again(h);
	assert_int_equal(stop_scribe(h), 0);
	check_newest(h);
	print_message("kills=%u in_flight=%u ids=%u duplicates=%u trimmed=%llu "
		      "merged=%llu\n",
	    h->kills, h->kills_in_flight, h->ids, h->duplicates,
	    (unsigned long long)counter_get(h->tables, COUNTER_SCRIBE,
		COUNTER_TRIMMED),
	    (unsigned long long)counter_get(h->tables, COUNTER_SCRIBE,
		COUNTER_IDS_MERGED));
	assert_true(
	    counter_get(h->tables, COUNTER_SCRIBE, COUNTER_TRIMMED) > 0);
	assert_true(
	    counter_get(h->tables, COUNTER_SCRIBE, COUNTER_IDS_MERGED) > 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup_limits, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(what_was_merged_or_removed_is_known_whenever_the_scribe_dies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
