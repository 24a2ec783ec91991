/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_chatctl_sink - what sink.h promises: all of a file, or none.
 */

#include <sys/stat.h>
#include <sys/wait.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "chatctl/sink.h"

static char dir[64], path[96];

static int
setup(void **state)
{
	(void)snprintf(dir, sizeof(dir), "/tmp/test_sink.XXXXXX");
	if (mkdtemp(dir) == NULL)
		return -1;
	(void)snprintf(path, sizeof(path), "%s/file", dir);
	return 0;
}

static int
teardown(void **state)
{
	char damaged[128];

	(void)snprintf(damaged, sizeof(damaged), "%s.damaged", path);
	(void)unlink(path);
	(void)unlink(damaged);
	return rmdir(dir);
}

static unsigned
names_in_directory(void)
{
	DIR *d = opendir(dir);
	unsigned n = 0;

	while (readdir(d) != NULL)
		n++;
	(void)closedir(d);
	return n - 2;
}

static void
write_something(const struct sink *s)
{
	assert_int_equal(write(s->fd, "hello", 5), 5);
}

static void
expect_something(const char *name)
{
	char buf[16];
	struct stat st;
	int fd = open(name, O_RDONLY);

	assert_true(fd != -1);
	assert_int_equal(read(fd, buf, sizeof(buf)), 5);
	assert_memory_equal(buf, "hello", 5);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	(void)close(fd);
}

static void
a_file_has_its_name_when_it_is_complete(void **state)
{
	struct sink s;

	assert_int_equal(sink_open(&s, path, false), 0);
	assert_false(s.named);
	write_something(&s);
	assert_int_equal(names_in_directory(), 0);
	assert_int_equal(sink_commit(&s, ""), 0);
	expect_something(path);
	assert_int_equal(s.fd, -1);
}

static void
where_there_are_no_nameless_files_it_is_the_same(void **state)
{
	struct sink s;

	assert_int_equal(sink_open(&s, path, true), 0);
	assert_true(s.named);
	write_something(&s);
	assert_int_equal(names_in_directory(), 1);
	assert_int_equal(sink_commit(&s, ""), 0);
	expect_something(path);
}

static void
a_suffix_is_part_of_the_name(void **state)
{
	char damaged[128];
	struct sink s;

	(void)snprintf(damaged, sizeof(damaged), "%s.damaged", path);
	for (int named = 0; named < 2; named++) {
		assert_int_equal(sink_open(&s, path, named == 1), 0);
		write_something(&s);
		assert_int_equal(sink_commit(&s, ".damaged"), 0);
		expect_something(damaged);
		assert_int_equal(names_in_directory(), 1);
		assert_int_equal(unlink(damaged), 0);
	}
}

static void
what_is_abandoned_leaves_nothing(void **state)
{
	struct sink s;

	for (int named = 0; named < 2; named++) {
		assert_int_equal(sink_open(&s, path, named == 1), 0);
		write_something(&s);
		sink_abandon(&s);
		assert_int_equal(names_in_directory(), 0);
	}
}

static void
what_is_there_is_not_overwritten(void **state)
{
	int fd = open(path, O_WRONLY | O_CREAT, 0600);
	struct sink s;

	assert_int_equal(write(fd, "hello", 5), 5);
	(void)close(fd);
	assert_int_equal(sink_open(&s, path, false), -1);
	assert_int_equal(sink_open(&s, path, true), -1);
	expect_something(path);
	assert_int_equal(unlink(path), 0);
	/* not a link that leads nowhere either */
	assert_int_equal(symlink("nowhere", path), 0);
	assert_int_equal(sink_open(&s, path, false), -1);
}

static void
what_comes_in_between_is_not_overwritten(void **state)
{
	struct sink s;
	int fd;

	assert_int_equal(sink_open(&s, path, false), 0);
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	assert_int_equal(write(fd, "hello", 5), 5);
	(void)close(fd);
	assert_int_equal(write(s.fd, "other", 5), 5);
	assert_int_equal(sink_commit(&s, ""), -1);
	expect_something(path);
	assert_int_equal(names_in_directory(), 1);
}

static void
a_directory_that_is_not_there_is_an_error(void **state)
{
	struct sink s;

	assert_int_equal(sink_open(&s, "/nonexistent/file", false), -1);
}

/* Opens one and dies of a signal; is anything left? */
static void
dies(bool named, int sig)
{
	struct sink s;
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		if (sink_open(&s, path, named) == 0) {
			write_something(&s);
			(void)raise(sig);
		}
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), sig);
	assert_int_equal(names_in_directory(), 0);
}

/* It is seen before anything is written, not after hours of it. */
static void
a_name_that_no_file_can_have_is_an_error(void **state)
{
	char slash[128];
	struct sink s;

	(void)snprintf(slash, sizeof(slash), "%s/", path);
	assert_int_equal(sink_open(&s, slash, false), -1);
	assert_int_equal(s.fd, -1);
	assert_int_equal(sink_open(&s, "", false), -1);
	assert_int_equal(names_in_directory(), 0);
}

static void
who_is_ended_leaves_nothing(void **state)
{
	dies(false, SIGKILL);
	dies(false, SIGTERM);
	dies(true, SIGTERM);
	dies(true, SIGINT);
	dies(true, SIGHUP);
}

static void
standard_output_is_a_stream(void **state)
{
	struct sink s;

	assert_int_equal(sink_open(&s, "-", false), 0);
	assert_true(s.stream);
	assert_int_equal(s.fd, STDOUT_FILENO);
	sink_abandon(&s);
	/* it is not ours to close */
	assert_true(fcntl(STDOUT_FILENO, F_GETFD) != -1);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_file_has_its_name_when_it_is_complete),
		T(where_there_are_no_nameless_files_it_is_the_same),
		T(a_suffix_is_part_of_the_name),
		T(what_is_abandoned_leaves_nothing),
		T(what_is_there_is_not_overwritten),
		T(what_comes_in_between_is_not_overwritten),
		T(a_directory_that_is_not_there_is_an_error),
		T(a_name_that_no_file_can_have_is_an_error),
		T(who_is_ended_leaves_nothing),
		T(standard_output_is_a_stream),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
