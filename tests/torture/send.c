/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * send - messages: new ones, again what was not acknowledged, again what
 * was, and ids of others.
 */

#include <stdio.h>
#include <string.h>

#include "tests/torture/clients.h"
#include "tests/torture/names.h"

/* A server that says nothing for so long has lost it, or is stopped. */
#define PATIENCE (12 * SECOND)

static void
airborne(struct clients *t, struct player *p, int n)
{
	/* what waits for the next POST is not with the server */
	if (p->polls)
		return;
	t->status->in_flight += (uint64_t)(int64_t)n;
	t->status->in_flight_at[p->worker] += (uint64_t)(int64_t)n;
}

/* Write a message; 'kind' says what its answer is taken for. */
static bool
transmit(struct clients *t, struct player *p, enum request_kind kind,
    uint64_t message, unsigned room, bool again)
{
	char id[NAMES_SIZE], session[NAMES_SIZE], text[NAMES_TEXT],
	    user[NAMES_SIZE];
	size_t len = names_text(message, text);
	struct request *r = talk_request(t, p, kind, room);
	struct span who = { user, names_user(p->user, user) };
	int n;

	if (r == NULL)
		return false;
	r->message = message;
	names_message(message, id);
	names_room(room, session);
	clients_note(t, p,
	    (struct ledger_entry){ .kind = kind == REQUEST_STEAL ? LEDGER_STEAL
								 : LEDGER_SEND,
		.message = message,
		.room = (uint16_t)room,
		.hash = names_hash(who, (struct span){ text, len }),
		.code = again });
	n = snprintf(t->text, sizeof(t->text),
	    "42%u[\"chat:send-message\",{\"message\":{\"id\":\"%s\","
	    "\"content\":\"%.*s\",\"type\":\"%s\",\"sessionId\":\"%s\"}}]",
	    r->id, id, (int)len, text, p->agent ? "assistant" : "user",
	    session);
	line_packet(t, p, t->text, (size_t)n);
	return true;
}

static bool
may_talk(const struct clients *t, const struct player *p)
{
	return p->state == STATE_READY && t->now >= p->pause_until &&
	    p->nrequests < REQUESTS - 8;
}

static void
fly(struct clients *t, struct player *p, struct pending *m, bool again)
{
	if (!transmit(t, p, REQUEST_MESSAGE, m->message, m->room, again))
		return;
	if (!m->in_flight)
		airborne(t, p, 1);
	m->in_flight = true;
	m->due = t->now + PATIENCE;
}

bool
send_new(struct clients *t, struct player *p)
{
	struct seat *s = &p->seat[clients_between(t, 0, SEATS)];
	struct pending *m;

	if (!may_talk(t, p) || s->state != SEAT_IN || p->npending == WINDOW)
		return false;
	m = &p->pending[p->npending++];
	*m = (struct pending){
		.message = (uint64_t)p->id << 32 | p->count++,
		.room = s->room,
	};
	t->status->sent++;
	fly(t, p, m, false);
	/* and at once a second time, as an impatient client does */
	if (clients_random(t) % 64 == 0)
		(void)transmit(t, p, REQUEST_AGAIN, m->message, m->room, true);
	return true;
}

void
send_due(struct clients *t, struct player *p)
{
	struct seat *s;
	unsigned i;

	if (!may_talk(t, p))
		return;
	for (i = 0; i < p->npending; i++) {
		if (t->now < p->pending[i].due)
			continue;
		if (p->pending[i].in_flight) {
			line_cut(t, p, true);
			return;
		}
		s = talk_seat(p, p->pending[i].room);
		if (s != NULL && s->state == SEAT_IN)
			fly(t, p, &p->pending[i], true);
	}
}

/* One of its own that was acknowledged, long ago or just now, or one of the
 * same user's other client, which may be under way. */
void
send_again(struct clients *t, struct player *p)
{
	struct player *mate = p;
	struct seat *s;
	uint64_t message;
	unsigned room, i;

	if (!may_talk(t, p))
		return;
	if (p->user != p->id)
		mate = p - 1;
	if (mate != p && mate->npending > 0 && clients_random(t) % 2 == 0) {
		i = (unsigned)clients_between(t, 0, mate->npending);
		message = mate->pending[i].message;
		room = mate->pending[i].room;
	} else {
		if (mate->npast == 0)
			return;
		i = (unsigned)clients_between(t, 0,
		    mate->npast < PAST ? mate->npast : PAST);
		message = mate->past[i];
		room = mate->past_room[i];
	}
	s = talk_seat(p, room);
	if (s == NULL || s->state != SEAT_IN)
		return;
	t->status->duplicates++;
	(void)transmit(t, p, REQUEST_AGAIN, message, room, true);
}

/* Only ids that their owner has: who is first may take any other. */
void
send_stolen(struct clients *t, struct player *p)
{
	const struct player *o = &t->player[clients_between(t, 0, t->n)];
	struct seat *s;
	unsigned i;

	if (!may_talk(t, p) || o->user == p->user || o->npast == 0)
		return;
	i = (unsigned)clients_between(t, 0, o->npast < PAST ? o->npast : PAST);
	s = talk_seat(p, o->past_room[i]);
	if (s == NULL || s->state != SEAT_IN)
		return;
	t->status->stolen++;
	(void)transmit(t, p, REQUEST_STEAL, o->past[i], s->room, false);
}

static struct pending *
find(struct player *p, uint64_t message)
{
	unsigned i;

	for (i = 0; i < p->npending; i++)
		if (p->pending[i].message == message)
			return &p->pending[i];
	return NULL;
}

/* The message has been told of: as many are under way as before but one. */
static void
land(struct clients *t, struct player *p, struct pending *m)
{
	if (m->in_flight)
		airborne(t, p, -1);
	m->in_flight = false;
}

static void
forget(struct player *p, struct pending *m)
{
	*m = p->pending[--p->npending];
}

/* Keep some of all that was ever acknowledged, whenever it was. */
static void
remember(struct clients *t, struct player *p, const struct pending *m)
{
	uint64_t at = p->npast++;

	/* half of the places are for the newest */
	if (at >= PAST)
		at = clients_random(t) % 2 ? at % (PAST / 2)
					   : clients_random(t) % at;
	if (at >= PAST)
		return;
	p->past[at] = m->message;
	p->past_room[at] = (uint16_t)m->room;
}

static void
told(struct clients *t, struct player *p, uint64_t message, unsigned room,
    uint64_t seq, bool forever)
{
	struct pending *m = find(p, message);
	struct seat *s = talk_seat(p, room);

	if (s != NULL && s->state == SEAT_IN && s->have + 1 == seq)
		s->have++;
	if (m == NULL)
		return;
	land(t, p, m);
	if (!m->told) {
		t->status->acked++;
		remember(t, p, m);
	}
	m->told = true;
	/* the other half of the answer may be lost: then it is asked for */
	m->due = t->now + SECOND;
	if (forever)
		forget(p, m);
}

void
send_acked(struct clients *t, struct player *p, const struct request *r,
    const struct heard *h)
{
	struct ledger_entry e = { .kind = LEDGER_ACK,
		.message = r->message,
		.room = (uint16_t)r->room,
		.seq = (uint32_t)h->seq,
		.stamp = h->stamp,
		.code = h->duplicate ? FLAG_DUPLICATE : 0 };

	/* the checker knows that this may not be */
	if (r->kind == REQUEST_STEAL)
		e.hash = 1;
	clients_note(t, p, e);
	if (r->kind != REQUEST_STEAL)
		told(t, p, r->message, r->room, h->seq, true);
}

void
send_told(struct clients *t, struct player *p, const struct heard *h)
{
	struct ledger_entry e = { .kind = LEDGER_SENT,
		.seq = (uint32_t)h->seq,
		.stamp = h->stamp,
		.code = h->duplicate ? FLAG_DUPLICATE : 0 };
	unsigned room;

	if (!names_is_message(h->id, &e.message) ||
	    !names_is_room(h->session, &room)) {
		talk_garbled(t, p, h->id);
		return;
	}
	e.room = (uint16_t)room;
	clients_note(t, p, e);
	told(t, p, e.message, room, h->seq, false);
}

unsigned
send_code(const struct player *p, const struct heard *h)
{
	unsigned i;

	for (i = CODE_OTHER + 1; i < CODE__MAX; i++)
		if (span_is(h->code, ledger_code_name(i)))
			return i;
	fprintf(stderr, "client %u: refused: %.*s\n", p->id, (int)h->code.len,
	    h->code.p);
	return CODE_OTHER;
}

void
send_refused(struct clients *t, struct player *p, const struct request *r,
    const struct heard *h)
{
	struct pending *m = find(p, r->message);
	struct ledger_entry e = { .message = r->message,
		.room = (uint16_t)r->room,
		.code = (uint8_t)send_code(p, h) };

	e.kind = r->kind == REQUEST_STEAL ? LEDGER_KEPT : LEDGER_REFUSED;
	clients_note(t, p, e);
	if (r->kind != REQUEST_MESSAGE || m == NULL)
		return;
	t->status->refused++;
	land(t, p, m);
	m->due = t->now + clients_between(t, 100 * MS, 400 * MS);
}

void
send_landed(struct clients *t, struct player *p)
{
	unsigned i;

	for (i = p->npending; i-- > 0;) {
		land(t, p, &p->pending[i]);
		p->pending[i].due = t->now + clients_between(t, 0, 500 * MS);
		if (p->pending[i].told)
			forget(p, &p->pending[i]);
	}
}
