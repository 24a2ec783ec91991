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

#include "chat/join.h"
#include "chat/render.h"
#include "chat/request.h"
#include "common/log.h"

/* rows that are looked at in one piece, if few of them are sent */
#define PIECE_ROWS 1000

/* --- jobs ------------------------------------------------------------------ */

struct job *
job_add(struct chat *chat, struct chat_socket *s, enum job_kind kind,
    struct room *room, bool first)
{
	struct job *job = chat_alloc(sizeof(*job));
	struct work *w = socket_work_make(s);

	job->kind = kind;
	job->room = room;
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

static void
job_remove(struct chat *chat, struct chat_socket *s, struct job *job)
{
	STAILQ_REMOVE(&s->work->jobs, job, job, entry);
	s->work->njobs--;
	if (job->kind == JOB_REPLAY)
		socket_count_replays(s, -1);
	socket_work_done(s);
	room_unref(chat, job->room);
	free(job);
}

void
jobs_forget(struct chat *chat, struct chat_socket *s)
{
	struct job *job;

	while ((job = STAILQ_FIRST(&socket_work(s)->jobs)) != NULL)
		job_remove(chat, s, job);
}

struct job *
replay_start(struct chat *chat, struct room *room, struct member *m,
    uint64_t from, uint64_t own_to)
{
	/* what it owes is owed, whatever is asked for now */
	if (m->replay != NULL && m->replay->owes)
		replay_stop(chat, m);
	if (m->replay == NULL)
		m->replay = job_add(chat, m->s, JOB_REPLAY, room, false);
	m->replay->next = from;
	m->replay->own_to = own_to;
	return m->replay;
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

struct offset_pair
replay_position(const struct job *job)
{
	struct offset_pair pair = { .room = job->room->number };

	if (job->unanswered)
		return pair;
	pair.next = job->next;
	if (job->own_to >= job->next)
		pair.own_to = job->own_to;
	return pair;
}

/* --- messages -------------------------------------------------------------- */

struct replay_run {
	struct chat *chat;
	struct chat_socket *s;
	struct job *job;
	/* the position where it has caught up */
	uint64_t end;
	size_t rows, bytes;
	/* the piece is full */
	bool full;
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
		render_message(o, session, row->body, row->time_ms, row->seq);
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

	/* from here on it is delivered */
	if (row->gseq >= run->end)
		return false;
	if (run->bytes >= PIECE_BYTES || run->rows >= PIECE_ROWS) {
		run->full = true;
		return false;
	}
	run->rows++;
	job->next = row->seq + 1;
	if (row->seq > job->room->last_seq)
		job->room->last_seq = row->seq;
	own = row->seq > job->own_to && is_own(run->s, row->body);
	if (own ? row->gseq >= job->silent_below : job->kind == JOB_REPLAY)
		replay_send(run, row, own);
	return true;
}

/* The next piece of a replay, or of what is left of one. */
static enum produced
replay_produce(struct chat *chat, struct chat_socket *s, struct job *job,
    uint64_t delivered, size_t *bytes)
{
	struct replay_run run = { .chat = chat,
		.s = s,
		.job = job,
		.end = job->kind == JOB_ANSWERS ? job->end : delivered,
		.bytes = *bytes };
	struct member *m;
	int rc;

	if (job->unanswered && join_answer_again(chat, s, job, bytes) == -1)
		return PRODUCED_STALLED;
	run.bytes = *bytes;
	rc = chat->ops->messages(chat->ctx, job->room->number, job->next,
	    UINT64_MAX, false, replay_row, &run);
	*bytes = run.bytes;
	if (rc == -1)
		return PRODUCED_STALLED;
	if (run.full)
		return PRODUCED_PIECE;
	if (job->kind == JOB_REPLAY) {
		m = room_member(job->room, s);
		CHECK(m != NULL && m->replay == job);
		m->replay = NULL;
	}
	return PRODUCED_ALL;
}

/* --- all of it ------------------------------------------------------------- */

/* Who missed little in one session need not wait for another. */
static void
job_to_end(struct chat_socket *s, struct job *job)
{
	STAILQ_REMOVE(&s->work->jobs, job, job, entry);
	STAILQ_INSERT_TAIL(&s->work->jobs, job, entry);
}

static enum produced
job_produce(struct chat *chat, struct chat_socket *s, struct job *job,
    uint64_t delivered, size_t *bytes)
{
	switch (job->kind) {
	case JOB_HISTORY:
		history_produce(chat, s, job);
		return PRODUCED_ALL;
	case JOB_SYNC:
		return sync_produce(chat, s, job, bytes);
	case JOB_REPLAY:
	case JOB_ANSWERS:
		break;
	}
	return replay_produce(chat, s, job, delivered, bytes);
}

void
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
	if (done == PRODUCED_STALLED)
		chat->stalled = true;
	else if (!STAILQ_EMPTY(&socket_work(s)->jobs))
		chat->ops->want_produce(chat->ctx, s->conn);
}
