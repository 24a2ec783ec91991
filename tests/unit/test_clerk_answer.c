/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_clerk_answer - what clerk.h promises about answers, and about who
 * still wants them.
 */

#include "tests/unit/clerk_fixture.h"

#include <sys/wait.h>

#include <fcntl.h>
#include <stdlib.h>

#include "common/log.h"

static struct clerk_fixture f;

static int
setup(void **state)
{
	make_clerk(&f, "verify", -1);
	return 0;
}

static int
teardown(void **state)
{
	end_clerk(&f);
	return 0;
}

static void
say_number(uint64_t n)
{
	struct json_out o = { 0 };

	json_out_object(&o);
	clerk_put_u64(&o, "n", n);
	clerk_put_text(&o, "t", "x\ny");
	json_out_object_end(&o);
	answer_data(&f.clerk, &o);
	json_out_clear(&o);
}

static void
an_answer_is_lines_of_json(void **state)
{
	say_number(7);
	answer_done(&f.clerk);
	assert_string_equal(hear(&f),
	    "{\"data\":{\"n\":7,\"t\":\"x\\ny\"}}\n"
	    "{\"done\":true,\"ok\":true}\n");
}

static void
a_failure_is_a_sentence(void **state)
{
	assert_int_equal(answer_failed(&f.clerk, "no \"%s\"", "way"), -1);
	assert_string_equal(hear(&f),
	    "{\"done\":true,\"ok\":false,\"error\":\"no \\\"way\\\"\"}\n");
}

static void
the_master_knows_before_chatctl_does(void **state)
{
	static struct ipc_msg m;

	answer_done(&f.clerk);
	assert_int_equal(ipc_recv(f.master, &m), 1);
	assert_int_equal(m.type, IPC_READY);
	assert_int_equal(ipc_end(&m), 0);
}

static void
progress_comes_twice_a_second_at_most(void **state)
{
	uint64_t end = clock_mono_ms() + 1200;
	unsigned lines = 0;
	const char *p;

	while (clock_mono_ms() < end) {
		answer_progress(&f.clerk, "rows", 5, 10);
		(void)poll(NULL, 0, 1);
	}
	for (p = hear(&f); (p = strchr(p, '\n')) != NULL; p++)
		lines++;
	assert_in_range(lines, 1, 4);
	/* the first one at once */
	assert_ptr_equal(strstr(f.answer,
			     "{\"data\":{\"progress\":\"rows\",\"done\":5,"),
	    f.answer);
}

/* As many as it likes; who does not read is not waited for. */
static void
progress_waits_for_nobody(void **state)
{
	for (unsigned i = 0; i < 20000; i++) {
		f.clerk.told_ms = 0;
		answer_progress(&f.clerk, "rows", i, 20000);
	}
	/* what has come are whole lines */
	assert_non_null(hear(&f));
	assert_int_equal(f.answer[strlen(f.answer) - 1], '\n');
}

/* How a clerk ends that looks around while this happens. */
static int
look_while(void (*happen)(void))
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		f.clerk.looked_ms = 0;
		clerk_look(&f.clerk);
		happen();
		for (unsigned i = 0; i < 100; i++) {
			clerk_look(&f.clerk);
			(void)poll(NULL, 0, 10);
		}
		_exit(77);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void
nothing(void)
{
}

static void
the_master_goes(void)
{
	ipc_free(&f.master);
}

static void
the_master_stops(void)
{
	static struct ipc_msg m;

	ipc_begin(&m, IPC_STOP);
	ipc_put_u32(&m, 0);
	(void)ipc_send(f.master, &m);
}

static void
as_long_as_somebody_wants_it_it_goes_on(void **state)
{
	assert_int_equal(look_while(nothing), 77);
}

static void
without_chatctl_it_ends(void **state)
{
	int conn = f.conn, status;
	pid_t pid = fork();

	if (pid == 0) {
		(void)shutdown(conn, SHUT_RDWR);
		f.clerk.looked_ms = 0;
		clerk_look(&f.clerk);
		_exit(77);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), 1);
}

static void
told_to_stop_it_says_so(void **state)
{
	assert_int_equal(look_while(the_master_stops), 1);
	assert_non_null(strstr(hear(&f), "the daemon is being stopped"));
}

static void
without_a_daemon_it_says_so(void **state)
{
	/* the parent's copy would keep the channel open */
	int fd = fcntl(ipc_fd(f.master), F_DUPFD_CLOEXEC, 0);

	(void)shutdown(fd, SHUT_RDWR);
	(void)close(fd);
	assert_int_equal(look_while(the_master_goes), 1);
	assert_non_null(strstr(hear(&f), "the daemon has ended"));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(an_answer_is_lines_of_json),
		T(a_failure_is_a_sentence),
		T(the_master_knows_before_chatctl_does),
		T(progress_comes_twice_a_second_at_most),
		T(progress_waits_for_nobody),
		T(as_long_as_somebody_wants_it_it_goes_on),
		T(without_chatctl_it_ends),
		T(told_to_stop_it_says_so),
		T(without_a_daemon_it_says_so),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
