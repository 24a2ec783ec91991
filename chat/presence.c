/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * chat:update-presence.
 */

#include <stdio.h>
#include <string.h>

#include "chat/delta.h"
#include "chat/identity.h"
#include "chat/idle.h"
#include "chat/render.h"
#include "chat/request.h"

#define EVENT_PRESENCE_UPDATED "chat:presence-updated"

const char *
status_text(enum status status)
{
	static const char *const texts[STATUS__MAX] = {
		[STATUS_ACTIVE] = "active",
		[STATUS_IDLE] = "idle",
		[STATUS_AWAY] = "away",
	};

	return texts[status];
}

enum status
status_of(struct chat_str text)
{
	const char *t;
	int i;

	for (i = 0; i < STATUS__MAX; i++) {
		t = status_text((enum status)i);
		if (text.len == strlen(t) && memcmp(text.p, t, text.len) == 0)
			break;
	}
	return (enum status)i;
}

bool
presence_parse(struct request *r)
{
	struct json_value v = json_member(r->payload, "status");
	int i;

	if (!read_id(json_member(r->payload, "sessionId"), &r->session))
		return false;
	for (i = 0; i < STATUS__MAX; i++) {
		if (json_is(v, status_text((enum status)i))) {
			r->u.presence.status = i;
			return true;
		}
	}
	return false;
}

/* When it joined and was active last, ms since the epoch. */
static struct chat_str
times_text(struct chat *chat, const struct member *m, enum pending_kind kind,
    char *text, size_t size)
{
	uint64_t active = chat_real_ms(chat);
	int len;

	if (kind == PENDING_IDLE)
		active -= idle_silent_ms(chat, m->s);
	len = snprintf(text, size, "%llu %llu",
	    (unsigned long long)m->joined_ms, (unsigned long long)active);
	return chat_str(text, (size_t)len);
}

struct pending *
presence_publish(struct chat *chat, struct chat_socket *s, struct room *room,
    enum status status, enum pending_kind kind)
{
	const struct identity *id = s->identity;
	struct chat_event ev = { .type = CHAT_PRESENCE, .nfields = 5 };
	struct pending *p = pending_add(chat, s, kind, room, 0);
	char times[48];

	ev.room = room->number;
	ev.user = s->user;
	ev.field[0] = chat_cstr(s->id);
	ev.field[1] = chat_cstr(id->user_id);
	ev.field[2] = chat_cstr(id->user_name);
	ev.field[3] = chat_cstr(status_text(status));
	ev.field[4] =
	    times_text(chat, room_member(room, s), kind, times, sizeof(times));
	socket_publish(chat, s, p->request, &ev);
	return p;
}

enum chat_error
presence_handle(struct request *r)
{
	struct pending *p = presence_publish(r->chat, r->s, r->room,
	    (enum status)r->u.presence.status, PENDING_PRESENCE);

	p->has_ack = r->has_ack;
	p->ack = r->ack;
	return CHAT_OK;
}

/* --- in its turn --------------------------------------------------------------- */

static uint64_t
read_decimal(struct chat_str *s)
{
	uint64_t n = 0;

	for (; s->len > 0 && s->p[0] >= '0' && s->p[0] <= '9'; s->p++, s->len--)
		n = n * 10 + (uint64_t)(s->p[0] - '0');
	if (s->len > 0) {
		s->p++;
		s->len--;
	}
	return n;
}

static void
tell_room(struct chat *chat, struct room *room, const struct chat_delivery *d,
    const struct chat_socket *s)
{
	struct chat_str times = d->ev.field[4];
	struct json_out *o = &chat->event;
	struct chat_member m = {
		.user_id = d->ev.field[1],
		.user_name = d->ev.field[2],
		.socket_id = d->ev.field[0],
		.status = d->ev.field[3],
	};

	/* one behind the other: initializers have no order */
	m.joined_ms = read_decimal(&times);
	m.active_ms = read_decimal(&times);
	if (room->nmembers <= (s != NULL && room_member(room, s) != NULL))
		return;
	if (m.active_ms == 0 || m.active_ms > d->time_ms)
		m.active_ms = d->time_ms;
	if (delta_is_due(chat, room)) {
		delta_add(chat, room, DELTA_CHANGED, &m, d->gseq, s);
		return;
	}
	json_out_reset(o);
	render_presence(o, room->session, &m);
	room_send_presence(chat, room, EVENT_PRESENCE_UPDATED, 0, o, s,
	    d->gseq);
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

/* What is stored now is known; and perhaps no longer right. */
static void
presence_settled(struct chat *chat, struct chat_socket *s,
    const struct pending *p, const struct chat_delivery *d)
{
	struct member *m = room_member(p->room, s);
	enum status status = status_of(d->ev.field[3]);

	if (p->kind == PENDING_PRESENCE)
		presence_answer(chat, s, p, error_of(d->outcome));
	if (m == NULL)
		return;
	if (d->outcome == CHAT_STORED && status != STATUS__MAX) {
		m->status = status;
		m->idled = p->kind == PENDING_IDLE && status != STATUS_ACTIVE;
		s->idled = s->idled || m->idled;
	}
	/* what the store does not take is tried again by idle_tick() */
	if (d->outcome == CHAT_STORED)
		idle_settle(chat, s, m, p->room);
}

void
presence_deliver(struct chat *chat, const struct chat_delivery *d)
{
	struct chat_socket *s = d->own ? d->socket : NULL;
	struct pending *p = NULL;
	struct room *room;

	if (s != NULL && (p = pending_take(s, d->request)) == NULL)
		s = NULL;
	if (d->outcome == CHAT_STORED &&
	    (room = room_find(chat, d->ev.room)) != NULL)
		tell_room(chat, room, d, s);
	if (p != NULL) {
		presence_settled(chat, s, p, d);
		pending_free(chat, &p);
	}
}
