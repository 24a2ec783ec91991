/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "store/env.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/fault.h"
#include "common/log.h"
#include "store/compact.h"
#include "store/page.h"

#define STORE_DIR "db"
#define LOCK_FILE "lock.mdb"
#define NEW_FILE "data.mdb.new"
/* address space only: the file grows as it is needed */
#define STORE_MAP ((size_t)1 << 40)
#define STORE_MAX_DBS 16
/* lock.mdb with STORE_MAX_READERS places of 64 bytes behind its head */
#define STORE_LOCK_BYTES (192 + (STORE_MAX_READERS - 1) * 64)
#define STORE_OPEN_TRIES 200
#define STORE_OPEN_WAIT_NS 10000000L

/* What is being opened, and what became of it. */
struct opening {
	struct store *s;
	const char *why;
	/* how far somebody else's migration is */
	uint64_t migrated;
	bool migrating;
	uint32_t schema;
	struct store_txn t;
};

static char why[640];

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
	return table < STORE__TABLES ? table_name[table] : "-";
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

static bool
writes(const struct store *s)
{
	return s->mode == STORE_WRITE;
}

static bool
looks(const struct store *s)
{
	return s->mode == STORE_LOOK || s->mode == STORE_LOOK_OFFLINE;
}

static int say(struct opening *o, int err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static int
say(struct opening *o, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	o->why = why;
	return err;
}

/* --- files ------------------------------------------------------------- */

static void
path_of(const struct store *s, char *path, size_t size, const char *name)
{
	if (s->file)
		snprintf(path, size, "%s", s->dir);
	else
		snprintf(path, size, "%s/%s", s->dir, name);
}

/* A copy of the store's one file, by itself. */
static bool
is_file(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode);
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
prepare_dir(const struct store *s)
{
	char path[sizeof(s->dir) + 32];
	struct stat st;
	int fd, rc;

	if (mkdir(s->dir, 0700) == -1 && errno != EEXIST)
		return errno;
	path_of(s, path, sizeof(path), LOCK_FILE);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
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

/* Look at the file before LMDB believes what is in it. */
static int
check_file(struct opening *o)
{
	const struct store *s = o->s;
	char path[sizeof(s->dir) + 32];
	struct page_meta meta;
	const char *what;
	size_t size;
	int fd, err;

	path_of(s, path, sizeof(path), STORE_DATA_FILE);
	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) == -1)
		return errno;
	/* what a writer that was killed has left in memory: whoever takes
	 * over its lock shows that to all readers */
	if (writes(s) && fdatasync(fd) == -1)
		err = errno;
	else
		err = page_metas(fd, &meta, &size, &what);
	close(fd);
	switch (err) {
	case ENODATA:
		return say(o, EUCLEAN,
		    "%s is empty: put the store back from a backup (or remove "
		    "that file, if nothing was ever stored)",
		    path);
	case EUCLEAN:
		return say(o, EUCLEAN,
		    "%s is damaged, %s: put the store back from a backup", path,
		    what);
	default:
		return err;
	}
}

/*
 * LMDB 0.9 before 0.9.30 fails with mixed sizes on large pages: ITS#9806.
 * A file that ends too early has lost what was at its end, unless that is
 * free: pages that were never used need not have been written.
 */
static int
check_size(struct opening *o)
{
	int major, minor, patch, fd;
	MDB_envinfo info;
	struct stat file;
	MDB_stat st;

	mdb_version(&major, &minor, &patch);
	if (mdb_env_stat(o->s->env, &st) != MDB_SUCCESS ||
	    mdb_env_info(o->s->env, &info) != MDB_SUCCESS ||
	    mdb_env_get_fd(o->s->env, &fd) != MDB_SUCCESS)
		return EIO;
	if (st.ms_psize > 4096 && major == 0 && minor == 9 && patch < 30)
		return say(o, ENOTSUP,
		    "the store has pages of %u bytes, "
		    "which LMDB %d.%d.%d does not handle: use 0.9.30 or newer",
		    st.ms_psize, major, minor, patch);
	if (fstat(fd, &file) == -1)
		return errno;
	if (writes(o->s) &&
	    page_lost(o->s, (uint64_t)file.st_size / st.ms_psize))
		return say(o, EUCLEAN,
		    "%s/%s was cut off at %llu of %llu bytes: put the store "
		    "back from a backup",
		    o->s->dir, STORE_DATA_FILE,
		    (unsigned long long)file.st_size,
		    (unsigned long long)(info.me_last_pgno + 1) * st.ms_psize);
	return 0;
}

/* --- tables ------------------------------------------------------------ */

static int
open_table(struct opening *o, int i)
{
	struct store *s = o->s;
	int rc;

	rc = mdb_dbi_open(o->t.txn, table_name[i], o->t.writes ? MDB_CREATE : 0,
	    &s->dbi[i]);
	s->missing[i] = rc == MDB_NOTFOUND && looks(s);
	return s->missing[i] ? 0 : store_errno(rc);
}

/* Which schema, and is it ours?  In a transaction that reads. */
static int
look_at_schema(void *arg)
{
	struct opening *o = arg;
	struct store_migration m;
	MDB_stat st;
	MDB_dbi main;
	int err;

	store_guard_map(&o->t);
	if ((err = open_table(o, STORE_META)) == 0 &&
	    !o->s->missing[STORE_META])
		err = store_schema_check(&o->t, &o->schema, &o->why);
	else if (err == 0)
		err = ENOENT;
	if (err == ENOENT && mdb_dbi_open(o->t.txn, NULL, 0, &main) == 0 &&
	    mdb_stat(o->t.txn, main, &st) == 0 && st.ms_entries > 0)
		return say(o, EUCLEAN,
		    "%s is damaged, or not chatd's: it does not tell its "
		    "schema; put the store back from a backup",
		    o->s->dir);
	if (err == EBADMSG)
		return say(o, EUCLEAN,
		    "%s is damaged, its schema cannot be read: put the store "
		    "back from a backup",
		    o->s->dir);
	if (err == 0 && store_migration_get(&o->t, &m) == 0)
		o->migrated = m.rows + 1;
	return err;
}

static int
open_all(void *arg)
{
	struct opening *o = arg;
	int i, err;

	for (i = 0; i < STORE__TABLES; i++)
		if ((err = open_table(o, i)) != 0)
			return err;
	return 0;
}

/* Run 'fn' in a transaction; one that only reads keeps its handles too. */
static int
in_txn(struct opening *o, bool writing, int (*fn)(void *arg))
{
	int rc;

	memset(&o->t, 0, sizeof(o->t));
	o->t.s = o->s;
	o->t.writes = writing;
	rc =
	    mdb_txn_begin(o->s->env, NULL, writing ? 0 : MDB_RDONLY, &o->t.txn);
	if (rc != MDB_SUCCESS)
		return store_errno(rc);
	rc = store_guard(&o->t, STORE__TABLES, 0, fn, o);
	if (rc == -1) {
		/* one that writes was left in the middle: see store_probe() */
		if (!writing)
			mdb_txn_abort(o->t.txn);
		return EUCLEAN;
	}
	if (rc == 0)
		rc = o->t.err;
	if (rc == 0)
		return store_errno(mdb_txn_commit(o->t.txn));
	mdb_txn_abort(o->t.txn);
	return rc;
}

static int
make_tables(void *arg)
{
	struct opening *o = arg;
	int err;

	if ((err = open_all(o)) != 0)
		return err;
	/* a chatd that knows less must not come in between */
	if (o->schema == 0 || o->schema < STORE_SCHEMA)
		store_schema_put(&o->t,
		    o->schema == 0 ? STORE_SCHEMA : o->schema, STORE_SCHEMA);
	return 0;
}

static int
check_own(struct opening *o)
{
	struct store_txn t = { .s = o->s, .quiet = true };
	const char *what;
	int rc;

	if ((rc = mdb_txn_begin(o->s->env, NULL, MDB_RDONLY, &t.txn)) != 0)
		return store_errno(rc);
	what = page_own_wrong(&t);
	mdb_txn_abort(t.txn);
	if (what == NULL)
		return 0;
	return say(o, EUCLEAN,
	    "%s/%s is damaged, %s, so nothing can be written: put the store "
	    "back from a backup",
	    o->s->dir, STORE_DATA_FILE, what);
}

static int
open_writing(struct opening *o)
{
	int err;

	if ((err = check_own(o)) != 0)
		return err;
	if ((err = in_txn(o, true, make_tables)) != 0)
		return err;
	if (o->schema != 0 && o->schema < STORE_SCHEMA) {
		log_notice("the store is of an older chatd schema=%u to=%u",
		    o->schema, STORE_SCHEMA);
		if ((err = store_migrate(o->s, o->schema, &o->why)) != 0)
			return err;
	}
	(void)store_reader_check(o->s);
	return 0;
}

static int
open_tables(struct opening *o)
{
	int err;

	o->schema = 0;
	o->migrated = 0;
	if ((err = check_size(o)) != 0)
		return err;
	err = in_txn(o, false, look_at_schema);
	if (err != 0 && (err != ENOENT || !writes(o->s)))
		return err;
	if (writes(o->s))
		return open_writing(o);
	o->migrating = o->schema < STORE_SCHEMA && !looks(o->s);
	if (o->migrating)
		return EAGAIN;
	return in_txn(o, false, open_all);
}

static int
open_env(struct opening *o)
{
	struct store *s = o->s;
	unsigned flags = MDB_NOTLS;
	int fd, rc;

	if (!writes(s))
		flags |= MDB_RDONLY;
	if (s->mode == STORE_LOOK_OFFLINE)
		flags |= MDB_NOLOCK;
	if (s->file)
		flags |= MDB_NOSUBDIR;
	if ((rc = check_file(o)) != 0)
		return rc;
	if ((rc = mdb_env_create(&s->env)) != MDB_SUCCESS)
		return store_errno(rc);
	mdb_env_set_mapsize(s->env, STORE_MAP);
	mdb_env_set_maxdbs(s->env, STORE_MAX_DBS);
	mdb_env_set_maxreaders(s->env, STORE_MAX_READERS);
	rc = mdb_env_open(s->env, s->dir, flags, 0600);
	/* the file is sound, so it is the other one */
	if (rc == MDB_INVALID)
		return say(o, EUCLEAN,
		    "%s/%s is damaged: stop whatever uses the store, and start "
		    "again",
		    s->dir, LOCK_FILE);
	if (rc != MDB_SUCCESS)
		return store_errno(rc);
	if (mdb_env_get_fd(s->env, &fd) == MDB_SUCCESS)
		(void)fcntl(fd, F_SETFD, FD_CLOEXEC);
	return open_tables(o);
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
	s->map = NULL;
	free(s->known);
	s->known = NULL;
	s->known_bytes = 0;
}

/* --- a new store ------------------------------------------------------- */

static int
make_new(struct opening *o, const char *path)
{
	struct store *s = o->s;
	int rc;

	if ((rc = mdb_env_create(&s->env)) != MDB_SUCCESS)
		return store_errno(rc);
	mdb_env_set_mapsize(s->env, STORE_MAP);
	mdb_env_set_maxdbs(s->env, STORE_MAX_DBS);
	rc = store_errno(mdb_env_open(s->env, path,
	    MDB_NOTLS | MDB_NOSUBDIR | MDB_NOLOCK, 0600));
	if (rc == 0)
		rc = in_txn(o, true, make_tables);
	close_env(s);
	return rc;
}

/*
 * A new store gets its name when it is one, so that a file without anything
 * in it is never taken for the beginning.
 */
static int
make_store(struct opening *o)
{
	struct store *s = o->s;
	char path[sizeof(s->dir) + 32], made[sizeof(s->dir) + 32];
	struct stat st;
	int err;

	path_of(s, path, sizeof(path), STORE_DATA_FILE);
	if (stat(path, &st) == 0 || errno != ENOENT)
		return 0;
	path_of(s, made, sizeof(made), NEW_FILE);
	if (unlink(made) == -1 && errno != ENOENT)
		return errno;
	o->schema = 0;
	if ((err = make_new(o, made)) != 0) {
		(void)unlink(made);
		return err;
	}
	if (rename(made, path) == -1)
		return errno;
	return 0;
}

/* --- opening ----------------------------------------------------------- */

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

/* Whose directory it is, if that is why we may not. */
static int
say_whose(struct opening *o, int err, const char *wish)
{
	struct stat st;

	if ((err == EACCES || err == EPERM) && stat(o->s->dir, &st) == 0 &&
	    st.st_uid != geteuid())
		return say(o, err,
		    "cannot open the store for %s: %s belongs to user %u, and "
		    "this is user %u",
		    wish, o->s->dir, (unsigned)st.st_uid, (unsigned)geteuid());
	return say(o, err, "cannot open the store in %s for %s: %s", o->s->dir,
	    wish, strerror(err));
}

static void
open_reason(struct opening *o, int err)
{
	if (err == ENOMEM)
		(void)say(o, err,
		    "cannot map the store: %s (it needs "
		    "1 TiB of address space: see ulimit -v)",
		    strerror(err));
	else if (err == EPROTO)
		(void)say(o, err,
		    "the store in %s was written by another version of LMDB",
		    o->s->dir);
	else if (err == EUCLEAN)
		(void)say(o, err,
		    "the store in %s is damaged: put it back from a backup",
		    o->s->dir);
	else if (o->migrating)
		(void)say(o, err,
		    "the store in %s has schema %u and nobody goes on with "
		    "its migration to schema %u",
		    o->s->dir, o->schema, STORE_SCHEMA);
	else
		(void)say_whose(o, err, writes(o->s) ? "writing" : "reading");
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

static int
open_to_write(struct opening *o)
{
	char up[sizeof(o->s->dir) + 4];
	int err;

	warn_of_version();
	if ((err = prepare_dir(o->s)) != 0 || (err = make_store(o)) != 0)
		return err;
	(void)store_compact_swap(o->s->dir);
	if ((err = open_env(o)) != 0)
		return err;
	snprintf(up, sizeof(up), "%s/..", o->s->dir);
	if (fsync_dir(o->s->dir) == -1 || fsync_dir(up) == -1)
		return errno;
	return 0;
}

static int
open_to_read(struct opening *o)
{
	const struct timespec wait = { .tv_nsec = STORE_OPEN_WAIT_NS };
	uint64_t migrated = 0;
	int err, tries;

	for (tries = 0;; tries++) {
		o->why = NULL;
		o->migrating = false;
		if ((err = open_env(o)) == 0)
			return 0;
		if (looks(o->s) || !may_pass(err) || tries >= STORE_OPEN_TRIES)
			return err;
		/* what goes on may take its time */
		if (o->migrating && o->migrated != migrated) {
			migrated = o->migrated;
			tries = 0;
		}
		close_env(o->s);
		nanosleep(&wait, NULL);
	}
}

struct store *
store_open_dir(const char *dir, enum store_mode mode, const char **why_r)
{
	struct opening o = { 0 };
	int err;

	*why_r = "out of memory";
	if ((o.s = calloc(1, sizeof(*o.s))) == NULL)
		return NULL;
	o.s->mode = mode;
	o.s->snapshot.s = o.s->write.s = o.s;
	o.s->file = mode == STORE_LOOK_OFFLINE && is_file(dir);
	store_guard_install();
	if (strlcpy(o.s->dir, dir, sizeof(o.s->dir)) >= sizeof(o.s->dir))
		err = ENAMETOOLONG;
	else
		err =
		    mode == STORE_WRITE ? open_to_write(&o) : open_to_read(&o);
	if (err == 0)
		return o.s;
	if (o.why == NULL)
		open_reason(&o, err);
	*why_r = o.why;
	close_env(o.s);
	free(o.s);
	errno = err;
	return NULL;
}

struct store *
store_open(enum store_mode mode, const char **why_r)
{
	return store_open_dir(STORE_DIR, mode, why_r);
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

uint64_t
store_bad_pages(const struct store *s)
{
	return s->bad_pages;
}
