/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * app_chat - the chat as the application: who may connect to the namespace
 * "/", and events to it.
 */

#include <errno.h>
#include <string.h>

#include "chat/error.h"
#include "chat/identity.h"
#include "chat/security.h"
#include "chat/steer.h"
#include "common/clock.h"
#include "common/json.h"
#include "common/log.h"
#include "worker/reader.h"
#include "worker/worker.h"

/* seconds after which a user with too many connections may try again */
#define RETRY_CONNECTIONS 5
/* the longest event name that is looked at */
#define NAME_MAX_LEN 100
#define NS_PER_S UINT64_C(1000000000)

/* Refuse a CONNECT with an error of the contract; the client may retry. */
static void
refuse(struct sock *so, enum chat_error err, unsigned retry_after)
{
	const struct config *cfg = so->session->worker->cfg;
	struct json_out data = { 0 };
	char text[CHAT_ERROR_TEXT_MAX];

	chat_error_text(cfg, err, text, sizeof(text));
	json_out_object(&data);
	/* clients of version 2 see nothing but the data */
	if (so->session->revision == EIO_REVISION_3) {
		json_out_key(&data, "message");
		json_out_cstring(&data, text);
	}
	json_out_key(&data, "code");
	json_out_cstring(&data, chat_error_code(err));
	json_out_key(&data, "retryable");
	json_out_bool(&data, chat_error_retryable(err));
	if (retry_after > 0) {
		json_out_key(&data, "retryAfter");
		json_out_u64(&data, retry_after);
	}
	json_out_object_end(&data);
	sock_refuse(so, text, data.p, data.len);
	json_out_clear(&data);
}

/* Count the connection against its user's limit; -1 with errno. */
static int
count_user(struct sock *so, const struct identity *id, uint32_t limit)
{
	struct worker *w = so->session->worker;

	if (so->counted)
		return 0;
	if (user_find_or_add(w->tables, id->user_id, strlen(id->user_id),
		&so->user) == -1 ||
	    user_connect(w->tables, &so->user, w->slot, limit,
		clock_mono_ns()) == -1)
		return -1;
	so->counted = true;
	return 0;
}

static void
uncount_user(struct sock *so)
{
	struct worker *w = so->session->worker;

	if (so->counted)
		user_disconnect(w->tables, &so->user, w->slot, clock_mono_ns());
	so->counted = false;
}

static void
refuse_crowd(struct sock *so, int error)
{
	struct worker *w = so->session->worker;

	if (error == EDQUOT) {
		WORKER_COUNT(w, USER_LIMITED, 1);
		refuse(so, CHAT_E_TOO_MANY_CONNECTIONS, RETRY_CONNECTIONS);
	} else {
		WORKER_COUNT(w, USERS_FULL, 1);
		refuse(so, CHAT_E_OVERLOADED, RETRY_CONNECTIONS);
	}
}

/* For those who look after security: a CONNECT was refused. */
static void
tell_refused(const struct sock *so, const char *user_id, enum chat_error err)
{
	struct net_address peer = session_peer(so->session);
	char address[NET_ADDRESS_TEXT];

	peer.port = 0;
	net_address_print(&peer, address);
	security_refused(so->session->worker->chat, user_id, address, err);
}

/* Somebody who is banned, or whose token was revoked. */
static bool
refuse_steered(struct sock *so, const struct identity *id)
{
	struct worker *w = so->session->worker;
	const struct steer_who who = { .user_id = id->user_id,
		.has_token = w->cfg->auth_mode == AUTH_MODE_JWT,
		.token_id = id->token_id,
		.issued_ms = id->issued_ms };
	uint64_t wait_ns = 0;
	enum chat_error err = steer_admit(w->chat, &who, &wait_ns);

	if (err == CHAT_OK)
		return false;
	WORKER_COUNT(w, AUTH_FAILED, 1);
	tell_refused(so, id->user_id, err);
	refuse(so, err,
	    wait_ns == 0 ? 0 : (unsigned)((wait_ns - 1) / NS_PER_S + 1));
	return true;
}

/* Authenticated: a socket that its client had, or a new one. */
static void
admit(struct sock *so, struct identity **id, const struct app_connect *req)
{
	struct session *s = so->session;
	struct worker *w = s->worker;
	struct chat_connect options = {
		.offsets = s->offsets,
		.owner = { s->number, s->serial },
	};
	struct chat_resume resume;
	char pid[SID_SIZE];
	int error = 0;

	if (refuse_steered(so, *id))
		return;
	if (count_user(so, *id, w->cfg->limits_connections_per_user) == -1)
		error = errno;
	if (s->offsets &&
	    chat_wants_resume(req->payload.p, req->payload.len, &resume)) {
		resume.crowded = error == EDQUOT;
		if (error == 0 || error == EDQUOT)
			so->app =
			    chat_resume(w->chat, so, id, &resume, &options);
		if (so->app != NULL)
			return;
	}
	if (error != 0) {
		refuse_crowd(so, error);
		return;
	}
	sid_new(w, so->sid);
	sid_new(w, pid);
	options.pid = pid;
	if ((so->app = chat_connect(w->chat, so, id, so->sid, &options)) ==
	    NULL)
		fatal("memory for a socket");
	WORKER_COUNT(w, AUTHENTICATED, 1);
	sock_accept(so, so->sid, chat_socket_pid(so->app));
}

static void
app_connect(void *ctx, struct sock *so, const struct app_connect *req)
{
	struct worker *w = ctx;
	const struct session_extra *extra = so->session->extra;
	const char *bearer = extra == NULL ? NULL : extra->bearer;
	struct identity *id;
	enum chat_error err = CHAT_E_INVALID_REQUEST;

	if (w->phase != WORKER_SERVING) {
		refuse(so, CHAT_E_OVERLOADED, 1);
		return;
	}
	id = req->refused != NULL
	    ? NULL
	    : identity_authenticate(w->cfg, req->payload.p, req->payload.len,
		  bearer, bearer == NULL ? 0 : strlen(bearer), clock_real_ms(),
		  &err);
	if (id == NULL) {
		WORKER_COUNT(w, AUTH_FAILED, 1);
		tell_refused(so, NULL, err);
		refuse(so, err, 0);
		return;
	}
	admit(so, &id, req);
	identity_free(&id);
}

void
app_chat_connected(void *ctx, void *conn, const char *sid, const char *pid,
    bool recovered)
{
	struct worker *w = ctx;
	struct sock *so = conn;

	/* the place of the one that it has replaced */
	(void)count_user(so, chat_socket_identity(so->app), 0);
	WORKER_COUNT(w, AUTHENTICATED, 1);
	if (recovered)
		WORKER_COUNT(w, RECOVERED, 1);
	sock_accept(so, sid, pid);
}

void
app_chat_refused(void *ctx, void *conn, enum chat_error err)
{
	struct worker *w = ctx;
	struct sock *so = conn;

	/* the chat frees it itself */
	so->app = NULL;
	reader_forget(w->reader, so);
	uncount_user(so);
	if (err == CHAT_E_TOO_MANY_CONNECTIONS)
		refuse_crowd(so, EDQUOT);
	else
		refuse(so, err, chat_error_retryable(err) ? 1 : 0);
}

void
app_chat_close(void *ctx, void *conn)
{
	struct sock *so = conn;

	session_close(so->session, COUNTER_CLOSED_SERVER, "transport close");
}

void
app_chat_disconnect(void *ctx, void *conn, const char *reason)
{
	sock_disconnect_later(conn, reason);
}

static const char *
app_nsp(void *ctx, struct span name)
{
	return span_is(name, "/") ? "/" : NULL;
}

static void
app_event(void *ctx, struct sock *so, const struct app_event *ev)
{
	struct worker *w = ctx;
	const struct sio_packet *pkt = ev->pkt;
	char decoded[NAME_MAX_LEN + 1];
	struct json_value name;
	struct chat_str text = { pkt->name.p, pkt->name.len };
	struct chat_str args = { pkt->args.p, pkt->args.len };
	ssize_t n;

	/* escapes in a name are rare, and mean what they mean */
	if (pkt->name_has_escapes) {
		name.kind = JSON_KIND_STRING;
		name.text.p = pkt->name.p - 1;
		name.text.len = pkt->name.len + 2;
		n = json_decode(name, decoded, sizeof(decoded));
		if (n >= 0) {
			text.p = decoded;
			text.len = (size_t)n;
		}
	}
	/* no event has bytes in it: as one without its payload */
	if (pkt->nattach > 0)
		args.len = 0;
	chat_receive(w->chat, so->app, text, args, ev->size, pkt->has_id,
	    pkt->id);
}

static void
app_ack(void *ctx, struct sock *so, const struct app_event *ev)
{
	/* we never ask for one */
}

static void
app_disconnect(void *ctx, struct sock *so, const char *reason)
{
	struct worker *w = ctx;
	struct chat_socket *cs = so->app;

	so->app = NULL;
	if (cs != NULL)
		chat_disconnect(w->chat, &cs, reason);
	reader_forget(w->reader, so);
	uncount_user(so);
}

static void
app_produce(void *ctx, struct sock *so)
{
	struct worker *w = ctx;

	if (so->app != NULL)
		chat_produce(w->chat, so->app, w->log_cursor);
}

static bool
app_is_congested(void *ctx)
{
	const struct worker *w = ctx;

	return publisher_congested(w->publisher);
}

const struct app_ops app_chat = {
	.kind = APP_SOCKETIO,
	.nsp = app_nsp,
	.connect = app_connect,
	.event = app_event,
	.ack = app_ack,
	.disconnect = app_disconnect,
	.produce = app_produce,
	.congested = app_is_congested,
};
