/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * backoff - when a child that died is started again.
 *
 * A child that had served for a while is replaced at once, however often
 * that happens.  One that dies early (before it is ready, or within half a second
 * of that) is replaced at once the first time, then after 100 ms, 200 ms, and
 * so on.  How long that may grow, and whether there is an end to it, depends
 * on whether the daemon ever worked: what never worked is given up, so that
 * whoever starts it is told; what worked is tried for ever, and often, lest
 * somebody who found a way to kill a worker can turn the daemon off.
 */

#ifndef MASTER_BACKOFF_H
#define MASTER_BACKOFF_H

#include <stdbool.h>
#include <stdint.h>

/* ready for less than this: died early */
#define BACKOFF_EARLY_MS 500
#define BACKOFF_FIRST_MS 100
/* the longest delays: while the daemon starts, and once it has worked */
#define BACKOFF_MAX_MS 30000
#define BACKOFF_MAX_WORKED_MS 1000
/* early deaths in a row that end the first start */
#define BACKOFF_GIVE_UP 10

/* One place for a child; all zero is a place where nobody died. */
struct backoff {
	/* early deaths in a row */
	unsigned early;
};

/*
 * The child of this place died.  'ready_for_ms' is how long it had been
 * ready (0: never), 'worked' whether the daemon has ever been complete.
 * Returns the ms to wait before the next one.
 */
uint64_t backoff_died(struct backoff *b, uint64_t ready_for_ms, bool worked);

/* The daemon never worked and will not: too many early deaths. */
bool backoff_hopeless(const struct backoff *b, bool worked);

/* More than BURST_MAX deaths within BURST_MS, whenever they were. */
#define BURST_MAX 5
#define BURST_MS 60000

struct burst {
	uint64_t at_ms[BURST_MAX];
	unsigned next;
	unsigned n;
};

/* One more at 'now_ms'; returns whether these are too many. */
bool burst_add(struct burst *b, uint64_t now_ms);

#endif /* MASTER_BACKOFF_H */
