/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * ws_extension - permessage-deflate (RFC 7692) in the handshake.
 *
 * We agree to it only without context takeover in both directions: a
 * connection then needs no memory for it (proto/deflate.h).
 */

#ifndef PROTO_WS_EXTENSION_H
#define PROTO_WS_EXTENSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/deflate.h"
#include "proto/http.h"

/* What was agreed to; all zero: no extension. */
struct ws_deflate {
	/* window of what we compress, 9 to 15; 0 if we may not */
	uint8_t bits;
	/* the client asked for that window, and is told so */
	bool bits_asked;
};

/*
 * Take the first acceptable of the offers in Sec-WebSocket-Extensions.
 * False, and *params_r untouched, if there is none: the connection does
 * without.  Offers with a parameter that is unknown, twice there, or
 * without a value that it may have are passed over, and so is a window of
 * 256 bytes (server_max_window_bits=8).  What is no list of extensions ends
 * the search.
 */
bool ws_deflate_negotiate(const struct http_request *req,
    struct ws_deflate *params_r);

/*
 * The value of Sec-WebSocket-Extensions in the answer, terminated.  Its
 * length; WS_DEFLATE_ANSWER_MAX bytes always suffice.
 */
#define WS_DEFLATE_ANSWER_MAX 104
size_t ws_deflate_answer(char *buf, size_t size,
    const struct ws_deflate *agreed);

/*
 * What became of a compressed message: 0 if it may be used, which for text
 * takes that the 'len' bytes at 'p' are UTF-8; else the close code: 1009 for
 * one too big, 1007 for the rest.  *why_r is what inflating said, or set.
 */
unsigned ws_deflate_verdict(enum deflate_result result, bool text,
    const char *p, size_t len, const char **why_r);

#endif /* PROTO_WS_EXTENSION_H */
