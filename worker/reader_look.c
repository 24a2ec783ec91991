/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * reader_look - what chatctl shows of sessions and users.
 */

#include <errno.h>
#include <string.h>

#include "worker/reader.h"

struct look {
	struct store_txn *t;
	struct read_answer *a;
	/* USER: whose memberships */
	uint64_t user;
	int error;
};

/* rows of presence that are looked through for one user */
#define USER_ROWS 4096

static bool
keep_error(struct look *l, int rc)
{
	if (rc == -1 && l->error == 0)
		l->error = errno;
	return l->error == 0;
}

static int
finish(const struct look *l)
{
	errno = l->error;
	return l->error == 0 ? 0 : -1;
}

/* The place where a walk goes on, as a last row. */
static int
put_place(struct look *l, const struct store_place *place)
{
	const struct read_row end = {
		.text = { { (const char *)place->key, place->len } }
	};

	l->a->more = !place->done;
	return reader_put_row(l->t, l->a, &end);
}

static int
begin(const struct read_query *q, struct store_place *place)
{
	memset(place, 0, sizeof(*place));
	if (q->text.len > sizeof(place->key)) {
		errno = EINVAL;
		return -1;
	}
	memcpy(place->key, q->text.p, q->text.len);
	place->len = q->text.len;
	return 0;
}

/* --- sessions ------------------------------------------------------------- */

static int
put_session(struct look *l, const struct store_room *room)
{
	struct read_row row = {
		.n = { room->room, room->created_ms },
		.text = { room->workspace, room->session, room->status,
		    room->status_reason },
	};

	if (store_last_seq(l->t, room->room, &row.n[2]) == -1 ||
	    store_last_revision(l->t, room->room, &row.n[3]) == -1 ||
	    store_presence_count(l->t, room->room, 0, &row.n[4]) == -1)
		return -1;
	row.n[5] = room->floor.seq;
	return reader_put_row(l->t, l->a, &row);
}

static bool
add_session(const struct store_room *room, void *arg)
{
	struct look *l = arg;

	return keep_error(l, put_session(l, room));
}

int
reader_rooms(struct store_txn *t, const struct read_query *q,
    struct read_answer *a)
{
	struct look l = { .t = t, .a = a };
	struct store_place place;

	if (begin(q, &place) == -1 ||
	    store_room_walk(t, &place, (unsigned)q->count, add_session, &l) ==
		-1)
		return -1;
	return l.error != 0 ? finish(&l) : put_place(&l, &place);
}

int
reader_room(struct store_txn *t, const struct read_query *q,
    struct read_answer *a)
{
	const char *slash = memchr(q->text.p, '/', q->text.len);
	struct store_text workspace = { q->text.p, 0 }, session;
	struct look l = { .t = t, .a = a };
	struct store_room room;

	if (slash == NULL) {
		errno = ENOENT;
		return -1;
	}
	workspace.len = (size_t)(slash - q->text.p);
	session.p = slash + 1;
	session.len = q->text.len - workspace.len - 1;
	if (store_room_find(t, workspace, session, &a->room) == -1 ||
	    store_room_get(t, a->room, &room) == -1)
		return -1;
	return put_session(&l, &room);
}

/* --- users ------------------------------------------------------------------ */

static int
put_user(struct look *l, const struct store_user *user)
{
	const struct read_row row = {
		.n = { user->user, user->last_seen_ms },
		.text = { user->id, user->name },
	};

	return reader_put_row(l->t, l->a, &row);
}

static bool
add_user(const struct store_user *user, void *arg)
{
	struct look *l = arg;

	return keep_error(l, put_user(l, user));
}

int
reader_users(struct store_txn *t, const struct read_query *q,
    struct read_answer *a)
{
	struct look l = { .t = t, .a = a };
	struct store_place place;

	if (begin(q, &place) == -1 ||
	    store_user_walk(t, &place, (unsigned)q->count, add_user, &l) == -1)
		return -1;
	return l.error != 0 ? finish(&l) : put_place(&l, &place);
}

static int
put_membership(struct look *l, const struct store_presence *p)
{
	struct read_row row = { .n = { p->room, p->joined_ms, p->activity_ms },
		.text = { [2] = p->socket, [3] = p->status } };
	struct store_room room;

	if (store_room_get(l->t, p->room, &room) == 0) {
		row.text[0] = room.workspace;
		row.text[1] = room.session;
	} else if (errno != ENOENT && errno != EBADMSG) {
		return -1;
	}
	return reader_put_row(l->t, l->a, &row);
}

static bool
add_membership(const struct store_presence *p, void *arg)
{
	struct look *l = arg;

	if (p->user != l->user)
		return true;
	return keep_error(l, put_membership(l, p));
}

int
reader_user(struct store_txn *t, const struct read_query *q,
    struct read_answer *a)
{
	struct look l = { .t = t, .a = a };
	struct store_place place = { .len = 0 };
	struct store_user user;

	if (store_user_find(t, q->text, &l.user) == -1 ||
	    store_user_get(t, l.user, &user) == -1 || put_user(&l, &user) == -1)
		return -1;
	while (!place.done && l.error == 0) {
		if (store_presence_walk(t, &place, USER_ROWS, add_membership,
			&l) == -1)
			return -1;
	}
	return finish(&l);
}
