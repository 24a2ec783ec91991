/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * The table 'user':
 *
 *   'n' user id   user 8
 *   '#' user 8    last seen 8, id, name
 */

#include <errno.h>
#include <string.h>

#include "store/env.h"

static bool
id_key(struct store_key *k, struct store_text id)
{
	if (id.len == 0 || id.len > STORE_MAX_NAME)
		return false;
	store_key_begin(k);
	store_key_u8(k, 'n');
	return store_key_bytes(k, id.p, id.len);
}

static void
number_key(struct store_key *k, uint64_t user)
{
	store_key_begin(k);
	store_key_u8(k, '#');
	store_key_u64(k, user);
}

bool
store_decode_user_name(struct store_txn *t, const MDB_val *key,
    const MDB_val *val, void *row)
{
	uint64_t *user = row;
	struct store_fields f;

	if (!store_value_open(t, STORE_USER, key, val, &f, NULL))
		return false;
	*user = store_take_u64(&f);
	return store_value_done(t, &f);
}

int
store_user_find(struct store_txn *t, struct store_text id, uint64_t *user_r)
{
	struct store_key k;
	uint64_t user;

	if (!id_key(&k, id)) {
		errno = ENOENT;
		return -1;
	}
	if (store_get_row(t, STORE_USER, &k, store_decode_user_name, &user) ==
	    -1)
		return -1;
	*user_r = user;
	return 0;
}

bool
store_decode_user(struct store_txn *t, const MDB_val *key, const MDB_val *val,
    void *row)
{
	struct store_user *u = row;
	struct store_fields f;

	if (!store_value_open(t, STORE_USER, key, val, &f, NULL))
		return false;
	if (key->mv_size != 9)
		return store_value_odd(t, &f);
	u->user = store_key_get(key, 1);
	u->last_seen_ms = store_take_u64(&f);
	u->id = store_take_text(&f);
	u->name = store_take_text(&f);
	return store_value_done(t, &f);
}

int
store_user_get(struct store_txn *t, uint64_t user, struct store_user *user_r)
{
	struct store_user u;
	struct store_key k;

	number_key(&k, user);
	if (store_get_row(t, STORE_USER, &k, store_decode_user, &u) == -1)
		return -1;
	*user_r = u;
	return 0;
}

struct walk {
	store_user_fn *fn;
	void *arg;
};

static bool
walk_row(const MDB_val *key, bool sound, void *row, void *arg)
{
	const struct walk *w = arg;

	return !sound || w->fn(row, w->arg);
}

int
store_user_walk(struct store_txn *t, struct store_place *place, unsigned max,
    store_user_fn *fn, void *arg)
{
	struct walk w = { fn, arg };
	struct store_user user;
	struct store_walk walk = { .table = STORE_USER,
		.prefix = '#',
		.max = max,
		.decode = store_decode_user,
		.row = &user,
		.fn = walk_row,
		.arg = &w };

	return store_walk(t, place, &walk);
}

static void
put_row(struct store_txn *t, const struct store_user *user, bool must_be_new)
{
	struct store_put put;
	struct store_key k;

	number_key(&k, user->user);
	store_put_begin(t, STORE_USER, &k, 0,
	    8 + 2 + user->id.len + 2 + user->name.len, must_be_new, &put);
	store_add_u64(&put.f, user->last_seen_ms);
	store_add_text(&put.f, user->id);
	store_add_text(&put.f, user->name);
	store_put_end(&put);
}

void
store_user_add(struct store_txn *t, const struct store_user *user)
{
	struct store_put put;
	struct store_key k;

	if (!id_key(&k, user->id)) {
		store_fail(t, EINVAL);
		return;
	}
	store_put_begin(t, STORE_USER, &k, 0, 8, true, &put);
	store_add_u64(&put.f, user->user);
	store_put_end(&put);
	put_row(t, user, true);
}

void
store_user_update(struct store_txn *t, const struct store_user *user)
{
	put_row(t, user, false);
}
