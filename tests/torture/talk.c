/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * talk - what comes, and requests about sessions.
 */

#include <stdio.h>
#include <string.h>

#include "tests/torture/clients.h"
#include "tests/torture/names.h"

/* How long the answer to a join or leave may take before the client gives
 * its socket up. */
#define ANSWER (8 * SECOND)

void
talk_garbled(struct clients *t, struct player *p, struct span what)
{
	fprintf(stderr, "client %u, connection %u: garbled: %.*s\n", p->id,
	    p->conn, what.len < 300 ? (int)what.len : 300, what.p);
	clients_note(t, p, (struct ledger_entry){ .kind = LEDGER_GARBLED });
}

struct seat *
talk_seat(struct player *p, unsigned room)
{
	unsigned i;

	for (i = 0; i < SEATS; i++)
		if (p->seat[i].state != SEAT_FREE && p->seat[i].room == room)
			return &p->seat[i];
	return NULL;
}

struct request *
talk_request(struct clients *t, struct player *p, enum request_kind kind,
    unsigned room)
{
	struct request *r;

	if (p->nrequests == REQUESTS)
		return NULL;
	r = &p->request[p->nrequests++];
	*r = (struct request){
		.kind = kind,
		.id = p->next_request++,
		.room = room,
		.begin = t->now,
	};
	return r;
}

/* Write an event about a session, with an acknowledgement. */
static struct request *
ask(struct clients *t, struct player *p, enum request_kind kind,
    const char *event, unsigned room, const char *more)
{
	struct request *r = talk_request(t, p, kind, room);
	char name[NAMES_SIZE];
	int n;

	if (r == NULL)
		return NULL;
	names_room(room, name);
	n = snprintf(t->text, sizeof(t->text),
	    "42%u[\"chat:%s\",{\"sessionId\":\"%s\"%s}]", r->id, event, name,
	    more);
	line_packet(t, p, t->text, (size_t)n);
	return r;
}

void
talk_join(struct clients *t, struct player *p, struct seat *s)
{
	char more[128];
	int n;

	n = snprintf(more, sizeof(more),
	    ",\"workspaceId\":\"" NAMES_WORKSPACE "\"");
	if (s->has_after)
		n += snprintf(more + n, sizeof(more) - (size_t)n,
		    ",\"afterSeq\":%u", s->after);
	s->has_revision = s->known && clients_random(t) % 6 > 0;
	s->after_revision = s->revision;
	if (s->has_revision)
		snprintf(more + n, sizeof(more) - (size_t)n,
		    ",\"afterRevision\":%u", s->revision);
	s->begin = t->now;
	s->due = t->now + ANSWER;
	s->again = s->state == SEAT_IN;
	if (ask(t, p, REQUEST_JOIN, "join-session", s->room, more) == NULL)
		return;
	s->state = SEAT_JOINING;
	clients_note(t, p,
	    (struct ledger_entry){ .kind = LEDGER_JOIN,
		.room = (uint16_t)s->room,
		.message = s->after,
		.hash = s->has_revision ? s->revision + 1 : 0,
		.code = s->has_after ? FLAG_AFTER : 0 });
}

void
talk_leave(struct clients *t, struct player *p, struct seat *s)
{
	if (s->state != SEAT_LEAVING)
		clients_note(t, p,
		    (struct ledger_entry){ .kind = LEDGER_LEAVE,
			.room = (uint16_t)s->room });
	s->state = SEAT_LEAVING;
	s->due = t->now + ANSWER;
	(void)ask(t, p, REQUEST_LEAVE, "leave-session", s->room, "");
}

void
talk_history(struct clients *t, struct player *p, struct seat *s,
    enum request_kind kind, unsigned way, uint32_t asked)
{
	struct request *r;
	char more[64];
	int n;

	n = snprintf(more, sizeof(more), ",\"limit\":%u",
	    kind == REQUEST_END ? 50 : (unsigned)clients_between(t, 1, 60));
	if (way != FLAG_NEWEST)
		snprintf(more + n, sizeof(more) - (size_t)n, ",\"%s\":%u",
		    way == FLAG_BEFORE ? "beforeSeq" : "afterSeq", asked);
	r = ask(t, p, kind, "request-history", s->room, more);
	if (r == NULL)
		return;
	r->way = way;
	r->asked = asked;
	p->paging = true;
}

/* What the client wants to have sent again when it joins. */
static void
choose_after(struct clients *t, struct seat *s)
{
	uint64_t r = clients_random(t) % 10;

	s->has_after = s->known && r > 0;
	s->after = s->have;
	/* more than it needs, sometimes more than there is to have */
	if (r == 1 && s->have > 0)
		s->after -= (uint32_t)(clients_random(t) %
		    (s->have < 700 ? s->have : 700));
}

void
talk_take_seats(struct clients *t, struct player *p)
{
	unsigned i;

	for (i = 0; i < SEATS; i++) {
		if (p->seat[i].state == SEAT_WANTED &&
		    t->now >= p->seat[i].due) {
			choose_after(t, &p->seat[i]);
			talk_join(t, p, &p->seat[i]);
		}
	}
}

static void
on_connected(struct clients *t, struct player *p, struct span packet)
{
	char pid[sizeof(p->pid)], id[sizeof(p->socket_id)];
	bool came_back = p->pid[0] != '\0', same;
	struct seat *s;
	unsigned i;

	heard_string(packet, "\"pid\":\"", pid, sizeof(pid));
	heard_string(packet, "\"sid\":\"", id, sizeof(id));
	same = came_back && strcmp(pid, p->pid) == 0;
	if (same != (strcmp(id, p->socket_id) == 0))
		talk_garbled(t, p, packet);
	if (same)
		t->status->recovered++;
	else if (came_back)
		t->status->unrecovered++;
	if (!same) {
		p->offset[0] = '\0';
		p->sock++;
	}
	memcpy(p->pid, pid, sizeof(pid));
	memcpy(p->socket_id, id, sizeof(id));
	p->state = STATE_READY;
	t->status->ready++;
	clients_note(t, p,
	    (struct ledger_entry){ .kind = LEDGER_CONNECT,
		.message = p->sock,
		.seq = p->worker,
		.code = same ? FLAG_RECOVERED : 0 });
	for (i = 0; i < SEATS; i++) {
		s = &p->seat[i];
		s->due = 0;
		if (s->state == SEAT_LEAVING && same)
			talk_leave(t, p, s);
		else if (s->state == SEAT_LEAVING)
			s->state = SEAT_FREE;
		else if (s->state == SEAT_JOINING && same)
			s->due = t->now + ANSWER;
		else if (s->state != SEAT_FREE && !same)
			s->state = SEAT_WANTED;
	}
	talk_take_seats(t, p);
}

/* The worker's number is the last of the 15 bytes behind an Engine.IO id. */
static unsigned
worker_of(const char *sid)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				     "abcdefghijklmnopqrstuvwxyz0123456789-_";
	const char *a, *b;

	if (strlen(sid) != 20)
		return 63;
	a = strchr(digits, sid[18]);
	b = strchr(digits, sid[19]);
	return a == NULL || b == NULL
	    ? 63
	    : (unsigned)((a - digits) << 6 | (b - digits)) & 63;
}

static void
on_open(struct clients *t, struct player *p, struct span packet)
{
	char user[NAMES_SIZE];
	int n;

	heard_string(packet, "\"sid\":\"", p->sid, sizeof(p->sid));
	p->worker = worker_of(p->sid);
	names_user(p->user, user);
	n = snprintf(t->text, sizeof(t->text),
	    "40{\"userId\":\"%s\",\"userName\":\"%s\",\"role\":\"%s\"", user,
	    user, p->agent ? "agent" : "user");
	if (p->pid[0] != '\0')
		n += snprintf(t->text + n, sizeof(t->text) - (size_t)n,
		    ",\"pid\":\"%s\"", p->pid);
	if (p->pid[0] != '\0' && p->offset[0] != '\0')
		n += snprintf(t->text + n, sizeof(t->text) - (size_t)n,
		    ",\"offset\":\"%s\"", p->offset);
	t->text[n++] = '}';
	p->state = STATE_NAMESPACE;
	line_packet(t, p, t->text, (size_t)n);
}

/* A ChatMessage as an entry of 'kind'; false: it makes no sense. */
static bool
note_message(struct clients *t, struct player *p, enum ledger_kind kind,
    const struct heard *h, unsigned room)
{
	struct ledger_entry e = { .kind = (uint8_t)kind,
		.room = (uint16_t)room,
		.seq = (uint32_t)h->seq,
		.stamp = h->stamp,
		.hash = names_hash(h->user, h->content) };

	if (h->deleted) {
		e.hash = 0;
		e.code = FLAG_DELETED;
	}
	if (!h->has_seq || h->has_stamp == h->deleted || h->seq > UINT32_MAX ||
	    !names_is_message(h->id, &e.message))
		return false;
	clients_note(t, p, e);
	return true;
}

static bool
on_received(struct clients *t, struct player *p, const struct heard *h)
{
	struct seat *s;
	unsigned room;

	if (!names_is_room(h->session, &room) ||
	    !note_message(t, p, LEDGER_DELIVER, h, room))
		return false;
	t->status->deliveries++;
	s = talk_seat(p, room);
	if (s != NULL && h->seq > s->have)
		s->have = (uint32_t)h->seq;
	return true;
}

static bool
on_joined(struct clients *t, struct player *p, const struct heard *h)
{
	struct seat *s;
	unsigned room;

	if (!names_is_room(h->session, &room) || !h->has_last_seq ||
	    (s = talk_seat(p, room)) == NULL || s->state != SEAT_JOINING)
		return false;
	s->state = SEAT_IN;
	s->due = 0;
	if (s->has_after)
		s->have = s->after;
	else if (!s->again)
		s->have = (uint32_t)h->last_seq;
	if (s->has_revision)
		s->revision = s->after_revision;
	else if (!s->again)
		s->revision = (uint32_t)h->last_revision;
	s->known = true;
	s->complete = s->changes_complete = false;
	s->to_come = 0;
	clients_note(t, p,
	    (struct ledger_entry){ .kind = LEDGER_JOINED,
		.room = (uint16_t)room,
		.seq = (uint32_t)h->last_seq,
		.message = s->after,
		.stamp = s->begin,
		.hash = h->last_revision << 32 |
		    (s->has_revision ? s->after_revision + 1 : 0),
		.code = (uint8_t)((s->has_after ? FLAG_AFTER : 0) |
		    (h->truncated ? FLAG_TRUNCATED : 0)) });
	return stream_shown(t, p, room, h->streams);
}

static bool
on_more(struct clients *t, struct player *p, struct span name,
    const struct heard *h)
{
	unsigned room;

	if (span_is(name, "chat:agent-stream-chunk"))
		return stream_chunk(t, p, h);
	if (span_is(name, "chat:stream-sync"))
		return names_is_room(h->session, &room) &&
		    stream_shown(t, p, room, h->streams);
	if (span_is(name, "chat:stream-cancelled"))
		return stream_cancelled(t, p, h);
	if (span_is(name, "chat:message-updated"))
		return change_told(t, p, h, CHANGE_UPDATED);
	if (span_is(name, "chat:message-deleted"))
		return change_told(t, p, h, CHANGE_DELETED);
	if (span_is(name, "chat:read-receipt"))
		return change_told(t, p, h, CHANGE_RECEIPT);
	if (span_is(name, "chat:disconnect-reason") &&
	    span_is(h->code, "KICKED")) {
		t->status->kicked++;
		clients_note(t, p,
		    (struct ledger_entry){ .kind = LEDGER_KICKED });
	}
	return true;
}

static void
on_event(struct clients *t, struct player *p, struct span packet)
{
	struct span name, payload, offset;
	struct scan s = heard_args(packet, 2);
	bool fine = true;
	struct heard h;

	if (!scan_element(&s, &name) || !scan_element(&s, &payload) ||
	    !heard_read(payload, &h)) {
		talk_garbled(t, p, packet);
		return;
	}
	/* a string behind it is where the client stands */
	if (scan_element(&s, &offset) && offset.len > 1 && *offset.p == '"') {
		offset = span_unquote(offset);
		if (offset.len >= sizeof(p->offset))
			offset = (struct span){ "0", 1 };
		memcpy(p->offset, offset.p, offset.len);
		p->offset[offset.len] = '\0';
	}
	name = span_unquote(name);
	if (span_is(name, "chat:message-received"))
		fine = on_received(t, p, &h);
	else if (span_is(name, "chat:message-sent"))
		send_told(t, p, &h);
	else if (span_is(name, "chat:join-session-success"))
		fine = on_joined(t, p, &h);
	else
		fine = on_more(t, p, name, &h);
	if (!fine)
		talk_garbled(t, p, packet);
}

static void
on_join_answer(struct clients *t, struct player *p, const struct request *r,
    const struct heard *h)
{
	struct seat *s = talk_seat(p, r->room);

	if (h->ok || s == NULL || s->state != SEAT_JOINING)
		return;
	s->state = SEAT_WANTED;
	s->due = t->now + clients_between(t, 200 * MS, 500 * MS);
}

static void
on_leave_answer(struct clients *t, struct player *p, const struct request *r,
    const struct heard *h)
{
	struct seat *s = talk_seat(p, r->room);

	if (s == NULL || s->state != SEAT_LEAVING)
		return;
	/* it may have been done before the connection was cut */
	if (!h->ok && !span_is(h->code, "NOT_JOINED")) {
		s->due = t->now + clients_between(t, 200 * MS, 500 * MS);
		return;
	}
	clients_note(t, p,
	    (struct ledger_entry){ .kind = LEDGER_LEFT,
		.room = (uint16_t)r->room });
	s->state = SEAT_FREE;
	stream_left(p, r->room);
}

static void
on_page(struct clients *t, struct player *p, const struct request *r,
    const struct heard *h)
{
	struct seat *s = talk_seat(p, r->room);
	struct scan list = scan_begin(h->messages, '[');
	struct span element;
	struct heard m;

	p->paging = false;
	if (!h->ok)
		return;
	t->status->pages++;
	clients_note(t, p,
	    (struct ledger_entry){ .kind = LEDGER_PAGE,
		.room = (uint16_t)r->room,
		.message = h->first_seq,
		.seq = (uint32_t)h->last_seq,
		.stamp = r->begin,
		.hash = r->asked,
		.code = (uint8_t)(r->way | (h->more ? FLAG_MORE : 0)) });
	while (scan_element(&list, &element)) {
		if (!heard_read(element, &m) ||
		    !note_message(t, p, LEDGER_HISTORY, &m, r->room)) {
			talk_garbled(t, p, element);
			return;
		}
		/* its own are not delivered to it */
		if (s != NULL && s->have + 1 == m.seq &&
		    r->kind == REQUEST_END) {
			uint64_t message;

			if (names_is_message(m.id, &message) &&
			    message >> 32 == p->id)
				s->have++;
		}
	}
	if (r->kind == REQUEST_END && s != NULL && s->state == SEAT_IN &&
	    s->have >= h->last_seq)
		s->complete = true;
}

static void
on_ack(struct clients *t, struct player *p, struct span packet)
{
	struct span rest = { packet.p + 2, packet.len - 2 }, element;
	struct scan s = heard_args(packet, 2);
	struct request r;
	struct heard h;
	uint64_t n;
	unsigned i;

	if (!span_number(rest, &n) || !scan_element(&s, &element) ||
	    !heard_read(element, &h)) {
		talk_garbled(t, p, packet);
		return;
	}
	for (i = 0; i < p->nrequests && p->request[i].id != n; i++)
		;
	/* of an earlier connection: nobody waits for it any more */
	if (i == p->nrequests) {
		if (n >= p->next_request)
			talk_garbled(t, p, packet);
		return;
	}
	r = p->request[i];
	p->request[i] = p->request[--p->nrequests];
	switch (r.kind) {
	case REQUEST_MESSAGE:
	case REQUEST_AGAIN:
	case REQUEST_STEAL:
		if (h.ok)
			send_acked(t, p, &r, &h);
		else
			send_refused(t, p, &r, &h);
		break;
	case REQUEST_JOIN:
		on_join_answer(t, p, &r, &h);
		break;
	case REQUEST_LEAVE:
		on_leave_answer(t, p, &r, &h);
		break;
	case REQUEST_HISTORY:
	case REQUEST_END:
		on_page(t, p, &r, &h);
		break;
	case REQUEST_CHANGE:
		change_answer(t, p, &r, &h);
		break;
	case REQUEST_CHUNK:
		stream_answer(t, p, &r, &h);
		break;
	case REQUEST_NONE:
	case REQUEST_NOISE:
		break;
	}
}

static void
on_message(struct clients *t, struct player *p, struct span packet)
{
	switch (packet.len > 1 ? packet.p[1] : '\0') {
	case '0':
		on_connected(t, p, packet);
		break;
	case '1':
	case '4':
		line_cut(t, p, false);
		break;
	case '2':
		on_event(t, p, packet);
		break;
	case '3':
		on_ack(t, p, packet);
		break;
	default:
		talk_garbled(t, p, packet);
	}
}

void
talk_packet(struct clients *t, struct player *p, struct span packet)
{
	switch (packet.len > 0 ? *packet.p : '\0') {
	case '0':
		on_open(t, p, packet);
		break;
	case '1':
		line_cut(t, p, false);
		break;
	case '2':
		line_packet(t, p, "3", 1);
		break;
	case '4':
		on_message(t, p, packet);
		break;
	case '6':
		break;
	default:
		talk_garbled(t, p, packet);
	}
}
