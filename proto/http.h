/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * http - heads of HTTP/1 requests in, answers out.
 *
 * Strict RFC 9112: what two readers could understand differently is
 * refused, never repaired.  Limits come first, nothing is allocated, and
 * a head that arrives byte by byte is looked at once.
 */

#ifndef PROTO_HTTP_H
#define PROTO_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/span.h"

/* the whole head, request line and last empty line included */
#define HTTP_HEAD_MAX 16384
/* the request line without its CR LF */
#define HTTP_LINE_MAX 8192
#define HTTP_HEADERS_MAX 100

enum http_method {
	HTTP_GET,
	HTTP_HEAD,
	HTTP_POST,
	HTTP_PUT,
	HTTP_DELETE,
	HTTP_OPTIONS,
	HTTP_PATCH,
	HTTP_TRACE,
	HTTP_METHOD__MAX,
};

enum http_result {
	/* a whole head: *req_r is filled */
	HTTP_OK,
	/* come again with more bytes behind the same ones */
	HTTP_MORE,
	/* answer with the status and close: the framing is lost */
	HTTP_BAD,
};

/* How far a head was looked at; all zero before its first byte. */
struct http_scan {
	uint32_t pos;
	uint32_t lines;
};

struct http_header {
	struct span name;
	/* without blanks around it */
	struct span value;
};

/* Spans point into the parsed buffer. */
struct http_request {
	enum http_method method;
	struct span method_text;
	/* as it was sent */
	struct span target;
	/* without scheme and authority; "*" only with OPTIONS */
	struct span path;
	/* behind the first '?', without it; empty if there is none */
	struct span query;
	/* the target's authority, else the Host field; may be empty */
	struct span host;
	/* 0 or 1 */
	unsigned minor;
	/* bytes of the head: body or next request begin behind them */
	size_t head_len;
	/* 0 without the field; at most INT64_MAX */
	uint64_t content_length;
	bool chunked;
	bool keep_alive;
	/* Connection: upgrade and Upgrade: websocket, in HTTP/1.1 */
	bool upgrade_websocket;
	bool expect_continue;
	unsigned nheaders;
	struct http_header headers[HTTP_HEADERS_MAX];
};

/* Why a head was refused. */
struct http_error {
	/* 400, 413, 414, 417, 431, 501 or 505 */
	int status;
	const char *why;
};

/*
 * Read a request head at 'buf'.  'scan' remembers between calls how far
 * the last one came; the bytes before stay where they are relative to
 * 'buf', which itself may have moved.  An empty line in front of the
 * request line is skipped and counts as part of the head.
 * On HTTP_OK *req_r is filled and 'scan' is reset for the next head; on
 * HTTP_BAD *err_r tells why, and *req_r is of no use.
 */
enum http_result http_parse(const char *buf, size_t len, struct http_scan *scan,
    struct http_request *req_r, struct http_error *err_r);

/*
 * The number of fields of that name (in any case); *value_r, which may be
 * NULL, is the first one's value and untouched if there is none.
 */
unsigned http_header(const struct http_request *req, const char *name,
    struct span *value_r);

/*
 * Walk the comma-separated elements of all fields of that name, in order;
 * empty elements are left out.  'list' is all zero before the first call.
 */
struct http_list {
	unsigned header;
	size_t pos;
};
bool http_list_next(const struct http_request *req, const char *name,
    struct http_list *list, struct span *element_r);

/* A token of RFC 9110 5.6.2: one character at least. */
bool http_is_token(struct span s);

/* --- http_accept.c: what a client can take ------------------------------ */

/*
 * Accept-Encoding offers gzip (or x-gzip, or *), or deflate (or *), with a q
 * that is not 0.
 */
bool http_accepts_gzip(const struct http_request *req);
bool http_accepts_deflate(const struct http_request *req);

/*
 * If-None-Match is * or lists this entity tag ("...", with its quotes, with
 * or without W/), by the weak comparison of RFC 9110 8.8.3.2.
 */
bool http_etag_matches(const struct http_request *req, const char *etag);

/* An Internet Explorer that takes polling for cross-site scripting. */
bool http_is_explorer(const struct http_request *req);

/* --- http_answer.c ------------------------------------------------------ */

struct http_response {
	int status;
	/* "Connection: close" instead of keep-alive; not for 101 */
	bool close;
	/* answer to HEAD: the length without the body */
	bool head_only;
	/* seconds for "Keep-Alive: timeout="; 0: without that field */
	unsigned keep_alive;
	/* Content-Type, or NULL */
	const char *type;
	/* an IMF-fixdate for Date, or NULL */
	const char *date;
	/* further fields, each ended by CR LF, or NULL */
	const char *headers;
	const char *body;
	size_t body_len;
};

/*
 * Write a whole answer; 1xx, 204 and 304 have neither length nor body, 101
 * no keep-alive.  The bytes written, or 0 if they do not fit into 'size'.
 */
size_t http_respond(char *buf, size_t size, const struct http_response *res);

/* to be sent at once when a body is expected that may come */
#define HTTP_CONTINUE "HTTP/1.1 100 Continue\r\n\r\n"

/* Fields of answers to polling requests (wire page 2.4). */
#define HTTP_NO_STORE "cache-control: no-store\r\n"
/* for whom http_is_explorer() tells */
#define HTTP_NO_XSS_FILTER "X-XSS-Protection: 0\r\n"

/*
 * "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110 5.6.7), terminated.  Seconds
 * before 1970 and after the year 9999 are taken for the nearest within.
 */
#define HTTP_DATE_SIZE 30
void http_date(char buf[HTTP_DATE_SIZE], int64_t unix_seconds);

/* "Bad Request" for 400. */
const char *http_reason(int status);

/*
 * Answers that are always the same; each closes the connection.
 * http_refuse: without body, for a head that http_parse() refused.
 * http_busy: 503 with Retry-After in seconds.
 */
size_t http_refuse(char *buf, size_t size, int status);
size_t http_busy(char *buf, size_t size, unsigned retry_after);

#endif /* PROTO_HTTP_H */
