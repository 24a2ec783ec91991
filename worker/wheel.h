/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * wheel - thousands of absolute deadlines for the price of a list.
 *
 * A deadline is put into the bucket of its time; every turn of the loop the
 * buckets whose time has come are emptied.  A deadline beyond the horizon
 * waits in the last bucket and is looked at again.  Moving a deadline later
 * costs nothing: the entry stays where it is and is put off when its old
 * bucket comes up.  Resolution WHEEL_TICK_MS; nothing fires early.
 */

#ifndef WORKER_WHEEL_H
#define WORKER_WHEEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WHEEL_TICK_MS 64
#define WHEEL_BUCKETS 1024

/* Embedded in what has a deadline. */
struct wheel_entry {
	struct wheel_entry *next;
	/* what points at us; NULL when in no bucket */
	struct wheel_entry **prev;
	/* CLOCK_MONOTONIC ms; 0: none */
	uint64_t due_ms;
	/* the time of the bucket we are in */
	uint64_t bucket_ms;
};

struct wheel {
	struct wheel_entry *bucket[WHEEL_BUCKETS];
	uint64_t now_tick;
};

/* The entry's time has come; it is in no bucket any more. */
typedef void (*wheel_fn)(void *arg, struct wheel_entry *e);

void wheel_init(struct wheel *wh, uint64_t now_ms);
/* Set, move or (due_ms 0) take away a deadline. */
void wheel_set(struct wheel *wh, struct wheel_entry *e, uint64_t due_ms);
void wheel_clear(struct wheel_entry *e);
/*
 * Call 'fn' for each entry that is due.  It may set and clear any entry.
 */
void wheel_run(struct wheel *wh, uint64_t now_ms, wheel_fn fn, void *arg);

#endif /* WORKER_WHEEL_H */
