/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * presence - joins, leaves and status: who is in a room, and whose that is.
 *
 * Text that comes out of a transaction moves with the next put, so what is
 * written back is copied first.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/fault.h"
#include "common/log.h"
#include "scribe/sequence_impl.h"

/* how often a user's row is written again only for last_seen */
#define SEEN_EVERY_MS 60000
/* bytes of the text that a row may hold */
#define MAX_TEXT 1024
#define MAX_STATUS 16

/* Texts that outlive a put. */
struct kept {
	size_t len;
	char buf[4 * MAX_TEXT];
};

static struct store_text
keep(struct kept *k, struct store_text text)
{
	struct store_text copy = { k->buf + k->len, text.len };

	CHECK(text.len <= sizeof(k->buf) - k->len);
	if (text.len > 0)
		memcpy(k->buf + k->len, text.p, text.len);
	k->len += text.len;
	return copy;
}

static bool
same(struct store_text a, struct store_text b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

static bool
name_ok(struct store_text name)
{
	return name.len > 0 && name.len <= STORE_MAX_NAME &&
	    memchr(name.p, '\0', name.len) == NULL;
}

/* --- numbers ----------------------------------------------------------- */

/* The room of a JOIN, made if it is new; NULL with errno. */
static struct room *
find_room(struct sequence *q, const struct sequence_event *ev)
{
	struct store_room row = {
		.workspace = event_text(ev, 0),
		.session = event_text(ev, 1),
		.created_ms = q->now_ms,
	};

	if (store_room_find(q->t, row.workspace, row.session, &row.room) == 0) {
		if (q->nrefused == 0 || !sequence_room_refused(q, row.room))
			return rooms_get(q->rooms, q->t, row.room);
		q->counts.damaged++;
		errno = EBADMSG;
		return NULL;
	}
	if (errno != ENOENT)
		return NULL;
	row.room = q->next.room++;
	store_room_add(q->t, &row);
	FAULT(SEQ_ROOM);
	store_next_put(q->t, &q->next);
	q->dirty = true;
	return rooms_create(q->rooms, row.room);
}

/* Its name may be new, and when it was seen last. */
static int
update_user(struct sequence *q, uint64_t user, struct store_text name)
{
	struct kept kept = { .len = 0 };
	struct store_user row;

	if (store_user_get(q->t, user, &row) == -1)
		return errno == EBADMSG ? 0 : -1;
	if (row.last_seen_ms + SEEN_EVERY_MS > q->now_ms &&
	    (name.len == 0 || same(name, row.name)))
		return 0;
	row.id = keep(&kept, row.id);
	row.name = name.len > 0 ? name : keep(&kept, row.name);
	row.last_seen_ms = q->now_ms;
	store_user_update(q->t, &row);
	q->dirty = true;
	return 0;
}

/* The user of a JOIN, made if it is new: 0, or -1 with errno. */
static int
find_user(struct sequence *q, const struct sequence_event *ev, uint64_t *user_r)
{
	struct store_user row = {
		.id = event_text(ev, 2),
		.name = event_text(ev, 3),
		.last_seen_ms = q->now_ms,
	};

	if (store_user_find(q->t, row.id, user_r) == 0)
		return update_user(q, *user_r, row.name);
	if (errno != ENOENT)
		return -1;
	row.user = *user_r = q->next.user++;
	store_user_add(q->t, &row);
	FAULT(SEQ_USER);
	store_next_put(q->t, &q->next);
	q->dirty = true;
	return 0;
}

/* --- joins ------------------------------------------------------------- */

static bool
join_ok(const struct sequence_event *ev)
{
	return name_ok(event_text(ev, 0)) && name_ok(event_text(ev, 1)) &&
	    name_ok(event_text(ev, 2)) && ev->f[3].len <= MAX_TEXT &&
	    name_ok(event_text(ev, 4)) && ev->f[5].len <= STORE_MAX_NAME &&
	    recovery_fields_ok(ev);
}

static uint32_t
members_of(const struct room *room)
{
	return room->now.members < UINT32_MAX ? (uint32_t)room->now.members
					      : UINT32_MAX;
}

static bool
room_is_full(const struct sequence *q, const struct sequence_event *ev,
    const struct room *room)
{
	uint64_t max = q->limits.members_per_session;

	if (max == 0)
		return false;
	if ((ev->h->flags & RECORD_F_RESUME) != 0)
		max += max / 8 + 1;
	return room->now.members >= max;
}

static enum ring_verdict
put_member(struct sequence *q, const struct sequence_event *ev,
    struct room *room, uint64_t user, struct store_text pid)
{
	struct store_presence p = {
		.room = room->room,
		.user = user,
		.socket = event_text(ev, 4),
		.user_id = event_text(ev, 2),
		.user_name = event_text(ev, 3),
		.status = { "active", 6 },
		.agent = event_text(ev, 5),
		.pid = pid,
		.gseq = ev->gseq,
		.incarnation = ev->ix->incarnation,
		.client = ev->h->client,
		.generation = ev->h->generation,
	};
	struct kept kept = { .len = 0 };
	struct store_presence old;
	bool again;

	if (rooms_count_members(q->t, room) == -1)
		return sequence_failed(q);
	again = store_presence_get(q->t, p.room, user, p.socket, &old) == 0;
	/* a damaged row is there, and is replaced */
	if (!again && errno != ENOENT && errno != EBADMSG)
		return sequence_failed(q);
	if (!again && errno == ENOENT) {
		if (room_is_full(q, ev, room))
			return RING_SESSION_FULL;
		room->now.members++;
	}
	p.activity_ms = sequence_time(q, room);
	p.joined_ms = again ? old.joined_ms : p.activity_ms;
	/* nobody is told of who is in already: it stays as it was */
	if (again)
		p.status = keep(&kept, old.status);
	store_presence_put(q->t, &p);
	FAULT(SEQ_JOINED);
	q->dirty = true;
	q->counts.joins += !again;
	ev->ix->time_ms = p.activity_ms;
	ev->ix->members = members_of(room);
	return again ? RING_DUPLICATE : RING_STORED;
}

/* Member and recovery row in one. */
static enum ring_verdict
enter(struct sequence *q, const struct sequence_event *ev, struct room *room,
    uint64_t user, enum recovery_join recovery)
{
	struct store_text pid = { "", 0 };
	enum ring_verdict verdict;

	if (recovery == RECOVERY_ROW &&
	    recovery_join_room(q, ev, room->room, user))
		pid = event_text(ev, 6);
	verdict = put_member(q, ev, room, user, pid);
	if (recovery == RECOVERY_ROW &&
	    (verdict == RING_STORED || verdict == RING_DUPLICATE))
		recovery_join_end(q, ev);
	return verdict;
}

enum ring_verdict
presence_join(struct sequence *q, const struct sequence_event *ev)
{
	enum recovery_join recovery;
	enum ring_verdict verdict;
	struct room *room;
	uint64_t user;

	if (!join_ok(ev))
		return RING_REJECTED;
	if (q->refuse)
		return RING_STORE_UNAVAILABLE;
	recovery = recovery_join_begin(q, ev);
	if (recovery == RECOVERY_OTHERS)
		return RING_REJECTED;
	if (recovery == RECOVERY_FAILED || (room = find_room(q, ev)) == NULL ||
	    find_user(q, ev, &user) == -1)
		return sequence_failed(q);
	verdict = enter(q, ev, room, user, recovery);
	ev->ix->room = room->room;
	ev->ix->user = user;
	ev->ix->seq = room->now.last_seq;
	if (room->now.last_revision != ROOM_UNKNOWN)
		ev->ix->revision = room->now.last_revision;
	return verdict;
}

/* --- leaves ------------------------------------------------------------ */

/* The leave that a record is. */
static void
leave_of(struct sequence *q, const struct sequence_event *ev,
    struct sequence_leave *l)
{
	struct store_text socket = event_text(ev, 0);

	l->room = ev->h->room;
	l->user = ev->h->user;
	l->time_ms = q->now_ms;
	l->owner = event_owner(ev);
	l->flags = ev->h->flags;
	l->socket_len = (uint8_t)socket.len;
	memcpy(l->socket, socket.p, socket.len);
}

/* While the store cannot be written: to be done later. */
static int
defer_leave(struct sequence *q, const struct sequence_leave *leave)
{
	struct sequence_leave *l;
	size_t cap;

	if (q->nleaves == q->leaves_cap) {
		cap = q->leaves_cap == 0 ? 64 : q->leaves_cap * 2;
		l = reallocarray(q->leaves, cap, sizeof(*l));
		if (l == NULL)
			return -1;
		q->leaves = l;
		q->leaves_cap = cap;
	}
	q->leaves[q->nleaves++] = *leave;
	return 0;
}

/*
 * Is the row still the one that this leave is about?  Its socket may have
 * been taken over meanwhile, and be in the room for somebody else.
 */
static bool
leaves_row(const struct sequence_leave *l, const struct store_presence *row)
{
	return row->incarnation == l->owner.incarnation &&
	    row->client == l->owner.client &&
	    row->generation == l->owner.generation;
}

/*
 * Take the row out of presence and, if 'whole', what it means to recovery.
 * 0, or -1 with errno: ENOENT there is no such row, or it is another's.
 */
static int
remove_member(struct sequence *q, const struct sequence_leave *l, bool whole)
{
	struct store_text socket = { l->socket, l->socket_len };
	struct store_text pid = { "", 0 };
	struct kept kept = { .len = 0 };
	struct store_presence row;

	if (store_presence_get(q->t, l->room, l->user, socket, &row) == -1) {
		/* what is damaged can be removed all the same */
		if (errno != EBADMSG)
			return -1;
	} else if (!leaves_row(l, &row)) {
		errno = ENOENT;
		return -1;
	} else {
		pid = keep(&kept, row.pid);
	}
	store_presence_del(q->t, l->room, l->user, socket);
	FAULT(SEQ_LEFT);
	return whole && pid.len > 0 ? recovery_leave(q, pid, l) : 0;
}

void
sequence_leave_again(struct sequence *q, const struct sequence_leave *l,
    bool whole)
{
	if (remove_member(q, l, whole) == -1 && errno != ENOENT)
		(void)sequence_failed(q);
}

enum ring_verdict
presence_leave(struct sequence *q, const struct sequence_event *ev)
{
	struct store_text nobody = { "", 0 };
	struct sequence_leave l;
	struct room *room;
	uint64_t left;

	if (!name_ok(event_text(ev, 0)) || ev->h->user == 0)
		return RING_REJECTED;
	/* who asks to leave is answered, and the answer must hold; who is gone
	 * is gone, whether it can be written or not */
	if (q->refuse &&
	    (ev->h->flags &
		(RECORD_F_LOST | RECORD_F_FINAL | RECORD_F_ORPHAN)) == 0)
		return RING_STORE_UNAVAILABLE;
	if ((room = rooms_get(q->rooms, q->t, ev->h->room)) == NULL)
		return errno == ENOENT ? RING_REJECTED : sequence_failed(q);
	leave_of(q, ev, &l);
	if (rooms_count_members(q->t, room) == -1)
		return sequence_failed(q);
	if (remove_member(q, &l, true) == -1)
		return errno == ENOENT ? RING_REJECTED : sequence_failed(q);
	room->now.members -= room->now.members > 0;
	if (update_user(q, ev->h->user, nobody) == -1 && errno != ENOENT)
		return sequence_failed(q);
	if (q->refuse && defer_leave(q, &l) == -1)
		return sequence_failed(q);
	if (store_presence_count(q->t, room->room, ev->h->user, &left) == -1)
		return sequence_failed(q);
	q->dirty = true;
	q->counts.leaves++;
	ev->ix->seq = left;
	ev->ix->members = members_of(room);
	ev->ix->time_ms = sequence_time(q, room);
	return RING_STORED;
}

/* --- status ------------------------------------------------------------ */

/* When it was active last: not later than now, and now if it says nothing. */
static uint64_t
active_ms(const struct sequence_event *ev, uint64_t now_ms)
{
	struct store_text times = event_text(ev, 4);
	const char *p = memchr(times.p, ' ', times.len);
	const char *end = times.p + times.len;
	uint64_t ms = 0;

	while (p != NULL && ++p < end && *p >= '0' && *p <= '9' && ms < now_ms)
		ms = ms * 10 + (uint64_t)(*p - '0');
	return ms > 0 && ms < now_ms ? ms : now_ms;
}

enum ring_verdict
presence_update(struct sequence *q, const struct sequence_event *ev)
{
	struct store_text socket = event_text(ev, 0);
	struct store_text name = event_text(ev, 2), status = event_text(ev, 3);
	struct kept kept = { .len = 0 };
	struct store_presence row;
	struct room *room;

	if (!name_ok(socket) || ev->h->user == 0 || name.len > MAX_TEXT ||
	    status.len == 0 || status.len > MAX_STATUS)
		return RING_REJECTED;
	if (q->refuse)
		return RING_STORE_UNAVAILABLE;
	if ((room = rooms_get(q->rooms, q->t, ev->h->room)) == NULL)
		return errno == ENOENT ? RING_REJECTED : sequence_failed(q);
	if (store_presence_get(q->t, room->room, ev->h->user, socket, &row) ==
	    -1)
		return errno == ENOENT ? RING_REJECTED : sequence_failed(q);
	row.user_id = keep(&kept, row.user_id);
	row.user_name = name.len > 0 ? name : keep(&kept, row.user_name);
	row.agent = keep(&kept, row.agent);
	row.pid = keep(&kept, row.pid);
	row.status = status;
	ev->ix->time_ms = sequence_time(q, room);
	row.activity_ms = active_ms(ev, ev->ix->time_ms);
	row.gseq = ev->gseq;
	store_presence_put(q->t, &row);
	FAULT(SEQ_STATUS);
	q->dirty = true;
	ev->ix->seq = room->now.last_seq;
	return RING_STORED;
}
