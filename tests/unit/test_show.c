/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_show - what show.h promises about documents for people.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "chatctl/show.h"

typedef void (*show_fn)(const char *json, size_t len, FILE *fp);

static void
shows(show_fn fn, const char *json, const char *want)
{
	char *text;
	size_t len;
	FILE *fp = open_memstream(&text, &len);

	fn(json, strlen(json), fp);
	(void)fclose(fp);
	assert_string_equal(text, want);
	free(text);
}

static void
an_object_is_a_list_of_names_and_values(void **state)
{
	shows(show_document,
	    "{\"state\":\"running\",\"max_connections\":7,\"on\":true,"
	    "\"none\":null}",
	    "state            running\n"
	    "max connections  7\n"
	    "on               true\n"
	    "none             null\n");
}

static void
numbers_have_units_where_their_names_say_so(void **state)
{
	shows(show_document,
	    "{\"uptime_s\":3661,\"uptime\":3661,\"used_bytes\":2048,"
	    "\"stream_memory\":1048576,\"until_at_ms\":0,\"seen_at_ms\":0,"
	    "\"timestamp\":0,"
	    "\"turn_us\":5,\"stamp\":7}",
	    "uptime         01:01:01\n"
	    "uptime         01:01:01\n"
	    "used           2.0 KiB\n"
	    "stream memory  1.0 MiB\n"
	    "until          for ever\n"
	    "seen           -\n"
	    "timestamp      -\n"
	    "turn us        5\n"
	    "stamp          7\n");
}

static void
an_array_of_objects_is_a_table(void **state)
{
	shows(show_document,
	    "[{\"slot\":0,\"name\":\"a\"},{\"slot\":10,\"name\":\"bc\"}]",
	    "slot  name\n"
	    "   0  a\n"
	    "  10  bc\n");
}

static void
what_is_nested_follows_under_a_heading(void **state)
{
	shows(show_document,
	    "{\"rows\":[{\"a\":1}],\"x\":1,\"inner\":{\"y\":2},"
	    "\"lines\":[\"p\",\"q\"],\"none\":[]}",
	    "x  1\n"
	    "rows:\n"
	    "  a\n"
	    "  1\n"
	    "inner:\n"
	    "  y  2\n"
	    "lines:\n"
	    "  p\n"
	    "  q\n"
	    "none: none\n");
}

static void
objects_of_the_same_kind_become_a_table_with_their_names(void **state)
{
	shows(show_document,
	    "{\"h\":{\"commit\":{\"n\":1,\"p99\":20},"
	    "\"turn\":{\"n\":300,\"p99\":4}}}",
	    "h:\n"
	    "            n  p99\n"
	    "  commit    1   20\n"
	    "  turn    300    4\n");
}

static void
the_end_of_a_name_tells_the_unit(void **state)
{
	shows(show_document,
	    "{\"used_bytes\":1536,\"a_bytes\":12,\"b_bytes\":107374182400,"
	    "\"uptime_s\":93784,\"turn_us\":5,\"last_at_ms\":0,"
	    "\"first_at_ms\":1000000000123}",
	    "used     1.5 KiB\n"
	    "a        12 B\n"
	    "b        100 GiB\n"
	    "uptime   1d 02:03:04\n"
	    "turn us  5\n"
	    "last     -\n"
	    "first    2001-09-09 01:46:40\n");
}

static void
numbers_keep_their_digits(void **state)
{
	shows(show_document, "{\"n\":18446744073709551615,\"m\":1.50}",
	    "n  18446744073709551615\n"
	    "m  1.50\n");
}

static void
nothing_harms_a_terminal(void **state)
{
	shows(show_document,
	    "{\"a\":\"x\\u001b[2J\\u0007\\u009b\\u202e\\n\\t\\u007f\"}",
	    "a  x\\x1b[2J\\x07\\x9b\\u202e\\n\\t\\x7f\n");
	shows(show_message,
	    "{\"userId\":\"\\u001b\",\"content\":\"\\r\\u2066 \xc3\xa4 "
	    "\\ud83d\\ude00\",\"seq\":2}",
	    "  2  \\x1b: \\x0d\\u2066 \xc3\xa4 \xf0\x9f\x98\x80\n");
}

static void
a_message_is_one_line(void **state)
{
	shows(show_message,
	    "{\"id\":\"m\",\"content\":\"hello\\nyou\",\"userId\":\"ada\","
	    "\"timestamp\":1000000000123,\"seq\":17}",
	    "2001-09-09 01:46:40  17  ada: hello\\nyou\n");
	shows(show_message, "{\"agentId\":\"bot\",\"content\":\"x\",\"seq\":1}",
	    "  1  bot: x\n");
	/* the server said it */
	shows(show_message,
	    "{\"content\":\"x\",\"seq\":1,\"metadata\":{\"senderName\":"
	    "\"chatd\"}}",
	    "  1  chatd: x\n");
	shows(show_message, "{\"missed\":12}", "... at most 12 missed\n");
	shows(show_message, "{}", ": \n");
}

static void
a_security_event_is_one_line_too(void **state)
{
	shows(show_message,
	    "{\"event\":\"rate_limit_exceeded\",\"userId\":\"e\\u001bve\","
	    "\"details\":\"chat:typing\",\"timestamp\":1000000000123}",
	    "2001-09-09 01:46:40  rate_limit_exceeded  userId=e\\x1bve  "
	    "details=chat:typing\n");
	shows(show_message,
	    "{\"event\":\"message_blocked\",\"leftOut\":80,\"timestamp\":"
	    "1000000000123}",
	    "2001-09-09 01:46:40  message_blocked  leftOut=80\n");
}

static void
a_result_is_what_it_says_of_itself(void **state)
{
	shows(show_result, "{\"a\":1,\"result\":\"done \\u0007\"}",
	    "done \\x07\n");
	shows(show_result, "{\"a\":1}", "a  1\n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_object_is_a_list_of_names_and_values),
		cmocka_unit_test(numbers_have_units_where_their_names_say_so),
		cmocka_unit_test(an_array_of_objects_is_a_table),
		cmocka_unit_test(what_is_nested_follows_under_a_heading),
		cmocka_unit_test(
		    objects_of_the_same_kind_become_a_table_with_their_names),
		cmocka_unit_test(the_end_of_a_name_tells_the_unit),
		cmocka_unit_test(numbers_keep_their_digits),
		cmocka_unit_test(nothing_harms_a_terminal),
		cmocka_unit_test(a_message_is_one_line),
		cmocka_unit_test(a_security_event_is_one_line_too),
		cmocka_unit_test(a_result_is_what_it_says_of_itself),
	};

	(void)setenv("TZ", "UTC", 1);
	tzset();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
