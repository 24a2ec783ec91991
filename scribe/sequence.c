/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "scribe/sequence.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/fault.h"
#include "common/clock.h"
#include "common/log.h"
#include "scribe/sequence_impl.h"
#include "scribe/steer.h"

/* what is remembered: about 15 MiB of rooms, 64 MiB of message ids */
#define MAX_ROOMS 65536
#define MAX_ID_BYTES ((size_t)64 << 20)
/* ids with the same hash: by chance never two, so somebody makes them */
#define MAX_CANDIDATES 16

struct sequence *
sequence_new(const struct sequence_limits *limits)
{
	struct sequence *q;

	if ((q = calloc(1, sizeof(*q))) == NULL)
		return NULL;
	q->limits = *limits;
	q->full_from = q->refused_gseq = UINT64_MAX;
	if ((q->rooms = rooms_new(MAX_ROOMS, MAX_ID_BYTES)) == NULL) {
		free(q);
		return NULL;
	}
	return q;
}

void
sequence_free(struct sequence **q)
{
	if (*q == NULL)
		return;
	rooms_free(&(*q)->rooms);
	free((*q)->leaves);
	free(*q);
	*q = NULL;
}

void
sequence_configure(struct sequence *q, const struct sequence_limits *limits)
{
	q->limits = *limits;
}

void
sequence_set_full(struct sequence *q, bool full)
{
	q->full = full;
}

bool
sequence_full(const struct sequence *q)
{
	return q->full;
}

void
sequence_set_full_from(struct sequence *q, uint64_t gseq)
{
	q->full_from = gseq;
}

void
sequence_set_steps(struct sequence *q, const struct steps *steps)
{
	q->steps = steps;
}

struct rooms *
sequence_rooms(struct sequence *q)
{
	return q->rooms;
}

const struct sequence_counts *
sequence_counts(const struct sequence *q)
{
	return &q->counts;
}

/* --- batches ----------------------------------------------------------- */

/* Once in the life of the process. */
static int
read_meta(struct sequence *q, struct store_txn *t)
{
	struct store_run run = { .base = 0 };

	if (store_run_get(t, &run) == -1 && errno != ENOENT)
		return -1;
	q->run = run.base;
	return store_next_get(t, &q->next);
}

int
sequence_begin(struct sequence *q, struct store_txn *t, uint64_t now_ms,
    bool refuse)
{
	CHECK(q->t == NULL);
	if (q->next.room == 0 && read_meta(q, t) == -1)
		return -1;
	q->t = t;
	q->now_ms = now_ms;
	q->refuse = refuse;
	q->dirty = false;
	q->err = 0;
	q->next_before = q->next;
	q->counts_before = q->counts;
	q->nleaves = 0;
	return 0;
}

bool
sequence_dirty(const struct sequence *q)
{
	return q->dirty;
}

int
sequence_error(const struct sequence *q)
{
	return q->err != 0 ? q->err : store_error(q->t);
}

void
sequence_commit(struct sequence *q)
{
	rooms_commit(q->rooms);
	q->t = NULL;
}

void
sequence_rollback(struct sequence *q)
{
	rooms_rollback(q->rooms);
	q->next = q->next_before;
	q->counts = q->counts_before;
	q->nleaves = 0;
	q->t = NULL;
}

const struct sequence_leave *
sequence_leaves(const struct sequence *q, size_t *n_r)
{
	*n_r = q->nleaves;
	return q->leaves;
}

uint64_t
sequence_window_now(const struct sequence *q, uint64_t window_ms)
{
	return q->steps != NULL ? steps_window_now(q->steps, window_ms)
				: q->now_ms;
}

uint64_t
sequence_time(struct sequence *q, struct room *room)
{
	if (q->now_ms > room->now.last_ms)
		room->now.last_ms = q->now_ms;
	return room->now.last_ms;
}

enum ring_verdict
sequence_failed(struct sequence *q)
{
	if (errno != EBADMSG && q->err == 0)
		q->err = errno;
	return RING_STORE_UNAVAILABLE;
}

/* --- damage ------------------------------------------------------------ */

static unsigned
find_refused(const struct sequence *q, uint64_t room)
{
	unsigned i;

	for (i = 0; i < q->nrefused; i++)
		if (q->refused[i].room == room)
			break;
	return i;
}

static void
allow(struct sequence *q, unsigned i)
{
	memmove(&q->refused[i], &q->refused[i + 1],
	    (--q->nrefused - i) * sizeof(q->refused[0]));
}

void
sequence_refuse_room(struct sequence *q, uint64_t room, uint64_t now_ns)
{
	unsigned i = find_refused(q, room);

	if (i < q->nrefused)
		allow(q, i);
	else if (q->nrefused == SEQUENCE_REFUSED)
		allow(q, 0);
	q->refused[q->nrefused].room = room;
	q->refused[q->nrefused++].until_ns = now_ns + SEQUENCE_REFUSE_NS;
}

bool
sequence_room_refused(struct sequence *q, uint64_t room)
{
	unsigned i;

	/* the oldest come first */
	while (q->nrefused > 0 && clock_mono_ns() >= q->refused[0].until_ns)
		allow(q, 0);
	i = find_refused(q, room);
	return i < q->nrefused;
}

void
sequence_refuse_record(struct sequence *q, uint64_t gseq)
{
	q->refused_gseq = gseq;
}

void
sequence_forget(struct sequence *q)
{
	CHECK(q->t == NULL);
	rooms_clear(q->rooms);
	q->next.room = 0;
}

/*
 * The verdict of a record that cannot be looked into: whoever leaves is
 * gone all the same.
 */
static enum ring_verdict
refuse_damaged(struct sequence *q, const struct sequence_event *ev)
{
	q->counts.damaged++;
	return ev->h->type == RECORD_LEAVE ? RING_STORED
					   : RING_STORE_UNAVAILABLE;
}

static bool
is_refused(struct sequence *q, const struct sequence_event *ev)
{
	if (ev->gseq == q->refused_gseq)
		return true;
	if (q->nrefused == 0 || ev->h->room == 0)
		return false;
	return sequence_room_refused(q, ev->h->room);
}

/* --- messages ---------------------------------------------------------- */

/* The message that an id was given to first. */
struct first {
	uint64_t seq;
	uint64_t time_ms;
	uint64_t user;
};

/*
 * Among the ids in memory: 1 and the first message in *first_r, 0 no, -1
 * with errno; EMLINK: too many candidates.
 */
static int
find_in_memory(struct sequence *q, struct room *room, struct store_text id,
    uint64_t hash, uint64_t since, struct first *first_r)
{
	struct store_message m;
	uint32_t place = 0;
	int candidates = 0;
	uint64_t seq;

	while ((seq = dedupe_next(&room->ids, hash, &place)) != 0) {
		if (++candidates > MAX_CANDIDATES) {
			errno = EMLINK;
			return -1;
		}
		if (store_message_get(q->t, room->room, seq, &m) == -1) {
			/* retention took it: its id is merged */
			if (errno == ENOENT)
				continue;
			return -1;
		}
		if (m.time_ms < since || m.id.len != id.len ||
		    memcmp(m.id.p, id.p, id.len) != 0)
			continue;
		first_r->seq = seq;
		first_r->time_ms = m.time_ms;
		first_r->user = m.user;
		return 1;
	}
	return 0;
}

/* Among those that were merged into the store. */
static int
find_merged(struct sequence *q, const struct room *room, struct store_text id,
    uint64_t hash, uint64_t since, struct first *first_r)
{
	struct store_dedupe d;

	if (!room->merged.any)
		return 0;
	if (store_dedupe_find(q->t, room->room, hash, id, &d) == -1)
		return errno == ENOENT ? 0 : -1;
	if (d.time_ms < since)
		return 0;
	first_r->seq = d.seq;
	first_r->time_ms = d.time_ms;
	first_r->user = d.user;
	return 1;
}

/* Was this id seen in the room, within the window?  As find_in_memory(). */
static int
find_duplicate(struct sequence *q, struct room *room, struct store_text id,
    uint64_t hash, struct first *first_r)
{
	uint64_t window = q->limits.dedupe_window_ms, now, since = 0;
	int rc;

	if (window == 0)
		return 0;
	now = sequence_window_now(q, window);
	if (now > window)
		since = now - window;
	if (rooms_load_ids(q->rooms, q->t, room, since) == -1)
		return -1;
	rc = find_in_memory(q, room, id, hash, since, first_r);
	if (rc != 0)
		return rc;
	return find_merged(q, room, id, hash, since, first_r);
}

static enum ring_verdict
duplicate(struct sequence *q, const struct sequence_event *ev,
    const struct first *first)
{
	if (first->user != ev->h->user)
		return RING_ID_TAKEN;
	ev->ix->seq = first->seq;
	ev->ix->time_ms = first->time_ms;
	q->counts.duplicates++;
	return RING_DUPLICATE;
}

static enum ring_verdict
store_new(struct sequence *q, const struct sequence_event *ev,
    struct room *room, struct store_text id)
{
	struct store_message m = {
		.room = room->room,
		.seq = room->now.last_seq + 1,
		.gseq = ev->gseq,
		.time_ms = sequence_time(q, room),
		.user = ev->h->user,
		.type = RECORD_MESSAGE,
		.id = id,
		.body = event_text(ev, 2),
	};

	store_message_add(q->t, &m, ev->h->id_hash);
	FAULT(SEQ_MESSAGE);
	if (q->limits.dedupe_window_ms == 0)
		rooms_drop_ids(q->rooms, room);
	else if (rooms_add_id(q->rooms, room, ev->h->id_hash[0], m.seq) == -1)
		return sequence_failed(q);
	room->now.last_seq = m.seq;
	q->dirty = true;
	q->counts.stored++;
	ev->ix->seq = m.seq;
	ev->ix->time_ms = m.time_ms;
	return RING_STORED;
}

static enum ring_verdict
decide_message(struct sequence *q, const struct sequence_event *ev)
{
	struct store_text id = event_text(ev, 0);
	struct first first;
	struct room *room;
	int rc;

	/* what nobody says, the server does */
	if (id.len == 0 || id.len > STORE_MAX_NAME ||
	    (ev->h->user == 0 && (ev->h->flags & RECORD_F_SERVICE) == 0))
		return RING_REJECTED;
	if ((room = rooms_get(q->rooms, q->t, ev->h->room)) == NULL)
		return errno == ENOENT ? RING_REJECTED : sequence_failed(q);
	rc = find_duplicate(q, room, id, ev->h->id_hash[0], &first);
	if (rc == -1)
		return errno == EMLINK ? RING_REJECTED : sequence_failed(q);
	if (rc == 1)
		return duplicate(q, ev, &first);
	if (ev->h->flags & RECORD_F_ONLY_DUPLICATE)
		return RING_REJECTED;
	if (q->refuse || q->full || ev->gseq >= q->full_from)
		return RING_STORE_UNAVAILABLE;
	return store_new(q, ev, room, id);
}

/*
 * The message of a stream.  Whatever becomes of it, its text so far is not
 * needed any more; but one that could not be stored will come again.
 */
static enum ring_verdict
decide_stream(struct sequence *q, const struct sequence_event *ev)
{
	enum ring_verdict verdict = decide_message(q, ev);

	if (verdict == RING_STORE_UNAVAILABLE || q->refuse || q->err != 0)
		return verdict;
	if (store_stream_del(q->t, ev->h->room, event_text(ev, 0)))
		q->dirty = true;
	FAULT(SEQ_STREAM);
	return verdict;
}

/* --- records ----------------------------------------------------------- */

static enum ring_verdict
decide_resume(struct sequence *q, const struct sequence_event *ev)
{
	enum ring_verdict verdict = recovery_resume(q, ev);

	q->counts.resumes_refused += verdict != RING_STORED;
	return verdict;
}

static enum ring_verdict
decide(struct sequence *q, const struct sequence_event *ev)
{
	switch ((enum record_type)ev->h->type) {
	case RECORD_JOIN:
		return presence_join(q, ev);
	case RECORD_LEAVE:
		return presence_leave(q, ev);
	case RECORD_PRESENCE:
		return presence_update(q, ev);
	case RECORD_MESSAGE:
		return (ev->h->flags & RECORD_F_STREAM) != 0
		    ? decide_stream(q, ev)
		    : decide_message(q, ev);
	case RECORD_RESUME:
		return decide_resume(q, ev);
	case RECORD_RELEASE:
		return recovery_release(q, ev);
	case RECORD_ASK:
		/* its worker is to wake up for it, whatever rooms it has */
		ev->ix->room = 0;
		return RING_STORED;
	case RECORD_PROBE:
		return RING_STORED;
	case RECORD_STEER:
		return steer_decide(q, ev);
	case RECORD_EDIT:
	case RECORD_DELETE:
		return edit_decide(q, ev);
	case RECORD_RECEIPT:
		return receipt_decide(q, ev);
	case RECORD_STATUS:
		return status_decide(q, ev);
	case RECORD_NONE:
	case RECORD_TYPING:
	case RECORD_CHUNK:
	case RECORD_CANCEL:
	case RECORD_SECURITY:
	case RECORD_STEERED:
	case RECORD_PING:
	case RECORD__MAX:
		break;
	}
	q->counts.bad++;
	return RING_REJECTED;
}

void
sequence_decide(struct sequence *q, uint64_t gseq, const void *rec, size_t len,
    struct ring_index *ix)
{
	struct sequence_event ev = { .gseq = gseq, .h = rec, .ix = ix };

	q->counts.records++;
	ix->room = ix->seq = ix->user = ix->revision = 0;
	ix->members = 0;
	ix->time_ms = q->now_ms;
	if (rec == NULL || record_parse(rec, len, ev.f) == -1) {
		ix->type = RECORD_NONE;
		ix->verdict = RING_REJECTED;
		q->counts.bad++;
		return;
	}
	ix->type = ev.h->type;
	ix->room = ev.h->room;
	ix->user = ev.h->user;
	ix->verdict = (uint8_t)(is_refused(q, &ev) ? refuse_damaged(q, &ev)
						   : decide(q, &ev));
	if (ix->verdict != RING_STORED && ix->verdict != RING_DUPLICATE)
		q->counts.refused++;
}
