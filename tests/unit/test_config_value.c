/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_config_value - one option from text to its field and back.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/config_table.h"

struct fixture {
	struct config *cfg;
	struct strbuf why, text;
};

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return -1;
	f->cfg = config_new();
	sb_init(&f->why);
	sb_init(&f->text);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	config_free(&f->cfg);
	sb_clear(&f->why);
	sb_clear(&f->text);
	free(f);
	return 0;
}

/* NULL, or the sentence that says why not. */
static const char *
set(struct fixture *f, enum config_option opt, const char *value)
{
	struct config_items items = { NULL, 0 };
	int rc;

	config_items_add(&items, value, strlen(value));
	sb_reset(&f->why);
	rc = config_set(f->cfg, opt, &items, &f->why);
	config_items_clear(&items);
	assert_int_equal(rc == 0, f->why.len == 0);
	return rc == 0 ? NULL : f->why.data;
}

static const char *
value(struct fixture *f, enum config_option opt)
{
	sb_reset(&f->text);
	config_value(f->cfg, opt, &f->text);
	return f->text.data;
}

static void
every_default_is_written_back_as_it_stands(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 0; i < CONFIG__MAX; i++) {
		if (config_rows[i].type == CONFIG_TYPE_STRING &&
		    config_rows[i].def[0] == '\0')
			assert_string_equal(value(f, (enum config_option)i),
			    "\"\"");
		else
			assert_string_equal(value(f, (enum config_option)i),
			    config_rows[i].def);
	}
}

static void
every_option_is_found_by_its_name(void **state)
{
	for (unsigned i = 0; i < CONFIG__MAX; i++)
		assert_int_equal(config_find(config_rows[i].name), i);
	assert_int_equal(config_find(""), CONFIG__MAX);
	assert_int_equal(config_find("limits"), CONFIG__MAX);
}

static void
what_is_not_utf8_is_refused(void **state)
{
	struct fixture *f = *state;

	assert_null(set(f, CONFIG_auth_issuer, "caf\xc3\xa9"));
	assert_string_equal(set(f, CONFIG_auth_issuer, "caf\xe9"),
	    "the value is not UTF-8");
	assert_string_equal(f->cfg->auth_issuer, "caf\xc3\xa9");
	assert_non_null(set(f, CONFIG_data_dir, "/srv/\xff"));
	/* one of a list */
	assert_non_null(set(f, CONFIG_cors_origins, "https://\xe9.example"));
}

static void
durations_have_units(void **state)
{
	struct fixture *f = *state;
	const enum config_option o = CONFIG_store_dedupe_window;
	static const struct {
		const char *text;
		uint64_t ms;
		const char *back;
	} good[] = {
		{ "0", 0, "0" },
		{ "0s", 0, "0" },
		{ "1ms", 1, "1ms" },
		{ "1500ms", 1500, "1500ms" },
		{ "90s", 90000, "90s" },
		{ "60s", 60000, "1m" },
		{ "24h", 86400000, "1d" },
		{ "365d", 31536000000, "365d" },
		{ "2H", 7200000, "2h" },
	};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_null(set(f, o, good[i].text));
		assert_true(f->cfg->store_dedupe_window == good[i].ms);
		assert_string_equal(value(f, o), good[i].back);
	}
}

static void
sizes_have_units_of_1024(void **state)
{
	struct fixture *f = *state;
	const enum config_option o = CONFIG_limits_send_queue;

	assert_null(set(f, o, "0"));
	assert_int_equal(f->cfg->limits_send_queue, 0);
	assert_null(set(f, o, "1000000"));
	assert_string_equal(value(f, o), "1000000");
	assert_null(set(f, o, "8k"));
	assert_int_equal(f->cfg->limits_send_queue, 8192);
	assert_null(set(f, o, "1024K"));
	assert_string_equal(value(f, o), "1m");
	assert_null(set(f, o, "1g"));
	assert_int_equal(f->cfg->limits_send_queue, 1 << 30);
}

static void
wrong_numbers_are_told_and_change_nothing(void **state)
{
	struct fixture *f = *state;
	static const struct {
		enum config_option opt;
		const char *text, *why;
	} bad[] = {
		{ CONFIG_workers, "", "\"\" is not a number" },
		{ CONFIG_workers, "-1", "-1 is not a number" },
		{ CONFIG_workers, "+1", "+1 is not a number" },
		{ CONFIG_workers, "0x10", "0x10 is not a whole number" },
		{ CONFIG_workers, "1.5", "1.5 is not a whole number" },
		{ CONFIG_workers, "3 ", "\"3 \" is not a whole number" },
		{ CONFIG_workers, "33",
		    "33 is out of range; it is from 0 to 32" },
		{ CONFIG_workers, "4294967296",
		    "4294967296 is out of range; it is from 0 to 32" },
		{ CONFIG_workers, "99999999999999999999",
		    "99999999999999999999 is out of range; it is from 0 to "
		    "32" },
		{ CONFIG_engine_ping_timeout, "x",
		    "x is not a number with a unit" },
		{ CONFIG_engine_ping_timeout, "20",
		    "20 has no unit; a duration is a whole number and ms, s, "
		    "m, h or d" },
		{ CONFIG_engine_ping_timeout, "20w",
		    "20w has an unknown unit; a duration is a whole number "
		    "and ms, s, m, h or d" },
		{ CONFIG_engine_ping_timeout, "2h",
		    "2h is out of range; it is from 100ms to 1h" },
		{ CONFIG_engine_ping_timeout, "18446744073709551d",
		    "18446744073709551d is out of range; it is from 100ms to "
		    "1h" },
		{ CONFIG_engine_max_payload, "1kb",
		    "1kb has an unknown unit; a size is a whole number, and "
		    "k, m or g or nothing" },
		{ CONFIG_engine_max_payload, "1",
		    "1 is out of range; it is from 1k to 16m" },
		{ CONFIG_engine_max_payload, "99999999999g",
		    "99999999999g is out of range; it is from 1k to 16m" },
	};

	f->cfg->workers = 7;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_string_equal(set(f, bad[i].opt, bad[i].text),
		    bad[i].why);
	assert_int_equal(f->cfg->workers, 7);
	assert_int_equal(f->cfg->engine_ping_timeout, 20000);
	assert_int_equal(f->cfg->engine_max_payload, 1000000);
}

static void
enums_take_their_names_and_suggest_the_nearest(void **state)
{
	struct fixture *f = *state;

	assert_null(set(f, CONFIG_log_level, "debug"));
	assert_int_equal(f->cfg->log_level, LOG_LEVEL_DEBUG);
	assert_string_equal(value(f, CONFIG_log_level), "debug");
	assert_null(set(f, CONFIG_log_format, "json"));
	assert_int_equal(f->cfg->log_format, LOG_FORMAT_JSON);
	assert_null(set(f, CONFIG_auth_mode, "none"));
	assert_int_equal(f->cfg->auth_mode, AUTH_MODE_NONE);
	assert_string_equal(set(f, CONFIG_log_level, "inof"),
	    "inof is unknown; it is one of error, warn, notice, info, debug; "
	    "did you mean info?");
	assert_string_equal(set(f, CONFIG_log_format, "xml"),
	    "xml is unknown; it is one of text, logfmt, json");
	assert_int_equal(f->cfg->log_format, LOG_FORMAT_JSON);
}

static void
a_treatment_is_one_of_four(void **state)
{
	struct fixture *f = *state;

	assert_null(set(f, CONFIG_content_html, "strip"));
	assert_int_equal(f->cfg->content_html, CONTENT_HTML_STRIP);
	assert_string_equal(value(f, CONFIG_content_html), "strip");
	assert_string_equal(set(f, CONFIG_content_html, "drop"),
	    "drop is unknown; it is one of inert, strip, reject, allow");
}

static void
switches_are_on_or_off_by_any_name(void **state)
{
	static const char *const on[] = { "on", "yes", "true", "1" };
	static const char *const off[] = { "off", "no", "false", "0" };
	struct fixture *f = *state;

	for (int i = 0; i < 4; i++) {
		assert_null(set(f, CONFIG_engine_eio3, on[i]));
		assert_true(f->cfg->engine_eio3);
		assert_string_equal(value(f, CONFIG_engine_eio3), "on");
		assert_null(set(f, CONFIG_engine_eio3, off[i]));
		assert_false(f->cfg->engine_eio3);
		assert_string_equal(value(f, CONFIG_engine_eio3), "off");
	}
	assert_string_equal(set(f, CONFIG_engine_eio3, "maybe"),
	    "maybe is neither on nor off");
	assert_string_equal(set(f, CONFIG_engine_eio3, "2"),
	    "2 is neither on nor off");
	assert_string_equal(set(f, CONFIG_engine_eio3, ""),
	    "\"\" is neither on nor off");
	assert_false(f->cfg->engine_eio3);
}

static void
strings_have_a_length(void **state)
{
	struct fixture *f = *state;
	char text[101];

	memset(text, 'x', sizeof(text));
	text[80] = '\0';
	assert_null(set(f, CONFIG_run_dir, text));
	text[80] = 'x';
	text[81] = '\0';
	assert_string_equal(set(f, CONFIG_run_dir, text),
	    "81 bytes are too long; at most 80");
	assert_string_equal(set(f, CONFIG_run_dir, ""), "must not be empty");
	assert_null(set(f, CONFIG_auth_issuer, ""));
	assert_int_equal(strlen(f->cfg->run_dir), 80);
}

static void
only_a_list_takes_several_values(void **state)
{
	struct fixture *f = *state;
	struct config_items items = { NULL, 0 };

	config_items_add(&items, "a", 1);
	config_items_add(&items, "b c", 3);
	assert_int_equal(config_set(f->cfg, CONFIG_listen, &items, &f->why), 0);
	assert_int_equal(f->cfg->listen.n, 2);
	assert_string_equal(value(f, CONFIG_listen), "a, \"b c\"");
	assert_int_equal(config_set(f->cfg, CONFIG_user, &items, &f->why), -1);
	assert_string_equal(f->why.data,
	    "only one value is possible; if the comma belongs to it put it "
	    "in double quotes");
	config_items_clear(&items);
	sb_reset(&f->why);
	assert_int_equal(config_set(f->cfg, CONFIG_listen, &items, &f->why),
	    -1);
	assert_string_equal(f->why.data, "must not be empty");
	sb_reset(&f->why);
	assert_int_equal(config_set(f->cfg, CONFIG_workers, &items, &f->why),
	    -1);
	assert_string_equal(f->why.data, "the value is missing");
	sb_reset(&f->why);
	assert_int_equal(config_set(f->cfg, CONFIG_auth_issuer, &items,
			     &f->why),
	    0);
}

static void
quotes_stand_where_a_file_needs_them(void **state)
{
	struct strbuf sb = STRBUF_INIT;
	static const char *const pairs[][2] = {
		{ "plain", "plain" },
		{ "", "\"\"" },
		{ "a b", "\"a b\"" },
		{ "a,b", "\"a,b\"" },
		{ "#", "\"#\"" },
		{ "a\"b\\c", "\"a\\\"b\\\\c\"" },
	};

	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		sb_reset(&sb);
		config_quote(&sb, pairs[i][0]);
		assert_string_equal(sb.data, pairs[i][1]);
	}
	sb_clear(&sb);
}

static void
every_row_can_be_documented(void **state)
{
	const struct config_row *row;

	for (unsigned i = 0; i < CONFIG__MAX; i++) {
		row = &config_rows[i];
		assert_true(row->min <= row->max);
		assert_int_equal(row->help[strlen(row->help) - 1], '.');
		if (row->type == CONFIG_TYPE_COUNT)
			assert_true(row->max <= UINT32_MAX);
	}
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(every_default_is_written_back_as_it_stands),
		T(every_option_is_found_by_its_name),
		T(what_is_not_utf8_is_refused),
		T(durations_have_units),
		T(sizes_have_units_of_1024),
		T(wrong_numbers_are_told_and_change_nothing),
		T(enums_take_their_names_and_suggest_the_nearest),
		T(a_treatment_is_one_of_four),
		T(switches_are_on_or_off_by_any_name),
		T(strings_have_a_length),
		T(only_a_list_takes_several_values),
		T(quotes_stand_where_a_file_needs_them),
		T(every_row_can_be_documented),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
