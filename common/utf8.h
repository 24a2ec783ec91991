/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * utf8 - is this text UTF-8 (RFC 3629, strictly), and how long is it to
 * JavaScript?
 *
 * Strict: shortest forms only, no surrogates, nothing above U+10FFFF.
 */

#ifndef COMMON_UTF8_H
#define COMMON_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool utf8_valid(const char *p, size_t len);

/*
 * The same for a text that comes in pieces; zero it to begin.  A piece may
 * end within a character, the text may not.
 */
struct utf8 {
	/* continuation bytes that must follow */
	uint8_t need;
	/* what the next one must lie between */
	uint8_t lo, hi;
};

bool utf8_feed(struct utf8 *u, const char *p, size_t len);
/* No character is left half. */
bool utf8_complete(const struct utf8 *u);

/*
 * Decode the character at 'p' ('len' > 0 bytes of anything).  Returns its
 * length in bytes, or 0 if what stands there is not UTF-8.
 */
size_t utf8_decode(const char *p, size_t len, uint32_t *c_r);
/* Encode 'c' (a valid scalar value); returns the length, 1 to 4. */
size_t utf8_encode(uint32_t c, char buf[4]);

/* UTF-16 code units of a valid text: JavaScript's length. */
size_t utf8_utf16_length(const char *p, size_t len);

#endif /* COMMON_UTF8_H */
