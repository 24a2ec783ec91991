/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * answer - what the load generator makes of the packets that come.
 */

#include <stdio.h>
#include <string.h>

#include "tests/bench/load.h"

#define EVENT "42[\"chat:"

size_t
load_session(struct load *l, unsigned room, char *out, size_t size)
{
	return (size_t)snprintf(out, size, "%sr%u", l->tag, room);
}

static struct span
cut(struct span a, size_t n)
{
	return (struct span){ a.p + n, a.len - n };
}

static bool
begins(struct span a, const char *text, size_t len)
{
	return a.len >= len && memcmp(a.p, text, len) == 0;
}

#define BEGINS(a, literal) begins((a), (literal), sizeof(literal) - 1)

bool
answer_index(struct load *l, struct span id, uint32_t *i)
{
	size_t n = strlen(l->tag);
	uint64_t v = 0;
	char ch;

	if (!begins(id, l->tag, n) || id.len == n || id.len > n + 8)
		return false;
	for (; n < id.len; n++) {
		ch = id.p[n];
		if (ch >= '0' && ch <= '9')
			v = v << 4 | (uint64_t)(ch - '0');
		else if (ch >= 'a' && ch <= 'f')
			v = v << 4 | (uint64_t)(ch - 'a' + 10);
		else
			return false;
	}
	*i = (uint32_t)v;
	return v < l->v.nmessages;
}

bool
answer_text_fits(struct load *l, const struct scan_message *m)
{
	size_t len = m->id.len > l->opt.size ? m->id.len : l->opt.size;
	size_t i;

	if (m->content.len != len ||
	    memcmp(m->content.p, m->id.p, m->id.len) != 0)
		return false;
	/* the last byte, and some between: a shifted copy would differ */
	for (i = m->id.len; i < len; i += 64)
		if (m->content.p[i] != 'x')
			return false;
	return len == m->id.len || m->content.p[len - 1] == 'x';
}

static bool
is_session(struct load *l, struct span session, unsigned room)
{
	char name[64];

	load_session(l, room, name, sizeof(name));
	return span_is(session, name);
}

static void
garbled(struct load *l, struct client *c, struct span what)
{
	verify_fault(&l->v, FAULT_GARBLED, "member %u: %.*s",
	    (unsigned)(c - l->client), what.len < 200 ? (int)what.len : 200,
	    what.p);
}

static void
on_received(struct load *l, struct client *c, struct span text)
{
	uint32_t id = (uint32_t)(c - l->client), i;
	struct scan_message m;

	if (!scan_message(text, &m) || !m.has_seq ||
	    !answer_index(l, m.id, &i) || !answer_text_fits(l, &m)) {
		garbled(l, c, text);
		return;
	}
	if (!is_session(l, m.session, id / l->opt.members)) {
		verify_fault(&l->v, FAULT_FOREIGN, "member %u: session %.*s",
		    id, (int)m.session.len, m.session.p);
		return;
	}
	if (!verify_received(&l->v, id, i, m.seq, m.seq <= c->replay_end))
		return;
	if (l->v.message[i].flags & MESSAGE_TIMED)
		hist_add(&l->delivered_after, l->now - l->v.message[i].sent_ns);
	if (verify_complete(&l->v, i))
		pace_complete(l, l->v.message[i].room);
}

static void
sent(struct load *l, struct client *c, uint32_t i, uint64_t seq, bool is_ack)
{
	struct verify_message *m = &l->v.message[i];

	if (m->member != (uint32_t)(c - l->client)) {
		verify_fault(&l->v, FAULT_FOREIGN,
		    "member %u: an answer for message %u of member %u",
		    (unsigned)(c - l->client), i, m->member);
		return;
	}
	if (m->flags & MESSAGE_TIMED && m->acks == 0 && m->events == 0)
		hist_add(&l->sent_after, l->now - m->sent_ns);
	(void)verify_sent(&l->v, i, seq, is_ack);
	client_acked(l, c, i);
	if (verify_complete(&l->v, i))
		pace_complete(l, l->v.message[i].room);
}

static void
on_sent(struct load *l, struct client *c, struct span text)
{
	struct scan_message m;
	uint32_t i;

	if (scan_message(text, &m) && m.has_seq && answer_index(l, m.id, &i))
		sent(l, c, i, m.seq, false);
	else
		garbled(l, c, text);
}

/* A string as the last argument is where the client stands: keep it. */
static void
keep_offset(struct client *c, struct span packet)
{
	const char *end = packet.p + packet.len - 2, *p;
	size_t n;

	if (packet.len < 4 || end[0] != '"' || end[1] != ']' ||
	    (p = memrchr(packet.p, '"', (size_t)(end - packet.p))) == NULL)
		return;
	n = (size_t)(end - p) - 1;
	if (n < sizeof(c->offset)) {
		memcpy(c->offset, p + 1, n);
		c->offset[n] = '\0';
	}
}

static void
on_event(struct load *l, struct client *c, struct span packet)
{
	if (l->opt.recover)
		keep_offset(c, packet);
	if (BEGINS(packet, EVENT "message-received\","))
		on_received(l, c, cut(packet, sizeof(EVENT) + 17));
	else if (BEGINS(packet, EVENT "message-sent\","))
		on_sent(l, c, cut(packet, sizeof(EVENT) + 13));
	else
		l->other_events++;
}

static void
on_joined(struct load *l, struct client *c, const struct scan_message *m)
{
	uint32_t id = (uint32_t)(c - l->client);

	if (!m->ok) {
		snprintf(l->failure, sizeof(l->failure), "join refused: %.*s",
		    (int)m->code.len, m->code.p);
		client_lost(l, c, "join refused");
		return;
	}
	if (!m->has_last_seq) {
		verify_fault(&l->v, FAULT_GARBLED, "a join without lastSeq");
		return;
	}
	if (m->truncated)
		verify_fault(&l->v, FAULT_TRUNCATED, "member %u", id);
	if (c->rejoins)
		c->replay_end = m->last_seq;
	else
		verify_base(&l->v, id, m->last_seq);
	client_ready(l, c);
}

static void
on_refused(struct load *l, struct client *c, uint32_t i,
    const struct scan_message *m)
{
	if (m->retryable && l->opt.reconnect)
		client_refused(l, c, i);
	else
		verify_fault(&l->v, FAULT_REFUSED, "message %u: %.*s", i,
		    (int)m->code.len, m->code.p);
}

static void
on_ack(struct load *l, struct client *c, struct span packet)
{
	struct scan_message m;
	struct span rest = cut(packet, 2), element;
	struct scan s;
	uint64_t n;

	if (!span_number(rest, &n)) {
		garbled(l, c, packet);
		return;
	}
	while (rest.len > 0 && *rest.p >= '0' && *rest.p <= '9')
		rest = cut(rest, 1);
	s = scan_begin(rest, '[');
	if (!scan_element(&s, &element) || !scan_message(element, &m)) {
		garbled(l, c, packet);
		return;
	}
	if (n == REQUEST_JOIN && c->state == CLIENT_JOINING)
		on_joined(l, c, &m);
	else if (n == REQUEST_HISTORY_UP || n == REQUEST_HISTORY_DOWN)
		history_page(l, c, n == REQUEST_HISTORY_UP, &m);
	else if (n < REQUEST_MESSAGE || n - REQUEST_MESSAGE >= l->v.nmessages)
		garbled(l, c, packet);
	else if (!m.ok)
		on_refused(l, c, (uint32_t)(n - REQUEST_MESSAGE), &m);
	else if (!m.has_seq)
		garbled(l, c, packet);
	else
		sent(l, c, (uint32_t)(n - REQUEST_MESSAGE), m.seq, true);
}

/* The string behind 'key' in 'text', if it fits; else an empty one. */
static void
take_string(struct span text, const char *key, char *out, size_t size)
{
	const char *p = memmem(text.p, text.len, key, strlen(key)), *end;

	out[0] = '\0';
	if (p == NULL)
		return;
	p += strlen(key);
	end = memchr(p, '"', (size_t)(text.p + text.len - p));
	if (end == NULL || (size_t)(end - p) >= size)
		return;
	memcpy(out, p, (size_t)(end - p));
	out[end - p] = '\0';
}

static void
on_open(struct load *l, struct client *c, struct span packet)
{
	unsigned id = (unsigned)(c - l->client);
	int n;

	take_string(packet, "\"sid\":\"", c->sid, sizeof(c->sid));
	if (l->opt.stage == STAGE_OPEN) {
		client_ready(l, c);
		poll_upgrade(l, c);
		return;
	}
	if (l->ntokens > 0)
		n = snprintf(l->text, l->text_size, "40{\"token\":\"%s\"",
		    l->token[id % l->ntokens]);
	else
		n = snprintf(l->text, l->text_size,
		    "40{\"userId\":\"%su%u\",\"userName\":\"user %u\"", l->tag,
		    id, id);
	if (c->pid[0] != '\0') {
		n += snprintf(l->text + n, l->text_size - (size_t)n,
		    ",\"pid\":\"%s\"", c->pid);
		if (c->offset[0] != '\0')
			n += snprintf(l->text + n, l->text_size - (size_t)n,
			    ",\"offset\":\"%s\"", c->offset);
	}
	l->text[n++] = '}';
	c->state = CLIENT_NAMESPACE;
	client_packet(l, c, (size_t)n);
	poll_upgrade(l, c);
}

/* True if the socket is the old one again, with all that it was in. */
static bool
is_recovered(struct load *l, struct client *c, struct span packet)
{
	char pid[sizeof(c->pid)], id[sizeof(c->socket_id)];
	bool came_back = c->pid[0] != '\0', same;

	take_string(packet, "\"pid\":\"", pid, sizeof(pid));
	take_string(packet, "\"sid\":\"", id, sizeof(id));
	same = came_back && strcmp(pid, c->pid) == 0;
	if (same && strcmp(id, c->socket_id) != 0)
		verify_fault(&l->v, FAULT_IDENTITY, "member %u: %s, was %s",
		    (unsigned)(c - l->client), id, c->socket_id);
	if (same)
		l->recovered++;
	else if (came_back)
		l->unrecovered++;
	if (!same)
		c->offset[0] = '\0';
	memcpy(c->pid, pid, sizeof(pid));
	memcpy(c->socket_id, id, sizeof(id));
	return same;
}

static void
on_connected(struct load *l, struct client *c, struct span packet)
{
	if (l->opt.stage == STAGE_CONNECT)
		client_ready(l, c);
	else if (l->opt.recover && is_recovered(l, c, packet))
		client_ready(l, c);
	else
		client_join(l, c);
}

static void
on_message(struct load *l, struct client *c, struct span packet)
{
	switch (packet.len > 1 ? packet.p[1] : '\0') {
	case '0':
		if (c->state == CLIENT_NAMESPACE)
			on_connected(l, c, packet);
		else
			garbled(l, c, packet);
		break;
	case '1':
		client_lost(l, c, "disconnected by the server");
		break;
	case '2':
		on_event(l, c, packet);
		break;
	case '3':
		on_ack(l, c, packet);
		break;
	case '4':
		snprintf(l->failure, sizeof(l->failure), "refused: %.*s",
		    packet.len < 100 ? (int)packet.len : 100, packet.p);
		client_lost(l, c, "connect error");
		break;
	default:
		garbled(l, c, packet);
	}
}

void
answer_packet(struct load *l, struct client *c, struct span packet)
{
	switch (packet.len > 0 ? *packet.p : '\0') {
	case '0':
		if (c->state == CLIENT_OPENING)
			on_open(l, c, packet);
		else
			garbled(l, c, packet);
		break;
	case '1':
		client_lost(l, c, "closed by the server");
		break;
	case '2':
		memcpy(l->text, "3", 1);
		client_packet(l, c, 1);
		break;
	case '4':
		on_message(l, c, packet);
		break;
	case '6':
		break;
	default:
		garbled(l, c, packet);
	}
}
