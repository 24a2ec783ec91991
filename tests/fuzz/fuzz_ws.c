/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * fuzz_ws - frames: they mean the same wherever the bytes are cut.  The
 * first input byte chooses the limit of a message, and whether messages may
 * be compressed; those are inflated as they come.
 */

#include <stdint.h>
#include <stdlib.h>

#include "common/log.h"
#include "common/utf8.h"
#include "proto/deflate.h"
#include "proto/ws.h"

/* inputs up to this size are cut in two at every byte */
#define SPLIT_MAX 256
/* inflated bytes of a message */
#define INFLATED_MAX 70000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct deflate *coder;
static char inflated[INFLATED_MAX];

/* What came out, as one number that depends on all of it in order. */
struct story {
	uint64_t sum;
	/* of the message under way, told when it ends */
	uint64_t message_sum;
	size_t message_len;
	struct utf8 utf8;
	/* of a compressed message */
	enum deflate_result result;
	bool compressed;
	bool within;
	bool closed;
};

static uint64_t
add(uint64_t sum, const void *p, size_t len)
{
	const uint8_t *b = p;
	size_t i;

	for (i = 0; i < len; i++)
		sum = (sum ^ b[i]) * UINT64_C(0x100000001b3);
	return sum;
}

static void
tell_compressed(struct story *s, const struct ws_event *ev)
{
	const char *why = NULL;
	size_t len = 0;
	unsigned code;

	if (ev->first) {
		deflate_begin(coder, inflated, sizeof(inflated));
		s->result = DEFLATE_OK;
	}
	if (s->result == DEFLATE_OK)
		s->result = deflate_feed(coder, ev->data, ev->len, &why);
	if (!ev->last)
		return;
	if (s->result == DEFLATE_OK)
		s->result = deflate_end(coder, &len, &why);
	code = ws_deflate_verdict(s->result, ev->opcode == WS_TEXT, inflated,
	    len, &why);
	CHECK(code == 0 || ws_code_valid(code));
	s->sum = add(s->sum, &code, sizeof(code));
	s->sum = add(s->sum, inflated, len);
}

static void
tell_data(struct story *s, const struct ws_event *ev, uint64_t limit)
{
	CHECK(ev->opcode == WS_TEXT || ev->opcode == WS_BINARY);
	CHECK(ev->first == !s->within);
	CHECK(ev->len > 0 || ev->last);
	if (ev->first) {
		s->message_sum = ev->opcode;
		s->message_len = 0;
		s->utf8 = (struct utf8){ 0 };
		s->compressed = ev->compressed;
	}
	CHECK(ev->compressed == s->compressed);
	if (ev->compressed)
		tell_compressed(s, ev);
	s->message_sum = add(s->message_sum, ev->data, ev->len);
	s->message_len += ev->len;
	CHECK(s->message_len <= limit);
	if (ev->opcode == WS_TEXT && !ev->compressed)
		CHECK(utf8_feed(&s->utf8, ev->data, ev->len));
	s->within = !ev->last;
	if (!ev->last)
		return;
	CHECK(ev->opcode == WS_BINARY || utf8_complete(&s->utf8));
	s->sum = add(s->sum, &s->compressed, sizeof(s->compressed));
	s->sum = add(s->sum, &s->message_sum, sizeof(s->message_sum));
	s->sum = add(s->sum, &s->message_len, sizeof(s->message_len));
}

static void
tell(struct story *s, enum ws_result result, const struct ws_event *ev,
    uint64_t limit)
{
	unsigned head[3] = { result, ev->opcode, ev->code };

	CHECK(!s->closed);
	if (result == WS_DATA) {
		tell_data(s, ev, limit);
		return;
	}
	s->sum = add(s->sum, head, sizeof(head));
	if (result == WS_ERROR) {
		CHECK(ev->why != NULL && ws_code_valid(ev->code));
		s->closed = true;
		return;
	}
	CHECK(ev->len <= WS_CONTROL_MAX);
	s->sum = add(s->sum, ev->data, ev->len);
	s->closed = ev->opcode == WS_CLOSE;
	CHECK(ev->opcode != WS_CLOSE || utf8_valid(ev->data, ev->len));
}

/* One buffer, a copy that ends where it ends; what has to come again. */
static size_t
feed(struct ws_parser *p, const uint8_t *data, size_t size, struct story *s)
{
	uint8_t *copy = malloc(size > 0 ? size : 1);
	enum ws_result result;
	struct ws_event ev;
	size_t pos = 0, used;

	CHECK(copy != NULL);
	if (size > 0)
		memcpy(copy, data, size);
	do {
		result = ws_next(p, copy + pos, size - pos, &used, &ev);
		CHECK(used <= size - pos);
		if (result != WS_MORE)
			tell(s, result, &ev, p->message_max);
		pos += used;
	} while (result != WS_MORE);
	CHECK(size - pos < WS_KEEP_MAX);
	free(copy);
	return size - pos;
}

static uint64_t
run(const uint8_t *data, size_t size, uint64_t limit, bool deflate,
    size_t first, size_t step)
{
	struct ws_parser p;
	struct story s = { .sum = UINT64_C(0xcbf29ce484222325) };
	size_t from = 0, to = first < size ? first : size;

	ws_init(&p, limit);
	if (deflate)
		ws_allow_deflate(&p);
	for (;;) {
		from = to - feed(&p, data + from, to - from, &s);
		if (to == size)
			break;
		to = size - to > step ? to + step : size;
	}
	return s.sum;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint64_t limits[] = { 1000000, 16, 125, 126, 300, 70000,
		UINT64_MAX, 0 };
	uint64_t limit, want;
	bool deflate;
	size_t cut;

	if (size == 0)
		return 0;
	if (coder == NULL)
		coder = deflate_new();
	CHECK(coder != NULL);
	limit = limits[data[0] % (sizeof(limits) / sizeof(limits[0]))];
	deflate = (data[0] & 0x80) != 0;
	data++;
	size--;
	want = run(data, size, limit, deflate, size, size);
	CHECK(run(data, size, limit, deflate, 0, size / 4096 + 1) == want);
	for (cut = 1; cut < size && cut < SPLIT_MAX; cut++)
		CHECK(run(data, size, limit, deflate, cut, size) == want);
	return 0;
}
