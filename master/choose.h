/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * choose - which worker gets the next client.
 */

#ifndef MASTER_CHOOSE_H
#define MASTER_CHOOSE_H

#include <stdbool.h>
#include <stdint.h>

struct choice {
	/* alive, ready, and its channel takes more */
	bool usable;
	/* connections that it has or has been given */
	uint64_t load;
};

/*
 * The least loaded of the 'n' that are usable, or -1.  Of those that are
 * equal they take turns: *turn is where to begin, and is moved on.
 */
int choose_worker(const struct choice *c, unsigned n, unsigned *turn);

#endif /* MASTER_CHOOSE_H */
