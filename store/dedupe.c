/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * The table 'dedupe':
 *
 *   room 8, hash 8, seq 8   time 8, user 8, id
 *   room 8                  seq 8, gseq 8, count 8: struct store_merged
 */

#include <errno.h>
#include <string.h>

#include "store/env.h"

#define ROW_KEY 24

static void
row_key(struct store_key *k, uint64_t room, uint64_t hash, uint64_t seq)
{
	store_room_key(k, room, hash);
	store_key_u64(k, seq);
}

bool
store_decode_dedupe(struct store_txn *t, const MDB_val *key, const MDB_val *val,
    void *row)
{
	struct store_dedupe *d = row;
	struct store_fields f;

	/* a room's store_merged */
	if (key->mv_size == 8)
		return false;
	if (!store_value_open(t, STORE_DEDUPE, key, val, &f, NULL))
		return false;
	if (key->mv_size != ROW_KEY)
		return store_value_odd(t, &f);
	d->room = store_key_get(key, 0);
	d->hash = store_key_get(key, 8);
	d->seq = store_key_get(key, 16);
	d->time_ms = store_take_u64(&f);
	d->user = store_take_u64(&f);
	d->id = store_take_rest(&f);
	return store_value_done(t, &f);
}

bool
store_decode_merged(struct store_txn *t, const MDB_val *key, const MDB_val *val,
    void *row)
{
	struct store_merged *m = row;
	struct store_fields f;

	if (!store_value_open(t, STORE_DEDUPE, key, val, &f, NULL))
		return false;
	if (key->mv_size != 8)
		return store_value_odd(t, &f);
	m->room = store_key_get(key, 0);
	m->seq = store_take_u64(&f);
	m->gseq = store_take_u64(&f);
	m->count = store_take_u64(&f);
	return store_value_done(t, &f);
}

int
store_dedupe_find(struct store_txn *t, uint64_t room, uint64_t hash,
    struct store_text id, struct store_dedupe *d_r)
{
	struct store_dedupe d;
	struct store_scan sc;
	struct store_key k;
	int rc;

	row_key(&k, room, hash, UINT64_MAX);
	if (store_scan_begin(&sc, t, STORE_DEDUPE, &k, 16, true) == -1)
		return -1;
	while ((rc = store_scan_row(&sc, store_decode_dedupe, &d)) == 1)
		if (d.id.len == id.len && memcmp(d.id.p, id.p, id.len) == 0)
			break;
	store_scan_end(&sc);
	if (rc == 0)
		errno = ENOENT;
	if (rc != 1)
		return -1;
	*d_r = d;
	return 0;
}

int
store_merged_get(struct store_txn *t, uint64_t room, struct store_merged *m_r)
{
	struct store_merged m;
	struct store_key k;

	store_key_begin(&k);
	store_key_u64(&k, room);
	if (store_get_row(t, STORE_DEDUPE, &k, store_decode_merged, &m) == -1)
		return -1;
	*m_r = m;
	return 0;
}

void
store_dedupe_put(struct store_txn *t, const struct store_dedupe *d)
{
	struct store_put put;
	struct store_key k;

	row_key(&k, d->room, d->hash, d->seq);
	store_put_begin(t, STORE_DEDUPE, &k, 0, 16 + d->id.len, false, &put);
	store_add_u64(&put.f, d->time_ms);
	store_add_u64(&put.f, d->user);
	store_add_raw(&put.f, d->id.p, d->id.len);
	store_put_end(&put);
}

void
store_merged_put(struct store_txn *t, const struct store_merged *m)
{
	struct store_put put;
	struct store_key k;

	store_key_begin(&k);
	store_key_u64(&k, m->room);
	store_put_begin(t, STORE_DEDUPE, &k, 0, 24, false, &put);
	store_add_u64(&put.f, m->seq);
	store_add_u64(&put.f, m->gseq);
	store_add_u64(&put.f, m->count);
	store_put_end(&put);
}

/* --- expiry ------------------------------------------------------------ */

/* at most so many rows of a slice are looked at once */
#define SWEEP_MAX 512

struct sweep {
	struct store_txn *t;
	uint64_t before_ms;
	unsigned n;
	struct sweep_row {
		uint64_t room;
		uint64_t hash;
		uint64_t seq;
	} row[SWEEP_MAX];
};

static bool
look(const MDB_val *key, bool sound, void *row, void *arg)
{
	const struct store_dedupe *d = row;
	struct sweep *sw = arg;

	if (!sound || d->time_ms >= sw->before_ms)
		return true;
	sw->row[sw->n].room = d->room;
	sw->row[sw->n].hash = d->hash;
	sw->row[sw->n].seq = d->seq;
	sw->n++;
	return true;
}

static int
uncount(struct store_txn *t, uint64_t room, uint64_t n)
{
	struct store_merged m;

	if (store_merged_get(t, room, &m) == -1)
		return errno == ENOENT || errno == EBADMSG ? 0 : -1;
	m.count = m.count > n ? m.count - n : 0;
	store_merged_put(t, &m);
	return 0;
}

static int
delete_rows(struct sweep *sw)
{
	struct store_key k;
	uint64_t n = 0;
	unsigned i;

	for (i = 0; i < sw->n; i++) {
		row_key(&k, sw->row[i].room, sw->row[i].hash, sw->row[i].seq);
		if (store_del(sw->t, STORE_DEDUPE, &k))
			n++;
		if (i + 1 < sw->n && sw->row[i + 1].room == sw->row[i].room)
			continue;
		if (uncount(sw->t, sw->row[i].room, n) == -1)
			return -1;
		n = 0;
	}
	return 0;
}

int
store_dedupe_sweep(struct store_txn *t, struct store_place *place, unsigned max,
    uint64_t before_ms, unsigned *removed_r)
{
	struct sweep sw = { .t = t, .before_ms = before_ms };
	struct store_dedupe d;
	struct store_walk walk = { .table = STORE_DEDUPE,
		.max = max < SWEEP_MAX ? max : SWEEP_MAX,
		.decode = store_decode_dedupe,
		.row = &d,
		.fn = look,
		.arg = &sw };

	*removed_r = 0;
	if (store_walk(t, place, &walk) == -1 || delete_rows(&sw) == -1)
		return -1;
	*removed_r = sw.n;
	if (t->err != 0) {
		errno = t->err;
		return -1;
	}
	return 0;
}
