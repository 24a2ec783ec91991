/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * record - stands between a program and its system calls, and between the
 * scribe and the ring, and writes down what passes.
 *
 * Linked into a program it takes the place of libc's functions for the
 * program and for liblmdb, which calls them by name.  What the scribe tells
 * goes by ring_durable() and ring_decide(), which the linker brings here
 * (--wrap).  Only files "data.*" in a directory "db" are looked at: not the lock, and
 * not the ballast.
 *
 * It also plants the faults of enum journal_plant, and dies where it is told.
 */

#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <lmdb.h>

#include "shm/ring.h"
#include "shm/ring_impl.h"
#include "store/write.h"
#include "tests/power/journal.h"

#define MAX_FD 1024

enum fd_kind {
	FD_OTHER,
	FD_FILE,
	FD_DIR,
};

struct fd_info {
	enum fd_kind kind;
	bool dsync;
	uint64_t file;
	char path[200];
};

static struct journal *journal;
static struct fd_info fds[MAX_FD];
/* PLANT_META_FIRST: a flush that is still to come */
static bool owed;
/* PLANT_EARLY: what has been decided and not been told */
static struct ring *early_ring;
static uint64_t early_from, early_next;

/* --- where to die ------------------------------------------------------ */

enum die_how {
	DIE_BEFORE,
	DIE_MIDDLE,
	DIE_UNRETURNED,
	/* the same, but only in a write with O_DSYNC */
	DIE_IN_META,
};

static bool
dies_here(enum die_how how)
{
	return journal->die_at != 0 && journal->die_how == how &&
	    atomic_load(&journal->events) >= journal->die_at;
}

static void
may_die(enum die_how how)
{
	if (dies_here(how))
		(void)raise(SIGKILL);
}

/* --- which files ------------------------------------------------------- */

static bool
of_the_store(const char *path)
{
	const char *base = strrchr(path, '/');

	if (base == NULL || strncmp(base, "/data.", 6) != 0)
		return false;
	return strncmp(path, "db", 2) == 0 || strstr(path, "/db") != NULL;
}

static bool
is_store_dir(const char *path)
{
	return strcmp(path, ".") == 0 || strncmp(path, "db", 2) == 0;
}

/*
 * Who died while writing left something: all of it, a part, or nothing.  The
 * next who opens the file looks.
 */
static void
look_behind(int fd, uint64_t file)
{
	const struct journal_event *ev, *last = NULL;
	static uint8_t now[1 << 20];
	uint64_t at = 0;
	ssize_t n;

	while ((ev = journal_next(journal, &at)) != NULL)
		if (ev->file == file && ev->kind == J_WRITE)
			last = ev;
		else if (last != NULL && ev->file == file &&
		    (ev->kind == J_WRITTEN || ev->kind == J_SEEN))
			last = NULL;
	if (last == NULL)
		return;
	if (last->len > sizeof(now))
		abort();
	n = syscall(SYS_pread64, fd, now, last->len, last->a);
	journal_add(journal, J_SEEN, file, last->a, 0, now,
	    n > 0 ? (size_t)n : 0);
}

static void
note_open(int fd, const char *path, int flags, bool created)
{
	struct fd_info *f;
	struct stat st;

	if (journal == NULL || fd < 0 || fd >= MAX_FD)
		return;
	f = &fds[fd];
	memset(f, 0, sizeof(*f));
	if (fstat(fd, &st) == -1)
		return;
	(void)snprintf(f->path, sizeof(f->path), "%s",
	    strcmp(path, "db/..") == 0 ? "." : path);
	if (S_ISDIR(st.st_mode)) {
		f->kind = is_store_dir(path) ? FD_DIR : FD_OTHER;
		return;
	}
	if (!S_ISREG(st.st_mode) || !of_the_store(path) ||
	    (flags & O_ACCMODE) == O_RDONLY)
		return;
	f->kind = FD_FILE;
	f->dsync = (flags & O_DSYNC) != 0;
	f->file = st.st_ino;
	journal_add(journal, J_NAME, f->file, created, 0, path,
	    strlen(path) + 1);
	look_behind(fd, f->file);
}

static struct fd_info *
info(int fd)
{
	if (journal == NULL || fd < 0 || fd >= MAX_FD)
		return NULL;
	return fds[fd].kind == FD_OTHER ? NULL : &fds[fd];
}

static int
do_open(int at, const char *path, int flags, mode_t mode)
{
	bool created = false;
	int fd;

	if (journal == NULL || !of_the_store(path) || (flags & O_CREAT) == 0) {
		fd = (int)syscall(SYS_openat, at, path, flags, mode);
	} else {
		fd = (int)syscall(SYS_openat, at, path,
		    flags & ~(O_CREAT | O_EXCL), mode);
		if (fd == -1 && errno == ENOENT) {
			fd = (int)syscall(SYS_openat, at, path, flags, mode);
			created = fd != -1;
		} else if (fd != -1 && (flags & O_EXCL) != 0) {
			(void)syscall(SYS_close, fd);
			errno = EEXIST;
			return -1;
		}
	}
	note_open(fd, path, flags, created);
	return fd;
}

int
open(const char *path, int flags, ...)
{
	va_list ap;
	mode_t mode;

	va_start(ap, flags);
	mode = (mode_t)va_arg(ap, unsigned);
	va_end(ap);
	return do_open(AT_FDCWD, path, flags, mode);
}

int
openat(int at, const char *path, int flags, ...)
{
	va_list ap;
	mode_t mode;

	va_start(ap, flags);
	mode = (mode_t)va_arg(ap, unsigned);
	va_end(ap);
	return do_open(at, path, flags, mode);
}

int
close(int fd)
{
	if (fd >= 0 && fd < MAX_FD)
		fds[fd].kind = FD_OTHER;
	return (int)syscall(SYS_close, fd);
}

void *
mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off)
{
	struct fd_info *f = fd == -1 ? NULL : info(fd);

	if (f != NULL && f->kind == FD_FILE && (prot & PROT_WRITE) != 0 &&
	    (flags & MAP_PRIVATE) == 0)
		journal_add(journal, J_BLIND, f->file, 0, 0, NULL, 0);
	return (void *)syscall(SYS_mmap, addr, len, prot, flags, fd, off);
}

/* --- writing ----------------------------------------------------------- */

static void
flushed(struct fd_info *f)
{
	journal_add(journal, J_FLUSH, f->file, 0, 0, NULL, 0);
	journal_add(journal, J_FLUSHED, f->file, 0, 0, NULL, 0);
}

static ssize_t
write_at(int fd, struct fd_info *f, const uint8_t *p, size_t len, off_t off)
{
	ssize_t n;

	may_die(DIE_BEFORE);
	if (dies_here(DIE_MIDDLE)) {
		/* it is pages that are copied one by one */
		len = len / 2 & ~(size_t)4095;
		journal_add(journal, J_WRITE, f->file, (uint64_t)off, f->dsync,
		    p, len);
		(void)syscall(SYS_pwrite64, fd, p, len, off);
		(void)raise(SIGKILL);
	}
	journal_add(journal, J_WRITE, f->file, (uint64_t)off, f->dsync, p, len);
	n = syscall(SYS_pwrite64, fd, p, len, off);
	may_die(DIE_UNRETURNED);
	if (f->dsync)
		may_die(DIE_IN_META);
	journal_add(journal, J_WRITTEN, f->file, n > 0 ? (uint64_t)n : 0,
	    f->dsync, NULL, 0);
	if (owed && f->dsync) {
		owed = false;
		flushed(f);
	}
	return n;
}

ssize_t
pwrite(int fd, const void *p, size_t len, off_t off)
{
	struct fd_info *f = info(fd);

	if (f == NULL || f->kind != FD_FILE)
		return syscall(SYS_pwrite64, fd, p, len, off);
	return write_at(fd, f, p, len, off);
}

/* As one write: what comes of it is the same. */
static ssize_t
writev_at(int fd, struct fd_info *f, const struct iovec *v, int n, off_t off)
{
	size_t len = 0, at = 0;
	uint8_t *p;
	ssize_t rc;
	int i;

	for (i = 0; i < n; i++)
		len += v[i].iov_len;
	if ((p = malloc(len)) == NULL)
		return -1;
	for (i = 0; i < n; i++) {
		memcpy(p + at, v[i].iov_base, v[i].iov_len);
		at += v[i].iov_len;
	}
	rc = write_at(fd, f, p, len, off);
	free(p);
	return rc;
}

ssize_t
pwritev(int fd, const struct iovec *v, int n, off_t off)
{
	struct fd_info *f = info(fd);

	if (f == NULL || f->kind != FD_FILE)
		return syscall(SYS_pwritev, fd, v, n, off, 0);
	return writev_at(fd, f, v, n, off);
}

ssize_t
writev(int fd, const struct iovec *v, int n)
{
	struct fd_info *f = info(fd);
	off_t off;
	ssize_t rc;

	if (f == NULL || f->kind != FD_FILE)
		return syscall(SYS_writev, fd, v, n);
	off = syscall(SYS_lseek, fd, 0, SEEK_CUR);
	if ((rc = writev_at(fd, f, v, n, off)) > 0)
		(void)syscall(SYS_lseek, fd, off + rc, SEEK_SET);
	return rc;
}

ssize_t
write(int fd, const void *p, size_t len)
{
	struct fd_info *f = info(fd);
	off_t off;
	ssize_t rc;

	if (f == NULL || f->kind != FD_FILE)
		return syscall(SYS_write, fd, p, len);
	off = syscall(SYS_lseek, fd, 0, SEEK_CUR);
	if ((rc = write_at(fd, f, p, len, off)) > 0)
		(void)syscall(SYS_lseek, fd, off + rc, SEEK_SET);
	return rc;
}

int
ftruncate(int fd, off_t size)
{
	struct fd_info *f = info(fd);
	int rc = (int)syscall(SYS_ftruncate, fd, size);

	if (f != NULL && f->kind == FD_FILE && rc == 0)
		journal_add(journal, J_SIZE, f->file, (uint64_t)size, 0, NULL,
		    0);
	return rc;
}

int
posix_fallocate(int fd, off_t off, off_t len)
{
	struct fd_info *f = info(fd);
	struct stat st;

	if (syscall(SYS_fallocate, fd, 0, off, len) == -1)
		return errno;
	if (f != NULL && f->kind == FD_FILE && fstat(fd, &st) == 0)
		journal_add(journal, J_SIZE, f->file, (uint64_t)st.st_size, 0,
		    NULL, 0);
	return 0;
}

/* --- flushing ---------------------------------------------------------- */

static int
flush(int fd, long call)
{
	struct fd_info *f = info(fd);
	int rc;

	if (f == NULL)
		return (int)syscall(call, fd);
	if (f->kind == FD_DIR) {
		rc = (int)syscall(call, fd);
		if (rc == 0 && journal->plant != PLANT_NO_DIRSYNC)
			journal_add(journal, J_DIRSYNC, 0, 0, 0, f->path,
			    strlen(f->path) + 1);
		return rc;
	}
	if (journal->plant == PLANT_NO_DATASYNC)
		return 0;
	if (journal->plant == PLANT_META_FIRST) {
		owed = true;
		return 0;
	}
	may_die(DIE_BEFORE);
	journal_add(journal, J_FLUSH, f->file, 0, 0, NULL, 0);
	rc = (int)syscall(call, fd);
	may_die(DIE_UNRETURNED);
	if (rc == 0)
		journal_add(journal, J_FLUSHED, f->file, 0, 0, NULL, 0);
	return rc;
}

int
fdatasync(int fd)
{
	return flush(fd, SYS_fdatasync);
}

int
fsync(int fd)
{
	return flush(fd, SYS_fsync);
}

/* --- names ------------------------------------------------------------- */

int
rename(const char *from, const char *to)
{
	int rc = (int)syscall(SYS_rename, from, to);

	if (journal != NULL && rc == 0 &&
	    (of_the_store(from) || of_the_store(to) || is_store_dir(to)))
		journal_add2(journal, J_RENAME, 0, 0, 0, from, strlen(from) + 1,
		    to, strlen(to) + 1);
	return rc;
}

int
unlink(const char *path)
{
	int rc = (int)syscall(SYS_unlink, path);

	if (journal != NULL && rc == 0 && of_the_store(path))
		journal_add(journal, J_UNLINK, 0, 0, 0, path, strlen(path) + 1);
	return rc;
}

/* --- what is told ------------------------------------------------------ */

void __real_ring_decide(struct ring *r, uint64_t gseq,
    const struct ring_index *ix);
void __wrap_ring_decide(struct ring *r, uint64_t gseq,
    const struct ring_index *ix);
void __real_ring_durable(struct ring *r, uint64_t from, uint64_t next);
void __wrap_ring_durable(struct ring *r, uint64_t from, uint64_t next);
int __real_store_commit(struct store_txn **t);
int __wrap_store_commit(struct store_txn **t);
int __real_store_sync(struct store *s);
int __wrap_store_sync(struct store *s);
int __real_mdb_env_open(MDB_env *env, const char *path, unsigned flags,
    mdb_mode_t mode);
int __wrap_mdb_env_open(MDB_env *env, const char *path, unsigned flags,
    mdb_mode_t mode);

static void
tell(struct ring *r, uint64_t from, uint64_t next)
{
	static uint8_t rec[1 << 20] __attribute__((aligned(8)));
	struct ring_index ix, unused;
	uint64_t n;
	size_t len;

	for (n = from; n < next; n++) {
		ring_core_read(&ix,
		    &r->index[(n & r->core.mask) * RING_INDEX_WORDS],
		    RING_INDEX_WORDS);
		len = 0;
		if (ring_fetch(r, n, rec, sizeof(rec), &len, &unused) !=
		    RING_OK)
			len = 0;
		journal_add2(journal, J_ITEM, 0, n, 0, &ix, sizeof(ix), rec,
		    len);
	}
	journal_add(journal, J_TOLD, 0, from, next, NULL, 0);
}

void
__wrap_ring_decide(struct ring *r, uint64_t gseq, const struct ring_index *ix)
{
	__real_ring_decide(r, gseq, ix);
	early_ring = r;
	early_next = gseq + 1;
}

void
__wrap_ring_durable(struct ring *r, uint64_t from, uint64_t next)
{
	if (journal != NULL && from >= early_from) {
		may_die(DIE_BEFORE);
		/* in the order in which it could be seen, at the earliest */
		tell(r, from, next);
		may_die(DIE_MIDDLE);
	}
	__real_ring_durable(r, from, next);
	early_from = next;
	if (journal != NULL)
		may_die(DIE_UNRETURNED);
}

int
__wrap_store_commit(struct store_txn **t)
{
	struct ring *r = early_ring;

	if (journal != NULL && journal->plant == PLANT_EARLY && r != NULL &&
	    early_next > ring_durable_seq(r))
		__wrap_ring_durable(r, ring_durable_seq(r), early_next);
	return __real_store_commit(t);
}

int
__wrap_store_sync(struct store *s)
{
	if (journal != NULL && journal->plant == PLANT_NO_TAKEOVER_SYNC)
		return 0;
	return __real_store_sync(s);
}

int
__wrap_mdb_env_open(MDB_env *env, const char *path, unsigned flags,
    mdb_mode_t mode)
{
	if (journal != NULL && journal->plant == PLANT_NOSYNC)
		flags |= MDB_NOSYNC;
	if (journal != NULL && journal->plant == PLANT_NOMETASYNC)
		flags |= MDB_NOMETASYNC;
	return __real_mdb_env_open(env, path, flags, mode);
}

/* --- beginning --------------------------------------------------------- */

void
record_to(struct journal *j)
{
	journal = j;
	memset(fds, 0, sizeof(fds));
	owed = false;
	early_ring = NULL;
	early_from = early_next = 0;
	if (j != NULL)
		journal_add(j, J_LIFE, 0, (uint64_t)getpid(), 0, NULL, 0);
}

/* A whole daemon is told by its environment; only its scribe writes. */
__attribute__((constructor)) static void
begin(void)
{
	const char *path = getenv("CHATD_POWER_JOURNAL");
	const char *role = getenv("CHATD_ROLE");

	if (path == NULL || role == NULL || strcmp(role, "scribe") != 0)
		return;
	if ((journal = journal_map(path)) == NULL) {
		perror(path);
		abort();
	}
	record_to(journal);
}
