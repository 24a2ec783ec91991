/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * A message in its turn: to the room, and the verdict to its sender.
 */

#include <string.h>

#include "chat/render.h"
#include "chat/request.h"
#include "chat/typing.h"

#define EVENT_MESSAGE "chat:message-received"
#define EVENT_SENT "chat:message-sent"

/* The hot path: rendered once, encoded once, a reference for each member. */
static void
message_send(struct chat *chat, struct room *room,
    const struct chat_delivery *d, const struct chat_socket *sender)
{
	struct json_out *o = &chat->event;

	if (room->nmembers <=
	    (sender != NULL && room_member(room, sender) != NULL))
		return;
	json_out_reset(o);
	render_message(o, room->session, d->ev.field[2], d->time_ms, d->seq);
	room_send_message(chat, room, chat_encode(chat, EVENT_MESSAGE, o),
	    sender);
}

static void
message_sent(struct chat *chat, struct chat_socket *s, const struct pending *p,
    const struct chat_delivery *d)
{
	struct json_out *o = reply_begin(chat);

	json_out_key(o, "messageId");
	json_out_string(o, d->ev.field[0].p, d->ev.field[0].len);
	json_out_key(o, "timestamp");
	json_out_u64(o, d->time_ms);
	json_out_key(o, "sessionId");
	json_out_cstring(o, p->room->session);
	json_out_key(o, "seq");
	json_out_u64(o, d->seq);
	if (d->outcome == CHAT_DUPLICATE) {
		json_out_key(o, "duplicate");
		json_out_bool(o, true);
	}
	reply_end(chat, s, EVENT_SENT, p->has_ack, p->ack);
}

static void
message_refused(struct chat *chat, struct chat_socket *s,
    const struct pending *p, const struct chat_delivery *d)
{
	struct chat_id session, message;
	struct error_context ctx = {
		.event = EVENT_SEND_ERROR,
		.errors = CHAT_COUNT_MESSAGE_ERRORS,
		.has_ack = p->has_ack,
		.ack = p->ack,
		.session = &session,
		.message = &message,
	};
	enum chat_error err = error_of(d->outcome);

	chat_id_set(&session, chat_cstr(p->room->session));
	chat_id_set(&message, d->ev.field[0]);
	if (p->kind == PENDING_RETRY) {
		err = CHAT_E_RATE_LIMITED;
		ctx.wait_ns = p->wait_ns;
	}
	reply_error(chat, s, err, &ctx);
}

static void
message_verdict(struct chat *chat, struct chat_socket *s,
    const struct pending *p, const struct chat_delivery *d)
{
	if (d->outcome == CHAT_STORED && p->kind == PENDING_MESSAGE) {
		chat_count(chat, CHAT_COUNT_MESSAGES);
		typing_message_stored(chat, s, p->room);
		message_sent(chat, s, p, d);
		return;
	}
	if (p->kind == PENDING_MESSAGE)
		typing_message_failed(chat, s, p->room);
	if (d->outcome != CHAT_DUPLICATE) {
		message_refused(chat, s, p, d);
		return;
	}
	chat_count(chat, CHAT_COUNT_DUPLICATES);
	/* a retry does not count */
	if (p->kind == PENDING_MESSAGE)
		chat->ops->rate_give_back(chat->ctx, s->conn,
		    CHAT_RATE_MESSAGE);
	message_sent(chat, s, p, d);
}

void
message_deliver(struct chat *chat, const struct chat_delivery *d)
{
	struct room *room = room_find(chat, d->ev.room);
	struct chat_socket *s = d->own ? d->socket : NULL;
	struct pending *p = NULL;

	/* it is the sender only if it waits for this: a connection may have
	 * another socket by now */
	if (s != NULL && (p = pending_take(s, d->request)) == NULL)
		s = NULL;
	if (d->outcome == CHAT_STORED && room != NULL) {
		if (d->seq > room->last_seq)
			room->last_seq = d->seq;
		if (!TAILQ_EMPTY(&room->typing))
			typing_message_comes(chat, room, d->ev.user);
		message_send(chat, room, d, s);
	}
	if (p != NULL) {
		message_verdict(chat, s, p, d);
		pending_free(chat, &p);
	}
}
