/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * Open addressing, linear probing, deletion by shifting back: no tombstones,
 * so that what is taken back leaves nothing behind.
 */

#include "scribe/dedupe.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DEDUPE_MIN_CAP 16
/* ids for which there is space before they are counted */
#define LOAD_GUESS 65536

void
dedupe_init(struct dedupe *d)
{
	memset(d, 0, sizeof(*d));
}

void
dedupe_clear(struct dedupe *d)
{
	free(d->v);
	dedupe_init(d);
}

size_t
dedupe_bytes(const struct dedupe *d)
{
	return d->cap * sizeof(*d->v);
}

static void
place(struct dedupe_entry *v, uint32_t cap, struct dedupe_entry e)
{
	uint32_t i = (uint32_t)e.hash & (cap - 1);

	while (v[i].seq != 0)
		i = (i + 1) & (cap - 1);
	v[i] = e;
}

/* Move everything with a seq of at least 'min_seq' to a table of 'cap'. */
static int
rebuild(struct dedupe *d, uint32_t cap, uint64_t min_seq)
{
	struct dedupe_entry *v;
	uint32_t i, n = 0;

	if ((v = calloc(cap, sizeof(*v))) == NULL)
		return -1;
	for (i = 0; i < d->cap; i++) {
		if (d->v[i].seq == 0 || d->v[i].seq < min_seq)
			continue;
		place(v, cap, d->v[i]);
		n++;
	}
	free(d->v);
	d->v = v;
	d->cap = cap;
	d->n = n;
	return 0;
}

static uint64_t
newest(const struct dedupe *d)
{
	uint64_t max = 0;
	uint32_t i;

	for (i = 0; i < d->cap; i++)
		if (d->v[i].seq > max)
			max = d->v[i].seq;
	return max;
}

/* Room for one more; the table is never more than two thirds full. */
static int
reserve(struct dedupe *d)
{
	uint64_t max;

	if (d->n >= DEDUPE_MAX) {
		/* seqs are dense: this leaves three quarters at most */
		max = newest(d);
		return rebuild(d, d->cap, max - DEDUPE_MAX / 4 * 3 + 1);
	}
	if ((d->n + 1) * 3ULL <= d->cap * 2ULL)
		return 0;
	return rebuild(d, d->cap == 0 ? DEDUPE_MIN_CAP : d->cap * 2, 0);
}

int
dedupe_add(struct dedupe *d, uint64_t hash, uint64_t seq)
{
	struct dedupe_entry e = { hash, seq };

	if (reserve(d) == -1) {
		errno = ENOMEM;
		return -1;
	}
	place(d->v, d->cap, e);
	d->n++;
	return 0;
}

void
dedupe_del(struct dedupe *d, uint64_t hash, uint64_t seq)
{
	uint32_t mask = d->cap - 1, hole, i, home;

	if (d->cap == 0)
		return;
	i = (uint32_t)hash & mask;
	while (d->v[i].seq != 0 && (d->v[i].seq != seq || d->v[i].hash != hash))
		i = (i + 1) & mask;
	if (d->v[i].seq == 0)
		return;
	d->n--;
	hole = i;
	for (i = (i + 1) & mask; d->v[i].seq != 0; i = (i + 1) & mask) {
		home = (uint32_t)d->v[i].hash & mask;
		/* may not move in front of the place where it is looked for */
		if (((i - home) & mask) < ((i - hole) & mask))
			continue;
		d->v[hole] = d->v[i];
		hole = i;
	}
	d->v[hole].seq = 0;
}

uint64_t
dedupe_next(const struct dedupe *d, uint64_t hash, uint32_t *place_r)
{
	uint32_t mask = d->cap - 1, i;

	if (d->cap == 0)
		return 0;
	for (;;) {
		i = ((uint32_t)hash + *place_r) & mask;
		if (d->v[i].seq == 0)
			return 0;
		++*place_r;
		if (d->v[i].hash == hash)
			return d->v[i].seq;
	}
}

void
dedupe_forget(struct dedupe *d, uint64_t seq)
{
	uint32_t cap = d->cap, i, left = 0;

	for (i = 0; i < d->cap; i++)
		left += d->v[i].seq > seq;
	if (left == d->n)
		return;
	while (cap > DEDUPE_MIN_CAP && left * 3ULL <= cap)
		cap /= 2;
	(void)rebuild(d, cap, seq + 1);
}

struct loading {
	struct dedupe *d;
	uint64_t since_ms;
	uint64_t after_seq;
	bool failed;
};

static bool
load_one(const struct store_log *log, void *arg)
{
	struct loading *l = arg;

	if (log->time_ms < l->since_ms || log->seq <= l->after_seq ||
	    l->d->n >= DEDUPE_MAX / 4 * 3)
		return false;
	l->failed = dedupe_add(l->d, log->id_hash[0], log->seq) == -1;
	return !l->failed;
}

int
dedupe_load(struct dedupe *d, struct store_txn *t, uint64_t room,
    uint64_t since_ms, uint64_t after_seq, uint64_t last_seq)
{
	struct loading l = { d, since_ms, after_seq, false };
	uint64_t n = last_seq > after_seq ? last_seq - after_seq : 0;
	uint32_t cap = DEDUPE_MIN_CAP;
	int err;

	if (n > LOAD_GUESS)
		n = LOAD_GUESS;
	while (n > 0 && n * 3 > cap * 2ULL)
		cap *= 2;
	if (n > 0 && rebuild(d, cap, 0) == -1) {
		errno = ENOMEM;
		return -1;
	}

	if (store_log_newest(t, room, load_one, &l) == -1 || l.failed) {
		err = l.failed ? ENOMEM : errno;
		dedupe_clear(d);
		errno = err;
		return -1;
	}
	d->loaded = true;
	return 0;
}
