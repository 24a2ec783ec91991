/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * main - a clerk from its command to its answer.
 */

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clerk/clerk.h"
#include "common/clock.h"
#include "common/fault.h"
#include "common/ipc.h"
#include "common/log.h"
#include "common/role.h"
#include "common/sandbox.h"
#include "store/store.h"

static struct clerk self;

static const struct clerk_command commands[] = {
	{ "backup", clerk_open_store, backup_run },
	{ "compact", compact_open, compact_run },
	{ "export", clerk_open_store, export_run },
	{ "verify", clerk_open_store, verify_run },
	{ NULL, NULL, NULL },
};

static const struct clerk_command *
find(const char *name)
{
	for (size_t i = 0; commands[i].name != NULL; i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

static void
take_args(struct clerk *c, struct ipc_msg *m)
{
	static char text[IPC_MAX_BYTES];

	for (uint32_t n = ipc_get_u32(m); n > 0 && !m->bad; n--) {
		ipc_get_str(m, text, sizeof(text));
		if (c->nargs == CLERK_MAX_ARGS)
			fatalx("too many arguments");
		if ((c->arg[c->nargs++] = strdup(text)) == NULL)
			fatal("strdup");
	}
}

/* The one message that tells everything. */
static void
take_order(struct clerk *c)
{
	static struct ipc_msg m;
	struct pollfd p = { .fd = ROLE_IPC_FD, .events = POLLIN };
	bool output;
	int rc, log;

	if ((c->master = ipc_new(ROLE_IPC_FD, IPC_FROM_CHILD)) == NULL)
		fatal("connection to the master");
	while ((rc = ipc_recv(c->master, &m)) == 0)
		(void)poll(&p, 1, -1);
	if (rc != 1 || m.type != IPC_CLERK)
		fatalx("no command from the master");
	ipc_get_str(&m, c->command, sizeof(c->command));
	take_args(c, &m);
	c->offline = ipc_get_u8(&m) == 1;
	output = ipc_get_u8(&m) == 1;
	c->dir = ipc_get_fd(&m);
	c->conn = ipc_get_fd(&m);
	log = ipc_get_fd(&m);
	c->out = output ? ipc_get_fd(&m) : -1;
	if (ipc_end(&m) == -1 || c->dir == -1 || c->conn == -1 || log == -1)
		fatalx("the command from the master makes no sense");
	log_set(log, log_kind_of(log), LOG_FORMAT_LOGFMT,
	    c->offline ? LOG_LEVEL_ERROR : LOG_LEVEL_INFO);
}

static int
work(struct clerk *c)
{
	const struct clerk_command *cmd = find(c->command);

	if (cmd == NULL)
		return answer_failed(c, "this chatd knows no %s", c->command);
	FAULT(CLERK_ORDER);
	if (cmd->open(c) == -1)
		return -1;
	FAULT(CLERK_OPEN);
	if (sandbox_enter(ROLE_CLERK) == -1)
		return answer_failed(c, "cannot enter the sandbox: %s",
		    strerror(errno));
	if (cmd->run(c) == -1)
		return -1;
	FAULT(CLERK_DONE);
	store_snapshot_end(&c->txn);
	answer_done(c);
	return 0;
}

int
clerk_main(void)
{
	struct clerk *c = &self;

	(void)signal(SIGPIPE, SIG_IGN);
	log_init("chatd", ROLE_CLERK, -1);
	c->began_ms = clock_mono_ms();
	take_order(c);
	clerk_exit(c, work(c) == 0 ? 0 : 1);
}
