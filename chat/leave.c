/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * chat:leave-session, and what leaving means to those who stay.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chat/delta.h"
#include "chat/identity.h"
#include "chat/render.h"
#include "chat/replay.h"
#include "chat/request.h"
#include "chat/roster.h"
#include "chat/socket.h"
#include "chat/typing.h"
#include "common/fault.h"

#define EVENT_LEAVE_SUCCESS "chat:leave-session-success"
#define EVENT_USER_LEFT "chat:user-left"
/* when a leave that the store could not take is published again */
#define AGAIN_MS 1000
/* verdicts about joins of those who went for good are awaited so long */
#define FINAL_MS 60000
#define FINALS_MAX 1024

bool
leave_parse(struct request *r)
{
	return read_id(json_member(r->payload, "sessionId"), &r->session);
}

enum chat_error
leave_handle(struct request *r)
{
	struct chat_socket *s = r->s;
	struct chat_event ev = { .type = CHAT_LEAVE, .nfields = 3 };
	struct pending *p = pending_add(r->chat, s, PENDING_LEAVE, r->room, 0);

	p->has_ack = r->has_ack;
	p->ack = r->ack;
	typing_socket_leaves(r->chat, s, r->room);
	ev.room = r->room->number;
	ev.user = s->user;
	ev.field[0] = chat_cstr(s->id);
	ev.field[1] = chat_cstr(s->identity->user_id);
	ev.field[2] = chat_str("", 0);
	socket_publish(r->chat, s, p->request, &ev);
	return CHAT_OK;
}

/* --- that nobody waits for ------------------------------------------------ */

struct later {
	TAILQ_ENTRY(later) entry;
	uint64_t due_ms;
	struct leave leave;
	char text[];
};

/* It went for good while it was joining. */
struct final {
	TAILQ_ENTRY(final) entry;
	/* joins that are still under way; if that is not told: until when */
	uint32_t njoins;
	uint64_t due_ms;
	char reason[32];
	char socket_id[CHAT_SOCKET_ID_MAX + 1];
};

unsigned
leave_flags(const char *reason)
{
	static const char *const meant[] = { "client namespace disconnect",
		"server namespace disconnect", "kicked", "access-revoked",
		"parse error" };
	size_t i;

	for (i = 0; i < sizeof(meant) / sizeof(meant[0]); i++) {
		if (strcmp(reason, meant[i]) == 0)
			return CHAT_F_FINAL;
	}
	return CHAT_F_LOST;
}

void
leave_publish(struct chat *chat, const struct leave *l)
{
	struct chat_event ev = { .type = CHAT_LEAVE,
		.flags = l->flags,
		.room = l->room,
		.user = l->user,
		.owner = l->owner,
		.nfields = 3 };

	ev.field[0] = l->socket_id;
	ev.field[1] = l->user_id;
	ev.field[2] = l->reason;
	FAULT(LEAVE_PUBLISH);
	chat->ops->publish(chat->ctx, NULL, 0, &ev);
}

static struct chat_str
keep(char **to, struct chat_str s)
{
	struct chat_str kept = { *to, s.len };

	if (s.len > 0)
		memcpy(*to, s.p, s.len);
	*to += s.len;
	return kept;
}

void
leave_later(struct chat *chat, const struct leave *l, uint64_t ms)
{
	struct later *a, *before;
	char *to;

	a = chat_alloc(
	    sizeof(*a) + l->socket_id.len + l->user_id.len + l->reason.len);
	a->due_ms = chat_mono_ms(chat) + ms;
	a->leave = *l;
	to = a->text;
	a->leave.socket_id = keep(&to, l->socket_id);
	a->leave.user_id = keep(&to, l->user_id);
	a->leave.reason = keep(&to, l->reason);
	before = TAILQ_LAST(&chat->laters, later_list);
	while (before != NULL && before->due_ms > a->due_ms)
		before = TAILQ_PREV(before, later_list, entry);
	if (before == NULL)
		TAILQ_INSERT_HEAD(&chat->laters, a, entry);
	else
		TAILQ_INSERT_AFTER(&chat->laters, before, a, entry);
}

static void
final_free(struct chat *chat, struct final *f)
{
	TAILQ_REMOVE(&chat->finals, f, entry);
	chat->nfinals--;
	free(f);
}

void
leave_final(struct chat *chat, const struct chat_socket *s, const char *reason)
{
	struct final *f = chat_alloc(sizeof(*f));

	/* who hangs up like that all the time is not remembered for ever */
	if (chat->nfinals == FINALS_MAX)
		final_free(chat, TAILQ_FIRST(&chat->finals));
	f->njoins = socket_njoins(s);
	f->due_ms = chat_mono_ms(chat) + FINAL_MS;
	snprintf(f->reason, sizeof(f->reason), "%s", reason);
	snprintf(f->socket_id, sizeof(f->socket_id), "%s", s->id);
	TAILQ_INSERT_TAIL(&chat->finals, f, entry);
	chat->nfinals++;
}

void
leave_gone(struct chat *chat, const struct chat_delivery *d)
{
	struct leave l = {
		.room = d->ev.room,
		.user = d->ev.user,
		.owner = d->ev.owner,
		.flags = CHAT_F_LOST,
		.socket_id = d->ev.field[4],
		.user_id = d->ev.field[2],
		.reason = chat_cstr("transport close"),
	};
	struct final *f;

	TAILQ_FOREACH(f, &chat->finals, entry) {
		if (strlen(f->socket_id) == l.socket_id.len &&
		    memcmp(f->socket_id, l.socket_id.p, l.socket_id.len) == 0)
			break;
	}
	if (f != NULL) {
		l.flags = CHAT_F_FINAL;
		l.reason = chat_cstr(f->reason);
	}
	leave_publish(chat, &l);
	if (f != NULL && --f->njoins == 0)
		final_free(chat, f);
}

void
leave_tick(struct chat *chat, uint64_t now_ms)
{
	struct room *room;
	struct later *a;
	struct final *f;

	while (
	    (a = TAILQ_FIRST(&chat->laters)) != NULL && a->due_ms <= now_ms) {
		TAILQ_REMOVE(&chat->laters, a, entry);
		room = room_find(chat, a->leave.room);
		/* unless it has come back */
		if (room == NULL || !room_has_socket(room, a->leave.socket_id))
			leave_publish(chat, &a->leave);
		free(a);
	}
	while ((f = TAILQ_FIRST(&chat->finals)) != NULL && f->due_ms <= now_ms)
		final_free(chat, f);
}

void
leave_free_all(struct chat *chat)
{
	struct later *a;
	struct final *f;

	while ((a = TAILQ_FIRST(&chat->laters)) != NULL) {
		TAILQ_REMOVE(&chat->laters, a, entry);
		free(a);
	}
	while ((f = TAILQ_FIRST(&chat->finals)) != NULL)
		final_free(chat, f);
}

/* --- in its turn ----------------------------------------------------------- */

static void
leave_again(struct chat *chat, const struct chat_delivery *d)
{
	struct leave l = {
		.room = d->ev.room,
		.user = d->ev.user,
		.owner = d->ev.owner,
		.flags = d->ev.flags,
		.socket_id = d->ev.field[0],
		.user_id = d->ev.field[1],
		.reason = d->ev.field[2],
	};

	leave_later(chat, &l, AGAIN_MS);
}

static void
leave_answer(struct chat *chat, struct chat_socket *s, const struct pending *p,
    uint64_t time_ms)
{
	struct json_out *o = reply_begin(chat);

	json_out_key(o, "sessionId");
	json_out_cstring(o, p->room->session);
	render_room_id(o, p->room->session);
	json_out_key(o, "timestamp");
	json_out_u64(o, time_ms);
	reply_end(chat, s, EVENT_LEAVE_SUCCESS, p->has_ack, p->ack);
}

/* It is a member as before. */
static void
leave_failed(struct chat *chat, struct chat_socket *s, struct pending **p)
{
	struct chat_id session;
	struct error_context ctx = {
		.event = EVENT_LEAVE_ERROR,
		.errors = CHAT_COUNT_OTHER_ERRORS,
		.has_ack = (*p)->has_ack,
		.ack = (*p)->ack,
		.session = &session,
	};

	chat_id_set(&session, chat_cstr((*p)->room->session));
	reply_error(chat, s, CHAT_E_STORE_UNAVAILABLE, &ctx);
	pending_free(chat, p);
	socket_do_deferred(chat, s);
}

static void
tell_room(struct chat *chat, struct room *room, const struct chat_delivery *d,
    uint64_t time_ms)
{
	struct json_out *o = &chat->event;
	struct chat_member m = { .joined_ms = 0 };

	typing_user_left(chat, room, d->ev.user, d->ev.field[0]);
	if (d->outcome != CHAT_STORED)
		return;
	room_count(room, d->members);
	if (room->nmembers == 0)
		return;
	if (delta_is_due(chat, room)) {
		m.socket_id = d->ev.field[0];
		delta_add(chat, room, DELTA_LEFT, &m, d->gseq, NULL);
		return;
	}
	json_out_reset(o);
	render_left(o, room->session, d, time_ms);
	room_send_presence(chat, room, EVENT_USER_LEFT, -1, o, NULL, d->gseq);
}

void
leave_deliver(struct chat *chat, const struct chat_delivery *d)
{
	uint64_t time_ms = d->time_ms > 0 ? d->time_ms : chat_real_ms(chat);
	struct chat_socket *s = d->own ? d->socket : NULL;
	struct pending *p = NULL;
	struct room *room;
	struct member *m;

	if (s != NULL)
		p = pending_take(s, d->request);
	if (d->own && d->outcome == CHAT_STORE_UNAVAILABLE) {
		if (p != NULL) {
			leave_failed(chat, s, &p);
			return;
		}
		leave_again(chat, d);
	}
	if (p != NULL && (m = room_member(p->room, s)) != NULL) {
		replay_stop(chat, m);
		room_remove(chat, p->room, s);
		FAULT(LEAVE_REMOVED);
		chat_count(chat, CHAT_COUNT_LEAVES);
	}
	if ((room = room_find(chat, d->ev.room)) != NULL)
		tell_room(chat, room, d, time_ms);
	if (p != NULL) {
		leave_answer(chat, s, p, time_ms);
		pending_free(chat, &p);
		socket_do_deferred(chat, s);
	}
}

/* Is the member of that id in the room, or even this one? */
static bool
is_here(struct room *room, const struct chat_socket *s, struct chat_str id)
{
	if (room == NULL)
		return false;
	return (s != NULL && socket_is(s, id) &&
		   room_member(room, s) != NULL) ||
	    room_has_socket(room, id);
}

/*
 * The store's writer is not sure about a member of ours.  Who is not here
 * has left, whatever became of that.
 */
void
ask_deliver(struct chat *chat, const struct chat_delivery *d)
{
	struct room *room = room_find(chat, d->ev.room);
	struct leave l = {
		.room = d->ev.room,
		.user = d->ev.user,
		.owner = d->ev.owner,
		.flags = CHAT_F_LOST,
		.socket_id = d->ev.field[0],
		.user_id = d->ev.field[1],
		.reason = chat_cstr("transport close"),
	};

	/* all of a large room may be asked about, one after the other */
	if (!d->own || is_here(room, d->socket, l.socket_id))
		return;
	/* its join may have been decided while we did not listen, and be under
	 * way once more: then it is about to be here */
	if (d->socket == NULL || socket_njoins(d->socket) == 0)
		leave_publish(chat, &l);
}
