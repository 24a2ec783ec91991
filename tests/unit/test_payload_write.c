/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_payload_write - what payload.h promises of answers.  Each run of
 * frames is given in one piece, cut in two at each byte, and byte by byte.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>

#include <cmocka.h>

#include "proto/payload.h"
#include "proto/ws.h"

/* runs up to this size are cut at every byte */
#define SPLIT_MAX 400

static char run[300000];
static size_t run_len;

static void
add(enum ws_opcode opcode, const char *data, size_t len)
{
	run_len += ws_header(run + run_len, opcode, len);
	assert_true(run_len + len <= sizeof(run));
	memcpy(run + run_len, data, len);
	run_len += len;
}

#define TEXT(data) add(WS_TEXT, data, sizeof(data) - 1)
#define BINARY(data) add(WS_BINARY, data, sizeof(data) - 1)

static void
check(unsigned revision, bool b64, const struct iovec *iov, int n,
    enum payload_format format, const char *want, size_t want_len)
{
	struct payload_plan plan;
	char *dst;

	payload_plan(&plan, revision, b64, iov, n);
	assert_int_equal(plan.format, format);
	assert_int_equal(plan.size, want_len);
	dst = malloc(plan.size > 0 ? plan.size : 1);
	assert_non_null(dst);
	payload_write(dst, &plan, iov, n);
	assert_memory_equal(dst, want, want_len);
	free(dst);
}

static void
becomes_n(unsigned revision, bool b64, enum payload_format format,
    const char *want, size_t want_len)
{
	static struct iovec bytes[2 * SPLIT_MAX];
	struct iovec iov[4] = { { run, run_len } };
	size_t cut;

	check(revision, b64, iov, 1, format, want, want_len);
	if (run_len > SPLIT_MAX)
		return;
	for (cut = 0; cut <= run_len; cut++) {
		iov[0] = (struct iovec){ run, cut };
		iov[1] = (struct iovec){ NULL, 0 };
		iov[2] = (struct iovec){ run + cut, run_len - cut };
		iov[3] = (struct iovec){ run, 0 };
		check(revision, b64, iov, 4, format, want, want_len);
	}
	for (cut = 0; cut < run_len; cut++) {
		bytes[2 * cut] = (struct iovec){ run + cut, 1 };
		bytes[2 * cut + 1] = (struct iovec){ run, 0 };
	}
	check(revision, b64, bytes, 2 * (int)run_len, format, want, want_len);
}

#define becomes(revision, b64, format, want) \
	becomes_n(revision, b64, format, want, sizeof(want) - 1)

static int
setup(void **state)
{
	run_len = 0;
	return 0;
}

static void
revision_4_has_separators(void **state)
{
	TEXT("0{\"sid\":\"x\"}");
	becomes(4, false, PAYLOAD_V4, "0{\"sid\":\"x\"}");
	TEXT("2");
	TEXT("4\xe2\x82\xac");
	becomes(4, false, PAYLOAD_V4,
	    "0{\"sid\":\"x\"}\x1e"
	    "2\x1e"
	    "4\xe2\x82\xac");
	becomes(4, true, PAYLOAD_V4,
	    "0{\"sid\":\"x\"}\x1e"
	    "2\x1e"
	    "4\xe2\x82\xac");
}

static void
revision_4_binary_is_base64(void **state)
{
	TEXT("451-[{\"_placeholder\":true,\"num\":0}]");
	BINARY("\1\2\3\4");
	BINARY("");
	BINARY("\xfb\xff\0");
	TEXT("6");
	becomes(4, false, PAYLOAD_V4,
	    "451-[{\"_placeholder\":true,\"num\":0}]\x1e"
	    "bAQIDBA==\x1e"
	    "b\x1e"
	    "b+/8A\x1e"
	    "6");
}

static void
revision_3_counts_utf16(void **state)
{
	TEXT("4hello");
	TEXT("4\xe2\x82\xac");
	TEXT("4\xf0\x9f\x98\x80");
	TEXT("3");
	becomes(3, true, PAYLOAD_V3_TEXT,
	    "6:4hello"
	    "2:4\xe2\x82\xac"
	    "3:4\xf0\x9f\x98\x80"
	    "1:3");
	/* without a binary packet it is text for all */
	becomes(3, false, PAYLOAD_V3_TEXT,
	    "6:4hello"
	    "2:4\xe2\x82\xac"
	    "3:4\xf0\x9f\x98\x80"
	    "1:3");
}

static void
revision_3_binary_by_base64(void **state)
{
	TEXT("4a");
	BINARY("\4\1\2\3\4");
	BINARY("\4");
	becomes(3, true, PAYLOAD_V3_TEXT, "2:4a10:b4AQIDBA==2:b4");
}

static void
revision_3_binary_framing(void **state)
{
	TEXT("4\xe2\x82\xac");
	BINARY("\4\1\2\3");
	BINARY("\4");
	TEXT("4012345678");
	becomes(3, false, PAYLOAD_V3_BINARY,
	    "\0\4\xff"
	    "4\xe2\x82\xac"
	    "\1\4\xff\4\1\2\3"
	    "\1\1\xff\4"
	    "\0\1\0\xff"
	    "4012345678");
}

static void
nothing_becomes_nothing(void **state)
{
	struct payload_plan plan;

	becomes(4, false, PAYLOAD_V4, "");
	becomes(3, true, PAYLOAD_V3_TEXT, "");
	payload_plan(&plan, 4, false, NULL, 0);
	assert_int_equal(plan.packets, 0);
	assert_int_equal(plan.size, 0);
}

static void
control_frames_are_left_out(void **state)
{
	struct payload_plan plan;
	struct iovec iov;

	add(WS_PING, "ping", 4);
	TEXT("4a");
	add(WS_PONG, "", 0);
	TEXT("4b");
	add(WS_CLOSE, "\x03\xe8", 2);
	becomes(4, false, PAYLOAD_V4,
	    "4a\x1e"
	    "4b");
	iov = (struct iovec){ run, run_len };
	payload_plan(&plan, 4, false, &iov, 1);
	assert_int_equal(plan.packets, 2);
}

/* Headers of all three sizes, base64 of several blocks. */
static void
long_frames_come_through(void **state)
{
	static const size_t sizes[] = { 2, 125, 126, 127, 768, 769, 770, 771,
		1537, 65535, 65536, 70000 };
	static char data[70000];
	struct payload_plan plan;
	struct payload it;
	struct eio_packet pkt;
	struct iovec iov[3];
	const char *why;
	char *dst;
	size_t i, n;
	unsigned kind;

	for (i = 0; i < sizeof(data); i++)
		data[i] = (char)('a' + i % 23);
	for (kind = 0; kind < 8; kind++) {
		bool v3 = kind & 1, b64 = kind & 2, binary = kind & 4;

		for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			n = sizes[i];
			run_len = 0;
			data[0] = binary ? 4 : '4';
			add(binary ? WS_BINARY : WS_TEXT, data, n);
			TEXT("6");
			iov[0] = (struct iovec){ run, n / 2 };
			iov[1] = (struct iovec){ run + n / 2, 1 };
			iov[2] = (struct iovec){ run + n / 2 + 1,
				run_len - n / 2 - 1 };
			payload_plan(&plan, v3 ? 3 : 4, b64, iov, 3);
			assert_non_null(dst = malloc(plan.size));
			payload_write(dst, &plan, iov, 3);
			payload_init(&it, plan.format, dst, plan.size);
			assert_int_equal(payload_next(&it, &pkt, &why),
			    PAYLOAD_PACKET);
			assert_int_equal(pkt.type, EIO_MESSAGE);
			assert_int_equal(pkt.binary, binary);
			if (binary && !v3) {
				assert_int_equal(pkt.data.len, n);
				assert_memory_equal(pkt.data.p, data, n);
			} else {
				assert_int_equal(pkt.data.len, n - 1);
				assert_memory_equal(pkt.data.p, data + 1,
				    n - 1);
			}
			assert_int_equal(payload_next(&it, &pkt, &why),
			    PAYLOAD_PACKET);
			assert_int_equal(pkt.type, EIO_NOOP);
			assert_int_equal(payload_next(&it, &pkt, &why),
			    PAYLOAD_END);
			free(dst);
		}
	}
}

#define T(name) cmocka_unit_test_setup(name, setup)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(revision_4_has_separators),
		T(revision_4_binary_is_base64),
		T(revision_3_counts_utf16),
		T(revision_3_binary_by_base64),
		T(revision_3_binary_framing),
		T(nothing_becomes_nothing),
		T(control_frames_are_left_out),
		T(long_frames_come_through),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
