/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * The reader.  It trusts the scanner about what it reads, but nothing makes
 * it leave the text: of a text that was not scanned it tells nonsense.
 */

#include "common/json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/utf8.h"

/* Numbers with more characters than this are no numbers to us. */
#define NUMBER_MAX 63
#define INT_MAX_EXACT 9007199254740992.0

static bool
is_blank(char c)
{
	return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static const char *
skip_blanks(const char *p, const char *end)
{
	while (p < end && is_blank(*p))
		p++;
	return p;
}

/* From behind the opening quote to behind the closing one. */
static const char *
skip_string(const char *p, const char *end)
{
	const char *from = p, *q, *slash;

	while (p < end && (q = memchr(p, '"', (size_t)(end - p))) != NULL) {
		for (slash = q; slash > from && slash[-1] == '\\';)
			slash--;
		if ((q - slash) % 2 == 0)
			return q + 1;
		p = q + 1;
	}
	return end;
}

static const char *
skip_container(const char *p, const char *end)
{
	size_t depth = 0;

	while (p < end) {
		switch (*p++) {
		case '"':
			p = skip_string(p, end);
			break;
		case '{':
		case '[':
			depth++;
			break;
		case '}':
		case ']':
			if (--depth == 0)
				return p;
			break;
		}
	}
	return p;
}

static const char *
skip_plain(const char *p, const char *end)
{
	while (p < end && *p != ',' && *p != '}' && *p != ']' && *p != ':' &&
	    !is_blank(*p))
		p++;
	return p;
}

/* The value at 'p'; sets *next_r behind it. */
static struct json_value
read_value(const char *p, const char *end, const char **next_r)
{
	struct json_value v = { JSON_KIND_NONE, { p, 0 } };
	const char *q = p;

	if (p < end) {
		switch (*p) {
		case '{':
			v.kind = JSON_KIND_OBJECT;
			q = skip_container(p, end);
			break;
		case '[':
			v.kind = JSON_KIND_ARRAY;
			q = skip_container(p, end);
			break;
		case '"':
			v.kind = JSON_KIND_STRING;
			q = skip_string(p + 1, end);
			break;
		case 't':
		case 'f':
			v.kind = JSON_KIND_BOOL;
			q = skip_plain(p, end);
			break;
		case 'n':
			v.kind = JSON_KIND_NULL;
			q = skip_plain(p, end);
			break;
		default:
			q = skip_plain(p, end);
			if (q > p)
				v.kind = JSON_KIND_NUMBER;
		}
	}
	v.text.len = (size_t)(q - p);
	*next_r = q;
	return v;
}

struct json_value
json_value(const char *p, size_t len)
{
	const char *next;

	return read_value(skip_blanks(p, p + len), p + len, &next);
}

struct json_iter
json_iter(struct json_value v)
{
	struct json_iter it = { NULL, NULL };

	if (v.kind == JSON_KIND_OBJECT || v.kind == JSON_KIND_ARRAY) {
		it.p = v.text.p + 1;
		it.end = v.text.p + v.text.len;
		if (v.text.len > 1)
			it.end--;
	}
	return it;
}

struct json_iter
json_iter_inside(const char *p, size_t len)
{
	struct json_iter it = { p, len == 0 ? p : p + len };

	return it;
}

bool
json_next(struct json_iter *it, struct json_value *v_r)
{
	struct json_value v;
	const char *p;

	if (it->p == it->end)
		return false;
	v = read_value(skip_blanks(it->p, it->end), it->end, &p);
	p = skip_blanks(p, it->end);
	if (v.kind == JSON_KIND_NONE) {
		it->p = it->end;
		return false;
	}
	if (p < it->end)
		p++;
	it->p = p;
	*v_r = v;
	return true;
}

bool
json_next_member(struct json_iter *it, struct json_value *key_r,
    struct json_value *v_r)
{
	struct json_value key, v;

	if (!json_next(it, &key) || key.kind != JSON_KIND_STRING ||
	    !json_next(it, &v))
		return false;
	*key_r = key;
	*v_r = v;
	return true;
}

struct json_span
json_inside(struct json_value string)
{
	struct json_span s = { string.text.p, 0 };

	if (string.kind == JSON_KIND_STRING && string.text.len >= 2) {
		s.p++;
		s.len = string.text.len - 2;
	}
	return s;
}

static uint32_t
hex4(const char *p)
{
	uint32_t v = 0, c;
	int i;

	for (i = 0; i < 4; i++) {
		c = (uint8_t)p[i];
		v = v << 4 |
		    ((c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10) & 15);
	}
	return v;
}

/* The escape at 'p' (the backslash); returns what is behind it. */
static const char *
read_escape(const char *p, const char *end, uint32_t *c_r)
{
	static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
	const char *q;
	uint32_t c;

	if (end - p < 2 || (p[1] == 'u' && end - p < 6)) {
		*c_r = '\\';
		return end;
	}
	if (p[1] != 'u') {
		q = p[1] == '\0' ? NULL : strchr(from, p[1]);
		*c_r = (uint8_t)(q == NULL ? p[1] : to[q - from]);
		return p + 2;
	}
	c = hex4(p + 2);
	p += 6;
	if (c >= 0xd800 && c <= 0xdbff && end - p >= 6) {
		c = 0x10000 + ((c & 0x3ff) << 10 | (hex4(p + 2) & 0x3ff));
		p += 6;
	}
	*c_r = c;
	return p;
}

bool
json_next_char(struct json_value string, const char **at, uint32_t *c_r)
{
	struct json_span in = json_inside(string);
	const char *p = *at == NULL ? in.p : *at, *end = in.p + in.len;
	size_t n;

	if (p >= end)
		return false;
	if (*p == '\\') {
		*at = read_escape(p, end, c_r);
		return true;
	}
	if ((n = utf8_decode(p, (size_t)(end - p), c_r)) == 0) {
		*c_r = 0xfffd;
		n = 1;
	}
	*at = p + n;
	return true;
}

bool
json_is(struct json_value string, const char *text)
{
	struct json_span in = json_inside(string);
	size_t len = strlen(text);
	const char *at = NULL;
	uint32_t c;

	if (string.kind != JSON_KIND_STRING)
		return false;
	if (in.len == len && memcmp(in.p, text, len) == 0 &&
	    memchr(in.p, '\\', len) == NULL)
		return true;
	if (memchr(in.p, '\\', in.len) == NULL)
		return false;
	while (json_next_char(string, &at, &c)) {
		char buf[4];
		size_t n = utf8_encode(c, buf);

		if (n > len || memcmp(text, buf, n) != 0)
			return false;
		text += n;
		len -= n;
	}
	return len == 0;
}

struct json_value
json_member(struct json_value object, const char *key)
{
	struct json_iter it = json_iter(object);
	struct json_value none = { JSON_KIND_NONE, { NULL, 0 } }, k, v;

	if (object.kind != JSON_KIND_OBJECT)
		return none;
	while (json_next_member(&it, &k, &v)) {
		if (json_is(k, key))
			return v;
	}
	return none;
}

size_t
json_utf16_length(struct json_value string)
{
	struct json_span in = json_inside(string);
	const char *p = in.p, *end = in.p + in.len, *q;
	size_t n = 0;
	uint32_t c;

	while (p < end) {
		if ((q = memchr(p, '\\', (size_t)(end - p))) == NULL)
			return n + utf8_utf16_length(p, (size_t)(end - p));
		n += utf8_utf16_length(p, (size_t)(q - p));
		p = read_escape(q, end, &c);
		n += c >= 0x10000 ? 2 : 1;
	}
	return n;
}

ssize_t
json_decode(struct json_value string, char *buf, size_t size)
{
	struct json_span in = json_inside(string);
	const char *p = in.p, *end = in.p + in.len, *q;
	size_t len = 0, n;
	char utf8[4];
	uint32_t c;

	while (p < end) {
		q = memchr(p, '\\', (size_t)(end - p));
		n = (size_t)((q == NULL ? end : q) - p);
		if (n >= size - len)
			return -1;
		memcpy(buf + len, p, n);
		len += n;
		if (q == NULL)
			break;
		p = read_escape(q, end, &c);
		n = utf8_encode(c, utf8);
		if (n >= size - len)
			return -1;
		memcpy(buf + len, utf8, n);
		len += n;
	}
	if (len >= size)
		return -1;
	buf[len] = '\0';
	return (ssize_t)len;
}

bool
json_to_double(struct json_value v, double *d_r)
{
	char buf[NUMBER_MAX + 1];
	double d;

	if (v.kind != JSON_KIND_NUMBER || v.text.len > NUMBER_MAX)
		return false;
	memcpy(buf, v.text.p, v.text.len);
	buf[v.text.len] = '\0';
	d = strtod(buf, NULL);
	if (!isfinite(d))
		return false;
	*d_r = d;
	return true;
}

bool
json_to_int(struct json_value v, int64_t min, int64_t max, int64_t *n_r)
{
	double d;

	if (!json_to_double(v, &d) || d != trunc(d) || fabs(d) > INT_MAX_EXACT)
		return false;
	if ((int64_t)d < min || (int64_t)d > max)
		return false;
	*n_r = (int64_t)d;
	return true;
}

bool
json_to_bool(struct json_value v, bool *b_r)
{
	if (v.kind != JSON_KIND_BOOL)
		return false;
	*b_r = v.text.p[0] == 't';
	return true;
}

/*
 * The longest piece at 'p' without a blank between tokens; *next_r is
 * behind it and the blanks that follow.
 */
static size_t
compact_piece(const char *p, const char *end, const char **next_r)
{
	const char *q = p;

	while (q < end && !is_blank(*q))
		q = *q == '"' ? skip_string(q + 1, end) : q + 1;
	*next_r = skip_blanks(q, end);
	return (size_t)(q - p);
}

size_t
json_compact_length(struct json_span text)
{
	const char *p = text.p, *end = text.p + text.len;
	size_t len = 0;

	while (p < end)
		len += compact_piece(p, end, &p);
	return len;
}

size_t
json_compact(struct json_span text, char *buf)
{
	const char *p = text.p, *end = text.p + text.len, *from;
	size_t len = 0, n;

	while (p < end) {
		from = p;
		n = compact_piece(p, end, &p);
		memcpy(buf + len, from, n);
		len += n;
	}
	return len;
}
