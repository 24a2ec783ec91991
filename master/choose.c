/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * choose - which worker gets the next client.
 */

#include "master/choose.h"

int
choose_worker(const struct choice *c, unsigned n, unsigned *turn)
{
	int best = -1;

	for (unsigned i = 0; i < n; i++) {
		unsigned k = (*turn + i) % n;

		if (c[k].usable && (best == -1 || c[k].load < c[best].load))
			best = (int)k;
	}
	if (best != -1)
		*turn = ((unsigned)best + 1) % n;
	return best;
}
