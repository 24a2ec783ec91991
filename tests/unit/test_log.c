/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_log - what log.h promises about descriptors, levels and endings.
 */

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/log.h"

struct fixture {
	char dir[64];
	char path[128];
	char got[65536];
};

static int
setup(void **state)
{
	struct fixture *f;

	if ((f = calloc(1, sizeof(*f))) == NULL)
		return -1;
	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/test_log.XXXXXX");
	if (mkdtemp(f->dir) == NULL)
		return -1;
	(void)snprintf(f->path, sizeof(f->path), "%s/log", f->dir);
	log_init("chatd", ROLE_WORKER, 3);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;
	char cmd[128];
	int rc;

	/* lines that this test lost are told now, not in the next one */
	log_set(open("/dev/null", O_WRONLY), LOG_KIND_FILE, LOG_FORMAT_TEXT,
	    LOG_LEVEL_INFO);
	log_error("end of test");
	log_set(STDERR_FILENO, LOG_KIND_STDERR, LOG_FORMAT_TEXT,
	    LOG_LEVEL_INFO);
	(void)snprintf(cmd, sizeof(cmd), "rm -rf %s", f->dir);
	rc = system(cmd);
	free(f);
	return rc;
}

/* The whole file. */
static const char *
contents(struct fixture *f)
{
	int fd = open(f->path, O_RDONLY);
	ssize_t n;

	assert_int_not_equal(fd, -1);
	n = read(fd, f->got, sizeof(f->got) - 1);
	assert_true(n >= 0);
	f->got[n] = '\0';
	(void)close(fd);
	return f->got;
}

static void
log_to_file(struct fixture *f, enum log_format format, enum log_level level)
{
	enum log_kind kind;
	int fd = log_open_target(f->path, &kind);

	assert_int_not_equal(fd, -1);
	assert_int_equal(kind, LOG_KIND_FILE);
	log_set(fd, kind, format, level);
}

static void
a_line_says_who_and_what(void **state)
{
	struct fixture *f = *state;
	const char *s;

	log_to_file(f, LOG_FORMAT_LOGFMT, LOG_LEVEL_INFO);
	log_info("%s message room=%s", "s1", "lobby");
	s = contents(f);
	assert_memory_equal(s, "time=2", 6);
	assert_non_null(strstr(s, " level=info role=worker slot=3 pid="));
	assert_non_null(strstr(s, " msg=\"s1 message\" room=lobby\n"));
	log_set_level(LOG_LEVEL_INFO);
	log_to_file(f, LOG_FORMAT_JSON, LOG_LEVEL_INFO);
	log_info("again");
	s = strchr(contents(f), '\n') + 1;
	assert_int_equal(*s, '{');
	assert_non_null(strstr(s, "\"msg\":\"again\"}\n"));
}

static void
only_the_wanted_levels_are_written(void **state)
{
	struct fixture *f = *state;

	log_to_file(f, LOG_FORMAT_LOGFMT, LOG_LEVEL_NOTICE);
	log_debug("one");
	log_info("two");
	log_notice("three");
	log_warn("four");
	log_error("five");
	assert_false(log_enabled(LOG_LEVEL_INFO));
	assert_true(log_enabled(LOG_LEVEL_NOTICE));
	log_set_level(LOG_LEVEL_DEBUG);
	log_debug("six");
	log_set_level(LOG_LEVEL_ERROR);
	log_warn("seven");
	contents(f);
	assert_null(strstr(f->got, "one"));
	assert_null(strstr(f->got, "two"));
	assert_non_null(strstr(f->got, "level=notice"));
	assert_non_null(strstr(f->got, "level=warn"));
	assert_non_null(strstr(f->got, "level=error"));
	assert_non_null(strstr(f->got, "level=debug"));
	assert_null(strstr(f->got, "seven"));
}

static void
errno_is_told_and_kept(void **state)
{
	struct fixture *f = *state;

	log_to_file(f, LOG_FORMAT_LOGFMT, LOG_LEVEL_INFO);
	errno = ENOENT;
	log_warn_errno("open path=%s", "/x");
	assert_int_equal(errno, ENOENT);
	errno = EACCES;
	log_error_errno("plain");
	log_info("third");
	assert_int_equal(errno, EACCES);
	contents(f);
	assert_non_null(strstr(f->got,
	    "msg=\"open\" path=/x error=\"No such file or directory\"\n"));
	assert_non_null(
	    strstr(f->got, "msg=\"plain\" error=\"Permission denied\"\n"));
}

static void
text_of_others_cannot_forge_fields(void **state)
{
	struct fixture *f = *state;
	const char *evil = "x\" level=error msg=\"y\n";

	log_to_file(f, LOG_FORMAT_LOGFMT, LOG_LEVEL_INFO);
	log_info("join user=%s n=1", log_text(evil, strlen(evil)));
	assert_non_null(strstr(contents(f),
	    "msg=\"join\" user=\"x\\\" level=error msg=\\\"y\\n\" n=1\n"));
}

static void
log_text_quotes_only_what_has_to_be(void **state)
{
	char big[300];
	const char *s, *first;

	assert_string_equal(log_text("plain-1.x:/", 11), "plain-1.x:/");
	assert_string_equal(log_text("a b", 3), "\"a b\"");
	assert_string_equal(log_text("", 0), "\"\"");
	assert_string_equal(log_text("a=b", 3), "\"a=b\"");
	assert_string_equal(log_text("\xc3\xbc", 2), "\"\xc3\xbc\"");
	assert_string_equal(log_text("\0x\xff", 3), "\"\\x00x\\xff\"");
	memset(big, 'x', sizeof(big));
	s = log_text(big, sizeof(big));
	assert_int_equal(strlen(s), 200 + 3 + 2);
	assert_string_equal(s + 198, "xxx...\"");
	s = log_text(big, 200);
	assert_int_equal(strlen(s), 200);
	memset(big, '\n', sizeof(big));
	s = log_text(big, 200);
	assert_int_equal(strlen(s), 200 + 3 + 2);
	/* eight in one call do not disturb each other */
	first = log_text("first", 5);
	for (int i = 0; i < 7; i++)
		(void)log_text("other", 5);
	assert_string_equal(first, "first");
}

static void
stderr_that_is_a_pipe_never_blocks(void **state)
{
	enum log_kind kind;
	int pipefd[2], saved, fd;
	uint64_t before = log_dropped();
	char buf[70000];
	ssize_t n;

	assert_int_equal(pipe(pipefd), 0);
	saved = dup(STDERR_FILENO);
	assert_int_not_equal(dup2(pipefd[1], STDERR_FILENO), -1);
	fd = log_open_target("stderr", &kind);
	assert_int_equal(kind, LOG_KIND_STDERR);
	/* and whoever else has that pipe keeps it as it was */
	assert_true((fcntl(STDERR_FILENO, F_GETFL) & O_NONBLOCK) == 0);
	assert_int_not_equal(dup2(saved, STDERR_FILENO), -1);
	(void)close(saved);
	assert_int_not_equal(fd, -1);
	log_set(fd, kind, LOG_FORMAT_LOGFMT, LOG_LEVEL_INFO);
	for (int i = 0; i < 2000; i++)
		log_info("line n=%d some text that fills a pipe of 64 KiB", i);
	assert_true(log_dropped() > before);
	/* what got through is whole lines */
	n = read(pipefd[0], buf, sizeof(buf) - 1);
	assert_true(n > 60000);
	assert_int_equal(buf[n - 1], '\n');
	/* and the next one tells */
	log_info("after");
	n = read(pipefd[0], buf, sizeof(buf) - 1);
	assert_true(n > 0);
	buf[n] = '\0';
	assert_non_null(strstr(buf, "msg=\"after\"\n"));
	assert_non_null(strstr(buf, "msg=\"log lines dropped\" n=1"));
	log_info("twice");
	n = read(pipefd[0], buf, sizeof(buf) - 1);
	buf[n] = '\0';
	assert_null(strstr(buf, "dropped"));
	(void)close(pipefd[0]);
	(void)close(pipefd[1]);
}

static void
a_pipe_that_is_blocking_does_not_block_either(void **state)
{
	int pipefd[2];
	uint64_t before = log_dropped();

	assert_int_equal(pipe(pipefd), 0);
	log_set(pipefd[1], LOG_KIND_STDERR, LOG_FORMAT_LOGFMT, LOG_LEVEL_INFO);
	(void)alarm(20);
	for (int i = 0; i < 2000; i++)
		log_info("line n=%d some text that fills a pipe of 64 KiB", i);
	(void)alarm(0);
	assert_true(log_dropped() > before);
	(void)close(pipefd[0]);
}

static void
a_socket_that_is_blocking_does_not_block_either(void **state)
{
	uint64_t before = log_dropped();
	int sv[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	log_set(sv[1], log_kind_of(sv[1]), LOG_FORMAT_LOGFMT, LOG_LEVEL_INFO);
	(void)alarm(20);
	for (int i = 0; i < 20000; i++)
		log_info("line n=%d some text that fills a socket", i);
	(void)alarm(0);
	assert_true(log_dropped() > before);
	(void)close(sv[0]);
}

static void
a_reader_that_has_gone_is_noticed_not_fatal(void **state)
{
	int pipefd[2];

	assert_int_equal(pipe(pipefd), 0);
	assert_int_equal(fcntl(pipefd[1], F_SETFL, O_NONBLOCK), 0);
	log_set(pipefd[1], LOG_KIND_STDERR, LOG_FORMAT_LOGFMT, LOG_LEVEL_INFO);
	assert_false(log_target_lost());
	(void)close(pipefd[0]);
	log_info("nobody hears");
	assert_true(log_target_lost());
}

/* A datagram socket bound to a path, as a syslog daemon has. */
static int
bind_socket(const char *path)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

	(void)snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", path);
	assert_int_equal(bind(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	return fd;
}

static int
connect_socket(const char *path)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);

	(void)snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", path);
	assert_int_equal(connect(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	return fd;
}

static void
syslog_gets_one_datagram_a_line(void **state)
{
	struct fixture *f = *state;
	int server = bind_socket(f->path), fd = connect_socket(f->path);
	char buf[LOG_LINE_MAX];
	ssize_t n;

	assert_int_equal(log_kind_of(fd), LOG_KIND_SYSLOG);
	log_set(fd, log_kind_of(fd), LOG_FORMAT_LOGFMT, LOG_LEVEL_INFO);
	log_warn("one");
	log_info("two");
	n = recv(server, buf, sizeof(buf) - 1, 0);
	assert_true(n > 0);
	buf[n] = '\0';
	assert_memory_equal(buf, "<28>", 4);
	assert_non_null(strstr(buf, "]: level=warn role=worker slot=3 pid="));
	n = recv(server, buf, sizeof(buf) - 1, 0);
	buf[n] = '\0';
	assert_memory_equal(buf, "<30>", 4);
	/* the daemon ends: lines are dropped, and somebody can see that */
	(void)close(server);
	log_info("three");
	assert_true(log_target_lost());
}

static void
a_syslog_that_hangs_does_not_hang_us(void **state)
{
	struct fixture *f = *state;
	int server = bind_socket(f->path), fd = connect_socket(f->path);
	uint64_t before = log_dropped();

	log_set(fd, LOG_KIND_SYSLOG, LOG_FORMAT_LOGFMT, LOG_LEVEL_INFO);
	for (int i = 0; i < 5000; i++)
		log_info("nobody reads n=%d", i);
	assert_true(log_dropped() > before);
	assert_false(log_target_lost());
	(void)close(server);
}

static void
the_journal_is_known_by_its_name(void **state)
{
	struct fixture *f = *state;
	char buf[LOG_LINE_MAX];
	int server, fd;
	ssize_t n;

	(void)snprintf(f->path, sizeof(f->path), "%s/journal", f->dir);
	assert_int_equal(mkdir(f->path, 0700), 0);
	(void)snprintf(f->path, sizeof(f->path), "%s/journal/socket", f->dir);
	server = bind_socket(f->path);
	fd = connect_socket(f->path);
	assert_int_equal(log_kind_of(fd), LOG_KIND_JOURNAL);
	log_set(fd, LOG_KIND_JOURNAL, LOG_FORMAT_LOGFMT, LOG_LEVEL_INFO);
	log_info("hello a=b");
	n = recv(server, buf, sizeof(buf) - 1, 0);
	assert_true(n > 0);
	buf[n] = '\0';
	assert_memory_equal(buf, "PRIORITY=6\n", 11);
	assert_non_null(strstr(buf, "\nMESSAGE=hello a=b\nCHATD_A=b\n"));
	(void)close(server);
}

static void
the_kind_of_other_descriptors_is_right(void **state)
{
	struct fixture *f = *state;
	enum log_kind kind;
	int sv[2], fd;

	fd = log_open_target(f->path, &kind);
	assert_int_equal(log_kind_of(fd), LOG_KIND_FILE);
	assert_true((fcntl(fd, F_GETFL) & O_APPEND) != 0);
	assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
	(void)close(fd);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	assert_int_equal(log_kind_of(sv[0]), LOG_KIND_STDERR);
	assert_int_equal(log_kind_of(-1), LOG_KIND_STDERR);
	(void)close(sv[0]);
	(void)close(sv[1]);
	fd = open("/dev/null", O_WRONLY);
	assert_int_equal(log_kind_of(fd), LOG_KIND_STDERR);
	(void)close(fd);
}

static void
a_terminal_gets_text_whatever_was_asked(void **state)
{
	struct termios raw;
	char buf[512];
	int master, fd;
	ssize_t n;

	master = posix_openpt(O_RDWR | O_NOCTTY);
	assert_int_not_equal(master, -1);
	assert_int_equal(grantpt(master), 0);
	assert_int_equal(unlockpt(master), 0);
	fd = open(ptsname(master), O_RDWR | O_NOCTTY);
	assert_int_not_equal(fd, -1);
	assert_int_equal(tcgetattr(fd, &raw), 0);
	cfmakeraw(&raw);
	assert_int_equal(tcsetattr(fd, TCSANOW, &raw), 0);
	log_set(fd, LOG_KIND_STDERR, LOG_FORMAT_JSON, LOG_LEVEL_INFO);
	log_info("hello");
	n = read(master, buf, sizeof(buf) - 1);
	assert_true(n > 0);
	buf[n] = '\0';
	assert_non_null(strstr(buf, " info   worker 3: hello"));
	log_set(STDERR_FILENO, LOG_KIND_STDERR, LOG_FORMAT_TEXT,
	    LOG_LEVEL_INFO);
	(void)close(master);
}

static void
targets_that_cannot_be_opened_say_why(void **state)
{
	enum log_kind kind = LOG_KIND__MAX;

	assert_int_equal(log_open_target("relative", &kind), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(log_open_target("/nonexistent/x/y", &kind), -1);
	assert_int_equal(errno, ENOENT);
	/* untouched on failure */
	assert_int_equal(kind, LOG_KIND__MAX);
}

static void
the_old_target_is_closed_but_not_stderr(void **state)
{
	struct fixture *f = *state;
	enum log_kind kind;
	int first = log_open_target(f->path, &kind);
	int second = log_open_target(f->path, &kind);

	log_set(first, kind, LOG_FORMAT_LOGFMT, LOG_LEVEL_INFO);
	log_set(first, kind, LOG_FORMAT_JSON, LOG_LEVEL_INFO);
	assert_int_not_equal(fcntl(first, F_GETFD), -1);
	log_set(second, kind, LOG_FORMAT_LOGFMT, LOG_LEVEL_INFO);
	assert_int_equal(fcntl(first, F_GETFD), -1);
	log_set(STDERR_FILENO, LOG_KIND_STDERR, LOG_FORMAT_TEXT,
	    LOG_LEVEL_INFO);
	log_to_file(f, LOG_FORMAT_LOGFMT, LOG_LEVEL_INFO);
	assert_int_not_equal(fcntl(STDERR_FILENO, F_GETFD), -1);
}

/* Runs 'fn' in a child whose stderr is f->got; returns the wait status. */
static int
in_child(struct fixture *f, void (*fn)(struct fixture *))
{
	int pipefd[2], status;
	size_t len = 0;
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe(pipefd), 0);
	pid = fork();
	assert_int_not_equal(pid, -1);
	if (pid == 0) {
		(void)dup2(pipefd[1], STDERR_FILENO);
		(void)close(pipefd[0]);
		(void)close(pipefd[1]);
		(void)signal(SIGABRT, SIG_DFL);
		fn(f);
		_exit(77);
	}
	(void)close(pipefd[1]);
	while (
	    (n = read(pipefd[0], f->got + len, sizeof(f->got) - 1 - len)) > 0)
		len += (size_t)n;
	f->got[len] = '\0';
	(void)close(pipefd[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void
die_early(struct fixture *f)
{
	errno = ENOENT;
	fatal("open %s", "/etc/x");
}

static void
die_in_a_file(struct fixture *f)
{
	log_to_file(f, LOG_FORMAT_LOGFMT, LOG_LEVEL_INFO);
	fatalx("no such user user=%s", "bob");
}

static void
die_on_stderr(struct fixture *f)
{
	enum log_kind kind;
	int fd = log_open_target("stderr", &kind);

	log_set(fd, kind, LOG_FORMAT_LOGFMT, LOG_LEVEL_INFO);
	fatalx("bad");
}

static void
die_of_a_bug(struct fixture *f)
{
	CHECK(f == NULL);
}

static void
fatal_says_why_in_one_line_and_exits_1(void **state)
{
	struct fixture *f = *state;
	int status = in_child(f, die_on_stderr);
	char *end;

	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
	assert_non_null(strstr(f->got, "level=error"));
	end = strchr(f->got, '\n');
	assert_non_null(end);
	assert_string_equal(end, "\n");

	status = in_child(f, die_in_a_file);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
	assert_string_equal(f->got, "chatd: no such user user=bob\n");
	assert_non_null(strstr(contents(f), "msg=\"no such user\" user=bob\n"));
}

static void
fatal_before_there_is_a_log_goes_to_stderr(void **state)
{
	struct fixture *f = *state;
	int status = in_child(f, die_early);

	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
	assert_non_null(
	    strstr(f->got, "chatd: open /etc/x: No such file or directory\n"));
}

static void
a_check_that_fails_aborts_and_names_the_line(void **state)
{
	struct fixture *f = *state;
	int status = in_child(f, die_of_a_bug);

	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	assert_non_null(strstr(f->got,
	    "check failed what=\"f == NULL\" "
	    "at=tests/unit/test_log.c:"));
	CHECK(state != NULL);
}

static void
log_due_is_true_once_a_minute(void **state)
{
	uint64_t a = 0, b = 0;

	assert_true(log_due(&a));
	assert_false(log_due(&a));
	assert_true(log_due(&b));
	/* a minute ago */
	a = a > 60000 ? a - 60000 : 0;
	assert_true(log_due(&a));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		/* first: nothing has been set yet */
		T(fatal_before_there_is_a_log_goes_to_stderr),
		T(a_line_says_who_and_what),
		T(only_the_wanted_levels_are_written),
		T(errno_is_told_and_kept),
		T(text_of_others_cannot_forge_fields),
		T(log_text_quotes_only_what_has_to_be),
		T(stderr_that_is_a_pipe_never_blocks),
		T(a_pipe_that_is_blocking_does_not_block_either),
		T(a_socket_that_is_blocking_does_not_block_either),
		T(a_reader_that_has_gone_is_noticed_not_fatal),
		T(syslog_gets_one_datagram_a_line),
		T(a_syslog_that_hangs_does_not_hang_us),
		T(the_journal_is_known_by_its_name),
		T(the_kind_of_other_descriptors_is_right),
		T(a_terminal_gets_text_whatever_was_asked),
		T(targets_that_cannot_be_opened_say_why),
		T(the_old_target_is_closed_but_not_stderr),
		T(fatal_says_why_in_one_line_and_exits_1),
		T(a_check_that_fails_aborts_and_names_the_line),
		T(log_due_is_true_once_a_minute),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
