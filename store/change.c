/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * The tables 'change' and 'receipt':
 *
 *   change: room 8, revision 8   (kind) subject 8, gseq 8, time 8
 *   receipt: room 8, user 8      seq 8, revision 8, time 8
 *
 * where the subject is a seq, or the user of a receipt.
 */

#include <errno.h>
#include <string.h>

#include "store/env.h"

static void
change_key_of(struct store_key *k, const struct store_change *c)
{
	store_room_key(k, c->room, c->revision);
}

bool
store_decode_change(struct store_txn *t, const MDB_val *key, const MDB_val *val,
    void *row)
{
	struct store_change *c = row;
	struct store_fields f;
	uint64_t subject;
	uint8_t kind;

	if (!store_value_open(t, STORE_CHANGE, key, val, &f, &kind))
		return false;
	if (key->mv_size != 16 || kind < STORE_CHANGE_EDIT ||
	    kind > STORE_CHANGE_RECEIPT)
		return store_value_odd(t, &f);
	memset(c, 0, sizeof(*c));
	c->room = store_key_get(key, 0);
	c->revision = store_key_get(key, 8);
	c->kind = kind;
	subject = store_take_u64(&f);
	if (kind == STORE_CHANGE_RECEIPT)
		c->user = subject;
	else
		c->seq = subject;
	c->gseq = store_take_u64(&f);
	c->time_ms = store_take_u64(&f);
	if (!store_value_done(t, &f))
		return false;
	/* of a snapshot that had to go on in a newer one */
	return !t->moved || t->pos == 0 || c->gseq < t->pos;
}

int
store_change_each(struct store_txn *t, uint64_t room, uint64_t from,
    store_change_fn *fn, void *arg)
{
	struct store_change c;
	struct store_scan sc;
	struct store_key k;
	int rc;

	store_room_key(&k, room, from);
	if (store_scan_begin(&sc, t, STORE_CHANGE, &k, 8, false) == -1)
		return -1;
	while ((rc = store_scan_row(&sc, store_decode_change, &c)) == 1)
		if (!fn(&c, arg))
			break;
	store_scan_end(&sc);
	return rc == -1 ? -1 : 0;
}

static bool
keep_change(const struct store_change *c, void *arg)
{
	*(struct store_change *)arg = *c;
	return false;
}

/* The first row with a revision of at least 'from'; revision 0: none. */
static int
change_at(struct store_txn *t, uint64_t room, uint64_t from,
    struct store_change *c_r)
{
	c_r->revision = 0;
	return store_change_each(t, room, from, keep_change, c_r);
}

/*
 * Revisions rise with positions, but most have no row (any more): a row
 * tells about all numbers from the one that was asked for up to its own.
 */
int
store_change_seek(struct store_txn *t, uint64_t room, uint64_t gseq,
    uint64_t *revision_r)
{
	uint64_t lo = 1, hi, mid;
	struct store_change c;

	if (store_last_revision(t, room, &hi) == -1)
		return -1;
	hi++;
	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (change_at(t, room, mid, &c) == -1)
			return -1;
		if (c.revision == 0 || c.gseq >= gseq)
			hi = mid;
		else
			lo = c.revision + 1;
	}
	*revision_r = lo;
	return 0;
}

int
store_change_last(struct store_txn *t, uint64_t room, struct store_change *c_r)
{
	struct store_change c;
	struct store_scan sc;
	struct store_key k;
	int rc;

	store_room_key(&k, room, UINT64_MAX);
	if (store_scan_begin(&sc, t, STORE_CHANGE, &k, 8, true) == -1)
		return -1;
	rc = store_scan_row(&sc, store_decode_change, &c);
	store_scan_end(&sc);
	if (rc == 0)
		errno = ENOENT;
	if (rc != 1)
		return -1;
	*c_r = c;
	return 0;
}

/* As with seqs, none is given twice: what is damaged says nothing. */
int
store_last_revision(struct store_txn *t, uint64_t room, uint64_t *revision_r)
{
	struct store_floor floor = { 0 };
	struct store_change c = { 0 };
	struct store_scan sc;
	struct store_key k;
	bool sure;
	int rc;

	store_room_key(&k, room, UINT64_MAX);
	if (store_scan_begin(&sc, t, STORE_CHANGE, &k, 8, true) == -1)
		return -1;
	sc.careful = true;
	rc = store_scan_row(&sc, store_decode_change, &c);
	sure = !sc.damaged;
	store_scan_end(&sc);
	if (rc == -1)
		return -1;
	if (!sure) {
		errno = EBADMSG;
		return -1;
	}
	if (store_floor_get(t, room, &floor) == -1 && errno != ENOENT)
		return -1;
	*revision_r = rc == 1 && c.revision > floor.revision ? c.revision
							     : floor.revision;
	return 0;
}

void
store_change_put(struct store_txn *t, const struct store_change *c)
{
	struct store_put put;
	struct store_key k;

	change_key_of(&k, c);
	store_put_begin(t, STORE_CHANGE, &k, (uint8_t)c->kind, 24, true, &put);
	store_add_u64(&put.f,
	    c->kind == STORE_CHANGE_RECEIPT ? c->user : c->seq);
	store_add_u64(&put.f, c->gseq);
	store_add_u64(&put.f, c->time_ms);
	store_put_end(&put);
}

/* The item's row moves to its new revision. */
static void
move_change(struct store_txn *t, const struct store_change *c, uint64_t from)
{
	struct store_key k;

	if (from != 0) {
		store_room_key(&k, c->room, from);
		(void)store_del(t, STORE_CHANGE, &k);
	}
	store_change_put(t, c);
}

static int
result(const struct store_txn *t)
{
	if (t->err == 0)
		return 0;
	errno = t->err;
	return -1;
}

/* --- messages ---------------------------------------------------------- */

static int
change_message(struct store_txn *t, struct store_change *c,
    struct store_text body, uint64_t *revision_r)
{
	char id[STORE_MAX_NAME];
	struct store_message m;
	uint64_t was, last;

	if (store_message_get(t, c->room, c->seq, &m) == -1 ||
	    store_last_revision(t, c->room, &last) == -1)
		return -1;
	if (m.deleted) {
		errno = ENOENT;
		return -1;
	}
	if (m.id.len > sizeof(id)) {
		errno = EBADMSG;
		return -1;
	}
	/* text of the store moves with the put */
	memcpy(id, m.id.p, m.id.len);
	m.id.p = id;
	m.body = body;
	was = m.revision;
	m.revision = c->revision = last + 1;
	m.edited_ms = c->time_ms;
	m.deleted = c->kind == STORE_CHANGE_DELETE;
	store_message_put(t, &m, false);
	move_change(t, c, was);
	*revision_r = c->revision;
	return result(t);
}

int
store_message_edit(struct store_txn *t, uint64_t room, uint64_t seq,
    struct store_text body, uint64_t time_ms, uint64_t gseq,
    uint64_t *revision_r)
{
	struct store_change c = { .room = room,
		.kind = STORE_CHANGE_EDIT,
		.seq = seq,
		.gseq = gseq,
		.time_ms = time_ms };

	return change_message(t, &c, body, revision_r);
}

int
store_message_delete(struct store_txn *t, uint64_t room, uint64_t seq,
    uint64_t time_ms, uint64_t gseq, uint64_t *revision_r)
{
	struct store_text none = { "", 0 };
	struct store_change c = { .room = room,
		.kind = STORE_CHANGE_DELETE,
		.seq = seq,
		.gseq = gseq,
		.time_ms = time_ms };

	return change_message(t, &c, none, revision_r);
}

/* --- receipts ---------------------------------------------------------- */

bool
store_decode_receipt(struct store_txn *t, const MDB_val *key,
    const MDB_val *val, void *row)
{
	struct store_receipt *r = row;
	struct store_fields f;

	if (!store_value_open(t, STORE_RECEIPT, key, val, &f, NULL))
		return false;
	if (key->mv_size != 16)
		return store_value_odd(t, &f);
	r->room = store_key_get(key, 0);
	r->user = store_key_get(key, 8);
	r->seq = store_take_u64(&f);
	r->revision = store_take_u64(&f);
	r->time_ms = store_take_u64(&f);
	return store_value_done(t, &f);
}

int
store_receipt_get(struct store_txn *t, uint64_t room, uint64_t user,
    struct store_receipt *r_r)
{
	struct store_receipt r;
	struct store_key k;

	store_room_key(&k, room, user);
	if (store_get_row(t, STORE_RECEIPT, &k, store_decode_receipt, &r) == -1)
		return -1;
	*r_r = r;
	return 0;
}

int
store_receipt_each(struct store_txn *t, uint64_t room, store_receipt_fn *fn,
    void *arg)
{
	struct store_receipt r;
	struct store_scan sc;
	struct store_key k;
	int rc;

	store_room_key(&k, room, 0);
	if (store_scan_begin(&sc, t, STORE_RECEIPT, &k, 8, false) == -1)
		return -1;
	while ((rc = store_scan_row(&sc, store_decode_receipt, &r)) == 1)
		if (!fn(&r, arg))
			break;
	store_scan_end(&sc);
	return rc == -1 ? -1 : 0;
}

int
store_receipt_put(struct store_txn *t, uint64_t room, uint64_t user,
    uint64_t seq, uint64_t time_ms, uint64_t gseq, uint64_t *revision_r)
{
	struct store_change c = { .room = room,
		.kind = STORE_CHANGE_RECEIPT,
		.user = user,
		.gseq = gseq,
		.time_ms = time_ms };
	struct store_receipt was = { 0 };
	struct store_put put;
	struct store_key k;
	uint64_t last;

	/* one that is damaged is written anew */
	if (store_receipt_get(t, room, user, &was) == -1) {
		if (errno != ENOENT && errno != EBADMSG)
			return -1;
		was.seq = was.revision = 0;
	}
	if (seq <= was.seq) {
		errno = EALREADY;
		return -1;
	}
	if (store_last_revision(t, room, &last) == -1)
		return -1;
	c.revision = last + 1;
	store_room_key(&k, room, user);
	store_put_begin(t, STORE_RECEIPT, &k, 0, 24, false, &put);
	store_add_u64(&put.f, seq);
	store_add_u64(&put.f, c.revision);
	store_add_u64(&put.f, time_ms);
	store_put_end(&put);
	move_change(t, &c, was.revision);
	*revision_r = c.revision;
	return result(t);
}
