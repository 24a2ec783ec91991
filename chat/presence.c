/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * chat:update-presence.
 */

#include <stdio.h>
#include <string.h>

#include "chat/identity.h"
#include "chat/render.h"
#include "chat/request.h"

#define EVENT_PRESENCE_UPDATED "chat:presence-updated"

bool
presence_parse(struct request *r)
{
	static const char *const statuses[] = { "active", "idle", "away" };
	struct json_value v = json_member(r->payload, "status");
	size_t i;

	if (!read_id(json_member(r->payload, "sessionId"), &r->session))
		return false;
	for (i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
		if (json_is(v, statuses[i])) {
			r->u.presence.status = statuses[i];
			return true;
		}
	}
	return false;
}

enum chat_error
presence_handle(struct request *r)
{
	struct chat_socket *s = r->s;
	const struct identity *id = s->identity;
	struct chat_event ev = { .type = CHAT_PRESENCE, .nfields = 5 };
	struct pending *p =
	    pending_add(r->chat, s, PENDING_PRESENCE, r->room, 0);
	const char *status = r->u.presence.status;
	char joined[24];
	int len;

	p->has_ack = r->has_ack;
	p->ack = r->ack;
	ev.room = r->room->number;
	ev.user = s->user;
	ev.field[0] = chat_cstr(s->id);
	ev.field[1] = chat_cstr(id->user_id);
	ev.field[2] = chat_cstr(id->user_name);
	ev.field[3] = chat_cstr(status);
	len = snprintf(joined, sizeof(joined), "%llu",
	    (unsigned long long)r->member->joined_ms);
	ev.field[4] = chat_str(joined, (size_t)len);
	socket_publish(r->chat, s, p->request, &ev);
	return CHAT_OK;
}

/* --- in its turn --------------------------------------------------------------- */

static uint64_t
read_decimal(struct chat_str s)
{
	uint64_t n = 0;
	size_t i;

	for (i = 0; i < s.len && s.p[i] >= '0' && s.p[i] <= '9'; i++)
		n = n * 10 + (uint64_t)(s.p[i] - '0');
	return n;
}

static void
tell_room(struct chat *chat, struct room *room, const struct chat_delivery *d,
    const struct chat_socket *s)
{
	struct json_out *o = &chat->event;
	struct chat_member m = {
		.joined_ms = read_decimal(d->ev.field[4]),
		.active_ms = d->time_ms,
		.user_id = d->ev.field[1],
		.user_name = d->ev.field[2],
		.socket_id = d->ev.field[0],
		.status = d->ev.field[3],
	};

	if (room->nmembers <= (s != NULL && room_member(room, s) != NULL))
		return;
	json_out_reset(o);
	render_presence(o, room->session, &m);
	room_send_presence(chat, room, EVENT_PRESENCE_UPDATED, o, s, d->gseq);
}

static void
presence_answer(struct chat *chat, struct chat_socket *s,
    const struct pending *p, enum chat_error err)
{
	struct chat_id session;
	struct error_context ctx = {
		.errors = CHAT_COUNT_OTHER_ERRORS,
		.has_ack = p->has_ack,
		.ack = p->ack,
		.session = &session,
	};

	if (err == CHAT_OK) {
		chat_count(chat, CHAT_COUNT_PRESENCE);
		(void)reply_begin(chat);
		reply_end(chat, s, NULL, p->has_ack, p->ack);
		return;
	}
	chat_id_set(&session, chat_cstr(p->room->session));
	reply_error(chat, s, err, &ctx);
}

void
presence_deliver(struct chat *chat, const struct chat_delivery *d)
{
	struct chat_socket *s = d->own ? d->socket : NULL;
	struct pending *p;
	struct room *room;

	if (s != NULL && (p = pending_take(s, d->request)) == NULL)
		s = NULL;
	if (s != NULL) {
		presence_answer(chat, s, p, error_of(d->outcome));
		pending_free(chat, &p);
	}
	if (d->outcome == CHAT_STORED &&
	    (room = room_find(chat, d->ev.room)) != NULL)
		tell_room(chat, room, d, s);
}
