/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * put - write into a buffer of fixed size, and count what would not fit.
 *
 * After any number of puts 'len' is the exact length of the whole; if it is
 * greater than 'size' the buffer holds only a beginning of it.
 */

#ifndef PROTO_PUT_H
#define PROTO_PUT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct put {
	char *buf;
	size_t size;
	size_t len;
};

static inline void
put_bytes(struct put *w, const void *p, size_t len)
{
	if (len > 0 && w->len <= w->size && len <= w->size - w->len)
		memcpy(w->buf + w->len, p, len);
	w->len += len;
}

static inline void
put_text(struct put *w, const char *text)
{
	put_bytes(w, text, strlen(text));
}

static inline void
put_char(struct put *w, char c)
{
	put_bytes(w, &c, 1);
}

static inline void
put_u64(struct put *w, uint64_t n)
{
	char digits[20];
	size_t i = sizeof(digits);

	do {
		digits[--i] = (char)('0' + n % 10);
		n /= 10;
	} while (n > 0);
	put_bytes(w, digits + i, sizeof(digits) - i);
}

#endif /* PROTO_PUT_H */
