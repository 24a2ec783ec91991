/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * The table 'ban':
 *
 *   user id   until 8, reason, by
 */

#include <errno.h>
#include <string.h>

#include "store/env.h"

static bool
ban_key(struct store_key *k, struct store_text id)
{
	if (id.len == 0 || id.len > STORE_MAX_NAME)
		return false;
	store_key_begin(k);
	return store_key_bytes(k, id.p, id.len);
}

bool
store_decode_ban(struct store_txn *t, const MDB_val *key, const MDB_val *val,
    void *row)
{
	struct store_ban *ban = row;
	struct store_fields f;

	if (!store_value_open(t, STORE_BAN, key, val, &f, NULL))
		return false;
	ban->user_id.p = key->mv_data;
	ban->user_id.len = key->mv_size;
	ban->until_ms = store_take_u64(&f);
	ban->reason = store_take_text(&f);
	ban->by = store_take_text(&f);
	return store_value_done(t, &f);
}

int
store_ban_get(struct store_txn *t, struct store_text user_id,
    struct store_ban *ban_r)
{
	struct store_ban ban;
	struct store_key k;

	if (!ban_key(&k, user_id)) {
		errno = ENOENT;
		return -1;
	}
	if (store_get_row(t, STORE_BAN, &k, store_decode_ban, &ban) == -1)
		return -1;
	ban.user_id = user_id;
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

	if (!ban_key(&k, ban->user_id) || ban->reason.len > UINT16_MAX ||
	    ban->by.len > UINT16_MAX) {
		store_fail(t, EINVAL);
		return;
	}
	store_put_begin(t, STORE_BAN, &k, 0,
	    8 + 2 + ban->reason.len + 2 + ban->by.len, false, &put);
	store_add_u64(&put.f, ban->until_ms);
	store_add_text(&put.f, ban->reason);
	store_add_text(&put.f, ban->by);
	store_put_end(&put);
}

void
store_ban_del(struct store_txn *t, struct store_text user_id)
{
	struct store_key k;

	if (ban_key(&k, user_id))
		(void)store_del(t, STORE_BAN, &k);
}
