/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_config_check - what no single value shows: identities, numbers that
 * must fit each other.
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

/* The errors of one load with these overrides; "" for none. */
static struct config *cfg;
static struct strbuf said = STRBUF_INIT;

static const char *
check_all(const char *const *overrides, size_t n)
{
	struct config_source src = { .overrides = overrides,
		.noverrides = n,
		.without_files = true };
	struct config_errors errors;

	config_free(&cfg);
	cfg = config_load(&src, &errors);
	sb_reset(&said);
	for (size_t i = 0; i < errors.n; i++)
		sb_addf(&said, "%s%s", i == 0 ? "" : "\n", errors.v[i]);
	config_errors_clear(&errors);
	return said.data;
}

static const char *
check(const char *override)
{
	return check_all(&override, 1);
}

static int
teardown(void **state)
{
	config_free(&cfg);
	sb_clear(&said);
	return 0;
}

static void
mode_webhook_needs_an_address_to_ask(void **state)
{
	static const char *const good[] = { "auth.mode=webhook",
		"auth.webhook_url=https://app.example/who?for=chat" };
	static const char *const bad[] = { "auth.mode=webhook",
		"auth.webhook_url=https://me:sesame@app.example/who" };

	assert_string_equal(check("auth.mode=webhook"),
	    "default: auth.webhook_url: auth.mode webhook (-o) needs one: "
	    "http:// or https://");
	assert_string_equal(check_all(good, 2), "");
	/* and what may be a secret is not said */
	(void)check_all(bad, 2);
	assert_non_null(strstr(said.data, "a user or a password"));
	assert_null(strstr(said.data, "sesame"));
	/* for the reload that switches to it */
	assert_non_null(strstr(check("auth.webhook_url=ftp://x/"),
	    "must begin with http:// or https://"));
}

static void
identities_of_nobody_stay_on_this_machine(void **state)
{
	static const char *const local[] = { "auth.mode=none",
		"listen=127.0.0.1:1,127.9.9.9:2,[::1]:3,unix:/x,"
		"localhost:4" };
	const char *open[] = { "auth.mode=none", "listen=127.0.0.1:1,*:2" };

	assert_string_equal(check_all(local, 2), "");
	assert_string_equal(check_all(open, 2),
	    "-o: auth.mode: none would let anybody who reaches 0.0.0.0:2 "
	    "(listen, -o) be anybody; use jwt, or listen on loopback only");
	open[1] = "listen=[::]:1";
	assert_non_null(strstr(check_all(open, 2), "auth.mode: none would"));
	open[1] = "listen=192.168.0.1:1";
	assert_non_null(strstr(check_all(open, 2), "auth.mode: none would"));
	open[0] = "auth.mode=jwt";
	assert_string_equal(check_all(open, 2), "");
}

static void
paths_are_absolute(void **state)
{
	assert_string_equal(check("run_dir=run"),
	    "-o: run_dir: run is not an absolute path");
	assert_string_equal(check("data_dir=./x"),
	    "-o: data_dir: ./x is not an absolute path");
	assert_string_equal(check("log.target=/var/log/chatd"), "");
	assert_string_equal(check("log.target=journal"), "");
	assert_string_equal(check("log.target=sylog"),
	    "-o: log.target: sylog is unknown; it is stderr, syslog, journal "
	    "or the absolute path of a file");
}

static void
the_clients_directory_is_absolute_or_none(void **state)
{
	assert_string_equal(check("client_dir=/x"), "");
	assert_string_equal(check("client_dir="), "");
	assert_string_equal(check("client_dir=x"),
	    "-o: client_dir: x is not an absolute path");
}

static void
the_path_of_socket_io_is_plain(void **state)
{
	assert_string_equal(check("path=/a/b-c_d.e~f/"), "");
	assert_string_equal(check("path=/socket.io"),
	    "-o: path: /socket.io must begin and end with /");
	assert_string_equal(check("path=/"),
	    "-o: path: / must begin and end with /");
	assert_string_equal(check("path=//x/"),
	    "-o: path: //x/ holds an empty part");
	assert_non_null(strstr(check("path=/a?b/"), "may hold letters"));
	assert_non_null(strstr(check("path=/a%20b/"), "may hold letters"));
}

static void
numbers_fit_each_other(void **state)
{
	const char *both[2];

	assert_string_equal(check("ring.slots=100"),
	    "-o: ring.slots: 100 is not a power of two; 64 and 128 are");
	assert_string_equal(check("ring.slots=128"), "");
	assert_string_equal(check("ring.slots=16777216"), "");
	assert_string_equal(check("ring.arena_bytes=1048577"),
	    "-o: ring.arena_bytes: 1048577 is not a multiple of 4k");
	assert_string_equal(check("typing.expiry=3s"),
	    "-o: typing.expiry: must be longer than typing.coalesce "
	    "(default), or somebody who goes on typing seems to stop");
	assert_string_equal(check("limits.send_queue=65535"),
	    "-o: limits.send_queue: must hold the largest event, 65536 bytes "
	    "(limits.event_bytes, engine.max_payload)");
	assert_string_equal(check("limits.send_queue=0"), "");
	both[0] = "limits.event_bytes=0";
	both[1] = "limits.send_queue=999999";
	assert_non_null(strstr(check_all(both, 2), "1000000 bytes"));
}

static void
the_largest_event_fits_a_record_of_the_ring(void **state)
{
	const char *both[2] = { "ring.arena_bytes=64k",
		"limits.event_bytes=12k" };
	const char *three[3] = { "ring.arena_bytes=64k",
		"limits.event_bytes=12k", "" };

	assert_non_null(strstr(check("ring.arena_bytes=64k"),
	    "limits.event_bytes: an event of 65536 bytes"));
	assert_string_equal(check_all(both, 2), "");
	both[1] = "limits.event_bytes=12289";
	assert_non_null(strstr(check_all(both, 2), "at most 12288 do"));
	/* the metadata comes on top */
	three[2] = "stream.max_text=4097";
	assert_non_null(strstr(check_all(three, 3), "at most 4096 bytes do"));
	three[2] = "stream.max_text=4k";
	assert_string_equal(check_all(three, 3), "");
	assert_string_equal(check_all(three, 2), "");
	assert_int_equal(cfg->stream_max_text, 4096);
	/* off: then the largest payload is what counts */
	assert_string_equal(check("limits.event_bytes=0"), "");
	both[0] = "limits.event_bytes=0";
	both[1] = "engine.max_payload=2m";
	assert_non_null(strstr(check_all(both, 2), "of 2097152 bytes"));
}

static void
without_a_number_there_is_a_worker_a_core(void **state)
{
	assert_string_equal(check("workers=0"), "");
	assert_in_range(cfg->workers, 1, 32);
	assert_string_equal(check("workers=5"), "");
	assert_int_equal(cfg->workers, 5);
}

#define T(name) cmocka_unit_test_teardown(name, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(mode_webhook_needs_an_address_to_ask),
		T(identities_of_nobody_stay_on_this_machine),
		T(paths_are_absolute),
		T(the_clients_directory_is_absolute_or_none),
		T(the_path_of_socket_io_is_plain),
		T(numbers_fit_each_other),
		T(the_largest_event_fits_a_record_of_the_ring),
		T(without_a_number_there_is_a_worker_a_core),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
