/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * fuzz_payload - bodies of POSTs, as a worker reads them: repaired or out of
 * a form; the packets found, written as frames and as an answer, are found
 * again.  The first input byte chooses the format.
 */

#include <stdint.h>
#include <stdlib.h>
#include <sys/uio.h>

#include "common/log.h"
#include "common/utf8.h"
#include "proto/payload.h"
#include "proto/ws.h"

/* payloads up to this size are written from frames cut at every byte */
#define SPLIT_MAX 128

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Frames as a session queues them. */
struct run {
	char *buf;
	size_t len;
	unsigned packets;
	bool binary;
};

/* A separator within a packet would be one again. */
static bool
is_writable(const struct eio_packet *pkt, unsigned revision)
{
	if (pkt->binary)
		return pkt->type == EIO_MESSAGE;
	return revision == EIO_REVISION_3 || pkt->data.len == 0 ||
	    memchr(pkt->data.p, '\x1e', pkt->data.len) == NULL;
}

static void
add_frame(struct run *r, const struct eio_packet *pkt, unsigned revision)
{
	char prefix[2] = { eio_type_char(pkt->type) };
	size_t n = 1;

	if (!is_writable(pkt, revision))
		return;
	if (pkt->binary)
		n = eio_binary_prefix(prefix, revision, false);
	r->len += ws_header(r->buf + r->len, pkt->binary ? WS_BINARY : WS_TEXT,
	    n + pkt->data.len);
	memcpy(r->buf + r->len, prefix, n);
	r->len += n;
	if (pkt->data.len > 0)
		memcpy(r->buf + r->len, pkt->data.p, pkt->data.len);
	r->len += pkt->data.len;
	r->packets++;
	r->binary |= pkt->binary;
}

static char *
write_run(const struct run *r, size_t cut, unsigned revision, bool b64,
    struct payload_plan *plan)
{
	const struct iovec iov[3] = {
		{ r->buf, cut },
		{ NULL, 0 },
		{ r->buf + cut, r->len - cut },
	};
	char *text;

	payload_plan(plan, revision, b64, iov, 3);
	CHECK(plan->packets == r->packets);
	CHECK((text = malloc(plan->size + 1)) != NULL);
	payload_write(text, plan, iov, 3);
	return text;
}

static void
check_jsonp(const char *text, size_t len)
{
	const struct span j = { "7", 1 };
	size_t size = payload_jsonp_size(j, text, len), i;
	char *js = malloc(size);

	CHECK(js != NULL && size >= len + 14);
	payload_jsonp_write(js, j, text, len);
	CHECK(memcmp(js, "___eio[7](\"", 11) == 0);
	CHECK(memcmp(js + size - 3, "\");", 3) == 0);
	CHECK(utf8_valid(js, size));
	for (i = 0; i < size; i++)
		CHECK((uint8_t)js[i] >= ' ');
	CHECK(memmem(js, size, "\xe2\x80\xa8", 3) == NULL);
	CHECK(memmem(js, size, "\xe2\x80\xa9", 3) == NULL);
	free(js);
}

/* What is written is read again as the same frames. */
static void
check_again(const struct run *r, unsigned revision, bool b64)
{
	struct run again = { .buf = malloc(r->len + 1) };
	struct payload_plan plan, cut_plan;
	struct payload it;
	struct eio_packet pkt;
	const char *why;
	char *text = write_run(r, r->len / 2, revision, b64, &plan), *cut_text;
	enum payload_result result;
	size_t cut;

	CHECK(again.buf != NULL);
	CHECK((plan.format == PAYLOAD_V3_BINARY) ==
	    (revision == EIO_REVISION_3 && r->binary && !b64));
	for (cut = 0; cut <= r->len && r->len <= SPLIT_MAX; cut++) {
		cut_text = write_run(r, cut, revision, b64, &cut_plan);
		CHECK(cut_plan.size == plan.size);
		CHECK(memcmp(cut_text, text, plan.size) == 0);
		free(cut_text);
	}
	if (plan.format != PAYLOAD_V3_BINARY) {
		CHECK(utf8_valid(text, plan.size));
		check_jsonp(text, plan.size);
	}
	payload_init(&it, plan.format, text, plan.size);
	while ((result = payload_next(&it, &pkt, &why)) == PAYLOAD_PACKET)
		add_frame(&again, &pkt, revision);
	CHECK(result == PAYLOAD_END || r->packets == 0);
	CHECK(again.len == r->len);
	CHECK(memcmp(again.buf, r->buf, r->len) == 0);
	free(again.buf);
	free(text);
}

static void
read_body(char *body, size_t len, enum payload_format format)
{
	unsigned revision =
	    format == PAYLOAD_V4 ? EIO_REVISION_4 : EIO_REVISION_3;
	/* headers are the more, the smaller the packets are */
	struct run r = { .buf = malloc(4 * len + 16) };
	struct payload it;
	struct eio_packet pkt;
	const char *why = NULL;
	enum payload_result result;
	size_t total = 0;

	CHECK(r.buf != NULL);
	payload_init(&it, format, body, len);
	while ((result = payload_next(&it, &pkt, &why)) == PAYLOAD_PACKET) {
		CHECK(pkt.type < EIO_TYPE__MAX && !pkt.base64);
		CHECK(pkt.data.p >= body);
		CHECK(pkt.data.p + pkt.data.len <= body + len);
		CHECK(pkt.binary || utf8_valid(pkt.data.p, pkt.data.len));
		CHECK((total += pkt.data.len) <= len);
		add_frame(&r, &pkt, revision);
	}
	CHECK((result == PAYLOAD_BAD) == (why != NULL));
	CHECK(payload_next(&it, &pkt, &why) == PAYLOAD_END);
	if (r.packets > 0) {
		check_again(&r, revision, false);
		check_again(&r, revision, true);
	}
	free(r.buf);
}

/* A copy that ends where it ends, and is UTF-8. */
static char *
repaired(const char *text, size_t len, size_t *len_r)
{
	size_t size = payload_repair_size(text, len);
	char *copy = malloc(size > 0 ? size : 1);

	CHECK(copy != NULL && size <= 3 * len);
	payload_repair(copy, text, len);
	CHECK(utf8_valid(copy, size));
	if (utf8_valid(text, len))
		CHECK(size == len && memcmp(copy, text, len) == 0);
	*len_r = size;
	return copy;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum payload_format format;
	char *body, *form = NULL;
	bool jsonp;

	if (size == 0)
		return 0;
	format = data[0] % 3;
	jsonp = data[0] & 0x80 && format != PAYLOAD_V3_BINARY;
	data++;
	size--;
	if (jsonp) {
		CHECK((form = malloc(3 * size + 1)) != NULL);
		if (!payload_jsonp_decode(form, (const char *)data, size,
			&size)) {
			free(form);
			return 0;
		}
		CHECK(utf8_valid(form, size));
		data = (uint8_t *)form;
	}
	if (format == PAYLOAD_V3_BINARY) {
		CHECK((body = malloc(size > 0 ? size : 1)) != NULL);
		memcpy(body, data, size);
	} else {
		body = repaired((const char *)data, size, &size);
	}
	read_body(body, size, format);
	free(body);
	free(form);
	return 0;
}
