/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * status - what a session is said to be now: the last one is kept with it.
 */

#include <errno.h>
#include <string.h>

#include "common/fault.h"
#include "scribe/sequence_impl.h"

/* as in chat/status.h */
#define REASON_MAX 500

/* The fields of a STATUS that are looked at (shm/record.h). */
enum {
	F_STATUS,
	F_REASON,
};

static const char *const statuses[] = { "active", "paused", "completed",
	"abandoned", "error" };

static bool
same(struct store_text a, struct store_text b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

static bool
status_ok(struct store_text status)
{
	size_t i;

	for (i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
		const struct store_text known = { statuses[i],
			strlen(statuses[i]) };

		if (same(status, known))
			return true;
	}
	return false;
}

/* It was published again, and had been decided. */
static bool
is_done(const struct sequence_event *ev, const struct store_room *row)
{
	return (ev->h->flags & RECORD_F_AGAIN) != 0 &&
	    same(row->status, event_text(ev, F_STATUS)) &&
	    same(row->status_reason, event_text(ev, F_REASON));
}

enum ring_verdict
status_decide(struct sequence *q, const struct sequence_event *ev)
{
	struct store_text status = event_text(ev, F_STATUS);
	struct store_text reason = event_text(ev, F_REASON);
	struct store_room row;
	struct room *room;
	uint64_t time_ms;

	if (!status_ok(status) || reason.len > REASON_MAX)
		return RING_REJECTED;
	if ((room = rooms_get(q->rooms, q->t, ev->h->room)) == NULL)
		return errno == ENOENT ? RING_REJECTED : sequence_failed(q);
	if (q->refuse || q->full || ev->gseq >= q->full_from)
		return RING_STORE_UNAVAILABLE;
	if (store_room_get(q->t, room->room, &row) == -1)
		return sequence_failed(q);
	/* every worker is to hear of it */
	ev->ix->room = 0;
	if (is_done(ev, &row)) {
		ev->ix->time_ms = row.status_ms;
		return RING_DUPLICATE;
	}
	time_ms = sequence_time(q, room);
	if (store_status_put(q->t, room->room, status, reason, time_ms,
		ev->gseq) == -1)
		return sequence_failed(q);
	FAULT(SEQ_SAID);
	q->dirty = true;
	q->counts.stored++;
	ev->ix->time_ms = time_ms;
	return RING_STORED;
}
