/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "scribe/disk.h"

#include <sys/stat.h>
#include <sys/statvfs.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/fault.h"
#include "common/log.h"

#define DISK_DIR "db"
#define BALLAST DISK_DIR "/ballast"
/* the ballast's part of a small disk */
#define BALLAST_PART 100
#define BALLAST_MIN ((uint64_t)1 << 20)
#define BALLAST_EVERY_NS (2 * CLOCK_S_NS)

int
disk_space(struct disk_space *space_r)
{
	struct statvfs st;

	if (statvfs(DISK_DIR, &st) == -1)
		return -1;
	space_r->total = (uint64_t)st.f_blocks * st.f_frsize;
	space_r->free = (uint64_t)st.f_bavail * st.f_frsize;
	return 0;
}

enum disk_fault
disk_fault(int err, struct disk_space *space_r)
{
	memset(space_r, 0, sizeof(*space_r));
	if (disk_space(space_r) == -1)
		memset(space_r, 0, sizeof(*space_r));
	if (err == ENOSPC || err == EDQUOT)
		return DISK_FULL;
	if (err == EIO && space_r->total > 0 && space_r->free < DISK_LITTLE)
		return DISK_FULL;
	return DISK_FAILS;
}

/* --- ballast ----------------------------------------------------------- */

/* How large it is to be on this disk; 0: none. */
static uint64_t
size_for(uint64_t wanted, const struct disk_space *space)
{
	if (wanted > space->total / BALLAST_PART)
		wanted = space->total / BALLAST_PART;
	return wanted < BALLAST_MIN ? 0 : wanted;
}

static void
cannot(struct ballast *b)
{
	if (!b->told)
		log_warn_errno("no space can be kept for a full disk "
			       "file=%s/%s",
		    DISK_DIR, "ballast");
	b->told = true;
}

/* Bring it to 'size' bytes: 0, or -1. */
static int
resize(struct ballast *b, uint64_t size)
{
	if (size < b->bytes && ftruncate(b->fd, (off_t)size) == -1)
		return -1;
	if (size > b->bytes && fallocate(b->fd, 0, 0, (off_t)size) == -1) {
		int err = errno;

		/* what there is of it is of no use */
		(void)ftruncate(b->fd, (off_t)b->bytes);
		errno = err;
		return -1;
	}
	b->bytes = size;
	return 0;
}

/* Have as much as there should be, if there is space for it. */
static void
fill(struct ballast *b)
{
	struct disk_space space;
	uint64_t size;

	if (b->fd == -1 || disk_space(&space) == -1)
		return;
	size = size_for(b->wanted, &space);
	if (size > b->bytes && space.free < 2 * (size - b->bytes))
		return;
	if (size != b->bytes && resize(b, size) == -1) {
		/* somebody else was faster */
		if (errno != ENOSPC && errno != EDQUOT)
			cannot(b);
		return;
	}
	b->told = false;
}

void
ballast_open(struct ballast *b, uint64_t wanted)
{
	struct stat st;

	memset(b, 0, sizeof(*b));
	b->wanted = wanted;
	b->fd = open(BALLAST, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (b->fd == -1 || fstat(b->fd, &st) == -1) {
		cannot(b);
		ballast_close(b);
		return;
	}
	/* a sparse one, of a copy perhaps, holds nothing */
	if ((uint64_t)st.st_blocks * 512 >= (uint64_t)st.st_size)
		b->bytes = (uint64_t)st.st_size;
	else if (ftruncate(b->fd, 0) == -1)
		cannot(b);
	fill(b);
}

void
ballast_close(struct ballast *b)
{
	if (b->fd != -1)
		close(b->fd);
	b->fd = -1;
	b->bytes = 0;
}

void
ballast_configure(struct ballast *b, uint64_t wanted)
{
	b->wanted = wanted;
	b->next_ns = 0;
}

bool
ballast_use(struct ballast *b)
{
	uint64_t bytes = b->bytes;

	if (b->fd == -1 || bytes == 0)
		return false;
	if (ftruncate(b->fd, 0) == -1) {
		log_error_errno("the space kept for a full disk cannot be "
				"given up");
		return false;
	}
	/* some file systems give blocks back with the next commit of their
	 * journal only */
	(void)fsync(b->fd);
	FAULT(BALLAST_USED);
	b->bytes = 0;
	b->used = true;
	b->uses++;
	b->next_ns = clock_mono_ns() + BALLAST_EVERY_NS;
	log_warn("the disk is full, space kept for that is given up "
		 "bytes=%llu",
	    (unsigned long long)bytes);
	return true;
}

bool
ballast_used(const struct ballast *b)
{
	return b->used;
}

/* None was asked for, or too little to be of use, or the disk is too small. */
static bool
wants_none(const struct ballast *b)
{
	struct disk_space space;

	if (b->wanted < BALLAST_MIN)
		return true;
	return disk_space(&space) == 0 && size_for(b->wanted, &space) == 0;
}

bool
ballast_turn(struct ballast *b, uint64_t now_ns)
{
	if (now_ns < b->next_ns)
		return false;
	b->next_ns = now_ns + BALLAST_EVERY_NS;
	fill(b);
	if (!b->used || (b->bytes == 0 && !wants_none(b)))
		return false;
	b->used = false;
	log_notice("the disk has space again, and some is kept bytes=%llu",
	    (unsigned long long)b->bytes);
	return true;
}
