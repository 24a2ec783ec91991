/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * The table 'member':
 *
 *   room 8, user 8   (kind: role) joined 8, from seq 8
 */

#include <errno.h>
#include <string.h>

#include "store/env.h"

bool
store_decode_member(struct store_txn *t, const MDB_val *key, const MDB_val *val,
    void *row)
{
	struct store_member *m = row;
	struct store_fields f;
	uint8_t kind;

	if (!store_value_open(t, STORE_MEMBER, key, val, &f, &kind))
		return false;
	if (key->mv_size != 16)
		return store_value_odd(t, &f);
	m->room = store_key_get(key, 0);
	m->user = store_key_get(key, 8);
	m->role = kind;
	m->joined_ms = store_take_u64(&f);
	m->from_seq = store_take_u64(&f);
	return store_value_done(t, &f);
}

int
store_member_get(struct store_txn *t, uint64_t room, uint64_t user,
    struct store_member *m_r)
{
	struct store_member m;
	struct store_key k;

	store_room_key(&k, room, user);
	if (store_get_row(t, STORE_MEMBER, &k, store_decode_member, &m) == -1)
		return -1;
	*m_r = m;
	return 0;
}

int
store_member_each(struct store_txn *t, uint64_t room, store_member_fn *fn,
    void *arg)
{
	struct store_member m;
	struct store_scan sc;
	struct store_key k;
	int rc;

	store_room_key(&k, room, 0);
	if (store_scan_begin(&sc, t, STORE_MEMBER, &k, 8, false) == -1)
		return -1;
	while ((rc = store_scan_row(&sc, store_decode_member, &m)) == 1)
		if (!fn(&m, arg))
			break;
	store_scan_end(&sc);
	return rc == -1 ? -1 : 0;
}

void
store_member_put(struct store_txn *t, const struct store_member *m)
{
	struct store_put put;
	struct store_key k;

	if (m->role > UINT8_MAX) {
		store_fail(t, EINVAL);
		return;
	}
	store_room_key(&k, m->room, m->user);
	store_put_begin(t, STORE_MEMBER, &k, (uint8_t)m->role, 16, false, &put);
	store_add_u64(&put.f, m->joined_ms);
	store_add_u64(&put.f, m->from_seq);
	store_put_end(&put);
}

void
store_member_del(struct store_txn *t, uint64_t room, uint64_t user)
{
	struct store_key k;

	store_room_key(&k, room, user);
	(void)store_del(t, STORE_MEMBER, &k);
}
