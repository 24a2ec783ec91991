/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * request - an HTTP request: whose it is, what of it we serve, and how the
 * rest is refused (wire page 2.2, 2.3).  The order of the checks is the
 * reference's.
 */

#include <sys/socket.h>

#include <netinet/in.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "proto/cors.h"
#include "proto/eio.h"
#include "proto/forwarded.h"
#include "proto/http.h"
#include "proto/http_body.h"
#include "proto/proxy.h"
#include "proto/query.h"
#include "proto/ws.h"
#include "shm/address.h"
#include "worker/asset.h"
#include "worker/exchange.h"
#include "worker/handoff.h"
#include "worker/poll.h"
#include "worker/upgrade.h"
#include "worker/worker.h"

/* what refused clients are told to wait, in seconds */
#define RETRY_AFTER 5
/* bytes of a file that are sent at a time */
#define FILE_PIECE (64 * 1024)

_Static_assert(sizeof(struct http_scan) <= sizeof(((struct client *)0)->ws),
    "a head's scan uses the place of the parser that follows it");

/* What the query says. */
struct params {
	bool polling, websocket;
	bool has_sid;
	struct span sid;
	uint8_t revision;
	bool b64;
	bool no_recovery;
	bool jsonp;
	uint32_t jsonp_index;
	char sid_text[SID_SIZE + 1];
};

/* --- the PROXY header ----------------------------------------------------- */

size_t
request_proxy(struct conn *c, char *buf, size_t len)
{
	struct net_address source;
	const char *why;
	size_t used;

	switch (proxy_parse(buf, len, &source, &used, &why)) {
	case PROXY_MORE:
		return 0;
	case PROXY_BAD:
		WORKER_COUNT(c->worker, PROXY_BAD, 1);
		log_debug("bad PROXY header client=%u why=%s", c->slot,
		    log_text(why, strlen(why)));
		conn_drop(c, COUNTER_CLOSED_PROTOCOL, "transport error");
		return len;
	case PROXY_OK:
		break;
	}
	if (source.family != AF_UNSPEC)
		conn_set_peer(c, &source);
	c->client->flags &= (uint16_t)~CLIENT_F_PROXY;
	c->client->phase = CONN_HEAD;
	return used;
}

/* --- reading a request ------------------------------------------------------ */

/* A parameter with exactly this value? */
static bool
query_is(struct span query, const char *key, const char *value)
{
	char buf[32];
	size_t len;

	return query_get(query, key, buf, sizeof(buf), &len) == QUERY_FOUND &&
	    len == strlen(value) && memcmp(buf, value, len) == 0;
}

static void
params_jsonp(struct params *p, struct span query)
{
	char buf[128];
	size_t len, i;

	if (query_get(query, "j", buf, sizeof(buf), &len) != QUERY_FOUND)
		return;
	p->jsonp = true;
	for (i = 0; i < len; i++)
		if (buf[i] >= '0' && buf[i] <= '9' &&
		    p->jsonp_index < 100000000)
			p->jsonp_index =
			    p->jsonp_index * 10 + (uint32_t)(buf[i] - '0');
}

static void
params_read(struct params *p, struct span query)
{
	char buf[8];
	size_t len = 0;

	memset(p, 0, sizeof(*p));
	p->polling = query_is(query, "transport", "polling");
	p->websocket = query_is(query, "transport", "websocket");
	p->revision =
	    query_is(query, "EIO", "4") ? EIO_REVISION_4 : EIO_REVISION_3;
	p->b64 = query_get(query, "b64", buf, sizeof(buf), &len) != QUERY_NONE;
	p->no_recovery = query_is(query, "recovery", "0");
	params_jsonp(p, query);
	switch (
	    query_get(query, "sid", p->sid_text, sizeof(p->sid_text), &len)) {
	case QUERY_NONE:
		break;
	case QUERY_FOUND:
		p->has_sid = len > 0;
		p->sid = (struct span){ p->sid_text, len };
		break;
	case QUERY_LONG:
		p->has_sid = true;
		break;
	}
}

static bool
origin_is_sane(const struct http_request *req)
{
	struct span origin;
	size_t i;

	if (http_header(req, "Origin", &origin) == 0)
		return true;
	for (i = 0; i < origin.len; i++)
		if (((unsigned char)origin.p[i] < 0x20 &&
			origin.p[i] != '\t') ||
		    origin.p[i] == 0x7f)
			return false;
	return true;
}

static struct cors
cors_of(const struct config *cfg)
{
	return (struct cors){ cfg->cors_origins.v, cfg->cors_origins.n,
		cfg->cors_credentials };
}

/* The token of "Authorization: Bearer ...". */
static struct span
bearer_of(const struct http_request *req)
{
	struct span value;

	if (http_header(req, "Authorization", &value) != 1 || value.len <= 7 ||
	    strncasecmp(value.p, "Bearer ", 7) != 0)
		return (struct span){ NULL, 0 };
	value.p += 7;
	value.len -= 7;
	while (value.len > 0 && *value.p == ' ') {
		value.p++;
		value.len--;
	}
	return value;
}

static struct span
agent_of(const struct http_request *req)
{
	struct span value = { NULL, 0 };

	(void)http_header(req, "User-Agent", &value);
	return value;
}

/* --- who is it ---------------------------------------------------------------- */

static bool
trusts(void *arg, const struct net_address *a)
{
	return config_trusts(arg, a->family, a->addr);
}

/* The client's address, as far as proxies that we trust tell. */
static void
find_client(const struct conn *c, const struct http_request *req,
    struct net_address *a, bool *counted_r)
{
	const struct client *cl = c->client;
	struct config *cfg = c->worker->cfg;

	memset(a, 0, sizeof(*a));
	a->family = (uint8_t)cl->peer_family;
	memcpy(a->addr, cl->peer, sizeof(a->addr));
	a->port = ntohs(cl->peer_port);
	/* those who come directly have been counted when they came */
	*counted_r = !(cl->flags & CLIENT_F_UNCOUNTED);
	if (config_trusts(cfg, cl->peer_family, cl->peer))
		(void)forwarded_for(req, trusts, cfg, a);
	net_address_unmap(a);
}

/* Comes it too often?  For those whom the master could not know. */
static bool
is_limited(struct worker *w, const struct net_address *a)
{
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} u;

	memset(&u, 0, sizeof(u));
	if (a->family == AF_INET) {
		u.in.sin_family = AF_INET;
		memcpy(&u.in.sin_addr, a->addr, sizeof(u.in.sin_addr));
	} else if (a->family == AF_INET6) {
		u.in6.sin6_family = AF_INET6;
		memcpy(&u.in6.sin6_addr, a->addr, sizeof(u.in6.sin6_addr));
	} else {
		return false;
	}
	return address_rate(w->tables, &u.sa, w->cfg->limits_connect_rate,
		   clock_mono_ns()) != 0;
}

static void
answer_limited(struct conn *c, const struct exchange *x)
{
	char headers[40];
	struct exchange_answer a = { .status = 429,
		.headers = headers,
		.close = true };

	snprintf(headers, sizeof(headers), "Retry-After: %d\r\n", RETRY_AFTER);
	exchange_send(c, x, &a);
}

static void
answer_full(struct conn *c)
{
	char answer[512];

	output_bytes(c, answer, http_busy(answer, sizeof(answer), RETRY_AFTER),
	    CHAT_ANSWER);
	conn_end(c);
}

/* --- sessions ------------------------------------------------------------------ */

/* A handshake: no sid.  The checks are done. */
static void
serve_handshake(struct conn *c, const struct http_request *req,
    const struct params *p, struct exchange *x, const char *buf)
{
	struct worker *w = c->worker;
	struct span bearer = bearer_of(req);
	struct net_address peer;
	struct session *s;
	bool counted;

	find_client(c, req, &peer, &counted);
	if (!counted && is_limited(w, &peer)) {
		WORKER_COUNT(w, CONNECT_LIMITED, 1);
		answer_limited(c, x);
		return;
	}
	/* polling takes no connection: sessions have the same bound */
	if (w->nsessions >= w->cfg->max_connections) {
		answer_full(c);
		return;
	}
	struct session_init init = {
		.revision = p->revision,
		.b64 = p->b64,
		.offsets = p->revision == EIO_REVISION_4 && !p->no_recovery,
		.peer = peer,
		.bearer = bearer.p,
		.bearer_len = bearer.len,
		.agent = agent_of(req),
		.head = { buf, req->head_len },
		.query = req->query,
	};
	if (p->websocket) {
		if (upgrade_accept(c, req, x, CONN_OPEN)) {
			conn_set_peer(c, &peer);
			session_open(w, c, &init);
		}
		return;
	}
	s = session_open(w, NULL, &init);
	x->set_cookie = true;
	poll_get(c, s, x);
}

/* A request of a session that is ours, if of anybody. */
static void
serve_session(struct conn *c, const struct http_request *req,
    const struct params *p, const struct exchange *x)
{
	struct session *s = session_find(c->worker, p->sid);

	if (s == NULL || session_expired(s)) {
		WORKER_COUNT(c->worker, SID_UNKNOWN, 1);
		exchange_refuse(c, x, EIO_UNKNOWN_SID, NULL);
		return;
	}
	if (p->revision != s->revision) {
		exchange_refuse(c, x, EIO_BAD_REQUEST, NULL);
		return;
	}
	if (x->upgrade) {
		if (p->polling)
			upgrade_turn_away(c, req, x);
		else
			upgrade_begin(c, s, req, x);
		return;
	}
	if (p->websocket || s->conn != NULL)
		exchange_refuse(c, x, EIO_BAD_REQUEST, NULL);
	else if (req->method == HTTP_GET)
		poll_get(c, s, x);
	else if (req->method == HTTP_POST)
		poll_post(c, s, req, x);
	else
		exchange_status(c, x, 500);
}

/* The checks of a request without a sid, in the reference's order. */
static bool
check_handshake(struct conn *c, const struct http_request *req,
    const struct params *p, const struct exchange *x)
{
	const struct config *cfg = c->worker->cfg;
	const struct cors cors = cors_of(cfg);
	enum eio_error error;

	if (req->method != HTTP_GET)
		error = EIO_BAD_HANDSHAKE_METHOD;
	else if (p->websocket && !x->upgrade)
		error = EIO_BAD_REQUEST;
	else if (x->upgrade && !cors_allows(&cors, req))
		error = EIO_FORBIDDEN;
	else if (p->revision != EIO_REVISION_4 && !cfg->engine_eio3)
		error = EIO_UNSUPPORTED_VERSION;
	else
		return true;
	exchange_refuse(c, x, error, NULL);
	return false;
}

/*
 * The session is another worker's: the connection goes there, as soon as
 * what was asked before is answered.  False: that worker is not there.
 */
static bool
pass_on(struct conn *c, const struct params *p)
{
	const struct worker *w = c->worker;
	int slot = sid_slot(p->sid);

	if (slot == -1 || (unsigned)slot == w->slot ||
	    !handoff_is_ready(w, (unsigned)slot))
		return false;
	c->pass_to = (uint8_t)slot;
	c->pass_by_ms = w->now_ms + EXCHANGE_HEAD_MS;
	c->client->phase = CONN_PASSING;
	/* the deadline of its head may come while earlier answers are still
	 * being taken: it is not to go before that */
	conn_set_due(c, c->pass_by_ms);
	return true;
}

/* Engine.IO; false if it goes to another worker, unanswered. */
static bool
serve_engine(struct conn *c, const struct http_request *req, struct exchange *x,
    const char *buf)
{
	const struct config *cfg = c->worker->cfg;
	const struct cors cors = cors_of(cfg);
	struct params p;

	params_read(&p, req->query);
	x->jsonp = p.jsonp;
	x->jsonp_index = p.jsonp_index;
	if (!(p.polling && cfg->engine_polling) &&
	    !(p.websocket && cfg->engine_websocket)) {
		exchange_refuse(c, x, EIO_UNKNOWN_TRANSPORT, NULL);
	} else if (!origin_is_sane(req)) {
		exchange_refuse(c, x, EIO_BAD_REQUEST, NULL);
	} else if (p.has_sid) {
		if (pass_on(c, &p))
			return false;
		if (x->upgrade && !cors_allows(&cors, req))
			exchange_refuse(c, x, EIO_FORBIDDEN, NULL);
		else
			serve_session(c, req, &p, x);
	} else if (check_handshake(c, req, &p, x)) {
		if (x->upgrade && p.polling)
			upgrade_turn_away(c, req, x);
		else
			serve_handshake(c, req, &p, x, buf);
	}
	return true;
}

/* A plain WebSocket, for the application that wants those. */
static void
serve_websocket(struct conn *c, const struct http_request *req,
    const struct exchange *x)
{
	const struct session_init init = { .revision = 0 };

	if (!x->upgrade)
		exchange_status(c, x, 426);
	else if (upgrade_accept(c, req, x, CONN_OPEN))
		session_open(c->worker, c, &init);
}

/* --- files ------------------------------------------------------------------------ */

/* The browser's client; false if this is not the name of one of its files. */
static bool
serve_file(struct conn *c, const struct http_request *req, struct exchange *x)
{
	struct worker *w = c->worker;
	const size_t skip = strlen(w->cfg->path);
	struct span name = { req->path.p + skip, req->path.len - skip };
	const struct asset *file;
	char headers[256];
	struct exchange_answer a = { .status = 200, .headers = headers };

	if (w->assets == NULL ||
	    (req->method != HTTP_GET && req->method != HTTP_HEAD) ||
	    (file = asset_find(w->assets, name.p, name.len)) == NULL)
		return false;
	snprintf(headers, sizeof(headers),
	    "Cache-Control: public, max-age=0\r\nETag: %s\r\n", file->etag);
	if (http_etag_matches(req, file->etag)) {
		a.status = 304;
		exchange_send(c, x, &a);
		return true;
	}
	a.type = file->type;
	a.body = (const char *)file->data;
	a.len = file->len;
	if (x->head_only || file->len <= FILE_PIECE) {
		exchange_send(c, x, &a);
		return true;
	}
	x->assets = assets_ref(w->assets);
	x->file = file;
	a.stream = true;
	exchange_send(c, x, &a);
	return true;
}

void
request_file(struct conn *c)
{
	struct exchange *x = c->exchange;
	size_t n = x->file->len - x->file_at;

	if (n > FILE_PIECE)
		n = FILE_PIECE;
	if (n > 0) {
		output_bytes(c, x->file->data + x->file_at, n, CHAT_ANSWER);
		x->file_at += n;
		conn_set_due(c, c->worker->now_ms + EXCHANGE_BODY_MS);
	} else {
		exchange_file_sent(c);
	}
}

/* --- heads -------------------------------------------------------------------------- */

/* False if it goes to another worker. */
static bool
request_serve(struct conn *c, const struct http_request *req, const char *buf)
{
	struct worker *w = c->worker;
	const char *path = w->cfg->path;
	const struct cors cors = cors_of(w->cfg);
	struct exchange x = { .keep_alive = false };
	struct put put = { x.headers, sizeof(x.headers) - 1, 0 };
	struct exchange_answer preflight = { .status = 204 };
	char fields[CORS_HEADERS_MAX + CORS_REQUEST_HEADERS_MAX + 512];
	struct put more = { fields, sizeof(fields) - 1, 0 };

	exchange_init(&x, req);
	if (c->refusal == CONN_FULL) {
		answer_full(c);
		return true;
	}
	if (c->refusal == CONN_TOO_OFTEN) {
		answer_limited(c, &x);
		return true;
	}
	if (req->path.len < strlen(path) ||
	    memcmp(req->path.p, path, strlen(path)) != 0) {
		exchange_status(c, &x, 404);
		return true;
	}
	if (cors_is_preflight(&cors, req)) {
		cors_preflight(&more, &cors, req);
		fields[more.len < sizeof(fields) ? more.len : 0] = '\0';
		preflight.headers = fields;
		exchange_send(c, &x, &preflight);
		return true;
	}
	cors_headers(&put, &cors, req);
	x.headers[put.len < sizeof(x.headers) ? put.len : 0] = '\0';
	if (w->app.ops->kind == APP_WEBSOCKET)
		serve_websocket(c, req, &x);
	else if (!serve_file(c, req, &x))
		return serve_engine(c, req, &x, buf);
	return true;
}

static void
bad_head(struct conn *c, const struct http_error *err)
{
	struct worker *w = c->worker;
	char answer[512];

	WORKER_COUNT(w, REQUESTS, 1);
	WORKER_COUNT(w, REQUESTS_BAD, 1);
	log_debug("bad request client=%u why=%s", c->slot,
	    log_text(err->why, strlen(err->why)));
	output_bytes(c, answer,
	    http_refuse(answer, sizeof(answer), err->status), CHAT_ANSWER);
	conn_end(c);
}

size_t
request_input(struct conn *c, char *buf, size_t len)
{
	struct http_request req;
	struct http_error err;
	struct http_scan scan;

	if (output_is_unread(c)) {
		conn_choke(c);
		return 0;
	}
	if (!c->begun) {
		c->begun = true;
		conn_set_due(c, c->worker->now_ms + EXCHANGE_HEAD_MS);
	}
	memcpy(&scan, c->client->ws, sizeof(scan));
	switch (http_parse(buf, len, &scan, &req, &err)) {
	case HTTP_MORE:
		memcpy(c->client->ws, &scan, sizeof(scan));
		return 0;
	case HTTP_BAD:
		bad_head(c, &err);
		return len;
	case HTTP_OK:
		break;
	}
	memset(c->client->ws, 0, sizeof(c->client->ws));
	if (!request_serve(c, &req, buf))
		return 0;
	WORKER_COUNT(c->worker, REQUESTS, 1);
	if (c->client == NULL || c->client->phase != CONN_BODY)
		return req.head_len;
	/* a body without a byte is complete */
	(void)request_body(c, buf + req.head_len, 0);
	return req.head_len;
}

/* --- bodies ---------------------------------------------------------------------------- */

static void
bad_body(struct conn *c, const struct http_error *err)
{
	const struct exchange_answer a = { .status = err->status,
		.close = true };
	struct session *s = c->session;

	if (c->exchange->dropped) {
		/* it has been answered */
		conn_end(c);
		return;
	}
	c->session = NULL;
	if (s != NULL && s->poll != NULL)
		s->poll->post = NULL;
	c->exchange->has_body = false;
	exchange_send(c, c->exchange, &a);
	if (s != NULL)
		session_lost(s, COUNTER_CLOSED_PROTOCOL, "transport error");
}

/* The whole body is here. */
static void
body_done(struct conn *c, char *whole, size_t len)
{
	struct worker *w = c->worker;
	struct chain *in = &c->client->in;

	if (c->exchange->dropped) {
		if (c->exchange->late)
			poll_late(c);
		else
			conn_next_request(c);
		return;
	}
	if (in->bytes > 0) {
		len = in->bytes;
		whole = scratch(w, SCRATCH_MESSAGE, len);
		chain_copy(&w->io, in, 0, whole, len);
		chain_free(&w->io, in);
	}
	poll_body(c, whole, len);
}

/* A piece of it; false if the connection is not in its body any more. */
static bool
body_piece(struct conn *c, struct span piece, uint64_t total)
{
	const uint64_t max = c->worker->cfg->engine_max_payload;

	if (total > max) {
		if (c->exchange->dropped)
			conn_end(c);
		else
			poll_too_large(c);
		return false;
	}
	if (c->exchange->dropped)
		return true;
	if (conn_keep(c, &c->client->in, piece.p, piece.len) == -1) {
		conn_drop(c, COUNTER_CLOSED_OVERLOAD, "transport error");
		return false;
	}
	return c->client != NULL;
}

/* It may not be stretched for ever. */
static void
body_deadline(struct conn *c, uint64_t total)
{
	conn_set_due(c,
	    c->exchange->body_began_ms + EXCHANGE_BODY_MS +
		total * 1000 / EXCHANGE_BODY_RATE);
}

size_t
request_body(struct conn *c, char *buf, size_t len)
{
	struct http_body *b = (struct http_body *)(void *)c->client->ws;
	struct span piece, only = { NULL, 0 };
	struct http_error err;
	size_t at = 0, used;

	if (!c->exchange->dropped) {
		/* what it asks may be published, or is not fetched */
		if (app_congested(c->worker)) {
			conn_pause(c);
			return 0;
		}
		if (c->session != NULL && poll_must_wait(c->session)) {
			conn_choke(c);
			return 0;
		}
	}
	for (;;) {
		switch (http_body_next(b, buf + at, len - at, &used, &piece,
		    &err)) {
		case HTTP_BODY_MORE:
			if (only.len > 0 && !body_piece(c, only, b->total))
				return len;
			body_deadline(c, b->total);
			return at + used;
		case HTTP_BODY_DATA:
			/* one that is here in one piece is not copied */
			if (only.len > 0 && !body_piece(c, only, b->total))
				return len;
			only = piece;
			at += used;
			break;
		case HTTP_BODY_DONE:
			at += used;
			if (c->client->in.bytes > 0 && only.len > 0) {
				if (!body_piece(c, only, b->total))
					return len;
				only.len = 0;
			}
			if (b->total > c->worker->cfg->engine_max_payload) {
				(void)body_piece(c, only, b->total);
				return len;
			}
			body_done(c, (char *)(uintptr_t)only.p, only.len);
			return at;
		case HTTP_BODY_BAD:
			bad_body(c, &err);
			return len;
		}
	}
}

/* --- to another worker --------------------------------------------------------------------- */

void
request_pass(struct conn *c)
{
	struct worker *w = c->worker;
	size_t len = c->client->raw.bytes;
	char *bytes = scratch(w, SCRATCH_PASS, len);

	chain_copy(&w->io, &c->client->raw, 0, bytes, len);
	switch (handoff_send(w, c, c->pass_to, bytes, len)) {
	case HANDOFF_SENT:
		conn_forget(c);
		break;
	case HANDOFF_LATER:
		conn_set_due(c, w->now_ms + 1);
		break;
	case HANDOFF_GONE:
		/* its worker has just died: unknown, as the session is */
		c->client->phase = CONN_HEAD;
		conn_pause(c);
		break;
	}
}
