/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * The store behind the tortured ring, just enough of one: a log of who wrote
 * what, and the position of the last commit.
 */

#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/stress/torture.h"

static void
must(const struct torture *t, int rc, const char *what)
{
	if (rc != 0)
		torture_fail(t, "%s: %s", what, mdb_strerror(rc));
}

void
store_open(struct torture_store *s, const struct torture *t, bool writer)
{
	unsigned flags =
	    writer ? (t->nosync ? MDB_NOSYNC : 0) : MDB_RDONLY | MDB_NOTLS;
	MDB_txn *txn;
	int rc, tries;

	/* "opening can fail if another process is opening or closing the
	 * environment at exactly the same time" (lmdb.h) */
	for (tries = 0; tries < 100; tries++) {
		must(t, mdb_env_create(&s->env), "mdb_env_create");
		must(t, mdb_env_set_mapsize(s->env, (size_t)8 << 30),
		    "mapsize");
		must(t, mdb_env_set_maxdbs(s->env, 4), "maxdbs");
		must(t, mdb_env_set_maxreaders(s->env, 256), "maxreaders");
		if ((rc = mdb_env_open(s->env, t->dir, flags, 0600)) == 0)
			break;
		mdb_env_close(s->env);
	}
	must(t, rc, "mdb_env_open");
	must(t, mdb_txn_begin(s->env, NULL, writer ? 0 : MDB_RDONLY, &txn),
	    "mdb_txn_begin");
	must(t, mdb_dbi_open(txn, "log", writer ? MDB_CREATE : 0, &s->log),
	    "mdb_dbi_open log");
	must(t, mdb_dbi_open(txn, "meta", writer ? MDB_CREATE : 0, &s->meta),
	    "mdb_dbi_open meta");
	must(t, mdb_txn_commit(txn), "mdb_txn_commit");
}

uint64_t
store_pos(struct torture_store *s)
{
	char name[] = "pos";
	MDB_val key = { 3, name }, value;
	uint64_t pos = 0;
	MDB_txn *txn;

	if (mdb_txn_begin(s->env, NULL, MDB_RDONLY, &txn) != 0)
		return 0;
	if (mdb_get(txn, s->meta, &key, &value) == 0)
		memcpy(&pos, value.mv_data, sizeof(pos));
	mdb_txn_abort(txn);
	return pos;
}

uint64_t
store_scan(struct torture_store *s, uint64_t from, uint64_t to,
    store_row_fn *fn, void *arg)
{
	uint64_t gseq, be = htobe64(from);
	MDB_val key = { sizeof(be), &be }, value;
	struct torture_row row;
	MDB_cursor *cursor;
	MDB_txn *txn;
	int rc;

	if (mdb_txn_begin(s->env, NULL, MDB_RDONLY, &txn) != 0)
		return from;
	if (mdb_cursor_open(txn, s->log, &cursor) != 0)
		abort();
	for (rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE); rc == 0;
	     rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) {
		memcpy(&gseq, key.mv_data, sizeof(gseq));
		gseq = be64toh(gseq);
		if (gseq >= to)
			break;
		memcpy(&row, value.mv_data, sizeof(row));
		fn(gseq, &row, arg);
		from = gseq + 1;
	}
	mdb_cursor_close(cursor);
	mdb_txn_abort(txn);
	return from;
}
