/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * edit - verdicts about edits, deletions and receipts: the room's next
 * revision, if there is something to change.
 *
 * What a worker looked up may have changed since: here it is looked at again,
 * in the order of the log.  An edit that was published again after it had been
 * decided finds its own body and gets the revision that it had; if somebody
 * else has edited in between, it is done once more, behind that.
 */

#include <errno.h>
#include <string.h>

#include "common/fault.h"
#include "scribe/sequence_impl.h"

/* The fields of an EDIT and a DELETE, and of a RECEIPT (shm/record.h). */
enum {
	F_ID,
	F_SOCKET,
	F_SEQ,
	F_BODY,
	F_TIME,
	F_READ = 2,
};

static bool
same(struct store_text a, struct store_text b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

/* Decimal, to the end, and not empty. */
static bool
number_of(struct store_text text, uint64_t *n_r)
{
	uint64_t n = 0;
	size_t i;

	for (i = 0; i < text.len; i++) {
		unsigned d = (unsigned char)text.p[i] - '0';

		if (d > 9 || n > (UINT64_MAX - d) / 10)
			return false;
		n = n * 10 + d;
	}
	*n_r = n;
	return text.len > 0;
}

static void
tell_revision(struct sequence *q, const struct sequence_event *ev,
    struct room *room, uint64_t revision, uint64_t time_ms)
{
	room->now.last_revision = revision;
	q->dirty = true;
	q->counts.stored++;
	ev->ix->revision = revision;
	ev->ix->time_ms = time_ms;
}

/* --- edits and deletions --------------------------------------------------- */

static bool
edit_ok(const struct sequence_event *ev, uint64_t *seq_r, uint64_t *time_r)
{
	bool service = (ev->h->flags & RECORD_F_SERVICE) != 0;
	struct store_text id = event_text(ev, F_ID);

	if (id.len == 0 || id.len > STORE_MAX_NAME ||
	    (ev->h->user == 0 && !service) ||
	    !number_of(event_text(ev, F_SEQ), seq_r))
		return false;
	return ev->h->type == RECORD_DELETE ||
	    (ev->f[F_BODY].len > 0 &&
		number_of(event_text(ev, F_TIME), time_r));
}

/* Was this very change made already?  Then tell what became of it. */
static bool
is_done(const struct sequence_event *ev, const struct store_message *m)
{
	if ((ev->h->flags & RECORD_F_AGAIN) == 0 || m->revision == 0)
		return false;
	if (ev->h->type == RECORD_DELETE
		? !m->deleted
		: m->deleted || !same(m->body, event_text(ev, F_BODY)))
		return false;
	ev->ix->revision = m->revision;
	ev->ix->time_ms = m->edited_ms;
	return true;
}

/* May it be done, and is there something to do? */
static enum ring_verdict
look(struct sequence *q, const struct sequence_event *ev,
    const struct store_message *m, uint64_t time_ms)
{
	bool mine =
	    m->user == ev->h->user || (ev->h->flags & RECORD_F_SERVICE) != 0;

	if (!same(m->id, event_text(ev, F_ID)))
		return RING_NOT_FOUND;
	if (m->deleted && !(mine && is_done(ev, m)))
		return RING_NOT_FOUND;
	if (!mine)
		return RING_FORBIDDEN;
	if (is_done(ev, m)) {
		q->counts.duplicates++;
		return RING_DUPLICATE;
	}
	/* those who show it take the time from the record */
	if (ev->h->type == RECORD_EDIT && m->time_ms != time_ms)
		return RING_REJECTED;
	/* what is deleted makes room */
	if (q->refuse || ev->gseq >= q->full_from ||
	    (q->full && ev->h->type == RECORD_EDIT))
		return RING_STORE_UNAVAILABLE;
	return RING_STORED;
}

static enum ring_verdict
change(struct sequence *q, const struct sequence_event *ev, struct room *room,
    uint64_t seq)
{
	uint64_t time_ms = sequence_time(q, room), revision;
	int rc;

	if (ev->h->type == RECORD_EDIT)
		rc = store_message_edit(q->t, room->room, seq,
		    event_text(ev, F_BODY), time_ms, ev->gseq, &revision);
	else
		rc = store_message_delete(q->t, room->room, seq, time_ms,
		    ev->gseq, &revision);
	if (rc == -1)
		return errno == ENOENT ? RING_NOT_FOUND : sequence_failed(q);
	FAULT(SEQ_CHANGED);
	tell_revision(q, ev, room, revision, time_ms);
	return RING_STORED;
}

enum ring_verdict
edit_decide(struct sequence *q, const struct sequence_event *ev)
{
	enum ring_verdict verdict;
	struct store_message m;
	uint64_t seq, time_ms = 0;
	struct room *room;

	if (!edit_ok(ev, &seq, &time_ms))
		return RING_REJECTED;
	if ((room = rooms_get(q->rooms, q->t, ev->h->room)) == NULL)
		return errno == ENOENT ? RING_REJECTED : sequence_failed(q);
	/* retention may have taken it */
	if (store_message_get(q->t, room->room, seq, &m) == -1)
		return errno == ENOENT ? RING_NOT_FOUND : sequence_failed(q);
	ev->ix->seq = seq;
	verdict = look(q, ev, &m, time_ms);
	return verdict == RING_STORED ? change(q, ev, room, seq) : verdict;
}

/* --- receipts -------------------------------------------------------------- */

/* It was read before: tell how far. */
static enum ring_verdict
was_read(struct sequence *q, const struct sequence_event *ev,
    const struct room *room)
{
	struct store_receipt r = { .seq = 0 };

	if (store_receipt_get(q->t, room->room, ev->h->user, &r) == -1 &&
	    errno != ENOENT)
		return sequence_failed(q);
	ev->ix->seq = r.seq;
	ev->ix->revision = r.revision;
	if (r.revision > 0)
		ev->ix->time_ms = r.time_ms;
	q->counts.duplicates++;
	return RING_DUPLICATE;
}

enum ring_verdict
receipt_decide(struct sequence *q, const struct sequence_event *ev)
{
	uint64_t seq, revision, time_ms;
	struct room *room;

	if (ev->h->user == 0 || !number_of(event_text(ev, F_READ), &seq))
		return RING_REJECTED;
	if ((room = rooms_get(q->rooms, q->t, ev->h->room)) == NULL)
		return errno == ENOENT ? RING_REJECTED : sequence_failed(q);
	if (seq > room->now.last_seq)
		return RING_REJECTED;
	if (q->refuse || q->full || ev->gseq >= q->full_from)
		return RING_STORE_UNAVAILABLE;
	time_ms = sequence_time(q, room);
	if (store_receipt_put(q->t, room->room, ev->h->user, seq, time_ms,
		ev->gseq, &revision) == -1)
		return errno == EALREADY ? was_read(q, ev, room)
					 : sequence_failed(q);
	FAULT(SEQ_READ);
	tell_revision(q, ev, room, revision, time_ms);
	ev->ix->seq = seq;
	return RING_STORED;
}
