/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * poll - clients of the load generator that speak HTTP long-polling: one
 * GET always waits, one POST at a time carries what there is to say, and
 * whoever is to go on as a websocket does so as the stock client does.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "tests/bench/frame.h"
#include "tests/bench/load.h"
#include "tests/bench/util.h"

/* Between two packets of a payload. */
#define SEPARATOR '\x1e'

/* What an answer's head says. */
struct answer {
	int status;
	bool close;
	size_t head, body;
};

/* The connection for the next request of that kind; NULL: lost. */
static struct wire *
wire_for(struct load *l, struct client *c, enum wire_kind kind)
{
	struct wire *w = l->opt.mix ? wire_take(l) : c->wire[kind];

	if (w == NULL && (w = wire_open(l, c, kind)) == NULL) {
		client_lost(l, c, strerror(errno));
		return NULL;
	}
	w->kind = kind;
	w->client = c;
	w->waiting = true;
	c->wire[kind] = w;
	return w;
}

static bool
is_waiting(const struct client *c, enum wire_kind kind)
{
	return c->wire[kind] != NULL && c->wire[kind]->waiting;
}

bool
poll_get(struct load *l, struct client *c)
{
	struct wire *w = wire_for(l, c, WIRE_GET);
	char text[1024];

	if (w == NULL)
		return false;
	wire_send(w, text,
	    (size_t)snprintf(text, sizeof(text),
		"GET %s?EIO=4&transport=polling%s%s HTTP/1.1\r\n"
		"Host: %s\r\n\r\n",
		l->opt.path, c->sid[0] ? "&sid=" : "", c->sid, l->opt.host));
	return true;
}

static void
post(struct load *l, struct client *c)
{
	struct wire *w = wire_for(l, c, WIRE_POST);
	char text[4096];
	size_t n;

	if (w == NULL)
		return;
	n = (size_t)snprintf(text, sizeof(text),
	    "POST %s?EIO=4&transport=polling&sid=%s HTTP/1.1\r\n"
	    "Host: %s\r\n"
	    "Content-Type: text/plain;charset=UTF-8\r\n"
	    "Content-Length: %zu\r\n\r\n",
	    l->opt.path, c->sid, l->opt.host, c->body_len);
	/* in one piece, if it is small */
	if (n + c->body_len <= sizeof(text)) {
		memcpy(text + n, c->body, c->body_len);
		wire_send(w, text, n + c->body_len);
	} else {
		wire_send(w, text, n);
		wire_send(w, c->body, c->body_len);
	}
	c->body_len = 0;
}

void
poll_packet(struct load *l, struct client *c, size_t len)
{
	if (c->body_len + len + 1 > c->body_size) {
		c->body_size = 2 * (c->body_len + len + 1);
		c->body = xreallocarray(c->body, c->body_size, 1);
	}
	if (c->body_len > 0)
		c->body[c->body_len++] = SEPARATOR;
	memcpy(c->body + c->body_len, l->text, len);
	c->body_len += len;
	if (c->upgrade != UPGRADE_PAUSING && !is_waiting(c, WIRE_POST))
		post(l, c);
}

void
poll_upgrade(struct load *l, struct client *c)
{
	if (l->opt.transport != TRANSPORT_UPGRADE ||
	    c->state < CLIENT_OPENING || c->upgrade != UPGRADE_NONE)
		return;
	c->upgrade = UPGRADE_PROBING;
	c->upgrade_ns = l->now;
	l->upgrading++;
	client_request(l, c);
}

/* Nothing of polling is under way any more: the websocket has it all. */
static void
upgrade_done(struct load *l, struct client *c)
{
	const char *p = c->body, *end = p + c->body_len, *next;

	if (c->wire[WIRE_GET] != NULL)
		wire_close(l, c->wire[WIRE_GET]);
	if (c->wire[WIRE_POST] != NULL)
		wire_close(l, c->wire[WIRE_POST]);
	c->upgrade = UPGRADE_DONE;
	l->upgrading--;
	l->upgrades++;
	hist_add(&l->upgraded_after, l->now - c->upgrade_ns);
	client_frame(l, c, FRAME_TEXT, "5", 1);
	for (; p < end; p = next + 1) {
		if ((next = memchr(p, SEPARATOR, (size_t)(end - p))) == NULL)
			next = end;
		client_frame(l, c, FRAME_TEXT, p, (size_t)(next - p));
	}
	c->body_len = 0;
}

static void
go_on(struct load *l, struct client *c)
{
	if (c->state < CLIENT_OPENING || c->upgrade == UPGRADE_DONE)
		return;
	if (c->upgrade == UPGRADE_PAUSING) {
		if (!is_waiting(c, WIRE_GET) && !is_waiting(c, WIRE_POST))
			upgrade_done(l, c);
		return;
	}
	if (!is_waiting(c, WIRE_GET) && !poll_get(l, c))
		return;
	if (c->body_len > 0 && !is_waiting(c, WIRE_POST))
		post(l, c);
}

void
poll_probe(struct load *l, struct client *c, struct span packet)
{
	if (!span_is(packet, "3probe") || c->upgrade != UPGRADE_PROBING) {
		verify_fault(&l->v, FAULT_PROBE, "member %u: %.*s",
		    (unsigned)(c - l->client),
		    packet.len < 200 ? (int)packet.len : 200, packet.p);
		return;
	}
	c->upgrade = UPGRADE_PAUSING;
	go_on(l, c);
}

static void
payload(struct load *l, struct client *c, struct span body)
{
	const char *end = body.p + body.len, *next;
	struct span packet;

	for (; body.p <= end && c->state >= CLIENT_OPENING; body.p = next + 1) {
		next = memchr(body.p, SEPARATOR, (size_t)(end - body.p));
		if (next == NULL)
			next = end;
		packet = (struct span){ body.p, (size_t)(next - body.p) };
		answer_packet(l, c, packet);
	}
}

/* Refused: expected of a session that died with its worker, of a proxy that
 * meets nobody, and of nothing else. */
static void
refused(struct load *l, struct client *c, int status, struct span body)
{
	bool unknown =
	    status == 400 && memmem(body.p, body.len, "\"code\":1,", 9) != NULL;
	unsigned id = (unsigned)(c - l->client);

	snprintf(l->failure, sizeof(l->failure), "status %d: %.*s", status,
	    body.len < 80 ? (int)body.len : 80, body.p);
	if (!l->opt.reconnect || (!unknown && (status < 502 || status > 504)))
		verify_fault(&l->v, unknown ? FAULT_UNKNOWN : FAULT_STATUS,
		    "member %u: %s", id, l->failure);
	client_lost(l, c, "refused");
}

static void
answered(struct load *l, struct wire *w, const struct answer *a,
    struct span body)
{
	enum wire_kind kind = w->kind;
	struct client *c = w->client;

	l->requests++;
	w->waiting = false;
	if (a->close)
		wire_close(l, w);
	else if (l->opt.mix)
		wire_share(l, w);
	if (a->status != 200)
		refused(l, c, a->status, body);
	else if (kind == WIRE_GET)
		payload(l, c, body);
	else if (!span_is(body, "ok"))
		verify_fault(&l->v, FAULT_STATUS, "member %u: POST: %.*s",
		    (unsigned)(c - l->client),
		    body.len < 200 ? (int)body.len : 200, body.p);
	go_on(l, c);
}

/* The next line of a head; false at its end. */
static bool
next_line(struct span *head, struct span *line)
{
	const char *end = memmem(head->p, head->len, "\r\n", 2);

	if (end == NULL || end == head->p)
		return false;
	*line = (struct span){ head->p, (size_t)(end - head->p) };
	head->len -= line->len + 2;
	head->p = end + 2;
	return true;
}

static bool
is_field(struct span line, const char *name)
{
	size_t n = strlen(name);

	return line.len > n && strncasecmp(line.p, name, n) == 0;
}

/* Read a head; false if it is none, or says nothing of its length. */
static bool
read_head(struct span head, struct answer *a)
{
	struct span line;
	bool has_length = false;
	uint64_t n;

	if (!next_line(&head, &line) || line.len < 12 ||
	    memcmp(line.p, "HTTP/1.1 ", 9) != 0 ||
	    !span_number((struct span){ line.p + 9, 3 }, &n))
		return false;
	a->status = (int)n;
	while (next_line(&head, &line)) {
		if (is_field(line, "Content-Length: ")) {
			has_length = span_number((struct span){ line.p + 16,
						     line.len - 16 },
			    &n);
			a->body = n;
		} else if (is_field(line, "Connection: close")) {
			a->close = true;
		}
	}
	return has_length;
}

size_t
poll_bytes(struct load *l, struct wire *w, size_t len, size_t *need_r)
{
	const char *end = memmem(l->buf, len, "\r\n\r\n", 4);
	struct client *c = w->client;
	struct answer a = { 0 };

	if (end == NULL && w->waiting)
		return 0;
	a.head = end != NULL ? (size_t)(end - l->buf) + 4 : len;
	if (!w->waiting || !read_head((struct span){ l->buf, a.head }, &a)) {
		verify_fault(&l->v, FAULT_GARBLED, "an HTTP answer: %.*s",
		    len < 200 ? (int)len : 200, l->buf);
		wire_close(l, w);
		if (c != NULL)
			client_lost(l, c, "bad answer");
		return len;
	}
	if (len < a.head + a.body) {
		*need_r = a.head + a.body;
		return 0;
	}
	answered(l, w, &a, (struct span){ l->buf + a.head, a.body });
	return a.head + a.body;
}
