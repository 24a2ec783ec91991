/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * readers - who holds a snapshot of the store for too long.
 *
 * Pages that a snapshot can see are not reused, so each commit behind the
 * oldest one makes the file grow.  LMDB tells which transaction a reader
 * sees, not since when: the look that saw it first is taken for that.
 */

#ifndef SCRIBE_READERS_H
#define SCRIBE_READERS_H

#include <sys/types.h>

#include <stdbool.h>
#include <stdint.h>

#include "store/write.h"

#define READERS_EVERY_NS 1000000000ULL
/* told in the log: so long, or so many commits behind */
#define READERS_SLOW_NS 2000000000ULL
#define READERS_SLOW_TXNS 1000
/* told to the master */
#define READERS_STUCK_NS 10000000000ULL

/* A snapshot that was there at the last look. */
struct reader_seen {
	pid_t pid;
	uint64_t txn;
	uint64_t since_ns;
	bool logged;
	/* when the master was told last; 0: it was not */
	uint64_t told_ns;
	bool still;
};

/* One who is stuck; 'ms' is for how long. */
typedef void readers_stuck_fn(void *arg, pid_t pid, uint64_t ms);

struct readers {
	struct store *store;
	readers_stuck_fn *stuck;
	void *arg;
	pid_t self;
	uint64_t next_ns;
	struct reader_seen seen[STORE_MAX_READERS];
	unsigned n;
	/* the oldest of the last look, 0 if there is none */
	pid_t oldest_pid;
	uint64_t oldest_ms;
	uint64_t oldest_txns;
};

/* 's' must outlive it; 'stuck' may be NULL. */
void readers_init(struct readers *r, struct store *s, readers_stuck_fn *stuck,
    void *arg);

/* Look if it is time to (CLOCK_MONOTONIC).  Returns whether it looked. */
bool readers_turn(struct readers *r, uint64_t now_ns);

#endif /* SCRIBE_READERS_H */
