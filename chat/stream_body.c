/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * The message that a stream becomes: head, text, tail.
 *
 *   "id":"m1","content":"  ...  ","type":"assistant","userId":"bot",
 *   "metadata":{what its client said,"senderName":"Bot",OPEN}
 *
 * OPEN says that it is being written.  When it has ended, that it is
 * complete stands there, perhaps why it has ended, and, if its agent said
 * the last word itself, with which socket: that comes last, where replay.c
 * looks for it.
 */

#include <stdlib.h>
#include <string.h>

#include "chat/content.h"
#include "chat/identity.h"
#include "chat/stream.h"

#define OPEN "\"isStreaming\":true,\"isComplete\":false}"
#define CLOSED "\"isStreaming\":false,\"isComplete\":true"
#define INTERRUPTED ",\"interrupted\":true"
#define CANCELLED ",\"cancelled\":true"
/* the most that stands behind CLOSED */
#define BEHIND_MAX 128
/* the scratch that is kept */
#define KEPT_SIZE (64 * 1024)
/* a record takes a quarter of an arena, and 1 MiB (shm/ring.h); names, ids
 * and numbers of a message take so much of it */
#define RECORD_LIMIT ((uint64_t)1 << 20)
#define BODY_ADDED 1024

/* What the server says itself. */
static const char *const servers[] = { "isStreaming", "isComplete",
	"interrupted", "cancelled", "senderName", "senderSocketId" };

void
stream_put_head(struct json_out *o, const struct chat_id *id)
{
	json_out_reset(o);
	json_out_key(o, "id");
	json_out_string(o, id->text, id->len);
	json_out_key(o, "content");
	json_out_raw(o, "\"", 1);
	chat_check_out(o);
}

static bool
is_servers(struct json_value key)
{
	size_t i;

	for (i = 0; i < sizeof(servers) / sizeof(servers[0]); i++) {
		if (json_is(key, servers[i]))
			return true;
	}
	return false;
}

/* Bytes as they are. */
static void
put_raw(struct json_out *o, const char *p, size_t len)
{
	o->comma = false;
	json_out_raw(o, p, len);
}

void
stream_put_tail(struct json_out *o, const struct request *r)
{
	struct json_iter it = json_iter(r->u.stream.metadata);
	struct json_value k, v;

	json_out_reset(o);
	json_out_raw(o, "\"", 1);
	json_out_key(o, "type");
	json_out_cstring(o, "assistant");
	json_out_key(o, "userId");
	json_out_cstring(o, r->s->identity->user_id);
	if (r->agent.len > 0) {
		json_out_key(o, "agentId");
		json_out_string(o, r->agent.text, r->agent.len);
	}
	json_out_key(o, "metadata");
	json_out_object(o);
	while (json_next_member(&it, &k, &v)) {
		if (is_servers(k))
			continue;
		json_out_raw_key(o, k);
		json_out_compact(o, v.text);
	}
	json_out_key(o, "senderName");
	json_out_cstring(o, r->s->identity->user_name);
	json_out_raw(o, OPEN, sizeof(OPEN) - 1);
	chat_check_out(o);
}

static bool
ends_with(struct chat_str s, const char *end)
{
	size_t len = strlen(end);

	return s.len >= len && memcmp(s.p + s.len - len, end, len) == 0;
}

bool
chat_stream_is_open(struct chat_str tail)
{
	return ends_with(tail, OPEN);
}

static bool
begins_with(struct chat_str s, const char *begin)
{
	size_t len = strlen(begin);

	return s.len >= len && memcmp(s.p, begin, len) == 0;
}

/* Nothing of a client's stands behind the last CLOSED. */
unsigned
stream_tail_flags(struct chat_str tail)
{
	size_t n = sizeof(CLOSED) - 1, back;
	struct chat_str rest;

	for (back = n; back <= tail.len && back <= n + BEHIND_MAX; back++) {
		rest = chat_str(tail.p + tail.len - back, back);
		if (!begins_with(rest, CLOSED))
			continue;
		rest = chat_str(rest.p + n, rest.len - n);
		if (begins_with(rest, INTERRUPTED))
			return CHAT_F_INTERRUPTED;
		return begins_with(rest, CANCELLED) ? CHAT_F_CANCELLED : 0;
	}
	return 0;
}

static void
put_closed(struct json_out *o, struct chat_str tail, unsigned flags,
    const char *socket_id)
{
	if (!chat_stream_is_open(tail)) {
		put_raw(o, tail.p, tail.len);
		return;
	}
	put_raw(o, tail.p, tail.len - (sizeof(OPEN) - 1));
	put_raw(o, CLOSED, sizeof(CLOSED) - 1);
	if ((flags & CHAT_F_INTERRUPTED) != 0)
		put_raw(o, INTERRUPTED, sizeof(INTERRUPTED) - 1);
	else if ((flags & CHAT_F_CANCELLED) != 0)
		put_raw(o, CANCELLED, sizeof(CANCELLED) - 1);
	if (socket_id != NULL) {
		json_out_key(o, "senderSocketId");
		json_out_cstring(o, socket_id);
	}
	json_out_object_end(o);
}

void
stream_put_closed(struct json_out *o, struct chat_str tail, unsigned flags,
    const char *socket_id)
{
	json_out_reset(o);
	put_closed(o, tail, flags, socket_id);
	chat_check_out(o);
}

/* --- the text ---------------------------------------------------------------- */

static char *
text_room(struct streams *ss, size_t size)
{
	if (size > ss->size || (ss->size > KEPT_SIZE && size <= KEPT_SIZE)) {
		free(ss->text);
		ss->size = size > KEPT_SIZE ? size : KEPT_SIZE;
		ss->text = chat_alloc(ss->size);
	}
	return ss->text;
}

const char *
stream_get_text(struct chat *chat, uint64_t handle, uint64_t from, uint64_t to)
{
	char *p;

	if (handle == 0 || to < from)
		return NULL;
	p = text_room(chat->streams, (size_t)(to - from) + 1);
	if (to > from &&
	    !chat->ops->stream_text(chat->ctx, handle, from, to, p))
		return NULL;
	return p;
}

/* The text with its quotes, as a value. */
static bool
read_content(struct chat *chat, const struct stream *st, struct json_value *v_r)
{
	struct streams *ss = chat->streams;
	size_t len = (size_t)st->len;
	char *p = text_room(ss, len + 2);

	p[0] = '"';
	p[len + 1] = '"';
	if (len > 0 &&
	    !chat->ops->stream_text(chat->ctx, st->handle, 0, len, p + 1))
		return false;
	v_r->kind = JSON_KIND_STRING;
	v_r->text.p = p;
	v_r->text.len = len + 2;
	return true;
}

struct body {
	struct json_out *o;
	const struct stream *st;
	struct json_span text;
	const struct chat_id *id;
};

static bool
put_body(void *arg, const struct chat_stream *row)
{
	struct body *body = arg;
	struct json_out *o = body->o;

	stream_put_head(o, body->id);
	put_raw(o, body->text.p, body->text.len);
	/* it is closed, unless there was no memory for that */
	put_closed(o, row->tail, body->st->flags, NULL);
	chat_check_out(o);
	return true;
}

/* CHAT_OK, and the content in *v as it is stored. */
static enum chat_error
judge(struct chat *chat, const struct chat_socket *s, uint64_t number,
    struct json_value *v)
{
	const struct room *room = room_find(chat, number);

	if (content_is_blank(*v))
		return CHAT_E_CONTENT_EMPTY;
	return content_pass(chat, s, room == NULL ? NULL : room->session, v);
}

static bool
fits(const struct chat *chat, size_t len)
{
	uint64_t limit = chat->cfg->ring_arena_bytes / 4;

	if (limit > RECORD_LIMIT || limit == 0)
		limit = RECORD_LIMIT;
	return len + BODY_ADDED <= limit;
}

enum chat_error
stream_put_body(struct chat *chat, const struct stream *st)
{
	struct chat_id id;
	struct body body = { .o = &chat->streams->body, .st = st, .id = &id };
	struct json_value v;
	enum chat_error err;

	chat_id_set(&id, stream_id(st));
	if (!read_content(chat, st, &v))
		return CHAT_E_STREAM_UNKNOWN;
	if ((err = judge(chat, st->s, st->room, &v)) != CHAT_OK)
		return err;
	body.text = json_inside(v);
	if (!chat->ops->stream_look(chat->ctx, st->handle, put_body, &body))
		return CHAT_E_STREAM_UNKNOWN;
	return fits(chat, body.o->len) ? CHAT_OK : CHAT_E_STREAM_TOO_LONG;
}

void
chat_store_leftover(struct chat *chat, const struct chat_leftover *left)
{
	struct streams *ss = chat->streams;
	struct json_out *o = &ss->body;
	struct chat_event ev = { .type = CHAT_MESSAGE,
		.flags = CHAT_F_STREAM,
		.room = left->room,
		.user = left->user,
		.nfields = 3 };
	char *p = text_room(ss, left->text.len + 2);
	struct json_value v = { JSON_KIND_STRING, { p, left->text.len + 2 } };

	p[0] = p[left->text.len + 1] = '"';
	if (left->text.len > 0)
		memcpy(p + 1, left->text.p, left->text.len);
	ev.field[0] = left->id;
	ev.field[1] = ev.field[2] = chat_str("", 0);
	json_out_reset(o);
	if (judge(chat, NULL, left->room, &v) != CHAT_OK) {
		ev.flags |= CHAT_F_ONLY_DUPLICATE;
	} else {
		put_raw(o, left->head.p, left->head.len);
		put_raw(o, json_inside(v).p, json_inside(v).len);
		put_closed(o, left->tail, CHAT_F_INTERRUPTED, NULL);
		chat_check_out(o);
		ev.field[2] = chat_str(o->p, o->len);
	}
	if (!fits(chat, o->len)) {
		ev.flags |= CHAT_F_ONLY_DUPLICATE;
		ev.field[2] = chat_str("", 0);
	}
	chat->ops->publish(chat->ctx, NULL, 0, &ev);
}
