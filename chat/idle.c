/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "chat/idle.h"

#include <string.h>

#include "chat/replay.h"

/* of time that is kept a socket */
#define UNIT_MS 100
/* all are looked at within this part of the shorter time, and so long */
#define SWEEP_PART 16
#define SWEEP_MIN_MS 100
#define SWEEP_MAX_MS 15000
/* at most so many a tick */
#define SWEEP_SOCKETS 512

void
idle_begin(struct chat *chat, struct chat_socket *s)
{
	s->heard = (uint32_t)(chat_mono_ms(chat) / UNIT_MS);
}

void
idle_forget(struct chat *chat, const struct chat_socket *s)
{
	if (chat->sweep == s)
		chat->sweep = LIST_NEXT(s, entry);
}

/* --- what it should be --------------------------------------------------------- */

static enum status
status_due(const struct chat *chat, uint64_t silent_ms)
{
	uint64_t idle = chat->cfg->presence_idle_after;
	uint64_t away = chat->cfg->presence_away_after;

	if (away > 0 && silent_ms >= away)
		return STATUS_AWAY;
	return idle > 0 && silent_ms >= idle ? STATUS_IDLE : STATUS_ACTIVE;
}

static bool
is_pending(const struct chat_socket *s, const struct room *room)
{
	const struct pending *p;

	STAILQ_FOREACH(p, &socket_work(s)->pendings, entry) {
		if (p->room == room &&
		    (p->kind == PENDING_PRESENCE || p->kind == PENDING_IDLE ||
			p->kind == PENDING_LEAVE))
			return true;
	}
	return false;
}

uint64_t
idle_silent_ms(struct chat *chat, const struct chat_socket *s)
{
	uint32_t now = (uint32_t)(chat_mono_ms(chat) / UNIT_MS);

	return (uint64_t)(now - s->heard) * UNIT_MS;
}

void
idle_settle(struct chat *chat, struct chat_socket *s, struct member *m,
    struct room *room)
{
	enum status due = status_due(chat, idle_silent_ms(chat, s));

	if (due <= m->status && (due != STATUS_ACTIVE || !m->idled))
		return;
	/* it is not there for others yet, or is told something already */
	if (s->resume != NULL || s->taken ||
	    (m->replay != NULL && m->replay->unanswered) || is_pending(s, room))
		return;
	(void)presence_publish(chat, s, room, due, PENDING_IDLE);
}

static void
settle_all(struct chat *chat, struct chat_socket *s, const char *except)
{
	struct joined *j;
	struct member *m;
	uint32_t i;

	s->idled = false;
	for (i = 0; i < s->njoined; i++) {
		j = &s->joined[i];
		m = &j->room->members[j->index];
		if (except == NULL || strcmp(j->room->session, except) != 0)
			idle_settle(chat, s, m, j->room);
		/* until the store says otherwise */
		s->idled = s->idled || m->idled;
	}
}

void
idle_heard(struct chat *chat, struct chat_socket *s, const char *except)
{
	idle_begin(chat, s);
	if (s->idled)
		settle_all(chat, s, except);
}

void
idle_found(struct chat_socket *s, struct member *m, struct chat_str text)
{
	enum status status = status_of(text);

	if (status == STATUS__MAX)
		return;
	m->status = status;
	m->idled = status != STATUS_ACTIVE;
	s->idled = s->idled || m->idled;
}

/* --- looking at all of them ---------------------------------------------------- */

static uint64_t
sweep_ms(const struct chat *chat)
{
	uint64_t idle = chat->cfg->presence_idle_after;
	uint64_t away = chat->cfg->presence_away_after;
	uint64_t ms = idle == 0 || (away > 0 && away < idle) ? away : idle;

	ms /= SWEEP_PART;
	if (ms < SWEEP_MIN_MS)
		return SWEEP_MIN_MS;
	return ms < SWEEP_MAX_MS ? ms : SWEEP_MAX_MS;
}

/* How many are due since the last time. */
static uint64_t
sweep_sockets(struct chat *chat, uint64_t now_ms)
{
	uint64_t every = sweep_ms(chat), n;

	chat->sweep_rest += (now_ms - chat->swept_ms) * chat->nsockets;
	chat->swept_ms = now_ms;
	n = chat->sweep_rest / every;
	chat->sweep_rest %= every;
	if (n > chat->nsockets)
		n = chat->nsockets;
	return n < SWEEP_SOCKETS ? n : SWEEP_SOCKETS;
}

void
idle_tick(struct chat *chat, uint64_t now_ms)
{
	struct chat_socket *s;
	uint64_t n;

	n = sweep_sockets(chat, now_ms);
	/* what was set before they were switched off is taken back by events */
	if (chat->cfg->presence_idle_after == 0 &&
	    chat->cfg->presence_away_after == 0)
		return;
	for (; n > 0; n--) {
		if (chat->sweep == NULL)
			chat->sweep = LIST_FIRST(&chat->sockets);
		if ((s = chat->sweep) == NULL)
			return;
		chat->sweep = LIST_NEXT(s, entry);
		if (status_due(chat, idle_silent_ms(chat, s)) != STATUS_ACTIVE)
			settle_all(chat, s, NULL);
	}
}
