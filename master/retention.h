/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * retention - chatctl retention run: the scribe does it, we tell how far it
 * is.
 */

#ifndef MASTER_RETENTION_H
#define MASTER_RETENTION_H

#include <stdint.h>

struct child;
struct ipc_msg;
struct master;
struct retention;

struct retention *retention_new(struct master *m);
void retention_free(struct retention **r);

/* Ask the scribe; answered when it is done.  One at a time. */
void retention_begin(struct retention *r, uint64_t asker);
/* RETENTION_DONE. */
void retention_done(struct retention *r, struct ipc_msg *msg);
/* The scribe has died, and what it was doing with it. */
void retention_scribe_dead(struct retention *r);

#endif /* MASTER_RETENTION_H */
