/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "tests/power/life.h"

#include <string.h>

#include "common/clock.h"
#include "common/log.h"

#define LIFE_IDLE 64

int
life_open(struct life *l, const char **why_r)
{
	memset(l, 0, sizeof(*l));
	l->store = store_open(STORE_WRITE, why_r);
	return l->store == NULL ? -1 : 0;
}

int
life_resume(struct life *l, const struct small_ring *r, uint32_t incarnation,
    const char **why_r)
{
	const struct sequence_limits limits = {
		.dedupe_window_ms = LIFE_DEDUPE_MS,
		.recovery_window_ms = LIFE_RECOVERY_MS,
	};
	const struct upkeep_limits upkeep = {
		.dedupe_window_ms = LIFE_DEDUPE_MS,
		.recovery_window_ms = LIFE_RECOVERY_MS,
		.max_messages = LIFE_MAX_MESSAGES,
	};
	struct ring_info info;

	l->ring = small_ring_scribe(r);
	scribe_log_ring(&l->log, l->ring);
	l->seq = sequence_new(&limits);
	l->commit = commit_new(&l->log, l->store, l->seq, NULL, NULL);
	l->orphans = orphans_new(l->ring, l->store);
	if (l->seq == NULL || l->commit == NULL || l->orphans == NULL)
		fatal("memory for a scribe");
	if (commit_resume(l->commit, ring_id(l->ring), ring_base(l->ring),
		why_r) == -1)
		return -1;
	ring_info(l->ring, &info);
	if (orphans_takeover(l->orphans, incarnation, &r->incarnation, 1,
		info.end) == -1)
		fatal("memory for a scribe");
	(void)steps_begin(&l->steps, clock_mono_ns(), clock_real_ms(), 0, NULL);
	sequence_set_steps(l->seq, &l->steps);
	upkeep_init(&l->upkeep, l->store, l->seq, &l->steps, &upkeep);
	return 0;
}

void
life_only_commit(struct life *l)
{
	upkeep_clear(&l->upkeep);
	l->upkeep.store = NULL;
}

int
life_begin(struct life *l, const struct small_ring *r, uint32_t incarnation,
    const char **why_r)
{
	if (life_open(l, why_r) == -1)
		return -1;
	return life_resume(l, r, incarnation, why_r);
}

int
life_turns(struct life *l)
{
	enum commit_result rc = COMMIT_WORKED;
	uint64_t again;
	unsigned idle = 0;
	bool more;

	/* leaves of the dead may wait for what only time brings */
	do {
		idle = rc == COMMIT_WORKED ? 0 : idle + 1;
		rc = commit_turn(l->commit, &again);
		if (rc == COMMIT_DEAD || commit_state(l->commit) != COMMIT_OK)
			return -1;
		more = orphans_turn(l->orphans, commit_next(l->commit));
		(void)steps_look(&l->steps, clock_mono_ns(), clock_real_ms());
		if (l->upkeep.store != NULL &&
		    upkeep_turn(&l->upkeep, clock_mono_ns(), clock_real_ms()) ==
			-1)
			return -1;
		(void)ring_gate(l->ring, clock_mono_ns());
	} while (rc == COMMIT_WORKED || (more && idle < LIFE_IDLE));
	return 0;
}

void
life_end(struct life *l)
{
	if (l->upkeep.store != NULL)
		upkeep_clear(&l->upkeep);
	if (l->orphans != NULL)
		orphans_free(&l->orphans);
	if (l->commit != NULL)
		commit_free(&l->commit);
	if (l->seq != NULL)
		sequence_free(&l->seq);
	if (l->ring != NULL)
		ring_detach(&l->ring);
	store_close(&l->store);
}
