/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * stream_torture - streams while those who write them are killed.
 *
 *	stream_torture [-t seconds] [-k kills] [-S seed] [-f fault]
 *
 * Five processes begin, append, detach, claim and end streams at random, and
 * read those of the others; a sixth only reads.  With fault points compiled
 * in, most are born to die or to stop for a while at one of them; all may be
 * killed after some ms, wherever they are.  Who dies is reaped, and followed by another
 * with a new incarnation, as the master does it.  Every so often all are
 * killed: then what they left must be readable, and nothing may be lost when
 * it is ended.
 *
 * The last line of output is the verdict, and so is the exit status.
 */

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <err.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "shm/iobuf.h"
#include "tests/stress/fault.h"
#include "tests/stress/stream_work.h"
#include "tests/unit/stream_fixture.h"

#define WORKERS 5
#define READER WORKERS
#define CHILDREN (WORKERS + 1)
/* all are killed, and what is left is looked at */
#define CLEAN_MS 150
/* two slabs: it is full now and then, and one is given back */
#define MEMORY (512 << 10)

/* those of shm/stream.h */
static const enum fault_point points[] = {
	FAULT_STREAM_ROW,
	FAULT_STREAM_MEANT,
	FAULT_STREAM_TAKEN,
	FAULT_STREAM_FILLED,
	FAULT_STREAM_KEYED,
	FAULT_STREAM_ALONE,
	FAULT_STREAM_BEGUN,
	FAULT_STREAM_COPIED,
	FAULT_STREAM_APPENDED,
	FAULT_STREAM_RETAILED,
	FAULT_STREAM_DETACHING,
	FAULT_STREAM_DETACHED,
	FAULT_STREAM_CLAIMED,
	FAULT_STREAM_ENDING,
	FAULT_STREAM_GIVEN,
	FAULT_STREAM_EMPTY,
	FAULT_STREAM_MARKED,
	FAULT_STREAM_PUNCHED,
};
#define NPOINTS (sizeof(points) / sizeof(points[0]))

static struct stream_board *board;
static _Atomic unsigned *fired;
static struct tables *tables;
static pid_t child[CHILDREN];
static uint32_t incarnations;
static unsigned seconds = 5, seed = 1, kills_wanted;
static unsigned long kills, suicides, cleanings;
static enum fault_point only = FAULT__MAX;

static unsigned
any(unsigned n)
{
	return (unsigned)rand() % n;
}

static void *
shared(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		err(2, "mmap");
	return p;
}

static struct stream_worker
born(unsigned slot, uint32_t incarnation)
{
	struct stream_worker w = { .tables = tables,
		.board = board,
		.incarnation = incarnation,
		.seed =
		    (uint64_t)incarnation * UINT64_C(0x9e3779b97f4a7c15) + seed,
		.look.row = STREAM_NO_ROW };

	stream_worker(tables, slot, incarnation, TABLES_CHILD_READY);
	return w;
}

#ifdef CHATD_FAULTS
static void
arm(void)
{
	enum fault_point point;

	if (only == FAULT__MAX && any(4) == 0)
		return;
	point = only != FAULT__MAX ? only : points[any(NPOINTS)];
	fault_arm(point, 1 + any(any(8) == 0 ? 100 : 8),
	    any(3) == 0 ? FAULT_ACTION_STOP : FAULT_ACTION_KILL, fired);
}
#endif

static void __attribute__((noreturn)) run(unsigned slot, uint32_t incarnation)
{
	struct stream_worker w;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	srand(seed + incarnation);
	w = born(slot, incarnation);
#ifdef CHATD_FAULTS
	if (slot != READER)
		arm();
#endif
	for (;;) {
		if (slot != READER)
			stream_work(&w);
		else if (any(4) == 0)
			stream_work_twins(&w);
		else
			stream_work_read(&w);
	}
}

static void
start(unsigned slot)
{
	uint32_t incarnation = ++incarnations;

	switch (child[slot] = fork()) {
	case -1:
		err(2, "fork");
	case 0:
		run(slot, incarnation);
	}
}

/* As the master does it: first it is reaped, and then it is dead. */
static void
reap(int flags)
{
	int status;
	unsigned i;
	pid_t pid;

	while ((pid = waitpid(-1, &status, flags)) > 0) {
		for (i = 0; i < CHILDREN && child[i] != pid;)
			i++;
		if (i == CHILDREN)
			continue;
		if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) {
			(void)fprintf(stderr, "a child ended with %x\n",
			    (unsigned)status);
			board->errors++;
		}
		child[i] = 0;
		stream_worker(tables, i,
		    atomic_load(&tables->state->child[i].incarnation),
		    TABLES_CHILD_DEAD);
		suicides += flags == WNOHANG;
	}
}

static void
kill_one(unsigned slot)
{
	if (child[slot] == 0)
		return;
	(void)kill(child[slot], SIGKILL);
	kills++;
}

static void
clean(void)
{
	struct stream_worker w;
	unsigned i;

	for (i = 0; i < CHILDREN; i++)
		kill_one(i);
	reap(0);
	w = born(0, ++incarnations);
	stream_work_clean(&w);
	cleanings++;
}

static uint64_t
now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void
set_up(void)
{
	const struct tables_geometry g = { .max_clients = 10,
		.users = 64,
		.addresses = 64,
		.read_bytes = 4096,
		.encode_bytes = 4096,
		.chunk_bytes = IOBUF_SLAB,
		.stream_bytes = MEMORY };
	const char *why;

	board = shared(sizeof(*board));
	fired = shared(FAULT__MAX * sizeof(*fired));
	if ((tables = tables_create(&g, &why)) == NULL)
		errx(2, "%s", why);
	if (stream_rows(tables) > STREAM_WORK_ROWS)
		errx(2, "more rows than the board has");
}

static void
torment(void)
{
	uint64_t end = now_ms() + seconds * 1000, cleaned = now_ms();
	struct timespec ts = { .tv_nsec = 0 };
	unsigned i;

	while (board->errors == 0 &&
	    (now_ms() < end || kills + suicides < kills_wanted)) {
		for (i = 0; i < CHILDREN; i++)
			if (child[i] == 0)
				start(i);
		ts.tv_nsec = any(2000) * 1000L;
		(void)nanosleep(&ts, NULL);
		if (any(3) == 0)
			kill_one(any(WORKERS));
		/* some have stopped themselves */
		for (i = 0; i < CHILDREN; i++)
			if (child[i] != 0 && any(2) == 0)
				(void)kill(child[i], SIGCONT);
		reap(WNOHANG);
		if (now_ms() - cleaned >= CLEAN_MS) {
			clean();
			cleaned = now_ms();
		}
	}
	clean();
}

static int
report(void)
{
	unsigned i, hit = 0;

	for (i = 0; i < NPOINTS; i++) {
		hit += fired[points[i]] > 0;
		if (fired[points[i]] == 0 && only == FAULT__MAX)
			(void)fprintf(stderr, "never: %s\n",
			    fault_name(points[i]));
	}
	(void)printf("%lu killed, %lu ended by themselves at %u of %u points, "
		     "%lu times all at once\n",
	    kills, suicides, hit, (unsigned)NPOINTS, cleanings);
	(void)printf("%lu begun, %lu twice, %lu full, %lu chunks, %lu tails, "
		     "%lu claimed, %lu orphans, %lu ended, %lu cancelled, "
		     "%lu reads, %lu stale\n",
	    board->begun, board->twice, board->full, board->appended,
	    board->tails, board->claimed, board->orphans, board->ended,
	    board->cancelled, board->reads, board->stale);
	(void)printf("%s\n", board->errors == 0 ? "OK" : "WRONG");
	return board->errors == 0 ? 0 : 1;
}

int
main(int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "t:k:S:f:")) != -1) {
		if (c == 't')
			seconds = (unsigned)strtoul(optarg, NULL, 10);
		else if (c == 'k')
			kills_wanted = (unsigned)strtoul(optarg, NULL, 10);
		else if (c == 'S')
			seed = (unsigned)strtoul(optarg, NULL, 10);
		else if (c == 'f')
			only = fault_find(optarg);
		else
			errx(2,
			    "usage: stream_torture [-t seconds] "
			    "[-k kills] [-S seed] [-f fault]");
	}
	srand(seed);
	set_up();
	torment();
	return report();
}
