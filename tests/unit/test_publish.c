/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_publish - what publish.h promises about events on their way.
 */

#include <sys/mman.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "worker/publish.h"

#define SLOT 3
#define INCARNATION 77

struct fixture {
	void *log_mem, *live_mem;
	size_t size;
	struct ring *log, *live;
	struct publisher *p;
	uint64_t next;
	/* of what the scribe took last */
	unsigned flags;
};

static struct ring *
make_ring(enum ring_kind kind, void **mem_r, size_t *size_r)
{
	struct ring_geometry g = {
		.kind = kind,
		.log2_slots = 6,
		.narenas = 4,
		.arena_bytes = 65536,
	};
	static const uint8_t id[16] = "publish";
	const char *why;
	struct ring *r;
	int arena;

	*size_r = ring_size(&g);
	*mem_r = mmap(NULL, *size_r, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(*mem_r != MAP_FAILED);
	assert_int_equal(ring_create(*mem_r, *size_r, &g, id, 64), 0);
	r = ring_attach(*mem_r, *size_r, NULL, &why);
	assert_non_null(r);
	arena = ring_arena_take(r, SLOT, INCARNATION);
	assert_true(arena >= 0);
	ring_producer_init(r, (unsigned)arena);
	return r;
}

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->log = make_ring(RING_LOG, &f->log_mem, &f->size);
	f->live = make_ring(RING_LIVE, &f->live_mem, &f->size);
	f->p = publisher_new(f->log, f->live, SLOT);
	f->next = 64;
	*state = f;
	return f->p == NULL ? -1 : 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	publisher_free(&f->p);
	ring_detach(&f->log);
	ring_detach(&f->live);
	munmap(f->log_mem, f->size);
	munmap(f->live_mem, f->size);
	free(f);
	return 0;
}

static struct chat_event
message(const char *id)
{
	struct chat_event ev = {
		.type = CHAT_MESSAGE,
		.room = 5,
		.user = 9,
		.nfields = 3,
	};

	ev.field[0] = (struct chat_str){ id, strlen(id) };
	ev.field[1] = (struct chat_str){ "socket", 6 };
	ev.field[2] = (struct chat_str){ "\"id\":1", 6 };
	return ev;
}

static struct publish_waiter
waiter(uint32_t request)
{
	return (struct publish_waiter){ 11, 22, request };
}

/* Be the scribe: take what is published; returns how many. */
static unsigned
scribe_takes(struct fixture *f, uint32_t *ids, unsigned max)
{
	static _Alignas(64) unsigned char buf[65536];
	struct ring_index ix = { .verdict = RING_STORED };
	struct record_field fields[RECORD_MAX_FIELDS];
	unsigned n = 0;
	size_t len;

	while (n < max && ring_published(f->log, f->next)) {
		assert_int_equal(ring_fetch(f->log, f->next, buf, sizeof(buf),
				     &len, &ix),
		    RING_OK);
		assert_int_equal(record_parse(buf, len, fields), 3);
		ids[n++] = ((struct record *)(void *)buf)->request;
		f->flags = ((struct record *)(void *)buf)->flags;
		ring_decide(f->log, f->next, &ix);
		f->next++;
	}
	ring_durable(f->log, f->next - n, f->next);
	(void)ring_gate(f->log, 1);
	return n;
}

static void
an_event_is_published_and_settled_once(void **state)
{
	struct fixture *f = *state;
	struct chat_event ev = message("m1");
	struct publish_waiter who = waiter(7), got = { 0 };
	uint32_t ids[64];

	publisher_put(f->p, &who, &ev, 1000);
	assert_int_equal(publisher_waiting(f->p), 1);
	assert_int_equal(scribe_takes(f, ids, 64), 1);
	assert_true(ids[0] != 0);
	assert_false(publisher_settle(f->p, ids[0] + 1, &got));
	assert_true(publisher_settle(f->p, ids[0], &got));
	assert_int_equal(got.number, 11);
	assert_int_equal(got.serial, 22);
	assert_int_equal(got.request, 7);
	assert_false(publisher_settle(f->p, ids[0], &got));
	assert_int_equal(publisher_waiting(f->p), 0);
}

static void
a_number_is_not_reused_for_the_next_event(void **state)
{
	struct fixture *f = *state;
	struct chat_event ev = message("m1");
	struct publish_waiter who = waiter(1), got;
	uint32_t ids[64], before;

	publisher_put(f->p, &who, &ev, 1000);
	scribe_takes(f, ids, 64);
	before = ids[0];
	assert_true(publisher_settle(f->p, before, &got));
	publisher_put(f->p, &who, &ev, 1000);
	scribe_takes(f, ids, 64);
	assert_int_not_equal(ids[0], before);
	assert_false(publisher_settle(f->p, before, &got));
	assert_true(publisher_settle(f->p, ids[0], &got));
}

static void
a_full_ring_queues_in_order_and_loses_nothing(void **state)
{
	struct fixture *f = *state;
	struct publish_waiter got;
	uint32_t ids[64], want = 1;
	unsigned i, n, k;
	char id[16];

	for (i = 1; i <= 300; i++) {
		struct publish_waiter who = waiter(i);
		struct chat_event ev;

		snprintf(id, sizeof(id), "m%u", i);
		ev = message(id);
		publisher_put(f->p, &who, &ev, 1000);
	}
	assert_false(publisher_idle(f->p));
	for (k = 0; k < 100 && want <= 300; k++) {
		n = scribe_takes(f, ids, 64);
		for (i = 0; i < n; i++) {
			assert_true(publisher_settle(f->p, ids[i], &got));
			assert_int_equal(got.request, want++);
		}
		(void)publisher_flush(f->p);
	}
	assert_int_equal(want, 301);
	assert_true(publisher_idle(f->p));
	assert_int_equal(publisher_waiting(f->p), 0);
}

static void
clients_wait_when_much_is_queued(void **state)
{
	struct fixture *f = *state;
	struct chat_event ev = message("m");
	unsigned i;

	assert_false(publisher_congested(f->p));
	for (i = 0; i < 400; i++) {
		struct publish_waiter who = waiter(i);

		publisher_put(f->p, &who, &ev, 1000);
	}
	assert_true(publisher_congested(f->p));
}

struct lost {
	unsigned n;
	uint32_t last;
};

static void
on_lost(void *arg, const struct chat_event *ev,
    const struct publish_waiter *who)
{
	struct lost *l = arg;

	assert_int_equal(ev->type, CHAT_MESSAGE);
	assert_int_equal(ev->room, 5);
	assert_int_equal(ev->field[0].len, 1);
	l->n++;
	l->last = who->request;
}

static void
what_waits_too_long_is_given_back(void **state)
{
	struct fixture *f = *state;
	struct chat_event ev = message("m");
	struct lost lost = { 0 };
	uint32_t ids[64];
	unsigned i, queued = 0;

	for (i = 1; i <= 200; i++) {
		struct publish_waiter who = waiter(i);

		publisher_put(f->p, &who, &ev, 1000);
	}
	publisher_expire(f->p, 1000 + PUBLISH_PATIENCE_MS - 1, on_lost, &lost);
	assert_int_equal(lost.n, 0);
	publisher_expire(f->p, 1000 + PUBLISH_PATIENCE_MS, on_lost, &lost);
	assert_true(lost.n > 0);
	assert_int_equal(lost.last, 200);
	assert_true(publisher_idle(f->p));
	while ((i = scribe_takes(f, ids, 64)) > 0)
		queued += i;
	assert_int_equal(queued + lost.n, 200);
}

static void
without_a_scribe_messages_are_given_back_and_may_yet_be_stored(void **state)
{
	struct fixture *f = *state;
	struct chat_event ev = message("m");
	struct publish_waiter who = waiter(7), w;
	struct lost lost = { 0 };
	uint32_t ids[4];

	publisher_put(f->p, &who, &ev, 1000);
	publisher_abandon(f->p, 1000 + PUBLISH_PATIENCE_MS - 1, on_lost, &lost);
	assert_int_equal(lost.n, 0);
	publisher_abandon(f->p, 1000 + PUBLISH_PATIENCE_MS, on_lost, &lost);
	assert_int_equal(lost.n, 1);
	assert_int_equal(lost.last, 7);
	assert_int_equal(publisher_waiting(f->p), 0);
	/* a scribe comes after all: nobody waits for its verdict */
	assert_int_equal(scribe_takes(f, ids, 4), 1);
	assert_false(publisher_settle(f->p, ids[0], &w));
	publisher_abandon(f->p, 1000000, on_lost, &lost);
	assert_int_equal(lost.n, 1);
}

static void
after_an_eviction_what_is_in_doubt_is_published_again(void **state)
{
	struct fixture *f = *state;
	struct chat_event ev = message("m");
	struct publish_waiter who = waiter(1), got;
	uint32_t ids[64], first;

	publisher_put(f->p, &who, &ev, 1000);
	assert_int_equal(scribe_takes(f, ids, 64), 1);
	first = ids[0];
	assert_int_equal(f->flags, 0);
	/* we go on behind it and have not seen its verdict */
	publisher_again(f->p, f->next);
	assert_int_equal(scribe_takes(f, ids, 64), 1);
	assert_int_equal(ids[0], first);
	assert_int_equal(f->flags, RECORD_F_AGAIN);
	assert_true(publisher_settle(f->p, first, &got));
	/* what is settled is not published again */
	publisher_again(f->p, f->next + 10);
	assert_int_equal(scribe_takes(f, ids, 64), 0);
}

static void
what_is_published_again_keeps_its_order(void **state)
{
	struct fixture *f = *state;
	struct chat_event ev = message("m");
	struct publish_waiter got;
	uint32_t ids[64], want[64];
	unsigned i, n = 0;

	/* numbers are used again, so their order is not that of the events */
	for (i = 1; i <= 8; i++) {
		struct publish_waiter who = waiter(i);

		publisher_put(f->p, &who, &ev, 1000);
	}
	assert_int_equal(scribe_takes(f, ids, 64), 8);
	for (i = 0; i < 8; i += 2)
		assert_true(publisher_settle(f->p, ids[i], &got));
	for (i = 1; i < 8; i += 2)
		want[n++] = ids[i];
	for (i = 9; i <= 12; i++) {
		struct publish_waiter who = waiter(i);

		publisher_put(f->p, &who, &ev, 1000);
	}
	assert_int_equal(scribe_takes(f, ids, 64), 4);
	for (i = 0; i < 4; i++)
		want[n++] = ids[i];
	publisher_again(f->p, f->next);
	assert_int_equal(scribe_takes(f, ids, 64), n);
	assert_memory_equal(ids, want, n * sizeof(*ids));
	assert_true(publisher_settle(f->p, ids[0], &got));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* An agent's text waits for no disk; typing must not pass its message. */
static void
a_chunk_overtakes_what_a_full_ring_did_not_take(void **state)
{
	struct fixture *f = *state;
	struct publish_waiter who = waiter(1);
	struct chat_event ev = message("m"),
			  live = { .room = 5, .user = 9, .nfields = 6 };
	uint64_t end = ring_limit(f->live, 64);
	unsigned i;

	for (i = 0; i < 6; i++)
		live.field[i] = (struct chat_str){ "1", 1 };
	for (i = 0; i < 1000 && publisher_idle(f->p); i++)
		publisher_put(f->p, &who, &ev, 1000);
	assert_false(publisher_idle(f->p));
	live.type = CHAT_TYPING;
	live.nfields = 3;
	publisher_put(f->p, NULL, &live, 1000);
	assert_int_equal(ring_limit(f->live, 64), end);
	live.type = CHAT_CHUNK;
	live.nfields = 6;
	publisher_put(f->p, NULL, &live, 1000);
	assert_int_equal(ring_limit(f->live, 64), end + 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(an_event_is_published_and_settled_once),
		T(a_number_is_not_reused_for_the_next_event),
		T(a_full_ring_queues_in_order_and_loses_nothing),
		T(clients_wait_when_much_is_queued),
		T(what_waits_too_long_is_given_back),
		T(without_a_scribe_messages_are_given_back_and_may_yet_be_stored),
		T(after_an_eviction_what_is_in_doubt_is_published_again),
		T(what_is_published_again_keeps_its_order),
		T(a_chunk_overtakes_what_a_full_ring_did_not_take),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
