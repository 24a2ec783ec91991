/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_ws_extension - what ws_extension.h promises.
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

#include "proto/ws.h"
#include "proto/ws_extension.h"

#define FIELD "Sec-WebSocket-Extensions: "
#define PMD "permessage-deflate"
#define ANSWER PMD "; server_no_context_takeover; client_no_context_takeover"

static struct ws_deflate got;
static struct http_request req;

static bool
negotiate(const char *fields)
{
	static char head[HTTP_HEAD_MAX];
	struct http_scan scan = { 0 };
	struct http_error err;
	int len = snprintf(head, sizeof(head),
	    "GET / HTTP/1.1\r\nHost: x\r\n%s\r\n", fields);

	if (http_parse(head, (size_t)len, &scan, &req, &err) != HTTP_OK)
		fail_msg("%s", err.why);
	got = (struct ws_deflate){ .bits = 77, .bits_asked = true };
	if (ws_deflate_negotiate(&req, &got))
		return true;
	assert_int_equal(got.bits, 77);
	return false;
}

static void
taken(const char *offers, unsigned bits, const char *answer)
{
	char fields[8192], out[WS_DEFLATE_ANSWER_MAX];

	(void)snprintf(fields, sizeof(fields), FIELD "%s\r\n", offers);
	if (!negotiate(fields))
		fail_msg("%s is declined", offers);
	assert_int_equal(got.bits, bits);
	assert_int_equal(ws_deflate_answer(out, sizeof(out), &got),
	    strlen(answer));
	assert_string_equal(out, answer);
}

static void
declined(const char *offers)
{
	char fields[8192];

	(void)snprintf(fields, sizeof(fields), FIELD "%s\r\n", offers);
	if (negotiate(fields))
		fail_msg("%s is taken", offers);
}

static void
an_offer_is_taken_without_context_takeover(void **state)
{
	taken(PMD, 15, ANSWER);
	taken(PMD "; client_max_window_bits", 15, ANSWER);
	taken(PMD "; client_max_window_bits=8", 15, ANSWER);
	taken(PMD "; client_max_window_bits=15", 15, ANSWER);
	taken(PMD "; server_no_context_takeover", 15, ANSWER);
	taken(PMD "; client_no_context_takeover", 15, ANSWER);
	taken(PMD ";client_max_window_bits;server_no_context_takeover;"
		  "client_no_context_takeover",
	    15, ANSWER);
}

static void
nothing_is_offered(void **state)
{
	assert_false(negotiate(""));
	assert_false(negotiate("Sec-WebSocket-Extension: " PMD "\r\n"));
	declined("");
	declined(",");
	declined(" , \t ,,");
	declined("x-webkit-deflate-frame");
	declined("permessage-bzip2; permessage-deflate");
	declined("permessage-deflate2");
	declined("Permessage-Deflate");
}

static void
the_window_asked_of_us_is_kept_to(void **state)
{
	unsigned bits;
	char offer[128], answer[128];

	for (bits = 9; bits <= 15; bits++) {
		(void)snprintf(offer, sizeof(offer),
		    PMD "; server_max_window_bits=%u; client_max_window_bits",
		    bits);
		(void)snprintf(answer, sizeof(answer),
		    ANSWER "; server_max_window_bits=%u", bits);
		taken(offer, bits, answer);
		(void)snprintf(offer, sizeof(offer),
		    PMD ";server_max_window_bits=\"%u\"", bits);
		taken(offer, bits, answer);
	}
	declined(PMD "; server_max_window_bits=8");
	assert_true(sizeof(ANSWER "; server_max_window_bits=15") <=
	    WS_DEFLATE_ANSWER_MAX);
}

static void
the_first_acceptable_offer_counts(void **state)
{
	taken(PMD "; server_max_window_bits=8, " PMD
		  "; server_max_window_bits=10, " PMD,
	    10, ANSWER "; server_max_window_bits=10");
	taken(PMD "; server_max_window_bits=10; x, " PMD, 15, ANSWER);
	taken("foo, " PMD "; unknown, bar; x=y, ,, " PMD, 15, ANSWER);
	taken(PMD ", " PMD "; server_max_window_bits=9", 15, ANSWER);
	assert_true(negotiate(FIELD "foo\r\n" FIELD PMD "; x\r\n" FIELD PMD
				    "; server_max_window_bits=11\r\n"));
	assert_int_equal(got.bits, 11);
	assert_true(got.bits_asked);
	assert_true(negotiate("SEC-WEBSOCKET-EXTENSIONS: " PMD "\r\n"));
}

static void
parameters_are_known_and_come_once(void **state)
{
	declined(PMD "; unknown");
	declined(PMD "; unknown=1");
	declined(PMD "; server_no_context_takeover=1");
	declined(PMD "; server_no_context_takeover=9");
	declined(PMD "; server_no_context_takeover=\"\"");
	declined(PMD "; client_no_context_takeover=true");
	declined(PMD "; Server_no_context_takeover");
	declined(PMD "; server_no_context_takeover; "
		     "server_no_context_takeover");
	declined(PMD "; client_no_context_takeover; "
		     "client_no_context_takeover");
	declined(PMD "; client_max_window_bits; client_max_window_bits=9");
	declined(PMD "; server_max_window_bits=9; server_max_window_bits=9");
	/* the next offer begins afresh */
	taken(PMD "; client_max_window_bits; x, " PMD
		  "; client_max_window_bits",
	    15, ANSWER);
}

static void
windows_are_8_to_15(void **state)
{
	static const char *const values[] = { "7", "16", "0", "-9", "+9", "09",
		"010", "9.0", "9x", "x", "1", "100", "\"9", "9\"", "\"\"",
		"\" 9\"", "99999999999999999999" };
	char offer[128];
	size_t i;

	for (i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		(void)snprintf(offer, sizeof(offer),
		    PMD "; server_max_window_bits=%s", values[i]);
		declined(offer);
		(void)snprintf(offer, sizeof(offer),
		    PMD "; client_max_window_bits=%s", values[i]);
		declined(offer);
	}
	declined(PMD "; server_max_window_bits");
	declined(PMD "; server_max_window_bits=");
	declined(PMD "; client_max_window_bits=");
}

static void
blanks_may_stand_between_tokens(void **state)
{
	taken(" \t" PMD "\t; \tserver_max_window_bits = 9 ;"
	      "client_max_window_bits\t=\t\"10\" \t,\tfoo ",
	    9, ANSWER "; server_max_window_bits=9");
}

static void
what_is_no_list_ends_the_search(void **state)
{
	declined(PMD ";");
	declined(PMD ";;");
	declined("; " PMD);
	declined("=x, " PMD);
	declined("foo bar, " PMD);
	declined(PMD " x");
	declined(PMD "=1");
	declined(PMD "; =9");
	declined(PMD ", foo;");
	declined("(x), " PMD);
	declined("foo; x=\"a b\", " PMD);
	/* no comma in quotes begins an offer */
	declined("foo; x=\"a, " PMD ", b\"");
	declined("foo; x=\"a, " PMD);
	declined("foo; x=\"a\\\"\", " PMD);
	assert_false(negotiate(FIELD "foo;\r\n" FIELD PMD "\r\n"));
	/* in a field behind the one that was taken nobody looks */
	assert_true(negotiate(FIELD PMD "\r\n" FIELD ";\r\n"));
}

static void
ghsa_5v72_names_of_properties(void **state)
{
	declined("constructor");
	declined("__proto__; constructor=1; hasOwnProperty");
	declined(PMD "; constructor");
	declined(PMD "; __proto__=9");
	taken("constructor, __proto__, " PMD, 15, ANSWER);
}

static void
assert_quick(const char *unit)
{
	static char fields[HTTP_HEAD_MAX];
	size_t len = strlen(FIELD), n = strlen(unit);
	struct timespec from, to;
	unsigned i;

	memcpy(fields, FIELD, len + 1);
	while (len + n < sizeof(fields) - 64) {
		memcpy(fields + len, unit, n + 1);
		len += n;
	}
	memcpy(fields + len, "\r\n", 3);
	(void)negotiate(fields);
	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
	for (i = 0; i < 100; i++)
		(void)ws_deflate_negotiate(&req, &got);
	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
	/* a hundred times 16 KiB: a byte may take a microsecond */
	assert_true((to.tv_sec - from.tv_sec) * 1000 +
		(to.tv_nsec - from.tv_nsec) / 1000000 <
	    1600);
}

static void
cve_2021_32640_no_list_takes_long(void **state)
{
	assert_quick(" ");
	assert_quick(",");
	assert_quick(", ");
	assert_quick("b ");
	assert_quick("b                                 ");
	assert_quick(";");
	assert_quick("a;b;");
	assert_quick("a=");
	assert_quick("a=\"");
	assert_quick("\"");
	assert_quick("\\");
	assert_quick("x");
	assert_quick("x,");
	assert_quick(PMD ";x,");
	assert_quick(PMD "; server_max_window_bits=8,");
	assert_quick("a;b=c,");
}

static void
the_answer_is_part_of_the_handshake_s(void **state)
{
	struct ws_handshake hs = { .accept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" };
	char out[512];
	size_t len;

	assert_true(negotiate(FIELD PMD "; server_max_window_bits=9\r\n"));
	len = ws_accept(out, sizeof(out), &hs, NULL);
	out[len] = '\0';
	assert_null(strstr(out, "Extensions"));
	hs.deflate = got;
	len = ws_accept(out, sizeof(out), &hs, "Vary: Origin\r\n");
	out[len] = '\0';
	assert_non_null(strstr(out,
	    "xOo=\r\n" FIELD ANSWER "; server_max_window_bits=9\r\nVary"));
	assert_int_equal(ws_accept(out, len - 1, &hs, "Vary: Origin\r\n"), 0);
}

static void
a_verdict_is_a_close_code(void **state)
{
	const char *why = "said before";

	assert_int_equal(ws_deflate_verdict(DEFLATE_OK, true, "a\xc3\xa9", 3,
			     &why),
	    0);
	assert_int_equal(ws_deflate_verdict(DEFLATE_OK, false, "\xc3", 1, &why),
	    0);
	assert_int_equal(ws_deflate_verdict(DEFLATE_TOO_BIG, true, NULL, 0,
			     &why),
	    1009);
	assert_int_equal(ws_deflate_verdict(DEFLATE_BAD, false, NULL, 0, &why),
	    1007);
	assert_string_equal(why, "said before");
	assert_int_equal(ws_deflate_verdict(DEFLATE_OK, true, "\xc3", 1, &why),
	    1007);
	assert_string_equal(why, "text is not UTF-8");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_offer_is_taken_without_context_takeover),
		cmocka_unit_test(nothing_is_offered),
		cmocka_unit_test(the_window_asked_of_us_is_kept_to),
		cmocka_unit_test(the_first_acceptable_offer_counts),
		cmocka_unit_test(parameters_are_known_and_come_once),
		cmocka_unit_test(windows_are_8_to_15),
		cmocka_unit_test(blanks_may_stand_between_tokens),
		cmocka_unit_test(what_is_no_list_ends_the_search),
		cmocka_unit_test(ghsa_5v72_names_of_properties),
		cmocka_unit_test(cve_2021_32640_no_list_takes_long),
		cmocka_unit_test(the_answer_is_part_of_the_handshake_s),
		cmocka_unit_test(a_verdict_is_a_close_code),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
