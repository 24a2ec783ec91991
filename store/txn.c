/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/fault.h"
#include "common/log.h"
#include "store/env.h"

/* --- snapshots --------------------------------------------------------- */

static int
reader_renew(struct store *s)
{
	int rc;

	if (s->reader != NULL)
		return mdb_txn_renew(s->reader);
	rc = mdb_txn_begin(s->env, NULL, MDB_RDONLY, &s->reader);
	if (rc == MDB_READERS_FULL && store_reader_check(s) > 0)
		rc = mdb_txn_begin(s->env, NULL, MDB_RDONLY, &s->reader);
	if (rc != MDB_SUCCESS)
		s->reader = NULL;
	return rc;
}

struct store_txn *
store_snapshot(struct store *s)
{
	struct store_txn *t = &s->snapshot;
	struct store_ring ring;
	int rc;

	CHECK(t->txn == NULL);
	if (FAULT_ERROR(STORE_SNAPSHOT))
		return NULL;
	if ((rc = reader_renew(s)) != MDB_SUCCESS) {
		errno = store_errno(rc);
		return NULL;
	}
	t->txn = s->reader;
	t->err = 0;
	t->writes = false;
	t->pos = store_ring_get(t, &ring) == 0 ? ring.pos : 0;
	return t;
}

void
store_snapshot_end(struct store_txn **t)
{
	if (*t == NULL)
		return;
	CHECK(!(*t)->writes);
	FAULT(STORE_SNAPSHOT_END);
	mdb_txn_reset((*t)->txn);
	(*t)->txn = NULL;
	*t = NULL;
}

uint64_t
store_pos(const struct store_txn *t)
{
	return t->pos;
}

/* --- transactions ------------------------------------------------------ */

struct store_txn *
store_begin(struct store *s)
{
	struct store_txn *t = &s->write;
	int rc;

	CHECK(s->mode == STORE_WRITE && t->txn == NULL);
	if (FAULT_ERROR(STORE_BEGIN))
		return NULL;
	if ((rc = mdb_txn_begin(s->env, NULL, 0, &t->txn)) != MDB_SUCCESS) {
		t->txn = NULL;
		errno = store_errno(rc);
		return NULL;
	}
	t->err = 0;
	t->writes = true;
	return t;
}

int
store_commit(struct store_txn **t)
{
	struct store_txn *w = *t;
	MDB_txn *txn = w->txn;

	CHECK(w->writes);
	/* LMDB frees the transaction whether it can commit it or not */
	w->txn = NULL;
	*t = NULL;
	if (w->err == 0 && FAULT_ERROR(STORE_COMMIT))
		w->err = errno;
	if (w->err != 0)
		mdb_txn_abort(txn);
	else
		w->err = store_errno(mdb_txn_commit(txn));
	if (w->err != 0) {
		errno = w->err;
		return -1;
	}
	return 0;
}

void
store_abort(struct store_txn **t)
{
	if (*t == NULL)
		return;
	CHECK((*t)->writes);
	mdb_txn_abort((*t)->txn);
	(*t)->txn = NULL;
	*t = NULL;
}

int
store_error(const struct store_txn *t)
{
	return t->err;
}

void
store_fail(struct store_txn *t, int err)
{
	if (t->err == 0)
		t->err = err;
}

/* --- values ------------------------------------------------------------ */

static MDB_val
key_val(const struct store_key *key)
{
	/* LMDB's interface knows no const; it does not write keys */
	MDB_val v = { .mv_size = key->len,
		.mv_data = (void *)(uintptr_t)key->b };

	return v;
}

/* What went wrong while reading; only a damaged store sticks. */
static int
read_failed(struct store_txn *t, int rc)
{
	errno = store_errno(rc);
	if (rc != MDB_NOTFOUND && t->writes)
		store_fail(t, errno);
	return -1;
}

int
store_get(struct store_txn *t, enum store_table table,
    const struct store_key *key, MDB_val *val_r)
{
	MDB_val k = key_val(key);
	int rc;

	if (t->err != 0) {
		errno = t->err;
		return -1;
	}
	if (FAULT_ERROR(STORE_GET))
		return read_failed(t, errno);
	if ((rc = mdb_get(t->txn, t->s->dbi[table], &k, val_r)) != 0)
		return read_failed(t, rc);
	return 0;
}

void
store_put_begin(struct store_txn *t, enum store_table table,
    const struct store_key *key, uint8_t kind, size_t len, bool must_be_new,
    struct store_put *put)
{
	unsigned flags = MDB_RESERVE | (must_be_new ? MDB_NOOVERWRITE : 0);
	MDB_val k = key_val(key), v = { .mv_size = STORE_VALUE_HEAD + len };

	CHECK(t->writes);
	memset(put, 0, sizeof(*put));
	if (FAULT_ERROR(STORE_PUT))
		store_fail(t, errno);
	if (t->err == 0)
		store_fail(t,
		    store_errno(
			mdb_put(t->txn, t->s->dbi[table], &k, &v, flags)));
	if (t->err != 0) {
		put->f.bad = true;
		return;
	}
	put->key = key;
	put->kind = kind;
	put->value = v.mv_data;
	put->len = STORE_VALUE_HEAD + len;
	put->f.w = put->value + STORE_VALUE_HEAD;
	put->f.left = len;
}

void
store_put_end(struct store_put *put)
{
	if (put->f.bad)
		return;
	CHECK(put->f.left == 0);
	FAULT(STORE_PUT_END);
	store_value_seal(put->key, put->value, put->len, put->kind);
}

/* --- walks ------------------------------------------------------------- */

int
store_scan_begin(struct store_scan *sc, struct store_txn *t,
    enum store_table table, const struct store_key *from, size_t prefix,
    bool backward)
{
	int rc;

	memset(sc, 0, sizeof(*sc));
	CHECK(prefix <= sizeof(sc->prefix) && prefix <= from->len);
	if (t->err != 0) {
		errno = t->err;
		return -1;
	}
	sc->t = t;
	sc->backward = backward;
	sc->prefix_len = prefix;
	memcpy(sc->prefix, from->b, prefix);
	if ((rc = mdb_cursor_open(t->txn, t->s->dbi[table], &sc->cur)) != 0)
		return read_failed(t, rc);
	sc->key = key_val(from);
	return 0;
}

/* The place to begin at: the first row, or the last one, of the range. */
static int
scan_first(struct store_scan *sc)
{
	const uint8_t *from = sc->key.mv_data;
	size_t len = sc->key.mv_size;
	int rc;

	rc = mdb_cursor_get(sc->cur, &sc->key, &sc->val, MDB_SET_RANGE);
	if (!sc->backward)
		return rc;
	if (rc == MDB_NOTFOUND)
		return mdb_cursor_get(sc->cur, &sc->key, &sc->val, MDB_LAST);
	if (rc != MDB_SUCCESS)
		return rc;
	if (sc->key.mv_size == len && memcmp(sc->key.mv_data, from, len) == 0)
		return rc;
	return mdb_cursor_get(sc->cur, &sc->key, &sc->val, MDB_PREV);
}

int
store_scan_next(struct store_scan *sc)
{
	int rc;

	if (FAULT_ERROR(STORE_SCAN))
		return read_failed(sc->t, errno);
	if (!sc->started)
		rc = scan_first(sc);
	else
		rc = mdb_cursor_get(sc->cur, &sc->key, &sc->val,
		    sc->backward ? MDB_PREV : MDB_NEXT);
	sc->started = true;
	if (rc == MDB_NOTFOUND)
		return 0;
	if (rc != MDB_SUCCESS)
		return read_failed(sc->t, rc);
	if (sc->key.mv_size < sc->prefix_len ||
	    memcmp(sc->key.mv_data, sc->prefix, sc->prefix_len) != 0)
		return 0;
	return 1;
}

void
store_scan_end(struct store_scan *sc)
{
	if (sc->cur != NULL)
		mdb_cursor_close(sc->cur);
	sc->cur = NULL;
}

int
store_walk(struct store_txn *t, enum store_table table,
    struct store_place *place, unsigned max, store_raw_fn *fn, void *arg)
{
	struct store_scan sc;
	struct store_key k;
	unsigned n = 0;
	int rc;

	store_key_begin(&k);
	/* an empty key cannot be looked up; no row is below this one */
	if (place->len == 0)
		store_key_u8(&k, 0);
	else
		(void)store_key_bytes(&k, place->key, place->len);
	if (store_scan_begin(&sc, t, table, &k, 0, false) == -1)
		return -1;
	while ((rc = store_scan_next(&sc)) == 1) {
		/* the place is the first row that is still to be seen */
		if (sc.key.mv_size <= sizeof(place->key)) {
			memcpy(place->key, sc.key.mv_data, sc.key.mv_size);
			place->len = sc.key.mv_size;
		}
		if (n++ == max || !fn(&sc.key, &sc.val, arg))
			break;
	}
	store_scan_end(&sc);
	if (rc == 0)
		place->done = true;
	return rc == -1 ? -1 : 0;
}
