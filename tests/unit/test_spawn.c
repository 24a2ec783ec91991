/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_spawn - what spawn.h promises about a new child's surroundings.
 *
 * The children are this program again: main() sees it in the environment.
 */

#include <sys/socket.h>
#include <sys/wait.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "master/spawn.h"

#define MANY 2000

/* What a child finds, as it tells it over ROLE_IPC_FD. */
struct found {
	char role[16];
	char title[32];
	bool lock_is_file;
	int ndescriptors, highest;
	bool ignores[5];
	bool child_signal_default;
	bool nothing_blocked;
	bool saw_environment;
};

static const int ignored[5] = { SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2 };

static void
look_at_descriptors(struct found *f)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *de;
	int fd;

	while ((de = readdir(dir)) != NULL) {
		if (de->d_name[0] == '.' ||
		    (fd = (int)strtol(de->d_name, NULL, 10)) == dirfd(dir))
			continue;
		f->ndescriptors++;
		if (fd > f->highest)
			f->highest = fd;
	}
	(void)closedir(dir);
}

static int
child_main(const char *role, const char *title)
{
	struct found f = { 0 };
	struct sigaction sa;
	sigset_t mask;
	char byte = 0;

	(void)snprintf(f.role, sizeof(f.role), "%s", role);
	(void)snprintf(f.title, sizeof(f.title), "%s", title);
	f.lock_is_file = pread(ROLE_LOCK_FD, &byte, 1, 0) == 1 && byte == 'L';
	look_at_descriptors(&f);
	for (size_t i = 0; i < 5; i++)
		f.ignores[i] = sigaction(ignored[i], NULL, &sa) == 0 &&
		    sa.sa_handler == SIG_IGN;
	f.child_signal_default =
	    sigaction(SIGCHLD, NULL, &sa) == 0 && sa.sa_handler == SIG_DFL;
	f.nothing_blocked = sigprocmask(SIG_SETMASK, NULL, &mask) == 0 &&
	    sigismember(&mask, SIGUSR1) == 0 &&
	    sigismember(&mask, SIGTERM) == 0;
	f.saw_environment = getenv("TEST_SPAWN") != NULL;
	if (write(ROLE_IPC_FD, &f, sizeof(f)) != sizeof(f))
		return 1;
	(void)fprintf(stderr, "a last word\n");
	return 0;
}

static pid_t
start(enum role role, int lock_fd, struct found *f)
{
	int sv[2];
	pid_t pid;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0,
			     sv),
	    0);
	pid = spawn_role(role, 7, sv[1], lock_fd);
	assert_true(pid > 0);
	(void)close(sv[1]);
	assert_int_equal(read(sv[0], f, sizeof(*f)), sizeof(*f));
	(void)close(sv[0]);
	return pid;
}

/* The same for a clerk. */
static pid_t
start_clerk(struct found *f)
{
	int sv[2];
	pid_t pid;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0,
			     sv),
	    0);
	pid = spawn_clerk("verify", sv[1]);
	assert_true(pid > 0);
	(void)close(sv[1]);
	assert_int_equal(read(sv[0], f, sizeof(*f)), sizeof(*f));
	(void)close(sv[0]);
	return pid;
}

static void
ends_well(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static int
open_lock(void)
{
	char name[] = "/tmp/test_spawn.XXXXXX";
	int fd = mkostemp(name, O_CLOEXEC);

	assert_true(fd != -1);
	assert_int_equal(unlink(name), 0);
	assert_int_equal(write(fd, "L", 1), 1);
	return fd;
}

static void
a_child_has_its_role_title_and_environment(void **state)
{
	struct found f;

	assert_int_equal(setenv("TEST_SPAWN", "1", 1), 0);
	ends_well(start(ROLE_WORKER, -1, &f));
	assert_string_equal(f.role, "worker");
	assert_string_equal(f.title, "chatd: worker 7");
	assert_true(f.saw_environment);
	assert_false(f.lock_is_file);
	ends_well(start(ROLE_SCRIBE, -1, &f));
	assert_string_equal(f.role, "scribe");
	assert_string_equal(f.title, "chatd: scribe");
	ends_well(start_clerk(&f));
	assert_string_equal(f.role, "clerk");
	assert_string_equal(f.title, "chatd: clerk verify");
	assert_false(f.lock_is_file);
	/* ours is as it was */
	assert_null(getenv("CHATD_ROLE"));
}

static void
only_who_shall_have_it_inherits_the_lock(void **state)
{
	int lock = open_lock();
	struct found f;

	ends_well(start(ROLE_SCRIBE, lock, &f));
	assert_true(f.lock_is_file);
	assert_int_equal(f.ndescriptors, 5);
	ends_well(start(ROLE_WORKER, -1, &f));
	assert_false(f.lock_is_file);
	assert_int_equal(f.ndescriptors, 4);
	(void)close(lock);
}

static void
nothing_else_is_inherited_and_nothing_of_ours_is_lost(void **state)
{
	struct found f;
	int fds[MANY];
	char byte;

	/* not even what is not close-on-exec */
	for (int i = 0; i < MANY; i++)
		assert_true((fds[i] = open("/dev/zero", O_RDONLY)) != -1);
	ends_well(start(ROLE_WORKER, -1, &f));
	assert_int_equal(f.highest, ROLE_IPC_FD);
	assert_int_equal(f.ndescriptors, 4);
	for (int i = 0; i < MANY; i++) {
		assert_int_equal(read(fds[i], &byte, 1), 1);
		(void)close(fds[i]);
	}
}

static void
nobody_but_the_master_ends_a_child(void **state)
{
	struct found f;

	ends_well(start(ROLE_WORKER, -1, &f));
	for (size_t i = 0; i < 5; i++)
		assert_true(f.ignores[i]);
	assert_true(f.child_signal_default);
	assert_true(f.nothing_blocked);
}

/* The last test: there is no way back. */
static void
stderr_of_children_can_be_another(void **state)
{
	char said[64] = "";
	struct found f;
	int fd[2];

	assert_int_equal(pipe2(fd, O_CLOEXEC), 0);
	spawn_set_stderr(fd[1]);
	ends_well(start(ROLE_WORKER, -1, &f));
	assert_int_equal(f.ndescriptors, 4);
	assert_true(read(fd[0], said, sizeof(said) - 1) > 0);
	assert_string_equal(said, "a last word\n");
}

int
main(int argc, char *argv[])
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_child_has_its_role_title_and_environment),
		cmocka_unit_test(only_who_shall_have_it_inherits_the_lock),
		cmocka_unit_test(
		    nothing_else_is_inherited_and_nothing_of_ours_is_lost),
		cmocka_unit_test(nobody_but_the_master_ends_a_child),
		cmocka_unit_test(stderr_of_children_can_be_another),
	};
	const char *role = getenv("CHATD_ROLE");

	if (role != NULL)
		return child_main(role, argv[0]);
	(void)signal(SIGUSR1, SIG_DFL);
	spawn_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
