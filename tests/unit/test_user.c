/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_user - what user.h promises about connections and rows.
 * Rates are in test_user_rate.c.
 */

#include <sys/wait.h>

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "shm/tables.h"
#include "shm/user.h"
#include "tests/unit/tables_fixture.h"

#define ROWS 1024
#define SECOND UINT64_C(1000000000)
/* long after everything that the tests do */
#define LATER (UINT64_C(1) << 60)

static struct user_ref
user(struct tables *t, const char *id)
{
	struct user_ref u;

	assert_int_equal(user_find_or_add(t, id, strlen(id), &u), 0);
	return u;
}

static struct user_ref
numbered_user(struct tables *t, unsigned n)
{
	char id[32];

	(void)snprintf(id, sizeof(id), "user-%u", n);
	return user(t, id);
}

/* The key of a row: the dense array at the table's start. */
static _Atomic uint64_t *
key_of(const struct tables *t, uint32_t row)
{
	size_t head = users_fixed_size(ROWS) -
	    ROWS * (8 + 4 + 8 + 8 * (size_t)USER_RATE__MAX);
	void *keys = (uint8_t *)t->users + head;

	return (_Atomic uint64_t *)keys + row;
}

/* --- rows -------------------------------------------------------------- */

static void
an_id_has_one_row(void **state)
{
	struct tables *t = *state, *o = small_tables_again(t);
	struct user_ref a = user(t, "ada"), b = user(t, "bob"), u;

	assert_int_not_equal(a.key, b.key);
	assert_int_not_equal(a.row, b.row);
	assert_int_equal(users_count(t), 2);

	/* also for another process */
	u = user(o, "ada");
	assert_int_equal(u.key, a.key);
	assert_int_equal(u.row, a.row);
	assert_int_equal(users_count(t), 2);
	assert_int_equal(user_find(o, "bob", 3, &u), 0);
	assert_int_equal(u.row, b.row);
	tables_free(&o);
}

static void
finding_does_not_add(void **state)
{
	struct tables *t = *state;
	struct user_ref u = { 7, 7 };

	errno = 0;
	assert_int_equal(user_find(t, "ada", 3, &u), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(u.key, 7);
	assert_int_equal(users_count(t), 0);
}

static void
ids_are_compared_by_all_their_bytes(void **state)
{
	struct tables *t = *state;
	char id[300];
	struct user_ref a, b;

	memset(id, 'x', sizeof(id));
	assert_int_equal(user_find_or_add(t, id, 300, &a), 0);
	assert_int_equal(user_find_or_add(t, id, 299, &b), 0);
	assert_int_not_equal(a.key, b.key);
	id[150] = '\0';
	assert_int_equal(user_find_or_add(t, id, 300, &b), 0);
	assert_int_not_equal(a.key, b.key);
	assert_int_equal(user_find_or_add(t, "", 0, &a), 0);
}

static void
keys_are_made_anew_with_each_table(void **state)
{
	struct tables *t = *state, *o;
	struct user_ref a = user(t, "ada"), b;

	assert_int_equal(small_tables_setup((void **)&o), 0);
	b = user(o, "ada");
	assert_int_not_equal(a.key, b.key);
	tables_free(&o);
}

static void
a_full_table_is_an_error(void **state)
{
	struct tables *t = *state;
	unsigned i, full = 0;
	struct user_ref u;
	char id[32];

	for (i = 0; i < 8 * ROWS; i++) {
		(void)snprintf(id, sizeof(id), "user-%u", i);
		errno = 0;
		if (user_find_or_add(t, id, strlen(id), &u) == 0)
			continue;
		assert_int_equal(errno, ENOSPC);
		full++;
	}
	assert_int_equal(users_count(t), ROWS);
	assert_int_equal(full, 7 * ROWS);
}

static void
a_quarter_of_the_rows_is_always_to_be_had(void **state)
{
	struct tables *t = *state;
	unsigned i;

	for (i = 0; i < ROWS / 4; i++)
		(void)numbered_user(t, i);
	assert_int_equal(users_count(t), ROWS / 4);
}

/* --- connections ------------------------------------------------------- */

static void
a_limit_holds_for_all_workers_together(void **state)
{
	struct tables *t = *state;
	struct user_ref u = user(t, "ada"), bob = user(t, "bob");
	unsigned i;

	for (i = 0; i < 5; i++) {
		assert_int_equal(user_connections(t, &u), i);
		assert_int_equal(user_connect(t, &u, i * 15, 5, SECOND), 0);
	}
	for (i = 0; i < TABLES_WORKERS; i++) {
		errno = 0;
		assert_int_equal(user_connect(t, &u, i, 5, SECOND), -1);
		assert_int_equal(errno, EDQUOT);
	}
	assert_int_equal(user_connections(t, &u), 5);
	assert_int_equal(user_connections(t, &bob), 0);
	assert_int_equal(user_connect(t, &bob, 0, 1, SECOND), 0);

	/* one leaves, one may come, anywhere */
	user_disconnect(t, &u, 30, SECOND);
	assert_int_equal(user_connect(t, &u, 63, 5, SECOND), 0);
	assert_int_equal(user_connect(t, &u, 30, 5, SECOND), -1);
	/* a limit that was raised or switched off */
	assert_int_equal(user_connect(t, &u, 30, 6, SECOND), 0);
	assert_int_equal(user_connect(t, &u, 30, 0, SECOND), 0);
	assert_int_equal(user_connections(t, &u), 7);
}

static void
no_limit_ends_where_the_counters_do(void **state)
{
	struct tables *t = *state;
	struct user_ref u = user(t, "ada");
	unsigned i;

	for (i = 0; i < UINT16_MAX; i++)
		assert_int_equal(user_connect(t, &u, 1, 0, SECOND), 0);
	assert_int_equal(user_connect(t, &u, 1, 0, SECOND), -1);
	assert_int_equal(errno, EDQUOT);
	assert_int_equal(user_connect(t, &u, 2, 0, SECOND), 0);
	assert_int_equal(user_connections(t, &u), UINT16_MAX + 1);
}

static void
a_dead_worker_s_connections_are_gone(void **state)
{
	struct tables *t = *state;
	struct user_ref u = user(t, "ada"), v = user(t, "bob");

	assert_int_equal(user_connect(t, &u, 3, 0, SECOND), 0);
	assert_int_equal(user_connect(t, &u, 3, 0, SECOND), 0);
	assert_int_equal(user_connect(t, &u, 4, 0, SECOND), 0);
	assert_int_equal(user_connect(t, &v, 3, 0, SECOND), 0);
	users_clear_column(t, 3);
	assert_int_equal(user_connections(t, &u), 1);
	assert_int_equal(user_connections(t, &v), 0);
	/* one that never ran */
	users_clear_column(t, 63);
	assert_int_equal(user_connections(t, &u), 1);
}

/* --- sweeping ---------------------------------------------------------- */

static void
rows_in_use_are_kept(void **state)
{
	struct tables *t = *state;
	struct user_ref u = user(t, "ada"), v = user(t, "bob");
	uint64_t now = 100 * SECOND;

	assert_int_equal(user_connect(t, &u, 3, 0, now), 0);
	assert_int_equal(user_rate(t, &v, USER_RATE_PRESENCE, 60, now), 0);
	assert_int_equal(users_sweep(t, now, ROWS), 0);
	assert_int_equal(users_count(t), 2);

	/* bob's second is over; ada leaves, and is kept for a while */
	now += 2 * SECOND;
	assert_int_equal(users_sweep(t, now, ROWS), 1);
	user_disconnect(t, &u, 3, now);
	assert_int_equal(users_sweep(t, now + SECOND, ROWS), 0);
	assert_int_equal(users_sweep(t, now + 60 * SECOND, ROWS), 1);
	assert_int_equal(users_count(t), 0);
}

static void
a_freed_row_is_as_new(void **state)
{
	struct tables *t = *state;
	enum user_rate kind;
	struct user_ref u;
	unsigned i;

	for (i = 0; i < ROWS / 4; i++) {
		u = numbered_user(t, i);
		for (kind = 0; kind < USER_RATE__MAX; kind++)
			assert_int_equal(user_rate(t, &u, kind, 1, SECOND), 0);
	}
	assert_int_equal(users_sweep(t, 62 * SECOND, ROWS), ROWS / 4);
	/* other users in the same rows, and time that has not gone on */
	for (i = ROWS; i < ROWS + ROWS / 4; i++) {
		u = numbered_user(t, i);
		assert_int_equal(user_connections(t, &u), 0);
		for (kind = 0; kind < USER_RATE__MAX; kind++)
			assert_int_equal(user_rate(t, &u, kind, 1, SECOND), 0);
	}
}

static void
a_sweep_looks_at_as_many_rows_as_it_may(void **state)
{
	struct tables *t = *state;
	unsigned i, freed = 0, turns = 0;

	for (i = 0; i < ROWS / 4; i++)
		(void)numbered_user(t, i);
	while (freed < ROWS / 4) {
		i = users_sweep(t, LATER, 16);
		assert_true(i <= 16);
		freed += i;
		assert_true(++turns <= ROWS / 16);
	}
	assert_int_equal(users_count(t), 0);
	assert_int_equal(users_sweep(t, LATER, UINT32_MAX), 0);
}

static void
a_user_whose_row_was_freed_may_still_connect(void **state)
{
	struct tables *t = *state;
	struct user_ref u = user(t, "ada");

	assert_int_equal(users_sweep(t, LATER, ROWS), 1);
	/* somebody else lives there now */
	*key_of(t, u.row) = u.key + ROWS;
	assert_int_equal(user_connect(t, &u, 3, 1, SECOND), 0);
	assert_int_equal(*key_of(t, u.row), u.key);
	assert_int_equal(user_connections(t, &u), 1);
	assert_int_equal(user_connect(t, &u, 4, 1, SECOND), -1);
	user_disconnect(t, &u, 3, SECOND);
	assert_int_equal(user_connections(t, &u), 0);
}

/* What a race of two workers and the sweep can leave behind. */
static void
two_rows_of_one_user_count_as_one(void **state)
{
	struct tables *t = *state;
	struct user_ref u = user(t, "ada"), again;
	uint32_t second = (u.row + 5) % ROWS;

	*key_of(t, second) = u.key;
	again = u;
	again.row = second;
	assert_int_equal(user_connect(t, &u, 3, 2, SECOND), 0);
	assert_int_equal(user_connect(t, &again, 4, 2, SECOND), 0);
	assert_int_not_equal(again.row, u.row);
	assert_int_equal(user_connections(t, &u), 2);
	assert_int_equal(user_connect(t, &u, 3, 2, SECOND), -1);
	assert_int_equal(user_connect(t, &again, 4, 2, SECOND), -1);

	/* one allowance, wherever a connection is counted */
	assert_int_equal(user_rate(t, &u, USER_RATE_JOIN, 1, SECOND), 0);
	assert_int_not_equal(user_rate(t, &again, USER_RATE_JOIN, 1, SECOND),
	    0);

	/* a row that is just being freed still counts */
	*key_of(t, u.row) |= UINT64_C(1) << 63;
	assert_int_equal(user_connections(t, &again), 2);
	assert_int_equal(user_connect(t, &again, 4, 2, SECOND), -1);
}

/* --- all at once ------------------------------------------------------- */

#define THREADS 3
#define LIMIT 2
/* enough of both has happened when so many were admitted, and rows freed */
#define ADMITTED 30000
#define FREED 300
#define PATIENCE_S 30

struct racers {
	struct tables *tables;
	bool sweeping;
	_Atomic unsigned slot;
	_Atomic unsigned inside;
	_Atomic unsigned admitted;
	_Atomic unsigned over;
	_Atomic unsigned freed;
	struct timespec start;
};

static bool
enough(struct racers *r)
{
	struct timespec now;

	if (r->admitted >= ADMITTED && (!r->sweeping || r->freed >= FREED))
		return true;
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec - r->start.tv_sec > PATIENCE_S;
}

static void *
race(void *arg)
{
	struct racers *r = arg;
	const unsigned slot = atomic_fetch_add(&r->slot, 13);
	struct user_ref u;
	unsigned i;

	for (i = 0; i % 64 != 0 || !enough(r); i++) {
		if (user_find_or_add(r->tables, "ada", 3, &u) == -1 ||
		    user_connect(r->tables, &u, slot, LIMIT, 1) == -1) {
			(void)sched_yield();
			continue;
		}
		if (atomic_fetch_add(&r->inside, 1) >= LIMIT)
			atomic_fetch_add(&r->over, 1);
		atomic_fetch_add(&r->admitted, 1);
		/* stay for a while, and leave for a while */
		if (i % 4 == 0)
			(void)sched_yield();
		atomic_fetch_sub(&r->inside, 1);
		user_disconnect(r->tables, &u, slot, 1);
		if (i % 4 == 1)
			(void)sched_yield();
	}
	return NULL;
}

/* The master, which looks at nothing but the place where the rows are. */
static void *
sweep(void *arg)
{
	struct racers *r = arg;
	const uint32_t home = user(r->tables, "ada").row;
	unsigned i;

	for (i = 0; i % 64 != 0 || !enough(r); i++) {
		r->tables->sweep_at = home;
		atomic_fetch_add(&r->freed, users_sweep(r->tables, LATER, 8));
	}
	return NULL;
}

static void
all_connect_at_once(struct tables *t, bool sweeping)
{
	struct racers r = { .tables = t, .sweeping = sweeping };
	pthread_t thread[THREADS + 1];
	unsigned i, n = THREADS;

	(void)clock_gettime(CLOCK_MONOTONIC, &r.start);
	for (i = 0; i < n; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, race, &r), 0);
	if (sweeping)
		assert_int_equal(pthread_create(&thread[n++], NULL, sweep, &r),
		    0);
	for (i = 0; i < n; i++)
		assert_int_equal(pthread_join(thread[i], NULL), 0);
	assert_int_equal(r.over, 0);
	assert_true(r.admitted >= ADMITTED);
	assert_true(!sweeping || r.freed >= FREED);
}

static void
a_limit_is_never_exceeded_while_all_connect(void **state)
{
	struct tables *t = *state;
	struct user_ref u;

	all_connect_at_once(t, false);
	u = user(t, "ada");
	assert_int_equal(user_connections(t, &u), 0);
	assert_int_equal(users_count(t), 1);
}

static void
a_limit_is_never_exceeded_while_rows_are_freed(void **state)
{
	struct tables *t = *state;
	struct user_ref u;
	unsigned i;

	all_connect_at_once(t, true);
	/* no row is left half freed, no count behind */
	(void)users_sweep(t, LATER, ROWS);
	assert_int_equal(users_count(t), 0);
	u = user(t, "ada");
	assert_int_equal(user_connections(t, &u), 0);
	for (i = 0; i < LIMIT; i++)
		assert_int_equal(user_connect(t, &u, i, LIMIT, 1), 0);
	assert_int_equal(user_connect(t, &u, i, LIMIT, 1), -1);
}

/* --- killed in the middle ---------------------------------------------- */

/* A worker that connects and disconnects 50 users until it is killed. */
static void __attribute__((noreturn))
count_for_ever(struct tables *t, unsigned slot)
{
	struct user_ref held[64] = { 0 };
	unsigned i, n;

	for (i = 0;; i++) {
		n = i * 7 % 64;
		if (held[n].key != 0)
			user_disconnect(t, &held[n], slot, 1);
		held[n] = (struct user_ref){ 0 };
		if (i % 3 == 0)
			continue;
		held[n] = numbered_user(t, i % 50);
		if (user_connect(t, &held[n], slot, 5, 1) == -1)
			held[n].key = 0;
	}
}

static unsigned
connections_of_all(struct tables *t)
{
	struct user_ref u;
	unsigned i, sum = 0;

	for (i = 0; i < 50; i++) {
		u = numbered_user(t, i);
		sum += user_connections(t, &u);
	}
	return sum;
}

static void
a_killed_worker_leaves_nothing(void **state)
{
	struct tables *t = *state;
	struct user_ref mine = numbered_user(t, 7);
	struct timespec ts = { 0, 100000 };
	unsigned round, had = 0;
	pid_t pid;
	int status;

	assert_int_equal(user_connect(t, &mine, 9, 0, 1), 0);
	for (round = 0; round < 30; round++) {
		assert_int_not_equal(pid = fork(), -1);
		if (pid == 0)
			count_for_ever(t, 8);
		while (connections_of_all(t) < 10)
			(void)nanosleep(&ts, NULL);
		ts.tv_nsec = 100000 + round * 13711;
		(void)nanosleep(&ts, NULL);
		assert_int_equal(kill(pid, SIGKILL), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status));
		had += connections_of_all(t) > 1;
		users_clear_column(t, 8);
		/* another worker's is as it was */
		assert_int_equal(connections_of_all(t), 1);
		assert_int_equal(user_connections(t, &mine), 1);
	}
	/* the kills were worth something */
	assert_true(had > 20);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(an_id_has_one_row),
		T(finding_does_not_add),
		T(ids_are_compared_by_all_their_bytes),
		T(keys_are_made_anew_with_each_table),
		T(a_full_table_is_an_error),
		T(a_quarter_of_the_rows_is_always_to_be_had),
		T(a_limit_holds_for_all_workers_together),
		T(no_limit_ends_where_the_counters_do),
		T(a_dead_worker_s_connections_are_gone),
		T(rows_in_use_are_kept),
		T(a_freed_row_is_as_new),
		T(a_sweep_looks_at_as_many_rows_as_it_may),
		T(a_user_whose_row_was_freed_may_still_connect),
		T(two_rows_of_one_user_count_as_one),
		T(a_limit_is_never_exceeded_while_all_connect),
		T(a_limit_is_never_exceeded_while_rows_are_freed),
		T(a_killed_worker_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
