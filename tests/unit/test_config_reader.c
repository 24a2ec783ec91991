/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_config_reader - what config_reader.h promises about lines, values
 * and included files.
 */

#include <sys/stat.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/config_reader.h"

struct fixture {
	char dir[64];
	/* what was read: "file:line unit section/name=a|b;" */
	struct strbuf seen;
	struct config_errors errors;
	struct config_reader rd;
};

static bool
on_section(void *arg, const struct config_place *at, struct strbuf *section)
{
	struct fixture *f = arg;

	sb_addf(&f->seen, "%u [%s];", at->line, section->data);
	if (strcmp(section->data, "wrong") == 0) {
		sb_reset(section);
		sb_adds(section, "right");
	}
	return strcmp(section->data, "skip") != 0;
}

static void
on_option(void *arg, const struct config_place *at, unsigned unit,
    const char *section, const char *name, const struct config_items *items)
{
	struct fixture *f = arg;

	sb_addf(&f->seen, "%u %s/%s=", at->line, section, name);
	for (size_t i = 0; i < items->n; i++)
		sb_addf(&f->seen, "%s%s", i == 0 ? "" : "|", items->v[i]);
	sb_addc(&f->seen, ';');
}

static int
setup(void **state)
{
	struct fixture *f;

	if ((f = calloc(1, sizeof(*f))) == NULL)
		return -1;
	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/test_reader.XXXXXX");
	if (mkdtemp(f->dir) == NULL)
		return -1;
	sb_init(&f->seen);
	f->rd = (struct config_reader){ .errors = &f->errors,
		.section = on_section,
		.option = on_option,
		.arg = f };
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;
	char cmd[128];
	int rc;

	sb_clear(&f->seen);
	config_errors_clear(&f->errors);
	(void)snprintf(cmd, sizeof(cmd), "rm -rf %s", f->dir);
	rc = system(cmd);
	free(f);
	return rc;
}

/* Reads a text; its errors become part of what was seen: "!...;" */
static const char *
read_bytes(struct fixture *f, const char *text, size_t len)
{
	sb_reset(&f->seen);
	config_read_text(&f->rd, "t", text, len);
	for (size_t i = 0; i < f->errors.n; i++)
		sb_addf(&f->seen, "!%s;", f->errors.v[i]);
	config_errors_clear(&f->errors);
	return f->seen.data;
}

static const char *
read_text(struct fixture *f, const char *text)
{
	return read_bytes(f, text, strlen(text));
}

static void
put_file(struct fixture *f, const char *name, const char *text)
{
	char path[256];
	FILE *fp;

	(void)snprintf(path, sizeof(path), "%s/%s", f->dir, name);
	fp = fopen(path, "w");
	assert_non_null(fp);
	assert_true(fputs(text, fp) >= 0);
	assert_int_equal(fclose(fp), 0);
}

static const char *
read_named(struct fixture *f, const char *name, bool required)
{
	char path[256];

	(void)snprintf(path, sizeof(path), "%s/%s", f->dir, name);
	sb_reset(&f->seen);
	config_read_file(&f->rd, path, required);
	/* without the folder, whose name is never the same */
	for (size_t i = 0; i < f->errors.n; i++) {
		const char *e = f->errors.v[i];

		sb_addc(&f->seen, '!');
		while (*e != '\0') {
			if (strncmp(e, f->dir, strlen(f->dir)) == 0)
				e += strlen(f->dir) + 1;
			else
				sb_addc(&f->seen, *e++);
		}
		sb_addc(&f->seen, ';');
	}
	config_errors_clear(&f->errors);
	return f->seen.data;
}

static void
lines_comments_and_blanks(void **state)
{
	struct fixture *f = *state;

	assert_string_equal(read_text(f, ""), "");
	assert_string_equal(read_text(f, "\n\n  \t\n# x\n   # y"), "");
	assert_string_equal(read_text(f, "a=1"), "1 /a=1;");
	assert_string_equal(read_text(f, "\n  a.b \t=\t 1  # c\nd=2#e\n"),
	    "2 /a.b=1;3 /d=2;");
	assert_string_equal(read_text(f, "a=1\r\nb=2\r\n"), "1 /a=1;2 /b=2;");
	assert_string_equal(read_text(f,
				"\xef\xbb\xbf"
				"a=1"),
	    "1 /a=1;");
	assert_string_equal(read_text(f, "a=\nb= # none\n"), "1 /a=;2 /b=;");
}

static void
sections_go_before_short_names(void **state)
{
	struct fixture *f = *state;

	assert_string_equal(read_text(f, "a=1\n[s]\nb=2\n [ t ] # c\nc=3\n"),
	    "1 /a=1;2 [s];3 s/b=2;4 [t];5 t/c=3;");
	assert_string_equal(read_text(f, "[wrong]\na=1"),
	    "1 [wrong];2 right/a=1;");
	assert_string_equal(read_text(f, "[skip]\na=1\n[s]\nb=2"),
	    "1 [skip];3 [s];4 s/b=2;");
}

static void
sections_that_are_none_are_told_and_skipped(void **state)
{
	struct fixture *f = *state;

	assert_non_null(strstr(read_text(f, "[s\na=1"), "!t:1: a section"));
	assert_null(strstr(f->seen.data, "a=1"));
	assert_non_null(strstr(read_text(f, "[]\na=1"), "!t:1: a section"));
	assert_non_null(strstr(read_text(f, "[a b]"), "!t:1: a section"));
	assert_string_equal(read_text(f, "[s] x\na=1"),
	    "1 [s];2 s/a=1;"
	    "!t:1: behind [s] there may only be a # comment;");
}

static void
lists_are_split_at_commas(void **state)
{
	struct fixture *f = *state;

	assert_string_equal(read_text(f, "a = x,y , z\t,w"), "1 /a=x|y|z|w;");
	assert_string_equal(read_text(f, "a = \"x, y\" , z"), "1 /a=x, y|z;");
	assert_string_equal(read_text(f, "a = \"\""), "1 /a=;");
}

static void
quotes_hold_anything(void **state)
{
	struct fixture *f = *state;

	assert_string_equal(read_text(f, "a = \"x # y\" # z"), "1 /a=x # y;");
	assert_string_equal(read_text(f, "a = \"q\\\"b\\\\s\""),
	    "1 /a=q\"b\\s;");
	assert_string_equal(read_text(f, "a=\"\xc3\xbc\""), "1 /a=\xc3\xbc;");
}

static void
values_that_are_wrong_say_what_would_be_right(void **state)
{
	static const struct {
		const char *text, *why;
	} bad[] = {
		{ "a=x y", "a value with blanks; put it in double quotes" },
		{ "a=x,", "a value is missing beside the comma" },
		{ "a=,x", "a value is missing beside the comma" },
		{ "a=x,,y", "a value is missing beside the comma" },
		{ "a=x, # y", "a value is missing beside the comma" },
		{ "a=\"x", "the closing \" is missing" },
		{ "a=\"x\\\"", "the closing \" is missing" },
		{ "a=\"x\\", "inside quotes \\ stands only" },
		{ "a=\"x\\n\"", "inside quotes \\ stands only" },
		{ "a=\"x\"y", "behind the closing \" there may only" },
		{ "a=\"x\" y", "behind the closing \" there may only" },
		{ "a=x\"y\"", "a quote in the middle" },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		read_text(f, bad[i].text);
		assert_memory_equal(f->seen.data, "!t:1: a: ", 9);
		assert_memory_equal(f->seen.data + 9, bad[i].why,
		    strlen(bad[i].why));
	}
	assert_string_equal(read_text(f, "[s]\na=x,"),
	    "1 [s];!t:2: s.a: a value is missing beside the comma;");
}

static void
lines_that_are_nothing_are_told(void **state)
{
	struct fixture *f = *state;

	assert_string_equal(read_text(f, "workers 3\na=1"),
	    "2 /a=1;!t:1: no = behind workers; a line is option = value;");
	assert_memory_equal(read_text(f, "=3"), "!t:1: not understood;", 21);
	assert_memory_equal(read_text(f, "\xff=3"), "!t:1: not understood;",
	    21);
	assert_string_equal(read_text(f, "a=\x01"),
	    "!t:1: byte 0x01 is not text;");
	assert_string_equal(read_bytes(f, "a=1\0b", 5),
	    "!t:1: byte 0x00 is not text;");
	assert_memory_equal(read_text(f, "include x"),
	    "!t:1: include works only in a file;", 34);
	/* an option of that name, which there is not */
	assert_string_equal(read_text(f, "include = x"), "1 /include=x;");
}

static void
all_errors_are_told_not_the_first(void **state)
{
	struct fixture *f = *state;
	const char *s = read_text(f, "a b\nc=x y\nok=1\n[q\n=\n");
	unsigned n = 0;

	for (; *s != '\0'; s++)
		n += *s == '!';
	assert_int_equal(n, 4);
	assert_non_null(strstr(f->seen.data, "3 /ok=1;"));
}

static void
errors_without_end_are_only_counted(void **state)
{
	struct fixture *f = *state;
	struct strbuf sb = STRBUF_INIT;

	for (int i = 0; i < 1000; i++)
		sb_adds(&sb, "bad\n");
	config_read_text(&f->rd, "t", sb.data, sb.len);
	assert_int_equal(f->errors.n, CONFIG_MAX_ERRORS);
	assert_int_equal(f->errors.more, 1000 - CONFIG_MAX_ERRORS);
	sb_clear(&sb);
}

static void
included_files_are_beside_the_including_one(void **state)
{
	struct fixture *f = *state;
	char path[256];

	(void)snprintf(path, sizeof(path), "%s/d", f->dir);
	assert_int_equal(mkdir(path, 0700), 0);
	put_file(f, "main", "[s]\na=1\ninclude d/one # c\nb=2\n");
	put_file(f, "d/one", "x=1\n[t]\ny=2\ninclude \"two 2\"\n");
	put_file(f, "d/two 2", "z=3\n");
	/* each file begins without a section, and ours goes on after it */
	assert_string_equal(read_named(f, "main", true),
	    "1 [s];2 s/a=1;1 /x=1;2 [t];3 t/y=2;1 /z=3;4 s/b=2;");
}

static void
files_that_include_themselves_are_refused(void **state)
{
	struct fixture *f = *state;

	put_file(f, "a", "x=1\ninclude b\ny=2\n");
	put_file(f, "b", "include ./a\nz=3\n");
	assert_string_equal(read_named(f, "a", true),
	    "1 /x=1;2 /z=3;3 /y=2;"
	    "!b:1: include ./a: the file includes itself;");
	/* twice, but not inside itself */
	put_file(f, "a", "include b\ninclude b\n");
	put_file(f, "b", "z=3\n");
	assert_string_equal(read_named(f, "a", true), "1 /z=3;1 /z=3;");
}

static void
files_that_grow_without_end_are_refused(void **state)
{
	struct fixture *f = *state;
	char name[16], text[64];

	for (int i = 0; i < 15; i++) {
		(void)snprintf(name, sizeof(name), "f%d", i);
		(void)snprintf(text, sizeof(text),
		    "include f%d\ninclude f%d\ninclude f%d\n", i + 1, i + 1,
		    i + 1);
		put_file(f, name, text);
	}
	put_file(f, "f15", "x=1\n");
	read_named(f, "f0", true);
	assert_non_null(strstr(f->seen.data, "too many files included"));
}

static void
a_file_that_is_missing_is_an_error_if_required(void **state)
{
	struct fixture *f = *state;

	assert_string_equal(read_named(f, "none", false), "");
	assert_string_equal(read_named(f, "none", true),
	    "!none: No such file or directory;");
	put_file(f, "a", "\ninclude none\nb=1\n");
	assert_string_equal(read_named(f, "a", false),
	    "3 /b=1;!a:2: include none: No such file or directory;");
	assert_string_equal(read_named(f, ".", false), "!.: Is a directory;");
	put_file(f, "a", "include\ninclude x, y\ninclude \"\"\n");
	assert_string_equal(read_named(f, "a", true),
	    "!a:1: no = behind include; a line is option = value;"
	    "!a:2: include takes one path;!a:3: include takes one path;");
}

static void
a_file_that_is_too_large_is_refused(void **state)
{
	struct fixture *f = *state;
	struct strbuf sb = STRBUF_INIT;

	while (sb.len < 1024 * 1024)
		sb_adds(&sb, "# a comment of no use\n");
	put_file(f, "big", sb.data);
	assert_string_equal(read_named(f, "big", true),
	    "!big: File too large;");
	sb_clear(&sb);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(lines_comments_and_blanks),
		T(sections_go_before_short_names),
		T(sections_that_are_none_are_told_and_skipped),
		T(lists_are_split_at_commas),
		T(quotes_hold_anything),
		T(values_that_are_wrong_say_what_would_be_right),
		T(lines_that_are_nothing_are_told),
		T(all_errors_are_told_not_the_first),
		T(errors_without_end_are_only_counted),
		T(included_files_are_beside_the_including_one),
		T(files_that_include_themselves_are_refused),
		T(files_that_grow_without_end_are_refused),
		T(a_file_that_is_missing_is_an_error_if_required),
		T(a_file_that_is_too_large_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
