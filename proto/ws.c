/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "proto/ws.h"

#include <string.h>

#define FIN 0x80
#define RSV 0x70
/* the first of them: permessage-deflate's */
#define RSV1 0x40
#define OPCODE 0x0f
#define MASKED 0x80
#define LENGTH 0x7f
/* values of the 7-bit length that announce 2 and 8 bytes more */
#define LENGTH_16 126
#define LENGTH_64 127

enum ws_state {
	/* at the beginning of a frame */
	WS_STATE_HEADER,
	/* within the payload of a data frame */
	WS_STATE_PAYLOAD,
	/* nothing matters any more */
	WS_STATE_CLOSED,
};

/* A frame's header, decoded. */
struct header {
	enum ws_opcode opcode;
	bool fin;
	bool compressed;
	uint64_t len;
	const uint8_t *key;
	/* of itself */
	size_t size;
};

_Static_assert(sizeof(struct ws_parser) <= 64, "it lives in a client's row");

static enum ws_result
fail(struct ws_parser *p, struct ws_event *ev, unsigned code, const char *why)
{
	p->state = WS_STATE_CLOSED;
	*ev = (struct ws_event){ .code = code, .why = why };
	return WS_ERROR;
}

void
ws_init(struct ws_parser *p, uint64_t message_max)
{
	*p = (struct ws_parser){ .message_max = message_max, .fresh = true };
}

void
ws_allow_deflate(struct ws_parser *p)
{
	p->deflate = true;
}

bool
ws_is_idle(const struct ws_parser *p)
{
	return p->state == WS_STATE_HEADER && p->opcode == 0;
}

/* --- headers ------------------------------------------------------------- */

static bool
is_control(enum ws_opcode opcode)
{
	return opcode >= WS_CLOSE;
}

/* RFC 7692 6: RSV1 in the first frame of a message, and nowhere else */
static bool
may_be_compressed(const struct ws_parser *p, unsigned opcode)
{
	return p->deflate && (opcode == WS_TEXT || opcode == WS_BINARY);
}

/*
 * The rules for the first two bytes, in the reference's order.  NULL, or
 * what is wrong with them.
 */
static const char *
check_start(const struct ws_parser *p, const uint8_t *b)
{
	unsigned opcode = b[0] & OPCODE, reserved = b[0] & RSV;

	if (reserved != 0 &&
	    (reserved != RSV1 || !may_be_compressed(p, opcode)))
		return "reserved bit set";
	switch (opcode) {
	case WS_CONTINUATION:
		if (p->opcode == 0)
			return "continuation of nothing";
		break;
	case WS_TEXT:
	case WS_BINARY:
		if (p->opcode != 0)
			return "new message inside of another";
		break;
	case WS_CLOSE:
	case WS_PING:
	case WS_PONG:
		if ((b[0] & FIN) == 0)
			return "fragmented control frame";
		if ((b[1] & LENGTH) > WS_CONTROL_MAX)
			return "control frame too long";
		break;
	default:
		return "unknown opcode";
	}
	if ((b[1] & MASKED) == 0)
		return "frame without mask";
	return NULL;
}

static uint64_t
read_be(const uint8_t *b, size_t n)
{
	uint64_t v = 0;

	while (n-- > 0)
		v = v << 8 | *b++;
	return v;
}

/* The next header; WS_MORE if it is not all there, WS_DATA if it is. */
static enum ws_result
read_header(struct ws_parser *p, const uint8_t *b, size_t len,
    struct header *h_r, struct ws_event *ev)
{
	size_t extra;
	const char *why;

	if (len < 2)
		return WS_MORE;
	if ((why = check_start(p, b)) != NULL)
		return fail(p, ev, WS_CODE_PROTOCOL, why);
	h_r->opcode = (enum ws_opcode)(b[0] & OPCODE);
	h_r->fin = (b[0] & FIN) != 0;
	h_r->compressed = (b[0] & RSV1) != 0;
	h_r->len = b[1] & LENGTH;
	extra = h_r->len == LENGTH_64 ? 8 : h_r->len == LENGTH_16 ? 2 : 0;
	if (len < 2 + extra)
		return WS_MORE;
	if (extra > 0) {
		h_r->len = read_be(b + 2, extra);
		/* RFC 6455 5.2: the shortest form, and no sign */
		if (h_r->len <= (extra == 2 ? WS_CONTROL_MAX : UINT16_MAX))
			return fail(p, ev, WS_CODE_PROTOCOL,
			    "length not in its shortest form");
	}
	if (!is_control(h_r->opcode)) {
		/* before the payload, or even the mask, has come */
		if (h_r->len > p->message_max - p->message)
			return fail(p, ev, WS_CODE_BIG, "message too big");
		if (p->fragments >= WS_FRAGMENTS_MAX)
			return fail(p, ev, WS_CODE_POLICY,
			    "too many fragments");
	}
	if (len < 2 + extra + 4)
		return WS_MORE;
	h_r->key = b + 2 + extra;
	h_r->size = 2 + extra + 4;
	return WS_DATA;
}

/* --- control frames ------------------------------------------------------ */

bool
ws_code_valid(unsigned code)
{
	return (code >= 1000 && code <= 1014 && code != 1004 && code != 1005 &&
		   code != 1006) ||
	    (code >= 3000 && code <= 4999);
}

static enum ws_result
read_close(struct ws_parser *p, struct ws_event *ev)
{
	if (ev->len == 1)
		return fail(p, ev, WS_CODE_PROTOCOL, "half a close code");
	if (ev->len >= 2) {
		ev->code = (unsigned)read_be((const uint8_t *)ev->data, 2);
		ev->data += 2;
		ev->len -= 2;
		if (!ws_code_valid(ev->code))
			return fail(p, ev, WS_CODE_PROTOCOL,
			    "invalid close code");
		if (!utf8_valid(ev->data, ev->len))
			return fail(p, ev, WS_CODE_INVALID,
			    "close reason is not UTF-8");
	}
	p->state = WS_STATE_CLOSED;
	return WS_CONTROL;
}

/* A control frame that is all there, at 'b'. */
static enum ws_result
read_control(struct ws_parser *p, uint8_t *b, const struct header *h,
    struct ws_event *ev)
{
	*ev = (struct ws_event){
		.opcode = h->opcode,
		.data = (char *)b + h->size,
		.len = (size_t)h->len,
	};
	ws_mask(ev->data, ev->len, h->key, 0);
	if (h->opcode == WS_CLOSE)
		return read_close(p, ev);
	return WS_CONTROL;
}

/* --- messages ------------------------------------------------------------ */

static void
begin_data(struct ws_parser *p, const struct header *h)
{
	if (h->opcode != WS_CONTINUATION) {
		p->opcode = (uint8_t)h->opcode;
		p->compressed = h->compressed;
		p->fresh = true;
		p->utf8 = (struct utf8){ 0 };
	}
	p->fin = h->fin;
	p->fragments++;
	p->message += h->len;
	p->left = h->len;
	memcpy(p->key, h->key, sizeof(p->key));
	p->key_at = 0;
	p->state = WS_STATE_PAYLOAD;
}

static void
end_message(struct ws_parser *p)
{
	p->opcode = 0;
	p->message = 0;
	p->fragments = 0;
	p->fresh = true;
}

static bool
text_is_valid(struct ws_parser *p, const struct ws_event *ev)
{
	if (ev->opcode != WS_TEXT || ev->compressed)
		return true;
	if (ev->first && ev->last)
		return utf8_valid(ev->data, ev->len);
	return utf8_feed(&p->utf8, ev->data, ev->len) &&
	    (!ev->last || utf8_complete(&p->utf8));
}

/*
 * What is there of a data frame's payload, at 'data'.  WS_MORE if nothing
 * is that is worth an event.
 */
static enum ws_result
read_data(struct ws_parser *p, char *data, size_t len, size_t *used_r,
    struct ws_event *ev)
{
	size_t n = p->left < len ? (size_t)p->left : len;

	*used_r = n;
	p->left -= n;
	*ev = (struct ws_event){
		.opcode = (enum ws_opcode)p->opcode,
		.data = data,
		.len = n,
		.first = p->fresh,
		.last = p->left == 0 && p->fin,
		.compressed = p->compressed,
	};
	if (p->left == 0)
		p->state = WS_STATE_HEADER;
	if (n == 0 && !ev->last)
		return WS_MORE;
	ws_mask(data, n, p->key, p->key_at);
	p->key_at = (uint8_t)((p->key_at + n) % 4);
	if (!text_is_valid(p, ev))
		return fail(p, ev, WS_CODE_INVALID, "text is not UTF-8");
	p->fresh = false;
	if (ev->last)
		end_message(p);
	return WS_DATA;
}

/* Begin with the frame at 'b'.  *used_r stays 0 if it has to come again. */
static enum ws_result
read_frame(struct ws_parser *p, uint8_t *b, size_t len, size_t *used_r,
    struct ws_event *ev)
{
	struct header h;
	enum ws_result result = read_header(p, b, len, &h, ev);

	if (result != WS_DATA)
		return result;
	if (is_control(h.opcode)) {
		if (h.len > len - h.size)
			return WS_MORE;
		*used_r = h.size + (size_t)h.len;
		return read_control(p, b, &h, ev);
	}
	begin_data(p, &h);
	*used_r = h.size;
	return WS_MORE;
}

enum ws_result
ws_next(struct ws_parser *p, void *buf, size_t len, size_t *used_r,
    struct ws_event *event_r)
{
	uint8_t *b = buf;
	size_t pos = 0;
	enum ws_result result = WS_MORE;

	while (result == WS_MORE && p->state != WS_STATE_CLOSED) {
		size_t used = 0;
		bool payload = p->state == WS_STATE_PAYLOAD;

		if (payload)
			result = read_data(p, (char *)b + pos, len - pos, &used,
			    event_r);
		else
			result =
			    read_frame(p, b + pos, len - pos, &used, event_r);
		pos += used;
		/* neither an event nor progress: the rest has to wait */
		if (used == 0 && (payload ? p->left > 0 : true))
			break;
	}
	*used_r =
	    p->state == WS_STATE_CLOSED && result != WS_CONTROL ? len : pos;
	return result;
}
