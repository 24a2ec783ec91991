/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include <string.h>

#include "proto/ws.h"

#define FIN 0x80
#define RSV1 0x40
/* values of the 7-bit length that announce 2 and 8 bytes more */
#define LENGTH_16 126
#define LENGTH_64 127

void
ws_mask(char *data, size_t len, const uint8_t key[4], unsigned at)
{
	uint8_t turned[8];
	uint64_t word, mask;
	size_t i;

	for (i = 0; i < 8; i++)
		turned[i] = key[(at + i) % 4];
	memcpy(&mask, turned, 8);
	for (i = 0; len - i >= 8; i += 8) {
		memcpy(&word, data + i, 8);
		word ^= mask;
		memcpy(data + i, &word, 8);
	}
	for (; i < len; i++)
		data[i] = (char)(data[i] ^ turned[i % 8]);
}

size_t
ws_header_size(uint64_t len)
{
	return len <= WS_CONTROL_MAX ? 2 : len <= UINT16_MAX ? 4 : 10;
}

size_t
ws_header(void *buf, enum ws_opcode opcode, uint64_t len)
{
	uint8_t *b = buf;
	size_t size = ws_header_size(len), i;

	b[0] = (uint8_t)(FIN | opcode);
	if (size == 2) {
		b[1] = (uint8_t)len;
		return size;
	}
	b[1] = size == 4 ? LENGTH_16 : LENGTH_64;
	for (i = size; i > 2; i--) {
		b[i - 1] = (uint8_t)len;
		len >>= 8;
	}
	return size;
}

size_t
ws_header_deflated(void *buf, enum ws_opcode opcode, uint64_t len)
{
	uint8_t *b = buf;
	size_t size = ws_header(buf, opcode, len);

	b[0] |= RSV1;
	return size;
}

size_t
ws_close_frame(void *buf, unsigned code, const char *reason)
{
	char *b = buf;
	size_t n;

	if (code == WS_CODE_NONE)
		return ws_header(buf, WS_CLOSE, 0);
	n = reason != NULL ? strlen(reason) : 0;
	if (n > WS_CONTROL_MAX - 2) {
		n = WS_CONTROL_MAX - 2;
		while (n > 0 && ((uint8_t)reason[n] & 0xc0) == 0x80)
			n--;
	}
	(void)ws_header(buf, WS_CLOSE, n + 2);
	b[2] = (char)(code >> 8);
	b[3] = (char)code;
	if (n > 0)
		memcpy(b + 4, reason, n);
	return n + 4;
}
