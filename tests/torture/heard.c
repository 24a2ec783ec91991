/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * heard - see heard.h.
 */

#include "tests/torture/heard.h"

#include <string.h>

/* What is of changes and of streams. */
static void
take_more(struct heard *h, struct span key, struct span value)
{
	if (span_is(key, "chunk"))
		h->chunk = span_unquote(value);
	else if (span_is(key, "streams"))
		h->streams = value;
	else if (span_is(key, "index"))
		h->has_index = span_number(value, &h->index);
	else if (span_is(key, "revision"))
		h->has_revision = span_number(value, &h->revision);
	else if (span_is(key, "lastRevision"))
		(void)span_number(value, &h->last_revision);
	else if (span_is(key, "deleted"))
		h->deleted = *value.p == 't';
	else if (span_is(key, "isComplete"))
		h->complete = *value.p == 't';
	else if (span_is(key, "interrupted"))
		h->interrupted = *value.p == 't';
	else if (span_is(key, "cancelled"))
		h->cancelled = *value.p == 't';
}

static void
take(struct heard *h, struct span key, struct span value)
{
	if (span_is(key, "id") || span_is(key, "messageId"))
		h->id = span_unquote(value);
	else if (span_is(key, "content"))
		h->content = span_unquote(value);
	else if (span_is(key, "sessionId"))
		h->session = span_unquote(value);
	else if (span_is(key, "userId"))
		h->user = span_unquote(value);
	else if (span_is(key, "code"))
		h->code = span_unquote(value);
	else if (span_is(key, "messages"))
		h->messages = value;
	else if (span_is(key, "seq"))
		h->has_seq = span_number(value, &h->seq);
	else if (span_is(key, "timestamp"))
		h->has_stamp = span_number(value, &h->stamp);
	else if (span_is(key, "firstSeq"))
		(void)span_number(value, &h->first_seq);
	else if (span_is(key, "lastSeq"))
		h->has_last_seq = span_number(value, &h->last_seq);
	else if (span_is(key, "ok"))
		h->ok = *value.p == 't';
	else if (span_is(key, "retryable"))
		h->retryable = *value.p == 't';
	else if (span_is(key, "truncated"))
		h->truncated = *value.p == 't';
	else if (span_is(key, "duplicate"))
		h->duplicate = *value.p == 't';
	else if (span_is(key, "hasMore"))
		h->more = *value.p == 't';
	else
		take_more(h, key, value);
}

bool
heard_read(struct span text, struct heard *h)
{
	struct scan s = scan_begin(text, '{');
	struct span key, value;

	memset(h, 0, sizeof(*h));
	while (scan_member(&s, &key, &value))
		take(h, key, value);
	return !s.bad;
}

struct scan
heard_args(struct span packet, size_t skip)
{
	while (skip < packet.len && packet.p[skip] != '[')
		skip++;
	return scan_begin((struct span){ packet.p + skip, packet.len - skip },
	    '[');
}

bool
heard_string(struct span text, const char *key, char *out, size_t size)
{
	const char *p = memmem(text.p, text.len, key, strlen(key)), *end;

	out[0] = '\0';
	if (p == NULL)
		return false;
	p += strlen(key);
	end = memchr(p, '"', (size_t)(text.p + text.len - p));
	if (end == NULL || (size_t)(end - p) >= size)
		return false;
	memcpy(out, p, (size_t)(end - p));
	out[end - p] = '\0';
	return true;
}
