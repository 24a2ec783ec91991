/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_inbox - what inbox.h promises about the sockets between workers.
 */

#include <sys/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "master/inbox.h"

#define N 3
#define LARGEST (96 * 1024 + 64)

static void
each_has_its_own_and_all_send_to_it(void **state)
{
	struct inboxes in;
	char c;

	inboxes_open(&in, N);
	assert_int_equal(in.n, N);
	for (unsigned i = 0; i < N; i++)
		assert_int_equal(send(in.send[i], &(char){ (char)i }, 1, 0), 1);
	for (unsigned i = 0; i < N; i++) {
		assert_int_equal(recv(in.receive[i], &c, 1, 0), 1);
		assert_int_equal(c, i);
		/* nobody waits for anything */
		assert_int_equal(recv(in.receive[i], &c, 1, 0), -1);
		assert_int_equal(errno, EAGAIN);
		assert_true(fcntl(in.send[i], F_GETFD) & FD_CLOEXEC);
		assert_true(fcntl(in.receive[i], F_GETFD) & FD_CLOEXEC);
	}
	inboxes_close(&in);
	assert_int_equal(in.n, 0);
}

static void
several_of_the_largest_messages_wait_and_then_it_is_full(void **state)
{
	static uint8_t message[LARGEST], got[LARGEST + 1];
	struct inboxes in;
	unsigned n = 0;

	inboxes_open(&in, 1);
	memset(message, 'x', sizeof(message));
	while (send(in.send[0], message, sizeof(message), MSG_DONTWAIT) ==
	    sizeof(message))
		n++;
	assert_int_equal(errno, EAGAIN);
	/* without privileges it is what net.core.wmem_max allows */
	assert_true(n >= 2);
	for (; n > 0; n--)
		assert_int_equal(recv(in.receive[0], got, sizeof(got), 0),
		    sizeof(message));
	inboxes_close(&in);
}

static void
what_waits_outlives_who_sent_it_and_who_was_to_read_it(void **state)
{
	struct inboxes in;
	int to, from;
	char c = 0;

	inboxes_open(&in, 1);
	to = dup(in.send[0]);
	from = dup(in.receive[0]);
	assert_int_equal(send(to, "x", 1, 0), 1);
	(void)close(to);
	(void)close(from);
	from = dup(in.receive[0]);
	assert_int_equal(recv(from, &c, 1, 0), 1);
	assert_int_equal(c, 'x');
	(void)close(from);
	inboxes_close(&in);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_has_its_own_and_all_send_to_it),
		cmocka_unit_test(
		    several_of_the_largest_messages_wait_and_then_it_is_full),
		cmocka_unit_test(
		    what_waits_outlives_who_sent_it_and_who_was_to_read_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
