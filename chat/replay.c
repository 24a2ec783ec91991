/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * While a member's replay runs, nothing of its room is sent to it as it
 * comes: the messages are in the store too, and the replay takes them from
 * there until it has caught up with what was delivered.  So nothing is kept
 * for it.  Its own messages it gets as what they are to it: the answers to
 * its requests.  Only those that were there before it joined come as
 * messages.
 *
 * So one number, the next seq, says how far it is in that room, and stands
 * in the offset of whatever it is sent meanwhile (offset.h).
 */

#include "chat/replay.h"

#include <stdlib.h>
#include <string.h>

#include "chat/changes.h"
#include "chat/held.h"
#include "chat/join.h"
#include "chat/render.h"
#include "chat/request.h"
#include "chat/roster.h"
#include "chat/stream.h"
#include "common/log.h"

/* rows that are looked at in one piece, if few of them are sent */
#define PIECE_ROWS 1000
/* what a message is longer than its body */
#define ROW_EXTRA 170
/* replays of one socket whose first pieces wait for each other */
#define AT_ONCE 16

/* --- jobs ------------------------------------------------------------------ */

struct job *
job_add(struct chat *chat, struct chat_socket *s, enum job_kind kind,
    struct room *room, bool first)
{
	struct job *job = chat_alloc(sizeof(*job));
	struct work *w = socket_work_make(s);

	job->kind = kind;
	job->room = room;
	job->since = chat->pos;
	room_ref(room);
	if (first)
		STAILQ_INSERT_HEAD(&w->jobs, job, entry);
	else
		STAILQ_INSERT_TAIL(&w->jobs, job, entry);
	w->njobs++;
	if (kind == JOB_REPLAY)
		socket_count_replays(s, 1);
	chat->ops->want_produce(chat->ctx, s->conn);
	return job;
}

/* What comes to the room meanwhile is kept; and is not any more. */
void
job_awaits(struct chat *chat, struct job *job)
{
	if (!job->awaits)
		held_begin(chat, job->room);
	job->awaits = true;
}

void
job_got_it(struct chat *chat, struct job *job)
{
	if (job->awaits)
		held_end(chat, job->room);
	job->awaits = false;
}

static void
job_remove(struct chat *chat, struct chat_socket *s, struct job *job)
{
	STAILQ_REMOVE(&s->work->jobs, job, job, entry);
	s->work->njobs--;
	if (job->kind == JOB_REPLAY)
		socket_count_replays(s, -1);
	job_answered(s, job);
	job_got_it(chat, job);
	socket_work_done(s);
	room_unref(chat, job->room);
	free(job->agent);
	free(job->behind);
	free(job->edit);
	lag_free(chat, &job->lag);
	free(job);
}

void
jobs_forget(struct chat *chat, struct chat_socket *s)
{
	struct job *job;

	while ((job = STAILQ_FIRST(&socket_work(s)->jobs)) != NULL)
		job_remove(chat, s, job);
}

bool
jobs_busy(const struct chat_socket *s, const char *session)
{
	const struct job *job;

	STAILQ_FOREACH(job, &socket_work(s)->jobs, entry) {
		if (job->busy && strcmp(job->room->session, session) == 0)
			return true;
	}
	return false;
}

/* Before all but the joins that came before it. */
static void
job_promote(struct chat_socket *s, struct job *job)
{
	struct work *w = s->work;
	struct job *at, *before = NULL;

	STAILQ_REMOVE(&w->jobs, job, job, entry);
	STAILQ_FOREACH(at, &w->jobs, entry) {
		if (!at->busy)
			break;
		before = at;
	}
	if (before == NULL)
		STAILQ_INSERT_HEAD(&w->jobs, job, entry);
	else
		STAILQ_INSERT_AFTER(&w->jobs, before, job, entry);
}

void
job_unanswered(struct chat_socket *s, struct job *job, bool first)
{
	if (job->busy)
		return;
	if (first)
		job_promote(s, job);
	job->busy = true;
	s->work->nbusy++;
}

void
job_answered(struct chat_socket *s, struct job *job)
{
	job->unanswered = false;
	if (!job->busy)
		return;
	job->busy = false;
	s->work->nbusy--;
	s->work->answered = true;
}

struct job *
replay_start(struct chat *chat, struct room *room, struct member *m,
    uint64_t from, uint64_t own_to)
{
	struct changes_place place = changes_place(room, m->replay);

	/* what it owes is owed, whatever is asked for now */
	if (m->replay != NULL && m->replay->owes)
		replay_stop(chat, m);
	if (m->replay == NULL)
		m->replay = job_add(chat, m->s, JOB_REPLAY, room, false);
	m->replay->next = from;
	m->replay->own_to = own_to;
	m->replay->place = place;
	m->replay->at_changes = false;
	return m->replay;
}

void
replay_again(struct chat *chat, struct room *room, struct member *m,
    const struct job *join, uint64_t from)
{
	struct changes_place place = changes_place(room, m->replay);
	struct job *job = m->replay;

	if (join->has_revision)
		place = changes_place_behind(chat, room, join->after_revision);
	if (from > 0) {
		job = replay_start(chat, room, m, from, room->last_seq);
	} else if (job != NULL && join->has_after && !room->gap) {
		replay_stop(chat, m);
		job = NULL;
	}
	if (job == NULL && !changes_place_level(room, &place))
		job = replay_start(chat, room, m, room->last_seq + 1,
		    room->last_seq);
	if (job != NULL)
		job->place = place;
}

void
replay_stop(struct chat *chat, struct member *m)
{
	struct job *job = m->replay;

	if (job == NULL)
		return;
	m->replay = NULL;
	if (!job->owes) {
		job_remove(chat, m->s, job);
		return;
	}
	job->kind = JOB_ANSWERS;
	job->end = chat->pos;
	socket_count_replays(m->s, -1);
}

void
replay_owes(struct member *m)
{
	m->replay->owes = true;
}

/* Has it sent all messages that were delivered in its room? */
static bool
messages_level(const struct job *job)
{
	return job->next > job->room->last_seq && !job->room->gap;
}

bool
replay_is_level(const struct job *job)
{
	return !job->unanswered && messages_level(job) &&
	    (job->kind == JOB_ANSWERS ||
		changes_place_level(job->room, &job->place));
}

struct offset_pair
replay_position(const struct job *job)
{
	struct offset_pair pair = { .room = job->room->number };

	if (job->unanswered)
		return pair;
	pair.next = job->next;
	if (job->own_to >= job->next)
		pair.own_to = job->own_to;
	/* its place is not known yet: as one that is not answered */
	if (job->next > 0)
		pair.changed = changes_position(job);
	return pair;
}

/* --- messages -------------------------------------------------------------- */

struct replay_run {
	struct chat *chat;
	struct chat_socket *s;
	struct job *job;
	/* the position where it has caught up, and whether it was met */
	uint64_t end;
	bool met;
	size_t bytes;
};

/* Does the body end with this socket as its sender (send.c)? */
static bool
is_own(const struct chat_socket *s, struct chat_str body)
{
	static const char key[] = "\"senderSocketId\":\"";
	size_t n = sizeof(key) - 1, len = strlen(s->id);
	const char *end = body.p + body.len;

	return body.len > n + len + 2 && memcmp(end - 2, "\"}", 2) == 0 &&
	    memcmp(end - 2 - len, s->id, len) == 0 &&
	    memcmp(end - 2 - len - n, key, n) == 0;
}

static void
replay_send(struct replay_run *run, const struct chat_row *row, bool own)
{
	struct chat *chat = run->chat;
	const char *session = run->job->room->session;
	struct json_out *o = &chat->event;
	struct chat_frame frame;

	json_out_reset(o);
	if (own) {
		json_out_object(o);
		render_sent(o, row->id, session, row->time_ms, row->seq);
		json_out_object_end(o);
	} else {
		render_row(o, session, row);
	}
	frame = chat_encode(chat, own ? EVENT_SENT : EVENT_MESSAGE, o,
	    socket_offset(chat, run->s));
	chat->ops->send(chat->ctx, run->s->conn, frame, CHAT_ANSWER);
	run->bytes += o->len;
	chat_count(chat, CHAT_COUNT_REPLAYED);
}

static bool
replay_row(void *arg, const struct chat_row *row)
{
	struct replay_run *run = arg;
	struct job *job = run->job;
	bool own;

	/* what is kept (held.h) may have been sent out of the store */
	if (row->seq < job->next)
		return true;
	/* from here on it is delivered */
	if (row->gseq >= run->end) {
		run->met = true;
		return false;
	}
	job->next = row->seq + 1;
	if (row->seq > job->room->last_seq)
		job->room->last_seq = row->seq;
	own = row->seq > job->own_to && is_own(run->s, row->body);
	if (own ? row->gseq >= job->silent_below : job->kind == JOB_REPLAY)
		replay_send(run, row, own);
	return true;
}

/*
 * All that the store had was read.  What was delivered since is not in it,
 * and more may have been.
 */
static enum produced
replay_read_all(struct chat *chat, struct replay_run *run,
    const struct chat_page *page)
{
	struct job *job = run->job;
	struct room *room = job->room;

	/* rows may lack: those that cannot be read */
	if (!run->met && page->last >= job->next) {
		job->next = page->last + 1;
		if (page->last > room->last_seq)
			room->last_seq = page->last;
	}
	if (room->gap && (run->met ? run->end : page->pos) >= chat->gap) {
		room->gap = false;
		/* there may be changes below it: replays look */
		if (room->last_change < chat->gap - 1)
			room->last_change = chat->gap - 1;
	}
	if (run->met || page->pos >= run->end ||
	    held_rows(room, page->pos, replay_row, run) || messages_level(job))
		return PRODUCED_ALL;
	return PRODUCED_PIECE;
}

static struct chat_query
replay_query(const struct job *job)
{
	return (struct chat_query){ .room = job->room->number,
		.from = job->next,
		.count = PIECE_ROWS,
		.bytes = PIECE_BYTES,
		.extra = ROW_EXTRA,
		.newest = job->room->last_seq };
}

/* Is what the next piece of it needs there?  Else it is asked for. */
static bool
replay_is_there(struct chat *chat, struct chat_socket *s, struct job *job)
{
	const struct chat_query q = replay_query(job);
	bool there = true;

	if (job->unanswered)
		there = roster_is_there(chat, s, job->room);
	if (!messages_level(job))
		there = chat->ops->messages(chat->ctx, s->conn, &q, NULL, NULL,
			    NULL) != CHAT_READ_LATER &&
		    there;
	if (!there)
		job_awaits(chat, job);
	if (!changes_place_level(job->room, &job->place))
		there = changes_are_there(chat, s, job) && there;
	return there;
}

bool
replays_are_there(struct chat *chat, struct chat_socket *s)
{
	struct job *job;
	unsigned n = 0;
	bool there = true;

	STAILQ_FOREACH(job, &socket_work(s)->jobs, entry) {
		if (!job_is_replay(job))
			continue;
		if (n++ == AT_ONCE)
			break;
		there = replay_is_there(chat, s, job) && there;
	}
	return there;
}

static enum produced
replay_read(struct chat *chat, struct chat_socket *s, struct job *job,
    uint64_t delivered, size_t *bytes)
{
	struct replay_run run = { .chat = chat,
		.s = s,
		.job = job,
		.end = job->kind == JOB_ANSWERS ? job->end : delivered };
	const struct chat_query q = replay_query(job);
	struct chat_page page;
	enum produced done = PRODUCED_PIECE;
	enum chat_read rc;

	rc = chat->ops->messages(chat->ctx, s->conn, &q, replay_row, &run,
	    &page);
	if (rc == CHAT_READ_LATER) {
		job_awaits(chat, job);
		return PRODUCED_LATER;
	}
	if (rc == CHAT_READ_FAILED)
		return PRODUCED_STALLED;
	if (run.met || !page.more)
		done = replay_read_all(chat, &run, &page);
	*bytes += run.bytes;
	job_got_it(chat, job);
	return done;
}

/* The answer to the join, if that is still to come. */
static enum produced
replay_answer(struct chat *chat, struct chat_socket *s, struct job *job,
    size_t *bytes)
{
	if (!job->unanswered)
		return PRODUCED_ALL;
	switch (join_answer_late(chat, s, job, bytes)) {
	case CHAT_READ_DONE:
		return PRODUCED_ALL;
	case CHAT_READ_LATER:
		return PRODUCED_LATER;
	case CHAT_READ_FAILED:
		break;
	}
	if (!job->fresh)
		return PRODUCED_STALLED;
	join_undo(chat, s, job);
	return PRODUCED_ALL;
}

/* Is there nothing left to do?  Then it is live, if it is a member. */
static bool
replay_ended(struct chat_socket *s, const struct job *job)
{
	struct member *m = room_member(job->room, s);

	if (job->kind == JOB_REPLAY && m == NULL)
		return true;
	if (!replay_is_level(job))
		return false;
	if (job->kind == JOB_REPLAY) {
		CHECK(m->replay == job);
		m->replay = NULL;
	}
	return true;
}

/* What was changed, once all messages have been sent. */
static enum produced
replay_changes(struct chat *chat, struct chat_socket *s, struct job *job,
    uint64_t delivered, size_t *bytes)
{
	struct replay_run run = { .chat = chat,
		.s = s,
		.job = job,
		.end = delivered };
	enum produced done;

	if (!job->at_changes) {
		job->at_changes = true;
		job->level_pos = delivered;
	}
	done =
	    changes_produce(chat, s, job, delivered, replay_row, &run, bytes);
	*bytes += run.bytes;
	return done;
}

/* The next piece of a replay, or of what is left of one. */
static enum produced
replay_produce(struct chat *chat, struct chat_socket *s, struct job *job,
    uint64_t delivered, size_t *bytes)
{
	enum produced done = replay_answer(chat, s, job, bytes);

	if (done != PRODUCED_ALL || replay_ended(s, job))
		return done;
	if (!job->at_changes && !messages_level(job))
		done = replay_read(chat, s, job, delivered, bytes);
	if (done == PRODUCED_ALL && job->kind == JOB_REPLAY)
		done = replay_changes(chat, s, job, delivered, bytes);
	if (done == PRODUCED_ALL && job->kind == JOB_REPLAY)
		room_member(job->room, s)->replay = NULL;
	return done;
}

void
job_try(struct chat *chat, struct chat_socket *s, struct job *job)
{
	enum produced done;
	size_t bytes = 0;

	if (job->kind == JOB_JOIN) {
		done = join_again_produce(chat, s, job, &bytes);
	} else if (job->kind == JOB_EDIT) {
		done = edit_produce(chat, s, job);
	} else {
		done = replay_answer(chat, s, job, &bytes);
		if (done == PRODUCED_ALL && !replay_ended(s, job))
			return;
	}
	if (done == PRODUCED_ALL)
		job_remove(chat, s, job);
}

/* --- all of it ------------------------------------------------------------- */

/* Who missed little in one session need not wait for another. */
static void
job_to_end(struct chat_socket *s, struct job *job)
{
	/* the end of a stream comes before its message */
	if (job->kind == JOB_CHUNKS)
		return;
	STAILQ_REMOVE(&s->work->jobs, job, job, entry);
	STAILQ_INSERT_TAIL(&s->work->jobs, job, entry);
}

static enum produced
job_produce(struct chat *chat, struct chat_socket *s, struct job *job,
    uint64_t delivered, size_t *bytes)
{
	switch (job->kind) {
	case JOB_HISTORY:
		return history_produce(chat, s, job);
	case JOB_JOIN:
		return join_again_produce(chat, s, job, bytes);
	case JOB_SYNC:
		return sync_produce(chat, s, job, bytes);
	case JOB_ROSTER:
		return roster_produce(chat, s, job, bytes);
	case JOB_CHUNKS:
		return lag_produce(chat, s, job, bytes);
	case JOB_EDIT:
		return edit_produce(chat, s, job);
	case JOB_REPLAY:
	case JOB_ANSWERS:
		break;
	}
	return replay_produce(chat, s, job, delivered, bytes);
}

/* What came behind a join that is answered now, unless that is for later. */
static void
do_what_was_deferred(struct chat *chat, struct chat_socket *s)
{
	if (s->work == NULL || !s->work->answered || s->resume != NULL)
		return;
	s->work->answered = false;
	socket_do_deferred(chat, s);
}

enum produced
jobs_produce(struct chat *chat, struct chat_socket *s, uint64_t delivered)
{
	enum produced done = PRODUCED_ALL;
	struct job *job;
	size_t bytes = 0;
	bool page = false;

	/* a page of history is a piece, however small it is */
	while (done == PRODUCED_ALL && bytes < PIECE_BYTES && !page &&
	    (job = STAILQ_FIRST(&socket_work(s)->jobs)) != NULL) {
		page = job->kind == JOB_HISTORY;
		done = job_produce(chat, s, job, delivered, &bytes);
		if (done == PRODUCED_ALL)
			job_remove(chat, s, job);
		else if (done == PRODUCED_PIECE)
			job_to_end(s, job);
	}
	do_what_was_deferred(chat, s);
	if (done == PRODUCED_STALLED)
		chat->stalled = true;
	else if (done != PRODUCED_LATER && !STAILQ_EMPTY(&socket_work(s)->jobs))
		chat->ops->want_produce(chat->ctx, s->conn);
	/* what has been sent is not to wait for what has not */
	return done == PRODUCED_LATER && bytes > 0 ? PRODUCED_PIECE : done;
}
