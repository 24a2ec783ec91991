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
 * back.  Every reader checks each author's order; TSan checks the rest.
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

static void *log_mem, *live_mem, *wake_mem;
static size_t log_size, live_size;
static int efd[WAKE_CONSUMERS];
static _Atomic bool stop;
static _Atomic unsigned long delivered, delivered_live, rejoined, wrong;

struct worker {
	unsigned slot;
	pthread_t thread;
	struct ring *log, *live;
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

static void *
scribe_main(void *arg)
{
	static _Alignas(8) char buf[ARENA_BYTES / 4];
	struct wake *wake = wake_attach(wake_mem, efd);
	struct ring *r = attach(log_mem, log_size, wake);
	uint64_t next = ring_durable_seq(r), from;
	struct ring_index ix;
	size_t len;

	while (!stop) {
		for (from = next; ring_published(r, next); next++) {
			if (ring_fetch(r, next, buf, sizeof(buf), &len, &ix) !=
			    RING_OK)
				complain("scribe: bad record", next);
			ix.verdict = RING_STORED;
			ix.seq = next;
			ring_decide(r, next, &ix);
		}
		if (next > from)
			ring_durable(r, from, next);
		(void)ring_gate(r, now_ns());
		if (next > from)
			continue;
		wake_prepare(wake, WAKE_SCRIBE);
		nap(wake, WAKE_SCRIBE,
		    ring_published(r, next) || ring_join_wanted(r),
		    ring_space_wanted(r) ? 1 : 20);
	}
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
publish_one(struct worker *w, struct ring *r, unsigned type, uint64_t counter)
{
	static const char body[600];
	struct record h = { .type = (uint16_t)type,
		.room = 1 + any(w, 8),
		.user = counter,
		.client = w->slot };
	struct record_field f[3] = { { "id", 2 }, { "s", 1 }, { body, 0 } };
	uint64_t gseq;
	size_t len;

	f[2].len = any(w, sizeof(body));
	len = record_build(w->rec, sizeof(w->rec), &h, f, 3);
	if (ring_publish(r, w->rec, len, &gseq) == 0)
		return true;
	if (errno != EAGAIN)
		complain("ring_publish", counter);
	ring_want_space(r, w->slot);
	return false;
}

static bool
publish_some(struct worker *w)
{
	unsigned n = any(w, 8);
	bool worked = false;

	while (n-- > 0) {
		if (publish_one(w, w->live, RECORD_TYPING, w->live_counter + 1))
			w->live_counter++;
		if (!publish_one(w, w->log, RECORD_MESSAGE, w->counter + 1))
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

	return ring_limit(w->live, w->live_cursor) > w->live_cursor ||
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
		worked = read_live(w);
		worked = read_log(w) || worked;
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
worker_start(unsigned slot, struct ring *log, struct ring *live)
{
	struct worker *w = &worker[slot];

	w->slot = slot;
	w->seed = slot + 1;
	w->wake = wake_attach(wake_mem, efd);
	w->log = attach(log_mem, log_size, w->wake);
	w->live = attach(live_mem, live_size, w->wake);
	ring_follow_interest(w->live, w->log);
	ring_interest(w->log, slot, 1 + slot, true);
	ring_producer_init(w->log,
	    (unsigned)ring_arena_take(log, slot, slot + 1));
	ring_producer_init(w->live,
	    (unsigned)ring_arena_take(live, slot, slot + 1));
	ring_join(w->log, slot, slot + 1);
	ring_join(w->live, slot, slot + 1);
	w->live_cursor = ring_join_pos(w->live, slot);
	if (pthread_create(&w->thread, NULL, worker_main, w) != 0)
		err(2, "pthread_create");
}

static void *
make(enum ring_kind kind, size_t *size)
{
	struct ring_geometry g = { kind, 6, WORKERS + 1, ARENA_BYTES };
	uint8_t id[16] = { 0 };
	void *mem;

	*size = ring_size(&g);
	mem = mmap(NULL, *size, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (mem == MAP_FAILED || ring_create(mem, *size, &g, id, 640) == -1)
		err(2, "ring_create");
	return mem;
}

int
main(int argc, char **argv)
{
	unsigned seconds = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 5;
	struct ring_info log_info, live_info;
	struct ring *log, *live;
	pthread_t scribe;
	unsigned i;

	log_mem = make(RING_LOG, &log_size);
	live_mem = make(RING_LIVE, &live_size);
	if ((wake_mem = aligned_alloc(128, wake_size())) == NULL)
		err(2, "aligned_alloc");
	memset(wake_mem, 0, wake_size());
	for (i = 0; i < WAKE_CONSUMERS; i++)
		if ((efd[i] = eventfd(0, EFD_NONBLOCK)) == -1)
			err(2, "eventfd");
	log = attach(log_mem, log_size, NULL);
	live = attach(live_mem, live_size, NULL);
	if (pthread_create(&scribe, NULL, scribe_main, NULL) != 0)
		err(2, "pthread_create");
	for (i = 0; i < WORKERS; i++)
		worker_start(i, log, live);
	for (i = 0; i < seconds * 10 && !stop; i++)
		usleep(100000);
	stop = true;
	pthread_join(scribe, NULL);
	for (i = 0; i < WORKERS; i++)
		pthread_join(worker[i].thread, NULL);
	ring_info(log, &log_info);
	ring_info(live, &live_info);
	printf("%llu records, %lu read, %llu evictions; live %llu, %lu read, "
	       "%llu evictions; %lu joins\n",
	    (unsigned long long)log_info.published, delivered,
	    (unsigned long long)log_info.evictions,
	    (unsigned long long)live_info.published, delivered_live,
	    (unsigned long long)live_info.evictions, rejoined);
	printf("%s\n", wrong == 0 && delivered > 0 ? "PASS" : "FAIL");
	return wrong == 0 && delivered > 0 && delivered_live > 0 ? 0 : 1;
}
