/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * The writer.
 */

#include "common/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_SIZE 256
#define ONES UINT64_C(0x0101010101010101)
#define HIGH_BITS UINT64_C(0x8080808080808080)

/* Room for 'n' more bytes; NULL if there is none to be had. */
static char *
room(struct json_out *o, size_t n)
{
	size_t size;
	char *p;

	if (o->failed)
		return NULL;
	if (n <= o->size - o->len)
		return o->p + o->len;
	size = o->size == 0 ? FIRST_SIZE : o->size;
	while (size - o->len < n) {
		if (size > SIZE_MAX / 2) {
			o->failed = true;
			return NULL;
		}
		size *= 2;
	}
	if ((p = realloc(o->p, size)) == NULL) {
		o->failed = true;
		return NULL;
	}
	o->p = p;
	o->size = size;
	return o->p + o->len;
}

static void
put(struct json_out *o, const char *p, size_t len)
{
	char *to;

	if (len > 0 && (to = room(o, len)) != NULL) {
		memcpy(to, p, len);
		o->len += len;
	}
}

/* Before each value and key. */
static void
comma(struct json_out *o)
{
	if (o->comma)
		put(o, ",", 1);
	o->comma = true;
}

void
json_out_reset(struct json_out *o)
{
	o->len = 0;
	o->comma = false;
	o->failed = false;
}

void
json_out_clear(struct json_out *o)
{
	free(o->p);
	memset(o, 0, sizeof(*o));
}

void
json_out_object(struct json_out *o)
{
	comma(o);
	put(o, "{", 1);
	o->comma = false;
}

void
json_out_object_end(struct json_out *o)
{
	put(o, "}", 1);
	o->comma = true;
}

void
json_out_array(struct json_out *o)
{
	comma(o);
	put(o, "[", 1);
	o->comma = false;
}

void
json_out_array_end(struct json_out *o)
{
	put(o, "]", 1);
	o->comma = true;
}

void
json_out_key(struct json_out *o, const char *key)
{
	size_t len = strlen(key);
	char *to;

	if ((to = room(o, len + 4)) == NULL)
		return;
	if (o->comma)
		*to++ = ',';
	*to++ = '"';
	memcpy(to, key, len);
	to += len;
	*to++ = '"';
	*to++ = ':';
	o->len = (size_t)(to - o->p);
	o->comma = false;
}

void
json_out_raw_key(struct json_out *o, struct json_value key)
{
	comma(o);
	put(o, key.text.p, key.text.len);
	put(o, ":", 1);
	o->comma = false;
}

static size_t
escape(unsigned char c, char *to)
{
	static const char hex[] = "0123456789abcdef";
	static const char from[] = "\"\\\b\f\n\r\t", letter[] = "\"\\bfnrt";
	const char *q;

	to[0] = '\\';
	if (c != '\0' && (q = strchr(from, c)) != NULL) {
		to[1] = letter[q - from];
		return 2;
	}
	to[1] = 'u';
	to[2] = to[3] = '0';
	to[4] = hex[c >> 4];
	to[5] = hex[c & 15];
	return 6;
}

/* How many bytes at 'p' need no escape. */
static size_t
plain(const char *p, size_t len)
{
	uint64_t w, quote, slash;
	size_t i = 0;

	for (; len - i >= 8; i += 8) {
		memcpy(&w, p + i, 8);
		quote = w ^ ONES * '"';
		slash = w ^ ONES * '\\';
		/* bytes above 0x7f are fine: they are taken out at the end */
		if (((((quote - ONES) & ~quote) | ((slash - ONES) & ~slash) |
			 (w - ONES * 0x20)) &
			~w & HIGH_BITS) != 0)
			break;
	}
	while (i < len && (unsigned char)p[i] >= 0x20 && p[i] != '"' &&
	    p[i] != '\\')
		i++;
	return i;
}

void
json_out_string(struct json_out *o, const char *p, size_t len)
{
	char esc[6];
	size_t n;

	comma(o);
	put(o, "\"", 1);
	while ((n = plain(p, len)) < len) {
		put(o, p, n);
		put(o, esc, escape((unsigned char)p[n], esc));
		p += n + 1;
		len -= n + 1;
	}
	put(o, p, len);
	put(o, "\"", 1);
}

void
json_out_cstring(struct json_out *o, const char *s)
{
	json_out_string(o, s, strlen(s));
}

void
json_out_u64(struct json_out *o, uint64_t n)
{
	static const char pairs[] = "00010203040506070809"
				    "10111213141516171819"
				    "20212223242526272829"
				    "30313233343536373839"
				    "40414243444546474849"
				    "50515253545556575859"
				    "60616263646566676869"
				    "70717273747576777879"
				    "80818283848586878889"
				    "90919293949596979899";
	char buf[20], *p = buf + sizeof(buf);

	for (; n >= 100; n /= 100) {
		p -= 2;
		memcpy(p, pairs + n % 100 * 2, 2);
	}
	if (n >= 10) {
		p -= 2;
		memcpy(p, pairs + n * 2, 2);
	} else {
		*--p = (char)('0' + n);
	}
	json_out_raw(o, p, (size_t)(buf + sizeof(buf) - p));
}

void
json_out_i64(struct json_out *o, int64_t n)
{
	comma(o);
	if (n < 0)
		put(o, "-", 1);
	o->comma = false;
	json_out_u64(o, n < 0 ? 0 - (uint64_t)n : (uint64_t)n);
}

void
json_out_double(struct json_out *o, double d)
{
	char buf[40];
	int digits, n;

	if (!isfinite(d)) {
		json_out_null(o);
		return;
	}
	if (d == trunc(d) && fabs(d) < 1e15) {
		json_out_i64(o, (int64_t)d);
		return;
	}
	for (digits = 15; digits < 17; digits++) {
		snprintf(buf, sizeof(buf), "%.*g", digits, d);
		if (strtod(buf, NULL) == d)
			break;
	}
	n = snprintf(buf, sizeof(buf), "%.*g", digits, d);
	json_out_raw(o, buf, (size_t)n);
}

void
json_out_bool(struct json_out *o, bool b)
{
	if (b)
		json_out_raw(o, "true", 4);
	else
		json_out_raw(o, "false", 5);
}

void
json_out_null(struct json_out *o)
{
	json_out_raw(o, "null", 4);
}

void
json_out_raw(struct json_out *o, const char *p, size_t len)
{
	comma(o);
	put(o, p, len);
}

void
json_out_compact(struct json_out *o, struct json_span text)
{
	char *to;

	comma(o);
	if ((to = room(o, text.len)) != NULL)
		o->len += json_compact(text, to);
}

void
json_out_inside(struct json_out *o, const char *p, size_t len)
{
	if (len > 0)
		json_out_raw(o, p, len);
}
