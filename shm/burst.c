/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * An entry is two words, the key and the state:
 *
 *     63    56 55          40 39   30 29   20 19   10 9     0
 *    +--------+--------------+-------+-------+-------+-------+
 *    |  tag   |   from (s)   | 0-15s | -30s  | -45s  | -60s  |
 *    +--------+--------------+-------+-------+-------+-------+
 *
 * 'from' is when the first quarter began: that of the first text, so that
 * the first burst is counted exactly; later the oldest quarter is dropped as
 * a whole.  The tag is a part of the key: a state whose tag is another's was
 * left by who had the entry before, and counts nothing.
 */

#include "shm/burst.h"

#include <limits.h>

#include <xxhash.h>

#include "common/log.h"
#include "shm/atomic.h"
#include "shm/tables.h"

#define SETS 8192
#define QUARTERS 4
#define QUARTER_S 15
#define COUNT_BITS 10
#define COUNT_MAX ((1U << COUNT_BITS) - 1)
#define COUNTS_MASK ((UINT64_C(1) << QUARTERS * COUNT_BITS) - 1)
#define FROM_SHIFT (QUARTERS * COUNT_BITS)
#define TAG_SHIFT 56
#define NS_PER_S UINT64_C(1000000000)

struct burst {
	_Atomic uint64_t key;
	_Atomic uint64_t state;
};

size_t
bursts_size(void)
{
	return sizeof(struct burst) * SETS * BURST_WAYS;
}

static uint64_t
make_key(const struct tables *t, uint64_t user, uint64_t mark)
{
	const uint64_t what[] = { user, mark };
	uint64_t key;

	key = XXH3_64bits_withSecret(what, sizeof(what), t->secret,
	    TABLES_SECRET);
	return key == 0 ? 1 : key;
}

static struct burst *
set_of(const struct tables *t, uint64_t key)
{
	return t->bursts + (key & (SETS - 1)) * BURST_WAYS;
}

static unsigned
shift_of(unsigned quarter)
{
	return (QUARTERS - 1 - quarter) * COUNT_BITS;
}

static unsigned
sum_of(uint64_t state)
{
	unsigned q, sum = 0;

	for (q = 0; q < QUARTERS; q++)
		sum += state >> shift_of(q) & COUNT_MAX;
	return sum;
}

/*
 * The state at 'now' without what is too old, and the quarter that 'now' is
 * in.
 */
static uint64_t
state_at(uint64_t state, uint64_t key, uint16_t now, unsigned *quarter_r)
{
	uint16_t from = (uint16_t)(state >> FROM_SHIFT), age;
	uint64_t counts = state & COUNTS_MASK;
	unsigned quarter, drop;

	age = (uint16_t)(now - from);
	/* another has been here a moment later */
	if (age > UINT16_MAX - QUARTER_S)
		age = 0;
	quarter = age / QUARTER_S;
	*quarter_r = 0;
	if (state >> TAG_SHIFT != key >> TAG_SHIFT || counts == 0 ||
	    quarter > 2 * (QUARTERS - 1))
		return key >> TAG_SHIFT << TAG_SHIFT |
		    (uint64_t)now << FROM_SHIFT;
	if (quarter >= QUARTERS) {
		drop = quarter - (QUARTERS - 1);
		counts = counts << drop * COUNT_BITS & COUNTS_MASK;
		from = (uint16_t)(from + drop * QUARTER_S);
		quarter = QUARTERS - 1;
	}
	*quarter_r = quarter;
	return key >> TAG_SHIFT << TAG_SHIFT | (uint64_t)from << FROM_SHIFT |
	    counts;
}

/* The entry of this key, or NULL. */
static struct burst *
find(struct burst *set, uint64_t key)
{
	unsigned way;

	for (way = 0; way < BURST_WAYS; way++) {
		if (atomic_load_explicit(&set[way].key, memory_order_relaxed) ==
		    key)
			return &set[way];
	}
	return NULL;
}

/* What an entry of another is worth: the less, the sooner it goes. */
static unsigned
worth(const struct burst *b, uint16_t now)
{
	uint64_t key = atomic_load_explicit(&b->key, memory_order_relaxed);
	uint64_t state = atomic_load_explicit(&b->state, memory_order_relaxed);
	unsigned quarter, sum;

	if (key == 0)
		return 0;
	sum = sum_of(state_at(state, key, now, &quarter));
	return sum * QUARTERS + (sum > 0 ? QUARTERS - quarter : 0);
}

static struct burst *
find_or_take(struct burst *set, uint64_t key, uint16_t now)
{
	unsigned way, least, least_worth, w;
	struct burst *b;
	uint64_t old;

	for (;;) {
		if ((b = find(set, key)) != NULL)
			return b;
		least = 0;
		least_worth = UINT_MAX;
		for (way = 0; way < BURST_WAYS; way++) {
			if ((w = worth(&set[way], now)) < least_worth) {
				least_worth = w;
				least = way;
			}
		}
		old =
		    atomic_load_explicit(&set[least].key, memory_order_relaxed);
		if (old != key &&
		    atomic_compare_exchange_strong_explicit(&set[least].key,
			&old, key, memory_order_relaxed, memory_order_relaxed))
			return &set[least];
	}
}

bool
burst_charge(struct tables *t, uint64_t user, uint64_t mark, uint32_t limit,
    uint64_t now_ns)
{
	const uint16_t now = (uint16_t)(now_ns / NS_PER_S);
	uint64_t key = make_key(t, user, mark), old, state;
	unsigned quarter, shift;
	struct burst *b;

	if (limit == 0)
		return true;
	CHECK(limit <= COUNT_MAX);
	b = find_or_take(set_of(t, key), key, now);
	old = atomic_load_explicit(&b->state, memory_order_relaxed);
	do {
		state = state_at(old, key, now, &quarter);
		if (sum_of(state) >= limit)
			return false;
		/* less than the limit in all, so this one has room */
		shift = shift_of(quarter);
		state += UINT64_C(1) << shift;
	} while (!atomic_compare_exchange_weak_explicit(&b->state, &old, state,
	    memory_order_relaxed, memory_order_relaxed));
	return true;
}

void
burst_give_back(struct tables *t, uint64_t user, uint64_t mark)
{
	uint64_t key = make_key(t, user, mark), old, state;
	struct burst *b = find(set_of(t, key), key);
	unsigned q;

	if (b == NULL)
		return;
	old = atomic_load_explicit(&b->state, memory_order_relaxed);
	do {
		if (old >> TAG_SHIFT != key >> TAG_SHIFT || sum_of(old) == 0)
			return;
		/* the newest */
		q = QUARTERS - 1;
		while ((old >> shift_of(q) & COUNT_MAX) == 0)
			q--;
		state = old - (UINT64_C(1) << shift_of(q));
	} while (!atomic_compare_exchange_weak_explicit(&b->state, &old, state,
	    memory_order_relaxed, memory_order_relaxed));
}
