/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "proto/http.h"

/* How much an element of Accept-Encoding is about the coding asked for. */
enum match {
	MATCH_NONE,
	/* the coding that stands for all others */
	MATCH_STAR,
	MATCH_NAME,
};

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Cut off what stands before 'c'; all of it, if there is none. */
static struct span
cut(struct span *rest, char c)
{
	const char *p = rest->len == 0 ? NULL : memchr(rest->p, c, rest->len);
	struct span front = *rest;

	if (p == NULL) {
		*rest = (struct span){ rest->p + rest->len, 0 };
	} else {
		front.len = (size_t)(p - front.p);
		*rest = (struct span){ p + 1, rest->len - front.len - 1 };
	}
	while (front.len > 0 && is_blank(front.p[0])) {
		front.p++;
		front.len--;
	}
	while (front.len > 0 && is_blank(front.p[front.len - 1]))
		front.len--;
	return front;
}

/* RFC 9110 12.4.2, in thousandths; what is malformed is not wanted. */
static unsigned
qvalue(struct span s)
{
	unsigned q = 0, scale = 100;
	size_t i;

	if (s.len == 0 || s.len > 5 || (s.p[0] != '0' && s.p[0] != '1'))
		return 0;
	q = s.p[0] == '1' ? 1000 : 0;
	if (s.len > 1 && s.p[1] != '.')
		return 0;
	for (i = 2; i < s.len; i++, scale /= 10) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return 0;
		q += (unsigned)(s.p[i] - '0') * scale;
	}
	return q <= 1000 ? q : 0;
}

static enum match
match_coding(struct span element, const char *coding, const char *other)
{
	if (span_is_nocase(element, coding) || span_is_nocase(element, other))
		return MATCH_NAME;
	return span_is(element, "*") ? MATCH_STAR : MATCH_NONE;
}

/* Is the coding, by either name, offered with a q that is not 0? */
static bool
accepts(const struct http_request *req, const char *coding, const char *other)
{
	enum match best = MATCH_NONE;
	struct http_list list = { 0 };
	struct span element;
	unsigned best_q = 0;

	while (http_list_next(req, "Accept-Encoding", &list, &element)) {
		enum match m = match_coding(cut(&element, ';'), coding, other);
		unsigned q = 1000;

		while (element.len > 0) {
			struct span param = cut(&element, ';');

			if (span_is_nocase(cut(&param, '='), "q"))
				q = qvalue(cut(&param, '='));
		}
		/* the name tells more than the star, wherever it stands */
		if (m < best || m == MATCH_NONE)
			continue;
		if (m > best || q > best_q)
			best_q = q;
		best = m;
	}
	return best_q > 0;
}

bool
http_accepts_gzip(const struct http_request *req)
{
	return accepts(req, "gzip", "x-gzip");
}

bool
http_accepts_deflate(const struct http_request *req)
{
	return accepts(req, "deflate", "deflate");
}

/* [W/]"..." at the beginning of *rest; cuts it off. */
static bool
cut_etag(struct span *rest, struct span *tag_r)
{
	const char *end;

	if (rest->len >= 2 && rest->p[0] == 'W' && rest->p[1] == '/') {
		rest->p += 2;
		rest->len -= 2;
	}
	if (rest->len < 2 || rest->p[0] != '"')
		return false;
	end = memchr(rest->p + 1, '"', rest->len - 1);
	if (end == NULL)
		return false;
	*tag_r = (struct span){ rest->p, (size_t)(end + 1 - rest->p) };
	rest->p += tag_r->len;
	rest->len -= tag_r->len;
	return true;
}

/* An opaque tag may hold commas, so http_list_next() is of no use. */
static bool
lists_etag(struct span rest, const char *opaque)
{
	struct span tag;

	for (;;) {
		while (rest.len > 0 && (is_blank(*rest.p) || *rest.p == ',')) {
			rest.p++;
			rest.len--;
		}
		/* a list that is broken holds what stands before the break */
		if (!cut_etag(&rest, &tag))
			return false;
		if (span_is(tag, opaque))
			return true;
		if (rest.len > 0 && !is_blank(*rest.p) && *rest.p != ',')
			return false;
	}
}

bool
http_etag_matches(const struct http_request *req, const char *etag)
{
	unsigned i;

	if (strncmp(etag, "W/", 2) == 0)
		etag += 2;
	for (i = 0; i < req->nheaders; i++) {
		const struct http_header *h = &req->headers[i];

		if (!span_is_nocase(h->name, "If-None-Match"))
			continue;
		if (span_is(h->value, "*") || lists_etag(h->value, etag))
			return true;
	}
	return false;
}

bool
http_is_explorer(const struct http_request *req)
{
	struct span agent;

	if (http_header(req, "User-Agent", &agent) == 0)
		return false;
	return memmem(agent.p, agent.len, ";MSIE", 5) != NULL ||
	    memmem(agent.p, agent.len, "Trident/", 8) != NULL;
}
