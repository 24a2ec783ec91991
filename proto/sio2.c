/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "proto/sio2.h"

#include "proto/put.h"
#include "proto/query.h"

/* A key or a value, decoded; it may hold NULs. */
struct text {
	char buf[SIO2_VALUE_MAX + 1];
	size_t len;
};

void
sio2_split(struct sio_packet *pkt, struct span *query_r)
{
	struct span nsp = pkt->nsp, query = { "", 0 };
	size_t n = 0;

	while (n < nsp.len && nsp.p[n] != '?' && nsp.p[n] != '#')
		n++;
	pkt->nsp.len = n;
	if (n < nsp.len && nsp.p[n] == '?') {
		query = (struct span){ nsp.p + n + 1, 0 };
		while (query.len < nsp.len - n - 1 && query.p[query.len] != '#')
			query.len++;
	}
	*query_r = query;
}

/* --- JSON ---------------------------------------------------------------- */

/* As JSON.stringify() does it. */
static void
put_escape(struct put *w, unsigned char c)
{
	static const char plain[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
	static const char hex[] = "0123456789abcdef";
	const char *at = c == '\0' ? NULL : strchr(plain, c);

	put_char(w, '\\');
	if (at != NULL) {
		put_char(w, letters[at - plain]);
		return;
	}
	put_text(w, "u00");
	put_char(w, hex[c >> 4]);
	put_char(w, hex[c & 15]);
}

static void
put_string(struct put *w, struct span text)
{
	size_t i, from = 0;

	put_char(w, '"');
	for (i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.p[i];

		if (c >= 0x20 && c != '"' && c != '\\')
			continue;
		put_bytes(w, text.p + from, i - from);
		put_escape(w, c);
		from = i + 1;
	}
	put_bytes(w, text.p + from, text.len - from);
	put_char(w, '"');
}

size_t
sio2_string(char *buf, size_t size, struct span text)
{
	struct put w = { buf, size, 0 };

	put_string(&w, text);
	return w.len;
}

/* --- a query ------------------------------------------------------------- */

static bool
decode(struct span raw, struct text *t_r)
{
	long len = query_decode(raw, t_r->buf, sizeof(t_r->buf));

	t_r->len = len < 0 ? 0 : (size_t)len;
	return len >= 0;
}

static bool
is_small(struct span query)
{
	struct span key, value;
	unsigned pairs = 0;

	if (query.len > SIO2_QUERY_MAX)
		return false;
	while (query_next(&query, &key, &value))
		pairs++;
	return pairs <= SIO2_PAIRS_MAX;
}

/* Is this key among the pairs that follow? */
static bool
comes_again(const struct text *key, struct span rest, struct text *scratch)
{
	struct span raw, value;

	while (query_next(&rest, &raw, &value))
		if (decode(raw, scratch) && scratch->len == key->len &&
		    memcmp(scratch->buf, key->buf, key->len) == 0)
			return true;
	return false;
}

size_t
sio2_auth(char *buf, size_t size, struct span query)
{
	struct put w = { buf, size, 0 };
	struct span rest = query, raw, raw_value;
	struct text key, text;

	if (!is_small(query))
		return 0;
	put_char(&w, '{');
	while (query_next(&rest, &raw, &raw_value)) {
		if (!decode(raw, &key))
			return 0;
		if (comes_again(&key, rest, &text))
			continue;
		if (!decode(raw_value, &text))
			return 0;
		if (w.len > 1)
			put_char(&w, ',');
		put_string(&w, (struct span){ key.buf, key.len });
		put_char(&w, ':');
		put_string(&w, (struct span){ text.buf, text.len });
	}
	put_char(&w, '}');
	return w.len;
}
