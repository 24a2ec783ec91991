/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * request - an HTTP request head: what of it is a WebSocket with an
 * Engine.IO session, and what is refused and how (wire page 2.2, 2.3).
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "proto/eio.h"
#include "proto/http.h"
#include "proto/query.h"
#include "proto/ws.h"
#include "worker/worker.h"

/* what refused clients are told to wait, in seconds */
#define RETRY_AFTER 5
/* the largest answer made here */
#define ANSWER_MAX 2048

_Static_assert(sizeof(struct http_scan) <= sizeof(((struct client *)0)->ws),
    "a head's scan uses the place of the parser that follows it");

/* Write an answer and take no more requests. */
static void
request_answer(struct conn *c, const char *answer, size_t len)
{
	struct worker *w = c->worker;

	if (len == 0) {
		conn_drop(c, COUNTER_CLOSED_ERROR, "transport error");
		return;
	}
	output_bytes(c, answer, len, CHAT_ANSWER);
	counter_add(w->tables, w->slot, COUNTER_CLOSED_SERVER, 1);
	c->client->phase = CONN_CLOSING;
}

static void
request_refuse(struct conn *c, const struct http_request *req,
    enum eio_error error)
{
	char answer[ANSWER_MAX];
	struct eio_refusal r = {
		.error = error,
		.upgrade = req->upgrade_websocket,
		.head_only = req->method == HTTP_HEAD,
		.close = true,
	};

	WORKER_COUNT(c->worker, REQUESTS_BAD, 1);
	request_answer(c, answer, eio_refuse(answer, sizeof(answer), &r));
}

static void
request_status(struct conn *c, const struct http_request *req, int status,
    const char *headers)
{
	char answer[ANSWER_MAX];
	struct http_response res = {
		.status = status,
		.close = true,
		.head_only = req != NULL && req->method == HTTP_HEAD,
		.headers = headers,
	};

	WORKER_COUNT(c->worker, REQUESTS_BAD, 1);
	request_answer(c, answer, http_respond(answer, sizeof(answer), &res));
}

/* The daemon is full, or the address comes too often. */
static void
request_unwelcome(struct conn *c, const struct http_request *req)
{
	char answer[ANSWER_MAX], headers[40];

	if (c->refusal == CONN_FULL) {
		request_answer(c, answer,
		    http_busy(answer, sizeof(answer), RETRY_AFTER));
		return;
	}
	snprintf(headers, sizeof(headers), "Retry-After: %d\r\n", RETRY_AFTER);
	request_status(c, req, 429, headers);
}

/* A parameter with exactly this value? */
static bool
query_is(struct span query, const char *key, const char *value)
{
	char buf[32];
	size_t len;

	return query_get(query, key, buf, sizeof(buf), &len) == QUERY_FOUND &&
	    len == strlen(value) && memcmp(buf, value, len) == 0;
}

/* Given and not empty? */
static bool
query_has(struct span query, const char *key)
{
	char buf[8];
	size_t len;

	switch (query_get(query, key, buf, sizeof(buf), &len)) {
	case QUERY_NONE:
		return false;
	case QUERY_FOUND:
		return len > 0;
	case QUERY_LONG:
		return true;
	}
	return true;
}

static bool
origin_is_sane(const struct http_request *req)
{
	struct span origin;
	size_t i;

	if (http_header(req, "Origin", &origin) == 0)
		return true;
	for (i = 0; i < origin.len; i++)
		if ((unsigned char)origin.p[i] < 0x20 || origin.p[i] == 0x7f)
			return false;
	return true;
}

/*
 * Is it an Engine.IO handshake that we serve?  The order of the checks is
 * the reference's.  Polling is not among the transports.
 */
static bool
request_check(const struct http_request *req, enum eio_error *error_r)
{
	if (!query_is(req->query, "transport", "websocket")) {
		*error_r = EIO_UNKNOWN_TRANSPORT;
		return false;
	}
	if (!origin_is_sane(req)) {
		*error_r = EIO_BAD_REQUEST;
		return false;
	}
	/* a session that began on a WebSocket has no other way in */
	if (query_has(req->query, "sid")) {
		*error_r = EIO_UNKNOWN_SID;
		return false;
	}
	if (req->method != HTTP_GET) {
		*error_r = EIO_BAD_HANDSHAKE_METHOD;
		return false;
	}
	if (!req->upgrade_websocket) {
		*error_r = EIO_BAD_REQUEST;
		return false;
	}
	if (!query_is(req->query, "EIO", "4")) {
		*error_r = EIO_UNSUPPORTED_VERSION;
		return false;
	}
	return true;
}

/* Keep the token of "Authorization: Bearer ...". */
static void
request_keep_bearer(struct conn *c, const struct http_request *req)
{
	struct span value;

	if (http_header(req, "Authorization", &value) != 1 || value.len <= 7 ||
	    strncasecmp(value.p, "Bearer ", 7) != 0)
		return;
	value.p += 7;
	value.len -= 7;
	while (value.len > 0 && *value.p == ' ') {
		value.p++;
		value.len--;
	}
	if (value.len > 0 && (c->bearer = strndup(value.p, value.len)) == NULL)
		fatal("memory for a token");
}

static void
request_upgrade(struct conn *c, const struct http_request *req)
{
	char answer[ANSWER_MAX];
	struct ws_handshake hs;
	struct http_error err;
	size_t len;

	if (!ws_handshake(req, &hs, &err)) {
		WORKER_COUNT(c->worker, REQUESTS_BAD, 1);
		request_answer(c, answer,
		    ws_reject(answer, sizeof(answer), &err));
		return;
	}
	if ((len = ws_accept(answer, sizeof(answer), &hs, NULL)) == 0) {
		request_status(c, req, 400, NULL);
		return;
	}
	WORKER_COUNT(c->worker, UPGRADES, 1);
	request_keep_bearer(c, req);
	output_bytes(c, answer, len, CHAT_ANSWER);
	engine_open(c);
}

static void
request_serve(struct conn *c, const struct http_request *req)
{
	const char *path = c->worker->cfg->path;
	enum eio_error error;

	WORKER_COUNT(c->worker, REQUESTS, 1);
	if (c->refusal != CONN_WELCOME)
		request_unwelcome(c, req);
	else if (req->path.len < strlen(path) ||
	    memcmp(req->path.p, path, strlen(path)) != 0)
		request_status(c, req, 404, NULL);
	else if (!request_check(req, &error))
		request_refuse(c, req, error);
	else
		request_upgrade(c, req);
}

size_t
request_input(struct conn *c, char *buf, size_t len)
{
	struct http_request req;
	struct http_error err;
	struct http_scan scan;
	char answer[ANSWER_MAX];
	enum http_result r;

	memcpy(&scan, c->client->ws, sizeof(scan));
	r = http_parse(buf, len, &scan, &req, &err);
	memcpy(c->client->ws, &scan, sizeof(scan));
	switch (r) {
	case HTTP_MORE:
		return 0;
	case HTTP_BAD:
		WORKER_COUNT(c->worker, REQUESTS, 1);
		WORKER_COUNT(c->worker, REQUESTS_BAD, 1);
		log_debug("bad request client=%u why=%s", c->slot,
		    log_text(err.why, strlen(err.why)));
		request_answer(c, answer,
		    http_refuse(answer, sizeof(answer), err.status));
		return len;
	case HTTP_OK:
		break;
	}
	request_serve(c, &req);
	return req.head_len;
}
