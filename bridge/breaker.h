/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * breaker - whether it makes sense to ask the application at all.
 *
 *   CLOSED --- so many failures in a row ---> OPEN: nobody asks
 *     ^                                        |  after a while
 *     +------------ it answered -------- one question as a probe
 *                                              |  it failed: OPEN, for longer
 *
 * What is a failure is the caller's to say: that nobody answered, not that
 * the answer was no good.  Otherwise whoever finds a token that the
 * application stumbles over could have everybody refused.
 */

#ifndef BRIDGE_BREAKER_H
#define BRIDGE_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

/* failures in a row that open it */
#define BREAKER_FAILURES 5
/* until the first probe; twice as long after each that fails */
#define BREAKER_FIRST_MS 1000
#define BREAKER_MAX_MS 8000

/* All zero: closed. */
struct breaker {
	unsigned failures;
	/* 0: closed; else how long it is open before the next probe */
	uint64_t open_ms;
	/* when that is; mono ms */
	uint64_t probe_at;
	/* one is under way */
	bool probing;
};

/*
 * May one more question be put?  *probe_r: it is the probe, and its outcome
 * must be told: success or failure, or breaker_forget() if there is none.
 */
bool breaker_allows(struct breaker *b, uint64_t now_ms, bool *probe_r);
/* It answered.  Returns whether it was taken for down. */
bool breaker_success(struct breaker *b);
/* It did not.  Returns whether it is taken for down only now. */
bool breaker_failure(struct breaker *b, uint64_t now_ms, bool probe);
void breaker_forget(struct breaker *b, bool probe);

/* Would it be allowed? */
bool breaker_is_ready(const struct breaker *b, uint64_t now_ms);
bool breaker_is_open(const struct breaker *b);
/* Whole seconds until it is worth trying again, at least 1. */
unsigned breaker_retry_after(const struct breaker *b, uint64_t now_ms);

#endif /* BRIDGE_BREAKER_H */
