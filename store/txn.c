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

struct store_reader {
	struct store *s;
	MDB_txn *txn;
	struct store_txn t;
};

/* --- snapshots --------------------------------------------------------- */

static int
reader_renew(struct store *s, MDB_txn **txn)
{
	int rc;

	if (*txn != NULL)
		return mdb_txn_renew(*txn);
	rc = mdb_txn_begin(s->env, NULL, MDB_RDONLY, txn);
	if (rc == MDB_READERS_FULL && store_reader_check(s) > 0)
		rc = mdb_txn_begin(s->env, NULL, MDB_RDONLY, txn);
	if (rc != MDB_SUCCESS)
		*txn = NULL;
	return rc;
}

static struct store_txn *
begin_snapshot(struct store *s, struct store_txn *t, MDB_txn **txn)
{
	struct store_ring ring;
	int rc;

	CHECK(t->txn == NULL);
	if (FAULT_ERROR(STORE_SNAPSHOT))
		return NULL;
	if ((rc = reader_renew(s, txn)) != MDB_SUCCESS) {
		errno = store_errno(rc);
		return NULL;
	}
	memset(t, 0, sizeof(*t));
	t->s = s;
	t->txn = *txn;
	t->quiet = s->mode == STORE_LOOK || s->mode == STORE_LOOK_OFFLINE;
	t->pos = store_ring_get(t, &ring) == 0 ? ring.pos : 0;
	return t;
}

struct store_txn *
store_snapshot(struct store *s)
{
	return begin_snapshot(s, &s->snapshot, &s->reader);
}

void
store_snapshot_end(struct store_txn **t)
{
	struct store_txn *x = *t;

	if (x == NULL)
		return;
	CHECK(!x->writes);
	FAULT(STORE_SNAPSHOT_END);
	if (x->pinned != NULL) {
		mdb_txn_abort(x->txn);
		x->txn = x->pinned;
		x->pinned = NULL;
	}
	mdb_txn_reset(x->txn);
	x->txn = NULL;
	*t = NULL;
}

uint64_t
store_pos(const struct store_txn *t)
{
	return t->pos;
}

struct store_reader *
store_reader_new(struct store *s)
{
	struct store_reader *r;

	if ((r = calloc(1, sizeof(*r))) == NULL)
		return NULL;
	r->s = s;
	return r;
}

void
store_reader_free(struct store_reader **r)
{
	if (*r == NULL)
		return;
	CHECK((*r)->t.txn == NULL);
	if ((*r)->txn != NULL)
		mdb_txn_abort((*r)->txn);
	free(*r);
	*r = NULL;
}

struct store_txn *
store_reader_snapshot(struct store_reader *r)
{
	return begin_snapshot(r->s, &r->t, &r->txn);
}

/*
 * LMDB lets nothing more be read in a transaction that met a page it does
 * not like.  The next one sees the same or more; the first goes on holding
 * the pages of both.
 */
int
store_go_on(struct store_txn *t)
{
	MDB_txn *fresh = NULL;
	int rc;

	if (t->writes)
		return -1;
	if (t->pinned != NULL) {
		mdb_txn_reset(t->txn);
		rc = mdb_txn_renew(t->txn);
	} else if ((rc = mdb_txn_begin(t->s->env, NULL, MDB_RDONLY, &fresh)) ==
	    MDB_SUCCESS) {
		t->pinned = t->txn;
		t->txn = fresh;
	}
	if (rc != MDB_SUCCESS) {
		errno = store_errno(rc);
		return -1;
	}
	if (mdb_txn_id(t->txn) != mdb_txn_id(t->pinned))
		t->moved = true;
	return 0;
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
	rc = s->broken ? MDB_PANIC : mdb_txn_begin(s->env, NULL, 0, &t->txn);
	if (rc != MDB_SUCCESS) {
		t->txn = NULL;
		errno = store_errno(rc);
		return NULL;
	}
	store_probe_again(s);
	t->err = 0;
	t->roots = 0;
	t->writes = true;
	return t;
}

static int
abort_txn(void *arg)
{
	mdb_txn_abort(arg);
	return 0;
}

static int
commit_txn(void *arg)
{
	return mdb_txn_commit(arg);
}

/* Left in the middle, LMDB cannot go on; a new process can. */
static int
end_txn(struct store_txn *t, int (*fn)(void *arg))
{
	MDB_txn *txn = t->txn;
	int rc;

	/* LMDB frees the transaction whether it can commit it or not */
	t->txn = NULL;
	if (t->s->broken)
		return ENOTRECOVERABLE;
	if ((rc = store_guard(t, STORE__TABLES, 0, fn, txn)) == -1) {
		t->s->broken = true;
		return ENOTRECOVERABLE;
	}
	return store_errno(rc);
}

int
store_commit(struct store_txn **t)
{
	struct store_txn *w = *t;

	CHECK(w->writes);
	*t = NULL;
	if (w->err == 0 && FAULT_ERROR(STORE_COMMIT))
		w->err = errno;
	if (w->err != 0)
		(void)end_txn(w, abort_txn);
	else
		w->err = end_txn(w, commit_txn);
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
	(void)end_txn(*t, abort_txn);
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

struct get {
	struct store_txn *t;
	enum store_table table;
	MDB_val key;
	MDB_val val;
	store_decode_fn *decode;
	void *row;
};

static int
get(void *arg)
{
	struct get *g = arg;
	int rc;

	rc = mdb_get(g->t->txn, g->t->s->dbi[g->table], &g->key, &g->val);
	if (rc != MDB_SUCCESS || g->decode == NULL)
		return rc;
	g->t->fault = STORE_SOUND;
	if (g->decode(g->t, &g->key, &g->val, g->row))
		return MDB_SUCCESS;
	return g->t->fault == STORE_SOUND ? MDB_NOTFOUND : EBADMSG;
}

/* 0, or -1 with errno; only a store that cannot be read sticks. */
static int
run_get(struct get *g, const struct store_key *key)
{
	struct store_txn *t = g->t;
	uint64_t room = store_key_room(g->table, key->b, key->len);
	int rc;

	if (t->err != 0) {
		errno = t->err;
		return -1;
	}
	if (t->s->missing[g->table]) {
		errno = ENOENT;
		return -1;
	}
	rc = FAULT_ERROR(STORE_GET) ? errno
				    : store_guard(t, g->table, room, get, g);
	if (rc == MDB_BAD_TXN && store_go_on(t) == 0)
		rc = store_guard(t, g->table, room, get, g);
	if (rc == MDB_SUCCESS)
		return 0;
	if (rc != -1) {
		errno = store_errno(rc);
		if (errno == EUCLEAN)
			store_name_page(t, g->table, room, 0, mdb_strerror(rc));
	}
	if (t->writes && errno != ENOENT && errno != EBADMSG)
		store_fail(t, errno);
	return -1;
}

int
store_get(struct store_txn *t, enum store_table table,
    const struct store_key *key, MDB_val *val_r)
{
	struct get g = { .t = t, .table = table, .key = key_val(key) };

	if (run_get(&g, key) == -1)
		return -1;
	*val_r = g.val;
	return 0;
}

int
store_get_row(struct store_txn *t, enum store_table table,
    const struct store_key *key, store_decode_fn *decode, void *row)
{
	struct get g = { t, table, key_val(key), { 0 }, decode, row };

	return run_get(&g, key);
}

struct change {
	struct store_txn *t;
	enum store_table table;
	MDB_val key;
	MDB_val val;
	unsigned flags;
};

static int
put(void *arg)
{
	struct change *c = arg;

	return mdb_put(c->t->txn, c->t->s->dbi[c->table], &c->key, &c->val,
	    c->flags);
}

static int
del(void *arg)
{
	struct change *c = arg;

	return mdb_del(c->t->txn, c->t->s->dbi[c->table], &c->key, NULL);
}

/* An LMDB code, or -1 when nothing can be written any more. */
static int
run_change(struct change *c, const struct store_key *key, int (*fn)(void *arg))
{
	uint64_t room =
	    store_key_room(c->table, c->key.mv_data, c->key.mv_size);
	struct store_txn *t = c->t;
	int rc;

	CHECK(t->writes);
	if (t->err != 0)
		return -1;
	if (store_probe(t, c->table, key, fn == del) == -1) {
		store_fail(t, errno);
		return -1;
	}
	rc = store_guard(t, c->table, room, fn, c);
	if (rc == -1) {
		/* what LMDB was doing is half done: see store_probe() */
		t->s->broken = true;
		store_fail(t, ENOTRECOVERABLE);
	} else if (rc != MDB_SUCCESS && store_errno(rc) == EUCLEAN) {
		store_name_page(t, c->table, room, 0, mdb_strerror(rc));
	}
	return rc;
}

void
store_put_begin(struct store_txn *t, enum store_table table,
    const struct store_key *key, uint8_t kind, size_t len, bool must_be_new,
    struct store_put *p)
{
	struct change c = { .t = t, .table = table, .key = key_val(key) };
	int rc;

	memset(p, 0, sizeof(*p));
	c.val.mv_size = STORE_VALUE_HEAD + len;
	c.flags = MDB_RESERVE | (must_be_new ? MDB_NOOVERWRITE : 0);
	if (FAULT_ERROR(STORE_PUT))
		store_fail(t, errno);
	if ((rc = run_change(&c, key, put)) != MDB_SUCCESS) {
		if (rc != -1)
			store_fail(t, store_errno(rc));
		p->f.bad = true;
		return;
	}
	p->key = key;
	p->kind = kind;
	p->version = 1;
	p->value = c.val.mv_data;
	p->len = STORE_VALUE_HEAD + len;
	p->f.w = p->value + STORE_VALUE_HEAD;
	p->f.left = len;
}

void
store_put_end(struct store_put *p)
{
	if (p->f.bad)
		return;
	CHECK(p->f.left == 0);
	FAULT(STORE_PUT_END);
	store_value_seal(p->key, p->value, p->len, p->version, p->kind);
}

bool
store_del(struct store_txn *t, enum store_table table,
    const struct store_key *key)
{
	struct change c = { .t = t, .table = table, .key = key_val(key) };
	int rc;

	rc = run_change(&c, key, del);
	if (rc != MDB_SUCCESS && rc != MDB_NOTFOUND && rc != -1)
		store_fail(t, store_errno(rc));
	return rc == MDB_SUCCESS;
}
