/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * sequence_impl - shared by sequence.c, presence.c and recovery.c.
 */

#ifndef SCRIBE_SEQUENCE_IMPL_H
#define SCRIBE_SEQUENCE_IMPL_H

#include "scribe/rooms.h"
#include "scribe/sequence.h"
#include "shm/record.h"

/* text of one recovery row: socket, user id, an agent a room */
#define SEQUENCE_ROW_TEXT ((size_t)(STORE_RECOVERY_ROOMS + 2) * STORE_MAX_NAME)

/* A room that met damage. */
struct sequence_refused {
	uint64_t room;
	uint64_t until_ns;
};

/* more of them than this: the oldest is tried again first */
#define SEQUENCE_REFUSED 256

struct sequence {
	struct sequence_limits limits;
	struct rooms *rooms;
	const struct steps *steps;
	bool full;
	uint64_t full_from;
	struct sequence_refused refused[SEQUENCE_REFUSED];
	unsigned nrefused;
	uint64_t refused_gseq;
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
	/* which run of the daemon this is */
	uint64_t run;
	/* recovery.c: the row of the record under way, and its text */
	struct store_recovery row;
	size_t row_len;
	char row_text[SEQUENCE_ROW_TEXT];
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

/* Who published it; or, of what the scribe published, whom it is about. */
static inline struct sequence_owner
event_owner(const struct sequence_event *ev)
{
	struct sequence_owner owner = {
		.incarnation = (ev->h->flags & RECORD_F_ORPHAN) != 0
		    ? (uint32_t)ev->h->id_hash[0]
		    : ev->ix->incarnation,
		.client = ev->h->client,
		.generation = ev->h->generation,
	};

	return owner;
}

/* A time for an event of the room. */
uint64_t sequence_time(struct sequence *q, struct room *room);
/*
 * A step failed with errno: a damaged value only spoils this record's
 * verdict, anything else the whole batch.
 */
enum ring_verdict sequence_failed(struct sequence *q);

/* "Now", for a window of this length. */
uint64_t sequence_window_now(const struct sequence *q, uint64_t window_ms);

/* presence.c */
enum ring_verdict presence_join(struct sequence *q,
    const struct sequence_event *ev);
enum ring_verdict presence_leave(struct sequence *q,
    const struct sequence_event *ev);
enum ring_verdict presence_update(struct sequence *q,
    const struct sequence_event *ev);

/* edit.c */
enum ring_verdict edit_decide(struct sequence *q,
    const struct sequence_event *ev);
enum ring_verdict receipt_decide(struct sequence *q,
    const struct sequence_event *ev);

/* status.c */
enum ring_verdict status_decide(struct sequence *q,
    const struct sequence_event *ev);

/* recovery.c */

/* Are the fields of a JOIN that are about recovery well-formed? */
bool recovery_fields_ok(const struct sequence_event *ev);

enum recovery_join {
	/* q->row is the row that the JOIN changes, or is to make */
	RECOVERY_ROW,
	/* the membership cannot be recovered; that is no reason to refuse */
	RECOVERY_NONE,
	/* the row is somebody else's: neither can it be joined */
	RECOVERY_OTHERS,
	/* errno */
	RECOVERY_FAILED,
};

/* Before anything is written: what is there for the JOIN's pid? */
enum recovery_join recovery_join_begin(struct sequence *q,
    const struct sequence_event *ev);
/*
 * RECOVERY_ROW: put the room into q->row.  False: it holds no more, and the
 * membership cannot be recovered, nor the others.
 */
bool recovery_join_room(struct sequence *q, const struct sequence_event *ev,
    uint64_t number, uint64_t user);
/* The socket is in: write q->row. */
void recovery_join_end(struct sequence *q, const struct sequence_event *ev);
/*
 * The member whose presence row names this pid leaves.  'pid' is not the
 * store's text.  0, or -1 with errno.
 */
int recovery_leave(struct sequence *q, struct store_text pid,
    const struct sequence_leave *l);
enum ring_verdict recovery_resume(struct sequence *q,
    const struct sequence_event *ev);
enum ring_verdict recovery_release(struct sequence *q,
    const struct sequence_event *ev);

#endif /* SCRIBE_SEQUENCE_IMPL_H */
