/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "worker/session.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "common/fault.h"
#include "common/log.h"
#include "proto/frame.h"
#include "proto/ws.h"
#include "shm/ask.h"
#include "worker/compress.h"
#include "worker/poll.h"
#include "worker/upgrade.h"
#include "worker/worker.h"

static const char sid_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				 "abcdefghijklmnopqrstuvwxyz"
				 "0123456789-_";

/* --- ids --------------------------------------------------------------- */

void
sid_new(const struct worker *w, char sid[SID_SIZE])
{
	uint8_t b[15];
	unsigned i;

	arc4random_buf(b, sizeof(b));
	/* whose it is: any worker can tell by looking */
	b[14] = (uint8_t)w->slot;
	for (i = 0; i < 5; i++) {
		sid[i * 4] = sid_digits[b[i * 3] >> 2];
		sid[i * 4 + 1] =
		    sid_digits[(b[i * 3] & 3) << 4 | b[i * 3 + 1] >> 4];
		sid[i * 4 + 2] =
		    sid_digits[(b[i * 3 + 1] & 15) << 2 | b[i * 3 + 2] >> 6];
		sid[i * 4 + 3] = sid_digits[b[i * 3 + 2] & 63];
	}
	sid[SID_LEN] = '\0';
}

int
sid_slot(struct span sid)
{
	unsigned at[SID_LEN];
	const char *digit;
	size_t i;

	if (sid.len != SID_LEN)
		return -1;
	for (i = 0; i < SID_LEN; i++) {
		if (sid.p[i] == '\0' ||
		    (digit = strchr(sid_digits, sid.p[i])) == NULL)
			return -1;
		at[i] = (unsigned)(digit - sid_digits);
	}
	return (int)((at[SID_LEN - 2] & 3) << 6 | at[SID_LEN - 1]);
}

/* --- the table --------------------------------------------------------- */

/* Ids are random: their first bytes are hash enough. */
static struct session **
bucket(const struct worker *w, const char *sid)
{
	uint64_t h;

	memcpy(&h, sid, sizeof(h));
	h *= UINT64_C(0x9e3779b97f4a7c15);
	return &w->by_sid[h >> (64 - w->sid_bits)];
}

static void
table_grow(struct worker *w)
{
	struct session *s;
	struct session **b;

	free(w->by_sid);
	w->sid_bits = w->sid_bits == 0 ? 8 : w->sid_bits + 1;
	w->by_sid = calloc((size_t)1 << w->sid_bits, sizeof(*w->by_sid));
	if (w->by_sid == NULL)
		fatal("memory for sessions");
	LIST_FOREACH(s, &w->sessions, entry) {
		b = bucket(w, s->sid);
		s->next = *b;
		*b = s;
	}
}

static void
table_add(struct worker *w, struct session *s)
{
	struct session **b;

	if (w->sid_bits == 0 || w->nsessions >= (1u << w->sid_bits))
		table_grow(w);
	b = bucket(w, s->sid);
	s->next = *b;
	*b = s;
	LIST_INSERT_HEAD(&w->sessions, s, entry);
	w->nsessions++;
}

static void
table_remove(struct worker *w, struct session *s)
{
	struct session **b = bucket(w, s->sid);

	while (*b != s)
		b = &(*b)->next;
	*b = s->next;
	LIST_REMOVE(s, entry);
	w->nsessions--;
}

struct session *
session_find(const struct worker *w, struct span sid)
{
	struct session *s;

	if (sid.len != SID_LEN || w->sid_bits == 0)
		return NULL;
	for (s = *bucket(w, sid.p); s != NULL; s = s->next)
		if (memcmp(s->sid, sid.p, SID_LEN) == 0)
			return s;
	return NULL;
}

/* A number for who waits for a verdict: index and use. */
static void
number_take(struct worker *w, struct session *s)
{
	uint32_t i, max;

	if (w->nfree_numbers == 0) {
		max = w->max_numbers == 0 ? 256 : w->max_numbers * 2;
		w->by_number =
		    reallocarray(w->by_number, max, sizeof(*w->by_number));
		w->free_numbers = reallocarray(w->free_numbers, max,
		    sizeof(*w->free_numbers));
		if (w->by_number == NULL || w->free_numbers == NULL)
			fatal("memory for sessions");
		for (i = max; i-- > w->max_numbers;) {
			w->by_number[i] = NULL;
			w->free_numbers[w->nfree_numbers++] = i;
		}
		w->max_numbers = max;
	}
	s->number = w->free_numbers[--w->nfree_numbers];
	if (++w->last_serial == 0)
		w->last_serial = 1;
	s->serial = w->last_serial;
	w->by_number[s->number] = s;
}

struct session *
session_find_number(const struct worker *w, uint32_t number, uint32_t serial)
{
	struct session *s;

	if (number >= w->max_numbers)
		return NULL;
	s = w->by_number[number];
	return s != NULL && s->serial == serial ? s : NULL;
}

/* --- beginning --------------------------------------------------------- */

static char *
keep(const char *p, size_t len)
{
	char *copy;

	if (len == 0)
		return NULL;
	if ((copy = malloc(len + 1)) == NULL)
		fatal("memory for a session");
	memcpy(copy, p, len);
	copy[len] = '\0';
	return copy;
}

struct session_extra *
session_extra(struct session *s)
{
	if (s->extra == NULL &&
	    (s->extra = calloc(1, sizeof(*s->extra))) == NULL)
		fatal("memory for a session");
	return s->extra;
}

/* The first thing that a client hears. */
static void
say_open(struct session *s)
{
	const struct config *cfg = s->worker->cfg;
	char sid[SID_SIZE], frame[EIO_OPEN_MAX + WS_HEADER_MAX];
	struct eio_open open = {
		.sid = sid,
		.upgrade_websocket = s->conn == NULL && cfg->engine_websocket,
		.ping_interval = s->ping_interval,
		.ping_timeout = s->ping_timeout,
		.max_payload = cfg->engine_max_payload,
	};
	size_t n;

	memcpy(sid, s->sid, SID_LEN);
	sid[SID_LEN] = '\0';
	n = frame_open(frame, sizeof(frame), &open);
	memcpy(output_reserve(s->worker, n), frame, n);
	session_send(s, output_commit(s->worker), CHAT_ANSWER);
}

struct session *
session_open(struct worker *w, struct conn *c, const struct session_init *init)
{
	struct session *s;
	char sid[SID_SIZE];

	if ((s = calloc(1, sizeof(*s))) == NULL)
		fatal("memory for a session");
	s->worker = w;
	sid_new(w, sid);
	memcpy(s->sid, sid, SID_LEN);
	s->revision = init->revision;
	s->b64 = init->b64;
	s->offsets = init->offsets;
	s->ping_interval = (uint32_t)w->cfg->engine_ping_interval;
	s->ping_timeout = (uint32_t)w->cfg->engine_ping_timeout;
	if (init->bearer_len > 0)
		session_extra(s)->bearer = keep(init->bearer, init->bearer_len);
	if (w->cfg->auth_mode == AUTH_MODE_WEBHOOK && init->agent.len > 0)
		session_extra(s)->agent = keep(init->agent.p,
		    init->agent.len < ASK_AGENT_MAX ? init->agent.len
						    : ASK_AGENT_MAX);
	if (w->app.ops->keep_head && init->head.len > 0) {
		session_extra(s)->head = keep(init->head.p, init->head.len);
		s->extra->head_len = init->head.len;
	}
	table_add(w, s);
	number_take(w, s);
	WORKER_COUNT(w, SESSIONS, 1);
	gauge_add(w->tables, w->slot, GAUGE_SESSIONS, 1);
	if (c != NULL) {
		s->conn = c;
		c->session = s;
		memcpy(c->client->engine_sid, s->sid, SID_LEN);
	} else {
		s->poll = poll_new(s);
		s->poll->peer = init->peer;
	}
	FAULT(SESSION_OPEN);
	if (w->app.ops->kind != APP_WEBSOCKET) {
		say_open(s);
		session_start(s);
	}
	if (w->app.ops->kind != APP_SOCKETIO)
		w->app.ops->open(w->app.ctx, s);
	else if (s->revision == EIO_REVISION_3)
		sock_autoconnect(s, init->query);
	return s;
}

/* --- sending ----------------------------------------------------------- */

void
session_send(struct session *s, struct chat_frame frame,
    enum chat_priority prio)
{
	struct conn *c = s->conn;

	if (s->dead || s->closing)
		return;
	if (c == NULL) {
		poll_send(s, frame, prio);
		return;
	}
	if (c->deflate_bits != 0 &&
	    frame.len >= COMPRESS_MIN + ws_header_size(COMPRESS_MIN))
		frame = compress_frame(s->worker, frame, c->deflate_bits);
	output_send(c, frame, prio);
}

size_t
session_queued(const struct session *s)
{
	if (s->conn != NULL)
		return output_queued(s->conn);
	return s->poll == NULL ? 0 : s->poll->out.bytes;
}

void
session_send_text(struct session *s, const char *text, size_t len,
    enum chat_priority prio)
{
	struct worker *w = s->worker;
	size_t n;
	char *to;

	if (w->app.ops->kind == APP_WEBSOCKET) {
		n = ws_header_size(len);
		to = output_reserve(w, n + len);
		(void)ws_header(to, WS_TEXT, len);
		memcpy(to + n, text, len);
	} else {
		n = frame_message(NULL, 0, text, len);
		(void)frame_message(output_reserve(w, n), n, text, len);
	}
	session_send(s, output_commit(w), prio);
}

void
session_send_binary(struct session *s, const void *data, size_t len,
    enum chat_priority prio)
{
	struct worker *w = s->worker;
	size_t n;

	/* what polls gets base64 when it is fetched */
	if (s->b64 && s->conn != NULL) {
		n = frame_binary_b64(NULL, 0, data, len, s->revision);
		(void)frame_binary_b64(output_reserve(w, n), n, data, len,
		    s->revision);
	} else {
		n = frame_binary(NULL, 0, data, len, s->revision);
		(void)frame_binary(output_reserve(w, n), n, data, len,
		    s->revision);
	}
	session_send(s, output_commit(w), prio);
}

struct span
session_head(const struct session *s)
{
	if (s->extra == NULL)
		return (struct span){ NULL, 0 };
	return (struct span){ s->extra->head, s->extra->head_len };
}

struct net_address
session_peer(const struct session *s)
{
	struct net_address a = { .family = 0 };
	const struct client *cl;

	if (s->conn != NULL) {
		cl = s->conn->client;
		a.family = (uint8_t)cl->peer_family;
		memcpy(a.addr, cl->peer, sizeof(a.addr));
		a.port = ntohs(cl->peer_port);
	} else if (s->poll != NULL) {
		a = s->poll->peer;
	}
	return a;
}

/* --- the end ------------------------------------------------------------- */

/* Everybody above is told. */
static void
session_leave(struct session *s, const char *reason)
{
	struct worker *w = s->worker;

	sock_leave_all(s, reason);
	if (s->producing) {
		TAILQ_REMOVE(&w->producers, s, produce_entry);
		w->nproducers--;
		s->producing = false;
	}
	if (w->app.ops->kind != APP_SOCKETIO && w->app.ops->closed != NULL)
		w->app.ops->closed(w->app.ctx, s, reason);
}

/* It is no more; what points to it is told by the caller. */
static void
session_remove(struct session *s)
{
	struct worker *w = s->worker;

	s->dead = true;
	/* it is freed before the list is looked at if it was put there while
	 * that was flushed: others' output makes room */
	poll_unmark(s);
	if (s->poll != NULL)
		wheel_clear(&s->poll->timer);
	table_remove(w, s);
	w->by_number[s->number] = NULL;
	w->free_numbers[w->nfree_numbers++] = s->number;
	LIST_INSERT_HEAD(&w->dead_sessions, s, entry);
	gauge_add(w->tables, w->slot, GAUGE_SESSIONS, -1);
}

void
session_close(struct session *s, enum counter count, const char *reason)
{
	struct conn *c = s->conn;

	if (s->dead || s->closing)
		return;
	WORKER_COUNT_DYNAMIC(s->worker, count);
	session_leave(s, reason);
	if (c != NULL) {
		s->conn = NULL;
		session_remove(s);
		conn_close(c, WS_CODE_NONE, NULL);
		return;
	}
	/* what is queued, and the close, are for the next GET; or for the
	 * WebSocket, if the client has stopped polling to change over */
	s->closing = true;
	s->ping_due = s->pong_due = 0;
	s->connect_due = s->worker->now_ms + POLL_CLOSE_MS;
	session_set_timer(s);
	if (s->poll->get != NULL)
		poll_mark(s);
}

/* Nothing more can be said to it. */
static void
session_end(struct session *s, enum eio_type last, unsigned code,
    const char *why)
{
	struct conn *c = s->conn;

	s->conn = NULL;
	session_remove(s);
	if (c != NULL)
		conn_close(c, code, why);
	if (s->poll != NULL)
		poll_end(s, last);
}

void
session_fail(struct session *s, enum counter count, const char *reason,
    unsigned code, const char *why)
{
	if (s->dead)
		return;
	if (!s->closing) {
		WORKER_COUNT_DYNAMIC(s->worker, count);
		log_debug("session ended sid=%.8s reason=%s why=%s", s->sid,
		    log_text(reason, strlen(reason)),
		    log_text(why == NULL ? "" : why,
			why == NULL ? 0 : strlen(why)));
		session_leave(s, reason);
	}
	session_end(s, EIO_CLOSE, code, why);
}

void
session_finish(struct session *s)
{
	session_end(s, EIO_CLOSE, WS_CODE_NONE, NULL);
}

void
session_quit(struct session *s)
{
	if (s->dead || s->closing)
		return;
	WORKER_COUNT(s->worker, CLOSED_PEER, 1);
	session_leave(s, "transport close");
	session_end(s, EIO_NOOP, WS_CODE_NONE, NULL);
}

void
session_lost(struct session *s, enum counter count, const char *reason)
{
	session_fail(s, count, reason, WS_CODE_NONE, NULL);
}

void
session_reap(struct worker *w)
{
	struct session *s;

	while ((s = LIST_FIRST(&w->dead_sessions)) != NULL) {
		LIST_REMOVE(s, entry);
		if (s->poll != NULL)
			poll_free(s);
		sock_free_all(s);
		if (s->extra != NULL) {
			free(s->extra->bearer);
			free(s->extra->agent);
			free(s->extra->head);
			free(s->extra);
		}
		free(s);
	}
}

void
session_free_all(struct worker *w)
{
	struct session *s;

	while ((s = LIST_FIRST(&w->sessions)) != NULL) {
		s->closing = false;
		session_fail(s, COUNTER_CLOSED_SERVER, "server shutting down",
		    WS_CODE_NONE, NULL);
	}
	session_reap(w);
	free(w->by_sid);
	free(w->by_number);
	free(w->free_numbers);
}
