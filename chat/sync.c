/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * chat:presence-sync, and what else those get who were away: a client that
 * was resumed, or all of a worker that had fallen behind.
 */

#include <string.h>

#include "chat/identity.h"
#include "chat/render.h"
#include "chat/replay.h"
#include "chat/resume.h"
#include "chat/typing.h"

#define EVENT_PRESENCE_SYNC "chat:presence-sync"
/* entries of a presence-sync */
#define SYNC_MAX 200

struct sync {
	struct json_out *o;
	const char *session;
	uint64_t count;
	/* whose entry is looked for (or NULL), and when it joined */
	const char *socket_id;
	uint64_t joined_ms;
};

static bool
sync_add(void *arg, const struct chat_member *m)
{
	struct sync *sync = arg;

	if (sync->count++ < SYNC_MAX)
		render_presence(sync->o, sync->session, m);
	if (sync->socket_id != NULL &&
	    m->socket_id.len == strlen(sync->socket_id) &&
	    memcmp(m->socket_id.p, sync->socket_id, m->socket_id.len) == 0)
		sync->joined_ms = m->joined_ms;
	return true;
}

/* The payload into chat->event; -1 if the roster cannot be read. */
static int
sync_render(struct chat *chat, struct room *room, struct sync *sync,
    uint64_t *pos_r)
{
	struct json_out *o = &chat->event;

	sync->o = o;
	sync->session = room->session;
	json_out_reset(o);
	json_out_object(o);
	json_out_key(o, "sessionId");
	json_out_cstring(o, room->session);
	json_out_key(o, "presences");
	json_out_array(o);
	if (chat->ops->roster(chat->ctx, room->number, sync_add, sync, pos_r) ==
	    -1)
		return -1;
	json_out_array_end(o);
	json_out_key(o, "count");
	json_out_u64(o, sync->count);
	json_out_object_end(o);
	return 0;
}

enum produced
sync_produce(struct chat *chat, struct chat_socket *s, const struct job *job,
    size_t *bytes)
{
	struct sync sync = { .socket_id = s->id };
	struct member *m = room_member(job->room, s);
	struct chat_frame frame;
	uint64_t pos;

	/* it may have left since */
	if (m == NULL)
		return PRODUCED_ALL;
	if (sync_render(chat, job->room, &sync, &pos) == -1)
		return PRODUCED_STALLED;
	m->roster_pos = pos;
	/* it may have been there all the time */
	if (sync.joined_ms > 0)
		m->joined_ms = sync.joined_ms;
	frame = chat_encode(chat, EVENT_PRESENCE_SYNC, &chat->event, NULL);
	chat->ops->send(chat->ctx, s->conn, frame, CHAT_ANSWER);
	*bytes += chat->event.len;
	return PRODUCED_ALL;
}

/* Everybody gets the whole roster, and changes from there on; those who wait
 * for one anyway get that. */
static void
resync_presence(struct chat *chat, struct room *room)
{
	struct sync sync = { .socket_id = NULL };
	struct chat_frame frame;
	struct member *m;
	uint64_t pos;
	uint32_t i;

	if (sync_render(chat, room, &sync, &pos) == -1)
		return;
	frame = chat_encode(chat, EVENT_PRESENCE_SYNC, &chat->event, NULL);
	for (i = 0; i < room->nmembers; i++) {
		m = &room->members[i];
		if (m->roster_pos == UINT64_MAX)
			continue;
		m->roster_pos = pos;
		chat->ops->send(chat->ctx, m->conn, frame, CHAT_EVENT);
	}
}

void
chat_resync(struct chat *chat, uint64_t pos)
{
	struct room *room, *next;
	struct chat_socket *s;
	struct member *m;
	uint32_t i;

	if (pos > chat->pos)
		chat->pos = pos;
	LIST_FOREACH(s, &chat->sockets, entry)
		socket_doubt_joins(s);
	HASH_ITER(hh, chat->rooms, room, next) {
		/* the message or leave that ended it may have been missed */
		typing_clear(chat, room, true);
		resync_presence(chat, room);
		for (i = 0; i < room->nmembers; i++) {
			m = &room->members[i];
			if (m->replay != NULL)
				continue;
			/* what the worker publishes again is answered then */
			replay_start(chat, room, m, room->last_seq + 1,
			    room->last_seq)
			    ->silent_below = pos;
		}
	}
	resume_doubt_all(chat);
}
