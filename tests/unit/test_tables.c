/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_tables - what tables.h promises.
 */

#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "shm/client.h"
#include "shm/counter.h"
#include "shm/iobuf.h"
#include "shm/stream.h"
#include "shm/tables.h"
#include "shm/user.h"
#include "shm/wake.h"
#include "tests/unit/tables_fixture.h"

static void
sizes_that_make_no_sense_are_refused(void **state)
{
	const struct tables_geometry good = small_geometry();
	struct tables_geometry bad[9];
	const char *why;
	size_t i;

	assert_int_not_equal(tables_size(&good), 0);
	for (i = 0; i < 9; i++)
		bad[i] = good;
	bad[0].max_clients = 0;
	bad[1].users = 256;
	bad[2].users = 1000;
	bad[3].addresses = 4;
	bad[4].addresses = 100;
	bad[5].read_bytes = 0;
	bad[6].encode_bytes = 5000;
	bad[7].chunk_bytes = IOBUF_SLAB / 2;
	bad[8].max_clients = 2 << 20;
	for (i = 0; i < 9; i++) {
		assert_int_equal(tables_size(&bad[i]), 0);
		why = NULL;
		errno = 0;
		assert_null(tables_create(&bad[i], &why));
		assert_int_equal(errno, EINVAL);
		assert_non_null(why);
	}
}

static void
sizes_for_any_number_of_connections_are_acceptable(void **state)
{
	static const uint32_t clients[] = { 1, 1000, 19900, 100000, 1 << 20 };
	struct tables_geometry g;
	size_t i;

	for (i = 0; i < sizeof(clients) / sizeof(clients[0]); i++) {
		tables_geometry_init(&g, clients[i], 1000000);
		assert_int_equal(g.max_clients, clients[i]);
		assert_true(g.read_bytes >= 1000000 + (64 << 10));
		assert_true(g.encode_bytes >= 4000000);
		assert_int_not_equal(tables_size(&g), 0);
	}
	tables_geometry_init(&g, 10, 16 << 20);
	assert_true(g.encode_bytes >= 64 << 20);
	assert_int_not_equal(tables_size(&g), 0);
}

/* Where a part begins in its segment. */
#define AT(t, part) ((uintptr_t)(t)->part - (uintptr_t)(t)->seg.mem)

static void
another_process_sees_the_same_parts(void **state)
{
	const struct tables *t = *state;
	struct tables *o = small_tables_again(t);

	assert_non_null(o);
	assert_ptr_not_equal(o->seg.mem, t->seg.mem);
	assert_int_equal(o->seg.size, tables_size(&t->geometry));
	assert_memory_equal(&o->geometry, &t->geometry, sizeof(o->geometry));
	assert_int_equal(AT(o, wake), AT(t, wake));
	assert_int_equal(AT(o, state), AT(t, state));
	assert_int_equal(AT(o, closed), AT(t, closed));
	assert_int_equal(AT(o, counters), AT(t, counters));
	assert_int_equal(AT(o, addresses), AT(t, addresses));
	assert_int_equal(AT(o, clients), AT(t, clients));
	assert_int_equal(AT(o, users), AT(t, users));
	assert_int_equal(o->io_at, t->io_at);
	assert_int_equal(o->io_stride, t->io_stride);
	assert_memory_equal(o->secret, t->secret, TABLES_SECRET);

	t->state->child[TABLES_SCRIBE].pid = 4711;
	t->state->store.state = TABLES_STORE_FULL;
	assert_int_equal(o->state->child[TABLES_SCRIBE].pid, 4711);
	assert_int_equal(o->state->store.state, TABLES_STORE_FULL);
	tables_free(&o);
	assert_null(o);
}

/* A part must be aligned, behind 'at' and within the segment. */
static size_t
part(const struct tables *t, size_t from, size_t len, size_t at)
{
	assert_int_equal(from % 128, 0);
	assert_true(from >= at);
	assert_true(from + len <= t->seg.size);
	return from + len;
}

static void
parts_do_not_overlap(void **state)
{
	const struct tables *t = *state;
	const struct tables_geometry *g = &t->geometry;
	size_t at = sizeof(*g) + TABLES_SECRET;

	assert_int_equal((uintptr_t)t->seg.mem % 128, 0);
	at = part(t, AT(t, wake), wake_size(), at);
	at = part(t, AT(t, state), sizeof(*t->state), at);
	at = part(t, AT(t, closed), (g->max_clients + 63) / 64 * 8, at);
	at = part(t, AT(t, counters), COUNTER_ROWS * sizeof(struct counter_row),
	    at);
	at = part(t, AT(t, addresses), g->addresses * 8, at);
	at =
	    part(t, AT(t, clients), g->max_clients * sizeof(struct client), at);
	at = part(t, AT(t, users), users_size(g->users), at);
	at = part(t, t->io_at, TABLES_WORKERS * t->io_stride, at);
	at = part(t, AT(t, streams), streams_size(g->stream_bytes), at);
	assert_int_equal(at, t->seg.size);
	assert_true(
	    t->io_stride >= g->read_bytes + g->encode_bytes + g->chunk_bytes);
}

static void
other_memory_is_refused(void **state)
{
	const struct tables *t = *state;
	struct tables_geometry *head = t->seg.mem;
	struct segment seg;
	const char *why;

	/* tables whose head lies about their size */
	head->max_clients++;
	assert_null(tables_attach(t->seg.fd, &why));
	assert_int_equal(errno, EINVAL);
	assert_string_equal(why, "the tables are not as large as they say");
	assert_int_not_equal(fcntl(t->seg.fd, F_GETFD), -1);
	head->max_clients--;

	/* a segment of something else, and one too small for the head */
	assert_int_equal(segment_create(&seg, "x", 8192, 0, tables_abi() + 1, 0,
			     &why),
	    0);
	assert_null(tables_attach(seg.fd, &why));
	assert_string_equal(why, "the segment was made by another version");
	segment_close(&seg);
	assert_int_equal(segment_create(&seg, "x", 64, 0, tables_abi(), 0,
			     &why),
	    0);
	assert_null(tables_attach(seg.fd, &why));
	assert_int_not_equal(fcntl(seg.fd, F_GETFD), -1);
	segment_close(&seg);
}

static void
hashes_have_a_key_of_their_own_each_time(void **state)
{
	const struct tables *t = *state;
	static const uint8_t zero[TABLES_SECRET];
	struct tables *o;

	assert_int_equal(small_tables_setup((void **)&o), 0);
	assert_memory_not_equal(t->secret, o->secret, TABLES_SECRET);
	assert_memory_not_equal(t->secret, zero, TABLES_SECRET);
	assert_memory_not_equal(t->secret + TABLES_SECRET - 16, zero, 16);
	tables_free(&o);
}

static void
a_worker_s_memory_is_backed_when_its_slot_is_opened(void **state)
{
	struct tables *t = *state;
	const size_t fixed =
	    iobuf_fixed_size(t->geometry.read_bytes, t->geometry.encode_bytes);
	size_t before = backed_bytes(t->seg.fd);

	assert_true(before < t->io_at + 8192);
	assert_int_equal(tables_open_slot(t, 63), 0);
	assert_true(backed_bytes(t->seg.fd) >= before + fixed);
	before = backed_bytes(t->seg.fd);
	assert_int_equal(tables_open_slot(t, 63), 0);
	assert_int_equal(backed_bytes(t->seg.fd), before);
}

static void
a_closed_slot_gives_its_memory_back(void **state)
{
	struct tables *t = *state;
	const size_t before = backed_bytes(t->seg.fd);
	struct chain c = { 0 };
	struct user_ref u;
	struct iobuf io;

	assert_int_equal(tables_open_slot(t, 2), 0);
	iobuf_open(&io, t, 2);
	assert_int_equal(chain_append(&io, &c, "rest", 4), 0);
	assert_int_equal(user_find_or_add(t, "ada", 3, &u), 0);
	assert_int_equal(user_connect(t, &u, 2, 0, 1), 0);
	assert_true(backed_bytes(t->seg.fd) > before + IOBUF_SLAB);

	tables_close_slot(t, 2);
	assert_int_equal(user_connections(t, &u), 0);
	assert_in_range(backed_bytes(t->seg.fd), before, before + 16384);

	/* and may be opened again */
	assert_int_equal(tables_open_slot(t, 2), 0);
	iobuf_open(&io, t, 2);
	assert_int_equal(iobuf_chunks_used(&io), 0);
}

static void
unused_tables_cost_next_to_nothing(void **state)
{
	struct tables_geometry g;
	struct tables *t;
	char flags[256];
	const char *why;

	tables_geometry_init(&g, 20000, 1000000);
	assert_non_null(t = tables_create(&g, &why));
	assert_in_range(smaps(t->seg.mem, flags), 0, 256);
	assert_non_null(strstr(flags, " dd"));
	tables_free(&t);
}

static void
on_fault(int sig)
{
	_exit(sig == SIGSEGV ? 42 : 43);
}

/* In a child that is the worker in 'slot': 0 if it could write, 42 if not. */
static int
may_write(struct tables *t, unsigned slot, void *at)
{
	volatile uint8_t *p = at;
	int status;
	pid_t pid;

	assert_int_not_equal(pid = fork(), -1);
	if (pid == 0) {
		if (signal(SIGSEGV, on_fault) == SIG_ERR ||
		    tables_protect(t, slot) == -1)
			_exit(1);
		*p = *p;
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* In a child that talks to strangers: 0 if it could read it (or write: 'w'),
 * 42 if not. */
static int
may_narrow(struct tables *t, const void *at, char how)
{
	volatile uint8_t *p = (uint8_t *)(uintptr_t)at;
	uint8_t byte;
	int status;
	pid_t pid;

	assert_int_not_equal(pid = fork(), -1);
	if (pid == 0) {
		if (signal(SIGSEGV, on_fault) == SIG_ERR ||
		    tables_narrow(t) == -1 || t->seg.fd != -1)
			_exit(1);
		byte = *p;
		if (how == 'w')
			*p = byte;
		tables_free(&t);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void
who_talks_to_strangers_has_state_and_counters_only(void **state)
{
	struct tables_geometry g = small_geometry();
	struct tables *t;
	const char *why;
	struct iobuf io;

	assert_non_null(t = tables_create(&g, &why));
	assert_int_equal(tables_open_slot(t, 0), 0);
	iobuf_open(&io, t, 0);
	assert_int_equal(may_narrow(t, t->state, 'w'), 0);
	assert_int_equal(may_narrow(t, t->counters, 'w'), 0);
	assert_int_equal(may_narrow(t, &t->counters[COUNTER_BRIDGE], 'w'), 0);
	assert_int_equal(may_narrow(t, t->wake, 'r'), 0);
	assert_int_equal(may_narrow(t, t->wake, 'w'), 42);
	assert_int_equal(may_narrow(t, t->closed, 'w'), 42);
	assert_int_equal(may_narrow(t, t->secret, 'w'), 42);
	assert_int_equal(may_narrow(t, t->addresses, 'r'), 42);
	assert_int_equal(may_narrow(t, t->clients, 'r'), 42);
	assert_int_equal(may_narrow(t, t->users, 'r'), 42);
	assert_int_equal(may_narrow(t, io.read, 'r'), 42);
	tables_free(&t);
}

static void
a_process_can_write_only_what_is_its_own(void **state)
{
	struct tables_geometry g = small_geometry();
	struct tables *t;
	uint8_t *users, *mem;
	const char *why;
	struct iobuf io;
	unsigned slot;

	/* columns that are whole pages */
	g.users = 4096;
	assert_non_null(t = tables_create(&g, &why));
	mem = t->seg.mem;
	users = (uint8_t *)t->users;
	assert_int_equal(may_write(t, 5, mem), 42);
	assert_int_equal(may_write(t, 5, t->wake), 0);
	assert_int_equal(may_write(t, 5, t->clients), 0);
	assert_int_equal(may_write(t, 5, t->counters), 0);
	assert_int_equal(may_write(t, 5, users), 0);
	for (slot = 4; slot <= 6; slot++) {
		iobuf_open(&io, t, slot);
		assert_int_equal(may_write(t, 5, io.read), slot == 5 ? 0 : 42);
		assert_int_equal(may_write(t, 5, io.chunks),
		    slot == 5 ? 0 : 42);
		assert_int_equal(may_write(t, 5,
				     users + users_column_at(g.users, slot)),
		    slot == 5 ? 0 : 42);
		assert_int_equal(may_write(t, TABLES_SCRIBE, io.read), 42);
	}
	/* any worker may have to finish any stream */
	assert_int_equal(may_write(t, 5, t->streams), 0);
	assert_int_equal(may_write(t, TABLES_SCRIBE, t->streams), 42);
	/* the first and the last have no neighbour on one side */
	iobuf_open(&io, t, 0);
	assert_int_equal(may_write(t, 0, io.read), 0);
	assert_int_equal(may_write(t, 63, io.read), 42);
	iobuf_open(&io, t, 63);
	assert_int_equal(may_write(t, 63, io.read), 0);
	assert_int_equal(may_write(t, 0, io.read), 42);
	tables_free(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(sizes_that_make_no_sense_are_refused),
		T(sizes_for_any_number_of_connections_are_acceptable),
		T(another_process_sees_the_same_parts),
		T(parts_do_not_overlap),
		T(other_memory_is_refused),
		T(hashes_have_a_key_of_their_own_each_time),
		T(a_worker_s_memory_is_backed_when_its_slot_is_opened),
		T(a_closed_slot_gives_its_memory_back),
		T(unused_tables_cost_next_to_nothing),
		T(who_talks_to_strangers_has_state_and_counters_only),
		T(a_process_can_write_only_what_is_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
