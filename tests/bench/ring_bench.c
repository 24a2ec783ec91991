/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * ring_bench - what one ring_publish() costs, against a floor.
 *
 *	ring_bench [-r rounds] [-s record bytes] [-l log2 slots]
 *
 * Producers are processes, each on a processor of its own as far as there
 * are enough.  They publish in bursts, all starting together, into a ring
 * that has room for the burst; between bursts, off the clock, everything is
 * drained.  A figure is CPU time of the producer, so that other programs on
 * the machine count only through the caches; given is the median over the
 * bursts in which the producers really ran side by side for at least 3/4 of
 * the time, and how many those were.
 *
 * The floor is the same bytes copied with memcpy() to the same kind of place
 * and one uncontended compare-and-swap on a slot word, in one process.
 */

#include <sys/mman.h>
#include <sys/wait.h>

#include <err.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "shm/record.h"
#include "shm/ring.h"

#define MAX_PRODUCERS 4
#define MAX_ROUNDS 2000

static unsigned rounds = 200;
static unsigned record_bytes = 300;
static unsigned log2_slots = 16;

/* Shared by parent and producers. */
struct board {
	_Atomic unsigned round;
	_Atomic unsigned ready, done;
	struct sample {
		uint64_t begin, end;
		double ns;
	} sample[MAX_PRODUCERS][MAX_ROUNDS];
};

static uint64_t
clock_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void *
shared(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (p == MAP_FAILED)
		err(1, "mmap");
	return p;
}

static size_t
make_record(void *buf, size_t size)
{
	static char body[65536];
	struct record h = { .type = RECORD_MESSAGE, .room = 1 };
	struct record_field f[3] = { { "m1", 2 }, { "s1", 2 }, { body, 0 } };
	size_t len = record_length(f, 3);

	f[2].len = record_bytes > len ? (uint32_t)(record_bytes - len) : 0;
	memset(body, 'x', sizeof(body));
	if ((len = record_build(buf, size, &h, f, 3)) == 0)
		errx(1, "record too long");
	return len;
}

static int
compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double
median(double *v, size_t n)
{
	qsort(v, n, sizeof(*v), compare);
	return v[n / 2];
}

/* As many as fit into a quarter of the slots and into the arena. */
static unsigned
burst(const struct ring_geometry *g, size_t len)
{
	size_t granules = (len + RING_GRANULE - 1) / RING_GRANULE;
	size_t fit = g->arena_bytes / RING_GRANULE / granules;
	size_t quota = ((size_t)1 << g->log2_slots) / 4;

	return (unsigned)(fit < quota ? fit : quota);
}

static double
floor_ns(const struct ring_geometry *g)
{
	static _Alignas(8) char rec[65536];
	static double ns[MAX_ROUNDS];
	size_t len = make_record(rec, sizeof(rec)), i;
	size_t step = (len + RING_GRANULE - 1) / RING_GRANULE * RING_GRANULE;
	size_t n = (size_t)1 << g->log2_slots, at, pos = 0, count;
	_Atomic uint64_t *slot = shared(n * sizeof(*slot));
	char *arena = shared(g->arena_bytes);
	uint64_t start, word;
	unsigned r;

	count = burst(g, len);
	for (r = 0; r < rounds; r++) {
		start = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
		for (i = at = 0; i < count; i++, at += step) {
			memcpy(arena + at, rec, len);
			word = atomic_load(&slot[pos & (n - 1)]);
			atomic_compare_exchange_strong(&slot[pos & (n - 1)],
			    &word, word + 1);
			pos++;
		}
		ns[r] = (double)(clock_ns(CLOCK_PROCESS_CPUTIME_ID) - start) /
		    (double)count;
	}
	return median(ns, rounds);
}

/* Alone on processor 'id', if there are that many. */
static bool
pin(unsigned id)
{
	cpu_set_t all, one;
	int cpu;

	if (sched_getaffinity(0, sizeof(all), &all) == -1 ||
	    id >= (unsigned)CPU_COUNT(&all))
		return false;
	for (cpu = 0; !CPU_ISSET(cpu, &all) || id-- > 0; cpu++)
		continue;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	return sched_setaffinity(0, sizeof(one), &one) == 0;
}

static void
produce(struct board *b, void *mem, size_t size, unsigned id, unsigned arena)
{
	static _Alignas(8) char rec[65536];
	size_t len = make_record(rec, sizeof(rec));
	struct ring_geometry g = { RING_LOG, log2_slots, 1, 0 };
	unsigned round, i, count;
	struct sample *s;
	const char *why;
	struct ring *r = ring_attach(mem, size, NULL, &why);
	uint64_t start, gseq;
	bool alone = pin(id);

	if (r == NULL)
		errx(1, "%s", why);
	ring_producer_init(r, arena);
	g.arena_bytes = ring_arena_bytes(r);
	count = burst(&g, len);
	for (round = 0; round < rounds; round++) {
		s = &b->sample[id][round];
		atomic_fetch_add(&b->ready, 1);
		while (atomic_load(&b->round) <= round)
			if (!alone)
				sched_yield();
		s->begin = clock_ns(CLOCK_MONOTONIC);
		start = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
		for (i = 0; i < count; i++)
			if (ring_publish(r, rec, len, &gseq) == -1)
				err(1, "ring_publish");
		s->ns = (double)(clock_ns(CLOCK_PROCESS_CPUTIME_ID) - start) /
		    count;
		s->end = clock_ns(CLOCK_MONOTONIC);
		atomic_fetch_add(&b->done, 1);
	}
	_exit(0);
}

/* Did all producers run at the same time in this round, mostly? */
static bool
side_by_side(const struct board *b, unsigned producers, unsigned round)
{
	uint64_t first = UINT64_MAX, last = 0, begin = 0, end = UINT64_MAX;
	const struct sample *s;
	unsigned i;

	for (i = 0; i < producers; i++) {
		s = &b->sample[i][round];
		first = s->begin < first ? s->begin : first;
		begin = s->begin > begin ? s->begin : begin;
		last = s->end > last ? s->end : last;
		end = s->end < end ? s->end : end;
	}
	return end > begin && (end - begin) * 4 >= (last - first) * 3;
}

/* Everything published becomes durable and free. */
static void
drain(struct ring *r)
{
	uint64_t n = ring_durable_seq(r), from = n;

	while (ring_published(r, n))
		n++;
	ring_durable(r, from, n);
	(void)ring_gate(r, 1);
}

static double
ring_ns(const struct ring_geometry *g, unsigned producers, unsigned *used_r)
{
	static double ns[MAX_PRODUCERS * MAX_ROUNDS];
	static const uint8_t id[16];
	size_t size = ring_size(g);
	struct board *b = shared(sizeof(*b));
	void *mem = shared(size);
	pid_t pid[MAX_PRODUCERS];
	struct ring *r;
	const char *why;
	unsigned i, round, n = 0;

	if (ring_create(mem, size, g, id, 0) == -1)
		err(1, "ring_create");
	if ((r = ring_attach(mem, size, NULL, &why)) == NULL)
		errx(1, "%s", why);
	for (i = 0; i < producers; i++) {
		int arena = ring_arena_take(r, i, 1);

		if (arena == -1 || (pid[i] = fork()) == -1)
			err(1, "producer %u", i);
		if (pid[i] == 0)
			produce(b, mem, size, i, (unsigned)arena);
	}
	for (round = 0; round < rounds; round++) {
		while (atomic_load(&b->ready) < (round + 1) * producers)
			usleep(100);
		drain(r);
		atomic_store(&b->round, round + 1);
		while (atomic_load(&b->done) < (round + 1) * producers)
			usleep(100);
	}
	for (i = 0; i < producers; i++)
		waitpid(pid[i], NULL, 0);
	for (round = 0; round < rounds; round++) {
		if (!side_by_side(b, producers, round))
			continue;
		for (i = 0; i < producers; i++)
			ns[n++] = b->sample[i][round].ns;
	}
	*used_r = n / producers;
	ring_detach(&r);
	munmap(mem, size);
	munmap(b, sizeof(*b));
	return n > 0 ? median(ns, n) : 0;
}

int
main(int argc, char **argv)
{
	static const unsigned producers[] = { 1, 2, 4 };
	struct ring_geometry g = { RING_LOG, 0, MAX_PRODUCERS + 1, 4 << 20 };
	double floor, ns;
	unsigned i, used;
	int ch;

	while ((ch = getopt(argc, argv, "r:s:l:")) != -1) {
		unsigned v = (unsigned)strtoul(optarg, NULL, 10);

		if (ch == 'r' && v > 0 && v <= MAX_ROUNDS / MAX_PRODUCERS)
			rounds = v;
		else if (ch == 's' && v <= 32768)
			record_bytes = v;
		else if (ch == 'l')
			log2_slots = v;
		else
			errx(2,
			    "usage: ring_bench [-r rounds] [-s bytes] "
			    "[-l log2 slots]");
	}
	g.log2_slots = log2_slots;
	if (ring_size(&g) == 0)
		errx(2, "slots must be from 2^6 to 2^24");
	floor = floor_ns(&g);
	printf("floor (memcpy + 1 CAS)  %6.1f ns  record %u bytes, %u slots\n",
	    floor, record_bytes, 1u << log2_slots);
	for (i = 0; i < sizeof(producers) / sizeof(producers[0]); i++) {
		ns = ring_ns(&g, producers[i], &used);
		printf("ring_publish, %u prod.   %6.1f ns  %.1f x floor  "
		       "(%u of %u bursts)\n",
		    producers[i], ns, ns / floor, used, rounds);
	}
	return 0;
}
