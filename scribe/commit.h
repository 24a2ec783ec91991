/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * commit - batches: from the log through the sequence into the store.
 *
 * A batch is what came while the batch before was being committed; nobody
 * waits for company.  A record is durable when the commit has returned, and
 * only then anybody hears of it.
 *
 *                   commit fails            patience ends
 *         +------> OK ---------> RETRYING ---------------> REFUSING
 *         |         ^  commit      |                          |
 *         |         +--------------+                          |
 *         +---------------------------------------------------+
 *                       a megabyte fits
 *
 * RETRYING: nothing is decided, everybody waits.  REFUSING: messages, joins
 * and status are refused; leaves take effect and are remembered, to be
 * written with the first commit that succeeds.  It ends when a megabyte
 * could be written: on a full disk a small commit may succeed at any time.
 * A failed batch leaves no trace in memory or store.
 *
 * A disk that is full: the ballast is given up, and what was published until
 * then is stored; new messages are refused until the ballast is back.
 *
 * Damage in the store: the record that met it, and its room for a while, are
 * refused, and the batch is decided again without them.
 */

#ifndef SCRIBE_COMMIT_H
#define SCRIBE_COMMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "scribe/disk.h"
#include "scribe/log.h"
#include "scribe/sequence.h"
#include "store/write.h"

#define COMMIT_BATCH 512
#define COMMIT_BATCH_BYTES ((size_t)512 << 10)
/* leaves that are remembered while refusing; with more, everybody waits */
#define COMMIT_LEAVES 4096

struct commit;

enum commit_state {
	COMMIT_OK,
	COMMIT_RETRYING,
	COMMIT_REFUSING,
};

enum commit_result {
	/* there is no record */
	COMMIT_IDLE,
	/* a batch was decided; look again at once */
	COMMIT_WORKED,
	/* nothing can be done before the time that was told */
	COMMIT_WAIT,
	/* only a new process can go on */
	COMMIT_DEAD,
};

/* A batch that has become durable. */
struct commit_batch {
	unsigned n;
	/* the transaction was written; it took so long */
	bool committed;
	uint64_t commit_ns;
};

typedef void commit_done_fn(void *arg, const struct commit_batch *batch);

/*
 * All must outlive it.  'done' (may be NULL) hears of each batch.  NULL with
 * errno ENOMEM.
 */
struct commit *commit_new(const struct scribe_log *log, struct store *s,
    struct sequence *q, commit_done_fn *done, void *arg);
void commit_free(struct commit **c);

/* Between two commits; 0: as fast as the disk is. */
void commit_set_interval(struct commit *c, uint64_t min_interval_ns);
/* From the first failure to refusing; 5 s unless set. */
void commit_set_patience(struct commit *c, uint64_t patience_ns);

/*
 * Who has something to write that can wait: 'ride' is called when a batch is
 * about to be committed, and then 'rode': is it in the store?  If not, it is
 * for the rider to wait; a batch that fails because of what it wrote is
 * written without it.  NULL: nobody.
 */
typedef void commit_ride_fn(void *arg, struct store_txn *t);
typedef void commit_rode_fn(void *arg, bool committed);
void commit_set_rider(struct commit *c, commit_ride_fn *ride,
    commit_rode_fn *rode, void *arg);

/* What to give up when the disk is full; NULL: nothing.  Must outlive it. */
void commit_set_ballast(struct commit *c, struct ballast *b);
/* The disk has space again: messages are taken again. */
void commit_ballast_back(struct commit *c);
/* Somebody waits for room in the log, which only a commit makes: the interval
 * does not count for the next one. */
void commit_urge(struct commit *c);
/* We are to end: do not wait long for a store that cannot be written, and not
 * at all between commits. */
void commit_hurry(struct commit *c);

/*
 * Go on where the store says that the log was left; a log that the store
 * does not know begins at 'base', and nobody is present in it.  0, or -1
 * with errno and *why_r: ERANGE when the store has seen 'base' before.
 */
int commit_resume(struct commit *c, const uint8_t log_id[16], uint64_t base,
    const char **why_r);

/*
 * The log has come to its end, all of it is decided, and 'log' follows on it:
 * go on there, at 'base' or where a predecessor came to.  The store hears of
 * it with the next commit, for which no record is needed; until then
 * commit_moving() is true, and who starts anew has to begin with the log
 * before.
 */
void commit_move(struct commit *c, const struct scribe_log *log,
    const uint8_t log_id[16], uint64_t base);
bool commit_moving(const struct commit *c);

/*
 * At most one batch.  COMMIT_WAIT: *again_ns_r is when to come back
 * (CLOCK_MONOTONIC).
 */
enum commit_result commit_turn(struct commit *c, uint64_t *again_ns_r);

/* The first position that is not decided. */
uint64_t commit_next(const struct commit *c);
enum commit_state commit_state(const struct commit *c);
/* errno of the last failure, and how many there were. */
int commit_error(const struct commit *c);
uint64_t commit_failures(const struct commit *c);
/* What the last failure meant. */
enum disk_fault commit_fault(const struct commit *c);

#endif /* SCRIBE_COMMIT_H */
