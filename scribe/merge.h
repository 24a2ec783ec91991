/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * merge - the ids of a room's messages, from memory into the store.
 *
 *   msg:   1 ... merged.seq | ... target | ...
 *          known by 'dedupe'| under way  | known by the room's table
 *
 * Ids are random, so a row with each message would write a page with each
 * message.  A merge takes many at once, sorted as the table is, in slices:
 *
 *   GATHER  hash and seq of the messages up to the target are read; what
 *           a slice has read is sorted by hash, a run
 *   PUT     their ids are put into 'dedupe', the runs merged into one order
 *           with the last slice merged.seq moves to the target
 *
 * Until it has moved, the room's table and after a restart its log know the
 * same ids: a merge that ends in the middle costs nothing but its rows,
 * which are put again.  It touches nothing that a message waits for, except
 * that the store has one writer.
 */

#ifndef SCRIBE_MERGE_H
#define SCRIBE_MERGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "scribe/rooms.h"
#include "store/write.h"

/* messages that are read, and rows that are put, in one slice; a larger one
 * takes longer, but less for each row */
#define MERGE_READ 2048
#define MERGE_PUT 512
#define MERGE_PUT_URGENT 2048
/* ids of one merge: what is left is merged by the next */
#define MERGE_MAX (1u << 17)
/* what one slice read is sorted by itself: nothing here takes long */
#define MERGE_RUNS (MERGE_MAX / MERGE_READ + 1)

struct merge_id {
	uint64_t hash;
	uint64_t seq;
};

struct merge_run {
	size_t next;
	size_t end;
};

struct merge {
	struct store *store;
	/* 0: nothing under way */
	uint64_t room;
	uint64_t since_ms;
	/* up to where 'dedupe' knows the room; what comes next; up to where
	 * it shall know it, and the position of that message */
	struct store_merged from;
	uint64_t next_seq;
	uint64_t target;
	uint64_t target_gseq;
	bool gathered;
	struct merge_id *id;
	size_t n, cap, done;
	struct merge_run run[MERGE_RUNS];
	unsigned nruns;
	/* a merge ends with so many; at most MERGE_RUNS */
	unsigned max_runs;
	/* rows that were put, since the beginning */
	uint64_t put;
};

/* 's' must outlive it. */
void merge_init(struct merge *m, struct store *s);
void merge_clear(struct merge *m);

/* Is one under way? */
bool merge_active(const struct merge *m);
/* Forget the one that is under way. */
void merge_stop(struct merge *m);

/*
 * Begin with a room; ids of messages from before 'since_ms' are not worth a
 * row.  0, or -1 with errno.
 */
int merge_begin(struct merge *m, uint64_t room, uint64_t since_ms);

/*
 * Do one slice, between two batches, with at most 'max' rows.  1: done, and
 * the rooms know; 0: there is more; -1 with errno, and it has ended.
 */
int merge_slice(struct merge *m, struct rooms *rs, unsigned max);

/* Rows that were put. */
uint64_t merge_count(const struct merge *m);

#endif /* SCRIBE_MERGE_H */
