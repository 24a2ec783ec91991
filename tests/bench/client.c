/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * client - one client of the load generator: from connect(2) to a joined
 * session, and back to it when it was lost; and its websocket.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/bench/frame.h"
#include "tests/bench/load.h"
#include "tests/bench/util.h"

/* The key of RFC 6455's example, and what a server has to make of it. */
#define WS_KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define WS_ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

#define MS UINT64_C(1000000)

static uint64_t
random_next(struct load *l)
{
	l->random ^= l->random << 13;
	l->random ^= l->random >> 7;
	l->random ^= l->random << 17;
	return l->random;
}

static uint64_t
random_between(struct load *l, uint64_t low, uint64_t high)
{
	return low + random_next(l) % (high - low);
}

void
client_frame(struct load *l, struct client *c, unsigned opcode, const char *p,
    size_t len)
{
	wire_send(c->wire[WIRE_SOCKET], l->frame,
	    frame_write(l->frame, opcode, p, len, (uint32_t)random_next(l)));
}

void
client_packet(struct load *l, struct client *c, size_t len)
{
	if (l->opt.transport == TRANSPORT_WEBSOCKET ||
	    c->upgrade == UPGRADE_DONE)
		client_frame(l, c, FRAME_TEXT, l->text, len);
	else
		poll_packet(l, c, len);
}

static void
ask_for_upgrade(struct load *l, struct client *c, struct wire *w)
{
	char text[1024];

	wire_send(w, text,
	    (size_t)snprintf(text, sizeof(text),
		"GET %s?EIO=4&transport=websocket%s%s HTTP/1.1\r\n"
		"Host: %s\r\n"
		"Upgrade: websocket\r\n"
		"Connection: Upgrade\r\n"
		"Sec-WebSocket-Key: " WS_KEY "\r\n"
		"Sec-WebSocket-Version: 13\r\n\r\n",
		l->opt.path, c->sid[0] ? "&sid=" : "", c->sid, l->opt.host));
	w->waiting = true;
}

void
client_request(struct load *l, struct client *c)
{
	struct wire *w = wire_open(l, c, WIRE_SOCKET);

	if (w == NULL)
		client_lost(l, c, strerror(errno));
	else
		ask_for_upgrade(l, c, w);
}

/* The first connection of a session; false: not now, try again. */
static bool
begin(struct load *l, struct client *c)
{
	bool polls = l->opt.transport != TRANSPORT_WEBSOCKET;
	struct wire *w;

	if (polls && l->opt.mix) {
		(void)poll_get(l, c);
		return true;
	}
	w = wire_open(l, c, polls ? WIRE_GET : WIRE_SOCKET);
	/* a Unix socket's backlog is full: a little later */
	if (w == NULL && errno == EAGAIN)
		return false;
	if (w == NULL)
		client_lost(l, c, strerror(errno));
	else if (polls)
		(void)poll_get(l, c);
	else
		ask_for_upgrade(l, c, w);
	return true;
}

bool
client_start(struct load *l, struct client *c)
{
	c->state = l->opt.transport == TRANSPORT_WEBSOCKET ? CLIENT_UPGRADING
							   : CLIENT_OPENING;
	c->due = l->now + (uint64_t)(l->opt.step_timeout * 1e9);
	l->connecting++;
	if (begin(l, c))
		return true;
	c->state = CLIENT_OFF;
	l->connecting--;
	return false;
}

/* The handshake's answer; returns its length, 0: not all there yet. */
static size_t
read_head(struct load *l, struct wire *w, const char *p, size_t len)
{
	const char *end = memmem(p, len, "\r\n\r\n", 4);
	struct client *c = w->client;
	size_t n;
	int i;

	if (end == NULL)
		return 0;
	n = (size_t)(end - p) + 4;
	if (strncmp(p, "HTTP/1.1 101", 12) != 0 ||
	    memmem(p, n, WS_ACCEPT, strlen(WS_ACCEPT)) == NULL) {
		for (i = 0; p[i] != '\r'; i++)
			;
		snprintf(l->failure, sizeof(l->failure), "answered %.*s",
		    i < 100 ? i : 100, p);
		client_lost(l, c, "no upgrade");
		return n;
	}
	w->waiting = false;
	if (c->upgrade == UPGRADE_PROBING)
		client_frame(l, c, FRAME_TEXT, "2probe", 6);
	else
		c->state = CLIENT_OPENING;
	return n;
}

static void
read_frame(struct load *l, struct client *c, const struct frame *f)
{
	struct span packet = { f->payload, f->len };

	l->frames++;
	switch (f->opcode) {
	case FRAME_TEXT:
		if (l->opt.transport == TRANSPORT_UPGRADE &&
		    c->upgrade != UPGRADE_DONE)
			poll_probe(l, c, packet);
		else
			answer_packet(l, c, packet);
		break;
	case FRAME_PING:
		client_frame(l, c, FRAME_PONG, f->payload, f->len);
		break;
	case FRAME_CLOSE:
		client_lost(l, c, "close frame");
		break;
	default:
		verify_fault(&l->v, FAULT_GARBLED, "opcode %u", f->opcode);
	}
}

size_t
client_bytes(struct load *l, struct wire *w, size_t len, size_t *need_r)
{
	enum frame_result r = FRAME_MORE;
	struct client *c = w->client;
	uint32_t serial = w->serial;
	struct frame f;
	size_t pos = 0;

	if (w->waiting && (pos = read_head(l, w, l->buf, len)) == 0)
		return 0;
	while (w->serial == serial &&
	    (r = frame_read(l->buf + pos, len - pos, &f)) == FRAME_OK) {
		read_frame(l, c, &f);
		pos += f.total;
	}
	if (w->serial != serial)
		return len;
	if (r == FRAME_BAD) {
		verify_fault(&l->v, FAULT_GARBLED, "a frame's head");
		client_lost(l, c, "bad frame");
		return len;
	}
	*need_r = f.total;
	return pos;
}

static void
land(struct load *l, struct client *c)
{
	struct verify_message *m;
	unsigned i;

	for (i = 0; i < c->npending; i++) {
		m = &l->v.message[c->pending[i]];
		if (m->flags & MESSAGE_IN_FLIGHT)
			l->status->in_flight--;
		m->flags &= (uint16_t)~MESSAGE_IN_FLIGHT;
	}
}

/* Close all connections; the session is over for us. */
static void
hang_up(struct load *l, struct client *c, bool reset)
{
	unsigned i;

	for (i = 0; i < WIRE__MAX; i++) {
		if (c->wire[i] == NULL)
			continue;
		if (reset)
			wire_reset(l, c->wire[i]);
		else
			wire_close(l, c->wire[i]);
	}
	if (c->upgrade == UPGRADE_PROBING || c->upgrade == UPGRADE_PAUSING)
		l->upgrading--;
	c->upgrade = UPGRADE_NONE;
	c->sid[0] = '\0';
	c->body_len = 0;
	/* connected again, but not yet back in its session: there is nothing
	 * to recover */
	if (c->state == CLIENT_JOINING || !c->rejoins)
		c->pid[0] = '\0';
}

void
client_lost(struct load *l, struct client *c, const char *why)
{
	unsigned id = (unsigned)(c - l->client);

	if (c->state == CLIENT_READY)
		l->ready--;
	else
		l->connecting--;
	if (l->failure[0] == '\0')
		snprintf(l->failure, sizeof(l->failure), "%s", why);
	hang_up(l, c, false);
	land(l, c);
	if (!l->opt.reconnect) {
		if (c->state == CLIENT_READY)
			verify_fault(&l->v, FAULT_CLOSED, "member %u: %s", id,
			    why);
		c->state = CLIENT_OFF;
		return;
	}
	if (c->state == CLIENT_READY)
		l->reconnects++;
	c->state = CLIENT_WAITING;
	c->due = l->now + random_between(l, 50 * MS, 500 * MS);
	l->waiting++;
}

void
client_join(struct load *l, struct client *c)
{
	unsigned id = (unsigned)(c - l->client);
	char session[64];
	int n;

	load_session(l, id / l->opt.members, session, sizeof(session));
	n = snprintf(l->text, l->text_size,
	    "42%d[\"chat:join-session\","
	    "{\"sessionId\":\"%s\",\"workspaceId\":\"bench\"",
	    REQUEST_JOIN, session);
	if (c->rejoins)
		n += snprintf(l->text + n, l->text_size - (size_t)n,
		    ",\"afterSeq\":%llu",
		    (unsigned long long)verify_position(&l->v, id));
	n += snprintf(l->text + n, l->text_size - (size_t)n, "}]");
	client_packet(l, c, (size_t)n);
	c->state = CLIENT_JOINING;
}

/* Write message 'i', new or again. */
static void
transmit(struct load *l, struct client *c, uint32_t i)
{
	struct verify_message *m = &l->v.message[i];
	char session[64], id[48];
	int n, fill;

	load_session(l, m->room, session, sizeof(session));
	n = snprintf(id, sizeof(id), "%s%x", l->tag, i);
	fill = (int)l->opt.size > n ? (int)l->opt.size - n : 0;
	n = snprintf(l->text, l->text_size,
	    "42%u[\"chat:send-message\",{\"message\":{\"id\":\"%s\","
	    "\"content\":\"%s",
	    REQUEST_MESSAGE + i, id, id);
	memset(l->text + n, 'x', (size_t)fill);
	n += fill;
	n += snprintf(l->text + n, l->text_size - (size_t)n,
	    "\",\"type\":\"user\",\"sessionId\":\"%s\"}}]", session);
	client_packet(l, c, (size_t)n);
	m->flags |= MESSAGE_IN_FLIGHT;
	m->flags &= (uint16_t)~MESSAGE_REFUSED;
	l->status->in_flight++;
}

void
client_message(struct load *l, struct client *c)
{
	uint32_t i = verify_new(&l->v, (uint32_t)(c - l->client));

	if (c->npending == c->pending_size) {
		c->pending_size = c->pending_size ? c->pending_size * 2 : 4;
		c->pending = xreallocarray(c->pending, c->pending_size,
		    sizeof(*c->pending));
	}
	c->pending[c->npending++] = i;
	l->v.message[i].sent_ns = now_ns();
	l->v.message[i].flags = l->timed ? MESSAGE_TIMED : 0;
	l->status->sent++;
	transmit(l, c, i);
}

/* Send again what is pending; only what was refused, if so asked. */
static void
resend(struct load *l, struct client *c, bool refused)
{
	struct verify_message *m;
	unsigned i;

	for (i = 0; i < c->npending; i++) {
		m = &l->v.message[c->pending[i]];
		if (refused && (m->flags & MESSAGE_REFUSED) == 0)
			continue;
		m->attempts++;
		l->resent++;
		transmit(l, c, c->pending[i]);
	}
}

void
client_ready(struct load *l, struct client *c)
{
	c->state = CLIENT_READY;
	l->connecting--;
	l->ready++;
	if (c->rejoins) {
		resend(l, c, false);
		history_resume(l, c);
	}
	c->rejoins = true;
}

void
client_acked(struct load *l, struct client *c, uint32_t i)
{
	struct verify_message *m = &l->v.message[i];
	unsigned k;

	if (m->flags & MESSAGE_IN_FLIGHT) {
		m->flags &= (uint16_t)~MESSAGE_IN_FLIGHT;
		l->status->in_flight--;
	}
	if (m->acks == 0 || m->events == 0)
		return;
	for (k = 0; k < c->npending && c->pending[k] != i; k++)
		;
	if (k == c->npending)
		return;
	l->status->acked++;
	c->npending--;
	memmove(&c->pending[k], &c->pending[k + 1],
	    (c->npending - k) * sizeof(*c->pending));
}

void
client_refused(struct load *l, struct client *c, uint32_t i)
{
	struct verify_message *m = &l->v.message[i];

	if (m->flags & MESSAGE_IN_FLIGHT)
		l->status->in_flight--;
	m->flags &= (uint16_t)~MESSAGE_IN_FLIGHT;
	m->flags |= MESSAGE_REFUSED;
	if (c->resend == 0)
		c->resend = l->now + random_between(l, 100 * MS, 300 * MS);
}

static void
check_one(struct load *l, struct client *c)
{
	if (c->state == CLIENT_WAITING && l->now >= c->due) {
		l->waiting--;
		if (!client_start(l, c)) {
			c->state = CLIENT_WAITING;
			l->waiting++;
		}
	} else if (c->state > CLIENT_WAITING && c->state < CLIENT_READY &&
	    l->now >= c->due) {
		verify_fault(&l->v, FAULT_STUCK, "member %u in state %d",
		    (unsigned)(c - l->client), (int)c->state);
		client_lost(l, c, "no answer");
	} else if (c->state == CLIENT_READY && c->resend != 0 &&
	    l->now >= c->resend) {
		c->resend = 0;
		resend(l, c, true);
	}
}

static bool
may_start(const struct load *l)
{
	double elapsed = (double)(l->now - l->setup[0].ns) / 1e9;

	return l->started < l->nclients && l->connecting < l->opt.burst &&
	    (l->opt.connect_rate == 0 ||
		l->started < elapsed * l->opt.connect_rate);
}

/* Cut connections of clients that are ready, as networks do. */
static void
cut(struct load *l)
{
	struct client *c;

	if (l->cut_due == 0)
		l->cut_due = l->now;
	while (l->now >= l->cut_due) {
		l->cut_due += (uint64_t)(1e9 / l->opt.cut);
		c = &l->client[random_next(l) % l->nclients];
		if (c->state != CLIENT_READY)
			continue;
		l->cuts++;
		hang_up(l, c, random_next(l) % 2 == 0);
		client_lost(l, c, "cut");
		/* some are back before the server has noticed */
		if (random_next(l) % 2 == 0)
			c->due = l->now;
	}
}

void
client_check(struct load *l)
{
	unsigned i;

	if (l->opt.cut > 0 && l->pace.running)
		cut(l);

	while (may_start(l) && client_start(l, &l->client[l->started]))
		l->started++;
	if (!l->opt.reconnect || l->now < l->next_check)
		return;
	l->next_check = l->now + 5 * MS;
	for (i = 0; i < l->started; i++)
		check_one(l, &l->client[i]);
}

void
client_free(struct client *c)
{
	free(c->body);
	free(c->pending);
}
