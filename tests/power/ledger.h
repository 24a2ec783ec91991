/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * ledger - what the scribe told the world, read out of a journal.
 */

#ifndef TESTS_POWER_LEDGER_H
#define TESTS_POWER_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shm/record.h"
#include "shm/ring.h"
#include "store/store.h"
#include "tests/power/journal.h"

/* One verdict; text points into the journal. */
struct ledger_item {
	uint64_t gseq;
	struct ring_index ix;
	/* 0: the record made no sense */
	unsigned nfields;
	struct record h;
	struct record_field f[RECORD_MAX_FIELDS];
};

struct ledger {
	/* ascending by position */
	struct ledger_item *v;
	size_t n, cap;
	/* those that were stored as messages, by room and seq */
	const struct ledger_item **msg;
	size_t nmsg;
};

/* All of a journal. */
void ledger_read(struct ledger *l, const struct journal *j);
void ledger_free(struct ledger *l);

static inline struct store_text
ledger_text(const struct ledger_item *it, unsigned field)
{
	struct store_text t = { it->f[field].p, it->f[field].len };

	return t;
}

static inline bool
ledger_is_message(const struct ledger_item *it)
{
	return it->ix.type == RECORD_MESSAGE && it->ix.verdict == RING_STORED &&
	    it->nfields > 0;
}

/* How many were told below this position. */
size_t ledger_below(const struct ledger *l, uint64_t gseq);

#endif /* TESTS_POWER_LEDGER_H */
