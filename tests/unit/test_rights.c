/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_rights - what rights.h promises about users and limits.
 */

#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/config.h"
#include "master/rights.h"

static struct config *
make_config(const char *user, const char *group)
{
	char o[2][64];
	const char *overrides[] = { o[0], o[1], "auth.mode=none" };
	const struct config_source src = { .overrides = overrides,
		.noverrides = 3 };
	struct config_errors errors;
	struct config *cfg;

	(void)snprintf(o[0], sizeof(o[0]), "user=%s", user);
	(void)snprintf(o[1], sizeof(o[1]), "group=%s", group);
	cfg = config_load(&src, &errors);
	config_errors_clear(&errors);
	assert_non_null(cfg);
	return cfg;
}

static void
only_root_becomes_somebody_else(void **state)
{
	struct config *cfg = make_config("nobody", "nogroup");
	struct config_errors errors = { 0 };
	struct rights r;

	assert_int_equal(rights_find(cfg, &r, &errors), 0);
	assert_int_equal(r.root, geteuid() == 0);
	if (geteuid() == 0)
		assert_string_equal(r.user, "nobody");
	else
		assert_int_equal(r.uid, geteuid());
	config_free(&cfg);
}

static void
unknown_names_are_both_told(void **state)
{
	struct config *cfg = make_config("nobodyatall", "nogroupatall");
	struct config_errors errors = { 0 };
	struct rights r;

	if (geteuid() == 0) {
		assert_int_equal(rights_find(cfg, &r, &errors), -1);
		assert_int_equal(errors.n, 2);
		assert_non_null(strstr(errors.v[0], "-o: user: "));
		assert_non_null(strstr(errors.v[1], "nogroupatall"));
	} else {
		/* they do not matter then */
		assert_int_equal(rights_find(cfg, &r, &errors), 0);
	}
	config_errors_clear(&errors);
	config_free(&cfg);
}

static void
the_first_class_that_fits_decides_who_can_write(void **state)
{
	const struct rights r = { .uid = 5, .gid = 6 };
	const struct rights root = { .uid = 0, .gid = 0 };
	const struct {
		uid_t uid;
		gid_t gid;
		mode_t mode;
		bool can;
	} rows[] = {
		{ 5, 9, 0200, true },
		{ 5, 6, 0022, false },
		{ 9, 6, 0020, true },
		{ 9, 6, 0702, false },
		{ 9, 9, 0002, true },
		{ 9, 9, 0770, false },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct stat st = { .st_uid = rows[i].uid,
			.st_gid = rows[i].gid,
			.st_mode = rows[i].mode };

		assert_int_equal(rights_can_write(&r, &st), rows[i].can);
		assert_true(rights_can_write(&root, &st));
	}
}

static void
the_limit_of_descriptors_is_raised_to_the_hard_one(void **state)
{
	struct rlimit rl;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &rl), 0);
	rl.rlim_cur = 64;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &rl), 0);
	assert_int_equal(rights_raise_files(), rl.rlim_max);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &rl), 0);
	assert_int_equal(rl.rlim_cur, rl.rlim_max);
}

/* In a process of its own: there is no way back. */
static void
dropping_is_for_good(void **state)
{
	const struct rights r = { .root = true,
		.uid = 65534,
		.gid = 65534,
		.user = "nobody" };
	int status;
	pid_t pid;

	if (geteuid() != 0)
		skip();
	assert_true((pid = fork()) != -1);
	if (pid == 0) {
		rights_drop(&r);
		_exit(getuid() == 65534 && geteuid() == 65534 &&
			    getgid() == 65534 && setuid(0) == -1 &&
			    setgid(0) == -1
			? 0
			: 9);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_root_becomes_somebody_else),
		cmocka_unit_test(unknown_names_are_both_told),
		cmocka_unit_test(
		    the_first_class_that_fits_decides_who_can_write),
		cmocka_unit_test(
		    the_limit_of_descriptors_is_raised_to_the_hard_one),
		cmocka_unit_test(dropping_is_for_good),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
