/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * The table 'presence':
 *
 *   room 8, user 8, socket id
 *       (kind: has it a pid) joined 8, activity 8, gseq 8, incarnation 4,
 *       client 4, generation 4, user id, user name, status, agent, pid
 *
 * A row without a pid is what a chatd wrote that knew none.
 */

#include <errno.h>
#include <string.h>

#include "store/env.h"

#define PRESENCE_FIXED (8 + 8 + 8 + 4 + 4 + 4)

enum presence_kind {
	PRESENCE_PLAIN,
	PRESENCE_WITH_PID,
};

static bool
presence_key(struct store_key *k, uint64_t room, uint64_t user,
    struct store_text socket)
{
	if (socket.len > STORE_MAX_NAME)
		return false;
	store_key_begin(k);
	store_key_u64(k, room);
	store_key_u64(k, user);
	return store_key_bytes(k, socket.p, socket.len);
}

bool
store_decode_presence(struct store_txn *t, const MDB_val *key,
    const MDB_val *val, void *row)
{
	struct store_text none = { "", 0 };
	struct store_presence *p = row;
	struct store_fields f;
	uint8_t kind;

	if (!store_value_open(t, STORE_PRESENCE, key, val, &f, &kind))
		return false;
	if (key->mv_size < 16)
		return store_value_odd(t, &f);
	p->room = store_key_get(key, 0);
	p->user = store_key_get(key, 8);
	p->socket.p = (const char *)key->mv_data + 16;
	p->socket.len = key->mv_size - 16;
	p->joined_ms = store_take_u64(&f);
	p->activity_ms = store_take_u64(&f);
	p->gseq = store_take_u64(&f);
	p->incarnation = store_take_u32(&f);
	p->client = store_take_u32(&f);
	p->generation = store_take_u32(&f);
	p->user_id = store_take_text(&f);
	p->user_name = store_take_text(&f);
	p->status = store_take_text(&f);
	p->agent = store_take_text(&f);
	p->pid = kind == PRESENCE_WITH_PID ? store_take_text(&f) : none;
	return store_value_done(t, &f);
}

static int
roster_from(struct store_txn *t, const struct store_key *from, bool behind,
    store_presence_fn *fn, void *arg)
{
	struct store_presence p;
	struct store_scan sc;
	int rc;

	if (store_scan_begin(&sc, t, STORE_PRESENCE, from, 8, false) == -1)
		return -1;
	while ((rc = store_scan_row(&sc, store_decode_presence, &p)) == 1) {
		if (behind && sc.key.mv_size == from->len &&
		    memcmp(sc.key.mv_data, from->b, from->len) == 0)
			continue;
		if (!fn(&p, arg))
			break;
	}
	store_scan_end(&sc);
	return rc == -1 ? -1 : 0;
}

int
store_roster(struct store_txn *t, uint64_t room, store_presence_fn *fn,
    void *arg)
{
	struct store_key k;

	store_key_begin(&k);
	store_key_u64(&k, room);
	return roster_from(t, &k, false, fn, arg);
}

int
store_roster_behind(struct store_txn *t, uint64_t room, uint64_t user,
    struct store_text socket, store_presence_fn *fn, void *arg)
{
	struct store_key k;

	if (!presence_key(&k, room, user, socket)) {
		errno = ENOENT;
		return -1;
	}
	return roster_from(t, &k, true, fn, arg);
}

/*
 * The row of one socket.  In a transaction that writes, its text moves with
 * the next put or delete.
 */
int
store_presence_get(struct store_txn *t, uint64_t room, uint64_t user,
    struct store_text socket, struct store_presence *p_r)
{
	struct store_presence p;
	struct store_key k;

	if (!presence_key(&k, room, user, socket)) {
		errno = ENOENT;
		return -1;
	}
	if (store_get_row(t, STORE_PRESENCE, &k, store_decode_presence, &p) ==
	    -1)
		return -1;
	p.socket = socket;
	*p_r = p;
	return 0;
}

/* What is damaged counts: it is somebody. */
int
store_presence_count(struct store_txn *t, uint64_t room, uint64_t user,
    uint64_t *n_r)
{
	struct store_presence p;
	struct store_scan sc;
	struct store_key k;
	uint64_t n = 0;
	bool sound;
	int rc;

	store_key_begin(&k);
	store_key_u64(&k, room);
	if (user != 0)
		store_key_u64(&k, user);
	if (store_scan_begin(&sc, t, STORE_PRESENCE, &k, k.len, false) == -1)
		return -1;
	while (
	    (rc = store_scan_any(&sc, store_decode_presence, &p, &sound)) == 1)
		n++;
	store_scan_end(&sc);
	if (rc == -1)
		return -1;
	*n_r = n;
	return 0;
}

void
store_presence_put(struct store_txn *t, const struct store_presence *p)
{
	bool with_pid = p->pid.len > 0;
	struct store_put put;
	struct store_key k;

	if (!presence_key(&k, p->room, p->user, p->socket)) {
		store_fail(t, EINVAL);
		return;
	}
	store_put_begin(t, STORE_PRESENCE, &k,
	    with_pid ? PRESENCE_WITH_PID : PRESENCE_PLAIN,
	    PRESENCE_FIXED + 2 + p->user_id.len + 2 + p->user_name.len + 2 +
		p->status.len + 2 + p->agent.len +
		(with_pid ? 2 + p->pid.len : 0),
	    false, &put);
	store_add_u64(&put.f, p->joined_ms);
	store_add_u64(&put.f, p->activity_ms);
	store_add_u64(&put.f, p->gseq);
	store_add_u32(&put.f, p->incarnation);
	store_add_u32(&put.f, p->client);
	store_add_u32(&put.f, p->generation);
	store_add_text(&put.f, p->user_id);
	store_add_text(&put.f, p->user_name);
	store_add_text(&put.f, p->status);
	store_add_text(&put.f, p->agent);
	if (with_pid)
		store_add_text(&put.f, p->pid);
	store_put_end(&put);
}

void
store_presence_del(struct store_txn *t, uint64_t room, uint64_t user,
    struct store_text socket)
{
	struct store_key k;

	if (presence_key(&k, room, user, socket))
		(void)store_del(t, STORE_PRESENCE, &k);
}

void
store_presence_clear(struct store_txn *t)
{
	if (t->err == 0)
		store_fail(t,
		    store_errno(
			mdb_drop(t->txn, t->s->dbi[STORE_PRESENCE], 0)));
}

struct walk {
	store_presence_fn *fn;
	void *arg;
};

static bool
walk_row(const MDB_val *key, bool sound, void *row, void *arg)
{
	const struct walk *w = arg;

	return !sound || w->fn(row, w->arg);
}

int
store_presence_walk(struct store_txn *t, struct store_place *place,
    unsigned max, store_presence_fn *fn, void *arg)
{
	struct walk w = { fn, arg };
	struct store_presence p;
	struct store_walk walk = { .table = STORE_PRESENCE,
		.max = max,
		.decode = store_decode_presence,
		.row = &p,
		.fn = walk_row,
		.arg = &w };

	return store_walk(t, place, &walk);
}
