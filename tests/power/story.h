/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * story - a daemon's life in short: members come and go, write, say things
 * twice; scribes are killed in the middle of what they do and others take
 * over; now and then all of it starts anew.  The clock is the story's own,
 * and one process runs at a time, so the same seed makes the same journal.
 */

#ifndef TESTS_POWER_STORY_H
#define TESTS_POWER_STORY_H

#include <stdint.h>

#include "tests/power/journal.h"

struct story_counts {
	unsigned lives, killed, restarts;
	unsigned published, told, stored, duplicates;
};

/*
 * Play 'steps' steps in the current directory, with the fault that the
 * journal plants, and write down what happens.  0, or -1 if a scribe ended
 * of itself.
 */
int story_play(struct journal *j, uint64_t seed, unsigned steps,
    struct story_counts *counts_r);

/* Set the clock that this program has: ms since 1970. */
void story_clock(uint64_t now_ms);

#endif /* TESTS_POWER_STORY_H */
