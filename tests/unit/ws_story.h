/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * ws_story - what a client sends, and what of it comes out of the parser,
 * told as one line of text.  Whatever is fed is fed whole, cut in two at
 * every byte, and byte by byte, and must mean the same each time.
 */

#ifndef WS_STORY_H
#define WS_STORY_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/ws.h"

#define FIN 0x80
#define MESSAGE_MAX 1000000
/* inputs up to this size are cut at every byte */
#define SPLIT_MAX 1200

/* --- what a client sends ------------------------------------------------- */

static uint8_t in[1 << 18];
static size_t in_len;

static inline void
in_byte(unsigned b)
{
	assert_true(in_len < sizeof(in));
	in[in_len++] = (uint8_t)b;
}

static inline void
in_be(uint64_t v, unsigned n)
{
	while (n-- > 0)
		in_byte((unsigned)(v >> (8 * n)) & 0xff);
}

/* The first bytes of a masked frame, its length in 'form' bytes (1, 2, 8). */
static inline void
in_head(unsigned first, uint64_t len, unsigned form)
{
	in_byte(first);
	if (form == 1) {
		in_byte(0x80 | (unsigned)len);
		return;
	}
	in_byte(0x80 | (form == 2 ? 126 : 127));
	in_be(len, form);
}

static inline void
in_frame(unsigned first, const void *payload, size_t len)
{
	static const uint8_t key[4] = { 0x12, 0xff, 0x00, 0xa7 };
	size_t i;

	in_head(first, len, len < 126 ? 1 : len < 65536 ? 2 : 8);
	for (i = 0; i < 4; i++)
		in_byte(key[i]);
	for (i = 0; i < len; i++)
		in_byte(((const uint8_t *)payload)[i] ^ key[i % 4]);
}

static inline void
in_text(unsigned first, const char *text)
{
	in_frame(first, text, strlen(text));
}

static inline void
in_close(unsigned code, const char *reason)
{
	char payload[125];

	payload[0] = (char)(code >> 8);
	payload[1] = (char)code;
	memcpy(payload + 2, reason, strlen(reason));
	in_frame(FIN | WS_CLOSE, payload, strlen(reason) + 2);
}

/* --- what comes out ------------------------------------------------------ */

/* One line: "text hello; ping x; close 1000 bye; error 1002;" */
static char story[1 << 12];
static size_t story_len;
/* the message under way; long ones are told by length and sum */
static uint8_t message[1 << 18];
static size_t message_len;
static uint64_t message_max;
static bool deflate;
static bool message_compressed;
static size_t events;

static inline void
tell(const char *text, size_t len)
{
	assert_true(story_len + len < sizeof(story));
	memcpy(story + story_len, text, len);
	story_len += len;
	story[story_len] = '\0';
}

static inline void
tell_payload(const void *data, size_t len)
{
	char text[64];
	unsigned sum = 0;
	size_t i;

	if (len <= 64) {
		tell(data, len);
		return;
	}
	for (i = 0; i < len; i++)
		sum = sum * 31 + ((const uint8_t *)data)[i];
	(void)snprintf(text, sizeof(text), "%zu bytes %x", len, sum);
	tell(text, strlen(text));
}

static inline void
tell_data(const struct ws_event *ev)
{
	assert_int_equal(ev->first, message_len == 0 && events == 0);
	if (ev->first)
		message_compressed = ev->compressed;
	assert_int_equal(ev->compressed, message_compressed);
	memcpy(message + message_len, ev->data, ev->len);
	message_len += ev->len;
	events++;
	if (!ev->last)
		return;
	if (ev->compressed)
		tell("compressed ", 11);
	tell(ev->opcode == WS_TEXT ? "text " : "binary ",
	    ev->opcode == WS_TEXT ? 5 : 7);
	tell_payload(message, message_len);
	tell("; ", 2);
	message_len = 0;
	events = 0;
}

static inline void
tell_event(enum ws_result result, const struct ws_event *ev)
{
	char text[32];

	if (result == WS_DATA) {
		tell_data(ev);
		return;
	}
	if (result == WS_ERROR) {
		assert_non_null(ev->why);
		(void)snprintf(text, sizeof(text), "error %u", ev->code);
	} else if (ev->opcode == WS_CLOSE) {
		(void)snprintf(text, sizeof(text), "close %u ", ev->code);
	} else {
		(void)snprintf(text, sizeof(text), "%s ",
		    ev->opcode == WS_PING ? "ping" : "pong");
	}
	tell(text, strlen(text));
	if (result == WS_CONTROL)
		tell_payload(ev->data, ev->len);
	tell("; ", 2);
}

/*
 * Feed one buffer, from a copy that ends where it ends.  The parser moves,
 * too: it has no pointers.  Returns the bytes that have to come again.
 */
static inline size_t
feed(struct ws_parser **p, const uint8_t *bytes, size_t len)
{
	struct ws_parser *moved = malloc(sizeof(*moved));
	uint8_t *copy = malloc(len > 0 ? len : 1);
	size_t pos = 0, used;
	struct ws_event ev;
	enum ws_result result;

	assert_non_null(moved);
	assert_non_null(copy);
	*moved = **p;
	free(*p);
	*p = moved;
	memcpy(copy, bytes, len);
	do {
		result = ws_next(moved, copy + pos, len - pos, &used, &ev);
		assert_true(used <= len - pos);
		pos += used;
		if (result != WS_MORE)
			tell_event(result, &ev);
	} while (result != WS_MORE);
	assert_true(len - pos < WS_KEEP_MAX);
	free(copy);
	return len - pos;
}

static inline struct ws_parser *
begin(void)
{
	struct ws_parser *p = malloc(sizeof(*p));

	assert_non_null(p);
	ws_init(p, message_max);
	if (deflate)
		ws_allow_deflate(p);
	story_len = 0;
	story[0] = '\0';
	message_len = 0;
	events = 0;
	return p;
}

/* Cut into pieces: the first of 'first' bytes, the others of 'step'. */
static inline void
feed_cut(size_t first, size_t step)
{
	struct ws_parser *p = begin();
	size_t from = 0, to = first;

	for (;;) {
		from = to - feed(&p, in + from, to - from);
		if (to == in_len)
			break;
		to = in_len - to > step ? to + step : in_len;
	}
	free(p);
}

static inline void
check(const char *want)
{
	size_t cut;

	feed_cut(in_len, in_len);
	assert_string_equal(story, want);
	feed_cut(0, in_len > SPLIT_MAX ? 4093 : 1);
	assert_string_equal(story, want);
	for (cut = 1; cut < in_len && cut < SPLIT_MAX; cut++) {
		feed_cut(cut, in_len);
		assert_string_equal(story, want);
	}
	in_len = 0;
}

/* What it means must begin so, and be the same however it is cut. */
static inline void
check_begins(const char *want)
{
	char whole[sizeof(story)];

	feed_cut(in_len, in_len);
	assert_memory_equal(story, want, strlen(want));
	memcpy(whole, story, sizeof(story));
	check(whole);
}

static inline int
setup(void **state)
{
	in_len = 0;
	message_max = MESSAGE_MAX;
	deflate = false;
	return 0;
}

#define T(name) cmocka_unit_test_setup(name, setup)

#endif /* WS_STORY_H */
