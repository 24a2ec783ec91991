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

int
store_user_find(struct store_txn *t, struct store_text id, uint64_t *user_r)
{
	struct store_fields f;
	struct store_key k;
	MDB_val key, val;
	uint64_t user;

	if (!id_key(&k, id)) {
		errno = ENOENT;
		return -1;
	}
	if (store_get(t, STORE_USER, &k, &val) == -1)
		return -1;
	key.mv_data = k.b;
	key.mv_size = k.len;
	if (!store_value_open(t->s, &key, &val, &f, NULL))
		goto bad;
	user = store_take_u64(&f);
	if (!store_value_done(t->s, &f))
		goto bad;
	*user_r = user;
	return 0;

bad:
	errno = EBADMSG;
	return -1;
}

int
store_user_get(struct store_txn *t, uint64_t user, struct store_user *user_r)
{
	struct store_fields f;
	struct store_user u = { .user = user };
	struct store_key k;
	MDB_val key, val;

	number_key(&k, user);
	if (store_get(t, STORE_USER, &k, &val) == -1)
		return -1;
	key.mv_data = k.b;
	key.mv_size = k.len;
	if (!store_value_open(t->s, &key, &val, &f, NULL))
		goto bad;
	u.last_seen_ms = store_take_u64(&f);
	u.id = store_take_text(&f);
	u.name = store_take_text(&f);
	if (!store_value_done(t->s, &f))
		goto bad;
	*user_r = u;
	return 0;

bad:
	errno = EBADMSG;
	return -1;
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
