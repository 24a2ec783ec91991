/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * life - a scribe without its process: what its loop does, turn by turn.
 */

#ifndef TESTS_POWER_LIFE_H
#define TESTS_POWER_LIFE_H

#include <stdbool.h>
#include <stdint.h>

#include "scribe/commit.h"
#include "scribe/orphans.h"
#include "scribe/sequence.h"
#include "scribe/steps.h"
#include "scribe/upkeep.h"
#include "tests/power/small_ring.h"

struct life {
	struct store *store;
	struct ring *ring;
	struct scribe_log log;
	struct sequence *seq;
	struct commit *commit;
	struct orphans *orphans;
	struct steps steps;
	struct upkeep upkeep;
};

#define LIFE_DEDUPE_MS (7 * 86400000ULL)
#define LIFE_RECOVERY_MS 120000
/* of one room: the older ones are removed */
#define LIFE_MAX_MESSAGES 60

/*
 * Open the store below the current directory and take the ring over, as the
 * 'incarnation'th process of the daemon.  0, or -1 with *why_r.
 */
int life_begin(struct life *l, const struct small_ring *r, uint32_t incarnation,
    const char **why_r);
/* Only the store; to be read before life_resume(). */
int life_open(struct life *l, const char **why_r);
int life_resume(struct life *l, const struct small_ring *r,
    uint32_t incarnation, const char **why_r);
/* No upkeep from now on. */
void life_only_commit(struct life *l);
/* Until there is nothing to do: 0, or -1 if it cannot go on. */
int life_turns(struct life *l);
void life_end(struct life *l);

#endif /* TESTS_POWER_LIFE_H */
