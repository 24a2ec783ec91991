/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_sio_write - what sio.h promises of its encoders.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/sio.h"

static char out[512];

static void
assert_out(size_t len, const char *want)
{
	assert_int_equal(len, strlen(want));
	assert_memory_equal(out, want, len);
	memset(out, '?', sizeof(out));
}

static void
packets_are_written_as_the_reference_does(void **state)
{
	struct span admin = { "/admin", 6 };
	struct span root = { "/", 1 };

	assert_out(sio_connect(out, sizeof(out), NULL, "abc", NULL),
	    "0{\"sid\":\"abc\"}");
	assert_out(sio_connect(out, sizeof(out), &admin, "abc", "def"),
	    "0/admin,{\"sid\":\"abc\",\"pid\":\"def\"}");
	assert_out(sio_connect_error(out, sizeof(out), &admin,
		       "Invalid namespace", NULL, 0),
	    "4/admin,{\"message\":\"Invalid namespace\"}");
	assert_out(sio_connect_error(out, sizeof(out), NULL, "no", "{\"a\":1}",
		       7),
	    "4{\"message\":\"no\",\"data\":{\"a\":1}}");
	assert_out(sio_event(out, sizeof(out), &root, "hey", "\"Jude\",1", 8),
	    "2[\"hey\",\"Jude\",1]");
	assert_out(sio_event(out, sizeof(out), NULL, "hey", NULL, 0),
	    "2[\"hey\"]");
	assert_out(sio_ack(out, sizeof(out), NULL, SIO_ID_MAX, "\"bar\"", 5),
	    "39007199254740991[\"bar\"]");
	assert_out(sio_ack(out, sizeof(out), &admin, 0, NULL, 0),
	    "3/admin,0[]");
}

static void
an_offset_is_the_last_element(void **state)
{
	struct span admin = { "/admin", 6 };

	assert_out(sio_event_offset(out, sizeof(out), NULL, "hey", "{},1", 4,
		       "a1.b:2"),
	    "2[\"hey\",{},1,\"a1.b:2\"]");
	assert_out(sio_event_offset(out, sizeof(out), &admin, "hey", NULL, 0,
		       "0"),
	    "2/admin,[\"hey\",\"0\"]");
	assert_out(sio_event_offset(out, sizeof(out), NULL, "hey", "1", 1,
		       NULL),
	    "2[\"hey\",1]");
}

#define SPAN(text) \
	{ \
		text, sizeof(text) - 1 \
	}

static void
any_packet_can_be_written(void **state)
{
	static const struct {
		struct sio_message m;
		const char *want;
	} rows[] = {
		{ { .type = SIO_EVENT, .name = SPAN("\"a\"") }, "2[\"a\"]" },
		{ { .type = SIO_EVENT,
		      .nsp = SPAN("/"),
		      .name = SPAN("5"),
		      .args = SPAN("1,2") },
		    "2[5,1,2]" },
		{ { .type = SIO_EVENT,
		      .nsp = SPAN("/admin"),
		      .has_id = true,
		      .name = SPAN("\"a\"") },
		    "2/admin,0[\"a\"]" },
		{ { .type = SIO_EVENT,
		      .has_id = true,
		      .id = 12,
		      .nattach = 1,
		      .name = SPAN("\"baz\""),
		      .args = SPAN("{\"_placeholder\":true,\"num\":0}") },
		    "51-12[\"baz\",{\"_placeholder\":true,\"num\":0}]" },
		{ { .type = SIO_ACK,
		      .nsp = SPAN("/admin"),
		      .has_id = true,
		      .id = 1,
		      .nattach = 10,
		      .args = SPAN("{\"_placeholder\":true,\"num\":0}") },
		    "610-/admin,1[{\"_placeholder\":true,\"num\":0}]" },
		{ { .type = SIO_ACK, .has_id = true }, "30[]" },
		/* the attachments decide, not the type */
		{ { .type = SIO_BINARY_EVENT, .name = SPAN("\"a\"") },
		    "2[\"a\"]" },
		{ { .type = SIO_BINARY_ACK,
		      .has_id = true,
		      .id = 7,
		      .args = SPAN("1") },
		    "37[1]" },
		{ { .type = SIO_BINARY_EVENT,
		      .nattach = 2,
		      .name = SPAN("\"a\"") },
		    "52-[\"a\"]" },
		{ { .type = SIO_EVENT,
		      .name = SPAN("\"a\""),
		      .args = SPAN("{}"),
		      .offset = SPAN("p1") },
		    "2[\"a\",{},\"p1\"]" },
		{ { .type = SIO_EVENT,
		      .name = SPAN("\"a\""),
		      .offset = SPAN("p1") },
		    "2[\"a\",\"p1\"]" },
		{ { .type = SIO_ACK, .offset = SPAN("p1") }, "3[\"p1\"]" },
		/* version 2: a CONNECT without, an error with any JSON */
		{ { .type = SIO_CONNECT }, "0" },
		{ { .type = SIO_CONNECT, .nsp = SPAN("/x") }, "0/x," },
		{ { .type = SIO_CONNECT, .args = SPAN("{}") }, "0{}" },
		{ { .type = SIO_CONNECT_ERROR, .args = SPAN("\"no\"") },
		    "4\"no\"" },
		{ { .type = SIO_DISCONNECT }, "1" },
		{ { .type = SIO_DISCONNECT, .nsp = SPAN("/x") }, "1/x," },
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_out(sio_encode(out, sizeof(out), &rows[i].m),
		    rows[i].want);
}

static void
what_does_not_fit_is_measured(void **state)
{
	const struct sio_message m = {
		.type = SIO_EVENT,
		.name = { "\"hey\"", 5 },
		.args = { "1", 1 },
	};
	size_t n;
	char *small;

	assert_int_equal(sio_event(NULL, 0, NULL, "hey", "1", 1), 10);
	assert_int_equal(sio_event_offset(NULL, 0, NULL, "hey", "1", 1, "o"),
	    14);
	assert_int_equal(sio_encode(NULL, 0, &m), 10);
	for (n = 0; n < 14; n++) {
		small = malloc(n > 0 ? n : 1);
		assert_non_null(small);
		assert_int_equal(sio_event_offset(small, n, NULL, "hey", "1", 1,
				     "o"),
		    14);
		if (n < 11)
			assert_int_equal(sio_ack(small, n, NULL, 1234567, "1",
					     1),
			    11);
		if (n < 10) {
			assert_int_equal(sio_event(small, n, NULL, "hey", "1",
					     1),
			    10);
			assert_int_equal(sio_encode(small, n, &m), 10);
		}
		assert_int_equal(sio_connect(small, n, NULL, "s", "p"), 22);
		free(small);
	}
}

static void
what_is_written_can_be_read(void **state)
{
	struct sio_packet pkt;
	const char *why;
	size_t len =
	    sio_event(out, sizeof(out), NULL, "chat:x", "{\"a\":1}", 7);

	assert_true(sio_decode(out, len, &pkt, &why));
	assert_true(sio_name_is(&pkt, "chat:x"));
	assert_true(span_is(pkt.args, "{\"a\":1}"));
	len = sio_ack(out, sizeof(out), NULL, 77, "1,2", 3);
	assert_true(sio_decode(out, len, &pkt, &why));
	assert_int_equal(pkt.id, 77);
	assert_true(span_is(pkt.args, "1,2"));
}

#define T(name) cmocka_unit_test(name)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(packets_are_written_as_the_reference_does),
		T(an_offset_is_the_last_element),
		T(any_packet_can_be_written),
		T(what_does_not_fit_is_measured),
		T(what_is_written_can_be_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
