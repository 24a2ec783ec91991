/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * digest - all rows of a store, whatever they mean.
 */

#include <sys/stat.h>

#include <stdio.h>
#include <string.h>

#include <lmdb.h>
#include <xxhash.h>

#include "tests/power/check.h"

#define FREE_DBI 0
#define MAX_TABLES 32

static void
mix(uint64_t *h, const void *p, size_t len)
{
	uint64_t both[3] = { *h, len, XXH3_64bits(p, len) };

	*h = XXH3_64bits(both, sizeof(both));
}

static int
table_digest(MDB_txn *t, MDB_dbi dbi, uint64_t *h)
{
	MDB_val key, val;
	MDB_cursor *cur;
	int rc;

	if ((rc = mdb_cursor_open(t, dbi, &cur)) != 0)
		return rc;
	while ((rc = mdb_cursor_get(cur, &key, &val, MDB_NEXT)) == 0) {
		mix(h, key.mv_data, key.mv_size);
		mix(h, val.mv_data, val.mv_size);
	}
	mdb_cursor_close(cur);
	return rc == MDB_NOTFOUND ? 0 : rc;
}

/* The rows of the table of tables are where their pages are: all of it. */
static int
all_tables(MDB_txn *t, uint64_t *h)
{
	char name[MAX_TABLES][64];
	MDB_val key, val;
	MDB_cursor *cur;
	MDB_dbi dbi, main_dbi;
	int i, n = 0, rc;

	if ((rc = mdb_dbi_open(t, NULL, 0, &main_dbi)) != 0 ||
	    (rc = table_digest(t, FREE_DBI, h)) != 0 ||
	    (rc = table_digest(t, main_dbi, h)) != 0 ||
	    (rc = mdb_cursor_open(t, main_dbi, &cur)) != 0)
		return rc;
	while (n < MAX_TABLES &&
	    (rc = mdb_cursor_get(cur, &key, &val, MDB_NEXT)) == 0)
		(void)snprintf(name[n++], sizeof(name[0]), "%.*s",
		    (int)key.mv_size, (const char *)key.mv_data);
	mdb_cursor_close(cur);
	for (i = 0; i < n; i++)
		if ((rc = mdb_dbi_open(t, name[i], 0, &dbi)) != 0 ||
		    (rc = table_digest(t, dbi, h)) != 0)
			return rc;
	return rc == MDB_NOTFOUND ? 0 : rc;
}

int
check_digest(struct check_txn *txn_r, const char **why_r)
{
	MDB_env *env;
	MDB_txn *t = NULL;
	struct stat st;
	int rc;

	memset(txn_r, 0, sizeof(*txn_r));
	if (stat("db/data.mdb", &st) == -1 || st.st_size == 0)
		return 0;
	if ((rc = mdb_env_create(&env)) == 0) {
		mdb_env_set_mapsize(env, (size_t)1 << 30);
		mdb_env_set_maxdbs(env, MAX_TABLES);
		rc = mdb_env_open(env, "db", MDB_RDONLY | MDB_NOLOCK, 0600);
	}
	if (rc == 0)
		rc = mdb_txn_begin(env, NULL, MDB_RDONLY, &t);
	if (rc == 0) {
		txn_r->txn = mdb_txn_id(t);
		rc = all_tables(t, &txn_r->digest);
	}
	mdb_txn_abort(t);
	mdb_env_close(env);
	*why_r = rc == 0 ? NULL : mdb_strerror(rc);
	return rc == 0 ? 0 : -1;
}
