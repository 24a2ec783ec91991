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
#include "chat/webhook.h"
#include "common/clock.h"
#include "common/json.h"
#include "common/log.h"
#include "worker/bridge.h"
#include "worker/crowd.h"
#include "worker/reader.h"
#include "worker/worker.h"

/* seconds after which a user with too many connections may try again */
#define RETRY_CONNECTIONS 5
/* ... and one of whom the application says what makes no sense */
#define RETRY_NONSENSE 2
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
	bridge_forget(so->session->worker->bridge, so);
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

/* Somebody who runs into limits and does not stop (shm/user.h). */
static bool
refuse_held(struct sock *so, const struct identity *id)
{
	struct worker *w = so->session->worker;
	struct user_ref user;
	uint64_t wait_ns;

	if (user_find(w->tables, id->user_id, strlen(id->user_id), &user) == -1)
		return false;
	if ((wait_ns = user_held(w->tables, &user, clock_mono_ns())) == 0)
		return false;
	WORKER_COUNT(w, USER_HELD, 1);
	refuse(so, CHAT_E_RATE_LIMITED,
	    (unsigned)((wait_ns - 1) / NS_PER_S + 1));
	return true;
}

/* A new socket; it is counted. */
static void
accept_new(struct sock *so, struct identity **id)
{
	struct session *s = so->session;
	struct worker *w = s->worker;
	struct chat_connect options = {
		.offsets = s->offsets,
		.owner = { s->number, s->serial },
	};
	char pid[SID_SIZE];

	sid_new(w, so->sid);
	sid_new(w, pid);
	options.pid = pid;
	if ((so->app = chat_connect(w->chat, so, id, so->sid, &options)) ==
	    NULL)
		fatal("memory for a socket");
	WORKER_COUNT(w, AUTHENTICATED, 1);
	sock_accept(so, so->sid, chat_socket_pid(so->app));
}

/* A socket that its client had, if it is still there. */
static bool
take_up(struct sock *so, struct identity **id, const struct chat_resume *resume,
    bool crowded)
{
	struct session *s = so->session;
	struct chat_connect options = {
		.offsets = s->offsets,
		.owner = { s->number, s->serial },
	};
	struct chat_resume wanted = *resume;

	wanted.crowded = crowded;
	so->app = chat_resume(s->worker->chat, so, id, &wanted, &options);
	return so->app != NULL;
}

/*
 * Authenticated: a socket that its client had ('resume' is not NULL), or a new
 * one.
 */
static void
admit(struct sock *so, struct identity **id, const struct chat_resume *resume)
{
	struct worker *w = so->session->worker;
	int error = 0;

	if (refuse_steered(so, *id) || refuse_held(so, *id))
		return;
	if (count_user(so, *id, w->cfg->limits_connections_per_user) == -1)
		error = errno;
	if (resume != NULL && (error == 0 || error == EDQUOT) &&
	    take_up(so, id, resume, error != 0))
		return;
	if (error == EDQUOT && crowd_add(w, so, id))
		return;
	if (error != 0)
		refuse_crowd(so, error);
	else
		accept_new(so, id);
}

bool
app_chat_has_place(const struct sock *so, const struct identity *id)
{
	const struct worker *w = so->session->worker;
	uint32_t limit = w->cfg->limits_connections_per_user;
	struct user_ref user;

	return limit == 0 ||
	    user_find(w->tables, id->user_id, strlen(id->user_id), &user) ==
	    -1 ||
	    user_connections(w->tables, &user) < limit;
}

void
app_chat_again(struct sock *so, struct identity **id)
{
	struct worker *w = so->session->worker;

	if (w->phase != WORKER_SERVING)
		refuse(so, CHAT_E_OVERLOADED, 1);
	/* the place may be free because its user was thrown out */
	else if (refuse_steered(so, *id) || refuse_held(so, *id))
		return;
	else if (count_user(so, *id, w->cfg->limits_connections_per_user) == -1)
		refuse_crowd(so, errno);
	else
		accept_new(so, id);
}

static void
refuse_identity(struct sock *so, enum chat_error err, unsigned retry_after)
{
	struct worker *w = so->session->worker;

	WORKER_COUNT(w, AUTH_FAILED, 1);
	/* that nobody could tell is no event */
	if (err != CHAT_E_AUTH_UNAVAILABLE)
		tell_refused(so, NULL, err);
	refuse(so, err, retry_after);
}

/* Does it want a socket taken up again?  NULL: no. */
static const struct chat_resume *
wants_resume(const struct sock *so, const struct app_connect *req,
    struct chat_resume *resume)
{
	if (!so->session->offsets ||
	    !chat_wants_resume(req->payload.p, req->payload.len, resume))
		return NULL;
	return resume;
}

/* The application says later who it is. */
static void
ask_application(struct sock *so, const struct app_connect *req,
    struct span bearer)
{
	struct worker *w = so->session->worker;
	struct chat_resume resume;
	enum chat_error err = CHAT_E_INVALID_REQUEST;
	char *token = NULL;
	size_t len = 0;

	if (req->refused == NULL)
		token = webhook_token(req->payload.p, req->payload.len,
		    bearer.p, bearer.len, &len, &err);
	if (token != NULL)
		bridge_connect(w->bridge, so, &token, len,
		    wants_resume(so, req, &resume), clock_mono_ms());
	else
		refuse_identity(so, err, 0);
}

static void
app_connect(void *ctx, struct sock *so, const struct app_connect *req)
{
	struct worker *w = ctx;
	const struct session_extra *extra = so->session->extra;
	struct span bearer = { NULL, 0 };
	struct chat_resume resume;
	struct identity *id = NULL;
	enum chat_error err = CHAT_E_INVALID_REQUEST;

	if (extra != NULL && extra->bearer != NULL)
		bearer = (struct span){ extra->bearer, strlen(extra->bearer) };
	if (w->phase != WORKER_SERVING) {
		refuse(so, CHAT_E_OVERLOADED, 1);
		return;
	}
	if (w->cfg->auth_mode == AUTH_MODE_WEBHOOK) {
		ask_application(so, req, bearer);
		return;
	}
	if (req->refused == NULL)
		id = identity_authenticate(w->cfg, req->payload.p,
		    req->payload.len, bearer.p, bearer.len, clock_real_ms(),
		    &err);
	if (id == NULL) {
		refuse_identity(so, err, 0);
		return;
	}
	admit(so, &id, wants_resume(so, req, &resume));
	identity_free(&id);
}

/* --- what the application says ------------------------------------------------ */

static void
bridge_who(void *ctx, void *conn, char address[ASK_ADDRESS_MAX],
    struct ask_text *agent_r)
{
	const struct sock *so = conn;
	const struct session_extra *extra = so->session->extra;
	struct net_address peer = session_peer(so->session);

	_Static_assert(NET_ADDRESS_TEXT <= ASK_ADDRESS_MAX, "it fits");
	peer.port = 0;
	net_address_print(&peer, address);
	if (extra != NULL && extra->agent != NULL)
		*agent_r =
		    (struct ask_text){ extra->agent, strlen(extra->agent) };
}

/* Whose token it is; NULL with *err_r. */
static struct identity *
identity_of(const struct bridge_answer *a, enum chat_error *err_r)
{
	switch (a->outcome) {
	case ASK_GRANTED:
		return webhook_identity(a->claims.p, a->claims.len,
		    clock_real_ms(), err_r);
	case ASK_REFUSED:
		*err_r = CHAT_E_SESSION_INVALID;
		return NULL;
	case ASK_UNAVAILABLE:
	case ASK_OUTCOME__MAX:
		break;
	}
	*err_r = CHAT_E_AUTH_UNAVAILABLE;
	return NULL;
}

static bool
connect_answered(struct sock *so, const struct bridge_answer *a)
{
	struct worker *w = so->session->worker;
	enum chat_error err = CHAT_E_AUTH_UNAVAILABLE;
	struct identity *id;

	if (w->phase != WORKER_SERVING) {
		refuse(so, CHAT_E_OVERLOADED, 1);
		return false;
	}
	if ((id = identity_of(a, &err)) == NULL) {
		refuse_identity(so, err,
		    err == CHAT_E_AUTH_UNAVAILABLE && a->retry_after == 0
			? RETRY_NONSENSE
			: a->retry_after);
		return false;
	}
	admit(so, &id, a->resume);
	identity_free(&id);
	/* what it had said meanwhile may have ended all */
	return so->app != NULL || crowd_waits(w, so);
}

static bool
refresh_answered(struct sock *so, const struct bridge_answer *a)
{
	struct worker *w = so->session->worker;
	enum chat_error err = CHAT_OK;
	struct identity *id = identity_of(a, &err);
	bool taken;

	taken = chat_verified(w->chat, so->app, a->request, &id, err,
	    a->retry_after);
	identity_free(&id);
	return taken;
}

/* Nobody to ask, or nonsense: nothing changes. */
static bool
recheck_answered(struct sock *so, const struct bridge_answer *a)
{
	struct worker *w = so->session->worker;
	uint64_t expires = chat_socket_identity(so->app)->expires_ms;
	enum chat_error err = CHAT_OK;
	struct identity *id = identity_of(a, &err);

	/* what has come to its end is being dealt with (chat/expiry.h) */
	if (id == NULL &&
	    (err == CHAT_E_AUTH_UNAVAILABLE ||
		(err == CHAT_E_TOKEN_EXPIRED && expires != 0 &&
		    expires <= (uint64_t)clock_real_ms())))
		return false;
	if (id == NULL)
		WORKER_COUNT(w, RECHECK_REVOKED, 1);
	chat_rechecked(w->chat, so->app, &id);
	identity_free(&id);
	return true;
}

static bool
bridge_answered(void *ctx, void *conn, const struct bridge_answer *a)
{
	struct sock *so = conn;

	if (a->purpose == BRIDGE_CONNECT)
		return connect_answered(so, a);
	if (so->app == NULL)
		return false;
	return a->purpose == BRIDGE_REFRESH ? refresh_answered(so, a)
					    : recheck_answered(so, a);
}

static void
bridge_count(void *ctx, enum counter what)
{
	struct worker *w = ctx;

	WORKER_COUNT_DYNAMIC(w, what);
}

const struct bridge_ops app_chat_bridge_ops = {
	.who = bridge_who,
	.answer = bridge_answered,
	.count = bridge_count,
};

void
app_chat_verify(void *ctx, void *conn, uint32_t request, struct chat_str token)
{
	struct worker *w = ctx;

	bridge_verify(w->bridge, conn, request, token, clock_mono_ms());
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
	bridge_forget(w->bridge, so);
	crowd_forget(w, so);
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
