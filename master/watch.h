/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * watch - finds the children that are alive and do nothing.
 *
 * A child counts its turns in the tables.  One whose count stands still is
 * stopped, loops for ever, or waits for what never comes: its clients hang
 * with it, so after WATCH_KILL looks it is killed and replaced.  Looks are
 * counted, not seconds: a master that was stopped itself, together with all
 * the others perhaps, finds nobody guilty.
 *
 * Who waits for a disk (state D) cannot be killed, and is not late by its
 * own fault; who is being traced is somebody's patient.  Both are only told
 * of.
 */

#ifndef MASTER_WATCH_H
#define MASTER_WATCH_H

/* one look a second */
#define WATCH_WARN 5
#define WATCH_KILL 30

struct master;

/* Look at all children that are READY; call it each second. */
void watch_children(struct master *m);

#endif /* MASTER_WATCH_H */
