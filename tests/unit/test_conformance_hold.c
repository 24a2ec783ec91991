/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_conformance_hold - handshakes are held back, and nothing else.
 */

#include <sys/socket.h>

#include <netinet/in.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/event.h>

#include "common/clock.h"
#include "tests/conformance/hold.h"

#define MS 60

static struct event_base *base;
static struct hold *hold;
static int sp[2];
static int passed;
static uint64_t began;

static void
on_pass(void *arg, int fd, const struct sockaddr_in *peer)
{
	assert_ptr_equal(arg, &passed);
	assert_int_equal(peer->sin_port, 7);
	assert_int_equal(fd, sp[0]);
	passed++;
	assert_int_equal(close(fd), 0);
}

static int
setup(void **state)
{
	const struct sockaddr_in peer = { .sin_port = 7 };

	passed = 0;
	if ((base = event_base_new()) == NULL ||
	    (hold = hold_new(base, MS, on_pass, &passed)) == NULL ||
	    socketpair(AF_UNIX, SOCK_STREAM, 0, sp) == -1 ||
	    hold_take(hold, sp[0], &peer) == -1)
		return -1;
	began = clock_mono_ms();
	return 0;
}

static int
teardown(void **state)
{
	hold_free(&hold);
	event_base_free(base);
	(void)close(sp[1]);
	return 0;
}

/* Send, and wait until it has been passed; how long that took. */
static uint64_t
waits(const char *request)
{
	if (request[0] != '\0')
		assert_int_equal(write(sp[1], request, strlen(request)),
		    (ssize_t)strlen(request));
	assert_int_equal(hold_count(hold), 1);
	while (passed == 0)
		assert_int_not_equal(event_base_loop(base, EVLOOP_ONCE), -1);
	assert_int_equal(hold_count(hold), 0);
	return clock_mono_ms() - began;
}

static void
a_handshake_waits(void **state)
{
	assert_true(waits("GET /socket.io/?EIO=4&transport=polling HTTP/1.1"
			  "\r\nCookie: sid=x\r\n") >= MS);
}

static void
a_request_of_a_session_does_not_wait(void **state)
{
	assert_true(waits("GET /socket.io/?EIO=4&sid=x HTTP/1.1\r\n") < MS);
}

static void
anything_else_does_not_wait(void **state)
{
	assert_true(waits("GET / HTTP/1.1\r\n\r\n") < MS);
}

static void
who_goes_does_not_wait(void **state)
{
	assert_int_equal(shutdown(sp[1], SHUT_WR), 0);
	assert_true(waits("") < MS);
}

static void
who_is_silent_goes_on(void **state)
{
	assert_true(waits("") >= 900);
}

static void
those_that_are_held_are_closed_at_the_end(void **state)
{
	char c;

	hold_free(&hold);
	assert_null(hold);
	assert_int_equal(read(sp[1], &c, 1), 0);
	assert_int_equal(passed, 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_handshake_waits),
		T(a_request_of_a_session_does_not_wait),
		T(anything_else_does_not_wait),
		T(who_goes_does_not_wait),
		T(who_is_silent_goes_on),
		T(those_that_are_held_are_closed_at_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
