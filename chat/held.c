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
	/* a constant */
	const char *event;
	/* not a pointer: it may be gone, and another be in its place */
	char except[CHAT_SOCKET_ID_MAX + 1];
	size_t len;
	char json[];
};

struct held {
	/* how many wait for a roster */
	uint32_t nwaiting;
	/* all changes at or behind this position are here */
	uint64_t from;
	size_t bytes;
	STAILQ_HEAD(, change) changes;
};

void
held_begin(const struct chat *chat, struct room *room)
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
forget_first(struct held *h)
{
	struct change *c = STAILQ_FIRST(&h->changes);

	STAILQ_REMOVE_HEAD(&h->changes, entry);
	h->bytes -= sizeof(*c) + c->len;
	h->from = c->gseq + 1;
	free(c);
}

void
held_end(struct room *room)
{
	struct held *h = room->held;

	CHECK(h != NULL && h->nwaiting > 0);
	if (--h->nwaiting > 0)
		return;
	while (!STAILQ_EMPTY(&h->changes))
		forget_first(h);
	free(h);
	room->held = NULL;
}

void
held_add(struct room *room, uint64_t gseq, const char *event,
    const struct json_out *o, const struct chat_socket *except)
{
	struct held *h = room->held;
	struct change *c;

	if (h == NULL)
		return;
	c = chat_alloc(sizeof(*c) + o->len);
	c->gseq = gseq;
	c->event = event;
	if (except != NULL)
		memcpy(c->except, except->id, sizeof(c->except));
	c->len = o->len;
	memcpy(c->json, o->p, o->len);
	STAILQ_INSERT_TAIL(&h->changes, c, entry);
	h->bytes += sizeof(*c) + c->len;
	while (h->bytes > HELD_BYTES)
		forget_first(h);
}

void
held_gap(struct room *room, uint64_t pos)
{
	struct held *h = room->held;

	if (h == NULL)
		return;
	while (!STAILQ_EMPTY(&h->changes))
		forget_first(h);
	h->from = pos;
}

bool
held_covers(const struct room *room, uint64_t pos)
{
	return room->held == NULL || pos >= room->held->from;
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
		if (c->gseq < pos || strcmp(c->except, s->id) == 0)
			continue;
		frame = chat->ops->encode(chat->ctx, c->event, c->json, c->len,
		    NULL);
		chat->ops->send(chat->ctx, s->conn, frame, CHAT_EVENT);
	}
}
