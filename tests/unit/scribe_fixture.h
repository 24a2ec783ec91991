/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * scribe_fixture - a scribe without its process: a log ring in ordinary
 * memory, a worker that publishes and reads its verdicts, a store.
 */

#ifndef TESTS_UNIT_SCRIBE_FIXTURE_H
#define TESTS_UNIT_SCRIBE_FIXTURE_H

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "common/clock.h"
#include "scribe/commit.h"
#include "scribe/orphans.h"
#include "shm/record.h"
#include "shm/ring.h"
#include "tests/unit/store_fixture.h"

#define FIX_SLOT 0
#define FIX_INCARNATION 5
#define FIX_BASE (1ULL << 40)
/* the session that publishes, unless another is named */
#define FIX_CLIENT 1
#define FIX_WINDOW_MS 120000

struct scribe_fixture {
	struct store_fixture st;
	struct sequence_limits limits;
	void *mem;
	size_t size;
	/* two views of one ring, as two processes have them */
	struct ring *scribe;
	struct ring *worker;
	struct scribe_log log;
	struct sequence *q;
	struct commit *c;
	struct orphans *o;
	uint64_t cursor;
	uint8_t rec[8192] __attribute__((aligned(8)));
};

/* A new ring, with the worker as its consumer from the beginning. */
static inline int
fix_ring(struct scribe_fixture *f, unsigned log2_slots, uint8_t id,
    uint64_t base)
{
	struct ring_geometry g = { .kind = RING_LOG,
		.log2_slots = log2_slots,
		.narenas = 3,
		.arena_bytes = 1 << 20 };
	uint8_t ring_id[16];
	const char *why;
	int arena;

	memset(ring_id, id, sizeof(ring_id));
	f->size = (ring_size(&g) + 4095) & ~(size_t)4095;
	if ((f->mem = aligned_alloc(4096, f->size)) == NULL)
		return -1;
	memset(f->mem, 0, f->size);
	if (ring_create(f->mem, f->size, &g, ring_id, base) == -1 ||
	    (f->scribe = ring_attach(f->mem, f->size, NULL, &why)) == NULL ||
	    (f->worker = ring_attach(f->mem, f->size, NULL, &why)) == NULL)
		return -1;
	ring_producer_init(f->scribe, RING_SCRIBE_ARENA);
	arena = ring_arena_take(f->scribe, FIX_SLOT, FIX_INCARNATION);
	if (arena == -1)
		return -1;
	ring_producer_init(f->worker, (unsigned)arena);
	ring_join(f->worker, FIX_SLOT, FIX_INCARNATION);
	return 0;
}

static inline void
fix_drop_ring(struct scribe_fixture *f)
{
	ring_detach(&f->scribe);
	ring_detach(&f->worker);
	free(f->mem);
	f->mem = NULL;
}

/* Everything that a new scribe process would make. */
static inline int
fix_start(struct scribe_fixture *f)
{
	const char *why;

	scribe_log_ring(&f->log, f->scribe);
	if ((f->q = sequence_new(&f->limits)) == NULL ||
	    (f->c = commit_new(&f->log, f->st.s, f->q, NULL, NULL)) == NULL ||
	    (f->o = orphans_new(f->scribe, f->st.s)) == NULL ||
	    commit_resume(f->c, ring_id(f->scribe), ring_base(f->scribe),
		&why) == -1)
		return -1;
	(void)ring_gate(f->scribe, clock_mono_ns());
	f->cursor = ring_join_pos(f->worker, FIX_SLOT);
	return 0;
}

/* What is in the memory of the process is lost. */
static inline void
fix_stop(struct scribe_fixture *f)
{
	orphans_free(&f->o);
	commit_free(&f->c);
	sequence_free(&f->q);
}

static inline int
fix_setup(void **state)
{
	struct scribe_fixture *f;

	if ((f = calloc(1, sizeof(*f))) == NULL)
		return -1;
	*state = f;
	f->limits.dedupe_window_ms = 7 * 86400000ULL;
	f->limits.recovery_window_ms = FIX_WINDOW_MS;
	if (store_fixture_open(&f->st) == -1 ||
	    fix_ring(f, 12, 1, FIX_BASE) == -1)
		return -1;
	return fix_start(f);
}

static inline int
fix_teardown(void **state)
{
	struct scribe_fixture *f = *state;
	int rc;

	fix_stop(f);
	fix_drop_ring(f);
	rc = store_fixture_close(&f->st);
	free(f);
	return rc;
}

/* Publish as a second worker, until the first is taken again. */
#define FIX_OTHER_SLOT 1
#define FIX_OTHER_INCARNATION 6

static inline struct ring *
fix_other_worker(struct scribe_fixture *f)
{
	struct ring *first = f->worker;
	const char *why;
	int arena;

	f->worker = ring_attach(f->mem, f->size, NULL, &why);
	arena =
	    ring_arena_take(f->scribe, FIX_OTHER_SLOT, FIX_OTHER_INCARNATION);
	if (f->worker == NULL || arena == -1)
		abort();
	ring_producer_init(f->worker, (unsigned)arena);
	return first;
}

static inline void
fix_first_worker(struct scribe_fixture *f, struct ring *first)
{
	ring_detach(&f->worker);
	f->worker = first;
}

/* --- publishing -------------------------------------------------------- */

static inline uint64_t
fix_publish(struct scribe_fixture *f, struct record *h,
    const char *const *fields, unsigned n)
{
	struct record_field rf[RECORD_MAX_FIELDS] = { { NULL, 0 } };
	uint64_t gseq = 0;
	unsigned i;
	size_t len;

	for (i = 0; i < n; i++) {
		rf[i].p = fields[i];
		rf[i].len = (uint32_t)strlen(fields[i]);
	}
	len = record_build(f->rec, sizeof(f->rec), h, rf, n);
	if (len == 0 || ring_publish(f->worker, f->rec, len, &gseq) == -1)
		abort();
	return gseq;
}

static inline uint64_t
fix_join(struct scribe_fixture *f, const char *workspace, const char *session,
    const char *user, const char *socket)
{
	const char *const fields[] = { workspace, session, user, "A Name",
		socket, "", "", "" };
	struct record h = { .type = RECORD_JOIN, .client = FIX_CLIENT };

	return fix_publish(f, &h, fields, 8);
}

/* Its transport was lost. */
static inline uint64_t
fix_leave(struct scribe_fixture *f, uint64_t room, uint64_t user,
    const char *socket)
{
	const char *const fields[] = { socket, "u", "transport close" };
	struct record h = { .type = RECORD_LEAVE,
		.flags = RECORD_F_LOST,
		.room = room,
		.user = user,
		.client = FIX_CLIENT };

	return fix_publish(f, &h, fields, 3);
}

/* A socket that can be recovered, as a session of the worker knows it. */
struct fix_socket {
	uint32_t client;
	uint32_t generation;
	const char *pid;
	const char *user;
	const char *socket;
};

/* 'after': NULL or a number. */
static inline uint64_t
fix_sock_join(struct scribe_fixture *f, const struct fix_socket *s,
    const char *session, unsigned flags, const char *after)
{
	const char *const fields[] = { "w", session, s->user, "A Name",
		s->socket, "agent", s->pid, after == NULL ? "" : after };
	struct record h = { .type = RECORD_JOIN,
		.flags = (uint16_t)flags,
		.client = s->client,
		.generation = s->generation };

	return fix_publish(f, &h, fields, 8);
}

static inline uint64_t
fix_sock_leave(struct scribe_fixture *f, const struct fix_socket *s,
    const struct ring_index *in, unsigned flags)
{
	const char *const fields[] = { s->socket, s->user, "transport close" };
	struct record h = { .type = RECORD_LEAVE,
		.flags = (uint16_t)flags,
		.room = in->room,
		.user = in->user,
		.client = s->client,
		.generation = s->generation };

	return fix_publish(f, &h, fields, 3);
}

/* RESUME, or with a room (0: all) RELEASE. */
static inline uint64_t
fix_sock_row(struct scribe_fixture *f, const struct fix_socket *s,
    enum record_type type, uint64_t room)
{
	const char *const fields[] = { s->pid, s->user, s->socket };
	struct record h = { .type = (uint16_t)type,
		.room = room,
		.client = s->client,
		.generation = s->generation };

	return fix_publish(f, &h, fields, 3);
}

static inline uint64_t
fix_sock_resume(struct scribe_fixture *f, const struct fix_socket *s)
{
	return fix_sock_row(f, s, RECORD_RESUME, 0);
}

static inline uint64_t
fix_presence(struct scribe_fixture *f, uint64_t room, uint64_t user,
    const char *socket, const char *status)
{
	const char *const fields[] = { socket, "u", "", status, "1" };
	struct record h = { .type = RECORD_PRESENCE,
		.room = room,
		.user = user };

	return fix_publish(f, &h, fields, 5);
}

static inline uint64_t
fix_message(struct scribe_fixture *f, uint64_t room, uint64_t user,
    const char *id, unsigned flags)
{
	const char *const fields[] = { id, "sock", "\"content\":\"hi\"" };
	XXH128_hash_t hash = XXH3_128bits(id, strlen(id));
	struct record h = { .type = RECORD_MESSAGE,
		.flags = (uint16_t)flags,
		.room = room,
		.user = user,
		.id_hash = { hash.low64, hash.high64 } };

	return fix_publish(f, &h, fields, 3);
}

/* --- deciding ---------------------------------------------------------- */

/* Turns until there is nothing to do; the last result. */
static inline enum commit_result
fix_turns(struct scribe_fixture *f)
{
	enum commit_result rc;
	uint64_t again;

	while ((rc = commit_turn(f->c, &again)) == COMMIT_WORKED)
		(void)ring_gate(f->scribe, clock_mono_ns());
	(void)ring_gate(f->scribe, clock_mono_ns());
	return rc;
}

/* The entry of a position that has become durable. */
static inline struct ring_index
fix_index(struct scribe_fixture *f, uint64_t gseq)
{
	struct ring_index ix;

	if (gseq >= ring_limit(f->worker, gseq) ||
	    ring_peek(f->worker, FIX_SLOT, gseq, &ix) != RING_OK)
		abort();
	return ix;
}

/* Everything so far has been delivered. */
static inline void
fix_delivered(struct scribe_fixture *f)
{
	ring_advance(f->worker, FIX_SLOT, ring_limit(f->worker, 0));
}

static inline struct ring_index
fix_decided(struct scribe_fixture *f, uint64_t gseq)
{
	struct ring_index ix;

	(void)fix_turns(f);
	ix = fix_index(f, gseq);
	fix_delivered(f);
	return ix;
}

/* A room of this name with its first member; its number. */
static inline uint64_t
fix_room(struct scribe_fixture *f, const char *session, uint64_t *user_r)
{
	struct ring_index ix;

	ix = fix_decided(f, fix_join(f, "w", session, "ada", "sock"));
	if (user_r != NULL)
		*user_r = ix.user;
	return ix.room;
}

#endif /* TESTS_UNIT_SCRIBE_FIXTURE_H */
