/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "master/bridge.h"

#include <sys/socket.h>

#include <unistd.h>

#include "common/config.h"
#include "common/log.h"
#include "master/child.h"
#include "master/inbox.h"
#include "master/master.h"

void
bridge_pairs_open(struct bridge_pairs *p, unsigned n)
{
	const int type = SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK;
	int sv[2];

	CHECK(n <= TABLES_WORKERS);
	for (p->n = 0; p->n < n; p->n++) {
		if (socketpair(AF_UNIX, type, 0, sv) == -1)
			fatal("socketpair");
		p->worker[p->n] = sv[0];
		p->bridge[p->n] = sv[1];
		inbox_enlarge(sv[0]);
		inbox_enlarge(sv[1]);
	}
}

void
bridge_pairs_close(struct bridge_pairs *p)
{
	for (unsigned i = 0; i < p->n; i++) {
		(void)close(p->worker[i]);
		(void)close(p->bridge[i]);
	}
	p->n = 0;
}

bool
bridge_is_wanted(const struct master *m)
{
	return m->cfg->auth_mode == AUTH_MODE_WEBHOOK;
}

void
bridge_put_hello(const struct child *c, struct ipc_msg *msg)
{
	const struct master *m = c->master;

	ipc_put_u32(msg, c->incarnation);
	ipc_put_u32(msg, m->pairs.n);
	ipc_put_fd(msg, m->cfg_fd);
	ipc_put_fd(msg, m->shared.tables->seg.fd);
	ipc_put_fd(msg, m->log_fd);
	for (unsigned i = 0; i < m->pairs.n; i++)
		ipc_put_fd(msg, m->pairs.bridge[i]);
}
