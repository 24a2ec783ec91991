/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_watch - what watch.h promises of children that do nothing.
 */

#include <sys/wait.h>

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "master/child.h"
#include "master/master.h"
#include "master/supervise.h"
#include "master/watch.h"
#include "shm/counter.h"
#include "tests/unit/tables_fixture.h"

#define CHILDREN 2

static struct {
	struct master m;
	struct child child[CHILDREN];
	unsigned killed[CHILDREN];
	void *tables;
} f;

/* --- the rest of the master ---------------------------------------------- */

struct child *
supervise_next(struct supervisor *s, struct child *c)
{
	size_t i = c == NULL ? 0 : (size_t)(c - f.child) + 1;

	return i < CHILDREN ? &f.child[i] : NULL;
}

const char *
child_name(const struct child *c)
{
	return "child";
}

void
child_kill(struct child *c, const char *why)
{
	f.killed[c - f.child]++;
}

/* --- fixture --------------------------------------------------------------- */

static int
setup(void **state)
{
	memset(&f, 0, sizeof(f));
	if (small_tables_setup(&f.tables) == -1)
		return -1;
	f.m.shared.tables = f.tables;
	for (unsigned i = 0; i < CHILDREN; i++) {
		f.child[i].slot = i;
		f.child[i].pid = getpid();
		f.child[i].state = TABLES_CHILD_READY;
	}
	return 0;
}

static int
teardown(void **state)
{
	return small_tables_teardown(&f.tables);
}

static void
beat(unsigned child)
{
	const struct tables *t = f.tables;

	(void)atomic_fetch_add(&t->state->child[child].beats, 1);
}

/* --- tests ------------------------------------------------------------------ */

static void
who_beats_is_never_killed(void **state)
{
	for (unsigned i = 0; i < 10 * WATCH_KILL; i++) {
		beat(0);
		/* the other one now and then */
		if (i % (WATCH_KILL - 1) == 0)
			beat(1);
		watch_children(&f.m);
	}
	assert_int_equal(f.killed[0], 0);
	assert_int_equal(f.killed[1], 0);
}

static void
who_is_silent_is_killed_and_nobody_else(void **state)
{
	beat(0);
	beat(1);
	watch_children(&f.m);
	for (unsigned i = 0; i < WATCH_KILL - 1; i++) {
		beat(0);
		watch_children(&f.m);
	}
	assert_int_equal(f.killed[1], 0);
	beat(0);
	watch_children(&f.m);
	assert_int_equal(f.killed[0], 0);
	assert_int_equal(f.killed[1], 1);
	assert_int_equal(counter_get(f.tables, COUNTER_MASTER,
			     COUNTER_CHILDREN_SILENT),
	    1);
}

static void
who_starts_or_stops_is_not_watched(void **state)
{
	f.child[0].state = TABLES_CHILD_STARTING;
	f.child[1].state = TABLES_CHILD_STOPPING;
	for (unsigned i = 0; i < 2 * WATCH_KILL; i++)
		watch_children(&f.m);
	assert_int_equal(f.killed[0] + f.killed[1], 0);
	/* what went before does not count */
	f.child[0].state = TABLES_CHILD_READY;
	for (unsigned i = 0; i < WATCH_KILL - 1; i++)
		watch_children(&f.m);
	assert_int_equal(f.killed[0], 0);
}

static void
who_is_stopped_by_a_signal_is_killed(void **state)
{
	pid_t pid = fork();
	int status;

	assert_true(pid != -1);
	if (pid == 0) {
		(void)raise(SIGSTOP);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
	f.child[0].pid = pid;
	for (unsigned i = 0; i <= WATCH_KILL; i++) {
		beat(1);
		watch_children(&f.m);
	}
	assert_true(f.killed[0] > 0);
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, &status, 0);
}

#undef T
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(who_beats_is_never_killed),
		T(who_is_silent_is_killed_and_nobody_else),
		T(who_starts_or_stops_is_not_watched),
		T(who_is_stopped_by_a_signal_is_killed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
