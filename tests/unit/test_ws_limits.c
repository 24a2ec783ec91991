/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_ws_limits - what ws.h promises about compressed messages, and about
 * too much of anything.
 */

#include "tests/unit/ws_story.h"

/* --- compressed messages ------------------------------------------------- */

#define RSV1 0x40

static void
rsv1_marks_a_compressed_message(void **state)
{
	deflate = true;
	in_text(FIN | RSV1 | WS_TEXT, "a");
	in_text(FIN | WS_TEXT, "b");
	in_text(FIN | RSV1 | WS_BINARY, "c");
	in_text(FIN | RSV1 | WS_TEXT, "");
	in_text(FIN | WS_BINARY, "d");
	check("compressed text a; text b; compressed binary c; "
	      "compressed text ; binary d; ");
	/* in its first frame only, with others between */
	in_text(RSV1 | WS_TEXT, "a");
	in_text(FIN | WS_PING, "p");
	in_text(WS_CONTINUATION, "");
	in_text(FIN | WS_CONTINUATION, "b");
	in_text(WS_TEXT, "");
	in_text(FIN | WS_CONTINUATION, "c");
	check("ping p; compressed text ab; text c; ");
}

static void
case_70_rsv1_stands_nowhere_else(void **state)
{
	unsigned bits;

	deflate = true;
	in_text(WS_TEXT, "x");
	in_text(FIN | RSV1 | WS_CONTINUATION, "x");
	check("error 1002; ");
	in_text(RSV1 | WS_TEXT, "x");
	in_text(FIN | RSV1 | WS_CONTINUATION, "x");
	check("error 1002; ");
	in_text(FIN | RSV1 | WS_CONTINUATION, "x");
	check("error 1002; ");
	in_text(FIN | RSV1 | WS_PING, "x");
	check("error 1002; ");
	in_text(FIN | RSV1 | WS_PONG, "");
	check("error 1002; ");
	in_text(FIN | RSV1 | WS_CLOSE, "");
	check("error 1002; ");
	in_text(FIN | RSV1 | 3, "x");
	check("error 1002; ");
	/* the other two never */
	for (bits = 0x10; bits <= 0x70; bits += 0x10) {
		if (bits == RSV1)
			continue;
		in_text(FIN | bits | WS_TEXT, "x");
		check("error 1002; ");
		in_text(FIN | bits | WS_BINARY, "x");
		check("error 1002; ");
	}
}

static void
compressed_text_is_not_looked_at(void **state)
{
	deflate = true;
	in_text(FIN | RSV1 | WS_TEXT, "\xf2\x48\xcd\xc9\xc9\x07");
	in_text(RSV1 | WS_TEXT, "\xff");
	in_text(FIN | WS_CONTINUATION, "\xce");
	check("compressed text \xf2\x48\xcd\xc9\xc9\x07; "
	      "compressed text \xff\xce; ");
	/* but what comes between, and the next one */
	in_text(RSV1 | WS_TEXT, "\xff");
	in_close(1000, "\xff");
	check("error 1007; ");
	in_text(FIN | RSV1 | WS_TEXT, "\xce");
	in_text(FIN | WS_TEXT, "\xce");
	check("compressed text \xce; error 1007; ");
}

static void
limits_count_compressed_bytes(void **state)
{
	deflate = true;
	message_max = 5;
	in_text(FIN | RSV1 | WS_TEXT, "12345");
	in_head(FIN | RSV1 | WS_TEXT, 6, 1);
	check("compressed text 12345; error 1009; ");
	in_text(RSV1 | WS_TEXT, "123");
	in_head(WS_CONTINUATION, 3, 1);
	check("error 1009; ");
}

/* --- limits -------------------------------------------------------------- */

static void
case_71_too_big_by_the_declared_length(void **state)
{
	message_max = 300;
	/* not even the mask has come */
	in_head(FIN | WS_TEXT, 301, 2);
	check("error 1009; ");
	in_head(WS_BINARY, 65536, 8);
	check("error 1009; ");
	message_max = 100;
	in_head(FIN | WS_TEXT, 101, 1);
	check("error 1009; ");
	in_frame(FIN | WS_TEXT, story, 0);
	check("text ; ");
	message_max = 5;
	in_text(FIN | WS_TEXT, "12345");
	in_text(FIN | WS_PING, "longer than that");
	in_text(FIN | WS_TEXT, "12345");
	check("text 12345; ping longer than that; text 12345; ");
}

static void
cve_2016_10542_256_megabytes(void **state)
{
	in_head(FIN | WS_TEXT, 256 << 20, 8);
	check("error 1009; ");
}

static void
cve_2026_50161_lengths_that_overflow(void **state)
{
	in_head(FIN | WS_TEXT, INT64_MAX, 8);
	check("error 1009; ");
	in_head(FIN | WS_TEXT, UINT64_MAX, 8);
	check("error 1009; ");
	in_head(FIN | WS_TEXT, UINT64_C(1) << 63, 8);
	check("error 1009; ");
	/* the sum, with no limit but the number's */
	message_max = UINT64_MAX;
	in_text(WS_TEXT, "12345678");
	in_head(FIN | WS_CONTINUATION, UINT64_MAX - 7, 8);
	check("error 1009; ");
	in_text(WS_TEXT, "12345678");
	in_head(FIN | WS_CONTINUATION, UINT64_MAX - 8, 8);
	in_be(0, 4);
	in_be(0, 2);
	check("");
}

static void
case_72_too_big_by_the_sum_of_fragments(void **state)
{
	message_max = 5;
	in_text(WS_TEXT, "123");
	in_text(FIN | WS_PING, "");
	in_text(FIN | WS_CONTINUATION, "45");
	in_text(WS_TEXT, "123");
	in_head(WS_CONTINUATION, 3, 1);
	check("ping ; text 12345; error 1009; ");
}

static void
in_fragments(unsigned n, const char *text)
{
	unsigned i;

	in_text(WS_BINARY, text);
	for (i = 1; i < n; i++)
		in_text(WS_CONTINUATION, text);
}

static void
case_73_too_many_fragments(void **state)
{
	in_fragments(WS_FRAGMENTS_MAX - 1, "x");
	in_text(FIN | WS_CONTINUATION, "x");
	in_text(FIN | WS_BINARY, "y");
	feed_cut(in_len, in_len);
	assert_memory_equal(story, "binary 16384 bytes ", 19);
	assert_non_null(strstr(story, "binary y; "));
	in_len = 0;
	in_fragments(WS_FRAGMENTS_MAX + 1, "x");
	feed_cut(in_len, in_len);
	assert_string_equal(story, "error 1008; ");
	feed_cut(0, 1);
	assert_string_equal(story, "error 1008; ");
}

static void
cve_2026_62389_endless_empty_fragments(void **state)
{
	in_fragments(WS_FRAGMENTS_MAX, "");
	feed_cut(in_len, in_len);
	assert_string_equal(story, "");
	in_text(WS_CONTINUATION, "");
	feed_cut(in_len, in_len);
	assert_string_equal(story, "error 1008; ");
	feed_cut(0, 7);
	assert_string_equal(story, "error 1008; ");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(rsv1_marks_a_compressed_message),
		T(case_70_rsv1_stands_nowhere_else),
		T(compressed_text_is_not_looked_at),
		T(limits_count_compressed_bytes),
		T(case_71_too_big_by_the_declared_length),
		T(cve_2016_10542_256_megabytes),
		T(cve_2026_50161_lengths_that_overflow),
		T(case_72_too_big_by_the_sum_of_fragments),
		T(case_73_too_many_fragments),
		T(cve_2026_62389_endless_empty_fragments),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
