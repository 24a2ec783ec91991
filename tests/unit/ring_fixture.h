/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * ring_fixture - a tiny ring with the views of several processes on it.
 */

#ifndef TESTS_UNIT_RING_FIXTURE_H
#define TESTS_UNIT_RING_FIXTURE_H

#include <sys/eventfd.h>
#include <sys/mman.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "shm/record.h"
#include "shm/ring.h"
#include "shm/ring_impl.h"
#include "shm/wake.h"

#define SLOTS 64
#define BASE (3 * SLOTS)
#define ARENA_BYTES 65536
/* the scribe's, three workers', one to spare */
#define NARENAS 5
#define WORKERS 3
/* how many records one producer may have in the ring */
#define QUOTA (SLOTS / 4)
#define MAX_RECORD (ARENA_BYTES / 4)
#define MS 1000000u

struct fixture {
	void *mem;
	size_t size;
	void *wake_mem;
	int efd[WAKE_CONSUMERS];
	struct wake *wake;
	/* the view of the scribe, which is the master's as well here */
	struct ring *scribe;
	/* the views of the workers: slots 0, 1.., incarnations 10, 11.. */
	struct ring *w[WORKERS];
	int arena[WORKERS];
	/* what the scribe will read next */
	uint64_t next;
	uint64_t now_ns;
	_Alignas(8) char rec[MAX_RECORD];
	_Alignas(8) char buf[MAX_RECORD];
	size_t len;
};

/* With a page behind it that nobody may touch. */
static inline void *
fixture_map(size_t size)
{
	char *p = mmap(NULL, size + 4096, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_true(p != MAP_FAILED);
	assert_int_equal(mprotect(p + size, 4096, PROT_NONE), 0);
	return p;
}

static inline void
fixture_unmap(void *p, size_t size)
{
	munmap(p, size + 4096);
}

static inline struct ring *
fixture_attach(struct fixture *f)
{
	const char *why = NULL;
	struct ring *r = ring_attach(f->mem, f->size, f->wake, &why);

	if (r == NULL)
		fail_msg("ring_attach: %s", why);
	return r;
}

static inline int
fixture_setup(void **state, enum ring_kind kind)
{
	static const uint8_t id[16] = { 1, 2, 3 };
	struct ring_geometry g = { kind, 6, NARENAS, ARENA_BYTES };
	struct fixture *f = calloc(1, sizeof(*f));
	unsigned i;

	assert_non_null(f);
	f->size = ring_size(&g);
	f->mem = fixture_map(f->size);
	f->wake_mem = fixture_map(4096);
	for (i = 0; i < WAKE_CONSUMERS; i++)
		f->efd[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	f->wake = wake_attach(f->wake_mem, f->efd);
	assert_non_null(f->wake);
	assert_int_equal(ring_create(f->mem, f->size, &g, id, BASE), 0);
	f->scribe = fixture_attach(f);
	for (i = 0; i < WORKERS; i++) {
		f->w[i] = fixture_attach(f);
		f->arena[i] = ring_arena_take(f->scribe, i, 10 + i);
		assert_int_not_equal(f->arena[i], -1);
		ring_producer_init(f->w[i], (unsigned)f->arena[i]);
	}
	f->next = BASE;
	f->now_ns = 1000 * MS;
	*state = f;
	return 0;
}

static inline int
fixture_teardown(void **state)
{
	struct fixture *f = *state;
	unsigned i;

	for (i = 0; i < WORKERS; i++)
		ring_detach(&f->w[i]);
	ring_detach(&f->scribe);
	wake_detach(&f->wake);
	for (i = 0; i < WAKE_CONSUMERS; i++)
		close(f->efd[i]);
	fixture_unmap(f->wake_mem, 4096);
	fixture_unmap(f->mem, f->size);
	free(f);
	return 0;
}

/* A record of 'len' bytes in f->rec whose bytes follow from 'value'. */
static inline size_t
make(struct fixture *f, uint64_t room, uint64_t value, size_t len)
{
	static char body[MAX_RECORD];
	struct record h = { .type = RECORD_MESSAGE, .room = room };
	struct record_field fields[3] = {
		{ (const char *)&value, sizeof(value) },
		{ "s", 1 },
		{ body, 0 },
	};

	fields[2].len = (uint32_t)(len - record_length(fields, 3));
	memset(body, (int)('a' + value % 26), fields[2].len);
	f->len = record_build(f->rec, sizeof(f->rec), &h, fields, 3);
	assert_int_equal(f->len, len);
	return f->len;
}

/* The value that make() put into the record in f->buf. */
static inline uint64_t
value_of(struct fixture *f, size_t len)
{
	struct record_field fields[RECORD_MAX_FIELDS];
	uint64_t value;

	assert_int_equal(record_parse(f->buf, len, fields), 3);
	assert_int_equal(fields[0].len, sizeof(value));
	memcpy(&value, fields[0].p, sizeof(value));
	return value;
}

static inline int
publish(struct fixture *f, unsigned w, uint64_t value, size_t len)
{
	uint64_t gseq;

	make(f, 1, value, len);
	return ring_publish(f->w[w], f->rec, f->len, &gseq);
}

/* The scribe decides and commits all that is published. */
static inline void
sequence(struct fixture *f)
{
	struct ring_index ix;
	uint64_t from = f->next;
	enum ring_result res;
	size_t len;

	for (; ring_published(f->scribe, f->next); f->next++) {
		res = ring_fetch(f->scribe, f->next, f->buf, sizeof(f->buf),
		    &len, &ix);
		assert_int_not_equal(res, RING_EMPTY);
		ix.verdict = res == RING_OK ? RING_STORED : RING_REJECTED;
		ix.seq = f->next - BASE + 1;
		ring_decide(f->scribe, f->next, &ix);
	}
	ring_durable(f->scribe, from, f->next);
}

static inline unsigned
gate(struct fixture *f, unsigned ms)
{
	f->now_ns += (uint64_t)ms * MS;
	return ring_gate(f->scribe, f->now_ns);
}

/* Worker 'w' becomes a consumer; returns where it begins. */
static inline uint64_t
join(struct fixture *f, unsigned w)
{
	ring_join(f->w[w], w, 10 + w);
	if (f->w[w]->geo.kind == RING_LOG)
		(void)gate(f, 0);
	assert_int_equal(ring_state(f->w[w], w), RING_ACTIVE);
	return ring_join_pos(f->w[w], w);
}

/* Has the eventfd of 'who' been written?  Empties it. */
static inline bool
was_woken(struct fixture *f, unsigned who)
{
	uint64_t n;

	return read(f->efd[who], &n, sizeof(n)) == sizeof(n);
}

#endif /* TESTS_UNIT_RING_FIXTURE_H */
