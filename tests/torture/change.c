/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * change - edits, deletions and receipts.
 */

#include <stdio.h>
#include <string.h>

#include "tests/torture/clients.h"
#include "tests/torture/names.h"

static bool
may_change(const struct clients *t, const struct player *p)
{
	return p->state == STATE_READY && t->now >= p->pause_until &&
	    !p->changing && p->nrequests < REQUESTS - 8;
}

/* Write the event 'what', whose payload ends with t->frame. */
static void
ask(struct clients *t, struct player *p, const struct ledger_entry *e,
    const char *what, const char *rest)
{
	struct request *r = talk_request(t, p, REQUEST_CHANGE, e->room);
	char session[NAMES_SIZE];
	int n;

	if (r == NULL)
		return;
	r->message = e->message;
	r->state = e->hash;
	p->changing = true;
	clients_note(t, p, *e);
	names_room(e->room, session);
	n = snprintf(t->text, sizeof(t->text),
	    "42%u[\"chat:%s\",{\"sessionId\":\"%s\",%s}]", r->id, what, session,
	    rest);
	line_packet(t, p, t->text, (size_t)n);
}

static void
read_up_to(struct clients *t, struct player *p, const struct seat *s,
    uint32_t seq)
{
	const struct ledger_entry e = { .kind = LEDGER_CHANGE,
		.message = LEDGER_READS | (uint64_t)s->room << 32 | p->user,
		.room = (uint16_t)s->room,
		.hash = seq };
	char rest[32];

	snprintf(rest, sizeof(rest), "\"seq\":%u", seq);
	ask(t, p, &e, "mark-read", rest);
}

/* Each edit says something else. */
static void
edit(struct clients *t, struct player *p, uint64_t message, unsigned room)
{
	char id[NAMES_SIZE], user[NAMES_SIZE], text[NAMES_TEXT],
	    rest[NAMES_TEXT + 128];
	struct span who = { user, names_user(p->user, user) };
	struct ledger_entry e = { .kind = LEDGER_CHANGE,
		.message = message,
		.room = (uint16_t)room };
	uint64_t number = LEDGER_READS | (uint64_t)p->id << 32 | p->changes++;
	size_t len = names_text(number, text);

	e.hash = names_hash(who, (struct span){ text, len });
	names_message(message, id);
	snprintf(rest, sizeof(rest),
	    "\"messageId\":\"%s\",\"content\":\"%.*s\"", id, (int)len, text);
	ask(t, p, &e, "edit-message", rest);
}

static void
erase(struct clients *t, struct player *p, uint64_t message, unsigned room)
{
	const struct ledger_entry e = { .kind = LEDGER_CHANGE,
		.message = message,
		.room = (uint16_t)room };
	char id[NAMES_SIZE], rest[NAMES_SIZE + 32];

	names_message(message, id);
	snprintf(rest, sizeof(rest), "\"messageId\":\"%s\"", id);
	ask(t, p, &e, "delete-message", rest);
}

void
change_any(struct clients *t, struct player *p)
{
	struct seat *s = &p->seat[clients_between(t, 0, SEATS)];
	uint64_t r = clients_random(t) % 100;
	uint32_t back;
	unsigned i;

	if (!may_change(t, p))
		return;
	if (r < 45) {
		/* sometimes less than before, which changes nothing */
		back = r < 10 ? (uint32_t)clients_between(t, 0, 20) : 0;
		if (s->state == SEAT_IN && s->have > back)
			read_up_to(t, p, s, s->have - back);
		return;
	}
	if (p->npast == 0)
		return;
	i = (unsigned)clients_between(t, 0, p->npast < PAST ? p->npast : PAST);
	s = talk_seat(p, p->past_room[i]);
	if (s == NULL || s->state != SEAT_IN)
		return;
	if (r < 92)
		edit(t, p, p->past[i], s->room);
	else
		erase(t, p, p->past[i], s->room);
}

void
change_last(struct clients *t, struct player *p, struct seat *s)
{
	if (s->to_come == 0 && s->have > 0 && may_change(t, p))
		read_up_to(t, p, s, s->have);
	if (s->have == 0 || (s->to_come > 0 && s->revision >= s->to_come))
		s->changes_complete = true;
}

void
change_answer(struct clients *t, struct player *p, const struct request *r,
    const struct heard *h)
{
	struct seat *s = talk_seat(p, r->room);
	struct ledger_entry e = { .kind = LEDGER_CHANGED,
		.message = r->message,
		.room = (uint16_t)r->room,
		.hash = r->state,
		.seq = (uint32_t)h->revision };

	p->changing = false;
	if (!h->ok) {
		e.kind = LEDGER_REFUSED;
		e.code = (uint8_t)send_code(p, h);
		/* it may have been thrown out */
		if (e.code != CODE_NOT_JOINED)
			clients_note(t, p, e);
		return;
	}
	if (r->message & LEDGER_READS) {
		/* what was read before, by whichever client of the user */
		e.hash = h->seq;
		if (h->seq < r->state)
			talk_garbled(t, p, (struct span){ "read", 4 });
		t->status->receipts++;
		if (t->status->phase == PHASE_FINISH && s != NULL)
			s->to_come = e.seq;
	} else if (r->state == 0) {
		t->status->erased++;
	} else {
		t->status->edits++;
	}
	clients_note(t, p, e);
}

bool
change_told(struct clients *t, struct player *p, const struct heard *h,
    enum change change)
{
	struct ledger_entry e = { .kind = LEDGER_REVISED,
		.seq = (uint32_t)h->revision };
	struct seat *s;
	unsigned room, user;

	if (!h->has_revision || h->revision == 0 || h->revision > UINT32_MAX ||
	    !h->has_seq || !h->has_stamp || !names_is_room(h->session, &room))
		return false;
	e.room = (uint16_t)room;
	if (change == CHANGE_RECEIPT) {
		if (!names_is_user(h->user, &user))
			return false;
		e.message = LEDGER_READS | (uint64_t)room << 32 | user;
		e.hash = h->seq;
	} else if (!names_is_message(h->id, &e.message)) {
		return false;
	}
	if (change == CHANGE_UPDATED)
		e.hash = names_hash(h->user, h->content);
	clients_note(t, p, e);
	s = talk_seat(p, room);
	if (s != NULL && e.seq > s->revision)
		s->revision = e.seq;
	return true;
}
