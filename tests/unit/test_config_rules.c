/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_config_rules - the content rules of a configuration: read with it,
 * and wrong with their own file and lines.
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
#include "common/rules.h"

static char path[64], option[96];
static struct config *cfg;
static struct strbuf said = STRBUF_INIT;

static int
setup(void **state)
{
	int fd;

	(void)snprintf(path, sizeof(path), "/tmp/test_rules.XXXXXX");
	if ((fd = mkstemp(path)) == -1)
		return -1;
	(void)snprintf(option, sizeof(option), "content.rules=%s", path);
	return close(fd);
}

static int
teardown(void **state)
{
	config_free(&cfg);
	sb_clear(&said);
	(void)unlink(path);
	return 0;
}

/* What is wrong with these rules; "" for nothing. */
static const char *
load(const char *rules)
{
	const char *overrides[] = { "auth.mode=none", option };
	struct config_source src = { .overrides = overrides, .noverrides = 2 };
	struct config_errors errors;
	FILE *fp = fopen(path, "w");

	assert_non_null(fp);
	assert_true(fputs(rules, fp) >= 0);
	assert_int_equal(fclose(fp), 0);
	config_free(&cfg);
	cfg = config_load(&src, &errors);
	sb_reset(&said);
	for (size_t i = 0; i < errors.n; i++)
		sb_addf(&said, "%s\n", errors.v[i]);
	config_errors_clear(&errors);
	return said.data;
}

static void
what_is_wrong_is_told_with_the_rules_line(void **state)
{
	char want[400];

	(void)snprintf(want, sizeof(want),
	    "%s:2: the expression is wrong at its byte 2: missing closing "
	    "parenthesis\n%s:3: x is no verdict; they are flag, sanitize, "
	    "block and spam\n",
	    path, path);
	assert_string_equal(load("block a match b\nblock c match (\nx\n"),
	    want);
	assert_null(cfg);
}

/* The whole daemon would stand still in a reload. */
static void
a_pipe_without_a_writer_holds_up_nobody(void **state)
{
	const char *overrides[] = { "auth.mode=none", option };
	struct config_source src = { .overrides = overrides, .noverrides = 2 };
	struct config_errors errors;

	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	(void)alarm(10);
	assert_null(config_load(&src, &errors));
	assert_int_equal(errors.n, 1);
	assert_non_null(strstr(errors.v[0], path));
	config_errors_clear(&errors);
	src = (struct config_source){ .file = path, .file_required = true };
	assert_null(config_load(&src, &errors));
	assert_non_null(strstr(errors.v[0], path));
	config_errors_clear(&errors);
	(void)alarm(0);
}

/* What a shell's <(...) is. */
static void
a_pipe_with_a_writer_is_read(void **state)
{
	const char *overrides[] = { "auth.mode=none", option };
	struct config_source src = { .overrides = overrides, .noverrides = 2 };
	struct config_errors errors;
	pid_t pid;
	FILE *fp;

	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	if ((pid = fork()) == 0) {
		fp = fopen(path, "w");
		(void)usleep(100000);
		(void)fputs("block a match b\n", fp);
		_exit(fclose(fp));
	}
	cfg = config_load(&src, &errors);
	config_errors_clear(&errors);
	assert_non_null(cfg);
	assert_int_equal(cfg->blob[CONFIG_BLOB_RULES].len, 16);
	assert_memory_equal(cfg->blob[CONFIG_BLOB_RULES].p, "block a match b\n",
	    16);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void
all_roles_get_the_rules(void **state)
{
	const char *rules = "# one\nblock a match b\n";
	struct config_errors errors = { 0 };
	const struct config_blob *blob;
	struct rules *r;

	assert_string_equal(load(rules), "");
	blob = &cfg->blob[CONFIG_BLOB_RULES];
	assert_int_equal(blob->len, strlen(rules));
	assert_memory_equal(blob->p, rules, blob->len);
	r = rules_new(path, blob->p, blob->len, &errors);
	assert_non_null(r);
	assert_int_equal(rules_count(r), 1);
	rules_free(&r);
}

/* What is shipped is good, and holds no rule. */
static void
the_file_that_comes_with_chatd_has_none(void **state)
{
	struct config_errors errors = { 0 };
	static char text[16384];
	FILE *fp = fopen("etc/content.rules", "r");
	struct rules *r;
	size_t len;

	assert_non_null(fp);
	len = fread(text, 1, sizeof(text), fp);
	assert_int_equal(fclose(fp), 0);
	assert_true(len > 100);
	r = rules_new("etc/content.rules", text, len, &errors);
	assert_non_null(r);
	assert_int_equal(rules_count(r), 0);
	rules_free(&r);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(what_is_wrong_is_told_with_the_rules_line),
		T(a_pipe_without_a_writer_holds_up_nobody),
		T(a_pipe_with_a_writer_is_read),
		T(all_roles_get_the_rules),
		T(the_file_that_comes_with_chatd_has_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
