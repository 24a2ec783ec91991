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
#include "common/log.h"

/* shared_raise(): by 19 hours of microseconds, then 16 times that, ... */
#define RAISE_FIRST 36
#define RAISE_STEP 4
#define RAISE_MAX 5

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

static struct ring *
make_ring(struct shared *sh, struct segment *seg, enum ring_kind kind,
    const char *name, uint64_t base)
{
	struct ring_geometry g = sh->geometry;
	const char *why = "out of memory";
	struct ring *ring;
	uint8_t id[16];
	size_t size;

	g.kind = kind;
	if ((size = ring_size(&g)) == 0)
		fatalx("ring.slots, ring.arena_bytes: these do not make a "
		       "ring");
	if (segment_create(seg, name, size, size, ring_abi(), SEGMENT_DONTDUMP,
		&why) == -1)
		fatal("cannot make the ring of %zu bytes: %s", size, why);
	arc4random_buf(id, sizeof(id));
	if (ring_create(seg->mem, seg->size, &g, id, base) == -1)
		fatal("cannot lay out a ring");
	if ((ring = ring_attach(seg->mem, seg->size, sh->wake, &why)) == NULL)
		fatalx("cannot attach to a new ring: %s", why);
	return ring;
}

static void
make_rings(struct shared *sh)
{
	uint64_t base = first_position(sh);

	sh->log = make_ring(sh, &sh->log_seg, RING_LOG, "chatd-log", base);
	sh->live = make_ring(sh, &sh->live_seg, RING_LIVE, "chatd-live", base);
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
make_geometry(struct shared *sh, const struct config *cfg, unsigned workers)
{
	/* the scribe's, one a worker, and as many for those that died and
	 * whose records are still being read */
	unsigned arenas = 1 + 2 * workers + 2;

	sh->geometry.log2_slots = log2_of(cfg->ring_slots);
	sh->geometry.narenas =
	    arenas < RING_MAX_ARENAS ? arenas : RING_MAX_ARENAS;
	sh->geometry.arena_bytes = cfg->ring_arena_bytes;
}

void
shared_create(struct shared *sh, const struct config *cfg, unsigned workers,
    uint32_t clients)
{
	struct tables_geometry g;
	const char *why = "out of memory";

	memset(sh, 0, sizeof(*sh));
	make_geometry(sh, cfg, workers);
	tables_geometry_init(&g, clients, cfg->engine_max_payload);
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

void
shared_free(struct shared *sh)
{
	free_rings(sh);
	wake_detach(&sh->wake);
	for (unsigned i = 0; i < WAKE_CONSUMERS; i++)
		(void)close(sh->efd[i]);
	tables_free(&sh->tables);
}
