/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * sequence - what becomes of a record: its verdict, its place in its room.
 *
 * A message gets the next seq of its room and a time that never runs back;
 * one that was there before is recognised by its id.  A join finds or makes
 * the numbers of room and user.  All of it is written to a transaction of
 * the store, batch by batch; when the transaction is lost, so is everything
 * that was remembered of it.
 *
 * A membership belongs to who joined last: a session of a worker.  Nobody
 * else can end it.  With the memberships of a socket goes the row by which
 * its client can take it up again: see recovery.c.
 *
 * The same records on the same store get the same verdicts, except for the
 * times.
 */

#ifndef SCRIBE_SEQUENCE_H
#define SCRIBE_SEQUENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "scribe/steps.h"
#include "shm/ring.h"
#include "store/write.h"

struct rooms;
struct sequence;

/* What the operator may change. */
struct sequence_limits {
	/* 0: any number.  Memberships that are restored may exceed it by an
	 * eighth and one: the place of who was cut off is kept, but not for
	 * any number of those who come one after the other */
	uint64_t members_per_session;
	/* 0: message ids are not looked at */
	uint64_t dedupe_window_ms;
	/* 0: no socket can be taken up again */
	uint64_t recovery_window_ms;
};

struct sequence_counts {
	uint64_t records;
	uint64_t stored;
	uint64_t duplicates;
	uint64_t refused;
	uint64_t joins;
	uint64_t leaves;
	/* sockets taken up again, and those that could not be */
	uint64_t resumed;
	uint64_t resumes_refused;
	/* records that made no sense */
	uint64_t bad;
	/* records refused because what they need is damaged */
	uint64_t damaged;
};

/* NULL with errno ENOMEM. */
struct sequence *sequence_new(const struct sequence_limits *limits);
void sequence_free(struct sequence **q);
void sequence_configure(struct sequence *q,
    const struct sequence_limits *limits);

/* How windows are judged when the clock was set; NULL: by the time alone. */
void sequence_set_steps(struct sequence *q, const struct steps *steps);
/* What it remembers, for who changes the store between batches. */
struct rooms *sequence_rooms(struct sequence *q);

/*
 * The store has reached its size: new messages are refused until it has
 * not; everything else goes on.
 */
void sequence_set_full(struct sequence *q, bool full);
bool sequence_full(const struct sequence *q);
/*
 * The same for what is published at 'gseq' or behind it: what was there
 * before the disk was full is still stored.  UINT64_MAX: nothing is refused.
 */
void sequence_set_full_from(struct sequence *q, uint64_t gseq);

/* so long a room that met damage is refused, before it is tried again */
#define SEQUENCE_REFUSE_NS 60000000000ULL

/*
 * Between batches: what concerns this room cannot be read or written.  It is
 * refused (but for leaves, which take effect and are not written), the rest
 * goes on.
 */
void sequence_refuse_room(struct sequence *q, uint64_t room, uint64_t now_ns);
bool sequence_room_refused(struct sequence *q, uint64_t room);
/* The same for the record at this position only; UINT64_MAX: none. */
void sequence_refuse_record(struct sequence *q, uint64_t gseq);
/* Between batches: what is remembered may not be what the store holds. */
void sequence_forget(struct sequence *q);

/*
 * Begin a batch.  'refuse': the store cannot be written for long: messages
 * and joins are refused, leaves take effect.  0, or -1 with errno.
 */
int sequence_begin(struct sequence *q, struct store_txn *t, uint64_t now_ms,
    bool refuse);

/*
 * Decide about one record ('rec' may be scribbled: it is checked; NULL: it
 * could not even be copied).  'ix' comes with what the log knows and gets
 * type, verdict and numbers.
 */
void sequence_decide(struct sequence *q, uint64_t gseq, const void *rec,
    size_t len, struct ring_index *ix);

/* Has the batch changed anything in the transaction? */
bool sequence_dirty(const struct sequence *q);
/* The first error of the batch: it must be rolled back; 0 if there is none. */
int sequence_error(const struct sequence *q);

void sequence_commit(struct sequence *q);
void sequence_rollback(struct sequence *q);

/* Whose a membership is. */
struct sequence_owner {
	uint32_t incarnation;
	uint32_t client;
	uint32_t generation;
};

/* A leave decided while refusing, to be written when that is possible. */
struct sequence_leave {
	uint64_t room;
	uint64_t user;
	uint64_t time_ms;
	struct sequence_owner owner;
	/* of the record */
	uint16_t flags;
	uint8_t socket_len;
	char socket[STORE_MAX_NAME];
};

/* The leaves of this batch, in order. */
const struct sequence_leave *sequence_leaves(const struct sequence *q,
    size_t *n_r);
/*
 * Do such a leave in the batch under way.  'whole': with what it means to
 * recovery, which nobody looks at in a batch that is not written.  An error
 * is the batch's.
 */
void sequence_leave_again(struct sequence *q, const struct sequence_leave *l,
    bool whole);

/* What committed batches added up to. */
const struct sequence_counts *sequence_counts(const struct sequence *q);

#endif /* SCRIBE_SEQUENCE_H */
