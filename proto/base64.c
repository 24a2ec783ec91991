/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "proto/base64.h"

#include <stdint.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
			       "abcdefghijklmnopqrstuvwxyz0123456789+/";

/* value + 1 of a character of either alphabet; 0: of none */
static const uint8_t values[256] = {
	['A'] = 1,
	2,
	3,
	4,
	5,
	6,
	7,
	8,
	9,
	10,
	11,
	12,
	13,
	14,
	15,
	16,
	17,
	18,
	19,
	20,
	21,
	22,
	23,
	24,
	25,
	26,
	['a'] = 27,
	28,
	29,
	30,
	31,
	32,
	33,
	34,
	35,
	36,
	37,
	38,
	39,
	40,
	41,
	42,
	43,
	44,
	45,
	46,
	47,
	48,
	49,
	50,
	51,
	52,
	['0'] = 53,
	54,
	55,
	56,
	57,
	58,
	59,
	60,
	61,
	62,
	['+'] = 63,
	['/'] = 64,
	['-'] = 63,
	['_'] = 64,
};

void
base64_encode(char *dst, const void *src, size_t len)
{
	const uint8_t *p = src;
	uint32_t v;

	for (; len >= 3; len -= 3, p += 3, dst += 4) {
		v = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
		dst[0] = alphabet[v >> 18];
		dst[1] = alphabet[v >> 12 & 63];
		dst[2] = alphabet[v >> 6 & 63];
		dst[3] = alphabet[v & 63];
	}
	if (len == 0)
		return;
	v = (uint32_t)p[0] << 16 | (len > 1 ? (uint32_t)p[1] << 8 : 0);
	dst[0] = alphabet[v >> 18];
	dst[1] = alphabet[v >> 12 & 63];
	dst[2] = '=';
	if (len > 1)
		dst[2] = alphabet[v >> 6 & 63];
	dst[3] = '=';
}

size_t
base64_decode(void *dst, const char *src, size_t len)
{
	uint8_t *out = dst;
	uint32_t v = 0;
	unsigned bits = 0;
	size_t i, n = 0;

	for (i = 0; i < len && src[i] != '='; i++) {
		uint8_t value = values[(uint8_t)src[i]];

		if (value == 0)
			continue;
		v = v << 6 | (value - 1U);
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			out[n++] = (uint8_t)(v >> bits);
		}
	}
	return n;
}
