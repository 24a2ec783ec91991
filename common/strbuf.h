/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * strbuf - bytes that grow.
 *
 * Always ends with a NUL that len does not count, so that data can be used
 * as a string.  Memory that is not there is fatal: what may grow without
 * bounds does not belong here.
 */

#ifndef COMMON_STRBUF_H
#define COMMON_STRBUF_H

#include <stdarg.h>
#include <stddef.h>

struct strbuf {
	/* never NULL */
	char *data;
	size_t len;
	/* bytes allocated; 0: nothing yet */
	size_t cap;
};

/* For a static or local one: struct strbuf sb = STRBUF_INIT; */
#define STRBUF_INIT \
	{ \
		.data = strbuf_empty, .len = 0, .cap = 0 \
	}
extern char strbuf_empty[1];

void sb_init(struct strbuf *sb);
/* Gives the memory back; may be used again. */
void sb_clear(struct strbuf *sb);
/* Empty, but keeps the memory. */
void sb_reset(struct strbuf *sb);
/* Only the first 'len' bytes stay. */
void sb_truncate(struct strbuf *sb, size_t len);

void sb_add(struct strbuf *sb, const void *p, size_t len);
void sb_adds(struct strbuf *sb, const char *s);
void sb_addc(struct strbuf *sb, char c);
void sb_addf(struct strbuf *sb, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void sb_addv(struct strbuf *sb, const char *fmt, va_list ap)
    __attribute__((format(printf, 2, 0), nonnull(2)));

/* Room for 'len' bytes and a NUL; the caller adds both, and adds to len. */
void *sb_reserve(struct strbuf *sb, size_t len);
/* The bytes as a string of malloc(); sb is empty afterwards. */
char *sb_steal(struct strbuf *sb);

#endif /* COMMON_STRBUF_H */
