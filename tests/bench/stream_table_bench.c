/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * stream_table_bench - what a chunk costs in shm/stream.h, and a stream.
 *
 *	stream_table_bench [streams that run meanwhile]
 *
 * ns each, the least of five runs; the floor is a copy of the same bytes and
 * one release store.
 */

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "shm/iobuf.h"
#include "tests/unit/stream_fixture.h"

#define RUNS 5
#define CHUNKS 50000
#define BYTES 20
#define TIMES 20000
#define ME 1

static struct tables *t;
static struct stream_ref ref, other;
static unsigned running = 1000;
static char floor_text[CHUNKS * BYTES], buf[4096];
static const char chunk[BYTES + 1] = "some twenty bytes...";
static _Atomic uint64_t floor_word;

static uint64_t
now_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * UINT64_C(1000000000) +
	    (uint64_t)ts.tv_nsec;
}

static void
begin(struct stream_ref *r, const char *id)
{
	struct stream_new n = stream_described(STREAM_ROOM, id);

	n.max_text = STREAM_MAX_TEXT;
	if (stream_begin(t, ME, &n, 1, r) == -1)
		err(1, "begin");
}

static double
floor_append(void)
{
	uint64_t start = now_ns(), i;

	for (i = 0; i < CHUNKS; i++) {
		memcpy(floor_text + i * BYTES, chunk, BYTES);
		atomic_store_explicit(&floor_word, i, memory_order_release);
	}
	return (double)(now_ns() - start) / CHUNKS;
}

static double
append(void)
{
	uint64_t start, i;
	double took;

	begin(&ref, "append");
	start = now_ns();
	for (i = 0; i < CHUNKS; i++)
		if (stream_append(t, &ref, chunk, BYTES, i, NULL) == -1)
			err(1, "append");
	took = (double)(now_ns() - start) / CHUNKS;
	(void)stream_end(t, &ref);
	return took;
}

static double
begin_end(void)
{
	uint64_t start = now_ns(), i;

	for (i = 0; i < TIMES; i++) {
		begin(&ref, "again");
		(void)stream_end(t, &ref);
	}
	return (double)(now_ns() - start) / TIMES;
}

static double
detach_claim(void)
{
	uint64_t start, i;
	double took;

	begin(&ref, "again");
	start = now_ns();
	for (i = 0; i < TIMES; i++)
		if (stream_detach(t, &ref, 1) == -1 ||
		    stream_claim(t, &ref, ME, STREAM_USER, 1) == -1)
			err(1, "claim");
	took = (double)(now_ns() - start) / TIMES;
	(void)stream_end(t, &ref);
	return took;
}

static double
find(void)
{
	uint64_t start = now_ns(), i;

	for (i = 0; i < TIMES; i++)
		(void)stream_find(t, STREAM_ROOM, "none", 4, &ref);
	return (double)(now_ns() - start) / TIMES;
}

static double
progress(void)
{
	uint64_t start = now_ns(), i;
	struct stream_progress p;

	for (i = 0; i < TIMES; i++)
		(void)stream_progress(t, &other, &p);
	return (double)(now_ns() - start) / TIMES;
}

static double
copy(void)
{
	uint64_t start = now_ns(), i;

	for (i = 0; i < TIMES; i++)
		(void)stream_copy(t, &other, 100, 100 + BYTES, buf);
	return (double)(now_ns() - start) / TIMES;
}

static void
none(const struct stream_ref *r, const struct stream_info *info, void *arg)
{
}

static double
orphans(void)
{
	uint64_t start = now_ns(), i;

	for (i = 0; i < 100; i++)
		(void)stream_orphans(t, ME, 1, none, NULL);
	return (double)(now_ns() - start) / 100;
}

static void
measure(const char *what, double (*fn)(void))
{
	double best = 1e18, ns;
	unsigned i;

	for (i = 0; i < RUNS; i++)
		if ((ns = fn()) < best)
			best = ns;
	(void)printf("%-44s %10.1f ns\n", what, best);
}

int
main(int argc, char **argv)
{
	struct tables_geometry g;
	const char *why;
	char id[24];
	unsigned i;

	if (argc > 1)
		running = (unsigned)strtoul(argv[1], NULL, 10);
	tables_geometry_init(&g, 100, 4096);
	if ((t = tables_create(&g, &why)) == NULL)
		errx(1, "%s", why);
	stream_worker(t, 0, ME, TABLES_CHILD_READY);
	for (i = 0; i < running || i == 0; i++) {
		(void)snprintf(id, sizeof(id), "m%u", i);
		begin(&other, id);
		(void)stream_append(t, &other, buf, 1000, 1, NULL);
	}
	(void)printf("%u streams run\n", i);
	measure("floor: copy 20 bytes, one release store", floor_append);
	measure("append 20 bytes and publish", append);
	measure("begin and end", begin_end);
	measure("detach and claim", detach_claim);
	measure("find an id that is not there", find);
	measure("progress", progress);
	measure("copy 20 bytes", copy);
	measure("look for orphans", orphans);
	tables_free(&t);
	return 0;
}
