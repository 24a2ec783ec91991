/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * rings - from the log ring that we are in to the one that follows on it.
 *
 *	in the old ring		closed, all decided	store has it	left
 *	commit: old id		commit: moving		new id
 *
 * We sequence the old ring to its end and go on at the base of the next.
 * The store hears of it in the next transaction, with a record or without;
 * only then is the old ring left and the master told.  A scribe that starts
 * before that gets both from its HELLO, and finds in the store in which of
 * them it is: so dying anywhere here costs nothing.
 */

#include <string.h>

#include "common/fault.h"
#include "common/log.h"
#include "scribe/scribe.h"

/* Which log the store was left in; false if it cannot be read now, which
 * commit_resume() will tell. */
static bool
store_is_in(struct store *store, const struct ring *ring)
{
	struct store_ring in;
	struct store_txn *t;
	int rc;

	if ((t = store_snapshot(store)) == NULL)
		return false;
	rc = store_ring_get(t, &in);
	store_snapshot_end(&t);
	return rc == 0 && memcmp(in.id, ring_id(ring), sizeof(in.id)) == 0;
}

static void
leave(struct scribe *s)
{
	FAULT(SWITCH_STORED);
	child_leave_rings(&s->child);
	CHECK(s->ring == s->child.log);
	log_info("in the next ring slots=%llu arena_bytes=%zu base=%llu",
	    (unsigned long long)ring_slots(s->ring), ring_arena_bytes(s->ring),
	    (unsigned long long)ring_base(s->ring));
}

void
scribe_rings_resume(struct scribe *s)
{
	if (s->child.next_log == NULL ||
	    !store_is_in(s->store, s->child.next_log))
		return;
	/* what was decided in the old one is durable: our predecessor would
	 * not have gone on before */
	s->ring = s->child.next_log;
	leave(s);
}

struct ring *
scribe_rings_last(const struct scribe *s)
{
	uint64_t end;

	if (s->child.next_log != NULL && ring_closed(s->child.log, &end))
		return s->child.next_log;
	return s->child.log;
}

/* Everything in the old ring is decided. */
static void
move(struct scribe *s)
{
	FAULT(SWITCH_DECIDED);
	s->ring = s->child.next_log;
	scribe_log_ring(&s->log, s->ring);
	commit_move(s->commit, &s->log, ring_id(s->ring), ring_base(s->ring));
	/* they wait at the end of the old ring */
	wake_workers(s->wake, ~(uint64_t)0);
	FAULT(SWITCH_MOVED);
}

bool
scribe_rings_turn(struct scribe *s)
{
	uint64_t end;

	if (s->child.next_log == NULL)
		return false;
	if (s->ring != s->child.next_log) {
		if (!ring_closed(s->ring, &end))
			return false;
		/* what we publish ourselves goes to the next at once */
		orphans_move(s->orphans, s->child.next_log);
		if (commit_next(s->commit) != end)
			return false;
		move(s);
		return true;
	}
	if (commit_moving(s->commit))
		return false;
	leave(s);
	return true;
}
