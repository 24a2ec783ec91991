/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_sio2 - what sio2.h promises about clients of version 2.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/json.h"
#include "proto/sio2.h"

#define assert_span(s, text) \
	do { \
		if (!span_is(s, text)) \
			fail_msg("%.*s is not %s", (int)(s).len, (s).p, text); \
	} while (0)

static void
assert_split(const char *packet, const char *nsp, const char *query)
{
	struct sio_packet pkt;
	struct span got;
	const char *why = NULL;

	if (!sio_decode(packet, strlen(packet), &pkt, &why))
		fail_msg("%s: %s", packet, why);
	sio2_split(&pkt, &got);
	assert_span(pkt.nsp, nsp);
	assert_span(got, query);
}

static void
a_namespace_may_carry_a_query(void **state)
{
	assert_split("0/nsp?token=x,", "/nsp", "token=x");
	assert_split("0/nsp?token=x&a=b?c", "/nsp", "token=x&a=b?c");
	assert_split("0/nsp?,", "/nsp", "");
	assert_split("0/nsp,", "/nsp", "");
	assert_split("0/?a=1", "/", "a=1");
	assert_split("0", "/", "");
	/* as a URL: what is behind '#' is neither */
	assert_split("0/nsp#x?a=1,", "/nsp", "");
	assert_split("0/nsp?a=1#x,", "/nsp", "a=1");
	assert_split("2/nsp?token=x,[\"a\"]", "/nsp", "token=x");
}

static void
assert_auth(const char *query, const char *want)
{
	struct span s = { query, strlen(query) };
	size_t len = strlen(want), n;
	char *out = malloc(len);
	const char *why = NULL;

	assert_non_null(out);
	n = sio2_auth(NULL, 0, s);
	if (n != len) {
		static char text[1000];

		(void)sio2_auth(text, sizeof(text) - 1, s);
		fail_msg("%s is %zu bytes, not %zu: %s", want, n, len, text);
	}
	assert_int_equal(sio2_auth(out, len - 1, s), len);
	assert_int_equal(sio2_auth(out, len, s), len);
	assert_memory_equal(out, want, len);
	assert_int_not_equal(json_scan(out, len, 1, &why), JSON_BAD);
	free(out);
}

static void
a_query_is_an_object_of_strings(void **state)
{
	assert_auth("", "{}");
	assert_auth("token=x", "{\"token\":\"x\"}");
	assert_auth("token=x&EIO=3&t=",
	    "{\"token\":\"x\",\"EIO\":\"3\","
	    "\"t\":\"\"}");
	assert_auth("a", "{\"a\":\"\"}");
	assert_auth("=b", "{\"\":\"b\"}");
	assert_auth("a=b=c&&d=%20+e", "{\"a\":\"b=c\",\"d\":\"  e\"}");
	assert_auth("__proto__=x", "{\"__proto__\":\"x\"}");
}

static void
case_40_of_a_repeated_key_the_last_value_counts(void **state)
{
	assert_auth("a=1&b=2&a=3", "{\"b\":\"2\",\"a\":\"3\"}");
	assert_auth("a=1&%61=2", "{\"a\":\"2\"}");
	assert_auth("a=1&ab=2", "{\"a\":\"1\",\"ab\":\"2\"}");
	assert_auth("a&a&a", "{\"a\":\"\"}");
	assert_auth("a%00b=1&a=2", "{\"a\\u0000b\":\"1\",\"a\":\"2\"}");
}

static void
strings_have_their_escapes(void **state)
{
	assert_auth("%22%5c=%00%01%08%09%0a%0c%0d%1f%7f/",
	    "{\"\\\"\\\\\":\"\\u0000\\u0001\\b\\t\\n\\f\\r\\u001f\x7f/\"}");
	assert_auth("a=%22%5C%22,%22b%22:%22",
	    "{\"a\":\"\\\"\\\\\\\",\\\"b"
	    "\\\":\\\"\"}");
	assert_auth("a=%f0%9f%98%80", "{\"a\":\"\xf0\x9f\x98\x80\"}");
	/* what is no UTF-8 is repaired */
	assert_auth("%ff=%ed%a0%80",
	    "{\"\xef\xbf\xbd\":\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"}");
}

static size_t
auth_of(const char *query, size_t len)
{
	struct span s = { query, len };

	return sio2_auth(NULL, 0, s);
}

static void
there_is_an_end_to_it(void **state)
{
	static char query[3 * SIO2_QUERY_MAX];
	char *p = query;
	unsigned i;

	for (i = 0; i < SIO2_PAIRS_MAX; i++)
		p += snprintf(p, 8, "&a%u", i);
	assert_true(auth_of(query, strlen(query)) > SIO2_PAIRS_MAX * 6);
	(void)snprintf(p, 8, "&x");
	assert_int_equal(auth_of(query, strlen(query)), 0);
	memset(query, 'x', sizeof(query));
	assert_int_equal(auth_of(query, SIO2_VALUE_MAX), SIO2_VALUE_MAX + 7);
	assert_int_equal(auth_of(query, SIO2_VALUE_MAX + 1), 0);
	query[1] = '=';
	assert_int_equal(auth_of(query, SIO2_VALUE_MAX + 2),
	    SIO2_VALUE_MAX + 8);
	assert_int_equal(auth_of(query, SIO2_VALUE_MAX + 3), 0);
	memset(query, '&', sizeof(query));
	assert_int_equal(auth_of(query, SIO2_QUERY_MAX), 2);
	assert_int_equal(auth_of(query, SIO2_QUERY_MAX + 1), 0);
}

static void
assert_string(const char *text, size_t len, const char *want)
{
	char out[64];

	assert_int_equal(sio2_string(out, sizeof(out),
			     (struct span){ text, len }),
	    strlen(want));
	assert_memory_equal(out, want, strlen(want));
	assert_int_equal(sio2_string(NULL, 0, (struct span){ text, len }),
	    strlen(want));
}

static void
an_error_is_a_string(void **state)
{
	assert_string("no", 2, "\"no\"");
	assert_string("", 0, "\"\"");
	assert_string("say \"\n\" \\ \xc3\xa9", 12,
	    "\"say \\\"\\n\\\" \\\\ \xc3\xa9\"");
	assert_string("\0", 1, "\"\\u0000\"");
}

static void
what_the_server_says_is_written_by_the_encoders(void **state)
{
	struct sio_message m = { .type = SIO_CONNECT };
	char out[64];

	assert_int_equal(sio_encode(out, sizeof(out), &m), 1);
	assert_memory_equal(out, "0", 1);
	m.nsp = (struct span){ "/nsp", 4 };
	assert_int_equal(sio_encode(out, sizeof(out), &m), 6);
	assert_memory_equal(out, "0/nsp,", 6);
	m = (struct sio_message){
		.type = SIO_CONNECT_ERROR,
		.args = { "\"no\"", 4 },
	};
	assert_int_equal(sio_encode(out, sizeof(out), &m), 5);
	assert_memory_equal(out, "4\"no\"", 5);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_namespace_may_carry_a_query),
		cmocka_unit_test(a_query_is_an_object_of_strings),
		cmocka_unit_test(
		    case_40_of_a_repeated_key_the_last_value_counts),
		cmocka_unit_test(strings_have_their_escapes),
		cmocka_unit_test(there_is_an_end_to_it),
		cmocka_unit_test(an_error_is_a_string),
		cmocka_unit_test(
		    what_the_server_says_is_written_by_the_encoders),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
