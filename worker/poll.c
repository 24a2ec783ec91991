/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "worker/poll.h"

#include <sys/uio.h>

#include <stdlib.h>
#include <string.h>

#include "common/fault.h"
#include "common/log.h"
#include "common/utf8.h"
#include "proto/cookie.h"
#include "proto/frame.h"
#include "proto/http_body.h"
#include "proto/payload.h"
#include "proto/put.h"
#include "proto/ws.h"
#include "worker/compress.h"
#include "worker/exchange.h"
#include "worker/upgrade.h"
#include "worker/worker.h"

/* pieces of a session's queue that are looked at together */
#define PIECES 64
/* bytes of answers that may wait for a GET while more is asked */
#define UNREAD_MAX (256 * 1024)

#define TYPE_JSONP "text/javascript; charset=UTF-8"

_Static_assert(sizeof(struct http_body) <= sizeof(((struct client *)0)->ws),
    "a body's state uses the place of the parser that follows it");

struct poll *
poll_new(struct session *s)
{
	struct poll *p;

	if ((p = calloc(1, sizeof(*p))) == NULL)
		fatal("memory for a session");
	p->session = s;
	return p;
}

void
poll_free(struct session *s)
{
	chain_free(&s->worker->io, &s->poll->out);
	wheel_clear(&s->poll->timer);
	free(s->poll);
	s->poll = NULL;
}

void
poll_mark(struct session *s)
{
	struct worker *w = s->worker;

	if (s->dirty)
		return;
	s->dirty = true;
	if (w->npolls == w->maxpolls) {
		w->maxpolls = w->maxpolls == 0 ? 64 : w->maxpolls * 2;
		w->polls =
		    reallocarray(w->polls, w->maxpolls, sizeof(*w->polls));
		if (w->polls == NULL)
			fatal("memory for output");
	}
	w->polls[w->npolls++] = s;
}

void
poll_unmark(struct session *s)
{
	struct worker *w = s->worker;
	uint32_t i = 0;

	if (!s->dirty)
		return;
	while (w->polls[i] != s)
		i++;
	w->polls[i] = NULL;
	s->dirty = false;
}

/* --- what waits for a GET -------------------------------------------------- */

static bool
poll_allowed(struct session *s, uint32_t len, enum chat_priority prio)
{
	struct worker *w = s->worker;
	struct poll *p = s->poll;
	uint64_t limit = w->cfg->limits_send_queue;
	size_t counted = p->out.bytes;

	if (prio == CHAT_ANSWER) {
		p->answer_bytes += len;
		return true;
	}
	if (limit == 0)
		return true;
	counted -= counted < p->answer_bytes ? counted : p->answer_bytes;
	/* half the budget is for what must arrive */
	if (prio == CHAT_DROPPABLE && counted + len > limit / 2) {
		WORKER_COUNT(w, DROPPED, 1);
		return false;
	}
	if (counted + len > limit) {
		s->doomed = true;
		poll_mark(s);
		return false;
	}
	return true;
}

void
poll_send(struct session *s, struct chat_frame frame, enum chat_priority prio)
{
	struct worker *w = s->worker;
	struct poll *p = s->poll;

	if (s->doomed || !poll_allowed(s, frame.len, prio))
		return;
	if (worker_keep(w, &p->out, output_frame(w, frame), frame.len,
		p->out.bytes) == -1) {
		s->doomed = true;
		poll_mark(s);
		return;
	}
	if (p->get != NULL)
		poll_mark(s);
}

void
poll_rob(struct session *s)
{
	chain_free(&s->worker->io, &s->poll->out);
	s->doomed = s->robbed = true;
	poll_mark(s);
}

void
poll_ping(struct session *s)
{
	s->poll->pinged = true;
	if (s->poll->get != NULL)
		poll_mark(s);
}

/* Something that only this transport says. */
static void
poll_add_packet(struct session *s, enum eio_type type)
{
	char frame[FRAME_PACKET_SIZE];

	(void)frame_packet(frame, sizeof(frame), type);
	(void)worker_keep(s->worker, &s->poll->out, frame, sizeof(frame),
	    s->poll->out.bytes);
}

/* --- answering a GET ------------------------------------------------------- */

/* The queue in pieces; as one, to be freed, if an iovec cannot hold them. */
static int
queue_pieces(struct worker *w, const struct chain *out, struct iovec *iov,
    char **whole_r)
{
	int n = chain_iov(&w->io, out, 0, iov, PIECES);
	size_t len = 0;
	int i;

	*whole_r = NULL;
	for (i = 0; i < n; i++)
		len += iov[i].iov_len;
	if (len == out->bytes)
		return n;
	if ((*whole_r = malloc(out->bytes)) == NULL)
		fatal("memory for an answer");
	iov[0].iov_base = *whole_r;
	iov[0].iov_len = out->bytes;
	chain_copy(&w->io, out, 0, iov[0].iov_base, out->bytes);
	return 1;
}

/* An answer's body, which is to be freed, and its type. */
struct body {
	char *p;
	size_t len;
	const char *type;
};

static void
body_make(struct session *s, const struct exchange *x, struct body *b)
{
	struct worker *w = s->worker;
	struct iovec iov[PIECES];
	struct payload_plan plan;
	char digits[12];
	struct span j = { digits, 0 };
	char *text, *whole;
	int n = queue_pieces(w, &s->poll->out, iov, &whole);

	payload_plan(&plan, s->revision, s->b64 || x->jsonp, iov, n);
	if ((text = malloc(plan.size + 1)) == NULL)
		fatal("memory for an answer");
	payload_write(text, &plan, iov, n);
	free(whole);
	b->p = text;
	b->len = plan.size;
	b->type = payload_type(plan.format);
	if (!x->jsonp)
		return;
	j.len = (size_t)snprintf(digits, sizeof(digits), "%u", x->jsonp_index);
	b->len = payload_jsonp_size(j, text, plan.size);
	if ((b->p = malloc(b->len + 1)) == NULL)
		fatal("memory for an answer");
	payload_jsonp_write(b->p, j, text, plan.size);
	b->type = TYPE_JSONP;
	free(text);
}

/* Compressed, if that is wanted, allowed and pays. */
static bool
body_compress(struct worker *w, const struct exchange *x, struct body *b)
{
	char *small;
	size_t n;

	if (!(x->gzip || x->deflate) || !w->cfg->engine_compression ||
	    b->len < COMPRESS_MIN)
		return false;
	if ((small = malloc(b->len)) == NULL)
		fatal("memory for an answer");
	n = compress_body(w, x->gzip, b->p, b->len, small, b->len - 1);
	if (n == 0) {
		free(small);
		return false;
	}
	free(b->p);
	b->p = small;
	b->len = n;
	return true;
}

static void
poll_cookie(const struct session *s, const struct exchange *x, struct put *to)
{
	const struct config *cfg = s->worker->cfg;

	if (!x->set_cookie || cfg->cookie_name == NULL)
		return;
	cookie_header(to, cfg->cookie_name, cfg->cookie_attributes,
	    (struct span){ s->sid, SID_LEN });
}

/* Answer the pending GET with everything that is queued. */
static void
poll_answer(struct session *s)
{
	struct worker *w = s->worker;
	struct conn *c = s->poll->get;
	const struct exchange *x;
	char headers[1024] = "";
	struct put put = { headers, sizeof(headers) - 1, 0 };
	struct body body;
	struct exchange_answer a = { .status = 200, .headers = headers };

	/* who holds most may have been dropped to make room for a packet */
	if (c == NULL)
		return;
	x = c->exchange;
	if (s->poll->out.bytes == 0) {
		/* there was no room for what it should get */
		s->poll->get = NULL;
		exchange_status(c, x, 503);
		return;
	}
	body_make(s, x, &body);
	if (body_compress(w, x, &body))
		put_text(&put,
		    x->gzip ? "Content-Encoding: gzip\r\n"
			    : "Content-Encoding: deflate\r\n");
	put_text(&put, HTTP_NO_STORE);
	if (x->old_browser)
		put_text(&put, HTTP_NO_XSS_FILTER);
	poll_cookie(s, x, &put);
	headers[put.len < sizeof(headers) ? put.len : 0] = '\0';
	a.type = body.type;
	a.body = body.p;
	a.len = body.len;
	s->poll->get = NULL;
	s->poll->answer_bytes = 0;
	chain_free(&w->io, &s->poll->out);
	FAULT(POLL_ANSWER);
	WORKER_COUNT(w, POLLS, 1);
	exchange_send(c, x, &a);
	free(body.p);
}

/* Its answers were taken: what its POST asks now may be done. */
static void
poll_unchoke(struct session *s)
{
	struct conn *c = s->poll->post;

	if (c != NULL && c->choked && s->poll->answer_bytes < UNREAD_MAX)
		conn_unchoke(c);
}

/*
 * A GET of a session that is being closed: first what is queued, and the
 * close alone with the next one, because clients drop what comes with it.
 */
static void
poll_goodbye(struct session *s)
{
	struct poll *p = s->poll;

	if (p->out.bytes > 0) {
		poll_answer(s);
		return;
	}
	/* closed while nobody was asking: a noop, then the close */
	if (p->late)
		poll_add_packet(s, EIO_NOOP);
	poll_add_packet(s, EIO_CLOSE);
	poll_answer(s);
	session_finish(s);
}

static void
poll_flush_one(struct session *s)
{
	struct poll *p = s->poll;

	if (s->doomed) {
		log_debug("slow session queued=%u", p->out.bytes);
		session_fail(s,
		    s->robbed ? COUNTER_CLOSED_OVERLOAD : COUNTER_CLOSED_SLOW,
		    "transport close", WS_CODE_POLICY, "too slow");
		return;
	}
	if (p->get == NULL)
		return;
	if (s->closing) {
		poll_goodbye(s);
		return;
	}
	if (p->pinged) {
		p->pinged = false;
		poll_add_packet(s, EIO_PING);
	}
	if (p->out.bytes == 0) {
		/* the client wants to leave: it waits for this one */
		if (!p->probed)
			return;
		poll_add_packet(s, EIO_NOOP);
	}
	poll_answer(s);
	poll_unchoke(s);
	s->worker->again = true;
}

void
poll_flush(struct worker *w)
{
	struct session *s;
	uint32_t i;

	for (i = 0; i < w->npolls; i++) {
		if ((s = w->polls[i]) == NULL)
			continue;
		s->dirty = false;
		if (!s->dead && s->poll != NULL)
			poll_flush_one(s);
	}
	w->npolls = 0;
}

/* --- requests --------------------------------------------------------------- */

/* 400 without a body, and the session is over. */
static void
poll_overlap(struct conn *c, struct session *s, const struct exchange *x,
    const char *why)
{
	exchange_status(c, x, 400);
	session_fail(s, COUNTER_CLOSED_PROTOCOL, "transport error",
	    WS_CODE_POLICY, why);
}

void
poll_get(struct conn *c, struct session *s, const struct exchange *x)
{
	struct poll *p = s->poll;

	if (p->get != NULL) {
		poll_overlap(c, s, x, "overlap from client");
		return;
	}
	exchange_keep(c, x);
	p->get = c;
	c->session = s;
	c->client->phase = CONN_WAIT;
	/* the session's heartbeat ends it */
	conn_set_due(c, 0);
	p->late = s->closing;
	if (p->out.bytes > 0 || p->pinged || s->closing || p->probed)
		poll_mark(s);
}

static bool
is_octet_stream(const struct http_request *req)
{
	struct span type;

	return http_header(req, "Content-Type", &type) > 0 &&
	    span_is(type, "application/octet-stream");
}

void
poll_post(struct conn *c, struct session *s, const struct http_request *req,
    const struct exchange *x)
{
	struct poll *p = s->poll;
	struct http_body *body = (struct http_body *)(void *)c->client->ws;
	struct conn *first = p->post;

	if (first != NULL) {
		p->post = NULL;
		first->session = NULL;
		poll_overlap(c, s, x, "data request overlap from client");
		conn_drop(first, COUNTER_CLOSED_PROTOCOL, "transport error");
		return;
	}
	if (s->revision == EIO_REVISION_4 && is_octet_stream(req)) {
		exchange_status(c, x, 400);
		session_fail(s, COUNTER_CLOSED_PROTOCOL, "transport error",
		    WS_CODE_POLICY, "invalid content");
		return;
	}
	exchange_keep(c, x);
	c->exchange->binary = is_octet_stream(req);
	c->exchange->body_began_ms = c->worker->now_ms;
	http_body_init(body, req);
	p->post = c;
	c->session = s;
	c->client->phase = CONN_BODY;
	if (http_body_exceeds(body, c->worker->cfg->engine_max_payload)) {
		poll_too_large(c);
		return;
	}
	conn_set_due(c, c->worker->now_ms + EXCHANGE_BODY_MS);
	if (x->expect_continue)
		output_bytes(c, HTTP_CONTINUE, sizeof(HTTP_CONTINUE) - 1,
		    CHAT_ANSWER);
	/* it has been asked for */
	c->exchange->expect_continue = false;
}

void
poll_too_large(struct conn *c)
{
	/* the rest of the body is not waited for */
	const struct exchange_answer a = { .status = 413, .close = true };

	WORKER_COUNT(c->worker, TOO_LARGE, 1);
	c->session->poll->post = NULL;
	c->session = NULL;
	exchange_send(c, c->exchange, &a);
}

/*
 * Text as it is used: decoded if it came as a form, and UTF-8.  NULL if the
 * form has no field for it.
 */
static char *
body_text(struct worker *w, const struct exchange *x, char *body, size_t *len)
{
	static char empty[1];
	char *text;
	size_t n;

	if (*len == 0 && !x->jsonp)
		return empty;
	if (x->binary)
		return body;
	if (x->jsonp) {
		text = scratch(w, SCRATCH_TEXT, *len * 3 + 1);
		if (!payload_jsonp_decode(text, body, *len, len))
			return NULL;
		return text;
	}
	/* what is replaced may be as long as what replaces it */
	if (utf8_valid(body, *len))
		return body;
	n = payload_repair_size(body, *len);
	text = scratch(w, SCRATCH_TEXT, n);
	payload_repair(text, body, *len);
	*len = n;
	return text;
}

static void
body_packets(struct session *s, const struct exchange *x, char *text,
    size_t len)
{
	struct payload it;
	struct eio_packet pkt;
	const char *why;
	enum payload_format format = s->revision == EIO_REVISION_4 ? PAYLOAD_V4
	    : x->binary ? PAYLOAD_V3_BINARY
			: PAYLOAD_V3_TEXT;

	payload_init(&it, format, text, len);
	for (;;) {
		switch (payload_next(&it, &pkt, &why)) {
		case PAYLOAD_PACKET:
			WORKER_COUNT(s->worker, FRAMES_IN, 1);
			session_packet(s, &pkt);
			break;
		case PAYLOAD_END:
			return;
		case PAYLOAD_BAD:
			session_fail(s, COUNTER_CLOSED_PROTOCOL, "parse error",
			    WS_CODE_POLICY, why);
			return;
		}
		if (s->dead || s->closing || s->poll == NULL)
			return;
	}
}

/* `ok', whatever became of the session. */
static void
post_answer(struct conn *c)
{
	const struct exchange *x = c->exchange;
	char headers[128];
	struct put put = { headers, sizeof(headers) - 1, 0 };
	struct exchange_answer a = { .status = 200,
		.type = "text/html",
		.headers = headers,
		.body = "ok",
		.len = 2 };

	put_text(&put, HTTP_NO_STORE);
	if (x->old_browser)
		put_text(&put, HTTP_NO_XSS_FILTER);
	headers[put.len] = '\0';
	exchange_send(c, x, &a);
}

void
poll_body(struct conn *c, char *body, size_t len)
{
	struct session *s = c->session;
	struct worker *w = c->worker;
	char *text;

	WORKER_COUNT(w, POSTS, 1);
	c->session = NULL;
	s->poll->post = NULL;
	c->exchange->has_body = false;
	FAULT(POLL_POST);
	text = body_text(w, c->exchange, body, &len);
	if (text != NULL && !s->closing)
		body_packets(s, c->exchange, text, len);
	if (c->client != NULL)
		post_answer(c);
}

void
poll_late(struct conn *c)
{
	c->exchange->has_body = false;
	post_answer(c);
}

bool
poll_must_wait(const struct session *s)
{
	return s->poll != NULL && s->poll->answer_bytes >= UNREAD_MAX &&
	    s->poll->out.bytes > 0;
}

/* --- the end ------------------------------------------------------------------ */

void
poll_end(struct session *s, enum eio_type last)
{
	struct poll *p = s->poll;
	struct conn *c;

	upgrade_abort(s);
	if (p->get != NULL) {
		/* what was said before is still due */
		if (p->out.bytes == 0)
			poll_add_packet(s, last);
		poll_answer(s);
	}
	if ((c = p->post) != NULL) {
		p->post = NULL;
		c->session = NULL;
		conn_drop(c, COUNTER_CLOSED_SERVER, "transport close");
	}
}

void
poll_dismiss(struct session *s)
{
	struct chain rest = s->poll->out;

	/* what is queued is for the other transport */
	memset(&s->poll->out, 0, sizeof(s->poll->out));
	poll_add_packet(s, EIO_NOOP);
	poll_answer(s);
	s->poll->out = rest;
}

void
poll_lost(struct session *s, const struct conn *c, enum counter count)
{
	struct poll *p = s->poll;

	if (p == NULL)
		return;
	if (p->get == c)
		p->get = NULL;
	if (p->post == c)
		p->post = NULL;
	session_lost(s, count, "transport error");
}
