/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * ring_threads - both rings with threads for processes, for ThreadSanitizer.
 *
 *	ring_threads [seconds]
 *
 * TSan sees only one process, so scribe and workers are threads here, each
 * with its own view of the rings, over the code that production runs.  Tiny
 * rings, a worker that dawdles and is evicted, workers that leave and come
 * back, and rings that follow on each other all the time.  Every reader
 * checks each author's order, over all rings; TSan checks the rest, and rings
 * that have been left are unmapped.
 */

#include <sys/eventfd.h>
#include <sys/mman.h>

#include <err.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "shm/record.h"
#include "shm/ring.h"

#define WORKERS 3
#define ARENA_BYTES 65536

/* One generation of rings; the main thread is the master. */
struct rings {
	void *log_mem, *live_mem;
	size_t log_size, live_size;
	struct ring *log, *live;
	int arena[WORKERS][2];
};

/* those in force, and those that follow on them */
static struct rings now, next;
/* how many generations there have been, and who has come how far with it;
 * the last place is the scribe's */
static _Atomic unsigned offered, mapped[WORKERS + 1], left[WORKERS + 1];
static void *wake_mem;
static struct wake *master_wake;
static int efd[WAKE_CONSUMERS];
static _Atomic bool stop;
static _Atomic unsigned long delivered, delivered_live, rejoined, wrong;
static _Atomic unsigned long joined_late;
static unsigned long published, published_live, evictions, switches;

struct worker {
	unsigned slot;
	pthread_t thread;
	/* what it reads, what it publishes into, what follows on those */
	struct ring *log, *live, *to_log, *to_live, *next_log, *next_live;
	struct ring *old_log, *old_live;
	struct wake *wake;
	unsigned seed;
	uint64_t counter, live_counter, cursor, live_cursor;
	bool joined;
	/* by author, what came last; 0: unknown */
	uint64_t last[WORKERS], live_last[WORKERS];
	_Alignas(8) char rec[ARENA_BYTES / 4];
	_Alignas(8) char buf[ARENA_BYTES / 4];
};

static struct worker worker[WORKERS];

static void
complain(const char *what, uint64_t gseq)
{
	(void)fprintf(stderr, "WRONG: %s at %llu\n", what,
	    (unsigned long long)gseq);
	wrong++;
	stop = true;
}

static struct ring *
attach(void *mem, size_t size, struct wake *wake)
{
	const char *why;
	struct ring *r = ring_attach(mem, size, wake, &why);

	if (r == NULL)
		errx(2, "ring_attach: %s", why);
	return r;
}

static void
nap(struct wake *wake, unsigned who, bool work, int ms)
{
	struct pollfd p = { efd[who], POLLIN, 0 };

	if (!work)
		(void)poll(&p, 1, ms);
	wake_cancel(wake, who);
}

/* --- the scribe -------------------------------------------------------- */

static uint64_t
now_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* As scribe/rings.c: to the end of the old ring, then to the next. */
static void
scribe_follow(struct ring **r, struct ring **follows, uint64_t *pos,
    struct wake *wake)
{
	uint64_t end;

	if (*follows == NULL && mapped[WORKERS] != offered) {
		*follows = attach(next.log_mem, next.log_size, wake);
		mapped[WORKERS] = offered;
	}
	if (*follows == NULL || !ring_closed(*r, &end) || *pos != end)
		return;
	ring_detach(r);
	*r = *follows;
	*follows = NULL;
	*pos = ring_base(*r);
	wake_workers(wake, ~(uint64_t)0);
	left[WORKERS] = offered;
}

static void *
scribe_main(void *arg)
{
	static _Alignas(8) char buf[ARENA_BYTES / 4];
	struct wake *wake = wake_attach(wake_mem, efd);
	struct ring *r = attach(now.log_mem, now.log_size, wake);
	struct ring *follows = NULL;
	uint64_t pos = ring_durable_seq(r), from;
	struct ring_index ix;
	size_t len;

	while (!stop) {
		for (from = pos; ring_published(r, pos); pos++) {
			if (ring_fetch(r, pos, buf, sizeof(buf), &len, &ix) !=
			    RING_OK)
				complain("scribe: bad record", pos);
			ix.verdict = RING_STORED;
			ix.seq = pos;
			ring_decide(r, pos, &ix);
		}
		if (pos > from)
			ring_durable(r, from, pos);
		scribe_follow(&r, &follows, &pos, wake);
		(void)ring_gate(r, now_ns());
		if (pos > from)
			continue;
		wake_prepare(wake, WAKE_SCRIBE);
		nap(wake, WAKE_SCRIBE,
		    ring_published(r, pos) || ring_join_wanted(r),
		    ring_space_wanted(r) ? 1 : 20);
	}
	ring_detach(&follows);
	ring_detach(&r);
	wake_detach(&wake);
	return NULL;
}

/* --- workers ----------------------------------------------------------- */

static unsigned
any(struct worker *w, unsigned n)
{
	w->seed = w->seed * 1103515245 + 12345;
	return (w->seed >> 16) % n;
}

static void
check_order(uint64_t *last, const struct record *rec, uint64_t gseq)
{
	if (rec->client >= WORKERS)
		complain("no such author", gseq);
	else if (last[rec->client] != 0 && rec->user != last[rec->client] + 1)
		complain("an author's order", gseq);
	else
		last[rec->client] = rec->user;
}

/* As shm/child.c. */
static void
map_next(struct worker *w)
{
	unsigned slot = w->slot;

	if (w->next_log != NULL || mapped[slot] == offered)
		return;
	w->next_log = attach(next.log_mem, next.log_size, w->wake);
	w->next_live = attach(next.live_mem, next.live_size, w->wake);
	ring_producer_init(w->next_log, (unsigned)next.arena[slot][0]);
	ring_producer_init(w->next_live, (unsigned)next.arena[slot][1]);
	ring_follow_interest(w->next_live, w->next_log);
	ring_mirror_interest(w->log, slot, w->next_log);
	ring_seat(w->next_log, slot, slot + 1);
	ring_seat(w->next_live, slot, slot + 1);
	w->old_log = w->log;
	w->old_live = w->live;
	mapped[slot] = offered;
}

/* As worker/rings.c. */
static void
pass(struct worker *w)
{
	uint64_t end;

	if (w->next_log == NULL)
		return;
	if (w->log == w->old_log && w->joined &&
	    ring_state(w->log, w->slot) == RING_ACTIVE) {
		if (ring_ends_at(w->log, w->cursor)) {
			w->log = w->next_log;
			w->cursor = ring_base(w->log);
		}
	} else if (w->log == w->old_log && ring_closed(w->log, &end)) {
		w->log = w->next_log;
		w->joined = false;
		ring_join(w->log, w->slot, w->slot + 1);
		joined_late++;
	}
	if (w->live == w->old_live && ring_ends_at(w->live, w->live_cursor)) {
		w->live = w->next_live;
		w->live_cursor = ring_base(w->live);
	}
	if (w->log == w->old_log || w->live == w->old_live)
		return;
	w->to_log = w->log;
	w->to_live = w->live;
	ring_detach(&w->old_live);
	ring_detach(&w->old_log);
	w->next_log = w->next_live = NULL;
	left[w->slot] = offered;
}

static bool
may_pass(struct worker *w)
{
	uint64_t end;

	if (w->next_log == NULL)
		return mapped[w->slot] != offered;
	return (w->live == w->old_live &&
		   ring_ends_at(w->live, w->live_cursor)) ||
	    (w->log == w->old_log && ring_closed(w->log, &end) &&
		(ring_state(w->log, w->slot) != RING_ACTIVE ||
		    ring_ends_at(w->log, w->cursor)));
}

static bool
read_live(struct worker *w)
{
	uint64_t end = ring_limit(w->live, w->live_cursor);
	bool worked = w->live_cursor < end;
	enum ring_result res = RING_OK;
	size_t len;

	for (; w->live_cursor < end && res == RING_OK; w->live_cursor++) {
		res = ring_read(w->live, w->slot, w->live_cursor, w->buf,
		    sizeof(w->buf), &len);
		if (res != RING_OK)
			break;
		check_order(w->live_last, (const struct record *)w->buf,
		    w->live_cursor);
		delivered_live++;
	}
	if (res == RING_OK)
		ring_advance(w->live, w->slot, w->live_cursor);
	else if (res != RING_GONE)
		complain("live: bad record", w->live_cursor);
	if (res != RING_OK || any(w, 2000) == 0) {
		ring_join(w->live, w->slot, w->slot + 1);
		w->live_cursor = ring_join_pos(w->live, w->slot);
		memset(w->live_last, 0, sizeof(w->live_last));
		rejoined++;
	}
	return worked;
}

static enum ring_result
read_one(struct worker *w)
{
	const struct record *rec = (const struct record *)w->buf;
	struct ring_index ix;
	enum ring_result res;
	size_t len;

	res = ring_peek(w->log, w->slot, w->cursor, &ix);
	if (res == RING_OK)
		res = ring_read(w->log, w->slot, w->cursor, w->buf,
		    sizeof(w->buf), &len);
	if (res != RING_OK)
		return res;
	if (ix.user != rec->user || ix.len != len || ix.seq != w->cursor)
		complain("index and record differ", w->cursor);
	check_order(w->last, rec, w->cursor);
	delivered++;
	return res;
}

static bool
read_log(struct worker *w)
{
	uint64_t limit = ring_limit(w->log, w->cursor), from;
	enum ring_result res = RING_OK;

	switch (ring_state(w->log, w->slot)) {
	case RING_JOINING:
		return false;
	case RING_ACTIVE:
		break;
	default:
		w->joined = false;
		ring_join(w->log, w->slot, w->slot + 1);
		return true;
	}
	if (!w->joined) {
		/* what was missed would be in the store */
		w->joined = true;
		w->cursor = ring_join_pos(w->log, w->slot);
		memset(w->last, 0, sizeof(w->last));
		rejoined++;
	}
	from = w->cursor;
	for (; w->cursor < limit && res == RING_OK; w->cursor++)
		if ((res = read_one(w)) != RING_OK)
			break;
	if (res == RING_OK)
		ring_advance(w->log, w->slot, w->cursor);
	else if (res != RING_GONE)
		complain("log: bad record", w->cursor);
	if (any(w, 5000) == 0)
		ring_quit(w->log, w->slot);
	return w->cursor > from;
}

static bool
publish_one(struct worker *w, bool live, unsigned type, uint64_t counter)
{
	static const char body[600];
	struct record h = { .type = (uint16_t)type,
		.room = 1 + any(w, 8),
		.user = counter,
		.client = w->slot };
	struct record_field f[3] = { { "id", 2 }, { "s", 1 }, { body, 0 } };
	struct ring **to = live ? &w->to_live : &w->to_log;
	uint64_t gseq;
	size_t len;

	f[2].len = any(w, sizeof(body));
	len = record_build(w->rec, sizeof(w->rec), &h, f, 3);
	if (ring_publish(*to, w->rec, len, &gseq) == 0)
		return true;
	if (errno == ESHUTDOWN) {
		if (w->next_log == NULL)
			complain("closed, and nothing follows", counter);
		else
			*to = live ? w->next_live : w->next_log;
		return false;
	}
	if (errno != EAGAIN)
		complain("ring_publish", counter);
	ring_want_space(*to, w->slot);
	return false;
}

static bool
publish_some(struct worker *w)
{
	unsigned n = any(w, 8);
	bool worked = false;

	while (n-- > 0) {
		if (publish_one(w, true, RECORD_TYPING, w->live_counter + 1))
			w->live_counter++;
		if (!publish_one(w, false, RECORD_MESSAGE, w->counter + 1))
			break;
		w->counter++;
		worked = true;
	}
	return worked;
}

static bool
has_work(struct worker *w)
{
	enum ring_state state = ring_state(w->log, w->slot);

	return may_pass(w) ||
	    ring_limit(w->live, w->live_cursor) > w->live_cursor ||
	    (state == RING_ACTIVE &&
		ring_limit(w->log, w->cursor) > w->cursor) ||
	    state == RING_EVICTED || state == RING_FREE;
}

static void *
worker_main(void *arg)
{
	struct worker *w = arg;
	bool worked;

	while (!stop) {
		map_next(w);
		worked = read_live(w);
		worked = read_log(w) || worked;
		pass(w);
		worked = publish_some(w) || worked;
		/* long enough to be evicted, now and then */
		if (any(w, 20000) == 0)
			usleep(300000);
		if (worked)
			continue;
		wake_prepare(w->wake, w->slot);
		nap(w->wake, w->slot, has_work(w), 5);
	}
	return NULL;
}

static void
worker_start(unsigned slot)
{
	struct worker *w = &worker[slot];

	w->slot = slot;
	w->seed = slot + 1;
	w->wake = wake_attach(wake_mem, efd);
	w->log = w->to_log = attach(now.log_mem, now.log_size, w->wake);
	w->live = w->to_live = attach(now.live_mem, now.live_size, w->wake);
	ring_follow_interest(w->live, w->log);
	ring_interest(w->log, slot, 1 + slot, true);
	ring_producer_init(w->log, (unsigned)now.arena[slot][0]);
	ring_producer_init(w->live, (unsigned)now.arena[slot][1]);
	ring_join(w->log, slot, slot + 1);
	ring_join(w->live, slot, slot + 1);
	w->live_cursor = ring_join_pos(w->live, slot);
	if (pthread_create(&w->thread, NULL, worker_main, w) != 0)
		err(2, "pthread_create");
}

/* --- the master -------------------------------------------------------- */

static void *
make(enum ring_kind kind, unsigned log2_slots, uint64_t base, size_t *size)
{
	struct ring_geometry g = { kind, log2_slots, WORKERS + 1, ARENA_BYTES };
	uint8_t id[16] = { 0 };
	void *mem;

	*size = ring_size(&g);
	mem = mmap(NULL, *size, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (mem == MAP_FAILED || ring_create(mem, *size, &g, id, base) == -1)
		err(2, "ring_create");
	return mem;
}

static void
rings_make(struct rings *r, unsigned log2_slots, uint64_t base)
{
	r->log_mem = make(RING_LOG, log2_slots, base, &r->log_size);
	r->live_mem = make(RING_LIVE, log2_slots, base, &r->live_size);
	r->log = attach(r->log_mem, r->log_size, NULL);
	r->live = attach(r->live_mem, r->live_size, NULL);
	for (unsigned i = 0; i < WORKERS; i++) {
		r->arena[i][0] = ring_arena_take(r->log, i, i + 1);
		r->arena[i][1] = ring_arena_take(r->live, i, i + 1);
	}
}

static void
rings_free(struct rings *r)
{
	struct ring_info log, live;

	ring_info(r->log, &log);
	ring_info(r->live, &live);
	published += log.published;
	published_live += live.published;
	evictions += log.evictions + live.evictions;
	ring_detach(&r->log);
	ring_detach(&r->live);
	(void)munmap(r->log_mem, r->log_size);
	(void)munmap(r->live_mem, r->live_size);
}

static bool
all_have(_Atomic unsigned *place)
{
	for (unsigned i = 0; i <= WORKERS; i++)
		if (place[i] != offered)
			return false;
	return true;
}

static void
await(_Atomic unsigned *place)
{
	while (!stop && !all_have(place)) {
		wake_kick_all(master_wake);
		usleep(500);
	}
}

/* Rings that follow, while everybody works. */
static void
follow(void)
{
	struct ring_info info;
	uint64_t base, end;

	ring_info(now.log, &info);
	base = (info.end + 64 * info.slots + 65535) / 256 * 256;
	rings_make(&next, switches % 2 == 0 ? 8 : 6, base);
	offered++;
	await(mapped);
	while (!stop && ring_close(now.log, base, &end) == -1) {
		if (errno != EAGAIN)
			complain("ring_close", base);
		usleep(100);
	}
	if (!stop && ring_close(now.live, UINT64_MAX, &end) == -1)
		complain("ring_close live", base);
	wake_kick_all(master_wake);
	await(left);
	if (stop)
		return;
	rings_free(&now);
	now = next;
	switches++;
}

int
main(int argc, char **argv)
{
	unsigned seconds = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 5;
	uint64_t until = now_ns() + seconds * 1000000000ull;
	pthread_t scribe;
	unsigned i;
	bool ok;

	if ((wake_mem = aligned_alloc(128, wake_size())) == NULL)
		err(2, "aligned_alloc");
	memset(wake_mem, 0, wake_size());
	for (i = 0; i < WAKE_CONSUMERS; i++)
		if ((efd[i] = eventfd(0, EFD_NONBLOCK)) == -1)
			err(2, "eventfd");
	master_wake = wake_attach(wake_mem, efd);
	rings_make(&now, 6, 640);
	if (pthread_create(&scribe, NULL, scribe_main, NULL) != 0)
		err(2, "pthread_create");
	for (i = 0; i < WORKERS; i++)
		worker_start(i);
	while (now_ns() < until && !stop) {
		usleep(30000);
		follow();
	}
	stop = true;
	wake_kick_all(master_wake);
	pthread_join(scribe, NULL);
	for (i = 0; i < WORKERS; i++)
		pthread_join(worker[i].thread, NULL);
	rings_free(&now);
	printf("%lu records, %lu read; live %lu, %lu read; %lu evictions, %lu "
	       "joins; %lu switches, %lu joined late\n",
	    published, delivered, published_live, delivered_live, evictions,
	    rejoined, switches, joined_late);
	ok = wrong == 0 && delivered > 0 && delivered_live > 0 && switches > 0;
	printf("%s\n", ok ? "PASS" : "FAIL");
	return ok ? 0 : 1;
}
