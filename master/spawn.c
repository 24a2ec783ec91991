/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * spawn - starting a role in an address space of its own.
 */

#include "master/spawn.h"

#include <sys/syscall.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/fault.h"
#include "common/log.h"

/* the third place that we keep: stderr of the children, if it is not ours */
#define STDERR_PLACE (ROLE_LOCK_FD + 1)

#define PATH_SELF "/proc/self/exe"
#define PATH_NULL "/dev/null"

/* What exec wants, made before the child exists. */
struct image {
	char title[32];
	char *argv[2];
	char role[32];
	char **envp;
};

extern char **environ;

static const char *const role_env[] = {
	[ROLE_WORKER] = ROLE_ENV "=worker",
	[ROLE_SCRIBE] = ROLE_ENV "=scribe",
	[ROLE_CLERK] = ROLE_ENV "=clerk",
	[ROLE_BRIDGE] = ROLE_ENV "=bridge",
};

/* /dev/null; what stands in the places that we keep for the children */
static int null_fd = -1;
/* STDERR_PLACE is in use */
static bool has_stderr;

/* A place that nobody else can get.  Needs no new descriptor. */
static void
reserve(int fd)
{
	if (dup3(null_fd, fd, O_CLOEXEC) == -1)
		fatal("dup3");
}

void
spawn_init(void)
{
	int fd;

	/* a closed stderr would otherwise become the first thing opened */
	do {
		if ((fd = open(PATH_NULL, O_RDWR)) == -1)
			fatal("open " PATH_NULL);
	} while (fd <= STDERR_FILENO);
	if (close_range(STDERR_FILENO + 1, ~0U, 0) == -1)
		fatal("close_range");
	null_fd = open(PATH_NULL, O_RDWR | O_CLOEXEC);
	if (null_fd == -1 ||
	    (null_fd = fcntl(null_fd, F_DUPFD_CLOEXEC, STDERR_PLACE + 1)) == -1)
		fatal("open " PATH_NULL);
	reserve(ROLE_IPC_FD);
	reserve(ROLE_LOCK_FD);
	reserve(STDERR_PLACE);
}

void
spawn_set_stderr(int fd)
{
	if (dup3(fd, STDERR_PLACE, O_CLOEXEC) == -1)
		fatal("dup3");
	has_stderr = true;
}

static int
image_init(struct image *im, enum role role, const char *title)
{
	size_t n = 0;

	(void)snprintf(im->title, sizeof(im->title), "chatd: %s", title);
	im->argv[0] = im->title;
	im->argv[1] = NULL;
	(void)snprintf(im->role, sizeof(im->role), "%s", role_env[role]);
	while (environ[n] != NULL)
		n++;
	if ((im->envp = calloc(n + 2, sizeof(*im->envp))) == NULL)
		return -1;
	memcpy(im->envp, environ, n * sizeof(*im->envp));
	im->envp[n] = im->role;
	return 0;
}

/*
 * The child, up to exec.  It has memory of its own (a copy) and must leave
 * the descriptors alone until they are its own as well.
 */
static void
become(const struct image *im, const sigset_t *mask)
{
	static const int ignored[] = { SIGHUP, SIGINT, SIGTERM, SIGUSR1,
		SIGUSR2 };
	static const int defaults[] = { SIGCHLD };

	if (close_range(STDERR_PLACE + 1, ~0U, CLOSE_RANGE_UNSHARE) == -1)
		_exit(127);
	if (has_stderr &&
	    (dup2(STDERR_PLACE, STDOUT_FILENO) == -1 ||
		dup2(STDERR_PLACE, STDERR_FILENO) == -1))
		_exit(127);
	if (fcntl(ROLE_IPC_FD, F_SETFD, 0) == -1)
		_exit(127);
	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		(void)signal(ignored[i], SIG_IGN);
	for (size_t i = 0; i < sizeof(defaults) / sizeof(defaults[0]); i++)
		(void)signal(defaults[i], SIG_DFL);
	(void)sigprocmask(SIG_SETMASK, mask, NULL);
	FAULT(SPAWN_CHILD);
	(void)execve(PATH_SELF, im->argv, im->envp);
	_exit(127);
}

/*
 * Put what the child inherits where it looks for it.  The lock is the only
 * one that is not close-on-exec: who does not get it, does not keep it.
 */
static int
lay_out(int ipc_fd, int lock_fd)
{
	if (dup3(ipc_fd, ROLE_IPC_FD, O_CLOEXEC) == -1)
		return -1;
	if (lock_fd != -1 && dup2(lock_fd, ROLE_LOCK_FD) == -1)
		return -1;
	return 0;
}

static void
take_back(void)
{
	int saved = errno;

	reserve(ROLE_IPC_FD);
	reserve(ROLE_LOCK_FD);
	errno = saved;
}

static pid_t
spawn(enum role role, const char *title, int ipc_fd, int lock_fd)
{
	struct image im;
	sigset_t all, mask;
	int saved;
	long pid;

	if (image_init(&im, role, title) == -1)
		return -1;
	if (lay_out(ipc_fd, lock_fd) == -1) {
		saved = errno;
		take_back();
		free(im.envp);
		errno = saved;
		return -1;
	}
	(void)sigfillset(&all);
	(void)sigprocmask(SIG_BLOCK, &all, &mask);
	/* as fork(), but the descriptor table is shared, and we stand still
	 * until the child has executed or is gone */
	pid = syscall(SYS_clone, CLONE_FILES | CLONE_VFORK | SIGCHLD, NULL,
	    NULL, NULL, 0L);
	if (pid == 0)
		become(&im, &mask);
	saved = errno;
	(void)sigprocmask(SIG_SETMASK, &mask, NULL);
	take_back();
	free(im.envp);
	errno = saved;
	return (pid_t)pid;
}

pid_t
spawn_role(enum role role, unsigned slot, int ipc_fd, int lock_fd)
{
	char title[32];

	CHECK(
	    role == ROLE_WORKER || role == ROLE_SCRIBE || role == ROLE_BRIDGE);
	if (role != ROLE_WORKER)
		return spawn(role, role == ROLE_SCRIBE ? "scribe" : "bridge",
		    ipc_fd, lock_fd);
	(void)snprintf(title, sizeof(title), "worker %u", slot);
	return spawn(role, title, ipc_fd, lock_fd);
}

pid_t
spawn_clerk(const char *command, int ipc_fd)
{
	char title[32];

	(void)snprintf(title, sizeof(title), "clerk %s", command);
	return spawn(ROLE_CLERK, title, ipc_fd, -1);
}
