/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * ops - what the chat asks for, done with rings, store, tables and sockets.
 */

#include <stdio.h>
#include <string.h>

#include "chat/count.h"
#include "common/clock.h"
#include "common/fault.h"
#include "common/log.h"
#include "proto/frame.h"
#include "shm/lost.h"
#include "shm/burst.h"
#include "worker/reader.h"
#include "worker/stream.h"
#include "worker/worker.h"

/* messages that are looked at for an id before others get their turn */
#define FIND_ROWS 5000

/* what may wait for a client that is still sent parts as they come */
#define OFFER_MAX (64 * 1024)

static void
ops_publish(void *ctx, struct chat_socket *from, uint32_t request,
    const struct chat_event *ev)
{
	struct worker *w = ctx;
	struct publish_waiter waiter;
	const struct sock *so;

	if (from == NULL) {
		publisher_put(w->publisher, NULL, ev, w->now_ms);
		return;
	}
	so = chat_socket_conn(from);
	waiter.number = so->session->number;
	waiter.serial = so->session->serial;
	waiter.request = request;
	publisher_put(w->publisher, &waiter, ev, w->now_ms);
}

static struct chat_frame
ops_encode(void *ctx, const char *name, const char *json, size_t len,
    const char *offset)
{
	struct worker *w = ctx;
	size_t n;

	if (offset != NULL) {
		n = frame_event_offset(NULL, 0, name, json, len, offset);
		(void)frame_event_offset(output_reserve(w, n), n, name, json,
		    len, offset);
	} else {
		n = frame_event(NULL, 0, name, json, len);
		(void)frame_event(output_reserve(w, n), n, name, json, len);
	}
	return output_commit(w);
}

static void
ops_send(void *ctx, void *conn, struct chat_frame frame,
    enum chat_priority prio)
{
	struct worker *w = ctx;
	const struct sock *so = conn;

	WORKER_COUNT(w, DELIVERIES, 1);
	session_send(so->session, frame, prio);
}

static bool
ops_offer(void *ctx, void *conn, struct chat_frame frame)
{
	struct worker *w = ctx;
	const struct sock *so = conn;
	uint64_t limit = w->cfg->limits_send_queue / 2;

	if (limit == 0 || limit > OFFER_MAX)
		limit = OFFER_MAX;
	if (session_queued(so->session) + frame.len > limit)
		return false;
	ops_send(ctx, conn, frame, CHAT_EVENT);
	return true;
}

static void
ops_ack(void *ctx, void *conn, uint64_t ack, const char *json, size_t len)
{
	struct worker *w = ctx;
	const struct sock *so = conn;
	size_t n = frame_ack(NULL, 0, ack, json, len);

	frame_ack(output_reserve(w, n), n, ack, json, len);
	FAULT(ACK_BEFORE);
	session_send(so->session, output_commit(w), CHAT_ANSWER);
	FAULT(ACK_AFTER);
}

static void
ops_want_produce(void *ctx, void *conn)
{
	sock_want_produce(conn);
}

static uint32_t
rate_limit(const struct config *cfg, enum chat_rate kind)
{
	switch (kind) {
	case CHAT_RATE_MESSAGE:
		return cfg->limits_message_rate;
	case CHAT_RATE_TYPING:
		return cfg->limits_typing_rate;
	case CHAT_RATE_JOIN:
		return cfg->limits_join_rate;
	case CHAT_RATE_HISTORY:
		return cfg->limits_history_rate;
	case CHAT_RATE_PRESENCE:
		return cfg->limits_presence_rate;
	case CHAT_RATE__MAX:
		break;
	}
	return 0;
}

static const enum user_rate rate_kinds[CHAT_RATE__MAX] = {
	[CHAT_RATE_MESSAGE] = USER_RATE_MESSAGE,
	[CHAT_RATE_TYPING] = USER_RATE_TYPING,
	[CHAT_RATE_JOIN] = USER_RATE_JOIN,
	[CHAT_RATE_HISTORY] = USER_RATE_HISTORY,
	[CHAT_RATE_PRESENCE] = USER_RATE_PRESENCE,
};

static const enum counter rate_counters[CHAT_RATE__MAX] = {
	[CHAT_RATE_MESSAGE] = COUNTER_LIMITED_MESSAGE,
	[CHAT_RATE_TYPING] = COUNTER_LIMITED_TYPING,
	[CHAT_RATE_JOIN] = COUNTER_LIMITED_JOIN,
	[CHAT_RATE_HISTORY] = COUNTER_LIMITED_HISTORY,
	[CHAT_RATE_PRESENCE] = COUNTER_LIMITED_PRESENCE,
};

static const enum counter event_counters[CHAT_RATE__MAX] = {
	[CHAT_RATE_MESSAGE] = COUNTER_EVENT_MESSAGE,
	[CHAT_RATE_TYPING] = COUNTER_EVENT_TYPING,
	[CHAT_RATE_JOIN] = COUNTER_EVENT_JOIN,
	[CHAT_RATE_HISTORY] = COUNTER_EVENT_HISTORY,
	[CHAT_RATE_PRESENCE] = COUNTER_EVENT_PRESENCE,
};

static uint64_t
ops_rate(void *ctx, void *conn, enum chat_rate kind, bool *busy_r)
{
	struct worker *w = ctx;
	const struct sock *so = conn;
	uint64_t wait;

	counter_add(w->tables, w->slot, event_counters[kind], 1);
	wait = user_rate_shed(w->tables, &so->user, rate_kinds[kind],
	    rate_limit(w->cfg, kind), w->overload.level, clock_mono_ns(),
	    busy_r);
	if (*busy_r)
		WORKER_COUNT(w, EVENTS_SHED, 1);
	return wait;
}

static uint64_t
ops_rate_refused(void *ctx, void *conn, enum chat_rate kind, uint64_t wait_ns,
    bool *out_r)
{
	struct worker *w = ctx;
	const struct sock *so = conn;

	counter_add(w->tables, w->slot, rate_counters[kind], 1);
	return user_refused(w->tables, &so->user, rate_kinds[kind],
	    rate_limit(w->cfg, kind), wait_ns,
	    w->cfg->limits_backoff_max * 1000000, clock_mono_ns(), out_r);
}

static void
ops_lost(void *ctx, void *conn, const char *workspace, const char *session)
{
	struct worker *w = ctx;
	const struct sock *so = conn;

	lost_put(w->tables, so->user.key, workspace, session,
	    w->now_ms + w->cfg->recovery_window);
}

static bool
ops_was_lost(void *ctx, void *conn, const char *workspace, const char *session)
{
	struct worker *w = ctx;
	const struct sock *so = conn;

	return lost_take(w->tables, so->user.key, workspace, session,
	    w->now_ms);
}

static void
ops_rate_give_back(void *ctx, void *conn, enum chat_rate kind)
{
	struct worker *w = ctx;
	const struct sock *so = conn;

	user_rate_give_back(w->tables, &so->user, rate_kinds[kind],
	    rate_limit(w->cfg, kind));
}

static bool
ops_burst(void *ctx, void *conn, uint64_t mark)
{
	struct worker *w = ctx;
	const struct sock *so = conn;

	return burst_charge(w->tables, so->user.key, mark,
	    w->cfg->content_burst, clock_mono_ns());
}

static void
ops_burst_give_back(void *ctx, void *conn, uint64_t mark)
{
	struct worker *w = ctx;
	const struct sock *so = conn;

	burst_give_back(w->tables, so->user.key, mark);
}

static void
ops_interest(void *ctx, uint64_t room, bool on)
{
	struct worker *w = ctx;

	ring_interest(w->log, w->slot, room, on);
	FAULT(INTEREST);
	gauge_add(w->tables, w->slot, GAUGE_ROOMS, on ? 1 : -1);
}

/* --- reading the store --------------------------------------------------- */

static void
on_read(void *conn)
{
	sock_want_produce(conn);
}

/* *a_r is to be given back if it is DONE. */
static enum chat_read
ask(struct worker *w, void *conn, const struct read_query *question,
    const struct read_answer **a_r)
{
	struct read_query q = *question;
	const struct read_answer *a;

	q.decided = w->log_cursor;
	if ((a = reader_ask(w->reader, conn, &q, w->now_ms)) == NULL)
		return CHAT_READ_LATER;
	if (a->error != 0) {
		reader_taken(w->reader, a);
		return CHAT_READ_FAILED;
	}
	*a_r = a;
	return CHAT_READ_DONE;
}

/* Only see to it that it is read. */
static enum chat_read
ask_only(struct worker *w, void *conn, const struct read_query *question)
{
	struct read_query q = *question;

	q.decided = w->log_cursor;
	return reader_ask(w->reader, conn, &q, w->now_ms) == NULL
	    ? CHAT_READ_LATER
	    : CHAT_READ_DONE;
}

static struct chat_str
chat_text(struct store_text t)
{
	return (struct chat_str){ t.p, t.len };
}

/* The text of the question; false: there is no such socket. */
static bool
roster_text(const struct chat_roster_query *cq, char *text, size_t size,
    size_t *len_r)
{
	int n = snprintf(text, size, READ_ROSTER_TEXT, (int)cq->self.len,
	    cq->self.len == 0 ? "" : cq->self.p, (int)cq->after.len,
	    cq->after.len == 0 ? "" : cq->after.p, (int)cq->after_user.len,
	    cq->after_user.len == 0 ? "" : cq->after_user.p);

	*len_r = (size_t)n;
	return n >= 0 && *len_r < size;
}

static enum chat_read
ops_roster(void *ctx, void *conn, const struct chat_roster_query *cq,
    chat_member_fn fn, void *arg, struct chat_roster *roster_r)
{
	struct worker *w = ctx;
	char text[4 * STORE_MAX_NAME];
	struct read_query q = { .kind = READ_ROSTER,
		.room = cq->room,
		.from = cq->self_user,
		.offset = cq->count,
		.count = cq->limit,
		.text.p = text,
		.notify = on_read };
	const struct read_answer *a;
	struct chat_member m;
	struct read_row row;
	enum chat_read rc;
	size_t at = 0;

	if (!roster_text(cq, text, sizeof(text), &q.text.len))
		return CHAT_READ_FAILED;
	if (fn == NULL)
		return ask_only(w, conn, &q);
	if ((rc = ask(w, conn, &q, &a)) != CHAT_READ_DONE)
		return rc;
	while (reader_row(a, &at, &row)) {
		m.user = row.n[0];
		m.joined_ms = row.n[1];
		m.active_ms = row.n[2];
		m.gseq = row.n[3];
		m.user_id = chat_text(row.text[0]);
		m.user_name = chat_text(row.text[1]);
		m.socket_id = chat_text(row.text[2]);
		m.status = chat_text(row.text[3]);
		if (!fn(arg, &m))
			break;
	}
	roster_r->pos = a->pos;
	roster_r->more = a->more;
	roster_r->count = a->seq;
	reader_taken(w->reader, a);
	return CHAT_READ_DONE;
}

struct chat_row
worker_message_of(const struct read_row *r)
{
	return (struct chat_row){ .seq = r->n[0],
		.gseq = r->n[1],
		.time_ms = r->n[2],
		.revision = r->n[3],
		.edited_ms = r->n[4],
		.deleted = r->n[5] != 0,
		.id = chat_text(r->text[0]),
		.body = chat_text(r->text[1]) };
}

static enum chat_read
ops_messages(void *ctx, void *conn, const struct chat_query *cq, chat_row_fn fn,
    void *arg, struct chat_page *page_r)
{
	struct worker *w = ctx;
	const struct read_query q = { .kind = READ_MESSAGES,
		.room = cq->room,
		.from = cq->from,
		.backward = cq->backward,
		.offset = cq->offset,
		.count = cq->count,
		.bytes = cq->bytes,
		.extra = cq->extra,
		.notify = on_read };
	const struct read_answer *a;
	struct chat_row row;
	struct read_row r;
	enum chat_read rc;
	size_t at = 0;

	if (fn == NULL)
		return ask_only(w, conn, &q);
	if ((rc = ask(w, conn, &q, &a)) != CHAT_READ_DONE)
		return rc;
	while (reader_row(a, &at, &r)) {
		row = worker_message_of(&r);
		if (!fn(arg, &row))
			break;
	}
	page_r->more = a->more;
	page_r->pos = a->pos;
	page_r->last = a->seq;
	reader_taken(w->reader, a);
	return CHAT_READ_DONE;
}

static enum chat_read
ops_seek(void *ctx, void *conn, uint64_t room, uint64_t gseq,
    struct chat_seek *seek_r)
{
	struct worker *w = ctx;
	const struct read_query q = { .kind = READ_SEEK,
		.room = room,
		.from = gseq,
		.notify = on_read };
	const struct read_answer *a;
	enum chat_read rc;

	if ((rc = ask(w, conn, &q, &a)) != CHAT_READ_DONE)
		return rc;
	seek_r->seq = a->seq;
	seek_r->pos = a->pos;
	seek_r->changes = a->more;
	seek_r->revision = a->revision;
	reader_taken(w->reader, a);
	return CHAT_READ_DONE;
}

static struct chat_change
change_of(const struct read_row *r)
{
	struct chat_change c = { .seq = r->n[1],
		.gseq = r->n[2],
		.revision = r->n[3],
		.changed_ms = r->n[4],
		.time_ms = r->n[5] };

	switch (r->n[0]) {
	case STORE_CHANGE_EDIT:
	case STORE_CHANGE_DELETE:
		c.type = r->n[0] == STORE_CHANGE_EDIT ? CHAT_EDIT : CHAT_DELETE;
		c.id = chat_text(r->text[0]);
		c.body = chat_text(r->text[1]);
		break;
	case STORE_CHANGE_RECEIPT:
		c.type = CHAT_RECEIPT;
		c.user_id = chat_text(r->text[0]);
		break;
	default:
		c.type = CHAT_STATUS;
		c.status = chat_text(r->text[0]);
		c.reason = chat_text(r->text[1]);
		break;
	}
	return c;
}

static enum chat_read
ops_changes(void *ctx, void *conn, const struct chat_change_query *cq,
    chat_change_fn fn, void *arg, struct chat_page *page_r)
{
	struct worker *w = ctx;
	const struct read_query q = { .kind = READ_CHANGES,
		.room = cq->room,
		.from = cq->from,
		.offset = cq->has_revision ? cq->after_revision + 1 : 0,
		.count = cq->count,
		.bytes = cq->bytes,
		.notify = on_read };
	const struct read_answer *a;
	struct chat_change c;
	struct read_row r;
	enum chat_read rc;
	size_t at = 0;

	if (fn == NULL)
		return ask_only(w, conn, &q);
	if ((rc = ask(w, conn, &q, &a)) != CHAT_READ_DONE)
		return rc;
	while (reader_row(a, &at, &r)) {
		c = change_of(&r);
		if (!fn(arg, &c))
			break;
	}
	page_r->more = a->more;
	page_r->pos = a->pos;
	reader_taken(w->reader, a);
	return CHAT_READ_DONE;
}

static enum chat_read
ops_receipts(void *ctx, void *conn, uint64_t room, uint64_t user,
    chat_receipt_fn fn, void *arg)
{
	struct worker *w = ctx;
	const struct read_query q = { .kind = READ_RECEIPTS,
		.room = room,
		.from = user,
		.count = CHAT_RECEIPTS_MAX,
		.notify = on_read };
	const struct read_answer *a;
	struct read_row r;
	enum chat_read rc;
	size_t at = 0;

	if (fn == NULL)
		return ask_only(w, conn, &q);
	if ((rc = ask(w, conn, &q, &a)) != CHAT_READ_DONE)
		return rc;
	while (reader_row(a, &at, &r) && fn(arg, chat_text(r.text[0]), r.n[0]))
		continue;
	reader_taken(w->reader, a);
	return CHAT_READ_DONE;
}

/* An old message is looked for piece by piece, so that others get their turn
 * in between. */
static enum chat_read
ops_find(void *ctx, void *conn, uint64_t room, struct chat_str id, uint64_t *at,
    chat_row_fn fn, void *arg)
{
	struct worker *w = ctx;
	struct read_query q = { .kind = READ_FIND,
		.room = room,
		.count = FIND_ROWS,
		.text = { id.p, id.len },
		.notify = on_read };
	const struct read_answer *a;
	struct chat_row row;
	struct read_row r;
	enum chat_read rc;
	size_t place = 0;
	bool more;

	do {
		q.from = *at;
		if ((rc = ask(w, conn, &q, &a)) != CHAT_READ_DONE)
			return rc;
		more = a->more;
		if (more)
			*at = a->seq;
		if (reader_row(a, &place, &r)) {
			row = worker_message_of(&r);
			(void)fn(arg, &row);
		}
		reader_taken(w->reader, a);
	} while (more);
	return CHAT_READ_DONE;
}

/* --- connection state recovery --------------------------------------------- */

static void
recovery_row(struct worker *w, const struct read_answer *a, chat_recovery_fn fn,
    void *arg)
{
	struct chat_recovery_room rooms[STORE_RECOVERY_ROOMS];
	struct chat_recovery r = { .rooms = rooms };
	struct read_row row;
	size_t at = 0;

	if (!reader_row(a, &at, &row))
		return;
	r.user = row.n[0];
	r.lost_ms = row.n[1];
	r.own = row.n[2] == ring_run(w->log) && row.n[3] == w->incarnation;
	r.owner.number = (uint32_t)(row.n[4] >> 32);
	r.owner.serial = (uint32_t)row.n[4];
	r.partial = row.n[5] != 0;
	r.user_id = chat_text(row.text[0]);
	r.socket_id = chat_text(row.text[1]);
	while (r.nrooms < STORE_RECOVERY_ROOMS && reader_row(a, &at, &row)) {
		struct chat_recovery_room *to = &rooms[r.nrooms];

		/* who cannot be put back everywhere is not put back */
		if (row.text[1].len == 0) {
			r.partial = true;
			continue;
		}
		to->room = row.n[0];
		to->gseq = row.n[1];
		to->has_after = row.n[2] != 0;
		to->after_seq = row.n[3];
		to->has_revision = row.n[4] != 0;
		to->after_revision = row.n[5];
		to->agent = chat_text(row.text[0]);
		to->workspace = chat_text(row.text[1]);
		to->session = chat_text(row.text[2]);
		r.nrooms++;
	}
	fn(arg, &r);
}

static enum chat_read
ops_recovery(void *ctx, void *conn, struct chat_str pid, chat_recovery_fn fn,
    void *arg)
{
	struct worker *w = ctx;
	const struct read_query q = { .kind = READ_RECOVERY,
		.text = { pid.p, pid.len },
		.notify = on_read };
	const struct read_answer *a;
	enum chat_read rc;

	if ((rc = ask(w, conn, &q, &a)) != CHAT_READ_DONE)
		return rc;
	recovery_row(w, a, fn, arg);
	reader_taken(w->reader, a);
	return CHAT_READ_DONE;
}

static void
ops_new_ids(void *ctx, void *conn, char sid[CHAT_SID_SIZE],
    char pid[CHAT_SID_SIZE])
{
	sid_new(ctx, sid);
	sid_new(ctx, pid);
}

static void
ops_address(void *ctx, void *conn, char *buf, size_t size)
{
	const struct sock *so = conn;
	struct net_address peer = session_peer(so->session);
	char text[NET_ADDRESS_TEXT];

	peer.port = 0;
	net_address_print(&peer, text);
	(void)snprintf(buf, size, "%s", text);
}

static uint64_t
ops_mono_ms(void *ctx)
{
	struct worker *w = ctx;

	return w->now_ms;
}

static uint64_t
ops_real_ms(void *ctx)
{
	return clock_real_ms();
}

/* The worker's counter for each of chat's. */
static const enum counter count_map[CHAT_COUNT__MAX] = {
	[CHAT_COUNT_JOINS] = COUNTER_JOINS,
	[CHAT_COUNT_LEAVES] = COUNTER_LEAVES,
	[CHAT_COUNT_MESSAGES] = COUNTER_MESSAGES_STORED,
	[CHAT_COUNT_DUPLICATES] = COUNTER_MESSAGES_DUPLICATE,
	[CHAT_COUNT_TYPING] = COUNTER_PUBLISHED_LIVE,
	[CHAT_COUNT_PRESENCE] = COUNTER_PRESENCE_SET,
	[CHAT_COUNT_HISTORY] = COUNTER_HISTORY_PAGES,
	[CHAT_COUNT_REPLAYS] = COUNTER_REPLAYS,
	[CHAT_COUNT_REPLAYED] = COUNTER_REPLAYED,
	[CHAT_COUNT_RESUMED] = COUNTER_RESUMED,
	[CHAT_COUNT_NOT_RESUMED] = COUNTER_NOT_RESUMED,
	[CHAT_COUNT_TAKEN_OVER] = COUNTER_TAKEN_OVER,
	[CHAT_COUNT_STREAMS] = COUNTER_STREAMS_BEGUN,
	[CHAT_COUNT_CHUNKS] = COUNTER_STREAM_CHUNKS,
	[CHAT_COUNT_CHUNKS_MERGED] = COUNTER_STREAM_MERGED,
	[CHAT_COUNT_STREAMS_RESUMED] = COUNTER_STREAMS_RESUMED,
	[CHAT_COUNT_STREAMS_STORED] = COUNTER_STREAMS_STORED,
	[CHAT_COUNT_STREAMS_INTERRUPTED] = COUNTER_STREAMS_INTERRUPTED,
	[CHAT_COUNT_STREAMS_CANCELLED] = COUNTER_STREAMS_CANCELLED,
	[CHAT_COUNT_JOIN_ERRORS] = COUNTER_JOINS_REFUSED,
	[CHAT_COUNT_MESSAGE_ERRORS] = COUNTER_MESSAGES_REFUSED,
	[CHAT_COUNT_OTHER_ERRORS] = COUNTER_EVENTS_REFUSED,
	[CHAT_COUNT_UNKNOWN_EVENTS] = COUNTER_EVENT_OTHER,
	[CHAT_COUNT_INVALID_PAYLOADS] = COUNTER_EVENT_BAD,
	[CHAT_COUNT_STORE_ERRORS] = COUNTER_STORE_ERRORS,
	[CHAT_COUNT_MESSAGE_BLOCKED] = COUNTER_MESSAGE_BLOCKED,
	[CHAT_COUNT_RATE_LIMIT_EXCEEDED] = COUNTER_RATE_EXCEEDED,
	[CHAT_COUNT_SUSPICIOUS_ACTIVITY] = COUNTER_SUSPICIOUS,
	[CHAT_COUNT_SESSION_VALIDATION_FAILED] = COUNTER_EVENT_DENIED,
	[CHAT_COUNT_UNAUTHORIZED_ACCESS] = COUNTER_UNAUTHORIZED,
};

static void
ops_count(void *ctx, unsigned what)
{
	struct worker *w = ctx;

	if (what < CHAT_COUNT__MAX)
		counter_add(w->tables, w->slot, count_map[what], 1);
}

const struct chat_ops worker_chat_ops = {
	.publish = ops_publish,
	.encode = ops_encode,
	.send = ops_send,
	.offer = ops_offer,
	.ack = ops_ack,
	.want_produce = ops_want_produce,
	.verify = app_chat_verify,
	.rate = ops_rate,
	.rate_refused = ops_rate_refused,
	.lost = ops_lost,
	.was_lost = ops_was_lost,
	.rate_give_back = ops_rate_give_back,
	.burst = ops_burst,
	.burst_give_back = ops_burst_give_back,
	.interest = ops_interest,
	.roster = ops_roster,
	.messages = ops_messages,
	.seek = ops_seek,
	.changes = ops_changes,
	.receipts = ops_receipts,
	.find = ops_find,
	.recovery = ops_recovery,
	.bans = worker_bans,
	.stream_open = ops_stream_open,
	.stream_append = ops_stream_append,
	.stream_rate = ops_stream_rate,
	.stream_tail = ops_stream_tail,
	.stream_detach = ops_stream_detach,
	.stream_claim = ops_stream_claim,
	.stream_end = ops_stream_end,
	.stream_cancel = ops_stream_cancel,
	.stream_find = ops_stream_find,
	.stream_look = ops_stream_look,
	.stream_progress = ops_stream_progress,
	.streams = ops_streams,
	.streams_lost = ops_streams_lost,
	.stream_text = ops_stream_text,
	.new_ids = ops_new_ids,
	.connected = app_chat_connected,
	.refused = app_chat_refused,
	.close = app_chat_close,
	.disconnect = app_chat_disconnect,
	.address = ops_address,
	.mono_ms = ops_mono_ms,
	.real_ms = ops_real_ms,
	.count = ops_count,
};
