/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * sequence_impl - shared by sequence.c and presence.c.
 */

#ifndef SCRIBE_SEQUENCE_IMPL_H
#define SCRIBE_SEQUENCE_IMPL_H

#include "scribe/rooms.h"
#include "scribe/sequence.h"
#include "shm/record.h"

struct sequence {
	struct sequence_limits limits;
	struct rooms *rooms;
	bool full;
	/* the batch under way */
	struct store_txn *t;
	uint64_t now_ms;
	bool refuse;
	bool dirty;
	int err;
	struct store_next next;
	struct store_next next_before;
	struct sequence_counts counts;
	struct sequence_counts counts_before;
	struct sequence_leave *leaves;
	size_t nleaves;
	size_t leaves_cap;
};

/* One record, taken apart. */
struct sequence_event {
	uint64_t gseq;
	const struct record *h;
	struct record_field f[RECORD_MAX_FIELDS];
	struct ring_index *ix;
};

static inline struct store_text
event_text(const struct sequence_event *ev, unsigned field)
{
	struct store_text text = { ev->f[field].p, ev->f[field].len };

	return text;
}

/* A time for an event of the room. */
uint64_t sequence_time(struct sequence *q, struct room *room);
/*
 * A step failed with errno: a damaged value only spoils this record's
 * verdict, anything else the whole batch.
 */
enum ring_verdict sequence_failed(struct sequence *q);

/* presence.c */
enum ring_verdict presence_join(struct sequence *q,
    const struct sequence_event *ev);
enum ring_verdict presence_leave(struct sequence *q,
    const struct sequence_event *ev);
enum ring_verdict presence_update(struct sequence *q,
    const struct sequence_event *ev);

#endif /* SCRIBE_SEQUENCE_IMPL_H */
