/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * scribe - the process that alone writes the store.
 *
 *   main.c     from HELLO to the loop
 *   master.c   what the master says
 *   loop.c     turns and sleep
 *   report.c   counters, and the store's page in the tables
 *   rings.c    from one log ring to the next
 *
 *   log ring -> commit.c -> sequence.c, presence.c, recovery.c -> store
 *                             rooms.c, dedupe.c (what it remembers)
 *   upkeep.c -> merge.c, retention.c, sweep.c, expire.c ------> store
 *   tables ---> streams.c (texts in progress) -----------------> store
 *
 *   steps.c    the clock is set
 *   disk.c     the disk is full, and the ballast
 *   readers.c  who holds a snapshot for too long
 */

#ifndef SCRIBE_SCRIBE_H
#define SCRIBE_SCRIBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/config.h"
#include "scribe/commit.h"
#include "scribe/disk.h"
#include "scribe/log.h"
#include "scribe/orphans.h"
#include "scribe/readers.h"
#include "scribe/sequence.h"
#include "scribe/steps.h"
#include "scribe/streams.h"
#include "scribe/upkeep.h"
#include "shm/child.h"
#include "shm/ring.h"
#include "shm/tables.h"
#include "shm/wake.h"
#include "store/write.h"

enum scribe_phase {
	SCRIBE_SERVING,
	/* asked to stop, or alone: the rest is committed, until stop_ns */
	SCRIBE_STOPPING,
};

struct scribe {
	enum scribe_phase phase;
	/* the master is there */
	bool mastered;
	uint64_t stop_ns;

	/* what every child has; the pointers below are copies for short */
	struct child child;
	struct config *cfg;
	struct tables *tables;
	struct wake *wake;
	struct ring *ring;
	struct store *store;
	struct scribe_log log;
	struct sequence *seq;
	struct commit *commit;
	struct orphans *orphans;
	struct streams_store *streams;
	struct upkeep upkeep;
	struct steps steps;
	struct ballast ballast;
	struct readers readers;

	/* report.c */
	uint64_t stat_ns;
	uint64_t space_ns;
	uint64_t reader_check_ns;
	uint64_t bad_values;
	/* what was counted so far */
	struct scribe_counted {
		struct sequence_counts sequence;
		uint64_t failures;
		uint64_t orphaned;
		uint64_t swept;
		uint64_t trimmed;
		uint64_t merged;
		uint64_t expired;
		uint64_t upkeep_failures;
		uint64_t ballast_uses;
		uint64_t streams;
	} counted;
};

/* main.c */
void scribe_configure(struct scribe *s);

/* master.c */
void scribe_hello(struct scribe *s);
void scribe_on_master(struct scribe *s);
/* What upkeep and readers have to tell the master. */
void scribe_retention_done(void *arg, const struct upkeep_done *done);
void scribe_reader_stuck(void *arg, pid_t pid, uint64_t ms);

/* loop.c: returns the exit status */
int scribe_loop(struct scribe *s);

/* rings.c */
/* The store may be in the next ring already: then so are we. */
void scribe_rings_resume(struct scribe *s);
/* The ring that is published into. */
struct ring *scribe_rings_last(const struct scribe *s);
/* Go on in the next ring as far as possible; true: there is more to do. */
bool scribe_rings_turn(struct scribe *s);

/* report.c */
void report_start(struct scribe *s);
void report_batch(void *arg, const struct commit_batch *batch);
void report_turn(struct scribe *s, uint64_t now_ns);
void report_state(struct scribe *s);
void report_slice(void *arg, uint64_t ns);
/* What a predecessor left of the clock, and to a successor. */
void report_steps_get(struct scribe *s, struct steps_state *before);
void report_step(struct scribe *s, int64_t step_ms);

#endif /* SCRIBE_SCRIBE_H */
