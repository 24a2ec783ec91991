/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_fault - what fault.h promises to tests; the code that no other
 * program than a test build has.
 */

#include <sys/mman.h>
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
#include <unistd.h>

#include <cmocka.h>

#ifndef CHATD_FAULTS
#define CHATD_FAULTS
#endif
#include "common/fault.c"

#define WORKER (1U << ROLE_WORKER)

static struct fault_file *file;

static int
make_file(void **state)
{
	file = mmap(NULL, sizeof(*file), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (file == MAP_FAILED)
		return -1;
	self.file = file;
	self.role = WORKER;
	self.slot = 1;
	return 0;
}

static int
drop_file(void **state)
{
	self.file = NULL;
	return munmap(file, sizeof(*file));
}

/* What becomes of a process that comes to AFTER_CAS 'n' times. */
static int
come(int n)
{
	int status;
	pid_t pid = fork();

	assert_int_not_equal(pid, -1);
	if (pid == 0) {
		while (n-- > 0)
			FAULT(AFTER_CAS);
		_exit(7);
	}
	assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
	if (!WIFSTOPPED(status))
		return status;
	/* it goes on from there */
	assert_int_equal(file->row[FAULT_AFTER_CAS].stopped, pid);
	assert_int_equal(kill(pid, SIGCONT), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void
without_a_file_nothing_happens(void **state)
{
	self.file = NULL;
	FAULT(AFTER_CAS);
	assert_false(FAULT_ERROR(STORE_PUT));
	self.file = file;
}

static void
hits_are_counted_whether_armed_or_not(void **state)
{
	for (int i = 0; i < 3; i++)
		FAULT(CURSOR);
	assert_int_equal(file->row[FAULT_CURSOR].hits, 3);
	assert_int_equal(file->row[FAULT_CURSOR].fired, 0);
}

static void
it_dies_at_the_hit_that_was_asked_for(void **state)
{
	fault_set(FAULT_AFTER_CAS, FAULT_ACTION_KILL, 3, 0, -1, 0);
	assert_int_equal(WEXITSTATUS(come(2)), 7);
	assert_true(WIFSIGNALED(come(1)));
	assert_int_equal(file->row[FAULT_AFTER_CAS].fired, 1);
	/* once */
	assert_int_equal(WEXITSTATUS(come(5)), 7);
}

static void
who_is_stopped_goes_on_where_it_stood(void **state)
{
	fault_set(FAULT_AFTER_CAS, FAULT_ACTION_STOP, 2, 0, -1, 0);
	assert_int_equal(WEXITSTATUS(come(4)), 7);
	assert_int_equal(file->row[FAULT_AFTER_CAS].fired, 1);
	assert_int_not_equal(file->row[FAULT_AFTER_CAS].stopped, 0);
}

static void
only_the_role_and_slot_that_are_meant_count(void **state)
{
	fault_set(FAULT_AFTER_CAS, FAULT_ACTION_KILL, 1, 1U << ROLE_SCRIBE, -1,
	    0);
	assert_int_equal(WEXITSTATUS(come(3)), 7);
	fault_set(FAULT_AFTER_CAS, FAULT_ACTION_KILL, 1, WORKER, 2, 0);
	assert_int_equal(WEXITSTATUS(come(3)), 7);
	fault_set(FAULT_AFTER_CAS, FAULT_ACTION_KILL, 1, WORKER, 1, 0);
	assert_true(WIFSIGNALED(come(1)));
}

static void
a_call_fails_with_the_errno_of_the_row(void **state)
{
	fault_set(FAULT_STORE_PUT, FAULT_ACTION_FAIL, 2, 0, -1, ENOSPC);
	errno = EBADF;
	assert_false(FAULT_ERROR(STORE_PUT));
	assert_int_equal(errno, EBADF);
	assert_true(FAULT_ERROR(STORE_PUT));
	assert_int_equal(errno, ENOSPC);
	assert_false(FAULT_ERROR(STORE_PUT));
}

static void
a_call_can_fail_several_times_in_a_row(void **state)
{
	fault_set(FAULT_STORE_PUT, FAULT_ACTION_FAIL, 1, 0, -1, EIO);
	file->row[FAULT_STORE_PUT].times = 2;
	assert_true(FAULT_ERROR(STORE_PUT));
	assert_true(FAULT_ERROR(STORE_PUT));
	assert_false(FAULT_ERROR(STORE_PUT));
	assert_int_equal(file->row[FAULT_STORE_PUT].fired, 2);
}

static void
a_delay_sleeps_and_then_all_is_as_before(void **state)
{
	struct timespec a, b;

	fault_set(FAULT_CURSOR, FAULT_ACTION_DELAY, 1, 0, -1, 50);
	(void)clock_gettime(CLOCK_MONOTONIC, &a);
	FAULT(CURSOR);
	(void)clock_gettime(CLOCK_MONOTONIC, &b);
	assert_true(
	    (b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000 >=
	    49);
}

static void
none_disarms(void **state)
{
	fault_set(FAULT_AFTER_CAS, FAULT_ACTION_KILL, 1, 0, -1, 0);
	fault_set(FAULT_AFTER_CAS, FAULT_ACTION_NONE, 0, 0, -1, 0);
	assert_int_equal(WEXITSTATUS(come(3)), 7);
}

static void
names_and_roles_are_those_of_the_table(void **state)
{
	assert_string_equal(fault_point_name(FAULT_STORE_PUT), "STORE_PUT");
	assert_string_equal(fault_point_who(FAULT_STORE_PUT), "se");
	assert_true(strlen(fault_point_text(FAULT_STORE_PUT)) > 0);
	assert_string_equal(fault_action_name(FAULT_ACTION_FAIL), "error");
	assert_true(FAULT__MAX >= 100);
	assert_int_equal(slot_of("chatd: worker 12"), 12);
	assert_int_equal(slot_of("chatd: scribe"), -1);
	assert_int_equal(role_bit("scribe"), 1U << ROLE_SCRIBE);
	assert_int_equal(role_bit(NULL), 1U << ROLE_MASTER);
}

static void
a_file_of_another_table_is_refused(void **state)
{
	char path[] = "/tmp/test_fault-XXXXXX";
	int fd = mkstemp(path), status;
	pid_t pid;

	assert_int_not_equal(fd, -1);
	assert_int_equal(ftruncate(fd, sizeof(struct fault_file)), 0);
	if ((pid = fork()) == 0) {
		(void)freopen("/dev/null", "w", stderr);
		map_file(path);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), 2);
	(void)close(fd);
	(void)unlink(path);
}

#define T(test) cmocka_unit_test_setup_teardown(test, make_file, drop_file)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(without_a_file_nothing_happens),
		T(hits_are_counted_whether_armed_or_not),
		T(it_dies_at_the_hit_that_was_asked_for),
		T(who_is_stopped_goes_on_where_it_stood),
		T(only_the_role_and_slot_that_are_meant_count),
		T(a_call_fails_with_the_errno_of_the_row),
		T(a_call_can_fail_several_times_in_a_row),
		T(a_delay_sleeps_and_then_all_is_as_before),
		T(none_disarms),
		T(names_and_roles_are_those_of_the_table),
		T(a_file_of_another_table_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
