/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * stream - what chat/ops.h says about streams, done with shm/stream.h.
 */

#ifndef WORKER_STREAM_H
#define WORKER_STREAM_H

#include "chat/ops.h"

enum chat_stream_result ops_stream_open(void *ctx,
    const struct chat_stream_new *st, uint64_t *handle_r);
enum chat_stream_result ops_stream_append(void *ctx, uint64_t handle,
    struct chat_str text);
uint64_t ops_stream_rate(void *ctx, uint64_t handle);
enum chat_stream_result ops_stream_tail(void *ctx, uint64_t handle,
    struct chat_str tail);
void ops_stream_detach(void *ctx, uint64_t handle);
enum chat_stream_result ops_stream_claim(void *ctx, uint64_t handle,
    uint64_t user);
void ops_stream_end(void *ctx, uint64_t handle);
enum chat_stream_result ops_stream_cancel(void *ctx, uint64_t handle,
    uint64_t ms);
uint64_t ops_stream_find(void *ctx, uint64_t room, struct chat_str id);
bool ops_stream_look(void *ctx, uint64_t handle, chat_stream_fn fn, void *arg);
bool ops_stream_progress(void *ctx, uint64_t handle, uint64_t *nchunks_r,
    uint64_t *len_r);
void ops_streams(void *ctx, uint64_t room, chat_stream_fn fn, void *arg);
void ops_streams_lost(void *ctx, chat_stream_fn fn, void *arg);
bool ops_stream_text(void *ctx, uint64_t handle, uint64_t from, uint64_t to,
    char *buf);

#endif /* WORKER_STREAM_H */
