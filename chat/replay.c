/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * While a member's replay runs, its new messages are not sent to it as they
 * come: they are in the store too, and the replay takes them from there until
 * it has caught up with what was delivered.  So nothing is kept for it.
 */

#include "chat/replay.h"

#include <stdlib.h>
#include <string.h>

#include "chat/render.h"
#include "chat/typing.h"
#include "common/log.h"

#define EVENT_MESSAGE "chat:message-received"
#define EVENT_PRESENCE_SYNC "chat:presence-sync"
/* entries of a presence-sync */
#define SYNC_MAX 200

struct job *
job_add(struct chat *chat, struct chat_socket *s, enum job_kind kind,
    struct room *room)
{
	struct job *job = chat_alloc(sizeof(*job));
	struct work *w = socket_work_make(s);

	job->kind = kind;
	job->room = room;
	room_ref(room);
	STAILQ_INSERT_TAIL(&w->jobs, job, entry);
	w->njobs++;
	chat->ops->want_produce(chat->ctx, s->conn);
	return job;
}

void
job_remove(struct chat *chat, struct chat_socket *s, struct job *job)
{
	STAILQ_REMOVE(&s->work->jobs, job, job, entry);
	s->work->njobs--;
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

void
replay_start(struct chat *chat, struct room *room, struct member *m,
    uint64_t from, uint64_t own_to)
{
	if (m->replay == NULL)
		m->replay = job_add(chat, m->s, JOB_REPLAY, room);
	m->replay->next = from;
	m->replay->own_to = own_to;
}

void
replay_stop(struct chat *chat, struct member *m)
{
	struct job *job = m->replay;

	if (job != NULL) {
		m->replay = NULL;
		job_remove(chat, m->s, job);
	}
}

struct replay_run {
	struct chat *chat;
	struct chat_socket *s;
	struct job *job;
	uint64_t delivered;
	size_t bytes;
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

static bool
replay_row(void *arg, const struct chat_row *row)
{
	struct replay_run *run = arg;
	struct chat *chat = run->chat;
	struct room *room = run->job->room;
	struct json_out *o = &chat->event;
	struct chat_frame frame;

	/* from here on it is delivered */
	if (row->gseq >= run->delivered)
		return false;
	if (run->bytes >= PIECE_BYTES) {
		run->full = true;
		return false;
	}
	run->job->next = row->seq + 1;
	if (row->seq > room->last_seq)
		room->last_seq = row->seq;
	if (row->seq > run->job->own_to && is_own(run->s, row->body))
		return true;
	json_out_reset(o);
	render_message(o, room->session, row->body, row->time_ms, row->seq);
	frame = chat_encode(chat, EVENT_MESSAGE, o);
	chat->ops->send(chat->ctx, run->s->conn, frame, CHAT_ANSWER);
	run->bytes += o->len;
	chat_count(chat, CHAT_COUNT_REPLAYED);
	return true;
}

enum produced
replay_produce(struct chat *chat, struct chat_socket *s, struct job *job,
    uint64_t delivered)
{
	struct replay_run run = { .chat = chat,
		.s = s,
		.job = job,
		.delivered = delivered };
	struct member *m;

	if (chat->ops->messages(chat->ctx, job->room->number, job->next,
		UINT64_MAX, false, replay_row, &run) == -1)
		return PRODUCED_STALLED;
	if (run.full)
		return PRODUCED_PIECE;
	m = room_member(job->room, s);
	CHECK(m != NULL && m->replay == job);
	m->replay = NULL;
	return PRODUCED_ALL;
}

/* --- after a gap ------------------------------------------------------------------ */

struct sync {
	struct json_out *o;
	const char *session;
	uint64_t count;
};

static bool
sync_add(void *arg, const struct chat_member *m)
{
	struct sync *sync = arg;

	if (sync->count++ < SYNC_MAX)
		render_presence(sync->o, sync->session, m);
	return true;
}

/* Everybody gets the whole roster, and changes from there on. */
static void
resync_presence(struct chat *chat, struct room *room)
{
	struct json_out *o = &chat->event;
	struct sync sync = { .o = o, .session = room->session };
	struct chat_frame frame;
	uint64_t pos;
	uint32_t i;

	json_out_reset(o);
	json_out_object(o);
	json_out_key(o, "sessionId");
	json_out_cstring(o, room->session);
	json_out_key(o, "presences");
	json_out_array(o);
	if (chat->ops->roster(chat->ctx, room->number, sync_add, &sync, &pos) ==
	    -1)
		return;
	json_out_array_end(o);
	json_out_key(o, "count");
	json_out_u64(o, sync.count);
	json_out_object_end(o);
	frame = chat_encode(chat, EVENT_PRESENCE_SYNC, o);
	for (i = 0; i < room->nmembers; i++) {
		room->members[i].roster_pos = pos;
		chat->ops->send(chat->ctx, room->members[i].conn, frame,
		    CHAT_EVENT);
	}
}

void
chat_resync(struct chat *chat, uint64_t pos)
{
	struct room *room, *next;
	struct member *m;
	uint32_t i;

	/* what is below 'pos' comes out of the store: chat_produce() is told
	 * that all of it was delivered */
	(void)pos;
	HASH_ITER(hh, chat->rooms, room, next) {
		/* the message or leave that ended it may have been missed */
		typing_clear(chat, room, true);
		resync_presence(chat, room);
		for (i = 0; i < room->nmembers; i++) {
			m = &room->members[i];
			if (m->replay == NULL)
				replay_start(chat, room, m, room->last_seq + 1,
				    room->last_seq);
		}
	}
}
