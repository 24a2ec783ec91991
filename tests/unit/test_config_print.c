/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_config_print - what people are shown, and that etc/chatd.conf and
 * etc/man/chatd.conf.5 are up to date with the options.
 *
 * With the argument "update" it writes these two files instead.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/config.h"

#define SAMPLE "etc/chatd.conf"
#define MANUAL "etc/man/chatd.conf.5"
#define BEGIN ".\\\" options: begin"
#define END ".\\\" options: end"

static struct config *
load(const char *file, const char *const *overrides, size_t n)
{
	struct config_source src = { .file = file,
		.file_required = true,
		.overrides = overrides,
		.noverrides = n,
		.without_files = true };
	struct config_errors errors;
	struct config *cfg = config_load(&src, &errors);

	config_errors_print(&errors, stderr);
	config_errors_clear(&errors);
	return cfg;
}

/* What a function prints; free() it. */
static __attribute__((noinline)) char *
printed(void (*fn)(FILE *))
{
	char *text;
	size_t len;
	FILE *fp = open_memstream(&text, &len);

	if (fp == NULL)
		abort();
	fn(fp);
	if (fclose(fp) != 0)
		abort();
	return text;
}

static char *
read_file(const char *path)
{
	struct strbuf sb = STRBUF_INIT;
	FILE *fp = fopen(path, "r");
	char buf[4096];
	size_t n;

	if (fp == NULL)
		return NULL;
	while ((n = fread(buf, 1, sizeof(buf), fp)) > 0)
		sb_add(&sb, buf, n);
	(void)fclose(fp);
	return sb_steal(&sb);
}

/* The manual with the options that the table has now; free() it. */
static char *
fresh_manual(const char *old)
{
	struct strbuf sb = STRBUF_INIT;
	const char *begin = strstr(old, BEGIN), *end = strstr(old, END);
	char *options = printed(config_manual);

	if (begin == NULL || end == NULL)
		abort();
	begin = strchr(begin, '\n') + 1;
	sb_add(&sb, old, (size_t)(begin - old));
	sb_adds(&sb, options);
	sb_adds(&sb, end);
	free(options);
	return sb_steal(&sb);
}

static void
the_sample_file_is_up_to_date(void **state)
{
	char *want = printed(config_sample), *have = read_file(SAMPLE);

	assert_non_null(have);
	if (strcmp(want, have) != 0)
		fail_msg(SAMPLE " is old; run this test with \"update\"");
	free(want);
	free(have);
}

static void
the_manual_is_up_to_date(void **state)
{
	char *have = read_file(MANUAL), *want;

	assert_non_null(have);
	want = fresh_manual(have);
	if (strcmp(want, have) != 0)
		fail_msg(MANUAL " is old; run this test with \"update\"");
	free(want);
	free(have);
}

static void
the_sample_changes_nothing_and_its_lines_are_right(void **state)
{
	struct config *plain = load(NULL, NULL, 0), *cfg;
	char *text = printed(config_sample), *line, *next;
	char path[] = "/tmp/test_sample.XXXXXX";
	FILE *fp;

	cfg = load(SAMPLE, NULL, 0);
	assert_non_null(cfg);
	assert_int_equal(config_diff(plain, cfg, NULL, NULL), 0);
	config_free(&cfg);
	/* and with every option switched on it says the same */
	fp = fdopen(mkstemp(path), "w");
	assert_non_null(fp);
	for (line = text; *line != '\0'; line = next) {
		next = strchr(line, '\n');
		*next++ = '\0';
		assert_true(strlen(line) <= 80);
		if (line[0] == '#' && line[1] != ' ' && line[1] != '\0')
			(void)fprintf(fp, "%s\n", line + 1);
	}
	assert_int_equal(fclose(fp), 0);
	cfg = load(path, NULL, 0);
	assert_non_null(cfg);
	assert_int_equal(config_diff(plain, cfg, NULL, NULL), 0);
	for (unsigned i = 0; i < CONFIG__MAX; i++)
		assert_memory_equal(cfg->where[i], path, strlen(path));
	(void)remove(path);
	free(text);
	config_free(&cfg);
	config_free(&plain);
}

static void
a_dump_is_a_file_that_says_the_same(void **state)
{
	static const char *const overrides[] = { "workers=3",
		"auth.issuer=a \"b\" # c", "listen=127.0.0.1:1,unix:/a b",
		"log.level=debug", "engine.ping_interval=1001ms" };
	struct config *cfg = load(NULL, overrides, 5), *again;
	char path[] = "/tmp/test_dump.XXXXXX", *text;
	FILE *fp = fdopen(mkstemp(path), "w");

	assert_non_null(cfg);
	assert_non_null(fp);
	config_dump(cfg, fp);
	assert_int_equal(fclose(fp), 0);
	text = read_file(path);
	assert_non_null(strstr(text, "\nworkers = 3      "));
	assert_non_null(strstr(text, " # from -o\n"));
	assert_non_null(strstr(text, " # default\n"));
	again = load(path, NULL, 0);
	assert_non_null(again);
	assert_int_equal(config_diff(cfg, again, NULL, NULL), 0);
	(void)remove(path);
	free(text);
	config_free(&cfg);
	config_free(&again);
}

static void
note(const char *name, const char *old_value, const char *new_value,
    bool reloadable, void *arg)
{
	sb_addf(arg, "%s: %s > %s%s;", name, old_value, new_value,
	    reloadable ? "" : " (no)");
}

static void
a_diff_names_what_changed_and_what_cannot(void **state)
{
	static const char *const overrides[] = { "limits.join_rate=0",
		"workers=31", "max_connections=128", "log.format=json",
		"auth.secret_file=/x" };
	struct config *a = load(NULL, NULL, 0);
	struct config *b = load(NULL, overrides, 5);
	struct strbuf sb = STRBUF_INIT;

	a->workers = 2;
	assert_int_equal(config_diff(a, a, note, &sb), 0);
	assert_string_equal(sb.data, "");
	assert_int_equal(config_diff(a, b, note, &sb), 2);
	assert_string_equal(sb.data,
	    "workers: 2 > 31 (no);max_connections: 100000 > 128 (no);"
	    "log.format: logfmt > json;"
	    "auth.secret_file: \"\" > /x;limits.join_rate: 10 > 0;");
	sb_clear(&sb);
	config_free(&a);
	config_free(&b);
}

static void
another_secret_in_the_same_file_is_a_change(void **state)
{
	static const char *const overrides[] = { "auth.secret_file=/x" };
	struct config *a = load(NULL, overrides, 1);
	struct config *b = load(NULL, overrides, 1);
	struct strbuf sb = STRBUF_INIT;

	a->auth_secret = (uint8_t *)strdup("abc");
	b->auth_secret = (uint8_t *)strdup("abd");
	a->auth_secret_len = b->auth_secret_len = 3;
	assert_int_equal(config_diff(a, b, note, &sb), 0);
	assert_string_equal(sb.data, "auth.secret_file: /x > /x;");
	sb_clear(&sb);
	config_free(&a);
	config_free(&b);
}

static void
what_is_not_reloadable_is_what_is_said(void **state)
{
	static const char *const fixed[] = { "listen", "run_dir", "data_dir",
		"user", "group", "workers", "max_connections",
		"stream.memory" };
	char *text = printed(config_manual), *p = text;
	size_t n = 0;

	while ((p = strstr(p, "A reload cannot change it.")) != NULL) {
		n++;
		p++;
	}
	assert_int_equal(n, sizeof(fixed) / sizeof(fixed[0]));
	for (size_t i = 0; i < n; i++) {
		struct strbuf sb = STRBUF_INIT;

		sb_addf(&sb, ".It Ic %s No = ", fixed[i]);
		p = strstr(text, sb.data);
		assert_non_null(p);
		p = strstr(p, "\nA reload cannot change it.\n");
		assert_non_null(p);
		sb_clear(&sb);
	}
	free(text);
}

static int
write_file(const char *path, char *text)
{
	FILE *fp = fopen(path, "w");
	int rc = fp == NULL || fputs(text, fp) < 0 || fclose(fp) != 0;

	if (rc != 0)
		perror(path);
	free(text);
	return rc;
}

static int
update(void)
{
	char *old = read_file(MANUAL);
	int rc;

	if (old == NULL) {
		perror(MANUAL);
		return 1;
	}
	rc = write_file(SAMPLE, printed(config_sample)) |
	    write_file(MANUAL, fresh_manual(old));
	free(old);
	return rc;
}

int
main(int argc, char *argv[])
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_sample_file_is_up_to_date),
		cmocka_unit_test(the_manual_is_up_to_date),
		cmocka_unit_test(
		    the_sample_changes_nothing_and_its_lines_are_right),
		cmocka_unit_test(a_dump_is_a_file_that_says_the_same),
		cmocka_unit_test(a_diff_names_what_changed_and_what_cannot),
		cmocka_unit_test(another_secret_in_the_same_file_is_a_change),
		cmocka_unit_test(what_is_not_reloadable_is_what_is_said),
	};

	if (argc == 2 && strcmp(argv[1], "update") == 0)
		return update();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
