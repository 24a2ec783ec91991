/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * supervise - starts the children, buries and replaces them, ends them.
 */

#ifndef MASTER_SUPERVISE_H
#define MASTER_SUPERVISE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/ipc.h"

struct child;
struct master;
struct supervisor;

struct supervisor *supervisor_new(struct master *m);
/* All children must be gone. */
void supervisor_free(struct supervisor **s);

/* Start the scribe; the workers follow when it is ready. */
void supervise_start(struct supervisor *s);
/* End them in good order: the workers, then the scribe. */
void supervise_stop(struct supervisor *s);
/* Somebody is in a hurry: kill what is left of this step. */
void supervise_hurry(struct supervisor *s);

/* SIGCHLD. */
void supervise_reap(struct supervisor *s);

struct child *supervise_worker(struct supervisor *s, unsigned slot);
struct child *supervise_scribe(struct supervisor *s);
struct child *supervise_bridge(struct supervisor *s);
/* The configuration may ask for a bridge, or for none, from now on. */
void supervise_bridge_follow(struct supervisor *s);
/* How many workers are READY. */
unsigned supervise_ready(struct supervisor *s);
/* A worker that takes a request, another one each time; NULL: none. */
struct child *supervise_any_worker(struct supervisor *s);

/* The next of the children that are alive; begin with NULL. */
struct child *supervise_next(struct supervisor *s, struct child *c);

/* All children log there from now on. */
void supervise_log_target(struct supervisor *s);

/*
 * A child has sent a message: whatever is not for us, or makes no sense,
 * ends the child.
 */
void supervise_message(struct child *c, struct ipc_msg *msg);

#endif /* MASTER_SUPERVISE_H */
