/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "common/utf8.h"

#include <string.h>

#define HIGH_BITS UINT64_C(0x8080808080808080)
#define LOW_BITS UINT64_C(0x0101010101010101)

/* How many bytes at 'p' are ASCII for certain: a multiple of 8. */
static size_t
ascii_run(const char *p, size_t len)
{
	size_t i = 0;
	uint64_t a, b;

	while (len - i >= 16) {
		memcpy(&a, p + i, 8);
		memcpy(&b, p + i + 8, 8);
		if (((a | b) & HIGH_BITS) != 0)
			break;
		i += 16;
	}
	if (len - i >= 8) {
		memcpy(&a, p + i, 8);
		if ((a & HIGH_BITS) == 0)
			i += 8;
	}
	return i;
}

/*
 * A first byte says how many follow and what the first of them may be
 * (RFC 3629, section 4): that is where overlong forms, surrogates and
 * what is above U+10FFFF are refused.
 */
static bool
utf8_begin(struct utf8 *u, uint8_t c)
{
	u->lo = 0x80;
	u->hi = 0xbf;
	if (c >= 0xc2 && c <= 0xdf) {
		u->need = 1;
	} else if (c >= 0xe0 && c <= 0xef) {
		u->need = 2;
		if (c == 0xe0)
			u->lo = 0xa0;
		else if (c == 0xed)
			u->hi = 0x9f;
	} else if (c >= 0xf0 && c <= 0xf4) {
		u->need = 3;
		if (c == 0xf0)
			u->lo = 0x90;
		else if (c == 0xf4)
			u->hi = 0x8f;
	} else {
		return false;
	}
	return true;
}

bool
utf8_feed(struct utf8 *u, const char *p, size_t len)
{
	size_t i = 0;
	uint8_t c;

	while (i < len) {
		if (u->need == 0) {
			i += ascii_run(p + i, len - i);
			if (i == len)
				break;
		}
		c = (uint8_t)p[i++];
		if (u->need > 0) {
			if (c < u->lo || c > u->hi)
				return false;
			u->need--;
			u->lo = 0x80;
			u->hi = 0xbf;
		} else if (c >= 0x80 && !utf8_begin(u, c)) {
			return false;
		}
	}
	return true;
}

bool
utf8_complete(const struct utf8 *u)
{
	return u->need == 0;
}

bool
utf8_valid(const char *p, size_t len)
{
	struct utf8 u = { 0 };

	return utf8_feed(&u, p, len) && utf8_complete(&u);
}

size_t
utf8_decode(const char *p, size_t len, uint32_t *c_r)
{
	struct utf8 u = { 0 };
	uint32_t c = (uint8_t)p[0];
	size_t n, i;

	if (c < 0x80) {
		*c_r = c;
		return 1;
	}
	if (!utf8_begin(&u, (uint8_t)c))
		return 0;
	n = (size_t)u.need + 1;
	if (n > len || !utf8_feed(&u, p + 1, n - 1))
		return 0;
	c &= 0x7fU >> n;
	for (i = 1; i < n; i++)
		c = c << 6 | ((uint8_t)p[i] & 0x3f);
	*c_r = c;
	return n;
}

size_t
utf8_encode(uint32_t c, char buf[4])
{
	if (c < 0x80) {
		buf[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		buf[0] = (char)(0xc0 | c >> 6);
		buf[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		buf[0] = (char)(0xe0 | c >> 12);
		buf[1] = (char)(0x80 | (c >> 6 & 0x3f));
		buf[2] = (char)(0x80 | (c & 0x3f));
		return 3;
	}
	buf[0] = (char)(0xf0 | c >> 18);
	buf[1] = (char)(0x80 | (c >> 12 & 0x3f));
	buf[2] = (char)(0x80 | (c >> 6 & 0x3f));
	buf[3] = (char)(0x80 | (c & 0x3f));
	return 4;
}

size_t
utf8_utf16_length(const char *p, size_t len)
{
	size_t i = 0, n = 0;
	uint64_t w, cont, four;

	/* every byte that begins a character is one unit, and those of four
	 * bytes (0xf0 and above) are two */
	for (; len - i >= 8; i += 8) {
		memcpy(&w, p + i, 8);
		cont = w >> 7 & ~w >> 6 & LOW_BITS;
		four = w >> 7 & w >> 6 & w >> 5 & w >> 4 & LOW_BITS;
		n += 8 - (size_t)__builtin_popcountll(cont) +
		    (size_t)__builtin_popcountll(four);
	}
	for (; i < len; i++) {
		n += ((uint8_t)p[i] & 0xc0) != 0x80;
		n += (uint8_t)p[i] >= 0xf0;
	}
	return n;
}
