/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "chat/security.h"

#include <string.h>

#include "chat/identity.h"
#include "chat/socket.h"
#include "common/log.h"

#define ADDRESS_MAX 64

static const char *const names[CHAT_COUNT__MAX] = {
#define CHAT_COUNT(NAME, name, text) [CHAT_COUNT_##NAME] = #name,
#include "chat/tbl_counts.h"
};

static const enum chat_count kinds[SECURITY_KINDS] = {
	CHAT_COUNT_MESSAGE_BLOCKED,
	CHAT_COUNT_RATE_LIMIT_EXCEEDED,
	CHAT_COUNT_SUSPICIOUS_ACTIVITY,
	CHAT_COUNT_SESSION_VALIDATION_FAILED,
	CHAT_COUNT_UNAUTHORIZED_ACCESS,
};

/* Which of the kinds. */
static unsigned
kind_of(enum chat_count what)
{
	unsigned k;

	for (k = 0; k < SECURITY_KINDS; k++) {
		if (kinds[k] == what)
			break;
	}
	CHECK(k < SECURITY_KINDS);
	return k;
}

static void
put(struct json_out *o, const char *key, const char *value)
{
	if (value == NULL || *value == '\0')
		return;
	json_out_key(o, key);
	json_out_cstring(o, value);
}

/* To all workers: one of them may serve somebody who watches. */
static void
publish(struct chat *chat, struct json_out *o)
{
	struct chat_event ev = { .type = CHAT_SECURITY, .nfields = 1 };

	json_out_key(o, "timestamp");
	json_out_u64(o, chat_real_ms(chat));
	json_out_object_end(o);
	chat_check_out(o);
	ev.field[0] = chat_str(o->p, o->len);
	chat->ops->publish(chat->ctx, NULL, 0, &ev);
	json_out_clear(o);
}

static const char *
text(const char *s)
{
	return s == NULL ? "" : log_text(s, strlen(s));
}

static void
tell(struct chat *chat, const struct security *sec)
{
	const char *id = sec->s == NULL ? NULL : sec->s->id;
	const char *event = names[sec->what];
	struct json_out o = { 0 };

	if (sec->what == CHAT_COUNT_UNAUTHORIZED_ACCESS)
		log_warn("security event=%s user=%s socket=%s workspace=%s "
			 "session=%s address=%s details=%s",
		    event, text(sec->user_id), text(id), text(sec->workspace),
		    text(sec->session), text(sec->address), text(sec->details));
	else
		log_notice("security event=%s user=%s socket=%s workspace=%s "
			   "session=%s address=%s details=%s",
		    event, text(sec->user_id), text(id), text(sec->workspace),
		    text(sec->session), text(sec->address), text(sec->details));
	json_out_object(&o);
	put(&o, "event", event);
	put(&o, "userId", sec->user_id);
	put(&o, "socketId", id);
	put(&o, "workspaceId", sec->workspace);
	put(&o, "sessionId", sec->session);
	put(&o, "address", sec->address);
	put(&o, "details", sec->details);
	publish(chat, &o);
}

/* What was not told of the second that is over. */
static void
tell_left_out(struct chat *chat, unsigned kind)
{
	unsigned n = chat->security[kind].left_out;
	struct json_out o = { 0 };

	log_notice("security events left out event=%s count=%u",
	    names[kinds[kind]], n);
	json_out_object(&o);
	put(&o, "event", names[kinds[kind]]);
	json_out_key(&o, "leftOut");
	json_out_u64(&o, n);
	publish(chat, &o);
}

void
security_tick(struct chat *chat)
{
	uint64_t now = chat_mono_ms(chat) / MS_PER_S;
	unsigned k;

	if (now == chat->security_second)
		return;
	chat->security_second = now;
	for (k = 0; k < SECURITY_KINDS; k++) {
		if (chat->security[k].left_out > 0)
			tell_left_out(chat, k);
		chat->security[k].lines = chat->security[k].left_out = 0;
	}
}

void
security_report(struct chat *chat, const struct security *sec)
{
	unsigned kind = kind_of(sec->what);
	struct security known = *sec;
	char address[ADDRESS_MAX];
	const struct joined *j;

	chat_count(chat, sec->what);
	security_tick(chat);
	if (chat->security[kind].lines >= SECURITY_LINES) {
		chat->security[kind].left_out++;
		return;
	}
	chat->security[kind].lines++;
	if (sec->s != NULL) {
		known.user_id = sec->s->identity->user_id;
		chat->ops->address(chat->ctx, sec->s->conn, address,
		    sizeof(address));
		known.address = address;
		if (sec->workspace == NULL && sec->session != NULL &&
		    (j = socket_joined(sec->s, sec->session)) != NULL)
			known.workspace = j->room->workspace;
	}
	tell(chat, &known);
}

void
security_refused(struct chat *chat, const char *user_id, const char *address,
    enum chat_error err)
{
	const struct security sec = { .what = CHAT_COUNT_UNAUTHORIZED_ACCESS,
		.user_id = user_id,
		.address = address,
		.details = chat_error_code(err) };

	security_report(chat, &sec);
}
