/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * iobuf - the memory that a worker's bytes pass through.
 *
 * All of it is shared, so that whoever takes a connection over finds the
 * bytes under way: input is read into the one read buffer, output is
 * encoded into the arena, and what is unfinished (an unsent rest, a partial
 * frame) is kept in chains of fixed chunks.  An idle connection has none.
 *
 *   page: head | read buffer | encode arena | chunk 1 | chunk 2 | ...
 *
 * Read buffer and arena are backed by memory once the master has called
 * tables_open_slot().  Chunks are backed a slab at a time when they are
 * first needed, so that a pool's size costs address space only; a machine
 * out of memory is ENOBUFS and not a SIGBUS.
 *
 * The worker of the slot is the only one who uses its area.  The free list
 * needs no care when it is killed: what is in use follows from the chains
 * in the client records.
 */

#ifndef SHM_IOBUF_H
#define SHM_IOBUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct iovec;
struct tables;

#define IOBUF_CHUNK 4096
/* a chunk begins with its header */
#define IOBUF_CHUNK_DATA (IOBUF_CHUNK - 8)
#define IOBUF_SLAB (1 << 20)

/* A queue of bytes in chunks; lies in shared memory; all zero is empty. */
struct chain {
	/* chunk numbers, counted from 1; 0 is none */
	uint32_t head, tail;
	/* how many bytes the chain holds */
	uint32_t bytes;
	/* how many bytes of the first chunk have been consumed */
	uint32_t skip;
};

/* One process's view of its area. */
struct iobuf {
	uint8_t *read;
	size_t read_size;
	/* the encode arena: [0, encode_used) holds this turn's frames */
	uint8_t *encode;
	size_t encode_size;
	size_t encode_used;
	/* private to iobuf.c */
	struct iobuf_head *head;
	uint8_t *chunks;
	const struct tables *tables;
	size_t chunks_at;
};

/* Bytes of an area for these sizes; what of it is backed at once. */
size_t iobuf_size(size_t read, size_t encode, size_t chunks);
size_t iobuf_fixed_size(size_t read, size_t encode);

/*
 * Take the area of the worker in 'slot', with no chunk in use: whatever a
 * predecessor left is forgotten.
 */
void iobuf_open(struct iobuf *io, const struct tables *t, unsigned slot);

/* --- the encode arena -------------------------------------------------- */

/*
 * Room for 'len' bytes behind what was committed; valid until the next
 * reserve or reset.  NULL if it does not fit: flush, reset, try again.
 */
static inline uint8_t *
iobuf_encode_reserve(struct iobuf *io, size_t len)
{
	if (len > io->encode_size - io->encode_used)
		return NULL;
	return io->encode + io->encode_used;
}

/* Keep the first 'len' bytes of what was reserved; returns their offset. */
static inline size_t
iobuf_encode_commit(struct iobuf *io, size_t len)
{
	size_t off = io->encode_used;

	io->encode_used += len;
	return off;
}

/* Forget all frames: no reference to them may be left. */
static inline void
iobuf_encode_reset(struct iobuf *io)
{
	io->encode_used = 0;
}

/* --- chains ------------------------------------------------------------ */

/*
 * Copy 'len' bytes to the end of the chain.  All or nothing: -1 with errno
 * ENOBUFS if the pool or the machine has no memory for them.
 */
int chain_append(struct iobuf *io, struct chain *c, const void *data,
    size_t len);

/*
 * Describe the bytes from 'offset' on in at most 'n' pieces, for writev().
 * Returns how many pieces were set.
 */
int chain_iov(const struct iobuf *io, const struct chain *c, size_t offset,
    struct iovec *iov, int n);

/* Copy up to 'len' bytes from 'offset' on; returns how many. */
size_t chain_copy(const struct iobuf *io, const struct chain *c, size_t offset,
    void *buf, size_t len);

/* The first 'len' bytes (at most all) are done with. */
void chain_consume(struct iobuf *io, struct chain *c, size_t len);

/* All bytes are done with; the chain is empty. */
void chain_free(struct iobuf *io, struct chain *c);

/* --- the pool ---------------------------------------------------------- */

size_t iobuf_chunks_used(const struct iobuf *io);
size_t iobuf_chunks_max(const struct iobuf *io);

/*
 * To be called now and then by a worker with nothing to do: when no chunk
 * is in use and more than one slab is backed, the others' memory goes back
 * to the machine.  Returns whether it did.
 */
bool iobuf_idle(struct iobuf *io);

#endif /* SHM_IOBUF_H */
