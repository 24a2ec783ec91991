/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * word = tag:24 | until:40 (ms, CLOCK_MONOTONIC); 0: empty
 */

#include "shm/lost.h"

#include <string.h>

#include <xxhash.h>

#include "shm/atomic.h"
#include "shm/tables.h"

#define SETS 8192
#define UNTIL_BITS 40
#define UNTIL_MASK ((UINT64_C(1) << UNTIL_BITS) - 1)

size_t
lost_size(void)
{
	return sizeof(uint64_t) * SETS * LOST_WAYS;
}

static uint64_t
make_hash(const struct tables *t, uint64_t user, const char *workspace,
    const char *session)
{
	const uint64_t what[] = { user,
		XXH3_64bits_withSecret(workspace, strlen(workspace), t->secret,
		    TABLES_SECRET),
		XXH3_64bits_withSecret(session, strlen(session), t->secret,
		    TABLES_SECRET) };

	return XXH3_64bits_withSecret(what, sizeof(what), t->secret,
	    TABLES_SECRET);
}

static _Atomic uint64_t *
set_of(const struct tables *t, uint64_t hash)
{
	return t->lost + (hash & (SETS - 1)) * LOST_WAYS;
}

/* An empty word has tag 0. */
static uint64_t
tag_of(uint64_t hash)
{
	uint64_t tag = hash >> UNTIL_BITS;

	return tag == 0 ? 1 : tag;
}

void
lost_put(struct tables *t, uint64_t user, const char *workspace,
    const char *session, uint64_t until_ms)
{
	uint64_t hash = make_hash(t, user, workspace, session);
	uint64_t word = tag_of(hash) << UNTIL_BITS | (until_ms & UNTIL_MASK);
	_Atomic uint64_t *set = set_of(t, hash);
	uint64_t old, first;
	unsigned way, found;

	do {
		found = 0;
		first = atomic_load_explicit(&set[0], memory_order_relaxed);
		for (way = 1; way < LOST_WAYS; way++) {
			old = atomic_load_explicit(&set[way],
			    memory_order_relaxed);
			if ((old & UNTIL_MASK) < (first & UNTIL_MASK)) {
				first = old;
				found = way;
			}
		}
	} while (!atomic_compare_exchange_weak_explicit(&set[found], &first,
	    word, memory_order_relaxed, memory_order_relaxed));
}

bool
lost_take(struct tables *t, uint64_t user, const char *workspace,
    const char *session, uint64_t now_ms)
{
	uint64_t hash = make_hash(t, user, workspace, session);
	_Atomic uint64_t *set = set_of(t, hash);
	uint64_t old;
	unsigned way;

	for (way = 0; way < LOST_WAYS; way++) {
		old = atomic_load_explicit(&set[way], memory_order_relaxed);
		if (old >> UNTIL_BITS == tag_of(hash) &&
		    (old & UNTIL_MASK) > now_ms &&
		    atomic_compare_exchange_strong_explicit(&set[way], &old, 0,
			memory_order_relaxed, memory_order_relaxed))
			return true;
	}
	return false;
}
