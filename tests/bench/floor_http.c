/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * floor_http - see floor_http.h.
 */

#include "tests/bench/floor_http.h"

#include <stdio.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/sha.h>

#define KEY_HEADER "\r\nSec-WebSocket-Key: "
#define KEY_LEN 24
#define GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

int
floor_http(const char *p, size_t len, char *out, size_t size, size_t *out_len)
{
	unsigned char text[KEY_LEN + sizeof(GUID) - 1];
	unsigned char digest[SHA_DIGEST_LENGTH], accept[32];
	const char *end, *key;

	if ((end = memmem(p, len, "\r\n\r\n", 4)) == NULL)
		return len < 8192 ? 0 : -1;
	key = memmem(p, (size_t)(end - p), KEY_HEADER, strlen(KEY_HEADER));
	if (strncmp(p, "GET ", 4) != 0 || key == NULL ||
	    (size_t)(end - key) < strlen(KEY_HEADER) + KEY_LEN)
		return -1;
	memcpy(text, key + strlen(KEY_HEADER), KEY_LEN);
	memcpy(text + KEY_LEN, GUID, strlen(GUID));
	SHA1(text, sizeof(text), digest);
	EVP_EncodeBlock(accept, digest, sizeof(digest));
	*out_len = (size_t)snprintf(out, size,
	    "HTTP/1.1 101 Switching Protocols\r\n"
	    "Upgrade: websocket\r\n"
	    "Connection: Upgrade\r\n"
	    "Sec-WebSocket-Accept: %s\r\n\r\n",
	    (const char *)accept);
	return (int)(end - p) + 4;
}
