/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * chat:join-session.  A join is published; membership begins when it comes
 * back.  Its position is the seam: the roster and the replay hold what was
 * before it, and what comes after it is live.
 */

#include "chat/join.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chat/changes.h"
#include "chat/delta.h"
#include "chat/held.h"
#include "chat/identity.h"
#include "chat/render.h"
#include "chat/resume.h"
#include "chat/roster.h"
#include "chat/stream.h"
#include "common/fault.h"
#include "common/log.h"

#define EVENT_JOIN_SUCCESS "chat:join-session-success"
#define EVENT_USER_JOINED "chat:user-joined"

/* What the answer tells. */
struct join {
	/* agent "": named none */
	const char *session, *workspace, *agent;
	bool truncated;
	uint64_t time_ms;
	uint64_t last_seq, last_revision;
};

bool
join_parse(struct request *r)
{
	struct json_iter it = json_iter(r->payload);
	struct json_value k, v, none = { JSON_KIND_NONE, { NULL, 0 } };
	struct json_value after = none, revision = none, agent = none;
	bool ok;

	while (json_next_member(&it, &k, &v)) {
		if (json_is(k, "sessionId"))
			(void)read_id(v, &r->session);
		else if (json_is(k, "workspaceId"))
			(void)read_id(v, &r->workspace);
		else if (json_is(k, "agentId"))
			agent = v;
		else if (json_is(k, "afterSeq"))
			after = v;
		else if (json_is(k, "afterRevision"))
			revision = v;
	}
	ok = read_optional_id(agent, &r->agent);
	ok = read_optional_u64(after, 0, &r->u.join.after_seq,
		 &r->u.join.has_after) &&
	    read_optional_u64(revision, 0, &r->u.join.after_revision,
		&r->u.join.has_revision) &&
	    ok;
	return ok && r->session.len > 0 && r->workspace.len > 0;
}

/* --- the answer ------------------------------------------------------------ */

static bool
is_text(struct chat_str s, const char *text)
{
	return s.len == strlen(text) && memcmp(s.p, text, s.len) == 0;
}

static struct chat_member
self_of(const struct chat_socket *s, uint64_t time_ms)
{
	const struct identity *id = s->identity;
	struct chat_member m = {
		.user = s->user,
		.joined_ms = time_ms,
		.active_ms = time_ms,
		.user_id = chat_cstr(id->user_id),
		.user_name = chat_cstr(id->user_name),
		.socket_id = chat_cstr(s->id),
		.status = chat_cstr("active"),
	};

	return m;
}

static void
put_names(struct json_out *o, const struct join *join)
{
	char room[sizeof("chat:workspace:") + CHAT_ID_MAX];

	json_out_key(o, "sessionId");
	json_out_cstring(o, join->session);
	if (join->agent[0] != '\0') {
		json_out_key(o, "agentId");
		json_out_cstring(o, join->agent);
	}
	json_out_key(o, "workspaceId");
	json_out_cstring(o, join->workspace);
	render_room_id(o, join->session);
	snprintf(room, sizeof(room), "chat:workspace:%s", join->workspace);
	json_out_key(o, "workspaceRoomId");
	json_out_cstring(o, room);
}

uint64_t
replay_from(const struct chat *chat, bool has_after, uint64_t after_seq,
    uint64_t last_seq, bool *truncated_r)
{
	uint64_t max = chat->cfg->replay_max, from;

	if (!has_after || after_seq >= last_seq)
		return 0;
	from = after_seq + 1;
	if (max > 0 && last_seq - after_seq > max) {
		from = last_seq - max + 1;
		*truncated_r = true;
	}
	return from;
}

/* "presences", its own among them, their count, and "presence", its own. */
static enum chat_read
answer_presences(struct chat *chat, struct chat_socket *s, struct job *job,
    const struct join *join, struct chat_roster *roster_r)
{
	const struct chat_roster_query q = roster_query(job->room, s);
	struct json_out *o = &chat->reply;
	struct roster_out out = { .o = o,
		.session = join->session,
		.socket_id = s->id,
		.self = self_of(s, join->time_ms) };
	enum chat_read rc;
	uint64_t count;

	json_out_key(o, "presences");
	json_out_array(o);
	rc = roster_read(chat, s, job, &q, roster_add, &out, roster_r);
	if (rc != CHAT_READ_DONE)
		return rc;
	if (!out.seen)
		(void)roster_add(&out, &out.self);
	json_out_array_end(o);
	if (!roster_count(chat, job->room, roster_r, out.n, &count)) {
		/* once more, when that has been delivered */
		job_awaits(chat, job);
		chat->ops->want_produce(chat->ctx, s->conn);
		return CHAT_READ_LATER;
	}
	roster_out_count(o, count);
	json_out_key(o, "presence");
	render_presence(o, join->session, &out.self);
	return CHAT_READ_DONE;
}

/* The answer into chat->reply, but for the streams and its end. */
static enum chat_read
answer_render(struct chat *chat, struct chat_socket *s, struct job *job,
    const struct join *join, struct chat_roster *roster_r)
{
	struct json_out *o = reply_begin(chat);
	enum chat_read rc;

	/* both are read at the same time */
	if (receipts_ask(chat, s, job, join->last_revision) ==
	    CHAT_READ_LATER) {
		(void)roster_is_there(chat, s, job->room);
		return CHAT_READ_LATER;
	}
	put_names(o, join);
	json_out_key(o, "timestamp");
	json_out_u64(o, join->time_ms);
	rc = answer_presences(chat, s, job, join, roster_r);
	if (rc != CHAT_READ_DONE)
		return rc;
	json_out_key(o, "lastSeq");
	json_out_u64(o, join->last_seq);
	json_out_key(o, "lastRevision");
	json_out_u64(o, join->last_revision);
	return receipts_render(chat, s, job, join->last_revision, o);
}

/* What does not come out of the store; once, as streams_put() begins what
 * comes behind the answer. */
static void
answer_rest(struct chat *chat, const struct chat_socket *s,
    const struct job *job, const struct join *join)
{
	struct json_out *o = &chat->reply;

	json_out_key(o, "streams");
	streams_put(chat, job->room, room_member(job->room, s), o);
	if (join->truncated) {
		json_out_key(o, "truncated");
		json_out_bool(o, true);
	}
}

/* The same with a roster that is not too old. */
static enum chat_read
answer_make(struct chat *chat, struct chat_socket *s, struct job *job,
    const struct join *join, size_t *bytes, uint64_t *pos_r)
{
	struct chat_roster roster;
	enum chat_read rc;

	do {
		rc = answer_render(chat, s, job, join, &roster);
	} while (rc == CHAT_READ_DONE &&
	    (roster.pos < job->since ||
		!held_covers(chat, job->room, roster.pos)));
	*pos_r = roster.pos;
	if (rc != CHAT_READ_DONE)
		return rc;
	answer_rest(chat, s, job, join);
	*bytes += chat->reply.len;
	return CHAT_READ_DONE;
}

/* It goes out, with an offset that tells what is still to come. */
static void
answer_send(struct chat *chat, struct chat_socket *s, struct job *job)
{
	job_answered(s, job);
	reply_end_stored(chat, s, EVENT_JOIN_SUCCESS, job->has_ack, job->ack);
}

enum chat_read
join_answer_late(struct chat *chat, struct chat_socket *s, struct job *job,
    size_t *bytes)
{
	struct room *room = job->room;
	struct member *m = room_member(room, s);
	struct join join = {
		.session = room->session,
		.workspace = room->workspace,
		.truncated = job->truncated,
		.last_seq = job->last_seq,
		.last_revision = job->last_revision,
	};
	enum chat_read rc;
	uint64_t pos;

	/* the session is busy until this is answered */
	CHECK(m != NULL);
	join.agent = m->agent == NULL ? "" : m->agent;
	join.time_ms = m->joined_ms;
	rc = answer_make(chat, s, job, &join, bytes, &pos);
	if (rc != CHAT_READ_DONE)
		return rc;
	if (job->fresh)
		chat_count(chat, CHAT_COUNT_JOINS);
	answer_send(chat, s, job);
	/* one that is resumed is told of presence by its presence-sync */
	roster_sent(chat, s, job, job->fresh ? m : NULL, pos);
	return CHAT_READ_DONE;
}

/* --- the request ------------------------------------------------------------- */

/* An error about a session that is a room here; 'agent' may be NULL. */
static void
join_tell_error(struct chat *chat, struct chat_socket *s,
    const struct room *room, const char *agent, enum chat_error err,
    struct error_context *ctx)
{
	struct chat_id ids[3];

	chat_id_set(&ids[0], chat_cstr(room->session));
	chat_id_set(&ids[1], chat_cstr(room->workspace));
	chat_id_set(&ids[2], chat_cstr(agent == NULL ? "" : agent));
	ctx->session = &ids[0];
	ctx->workspace = &ids[1];
	ctx->agent = &ids[2];
	reply_error(chat, s, err, ctx);
}

static char *
copy_agent(const char *agent)
{
	size_t len = strlen(agent);

	return len == 0 ? NULL : memcpy(chat_alloc(len + 1), agent, len);
}

/* In the session already: tell nobody else. */
static void
join_again(struct request *r, const struct joined *j)
{
	struct member *m = &j->room->members[j->index];
	struct job *job = job_add(r->chat, r->s, JOB_JOIN, j->room, false);

	job->agent = copy_agent(r->agent.text);
	job->has_after = r->u.join.has_after;
	job->after = r->u.join.after_seq;
	job->has_revision = r->u.join.has_revision;
	job->after_revision = r->u.join.after_revision;
	job->has_ack = r->has_ack;
	job->ack = r->ack;
	/* changes of presence come behind the answer */
	job->roster_pos = m->roster_pos;
	m->roster_pos = UINT64_MAX;
	job_unanswered(r->s, job, true);
	job_try(r->chat, r->s, job);
}

static void
join_again_refuse(struct chat *chat, struct chat_socket *s, struct job *job,
    struct member *m)
{
	struct error_context ctx = {
		.event = EVENT_JOIN_ERROR,
		.errors = CHAT_COUNT_JOIN_ERRORS,
		.has_ack = job->has_ack,
		.ack = job->ack,
	};
	uint64_t pos = job->roster_pos;

	join_tell_error(chat, s, job->room, job->agent,
	    CHAT_E_STORE_UNAVAILABLE, &ctx);
	if (pos == UINT64_MAX)
		return;
	/* what the others have got after a gap, or of deltas, it has not */
	if (pos < chat->gap || job->room->unsynced ||
	    job->room->delta != NULL || job->room->delta_pos > job->since) {
		(void)job_add(chat, s, JOB_SYNC, job->room, false);
		return;
	}
	/* it is as it was */
	held_send(chat, job->room, s, pos > job->since ? pos : job->since);
	m->roster_pos = pos;
}

enum produced
join_again_produce(struct chat *chat, struct chat_socket *s, struct job *job,
    size_t *bytes)
{
	struct room *room = job->room;
	struct member *m = room_member(room, s);
	struct join join = {
		.session = room->session,
		.workspace = room->workspace,
		.agent = job->agent == NULL ? "" : job->agent,
		.time_ms = chat_real_ms(chat),
		.last_seq = room->last_seq,
		.last_revision = room->last_revision,
	};
	uint64_t pos, from;

	CHECK(m != NULL);
	from = replay_from(chat, job->has_after, job->after, join.last_seq,
	    &join.truncated);
	switch (answer_make(chat, s, job, &join, bytes, &pos)) {
	case CHAT_READ_LATER:
		return PRODUCED_LATER;
	case CHAT_READ_FAILED:
		join_again_refuse(chat, s, job, m);
		return PRODUCED_ALL;
	case CHAT_READ_DONE:
		break;
	}
	replay_again(chat, room, m, job, from);
	if (job->agent != NULL) {
		free(m->agent);
		m->agent = job->agent;
		job->agent = NULL;
	}
	answer_send(chat, s, job);
	roster_sent(chat, s, job, m, pos);
	return PRODUCED_ALL;
}

struct pending *
join_publish(struct chat *chat, struct chat_socket *s,
    const struct join_wish *wish)
{
	const struct chat_id *ids[] = { wish->session, wish->workspace,
		wish->agent };
	const struct identity *id = s->identity;
	struct chat_event ev = { .type = CHAT_JOIN,
		.flags = wish->flags,
		.nfields = 8 };
	struct pending *p;
	char after[48] = "", *to;
	int i, len = 0;

	p = pending_add(chat, s, PENDING_JOIN, NULL,
	    ids[0]->len + ids[1]->len + ids[2]->len + 3);
	for (i = 0, to = p->names; i < 3; i++) {
		memcpy(to, ids[i]->text, ids[i]->len);
		to += ids[i]->len + 1;
	}
	if (wish->has_after)
		len = snprintf(after, sizeof(after), "%llu",
		    (unsigned long long)wish->after_seq);
	if (wish->has_revision)
		snprintf(after + len, sizeof(after) - (size_t)len, ":%llu",
		    (unsigned long long)wish->after_revision);
	ev.field[0] = chat_str(wish->workspace->text, wish->workspace->len);
	ev.field[1] = chat_str(wish->session->text, wish->session->len);
	ev.field[2] = chat_cstr(id->user_id);
	ev.field[3] = chat_cstr(id->user_name);
	ev.field[4] = chat_cstr(s->id);
	ev.field[5] = chat_str(wish->agent->text, wish->agent->len);
	ev.field[6] = chat_cstr(s->pid);
	ev.field[7] = chat_cstr(after);
	socket_publish(chat, s, p->request, &ev);
	return p;
}

static void
join_ask(struct request *r)
{
	const struct join_wish wish = {
		.session = &r->session,
		.workspace = &r->workspace,
		.agent = &r->agent,
		.has_after = r->u.join.has_after,
		.after_seq = r->u.join.after_seq,
		.has_revision = r->u.join.has_revision,
		.after_revision = r->u.join.after_revision,
	};
	struct pending *p = join_publish(r->chat, r->s, &wish);

	p->has_after = r->u.join.has_after;
	p->after_seq = r->u.join.after_seq;
	p->has_revision = r->u.join.has_revision;
	p->after_revision = r->u.join.after_revision;
	p->has_ack = r->has_ack;
	p->ack = r->ack;
}

enum chat_error
join_handle(struct request *r)
{
	const struct config *cfg = r->chat->cfg;
	const struct joined *j = socket_joined(r->s, r->session.text);

	if (j != NULL && strcmp(j->room->workspace, r->workspace.text) != 0)
		return CHAT_E_ACCESS_DENIED;
	if (!identity_allows(r->s->identity, r->workspace.text, r->session.text,
		NULL))
		return CHAT_E_ACCESS_DENIED;
	if (r->u.join.has_after)
		chat_count(r->chat, CHAT_COUNT_REPLAYS);
	if (j != NULL) {
		join_again(r, j);
		return CHAT_OK;
	}
	if (cfg->limits_sessions_per_socket > 0 &&
	    r->s->njoined + socket_njoins(r->s) >=
		cfg->limits_sessions_per_socket)
		return CHAT_E_TOO_MANY_SESSIONS;
	join_ask(r);
	return CHAT_OK;
}

/* --- in its turn ---------------------------------------------------------------- */

void
join_refuse(struct chat *chat, struct chat_socket *s,
    const struct chat_id *session, const struct chat_id *workspace,
    const struct chat_id *agent, enum chat_error err)
{
	const struct error_context ctx = {
		.event = EVENT_JOIN_ERROR,
		.errors = CHAT_COUNT_JOIN_ERRORS,
		.session = session,
		.workspace = workspace,
		.agent = agent,
	};

	reply_error(chat, s, err, &ctx);
}

static void
join_refused(struct chat *chat, struct chat_socket *s, const struct pending *p,
    enum chat_error err)
{
	struct chat_id session, workspace, agent;
	struct error_context ctx = {
		.event = EVENT_JOIN_ERROR,
		.errors = CHAT_COUNT_JOIN_ERRORS,
		.has_ack = p->has_ack,
		.ack = p->ack,
		.session = &session,
		.workspace = &workspace,
		.agent = &agent,
	};

	chat_id_set(&session, chat_cstr(p->names));
	chat_id_set(&workspace, chat_cstr(pending_workspace(p)));
	chat_id_set(&agent, chat_cstr(pending_agent(p)));
	reply_error(chat, s, err, &ctx);
}

static struct member *
join_member(struct chat *chat, struct chat_socket *s, struct room *room,
    const struct pending *p, const struct chat_delivery *d)
{
	enum identity_role role = IDENTITY_USER;
	struct member *m;

	s->user = d->ev.user;
	if (d->seq > room->last_seq)
		room->last_seq = d->seq;
	changes_join(room, d);
	room->gap = false;
	if ((m = room_member(room, s)) == NULL)
		m = room_add(chat, room, s);
	FAULT(JOIN_MEMBER);
	m->joined_ms = d->time_ms;
	(void)identity_allows(s->identity, room->workspace, room->session,
	    &role);
	m->role = role;
	free(m->agent);
	m->agent = copy_agent(pending_agent(p));
	return m;
}

/* The socket is in, and is told with whom as soon as that is read. */
static void
join_enter(struct chat *chat, struct chat_socket *s, struct room *room,
    const struct pending *p, const struct chat_delivery *d)
{
	struct member *m = join_member(chat, s, room, p, d);
	bool truncated = false;
	struct job *job;
	uint64_t from;

	from =
	    replay_from(chat, p->has_after, p->after_seq, d->seq, &truncated);
	m->roster_pos = UINT64_MAX;
	job = replay_start(chat, room, m, from > 0 ? from : d->seq + 1, d->seq);
	changes_from_join(job, d->gseq, p->has_revision, p->after_revision);
	job->unanswered = job->fresh = true;
	job->truncated = truncated;
	job->last_seq = d->seq;
	job->last_revision = d->revision;
	job->has_ack = p->has_ack;
	job->ack = p->ack;
	job_unanswered(s, job, true);
	job_try(chat, s, job);
}

void
join_undo(struct chat *chat, struct chat_socket *s, struct job *job)
{
	struct room *room = job->room;
	struct member *m = room_member(room, s);
	struct error_context ctx = {
		.event = EVENT_JOIN_ERROR,
		.errors = CHAT_COUNT_JOIN_ERRORS,
		.has_ack = job->has_ack,
		.ack = job->ack,
	};
	const struct leave leave = {
		.room = room->number,
		.user = s->user,
		.owner = s->owner,
		.socket_id = chat_cstr(s->id),
		.user_id = chat_cstr(s->identity->user_id),
		.reason = chat_str("", 0),
	};
	char *agent = m->agent;

	m->agent = NULL;
	m->replay = NULL;
	room_remove(chat, room, s);
	leave_publish(chat, &leave);
	join_tell_error(chat, s, room, agent, CHAT_E_STORE_UNAVAILABLE, &ctx);
	free(agent);
}

static void
join_counted(struct room *room, const struct chat_delivery *d)
{
	if (d->outcome == CHAT_STORED || d->outcome == CHAT_DUPLICATE)
		room_count(room, d->members);
}

static void
tell_room(struct chat *chat, struct room *room, const struct chat_delivery *d,
    const struct chat_socket *joiner)
{
	struct json_out *o = &chat->event;
	struct chat_member m = {
		.joined_ms = d->time_ms,
		.active_ms = d->time_ms,
		.user_id = d->ev.field[2],
		.user_name = d->ev.field[3],
		.socket_id = d->ev.field[4],
		.status = chat_cstr("active"),
	};

	if (room->nmembers <=
	    (joiner != NULL && room_member(room, joiner) != NULL))
		return;
	if (delta_is_due(chat, room)) {
		delta_add(chat, room, DELTA_JOINED, &m, d->gseq, joiner);
		return;
	}
	json_out_reset(o);
	render_presence(o, room->session, &m);
	room_send_presence(chat, room, EVENT_USER_JOINED, 1, o, joiner,
	    d->gseq);
}

/* It left before it was in: the others see it come and go. */
static void
join_gone(struct chat *chat, const struct room *room,
    const struct chat_delivery *d)
{
	/* or is it in, and nobody waits for this verdict? */
	if (room == NULL || !room_has_socket(room, d->ev.field[4]))
		leave_gone(chat, d);
}

static void
join_own(struct chat *chat, struct chat_socket *s, struct pending *p,
    const struct chat_delivery *d)
{
	struct room *room;
	bool in = d->outcome == CHAT_STORED || d->outcome == CHAT_DUPLICATE;
	bool resumes = s->resume != NULL;

	socket_join_settled(s);
	if (!in && resumes) {
		resume_joined(chat, s, p, NULL, error_of(d->outcome));
	} else if (!in) {
		join_refused(chat, s, p, error_of(d->outcome));
	} else {
		room =
		    room_get(chat, d->ev.room, d->ev.field[0], d->ev.field[1]);
		join_counted(room, d);
		if (resumes)
			resume_joined(chat, s, p,
			    join_member(chat, s, room, p, d), CHAT_OK);
		else
			join_enter(chat, s, room, p, d);
		FAULT(JOIN_TOLD);
		if (d->outcome == CHAT_STORED)
			tell_room(chat, room, d, s);
		room_unref(chat, room);
	}
	pending_free(chat, &p);
	if (!resumes)
		socket_do_deferred(chat, s);
}

void
join_deliver(struct chat *chat, const struct chat_delivery *d)
{
	struct pending *p = NULL;
	struct room *room;

	if (d->own && d->socket != NULL &&
	    (p = pending_take(d->socket, d->request)) != NULL) {
		join_own(chat, d->socket, p, d);
		return;
	}
	room = room_find(chat, d->ev.room);
	if (room != NULL)
		join_counted(room, d);
	if (d->outcome == CHAT_STORED && room != NULL)
		tell_room(chat, room, d, NULL);
	/* a connection may have another socket by now */
	if (d->own &&
	    (d->socket == NULL || !is_text(d->ev.field[4], d->socket->id)) &&
	    (d->outcome == CHAT_STORED || d->outcome == CHAT_DUPLICATE))
		join_gone(chat, room, d);
}
