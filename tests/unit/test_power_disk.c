/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_power_disk - what tests/power/disk.h promises to hold, and to lose.
 */

#include <sys/stat.h>

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/power/disk.h"
#include "tests/unit/store_fixture.h"

#define FILE_NO 7
#define UNITS 8
#define SIZE (UNITS * DISK_UNIT)
#define IMAGES 400

struct fixture {
	struct store_fixture st;
	struct journal *j;
	struct disk d;
	uint64_t at;
	uint64_t rnd;
	/* the last image */
	uint8_t b[4 * SIZE];
	ssize_t len;
};

static int
setup(void **state)
{
	struct fixture *f;

	if ((f = calloc(1, sizeof(*f))) == NULL ||
	    store_fixture_enter(&f->st) == -1)
		return -1;
	f->rnd = 12345;
	*state = f;
	if ((f->j = calloc(1, 1 << 20)) == NULL)
		return -1;
	journal_init(f->j, 1 << 20);
	disk_init(&f->d);
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;
	int rc = store_fixture_leave(&f->st);

	disk_free(&f->d);
	free(f->j);
	free(f);
	return rc;
}

/* Apply all that is new in the journal. */
static void
apply(struct fixture *f)
{
	const struct journal_event *ev;

	while ((ev = journal_next(f->j, &f->at)) != NULL)
		disk_apply(&f->d, ev);
}

static void
event(struct fixture *f, enum journal_kind kind, uint64_t a, uint64_t b,
    const void *p, size_t len)
{
	journal_add(f->j, kind, FILE_NO, a, b, p, len);
	apply(f);
}

static void
named(struct fixture *f)
{
	event(f, J_NAME, 1, 0, "db/data.mdb", 12);
	event(f, J_DIRSYNC, 0, 0, "db", 3);
}

/* 'units' units of 'c' at the unit 'at'. */
static void
writes(struct fixture *f, unsigned at, unsigned units, char c, bool dsync)
{
	uint8_t p[SIZE];

	memset(p, c, sizeof(p));
	event(f, J_WRITE, at * DISK_UNIT, dsync, p, units * DISK_UNIT);
}

static void
written(struct fixture *f, unsigned units, bool dsync)
{
	event(f, J_WRITTEN, units * DISK_UNIT, dsync, NULL, 0);
}

/* Another image; false: the file is not there. */
static bool
image(struct fixture *f, enum disk_how how)
{
	int fd;

	(void)unlink("db/data.mdb");
	assert_int_equal(disk_image(&f->d, how, &f->rnd, "."), 0);
	memset(f->b, 0, sizeof(f->b));
	f->len = -1;
	if ((fd = open("db/data.mdb", O_RDONLY)) == -1)
		return false;
	f->len = read(fd, f->b, sizeof(f->b));
	close(fd);
	return true;
}

static bool
all_are(const struct fixture *f, unsigned unit, unsigned n, char c)
{
	size_t i;

	for (i = unit * DISK_UNIT; i < (unit + n) * (size_t)DISK_UNIT; i++)
		if (f->b[i] != (uint8_t)c)
			return false;
	return true;
}

/* A file whose units are all 'a', flushed. */
static void
flushed_file(struct fixture *f)
{
	named(f);
	writes(f, 0, UNITS, 'a', false);
	written(f, UNITS, false);
	event(f, J_FLUSH, 0, 0, NULL, 0);
	event(f, J_FLUSHED, 0, 0, NULL, 0);
}

static void
what_was_flushed_is_in_every_image(void **state)
{
	struct fixture *f = *state;
	int i;

	flushed_file(f);
	for (i = 0; i < IMAGES; i++) {
		assert_true(image(f, DISK_CHANCE));
		assert_int_equal(f->len, SIZE);
		assert_true(all_are(f, 0, UNITS, 'a'));
	}
}

static void
units_come_whole_and_each_may_be_missing(void **state)
{
	struct fixture *f = *state;
	int i, missing[UNITS] = { 0 }, there[UNITS] = { 0 };
	unsigned u;

	flushed_file(f);
	writes(f, 0, UNITS, 'b', false);
	written(f, UNITS, false);
	/* a flush that has begun promises nothing */
	event(f, J_FLUSH, 0, 0, NULL, 0);
	for (i = 0; i < IMAGES; i++) {
		assert_true(image(f, DISK_CHANCE));
		for (u = 0; u < UNITS; u++) {
			missing[u] += all_are(f, u, 1, 'a');
			there[u] += all_are(f, u, 1, 'b');
		}
	}
	for (u = 0; u < UNITS; u++) {
		assert_true(missing[u] > 0 && there[u] > 0);
		assert_int_equal(missing[u] + there[u], IMAGES);
	}
}

static void
an_older_version_of_a_unit_may_be_there(void **state)
{
	struct fixture *f = *state;
	int i, a = 0, b = 0, c = 0;

	flushed_file(f);
	writes(f, 2, 1, 'b', false);
	written(f, 1, false);
	writes(f, 2, 1, 'c', false);
	written(f, 1, false);
	for (i = 0; i < IMAGES; i++) {
		assert_true(image(f, DISK_CHANCE));
		a += all_are(f, 2, 1, 'a');
		b += all_are(f, 2, 1, 'b');
		c += all_are(f, 2, 1, 'c');
	}
	assert_true(a > 0 && b > 0 && c > 0);
	assert_int_equal(a + b + c, IMAGES);
}

static void
a_synchronous_write_is_flushed_when_it_has_returned(void **state)
{
	struct fixture *f = *state;
	int i, missing = 0;

	flushed_file(f);
	/* something else that is not flushed, and stays so */
	writes(f, 5, 1, 'x', false);
	written(f, 1, false);
	writes(f, 1, 1, 'b', true);
	for (i = 0; i < IMAGES; i++) {
		assert_true(image(f, DISK_CHANCE));
		missing += all_are(f, 1, 1, 'a');
	}
	assert_true(missing > 0);
	written(f, 1, true);
	for (i = 0, missing = 0; i < IMAGES; i++) {
		assert_true(image(f, DISK_CHANCE));
		assert_true(all_are(f, 1, 1, 'b'));
		missing += all_are(f, 5, 1, 'a');
	}
	assert_true(missing > 0);
}

static void
a_file_may_not_have_grown(void **state)
{
	struct fixture *f = *state;
	int i, small = 0, large = 0;

	flushed_file(f);
	writes(f, UNITS, UNITS, 'b', false);
	written(f, UNITS, false);
	for (i = 0; i < IMAGES; i++) {
		assert_true(image(f, DISK_CHANCE));
		small += f->len == SIZE;
		large += f->len == 2 * SIZE;
	}
	assert_true(small > 0 && large > 0);
	assert_int_equal(small + large, IMAGES);
}

static void
a_name_may_be_missing_until_its_directory_is_flushed(void **state)
{
	struct fixture *f = *state;
	int i, missing = 0;

	event(f, J_NAME, 1, 0, "db/data.mdb", 12);
	writes(f, 0, UNITS, 'a', false);
	written(f, UNITS, false);
	event(f, J_FLUSHED, 0, 0, NULL, 0);
	for (i = 0; i < IMAGES; i++)
		missing += !image(f, DISK_CHANCE);
	assert_true(missing > 0 && missing < IMAGES);
	event(f, J_DIRSYNC, 0, 0, "db", 3);
	for (i = 0; i < IMAGES; i++)
		assert_true(image(f, DISK_CHANCE));
}

static void
a_rename_is_the_old_file_or_the_new(void **state)
{
	struct fixture *f = *state;
	int i, old = 0, new = 0;

	flushed_file(f);
	journal_add(f->j, J_NAME, FILE_NO + 1, 1, 0, "db/data.new", 12);
	journal_add(f->j, J_WRITE, FILE_NO + 1, 0, 0, "new", 4);
	journal_add(f->j, J_FLUSHED, FILE_NO + 1, 0, 0, NULL, 0);
	journal_add(f->j, J_DIRSYNC, 0, 0, 0, "db", 3);
	journal_add2(f->j, J_RENAME, 0, 0, 0, "db/data.new", 12, "db/data.mdb",
	    12);
	apply(f);
	for (i = 0; i < IMAGES; i++) {
		assert_true(image(f, DISK_CHANCE));
		old += f->len == SIZE && all_are(f, 0, UNITS, 'a');
		new += f->len == 4;
	}
	assert_true(old > 0 && new > 0);
	assert_int_equal(old + new, IMAGES);
}

static void
a_write_that_never_returned_is_what_was_found(void **state)
{
	struct fixture *f = *state;
	uint8_t found[2 * DISK_UNIT];
	int i, b = 0;

	flushed_file(f);
	writes(f, 0, 2, 'b', false);
	memset(found, 'b', DISK_UNIT);
	memset(found + DISK_UNIT, 'a', DISK_UNIT);
	event(f, J_SEEN, 0, 0, found, sizeof(found));
	for (i = 0; i < IMAGES; i++) {
		assert_true(image(f, DISK_CHANCE));
		b += all_are(f, 0, 1, 'b');
		assert_true(all_are(f, 1, 1, 'a'));
	}
	assert_true(b > 0);
	assert_true(image(f, DISK_SEEN));
	assert_true(all_are(f, 0, 1, 'b'));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(what_was_flushed_is_in_every_image),
		T(units_come_whole_and_each_may_be_missing),
		T(an_older_version_of_a_unit_may_be_there),
		T(a_synchronous_write_is_flushed_when_it_has_returned),
		T(a_file_may_not_have_grown),
		T(a_name_may_be_missing_until_its_directory_is_flushed),
		T(a_rename_is_the_old_file_or_the_new),
		T(a_write_that_never_returned_is_what_was_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
