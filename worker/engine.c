/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * engine - Engine.IO on a WebSocket: the open packet, packets by type, and
 * the heartbeat (wire page 2.5, 2.6, 2.10).
 *
 * Heartbeat deadlines are absolute and are also looked at when a packet
 * comes, so that a late one cannot revive a session that was dead already.
 */

#include <string.h>

#include "common/log.h"
#include "proto/eio.h"
#include "proto/frame.h"
#include "proto/ws.h"
#include "worker/worker.h"

/* client.heartbeat: one packet besides the pong has put the pong off */
#define HEARTBEAT_PUT_OFF 1

void
engine_open(struct conn *c)
{
	const struct config *cfg = c->worker->cfg;
	struct client *cl = c->client;
	char sid[CONN_SID_SIZE], frame[EIO_OPEN_MAX + WS_HEADER_MAX];
	struct eio_open open = {
		.sid = sid,
		.ping_interval = (unsigned)cfg->engine_ping_interval,
		.ping_timeout = (unsigned)cfg->engine_ping_timeout,
		.max_payload = cfg->engine_max_payload,
	};
	uint64_t now = c->worker->now_ms;

	conn_new_sid(c->worker, sid);
	memcpy(cl->engine_sid, sid, sizeof(cl->engine_sid));
	ws_init((struct ws_parser *)(void *)cl->ws, cfg->engine_max_payload);
	cl->phase = CONN_OPEN;
	cl->ping_due = now + cfg->engine_ping_interval;
	cl->pong_due = 0;
	cl->connect_due = now + cfg->engine_connect_timeout;
	conn_set_timer(c);
	output_bytes(c, frame, frame_open(frame, sizeof(frame), &open),
	    CHAT_ANSWER);
}

static void
engine_close_timeout(struct conn *c)
{
	conn_close(c, COUNTER_CLOSED_TIMEOUT, "ping timeout", WS_CODE_NONE,
	    NULL);
}

void
engine_on_timer(struct conn *c)
{
	struct client *cl = c->client;
	const struct config *cfg = c->worker->cfg;
	uint64_t now = c->worker->now_ms;
	char frame[FRAME_PACKET_SIZE];

	if (cl->connect_due != 0 && now >= cl->connect_due) {
		conn_close(c, COUNTER_CLOSED_TIMEOUT, "forced close",
		    WS_CODE_NONE, NULL);
		return;
	}
	if (cl->pong_due != 0 && now >= cl->pong_due) {
		/* who is not being read cannot show that he is alive */
		if (!c->paused) {
			engine_close_timeout(c);
			return;
		}
		cl->pong_due = now + cfg->engine_ping_timeout;
	}
	if (cl->ping_due != 0 && now >= cl->ping_due) {
		cl->ping_due = 0;
		cl->pong_due = now + cfg->engine_ping_timeout;
		cl->heartbeat = 0;
		WORKER_COUNT(c->worker, PINGS, 1);
		output_bytes(c, frame,
		    frame_packet(frame, sizeof(frame), EIO_PING), CHAT_EVENT);
	}
	conn_set_timer(c);
}

static void
engine_heartbeat(struct conn *c, enum eio_type type)
{
	struct client *cl = c->client;
	const struct config *cfg = c->worker->cfg;
	uint64_t now = c->worker->now_ms;

	if (type == EIO_PONG) {
		cl->pong_due = 0;
		cl->ping_due = now + cfg->engine_ping_interval;
	} else if (cl->pong_due != 0 && !(cl->heartbeat & HEARTBEAT_PUT_OFF)) {
		/* a large upload in front of the pong; once a ping */
		cl->heartbeat |= HEARTBEAT_PUT_OFF;
		cl->pong_due = now + cfg->engine_ping_timeout;
	} else {
		return;
	}
	conn_set_timer(c);
}

static void
engine_fail(struct conn *c, const char *reason, const char *why)
{
	WORKER_COUNT(c->worker, PROTOCOL_ERRORS, 1);
	log_debug("engine.io error client=%u why=%s", c->slot,
	    log_text(why, strlen(why)));
	conn_close(c, COUNTER_CLOSED_PROTOCOL, reason, WS_CODE_POLICY, why);
}

void
engine_message(struct conn *c, char *data, size_t len, bool binary)
{
	struct eio_packet pkt;
	const char *why;

	if (c->client->pong_due != 0 &&
	    c->worker->now_ms >= c->client->pong_due && !c->paused) {
		engine_close_timeout(c);
		return;
	}
	if (binary) {
		eio_decode_binary(data, len, &pkt);
	} else if (!eio_decode(data, len, &pkt, &why)) {
		engine_fail(c, "parse error", why);
		return;
	}
	engine_heartbeat(c, pkt.type);
	switch (pkt.type) {
	case EIO_MESSAGE:
		if (pkt.binary)
			engine_fail(c, "forced close",
			    "binary without a packet that announced it");
		else
			socket_packet(c, pkt.data.p, pkt.data.len, len);
		break;
	case EIO_CLOSE:
		conn_close(c, COUNTER_CLOSED_PEER, "transport close",
		    WS_CODE_NONE, NULL);
		break;
	case EIO_PING:
		engine_fail(c, "transport error",
		    "invalid heartbeat direction");
		break;
	case EIO_OPEN:
	case EIO_PONG:
	case EIO_UPGRADE:
	case EIO_NOOP:
	case EIO_TYPE__MAX:
		break;
	}
}
