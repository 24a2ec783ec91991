/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * fuzz_eio - Engine.IO packets of both revisions, and what clients of
 * version 2 send besides.  The first input byte chooses what the rest is.
 */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/log.h"
#include "common/utf8.h"
#include "proto/base64.h"
#include "proto/frame.h"
#include "proto/query.h"
#include "proto/sio2.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* --- packets ------------------------------------------------------------- */

/* What was read, written again: behind a header of 'len' bytes at most. */
static void
check_frame(const char *p, size_t len, const struct eio_packet *pkt,
    unsigned revision)
{
	size_t size =
	    frame_binary(NULL, 0, pkt->data.p, pkt->data.len, revision);
	char *frame = malloc(size);

	CHECK(frame != NULL);
	CHECK(frame_binary(frame, size, pkt->data.p, pkt->data.len, revision) ==
	    size);
	CHECK(size >= len && memcmp(frame + size - len, p, len) == 0);
	free(frame);
}

/* The bytes behind base64, written again, are the same bytes. */
static void
check_base64(const struct eio_packet *pkt, unsigned revision)
{
	char *bytes = malloc(pkt->data.len / 4 * 3 + 3), *frame, *again;
	size_t n = base64_decode(bytes, pkt->data.p, pkt->data.len);
	size_t size = frame_binary_b64(NULL, 0, bytes, n, revision), head;
	struct eio_packet got;
	const char *why;

	CHECK(bytes != NULL && n <= pkt->data.len / 4 * 3 + 2);
	frame = malloc(size);
	again = malloc(n + 3);
	CHECK(frame != NULL && again != NULL);
	CHECK(frame_binary_b64(frame, size, bytes, n, revision) == size);
	head = size < 2 + 126 ? 2 : size < 4 + 65536 ? 4 : 10;
	CHECK(revision == EIO_REVISION_3
		? eio3_decode(frame + head, size - head, &got, &why)
		: eio_decode(frame + head, size - head, &got, &why));
	CHECK(got.type == EIO_MESSAGE && got.base64);
	CHECK(base64_decode(again, got.data.p, got.data.len) == n);
	CHECK(n == 0 || memcmp(again, bytes, n) == 0);
	free(again);
	free(frame);
	free(bytes);
}

static void
as_packet(const char *p, size_t len, unsigned revision, bool frame_is_binary)
{
	struct eio_packet pkt;
	const char *why = NULL;
	bool ok = true;

	if (!frame_is_binary)
		ok = revision == EIO_REVISION_3
		    ? eio3_decode(p, len, &pkt, &why)
		    : eio_decode(p, len, &pkt, &why);
	else if (revision == EIO_REVISION_3)
		ok = eio3_decode_binary(p, len, &pkt, &why);
	else
		eio_decode_binary(p, len, &pkt);
	CHECK(ok == (why == NULL));
	if (!ok)
		return;
	CHECK(pkt.type < EIO_TYPE__MAX);
	CHECK(pkt.data.len <= len && pkt.data.p + pkt.data.len == p + len);
	CHECK(pkt.binary == (frame_is_binary || p[0] == 'b'));
	CHECK(pkt.base64 == (!frame_is_binary && p[0] == 'b'));
	if (!pkt.binary)
		CHECK(
		    eio_type_char(pkt.type) == p[0] && pkt.data.len == len - 1);
	else if (pkt.type == EIO_MESSAGE && !pkt.base64)
		check_frame(p, len, &pkt, revision);
	else if (pkt.type == EIO_MESSAGE)
		check_base64(&pkt, revision);
}

/* --- version 2 ----------------------------------------------------------- */

/* Each key of the query is there, with its last value. */
static void
check_member(struct json_value object, struct span raw, struct span query)
{
	static char key[SIO2_VALUE_MAX + 1], other[SIO2_VALUE_MAX + 1];
	static char want[SIO2_VALUE_MAX + 1], got[SIO2_VALUE_MAX + 1];
	long len = query_decode(raw, key, sizeof(key)), n, want_len = 0;
	struct json_value v;
	struct span k, value;

	CHECK(len >= 0);
	/* a name that C can say */
	if (strlen(key) != (size_t)len)
		return;
	while (query_next(&query, &k, &value)) {
		n = query_decode(k, other, sizeof(other));
		if (n == len && memcmp(key, other, (size_t)len) == 0)
			want_len = query_decode(value, want, sizeof(want));
	}
	v = json_member(object, key);
	CHECK(v.kind == JSON_KIND_STRING);
	CHECK(json_decode(v, got, sizeof(got)) == want_len);
	CHECK(memcmp(got, want, (size_t)want_len) == 0);
}

static void
as_query(const char *p, size_t len)
{
	struct span query = { p, len }, rest = query, key, value;
	size_t size = sio2_auth(NULL, 0, query);
	char *json = malloc(size > 0 ? size : 1);
	const char *why = NULL;

	CHECK(json != NULL);
	CHECK(sio2_auth(json, size, query) == size);
	CHECK(size != 1);
	if (size > 0) {
		CHECK(utf8_valid(json, size));
		/* a NUL is JSON, but none for us */
		CHECK(json_scan(json, size, 1, &why) == JSON_FINE ||
		    memmem(json, size, "\\u0000", 6) != NULL);
		while (query_next(&rest, &key, &value))
			check_member(json_value(json, size), key, query);
	}
	free(json);
}

static void
as_string(const char *p, size_t len)
{
	struct span text = { p, len };
	size_t size = sio2_string(NULL, 0, text), max = len + 1;
	char *json = malloc(size), *back = malloc(max);
	struct json_value v;

	CHECK(json != NULL && back != NULL);
	CHECK(sio2_string(json, size, text) == size);
	if (utf8_valid(p, len)) {
		v = json_value(json, size);
		CHECK(v.kind == JSON_KIND_STRING && v.text.len == size);
		CHECK(json_decode(v, back, max) == (ssize_t)len);
		CHECK(len == 0 || memcmp(back, p, len) == 0);
	}
	free(back);
	free(json);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* a copy that ends where it ends */
	char *copy;

	if (size == 0)
		return 0;
	copy = malloc(size > 1 ? size - 1 : 1);
	CHECK(copy != NULL);
	if (size > 1)
		memcpy(copy, data + 1, size - 1);
	switch (data[0] % 6) {
	case 0:
	case 1:
		as_packet(copy, size - 1, EIO_REVISION_4, data[0] % 6 == 1);
		break;
	case 2:
	case 3:
		as_packet(copy, size - 1, EIO_REVISION_3, data[0] % 6 == 3);
		break;
	case 4:
		as_query(copy, size - 1);
		break;
	default:
		as_string(copy, size - 1);
		break;
	}
	free(copy);
	return 0;
}
