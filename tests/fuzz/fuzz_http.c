/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * fuzz_http - request heads: the outcome does not depend on where the bytes
 * are cut, and what is handed out lies within them.
 */

#include <stdint.h>
#include <stdlib.h>

#include "common/log.h"
#include "proto/http.h"
#include "proto/query.h"
#include "proto/ws.h"

/* heads up to this size are grown byte by byte, longer ones in steps */
#define STEPS 512

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct outcome {
	enum http_result result;
	int status;
	size_t head_len;
};

static struct http_request req;

static bool
within(struct span s, const char *p, size_t len)
{
	return s.len == 0 || s.p[0] == '/' ||
	    ((uintptr_t)s.p >= (uintptr_t)p &&
		(uintptr_t)(s.p + s.len) <= (uintptr_t)(p + len));
}

static void
check_spans(const char *p, size_t len)
{
	unsigned i;

	CHECK(req.head_len <= len && req.head_len <= HTTP_HEAD_MAX);
	CHECK(within(req.target, p, len));
	CHECK(within(req.path, p, len) && req.path.len > 0);
	CHECK(within(req.query, p, len));
	CHECK(within(req.host, p, len));
	CHECK(req.nheaders <= HTTP_HEADERS_MAX);
	CHECK(!(req.chunked && req.content_length > 0));
	for (i = 0; i < req.nheaders; i++) {
		CHECK(within(req.headers[i].name, p, len));
		CHECK(within(req.headers[i].value, p, len));
		CHECK(http_is_token(req.headers[i].name));
	}
}

/* What the layers above do with a good head. */
static void
use(void)
{
	static char buf[3 * HTTP_HEAD_MAX];
	struct http_list list = { 0 };
	struct ws_handshake hs;
	struct http_error err;
	struct span element;
	size_t len, n = 0;

	(void)query_get(req.query, "sid", buf, 21, &len);
	(void)query_get(req.query, "transport", buf, sizeof(buf), &len);
	while (http_list_next(&req, "Connection", &list, &element))
		n += element.len;
	(void)http_accepts_gzip(&req);
	(void)http_is_explorer(&req);
	CHECK(http_etag_matches(&req, "\"4.8.1\"") ==
	    http_etag_matches(&req, "W/\"4.8.1\""));
	CHECK(n <= HTTP_HEAD_MAX);
	if (ws_handshake(&req, &hs, &err))
		CHECK(ws_accept(buf, sizeof(buf), &hs, NULL) > 0);
	else
		CHECK(ws_reject(buf, sizeof(buf), &err) > 0);
}

/* From a copy that ends where it ends. */
static struct outcome
parse(const uint8_t *data, size_t size, struct http_scan *scan, bool whole)
{
	char *copy = malloc(size > 0 ? size : 1);
	struct http_error err = { 0 };
	struct outcome o = { 0 };

	CHECK(copy != NULL);
	if (size > 0)
		memcpy(copy, data, size);
	o.result = http_parse(copy, size, scan, &req, &err);
	if (o.result == HTTP_BAD) {
		o.status = err.status;
		CHECK(err.why != NULL && err.status >= 400);
		CHECK(http_refuse((char[256]){ 0 }, 256, err.status) > 0);
	}
	if (o.result == HTTP_OK) {
		o.head_len = req.head_len;
		check_spans(copy, size);
		if (whole)
			use();
	}
	free(copy);
	return o;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct http_scan scan = { 0 };
	struct outcome want = parse(data, size, &scan, true);
	struct outcome got = { .result = HTTP_MORE };
	size_t n, step = size / STEPS + 1;

	scan = (struct http_scan){ 0 };
	for (n = 0; got.result == HTTP_MORE; n += step) {
		got = parse(data, n < size ? n : size, &scan, false);
		if (n >= size)
			break;
	}
	CHECK(got.result == want.result);
	CHECK(got.status == want.status);
	CHECK(got.head_len == want.head_len);
	return 0;
}
