/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_sio_binary - what sio_binary.h promises, and sio.h of binary packets.
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

#include "proto/sio_binary.h"

/* a placeholder */
#define P(num) "{\"_placeholder\":true,\"num\":" #num "}"

static struct sio_packet pkt;
static const char *why;

/* Decode a copy that ends where it ends. */
static bool
decode_n(const char *text, size_t len)
{
	static char *copy;

	free(copy);
	copy = malloc(len);
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
illegal(const char *text)
{
	if (decode_n(text, strlen(text)))
		fail_msg("%s is taken", text);
	assert_string_equal(why, "illegal attachments");
}

/* The walk, as "num:text num:text ". */
static void
assert_walk(const char *want)
{
	char told[1024] = "";
	size_t len = 0;
	struct sio_walk walk;
	struct span object;
	unsigned num;

	sio_walk_begin(&walk, &pkt);
	while (sio_walk_next(&walk, &object, &num)) {
		assert_true(object.p >= pkt.raw_args.p &&
		    object.p + object.len <= pkt.raw_args.p + pkt.raw_args.len);
		len += (size_t)snprintf(told + len, sizeof(told) - len,
		    "%u:%.*s ", num, (int)object.len, object.p);
		assert_true(len < sizeof(told));
	}
	/* and there is nothing behind the end */
	assert_false(sio_walk_next(&walk, &object, &num));
	assert_string_equal(told, want);
}

static void
placeholders_are_found_in_order(void **state)
{
	good("52-[\"a\"," P(0) "," P(1) "]");
	assert_walk("0:" P(0) " 1:" P(1) " ");
	good("53-[\"a\",{\"x\":[1," P(2) ",[]],\"y\":{\"z\":" P(0) "}}," P(
	    1) ",{}]");
	assert_walk("2:" P(2) " 0:" P(0) " 1:" P(1) " ");
	good("61-7[" P(0) "]");
	assert_walk("0:" P(0) " ");
	good("510-[\"a\"," P(9) "]");
	assert_walk("9:" P(9) " ");
	good("51-[\"a\"]");
	assert_walk("");
	good("51-[\"a\",\""
	     "_placeholder"
	     "\",true,null,-1.5e3,{},[]]");
	assert_walk("");
}

static void
case_93_an_acknowledgement_may_be_binary(void **state)
{
	good("61-/admin,13[{\"a\":" P(0) "}]");
	assert_int_equal(pkt.type, SIO_BINARY_ACK);
	assert_int_equal(pkt.nattach, 1);
	assert_int_equal(pkt.id, 13);
	assert_walk("0:" P(0) " ");
}

static void
a_placeholder_may_be_written_in_many_ways(void **state)
{
	good("51-[\"a\", { \"num\" : 0 , \"_placeholder\" :\ttrue } ]");
	assert_walk("0:{ \"num\" : 0 , \"_placeholder\" :\ttrue } ");
	good("52-[\"a\",{\"\\u005fplaceholder\":true,\"n\\u0075m\":1}]");
	assert_walk("1:{\"\\u005fplaceholder\":true,\"n\\u0075m\":1} ");
	good("52-[\"a\",{\"x\":{\"num\":7},\"num\":1e0,\"y\":[\"num\",5],"
	     "\"_placeholder\":true,\"z\":\"}\\\"\"}]");
	assert_walk("1:{\"x\":{\"num\":7},\"num\":1e0,\"y\":[\"num\",5],"
		    "\"_placeholder\":true,\"z\":\"}\\\"\"} ");
	good("51-[\"a\",{\"_placeholder\":true,\"num\":-0}]");
	assert_walk("0:{\"_placeholder\":true,\"num\":-0} ");
	good("52-[\"a\",{\"_placeholder\":true,\"num\":1.0}]");
}

static void
case_99_the_number_of_a_placeholder(void **state)
{
	illegal("51-[\"a\"," P(1) "]");
	illegal("52-[\"a\"," P(0) "," P(2) "]");
	illegal("510-[\"a\"," P(10) "]");
	illegal("51-[\"a\"," P(-1) "]");
	illegal("51-[\"a\"," P(0.5) "]");
	illegal("51-[\"a\"," P(1e400) "]");
	illegal("51-[\"a\"," P(4294967296) "]");
	illegal("51-[\"a\"," P(18446744073709551616) "]");
	illegal("51-[\"a\"," P(null) "]");
	illegal("51-[\"a\"," P(true) "]");
	illegal("51-[\"a\"," P("0") "]");
	illegal("51-[\"a\"," P([0]) "]");
	illegal("51-[\"a\"," P({}) "]");
	illegal("51-[\"a\",{\"_placeholder\":true}]");
	illegal("51-[\"a\",{\"_placeholder\":true,\"Num\":0}]");
	illegal("61-0[" P(1) "]");
	/* wherever it stands */
	illegal("51-[\"a\",[[[{\"x\":[" P(1) "]}]]]," P(0) "]");
}

static void
cve_2022_2421_a_number_that_is_a_name(void **state)
{
	illegal("51-[\"m\"," P("splice") "]");
}

static void
what_is_no_placeholder_stays_what_it_is(void **state)
{
	good("51-[\"a\",{\"_placeholder\":false,\"num\":9},"
	     "{\"_placeholder\":1,\"num\":9},{\"_placeholder\":\"true\"},"
	     "{\"_placeholder\":null},{\"_placeholder\":[true]},"
	     "{\"_placeholders\":true},{\"num\":7},"
	     "[\"_placeholder\",true,\"num\",9]]");
	assert_walk("");
}

static void
case_98_plain_packets_have_none(void **state)
{
	good("2[\"a\"," P(0) "," P(99) ",{\"_placeholder\":true}]");
	assert_walk("");
	good("30[" P(7) "]");
	assert_walk("");
	good("0{\"_placeholder\":true}");
	assert_walk("");
}

static void
case_103_an_attachment_may_stand_twice_or_nowhere(void **state)
{
	good("52-[\"a\"," P(0) "," P(0) "]");
	assert_walk("0:" P(0) " 0:" P(0) " ");
}

static void
a_placeholder_holds_no_other(void **state)
{
	illegal("51-[\"a\",{\"x\":" P(0) ",\"_placeholder\":true,\"num\":0}]");
	illegal(
	    "51-[\"a\",{\"_placeholder\":true,\"num\":0,\"x\":[" P(0) "]}]");
	good("51-[\"a\",{\"x\":" P(0) ",\"_placeholder\":1,\"num\":0}," P(
	    0) "]");
	assert_walk("0:" P(0) " 0:" P(0) " ");
}

static void
an_event_s_name_is_no_placeholder(void **state)
{
	const char *text = "51-[" P(0) "]";

	assert_false(decode_n(text, strlen(text)));
	assert_string_equal(why, "event name is no string and no number");
}

static void
names_of_properties_are_ordinary_keys(void **state)
{
	good("51-[\"a\",{\"__proto__\":" P(0) ",\"constructor\":{}}]");
	assert_walk("0:" P(0) " ");
}

static void
refused_packets_have_attachments_too(void **state)
{
	const char *text = "51-[\"a\"," P(0) ",{\"k\":1,\"k\":\"\\u0000\"}]";

	assert_true(decode_n(text, strlen(text)));
	assert_non_null(pkt.refused);
	assert_int_equal(pkt.nattach, 1);
	assert_int_equal(pkt.args.len, 0);
	assert_walk("0:" P(0) " ");
	/* of a key that comes twice the last counts */
	text = "52-[\"a\",{\"_placeholder\":true,\"num\":9,\"num\":1},"
	       "{\"_placeholder\":true,\"_placeholder\":false}]";
	assert_true(decode_n(text, strlen(text)));
	assert_walk("1:{\"_placeholder\":true,\"num\":9,\"num\":1} ");
	illegal("51-[\"a\",{\"_placeholder\":true,\"num\":0,\"num\":1}]");
	illegal("51-[\"a\",{\"_placeholder\":true,\"num\":0,\"num\":\"0\"}]");
	illegal("51-[\"a\",{\"\\u0000\":1,\"_placeholder\":true}]");
}

static void
depth_is_limited(void **state)
{
	char text[512] = "51-[\"a\",";
	size_t n = strlen(text);

	/* 31 arrays and a placeholder */
	memset(text + n, '[', 31);
	memcpy(text + n + 31, P(0), sizeof(P(0)) - 1);
	memset(text + n + 31 + sizeof(P(0)) - 1, ']', 32);
	assert_true(decode_n(text, n + 31 + sizeof(P(0)) - 1 + 32));
	assert_null(pkt.refused);
	assert_walk("0:" P(0) " ");
	/* one more: refused, with nothing to pass on */
	memset(text + n, '[', 32);
	memcpy(text + n + 32, P(0), sizeof(P(0)) - 1);
	memset(text + n + 32 + sizeof(P(0)) - 1, ']', 33);
	assert_true(decode_n(text, n + 32 + sizeof(P(0)) - 1 + 33));
	assert_non_null(pkt.refused);
	assert_int_equal(pkt.nattach, 1);
	assert_int_equal(pkt.raw_args.len, 0);
	assert_walk("");
}

static void
assert_renumbered(const char *want, unsigned count, const char *order)
{
	char out[512], told[64] = "";
	unsigned got[SIO_ATTACHMENTS_MAX], n = 99, i;
	size_t len = sio_renumber(out, sizeof(out), &pkt, got, &n);

	assert_int_equal(n, count);
	assert_int_equal(len, strlen(want));
	assert_memory_equal(out, want, len);
	for (i = 0; i < n && i < SIO_ATTACHMENTS_MAX; i++)
		(void)snprintf(told + i, 2, "%u", got[i]);
	assert_string_equal(told, order);
	assert_int_equal(sio_renumber(NULL, 0, &pkt, got, &n), len);
}

static void
an_echo_numbers_in_order_of_appearance(void **state)
{
	good("53-[\"a\", {\"x\": " P(2) "} ,[" P(0) "," P(2) "],\"b\"]");
	assert_renumbered("{\"x\": " P(0) "} ,[" P(1) "," P(2) "],\"b\"", 3,
	    "202");
	good("61-0[{\"n\":1,\"num\":0,\"_placeholder\":true}]");
	assert_renumbered(P(0), 1, "0");
	good("51-[\"a\"]");
	assert_renumbered("", 0, "");
	good("51-[\"a\",1,2]");
	assert_renumbered("1,2", 0, "");
	good("2[\"a\"," P(5) "]");
	assert_renumbered(P(5), 0, "");
	/* more than anybody takes: only counted */
	good("51-[\"a\"," P(0) "," P(0) "," P(0) "," P(0) "," P(0) "," P(
	    0) "," P(0) "," P(0) "," P(0) "," P(0) "," P(0) "," P(0) "]");
	assert_renumbered(
	    P(0) "," P(1) "," P(2) "," P(3) "," P(4) "," P(5) "," P(6) "," P(
		7) "," P(8) "," P(9) "," P(10) "," P(11),
	    12, "0000000000");
}

/* Decode a megabyte of 'unit' within 'depth' objects: CPU milliseconds. */
static long
milliseconds(const char *unit, unsigned depth)
{
	enum {
		SIZE = 1000000
	};
	char *text = malloc(SIZE + 1000);
	size_t len = 0, n = strlen(unit);
	struct timespec from, to;
	unsigned i;

	assert_non_null(text);
	len += (size_t)snprintf(text, 100, "510-[\"a\"");
	for (i = 0; i < depth; i++)
		len += (size_t)snprintf(text + len, 100, ",{\"a\":[1");
	while (len < SIZE) {
		memcpy(text + len, unit, n);
		len += n;
	}
	for (i = 0; i < depth; i++)
		len += (size_t)snprintf(text + len, 100, "]}");
	text[len++] = ']';
	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
	assert_true(sio_decode(text, len, &pkt, &why));
	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
	assert_null(pkt.refused);
	free(text);
	return (to.tv_sec - from.tv_sec) * 1000 +
	    (to.tv_nsec - from.tv_nsec) / 1000000;
}

static void
no_packet_takes_long(void **state)
{
	assert_true(milliseconds("," P(0), 0) < 1000);
	assert_true(milliseconds("," P(0), 15) < 1000);
	assert_true(milliseconds(",{}", 15) < 1000);
	assert_true(milliseconds(",[[]]", 14) < 1000);
	assert_true(milliseconds(" ", 15) < 1000);
	assert_true(milliseconds(",\"\\u0061\"", 15) < 1000);
}

#define T(name) cmocka_unit_test(name)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(placeholders_are_found_in_order),
		T(case_93_an_acknowledgement_may_be_binary),
		T(a_placeholder_may_be_written_in_many_ways),
		T(case_99_the_number_of_a_placeholder),
		T(cve_2022_2421_a_number_that_is_a_name),
		T(what_is_no_placeholder_stays_what_it_is),
		T(case_98_plain_packets_have_none),
		T(case_103_an_attachment_may_stand_twice_or_nowhere),
		T(a_placeholder_holds_no_other),
		T(an_event_s_name_is_no_placeholder),
		T(names_of_properties_are_ordinary_keys),
		T(refused_packets_have_attachments_too),
		T(depth_is_limited),
		T(an_echo_numbers_in_order_of_appearance),
		T(no_packet_takes_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
