/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_master_clerk - what master/clerk.h promises about starting a clerk.
 *
 * The clerks are this program again; they tell chatctl what they found.
 */

#include <sys/socket.h>
#include <sys/wait.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/clock.h"
#include "common/ipc.h"
#include "common/log.h"
#include "master/child.h"
#include "master/clerk.h"
#include "master/control.h"
#include "master/master.h"
#include "master/request.h"
#include "master/spawn.h"

#define WAIT_MS 20000

static struct {
	struct master m;
	/* chatctl's end of the asker's connection, and the master's */
	int chatctl, conn;
	int file;
	char failed[256];
} f;

/* --- a clerk --------------------------------------------------------------- */

static void
say(int fd, const char *what)
{
	(void)send(fd, what, strlen(what), MSG_NOSIGNAL);
}

static int
wait_message(struct ipc *ipc, struct ipc_msg *m)
{
	struct pollfd p = { .fd = ipc_fd(ipc), .events = POLLIN };
	int rc;

	while ((rc = ipc_recv(ipc, m)) == 0)
		(void)poll(&p, 1, WAIT_MS);
	return rc;
}

static int
clerk_child(struct ipc *ipc)
{
	static struct ipc_msg m;
	char command[32], arg[64] = "", text[256];
	int dir, conn, log, out = -1;
	uint32_t n;
	bool output;

	if (wait_message(ipc, &m) != 1 || m.type != IPC_CLERK)
		return 10;
	ipc_get_str(&m, command, sizeof(command));
	for (n = ipc_get_u32(&m); n > 0; n--)
		ipc_get_str(&m, arg, sizeof(arg));
	if (ipc_get_u8(&m) != 0)
		return 11;
	output = ipc_get_u8(&m) == 1;
	dir = ipc_get_fd(&m);
	conn = ipc_get_fd(&m);
	log = ipc_get_fd(&m);
	if (output)
		out = ipc_get_fd(&m);
	if (ipc_end(&m) == -1 || dir == -1 || log == -1)
		return 12;
	(void)snprintf(text, sizeof(text), "%s(%s)%s\n", command, arg,
	    out == -1 ? "" : " with output");
	if (out != -1 && write(out, "data", 4) != 4)
		return 13;
	say(conn, text);
	if (strcmp(command, "verify") != 0)
		return 0;
	/* until the master tells us, or is gone */
	say(conn,
	    wait_message(ipc, &m) == 1 && m.type == IPC_STOP ? "stopped\n"
							     : "alone\n");
	return 0;
}

/* --- the rest of the master ---------------------------------------------- */

struct ipc_msg *
child_message(enum ipc_type type)
{
	static struct ipc_msg msg;

	ipc_begin(&msg, type);
	return &msg;
}

const char *
master_state_name(enum master_state state)
{
	return state == MASTER_RUNNING ? "running" : "stopping";
}

int
control_take_file(struct control *c, uint64_t asker)
{
	int fd = f.file;

	f.file = -1;
	return fd;
}

int
control_take(struct control *c, uint64_t asker)
{
	int fd = f.conn;

	f.conn = -1;
	return fd;
}

void
control_failed(struct control *c, uint64_t asker, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(f.failed, sizeof(f.failed), fmt, ap);
	va_end(ap);
}

/* --- helpers ----------------------------------------------------------- */

static void
new_asker(void)
{
	int sv[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv),
	    0);
	if (f.chatctl != -1)
		(void)close(f.chatctl);
	if (f.conn != -1)
		(void)close(f.conn);
	f.chatctl = sv[0];
	f.conn = sv[1];
	f.failed[0] = '\0';
}

static int
setup(void **state)
{
	memset(&f, 0, sizeof(f));
	f.chatctl = f.conn = f.file = -1;
	f.m.state = MASTER_RUNNING;
	f.m.place.data_fd = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	f.m.log_fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);
	f.m.clerk = clerk_new(&f.m);
	new_asker();
	return 0;
}

static int
teardown(void **state)
{
	clerk_free(&f.m.clerk);
	(void)close(f.m.place.data_fd);
	(void)close(f.m.log_fd);
	(void)close(f.chatctl);
	if (f.conn != -1)
		(void)close(f.conn);
	return 0;
}

static void
ask(const char *command, const char *arg, bool output)
{
	struct request r = { .nargs = arg == NULL ? 0 : 1 };
	char copy[64] = "";

	(void)snprintf(r.command, sizeof(r.command), "%s", command);
	(void)snprintf(copy, sizeof(copy), "%s", arg == NULL ? "" : arg);
	r.args[0] = copy;
	clerk_begin(f.m.clerk, 1, &r, output);
}

/* All that comes until there is this much, or the end. */
static const char *
hear(size_t want)
{
	static char buf[512];
	struct pollfd p = { .fd = f.chatctl, .events = POLLIN };
	size_t len = 0;
	ssize_t n;

	while (len < want && poll(&p, 1, WAIT_MS) == 1) {
		n = read(f.chatctl, buf + len, sizeof(buf) - 1 - len);
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	buf[len] = '\0';
	return buf;
}

/* Reap one process, as supervise.c does. */
static int
reap(bool *ours)
{
	int status;
	pid_t pid;

	pid = waitpid(-1, &status, 0);
	assert_true(pid > 0);
	*ours = clerk_reaped(f.m.clerk, pid, status);
	return status;
}

static void
ends_well(void)
{
	bool ours;
	int status = reap(&ours);

	assert_true(ours);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* --- promises -------------------------------------------------------------- */

static void
a_clerk_gets_its_command_and_chatctls_connection(void **state)
{
	uint64_t since;
	pid_t pid;

	assert_null(clerk_running(f.m.clerk, &since, &pid));
	ask("export", "demo/lobby", false);
	assert_string_equal(clerk_running(f.m.clerk, &since, &pid), "export");
	assert_true(pid > 0);
	assert_string_equal(hear(SIZE_MAX), "export(demo/lobby)\n");
	ends_well();
	assert_null(clerk_running(f.m.clerk, &since, &pid));
	assert_string_equal(f.failed, "");
}

static void
the_file_goes_with_it(void **state)
{
	char name[] = "/tmp/test_master_clerk.XXXXXX", buf[8];
	int fd = mkostemp(name, O_CLOEXEC);

	(void)unlink(name);
	f.file = fcntl(fd, F_DUPFD_CLOEXEC, 10);
	ask("backup", NULL, true);
	assert_string_equal(hear(SIZE_MAX), "backup() with output\n");
	ends_well();
	assert_int_equal(pread(fd, buf, sizeof(buf), 0), 4);
	(void)close(fd);
}

static void
without_a_file_nothing_is_started(void **state)
{
	uint64_t since;
	pid_t pid;

	ask("backup", NULL, true);
	assert_non_null(strstr(f.failed, "no file"));
	assert_null(clerk_running(f.m.clerk, &since, &pid));
	assert_int_equal(waitpid(-1, NULL, 0), -1);
}

static void
a_second_one_is_refused_and_told_who_runs(void **state)
{
	ask("verify", NULL, false);
	assert_string_equal(hear(9), "verify()\n");
	new_asker();
	ask("compact", NULL, false);
	assert_non_null(strstr(f.failed, "verify is under way (pid "));
	clerk_stop(f.m.clerk);
	ends_well();
	new_asker();
	ask("compact", NULL, false);
	assert_string_equal(f.failed, "");
	ends_well();
}

static void
one_that_is_killed_makes_room_for_the_next(void **state)
{
	uint64_t since;
	bool ours;
	pid_t pid;

	ask("verify", NULL, false);
	assert_string_equal(hear(9), "verify()\n");
	assert_non_null(clerk_running(f.m.clerk, &since, &pid));
	assert_int_equal(kill(pid, SIGKILL), 0);
	/* chatctl sees the end */
	assert_string_equal(hear(SIZE_MAX), "");
	(void)reap(&ours);
	assert_true(ours);
	new_asker();
	ask("compact", NULL, false);
	assert_string_equal(hear(SIZE_MAX), "compact()\n");
	ends_well();
}

static void
it_is_told_that_the_daemon_stops(void **state)
{
	ask("verify", NULL, false);
	assert_string_equal(hear(9), "verify()\n");
	clerk_stop(f.m.clerk);
	assert_string_equal(hear(SIZE_MAX), "stopped\n");
	ends_well();
	/* there is nobody to tell, and no harm */
	clerk_stop(f.m.clerk);
}

static void
while_the_daemon_stops_none_is_started(void **state)
{
	f.m.state = MASTER_STOPPING;
	ask("verify", NULL, false);
	assert_string_equal(f.failed, "the daemon is stopping");
	assert_int_equal(waitpid(-1, NULL, 0), -1);
}

static void
other_processes_are_none_of_its_business(void **state)
{
	bool ours;
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	(void)reap(&ours);
	assert_false(ours);
	assert_false(clerk_reaped(NULL, 1, 0));
}

static void
the_last_one_does_not_outlive_the_master(void **state)
{
	uint64_t since;
	pid_t pid;

	ask("verify", NULL, false);
	assert_string_equal(hear(9), "verify()\n");
	assert_non_null(clerk_running(f.m.clerk, &since, &pid));
	clerk_free(&f.m.clerk);
	assert_int_equal(kill(pid, 0), -1);
	assert_int_equal(errno, ESRCH);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_clerk_gets_its_command_and_chatctls_connection),
		T(the_file_goes_with_it),
		T(without_a_file_nothing_is_started),
		T(a_second_one_is_refused_and_told_who_runs),
		T(one_that_is_killed_makes_room_for_the_next),
		T(it_is_told_that_the_daemon_stops),
		T(while_the_daemon_stops_none_is_started),
		T(other_processes_are_none_of_its_business),
		T(the_last_one_does_not_outlive_the_master),
	};
	const char *role = getenv(ROLE_ENV);
	struct ipc *ipc;
	int status;

	if (role != NULL) {
		if (strcmp(role, "clerk") != 0)
			return 9;
		ipc = ipc_new(ROLE_IPC_FD, IPC_FROM_CHILD);
		status = clerk_child(ipc);
		ipc_free(&ipc);
		return status;
	}
	log_set_level(LOG_LEVEL_ERROR);
	spawn_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
