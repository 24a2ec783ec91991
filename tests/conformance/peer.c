/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "tests/conformance/peer.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "worker/session.h"
#include "worker/worker.h"

/*
 * What follows the answer to CONNECT leaves in a packet of its own, as the
 * reference's does: suites listen for one message after the other, and miss
 * those that are read together.
 */
#define GREET_MS 5

/* --- making and freeing ------------------------------------------------ */

static const struct place *
find_place(const struct conformance *cf, struct span name)
{
	const struct place *pl;

	for (pl = cf->options->mode->places; pl->name != NULL; pl++)
		if (span_is(name, pl->name))
			return pl;
	return NULL;
}

static struct peer *
peer_new(struct conformance *cf, struct sock *so)
{
	struct span name = { so->nsp, strlen(so->nsp) };
	struct peer *p;

	if ((p = calloc(1, sizeof(*p))) == NULL)
		fatal("memory for a socket");
	p->cf = cf;
	p->so = so;
	p->place = find_place(cf, name);
	CHECK(p->place != NULL);
	p->issued_ms = clock_real_ms();
	p->holder = (uint64_t)cf->worker->slot << 32 | ++cf->serial;
	p->row = -1;
	if ((p->next = cf->peers) != NULL)
		p->next->prev = &p->next;
	p->prev = &cf->peers;
	cf->peers = p;
	so->app = p;
	return p;
}

static void
peer_free(struct peer *p)
{
	p->so->app = NULL;
	*p->prev = p->next;
	if (p->next != NULL)
		p->next->prev = p->prev;
	if (p->delay != NULL)
		event_free(p->delay);
	free(p->asked);
	free(p->auth);
	free(p);
}

/* --- recovery ---------------------------------------------------------- */

/* May what is sent to it be had again? */
static bool
has_recovery(const struct peer *p)
{
	return p->cf->recovery != NULL && p->so->session->offsets;
}

static void
replay(struct peer *p, struct recovery_missed *missed)
{
	struct recovery_event ev;

	while (recovery_missed_next(missed, &ev)) {
		if (ev.nattach > 0)
			sock_emit_binary(p->so, ev.name, ev.args.p, ev.args.len,
			    ev.attachments, ev.nattach);
		else
			sock_emit(p->so, ev.name, ev.args.p, ev.args.len,
			    CHAT_ANSWER);
	}
}

/* Take the socket up that it asks for: missed events first. */
static bool
resume(struct peer *p)
{
	struct recovery_missed missed;
	char sid[RECOVERY_ID];

	if (!has_recovery(p) || p->pid[0] == '\0')
		return false;
	p->row = recovery_resume(p->cf->recovery, p->holder, p->place->name,
	    p->pid, p->offset, clock_mono_ms(), sid, &missed);
	if (p->row != -1) {
		peer_check_all(p->cf);
		replay(p, &missed);
		sock_accept(p->so, sid, p->pid);
	}
	recovery_missed_clear(&missed);
	return p->row != -1;
}

/* A new socket that can be taken up later. */
static void
accept_kept(struct peer *p)
{
	const struct worker *w = p->cf->worker;
	char sid[SID_SIZE], pid[SID_SIZE];

	sid_new(w, sid);
	sid_new(w, pid);
	p->row = recovery_open(p->cf->recovery, p->holder, p->place->name, sid,
	    pid, clock_mono_ms());
	if (p->row == -1)
		log_warn("more sockets than recovery has room for");
	sock_accept(p->so, sid, p->row == -1 ? NULL : pid);
}

/* --- CONNECT ----------------------------------------------------------- */

static void
set_delay(struct peer *p, uint64_t ms, event_callback_fn fn)
{
	struct timeval tv = {
		.tv_sec = (time_t)(ms / 1000),
		.tv_usec = (suseconds_t)(ms % 1000 * 1000),
	};

	p->delay = evtimer_new(p->cf->worker->base, fn, p);
	if (p->delay == NULL || evtimer_add(p->delay, &tv) == -1)
		fatalx("timer of a socket");
}

static void
clear_delay(struct peer *p)
{
	if (p->delay != NULL)
		event_free(p->delay);
	p->delay = NULL;
}

static void
greet(struct peer *p)
{
	if (p->greeted)
		return;
	p->greeted = true;
	clear_delay(p);
	if (p->place->connected != NULL)
		p->place->connected(p);
}

static void
on_greet(evutil_socket_t fd, short what, void *arg)
{
	greet(arg);
}

/* Does what is sent leave at once? */
static bool
is_writable(const struct session *s)
{
	return s->conn != NULL || (s->poll != NULL && s->poll->get != NULL);
}

static void
greet_soon(struct peer *p)
{
	if (p->greeted)
		return;
	if (p->place->connected != NULL && is_writable(p->so->session))
		set_delay(p, GREET_MS, on_greet);
	else
		greet(p);
}

static void
accept_peer(struct peer *p)
{
	struct sock *so = p->so;

	if (p->pid[0] != '\0' && resume(p))
		;
	else if (has_recovery(p))
		accept_kept(p);
	else
		sock_accept(so, NULL, NULL);
	/* an event that had waited may have closed it */
	if (so->app != NULL)
		greet_soon(so->app);
}

static void
decide(struct peer *p)
{
	struct refusal why = { 0 };
	struct sock *so = p->so;

	if (p->place->admit == NULL || p->place->admit(p, &why)) {
		accept_peer(p);
		return;
	}
	peer_free(p);
	sock_refuse(so, why.message, why.data,
	    why.data == NULL ? 0 : strlen(why.data));
}

static void
on_delay(evutil_socket_t fd, short what, void *arg)
{
	struct peer *p = arg;

	clear_delay(p);
	decide(p);
}

/* The payload, without what is only recovery's. */
static void
take_payload(struct peer *p, const struct app_connect *req)
{
	struct span payload = req->payload;
	const struct session *s = p->so->session;

	/* the reference knows no auth of a v2 client in "/" */
	if (payload.len == 0 ||
	    (s->revision == EIO_REVISION_3 && strcmp(p->place->name, "/") == 0))
		payload = (struct span){ "{}", 2 };
	p->auth_len = payload.len;
	if ((p->auth = malloc(payload.len + 1)) == NULL)
		fatal("memory for a CONNECT");
	if (has_recovery(p) && req->refused == NULL) {
		(void)sio_recovery(payload, p->pid, p->offset,
		    sizeof(p->offset));
		p->auth_len = sio_auth(p->auth, payload.len, payload);
		CHECK(p->auth_len <= payload.len);
	} else {
		memcpy(p->auth, payload.p, payload.len);
	}
	p->auth[p->auth_len] = '\0';
}

static const char *
on_nsp(void *ctx, struct span name)
{
	const struct place *pl = find_place(ctx, name);

	return pl == NULL ? NULL : pl->name;
}

static void
on_connect(void *ctx, struct sock *so, const struct app_connect *req)
{
	struct conformance *cf = ctx;
	struct peer *p = peer_new(cf, so);
	uint64_t ms = cf->options->handshake_delay_ms;

	take_payload(p, req);
	if (ms == 0)
		decide(p);
	else
		set_delay(p, ms, on_delay);
}

struct json_value
peer_auth(const struct peer *p)
{
	struct json_value none = { .kind = JSON_KIND_NONE };
	const char *why;

	if (json_scan(p->auth, p->auth_len, JSON_MAX_DEPTH, &why) != JSON_FINE)
		return none;
	return json_value(p->auth, p->auth_len);
}

/* --- events ------------------------------------------------------------ */

static void
on_event(void *ctx, struct sock *so, const struct app_event *ev)
{
	struct call c = { .pkt = ev->pkt, .attachments = ev->attachments };
	struct peer *p = so->app;
	const struct handler *h;

	if (p == NULL)
		return;
	greet(p);
	if (p->place->any != NULL)
		p->place->any(p, &c);
	if ((h = p->place->handlers) == NULL)
		return;
	for (; h->name != NULL; h++) {
		if (!sio_name_is(c.pkt, h->name))
			continue;
		h->fn(p, &c);
		return;
	}
}

/* An answer is awaited once. */
static bool
take_asked(struct peer *p, uint64_t id, uint32_t *tag_r)
{
	for (size_t i = 0; i < p->nasked; i++) {
		if (p->asked[i].id != id)
			continue;
		*tag_r = p->asked[i].tag;
		p->asked[i] = p->asked[--p->nasked];
		return true;
	}
	return false;
}

static void
on_ack(void *ctx, struct sock *so, const struct app_event *ev)
{
	struct call c = { .pkt = ev->pkt, .attachments = ev->attachments };
	struct peer *p = so->app;
	uint32_t tag;

	if (p == NULL || !c.pkt->has_id || !take_asked(p, c.pkt->id, &tag))
		return;
	if (p->place->answered != NULL)
		p->place->answered(p, tag, &c);
}

/* Has it gone without anybody wanting that? */
static bool
is_lost(const char *reason)
{
	static const char *const reasons[] = { "transport error",
		"transport close", "forced close", "ping timeout",
		"server shutting down", "forced server close" };

	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (strcmp(reason, reasons[i]) == 0)
			return true;
	return false;
}

static void
on_disconnect(void *ctx, struct sock *so, const char *reason)
{
	struct peer *p = so->app;

	if (p == NULL)
		return;
	if (p->row != -1)
		recovery_release(p->cf->recovery, p->row, p->holder,
		    is_lost(reason), clock_mono_ms());
	peer_free(p);
}

const struct app_ops peer_ops = {
	.kind = APP_SOCKETIO,
	.keep_head = true,
	.keep_binary = true,
	.nsp = on_nsp,
	.connect = on_connect,
	.event = on_event,
	.ack = on_ack,
	.disconnect = on_disconnect,
};

/* --- for modes --------------------------------------------------------- */

/* Keep it if recovery is on: its offset goes behind the arguments. */
static bool
keep(struct peer *p, const struct recovery_event *ev, struct strbuf *sb)
{
	char offset[RECOVERY_OFFSET];

	if (!recovery_put(p->cf->recovery, p->row, p->holder, ev, offset))
		return false;
	sb_add(sb, ev->args.p, ev->args.len);
	sb_addf(sb, "%s\"%s\"", ev->args.len > 0 ? "," : "", offset);
	return true;
}

static void
emit(struct peer *p, const struct recovery_event *ev)
{
	struct strbuf sb = STRBUF_INIT;
	struct span args = ev->args;

	if (p->row != -1) {
		/* somebody else is this socket now: it is said there */
		if (!keep(p, ev, &sb))
			return;
		args = (struct span){ sb.data, sb.len };
	}
	if (ev->nattach > 0)
		sock_emit_binary(p->so, ev->name, args.p, args.len,
		    ev->attachments, ev->nattach);
	else
		sock_emit(p->so, ev->name, args.p, args.len, CHAT_ANSWER);
	sb_clear(&sb);
}

void
peer_emit(struct peer *p, const char *name, const char *json, size_t len)
{
	const struct recovery_event ev = { .name = name,
		.args = { json, len } };

	emit(p, &ev);
}

void
peer_emit_text(struct peer *p, const char *name, const char *json)
{
	peer_emit(p, name, json, strlen(json));
}

void
peer_emit_packed(struct peer *p, const char *name, const struct packed *pk)
{
	const struct recovery_event ev = { .name = name,
		.args = { pk->json.data, pk->json.len },
		.attachments = pk->attachments,
		.nattach = pk->n };

	emit(p, &ev);
}

void
peer_emit_back(struct peer *p, const char *name, const struct call *c)
{
	struct packed pk = { .json = STRBUF_INIT };

	if (call_pack(c, &pk))
		peer_emit_packed(p, name, &pk);
	sb_clear(&pk.json);
}

void
peer_ask(struct peer *p, const char *name, const char *json, uint32_t tag)
{
	struct asked *more;

	more = realloc(p->asked, (p->nasked + 1) * sizeof(*more));
	if (more == NULL)
		fatal("memory for what was asked");
	p->asked = more;
	more[p->nasked].tag = tag;
	more[p->nasked].id = sock_emit_ack(p->so, name, json, strlen(json));
	p->nasked++;
}

void
peer_answer(struct peer *p, const struct call *c, const char *json, size_t len)
{
	if (c->pkt->has_id)
		sock_ack(p->so, c->pkt->id, json, len);
}

void
peer_answer_back(struct peer *p, const struct call *c)
{
	struct packed pk = { .json = STRBUF_INIT };

	if (!c->pkt->has_id || !call_pack(c, &pk)) {
		sb_clear(&pk.json);
		return;
	}
	if (pk.n > 0)
		sock_ack_binary(p->so, c->pkt->id, pk.json.data, pk.json.len,
		    pk.attachments, pk.n);
	else
		sock_ack(p->so, c->pkt->id, pk.json.data, pk.json.len);
	sb_clear(&pk.json);
}

/* One that holds its row no more, or NULL. */
static struct peer *
find_robbed(struct conformance *cf)
{
	struct peer *p;

	for (p = cf->peers; p != NULL; p = p->next)
		if (p->row != -1 &&
		    !recovery_is_held(cf->recovery, p->row, p->holder))
			return p;
	return NULL;
}

void
peer_check_all(struct conformance *cf)
{
	struct peer *p;

	/* each may take others of its session with it */
	while ((p = find_robbed(cf)) != NULL)
		sock_disconnect(p->so, true, "server namespace disconnect");
}
