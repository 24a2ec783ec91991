/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * input - WebSocket frames to whole messages.
 */

#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "proto/ws.h"
#include "worker/compress.h"
#include "worker/upgrade.h"
#include "worker/worker.h"

_Static_assert(sizeof(struct ws_parser) <= sizeof(((struct client *)0)->ws),
    "the parser's state has its place in the client's record");

/* The connection ends, and what it carried with it. */
static void
ws_end(struct conn *c, enum counter count, const char *reason, unsigned code,
    const char *why)
{
	struct session *s = c->session;

	if (c->client->phase == CONN_PROBE) {
		/* the session goes on polling */
		if (s != NULL)
			upgrade_lost(s);
		c->session = NULL;
		WORKER_COUNT_DYNAMIC(c->worker, count);
		conn_close(c, code, why);
	} else {
		session_fail(s, count, reason, code, why);
	}
}

static void
ws_fail(struct conn *c, unsigned code, const char *why)
{
	WORKER_COUNT(c->worker, PROTOCOL_ERRORS, 1);
	log_debug("websocket error client=%u code=%u why=%s", c->slot, code,
	    log_text(why, strlen(why)));
	ws_end(c, COUNTER_CLOSED_PROTOCOL, "transport error", code, why);
}

static void
ws_message(struct conn *c, char *data, size_t len, bool binary)
{
	if (c->client->phase == CONN_PROBE)
		upgrade_message(c, data, len, binary);
	else
		session_message(c->session, data, len, binary);
}

/* A whole message as it came, compressed perhaps. */
static void
ws_whole(struct conn *c, char *data, size_t len, const struct ws_event *ev)
{
	bool binary = ev->opcode == WS_BINARY;
	const char *why;
	unsigned code;

	if (ev->compressed) {
		data = compress_inflate(c->worker, data, len, !binary, &len,
		    &code, &why);
		if (data == NULL) {
			ws_fail(c, code, why);
			return;
		}
	}
	ws_message(c, data, len, binary);
}

static void
ws_on_data(struct conn *c, const struct ws_event *ev)
{
	struct worker *w = c->worker;
	struct chain *in = &c->client->in;
	size_t len;
	char *whole;

	if (ev->first && ev->last) {
		ws_whole(c, ev->data, ev->len, ev);
		return;
	}
	if (ev->len > 0 && conn_keep(c, in, ev->data, ev->len) == -1) {
		if (c->client == NULL || c->client->phase == CONN_CLOSING)
			return;
		ws_end(c, COUNTER_CLOSED_OVERLOAD, "transport error",
		    WS_CODE_RETRY, "out of memory");
		return;
	}
	/* it may have been its turn to go, or its session's */
	if (!ev->last || c->client == NULL || c->client->phase == CONN_CLOSING)
		return;
	len = in->bytes;
	whole = scratch(w, SCRATCH_MESSAGE, len);
	chain_copy(&w->io, in, 0, whole, len);
	chain_free(&w->io, in);
	ws_whole(c, whole, len, ev);
}

static void
ws_pong(struct conn *c, const struct ws_event *ev)
{
	char frame[WS_HEADER_MAX + WS_CONTROL_MAX];
	size_t n;

	n = ws_header(frame, WS_PONG, ev->len);
	memcpy(frame + n, ev->data, ev->len);
	/* who pings and does not read is not read from any more */
	output_bytes(c, frame, n + ev->len, CHAT_ANSWER);
}

static void
ws_on_control(struct conn *c, const struct ws_event *ev)
{
	if (ev->opcode == WS_PING)
		ws_pong(c, ev);
	else if (ev->opcode == WS_CLOSE)
		ws_end(c, COUNTER_CLOSED_PEER, "transport close", ev->code,
		    NULL);
}

size_t
ws_input(struct conn *c, char *buf, size_t len)
{
	struct ws_parser *p = (struct ws_parser *)(void *)c->client->ws;
	struct ws_event ev;
	size_t at = 0, used;

	for (;;) {
		/* this client has to wait: its next message may be published */
		if (app_congested(c->worker)) {
			conn_pause(c);
			return at;
		}
		if (output_is_unread(c)) {
			conn_choke(c);
			return at;
		}
		switch (ws_next(p, buf + at, len - at, &used, &ev)) {
		case WS_MORE:
			return at + used;
		case WS_DATA:
			at += used;
			WORKER_COUNT(c->worker, FRAMES_IN, 1);
			ws_on_data(c, &ev);
			break;
		case WS_CONTROL:
			at += used;
			ws_on_control(c, &ev);
			break;
		case WS_ERROR:
			ws_fail(c, ev.code, ev.why);
			return len;
		}
		if (c->client == NULL ||
		    (c->client->phase != CONN_OPEN &&
			c->client->phase != CONN_PROBE))
			return len;
	}
}
