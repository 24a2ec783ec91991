/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * overload - is there more to do than this worker can?
 *
 * Three signs: how late the loop looks at its clients, how full the log ring
 * is, and how much of the chunks is in use.  The worst of them counts.  While
 * it is high the level rises by one a second, and each level halves what a
 * user may ask for at once (shm/gcra.h): so those who ask for most are refused
 * first, by OVERLOADED, and those who ask for little notice nothing.  It falls
 * as it rose when all is well again.
 */

#ifndef WORKER_OVERLOAD_H
#define WORKER_OVERLOAD_H

#include <stdbool.h>
#include <stdint.h>

/* signs go from 0 to 100; from HIGH on it is too much, below LOW all is well */
#define OVERLOAD_HIGH 80
#define OVERLOAD_LOW 50
#define OVERLOAD_LEVELS 6
/* so many ms late, on average, are 100 */
#define OVERLOAD_LATE_MS 250

struct overload {
	unsigned level;
	/* ms that the loop was late, on average of about a second, times 16 */
	unsigned late;
	uint64_t last_ms;
	/* all is well (-1), or it is too much (1), since then */
	int way;
	uint64_t since_ms;
};

/*
 * To be called each 'period_ms', as well as the loop can, with the other
 * signs.  True: the level has changed.
 */
bool overload_tick(struct overload *o, uint64_t now_ms, unsigned period_ms,
    unsigned ring, unsigned chunks);

#endif /* WORKER_OVERLOAD_H */
