/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * eio - Engine.IO, revision 4 (and 3, for clients of version 2): single
 * packets, and the errors of requests.
 *
 * What a packet means in the state of its session is the caller's affair.
 */

#ifndef PROTO_EIO_H
#define PROTO_EIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/span.h"

/* exactly this many characters of [A-Za-z0-9_-], terminator not counted */
#define EIO_SID_LEN 20

enum eio_type {
	EIO_OPEN,
	EIO_CLOSE,
	EIO_PING,
	EIO_PONG,
	EIO_MESSAGE,
	EIO_UPGRADE,
	EIO_NOOP,
	EIO_TYPE__MAX,
};

struct eio_packet {
	enum eio_type type;
	/* bytes, not text: in revision 4 a message always */
	bool binary;
	/* binary written as base64, which 'data' still is */
	bool base64;
	/* behind the type */
	struct span data;
};

/*
 * Read one packet: a text frame or a part of a polling payload.
 * False with a sentence if it is none: a parse error, which closes.
 */
bool eio_decode(const char *p, size_t len, struct eio_packet *pkt_r,
    const char **why_r);

/* A binary frame: the data of a message, without a type. */
void eio_decode_binary(const char *p, size_t len, struct eio_packet *pkt_r);

/*
 * The same two for a session of revision 3, where binary has a type, too:
 * a digit in front of the base64, a byte in front of the bytes.  The open
 * packet is the same; pings are the client's there.
 */
bool eio3_decode(const char *p, size_t len, struct eio_packet *pkt_r,
    const char **why_r);
bool eio3_decode_binary(const char *p, size_t len, struct eio_packet *pkt_r,
    const char **why_r);

/* revisions of sessions; anything but "4" in a handshake counts as 3 */
#define EIO_REVISION_3 3
#define EIO_REVISION_4 4

/*
 * What stands in front of a binary message's bytes, or of their base64:
 * nothing, "b", a byte 4, "b4".  'prefix_r' holds 2; the length.
 */
size_t eio_binary_prefix(char prefix_r[2], unsigned revision, bool base64);

/* The digit in front of a packet of that type. */
char eio_type_char(enum eio_type type);

struct eio_open {
	const char *sid;
	/* offer the way from polling to websocket */
	bool upgrade_websocket;
	/* in ms */
	unsigned ping_interval;
	unsigned ping_timeout;
	/* in bytes */
	uint64_t max_payload;
};

/* The whole packet, '0' first.  Its length, or 0 if it does not fit. */
#define EIO_OPEN_MAX 192
size_t eio_open_encode(char *buf, size_t size, const struct eio_open *o);

/* Why a request is refused; the numbers are the wire's. */
enum eio_error {
	EIO_UNKNOWN_TRANSPORT,
	EIO_UNKNOWN_SID,
	EIO_BAD_HANDSHAKE_METHOD,
	EIO_BAD_REQUEST,
	EIO_FORBIDDEN,
	EIO_UNSUPPORTED_VERSION,
	EIO_ERROR__MAX,
};

const char *eio_error_text(enum eio_error error);

/* How a request wants to be answered. */
struct eio_refusal {
	enum eio_error error;
	/* instead of the error's own text; may not need JSON escapes */
	const char *text;
	/* the request was an upgrade: plain text, and it closes */
	bool upgrade;
	/* the answer to HEAD has no body */
	bool head_only;
	/* for requests that are no upgrade */
	bool close;
	/* as in struct http_response; may be NULL */
	const char *date;
	const char *headers;
};

/* The whole HTTP answer.  Its length, or 0 if it does not fit. */
size_t eio_refuse(char *buf, size_t size, const struct eio_refusal *r);

#endif /* PROTO_EIO_H */
