/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * base64 - bytes in text: strictly out, leniently in.
 */

#ifndef PROTO_BASE64_H
#define PROTO_BASE64_H

#include <stddef.h>

/* Characters for 'len' bytes, padding included. */
static inline size_t
base64_size(size_t len)
{
	return (len + 2) / 3 * 4;
}

/* The standard alphabet with padding; base64_size(len) characters. */
void base64_encode(char *dst, const void *src, size_t len);

/*
 * As Node's Buffer.from(text, 'base64'): both alphabets, what belongs to
 * none is skipped, the first '=' ends it, bits that are left over are
 * dropped.  Returns the number of bytes, at most len / 4 * 3 + 2; 'dst' may
 * be 'src'.
 */
size_t base64_decode(void *dst, const char *src, size_t len);

#endif /* PROTO_BASE64_H */
