/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "shm/client.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "common/fault.h"
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

/* --- the word ---------------------------------------------------------- */

#define WORKER_SHIFT 4
#define TO_SHIFT 10
#define TAG_SHIFT 16
#define INCARNATION_SHIFT 32
#define STATE_MASK 0xf
#define SLOT_MASK 0x3f

_Static_assert(TABLES_WORKERS == SLOT_MASK + 1, "a worker's slot is 6 bits");
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "64-bit atomics take no locks");

/*
 * The tag is of the generation: a message of the slot's former life cannot
 * take its present one, even if between a look at the generation and the
 * swap everything else came to be the same again.
 */
static uint64_t
word_of(enum client_state state, unsigned worker, unsigned to,
    uint32_t generation, uint32_t incarnation)
{
	return (uint64_t)state | (uint64_t)worker << WORKER_SHIFT |
	    (uint64_t)to << TO_SHIFT |
	    (uint64_t)(generation & 0xffff) << TAG_SHIFT |
	    (uint64_t)incarnation << INCARNATION_SHIFT;
}

static enum client_state
state_in(uint64_t word)
{
	return (enum client_state)(word & STATE_MASK);
}

static unsigned
worker_in(uint64_t word)
{
	return word >> WORKER_SHIFT & SLOT_MASK;
}

static unsigned
to_in(uint64_t word)
{
	return word >> TO_SHIFT & SLOT_MASK;
}

static uint32_t
incarnation_in(uint64_t word)
{
	return (uint32_t)(word >> INCARNATION_SHIFT);
}

/* The same in another state; nobody's destination any more. */
static uint64_t
in_state(uint64_t word, enum client_state state)
{
	word &= ~((uint64_t)SLOT_MASK << TO_SHIFT | STATE_MASK);
	return word | (uint64_t)state;
}

static uint64_t
look(const struct client *c)
{
	return atomic_load_explicit(&c->owner, memory_order_acquire);
}

/* On failure *word is what is there now. */
static bool
change(struct client *c, uint64_t *word, uint64_t next)
{
	return atomic_compare_exchange_strong_explicit(&c->owner, word, next,
	    memory_order_acq_rel, memory_order_acquire);
}

enum client_state
client_state(const struct client *c)
{
	return state_in(look(c));
}

struct client_owner
client_owner(const struct client *c)
{
	uint64_t word = look(c);

	return (struct client_owner){
		.state = state_in(word),
		.worker = worker_in(word),
		.incarnation = incarnation_in(word),
		.to = to_in(word),
	};
}

/* --- workers ----------------------------------------------------------- */

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
	if (client_state(c) == CLIENT_FREE || c->generation != generation)
		return NULL;
	return c;
}

struct client *
client_open(const struct tables *t, uint32_t slot, uint32_t generation,
    unsigned worker, uint32_t incarnation)
{
	struct client *c = client_at(t, slot);
	uint64_t word =
	    word_of(CLIENT_PASSED, worker, 0, generation, incarnation);

	if (c->generation != generation ||
	    !change(c, &word, in_state(word, CLIENT_OPEN)))
		return NULL;
	return c;
}

void
client_hand(const struct tables *t, uint32_t slot, unsigned to)
{
	struct client *c = client_at(t, slot);
	uint64_t word = look(c);

	CHECK(state_in(word) == CLIENT_OPEN && to < TABLES_WORKERS);
	CHECK(c->out.bytes == 0 && c->in.bytes == 0 && c->raw.bytes == 0);
	/* OPEN is its worker's, and nobody else's */
	CHECK(change(c, &word,
	    in_state(word, CLIENT_HANDED) | (uint64_t)to << TO_SHIFT));
}

bool
client_take_back(const struct tables *t, uint32_t slot, uint32_t generation,
    unsigned worker, uint32_t incarnation)
{
	struct client *c = client_at(t, slot);
	uint64_t word = look(c);

	/* if it was buried, somebody else may have handed it on by now */
	return word ==
	    word_of(CLIENT_HANDED, worker, to_in(word), generation,
		incarnation) &&
	    change(c, &word, in_state(word, CLIENT_OPEN));
}

struct client *
client_take_handed(const struct tables *t, uint32_t slot, uint32_t generation,
    unsigned worker, uint32_t incarnation)
{
	struct client *c;
	uint64_t word;

	if (slot >= t->geometry.max_clients)
		return NULL;
	c = &t->clients[slot];
	word = look(c);
	if (state_in(word) != CLIENT_HANDED || to_in(word) != worker ||
	    (word >> TAG_SHIFT & 0xffff) != (generation & 0xffff) ||
	    c->generation != generation ||
	    !change(c, &word,
		word_of(CLIENT_OPEN, worker, 0, generation, incarnation)))
		return NULL;
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
	uint64_t word = look(c);

	CHECK(state_in(word) == CLIENT_PASSED || state_in(word) == CLIENT_OPEN);
	CHECK(change(c, &word, in_state(word, CLIENT_CLOSED)));
	FAULT(CLIENT_CLOSED);
	atomic_fetch_or_explicit(&t->closed[slot / 64],
	    UINT64_C(1) << (slot % 64), memory_order_release);
}

/* --- the master -------------------------------------------------------- */

static uint32_t
used(const struct tables *t)
{
	return atomic_load_explicit(t->clients_used, memory_order_relaxed);
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
		if (client_state(client_at(t, slot)) == CLIENT_FREE)
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
	const size_t keep = offsetof(struct client, flags);
	int64_t slot = take_slot(pool);
	struct client *c;

	if (slot == -1)
		return -1;
	c = client_at(pool->tables, (uint32_t)slot);
	CHECK(client_state(c) == CLIENT_FREE && worker < TABLES_WORKERS);
	memset((uint8_t *)c + keep, 0, sizeof(*c) - keep);
	if (++c->generation == 0)
		c->generation = 1;
	atomic_store_explicit(&c->owner,
	    word_of(CLIENT_PASSED, worker, 0, c->generation, incarnation),
	    memory_order_release);
	return slot;
}

void
client_release(struct client_pool *pool, uint32_t slot)
{
	struct client *c = client_at(pool->tables, slot);

	enum client_state state = client_state(c);

	CHECK(state == CLIENT_CLOSED || state == CLIENT_BURIED ||
	    state == CLIENT_PASSED);
	atomic_store_explicit(&c->owner, word_of(CLIENT_FREE, 0, 0, 0, 0),
	    memory_order_release);
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
			if (client_state(client_at(t, slot)) != CLIENT_CLOSED)
				continue;
			fn(arg, slot, t->clients[slot].generation);
			n++;
		}
	}
	return n;
}

/*
 * Does it go with this worker: because it was to get it, or, with 'of_it',
 * because it had it?
 */
static bool
dies_with(uint64_t word, unsigned worker, uint32_t incarnation, bool of_it)
{
	switch (state_in(word)) {
	case CLIENT_FREE:
	case CLIENT_BURIED:
		return false;
	case CLIENT_HANDED:
		if (to_in(word) == worker)
			return true;
		break;
	case CLIENT_PASSED:
	case CLIENT_OPEN:
	case CLIENT_CLOSED:
		break;
	}
	return of_it && worker_in(word) == worker &&
	    incarnation_in(word) == incarnation;
}

static uint32_t
bury(const struct tables *t, unsigned worker, uint32_t incarnation, bool of_it,
    client_fn fn, void *arg)
{
	const uint32_t end = used(t);
	struct client *c;
	uint32_t slot, n = 0;
	uint64_t word;

	for (slot = 0; slot < end; slot++) {
		c = &t->clients[slot];
		word = look(c);
		/* one that fails was taken by somebody who lives, or handed
		 * on: then the new word tells whether it still is to go */
		while (dies_with(word, worker, incarnation, of_it)) {
			if (!change(c, &word, in_state(word, CLIENT_BURIED)))
				continue;
			fn(arg, slot, c->generation);
			n++;
			break;
		}
	}
	return n;
}

uint32_t
client_bury(const struct tables *t, unsigned worker, uint32_t incarnation,
    client_fn fn, void *arg)
{
	return bury(t, worker, incarnation, true, fn, arg);
}

uint32_t
client_bury_handed(const struct tables *t, unsigned to, client_fn fn, void *arg)
{
	return bury(t, to, 0, false, fn, arg);
}
