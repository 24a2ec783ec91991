/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * log - where the scribe's input comes from, and who hears of its verdicts.
 *
 * The scribe applies an ordered log of records; nothing else in it knows
 * which.  On one host the log is the log ring (log_ring.c).  The same
 * records in the same order give the same seq everywhere.
 */

#ifndef SCRIBE_LOG_H
#define SCRIBE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shm/ring.h"

struct scribe_log {
	void *ctx;
	/* bytes that fetch() wants to have room for */
	size_t max_record;

	/* Is there a record at 'pos'?  Sequentially consistent. */
	bool (*waiting)(void *ctx, uint64_t pos);
	/*
	 * Copy the record at 'pos' and fill in what the log knows of its
	 * index entry.  RING_OK, RING_EMPTY, or RING_BAD: it makes no sense,
	 * but has a place in the order and gets a verdict all the same.
	 */
	enum ring_result (*fetch)(void *ctx, uint64_t pos, void *buf,
	    size_t size, size_t *len_r, struct ring_index *ix_r);
	/* The verdict; to be seen when durable() has passed 'pos'. */
	void (*decide)(void *ctx, uint64_t pos, const struct ring_index *ix);
	/* All of [from, next) is decided and in the store. */
	void (*durable)(void *ctx, uint64_t from, uint64_t next);
	/* Up to where durable() came, in this process's or a former's life. */
	uint64_t (*durable_pos)(void *ctx);
	/* records that may be under way, each publisher a quarter of them; 0:
	 * any number */
	uint64_t slots;
};

/* The log that is a ring; 'ring' must outlive it. */
void scribe_log_ring(struct scribe_log *log, struct ring *ring);

#endif /* SCRIBE_LOG_H */
