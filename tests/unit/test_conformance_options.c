/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_conformance_options - the conformance server's command line.
 */

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/config.h"
#include "tests/conformance/conformance.h"

/* the modes, without what they do */
static const struct place places[1];
const struct mode mode_eio_echo = { .name = "eio-echo", .path = "/engine.io/" };
const struct mode mode_ws_echo = { .name = "ws-echo", .path = "/echo" };
const struct mode mode_sio = { .name = "sio",
	.path = "/socket.io/",
	.places = places };
const struct mode mode_edge = { .name = "edge",
	.path = "/socket.io/",
	.places = places };
const struct mode mode_client = { .name = "client",
	.path = "/socket.io/",
	.places = places,
	.recovery = true };

static struct options o;

static int
read_words(char **words)
{
	int n = 0, quiet, saved, rc;

	while (words[n] != NULL)
		n++;
	(void)fflush(stderr);
	saved = dup(STDERR_FILENO);
	quiet = open("/dev/null", O_WRONLY);
	(void)dup2(quiet, STDERR_FILENO);
	rc = options_read(&o, n, words);
	(void)dup2(saved, STDERR_FILENO);
	(void)close(quiet);
	(void)close(saved);
	return rc;
}

#define WORDS(...) ((char *[]){ (char[]){ "test" }, __VA_ARGS__, NULL })
#define W(text) \
	(char[]) \
	{ \
		text \
	}

static void
without_options_it_is_one_worker_on_any_port(void **state)
{
	assert_int_equal(read_words(WORDS(W("--mode"), W("sio"))), 0);
	assert_ptr_equal(o.mode, &mode_sio);
	assert_int_equal(o.workers, 1);
	assert_int_equal(o.port, 0);
	assert_false(o.recovery);
	assert_string_equal(o.cfg->path, "/socket.io/");
	assert_int_equal(o.cfg->engine_ping_interval, 25000);
	assert_int_equal(o.cfg->engine_max_payload, 1000000);
	assert_int_equal(o.cfg->cors_origins.n, 0);
	options_free(&o);
}

static void
numbers_go_below_what_the_daemon_takes(void **state)
{
	assert_int_equal(read_words(WORDS(W("--mode"), W("eio-echo"),
			     W("--ping-interval"), W("7"),
			     W("--ping-timeout=8"), W("--max-payload"), W("9"),
			     W("--connect-timeout"), W("10"),
			     W("--upgrade-timeout"), W("11"),
			     W("--handshake-delay"), W("12"), W("--workers"),
			     W("3"), W("--port"), W("65535"))),
	    0);
	assert_string_equal(o.cfg->path, "/engine.io/");
	assert_int_equal(o.cfg->engine_ping_interval, 7);
	assert_int_equal(o.cfg->engine_ping_timeout, 8);
	assert_int_equal(o.cfg->engine_max_payload, 9);
	assert_int_equal(o.cfg->engine_connect_timeout, 10);
	assert_int_equal(o.cfg->engine_upgrade_timeout, 11);
	assert_int_equal(o.handshake_delay_ms, 12);
	assert_int_equal(o.workers, 3);
	assert_int_equal(o.port, 65535);
	options_free(&o);
}

static void
the_rest_is_the_daemons_own_configuration(void **state)
{
	assert_int_equal(read_words(WORDS(W("--mode"), W("edge"),
			     W("--cors-origin"), W("http://a,http://b"),
			     W("--cors-credentials"), W("--transports"),
			     W("websocket"), W("--cookie"), W("io"),
			     W("--deflate"), W("--eio3"), W("--recovery"),
			     W("--recovery-window"), W("500"))),
	    0);
	assert_int_equal(o.cfg->cors_origins.n, 2);
	assert_string_equal(o.cfg->cors_origins.v[1], "http://b");
	assert_true(o.cfg->cors_credentials);
	assert_int_equal(o.cfg->engine_transports.n, 1);
	assert_string_equal(o.cfg->engine_cookie, "io");
	assert_true(o.cfg->engine_compression);
	assert_true(o.cfg->engine_eio3);
	assert_true(o.recovery);
	assert_int_equal(o.cfg->recovery_window, 500);
	options_free(&o);
}

static void
mode_client_always_recovers(void **state)
{
	assert_int_equal(read_words(WORDS(W("--mode"), W("client"))), 0);
	assert_true(o.recovery);
	options_free(&o);
}

static void
nonsense_is_refused(void **state)
{
	assert_int_equal(read_words(WORDS(W("--workers"), W("2"))), -1);
	assert_int_equal(read_words(WORDS(W("--mode"), W("x"))), -1);
	assert_int_equal(read_words(WORDS(W("--mode"))), -1);
	assert_int_equal(read_words(WORDS(W("--mode"), W("sio"), W("x"))), -1);
	assert_int_equal(read_words(WORDS(W("--mode"), W("sio"), W("--bogus"))),
	    -1);
	assert_int_equal(read_words(WORDS(W("--mode"), W("sio"), W("--port"),
			     W("65536"))),
	    -1);
	assert_int_equal(read_words(WORDS(W("--mode"), W("sio"), W("--port"),
			     W("-1"))),
	    -1);
	assert_int_equal(read_words(WORDS(W("--mode"), W("sio"), W("--port"),
			     W("8x"))),
	    -1);
	assert_int_equal(read_words(WORDS(W("--mode"), W("sio"), W("--workers"),
			     W("0"))),
	    -1);
	assert_int_equal(read_words(WORDS(W("--mode"), W("sio"),
			     W("--transports"), W("carrier-pigeon"))),
	    -1);
	assert_int_equal(read_words(
			     WORDS(W("--mode"), W("ws-echo"), W("--recovery"))),
	    -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_options_it_is_one_worker_on_any_port),
		cmocka_unit_test(numbers_go_below_what_the_daemon_takes),
		cmocka_unit_test(the_rest_is_the_daemons_own_configuration),
		cmocka_unit_test(mode_client_always_recovers),
		cmocka_unit_test(nonsense_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
