/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * The table 'session':
 *
 *   'n' workspace NUL session   room 8
 *   '#' room 8                  created 8, workspace, session
 */

#include <errno.h>
#include <string.h>

#include "store/env.h"

static bool
name_ok(struct store_text name)
{
	return name.len > 0 && name.len <= STORE_MAX_NAME &&
	    memchr(name.p, '\0', name.len) == NULL;
}

/* Returns false if there can be no such name. */
static bool
name_key(struct store_key *k, struct store_text workspace,
    struct store_text session)
{
	if (!name_ok(workspace) || !name_ok(session))
		return false;
	store_key_begin(k);
	store_key_u8(k, 'n');
	return store_key_bytes(k, workspace.p, workspace.len) &&
	    store_key_bytes(k, "", 1) &&
	    store_key_bytes(k, session.p, session.len);
}

static void
number_key(struct store_key *k, uint64_t room)
{
	store_key_begin(k);
	store_key_u8(k, '#');
	store_key_u64(k, room);
}

int
store_room_find(struct store_txn *t, struct store_text workspace,
    struct store_text session, uint64_t *room_r)
{
	struct store_fields f;
	struct store_key k;
	MDB_val key, val;
	uint64_t room;

	if (!name_key(&k, workspace, session)) {
		errno = ENOENT;
		return -1;
	}
	if (store_get(t, STORE_SESSION, &k, &val) == -1)
		return -1;
	key.mv_data = k.b;
	key.mv_size = k.len;
	if (!store_value_open(t->s, &key, &val, &f, NULL))
		goto bad;
	room = store_take_u64(&f);
	if (!store_value_done(t->s, &f))
		goto bad;
	*room_r = room;
	return 0;

bad:
	errno = EBADMSG;
	return -1;
}

static bool
room_row(struct store *s, const MDB_val *key, const MDB_val *val,
    struct store_room *room_r)
{
	struct store_fields f;

	if (!store_value_open(s, key, val, &f, NULL))
		return false;
	room_r->room = store_key_get(key, 1);
	room_r->created_ms = store_take_u64(&f);
	room_r->workspace = store_take_text(&f);
	room_r->session = store_take_text(&f);
	return store_value_done(s, &f);
}

int
store_room_get(struct store_txn *t, uint64_t room, struct store_room *room_r)
{
	struct store_room r;
	struct store_key k;
	MDB_val key, val;

	number_key(&k, room);
	if (store_get(t, STORE_SESSION, &k, &val) == -1)
		return -1;
	key.mv_data = k.b;
	key.mv_size = k.len;
	if (!room_row(t->s, &key, &val, &r)) {
		errno = EBADMSG;
		return -1;
	}
	*room_r = r;
	return 0;
}

int
store_room_each(struct store_txn *t, uint64_t from, store_room_fn *fn,
    void *arg)
{
	struct store_scan sc;
	struct store_room room;
	struct store_key k;
	int rc;

	number_key(&k, from);
	if (store_scan_begin(&sc, t, STORE_SESSION, &k, 1, false) == -1)
		return -1;
	while ((rc = store_scan_next(&sc)) == 1)
		if (room_row(t->s, &sc.key, &sc.val, &room) && !fn(&room, arg))
			break;
	store_scan_end(&sc);
	return rc == -1 ? -1 : 0;
}

void
store_room_add(struct store_txn *t, const struct store_room *room)
{
	struct store_put put;
	struct store_key k;

	if (!name_key(&k, room->workspace, room->session)) {
		store_fail(t, EINVAL);
		return;
	}
	store_put_begin(t, STORE_SESSION, &k, 0, 8, true, &put);
	store_add_u64(&put.f, room->room);
	store_put_end(&put);

	number_key(&k, room->room);
	store_put_begin(t, STORE_SESSION, &k, 0,
	    8 + 2 + room->workspace.len + 2 + room->session.len, true, &put);
	store_add_u64(&put.f, room->created_ms);
	store_add_text(&put.f, room->workspace);
	store_add_text(&put.f, room->session);
	store_put_end(&put);
}
