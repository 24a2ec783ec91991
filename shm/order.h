/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * order - the memory order of every shared access of ring and wake, by name.
 *
 * The table is here and nowhere else; the code names the access, not the
 * order.  tests/model/ring_relacy.cc runs the same code with one name at a
 * time weakened, and must catch each of those mutants.
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
 * A consumer's state.  JOIN and SCAN: in the live ring, whoever raises
 * free_seq and whoever joins must not both miss the other.  ADMIT and EVICT
 * are followed by a look at the sleep bits, SCAN by going to sleep: the same
 * handshake again.  ADMIT also publishes cursor and join_pos.  An eviction
 * needs no more than to stand before the raise of free_seq that it allows.
 * CHECK is relaxed: the fence before it does the work.
 */
#ifndef O_STATE_JOIN
#define O_STATE_JOIN A_SEQ_CST
#endif
#ifndef O_STATE_SCAN
#define O_STATE_SCAN A_SEQ_CST
#endif
#ifndef O_STATE_ADMIT
#define O_STATE_ADMIT A_SEQ_CST
#endif
#ifndef O_STATE_EVICT
#define O_STATE_EVICT A_SEQ_CST
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
 * Sleep bits.  SET and SEEN: with anything weaker, maker and sleeper may both
 * miss the other.  TAKE decides among several wakers, which any atomic
 * read-modify-write does.
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

/*
 * Masks that say who wants something: space, admission, a room's events.
 * Set before one goes to sleep, read after what they ask for was made.
 */
#ifndef O_WANT
#define O_WANT A_SEQ_CST
#endif

#endif /* SHM_ORDER_H */
