/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "proto/cors.h"

#define METHODS "GET,HEAD,PUT,PATCH,POST,DELETE"
#define REQUEST_HEADERS "Access-Control-Request-Headers"

/* All pages, by a list of just "*". */
static bool
is_public(const struct cors *c)
{
	return c->norigins == 1 && strcmp(c->origins[0], "*") == 0;
}

/* What to reflect; two fields of that name are no origin. */
static bool
listed_origin(const struct cors *c, const struct http_request *req,
    struct span *origin_r)
{
	struct span origin;
	size_t i;

	if (http_header(req, "Origin", &origin) != 1)
		return false;
	for (i = 0; i < c->norigins; i++) {
		if (span_is(origin, c->origins[i])) {
			*origin_r = origin;
			return true;
		}
	}
	return false;
}

static void
put_span(struct put *w, struct span s)
{
	put_bytes(w, s.p, s.len);
}

/* Access-Control-Allow-Origin. */
static void
put_origin(struct put *w, const struct cors *c, const struct http_request *req)
{
	struct span origin = { "*", 1 };

	if (!is_public(c) && !listed_origin(c, req, &origin))
		return;
	put_text(w, "Access-Control-Allow-Origin: ");
	put_span(w, origin);
	put_text(w, "\r\n");
}

static void
put_credentials(struct put *w, const struct cors *c)
{
	if (c->credentials)
		put_text(w, "Access-Control-Allow-Credentials: true\r\n");
}

void
cors_headers(struct put *w, const struct cors *c,
    const struct http_request *req)
{
	if (!cors_configured(c))
		return;
	put_origin(w, c, req);
	if (!is_public(c))
		put_text(w, "Vary: Origin\r\n");
	put_credentials(w, c);
}

bool
cors_is_preflight(const struct cors *c, const struct http_request *req)
{
	return cors_configured(c) && req->method == HTTP_OPTIONS;
}

/* Nothing but names of fields, commas and blanks. */
static bool
is_reflectable(struct span s)
{
	size_t i;

	for (i = 0; i < s.len; i++)
		if (s.p[i] != ',' && s.p[i] != ' ' && s.p[i] != '\t' &&
		    !http_is_token((struct span){ s.p + i, 1 }))
			return false;
	return true;
}

/*
 * All fields, with ", " between them; *len_r is 0 if there is nothing to
 * reflect, or nothing that will be.
 */
static void
measure_reflected(const struct http_request *req, size_t *len_r)
{
	size_t len = 0;
	unsigned i, n = 0;

	*len_r = 0;
	for (i = 0; i < req->nheaders; i++) {
		if (!span_is_nocase(req->headers[i].name, REQUEST_HEADERS))
			continue;
		if (!is_reflectable(req->headers[i].value))
			return;
		len += req->headers[i].value.len + (n++ > 0 ? 2 : 0);
	}
	if (len <= CORS_REQUEST_HEADERS_MAX)
		*len_r = len;
}

static void
put_reflected(struct put *w, const struct http_request *req)
{
	size_t len;
	unsigned i, n = 0;

	measure_reflected(req, &len);
	if (len == 0)
		return;
	put_text(w, "Access-Control-Allow-Headers: ");
	for (i = 0; i < req->nheaders; i++) {
		if (!span_is_nocase(req->headers[i].name, REQUEST_HEADERS))
			continue;
		if (n++ > 0)
			put_text(w, ", ");
		put_span(w, req->headers[i].value);
	}
	put_text(w, "\r\n");
}

void
cors_preflight(struct put *w, const struct cors *c,
    const struct http_request *req)
{
	const char *vary = "Vary: Origin, " REQUEST_HEADERS "\r\n";

	if (!cors_configured(c))
		return;
	put_origin(w, c, req);
	/* where the reference's first Vary came, its second is added */
	if (!is_public(c))
		put_text(w, vary);
	put_credentials(w, c);
	put_text(w, "Access-Control-Allow-Methods: " METHODS "\r\n");
	if (is_public(c))
		put_text(w, "Vary: " REQUEST_HEADERS "\r\n");
	put_reflected(w, req);
	put_text(w, "Content-Length: 0\r\n");
}

bool
cors_allows(const struct cors *c, const struct http_request *req)
{
	struct span origin;

	if (!cors_configured(c) || is_public(c) ||
	    http_header(req, "Origin", NULL) == 0)
		return true;
	return listed_origin(c, req, &origin);
}
