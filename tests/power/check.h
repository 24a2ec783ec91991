/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * check - open what a disk held when the power went, and compare it with
 * what had been told by then.
 *
 * Runs in a process of its own for each image: the scribe's code opens it as
 * at the start of the daemon, reads everything, and goes on writing.
 */

#ifndef TESTS_POWER_CHECK_H
#define TESTS_POWER_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/power/ledger.h"

/* What a transaction left, as seen while it was made. */
struct check_txn {
	uint64_t txn;
	uint64_t digest;
};

struct check {
	const struct ledger *ledger;
	/* everything below has been told */
	uint64_t told;
	/* all transactions that the image may end with; by number */
	const struct check_txn *txn;
	size_t ntxns;
	/* of one room, before the oldest are removed; 0: any number */
	uint64_t max_messages;
	/* how many have been removed, by what the store says */
	uint64_t *removed_r;
	uint64_t seed;
};

/*
 * In the current directory: 0, or 1 after having said on stderr what is
 * wrong.
 */
int check_image(const struct check *c);

/*
 * Number of the last transaction and a digest of all rows, the list of free
 * pages included; both 0 if there is no store.  0, or -1 when it cannot be
 * read, with a reason.
 */
int check_digest(struct check_txn *txn_r, const char **why_r);

#endif /* TESTS_POWER_CHECK_H */
