/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * dedupe - which message ids a room has seen.
 *
 * A table of (hash of the id, seq), 16 bytes each, per room.  It names
 * candidates; whether a candidate is the same id is seen in the store.  The
 * table can be thrown away at any time and filled again from the store's
 * log, which is also how it begins.  Ids that were merged into the store
 * (merge.h) need not be in it.
 *
 * It holds DEDUPE_MAX ids at most: then the oldest quarter goes.  That many
 * are there only if merging is not possible.
 */

#ifndef SCRIBE_DEDUPE_H
#define SCRIBE_DEDUPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/write.h"

#define DEDUPE_MAX (1u << 20)

struct dedupe_entry {
	uint64_t hash;
	/* 0: this place is empty */
	uint64_t seq;
};

struct dedupe {
	struct dedupe_entry *v;
	/* a power of two, or 0 */
	uint32_t cap;
	uint32_t n;
	bool loaded;
};

void dedupe_init(struct dedupe *d);
void dedupe_clear(struct dedupe *d);
size_t dedupe_bytes(const struct dedupe *d);

/*
 * Fill an empty table with the ids that the room's log holds since
 * 'since_ms' and behind 'after_seq'; 'last_seq' is the newest.  0, or -1
 * with errno.
 */
int dedupe_load(struct dedupe *d, struct store_txn *t, uint64_t room,
    uint64_t since_ms, uint64_t after_seq, uint64_t last_seq);

/* 0, or -1 with errno ENOMEM. */
int dedupe_add(struct dedupe *d, uint64_t hash, uint64_t seq);
/* Take back what dedupe_add() did. */
void dedupe_del(struct dedupe *d, uint64_t hash, uint64_t seq);
/* Forget the ids up to 'seq'.  Without memory for that nothing happens. */
void dedupe_forget(struct dedupe *d, uint64_t seq);

/*
 * The candidates for a hash, one a call: zero *place before the first.
 * Returns their seq, 0 when there is none left.
 */
uint64_t dedupe_next(const struct dedupe *d, uint64_t hash, uint32_t *place);

#endif /* SCRIBE_DEDUPE_H */
