/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * frame - see frame.h.
 */

#include "tests/bench/frame.h"

#include <string.h>

static void
mask_copy(char *out, const char *in, size_t len, uint32_t mask)
{
	uint64_t wide = (uint64_t)mask << 32 | mask, word;
	const char *key = (const char *)&wide;
	size_t i;

	for (i = 0; i + 8 <= len; i += 8) {
		memcpy(&word, in + i, 8);
		word ^= wide;
		memcpy(out + i, &word, 8);
	}
	for (; i < len; i++)
		out[i] = (char)(in[i] ^ key[i % 4]);
}

size_t
frame_write(char *out, unsigned opcode, const char *payload, size_t len,
    uint32_t mask)
{
	size_t n = 0;
	int shift;

	out[n++] = (char)(0x80 | opcode);
	if (len < 126) {
		out[n++] = (char)(0x80 | len);
	} else if (len < 65536) {
		out[n++] = (char)(0x80 | 126);
		out[n++] = (char)(len >> 8);
		out[n++] = (char)len;
	} else {
		out[n++] = (char)(0x80 | 127);
		for (shift = 56; shift >= 0; shift -= 8)
			out[n++] = (char)(len >> shift);
	}
	memcpy(out + n, &mask, 4);
	n += 4;
	mask_copy(out + n, payload, len, mask);
	return n + len;
}

enum frame_result
frame_read(const char *p, size_t len, struct frame *f)
{
	const unsigned char *u = (const unsigned char *)p;
	size_t head = 2, i;
	uint64_t n;

	f->total = 0;
	if (len < 2)
		return FRAME_MORE;
	if ((u[0] & 0xf0) != 0x80 || (u[1] & 0x80) != 0)
		return FRAME_BAD;
	n = u[1];
	if (n >= 126) {
		head = n == 126 ? 4 : 10;
		if (len < head)
			return FRAME_MORE;
		for (n = 0, i = 2; i < head; i++)
			n = n << 8 | u[i];
		if (n >> 31 != 0)
			return FRAME_BAD;
	}
	f->opcode = u[0] & 0x0f;
	f->payload = p + head;
	f->len = n;
	f->total = head + n;
	return f->total <= len ? FRAME_OK : FRAME_MORE;
}
