/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_options - what options.h promises about chatd's command line.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/config.h"
#include "master/options.h"

#define PARSE(opt, ...) \
	parse(opt, (char *[]){ (char[]){ "chatd" }, __VA_ARGS__, NULL })
#define W(word) ((char[]){ word })

static int
parse(struct options *opt, char *argv[])
{
	int argc = 0;

	while (argv[argc] != NULL)
		argc++;
	/* GNU's way to say: from the beginning */
	optind = 0;
	opterr = 0;
	return options_parse(opt, argc, argv);
}

static void
nothing_said_means_the_default_file_which_may_be_missing(void **state)
{
	struct config_source src;
	struct options opt;

	assert_int_equal(parse(&opt, (char *[]){ W("chatd"), NULL }), 0);
	assert_false(opt.foreground || opt.check || opt.dump || opt.version);
	options_source(&opt, &src);
	assert_string_equal(src.file, CONFIG_DEFAULT_FILE);
	assert_false(src.file_required);
	assert_false(src.without_files);
	assert_int_equal(src.noverrides, 0);
	assert_non_null(src.env);
	options_clear(&opt);
}

static void
each_flag_is_understood_alone_and_together(void **state)
{
	struct options opt;

	assert_int_equal(PARSE(&opt, W("-dnTV")), 0);
	assert_true(opt.foreground && opt.check && opt.dump && opt.version);
	options_clear(&opt);
	assert_int_equal(PARSE(&opt, W("-t")), 0);
	assert_true(opt.check);
	assert_false(opt.foreground || opt.dump || opt.version);
	options_clear(&opt);
}

static void
overrides_keep_their_order(void **state)
{
	struct config_source src;
	struct options opt;

	assert_int_equal(PARSE(&opt, W("-o"), W("a=1"), W("-c"), W("x"),
			     W("-oa=2")),
	    0);
	options_source(&opt, &src);
	assert_string_equal(src.file, "x");
	assert_true(src.file_required);
	assert_int_equal(src.noverrides, 2);
	assert_string_equal(src.overrides[0], "a=1");
	assert_string_equal(src.overrides[1], "a=2");
	options_clear(&opt);
}

static void
what_is_not_understood_is_refused(void **state)
{
	struct options opt;

	assert_int_equal(PARSE(&opt, W("-x")), -1);
	assert_int_equal(PARSE(&opt, W("-o")), -1);
	assert_int_equal(PARSE(&opt, W("stray")), -1);
	assert_int_equal(PARSE(&opt, W("-d"), W("--"), W("stray")), -1);
	assert_null(opt.overrides);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    nothing_said_means_the_default_file_which_may_be_missing),
		cmocka_unit_test(each_flag_is_understood_alone_and_together),
		cmocka_unit_test(overrides_keep_their_order),
		cmocka_unit_test(what_is_not_understood_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
