/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * place - the directories of a daemon, and that they are ours alone.
 */

#include "master/place.h"

#include <sys/file.h>
#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/config.h"
#include "common/log.h"
#include "master/rights.h"

#define NAME_LOCK "chatd.lock"
#define NAME_PID "chatd.pid"
#define NAME_PID_NEW "chatd.pid.new"

/* How long the children of a killed master may take to leave. */
#define PATIENCE_MS 10000

/* ------------------------------------------------------------------ */
/* Directories. */

static bool
is_empty(int dirfd)
{
	struct dirent *de;
	bool empty = true;
	DIR *dir;
	int fd;

	if ((fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)) == -1)
		return false;
	if ((dir = fdopendir(fd)) == NULL) {
		(void)close(fd);
		return false;
	}
	while (empty && (de = readdir(dir)) != NULL)
		empty = strcmp(de->d_name, ".") == 0 ||
		    strcmp(de->d_name, "..") == 0;
	(void)closedir(dir);
	return empty;
}

/* As mkdir -p, for the directories above 'path'. */
static int
make_parents(const char *path)
{
	char *copy, *p;
	int rc = 0;

	if ((copy = strdup(path)) == NULL)
		return -1;
	for (p = copy + 1; rc == 0 && (p = strchr(p, '/')) != NULL; p++) {
		*p = '\0';
		if (mkdir(copy, 0755) == -1 && errno != EEXIST)
			rc = -1;
		*p = '/';
	}
	free(copy);
	return rc;
}

/*
 * The directory, made if it is not there.  A new or an empty one is given
 * to the user; one that holds something is nobody's but its owner's to
 * give away: it must be writable as it is.
 */
static int
take_dir(const char *option, const char *path, mode_t mode,
    const struct rights *r)
{
	const int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
	struct stat st;
	bool made, ours_to_give = true;
	int fd;

	if (make_parents(path) == -1)
		fatal("%s: cannot make the directories above %s", option, path);
	made = mkdir(path, mode) == 0;
	if (!made && errno != EEXIST)
		fatal("%s: cannot make %s", option, path);
	if ((fd = open(path, flags | O_NOFOLLOW)) == -1) {
		/* a link may point to anything: then only what is there */
		ours_to_give = false;
		fd = open(path, flags);
	}
	if (fd == -1 || fstat(fd, &st) == -1)
		fatal("%s: cannot open %s", option, path);
	if (r->root && ours_to_give &&
	    (made || (st.st_uid != r->uid && is_empty(fd))) &&
	    (fchown(fd, r->uid, r->gid) == -1 || fchmod(fd, mode) == -1 ||
		fstat(fd, &st) == -1))
		fatal("%s: cannot give %s to user %s", option, path, r->user);
	if (!rights_can_write(r, &st))
		fatalx("%s: %s is not writable by user %s; chown it, or name "
		       "another directory",
		    option, path, r->user);
	return fd;
}

/* The same as a question; root's start would give an empty one away. */
static void
check_dir(const char *path, const char *where, const char *option,
    const struct rights *r, struct config_errors *errors)
{
	char parent[4096];
	struct stat st;
	char *slash;
	int fd;

	if (stat(path, &st) == 0) {
		if (!S_ISDIR(st.st_mode)) {
			config_errors_add(errors,
			    "%s: %s: %s is not a directory", where, option,
			    path);
			return;
		}
		if (rights_can_write(r, &st))
			return;
		fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd == -1 || !r->root || !is_empty(fd))
			config_errors_add(errors,
			    "%s: %s: %s is not writable by user %s; chown it, "
			    "or name another directory",
			    where, option, path, r->user);
		if (fd != -1)
			(void)close(fd);
		return;
	}
	/* it will be made: in the nearest directory that is there */
	(void)snprintf(parent, sizeof(parent), "%s", path);
	do {
		if ((slash = strrchr(parent, '/')) == NULL || slash == parent)
			slash = parent + 1;
		*slash = '\0';
	} while (
	    parent[1] != '\0' && stat(parent, &st) == -1 && errno == ENOENT);
	if (access(parent, W_OK | X_OK) == -1)
		config_errors_add(errors, "%s: %s: cannot make %s in %s: %s",
		    where, option, path, parent, strerror(errno));
}

void
place_check(const struct config *cfg, const struct rights *r,
    struct config_errors *errors)
{
	check_dir(cfg->run_dir, cfg->where[CONFIG_run_dir], "run_dir", r,
	    errors);
	check_dir(cfg->data_dir, cfg->where[CONFIG_data_dir], "data_dir", r,
	    errors);
}

/* ------------------------------------------------------------------ */
/* Locks. */

/* The pid that a file tells; 0: none. */
static pid_t
read_pid(int dirfd, const char *name)
{
	char buf[32];
	ssize_t n;
	long pid;
	int fd;

	fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd == -1)
		return 0;
	n = read(fd, buf, sizeof(buf) - 1);
	(void)close(fd);
	if (n <= 0)
		return 0;
	buf[n] = '\0';
	pid = strtol(buf, NULL, 10);
	return pid > 0 && pid < INT32_MAX ? (pid_t)pid : 0;
}

static bool
is_alive(pid_t pid)
{
	return pid > 0 && (kill(pid, 0) == 0 || errno == EPERM);
}

/*
 * Lock 'fd'; 'name' in 'dirfd' tells who has it.  If that one is dead, the
 * last of its children are still writing what was acknowledged, and will
 * be gone in a moment.
 */
static void
take_lock(int fd, int dirfd, const char *name, const char *option,
    const char *path)
{
	uint64_t until = clock_mono_ms() + PATIENCE_MS;
	const struct timespec pause = { .tv_nsec = 20 * 1000000 };
	bool told = false;
	pid_t pid;

	while (flock(fd, LOCK_EX | LOCK_NB) == -1) {
		if (errno == EINTR)
			continue;
		if (errno != EWOULDBLOCK)
			fatal("%s: cannot lock %s", option, path);
		pid = read_pid(dirfd, name);
		if (is_alive(pid))
			fatalx("%s: %s is in use by the chatd with pid %d",
			    option, path, (int)pid);
		if (clock_mono_ms() >= until)
			fatalx("%s: %s is locked by a process that was left "
			       "behind by pid %d",
			    option, path, (int)pid);
		if (!told)
			log_warn("waiting for the children of a daemon that "
				 "was killed killed_pid=%d",
			    (int)pid);
		told = true;
		(void)nanosleep(&pause, NULL);
	}
}

static void
write_pid(int fd, const char *what)
{
	char buf[32];
	int n = snprintf(buf, sizeof(buf), "%d\n", (int)getpid());

	if (ftruncate(fd, 0) == -1 || pwrite(fd, buf, (size_t)n, 0) != n)
		fatal("cannot write %s", what);
}

void
place_take(struct place *p, const struct config *cfg, const struct rights *r)
{
	p->pid_written = false;
	/* first: the data directory may lie in it */
	p->run_fd = take_dir("run_dir", cfg->run_dir, 0755, r);
	p->data_fd = take_dir("data_dir", cfg->data_dir, 0750, r);
	p->lock_fd = openat(p->data_fd, NAME_LOCK,
	    O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (p->lock_fd == -1)
		fatal("data_dir: cannot open %s/" NAME_LOCK, cfg->data_dir);
	take_lock(p->lock_fd, p->data_fd, NAME_LOCK, "data_dir", cfg->data_dir);
	if (r->root && fchown(p->lock_fd, r->uid, r->gid) == -1)
		fatal("data_dir: cannot give " NAME_LOCK " to user %s",
		    r->user);
	write_pid(p->lock_fd, NAME_LOCK);

	take_lock(p->run_fd, p->run_fd, NAME_PID, "run_dir", cfg->run_dir);
}

void
place_write_pid(struct place *p)
{
	int fd;

	(void)unlinkat(p->run_fd, NAME_PID_NEW, 0);
	fd = openat(p->run_fd, NAME_PID_NEW,
	    O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd == -1)
		fatal("run_dir: cannot make " NAME_PID);
	write_pid(fd, NAME_PID);
	(void)close(fd);
	if (renameat(p->run_fd, NAME_PID_NEW, p->run_fd, NAME_PID) == -1)
		fatal("run_dir: cannot make " NAME_PID);
	p->pid_written = true;
}

static void
close_fd(int *fd)
{
	if (*fd != -1)
		(void)close(*fd);
	*fd = -1;
}

void
place_leave(struct place *p)
{
	if (p->pid_written)
		(void)unlinkat(p->run_fd, NAME_PID, 0);
	p->pid_written = false;
	/* the file stays: who locks it next must find the same one */
	close_fd(&p->lock_fd);
	close_fd(&p->run_fd);
	close_fd(&p->data_fd);
}
