/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * A STEER in its turn: the list is changed, and the sockets that it concerns
 * are ended, or told something.
 */

#include "chat/steer_act.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chat/identity.h"
#include "chat/request.h"
#include "common/fault.h"

#define NS_PER_S UINT64_C(1000000000)
/* decimal, and the NUL */
#define NUMBER_MAX 24

/* The fields of a STEER. */
enum {
	F_ACTION,
	F_USER,
	F_ID,
	F_UNTIL,
	F_REASON,
	F_BY,
	F_WORKSPACE,
	F_SESSION,
};

/* --- ending sockets ----------------------------------------------------------- */

struct ending {
	const char *code;
	/* what is told unless there is a reason */
	const char *message;
};

static const struct ending endings[STEER__MAX] = {
	[STEER_BAN] = { "BANNED", "Access suspended" },
	[STEER_TOKEN] = { "TOKEN_REVOKED", "The token was revoked" },
	[STEER_USER] = { "TOKEN_REVOKED", "The token was revoked" },
	[STEER_KICK] = { "KICKED", "Disconnected by the operator" },
	[STEER_KICK_SOCKET] = { "KICKED", "Disconnected by the operator" },
};

static bool
same(const char *text, struct chat_str s)
{
	return text != NULL && strlen(text) == s.len &&
	    memcmp(text, s.p, s.len) == 0;
}

static bool
concerns(const struct chat_steered *row, const struct chat_socket *s)
{
	const struct identity *id = s->identity;

	switch (row->kind) {
	case STEER_BAN:
	case STEER_KICK:
		return same(id->user_id, row->id);
	case STEER_TOKEN:
		return same(id->token_id, row->id);
	case STEER_USER:
		return same(id->user_id, row->id) &&
		    id->issued_ms < row->since_ms;
	case STEER_KICK_SOCKET:
		return same(s->id, row->id);
	case STEER_MUTE:
	case STEER__MAX:
		break;
	}
	return false;
}

size_t
steer_act(struct chat *chat, const struct chat_steered *row)
{
	const struct ending *ending = &endings[row->kind];
	char message[STEER_REASON_MAX + 1];
	struct chat_socket *s;
	uint64_t wait_ns = 0;
	size_t n = 0;

	if (ending->code == NULL)
		return 0;
	(void)snprintf(message, sizeof(message), "%.*s", (int)row->reason.len,
	    row->reason.p == NULL ? "" : row->reason.p);
	if (row->kind == STEER_BAN)
		wait_ns = steer_wait_ns(chat, row->until_ms);
	LIST_FOREACH(s, &chat->sockets, entry) {
		if (s->taken || s->end != SOCKET_STAYS || !concerns(row, s))
			continue;
		socket_disconnect(chat, s, ending->code,
		    message[0] == '\0' ? ending->message : message,
		    wait_ns == 0 ? 0 : (wait_ns - 1) / NS_PER_S + 1);
		n++;
	}
	return n;
}

/* --- broadcast ------------------------------------------------------------------ */

static bool
is_for(const struct chat_delivery *d, const struct room *room)
{
	const struct chat_str *f = d->ev.field;

	return f[F_WORKSPACE].len == 0 ||
	    (same(room->workspace, f[F_WORKSPACE]) &&
		(f[F_SESSION].len == 0 || same(room->session, f[F_SESSION])));
}

static struct chat_frame
announcement(struct chat *chat, const struct chat_delivery *d,
    const char *session)
{
	const struct chat_str *f = d->ev.field;
	struct json_out *o = &chat->event;

	json_out_reset(o);
	json_out_object(o);
	json_out_key(o, "id");
	json_out_string(o, f[F_ID].p, f[F_ID].len);
	json_out_key(o, "content");
	json_out_string(o, f[F_REASON].p, f[F_REASON].len);
	json_out_key(o, "type");
	json_out_cstring(o, "system");
	json_out_key(o, "metadata");
	json_out_object(o);
	json_out_key(o, "announcement");
	json_out_bool(o, true);
	json_out_key(o, "senderName");
	json_out_string(o, f[F_BY].p, f[F_BY].len);
	json_out_object_end(o);
	json_out_key(o, "sessionId");
	json_out_cstring(o, session);
	json_out_key(o, "timestamp");
	json_out_u64(o, d->time_ms);
	json_out_object_end(o);
	return chat_encode(chat, EVENT_MESSAGE, o, NULL);
}

static bool
can_hear(const struct chat_socket *s)
{
	return s->resume == NULL && !s->taken && s->end == SOCKET_STAYS;
}

static void
announce_room(struct chat *chat, const struct chat_delivery *d,
    const struct room *room)
{
	struct chat_frame frame;
	uint32_t i;

	if (room->nmembers == 0 || !is_for(d, room))
		return;
	frame = announcement(chat, d, room->session);
	for (i = 0; i < room->nmembers; i++) {
		if (can_hear(room->members[i].s))
			chat->ops->send(chat->ctx, room->members[i].conn, frame,
			    CHAT_EVENT);
	}
}

static bool
is_in_one(const struct chat_delivery *d, const struct chat_socket *s)
{
	uint32_t i;

	for (i = 0; i < s->njoined; i++) {
		if (is_for(d, s->joined[i].room))
			return true;
	}
	return false;
}

static size_t
announce(struct chat *chat, const struct chat_delivery *d)
{
	bool everybody = d->ev.field[F_WORKSPACE].len == 0, made = false;
	struct chat_frame frame = { 0 };
	struct chat_socket *s;
	struct room *room, *next;
	size_t n = 0;

	HASH_ITER(hh, chat->rooms, room, next) {
		announce_room(chat, d, room);
	}
	LIST_FOREACH(s, &chat->sockets, entry) {
		if (!can_hear(s))
			continue;
		if (is_in_one(d, s)) {
			n++;
		} else if (everybody) {
			if (!made)
				frame = announcement(chat, d, "");
			made = true;
			chat->ops->send(chat->ctx, s->conn, frame, CHAT_EVENT);
			n++;
		}
	}
	return n;
}

/* --- in its turn ------------------------------------------------------------------ */

enum effect {
	/* into the list, and upon sockets */
	EFFECT_PUT,
	/* out of the list */
	EFFECT_REMOVE,
	/* upon sockets only */
	EFFECT_ACT,
	EFFECT_ANNOUNCE,
};

struct action {
	const char *name;
	enum effect effect;
	enum steer_kind kind;
	/* whom it concerns */
	unsigned field;
	/* how many it met is told */
	bool told;
};

static const struct action actions[] = {
	{ "ban", EFFECT_PUT, STEER_BAN, F_USER, true },
	{ "unban", EFFECT_REMOVE, STEER_BAN, F_USER, false },
	{ "mute", EFFECT_PUT, STEER_MUTE, F_USER, false },
	{ "unmute", EFFECT_REMOVE, STEER_MUTE, F_USER, false },
	{ "revoke-token", EFFECT_PUT, STEER_TOKEN, F_ID, true },
	{ "revoke-user", EFFECT_PUT, STEER_USER, F_USER, true },
	{ "kick", EFFECT_ACT, STEER_KICK, F_USER, true },
	{ "kick-socket", EFFECT_ACT, STEER_KICK_SOCKET, F_ID, true },
	{ "broadcast", EFFECT_ANNOUNCE, STEER__MAX, F_ID, true },
};

static const struct action *
find_action(struct chat_str name)
{
	size_t i;

	for (i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
		if (same(actions[i].name, name))
			return &actions[i];
	}
	return NULL;
}

/* The scribe has looked at the field: it is a number, or empty. */
static uint64_t
number(struct chat_str text, uint64_t otherwise)
{
	char copy[NUMBER_MAX];

	if (text.len == 0 || text.len >= sizeof(copy))
		return otherwise;
	memcpy(copy, text.p, text.len);
	copy[text.len] = '\0';
	return strtoull(copy, NULL, 10);
}

static size_t
do_action(struct chat *chat, const struct action *a,
    const struct chat_delivery *d)
{
	const struct chat_str *f = d->ev.field;
	const struct chat_steered row = {
		.kind = a->kind,
		.id = f[a->field],
		.until_ms = number(f[F_UNTIL], STEER_EVER),
		.since_ms = a->kind == STEER_USER ? number(f[F_ID], d->time_ms)
						  : d->time_ms,
		.gseq = d->gseq,
		.reason = f[F_REASON],
	};

	switch (a->effect) {
	case EFFECT_PUT:
		steer_put(chat, &row);
		return steer_act(chat, &row);
	case EFFECT_REMOVE:
		steer_remove(chat, a->kind, row.id);
		return 0;
	case EFFECT_ACT:
		return steer_act(chat, &row);
	case EFFECT_ANNOUNCE:
		break;
	}
	return announce(chat, d);
}

/* To the worker that serves who asked for it. */
static void
tell(struct chat *chat, const struct chat_delivery *d, size_t met)
{
	struct chat_event ev = { .type = CHAT_STEERED, .nfields = 2 };
	char pos[NUMBER_MAX], n[NUMBER_MAX];

	(void)snprintf(pos, sizeof(pos), "%llu", (unsigned long long)d->gseq);
	(void)snprintf(n, sizeof(n), "%zu", met);
	ev.field[0] = chat_cstr(pos);
	ev.field[1] = chat_cstr(n);
	chat->ops->publish(chat->ctx, NULL, 0, &ev);
}

void
steer_deliver(struct chat *chat, const struct chat_delivery *d)
{
	const struct action *a = find_action(d->ev.field[F_ACTION]);
	size_t met;

	if (d->outcome != CHAT_STORED || a == NULL)
		return;
	met = do_action(chat, a, d);
	steer_delivered(chat, d->gseq);
	FAULT(STEER_ACTED);
	if (a->told)
		tell(chat, d, met);
}
