/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "scribe/retention.h"

#include <errno.h>
#include <string.h>

#include "common/fault.h"

void
retention_init(struct retention *r, struct store *s)
{
	memset(r, 0, sizeof(*r));
	r->store = s;
	r->pause_ns = RETENTION_BUSY_NS;
}

uint64_t
retention_next(const struct retention *r)
{
	return r->next_ns;
}

uint64_t
retention_count(const struct retention *r)
{
	return r->removed;
}

static void
begin_walk(struct retention *r)
{
	memset(&r->place, 0, sizeof(r->place));
	r->nrooms = r->at = 0;
	r->rooms = r->walk_removed = 0;
}

void
retention_now(struct retention *r)
{
	begin_walk(r);
	r->now = true;
	r->next_ns = 0;
}

static bool
take_room(const struct store_room *room, void *arg)
{
	struct retention *r = arg;

	r->room[r->nrooms++] = room->room;
	return true;
}

/* The rooms that come next. */
static int
look(struct retention *r, struct store_txn *t)
{
	struct store_place place = r->place;

	r->nrooms = r->at = 0;
	if (store_room_walk(t, &place, RETENTION_ROOMS, take_room, r) == -1) {
		r->nrooms = 0;
		return -1;
	}
	r->place = place;
	return 0;
}

/* Of one room, at most 'max': 1 there is more, 0 done, -1 with errno. */
static int
trim(const struct retention *r, struct store_txn *t,
    const struct retention_limits *limits, unsigned max, unsigned *removed_r)
{
	struct store_trim trim = { .room = r->room[r->at],
		.before_ms = limits->before_ms,
		.keep_ids_ms = limits->keep_ids_ms,
		.max = max };
	uint64_t last;

	if (limits->max_messages > 0) {
		if (store_last_seq(t, trim.room, &last) == -1)
			return -1;
		if (last > limits->max_messages)
			trim.below_seq = last - limits->max_messages + 1;
	}
	if (store_trim(t, &trim) == -1)
		return -1;
	*removed_r = trim.removed;
	return trim.more;
}

static bool
is_damage(int err)
{
	return err == EUCLEAN || err == EBADMSG || err == ENOENT;
}

/* What a slice did; it counts when it is committed. */
struct done {
	unsigned removed;
	unsigned rooms;
	bool trimmed[RETENTION_ROOMS];
};

/* Trim rooms of the list until 'max' messages are gone: 0, or -1. */
static int
trim_rooms(struct retention *r, struct store_txn *t,
    const struct retention_limits *limits, unsigned max, struct done *done)
{
	unsigned removed = 0;
	int rc;

	for (; r->at < r->nrooms && done->removed < max; r->at++) {
		rc = trim(r, t, limits, max - done->removed, &removed);
		if (rc == -1)
			return -1;
		done->trimmed[r->at] = removed > 0;
		done->removed += removed;
		if (rc == 1)
			break;
		done->rooms++;
	}
	return 0;
}

static void
tell(struct retention *r, struct rooms *rs, const struct done *done)
{
	unsigned i;

	for (i = 0; i < r->nrooms; i++)
		if (done->trimmed[i])
			rooms_trimmed(rs, r->room[i]);
	r->rooms += done->rooms;
	r->removed += done->removed;
	r->walk_removed += done->removed;
}

/* Nothing of the slice happened; who cannot be trimmed is left out then. */
static int
failed(struct retention *r, unsigned at, int err)
{
	unsigned bad = r->at;

	r->at = at < r->nrooms ? at : 0;
	if (!is_damage(err)) {
		errno = err;
		return -1;
	}
	if (bad < r->nrooms) {
		r->nrooms--;
		memmove(&r->room[bad], &r->room[bad + 1],
		    (r->nrooms - bad) * sizeof(r->room[0]));
		r->rooms++;
	} else {
		/* not even the rooms can be told */
		r->place.done = true;
	}
	return 0;
}

/* One transaction; 0, or -1 with errno. */
static int
slice(struct retention *r, struct rooms *rs,
    const struct retention_limits *limits, unsigned max)
{
	struct done done = { .removed = 0 };
	struct store_txn *t;
	unsigned at;
	int rc = 0, err;

	if ((t = store_begin(r->store)) == NULL)
		return -1;
	if (r->at == r->nrooms)
		rc = look(r, t);
	at = r->at;
	if (rc == 0)
		rc = trim_rooms(r, t, limits, max, &done);
	FAULT(RETENTION_TRIM);
	if (rc == 0 && done.removed > 0)
		rc = store_commit(&t);
	err = errno;
	store_abort(&t);
	if (rc == -1)
		return failed(r, at, err);
	FAULT(RETENTION_DONE);
	tell(r, rs, &done);
	return 0;
}

static unsigned
slice_max(struct retention *r, uint64_t stored)
{
	uint64_t max = 2 * (stored - r->stored_before);

	r->stored_before = stored;
	if (r->now || max > RETENTION_SLICE_MAX)
		return RETENTION_SLICE_MAX;
	return max < RETENTION_SLICE ? RETENTION_SLICE : (unsigned)max;
}

int
retention_slice(struct retention *r, struct rooms *rs,
    const struct retention_limits *limits, uint64_t stored, uint64_t now_ns)
{
	/* the last walk's counts have been told */
	if (r->place.done && r->at == r->nrooms)
		begin_walk(r);
	r->next_ns = r->now ? 0 : now_ns + RETENTION_SLICE_NS;
	if (slice(r, rs, limits, slice_max(r, stored)) == -1)
		return -1;
	if (!r->place.done || r->at < r->nrooms)
		return 0;
	r->now = false;
	/* where something had to go, more will have to soon */
	if (r->walk_removed > 0)
		r->pause_ns = RETENTION_BUSY_NS;
	else if (r->pause_ns < RETENTION_WALK_NS)
		r->pause_ns *= 2;
	r->next_ns = now_ns + r->pause_ns;
	return 1;
}
