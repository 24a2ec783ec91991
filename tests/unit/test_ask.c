/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_ask - what ask.h promises: packets that come as they went, and
 * nothing that waits.
 */

#include <sys/socket.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "shm/ask.h"

static int fd[2];
static char buf[ASK_ANSWER_SIZE];

static int
setup(void **state)
{
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fd);
}

static int
teardown(void **state)
{
	(void)close(fd[0]);
	(void)close(fd[1]);
	return 0;
}

static struct ask_text
text(const char *p)
{
	return (struct ask_text){ p, strlen(p) };
}

static void
is_text(struct ask_text got, const char *want)
{
	assert_int_equal(got.len, strlen(want));
	assert_memory_equal(got.p, want, got.len);
}

static void
a_question_comes_as_it_went(void **state)
{
	const struct ask_question q = { .incarnation = 7,
		.number = 9,
		.recheck = true,
		.until_ms = UINT64_C(1) << 40,
		.token = text("token"),
		.address = text("127.0.0.1"),
		.agent = text("") };
	struct ask_question got;

	assert_int_equal(ask_receive_question(fd[1], buf, &got), 0);
	assert_int_equal(ask_send_question(fd[0], &q), 0);
	assert_int_equal(ask_send_question(fd[0], &q), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(ask_receive_question(fd[1], buf, &got), 1);
		assert_int_equal(got.incarnation, 7);
		assert_int_equal(got.number, 9);
		assert_true(got.recheck);
		assert_int_equal(got.until_ms, q.until_ms);
		is_text(got.token, "token");
		is_text(got.address, "127.0.0.1");
		is_text(got.agent, "");
	}
	assert_int_equal(ask_receive_question(fd[1], buf, &got), 0);
}

static void
an_answer_comes_as_it_went(void **state)
{
	char *large = malloc(150000);
	struct ask_answer a = { .incarnation = 3,
		.number = 4,
		.outcome = ASK_UNAVAILABLE,
		.retry_after = 5 };
	struct ask_answer got;

	assert_int_equal(ask_send_answer(fd[0], &a), 0);
	assert_int_equal(ask_receive_answer(fd[1], buf, &got), 1);
	assert_int_equal(got.incarnation, 3);
	assert_int_equal(got.number, 4);
	assert_int_equal(got.outcome, ASK_UNAVAILABLE);
	assert_int_equal(got.retry_after, 5);
	assert_int_equal(got.claims.len, 0);
	memset(large, 'x', 150000);
	a.outcome = ASK_GRANTED;
	a.claims = (struct ask_text){ large, 150000 };
	assert_int_equal(ask_send_answer(fd[0], &a), 0);
	assert_int_equal(ask_receive_answer(fd[1], buf, &got), 1);
	assert_int_equal(got.claims.len, 150000);
	assert_memory_equal(got.claims.p, large, 150000);
	free(large);
}

static void
what_is_too_long_is_not_sent(void **state)
{
	char *large = calloc(1, ASK_CLAIMS_MAX + 1);
	struct ask_question q = { .token = { large, ASK_TOKEN_MAX + 1 } };
	struct ask_answer a = { .claims = { large, ASK_CLAIMS_MAX + 1 } };

	assert_int_equal(ask_send_question(fd[0], &q), -1);
	assert_int_equal(errno, EINVAL);
	q.token.len = ASK_TOKEN_MAX;
	q.agent = (struct ask_text){ large, ASK_AGENT_MAX };
	q.address = (struct ask_text){ large, ASK_ADDRESS_MAX };
	assert_int_equal(ask_send_question(fd[0], &q), 0);
	assert_int_equal(ask_receive_question(fd[1], buf, &q), 1);
	q.agent.len++;
	assert_int_equal(ask_send_question(fd[0], &q), -1);
	assert_int_equal(ask_send_answer(fd[0], &a), -1);
	assert_int_equal(errno, EINVAL);
	free(large);
}

static void
a_full_socket_takes_no_more(void **state)
{
	const struct ask_question q = { .token = text("token") };
	struct ask_question got;
	int n = 0;

	while (ask_send_question(fd[0], &q) == 0)
		n++;
	assert_int_equal(errno, EAGAIN);
	assert_true(n > 10);
	assert_int_equal(ask_receive_question(fd[1], buf, &got), 1);
	while (ask_receive_question(fd[1], buf, &got) == 1)
		n--;
	assert_int_equal(n, 1);
}

static void
nonsense_is_recognised_and_gone(void **state)
{
	const struct ask_question q = { .token = text("token") };
	struct ask_question got;
	struct ask_answer a;
	char *large = calloc(1, ASK_QUESTION_SIZE + 1);
	ssize_t n;

	assert_int_equal(send(fd[0], "x", 1, 0), 1);
	assert_int_equal(send(fd[0], large, 64, 0), 64);
	assert_true(send(fd[0], large, ASK_QUESTION_SIZE + 1, 0) > 0);
	/* a question is no answer; and one that is cut */
	assert_int_equal(ask_send_question(fd[0], &q), 0);
	n = recv(fd[1], large, 1, MSG_PEEK);
	assert_int_equal(n, 1);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(ask_receive_question(fd[1], buf, &got), -1);
		assert_int_equal(errno, EBADMSG);
	}
	assert_int_equal(ask_receive_answer(fd[1], buf, &a), -1);
	assert_int_equal(errno, EBADMSG);
	assert_int_equal(ask_receive_answer(fd[1], buf, &a), 0);
	assert_int_equal(send(fd[0], "", 0, 0), 0);
	assert_int_equal(ask_receive_question(fd[1], buf, &got), -1);
	assert_int_equal(errno, ENOTCONN);
	assert_int_equal(ask_receive_question(fd[1], buf, &got), 0);
	/* one byte less, one byte more */
	for (int i = -1; i <= 1; i += 2) {
		assert_int_equal(ask_send_question(fd[0], &q), 0);
		n = recv(fd[1], large, ASK_QUESTION_SIZE, 0);
		assert_int_equal(send(fd[0], large, (size_t)(n + i), 0), n + i);
		assert_int_equal(ask_receive_question(fd[1], buf, &got), -1);
		assert_int_equal(errno, EBADMSG);
	}
	free(large);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_question_comes_as_it_went),
		T(an_answer_comes_as_it_went),
		T(what_is_too_long_is_not_sent),
		T(a_full_socket_takes_no_more),
		T(nonsense_is_recognised_and_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
