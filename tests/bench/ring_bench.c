/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * ring_bench - what one ring_publish() costs, against a floor.
 *
 *	ring_bench [-j] [-r rounds] [-s record bytes] [-l log2 slots]
 *
 * -j: one line of JSON.
 *
 * Producers are processes, each on a processor of its own as far as there
 * are enough.  They publish in bursts, all starting together, into a ring
 * that has room for the burst; between bursts, off the clock, everything is
 * drained.  Two figures, both medians over the bursts:
 *
 *	all   time from the first start to the last end, over all records:
 *	      how fast the ring takes records from all producers together
 *	cpu   CPU time of a producer over its own records
 *
 * Counted are bursts in which the producers really ran side by side for at
 * least 3/4 of the time, where there are processors for that.
 *
 * The floor is run the same way: the same bytes copied with memcpy() to the
 * same kind of place, and one atomic operation on a word that is the
 * producer's own (floor) or everybody's (shared floor: what this machine
 * takes to hand a cache line to and fro, which any order of all records
 * must do).
 */

#include <sys/mman.h>
#include <sys/wait.h>

#include <err.h>
#include <errno.h>
#include <sched.h>
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
#define ARENA_BYTES (4 << 20)

enum what {
	FLOOR,
	SHARED_FLOOR,
	PUBLISH,
};

static unsigned rounds = 200;
static unsigned record_bytes = 300;
static unsigned log2_slots = 16;
static bool json;

struct sample {
	uint64_t begin, end;
	double cpu;
};

/* Shared by parent and producers. */
struct board {
	_Atomic unsigned round;
	_Atomic unsigned ready, done;
	_Alignas(128) _Atomic uint64_t word[(MAX_PRODUCERS + 1) * 16];
	struct sample sample[MAX_PRODUCERS][MAX_ROUNDS];
};

/* One measurement. */
struct run {
	enum what what;
	unsigned producers;
	struct board *board;
	/* the ring, or as many bytes for the floors to write to */
	void *mem;
	size_t size;
	/* records in a burst */
	unsigned count;
	unsigned used;
	double all, cpu;
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
	if (n == 0)
		return 0;
	qsort(v, n, sizeof(*v), compare);
	return v[n / 2];
}

static unsigned
processors(void)
{
	cpu_set_t all;

	if (sched_getaffinity(0, sizeof(all), &all) == -1)
		return 1;
	return (unsigned)CPU_COUNT(&all);
}

/* Alone on processor 'id', if there are that many. */
static void
pin(unsigned id)
{
	cpu_set_t all, one;
	int cpu;

	if (sched_getaffinity(0, sizeof(all), &all) == -1)
		return;
	for (cpu = 0; !CPU_ISSET(cpu, &all) || id-- > 0; cpu++)
		continue;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	(void)sched_setaffinity(0, sizeof(one), &one);
}

static void
burst_floor(const struct run *run, unsigned id, const void *rec, size_t len)
{
	size_t step = (len + RING_GRANULE - 1) / RING_GRANULE * RING_GRANULE;
	char *arena = (char *)run->mem + id * (size_t)ARENA_BYTES;
	_Atomic uint64_t *word = &run->board->word[0];
	unsigned i;

	if (run->what == FLOOR)
		word = &run->board->word[(id + 1) * 16];
	for (i = 0; i < run->count; i++, arena += step) {
		memcpy(arena, rec, len);
		atomic_fetch_add(word, 1);
	}
}

static void
burst_publish(struct ring *r, unsigned count, const void *rec, size_t len)
{
	uint64_t gseq;
	unsigned i;

	for (i = 0; i < count; i++)
		if (ring_publish(r, rec, len, &gseq) == -1)
			err(1, "ring_publish");
}

static void
produce(const struct run *run, unsigned id)
{
	static _Alignas(8) char rec[65536];
	size_t len = make_record(rec, sizeof(rec));
	bool alone = run->producers <= processors();
	struct board *b = run->board;
	struct ring *r = NULL;
	const char *why;
	struct sample *s;
	uint64_t start;
	unsigned round;

	if (alone)
		pin(id);
	if (run->what == PUBLISH) {
		r = ring_attach(run->mem, run->size, NULL, &why);
		if (r == NULL)
			errx(1, "%s", why);
		ring_producer_init(r, id + 1);
	}
	for (round = 0; round < rounds; round++) {
		s = &b->sample[id][round];
		atomic_fetch_add(&b->ready, 1);
		while (atomic_load(&b->round) <= round)
			if (!alone)
				sched_yield();
		s->begin = clock_ns(CLOCK_MONOTONIC);
		start = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
		if (r != NULL)
			burst_publish(r, run->count, rec, len);
		else
			burst_floor(run, id, rec, len);
		s->cpu = (double)(clock_ns(CLOCK_PROCESS_CPUTIME_ID) - start);
		s->end = clock_ns(CLOCK_MONOTONIC);
		atomic_fetch_add(&b->done, 1);
	}
	_exit(0);
}

/* From the first start to the last end, or 0 if the producers ran one after
 * the other though there were processors for all. */
static uint64_t
span(const struct run *run, unsigned round)
{
	uint64_t first = UINT64_MAX, last = 0, begin = 0, end = UINT64_MAX;
	const struct sample *s;
	unsigned i;

	for (i = 0; i < run->producers; i++) {
		s = &run->board->sample[i][round];
		first = s->begin < first ? s->begin : first;
		begin = s->begin > begin ? s->begin : begin;
		last = s->end > last ? s->end : last;
		end = s->end < end ? s->end : end;
	}
	if (run->producers <= processors() &&
	    (end < begin || (end - begin) * 4 < (last - first) * 3))
		return 0;
	return last - first;
}

static void
evaluate(struct run *run)
{
	static double all[MAX_ROUNDS], cpu[MAX_PRODUCERS * MAX_ROUNDS];
	unsigned round, i, n = 0;
	uint64_t ns;

	run->used = 0;
	for (round = 0; round < rounds; round++) {
		if ((ns = span(run, round)) == 0)
			continue;
		all[run->used++] = (double)ns / run->count / run->producers;
		for (i = 0; i < run->producers; i++)
			cpu[n++] =
			    run->board->sample[i][round].cpu / run->count;
	}
	run->all = median(all, run->used);
	run->cpu = median(cpu, n);
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

static struct ring *
make_ring(const struct run *run, const struct ring_geometry *g)
{
	static const uint8_t id[16];
	const char *why;
	struct ring *r;

	if (ring_create(run->mem, run->size, g, id, 0) == -1)
		err(1, "ring_create");
	if ((r = ring_attach(run->mem, run->size, NULL, &why)) == NULL)
		errx(1, "%s", why);
	return r;
}

static void
measure(struct run *run, enum what what, unsigned producers)
{
	struct ring_geometry g = { RING_LOG, log2_slots, MAX_PRODUCERS + 1,
		ARENA_BYTES };
	struct ring *r = NULL;
	struct board *b;
	unsigned i, round;

	run->what = what;
	run->producers = producers;
	run->size = ring_size(&g);
	run->mem = shared(run->size);
	run->board = b = shared(sizeof(*b));
	if (what == PUBLISH)
		r = make_ring(run, &g);
	for (i = 0; i < producers; i++)
		switch (fork()) {
		case -1:
			err(1, "fork");
		case 0:
			produce(run, i);
		}
	for (round = 0; round < rounds; round++) {
		while (atomic_load(&b->ready) < (round + 1) * producers)
			usleep(100);
		if (r != NULL)
			drain(r);
		atomic_store(&b->round, round + 1);
		while (atomic_load(&b->done) < (round + 1) * producers)
			usleep(100);
	}
	while (wait(NULL) != -1)
		continue;
	evaluate(run);
	ring_detach(&r);
	munmap(run->mem, run->size);
	munmap(run->board, sizeof(*run->board));
}

static void
report(struct run *run, unsigned producers)
{
	double all[PUBLISH + 1], cpu[PUBLISH + 1];
	unsigned what;

	for (what = FLOOR; what <= PUBLISH; what++) {
		measure(run, (enum what)what, producers);
		all[what] = run->all;
		cpu[what] = run->cpu;
	}
	if (json) {
		printf("%s{\"producers\":%u,\"ring\":%.1f,\"floor\":%.1f,"
		       "\"shared_floor\":%.1f,\"cpu\":%.1f}",
		    producers > 1 ? "," : "", producers, all[PUBLISH],
		    all[FLOOR], all[SHARED_FLOOR], cpu[PUBLISH]);
		return;
	}
	printf("%9u %8.1f %8.1f %8.1f %7.1f %7.1f %8.1f %8.1f %8.1f   %u/%u\n",
	    producers, all[PUBLISH], all[FLOOR], all[SHARED_FLOOR],
	    all[PUBLISH] / all[FLOOR], all[PUBLISH] / all[SHARED_FLOOR],
	    cpu[PUBLISH], cpu[FLOOR], cpu[SHARED_FLOOR], run->used, rounds);
}

static void
options(int argc, char **argv)
{
	unsigned v;
	int ch;

	while ((ch = getopt(argc, argv, "jr:s:l:")) != -1) {
		v = optarg != NULL ? (unsigned)strtoul(optarg, NULL, 10) : 0;
		if (ch == 'j')
			json = true;
		else if (ch == 'r' && v > 0 && v <= MAX_ROUNDS)
			rounds = v;
		else if (ch == 's' && v <= 32768)
			record_bytes = v;
		else if (ch == 'l' && v >= 6 && v <= 24)
			log2_slots = v;
		else
			errx(2,
			    "usage: ring_bench [-j] [-r rounds] [-s bytes] "
			    "[-l log2 slots]");
	}
}

static void
heading(const struct run *run)
{
	printf("record %u bytes, %u slots, bursts of %u, ns a record\n",
	    record_bytes, 1u << log2_slots, run->count);
	printf("producers  all:ring    floor   shared  /floor /shared "
	       "cpu:ring    floor   shared   bursts used\n");
}

int
main(int argc, char **argv)
{
	static _Alignas(8) char rec[65536];
	struct run run = { 0 };
	size_t granules, fit;
	unsigned producers;

	options(argc, argv);
	granules =
	    (make_record(rec, sizeof(rec)) + RING_GRANULE - 1) / RING_GRANULE;
	/* a producer's quota is a quarter of the slots */
	fit = ARENA_BYTES / RING_GRANULE / granules;
	run.count = 1u << (log2_slots - 2);
	if (run.count > fit)
		run.count = (unsigned)fit;
	if (json)
		printf("[");
	else
		heading(&run);
	for (producers = 1; producers <= MAX_PRODUCERS; producers *= 2)
		report(&run, producers);
	if (json)
		printf("]\n");
	return 0;
}
