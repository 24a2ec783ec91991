/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_child - what a worker gets from the master, by shm/child.h.
 *
 * The child is a process, the master is the test; what the child finds out
 * it tells by its exit status.
 */

#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/config.h"
#include "common/log.h"
#include "master/inbox.h"
#include "master/shared.h"
#include "shm/child.h"

#define WORKERS 3
#define SLOT 1
#define INCARNATION 9

static struct {
	struct shared shared;
	struct inboxes inboxes;
	struct config *cfg;
	struct ipc *ipc;
	pid_t pid;
} f;

/* --- the child ------------------------------------------------------------ */

/* What is written in the bundle: one character, or 0 without one. */
static char
bundle_says(const struct child *c)
{
	char said = 0;

	if (c->bundle != -1 && pread(c->bundle, &said, 1, 0) != 1)
		_exit(40);
	return said;
}

/* Its bundles in the order in which they counted. */
static char seen[8];

static void
on_configure(void *arg)
{
	struct child *c = arg;

	seen[strlen(seen)] = bundle_says(c) == 0 ? '-' : bundle_says(c);
}

static int
check_worker(struct child *c)
{
	char byte;

	if (c->slot != SLOT || c->incarnation != INCARNATION ||
	    c->nliving != 1 || c->living[0] != 5)
		return 10;
	if (c->noutbox != WORKERS || c->inbox == -1)
		return 11;
	/* from itself and for the others */
	for (unsigned i = 0; i < WORKERS; i++)
		if (send(c->outbox[i], &(char){ (char)('a' + i) }, 1,
			MSG_DONTWAIT) != 1)
			return 12;
	if (recv(c->inbox, &byte, 1, MSG_DONTWAIT) != 1 || byte != 'a' + SLOT)
		return 13;
	for (unsigned i = WORKERS; i < TABLES_WORKERS; i++)
		if (c->outbox[i] != -1)
			return 14;
	return c->next_bundle == -1 ? 0 : 15;
}

/* Told what it is to see at the end. */
static int
child_main(const char *want)
{
	static struct child c;
	static struct ipc_msg m;
	struct pollfd p = { .fd = ROLE_IPC_FD, .events = POLLIN };
	int rc;

	child_hello(&c, ROLE_WORKER);
	c.configure = on_configure;
	c.arg = &c;
	on_configure(&c);
	if ((rc = check_worker(&c)) != 0)
		return rc;
	child_ready(&c);
	while ((rc = child_receive(&c, &m)) == 0)
		(void)poll(&p, 1, -1);
	if (rc != 1 || m.type != IPC_STOP)
		return 20;
	(void)ipc_get_u32(&m);
	child_end(&m);
	if (c.next_bundle != -1)
		return 21;
	child_free(&c);
	if (c.inbox != -1 || c.outbox[0] != -1 || c.bundle != -1)
		return 22;
	return strcmp(seen, want) == 0 ? 0 : 30;
}

/* --- the master ----------------------------------------------------------- */

static int
setup(void **state)
{
	static const char *const overrides[] = { "ring.slots=64",
		"ring.arena_bytes=64k", "engine.max_payload=16k",
		"limits.event_bytes=8k" };
	const struct config_source src = { .overrides = overrides,
		.noverrides = 4,
		.without_files = true };
	struct config_errors errors;

	memset(&f, 0, sizeof(f));
	if ((f.cfg = config_load(&src, &errors)) == NULL)
		return -1;
	shared_create(&f.shared, f.cfg, WORKERS, 16);
	inboxes_open(&f.inboxes, WORKERS);
	return tables_open_slot(f.shared.tables, SLOT);
}

static int
teardown(void **state)
{
	ipc_free(&f.ipc);
	inboxes_close(&f.inboxes);
	shared_free(&f.shared);
	config_free(&f.cfg);
	return 0;
}

static void
start(const char *want)
{
	int sv[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sv), 0);
	if ((f.pid = fork()) == 0) {
		(void)close(sv[0]);
		if (dup2(sv[1], ROLE_IPC_FD) == -1)
			_exit(99);
		_exit(child_main(want));
	}
	(void)close(sv[1]);
	assert_non_null(f.ipc = ipc_new(sv[0], IPC_FROM_MASTER));
}

static void
put_fd(struct ipc_msg *m, int fd)
{
	assert_int_not_equal(fd, -1);
	ipc_put_fd(m, fd);
}

/* A descriptor that says it, whose copy is lost here: 0 is none. */
static void
put_bundle(struct ipc_msg *m, char says)
{
	int fd;

	if (says == 0)
		return;
	fd = memfd_create("test", MFD_CLOEXEC);
	assert_int_equal(write(fd, &says, 1), 1);
	put_fd(m, fd);
}

static void
hello(unsigned ninboxes, char bundle)
{
	static struct ipc_msg m;
	struct shared *sh = &f.shared;
	int log = ring_arena_take(sh->log, SLOT, INCARNATION);
	int live = ring_arena_take(sh->live, SLOT, INCARNATION);

	ipc_begin(&m, IPC_HELLO);
	ipc_put_u8(&m, ROLE_WORKER);
	ipc_put_u32(&m, SLOT);
	ipc_put_u32(&m, INCARNATION);
	ipc_put_u32(&m, (uint32_t)log);
	ipc_put_u32(&m, (uint32_t)live);
	ipc_put_u8(&m, 1);
	ipc_put_u32(&m, 1);
	ipc_put_u32(&m, 0);
	ipc_put_u32(&m, 5);
	ipc_put_u32(&m, ninboxes);
	ipc_put_u8(&m, bundle != 0);
	put_fd(&m, config_memfd(f.cfg));
	put_fd(&m, sh->tables->seg.fd);
	put_fd(&m, sh->log_seg.fd);
	put_fd(&m, sh->live_seg.fd);
	put_fd(&m, open("/tmp", O_RDONLY | O_DIRECTORY));
	put_fd(&m, open("/dev/null", O_WRONLY));
	for (unsigned i = 0; i < WAKE_CONSUMERS; i++)
		put_fd(&m, sh->efd[i]);
	if (ninboxes > 0)
		put_fd(&m, f.inboxes.receive[SLOT]);
	for (unsigned i = 0; i < ninboxes; i++)
		put_fd(&m, f.inboxes.send[i]);
	put_bundle(&m, bundle);
	assert_int_equal(ipc_send(f.ipc, &m), 0);
}

/* Wait for this answer. */
static struct ipc_msg *
answer(enum ipc_type type)
{
	static struct ipc_msg m;
	struct pollfd p = { .fd = ipc_fd(f.ipc), .events = POLLIN };

	assert_int_equal(poll(&p, 1, 20000), 1);
	assert_int_equal(ipc_recv(f.ipc, &m), 1);
	assert_int_equal(m.type, type);
	return &m;
}

static void
prepare(uint64_t serial, char bundle)
{
	static struct ipc_msg m;

	ipc_begin(&m, IPC_CONFIG_PREPARE);
	ipc_put_u64(&m, serial);
	ipc_put_u8(&m, bundle != 0);
	put_fd(&m, config_memfd(f.cfg));
	put_bundle(&m, bundle);
	assert_int_equal(ipc_send(f.ipc, &m), 0);
	assert_int_equal(ipc_get_u64(answer(IPC_CONFIG_PREPARED)), serial);
}

static void
switch_to(uint64_t serial, bool take)
{
	static struct ipc_msg m;

	ipc_begin(&m, IPC_CONFIG_SWITCH);
	ipc_put_u64(&m, serial);
	ipc_put_u8(&m, take);
	assert_int_equal(ipc_send(f.ipc, &m), 0);
	if (take)
		assert_int_equal(ipc_get_u64(answer(IPC_CONFIG_SWITCHED)),
		    serial);
}

static int
ended(void)
{
	int status;

	assert_int_equal(waitpid(f.pid, &status, 0), f.pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int
stop(void)
{
	static struct ipc_msg m;

	ipc_begin(&m, IPC_STOP);
	ipc_put_u32(&m, 1000);
	assert_int_equal(ipc_send(f.ipc, &m), 0);
	return ended();
}

/* --- promises --------------------------------------------------------------- */

static void
a_worker_gets_an_inbox_and_the_ways_to_all(void **state)
{
	char byte;

	start("-");
	hello(WORKERS, 0);
	(void)answer(IPC_READY);
	/* what it sent is there for the others, and its own was its own */
	for (unsigned i = 0; i < WORKERS; i++) {
		assert_int_equal(recv(f.inboxes.receive[i], &byte, 1,
				     MSG_DONTWAIT),
		    i == SLOT ? -1 : 1);
		if (i != SLOT)
			assert_int_equal(byte, 'a' + i);
	}
	assert_int_equal(stop(), 0);
}

static void
a_bundle_comes_with_hello_and_with_each_reload(void **state)
{
	start("a-bc-");
	hello(WORKERS, 'a');
	(void)answer(IPC_READY);
	prepare(1, 0);
	switch_to(1, true);
	prepare(2, 'b');
	switch_to(2, true);
	/* one that is not to count, and one that nobody asks about again */
	prepare(3, 'x');
	switch_to(3, false);
	prepare(4, 'y');
	prepare(5, 'c');
	switch_to(5, true);
	prepare(6, 0);
	switch_to(6, true);
	assert_int_equal(stop(), 0);
}

static void
a_worker_without_an_inbox_makes_no_sense(void **state)
{
	start("-");
	hello(0, 0);
	assert_int_equal(ended(), 1);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_worker_gets_an_inbox_and_the_ways_to_all),
		T(a_bundle_comes_with_hello_and_with_each_reload),
		T(a_worker_without_an_inbox_makes_no_sense),
	};

	/* the child closes it, and must not find its channel in that place */
	log_set(fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 100), LOG_KIND_FILE,
	    LOG_FORMAT_TEXT, LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
