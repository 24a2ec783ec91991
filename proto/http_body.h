/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * http_body - the body of a request: by length, or chunked (RFC 9112 6, 7).
 *
 * Works in the caller's buffer and copies nothing.  What is remembered
 * between two calls is a small struct without pointers, so that it may live
 * in shared memory and be continued by another process.
 */

#ifndef PROTO_HTTP_BODY_H
#define PROTO_HTTP_BODY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/http.h"
#include "proto/span.h"

/* digits of a chunk's size, leading zeros included */
#define HTTP_CHUNK_DIGITS_MAX 16
/* chunk extensions and trailers of one body, in bytes and in fields */
#define HTTP_BODY_EXTRA_MAX 16384
#define HTTP_TRAILERS_MAX 100

enum http_body_result {
	/* all is used: come with what follows */
	HTTP_BODY_MORE,
	/* bytes of the body */
	HTTP_BODY_DATA,
	/* that was all of it: what is not used is the next request's */
	HTTP_BODY_DONE,
	/* answer with the status and close: the framing is lost */
	HTTP_BODY_BAD,
};

/* Where a body stands; 32 bytes. */
struct http_body {
	/* decoded bytes handed out so far */
	uint64_t total;
	/* bytes still to come, of the body or of the chunk */
	uint64_t left;
	/* bytes of extensions and trailers so far */
	uint32_t extra;
	uint16_t trailers;
	/* digits of the size under way */
	uint8_t digits;
	/* enum body_state, in http_body.c */
	uint8_t state;
	uint32_t reserved[2];
};

/* The body that follows this head; it may be none. */
void http_body_init(struct http_body *b, const struct http_request *req);

/*
 * Take the next piece out of 'buf'.  *used_r bytes are done with; call again
 * with the rest until MORE (which leaves nothing unused), DONE or BAD; both
 * stay.  On DATA *data_r points into 'buf' and is not empty; how many of
 * them are too many is for the caller to say, by b->total.  On BAD *err_r is
 * filled.
 */
enum http_body_result http_body_next(struct http_body *b, const char *buf,
    size_t len, size_t *used_r, struct span *data_r, struct http_error *err_r);

/*
 * More than 'max' bytes will come: the declared length says so, or what has
 * come already.  Right after http_body_init() a body can be refused by it
 * before a byte of it is read.
 */
bool http_body_exceeds(const struct http_body *b, uint64_t max);

#endif /* PROTO_HTTP_BODY_H */
