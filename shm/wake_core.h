/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * wake_core - the two halves of the sleep handshake.
 *
 *   sleeper: announce; look for work; block        waker: make work; take
 *
 * Each side first writes what the other side reads next.  With sequentially
 * consistent accesses at least one of them sees the other, so that work is
 * never made unseen while its consumer goes to sleep.
 */

#ifndef SHM_WAKE_CORE_H
#define SHM_WAKE_CORE_H

#include <stdint.h>

#include "shm/atomic.h"
#include "shm/order.h"

static inline void
wake_core_announce(a_u64 *sleepers, uint64_t bit)
{
	(void)A_OR(sleepers, bit, O_SLEEP_SET);
}

static inline void
wake_core_retract(a_u64 *sleepers, uint64_t bit)
{
	(void)A_AND(sleepers, ~bit, O_SLEEP_SET);
}

/* Which of 'mask' slept and are now the caller's to wake. */
static inline uint64_t
wake_core_take(a_u64 *sleepers, uint64_t mask)
{
	mask &= A_LOAD(sleepers, O_SLEEP_SEEN);
	if (mask == 0)
		return 0;
	return A_AND(sleepers, ~mask, O_SLEEP_TAKE) & mask;
}

#endif /* SHM_WAKE_CORE_H */
