/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "worker/upgrade.h"

#include <string.h>

#include "common/fault.h"
#include "common/log.h"
#include "proto/frame.h"
#include "proto/ws.h"
#include "worker/exchange.h"
#include "worker/poll.h"
#include "worker/worker.h"

#define ANSWER_MAX (2048 + EXCHANGE_HEADERS_MAX)

static void
upgrade_refuse(struct conn *c, const struct http_error *err)
{
	struct worker *w = c->worker;
	size_t n;

	WORKER_COUNT(w, REQUESTS_BAD, 1);
	n = ws_reject(output_reserve(w, ANSWER_MAX), ANSWER_MAX, err);
	CHECK(n > 0);
	output_send(c, output_commit_part(w, n), CHAT_ANSWER);
	conn_end(c);
}

bool
upgrade_accept(struct conn *c, const struct http_request *req,
    const struct exchange *x, int phase)
{
	struct worker *w = c->worker;
	struct ws_parser *parser = (struct ws_parser *)(void *)c->client->ws;
	struct ws_handshake hs;
	struct http_error err;
	bool deflate;
	size_t n;

	if (!ws_handshake(req, &hs, &err)) {
		upgrade_refuse(c, &err);
		return false;
	}
	deflate = w->cfg->engine_compression &&
	    ws_deflate_negotiate(req, &hs.deflate);
	n = ws_accept(output_reserve(w, ANSWER_MAX), ANSWER_MAX, &hs,
	    x->headers);
	if (n == 0) {
		/* a subprotocol as long as the head */
		(void)output_commit_part(w, 0);
		err.status = 400;
		err.why = "Bad Request";
		upgrade_refuse(c, &err);
		return false;
	}
	output_send(c, output_commit_part(w, n), CHAT_ANSWER);
	ws_init(parser, w->cfg->engine_max_payload);
	if (deflate) {
		ws_allow_deflate(parser);
		c->deflate_bits = hs.deflate.bits;
	}
	c->client->phase = (uint8_t)phase;
	conn_set_due(c, 0);
	WORKER_COUNT(w, UPGRADES, 1);
	return true;
}

void
upgrade_turn_away(struct conn *c, const struct http_request *req,
    const struct exchange *x)
{
	if (upgrade_accept(c, req, x, CONN_PROBE))
		conn_close(c, WS_CODE_NONE, NULL);
}

void
upgrade_begin(struct conn *c, struct session *s, const struct http_request *req,
    const struct exchange *x)
{
	struct poll *p = s->poll;

	if (p == NULL || p->probe != NULL || s->closing) {
		upgrade_turn_away(c, req, x);
		return;
	}
	if (!upgrade_accept(c, req, x, CONN_PROBE))
		return;
	c->session = s;
	p->probe = c;
	p->upgrade_due =
	    c->worker->now_ms + c->worker->cfg->engine_upgrade_timeout;
	session_set_timer(s);
}

void
upgrade_lost(struct session *s)
{
	s->poll->probe = NULL;
	s->poll->probed = false;
	s->poll->upgrade_due = 0;
}

void
upgrade_abort(struct session *s)
{
	struct conn *c = s->poll->probe;

	if (c == NULL)
		return;
	upgrade_lost(s);
	c->session = NULL;
	conn_close(c, WS_CODE_NONE, NULL);
}

/* From now on everything goes by the WebSocket. */
static void
upgrade_finish(struct session *s)
{
	struct worker *w = s->worker;
	struct poll *p = s->poll;
	struct conn *c = p->probe;
	char *frames;
	uint32_t len = p->out.bytes;

	/* a client that knows better has none pending */
	if (p->get != NULL)
		poll_dismiss(s);
	if (s->dead)
		return;
	if (p->post != NULL) {
		p->post->session = NULL;
		p->post->exchange->dropped = true;
		p->post->exchange->late = true;
		chain_free(&w->io, &p->post->client->in);
		if (p->post->choked)
			conn_unchoke(p->post);
	}
	if (len > 0) {
		frames = output_reserve(w, len);
		chain_copy(&w->io, &p->out, 0, frames, len);
		output_send(c, output_commit(w), CHAT_ANSWER);
	}
	FAULT(UPGRADE_HALF);
	conn_set_peer(c, &p->peer);
	poll_free(s);
	c->client->phase = CONN_OPEN;
	s->conn = c;
	memcpy(c->client->engine_sid, s->sid, sizeof(s->sid));
	/* the pong may have been under way on the other transport */
	if (s->pong_due != 0) {
		s->pong_due = 0;
		if (s->ping_due == 0)
			s->ping_due = w->now_ms + s->ping_interval;
	}
	session_set_timer(s);
	w->again = true;
	if (s->closing)
		session_finish(s);
}

void
upgrade_message(struct conn *c, const char *data, size_t len, bool binary)
{
	static const char pong[] = "3probe";
	struct session *s = c->session;
	struct worker *w = c->worker;
	size_t head = ws_header_size(sizeof(pong) - 1);
	char *frame;

	if (!binary && len == 6 && memcmp(data, "2probe", 6) == 0) {
		frame = output_reserve(w, head + sizeof(pong) - 1);
		(void)ws_header(frame, WS_TEXT, sizeof(pong) - 1);
		memcpy(frame + head, pong, sizeof(pong) - 1);
		output_send(c, output_commit(w), CHAT_ANSWER);
		s->poll->probed = true;
		poll_mark(s);
	} else if (!binary && len == 1 && data[0] == '5') {
		/* what waits may be gone already, and it goes with it */
		if (!s->doomed)
			upgrade_finish(s);
	} else {
		/* this one is no transport; the session goes on polling */
		upgrade_abort(s);
	}
}
