/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_deal - what deal.h promises about clients on their way to a worker.
 *
 * The tables are real, the workers are not: what is sent to them is kept.
 */

#include <sys/socket.h>

#include <netinet/in.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <event2/event.h>

#include "common/config.h"
#include "master/child.h"
#include "master/deal.h"
#include "master/listen.h"
#include "master/master.h"
#include "master/supervise.h"
#include "shm/client.h"
#include "shm/counter.h"
#include "tests/unit/tables_fixture.h"

#define WORKERS 3
#define MAX_CLIENTS 150
#define REFUSE_SLOTS 50

/* One client as a worker was told of it. */
struct passed {
	uint32_t slot, generation;
	uint8_t flags;
	int fd;
};

static struct {
	struct master m;
	struct config cfg;
	struct child worker[WORKERS];
	/* sending to this one fails */
	bool broken[WORKERS];
	/* its channel is full */
	bool full[WORKERS];
	struct passed passed[WORKERS][300];
	unsigned npassed[WORKERS];
	unsigned messages;
	unsigned room_told;
	void *tables;
} f;

/* --- the rest of the master ---------------------------------------------- */

struct ipc_msg *
child_message(enum ipc_type type)
{
	static struct ipc_msg msg;

	ipc_begin(&msg, type);
	return &msg;
}

int
child_send(struct child *c, const struct ipc_msg *m)
{
	struct ipc_msg copy = *m;
	uint32_t n;

	assert_int_equal(m->type, IPC_CLIENTS);
	assert_false(m->bad);
	if (f.broken[c->slot])
		return -1;
	f.messages++;
	n = ipc_get_u32(&copy);
	assert_int_equal(n, m->nfds);
	assert_in_range(n, 1, DEAL_BATCH);
	for (uint32_t i = 0; i < n; i++) {
		struct passed *p = &f.passed[c->slot][f.npassed[c->slot]++];

		p->slot = ipc_get_u32(&copy);
		p->generation = ipc_get_u32(&copy);
		p->flags = ipc_get_u8(&copy);
		p->fd = m->fds[i];
	}
	return 0;
}

bool
child_takes(const struct child *c)
{
	return c->state == TABLES_CHILD_READY && !f.full[c->slot];
}

struct child *
supervise_worker(struct supervisor *s, unsigned slot)
{
	return &f.worker[slot];
}

void
listeners_room(struct listeners *l)
{
	f.room_told++;
}

/* --- fixture --------------------------------------------------------------- */

static int
setup(void **state)
{
	memset(&f, 0, sizeof(f));
	if (small_tables_setup(&f.tables) == -1)
		return -1;
	f.m.shared.tables = f.tables;
	f.m.cfg = &f.cfg;
	f.m.workers = WORKERS;
	f.m.max_clients = MAX_CLIENTS;
	f.m.refuse_slots = REFUSE_SLOTS;
	f.m.max_files = 20000;
	if ((f.m.base = event_base_new()) == NULL)
		return -1;
	for (unsigned i = 0; i < WORKERS; i++) {
		f.worker[i].slot = i;
		f.worker[i].incarnation = 10 + i;
		f.worker[i].state = TABLES_CHILD_READY;
		if (tables_open_slot(f.tables, i) == -1)
			return -1;
	}
	f.m.deal = deal_new(&f.m);
	return 0;
}

static int
teardown(void **state)
{
	deal_free(&f.m.deal);
	event_base_free(f.m.base);
	return small_tables_teardown(&f.tables);
}

/* Comes from a TCP address, or from a Unix socket (0). */
static struct deal_client
client(unsigned host)
{
	struct deal_client c = { .fd = open("/dev/null", O_RDONLY) };
	struct sockaddr_in sin = { .sin_family = AF_INET,
		.sin_port = htons(4711) };

	assert_true(c.fd != -1);
	sin.sin_addr.s_addr = htonl(0x0a000000 + host);
	if (host == 0)
		c.peer.ss_family = AF_UNIX;
	else
		memcpy(&c.peer, &sin, sizeof(sin));
	return c;
}

static void
come(unsigned n, unsigned host)
{
	struct deal_client c[DEAL_BATCH];

	for (unsigned i = 0; i < n; i++)
		c[i] = client(host);
	assert_true(deal_room(f.m.deal) >= n);
	deal_clients(f.m.deal, c, n);
}

/* The worker takes what it was told of. */
static void
take(unsigned worker, unsigned i)
{
	const struct passed *p = &f.passed[worker][i];

	assert_non_null(client_open(f.tables, p->slot, p->generation, worker,
	    f.worker[worker].incarnation));
	gauge_add(f.tables, worker, GAUGE_CONNECTIONS, 1);
}

static void
loop(unsigned ms)
{
	const struct timeval tv = { .tv_usec = ms * 1000 };

	(void)event_base_loopexit(f.m.base, &tv);
	(void)event_base_dispatch(f.m.base);
}

static struct client_owner
owner_of(const struct passed *p)
{
	return client_owner(client_at(f.tables, p->slot));
}

static bool
is_open(int fd)
{
	return fcntl(fd, F_GETFD) != -1;
}

/* --- promises -------------------------------------------------------------- */

static void
clients_are_spread_and_each_worker_gets_one_message(void **state)
{
	come(64, 1);
	assert_int_equal(f.messages, 3);
	assert_int_equal(f.npassed[0] + f.npassed[1] + f.npassed[2], 64);
	for (unsigned i = 0; i < WORKERS; i++)
		assert_in_range(f.npassed[i], 21, 22);
	assert_int_equal(deal_used(f.m.deal), 64);
	assert_int_equal(counter_get(f.tables, COUNTER_MASTER,
			     COUNTER_ACCEPTED),
	    64);
}

static void
a_worker_finds_its_client_in_the_table(void **state)
{
	const struct passed *p = &f.passed[0][0];
	struct client *c;

	come(1, 77);
	c = client_at(f.tables, p->slot);
	assert_int_equal(client_state(c), CLIENT_PASSED);
	assert_int_equal(c->generation, p->generation);
	assert_int_equal(client_owner(c).incarnation, 10);
	assert_int_equal(c->peer_family, AF_INET);
	assert_int_equal(c->peer_port, htons(4711));
	assert_memory_equal(c->peer, ((uint8_t[]){ 10, 0, 0, 77 }), 4);
	assert_int_equal(c->flags, 0);
	assert_true(is_open(p->fd));
	f.worker[0].state = TABLES_CHILD_DEAD;
	come(1, 0);
	c = client_at(f.tables, f.passed[1][0].slot);
	assert_int_equal(c->peer_family, AF_UNIX);
	assert_int_equal(c->flags, CLIENT_F_UNIX | CLIENT_F_UNCOUNTED);
	assert_int_equal(f.passed[1][0].flags, c->flags);
}

static void
load_is_what_a_worker_has_and_what_waits_for_it(void **state)
{
	gauge_set(f.tables, 0, GAUGE_CONNECTIONS, 5);
	gauge_set(f.tables, 1, GAUGE_CONNECTIONS, 2);
	come(8, 1);
	/* 5 each */
	assert_int_equal(f.npassed[0], 0);
	assert_int_equal(f.npassed[1], 3);
	assert_int_equal(f.npassed[2], 5);
	/* what they have taken counts once */
	for (unsigned i = 0; i < f.npassed[2]; i++)
		take(2, i);
	gauge_add(f.tables, 0, GAUGE_CONNECTIONS, 1);
	f.npassed[0] = f.npassed[1] = f.npassed[2] = 0;
	come(2, 1);
	assert_int_equal(f.npassed[1], 1);
	assert_int_equal(f.npassed[2], 1);
}

static void
who_is_dead_or_stuck_gets_nobody(void **state)
{
	f.worker[0].state = TABLES_CHILD_STARTING;
	f.full[2] = true;
	come(10, 1);
	assert_int_equal(f.npassed[1], 10);
	f.worker[1].state = TABLES_CHILD_DEAD;
	assert_int_equal(deal_room(f.m.deal), 0);
	deal_worker_ready(f.m.deal, 0);
	assert_int_equal(f.room_told, 1);
}

static void
clients_of_a_worker_that_just_ended_go_to_another(void **state)
{
	f.broken[0] = f.broken[1] = true;
	come(60, 9);
	assert_int_equal(f.npassed[2], 60);
	assert_int_equal(deal_used(f.m.deal), 60);
	for (unsigned i = 0; i < 60; i++) {
		const struct passed *p = &f.passed[2][i];

		assert_true(is_open(p->fd));
		assert_int_equal(owner_of(p).worker, 2);
	}
}

static void
without_any_worker_nothing_is_kept(void **state)
{
	struct deal_client c = client(1);

	f.broken[0] = f.broken[1] = f.broken[2] = true;
	deal_clients(f.m.deal, &c, 1);
	assert_int_equal(deal_used(f.m.deal), 0);
	assert_false(is_open(c.fd));
}

static void
a_closed_client_frees_its_slot_and_descriptor(void **state)
{
	const struct passed *p = &f.passed[0][0];
	unsigned told;

	come(1, 1);
	take(0, 0);
	loop(120);
	assert_int_equal(deal_used(f.m.deal), 1);
	told = f.room_told;
	client_mark_closed(f.tables, p->slot);
	loop(120);
	assert_int_equal(deal_used(f.m.deal), 0);
	assert_false(is_open(p->fd));
	assert_int_equal(owner_of(p).state, CLIENT_FREE);
	assert_int_equal(f.room_told, told + 1);
}

static void
beyond_the_maximum_clients_are_marked_until_there_are_no_slots(void **state)
{
	unsigned refused = 0;

	while (deal_used(f.m.deal) < MAX_CLIENTS)
		come(10, 1);
	for (unsigned i = 0; i < WORKERS; i++) {
		for (unsigned k = 0; k < f.npassed[i]; k++)
			assert_int_equal(f.passed[i][k].flags, 0);
		f.npassed[i] = 0;
	}
	while (deal_room(f.m.deal) > 0)
		come(10, 1);
	assert_int_equal(deal_used(f.m.deal), MAX_CLIENTS + REFUSE_SLOTS);
	for (unsigned i = 0; i < WORKERS; i++)
		for (unsigned k = 0; k < f.npassed[i]; k++, refused++) {
			const struct passed *p = &f.passed[i][k];

			assert_int_equal(p->flags, 1);
			assert_int_equal(client_at(f.tables, p->slot)->flags,
			    CLIENT_F_REFUSED);
		}
	assert_int_equal(refused, REFUSE_SLOTS);
	assert_int_equal(counter_get(f.tables, COUNTER_MASTER, COUNTER_REFUSED),
	    REFUSE_SLOTS);
}

static void
an_address_that_comes_too_often_is_marked(void **state)
{
	unsigned marked = 0;

	f.cfg.limits_connect_rate = 6;
	come(10, 1);
	come(6, 2);
	/* a Unix socket has no address */
	come(10, 0);
	for (unsigned i = 0; i < WORKERS; i++)
		for (unsigned k = 0; k < f.npassed[i]; k++)
			marked += (f.passed[i][k].flags & 4) != 0;
	assert_int_equal(marked, 4);
	assert_int_equal(counter_get(f.tables, COUNTER_MASTER,
			     COUNTER_CONNECT_LIMITED),
	    4);
}

/* What is known of one that comes now. */
static uint16_t
flags_of(struct deal_client c)
{
	static unsigned before[WORKERS];

	memcpy(before, f.npassed, sizeof(before));
	assert_int_not_equal(deal_room(f.m.deal), 0);
	deal_clients(f.m.deal, &c, 1);
	for (unsigned i = 0; i < WORKERS; i++) {
		const struct passed *p = &f.passed[i][before[i]];

		if (f.npassed[i] == before[i])
			continue;
		assert_int_equal(p->flags, client_at(f.tables, p->slot)->flags);
		return p->flags;
	}
	fail();
	return 0;
}

static void
who_is_in_between_is_not_limited_here(void **state)
{
	struct config_net net = { .family = AF_INET,
		.bits = 31,
		.addr = { 10, 0, 0, 2 } };
	struct deal_client c;

	f.cfg.limits_connect_rate = 1;
	f.cfg.trusted = &net;
	f.cfg.ntrusted = 1;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(flags_of(client(2)),
		    CLIENT_F_TRUSTED | CLIENT_F_UNCOUNTED);
		/* not trusted, whatever the listener: that is asked of the
		 * one whom the header names */
		for (unsigned host = 1; host <= 3; host++) {
			c = client(host);
			c.proxy = true;
			assert_int_equal(flags_of(c),
			    CLIENT_F_PROXY | CLIENT_F_UNCOUNTED);
		}
		assert_int_equal(flags_of(client(0)),
		    CLIENT_F_UNIX | CLIENT_F_UNCOUNTED);
	}
	f.cfg.trusted_unix = true;
	assert_int_equal(flags_of(client(0)),
	    CLIENT_F_UNIX | CLIENT_F_TRUSTED | CLIENT_F_UNCOUNTED);
	c = client(0);
	c.proxy = true;
	assert_int_equal(flags_of(c),
	    CLIENT_F_UNIX | CLIENT_F_PROXY | CLIENT_F_UNCOUNTED);
	/* neighbours of the net are clients */
	assert_int_equal(flags_of(client(1)), 0);
	assert_int_equal(flags_of(client(4)), 0);
	assert_int_equal(flags_of(client(4)), CLIENT_F_LIMITED);
}

static void
what_was_handed_to_a_dead_worker_is_let_go(void **state)
{
	const struct passed *p = &f.passed[0][0];

	f.worker[1].state = f.worker[2].state = TABLES_CHILD_DEAD;
	come(4, 1);
	for (unsigned i = 0; i < 4; i++)
		take(0, i);
	client_hand(f.tables, p[0].slot, 1);
	client_hand(f.tables, p[1].slot, 2);
	client_hand(f.tables, p[2].slot, 2);
	assert_non_null(client_take_handed(f.tables, p[2].slot, p[2].generation,
	    2, f.worker[2].incarnation));
	/* with whom it was to be, though the one that gave it lives */
	deal_worker_dead(f.m.deal, 1, f.worker[1].incarnation);
	loop(20);
	assert_int_equal(deal_used(f.m.deal), 3);
	assert_int_equal(owner_of(&p[0]).state, CLIENT_FREE);
	/* not there to get it */
	deal_worker_absent(f.m.deal, 2);
	loop(20);
	assert_int_equal(deal_used(f.m.deal), 2);
	assert_int_equal(owner_of(&p[1]).state, CLIENT_FREE);
	/* who had taken it keeps it, whoever had given it */
	deal_worker_dead(f.m.deal, 0, f.worker[0].incarnation);
	loop(20);
	assert_int_equal(deal_used(f.m.deal), 1);
	assert_int_equal(owner_of(&p[2]).state, CLIENT_OPEN);
	assert_true(is_open(p[2].fd));
}

static void
what_a_dead_worker_never_took_goes_to_others(void **state)
{
	unsigned was[WORKERS], more = 0;

	f.worker[1].state = f.worker[2].state = TABLES_CHILD_DEAD;
	come(60, 1);
	come(40, 1);
	for (unsigned i = 0; i < 10; i++)
		take(0, i);
	f.worker[1].state = f.worker[2].state = TABLES_CHILD_READY;
	memcpy(was, f.npassed, sizeof(was));
	deal_worker_dead(f.m.deal, 0, f.worker[0].incarnation);
	loop(20);
	/* not to the dead one, whose state may still say READY */
	assert_int_equal(f.npassed[0], was[0]);
	for (unsigned i = 1; i < WORKERS; i++) {
		more += f.npassed[i] - was[i];
		for (unsigned k = was[i]; k < f.npassed[i]; k++) {
			assert_int_equal(owner_of(&f.passed[i][k]).state,
			    CLIENT_PASSED);
			assert_true(is_open(f.passed[i][k].fd));
		}
	}
	assert_int_equal(more, 90);
	assert_int_equal(deal_used(f.m.deal), 90);
	assert_int_equal(counter_get(f.tables, COUNTER_MASTER,
			     COUNTER_CLOSED_WORKER),
	    10);
}

static void
a_dead_workers_clients_are_shut_down_and_let_go(void **state)
{
	struct deal_client c = { .fd = -1 };
	char byte;
	int sv[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	f.worker[1].state = f.worker[2].state = TABLES_CHILD_DEAD;
	come(30, 1);
	c.fd = sv[0];
	c.peer.ss_family = AF_UNIX;
	deal_clients(f.m.deal, &c, 1);
	take(0, 0);
	/* its process has a duplicate, and is not quite gone */
	sv[0] = dup(sv[0]);
	f.worker[0].state = TABLES_CHILD_DEAD;
	deal_worker_dead(f.m.deal, 0, f.worker[0].incarnation);
	loop(20);
	assert_int_equal(deal_used(f.m.deal), 0);
	assert_int_equal(recv(sv[1], &byte, 1, MSG_DONTWAIT), 0);
	assert_int_equal(counter_get(f.tables, COUNTER_MASTER,
			     COUNTER_CLOSED_WORKER),
	    31);
	(void)close(sv[0]);
	(void)close(sv[1]);
}

static void
another_incarnations_clients_are_left_alone(void **state)
{
	f.worker[1].state = f.worker[2].state = TABLES_CHILD_DEAD;
	come(3, 1);
	deal_worker_dead(f.m.deal, 0, f.worker[0].incarnation - 1);
	loop(20);
	assert_int_equal(deal_used(f.m.deal), 3);
}

static void
a_worker_that_takes_nobody_is_not_buried_in_clients(void **state)
{
	/* it may have a thousand waiting, and then no more */
	f.worker[1].state = f.worker[2].state = TABLES_CHILD_DEAD;
	f.m.max_files = 256 + 100;
	come(36, 1);
	assert_true(deal_room(f.m.deal) > 0);
	come(1, 1);
	assert_int_equal(deal_room(f.m.deal), 0);
}

#undef T
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(clients_are_spread_and_each_worker_gets_one_message),
		T(a_worker_finds_its_client_in_the_table),
		T(load_is_what_a_worker_has_and_what_waits_for_it),
		T(who_is_dead_or_stuck_gets_nobody),
		T(clients_of_a_worker_that_just_ended_go_to_another),
		T(without_any_worker_nothing_is_kept),
		T(a_closed_client_frees_its_slot_and_descriptor),
		T(beyond_the_maximum_clients_are_marked_until_there_are_no_slots),
		T(an_address_that_comes_too_often_is_marked),
		T(who_is_in_between_is_not_limited_here),
		T(what_was_handed_to_a_dead_worker_is_let_go),
		T(what_a_dead_worker_never_took_goes_to_others),
		T(a_dead_workers_clients_are_shut_down_and_let_go),
		T(another_incarnations_clients_are_left_alone),
		T(a_worker_that_takes_nobody_is_not_buried_in_clients),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
