/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "worker/compress.h"

#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "proto/deflate.h"
#include "proto/ws.h"
#include "worker/worker.h"

/* frames of a turn that are remembered, by their place */
#define CACHE 64

struct compressed {
	struct chat_frame from, to;
	unsigned bits;
};

struct compressor {
	struct deflate *deflate;
	struct compressed cache[CACHE];
	bool used;
};

static struct compressor *
compressor_of(struct worker *w)
{
	if (w->compressor != NULL)
		return w->compressor;
	if ((w->compressor = calloc(1, sizeof(*w->compressor))) == NULL ||
	    (w->compressor->deflate = deflate_new()) == NULL)
		fatal("memory for compression");
	return w->compressor;
}

/* The payload of a frame of ours: whole, not masked. */
static struct span
payload_of(const char *frame, size_t len)
{
	size_t head = ((uint8_t)frame[1] & 0x7f) < 126 ? 2
	    : ((uint8_t)frame[1] & 0x7f) == 126	       ? 4
						       : 10;

	CHECK(len >= head);
	return (struct span){ frame + head, len - head };
}

static struct chat_frame
compress_one(struct worker *w, struct deflate *d, struct chat_frame frame,
    unsigned bits)
{
	char *from = output_frame(w, frame), *to;
	struct span payload = payload_of(from, frame.len);
	const enum ws_opcode opcode = (uint8_t)from[0] & 0x0f;
	char head[WS_HEADER_MAX];
	size_t n, h;

	/* it has to become smaller, header and all */
	to = output_reserve(w, frame.len);
	n = deflate_message(d, bits, payload.p, payload.len, to + WS_HEADER_MAX,
	    frame.len - WS_HEADER_MAX - 1);
	if (n == 0) {
		(void)output_commit_part(w, 0);
		return frame;
	}
	h = ws_header_deflated(head, opcode, n);
	memmove(to + h, to + WS_HEADER_MAX, n);
	memcpy(to, head, h);
	return output_commit_part(w, h + n);
}

struct chat_frame
compress_frame(struct worker *w, struct chat_frame frame, unsigned bits)
{
	struct compressor *z = compressor_of(w);
	struct compressed *slot =
	    &z->cache[(frame.off * UINT32_C(2654435761)) >> 26];

	if (z->used && slot->from.len == frame.len &&
	    slot->from.off == frame.off && slot->bits == bits)
		return slot->to;
	slot->to = compress_one(w, z->deflate, frame, bits);
	slot->from = frame;
	slot->bits = bits;
	z->used = true;
	return slot->to;
}

size_t
compress_body(struct worker *w, bool gzip, const void *p, size_t len, void *out,
    size_t size)
{
	return deflate_body(compressor_of(w)->deflate,
	    gzip ? DEFLATE_GZIP : DEFLATE_ZLIB, p, len, out, size);
}

char *
compress_inflate(struct worker *w, const void *p, size_t len, bool text,
    size_t *len_r, unsigned *code_r, const char **why_r)
{
	const size_t limit = w->cfg->engine_max_payload;
	enum deflate_result r;
	char *out = scratch(w, SCRATCH_INFLATED, limit);

	*len_r = 0;
	r = deflate_inflate(compressor_of(w)->deflate, p, len, out, limit,
	    len_r, why_r);
	*code_r = ws_deflate_verdict(r, text, out, *len_r, why_r);
	return *code_r == 0 ? out : NULL;
}

void
compress_forget(struct worker *w)
{
	struct compressor *z = w->compressor;

	if (z == NULL || !z->used)
		return;
	memset(z->cache, 0, sizeof(z->cache));
	z->used = false;
}

void
compress_free(struct worker *w)
{
	if (w->compressor != NULL)
		deflate_free(&w->compressor->deflate);
	free(w->compressor);
	w->compressor = NULL;
}
