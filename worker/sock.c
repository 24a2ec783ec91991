/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "worker/sock.h"

#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "proto/frame.h"
#include "proto/sio.h"
#include "proto/sio2.h"
#include "proto/ws.h"
#include "worker/worker.h"

/* so many tokens are looked at on one connection: to verify one costs much
 * more than to send it */
#define REFUSALS_MAX 16

/* A binary packet whose attachments are coming. */
struct attachments {
	unsigned want, have;
	/* the packet's text, then the attachments, one behind the other */
	char *buf;
	size_t len, size;
	size_t text_len;
	size_t at[SIO_ATTACHMENTS_MAX], n[SIO_ATTACHMENTS_MAX];
	/* of all, kept or not */
	size_t bytes;
};

/* A packet behind a CONNECT: its text, then its attachments. */
struct early {
	struct early *next;
	size_t len;
	bool binary;
	char data[];
};

static void
attachments_free(struct session *s)
{
	struct attachments *b = s->extra == NULL ? NULL : s->extra->binary;

	if (b == NULL)
		return;
	s->extra->binary = NULL;
	free(b->buf);
	free(b);
}

static void
sock_fail(struct session *s, const char *why)
{
	WORKER_COUNT(s->worker, PROTOCOL_ERRORS, 1);
	log_debug("socket.io error sid=%.8s why=%s", s->sid,
	    log_text(why, strlen(why)));
	/* who polls learns of it with what was queued before */
	if (s->poll != NULL)
		session_close(s, COUNTER_CLOSED_PROTOCOL, "forced close");
	else
		session_fail(s, COUNTER_CLOSED_PROTOCOL, "forced close",
		    WS_CODE_POLICY, why);
}

/* --- sockets ------------------------------------------------------------- */

static struct sock *
sock_find(const struct session *s, struct span nsp)
{
	struct sock *so;

	for (so = s->socks; so != NULL; so = so->next)
		if (!so->gone && span_is(nsp, so->nsp))
			return so;
	return NULL;
}

static void
early_free(struct sock *so)
{
	struct early *e;

	while ((e = so->early) != NULL) {
		so->early = e->next;
		free(e);
	}
	so->early_bytes = 0;
}

/* It is out; the application knows. */
static void
sock_gone(struct sock *so)
{
	if (so->connected)
		gauge_add(so->session->worker->tables,
		    so->session->worker->slot, GAUGE_SOCKETS, -1);
	so->gone = true;
	so->connected = false;
	so->session->sweep = true;
	early_free(so);
}

/* The application is told, and it is out. */
static void
sock_leave(struct sock *so, const char *reason)
{
	const struct app *app = &so->session->worker->app;

	if (so->gone)
		return;
	app->ops->disconnect(app->ctx, so, reason);
	sock_gone(so);
}

void
sock_leave_all(struct session *s, const char *reason)
{
	struct sock *so;

	for (so = s->socks; so != NULL; so = so->next)
		sock_leave(so, reason);
	attachments_free(s);
}

static void
sock_sweep(struct session *s)
{
	struct sock *so, **at = &s->socks;

	if (!s->sweep)
		return;
	s->sweep = false;
	while ((so = *at) != NULL) {
		if (so->gone) {
			*at = so->next;
			free(so);
		} else {
			at = &so->next;
		}
	}
}

void
sock_free_all(struct session *s)
{
	s->sweep = true;
	sock_sweep(s);
	CHECK(s->socks == NULL);
}

/* --- sending --------------------------------------------------------------- */

static void
send_message(struct sock *so, struct sio_message *m, enum chat_priority prio)
{
	struct session *s = so->session;
	struct worker *w = s->worker;
	size_t n;

	m->nsp = (struct span){ so->nsp, strlen(so->nsp) };
	n = frame_sio(NULL, 0, m);
	(void)frame_sio(output_reserve(w, n), n, m);
	session_send(s, output_commit(w), prio);
}

static void
send_attachments(struct session *s, const struct span *attachments, unsigned n)
{
	unsigned i;

	for (i = 0; i < n; i++)
		session_send_binary(s, attachments[i].p, attachments[i].len,
		    CHAT_ANSWER);
}

/* A name of ours as JSON. */
static struct span
quoted(struct worker *w, const char *name)
{
	size_t n = sio2_string(NULL, 0, (struct span){ name, strlen(name) });
	char *to = scratch(w, SCRATCH_SOCK, n);

	(void)sio2_string(to, n, (struct span){ name, strlen(name) });
	return (struct span){ to, n };
}

void
sock_emit(struct sock *so, const char *name, const char *json, size_t len,
    enum chat_priority prio)
{
	struct sio_message m = { .type = SIO_EVENT,
		.name = quoted(so->session->worker, name),
		.args = { json, len } };

	send_message(so, &m, prio);
}

void
sock_emit_binary(struct sock *so, const char *name, const char *json,
    size_t len, const struct span *attachments, unsigned n)
{
	struct sio_message m = { .type = SIO_EVENT,
		.name = quoted(so->session->worker, name),
		.nattach = n,
		.args = { json, len } };

	send_message(so, &m, CHAT_ANSWER);
	send_attachments(so->session, attachments, n);
}

uint64_t
sock_emit_ack(struct sock *so, const char *name, const char *json, size_t len)
{
	struct sio_message m = { .type = SIO_EVENT,
		.has_id = true,
		.id = so->next_ack++,
		.name = quoted(so->session->worker, name),
		.args = { json, len } };

	send_message(so, &m, CHAT_EVENT);
	return m.id;
}

void
sock_ack(struct sock *so, uint64_t id, const char *json, size_t len)
{
	sock_ack_binary(so, id, json, len, NULL, 0);
}

void
sock_ack_binary(struct sock *so, uint64_t id, const char *json, size_t len,
    const struct span *attachments, unsigned n)
{
	struct sio_message m = { .type = SIO_ACK,
		.has_id = true,
		.id = id,
		.nattach = n,
		.args = { json, len } };

	send_message(so, &m, CHAT_ANSWER);
	send_attachments(so->session, attachments, n);
}

void
sock_disconnect(struct sock *so, bool close, const char *reason)
{
	struct session *s = so->session;
	struct sio_message m = { .type = SIO_DISCONNECT };
	struct sock *other;

	if (!close) {
		send_message(so, &m, CHAT_ANSWER);
		sock_leave(so, reason);
		return;
	}
	for (other = s->socks; other != NULL; other = other->next)
		if (other->connected)
			send_message(other, &m, CHAT_ANSWER);
	session_close(s, COUNTER_CLOSED_SERVER, reason);
}

void
sock_disconnect_later(struct sock *so, const char *reason)
{
	struct session *s = so->session;
	struct worker *w = s->worker;

	if (w->norders == w->max_orders) {
		w->max_orders = w->max_orders == 0 ? 16 : w->max_orders * 2;
		w->orders =
		    reallocarray(w->orders, w->max_orders, sizeof(*w->orders));
		if (w->orders == NULL)
			fatal("memory for sockets");
	}
	w->orders[w->norders++] = (struct sock_order){
		.number = s->number,
		.serial = s->serial,
		.nsp = so->nsp,
		.reason = reason,
	};
}

static void
sock_run_order(struct worker *w, const struct sock_order *order)
{
	struct session *s;
	struct sock *so;

	s = session_find_number(w, order->number, order->serial);
	if (s == NULL || s->dead || s->closing)
		return;
	so = sock_find(s, (struct span){ order->nsp, strlen(order->nsp) });
	if (so == NULL || !so->connected)
		return;
	sock_disconnect(so, false, order->reason);
	s->dismissed = true;
	for (so = s->socks; so != NULL; so = so->next)
		if (!so->gone)
			return;
	s->connect_due = w->now_ms + w->cfg->engine_connect_timeout;
	session_set_timer(s);
}

void
sock_run_orders(struct worker *w)
{
	uint32_t i;

	/* there may be more of them meanwhile */
	for (i = 0; i < w->norders; i++) {
		const struct sock_order order = w->orders[i];

		sock_run_order(w, &order);
	}
	w->norders = 0;
}

void
sock_want_produce(struct sock *so)
{
	struct session *s = so->session;

	if (s->dead || s->closing)
		return;
	so->wants = true;
	if (s->producing)
		return;
	s->producing = true;
	TAILQ_INSERT_TAIL(&s->worker->producers, s, produce_entry);
	s->worker->nproducers++;
}

void
sock_produce(struct session *s)
{
	const struct app *app = &s->worker->app;
	struct sock *so;

	for (so = s->socks; so != NULL; so = so->next) {
		if (so->gone || !so->wants)
			continue;
		so->wants = false;
		app->ops->produce(app->ctx, so);
	}
}

/* --- CONNECT ----------------------------------------------------------------- */

static void
connect_error(struct session *s, struct span nsp, const char *message,
    const char *json, size_t len)
{
	struct worker *w = s->worker;
	struct sio_message m = { .type = SIO_CONNECT_ERROR, .nsp = nsp };
	size_t n;

	if (s->revision == EIO_REVISION_3) {
		/* such clients are told one thing: the data, or a text */
		m.args =
		    len > 0 ? (struct span){ json, len } : quoted(w, message);
		n = frame_sio(NULL, 0, &m);
		(void)frame_sio(output_reserve(w, n), n, &m);
	} else {
		n = frame_connect_error(NULL, 0, &nsp, message, json, len);
		(void)frame_connect_error(output_reserve(w, n), n, &nsp,
		    message, json, len);
	}
	session_send(s, output_commit(w), CHAT_ANSWER);
}

void
sock_refuse(struct sock *so, const char *message, const char *json, size_t len)
{
	struct session *s = so->session;

	if (so->gone)
		return;
	connect_error(s, (struct span){ so->nsp, strlen(so->nsp) }, message,
	    json, len);
	sock_gone(so);
	if (++s->refusals == REFUSALS_MAX)
		session_close(s, COUNTER_CLOSED_PROTOCOL, "forced close");
}

/* What came behind the CONNECT, in its order. */
static void
take_early(struct sock *so)
{
	struct session *s = so->session;
	struct early *e;

	while ((e = so->early) != NULL && so->connected && !s->dead) {
		so->early = e->next;
		so->early_bytes -= e->len + sizeof(*e);
		if (e->binary)
			sock_attachment(s, e->data, e->len);
		else
			sock_packet(s, e->data, e->len);
		free(e);
	}
}

void
sock_accept(struct sock *so, const char *sid, const char *pid)
{
	struct session *s = so->session;
	struct worker *w = s->worker;
	struct span nsp = { so->nsp, strlen(so->nsp) };
	struct sio_message m = { .type = SIO_CONNECT };
	size_t n;

	if (so->gone || so->connected)
		return;
	if (sid == NULL)
		sid_new(w, so->sid);
	else if (sid != so->sid)
		memcpy(so->sid, sid, sizeof(so->sid));
	so->connected = true;
	s->joined = true;
	s->connect_due = 0;
	session_set_timer(s);
	gauge_add(w->tables, w->slot, GAUGE_SOCKETS, 1);
	if (s->revision == EIO_REVISION_3) {
		send_message(so, &m, CHAT_ANSWER);
	} else {
		n = frame_connect_to(NULL, 0, &nsp, so->sid, pid);
		(void)frame_connect_to(output_reserve(w, n), n, &nsp, so->sid,
		    pid);
		session_send(s, output_commit(w), CHAT_ANSWER);
	}
	take_early(so);
}

static struct sock *
sock_new(struct session *s, const char *nsp)
{
	struct sock *so;

	if ((so = calloc(1, sizeof(*so))) == NULL)
		fatal("memory for a socket");
	so->session = s;
	so->nsp = nsp;
	/* such clients take the session's id for the socket's */
	if (s->revision == EIO_REVISION_3)
		memcpy(so->sid, s->sid, SID_LEN);
	so->next = s->socks;
	s->socks = so;
	return so;
}

static void
sock_connect(struct session *s, struct span nsp, const struct app_connect *req)
{
	const struct app *app = &s->worker->app;
	const char *name;

	if ((name = app->ops->nsp(app->ctx, nsp)) == NULL) {
		connect_error(s, nsp, "Invalid namespace", NULL, 0);
		return;
	}
	app->ops->connect(app->ctx, sock_new(s, name), req);
}

/* The query of a version 2 client, as the object that it stands for. */
static struct span
auth_of_query(struct worker *w, struct span query)
{
	size_t n = sio2_auth(NULL, 0, query);
	char *to = scratch(w, SCRATCH_SOCK, n + 1);

	(void)sio2_auth(to, n, query);
	return (struct span){ to, n };
}

void
sock_autoconnect(struct session *s, struct span query)
{
	struct app_connect req = { .payload = auth_of_query(s->worker, query) };

	sock_connect(s, (struct span){ "/", 1 }, &req);
}

/* Keep it until the CONNECT is answered; false if it is too much. */
static bool
sock_keep_early(struct sock *so, const char *data, size_t len, bool binary)
{
	struct early *e;

	if (so->early_bytes + len >
	    so->session->worker->cfg->engine_max_payload)
		return false;
	if ((e = malloc(sizeof(*e) + len)) == NULL)
		fatal("memory for a message");
	e->next = NULL;
	e->len = len;
	e->binary = binary;
	if (len > 0)
		memcpy(e->data, data, len);
	if (so->early == NULL)
		so->early = e;
	else
		so->early_last->next = e;
	so->early_last = e;
	so->early_bytes += len + sizeof(*e);
	return true;
}

/* --- packets ------------------------------------------------------------------ */

static void
attachments_add(struct attachments *b, const char *p, size_t len)
{
	if (b->len + len > b->size) {
		b->size = (b->len + len) * 2;
		if ((b->buf = realloc(b->buf, b->size)) == NULL)
			fatal("memory for a message");
	}
	if (len > 0)
		memcpy(b->buf + b->len, p, len);
	b->len += len;
}

static void
sock_give(struct sock *so, const struct sio_packet *pkt,
    const struct span *attachments, size_t size)
{
	const struct app *app = &so->session->worker->app;
	const struct app_event ev = { pkt, attachments, size };

	if (pkt->type == SIO_EVENT || pkt->type == SIO_BINARY_EVENT)
		app->ops->event(app->ctx, so, &ev);
	else
		app->ops->ack(app->ctx, so, &ev);
}

/* All attachments are here. */
static void
attachments_done(struct session *s)
{
	struct attachments *b = s->extra->binary;
	const struct app_ops *ops = s->worker->app.ops;
	struct span spans[SIO_ATTACHMENTS_MAX];
	struct sio_packet pkt;
	struct sock *so;
	const char *why;
	unsigned i;

	/* it may be closed, and the next one begin, meanwhile */
	s->extra->binary = NULL;
	for (i = 0; i < b->want; i++)
		spans[i] = (struct span){ b->buf + b->at[i], b->n[i] };
	if (sio_decode(b->buf, b->text_len, &pkt, &why) &&
	    (so = sock_find(s, pkt.nsp)) != NULL)
		sock_give(so, &pkt, ops->keep_binary ? spans : NULL,
		    b->text_len + b->bytes);
	free(b->buf);
	free(b);
}

void
sock_attachment(struct session *s, const char *data, size_t len)
{
	struct attachments *b = s->extra == NULL ? NULL : s->extra->binary;
	const struct worker *w = s->worker;
	struct sock *so;

	if (b == NULL) {
		for (so = s->socks; so != NULL; so = so->next)
			if (!so->gone && !so->connected && so->early != NULL)
				break;
		if (s->dismissed)
			return;
		if (so == NULL || !sock_keep_early(so, data, len, true))
			sock_fail(s, "binary without a packet before it");
		return;
	}
	b->bytes += len;
	if (b->bytes > w->cfg->engine_max_payload * SIO_ATTACHMENTS_MAX) {
		sock_fail(s, "attachments are too large");
		return;
	}
	b->at[b->have] = b->len;
	if (w->app.ops->keep_binary) {
		b->n[b->have] = len;
		attachments_add(b, data, len);
	}
	if (++b->have == b->want)
		attachments_done(s);
}

static void
sock_binary(struct session *s, const struct sio_packet *pkt, const char *text,
    size_t len)
{
	struct attachments *b;

	if ((b = calloc(1, sizeof(*b))) == NULL)
		fatal("memory for a message");
	b->want = pkt->nattach;
	b->text_len = len;
	attachments_add(b, text, len);
	session_extra(s)->binary = b;
}

/* A packet of a socket that is there. */
static void
sock_take(struct sock *so, const struct sio_packet *pkt, const char *text,
    size_t len)
{
	struct session *s = so->session;

	switch (pkt->type) {
	case SIO_DISCONNECT:
		sock_leave(so, "client namespace disconnect");
		break;
	case SIO_EVENT:
	case SIO_ACK:
		sock_give(so, pkt, NULL, len);
		break;
	case SIO_BINARY_EVENT:
	case SIO_BINARY_ACK:
		sock_binary(s, pkt, text, len);
		break;
	case SIO_CONNECT:
	case SIO_CONNECT_ERROR:
	case SIO_TYPE__MAX:
		sock_fail(s, "packet out of turn");
		break;
	}
}

void
sock_packet(struct session *s, const char *text, size_t len)
{
	struct app_connect req = { .payload = { NULL, 0 } };
	struct sio_packet pkt;
	struct span query = { NULL, 0 };
	struct sock *so;
	const char *why;

	sock_sweep(s);
	if (s->extra != NULL && s->extra->binary != NULL) {
		sock_fail(s, "text among the attachments");
		return;
	}
	if (!sio_decode(text, len, &pkt, &why)) {
		sock_fail(s, why);
		return;
	}
	if (s->revision == EIO_REVISION_3)
		sio2_split(&pkt, &query);
	so = sock_find(s, pkt.nsp);
	if (so != NULL && !so->connected && pkt.type != SIO_CONNECT) {
		if (!sock_keep_early(so, text, len, false))
			sock_fail(s, "too much before CONNECT is answered");
		return;
	}
	if (so != NULL) {
		/* version 2 clients ask for "/" though they are in it */
		if (pkt.type == SIO_CONNECT && s->revision == EIO_REVISION_3)
			return;
		sock_take(so, &pkt, text, len);
		return;
	}
	if (pkt.type != SIO_CONNECT) {
		if (!s->dismissed)
			sock_fail(s,
			    "packet for a namespace that is not joined");
		return;
	}
	req.payload = pkt.payload;
	req.refused = pkt.refused;
	if (s->revision == EIO_REVISION_3)
		req.payload = auth_of_query(s->worker, query);
	sock_connect(s, pkt.nsp, &req);
}
