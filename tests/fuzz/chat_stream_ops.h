/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * chat_stream_ops - the streams of fuzz_chat.c: one worker's, in a small
 * memory.
 */

#ifndef TESTS_FUZZ_CHAT_STREAM_OPS_H
#define TESTS_FUZZ_CHAT_STREAM_OPS_H

#include "tests/fuzz/chat_script.h"

#define WORKER 1

static bool
op_offer(void *ctx, void *conn, struct chat_frame f)
{
	/* now and then it is slow */
	if (w.offers++ % 5 == 4)
		return false;
	CHECK(((struct client *)conn)->s != NULL);
	return true;
}

static enum chat_stream_result
op_stream_open(void *ctx, const struct chat_stream_new *st, uint64_t *handle_r)
{
	return table_open(&w.streams, WORKER, st, handle_r);
}

static enum chat_stream_result
op_stream_append(void *ctx, uint64_t handle, struct chat_str text)
{
	return table_append(&w.streams, WORKER, handle, text);
}

static uint64_t
op_stream_rate(void *ctx, uint64_t handle)
{
	return w.over ? 1500000000 : 0;
}

static enum chat_stream_result
op_stream_tail(void *ctx, uint64_t handle, struct chat_str tail)
{
	return table_tail(&w.streams, WORKER, handle, tail);
}

static void
op_stream_detach(void *ctx, uint64_t handle)
{
	table_detach(&w.streams, WORKER, handle, w.now);
}

static enum chat_stream_result
op_stream_claim(void *ctx, uint64_t handle, uint64_t user)
{
	return table_claim(&w.streams, WORKER, handle, user);
}

static void
op_stream_end(void *ctx, uint64_t handle)
{
	table_end(&w.streams, WORKER, handle);
}

static enum chat_stream_result
op_stream_cancel(void *ctx, uint64_t handle, uint64_t ms)
{
	return table_cancel(&w.streams, handle);
}

static uint64_t
op_stream_find(void *ctx, uint64_t room, struct chat_str id)
{
	return table_find(&w.streams, room, id);
}

static bool
op_stream_look(void *ctx, uint64_t handle, chat_stream_fn fn, void *arg)
{
	return table_look(&w.streams, WORKER, handle, fn, arg);
}

static bool
op_stream_progress(void *ctx, uint64_t handle, uint64_t *nchunks_r,
    uint64_t *len_r)
{
	return table_progress(&w.streams, handle, nchunks_r, len_r);
}

static void
op_streams(void *ctx, uint64_t room, chat_stream_fn fn, void *arg)
{
	table_each(&w.streams, WORKER, room, fn, arg);
}

static void
op_streams_lost(void *ctx, chat_stream_fn fn, void *arg)
{
	table_lost(&w.streams, WORKER, w.now, fn, arg);
}

static bool
op_stream_text(void *ctx, uint64_t handle, uint64_t from, uint64_t to,
    char *buf)
{
	return table_text(&w.streams, handle, from, to, buf);
}

static void
streams_setup(void)
{
	static const unsigned worker = WORKER;

	w.streams.max_rows = 8;
	w.streams.max_text = 200;
	w.streams.max_bytes = 600;
	w.streams.resume_ms = 10000;
	w.streams.alive[0] = &worker;
	w.streams.nalive = 1;
	w.cfg.stream_idle_timeout = 60000;
}

#endif /* TESTS_FUZZ_CHAT_STREAM_OPS_H */
