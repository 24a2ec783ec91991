/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * chat:presence-sync, and what else those get who were away: a client that
 * was resumed, or all of a worker that had fallen behind.
 */

#include <string.h>

#include "chat/delta.h"
#include "chat/held.h"
#include "chat/identity.h"
#include "chat/idle.h"
#include "chat/render.h"
#include "chat/replay.h"
#include "chat/resume.h"
#include "chat/roster.h"
#include "chat/stream.h"
#include "chat/typing.h"

/* rooms that are asked for in one tick */
#define SYNCS_A_TICK 256

/* The payload into chat->event; 'job' NULL: for all of the room. */
static enum chat_read
sync_render(struct chat *chat, struct chat_socket *s, struct job *job,
    struct room *room, struct roster_out *out, struct chat_roster *roster_r)
{
	const struct chat_roster_query q = roster_query(room, s);
	struct json_out *o = &chat->event;
	enum chat_read rc;
	uint64_t count;

	memset(out, 0, sizeof(*out));
	out->o = o;
	out->session = room->session;
	out->socket_id = s == NULL ? NULL : s->id;
	json_out_reset(o);
	json_out_object(o);
	json_out_key(o, "sessionId");
	json_out_cstring(o, room->session);
	json_out_key(o, "presences");
	json_out_array(o);
	if (job != NULL)
		rc = roster_read(chat, s, job, &q, roster_add, out, roster_r);
	else
		rc = chat->ops->roster(chat->ctx, NULL, &q, roster_add, out,
		    roster_r);
	if (rc != CHAT_READ_DONE)
		return rc;
	if (q.count)
		roster_counted(room, roster_r);
	json_out_array_end(o);
	if (!roster_count(chat, room, roster_r, out->n, &count)) {
		/* once more, when that has been delivered */
		if (job != NULL) {
			job_awaits(chat, job);
			chat->ops->want_produce(chat->ctx, s->conn);
		}
		return CHAT_READ_LATER;
	}
	roster_out_count(o, count);
	json_out_object_end(o);
	return CHAT_READ_DONE;
}

/* The same with a roster that is not too old. */
static enum chat_read
sync_make(struct chat *chat, struct chat_socket *s, struct job *job,
    struct room *room, struct roster_out *out, uint64_t *pos_r)
{
	struct chat_roster roster;
	enum chat_read rc;

	do {
		rc = sync_render(chat, s, job, room, out, &roster);
	} while (rc == CHAT_READ_DONE &&
	    (!held_covers(chat, room, roster.pos) ||
		(job != NULL && roster.pos < job->since)));
	*pos_r = roster.pos;
	return rc;
}

enum produced
sync_produce(struct chat *chat, struct chat_socket *s, struct job *job,
    size_t *bytes)
{
	struct member *m = room_member(job->room, s);
	struct chat_frame frame;
	struct roster_out out;
	uint64_t pos;

	/* it may have left since */
	if (m == NULL)
		return PRODUCED_ALL;
	switch (sync_make(chat, s, job, job->room, &out, &pos)) {
	case CHAT_READ_LATER:
		return PRODUCED_LATER;
	case CHAT_READ_FAILED:
		return PRODUCED_STALLED;
	case CHAT_READ_DONE:
		break;
	}
	/* it may have been there all the time */
	if (out.seen) {
		m->joined_ms = out.self.joined_ms;
		idle_found(s, m, out.self.status);
	}
	frame = chat_encode(chat, EVENT_PRESENCE_SYNC, &chat->event, NULL);
	chat->ops->send(chat->ctx, s->conn, frame, CHAT_ANSWER);
	*bytes += chat->event.len;
	roster_sent(chat, s, job, m, pos);
	return PRODUCED_ALL;
}

/* --- a whole room -------------------------------------------------------- */

static void
room_synced(struct chat *chat, struct room *room)
{
	room->unsynced = false;
	chat->nunsynced--;
	held_end(chat, room);
}

void
sync_forget(struct chat *chat, struct room *room)
{
	if (room->unsynced)
		room_synced(chat, room);
}

/* Everybody gets the whole roster, and changes from there on; those who wait
 * for one anyway get that.  False if it is not there yet. */
static bool
sync_room(struct chat *chat, struct room *room)
{
	struct chat_frame frame;
	struct member *m;
	struct roster_out out;
	uint64_t pos, told;
	uint32_t i;

	if (sync_make(chat, NULL, NULL, room, &out, &pos) != CHAT_READ_DONE)
		return false;
	frame = chat_encode(chat, EVENT_PRESENCE_SYNC, &chat->event, NULL);
	for (i = 0; i < room->nmembers; i++) {
		m = &room->members[i];
		if (m->roster_pos == UINT64_MAX)
			continue;
		/* it has got a newer one since the gap */
		if (m->roster_pos > pos) {
			told = delta_told(chat, room, m);
			if (m->roster_pos < told)
				m->roster_pos = told;
			continue;
		}
		m->roster_pos = pos;
		chat->ops->send(chat->ctx, m->conn, frame, CHAT_EVENT);
		/* it had them, but the roster has not */
		held_send(chat, room, m->s, pos);
	}
	delta_synced(room, pos);
	room_synced(chat, room);
	return true;
}

static void
resync_presence(struct chat *chat, struct room *room)
{
	held_gap(chat, room, chat->pos);
	if (!room->unsynced) {
		room->unsynced = true;
		chat->nunsynced++;
		held_begin(chat, room);
	}
	(void)sync_room(chat, room);
}

void
sync_tick(struct chat *chat)
{
	struct room *room, *next;
	unsigned n = 0;

	if (chat->nunsynced == 0)
		return;
	HASH_ITER(hh, chat->rooms, room, next) {
		if (!room->unsynced)
			continue;
		if (room->nmembers == 0)
			room_synced(chat, room);
		else if (!sync_room(chat, room) && n++ == SYNCS_A_TICK)
			return;
	}
}

void
chat_resync(struct chat *chat, uint64_t pos)
{
	struct room *room, *next;
	struct chat_socket *s;
	struct member *m;
	uint32_t i;

	steer_resync(chat, pos);
	if (pos > chat->pos)
		chat->pos = pos;
	chat->gap = chat->pos;
	LIST_FOREACH(s, &chat->sockets, entry)
		socket_doubt_joins(s);
	HASH_ITER(hh, chat->rooms, room, next) {
		/* the message or leave that ended it may have been missed */
		typing_clear(chat, room, true);
		room->gap = true;
		room->counted = false;
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
	streams_resync(chat);
}
