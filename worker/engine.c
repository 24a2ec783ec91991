/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * engine - Engine.IO: packets by type, and the heartbeat (wire page 2.6,
 * 2.10, 12).
 *
 * Heartbeat deadlines are absolute and are also looked at when a packet or
 * a request comes, so that a late one cannot revive a session that was dead
 * already.  In revision 3 it is the client who pings.
 */

#include <string.h>

#include "common/log.h"
#include "proto/base64.h"
#include "proto/eio.h"
#include "proto/frame.h"
#include "proto/ws.h"
#include "worker/poll.h"
#include "worker/upgrade.h"
#include "worker/worker.h"

/* a ping may be so late without being late */
#define HELD_UP_MS (2 * WHEEL_TICK_MS)

void
session_set_timer(struct session *s)
{
	uint64_t due = s->ping_due;

	if (s->pong_due != 0 && (due == 0 || s->pong_due < due))
		due = s->pong_due;
	if (s->connect_due != 0 && (due == 0 || s->connect_due < due))
		due = s->connect_due;
	if (s->poll != NULL && s->poll->upgrade_due != 0 &&
	    (due == 0 || s->poll->upgrade_due < due))
		due = s->poll->upgrade_due;
	if (s->conn != NULL)
		conn_set_due(s->conn, due);
	else if (s->poll != NULL)
		wheel_set(&s->worker->poll_wheel, &s->poll->timer, due);
}

/* Revision 3: the client's next ping must be here by then. */
static uint64_t
silence_due(const struct session *s)
{
	return s->worker->now_ms + s->ping_interval + s->ping_timeout;
}

void
session_start(struct session *s)
{
	const struct worker *w = s->worker;

	if (s->revision == EIO_REVISION_3)
		s->pong_due = silence_due(s);
	else
		s->ping_due = w->now_ms + s->ping_interval;
	if (w->app.ops->kind == APP_SOCKETIO)
		s->connect_due = w->now_ms + w->cfg->engine_connect_timeout;
	session_set_timer(s);
}

/* Who is not being read cannot show that he is alive. */
static bool
is_paused(const struct session *s)
{
	if (s->conn != NULL)
		return s->conn->paused;
	return s->poll != NULL && s->poll->post != NULL &&
	    (s->poll->post->paused || s->poll->post->choked);
}

bool
session_expired(struct session *s)
{
	if (s->pong_due == 0 || s->worker->now_ms < s->pong_due || s->closing ||
	    is_paused(s))
		return false;
	session_fail(s, COUNTER_CLOSED_TIMEOUT, "ping timeout", WS_CODE_NONE,
	    NULL);
	return true;
}

static void
send_ping(struct session *s)
{
	struct worker *w = s->worker;
	uint64_t due = s->ping_due, timeout = s->ping_timeout;

	/* counted from when it was due, not from when the wheel came by;
	 * unless we were held up, which is not the client's fault */
	if (w->now_ms > due + HELD_UP_MS || w->now_ms > due + timeout / 2)
		due = w->now_ms;
	s->ping_due = 0;
	s->pong_due = due + timeout;
	s->put_off = false;
	WORKER_COUNT(w, PINGS, 1);
	if (s->conn == NULL) {
		poll_ping(s);
		return;
	}
	(void)frame_packet(output_reserve(w, FRAME_PACKET_SIZE),
	    FRAME_PACKET_SIZE, EIO_PING);
	session_send(s, output_commit(w), CHAT_EVENT);
}

void
session_on_timer(struct session *s)
{
	struct worker *w = s->worker;
	uint64_t now = w->now_ms;

	if (s->connect_due != 0 && now >= s->connect_due) {
		session_fail(s, COUNTER_CLOSED_TIMEOUT, "forced close",
		    WS_CODE_NONE, NULL);
		return;
	}
	if (session_expired(s))
		return;
	if (s->pong_due != 0 && now >= s->pong_due)
		s->pong_due = now + s->ping_timeout;
	if (s->ping_due != 0 && now >= s->ping_due)
		send_ping(s);
	if (s->poll != NULL && s->poll->upgrade_due != 0 &&
	    now >= s->poll->upgrade_due)
		upgrade_abort(s);
	session_set_timer(s);
}

void
session_probe(struct session *s, uint64_t ms)
{
	uint64_t due = s->worker->now_ms + ms;

	if (s->closing || s->revision == EIO_REVISION_3 ||
	    (s->pong_due == 0 && s->ping_due == 0))
		return;
	if (s->pong_due == 0) {
		s->ping_due = s->worker->now_ms;
		send_ping(s);
	}
	if (s->pong_due > due)
		s->pong_due = due;
	session_set_timer(s);
}

void
session_on_poll_timer(void *arg, struct wheel_entry *e)
{
	struct poll *p =
	    (struct poll *)(void *)((char *)e - offsetof(struct poll, timer));

	session_on_timer(p->session);
}

/* A sign of life. */
static void
heartbeat(struct session *s, enum eio_type type)
{
	const struct worker *w = s->worker;

	if (s->revision == EIO_REVISION_3) {
		s->pong_due = silence_due(s);
	} else if (type == EIO_PONG) {
		s->pong_due = 0;
		s->ping_due = w->now_ms + s->ping_interval;
	} else if (s->pong_due != 0 && !s->put_off) {
		/* a large upload in front of the pong; once a ping */
		s->put_off = true;
		s->pong_due = w->now_ms + s->ping_timeout;
	} else {
		return;
	}
	session_set_timer(s);
}

static void
engine_fail(struct session *s, const char *reason, const char *why)
{
	WORKER_COUNT(s->worker, PROTOCOL_ERRORS, 1);
	session_fail(s, COUNTER_CLOSED_PROTOCOL, reason, WS_CODE_POLICY, why);
}

/* A ping: the client's affair in revision 3 alone. */
static void
engine_ping(struct session *s, const struct eio_packet *pkt)
{
	struct worker *w = s->worker;
	size_t n, len = pkt->data.len < 125 ? pkt->data.len : 0;
	char *to;

	if (s->revision == EIO_REVISION_4) {
		engine_fail(s, "transport error",
		    "invalid heartbeat direction");
		return;
	}
	n = ws_header_size(1 + len);
	to = output_reserve(w, n + 1 + len);
	(void)ws_header(to, WS_TEXT, 1 + len);
	to[n] = eio_type_char(EIO_PONG);
	memcpy(to + n + 1, pkt->data.p, len);
	session_send(s, output_commit(w), CHAT_EVENT);
}

static void
engine_data(struct session *s, const struct eio_packet *pkt)
{
	const struct app *app = &s->worker->app;
	char *data = (char *)(uintptr_t)pkt->data.p;
	size_t len = pkt->data.len;

	if (pkt->base64)
		len = base64_decode(data, data, len);
	if (app->ops->kind == APP_ENGINEIO)
		app->ops->message(app->ctx, s, data, len, pkt->binary);
	else if (pkt->binary)
		sock_attachment(s, data, len);
	else
		sock_packet(s, data, len);
}

void
session_packet(struct session *s, const struct eio_packet *pkt)
{
	if (s->dead || s->closing)
		return;
	heartbeat(s, pkt->type);
	switch (pkt->type) {
	case EIO_MESSAGE:
		engine_data(s, pkt);
		break;
	case EIO_CLOSE:
		session_quit(s);
		break;
	case EIO_PING:
		engine_ping(s, pkt);
		break;
	case EIO_OPEN:
	case EIO_PONG:
	case EIO_UPGRADE:
	case EIO_NOOP:
	case EIO_TYPE__MAX:
		break;
	}
}

static bool
decode(const struct session *s, const char *data, size_t len, bool binary,
    struct eio_packet *pkt, const char **why_r)
{
	if (s->revision == EIO_REVISION_3)
		return binary ? eio3_decode_binary(data, len, pkt, why_r)
			      : eio3_decode(data, len, pkt, why_r);
	if (!binary)
		return eio_decode(data, len, pkt, why_r);
	eio_decode_binary(data, len, pkt);
	return true;
}

void
session_message(struct session *s, char *data, size_t len, bool binary)
{
	const struct app *app = &s->worker->app;
	struct eio_packet pkt;
	const char *why;

	if (session_expired(s))
		return;
	if (app->ops->kind == APP_WEBSOCKET)
		app->ops->message(app->ctx, s, data, len, binary);
	else if (!decode(s, data, len, binary, &pkt, &why))
		engine_fail(s, "parse error", why);
	else
		session_packet(s, &pkt);
}
