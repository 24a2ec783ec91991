/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * reload - a new configuration, in all processes or in none.
 *
 *	read, check, compare		anything wrong: the old stays
 *	CONFIG_PREPARE to all		each decodes it and sees whether it can
 *	all said yes in time?		if not: forget, the old stays
 *	(other rings: close the old)	if they are full: try again, for a while
 *	CONFIG_SWITCH to all		and only now does it count
 *	CONFIG_SWITCHED by all		then whoever asked is told
 *
 * One at a time.  A child that dies meanwhile is not waited for; its
 * replacement starts with what counts, and is told to prepare as well if
 * the question is still open.
 */

#ifndef MASTER_RELOAD_H
#define MASTER_RELOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "common/ipc.h"

struct child;
struct master;
struct reload;

struct reload *reload_new(struct master *m);
void reload_free(struct reload **r);

/*
 * Begin; 'asker' is the chatctl that is told the outcome (control.h), 0 for
 * SIGHUP, whose outcome is in the log only.  While one is under way a
 * signal is remembered, chatctl refused.
 */
void reload_begin(struct reload *r, uint64_t asker);
/* The daemon is complete: what was asked for before is done now. */
void reload_ready(struct reload *r);
/* The daemon ends: nothing is switched any more. */
void reload_abort(struct reload *r);

/* From a child; a message that makes no sense is left marked as bad. */
void reload_prepared(struct reload *r, struct child *c, struct ipc_msg *msg);
void reload_switched(struct reload *r, struct child *c, struct ipc_msg *msg);
/* ... about rings that are to follow; and one has left the old ones. */
void reload_mapped(struct reload *r, struct child *c, struct ipc_msg *msg);
void reload_left(struct reload *r);

void reload_child_started(struct reload *r, struct child *c);
void reload_child_gone(struct reload *r, struct child *c);

#endif /* MASTER_RELOAD_H */
