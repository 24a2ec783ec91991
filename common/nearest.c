/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * nearest - what somebody who mistyped a name may have meant.
 */

#include "common/nearest.h"

#include <stdint.h>
#include <string.h>

static size_t
min2(size_t a, size_t b)
{
	return a < b ? a : b;
}

size_t
nearest_distance(const char *a, const char *b)
{
	/* the row before the last, the last, and the one being made */
	size_t rows[3][NEAREST_MAX_NAME + 1];
	size_t *prev2 = rows[0], *prev = rows[1], *row = rows[2], *free_row;
	size_t la = strlen(a), lb = strlen(b), i, j, d;

	if (la > NEAREST_MAX_NAME || lb > NEAREST_MAX_NAME)
		return SIZE_MAX;
	for (j = 0; j <= lb; j++)
		prev[j] = j;
	for (i = 1; i <= la; i++) {
		row[0] = i;
		for (j = 1; j <= lb; j++) {
			d = prev[j - 1] + (a[i - 1] != b[j - 1]);
			d = min2(d, min2(prev[j], row[j - 1]) + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] &&
			    a[i - 2] == b[j - 1])
				d = min2(d, prev2[j - 2] + 1);
			row[j] = d;
		}
		free_row = prev2;
		prev2 = prev;
		prev = row;
		row = free_row;
	}
	return prev[lb];
}

void
nearest_init(struct nearest *n, const char *name)
{
	*n = (struct nearest){ .name = name, .distance = SIZE_MAX };
}

void
nearest_try(struct nearest *n, const char *candidate)
{
	size_t d;

	if (candidate == NULL)
		return;
	d = nearest_distance(n->name, candidate);
	if (d < n->distance) {
		n->distance = d;
		n->best = candidate;
	}
}

const char *
nearest_get(const struct nearest *n)
{
	size_t len;

	if (n->best == NULL || n->distance == SIZE_MAX)
		return NULL;
	/* a third of the letters may be wrong, one always */
	len = strlen(n->best);
	return n->distance <= (len < 6 ? 1 : len / 3) ? n->best : NULL;
}
