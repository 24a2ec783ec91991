/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * order - the memory order of every shared access of ring and wake, by name.
 *
 * The table is here and nowhere else; the code names the access, not the
 * order.  tests/model/ compiles the same code with one name at a time
 * weakened, and each of those mutants must be caught.
 *
 * On x86 the compare-and-swap is a full barrier anyway, loads are acquire
 * and stores are release: only O_DURABLE and the sleep bits cost anything.
 */

#ifndef SHM_ORDER_H
#define SHM_ORDER_H

#include "shm/atomic.h"

/*
 * slot[i].  The CAS publishes the record in the arena (partner: SEEN), and
 * is the producer's half of the handshake with a consumer that goes to
 * sleep (partners: O_SLEEP_SET, RECHECK) and with one that joins the live
 * ring.
 */
#ifndef O_SLOT_PUBLISH
#define O_SLOT_PUBLISH A_SEQ_CST
#endif
#ifndef O_SLOT_SEEN
#define O_SLOT_SEEN A_ACQUIRE
#endif
#ifndef O_SLOT_RECHECK
#define O_SLOT_RECHECK A_SEQ_CST
#endif

/*
 * free_seq.  What consumers read before they moved their cursors happens
 * before what a producer writes into the place that became free.
 */
#ifndef O_FREE_RAISE
#define O_FREE_RAISE A_RELEASE
#endif
#ifndef O_FREE_SEEN
#define O_FREE_SEEN A_ACQUIRE
#endif

/*
 * durable_seq.  Publishes the index and, through the scribe's own loads of
 * the slots, the records; the scribe's half of the handshake with a worker
 * that goes to sleep.
 */
#ifndef O_DURABLE
#define O_DURABLE A_SEQ_CST
#endif
#ifndef O_DURABLE_SEEN
#define O_DURABLE_SEEN A_ACQUIRE
#endif
#ifndef O_DURABLE_RECHECK
#define O_DURABLE_RECHECK A_SEQ_CST
#endif

/*
 * A consumer's cursor: its reads are done before the store is seen.
 */
#ifndef O_CURSOR
#define O_CURSOR A_RELEASE
#endif
#ifndef O_CURSOR_SEEN
#define O_CURSOR_SEEN A_ACQUIRE
#endif

/*
 * A consumer's state.  JOIN and SCAN are sequentially consistent for the
 * live ring, where whoever raises free_seq and whoever joins must not both
 * miss the other.  EVICT comes before the raise that it allows.  CHECK is
 * relaxed: the fence before it does the work.
 */
#ifndef O_STATE_JOIN
#define O_STATE_JOIN A_SEQ_CST
#endif
#ifndef O_STATE_SCAN
#define O_STATE_SCAN A_SEQ_CST
#endif
#ifndef O_STATE_ADMIT
#define O_STATE_ADMIT A_ACQ_REL
#endif
#ifndef O_STATE_EVICT
#define O_STATE_EVICT A_ACQ_REL
#endif
#ifndef O_STATE_SEEN
#define O_STATE_SEEN A_ACQUIRE
#endif
#ifndef O_STATE_CHECK
#define O_STATE_CHECK A_RELAXED
#endif

/*
 * Bytes of arenas and words of the index.  Writer: fence, then relaxed
 * stores.  Reader: relaxed loads, fence, then the check of its own state.
 * A reader that meets a byte of the next record in that place thereby
 * meets the eviction that allowed the writer to put it there.
 */
#ifndef O_COPY
#define O_COPY A_RELAXED
#endif
#ifndef O_WRITE_FENCE
#define O_WRITE_FENCE A_RELEASE
#endif
#ifndef O_READ_FENCE
#define O_READ_FENCE A_ACQUIRE
#endif

/* The hint tells where to begin looking, and nothing else. */
#ifndef O_HINT
#define O_HINT A_RELAXED
#endif

/*
 * Sleep bits, and what is checked between announcing sleep and sleeping:
 * with anything weaker on either side both may miss the other.
 */
#ifndef O_SLEEP_SET
#define O_SLEEP_SET A_SEQ_CST
#endif
#ifndef O_SLEEP_SEEN
#define O_SLEEP_SEEN A_SEQ_CST
#endif
#ifndef O_SLEEP_TAKE
#define O_SLEEP_TAKE A_SEQ_CST
#endif

/* Masks that say who wants something: space, admission, a room's events. */
#ifndef O_WANT
#define O_WANT A_SEQ_CST
#endif

#endif /* SHM_ORDER_H */
