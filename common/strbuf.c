/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * strbuf - bytes that grow.
 */

#include "common/strbuf.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"

/* What an empty buffer points to; nobody writes to it. */
char strbuf_empty[1];

void
sb_init(struct strbuf *sb)
{
	*sb = (struct strbuf)STRBUF_INIT;
}

void
sb_clear(struct strbuf *sb)
{
	if (sb->cap != 0)
		free(sb->data);
	sb_init(sb);
}

void
sb_reset(struct strbuf *sb)
{
	sb_truncate(sb, 0);
}

void
sb_truncate(struct strbuf *sb, size_t len)
{
	CHECK(len <= sb->len);
	sb->len = len;
	if (sb->cap != 0)
		sb->data[len] = '\0';
}

void *
sb_reserve(struct strbuf *sb, size_t len)
{
	size_t cap = sb->cap == 0 ? 64 : sb->cap;
	char *p;

	CHECK(len < SIZE_MAX / 4 - sb->len);
	if (sb->cap != 0 && sb->cap - sb->len > len)
		return sb->data + sb->len;
	while (cap - sb->len <= len)
		cap *= 2;
	if ((p = realloc(sb->cap == 0 ? NULL : sb->data, cap)) == NULL)
		fatal("no memory for %zu bytes", cap);
	sb->data = p;
	sb->cap = cap;
	p[sb->len] = '\0';
	return p + sb->len;
}

void
sb_add(struct strbuf *sb, const void *p, size_t len)
{
	if (len == 0)
		return;
	memcpy(sb_reserve(sb, len), p, len);
	sb->len += len;
	sb->data[sb->len] = '\0';
}

void
sb_adds(struct strbuf *sb, const char *s)
{
	sb_add(sb, s, strlen(s));
}

void
sb_addc(struct strbuf *sb, char c)
{
	sb_add(sb, &c, 1);
}

void
sb_addv(struct strbuf *sb, const char *fmt, va_list ap)
{
	va_list again;
	char *p;
	int n;

	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, again);
	va_end(again);
	CHECK(n >= 0);
	p = sb_reserve(sb, (size_t)n + 1);
	(void)vsnprintf(p, (size_t)n + 1, fmt, ap);
	sb->len += (size_t)n;
}

void
sb_addf(struct strbuf *sb, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	sb_addv(sb, fmt, ap);
	va_end(ap);
}

char *
sb_steal(struct strbuf *sb)
{
	char *p;

	(void)sb_reserve(sb, 0);
	p = sb->data;
	sb_init(sb);
	return p;
}
