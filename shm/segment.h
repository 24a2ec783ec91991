/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * segment - shared memory without a name: a sealed memfd and its mapping.
 *
 * The master creates, the children attach by descriptor.  A segment can
 * neither shrink nor grow, so no process can make another one fault.  What
 * is meant to be used at once is allocated at creation: a full machine is
 * an error there and not a SIGBUS later.  What may never be used is left
 * sparse, and must be allocated with segment_allocate() before it is
 * touched.
 *
 *   page 0: magic, ABI hash, sizes | payload, 'size' bytes, zeroed
 *
 * Only offsets may be stored in a segment: each process maps it elsewhere.
 */

#ifndef SHM_SEGMENT_H
#define SHM_SEGMENT_H

#include <stddef.h>
#include <stdint.h>

enum segment_flags {
	/* keep it out of core dumps: a dump delays the reaping, and with it
	 * the replacement of the process */
	SEGMENT_DONTDUMP = 1 << 0,
	/* map all pages at once; only for what is used all the time */
	SEGMENT_POPULATE = 1 << 1,
};

/* One process's view. */
struct segment {
	/* the payload, page-aligned */
	void *mem;
	size_t size;
	/* the memfd; owned by the segment */
	int fd;
};

/*
 * Make a segment of 'size' payload bytes of which the first 'allocated' are
 * backed by memory.  'name' is seen in /proc only; 'abi' is a hash over the
 * layout of what will be stored in it.  0, or -1 with errno and *why_r set
 * to a sentence.
 */
int segment_create(struct segment *seg, const char *name, size_t size,
    size_t allocated, uint64_t abi, unsigned flags, const char **why_r);

/*
 * Map the segment behind 'fd', which must be sealed, as large as its header
 * says, and of this ABI.  On success 'fd' belongs to the segment, on
 * failure (-1, errno, *why_r) it stays the caller's.
 */
int segment_attach(struct segment *seg, int fd, uint64_t abi, unsigned flags,
    const char **why_r);

/* Unmap and close; the memory lives on while others have it. */
void segment_close(struct segment *seg);

/*
 * Back a range of the payload with memory; what is in it stays.  Or give
 * its memory back: it reads as zeroes then, and must be allocated again
 * before it is used.  0 or -1 with errno: there is no memory.
 */
int segment_allocate(const struct segment *seg, size_t off, size_t len);
int segment_punch(const struct segment *seg, size_t off, size_t len);

#endif /* SHM_SEGMENT_H */
