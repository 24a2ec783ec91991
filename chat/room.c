/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "chat/room.h"

#include <stdlib.h>
#include <string.h>

#include "chat/delta.h"
#include "chat/held.h"
#include "chat/replay.h"
#include "chat/socket.h"
#include "chat/stream.h"
#include "chat/typing.h"
#include "common/log.h"

/* FNV-1a; a client's collisions slow down only its own list. */
uint32_t
room_hash(const char *session)
{
	uint32_t h = 2166136261U;

	for (; *session != '\0'; session++)
		h = (h ^ (uint8_t)*session) * 16777619U;
	return h;
}

struct room *
room_find(const struct chat *chat, uint64_t number)
{
	struct room *room;

	HASH_FIND(hh, chat->rooms, &number, sizeof(number), room);
	return room;
}

struct room *
room_get(struct chat *chat, uint64_t number, struct chat_str workspace,
    struct chat_str session)
{
	struct room *room;
	char *p;

	if ((room = room_find(chat, number)) == NULL) {
		room =
		    chat_alloc(sizeof(*room) + workspace.len + session.len + 2);
		room->number = number;
		memcpy(room->session, session.p, session.len);
		p = room->session + session.len + 1;
		memcpy(p, workspace.p, workspace.len);
		room->workspace = p;
		room->hash = room_hash(room->session);
		TAILQ_INIT(&room->typing);
		LIST_INIT(&room->shown);
		HASH_ADD(hh, chat->rooms, number, sizeof(number), room);
	}
	room->refs++;
	return room;
}

void
room_ref(struct room *room)
{
	room->refs++;
}

void
room_unref(struct chat *chat, struct room *room)
{
	CHECK(room->refs > 0);
	if (--room->refs > 0 || room->nmembers > 0)
		return;
	typing_clear(chat, room, false);
	sync_forget(chat, room);
	delta_forget(chat, room);
	CHECK(room->held == NULL);
	HASH_DELETE(hh, chat->rooms, room);
	free(room->members);
	free(room);
}

struct member *
room_add(struct chat *chat, struct room *room, struct chat_socket *s)
{
	struct member *m;

	if (room->nmembers == room->cap) {
		room->cap = room->cap == 0 ? 1 : room->cap * 2;
		room->members = chat_realloc(room->members, room->cap,
		    sizeof(*room->members));
	}
	if (room->nmembers == 0)
		chat->ops->interest(chat->ctx, room->number, true);
	if (room->nmembers == 0)
		shown_enter(chat, room);
	socket_add_joined(s, room, room->nmembers);
	m = &room->members[room->nmembers++];
	memset(m, 0, sizeof(*m));
	m->conn = s->conn;
	m->s = s;
	m->frame = socket_frame(s);
	chat->nmembers++;
	return m;
}

/* A room that was large gives its memory back. */
static void
room_shrink(struct room *room)
{
	struct member *members;

	if (room->cap <= 16 || room->nmembers > room->cap / 4)
		return;
	members =
	    reallocarray(room->members, room->cap / 2, sizeof(*room->members));
	if (members != NULL) {
		room->members = members;
		room->cap /= 2;
	}
}

void
room_remove(struct chat *chat, struct room *room, struct chat_socket *s)
{
	struct joined *j = socket_joined_room(s, room), *moved;
	struct member *m, *last;

	CHECK(j != NULL && j->index < room->nmembers);
	streams_leave(chat, s, room);
	m = &room->members[j->index];
	CHECK(m->s == s && m->replay == NULL);
	free(m->agent);
	last = &room->members[--room->nmembers];
	if (m != last) {
		moved = socket_joined_room(last->s, room);
		CHECK(moved != NULL);
		moved->index = j->index;
		*m = *last;
	}
	socket_remove_joined(s, j);
	chat->nmembers--;
	room_shrink(room);
	if (room->nmembers == 0) {
		shown_leave(chat, room);
		typing_clear(chat, room, false);
		delta_forget(chat, room);
		chat->ops->interest(chat->ctx, room->number, false);
	}
}

struct member *
room_member(struct room *room, const struct chat_socket *s)
{
	const struct joined *j = socket_joined_room(s, room);

	return j == NULL ? NULL : &room->members[j->index];
}

bool
room_has_socket(const struct room *room, struct chat_str socket_id)
{
	uint32_t i;

	for (i = 0; i < room->nmembers; i++)
		if (socket_is(room->members[i].s, socket_id))
			return true;
	return false;
}

/* An event with an offset that is not all members'. */
struct own {
	bool made;
	struct chat_frame frame;
	char offset[OFFSET_TEXT_SIZE];
};

/* After a gap thousands have a replay, and most of them lack the same. */
static struct chat_frame
own_frame(struct chat *chat, const char *event, const struct json_out *o,
    const struct chat_socket *s, struct own *own)
{
	const char *offset = socket_offset(chat, s);

	if (own->made && strcmp(own->offset, offset) == 0)
		return own->frame;
	own->frame = chat_encode(chat, event, o, offset);
	own->made = true;
	memcpy(own->offset, offset, strlen(offset) + 1);
	return own->frame;
}

void
room_send_message(struct chat *chat, struct room *room, const char *event,
    const struct json_out *o, const struct chat_socket *except)
{
	const struct member *m = room->members, *end = m + room->nmembers;
	struct chat_frame shared[MEMBER_OWN], frame;
	bool made[MEMBER_OWN] = { false };
	struct own own;

	own.made = false;

	for (; m < end; m++) {
		if (m->replay != NULL || m->s == except)
			continue;
		if (m->frame == MEMBER_OWN) {
			frame = own_frame(chat, event, o, m->s, &own);
		} else {
			if (!made[m->frame])
				shared[m->frame] = chat_encode(chat, event, o,
				    m->frame == MEMBER_PLAIN
					? NULL
					: chat_offset(chat));
			made[m->frame] = true;
			frame = shared[m->frame];
		}
		chat->ops->send(chat->ctx, m->conn, frame, CHAT_EVENT);
	}
}

void
room_send_presence(struct chat *chat, struct room *room, const char *event,
    int net, const struct json_out *o, const struct chat_socket *except,
    uint64_t gseq)
{
	const struct member *m = room->members, *end = m + room->nmembers;
	struct chat_frame frame = chat_encode(chat, event, o, NULL);

	held_add(chat, room, gseq, event, net, o, except);
	for (; m < end; m++) {
		if (gseq >= m->roster_pos && m->s != except)
			chat->ops->send(chat->ctx, m->conn, frame, CHAT_EVENT);
	}
}

void
room_send_typing(struct chat *chat, struct room *room, struct chat_frame frame,
    uint64_t user, bool droppable)
{
	const struct member *m = room->members, *end = m + room->nmembers;
	enum chat_priority prio = droppable ? CHAT_DROPPABLE : CHAT_EVENT;

	for (; m < end; m++) {
		if (m->s->user != user && m->s->resume == NULL &&
		    !(m->replay != NULL && m->replay->unanswered))
			chat->ops->send(chat->ctx, m->conn, frame, prio);
	}
}
