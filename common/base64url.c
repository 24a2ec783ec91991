/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "common/base64url.h"

#include <stdint.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
			     "abcdefghijklmnopqrstuvwxyz0123456789-_";

void
base64url_encode(char *dst, const void *src, size_t len)
{
	const uint8_t *p = src;
	uint32_t group;
	size_t n, i;

	for (; len > 0; p += n, len -= n) {
		n = len < 3 ? len : 3;
		group = (uint32_t)p[0] << 16;
		if (n > 1)
			group |= (uint32_t)p[1] << 8;
		if (n > 2)
			group |= p[2];
		for (i = 0; i <= n; i++)
			*dst++ = digits[group >> (18 - 6 * i) & 63];
	}
}

static int
value_of(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '-')
		return 62;
	return c == '_' ? 63 : -1;
}

bool
base64url_valid(const char *src, size_t len)
{
	size_t i;
	int v = 0;

	for (i = 0; i < len; i++) {
		if ((v = value_of(src[i])) == -1)
			return false;
	}
	/* bits that are left over could be anything */
	if (len % 4 == 2)
		return (v & 15) == 0;
	return len % 4 == 0 || (len % 4 == 3 && (v & 3) == 0);
}

ssize_t
base64url_decode(void *dst, const char *src, size_t len)
{
	uint8_t *to = dst;
	uint32_t bits = 0;
	unsigned nbits = 0;
	size_t i;

	if (!base64url_valid(src, len))
		return -1;
	for (i = 0; i < len; i++) {
		bits = bits << 6 | (uint32_t)value_of(src[i]);
		nbits += 6;
		if (nbits >= 8) {
			nbits -= 8;
			*to++ = (uint8_t)(bits >> nbits);
			bits &= (1U << nbits) - 1;
		}
	}
	return to - (uint8_t *)dst;
}
