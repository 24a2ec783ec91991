/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * The scanner: one pass, no recursion.  Kinds of the open containers are a
 * stack of bits; the keys of the open objects are a stack of spans, which an
 * object checks for duplicates when it closes: few keys each with each, many
 * by sorting, so that no choice of keys makes it slow.
 */

#include "common/json.h"

#include <stdlib.h>
#include <string.h>

#include "common/utf8.h"

#define ONES UINT64_C(0x0101010101010101)
#define HIGH_BITS UINT64_C(0x8080808080808080)
#define SMALL_KEYS 32
#define SMALL_BITS 256
/* so many keys are compared each with each */
#define PAIRWISE_KEYS 8

struct key {
	struct json_value string;
	bool escaped;
};

struct scanner {
	const char *p, *end;
	/* why the text is not for us, although it may be JSON */
	const char *refused;
	/* why it is no JSON */
	const char *bad;
	unsigned max_depth;
	size_t depth;
	/* bit i: the container at depth i + 1 is an object */
	uint64_t *kinds;
	size_t kinds_cap;
	struct key *keys;
	size_t nkeys, keys_cap;
	/* where the keys of the container at depth i + 1 begin */
	size_t key_base[JSON_MAX_DEPTH];
	uint64_t small_kinds[SMALL_BITS / 64];
	struct key small_keys[SMALL_KEYS];
};

/* What must come next. */
enum step {
	STEP_VALUE,
	STEP_KEY,
	/* a comma or the end of the container */
	STEP_AFTER,
	STEP_END,
	STEP_BAD,
};

static enum step
bad(struct scanner *s, const char *why)
{
	if (s->bad == NULL)
		s->bad = why;
	return STEP_BAD;
}

static void
refuse(struct scanner *s, const char *why)
{
	if (s->refused == NULL)
		s->refused = why;
}

static void
skip_blanks(struct scanner *s)
{
	while (s->p < s->end &&
	    (*s->p == ' ' || *s->p == '\n' || *s->p == '\r' || *s->p == '\t'))
		s->p++;
}

/* Bytes that need no look: no quote, backslash, control or non-ASCII. */
static const char *
skip_plain(const char *p, const char *end)
{
	uint64_t w, quote, slash, odd;

	while (end - p >= 8) {
		memcpy(&w, p, 8);
		quote = w ^ ONES * '"';
		slash = w ^ ONES * '\\';
		odd = ((quote - ONES) & ~quote) | ((slash - ONES) & ~slash) |
		    (w - ONES * 0x20) | w;
		if ((odd & HIGH_BITS) != 0)
			break;
		p += 8;
	}
	while (p < end && (uint8_t)*p >= 0x20 && (uint8_t)*p < 0x80 &&
	    *p != '"' && *p != '\\')
		p++;
	return p;
}

/* Four hexadecimal digits, or -1. */
static int
hex4(const char *p, const char *end)
{
	int i, c, v = 0;

	if (end - p < 4)
		return -1;
	for (i = 0; i < 4; i++) {
		c = (uint8_t)p[i];
		if (c >= '0' && c <= '9')
			v = v << 4 | (c - '0');
		else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
			v = v << 4 | ((c | 0x20) - 'a' + 10);
		else
			return -1;
	}
	return v;
}

/* Behind a backslash. */
static bool
scan_escape(struct scanner *s)
{
	int c, low;

	if (s->p == s->end)
		return false;
	if (*s->p != 'u') {
		if (*s->p == '\0' || strchr("\"\\/bfnrt", *s->p) == NULL)
			return false;
		s->p++;
		return true;
	}
	s->p++;
	if ((c = hex4(s->p, s->end)) == -1)
		return false;
	s->p += 4;
	if (c == 0) {
		refuse(s, "NUL in a string");
	} else if (c >= 0xd800 && c <= 0xdbff) {
		if (s->end - s->p >= 2 && s->p[0] == '\\' && s->p[1] == 'u' &&
		    (low = hex4(s->p + 2, s->end)) >= 0xdc00 && low <= 0xdfff)
			s->p += 6;
		else
			refuse(s, "half a surrogate pair");
	} else if (c >= 0xdc00 && c <= 0xdfff) {
		refuse(s, "half a surrogate pair");
	}
	return true;
}

/* Behind the opening quote, to behind the closing one. */
static bool
scan_string(struct scanner *s, bool *escaped_r)
{
	uint32_t c;
	size_t n;

	for (;;) {
		s->p = skip_plain(s->p, s->end);
		if (s->p == s->end) {
			bad(s, "string without an end");
			return false;
		}
		if (*s->p == '"') {
			s->p++;
			return true;
		}
		if (*s->p == '\\') {
			*escaped_r = true;
			s->p++;
			if (!scan_escape(s)) {
				bad(s, "unknown escape in a string");
				return false;
			}
		} else if ((uint8_t)*s->p < 0x20) {
			bad(s, "control character in a string");
			return false;
		} else if ((n = utf8_decode(s->p, (size_t)(s->end - s->p),
				&c)) > 0) {
			s->p += n;
		} else {
			refuse(s, "string is not UTF-8");
			s->p++;
		}
	}
}

static size_t
scan_digits(struct scanner *s)
{
	const char *from = s->p;

	while (s->p < s->end && *s->p >= '0' && *s->p <= '9')
		s->p++;
	return (size_t)(s->p - from);
}

static bool
scan_number(struct scanner *s)
{
	const char *first;

	if (*s->p == '-')
		s->p++;
	first = s->p;
	if (scan_digits(s) == 0 || (*first == '0' && s->p - first > 1))
		return false;
	if (s->p < s->end && *s->p == '.') {
		s->p++;
		if (scan_digits(s) == 0)
			return false;
	}
	if (s->p < s->end && (*s->p == 'e' || *s->p == 'E')) {
		s->p++;
		if (s->p < s->end && (*s->p == '+' || *s->p == '-'))
			s->p++;
		if (scan_digits(s) == 0)
			return false;
	}
	return true;
}

static bool
scan_word(struct scanner *s, const char *word)
{
	size_t len = strlen(word);

	if ((size_t)(s->end - s->p) < len || memcmp(s->p, word, len) != 0)
		return false;
	s->p += len;
	return true;
}

/* Twice the room for 'n' things of 'size' bytes, out of the small array. */
static void *
grow(void *p, const void *small, size_t n, size_t size)
{
	void *q;

	if ((q = reallocarray(p == small ? NULL : p, n * 2, size)) == NULL)
		return NULL;
	if (p == small)
		memcpy(q, p, n * size);
	return q;
}

static enum step
open_container(struct scanner *s, bool object)
{
	uint64_t *kinds;

	if (s->depth == s->kinds_cap * 64) {
		kinds = grow(s->kinds, s->small_kinds, s->kinds_cap,
		    sizeof(*kinds));
		if (kinds == NULL)
			return bad(s, "out of memory");
		s->kinds = kinds;
		s->kinds_cap *= 2;
	}
	if (object)
		s->kinds[s->depth / 64] |= UINT64_C(1) << s->depth % 64;
	else
		s->kinds[s->depth / 64] &= ~(UINT64_C(1) << s->depth % 64);
	if (s->depth >= s->max_depth)
		refuse(s, "nested too deeply");
	else
		s->key_base[s->depth] = s->nkeys;
	s->depth++;
	s->p++;
	skip_blanks(s);
	if (s->p < s->end && *s->p == (object ? '}' : ']'))
		return STEP_AFTER;
	return object ? STEP_KEY : STEP_VALUE;
}

/* By code points, which is also the order of bytes in UTF-8. */
static int
key_compare_escaped(const struct key *a, const struct key *b)
{
	const char *pa = NULL, *pb = NULL;
	uint32_t ca, cb;
	bool more_a, more_b;

	for (;;) {
		more_a = json_next_char(a->string, &pa, &ca);
		more_b = json_next_char(b->string, &pb, &cb);
		if (!more_a || !more_b)
			return (int)more_a - (int)more_b;
		if (ca != cb)
			return ca < cb ? -1 : 1;
	}
}

static int
key_compare(const void *va, const void *vb)
{
	const struct key *a = va, *b = vb;
	size_t la, lb;
	int c;

	if (a->escaped || b->escaped)
		return key_compare_escaped(a, b);
	la = a->string.text.len - 2;
	lb = b->string.text.len - 2;
	c = memcmp(a->string.text.p + 1, b->string.text.p + 1,
	    la < lb ? la : lb);
	if (c != 0)
		return c;
	return la < lb ? -1 : la > lb;
}

static bool
key_twice(struct key *keys, size_t n)
{
	size_t i, j;

	if (n <= PAIRWISE_KEYS) {
		for (i = 1; i < n; i++) {
			for (j = 0; j < i; j++) {
				if (key_compare(&keys[i], &keys[j]) == 0)
					return true;
			}
		}
		return false;
	}
	qsort(keys, n, sizeof(*keys), key_compare);
	for (i = 1; i < n; i++) {
		if (key_compare(&keys[i - 1], &keys[i]) == 0)
			return true;
	}
	return false;
}

static enum step
close_container(struct scanner *s)
{
	size_t base;

	s->p++;
	s->depth--;
	if (s->refused == NULL) {
		base = s->key_base[s->depth];
		if (key_twice(s->keys + base, s->nkeys - base))
			refuse(s, "a key twice in an object");
		s->nkeys = base;
	}
	return STEP_AFTER;
}

static enum step
scan_key(struct scanner *s)
{
	struct key *keys, *k;
	const char *from = s->p;
	bool escaped = false;

	if (s->p == s->end || *s->p != '"')
		return bad(s, "expected a key");
	s->p++;
	if (!scan_string(s, &escaped))
		return STEP_BAD;
	if (s->refused == NULL) {
		if (s->nkeys == s->keys_cap) {
			keys = grow(s->keys, s->small_keys, s->keys_cap,
			    sizeof(*keys));
			if (keys == NULL)
				return bad(s, "out of memory");
			s->keys = keys;
			s->keys_cap *= 2;
		}
		k = &s->keys[s->nkeys++];
		k->escaped = escaped;
		k->string.kind = JSON_KIND_STRING;
		k->string.text.p = from;
		k->string.text.len = (size_t)(s->p - from);
	}
	skip_blanks(s);
	if (s->p == s->end || *s->p != ':')
		return bad(s, "expected a colon");
	s->p++;
	return STEP_VALUE;
}

static enum step
scan_value(struct scanner *s)
{
	bool ok, escaped;

	if (s->p == s->end)
		return bad(s, "expected a value");
	switch (*s->p) {
	case '{':
		return open_container(s, true);
	case '[':
		return open_container(s, false);
	case '"':
		s->p++;
		return scan_string(s, &escaped) ? STEP_AFTER : STEP_BAD;
	case 't':
		ok = scan_word(s, "true");
		break;
	case 'f':
		ok = scan_word(s, "false");
		break;
	case 'n':
		ok = scan_word(s, "null");
		break;
	default:
		if (*s->p != '-' && (*s->p < '0' || *s->p > '9'))
			return bad(s, "expected a value");
		return scan_number(s) ? STEP_AFTER : bad(s, "bad number");
	}
	return ok ? STEP_AFTER : bad(s, "expected a value");
}

static enum step
scan_after(struct scanner *s)
{
	bool object;

	if (s->depth == 0)
		return s->p == s->end ? STEP_END
				      : bad(s, "something behind the value");
	object = s->kinds[(s->depth - 1) / 64] >> (s->depth - 1) % 64 & 1;
	if (s->p == s->end)
		return bad(s, "array or object without an end");
	if (*s->p == (object ? '}' : ']'))
		return close_container(s);
	if (*s->p != ',')
		return bad(s, "expected a comma");
	s->p++;
	return object ? STEP_KEY : STEP_VALUE;
}

enum json_verdict
json_scan(const char *p, size_t len, unsigned max_depth, const char **why_r)
{
	struct scanner s;
	enum step step = STEP_VALUE;

	s.p = p;
	s.end = p + len;
	s.refused = s.bad = NULL;
	s.max_depth = max_depth < JSON_MAX_DEPTH ? max_depth : JSON_MAX_DEPTH;
	s.depth = s.nkeys = 0;
	s.kinds = s.small_kinds;
	s.kinds_cap = SMALL_BITS / 64;
	s.keys = s.small_keys;
	s.keys_cap = SMALL_KEYS;
	while (step != STEP_END && step != STEP_BAD) {
		skip_blanks(&s);
		if (step == STEP_VALUE)
			step = scan_value(&s);
		else if (step == STEP_KEY)
			step = scan_key(&s);
		else
			step = scan_after(&s);
	}
	if (s.kinds != s.small_kinds)
		free(s.kinds);
	if (s.keys != s.small_keys)
		free(s.keys);
	if (s.bad != NULL || s.refused != NULL)
		*why_r = s.bad != NULL ? s.bad : s.refused;
	if (s.bad != NULL)
		return JSON_BAD;
	return s.refused != NULL ? JSON_REFUSED : JSON_FINE;
}
