/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "shm/segment.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"

#define SEGMENT_MAGIC 0x3167657364746863ULL /* "chtdseg1" */
#define SEGMENT_HEAD 4096
#define SEGMENT_SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

/* The first page; the payload begins behind it. */
struct segment_head {
	uint64_t magic;
	uint64_t abi;
	uint64_t size;
	char name[32];
};

_Static_assert(sizeof(struct segment_head) <= SEGMENT_HEAD, "one page");

static int
fail(const char **why_r, const char *why)
{
	*why_r = why;
	return -1;
}

static int
allocate(int fd, size_t off, size_t len)
{
	while (fallocate(fd, 0, (off_t)off, (off_t)len) == -1) {
		if (errno != EINTR)
			return -1;
	}
	return 0;
}

/* Map all of it; head and payload are one mapping. */
static struct segment_head *
map(int fd, size_t size, unsigned flags, const char **why_r)
{
	int how = MAP_SHARED;
	void *mem;

	if (flags & SEGMENT_POPULATE)
		how |= MAP_POPULATE;
	mem =
	    mmap(NULL, SEGMENT_HEAD + size, PROT_READ | PROT_WRITE, how, fd, 0);
	if (mem == MAP_FAILED) {
		*why_r = "the shared memory cannot be mapped";
		return NULL;
	}
	/* best effort: an old kernel's dumps are larger, nothing else */
	if (flags & SEGMENT_DONTDUMP)
		(void)madvise(mem, SEGMENT_HEAD + size, MADV_DONTDUMP);
	return mem;
}

static void
settle(struct segment *seg, int fd, struct segment_head *h)
{
	seg->mem = (uint8_t *)h + SEGMENT_HEAD;
	seg->size = h->size;
	seg->fd = fd;
}

/* Size, back, map, describe and seal a fresh memfd. */
static int
make(struct segment *seg, int fd, const char *name, size_t size,
    size_t allocated, uint64_t abi, unsigned flags, const char **why_r)
{
	struct segment_head *h;

	if (ftruncate(fd, (off_t)(SEGMENT_HEAD + size)) == -1)
		return fail(why_r, "shared memory of this size is refused");
	if (allocate(fd, 0, SEGMENT_HEAD + allocated) == -1)
		return fail(why_r, "there is not enough memory to share");
	if ((h = map(fd, size, flags, why_r)) == NULL)
		return -1;
	h->magic = SEGMENT_MAGIC;
	h->abi = abi;
	h->size = size;
	strncpy(h->name, name, sizeof(h->name) - 1);
	if (fcntl(fd, F_ADD_SEALS, SEGMENT_SEALS) == -1) {
		(void)munmap(h, SEGMENT_HEAD + size);
		return fail(why_r, "the shared memory cannot be sealed");
	}
	settle(seg, fd, h);
	return 0;
}

int
segment_create(struct segment *seg, const char *name, size_t size,
    size_t allocated, uint64_t abi, unsigned flags, const char **why_r)
{
	int fd, saved;

	CHECK(allocated <= size);
	if (size == 0 || size > (size_t)INT64_MAX - SEGMENT_HEAD) {
		errno = EINVAL;
		return fail(why_r, "the size of the shared memory is absurd");
	}
	fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd == -1)
		return fail(why_r, "the kernel refuses a memfd");
	if (make(seg, fd, name, size, allocated, abi, flags, why_r) == -1) {
		saved = errno;
		(void)close(fd);
		errno = saved;
		return -1;
	}
	return 0;
}

int
segment_attach(struct segment *seg, int fd, uint64_t abi, unsigned flags,
    const char **why_r)
{
	struct segment_head *h;
	struct stat st;
	size_t size;
	int seals;

	if ((seals = fcntl(fd, F_GET_SEALS)) == -1)
		return fail(why_r, "the descriptor is not a shared segment");
	errno = EINVAL;
	if ((seals & SEGMENT_SEALS) != SEGMENT_SEALS)
		return fail(why_r, "the segment is not sealed");
	if (fstat(fd, &st) == -1)
		return fail(why_r, "the segment's size cannot be read");
	errno = EINVAL;
	if (st.st_size <= SEGMENT_HEAD)
		return fail(why_r, "the segment is too small to be one");
	size = (size_t)st.st_size - SEGMENT_HEAD;
	if ((h = map(fd, size, flags, why_r)) == NULL)
		return -1;
	errno = EINVAL;
	if (h->magic != SEGMENT_MAGIC)
		(void)fail(why_r, "the memory is not a segment of chatd");
	else if (h->size != size)
		(void)fail(why_r, "the segment's size is not what it says");
	else if (h->abi != abi)
		(void)fail(why_r, "the segment was made by another version");
	else {
		settle(seg, fd, h);
		return 0;
	}
	(void)munmap(h, SEGMENT_HEAD + size);
	errno = EINVAL;
	return -1;
}

void
segment_close(struct segment *seg)
{
	if (seg->mem == NULL)
		return;
	(void)munmap((uint8_t *)seg->mem - SEGMENT_HEAD,
	    SEGMENT_HEAD + seg->size);
	if (seg->fd != -1)
		(void)close(seg->fd);
	memset(seg, 0, sizeof(*seg));
	seg->fd = -1;
}

int
segment_allocate(const struct segment *seg, size_t off, size_t len)
{
	CHECK(off <= seg->size && len <= seg->size - off);
	return len == 0 ? 0 : allocate(seg->fd, SEGMENT_HEAD + off, len);
}

int
segment_punch(const struct segment *seg, size_t off, size_t len)
{
	CHECK(off <= seg->size && len <= seg->size - off);
	if (len == 0)
		return 0;
	return fallocate(seg->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
	    (off_t)(SEGMENT_HEAD + off), (off_t)len);
}
