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
 *	~	it answers late, or at once
 *	g	a gap: resync			u	a verdict is lost
 *	c	this client's connection is cut: it resumes its socket
 *	l	it does so while the old connection is still there
 *
 * What goes out is strict, compact JSON and goes to sockets that are there;
 * no acknowledgement is answered twice; in the end nothing is left.
 */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chat/count.h"
#include "common/json.h"
#include "common/log.h"
#include "tests/fuzz/chat_change_ops.h"
#include "tests/fuzz/chat_script.h"
#include "tests/fuzz/chat_stream_ops.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define AUTH_A "{\"userId\":\"a\"}"
#define AUTH_SERVICE "{\"userId\":\"a\",\"role\":\"service\"}"
#define AUTH_AGENT \
	"{\"userId\":\"b\",\"workspaces\":[\"w\",{\"id\":\"v\",\"role\":" \
	"\"agent\",\"sessions\":[\"s\"]}]}"
#define AUTH_NONE "{\"userId\":\"c\",\"workspaces\":[]}"

static struct client *
current(int i)
{
	return &w.client[2 * i + w.turn[i]];
}

static struct person *
person_of(const struct client *c)
{
	return &w.person[(c - w.client) / 2];
}

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
op_encode(void *ctx, const char *name, const char *json, size_t len,
    const char *offset)
{
	struct offset o;
	const char *why;

	CHECK(strncmp(name, "chat:", 5) == 0);
	check_json(json, len);
	if (offset == NULL)
		return (struct chat_frame){ 1, (uint32_t)len };
	CHECK(offset_parse(offset, strlen(offset), &o, &why));
	CHECK(o.pos <= w.gseq);
	snprintf(w.offset, sizeof(w.offset), "%s", offset);
	return (struct chat_frame){ 2, (uint32_t)len };
}

static void
op_send(void *ctx, void *conn, struct chat_frame f, enum chat_priority prio)
{
	struct client *c = conn;

	CHECK(c->s != NULL && !c->closed);
	/* the last that it has read is that of the new connection */
	if (f.off == 2 && c == current((int)((c - w.client) / 2)))
		memcpy(person_of(c)->offset, w.offset, sizeof(w.offset));
}

static void
op_ack(void *ctx, void *conn, uint64_t ack, const char *json, size_t len)
{
	struct client *c = conn;

	CHECK(c->s != NULL && c->connected);
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
op_rate(void *ctx, void *conn, enum chat_rate kind, bool *busy_r)
{
	*busy_r = false;
	return w.over ? 1500000000 : 0;
}

static uint64_t
op_rate_refused(void *ctx, void *conn, enum chat_rate kind, uint64_t wait_ns,
    bool *out_r)
{
	*out_r = ++w.refused % 7 == 0;
	return wait_ns;
}

static void
op_lost(void *ctx, void *conn, const char *workspace, const char *session)
{
}

static bool
op_was_lost(void *ctx, void *conn, const char *workspace, const char *session)
{
	return w.over;
}

static void
op_rate_give_back(void *ctx, void *conn, enum chat_rate kind)
{
}

static bool
op_burst(void *ctx, void *conn, uint64_t mark)
{
	return mark % 5 != 0;
}

static void
op_burst_give_back(void *ctx, void *conn, uint64_t mark)
{
}

static void
op_interest(void *ctx, uint64_t room, bool on)
{
	w.interests += on ? 1 : -1;
	CHECK(w.interests >= 0);
}

static enum chat_read
op_roster(void *ctx, void *conn, const struct chat_roster_query *q,
    chat_member_fn fn, void *arg, struct chat_roster *roster_r)
{
	struct chat_member m = { .joined_ms = 1, .active_ms = 2 };
	enum chat_read rc = read_store(conn, fn != NULL);
	int i;

	if (rc != CHAT_READ_DONE || fn == NULL)
		return rc;
	roster_r->pos = w.gseq;
	roster_r->more = q->limit < CLIENTS || q->after.len > 0;
	roster_r->count = CLIENTS;
	m.status = m.user_id = m.user_name = (struct chat_str){ "idle", 4 };
	for (i = 0; i < CLIENTS && (uint64_t)i < q->limit; i++) {
		m.socket_id =
		    (struct chat_str){ w.person[i].id, strlen(w.person[i].id) };
		if (!fn(arg, &m))
			break;
	}
	return rc;
}

static enum chat_read
op_messages(void *ctx, void *conn, const struct chat_query *q, chat_row_fn fn,
    void *arg, struct chat_page *page_r)
{
	struct chat_row row;
	enum chat_read rc = read_store(conn, fn != NULL);
	uint64_t n = 0, from = q->from, skip = q->backward ? q->offset : 0;
	const struct message *m;
	int i;

	if (rc != CHAT_READ_DONE || fn == NULL)
		return rc;
	CHECK(q->room <= ROOMS);
	page_r->pos = w.gseq;
	page_r->last = w.last[q->room];
	/* the newest 'count' that are asked for, ascending */
	for (i = 0; i < w.nmessages; i++) {
		m = &w.message[i];
		n += q->backward && m->room == q->room && m->seq <= from;
	}
	n = n > skip ? n - skip : 0;
	skip = n > q->count ? n - q->count : 0;
	page_r->more = q->backward && skip > 0;
	if (!q->backward)
		n = q->count;
	for (i = 0; i < w.nmessages; i++) {
		m = &w.message[i];
		if (m->room != q->room ||
		    (q->backward ? m->seq > from : m->seq < from))
			continue;
		if (n == 0) {
			page_r->more = !q->backward || page_r->more;
			break;
		}
		n--;
		if (q->backward && skip > 0) {
			skip--;
			continue;
		}
		row = row_of(m);
		if (!fn(arg, &row))
			break;
	}
	return rc;
}

static enum chat_read
op_recovery(void *ctx, void *conn, struct chat_str pid, chat_recovery_fn fn,
    void *arg)
{
	static const char *const user[CLIENTS] = { "a", "a", "b", "c" };
	struct chat_recovery_room rooms[ROOMS];
	struct chat_recovery r = { .own = true, .rooms = rooms };
	int i = client_of_pid(pid), k;
	struct person *row = &w.person[i < 0 ? 0 : i];
	enum chat_read rc = read_store(conn, true);

	if (rc != CHAT_READ_DONE || i < 0)
		return rc;
	r.user_id = (struct chat_str){ user[i], 1 };
	r.socket_id = (struct chat_str){ row->id, strlen(row->id) };
	r.lost_ms = row->lost_ms;
	r.owner.serial = row->serial;
	for (k = 1; k <= ROOMS; k++) {
		struct chat_recovery_room *room = &rooms[r.nrooms];

		if (!row->room[k].in)
			continue;
		r.nrooms++;
		memset(room, 0, sizeof(*room));
		room->room = (uint64_t)k;
		room->gseq = row->room[k].gseq;
		room->has_after = row->room[k].after > 0;
		room->after_seq = row->room[k].after;
		room->has_revision = row->room[k].revision > 0;
		room->after_revision = row->room[k].revision;
		room->workspace = (struct chat_str){ row->room[k].workspace,
			strlen(row->room[k].workspace) };
		room->session = (struct chat_str){ row->room[k].session,
			strlen(row->room[k].session) };
	}
	fn(arg, &r);
	return rc;
}

static void
make_id(char id[CHAT_SID_SIZE], const char *kind)
{
	static unsigned n;

	snprintf(id, CHAT_SID_SIZE, "%s-%06u-123456789", kind, n++ % 1000000U);
	CHECK(strlen(id) == CHAT_SID_LEN);
}

static enum chat_read
op_bans(void *ctx, struct chat_place *place, uint64_t pos, chat_steered_fn fn,
    void *arg)
{
	place->done = true;
	return CHAT_READ_DONE;
}

static void
op_new_ids(void *ctx, void *conn, char sid[CHAT_SID_SIZE],
    char pid[CHAT_SID_SIZE])
{
	make_id(sid, "sid");
	make_id(pid, "pid");
}

static void
op_connected(void *ctx, void *conn, const char *sid, const char *pid,
    bool recovered)
{
	struct client *c = conn;
	struct person *p = person_of(c);

	CHECK(!c->connected && !c->closed);
	c->connected = true;
	/* an old connection that goes on: the person may be another now */
	if (c != current((int)((c - w.client) / 2)))
		return;
	CHECK(!recovered ||
	    (strcmp(p->id, sid) == 0 && strcmp(p->pid, pid) == 0));
	if (recovered)
		return;
	memcpy(p->id, sid, CHAT_SID_SIZE);
	memcpy(p->pid, pid, CHAT_SID_SIZE);
	p->offset[0] = '\0';
	p->used = false;
}

static void
op_refused(void *ctx, void *conn, enum chat_error err)
{
	struct client *c = conn;

	CHECK(!c->connected && !c->closed);
	CHECK(chat_error_retryable(err) || err == CHAT_E_SESSION_INVALID);
	c->s = NULL;
}

static void
op_close(void *ctx, void *conn)
{
	((struct client *)conn)->closed = true;
}

static void
op_disconnect(void *ctx, void *conn, const char *reason)
{
	((struct client *)conn)->let_go = reason;
}

static void
op_address(void *ctx, void *conn, char *buf, size_t size)
{
	snprintf(buf, size, "192.0.2.1");
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
	.offer = op_offer,
	.ack = op_ack,
	.want_produce = op_want_produce,
	.rate = op_rate,
	.rate_refused = op_rate_refused,
	.lost = op_lost,
	.was_lost = op_was_lost,
	.rate_give_back = op_rate_give_back,
	.burst = op_burst,
	.burst_give_back = op_burst_give_back,
	.interest = op_interest,
	.roster = op_roster,
	.messages = op_messages,
	.seek = op_seek,
	.changes = op_changes,
	.receipts = op_receipts,
	.find = op_find,
	.recovery = op_recovery,
	.bans = op_bans,
	.stream_open = op_stream_open,
	.stream_append = op_stream_append,
	.stream_rate = op_stream_rate,
	.stream_tail = op_stream_tail,
	.stream_detach = op_stream_detach,
	.stream_claim = op_stream_claim,
	.stream_end = op_stream_end,
	.stream_cancel = op_stream_cancel,
	.stream_find = op_stream_find,
	.stream_look = op_stream_look,
	.stream_progress = op_stream_progress,
	.streams = op_streams,
	.streams_lost = op_streams_lost,
	.stream_text = op_stream_text,
	.new_ids = op_new_ids,
	.connected = op_connected,
	.refused = op_refused,
	.close = op_close,
	.disconnect = op_disconnect,
	.address = op_address,
	.mono_ms = op_time,
	.real_ms = op_time,
	.count = op_count,
};

/* --- the world's steps -------------------------------------------------------- */

static bool
alive(const struct chat_socket *s)
{
	int i;

	for (i = 0; i < 2 * CLIENTS; i++) {
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
	d.revision = e->revision;
	d.time_ms = w.now;
	/* around the border of deltas */
	d.members = (uint32_t)(e->gseq % 7);
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

static struct identity *
identity_of(int i)
{
	static const char *const auth[CLIENTS] = { AUTH_A, AUTH_SERVICE,
		AUTH_AGENT, AUTH_NONE };
	struct identity *id;
	enum chat_error err;

	id = identity_authenticate(&w.cfg, auth[i], strlen(auth[i]), NULL, 0, 1,
	    &err);
	CHECK(id != NULL);
	/* the token of one of them has an end */
	if (i == 0)
		id->expires_ms = w.now + 9000;
	return id;
}

/* Somebody's rights are looked at again: they are others, or gone. */
static void
recheck(int i, bool gone, bool less)
{
	struct client *c = current(i);
	struct identity *id = gone ? NULL : identity_of(i);

	if (id != NULL && less) {
		id->all_workspaces = false;
		id->nworkspaces = 0;
	}
	if (c->s != NULL)
		chat_rechecked(w.chat, c->s, &id);
	identity_free(&id);
}

static struct chat_connect
begin(struct client *c)
{
	struct chat_connect options = { .pid = person_of(c)->pid };

	c->acks = 0;
	c->wants = c->connected = c->closed = false;
	c->let_go = NULL;
	c->serial = options.owner.serial = ++w.serials;
	/* one of them takes no offsets */
	options.offsets = c < &w.client[2 * (CLIENTS - 1)];
	return options;
}

static void
connect_client(int i)
{
	struct client *c = current(i);
	struct person *p = &w.person[i];
	struct identity *id = identity_of(i);
	struct chat_connect options = begin(c);

	make_id(p->id, "sid");
	make_id(p->pid, "pid");
	p->offset[0] = '\0';
	p->used = false;
	c->connected = true;
	c->s = chat_connect(w.chat, c, &id, p->id, &options);
	CHECK(c->s != NULL);
}

static void
resume_client(int i)
{
	struct client *c = current(i);
	struct person *p = &w.person[i];
	struct identity *id = identity_of(i);
	struct chat_connect options = begin(c);
	struct chat_resume resume;
	char auth[CHAT_SID_SIZE + OFFSET_TEXT_SIZE + 40];
	bool has = p->offset[0] != '\0';

	snprintf(auth, sizeof(auth), "{\"pid\":\"%s\"%s%s%s}", p->pid,
	    has ? ",\"offset\":\"" : "", p->offset, has ? "\"" : "");
	CHECK(chat_wants_resume(auth, strlen(auth), &resume));
	c->s = chat_resume(w.chat, c, &id, &resume, &options);
	if (c->s == NULL) {
		identity_free(&id);
		connect_client(i);
	}
}

/* The old connection goes, or stays until it is told to. */
static void
cut(int i, bool stays)
{
	struct client *c = current(i), *other = &w.client[2 * i + !w.turn[i]];

	if (other->s != NULL)
		chat_disconnect(w.chat, &other->s, "transport close");
	if (!stays)
		chat_disconnect(w.chat, &c->s, "transport error");
	w.turn[i] = !w.turn[i];
	resume_client(i);
}

/* Whoever was told to close does so, or comes back if he was the last. */
static void
close_told(void)
{
	int i;

	for (i = 0; i < 2 * CLIENTS; i++) {
		struct client *c = &w.client[i];

		if (c->s != NULL && c->closed)
			chat_disconnect(w.chat, &c->s, "forced close");
		else if (c->s != NULL && c->let_go != NULL)
			chat_disconnect(w.chat, &c->s, c->let_go);
		if (c->s == NULL && c == current(i / 2))
			connect_client(i / 2);
	}
}

static void
produce(void)
{
	int i, n;

	for (n = 0; n < 10; n++) {
		for (i = 0; i < 2 * CLIENTS; i++) {
			if (w.client[i].s == NULL || !w.client[i].wants)
				continue;
			w.client[i].wants = false;
			chat_produce(w.chat, w.client[i].s, position());
		}
		close_told();
	}
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
	struct client *c = current(i);

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
		close_told();
		break;
	case 't':
		w.now += 1700;
		chat_tick(w.chat);
		break;
	case 'x':
		chat_disconnect(w.chat, &c->s, "transport close");
		connect_client(i);
		break;
	case 'c':
		cut(i, false);
		break;
	case 'l':
		cut(i, true);
		break;
	case 'p':
		produce();
		break;
	case '~':
		w.late = !w.late;
		break;
	case '!':
		w.fail = !w.fail;
		break;
	case 'r':
		w.over = !w.over;
		break;
	case 'w':
		recheck(i, false, true);
		break;
	case 'W':
		recheck(i, false, false);
		break;
	case 'k':
		recheck(i, true, false);
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

	w.fail = w.late = false;
	for (i = 0; i < 2 * CLIENTS; i++) {
		if (w.client[i].s == NULL)
			continue;
		if (i % 4 == 0)
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
	table_clear(&w.streams);
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
	w.cfg.recovery_window = 20000;
	w.cfg.presence_delta_above = 3;
	w.cfg.presence_idle_after = 5000;
	w.cfg.presence_away_after = 9000;
	streams_setup();
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
