/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "proto/payload.h"

#include "common/utf8.h"
#include "proto/put.h"
#include "proto/query.h"

/* digits of j that come back */
#define JSONP_DIGITS_MAX 20

/* --- repairing ----------------------------------------------------------- */

/* What is no character at 'p', and is replaced by one: one byte at least. */
static size_t
broken_piece(const char *p, size_t len)
{
	struct utf8 u = { 0 };
	size_t n = 0;

	while (n < len && utf8_feed(&u, p + n, 1))
		n++;
	return n > 0 ? n : 1;
}

static void
repair(struct put *w, const char *p, size_t len)
{
	size_t pos = 0, from = 0;
	uint32_t c;

	while (pos < len) {
		size_t n = utf8_decode(p + pos, len - pos, &c);

		if (n > 0) {
			pos += n;
			continue;
		}
		put_bytes(w, p + from, pos - from);
		put_bytes(w, "\xef\xbf\xbd", 3);
		pos += broken_piece(p + pos, len - pos);
		from = pos;
	}
	put_bytes(w, p + from, pos - from);
}

size_t
payload_repair_size(const char *p, size_t len)
{
	struct put w = { NULL, 0, 0 };

	repair(&w, p, len);
	return w.len;
}

void
payload_repair(char *dst, const char *p, size_t len)
{
	/* measured by the caller */
	struct put w = { dst, 3 * len, 0 };

	repair(&w, p, len);
}

/* --- JSONP in ------------------------------------------------------------ */

/*
 * Form fields turn line ends into CR LF in some browsers, so clients write
 * "\n" for them, and "\\n" for a backslash and an n.
 */
static size_t
unescape(char *p, size_t len)
{
	size_t i = 0, n = 0;

	while (i < len) {
		size_t left = len - i;

		if (left >= 3 && memcmp(p + i, "\\\\n", 3) == 0) {
			p[n++] = '\\';
			p[n++] = 'n';
			i += 3;
		} else if (left >= 2 && memcmp(p + i, "\\n", 2) == 0) {
			p[n++] = '\n';
			i += 2;
		} else {
			p[n++] = p[i++];
		}
	}
	return n;
}

bool
payload_jsonp_decode(char *dst, const char *body, size_t len, size_t *len_r)
{
	struct span rest = { body, len }, key, value, found = { NULL, 0 };
	char name[8];
	long n;

	while (query_next(&rest, &key, &value)) {
		if (query_decode(key, name, sizeof(name)) != 1 ||
		    name[0] != 'd')
			continue;
		if (found.p != NULL)
			return false;
		found = value;
	}
	if (found.p == NULL)
		return false;
	n = query_decode(found, dst, 3 * len + 1);
	*len_r = unescape(dst, (size_t)n);
	return true;
}

/* --- JSONP out ----------------------------------------------------------- */

/* As JSON.stringify() would, and what JavaScript takes for a line's end. */
static void
put_string(struct put *w, const char *p, size_t len)
{
	/* indexed by the character; 0: as it is, or \u00XX below ' ' */
	static const char letters[] = {
		['\b'] = 'b',
		['\t'] = 't',
		['\n'] = 'n',
		['\f'] = 'f',
		['\r'] = 'r',
		['"'] = '"',
		['\\'] = '\\',
	};
	static const char hex[] = "0123456789abcdef";
	size_t i, from = 0;

	for (i = 0; i < len; i++) {
		uint8_t c = (uint8_t)p[i];
		char text[6] = { '\\', 'u', '0', '0', 0, 0 };
		size_t n = 1, text_len = 6;

		if (c < sizeof(letters) && letters[c] != 0) {
			text[1] = letters[c];
			text_len = 2;
		} else if (c < ' ') {
			text[4] = hex[c >> 4];
			text[5] = hex[c & 15];
		} else if (c == 0xe2 && len - i >= 3 &&
		    (uint8_t)p[i + 1] == 0x80 &&
		    ((uint8_t)p[i + 2] | 1) == 0xa9) {
			n = 3;
			memcpy(text + 2, "202", 3);
			text[5] = (uint8_t)p[i + 2] == 0xa8 ? '8' : '9';
		} else {
			continue;
		}
		put_bytes(w, p + from, i - from);
		put_bytes(w, text, text_len);
		i += n - 1;
		from = i + 1;
	}
	put_bytes(w, p + from, len - from);
}

static void
put_jsonp(struct put *w, struct span j, const char *text, size_t len)
{
	size_t i, digits = 0;

	put_text(w, "___eio[");
	for (i = 0; i < j.len && digits < JSONP_DIGITS_MAX; i++) {
		if (j.p[i] < '0' || j.p[i] > '9')
			continue;
		put_char(w, j.p[i]);
		digits++;
	}
	put_text(w, "](\"");
	put_string(w, text, len);
	put_text(w, "\");");
}

size_t
payload_jsonp_size(struct span j, const char *text, size_t len)
{
	struct put w = { NULL, 0, 0 };

	put_jsonp(&w, j, text, len);
	return w.len;
}

void
payload_jsonp_write(char *dst, struct span j, const char *text, size_t len)
{
	struct put w = { dst, SIZE_MAX, 0 };

	put_jsonp(&w, j, text, len);
}
