/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * expire - deletes merged message ids whose window is over.
 *
 * As sweep.h for recovery rows: now and then through all of them, a slice at
 * a time.  Nobody depends on when that happens: who finds a row looks at its
 * time.
 */

#ifndef SCRIBE_EXPIRE_H
#define SCRIBE_EXPIRE_H

#include <stdbool.h>
#include <stdint.h>

#include "store/write.h"

/* rows looked at in one slice; between two slices, and two passes */
#define EXPIRE_SLICE 512
#define EXPIRE_SLICE_NS 20000000ULL
#define EXPIRE_PASS_MIN_NS 60000000000ULL
#define EXPIRE_PASS_MAX_NS 3600000000000ULL

struct expire {
	struct store *store;
	struct store_place place;
	uint64_t next_ns;
	/* without pauses, from the first row to the last */
	bool now;
	/* of this pass, and of all */
	uint64_t pass_removed;
	uint64_t removed;
};

/* 's' must outlive it. */
void expire_init(struct expire *e, struct store *s);

/* When there is something to do again. */
uint64_t expire_next(const struct expire *e);

/* Begin a pass at the first row, without pauses. */
void expire_now(struct expire *e);

/*
 * Do a slice, between two batches: delete what is from before now - window.
 * 1: a pass is complete, e->pass_removed is its; 0: there is more; -1 with
 * errno: this slice was not done and will be tried again.
 */
int expire_slice(struct expire *e, uint64_t now_ms, uint64_t window_ms,
    uint64_t now_ns);

/* Rows that were deleted. */
uint64_t expire_count(const struct expire *e);

#endif /* SCRIBE_EXPIRE_H */
