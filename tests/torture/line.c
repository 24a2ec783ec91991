/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * line - a client's connection: a websocket; or a GET that always waits and
 * one POST at a time.
 */

#include <sys/epoll.h>

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "tests/bench/util.h"
#include "tests/torture/clients.h"

static const char handshake[] =
    "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\n"
    "Host: localhost\r\n"
    "Upgrade: websocket\r\n"
    "Connection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    "Sec-WebSocket-Version: 13\r\n\r\n";

/* How long a step of coming up may take; a stopped process makes it long. */
#define STEP (8 * SECOND)

#define SEPARATOR '\x1e'

void
line_watch(struct clients *t, struct player *p)
{
	wire_watch(t, p, WIRE_MAIN);
	wire_watch(t, p, WIRE_POST);
}

static void
hang_up(struct clients *t, struct player *p)
{
	if (p->state == STATE_READY) {
		t->status->ready--;
		t->status->reconnects++;
	}
	wire_close(&p->wire[WIRE_MAIN]);
	wire_close(&p->wire[WIRE_POST]);
	p->state = STATE_OFF;
	p->sid[0] = '\0';
	p->body_len = 0;
	p->slow_until = p->pause_until = 0;
	p->paging = p->changing = false;
	p->nrequests = 0;
	send_landed(t, p);
	stream_lost(t, p);
	p->due = t->now + clients_between(t, 10 * MS, 250 * MS);
}

void
line_cut(struct clients *t, struct player *p, bool reset)
{
	struct linger at_once = { .l_onoff = 1 };
	unsigned i;

	if (p->state == STATE_OFF)
		return;
	for (i = 0; reset && i < WIRE__MAX; i++)
		if (p->wire[i].fd != -1)
			(void)setsockopt(p->wire[i].fd, SOL_SOCKET, SO_LINGER,
			    &at_once, sizeof(at_once));
	if (p->state == STATE_READY)
		clients_note(t, p, (struct ledger_entry){ .kind = LEDGER_CUT });
	hang_up(t, p);
}

void
line_start(struct clients *t, struct player *p)
{
	p->state = STATE_CONNECTING;
	p->due = t->now + STEP;
	p->conn++;
	if (!wire_open(t, p, WIRE_MAIN))
		hang_up(t, p);
}

/* --- polling ------------------------------------------------------------- */

/* Ask for what comes next. */
static void
poll_get(struct clients *t, struct player *p)
{
	char text[256];
	int n;

	n = snprintf(text, sizeof(text),
	    "GET /socket.io/?EIO=4&transport=polling%s%s HTTP/1.1\r\n"
	    "Host: localhost\r\n\r\n",
	    p->sid[0] ? "&sid=" : "", p->sid);
	p->wire[WIRE_MAIN].asking = true;
	wire_put(t, p, WIRE_MAIN, text, (size_t)n);
}

/* Send what is queued, when the POST before is answered. */
static void
poll_post(struct clients *t, struct player *p)
{
	struct wire *w = &p->wire[WIRE_POST];
	char text[256];
	int n;

	if (p->body_len == 0 || w->asking || p->sid[0] == '\0')
		return;
	if (w->fd == -1 && !wire_open(t, p, WIRE_POST)) {
		line_cut(t, p, false);
		return;
	}
	n = snprintf(text, sizeof(text),
	    "POST /socket.io/?EIO=4&transport=polling&sid=%s HTTP/1.1\r\n"
	    "Host: localhost\r\n"
	    "Content-Type: text/plain;charset=UTF-8\r\n"
	    "Content-Length: %zu\r\n\r\n",
	    p->sid, p->body_len);
	w->asking = true;
	wire_put(t, p, WIRE_POST, text, (size_t)n);
	wire_put(t, p, WIRE_POST, p->body, p->body_len);
	p->body_len = 0;
}

static void
poll_packet(struct clients *t, struct player *p, const char *text, size_t len)
{
	if (p->body_len + len + 1 > p->body_size) {
		p->body_size = (p->body_len + len + 1) * 2;
		p->body = xreallocarray(p->body, p->body_size, 1);
	}
	if (p->body_len > 0)
		p->body[p->body_len++] = SEPARATOR;
	memcpy(p->body + p->body_len, text, len);
	p->body_len += len;
	poll_post(t, p);
}

/* The answer's body, whole; false: more is to come, or it is no good. */
static bool
poll_answer(const struct wire *w, struct span *body, bool *bad)
{
	const char *end = memmem(w->in, w->in_len, "\r\n\r\n", 4), *p;
	static const char key[] = "\r\ncontent-length:";
	uint64_t len = 0;
	size_t head;

	*bad = false;
	if (end == NULL)
		return false;
	head = (size_t)(end - w->in) + 4;
	*bad = strncmp(w->in, "HTTP/1.1 200", 12) != 0;
	for (p = w->in; p < end; p++)
		if (strncasecmp(p, key, sizeof(key) - 1) == 0)
			break;
	if (*bad || p == end) {
		*bad = true;
		return false;
	}
	for (p += sizeof(key) - 1; *p == ' '; p++)
		;
	for (; isdigit((unsigned char)*p) && len < 1U << 30; p++)
		len = len * 10 + (uint64_t)(*p - '0');
	*body = (struct span){ end + 4, len };
	return w->in_len >= head + len;
}

/* All packets of a GET's answer. */
static void
poll_packets(struct clients *t, struct player *p, struct span body)
{
	const char *end = body.p + body.len, *next;
	uint32_t conn = p->conn;

	while (body.p < end && p->conn == conn && p->state != STATE_OFF) {
		next = memchr(body.p, SEPARATOR, (size_t)(end - body.p));
		if (next == NULL)
			next = end;
		talk_packet(t, p,
		    (struct span){ body.p, (size_t)(next - body.p) });
		body.p = next + 1;
	}
}

static void
poll_bytes(struct clients *t, struct player *p, enum wire_kind kind)
{
	struct wire *w = &p->wire[kind];
	uint32_t conn = p->conn;
	struct span body;
	bool bad;

	if (!poll_answer(w, &body, &bad)) {
		/* a session that is gone, with its worker */
		if (bad)
			line_cut(t, p, false);
		return;
	}
	w->asking = false;
	if (kind == WIRE_POST) {
		w->in_len = 0;
		poll_post(t, p);
		return;
	}
	if (p->state == STATE_UPGRADING)
		p->state = STATE_OPENING;
	poll_packets(t, p, body);
	if (p->conn != conn || p->state == STATE_OFF)
		return;
	w->in_len = 0;
	poll_get(t, p);
}

/* --- websockets ---------------------------------------------------------- */

static void
put_frame(struct clients *t, struct player *p, unsigned opcode,
    const char *text, size_t len)
{
	wire_put(t, p, WIRE_MAIN, t->frame,
	    frame_write(t->frame, opcode, text, len,
		(uint32_t)clients_random(t)));
}

void
line_packet(struct clients *t, struct player *p, const char *text, size_t len)
{
	if (p->polls)
		poll_packet(t, p, text, len);
	else
		put_frame(t, p, FRAME_TEXT, text, len);
}

/* What the handshake was answered; returns its length, 0: more is to come. */
static size_t
take_head(struct clients *t, struct player *p)
{
	const struct wire *w = &p->wire[WIRE_MAIN];
	const char *end = memmem(w->in, w->in_len, "\r\n\r\n", 4);

	if (end == NULL)
		return 0;
	if (strncmp(w->in, "HTTP/1.1 101", 12) != 0) {
		hang_up(t, p);
		return 0;
	}
	p->state = STATE_OPENING;
	return (size_t)(end - w->in) + 4;
}

static void
take_frame(struct clients *t, struct player *p, const struct frame *f)
{
	struct span packet = { f->payload, f->len };

	switch (f->opcode) {
	case FRAME_TEXT:
		talk_packet(t, p, packet);
		break;
	case FRAME_PING:
		put_frame(t, p, FRAME_PONG, f->payload, f->len);
		break;
	case FRAME_CLOSE:
		line_cut(t, p, false);
		break;
	default:
		talk_garbled(t, p, packet);
	}
}

static void
socket_bytes(struct clients *t, struct player *p)
{
	struct wire *w = &p->wire[WIRE_MAIN];
	enum frame_result r = FRAME_MORE;
	uint32_t conn = p->conn;
	struct frame f;
	size_t pos = 0;

	if (p->state == STATE_UPGRADING && (pos = take_head(t, p)) == 0)
		return;
	while (p->conn == conn && p->state != STATE_OFF &&
	    (r = frame_read(w->in + pos, w->in_len - pos, &f)) == FRAME_OK) {
		take_frame(t, p, &f);
		pos += f.total;
	}
	if (p->conn != conn || p->state == STATE_OFF)
		return;
	if (r == FRAME_BAD) {
		talk_garbled(t, p, (struct span){ w->in + pos, 0 });
		line_cut(t, p, true);
		return;
	}
	wire_used(w, pos);
}

/* --- both ---------------------------------------------------------------- */

static void
push(struct clients *t, struct player *p, enum wire_kind kind)
{
	struct wire *w = &p->wire[kind];
	ssize_t n;

	w->connecting = false;
	if (p->state == STATE_CONNECTING) {
		p->state = STATE_UPGRADING;
		if (p->polls)
			poll_get(t, p);
		else
			wire_put(t, p, kind, handshake, sizeof(handshake) - 1);
	}
	if (w->out_len > 0) {
		n = send(w->fd, w->out, w->out_len, MSG_NOSIGNAL);
		if (n > 0) {
			w->out_len -= (size_t)n;
			memmove(w->out, w->out + n, w->out_len);
		}
	}
	wire_watch(t, p, kind);
}

static void
pull(struct clients *t, struct player *p, enum wire_kind kind)
{
	struct wire *w = &p->wire[kind];

	if (!wire_pull(t, w)) {
		/* nobody waits for an idle connection */
		if (kind == WIRE_POST && !w->asking)
			wire_close(w);
		else
			line_cut(t, p, false);
	} else if (p->polls) {
		poll_bytes(t, p, kind);
	} else {
		socket_bytes(t, p);
	}
}

void
line_event(struct clients *t, struct player *p, enum wire_kind kind,
    uint32_t events)
{
	const struct wire *w = &p->wire[kind];
	socklen_t len = sizeof(int);
	int error = 0;

	if (w->fd == -1)
		return;
	if (w->connecting) {
		(void)getsockopt(w->fd, SOL_SOCKET, SO_ERROR, &error, &len);
		if (error != 0) {
			line_cut(t, p, false);
			return;
		}
	}
	if (events & EPOLLOUT)
		push(t, p, kind);
	/* who does not read does not see the end either */
	if (p->slow_until == 0 && w->fd != -1 &&
	    events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		pull(t, p, kind);
	else if (events & (EPOLLHUP | EPOLLERR))
		line_cut(t, p, false);
}
