/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * supervise_child - what the supervisor of test_supervise.c starts: looks at
 * what it is told, and behaves as the test wants it to.
 */

#ifndef TESTS_UNIT_SUPERVISE_CHILD_H
#define TESTS_UNIT_SUPERVISE_CHILD_H

#include <sys/socket.h>
#include <sys/stat.h>

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/config.h"
#include "common/ipc.h"
#include "common/role.h"
#include "shm/wake.h"

#define WORKERS 2
#define ENV "TEST_SUPERVISE"

static inline bool
behaves(const char *how)
{
	const char *env = getenv(ENV);

	return env != NULL && strstr(env, how) != NULL;
}

/* Like the real ones: wait for a message, however long it takes. */
static inline int
receive(struct ipc *ipc, struct ipc_msg *msg)
{
	int rc;

	while ((rc = ipc_recv(ipc, msg)) == 0)
		(void)usleep(1000);
	return rc;
}

/* The inbox and the ways to all: what goes in there comes out here. */
static inline int
check_inboxes(struct ipc_msg *m, uint32_t slot)
{
	int inbox = ipc_get_fd(m), to;
	uint32_t i, n;

	for (i = 0; i < WORKERS; i++) {
		if ((to = ipc_get_fd(m)) == -1)
			return 20;
		if (i == slot && send(to, &i, sizeof(i), MSG_DONTWAIT) == -1)
			return 21;
		(void)close(to);
	}
	n = UINT32_MAX;
	if (recv(inbox, &n, sizeof(n), MSG_DONTWAIT) != sizeof(n) || n != slot)
		return 22;
	(void)close(inbox);
	return 0;
}

/* A worker's own end: what goes in there is for the bridge. */
static inline int
check_pair(struct ipc_msg *m, uint32_t slot)
{
	int fd = ipc_get_fd(m);

	if (fd == -1 || send(fd, &slot, sizeof(slot), MSG_DONTWAIT) == -1)
		return 23;
	(void)close(fd);
	return 0;
}

/* The bridge's is short: nothing of a client comes to it. */
static inline int
check_bridge_hello(struct ipc_msg *m)
{
	int fd;

	if (m->type != IPC_HELLO || ipc_get_u8(m) != ROLE_BRIDGE ||
	    ipc_get_u32(m) == 0 || ipc_get_u32(m) != WORKERS)
		return 10;
	for (unsigned i = 0; i < 3 + WORKERS; i++) {
		if ((fd = ipc_get_fd(m)) == -1)
			return 11;
		(void)close(fd);
	}
	return ipc_end(m) == 0 ? 0 : 12;
}

/* 0 if everything that a child must get is there. */
static inline int
check_hello(struct ipc_msg *m, bool worker)
{
	uint32_t slot, incarnation, log_arena, n;
	struct config *cfg;
	bool first, bundle;
	int fd, rc;

	if (m->type != IPC_HELLO ||
	    ipc_get_u8(m) != (worker ? ROLE_WORKER : ROLE_SCRIBE))
		return 10;
	slot = ipc_get_u32(m);
	incarnation = ipc_get_u32(m);
	log_arena = ipc_get_u32(m);
	(void)ipc_get_u32(m);
	/* the log ring's first arena is the scribe's */
	if (slot >= WORKERS || incarnation == 0 || (worker && log_arena == 0))
		return 11;
	/* only until a scribe has once been ready */
	first = ipc_get_u8(m) != 0;
	if (!worker && first != (incarnation == 1 || behaves("base")))
		return 12;
	n = ipc_get_u32(m);
	for (uint32_t i = 0; i < n; i++) {
		if (ipc_get_u32(m) >= WORKERS || ipc_get_u32(m) >= incarnation)
			return 13;
	}
	if (ipc_get_u32(m) != (worker ? WORKERS : 0))
		return 17;
	bundle = ipc_get_u8(m) == 1;
	if (bundle != (worker && behaves("bundle")))
		return 18;
	fd = ipc_get_fd(m);
	if ((cfg = config_from_fd(fd)) == NULL || cfg->ring_slots != 64)
		return 14;
	config_free(&cfg);
	(void)close(fd);
	for (int i = 0; i < 5 + WAKE_CONSUMERS; i++) {
		if ((fd = ipc_get_fd(m)) == -1)
			return 15;
		(void)close(fd);
	}
	if (worker &&
	    ((rc = check_inboxes(m, slot)) != 0 ||
		(rc = check_pair(m, slot)) != 0))
		return rc;
	if (bundle) {
		if ((fd = ipc_get_fd(m)) == -1)
			return 19;
		(void)close(fd);
	}
	return ipc_end(m) == 0 ? 0 : 16;
}

static inline int
child_main(const char *role)
{
	static struct ipc_msg msg;
	bool worker = strcmp(role, "worker") == 0;
	struct ipc *ipc = ipc_new(ROLE_IPC_FD, IPC_FROM_CHILD);
	int rc;

	if (behaves("exits") && !worker)
		return 1;
	if (behaves("base") && !worker &&
	    access("/tmp/test_supervise.base", F_OK) == -1) {
		(void)close(creat("/tmp/test_supervise.base", 0600));
		return ROLE_EXIT_BASE;
	}
	if (behaves("early") && worker)
		(void)raise(SIGKILL);
	if (behaves("bridgeless") && strcmp(role, "bridge") == 0)
		return 1;
	if (receive(ipc, &msg) != 1)
		return 30;
	rc = strcmp(role, "bridge") == 0 ? check_bridge_hello(&msg)
					 : check_hello(&msg, worker);
	if (rc != 0)
		return rc;
	ipc_begin(&msg, IPC_READY);
	if (behaves("nonsense") && worker)
		ipc_put_u8(&msg, 1);
	(void)ipc_send(ipc, &msg);
	while (receive(ipc, &msg) == 1) {
		if (msg.type != IPC_STOP)
			continue;
		if (behaves("hangs") ||
		    (behaves("stays") && strcmp(role, "bridge") == 0))
			(void)pause();
		break;
	}
	ipc_free(&ipc);
	return 0;
}

#endif /* TESTS_UNIT_SUPERVISE_CHILD_H */
