/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * orphans - members whose worker died without saying that they leave.
 *
 * Once all that a dead worker published has been decided, each row of
 * presence that is its own gets a LEAVE, published by the scribe like any
 * other event.  It goes a few rows a turn, and waits while the ring is full.
 * Nor could it say which sessions its clients have lost with it (shm/lost.h):
 * that is done here, too.
 */

#ifndef SCRIBE_ORPHANS_H
#define SCRIBE_ORPHANS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shm/ring.h"
#include "store/write.h"

struct orphans;
struct tables;

/* NULL: ENOMEM. */
struct orphans *orphans_new(struct ring *log, struct store *s);
void orphans_free(struct orphans **o);

/*
 * From now on remember sessions that are lost for 'window_ms'; 0, and before
 * this is called: not at all.
 */
void orphans_remember(struct orphans *o, struct tables *t, uint64_t window_ms);

/* Publish there from now on: the ring is closed, this one follows on it. */
void orphans_move(struct orphans *o, struct ring *log);

/*
 * A worker has been reaped; everything it published is below 'pos'; 'ordered':
 * it had been told to end.  0, or -1 with errno ENOMEM.
 */
int orphans_worker_dead(struct orphans *o, uint32_t incarnation, uint64_t pos,
    bool ordered);

/*
 * A new scribe takes over: members of all incarnations below its own that
 * are not among the living are orphans.  The living are asked about theirs,
 * each by a RECORD_ASK: a leave that was decided while the disk was full may
 * be lost with the scribe before us.  'pos' is the end of what is published.
 */
int orphans_takeover(struct orphans *o, uint32_t own, const uint32_t *living,
    size_t n, uint64_t pos);

/*
 * Do some of what is due; 'next' is the first position not decided.
 * Returns whether there is more that could be done now or soon.
 */
bool orphans_turn(struct orphans *o, uint64_t next);
/* Members that were published as gone. */
uint64_t orphans_count(const struct orphans *o);

#endif /* SCRIBE_ORPHANS_H */
