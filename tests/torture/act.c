/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * act - what a client does of its own accord.
 */

#include <stdio.h>
#include <string.h>

#include "tests/torture/clients.h"
#include "tests/torture/names.h"

/* the mean time between two whims of a client, and at the end */
#define WHIM (1200 * MS)
#define WHIM_FINISH (60 * MS)

static struct seat *
any_seat(struct clients *t, struct player *p, enum seat_state state)
{
	struct seat *s = &p->seat[clients_between(t, 0, SEATS)];

	return s->state == state ? s : NULL;
}

static bool
has_pending(const struct player *p, unsigned room)
{
	unsigned i;

	for (i = 0; i < p->npending; i++)
		if (p->pending[i].room == room)
			return true;
	return false;
}

static bool
has_request(const struct player *p, unsigned room)
{
	unsigned i;

	for (i = 0; i < p->nrequests; i++)
		if (p->request[i].kind != REQUEST_NOISE &&
		    p->request[i].room == room)
			return true;
	return false;
}

/* Off to another session, or once more into the one that it is in. */
static void
move(struct clients *t, struct player *p)
{
	struct seat *s = any_seat(t, p, SEAT_IN);

	if (s == NULL || has_pending(p, s->room) || has_request(p, s->room))
		return;
	if (clients_random(t) % 3) {
		talk_leave(t, p, s);
		return;
	}
	s->has_after = clients_random(t) % 4 > 0;
	s->after = s->have;
	talk_join(t, p, s);
}

static void
sit_down(struct clients *t, struct player *p)
{
	struct seat *s = any_seat(t, p, SEAT_FREE);
	unsigned room = (unsigned)clients_between(t, 0, t->rooms);

	if (s == NULL || talk_seat(p, room) != NULL)
		return;
	*s = (struct seat){ .state = SEAT_WANTED, .room = room };
	talk_take_seats(t, p);
}

static void
look_back(struct clients *t, struct player *p)
{
	struct seat *s = any_seat(t, p, SEAT_IN);

	if (s == NULL || p->paging)
		return;
	switch (clients_random(t) % 4) {
	case 0:
		talk_history(t, p, s, REQUEST_HISTORY, FLAG_BEFORE,
		    s->have + 1);
		break;
	case 1:
		talk_history(t, p, s, REQUEST_HISTORY, 0,
		    (uint32_t)clients_between(t, 0, s->have + 1));
		break;
	default:
		talk_history(t, p, s, REQUEST_HISTORY, FLAG_NEWEST, 0);
	}
}

static void
make_noise(struct clients *t, struct player *p)
{
	static const char *const status[] = { "active", "idle", "away" };
	struct seat *s = any_seat(t, p, SEAT_IN);
	char name[NAMES_SIZE];
	struct request *r;
	int n;

	if (s == NULL)
		return;
	names_room(s->room, name);
	if (clients_random(t) % 4) {
		n = snprintf(t->text, sizeof(t->text),
		    "42[\"chat:typing\",{\"sessionId\":\"%s\","
		    "\"isTyping\":%s}]",
		    name, clients_random(t) % 2 ? "true" : "false");
	} else {
		if ((r = talk_request(t, p, REQUEST_NOISE, s->room)) == NULL)
			return;
		n = snprintf(t->text, sizeof(t->text),
		    "42%u[\"chat:update-presence\",{\"sessionId\":\"%s\","
		    "\"status\":\"%s\"}]",
		    r->id, name, status[clients_random(t) % 3]);
	}
	line_packet(t, p, t->text, (size_t)n);
}

void
act_fall_off(struct clients *t, struct player *p)
{
	uint64_t r = clients_random(t);

	/* one of five does not want its old socket back */
	if (r % 5 == 0)
		p->pid[0] = '\0';
	line_cut(t, p, r >> 8 & 1);
	if (r >> 9 & 1)
		p->due = t->now;
	else if ((r >> 10 & 7) == 0)
		p->due = t->now + clients_between(t, SECOND, 6 * SECOND);
}

static void
whim(struct clients *t, struct player *p)
{
	uint64_t r = clients_random(t) % 100;

	if (r < 16) {
		send_again(t, p);
	} else if (r < 20) {
		send_stolen(t, p);
	} else if (r < 32) {
		look_back(t, p);
	} else if (r < 38) {
		make_noise(t, p);
	} else if (r < 62) {
		change_any(t, p);
	} else if (r < 66) {
		stream_cancel(t, p);
	} else if (r < 76) {
		move(t, p);
	} else if (r < 90) {
		sit_down(t, p);
	} else if (r < 95) {
		act_fall_off(t, p);
	} else if (r < 98) {
		p->slow_until = t->now + clients_between(t, 0, 2 * SECOND);
		line_watch(t, p);
	} else {
		p->pause_until = t->now + clients_between(t, 0, 2 * SECOND);
	}
}

/* At the end: ask where the end is, until everything up to there has come. */
static void
look_for_end(struct clients *t, struct player *p)
{
	unsigned i;

	if (p->npending > 0 || p->paging)
		return;
	for (i = 0; i < SEATS; i++) {
		if (p->seat[i].state == SEAT_IN && !p->seat[i].complete) {
			talk_history(t, p, &p->seat[i], REQUEST_END,
			    FLAG_NEWEST, 0);
			return;
		}
		if (p->seat[i].state == SEAT_IN &&
		    !p->seat[i].changes_complete) {
			change_last(t, p, &p->seat[i]);
			return;
		}
	}
}

/* Joins and leaves that took too long, or are to be tried again. */
static void
mind_seats(struct clients *t, struct player *p)
{
	struct seat *s;
	unsigned i;

	for (i = 0; i < SEATS; i++) {
		s = &p->seat[i];
		if (s->due == 0 || t->now < s->due)
			continue;
		if (s->state == SEAT_LEAVING) {
			talk_leave(t, p, s);
		} else if (s->state == SEAT_JOINING) {
			/* never asked, or never answered: a new socket */
			p->pid[0] = '\0';
			line_cut(t, p, true);
			return;
		}
	}
	talk_take_seats(t, p);
}

void
act(struct clients *t, struct player *p)
{
	if (p->state == STATE_OFF) {
		if (t->now >= p->due)
			line_start(t, p);
		return;
	}
	if (p->state < STATE_READY) {
		if (t->now >= p->due)
			line_cut(t, p, true);
		return;
	}
	if (p->slow_until != 0 && t->now >= p->slow_until) {
		p->slow_until = 0;
		line_watch(t, p);
	}
	mind_seats(t, p);
	send_due(t, p);
	stream_due(t, p);
	if (p->state != STATE_READY || t->now < p->act)
		return;
	p->act = t->now +
	    clients_between(t, 0,
		2 * (t->status->phase == PHASE_FINISH ? WHIM_FINISH : WHIM));
	if (t->status->phase == PHASE_RUN)
		whim(t, p);
	else if (t->status->phase == PHASE_FINISH)
		look_for_end(t, p);
}

bool
act_done(const struct player *p)
{
	unsigned i;

	if (p->state != STATE_READY || p->npending > 0 || p->writing.on)
		return false;
	for (i = 0; i < SEATS; i++)
		if (p->seat[i].state != SEAT_FREE &&
		    (p->seat[i].state != SEAT_IN || !p->seat[i].complete ||
			!p->seat[i].changes_complete))
			return false;
	return true;
}

void
act_quiet(struct clients *t, const struct player *p)
{
	const struct seat *s;
	unsigned i;

	for (i = 0; i < SEATS; i++) {
		s = &p->seat[i];
		if (p->state != STATE_READY || s->state != SEAT_IN)
			continue;
		clients_note(t, p,
		    (struct ledger_entry){ .kind = LEDGER_QUIET,
			.room = (uint16_t)s->room,
			.seq = s->have,
			.hash = s->revision,
			.code = (uint8_t)((s->complete ? FLAG_COMPLETE : 0) |
			    (s->changes_complete ? FLAG_REVISIONS : 0)) });
	}
}
