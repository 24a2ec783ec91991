/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * What LMDB says of a table.
 */

#include <errno.h>

#include "common/log.h"
#include "store/env.h"

int
store_table_rows(struct store_txn *t, unsigned table, uint64_t *rows_r)
{
	MDB_stat st;
	int rc;

	CHECK(table < STORE__TABLES);
	*rows_r = 0;
	if (t->s->missing[table])
		return 0;
	if ((rc = mdb_stat(t->txn, t->s->dbi[table], &st)) != MDB_SUCCESS) {
		errno = store_errno(rc);
		return -1;
	}
	*rows_r = st.ms_entries;
	return 0;
}
