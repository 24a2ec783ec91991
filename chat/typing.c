/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * chat:typing.  Two halves:
 *
 * A struct typist is a socket of this worker that types in a room.  It
 * decides what is published: the first true, a renewal when one is due, and
 * false at the end or when nothing was heard for typing.expiry.
 *
 *          true           false, expiry  sends    stored         not stored
 *  (none)  T: TYPING      -              -        -              -
 *  TYPING  R if it is due F: (none)      ENDING   (none), of     -
 *                                                 another socket
 *  ENDING  AGAIN          F: (none)      ENDING   (none)         F: (none)
 *  AGAIN   -              F: (none)      ENDING   T: TYPING      T: TYPING
 *
 *  T, R, F: publishes true, a renewal, false.  While a message is on its way
 *  true leads from (none) to AGAIN and publishes nothing.
 *
 * While a message is on its way the members may still see its author typing;
 * it ends that when it comes, and what is typed behind it is shown only then.
 * If it was not stored, false is published.
 *
 * A struct typing is a socket, of any worker, that the members of a room
 * have been told of; a user types while one of its sockets does.  Its end is
 * published; should that never come, because its worker has stopped, it ends
 * when the next renewal is long overdue.
 */

#include "chat/typing.h"

#include <stdlib.h>
#include <string.h>

#include "chat/identity.h"
#include "chat/render.h"
#include "chat/request.h"
#include "chat/steer.h"

#define EVENT_TYPING "chat:typing-indicator"
/* a renewal may be on its way for so long */
#define OVERDUE_MS 2000

enum typist_state {
	TYPIST_TYPING,
	/* has sent a message, which will end it */
	TYPIST_ENDING,
	/* types the next one already */
	TYPIST_AGAIN,
};

struct typist {
	/* of the engine, by expires_ms; of the socket */
	TAILQ_ENTRY(typist) entry;
	LIST_ENTRY(typist) of_socket;
	struct chat_socket *s;
	struct room *room;
	enum typist_state state;
	uint64_t expires_ms, published_ms;
};

struct typing {
	TAILQ_ENTRY(typing) entry;
	/* of the engine, by heard_ms: when it was published last */
	TAILQ_ENTRY(typing) by_age;
	struct room *room;
	uint64_t user, heard_ms;
	/* the user was last shown through this socket, then; else 0 */
	uint64_t shown_ms;
	/* socket id, user id, agent id */
	size_t len[3];
	char text[];
};

bool
typing_parse(struct request *r)
{
	return read_id(json_member(r->payload, "sessionId"), &r->session) &&
	    json_to_bool(json_member(r->payload, "isTyping"), &r->u.typing.on);
}

/* --- the typists of this worker -------------------------------------------- */

static struct typist *
typist_find(const struct chat_socket *s, const struct room *room)
{
	struct typist *t;

	LIST_FOREACH(t, &socket_work(s)->typists, of_socket) {
		if (t->room == room)
			return t;
	}
	return NULL;
}

static void
typist_free(struct chat *chat, struct typist *t)
{
	TAILQ_REMOVE(&chat->typists, t, entry);
	LIST_REMOVE(t, of_socket);
	socket_work_done(t->s);
	free(t);
}

static void
typist_publish(struct chat *chat, const struct chat_socket *s,
    struct room *room, unsigned flags)
{
	const struct member *m = room_member(room, s);
	const char *user = s->identity->user_id;
	struct chat_event ev = { .type = CHAT_TYPING,
		.flags = flags,
		.room = room->number,
		.user = s->user,
		.owner = s->owner,
		.nfields = 3 };

	ev.field[0] = chat_cstr(s->id);
	ev.field[1] = chat_cstr(user);
	ev.field[2] = chat_str("", 0);
	/* of a user, the agent named at join is whom it talks to */
	if (m != NULL && m->role == IDENTITY_AGENT && m->agent != NULL)
		ev.field[2] = chat_cstr(m->agent);
	chat->ops->publish(chat->ctx, NULL, 0, &ev);
	chat_count(chat, CHAT_COUNT_TYPING);
}

/* The latest to expire goes last; all have the same time to live. */
static void
typist_arm(struct chat *chat, struct typist *t, uint64_t now)
{
	t->expires_ms = now + chat->cfg->typing_expiry;
	TAILQ_REMOVE(&chat->typists, t, entry);
	TAILQ_INSERT_TAIL(&chat->typists, t, entry);
}

/* Types, and all shall know. */
static void
typist_show(struct chat *chat, struct typist *t)
{
	t->state = TYPIST_TYPING;
	t->published_ms = chat_mono_ms(chat);
	typist_publish(chat, t->s, t->room, CHAT_F_TYPING);
}

static void
typist_begin(struct chat *chat, struct chat_socket *s, struct room *room)
{
	struct typist *t = chat_alloc(sizeof(*t));

	t->s = s;
	t->room = room;
	TAILQ_INSERT_TAIL(&chat->typists, t, entry);
	LIST_INSERT_HEAD(&socket_work_make(s)->typists, t, of_socket);
	typist_arm(chat, t, chat_mono_ms(chat));
	if (socket_sends(s, room))
		t->state = TYPIST_AGAIN;
	else
		typist_show(chat, t);
}

static void
typist_renew(struct chat *chat, struct typist *t)
{
	uint64_t now = chat_mono_ms(chat);

	typist_arm(chat, t, now);
	if (t->state == TYPIST_ENDING) {
		t->state = TYPIST_AGAIN;
	} else if (t->state == TYPIST_TYPING &&
	    now - t->published_ms >= chat->cfg->typing_coalesce) {
		t->published_ms = now;
		typist_publish(chat, t->s, t->room,
		    CHAT_F_TYPING | CHAT_F_RENEW);
	}
}

static void
typist_end(struct chat *chat, struct typist *t)
{
	typist_publish(chat, t->s, t->room, 0);
	typist_free(chat, t);
}

enum chat_error
typing_handle(struct request *r)
{
	struct typist *t = typist_find(r->s, r->room);

	/* nobody sees one type who cannot send */
	if (steer_is_muted(r->chat, r->s->identity->user_id, NULL))
		r->u.typing.on = false;
	if (!r->u.typing.on) {
		if (t != NULL)
			typist_end(r->chat, t);
	} else if (t == NULL) {
		typist_begin(r->chat, r->s, r->room);
	} else {
		typist_renew(r->chat, t);
	}
	(void)reply_begin(r->chat);
	reply_end(r->chat, r->s, NULL, r->has_ack, r->ack);
	return CHAT_OK;
}

void
typing_socket_leaves(struct chat *chat, struct chat_socket *s,
    struct room *room)
{
	struct typist *t;

	if ((t = typist_find(s, room)) != NULL)
		typist_end(chat, t);
}

void
typing_forget(struct chat *chat, struct chat_socket *s)
{
	struct typist *t;

	while ((t = LIST_FIRST(&socket_work(s)->typists)) != NULL)
		typist_free(chat, t);
}

void
typing_message_sent(struct chat *chat, struct chat_socket *s, struct room *room)
{
	struct typist *t;

	if ((t = typist_find(s, room)) != NULL) {
		t->state = TYPIST_ENDING;
		typist_arm(chat, t, chat_mono_ms(chat));
	}
}

void
typing_message_stored(struct chat *chat, struct chat_socket *s,
    struct room *room)
{
	struct typist *t;

	if ((t = typist_find(s, room)) == NULL || socket_sends(s, room))
		return;
	if (t->state == TYPIST_AGAIN)
		typist_show(chat, t);
	else
		typist_free(chat, t);
}

void
typing_message_failed(struct chat *chat, struct chat_socket *s,
    struct room *room)
{
	struct typist *t;

	if ((t = typist_find(s, room)) == NULL || socket_sends(s, room))
		return;
	if (t->state == TYPIST_AGAIN)
		typist_show(chat, t);
	else
		typist_end(chat, t);
}

/* A message ends the typing of all sockets of its author.  Those that have
 * sent one themselves hear of it by its verdict. */
static void
typists_message_comes(struct chat *chat, struct room *room, uint64_t user)
{
	struct typist *t, *next;

	for (t = TAILQ_FIRST(&chat->typists); t != NULL; t = next) {
		next = TAILQ_NEXT(t, entry);
		if (t->room == room && t->s->user == user &&
		    t->state == TYPIST_TYPING)
			typist_free(chat, t);
	}
}

/* --- what the members of a room see ------------------------------------------ */

static struct typing *
typing_find(struct room *room, uint64_t user, struct chat_str socket_id)
{
	struct typing *t;

	TAILQ_FOREACH(t, &room->typing, entry) {
		if (t->user == user && t->len[0] == socket_id.len &&
		    memcmp(t->text, socket_id.p, socket_id.len) == 0)
			return t;
	}
	return NULL;
}

/* The newest entry of the user: when it was shown last; NULL: types not. */
static const struct typing *
typing_of_user(const struct room *room, uint64_t user)
{
	const struct typing *t, *newest = NULL;

	TAILQ_FOREACH(t, &room->typing, entry) {
		if (t->user == user &&
		    (newest == NULL || t->shown_ms > newest->shown_ms))
			newest = t;
	}
	return newest;
}

static struct typing *
typing_add(struct chat *chat, struct room *room, uint64_t user,
    const struct chat_str *field)
{
	struct typing *t;
	char *to;
	int i;

	t = chat_alloc(sizeof(*t) + field[0].len + field[1].len + field[2].len);
	t->room = room;
	t->user = user;
	for (i = 0, to = t->text; i < 3; i++) {
		t->len[i] = field[i].len;
		memcpy(to, field[i].p, field[i].len);
		to += field[i].len;
	}
	TAILQ_INSERT_TAIL(&room->typing, t, entry);
	TAILQ_INSERT_TAIL(&chat->typings, t, by_age);
	return t;
}

static void
typing_heard(struct chat *chat, struct typing *t)
{
	t->heard_ms = chat_mono_ms(chat);
	TAILQ_REMOVE(&chat->typings, t, by_age);
	TAILQ_INSERT_TAIL(&chat->typings, t, by_age);
}

static void
typing_free(struct chat *chat, struct room *room, struct typing *t)
{
	TAILQ_REMOVE(&chat->typings, t, by_age);
	TAILQ_REMOVE(&room->typing, t, entry);
	free(t);
}

static void
show(struct chat *chat, struct room *room, const struct typing *t, bool on)
{
	struct json_out *o = &chat->event;
	const char *user_id = t->text + t->len[0];

	if (room->nmembers == 0)
		return;
	json_out_reset(o);
	render_typing(o, room->session, chat_str(user_id, t->len[1]),
	    chat_str(user_id + t->len[1], t->len[2]), on, chat_real_ms(chat));
	/* an end that is not told would stick */
	room_send_typing(chat, room, chat_encode(chat, EVENT_TYPING, o, NULL),
	    t->user, on);
}

/* 't' is the last of its user: that is told, unless another is left. */
static void
typing_end(struct chat *chat, struct room *room, struct typing *t)
{
	TAILQ_REMOVE(&room->typing, t, entry);
	TAILQ_REMOVE(&chat->typings, t, by_age);
	if (typing_of_user(room, t->user) == NULL)
		show(chat, room, t, false);
	free(t);
}

static void
typing_begin(struct chat *chat, struct room *room, const struct chat_event *ev)
{
	const struct typing *last = typing_of_user(room, ev->user);
	struct typing *t = typing_find(room, ev->user, ev->field[0]);
	uint64_t now = chat_mono_ms(chat);
	bool renew;

	/* a user with two busy sockets is shown no more often */
	renew = last != NULL && (ev->flags & CHAT_F_RENEW) != 0 &&
	    (last == t || now - last->shown_ms >= chat->cfg->typing_coalesce);
	if (t == NULL)
		t = typing_add(chat, room, ev->user, ev->field);
	typing_heard(chat, t);
	if (last == NULL || renew) {
		t->shown_ms = now;
		show(chat, room, t, true);
	}
}

void
typing_deliver(struct chat *chat, const struct chat_delivery *d)
{
	struct room *room = room_find(chat, d->ev.room);
	struct typing *t;

	if (room == NULL || room->nmembers == 0)
		return;
	if ((d->ev.flags & CHAT_F_TYPING) != 0)
		typing_begin(chat, room, &d->ev);
	else if ((t = typing_find(room, d->ev.user, d->ev.field[0])) != NULL)
		typing_end(chat, room, t);
}

void
typing_message_comes(struct chat *chat, struct room *room, uint64_t user)
{
	struct typing *t, *next;
	bool typed = false;

	for (t = TAILQ_FIRST(&room->typing); t != NULL; t = next) {
		next = TAILQ_NEXT(t, entry);
		if (t->user == user) {
			typing_end(chat, room, t);
			typed = true;
		}
	}
	/* what is typed here has been shown here */
	if (typed)
		typists_message_comes(chat, room, user);
}

void
typing_user_left(struct chat *chat, struct room *room, uint64_t user,
    struct chat_str socket_id)
{
	struct typing *t;

	if ((t = typing_find(room, user, socket_id)) != NULL)
		typing_end(chat, room, t);
}

void
typing_configure(struct chat *chat, const struct config *cfg)
{
	uint64_t was = chat->cfg->typing_expiry;
	struct typist *t;

	TAILQ_FOREACH(t, &chat->typists, entry)
		t->expires_ms = t->expires_ms - was + cfg->typing_expiry;
}

void
typing_tick(struct chat *chat, uint64_t now_ms)
{
	uint64_t overdue = (uint64_t)chat->cfg->typing_expiry +
	    chat->cfg->typing_coalesce + OVERDUE_MS;
	struct typist *typist;
	struct typing *t;

	while ((typist = TAILQ_FIRST(&chat->typists)) != NULL &&
	    typist->expires_ms <= now_ms)
		typist_end(chat, typist);
	while ((t = TAILQ_FIRST(&chat->typings)) != NULL &&
	    t->heard_ms + overdue <= now_ms)
		typing_end(chat, t->room, t);
}

void
typing_clear(struct chat *chat, struct room *room, bool tell)
{
	struct typing *t;

	while ((t = TAILQ_FIRST(&room->typing)) != NULL) {
		if (tell)
			typing_end(chat, room, t);
		else
			typing_free(chat, room, t);
	}
}

void
chat_resync_live(struct chat *chat)
{
	struct room *room, *next;
	struct typist *t;

	/* other workers may have heard of ours */
	while ((t = TAILQ_FIRST(&chat->typists)) != NULL)
		typist_end(chat, t);
	HASH_ITER(hh, chat->rooms, room, next)
		typing_clear(chat, room, true);
	cancel_resync(chat);
	shown_resync(chat);
}
