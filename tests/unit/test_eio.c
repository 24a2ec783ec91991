/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_eio - what eio.h promises.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "proto/eio.h"

static struct eio_packet pkt;
static char out[1024];

static bool
decode(const char *text)
{
	const char *why = NULL;
	bool ok = eio_decode(text, strlen(text), &pkt, &why);

	assert_true(ok || why != NULL);
	return ok;
}

static void
each_digit_is_a_type(void **state)
{
	unsigned type;
	char text[8];

	for (type = 0; type < EIO_TYPE__MAX; type++) {
		(void)snprintf(text, sizeof(text), "%uab", type);
		assert_true(decode(text));
		assert_int_equal(pkt.type, type);
		assert_true(span_is(pkt.data, "ab"));
		assert_false(pkt.binary || pkt.base64);
		assert_int_equal(eio_type_char(pkt.type), text[0]);
		text[1] = '\0';
		assert_true(decode(text));
		assert_int_equal(pkt.data.len, 0);
	}
}

static void
anything_else_is_a_parse_error(void **state)
{
	assert_false(decode(""));
	assert_false(decode("7"));
	assert_false(decode("9"));
	assert_false(decode("/"));
	assert_false(decode(":"));
	assert_false(decode("a"));
	assert_false(decode("B"));
	assert_false(decode(" 4"));
	assert_false(decode("\xff"));
	assert_false(eio_decode("\0", 1, &pkt, &(const char *){ NULL }));
}

static void
probes_are_pings_with_data(void **state)
{
	assert_true(decode("2probe"));
	assert_int_equal(pkt.type, EIO_PING);
	assert_true(span_is(pkt.data, "probe"));
}

static void
binary_is_a_message_without_a_type(void **state)
{
	assert_true(decode("bAAEC"));
	assert_int_equal(pkt.type, EIO_MESSAGE);
	assert_true(pkt.binary && pkt.base64);
	assert_true(span_is(pkt.data, "AAEC"));
	eio_decode_binary("\x04x", 2, &pkt);
	assert_int_equal(pkt.type, EIO_MESSAGE);
	assert_true(pkt.binary && !pkt.base64);
	assert_true(span_is(pkt.data, "\x04x"));
}

static void
in_revision_3_binary_has_a_type(void **state)
{
	const char *why = NULL;

	assert_true(eio3_decode("b4AAEC", 6, &pkt, &why));
	assert_int_equal(pkt.type, EIO_MESSAGE);
	assert_true(pkt.binary && pkt.base64);
	assert_true(span_is(pkt.data, "AAEC"));
	assert_true(eio3_decode("b4", 2, &pkt, &why));
	assert_int_equal(pkt.data.len, 0);
	assert_true(eio3_decode("b2AA", 4, &pkt, &why));
	assert_int_equal(pkt.type, EIO_PING);
	assert_true(eio3_decode_binary("\x04x", 2, &pkt, &why));
	assert_int_equal(pkt.type, EIO_MESSAGE);
	assert_true(pkt.binary && !pkt.base64);
	assert_true(span_is(pkt.data, "x"));
	assert_true(eio3_decode_binary("\x04", 1, &pkt, &why));
	assert_int_equal(pkt.data.len, 0);
	/* text is the same */
	assert_true(eio3_decode("2probe", 6, &pkt, &why));
	assert_int_equal(pkt.type, EIO_PING);
	assert_false(pkt.binary);
	assert_true(span_is(pkt.data, "probe"));
	assert_true(eio3_decode("42[]", 4, &pkt, &why));
	assert_true(span_is(pkt.data, "2[]"));
}

static void
in_revision_3_a_wrong_type_is_a_parse_error(void **state)
{
	static const char *const texts[] = { "b", "b7", "b/", "b:", "bAAEC",
		"b\xff", "7", "a", "" };
	const char *why;
	size_t i;

	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		why = NULL;
		assert_false(
		    eio3_decode(texts[i], strlen(texts[i]), &pkt, &why));
		assert_non_null(why);
	}
	why = NULL;
	assert_false(eio3_decode_binary("", 0, &pkt, &why));
	assert_string_equal(why, "empty packet");
	assert_false(eio3_decode_binary("\x07", 1, &pkt, &why));
	assert_string_equal(why, "unknown packet type");
	/* the digit is no type there */
	assert_false(eio3_decode_binary("4x", 2, &pkt, &why));
	assert_false(eio3_decode_binary("\xff", 1, &pkt, &why));
}

static void
binary_goes_out_with_what_the_revision_wants(void **state)
{
	char prefix[2] = "??";

	assert_int_equal(eio_binary_prefix(prefix, EIO_REVISION_4, false), 0);
	assert_int_equal(eio_binary_prefix(prefix, EIO_REVISION_4, true), 1);
	assert_memory_equal(prefix, "b?", 2);
	assert_int_equal(eio_binary_prefix(prefix, EIO_REVISION_3, false), 1);
	assert_memory_equal(prefix, "\x04?", 2);
	assert_int_equal(eio_binary_prefix(prefix, EIO_REVISION_3, true), 2);
	assert_memory_equal(prefix, "b4", 2);
}

static void
the_open_packet_has_its_keys_in_order(void **state)
{
	static const char want[] =
	    "0{\"sid\":\"abcdefghijklmnopqrAB\",\"upgrades\":[],"
	    "\"pingInterval\":25000,\"pingTimeout\":20000,"
	    "\"maxPayload\":1000000}";
	struct eio_open o = {
		.sid = "abcdefghijklmnopqrAB",
		.ping_interval = 25000,
		.ping_timeout = 20000,
		.max_payload = 1000000,
	};
	size_t len = eio_open_encode(out, sizeof(out), &o);

	assert_int_equal(len, strlen(want));
	assert_memory_equal(out, want, len);
	assert_int_equal(eio_open_encode(out, len - 1, &o), 0);
	assert_int_equal(eio_open_encode(out, len, &o), len);
	o.upgrade_websocket = true;
	len = eio_open_encode(out, sizeof(out), &o);
	out[len] = '\0';
	assert_non_null(strstr(out, "\"upgrades\":[\"websocket\"],\"ping"));
}

static void
the_longest_open_packet_fits(void **state)
{
	const struct eio_open o = {
		.sid = "abcdefghijklmnopqrAB",
		.upgrade_websocket = true,
		.ping_interval = UINT32_MAX,
		.ping_timeout = UINT32_MAX,
		.max_payload = UINT64_MAX,
	};

	assert_int_not_equal(eio_open_encode(out, EIO_OPEN_MAX, &o), 0);
}

static void
assert_refusal(const struct eio_refusal *r, const char *want)
{
	size_t len = eio_refuse(out, sizeof(out), r);

	assert_int_equal(len, strlen(want));
	assert_memory_equal(out, want, len);
	assert_int_equal(eio_refuse(out, len - 1, r), 0);
}

static void
a_refusal_is_json_and_keeps_the_connection(void **state)
{
	assert_refusal(&(struct eio_refusal){ .error = EIO_UNKNOWN_SID },
	    "HTTP/1.1 400 Bad Request\r\n"
	    "Content-Type: application/json\r\n"
	    "Content-Length: 41\r\n"
	    "Connection: keep-alive\r\n\r\n"
	    "{\"code\":1,\"message\":\"Session ID unknown\"}");
	assert_refusal(
	    &(struct eio_refusal){
		.error = EIO_FORBIDDEN,
		.text = "go away",
		.close = true,
		.headers = "Vary: Origin\r\n",
	    },
	    "HTTP/1.1 403 Forbidden\r\n"
	    "Content-Type: application/json\r\n"
	    "Content-Length: 30\r\n"
	    "Vary: Origin\r\n"
	    "Connection: close\r\n\r\n"
	    "{\"code\":4,\"message\":\"go away\"}");
}

static void
case_36_the_answer_to_head_has_no_body(void **state)
{
	assert_refusal(
	    &(struct eio_refusal){
		.error = EIO_BAD_HANDSHAKE_METHOD,
		.head_only = true,
	    },
	    "HTTP/1.1 400 Bad Request\r\n"
	    "Content-Type: application/json\r\n"
	    "Content-Length: 43\r\n"
	    "Connection: keep-alive\r\n\r\n");
}

static void
an_upgrade_is_refused_in_plain_text_and_closed(void **state)
{
	assert_refusal(
	    &(struct eio_refusal){
		.error = EIO_FORBIDDEN,
		.upgrade = true,
	    },
	    "HTTP/1.1 400 Bad Request\r\n"
	    "Content-Type: text/html\r\n"
	    "Content-Length: 9\r\n"
	    "Connection: close\r\n\r\n"
	    "Forbidden");
}

static void
a_text_that_is_too_long_is_not_cut(void **state)
{
	char text[600];

	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(eio_refuse(out, sizeof(out),
			     &(struct eio_refusal){ .text = text }),
	    0);
}

static void
errors_have_the_texts_of_the_wire(void **state)
{
	assert_string_equal(eio_error_text(EIO_UNKNOWN_TRANSPORT),
	    "Transport unknown");
	assert_string_equal(eio_error_text(EIO_UNKNOWN_SID),
	    "Session ID unknown");
	assert_string_equal(eio_error_text(EIO_BAD_HANDSHAKE_METHOD),
	    "Bad handshake method");
	assert_string_equal(eio_error_text(EIO_BAD_REQUEST), "Bad request");
	assert_string_equal(eio_error_text(EIO_FORBIDDEN), "Forbidden");
	assert_string_equal(eio_error_text(EIO_UNSUPPORTED_VERSION),
	    "Unsupported protocol version");
	assert_int_equal(EIO_UNSUPPORTED_VERSION, 5);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_digit_is_a_type),
		cmocka_unit_test(anything_else_is_a_parse_error),
		cmocka_unit_test(probes_are_pings_with_data),
		cmocka_unit_test(binary_is_a_message_without_a_type),
		cmocka_unit_test(in_revision_3_binary_has_a_type),
		cmocka_unit_test(in_revision_3_a_wrong_type_is_a_parse_error),
		cmocka_unit_test(binary_goes_out_with_what_the_revision_wants),
		cmocka_unit_test(the_open_packet_has_its_keys_in_order),
		cmocka_unit_test(the_longest_open_packet_fits),
		cmocka_unit_test(a_refusal_is_json_and_keeps_the_connection),
		cmocka_unit_test(case_36_the_answer_to_head_has_no_body),
		cmocka_unit_test(
		    an_upgrade_is_refused_in_plain_text_and_closed),
		cmocka_unit_test(a_text_that_is_too_long_is_not_cut),
		cmocka_unit_test(errors_have_the_texts_of_the_wire),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
