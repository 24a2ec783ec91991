/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * The streams that this worker owns: from the first chunk, or from when they
 * were taken over, to the verdict about their message.
 */

#include <stdlib.h>
#include <string.h>

#include "chat/stream.h"
#include "common/fault.h"
#include "common/log.h"

/* of others' streams that are taken over in one tick */
#define LOST_A_TICK 64
/* until one of a user's own is found */
#define OTHERS_LOOKED_AT 64

struct chat_str
stream_id(const struct stream *st)
{
	return chat_str(st->key + sizeof(st->room), st->id_len);
}

struct chat_str
stream_agent(const struct stream *st)
{
	return chat_str(st->key + sizeof(st->room) + st->id_len, st->agent_len);
}

struct stream *
stream_own(const struct chat *chat, uint64_t room, struct chat_str id)
{
	char key[sizeof(room) + CHAT_ID_MAX];
	struct stream *st;

	if (chat->streams->own == NULL || id.len > CHAT_ID_MAX)
		return NULL;
	memcpy(key, &room, sizeof(room));
	memcpy(key + sizeof(room), id.p, id.len);
	HASH_FIND(hh, chat->streams->own, key, sizeof(room) + id.len, st);
	return st;
}

/* When it is due in this state. */
static uint64_t
state_time(const struct chat *chat, enum stream_state state)
{
	switch (state) {
	case STREAM_RUNNING:
		return chat->cfg->stream_idle_timeout;
	case STREAM_CANCELLED:
		return STREAM_CANCEL_MS;
	case STREAM_RETRYING:
		return STREAM_AGAIN_MS;
	case STREAM_ENDED:
		return STREAM_LINGER_MS;
	case STREAM_ENDING:
	case STREAM__MAX:
		break;
	}
	return 0;
}

void
stream_enter(struct chat *chat, struct stream *st, enum stream_state state)
{
	struct streams *ss = chat->streams;

	TAILQ_REMOVE(&ss->list[st->state], st, entry);
	st->state = state;
	st->due_ms = chat_mono_ms(chat) + state_time(chat, state);
	TAILQ_INSERT_TAIL(&ss->list[state], st, entry);
}

static void
stream_unattach(struct stream *st)
{
	if (st->s == NULL)
		return;
	LIST_REMOVE(st, of_socket);
	socket_work_done(st->s);
	st->s = NULL;
	st->waits = false;
}

static void
stream_free(struct chat *chat, struct stream *st)
{
	struct streams *ss = chat->streams;

	stream_unattach(st);
	TAILQ_REMOVE(&ss->list[st->state], st, entry);
	HASH_DELETE(hh, ss->own, st);
	free(st);
}

struct stream *
stream_add(struct chat *chat, const struct chat_stream *row)
{
	struct streams *ss = chat->streams;
	size_t key_len = sizeof(row->room) + row->id.len;
	struct stream *st;

	CHECK(row->id.len <= CHAT_ID_MAX);
	/* one of that id that has ended */
	if ((st = stream_own(chat, row->room, row->id)) != NULL)
		stream_free(chat, st);
	st = chat_alloc(sizeof(*st) + key_len + row->agent.len);
	st->handle = row->handle;
	st->room = row->room;
	st->user = row->user;
	st->nchunks = row->nchunks;
	st->len = row->len;
	st->id_len = row->id.len;
	st->agent_len = row->agent.len;
	memcpy(st->key, &row->room, sizeof(row->room));
	memcpy(st->key + sizeof(row->room), row->id.p, row->id.len);
	if (row->agent.len > 0)
		memcpy(st->key + key_len, row->agent.p, row->agent.len);
	HASH_ADD_KEYPTR(hh, ss->own, st->key, key_len, st);
	st->state = STREAM_RUNNING;
	TAILQ_INSERT_TAIL(&ss->list[STREAM_RUNNING], st, entry);
	stream_enter(chat, st,
	    row->cancelled ? STREAM_CANCELLED : STREAM_RUNNING);
	return st;
}

void
stream_attach(struct stream *st, struct chat_socket *s)
{
	if (st->s == s)
		return;
	stream_unattach(st);
	st->s = s;
	LIST_INSERT_HEAD(&socket_work_make(s)->streams, st, of_socket);
}

/* --- what it says ------------------------------------------------------------- */

/* In decimal, into the end of 'buf'. */
static struct chat_str
decimal(char buf[24], uint64_t n)
{
	char *p = buf + 24;

	do {
		*--p = (char)('0' + n % 10);
		n /= 10;
	} while (n > 0);
	return chat_str(p, (size_t)(buf + 24 - p));
}

void
stream_publish(struct chat *chat, const struct stream *st, uint64_t index,
    uint64_t start, struct chat_str text, unsigned flags)
{
	char numbers[2][24];
	struct chat_event ev = { .type = CHAT_CHUNK,
		.flags = flags,
		.room = st->room,
		.user = st->user,
		.nfields = 6 };

	ev.field[0] = stream_id(st);
	ev.field[1] = chat_str("", 0);
	ev.field[2] = stream_agent(st);
	ev.field[3] = decimal(numbers[0], index);
	ev.field[4] = decimal(numbers[1], start);
	ev.field[5] = text;
	chat->ops->publish(chat->ctx, NULL, 0, &ev);
}

/* --- its end ---------------------------------------------------------------------- */

struct closing {
	struct json_out *o;
	unsigned flags;
	const char *socket_id;
};

static bool
close_tail(void *arg, const struct chat_stream *row)
{
	struct closing *closing = arg;

	stream_put_closed(closing->o, row->tail, closing->flags,
	    closing->socket_id);
	return true;
}

void
stream_close(struct chat *chat, struct stream *st,
    const struct stream_last *last)
{
	struct closing closing = { .o = &chat->streams->body,
		.flags = last->flags,
		.socket_id = st->s == NULL ? NULL : st->s->id };

	st->flags = last->flags;
	if (chat->ops->stream_look(chat->ctx, st->handle, close_tail, &closing))
		(void)chat->ops->stream_tail(chat->ctx, st->handle,
		    chat_str(closing.o->p, closing.o->len));
	FAULT(STREAM_CLOSED);
	stream_publish(chat, st, last->index, last->start, last->text,
	    last->flags | CHAT_F_LAST);
	FAULT(STREAM_LAST);
	if ((last->flags & CHAT_F_INTERRUPTED) != 0)
		chat_count(chat, CHAT_COUNT_STREAMS_INTERRUPTED);
	if ((last->flags & CHAT_F_CANCELLED) != 0)
		chat_count(chat, CHAT_COUNT_STREAMS_CANCELLED);
	stream_store(chat, st);
}

/* Without a word of its agent's. */
static void
stream_cut(struct chat *chat, struct stream *st, unsigned flags)
{
	struct stream_last last = { .index = st->nchunks,
		.start = st->len,
		.text = { "", 0 },
		.flags = flags };

	if (st->state == STREAM_CANCELLED)
		last.flags = CHAT_F_CANCELLED;
	stream_close(chat, st, &last);
}

static void
publish_message(struct chat *chat, const struct stream *st,
    struct chat_str body, unsigned flags)
{
	struct chat_event ev = { .type = CHAT_MESSAGE,
		.flags = flags,
		.room = st->room,
		.user = st->user,
		.nfields = 3 };

	if (st->s != NULL)
		ev.owner = st->s->owner;
	ev.field[0] = stream_id(st);
	ev.field[1] = st->s == NULL ? chat_str("", 0) : chat_cstr(st->s->id);
	ev.field[2] = body;
	chat->ops->publish(chat->ctx, NULL, 0, &ev);
}

void
stream_ask(struct chat *chat, const struct stream *st)
{
	publish_message(chat, st, chat_str("", 0), CHAT_F_ONLY_DUPLICATE);
}

static void
stream_ended(struct chat *chat, struct stream *st, enum chat_error err)
{
	st->err = err;
	stream_enter(chat, st, STREAM_ENDED);
	stream_answer(chat, st, err);
}

void
stream_store(struct chat *chat, struct stream *st)
{
	struct json_out *o = &chat->streams->body;
	enum chat_error err = stream_put_body(chat, st);

	if (err != CHAT_OK) {
		stream_ended(chat, st, err);
		return;
	}
	stream_enter(chat, st, STREAM_ENDING);
	publish_message(chat, st, chat_str(o->p, o->len), CHAT_F_STREAM);
	FAULT(STREAM_STORED);
}

void
stream_answer(struct chat *chat, struct stream *st, enum chat_error err)
{
	const struct room *room = room_find(chat, st->room);
	struct chat_id session = { 0 }, message;
	const struct error_context ctx = {
		.event = EVENT_SEND_ERROR,
		.errors = CHAT_COUNT_MESSAGE_ERRORS,
		.has_ack = st->has_ack,
		.ack = st->ack,
		.session = &session,
		.message = &message,
	};
	struct json_out *o;

	if (!st->waits)
		return;
	st->waits = false;
	chat_id_set(&message, stream_id(st));
	if (room != NULL)
		chat_id_set(&session, chat_cstr(room->session));
	if (err != CHAT_OK) {
		reply_error(chat, st->s, err, &ctx);
		return;
	}
	o = reply_begin(chat);
	json_out_key(o, "messageId");
	json_out_string(o, message.text, message.len);
	json_out_key(o, "seq");
	json_out_u64(o, st->seq);
	json_out_key(o, "timestamp");
	json_out_u64(o, st->time_ms);
	if (st->duplicate) {
		json_out_key(o, "duplicate");
		json_out_bool(o, true);
	}
	reply_end(chat, st->s, NULL, st->has_ack, st->ack);
}

/* Its id turns out to be that of a message: it never was. */
static void
stream_is_known(struct chat *chat, struct stream *st,
    const struct chat_delivery *d)
{
	bool own = d->outcome == CHAT_DUPLICATE;

	if (st->state != STREAM_RUNNING && st->state != STREAM_CANCELLED)
		return;
	stream_publish(chat, st, st->nchunks, st->len, chat_str("", 0),
	    CHAT_F_INTERRUPTED | CHAT_F_LAST);
	st->known = true;
	st->seq = d->seq;
	st->time_ms = d->time_ms;
	st->err = own ? CHAT_OK : CHAT_E_ID_TAKEN;
	/* what was said of it so far is no message */
	chat->ops->stream_end(chat->ctx, st->handle);
	if (!own && st->s != NULL) {
		st->waits = true;
		st->has_ack = false;
	}
	stream_ended(chat, st, st->err);
}

/* Somebody asked for an id that there is no stream of (stream.c). */
void
stream_asked(struct chat *chat, struct chat_socket *s, const struct pending *p,
    const struct chat_delivery *d)
{
	struct chat_id session, message;
	struct error_context ctx = {
		.event = EVENT_SEND_ERROR,
		.errors = CHAT_COUNT_MESSAGE_ERRORS,
		.session = &session,
		.message = &message,
	};
	struct json_out *o;

	chat_id_set(&session, chat_cstr(p->room->session));
	chat_id_set(&message, d->ev.field[0]);
	ctx.has_ack = p->has_ack;
	ctx.ack = p->ack;
	if (d->outcome == CHAT_DUPLICATE) {
		o = reply_begin(chat);
		json_out_key(o, "messageId");
		json_out_string(o, message.text, message.len);
		json_out_key(o, "duplicate");
		json_out_bool(o, true);
		json_out_key(o, "seq");
		json_out_u64(o, d->seq);
		json_out_key(o, "timestamp");
		json_out_u64(o, d->time_ms);
		reply_end(chat, s, NULL, p->has_ack, p->ack);
	} else {
		reply_error(chat, s,
		    d->outcome == CHAT_REJECTED ? CHAT_E_STREAM_UNKNOWN
						: error_of(d->outcome),
		    &ctx);
	}
}

/* One that a former run of the daemon has left (chat_store_leftover()). */
static void
count_leftover(struct chat *chat, const struct chat_delivery *d)
{
	if ((d->ev.flags & CHAT_F_STREAM) == 0 || d->outcome != CHAT_STORED)
		return;
	chat_count(chat, CHAT_COUNT_STREAMS_STORED);
	if (stream_tail_flags(d->ev.field[2]) == CHAT_F_INTERRUPTED)
		chat_count(chat, CHAT_COUNT_STREAMS_INTERRUPTED);
}

void
stream_verdict(struct chat *chat, const struct chat_delivery *d)
{
	struct stream *st;

	if (!d->own || d->request != 0)
		return;
	st = stream_own(chat, d->ev.room, d->ev.field[0]);
	if (st == NULL || st->user != d->ev.user) {
		count_leftover(chat, d);
		return;
	}
	if ((d->ev.flags & CHAT_F_ONLY_DUPLICATE) != 0) {
		if (d->outcome == CHAT_DUPLICATE || d->outcome == CHAT_ID_TAKEN)
			stream_is_known(chat, st, d);
		return;
	}
	if ((d->ev.flags & CHAT_F_STREAM) == 0 || st->state != STREAM_ENDING)
		return;
	if (d->outcome == CHAT_STORE_UNAVAILABLE) {
		stream_enter(chat, st, STREAM_RETRYING);
		stream_answer(chat, st, CHAT_E_STORE_UNAVAILABLE);
		return;
	}
	st->seq = d->seq;
	st->time_ms = d->time_ms;
	st->duplicate = d->outcome == CHAT_DUPLICATE;
	if (d->outcome == CHAT_STORED)
		chat_count(chat, CHAT_COUNT_STREAMS_STORED);
	stream_ended(chat, st, error_of(d->outcome));
}

struct chat_socket *
stream_comes(struct chat *chat, struct room *room,
    const struct chat_delivery *d)
{
	struct stream *st;

	if (room != NULL && d->outcome == CHAT_STORED)
		shown_message(chat, room, d->ev.field[0]);
	if (!d->own ||
	    (st = stream_own(chat, d->ev.room, d->ev.field[0])) == NULL)
		return NULL;
	return st->s;
}

/* --- its agent -------------------------------------------------------------------- */

void
stream_give_up(struct chat *chat, struct stream *st)
{
	chat->ops->stream_detach(chat->ctx, st->handle);
	stream_free(chat, st);
}

void
streams_detach(struct chat *chat, struct chat_socket *s)
{
	struct stream *st, *next;

	for (st = LIST_FIRST(&socket_work(s)->streams); st != NULL; st = next) {
		next = LIST_NEXT(st, of_socket);
		if (st->state != STREAM_RUNNING) {
			stream_unattach(st);
			continue;
		}
		stream_give_up(chat, st);
	}
}

void
streams_leave(struct chat *chat, struct chat_socket *s, const struct room *room)
{
	struct stream *st, *next;

	for (st = LIST_FIRST(&socket_work(s)->streams); st != NULL; st = next) {
		next = LIST_NEXT(st, of_socket);
		if (st->room == room->number &&
		    (st->state == STREAM_RUNNING ||
			st->state == STREAM_CANCELLED))
			stream_cut(chat, st, CHAT_F_INTERRUPTED);
	}
}

void
streams_forget(struct chat *chat, struct chat_socket *s)
{
	struct stream *st;

	while ((st = LIST_FIRST(&socket_work(s)->streams)) != NULL) {
		/* what it has not left any more */
		if (st->state == STREAM_RUNNING ||
		    st->state == STREAM_CANCELLED)
			stream_give_up(chat, st);
		else
			stream_unattach(st);
	}
}

/* --- time -------------------------------------------------------------------------- */

/* The first of the list, if it is due. */
static struct stream *
first_due(const struct chat *chat, enum stream_state state, uint64_t now_ms)
{
	struct stream *st = TAILQ_FIRST(&chat->streams->list[state]);

	return st != NULL && st->due_ms <= now_ms ? st : NULL;
}

struct lost {
	uint64_t handle[LOST_A_TICK];
	unsigned n;
};

static bool
lost_add(void *arg, const struct chat_stream *row)
{
	struct lost *lost = arg;

	lost->handle[lost->n++] = row->handle;
	return lost->n < LOST_A_TICK;
}

struct taking {
	struct chat *chat;
	struct stream *st;
	bool open;
};

static bool
take_row(void *arg, const struct chat_stream *row)
{
	struct taking *t = arg;

	t->open = chat_stream_is_open(row->tail);
	t->st = stream_add(t->chat, row);
	t->st->flags = stream_tail_flags(row->tail);
	return true;
}

/* Nobody's any more: it is ended here. */
static void
take_lost(struct chat *chat, uint64_t handle)
{
	struct taking t = { .chat = chat };

	if (chat->ops->stream_claim(chat->ctx, handle, 0) != CHAT_STREAM_DONE ||
	    !chat->ops->stream_look(chat->ctx, handle, take_row, &t))
		return;
	if (t.open) {
		stream_cut(chat, t.st, CHAT_F_INTERRUPTED);
		return;
	}
	/* it was ended already, and its end perhaps not told */
	stream_publish(chat, t.st, t.st->nchunks, t.st->len, chat_str("", 0),
	    t.st->flags | CHAT_F_LAST);
	stream_store(chat, t.st);
}

void
stream_remove(struct chat *chat, struct stream *st)
{
	if (!st->known)
		chat->ops->stream_end(chat->ctx, st->handle);
	stream_free(chat, st);
}

/* One of its own is not far, if it has many. */
static struct stream *
first_of(const struct chat *chat, uint64_t user)
{
	struct stream *st = TAILQ_FIRST(&chat->streams->list[STREAM_ENDED]);
	unsigned i;

	for (i = 0; st != NULL && st->user != user; i++)
		st = i == OTHERS_LOOKED_AT ? NULL : TAILQ_NEXT(st, entry);
	return st;
}

bool
streams_make_room(struct chat *chat, enum chat_stream_result rc, uint64_t user)
{
	struct stream *st = NULL;

	if (rc == CHAT_STREAM_FULL)
		st = TAILQ_FIRST(&chat->streams->list[STREAM_ENDED]);
	else if (rc == CHAT_STREAM_SHARE)
		st = first_of(chat, user);
	if (st == NULL)
		return false;
	stream_remove(chat, st);
	return true;
}

void
streams_tick(struct chat *chat, uint64_t now_ms)
{
	struct lost lost = { .n = 0 };
	struct stream *st;
	unsigned i;

	while ((st = first_due(chat, STREAM_RUNNING, now_ms)) != NULL)
		stream_cut(chat, st, CHAT_F_INTERRUPTED);
	while ((st = first_due(chat, STREAM_CANCELLED, now_ms)) != NULL)
		stream_cut(chat, st, CHAT_F_CANCELLED);
	while ((st = first_due(chat, STREAM_RETRYING, now_ms)) != NULL)
		stream_store(chat, st);
	while ((st = first_due(chat, STREAM_ENDED, now_ms)) != NULL)
		stream_remove(chat, st);
	chat->ops->streams_lost(chat->ctx, lost_add, &lost);
	for (i = 0; i < lost.n; i++)
		take_lost(chat, lost.handle[i]);
	shown_tick(chat, now_ms);
}

void
streams_resync(struct chat *chat)
{
	struct stream_list again;
	struct stream *st;

	TAILQ_INIT(&again);
	TAILQ_CONCAT(&again, &chat->streams->list[STREAM_ENDING], entry);
	while ((st = TAILQ_FIRST(&again)) != NULL) {
		TAILQ_REMOVE(&again, st, entry);
		TAILQ_INSERT_TAIL(&chat->streams->list[STREAM_ENDING], st,
		    entry);
		stream_store(chat, st);
	}
}

void
streams_new(struct chat *chat)
{
	unsigned i;

	chat->streams = chat_alloc(sizeof(*chat->streams));
	for (i = 0; i < STREAM__MAX; i++)
		TAILQ_INIT(&chat->streams->list[i]);
}

void
streams_configure(struct chat *chat, const struct config *cfg)
{
	uint64_t was = chat->cfg->stream_idle_timeout;
	struct stream *st;

	TAILQ_FOREACH(st, &chat->streams->list[STREAM_RUNNING], entry)
		st->due_ms = st->due_ms - was + cfg->stream_idle_timeout;
}

void
streams_free(struct chat *chat)
{
	struct streams *ss = chat->streams;
	struct stream *st, *next;

	/* the rows stay, for those who come after us */
	HASH_ITER(hh, ss->own, st, next)
		stream_free(chat, st);
	CHECK(ss->shown == NULL);
	json_out_clear(&ss->body);
	free(ss->text);
	free(ss);
	chat->streams = NULL;
}
