/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * Members who read more slowly than agents write.
 *
 * A chunk that a connection has no room for is not sent, and nor is any
 * other of that room from then on.  What the member has of each stream is
 * noted, and when its connection has drained it gets what has come since, as
 * one chunk a stream.  So the text is whole, however slow it is, and a slow
 * reader costs no more than one that reads all.
 */

#include <stdlib.h>

#include "chat/replay.h"
#include "chat/stream.h"

/* What a member has of a stream. */
struct mark {
	/* held */
	struct shown *sh;
	uint64_t nchunks, len;
	bool done;
};

struct lag {
	size_t n, cap;
	/* where the next one is looked for: behind the last that was found */
	size_t at;
	struct mark *mark;
};

/* They are looked for in the order of the room's list, in which most are. */
static struct mark *
mark_find(struct lag *lag, const struct shown *sh)
{
	struct mark *mark;
	size_t i;

	for (i = 0; i < lag->n; i++) {
		if (lag->at >= lag->n)
			lag->at = 0;
		mark = &lag->mark[lag->at++];
		if (mark->sh == sh)
			return mark;
	}
	return NULL;
}

static struct mark *
mark_add(struct lag *lag, struct shown *sh)
{
	struct mark *mark;

	if (lag->n == lag->cap) {
		lag->cap = lag->cap == 0 ? 4 : lag->cap * 2;
		lag->mark =
		    chat_realloc(lag->mark, lag->cap, sizeof(*lag->mark));
	}
	mark = &lag->mark[lag->n++];
	mark->sh = sh;
	mark->nchunks = mark->len = 0;
	mark->done = false;
	sh->refs++;
	return mark;
}

/* It has what the others have. */
static void
mark_level(struct mark *mark)
{
	mark->nchunks = mark->sh->nchunks;
	mark->len = mark->sh->len;
	mark->done = mark->sh->done;
}

static bool
mark_is_level(const struct mark *mark)
{
	const struct shown *sh = mark->sh;

	return mark->done ||
	    (!sh->done && mark->len == sh->len && mark->nchunks == sh->nchunks);
}

static void
marks_clear(struct lag *lag)
{
	while (lag->n > 0)
		shown_unref(lag->mark[--lag->n].sh);
}

void
lag_free(struct chat *chat, struct lag **lagp)
{
	struct lag *lag = *lagp;

	if (lag == NULL)
		return;
	marks_clear(lag);
	free(lag->mark);
	free(lag);
	chat->streams->nlags--;
	*lagp = NULL;
}

static struct job *
lag_job(const struct chat_socket *s, const struct room *room)
{
	struct job *job;

	STAILQ_FOREACH(job, &socket_work(s)->jobs, entry) {
		if (job->kind == JOB_CHUNKS && job->room == room)
			return job;
	}
	return NULL;
}

/* What it has of all streams of the room, before anything else comes. */
static struct lag *
lag_start(struct chat *chat, struct room *room, struct member *m)
{
	struct job *job = lag_job(m->s, room);
	struct shown *sh;

	if (job == NULL) {
		/* before its messages: the end of a stream precedes them */
		job = job_add(chat, m->s, JOB_CHUNKS, room, true);
		job->lag = chat_alloc(sizeof(*job->lag));
		chat->streams->nlags++;
		chat_count(chat, CHAT_COUNT_CHUNKS_MERGED);
	}
	/* of a membership that is over */
	marks_clear(job->lag);
	LIST_FOREACH(sh, &room->shown, of_room)
		mark_level(mark_add(job->lag, sh));
	m->lags = true;
	return job->lag;
}

void
lag_begin(struct chat *chat, struct room *room, struct member *m,
    struct shown *sh, uint64_t nchunks, uint64_t len)
{
	struct mark *mark;
	struct lag *lag;

	if (m->lags)
		lag = lag_job(m->s, room)->lag;
	else
		lag = lag_start(chat, room, m);
	mark = mark_find(lag, sh);
	mark->nchunks = nchunks;
	mark->len = len;
	mark->done = false;
}

/* What it lacks of one stream; bytes of the event. */
static size_t
mark_send(struct chat *chat, const struct chat_socket *s, struct mark *mark,
    enum chat_priority prio)
{
	struct chat_frame frame;
	size_t len;

	frame = shown_merged(chat, mark->sh, mark->len, &len);
	chat->ops->send(chat->ctx, s->conn, frame, prio);
	mark_level(mark);
	return len;
}

void
lag_end_stream(struct chat *chat, struct room *room, struct member *m,
    struct shown *sh)
{
	struct lag *lag = lag_job(m->s, room)->lag;
	struct mark *mark;

	if ((mark = mark_find(lag, sh)) == NULL)
		mark = mark_add(lag, sh);
	if (!mark_is_level(mark))
		(void)mark_send(chat, m->s, mark, CHAT_EVENT);
}

enum produced
lag_produce(struct chat *chat, struct chat_socket *s, struct job *job,
    size_t *bytes)
{
	struct member *m = room_member(job->room, s);
	struct shown *sh;
	struct mark *mark;

	/* it has left, or has joined again and was told all then */
	if (m == NULL || !m->lags)
		return PRODUCED_ALL;
	LIST_FOREACH(sh, &job->room->shown, of_room) {
		if ((mark = mark_find(job->lag, sh)) == NULL)
			mark = mark_add(job->lag, sh);
		if (mark_is_level(mark))
			continue;
		*bytes += mark_send(chat, s, mark, CHAT_ANSWER);
		if (*bytes >= PIECE_BYTES)
			return PRODUCED_PIECE;
	}
	m->lags = false;
	return PRODUCED_ALL;
}
