/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * steer - what operators decide: bans, mutes, revocations, kicks.
 *
 * The actions are chat/steer.h's.  What lasts is a row of the table 'ban'
 * under its kind and id; the same again replaces it.  A kick is kept for as
 * long as a worker may be out of the log, so that none misses it; on a store
 * that cannot be written it is let through without a row, and so is a
 * broadcast, which has none.
 */

#ifndef SCRIBE_STEER_H
#define SCRIBE_STEER_H

#include <stdbool.h>
#include <stdint.h>

#include "scribe/sequence.h"
#include "store/write.h"

/* so long the row of a kick is of use */
#define STEER_KICK_MS 120000
/* between two slices, and two passes, of looking for rows that have ended */
#define STEER_SLICE_NS 20000000ULL
#define STEER_PASS_NS 10000000000ULL

struct sequence_event;

/*
 * RING_STORED, every worker is to hear of it; RING_NOT_FOUND: there was
 * nothing to take back; RING_REJECTED: it makes no sense.
 */
enum ring_verdict steer_decide(struct sequence *q,
    const struct sequence_event *ev);

/*
 * Was this socket, or its user, kicked after it had entered a room that it
 * has?  What its worker does about that may not have been published yet.
 */
bool steer_has_kicked(const struct sequence *q,
    const struct store_recovery *row);

/* Removes rows that have ended; as scribe/sweep.h. */
struct steer_sweep {
	struct store *store;
	struct store_place place;
	uint64_t next_ns;
	uint64_t removed;
};

void steer_sweep_init(struct steer_sweep *sw, struct store *s);
uint64_t steer_sweep_next(const struct steer_sweep *sw);
/* A slice: 0, or -1 with errno: it will be tried again. */
int steer_sweep_turn(struct steer_sweep *sw, uint64_t now_ns, uint64_t now_ms);

#endif /* SCRIBE_STEER_H */
