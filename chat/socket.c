/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "chat/socket.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "chat/expiry.h"
#include "chat/identity.h"
#include "chat/idle.h"
#include "chat/refresh.h"
#include "chat/replay.h"
#include "chat/request.h"
#include "chat/resume.h"
#include "chat/steer.h"
#include "chat/stream.h"
#include "chat/typing.h"
#include "common/log.h"

/* how long the one who takes a socket over has for joining its rooms */
#define TAKEN_MS 5000

struct chat_socket *
socket_new(struct chat *chat, void *conn, struct identity **identity,
    const struct chat_connect *options)
{
	struct chat_socket *s;

	if ((s = calloc(1, sizeof(*s))) == NULL)
		return NULL;
	s->conn = conn;
	s->identity = *identity;
	*identity = NULL;
	s->owner = options->owner;
	s->offsets = options->offsets && chat->cfg->recovery_window > 0;
	LIST_INSERT_HEAD(&chat->sockets, s, entry);
	chat->nsockets++;
	idle_begin(chat, s);
	return s;
}

void
socket_name(struct chat *chat, struct chat_socket *s, const char *id,
    const char *pid)
{
	size_t len = strlen(id);

	CHECK(len <= CHAT_SOCKET_ID_MAX && s->id[0] == '\0');
	memcpy(s->id, id, len + 1);
	if (pid == NULL || !s->offsets)
		return;
	CHECK(strlen(pid) == CHAT_SID_LEN);
	memcpy(s->pid, pid, CHAT_SID_SIZE);
	HASH_ADD_KEYPTR(hh, chat->by_id, s->id, len, s);
}

void
socket_unname(struct chat *chat, struct chat_socket *s)
{
	if (s->pid[0] != '\0') {
		HASH_DELETE(hh, chat->by_id, s);
		chat->nresumed -= s->resumed;
		chat->ndoubtful -= s->doubtful;
		s->resumed = s->doubtful = false;
	}
	s->id[0] = s->pid[0] = '\0';
}

bool
socket_is(const struct chat_socket *s, struct chat_str id)
{
	return strlen(s->id) == id.len && memcmp(s->id, id.p, id.len) == 0;
}

struct chat_socket *
socket_by_id(const struct chat *chat, struct chat_str id)
{
	struct chat_socket *s;

	HASH_FIND(hh, chat->by_id, id.p, id.len, s);
	return s;
}

struct chat_socket *
chat_connect(struct chat *chat, void *conn, struct identity **identity,
    const char *socket_id, const struct chat_connect *options)
{
	struct chat_socket *s;

	if ((s = socket_new(chat, conn, identity, options)) == NULL)
		return NULL;
	socket_name(chat, s, socket_id, options->pid);
	expiry_set(chat, s);
	return s;
}

const char *
chat_socket_pid(const struct chat_socket *s)
{
	return s->pid[0] == '\0' ? NULL : s->pid;
}

void
socket_connected(struct chat *chat, struct chat_socket *s, bool recovered)
{
	expiry_set(chat, s);
	chat->calling = s;
	chat->ops->connected(chat->ctx, s->conn, s->id, chat_socket_pid(s),
	    recovered);
	if (chat->calling == s && recovered)
		streams_sync(chat, s);
	if (chat->calling == s)
		socket_do_deferred(chat, s);
	chat->calling = NULL;
}

void
socket_publish(struct chat *chat, struct chat_socket *s, uint32_t request,
    struct chat_event *ev)
{
	ev->owner = s->owner;
	chat->ops->publish(chat->ctx, request == 0 ? NULL : s, request, ev);
}

const struct identity *
chat_socket_identity(const struct chat_socket *s)
{
	return s->identity;
}

void
chat_each_of(const struct chat *chat, struct chat_str user_id,
    void (*fn)(void *conn, void *arg), void *arg)
{
	const struct chat_socket *s;
	const char *id;

	LIST_FOREACH(s, &chat->sockets, entry) {
		id = s->identity->user_id;
		if (strlen(id) == user_id.len &&
		    memcmp(id, user_id.p, user_id.len) == 0)
			fn(s->conn, arg);
	}
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
		LIST_INIT(&s->work->streams);
	}
	return s->work;
}

void
socket_work_done(struct chat_socket *s)
{
	const struct work *w = s->work;

	if (w != NULL && STAILQ_EMPTY(&w->pendings) &&
	    STAILQ_EMPTY(&w->deferreds) && STAILQ_EMPTY(&w->jobs) &&
	    LIST_EMPTY(&w->typists) && LIST_EMPTY(&w->streams)) {
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

static struct leave
leave_of(const struct chat_socket *s, const struct room *room,
    const char *reason)
{
	return (struct leave){
		.room = room->number,
		.user = s->user,
		.owner = s->owner,
		.flags = leave_flags(reason),
		.socket_id = chat_cstr(s->id),
		.user_id = chat_cstr(s->identity->user_id),
		.reason = chat_cstr(reason),
	};
}

/* Out of all rooms; 'reason' NULL: without telling. */
static void
leave_all(struct chat *chat, struct chat_socket *s, const char *reason)
{
	struct room *room;
	struct leave leave;

	/* it may go on with what it writes, unless it goes on purpose */
	if (reason == NULL || (leave_flags(reason) & CHAT_F_FINAL) == 0)
		streams_detach(chat, s);
	while (s->njoined > 0) {
		room = s->joined[s->njoined - 1].room;
		room_ref(room);
		if (reason != NULL) {
			typing_socket_leaves(chat, s, room);
			leave = leave_of(s, room, reason);
			if (!leave_is_pending(s, room))
				leave_publish(chat, &leave);
			if (leave.flags & CHAT_F_LOST)
				chat->ops->lost(chat->ctx, s->conn,
				    room->workspace, room->session);
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
	streams_forget(chat, s);
	jobs_forget(chat, s);
	socket_work_done(s);
	CHECK(s->work == NULL);
}

/* On purpose: nothing of it shall come back. */
static void
forget_row(struct chat *chat, struct chat_socket *s, const char *reason)
{
	if (s->pid[0] == '\0' || (leave_flags(reason) & CHAT_F_FINAL) == 0)
		return;
	if (s->resume != NULL && s->njoined == 0)
		resume_release(chat, s, 0);
	if (socket_njoins(s) > 0)
		leave_final(chat, s, reason);
}

void
socket_free(struct chat *chat, struct chat_socket *s, const char *reason)
{
	if (reason != NULL)
		forget_row(chat, s, reason);
	leave_all(chat, s, reason);
	if (s->work != NULL)
		work_free(chat, s);
	if (s->resume != NULL)
		resume_free(s);
	socket_unname(chat, s);
	expiry_clear(chat, s);
	refresh_forget(chat, s);
	if (chat->calling == s)
		chat->calling = NULL;
	idle_forget(chat, s);
	LIST_REMOVE(s, entry);
	chat->nsockets--;
	identity_free(&s->identity);
	free(s->joined);
	free(s);
}

void
socket_take(struct chat *chat, struct chat_socket *s)
{
	struct leave leave;
	struct room *room;
	uint32_t i;

	/* if the other does not join after all, somebody must leave */
	for (i = 0; i < s->njoined; i++) {
		room = s->joined[i].room;
		typing_socket_leaves(chat, s, room);
		leave = leave_of(s, room, "transport close");
		leave_later(chat, &leave, TAKEN_MS);
	}
	leave_all(chat, s, NULL);
	if (s->work != NULL)
		work_free(chat, s);
	if (s->resume != NULL)
		resume_free(s);
	socket_unname(chat, s);
	expiry_clear(chat, s);
	s->taken = true;
	chat_count(chat, CHAT_COUNT_TAKEN_OVER);
}

/* --- letting go ------------------------------------------------------------ */

static const char *const end_reasons[] = {
	[SOCKET_STAYS] = NULL,
	[SOCKET_DISCONNECTED] = "server namespace disconnect",
	[SOCKET_KICKED] = "kicked",
	[SOCKET_REVOKED] = "access-revoked",
};

static enum socket_end
end_of(const char *code)
{
	if (strcmp(code, "KICKED") == 0 || strcmp(code, "BANNED") == 0)
		return SOCKET_KICKED;
	if (strcmp(code, "TOKEN_REVOKED") == 0)
		return SOCKET_REVOKED;
	return SOCKET_DISCONNECTED;
}

void
socket_disconnect(struct chat *chat, struct chat_socket *s, const char *code,
    const char *message, uint64_t retry_after)
{
	struct json_out o = { 0 };

	if (s->taken || s->end != SOCKET_STAYS)
		return;
	s->end = (uint8_t)end_of(code);
	expiry_clear(chat, s);
	if (s->resume != NULL) {
		chat->ops->want_produce(chat->ctx, s->conn);
		return;
	}
	json_out_object(&o);
	json_out_key(&o, "code");
	json_out_cstring(&o, code);
	json_out_key(&o, "message");
	json_out_cstring(&o, message);
	if (retry_after > 0) {
		json_out_key(&o, "retryAfter");
		json_out_u64(&o, retry_after);
	}
	json_out_object_end(&o);
	chat->ops->send(chat->ctx, s->conn,
	    chat_encode(chat, EVENT_DISCONNECT_REASON, &o, NULL), CHAT_ANSWER);
	json_out_clear(&o);
	chat->ops->disconnect(chat->ctx, s->conn, end_reasons[s->end]);
}

void
socket_refuse(struct chat *chat, struct chat_socket *s)
{
	const char *reason = end_reasons[s->end];
	bool banned = steer_is_banned(chat, s->identity->user_id, NULL);

	chat->calling = s;
	chat->ops->refused(chat->ctx, s->conn,
	    banned ? CHAT_E_BANNED : CHAT_E_SESSION_INVALID);
	if (chat->calling == s)
		socket_free(chat, s, reason);
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

/* --- offsets --------------------------------------------------------------- */

enum member_frame
socket_frame(const struct chat_socket *s)
{
	if (!s->offsets)
		return MEMBER_PLAIN;
	return s->nreplays > 0 || s->joins_doubtful ? MEMBER_OWN
						    : MEMBER_SHARED;
}

/* Its frames may be others than 'before'. */
static void
socket_reframe(struct chat_socket *s, enum member_frame before)
{
	struct joined *j;
	uint32_t i;

	if (socket_frame(s) == before)
		return;
	for (i = 0; i < s->njoined; i++) {
		j = &s->joined[i];
		j->room->members[j->index].frame = socket_frame(s);
	}
}

void
socket_count_replays(struct chat_socket *s, int change)
{
	enum member_frame before = socket_frame(s);

	s->nreplays = (uint32_t)((int)s->nreplays + change);
	socket_reframe(s, before);
}

void
socket_doubt_joins(struct chat_socket *s)
{
	enum member_frame before = socket_frame(s);

	/* the rooms of one that is resumed are in its row from the start */
	s->joins_doubtful = s->resume == NULL && socket_njoins(s) > 0;
	socket_reframe(s, before);
}

void
socket_join_settled(struct chat_socket *s)
{
	enum member_frame before = socket_frame(s);

	if (s->joins_doubtful && socket_njoins(s) == 0)
		s->joins_doubtful = false;
	socket_reframe(s, before);
}

const char *
socket_offset(struct chat *chat, const struct chat_socket *s)
{
	const struct job *job;
	struct offset o;

	if (!s->offsets)
		return NULL;
	o.pos = s->joins_doubtful ? 0 : chat->pos;
	o.npairs = 0;
	if (o.pos == 0)
		return offset_write(&o, chat->offset);
	STAILQ_FOREACH(job, &socket_work(s)->jobs, entry) {
		if (!job_is_replay(job) || replay_is_level(job) ||
		    offset_add(&o, replay_position(job)))
			continue;
		/* more than fit: it is better to know nothing */
		o.pos = 0;
		o.npairs = 0;
		break;
	}
	return offset_write(&o, chat->offset);
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

uint32_t
socket_njoins(const struct chat_socket *s)
{
	const struct pending *p;
	uint32_t n = 0;

	STAILQ_FOREACH(p, &socket_work(s)->pendings, entry)
		n += p->kind == PENDING_JOIN;
	return n;
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
	return jobs_busy(s, session);
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
socket_do_deferred(struct chat *chat, struct chat_socket *s)
{
	struct deferred_list list = STAILQ_HEAD_INITIALIZER(list);
	struct deferred *d;

	if (s->uncovered)
		refresh_cover(chat, s);
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
