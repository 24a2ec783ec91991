/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * What a room's members are shown of streams, whoever writes them.
 *
 * Chunks come by the live ring, and say with which byte of the text they
 * begin.  A worker knows how much it has delivered, so a chunk that was
 * included in something else is left out, and what is missing before one is
 * taken out of shared memory and sent with it, as one chunk.  Shared memory
 * is always ahead of the ring.
 *
 * Who enters a room in which the worker has nobody takes its rows as they are
 * at that instant.  Which streams have ended is remembered for as long as
 * their rows are there: their last chunk may come again (stream.h).
 */

#include <stdlib.h>
#include <string.h>

#include "chat/replay.h"
#include "chat/stream.h"

/* how often it is looked whether rows are still there */
#define LOOK_MS 1000
/* looks after which the end of a stream whose row is gone is not awaited */
#define LOOKS 3
/* of texts in one answer; the rest comes as chunks */
#define PUT_BYTES (512 * 1024)

/* A chunk as it comes. */
struct chunk {
	struct chat_str id, agent, text;
	uint64_t index, start;
	unsigned flags;
};

struct chat_str
shown_id(const struct shown *sh)
{
	return chat_str(sh->key + sizeof(uint64_t), sh->id_len);
}

struct chat_str
shown_agent(const struct shown *sh)
{
	return chat_str(sh->key + sizeof(uint64_t) + sh->id_len, sh->agent_len);
}

struct shown *
shown_find(const struct chat *chat, const struct room *room, struct chat_str id)
{
	char key[sizeof(room->number) + CHAT_ID_MAX];
	struct shown *sh;

	if (chat->streams->shown == NULL || id.len > CHAT_ID_MAX)
		return NULL;
	memcpy(key, &room->number, sizeof(room->number));
	memcpy(key + sizeof(room->number), id.p, id.len);
	HASH_FIND(hh, chat->streams->shown, key, sizeof(room->number) + id.len,
	    sh);
	return sh;
}

static struct shown *
shown_add(struct chat *chat, struct room *room, struct chat_str id,
    struct chat_str agent, uint64_t handle)
{
	size_t key_len = sizeof(room->number) + id.len;
	struct shown *sh = chat_alloc(sizeof(*sh) + key_len + agent.len);

	CHECK(id.len <= CHAT_ID_MAX);
	sh->room = room;
	sh->handle = handle;
	sh->id_len = id.len;
	sh->agent_len = agent.len;
	memcpy(sh->key, &room->number, sizeof(room->number));
	memcpy(sh->key + sizeof(room->number), id.p, id.len);
	if (agent.len > 0)
		memcpy(sh->key + key_len, agent.p, agent.len);
	HASH_ADD_KEYPTR(hh, chat->streams->shown, sh->key, key_len, sh);
	LIST_INSERT_HEAD(&room->shown, sh, of_room);
	return sh;
}

/* Out of the room; who is behind may still have it. */
static void
shown_remove(struct chat *chat, struct shown *sh)
{
	HASH_DELETE(hh, chat->streams->shown, sh);
	LIST_REMOVE(sh, of_room);
	sh->room = NULL;
	if (sh->refs == 0)
		free(sh);
}

void
shown_unref(struct shown *sh)
{
	CHECK(sh->refs > 0);
	if (--sh->refs == 0 && sh->room == NULL)
		free(sh);
}

/* --- events -------------------------------------------------------------------- */

static void
put_escaped(struct json_out *o, const char *key, const char *p, size_t len)
{
	json_out_key(o, key);
	json_out_raw(o, "\"", 1);
	o->comma = false;
	json_out_raw(o, p, len);
	o->comma = false;
	json_out_raw(o, "\"", 1);
}

static void
put_chunk(struct chat *chat, const struct shown *sh, struct chat_str text,
    uint64_t index)
{
	struct json_out *o = &chat->event;
	struct chat_str id = shown_id(sh), agent = shown_agent(sh);

	json_out_reset(o);
	json_out_object(o);
	json_out_key(o, "sessionId");
	json_out_cstring(o, sh->room->session);
	json_out_key(o, "messageId");
	json_out_string(o, id.p, id.len);
	put_escaped(o, "chunk", text.p, text.len);
	json_out_key(o, "isComplete");
	json_out_bool(o, sh->done);
	json_out_key(o, "timestamp");
	json_out_u64(o, chat_real_ms(chat));
	json_out_key(o, "index");
	json_out_u64(o, index);
	if (agent.len > 0) {
		json_out_key(o, "agentId");
		json_out_string(o, agent.p, agent.len);
	}
	if ((sh->flags & CHAT_F_INTERRUPTED) != 0) {
		json_out_key(o, "interrupted");
		json_out_bool(o, true);
	}
	if ((sh->flags & CHAT_F_CANCELLED) != 0) {
		json_out_key(o, "cancelled");
		json_out_bool(o, true);
	}
	json_out_object_end(o);
}

/* Number of the last chunk that was delivered. */
static uint64_t
last_index(const struct shown *sh)
{
	return sh->nchunks > 0 ? sh->nchunks - 1 : 0;
}

struct chat_frame
shown_merged(struct chat *chat, const struct shown *sh, uint64_t from,
    size_t *len_r)
{
	const char *p = stream_get_text(chat, sh->handle, from, sh->len);

	/* whoever gets its message has the text */
	if (p == NULL)
		put_chunk(chat, sh, chat_str("", 0), last_index(sh));
	else
		put_chunk(chat, sh, chat_str(p, (size_t)(sh->len - from)),
		    last_index(sh));
	if (len_r != NULL)
		*len_r = chat->event.len;
	return chat_encode(chat, EVENT_CHUNK, &chat->event, NULL);
}

bool
shown_to(const struct member *m)
{
	return m->s->resume == NULL &&
	    !(m->replay != NULL && m->replay->unanswered);
}

/* The chunk in chat->event; before it the members had so much. */
static void
send_chunk(struct chat *chat, struct shown *sh, uint64_t nchunks, uint64_t len)
{
	struct room *room = sh->room;
	struct chat_frame frame = { 0, 0 };
	bool made = false;
	struct member *m;
	uint32_t i;

	for (i = 0; i < room->nmembers; i++) {
		m = &room->members[i];
		if (m->lags || !shown_to(m))
			continue;
		if (!made)
			frame =
			    chat_encode(chat, EVENT_CHUNK, &chat->event, NULL);
		made = true;
		if (!chat->ops->offer(chat->ctx, m->conn, frame))
			lag_begin(chat, room, m, sh, nchunks, len);
	}
}

/* --- chunks ---------------------------------------------------------------------- */

static uint64_t
number(struct chat_str s)
{
	uint64_t n = 0;
	size_t i;

	for (i = 0; i < s.len; i++)
		n = n * 10 + (uint64_t)(s.p[i] - '0');
	return n;
}

/* It is shown up to there: what is missing, and this chunk. */
static void
catch_up(struct chat *chat, struct shown *sh, uint64_t nchunks, uint64_t len)
{
	uint64_t had = sh->nchunks, had_len = sh->len;
	const char *p = NULL;

	if (len > sh->len)
		p = stream_get_text(chat, sh->handle, sh->len, len);
	/* what cannot be had any more comes with the message */
	if (p == NULL && !sh->done)
		return;
	if (nchunks > sh->nchunks)
		sh->nchunks = nchunks;
	if (p != NULL)
		sh->len = len;
	put_chunk(chat, sh,
	    p == NULL ? chat_str("", 0) : chat_str(p, (size_t)(len - had_len)),
	    last_index(sh));
	send_chunk(chat, sh, had, had_len);
}

static void
show_chunk(struct chat *chat, struct shown *sh, const struct chunk *c)
{
	uint64_t had = sh->nchunks, had_len = sh->len;
	uint64_t end = c->start + c->text.len;

	if ((c->flags & CHAT_F_LAST) != 0) {
		sh->done = true;
		sh->flags = c->flags & (CHAT_F_INTERRUPTED | CHAT_F_CANCELLED);
	} else if (c->index < sh->nchunks) {
		/* it was in what was taken */
		return;
	}
	if (c->start != sh->len || c->index != sh->nchunks) {
		catch_up(chat, sh, c->index + 1, end);
		return;
	}
	sh->nchunks = c->index + 1;
	sh->len = end;
	put_chunk(chat, sh, c->text, c->index);
	send_chunk(chat, sh, had, had_len);
}

/* The first that is seen of it. */
static struct shown *
show_begin(struct chat *chat, struct room *room, const struct chunk *c)
{
	uint64_t handle;

	handle = chat->ops->stream_find(chat->ctx, room->number, c->id);
	/* the beginning was lost, and cannot be had any more */
	if (handle == 0 && c->start > 0)
		return NULL;
	return shown_add(chat, room, c->id, c->agent, handle);
}

void
chunk_deliver(struct chat *chat, const struct chat_delivery *d)
{
	struct room *room = room_find(chat, d->ev.room);
	const struct chunk c = {
		.id = d->ev.field[0],
		.agent = d->ev.field[2],
		.index = number(d->ev.field[3]),
		.start = number(d->ev.field[4]),
		.text = d->ev.field[5],
		.flags = d->ev.flags,
	};
	struct shown *sh;

	if (room == NULL || room->nmembers == 0)
		return;
	sh = shown_find(chat, room, c.id);
	if (sh == NULL && (sh = show_begin(chat, room, &c)) == NULL)
		return;
	if (!sh->done)
		show_chunk(chat, sh, &c);
}

/* --- rows as they are -------------------------------------------------------------- */

struct rows {
	struct chat *chat;
	struct room *room;
};

static void
show_row(struct chat *chat, struct shown *sh, const struct chat_stream *row)
{
	if (sh->done)
		return;
	if (!chat_stream_is_open(row->tail)) {
		sh->done = true;
		sh->flags = stream_tail_flags(row->tail);
	}
	if (sh->done || row->nchunks > sh->nchunks)
		catch_up(chat, sh, row->nchunks, row->len);
}

static struct shown *
shown_of_row(struct chat *chat, struct room *room,
    const struct chat_stream *row)
{
	struct shown *sh = shown_find(chat, room, row->id);

	/* it is written anew under the same id */
	if (sh != NULL && sh->done && sh->handle != row->handle) {
		shown_remove(chat, sh);
		sh = NULL;
	}
	if (sh == NULL)
		sh = shown_add(chat, room, row->id, row->agent, row->handle);
	return sh;
}

static bool
take_row(void *arg, const struct chat_stream *row)
{
	struct rows *rows = arg;
	struct shown *sh = shown_of_row(rows->chat, rows->room, row);

	sh->nchunks = row->nchunks;
	sh->len = row->len;
	sh->done = !chat_stream_is_open(row->tail);
	sh->flags = stream_tail_flags(row->tail);
	return true;
}

static bool
show_new(void *arg, const struct chat_stream *row)
{
	struct chat *chat = arg;
	struct room *room = room_find(chat, row->room);

	if (room != NULL && room->nmembers > 0)
		show_row(chat, shown_of_row(chat, room, row), row);
	return true;
}

void
shown_enter(struct chat *chat, struct room *room)
{
	struct rows rows = { .chat = chat, .room = room };

	chat->ops->streams(chat->ctx, room->number, take_row, &rows);
}

void
shown_leave(struct chat *chat, struct room *room)
{
	struct shown *sh;

	while ((sh = LIST_FIRST(&room->shown)) != NULL)
		shown_remove(chat, sh);
}

void
shown_resync(struct chat *chat)
{
	chat->ops->streams(chat->ctx, 0, show_new, chat);
}

static bool
row_ended(void *arg, const struct chat_stream *row)
{
	struct shown *sh = arg;

	sh->flags = stream_tail_flags(row->tail);
	return true;
}

/* It has ended, as its row tells if it is still there. */
static void
show_end(struct chat *chat, struct shown *sh)
{
	struct chat_stream row = { 0 };

	sh->done = true;
	if (sh->handle != 0)
		(void)chat->ops->stream_look(chat->ctx, sh->handle, row_ended,
		    sh);
	row.nchunks = sh->nchunks;
	row.len = sh->len;
	if (sh->handle != 0)
		(void)chat->ops->stream_progress(chat->ctx, sh->handle,
		    &row.nchunks, &row.len);
	catch_up(chat, sh, row.nchunks, row.len);
}

void
shown_message(struct chat *chat, struct room *room, struct chat_str id)
{
	struct shown *sh = shown_find(chat, room, id);
	uint32_t i;

	if (sh == NULL)
		return;
	if (!sh->done)
		show_end(chat, sh);
	/* the last chunk is seen before the message */
	for (i = 0; chat->streams->nlags > 0 && i < room->nmembers; i++) {
		if (room->members[i].lags)
			lag_end_stream(chat, room, &room->members[i], sh);
	}
}

void
shown_tick(struct chat *chat, uint64_t now_ms)
{
	struct streams *ss = chat->streams;
	struct shown *sh, *next;
	uint64_t n, len;

	if (now_ms < ss->tick_ms + LOOK_MS)
		return;
	ss->tick_ms = now_ms;
	HASH_ITER(hh, ss->shown, sh, next) {
		if (sh->handle != 0 &&
		    chat->ops->stream_progress(chat->ctx, sh->handle, &n, &len))
			continue;
		if (sh->done) {
			if (sh->refs == 0)
				shown_remove(chat, sh);
			continue;
		}
		/* its message will tell, if there is one */
		if (++sh->gone < LOOKS)
			continue;
		sh->done = true;
		sh->flags = CHAT_F_INTERRUPTED;
		catch_up(chat, sh, sh->nchunks, sh->len);
	}
}

/* --- for who was not there --------------------------------------------------------- */

static bool
put_stream(struct chat *chat, const struct shown *sh, struct json_out *o)
{
	const char *p = stream_get_text(chat, sh->handle, 0, sh->len);
	struct chat_str id = shown_id(sh), agent = shown_agent(sh);

	if (p == NULL)
		return false;
	json_out_object(o);
	json_out_key(o, "messageId");
	json_out_string(o, id.p, id.len);
	if (agent.len > 0) {
		json_out_key(o, "agentId");
		json_out_string(o, agent.p, agent.len);
	}
	put_escaped(o, "content", p, (size_t)sh->len);
	json_out_key(o, "index");
	json_out_u64(o, last_index(sh));
	json_out_object_end(o);
	return true;
}

void
streams_put(struct chat *chat, struct room *room, struct member *m,
    struct json_out *o)
{
	size_t from = o->len;
	struct shown *sh;
	bool behind = false;

	m->lags = false;
	json_out_array(o);
	LIST_FOREACH(sh, &room->shown, of_room) {
		if (sh->done || sh->nchunks == 0)
			continue;
		if (o->len - from + sh->len <= PUT_BYTES) {
			(void)put_stream(chat, sh, o);
			continue;
		}
		/* also those that come behind it */
		lag_begin(chat, room, m, sh, 0, 0);
		behind = true;
	}
	json_out_array_end(o);
	if (behind)
		chat->ops->want_produce(chat->ctx, m->conn);
}

static bool
room_has_streams(const struct room *room)
{
	const struct shown *sh;

	LIST_FOREACH(sh, &room->shown, of_room) {
		if (!sh->done && sh->nchunks > 0)
			return true;
	}
	return false;
}

void
streams_sync(struct chat *chat, struct chat_socket *s)
{
	struct json_out *o = &chat->event;
	struct chat_frame frame;
	struct member *m;
	struct room *room;
	uint32_t i;

	for (i = 0; i < s->njoined; i++) {
		room = s->joined[i].room;
		m = &room->members[s->joined[i].index];
		/* the answer to its join, which is to come, has them */
		if (!room_has_streams(room) || !shown_to(m))
			continue;
		json_out_reset(o);
		json_out_object(o);
		json_out_key(o, "sessionId");
		json_out_cstring(o, room->session);
		json_out_key(o, "streams");
		streams_put(chat, room, m, o);
		json_out_object_end(o);
		frame = chat_encode(chat, EVENT_STREAM_SYNC, o, NULL);
		chat->ops->send(chat->ctx, s->conn, frame, CHAT_ANSWER);
	}
}
