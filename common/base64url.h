/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * base64url - bytes in the text of tokens and keys (RFC 4648 5, RFC 7515 2):
 * no padding, no blanks, and one text only for the same bytes.
 */

#ifndef COMMON_BASE64URL_H
#define COMMON_BASE64URL_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Characters for 'len' bytes. */
static inline size_t
base64url_size(size_t len)
{
	return len / 3 * 4 + (len % 3 == 0 ? 0 : len % 3 + 1);
}

/* base64url_size(len) characters and no NUL. */
void base64url_encode(char *dst, const void *src, size_t len);

/* Is it something that base64url_encode() makes? */
bool base64url_valid(const char *src, size_t len);

/*
 * Returns the number of bytes, at most len / 4 * 3 + 2; -1 if this is
 * nothing that base64url_encode() makes.  'dst' may be 'src'.
 */
ssize_t base64url_decode(void *dst, const char *src, size_t len);

#endif /* COMMON_BASE64URL_H */
