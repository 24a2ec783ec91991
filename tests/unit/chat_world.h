/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * chat_world - everything around chat/ for its tests: some engines ("workers"),
 * clients that keep what they are sent, and in place of rings, scribe and
 * store one queue that decides and remembers.
 *
 *   published -> sequenced (in the store, has its verdict) -> delivered
 *
 * run() does all of it; sequence() and deliver() do it by halves, for what
 * must hold while the store is ahead.  Time stands still unless it is moved.
 *
 * The rows by which sockets are resumed are kept as the scribe keeps them.
 */

#ifndef CHAT_WORLD_H
#define CHAT_WORLD_H

#include "tests/unit/chat_look.h"
#include "tests/unit/chat_streams.h"

/* --- ops --------------------------------------------------------------------- */

static char *
text_of(struct chat_str s)
{
	char *p = malloc(s.len + 1);

	assert_non_null(p);
	if (s.len > 0)
		memcpy(p, s.p, s.len);
	p[s.len] = '\0';
	return p;
}

static void
stored_free(struct stored *e)
{
	unsigned i;

	for (i = 0; i < e->d.ev.nfields; i++)
		free(e->field[i]);
	free(e);
}

static void
op_publish(void *ctx, struct chat_socket *from, uint32_t request,
    const struct chat_event *ev)
{
	struct engine *en = ctx;
	struct world *w = en->w;
	struct stored *e = calloc(1, sizeof(*e));
	unsigned i;

	assert_non_null(e);
	assert_true(from == NULL || request != 0);
	e->d.ev = *ev;
	for (i = 0; i < ev->nfields; i++) {
		e->field[i] = text_of(ev->field[i]);
		e->d.ev.field[i].p = e->field[i];
	}
	e->d.socket = from;
	e->d.request = request;
	e->worker = en->worker;
	e->incarnation = en->incarnation;
	if (chat_event_is_live(ev->type))
		w->live[w->nlive++] = e;
	else
		w->published[w->npublished++] = e;
}

static struct chat_frame
op_encode(void *ctx, const char *name, const char *json, size_t len,
    const char *offset)
{
	struct world *w = ((struct engine *)ctx)->w;
	struct chat_frame f = { (uint32_t)w->nframes, 0 };
	const char *why;
	size_t n = strlen(name) + len + 2;

	/* what goes out is strict, compact JSON */
	if (json_scan(json, len, 33, &why) != JSON_FINE)
		fail_msg("%s: %.*s: %s", name, (int)len, json, why);
	assert_int_equal(json_compact_length((struct json_span){ json, len }),
	    len);
	assert_true(w->nframes < OUTS);
	assert_non_null(w->frame[w->nframes] = malloc(n));
	snprintf(w->frame[w->nframes], n, "%s %.*s", name, (int)len, json);
	w->frame_offset[w->nframes++] = offset == NULL ? NULL : strdup(offset);
	w->encodes++;
	return f;
}

static void
conn_put(struct conn *c, char *text, const char *offset,
    enum chat_priority prio)
{
	assert_true(c->nout < OUTS);
	/* nothing is sent to what is gone */
	assert_non_null(c->s);
	c->prio[c->nout] = prio;
	c->offset[c->nout] = offset == NULL ? NULL : strdup(offset);
	c->out[c->nout++] = text;
}

static void
op_send(void *ctx, void *conn, struct chat_frame f, enum chat_priority prio)
{
	struct world *w = ((struct engine *)ctx)->w;

	assert_true((int)f.off < w->nframes);
	conn_put(conn, strdup(w->frame[f.off]), w->frame_offset[f.off], prio);
}

static bool
op_offer(void *ctx, void *conn, struct chat_frame f)
{
	if (((struct conn *)conn)->slow)
		return false;
	op_send(ctx, conn, f, CHAT_EVENT);
	return true;
}

static void
op_ack(void *ctx, void *conn, uint64_t ack, const char *json, size_t len)
{
	const char *why;
	char *p = malloc(len + 40);

	assert_int_equal(json_scan(json, len, 33, &why), JSON_FINE);
	assert_non_null(p);
	snprintf(p, len + 40, "ack:%llu %.*s", (unsigned long long)ack,
	    (int)len, json);
	conn_put(conn, p, NULL, CHAT_ANSWER);
}

static void
op_want_produce(void *ctx, void *conn)
{
	((struct conn *)conn)->want_produce = true;
}

static uint64_t
op_rate(void *ctx, void *conn, enum chat_rate kind, bool *busy_r)
{
	struct world *w = ((struct engine *)ctx)->w;

	*busy_r = w->busy;

	w->charged[kind]++;
	return w->wait_ns[kind];
}

static uint64_t
op_rate_refused(void *ctx, void *conn, enum chat_rate kind, uint64_t wait_ns,
    bool *out_r)
{
	struct world *w = ((struct engine *)ctx)->w;

	w->refused[kind]++;
	*out_r = w->refused[kind] == w->out_after;
	return wait_ns << w->doubled;
}

static void
op_lost(void *ctx, void *conn, const char *workspace, const char *session)
{
	struct world *w = ((struct engine *)ctx)->w;

	snprintf(w->lost, sizeof(w->lost), "%s/%s", workspace, session);
}

static bool
op_was_lost(void *ctx, void *conn, const char *workspace, const char *session)
{
	struct world *w = ((struct engine *)ctx)->w;
	char name[sizeof(w->lost)];

	snprintf(name, sizeof(name), "%s/%s", workspace, session);
	if (strcmp(name, w->lost) != 0)
		return false;
	w->lost[0] = '\0';
	return true;
}

static void
op_rate_give_back(void *ctx, void *conn, enum chat_rate kind)
{
	((struct engine *)ctx)->w->given_back[kind]++;
}

static bool
op_burst(void *ctx, void *conn, uint64_t mark)
{
	struct world *w = ((struct engine *)ctx)->w;

	assert_int_not_equal(mark, 0);
	w->marks[w->nmarks++ % MARKS] = mark;
	return !w->bursting;
}

static void
op_burst_give_back(void *ctx, void *conn, uint64_t mark)
{
	((struct engine *)ctx)->w->marks_back++;
}

static void
op_interest(void *ctx, uint64_t room, bool on)
{
	struct engine *en = ctx;

	en->interests += on ? 1 : -1;
	assert_true(en->interests >= 0);
}

static void
new_id(struct world *w, char id[CHAT_SID_SIZE])
{
	char text[32];

	snprintf(text, sizeof(text), "id-%04u-012345678901", w->nids++);
	assert_int_equal(strlen(text), CHAT_SID_LEN);
	memcpy(id, text, CHAT_SID_SIZE);
}

static void
op_new_ids(void *ctx, void *conn, char sid[CHAT_SID_SIZE],
    char pid[CHAT_SID_SIZE])
{
	struct conn *c = conn;

	new_id(c->w, sid);
	new_id(c->w, pid);
}

static void
op_connected(void *ctx, void *conn, const char *sid, const char *pid,
    bool recovered)
{
	struct conn *c = conn;

	snprintf(c->id, sizeof(c->id), "%s", sid);
	snprintf(c->pid, sizeof(c->pid), "%s", pid == NULL ? "" : pid);
	conn_put(c, strdup(recovered ? "CONNECT recovered" : "CONNECT new"),
	    NULL, CHAT_ANSWER);
}

static void
op_refused(void *ctx, void *conn, enum chat_error err)
{
	struct conn *c = conn;
	char text[64];

	snprintf(text, sizeof(text), "CONNECT_ERROR %s", chat_error_code(err));
	conn_put(c, strdup(text), NULL, CHAT_ANSWER);
	c->s = NULL;
}

static void
op_close(void *ctx, void *conn)
{
	struct conn *c = conn;

	conn_put(c, strdup("CLOSE"), NULL, CHAT_ANSWER);
	if (c->w->close_at_once)
		chat_disconnect(c->w->chat[c->worker], &c->s, "forced close");
}

static void
op_disconnect(void *ctx, void *conn, const char *reason)
{
	struct conn *c = conn;
	char text[64];

	snprintf(text, sizeof(text), "DISCONNECT %s", reason);
	conn_put(c, strdup(text), NULL, CHAT_ANSWER);
	c->let_go = reason;
}

static void
op_verify(void *ctx, void *conn, uint32_t request, struct chat_str token)
{
	struct conn *c = conn;

	assert_true(request != 0 && token.len < sizeof(c->verify_token));
	c->verify = request;
	memcpy(c->verify_token, token.p, token.len);
	c->verify_token[token.len] = '\0';
}

static uint64_t
op_mono_ms(void *ctx)
{
	return ((struct engine *)ctx)->w->mono_ms;
}

static uint64_t
op_real_ms(void *ctx)
{
	return ((struct engine *)ctx)->w->real_ms;
}

static void
op_count(void *ctx, unsigned what)
{
	assert_true(what < CHAT_COUNT__MAX);
	((struct engine *)ctx)->w->counts[what]++;
}

static const struct chat_ops world_ops = {
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
	.verify = op_verify,
	.address = op_address,
	.mono_ms = op_mono_ms,
	.real_ms = op_real_ms,
	.count = op_count,
};

/* --- time goes on ------------------------------------------------------------ */

/* Decide all that was published. */
static void
sequence(struct world *w)
{
	int i;

	for (i = 0; i < w->npublished; i++) {
		decide(w, w->published[i]);
		w->sequenced[w->nsequenced++] = w->published[i];
	}
	w->npublished = 0;
}

/* On that worker: another may have one in the same place of memory. */
static bool
alive(const struct world *w, const struct chat_socket *s, int worker)
{
	int i;

	for (i = 0; i < w->nconns; i++) {
		if (w->conn[i].s == s && w->conn[i].worker == worker)
			return s != NULL;
	}
	return false;
}

static void
deliver_to(struct world *w, struct stored *e, int worker)
{
	struct chat_delivery d = e->d;

	if (chat_event_is_live(d.ev.type) && w->engine[worker].deaf)
		return;
	d.own = e->worker == worker &&
	    e->incarnation == w->engine[worker].incarnation;
	d.socket = d.own && alive(w, e->d.socket, worker) ? e->d.socket : NULL;
	if (!d.own)
		d.request = 0;
	if (d.own || chat_has_room(w->chat[worker], d.ev.room) ||
	    d.ev.type == CHAT_RESUME || d.ev.type == CHAT_STATUS ||
	    (d.ev.type == CHAT_STEER && d.outcome == CHAT_STORED))
		chat_deliver(w->chat[worker], &d);
	if (!chat_event_is_live(e->d.ev.type))
		w->engine[worker].delivered = d.gseq + 1;
}

static void
deliver_live(struct world *w)
{
	int i, k;

	for (i = 0; i < w->nlive; i++) {
		for (k = 0; k < WORKERS; k++)
			deliver_to(w, w->live[i], k);
		stored_free(w->live[i]);
	}
	w->nlive = 0;
}

/* Deliver the next 'n' that are sequenced, the ephemeral ones first. */
static void
deliver(struct world *w, int n)
{
	int k;

	deliver_live(w);
	for (; n > 0 && w->ndelivered < w->nsequenced; n--) {
		for (k = 0; k < WORKERS; k++)
			deliver_to(w, w->sequenced[w->ndelivered], k);
		w->ndelivered++;
	}
}

/* What clients asked for, piece by piece; returns how many pieces. */
static int
produce(struct world *w)
{
	int i, n = 0;
	bool more = true;

	while (more) {
		more = false;
		for (i = 0; i < w->nconns; i++) {
			struct conn *c = &w->conn[i];

			if (!c->want_produce || c->s == NULL || c->slow)
				continue;
			c->want_produce = false;
			chat_produce(w->chat[c->worker], c->s,
			    w->engine[c->worker].delivered);
			more = true;
			n++;
		}
	}
	return n;
}

/* What was told to close has done so. */
static void
close_told(struct world *w)
{
	struct conn *c;
	int i;

	for (i = 0; i < w->nconns; i++) {
		c = &w->conn[i];
		if (c->s != NULL && c->nout > 0 &&
		    strcmp(c->out[c->nout - 1], "CLOSE") == 0)
			chat_disconnect(w->chat[c->worker], &c->s,
			    "forced close");
		else if (c->s != NULL && c->let_go != NULL)
			chat_disconnect(w->chat[c->worker], &c->s, c->let_go);
	}
}

/* Until nothing is left to do. */
static void
run(struct world *w)
{
	do {
		reads_go_on(w);
		close_told(w);
		while (w->npublished > 0 || w->nlive > 0 ||
		    w->ndelivered < w->nsequenced) {
			sequence(w);
			deliver(w, EVENTS);
			close_told(w);
		}
	} while (produce(w) > 0 || reads_under_way(w));
	while (w->nframes > 0) {
		free(w->frame[--w->nframes]);
		free(w->frame_offset[w->nframes]);
	}
}

/* --- clients ---------------------------------------------------------------------- */

static UNUSED char *
xdup(const char *p)
{
	char *q = strdup(p);

	assert_non_null(q);
	return q;
}

static struct conn *
new_conn(struct world *w, int worker)
{
	struct conn *c = &w->conn[w->nconns];

	assert_true(w->nconns < CONNS);
	c->w = w;
	c->worker = worker;
	c->owner.number = (uint32_t)w->nconns;
	c->owner.serial = 7000 + (uint32_t)w->nconns;
	w->nconns++;
	return c;
}

static struct identity *
identity_of(struct world *w, const char *auth)
{
	struct identity *id;
	enum chat_error err;

	id = identity_authenticate(&w->cfg, auth, strlen(auth), NULL, 0,
	    w->real_ms, &err);
	assert_non_null(id);
	return id;
}

/* A client who may do everything: mode none. */
static UNUSED struct conn *
client_as(struct world *w, int worker, const char *auth)
{
	struct conn *c = new_conn(w, worker);
	struct identity *id = identity_of(w, auth);
	struct chat_connect options = { .pid = c->pid,
		.offsets = !w->without_offsets,
		.owner = c->owner };

	snprintf(c->id, sizeof(c->id), "socket-%02d-0123456789", w->nconns - 1);
	snprintf(c->pid, sizeof(c->pid), "pid-%03d-012345678901",
	    w->nconns - 1);
	c->s = chat_connect(w->chat[worker], c, &id, c->id, &options);
	assert_non_null(c->s);
	assert_null(id);
	return c;
}

static UNUSED struct conn *
client(struct world *w, int worker, const char *user)
{
	char auth[200];

	snprintf(auth, sizeof(auth),
	    "{\"userId\":\"%s\",\"userName\":\"Name of %s\"}", user, user);
	return client_as(w, worker, auth);
}

/* ack 0: none asked for */
static UNUSED void
say(struct conn *c, const char *event, const char *json, uint64_t ack)
{
	char *name = xdup(event), *args = xdup(json);

	chat_receive(c->w->chat[c->worker], c->s, str_of(name), str_of(args),
	    strlen(json), ack != 0, ack);
	free(name);
	free(args);
}

static UNUSED void
hang_up(struct conn *c, const char *reason)
{
	chat_disconnect(c->w->chat[c->worker], &c->s, reason);
	assert_null(c->s);
}

static UNUSED int
waiting(const struct conn *c)
{
	return c->nout - c->next;
}

/* The next that was sent is exactly this. */
static UNUSED void
expect(struct conn *c, const char *text)
{
	if (c->next == c->nout)
		fail_msg("nothing instead of: %s", text);
	assert_string_equal(c->out[c->next], text);
	c->next++;
}

static UNUSED void
expect_nothing(const struct conn *c)
{
	if (c->next < c->nout)
		fail_msg("unexpected: %s", c->out[c->next]);
}

static UNUSED void
skip_all(struct conn *c)
{
	c->next = c->nout;
}

/* The next begins with 'event'; returns its payload. */
static UNUSED struct json_value
expect_event(struct conn *c, const char *event)
{
	const char *text;
	size_t n = strlen(event);

	if (c->next == c->nout)
		fail_msg("nothing instead of: %s", event);
	text = c->out[c->next++];
	if (strncmp(text, event, n) != 0 || text[n] != ' ')
		fail_msg("%s instead of: %s", text, event);
	return json_value(text + n + 1, strlen(text + n + 1));
}

static UNUSED void
assert_member(struct json_value v, const char *key, const char *text)
{
	struct json_value m = json_member(v, key);

	if (m.kind == JSON_KIND_NONE)
		fail_msg("no %s", key);
	if (m.text.len != strlen(text) ||
	    memcmp(m.text.p, text, m.text.len) != 0)
		fail_msg("%s is %.*s, not %s", key, (int)m.text.len, m.text.p,
		    text);
}

static UNUSED void
assert_text_equal(struct json_value a, struct json_value b)
{
	assert_int_equal(a.text.len, b.text.len);
	assert_memory_equal(a.text.p, b.text.p, a.text.len);
}

static UNUSED void
join(struct conn *c, const char *workspace, const char *session)
{
	char json[300];

	snprintf(json, sizeof(json),
	    "{\"sessionId\":\"%s\",\"workspaceId\":\"%s\"}", session,
	    workspace);
	say(c, "chat:join-session", json, 0);
	run(c->w);
}

/* Everybody in one session, and nothing left to read. */
static UNUSED void
join_all(struct world *w, const char *session)
{
	int i;

	for (i = 0; i < w->nconns; i++) {
		if (w->conn[i].s != NULL)
			join(&w->conn[i], "w1", session);
	}
	for (i = 0; i < w->nconns; i++)
		skip_all(&w->conn[i]);
}

static UNUSED void
message(struct conn *c, const char *session, const char *id,
    const char *content)
{
	char json[400];

	snprintf(json, sizeof(json),
	    "{\"message\":{\"id\":\"%s\",\"content\":\"%s\",\"sessionId\":"
	    "\"%s\"}}",
	    id, content, session);
	say(c, "chat:send-message", json, 0);
}

/* --- the world's beginning and end --------------------------------------------------- */

static int
world_setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	int i;

	if (w == NULL)
		return -1;
	log_set_level(LOG_LEVEL_ERROR);
	w->mono_ms = 1000000;
	w->real_ms = START_MS;
	w->gseq = 1000;
	w->cfg.auth_mode = AUTH_MODE_NONE;
	w->cfg.limits_sessions_per_socket = 20;
	w->cfg.limits_message_length = 10000;
	w->cfg.limits_metadata_bytes = 8192;
	w->cfg.limits_event_bytes = 65536;
	w->cfg.ring_arena_bytes = 4 << 20;
	w->cfg.limits_history_page = 200;
	w->cfg.limits_connections_per_user = 5;
	w->cfg.typing_coalesce = 3000;
	w->cfg.typing_expiry = 6000;
	w->cfg.replay_max = 500;
	w->changes_a_page = 500;
	w->cfg.recovery_window = 120000;
	streams_setup(w);
	for (i = 0; i < WORKERS; i++) {
		w->engine[i].w = w;
		w->engine[i].worker = i;
		w->engine[i].incarnation = 10 + (unsigned)i;
		w->engine[i].delivered = w->gseq;
		w->chat[i] = chat_new(&w->cfg, &world_ops, &w->engine[i]);
		if (w->chat[i] == NULL)
			return -1;
	}
	*state = w;
	return 0;
}

static int
world_teardown(void **state)
{
	struct world *w = *state;
	struct chat_totals t;
	int i, k;

	for (i = 0; i < w->nconns; i++) {
		if (w->conn[i].s != NULL)
			chat_forget(w->chat[w->conn[i].worker], &w->conn[i].s);
	}
	for (i = 0; i < WORKERS; i++) {
		chat_totals(w->chat[i], &t);
		assert_int_equal(t.sockets + t.members + t.rooms, 0);
		assert_int_equal(w->engine[i].interests, 0);
		chat_free(&w->chat[i]);
	}
	for (i = 0; i < w->nconns; i++) {
		for (k = 0; k < w->conn[i].nout; k++) {
			free(w->conn[i].out[k]);
			free(w->conn[i].offset[k]);
		}
	}
	for (i = 0; i < w->npublished; i++)
		stored_free(w->published[i]);
	table_clear(&w->streams);
	for (i = 0; i < w->nlive; i++)
		stored_free(w->live[i]);
	for (i = 0; i < w->nsequenced; i++)
		stored_free(w->sequenced[i]);
	for (i = 0; i < w->nframes; i++) {
		free(w->frame[i]);
		free(w->frame_offset[i]);
	}
	for (i = 0; i < w->nmessages; i++) {
		free(w->message[i].id);
		free(w->message[i].user);
		free(w->message[i].body);
	}
	changes_free(w);
	for (i = 0; i < w->nusers; i++)
		free(w->users[i]);
	for (i = 0; i < READS; i++)
		read_free(&w->reads[i]);
	free(w);
	return 0;
}

/* The same with a store that answers late, in any order. */
static UNUSED int
world_setup_late(void **state)
{
	const char *seed = getenv("CHATD_SEED");
	struct world *w;

	if (world_setup(state) == -1)
		return -1;
	w = *state;
	w->late = 80;
	w->late_seed = seed == NULL ? 1 : (unsigned)strtoul(seed, NULL, 10);
	return 0;
}

/* What holds only if the store answers at once; and what holds always. */
#define T_NOW(name) \
	cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
#define T(name) \
	T_NOW(name), \
	{ \
#name "_late", name, world_setup_late, world_teardown, NULL \
	}

#endif /* CHAT_WORLD_H */
