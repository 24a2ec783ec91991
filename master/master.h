/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * master - what the parts of the parent process have in common.
 */

#ifndef MASTER_MASTER_H
#define MASTER_MASTER_H

#include <stdbool.h>
#include <stdint.h>

#include "master/bridge.h"
#include "master/inbox.h"
#include "master/options.h"
#include "master/place.h"
#include "master/rights.h"
#include "master/shared.h"

struct clerk;
struct control;
struct health;
struct hearing;
struct retention;
struct deal;
struct event_base;
struct listeners;
struct reload;
struct supervisor;

enum master_state {
	/* the children are being started; nobody is accepted */
	MASTER_STARTING,
	MASTER_RUNNING,
	/* nobody is accepted any more, the children end */
	MASTER_STOPPING,
};

struct master {
	enum master_state state;
	struct options opt;
	struct config *cfg;
	/* the configuration as the children get it, a sealed memfd */
	int cfg_fd;
	/* the browser's bundle (common/bundle.h), or -1 */
	int bundle_fd;
	int log_fd;
	/* what the waiting process of detach.h waits on, or -1 */
	int ready_fd;
	/* the last child has ended as asked */
	bool ended;
	/* why the start failed; empty: it did not */
	char failure[512];

	struct event_base *base;
	struct rights rights;
	struct place place;
	struct shared shared;
	struct inboxes inboxes;
	struct bridge_pairs pairs;
	/* worker processes, and connections that may be open */
	unsigned workers;
	uint32_t max_clients;
	/* slots above those, for clients that are to be refused */
	uint32_t refuse_slots;
	/* the most descriptors that a process may have */
	uint64_t max_files;

	struct supervisor *supervisor;
	struct deal *deal;
	struct listeners *listeners;
	struct reload *reload;
	struct control *control;
	struct clerk *clerk;
	struct health *health;
	struct retention *retention;
	/* NULL while children write to our own stderr */
	struct hearing *hearing;
};

/* The whole life of the daemon; returns its exit status.  Takes 'cfg'. */
int master_main(const struct options *opt, struct config *cfg);

const char *master_state_name(enum master_state state);

/* All children are ready for the first time. */
void master_ready(struct master *m);

/* A child cannot be had: the first start has failed, and this is why. */
void master_give_up(struct master *m, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* TERM, INT, chatctl stop; a second time: hurry. */
void master_stop(struct master *m);

/* All children have ended: leave the event loop. */
void master_children_gone(struct master *m);

#endif /* MASTER_MASTER_H */
