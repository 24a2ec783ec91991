/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_readers - a snapshot that is held for too long is seen, by its pid.
 */

#include "scribe/readers.h"

#include <sys/wait.h>

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/clock.h"
#include "tests/unit/store_fixture.h"

struct fixture {
	struct store_fixture st;
	struct readers r;
	uint64_t now_ns;
	pid_t stuck;
	uint64_t stuck_ms;
	unsigned told;
};

static void
on_stuck(void *arg, pid_t pid, uint64_t ms)
{
	struct fixture *f = arg;

	f->stuck = pid;
	f->stuck_ms = ms;
	f->told++;
}

static void
commit(struct fixture *f, unsigned n)
{
	struct store_next next = { 1, 1 };
	struct store_txn *t;

	while (n-- > 0) {
		next.room++;
		assert_non_null(t = store_begin(f->st.s));
		store_next_put(t, &next);
		assert_int_equal(store_commit(&t), 0);
	}
}

static int
setup(void **state)
{
	struct fixture *f;

	if ((f = calloc(1, sizeof(*f))) == NULL)
		return -1;
	*state = f;
	if (store_fixture_open(&f->st) == -1)
		return -1;
	f->now_ns = 1000 * CLOCK_S_NS;
	readers_init(&f->r, f->st.s, on_stuck, f);
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;
	int rc = store_fixture_close(&f->st);

	free(f);
	return rc;
}

/* A process that holds a snapshot until it is killed. */
static pid_t
holder(void)
{
	struct store *s;
	const char *why;
	int p[2];
	pid_t pid;
	char c;

	assert_int_equal(pipe(p), 0);
	if ((pid = fork()) == 0) {
		s = store_open(STORE_READ, &why);
		if (s == NULL || store_snapshot(s) == NULL)
			_exit(1);
		(void)!write(p[1], "", 1);
		for (;;)
			pause();
	}
	assert_true(pid > 0);
	close(p[1]);
	assert_int_equal(read(p[0], &c, 1), 1);
	close(p[0]);
	return pid;
}

static void
end(struct fixture *f, pid_t pid)
{
	int status;

	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	(void)store_reader_check(f->st.s);
}

/* Look every second, with a commit before each. */
static void
seconds(struct fixture *f, unsigned n)
{
	while (n-- > 0) {
		commit(f, 1);
		f->now_ns += CLOCK_S_NS;
		assert_true(readers_turn(&f->r, f->now_ns));
	}
}

static void
who_holds_one_is_named_and_the_master_told_after_ten_seconds(void **state)
{
	struct fixture *f = *state;
	pid_t pid = holder();

	seconds(f, 10);
	assert_int_equal(f->r.oldest_pid, pid);
	assert_int_equal(f->r.oldest_txns, 10);
	assert_int_equal(f->r.oldest_ms, 9000);
	assert_int_equal(f->told, 0);
	seconds(f, 2);
	assert_int_equal(f->told, 1);
	assert_int_equal(f->stuck, pid);
	assert_int_equal(f->stuck_ms, 11000);
	/* and again if that did not help */
	seconds(f, 9);
	assert_int_equal(f->told, 1);
	seconds(f, 1);
	assert_int_equal(f->told, 2);
	end(f, pid);
	seconds(f, 1);
	assert_int_equal(f->r.oldest_pid, 0);
	assert_int_equal(f->r.oldest_txns, 0);
	assert_int_equal(f->r.n, 0);
}

static void
who_sees_the_newest_keeps_nothing(void **state)
{
	struct fixture *f = *state;
	pid_t pid = holder();
	unsigned i;

	/* no commit: the file cannot grow because of it */
	for (i = 0; i < 30; i++) {
		f->now_ns += CLOCK_S_NS;
		assert_true(readers_turn(&f->r, f->now_ns));
	}
	assert_int_equal(f->r.oldest_pid, 0);
	assert_int_equal(f->told, 0);
	end(f, pid);
}

static void
our_own_snapshot_is_nobody(void **state)
{
	struct fixture *f = *state;
	struct store_txn *t;

	assert_non_null(t = store_snapshot(f->st.s));
	seconds(f, 30);
	assert_int_equal(f->r.oldest_pid, 0);
	assert_int_equal(f->told, 0);
	store_snapshot_end(&t);
}

static void
the_oldest_of_several_is_told(void **state)
{
	struct fixture *f = *state;
	pid_t one = holder(), two;

	seconds(f, 3);
	two = holder();
	seconds(f, 3);
	assert_int_equal(f->r.oldest_pid, one);
	assert_int_equal(f->r.n, 2);
	end(f, one);
	seconds(f, 1);
	assert_int_equal(f->r.oldest_pid, two);
	end(f, two);
}

static void
it_looks_once_a_second(void **state)
{
	struct fixture *f = *state;

	assert_true(readers_turn(&f->r, f->now_ns));
	assert_false(readers_turn(&f->r, f->now_ns + CLOCK_S_NS - 1));
	assert_true(readers_turn(&f->r, f->now_ns + CLOCK_S_NS));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(who_holds_one_is_named_and_the_master_told_after_ten_seconds),
		T(who_sees_the_newest_keeps_nothing),
		T(our_own_snapshot_is_nobody),
		T(the_oldest_of_several_is_told),
		T(it_looks_once_a_second),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
