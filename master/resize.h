/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * resize - rings of another size, while everybody works.
 *
 *	resize_begin	the next rings are made; RINGS_NEXT to all
 *	RINGS_MAPPED	by all; if not: RINGS_FORGET, the old rings stay
 *	resize_switch	one compare-and-swap a ring closes the old ones; from
 *			now on the next rings are the rings
 *	RINGS_LEFT	by each as soon as it has read the old ones to their
 *			end; the scribe also stored where it is
 *
 * Part of a reload (reload.h), which asks everybody before and waits after.
 * A child that starts before the switch gets both, one that starts after it
 * only the new ones; a scribe gets both until one has left the old.  A child
 * that stands still keeps its map of the old rings and hurts nobody.
 */

#ifndef MASTER_RESIZE_H
#define MASTER_RESIZE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/ipc.h"

struct child;
struct config;
struct master;

/* Does 'next' want other rings? */
bool resize_wanted(const struct master *m, const struct config *next);

/*
 * Make them and send them to all.  -1: nothing has changed, and *why_r is a
 * sentence, which the next call overwrites.
 */
int resize_begin(struct master *m, const struct config *next,
    const char **why_r);
/* A child has started meanwhile. */
void resize_child_started(struct child *c);
/*
 * An answer; a message that makes no sense is left marked as bad.  -1: it
 * cannot have them, and *why_r (as above) is its reason.
 */
int resize_mapped(struct child *c, struct ipc_msg *msg, const char **why_r);
/* Does anybody still have to answer?  Its name, or NULL. */
const char *resize_missing(const struct master *m);

/* They will not be used. */
void resize_forget(struct master *m);

/* As shared_switch(). */
int resize_switch(struct master *m, bool *begun_r);

/* A child has left the old rings. */
void resize_left(struct child *c, struct ipc_msg *msg);
/* Who has not?  Its name, or NULL. */
const char *resize_staying(const struct master *m);

/*
 * The child has been reaped: bury it in the rings to come, too.  'pos' is the
 * first position that it cannot have published in the rings that are in
 * force; returns that of all.
 */
uint64_t resize_child_dead(struct child *c, uint64_t pos);

#endif /* MASTER_RESIZE_H */
