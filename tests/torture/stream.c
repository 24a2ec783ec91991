/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * stream - messages that are written chunk by chunk: agents, and viewers.
 */

#include <stdio.h>
#include <string.h>

#include "tests/torture/clients.h"
#include "tests/torture/names.h"

/* A server that does not answer a chunk for so long has lost it; the last
 * one waits for the disk. */
#define PATIENCE (12 * SECOND)

/* --- who writes ---------------------------------------------------------- */

static void
begin(struct clients *t, struct player *p)
{
	struct seat *s = &p->seat[clients_between(t, 0, SEATS)];

	if (s->state != SEAT_IN)
		return;
	p->writing = (struct writing){
		.on = true,
		.message = (uint64_t)p->id << 32 | p->count++,
		.room = s->room,
		.last = (unsigned)clients_between(t, 0, NAMES_CHUNKS),
	};
	t->status->streams++;
}

static void
over(struct clients *t, struct player *p)
{
	p->writing.on = false;
	p->writing.due = t->now + clients_between(t, 0, 800 * MS);
}

/* Write the next chunk, or the last words of one that shall end. */
static void
say(struct clients *t, struct player *p)
{
	struct writing *w = &p->writing;
	struct request *r = talk_request(t, p, REQUEST_CHUNK, w->room);
	char id[NAMES_SIZE], session[NAMES_SIZE], text[NAMES_CHUNK] = "";
	struct ledger_entry e = { .kind = LEDGER_STREAM,
		.message = w->message,
		.room = (uint16_t)w->room,
		.seq = w->next };
	int n;

	if (r == NULL)
		return;
	if (w->cancelled)
		e.code = FLAG_LAST | FLAG_EMPTY;
	else if (w->next >= w->last)
		e.code = FLAG_LAST;
	if (!w->cancelled)
		names_chunk(w->message, w->next, text);
	e.hash =
	    names_chunks_hash(w->message, p->user, w->next + !w->cancelled);
	r->message = w->message;
	r->way = e.code;
	r->asked = w->next;
	clients_note(t, p, e);
	names_message(w->message, id);
	names_room(w->room, session);
	n = snprintf(t->text, sizeof(t->text),
	    "42%u[\"chat:agent-message-stream\",{\"sessionId\":\"%s\","
	    "\"messageId\":\"%s\",\"chunk\":\"%s\",\"isComplete\":%s,"
	    "\"index\":%u}]",
	    r->id, session, id, text, e.code & FLAG_LAST ? "true" : "false",
	    w->next);
	w->waits = w->begun = true;
	w->due = t->now + PATIENCE;
	line_packet(t, p, t->text, (size_t)n);
}

void
stream_due(struct clients *t, struct player *p)
{
	struct writing *w = &p->writing;
	struct seat *s;

	if (!p->agent || p->state != STATE_READY || t->now < w->due ||
	    t->now < p->pause_until || p->nrequests >= REQUESTS - 8)
		return;
	if (!w->on) {
		if (t->status->phase == PHASE_RUN)
			begin(t, p);
		return;
	}
	if (w->waits) {
		line_cut(t, p, true);
		return;
	}
	s = talk_seat(p, w->room);
	if (s == NULL || s->state == SEAT_LEAVING) {
		over(t, p);
		return;
	}
	if (s->state != SEAT_IN)
		return;
	if (t->status->phase == PHASE_FINISH && w->next < w->last)
		w->last = w->next;
	/* in the middle of it */
	if (w->next > 0 && t->status->phase == PHASE_RUN &&
	    clients_random(t) % 40 == 0) {
		act_fall_off(t, p);
		return;
	}
	say(t, p);
}

void
stream_lost(struct clients *t, struct player *p)
{
	struct writing *w = &p->writing;

	/* there may be one, or its message: it would be begun again */
	if (w->on && w->begun && w->next == 0)
		over(t, p);
	w->waits = false;
	if (w->on)
		w->due = t->now + clients_between(t, 0, 300 * MS);
}

void
stream_left(struct player *p, unsigned room)
{
	if (p->writing.room == room)
		p->writing.on = false;
}

static void
ended(struct clients *t, struct player *p, const struct request *r,
    const struct heard *h)
{
	struct seat *s = talk_seat(p, r->room);

	clients_note(t, p,
	    (struct ledger_entry){ .kind = LEDGER_ENDED,
		.message = r->message,
		.room = (uint16_t)r->room,
		.seq = (uint32_t)h->seq,
		.stamp = h->stamp,
		.hash = r->asked + !(r->way & FLAG_EMPTY),
		.code = h->duplicate ? FLAG_DUPLICATE : 0 });
	if (s != NULL && s->state == SEAT_IN && s->have + 1 == h->seq)
		s->have++;
	t->status->ended++;
	over(t, p);
}

static void
refused(struct clients *t, struct player *p, const struct request *r,
    const struct heard *h)
{
	struct writing *w = &p->writing;
	unsigned code = send_code(p, h);

	if (code == CODE_STREAM_UNKNOWN) {
		/* it has ended, or is to */
		if ((r->way & FLAG_LAST) || w->next == 0)
			over(t, p);
		w->cancelled = true;
		return;
	}
	w->due = t->now + clients_between(t, 100 * MS, 400 * MS);
	if (code == CODE_NOT_JOINED)
		return;
	clients_note(t, p,
	    (struct ledger_entry){ .kind = LEDGER_REFUSED,
		.message = r->message,
		.room = (uint16_t)r->room,
		.code = (uint8_t)code });
	if (!h->retryable)
		over(t, p);
}

void
stream_answer(struct clients *t, struct player *p, const struct request *r,
    const struct heard *h)
{
	struct writing *w = &p->writing;

	if (!w->on || r->message != w->message) {
		if (h->ok && h->has_seq)
			ended(t, p, r, h);
		return;
	}
	w->waits = false;
	w->due = t->now + clients_between(t, 0, 120 * MS);
	if (!h->ok) {
		refused(t, p, r, h);
	} else if (h->has_seq) {
		ended(t, p, r, h);
	} else if (r->way & FLAG_LAST) {
		/* the answer is on its way to somebody else */
		w->due = t->now + SECOND;
	} else {
		clients_note(t, p,
		    (struct ledger_entry){ .kind = LEDGER_TAKEN,
			.message = r->message,
			.room = (uint16_t)r->room,
			.seq = r->asked,
			.code = h->duplicate ? FLAG_DUPLICATE : 0 });
		w->next++;
	}
}

bool
stream_cancelled(struct clients *t, struct player *p, const struct heard *h)
{
	struct writing *w = &p->writing;
	uint64_t message;

	if (!names_is_message(h->id, &message))
		return false;
	if (!w->on || message != w->message)
		return true;
	t->status->cancelled++;
	/* some do not hear it, some say nothing any more */
	switch (clients_random(t) % 4) {
	case 0:
		break;
	case 1:
		if (!w->waits)
			w->due = t->now + 7 * SECOND;
		break;
	default:
		w->cancelled = w->next > 0;
	}
	return true;
}

/* --- who looks ----------------------------------------------------------- */

void
stream_cancel(struct clients *t, struct player *p)
{
	unsigned from = (unsigned)clients_between(t, 0, t->n), i;
	const struct player *o = NULL;
	char id[NAMES_SIZE], session[NAMES_SIZE];
	struct request *r;
	struct seat *s = NULL;
	int n;

	for (i = 0; i < t->n && s == NULL; i++) {
		o = &t->player[(from + i) % t->n];
		if (o->writing.on && o->writing.next > 0)
			s = talk_seat(p, o->writing.room);
	}
	if (s == NULL || s->state != SEAT_IN ||
	    (r = talk_request(t, p, REQUEST_NOISE, s->room)) == NULL)
		return;
	names_message(o->writing.message, id);
	names_room(s->room, session);
	n = snprintf(t->text, sizeof(t->text),
	    "42%u[\"chat:cancel-stream\",{\"sessionId\":\"%s\","
	    "\"messageId\":\"%s\"}]",
	    r->id, session, id);
	line_packet(t, p, t->text, (size_t)n);
}

bool
stream_chunk(struct clients *t, struct player *p, const struct heard *h)
{
	struct ledger_entry e = { .kind = LEDGER_CHUNK, .hash = h->index };
	unsigned room, first, end;

	if (!h->has_index || !names_is_message(h->id, &e.message) ||
	    !names_is_room(h->session, &room) ||
	    !names_are_chunks(e.message, h->chunk, &first, &end))
		return false;
	e.room = (uint16_t)room;
	e.stamp = first;
	e.seq = end;
	e.code = (uint8_t)((h->complete ? FLAG_LAST : 0) |
	    (h->chunk.len == 0 ? FLAG_EMPTY : 0) |
	    (h->interrupted ? FLAG_INTERRUPTED : 0) |
	    (h->cancelled ? FLAG_CANCELLED : 0));
	clients_note(t, p, e);
	t->status->chunks++;
	return true;
}

bool
stream_shown(struct clients *t, struct player *p, unsigned room,
    struct span list)
{
	struct scan s = scan_begin(list, '[');
	struct span element;
	struct heard h;
	struct ledger_entry e = { .kind = LEDGER_SHOWN,
		.room = (uint16_t)room };
	unsigned first;
	unsigned end;

	while (scan_element(&s, &element)) {
		if (!heard_read(element, &h) || !h.has_index ||
		    !names_is_message(h.id, &e.message) ||
		    !names_are_chunks(e.message, h.content, &first, &end) ||
		    first != 0)
			return false;
		e.seq = end;
		e.hash = h.index;
		clients_note(t, p, e);
	}
	return !s.bad;
}
