/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * torture - what the processes of ring_torture share.
 *
 * A parent (the master), one scribe, some workers and an auditor.  Scribe
 * and workers are killed and stopped; parent and auditor are not.  Whoever
 * finds something wrong says so, counts it in board->errors and exits; the
 * run has failed then.
 */

#ifndef TESTS_STRESS_TORTURE_H
#define TESTS_STRESS_TORTURE_H

#include <sys/types.h>

#include <lmdb.h>
#include <stdbool.h>
#include <stdint.h>

#include "shm/ring.h"
#include "shm/wake.h"
#include "tests/stress/fault.h"

#define TORTURE_WORKERS 4
/* each process that is started gets a number of its own, its incarnation */
#define TORTURE_AUTHORS (1 << 16)
#define TORTURE_ROOMS 32
#define TORTURE_BLOCK 256
#define TORTURE_BLOCKS (1 << 14)
/* rows that stay in the store behind the auditor */
#define TORTURE_KEEP 1000000

/* How long the idle sleep; calm: nobody is stopped, and work of this age that
 * a sleeper finds when its time is over means that a wake-up was lost. */
#define TORTURE_TICK_MS 250
#define TORTURE_CALM_TICK_MS 2000
#define TORTURE_LATE_NS 500000000u
#define TORTURE_TIMES (1 << 16)

enum torture_phase {
	TORTURE_RUN,
	/* publish nothing new, deliver what there is */
	TORTURE_DRAIN,
	TORTURE_EXIT,
};

/* Shared by all; each field says who writes it. */
struct board {
	/* parent */
	_Atomic int phase;
	/* everybody */
	_Atomic unsigned errors;
	_Atomic unsigned fired[FAULT__MAX];
	_Atomic uint64_t full, rejoined, live_rejoined, compared;
	_Atomic uint64_t live_published, live_compared, slept;
	/* the highest position whose ring_publish() has returned */
	_Atomic uint64_t newest;
	/* by incarnation: counters of the author, who writes them */
	_Atomic uint64_t attempted[TORTURE_AUTHORS];
	_Atomic uint64_t acked[TORTURE_AUTHORS];
	/* the first to finish a block writes number and hash, others compare */
	_Atomic uint64_t block[TORTURE_BLOCKS];
	_Atomic uint64_t live_block[TORTURE_BLOCKS];
	/* auditor: all rows below are checked; by incarnation, the last
	 * counter in the store */
	_Atomic uint64_t audited;
	_Atomic uint64_t stored[TORTURE_AUTHORS];
	/* scribe: when a position became durable */
	_Atomic uint64_t durable_ns[TORTURE_TIMES];
	/* workers: where they are, for the last look */
	_Atomic uint64_t cursor[TORTURE_WORKERS];
	_Atomic uint64_t live_cursor[TORTURE_WORKERS];
};

/* What every process of a run was born with. */
struct torture {
	struct board *board;
	void *wake_mem, *log_mem, *live_mem;
	size_t log_size, live_size;
	int efd[WAKE_CONSUMERS];
	const char *dir;
	uint64_t base;
	/* mean length of a worker's pause between bursts, in us; 0: none */
	unsigned pause_us;
	bool calm, nosync;
	/* also scribble the hint at random */
	bool scribble;
};

/* A row of the store. */
struct torture_row {
	uint64_t counter;
	uint32_t incarnation;
	uint32_t reserved;
};

struct torture_store {
	MDB_env *env;
	MDB_dbi log, meta;
};

/* --- torture_store.c --- */

void store_open(struct torture_store *s, const struct torture *t, bool writer);
/* Where a new scribe resumes, or 0. */
uint64_t store_pos(struct torture_store *s);
/* The rows from 'from' up to 'to' in order to fn, which may be called with
 * gaps; returns how far the store goes within these bounds. */
typedef void store_row_fn(uint64_t gseq, const struct torture_row *row,
    void *arg);
uint64_t store_scan(struct torture_store *s, uint64_t from, uint64_t to,
    store_row_fn *fn, void *arg);

/* --- roles; none of them returns --- */

void worker_run(const struct torture *t, unsigned slot, uint32_t incarnation,
    unsigned log_arena, unsigned live_arena, unsigned seed)
    __attribute__((noreturn));
void scribe_run(const struct torture *t, uint32_t incarnation, unsigned seed)
    __attribute__((noreturn));
void auditor_run(const struct torture *t) __attribute__((noreturn));

/* --- torture_util.c --- */

void torture_fail(const struct torture *t, const char *fmt, ...)
    __attribute__((noreturn, format(printf, 2, 3)));
uint64_t torture_now(void);
unsigned torture_tick(const struct torture *t);
uint64_t torture_mix(uint64_t hash, uint64_t value);
struct ring *torture_attach(const struct torture *t, void *mem, size_t size,
    struct wake *wake);
struct wake *torture_wake(const struct torture *t);
/* Block until woken or 'ms' are over; true: woken. */
bool torture_sleep(const struct torture *t, unsigned who, unsigned ms);
/* Compare the hash of block 'number' with what others have found; true if it
 * could be compared, and it is the same. */
bool torture_block(const struct torture *t, _Atomic uint64_t *blocks,
    uint64_t number, uint64_t hash);
size_t torture_record(void *buf, size_t size, unsigned type, uint64_t room,
    uint32_t incarnation, uint64_t counter, uint32_t request, size_t extra);
void torture_max(_Atomic uint64_t *p, uint64_t value);

#endif /* TESTS_STRESS_TORTURE_H */
