/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * detach - going to the background, but only once everything works.
 */

#include "master/detach.h"

#include <sys/types.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "common/log.h"

/* The process that was started: wait, and end like the daemon's start. */
static void __attribute__((noreturn)) wait_ready(int fd, pid_t pid)
{
	ssize_t n;
	int status;
	char c;

	do
		n = read(fd, &c, 1);
	while (n == -1 && errno == EINTR);
	if (n == 1)
		_exit(0);
	/* it has ended, or is about to, and has said why on stderr */
	while (waitpid(pid, &status, 0) == -1)
		if (errno != EINTR)
			_exit(1);
	if (WIFEXITED(status) && WEXITSTATUS(status) != 0)
		_exit(WEXITSTATUS(status));
	_exit(1);
}

int
detach_start(void)
{
	int fd[2];
	pid_t pid;

	if (pipe2(fd, O_CLOEXEC) == -1)
		fatal("pipe");
	if ((pid = fork()) == -1)
		fatal("fork");
	if (pid != 0) {
		(void)close(fd[1]);
		wait_ready(fd[0], pid);
	}
	(void)close(fd[0]);
	if (setsid() == -1)
		fatal("setsid");
	return fd[1];
}

void
detach_ready(int *fdp)
{
	int fd = *fdp, null;
	ssize_t n;

	*fdp = -1;
	if (fd == -1)
		return;
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null == -1 || dup2(null, STDIN_FILENO) == -1 ||
	    dup2(null, STDOUT_FILENO) == -1 || dup2(null, STDERR_FILENO) == -1)
		log_warn_errno("detach: /dev/null");
	if (null != -1)
		(void)close(null);
	/* if nobody waits any more, nobody needs to know */
	do
		n = write(fd, "", 1);
	while (n == -1 && errno == EINTR);
	(void)close(fd);
}
