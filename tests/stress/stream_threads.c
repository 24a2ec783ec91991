/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * stream_threads - streams that change hands, with threads.
 *
 *	stream_threads [seconds] [seed]
 *
 * For ThreadSanitizer: what stream_torture does with processes, over the code
 * that production runs.  A worker dies between two calls: its thread ends,
 * is joined, and only then said to be dead.  Nothing but the tables connects
 * the threads, besides counters and the words that find two owners.
 */

#include <err.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "shm/iobuf.h"
#include "tests/stress/stream_work.h"
#include "tests/unit/stream_fixture.h"

#define WORKERS 4
#define MEMORY (512 << 10)

struct life {
	pthread_t thread;
	unsigned slot;
	struct tables view;
	struct stream_worker w;
	/* what it will do before it dies */
	unsigned steps;
	_Atomic bool over;
};

static struct stream_board board;
static struct tables *tables;
static struct life life[WORKERS];
static uint32_t incarnations;
static unsigned long deaths;

static void *
live(void *arg)
{
	struct life *l = arg;

	while (l->steps-- > 0) {
		if (l->slot != 0)
			stream_work(&l->w);
		else if (l->steps % 4 == 0)
			stream_work_twins(&l->w);
		else
			stream_work_read(&l->w);
	}
	l->over = true;
	return NULL;
}

static void
begin(unsigned slot, uint64_t seed)
{
	struct life *l = &life[slot];

	l->slot = slot;
	l->over = false;
	/* its own view, of the same mapping: TSan goes by addresses */
	l->view = *tables;
	l->w = (struct stream_worker){ .tables = &l->view,
		.board = &board,
		.incarnation = ++incarnations,
		.seed = seed + incarnations * UINT64_C(0x9e3779b97f4a7c15),
		.look.row = STREAM_NO_ROW };
	l->steps = 50 + incarnations * 7919 % 500;
	stream_worker(tables, slot, incarnations, TABLES_CHILD_READY);
	if (pthread_create(&l->thread, NULL, live, l) != 0)
		errx(2, "pthread_create");
}

static void
bury(unsigned slot)
{
	struct life *l = &life[slot];

	(void)pthread_join(l->thread, NULL);
	stream_worker(tables, slot, l->w.incarnation, TABLES_CHILD_DEAD);
	deaths++;
}

int
main(int argc, char **argv)
{
	const struct tables_geometry g = { .max_clients = 10,
		.users = 64,
		.addresses = 64,
		.read_bytes = 4096,
		.encode_bytes = 4096,
		.chunk_bytes = IOBUF_SLAB,
		.stream_bytes = MEMORY };
	time_t end = time(NULL) + (argc > 1 ? strtol(argv[1], NULL, 10) : 5);
	uint64_t seed = argc > 2 ? (uint64_t)atoll(argv[2]) : 1;
	struct timespec ts = { .tv_nsec = 1000000 };
	struct stream_worker last;
	const char *why;
	unsigned i;

	if ((tables = tables_create(&g, &why)) == NULL)
		errx(2, "%s", why);
	for (i = 0; i < WORKERS; i++)
		begin(i, seed);
	while (time(NULL) < end) {
		(void)nanosleep(&ts, NULL);
		for (i = 0; i < WORKERS; i++)
			if (life[i].over) {
				bury(i);
				begin(i, seed);
			}
	}
	for (i = 0; i < WORKERS; i++)
		bury(i);
	last = (struct stream_worker){ .tables = tables,
		.board = &board,
		.incarnation = ++incarnations,
		.seed = 1 };
	stream_worker(tables, 0, last.incarnation, TABLES_CHILD_READY);
	stream_work_clean(&last);
	(void)printf("%lu deaths, %lu begun, %lu chunks, %lu claimed, %lu "
		     "reads, %lu stale\n",
	    deaths, board.begun, board.appended, board.claimed, board.reads,
	    board.stale);
	tables_free(&tables);
	return board.errors == 0 ? 0 : 1;
}
