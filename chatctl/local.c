/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * local - a clerk without a daemon.
 */

#include "chatctl/local.h"

#include <sys/socket.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "chatctl/client.h"
#include "common/ipc.h"
#include "common/role.h"

#define NAME "chatd"

extern char **environ;

/* dir + name into 'path': is there a program? */
static bool
is_there(char *path, size_t size, const char *dir, size_t len, const char *name)
{
	int n = snprintf(path, size, "%.*s%s", (int)len, dir, name);

	return n > 0 && (size_t)n < size && access(path, X_OK) == 0;
}

int
local_find(char *path, size_t size)
{
	const char *env = getenv("PATH");
	char self[PATH_MAX];
	size_t len;
	ssize_t n;

	n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (n > 0) {
		self[n] = '\0';
		len = (size_t)(strrchr(self, '/') - self);
		if (is_there(path, size, self, len, "/" NAME) ||
		    is_there(path, size, self, len, "/../sbin/" NAME))
			return 0;
	}
	for (; env != NULL && *env != '\0'; env += len + (env[len] == ':')) {
		len = strcspn(env, ":");
		if (len > 0 && is_there(path, size, env, len, "/" NAME))
			return 0;
	}
	return -1;
}

/* The child: everything else is close-on-exec. */
static void
become(const char *path, int order)
{
	char role[] = ROLE_ENV "=clerk", title[] = "chatd: clerk";
	char *argv[] = { title, NULL }, **envp;
	size_t n = 0;

	while (environ[n] != NULL)
		n++;
	if ((envp = calloc(n + 2, sizeof(*envp))) == NULL)
		_exit(127);
	memcpy(envp, environ, n * sizeof(*envp));
	envp[n] = role;
	if (order == ROLE_IPC_FD ? fcntl(order, F_SETFD, 0) == -1
				 : dup2(order, ROLE_IPC_FD) == -1)
		_exit(127);
	(void)execve(path, argv, envp);
	(void)fprintf(stderr, "chatctl: cannot start %s: %s\n", path,
	    strerror(errno));
	_exit(127);
}

static int
give_order(struct ipc *ipc, const char *command, int store, int conn)
{
	static struct ipc_msg m;

	ipc_begin(&m, IPC_CLERK);
	ipc_put_str(&m, command);
	ipc_put_u32(&m, 0);
	ipc_put_u8(&m, 1);
	ipc_put_u8(&m, 0);
	ipc_put_fd(&m, store);
	ipc_put_fd(&m, conn);
	ipc_put_fd(&m, STDERR_FILENO);
	return ipc_send(ipc, &m);
}

static int
complain(const char *what)
{
	(void)fprintf(stderr, "chatctl: %s: %s\n", what, strerror(errno));
	return EXIT_FAILED;
}

/* With the process started: its order, and its answer. */
static int
converse(const struct client *c, const char *command, int store, int order,
    int answers[2])
{
	struct ipc *ipc;
	int status;

	if ((ipc = ipc_new(order, IPC_FROM_MASTER)) == NULL)
		return complain("cannot reach the clerk");
	if (give_order(ipc, command, store, answers[1]) == -1) {
		status = complain("cannot tell the clerk what to do");
	} else {
		(void)close(answers[1]);
		answers[1] = -1;
		status = client_listen(c, answers[0]);
	}
	ipc_free(&ipc);
	return status;
}

static void
close_fd(int fd)
{
	if (fd != -1)
		(void)close(fd);
}

int
local_ask(const struct client *c, const char *command, int store)
{
	int order[2] = { -1, -1 }, answers[2] = { -1, -1 }, status;
	char path[PATH_MAX];
	pid_t pid = -1;

	if (local_find(path, sizeof(path)) == -1) {
		(void)fprintf(stderr,
		    "chatctl: there is no chatd beside chatctl, nor in PATH, "
		    "that could read the store\n");
		return EXIT_FAILED;
	}
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, order) ==
		-1 ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, answers) == -1 ||
	    (pid = fork()) == -1) {
		status = complain("cannot start a process");
		close_fd(order[0]);
	} else {
		if (pid == 0)
			become(path, order[1]);
		close_fd(order[1]);
		order[1] = -1;
		status = converse(c, command, store, order[0], answers);
	}
	close_fd(order[1]);
	close_fd(answers[0]);
	close_fd(answers[1]);
	while (pid > 0 && waitpid(pid, NULL, 0) == -1 && errno == EINTR)
		continue;
	return status;
}
