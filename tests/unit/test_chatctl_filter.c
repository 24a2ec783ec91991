/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_chatctl_filter - what filter.h promises: which text is meant.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "chatctl/filter.h"

static char path[64];
static const char *why;

static int
setup(void **state)
{
	int fd;

	(void)snprintf(path, sizeof(path), "/tmp/test_filter.XXXXXX");
	fd = mkstemp(path);
	return fd == -1 ? -1 : close(fd);
}

static int
teardown(void **state)
{
	return unlink(path);
}

static void
write_file(const void *p, size_t len)
{
	FILE *fp = fopen(path, "w");

	assert_non_null(fp);
	assert_int_equal(fwrite(p, 1, len, fp), len);
	assert_int_equal(fclose(fp), 0);
}

/* Of up to two arguments; NULL: less of them. */
static char *
text_of(const char *a, const char *b)
{
	char *argv[2] = { a == NULL ? NULL : strdup(a),
		b == NULL ? NULL : strdup(b) };
	char *text =
	    filter_text((argv[0] != NULL) + (argv[1] != NULL), argv, &why);

	free(argv[0]);
	free(argv[1]);
	return text;
}

static void
expect(const char *a, const char *b, const char *text)
{
	char *got = text_of(a, b);

	assert_non_null(got);
	assert_string_equal(got, text);
	assert_null(why);
	free(got);
}

static void
refused(const char *a, const char *b, const char *reason)
{
	assert_null(text_of(a, b));
	assert_non_null(why);
	assert_string_equal(why, reason);
}

static void
a_text_is_itself(void **state)
{
	expect("hello", NULL, "hello");
	expect("", NULL, "");
	expect("-x é <b>", NULL, "-x é <b>");
	refused("\xff", NULL, "the text is not UTF-8");
}

static void
a_file_is_what_it_holds(void **state)
{
	write_file("a\n<b>é\n", 8);
	expect("--file", path, "a\n<b>é\n");
	write_file("", 0);
	expect("--file", path, "");
	write_file("a\0b", 3);
	refused("--file", path, "the text is not UTF-8 without NUL");
	write_file("a\xc3", 2);
	refused("--file", path, "the text is not UTF-8 without NUL");
	refused("--file", "/nowhere/at/all", "No such file or directory");
}

static void
what_fits_no_request_is_refused(void **state)
{
	char *long_text = malloc(FILTER_MAX + 2);

	assert_non_null(long_text);
	memset(long_text, 'a', FILTER_MAX + 1);
	long_text[FILTER_MAX + 1] = '\0';
	write_file(long_text, FILTER_MAX + 1);
	refused("--file", path, "the text is too long; at most 60000 bytes");
	refused(long_text, NULL, "the text is too long; at most 60000 bytes");
	long_text[FILTER_MAX] = '\0';
	expect(long_text, NULL, long_text);
	write_file(long_text, FILTER_MAX);
	expect("--file", path, long_text);
	free(long_text);
}

static void
other_arguments_are_none(void **state)
{
	assert_null(text_of("a", "b"));
	assert_null(why);
	assert_null(text_of("--file", NULL));
	assert_null(why);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_text_is_itself),
		T(a_file_is_what_it_holds),
		T(what_fits_no_request_is_refused),
		T(other_arguments_are_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
