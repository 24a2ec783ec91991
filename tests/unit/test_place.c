/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_place - what place.h promises about a daemon's directories.
 */

#include <sys/stat.h>
#include <sys/wait.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/config.h"
#include "master/place.h"
#include "master/rights.h"

struct fixture {
	char dir[64];
	char run[80], data[80];
	struct rights rights;
	struct config *cfg;
};

static struct config *
make_config(const char *run, const char *data)
{
	char o[2][128];
	const char *overrides[] = { o[0], o[1], "auth.mode=none" };
	const struct config_source src = { .overrides = overrides,
		.noverrides = 3 };
	struct config_errors errors;
	struct config *cfg;

	(void)snprintf(o[0], sizeof(o[0]), "run_dir=%s", run);
	(void)snprintf(o[1], sizeof(o[1]), "data_dir=%s", data);
	cfg = config_load(&src, &errors);
	config_errors_clear(&errors);
	return cfg;
}

static int
setup(void **state)
{
	struct fixture *f;

	if ((f = calloc(1, sizeof(*f))) == NULL)
		return -1;
	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/test_place.XXXXXX");
	if (mkdtemp(f->dir) == NULL)
		return -1;
	(void)snprintf(f->run, sizeof(f->run), "%s/a/run", f->dir);
	(void)snprintf(f->data, sizeof(f->data), "%s/b/data", f->dir);
	f->rights.uid = geteuid();
	f->rights.gid = getegid();
	f->cfg = make_config(f->run, f->data);
	*state = f;
	return f->cfg == NULL ? -1 : 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;
	char command[128];
	int rc;

	(void)snprintf(command, sizeof(command), "rm -rf '%s'", f->dir);
	rc = system(command);
	config_free(&f->cfg);
	free(f);
	return rc;
}

static bool
exists(const char *dir, const char *name)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	return access(path, F_OK) == 0;
}

static pid_t
pid_in(const char *dir, const char *name)
{
	char path[128];
	FILE *fp;
	int pid = 0;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	if ((fp = fopen(path, "r")) == NULL)
		return 0;
	if (fscanf(fp, "%d", &pid) != 1)
		pid = 0;
	(void)fclose(fp);
	return pid;
}

/* A second daemon tries; its exit status, and what it said. */
static int
second(const struct fixture *f, const struct config *cfg, char *said,
    size_t size)
{
	struct place p;
	int fd[2], status;
	size_t len = 0;
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe(fd), 0);
	assert_true((pid = fork()) != -1);
	if (pid == 0) {
		(void)dup2(fd[1], STDERR_FILENO);
		place_take(&p, cfg, &f->rights);
		_exit(0);
	}
	(void)close(fd[1]);
	while ((n = read(fd[0], said + len, size - 1 - len)) > 0)
		len += (size_t)n;
	said[len] = '\0';
	(void)close(fd[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void
directories_are_made_with_those_above_them(void **state)
{
	struct fixture *f = *state;
	struct place p;
	struct stat st;

	place_take(&p, f->cfg, &f->rights);
	assert_int_equal(fstat(p.data_fd, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0750);
	assert_int_equal(pid_in(f->data, "chatd.lock"), getpid());
	assert_false(exists(f->run, "chatd.pid"));
	place_leave(&p);
}

static void
the_pid_file_is_whole_or_not_there(void **state)
{
	struct fixture *f = *state;
	struct place p;

	place_take(&p, f->cfg, &f->rights);
	place_write_pid(&p);
	assert_int_equal(pid_in(f->run, "chatd.pid"), getpid());
	assert_false(exists(f->run, "chatd.pid.new"));
	place_leave(&p);
	assert_false(exists(f->run, "chatd.pid"));
	/* nothing is left behind, and twice is no harm */
	place_leave(&p);
	place_take(&p, f->cfg, &f->rights);
	place_leave(&p);
}

static void
a_second_one_is_told_who_has_the_data(void **state)
{
	struct fixture *f = *state;
	char other[96], want[64], said[1024];
	struct config *cfg;
	struct place p;

	(void)snprintf(other, sizeof(other), "%s/other", f->dir);
	cfg = make_config(other, f->data);
	assert_non_null(cfg);
	place_take(&p, f->cfg, &f->rights);
	assert_int_equal(second(f, cfg, said, sizeof(said)), 1);
	(void)snprintf(want, sizeof(want), "pid %d", (int)getpid());
	assert_non_null(strstr(said, want));
	assert_non_null(strstr(said, f->data));
	place_leave(&p);
	assert_int_equal(second(f, cfg, said, sizeof(said)), 0);
	config_free(&cfg);
}

static void
a_second_one_is_told_who_has_the_run_directory(void **state)
{
	struct fixture *f = *state;
	char other[96], want[64], said[1024];
	struct config *cfg;
	struct place p;

	(void)snprintf(other, sizeof(other), "%s/other", f->dir);
	cfg = make_config(f->run, other);
	assert_non_null(cfg);
	place_take(&p, f->cfg, &f->rights);
	place_write_pid(&p);
	assert_int_equal(second(f, cfg, said, sizeof(said)), 1);
	(void)snprintf(want, sizeof(want), "pid %d", (int)getpid());
	assert_non_null(strstr(said, want));
	assert_non_null(strstr(said, f->run));
	place_leave(&p);
	config_free(&cfg);
}

/* A killed master's scribe still holds the lock for a while. */
static void
the_children_of_a_dead_one_are_waited_for(void **state)
{
	struct fixture *f = *state;
	char said[1024];
	struct place p;
	int fd[2], status;
	pid_t master;

	assert_int_equal(pipe(fd), 0);
	assert_true((master = fork()) != -1);
	if (master == 0) {
		place_take(&p, f->cfg, &f->rights);
		if (fork() == 0) {
			(void)close(p.run_fd);
			(void)close(fd[0]);
			(void)usleep(400000);
			(void)!write(fd[1], "x", 1);
			_exit(0);
		}
		_exit(0);
	}
	assert_int_equal(waitpid(master, &status, 0), master);
	(void)close(fd[1]);
	assert_int_equal(second(f, f->cfg, said, sizeof(said)), 0);
	assert_non_null(strstr(said, "waiting"));
	/* it came in only when the last of them had written */
	assert_int_equal(read(fd[0], said, 1), 1);
	(void)close(fd[0]);
}

static void
a_check_finds_what_a_start_would_and_makes_nothing(void **state)
{
	struct fixture *f = *state;
	struct config_errors errors = { 0 };
	struct rights stranger = { .uid = 12345,
		.gid = 12345,
		.user = "stranger" };
	char file[96];
	struct config *cfg;
	FILE *fp;

	place_check(f->cfg, &f->rights, &errors);
	assert_int_equal(errors.n, 0);
	assert_false(exists(f->dir, "a"));

	(void)snprintf(file, sizeof(file), "%s/file", f->dir);
	assert_non_null(fp = fopen(file, "w"));
	(void)fclose(fp);
	cfg = make_config(f->dir, file);
	assert_non_null(cfg);
	place_check(cfg, &stranger, &errors);
	assert_int_equal(errors.n, 2);
	assert_non_null(strstr(errors.v[0], "not writable by user stranger"));
	assert_non_null(strstr(errors.v[1], "not a directory"));
	config_errors_clear(&errors);
	config_free(&cfg);
}

static void
what_belongs_to_somebody_else_and_holds_something_is_not_taken(void **state)
{
	struct fixture *f = *state;
	char path[128], said[1024];
	struct stat st;
	FILE *fp;

	if (geteuid() != 0)
		skip();
	f->rights = (struct rights){ .root = true,
		.uid = 65534,
		.gid = 65534,
		.user = "nobody" };
	(void)snprintf(path, sizeof(path), "%s/b", f->dir);
	assert_int_equal(mkdir(path, 0755), 0);
	assert_int_equal(mkdir(f->data, 0755), 0);
	(void)snprintf(path, sizeof(path), "%s/precious", f->data);
	assert_non_null(fp = fopen(path, "w"));
	(void)fclose(fp);
	assert_int_equal(second(f, f->cfg, said, sizeof(said)), 1);
	assert_non_null(strstr(said, "not writable by user nobody"));
	assert_int_equal(stat(f->data, &st), 0);
	assert_int_equal(st.st_uid, 0);
	/* an empty one is */
	assert_int_equal(unlink(path), 0);
	assert_int_equal(second(f, f->cfg, said, sizeof(said)), 0);
	assert_int_equal(stat(f->data, &st), 0);
	assert_int_equal(st.st_uid, 65534);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(directories_are_made_with_those_above_them),
		T(the_pid_file_is_whole_or_not_there),
		T(a_second_one_is_told_who_has_the_data),
		T(a_second_one_is_told_who_has_the_run_directory),
		T(the_children_of_a_dead_one_are_waited_for),
		T(a_check_finds_what_a_start_would_and_makes_nothing),
		T(what_belongs_to_somebody_else_and_holds_something_is_not_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
