/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * Layout of a ring, making one, attaching to one, looking into one.
 */

#include "shm/ring.h"

#include <sys/mman.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <xxhash.h>

#include "common/log.h"
#include "shm/ring_impl.h"

static const uint8_t magic[8] = { 'c', 'h', 'a', 't', 'r', 'i', 'n', 'g' };

_Static_assert(sizeof(struct ring_line) == A_LINE, "a line is a line");
_Static_assert(sizeof(struct ring_consumer) == A_LINE, "a line each");
_Static_assert(sizeof(struct ring_arena) == A_LINE, "a line each");
_Static_assert(sizeof(struct ring_header) <= RING_PAGE, "one page");
_Static_assert(sizeof(struct ring_control) <= RING_PAGE, "one page");
_Static_assert(sizeof(struct ring_index) == 64, "index entries are 64 bytes");
_Static_assert(offsetof(struct ring_index, word) == 40, "no holes");
_Static_assert(offsetof(struct ring_index, incarnation) == 52, "no holes");
_Static_assert(RING_MAX_CONSUMERS == 64, "masks have 64 bits");
_Static_assert(RING_MAX_CONSUMERS == WAKE_WORKERS, "one number a worker");
_Static_assert(RING_MAX_ARENAS < RING_END_ARENA, "an arena fits in 8 bits");
_Static_assert(RING_MAX_ARENA_BYTES / RING_GRANULE <= 1 << 24,
    "a granule's number fits in 24 bits");
_Static_assert((int)RING_JOINING == RING_CORE_JOINING, "one numbering");
_Static_assert((int)RING_ACTIVE == RING_CORE_ACTIVE, "one numbering");
_Static_assert((int)RING_EVICTED == RING_CORE_EVICTED, "one numbering");

/* --- layout ------------------------------------------------------------ */

uint64_t
ring_abi(void)
{
	static const uint64_t shape[] = {
		sizeof(struct ring_header),
		offsetof(struct ring_header, base),
		offsetof(struct ring_header, run),
		offsetof(struct ring_header, kind),
		offsetof(struct ring_header, sum),
		sizeof(struct ring_control),
		offsetof(struct ring_control, free_seq),
		offsetof(struct ring_control, durable_seq),
		offsetof(struct ring_control, hint),
		offsetof(struct ring_control, space_wait),
		offsetof(struct ring_control, joining),
		offsetof(struct ring_control, closed),
		sizeof(struct ring_consumer),
		offsetof(struct ring_consumer, cursor),
		offsetof(struct ring_consumer, join_pos),
		sizeof(struct ring_arena),
		offsetof(struct ring_arena, drain),
		sizeof(struct ring_index),
		offsetof(struct ring_index, word),
		offsetof(struct ring_index, type),
		offsetof(struct ring_index, len),
		RING_MAX_CONSUMERS,
		RING_MAX_ARENAS,
		RING_GRANULE,
		RING_INTEREST_LOG2,
		RING_PAGE,
		RING_STATE_MASK,
		RING_DEAD,
		RING_REJECTED,
		/* what the numbers above do not show: count up */
		2,
	};

	return XXH3_64bits(shape, sizeof(shape));
}

static size_t
ring_page_up(size_t n)
{
	return (n + RING_PAGE - 1) / RING_PAGE * RING_PAGE;
}

/* Returns false if the geometry is not acceptable. */
static bool
ring_lay_out(const struct ring_geometry *g, struct ring_layout *at)
{
	size_t n, pos = 0;

	if ((g->kind != RING_LOG && g->kind != RING_LIVE) ||
	    g->log2_slots < RING_MIN_LOG2 || g->log2_slots > RING_MAX_LOG2 ||
	    g->narenas < 1 || g->narenas > RING_MAX_ARENAS ||
	    g->arena_bytes < 4 * sizeof(uint64_t) * RING_GRANULE ||
	    g->arena_bytes > RING_MAX_ARENA_BYTES ||
	    g->arena_bytes % RING_GRANULE != 0)
		return false;
	n = (size_t)1 << g->log2_slots;
	pos += RING_PAGE;
	at->control = pos;
	pos += RING_PAGE;
	at->consumers = pos;
	pos += ring_page_up(sizeof(struct ring_consumer) * RING_MAX_CONSUMERS);
	at->arena_table = pos;
	pos += ring_page_up(sizeof(struct ring_arena) * RING_MAX_ARENAS);
	at->slots = pos;
	pos += ring_page_up(sizeof(a_u64) * n);
	at->index = pos;
	if (g->kind == RING_LOG)
		pos += ring_page_up(sizeof(struct ring_index) * n);
	at->interest = pos;
	if (g->kind == RING_LOG)
		pos += ring_page_up(sizeof(a_u64) * RING_INTEREST);
	at->arenas = pos;
	at->stride = ring_page_up(g->arena_bytes);
	at->size = pos + at->stride * g->narenas;
	return true;
}

size_t
ring_size(const struct ring_geometry *g)
{
	struct ring_layout at;

	return ring_lay_out(g, &at) ? at.size : 0;
}

/* --- making one -------------------------------------------------------- */

static uint64_t
ring_header_sum(const struct ring_header *h)
{
	return XXH3_64bits(h, offsetof(struct ring_header, sum));
}

int
ring_create(void *mem, size_t size, const struct ring_geometry *g,
    const uint8_t ring_id[16], uint64_t base)
{
	return ring_create_next(mem, size, g, ring_id, base, base);
}

int
ring_create_next(void *mem, size_t size, const struct ring_geometry *g,
    const uint8_t ring_id[16], uint64_t base, uint64_t run)
{
	unsigned char *p = mem;
	struct ring_control *control;
	struct ring_header h = { 0 };
	struct ring_layout at;
	uint64_t i, n;
	a_u64 *slot;

	if (!ring_lay_out(g, &at) || size < at.size ||
	    (uintptr_t)mem % RING_PAGE != 0 ||
	    base % ((uint64_t)1 << g->log2_slots) != 0) {
		errno = EINVAL;
		return -1;
	}
	n = (uint64_t)1 << g->log2_slots;
	slot = (a_u64 *)(void *)(p + at.slots);
	for (i = 0; i < n; i++)
		A_STORE(&slot[i],
		    ring_word((uint32_t)(base >> g->log2_slots), RING_NO_ARENA,
			0),
		    A_RELAXED);
	control = (struct ring_control *)(void *)(p + at.control);
	A_STORE(&control->free_seq.v, base, A_RELAXED);
	A_STORE(&control->durable_seq.v, base, A_RELAXED);
	A_STORE(&control->hint.v, base, A_RELAXED);
	if (g->kind == RING_LOG)
		A_STORE(&((struct ring_arena *)(void *)(p +
			    at.arena_table))[RING_SCRIBE_ARENA]
			     .owner,
		    ring_arena_owner(RING_ARENA_USED, WAKE_SCRIBE, 0),
		    A_RELAXED);

	memcpy(h.magic, magic, sizeof(h.magic));
	h.abi = ring_abi();
	memcpy(h.id, ring_id, sizeof(h.id));
	h.base = base;
	h.run = run;
	h.size = at.size;
	h.arena_bytes = g->arena_bytes;
	h.kind = (uint32_t)g->kind;
	h.log2_slots = g->log2_slots;
	h.narenas = g->narenas;
	h.sum = ring_header_sum(&h);
	memcpy(mem, &h, sizeof(h));
	return 0;
}

/* --- attaching --------------------------------------------------------- */

/* What is wrong with this header, or NULL. */
static const char *
ring_check_header(const struct ring_header *h, size_t size,
    struct ring_geometry *g, struct ring_layout *at)
{
	if (memcmp(h->magic, magic, sizeof(magic)) != 0)
		return "there is no ring in this memory";
	if (h->abi != ring_abi())
		return "the ring was made by a program with another layout";
	if (h->sum != ring_header_sum(h))
		return "the ring's header is damaged";
	g->kind = (enum ring_kind)h->kind;
	g->log2_slots = h->log2_slots;
	g->narenas = h->narenas;
	g->arena_bytes = h->arena_bytes;
	if (!ring_lay_out(g, at) || at->size != h->size)
		return "the ring's geometry makes no sense";
	if (size < at->size)
		return "the memory is smaller than the ring in it";
	return NULL;
}

static void
ring_point(struct ring *r, void *mem)
{
	unsigned char *p = mem;
	struct ring_core *c = &r->core;

	r->mem = p;
	r->control = (struct ring_control *)(void *)(p + r->at.control);
	r->arena_table = (struct ring_arena *)(void *)(p + r->at.arena_table);
	r->index = (a_u64 *)(void *)(p + r->at.index);
	r->interest = (a_u64 *)(void *)(p + r->at.interest);
	c->slot = (a_u64 *)(void *)(p + r->at.slots);
	c->free_seq = &r->control->free_seq.v;
	c->hint = &r->control->hint.v;
	c->consumer = (struct ring_consumer *)(void *)(p + r->at.consumers);
	c->nconsumers = RING_MAX_CONSUMERS;
	c->log2_slots = r->geo.log2_slots;
	c->n = (uint64_t)1 << r->geo.log2_slots;
	c->mask = c->n - 1;
	r->max_record = r->geo.arena_bytes / 4 / RING_GRANULE * RING_GRANULE;
	if (r->max_record > RING_RECORD_LIMIT)
		r->max_record = RING_RECORD_LIMIT;
}

struct ring *
ring_attach(void *mem, size_t size, struct wake *wake, const char **why_r)
{
	struct ring_header h;
	const char *why;
	struct ring *r;

	if (size < sizeof(h) || (uintptr_t)mem % RING_PAGE != 0) {
		*why_r = "this memory cannot hold a ring";
		return NULL;
	}
	if ((r = calloc(1, sizeof(*r))) == NULL) {
		*why_r = "out of memory";
		return NULL;
	}
	/* a copy, so that what was checked stays what is used */
	memcpy(&h, mem, sizeof(h));
	if ((why = ring_check_header(&h, size, &r->geo, &r->at)) != NULL) {
		ring_detach(&r);
		*why_r = why;
		return NULL;
	}
	ring_point(r, mem);
	memcpy(r->id, h.id, sizeof(r->id));
	r->base = h.base;
	r->run = h.run;
	r->wake = wake;
	r->active = RING_NO_SESSION;
	/* both are touched only as far as they are used */
	r->prod.cap = r->core.n / 4;
	r->prod.fifo = calloc(r->prod.cap, sizeof(*r->prod.fifo));
	if (r->geo.kind == RING_LOG)
		r->rooms = calloc(RING_INTEREST, sizeof(*r->rooms));
	if (r->prod.fifo == NULL ||
	    (r->geo.kind == RING_LOG && r->rooms == NULL)) {
		ring_detach(&r);
		*why_r = "out of memory";
		return NULL;
	}
	return r;
}

void
ring_detach(struct ring **r)
{
	if (*r == NULL)
		return;
	free((*r)->prod.fifo);
	free((*r)->rooms);
	free(*r);
	*r = NULL;
}

/* Whole pages within [from, to), whatever the size of a page is here. */
static int
ring_pages_readonly(struct ring *r, size_t from, size_t to)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	from = (from + page - 1) / page * page;
	to = to / page * page;
	if (from >= to)
		return 0;
	return mprotect(r->mem + from, to - from, PROT_READ);
}

int
ring_protect(struct ring *r, unsigned arena)
{
	bool scribe = r->geo.kind == RING_LOG && arena == RING_SCRIBE_ARENA;
	size_t own = r->at.arenas + arena * r->at.stride;

	CHECK(arena < r->geo.narenas);
	/* a dump of 300 MiB would only delay the replacement's start */
	if (madvise(r->mem + r->at.arenas, r->at.size - r->at.arenas,
		MADV_DONTDUMP) == -1)
		return -1;
	if (ring_pages_readonly(r, 0, r->at.control) == -1 ||
	    ring_pages_readonly(r, r->at.arena_table, r->at.slots) == -1)
		return -1;
	if (!scribe &&
	    ring_pages_readonly(r, r->at.index, r->at.interest) == -1)
		return -1;
	if (ring_pages_readonly(r, r->at.arenas, own) == -1)
		return -1;
	return ring_pages_readonly(r, own + r->at.stride, r->at.size);
}

void
ring_follow_interest(struct ring *live, const struct ring *log)
{
	CHECK(live->geo.kind == RING_LIVE && log->geo.kind == RING_LOG);
	live->follow = log;
}

/* --- looking in -------------------------------------------------------- */

const uint8_t *
ring_id(const struct ring *r)
{
	return r->id;
}

uint64_t
ring_base(const struct ring *r)
{
	return r->base;
}

uint64_t
ring_run(const struct ring *r)
{
	return r->run;
}

uint64_t
ring_slots(const struct ring *r)
{
	return r->core.n;
}

size_t
ring_arena_bytes(const struct ring *r)
{
	return r->geo.arena_bytes;
}

size_t
ring_max_record(const struct ring *r)
{
	return r->max_record;
}

/*
 * All below a published position is published, so the hint saves the walk;
 * it is believed only as far as the slot before it agrees.
 */
uint64_t
ring_end_from(const struct ring *r, uint64_t from)
{
	uint64_t hint = A_LOAD(r->core.hint, O_HINT);

	if (hint > from && hint - from <= r->core.n &&
	    ring_core_is_published(&r->core, hint - 1))
		from = hint;
	return ring_core_end(&r->core, from);
}

uint64_t
ring_durable_seq(const struct ring *r)
{
	return A_LOAD(&r->control->durable_seq.v, O_DURABLE_SEEN);
}

uint64_t
ring_free_seq(const struct ring *r)
{
	return A_LOAD(r->core.free_seq, O_FREE_SEEN);
}

void
ring_info(struct ring *r, struct ring_info *info_r)
{
	struct ring_info i = { 0 };

	i.base = r->base;
	i.free = ring_free_seq(r);
	i.end = ring_end_from(r, i.free);
	i.durable = r->geo.kind == RING_LOG ? ring_durable_seq(r) : i.end;
	i.slots = r->core.n;
	i.occupied = i.end - i.free;
	i.published = i.end - i.base;
	i.full = A_LOAD(&r->control->full.v, A_RELAXED);
	i.evictions = A_LOAD(&r->control->evictions.v, A_RELAXED);
	*info_r = i;
}

void
ring_consumer_info(struct ring *r, unsigned slot,
    struct ring_consumer_info *info_r)
{
	struct ring_consumer_info i = { 0 };
	uint64_t state, end;

	CHECK(slot < RING_MAX_CONSUMERS);
	state = A_LOAD(&r->core.consumer[slot].state, O_STATE_SEEN);
	i.state = ring_state(r, slot);
	i.incarnation = (uint32_t)(state >> 32);
	i.cursor = A_LOAD(&r->core.consumer[slot].cursor, O_CURSOR_SEEN);
	end = r->geo.kind == RING_LOG ? ring_durable_seq(r)
				      : ring_end_from(r, ring_free_seq(r));
	if (i.state == RING_ACTIVE && end > i.cursor)
		i.lag = end - i.cursor;
	*info_r = i;
}
