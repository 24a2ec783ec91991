/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "scribe/log.h"

static bool
ring_log_waiting(void *ctx, uint64_t pos)
{
	return ring_published(ctx, pos);
}

static enum ring_result
ring_log_fetch(void *ctx, uint64_t pos, void *buf, size_t size, size_t *len_r,
    struct ring_index *ix_r)
{
	return ring_fetch(ctx, pos, buf, size, len_r, ix_r);
}

static void
ring_log_decide(void *ctx, uint64_t pos, const struct ring_index *ix)
{
	ring_decide(ctx, pos, ix);
}

static void
ring_log_durable(void *ctx, uint64_t from, uint64_t next)
{
	ring_durable(ctx, from, next);
}

static uint64_t
ring_log_durable_pos(void *ctx)
{
	return ring_durable_seq(ctx);
}

void
scribe_log_ring(struct scribe_log *log, struct ring *ring)
{
	log->ctx = ring;
	/* whatever ring will follow */
	log->max_record = RING_RECORD_LIMIT;
	log->waiting = ring_log_waiting;
	log->fetch = ring_log_fetch;
	log->decide = ring_log_decide;
	log->durable = ring_log_durable;
	log->durable_pos = ring_log_durable_pos;
	log->slots = ring_slots(ring);
}
