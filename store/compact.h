/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * compact - copies of the whole store, and the swap of a smaller one.
 *
 * A compacted copy for the swap is made next to the store, in
 * STORE_COMPACT_FILE, while the daemon runs; its last bytes tell from which
 * transaction it was made, so a copy without them is not complete.  When the
 * store is opened with STORE_WRITE and nobody else has it open, such a copy
 * takes its place: as it is if nothing was committed since, or else made
 * anew at that moment.  Killed at any instant, there is the old store or the
 * new one, and both say the same.
 */

#ifndef STORE_COMPACT_H
#define STORE_COMPACT_H

#include <stdbool.h>
#include <stdint.h>

#include "store/store.h"

/* below the store's directory */
#define STORE_DATA_FILE "data.mdb"
#define STORE_COMPACT_FILE "data.mdb.compact"

/*
 * Write a consistent copy of the store, plain or without what is free, to a
 * descriptor (a file or a pipe), and bring it to the disk if it is a file.
 * It is a snapshot for as long as it takes.  0, or -1 with errno; after
 * EUCLEAN in a compacting copy a thread may be left: end the process.
 */
int store_copy(struct store *s, int fd, bool compact);

/*
 * The same into an empty file, compacted, and sealed for the swap.
 */
int store_compact(struct store *s, int fd, uint64_t *txn_r);

enum store_swap {
	STORE_SWAP_NONE,
	/* the copy was current */
	STORE_SWAP_DONE,
	/* a new copy was made, since the first was older */
	STORE_SWAP_AGAIN,
	/* another process has the store open: the next start tries again */
	STORE_SWAP_BUSY,
	/* it was not complete, or could not be used; it is gone, and the
	 * store is as it was */
	STORE_SWAP_DROPPED,
};

/*
 * What store_open(STORE_WRITE) does before it opens: also to be called by
 * whoever has stopped the daemon.  What happened is logged.  'dir' is the
 * store's own.
 */
enum store_swap store_compact_swap(const char *dir);

#endif /* STORE_COMPACT_H */
