/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * The table 'ban':
 *
 *   kind 1 | id   until 8, since 8, gseq 8, reason, by
 */

#include <errno.h>
#include <string.h>

#include "store/env.h"

static bool
ban_key(struct store_key *k, unsigned kind, struct store_text id)
{
	if (kind == 0 || kind > UINT8_MAX || id.len == 0 ||
	    id.len > STORE_MAX_NAME)
		return false;
	store_key_begin(k);
	store_key_u8(k, (uint8_t)kind);
	return store_key_bytes(k, id.p, id.len);
}

bool
store_decode_ban(struct store_txn *t, const MDB_val *key, const MDB_val *val,
    void *row)
{
	struct store_ban *ban = row;
	const uint8_t *k = key->mv_data;
	struct store_fields f;

	if (!store_value_open(t, STORE_BAN, key, val, &f, NULL))
		return false;
	if (key->mv_size < 2)
		return store_value_odd(t, &f);
	ban->kind = k[0];
	ban->id.p = (const char *)k + 1;
	ban->id.len = key->mv_size - 1;
	ban->until_ms = store_take_u64(&f);
	ban->since_ms = store_take_u64(&f);
	ban->gseq = store_take_u64(&f);
	ban->reason = store_take_text(&f);
	ban->by = store_take_text(&f);
	return store_value_done(t, &f);
}

int
store_ban_get(struct store_txn *t, unsigned kind, struct store_text id,
    struct store_ban *ban_r)
{
	struct store_ban ban;
	struct store_key k;

	if (!ban_key(&k, kind, id)) {
		errno = ENOENT;
		return -1;
	}
	if (store_get_row(t, STORE_BAN, &k, store_decode_ban, &ban) == -1)
		return -1;
	ban.kind = kind;
	ban.id = id;
	*ban_r = ban;
	return 0;
}

struct walk {
	store_ban_fn *fn;
	void *arg;
};

static bool
walk_row(const MDB_val *key, bool sound, void *row, void *arg)
{
	const struct walk *w = arg;

	return !sound || w->fn(row, w->arg);
}

int
store_ban_walk(struct store_txn *t, struct store_place *place, unsigned max,
    store_ban_fn *fn, void *arg)
{
	struct walk w = { fn, arg };
	struct store_ban ban;
	struct store_walk walk = { .table = STORE_BAN,
		.max = max,
		.decode = store_decode_ban,
		.row = &ban,
		.fn = walk_row,
		.arg = &w };

	return store_walk(t, place, &walk);
}

void
store_ban_put(struct store_txn *t, const struct store_ban *ban)
{
	struct store_put put;
	struct store_key k;

	if (!ban_key(&k, ban->kind, ban->id) || ban->reason.len > UINT16_MAX ||
	    ban->by.len > UINT16_MAX) {
		store_fail(t, EINVAL);
		return;
	}
	store_put_begin(t, STORE_BAN, &k, 0,
	    24 + 2 + ban->reason.len + 2 + ban->by.len, false, &put);
	store_add_u64(&put.f, ban->until_ms);
	store_add_u64(&put.f, ban->since_ms);
	store_add_u64(&put.f, ban->gseq);
	store_add_text(&put.f, ban->reason);
	store_add_text(&put.f, ban->by);
	store_put_end(&put);
}

bool
store_ban_del(struct store_txn *t, unsigned kind, struct store_text id)
{
	struct store_key k;

	return ban_key(&k, kind, id) && store_del(t, STORE_BAN, &k);
}

/* --- those that have ended ---------------------------------------------- */

struct sweep {
	uint64_t now_ms;
	unsigned n;
	struct store_key key[STORE_BAN_SWEEP];
};

static bool
sweep_row(const MDB_val *key, bool sound, void *row, void *arg)
{
	const struct store_ban *ban = row;
	struct sweep *sw = arg;

	if (!sound || ban->until_ms > sw->now_ms)
		return true;
	store_key_begin(&sw->key[sw->n]);
	(void)store_key_bytes(&sw->key[sw->n], key->mv_data, key->mv_size);
	sw->n++;
	return true;
}

int
store_ban_sweep(struct store_txn *t, struct store_place *place, uint64_t now_ms,
    unsigned *removed_r)
{
	struct sweep sw = { .now_ms = now_ms };
	struct store_ban ban;
	struct store_walk walk = { .table = STORE_BAN,
		.max = STORE_BAN_SWEEP,
		.decode = store_decode_ban,
		.row = &ban,
		.fn = sweep_row,
		.arg = &sw };
	unsigned i;

	*removed_r = 0;
	if (store_walk(t, place, &walk) == -1)
		return -1;
	for (i = 0; i < sw.n; i++)
		*removed_r += store_del(t, STORE_BAN, &sw.key[i]);
	if (t->err != 0) {
		errno = t->err;
		return -1;
	}
	return 0;
}
