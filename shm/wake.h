/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * wake - putting a process to sleep and waking it, without losing a wake-up.
 *
 * A process announces in shared memory that it is about to sleep, looks once
 * more whether there is work, and only then blocks on its eventfd.  Whoever
 * makes work looks at the announcement afterwards, and writes the eventfd
 * only if it took the announcement away itself.  Both sides use sequentially
 * consistent accesses (the store-buffer litmus; tests/model/wake.pml).
 *
 * A waker may be killed between taking the bit and writing the eventfd: the
 * master therefore calls wake_kick_all() after each child it has reaped.
 *
 * Consumers 0..WAKE_WORKERS-1 are the workers by slot, WAKE_SCRIBE is the
 * scribe.
 */

#ifndef SHM_WAKE_H
#define SHM_WAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WAKE_WORKERS 64
#define WAKE_SCRIBE 64
#define WAKE_CONSUMERS 65

/* One process's view; opaque. */
struct wake;

/* Bytes of shared memory that wake_attach() wants, zeroed, 128-aligned. */
size_t wake_size(void);

/*
 * Use the area at 'mem'; 'efd' are WAKE_CONSUMERS eventfds (EFD_NONBLOCK),
 * which stay the caller's.  Returns NULL with errno ENOMEM.
 */
struct wake *wake_attach(void *mem, const int efd[WAKE_CONSUMERS]);
void wake_detach(struct wake **w);

/*
 * Wake one consumer if it sleeps.  Cheap when it does not: one load.
 * Returns whether the eventfd was written.
 */
bool wake_one(struct wake *w, unsigned who);

/* Wake each worker whose bit is set in 'mask' and that sleeps. */
void wake_workers(struct wake *w, uint64_t mask);

/* The workers that have announced sleep; a hint. */
uint64_t wake_sleepers(const struct wake *w);

/*
 * Announce that 'who' is about to sleep.  The caller then checks all its
 * sources of work with sequentially consistent loads, and calls
 * wake_cancel() before it works on, whether it slept or not; that also
 * empties the eventfd.
 */
void wake_prepare(struct wake *w, unsigned who);
void wake_cancel(struct wake *w, unsigned who);

/* Clear all announcements and write all eventfds: after a child's death. */
void wake_kick_all(struct wake *w);

#endif /* SHM_WAKE_H */
