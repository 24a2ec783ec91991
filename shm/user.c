/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * A user with key k lives in one of the WINDOW rows that begin at k.  A row
 * is added by CAS(key, 0, k), and freed by the master alone:
 *
 *     0 --add--> k --sweep--> k|DELETING --nobody came--> 0
 *                ^                 |
 *                +---- connected --+
 *
 * A connection is counted and then the key is looked at; the master marks
 * the key and then looks at the counts; a fence on both sides.  At least one
 * sees the other: the row of a connected user is never freed.  A row that is
 * being freed still counts in sums.  tests/model/users.pml checks it.
 *
 * Two workers that add one user while a lower row becomes free may end up
 * with two rows for it.  That is harmless: sums go over all rows of the
 * window with this key, so limits of connections hold exactly; a rate is
 * taken at the lowest of them, so at worst one burst is allowed twice, at
 * the moment when the second row appears.
 */

#include "shm/user.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include <xxhash.h>

#include "common/fault.h"
#include "common/log.h"
#include "shm/atomic.h"
#include "shm/gcra.h"
#include "shm/tables.h"

#define HEAD 4096
#define WINDOW 32
#define NONE UINT32_MAX
#define DELETING (UINT64_C(1) << 63)
#define MINUTE_NS UINT64_C(60000000000)
/* how long an idle row is kept, so that it need not be made again */
#define KEEP_S 10

struct users {
	/* bit w: worker w has ever counted; set by w, never cleared */
	_Atomic uint64_t columns;
};

_Static_assert(ATOMIC_SHORT_LOCK_FREE == 2, "counts must be lock-free");

size_t
users_column_size(uint32_t rows)
{
	return (size_t)rows * sizeof(uint16_t);
}

size_t
users_fixed_size(uint32_t rows)
{
	return HEAD +
	    (size_t)rows * (8 + USER_RATE__MAX * 8 + 8 + sizeof(uint32_t));
}

size_t
users_column_at(uint32_t rows, unsigned slot)
{
	return users_fixed_size(rows) + slot * users_column_size(rows);
}

size_t
users_size(uint32_t rows)
{
	return users_column_at(rows, TABLES_WORKERS);
}

/* --- where things are -------------------------------------------------- */

static _Atomic uint64_t *
key_at(const struct tables *t, uint32_t row)
{
	void *keys = (uint8_t *)t->users + HEAD;

	return (_Atomic uint64_t *)keys + row;
}

static _Atomic uint64_t *
rate_at(const struct tables *t, enum user_rate kind, uint32_t row)
{
	const size_t n = t->geometry.users;
	void *rates = (uint8_t *)t->users + HEAD + n * 8;

	return (_Atomic uint64_t *)rates + n * kind + row;
}

static _Atomic uint64_t *
strikes_at(const struct tables *t, uint32_t row)
{
	return rate_at(t, USER_RATE__MAX, row);
}

/* CLOCK_MONOTONIC s of the last connect or disconnect */
static _Atomic uint32_t *
seen_at(const struct tables *t, uint32_t row)
{
	const size_t n = t->geometry.users;
	void *seen =
	    (uint8_t *)t->users + HEAD + n * (8 + USER_RATE__MAX * 8 + 8);

	return (_Atomic uint32_t *)seen + row;
}

static _Atomic uint16_t *
count_at(const struct tables *t, unsigned slot, uint32_t row)
{
	void *column =
	    (uint8_t *)t->users + users_column_at(t->geometry.users, slot);

	return (_Atomic uint16_t *)column + row;
}

static uint32_t
row_at(const struct tables *t, uint64_t key, uint32_t i)
{
	return (uint32_t)(key + i) & (t->geometry.users - 1);
}

uint64_t
user_key(const struct tables *t, const void *id, size_t len)
{
	uint64_t key;

	key = XXH3_64bits_withSecret(id, len, t->secret, TABLES_SECRET);
	key &= ~DELETING;
	return key == 0 ? 1 : key;
}

/* --- rows -------------------------------------------------------------- */

/* The lowest row of this key, and the lowest empty one. */
static uint32_t
lookup(const struct tables *t, uint64_t key, uint32_t *empty_r)
{
	uint32_t i, row;
	uint64_t k;

	*empty_r = NONE;
	for (i = 0; i < WINDOW; i++) {
		row = row_at(t, key, i);
		k = atomic_load_explicit(key_at(t, row), memory_order_acquire);
		if (k == key)
			return row;
		if (k == 0 && *empty_r == NONE)
			*empty_r = row;
	}
	return NONE;
}

static uint32_t
find_or_add(struct tables *t, uint64_t key)
{
	uint32_t row, empty;
	uint64_t k;

	for (;;) {
		if ((row = lookup(t, key, &empty)) != NONE)
			return row;
		if (empty == NONE) {
			errno = ENOSPC;
			return NONE;
		}
		k = 0;
		if (atomic_compare_exchange_strong_explicit(key_at(t, empty),
			&k, key, memory_order_acq_rel, memory_order_acquire))
			return empty;
	}
}

int
user_find_or_add(struct tables *t, const void *id, size_t len,
    struct user_ref *u_r)
{
	uint64_t key = user_key(t, id, len);
	uint32_t row = find_or_add(t, key);

	if (row == NONE)
		return -1;
	u_r->key = key;
	u_r->row = row;
	return 0;
}

int
user_find(const struct tables *t, const void *id, size_t len,
    struct user_ref *u_r)
{
	uint64_t key = user_key(t, id, len);
	uint32_t empty, row = lookup(t, key, &empty);

	if (row == NONE) {
		errno = ENOENT;
		return -1;
	}
	u_r->key = key;
	u_r->row = row;
	return 0;
}

/* --- connections ------------------------------------------------------- */

static uint32_t
row_sum(const struct tables *t, uint32_t row)
{
	uint64_t columns =
	    atomic_load_explicit(&t->users->columns, memory_order_relaxed);
	uint32_t sum = 0;

	for (; columns != 0; columns &= columns - 1)
		sum +=
		    atomic_load_explicit(count_at(t,
					     (unsigned)__builtin_ctzll(columns),
					     row),
			memory_order_relaxed);
	return sum;
}

uint32_t
user_connections(const struct tables *t, const struct user_ref *u)
{
	uint32_t i, row, sum = 0;
	uint64_t k;

	for (i = 0; i < WINDOW; i++) {
		row = row_at(t, u->key, i);
		k = atomic_load_explicit(key_at(t, row), memory_order_acquire);
		if ((k & ~DELETING) == u->key)
			sum += row_sum(t, row);
	}
	return sum;
}

/* Only the worker of this column writes it, so this is no race. */
static void
count_add(struct tables *t, unsigned slot, uint32_t row, int n)
{
	_Atomic uint16_t *p = count_at(t, slot, row);
	int now = atomic_load_explicit(p, memory_order_relaxed) + n;

	CHECK(now >= 0 && now <= UINT16_MAX);
	atomic_store_explicit(p, (uint16_t)now, memory_order_release);
}

static void
touch(struct tables *t, uint32_t row, uint64_t now_ns)
{
	atomic_store_explicit(seen_at(t, row), (uint32_t)(now_ns / 1000000000),
	    memory_order_relaxed);
}

/*
 * Of two that connect at once, each counts itself, fences, and sums: the
 * one whose fence is second sees the other's count (and its column's bit),
 * so they cannot both take the last place.
 */
int
user_connect(struct tables *t, struct user_ref *u, unsigned slot,
    uint32_t limit, uint64_t now_ns)
{
	const uint64_t bit = UINT64_C(1) << slot;
	uint32_t row = u->row;

	CHECK(slot < TABLES_WORKERS && row < t->geometry.users);
	if ((atomic_load(&t->users->columns) & bit) == 0)
		atomic_fetch_or(&t->users->columns, bit);
	for (;;) {
		if (*count_at(t, slot, row) == UINT16_MAX) {
			errno = EDQUOT;
			return -1;
		}
		count_add(t, slot, row, 1);
		FAULT(USER_COUNTED);
		/* pairs with the fences of the other workers and free_row() */
		atomic_thread_fence(memory_order_seq_cst);
		if (atomic_load_explicit(key_at(t, row),
			memory_order_acquire) == u->key)
			break;
		/* the row was freed, or is about to be */
		count_add(t, slot, row, -1);
		if ((row = find_or_add(t, u->key)) == NONE)
			return -1;
	}
	if (limit != 0 && user_connections(t, u) > limit) {
		count_add(t, slot, row, -1);
		errno = EDQUOT;
		return -1;
	}
	touch(t, row, now_ns);
	u->row = row;
	return 0;
}

void
user_disconnect(struct tables *t, const struct user_ref *u, unsigned slot,
    uint64_t now_ns)
{
	CHECK(slot < TABLES_WORKERS && u->row < t->geometry.users);
	touch(t, u->row, now_ns);
	FAULT(USER_LEFT);
	count_add(t, slot, u->row, -1);
}

/* --- rates ------------------------------------------------------------- */

/* The word of a user; NULL if it has no row and there is none for it. */
static _Atomic uint64_t *
rate_word(struct tables *t, const struct user_ref *u, enum user_rate kind)
{
	uint32_t row = find_or_add(t, u->key);

	return row == NONE ? NULL : rate_at(t, kind, row);
}

uint64_t
user_rate_shed(struct tables *t, const struct user_ref *u, enum user_rate kind,
    uint32_t per_minute, unsigned shed, uint64_t now_ns, bool *busy_r)
{
	uint64_t tat, next, wait;
	_Atomic uint64_t *word;

	*busy_r = false;
	if (per_minute == 0 || (word = rate_word(t, u, kind)) == NULL)
		return 0;
	tat = atomic_load_explicit(word, memory_order_relaxed);
	do {
		wait = gcra_charge(tat, now_ns, MINUTE_NS, per_minute, shed,
		    &next);
		if (wait != 0) {
			*busy_r = gcra_charge(tat, now_ns, MINUTE_NS,
				      per_minute, 0, &next) == 0;
			return wait;
		}
	} while (!atomic_compare_exchange_weak_explicit(word, &tat, next,
	    memory_order_relaxed, memory_order_relaxed));
	return 0;
}

uint64_t
user_rate(struct tables *t, const struct user_ref *u, enum user_rate kind,
    uint32_t per_minute, uint64_t now_ns)
{
	bool busy;

	return user_rate_shed(t, u, kind, per_minute, 0, now_ns, &busy);
}

void
user_rate_give_back(struct tables *t, const struct user_ref *u,
    enum user_rate kind, uint32_t per_minute)
{
	uint64_t tat, step;
	_Atomic uint64_t *word;

	if (per_minute == 0 || (word = rate_word(t, u, kind)) == NULL)
		return;
	step = gcra_step(MINUTE_NS, per_minute);
	tat = atomic_load_explicit(word, memory_order_relaxed);
	while (!atomic_compare_exchange_weak_explicit(word, &tat,
	    tat > step ? tat - step : 0, memory_order_relaxed,
	    memory_order_relaxed))
		continue;
}

/* --- who does not stop --------------------------------------------------- */

/*
 * strikes: refusals:12 | since:26 | held until:26, in seconds of
 * CLOCK_MONOTONIC, of which the lowest bits are there: a machine may run for
 * longer than the 776 days that they count.  'since' is when the first of
 * them was; 0: there never was one.
 */
#define STRIKE_BITS 26
#define STRIKE_MASK ((UINT64_C(1) << STRIKE_BITS) - 1)
#define STRIKE_MAX 4095
#define STRIKE_S 60
/* nobody is held for longer: two days (limits.backoff_max is one at the most) */
#define HELD_MAX_S (2 * 86400)
#define NS_PER_S UINT64_C(1000000000)

/* How long ago that was; negative if it is yet to come. */
static int64_t
strike_age(uint64_t now_s, uint64_t then)
{
	int64_t age = (int64_t)((now_s - then) & STRIKE_MASK);

	return age > (int64_t)(STRIKE_MASK / 2) ? age - (int64_t)STRIKE_MASK - 1
						: age;
}

/* Is the minute of these refusals over?  Others' clock may be a bit ahead. */
static bool
strikes_over(uint64_t word, uint64_t now_s)
{
	int64_t age = strike_age(now_s, word >> STRIKE_BITS);

	return word == 0 || age >= STRIKE_S || age <= -STRIKE_S;
}

/* For so many seconds from the beginning of this one. */
static uint64_t
held_s(uint64_t word, uint64_t now_s)
{
	int64_t left = -strike_age(now_s, word);

	return word == 0 || left <= 0 || left > HELD_MAX_S ? 0 : (uint64_t)left;
}

static uint64_t
strikes_make(uint64_t count, uint64_t since, uint64_t until)
{
	return count << 2 * STRIKE_BITS | (since & STRIKE_MASK) << STRIKE_BITS |
	    (until & STRIKE_MASK);
}

/* One refusal more; how many there are now. */
static uint64_t
strike(_Atomic uint64_t *word, uint64_t now_s)
{
	uint64_t old, since, count, next;

	old = atomic_load_explicit(word, memory_order_relaxed);
	do {
		count = old >> 2 * STRIKE_BITS;
		since = old >> STRIKE_BITS;
		if (strikes_over(old, now_s)) {
			count = 0;
			since = now_s;
		}
		if (count < STRIKE_MAX)
			count++;
		next = strikes_make(count, since, now_s + held_s(old, now_s));
	} while (!atomic_compare_exchange_weak_explicit(word, &old, next,
	    memory_order_relaxed, memory_order_relaxed));
	return count;
}

/* Held until then, unless it is for longer already. */
static void
hold(_Atomic uint64_t *word, uint64_t now_s, uint64_t until_s)
{
	uint64_t old;

	old = atomic_load_explicit(word, memory_order_relaxed);
	while (now_s + held_s(old, now_s) < until_s &&
	    !atomic_compare_exchange_weak_explicit(word, &old,
		(old & ~STRIKE_MASK) | (until_s & STRIKE_MASK),
		memory_order_relaxed, memory_order_relaxed))
		continue;
}

/* Nothing of this kind passes before so many ns are over. */
static void
postpone(_Atomic uint64_t *word, uint32_t per_minute, uint64_t now_ns,
    uint64_t wait_ns)
{
	uint64_t step = gcra_step(MINUTE_NS, per_minute);
	uint64_t want = now_ns + (per_minute - 1) * step + wait_ns, tat;

	tat = atomic_load_explicit(word, memory_order_relaxed);
	while (tat < want &&
	    !atomic_compare_exchange_weak_explicit(word, &tat, want,
		memory_order_relaxed, memory_order_relaxed))
		continue;
}

uint64_t
user_refused(struct tables *t, const struct user_ref *u, enum user_rate kind,
    uint32_t per_minute, uint64_t wait_ns, uint64_t max_ns, uint64_t now_ns,
    bool *out_r)
{
	uint32_t row = find_or_add(t, u->key);
	uint64_t count;

	*out_r = false;
	if (row == NONE || per_minute == 0)
		return wait_ns;
	count = strike(strikes_at(t, row), now_ns / NS_PER_S);
	if (count % USER_STRIKES == 0 && wait_ns < max_ns) {
		wait_ns = wait_ns < max_ns / 2 ? wait_ns * 2 : max_ns;
		postpone(rate_at(t, kind, row), per_minute, now_ns, wait_ns);
	}
	if (count >= USER_STRIKES_OUT) {
		*out_r = true;
		hold(strikes_at(t, row), now_ns / NS_PER_S,
		    (now_ns + wait_ns + NS_PER_S - 1) / NS_PER_S);
	}
	return wait_ns;
}

uint32_t
user_rate_left(struct tables *t, const struct user_ref *u, enum user_rate kind,
    uint32_t per_minute, uint64_t now_ns, uint64_t *wait_r)
{
	uint32_t empty, row = lookup(t, u->key, &empty);
	uint64_t tat = row == NONE
	    ? 0
	    : atomic_load_explicit(rate_at(t, kind, row), memory_order_relaxed);
	uint64_t ahead = tat > now_ns ? tat - now_ns : 0, step, next;

	*wait_r = 0;
	if (per_minute == 0)
		return 0;
	step = gcra_step(MINUTE_NS, per_minute);
	*wait_r = gcra_charge(tat, now_ns, MINUTE_NS, per_minute, 0, &next);
	return *wait_r > 0 ? 0
			   : per_minute - (uint32_t)((ahead + step - 1) / step);
}

uint32_t
user_strikes(struct tables *t, const struct user_ref *u, uint64_t now_ns)
{
	uint32_t empty, row = lookup(t, u->key, &empty);
	uint64_t word;

	if (row == NONE)
		return 0;
	word = atomic_load_explicit(strikes_at(t, row), memory_order_relaxed);
	return strikes_over(word, now_ns / NS_PER_S)
	    ? 0
	    : (uint32_t)(word >> 2 * STRIKE_BITS);
}

uint64_t
user_held(struct tables *t, const struct user_ref *u, uint64_t now_ns)
{
	uint32_t empty, row = lookup(t, u->key, &empty);
	uint64_t left;

	if (row == NONE)
		return 0;
	left = held_s(atomic_load_explicit(strikes_at(t, row),
			  memory_order_relaxed),
	    now_ns / NS_PER_S);
	return left > 0 ? left * NS_PER_S - now_ns % NS_PER_S : 0;
}

/* --- master ------------------------------------------------------------ */

void
users_clear_column(struct tables *t, unsigned slot)
{
	_Atomic uint16_t *p;
	uint32_t row;

	CHECK(slot < TABLES_WORKERS);
	if ((atomic_load(&t->users->columns) & (UINT64_C(1) << slot)) == 0)
		return;
	for (row = 0; row < t->geometry.users; row++) {
		p = count_at(t, slot, row);
		if (atomic_load_explicit(p, memory_order_relaxed) != 0)
			atomic_store_explicit(p, 0, memory_order_relaxed);
	}
}

/* Nobody is connected, and no rate would refuse anything. */
static bool
row_idle(const struct tables *t, uint32_t row, uint64_t now_ns)
{
	enum user_rate kind;
	uint64_t word;

	if (row_sum(t, row) != 0)
		return false;
	for (kind = 0; kind < USER_RATE__MAX; kind++) {
		if (atomic_load_explicit(rate_at(t, kind, row),
			memory_order_relaxed) > now_ns)
			return false;
	}
	word = atomic_load_explicit(strikes_at(t, row), memory_order_relaxed);
	return strikes_over(word, now_ns / NS_PER_S) &&
	    held_s(word, now_ns / NS_PER_S) == 0;
}

static bool
free_row(struct tables *t, uint32_t row, uint64_t key, uint64_t now_ns)
{
	_Atomic uint64_t *k = key_at(t, row);
	enum user_rate kind;

	atomic_store_explicit(k, key | DELETING, memory_order_release);
	FAULT(USER_DELETING);
	/* pairs with the fence in user_connect() */
	atomic_thread_fence(memory_order_seq_cst);
	if (!row_idle(t, row, now_ns)) {
		atomic_store_explicit(k, key, memory_order_release);
		return false;
	}
	for (kind = 0; kind < USER_RATE__MAX; kind++)
		atomic_store_explicit(rate_at(t, kind, row), 0,
		    memory_order_relaxed);
	atomic_store_explicit(strikes_at(t, row), 0, memory_order_relaxed);
	atomic_store_explicit(seen_at(t, row), 0, memory_order_relaxed);
	atomic_store_explicit(k, 0, memory_order_release);
	return true;
}

uint32_t
users_sweep(struct tables *t, uint64_t now_ns, uint32_t budget)
{
	const uint32_t now_s = (uint32_t)(now_ns / 1000000000);
	uint32_t row, seen, n = 0;
	uint64_t key;

	if (budget > t->geometry.users)
		budget = t->geometry.users;
	for (; budget > 0; budget--) {
		row = t->sweep_at++ & (t->geometry.users - 1);
		key =
		    atomic_load_explicit(key_at(t, row), memory_order_acquire);
		if (key == 0)
			continue;
		seen =
		    atomic_load_explicit(seen_at(t, row), memory_order_relaxed);
		if (seen + KEEP_S > now_s || !row_idle(t, row, now_ns))
			continue;
		n += free_row(t, row, key & ~DELETING, now_ns);
	}
	return n;
}

uint32_t
users_count(const struct tables *t)
{
	uint32_t row, n = 0;

	for (row = 0; row < t->geometry.users; row++)
		n += atomic_load_explicit(key_at(t, row),
			 memory_order_relaxed) != 0;
	return n;
}
