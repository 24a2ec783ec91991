/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * chat:edit-message and chat:delete-message.
 *
 *   request -- looked up by its id -- published -- verdict
 *              (a job: the session's other events wait)
 *
 * What is published is the whole of the message as it is to be; whether it is
 * still there, and whose it is, the store's writer decides.  A message of the
 * same socket that has no verdict yet is waited for first.
 */

#include <stdio.h>
#include <string.h>

#include "chat/changes.h"
#include "chat/content.h"
#include "chat/identity.h"
#include "chat/render.h"
#include "chat/request.h"
#include "chat/steer.h"

/* What a job is to do to which message. */
struct edit {
	enum chat_event_type type;
	/* also of somebody else */
	bool service;
	struct chat_id id;
	/* EDIT: a JSON string, quotes and all */
	size_t len;
	char content[];
};

static bool
parse_names(struct request *r)
{
	return read_id(json_member(r->payload, "sessionId"), &r->session) &&
	    read_id(json_member(r->payload, "messageId"), &r->message);
}

bool
edit_parse(struct request *r)
{
	r->u.edit.content = json_member(r->payload, "content");
	return parse_names(r) && r->u.edit.content.kind == JSON_KIND_STRING;
}

bool
delete_parse(struct request *r)
{
	return parse_names(r);
}

/* --- the request ----------------------------------------------------------- */

static enum chat_error
edit_begin(struct request *r, enum chat_event_type type, struct json_span text)
{
	struct job *job;
	struct edit *e;

	if (socket_work(r->s)->njobs >= JOBS_MAX)
		return CHAT_E_OVERLOADED;
	e = chat_alloc(sizeof(*e) + text.len);
	e->type = type;
	e->service = r->member->role == IDENTITY_SERVICE;
	e->id = r->message;
	e->len = text.len;
	if (text.len > 0)
		memcpy(e->content, text.p, text.len);
	job = job_add(r->chat, r->s, JOB_EDIT, r->room, false);
	job->edit = e;
	job->has_ack = r->has_ack;
	job->ack = r->ack;
	job_unanswered(r->s, job, true);
	job_try(r->chat, r->s, job);
	return CHAT_OK;
}

enum chat_error
edit_handle(struct request *r)
{
	struct json_value text = r->u.edit.content;
	enum chat_error err;
	uint64_t mark;

	if ((err = steer_check_mute(r)) != CHAT_OK ||
	    (err = content_measure(r->chat, text)) != CHAT_OK ||
	    (err = content_pass(r->chat, r->s, r->room->session, &text)) !=
		CHAT_OK)
		return err;
	err = content_burst(r->chat, r->s, r->u.edit.content, &mark);
	if (err != CHAT_OK) {
		content_burst_refused(r->chat, r->s, r->room->session);
		return err;
	}
	return edit_begin(r, CHAT_EDIT, text.text);
}

enum chat_error
delete_handle(struct request *r)
{
	return edit_begin(r, CHAT_DELETE, (struct json_span){ "", 0 });
}

/* --- the message ----------------------------------------------------------- */

static void
edit_refused(struct chat *chat, struct chat_socket *s, const struct room *room,
    const struct error_context *answer, struct chat_str id, enum chat_error err)
{
	struct error_context ctx = *answer;
	struct chat_id session, message;

	chat_id_set(&session, chat_cstr(room->session));
	chat_id_set(&message, id);
	ctx.errors = CHAT_COUNT_MESSAGE_ERRORS;
	ctx.session = &session;
	ctx.message = &message;
	reply_error(chat, s, err, &ctx);
}

static void
job_refused(struct chat *chat, struct chat_socket *s, const struct job *job,
    enum chat_error err)
{
	const struct edit *e = job->edit;
	const struct error_context ctx = { .has_ack = job->has_ack,
		.ack = job->ack };

	edit_refused(chat, s, job->room, &ctx, chat_str(e->id.text, e->id.len),
	    err);
}

/* The message's body with another content, its other members as they are. */
static struct chat_str
edit_body(struct chat *chat, struct chat_str body, const struct edit *e)
{
	struct json_iter it = json_iter_inside(body.p, body.len);
	struct json_out *o = &chat->event;
	struct json_value k, v;

	json_out_reset(o);
	while (json_next_member(&it, &k, &v)) {
		json_out_raw_key(o, k);
		if (json_is(k, "content"))
			json_out_raw(o, e->content, e->len);
		else
			json_out_raw(o, v.text.p, v.text.len);
	}
	chat_check_out(o);
	return chat_str(o->p, o->len);
}

struct found {
	struct chat *chat;
	struct chat_socket *s;
	const struct job *job;
	/* CHAT_OK: it was published */
	enum chat_error err;
};

static bool
edit_found(void *arg, const struct chat_row *row)
{
	struct found *found = arg;
	struct chat_socket *s = found->s;
	const struct job *job = found->job;
	const struct edit *e = job->edit;
	struct chat_event ev = { .type = e->type,
		.flags = e->service ? CHAT_F_SERVICE : 0,
		.room = job->room->number,
		.user = s->user,
		.nfields = e->type == CHAT_EDIT ? 5 : 3 };
	char seq[24], time[24];
	struct pending *p;

	if (row->deleted)
		return false;
	snprintf(seq, sizeof(seq), "%llu", (unsigned long long)row->seq);
	snprintf(time, sizeof(time), "%llu", (unsigned long long)row->time_ms);
	if (e->type == CHAT_EDIT) {
		ev.field[3] = edit_body(found->chat, row->body, e);
		ev.field[4] = chat_cstr(time);
		/* its client could not have sent it as one message either */
		if (ev.field[3].len > config_event_room(found->chat->cfg)) {
			found->err = CHAT_E_INVALID_MESSAGE;
			return false;
		}
	}
	found->err = CHAT_OK;
	p = pending_add(found->chat, s, PENDING_EDIT, job->room, 0);
	p->has_ack = job->has_ack;
	p->ack = job->ack;
	ev.field[0] = chat_str(e->id.text, e->id.len);
	ev.field[1] = chat_cstr(s->id);
	ev.field[2] = chat_cstr(seq);
	socket_publish(found->chat, s, p->request, &ev);
	return false;
}

enum produced
edit_produce(struct chat *chat, struct chat_socket *s, struct job *job)
{
	struct found found = { .chat = chat,
		.s = s,
		.job = job,
		.err = CHAT_E_NOT_FOUND };
	const struct chat_id *id = &job->edit->id;

	/* who has been thrown out since */
	if (room_member(job->room, s) == NULL) {
		job_refused(chat, s, job, CHAT_E_NOT_JOINED);
		return PRODUCED_ALL;
	}
	if (socket_sends(s, job->room))
		return PRODUCED_LATER;
	switch (chat->ops->find(chat->ctx, s->conn, job->room->number,
	    chat_str(id->text, id->len), &job->find_at, edit_found, &found)) {
	case CHAT_READ_LATER:
		return PRODUCED_LATER;
	case CHAT_READ_FAILED:
		job_refused(chat, s, job, CHAT_E_STORE_UNAVAILABLE);
		return PRODUCED_ALL;
	case CHAT_READ_DONE:
		break;
	}
	if (found.err != CHAT_OK)
		job_refused(chat, s, job, found.err);
	return PRODUCED_ALL;
}

/* --- in its turn ----------------------------------------------------------- */

static void
edit_show(struct chat *chat, struct room *room, const struct chat_delivery *d)
{
	const struct chat_event *ev = &d->ev;
	struct json_out *o = &chat->event;
	struct chat_change c = { .type = ev->type,
		.revision = d->revision,
		.gseq = d->gseq,
		.changed_ms = d->time_ms,
		.seq = d->seq,
		.id = ev->field[0] };
	const char *event;

	if (ev->type == CHAT_EDIT) {
		c.body = ev->field[3];
		c.time_ms = chat_number(ev->field[4]);
	}
	json_out_reset(o);
	event = render_change(o, room->session, &c);
	changes_send(chat, room, d, event, o);
}

static void
edit_verdict(struct chat *chat, struct chat_socket *s, const struct pending *p,
    const struct chat_delivery *d)
{
	const struct error_context ctx = { .has_ack = p->has_ack,
		.ack = p->ack };
	struct json_out *o;

	if (d->outcome != CHAT_STORED && d->outcome != CHAT_DUPLICATE) {
		edit_refused(chat, s, p->room, &ctx, d->ev.field[0],
		    error_of(d->outcome));
		return;
	}
	o = reply_begin(chat);
	json_out_key(o, "messageId");
	json_out_string(o, d->ev.field[0].p, d->ev.field[0].len);
	changes_answer(o, p->room, d);
	reply_end(chat, s, NULL, p->has_ack, p->ack);
}

void
edit_deliver(struct chat *chat, const struct chat_delivery *d)
{
	struct room *room = room_find(chat, d->ev.room);
	struct chat_socket *s = d->own ? d->socket : NULL;
	struct pending *p = NULL;

	if (s != NULL)
		p = pending_take(s, d->request);
	if (d->outcome == CHAT_STORED && room != NULL)
		edit_show(chat, room, d);
	if (p != NULL) {
		edit_verdict(chat, s, p, d);
		pending_free(chat, &p);
	}
}
