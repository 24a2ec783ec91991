/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * fuzz_cors - origins: whatever a request says, what is written are whole
 * lines of known fields, bounded; and a websocket is opened only for who
 * may read the answers.  The first input byte chooses the configuration, the
 * rest is the request's fields.
 */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/log.h"
#include "proto/cors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char a_example[] = "https://a.example";
static char b_example[] = "http://b";
static char all[] = "*";
static char *const listed[] = { a_example, b_example };
static char *const public[] = { all };

static struct http_request req;

static void
check_line(const char *line, size_t len)
{
	static const char *const names[] = {
		"Access-Control-Allow-Origin: ",
		"Access-Control-Allow-Credentials: true",
		"Access-Control-Allow-Methods: GET,",
		"Access-Control-Allow-Headers: ",
		"Vary: ",
		"Content-Length: 0",
	};
	size_t i;

	for (i = 0; i < len; i++)
		CHECK((line[i] >= ' ' && line[i] <= '~') || line[i] == '\t');
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (len >= strlen(names[i]) &&
		    memcmp(line, names[i], strlen(names[i])) == 0)
			return;
	CHECK(!"a field that is not ours");
}

static void
check_lines(const char *text, size_t len)
{
	const char *p = text, *end = text + len, *cr;

	for (; p < end; p = cr + 2) {
		cr = memchr(p, '\r', (size_t)(end - p));
		CHECK(cr != NULL && end - cr >= 2 && cr[1] == '\n');
		check_line(p, (size_t)(cr - p));
	}
}

static void
check(const struct cors *c)
{
	static char text[CORS_HEADERS_MAX + CORS_REQUEST_HEADERS_MAX], again[4];
	static const char allow[] = "Access-Control-Allow-Origin: ";
	struct put w = { text, sizeof(text), 0 }, small = { again, 4, 0 };

	cors_preflight(&w, c, &req);
	CHECK(w.len <= sizeof(text));
	check_lines(text, w.len);
	cors_preflight(&small, c, &req);
	CHECK(small.len == w.len);
	w.len = 0;
	cors_headers(&w, c, &req);
	CHECK(w.len <= CORS_HEADERS_MAX);
	check_lines(text, w.len);
	if (!cors_configured(c))
		CHECK(w.len == 0 && cors_allows(c, &req));
	else if (http_header(&req, "Origin", NULL) > 0)
		CHECK(cors_allows(c, &req) ==
		    (w.len > 0 && memcmp(text, allow, strlen(allow)) == 0));
	CHECK(cors_is_preflight(c, &req) ==
	    (cors_configured(c) && req.method == HTTP_OPTIONS));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char head[] = "OPTIONS / HTTP/1.0\r\n";
	struct http_scan scan = { 0 };
	struct http_error err;
	struct cors c = { 0 };
	size_t len = sizeof(head) - 1;
	char *copy;

	if (size == 0)
		return 0;
	c.credentials = data[0] & 1;
	if (data[0] & 2) {
		c.origins = data[0] & 4 ? public : listed;
		c.norigins = data[0] & 4 ? 1 : 2;
	}
	data++;
	size--;
	CHECK((copy = malloc(len + size + 4)) != NULL);
	memcpy(copy, head, len);
	memcpy(copy + len, data, size);
	memcpy(copy + len + size, "\r\n\r\n", 4);
	if (http_parse(copy, len + size + 4, &scan, &req, &err) == HTTP_OK)
		check(&c);
	free(copy);
	return 0;
}
