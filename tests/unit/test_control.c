/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_control - what control.h promises about chatctl's socket.
 */

#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <event2/event.h>

#include "common/config.h"
#include "common/log.h"
#include "master/command.h"
#include "master/control.h"
#include "master/master.h"
#include "master/request.h"

static struct {
	struct master m;
	char dir[64];
	/* what command_run() was asked last, and shall do */
	uint64_t asker;
	char command[32];
	char line[128];
	unsigned asked;
	void (*answer)(uint64_t asker);
} f;

void
command_run(struct master *m, uint64_t asker, const struct request *r,
    const char *line, size_t len)
{
	f.asked++;
	f.asker = asker;
	(void)snprintf(f.command, sizeof(f.command), "%s", r->command);
	(void)snprintf(f.line, sizeof(f.line), "%.*s", (int)len, line);
	if (f.answer != NULL)
		f.answer(asker);
}

static int
setup(void **state)
{
	memset(&f, 0, sizeof(f));
	(void)snprintf(f.dir, sizeof(f.dir), "/tmp/test_control.XXXXXX");
	if (mkdtemp(f.dir) == NULL || (f.m.base = event_base_new()) == NULL ||
	    (f.m.cfg = calloc(1, sizeof(*f.m.cfg))) == NULL)
		return -1;
	f.m.cfg->run_dir = f.dir;
	f.m.place.run_fd = open(f.dir, O_RDONLY | O_DIRECTORY);
	f.m.rights.uid = geteuid();
	f.m.rights.gid = getegid();
	f.m.control = control_open(&f.m);
	control_start(f.m.control);
	return 0;
}

static int
teardown(void **state)
{
	control_free(&f.m.control);
	event_base_free(f.m.base);
	free(f.m.cfg);
	(void)close(f.m.place.run_fd);
	return rmdir(f.dir);
}

static int
come(void)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/chatd.sock",
	    f.dir);
	assert_int_equal(connect(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	return fd;
}

static void
say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL),
	    strlen(text));
}

static void
loop(unsigned ms)
{
	const struct timeval tv = { .tv_sec = ms / 1000,
		.tv_usec = ms % 1000 * 1000 };

	(void)event_base_loopexit(f.m.base, &tv);
	(void)event_base_dispatch(f.m.base);
}

/* What has come; "" and its end is the end. */
static const char *
hear(int fd)
{
	static char buf[4096];
	ssize_t n;

	loop(10);
	n = recv(fd, buf, sizeof(buf) - 1, MSG_DONTWAIT);
	if (n == -1)
		return errno == EAGAIN ? "nothing" : "error";
	buf[n] = '\0';
	return buf;
}

static void
answer_twice(uint64_t asker)
{
	control_data(f.m.control, asker, "{\"a\":1}", 7);
	control_data(f.m.control, asker, "[2]", 3);
	control_done(f.m.control, asker);
	/* too late, and no harm */
	control_data(f.m.control, asker, "3", 1);
	control_failed(f.m.control, asker, "too late");
}

static void
answer_failed(uint64_t asker)
{
	control_failed(f.m.control, asker, "it is \"%s\"\n", "no");
}

/* --- promises -------------------------------------------------------------- */

static void
an_answer_is_lines_and_ends(void **state)
{
	int fd = come();

	f.answer = answer_twice;
	say(fd, "{\"v\":1,\"command\":\"status\"}\n");
	assert_string_equal(hear(fd),
	    "{\"data\":{\"a\":1}}\n{\"data\":[2]}\n"
	    "{\"done\":true,\"ok\":true}\n");
	assert_string_equal(hear(fd), "");
	assert_string_equal(f.line, "{\"v\":1,\"command\":\"status\"}");
	(void)close(fd);
}

static void
a_request_may_come_in_pieces(void **state)
{
	int fd = come();

	f.answer = answer_failed;
	say(fd, "{\"v\":1,\"comm");
	assert_string_equal(hear(fd), "nothing");
	say(fd, "and\":\"status\"}");
	assert_string_equal(hear(fd), "nothing");
	assert_int_equal(f.asked, 0);
	say(fd, "\nand what is behind it counts for nothing");
	assert_string_equal(hear(fd),
	    "{\"done\":true,\"ok\":false,\"error\":\"it is \\\"no\\\"\\n\"}\n");
	assert_int_equal(f.asked, 1);
	(void)close(fd);
}

static void
an_answer_may_come_later_and_its_asker_be_gone(void **state)
{
	int fd = come();
	uint64_t first;

	say(fd, "{\"v\":1,\"command\":\"reload\"}\n");
	assert_string_equal(hear(fd), "nothing");
	first = f.asker;
	(void)close(fd);
	loop(10);
	control_data(f.m.control, first, "1", 1);
	control_done(f.m.control, first);
	control_done(f.m.control, first + 1000);
	control_done(f.m.control, 0);
	fd = come();
	say(fd, "{\"v\":1,\"command\":\"reload\"}\n");
	assert_string_equal(hear(fd), "nothing");
	assert_true(f.asker != first);
	answer_failed(f.asker);
	assert_non_null(strstr(hear(fd), "\"ok\":false"));
	(void)close(fd);
}

static void
one_who_has_shut_its_side_still_gets_the_answer(void **state)
{
	int fd = come();

	say(fd, "{\"v\":1,\"command\":\"reload\"}\n");
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	assert_string_equal(hear(fd), "nothing");
	control_done(f.m.control, f.asker);
	assert_string_equal(hear(fd), "{\"done\":true,\"ok\":true}\n");
	(void)close(fd);
}

static void
what_makes_no_sense_is_answered(void **state)
{
	static char big[CONTROL_LINE_MAX + 1];
	int fd = come();

	say(fd, "nonsense\n");
	assert_non_null(strstr(hear(fd), "\"ok\":false,\"error\":"));
	assert_string_equal(hear(fd), "");
	(void)close(fd);
	memset(big, 'x', sizeof(big) - 1);
	fd = come();
	say(fd, big);
	assert_non_null(strstr(hear(fd), "too long"));
	(void)close(fd);
	assert_int_equal(f.asked, 0);
}

static void
one_who_says_nothing_is_dropped_in_the_end(void **state)
{
	int fd = come();

	loop(9500);
	assert_string_equal(hear(fd), "nothing");
	loop(1000);
	assert_string_equal(hear(fd), "");
	(void)close(fd);
}

static void
one_who_does_not_read_gets_no_more_than_is_good(void **state)
{
	static char big[1 << 20];
	int fd = come();
	size_t got = 0;
	ssize_t n;

	memset(big, '1', sizeof(big));
	say(fd, "{\"v\":1,\"command\":\"x\"}\n");
	loop(10);
	for (int i = 0; i < 10; i++)
		control_data(f.m.control, f.asker, big, sizeof(big));
	control_done(f.m.control, f.asker);
	while ((n = recv(fd, big, sizeof(big), 0)) > 0)
		got += (size_t)n;
	/* what the kernel had taken, and then the end */
	assert_true(got < 4 << 20);
	(void)close(fd);
}

static void
a_long_answer_goes_on_when_it_is_read(void **state)
{
	static char big[3 << 20];
	int fd = come();
	size_t got = 0;
	ssize_t n;

	memset(big, '1', sizeof(big));
	say(fd, "{\"v\":1,\"command\":\"x\"}\n");
	loop(10);
	control_data(f.m.control, f.asker, big, sizeof(big));
	control_done(f.m.control, f.asker);
	for (;;) {
		loop(1);
		n = recv(fd, big, sizeof(big), MSG_DONTWAIT);
		if (n == 0)
			break;
		got += n > 0 ? (size_t)n : 0;
	}
	assert_int_equal(got,
	    sizeof(big) + strlen("{\"data\":}\n") +
		strlen("{\"done\":true,\"ok\":true}\n"));
	(void)close(fd);
}

static void
a_worker_can_take_over(void **state)
{
	int fd = come(), taken;

	say(fd, "{\"v\":1,\"command\":\"tail\"}\n");
	loop(10);
	taken = control_take(f.m.control, f.asker);
	assert_true(taken != -1);
	assert_int_equal(control_take(f.m.control, f.asker), -1);
	control_done(f.m.control, f.asker);
	assert_string_equal(hear(fd), "nothing");
	say(taken, "from the worker");
	assert_string_equal(hear(fd), "from the worker");
	(void)close(taken);
	(void)close(fd);
}

/* As say(), with descriptors. */
static void
say_with(int fd, const char *text, const int *fds, size_t n)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(4 * sizeof(int))];
	} control;
	struct iovec iov = { (void *)(uintptr_t)text, strlen(text) };
	struct msghdr msg = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = CMSG_SPACE(n * sizeof(int)) };
	struct cmsghdr *h;

	memset(&control, 0, sizeof(control));
	h = CMSG_FIRSTHDR(&msg);
	h->cmsg_level = SOL_SOCKET;
	h->cmsg_type = SCM_RIGHTS;
	h->cmsg_len = CMSG_LEN(n * sizeof(int));
	memcpy(CMSG_DATA(h), fds, n * sizeof(int));
	assert_int_equal(sendmsg(fd, &msg, MSG_NOSIGNAL), strlen(text));
}

static int
descriptors(void)
{
	int n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) != -1;
	return n;
}

static void
a_file_comes_with_the_request(void **state)
{
	int fd = come(), ends[2], file;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	say_with(fd, "{\"v\":1,\"command\":\"backup\"", &ends[1], 1);
	say(fd, "}\n");
	loop(10);
	file = control_take_file(f.m.control, f.asker);
	assert_true(file != -1);
	assert_int_equal(fcntl(file, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	assert_int_equal(write(file, "x", 1), 1);
	assert_int_equal(read(ends[0], &file, 1), 1);
	assert_int_equal(control_take_file(f.m.control, f.asker), -1);
	assert_int_equal(control_take_file(f.m.control, f.asker + 9), -1);
	control_done(f.m.control, f.asker);
	(void)close(ends[0]);
	(void)close(ends[1]);
	(void)close(fd);
}

static void
files_that_nobody_takes_are_closed(void **state)
{
	int fd, ends[2], before;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	before = descriptors();
	f.answer = answer_failed;
	fd = come();
	say_with(fd, "{\"v\":1,\"command\":\"status\"}\n",
	    (int[]){ ends[0], ends[1], ends[0] }, 3);
	assert_non_null(strstr(hear(fd), "done"));
	(void)close(fd);
	/* one that goes before its request is complete */
	fd = come();
	say_with(fd, "{", ends, 2);
	say_with(fd, "\"v\"", ends, 2);
	loop(10);
	(void)close(fd);
	loop(10);
	assert_int_equal(descriptors(), before);
	(void)close(ends[0]);
	(void)close(ends[1]);
}

static void
those_who_wait_for_the_end_are_told_of_it(void **state)
{
	int fd = come(), silent = come();
	char path[96];

	(void)snprintf(path, sizeof(path), "%s/chatd.sock", f.dir);
	assert_int_equal(access(path, F_OK), 0);
	say(fd, "{\"v\":1,\"command\":\"stop\"}\n");
	assert_string_equal(hear(fd), "nothing");
	control_close_listener(f.m.control);
	assert_int_equal(access(path, F_OK), -1);
	assert_string_equal(hear(fd), "nothing");
	control_free(&f.m.control);
	assert_string_equal(hear(fd), "{\"done\":true,\"ok\":true}\n");
	assert_string_equal(hear(silent), "");
	(void)close(fd);
	(void)close(silent);
}

static void
a_crowd_waits_outside_and_gets_in_later(void **state)
{
	int crowd[40], fd;

	for (int i = 0; i < 40; i++) {
		crowd[i] = come();
		loop(1);
	}
	f.answer = answer_failed;
	fd = come();
	say(fd, "{\"v\":1,\"command\":\"x\"}\n");
	assert_string_equal(hear(fd), "nothing");
	for (int i = 0; i < 40; i++)
		(void)close(crowd[i]);
	loop(10);
	assert_non_null(strstr(hear(fd), "done"));
	(void)close(fd);
}

static void
without_descriptors_it_waits_a_second(void **state)
{
	struct rlimit old, low;
	int fd = come();

	f.answer = answer_failed;
	say(fd, "{\"v\":1,\"command\":\"x\"}\n");
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	low = old;
	low.rlim_cur = (rlim_t)fd + 1;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	loop(300);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_string_equal(hear(fd), "nothing");
	loop(900);
	assert_non_null(strstr(hear(fd), "done"));
	(void)close(fd);
}

static void
a_stranger_is_told_that_it_may_not(void **state)
{
	int fd;

	if (geteuid() != 0)
		skip();
	/* we are root, so let the connection come from somebody else */
	f.m.rights.uid = f.m.rights.gid = 65534;
	assert_int_equal(chmod(f.dir, 0755), 0);
	assert_int_equal(fchmodat(f.m.place.run_fd, "chatd.sock", 0666, 0), 0);
	assert_int_equal(setegid(12345), 0);
	assert_int_equal(seteuid(12345), 0);
	fd = come();
	assert_int_equal(seteuid(0), 0);
	assert_int_equal(setegid(0), 0);
	f.answer = answer_failed;
	say(fd, "{\"v\":1,\"command\":\"x\"}\n");
	assert_non_null(strstr(hear(fd), "you may not"));
	assert_int_equal(f.asked, 0);
	(void)close(fd);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(an_answer_is_lines_and_ends),
		T(a_request_may_come_in_pieces),
		T(an_answer_may_come_later_and_its_asker_be_gone),
		T(one_who_has_shut_its_side_still_gets_the_answer),
		T(what_makes_no_sense_is_answered),
		T(one_who_says_nothing_is_dropped_in_the_end),
		T(one_who_does_not_read_gets_no_more_than_is_good),
		T(a_long_answer_goes_on_when_it_is_read),
		T(a_worker_can_take_over),
		T(a_file_comes_with_the_request),
		T(files_that_nobody_takes_are_closed),
		T(those_who_wait_for_the_end_are_told_of_it),
		T(a_crowd_waits_outside_and_gets_in_later),
		T(without_descriptors_it_waits_a_second),
		T(a_stranger_is_told_that_it_may_not),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
