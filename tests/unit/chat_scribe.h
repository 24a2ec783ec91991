/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * chat_scribe - the part of chat_world.h that decides: messages, who is
 * where, and the rows by which sockets are resumed.  It keeps the rules of
 * scribe/.
 */

#ifndef CHAT_SCRIBE_H
#define CHAT_SCRIBE_H

#include "tests/unit/chat_bans.h"
#include "tests/unit/chat_changes.h"

static uint64_t
room_number(struct world *w, const char *workspace, const char *session)
{
	int i;

	for (i = 0; i < w->nrooms; i++) {
		if (strcmp(w->room[i].workspace, workspace) == 0 &&
		    strcmp(w->room[i].session, session) == 0)
			return (uint64_t)i + 1;
	}
	assert_true(w->nrooms < ROOMS);
	snprintf(w->room[i].workspace, 128, "%s", workspace);
	snprintf(w->room[i].session, 128, "%s", session);
	w->nrooms++;
	return (uint64_t)i + 1;
}

static uint64_t
user_number(struct world *w, const char *user)
{
	int i;

	for (i = 0; i < w->nusers; i++) {
		if (strcmp(w->users[i], user) == 0)
			return (uint64_t)i + 100;
	}
	w->users[w->nusers++] = strdup(user);
	return (uint64_t)i + 100;
}

static struct presence_row *
presence_find(struct world *w, uint64_t room, const char *socket_id)
{
	int i;

	for (i = 0; i < ROWS; i++) {
		if (w->presence[i].used && w->presence[i].room == room &&
		    strcmp(w->presence[i].socket_id, socket_id) == 0)
			return &w->presence[i];
	}
	return NULL;
}

static struct whose
whose(const struct stored *e)
{
	return (struct whose){ e->incarnation, e->d.ev.owner };
}

static bool
same_whose(struct whose a, struct whose b)
{
	return a.incarnation == b.incarnation &&
	    a.owner.number == b.owner.number &&
	    a.owner.serial == b.owner.serial;
}

/* Written back as it has become. */
static void
recovery_put(struct world *w, struct recovery_row *row)
{
	bool present = false;
	int i;

	for (i = 0; i < row->nrooms; i++)
		present = present || row->room[i].present;
	row->used = row->nrooms > 0;
	if (present)
		row->lost_ms = 0;
	else if (row->lost_ms == 0)
		row->lost_ms = w->real_ms;
}

static int
recovery_room(const struct recovery_row *row, uint64_t room)
{
	int i;

	for (i = 0; i < row->nrooms; i++) {
		if (row->room[i].room == room)
			return i;
	}
	return -1;
}

/* "seq", "seq:revision", ":revision" */
static void
recovery_after(struct recovery_room_row *room, const char *after)
{
	const char *colon = strchr(after, ':');

	room->has_after = after[0] != '\0' && after != colon;
	room->after_seq = strtoull(after, NULL, 10);
	room->has_revision = colon != NULL;
	room->after_revision =
	    colon == NULL ? 0 : strtoull(colon + 1, NULL, 10);
}

/* False: the pid is somebody else's. */
static bool
recovery_join(struct world *w, const struct stored *e)
{
	struct recovery_row *row = recovery_find(w, str_of(e->field[6]));
	bool resumes = (e->d.ev.flags & CHAT_F_RESUME) != 0;
	int i;

	if (e->field[6][0] == '\0')
		return true;
	if (row == NULL) {
		if (resumes || w->cfg.recovery_window == 0)
			return true;
		for (i = 0; w->recovery[i].used; i++)
			assert_true(i < RECOVERIES - 1);
		row = &w->recovery[i];
		memset(row, 0, sizeof(*row));
		snprintf(row->pid, sizeof(row->pid), "%s", e->field[6]);
		snprintf(row->socket_id, 64, "%s", e->field[4]);
		snprintf(row->user_id, 256, "%s", e->field[2]);
		row->whose = whose(e);
	}
	if (!same_whose(row->whose, whose(e)))
		return false;
	row->user = e->d.ev.user;
	if ((i = recovery_room(row, e->d.ev.room)) == -1) {
		if (row->nrooms == RECOVERY_ROOMS) {
			row->partial = true;
			recovery_put(w, row);
			return true;
		}
		i = row->nrooms++;
		resumes = false;
	}
	row->room[i].present = true;
	row->room[i].room = e->d.ev.room;
	if (!resumes) {
		row->room[i].gseq = e->d.gseq;
		recovery_after(&row->room[i], e->field[7]);
		snprintf(row->room[i].agent, 128, "%s", e->field[5]);
	}
	recovery_put(w, row);
	return true;
}

static void
recovery_leave(struct world *w, const struct stored *e, const char *pid)
{
	struct recovery_row *row = recovery_find(w, str_of(pid));
	int i;

	if (row == NULL || !same_whose(row->whose, whose(e)))
		return;
	if ((e->d.ev.flags & CHAT_F_FINAL) != 0) {
		row->used = false;
		return;
	}
	if ((i = recovery_room(row, e->d.ev.room)) == -1)
		return;
	if ((e->d.ev.flags & (CHAT_F_LOST | CHAT_F_ORPHAN)) != 0)
		row->room[i].present = false;
	else
		row->room[i] = row->room[--row->nrooms];
	recovery_put(w, row);
}

static void
decide_resume(struct world *w, struct stored *e)
{
	struct recovery_row *row = recovery_find(w, str_of(e->field[0]));
	int i;

	e->d.outcome = CHAT_REJECTED;
	if (row == NULL || strcmp(row->user_id, e->field[1]) != 0 ||
	    strcmp(row->socket_id, e->field[2]) != 0 || row->partial ||
	    (row->lost_ms > 0 &&
		w->real_ms > row->lost_ms + w->cfg.recovery_window))
		return;
	e->d.outcome = CHAT_STORED;
	e->d.ev.user = row->user;
	if (same_whose(row->whose, whose(e)))
		return;
	row->whose = whose(e);
	for (i = 0; i < row->nrooms; i++)
		row->room[i].present = false;
	row->lost_ms = 0;
	recovery_put(w, row);
}

static void
decide_release(struct world *w, struct stored *e)
{
	struct recovery_row *row = recovery_find(w, str_of(e->field[0]));
	int i;

	e->d.outcome = CHAT_REJECTED;
	if (row == NULL || strcmp(row->user_id, e->field[1]) != 0 ||
	    strcmp(row->socket_id, e->field[2]) != 0 ||
	    !same_whose(row->whose, whose(e)))
		return;
	if (e->d.ev.room == 0) {
		for (i = 0; i < row->nrooms; i++) {
			if (row->room[i].present)
				return;
		}
		row->nrooms = 0;
	} else {
		i = recovery_room(row, e->d.ev.room);
		if (i == -1 || row->room[i].present)
			return;
		row->room[i] = row->room[--row->nrooms];
	}
	e->d.outcome = CHAT_STORED;
	recovery_put(w, row);
}

static uint32_t
members_of(const struct world *w, uint64_t room)
{
	uint32_t n = 0;
	int i;

	for (i = 0; i < ROWS; i++)
		n += w->presence[i].used && w->presence[i].room == room;
	return n;
}

static void
decide_join(struct world *w, struct stored *e)
{
	struct presence_row *p;
	int i;

	e->d.ev.room = room_number(w, e->field[0], e->field[1]);
	e->d.ev.user = user_number(w, e->field[2]);
	e->d.seq = w->room[e->d.ev.room - 1].last;
	e->d.revision = w->room[e->d.ev.room - 1].revision;
	if (!recovery_join(w, e)) {
		e->d.outcome = CHAT_REJECTED;
		return;
	}
	if ((p = presence_find(w, e->d.ev.room, e->field[4])) != NULL) {
		e->d.outcome = CHAT_DUPLICATE;
	} else {
		for (i = 0; w->presence[i].used; i++)
			assert_true(i < ROWS - 1);
		p = &w->presence[i];
		p->joined_ms = w->real_ms;
		snprintf(p->status, sizeof(p->status), "active");
	}
	p->used = true;
	p->room = e->d.ev.room;
	p->user = e->d.ev.user;
	p->active_ms = w->real_ms;
	p->gseq = e->d.gseq;
	p->whose = whose(e);
	snprintf(p->user_id, sizeof(p->user_id), "%s", e->field[2]);
	snprintf(p->user_name, sizeof(p->user_name), "%s", e->field[3]);
	snprintf(p->socket_id, sizeof(p->socket_id), "%s", e->field[4]);
	snprintf(p->pid, sizeof(p->pid), "%s", e->field[6]);
	e->d.members = members_of(w, p->room);
}

static void
decide_leave(struct world *w, struct stored *e)
{
	struct presence_row *p = presence_find(w, e->d.ev.room, e->field[0]);
	int i;

	if (p == NULL || !same_whose(p->whose, whose(e))) {
		e->d.outcome = CHAT_REJECTED;
		return;
	}
	recovery_leave(w, e, p->pid);
	p->used = false;
	e->d.members = members_of(w, p->room);
	for (i = 0; i < ROWS; i++) {
		if (w->presence[i].used &&
		    w->presence[i].room == e->d.ev.room &&
		    strcmp(w->presence[i].user_id, e->field[1]) == 0)
			e->d.seq++;
	}
}

static void
decide_message(struct world *w, struct stored *e)
{
	struct room_row *room = &w->room[e->d.ev.room - 1];
	const char *user = w->users[e->d.ev.user - 100];
	struct message_row *m;
	int i;

	for (i = 0; i < w->nmessages; i++) {
		m = &w->message[i];
		if (m->room != e->d.ev.room || strcmp(m->id, e->field[0]) != 0)
			continue;
		e->d.outcome =
		    strcmp(m->user, user) == 0 ? CHAT_DUPLICATE : CHAT_ID_TAKEN;
		e->d.seq = m->seq;
		e->d.time_ms = m->time_ms;
		return;
	}
	if ((e->d.ev.flags & CHAT_F_ONLY_DUPLICATE) != 0) {
		e->d.outcome = CHAT_REJECTED;
		return;
	}
	assert_true(w->nmessages < ROWS);
	m = &w->message[w->nmessages++];
	m->room = e->d.ev.room;
	m->seq = e->d.seq = ++room->last;
	m->gseq = e->d.gseq;
	m->time_ms = e->d.time_ms;
	m->id = strdup(e->field[0]);
	m->user = strdup(user);
	m->body = strdup(e->field[2]);
}

static void
decide(struct world *w, struct stored *e)
{
	struct presence_row *p;

	e->d.gseq = w->gseq++;
	e->d.time_ms = w->real_ms;
	e->d.outcome = CHAT_STORED;
	if (w->force) {
		e->d.outcome = w->forced;
		return;
	}
	switch (e->d.ev.type) {
	case CHAT_JOIN:
		decide_join(w, e);
		break;
	case CHAT_LEAVE:
		decide_leave(w, e);
		break;
	case CHAT_PRESENCE:
		p = presence_find(w, e->d.ev.room, e->field[0]);
		if (p == NULL) {
			e->d.outcome = CHAT_REJECTED;
			break;
		}
		snprintf(p->status, sizeof(p->status), "%s", e->field[3]);
		p->active_ms = w->real_ms;
		p->gseq = e->d.gseq;
		break;
	case CHAT_MESSAGE:
		decide_message(w, e);
		break;
	case CHAT_RESUME:
		decide_resume(w, e);
		break;
	case CHAT_RELEASE:
		decide_release(w, e);
		break;
	case CHAT_STEER:
		decide_steer(w, e);
		break;
	case CHAT_EDIT:
	case CHAT_DELETE:
		decide_edit(w, e);
		break;
	case CHAT_RECEIPT:
		decide_receipt(w, e);
		break;
	case CHAT_STATUS:
		decide_status(w, e);
		break;
	case CHAT_ASK:
	case CHAT_TYPING:
	case CHAT_CHUNK:
	case CHAT_CANCEL:
	case CHAT_SECURITY:
	case CHAT_STEERED:
	case CHAT_PING:
	case CHAT_EVENT__MAX:
		fail();
	}
}

#endif /* CHAT_SCRIBE_H */
