/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "scribe/rooms.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "store/rows.h"

struct added_id {
	struct room *room;
	uint64_t hash;
	uint64_t seq;
};

/* of the memory for ids, from which on rooms are merged to free some */
#define SHORT(max) ((max) / 4 * 3)
/* so many times more than it takes to be merged are too many */
#define URGENT 4

TAILQ_HEAD(room_lru, room);
TAILQ_HEAD(room_due, room);
SLIST_HEAD(room_touched, room);

struct rooms {
	struct room *by_number;
	/* used last at the end */
	struct room_lru lru;
	size_t n;
	size_t max_rooms;
	size_t bytes;
	size_t max_bytes;
	size_t ids;
	struct room_due due;
	/* the batch under way */
	uint64_t batch;
	struct room_touched touched;
	struct added_id *added;
	size_t nadded;
	size_t added_cap;
};

struct rooms *
rooms_new(size_t max_rooms, size_t max_bytes)
{
	struct rooms *rs;

	if ((rs = calloc(1, sizeof(*rs))) == NULL)
		return NULL;
	TAILQ_INIT(&rs->lru);
	TAILQ_INIT(&rs->due);
	SLIST_INIT(&rs->touched);
	rs->max_rooms = max_rooms;
	rs->max_bytes = max_bytes;
	rs->batch = 1;
	return rs;
}

/* The size of its table may have changed. */
static void
count_bytes(struct rooms *rs, struct room *room)
{
	rs->bytes -= room->counted_bytes;
	room->counted_bytes = dedupe_bytes(&room->ids);
	rs->bytes += room->counted_bytes;
	rs->ids -= room->counted_ids;
	room->counted_ids = room->ids.n;
	rs->ids += room->counted_ids;
}

/* So many ids are left in memory. */
static uint64_t
few_ids(const struct room *room)
{
	uint64_t n = room->merged.count / 16;

	return n > ROOMS_MERGE_IDS ? n : ROOMS_MERGE_IDS;
}

static bool
wants_merge(const struct room *room)
{
	return room->ids.n > few_ids(room) && !room->unmergeable;
}

static void
set_due(struct rooms *rs, struct room *room, bool due)
{
	if (room->due == due)
		return;
	room->due = due;
	if (due)
		TAILQ_INSERT_TAIL(&rs->due, room, due_next);
	else
		TAILQ_REMOVE(&rs->due, room, due_next);
}

void
rooms_drop_ids(struct rooms *rs, struct room *room)
{
	dedupe_clear(&room->ids);
	count_bytes(rs, room);
	set_due(rs, room, false);
}

static void
forget(struct rooms *rs, struct room *room)
{
	rooms_drop_ids(rs, room);
	HASH_DEL(rs->by_number, room);
	TAILQ_REMOVE(&rs->lru, room, lru);
	rs->n--;
	free(room);
}

void
rooms_free(struct rooms **rs)
{
	struct room *room;

	if (*rs == NULL)
		return;
	while ((room = TAILQ_FIRST(&(*rs)->lru)) != NULL)
		forget(*rs, room);
	free((*rs)->added);
	free(*rs);
	*rs = NULL;
}

size_t
rooms_count(const struct rooms *rs)
{
	return rs->n;
}

size_t
rooms_bytes(const struct rooms *rs)
{
	return rs->bytes;
}

size_t
rooms_ids(const struct rooms *rs)
{
	return rs->ids;
}

/* It is used in this batch: remember how it was before. */
static struct room *
touch(struct rooms *rs, struct room *room)
{
	if (room->batch == rs->batch)
		return room;
	room->batch = rs->batch;
	room->before = room->now;
	SLIST_INSERT_HEAD(&rs->touched, room, touched);
	TAILQ_REMOVE(&rs->lru, room, lru);
	TAILQ_INSERT_TAIL(&rs->lru, room, lru);
	return room;
}

static struct room *
insert(struct rooms *rs, uint64_t number)
{
	struct room *room;

	if ((room = calloc(1, sizeof(*room))) == NULL)
		return NULL;
	room->room = number;
	room->now.members = ROOM_UNCOUNTED;
	dedupe_init(&room->ids);
	HASH_ADD(hh, rs->by_number, room, sizeof(room->room), room);
	TAILQ_INSERT_TAIL(&rs->lru, room, lru);
	rs->n++;
	return room;
}

/*
 * The time that no event of the room may run behind: the last message's
 * that can be read, or of what retention removed.
 */
static int
last_time(struct store_txn *t, uint64_t number, const struct store_floor *floor,
    uint64_t *ms_r)
{
	struct store_query q = { .room = number,
		.from = UINT64_MAX,
		.backward = true,
		.count = 1 };
	struct store_message last;
	unsigned n;
	bool more;

	if (store_page(t, &q, &last, &n, &more) == -1)
		return -1;
	*ms_r = floor->ms;
	if (n == 1 && last.time_ms > *ms_r)
		*ms_r = last.time_ms;
	return 0;
}

/*
 * The room's last revision, and the time of its change.  If that is damaged
 * nothing can be changed, but all else goes on.
 */
static int
last_change(struct store_txn *t, uint64_t number, uint64_t *revision_r,
    uint64_t *ms_r)
{
	struct store_change c;

	*ms_r = 0;
	if (store_last_revision(t, number, revision_r) == -1) {
		*revision_r = ROOM_UNKNOWN;
		return errno == EBADMSG ? 0 : -1;
	}
	if (*revision_r == 0)
		return 0;
	if (store_change_last(t, number, &c) == 0)
		*ms_r = c.time_ms;
	else if (errno != ENOENT)
		return -1;
	return 0;
}

static uint64_t
latest(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

struct room *
rooms_get(struct rooms *rs, struct store_txn *t, uint64_t number)
{
	struct store_room row;
	struct room *room;
	uint64_t seq, ms, revision, changed_ms;

	HASH_FIND(hh, rs->by_number, &number, sizeof(number), room);
	if (room != NULL)
		return touch(rs, room);
	memset(&row, 0, sizeof(row));
	/* a name that is damaged does not make its room unusable... */
	if (store_room_get(t, number, &row) == -1 && errno != EBADMSG)
		return NULL;
	/* ...but a floor that nobody knows does: a seq might be given twice */
	if (store_last_seq(t, number, &seq) == -1 ||
	    last_time(t, number, &row.floor, &ms) == -1 ||
	    last_change(t, number, &revision, &changed_ms) == -1)
		return NULL;
	if ((room = insert(rs, number)) == NULL)
		return NULL;
	room->now.last_seq = seq;
	room->now.last_ms = latest(ms, latest(changed_ms, row.status_ms));
	room->now.last_revision = revision;
	return touch(rs, room);
}

struct room *
rooms_create(struct rooms *rs, uint64_t number)
{
	struct room *room;

	if ((room = insert(rs, number)) == NULL)
		return NULL;
	room->now.members = 0;
	room->ids.loaded = true;
	room->created = true;
	return touch(rs, room);
}

static int
load_merged(struct store_txn *t, struct room *room)
{
	struct store_merged m;

	memset(&room->merged, 0, sizeof(room->merged));
	if (store_merged_get(t, room->room, &m) == -1)
		return errno == ENOENT ? 0 : -1;
	room->merged.any = true;
	room->merged.seq = m.seq;
	room->merged.count = m.count;
	return 0;
}

int
rooms_load_ids(struct rooms *rs, struct store_txn *t, struct room *room,
    uint64_t since_ms)
{
	int rc;

	if (room->ids.loaded)
		return 0;
	if (load_merged(t, room) == -1)
		return -1;
	rc = dedupe_load(&room->ids, t, room->room, since_ms, room->merged.seq,
	    room->now.last_seq);
	count_bytes(rs, room);
	set_due(rs, room, wants_merge(room));
	return rc;
}

int
rooms_add_id(struct rooms *rs, struct room *room, uint64_t hash, uint64_t seq)
{
	struct added_id *added;
	size_t cap;

	CHECK(room->ids.loaded && room->batch == rs->batch);
	if (rs->nadded == rs->added_cap) {
		cap = rs->added_cap == 0 ? 512 : rs->added_cap * 2;
		added = reallocarray(rs->added, cap, sizeof(*added));
		if (added == NULL)
			return -1;
		rs->added = added;
		rs->added_cap = cap;
	}
	if (dedupe_add(&room->ids, hash, seq) == -1)
		return -1;
	count_bytes(rs, room);
	if (wants_merge(room))
		set_due(rs, room, true);
	rs->added[rs->nadded].room = room;
	rs->added[rs->nadded].hash = hash;
	rs->added[rs->nadded].seq = seq;
	rs->nadded++;
	return 0;
}

int
rooms_count_members(struct store_txn *t, struct room *room)
{
	uint64_t n;

	if (room->now.members != ROOM_UNCOUNTED)
		return 0;
	if (store_presence_count(t, room->room, 0, &n) == -1)
		return -1;
	room->now.members = n;
	return 0;
}

/* Nobody holds a room now: keep within bounds, the oldest go first. */
static void
shrink(struct rooms *rs)
{
	struct room *room, *next;

	while (rs->n > rs->max_rooms)
		forget(rs, TAILQ_FIRST(&rs->lru));
	for (room = TAILQ_FIRST(&rs->lru);
	     room != NULL && rs->bytes > rs->max_bytes; room = next) {
		next = TAILQ_NEXT(room, lru);
		if (room->counted_bytes > 0)
			rooms_drop_ids(rs, room);
	}
}

/* --- merging ----------------------------------------------------------- */

uint64_t
rooms_merge_next(struct rooms *rs)
{
	struct room *room;

	while ((room = TAILQ_FIRST(&rs->due)) != NULL) {
		set_due(rs, room, false);
		if (wants_merge(room))
			return room->room;
	}
	if (rs->bytes <= SHORT(rs->max_bytes))
		return 0;
	TAILQ_FOREACH(room, &rs->lru, lru) {
		if (room->ids.n >= ROOMS_MERGE_MIN && !room->unmergeable)
			return room->room;
		/* too few for that: they can be read again in no time */
		if (room->counted_bytes > 0)
			rooms_drop_ids(rs, room);
	}
	return 0;
}

bool
rooms_merge_urgent(const struct rooms *rs, uint64_t number)
{
	struct room *room;

	if (rs->bytes > SHORT(rs->max_bytes))
		return true;
	HASH_FIND(hh, rs->by_number, &number, sizeof(number), room);
	return room != NULL && room->ids.n > URGENT * few_ids(room);
}

void
rooms_merge_failed(struct rooms *rs, uint64_t number)
{
	struct room *room;

	HASH_FIND(hh, rs->by_number, &number, sizeof(number), room);
	if (room != NULL)
		room->unmergeable = true;
}

void
rooms_merged(struct rooms *rs, uint64_t number, uint64_t seq, uint64_t count)
{
	struct room *room;

	HASH_FIND(hh, rs->by_number, &number, sizeof(number), room);
	if (room == NULL || !room->ids.loaded)
		return;
	room->merged.any = true;
	room->merged.seq = seq;
	room->merged.count = count;
	dedupe_forget(&room->ids, seq);
	count_bytes(rs, room);
	if (!wants_merge(room))
		set_due(rs, room, false);
}

void
rooms_trimmed(struct rooms *rs, uint64_t number)
{
	struct room *room;

	HASH_FIND(hh, rs->by_number, &number, sizeof(number), room);
	if (room != NULL)
		room->merged.any = true;
}

void
rooms_clear(struct rooms *rs)
{
	struct room *room;

	while ((room = TAILQ_FIRST(&rs->lru)) != NULL)
		forget(rs, room);
}

static void
end_batch(struct rooms *rs)
{
	SLIST_INIT(&rs->touched);
	rs->nadded = 0;
	rs->batch++;
	shrink(rs);
}

void
rooms_commit(struct rooms *rs)
{
	struct room *room;

	SLIST_FOREACH(room, &rs->touched, touched)
		room->created = false;
	end_batch(rs);
}

void
rooms_rollback(struct rooms *rs)
{
	struct added_id *a;
	struct room *room;

	while (rs->nadded > 0) {
		a = &rs->added[--rs->nadded];
		dedupe_del(&a->room->ids, a->hash, a->seq);
		count_bytes(rs, a->room);
	}
	while ((room = SLIST_FIRST(&rs->touched)) != NULL) {
		SLIST_REMOVE_HEAD(&rs->touched, touched);
		if (room->created)
			forget(rs, room);
		else
			room->now = room->before;
	}
	end_batch(rs);
}
