/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * open - the store, of a daemon or without one.
 */

#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clerk/clerk.h"
#include "common/json.h"
#include "common/log.h"
#include "store/store.h"

#define STORE_DIR "db"
#define LOCK_FILE "chatd.lock"
/* ioprio_set(2) has no header: best effort, the lowest of it */
#define IOPRIO_WHO_PROCESS 1
#define IOPRIO_LOWEST (2 << 13 | 7)
#define NICE 5

/* Those who wait for the disk or the processor go first. */
static void
be_modest(void)
{
	if (syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_LOWEST) == -1)
		log_debug("ioprio_set: %s", strerror(errno));
	errno = 0;
	if (nice(NICE) == -1 && errno != 0)
		log_debug("nice: %s", strerror(errno));
}

/* Whose lock is it? */
static int
refuse_locked(struct clerk *c, int fd)
{
	char pid[32] = "";
	ssize_t n = pread(fd, pid, sizeof(pid) - 1, 0);

	if (n > 0)
		pid[strcspn(pid, "\n")] = '\0';
	return answer_failed(c,
	    "a daemon%s%s has this directory: chatctl verify, without "
	    "--offline, asks it",
	    pid[0] == '\0' ? "" : " with pid ", pid);
}

/*
 * A daemon must neither be there nor start meanwhile: without LMDB's own lock
 * it would write over pages that we look at.  The lock is held until we end.
 * A copy has no such file.
 */
static int
lock_directory(struct clerk *c)
{
	int fd = open(LOCK_FILE, O_RDONLY | O_CLOEXEC);

	if (fd == -1)
		return errno == ENOENT
		    ? 0
		    : answer_failed(c, LOCK_FILE ": %s", strerror(errno));
	if (flock(fd, LOCK_SH | LOCK_NB) == 0)
		return 0;
	if (errno == EWOULDBLOCK)
		return refuse_locked(c, fd);
	return answer_failed(c, LOCK_FILE ": %s", strerror(errno));
}

/* Where the store is; "" and an answer if that cannot be. */
static const char *
find_offline(struct clerk *c)
{
	static char path[64];
	struct stat st;

	if (fstat(c->dir, &st) == -1) {
		(void)answer_failed(c, "cannot look at it: %s",
		    strerror(errno));
		return "";
	}
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", c->dir);
	if (S_ISREG(st.st_mode))
		return path;
	if (!S_ISDIR(st.st_mode) || fchdir(c->dir) == -1) {
		(void)answer_failed(c, "neither a data directory nor a backup");
		return "";
	}
	if (lock_directory(c) == -1)
		return "";
	if (access(STORE_DIR, F_OK) == 0)
		return STORE_DIR;
	if (access("data.mdb", F_OK) == 0)
		return ".";
	(void)answer_failed(c, "there is no store in this directory");
	return "";
}

int
clerk_open_store(struct clerk *c)
{
	const char *dir = STORE_DIR, *why;

	be_modest();
	if (!c->offline && fchdir(c->dir) == -1)
		return answer_failed(c, "data directory: %s", strerror(errno));
	if (c->offline && (dir = find_offline(c))[0] == '\0')
		return -1;
	c->store = store_open_dir(dir,
	    c->offline ? STORE_LOOK_OFFLINE : STORE_LOOK, &why);
	if (c->store == NULL)
		return answer_failed(c, "%s", why);
	return 0;
}

int
clerk_snapshot(struct clerk *c)
{
	if ((c->txn = store_snapshot(c->store)) != NULL)
		return 0;
	return answer_failed(c, "the store cannot be read: %s",
	    strerror(errno));
}

void
clerk_put_u64(struct json_out *o, const char *key, uint64_t n)
{
	json_out_key(o, key);
	json_out_u64(o, n);
}

void
clerk_put_text(struct json_out *o, const char *key, const char *text)
{
	json_out_key(o, key);
	json_out_cstring(o, text);
}
