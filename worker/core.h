/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * core - the part of a worker that serves connections: without rings, store
 * and chat, and so the same in every program that is built of it.
 */

#ifndef WORKER_CORE_H
#define WORKER_CORE_H

#include <stdbool.h>

struct worker;

/*
 * Begin: w->cfg, tables, slot, incarnation, app and child (inbox, outbox,
 * assets; those without one are -1, 0, NULL) are set by the caller; makes the
 * event base, and puts the inbox into it.
 */
void core_start(struct worker *w);

/*
 * One turn: those who were paused, what clients asked for, their output,
 * deadlines.  Reads the clock first.  True if there is more to do at once.
 */
bool core_turn(struct worker *w);

/* Say goodbye: sessions are closed in good order, no connection is kept. */
void core_goodbye(struct worker *w, const char *reason);

/* Free everything; connections that are left are dropped. */
void core_stop(struct worker *w);

#endif /* WORKER_CORE_H */
