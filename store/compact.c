/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * The swap renames one file over another; all else is to know that both say
 * the same.  Who has the store open holds a lock on the first byte of
 * lock.mdb, which is LMDB's own way to see whether it is the first.
 */

#include "store/compact.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "common/log.h"
#include "store/env.h"
#include "store/page.h"

#define LOCK_FILE "lock.mdb"
#define PATH_BYTES 320
#define MAP ((size_t)1 << 40)

/* The last bytes of a copy that is complete. */
struct seal {
	char magic[16];
	/* bytes before the seal */
	uint64_t bytes;
	/* what it is a copy of */
	uint64_t txn;
	uint8_t ring[16];
	uint64_t base;
	uint64_t pos;
	uint64_t sum;
};

static const char magic[16] = "chatd compact 1";

static void
seal_of(struct seal *seal, uint64_t bytes, uint64_t txn,
    const struct store_ring *ring)
{
	memset(seal, 0, sizeof(*seal));
	memcpy(seal->magic, magic, sizeof(magic));
	seal->bytes = bytes;
	seal->txn = txn;
	memcpy(seal->ring, ring->id, sizeof(seal->ring));
	seal->base = ring->base;
	seal->pos = ring->pos;
	seal->sum = XXH3_64bits(seal, offsetof(struct seal, sum));
}

/* --- copies ------------------------------------------------------------ */

struct copying {
	MDB_env *env;
	int fd;
	unsigned flags;
};

static int
copy(void *arg)
{
	const struct copying *c = arg;

	return mdb_env_copyfd2(c->env, c->fd, c->flags);
}

int
store_copy(struct store *s, int fd, bool compact)
{
	struct copying c = { s->env, fd, compact ? MDB_CP_COMPACT : 0 };
	struct store_txn t = { .s = s };
	int rc;

	if ((rc = store_guard(&t, STORE__TABLES, 0, copy, &c)) == -1)
		return -1;
	if (rc == MDB_SUCCESS && fsync(fd) == -1 && errno != EINVAL &&
	    errno != EROFS && errno != ENOTSUP)
		return -1;
	if (rc == MDB_SUCCESS)
		return 0;
	/* pages that belong to nothing: a plain copy takes them along */
	errno = rc == MDB_INCOMPATIBLE ? EUCLEAN : store_errno(rc);
	return -1;
}

static int
ring_now(struct store *s, struct store_ring *ring)
{
	struct store_txn *t;

	memset(ring, 0, sizeof(*ring));
	if ((t = store_snapshot(s)) == NULL)
		return -1;
	if (store_ring_get(t, ring) == -1)
		memset(ring, 0, sizeof(*ring));
	store_snapshot_end(&t);
	return 0;
}

/*
 * The transaction is looked up first: when others come before the copy
 * begins, the seal is too old, and the copy will be made again.
 */
int
store_compact(struct store *s, int fd, uint64_t *txn_r)
{
	struct store_ring ring;
	struct seal seal;
	MDB_envinfo info;
	struct stat st;

	if (fstat(fd, &st) == -1)
		return -1;
	if (!S_ISREG(st.st_mode) || st.st_size != 0) {
		errno = EINVAL;
		return -1;
	}
	if (mdb_env_info(s->env, &info) != MDB_SUCCESS ||
	    ring_now(s, &ring) == -1 || store_copy(s, fd, true) == -1 ||
	    fstat(fd, &st) == -1)
		return -1;
	seal_of(&seal, (uint64_t)st.st_size, info.me_last_txnid, &ring);
	if (pwrite(fd, &seal, sizeof(seal), st.st_size) !=
	    (ssize_t)sizeof(seal)) {
		errno = ENOSPC;
		return -1;
	}
	if (fsync(fd) == -1)
		return -1;
	*txn_r = info.me_last_txnid;
	return 0;
}

/* --- what a file holds ------------------------------------------------- */

/* What must be the same in a copy. */
struct content {
	uint64_t txn;
	struct store_ring ring;
	uint64_t entries[STORE__TABLES];
};

struct reading {
	struct store_txn *t;
	struct content *c;
	MDB_env *env;
};

static int
read_content(void *arg)
{
	struct reading *r = arg;
	struct store *s = r->t->s;
	MDB_stat st;
	int i;

	for (i = 0; i < STORE__TABLES; i++) {
		s->missing[i] = mdb_dbi_open(r->t->txn, store_table_name(i), 0,
				    &s->dbi[i]) != MDB_SUCCESS;
		if (s->missing[i])
			continue;
		if (mdb_stat(r->t->txn, s->dbi[i], &st) != MDB_SUCCESS)
			return EUCLEAN;
		r->c->entries[i] = st.ms_entries;
	}
	if (s->missing[STORE_META])
		return EUCLEAN;
	if (store_ring_get(r->t, &r->c->ring) == -1 && errno != ENOENT)
		return errno;
	return 0;
}

/* Look into a file that nobody else uses: 0 or an errno. */
static int
content_of(const char *path, struct content *c)
{
	struct store s = { .mode = STORE_LOOK_OFFLINE };
	struct store_txn t = { .s = &s };
	struct reading r = { &t, c, NULL };
	MDB_envinfo info;
	int rc;

	memset(c, 0, sizeof(*c));
	if ((rc = mdb_env_create(&s.env)) != MDB_SUCCESS)
		return store_errno(rc);
	mdb_env_set_mapsize(s.env, MAP);
	mdb_env_set_maxdbs(s.env, 16);
	rc = mdb_env_open(s.env, path,
	    MDB_RDONLY | MDB_NOLOCK | MDB_NOSUBDIR | MDB_NOTLS, 0600);
	if (rc == MDB_SUCCESS)
		rc = mdb_txn_begin(s.env, NULL, MDB_RDONLY, &t.txn);
	if (rc == MDB_SUCCESS) {
		(void)mdb_env_info(s.env, &info);
		c->txn = info.me_last_txnid;
		rc = store_guard(&t, STORE__TABLES, 0, read_content, &r);
		mdb_txn_abort(t.txn);
	}
	mdb_env_close(s.env);
	return rc == -1 ? EUCLEAN : store_errno(rc);
}

static bool
same_content(const struct content *a, const struct content *b)
{
	return memcmp(&a->ring, &b->ring, sizeof(a->ring)) == 0 &&
	    memcmp(a->entries, b->entries, sizeof(a->entries)) == 0;
}

/* --- the swap ---------------------------------------------------------- */

struct swap {
	const char *dir;
	char old[PATH_BYTES];
	char copy[PATH_BYTES];
	struct content now;
};

static int
sync_dir(const char *dir)
{
	int fd, rc;

	if ((fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) == -1)
		return -1;
	rc = fsync(fd);
	close(fd);
	return rc;
}

static enum store_swap
drop(const struct swap *w, const char *what)
{
	log_warn("the compacted copy is not used: %s copy=%s", what, w->copy);
	if (unlink(w->copy) == -1 && errno != ENOENT)
		log_warn_errno("the compacted copy cannot be removed copy=%s",
		    w->copy);
	return STORE_SWAP_DROPPED;
}

static uint64_t
size_of(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? (uint64_t)st.st_size : 0;
}

/* The copy is on the disk and says what the store says: take it. */
static enum store_swap
take(const struct swap *w, enum store_swap how)
{
	uint64_t was = size_of(w->old);
	struct content copied;
	int err;

	if ((err = content_of(w->copy, &copied)) != 0)
		return drop(w, strerror(err));
	if (!same_content(&w->now, &copied))
		return drop(w, "it does not say what the store says");
	if (rename(w->copy, w->old) == -1)
		return drop(w, strerror(errno));
	if (sync_dir(w->dir) == -1)
		log_warn_errno("the directory cannot be synced dir=%s", w->dir);
	log_notice("the store was compacted was=%llu now=%llu",
	    (unsigned long long)was, (unsigned long long)size_of(w->old));
	return how;
}

/* A copy of this moment; nobody else has the store. */
static enum store_swap
again(const struct swap *w)
{
	const char *what = NULL;
	MDB_env *env;
	int fd, rc;

	if (unlink(w->copy) == -1 && errno != ENOENT)
		return drop(w, strerror(errno));
	fd = open(w->copy, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd == -1)
		return drop(w, strerror(errno));
	if ((rc = mdb_env_create(&env)) == MDB_SUCCESS) {
		struct copying c = { env, fd, MDB_CP_COMPACT };
		struct store s = { .env = env };
		struct store_txn t = { .s = &s };

		mdb_env_set_mapsize(env, MAP);
		mdb_env_set_maxdbs(env, 16);
		rc = mdb_env_open(env, w->old,
		    MDB_RDONLY | MDB_NOLOCK | MDB_NOSUBDIR | MDB_NOTLS, 0600);
		if (rc == MDB_SUCCESS)
			rc = store_guard(&t, STORE__TABLES, 0, copy, &c);
		mdb_env_close(env);
	}
	if (rc != MDB_SUCCESS)
		what = strerror(rc == -1 ? EUCLEAN : store_errno(rc));
	else if (fsync(fd) == -1)
		what = strerror(errno);
	close(fd);
	return what != NULL ? drop(w, what) : take(w, STORE_SWAP_AGAIN);
}

/* Is it complete, of this very state, and a file that we may write? */
static bool
is_current(const struct swap *w, int fd, bool *whole_r)
{
	struct seal seal, right;
	struct stat st;

	*whole_r = false;
	if (fstat(fd, &st) == -1 || st.st_size < (off_t)sizeof(seal) ||
	    pread(fd, &seal, sizeof(seal), st.st_size - (off_t)sizeof(seal)) !=
		(ssize_t)sizeof(seal))
		return false;
	if (memcmp(seal.magic, magic, sizeof(magic)) != 0 ||
	    seal.sum != XXH3_64bits(&seal, offsetof(struct seal, sum)) ||
	    seal.bytes != (uint64_t)st.st_size - sizeof(seal))
		return false;
	*whole_r = true;
	seal_of(&right, seal.bytes, w->now.txn, &w->now.ring);
	return st.st_uid == geteuid() &&
	    memcmp(&seal, &right, sizeof(seal)) == 0;
}

static enum store_swap
swap(struct swap *w, int fd)
{
	struct stat st;
	bool whole;
	int err;

	if ((err = content_of(w->old, &w->now)) != 0) {
		log_warn("the compacted copy is left alone, the store cannot "
			 "be read: %s",
		    strerror(err));
		return STORE_SWAP_BUSY;
	}
	if (!is_current(w, fd, &whole)) {
		if (!whole)
			return drop(w, "it is not complete");
		log_notice("the compacted copy is older than the store, it is "
			   "made again");
		return again(w);
	}
	if (fstat(fd, &st) == -1 || fchmod(fd, 0600) == -1 ||
	    ftruncate(fd, st.st_size - (off_t)sizeof(struct seal)) == -1 ||
	    fsync(fd) == -1)
		return drop(w, strerror(errno));
	return take(w, STORE_SWAP_DONE);
}

static bool
lock_alone(int fd)
{
	struct flock l = { .l_type = F_WRLCK,
		.l_whence = SEEK_SET,
		.l_start = 0,
		.l_len = 1 };

	return fcntl(fd, F_SETLK, &l) == 0;
}

enum store_swap
store_compact_swap(const char *dir)
{
	char path[PATH_BYTES];
	struct swap w = { .dir = dir };
	enum store_swap how = STORE_SWAP_BUSY;
	int fd, lock;

	snprintf(w.old, sizeof(w.old), "%s/%s", dir, STORE_DATA_FILE);
	snprintf(w.copy, sizeof(w.copy), "%s/%s", dir, STORE_COMPACT_FILE);
	snprintf(path, sizeof(path), "%s/%s", dir, LOCK_FILE);
	if ((fd = open(w.copy, O_RDWR | O_CLOEXEC | O_NOFOLLOW)) == -1) {
		if (errno == ENOENT)
			return STORE_SWAP_NONE;
		return drop(&w, strerror(errno));
	}
	if ((lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600)) == -1) {
		log_warn_errno("the store cannot be locked dir=%s", dir);
	} else {
		if (lock_alone(lock))
			how = swap(&w, fd);
		else
			log_notice("somebody has the store open: it is "
				   "compacted at another start");
		close(lock);
	}
	close(fd);
	return how;
}
