/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "proto/query.h"

#include "common/utf8.h"

/* longer than any key that is asked for */
#define KEY_MAX 64

/* Decoded bytes on their way into a buffer. */
struct decoder {
	char *buf;
	size_t size;
	size_t len;
	/* a character begun */
	struct utf8 utf8;
	char part[4];
	unsigned have;
};

static void
emit(struct decoder *d, const char *p, size_t len)
{
	if (d->len < d->size && len < d->size - d->len)
		memcpy(d->buf + d->len, p, len);
	d->len += len;
}

/* One for each longest piece that could have become a character. */
static void
emit_replacement(struct decoder *d)
{
	emit(d, "\xef\xbf\xbd", 3);
	d->utf8 = (struct utf8){ 0 };
	d->have = 0;
}

static void
feed(struct decoder *d, char c)
{
	if (!utf8_feed(&d->utf8, &c, 1)) {
		bool begun = d->have > 0;

		emit_replacement(d);
		/* what ends a character may begin the next */
		if (!begun || !utf8_feed(&d->utf8, &c, 1)) {
			if (begun)
				emit_replacement(d);
			return;
		}
	}
	d->part[d->have++] = c;
	if (utf8_complete(&d->utf8)) {
		emit(d, d->part, d->have);
		d->have = 0;
	}
}

static int
hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

long
query_decode(struct span raw, char *buf, size_t size)
{
	struct decoder d = { .buf = buf, .size = size };
	size_t i;

	for (i = 0; i < raw.len; i++) {
		char c = raw.p[i];

		if (c == '+') {
			c = ' ';
		} else if (c == '%' && raw.len - i > 2 &&
		    hex(raw.p[i + 1]) >= 0 && hex(raw.p[i + 2]) >= 0) {
			c = (char)(hex(raw.p[i + 1]) * 16 + hex(raw.p[i + 2]));
			i += 2;
		}
		feed(&d, c);
	}
	if (d.have > 0)
		emit_replacement(&d);
	if (d.len >= size)
		return -1;
	buf[d.len] = '\0';
	return (long)d.len;
}

static struct span
cut(struct span *rest, char separator)
{
	const char *p = NULL;
	struct span front = *rest;

	if (rest->len > 0)
		p = memchr(rest->p, separator, rest->len);
	if (p == NULL) {
		*rest = (struct span){ rest->p + rest->len, 0 };
		return front;
	}
	front.len = (size_t)(p - front.p);
	*rest = (struct span){ p + 1, rest->len - front.len - 1 };
	return front;
}

bool
query_next(struct span *rest, struct span *key_r, struct span *value_r)
{
	while (rest->len > 0) {
		struct span pair = cut(rest, '&');

		if (pair.len == 0)
			continue;
		*key_r = cut(&pair, '=');
		*value_r = pair;
		return true;
	}
	return false;
}

static bool
key_is(struct span raw, const char *key)
{
	char text[KEY_MAX];
	long len;

	if (span_is(raw, key))
		return true;
	len = query_decode(raw, text, sizeof(text));
	return len >= 0 && span_is((struct span){ text, (size_t)len }, key);
}

enum query_result
query_get(struct span query, const char *key, char *buf, size_t size,
    size_t *len_r)
{
	struct span k, v, last = { NULL, 0 };
	long len;

	while (query_next(&query, &k, &v))
		if (key_is(k, key))
			last = v;
	if (last.p == NULL)
		return QUERY_NONE;
	if ((len = query_decode(last, buf, size)) == -1)
		return QUERY_LONG;
	*len_r = (size_t)len;
	return QUERY_FOUND;
}
