/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * chat:agent-message-stream and chat:cancel-stream: what is asked for.
 *
 * A chunk is acknowledged when it is in shared memory and on its way; the
 * last one when its message is stored.  What the answer is by the stream's
 * id:
 *
 *   nobody writes it        a new stream; index above 0: is it the id of a
 *                           message of ours?  duplicate, else STREAM_UNKNOWN
 *   ours, running           by its index: on, duplicate, INVALID_PAYLOAD
 *   ours, elsewhere         taken over if its connection was lost; else that
 *                           worker is asked to give it up, and OVERLOADED
 *   ended a moment ago      duplicate, or how it ended
 *   cancelled               the last chunk is taken, whatever its index, or
 *                           else STREAM_UNKNOWN
 *   another user's          ID_TAKEN
 *
 * That a new stream's id is already a message's turns out a moment later: the
 * chunks that the room has seen by then are ended as interrupted, and the
 * next one is answered as above.
 */

#include <string.h>

#include "chat/identity.h"
#include "chat/steer.h"
#include "chat/stream.h"
#include "common/fault.h"

bool
stream_parse(struct request *r)
{
	struct json_iter it = json_iter(r->payload);
	struct json_value k, v;
	bool ok = true, has_complete = false;

	while (json_next_member(&it, &k, &v)) {
		if (json_is(k, "sessionId"))
			ok = read_id(v, &r->session) && ok;
		else if (json_is(k, "messageId"))
			ok = read_id(v, &r->message) && ok;
		else if (json_is(k, "chunk"))
			r->u.stream.chunk = v;
		else if (json_is(k, "isComplete"))
			has_complete = json_to_bool(v, &r->u.stream.complete);
		else if (json_is(k, "index"))
			ok = read_optional_u64(v, 0, &r->u.stream.index,
				 &r->u.stream.has_index) &&
			    ok;
		else if (json_is(k, "agentId"))
			ok = read_id(v, &r->agent) && ok;
		else if (json_is(k, "metadata"))
			r->u.stream.metadata = v;
	}
	return ok && has_complete && r->session.len > 0 && r->message.len > 0 &&
	    r->u.stream.chunk.kind == JSON_KIND_STRING &&
	    (r->u.stream.metadata.kind == JSON_KIND_OBJECT ||
		r->u.stream.metadata.kind == JSON_KIND_NONE);
}

static struct chat_str
message_id(const struct request *r)
{
	return chat_str(r->message.text, r->message.len);
}

/* --- answers --------------------------------------------------------------------- */

/* Neither the chunk nor the stream is to be changed by it. */
static enum chat_error
answer_duplicate(struct request *r, const struct stream *st)
{
	struct json_out *o = reply_begin(r->chat);

	json_out_key(o, "messageId");
	json_out_string(o, r->message.text, r->message.len);
	if (r->u.stream.has_index) {
		json_out_key(o, "index");
		json_out_u64(o, r->u.stream.index);
	}
	json_out_key(o, "duplicate");
	json_out_bool(o, true);
	if (st != NULL && st->state == STREAM_ENDED) {
		json_out_key(o, "seq");
		json_out_u64(o, st->seq);
		json_out_key(o, "timestamp");
		json_out_u64(o, st->time_ms);
	}
	reply_end(r->chat, r->s, NULL, r->has_ack, r->ack);
	return CHAT_OK;
}

static void
answer_chunk(struct request *r, uint64_t index)
{
	struct json_out *o;

	if (!r->has_ack)
		return;
	o = reply_begin(r->chat);
	json_out_key(o, "messageId");
	json_out_string(o, r->message.text, r->message.len);
	json_out_key(o, "index");
	json_out_u64(o, index);
	reply_end(r->chat, r->s, NULL, true, r->ack);
}

/* There is no such stream: is there such a message? */
static enum chat_error
ask_for_message(struct request *r)
{
	struct pending *p =
	    pending_add(r->chat, r->s, PENDING_STREAM, r->room, 0);
	struct chat_event ev = { .type = CHAT_MESSAGE,
		.flags = CHAT_F_ONLY_DUPLICATE,
		.room = r->room->number,
		.user = r->s->user,
		.nfields = 3 };

	p->has_ack = r->has_ack;
	p->ack = r->ack;
	ev.field[0] = message_id(r);
	ev.field[1] = chat_cstr(r->s->id);
	ev.field[2] = chat_str("", 0);
	socket_publish(r->chat, r->s, p->request, &ev);
	return CHAT_OK;
}

/* --- a stream that is ours ------------------------------------------------------- */

/* It has ended, or is about to. */
static enum chat_error
chunk_is_late(struct request *r, struct stream *st)
{
	/* it never was: the message of that id is another user's */
	if (st->known && st->err != CHAT_OK)
		return st->err;
	if (!r->u.stream.complete)
		return st->flags != 0 ? CHAT_E_STREAM_UNKNOWN
				      : answer_duplicate(r, NULL);
	if (st->state == STREAM_ENDED)
		return st->err != CHAT_OK ? st->err : answer_duplicate(r, st);
	/* its last chunk once more: the first asker has the answer coming */
	if (st->waits)
		return answer_duplicate(r, NULL);
	st->waits = true;
	st->has_ack = r->has_ack;
	st->ack = r->ack;
	if (st->state == STREAM_RETRYING)
		stream_store(r->chat, st);
	return CHAT_OK;
}

/* Is it the one that is expected?  *skip_r: it was here before. */
static enum chat_error
check_index(const struct request *r, const struct stream *st, bool *skip_r)
{
	*skip_r = false;
	if (!r->u.stream.has_index || r->u.stream.index == st->nchunks)
		return CHAT_OK;
	if (r->u.stream.index < st->nchunks) {
		*skip_r = true;
		return CHAT_OK;
	}
	/* those between were refused because it is cancelled */
	return st->state == STREAM_CANCELLED ? CHAT_OK : CHAT_E_INVALID_MESSAGE;
}

static enum chat_error
append(struct request *r, struct stream *st, struct json_span text)
{
	struct chat *chat = r->chat;
	struct chat_str s = chat_str(text.p, text.len);
	enum chat_stream_result rc;

	do {
		rc = chat->ops->stream_append(chat->ctx, st->handle, s);
	} while (streams_make_room(chat, rc, st->user));
	switch (rc) {
	case CHAT_STREAM_DONE:
		st->nchunks++;
		st->len += text.len;
		return CHAT_OK;
	case CHAT_STREAM_FULL:
	case CHAT_STREAM_SHARE:
		return CHAT_E_OVERLOADED;
	case CHAT_STREAM_LONG:
		return CHAT_E_STREAM_TOO_LONG;
	case CHAT_STREAM_TAKEN:
	case CHAT_STREAM_GONE:
		break;
	}
	return CHAT_E_STREAM_UNKNOWN;
}

/* What its agent says with the last chunk replaces what it said before. */
static void
set_metadata(struct request *r, const struct stream *st)
{
	struct json_out *o = &r->chat->streams->body;

	if (r->u.stream.metadata.kind == JSON_KIND_NONE)
		return;
	if (r->agent.len == 0)
		chat_id_set(&r->agent, stream_agent(st));
	stream_put_tail(o, r);
	(void)r->chat->ops->stream_tail(r->chat->ctx, st->handle,
	    chat_str(o->p, o->len));
}

static void
last_chunk(struct request *r, struct stream *st, const struct stream_last *last)
{
	set_metadata(r, st);
	st->waits = true;
	st->has_ack = r->has_ack;
	st->ack = r->ack;
	stream_close(r->chat, st, last);
}

static enum chat_error
chunk_add(struct request *r, struct stream *st)
{
	struct json_span text = json_inside(r->u.stream.chunk);
	bool complete = r->u.stream.complete, was_here;
	struct stream_last last = { .start = st->len };
	enum chat_error err;

	if ((err = check_index(r, st, &was_here)) != CHAT_OK)
		return err;
	if (was_here && !complete)
		return answer_duplicate(r, NULL);
	if (st->state == STREAM_CANCELLED && !complete)
		return CHAT_E_STREAM_UNKNOWN;
	/* the last chunk again, whose end nobody has seen */
	if (was_here)
		text.len = 0;
	else if ((err = append(r, st, text)) != CHAT_OK)
		return err;
	chat_count(r->chat, CHAT_COUNT_CHUNKS);
	last.index = was_here ? st->nchunks : st->nchunks - 1;
	last.text = chat_str(text.p, text.len);
	if (complete) {
		last.flags =
		    st->state == STREAM_CANCELLED ? CHAT_F_CANCELLED : 0;
		last_chunk(r, st, &last);
		return CHAT_OK;
	}
	stream_enter(r->chat, st, STREAM_RUNNING);
	stream_publish(r->chat, st, last.index, last.start, last.text, 0);
	answer_chunk(r, last.index);
	return CHAT_OK;
}

static enum chat_error
chunk_of_own(struct request *r, struct stream *st)
{
	struct chat *chat = r->chat;

	if (st->user != r->s->user)
		return CHAT_E_ID_TAKEN;
	if (!st->known)
		r->wait_ns = chat->ops->stream_rate(chat->ctx, st->handle);
	if (r->wait_ns > 0)
		return CHAT_E_RATE_LIMITED;
	/* another connection has the answer coming: behind the message */
	if (st->waits && st->s != r->s)
		return r->u.stream.complete ? ask_for_message(r)
					    : chunk_is_late(r, st);
	/* any connection of the user may go on with it */
	stream_attach(st, r->s);
	if (st->state != STREAM_RUNNING && st->state != STREAM_CANCELLED)
		return chunk_is_late(r, st);
	return chunk_add(r, st);
}

/* --- a new one --------------------------------------------------------------------- */

static unsigned
count_streams(const struct chat_socket *s)
{
	const struct stream *st;
	unsigned n = 0;

	LIST_FOREACH(st, &socket_work(s)->streams, of_socket)
		n++;
	return n;
}

static enum chat_stream_result
open_row(struct request *r, struct chat_str agent, uint64_t *handle_r)
{
	struct chat *chat = r->chat;
	struct json_out *tail = &chat->streams->body, *head = &chat->event;
	struct chat_stream_new new = {
		.room = r->room->number,
		.user = r->s->user,
		.id = message_id(r),
		.user_id = chat_cstr(r->s->identity->user_id),
		.user_name = chat_cstr(r->s->identity->user_name),
		.agent = agent,
	};
	enum chat_stream_result rc;

	stream_put_tail(tail, r);
	stream_put_head(head, &r->message);
	new.head = chat_str(head->p, head->len);
	new.tail = chat_str(tail->p, tail->len);
	do {
		rc = chat->ops->stream_open(chat->ctx, &new, handle_r);
	} while (streams_make_room(chat, rc, new.user));
	return rc;
}

static enum chat_error
stream_begin(struct request *r)
{
	struct chat_stream row = { .room = r->room->number,
		.user = r->s->user,
		.id = message_id(r) };
	struct stream *st;
	enum chat_error err;

	if (count_streams(r->s) >= STREAMS_A_SOCKET)
		return CHAT_E_OVERLOADED;
	/* whom the agent says that it is, now or when it joined */
	if (r->agent.len == 0 && r->member->agent != NULL)
		chat_id_set(&r->agent, chat_cstr(r->member->agent));
	row.agent = chat_str(r->agent.text, r->agent.len);
	switch (open_row(r, row.agent, &row.handle)) {
	case CHAT_STREAM_DONE:
		break;
	case CHAT_STREAM_LONG:
		return CHAT_E_METADATA_TOO_LARGE;
	case CHAT_STREAM_TAKEN:
	case CHAT_STREAM_FULL:
	case CHAT_STREAM_SHARE:
	case CHAT_STREAM_GONE:
		return CHAT_E_OVERLOADED;
	}
	st = stream_add(r->chat, &row);
	stream_attach(st, r->s);
	chat_count(r->chat, CHAT_COUNT_STREAMS);
	(void)r->chat->ops->stream_rate(r->chat->ctx, st->handle);
	err = chunk_add(r, st);
	/* one that consists of its last chunk has asked */
	if (err == CHAT_OK && !r->u.stream.complete)
		stream_ask(r->chat, st);
	else if (err != CHAT_OK)
		stream_remove(r->chat, st);
	return err;
}

/* --- one that somebody else has ------------------------------------------------------ */

struct foreign {
	const struct request *r;
	uint64_t user;
	enum chat_stream_owner owner;
	bool open;
	unsigned flags;
	struct stream *st;
};

static bool
look_foreign(void *arg, const struct chat_stream *row)
{
	struct foreign *f = arg;

	f->user = row->user;
	f->owner = row->owner;
	f->open = chat_stream_is_open(row->tail);
	f->flags = stream_tail_flags(row->tail);
	return true;
}

static bool
take_foreign(void *arg, const struct chat_stream *row)
{
	struct foreign *f = arg;

	f->st = stream_add(f->r->chat, row);
	return true;
}

/* Its connection is taken to be lost: whoever has it is to give it up. */
static void
ask_to_give_up(const struct request *r)
{
	struct chat_event ev = { .type = CHAT_CANCEL,
		.flags = CHAT_F_LOST,
		.room = r->room->number,
		.user = r->s->user,
		.nfields = 2 };

	ev.field[0] = message_id(r);
	ev.field[1] = chat_cstr(r->s->identity->user_id);
	r->chat->ops->publish(r->chat->ctx, NULL, 0, &ev);
}

static enum chat_error
chunk_of_foreign(struct request *r, uint64_t handle)
{
	struct chat *chat = r->chat;
	struct foreign f = { .r = r };

	if (!chat->ops->stream_look(chat->ctx, handle, look_foreign, &f))
		return CHAT_E_OVERLOADED;
	if (f.user != r->s->user)
		return CHAT_E_ID_TAKEN;
	if (!f.open) {
		if (r->u.stream.complete)
			return ask_for_message(r);
		return f.flags != 0 ? CHAT_E_STREAM_UNKNOWN
				    : answer_duplicate(r, NULL);
	}
	if (f.owner == CHAT_STREAM_OTHERS) {
		ask_to_give_up(r);
		return CHAT_E_OVERLOADED;
	}
	if (chat->ops->stream_claim(chat->ctx, handle, f.user) !=
		CHAT_STREAM_DONE ||
	    !chat->ops->stream_look(chat->ctx, handle, take_foreign, &f))
		return CHAT_E_OVERLOADED;
	chat_count(chat, CHAT_COUNT_STREAMS_RESUMED);
	return chunk_of_own(r, f.st);
}

enum chat_error
stream_handle(struct request *r)
{
	struct chat *chat = r->chat;
	uint64_t max = chat->cfg->limits_metadata_bytes, handle;
	struct json_span metadata = r->u.stream.metadata.text;
	enum chat_error err;
	struct stream *st;

	if (r->member->role == IDENTITY_USER)
		return CHAT_E_FORBIDDEN;
	if ((err = steer_check_mute(r)) != CHAT_OK)
		return err;
	if (max > 0 && metadata.len > max &&
	    json_compact_length(metadata) > max)
		return CHAT_E_METADATA_TOO_LARGE;
	st = stream_own(chat, r->room->number, message_id(r));
	if (st != NULL)
		return chunk_of_own(r, st);
	handle =
	    chat->ops->stream_find(chat->ctx, r->room->number, message_id(r));
	if (handle != 0)
		return chunk_of_foreign(r, handle);
	if (r->u.stream.has_index && r->u.stream.index > 0)
		return ask_for_message(r);
	return stream_begin(r);
}

bool
stream_runs(const struct chat *chat, const struct room *room,
    const struct chat_id *id)
{
	const struct shown *sh;

	if (LIST_EMPTY(&room->shown))
		return false;
	sh = shown_find(chat, room, chat_str(id->text, id->len));
	return sh != NULL && !sh->done;
}

/* --- chat:cancel-stream ---------------------------------------------------------------- */

bool
cancel_parse(struct request *r)
{
	bool ok = read_id(json_member(r->payload, "sessionId"), &r->session);

	return read_id(json_member(r->payload, "messageId"), &r->message) && ok;
}

enum chat_error
cancel_handle(struct request *r)
{
	struct chat *chat = r->chat;
	struct foreign f = { .r = r };
	struct chat_event ev = { .type = CHAT_CANCEL,
		.room = r->room->number,
		.user = r->s->user,
		.nfields = 2 };
	uint64_t handle;

	handle =
	    chat->ops->stream_find(chat->ctx, r->room->number, message_id(r));
	if (handle == 0 ||
	    !chat->ops->stream_look(chat->ctx, handle, look_foreign, &f) ||
	    !f.open)
		return CHAT_E_STREAM_UNKNOWN;
	if (chat->ops->stream_cancel(chat->ctx, handle, STREAM_CANCEL_MS) ==
	    CHAT_STREAM_GONE)
		return CHAT_E_STREAM_UNKNOWN;
	/* nobody is there to hear of it */
	if (f.owner == CHAT_STREAM_NOBODYS &&
	    chat->ops->stream_claim(chat->ctx, handle, 0) == CHAT_STREAM_DONE)
		(void)chat->ops->stream_look(chat->ctx, handle, take_foreign,
		    &f);
	FAULT(STREAM_CANCEL);
	ev.field[0] = message_id(r);
	ev.field[1] = chat_cstr(r->s->identity->user_id);
	chat->ops->publish(chat->ctx, NULL, 0, &ev);
	(void)reply_begin(chat);
	reply_end(chat, r->s, NULL, r->has_ack, r->ack);
	return CHAT_OK;
}

static void
tell_cancelled(struct chat *chat, const struct stream *st,
    const struct room *room, struct chat_str user_id)
{
	struct json_out *o = &chat->event;
	struct chat_str id = stream_id(st);
	struct chat_frame frame;

	json_out_reset(o);
	json_out_object(o);
	json_out_key(o, "sessionId");
	json_out_cstring(o, room->session);
	json_out_key(o, "messageId");
	json_out_string(o, id.p, id.len);
	if (user_id.len > 0) {
		json_out_key(o, "userId");
		json_out_string(o, user_id.p, user_id.len);
	}
	json_out_key(o, "timestamp");
	json_out_u64(o, chat_real_ms(chat));
	json_out_object_end(o);
	frame = chat_encode(chat, EVENT_STREAM_CANCELLED, o, NULL);
	chat->ops->send(chat->ctx, st->s->conn, frame, CHAT_EVENT);
}

/* 'user_id' is empty if it is not known who wants it. */
static void
cancel_own(struct chat *chat, struct stream *st, struct chat_str user_id)
{
	const struct room *room = room_find(chat, st->room);

	stream_enter(chat, st, STREAM_CANCELLED);
	if (st->s != NULL && room != NULL)
		tell_cancelled(chat, st, room, user_id);
}

void
cancel_deliver(struct chat *chat, const struct chat_delivery *d)
{
	struct stream *st = stream_own(chat, d->ev.room, d->ev.field[0]);

	if (st == NULL || st->state != STREAM_RUNNING)
		return;
	if ((d->ev.flags & CHAT_F_LOST) != 0) {
		if (st->user == d->ev.user)
			stream_give_up(chat, st);
		return;
	}
	cancel_own(chat, st, d->ev.field[1]);
}

static bool
look_cancelled(void *arg, const struct chat_stream *row)
{
	*(bool *)arg = row->cancelled;
	return true;
}

void
cancel_resync(struct chat *chat)
{
	struct stream *st, *next;
	bool cancelled;

	for (st = TAILQ_FIRST(&chat->streams->list[STREAM_RUNNING]); st != NULL;
	     st = next) {
		next = TAILQ_NEXT(st, entry);
		cancelled = false;
		if (chat->ops->stream_look(chat->ctx, st->handle,
			look_cancelled, &cancelled) &&
		    cancelled)
			cancel_own(chat, st, chat_str("", 0));
	}
}
