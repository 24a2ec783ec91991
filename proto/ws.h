/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * ws - WebSocket (RFC 6455), the server's side: handshake and frames.
 *
 * The parser works in the caller's buffer: it unmasks in place and points
 * into it.  What it must remember between two calls is a small struct
 * without pointers, so that it may live in shared memory and be continued
 * by another process.
 */

#ifndef PROTO_WS_H
#define PROTO_WS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/utf8.h"
#include "proto/http.h"
#include "proto/span.h"
#include "proto/ws_extension.h"

enum ws_opcode {
	WS_CONTINUATION = 0,
	WS_TEXT = 1,
	WS_BINARY = 2,
	WS_CLOSE = 8,
	WS_PING = 9,
	WS_PONG = 10,
};

/* Close codes that we send. */
enum ws_code {
	/* a close frame without payload */
	WS_CODE_NONE = 0,
	WS_CODE_NORMAL = 1000,
	WS_CODE_AWAY = 1001,
	WS_CODE_PROTOCOL = 1002,
	WS_CODE_INVALID = 1007,
	WS_CODE_POLICY = 1008,
	WS_CODE_BIG = 1009,
	WS_CODE_INTERNAL = 1011,
	WS_CODE_RETRY = 1013,
};

/* payload of a control frame */
#define WS_CONTROL_MAX 125
/* frames of one message */
#define WS_FRAGMENTS_MAX 16384
/* the longest header that ws_header() writes */
#define WS_HEADER_MAX 10
/* ws_next() leaves fewer bytes than this unused when it wants more */
#define WS_KEEP_MAX 131

enum ws_result {
	/* all that could be used is used; no event */
	WS_MORE,
	/* bytes of a text or binary message */
	WS_DATA,
	/* a whole ping, pong or close frame */
	WS_CONTROL,
	/* the peer broke the protocol: send event.code, and close */
	WS_ERROR,
};

/* Where a connection's input stands; no pointers; 48 bytes. */
struct ws_parser {
	/* payload bytes of the frame under way that have not come yet */
	uint64_t left;
	/* declared bytes of all frames of the message under way */
	uint64_t message;
	uint64_t message_max;
	uint32_t fragments;
	uint8_t key[4];
	/* place in the key of the next payload byte */
	uint8_t key_at;
	/* enum ws_state, in ws.c */
	uint8_t state;
	/* WS_TEXT or WS_BINARY inside a message, else 0 */
	uint8_t opcode;
	/* the frame under way ends the message */
	uint8_t fin;
	/* nothing of the message has been handed out yet */
	uint8_t fresh;
	/* messages may be compressed; the one under way is */
	uint8_t deflate;
	uint8_t compressed;
	/* of text: a character that began in bytes already handed out */
	struct utf8 utf8;
};

struct ws_event {
	/* WS_DATA: of the message, TEXT or BINARY; else the frame's */
	enum ws_opcode opcode;
	/* unmasked, in the caller's buffer; a close's without its code */
	char *data;
	size_t len;
	/* of WS_DATA: begins, ends the message; both: it is all here */
	bool first;
	bool last;
	/* of WS_DATA: bytes of a compressed message (proto/deflate.h) */
	bool compressed;
	/* close code received (0: none), or to be sent on WS_ERROR */
	unsigned code;
	/* WS_ERROR: what the peer did wrong */
	const char *why;
};

/* 'message_max' bytes a message at most, in however many frames. */
void ws_init(struct ws_parser *p, uint64_t message_max);

/*
 * permessage-deflate was agreed to: messages may come compressed.
 * 'message_max' is for what comes on the wire; what it inflates to, and
 * whether that is UTF-8 in a text, is the caller's affair.
 */
void ws_allow_deflate(struct ws_parser *p);

/*
 * Take the next event out of 'buf'.  *used_r bytes are done with (their
 * place may be reused when the event is); call again with the rest until
 * WS_MORE.  What is still unused then, less than WS_KEEP_MAX bytes, is
 * the beginning of a header or of a control frame: it has to come again,
 * in front of what follows.
 * Text is checked: no WS_DATA holds what could not be UTF-8, and one with
 * 'last' ends whole.  A message that lies in the buffer as one frame comes
 * as one event.
 * After WS_ERROR, and after a close frame, all that follows is skipped.
 */
enum ws_result ws_next(struct ws_parser *p, void *buf, size_t len,
    size_t *used_r, struct ws_event *event_r);

/* Nothing begun: no message, no frame. */
bool ws_is_idle(const struct ws_parser *p);

/* Mask or unmask in place; the first byte with the 'at'th of the key. */
void ws_mask(char *data, size_t len, const uint8_t key[4], unsigned at);

/* The header of a final frame with 'len' bytes of payload: 2, 4 or 10. */
size_t ws_header(void *buf, enum ws_opcode opcode, uint64_t len);
size_t ws_header_size(uint64_t len);
/* The same for a payload that deflate_message() has written. */
size_t ws_header_deflated(void *buf, enum ws_opcode opcode, uint64_t len);

/*
 * A whole close frame, at most 127 bytes; 'reason', which may be NULL, is
 * cut to fit, at the border of a character; WS_CODE_NONE leaves both out.
 */
#define WS_CLOSE_MAX 127
size_t ws_close_frame(void *buf, unsigned code, const char *reason);

/* May stand in a close frame (RFC 6455 7.4, and IANA's later ones). */
bool ws_code_valid(unsigned code);

/*
 * Computes one accept value, so that libcrypto opens what it wants to open
 * before the sandbox closes.  -1 if it cannot.
 */
int ws_prepare(void);

/* What a handshake settled. */
struct ws_handshake {
	/* Sec-WebSocket-Accept, terminated */
	char accept[29];
	/* the first subprotocol offered, to be echoed; empty if none */
	struct span protocol;
	/* for ws_deflate_negotiate() to fill, where that is wanted */
	struct ws_deflate deflate;
};

/*
 * Check an upgrade request.  True: *hs_r is filled.  False: *err_r tells
 * status (400 or 405) and text of the answer.
 */
bool ws_handshake(const struct http_request *req, struct ws_handshake *hs_r,
    struct http_error *err_r);

/*
 * The 101; 'headers' as in struct http_response.
 * ws_reject: what ws_handshake() refused; the text is the body, and the
 * connection closes.  Both: bytes written, or 0 if they do not fit.
 */
size_t ws_accept(char *buf, size_t size, const struct ws_handshake *hs,
    const char *headers);
size_t ws_reject(char *buf, size_t size, const struct http_error *err);

#endif /* PROTO_WS_H */
