/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * shared - the memory that all processes share, as the master makes it.
 */

#ifndef MASTER_SHARED_H
#define MASTER_SHARED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shm/ring.h"
#include "shm/segment.h"
#include "shm/tables.h"
#include "shm/wake.h"

struct config;

struct shared {
	struct tables *tables;
	struct segment log_seg, live_seg;
	struct ring *log, *live;
	struct wake *wake;
	/* one a consumer; they outlive the children */
	int efd[WAKE_CONSUMERS];
	struct ring_geometry geometry;
	/* of the rings above; each that follow on others have the next */
	uint64_t generation;
	/* those that follow on them, until they are in force */
	struct segment next_log_seg, next_live_seg;
	struct ring *next_log, *next_live;
	struct ring_geometry next_geometry;
	/* the log ring before, closed, while a scribe may not be through with
	 * it; mem is NULL when there is none */
	struct segment old_log_seg;
	/* how often the rings were made anew further up */
	unsigned raised;
};

/*
 * Tables for 'clients' connections, and both rings for so many workers.
 * No return on failure.
 */
void shared_create(struct shared *sh, const struct config *cfg,
    unsigned workers, uint32_t clients);

/*
 * The store has seen positions above those of our rings: make the rings
 * anew, further up.  Only while there is no worker.  -1: that does not help
 * (any more).
 */
int shared_raise(struct shared *sh);

/*
 * Make the rings that follow, as 'cfg' wants them.  They begin far enough
 * above the ends of the old ones.  -1 with errno and *why_r: nothing has
 * changed.
 */
int shared_next(struct shared *sh, const struct config *cfg, unsigned workers,
    const char **why_r);
void shared_next_free(struct shared *sh);

/*
 * Close the rings, and let those that follow be in force.  -1 with errno:
 * EAGAIN, try again; ERANGE, so much has been published meanwhile that they
 * would have to begin further up; then nothing has changed.  After EAGAIN
 * *begun_r says whether there is a way back.
 */
int shared_switch(struct shared *sh, bool *begun_r);
/* No scribe needs the old log ring any more. */
void shared_old_free(struct shared *sh);

void shared_free(struct shared *sh);

#endif /* MASTER_SHARED_H */
