/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * burst - how often a user said the same within a minute, at all workers.
 *
 * A small table of a fixed size, of hashes with a key that is made anew at
 * each start: nobody can choose texts that meet.  When it is full the entry
 * that counts least is given up, so that a burst is the last to be
 * forgotten.  Each word is changed by a compare-and-swap and makes sense by
 * itself, so a process killed anywhere leaves at worst one count too many.
 */

#ifndef SHM_BURST_H
#define SHM_BURST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BURST_WAYS 8

struct tables;

/* Bytes of the table; for shm/tables.c. */
size_t bursts_size(void);

/*
 * The user with this key (struct user_ref) says a text with this mark.
 * False, and it is not counted, if that was counted 'limit' times within
 * the last 60 s; never if it was less often.  What lies between 45 and 60 s
 * behind may have been forgotten, but not as long as the first of them is in
 * the last 60 s.  'limit' is at most 1000, 0: none.
 */
bool burst_charge(struct tables *t, uint64_t user, uint64_t mark,
    uint32_t limit, uint64_t now_ns);
/* One that was counted was a retry. */
void burst_give_back(struct tables *t, uint64_t user, uint64_t mark);

#endif /* SHM_BURST_H */
