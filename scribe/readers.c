/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "scribe/readers.h"

#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"

struct look {
	struct readers *r;
	uint64_t now_ns;
};

void
readers_init(struct readers *r, struct store *s, readers_stuck_fn *stuck,
    void *arg)
{
	memset(r, 0, sizeof(*r));
	r->store = s;
	r->stuck = stuck;
	r->arg = arg;
	r->self = getpid();
}

/* What we know of this snapshot; NULL: too many are there. */
static struct reader_seen *
find(struct readers *r, const struct store_holder *h, uint64_t now_ns)
{
	struct reader_seen *s;
	unsigned i;

	for (i = 0; i < r->n; i++) {
		s = &r->seen[i];
		/* two snapshots of one process are two readers */
		if (s->pid == h->pid && s->txn == h->txn && !s->still)
			return s;
	}
	if (r->n == STORE_MAX_READERS)
		return NULL;
	s = &r->seen[r->n++];
	memset(s, 0, sizeof(*s));
	s->pid = h->pid;
	s->txn = h->txn;
	s->since_ns = now_ns;
	return s;
}

static void
judge(struct readers *r, struct reader_seen *s, const struct store_holder *h,
    uint64_t now_ns)
{
	uint64_t ns = now_ns - s->since_ns;

	if (!s->logged &&
	    (ns > READERS_SLOW_NS || h->age > READERS_SLOW_TXNS)) {
		s->logged = true;
		log_warn("a reader of the store holds a snapshot, and the file "
			 "may grow reader_pid=%ld ms=%llu transactions=%llu",
		    (long)h->pid, (unsigned long long)(ns / CLOCK_MS_NS),
		    (unsigned long long)h->age);
	}
	if (ns <= READERS_STUCK_NS ||
	    (s->told_ns != 0 && now_ns - s->told_ns < READERS_STUCK_NS))
		return;
	s->told_ns = now_ns;
	if (r->stuck != NULL)
		r->stuck(r->arg, h->pid, ns / CLOCK_MS_NS);
}

static bool
look_at(const struct store_holder *h, void *arg)
{
	struct look *l = arg;
	struct readers *r = l->r;
	struct reader_seen *s;
	uint64_t ns;

	/* one that sees the newest keeps nothing from being reused */
	if (h->pid == r->self || h->age == 0)
		return true;
	if ((s = find(r, h, l->now_ns)) == NULL)
		return true;
	s->still = true;
	judge(r, s, h, l->now_ns);
	ns = l->now_ns - s->since_ns;
	if (h->age > r->oldest_txns || r->oldest_pid == 0) {
		r->oldest_pid = h->pid;
		r->oldest_txns = h->age;
		r->oldest_ms = ns / CLOCK_MS_NS;
	}
	return true;
}

/* Those that are gone are forgotten. */
static void
forget(struct readers *r)
{
	unsigned i, n = 0;

	for (i = 0; i < r->n; i++) {
		if (!r->seen[i].still) {
			if (r->seen[i].logged)
				log_notice("the reader is gone reader_pid=%ld",
				    (long)r->seen[i].pid);
			continue;
		}
		r->seen[n] = r->seen[i];
		r->seen[n++].still = false;
	}
	r->n = n;
}

bool
readers_turn(struct readers *r, uint64_t now_ns)
{
	struct look l = { .r = r, .now_ns = now_ns };

	if (now_ns < r->next_ns)
		return false;
	r->next_ns = now_ns + READERS_EVERY_NS;
	r->oldest_pid = 0;
	r->oldest_ms = r->oldest_txns = 0;
	if (store_holder_each(r->store, look_at, &l) == -1)
		return true;
	forget(r);
	return true;
}
