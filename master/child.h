/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * child - one child process and the master's connection to it.
 *
 *	      start           READY            stop
 *	NONE ------> STARTING ------> READY ------> STOPPING
 *	  ^             |               |              |
 *	  |             +------ reaped -+--------------+
 *	  |                       v
 *	  +--- (at the end) --- DEAD ---- start again --> STARTING
 *
 * The states are enum tables_child_state: everybody may look.
 */

#ifndef MASTER_CHILD_H
#define MASTER_CHILD_H

#include <sys/types.h>

#include <stdbool.h>
#include <stdint.h>

#include "common/ipc.h"
#include "common/role.h"
#include "master/backoff.h"
#include "shm/tables.h"

struct event;
struct master;

/* Where it is with rings that are to follow (resize.h). */
enum child_rings {
	CHILD_RINGS_SAME,
	/* sent, not answered */
	CHILD_RINGS_ASKED,
	CHILD_RINGS_MAPPED,
};

struct child {
	struct master *master;
	enum role role;
	/* a worker's slot; TABLES_SCRIBE, TABLES_BRIDGE */
	unsigned slot;
	enum tables_child_state state;
	/* 0: no process */
	pid_t pid;
	/* ascending in the daemon's life, whatever the role */
	uint32_t incarnation;
	/* where it publishes, and in the rings to come */
	unsigned log_arena, live_arena;
	unsigned next_log_arena, next_live_arena;
	enum child_rings rings;
	/* of the oldest rings that it has not left */
	uint64_t generation;
	/* CLOCK_MONOTONIC; 0: was not ready yet */
	uint64_t ready_ms;
	/* watch.c: what its 'beats' was, and for how many looks */
	uint64_t beats;
	unsigned silent;
	struct backoff backoff;
	struct ipc *ipc;
	struct event *readable, *writable, *again;
};

/* "worker 3", "scribe"; the answer is overwritten by the next call. */
const char *child_name(const struct child *c);

/* Change its state, for all to see. */
void child_set_state(struct child *c, enum tables_child_state state);

/*
 * Start the process and send it its HELLO; incarnation and arenas have been
 * given to it.  0, or -1 with errno and everything as before.
 */
int child_start(struct child *c, bool daemon_just_started);

/*
 * Send; what the channel does not take now goes later.  A child that lets
 * its channel overflow is killed.  -1: there is nobody to send to.
 */
int child_send(struct child *c, const struct ipc_msg *m);

/* Alive and not told to stop. */
bool child_serves(const struct child *c);
/* READY, and its channel takes more at once. */
bool child_takes(const struct child *c);

void child_kill(struct child *c, const char *why);

/* The process has been reaped: forget the connection. */
void child_gone(struct child *c);

/* For all messages that are built here: one at a time. */
struct ipc_msg *child_message(enum ipc_type type);

#endif /* MASTER_CHILD_H */
