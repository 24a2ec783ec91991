/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * rings - from the rings that we have to those that follow on them.
 *
 * The master sends the next rings (shm/child.h), and when all have them it
 * closes the old ones.  What we publish goes to the next ring once the old
 * one says that it is closed (publish.c).  What we read we read to the end
 * of the old ring, and go on where the next one begins; our seat there has
 * been ours from the beginning, so nothing is missed.  Whoever is no
 * consumer of the old ring just then, because it was evicted, joins the
 * next, and catches up from the store as after any eviction.
 */

#include "common/fault.h"
#include "common/log.h"
#include "worker/ctl.h"
#include "worker/worker.h"

void
worker_rings(void *arg)
{
	struct worker *w = arg;

	publisher_next(w->publisher, w->child.next_log, w->child.next_live);
}

/* Do we still read the old one? */
static bool
in_old_log(const struct worker *w)
{
	return w->child.next_log != NULL && w->log == w->child.log;
}

static bool
in_old_live(const struct worker *w)
{
	return w->child.next_live != NULL && w->live == w->child.live;
}

static bool
reads_log(const struct worker *w)
{
	return w->log_active && ring_state(w->log, w->slot) == RING_ACTIVE;
}

/* When both are left behind nothing refers to them any more. */
static void
leave(struct worker *w)
{
	if (w->child.next_log == NULL || in_old_log(w) || in_old_live(w))
		return;
	publisher_leave(w->publisher);
	log_info("in the next rings slots=%llu arena_bytes=%zu cursor=%llu",
	    (unsigned long long)ring_slots(w->log), ring_arena_bytes(w->log),
	    (unsigned long long)w->log_cursor);
	child_leave_rings(&w->child);
}

void
worker_pass_log(struct worker *w)
{
	uint64_t end;

	if (!in_old_log(w))
		return;
	if (reads_log(w)) {
		if (!ring_ends_at(w->log, w->log_cursor))
			return;
		FAULT(RINGS_PASS_LOG);
		w->log = w->child.next_log;
		w->log_cursor = ring_base(w->log);
	} else {
		if (!ring_closed(w->log, &end))
			return;
		FAULT(RINGS_PASS_LOG);
		/* positions have a gap where the next ring begins */
		if (end > w->log_cursor)
			ctl_evicted(w, false, end - w->log_cursor);
		w->log = w->child.next_log;
		w->log_cursor = ring_base(w->log);
		w->log_active = false;
		ring_join(w->log, w->slot, w->incarnation);
	}
	leave(w);
}

bool
worker_pass_live(struct worker *w)
{
	if (!in_old_live(w) || !ring_ends_at(w->live, w->live_cursor))
		return false;
	FAULT(RINGS_PASS_LIVE);
	w->live = w->child.next_live;
	w->live_cursor = ring_base(w->live);
	leave(w);
	return true;
}

bool
worker_may_pass(const struct worker *w)
{
	uint64_t end;

	if (in_old_live(w) && ring_ends_at(w->live, w->live_cursor))
		return true;
	if (!in_old_log(w))
		return false;
	return reads_log(w) ? ring_ends_at(w->log, w->log_cursor)
			    : ring_closed(w->log, &end);
}
