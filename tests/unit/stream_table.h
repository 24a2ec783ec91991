/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * stream_table - streams as worker/stream.c has them for the chat, in plain
 * memory, for worlds in which there is no other.
 */

#ifndef STREAM_TABLE_H
#define STREAM_TABLE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "chat/chat.h"
#include "common/log.h"

#define TABLE_ROWS 64
#define TABLE_ID 128

struct table_row {
	/* 0: free */
	uint64_t handle;
	uint64_t room, user;
	char id[TABLE_ID], user_id[TABLE_ID], agent[TABLE_ID];
	/* 0: nobody's, until 'until_ms' somebody may take it up */
	unsigned owner;
	uint64_t until_ms;
	bool cancelled;
	uint64_t nchunks;
	char *text, *tail;
	size_t len;
};

struct stream_table {
	struct table_row row[TABLE_ROWS];
	uint64_t handles;
	/* what rows and texts there may be; bytes of all texts */
	int max_rows;
	/* rows that one user may have; 0: any number */
	int user_rows;
	size_t max_text, max_bytes;
	/* of each chunk */
	uint64_t wait_ns;
	uint64_t resume_ms;
	/* whoever has one of these lives */
	const unsigned *alive[8];
	unsigned nalive;
	/* nothing is changed: who asks is being killed */
	bool frozen;
	/* there is no memory for another tail */
	bool no_tail;
};

static inline bool
table_alive(const struct stream_table *t, unsigned owner)
{
	unsigned i;

	for (i = 0; i < t->nalive; i++) {
		if (*t->alive[i] == owner)
			return true;
	}
	return false;
}

static inline struct table_row *
table_row(struct stream_table *t, uint64_t handle)
{
	int i;

	for (i = 0; handle != 0 && i < TABLE_ROWS; i++) {
		if (t->row[i].handle == handle)
			return &t->row[i];
	}
	return NULL;
}

static inline struct table_row *
table_own(struct stream_table *t, uint64_t handle, unsigned owner)
{
	struct table_row *row = t->frozen ? NULL : table_row(t, handle);

	return row != NULL && row->owner == owner ? row : NULL;
}

static inline void
table_set(char **to, const char *p, size_t len)
{
	free(*to);
	CHECK((*to = malloc(len + 1)) != NULL);
	if (len > 0)
		memcpy(*to, p, len);
	(*to)[len] = '\0';
}

static inline void
table_name(char *to, struct chat_str s)
{
	CHECK(s.len < TABLE_ID);
	if (s.len > 0)
		memcpy(to, s.p, s.len);
	to[s.len] = '\0';
}

static inline uint64_t
table_find(struct stream_table *t, uint64_t room, struct chat_str id)
{
	int i;

	for (i = 0; i < TABLE_ROWS; i++) {
		if (t->row[i].handle != 0 && t->row[i].room == room &&
		    strlen(t->row[i].id) == id.len &&
		    memcmp(t->row[i].id, id.p, id.len) == 0)
			return t->row[i].handle;
	}
	return 0;
}

static inline enum chat_stream_result
table_open(struct stream_table *t, unsigned owner,
    const struct chat_stream_new *st, uint64_t *handle_r)
{
	struct table_row *row;
	int i, of_user = 0;

	if ((*handle_r = table_find(t, st->room, st->id)) != 0)
		return CHAT_STREAM_TAKEN;
	for (i = 0; i < TABLE_ROWS; i++)
		of_user += t->row[i].handle != 0 && t->row[i].user == st->user;
	if (t->user_rows != 0 && of_user >= t->user_rows)
		return CHAT_STREAM_SHARE;
	for (i = 0; i < t->max_rows; i++) {
		if (t->row[i].handle == 0)
			break;
	}
	if (t->frozen || i == t->max_rows)
		return CHAT_STREAM_FULL;
	row = &t->row[i];
	memset(row, 0, sizeof(*row));
	row->handle = *handle_r = ++t->handles;
	row->room = st->room;
	row->user = st->user;
	row->owner = owner;
	table_name(row->id, st->id);
	table_name(row->user_id, st->user_id);
	table_name(row->agent, st->agent);
	table_set(&row->text, "", 0);
	table_set(&row->tail, st->tail.p, st->tail.len);
	return CHAT_STREAM_DONE;
}

static inline enum chat_stream_result
table_append(struct stream_table *t, unsigned owner, uint64_t handle,
    struct chat_str text)
{
	struct table_row *row = table_own(t, handle, owner);
	size_t bytes = text.len;
	int i;

	if (row == NULL)
		return CHAT_STREAM_GONE;
	if (row->len + text.len > t->max_text)
		return CHAT_STREAM_LONG;
	for (i = 0; i < TABLE_ROWS; i++)
		bytes += t->row[i].handle == 0 ? 0 : t->row[i].len;
	if (bytes > t->max_bytes)
		return CHAT_STREAM_FULL;
	CHECK(
	    (row->text = realloc(row->text, row->len + text.len + 1)) != NULL);
	if (text.len > 0)
		memcpy(row->text + row->len, text.p, text.len);
	row->len += text.len;
	row->nchunks++;
	return CHAT_STREAM_DONE;
}

static inline enum chat_stream_result
table_tail(struct stream_table *t, unsigned owner, uint64_t handle,
    struct chat_str tail)
{
	struct table_row *row = table_own(t, handle, owner);

	if (row == NULL)
		return CHAT_STREAM_GONE;
	if (t->no_tail)
		return CHAT_STREAM_FULL;
	table_set(&row->tail, tail.p, tail.len);
	return CHAT_STREAM_DONE;
}

static inline void
table_detach(struct stream_table *t, unsigned owner, uint64_t handle,
    uint64_t now_ms)
{
	struct table_row *row = table_own(t, handle, owner);

	if (row == NULL)
		return;
	row->owner = 0;
	row->until_ms = now_ms + t->resume_ms;
}

static inline enum chat_stream_result
table_claim(struct stream_table *t, unsigned owner, uint64_t handle,
    uint64_t user)
{
	struct table_row *row = table_row(t, handle);

	if (row == NULL || t->frozen)
		return CHAT_STREAM_GONE;
	if (user != 0 && user != row->user)
		return CHAT_STREAM_TAKEN;
	if (row->owner != owner && table_alive(t, row->owner))
		return CHAT_STREAM_TAKEN;
	row->owner = owner;
	return CHAT_STREAM_DONE;
}

static inline void
table_free(struct table_row *row)
{
	free(row->text);
	free(row->tail);
	memset(row, 0, sizeof(*row));
}

static inline void
table_end(struct stream_table *t, unsigned owner, uint64_t handle)
{
	struct table_row *row = table_own(t, handle, owner);

	if (row != NULL)
		table_free(row);
}

static inline enum chat_stream_result
table_cancel(struct stream_table *t, uint64_t handle)
{
	struct table_row *row = table_row(t, handle);

	if (row == NULL)
		return CHAT_STREAM_GONE;
	if (row->cancelled)
		return CHAT_STREAM_TAKEN;
	row->cancelled = true;
	return CHAT_STREAM_DONE;
}

static inline bool
table_show(const struct stream_table *t, const struct table_row *row,
    unsigned asker, chat_stream_fn fn, void *arg)
{
	const struct chat_stream st = {
		.handle = row->handle,
		.room = row->room,
		.user = row->user,
		.id = { row->id, strlen(row->id) },
		.user_id = { row->user_id, strlen(row->user_id) },
		.agent = { row->agent, strlen(row->agent) },
		.owner = row->owner == asker	 ? CHAT_STREAM_OURS
		    : table_alive(t, row->owner) ? CHAT_STREAM_OTHERS
						 : CHAT_STREAM_NOBODYS,
		.cancelled = row->cancelled,
		.nchunks = row->nchunks,
		.len = row->len,
		.tail = { row->tail, strlen(row->tail) },
	};

	return fn(arg, &st);
}

static inline bool
table_look(struct stream_table *t, unsigned asker, uint64_t handle,
    chat_stream_fn fn, void *arg)
{
	const struct table_row *row = table_row(t, handle);

	if (row != NULL)
		(void)table_show(t, row, asker, fn, arg);
	return row != NULL;
}

static inline bool
table_progress(struct stream_table *t, uint64_t handle, uint64_t *nchunks_r,
    uint64_t *len_r)
{
	const struct table_row *row = table_row(t, handle);

	if (row == NULL)
		return false;
	*nchunks_r = row->nchunks;
	*len_r = row->len;
	return true;
}

static inline void
table_each(struct stream_table *t, unsigned asker, uint64_t room,
    chat_stream_fn fn, void *arg)
{
	int i;

	for (i = 0; i < TABLE_ROWS; i++) {
		if (t->row[i].handle != 0 &&
		    (room == 0 || t->row[i].room == room) &&
		    !table_show(t, &t->row[i], asker, fn, arg))
			return;
	}
}

/* What show_orphan() of worker/stream.c does. */
static inline void
table_lost(struct stream_table *t, unsigned asker, uint64_t now_ms,
    chat_stream_fn fn, void *arg)
{
	struct table_row *row;
	int i;

	for (i = 0; i < TABLE_ROWS && !t->frozen; i++) {
		row = &t->row[i];
		if (row->handle == 0 || table_alive(t, row->owner))
			continue;
		if (row->owner != 0 && t->resume_ms > 0 &&
		    chat_stream_is_open(
			(struct chat_str){ row->tail, strlen(row->tail) })) {
			row->owner = 0;
			row->until_ms = now_ms + t->resume_ms;
		} else if (row->owner != 0 || row->until_ms <= now_ms) {
			if (!table_show(t, row, asker, fn, arg))
				return;
		}
	}
}

static inline bool
table_text(struct stream_table *t, uint64_t handle, uint64_t from, uint64_t to,
    char *buf)
{
	const struct table_row *row = table_row(t, handle);

	if (row == NULL || to > row->len || from > to)
		return false;
	memcpy(buf, row->text + from, to - from);
	return true;
}

static inline void
table_clear(struct stream_table *t)
{
	int i;

	for (i = 0; i < TABLE_ROWS; i++) {
		if (t->row[i].handle != 0)
			table_free(&t->row[i]);
	}
}

#endif /* STREAM_TABLE_H */
