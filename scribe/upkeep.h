/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * upkeep - what is done to the store between batches, at most one slice a
 * turn: merge.h, retention.h, sweep.h, expire.h, steer.h.
 *
 * A slice is a transaction of its own, so that its failure is nobody's but
 * its own.  After one that took 1 ms there is none for 4 ms, unless merging
 * has fallen behind or somebody waits for the end.
 */

#ifndef SCRIBE_UPKEEP_H
#define SCRIBE_UPKEEP_H

#include <stdbool.h>
#include <stdint.h>

#include "scribe/expire.h"
#include "scribe/merge.h"
#include "scribe/retention.h"
#include "scribe/sequence.h"
#include "scribe/steer.h"
#include "scribe/steps.h"
#include "scribe/sweep.h"
#include "store/write.h"

struct upkeep_limits {
	uint64_t recovery_window_ms;
	/* 0: ids are not looked at */
	uint64_t dedupe_window_ms;
	/* 0: messages are kept whatever their age; in any number */
	uint64_t retention_ms;
	uint64_t max_messages;
};

/* What a run of retention did; 'why' is NULL, or why it was not done. */
struct upkeep_done {
	uint64_t serial;
	const char *why;
	uint64_t rooms;
	uint64_t messages;
	uint64_t ids;
};

typedef void upkeep_done_fn(void *arg, const struct upkeep_done *done);
/* A slice that took so long. */
typedef void upkeep_slice_fn(void *arg, uint64_t ns);

struct upkeep {
	struct store *store;
	struct sequence *seq;
	const struct steps *steps;
	struct upkeep_limits limits;
	upkeep_done_fn *done;
	upkeep_slice_fn *slice;
	void *arg;

	struct merge merge;
	struct retention retention;
	struct sweep sweep;
	struct expire expire;
	struct steer_sweep bans;
	uint64_t next_ns;
	/* the last slice was one of a merge */
	bool merged_last;
	/* it could not be written */
	bool failing;
	uint64_t failures;
	/* a run that somebody asked for: its walk, then its pass */
	enum upkeep_run {
		UPKEEP_RUN_NOT,
		UPKEEP_RUN_WALK,
		UPKEEP_RUN_PASS
	} run;
	struct upkeep_done result;
};

/* All must outlive it. */
void upkeep_init(struct upkeep *u, struct store *s, struct sequence *q,
    const struct steps *steps, const struct upkeep_limits *limits);
void upkeep_clear(struct upkeep *u);
void upkeep_configure(struct upkeep *u, const struct upkeep_limits *limits);
/* Who hears of runs and of slices; may be NULL. */
void upkeep_listen(struct upkeep *u, upkeep_done_fn *done,
    upkeep_slice_fn *slice, void *arg);

/* Remove at once what may be removed; 'done' is called in the end. */
void upkeep_run(struct upkeep *u, uint64_t serial);

/*
 * Do one slice if it is time for one (CLOCK_MONOTONIC), between two batches.
 * 0, or -1: only a new process can go on.
 */
int upkeep_turn(struct upkeep *u, uint64_t now_ns, uint64_t now_ms);
/* Instead, while the store cannot be written. */
void upkeep_wait(struct upkeep *u);

/* When to come back. */
uint64_t upkeep_next(const struct upkeep *u, uint64_t now_ns);

#endif /* SCRIBE_UPKEEP_H */
