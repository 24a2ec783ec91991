/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * span - a piece of somebody else's bytes.
 *
 * A span owns nothing and is not terminated: it is valid as long as the
 * buffer that was parsed.
 */

#ifndef PROTO_SPAN_H
#define PROTO_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

struct span {
	const char *p;
	size_t len;
};

/* Byte for byte. */
static inline bool
span_is(struct span s, const char *text)
{
	return s.len == strlen(text) && memcmp(s.p, text, s.len) == 0;
}

/* Without regard to the case of ASCII letters. */
static inline bool
span_is_nocase(struct span s, const char *text)
{
	return s.len == strlen(text) && strncasecmp(s.p, text, s.len) == 0;
}

#endif /* PROTO_SPAN_H */
