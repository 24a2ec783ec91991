/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * Messages and changes of a replay come out of different reads.  A change may
 * only follow its message, and what is kept while somebody reads (held.h)
 * has messages as they were sent.  So before each page of changes all messages
 * are sent that have been delivered, and of the page only what has been, too.
 */

#include "chat/changes.h"

#include <string.h>

#include "chat/held.h"
#include "chat/render.h"
#include "chat/request.h"

/* what is read at a time */
#define CHANGES_ROWS 500
#define CHANGES_BYTES (64 * 1024)

/* --- as they come ---------------------------------------------------------- */

void
changes_send(struct chat *chat, struct room *room,
    const struct chat_delivery *d, const char *event, const struct json_out *o)
{
	room->last_change = d->gseq;
	if (d->revision > room->last_revision)
		room->last_revision = d->revision;
	held_change(chat, room, d->gseq, event, o);
	if (room->nmembers > 0)
		room_send_message(chat, room, event, o, NULL);
}

void
changes_answer(struct json_out *o, const struct room *room,
    const struct chat_delivery *d)
{
	json_out_key(o, "sessionId");
	json_out_cstring(o, room->session);
	json_out_key(o, "seq");
	json_out_u64(o, d->seq);
	json_out_key(o, "revision");
	json_out_u64(o, d->revision);
	json_out_key(o, "timestamp");
	json_out_u64(o, d->time_ms);
}

/* --- where a replay is ----------------------------------------------------- */

void
changes_join(struct room *room, const struct chat_delivery *d)
{
	/* what is below was not delivered here, or may not have been */
	if (room->nmembers == 0 || room->gap)
		room->last_change = d->gseq;
	if (d->revision > room->last_revision)
		room->last_revision = d->revision;
}

void
changes_from_join(struct job *job, uint64_t gseq, bool has, uint64_t after)
{
	const struct room *room = job->room;

	job->place.pos = gseq + 1;
	job->place.has_revision = has && after < room->last_revision;
	job->place.after_revision = after;
}

struct changes_place
changes_place(const struct room *room, const struct job *job)
{
	if (job != NULL)
		return job->place;
	return (struct changes_place){ .pos = room->last_change + 1 };
}

struct changes_place
changes_place_behind(const struct chat *chat, const struct room *room,
    uint64_t after_revision)
{
	return (struct changes_place){ .pos = chat->pos,
		.has_revision = after_revision < room->last_revision,
		.after_revision = after_revision };
}

bool
changes_place_level(const struct room *room, const struct changes_place *place)
{
	return !place->has_revision && place->pos > room->last_change;
}

uint64_t
changes_position(const struct job *job)
{
	const struct changes_place *place = &job->place;

	if (place->has_revision)
		return OFFSET_AS_JOINED;
	return changes_place_level(job->room, place) && !job->room->gap
	    ? 0
	    : place->pos;
}

/* --- out of the store ------------------------------------------------------ */

struct changes_run {
	struct chat *chat;
	struct chat_socket *s;
	struct job *job;
	/* what is from here on is delivered to who is live; 'met': there is
	 * something */
	uint64_t end;
	bool met;
	size_t bytes;
};

static struct chat_change_query
changes_query(const struct job *job)
{
	return (struct chat_change_query){ .room = job->room->number,
		.has_revision = job->place.has_revision,
		.after_revision = job->place.after_revision,
		.from = job->place.pos,
		.count = CHANGES_ROWS,
		.bytes = CHANGES_BYTES };
}

bool
changes_are_there(struct chat *chat, const struct chat_socket *s,
    struct job *job)
{
	const struct chat_change_query q = changes_query(job);

	if (chat->ops->changes(chat->ctx, s->conn, &q, NULL, NULL, NULL) !=
	    CHAT_READ_LATER)
		return true;
	job_awaits(chat, job);
	return false;
}

static void
changes_json(struct changes_run *run, uint64_t gseq, const char *event,
    struct chat_str json)
{
	struct chat *chat = run->chat;
	struct job *job = run->job;
	struct chat_frame frame;

	/* the offset behind it says that it was sent */
	job->place.pos = gseq + 1;
	job->place.has_revision = false;
	frame = chat->ops->encode(chat->ctx, event, json.p, json.len,
	    socket_offset(chat, run->s));
	chat->ops->send(chat->ctx, run->s->conn, frame, CHAT_ANSWER);
	run->bytes += json.len;
	chat_count(chat, CHAT_COUNT_REPLAYED);
}

static bool
changes_row(void *arg, const struct chat_change *c)
{
	struct changes_run *run = arg;
	struct room *room = run->job->room;
	struct json_out *o = &run->chat->event;
	const char *event;

	if (c->gseq >= run->end) {
		run->met = true;
		return false;
	}
	/* it may have been missed, and never be delivered here */
	if (c->revision > room->last_revision)
		room->last_revision = c->revision;
	json_out_reset(o);
	event = render_change(o, room->session, c);
	chat_check_out(o);
	changes_json(run, c->gseq, event, chat_str(o->p, o->len));
	return true;
}

static void
changes_held(void *arg, uint64_t gseq, const char *event, struct chat_str json)
{
	changes_json(arg, gseq, event, json);
}

/* The messages that came since it had all; false: they are not all here. */
static bool
changes_messages(struct chat *chat, struct job *job, chat_row_fn message,
    void *arg)
{
	const struct room *room = job->room;

	if (job->next <= room->last_seq || room->gap) {
		if (room->gap || !held_rows(room, job->level_pos, message, arg))
			return false;
	}
	job->level_pos = chat->pos;
	return true;
}

/* A page was read to its end: all that the store had at 'pos'. */
static bool
changes_read_all(struct changes_run *run, uint64_t pos)
{
	struct job *job = run->job;
	uint64_t upto = run->met ? run->end : pos;

	job->place.has_revision = false;
	if (upto > job->place.pos)
		job->place.pos = upto;
	if (upto >= run->end)
		return true;
	if (!held_changes(job->room, pos, changes_held, run))
		return changes_place_level(job->room, &job->place);
	job->place.pos = run->end;
	return true;
}

enum produced
changes_produce(struct chat *chat, struct chat_socket *s, struct job *job,
    uint64_t delivered, chat_row_fn message, void *arg, size_t *bytes)
{
	const struct chat_change_query q = changes_query(job);
	struct changes_run run = { .chat = chat,
		.s = s,
		.job = job,
		.end = delivered };
	enum produced done = PRODUCED_PIECE;
	struct chat_page page;
	enum chat_read rc;

	if (!changes_messages(chat, job, message, arg)) {
		job->at_changes = false;
		return PRODUCED_PIECE;
	}
	if (changes_place_level(job->room, &job->place))
		return PRODUCED_ALL;
	rc = chat->ops->changes(chat->ctx, s->conn, &q, changes_row, &run,
	    &page);
	if (rc == CHAT_READ_LATER) {
		job_awaits(chat, job);
		return PRODUCED_LATER;
	}
	if (rc == CHAT_READ_FAILED)
		return PRODUCED_STALLED;
	if ((run.met || !page.more) && changes_read_all(&run, page.pos))
		done = PRODUCED_ALL;
	*bytes += run.bytes;
	job_got_it(chat, job);
	return done;
}

/* --- receipts -------------------------------------------------------------- */

static bool
receipts_add(void *arg, struct chat_str user_id, uint64_t seq)
{
	struct json_out *o = arg;

	json_out_object(o);
	json_out_key(o, "userId");
	json_out_string(o, user_id.p, user_id.len);
	json_out_key(o, "seq");
	json_out_u64(o, seq);
	json_out_object_end(o);
	return true;
}

enum chat_read
receipts_ask(struct chat *chat, const struct chat_socket *s, struct job *job,
    uint64_t last_revision)
{
	if (last_revision == 0 ||
	    chat->ops->receipts(chat->ctx, s->conn, job->room->number, s->user,
		NULL, NULL) != CHAT_READ_LATER)
		return CHAT_READ_DONE;
	job_awaits(chat, job);
	return CHAT_READ_LATER;
}

enum chat_read
receipts_render(struct chat *chat, const struct chat_socket *s, struct job *job,
    uint64_t last_revision, struct json_out *o)
{
	enum chat_read rc = CHAT_READ_DONE;

	json_out_key(o, "receipts");
	json_out_array(o);
	if (last_revision > 0)
		rc = chat->ops->receipts(chat->ctx, s->conn, job->room->number,
		    s->user, receipts_add, o);
	json_out_array_end(o);
	if (rc == CHAT_READ_LATER)
		job_awaits(chat, job);
	return rc;
}
