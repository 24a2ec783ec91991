/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * child - what every child of the master has in common: the HELLO that
 * gives it everything it holds, a reload in two phases, a new log target.
 *
 * The master can be trusted: what makes no sense from it is fatal.
 */

#ifndef SHM_CHILD_H
#define SHM_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/config.h"
#include "common/ipc.h"
#include "common/role.h"
#include "shm/ring.h"
#include "shm/segment.h"
#include "shm/tables.h"
#include "shm/wake.h"

struct child {
	enum role role;
	unsigned slot;
	uint32_t incarnation;
	/* the workers that were alive when we started */
	uint32_t living[TABLES_WORKERS];
	size_t nliving;
	/* NULL once the master is gone */
	struct ipc *master;

	struct config *cfg;
	/* prepared by a reload, not in force */
	struct config *next_cfg;
	uint64_t next_serial;
	/* called when 'cfg' is a new one; the old one still exists */
	void (*configure)(void *arg);
	void *arg;

	struct tables *tables;
	struct segment log_seg, live_seg;
	struct wake *wake;
	int efd[WAKE_CONSUMERS];
	/* a worker's: where others hand connections over to it, and where it
	 * hands them over, by slot (worker/handoff.h); -1 */
	int inbox;
	int outbox[TABLES_WORKERS];
	unsigned noutbox;
	/* ends of the pairs between workers and bridge (shm/ask.h): a worker
	 * has its own, the bridge all of them, by slot */
	int ask[TABLES_WORKERS];
	unsigned nask;
	/* the browser's bundle (common/bundle.h) and the prepared one, -1:
	 * there is none; it changes before configure() is called */
	int bundle, next_bundle;
	/* both attached, produced into and protected; a scribe has no 'live' */
	struct ring *log, *live;
	/*
	 * Those that follow on them, or NULL: attached in the same way, our
	 * seats taken, our interest shown; the old ones are closed soon.
	 * rings() is called when they come, and when they go unused.
	 */
	struct segment next_log_seg, next_live_seg;
	struct ring *next_log, *next_live;
	uint64_t next_generation;
	void (*rings)(void *arg);
};

/*
 * Wait for HELLO and take what it brings: configuration, log target, shared
 * memory; the current directory is the data directory then.
 */
void child_hello(struct child *c, enum role role);

/* Tell the master that we work. */
void child_ready(struct child *c);
/* We are working: at least once a second, or the master takes us for stuck. */
void child_beat(struct child *c);

/*
 * Take the next message from the master.  1: *m is one that is the role's
 * own affair, to be ended with child_end(); 0: there is none; -1: the
 * master is gone (c->master stays until child_free()).
 */
int child_receive(struct child *c, struct ipc_msg *m);
void child_end(struct ipc_msg *m);

/*
 * Nothing of ours is in the old rings any more, which are closed: detach
 * from them, let the next ones be 'log' and 'live', and tell the master.
 */
void child_leave_rings(struct child *c);

/* Detach from everything. */
void child_free(struct child *c);

#endif /* SHM_CHILD_H */
