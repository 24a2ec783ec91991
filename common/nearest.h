/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * nearest - what somebody who mistyped a name may have meant.
 */

#ifndef COMMON_NEAREST_H
#define COMMON_NEAREST_H

#include <stddef.h>

/* Longer names have no neighbours. */
#define NEAREST_MAX_NAME 64

/*
 * How many letters must be inserted, removed, changed or swapped with their
 * neighbour to make one of the other (Damerau-Levenshtein, adjacent letters
 * are swapped once); SIZE_MAX if one is longer than NEAREST_MAX_NAME.
 */
size_t nearest_distance(const char *a, const char *b);

/* A search: the best of all names shown so far. */
struct nearest {
	const char *name;
	const char *best;
	size_t distance;
};

void nearest_init(struct nearest *n, const char *name);
/* 'candidate' is kept, not copied; NULL is no candidate. */
void nearest_try(struct nearest *n, const char *candidate);
/* NULL when nothing is near enough to be worth saying. */
const char *nearest_get(const struct nearest *n);

#endif /* COMMON_NEAREST_H */
