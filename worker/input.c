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
#include "worker/worker.h"

_Static_assert(sizeof(struct ws_parser) <= sizeof(((struct client *)0)->ws),
    "the parser's state has its place in the client's record");

static void
ws_fail(struct conn *c, unsigned code, const char *why)
{
	WORKER_COUNT(c->worker, PROTOCOL_ERRORS, 1);
	log_debug("websocket error client=%u code=%u why=%s", c->slot, code,
	    log_text(why, strlen(why)));
	conn_close(c, COUNTER_CLOSED_PROTOCOL, "transport error", code, why);
}

/* A message that came in pieces is put together. */
static void
ws_assemble(struct conn *c, bool binary)
{
	struct worker *w = c->worker;
	struct chain *in = &c->client->in;
	size_t len = in->bytes;

	if (w->message_size < len) {
		free(w->message);
		w->message_size = len < 65536 ? 65536 : len;
		if ((w->message = malloc(w->message_size)) == NULL)
			fatal("memory for a message");
	}
	chain_copy(&w->io, in, 0, w->message, len);
	chain_free(&w->io, in);
	engine_message(c, (char *)w->message, len, binary);
}

static void
ws_on_data(struct conn *c, const struct ws_event *ev)
{
	bool binary = ev->opcode == WS_BINARY;

	if (ev->first && ev->last) {
		engine_message(c, ev->data, ev->len, binary);
		return;
	}
	if (ev->len > 0 &&
	    conn_keep(c, &c->client->in, ev->data, ev->len) == -1) {
		conn_close(c, COUNTER_CLOSED_OVERLOAD, "transport error",
		    WS_CODE_RETRY, "out of memory");
		return;
	}
	if (ev->last)
		ws_assemble(c, binary);
}

static void
ws_on_control(struct conn *c, const struct ws_event *ev)
{
	char frame[WS_HEADER_MAX + WS_CONTROL_MAX];
	size_t n;

	switch (ev->opcode) {
	case WS_PING:
		n = ws_header(frame, WS_PONG, ev->len);
		memcpy(frame + n, ev->data, ev->len);
		/* a flood of pings fills the sender's own budget */
		output_bytes(c, frame, n + ev->len, CHAT_DROPPABLE);
		break;
	case WS_CLOSE:
		conn_close(c, COUNTER_CLOSED_PEER, "transport close", ev->code,
		    NULL);
		break;
	default:
		break;
	}
}

size_t
ws_input(struct conn *c, char *buf, size_t len)
{
	struct ws_parser *p = (struct ws_parser *)(void *)c->client->ws;
	struct ws_event ev;
	size_t at = 0, used;

	for (;;) {
		/* this client has to wait: its next message may be published */
		if (publisher_congested(c->worker->publisher)) {
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
		if (c->client == NULL || c->client->phase != CONN_OPEN)
			return len;
	}
}
