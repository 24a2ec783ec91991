/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_stream_kill - processes that write streams are killed wherever they
 * are, again and again: nobody reads what is not whole, no stream has two
 * owners, no id two streams, and nothing is lost.
 *
 * tests/stress/stream_torture does the same at each fault point, for longer.
 */

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/stress/stream_work.h"
#include "tests/unit/stream_fixture.h"
#include "tests/unit/tables_fixture.h"

#define WORKERS 3
#define GENERATIONS 30
#define MEMORY (512 << 10)
/* what one does before it may be killed: it shall have come to something */
#define STEPS 20

struct world {
	struct tables *t;
	struct stream_board *board;
	_Atomic unsigned *busy;
	uint32_t incarnations;
	pid_t pid[WORKERS];
};

static int
setup(void **state)
{
	static struct world w;
	struct tables_geometry g = small_geometry();
	const char *why;

	memset(&w, 0, sizeof(w));
	g.stream_bytes = MEMORY;
	w.t = tables_create(&g, &why);
	w.board = mmap(NULL, sizeof(*w.board) + sizeof(*w.busy),
	    PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (w.t == NULL || w.board == MAP_FAILED)
		return -1;
	w.busy = (void *)(w.board + 1);
	*state = &w;
	return 0;
}

static int
teardown(void **state)
{
	struct world *w = *state;

	(void)munmap(w->board, sizeof(*w->board) + sizeof(*w->busy));
	tables_free(&w->t);
	return 0;
}

static struct stream_worker
born(struct world *w, unsigned slot)
{
	uint32_t incarnation = ++w->incarnations;

	stream_worker(w->t, slot, incarnation, TABLES_CHILD_READY);
	return (struct stream_worker){ .tables = w->t,
		.board = w->board,
		.incarnation = incarnation,
		.seed = incarnation * UINT64_C(0x9e3779b97f4a7c15),
		.look.row = STREAM_NO_ROW };
}

static void
start(struct world *w, unsigned slot)
{
	struct stream_worker worker = born(w, slot);
	unsigned n = 0;

	if ((w->pid[slot] = fork()) > 0)
		return;
	assert_int_equal(w->pid[slot], 0);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		stream_work(&worker);
		if (n++ == STEPS)
			(*w->busy)++;
		else if (n % 64 == 0)
			stream_work_twins(&worker);
	}
}

/* First it is reaped, and then it is dead. */
static void
bury(struct world *w, unsigned slot)
{
	int status;

	(void)kill(w->pid[slot], SIGKILL);
	assert_int_equal(waitpid(w->pid[slot], &status, 0), w->pid[slot]);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	stream_worker(w->t, slot,
	    atomic_load(&w->t->state->child[slot].incarnation),
	    TABLES_CHILD_DEAD);
}

static void
nobody_is_harmed_by_who_is_killed(void **state)
{
	struct world *w = *state;
	struct timespec ts = { .tv_nsec = 0 };
	struct stream_worker last;
	unsigned i, g;

	for (i = 0; i < WORKERS; i++)
		start(w, i);
	for (g = 0; g < GENERATIONS && w->board->errors == 0; g++) {
		*w->busy = 0;
		for (i = 0; i < WORKERS; i++) {
			ts.tv_nsec = rand() % 1500 * 1000L;
			(void)nanosleep(&ts, NULL);
			bury(w, i);
			start(w, i);
		}
		/* they are to get something done between their deaths */
		while (g % 10 == 9 && *w->busy == 0 && w->board->errors == 0)
			(void)usleep(1000);
	}
	for (i = 0; i < WORKERS; i++)
		bury(w, i);
	assert_int_equal(w->board->errors, 0);
	assert_true(w->board->begun > 0 && w->board->appended > 0);
	assert_true(w->board->claimed > 0);
	last = born(w, 0);
	stream_work_clean(&last);
	assert_int_equal(w->board->errors, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    nobody_is_harmed_by_who_is_killed, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
