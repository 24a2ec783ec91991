/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * The table 'session':
 *
 *   'n' workspace NUL session   room 8
 *   '#' room 8                  created 8, workspace, session
 *     version 2:                created 8, floor seq 8, floor ms 8,
 *                               floor revision 8, workspace, session
 *     version 3:                the same, status gseq 8, status ms 8, status,
 *                               reason
 *
 * A room whose status was never said is written as version 2.
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

bool
store_decode_name(struct store_txn *t, const MDB_val *key, const MDB_val *val,
    void *row)
{
	uint64_t *room = row;
	struct store_fields f;

	if (!store_value_open(t, STORE_SESSION, key, val, &f, NULL))
		return false;
	*room = store_take_u64(&f);
	return store_value_done(t, &f);
}

int
store_room_find(struct store_txn *t, struct store_text workspace,
    struct store_text session, uint64_t *room_r)
{
	struct store_key k;
	uint64_t room;

	if (!name_key(&k, workspace, session)) {
		errno = ENOENT;
		return -1;
	}
	if (store_get_row(t, STORE_SESSION, &k, store_decode_name, &room) == -1)
		return -1;
	*room_r = room;
	return 0;
}

bool
store_decode_room(struct store_txn *t, const MDB_val *key, const MDB_val *val,
    void *row)
{
	struct store_room *r = row;
	struct store_fields f;

	if (!store_value_open(t, STORE_SESSION, key, val, &f, NULL))
		return false;
	if (key->mv_size != 9)
		return store_value_odd(t, &f);
	memset(r, 0, sizeof(*r));
	r->room = store_key_get(key, 1);
	r->created_ms = store_take_u64(&f);
	if (f.version >= 2) {
		r->floor.seq = store_take_u64(&f);
		r->floor.ms = store_take_u64(&f);
		r->floor.revision = store_take_u64(&f);
	}
	r->workspace = store_take_text(&f);
	r->session = store_take_text(&f);
	if (f.version >= 3) {
		r->status_gseq = store_take_u64(&f);
		r->status_ms = store_take_u64(&f);
		r->status = store_take_text(&f);
		r->status_reason = store_take_text(&f);
	}
	return store_value_done(t, &f);
}

int
store_room_get(struct store_txn *t, uint64_t room, struct store_room *room_r)
{
	struct store_room r;
	struct store_key k;

	number_key(&k, room);
	if (store_get_row(t, STORE_SESSION, &k, store_decode_room, &r) == -1)
		return -1;
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
	while ((rc = store_scan_row(&sc, store_decode_room, &room)) == 1)
		if (!fn(&room, arg))
			break;
	store_scan_end(&sc);
	return rc == -1 ? -1 : 0;
}

struct walk {
	store_room_fn *fn;
	void *arg;
};

static bool
walk_row(const MDB_val *key, bool sound, void *row, void *arg)
{
	const struct walk *w = arg;

	return !sound || w->fn(row, w->arg);
}

int
store_room_walk(struct store_txn *t, struct store_place *place, unsigned max,
    store_room_fn *fn, void *arg)
{
	struct walk w = { fn, arg };
	struct store_room room;
	struct store_walk walk = { .table = STORE_SESSION,
		.prefix = '#',
		.max = max,
		.decode = store_decode_room,
		.row = &room,
		.fn = walk_row,
		.arg = &w };

	return store_walk(t, place, &walk);
}

/* --- writing ----------------------------------------------------------- */

static void
put_room(struct store_txn *t, const struct store_room *room, bool must_be_new)
{
	size_t len = 32 + 2 + room->workspace.len + 2 + room->session.len;
	bool said = room->status.len > 0;
	struct store_put put;
	struct store_key k;

	if (said)
		len += 16 + 2 + room->status.len + 2 + room->status_reason.len;
	number_key(&k, room->room);
	store_put_begin(t, STORE_SESSION, &k, 0, len, must_be_new, &put);
	put.version = said ? 3 : 2;
	store_add_u64(&put.f, room->created_ms);
	store_add_u64(&put.f, room->floor.seq);
	store_add_u64(&put.f, room->floor.ms);
	store_add_u64(&put.f, room->floor.revision);
	store_add_text(&put.f, room->workspace);
	store_add_text(&put.f, room->session);
	if (said) {
		store_add_u64(&put.f, room->status_gseq);
		store_add_u64(&put.f, room->status_ms);
		store_add_text(&put.f, room->status);
		store_add_text(&put.f, room->status_reason);
	}
	store_put_end(&put);
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
	put_room(t, room, true);
}

int
store_floor_get(struct store_txn *t, uint64_t room, struct store_floor *floor_r)
{
	struct store_room r;

	if (store_room_get(t, room, &r) == -1)
		return -1;
	*floor_r = r.floor;
	return 0;
}

/* A room's row that is to be written back, with text of its own. */
struct kept_room {
	struct store_room r;
	size_t len;
	char text[2 * STORE_MAX_NAME + STORE_MAX_STATUS];
};

static void
keep(struct kept_room *k, struct store_text *text)
{
	if (text->len > 0)
		memcpy(k->text + k->len, text->p, text->len);
	text->p = k->text + k->len;
	k->len += text->len;
}

/* Text of the store moves with the put. */
static int
keep_room(struct store_txn *t, uint64_t room, struct kept_room *k)
{
	struct store_room *r = &k->r;

	if (store_room_get(t, room, r) == -1)
		return -1;
	if (r->workspace.len > STORE_MAX_NAME ||
	    r->session.len > STORE_MAX_NAME ||
	    r->status.len + r->status_reason.len > STORE_MAX_STATUS) {
		errno = EBADMSG;
		return -1;
	}
	k->len = 0;
	keep(k, &r->workspace);
	keep(k, &r->session);
	keep(k, &r->status);
	keep(k, &r->status_reason);
	return 0;
}

int
store_floor_put(struct store_txn *t, uint64_t room,
    const struct store_floor *floor)
{
	struct kept_room k;

	if (keep_room(t, room, &k) == -1)
		return -1;
	k.r.floor = *floor;
	put_room(t, &k.r, false);
	return 0;
}

int
store_status_put(struct store_txn *t, uint64_t room, struct store_text status,
    struct store_text reason, uint64_t time_ms, uint64_t gseq)
{
	struct kept_room k;

	if (status.len == 0 || status.len + reason.len > STORE_MAX_STATUS) {
		errno = EINVAL;
		return -1;
	}
	if (keep_room(t, room, &k) == -1)
		return -1;
	k.r.status = status;
	k.r.status_reason = reason;
	k.r.status_ms = time_ms;
	k.r.status_gseq = gseq;
	put_room(t, &k.r, false);
	if (t->err == 0)
		return 0;
	errno = t->err;
	return -1;
}
