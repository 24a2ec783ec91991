/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * chat_return - how clients of chat_world.h lose their connection and come
 * back, and what else happens to connections: workers die, the daemon is
 * started again, a worker falls behind.
 */

#ifndef CHAT_RETURN_H
#define CHAT_RETURN_H

#include "tests/unit/chat_world.h"

/* The offset of the last event that had one, of the first 'n' it was sent. */
static const char *
offset_after(const struct conn *c, int n)
{
	while (n-- > 0) {
		if (c->offset[n] != NULL)
			return c->offset[n];
	}
	return NULL;
}

static UNUSED const char *
last_offset(const struct conn *c)
{
	return offset_after(c, c->nout);
}

/* A CONNECT with the members 'auth' (of a JSON object), as a worker does it. */
static struct conn *
connect_with(struct world *w, int worker, const char *auth, bool crowded)
{
	struct conn *c = new_conn(w, worker);
	struct identity *id;
	struct chat_resume resume;
	struct chat_connect options = { .offsets = !w->without_offsets,
		.owner = c->owner };
	char *payload;

	assert_int_not_equal(asprintf(&payload, "{%s}", auth), -1);
	id = identity_of(w, payload);
	if (chat_wants_resume(payload, strlen(payload), &resume)) {
		resume.crowded = crowded;
		c->s = chat_resume(w->chat[worker], c, &id, &resume, &options);
	}
	if (c->s == NULL) {
		assert_non_null(id);
		op_new_ids(NULL, c, c->id, c->pid);
		options.pid = c->pid;
		c->s = chat_connect(w->chat[worker], c, &id, c->id, &options);
		op_connected(NULL, c, c->id, chat_socket_pid(c->s), false);
	}
	assert_null(id);
	free(payload);
	return c;
}

static struct conn *
come_back_as(struct world *w, int worker, const char *user, const char *pid,
    const char *offset)
{
	char *auth;
	struct conn *c;
	bool has = offset != NULL;

	assert_int_not_equal(asprintf(&auth,
				 "\"userId\":\"%s\",\"userName\":\"Name of "
				 "%s\",\"pid\":\"%s\""
				 "%s%s%s",
				 user, user, pid, has ? ",\"offset\":\"" : "",
				 has ? offset : "", has ? "\"" : ""),
	    -1);
	c = connect_with(w, worker, auth, false);
	free(auth);
	return c;
}

/* The client of 'old' comes back with all that it was sent. */
static UNUSED struct conn *
come_back(struct conn *old, int worker, const char *user)
{
	return come_back_as(old->w, worker, user, old->pid, last_offset(old));
}

static UNUSED struct recovery_row *
row_of(struct conn *c)
{
	return recovery_find(c->w, str_of(c->pid));
}

static void
publish_orphan(struct world *w, const struct presence_row *p)
{
	struct stored *e = calloc(1, sizeof(*e));
	unsigned i;

	assert_non_null(e);
	e->d.ev.type = CHAT_LEAVE;
	e->d.ev.flags = CHAT_F_ORPHAN;
	e->d.ev.room = p->room;
	e->d.ev.user = user_number(w, p->user_id);
	e->d.ev.owner = p->whose.owner;
	e->d.ev.nfields = 3;
	e->field[0] = strdup(p->socket_id);
	e->field[1] = strdup(p->user_id);
	e->field[2] = strdup("transport close");
	for (i = 0; i < 3; i++)
		e->d.ev.field[i] = str_of(e->field[i]);
	e->worker = -1;
	e->incarnation = p->whose.incarnation;
	w->published[w->npublished++] = e;
}

/* The process is gone, with all that it had not published. */
static void
end_worker(struct world *w, int worker)
{
	struct engine *en = &w->engine[worker];
	int i;

	w->streams.frozen = true;
	for (i = 0; i < w->nconns; i++) {
		if (w->conn[i].worker == worker && w->conn[i].s != NULL)
			chat_forget(w->chat[worker], &w->conn[i].s);
	}
	chat_free(&w->chat[worker]);
	w->streams.frozen = false;
	en->incarnation += 100;
	en->interests = 0;
	en->delivered = w->ndelivered < w->nsequenced
	    ? w->sequenced[w->ndelivered]->d.gseq
	    : w->gseq;
	w->chat[worker] = chat_new(&w->cfg, &world_ops, en);
	assert_non_null(w->chat[worker]);
}

static UNUSED void
kill_worker(struct world *w, int worker)
{
	unsigned incarnation = w->engine[worker].incarnation;
	int i;

	end_worker(w, worker);
	/* its orphans are looked for when all that it published is decided */
	sequence(w);
	for (i = 0; i < ROWS; i++) {
		if (w->presence[i].used &&
		    w->presence[i].whose.incarnation == incarnation)
			publish_orphan(w, &w->presence[i]);
	}
}

/* All that is left is what the store holds. */
static UNUSED void
restart_daemon(struct world *w)
{
	int i, k;

	sequence(w);
	deliver(w, EVENTS);
	for (i = 0; i < WORKERS; i++)
		end_worker(w, i);
	for (i = 0; i < ROWS; i++)
		w->presence[i].used = false;
	for (i = 0; i < RECOVERIES; i++) {
		for (k = 0; k < w->recovery[i].nrooms; k++)
			w->recovery[i].room[k].present = false;
		if (w->recovery[i].lost_ms == 0)
			w->recovery[i].lost_ms = w->real_ms;
	}
}

/* The worker misses all that is sequenced, and goes on behind it. */
static UNUSED void
fall_behind(struct world *w, int worker)
{
	int k;

	for (; w->ndelivered < w->nsequenced; w->ndelivered++) {
		for (k = 0; k < WORKERS; k++) {
			if (k != worker)
				deliver_to(w, w->sequenced[w->ndelivered], k);
		}
	}
	w->engine[worker].delivered = w->gseq;
	chat_resync(w->chat[worker], w->gseq);
}

/* The next is a message of the session with this seq. */
static UNUSED void
expect_seq(struct conn *c, const char *event, int seq)
{
	char want[20];

	snprintf(want, sizeof(want), "%d", seq);
	assert_member(expect_event(c, event), "seq", want);
}

static UNUSED void
expect_received(struct conn *c, int from, int to)
{
	for (; from <= to; from++)
		expect_seq(c, "chat:message-received", from);
}

/* Messages s-m1, s-m2, ... of a session s. */
static inline void
say_messages(struct conn *c, const char *session, int from, int to)
{
	char id[40];

	for (; from <= to; from++) {
		snprintf(id, sizeof(id), "%s-m%d", session, from);
		message(c, session, id, "x");
	}
}

/* Steps until something can be produced. */
static inline void
steps(struct world *w)
{
	while (w->npublished > 0 || w->ndelivered < w->nsequenced) {
		sequence(w);
		deliver(w, EVENTS);
	}
}

#endif /* CHAT_RETURN_H */
