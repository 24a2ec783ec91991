/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_conformance_call - arguments as the conformance server takes them
 * apart and sends them back.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/conformance/call.h"

static struct sio_packet pkt;
static struct packed pk;

static const struct span bytes[] = { { "zero", 4 }, { "one", 3 },
	{ "two", 3 } };

static struct call
call_of(const char *text)
{
	struct call c = { .pkt = &pkt, .attachments = bytes };
	const char *why;

	if (!sio_decode(text, strlen(text), &pkt, &why))
		fail_msg("%s: %s", text, why);
	return c;
}

static void
packs(const char *text, const char *before, const char *json, unsigned n)
{
	struct call c = call_of(text);

	memset(&pk, 0, sizeof(pk));
	sb_init(&pk.json);
	sb_adds(&pk.json, before);
	assert_true(call_pack(&c, &pk));
	assert_string_equal(pk.json.data, json);
	assert_int_equal(pk.json.len, strlen(json));
	assert_int_equal(pk.n, n);
	sb_clear(&pk.json);
}

static void
arguments_are_counted_from_zero(void **state)
{
	struct call c = call_of("2[\"m\",1,{\"a\":2},\"x\"]");

	assert_int_equal(call_arg(&c, 0).kind, JSON_KIND_NUMBER);
	assert_int_equal(call_arg(&c, 1).kind, JSON_KIND_OBJECT);
	assert_true(json_is(call_arg(&c, 2), "x"));
	assert_int_equal(call_arg(&c, 3).kind, JSON_KIND_NONE);
	c = call_of("2[\"m\"]");
	assert_int_equal(call_arg(&c, 0).kind, JSON_KIND_NONE);
}

static void
what_may_only_be_passed_on_has_no_arguments(void **state)
{
	struct call c = call_of("2[\"m\",{\"a\":1,\"a\":2}]");

	assert_non_null(pkt.refused);
	assert_int_equal(call_arg(&c, 0).kind, JSON_KIND_NONE);
	packs("2[\"m\",{\"a\":1,\"a\":2}]", "", "{\"a\":1,\"a\":2}", 0);
}

static void
a_placeholder_stands_for_bytes_in_a_binary_packet(void **state)
{
	struct call c = call_of("51-[\"m\",{\"_placeholder\":true,\"num\":0},"
				"{\"x\":1}]");

	assert_true(call_is_binary(&c, call_arg(&c, 0)));
	assert_false(call_is_binary(&c, call_arg(&c, 1)));
	assert_false(call_is_binary(&c, call_arg(&c, 2)));
}

static void
a_placeholder_within_an_object_is_found(void **state)
{
	struct call c = call_of("51-[\"m\",{\"hello\":\"x\",\"message\":"
				"{\"_placeholder\":true,\"num\":0}}]");
	struct json_value v = call_arg(&c, 0);

	assert_false(call_is_binary(&c, v));
	assert_true(call_is_binary(&c, json_member(v, "message")));
	assert_false(call_is_binary(&c, json_member(v, "hello")));
}

static void
case_98_a_placeholder_in_a_text_packet_is_an_object(void **state)
{
	struct call c = call_of("2[\"m\",{\"_placeholder\":true,\"num\":0}]");

	assert_false(call_is_binary(&c, call_arg(&c, 0)));
	packs("2[\"m\",{\"_placeholder\":true,\"num\":0}]", "",
	    "{\"_placeholder\":true,\"num\":0}", 0);
}

static void
arguments_are_packed_as_they_came(void **state)
{
	packs("2[\"m\"]", "", "", 0);
	packs("2[\"m\"]", "7", "7", 0);
	packs("2[\"m\",1, 2,\"\\u0041\"]", "", "1, 2,\"\\u0041\"", 0);
	packs("2[\"m\",1]", "7", "7,1", 0);
}

static void
case_103_bytes_are_sent_in_the_order_of_placeholders(void **state)
{
	packs("53-[\"m\",{\"_placeholder\":true,\"num\":2},"
	      "{\"_placeholder\":true,\"num\":0},"
	      "{\"_placeholder\":true,\"num\":2}]",
	    "7",
	    "7,{\"_placeholder\":true,\"num\":0},"
	    "{\"_placeholder\":true,\"num\":1},"
	    "{\"_placeholder\":true,\"num\":2}",
	    3);
	assert_ptr_equal(pk.attachments[0].p, bytes[2].p);
	assert_ptr_equal(pk.attachments[1].p, bytes[0].p);
	assert_ptr_equal(pk.attachments[2].p, bytes[2].p);
}

static void
more_placeholders_than_a_packet_may_have_are_not_packed(void **state)
{
	struct strbuf sb = STRBUF_INIT;
	struct call c;

	sb_adds(&sb, "51-[\"m\"");
	for (unsigned i = 0; i <= SIO_ATTACHMENTS_MAX; i++)
		sb_adds(&sb, ",{\"_placeholder\":true,\"num\":0}");
	sb_addc(&sb, ']');
	c = call_of(sb.data);
	memset(&pk, 0, sizeof(pk));
	sb_init(&pk.json);
	assert_false(call_pack(&c, &pk));
	sb_clear(&pk.json);
	sb_clear(&sb);
}

static void
truth_is_javascripts(void **state)
{
	static const char *const truths[] = { "true", "1", "-1", "0.5", "\"0\"",
		"\" \"", "{}", "[]", "1e400" };
	static const char *const lies[] = { "false", "0", "-0", "0.0", "\"\"",
		"null", "", "1e-400" };
	size_t i;

	for (i = 0; i < sizeof(truths) / sizeof(truths[0]); i++)
		if (!json_is_true(json_value(truths[i], strlen(truths[i]))))
			fail_msg("%s", truths[i]);
	for (i = 0; i < sizeof(lies) / sizeof(lies[0]); i++)
		if (json_is_true(json_value(lies[i], strlen(lies[i]))))
			fail_msg("%s", lies[i]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(arguments_are_counted_from_zero),
		cmocka_unit_test(what_may_only_be_passed_on_has_no_arguments),
		cmocka_unit_test(
		    a_placeholder_stands_for_bytes_in_a_binary_packet),
		cmocka_unit_test(a_placeholder_within_an_object_is_found),
		cmocka_unit_test(
		    case_98_a_placeholder_in_a_text_packet_is_an_object),
		cmocka_unit_test(arguments_are_packed_as_they_came),
		cmocka_unit_test(
		    case_103_bytes_are_sent_in_the_order_of_placeholders),
		cmocka_unit_test(
		    more_placeholders_than_a_packet_may_have_are_not_packed),
		cmocka_unit_test(truth_is_javascripts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
