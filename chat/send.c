/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * chat:send-message: from what the client says to the body that is stored.
 */

#include <stdlib.h>
#include <string.h>

#include "chat/content.h"
#include "chat/identity.h"
#include "chat/request.h"
#include "chat/steer.h"
#include "chat/stream.h"
#include "chat/typing.h"

/* of an id that the server makes: 132 random bits */
#define MADE_ID_LENGTH 22

static const char *const types[] = { "user", "assistant", "system" };

/* What each role says, and all that it may say but a service. */
static const char *const type_of_role[] = {
	[IDENTITY_USER] = "user",
	[IDENTITY_AGENT] = "assistant",
	[IDENTITY_SERVICE] = "system",
};

static bool
read_type(struct json_value v, const char **type_r)
{
	size_t i;

	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		if (json_is(v, types[i])) {
			*type_r = types[i];
			return true;
		}
	}
	return false;
}

/* What is not named here - timestamp, userId, seq - is the server's. */
bool
send_parse(struct request *r)
{
	struct json_value message = json_member(r->payload, "message"), k, v;
	struct json_iter it = json_iter(message);
	bool ok = message.kind == JSON_KIND_OBJECT;

	if (!ok)
		return false;
	/* all of it: a refusal says what it is about */
	while (json_next_member(&it, &k, &v)) {
		if (json_is(k, "id"))
			ok = read_id(v, &r->message) && ok;
		else if (json_is(k, "sessionId"))
			ok = read_id(v, &r->session) && ok;
		else if (json_is(k, "agentId"))
			ok = read_id(v, &r->agent) && ok;
		else if (json_is(k, "type"))
			ok = read_type(v, &r->u.send.type) && ok;
		else if (json_is(k, "content"))
			r->u.send.content = v;
		else if (json_is(k, "metadata"))
			r->u.send.metadata = v;
	}
	return ok && r->session.len > 0 &&
	    r->u.send.content.kind == JSON_KIND_STRING &&
	    (r->u.send.metadata.kind == JSON_KIND_OBJECT ||
		r->u.send.metadata.kind == JSON_KIND_NONE);
}

/* As its client wrote it: measured before the rules. */
static enum chat_error
measure(const struct request *r)
{
	const struct config *cfg = r->chat->cfg;
	struct json_span metadata = r->u.send.metadata.text;
	enum chat_error err;

	if ((err = content_measure(r->chat, r->u.send.content)) != CHAT_OK)
		return err;
	if (cfg->limits_metadata_bytes > 0 &&
	    metadata.len > cfg->limits_metadata_bytes &&
	    json_compact_length(metadata) > cfg->limits_metadata_bytes)
		return CHAT_E_METADATA_TOO_LARGE;
	return CHAT_OK;
}

static void
make_id(struct chat_id *id)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				     "abcdefghijklmnopqrstuvwxyz"
				     "0123456789-_";
	uint8_t random[MADE_ID_LENGTH];
	size_t i;

	arc4random_buf(random, sizeof(random));
	for (i = 0; i < sizeof(random); i++)
		id->text[i] = digits[random[i] & 63];
	id->text[i] = '\0';
	id->len = i;
}

/*
 * The client's own, and what the server adds.  senderSocketId comes last:
 * replay.c knows one's own messages by the end of the body.
 */
static void
put_metadata(struct json_out *o, const struct request *r)
{
	struct json_iter it = json_iter(r->u.send.metadata);
	struct json_value k, v;

	json_out_key(o, "metadata");
	json_out_object(o);
	while (json_next_member(&it, &k, &v)) {
		if (json_is(k, "senderName") || json_is(k, "senderSocketId"))
			continue;
		json_out_raw_key(o, k);
		json_out_compact(o, v.text);
	}
	json_out_key(o, "senderName");
	json_out_cstring(o, r->s->identity->user_name);
	json_out_key(o, "senderSocketId");
	json_out_cstring(o, r->s->id);
	json_out_object_end(o);
}

static struct chat_str
make_body(struct request *r, const char *type, struct json_value content)
{
	struct json_out *o = &r->chat->event;

	json_out_reset(o);
	json_out_key(o, "id");
	json_out_string(o, r->message.text, r->message.len);
	json_out_key(o, "content");
	json_out_raw(o, content.text.p, content.text.len);
	json_out_key(o, "type");
	json_out_cstring(o, type);
	json_out_key(o, "userId");
	json_out_cstring(o, r->s->identity->user_id);
	if (r->agent.len > 0) {
		json_out_key(o, "agentId");
		json_out_string(o, r->agent.text, r->agent.len);
	}
	put_metadata(o, r);
	chat_check_out(o);
	return chat_str(o->p, o->len);
}

/* 'mark' is what counts it as a part of a burst. */
static void
send_publish(struct request *r, enum pending_kind kind, struct chat_str body,
    uint64_t mark)
{
	struct pending *p = pending_add(r->chat, r->s, kind, r->room, 0);
	struct chat_event ev = { .type = CHAT_MESSAGE,
		.room = r->room->number,
		.user = r->s->user,
		.nfields = 3 };

	p->has_ack = r->has_ack;
	p->ack = r->ack;
	if (kind == PENDING_RETRY) {
		p->wait_ns = r->wait_ns;
		ev.flags = CHAT_F_ONLY_DUPLICATE;
	} else {
		p->mark = mark;
	}
	ev.field[0] = chat_str(r->message.text, r->message.len);
	ev.field[1] = chat_cstr(r->s->id);
	ev.field[2] = body;
	socket_publish(r->chat, r->s, p->request, &ev);
}

/*
 * A retry of what is stored is no new message and is not refused: whether it
 * is one, only the store's writer knows.  Asking is limited as well.
 */
static bool
ask_for_duplicate(struct request *r)
{
	uint32_t now = (uint32_t)(chat_mono_ms(r->chat) / MS_PER_S);

	if (r->message.len == 0)
		return false;
	if (r->s->retry_second != now) {
		r->s->retry_second = now;
		r->s->nretries = 0;
	}
	if (r->s->nretries >= RETRIES_PER_SECOND)
		return false;
	r->s->nretries++;
	send_publish(r, PENDING_RETRY, chat_str("", 0), 0);
	return true;
}

/* The same was said too often, unless this was: r->wait_ns is 0 then. */
static enum chat_error
send_burst(struct request *r)
{
	if (ask_for_duplicate(r))
		return CHAT_OK;
	content_burst_refused(r->chat, r->s, r->session.text);
	return CHAT_E_SPAM_BLOCKED;
}

enum chat_error
send_handle(struct request *r)
{
	const char *own = type_of_role[r->member->role];
	const char *type = r->u.send.type == NULL ? own : r->u.send.type;
	struct json_value content = r->u.send.content;
	enum chat_error err;
	uint64_t mark = 0;

	if ((err = steer_check_mute(r)) != CHAT_OK)
		return err;
	if (r->member->role != IDENTITY_SERVICE && strcmp(type, own) != 0)
		return CHAT_E_FORBIDDEN_TYPE;
	if (stream_runs(r->chat, r->room, &r->message))
		return CHAT_E_ID_TAKEN;
	if ((err = measure(r)) != CHAT_OK ||
	    (err = content_pass(r->chat, r->s, r->session.text, &content)) !=
		CHAT_OK)
		return err;
	if (content_burst(r->chat, r->s, r->u.send.content, &mark) != CHAT_OK)
		return send_burst(r);
	if (r->message.len == 0)
		make_id(&r->message);
	send_publish(r, PENDING_MESSAGE, make_body(r, type, content), mark);
	typing_message_sent(r->chat, r->s, r->room);
	return CHAT_OK;
}

enum chat_error
send_over_rate(struct request *r)
{
	return ask_for_duplicate(r) ? CHAT_OK : CHAT_E_RATE_LIMITED;
}
