/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_sio_auth - what sio.h promises about the payload of CONNECT.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/sio.h"

#define PID "abcdefghijklmnop-_09"

static char pid[EIO_SID_LEN + 1];
static char offset[16];

static bool
recovers(const char *payload)
{
	struct span s = { payload, strlen(payload) };

	memset(pid, 'P', sizeof(pid));
	memset(offset, 'O', sizeof(offset));
	return sio_recovery(s, pid, offset, sizeof(offset));
}

static void
recovered(const char *payload, const char *want)
{
	if (!recovers(payload))
		fail_msg("%s has no pid", payload);
	assert_string_equal(pid, PID);
	assert_string_equal(offset, want);
}

static void
fresh(const char *payload)
{
	if (recovers(payload))
		fail_msg("%s has a pid", payload);
	/* nothing was written */
	assert_int_equal(pid[0], 'P');
	assert_int_equal(offset[0], 'O');
}

static void
a_pid_and_an_offset_are_found(void **state)
{
	recovered("{\"pid\":\"" PID "\",\"offset\":\"1a.2:3\"}", "1a.2:3");
	recovered("{\"token\":\"x\",\"offset\":\"q\",\"a\":{\"pid\":1},"
		  "\"pid\":\"" PID "\"}",
	    "q");
	recovered(" { \"pid\" : \"" PID "\" , \"offset\" : \"q\" } ", "q");
	recovered("{\"p\\u0069d\":\"\\u0061bcdefghijklmnop-_09\","
		  "\"offset\":\"\\u0071\"}",
	    "q");
}

static void
an_offset_may_be_missing_or_of_no_use(void **state)
{
	recovered("{\"pid\":\"" PID "\"}", "");
	recovered("{\"pid\":\"" PID "\",\"offset\":\"\"}", "");
	recovered("{\"pid\":\"" PID "\",\"offset\":5}", "");
	recovered("{\"pid\":\"" PID "\",\"offset\":null}", "");
	recovered("{\"pid\":\"" PID "\",\"offset\":[\"q\"]}", "");
	recovered("{\"pid\":\"" PID "\",\"offset\":{}}", "");
	/* what fits, and what does not */
	recovered("{\"pid\":\"" PID "\",\"offset\":\"123456789abcdef\"}",
	    "123456789abcdef");
	recovered("{\"pid\":\"" PID "\",\"offset\":\"123456789abcdefg\"}", "");
}

static void
a_pid_is_20_characters_of_its_alphabet(void **state)
{
	fresh("{}");
	fresh("{\"offset\":\"q\"}");
	fresh("{\"pid\":5}");
	fresh("{\"pid\":null}");
	fresh("{\"pid\":[\"" PID "\"]}");
	fresh("{\"pid\":{\"pid\":\"" PID "\"}}");
	fresh("{\"pid\":\"\"}");
	fresh("{\"pid\":\"abcdefghijklmnop-_0\"}");
	fresh("{\"pid\":\"abcdefghijklmnop-_090\"}");
	fresh("{\"pid\":\"abcdefghijklmnop-_0 \"}");
	fresh("{\"pid\":\"abcdefghijklmnop-_0+\"}");
	fresh("{\"pid\":\"abcdefghijklmnop-\xc3\xa9"
	      "9\"}");
	fresh("{\"Pid\":\"" PID "\"}");
	fresh("{\"x\":{\"pid\":\"" PID "\"}}");
	fresh("");
	fresh(" ");
}

static void
assert_auth(const char *payload, const char *want)
{
	struct span s = { payload, strlen(payload) };
	size_t len = strlen(want);
	char *out = malloc(len);

	assert_non_null(out);
	assert_int_equal(sio_auth(NULL, 0, s), len);
	assert_int_equal(sio_auth(out, len - 1, s), len);
	assert_int_equal(sio_auth(out, len, s), len);
	assert_memory_equal(out, want, len);
	free(out);
}

static void
case_110_the_application_does_not_see_them(void **state)
{
	assert_auth("{\"pid\":\"" PID "\",\"offset\":\"q\"}", "{}");
	assert_auth("{\"pid\":5,\"token\":\"x\",\"offset\":[1,{\"pid\":2}]}",
	    "{\"token\":\"x\"}");
	assert_auth("{\"a\":{\"pid\":1},\"p\\u0069d\":2,\"b\":[ 1 ]}",
	    "{\"a\":{\"pid\":1},\"b\":[ 1 ]}");
	assert_auth(" { \"t\" : 1e400 } ", "{\"t\":1e400}");
	assert_auth("{}", "{}");
	assert_auth("", "{}");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pid_and_an_offset_are_found),
		cmocka_unit_test(an_offset_may_be_missing_or_of_no_use),
		cmocka_unit_test(a_pid_is_20_characters_of_its_alphabet),
		cmocka_unit_test(case_110_the_application_does_not_see_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
