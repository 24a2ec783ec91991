/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * bridge - when there is a bridge, and the sockets between it and workers.
 *
 * It is a child like others (supervise.h), with three differences: there is
 * one only while auth.mode is webhook, the daemon does not wait for it to be
 * complete, and it is never given up.
 */

#ifndef MASTER_BRIDGE_H
#define MASTER_BRIDGE_H

#include <stdbool.h>

#include "common/ipc.h"
#include "shm/tables.h"

struct child;
struct master;

/* One a worker's slot, for the daemon's life (shm/ask.h). */
struct bridge_pairs {
	unsigned n;
	/* by slot: the worker's end, and the bridge's */
	int worker[TABLES_WORKERS];
	int bridge[TABLES_WORKERS];
};

/* While there are privileges; no return on failure. */
void bridge_pairs_open(struct bridge_pairs *p, unsigned n);
void bridge_pairs_close(struct bridge_pairs *p);

/* Does the configuration ask for one? */
bool bridge_is_wanted(const struct master *m);

/* The fields of its HELLO behind its role. */
void bridge_put_hello(const struct child *c, struct ipc_msg *msg);

#endif /* MASTER_BRIDGE_H */
