/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "chat/engine.h"

#include <stdlib.h>
#include <string.h>

#include "chat/delta.h"
#include "chat/idle.h"
#include "chat/content.h"
#include "chat/expiry.h"
#include "chat/refresh.h"
#include "chat/replay.h"
#include "chat/resume.h"
#include "chat/stream.h"
#include "chat/typing.h"
#include "common/log.h"

void *
chat_alloc(size_t size)
{
	void *p;

	if ((p = calloc(1, size)) == NULL)
		fatalx("out of memory");
	return p;
}

void *
chat_realloc(void *p, size_t n, size_t size)
{
	void *q;

	if ((q = reallocarray(p, n, size)) == NULL)
		fatalx("out of memory");
	return q;
}

uint64_t
chat_number(struct chat_str s)
{
	uint64_t n = 0;
	size_t i;

	for (i = 0; i < s.len && s.p[i] >= '0' && s.p[i] <= '9'; i++)
		n = n * 10 + (uint64_t)(s.p[i] - '0');
	return n;
}

void
chat_id_set(struct chat_id *id_r, struct chat_str id)
{
	CHECK(id.len <= CHAT_ID_MAX);
	if (id.len > 0)
		memcpy(id_r->text, id.p, id.len);
	id_r->text[id.len] = '\0';
	id_r->len = id.len;
}

void
chat_check_out(const struct json_out *o)
{
	if (o->failed)
		fatalx("out of memory for an event");
}

struct chat_frame
chat_encode(struct chat *chat, const char *name, const struct json_out *o,
    const char *offset)
{
	chat_check_out(o);
	return chat->ops->encode(chat->ctx, name, o->p, o->len, offset);
}

const char *
chat_offset(struct chat *chat)
{
	struct offset o;

	o.pos = chat->pos;
	o.npairs = 0;
	return offset_write(&o, chat->offset);
}

uint64_t
chat_mono_ms(struct chat *chat)
{
	return chat->ops->mono_ms(chat->ctx);
}

uint64_t
chat_real_ms(struct chat *chat)
{
	return chat->ops->real_ms(chat->ctx);
}

void
chat_count(struct chat *chat, enum chat_count what)
{
	chat->ops->count(chat->ctx, what);
}

uint32_t
chat_next_request(struct chat *chat)
{
	if (++chat->last_request == 0)
		chat->last_request = 1;
	return chat->last_request;
}

struct chat *
chat_new(const struct config *cfg, const struct chat_ops *ops, void *ctx)
{
	struct chat *chat;

	if ((chat = calloc(1, sizeof(*chat))) == NULL)
		return NULL;
	chat->cfg = cfg;
	chat->ops = ops;
	chat->ctx = ctx;
	LIST_INIT(&chat->sockets);
	TAILQ_INIT(&chat->typists);
	TAILQ_INIT(&chat->typings);
	TAILQ_INIT(&chat->laters);
	TAILQ_INIT(&chat->finals);
	TAILQ_INIT(&chat->deltas);
	steer_new(chat);
	streams_new(chat);
	chat->content = content_new(cfg);
	return chat;
}

void
chat_free(struct chat **chatp)
{
	struct chat *chat = *chatp;
	struct chat_socket *s;

	if (chat == NULL)
		return;
	while ((s = LIST_FIRST(&chat->sockets)) != NULL)
		chat_forget(chat, &s);
	leave_free_all(chat);
	expiry_free(chat);
	steer_free(chat);
	streams_free(chat);
	content_free(&chat->content);
	CHECK(chat->rooms == NULL);
	json_out_clear(&chat->reply);
	json_out_clear(&chat->event);
	free(chat);
	*chatp = NULL;
}

void
chat_configure(struct chat *chat, const struct config *cfg)
{
	streams_configure(chat, cfg);
	typing_configure(chat, cfg);
	content_free(&chat->content);
	chat->content = content_new(cfg);
	chat->cfg = cfg;
}

bool
chat_has_room(const struct chat *chat, uint64_t number)
{
	return room_find(chat, number) != NULL;
}

void
chat_deliver(struct chat *chat, const struct chat_delivery *d)
{
	if (!chat_event_is_live(d->ev.type) && d->gseq + 1 > chat->pos)
		chat->pos = d->gseq + 1;
	switch (d->ev.type) {
	case CHAT_JOIN:
		join_deliver(chat, d);
		break;
	case CHAT_LEAVE:
		leave_deliver(chat, d);
		break;
	case CHAT_PRESENCE:
		presence_deliver(chat, d);
		break;
	case CHAT_MESSAGE:
		message_deliver(chat, d);
		break;
	case CHAT_RESUME:
		resume_deliver(chat, d);
		break;
	case CHAT_RELEASE:
		/* nobody sees it */
		break;
	case CHAT_ASK:
		ask_deliver(chat, d);
		break;
	case CHAT_TYPING:
		typing_deliver(chat, d);
		break;
	case CHAT_EDIT:
	case CHAT_DELETE:
		edit_deliver(chat, d);
		break;
	case CHAT_RECEIPT:
		receipt_deliver(chat, d);
		break;
	case CHAT_STATUS:
		status_deliver(chat, d);
		break;
	case CHAT_STEER:
		steer_deliver(chat, d);
		break;
	case CHAT_CHUNK:
		chunk_deliver(chat, d);
		break;
	case CHAT_CANCEL:
		cancel_deliver(chat, d);
		break;
	case CHAT_SECURITY:
	case CHAT_STEERED:
	case CHAT_PING:
	case CHAT_EVENT__MAX:
		/* for those who watch the worker */
		break;
	}
}

void
chat_produce(struct chat *chat, struct chat_socket *s, uint64_t delivered)
{
	if (delivered > chat->pos)
		chat->pos = delivered;
	if (s->resume != NULL && s->end != SOCKET_STAYS)
		socket_refuse(chat, s);
	else if (s->resume != NULL)
		resume_produce(chat, s, delivered);
	else
		(void)jobs_produce(chat, s, delivered);
}

void
chat_tick(struct chat *chat)
{
	uint64_t now = chat_mono_ms(chat);
	struct chat_socket *s;

	typing_tick(chat, now);
	leave_tick(chat, now);
	resume_tick(chat);
	expiry_tick(chat);
	refresh_tick(chat);
	steer_tick(chat, now);
	security_tick(chat);
	sync_tick(chat);
	streams_tick(chat, now);
	delta_tick(chat, now);
	idle_tick(chat, now);
	if (!chat->stalled)
		return;
	chat->stalled = false;
	LIST_FOREACH(s, &chat->sockets, entry) {
		if (s->resume != NULL || !STAILQ_EMPTY(&socket_work(s)->jobs))
			chat->ops->want_produce(chat->ctx, s->conn);
	}
}

void
chat_announce(struct chat *chat, const char *code, const char *message)
{
	struct json_out *o = &chat->event;
	struct chat_frame frame;
	struct chat_socket *s;

	if (LIST_EMPTY(&chat->sockets))
		return;
	json_out_reset(o);
	json_out_object(o);
	json_out_key(o, "code");
	json_out_cstring(o, code);
	json_out_key(o, "message");
	json_out_cstring(o, message);
	json_out_object_end(o);
	frame = chat_encode(chat, "chat:disconnect-reason", o, NULL);
	LIST_FOREACH(s, &chat->sockets, entry) {
		if (s->resume == NULL && !s->taken)
			chat->ops->send(chat->ctx, s->conn, frame, CHAT_EVENT);
	}
}

void
chat_totals(const struct chat *chat, struct chat_totals *t_r)
{
	t_r->sockets = chat->nsockets;
	t_r->rooms = HASH_COUNT(chat->rooms);
	t_r->members = chat->nmembers;
}
