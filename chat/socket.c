/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "chat/socket.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "chat/identity.h"
#include "chat/replay.h"
#include "chat/typing.h"
#include "common/log.h"

struct chat_socket *
chat_connect(struct chat *chat, void *conn, struct identity **identity,
    const char *socket_id, const struct chat_connect *options)
{
	struct chat_socket *s;
	size_t len = strlen(socket_id);

	CHECK(len <= CHAT_SOCKET_ID_MAX);
	if ((s = calloc(1, sizeof(*s))) == NULL)
		return NULL;
	s->conn = conn;
	s->identity = *identity;
	*identity = NULL;
	memcpy(s->id, socket_id, len + 1);
	LIST_INSERT_HEAD(&chat->sockets, s, entry);
	chat->nsockets++;
	return s;
}

const struct identity *
chat_socket_identity(const struct chat_socket *s)
{
	return s->identity;
}

void *
chat_socket_conn(const struct chat_socket *s)
{
	return s->conn;
}

/* --- what is under way ----------------------------------------------------- */

const struct work *
socket_work(const struct chat_socket *s)
{
	static const struct work nothing;

	return s->work == NULL ? &nothing : s->work;
}

struct work *
socket_work_make(struct chat_socket *s)
{
	if (s->work == NULL) {
		s->work = chat_alloc(sizeof(*s->work));
		STAILQ_INIT(&s->work->pendings);
		STAILQ_INIT(&s->work->deferreds);
		STAILQ_INIT(&s->work->jobs);
		LIST_INIT(&s->work->typists);
	}
	return s->work;
}

void
socket_work_done(struct chat_socket *s)
{
	const struct work *w = s->work;

	if (w != NULL && STAILQ_EMPTY(&w->pendings) &&
	    STAILQ_EMPTY(&w->deferreds) && STAILQ_EMPTY(&w->jobs) &&
	    LIST_EMPTY(&w->typists)) {
		free(s->work);
		s->work = NULL;
	}
}

static bool
leave_is_pending(const struct chat_socket *s, const struct room *room)
{
	const struct pending *p;

	STAILQ_FOREACH(p, &socket_work(s)->pendings, entry) {
		if (p->kind == PENDING_LEAVE && p->room == room)
			return true;
	}
	return false;
}

/* Out of all rooms; 'reason' NULL: without telling. */
static void
leave_all(struct chat *chat, struct chat_socket *s, const char *reason)
{
	struct room *room;

	while (s->njoined > 0) {
		room = s->joined[s->njoined - 1].room;
		room_ref(room);
		if (reason != NULL) {
			typing_socket_leaves(chat, s, room);
			if (!leave_is_pending(s, room))
				chat_publish_leave(chat, room->number, s->user,
				    chat_cstr(s->id),
				    chat_cstr(s->identity->user_id),
				    chat_cstr(reason));
			chat_count(chat, CHAT_COUNT_LEAVES);
		}
		replay_stop(chat, room_member(room, s));
		room_remove(chat, room, s);
		room_unref(chat, room);
	}
}

static void
deferred_free(struct chat_socket *s, struct deferred *d)
{
	s->work->ndeferred--;
	s->work->deferred_bytes -= d->name_len + d->args_len;
	free(d);
}

/* Whatever was under way is not waited for any more. */
static void
work_free(struct chat *chat, struct chat_socket *s)
{
	struct work *w = socket_work_make(s);
	struct pending *p;
	struct deferred *d;

	while ((d = STAILQ_FIRST(&w->deferreds)) != NULL) {
		STAILQ_REMOVE_HEAD(&w->deferreds, entry);
		deferred_free(s, d);
	}
	while ((p = STAILQ_FIRST(&w->pendings)) != NULL) {
		STAILQ_REMOVE_HEAD(&w->pendings, entry);
		pending_free(chat, &p);
	}
	typing_forget(chat, s);
	jobs_forget(chat, s);
	socket_work_done(s);
	CHECK(s->work == NULL);
}

static void
socket_free(struct chat *chat, struct chat_socket *s, const char *reason)
{
	leave_all(chat, s, reason);
	if (s->work != NULL)
		work_free(chat, s);
	LIST_REMOVE(s, entry);
	chat->nsockets--;
	identity_free(&s->identity);
	free(s->joined);
	free(s);
}

void
chat_disconnect(struct chat *chat, struct chat_socket **s, const char *reason)
{
	socket_free(chat, *s, reason);
	*s = NULL;
}

void
chat_forget(struct chat *chat, struct chat_socket **s)
{
	socket_free(chat, *s, NULL);
	*s = NULL;
}

/* --- what is joined ------------------------------------------------------ */

/* The first entry whose hash is not below 'hash'. */
static uint32_t
lower_bound(const struct chat_socket *s, uint32_t hash)
{
	uint32_t lo = 0, hi = s->njoined, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (s->joined[mid].hash < hash)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

struct joined *
socket_joined(const struct chat_socket *s, const char *session)
{
	uint32_t hash = room_hash(session), i;

	for (i = lower_bound(s, hash);
	     i < s->njoined && s->joined[i].hash == hash; i++) {
		if (strcmp(s->joined[i].room->session, session) == 0)
			return &s->joined[i];
	}
	return NULL;
}

struct joined *
socket_joined_room(const struct chat_socket *s, const struct room *room)
{
	uint32_t i;

	for (i = lower_bound(s, room->hash);
	     i < s->njoined && s->joined[i].hash == room->hash; i++) {
		if (s->joined[i].room == room)
			return &s->joined[i];
	}
	return NULL;
}

void
socket_add_joined(struct chat_socket *s, struct room *room, uint32_t index)
{
	uint32_t i = lower_bound(s, room->hash);

	if (s->njoined == s->joined_cap) {
		s->joined_cap = s->joined_cap == 0 ? 1 : s->joined_cap * 2;
		s->joined =
		    chat_realloc(s->joined, s->joined_cap, sizeof(*s->joined));
	}
	memmove(&s->joined[i + 1], &s->joined[i],
	    (s->njoined - i) * sizeof(*s->joined));
	s->joined[i].hash = room->hash;
	s->joined[i].index = index;
	s->joined[i].room = room;
	s->njoined++;
}

void
socket_remove_joined(struct chat_socket *s, const struct joined *j)
{
	uint32_t i = (uint32_t)(j - s->joined);

	s->njoined--;
	memmove(&s->joined[i], &s->joined[i + 1],
	    (s->njoined - i) * sizeof(*s->joined));
}

/* --- what is waited for --------------------------------------------------- */

struct pending *
pending_add(struct chat *chat, struct chat_socket *s, enum pending_kind kind,
    struct room *room, size_t extra)
{
	struct pending *p = chat_alloc(sizeof(*p) + extra);
	struct work *w = socket_work_make(s);

	p->request = chat_next_request(chat);
	p->kind = kind;
	p->room = room;
	if (room != NULL)
		room_ref(room);
	if (kind == PENDING_JOIN || kind == PENDING_LEAVE)
		w->nbusy++;
	STAILQ_INSERT_TAIL(&w->pendings, p, entry);
	return p;
}

/* Verdicts come in the order of publication: it is nearly always the first. */
struct pending *
pending_take(struct chat_socket *s, uint32_t request)
{
	struct pending *p;

	STAILQ_FOREACH(p, &socket_work(s)->pendings, entry) {
		if (p->request == request)
			break;
	}
	if (p == NULL)
		return NULL;
	STAILQ_REMOVE(&s->work->pendings, p, pending, entry);
	if (p->kind == PENDING_JOIN || p->kind == PENDING_LEAVE)
		s->work->nbusy--;
	socket_work_done(s);
	return p;
}

const char *
pending_workspace(const struct pending *p)
{
	return p->names + strlen(p->names) + 1;
}

const char *
pending_agent(const struct pending *p)
{
	const char *workspace = pending_workspace(p);

	return workspace + strlen(workspace) + 1;
}

void
pending_free(struct chat *chat, struct pending **p)
{
	if ((*p)->room != NULL)
		room_unref(chat, (*p)->room);
	free(*p);
	*p = NULL;
}

bool
socket_sends(const struct chat_socket *s, const struct room *room)
{
	const struct pending *p;

	STAILQ_FOREACH(p, &socket_work(s)->pendings, entry) {
		if (p->kind == PENDING_MESSAGE && p->room == room)
			return true;
	}
	return false;
}

bool
socket_busy(const struct chat_socket *s, const char *session)
{
	const struct pending *p;

	if (socket_work(s)->nbusy == 0)
		return false;
	STAILQ_FOREACH(p, &socket_work(s)->pendings, entry) {
		if (p->kind == PENDING_JOIN && strcmp(p->names, session) == 0)
			return true;
		if (p->kind == PENDING_LEAVE &&
		    strcmp(p->room->session, session) == 0)
			return true;
	}
	return false;
}

bool
socket_defer(struct chat_socket *s, struct chat_str name, struct chat_str args,
    size_t size, bool has_ack, uint64_t ack)
{
	struct work *w = socket_work_make(s);
	struct deferred *d;
	size_t len = name.len + args.len;

	/* it is busy: it has some work */
	if (w->ndeferred >= DEFERRED_MAX ||
	    len > DEFERRED_BYTES - w->deferred_bytes)
		return false;
	d = chat_alloc(sizeof(*d) + len);
	d->name_len = name.len;
	d->args_len = args.len;
	d->size = size;
	d->has_ack = has_ack;
	d->ack = ack;
	memcpy(d->text, name.p, name.len);
	memcpy(d->text + name.len, args.p, args.len);
	STAILQ_INSERT_TAIL(&w->deferreds, d, entry);
	w->ndeferred++;
	w->deferred_bytes += len;
	return true;
}

void
socket_resume(struct chat *chat, struct chat_socket *s)
{
	struct deferred_list list = STAILQ_HEAD_INITIALIZER(list);
	struct deferred *d;

	if (s->work == NULL || STAILQ_EMPTY(&s->work->deferreds))
		return;
	/* some of them may be deferred again, behind the others */
	STAILQ_CONCAT(&list, &s->work->deferreds);
	s->work->ndeferred = 0;
	s->work->deferred_bytes = 0;
	socket_work_done(s);
	while ((d = STAILQ_FIRST(&list)) != NULL) {
		STAILQ_REMOVE_HEAD(&list, entry);
		chat_receive(chat, s, chat_str(d->text, d->name_len),
		    chat_str(d->text + d->name_len, d->args_len), d->size,
		    d->has_ack, d->ack);
		free(d);
	}
}
