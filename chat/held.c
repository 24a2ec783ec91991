/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "chat/held.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chat/socket.h"
#include "common/log.h"

struct change {
	STAILQ_ENTRY(change) entry;
	uint64_t gseq;
	/* a constant; NULL: a message */
	const char *event;
	/* of presence: for who waits for a roster; else for replays */
	bool presence;
	/* how many more are in the room by it */
	int net;
	uint64_t seq, time_ms;
	size_t id_len;
	/* not a pointer: it may be gone, and another be in its place */
	char except[CHAT_SOCKET_ID_MAX + 1];
	/* the event's JSON; a message's id and body */
	size_t len;
	char text[];
};

struct held {
	/* how many wait */
	uint32_t nwaiting;
	/* all events at or behind this position are here */
	uint64_t from;
	size_t bytes;
	STAILQ_HEAD(, change) changes;
};

void
held_begin(struct chat *chat, struct room *room)
{
	struct held *h = room->held;

	if (h == NULL) {
		room->held = h = chat_alloc(sizeof(*h));
		STAILQ_INIT(&h->changes);
		h->from = chat->pos;
	}
	h->nwaiting++;
}

static void
forget_first(struct chat *chat, struct held *h)
{
	struct change *c = STAILQ_FIRST(&h->changes);

	STAILQ_REMOVE_HEAD(&h->changes, entry);
	h->bytes -= sizeof(*c) + c->len;
	chat->held_bytes -= sizeof(*c) + c->len;
	h->from = c->gseq + 1;
	free(c);
}

void
held_end(struct chat *chat, struct room *room)
{
	struct held *h = room->held;

	CHECK(h != NULL && h->nwaiting > 0);
	if (--h->nwaiting > 0)
		return;
	while (!STAILQ_EMPTY(&h->changes))
		forget_first(chat, h);
	free(h);
	room->held = NULL;
}

static struct change *
change_new(uint64_t gseq, size_t len)
{
	struct change *c = chat_alloc(sizeof(*c) + len);

	c->gseq = gseq;
	c->len = len;
	return c;
}

static void
change_keep(struct chat *chat, struct held *h, struct change *c)
{
	size_t bytes = sizeof(*c) + c->len;

	STAILQ_INSERT_TAIL(&h->changes, c, entry);
	h->bytes += bytes;
	chat->held_bytes += bytes;
	while (!STAILQ_EMPTY(&h->changes) &&
	    (h->bytes > HELD_BYTES || chat->held_bytes > HELD_ALL_BYTES))
		forget_first(chat, h);
}

void
held_add(struct chat *chat, struct room *room, uint64_t gseq, const char *event,
    int net, const struct json_out *o, const struct chat_socket *except)
{
	struct change *c;

	if (room->held == NULL)
		return;
	c = change_new(gseq, o->len);
	c->event = event;
	c->presence = true;
	c->net = net;
	if (except != NULL)
		memcpy(c->except, except->id, sizeof(c->except));
	memcpy(c->text, o->p, o->len);
	change_keep(chat, room->held, c);
}

void
held_change(struct chat *chat, struct room *room, uint64_t gseq,
    const char *event, const struct json_out *o)
{
	struct change *c;

	if (room->held == NULL)
		return;
	c = change_new(gseq, o->len);
	c->event = event;
	memcpy(c->text, o->p, o->len);
	change_keep(chat, room->held, c);
}

void
held_message(struct chat *chat, struct room *room,
    const struct chat_delivery *d)
{
	struct chat_str id = d->ev.field[0], body = d->ev.field[2];
	struct change *c;

	if (room->held == NULL)
		return;
	c = change_new(d->gseq, id.len + body.len);
	c->seq = d->seq;
	c->time_ms = d->time_ms;
	c->id_len = id.len;
	if (id.len > 0)
		memcpy(c->text, id.p, id.len);
	if (body.len > 0)
		memcpy(c->text + id.len, body.p, body.len);
	change_keep(chat, room->held, c);
}

void
held_gap(struct chat *chat, struct room *room, uint64_t pos)
{
	struct held *h = room->held;

	if (h == NULL)
		return;
	while (!STAILQ_EMPTY(&h->changes))
		forget_first(chat, h);
	h->from = pos;
}

void
held_forget(struct room *room, uint64_t pos)
{
	if (room->held != NULL && room->held->from < pos)
		room->held->from = pos;
}

bool
held_covers(const struct chat *chat, const struct room *room, uint64_t pos)
{
	return pos >= (room->held == NULL ? chat->pos : room->held->from);
}

bool
held_rows(const struct room *room, uint64_t pos, chat_row_fn fn, void *arg)
{
	const struct change *c;
	struct chat_row row = { .seq = 0 };

	if (room->held == NULL || pos < room->held->from)
		return false;
	STAILQ_FOREACH(c, &room->held->changes, entry) {
		if (c->event != NULL || c->gseq < pos)
			continue;
		row.seq = c->seq;
		row.gseq = c->gseq;
		row.time_ms = c->time_ms;
		row.id = chat_str(c->text, c->id_len);
		row.body = chat_str(c->text + c->id_len, c->len - c->id_len);
		if (!fn(arg, &row))
			break;
	}
	return true;
}

int64_t
held_net(const struct room *room, uint64_t pos)
{
	const struct change *c;
	int64_t net = 0;

	if (room->held == NULL)
		return 0;
	STAILQ_FOREACH(c, &room->held->changes, entry) {
		if (c->gseq >= pos)
			net += c->net;
	}
	return net;
}

bool
held_changes(const struct room *room, uint64_t pos, held_change_fn fn,
    void *arg)
{
	const struct change *c;

	if (room->held == NULL || pos < room->held->from)
		return false;
	STAILQ_FOREACH(c, &room->held->changes, entry) {
		if (c->event != NULL && !c->presence && c->gseq >= pos)
			fn(arg, c->gseq, c->event, chat_str(c->text, c->len));
	}
	return true;
}

void
held_send(struct chat *chat, const struct room *room,
    const struct chat_socket *s, uint64_t pos)
{
	const struct change *c;
	struct chat_frame frame;

	if (room->held == NULL)
		return;
	STAILQ_FOREACH(c, &room->held->changes, entry) {
		if (!c->presence || c->gseq < pos ||
		    strcmp(c->except, s->id) == 0)
			continue;
		frame = chat->ops->encode(chat->ctx, c->event, c->text, c->len,
		    NULL);
		chat->ops->send(chat->ctx, s->conn, frame, CHAT_EVENT);
	}
}
