/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * chat:leave-session, and what leaving means to those who stay.
 */

#include <stdlib.h>
#include <string.h>

#include "chat/identity.h"
#include "chat/render.h"
#include "chat/replay.h"
#include "chat/request.h"
#include "chat/typing.h"

#define EVENT_LEAVE_SUCCESS "chat:leave-session-success"
#define EVENT_USER_LEFT "chat:user-left"
/* when a leave that the store could not take is published again */
#define AGAIN_MS 1000

bool
leave_parse(struct request *r)
{
	return read_id(json_member(r->payload, "sessionId"), &r->session);
}

enum chat_error
leave_handle(struct request *r)
{
	struct chat_socket *s = r->s;
	struct chat_event ev = { .type = CHAT_LEAVE, .nfields = 3 };
	struct pending *p = pending_add(r->chat, s, PENDING_LEAVE, r->room, 0);

	p->has_ack = r->has_ack;
	p->ack = r->ack;
	typing_socket_leaves(r->chat, s, r->room);
	ev.room = r->room->number;
	ev.user = s->user;
	ev.field[0] = chat_cstr(s->id);
	ev.field[1] = chat_cstr(s->identity->user_id);
	ev.field[2] = chat_str("", 0);
	r->chat->ops->publish(r->chat->ctx, s, p->request, &ev);
	return CHAT_OK;
}

/* --- in its turn --------------------------------------------------------------- */

static void
leave_again(struct chat *chat, const struct chat_delivery *d)
{
	const struct chat_str *f = d->ev.field;
	struct again *a;
	char *to;
	int i;

	a = chat_alloc(sizeof(*a) + f[0].len + f[1].len + f[2].len);
	a->due_ms = chat_mono_ms(chat) + AGAIN_MS;
	a->room = d->ev.room;
	a->user = d->ev.user;
	for (i = 0, to = a->text; i < 3; i++) {
		a->len[i] = f[i].len;
		memcpy(to, f[i].p, f[i].len);
		to += f[i].len;
	}
	STAILQ_INSERT_TAIL(&chat->agains, a, entry);
}

void
leave_tick(struct chat *chat, uint64_t now_ms)
{
	struct room *room;
	struct again *a;
	const char *p;

	while (
	    (a = STAILQ_FIRST(&chat->agains)) != NULL && a->due_ms <= now_ms) {
		STAILQ_REMOVE_HEAD(&chat->agains, entry);
		p = a->text;
		room = room_find(chat, a->room);
		/* unless it has come back */
		if (room == NULL ||
		    !room_has_socket(room, chat_str(p, a->len[0])))
			chat_publish_leave(chat, a->room, a->user,
			    chat_str(p, a->len[0]),
			    chat_str(p + a->len[0], a->len[1]),
			    chat_str(p + a->len[0] + a->len[1], a->len[2]));
		free(a);
	}
}

static void
leave_answer(struct chat *chat, struct chat_socket *s, const struct pending *p,
    uint64_t time_ms)
{
	struct json_out *o = reply_begin(chat);

	json_out_key(o, "sessionId");
	json_out_cstring(o, p->room->session);
	render_room_id(o, p->room->session);
	json_out_key(o, "timestamp");
	json_out_u64(o, time_ms);
	reply_end(chat, s, EVENT_LEAVE_SUCCESS, p->has_ack, p->ack);
}

static void
tell_room(struct chat *chat, struct room *room, const struct chat_delivery *d,
    uint64_t time_ms)
{
	struct json_out *o = &chat->event;

	typing_user_left(chat, room, d->ev.user, d->ev.field[0]);
	if (d->outcome != CHAT_STORED || room->nmembers == 0)
		return;
	json_out_reset(o);
	render_left(o, room->session, d, time_ms);
	room_send_presence(chat, room, chat_encode(chat, EVENT_USER_LEFT, o),
	    NULL, d->gseq);
}

void
leave_deliver(struct chat *chat, const struct chat_delivery *d)
{
	uint64_t time_ms = d->time_ms > 0 ? d->time_ms : chat_real_ms(chat);
	struct chat_socket *s = d->own ? d->socket : NULL;
	struct pending *p = NULL;
	struct room *room;
	struct member *m;

	if (d->own && d->outcome == CHAT_STORE_UNAVAILABLE)
		leave_again(chat, d);
	if (s != NULL && (p = pending_take(s, d->request)) != NULL &&
	    (m = room_member(p->room, s)) != NULL) {
		replay_stop(chat, m);
		room_remove(chat, p->room, s);
		chat_count(chat, CHAT_COUNT_LEAVES);
	}
	if ((room = room_find(chat, d->ev.room)) != NULL)
		tell_room(chat, room, d, time_ms);
	if (p != NULL) {
		leave_answer(chat, s, p, time_ms);
		pending_free(chat, &p);
		socket_resume(chat, s);
	}
}
