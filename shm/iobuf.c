/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "shm/iobuf.h"

#include <sys/uio.h>

#include <errno.h>
#include <string.h>

#include "common/log.h"
#include "shm/tables.h"

#define HEAD 4096
#define SLAB_CHUNKS (IOBUF_SLAB / IOBUF_CHUNK)

struct chunk {
	/* the next one of the chain or of the free list */
	uint32_t next;
	uint32_t len;
	uint8_t data[IOBUF_CHUNK_DATA];
};

_Static_assert(sizeof(struct chunk) == IOBUF_CHUNK, "a chunk is 4 KiB");

/*
 * Chunks 1..fresh have been used since the area was opened, and are in a
 * chain or in the free list; those behind have not been touched, so that
 * opening an area touches nothing.
 */
struct iobuf_head {
	uint32_t nslabs;
	/* slabs that are backed by memory, from the first */
	uint32_t backed;
	uint32_t fresh;
	uint32_t used;
	/* a stack: what was used last is in the cache */
	uint32_t free;
};

size_t
iobuf_fixed_size(size_t read, size_t encode)
{
	return HEAD + read + encode;
}

size_t
iobuf_size(size_t read, size_t encode, size_t chunks)
{
	return iobuf_fixed_size(read, encode) + chunks;
}

void
iobuf_open(struct iobuf *io, const struct tables *t, unsigned slot)
{
	const struct tables_geometry *g = &t->geometry;
	const size_t at = t->io_at + slot * t->io_stride;
	uint8_t *area = (uint8_t *)t->seg.mem + at;

	CHECK(slot < TABLES_WORKERS);
	memset(io, 0, sizeof(*io));
	io->tables = t;
	io->head = (void *)area;
	io->read = area + HEAD;
	io->read_size = g->read_bytes;
	io->encode = io->read + g->read_bytes;
	io->encode_size = g->encode_bytes;
	io->chunks = io->encode + g->encode_bytes;
	io->chunks_at = at + (size_t)(io->chunks - area);

	/* what a predecessor had backed still is; what it had used is free */
	io->head->nslabs = (uint32_t)(g->chunk_bytes / IOBUF_SLAB);
	if (io->head->backed > io->head->nslabs)
		io->head->backed = 0;
	io->head->fresh = 0;
	io->head->used = 0;
	io->head->free = 0;
}

/* --- the pool ---------------------------------------------------------- */

static struct chunk *
chunk_at(const struct iobuf *io, uint32_t no)
{
	void *p;

	CHECK(no >= 1 && no <= io->head->fresh);
	p = io->chunks + (size_t)(no - 1) * IOBUF_CHUNK;
	return p;
}

/* Make sure that the next 'n' chunk_get() succeed. */
static int
pool_reserve(struct iobuf *io, size_t n)
{
	struct iobuf_head *h = io->head;

	while ((size_t)h->backed * SLAB_CHUNKS - h->used < n) {
		if (h->backed == h->nslabs ||
		    segment_allocate(&io->tables->seg,
			io->chunks_at + (size_t)h->backed * IOBUF_SLAB,
			IOBUF_SLAB) == -1) {
			errno = ENOBUFS;
			return -1;
		}
		h->backed++;
	}
	return 0;
}

static uint32_t
chunk_get(struct iobuf *io)
{
	struct iobuf_head *h = io->head;
	struct chunk *chunk;
	uint32_t no;

	if ((no = h->free) != 0) {
		chunk = chunk_at(io, no);
		h->free = chunk->next;
	} else {
		CHECK(h->fresh < h->backed * SLAB_CHUNKS);
		no = ++h->fresh;
		chunk = chunk_at(io, no);
	}
	h->used++;
	chunk->next = 0;
	chunk->len = 0;
	return no;
}

/* Returns the next one of its chain. */
static uint32_t
chunk_put(struct iobuf *io, uint32_t no)
{
	struct chunk *chunk = chunk_at(io, no);
	uint32_t next = chunk->next;

	CHECK(io->head->used > 0);
	chunk->next = io->head->free;
	io->head->free = no;
	io->head->used--;
	return next;
}

size_t
iobuf_chunks_used(const struct iobuf *io)
{
	return io->head->used;
}

size_t
iobuf_chunks_max(const struct iobuf *io)
{
	return (size_t)io->head->nslabs * SLAB_CHUNKS;
}

bool
iobuf_idle(struct iobuf *io)
{
	struct iobuf_head *h = io->head;

	if (h->used != 0 || h->backed <= 1)
		return false;
	if (segment_punch(&io->tables->seg, io->chunks_at + IOBUF_SLAB,
		(size_t)(h->backed - 1) * IOBUF_SLAB) == -1)
		return false;
	h->backed = 1;
	/* the free list led through what is gone */
	h->fresh = 0;
	h->free = 0;
	return true;
}

/* --- chains ------------------------------------------------------------ */

int
chain_append(struct iobuf *io, struct chain *c, const void *data, size_t len)
{
	const uint8_t *p = data;
	struct chunk *tail;
	size_t room, n;
	uint32_t no;

	if (len > UINT32_MAX - c->bytes) {
		errno = ENOBUFS;
		return -1;
	}
	tail = c->tail == 0 ? NULL : chunk_at(io, c->tail);
	room = tail == NULL ? 0 : IOBUF_CHUNK_DATA - tail->len;
	if (len > room &&
	    pool_reserve(io,
		(len - room + IOBUF_CHUNK_DATA - 1) / IOBUF_CHUNK_DATA) == -1)
		return -1;
	while (len > 0) {
		if (room == 0) {
			no = chunk_get(io);
			if (tail == NULL)
				c->head = no;
			else
				tail->next = no;
			c->tail = no;
			tail = chunk_at(io, no);
			room = IOBUF_CHUNK_DATA;
		}
		n = len < room ? len : room;
		memcpy(tail->data + tail->len, p, n);
		tail->len += (uint32_t)n;
		c->bytes += (uint32_t)n;
		room -= n;
		len -= n;
		p += n;
	}
	return 0;
}

int
chain_iov(const struct iobuf *io, const struct chain *c, size_t offset,
    struct iovec *iov, int n)
{
	struct chunk *chunk;
	uint32_t no;
	int i = 0;

	offset += c->skip;
	for (no = c->head; no != 0 && i < n; no = chunk->next) {
		chunk = chunk_at(io, no);
		if (offset >= chunk->len) {
			offset -= chunk->len;
			continue;
		}
		iov[i].iov_base = chunk->data + offset;
		iov[i].iov_len = chunk->len - offset;
		offset = 0;
		i++;
	}
	return i;
}

size_t
chain_copy(const struct iobuf *io, const struct chain *c, size_t offset,
    void *buf, size_t len)
{
	const struct chunk *chunk;
	size_t n, done = 0;
	uint32_t no;

	offset += c->skip;
	for (no = c->head; no != 0 && done < len; no = chunk->next) {
		chunk = chunk_at(io, no);
		if (offset >= chunk->len) {
			offset -= chunk->len;
			continue;
		}
		n = chunk->len - offset;
		if (n > len - done)
			n = len - done;
		memcpy((uint8_t *)buf + done, chunk->data + offset, n);
		offset = 0;
		done += n;
	}
	return done;
}

void
chain_consume(struct iobuf *io, struct chain *c, size_t len)
{
	const struct chunk *chunk;
	uint32_t n;

	if (len >= c->bytes) {
		chain_free(io, c);
		return;
	}
	while (len > 0) {
		chunk = chunk_at(io, c->head);
		n = chunk->len - c->skip;
		if (len < n) {
			c->skip += (uint32_t)len;
			c->bytes -= (uint32_t)len;
			return;
		}
		c->head = chunk_put(io, c->head);
		c->skip = 0;
		c->bytes -= n;
		len -= n;
	}
}

void
chain_free(struct iobuf *io, struct chain *c)
{
	uint32_t no = c->head;

	while (no != 0)
		no = chunk_put(io, no);
	memset(c, 0, sizeof(*c));
}
