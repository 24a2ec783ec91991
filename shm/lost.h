/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * lost - which sessions users have lost with their connection, not long ago.
 *
 * Who joins such a session again within the recovery window is not charged
 * for it (contract, "Security").  A table of a fixed size, of keyed hashes:
 * one word an entry, changed by a compare-and-swap, so that a killed process
 * leaves nothing half done.  When a set of it is full the entry that would be
 * over first is given up: then a join counts that need not have.
 */

#ifndef SHM_LOST_H
#define SHM_LOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOST_WAYS 8

struct tables;

/* Bytes of the table; for shm/tables.c. */
size_t lost_size(void);

/*
 * A connection of the user with this key (struct user_ref) is lost, which
 * was in the session with this name; remembered until 'until_ms'
 * (CLOCK_MONOTONIC), as often as it happens.
 */
void lost_put(struct tables *t, uint64_t user, const char *workspace,
    const char *session, uint64_t until_ms);

/* Is that remembered?  Once for each time that it happened. */
bool lost_take(struct tables *t, uint64_t user, const char *workspace,
    const char *session, uint64_t now_ms);

#endif /* SHM_LOST_H */
