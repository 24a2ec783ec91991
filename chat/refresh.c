/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 *   jwt      chat:refresh-token -- identity_of_token() -- take -- answer
 *   webhook  chat:refresh-token -- ops->verify() ... chat_verified()
 *                                                        |
 *                                                       take -- answer
 */

#include "chat/refresh.h"

#include <stdlib.h>
#include <string.h>

#include "chat/expiry.h"
#include "chat/identity.h"
#include "chat/replay.h"
#include "chat/request.h"
#include "chat/steer.h"
#include "chat/typing.h"
#include "chat/webhook.h"

#define REASON_REVOKED "access-revoked"
#define NS_PER_S UINT64_C(1000000000)

/* One that is looked through again. */
struct uncovered {
	LIST_ENTRY(uncovered) entry;
	struct chat_socket *s;
};

/* --- sessions that are not covered --------------------------------------------- */

static void
tell_revoked(struct chat *chat, struct chat_socket *s, const struct room *room)
{
	struct json_out *o = &chat->event;
	char text[CHAT_ERROR_TEXT_MAX];

	json_out_reset(o);
	json_out_object(o);
	json_out_key(o, "error");
	json_out_cstring(o,
	    chat_error_text(chat->cfg, CHAT_E_ACCESS_DENIED, text,
		sizeof(text)));
	json_out_key(o, "code");
	json_out_cstring(o, chat_error_code(CHAT_E_ACCESS_DENIED));
	json_out_key(o, "retryable");
	json_out_bool(o, chat_error_retryable(CHAT_E_ACCESS_DENIED));
	json_out_key(o, "sessionId");
	json_out_cstring(o, room->session);
	json_out_key(o, "workspaceId");
	json_out_cstring(o, room->workspace);
	json_out_object_end(o);
	chat->ops->send(chat->ctx, s->conn,
	    chat_encode(chat, EVENT_JOIN_ERROR, o, NULL), CHAT_ANSWER);
}

/* The row of its pid forgets the session; the others are told why. */
static void
revoke(struct chat *chat, struct chat_socket *s, struct room *room)
{
	const struct leave leave = {
		.room = room->number,
		.user = s->user,
		.owner = s->owner,
		.socket_id = chat_cstr(s->id),
		.user_id = chat_cstr(s->identity->user_id),
		.reason = chat_cstr(REASON_REVOKED),
	};

	room_ref(room);
	typing_socket_leaves(chat, s, room);
	leave_publish(chat, &leave);
	chat_count(chat, CHAT_COUNT_LEAVES);
	replay_stop(chat, room_member(room, s));
	room_remove(chat, room, s);
	tell_revoked(chat, s, room);
	room_unref(chat, room);
}

/* Of the sessions that it is in; false if some must wait. */
static bool
cover_all(struct chat *chat, struct chat_socket *s)
{
	enum identity_role role;
	struct room *room;
	bool all = true;
	uint32_t i;

	for (i = s->njoined; i > 0; i--) {
		room = s->joined[i - 1].room;
		if (identity_allows(s->identity, room->workspace, room->session,
			&role))
			room_member(room, s)->role = role;
		else if (socket_busy(s, room->session))
			all = false;
		else
			revoke(chat, s, room);
	}
	return all && socket_njoins(s) == 0;
}

void
refresh_forget(struct chat *chat, struct chat_socket *s)
{
	struct uncovered *u;

	if (!s->uncovered)
		return;
	s->uncovered = false;
	LIST_FOREACH(u, &chat->uncovered, entry) {
		if (u->s == s)
			break;
	}
	CHECK(u != NULL);
	LIST_REMOVE(u, entry);
	free(u);
}

void
refresh_cover(struct chat *chat, struct chat_socket *s)
{
	struct uncovered *u;

	/* it has left for good, or is judged as it comes back */
	if (s->taken || (s->resume == NULL && cover_all(chat, s))) {
		refresh_forget(chat, s);
		return;
	}
	if (s->uncovered)
		return;
	u = chat_alloc(sizeof(*u));
	u->s = s;
	s->uncovered = true;
	LIST_INSERT_HEAD(&chat->uncovered, u, entry);
}

void
refresh_tick(struct chat *chat)
{
	struct uncovered *u, *next;

	LIST_FOREACH_SAFE(u, &chat->uncovered, entry, next)
		refresh_cover(chat, u->s);
}

/* --- another token --------------------------------------------------------------- */

/* Go by it from now on; takes the identity over, unless it is refused. */
static enum chat_error
take(struct chat *chat, struct chat_socket *s, struct identity **identity)
{
	const struct identity *id = *identity;

	if (strcmp(id->user_id, s->identity->user_id) != 0)
		return CHAT_E_ACCESS_DENIED;
	/* what the application vouches for is no token of ours */
	if (chat->cfg->auth_mode == AUTH_MODE_JWT &&
	    steer_is_revoked(chat, id->user_id, id->token_id, id->issued_ms))
		return CHAT_E_SESSION_INVALID;
	identity_free(&s->identity);
	s->identity = *identity;
	*identity = NULL;
	if (s->resume == NULL)
		expiry_set(chat, s);
	refresh_cover(chat, s);
	return CHAT_OK;
}

static enum chat_error
refresh_by_token(struct request *r)
{
	struct identity *id;
	enum chat_error err;

	id = identity_of_token(r->chat->cfg, r->u.refresh.token,
	    chat_real_ms(r->chat), &err);
	if (id == NULL)
		return err;
	err = take(r->chat, r->s, &id);
	identity_free(&id);
	if (err != CHAT_OK)
		return err;
	(void)reply_begin(r->chat);
	reply_end(r->chat, r->s, NULL, r->has_ack, r->ack);
	return CHAT_OK;
}

static bool
is_under_way(const struct chat_socket *s)
{
	const struct pending *p;

	STAILQ_FOREACH(p, &socket_work(s)->pendings, entry) {
		if (p->kind == PENDING_REFRESH)
			return true;
	}
	return false;
}

static enum chat_error
refresh_by_webhook(struct request *r)
{
	struct pending *p;
	size_t len;
	char *text;

	/* one at a time: the last that is asked for is the one that stays */
	if (is_under_way(r->s))
		return CHAT_E_OVERLOADED;
	if ((text = webhook_token_of(r->u.refresh.token, &len)) == NULL)
		return CHAT_E_TOKEN_INVALID;
	p = pending_add(r->chat, r->s, PENDING_REFRESH, NULL, 0);
	p->has_ack = r->has_ack;
	p->ack = r->ack;
	r->chat->ops->verify(r->chat->ctx, r->s->conn, p->request,
	    chat_str(text, len));
	webhook_token_free(&text, len);
	return CHAT_OK;
}

bool
refresh_parse(struct request *r)
{
	r->u.refresh.token = json_member(r->payload, "token");
	return r->u.refresh.token.kind == JSON_KIND_STRING &&
	    json_inside(r->u.refresh.token).len > 0;
}

enum chat_error
refresh_handle(struct request *r)
{
	switch (r->chat->cfg->auth_mode) {
	case AUTH_MODE_JWT:
		return refresh_by_token(r);
	case AUTH_MODE_WEBHOOK:
		return refresh_by_webhook(r);
	case AUTH_MODE_NONE:
	case AUTH_MODE__MAX:
		break;
	}
	/* there are no tokens */
	return CHAT_E_FORBIDDEN;
}

/* --- from the application ---------------------------------------------------------- */

bool
chat_verified(struct chat *chat, struct chat_socket *s, uint32_t request,
    struct identity **identity, enum chat_error err, unsigned retry_after)
{
	struct error_context ctx = { .errors = CHAT_COUNT_OTHER_ERRORS,
		.wait_ns = retry_after * NS_PER_S };
	struct pending *p;

	/* it has been let go, or taken over, meanwhile */
	if ((p = pending_take(s, request)) == NULL || s->end != SOCKET_STAYS) {
		if (p != NULL)
			pending_free(chat, &p);
		return false;
	}
	ctx.has_ack = p->has_ack;
	ctx.ack = p->ack;
	pending_free(chat, &p);
	if (*identity != NULL)
		err = take(chat, s, identity);
	if (err != CHAT_OK) {
		reply_error(chat, s, err, &ctx);
		return false;
	}
	(void)reply_begin(chat);
	reply_end(chat, s, NULL, ctx.has_ack, ctx.ack);
	return true;
}

void
chat_rechecked(struct chat *chat, struct chat_socket *s,
    struct identity **identity)
{
	if (s->taken || s->end != SOCKET_STAYS)
		return;
	/* nor may it stay if its token is somebody else's now */
	if (*identity == NULL || take(chat, s, identity) != CHAT_OK)
		socket_disconnect(chat, s, "TOKEN_REVOKED",
		    "Token has been revoked", 0);
}
