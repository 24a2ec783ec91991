/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "chat/delta.h"

#include <stdlib.h>
#include <string.h>

#include "chat/held.h"
#include "chat/render.h"
#include "chat/socket.h"
#include "common/log.h"

#define EVENT_DELTA "chat:presence-delta"
/* entries that are kept for those who wait for a roster */
#define KEPT_MAX 4096
#define TEXTS_MAX ((size_t)5 * DELTA_MAX)
/* joins and leaves of a socket that are remembered; an even number */
#define TURNS 8

/* One socket. */
struct entry {
	UT_hash_handle hh;
	TAILQ_ENTRY(entry) entry;
	/* of those with a text, or of those that have left */
	TAILQ_ENTRY(entry) of_kind;
	/* position of its last change; and of its last joins and leaves in
	 * turn, the oldest first */
	uint64_t last, turn[TURNS];
	/* the last of those that have been forgotten; 0: none */
	uint64_t forgotten;
	unsigned nturns;
	/* is it there, as all have been told, and is it now? */
	bool told, now;
	/* in the list of those that have left */
	bool gone;
	bool pending;
	/* its ChatPresence; NULL: it has left, or there are too many */
	char *text;
	size_t len;
	char id[CHAT_SOCKET_ID_MAX + 1];
};

struct delta {
	TAILQ_ENTRY(delta) entry;
	struct room *room;
	/* by id; by 'last', all of them, those with a text, and those that
	 * have left: each member may be told something else of these, and of
	 * all there may be as many as there are members */
	struct entry *by_id;
	TAILQ_HEAD(, entry) entries, texts, gone;
	size_t nentries, npending, ntexts;
	/* the first change that not all have been told of */
	uint64_t from;
	uint64_t told_ms;
};

bool
delta_is_due(const struct chat *chat, const struct room *room)
{
	uint64_t above = chat->cfg->presence_delta_above;

	return room->delta != NULL ||
	    (above > 0 && room->counted && room->count > above);
}

/* --- entries ----------------------------------------------------------------- */

static struct delta *
delta_get(struct chat *chat, struct room *room)
{
	struct delta *d = room->delta;

	if (d != NULL)
		return d;
	room->delta = d = chat_alloc(sizeof(*d));
	d->room = room;
	TAILQ_INIT(&d->entries);
	TAILQ_INIT(&d->texts);
	TAILQ_INIT(&d->gone);
	TAILQ_INSERT_TAIL(&chat->deltas, d, entry);
	return d;
}

static void
text_free(struct delta *d, struct entry *e)
{
	if (e->text == NULL)
		return;
	TAILQ_REMOVE(&d->texts, e, of_kind);
	d->ntexts--;
	free(e->text);
	e->text = NULL;
}

static void
gone_remove(struct delta *d, struct entry *e)
{
	if (e->gone)
		TAILQ_REMOVE(&d->gone, e, of_kind);
	e->gone = false;
}

static void
entry_free(struct delta *d, struct entry *e)
{
	text_free(d, e);
	gone_remove(d, e);
	HASH_DELETE(hh, d->by_id, e);
	TAILQ_REMOVE(&d->entries, e, entry);
	d->nentries--;
	d->npending -= e->pending;
	free(e);
}

static struct entry *
entry_get(struct delta *d, struct chat_str id, bool there)
{
	struct entry *e;

	HASH_FIND(hh, d->by_id, id.p, id.len, e);
	if (e != NULL) {
		TAILQ_REMOVE(&d->entries, e, entry);
		TAILQ_INSERT_TAIL(&d->entries, e, entry);
		return e;
	}
	e = chat_alloc(sizeof(*e));
	memcpy(e->id, id.p, id.len);
	e->told = e->now = there;
	HASH_ADD_KEYPTR(hh, d->by_id, e->id, id.len, e);
	TAILQ_INSERT_TAIL(&d->entries, e, entry);
	d->nentries++;
	return e;
}

static void
entry_render(struct chat *chat, struct delta *d, struct entry *e,
    const struct chat_member *m)
{
	struct json_out *o = &chat->event;

	text_free(d, e);
	/* no more than can be told, and some for those who wait */
	if (d->ntexts >= TEXTS_MAX)
		return;
	json_out_reset(o);
	render_presence(o, d->room->session, m);
	chat_check_out(o);
	e->text = chat_alloc(o->len);
	memcpy(e->text, o->p, o->len);
	e->len = o->len;
	TAILQ_INSERT_TAIL(&d->texts, e, of_kind);
	d->ntexts++;
}

/* It is told as one that has left. */
static void
entry_gone(struct delta *d, struct entry *e)
{
	text_free(d, e);
	TAILQ_INSERT_TAIL(&d->gone, e, of_kind);
	e->gone = true;
}

/* It has come, or gone. */
static void
entry_turn(struct entry *e, uint64_t gseq)
{
	if (e->nturns == TURNS) {
		/* two of them cancel out */
		e->forgotten = e->turn[1];
		e->nturns -= 2;
		memmove(e->turn, e->turn + 2, e->nturns * sizeof(e->turn[0]));
	}
	e->turn[e->nturns++] = gseq;
	e->now = !e->now;
}

/* Was it there at that position? */
static bool
was_there(const struct entry *e, uint64_t pos)
{
	unsigned i;
	bool there = e->now;

	/* not known: then it is told what it is now, which is never wrong */
	if (pos <= e->forgotten)
		return !e->now;
	for (i = e->nturns; i > 0 && e->turn[i - 1] >= pos; i--)
		there = !there;
	return there;
}

void
delta_add(struct chat *chat, struct room *room, enum delta_kind kind,
    const struct chat_member *m, uint64_t gseq,
    const struct chat_socket *except)
{
	struct delta *d = delta_get(chat, room);
	struct member *own;
	struct entry *e;

	if (m->socket_id.len > CHAT_SOCKET_ID_MAX)
		return;
	e = entry_get(d, m->socket_id, kind != DELTA_JOINED);
	e->last = gseq;
	if (!e->pending) {
		if (d->npending++ == 0)
			d->from = gseq;
		e->pending = true;
	}
	/* the other half may have been missed in a gap */
	if (e->now != (kind != DELTA_LEFT))
		entry_turn(e, gseq);
	else if (kind != DELTA_CHANGED)
		e->forgotten = gseq;
	gone_remove(d, e);
	if (e->now)
		entry_render(chat, d, e, m);
	else
		entry_gone(d, e);
	if (except != NULL && (own = room_member(room, except)) != NULL &&
	    own->delta == MEMBER_AS_ALL)
		own->delta = MEMBER_IN_IT;
}

/* --- telling ----------------------------------------------------------------- */

/* Who is told what. */
struct telling {
	/* but of itself; NULL: all */
	const struct chat_socket *s;
	/* of what is behind the roster that it has; 0: of what is pending */
	uint64_t pos;
	bool any;
};

static bool
concerns(const struct telling *t, const struct entry *e)
{
	return (t->pos == 0 ? e->pending : e->last >= t->pos) &&
	    (t->s == NULL || strcmp(e->id, t->s->id) != 0);
}

/* Does it know that socket? */
static bool
knows(const struct telling *t, const struct entry *e)
{
	return t->pos == 0 ? e->told : was_there(e, t->pos);
}

/* Returns the first entry that there is no room for, or NULL. */
static const struct entry *
put_texts(struct json_out *o, struct telling *t, const struct delta *d,
    bool before)
{
	const struct entry *e;
	unsigned n = 0;

	json_out_array(o);
	TAILQ_FOREACH(e, &d->texts, of_kind) {
		if (!concerns(t, e) || knows(t, e) != before)
			continue;
		if (n++ == DELTA_MAX)
			break;
		json_out_raw(o, e->text, e->len);
		t->any = true;
	}
	json_out_array_end(o);
	return e;
}

/* The same. */
static const struct entry *
put_left(struct json_out *o, struct telling *t, const struct delta *d)
{
	const struct entry *e;
	unsigned n = 0;

	json_out_array(o);
	TAILQ_FOREACH(e, &d->gone, of_kind) {
		if (!concerns(t, e) || !knows(t, e))
			continue;
		if (n++ == DELTA_LEFT_MAX)
			break;
		json_out_cstring(o, e->id);
		t->any = true;
	}
	json_out_array_end(o);
	return e;
}

/* From where on an event lacks what there was no room for. */
struct rest {
	const struct entry *left, *changed;
};

/* The payload into chat->event. */
static struct rest
render(struct chat *chat, const struct delta *d, struct telling *t)
{
	struct json_out *o = &chat->event;
	struct rest rest;

	json_out_reset(o);
	json_out_object(o);
	json_out_key(o, "sessionId");
	json_out_cstring(o, d->room->session);
	json_out_key(o, "joined");
	/* the roster has those that are too many */
	(void)put_texts(o, t, d, false);
	json_out_key(o, "left");
	rest.left = put_left(o, t, d);
	json_out_key(o, "changed");
	rest.changed = put_texts(o, t, d, true);
	json_out_key(o, "count");
	json_out_u64(o, d->room->count);
	json_out_object_end(o);
	return rest;
}

/* To one who is not told what all are. */
static void
tell_one(struct chat *chat, const struct delta *d, struct member *m)
{
	struct telling t = { .s = m->s };

	if (m->delta == MEMBER_ROSTER || m->roster_pos > d->from)
		t.pos = m->roster_pos;
	m->delta = MEMBER_AS_ALL;
	(void)render(chat, d, &t);
	if (t.any)
		chat->ops->send(chat->ctx, m->conn,
		    chat_encode(chat, EVENT_DELTA, &chat->event, NULL),
		    CHAT_EVENT);
}

/* Has it still to be told to all?  Of one without a text nothing can be. */
static bool
is_left_over(const struct entry *e, bool left_told, bool changed_told)
{
	if (!e->told)
		return false;
	return e->now ? !changed_told && e->text != NULL : !left_told;
}

/* All have been told of what is before 'rest'. */
static void
told(struct delta *d, const struct rest *rest)
{
	bool left_told = true, changed_told = true;
	struct entry *e;

	d->from = UINT64_MAX;
	TAILQ_FOREACH(e, &d->entries, entry) {
		left_told = left_told && e != rest->left;
		changed_told = changed_told && e != rest->changed;
		if (!e->pending)
			continue;
		if (is_left_over(e, left_told, changed_told)) {
			d->from = e->last < d->from ? e->last : d->from;
			continue;
		}
		e->told = e->now;
		e->pending = false;
		d->npending--;
	}
}

/* What nobody will ask for, or what is too much. */
static void
tidy(struct delta *d)
{
	struct entry *e, *next;
	bool waits = d->room->held != NULL;

	for (e = TAILQ_FIRST(&d->entries); e != NULL; e = next) {
		next = TAILQ_NEXT(e, entry);
		if (e->pending || (waits && d->nentries <= KEPT_MAX))
			continue;
		/* whose roster is older reads it again */
		held_forget(d->room, e->last + 1);
		entry_free(d, e);
	}
}

static void
flush(struct chat *chat, struct delta *d)
{
	struct room *room = d->room;
	struct telling all = { .any = false };
	const struct rest rest = render(chat, d, &all);
	struct chat_frame frame = { 0, 0 };
	struct member *m;
	uint32_t i;

	if (all.any)
		frame = chat_encode(chat, EVENT_DELTA, &chat->event, NULL);
	for (i = 0; i < room->nmembers; i++) {
		m = &room->members[i];
		if (m->roster_pos == UINT64_MAX)
			continue;
		if (m->delta != MEMBER_AS_ALL || m->roster_pos > d->from)
			tell_one(chat, d, m);
		else if (all.any)
			chat->ops->send(chat->ctx, m->conn, frame, CHAT_EVENT);
	}
	told(d, &rest);
	tidy(d);
	room->delta_pos = chat->pos;
}

/* --- rosters -------------------------------------------------------------------- */

uint64_t
delta_told(const struct chat *chat, const struct room *room,
    const struct member *m)
{
	const struct delta *d = room->delta;

	if (d != NULL && m->delta == MEMBER_ROSTER)
		return m->roster_pos;
	return d != NULL && d->npending > 0 && d->from < chat->pos ? d->from
								   : chat->pos;
}

void
delta_joins(const struct room *room, struct member *m)
{
	if (room->delta != NULL)
		m->delta = MEMBER_ROSTER;
}

void
delta_synced(struct room *room, uint64_t pos)
{
	struct delta *d = room->delta;
	struct entry *e, *next;
	uint32_t i;

	if (d == NULL)
		return;
	/* what is below the roster's position was perhaps not all of it: who
	 * still waits for one gets one that is not older */
	held_forget(room, pos);
	room->delta_pos = pos;
	d->from = pos;
	for (e = TAILQ_FIRST(&d->entries); e != NULL; e = next) {
		next = TAILQ_NEXT(e, entry);
		if (e->last < pos) {
			entry_free(d, e);
			continue;
		}
		d->npending += !e->pending;
		e->pending = true;
		e->told = was_there(e, pos);
	}
	for (i = 0; i < room->nmembers; i++)
		room->members[i].delta = MEMBER_AS_ALL;
}

void
delta_forget(struct chat *chat, struct room *room)
{
	struct delta *d = room->delta;
	struct entry *e;

	if (d == NULL)
		return;
	while ((e = TAILQ_FIRST(&d->entries)) != NULL)
		entry_free(d, e);
	TAILQ_REMOVE(&chat->deltas, d, entry);
	room->delta = NULL;
	free(d);
}

void
delta_tick(struct chat *chat, uint64_t now_ms)
{
	struct delta *d, *next;

	for (d = TAILQ_FIRST(&chat->deltas); d != NULL; d = next) {
		next = TAILQ_NEXT(d, entry);
		if (now_ms < d->told_ms + DELTA_MS || !d->room->counted)
			continue;
		d->told_ms = now_ms;
		/* a second without anything ends it */
		if (d->nentries == 0)
			delta_forget(chat, d->room);
		else
			flush(chat, d);
	}
}
