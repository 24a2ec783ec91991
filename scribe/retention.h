/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * retention - removes messages that are too old, or too many in their room.
 *
 *   rooms in the order of their numbers, again and again:
 *
 *     1 2 3 4 5 6 7 8 9 ...
 *         [-------]          looked at in one list
 *           ^                trimmed from the front, some messages a slice
 *
 * A slice is one small transaction: the pages that it frees are those that
 * the next messages are written to, so a store that is in balance does not
 * grow.  A room whose rows are damaged is passed by.
 *
 * A walk on demand is the same without the pauses.
 */

#ifndef SCRIBE_RETENTION_H
#define SCRIBE_RETENTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "scribe/rooms.h"
#include "store/write.h"

/* messages removed in one slice: at least so many may be, and at most;
 * between them twice as many as were stored since the slice before */
#define RETENTION_SLICE 64
#define RETENTION_SLICE_MAX 512
/* rooms looked at in one slice */
#define RETENTION_ROOMS 64
/* between two slices, and from one walk to the next: while there is
 * something to remove, and (about) when there is nothing for long */
#define RETENTION_SLICE_NS 5000000ULL
#define RETENTION_BUSY_NS 1000000000ULL
#define RETENTION_WALK_NS 60000000000ULL

struct retention_limits {
	/* 0: whatever their age */
	uint64_t before_ms;
	/* of one room; 0: any number */
	uint64_t max_messages;
	/* ids of messages since then are to be recognised; UINT64_MAX: none */
	uint64_t keep_ids_ms;
};

struct retention {
	struct store *store;
	uint64_t next_ns;
	uint64_t pause_ns;
	/* by sequence_counts */
	uint64_t stored_before;
	struct store_place place;
	uint64_t room[RETENTION_ROOMS];
	unsigned nrooms, at;
	/* without pauses, from the first room to the last */
	bool now;
	/* of this walk, and of all */
	uint64_t rooms;
	uint64_t walk_removed;
	uint64_t removed;
};

/* 's' must outlive it. */
void retention_init(struct retention *r, struct store *s);

/* When there is something to do again. */
uint64_t retention_next(const struct retention *r);

/* Begin a walk at the first room, without pauses. */
void retention_now(struct retention *r);

/*
 * Do a slice, between two batches; 'stored' is how many messages were stored
 * so far.  1: a walk is complete, r->rooms and r->walk_removed are its;
 * 0: there is more; -1 with errno: this slice was not done and will be
 * tried again.
 */
int retention_slice(struct retention *r, struct rooms *rs,
    const struct retention_limits *limits, uint64_t stored, uint64_t now_ns);

/* Messages that were removed. */
uint64_t retention_count(const struct retention *r);

#endif /* SCRIBE_RETENTION_H */
