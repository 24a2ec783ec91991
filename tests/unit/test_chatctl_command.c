/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_chatctl_command - what command.h promises about the commands.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "chatctl/command.h"

static const char *const names[] = {
#define COMMAND(name, group, args, min, max, how, help) name,
#include "chatctl/tbl_commands.h"
};
#define N (sizeof(names) / sizeof(names[0]))

/* not inlined: gcc then thinks that the stream still holds &text */
static __attribute__((noinline)) char *
help(const struct command *c)
{
	char *text;
	size_t len;
	FILE *fp = open_memstream(&text, &len);

	command_help(c, fp);
	(void)fclose(fp);
	return text;
}

static void
each_row_is_found_and_makes_sense(void **state)
{
	for (size_t i = 0; i < N; i++) {
		const struct command *c = command_find(names[i]);

		assert_non_null(c);
		assert_string_equal(c->name, names[i]);
		assert_true(c->min_args <= c->max_args);
		/* who takes something says what */
		assert_int_equal(c->max_args > 0, c->args[0] != '\0');
		assert_int_equal(c->help[strlen(c->help) - 1], '.');
	}
	assert_null(command_find("statu"));
	assert_null(command_find(""));
}

static void
a_name_that_was_meant_is_guessed(void **state)
{
	assert_string_equal(command_nearest("statsu"), "status");
	assert_string_equal(command_nearest("relaod"), "reload");
	assert_null(command_nearest("abracadabra"));
}

static void
help_names_every_command_once_in_its_group(void **state)
{
	char *text = help(NULL), line[64];

	for (size_t i = 0; i < N; i++) {
		(void)snprintf(line, sizeof(line), "\n  %s ", names[i]);
		assert_non_null(strstr(text, line));
		assert_null(strstr(strstr(text, line) + 1, line));
	}
	assert_non_null(strstr(text, "\nlook\n"));
	/* in columns that fit a terminal */
	assert_non_null(strstr(text, "\n  status      What"));
	assert_non_null(strstr(text, "\n  workspaces  The"));
	for (char *p = text, *end; (end = strchr(p, '\n')) != NULL; p = end + 1)
		assert_true(end - p <= 80);
	free(text);
}

static void
help_of_one_command_fits_a_terminal(void **state)
{
	char *text, *p, *end;

	/* what belongs together is not torn apart */
	text = help(command_find("token"));
	assert_non_null(strstr(text,
	    "[--role role]\n"
	    "           [--workspace id [--session id]...]... "));
	free(text);

	for (size_t i = 0; i < N; i++) {
		text = help(command_find(names[i]));
		assert_non_null(strstr(text, names[i]));
		for (p = text; (end = strchr(p, '\n')) != NULL; p = end + 1)
			assert_true(end - p <= 80);
		free(text);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_row_is_found_and_makes_sense),
		cmocka_unit_test(a_name_that_was_meant_is_guessed),
		cmocka_unit_test(help_names_every_command_once_in_its_group),
		cmocka_unit_test(help_of_one_command_fits_a_terminal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
