/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * chat:request-presence, and what all who tell a roster have in common.
 */

#include "chat/roster.h"

#include <stdio.h>
#include <string.h>

#include "chat/delta.h"
#include "chat/held.h"
#include "chat/identity.h"
#include "chat/render.h"
#include "chat/request.h"

/* --- how many --------------------------------------------------------------- */

void
room_count(struct room *room, uint32_t members)
{
	room->count = members;
	room->counted = true;
}

void
roster_counted(struct room *room, const struct chat_roster *roster)
{
	if (!room->counted)
		room_count(room,
		    roster->count < UINT32_MAX ? (uint32_t)roster->count
					       : UINT32_MAX);
}

bool
roster_count(const struct chat *chat, const struct room *room,
    const struct chat_roster *roster, uint64_t n, uint64_t *count_r)
{
	*count_r = n;
	if (!roster->more)
		return true;
	*count_r = room->count;
	/* who gets deltas is told again and again */
	if (delta_is_due(chat, room))
		return true;
	if (roster->pos > chat->pos)
		return false;
	*count_r -= (uint64_t)held_net(room, roster->pos);
	return true;
}

/* --- reading ---------------------------------------------------------------- */

struct chat_roster_query
roster_query(const struct room *room, const struct chat_socket *s)
{
	struct chat_roster_query q = { .room = room->number,
		.limit = ROSTER_MAX,
		.count = !room->counted };

	if (s != NULL) {
		q.self = chat_cstr(s->id);
		q.self_user = s->user;
	}
	return q;
}

bool
roster_is_there(struct chat *chat, const struct chat_socket *s,
    const struct room *room)
{
	const struct chat_roster_query q = roster_query(room, s);

	return chat->ops->roster(chat->ctx, s->conn, &q, NULL, NULL, NULL) !=
	    CHAT_READ_LATER;
}

enum chat_read
roster_read(struct chat *chat, struct chat_socket *s, struct job *job,
    const struct chat_roster_query *q, chat_member_fn fn, void *arg,
    struct chat_roster *roster_r)
{
	enum chat_read rc;

	rc = chat->ops->roster(chat->ctx, s->conn, q, fn, arg, roster_r);
	if (rc == CHAT_READ_LATER)
		job_awaits(chat, job);
	else if (rc == CHAT_READ_DONE && q->count)
		roster_counted(job->room, roster_r);
	return rc;
}

void
roster_sent(struct chat *chat, struct chat_socket *s, struct job *job,
    struct member *m, uint64_t pos)
{
	if (m != NULL) {
		m->roster_pos = pos;
		held_send(chat, job->room, s, pos);
		delta_joins(job->room, m);
	}
	job_got_it(chat, job);
}

/* --- telling ---------------------------------------------------------------- */

bool
roster_add(void *arg, const struct chat_member *m)
{
	struct roster_out *out = arg;

	render_presence(out->o, out->session, m);
	out->n++;
	if (out->socket_id == NULL ||
	    m->socket_id.len != strlen(out->socket_id) ||
	    memcmp(m->socket_id.p, out->socket_id, m->socket_id.len) != 0)
		return true;
	out->seen = true;
	out->self.joined_ms = m->joined_ms;
	out->self.active_ms = m->active_ms;
	if (m->status.len <= sizeof(out->status)) {
		memcpy(out->status, m->status.p, m->status.len);
		out->self.status = chat_str(out->status, m->status.len);
	}
	return true;
}

void
roster_out_count(struct json_out *o, uint64_t count)
{
	json_out_key(o, "count");
	json_out_u64(o, count);
}

/* --- chat:request-presence --------------------------------------------------- */

bool
roster_parse(struct request *r)
{
	struct json_value after = json_member(r->payload, "after");
	struct json_value limit = json_member(r->payload, "limit");
	ssize_t len = 0;

	if (!read_id(json_member(r->payload, "sessionId"), &r->session))
		return false;
	if (after.kind != JSON_KIND_NONE) {
		if (after.kind != JSON_KIND_STRING ||
		    (len = json_decode(after, r->u.roster.after,
			 sizeof(r->u.roster.after))) <= 0)
			return false;
		/* lines are what the question is made of */
		if (memchr(r->u.roster.after, '\n', (size_t)len) != NULL)
			return false;
	}
	r->u.roster.after[len] = '\0';
	return read_optional_u64(limit, 1, &r->u.roster.limit,
	    &r->u.roster.has_limit);
}

/* "socket user" as two texts. */
static char *
copy_after(const char *after)
{
	size_t len = strlen(after);
	char *copy, *blank;

	if (len == 0)
		return NULL;
	copy = chat_alloc(len + 2);
	memcpy(copy, after, len);
	if ((blank = strchr(copy, ' ')) != NULL)
		*blank = '\0';
	return copy;
}

enum chat_error
roster_handle(struct request *r)
{
	struct job *job;

	if (socket_work(r->s)->njobs >= JOBS_MAX)
		return CHAT_E_OVERLOADED;
	job = job_add(r->chat, r->s, JOB_ROSTER, r->room, false);
	job->behind = copy_after(r->u.roster.after);
	job->limit = ROSTER_MAX;
	if (r->u.roster.has_limit && r->u.roster.limit < ROSTER_MAX)
		job->limit = r->u.roster.limit;
	job->has_ack = r->has_ack;
	job->ack = r->ack;
	return CHAT_OK;
}

/* The page, and where it ends. */
struct page {
	struct roster_out out;
	char next[ROSTER_AFTER_MAX + 1];
};

static bool
page_add(void *arg, const struct chat_member *m)
{
	struct page *page = arg;

	if (m->socket_id.len + 1 + m->user_id.len < sizeof(page->next))
		snprintf(page->next, sizeof(page->next), "%.*s %.*s",
		    (int)m->socket_id.len, m->socket_id.p, (int)m->user_id.len,
		    m->user_id.p);
	return roster_add(&page->out, m);
}

static enum chat_read
page_read(struct chat *chat, struct chat_socket *s, struct job *job,
    struct page *page, struct chat_roster *roster_r)
{
	struct room *room = job->room;
	struct chat_roster_query q = { .room = room->number,
		.limit = job->limit,
		.count = !room->counted };
	struct json_out *o = reply_begin(chat);
	enum chat_read rc;

	memset(page, 0, sizeof(*page));
	page->out.o = o;
	page->out.session = room->session;
	if (job->behind != NULL) {
		q.after = chat_cstr(job->behind);
		q.after_user = chat_cstr(job->behind + q.after.len + 1);
	}
	json_out_key(o, "sessionId");
	json_out_cstring(o, room->session);
	json_out_key(o, "presences");
	json_out_array(o);
	rc = roster_read(chat, s, job, &q, page_add, page, roster_r);
	json_out_array_end(o);
	return rc;
}

enum produced
roster_produce(struct chat *chat, struct chat_socket *s, struct job *job,
    size_t *bytes)
{
	struct error_context ctx = { .errors = CHAT_COUNT_OTHER_ERRORS,
		.has_ack = job->has_ack,
		.ack = job->ack };
	struct chat_roster roster;
	struct chat_id session;
	struct page page;
	enum chat_read rc;

	chat_id_set(&session, chat_cstr(job->room->session));
	ctx.session = &session;
	/* it has left meanwhile */
	if (room_member(job->room, s) == NULL) {
		reply_error(chat, s, CHAT_E_NOT_JOINED, &ctx);
		return PRODUCED_ALL;
	}
	do {
		rc = page_read(chat, s, job, &page, &roster);
	} while (rc == CHAT_READ_DONE && roster.pos < job->since);
	if (rc == CHAT_READ_LATER)
		return PRODUCED_LATER;
	if (rc == CHAT_READ_FAILED) {
		reply_error(chat, s, CHAT_E_STORE_UNAVAILABLE, &ctx);
		return PRODUCED_ALL;
	}
	/* what is told on the way is told on the way: this is of now */
	roster_out_count(&chat->reply,
	    roster.more || job->behind != NULL ? job->room->count : page.out.n);
	if (roster.more) {
		json_out_key(&chat->reply, "next");
		json_out_cstring(&chat->reply, page.next);
	}
	*bytes += chat->reply.len;
	reply_end(chat, s, EVENT_PRESENCE_SYNC, job->has_ack, job->ack);
	return PRODUCED_ALL;
}
