/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_chatctl_local - what local.h promises: a clerk is found, started,
 * told what to do, and heard.
 *
 * The clerk is this program again, under the name chatd.
 */

#include <sys/stat.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "chatctl/client.h"
#include "chatctl/command.h"
#include "chatctl/local.h"
#include "common/ipc.h"
#include "common/role.h"

#define ENV "TEST_LOCAL"

static char dir[64], chatd[96];

/* --- a clerk ----------------------------------------------------------- */

static int
clerk_child(struct ipc *ipc, const char *how)
{
	static struct ipc_msg m;
	struct pollfd p = { .fd = ipc_fd(ipc), .events = POLLIN };
	char command[32], text[128];
	int rc, store, conn, log;

	while ((rc = ipc_recv(ipc, &m)) == 0)
		(void)poll(&p, 1, -1);
	if (rc != 1 || m.type != IPC_CLERK)
		return 10;
	ipc_get_str(&m, command, sizeof(command));
	if (ipc_get_u32(&m) != 0 || ipc_get_u8(&m) != 1 || ipc_get_u8(&m) != 0)
		return 11;
	store = ipc_get_fd(&m);
	conn = ipc_get_fd(&m);
	log = ipc_get_fd(&m);
	if (ipc_end(&m) == -1 || log == -1)
		return 12;
	if (strcmp(how, "dies") == 0)
		(void)raise(SIGKILL);
	rc = snprintf(text, sizeof(text),
	    "{\"data\":{\"command\":\"%s\",\"store\":%d}}\n"
	    "{\"done\":true,\"ok\":%s,\"error\":\"no\"}\n",
	    command, fcntl(store, F_GETFD) != -1,
	    strcmp(how, "fails") == 0 ? "false" : "true");
	return write(conn, text, (size_t)rc) == rc ? 0 : 13;
}

/* --- helpers ----------------------------------------------------------- */

static int
setup(void **state)
{
	(void)snprintf(dir, sizeof(dir), "/tmp/test_local.XXXXXX");
	if (mkdtemp(dir) == NULL)
		return -1;
	(void)snprintf(chatd, sizeof(chatd), "%s/chatd", dir);
	(void)setenv("PATH", dir, 1);
	return 0;
}

static int
teardown(void **state)
{
	(void)unlink(chatd);
	(void)unsetenv(ENV);
	return rmdir(dir);
}

static void
be_found(const char *how)
{
	char self[256];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	assert_true(n > 0);
	self[n] = '\0';
	assert_int_equal(symlink(self, chatd), 0);
	(void)setenv(ENV, how, 1);
}

static void
on_document(const char *json, size_t len, void *arg)
{
	(void)snprintf(arg, 128, "%.*s", (int)len, json);
}

static int
ask(char *heard)
{
	const struct client c = { .how = HOW_CLERK,
		.patient = true,
		.quiet = true,
		.fn = on_document,
		.arg = heard };
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), status;

	heard[0] = '\0';
	status = local_ask(&c, "verify", fd);
	(void)close(fd);
	return status;
}

/* --- promises ---------------------------------------------------------- */

static void
a_chatd_in_path_is_found(void **state)
{
	char path[256];

	(void)setenv("PATH", "", 1);
	/* unless one stands beside this program */
	if (local_find(path, sizeof(path)) == 0)
		skip();
	(void)setenv("PATH", "/nonexistent:/also", 1);
	assert_int_equal(local_find(path, sizeof(path)), -1);
	(void)snprintf(path, sizeof(path), "/nonexistent:%s:/bin", dir);
	(void)setenv("PATH", path, 1);
	assert_int_equal(local_find(path, sizeof(path)), -1);
	be_found("");
	assert_int_equal(local_find(path, sizeof(path)), 0);
	assert_string_equal(path, chatd);
}

static void
it_is_told_what_to_do_and_heard(void **state)
{
	char heard[128];

	be_found("works");
	assert_int_equal(ask(heard), EXIT_DONE);
	assert_string_equal(heard, "{\"command\":\"verify\",\"store\":1}");
}

static void
what_it_refuses_has_failed(void **state)
{
	char heard[128];

	be_found("fails");
	assert_int_equal(ask(heard), EXIT_FAILED);
}

static void
one_that_dies_has_failed(void **state)
{
	char heard[128];

	be_found("dies");
	assert_int_equal(ask(heard), EXIT_FAILED);
	assert_string_equal(heard, "");
}

static void
without_a_chatd_it_has_failed(void **state)
{
	char heard[128];

	assert_int_equal(ask(heard), EXIT_FAILED);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_chatd_in_path_is_found),
		T(it_is_told_what_to_do_and_heard),
		T(what_it_refuses_has_failed),
		T(one_that_dies_has_failed),
		T(without_a_chatd_it_has_failed),
	};
	const char *role = getenv(ROLE_ENV);
	struct ipc *ipc;
	int status;

	if (role != NULL) {
		ipc = ipc_new(ROLE_IPC_FD, IPC_FROM_CHILD);
		status = clerk_child(ipc, getenv(ENV));
		ipc_free(&ipc);
		return status;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
