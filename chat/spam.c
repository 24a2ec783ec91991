/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "chat/spam.h"

#include <string.h>

#include <xxhash.h>

/* bytes of UTF-8: 1 to 4 */
#define PERIOD 12

bool
spam_is_space(uint32_t c)
{
	return (c >= 0x09 && c <= 0x0d) || c == 0x20 || c == 0xa0 ||
	    c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 ||
	    c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000 ||
	    c == 0xfeff;
}

/* --- one character again and again --------------------------------------- */

/* Lines are drawn with these. */
static bool
is_ruler(uint32_t c)
{
	return (c < 0x80 && c != 0 && strchr("-=_*#~+.|/\\", (int)c) != NULL) ||
	    (c >= 0x2010 && c <= 0x2015) || c == 0x2026 || c == 0x00b7 ||
	    (c >= 0x2500 && c <= 0x25ff) || c == 0x2212;
}

/*
 * A character has a length that divides PERIOD: if no four bytes are again
 * there PERIOD bytes behind, no character is repeated.  SPAM_RUN + 1 bytes
 * are enough to be met.  Escapes may be mixed with what they stand for.
 */
static bool
may_repeat(struct json_span text)
{
	uint32_t a, b;
	size_t i;

	for (i = 0; i + PERIOD + sizeof(b) <= text.len; i += 4) {
		memcpy(&a, text.p + i, sizeof(a));
		memcpy(&b, text.p + i + PERIOD, sizeof(b));
		if (a == b)
			return true;
	}
	return memchr(text.p, '\\', text.len) != NULL &&
	    memmem(text.p, text.len, "\\u", 2) != NULL;
}

/* Where a text stands between Markdown's backticks and indented lines. */
struct code {
	/* backticks that opened it; 0: it is none */
	unsigned fence;
	/* backticks just seen */
	unsigned ticks;
	/* of this line: blanks at its begin; it began with enough of them */
	unsigned blanks;
	bool begun, indented;
};

static void
code_next(struct code *k, uint32_t c)
{
	if (c == '`') {
		k->ticks++;
	} else if (k->ticks > 0) {
		if (k->fence == 0)
			k->fence = k->ticks;
		else if (k->fence == k->ticks)
			k->fence = 0;
		k->ticks = 0;
	}
	if (c == '\n' || c == '\r') {
		k->blanks = 0;
		k->begun = k->indented = false;
		/* a span of code ends with its line at the latest */
		if (k->fence > 0 && k->fence < 3)
			k->fence = 0;
	} else if (!k->begun && (c == ' ' || c == '\t')) {
		k->blanks += c == '\t' ? 4 : 1;
	} else if (!k->begun) {
		k->begun = true;
		k->indented = k->blanks >= 4;
	}
}

bool
spam_repeats(struct json_value text)
{
	struct code code = { 0 };
	const char *at = NULL;
	uint32_t c, last = 0;
	unsigned run = 0;

	if (!may_repeat(text.text))
		return false;
	while (json_next_char(text, &at, &c)) {
		code_next(&code, c);
		if (c != last || code.fence > 0 || code.indented)
			run = 0;
		last = c;
		if (++run > SPAM_RUN && !spam_is_space(c) && !is_ruler(c) &&
		    c != '`')
			return true;
	}
	return false;
}

/* --- the same again and again ---------------------------------------------- */

static const struct {
	uint32_t from, to;
} digits[] = {
	{ '0', '9' },
	{ 0x0660, 0x0669 },
	{ 0x06f0, 0x06f9 },
	{ 0x07c0, 0x07c9 },
	{ 0x0966, 0x096f },
	{ 0x09e6, 0x09ef },
	{ 0x0a66, 0x0a6f },
	{ 0x0ae6, 0x0aef },
	{ 0x0b66, 0x0b6f },
	{ 0x0be6, 0x0bef },
	{ 0x0c66, 0x0c6f },
	{ 0x0ce6, 0x0cef },
	{ 0x0d66, 0x0d6f },
	{ 0x0e50, 0x0e59 },
	{ 0x0ed0, 0x0ed9 },
	{ 0x0f20, 0x0f29 },
	{ 0x1040, 0x1049 },
	{ 0x17e0, 0x17e9 },
	{ 0x1810, 0x1819 },
	{ 0xff10, 0xff19 },
	{ 0x1d7ce, 0x1d7ff },
};

static bool
is_digit(uint32_t c)
{
	size_t i;

	for (i = 0; i < sizeof(digits) / sizeof(digits[0]); i++) {
		if (c <= digits[i].to)
			return c >= digits[i].from;
	}
	return false;
}

/* Nothing to be seen: what is put between letters to make them others. */
static bool
is_invisible(uint32_t c)
{
	return c == 0x00ad || c == 0x034f || c == 0x180e ||
	    (c >= 0x200b && c <= 0x200f) || (c >= 0x202a && c <= 0x202e) ||
	    (c >= 0x2060 && c <= 0x2064) || (c >= 0x2066 && c <= 0x206f) ||
	    (c >= 0xfe00 && c <= 0xfe0f) || (c >= 0xe0000 && c <= 0xe0fff);
}

/* Small letters for capitals, in the alphabets that have both. */
static uint32_t
fold(uint32_t c)
{
	if ((c >= 'A' && c <= 'Z') ||
	    (c >= 0x00c0 && c <= 0x00de && c != 0x00d7) ||
	    (c >= 0x0391 && c <= 0x03ab && c != 0x03a2) ||
	    (c >= 0x0410 && c <= 0x042f) || (c >= 0xff21 && c <= 0xff3a))
		return c + 32;
	if (c >= 0x0400 && c <= 0x040f)
		return c + 80;
	if (c >= 0x0531 && c <= 0x0556)
		return c + 48;
	/* capitals are even, or odd */
	if ((c >= 0x0100 && c <= 0x0137) || (c >= 0x014a && c <= 0x0177) ||
	    (c >= 0x01de && c <= 0x01ef) || (c >= 0x01f8 && c <= 0x021f) ||
	    (c >= 0x0460 && c <= 0x0481) || (c >= 0x048a && c <= 0x04bf) ||
	    (c >= 0x04d0 && c <= 0x052f) || (c >= 0x1e00 && c <= 0x1e95) ||
	    (c >= 0x1ea0 && c <= 0x1eff))
		return c | 1;
	if ((c >= 0x0139 && c <= 0x0148) || (c >= 0x0179 && c <= 0x017e) ||
	    (c >= 0x04c1 && c <= 0x04ce))
		return c + (c & 1);
	return c;
}

/* What a text is compared by: a block after the other. */
struct marker {
	uint32_t buf[64];
	size_t n;
	uint64_t mark;
};

static void
mark_add(struct marker *m, uint32_t c)
{
	m->buf[m->n++] = c;
	if (m->n == sizeof(m->buf) / sizeof(m->buf[0])) {
		m->mark = XXH3_64bits_withSeed(m->buf, sizeof(m->buf), m->mark);
		m->n = 0;
	}
}

/* ASCII as it stands in the source, up to what needs a closer look. */
static const char *
mark_ascii(struct marker *m, const char *p, const char *end)
{
	uint8_t c;

	for (; p < end && (c = (uint8_t)*p) < 0x80 && c != '\\'; p++) {
		if (c > ' ' && !(c >= '0' && c <= '9'))
			mark_add(m, c >= 'A' && c <= 'Z' ? c + 32U : c);
	}
	return p;
}

uint64_t
spam_mark(struct json_value text)
{
	struct json_span in = json_inside(text);
	const char *end = in.p + in.len, *at = in.p, *from;
	struct marker m = { .n = 0 };
	size_t all = 0;
	uint32_t c;

	/* there are never more characters than bytes */
	if (in.len < SPAM_SHORT)
		return 0;
	for (;;) {
		from = at;
		at = mark_ascii(&m, at, end);
		all += (size_t)(at - from);
		if (!json_next_char(text, &at, &c))
			break;
		all++;
		if (!is_digit(c) && !spam_is_space(c) && !is_invisible(c))
			mark_add(&m, fold(c));
	}
	if (all < SPAM_SHORT)
		return 0;
	m.mark = XXH3_64bits_withSeed(m.buf, m.n * sizeof(m.buf[0]), m.mark);
	return m.mark == 0 ? 1 : m.mark;
}
