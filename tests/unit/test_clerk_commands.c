/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_clerk_commands - export and backup of a store that holds something of
 * everything, and stores that cannot be opened.
 */

#include "tests/unit/clerk_fixture.h"

#include <sys/file.h>
#include <sys/stat.h>

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>

#include "common/log.h"

static struct clerk_fixture f;
static int here;

static int
setup(void **state)
{
	make_store(&f);
	store_close(&f.store.s);
	here = open(".", O_RDONLY | O_DIRECTORY);
	make_clerk(&f, "x", here);
	return 0;
}

static int
teardown(void **state)
{
	if (f.clerk.out != -1)
		close(f.clerk.out);
	if (f.clerk.nargs > 0)
		free(f.clerk.arg[0]);
	end_clerk(&f);
	close(here);
	return store_fixture_leave(&f.store);
}

static void
output_to(const char *name)
{
	f.clerk.out = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600);
	assert_true(f.clerk.out != -1);
}

static void
argument(const char *text)
{
	f.clerk.arg[f.clerk.nargs++] = strdup(text);
}

/* What was written. */
static const char *
written(void)
{
	static char buf[65536];
	ssize_t n = pread(f.clerk.out, buf, sizeof(buf) - 1, 0);

	assert_true(n >= 0);
	buf[n] = '\0';
	return buf;
}

/* --- export ------------------------------------------------------------ */

static void
an_export_is_the_history_and_shows_changes(void **state)
{
	const char *p;
	unsigned lines = 0;

	output_to("out");
	argument("w/s");
	assert_int_equal(clerk_open_store(&f.clerk), 0);
	assert_int_equal(export_run(&f.clerk), 0);
	for (p = written(); (p = strchr(p, '\n')) != NULL; p++)
		lines++;
	assert_int_equal(lines, MESSAGES);
	assert_memory_equal(written(),
	    "{\"id\":\"id-1\",\"content\":\"hello\",\"sessionId\":\"s\","
	    "\"timestamp\":10,\"seq\":1}\n",
	    69);
	assert_non_null(strstr(written(),
	    "{\"id\":\"id-3\",\"sessionId\":\"s\",\"timestamp\":30,\"seq\":3,"
	    "\"editedAt\":500,\"revision\":1}\n"));
	assert_non_null(strstr(written(),
	    "{\"id\":\"id-4\",\"sessionId\":\"s\",\"seq\":4,"
	    "\"deleted\":true}\n"));
	assert_non_null(strstr(hear(&f),
	    "\"messages\":10,\"of_them_deleted\":1,\"missing\":0"));
}

static void
what_is_damaged_is_counted_as_missing(void **state)
{
	static char file[1 << 20];
	int fd = open("db/data.mdb", O_RDWR);
	ssize_t n = read(fd, file, sizeof(file));
	char *at = memmem(file, (size_t)n, "\"id\":\"id-6\"", 11);

	/* every copy of it, also those in pages that are free */
	for (; at != NULL; at = memmem(at + 1, (size_t)(file + n - at - 1),
			       "\"id\":\"id-6\"", 11))
		assert_int_equal(pwrite(fd, "X", 1, at - file), 1);
	close(fd);
	output_to("out");
	argument("w/s");
	assert_int_equal(clerk_open_store(&f.clerk), 0);
	assert_int_equal(export_run(&f.clerk), 0);
	assert_non_null(strstr(hear(&f), "\"messages\":9,"));
	assert_non_null(strstr(f.answer, "\"missing\":1,"));
	assert_null(strstr(written(), "\"seq\":6"));
	assert_non_null(strstr(written(), "\"seq\":10"));
}

static void
a_session_that_is_not_there_is_named(void **state)
{
	output_to("out");
	argument("w/t");
	assert_int_equal(clerk_open_store(&f.clerk), 0);
	assert_int_equal(export_run(&f.clerk), -1);
	assert_non_null(strstr(hear(&f), "no such session"));
	free(f.clerk.arg[0]);
	f.clerk.nargs = 0;
	argument("nonsense");
	assert_int_equal(export_run(&f.clerk), -1);
	assert_non_null(strstr(hear(&f), "workspace/session"));
}

/* --- backup ------------------------------------------------------------ */

static void
a_backup_is_a_store(void **state)
{
	struct stat st;

	output_to("out");
	assert_int_equal(clerk_open_store(&f.clerk), 0);
	assert_int_equal(backup_run(&f.clerk), 0);
	assert_non_null(strstr(hear(&f), "\"position\":1000,"));
	assert_int_equal(fstat(f.clerk.out, &st), 0);
	assert_true(st.st_size >= 8192);
	end_clerk(&f);
	/* the file by itself is looked at */
	make_clerk(&f, "verify", open("out", O_RDONLY));
	f.clerk.out = -1;
	assert_int_equal(clerk_open_store(&f.clerk), 0);
	assert_int_equal(verify_run(&f.clerk), 0);
	assert_non_null(strstr(hear(&f), "\"errors_found\":0"));
	assert_non_null(strstr(f.answer, "{\"table\":\"msg\",\"rows\":10,"));
	close(f.clerk.dir);
}

static void
a_limit_that_is_none_is_refused(void **state)
{
	output_to("out");
	argument("much");
	assert_int_equal(clerk_open_store(&f.clerk), 0);
	assert_int_equal(backup_run(&f.clerk), -1);
	assert_non_null(strstr(hear(&f), "much is no size"));
}

static void
a_reader_that_goes_ends_the_backup(void **state)
{
	int ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	close(ends[0]);
	f.clerk.out = ends[1];
	assert_int_equal(clerk_open_store(&f.clerk), 0);
	assert_int_equal(backup_run(&f.clerk), -1);
	assert_non_null(strstr(hear(&f), "nobody reads the output"));
}

/* --- opening ----------------------------------------------------------- */

static void
a_directory_with_a_daemon_is_refused(void **state)
{
	int fd = open("chatd.lock", O_RDWR | O_CREAT, 0600);

	assert_int_equal(write(fd, "4711\n", 5), 5);
	assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
	assert_int_equal(clerk_open_store(&f.clerk), -1);
	assert_non_null(strstr(hear(&f), "a daemon with pid 4711 has"));
	/* a lock that nobody holds is none */
	assert_int_equal(flock(fd, LOCK_UN), 0);
	assert_int_equal(clerk_open_store(&f.clerk), 0);
	close(fd);
}

static void
what_is_no_store_is_refused(void **state)
{
	int fd = open("/proc", O_RDONLY | O_DIRECTORY);

	f.clerk.dir = fd;
	assert_int_equal(clerk_open_store(&f.clerk), -1);
	assert_non_null(strstr(hear(&f), "no store in this directory"));
	close(fd);
	f.clerk.dir = fd = open("/dev/null", O_RDONLY);
	assert_int_equal(clerk_open_store(&f.clerk), -1);
	assert_non_null(strstr(hear(&f), "neither a data directory nor"));
	close(fd);
	assert_int_equal(fchdir(here), 0);
	fd = open("nonsense", O_RDWR | O_CREAT, 0600);
	assert_int_equal(ftruncate(fd, 65536), 0);
	f.clerk.dir = fd;
	assert_int_equal(clerk_open_store(&f.clerk), -1);
	assert_non_null(strstr(hear(&f), "\"ok\":false"));
	close(fd);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(an_export_is_the_history_and_shows_changes),
		T(what_is_damaged_is_counted_as_missing),
		T(a_session_that_is_not_there_is_named),
		T(a_backup_is_a_store),
		T(a_limit_that_is_none_is_refused),
		T(a_reader_that_goes_ends_the_backup),
		T(a_directory_with_a_daemon_is_refused),
		T(what_is_no_store_is_refused),
	};

	(void)signal(SIGPIPE, SIG_IGN);
	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
