/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * socket - Socket.IO packets of the namespace "/": CONNECT and who may,
 * events to the chat, DISCONNECT (wire page 4.2, 4.3).
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "chat/error.h"
#include "chat/identity.h"
#include "common/clock.h"
#include "common/json.h"
#include "common/log.h"
#include "proto/frame.h"
#include "proto/sio.h"
#include "proto/ws.h"
#include "worker/worker.h"

/* seconds after which a user with too many connections may try again */
#define RETRY_CONNECTIONS 5
/* the longest event name that is looked at */
#define NAME_MAX_LEN 100

static void
socket_fail(struct conn *c, const char *why)
{
	WORKER_COUNT(c->worker, PROTOCOL_ERRORS, 1);
	log_debug("socket.io error client=%u why=%s", c->slot,
	    log_text(why, strlen(why)));
	conn_close(c, COUNTER_CLOSED_PROTOCOL, "forced close", WS_CODE_POLICY,
	    why);
}

static void
socket_connect_error(struct conn *c, const struct span *nsp,
    const char *message, const char *json, size_t len)
{
	struct worker *w = c->worker;
	size_t n = frame_connect_error(NULL, 0, nsp, message, json, len);

	frame_connect_error(output_reserve(w, n), n, nsp, message, json, len);
	output_send(c, output_commit(w), CHAT_ANSWER);
}

/* Refuse a CONNECT with an error of the contract; the client may retry. */
static void
socket_refuse(struct conn *c, enum chat_error err, unsigned retry_after)
{
	struct json_out data = { 0 };
	char text[CHAT_ERROR_TEXT_MAX];

	json_out_object(&data);
	json_out_key(&data, "code");
	json_out_cstring(&data, chat_error_code(err));
	json_out_key(&data, "retryable");
	json_out_bool(&data, chat_error_retryable(err));
	if (retry_after > 0) {
		json_out_key(&data, "retryAfter");
		json_out_u64(&data, retry_after);
	}
	json_out_object_end(&data);
	chat_error_text(c->worker->cfg, err, text, sizeof(text));
	socket_connect_error(c, NULL, text, data.p, data.len);
	json_out_clear(&data);
}

/* Count the connection against its user's limit. */
static bool
socket_admit(struct conn *c, const struct identity *id)
{
	struct worker *w = c->worker;

	if (user_find_or_add(w->tables, id->user_id, strlen(id->user_id),
		&c->user) == 0 &&
	    user_connect(w->tables, &c->user, w->slot,
		w->cfg->limits_connections_per_user, clock_mono_ns()) == 0) {
		c->counted = true;
		return true;
	}
	if (errno == EDQUOT) {
		WORKER_COUNT(w, USER_LIMITED, 1);
		socket_refuse(c, CHAT_E_TOO_MANY_CONNECTIONS,
		    RETRY_CONNECTIONS);
	} else {
		WORKER_COUNT(w, USERS_FULL, 1);
		socket_refuse(c, CHAT_E_OVERLOADED, RETRY_CONNECTIONS);
	}
	return false;
}

static void
socket_accept(struct conn *c, struct identity **id)
{
	struct worker *w = c->worker;
	struct client *cl = c->client;
	char sid[CONN_SID_SIZE];
	size_t n;

	conn_new_sid(w, sid);
	memcpy(cl->socket_sid, sid, sizeof(cl->socket_sid));
	if ((c->chat = chat_connect(w->chat, c, id, sid)) == NULL)
		fatal("memory for a socket");
	c->connected_once = true;
	cl->connect_due = 0;
	conn_set_timer(c);
	gauge_add(w->tables, w->slot, GAUGE_SOCKETS, 1);
	WORKER_COUNT(w, AUTHENTICATED, 1);
	n = frame_connect(NULL, 0, sid, NULL);
	frame_connect(output_reserve(w, n), n, sid, NULL);
	output_send(c, output_commit(w), CHAT_ANSWER);
}

static void
socket_connect(struct conn *c, const struct sio_packet *pkt)
{
	struct worker *w = c->worker;
	struct identity *id;
	enum chat_error err = CHAT_E_INVALID_REQUEST;

	if (w->phase != WORKER_SERVING) {
		socket_refuse(c, CHAT_E_OVERLOADED, 1);
		return;
	}
	id = pkt->refused != NULL
	    ? NULL
	    : identity_authenticate(w->cfg, pkt->payload.p, pkt->payload.len,
		  c->bearer, c->bearer == NULL ? 0 : strlen(c->bearer),
		  clock_real_ms(), &err);
	if (id == NULL) {
		WORKER_COUNT(w, AUTH_FAILED, 1);
		socket_refuse(c, err, 0);
		return;
	}
	if (socket_admit(c, id))
		socket_accept(c, &id);
	identity_free(&id);
}

static void
socket_event(struct conn *c, const struct sio_packet *pkt, size_t size)
{
	char decoded[NAME_MAX_LEN + 1];
	struct json_value name;
	struct chat_str text = { pkt->name.p, pkt->name.len };
	ssize_t n;

	/* escapes in a name are rare, and mean what they mean */
	if (!pkt->name_is_number && pkt->name.len > 0 &&
	    memchr(pkt->name.p, '\\', pkt->name.len) != NULL) {
		name.kind = JSON_KIND_STRING;
		name.text.p = pkt->name.p - 1;
		name.text.len = pkt->name.len + 2;
		n = json_decode(name, decoded, sizeof(decoded));
		if (n >= 0) {
			text.p = decoded;
			text.len = (size_t)n;
		}
	}
	chat_receive(c->worker->chat, c->chat, text,
	    (struct chat_str){ pkt->args.p, pkt->args.len }, size, pkt->has_id,
	    pkt->id);
}

void
socket_packet(struct conn *c, const char *text, size_t len, size_t size)
{
	struct sio_packet pkt;
	const char *why;
	bool root;

	if (!sio_decode(text, len, &pkt, &why)) {
		socket_fail(c, why);
		return;
	}
	root = span_is(pkt.nsp, "/");
	if (pkt.type == SIO_CONNECT && !root) {
		socket_connect_error(c, &pkt.nsp, "Invalid namespace", NULL, 0);
		return;
	}
	/* a packet for what is not joined, or a CONNECT for what is */
	if (!root || (c->chat == NULL) != (pkt.type == SIO_CONNECT)) {
		socket_fail(c, "packet out of turn");
		return;
	}
	switch (pkt.type) {
	case SIO_CONNECT:
		socket_connect(c, &pkt);
		break;
	case SIO_DISCONNECT:
		conn_leave(c, "client namespace disconnect");
		break;
	case SIO_EVENT:
		socket_event(c, &pkt, size);
		break;
	case SIO_ACK:
		/* we never ask for one */
		break;
	case SIO_CONNECT_ERROR:
	case SIO_BINARY_EVENT:
	case SIO_BINARY_ACK:
	case SIO_TYPE__MAX:
		socket_fail(c, "packet that a client does not send");
		break;
	}
}
