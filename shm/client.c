/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "shm/client.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "shm/tables.h"

/*
 * Slots that were never used come last and in order, so that few clients
 * touch few pages: t->clients_used counts those that ever were in use, and
 * the stack holds those of them that are free now.
 */
struct client_pool {
	struct tables *tables;
	uint32_t nfree;
	uint32_t free[];
};

static enum client_state
state_of(const struct client *c)
{
	return atomic_load_explicit(&c->state, memory_order_acquire);
}

static void
set_state(struct client *c, enum client_state state)
{
	atomic_store_explicit(&c->state, state, memory_order_release);
}

static uint32_t
used(const struct tables *t)
{
	return atomic_load_explicit(t->clients_used, memory_order_relaxed);
}

struct client *
client_at(const struct tables *t, uint32_t slot)
{
	CHECK(slot < t->geometry.max_clients);
	return &t->clients[slot];
}

struct client *
client_find(const struct tables *t, uint32_t slot, uint32_t generation)
{
	struct client *c;

	/* what a ring record says is not the caller's fault */
	if (slot >= t->geometry.max_clients)
		return NULL;
	c = &t->clients[slot];
	if (state_of(c) == CLIENT_FREE || c->generation != generation)
		return NULL;
	return c;
}

struct client *
client_open(const struct tables *t, uint32_t slot, uint32_t generation,
    unsigned worker, uint32_t incarnation)
{
	struct client *c = client_at(t, slot);

	if (state_of(c) != CLIENT_PASSED || c->generation != generation ||
	    c->worker != worker || c->incarnation != incarnation)
		return NULL;
	set_state(c, CLIENT_OPEN);
	return c;
}

/*
 * State first, bit second: a bit that the master sees (acquire, in
 * client_collect_closed) is about a state that it sees.  A worker killed in
 * between is reaped, and then all its clients are looked at anyway.
 */
void
client_mark_closed(const struct tables *t, uint32_t slot)
{
	struct client *c = client_at(t, slot);
	enum client_state state = state_of(c);

	CHECK(state == CLIENT_PASSED || state == CLIENT_OPEN);
	set_state(c, CLIENT_CLOSED);
	atomic_fetch_or_explicit(&t->closed[slot / 64],
	    UINT64_C(1) << (slot % 64), memory_order_release);
}

struct client_pool *
client_pool_new(struct tables *t)
{
	struct client_pool *pool;
	uint32_t slot;

	pool = calloc(1,
	    sizeof(*pool) + t->geometry.max_clients * sizeof(pool->free[0]));
	if (pool == NULL)
		return NULL;
	pool->tables = t;
	for (slot = used(t); slot-- > 0;) {
		if (state_of(client_at(t, slot)) == CLIENT_FREE)
			pool->free[pool->nfree++] = slot;
	}
	return pool;
}

void
client_pool_free(struct client_pool **pool)
{
	free(*pool);
	*pool = NULL;
}

uint32_t
client_pool_available(const struct client_pool *pool)
{
	const struct tables *t = pool->tables;

	return pool->nfree + t->geometry.max_clients - used(t);
}

static int64_t
take_slot(struct client_pool *pool)
{
	struct tables *t = pool->tables;
	uint32_t slot = used(t);

	if (pool->nfree > 0)
		return pool->free[--pool->nfree];
	if (slot == t->geometry.max_clients)
		return -1;
	atomic_store_explicit(t->clients_used, slot + 1, memory_order_relaxed);
	return slot;
}

int64_t
client_pass(struct client_pool *pool, unsigned worker, uint32_t incarnation)
{
	const size_t keep = offsetof(struct client, worker);
	int64_t slot = take_slot(pool);
	struct client *c;

	if (slot == -1)
		return -1;
	c = client_at(pool->tables, (uint32_t)slot);
	CHECK(state_of(c) == CLIENT_FREE);
	memset((uint8_t *)c + keep, 0, sizeof(*c) - keep);
	if (++c->generation == 0)
		c->generation = 1;
	c->worker = (uint16_t)worker;
	c->incarnation = incarnation;
	set_state(c, CLIENT_PASSED);
	return slot;
}

void
client_release(struct client_pool *pool, uint32_t slot)
{
	struct client *c = client_at(pool->tables, slot);

	CHECK(state_of(c) != CLIENT_FREE);
	set_state(c, CLIENT_FREE);
	pool->free[pool->nfree++] = slot;
}

/*
 * A bit may be stale, when a slot was released because its worker died
 * before the bit was looked at; then the state says that there is nothing
 * to do, or that the next client in this slot is closed as well.
 */
uint32_t
client_collect_closed(const struct tables *t, client_fn fn, void *arg)
{
	uint32_t word, slot, n = 0;
	const uint32_t words = (used(t) + 63) / 64;
	uint64_t bits;

	for (word = 0; word < words; word++) {
		if (atomic_load_explicit(&t->closed[word],
			memory_order_relaxed) == 0)
			continue;
		bits = atomic_exchange_explicit(&t->closed[word], 0,
		    memory_order_acquire);
		for (; bits != 0; bits &= bits - 1) {
			slot = word * 64 + (uint32_t)__builtin_ctzll(bits);
			if (state_of(client_at(t, slot)) != CLIENT_CLOSED)
				continue;
			fn(arg, slot, t->clients[slot].generation);
			n++;
		}
	}
	return n;
}

uint32_t
client_each_of(const struct tables *t, unsigned worker, uint32_t incarnation,
    client_fn fn, void *arg)
{
	const uint32_t end = used(t);
	const struct client *c;
	uint32_t slot, n = 0;

	for (slot = 0; slot < end; slot++) {
		c = &t->clients[slot];
		if (state_of(c) == CLIENT_FREE || c->worker != worker ||
		    c->incarnation != incarnation)
			continue;
		fn(arg, slot, c->generation);
		n++;
	}
	return n;
}
