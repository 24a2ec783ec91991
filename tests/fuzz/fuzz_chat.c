/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * fuzz_chat - clients that say anything, and a world that does anything.
 *
 * The input is a script, a line a step; a step begins with the client's
 * number (0 to 3) and goes on with an event's name, a blank and its
 * arguments, or is one of the world's:
 *
 *	s	decide what is published	d	deliver one of it
 *	D	deliver all			t	time passes
 *	x	this client hangs up		p	produce for all
 *	!	the store fails, or works	r	this client is over its rate
 *	g	a gap: resync			u	a verdict is lost
 *
 * What goes out is strict, compact JSON and goes to sockets that are there;
 * no acknowledgement is answered twice; in the end nothing is left.
 */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chat/chat.h"
#include "chat/count.h"
#include "common/json.h"
#include "common/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CLIENTS 4
#define EVENTS 256
#define ROOMS 8
#define MESSAGES 256
#define STEPS 300

#define AUTH_A "{\"userId\":\"a\"}"
#define AUTH_SERVICE "{\"userId\":\"a\",\"role\":\"service\"}"
#define AUTH_AGENT \
	"{\"userId\":\"b\",\"workspaces\":[\"w\",{\"id\":\"v\",\"role\":" \
	"\"agent\",\"sessions\":[\"s\"]}]}"
#define AUTH_NONE "{\"userId\":\"c\",\"workspaces\":[]}"

struct client {
	struct chat_socket *s;
	char id[24];
	bool wants;
	/* acknowledgements that it waits for */
	uint64_t acks;
};

struct event {
	struct chat_event ev;
	char *field[CHAT_MAX_FIELDS];
	struct chat_socket *from;
	uint32_t request;
	enum chat_outcome outcome;
	uint64_t gseq, seq;
};

struct message {
	uint64_t room, seq, gseq;
	char *body;
};

static struct {
	struct config cfg;
	struct chat *chat;
	struct client client[CLIENTS];
	struct event event[EVENTS];
	int published, decided, delivered;
	struct message message[MESSAGES];
	int nmessages;
	uint64_t last[ROOMS + 1], gseq, now;
	bool fail, over;
	int interests;
} w;

static void
op_publish(void *ctx, struct chat_socket *from, uint32_t request,
    const struct chat_event *ev)
{
	struct event *e = &w.event[w.published];
	unsigned i;

	CHECK(ev->nfields <= CHAT_MAX_FIELDS);
	if (w.published == EVENTS)
		return;
	w.published++;
	e->ev = *ev;
	e->from = from;
	e->request = request;
	for (i = 0; i < ev->nfields; i++) {
		CHECK((e->field[i] = malloc(ev->field[i].len + 1)) != NULL);
		memcpy(e->field[i], ev->field[i].p, ev->field[i].len);
		e->ev.field[i].p = e->field[i];
	}
}

static void
check_json(const char *json, size_t len)
{
	const char *why;

	CHECK(json_scan(json, len, 33, &why) == JSON_FINE);
	CHECK(json_value(json, len).kind == JSON_KIND_OBJECT);
	CHECK(json_compact_length((struct json_span){ json, len }) == len);
}

static struct chat_frame
op_encode(void *ctx, const char *name, const char *json, size_t len)
{
	CHECK(strncmp(name, "chat:", 5) == 0);
	check_json(json, len);
	return (struct chat_frame){ 1, (uint32_t)len };
}

static void
op_send(void *ctx, void *conn, struct chat_frame f, enum chat_priority prio)
{
	CHECK(((struct client *)conn)->s != NULL && f.off == 1);
}

static void
op_ack(void *ctx, void *conn, uint64_t ack, const char *json, size_t len)
{
	struct client *c = conn;

	CHECK(c->s != NULL);
	/* asked for, and once: acks are counted down */
	CHECK(c->acks > 0);
	c->acks--;
	check_json(json, len);
}

static void
op_want_produce(void *ctx, void *conn)
{
	((struct client *)conn)->wants = true;
}

static uint64_t
op_rate(void *ctx, void *conn, enum chat_rate kind)
{
	return w.over ? 1500000000 : 0;
}

static void
op_rate_give_back(void *ctx, void *conn, enum chat_rate kind)
{
}

static void
op_interest(void *ctx, uint64_t room, bool on)
{
	w.interests += on ? 1 : -1;
	CHECK(w.interests >= 0);
}

static int
op_roster(void *ctx, uint64_t room, chat_member_fn fn, void *arg,
    uint64_t *pos_r)
{
	struct chat_member m = { .joined_ms = 1, .active_ms = 2 };
	int i;

	if (w.fail)
		return -1;
	*pos_r = w.gseq;
	m.status = m.user_id = m.user_name = (struct chat_str){ "idle", 4 };
	for (i = 0; i < CLIENTS; i++) {
		m.socket_id =
		    (struct chat_str){ w.client[i].id, strlen(w.client[i].id) };
		if (!fn(arg, &m))
			break;
	}
	return 0;
}

static int
op_messages(void *ctx, uint64_t room, uint64_t from, uint64_t to,
    bool descending, chat_row_fn fn, void *arg)
{
	struct chat_row row = { .time_ms = 5 };
	const struct message *m;
	int i;

	if (w.fail)
		return -1;
	for (i = 0; i < w.nmessages; i++) {
		m = &w.message[descending ? w.nmessages - 1 - i : i];
		if (m->room != room || m->seq < from || m->seq > to)
			continue;
		row.seq = m->seq;
		row.gseq = m->gseq;
		row.body = (struct chat_str){ m->body, strlen(m->body) };
		if (!fn(arg, &row))
			break;
	}
	return 0;
}

static int
op_last_seq(void *ctx, uint64_t room, uint64_t *seq_r)
{
	CHECK(room <= ROOMS);
	*seq_r = w.last[room];
	return w.fail ? -1 : 0;
}

static uint64_t
op_time(void *ctx)
{
	return w.now;
}

static void
op_count(void *ctx, unsigned what)
{
	CHECK(what < CHAT_COUNT__MAX);
}

static const struct chat_ops ops = {
	.publish = op_publish,
	.encode = op_encode,
	.send = op_send,
	.ack = op_ack,
	.want_produce = op_want_produce,
	.rate = op_rate,
	.rate_give_back = op_rate_give_back,
	.interest = op_interest,
	.roster = op_roster,
	.messages = op_messages,
	.last_seq = op_last_seq,
	.mono_ms = op_time,
	.real_ms = op_time,
	.count = op_count,
};

/* --- the world's steps -------------------------------------------------------- */

static void
decide_message(struct event *e)
{
	struct message *m = &w.message[w.nmessages];
	size_t len = e->ev.field[2].len;

	if (w.nmessages == MESSAGES ||
	    (e->ev.flags & CHAT_F_ONLY_DUPLICATE) != 0) {
		e->outcome = CHAT_REJECTED;
		return;
	}
	w.nmessages++;
	m->room = e->ev.room;
	m->gseq = e->gseq;
	m->seq = e->seq = ++w.last[e->ev.room];
	CHECK((m->body = malloc(len + 1)) != NULL);
	memcpy(m->body, e->field[2], len);
	m->body[len] = '\0';
}

static void
decide(void)
{
	struct event *e;

	for (; w.decided < w.published; w.decided++) {
		e = &w.event[w.decided];
		e->gseq = w.gseq++;
		e->outcome = w.fail ? CHAT_STORE_UNAVAILABLE : CHAT_STORED;
		if (e->ev.type == CHAT_JOIN) {
			/* some rooms more than once: by their names' lengths */
			e->ev.room = 1 +
			    (e->ev.field[0].len * 3 + e->ev.field[1].len) %
				ROOMS;
			e->ev.user = e->field[2][0];
			e->seq = w.last[e->ev.room];
		}
		if (e->ev.type == CHAT_MESSAGE && e->outcome == CHAT_STORED)
			decide_message(e);
	}
}

static bool
alive(const struct chat_socket *s)
{
	int i;

	for (i = 0; i < CLIENTS; i++) {
		if (s != NULL && w.client[i].s == s)
			return true;
	}
	return false;
}

static void
deliver(bool lost)
{
	struct event *e = &w.event[w.delivered];
	struct chat_delivery d;

	if (w.delivered == w.decided)
		return;
	w.delivered++;
	memset(&d, 0, sizeof(d));
	d.ev = e->ev;
	d.outcome = e->outcome;
	d.gseq = e->gseq;
	d.seq = e->seq;
	d.time_ms = w.now;
	d.own = true;
	d.request = e->request;
	if (!lost && alive(e->from))
		d.socket = e->from;
	chat_deliver(w.chat, &d);
}

static uint64_t
position(void)
{
	return w.delivered < w.decided ? w.event[w.delivered].gseq : w.gseq;
}

static void
produce(void)
{
	int i, n;

	for (n = 0; n < 10; n++) {
		for (i = 0; i < CLIENTS; i++) {
			if (w.client[i].s == NULL || !w.client[i].wants)
				continue;
			w.client[i].wants = false;
			chat_produce(w.chat, w.client[i].s, position());
		}
	}
}

static void
connect_client(int i)
{
	static const char *const auth[CLIENTS] = { AUTH_A, AUTH_SERVICE,
		AUTH_AGENT, AUTH_NONE };
	struct identity *id;
	enum chat_error err;

	id = identity_authenticate(&w.cfg, auth[i], strlen(auth[i]), NULL, 0, 1,
	    &err);
	CHECK(id != NULL);
	snprintf(w.client[i].id, sizeof(w.client[i].id), "socket%d", i);
	w.client[i].acks = 0;
	w.client[i].wants = false;
	w.client[i].s = chat_connect(w.chat, &w.client[i], &id, w.client[i].id);
	CHECK(w.client[i].s != NULL);
}

static void
client_says(struct client *c, const char *line, size_t len)
{
	const char *blank = memchr(line, ' ', len), *why;
	size_t n = blank == NULL ? len : (size_t)(blank - line);
	char *array, *args;
	bool has_ack = len % 2 == 0;

	/* arguments have passed the scanner, in an array */
	CHECK((array = malloc(len - n + 2)) != NULL);
	array[0] = '[';
	memcpy(array + 1, line + n, len - n);
	array[len - n + 1] = ']';
	if (json_scan(array, len - n + 2, 33, &why) == JSON_FINE) {
		CHECK((args = malloc(len - n + 1)) != NULL);
		memcpy(args, array + 1, len - n);
		c->acks += has_ack;
		chat_receive(w.chat, c->s, (struct chat_str){ line, n },
		    (struct chat_str){ args, len - n }, len, has_ack, 1);
		free(args);
	}
	free(array);
}

static void
step(const char *line, size_t len)
{
	int i = (line[0] - '0') & (CLIENTS - 1);
	struct client *c = &w.client[i];

	if (len > 2) {
		client_says(c, line + 1, len - 1);
		return;
	}
	switch (len == 2 ? line[1] : 0) {
	case 's':
		decide();
		break;
	case 'd':
		deliver(false);
		break;
	case 'u':
		deliver(true);
		break;
	case 'D':
		decide();
		while (w.delivered < w.decided)
			deliver(false);
		break;
	case 't':
		w.now += 1700;
		chat_tick(w.chat);
		break;
	case 'x':
		chat_disconnect(w.chat, &c->s, "transport close");
		connect_client(i);
		break;
	case 'p':
		produce();
		break;
	case '!':
		w.fail = !w.fail;
		break;
	case 'r':
		w.over = !w.over;
		break;
	case 'g':
		chat_resync(w.chat, position());
		chat_resync_live(w.chat);
		break;
	}
}

static void
end(void)
{
	struct chat_totals t;
	int i;
	unsigned k;

	w.fail = false;
	for (i = 0; i < CLIENTS; i++) {
		if (i % 2 == 0)
			chat_disconnect(w.chat, &w.client[i].s, "ping timeout");
		else
			chat_forget(w.chat, &w.client[i].s);
	}
	decide();
	while (w.delivered < w.decided)
		deliver(false);
	chat_totals(w.chat, &t);
	CHECK(t.sockets + t.members + t.rooms == 0 && w.interests == 0);
	chat_free(&w.chat);
	for (i = 0; i < w.published; i++) {
		for (k = 0; k < w.event[i].ev.nfields; k++)
			free(w.event[i].field[k]);
	}
	for (i = 0; i < w.nmessages; i++)
		free(w.message[i].body);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *p = (const char *)data, *e = p + size, *nl;
	int i, steps;

	memset(&w, 0, sizeof(w));
	log_set_level(LOG_LEVEL_ERROR);
	w.gseq = 100;
	w.now = 1000000;
	w.cfg.limits_sessions_per_socket = 3;
	w.cfg.limits_message_length = 20;
	w.cfg.limits_metadata_bytes = 30;
	w.cfg.limits_event_bytes = 500;
	w.cfg.limits_history_page = 3;
	w.cfg.typing_coalesce = 3000;
	w.cfg.typing_expiry = 6000;
	w.cfg.replay_max = 4;
	CHECK((w.chat = chat_new(&w.cfg, &ops, NULL)) != NULL);
	for (i = 0; i < CLIENTS; i++)
		connect_client(i);
	for (steps = 0; p < e && steps < STEPS; steps++) {
		nl = memchr(p, '\n', (size_t)(e - p));
		nl = nl == NULL ? e : nl;
		if (nl > p)
			step(p, (size_t)(nl - p));
		p = nl < e ? nl + 1 : e;
	}
	end();
	return 0;
}
