/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_scribe_process - what a scribe does that the master tells it, from
 * HELLO to its exit.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "shm/counter.h"
#include "tests/unit/scribe_process.h"

static void
stop_commits_all_that_was_published(void **state)
{
	struct harness *h = *state;
	uint32_t i;

	start_scribe(h, true);
	join_ring(h);
	wait_ready(h);
	for (i = 0; i < 500; i++) {
		assert_true(publish_message(h, i % ROOMS, i));
		h->ids++;
	}
	assert_int_equal(stop_scribe(h), 0);
	deliver(h);
	assert_int_equal(h->cursor, h->published);
	check_store(h);
}

static void
without_a_master_it_commits_for_a_while_and_goes(void **state)
{
	struct harness *h = *state;
	uint64_t begin;
	int status;

	start_scribe(h, true);
	join_ring(h);
	wait_ready(h);
	begin = clock_mono_ns();
	ipc_free(&h->ipc);
	/* a worker that has not noticed yet */
	usleep(200000);
	assert_true(publish_message(h, 0, 0));
	h->ids = 1;
	assert_int_equal(waitpid(h->scribe, &status, 0), h->scribe);
	assert_true(clock_mono_ns() - begin < 5 * CLOCK_S_NS);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	deliver(h);
	check_store(h);
}

/* The next message from the scribe, which must be of this type. */
static struct ipc_msg *
expect(struct harness *h, enum ipc_type type)
{
	static struct ipc_msg m;
	struct pollfd p = { .fd = ipc_fd(h->ipc), .events = POLLIN };

	assert_int_equal(poll(&p, 1, 10000), 1);
	assert_int_equal(ipc_recv(h->ipc, &m), 1);
	assert_int_equal(m.type, type);
	return &m;
}

static void
prepare(struct harness *h, uint64_t serial, int fd, bool ok)
{
	static struct ipc_msg m;
	struct ipc_msg *in;
	char why[64];

	ipc_begin(&m, IPC_CONFIG_PREPARE);
	ipc_put_u64(&m, serial);
	ipc_put_u8(&m, 0);
	ipc_put_fd(&m, fd);
	assert_int_equal(ipc_send(h->ipc, &m), 0);
	in = expect(h, IPC_CONFIG_PREPARED);
	assert_int_equal(ipc_get_u64(in), serial);
	assert_int_equal(ipc_get_u8(in), ok);
	ipc_get_str(in, why, sizeof(why));
	assert_int_equal(ipc_end(in), 0);
	assert_int_equal(why[0] == '\0', ok);
}

static void
switch_to(struct harness *h, uint64_t serial, bool take)
{
	static struct ipc_msg m;
	struct ipc_msg *in;

	ipc_begin(&m, IPC_CONFIG_SWITCH);
	ipc_put_u64(&m, serial);
	ipc_put_u8(&m, take);
	assert_int_equal(ipc_send(h->ipc, &m), 0);
	if (!take)
		return;
	in = expect(h, IPC_CONFIG_SWITCHED);
	assert_int_equal(ipc_get_u64(in), serial);
	assert_int_equal(ipc_end(in), 0);
}

static enum ring_verdict
join_verdict(struct harness *h, unsigned room, unsigned socket)
{
	struct ring_index ix;
	uint64_t at = h->published;

	assert_true(publish_join(h, room, socket));
	while (ring_limit(h->ring, at) <= at)
		usleep(200);
	assert_int_equal(ring_peek(h->ring, SLOT, at, &ix), RING_OK);
	h->cursor = h->published;
	ring_advance(h->ring, SLOT, h->cursor);
	return (enum ring_verdict)ix.verdict;
}

/* A configuration with one option set; a descriptor. */
static int
config_with(const char *option)
{
	const char *const overrides[] = { "auth.mode=none", option };
	struct config_source src = { .overrides = overrides,
		.noverrides = 2,
		.without_files = true };
	struct config_errors errors;
	struct config *cfg;
	int fd;

	assert_non_null(cfg = config_load(&src, &errors));
	assert_int_not_equal(fd = config_memfd(cfg), -1);
	config_free(&cfg);
	return fd;
}

static void
a_configuration_counts_when_it_is_switched_to(void **state)
{
	struct harness *h = *state;
	int fd = config_with("limits.members_per_session=2");

	start_scribe(h, true);
	join_ring(h);
	wait_ready(h);
	assert_int_equal(join_verdict(h, 0, 1), RING_STORED);
	prepare(h, 1, fd, true);
	assert_int_equal(join_verdict(h, 0, 2), RING_STORED);
	switch_to(h, 1, false);
	assert_int_equal(join_verdict(h, 0, 3), RING_STORED);
	/* forgotten is forgotten */
	prepare(h, 2, h->efd[0], false);
	prepare(h, 3, fd, true);
	switch_to(h, 3, true);
	assert_int_equal(join_verdict(h, 0, 4), RING_SESSION_FULL);
	assert_int_equal(join_verdict(h, 1, 1), RING_STORED);
	assert_int_equal(join_verdict(h, 1, 2), RING_SESSION_FULL);
	assert_int_equal(stop_scribe(h), 0);
	close(fd);
}

/* Rows of the table, once the page tells of them. */
static uint64_t
entries(struct harness *h, const char *table)
{
	struct tables_store *page = &h->tables->state->store;
	unsigned i;

	for (i = 0; i < page->ntables; i++)
		if (strcmp(page->table[i].name, table) == 0)
			return page->table[i].entries;
	fail();
	return 0;
}

static void
who_does_not_come_back_is_forgotten(void **state)
{
	const char *const join[] = { "w", "s0", "ada", "Ada", "socket", "",
		"a-pid-of-20-letters-", "" };
	const char *const leave[] = { "socket", "ada", "transport close" };
	struct record rec = { .type = RECORD_JOIN };
	struct harness *h = *state;
	uint64_t end = clock_mono_ns() + 15 * CLOCK_S_NS;
	int fd = config_with("recovery.window=1ms");

	start_scribe(h, true);
	join_ring(h);
	wait_ready(h);
	assert_true(publish(h, &rec, join, 8, (struct flight){ .type = 0 }));
	rec.type = RECORD_LEAVE;
	rec.flags = RECORD_F_LOST;
	rec.room = h->room[0];
	rec.user = h->user;
	assert_true(publish(h, &rec, leave, 3, (struct flight){ .type = 0 }));
	while (entries(h, "recovery") == 0 && clock_mono_ns() < end)
		usleep(10000);
	assert_int_equal(entries(h, "recovery"), 1);
	prepare(h, 1, fd, true);
	switch_to(h, 1, true);
	while (entries(h, "recovery") != 0 && clock_mono_ns() < end)
		usleep(10000);
	assert_int_equal(entries(h, "recovery"), 0);
	assert_int_equal(counter_get(h->tables, COUNTER_SCRIBE,
			     COUNTER_RECOVERY_OVER),
	    1);
	assert_int_equal(stop_scribe(h), 0);
	close(fd);
}

static void
members_of_a_dead_worker_are_gone_within_a_second(void **state)
{
	static struct ipc_msg m;
	struct harness *h = *state;
	uint64_t begin, end;

	start_scribe(h, true);
	join_ring(h);
	wait_ready(h);
	begin = clock_mono_ns();
	ipc_begin(&m, IPC_WORKER_DEAD);
	ipc_put_u32(&m, SLOT);
	ipc_put_u32(&m, INCARNATION);
	ipc_put_u64(&m, h->published);
	ipc_put_u32(&m, 0);
	assert_int_equal(ipc_send(h->ipc, &m), 0);
	/* one member in each room */
	end = h->published + ROOMS;
	while (ring_limit(h->ring, h->cursor) < end &&
	    clock_mono_ns() - begin < 5 * CLOCK_S_NS)
		usleep(500);
	assert_int_equal(ring_limit(h->ring, h->cursor), end);
	assert_true(clock_mono_ns() - begin < CLOCK_S_NS);
	memset(h->present, 0, sizeof(h->present));
	assert_int_equal(stop_scribe(h), 0);
	check_store(h);
}

static void
the_tables_tell_how_the_store_is(void **state)
{
	struct harness *h = *state;
	struct tables_store *page = &h->tables->state->store;
	uint64_t end = clock_mono_ns() + 5 * CLOCK_S_NS;
	unsigned i, n;

	start_scribe(h, true);
	join_ring(h);
	wait_ready(h);
	assert_int_equal(page->state, TABLES_STORE_OK);
	for (i = 0; i < 50; i++)
		assert_true(publish_message(h, i % ROOMS, i));
	h->ids = i;
	settle(h);
	n = page->ntables;
	assert_true(n >= 6);
	for (i = 0; i < n; i++)
		if (strcmp(page->table[i].name, "msg") == 0)
			break;
	assert_true(i < n);
	while (page->table[i].entries != 50 && clock_mono_ns() < end)
		usleep(1000);
	assert_int_equal(page->table[i].entries, 50);
	assert_true(page->map_used > 0);
	assert_int_equal(page->map_max, h->cfg->store_max_bytes);
	assert_true(page->batch_max >= 1);
	assert_int_equal(stop_scribe(h), 0);
}

static void
a_base_below_the_store_has_its_own_exit_status(void **state)
{
	struct harness *h = *state;
	int status;

	start_scribe(h, true);
	join_ring(h);
	wait_ready(h);
	assert_int_equal(stop_scribe(h), 0);
	/* the same positions again, in a ring of another name */
	teardown_shared(h);
	h->ring_name++;
	setup_shared(h);
	start_scribe(h, true);
	assert_int_equal(waitpid(h->scribe, &status, 0), h->scribe);
	ipc_free(&h->ipc);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), ROLE_EXIT_BASE);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(stop_commits_all_that_was_published),
		T(without_a_master_it_commits_for_a_while_and_goes),
		T(a_configuration_counts_when_it_is_switched_to),
		T(who_does_not_come_back_is_forgotten),
		T(members_of_a_dead_worker_are_gone_within_a_second),
		T(the_tables_tell_how_the_store_is),
		T(a_base_below_the_store_has_its_own_exit_status),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
