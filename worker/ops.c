/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * ops - what the chat asks for, done with rings, store, tables and sockets.
 */

#include <errno.h>
#include <string.h>

#include "chat/count.h"
#include "common/clock.h"
#include "common/fault.h"
#include "common/log.h"
#include "proto/frame.h"
#include "worker/worker.h"

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
ops_rate(void *ctx, void *conn, enum chat_rate kind)
{
	struct worker *w = ctx;
	const struct sock *so = conn;
	uint64_t wait;

	counter_add(w->tables, w->slot, event_counters[kind], 1);
	wait = user_rate(w->tables, &so->user, rate_kinds[kind],
	    rate_limit(w->cfg, kind), clock_mono_ns());
	if (wait > 0)
		counter_add(w->tables, w->slot, rate_counters[kind], 1);
	return wait;
}

static void
ops_rate_give_back(void *ctx, void *conn, enum chat_rate kind)
{
	struct worker *w = ctx;
	const struct sock *so = conn;

	user_rate_give_back(w->tables, &so->user, rate_kinds[kind],
	    rate_limit(w->cfg, kind));
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

struct roster_call {
	chat_member_fn fn;
	void *arg;
};

static struct chat_str
chat_text(struct store_text t)
{
	return (struct chat_str){ t.p, t.len };
}

static bool
on_presence(const struct store_presence *p, void *arg)
{
	const struct roster_call *call = arg;
	struct chat_member m = {
		.user = p->user,
		.joined_ms = p->joined_ms,
		.active_ms = p->activity_ms,
		.gseq = p->gseq,
		.user_id = chat_text(p->user_id),
		.user_name = chat_text(p->user_name),
		.socket_id = chat_text(p->socket),
		.status = chat_text(p->status),
	};

	return call->fn(call->arg, &m);
}

static int
ops_roster(void *ctx, uint64_t room, chat_member_fn fn, void *arg,
    uint64_t *pos_r)
{
	struct worker *w = ctx;
	struct roster_call call = { fn, arg };
	struct store_txn *t;
	int rc;

	if ((t = store_snapshot(w->store)) == NULL)
		return -1;
	*pos_r = store_pos(t);
	rc = store_roster(t, room, on_presence, &call);
	store_snapshot_end(&t);
	return rc;
}

/* rows that are fetched at a time */
#define PAGE 32

static bool
give_rows(const struct store_message *m, unsigned n, bool descending,
    chat_row_fn fn, void *arg, uint64_t to)
{
	struct chat_row row;
	unsigned i;

	for (i = 0; i < n; i++) {
		const struct store_message *x = &m[descending ? n - 1 - i : i];

		if (descending ? x->seq < to : x->seq > to)
			return false;
		row.seq = x->seq;
		row.gseq = x->gseq;
		row.time_ms = x->time_ms;
		row.id = chat_text(x->id);
		row.body = chat_text(x->body);
		if (!fn(arg, &row))
			return false;
	}
	return true;
}

static int
ops_messages(void *ctx, uint64_t room, uint64_t from, uint64_t to,
    bool descending, chat_row_fn fn, void *arg)
{
	struct worker *w = ctx;
	struct store_message m[PAGE];
	struct store_query q = { .room = room, .count = PAGE };
	struct store_txn *t;
	unsigned n;
	bool more = true;
	int rc = 0;

	if (from > to)
		return 0;
	if ((t = store_snapshot(w->store)) == NULL)
		return -1;
	q.backward = descending;
	q.from = descending ? to : from;
	while (more) {
		if ((rc = store_page(t, &q, m, &n, &more)) == -1)
			break;
		if (n == 0 ||
		    !give_rows(m, n, descending, fn, arg,
			descending ? from : to))
			break;
		if (descending && m[0].seq <= 1)
			break;
		q.from = descending ? m[0].seq - 1 : m[n - 1].seq + 1;
	}
	store_snapshot_end(&t);
	return rc;
}

static int
ops_last_seq(void *ctx, uint64_t room, uint64_t *seq_r)
{
	struct worker *w = ctx;
	struct store_txn *t;
	int rc;

	if ((t = store_snapshot(w->store)) == NULL)
		return -1;
	rc = store_last_seq(t, room, seq_r);
	store_snapshot_end(&t);
	return rc;
}

static int
ops_seek(void *ctx, uint64_t room, uint64_t gseq, uint64_t *seq_r)
{
	struct worker *w = ctx;
	struct store_log log;
	struct store_txn *t;
	int rc;

	if ((t = store_snapshot(w->store)) == NULL)
		return -1;
	if ((rc = store_log_seek(t, room, gseq, &log)) == 0) {
		*seq_r = log.seq;
	} else if (errno == ENOENT &&
	    (rc = store_last_seq(t, room, seq_r)) == 0) {
		(*seq_r)++;
	}
	store_snapshot_end(&t);
	return rc;
}

/* --- connection state recovery --------------------------------------------- */

static void
recovery_row(struct worker *w, struct store_txn *t,
    const struct store_recovery *row, chat_recovery_fn fn, void *arg)
{
	struct chat_recovery_room rooms[STORE_RECOVERY_ROOMS];
	struct store_room names;
	struct chat_recovery r = {
		.user_id = chat_text(row->user_id),
		.socket_id = chat_text(row->socket),
		.user = row->user,
		.lost_ms = row->lost_ms,
		.partial = row->partial,
		.own = row->run == ring_run(w->log) &&
		    row->incarnation == w->incarnation,
		.owner = { row->client, row->generation },
		.rooms = rooms,
	};
	unsigned i;

	for (i = 0; i < row->nrooms; i++) {
		const struct store_recovery_room *from = &row->room[i];
		struct chat_recovery_room *to = &rooms[r.nrooms];

		/* who cannot be put back everywhere is not put back */
		if (store_room_get(t, from->room, &names) == -1) {
			r.partial = true;
			continue;
		}
		to->room = from->room;
		to->gseq = from->gseq;
		to->has_after = from->has_after;
		to->after_seq = from->after_seq;
		to->agent = chat_text(from->agent);
		to->workspace = chat_text(names.workspace);
		to->session = chat_text(names.session);
		r.nrooms++;
	}
	fn(arg, &r);
}

static int
ops_recovery(void *ctx, struct chat_str pid, chat_recovery_fn fn, void *arg)
{
	struct worker *w = ctx;
	struct store_recovery row;
	struct store_txn *t;
	int rc;

	if ((t = store_snapshot(w->store)) == NULL)
		return -1;
	rc = store_recovery_get(t, (struct store_text){ pid.p, pid.len }, &row);
	if (rc == 0)
		recovery_row(w, t, &row, fn, arg);
	else if (errno == ENOENT || errno == EBADMSG)
		/* none, or one that is damaged: as if there were none */
		rc = 0;
	store_snapshot_end(&t);
	return rc;
}

static void
ops_new_ids(void *ctx, void *conn, char sid[CHAT_SID_SIZE],
    char pid[CHAT_SID_SIZE])
{
	sid_new(ctx, sid);
	sid_new(ctx, pid);
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
	.ack = ops_ack,
	.want_produce = ops_want_produce,
	.rate = ops_rate,
	.rate_give_back = ops_rate_give_back,
	.interest = ops_interest,
	.roster = ops_roster,
	.messages = ops_messages,
	.last_seq = ops_last_seq,
	.seek = ops_seek,
	.recovery = ops_recovery,
	.new_ids = ops_new_ids,
	.connected = app_chat_connected,
	.refused = app_chat_refused,
	.close = app_chat_close,
	.mono_ms = ops_mono_ms,
	.real_ms = ops_real_ms,
	.count = ops_count,
};
