/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "store/env.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/fault.h"
#include "common/log.h"

#define STORE_DIR "db"
#define STORE_LOCK STORE_DIR "/lock.mdb"
/* address space only: the file grows as it is needed */
#define STORE_MAP ((size_t)1 << 40)
#define STORE_MAX_DBS 16
/* lock.mdb with STORE_MAX_READERS places of 64 bytes behind its head */
#define STORE_LOCK_BYTES (192 + (STORE_MAX_READERS - 1) * 64)
#define STORE_OPEN_TRIES 200
#define STORE_OPEN_WAIT_NS 10000000L

static char why[512];

static const char *const table_name[STORE__TABLES] = {
	[STORE_META] = "meta",
	[STORE_SESSION] = "session",
	[STORE_USER] = "user",
	[STORE_MSG] = "msg",
	[STORE_LOG] = "log",
	[STORE_PRESENCE] = "presence",
	[STORE_RECOVERY] = "recovery",
	[STORE_DEDUPE] = "dedupe",
	[STORE_MEMBER] = "member",
	[STORE_CHANGE] = "change",
	[STORE_RECEIPT] = "receipt",
	[STORE_STREAM] = "stream",
	[STORE_BAN] = "ban",
};

const char *
store_table_name(enum store_table table)
{
	return table_name[table];
}

int
store_errno(int rc)
{
	switch (rc) {
	case MDB_SUCCESS:
		return 0;
	case MDB_NOTFOUND:
		return ENOENT;
	case MDB_KEYEXIST:
		return EEXIST;
	case MDB_MAP_FULL:
		return ENOSPC;
	case MDB_READERS_FULL:
		return EUSERS;
	case MDB_TXN_FULL:
		return EFBIG;
	case MDB_PANIC:
		return ENOTRECOVERABLE;
	case MDB_VERSION_MISMATCH:
		return EPROTO;
	case MDB_BAD_VALSIZE:
	case MDB_BAD_DBI:
	case MDB_BAD_TXN:
		return EINVAL;
	case MDB_BAD_RSLOT:
		return EBUSY;
	case MDB_PAGE_NOTFOUND:
	case MDB_CORRUPTED:
	case MDB_INVALID:
	case MDB_INCOMPATIBLE:
	case MDB_CURSOR_FULL:
	case MDB_PAGE_FULL:
	case MDB_MAP_RESIZED:
	case MDB_DBS_FULL:
	case MDB_TLS_FULL:
		return EUCLEAN;
	default:
		return rc > 0 ? rc : EIO;
	}
}

static int
fsync_dir(const char *path)
{
	int fd, rc;

	if ((fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) == -1)
		return -1;
	rc = fsync(fd);
	close(fd);
	return rc;
}

/*
 * A sparse lock file on a full disk would be a SIGBUS in whoever touches it
 * first, so its blocks are taken now.
 */
static int
prepare_dir(void)
{
	struct stat st;
	int fd, rc;

	if (mkdir(STORE_DIR, 0700) == -1 && errno != EEXIST)
		return errno;
	fd = open(STORE_LOCK, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd == -1)
		return errno;
	rc = 0;
	if (fstat(fd, &st) == -1)
		rc = errno;
	else if (st.st_size < STORE_LOCK_BYTES)
		rc = posix_fallocate(fd, 0, STORE_LOCK_BYTES);
	close(fd);
	return rc;
}

/* LMDB 0.9 before 0.9.30 fails with mixed sizes on large pages: ITS#9806. */
static int
check_pages(MDB_env *env, const char **why_r)
{
	int major, minor, patch;
	MDB_stat st;

	mdb_version(&major, &minor, &patch);
	if (mdb_env_stat(env, &st) != MDB_SUCCESS)
		return EIO;
	if (st.ms_psize > 4096 && major == 0 && minor == 9 && patch < 30) {
		snprintf(why, sizeof(why),
		    "the store has pages of %u bytes, "
		    "which LMDB %d.%d.%d does not handle: use 0.9.30 or newer",
		    st.ms_psize, major, minor, patch);
		*why_r = why;
		return ENOTSUP;
	}
	return 0;
}

static int
open_tables(struct store *s, const char **why_r)
{
	bool writes = s->mode == STORE_WRITE;
	struct store_txn t = { .s = s, .writes = writes };
	int i, rc;

	rc = mdb_txn_begin(s->env, NULL, writes ? 0 : MDB_RDONLY, &t.txn);
	if (rc != MDB_SUCCESS)
		return store_errno(rc);
	for (i = 0; i < STORE__TABLES; i++) {
		rc = mdb_dbi_open(t.txn, table_name[i], writes ? MDB_CREATE : 0,
		    &s->dbi[i]);
		if (rc != MDB_SUCCESS) {
			mdb_txn_abort(t.txn);
			return store_errno(rc);
		}
	}
	if ((rc = store_schema_check(&t, why_r)) == ENOENT && writes) {
		store_schema_put(&t);
		rc = t.err;
	}
	if (rc != 0) {
		mdb_txn_abort(t.txn);
		return rc;
	}
	/* this also keeps the handles of a transaction that only reads */
	return store_errno(mdb_txn_commit(t.txn));
}

static int
open_env(struct store *s, const char **why_r)
{
	unsigned flags = MDB_NOTLS;
	int fd, rc;

	if (s->mode == STORE_READ)
		flags |= MDB_RDONLY;
	if ((rc = mdb_env_create(&s->env)) != MDB_SUCCESS)
		return store_errno(rc);
	mdb_env_set_mapsize(s->env, STORE_MAP);
	mdb_env_set_maxdbs(s->env, STORE_MAX_DBS);
	mdb_env_set_maxreaders(s->env, STORE_MAX_READERS);
	if ((rc = mdb_env_open(s->env, STORE_DIR, flags, 0600)) != 0)
		return store_errno(rc);
	if (mdb_env_get_fd(s->env, &fd) == MDB_SUCCESS)
		(void)fcntl(fd, F_SETFD, FD_CLOEXEC);
	if ((rc = check_pages(s->env, why_r)) != 0)
		return rc;
	if ((rc = open_tables(s, why_r)) != 0)
		return rc;
	if (s->mode == STORE_WRITE)
		(void)store_reader_check(s);
	return 0;
}

static void
close_env(struct store *s)
{
	if (s->reader != NULL)
		mdb_txn_abort(s->reader);
	s->reader = NULL;
	if (s->env != NULL)
		mdb_env_close(s->env);
	s->env = NULL;
}

/*
 * A reader may come while the writer makes the files, and opening may fail
 * when another process opens or closes at that very moment (lmdb.h).
 */
static bool
may_pass(int err)
{
	return err == ENOENT || err == EINVAL || err == EAGAIN ||
	    err == EUCLEAN || err == EACCES || err == EBUSY;
}

static const char *
open_reason(const struct store *s, int err)
{
	if (err == ENOMEM)
		snprintf(why, sizeof(why),
		    "cannot map the store: %s (it needs "
		    "1 TiB of address space: see ulimit -v)",
		    strerror(err));
	else if (err == EPROTO)
		snprintf(why, sizeof(why),
		    "the store was written by another "
		    "version of LMDB");
	else if (err == EUCLEAN)
		snprintf(why, sizeof(why), "the store is damaged");
	else
		snprintf(why, sizeof(why), "cannot open the store for %s: %s",
		    s->mode == STORE_READ ? "reading" : "writing",
		    strerror(err));
	return why;
}

static void
warn_of_version(void)
{
	int major, minor, patch;

	/* ITS#9278: closing destroys mutexes that others still use */
	mdb_version(&major, &minor, &patch);
	if (major == 0 && minor == 9 && patch >= 26 && patch <= 31)
		log_warn("LMDB %d.%d.%d has a known fault (ITS#9278), "
			 "0.9.32 has not",
		    major, minor, patch);
}

struct store *
store_open(enum store_mode mode, const char **why_r)
{
	const struct timespec wait = { .tv_nsec = STORE_OPEN_WAIT_NS };
	const char *reason = NULL;
	struct store *s;
	int err = 0, tries;

	*why_r = "out of memory";
	if ((s = calloc(1, sizeof(*s))) == NULL)
		return NULL;
	s->mode = mode;
	s->snapshot.s = s->write.s = s;
	if (mode == STORE_WRITE) {
		warn_of_version();
		err = prepare_dir();
	}
	for (tries = 0; err == 0; tries++) {
		if ((err = open_env(s, &reason)) == 0)
			break;
		close_env(s);
		if (reason != NULL || mode == STORE_WRITE || !may_pass(err) ||
		    tries >= STORE_OPEN_TRIES)
			break;
		err = 0;
		nanosleep(&wait, NULL);
	}
	if (err == 0 && mode == STORE_WRITE &&
	    (fsync_dir(STORE_DIR) == -1 || fsync_dir(".") == -1)) {
		err = errno;
		close_env(s);
	}
	if (err != 0) {
		*why_r = reason != NULL ? reason : open_reason(s, err);
		free(s);
		errno = err;
		return NULL;
	}
	return s;
}

void
store_close(struct store **s)
{
	if (*s == NULL)
		return;
	CHECK((*s)->snapshot.txn == NULL && (*s)->write.txn == NULL);
	close_env(*s);
	free(*s);
	*s = NULL;
}

uint64_t
store_bad_values(const struct store *s)
{
	return s->bad;
}

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

	if (mdb_env_info(s->env, &info) != MDB_SUCCESS ||
	    (t = store_snapshot(s)) == NULL)
		return -1;
	memset(stat_r, 0, sizeof(*stat_r));
	for (i = 0; i < STORE__TABLES; i++) {
		stat_r->table[i].name = table_name[i];
		if (mdb_stat(t->txn, s->dbi[i], &st) == MDB_SUCCESS) {
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
