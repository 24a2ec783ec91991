/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * recovery - the rows by which sockets come back.
 *
 * A row is made by the first JOIN that names its pid, and says at any time
 * which rooms its owner is in:
 *
 *        JOIN                RESUME by another
 *   (none) ----> THERE -----------------------------+
 *     ^          |   ^ JOIN of the owner             |
 *     |   last   |   |                               v
 *     +-- leave  +---|---- transport lost --------> LOST --- window over,
 *                    +------------------------------+        sweep.c
 *
 * THERE: some room is 'present' and lost_ms is 0.  A RESUME makes a row the
 * publisher's and LOST, until its first JOIN: so whoever dies in between
 * leaves nothing behind that would have to be found.
 *
 * All of it happens in the transaction of the record that it belongs to.
 */

#include <errno.h>
#include <string.h>

#include "common/fault.h"
#include "common/log.h"
#include "scribe/sequence_impl.h"
#include "scribe/steer.h"

/* --- rows -------------------------------------------------------------- */

static struct store_text
keep(struct sequence *q, struct store_text text)
{
	struct store_text copy = { q->row_text + q->row_len, text.len };

	CHECK(text.len <= sizeof(q->row_text) - q->row_len);
	if (text.len > 0)
		memcpy(q->row_text + q->row_len, text.p, text.len);
	q->row_len += text.len;
	return copy;
}

static bool
same(struct store_text a, struct store_text b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

/*
 * The row of a pid into q->row, with text of its own that survives a put.
 * 0, or -1 with errno.
 */
static int
row_get(struct sequence *q, struct store_text pid)
{
	struct store_recovery *row = &q->row;
	unsigned i;

	if (store_recovery_get(q->t, pid, row) == -1)
		return -1;
	q->row_len = 0;
	row->socket = keep(q, row->socket);
	row->user_id = keep(q, row->user_id);
	for (i = 0; i < row->nrooms; i++)
		row->room[i].agent = keep(q, row->room[i].agent);
	return 0;
}

static bool
row_is_of(const struct sequence *q, const struct sequence_owner *o)
{
	const struct store_recovery *row = &q->row;

	return row->run == q->run && row->incarnation == o->incarnation &&
	    row->client == o->client && row->generation == o->generation;
}

static void
row_give(struct sequence *q, const struct sequence_owner *o)
{
	q->row.run = q->run;
	q->row.incarnation = o->incarnation;
	q->row.client = o->client;
	q->row.generation = o->generation;
}

static struct store_recovery_room *
row_room(struct sequence *q, uint64_t room)
{
	unsigned i;

	for (i = 0; i < q->row.nrooms; i++)
		if (q->row.room[i].room == room)
			return &q->row.room[i];
	return NULL;
}

static void
row_forget(struct sequence *q, struct store_recovery_room *room)
{
	struct store_recovery_room *end = &q->row.room[q->row.nrooms];

	memmove(room, room + 1, (size_t)(end - (room + 1)) * sizeof(*room));
	q->row.nrooms--;
}

static bool
row_is_there(const struct sequence *q)
{
	unsigned i;

	for (i = 0; i < q->row.nrooms; i++)
		if (q->row.room[i].present)
			return true;
	return false;
}

/* Write the row back as it has become; without rooms there is none. */
static void
row_put(struct sequence *q, struct store_text pid, uint64_t now_ms)
{
	if (q->row.nrooms == 0) {
		store_recovery_del(q->t, pid);
		return;
	}
	if (row_is_there(q))
		q->row.lost_ms = 0;
	else if (q->row.lost_ms == 0)
		q->row.lost_ms = now_ms > 0 ? now_ms : 1;
	store_recovery_put(q->t, pid, &q->row);
}

/* --- joins ------------------------------------------------------------- */

/* Decimal, up to 'end'; *has_r if there is something. */
static bool
take_number(const char *p, const char *end, bool *has_r, uint64_t *n_r)
{
	*has_r = p < end;
	for (*n_r = 0; p < end; p++) {
		unsigned d = (unsigned char)*p - '0';

		if (d > 9 || *n_r > (UINT64_MAX - d) / 10)
			return false;
		*n_r = *n_r * 10 + d;
	}
	return true;
}

/* "seq", "seq:revision", ":revision"; a worker writes nothing else. */
static bool
take_after(struct store_text text, struct store_recovery_room *room)
{
	const char *end = text.p + text.len, *colon = NULL;

	if (text.len > 0)
		colon = memchr(text.p, ':', text.len);
	if (!take_number(text.p, colon == NULL ? end : colon, &room->has_after,
		&room->after_seq))
		return false;
	room->has_revision = false;
	room->after_revision = 0;
	return colon == NULL ||
	    (take_number(colon + 1, end, &room->has_revision,
		 &room->after_revision) &&
		room->has_revision);
}

bool
recovery_fields_ok(const struct sequence_event *ev)
{
	struct store_recovery_room room;
	size_t len = ev->f[6].len;

	return (len == 0 || len == STORE_PID) &&
	    take_after(event_text(ev, 7), &room);
}

/* A row for a pid that has none. */
static void
row_new(struct sequence *q, const struct sequence_event *ev)
{
	struct sequence_owner owner = event_owner(ev);

	q->row.socket = event_text(ev, 4);
	q->row.user_id = event_text(ev, 2);
	q->row.lost_ms = 0;
	q->row.partial = false;
	q->row.nrooms = 0;
	row_give(q, &owner);
}

enum recovery_join
recovery_join_begin(struct sequence *q, const struct sequence_event *ev)
{
	struct store_text pid = event_text(ev, 6);
	struct sequence_owner owner = event_owner(ev);
	bool resumes = (ev->h->flags & RECORD_F_RESUME) != 0;

	if (pid.len == 0)
		return RECOVERY_NONE;
	if (row_get(q, pid) == 0) {
		if (!row_is_of(q, &owner) ||
		    !same(q->row.socket, event_text(ev, 4)) ||
		    !same(q->row.user_id, event_text(ev, 2)))
			return RECOVERY_OTHERS;
		return RECOVERY_ROW;
	}
	if (errno == EBADMSG) {
		/* nobody knows what it held: it is no longer of use */
		row_new(q, ev);
		q->row.partial = true;
		return RECOVERY_ROW;
	}
	if (errno != ENOENT)
		return RECOVERY_FAILED;
	if (resumes || q->limits.recovery_window_ms == 0)
		return RECOVERY_NONE;
	row_new(q, ev);
	return RECOVERY_ROW;
}

bool
recovery_join_room(struct sequence *q, const struct sequence_event *ev,
    uint64_t number, uint64_t user)
{
	struct store_recovery_room *room = row_room(q, number);
	bool kept = room != NULL && (ev->h->flags & RECORD_F_RESUME) != 0;

	q->row.user = user;
	if (room == NULL) {
		if (q->row.nrooms == STORE_RECOVERY_ROOMS) {
			q->row.partial = true;
			return false;
		}
		room = &q->row.room[q->row.nrooms++];
		room->room = number;
	}
	room->present = true;
	room->agent = event_text(ev, 5);
	if (kept)
		return true;
	room->gseq = ev->gseq;
	CHECK(take_after(event_text(ev, 7), room));
	return true;
}

void
recovery_join_end(struct sequence *q, const struct sequence_event *ev)
{
	row_put(q, event_text(ev, 6), q->now_ms);
}

/* --- leaves ------------------------------------------------------------ */

int
recovery_leave(struct sequence *q, struct store_text pid,
    const struct sequence_leave *l)
{
	struct store_recovery_room *room;

	if (row_get(q, pid) == -1) {
		if (errno == EBADMSG)
			store_recovery_del(q->t, pid);
		return errno == EBADMSG || errno == ENOENT ? 0 : -1;
	}
	if (!row_is_of(q, &l->owner))
		return 0;
	if ((l->flags & RECORD_F_FINAL) != 0) {
		store_recovery_del(q->t, pid);
		return 0;
	}
	if ((room = row_room(q, l->room)) == NULL)
		return 0;
	if ((l->flags & (RECORD_F_LOST | RECORD_F_ORPHAN)) != 0 &&
	    q->limits.recovery_window_ms > 0)
		room->present = false;
	else
		row_forget(q, room);
	row_put(q, pid, l->time_ms);
	return 0;
}

/* --- coming back ------------------------------------------------------- */

/* The row that an event names and that its user and socket have. */
static int
row_of_event(struct sequence *q, const struct sequence_event *ev)
{
	if (row_get(q, event_text(ev, 0)) == -1)
		return -1;
	if (!same(q->row.user_id, event_text(ev, 1)) ||
	    !same(q->row.socket, event_text(ev, 2))) {
		errno = ENOENT;
		return -1;
	}
	return 0;
}

static enum ring_verdict
no_row(struct sequence *q)
{
	if (errno == ENOENT || errno == EBADMSG)
		return RING_REJECTED;
	return sequence_failed(q);
}

enum ring_verdict
recovery_resume(struct sequence *q, const struct sequence_event *ev)
{
	struct sequence_owner owner = event_owner(ev);
	unsigned i;

	ev->ix->room = 0;
	if (q->refuse)
		return RING_STORE_UNAVAILABLE;
	if (row_of_event(q, ev) == -1)
		return no_row(q);
	if (!store_recovery_usable(&q->row, event_text(ev, 1),
		sequence_window_now(q, q->limits.recovery_window_ms),
		q->limits.recovery_window_ms) ||
	    steer_has_kicked(q, &q->row))
		return RING_REJECTED;
	ev->ix->user = q->row.user;
	/* published again: what was joined since stays joined */
	if (row_is_of(q, &owner))
		return RING_STORED;
	row_give(q, &owner);
	FAULT(SEQ_RESUMED);
	for (i = 0; i < q->row.nrooms; i++)
		q->row.room[i].present = false;
	q->row.lost_ms = 0;
	row_put(q, event_text(ev, 0), q->now_ms);
	q->dirty = true;
	q->counts.resumed++;
	return RING_STORED;
}

enum ring_verdict
recovery_release(struct sequence *q, const struct sequence_event *ev)
{
	struct sequence_owner owner = event_owner(ev);
	struct store_recovery_room *room;

	if (q->refuse)
		return RING_STORE_UNAVAILABLE;
	if (row_of_event(q, ev) == -1)
		return no_row(q);
	if (!row_is_of(q, &owner))
		return RING_REJECTED;
	if (ev->h->room == 0) {
		if (row_is_there(q))
			return RING_REJECTED;
		q->row.nrooms = 0;
	} else {
		room = row_room(q, ev->h->room);
		if (room == NULL || room->present)
			return RING_REJECTED;
		row_forget(q, room);
	}
	row_put(q, event_text(ev, 0), q->now_ms);
	q->dirty = true;
	return RING_STORED;
}
