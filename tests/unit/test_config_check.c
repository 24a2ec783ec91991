/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_config_check - what no single value shows: listeners, identities,
 * numbers that must fit each other.
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
listeners_are_taken_apart(void **state)
{
	assert_string_equal(check("listen=10.1.2.3:80,[::]:443,unix:/run/"
				  "x.sock,*:81,"
				  "localhost:82,[2001:db8::1]:65535"),
	    "");
	assert_int_equal(cfg->nlisteners, 6);
	assert_int_equal(cfg->listeners[0].family, LISTENER_TCP4);
	assert_string_equal(cfg->listeners[0].host, "10.1.2.3");
	assert_int_equal(cfg->listeners[0].port, 80);
	assert_int_equal(cfg->listeners[1].family, LISTENER_TCP6);
	assert_string_equal(cfg->listeners[1].host, "::");
	assert_int_equal(cfg->listeners[1].port, 443);
	assert_int_equal(cfg->listeners[2].family, LISTENER_UNIX);
	assert_string_equal(cfg->listeners[2].path, "/run/x.sock");
	assert_string_equal(cfg->listeners[3].host, "0.0.0.0");
	assert_string_equal(cfg->listeners[4].host, "127.0.0.1");
	assert_string_equal(cfg->listeners[5].host, "2001:db8::1");
	assert_int_equal(cfg->listeners[5].port, 65535);
}

static void
listeners_that_are_wrong_say_why(void **state)
{
	static const char *const bad[][2] = {
		{ "3002", "it is host:port, [v6 address]:port or unix:/path" },
		{ "host:3002",
		    "the host is not a numeric address, localhost or *" },
		{ "1.2.3:80",
		    "the host is not a numeric address, localhost or *" },
		{ "01.2.3.4:80",
		    "the host is not a numeric address, localhost or *" },
		{ ":80", "the host is not a numeric address, localhost or *" },
		{ "127.0.0.1:0", "a port is a number from 1 to 65535" },
		{ "127.0.0.1:65536", "a port is a number from 1 to 65535" },
		{ "127.0.0.1:99999999999999999999",
		    "a port is a number from 1 to 65535" },
		{ "127.0.0.1:+1", "a port is a number from 1 to 65535" },
		{ "127.0.0.1:", "a port is a number from 1 to 65535" },
		{ "127.0.0.1:1x", "a port is a number from 1 to 65535" },
		{ "::1:80", "an IPv6 address stands in brackets: [::1]:3002" },
		{ "[::1]", "it is host:port, [v6 address]:port or unix:/path" },
		{ "[::1:80",
		    "it is host:port, [v6 address]:port or unix:/path" },
		{ "[]:80", "that is not an IPv6 address" },
		{ "[127.0.0.1]:80", "that is not an IPv6 address" },
		{ "unix:x", "the path behind unix: must begin with /" },
		{ "127.0.0.1:80?x", "behind the ? there can only be proxy" },
		{ "127.0.0.1:80?proxy?proxy",
		    "behind the ? there can only be proxy" },
		{ "?proxy",
		    "it is host:port, [v6 address]:port or unix:/path" },
	};
	char text[256], want[256];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		(void)snprintf(text, sizeof(text), "listen=%s", bad[i][0]);
		(void)snprintf(want, sizeof(want), "-o: listen: %s: %s",
		    bad[i][0], bad[i][1]);
		assert_string_equal(check(text), want);
	}
	assert_string_equal(check("listen=127.0.0.1:1,*:2,127.0.0.1:1"),
	    "-o: listen: 127.0.0.1:1 is there twice");
}

static void
a_long_host_or_path_is_refused_not_cut(void **state)
{
	char text[256] = "listen=unix:/";

	memset(text + 13, 'x', 106);
	assert_string_equal(check(text), "");
	assert_int_equal(strlen(cfg->listeners[0].path), 107);
	text[119] = 'x';
	assert_non_null(strstr(check(text), "has at most 107 bytes"));
	memset(text + 7, '1', 100);
	memcpy(text + 107, ":80", 4);
	assert_non_null(strstr(check(text), "the host is not a numeric"));
}

static void
too_many_listeners_are_refused(void **state)
{
	struct strbuf sb = STRBUF_INIT;

	for (int i = 1; i <= 65; i++)
		sb_addf(&sb, "%s127.0.0.1:%d", i == 1 ? "listen=" : ",", i);
	assert_string_equal(check(sb.data),
	    "-o: listen: 65 are too many; at most 64");
	sb_clear(&sb);
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

	assert_non_null(strstr(check("ring.arena_bytes=64k"),
	    "limits.event_bytes: an event of 65536 bytes"));
	assert_string_equal(check_all(both, 2), "");
	both[1] = "limits.event_bytes=12289";
	assert_non_null(strstr(check_all(both, 2), "at most 12288 do"));
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
		T(listeners_are_taken_apart),
		T(listeners_that_are_wrong_say_why),
		T(a_long_host_or_path_is_refused_not_cut),
		T(too_many_listeners_are_refused),
		T(identities_of_nobody_stay_on_this_machine),
		T(paths_are_absolute),
		T(the_path_of_socket_io_is_plain),
		T(numbers_fit_each_other),
		T(the_largest_event_fits_a_record_of_the_ring),
		T(without_a_number_there_is_a_worker_a_core),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
