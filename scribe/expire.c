/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "scribe/expire.h"

#include <errno.h>
#include <string.h>

#include "common/clock.h"
#include "common/fault.h"

/* a row is kept for at most this part of its window too long */
#define PART 64

void
expire_init(struct expire *e, struct store *s)
{
	memset(e, 0, sizeof(*e));
	e->store = s;
}

uint64_t
expire_next(const struct expire *e)
{
	return e->next_ns;
}

uint64_t
expire_count(const struct expire *e)
{
	return e->removed;
}

static void
begin_pass(struct expire *e)
{
	memset(&e->place, 0, sizeof(e->place));
	e->pass_removed = 0;
}

void
expire_now(struct expire *e)
{
	begin_pass(e);
	e->now = true;
	e->next_ns = 0;
}

/* One transaction; 0, or -1 with errno. */
static int
slice(struct expire *e, uint64_t before_ms)
{
	struct store_place place = e->place;
	unsigned removed = 0;
	struct store_txn *t;
	int rc, err;

	if ((t = store_begin(e->store)) == NULL)
		return -1;
	rc = store_dedupe_sweep(t, &place, EXPIRE_SLICE, before_ms, &removed);
	FAULT(EXPIRE);
	if (rc == 0 && removed > 0)
		rc = store_commit(&t);
	err = errno;
	store_abort(&t);
	errno = err;
	if (rc == -1)
		return -1;
	e->place = place;
	e->removed += removed;
	e->pass_removed += removed;
	return 0;
}

static uint64_t
pause_for(uint64_t window_ms)
{
	uint64_t ns = window_ms / PART * CLOCK_MS_NS;

	if (ns < EXPIRE_PASS_MIN_NS)
		return EXPIRE_PASS_MIN_NS;
	return ns > EXPIRE_PASS_MAX_NS ? EXPIRE_PASS_MAX_NS : ns;
}

int
expire_slice(struct expire *e, uint64_t now_ms, uint64_t window_ms,
    uint64_t now_ns)
{
	/* the last pass's count has been told */
	if (e->place.done)
		begin_pass(e);
	e->next_ns = e->now ? 0 : now_ns + EXPIRE_SLICE_NS;
	if (slice(e, now_ms > window_ms ? now_ms - window_ms : 0) == -1) {
		/* a page that cannot be read keeps nobody's rows for ever:
		 * the next pass begins at the front again */
		if (errno != EUCLEAN)
			return -1;
		e->place.done = true;
	}
	if (!e->place.done)
		return 0;
	e->now = false;
	e->next_ns = now_ns + pause_for(window_ms);
	return 1;
}
