/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "worker/exchange.h"

#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "proto/put.h"
#include "worker/asset.h"
#include "worker/worker.h"

/* of an answer's head, besides the fields of the exchange */
#define HEAD_MAX 1024

void
exchange_init(struct exchange *x, const struct http_request *req)
{
	x->keep_alive = req->keep_alive;
	x->head_only = req->method == HTTP_HEAD;
	x->upgrade = req->upgrade_websocket;
	x->gzip = http_accepts_gzip(req);
	x->deflate = http_accepts_deflate(req);
	x->old_browser = http_is_explorer(req);
	x->has_body = req->chunked || req->content_length > 0;
	x->expect_continue = req->expect_continue;
	http_body_init(&x->body, req);
}

void
exchange_progress(struct conn *c, size_t len)
{
	if (c->client->phase == CONN_HEAD || c->client->phase == CONN_CLOSING)
		conn_set_due(c,
		    c->client->due + len * 1000 / EXCHANGE_BODY_RATE);
}

void
exchange_keep(struct conn *c, const struct exchange *x)
{
	if (x == c->exchange)
		return;
	CHECK(c->exchange == NULL);
	if ((c->exchange = malloc(sizeof(*x))) == NULL)
		fatal("memory for a request");
	memcpy(c->exchange, x, sizeof(*x));
}

void
exchange_free(struct exchange **xp)
{
	struct exchange *x = *xp;

	if (x == NULL)
		return;
	*xp = NULL;
	if (x->assets != NULL)
		assets_unref(&x->assets);
	free(x);
}

/* The body that is still to come is read and dropped. */
static void
drop_body(struct conn *c, const struct exchange *x)
{
	exchange_keep(c, x);
	c->exchange->dropped = true;
	c->exchange->has_body = false;
	c->exchange->body_began_ms = c->worker->now_ms;
	memcpy(c->client->ws, &c->exchange->body, sizeof(c->exchange->body));
	c->session = NULL;
	c->client->phase = CONN_BODY;
	conn_set_due(c, c->worker->now_ms + EXCHANGE_BODY_MS);
	/* it may have come while its request waited */
	if (c->client->raw.bytes > 0)
		conn_pause(c);
	else
		conn_watch(c);
}

/* Who asked whether to send its body may not send it now. */
static bool
must_close(const struct exchange *x)
{
	return !x->keep_alive || (x->has_body && x->expect_continue);
}

/* The answer is on its way: what comes after it? */
static void
go_on(struct conn *c, const struct exchange *x, bool close)
{
	if (close)
		conn_end(c);
	else if (x->has_body)
		drop_body(c, x);
	else
		conn_next_request(c);
}

void
exchange_send(struct conn *c, const struct exchange *x,
    const struct exchange_answer *a)
{
	struct worker *w = c->worker;
	char headers[EXCHANGE_HEADERS_MAX + HEAD_MAX];
	struct put put = { headers, sizeof(headers) - 1, 0 };
	struct http_response res = {
		.status = a->status,
		.close = a->close || must_close(x),
		.head_only = x->head_only || a->stream,
		.keep_alive = EXCHANGE_IDLE_MS / 1000,
		.type = a->type,
		.date = worker_date(w),
		.headers = headers,
		.body = a->body,
		.body_len = a->len,
	};
	size_t size = sizeof(headers) + HEAD_MAX + (a->stream ? 0 : a->len);
	size_t n;
	char *buf;

	if (a->headers != NULL)
		put_text(&put, a->headers);
	put_text(&put, x->headers);
	headers[put.len < sizeof(headers) ? put.len : 0] = '\0';
	buf = output_reserve(w, size);
	n = http_respond(buf, size, &res);
	CHECK(n > 0);
	output_send(c, output_commit_part(w, n), CHAT_ANSWER);
	if (a->status >= 400)
		WORKER_COUNT(w, REQUESTS_BAD, 1);
	if (a->stream) {
		exchange_keep(c, x);
		c->client->phase = CONN_FILE;
	} else {
		go_on(c, x, res.close);
	}
}

void
exchange_file_sent(struct conn *c)
{
	go_on(c, c->exchange, must_close(c->exchange));
}

void
exchange_status(struct conn *c, const struct exchange *x, int status)
{
	const struct exchange_answer a = { .status = status };

	exchange_send(c, x, &a);
}

void
exchange_refuse(struct conn *c, const struct exchange *x, enum eio_error error,
    const char *text)
{
	struct worker *w = c->worker;
	const struct eio_refusal r = {
		.error = error,
		.text = text,
		.upgrade = x->upgrade,
		.head_only = x->head_only,
		.close = must_close(x),
		.date = worker_date(w),
		.headers = x->headers,
	};
	const size_t size = EXCHANGE_HEADERS_MAX + HEAD_MAX;
	size_t n;

	WORKER_COUNT(w, REQUESTS_BAD, 1);
	n = eio_refuse(output_reserve(w, size), size, &r);
	CHECK(n > 0);
	output_send(c, output_commit_part(w, n), CHAT_ANSWER);
	go_on(c, x, r.upgrade || r.close);
}
