/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * What the store is like from outside: its file, its readers, its size.
 */

#include <errno.h>
#include <string.h>

#include <stdio.h>
#include <stdlib.h>

#include <sys/stat.h>

#include "common/fault.h"
#include "store/env.h"

int
store_sync(struct store *s)
{
	int rc;

	if (FAULT_ERROR(STORE_SYNC))
		return -1;
	if ((rc = mdb_env_sync(s->env, 1)) != MDB_SUCCESS) {
		errno = store_errno(rc);
		return -1;
	}
	return 0;
}

unsigned
store_reader_check(struct store *s)
{
	int dead = 0;

	if (mdb_reader_check(s->env, &dead) != MDB_SUCCESS || dead < 0)
		return 0;
	return (unsigned)dead;
}

int
store_stat(struct store *s, struct store_stat *stat_r)
{
	struct store_txn *t;
	MDB_envinfo info;
	MDB_stat st;
	int i;

	memset(&info, 0, sizeof(info));
	if (mdb_env_info(s->env, &info) != MDB_SUCCESS ||
	    (t = store_snapshot(s)) == NULL)
		return -1;
	memset(stat_r, 0, sizeof(*stat_r));
	for (i = 0; i < STORE__TABLES; i++) {
		stat_r->table[i].name = store_table_name(i);
		if (!s->missing[i] &&
		    mdb_stat(t->txn, s->dbi[i], &st) == MDB_SUCCESS) {
			stat_r->table[i].entries = st.ms_entries;
			stat_r->map_used =
			    (info.me_last_pgno + 1) * (uint64_t)st.ms_psize;
		}
	}
	stat_r->map_max = info.me_mapsize;
	stat_r->last_txn = info.me_last_txnid;
	stat_r->readers = info.me_numreaders;
	store_snapshot_end(&t);
	return 0;
}

/* --- space ------------------------------------------------------------- */

struct count {
	MDB_txn *txn;
	MDB_cursor *cur;
	/* lists of transactions from here on may still be looked at */
	uint64_t oldest;
	uint64_t pages;
	uint64_t held;
};

static int
count_free(void *arg)
{
	struct count *c = arg;
	uint64_t id, n;
	MDB_val k, v;
	int rc;

	if (c->cur == NULL &&
	    (rc = mdb_cursor_open(c->txn, 0, &c->cur)) != MDB_SUCCESS)
		return rc;
	while ((rc = mdb_cursor_get(c->cur, &k, &v, MDB_NEXT)) == 0) {
		if (k.mv_size != sizeof(id) || v.mv_size < sizeof(n))
			return MDB_CORRUPTED;
		memcpy(&id, k.mv_data, sizeof(id));
		memcpy(&n, v.mv_data, sizeof(n));
		c->pages += n;
		if (id >= c->oldest)
			c->held += n;
	}
	return rc == MDB_NOTFOUND ? 0 : rc;
}

static bool
note_oldest(const struct store_holder *h, void *arg)
{
	uint64_t *oldest = arg;

	if (h->txn < *oldest)
		*oldest = h->txn;
	return true;
}

int
store_space(struct store *s, struct store_space *space_r)
{
	struct store_reader *r;
	struct count c = { 0 };
	struct store_txn *t;
	MDB_envinfo info;
	MDB_stat st;
	struct stat file;
	int fd, rc = -1;

	memset(space_r, 0, sizeof(*space_r));
	if (mdb_env_get_fd(s->env, &fd) != MDB_SUCCESS ||
	    fstat(fd, &file) == -1 || mdb_env_stat(s->env, &st) != 0 ||
	    mdb_env_info(s->env, &info) != MDB_SUCCESS)
		return -1;
	space_r->page_bytes = st.ms_psize;
	space_r->file_bytes = (uint64_t)file.st_size;
	space_r->used_bytes = (info.me_last_pgno + 1) * (uint64_t)st.ms_psize;
	space_r->last_txn = space_r->oldest_txn = info.me_last_txnid;
	(void)store_holder_each(s, note_oldest, &space_r->oldest_txn);
	c.oldest = space_r->oldest_txn;
	/* the caller may hold a snapshot of its own */
	if ((r = store_reader_new(s)) == NULL)
		return -1;
	if ((t = store_reader_snapshot(r)) != NULL) {
		c.txn = t->txn;
		rc = store_guard(t, STORE__TABLES, 0, count_free, &c);
		if (rc > 0 || rc < -1) {
			errno = store_errno(rc);
			rc = -1;
		}
		if (c.cur != NULL)
			mdb_cursor_close(c.cur);
		store_snapshot_end(&t);
	}
	store_reader_free(&r);
	space_r->free_bytes = c.pages * st.ms_psize;
	space_r->held_bytes = c.held * st.ms_psize;
	return rc;
}

/* --- who looks --------------------------------------------------------- */

struct holders {
	store_holder_fn *fn;
	void *arg;
	uint64_t last;
	bool stopped;
};

/* "pid thread txnid" in one line each, '-' for the last if there is none. */
static int
on_line(const char *msg, void *arg)
{
	struct holders *hs = arg;
	struct store_holder h;
	const char *line;
	unsigned long long txn;
	int pid;

	for (line = msg; line != NULL && *line != '\0' && !hs->stopped;) {
		if (sscanf(line, "%d %*s %llu", &pid, &txn) == 2) {
			h.pid = pid;
			h.txn = txn;
			h.age = hs->last > txn ? hs->last - txn : 0;
			hs->stopped = !hs->fn(&h, hs->arg);
		}
		if ((line = strchr(line, '\n')) != NULL)
			line++;
	}
	return 0;
}

int
store_holder_each(struct store *s, store_holder_fn *fn, void *arg)
{
	struct holders hs = { .fn = fn, .arg = arg };
	MDB_envinfo info;
	int rc;

	if (mdb_env_info(s->env, &info) != MDB_SUCCESS) {
		errno = EIO;
		return -1;
	}
	hs.last = info.me_last_txnid;
	if ((rc = mdb_reader_list(s->env, on_line, &hs)) < 0) {
		errno = store_errno(rc);
		return -1;
	}
	return 0;
}
