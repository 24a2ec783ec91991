/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * shared - the memory that all processes share, as the master makes it.
 */

#ifndef MASTER_SHARED_H
#define MASTER_SHARED_H

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

void shared_free(struct shared *sh);

#endif /* MASTER_SHARED_H */
