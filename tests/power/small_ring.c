/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "tests/power/small_ring.h"

#include <sys/mman.h>

#include <string.h>

#include <xxhash.h>

#include "common/log.h"

#define SLOTS_LOG2 12
#define ARENA_BYTES (1 << 20)

void
small_ring_make(struct small_ring *r, const uint8_t id[16], uint64_t base,
    uint32_t incarnation)
{
	struct ring_geometry g = { .kind = RING_LOG,
		.log2_slots = SLOTS_LOG2,
		.narenas = 3,
		.arena_bytes = ARENA_BYTES };
	const char *why = "memory";
	int arena;

	memset(r, 0, sizeof(*r));
	r->size = ring_size(&g);
	r->mem = mmap(NULL, r->size, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (r->mem == MAP_FAILED)
		fatal("memory for a ring");
	base = (base + (1 << SLOTS_LOG2) - 1) >> SLOTS_LOG2 << SLOTS_LOG2;
	if (ring_create(r->mem, r->size, &g, id, base) == -1 ||
	    (r->worker = ring_attach(r->mem, r->size, NULL, &why)) == NULL)
		fatalx("%s", why);
	r->incarnation = incarnation;
	if ((arena = ring_arena_take(r->worker, SMALL_SLOT, incarnation)) == -1)
		fatal("arena");
	ring_producer_init(r->worker, (unsigned)arena);
	ring_join(r->worker, SMALL_SLOT, incarnation);
}

void
small_ring_drop(struct small_ring *r)
{
	ring_detach(&r->worker);
	munmap(r->mem, r->size);
	r->mem = NULL;
}

struct ring *
small_ring_scribe(const struct small_ring *r)
{
	struct ring *ring;
	const char *why;

	if ((ring = ring_attach(r->mem, r->size, NULL, &why)) == NULL)
		fatalx("%s", why);
	ring_producer_init(ring, RING_SCRIBE_ARENA);
	return ring;
}

uint64_t
small_ring_publish(struct small_ring *r, const struct record *h,
    const struct record_field *f, unsigned n)
{
	uint64_t gseq;
	size_t len;

	if ((len = record_build(r->rec, sizeof(r->rec), h, f, n)) == 0)
		fatalx("a record of type %u does not fit", h->type);
	if (ring_publish(r->worker, r->rec, len, &gseq) == -1)
		return 0;
	return gseq;
}

uint64_t
small_ring_message(struct small_ring *r, uint64_t room, uint64_t user,
    struct record_field id, struct record_field body)
{
	struct record h = { .type = RECORD_MESSAGE,
		.room = room,
		.user = user,
		.request = 1 };
	struct record_field f[3] = { id, { "socket", 6 }, body };
	XXH128_hash_t hash = XXH3_128bits(id.p, id.len);

	h.id_hash[0] = hash.low64;
	h.id_hash[1] = hash.high64;
	return small_ring_publish(r, &h, f, 3);
}

bool
small_ring_next(struct small_ring *r, uint64_t *gseq_r, struct ring_index *ix_r)
{
	if (ring_state(r->worker, SMALL_SLOT) != RING_ACTIVE)
		return false;
	if (r->cursor < ring_join_pos(r->worker, SMALL_SLOT))
		r->cursor = ring_join_pos(r->worker, SMALL_SLOT);
	if (r->cursor >= ring_limit(r->worker, r->cursor) ||
	    ring_peek(r->worker, SMALL_SLOT, r->cursor, ix_r) != RING_OK)
		return false;
	*gseq_r = r->cursor++;
	ring_advance(r->worker, SMALL_SLOT, r->cursor);
	return true;
}
