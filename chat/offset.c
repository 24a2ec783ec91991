/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "chat/offset.h"

#include <string.h>

#include "common/log.h"

#define BASE 36

/* --- writing ----------------------------------------------------------- */

static char *
put_number(char *to, uint64_t n)
{
	static const char digits[BASE + 1] =
	    "0123456789abcdefghijklmnopqrstuvwxyz";
	char text[13];
	size_t i = sizeof(text);

	do {
		text[--i] = digits[n % BASE];
		n /= BASE;
	} while (n > 0);
	memcpy(to, text + i, sizeof(text) - i);
	return to + (sizeof(text) - i);
}

const char *
offset_write(const struct offset *o, char buf[OFFSET_TEXT_SIZE])
{
	const struct offset_pair *pair = o->pair, *end = pair + o->npairs;
	char *to = put_number(buf, o->pos);

	for (; pair < end; pair++) {
		*to++ = '.';
		to = put_number(to, pair->room);
		*to++ = ':';
		to = put_number(to, pair->next);
		if (pair->own_to > 0 || pair->changed > 0) {
			*to++ = ':';
			to = put_number(to, pair->own_to);
		}
		if (pair->changed > 0) {
			*to++ = ':';
			to = put_number(to, pair->changed);
		}
	}
	*to = '\0';
	return buf;
}

bool
offset_add(struct offset *o, struct offset_pair pair)
{
	unsigned i;

	if (o->npairs == OFFSET_MAX_PAIRS)
		return false;
	for (i = o->npairs; i > 0 && o->pair[i - 1].room > pair.room; i--)
		o->pair[i] = o->pair[i - 1];
	CHECK(i == 0 || o->pair[i - 1].room < pair.room);
	o->pair[i] = pair;
	o->npairs++;
	return true;
}

/* --- reading ----------------------------------------------------------- */

struct reader {
	const char *p, *end;
	const char *why;
};

static bool
bad(struct reader *r, const char *why)
{
	if (r->why == NULL)
		r->why = why;
	return false;
}

static int
digit_of(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 10;
	return -1;
}

static bool
take_number(struct reader *r, uint64_t *n_r)
{
	const char *first = r->p;
	uint64_t n = 0;
	int d;

	for (; r->p < r->end && (d = digit_of(*r->p)) >= 0; r->p++) {
		if (n > (UINT64_MAX - (uint64_t)d) / BASE)
			return bad(r, "a number is too large");
		n = n * BASE + (uint64_t)d;
	}
	if (r->p == first)
		return bad(r, "a number is missing");
	if (*first == '0' && r->p - first > 1)
		return bad(r, "a number begins with 0");
	*n_r = n;
	return true;
}

static bool
take(struct reader *r, char c)
{
	if (r->p == r->end || *r->p != c)
		return false;
	r->p++;
	return true;
}

static bool
take_pair(struct reader *r, struct offset_pair *pair)
{
	if (!take_number(r, &pair->room))
		return false;
	if (pair->room == 0)
		return bad(r, "a room is 0");
	if (!take(r, ':'))
		return bad(r, "a colon is missing");
	if (!take_number(r, &pair->next))
		return false;
	pair->own_to = pair->changed = 0;
	if (!take(r, ':'))
		return true;
	if (!take_number(r, &pair->own_to))
		return false;
	if (take(r, ':')) {
		if (!take_number(r, &pair->changed))
			return false;
		if (pair->next == 0 || pair->changed == 0)
			return bad(r, "changes of a room begin at 0");
		if (pair->own_to == 0)
			return true;
	}
	if (pair->next == 0 || pair->own_to < pair->next)
		return bad(r, "what is its own ends before it begins");
	return true;
}

bool
offset_parse(const char *p, size_t len, struct offset *o_r, const char **why_r)
{
	struct reader r = { p, p + len, NULL };
	struct offset o = { .npairs = 0 };
	struct offset_pair pair;
	bool ok = take_number(&r, &o.pos);

	while (ok && take(&r, '.')) {
		ok = take_pair(&r, &pair);
		if (ok && o.npairs == OFFSET_MAX_PAIRS)
			ok = bad(&r, "too many rooms");
		else if (ok && o.npairs > 0 &&
		    o.pair[o.npairs - 1].room >= pair.room)
			ok = bad(&r, "rooms are not in order");
		else if (ok)
			o.pair[o.npairs++] = pair;
	}
	if (ok && r.p < r.end)
		ok = bad(&r, "a character that does not belong there");
	if (ok && o.pos == 0 && o.npairs > 0)
		ok = bad(&r, "rooms without a position");
	if (!ok) {
		*why_r = r.why;
		return false;
	}
	*o_r = o;
	return true;
}

const struct offset_pair *
offset_find(const struct offset *o, uint64_t room)
{
	unsigned i;

	for (i = 0; i < o->npairs; i++) {
		if (o->pair[i].room == room)
			return &o->pair[i];
	}
	return NULL;
}
