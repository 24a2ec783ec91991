/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_worker_core - connections and sessions of a worker, with an
 * application that only listens above them.
 */

#include <sys/socket.h>

#include <event2/event.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/clock.h"
#include "shm/client.h"
#include "tests/unit/cpu_time.h"
#include "tests/unit/tables_fixture.h"
#include "worker/core.h"
#include "worker/poll.h"
#include "worker/worker.h"

/* slots: this worker's, and another's */
#define A 0
#define B 1
#define INCARNATION 70
/* packets behind a CONNECT, and how many of them are timed together */
#define EARLY 60000
#define BATCH 6000

static struct {
	struct worker w;
	struct config cfg;
	struct client_pool *pool;
	void *tables;
	/* the other worker's inbox: it reads from the first */
	int inbox[2];
	/* events that the application was given, and whether in order */
	unsigned events;
	bool in_order;
	struct clock_shift shift;
} f;

/* --- an application --------------------------------------------------------- */

static const char *
app_nsp(void *ctx, struct span name)
{
	return span_is(name, "/") ? "/" : NULL;
}

/* It is answered later. */
static void
app_connect(void *ctx, struct sock *so, const struct app_connect *req)
{
}

static void
app_event(void *ctx, struct sock *so, const struct app_event *ev)
{
	unsigned n = (unsigned)strtoul(ev->pkt->args.p, NULL, 10);

	f.in_order = f.in_order && n == f.events;
	f.events++;
}

static void
app_disconnect(void *ctx, struct sock *so, const char *reason)
{
}

static const struct app_ops listener = {
	.kind = APP_SOCKETIO,
	.nsp = app_nsp,
	.connect = app_connect,
	.event = app_event,
	.ack = app_event,
	.disconnect = app_disconnect,
};

/* --- fixture ------------------------------------------------------------------ */

static int
setup(void **state)
{
	static char path[] = "/socket.io/";
	struct worker *w = &f.w;
	struct tables *t;

	memset(&f, 0, sizeof(f));
	if (small_tables_setup(&f.tables) == -1 ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK,
		0, f.inbox) == -1)
		return -1;
	t = f.tables;
	f.cfg = (struct config){ .path = path,
		.max_connections = 100,
		.engine_polling = true,
		.engine_websocket = true,
		.engine_ping_interval = 25000,
		.engine_ping_timeout = 20000,
		.engine_upgrade_timeout = 10000,
		.engine_connect_timeout = 45000,
		.engine_max_payload = 16 << 20,
		.limits_send_queue = 1 << 20 };
	f.pool = client_pool_new(t);
	w->slot = w->child.slot = A;
	w->incarnation = INCARNATION;
	w->tables = t;
	w->cfg = &f.cfg;
	w->child.inbox = -1;
	w->child.noutbox = 2;
	w->child.outbox[A] = -1;
	w->child.outbox[B] = f.inbox[1];
	w->app.ops = &listener;
	w->phase = WORKER_SERVING;
	if (tables_open_slot(t, A) == -1)
		return -1;
	t->state->child[B].state = TABLES_CHILD_READY;
	f.in_order = true;
	core_start(w);
	return 0;
}

static int
teardown(void **state)
{
	core_stop(&f.w);
	clock_set_shift(NULL);
	(void)close(f.inbox[0]);
	(void)close(f.inbox[1]);
	client_pool_free(&f.pool);
	return small_tables_teardown(&f.tables);
}

/* Time goes by. */
static void
pass(uint64_t ms)
{
	f.shift.mono_ns += (int64_t)ms * 1000000;
	clock_set_shift(&f.shift);
}

/* Until there is nothing more to do now. */
static void
turns(void)
{
	unsigned i;

	for (i = 0; i < 20; i++) {
		assert_int_not_equal(event_base_loop(f.w.base,
					 EVLOOP_ONCE | EVLOOP_NONBLOCK),
		    -1);
		(void)core_turn(&f.w);
	}
}

/* A connection; the client's end of it in *peer_r. */
static struct conn *
connection(int *peer_r)
{
	int64_t slot = client_pass(f.pool, A, INCARNATION);
	int sv[2], small = 4096;

	assert_true(slot >= 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0,
			     sv),
	    0);
	assert_int_equal(setsockopt(sv[0], SOL_SOCKET, SO_SNDBUF, &small,
			     sizeof(small)),
	    0);
	conn_open(&f.w, sv[0], (uint32_t)slot,
	    client_at(f.tables, (uint32_t)slot)->generation, CONN_WELCOME);
	*peer_r = sv[1];
	return LIST_FIRST(&f.w.conns);
}

static void
say(int peer, const char *text)
{
	assert_int_equal(write(peer, text, strlen(text)), strlen(text));
	turns();
}

static struct session *
polling_session(uint8_t revision)
{
	const struct session_init init = { .revision = revision };

	return session_open(&f.w, NULL, &init);
}

/* --- promises -------------------------------------------------------------------- */

/*
 * Two requests on one connection: the answer to the first is not taken, the
 * second is another worker's.  Returns when that is known, and a second more
 * has gone by since its first byte than since its last.
 */
static struct conn *
waits_for_another_worker(int *peer_r)
{
	struct worker other = { .slot = B };
	struct conn *c = connection(peer_r);
	char sid[SID_SIZE], head[200];
	unsigned i;

	for (i = 0; i < 1000 && !c->writing; i++)
		say(*peer_r, "GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_true(c->writing);
	sid_new(&other, sid);
	snprintf(head, sizeof(head),
	    "GET /socket.io/?EIO=4&transport=polling&sid=%s HTTP/1.1\r\n", sid);
	say(*peer_r, head);
	assert_int_equal(c->client->phase, CONN_HEAD);
	pass(1000);
	say(*peer_r, "Host: x\r\n\r\n");
	assert_int_equal(c->client->phase, CONN_PASSING);
	pass(9500);
	turns();
	return c;
}

static void
nothing_is_passed_before_its_answers_are_taken(void **state)
{
	int peer;
	struct conn *c = waits_for_another_worker(&peer);
	char buf[65536];
	ssize_t n = 0;
	unsigned i;

	assert_ptr_equal(LIST_FIRST(&f.w.conns), c);
	assert_int_equal(c->client->phase, CONN_PASSING);
	assert_true(c->writing);
	assert_int_equal(recv(f.inbox[0], buf, sizeof(buf), MSG_DONTWAIT), -1);
	for (i = 0; i < 1000 && n <= 0; i++) {
		while (read(peer, buf, sizeof(buf)) > 0)
			continue;
		turns();
		n = recv(f.inbox[0], buf, sizeof(buf), MSG_DONTWAIT);
	}
	assert_true(n > 0);
	assert_true(LIST_EMPTY(&f.w.conns));
	(void)close(peer);
}

static void
who_takes_none_is_not_waited_for(void **state)
{
	int peer;

	(void)waits_for_another_worker(&peer);
	pass(1000);
	turns();
	assert_true(LIST_EMPTY(&f.w.conns));
	(void)close(peer);
}

/* How much longer the last packets take than the first. */
static double
say_much_early(struct session *s)
{
	double began = 0, first = 0;
	char text[32];
	unsigned i;

	sock_packet(s, "0", 1);
	assert_non_null(s->socks);
	for (i = 0; i < EARLY; i++) {
		if (i == EARLY - BATCH || i == 0)
			began = cpu_ms();
		snprintf(text, sizeof(text), "2[\"a\",%u]", i);
		sock_packet(s, text, strlen(text));
		if (i == BATCH)
			first = cpu_ms() - began;
	}
	assert_false(s->dead);
	return (cpu_ms() - began) / first;
}

static void
what_comes_before_the_answer_to_connect_is_kept_in_order(void **state)
{
	struct session *s;
	double ratio = 100;
	unsigned i;

	/* the machine may be at something else meanwhile */
	for (i = 0; i < 3 && ratio > 8; i++) {
		s = polling_session(4);
		ratio = say_much_early(s);
		f.events = 0;
		sock_accept(s->socks, NULL, NULL);
		assert_int_equal(f.events, EARLY);
		assert_true(f.in_order);
	}
	assert_true(ratio < 8);
}

static void
who_is_dead_is_in_no_list(void **state)
{
	struct session *s = polling_session(4);
	const struct session *was = s;
	uint32_t i;

	/* it holds most when no chunk is left, while output is flushed */
	poll_rob(s);
	assert_int_equal(f.w.npolls, 1);
	session_lost(s, COUNTER_CLOSED_PEER, "transport error");
	session_reap(&f.w);
	for (i = 0; i < f.w.npolls; i++)
		assert_ptr_not_equal(f.w.polls[i], was);
	turns();
}

static void
a_session_goes_by_the_times_that_it_was_told(void **state)
{
	const struct eio_packet pong = { .type = EIO_PONG };
	struct session *four = polling_session(4), *three = polling_session(3);
	struct worker *w = &f.w;

	f.cfg.engine_ping_interval = 60000;
	f.cfg.engine_ping_timeout = 1000;
	pass(25200);
	turns();
	assert_int_equal(four->ping_due, 0);
	assert_in_range(four->pong_due, w->now_ms + 19000, w->now_ms + 20000);
	session_packet(four, &pong);
	assert_int_equal(four->ping_due, w->now_ms + 25000);
	session_packet(three, &pong);
	assert_int_equal(three->pong_due, w->now_ms + 45000);
	/* who comes now is told others */
	four = polling_session(4);
	assert_int_equal(four->ping_due, w->now_ms + 60000);
}

/* As much as there is for it, turn by turn, and all of it is taken. */
static void
who_takes_what_comes_in_a_turn_is_not_slow(void **state)
{
	const size_t len = 512;
	int peer, turn;
	struct conn *c = connection(&peer);
	char buf[65536];

	f.cfg.limits_send_queue = 4096;
	for (turn = 0; turn < 20; turn++) {
		while (!output_full(&f.w)) {
			memset(output_reserve(&f.w, len), 'x', len);
			output_send(c, output_commit(&f.w), CHAT_EVENT);
		}
		assert_false(c->doomed);
		turns();
		while (read(peer, buf, sizeof(buf)) > 0)
			turns();
	}
	assert_ptr_equal(LIST_FIRST(&f.w.conns), c);
	(void)close(peer);
}

#define W(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		W(nothing_is_passed_before_its_answers_are_taken),
		W(who_takes_none_is_not_waited_for),
		W(what_comes_before_the_answer_to_connect_is_kept_in_order),
		W(who_is_dead_is_in_no_list),
		W(a_session_goes_by_the_times_that_it_was_told),
		W(who_takes_what_comes_in_a_turn_is_not_slow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
