/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * payload - the packets of one polling request or answer (wire page 2.7 and
 * 12), out of a body and out of WebSocket frames.
 */

#ifndef PROTO_PAYLOAD_H
#define PROTO_PAYLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/eio.h"
#include "proto/span.h"

struct iovec;

enum payload_format {
	/* revision 4: packets with 0x1e between them */
	PAYLOAD_V4,
	/* revision 3: <length>:<packet>, length in UTF-16 code units */
	PAYLOAD_V3_TEXT,
	/* revision 3, application/octet-stream: 0 or 1, the length's digits
	 * as bytes 0 to 9, 0xff, packet */
	PAYLOAD_V3_BINARY,
};

/* The Content-Type of an answer. */
const char *payload_type(enum payload_format format);

/* --- what a client sent ------------------------------------------------ */

/*
 * The body of a POST, already in memory, in this order:
 *   JSONP only:    payload_jsonp_decode()
 *   else, but not
 *   V3_BINARY:     payload_repair(), if utf8_valid() says no
 *   then           payload_init(), payload_next() until it is not PACKET
 */

enum payload_result {
	PAYLOAD_PACKET,
	/* there are no more */
	PAYLOAD_END,
	/* a parse error: the session closes.  All packets in front of it
	 * have been handed out; the answer is `ok' nevertheless */
	PAYLOAD_BAD,
};

struct payload {
	char *p;
	size_t len;
	enum payload_format format;
	bool done;
};

/*
 * Base64 is decoded in place, so the body is changed.  Text must be UTF-8
 * (the texts in V3_BINARY are checked here), and so are the packets then.
 */
void payload_init(struct payload *it, enum payload_format format, char *body,
    size_t len);

/*
 * The next packet, in pkt_r->data without its type; binary has been decoded
 * (never pkt_r->base64).  An empty body and an empty packet are BAD, in
 * revision 3 a packet of length 0 is passed over.
 */
enum payload_result payload_next(struct payload *it, struct eio_packet *pkt_r,
    const char **why_r);

/*
 * Bytes that are not UTF-8 become U+FFFD, one for each longest piece that
 * could have become a character, as in JavaScript.  The length that the text
 * has then, at most 3 * len; valid text stays as it is.
 */
size_t payload_repair_size(const char *p, size_t len);
/* payload_repair_size() bytes; 'dst' does not overlap the text. */
void payload_repair(char *dst, const char *p, size_t len);

/*
 * The body of a JSONP request, form-encoded: the value of its field "d", as
 * the reference reads it, is UTF-8 then.  'dst' has room for 3 * len + 1
 * bytes and does not overlap the body.
 * False if there is no such field, or more than one: the request is answered
 * `ok', and nothing else happens.
 */
bool payload_jsonp_decode(char *dst, const char *body, size_t len,
    size_t *len_r);

/* --- what we send ------------------------------------------------------ */

/*
 * Frames as a WebSocket would send them: whole, final, not masked, one
 * behind the other, in pieces that may end anywhere (chain_iov()).  A text
 * frame is a packet, a binary frame the data of a message (revision 3: its
 * type byte 4 in front).  Control frames are left out.
 */
struct payload_plan {
	enum payload_format format;
	/* of the payload, exactly; 0 if there is no packet */
	size_t size;
	size_t packets;
};

/*
 * What these frames will become.  'b64': this client cannot take binary, or
 * it is JSONP; it matters in revision 3 alone, where all that is not b64 and
 * holds a binary packet is V3_BINARY.
 */
void payload_plan(struct payload_plan *plan_r, unsigned revision, bool b64,
    const struct iovec *iov, int n);

/* Writes plan->size bytes: of the same frames. */
void payload_write(char *dst, const struct payload_plan *plan,
    const struct iovec *iov, int n);

/*
 * JSONP: ___eio[<digits of j>](<the payload as a JavaScript string>);
 * Written is what payload_jsonp_size() tells.  The text is UTF-8; of 'j' at
 * most 20 digits are used.
 */
size_t payload_jsonp_size(struct span j, const char *text, size_t len);
void payload_jsonp_write(char *dst, struct span j, const char *text,
    size_t len);

#endif /* PROTO_PAYLOAD_H */
