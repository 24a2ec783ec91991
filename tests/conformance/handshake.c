/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "tests/conformance/handshake.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/log.h"
#include "proto/http.h"
#include "proto/query.h"

/* longer names and values of headers and queries are not shown */
#define TEXT_MAX (3 * HTTP_LINE_MAX + 1)

void
iso_date(char buf[ISO_SIZE], uint64_t ms)
{
	time_t seconds = (time_t)(ms / 1000);
	char text[24];
	struct tm tm;

	(void)gmtime_r(&seconds, &tm);
	(void)strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	(void)snprintf(buf, ISO_SIZE, "%s.%03uZ", text, (unsigned)(ms % 1000));
}

static bool
parse(struct span head, struct http_request *req_r)
{
	struct http_scan scan = { 0 };
	struct http_error error;

	return http_parse(head.p, head.len, &scan, req_r, &error) == HTTP_OK;
}

/* A string member whose name is not a plain one. */
static void
put_member(struct json_out *o, const char *key, size_t key_len,
    const char *value, size_t value_len)
{
	struct json_out name = { 0 };
	struct json_value k;

	json_out_string(&name, key, key_len);
	k = json_value(name.p, name.len);
	json_out_raw_key(o, k);
	json_out_string(o, value, value_len);
	json_out_clear(&name);
}

static void
put_headers(struct json_out *o, const struct http_request *req)
{
	char name[256];
	struct span first;
	size_t n, j;

	json_out_object(o);
	for (unsigned i = 0; i < req->nheaders; i++) {
		n = req->headers[i].name.len;
		if (n >= sizeof(name))
			continue;
		for (j = 0; j < n; j++)
			name[j] = (char)tolower(
			    (unsigned char)req->headers[i].name.p[j]);
		name[n] = '\0';
		/* of a repeated one the first is shown */
		if (http_header(req, name, &first) == 0 ||
		    first.p != req->headers[i].value.p)
			continue;
		put_member(o, name, n, first.p, first.len);
	}
	json_out_object_end(o);
}

/* Of a repeated parameter the last value counts. */
static bool
comes_again(struct span rest, const char *key, size_t len)
{
	char buf[TEXT_MAX];
	struct span k, v;
	long n;

	while (query_next(&rest, &k, &v)) {
		n = query_decode(k, buf, sizeof(buf));
		if (n >= 0 && (size_t)n == len && memcmp(buf, key, len) == 0)
			return true;
	}
	return false;
}

static void
put_query(struct json_out *o, struct span query)
{
	char key[TEXT_MAX], value[TEXT_MAX];
	struct span k, v;
	long nkey, nvalue;

	json_out_object(o);
	while (query_next(&query, &k, &v)) {
		nkey = query_decode(k, key, sizeof(key));
		nvalue = query_decode(v, value, sizeof(value));
		if (nkey < 0 || nvalue < 0 ||
		    comes_again(query, key, (size_t)nkey))
			continue;
		put_member(o, key, (size_t)nkey, value, (size_t)nvalue);
	}
	json_out_object_end(o);
}

void
handshake_json(struct json_out *o, const struct handshake *h)
{
	struct http_request req;
	char date[ISO_SIZE];

	if (!parse(h->head, &req))
		memset(&req, 0, sizeof(req));
	iso_date(date, h->issued_ms);
	json_out_object(o);
	json_out_key(o, "headers");
	put_headers(o, &req);
	json_out_key(o, "time");
	json_out_cstring(o, date);
	json_out_key(o, "address");
	json_out_cstring(o, h->address);
	json_out_key(o, "xdomain");
	json_out_bool(o, http_header(&req, "Origin", NULL) > 0);
	json_out_key(o, "secure");
	json_out_bool(o, false);
	json_out_key(o, "issued");
	json_out_u64(o, h->issued_ms);
	json_out_key(o, "url");
	json_out_string(o, req.target.p, req.target.len);
	json_out_key(o, "query");
	put_query(o, req.query);
	json_out_key(o, "auth");
	json_out_raw(o, h->auth.p, h->auth.len);
	json_out_object_end(o);
}

bool
handshake_has(struct span head, const char *key)
{
	struct http_request req;
	char buf[8];
	size_t len;

	return parse(head, &req) &&
	    query_get(req.query, key, buf, sizeof(buf), &len) != QUERY_NONE;
}
