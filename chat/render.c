/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "chat/render.h"

#include <string.h>

#include "chat/request.h"

static void
member_str(struct json_out *o, const char *key, struct chat_str s)
{
	json_out_key(o, key);
	json_out_string(o, s.p, s.len);
}

static void
member_cstr(struct json_out *o, const char *key, const char *s)
{
	json_out_key(o, key);
	json_out_cstring(o, s);
}

static void
member_u64(struct json_out *o, const char *key, uint64_t n)
{
	json_out_key(o, key);
	json_out_u64(o, n);
}

void
render_message(struct json_out *o, const char *session, struct chat_str body,
    uint64_t time_ms, uint64_t seq)
{
	json_out_object(o);
	json_out_inside(o, body.p, body.len);
	member_cstr(o, "sessionId", session);
	member_u64(o, "timestamp", time_ms);
	member_u64(o, "seq", seq);
	json_out_object_end(o);
}

static void
member_id(struct json_out *o, struct chat_str id, const char *session)
{
	member_str(o, "id", id);
	member_cstr(o, "sessionId", session);
}

static void
message_edited(struct json_out *o, const char *session,
    const struct chat_row *row)
{
	json_out_object(o);
	json_out_inside(o, row->body.p, row->body.len);
	member_cstr(o, "sessionId", session);
	member_u64(o, "timestamp", row->time_ms);
	member_u64(o, "seq", row->seq);
	member_u64(o, "editedAt", row->edited_ms);
	member_u64(o, "revision", row->revision);
	json_out_object_end(o);
}

void
render_row(struct json_out *o, const char *session, const struct chat_row *row)
{
	if (row->deleted) {
		json_out_object(o);
		member_id(o, row->id, session);
		member_u64(o, "seq", row->seq);
		json_out_key(o, "deleted");
		json_out_bool(o, true);
		json_out_object_end(o);
	} else if (row->revision > 0) {
		message_edited(o, session, row);
	} else {
		render_message(o, session, row->body, row->time_ms, row->seq);
	}
}

static void
change_deleted(struct json_out *o, const char *session,
    const struct chat_change *c)
{
	json_out_object(o);
	member_cstr(o, "sessionId", session);
	member_str(o, "messageId", c->id);
	member_u64(o, "seq", c->seq);
	member_u64(o, "revision", c->revision);
	member_u64(o, "timestamp", c->changed_ms);
	json_out_object_end(o);
}

static void
change_receipt(struct json_out *o, const char *session,
    const struct chat_change *c)
{
	json_out_object(o);
	member_cstr(o, "sessionId", session);
	member_str(o, "userId", c->user_id);
	member_u64(o, "seq", c->seq);
	member_u64(o, "revision", c->revision);
	member_u64(o, "timestamp", c->changed_ms);
	json_out_object_end(o);
}

static void
change_status(struct json_out *o, const char *session,
    const struct chat_change *c)
{
	json_out_object(o);
	member_cstr(o, "sessionId", session);
	member_str(o, "status", c->status);
	member_u64(o, "timestamp", c->changed_ms);
	if (c->reason.len > 0)
		member_str(o, "reason", c->reason);
	json_out_object_end(o);
}

const char *
render_change(struct json_out *o, const char *session,
    const struct chat_change *c)
{
	const struct chat_row row = { .seq = c->seq,
		.time_ms = c->time_ms,
		.revision = c->revision,
		.edited_ms = c->changed_ms,
		.id = c->id,
		.body = c->body };

	switch (c->type) {
	case CHAT_DELETE:
		change_deleted(o, session, c);
		return EVENT_DELETED;
	case CHAT_RECEIPT:
		change_receipt(o, session, c);
		return EVENT_RECEIPT;
	case CHAT_STATUS:
		change_status(o, session, c);
		return EVENT_STATUS;
	default:
		message_edited(o, session, &row);
		return EVENT_UPDATED;
	}
}

void
render_sent(struct json_out *o, struct chat_str id, const char *session,
    uint64_t time_ms, uint64_t seq)
{
	member_str(o, "messageId", id);
	member_u64(o, "timestamp", time_ms);
	member_cstr(o, "sessionId", session);
	member_u64(o, "seq", seq);
}

void
render_presence(struct json_out *o, const char *session,
    const struct chat_member *m)
{
	json_out_object(o);
	member_cstr(o, "sessionId", session);
	member_str(o, "userId", m->user_id);
	member_str(o, "userName", m->user_name);
	member_str(o, "socketId", m->socket_id);
	member_u64(o, "joinedAt", m->joined_ms);
	member_u64(o, "lastActivity", m->active_ms);
	member_str(o, "status", m->status);
	json_out_object_end(o);
}

void
render_typing(struct json_out *o, const char *session, struct chat_str user_id,
    struct chat_str agent, bool on, uint64_t time_ms)
{
	json_out_object(o);
	member_cstr(o, "sessionId", session);
	member_str(o, "userId", user_id);
	if (agent.len > 0)
		member_str(o, "agentId", agent);
	json_out_key(o, "isTyping");
	json_out_bool(o, on);
	member_u64(o, "timestamp", time_ms);
	json_out_object_end(o);
}

void
render_left(struct json_out *o, const char *session,
    const struct chat_delivery *d, uint64_t time_ms)
{
	json_out_object(o);
	member_cstr(o, "sessionId", session);
	member_str(o, "userId", d->ev.field[1]);
	member_str(o, "socketId", d->ev.field[0]);
	member_u64(o, "timestamp", time_ms);
	if (d->ev.field[2].len > 0)
		member_str(o, "reason", d->ev.field[2]);
	member_u64(o, "remaining", d->seq);
	json_out_object_end(o);
}

void
render_room_id(struct json_out *o, const char *session)
{
	static const char prefix[] = "chat:session:";
	char text[sizeof(prefix) + CHAT_ID_MAX];
	size_t len = strlen(session);

	memcpy(text, prefix, sizeof(prefix) - 1);
	memcpy(text + sizeof(prefix) - 1, session, len);
	json_out_key(o, "roomId");
	json_out_string(o, text, sizeof(prefix) - 1 + len);
}
