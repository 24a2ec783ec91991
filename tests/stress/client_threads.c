/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * client_threads - clients that change hands while workers die.
 *
 *	client_threads [seconds] [seed]
 *
 * A master and workers as threads, for ThreadSanitizer, over the code that
 * production runs; a few slots, so that each is somebody else's all the
 * time.  A worker dies by ending at one of the points that matter, and is
 * buried as the real master does it.  What travels in messages is only a
 * number and is read and written without any order: all order comes from the
 * records' owners, or TSan complains about the rest of the record.
 *
 * In the end nobody dies any more, everything is closed, and not one record
 * may be left.
 */

#include <err.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "shm/client.h"
#include "shm/iobuf.h"
#include "shm/tables.h"

#define WORKERS 4
#define CLIENTS 24
/* messages that an inbox holds: so few that it often is full */
#define INBOX 3
#define LEAK_S 20

/* Where a worker dies. */
enum point {
	BEFORE_SENDING,
	AFTER_SENDING,
	BEFORE_TAKING,
	AFTER_TAKING,
	IN_BETWEEN,
};

enum phase {
	BUSY,
	/* nobody dies, nothing new comes, everything is closed */
	ENDING,
	ENDED,
};

static _Atomic enum phase phase;
static _Atomic unsigned long handed, taken, back, buried_before_back, late;

/* Messages: slot and generation; 0: empty. */
struct inbox {
	_Atomic uint64_t cell[INBOX];
};

struct worker {
	struct tables *tables;
	pthread_t thread;
	unsigned slot;
	uint32_t incarnation;
	unsigned seed;
	bool alive;
	/* its process has ended; the master has not noticed yet */
	_Atomic bool dead;
	/* from other workers; outlives the worker */
	struct inbox inbox;
	/* from the master; does not */
	struct inbox passed;
	unsigned n;
	struct {
		uint32_t slot, generation;
	} own[CLIENTS];
};

static struct worker worker[WORKERS];
/* the master's: which use of a slot is under way, 0: none */
static uint32_t in_use[CLIENTS];
static struct client_pool *pool;

static void __attribute__((noreturn, format(printf, 1, 2)))
wrong(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	(void)fputc('\n', stderr);
	exit(1);
}

/* --- messages ------------------------------------------------------------ */

static bool
put(struct inbox *in, uint32_t slot, uint32_t generation)
{
	uint64_t msg = (uint64_t)generation << 32 | slot, empty;

	for (int i = 0; i < INBOX; i++) {
		empty = 0;
		if (atomic_compare_exchange_strong_explicit(&in->cell[i],
			&empty, msg, memory_order_relaxed,
			memory_order_relaxed))
			return true;
	}
	return false;
}

static bool
get(struct inbox *in, uint32_t *slot_r, uint32_t *generation_r)
{
	uint64_t msg;

	for (int i = 0; i < INBOX; i++) {
		msg = atomic_exchange_explicit(&in->cell[i], 0,
		    memory_order_relaxed);
		if (msg == 0)
			continue;
		*slot_r = (uint32_t)msg;
		*generation_r = (uint32_t)(msg >> 32);
		return true;
	}
	return false;
}

/* --- a worker ------------------------------------------------------------ */

static unsigned
dice(struct worker *w, unsigned sides)
{
	return (unsigned)rand_r(&w->seed) % sides;
}

static bool
dies(struct worker *w, enum point at)
{
	/* most of its time it is in between */
	static const unsigned odds[] = { 40, 40, 40, 40, 800 };

	/* one never does: what it gave is nobody's but the receiver's to bury */
	return phase == BUSY && w->slot != 0 && dice(w, odds[at]) == 0;
}

/*
 * What a record holds follows from its generation and from how often it
 * changed hands; nobody but its owner writes there.
 */
static void
look_at(struct worker *w, uint32_t slot, uint32_t generation)
{
	struct client *c = client_at(w->tables, slot);
	struct client_owner o = client_owner(c);

	if (o.state != CLIENT_OPEN || o.worker != w->slot ||
	    o.incarnation != w->incarnation || c->generation != generation)
		wrong("slot %u: not the worker's that has it", slot);
	if (c->in_off != 0 && c->in_off != generation)
		wrong("slot %u: another one's record", slot);
	if (c->out_off != c->cursor)
		wrong("slot %u: half written", slot);
	c->in_off = generation;
	c->out_off++;
	c->cursor++;
}

static void
own(struct worker *w, uint32_t slot, uint32_t generation)
{
	if (w->n == CLIENTS)
		wrong("worker %u has more than there are", w->slot);
	w->own[w->n].slot = slot;
	w->own[w->n++].generation = generation;
	look_at(w, slot, generation);
}

/* false: it died. */
static bool
give(struct worker *w, unsigned i)
{
	uint32_t slot = w->own[i].slot, generation = w->own[i].generation;
	unsigned to = (w->slot + 1 + dice(w, WORKERS - 1)) % WORKERS;

	client_hand(w->tables, slot, to);
	if (dies(w, BEFORE_SENDING))
		return false;
	if (!put(&worker[to].inbox, slot, generation)) {
		if (client_take_back(w->tables, slot, generation, w->slot,
			w->incarnation)) {
			back++;
			look_at(w, slot, generation);
			return true;
		}
		buried_before_back++;
	} else {
		handed++;
	}
	w->own[i] = w->own[--w->n];
	return !dies(w, AFTER_SENDING);
}

static bool
take_all(struct worker *w)
{
	uint32_t slot, generation;

	while (get(&w->passed, &slot, &generation)) {
		if (client_open(w->tables, slot, generation, w->slot,
			w->incarnation) == NULL)
			wrong("slot %u: passed, and not there", slot);
		own(w, slot, generation);
	}
	while (get(&w->inbox, &slot, &generation)) {
		if (dies(w, BEFORE_TAKING))
			return false;
		if (client_take_handed(w->tables, slot, generation, w->slot,
			w->incarnation) == NULL) {
			late++;
			continue;
		}
		taken++;
		own(w, slot, generation);
		if (dies(w, AFTER_TAKING))
			return false;
	}
	return true;
}

/* One step with one of its clients; false: it died. */
static bool
step(struct worker *w)
{
	unsigned i;

	if (w->n == 0)
		return true;
	i = dice(w, w->n);
	look_at(w, w->own[i].slot, w->own[i].generation);
	if (phase != BUSY || dice(w, 8) == 0) {
		client_mark_closed(w->tables, w->own[i].slot);
		w->own[i] = w->own[--w->n];
		return true;
	}
	return dice(w, 2) == 0 || give(w, i);
}

static void *
worker_main(void *arg)
{
	struct worker *w = arg;

	while (phase != ENDED) {
		if (!take_all(w) || !step(w) || dies(w, IN_BETWEEN))
			break;
		if (w->n == 0 || dice(w, 16) == 0)
			(void)sched_yield();
	}
	w->dead = true;
	return NULL;
}

/* --- the master ---------------------------------------------------------- */

static void
let_go(void *arg, uint32_t slot, uint32_t generation)
{
	unsigned *n = arg;

	if (in_use[slot] != generation)
		wrong("slot %u: released twice", slot);
	in_use[slot] = 0;
	(*n)++;
	client_release(pool, slot);
}

static void
start(struct worker *w, uint32_t incarnation)
{
	w->incarnation = incarnation;
	w->n = 0;
	w->dead = false;
	memset(&w->passed, 0, sizeof(w->passed));
	if (pthread_create(&w->thread, NULL, worker_main, w) != 0)
		err(2, "pthread_create");
	w->alive = true;
}

static void
bury(struct tables *t, struct worker *w, unsigned *n)
{
	if (pthread_join(w->thread, NULL) != 0)
		err(2, "pthread_join");
	w->alive = false;
	(void)client_collect_closed(t, let_go, n);
	(void)client_bury(t, w->slot, w->incarnation, let_go, n);
}

static void
pass_one(struct tables *t)
{
	struct worker *w = &worker[(unsigned)random() % WORKERS];
	int64_t slot;

	if (!w->alive ||
	    (slot = client_pass(pool, w->slot, w->incarnation)) == -1)
		return;
	in_use[slot] = client_at(t, (uint32_t)slot)->generation;
	/* that it did not get through is known, and then it is not sent */
	if (!put(&w->passed, (uint32_t)slot, in_use[slot])) {
		in_use[slot] = 0;
		client_release(pool, (uint32_t)slot);
	}
}

static unsigned
turn(struct tables *t, uint32_t *incarnations)
{
	unsigned n = 0;

	for (unsigned i = 0; i < WORKERS; i++) {
		struct worker *w = &worker[i];

		if (w->alive && w->dead)
			bury(t, w, &n);
		if (w->alive)
			continue;
		/* some are not back at once */
		if (phase == BUSY && random() % 4 != 0)
			(void)client_bury_handed(t, i, let_go, &n);
		else
			start(w, ++*incarnations);
	}
	if (phase == BUSY)
		pass_one(t);
	(void)client_collect_closed(t, let_go, &n);
	return n;
}

static time_t
now_s(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec;
}

int
main(int argc, char *argv[])
{
	const struct tables_geometry g = { .max_clients = CLIENTS,
		.users = 64,
		.addresses = 64,
		.read_bytes = 8192,
		.encode_bytes = 8192,
		.chunk_bytes = IOBUF_SLAB };
	time_t seconds = argc > 1 ? strtol(argv[1], NULL, 10) : 3, end;
	long seed = argc > 2 ? strtol(argv[2], NULL, 10) : (long)time(NULL);
	unsigned long released = 0;
	uint32_t incarnations = 0;
	const char *why;
	struct tables *t = tables_create(&g, &why);

	if (t == NULL || (pool = client_pool_new(t)) == NULL)
		errx(2, "tables: %s", why);
	srandom((unsigned)seed);
	for (unsigned i = 0; i < WORKERS; i++) {
		worker[i].tables = t;
		worker[i].slot = i;
		worker[i].seed = (unsigned)seed + i;
		start(&worker[i], ++incarnations);
	}
	for (end = now_s() + seconds; now_s() < end;)
		released += turn(t, &incarnations);
	phase = ENDING;
	for (end = now_s() + LEAK_S; client_pool_available(pool) < CLIENTS;) {
		released += turn(t, &incarnations);
		if (now_s() > end)
			wrong("%u records leaked, seed %ld",
			    CLIENTS - client_pool_available(pool), seed);
	}
	phase = ENDED;
	for (unsigned i = 0; i < WORKERS; i++)
		if (worker[i].alive && pthread_join(worker[i].thread, NULL))
			err(2, "pthread_join");
	(void)printf("clients: %lu lived, %lu handed, %lu taken, %lu taken "
		     "back, %lu buried before, %lu too late, %u workers\n",
	    released, handed, taken, back, buried_before_back, late,
	    (unsigned)incarnations);
	/* a test in which none of it happens shows nothing */
	if (seconds >= 2 && (taken == 0 || back == 0 || late == 0))
		wrong("too little happened");
	client_pool_free(&pool);
	tables_free(&t);
	return 0;
}
