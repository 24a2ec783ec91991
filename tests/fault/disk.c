/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * disk - a disk that does what a test wants, under the store's system calls.
 *
 * Preloaded (LD_PRELOAD) into all roles of a daemon.  It knows the store's
 * files by the names that they are opened with, and comes to the fault points
 * DISK_* before, in the middle of and after what is written and flushed
 * there; what happens at a point stands in the same file as for all others
 * (common/fault.h), which it maps once more for itself.  Everything else is
 * passed on untouched.  Calls go straight to the kernel: nothing is looked up
 * in a sandbox.
 */

#include <sys/syscall.h>
#include <sys/uio.h>

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "common/fault.h"

#define EXPORT __attribute__((visibility("default")))
#define FILES 1024
#define PIECES 1024

enum kind {
	/* not ours */
	KIND_OTHER,
	/* data.mdb, for pages */
	KIND_DATA,
	/* data.mdb opened once more, each write is flushed: for meta pages */
	KIND_META,
	/* whatever else stands in the store's directory */
	KIND_DIR,
	KIND_LOCK,
};

static unsigned char kinds[FILES];

static enum kind
kind_of(int fd)
{
	return fd >= 0 && fd < FILES ? (enum kind)kinds[fd] : KIND_OTHER;
}

static bool
ends_with(const char *path, const char *end)
{
	size_t n = strlen(path), m = strlen(end);

	return n >= m && strcmp(path + n - m, end) == 0;
}

static enum kind
kind_of_path(const char *path, int flags)
{
	if (ends_with(path, "data.mdb"))
		return (flags & O_DSYNC) != 0 ? KIND_META : KIND_DATA;
	if (ends_with(path, "lock.mdb"))
		return KIND_LOCK;
	if ((flags & O_DIRECTORY) != 0 &&
	    (strcmp(path, "db") == 0 || strcmp(path, ".") == 0))
		return KIND_DIR;
	return KIND_OTHER;
}

static bool
armed(enum fault_point point)
{
	const struct fault_file *f = fault_file();

	return f != NULL &&
	    __atomic_load_n(&f->row[point].action, __ATOMIC_ACQUIRE) !=
	    FAULT_ACTION_NONE;
}

/* --- files ------------------------------------------------------------- */

EXPORT int
open(const char *path, int flags, ...)
{
	enum kind kind = kind_of_path(path, flags);
	mode_t mode = 0;
	va_list ap;
	int fd;

	if ((flags & (O_CREAT | O_TMPFILE)) != 0) {
		va_start(ap, flags);
		mode = va_arg(ap, mode_t);
		va_end(ap);
	}
	if ((kind == KIND_DATA || kind == KIND_LOCK) && FAULT_ERROR(DISK_OPEN))
		return -1;
	fd = (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
	if (fd >= 0 && fd < FILES)
		kinds[fd] = (unsigned char)kind;
	return fd;
}

EXPORT int
close(int fd)
{
	if (fd >= 0 && fd < FILES)
		kinds[fd] = KIND_OTHER;
	return (int)syscall(SYS_close, fd);
}

/* --- writing ----------------------------------------------------------- */

static ssize_t
raw_pwrite(int fd, const void *buf, size_t len, off_t off)
{
	return syscall(SYS_pwrite64, fd, buf, len, off);
}

/* One page of the meta data, on the disk when the call returns. */
static ssize_t
write_meta(int fd, const char *buf, size_t len, off_t off)
{
	size_t half = armed(FAULT_DISK_META_HALF) ? len / 2 : 0;
	ssize_t n;

	if (FAULT_ERROR(DISK_META))
		return -1;
	if (half > 0) {
		if ((n = raw_pwrite(fd, buf, half, off)) == -1)
			return -1;
		FAULT(DISK_META_HALF);
	}
	n = raw_pwrite(fd, buf + half, len - half, off + (off_t)half);
	if (n == -1)
		return -1;
	FAULT(DISK_META_DONE);
	return n + (ssize_t)half;
}

EXPORT ssize_t
pwrite(int fd, const void *buf, size_t len, off_t off)
{
	enum kind kind = kind_of(fd);
	size_t half = 0;
	ssize_t n;

	if (kind == KIND_META)
		return write_meta(fd, buf, len, off);
	if (kind != KIND_DATA)
		return raw_pwrite(fd, buf, len, off);
	if (FAULT_ERROR(DISK_PAGES))
		return -1;
	if (armed(FAULT_DISK_PAGES_HALF)) {
		half = len / 2;
		if ((n = raw_pwrite(fd, buf, half, off)) == -1)
			return -1;
		if (FAULT_ERROR(DISK_PAGES_HALF))
			return n;
	}
	n = raw_pwrite(fd, (const char *)buf + half, len - half,
	    off + (off_t)half);
	if (n == -1)
		return -1;
	FAULT(DISK_PAGES_DONE);
	return n + (ssize_t)half;
}

/* The first 'want' bytes of the pieces: in *half_r, how many pieces. */
static int
cut(const struct iovec *iov, int n, size_t want, struct iovec *half_r)
{
	int i;

	for (i = 0; i < n && want > 0; i++) {
		half_r[i] = iov[i];
		if (half_r[i].iov_len > want)
			half_r[i].iov_len = want;
		want -= half_r[i].iov_len;
	}
	return i;
}

/* What is left of the pieces behind the first 'done' bytes. */
static int
rest(const struct iovec *iov, int n, size_t done, struct iovec *rest_r)
{
	int i, k = 0;

	for (i = 0; i < n; i++) {
		if (done >= iov[i].iov_len) {
			done -= iov[i].iov_len;
			continue;
		}
		rest_r[k].iov_base = (char *)iov[i].iov_base + done;
		rest_r[k++].iov_len = iov[i].iov_len - done;
		done = 0;
	}
	return k;
}

/* Many pages that follow each other, at the file's position. */
static ssize_t
write_pages(int fd, const struct iovec *iov, int n)
{
	static struct iovec part[PIECES];
	size_t total = 0, half;
	ssize_t done = 0, more;
	int i;

	for (i = 0; i < n; i++)
		total += iov[i].iov_len;
	if (FAULT_ERROR(DISK_PAGES))
		return -1;
	if (armed(FAULT_DISK_PAGES_HALF) && n <= PIECES) {
		half = total / 2;
		done = syscall(SYS_writev, fd, part, cut(iov, n, half, part));
		if (done == -1 || FAULT_ERROR(DISK_PAGES_HALF))
			return done;
		n = rest(iov, n, (size_t)done, part);
		iov = part;
	}
	if ((more = syscall(SYS_writev, fd, iov, n)) == -1)
		return -1;
	FAULT(DISK_PAGES_DONE);
	return done + more;
}

EXPORT ssize_t
writev(int fd, const struct iovec *iov, int n)
{
	if (kind_of(fd) == KIND_DATA)
		return write_pages(fd, iov, n);
	return syscall(SYS_writev, fd, iov, n);
}

/* --- flushing ---------------------------------------------------------- */

EXPORT int
fdatasync(int fd)
{
	int rc;

	if (kind_of(fd) != KIND_DATA)
		return (int)syscall(SYS_fdatasync, fd);
	if (FAULT_ERROR(DISK_FLUSH))
		return -1;
	if ((rc = (int)syscall(SYS_fdatasync, fd)) == 0)
		FAULT(DISK_FLUSHED);
	return rc;
}

EXPORT int
fsync(int fd)
{
	if (kind_of(fd) == KIND_DIR && FAULT_ERROR(DISK_FSYNC))
		return -1;
	return (int)syscall(SYS_fsync, fd);
}
