/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_clerk_output - what clerk.h promises about the output and about the
 * store's growth.
 */

#include <sys/stat.h>
#include <sys/wait.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "clerk/clerk.h"
#include "common/log.h"

#define BIG (3 << 20)

static struct {
	struct clerk clerk;
	char dir[64], failed[512];
	unsigned looks;
	/* the output is read from here, when the clerk looks around */
	int reader;
	size_t got;
} f;

/* --- the rest of the clerk --------------------------------------------- */

int
answer_failed(struct clerk *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(f.failed, sizeof(f.failed), fmt, ap);
	va_end(ap);
	return -1;
}

void
clerk_look(struct clerk *c)
{
	static char buf[15000];
	ssize_t n;

	f.looks++;
	if (f.reader == -1)
		return;
	n = read(f.reader, buf, sizeof(buf));
	f.got += n > 0 ? (size_t)n : 0;
}

/* --- helpers ----------------------------------------------------------- */

static int
setup(void **state)
{
	memset(&f, 0, sizeof(f));
	f.reader = -1;
	f.clerk.out = -1;
	(void)snprintf(f.dir, sizeof(f.dir), "/tmp/test_output.XXXXXX");
	if (mkdtemp(f.dir) == NULL || chdir(f.dir) == -1 ||
	    mkdir("db", 0700) == -1)
		return -1;
	return 0;
}

static int
teardown(void **state)
{
	if (f.clerk.out != -1)
		(void)close(f.clerk.out);
	if (f.reader != -1)
		(void)close(f.reader);
	(void)unlink("db/data.mdb");
	(void)unlink("out");
	(void)rmdir("db");
	return chdir("/") == -1 || rmdir(f.dir) == -1;
}

static void
store_of(off_t bytes)
{
	int fd = open("db/data.mdb", O_WRONLY | O_CREAT, 0600);

	assert_int_equal(ftruncate(fd, bytes), 0);
	(void)close(fd);
}

static const char *
bytes(void)
{
	static char buf[BIG];

	for (size_t i = 0; i < sizeof(buf); i++)
		buf[i] = (char)(i * 7);
	return buf;
}

/* --- promises -------------------------------------------------------------- */

static void
a_file_gets_all_of_it(void **state)
{
	static char back[BIG + 1];
	struct output out;

	f.clerk.out = open("out", O_RDWR | O_CREAT, 0600);
	output_begin(&f.clerk, &out, NULL);
	assert_true(out.is_file);
	assert_int_equal(output_write(&out, bytes(), BIG), 0);
	assert_int_equal(output_end(&out), 0);
	assert_int_equal(out.bytes, BIG);
	assert_int_equal(pread(f.clerk.out, back, sizeof(back), 0), BIG);
	assert_memory_equal(back, bytes(), BIG);
}

static void
a_slow_reader_gets_all_of_it_and_blocks_nobody(void **state)
{
	struct output out;
	int ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	f.clerk.out = ends[1];
	f.reader = ends[0];
	assert_int_equal(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
	output_begin(&f.clerk, &out, NULL);
	assert_false(out.is_file);
	/* read by the same thread: it must never wait in write() */
	alarm(60);
	assert_int_equal(output_write(&out, bytes(), 300000), 0);
	alarm(0);
	assert_int_equal(out.bytes, 300000);
	assert_true(f.got > 200000);
	assert_int_equal(output_end(&out), 0);
}

static void
a_reader_that_went_is_an_error(void **state)
{
	struct output out;
	int ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	(void)close(ends[0]);
	f.clerk.out = ends[1];
	output_begin(&f.clerk, &out, NULL);
	assert_int_equal(output_write(&out, "x", 1), -1);
	assert_non_null(strstr(f.failed, "nobody reads the output"));
}

static void
a_full_disk_is_named(void **state)
{
	struct output out;

	f.clerk.out = open("/dev/full", O_WRONLY);
	output_begin(&f.clerk, &out, NULL);
	assert_int_equal(output_write(&out, "x", 1), -1);
	assert_non_null(
	    strstr(f.failed, "the output's disk is full: No space"));
}

static void
while_nobody_reads_the_growth_is_watched(void **state)
{
	struct growth growth;
	struct output out;
	int ends[2];

	store_of(1000);
	growth_begin(&f.clerk, &growth, 1 << 20);
	store_of((1 << 20) + 1001);
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	f.clerk.out = ends[1];
	output_begin(&f.clerk, &out, &growth);
	assert_int_equal(output_write(&out, bytes(), 300000), -1);
	assert_non_null(strstr(f.failed, "given up: the store has grown"));
	(void)close(ends[0]);
}

static void
growth_has_a_limit(void **state)
{
	struct growth growth;

	store_of(1000);
	growth_begin(&f.clerk, &growth, 500);
	assert_int_equal(growth_check(&f.clerk, &growth), 0);
	store_of(1500);
	assert_int_equal(growth_check(&f.clerk, &growth), 0);
	assert_true(growth_allowed(&f.clerk, &growth));
	store_of(1501);
	assert_false(growth_allowed(&f.clerk, &growth));
	assert_int_equal(growth_check(&f.clerk, &growth), -1);
	/* a file that got smaller has not grown */
	store_of(10);
	assert_int_equal(growth_check(&f.clerk, &growth), 0);
	f.clerk.offline = true;
	store_of(100000);
	assert_int_equal(growth_check(&f.clerk, &growth), 0);
}

static void
the_default_is_a_fifth_and_at_least_256_mib(void **state)
{
	struct growth growth;

	store_of(1000);
	growth_begin(&f.clerk, &growth, 0);
	assert_int_equal(growth.limit_bytes, 256 << 20);
	store_of((off_t)10 << 30);
	growth_begin(&f.clerk, &growth, 0);
	assert_int_equal(growth.limit_bytes, (uint64_t)2 << 30);
}

static void
sizes_are_read_as_options_are(void **state)
{
	static const char *const bad[] = { "", "m", "-1m", "1x", "1mm", " 1",
		"99999999999999999999", "0" };

	assert_int_equal(growth_parse("100"), 100);
	assert_int_equal(growth_parse("3k"), 3 << 10);
	assert_int_equal(growth_parse("300m"), 300 << 20);
	assert_int_equal(growth_parse("2g"), (uint64_t)2 << 30);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(growth_parse(bad[i]), 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_file_gets_all_of_it),
		T(a_slow_reader_gets_all_of_it_and_blocks_nobody),
		T(a_reader_that_went_is_an_error),
		T(a_full_disk_is_named),
		T(while_nobody_reads_the_growth_is_watched),
		T(growth_has_a_limit),
		T(the_default_is_a_fifth_and_at_least_256_mib),
		T(sizes_are_read_as_options_are),
	};

	(void)signal(SIGPIPE, SIG_IGN);
	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
