/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * shared - the memory that all processes share, as the master makes it.
 */

#include "master/shared.h"

#include <sys/eventfd.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/config.h"
#include "common/fault.h"
#include "common/log.h"

/* shared_raise(): by 19 hours of microseconds, then 16 times that, ... */
#define RAISE_FIRST 36
#define RAISE_STEP 4
#define RAISE_MAX 5

/* next_position() */
#define NEXT_GAP (1ULL << 20)

static unsigned
log2_of(uint64_t n)
{
	return 63 - (unsigned)__builtin_clzll(n);
}

/*
 * Positions must never come twice in the life of a store, and the master
 * cannot look into it.  Counted in microseconds since 1970 they do not as
 * long as nobody publishes a million records a second for years; if the
 * clock was set back the scribe says so, and shared_raise() helps.
 */
static uint64_t
first_position(const struct shared *sh)
{
	uint64_t slots = 1ULL << sh->geometry.log2_slots;
	uint64_t pos = clock_real_ms() * 1000;

	if (sh->raised > 0)
		pos += 1ULL << (RAISE_FIRST + RAISE_STEP * (sh->raised - 1));
	return (pos + slots - 1) & ~(slots - 1);
}

/* NULL with errno and *why_r. */
static struct ring *
make_ring(struct shared *sh, struct segment *seg,
    const struct ring_geometry *geometry, enum ring_kind kind, uint64_t base,
    uint64_t run, const char **why_r)
{
	struct ring_geometry g = *geometry;
	struct ring *ring;
	uint8_t id[16];
	size_t size;

	g.kind = kind;
	if ((size = ring_size(&g)) == 0) {
		*why_r = "ring.slots, ring.arena_bytes: these do not make a "
			 "ring";
		errno = EINVAL;
		return NULL;
	}
	if (segment_create(seg, kind == RING_LOG ? "chatd-log" : "chatd-live",
		size, size, ring_abi(), SEGMENT_DONTDUMP, why_r) == -1)
		return NULL;
	arc4random_buf(id, sizeof(id));
	CHECK(ring_create_next(seg->mem, seg->size, &g, id, base, run) == 0);
	ring = ring_attach(seg->mem, seg->size, sh->wake, why_r);
	if (ring == NULL) {
		segment_close(seg);
		errno = ENOMEM;
	}
	return ring;
}

static void
make_rings(struct shared *sh)
{
	uint64_t base = first_position(sh);
	const char *why = "";

	sh->log = make_ring(sh, &sh->log_seg, &sh->geometry, RING_LOG, base,
	    base, &why);
	sh->live = make_ring(sh, &sh->live_seg, &sh->geometry, RING_LIVE, base,
	    base, &why);
	if (sh->log == NULL || sh->live == NULL)
		fatal("cannot make the rings: %s", why);
}

static void
free_rings(struct shared *sh)
{
	ring_detach(&sh->log);
	ring_detach(&sh->live);
	segment_close(&sh->log_seg);
	segment_close(&sh->live_seg);
}

static void
make_geometry(struct ring_geometry *g, const struct config *cfg,
    unsigned workers)
{
	/* the scribe's, one a worker, and as many for those that died and
	 * whose records are still being read */
	unsigned arenas = 1 + 2 * workers + 2;

	g->log2_slots = log2_of(cfg->ring_slots);
	g->narenas = arenas < RING_MAX_ARENAS ? arenas : RING_MAX_ARENAS;
	g->arena_bytes = cfg->ring_arena_bytes;
}

void
shared_create(struct shared *sh, const struct config *cfg, unsigned workers,
    uint32_t clients)
{
	struct tables_geometry g;
	const char *why = "out of memory";

	memset(sh, 0, sizeof(*sh));
	sh->generation = 1;
	make_geometry(&sh->geometry, cfg, workers);
	tables_geometry_init(&g, clients, cfg->engine_max_payload);
	g.stream_bytes = cfg->stream_memory;
	if ((sh->tables = tables_create(&g, &why)) == NULL)
		fatal("cannot make the tables for %u connections: %s",
		    (unsigned)clients, why);
	for (unsigned i = 0; i < WAKE_CONSUMERS; i++) {
		sh->efd[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		if (sh->efd[i] == -1)
			fatal("eventfd");
	}
	if ((sh->wake = wake_attach(sh->tables->wake, sh->efd)) == NULL)
		fatal("wake_attach");
	make_rings(sh);
}

int
shared_raise(struct shared *sh)
{
	if (sh->raised == RAISE_MAX)
		return -1;
	sh->raised++;
	free_rings(sh);
	make_rings(sh);
	return 0;
}

/* ------------------------------------------------------------------ */
/* The rings that follow. */

/*
 * Above all that the old ring can come to before it is closed: 16 rounds,
 * and a million records.  The clock, by which the first ring began, has
 * gained that again in a second.
 */
static uint64_t
next_position(struct ring *old, const struct ring_geometry *g)
{
	uint64_t slots = 1ULL << g->log2_slots;
	struct ring_info info;

	ring_info(old, &info);
	return (info.end + 16 * info.slots + NEXT_GAP + slots - 1) &
	    ~(slots - 1);
}

int
shared_next(struct shared *sh, const struct config *cfg, unsigned workers,
    const char **why_r)
{
	struct ring_geometry *g = &sh->next_geometry;

	CHECK(sh->next_log == NULL && sh->next_live == NULL);
	make_geometry(g, cfg, workers);
	sh->next_log = make_ring(sh, &sh->next_log_seg, g, RING_LOG,
	    next_position(sh->log, g), ring_run(sh->log), why_r);
	if (sh->next_log == NULL)
		return -1;
	sh->next_live = make_ring(sh, &sh->next_live_seg, g, RING_LIVE,
	    next_position(sh->live, g), ring_run(sh->live), why_r);
	if (sh->next_live == NULL) {
		int saved = errno;

		shared_next_free(sh);
		errno = saved;
		return -1;
	}
	return 0;
}

void
shared_next_free(struct shared *sh)
{
	ring_detach(&sh->next_live);
	ring_detach(&sh->next_log);
	segment_close(&sh->next_live_seg);
	segment_close(&sh->next_log_seg);
}

void
shared_old_free(struct shared *sh)
{
	segment_close(&sh->old_log_seg);
}

/* Both are closed. */
static void
let_next_be(struct shared *sh)
{
	ring_detach(&sh->log);
	ring_detach(&sh->live);
	segment_close(&sh->live_seg);
	sh->old_log_seg = sh->log_seg;
	sh->log_seg = sh->next_log_seg;
	sh->live_seg = sh->next_live_seg;
	sh->log = sh->next_log;
	sh->live = sh->next_live;
	sh->next_log = sh->next_live = NULL;
	sh->next_log_seg = sh->next_live_seg = (struct segment){ .fd = -1 };
	sh->geometry = sh->next_geometry;
	sh->generation++;
}

/*
 * The log ring first: it may be full and stay so.  In the live ring there is
 * always room to be made, so that what is begun is ended.
 */
int
shared_switch(struct shared *sh, bool *begun_r)
{
	uint64_t end;

	CHECK(sh->next_log != NULL && sh->old_log_seg.mem == NULL);
	*begun_r = false;
	if (ring_close(sh->log, ring_base(sh->next_log), &end) == -1 &&
	    errno != EALREADY)
		return -1;
	*begun_r = true;
	if (ring_close(sh->live, UINT64_MAX, &end) == -1 && errno != EALREADY)
		return -1;
	FAULT(RINGS_CLOSED);
	let_next_be(sh);
	/* who is at an end may go on, who waits for space need not */
	wake_kick_all(sh->wake);
	return 0;
}

void
shared_free(struct shared *sh)
{
	shared_next_free(sh);
	shared_old_free(sh);
	free_rings(sh);
	wake_detach(&sh->wake);
	for (unsigned i = 0; i < WAKE_CONSUMERS; i++)
		(void)close(sh->efd[i]);
	tables_free(&sh->tables);
}
