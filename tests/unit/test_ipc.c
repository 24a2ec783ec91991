/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_ipc - what ipc.h promises to both ends.
 */

#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/ipc.h"

struct fixture {
	struct ipc *master, *child;
	/* an untampered descriptor of each end, to break rules with */
	int raw_master, raw_child;
	struct ipc_msg out, in;
};

static int
setup(void **state)
{
	struct fixture *f;
	int sv[2];

	if ((f = calloc(1, sizeof(*f))) == NULL)
		return -1;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sv) == -1)
		return -1;
	f->raw_master = fcntl(sv[0], F_DUPFD_CLOEXEC, 0);
	f->raw_child = fcntl(sv[1], F_DUPFD_CLOEXEC, 0);
	f->master = ipc_new(sv[0], IPC_FROM_MASTER);
	f->child = ipc_new(sv[1], IPC_FROM_CHILD);
	*state = f;
	return f->master == NULL || f->child == NULL ? -1 : 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	ipc_free(&f->master);
	ipc_free(&f->child);
	(void)close(f->raw_master);
	(void)close(f->raw_child);
	free(f);
	return 0;
}

/* How many descriptors this process has. */
static int
count_fds(void)
{
	int n = 0;

	for (int fd = 0; fd < 2048; fd++)
		n += fcntl(fd, F_GETFD) != -1;
	return n;
}

static void
fields_arrive_as_they_were_written(void **state)
{
	struct fixture *f = *state;
	const void *p;
	char buf[16];
	size_t len;

	ipc_begin(&f->out, IPC_CONFIG_PREPARED);
	ipc_put_u8(&f->out, 0xfe);
	ipc_put_u32(&f->out, 0xdeadbeef);
	ipc_put_u64(&f->out, UINT64_MAX - 1);
	ipc_put_bytes(&f->out, "a\0b", 3);
	ipc_put_bytes(&f->out, NULL, 0);
	ipc_put_str(&f->out, "why not");
	assert_int_equal(ipc_send(f->child, &f->out), 0);
	assert_int_equal(ipc_recv(f->master, &f->in), 1);
	assert_int_equal(f->in.type, IPC_CONFIG_PREPARED);
	assert_int_equal(ipc_get_u8(&f->in), 0xfe);
	assert_int_equal(ipc_get_u32(&f->in), 0xdeadbeef);
	assert_true(ipc_get_u64(&f->in) == UINT64_MAX - 1);
	p = ipc_get_bytes(&f->in, &len);
	assert_int_equal(len, 3);
	assert_memory_equal(p, "a\0b", 3);
	assert_non_null(ipc_get_bytes(&f->in, &len));
	assert_int_equal(len, 0);
	ipc_get_str(&f->in, buf, sizeof(buf));
	assert_string_equal(buf, "why not");
	assert_int_equal(ipc_end(&f->in), 0);
}

static void
messages_keep_their_order_and_their_borders(void **state)
{
	struct fixture *f = *state;

	for (uint32_t i = 0; i < 20; i++) {
		ipc_begin(&f->out, IPC_STOP);
		ipc_put_u32(&f->out, i);
		assert_int_equal(ipc_send(f->master, &f->out), 0);
	}
	for (uint32_t i = 0; i < 20; i++) {
		assert_int_equal(ipc_recv(f->child, &f->in), 1);
		assert_int_equal(ipc_get_u32(&f->in), i);
		assert_int_equal(ipc_end(&f->in), 0);
	}
	assert_int_equal(ipc_recv(f->child, &f->in), 0);
}

static void
end_insists_that_everything_was_read(void **state)
{
	struct fixture *f = *state;

	ipc_begin(&f->out, IPC_STOP);
	ipc_put_u32(&f->out, 7);
	assert_int_equal(ipc_send(f->master, &f->out), 0);
	assert_int_equal(ipc_recv(f->child, &f->in), 1);
	assert_int_equal(ipc_end(&f->in), -1);
	assert_int_equal(errno, EPROTO);
}

static void
a_field_that_is_not_there_makes_the_message_bad(void **state)
{
	struct fixture *f = *state;
	size_t len = 9;
	char buf[8];

	ipc_begin(&f->out, IPC_STOP);
	ipc_put_u8(&f->out, 1);
	assert_int_equal(ipc_send(f->master, &f->out), 0);
	assert_int_equal(ipc_recv(f->child, &f->in), 1);
	assert_int_equal(ipc_get_u32(&f->in), 0);
	assert_true(f->in.bad);
	/* and it stays bad */
	assert_int_equal(ipc_get_u8(&f->in), 0);
	assert_true(ipc_get_u64(&f->in) == 0);
	assert_null(ipc_get_bytes(&f->in, &len));
	assert_int_equal(len, 0);
	ipc_get_str(&f->in, buf, sizeof(buf));
	assert_string_equal(buf, "");
	assert_int_equal(ipc_get_fd(&f->in), -1);
	assert_int_equal(ipc_end(&f->in), -1);
}

static void
a_length_beyond_the_message_is_refused(void **state)
{
	struct fixture *f = *state;
	size_t len;

	ipc_begin(&f->out, IPC_STOP);
	ipc_put_u32(&f->out, UINT32_MAX);
	ipc_put_u8(&f->out, 'x');
	assert_int_equal(ipc_send(f->master, &f->out), 0);
	assert_int_equal(ipc_recv(f->child, &f->in), 1);
	assert_null(ipc_get_bytes(&f->in, &len));
	assert_true(f->in.bad);
}

static void
a_string_too_long_or_with_nul_is_refused(void **state)
{
	struct fixture *f = *state;
	char buf[4];

	ipc_begin(&f->out, IPC_STOP);
	ipc_put_str(&f->out, "abc");
	ipc_put_str(&f->out, "abcd");
	assert_int_equal(ipc_send(f->master, &f->out), 0);
	assert_int_equal(ipc_recv(f->child, &f->in), 1);
	ipc_get_str(&f->in, buf, sizeof(buf));
	assert_string_equal(buf, "abc");
	assert_false(f->in.bad);
	ipc_get_str(&f->in, buf, sizeof(buf));
	assert_string_equal(buf, "");
	assert_int_equal(ipc_end(&f->in), -1);

	ipc_begin(&f->out, IPC_STOP);
	ipc_put_bytes(&f->out, "a\0", 2);
	assert_int_equal(ipc_send(f->master, &f->out), 0);
	assert_int_equal(ipc_recv(f->child, &f->in), 1);
	ipc_get_str(&f->in, buf, sizeof(buf));
	assert_int_equal(ipc_end(&f->in), -1);
}

static void
what_does_not_fit_is_not_sent(void **state)
{
	static char big[IPC_MAX_BYTES];
	struct fixture *f = *state;

	ipc_begin(&f->out, IPC_STOP);
	ipc_put_bytes(&f->out, big, sizeof(big));
	assert_true(f->out.bad);
	assert_int_equal(ipc_send(f->master, &f->out), -1);
	assert_int_equal(errno, EINVAL);
	/* the largest that does */
	ipc_begin(&f->out, IPC_STOP);
	ipc_put_bytes(&f->out, big, sizeof(big) - 4);
	assert_int_equal(ipc_send(f->master, &f->out), 0);
	assert_int_equal(ipc_recv(f->child, &f->in), 1);
	assert_int_equal(f->in.len, IPC_MAX_BYTES);
}

static void
a_side_sends_only_what_it_may(void **state)
{
	struct fixture *f = *state;

	ipc_begin(&f->out, IPC_READY);
	assert_int_equal(ipc_send(f->master, &f->out), -1);
	assert_int_equal(errno, EINVAL);
	ipc_begin(&f->out, IPC_STOP);
	assert_int_equal(ipc_send(f->child, &f->out), -1);
	assert_int_equal(errno, EINVAL);
	ipc_begin(&f->out, IPC_NONE);
	assert_int_equal(ipc_send(f->master, &f->out), -1);
	ipc_begin(&f->out, IPC__MAX);
	assert_int_equal(ipc_send(f->master, &f->out), -1);
}

/* Sends raw bytes to the child's end and expects them to be refused. */
static void
refused(struct fixture *f, const void *p, size_t len)
{
	assert_int_equal(send(f->raw_master, p, len, 0), len);
	errno = 0;
	assert_int_equal(ipc_recv(f->child, &f->in), -1);
	assert_int_equal(errno, EPROTO);
}

static void
a_peer_that_breaks_the_rules_is_refused(void **state)
{
	struct fixture *f = *state;
	static char big[IPC_MAX_BYTES + 5] = { IPC_VERSION, IPC_STOP, 0, 0 };

	refused(f, (const uint8_t[]){ IPC_VERSION }, 1);
	refused(f, (const uint8_t[]){ IPC_VERSION + 1, IPC_STOP, 0, 0 }, 4);
	refused(f, (const uint8_t[]){ IPC_VERSION, IPC_NONE, 0, 0 }, 4);
	refused(f, (const uint8_t[]){ IPC_VERSION, IPC__MAX, 0, 0 }, 4);
	refused(f, (const uint8_t[]){ IPC_VERSION, 255, 0, 0 }, 4);
	/* right type, wrong way */
	refused(f, (const uint8_t[]){ IPC_VERSION, IPC_READY, 0, 0 }, 4);
	/* says it has a descriptor, has none */
	refused(f, (const uint8_t[]){ IPC_VERSION, IPC_STOP, 1, 0 }, 4);
	/* longer than a message may be */
	refused(f, big, sizeof(big));
	/* and the next one is read as if nothing had been */
	ipc_begin(&f->out, IPC_STOP);
	assert_int_equal(ipc_send(f->master, &f->out), 0);
	assert_int_equal(ipc_recv(f->child, &f->in), 1);
}

static void
every_type_has_a_name(void **state)
{
	assert_string_equal(ipc_name(IPC_HELLO), "hello");
	assert_string_equal(ipc_name(IPC_STOP), "stop");
	for (int i = 0; i < IPC__MAX; i++)
		assert_non_null(ipc_name((enum ipc_type)i));
	assert_string_equal(ipc_name(IPC__MAX), "unknown");
	assert_string_equal(ipc_name((enum ipc_type)1000), "unknown");
}

static void
descriptors_travel_and_stay_the_senders(void **state)
{
	struct fixture *f = *state;
	struct stat a, b;
	int pipefd[2], got;
	char c;

	assert_int_equal(pipe(pipefd), 0);
	ipc_begin(&f->out, IPC_LOG_TARGET);
	ipc_put_fd(&f->out, pipefd[1]);
	assert_int_equal(ipc_send(f->master, &f->out), 0);
	assert_int_equal(ipc_recv(f->child, &f->in), 1);
	got = ipc_get_fd(&f->in);
	assert_int_equal(ipc_end(&f->in), 0);
	assert_int_not_equal(got, pipefd[1]);
	assert_true((fcntl(got, F_GETFD) & FD_CLOEXEC) != 0);
	assert_int_equal(fstat(got, &a), 0);
	assert_int_equal(fstat(pipefd[1], &b), 0);
	assert_int_equal(a.st_ino, b.st_ino);
	assert_int_equal(write(got, "x", 1), 1);
	assert_int_equal(read(pipefd[0], &c, 1), 1);
	(void)close(got);
	(void)close(pipefd[0]);
	(void)close(pipefd[1]);
}

static void
as_many_descriptors_as_promised_fit(void **state)
{
	struct fixture *f = *state;
	int before = count_fds();

	ipc_begin(&f->out, IPC_CLIENTS);
	for (int i = 0; i < IPC_MAX_FDS; i++)
		ipc_put_fd(&f->out, STDIN_FILENO);
	assert_false(f->out.bad);
	assert_int_equal(ipc_send(f->master, &f->out), 0);
	assert_int_equal(ipc_recv(f->child, &f->in), 1);
	assert_int_equal(f->in.nfds, IPC_MAX_FDS);
	for (int i = 0; i < IPC_MAX_FDS; i++)
		(void)close(ipc_get_fd(&f->in));
	assert_int_equal(ipc_end(&f->in), 0);
	assert_int_equal(count_fds(), before);
	ipc_put_fd(&f->out, STDIN_FILENO);
	assert_true(f->out.bad);
	ipc_begin(&f->out, IPC_CLIENTS);
	ipc_put_fd(&f->out, -1);
	assert_true(f->out.bad);
}

static void
descriptors_nobody_took_are_closed(void **state)
{
	struct fixture *f = *state;
	int before = count_fds();

	ipc_begin(&f->out, IPC_CLIENTS);
	ipc_put_fd(&f->out, STDIN_FILENO);
	ipc_put_fd(&f->out, STDIN_FILENO);
	assert_int_equal(ipc_send(f->master, &f->out), 0);
	assert_int_equal(ipc_recv(f->child, &f->in), 1);
	(void)close(ipc_get_fd(&f->in));
	/* one left: an error, and no leak */
	assert_int_equal(ipc_end(&f->in), -1);
	assert_int_equal(count_fds(), before);

	/* a packet that is refused */
	f->out.type = IPC_READY;
	assert_int_equal(ipc_send(f->child, &f->out), 0);
	assert_int_equal(ipc_recv(f->master, &f->in), 1);
	assert_int_equal(ipc_end(&f->in), -1);
	assert_int_equal(count_fds(), before);
}

static void
descriptors_without_room_are_emfile_not_a_leak(void **state)
{
	struct fixture *f = *state;
	struct rlimit old, low;
	int before = count_fds(), rc, error;

	ipc_begin(&f->out, IPC_CLIENTS);
	for (int i = 0; i < 10; i++)
		ipc_put_fd(&f->out, STDIN_FILENO);
	assert_int_equal(ipc_send(f->master, &f->out), 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	low = old;
	low.rlim_cur = (rlim_t)f->raw_child + 3;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	rc = ipc_recv(f->child, &f->in);
	error = errno;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_equal(rc, -1);
	assert_int_equal(error, EMFILE);
	assert_int_equal(count_fds(), before);
}

static void
a_full_socket_queues_in_order_with_descriptors(void **state)
{
	struct fixture *f = *state;
	int pipefd[2], before, got;
	uint32_t sent = 0, seen = 0;
	char c;

	before = count_fds();
	assert_int_equal(pipe(pipefd), 0);
	while (sent < 600) {
		ipc_begin(&f->out, IPC_STOP);
		ipc_put_u32(&f->out, sent);
		ipc_put_fd(&f->out, pipefd[1]);
		assert_int_equal(ipc_send(f->master, &f->out), 0);
		sent++;
	}
	assert_true(ipc_pending(f->master));
	assert_int_equal(ipc_flush(f->master), 1);
	/* the queue's own duplicates outlive the caller's descriptor */
	(void)close(pipefd[1]);
	while (seen < sent) {
		if (ipc_recv(f->child, &f->in) == 0) {
			assert_true(ipc_flush(f->master) >= 0);
			continue;
		}
		assert_int_equal(ipc_get_u32(&f->in), seen);
		got = ipc_get_fd(&f->in);
		assert_int_equal(write(got, "x", 1), 1);
		assert_int_equal(read(pipefd[0], &c, 1), 1);
		(void)close(got);
		assert_int_equal(ipc_end(&f->in), 0);
		seen++;
	}
	assert_int_equal(ipc_flush(f->master), 0);
	assert_false(ipc_pending(f->master));
	(void)close(pipefd[0]);
	assert_int_equal(count_fds(), before);
}

static void
a_peer_that_hangs_is_eagain_and_free_closes_all(void **state)
{
	struct fixture *f = *state;
	int before = count_fds(), rc = 0, n;

	for (n = 0; n < 100000 && rc == 0; n++) {
		ipc_begin(&f->out, IPC_STOP);
		if (n % 64 == 0)
			ipc_put_fd(&f->out, STDIN_FILENO);
		rc = ipc_send(f->master, &f->out);
	}
	assert_int_equal(rc, -1);
	assert_int_equal(errno, EAGAIN);
	assert_true(n > 1024);
	ipc_free(&f->master);
	assert_null(f->master);
	assert_int_equal(count_fds(), before - 1);
}

static void
a_peer_that_has_gone_is_told(void **state)
{
	struct fixture *f = *state;

	/* what was sent before is read before */
	ipc_begin(&f->out, IPC_READY);
	assert_int_equal(ipc_send(f->child, &f->out), 0);
	ipc_free(&f->child);
	(void)close(f->raw_child);
	f->raw_child = -1;
	assert_int_equal(ipc_recv(f->master, &f->in), 1);
	assert_int_equal(ipc_end(&f->in), 0);
	errno = 99;
	assert_int_equal(ipc_recv(f->master, &f->in), -1);
	assert_int_equal(errno, 0);
	ipc_begin(&f->out, IPC_STOP);
	assert_int_equal(ipc_send(f->master, &f->out), -1);
	assert_int_equal(errno, EPIPE);
}

static void
a_peer_that_left_things_unread_is_gone_too(void **state)
{
	struct fixture *f = *state;

	ipc_begin(&f->out, IPC_STOP);
	assert_int_equal(ipc_send(f->master, &f->out), 0);
	ipc_free(&f->child);
	(void)close(f->raw_child);
	f->raw_child = -1;
	errno = 99;
	assert_int_equal(ipc_recv(f->master, &f->in), -1);
	assert_int_equal(errno, 0);
}

static void
new_takes_over_a_socket_and_refuses_nonsense(void **state)
{
	struct fixture *f = *state;

	assert_true((fcntl(ipc_fd(f->child), F_GETFL) & O_NONBLOCK) != 0);
	assert_true((fcntl(ipc_fd(f->child), F_GETFD) & FD_CLOEXEC) != 0);
	assert_null(ipc_new(-1, IPC_FROM_MASTER));
	assert_int_equal(errno, EBADF);
	ipc_free(&(struct ipc *){ NULL });
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(fields_arrive_as_they_were_written),
		T(messages_keep_their_order_and_their_borders),
		T(end_insists_that_everything_was_read),
		T(a_field_that_is_not_there_makes_the_message_bad),
		T(a_length_beyond_the_message_is_refused),
		T(a_string_too_long_or_with_nul_is_refused),
		T(what_does_not_fit_is_not_sent),
		T(a_side_sends_only_what_it_may),
		T(a_peer_that_breaks_the_rules_is_refused),
		T(every_type_has_a_name),
		T(descriptors_travel_and_stay_the_senders),
		T(as_many_descriptors_as_promised_fit),
		T(descriptors_nobody_took_are_closed),
		T(descriptors_without_room_are_emfile_not_a_leak),
		T(a_full_socket_queues_in_order_with_descriptors),
		T(a_peer_that_hangs_is_eagain_and_free_closes_all),
		T(a_peer_that_has_gone_is_told),
		T(a_peer_that_left_things_unread_is_gone_too),
		T(new_takes_over_a_socket_and_refuses_nonsense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
