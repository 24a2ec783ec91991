/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * scan - see scan.h.
 */

#include "tests/bench/scan.h"

#include <string.h>

static void
skip_blanks(struct scan *s)
{
	while (s->p < s->end &&
	    (*s->p == ' ' || *s->p == '\n' || *s->p == '\t' || *s->p == '\r'))
		s->p++;
}

static bool
fail(struct scan *s)
{
	s->bad = true;
	return false;
}

/* From the opening quote to behind the closing one. */
static bool
skip_string(struct scan *s)
{
	const char *p = s->p + 1, *q, *b;

	while ((q = memchr(p, '"', (size_t)(s->end - p))) != NULL) {
		for (b = q; b > p && b[-1] == '\\'; b--)
			;
		p = q + 1;
		if ((q - b) % 2 == 0) {
			s->p = p;
			return true;
		}
	}
	return fail(s);
}

static bool
skip_nested(struct scan *s)
{
	unsigned depth = 0;

	while (s->p < s->end) {
		switch (*s->p) {
		case '"':
			if (!skip_string(s))
				return false;
			continue;
		case '{':
		case '[':
			depth++;
			break;
		case '}':
		case ']':
			if (--depth == 0) {
				s->p++;
				return true;
			}
			break;
		}
		s->p++;
	}
	return fail(s);
}

static bool
skip_value(struct scan *s, struct span *value)
{
	bool ok = true;

	skip_blanks(s);
	if (s->p == s->end)
		return fail(s);
	value->p = s->p;
	if (*s->p == '"')
		ok = skip_string(s);
	else if (*s->p == '{' || *s->p == '[')
		ok = skip_nested(s);
	else
		while (s->p < s->end && strchr(",]} \t\r\n", *s->p) == NULL)
			s->p++;
	value->len = (size_t)(s->p - value->p);
	return ok && (value->len > 0 || fail(s));
}

struct scan
scan_begin(struct span text, char opening)
{
	struct scan s = { text.p, text.p + text.len, false };

	skip_blanks(&s);
	if (s.p == s.end || *s.p != opening)
		s.bad = true;
	return s;
}

/* To the next item; false behind the last one. */
static bool
next(struct scan *s, char opening, char closing)
{
	char was;

	if (s->bad)
		return false;
	skip_blanks(s);
	if (s->p == s->end)
		return fail(s);
	was = *s->p++;
	if (was == closing)
		return false;
	if (was != opening && was != ',')
		return fail(s);
	skip_blanks(s);
	if (s->p == s->end)
		return fail(s);
	return was == ',' || *s->p != closing;
}

bool
scan_member(struct scan *s, struct span *key, struct span *value)
{
	if (!next(s, '{', '}'))
		return false;
	if (*s->p != '"')
		return fail(s);
	key->p = s->p + 1;
	if (!skip_string(s))
		return false;
	key->len = (size_t)(s->p - key->p) - 1;
	skip_blanks(s);
	if (s->p == s->end || *s->p++ != ':')
		return fail(s);
	return skip_value(s, value);
}

bool
scan_element(struct scan *s, struct span *value)
{
	return next(s, '[', ']') && skip_value(s, value);
}

bool
span_is(struct span a, const char *text)
{
	return a.len == strlen(text) && memcmp(a.p, text, a.len) == 0;
}

struct span
span_unquote(struct span value)
{
	if (value.len < 2 || *value.p != '"')
		return (struct span){ value.p, 0 };
	return (struct span){ value.p + 1, value.len - 2 };
}

bool
span_number(struct span text, uint64_t *n)
{
	uint64_t v = 0;
	size_t i;

	for (i = 0; i < text.len && text.p[i] >= '0' && text.p[i] <= '9'; i++) {
		if (i == 18)
			return false;
		v = v * 10 + (uint64_t)(text.p[i] - '0');
	}
	*n = v;
	return i > 0;
}

static void
take(struct scan_message *m, struct span key, struct span value)
{
	switch (key.len) {
	case 2:
		if (span_is(key, "id"))
			m->id = span_unquote(value);
		else if (span_is(key, "ok"))
			m->ok = *value.p == 't';
		break;
	case 3:
		if (span_is(key, "seq"))
			m->has_seq = span_number(value, &m->seq);
		break;
	case 4:
		if (span_is(key, "code"))
			m->code = span_unquote(value);
		break;
	case 7:
		if (span_is(key, "content"))
			m->content = span_unquote(value);
		else if (span_is(key, "lastSeq"))
			m->has_last_seq = span_number(value, &m->last_seq);
		else if (span_is(key, "hasMore"))
			m->more = *value.p == 't';
		break;
	case 8:
		if (span_is(key, "messages"))
			m->messages = value;
		break;
	case 9:
		if (span_is(key, "sessionId"))
			m->session = span_unquote(value);
		else if (span_is(key, "messageId"))
			m->id = span_unquote(value);
		else if (span_is(key, "retryable"))
			m->retryable = *value.p == 't';
		else if (span_is(key, "truncated"))
			m->truncated = *value.p == 't';
		break;
	}
}

bool
scan_message(struct span text, struct scan_message *m)
{
	struct scan s = scan_begin(text, '{');
	struct span key, value;

	memset(m, 0, sizeof(*m));
	while (scan_member(&s, &key, &value))
		take(m, key, value);
	return !s.bad;
}
