/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * stream_work - what a worker may do with streams, at random, and what every
 * reader must find.
 *
 * A stream's head is a number, and every byte of its text, the length of
 * each chunk and its tails follow from that.  So whoever reads, and whoever
 * takes it over, can tell whether all of it is its own.  A few ids in two
 * rooms, a table that is nearly always full: everybody wants the same.
 */

#ifndef TESTS_STRESS_STREAM_WORK_H
#define TESTS_STRESS_STREAM_WORK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "shm/stream.h"
#include "shm/tables.h"

#define STREAM_WORK_OWN 8
#define STREAM_WORK_ROWS 256

/* What all see, besides the tables. */
struct stream_board {
	_Atomic unsigned errors;
	_Atomic unsigned long begun, twice, full, appended, claimed, ended;
	_Atomic unsigned long reads, stale, orphans, tails, cancelled;
	/* who writes: by row, generation:32 | incarnation:32 */
	_Atomic uint64_t writer[STREAM_WORK_ROWS];
};

struct stream_worker {
	struct tables *tables;
	struct stream_board *board;
	uint32_t incarnation;
	uint64_t seed;
	unsigned nown;
	struct stream_ref own[STREAM_WORK_OWN];
	/* a stream that it looks at, and how far that was */
	struct stream_ref look;
	struct stream_progress seen;
};

/* One thing that a worker does, or a reader. */
void stream_work(struct stream_worker *w);
void stream_work_read(struct stream_worker *w);
/* Never two that run with one id. */
void stream_work_twins(struct stream_worker *w);
/*
 * All who worked are dead: take over and end whatever they left, and look
 * whether anything is lost.
 */
void stream_work_clean(struct stream_worker *w);

/* Nobody is to use it but the above. */
void stream_work_wrong(struct stream_worker *w, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

#endif /* TESTS_STRESS_STREAM_WORK_H */
