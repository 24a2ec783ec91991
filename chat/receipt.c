/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * chat:mark-read.  How far each user has read only ever grows; whether there
 * is such a seq, only the store's writer knows for certain.
 */

#include <stdio.h>

#include "chat/changes.h"
#include "chat/identity.h"
#include "chat/render.h"
#include "chat/request.h"

bool
read_parse(struct request *r)
{
	bool has_seq = false;

	return read_id(json_member(r->payload, "sessionId"), &r->session) &&
	    read_optional_u64(json_member(r->payload, "seq"), 0, &r->u.read.seq,
		&has_seq) &&
	    has_seq;
}

enum chat_error
read_handle(struct request *r)
{
	struct chat_socket *s = r->s;
	struct pending *p =
	    pending_add(r->chat, s, PENDING_RECEIPT, r->room, 0);
	struct chat_event ev = { .type = CHAT_RECEIPT,
		.room = r->room->number,
		.user = s->user,
		.nfields = 3 };
	char seq[24];

	p->has_ack = r->has_ack;
	p->ack = r->ack;
	snprintf(seq, sizeof(seq), "%llu", (unsigned long long)r->u.read.seq);
	ev.field[0] = chat_cstr(s->id);
	ev.field[1] = chat_cstr(s->identity->user_id);
	ev.field[2] = chat_cstr(seq);
	socket_publish(r->chat, s, p->request, &ev);
	return CHAT_OK;
}

static void
receipt_refused(struct chat *chat, struct chat_socket *s,
    const struct pending *p, enum chat_outcome outcome)
{
	struct chat_id session;
	const struct error_context ctx = {
		.errors = CHAT_COUNT_OTHER_ERRORS,
		.has_ack = p->has_ack,
		.ack = p->ack,
		.session = &session,
	};

	chat_id_set(&session, chat_cstr(p->room->session));
	reply_error(chat, s,
	    outcome == CHAT_REJECTED ? CHAT_E_INVALID_REQUEST
				     : error_of(outcome),
	    &ctx);
}

static void
receipt_verdict(struct chat *chat, struct chat_socket *s,
    const struct pending *p, const struct chat_delivery *d)
{
	struct json_out *o;

	if (d->outcome != CHAT_STORED && d->outcome != CHAT_DUPLICATE) {
		receipt_refused(chat, s, p, d->outcome);
		return;
	}
	o = reply_begin(chat);
	changes_answer(o, p->room, d);
	reply_end(chat, s, NULL, p->has_ack, p->ack);
}

void
receipt_deliver(struct chat *chat, const struct chat_delivery *d)
{
	struct room *room = room_find(chat, d->ev.room);
	struct chat_socket *s = d->own ? d->socket : NULL;
	struct json_out *o = &chat->event;
	const struct chat_change c = { .type = CHAT_RECEIPT,
		.revision = d->revision,
		.gseq = d->gseq,
		.changed_ms = d->time_ms,
		.seq = d->seq,
		.user_id = d->ev.field[1] };
	struct pending *p = NULL;

	if (s != NULL)
		p = pending_take(s, d->request);
	if (d->outcome == CHAT_STORED && room != NULL) {
		json_out_reset(o);
		(void)render_change(o, room->session, &c);
		changes_send(chat, room, d, EVENT_RECEIPT, o);
	}
	if (p != NULL) {
		receipt_verdict(chat, s, p, d);
		pending_free(chat, &p);
	}
}
