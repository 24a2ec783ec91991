/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * check_client - each client's ledger against the store.
 */

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/util.h"
#include "tests/torture/check.h"

static const bool allowed[] = {
#define CODE(name, allowed) allowed,
#include "tests/torture/tbl_code.h"
#undef CODE
};

/* --- what was sent ------------------------------------------------------- */

static struct message *
room_for(struct check *c, uint64_t message)
{
	uint32_t owner = (uint32_t)(message >> 32), n = (uint32_t)message;
	struct check_client *cl;
	uint32_t size;

	if (owner >= c->nclients || n > 1U << 28)
		die(EXIT_FAILED, "message %" PRIx64, message);
	cl = &c->client[owner];
	if (n >= cl->n) {
		size = (n + 1) * 2;
		cl->message =
		    xreallocarray(cl->message, size, sizeof(*cl->message));
		memset(&cl->message[cl->n], 0,
		    (size - cl->n) * sizeof(*cl->message));
		cl->n = size;
	}
	return &cl->message[n];
}

/* What a client's connection is, while what was sent is read. */
struct sender {
	uint32_t sock;
	/* the message that it edits */
	uint64_t edits;
	uint16_t room;
};

static void
take_send(struct check *c, const struct ledger_entry *e,
    const struct sender *from)
{
	uint32_t sock = from->sock;
	struct message *m = room_for(c, e->message);
	bool first = m->begin == 0;

	if (e->kind == LEDGER_STREAM)
		check_stream_sent(c, m, e);
	if (first) {
		m->begin = e->ns;
		m->hash = e->hash;
		m->room = e->room;
		c->sent++;
	} else {
		c->retries++;
	}
	if (from->edits != 0 && from->room == e->room)
		m->behind = true;
	if (m->attempts < UINT16_MAX)
		m->attempts++;
	if (m->begin > e->ns)
		m->begin = e->ns;
	if (e->client != e->message >> 32) {
		m->mate = e->client;
		if (m->mate_first_sock == 0)
			m->mate_first_sock = sock;
		m->mate_last_sock = sock;
		return;
	}
	if (m->first_sock == 0) {
		m->first_sock = sock;
		m->conn = e->conn;
	}
	m->last_sock = sock;
}

static void
take_edit(struct sender *s, const struct ledger_entry *e)
{
	if (e->kind == LEDGER_CHANGE && (e->message & LEDGER_READS) == 0) {
		s->edits = e->message;
		s->room = e->room;
	} else if ((e->kind == LEDGER_CHANGED || e->kind == LEDGER_REFUSED) &&
	    e->message == s->edits) {
		s->edits = 0;
	}
}

void
check_sends(struct check *c)
{
	struct sender *sender = xcalloc(c->nclients, sizeof(*sender)), *s;
	const struct ledger_entry *e;
	unsigned i;
	size_t k;

	for (i = 0; i < c->nledgers; i++) {
		e = c->ledger[i].entry;
		for (k = 0; k < c->ledger[i].n; k++, e++) {
			if (e->client >= c->nclients)
				continue;
			s = &sender[e->client];
			if (e->kind == LEDGER_CONNECT)
				*s =
				    (struct sender){ .sock =
							 (uint32_t)e->message };
			else if (e->kind == LEDGER_SEND ||
			    e->kind == LEDGER_STREAM)
				take_send(c, e, s);
			else
				take_edit(s, e);
		}
	}
	free(sender);
}

/* --- what came ----------------------------------------------------------- */

static void
take_answer(struct check *c, const struct ledger_entry *e)
{
	struct message *m = check_message(c, e->message);
	struct row *row;

	c->acks++;
	if (e->kind == LEDGER_ACK && e->hash != 0) {
		check_fault(c, VIOLATION_TAKEN, "client %u: %" PRIx64,
		    e->client, e->message);
		return;
	}
	if (m == NULL || m->seq == 0) {
		check_fault(c, VIOLATION_LOST,
		    "client %u: %" PRIx64 " of session %u, seq %u", e->client,
		    e->message, e->room, e->seq);
		return;
	}
	if (m->acked == 0 || m->acked > e->ns)
		m->acked = e->ns;
	row = check_row(c, m->room, m->seq);
	if (m->room != e->room || m->seq != e->seq ||
	    row->stored->stamp != e->stamp)
		check_fault(c, VIOLATION_ANSWER,
		    "client %u: %" PRIx64 " is seq %u of session %u at %" PRIu64
		    ", not %u of %u at %" PRIu64,
		    e->client, e->message, m->seq, m->room, row->stored->stamp,
		    e->seq, e->room, e->stamp);
	if (row->seen > e->ns)
		row->seen = e->ns;
	if (e->kind == LEDGER_ACK && (e->code & FLAG_DUPLICATE) == 0 &&
	    ++m->news == 2)
		check_fault(c, VIOLATION_NEW_TWICE, "client %u: %" PRIx64,
		    e->client, e->message);
}

static void
take_refusal(struct check *c, const struct ledger_entry *e)
{
	c->refused++;
	if (e->kind == LEDGER_KEPT && e->code == CODE_ID_TAKEN)
		c->steals++;
	else if (e->code == CODE_NOT_FOUND &&
	    check_asked(c, e->message, 0) != NULL)
		/* an edit of what was deleted */
		return;
	else if (e->code >= CODE__MAX || !allowed[e->code])
		check_fault(c, VIOLATION_REFUSED,
		    "client %u: %" PRIx64 " of session %u: %s", e->client,
		    e->message, e->room, ledger_code_name(e->code));
}

/* May this client have sent what stands there from its socket? */
static bool
is_own(struct check *c, const struct reader *rd, uint32_t client, unsigned room,
    uint32_t seq)
{
	const struct row *row = check_row(c, room, seq);
	const struct message *m;

	/* a hole of the store is counted there */
	if (row == NULL)
		return true;
	m = check_message(c, row->stored->message);
	if (m == NULL)
		return false;
	if (row->stored->message >> 32 == client)
		return m->first_sock <= rd->sock && rd->sock <= m->last_sock;
	return m->mate == client && m->mate_first_sock <= rd->sock &&
	    rd->sock <= m->mate_last_sock;
}

/* From 'seat->next' up to 'end' (not included) only its own was left out. */
static void
check_left_out(struct check *c, const struct reader *rd,
    const struct ledger_entry *e, uint32_t end, enum violation v)
{
	const struct seat *s = &rd->seat[e->room];
	uint32_t q;

	for (q = s->next; q < end; q++)
		if (!is_own(c, rd, e->client, e->room, q))
			check_fault(c, v,
			    "client %u, connection %u, session %u: seq %u "
			    "before %u",
			    e->client, e->conn, e->room, q, e->seq);
}

static void
take_delivery(struct check *c, struct reader *rd, const struct ledger_entry *e)
{
	struct row *row = check_row(c, e->room, e->seq);
	struct seat *s = &rd->seat[e->room];
	const struct message *m;

	c->deliveries++;
	if (row == NULL || check_message(c, e->message) == NULL) {
		check_fault(c, VIOLATION_PHANTOM,
		    "client %u: %" PRIx64 ", session %u seq %u", e->client,
		    e->message, e->room, e->seq);
		return;
	}
	m = check_message(c, e->message);
	if (row->stored->message != e->message ||
	    ((e->code & FLAG_DELETED) == 0 && row->stored->stamp != e->stamp) ||
	    !check_may_say(c, m, e))
		check_fault(c, VIOLATION_DIFFERS,
		    "client %u: %" PRIx64 ", session %u seq %u is %" PRIx64,
		    e->client, e->message, e->room, e->seq,
		    row->stored->message);
	if (row->seen > e->ns)
		row->seen = e->ns;
	if (!s->in) {
		check_fault(c, VIOLATION_STRAY,
		    "client %u, connection %u: session %u seq %u", e->client,
		    e->conn, e->room, e->seq);
		return;
	}
	if (e->seq < s->next) {
		check_fault(c, VIOLATION_TWICE,
		    "client %u, connection %u: session %u seq %u, %u was due",
		    e->client, e->conn, e->room, e->seq, s->next);
		return;
	}
	check_left_out(c, rd, e, e->seq, VIOLATION_HOLE);
	s->next = e->seq + 1;
	check_stream_final(c, rd, m, e);
	m = check_message(c, row->stored->message);
	if (row->stored->message >> 32 == e->client && m != NULL &&
	    m->attempts == 1 && m->first_sock == rd->sock &&
	    m->begin > s->joined)
		check_fault(c, VIOLATION_ECHO,
		    "client %u, connection %u: session %u seq %u", e->client,
		    e->conn, e->room, e->seq);
}

static void
note_entered(struct check *c, const struct ledger_entry *e)
{
	size_t n = c->nentered++;

	if ((n & (n - 1)) == 0)
		c->entered = xreallocarray(c->entered, n > 0 ? n * 2 : 1,
		    sizeof(*c->entered));
	c->entered[n] = e;
}

static void
take_join(struct check *c, struct reader *rd, const struct ledger_entry *e)
{
	struct seat *s = &rd->seat[e->room];
	uint32_t after = (uint32_t)e->message, behind = (uint32_t)e->hash;
	uint32_t revision = s->revision;

	c->joins++;
	if (!s->in)
		s->epoch++;
	if (behind > 0)
		revision = behind - 1;
	else if (!s->in)
		revision = (uint32_t)(e->hash >> 32);
	s->revision = revision;
	/* who is in, and asks for nothing, goes on as before */
	if (s->in && (e->code & FLAG_AFTER) == 0)
		return;
	if (!s->in)
		note_entered(c, e);
	s->in = true;
	s->next = e->seq + 1;
	s->joined = e->ns;
	if ((e->code & FLAG_AFTER) == 0 || after > e->seq)
		return;
	s->next = after + 1;
	if (e->code & FLAG_TRUNCATED)
		s->next = e->seq - c->replay_max + 1;
	if (((e->code & FLAG_TRUNCATED) != 0) !=
	    (e->seq - after > c->replay_max))
		check_fault(c, VIOLATION_PAGE,
		    "client %u: a join behind %u of %u is%s truncated",
		    e->client, after, e->seq,
		    e->code & FLAG_TRUNCATED ? "" : " not");
}

/* The messages behind a PAGE; returns how many there are. */
static size_t
take_page(struct check *c, const struct ledger_entry *e, size_t left)
{
	uint32_t first = (uint32_t)e->message, asked = (uint32_t)e->hash;
	const struct ledger_entry *h;
	const struct message *m;
	struct row *row;
	size_t n;

	c->pages++;
	for (n = 0; n < left && e[n + 1].kind == LEDGER_HISTORY; n++) {
		h = &e[n + 1];
		row = check_row(c, h->room, h->seq);
		m = check_message(c, h->message);
		if (row == NULL || m == NULL ||
		    row->stored->message != h->message ||
		    ((h->code & FLAG_DELETED) == 0 &&
			row->stored->stamp != h->stamp) ||
		    !check_may_say(c, m, h)) {
			check_fault(c, VIOLATION_HISTORY,
			    "client %u: session %u seq %u", h->client, h->room,
			    h->seq);
			continue;
		}
		if (row->seen > h->ns)
			row->seen = h->ns;
		check_old_text(c, e, h);
		if (h->seq != first + n)
			check_fault(c, VIOLATION_PAGE,
			    "client %u, session %u: seq %u at place %zu of a "
			    "page from %u",
			    h->client, h->room, h->seq, n, first);
	}
	if ((n == 0 && (first != 0 || e->seq != 0)) ||
	    (n > 0 && e->seq != first + n - 1) ||
	    (n > 0 && (e->code & FLAG_BEFORE) && e->seq != asked - 1) ||
	    (n == 0 && (e->code & FLAG_BEFORE) && asked > 1) ||
	    (n > 0 && (e->code & (FLAG_BEFORE | FLAG_NEWEST)) == 0 &&
		first != asked + 1))
		check_fault(c, VIOLATION_PAGE,
		    "client %u, session %u: asked for %u (%u), got %zu from "
		    "%u to %u",
		    e->client, e->room, asked, e->code, n, first, e->seq);
	return n;
}

static void
take_quiet(struct check *c, struct reader *rd, const struct ledger_entry *e)
{
	if ((e->code & FLAG_COMPLETE) == 0)
		check_fault(c, VIOLATION_TAIL,
		    "client %u has session %u only up to %u", e->client,
		    e->room, e->seq);
	else if (rd->seat[e->room].in)
		check_left_out(c, rd, e, e->seq + 1, VIOLATION_TAIL);
	check_quiet_revisions(c, &rd->seat[e->room], e);
}

static void
take_left(struct check *c, struct reader *rd, const struct ledger_entry *e)
{
	rd->seat[e->room].in = false;
}

static void
take_connect(struct check *c, struct reader *rd, const struct ledger_entry *e)
{
	unsigned i;

	c->connects++;
	rd->sock = (uint32_t)e->message;
	if (e->code & FLAG_RECOVERED) {
		c->recovered++;
		if (rd->kicked)
			check_fault(c, VIOLATION_KICK,
			    "client %u, connection %u", e->client, e->conn);
	}
	rd->kicked = false;
	for (i = 0; i < c->nrooms; i++)
		if ((e->code & FLAG_RECOVERED) == 0)
			rd->seat[i].in = false;
}

/* What was missed comes before the namespace is connected. */
static void
take_connection(struct check *c, struct reader *rd, uint32_t conn)
{
	unsigned i;

	rd->conn = conn;
	for (i = 0; i < c->nrooms; i++)
		rd->seat[i].epoch++;
}

/* Returns how many entries behind this one belong to it. */
static size_t
take(struct check *c, struct reader *rd, const struct ledger_entry *e,
    size_t left)
{
	if (e->conn != rd->conn)
		take_connection(c, rd, e->conn);
	switch (e->kind) {
	case LEDGER_CONNECT:
		take_connect(c, rd, e);
		break;
	case LEDGER_KICKED:
		rd->kicked = true;
		break;
	case LEDGER_REVISED:
		check_revised(c, &rd->seat[e->room], e);
		break;
	case LEDGER_CHUNK:
	case LEDGER_SHOWN:
		check_stream_seen(c, rd, e);
		break;
	case LEDGER_ENDED:
		check_stream_ended(c, e);
		take_answer(c, e);
		break;
	case LEDGER_ACK:
	case LEDGER_SENT:
		take_answer(c, e);
		break;
	case LEDGER_REFUSED:
	case LEDGER_KEPT:
		take_refusal(c, e);
		break;
	case LEDGER_DELIVER:
		take_delivery(c, rd, e);
		break;
	case LEDGER_JOINED:
		take_join(c, rd, e);
		break;
	case LEDGER_LEFT:
		take_left(c, rd, e);
		break;
	case LEDGER_PAGE:
		return take_page(c, e, left);
	case LEDGER_QUIET:
		take_quiet(c, rd, e);
		break;
	case LEDGER_GARBLED:
		check_fault(c, VIOLATION_GARBLED, "client %u, connection %u",
		    e->client, e->conn);
		break;
	}
	return 0;
}

void
check_clients(struct check *c)
{
	struct reader *rd = xcalloc(c->nclients, sizeof(*rd));
	const struct ledger *l;
	uint32_t k;
	unsigned i;
	size_t at;

	for (k = 0; k < c->nclients; k++) {
		rd[k].seat = xcalloc(c->nrooms, sizeof(*rd[k].seat));
		rd[k].view = xcalloc(c->nstreams + 1, sizeof(*rd[k].view));
	}
	for (i = 0; i < c->nledgers; i++) {
		l = &c->ledger[i];
		if (l->entry[0].kind == LEDGER_DUMP)
			continue;
		for (at = 0; at < l->n; at++)
			if (l->entry[at].client < c->nclients)
				at += take(c, &rd[l->entry[at].client],
				    &l->entry[at], l->n - at - 1);
	}
	for (k = 0; k < c->nclients; k++) {
		free(rd[k].seat);
		free(rd[k].view);
	}
	free(rd);
}

void
check_answers(struct check *c)
{
	const struct message *m;
	uint32_t i, k;

	for (i = 0; i < c->nclients; i++) {
		for (k = 0; k < c->client[i].n; k++) {
			m = &c->client[i].message[k];
			if (m->begin != 0 && m->acked == 0 && m->stream == 0)
				check_fault(c, VIOLATION_UNANSWERED,
				    "client %u: its message %u, %u attempts", i,
				    k, m->attempts);
		}
	}
}
