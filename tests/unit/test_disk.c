/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_disk - the ballast: there, given up, there again; what errors mean.
 */

#include "scribe/disk.h"

#include <sys/resource.h>
#include <sys/stat.h>

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/clock.h"
#include "tests/unit/store_fixture.h"

#define MIB ((uint64_t)1 << 20)

static int
setup(void **state)
{
	struct store_fixture *f;

	if ((f = calloc(1, sizeof(*f))) == NULL)
		return -1;
	*state = f;
	if (store_fixture_enter(f) == -1)
		return -1;
	return mkdir("db", 0700);
}

static int
teardown(void **state)
{
	struct store_fixture *f = *state;
	int rc = store_fixture_leave(f);

	free(f);
	return rc;
}

static uint64_t
on_disk(void)
{
	struct stat st;

	if (stat("db/ballast", &st) == -1)
		return 0;
	return (uint64_t)st.st_blocks * 512;
}

static uint64_t
later(unsigned s)
{
	return clock_mono_ns() + s * CLOCK_S_NS;
}

static void
it_takes_its_blocks_at_once(void **state)
{
	struct ballast b;

	ballast_open(&b, 2 * MIB);
	assert_int_equal(b.bytes, 2 * MIB);
	assert_true(on_disk() >= 2 * MIB);
	assert_false(ballast_used(&b));
	ballast_close(&b);
	/* the next process finds it */
	ballast_open(&b, 2 * MIB);
	assert_int_equal(b.bytes, 2 * MIB);
	ballast_close(&b);
}

static void
given_up_its_blocks_are_the_disks(void **state)
{
	struct ballast b;

	ballast_open(&b, 2 * MIB);
	assert_true(ballast_use(&b));
	assert_true(on_disk() < MIB);
	assert_true(ballast_used(&b));
	assert_int_equal(b.uses, 1);
	/* there is no more */
	assert_false(ballast_use(&b));
	ballast_close(&b);
}

static void
it_is_made_again_when_there_is_space(void **state)
{
	struct ballast b;

	ballast_open(&b, 2 * MIB);
	assert_true(ballast_use(&b));
	/* not in the same moment */
	assert_false(ballast_turn(&b, clock_mono_ns()));
	assert_true(ballast_turn(&b, later(10)));
	assert_false(ballast_used(&b));
	assert_true(on_disk() >= 2 * MIB);
	assert_false(ballast_turn(&b, later(20)));
	ballast_close(&b);
}

static void
it_waits_while_there_is_no_space(void **state)
{
	struct rlimit old, none = { 0, 0 };
	struct ballast b;

	ballast_open(&b, 2 * MIB);
	assert_true(ballast_use(&b));
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	none.rlim_max = old.rlim_max;
	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
	assert_false(ballast_turn(&b, later(10)));
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_true(ballast_used(&b));
	assert_int_equal(b.bytes, 0);
	assert_true(ballast_turn(&b, later(20)));
	assert_int_equal(b.bytes, 2 * MIB);
	ballast_close(&b);
}

static void
another_size_counts_from_the_next_look(void **state)
{
	struct ballast b;

	ballast_open(&b, 2 * MIB);
	ballast_configure(&b, 4 * MIB);
	assert_false(ballast_turn(&b, later(1)));
	assert_int_equal(b.bytes, 4 * MIB);
	assert_true(on_disk() >= 4 * MIB);
	ballast_configure(&b, 1 * MIB);
	assert_false(ballast_turn(&b, later(1)));
	assert_int_equal(b.bytes, 1 * MIB);
	assert_true(on_disk() < 4 * MIB);
	ballast_configure(&b, 0);
	assert_false(ballast_turn(&b, later(1)));
	assert_int_equal(b.bytes, 0);
	assert_false(ballast_use(&b));
	ballast_close(&b);
}

static void
one_that_is_switched_off_while_it_is_used_is_over(void **state)
{
	struct ballast b;

	ballast_open(&b, 2 * MIB);
	assert_true(ballast_use(&b));
	ballast_configure(&b, 0);
	assert_true(ballast_turn(&b, later(10)));
	assert_false(ballast_used(&b));
	ballast_close(&b);
}

static void
one_that_becomes_too_small_while_it_is_used_is_over(void **state)
{
	struct ballast b;

	ballast_open(&b, 2 * MIB);
	assert_true(ballast_use(&b));
	ballast_configure(&b, MIB / 2);
	assert_true(ballast_turn(&b, later(10)));
	assert_false(ballast_used(&b));
	assert_int_equal(b.bytes, 0);
	ballast_close(&b);
}

static void
a_sparse_file_is_no_ballast(void **state)
{
	struct ballast b;
	int fd = open("db/ballast", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	assert_int_not_equal(fd, -1);
	assert_int_equal(ftruncate(fd, (off_t)(2 * MIB)), 0);
	close(fd);
	assert_int_equal(on_disk(), 0);
	ballast_open(&b, 2 * MIB);
	assert_int_equal(b.bytes, 2 * MIB);
	assert_true(on_disk() >= 2 * MIB);
	ballast_close(&b);
}

static void
on_a_small_disk_it_is_a_hundredth(void **state)
{
	struct disk_space space;
	struct ballast b;

	assert_int_equal(disk_space(&space), 0);
	assert_true(space.total > 0);
	/* more than any test machine's hundredth would be a bad test: only
	 * that it is never more */
	ballast_open(&b, 8 * MIB);
	assert_true(b.bytes <= space.total / 100);
	ballast_close(&b);
}

static void
without_its_directory_there_is_none_and_nothing_fails(void **state)
{
	struct ballast b;

	assert_int_equal(rmdir("db"), 0);
	ballast_open(&b, 2 * MIB);
	assert_int_equal(b.bytes, 0);
	assert_false(ballast_use(&b));
	assert_false(ballast_turn(&b, later(10)));
	ballast_close(&b);
}

static void
an_error_on_a_disk_with_space_is_a_failure(void **state)
{
	struct disk_space space;

	assert_int_equal(disk_fault(ENOSPC, &space), DISK_FULL);
	assert_true(space.total > 0);
	assert_int_equal(disk_fault(EDQUOT, &space), DISK_FULL);
	assert_int_equal(disk_fault(EIO, &space), DISK_FAILS);
	assert_true(space.free >= DISK_LITTLE);
	assert_int_equal(disk_fault(EUCLEAN, &space), DISK_FAILS);
	/* nobody knows */
	assert_int_equal(rmdir("db"), 0);
	assert_int_equal(disk_fault(EIO, &space), DISK_FAILS);
	assert_int_equal(space.total, 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(it_takes_its_blocks_at_once),
		T(given_up_its_blocks_are_the_disks),
		T(it_is_made_again_when_there_is_space),
		T(it_waits_while_there_is_no_space),
		T(another_size_counts_from_the_next_look),
		T(one_that_is_switched_off_while_it_is_used_is_over),
		T(one_that_becomes_too_small_while_it_is_used_is_over),
		T(a_sparse_file_is_no_ballast),
		T(on_a_small_disk_it_is_a_hundredth),
		T(without_its_directory_there_is_none_and_nothing_fails),
		T(an_error_on_a_disk_with_space_is_a_failure),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
