/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_hearing - what hearing.h promises about last words.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <event2/event.h>

#include "common/log.h"
#include "common/role.h"
#include "master/hearing.h"
#include "master/spawn.h"

/* where spawn.c keeps the descriptor for the children */
#define PLACE (ROLE_LOCK_FD + 1)

static void
say(const char *text)
{
	assert_int_equal(write(PLACE, text, strlen(text)), strlen(text));
}

static void
nobody_listening_has_heard_nothing(void **state)
{
	assert_string_equal(hearing_last(NULL), "");
}

static void
the_last_line_is_kept_whole_or_not(void **state)
{
	struct event_base *base = event_base_new();
	struct hearing *h = hearing_new(base);

	assert_string_equal(hearing_last(h), "");
	say("first\nsec");
	say("ond\n\n");
	assert_string_equal(hearing_last(h), "second");
	say("third, without an end");
	assert_string_equal(hearing_last(h), "third, without an end");
	assert_string_equal(hearing_last(h), "third, without an end");
	hearing_free(&h);
	assert_null(h);
	event_base_free(base);
}

static void
a_flood_neither_blocks_nor_overflows(void **state)
{
	struct event_base *base = event_base_new();
	struct hearing *h = hearing_new(base);
	char block[5000];

	memset(block, 'x', sizeof(block));
	/* nobody reads: at some time the pipe takes no more, at once */
	while (write(PLACE, block, sizeof(block)) > 0)
		continue;
	for (int i = 0; i < 100; i++)
		(void)event_base_loop(base, EVLOOP_NONBLOCK | EVLOOP_ONCE);
	assert_true(strlen(hearing_last(h)) < 500);
	say("\nstill here\n");
	assert_string_equal(hearing_last(h), "still here");
	hearing_free(&h);
	event_base_free(base);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nobody_listening_has_heard_nothing),
		cmocka_unit_test(the_last_line_is_kept_whole_or_not),
		cmocka_unit_test(a_flood_neither_blocks_nor_overflows),
	};

	spawn_init();
	/* what is heard would be logged, and that is not the point here */
	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
