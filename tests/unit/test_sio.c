/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_sio - what sio.h promises.  Tests named case_N are the edge cases of
 * the protocol page, cve_* its security history.
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

static struct sio_packet pkt;
static const char *why;

/*
 * Decode a copy that ends where it ends; it stays until the next one, for
 * the spans to point into.
 */
static bool
decode_n(const char *text, size_t len)
{
	static char *copy;

	free(copy);
	copy = malloc(len > 0 ? len : 1);
	assert_non_null(copy);
	memcpy(copy, text, len);
	why = NULL;
	return sio_decode(copy, len, &pkt, &why);
}

static void
good(const char *text)
{
	if (!decode_n(text, strlen(text)))
		fail_msg("%s: %s", text, why);
	assert_null(pkt.refused);
}

static void
bad(const char *text)
{
	if (decode_n(text, strlen(text)))
		fail_msg("%s is taken", text);
	assert_non_null(why);
}

/* JSON, but none for us: no reason to close. */
static void
refused(const char *text)
{
	if (!decode_n(text, strlen(text)))
		fail_msg("%s: %s", text, why);
	if (pkt.refused == NULL)
		fail_msg("%s is taken", text);
	assert_int_equal(pkt.args.len, 0);
}

#define assert_span(s, text) \
	do { \
		if (!span_is(s, text)) \
			fail_msg("%.*s is not %s", (int)(s).len, (s).p, text); \
	} while (0)

/* --- the parts of a packet ----------------------------------------------- */

static void
an_event_is_cut_into_its_parts(void **state)
{
	good("2[\"hey\",\"Jude\"]");
	assert_int_equal(pkt.type, SIO_EVENT);
	assert_int_equal(pkt.nattach, 0);
	assert_span(pkt.nsp, "/");
	assert_false(pkt.has_id);
	assert_span(pkt.payload, "[\"hey\",\"Jude\"]");
	assert_span(pkt.name, "hey");
	assert_false(pkt.name_is_number);
	assert_span(pkt.args, "\"Jude\"");
	good("2/admin,12[ \"foo\" , {\"a\":[1,2]} ,\tnull ] ");
	assert_span(pkt.nsp, "/admin");
	assert_true(pkt.has_id);
	assert_int_equal(pkt.id, 12);
	assert_span(pkt.name, "foo");
	assert_span(pkt.args, "{\"a\":[1,2]} ,\tnull");
	good("2[\"foo\"]");
	assert_int_equal(pkt.args.len, 0);
	good("2[\"f\\\"]o\\\\\",1]");
	assert_span(pkt.name, "f\\\"]o\\\\");
	assert_span(pkt.args, "1");
	good("2\n[ \"foo\"\r\n]");
	assert_span(pkt.name, "foo");
	assert_int_equal(pkt.args.len, 0);
}

static void
each_type_is_known(void **state)
{
	good("0");
	assert_int_equal(pkt.type, SIO_CONNECT);
	good("1");
	assert_int_equal(pkt.type, SIO_DISCONNECT);
	good("2[\"a\"]");
	assert_int_equal(pkt.type, SIO_EVENT);
	good("312[\"bar\"]");
	assert_int_equal(pkt.type, SIO_ACK);
	assert_int_equal(pkt.id, 12);
	assert_span(pkt.args, "\"bar\"");
	good("4{\"message\":\"Not authorized\",\"data\":{}}");
	assert_int_equal(pkt.type, SIO_CONNECT_ERROR);
	good("51-[\"baz\",{\"_placeholder\":true,\"num\":0}]");
	assert_int_equal(pkt.type, SIO_BINARY_EVENT);
	assert_int_equal(pkt.nattach, 1);
	assert_span(pkt.name, "baz");
	good("61-/admin,1[{\"_placeholder\":true,\"num\":0}]");
	assert_int_equal(pkt.type, SIO_BINARY_ACK);
	assert_span(pkt.nsp, "/admin");
	assert_int_equal(pkt.id, 1);
	assert_span(pkt.args, "{\"_placeholder\":true,\"num\":0}");
	bad("");
	bad("7");
	bad("7[\"a\"]");
	bad("9[\"a\"]");
	bad("/[\"a\"]");
	bad(":[\"a\"]");
	bad("a");
	bad("/");
	bad(" 2[\"a\"]");
	bad("\xff");
}

static void
a_packet_may_be_cut_anywhere_without_harm(void **state)
{
	static const char text[] =
	    "510-/admin,123[\"n\\u00e9\\\"\",{\"a\":[1.5e3,true,\"\\\\\"]}]";
	size_t n;

	for (n = 0; n < sizeof(text) - 1; n++)
		assert_false(decode_n(text, n));
	assert_true(decode_n(text, n));
}

static void
each_error_says_why(void **state)
{
	static const struct {
		const char *text, *why;
	} rows[] = {
		{ "", "empty packet" },
		{ "7[\"a\"]", "unknown packet type" },
		{ "/[\"a\"]", "unknown packet type" },
		{ "50-[\"a\"]", "illegal number of attachments" },
		{ "29007199254740992[]", "acknowledgement id too large" },
		{ "2", "packet without payload" },
		{ "2[]", "event without a name" },
		{ "2[[]]", "event name is no string and no number" },
		{ "2{}", "payload is no array" },
		{ "2[\"connect\"]", "reserved event name" },
		{ "0[]", "payload is no object" },
		{ "1{}", "disconnect with a payload" },
		{ "4[]", "payload is no string and no object" },
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bad(rows[i].text);
		assert_string_equal(why, rows[i].why);
	}
}

/* --- connect and disconnect ---------------------------------------------- */

static void
a_connect_brings_auth_or_nothing(void **state)
{
	good("0{\"token\":\"x\"}");
	assert_span(pkt.payload, "{\"token\":\"x\"}");
	good("0{}");
	good("0 { } ");
	assert_span(pkt.payload, "{ }");
	good("0");
	assert_int_equal(pkt.payload.len, 0);
	refused("0{\"a\":1,\"a\":2}");
	refused("0{\"a\":\"\\ud800\"}");
}

static void
case_82_a_namespace_with_and_without_comma(void **state)
{
	good("0/x");
	assert_span(pkt.nsp, "/x");
	assert_int_equal(pkt.payload.len, 0);
	good("0/x,");
	assert_span(pkt.nsp, "/x");
	assert_int_equal(pkt.payload.len, 0);
	good("0/x,{\"a\":1}");
	assert_span(pkt.nsp, "/x");
	assert_span(pkt.payload, "{\"a\":1}");
	good("1/admin,");
	assert_span(pkt.nsp, "/admin");
	good("0/");
	assert_span(pkt.nsp, "/");
	good("0/,");
	assert_span(pkt.nsp, "/");
}

static void
case_83_connect_payloads_that_are_no_object(void **state)
{
	bad("0[]");
	bad("0null");
	bad("0\"x\"");
	bad("0true");
	/* a number is an acknowledgement id, as in the reference */
	good("01");
	bad("01.5");
	bad("0{");
	bad("0{}{}");
}

static void
case_84_a_query_is_part_of_the_namespace(void **state)
{
	good("0/a?x=1,{}");
	assert_span(pkt.nsp, "/a?x=1");
}

static void
case_85_namespaces_of_slashes(void **state)
{
	good("0//");
	assert_span(pkt.nsp, "//");
	good("2//,[\"a\"]");
	assert_span(pkt.nsp, "//");
}

static void
a_namespace_ends_at_a_comma_only(void **state)
{
	good("0/a[\"m\"]");
	assert_span(pkt.nsp, "/a[\"m\"]");
	assert_int_equal(pkt.payload.len, 0);
	/* an event has no payload then */
	bad("2/a[\"m\"]");
}

static void
a_disconnect_has_no_payload(void **state)
{
	good("1");
	good("1/admin,");
	bad("1{}");
	bad("1[]");
	bad("1null");
	bad("1 ");
}

static void
a_connect_error_is_text_or_object(void **state)
{
	good("4\"no\"");
	good("4{}");
	bad("4");
	bad("4[]");
	bad("4null");
}

/* --- acknowledgements ---------------------------------------------------- */

static void
case_89_id_0(void **state)
{
	good("20[\"a\"]");
	assert_true(pkt.has_id);
	assert_int_equal(pkt.id, 0);
	good("30[]");
	assert_true(pkt.has_id);
	assert_int_equal(pkt.id, 0);
}

static void
case_90_ids_above_2_31(void **state)
{
	good("24294967296[\"a\"]");
	assert_int_equal(pkt.id, UINT64_C(4294967296));
	good("29007199254740991[\"a\"]");
	assert_int_equal(pkt.id, SIO_ID_MAX);
	bad("29007199254740992[\"a\"]");
	bad("218446744073709551616[\"a\"]");
	bad("2999999999999999999999999999999999999999[\"a\"]");
}

static void
ids_are_digits(void **state)
{
	bad("21.5[\"a\"]");
	bad("2-1[\"a\"]");
	bad("21e3[\"a\"]");
	bad("2+1[\"a\"]");
	bad("20x1[\"a\"]");
	good("2007[\"a\"]");
	assert_int_equal(pkt.id, 7);
	/* blanks are no digit, but JSON may begin with them */
	good("2 [\"a\"]");
	assert_false(pkt.has_id);
}

static void
case_92_an_acknowledgement_is_an_array(void **state)
{
	good("30[]");
	assert_int_equal(pkt.args.len, 0);
	good("31[ ]");
	assert_int_equal(pkt.args.len, 0);
	good("31[null,{}]");
	assert_span(pkt.args, "null,{}");
	/* nobody's: the caller ignores it */
	good("3[]");
	assert_false(pkt.has_id);
	bad("30");
	bad("3");
	bad("30{}");
	bad("30\"x\"");
	bad("30null");
	/* names are no affair of theirs */
	good("31[\"connect\"]");
}

/* --- events -------------------------------------------------------------- */

static void
an_event_needs_a_payload(void **state)
{
	bad("2");
	bad("2/a,");
	bad("212");
	bad("2[]");
	bad("2[ ]");
	bad("2{}");
	bad("2null");
	bad("2\"a\"");
	bad("21");
}

static void
a_name_is_a_string_or_a_number(void **state)
{
	bad("2[null]");
	bad("2[true,1]");
	bad("2[[\"a\"]]");
	bad("2[{}]");
	good("2[5,\"x\"]");
	assert_true(pkt.name_is_number);
	assert_span(pkt.name, "5");
	assert_span(pkt.args, "\"x\"");
	assert_false(sio_name_is(&pkt, "5"));
	good("2[-1.5e3]");
	assert_span(pkt.name, "-1.5e3");
	good("2[ 7 , 8 ]");
	assert_span(pkt.name, "7");
	assert_span(pkt.args, "8");
}

static void
cve_2023_32695_an_object_for_a_name(void **state)
{
	bad("2[{\"toString\":\"foo\"}]");
	bad("51-[{\"_placeholder\":true,\"num\":0}]");
}

static void
case_97_reserved_names(void **state)
{
	static const char *const names[] = { "connect", "connect_error",
		"disconnect", "disconnecting", "newListener",
		"removeListener" };
	char text[64];
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		(void)snprintf(text, sizeof(text), "2[\"%s\",1]", names[i]);
		bad(text);
		(void)snprintf(text, sizeof(text), "51-[\"%s\"]", names[i]);
		bad(text);
	}
	/* no escape hides them, not even in what is refused anyway */
	bad("2[\"\\u0063onnect\"]");
	bad("2[\"c\\u006fnnect\",{\"a\":1,\"a\":1}]");
	good("2[\"error\"]");
	good("2[\"\"]");
	good("2[\"message\"]");
	good("2[\"__proto__\"]");
	good("2[\"Connect\"]");
	good("2[\"connect \"]");
}

static void
cve_2024_38355_an_event_named_error(void **state)
{
	good("2[\"error\",{}]");
	assert_true(sio_name_is(&pkt, "error"));
}

static void
names_are_compared_without_their_escapes(void **state)
{
	good("2[\"chat:typing\",1]");
	assert_true(sio_name_is(&pkt, "chat:typing"));
	assert_false(sio_name_is(&pkt, "chat:typin"));
	assert_false(sio_name_is(&pkt, "chat:typingg"));
	good("2[\"chat\\u003atyping\",1]");
	assert_true(sio_name_is(&pkt, "chat:typing"));
	assert_false(sio_name_is(&pkt, "chat;typing"));
	good("2[\"a\\/b\\\\\"]");
	assert_true(sio_name_is(&pkt, "a/b\\"));
	good("2[\"\"]");
	assert_true(sio_name_is(&pkt, ""));
	assert_false(sio_name_is(&pkt, "a"));
}

static void
the_payload_is_one_json_value(void **state)
{
	bad("2[\"a\"]x");
	bad("2[\"a\"][\"b\"]");
	bad("2[\"a\",]");
	bad("2[,\"a\"]");
	bad("2[\"a\" \"b\"]");
	bad("2[\"a\"");
	bad("2[\"a]");
	bad("2[\"a\\\"]");
	bad("2[\"a\",{\"b\"}]");
	bad("2[\"a\",{b:1}]");
	bad("2[\"a\",'b']");
	bad("2[\"a\",01]");
	bad("2[\"a\",NaN]");
	bad("2[\"a\n\"]");
	bad("2[\"\\x41\"]");
	bad("2[5");
	bad("2[5}");
	good("2[\"a\"] \t\r\n");
}

static void
case_98_placeholders_in_plain_events_stay_what_they_are(void **state)
{
	good("2[\"a\",{\"_placeholder\":true,\"num\":0}]");
	assert_int_equal(pkt.nattach, 0);
	assert_span(pkt.args, "{\"_placeholder\":true,\"num\":0}");
}

static void
case_104_text_of_all_kinds(void **state)
{
	good("2[\"a\",\"\xf0\x9f\x98\x80\xe2\x80\xa8\"]");
	assert_span(pkt.args, "\"\xf0\x9f\x98\x80\xe2\x80\xa8\"");
	good("2[\"\xf0\x9f\x98\x80\"]");
	assert_true(sio_name_is(&pkt, "\xf0\x9f\x98\x80"));
	good("2[\"\\ud83d\\ude00\"]");
	assert_true(sio_name_is(&pkt, "\xf0\x9f\x98\x80"));
	refused("2[\"a\",\"\\u0000\"]");
	assert_true(sio_name_is(&pkt, "a"));
	refused("2[\"a\",\"\\ud800\"]");
	assert_true(sio_name_is(&pkt, "a"));
	refused("23[\"a\",\"\\udc00\\ud800\"]");
	assert_true(pkt.has_id);
	assert_int_equal(pkt.id, 3);
	/* a NUL byte is no JSON at all */
	assert_false(decode_n("2[\"a\0\"]", 7));
	assert_false(decode_n("2[\"a\"]\0", 7));
	assert_false(decode_n("2\0[\"a\"]", 7));
}

static void
a_name_that_is_no_text_for_us_is_nobody_s(void **state)
{
	refused("21[\"chat:typing\\u0000\",1]");
	assert_int_equal(pkt.id, 1);
	assert_int_equal(pkt.name.len, 0);
	assert_false(sio_name_is(&pkt, "chat:typing"));
	refused("2[\"\\ud800connect\"]");
	assert_int_equal(pkt.name.len, 0);
}

static void
case_105_numbers_keep_their_text(void **state)
{
	good("2[\"a\",12345678901234567890,1e400,-0,9007199254740993]");
	assert_span(pkt.args, "12345678901234567890,1e400,-0,9007199254740993");
	refused("2[\"a\",{\"k\":1,\"k\":2}]");
	refused("2[\"a\",{\"k\":1,\"\\u006b\":2}]");
	good("2[\"a\",{\"k\":1},{\"k\":2}]");
}

static void
what_is_refused_can_still_be_passed_on(void **state)
{
	good("2[\"a\",{\"k\":1}]");
	assert_span(pkt.raw_args, "{\"k\":1}");
	refused("2[\"a\",{\"k\":1,\"k\":2}, \"\\ud800\\u0000\" ]");
	assert_span(pkt.raw_args, "{\"k\":1,\"k\":2}, \"\\ud800\\u0000\"");
	refused("37[\"\\u0000\"]");
	assert_span(pkt.raw_args, "\"\\u0000\"");
	refused("2[\"\\u0000\",1]");
	assert_span(pkt.raw_args, "1");
	good("0{\"a\":1}");
	assert_int_equal(pkt.raw_args.len, 0);
}

static void
a_name_is_known_as_json(void **state)
{
	good("2[\"a\",1]");
	assert_span(sio_name_json(&pkt), "\"a\"");
	good("2[\"\"]");
	assert_span(sio_name_json(&pkt), "\"\"");
	good("2[ \"\\u0061\\\"\" ]");
	assert_span(sio_name_json(&pkt), "\"\\u0061\\\"\"");
	good("2[ -1.5e3 ,1]");
	assert_span(sio_name_json(&pkt), "-1.5e3");
	good("31[\"x\"]");
	assert_int_equal(sio_name_json(&pkt).len, 0);
	refused("2[\"\\u0000\",1]");
	assert_int_equal(sio_name_json(&pkt).len, 0);
}

/* --- attachments --------------------------------------------------------- */

static void
case_101_attachments_are_1_to_10(void **state)
{
	good("51-[\"a\"]");
	good("510-[\"a\"]");
	assert_int_equal(pkt.nattach, 10);
	good("61-0[]");
	bad("50-[\"a\"]");
	bad("511-[\"a\"]");
	bad("5100-[\"a\"]");
	bad("5-[\"a\"]");
	bad("5[\"a\"]");
	bad("51[\"a\"]");
	bad("51");
	bad("51-");
	bad("5--1-[\"a\"]");
	bad("501-[\"a\"]");
	bad("51.0-[\"a\"]");
	bad("51e0-[\"a\"]");
	bad("5 1-[\"a\"]");
	bad("60-0[]");
}

static void
cve_2026_69185_no_attachments_at_all(void **state)
{
	bad("50-[\"m\"]");
}

static void
cve_2026_33151_unbounded_attachments(void **state)
{
	bad("599999-[\"m\"]");
	bad("518446744073709551617-[\"m\"]");
}

static void
cve_2020_36049_very_long_heads(void **state)
{
	enum {
		SIZE = 1 << 20
	};
	char *text = malloc(SIZE);

	assert_non_null(text);
	memset(text, '1', SIZE);
	text[0] = '5';
	assert_false(decode_n(text, SIZE));
	memset(text, '-', SIZE);
	text[0] = '5';
	assert_false(decode_n(text, SIZE));
	memset(text, '0', SIZE);
	text[0] = '2';
	assert_false(decode_n(text, SIZE));
	memset(text, '/', SIZE);
	text[0] = '0';
	assert_true(decode_n(text, SIZE));
	assert_int_equal(pkt.nsp.len, SIZE - 1);
	free(text);
}

static void
a_number_of_a_million_digits(void **state)
{
	enum {
		SIZE = 1000000
	};
	char *text = malloc(SIZE + 8);

	assert_non_null(text);
	memset(text, '7', SIZE + 8);
	memcpy(text, "2[\"a\",", 6);
	text[SIZE + 7] = ']';
	assert_true(decode_n(text, SIZE + 8));
	assert_int_equal(pkt.args.len, SIZE + 1);
	free(text);
}

static void
deep_json(void **state)
{
	char text[256] = "2[\"a\",";
	size_t n = strlen(text), depth;

	/* an argument may be 32 deep, itself counted */
	memset(text + n, '[', 32);
	memset(text + n + 32, ']', 33);
	assert_true(decode_n(text, n + 65));
	assert_null(pkt.refused);
	assert_int_equal(pkt.args.len, 64);
	memset(text + n, '[', 33);
	memset(text + n + 33, ']', 34);
	assert_true(decode_n(text, n + 67));
	assert_non_null(pkt.refused);
	assert_true(sio_name_is(&pkt, "a"));
	/* and connect's auth, too */
	for (depth = 32; depth <= 33; depth++) {
		text[0] = '0';
		for (n = 0; n < depth; n++)
			memcpy(text + 1 + 5 * n, "{\"a\":", 5);
		text[1 + 5 * depth] = '1';
		memset(text + 2 + 5 * depth, '}', depth);
		assert_true(decode_n(text, 2 + 6 * depth));
		assert_int_equal(pkt.refused == NULL, depth == 32);
	}
}

static void
a_hundred_thousand_levels(void **state)
{
	enum {
		SIZE = 100000
	};
	char *text = malloc(SIZE);

	assert_non_null(text);
	memset(text, '[', SIZE);
	text[0] = '3';
	assert_false(decode_n(text, SIZE));
	memset(text + SIZE / 2 + 1, ']', SIZE / 2 - 1);
	text[1] = '1';
	assert_true(decode_n(text, SIZE));
	assert_non_null(pkt.refused);
	free(text);
}

#define T(name) cmocka_unit_test(name)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(an_event_is_cut_into_its_parts),
		T(each_type_is_known),
		T(a_packet_may_be_cut_anywhere_without_harm),
		T(each_error_says_why),
		T(a_connect_brings_auth_or_nothing),
		T(case_82_a_namespace_with_and_without_comma),
		T(case_83_connect_payloads_that_are_no_object),
		T(case_84_a_query_is_part_of_the_namespace),
		T(case_85_namespaces_of_slashes),
		T(a_namespace_ends_at_a_comma_only),
		T(a_disconnect_has_no_payload),
		T(a_connect_error_is_text_or_object),
		T(case_89_id_0),
		T(case_90_ids_above_2_31),
		T(ids_are_digits),
		T(case_92_an_acknowledgement_is_an_array),
		T(an_event_needs_a_payload),
		T(a_name_is_a_string_or_a_number),
		T(cve_2023_32695_an_object_for_a_name),
		T(case_97_reserved_names),
		T(cve_2024_38355_an_event_named_error),
		T(names_are_compared_without_their_escapes),
		T(the_payload_is_one_json_value),
		T(case_98_placeholders_in_plain_events_stay_what_they_are),
		T(case_104_text_of_all_kinds),
		T(a_name_that_is_no_text_for_us_is_nobody_s),
		T(case_105_numbers_keep_their_text),
		T(what_is_refused_can_still_be_passed_on),
		T(a_name_is_known_as_json),
		T(case_101_attachments_are_1_to_10),
		T(cve_2026_69185_no_attachments_at_all),
		T(cve_2026_33151_unbounded_attachments),
		T(cve_2020_36049_very_long_heads),
		T(a_number_of_a_million_digits),
		T(deep_json),
		T(a_hundred_thousand_levels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
