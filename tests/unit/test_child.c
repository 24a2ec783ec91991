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
#include "master/bridge.h"
#include "master/inbox.h"
#include "master/shared.h"
#include "shm/child.h"

#define WORKERS 3
#define SLOT 1
#define INCARNATION 9

static struct {
	struct shared shared;
	struct inboxes inboxes;
	struct bridge_pairs pairs;
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
	/* its own end of the pair, and no other's */
	if (c->nask != 1 || c->ask[1] != -1 ||
	    send(c->ask[0], "q", 1, MSG_DONTWAIT) != 1)
		return 16;
	return c->next_bundle == -1 ? 0 : 15;
}

/* How often rings came, or went unused, less those that were left. */
static int nrings;

static void
on_rings(void *arg)
{
	struct child *c = arg;

	nrings += c->next_log != NULL ? 1 : -1;
	if (c->next_log != NULL &&
	    (c->next_live == NULL ||
		ring_state(c->next_log, SLOT) != RING_ACTIVE ||
		ring_state(c->next_live, SLOT) != RING_ACTIVE))
		_exit(41);
}

/* Nothing of ours is in the old rings: leave them when they are closed. */
static void
leave_rings(struct child *c)
{
	uint64_t end;

	if (c->next_log == NULL || !ring_closed(c->log, &end) ||
	    !ring_closed(c->live, &end))
		return;
	nrings--;
	child_leave_rings(c);
	if (c->next_log != NULL || ring_slots(c->log) != 128 ||
	    ring_slots(c->live) != 128)
		_exit(42);
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
	c.rings = on_rings;
	c.arg = &c;
	on_configure(&c);
	if ((rc = check_worker(&c)) != 0)
		return rc;
	child_ready(&c);
	while ((rc = child_receive(&c, &m)) == 0) {
		leave_rings(&c);
		(void)poll(&p, 1, 5);
	}
	if (rc != 1 || m.type != IPC_STOP)
		return 20;
	(void)ipc_get_u32(&m);
	child_end(&m);
	log_info("stops");
	child_beat(&c);
	if (c.next_bundle != -1)
		return 21;
	child_free(&c);
	if (c.inbox != -1 || c.outbox[0] != -1 || c.bundle != -1)
		return 22;
	if (nrings != 0)
		return 31;
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
	bridge_pairs_open(&f.pairs, WORKERS);
	return tables_open_slot(f.shared.tables, SLOT);
}

static int
teardown(void **state)
{
	ipc_free(&f.ipc);
	inboxes_close(&f.inboxes);
	bridge_pairs_close(&f.pairs);
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
	if (ninboxes > 0)
		put_fd(&m, f.pairs.worker[SLOT]);
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

/* Rings of 128 slots are to follow; 'fd' takes the place of the log's. */
static void
rings_next(int fd)
{
	static struct ipc_msg m;
	struct shared *sh = &f.shared;

	ipc_begin(&m, IPC_RINGS_NEXT);
	ipc_put_u64(&m, sh->generation + 1);
	ipc_put_u32(&m,
	    (uint32_t)ring_arena_take(sh->next_log, SLOT, INCARNATION));
	ipc_put_u32(&m,
	    (uint32_t)ring_arena_take(sh->next_live, SLOT, INCARNATION));
	put_fd(&m, fd != -1 ? fd : sh->next_log_seg.fd);
	put_fd(&m, sh->next_live_seg.fd);
	assert_int_equal(ipc_send(f.ipc, &m), 0);
}

/* Its answer; true: it has them. */
static bool
rings_mapped(void)
{
	struct ipc_msg *m = answer(IPC_RINGS_MAPPED);
	char why[128];
	bool ok;

	assert_int_equal(ipc_get_u64(m), f.shared.generation + 1);
	ok = ipc_get_u8(m) == 1;
	ipc_get_str(m, why, sizeof(why));
	assert_int_equal(ipc_end(m), 0);
	assert_true(ok || why[0] != '\0');
	return ok;
}

static void
rings_forget(void)
{
	static struct ipc_msg m;

	ipc_begin(&m, IPC_RINGS_FORGET);
	ipc_put_u64(&m, f.shared.generation + 1);
	assert_int_equal(ipc_send(f.ipc, &m), 0);
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

static void
log_target(int fd)
{
	static struct ipc_msg m;

	ipc_begin(&m, IPC_LOG_TARGET);
	put_fd(&m, fd);
	assert_int_equal(ipc_send(f.ipc, &m), 0);
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

/* The master has them from its children, which log when it does not. */
static void
that_nobody_takes_its_log_lines_is_told(void **state)
{
	struct tables_child *row = &f.shared.tables->state->child[SLOT];
	int sv[2];

	for (int gone = 0; gone < 2; gone++) {
		start("-");
		hello(WORKERS, 0);
		(void)answer(IPC_READY);
		assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, sv), 0);
		log_target(sv[0]);
		(void)close(sv[0]);
		if (gone)
			(void)close(sv[1]);
		assert_int_equal(stop(), 0);
		assert_int_equal(atomic_load(&row->log_lost), gone);
		if (!gone)
			(void)close(sv[1]);
		ipc_free(&f.ipc);
	}
}

static void
rings_that_follow_are_taken_forgotten_and_left_for(void **state)
{
	const char *why;
	uint64_t base;
	bool begun;

	start("-");
	hello(WORKERS, 0);
	(void)answer(IPC_READY);
	f.cfg->ring_slots = 128;
	assert_int_equal(shared_next(&f.shared, f.cfg, WORKERS, &why), 0);
	base = ring_base(f.shared.next_log);
	rings_next(-1);
	assert_true(rings_mapped());
	/* it sits at the base of both before anybody could publish there */
	assert_int_equal(ring_state(f.shared.next_log, SLOT), RING_ACTIVE);
	assert_int_equal(ring_join_pos(f.shared.next_log, SLOT), base);
	assert_int_equal(ring_state(f.shared.next_live, SLOT), RING_ACTIVE);
	rings_forget();
	shared_next_free(&f.shared);

	assert_int_equal(shared_next(&f.shared, f.cfg, WORKERS, &why), 0);
	rings_next(-1);
	assert_true(rings_mapped());
	assert_int_equal(shared_switch(&f.shared, &begun), 0);
	assert_int_equal(ipc_get_u64(answer(IPC_RINGS_LEFT)),
	    f.shared.generation);
	shared_old_free(&f.shared);
	assert_int_equal(stop(), 0);
}

static void
rings_that_cannot_be_had_change_nothing(void **state)
{
	const char *why;

	start("-");
	hello(WORKERS, 0);
	(void)answer(IPC_READY);
	f.cfg->ring_slots = 128;
	assert_int_equal(shared_next(&f.shared, f.cfg, WORKERS, &why), 0);
	/* no segment; a segment, but not of a ring */
	rings_next(open("/dev/null", O_RDONLY | O_CLOEXEC));
	assert_false(rings_mapped());
	rings_next(f.shared.tables->seg.fd);
	assert_false(rings_mapped());
	/* it did not keep anything of that */
	rings_next(-1);
	assert_true(rings_mapped());
	rings_forget();
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
		T(that_nobody_takes_its_log_lines_is_told),
		T(rings_that_follow_are_taken_forgotten_and_left_for),
		T(rings_that_cannot_be_had_change_nothing),
		T(a_worker_without_an_inbox_makes_no_sense),
	};

	/* the child closes it, and must not find its channel in that place */
	log_set(fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 100), LOG_KIND_FILE,
	    LOG_FORMAT_TEXT, LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
