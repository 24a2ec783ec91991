/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * chat_streams - the part of chat_world.h that has the streams.
 */

#ifndef CHAT_STREAMS_H
#define CHAT_STREAMS_H

#include "tests/unit/chat_state.h"

static enum chat_stream_result
op_stream_open(void *ctx, const struct chat_stream_new *st, uint64_t *handle_r)
{
	struct engine *en = ctx;

	return table_open(&en->w->streams, en->incarnation, st, handle_r);
}

static enum chat_stream_result
op_stream_append(void *ctx, uint64_t handle, struct chat_str text)
{
	struct engine *en = ctx;

	return table_append(&en->w->streams, en->incarnation, handle, text);
}

static uint64_t
op_stream_rate(void *ctx, uint64_t handle)
{
	struct engine *en = ctx;

	return en->w->streams.wait_ns;
}

static enum chat_stream_result
op_stream_tail(void *ctx, uint64_t handle, struct chat_str tail)
{
	struct engine *en = ctx;

	return table_tail(&en->w->streams, en->incarnation, handle, tail);
}

static void
op_stream_detach(void *ctx, uint64_t handle)
{
	struct engine *en = ctx;

	table_detach(&en->w->streams, en->incarnation, handle, en->w->mono_ms);
}

static enum chat_stream_result
op_stream_claim(void *ctx, uint64_t handle, uint64_t user)
{
	struct engine *en = ctx;

	return table_claim(&en->w->streams, en->incarnation, handle, user);
}

static void
op_stream_end(void *ctx, uint64_t handle)
{
	struct engine *en = ctx;

	table_end(&en->w->streams, en->incarnation, handle);
}

static enum chat_stream_result
op_stream_cancel(void *ctx, uint64_t handle, uint64_t ms)
{
	return table_cancel(&((struct engine *)ctx)->w->streams, handle);
}

static uint64_t
op_stream_find(void *ctx, uint64_t room, struct chat_str id)
{
	return table_find(&((struct engine *)ctx)->w->streams, room, id);
}

static bool
op_stream_look(void *ctx, uint64_t handle, chat_stream_fn fn, void *arg)
{
	struct engine *en = ctx;

	return table_look(&en->w->streams, en->incarnation, handle, fn, arg);
}

static bool
op_stream_progress(void *ctx, uint64_t handle, uint64_t *nchunks_r,
    uint64_t *len_r)
{
	return table_progress(&((struct engine *)ctx)->w->streams, handle,
	    nchunks_r, len_r);
}

static void
op_streams(void *ctx, uint64_t room, chat_stream_fn fn, void *arg)
{
	struct engine *en = ctx;

	table_each(&en->w->streams, en->incarnation, room, fn, arg);
}

static void
op_streams_lost(void *ctx, chat_stream_fn fn, void *arg)
{
	struct engine *en = ctx;

	table_lost(&en->w->streams, en->incarnation, en->w->mono_ms, fn, arg);
}

static bool
op_stream_text(void *ctx, uint64_t handle, uint64_t from, uint64_t to,
    char *buf)
{
	return table_text(&((struct engine *)ctx)->w->streams, handle, from, to,
	    buf);
}

static void
streams_setup(struct world *w)
{
	struct stream_table *t = &w->streams;
	int i;

	t->max_rows = TABLE_ROWS;
	t->max_text = 256 * 1024;
	t->max_bytes = 4 * 1024 * 1024;
	t->resume_ms = 10000;
	for (i = 0; i < WORKERS; i++)
		t->alive[t->nalive++] = &w->engine[i].incarnation;
	w->cfg.stream_idle_timeout = 60000;
}

#endif /* CHAT_STREAMS_H */
