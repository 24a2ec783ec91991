/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_sandbox_bridge - the bridge goes out, and does nothing else.
 *
 * Under a sanitizer there is no sandbox, and nothing to be tested.
 */

#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/sandbox.h"

#ifndef CHATD_SANITIZED

/* A test in a child: the line is its exit status. */
#define MUST(x) \
	do { \
		if (!(x)) \
			return __LINE__ & 127; \
	} while (0)

static struct sockaddr_in there;

static void *
look_up(void *arg)
{
	struct addrinfo *list = NULL;
	int rc = getaddrinfo(arg, "80", NULL, &list);

	if (rc == 0)
		freeaddrinfo(list);
	return rc == 0 ? arg : NULL;
}

/* By a thread, as libcurl does it. */
static bool
is_found(char *name)
{
	pthread_t thread;
	void *answer = NULL;

	return pthread_create(&thread, NULL, look_up, name) == 0 &&
	    pthread_join(thread, &answer) == 0 && answer == name;
}

/* Names, connections, files to be read. */
static int
go_out(void)
{
	char name[] = "localhost", none[] = "chatd-test.invalid";
	int fd, pair[2];

	MUST(is_found(name));
	MUST(!is_found(none));
	MUST((fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) != -1);
	MUST(connect(fd, (struct sockaddr *)&there, sizeof(there)) == 0);
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	MUST((fd = open("/etc/hosts", O_RDONLY | O_CLOEXEC)) != -1);
	/* a library that was not loaded before is not there, which kills
	 * nobody */
	MUST(mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0) ==
	    MAP_FAILED);
	MUST(errno == EACCES);
	return 0;
}

static int
write_file(void)
{
	return open("/dev/null", O_WRONLY);
}

static int
write_and_read_file(void)
{
	return open("/dev/null", O_RDWR);
}

static int
make_file(void)
{
	return open("/tmp/chatd-test-sandbox", O_RDONLY | O_CREAT, 0600);
}

static int
make_file_without_a_name(void)
{
	return open("/tmp", O_TMPFILE | O_RDONLY, 0600);
}

static int
packet_socket(void)
{
	return socket(AF_PACKET, SOCK_RAW, 0);
}

static int
take_connections(void)
{
	return listen(STDIN_FILENO, 1);
}

static int
accept_one(void)
{
	return accept(STDIN_FILENO, NULL, NULL);
}

static int
execute(void)
{
	char *argv[] = { (char[]){ "true" }, NULL };

	return execv("/bin/true", argv);
}

static int
kill_parent(void)
{
	return kill(getppid(), 0);
}

static int
trace_parent(void)
{
	return (int)ptrace(PTRACE_ATTACH, getppid(), NULL, NULL);
}

static int
read_parent(void)
{
	char byte;
	struct iovec iov = { &byte, 1 };

	return (int)process_vm_readv(getppid(), &iov, 1, &iov, 1, 0);
}

static int
make_executable(void)
{
	static char page[8192] __attribute__((aligned(4096)));

	return mprotect(page, 4096, PROT_READ | PROT_EXEC);
}

static int
set_limit(void)
{
	struct rlimit rl = { 64, 64 };

	return setrlimit(RLIMIT_NOFILE, &rl);
}

static int
write_at(void)
{
	return (int)pwrite(STDIN_FILENO, "x", 1, 0);
}

static int
remove_file(void)
{
	return unlink("/nonexistent");
}

static int
rename_file(void)
{
	return rename("/nonexistent", "/nothing");
}

/* What it must not do although it goes out. */
static const struct {
	const char *name;
	int (*fn)(void);
} not_out[] = {
	{ "write a file", write_file },
	{ "write and read a file", write_and_read_file },
	{ "make a file", make_file },
	{ "make a file without a name", make_file_without_a_name },
	{ "packet socket", packet_socket },
	{ "listen", take_connections },
	{ "accept", accept_one },
	{ "execute", execute },
	{ "fork", fork },
	{ "kill", kill_parent },
	{ "ptrace", trace_parent },
	{ "process_vm_readv", read_parent },
	{ "mprotect executable", make_executable },
	{ "setrlimit", set_limit },
	{ "pwrite", write_at },
	{ "unlink", remove_file },
	{ "rename", rename_file },
};

static int
in_child(int (*fn)(void))
{
	int status;
	pid_t pid = fork();

	assert_int_not_equal(pid, -1);
	if (pid == 0)
		_exit(sandbox_enter(ROLE_BRIDGE) == -1 ? 1 : fn());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void
it_finds_names_and_connects(void **state)
{
	socklen_t len = sizeof(there);
	int fd = socket(AF_INET, SOCK_STREAM, 0), status;

	there.sin_family = AF_INET;
	there.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (struct sockaddr *)&there, sizeof(there)), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&there, &len), 0);
	status = in_child(go_out);
	if (status != 0)
		fail_msg("line %d, signal %d", WEXITSTATUS(status),
		    WTERMSIG(status));
	(void)close(fd);
}

static void
it_does_nothing_else(void **state)
{
	int status;

	for (size_t i = 0; i < sizeof(not_out) / sizeof(not_out[0]); i++) {
		status = in_child(not_out[i].fn);
		if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS)
			fail_msg("%s: 0x%x", not_out[i].name, status);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_finds_names_and_connects),
		cmocka_unit_test(it_does_nothing_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

int
main(void)
{
	return 0;
}

#endif /* CHATD_SANITIZED */
