/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "tests/power/journal.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#define MAGIC 0x706f7765726a6e6cULL

void
journal_init(struct journal *j, size_t size)
{
	j->size = size - sizeof(*j);
	j->magic = MAGIC;
}

static struct journal *
map(int fd, size_t size)
{
	void *p;

	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
	    fd, 0);
	close(fd);
	return p == MAP_FAILED ? NULL : p;
}

struct journal *
journal_make(const char *path, size_t size)
{
	struct journal *j;
	int fd;

	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (fd == -1)
		return NULL;
	/* the scribe is another user perhaps */
	if (fchmod(fd, 0666) == -1 || ftruncate(fd, (off_t)size) == -1) {
		close(fd);
		return NULL;
	}
	if ((j = map(fd, size)) != NULL)
		journal_init(j, size);
	return j;
}

struct journal *
journal_map(const char *path)
{
	struct journal *j;
	struct stat st;
	int fd;

	if ((fd = open(path, O_RDWR | O_CLOEXEC)) == -1)
		return NULL;
	if (fstat(fd, &st) == -1 || st.st_size < (off_t)sizeof(*j)) {
		close(fd);
		errno = EINVAL;
		return NULL;
	}
	if ((j = map(fd, (size_t)st.st_size)) != NULL && j->magic != MAGIC) {
		munmap(j, (size_t)st.st_size);
		errno = EINVAL;
		return NULL;
	}
	return j;
}

void
journal_add2(struct journal *j, enum journal_kind kind, uint64_t file,
    uint64_t a, uint64_t b, const void *p, size_t len, const void *q,
    size_t qlen)
{
	struct journal_event ev = { kind, (uint32_t)(len + qlen), file, a, b };
	uint64_t at = atomic_load(&j->end);
	size_t all = sizeof(ev) + ((len + qlen + 7) & ~(size_t)7);

	/* one scribe at a time, one thread */
	if (at + all > j->size) {
		atomic_store(&j->full, 1);
		return;
	}
	memcpy(j->data + at, &ev, sizeof(ev));
	if (len > 0)
		memcpy(j->data + at + sizeof(ev), p, len);
	if (qlen > 0)
		memcpy(j->data + at + sizeof(ev) + len, q, qlen);
	atomic_store(&j->end, at + all);
	atomic_fetch_add(&j->events, 1);
}

void
journal_add(struct journal *j, enum journal_kind kind, uint64_t file,
    uint64_t a, uint64_t b, const void *p, size_t len)
{
	journal_add2(j, kind, file, a, b, p, len, NULL, 0);
}

const struct journal_event *
journal_next(const struct journal *j, uint64_t *at)
{
	const struct journal_event *ev;

	if (*at >= atomic_load(&j->end))
		return NULL;
	ev = (const struct journal_event *)(const void *)(j->data + *at);
	*at += sizeof(*ev) + ((ev->len + 7) & ~7u);
	return ev;
}
