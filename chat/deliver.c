/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * A message in its turn: to the room, and the verdict to its sender.
 */

#include <string.h>

#include "chat/content.h"
#include "chat/held.h"
#include "chat/render.h"
#include "chat/replay.h"
#include "chat/request.h"
#include "chat/socket.h"
#include "chat/stream.h"
#include "chat/typing.h"

/* The hot path: rendered once, encoded once (or twice: with an offset and
 * without), a reference for each member. */
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
	room_send_message(chat, room, EVENT_MESSAGE, o, sender);
}

/*
 * Tell the sender.  While a replay of the room runs, that does it in its
 * turn, and only the acknowledgement is answered now.
 */
static void
message_sent(struct chat *chat, struct chat_socket *s, struct room *room,
    bool has_ack, uint64_t ack, const struct chat_delivery *d)
{
	struct json_out *o = reply_begin(chat);
	struct member *m = room_member(room, s);
	const char *event = EVENT_SENT;

	render_sent(o, d->ev.field[0], room->session, d->time_ms, d->seq);
	if (d->outcome == CHAT_DUPLICATE) {
		json_out_key(o, "duplicate");
		json_out_bool(o, true);
	} else if (m != NULL && m->replay != NULL) {
		replay_owes(m);
		event = NULL;
	}
	reply_end_stored(chat, s, event, has_ack, ack);
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
	if (p->kind == PENDING_RETRY && p->wait_ns == 0) {
		content_burst_refused(chat, s, session.text);
		err = CHAT_E_SPAM_BLOCKED;
	} else if (p->kind == PENDING_RETRY) {
		err = CHAT_E_RATE_LIMITED;
		ctx.wait_ns =
		    request_limited(chat, s, CHAT_RATE_MESSAGE, p->wait_ns);
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
		message_sent(chat, s, p->room, p->has_ack, p->ack, d);
		return;
	}
	if (p->kind == PENDING_MESSAGE)
		typing_message_failed(chat, s, p->room);
	if (d->outcome != CHAT_DUPLICATE) {
		message_refused(chat, s, p, d);
		return;
	}
	chat_count(chat, CHAT_COUNT_DUPLICATES);
	/* a retry does not count; over its rate it was not charged */
	if (p->kind == PENDING_MESSAGE || p->wait_ns == 0)
		chat->ops->rate_give_back(chat->ctx, s->conn,
		    CHAT_RATE_MESSAGE);
	if (p->kind == PENDING_MESSAGE)
		content_burst_give_back(chat, s, p->mark);
	message_sent(chat, s, p->room, p->has_ack, p->ack, d);
}

/*
 * A message that nobody here waits for may be of a socket that was told that
 * it cannot be stored, when nobody decided; or of one that has been resumed
 * here: sent on its old connection, stored behind its RESUME.
 */
static struct chat_socket *
late_sender(const struct chat *chat, struct room *room,
    const struct chat_delivery *d)
{
	struct chat_socket *s = d->own ? d->socket : NULL;

	if (s == NULL || !socket_is(s, d->ev.field[1])) {
		if (chat->nresumed == 0 ||
		    (s = socket_by_id(chat, d->ev.field[1])) == NULL ||
		    !s->resumed)
			return NULL;
	}
	return room_member(room, s) == NULL ? NULL : s;
}

static void
message_show(struct chat *chat, struct room *room,
    const struct chat_delivery *d, struct chat_socket *sender, bool waits)
{
	if (d->seq > room->last_seq)
		room->last_seq = d->seq;
	held_message(chat, room, d);
	if (!TAILQ_EMPTY(&room->typing))
		typing_message_comes(chat, room, d->ev.user);
	if (!waits)
		sender = late_sender(chat, room, d);
	message_send(chat, room, d, sender);
	if (!waits && sender != NULL)
		message_sent(chat, sender, room, false, 0, d);
}

void
message_deliver(struct chat *chat, const struct chat_delivery *d)
{
	struct room *room = room_find(chat, d->ev.room);
	struct chat_socket *s = d->own ? d->socket : NULL;
	struct pending *p = NULL;

	/* it is the sender only if it waits for this: a connection may have
	 * another socket by now */
	if ((d->ev.flags & CHAT_F_STREAM) != 0)
		s = stream_comes(chat, room, d);
	else if (s != NULL && (p = pending_take(s, d->request)) == NULL)
		s = NULL;
	if (d->outcome == CHAT_STORED && room != NULL)
		message_show(chat, room, d, s, s != NULL);
	if (p == NULL)
		stream_verdict(chat, d);
	if (p != NULL && p->kind == PENDING_STREAM) {
		stream_asked(chat, s, p, d);
		pending_free(chat, &p);
	} else if (p != NULL) {
		message_verdict(chat, s, p, d);
		pending_free(chat, &p);
		/* an edit may have waited for that */
		if (!STAILQ_EMPTY(&socket_work(s)->jobs))
			chat->ops->want_produce(chat->ctx, s->conn);
	}
}
