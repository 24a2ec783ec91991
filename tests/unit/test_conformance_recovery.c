/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_conformance_recovery - sockets that can be taken up again.
 */

#include <sys/wait.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/conformance/recovery.h"

#define SID "SSSSSSSSSSSSSSSSSSSS"
#define PID "PPPPPPPPPPPPPPPPPPPP"
#define PID2 "QQQQQQQQQQQQQQQQQQQQ"
#define WINDOW 1000
#define LOG 1024
#define SOCKETS 2

static struct recovery *r;
static struct recovery_missed missed;
static char offset[RECOVERY_OFFSET];

static int
setup(void **state)
{
	r = recovery_new(SOCKETS, LOG, WINDOW);
	return r == NULL ? -1 : 0;
}

static int
teardown(void **state)
{
	recovery_free(&r);
	return 0;
}

static int
open_one(uint64_t holder, const char *pid, uint64_t now)
{
	return recovery_open(r, holder, "/", SID, pid, now);
}

static bool
put(int row, uint64_t holder, const char *args)
{
	const struct recovery_event ev = { .name = "e",
		.args = { args, strlen(args) } };

	return recovery_put(r, row, holder, &ev, offset);
}

static int
resume(uint64_t holder, const char *pid, const char *from, uint64_t now)
{
	char sid[RECOVERY_ID];
	int row;

	row = recovery_resume(r, holder, "/", pid, from, now, sid, &missed);
	if (row != -1)
		assert_string_equal(sid, SID);
	return row;
}

/* What was missed, as "args;args;", without offsets. */
static void
misses(const char *expect)
{
	struct strbuf sb = STRBUF_INIT;
	struct recovery_event ev;
	const char *comma;

	while (recovery_missed_next(&missed, &ev)) {
		assert_string_equal(ev.name, "e");
		comma = memrchr(ev.args.p, ',', ev.args.len);
		sb_add(&sb, ev.args.p,
		    comma == NULL ? 0 : (size_t)(comma - ev.args.p));
		sb_addc(&sb, ';');
	}
	assert_string_equal(sb.data, expect);
	sb_clear(&sb);
	recovery_missed_clear(&missed);
}

static void
gone(uint64_t holder, const char *pid, const char *from, uint64_t now)
{
	assert_int_equal(resume(holder, pid, from, now), -1);
	recovery_missed_clear(&missed);
}

static void
what_came_behind_the_offset_is_missed(void **state)
{
	int row = open_one(1, PID, 0);
	char seen[RECOVERY_OFFSET];

	assert_true(put(row, 1, "1"));
	memcpy(seen, offset, sizeof(seen));
	assert_true(put(row, 1, "2"));
	assert_true(put(row, 1, "3"));
	recovery_release(r, row, 1, true, 10);
	assert_int_equal(resume(2, PID, seen, 20), row);
	misses("2;3;");
	assert_true(recovery_is_held(r, row, 2));
}

static void
case_110_without_an_offset_all_since_the_connect_is_missed(void **state)
{
	int row = open_one(1, PID, 0);

	recovery_release(r, row, 1, true, 10);
	assert_int_equal(resume(2, PID, "", 20), row);
	misses("");
	assert_true(put(row, 2, "1"));
	recovery_release(r, row, 2, true, 30);
	assert_int_equal(resume(3, PID, "", 40), row);
	misses("1;");
}

static void
an_event_comes_out_with_its_offset(void **state)
{
	int row = open_one(1, PID, 0);
	struct recovery_event ev;
	char expect[64];

	assert_true(put(row, 1, "{\"a\":1}"));
	assert_int_equal(resume(2, PID, "", 0), row);
	assert_true(recovery_missed_next(&missed, &ev));
	(void)snprintf(expect, sizeof(expect), "{\"a\":1},\"%s\"", offset);
	assert_int_equal(ev.args.len, strlen(expect));
	assert_memory_equal(ev.args.p, expect, ev.args.len);
	assert_false(recovery_missed_next(&missed, &ev));
	recovery_missed_clear(&missed);
}

static void
an_event_without_arguments_has_only_the_offset(void **state)
{
	int row = open_one(1, PID, 0);
	struct recovery_event ev;

	assert_true(put(row, 1, ""));
	assert_int_equal(resume(2, PID, "", 0), row);
	assert_true(recovery_missed_next(&missed, &ev));
	assert_int_equal(ev.args.len, strlen(offset) + 2);
	assert_int_equal(ev.args.p[0], '"');
	recovery_missed_clear(&missed);
}

static void
bytes_are_kept_with_their_event(void **state)
{
	const struct span bytes[] = { { "abc", 3 }, { "", 0 }, { "\0x", 2 } };
	const struct recovery_event in = { .name = "e",
		.args = { "7", 1 },
		.attachments = bytes,
		.nattach = 3 };
	int row = open_one(1, PID, 0);
	struct recovery_event ev;

	assert_true(recovery_put(r, row, 1, &in, offset));
	assert_int_equal(resume(2, PID, "", 0), row);
	assert_true(recovery_missed_next(&missed, &ev));
	assert_int_equal(ev.nattach, 3);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(ev.attachments[i].len, bytes[i].len);
		assert_memory_equal(ev.attachments[i].p, bytes[i].p,
		    bytes[i].len);
	}
	recovery_missed_clear(&missed);
}

static void
case_110_two_restores_give_one_socket(void **state)
{
	int row = open_one(1, PID, 0);

	recovery_release(r, row, 1, true, 10);
	assert_int_equal(resume(2, PID, "", 20), row);
	recovery_missed_clear(&missed);
	assert_int_equal(resume(3, PID, "", 20), row);
	recovery_missed_clear(&missed);
	assert_false(recovery_is_held(r, row, 2));
	assert_true(recovery_is_held(r, row, 3));
	/* whom it was taken from can neither send nor give it up */
	assert_false(put(row, 2, "1"));
	recovery_release(r, row, 2, false, 30);
	assert_true(recovery_is_held(r, row, 3));
}

static void
one_that_still_lives_is_taken_over(void **state)
{
	int row = open_one(1, PID, 0);

	assert_true(put(row, 1, "1"));
	assert_int_equal(resume(2, PID, "", 5), row);
	misses("1;");
	assert_false(put(row, 1, "2"));
	assert_true(put(row, 2, "2"));
}

static void
case_110_an_unknown_offset_is_not_recovered(void **state)
{
	int row = open_one(1, PID, 0);
	char other[RECOVERY_OFFSET];

	assert_true(put(row, 1, "1"));
	recovery_release(r, row, 1, true, 10);
	gone(2, PID, "text", 20);
	gone(2, PID, "1", 20);
	gone(2, PID, "00000000.1x", 20);
	/* one that was never given out */
	memcpy(other, offset, sizeof(other));
	other[strlen(other) - 1] = '2';
	gone(2, PID, other, 20);
	other[strlen(other) - 1] = '0';
	gone(2, PID, other, 20);
	assert_int_equal(resume(2, PID, offset, 20), row);
	misses("");
}

static void
an_unknown_pid_is_not_recovered(void **state)
{
	gone(2, PID, "", 20);
	gone(2, "", "", 20);
}

static void
a_pid_belongs_to_its_namespace(void **state)
{
	char sid[RECOVERY_ID];
	int row;

	row = recovery_open(r, 1, "/a", SID, PID, 0);
	recovery_release(r, row, 1, true, 0);
	gone(2, PID, "", 10);
	assert_int_equal(recovery_resume(r, 2, "/a", PID, "", 10, sid, &missed),
	    row);
	recovery_missed_clear(&missed);
}

static void
who_left_on_purpose_is_not_recovered(void **state)
{
	int row = open_one(1, PID, 0);

	recovery_release(r, row, 1, false, 10);
	gone(2, PID, "", 10);
}

static void
the_window_ends(void **state)
{
	int row = open_one(1, PID, 0);

	recovery_release(r, row, 1, true, 10);
	gone(2, PID, "", 10 + WINDOW);
	assert_int_equal(resume(2, PID, "", 10 + WINDOW - 1), row);
	recovery_missed_clear(&missed);
}

static void
a_log_that_is_full_forgets_the_oldest(void **state)
{
	int row = open_one(1, PID, 0);
	char first[RECOVERY_OFFSET], last[RECOVERY_OFFSET];
	unsigned i;

	for (i = 0; i < 100; i++) {
		memcpy(last, offset, sizeof(last));
		assert_true(put(row, 1, "1"));
		if (i == 0)
			memcpy(first, offset, sizeof(first));
	}
	gone(2, PID, "", 20);
	gone(2, PID, first, 20);
	assert_int_equal(resume(2, PID, last, 20), row);
	misses("1;");
}

static void
an_event_larger_than_the_log_is_not_passed_over(void **state)
{
	int row = open_one(1, PID, 0);
	char before[RECOVERY_OFFSET], big[LOG + 1];

	memset(big, '1', LOG);
	big[LOG] = '\0';
	assert_true(put(row, 1, "1"));
	memcpy(before, offset, sizeof(before));
	assert_true(put(row, 1, big));
	gone(2, PID, before, 20);
	assert_true(put(row, 1, "3"));
	gone(2, PID, before, 20);
	/* who has seen it goes on behind it */
	assert_int_equal(resume(2, PID, offset, 20), row);
	misses("");
}

static void
the_one_lost_first_makes_room(void **state)
{
	int one = open_one(1, PID, 0), two = open_one(2, PID2, 0);

	assert_int_not_equal(one, two);
	assert_int_equal(open_one(3, PID, 0), -1);
	recovery_release(r, two, 2, true, 10);
	recovery_release(r, one, 1, true, 20);
	assert_int_equal(open_one(3, "X", 30), two);
	gone(4, PID2, "", 30);
	assert_int_equal(resume(4, PID, "", 30), one);
	recovery_missed_clear(&missed);
}

static void
another_process_takes_it_up(void **state)
{
	int row = open_one(1, PID, 0), status;
	pid_t pid;

	assert_true(put(row, 1, "1"));
	if ((pid = fork()) == 0)
		_exit(resume(2, PID, "", 5) == row && put(row, 2, "2") ? 0 : 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_false(recovery_is_held(r, row, 1));
	assert_false(put(row, 1, "2"));
	assert_int_equal(resume(3, PID, "", 5), row);
	misses("1;2;");
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(what_came_behind_the_offset_is_missed),
		T(case_110_without_an_offset_all_since_the_connect_is_missed),
		T(an_event_comes_out_with_its_offset),
		T(an_event_without_arguments_has_only_the_offset),
		T(bytes_are_kept_with_their_event),
		T(case_110_two_restores_give_one_socket),
		T(one_that_still_lives_is_taken_over),
		T(case_110_an_unknown_offset_is_not_recovered),
		T(an_unknown_pid_is_not_recovered),
		T(a_pid_belongs_to_its_namespace),
		T(who_left_on_purpose_is_not_recovered),
		T(the_window_ends),
		T(a_log_that_is_full_forgets_the_oldest),
		T(an_event_larger_than_the_log_is_not_passed_over),
		T(the_one_lost_first_makes_room),
		T(another_process_takes_it_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
