/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "scribe/sweep.h"

#include <errno.h>
#include <string.h>

#include "common/fault.h"
#include "common/log.h"

/* What one slice found. */
struct slice {
	uint64_t now_ms;
	uint64_t window_ms;
	uint64_t future_ms;
	unsigned n;
	char pid[SWEEP_SLICE][STORE_PID];
};

void
sweep_init(struct sweep *sw, struct store *s)
{
	memset(sw, 0, sizeof(*sw));
	sw->store = s;
}

static bool
look(struct store_text pid, const struct store_recovery *row, void *arg)
{
	struct slice *sl = arg;

	/* what is damaged is of no use to anybody */
	if (row != NULL && row->lost_ms <= sl->future_ms &&
	    !store_recovery_over(row, sl->now_ms, sl->window_ms))
		return true;
	/* no other key can be deleted, or was ever put */
	if (pid.len == STORE_PID)
		memcpy(sl->pid[sl->n++], pid.p, STORE_PID);
	return true;
}

/* Go on with the walk, and delete what it finds: 0, or -1 with errno. */
static int
slice(struct sweep *sw, struct slice *sl)
{
	struct store_txn *t;
	unsigned i;
	int rc, err;

	if ((t = store_begin(sw->store)) == NULL)
		return -1;
	rc = store_recovery_walk(t, &sw->place, SWEEP_SLICE, look, sl);
	for (i = 0; i < sl->n; i++) {
		struct store_text pid = { sl->pid[i], STORE_PID };

		store_recovery_del(t, pid);
	}
	FAULT(SWEEP);
	if (rc == 0 && sl->n > 0)
		return store_commit(&t);
	err = errno;
	store_abort(&t);
	errno = err;
	return rc;
}

void
sweep_turn(struct sweep *sw, uint64_t now_ns, uint64_t now_ms,
    uint64_t window_ms, uint64_t future_ms)
{
	struct slice sl = { .now_ms = now_ms,
		.window_ms = window_ms,
		.future_ms = future_ms };

	if (now_ns < sw->next_ns)
		return;
	sw->next_ns = now_ns + SWEEP_SLICE_NS;
	if (slice(sw, &sl) == -1) {
		if (!sw->failing)
			log_warn_errno("recovery rows cannot be deleted");
		sw->failing = true;
		sw->place.done = true;
	} else {
		sw->failing = false;
		sw->deleted += sl.n;
	}
	if (sw->place.done) {
		memset(&sw->place, 0, sizeof(sw->place));
		sw->next_ns = now_ns + SWEEP_WALK_NS;
	}
}

uint64_t
sweep_next(const struct sweep *sw)
{
	return sw->next_ns;
}

uint64_t
sweep_count(const struct sweep *sw)
{
	return sw->deleted;
}
