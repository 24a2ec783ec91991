/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_handoff - a connection on its way from one worker to another.
 *
 * Two workers of one process, over real sockets; what the receiver does with
 * the connection is not its affair: it is noted.
 */

#include <sys/resource.h>
#include <sys/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/log.h"
#include "shm/client.h"
#include "shm/counter.h"
#include "tests/unit/tables_fixture.h"
#include "worker/conn.h"
#include "worker/handoff.h"
#include "worker/worker.h"

/* slots and incarnations of the two */
#define A 2
#define B 1
#define A_INCARNATION 70
#define B_INCARNATION 71
#define WORKERS 3

static struct {
	struct worker a, b;
	struct client_pool *pool;
	void *tables;
	int inbox[2];
	/* what came out of it */
	unsigned n;
	struct {
		int fd;
		uint32_t slot, generation;
		size_t len;
	} got[200];
	uint8_t bytes[HANDOFF_MAX];
} f;

/* --- the rest of the worker ---------------------------------------------- */

void
conn_receive(struct worker *w, int fd, uint32_t slot, uint32_t generation,
    const void *bytes, size_t len)
{
	assert_ptr_equal(w, &f.b);
	assert_int_equal(client_owner(client_at(f.tables, slot)).state,
	    CLIENT_OPEN);
	assert_int_equal(client_owner(client_at(f.tables, slot)).worker, B);
	f.got[f.n].fd = fd;
	f.got[f.n].slot = slot;
	f.got[f.n].generation = generation;
	f.got[f.n++].len = len;
	memcpy(f.bytes, bytes, len);
}

/* --- fixture --------------------------------------------------------------- */

static void
worker(struct worker *w, unsigned slot, uint32_t incarnation)
{
	w->slot = w->child.slot = slot;
	w->incarnation = incarnation;
	w->tables = f.tables;
	w->child.inbox = slot == B ? f.inbox[0] : -1;
	w->child.noutbox = WORKERS;
	for (unsigned i = 0; i < TABLES_WORKERS; i++)
		w->child.outbox[i] = i == B ? f.inbox[1] : -1;
	assert_int_equal(tables_open_slot(f.tables, slot), 0);
	iobuf_open(&w->io, f.tables, slot);
}

static void
state_of(unsigned slot, enum tables_child_state state)
{
	struct tables *t = f.tables;

	t->state->child[slot].state = state;
}

static int
setup(void **state)
{
	memset(&f, 0, sizeof(f));
	if (small_tables_setup(&f.tables) == -1 ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK,
		0, f.inbox) == -1)
		return -1;
	f.pool = client_pool_new(f.tables);
	worker(&f.a, A, A_INCARNATION);
	worker(&f.b, B, B_INCARNATION);
	state_of(A, TABLES_CHILD_READY);
	state_of(B, TABLES_CHILD_READY);
	return 0;
}

static int
teardown(void **state)
{
	for (unsigned i = 0; i < f.n; i++)
		(void)close(f.got[i].fd);
	(void)close(f.inbox[0]);
	(void)close(f.inbox[1]);
	client_pool_free(&f.pool);
	return small_tables_teardown(&f.tables);
}

/* A connection of A's; what is written to *peer_r is for it to read. */
static struct conn
connection(int *peer_r)
{
	int64_t slot = client_pass(f.pool, A, A_INCARNATION);
	struct conn c = { .worker = &f.a };
	int sv[2];

	assert_true(slot >= 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	c.fd = sv[0];
	*peer_r = sv[1];
	c.slot = (uint32_t)slot;
	c.client = client_at(f.tables, c.slot);
	c.generation = c.client->generation;
	assert_ptr_equal(client_open(f.tables, c.slot, c.generation, A,
			     A_INCARNATION),
	    c.client);
	return c;
}

static struct client_owner
owner_of(const struct conn *c)
{
	return client_owner(client_at(f.tables, c->slot));
}

static uint64_t
count(unsigned worker_slot, enum counter which)
{
	return counter_get(f.tables, worker_slot, which);
}

static unsigned
open_files(void)
{
	unsigned n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) != -1;
	return n;
}

/* --- promises -------------------------------------------------------------- */

static void
a_connection_arrives_with_its_bytes(void **state)
{
	const char head[] = "GET /socket.io/?sid=x HTTP/1.1\r\n\r\n";
	int peer;
	struct conn c = connection(&peer);
	char byte;

	assert_int_equal(handoff_send(&f.a, &c, B, head, sizeof(head)),
	    HANDOFF_SENT);
	(void)close(c.fd);
	assert_int_equal(owner_of(&c).state, CLIENT_HANDED);
	handoff_on_readable(&f.b);
	assert_int_equal(f.n, 1);
	assert_int_equal(f.got[0].slot, c.slot);
	assert_int_equal(f.got[0].generation, c.generation);
	assert_int_equal(f.got[0].len, sizeof(head));
	assert_memory_equal(f.bytes, head, sizeof(head));
	assert_int_equal(owner_of(&c).incarnation, B_INCARNATION);
	/* it is the same connection */
	assert_int_equal(write(peer, "x", 1), 1);
	assert_int_equal(read(f.got[0].fd, &byte, 1), 1);
	assert_true(fcntl(f.got[0].fd, F_GETFD) & FD_CLOEXEC);
	(void)close(f.got[0].fd);
	f.n = 0;
	assert_int_equal(read(peer, &byte, 1), 0);
	(void)close(peer);
	assert_int_equal(count(A, COUNTER_HANDOFFS), 1);
	assert_int_equal(count(B, COUNTER_HANDOFFS_TAKEN), 1);
}

static void
from_no_byte_to_the_most(void **state)
{
	static uint8_t bytes[HANDOFF_MAX];
	int peer[2];
	struct conn c[2] = { connection(&peer[0]), connection(&peer[1]) };

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 7 + i / 251);
	assert_int_equal(handoff_send(&f.a, &c[0], B, NULL, 0), HANDOFF_SENT);
	assert_int_equal(handoff_send(&f.a, &c[1], B, bytes, sizeof(bytes)),
	    HANDOFF_SENT);
	handoff_on_readable(&f.b);
	assert_int_equal(f.n, 2);
	assert_int_equal(f.got[0].len, 0);
	assert_int_equal(f.got[1].len, sizeof(bytes));
	assert_memory_equal(f.bytes, bytes, sizeof(bytes));
	for (int i = 0; i < 2; i++) {
		(void)close(c[i].fd);
		(void)close(peer[i]);
	}
}

static void
who_is_not_ready_gets_nothing(void **state)
{
	static const enum tables_child_state states[] = { TABLES_CHILD_NONE,
		TABLES_CHILD_STARTING, TABLES_CHILD_STOPPING,
		TABLES_CHILD_DEAD };
	int peer;
	struct conn c = connection(&peer);

	assert_true(handoff_is_ready(&f.a, B));
	for (int i = 0; i < 4; i++) {
		state_of(B, states[i]);
		assert_false(handoff_is_ready(&f.a, B));
		assert_int_equal(handoff_send(&f.a, &c, B, "x", 1),
		    HANDOFF_GONE);
	}
	/* a slot that no worker has, as a forged id may name */
	state_of(WORKERS, TABLES_CHILD_READY);
	assert_false(handoff_is_ready(&f.a, WORKERS));
	assert_false(handoff_is_ready(&f.a, 255));
	assert_int_equal(handoff_send(&f.a, &c, 255, "x", 1), HANDOFF_GONE);
	assert_int_equal(owner_of(&c).state, CLIENT_OPEN);
	assert_int_equal(owner_of(&c).worker, A);
	handoff_on_readable(&f.b);
	assert_int_equal(f.n, 0);
	(void)close(c.fd);
	(void)close(peer);
}

static void
a_full_inbox_leaves_everything_as_it_was(void **state)
{
	static uint8_t bytes[HANDOFF_MAX];
	struct chain raw;
	unsigned n = 0;
	int peer[50];
	struct conn c[50];
	enum handoff_result r;

	do {
		c[n] = connection(&peer[n]);
		assert_int_equal(chain_append(&f.a.io, &c[n].client->raw,
				     "some bytes", 10),
		    0);
		raw = c[n].client->raw;
		r = handoff_send(&f.a, &c[n], B, bytes, sizeof(bytes));
		n++;
	} while (r == HANDOFF_SENT && n < 50);
	assert_int_equal(r, HANDOFF_LATER);
	assert_true(n > 2);
	assert_int_equal(owner_of(&c[n - 1]).state, CLIENT_OPEN);
	assert_int_equal(owner_of(&c[n - 1]).worker, A);
	assert_memory_equal(&c[n - 1].client->raw, &raw, sizeof(raw));
	assert_int_equal(count(A, COUNTER_HANDOFFS_LATER), 1);
	/* what is gone owns no chunk */
	assert_int_equal(c[0].client->raw.bytes, 0);
	assert_int_equal(c[0].client->raw.head, 0);
	/* read: then there is room */
	handoff_on_readable(&f.b);
	assert_int_equal(f.n, n - 1);
	assert_int_equal(handoff_send(&f.a, &c[n - 1], B, bytes, 10),
	    HANDOFF_SENT);
	handoff_on_readable(&f.b);
	assert_int_equal(f.n, n);
	for (unsigned i = 0; i < n; i++) {
		(void)close(c[i].fd);
		(void)close(peer[i]);
	}
}

static void
on_buried(void *arg, uint32_t slot, uint32_t generation)
{
	client_release(f.pool, slot);
}

static void
who_was_buried_on_the_way_is_dropped(void **state)
{
	unsigned files;
	int peer;
	struct conn c = connection(&peer);
	char byte;

	assert_int_equal(handoff_send(&f.a, &c, B, "x", 1), HANDOFF_SENT);
	(void)close(c.fd);
	assert_int_equal(client_bury(f.tables, A, A_INCARNATION, on_buried,
			     NULL),
	    1);
	files = open_files();
	handoff_on_readable(&f.b);
	assert_int_equal(f.n, 0);
	assert_int_equal(open_files(), files);
	assert_int_equal(read(peer, &byte, 1), 0);
	(void)close(peer);
	assert_int_equal(count(B, COUNTER_HANDOFFS_TAKEN), 0);
}

static void
the_next_worker_in_a_slot_reads_what_was_sent_to_the_last(void **state)
{
	int peer[2];
	struct conn c[2] = { connection(&peer[0]), connection(&peer[1]) };

	assert_int_equal(handoff_send(&f.a, &c[0], B, "x", 1), HANDOFF_SENT);
	/* it dies */
	assert_int_equal(client_bury(f.tables, B, B_INCARNATION, on_buried,
			     NULL),
	    1);
	/* somebody had looked before, and did not know */
	assert_int_equal(handoff_send(&f.a, &c[1], B, "y", 1), HANDOFF_SENT);
	f.b.incarnation++;
	handoff_on_readable(&f.b);
	assert_int_equal(f.n, 1);
	assert_int_equal(f.got[0].slot, c[1].slot);
	assert_int_equal(owner_of(&c[1]).incarnation, B_INCARNATION + 1);
	for (int i = 0; i < 2; i++) {
		(void)close(c[i].fd);
		(void)close(peer[i]);
	}
}

static void
a_descriptor_that_finds_no_room_closes_the_connection(void **state)
{
	struct rlimit old, none;
	int peer;
	struct conn c = connection(&peer);

	assert_int_equal(handoff_send(&f.a, &c, B, "x", 1), HANDOFF_SENT);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = old;
	/* the lowest place that is free, and nothing from there on */
	none.rlim_cur = (rlim_t)dup(STDIN_FILENO);
	(void)close((int)none.rlim_cur);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	handoff_on_readable(&f.b);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_equal(f.n, 0);
	/* the master is told, and closes its duplicate */
	assert_int_equal(owner_of(&c).state, CLIENT_CLOSED);
	assert_int_equal(owner_of(&c).worker, B);
	assert_int_equal(count(B, COUNTER_CLOSED_OVERLOAD), 1);
	assert_int_equal(client_collect_closed(f.tables, on_buried, NULL), 1);
	(void)close(c.fd);
	(void)close(peer);
}

static void
a_turn_takes_no_more_than_its_budget(void **state)
{
	int peer[100];
	struct conn c[100];
	unsigned n;

	for (n = 0; n < 100; n++) {
		c[n] = connection(&peer[n]);
		assert_int_equal(handoff_send(&f.a, &c[n], B, "x", 1),
		    HANDOFF_SENT);
	}
	handoff_on_readable(&f.b);
	assert_in_range(f.n, 1, 99);
	handoff_on_readable(&f.b);
	assert_int_equal(f.n, 100);
	for (n = 0; n < 100; n++) {
		assert_int_equal(f.got[n].slot, c[n].slot);
		(void)close(c[n].fd);
		(void)close(peer[n]);
	}
}

#undef T
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_connection_arrives_with_its_bytes),
		T(from_no_byte_to_the_most),
		T(who_is_not_ready_gets_nothing),
		T(a_full_inbox_leaves_everything_as_it_was),
		T(who_was_buried_on_the_way_is_dropped),
		T(the_next_worker_in_a_slot_reads_what_was_sent_to_the_last),
		T(a_descriptor_that_finds_no_room_closes_the_connection),
		T(a_turn_takes_no_more_than_its_budget),
	};

	log_set(open("/dev/null", O_WRONLY | O_CLOEXEC), LOG_KIND_FILE,
	    LOG_FORMAT_TEXT, LOG_LEVEL_INFO);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
