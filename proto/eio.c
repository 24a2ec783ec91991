/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "proto/eio.h"

#include "proto/http.h"
#include "proto/put.h"

/* indexed by enum eio_error */
static const char *const error_texts[] = {
	"Transport unknown",
	"Session ID unknown",
	"Bad handshake method",
	"Bad request",
	"Forbidden",
	"Unsupported protocol version",
};
_Static_assert(sizeof(error_texts) / sizeof(error_texts[0]) == EIO_ERROR__MAX,
    "each error has its text");

/* room for the JSON body of a refusal */
#define REFUSAL_MAX 512

bool
eio_decode(const char *p, size_t len, struct eio_packet *pkt_r,
    const char **why_r)
{
	if (len == 0) {
		*why_r = "empty packet";
		return false;
	}
	if (p[0] == 'b') {
		*pkt_r = (struct eio_packet){
			.type = EIO_MESSAGE,
			.binary = true,
			.base64 = true,
			.data = { p + 1, len - 1 },
		};
		return true;
	}
	if (p[0] < '0' || p[0] >= '0' + EIO_TYPE__MAX) {
		*why_r = "unknown packet type";
		return false;
	}
	*pkt_r = (struct eio_packet){
		.type = (enum eio_type)(p[0] - '0'),
		.data = { p + 1, len - 1 },
	};
	return true;
}

void
eio_decode_binary(const char *p, size_t len, struct eio_packet *pkt_r)
{
	*pkt_r = (struct eio_packet){
		.type = EIO_MESSAGE,
		.binary = true,
		.data = { p, len },
	};
}

/* The type is the first character, or the first byte's value. */
static bool
decode_typed(unsigned type, const char *p, size_t len, struct eio_packet *pkt_r,
    const char **why_r)
{
	if (type >= EIO_TYPE__MAX) {
		*why_r = "unknown packet type";
		return false;
	}
	*pkt_r = (struct eio_packet){
		.type = (enum eio_type)type,
		.binary = true,
		.data = { p + 1, len - 1 },
	};
	return true;
}

bool
eio3_decode(const char *p, size_t len, struct eio_packet *pkt_r,
    const char **why_r)
{
	if (len == 0 || p[0] != 'b')
		return eio_decode(p, len, pkt_r, why_r);
	if (len == 1) {
		*why_r = "empty packet";
		return false;
	}
	/* what is no digit becomes a number that is none of a type */
	if (!decode_typed((unsigned)(unsigned char)p[1] - '0', p + 1, len - 1,
		pkt_r, why_r))
		return false;
	pkt_r->base64 = true;
	return true;
}

bool
eio3_decode_binary(const char *p, size_t len, struct eio_packet *pkt_r,
    const char **why_r)
{
	if (len == 0) {
		*why_r = "empty packet";
		return false;
	}
	return decode_typed((unsigned char)p[0], p, len, pkt_r, why_r);
}

size_t
eio_binary_prefix(char prefix_r[2], unsigned revision, bool base64)
{
	size_t n = 0;

	if (base64)
		prefix_r[n++] = 'b';
	if (revision == EIO_REVISION_3)
		prefix_r[n++] =
		    base64 ? eio_type_char(EIO_MESSAGE) : (char)EIO_MESSAGE;
	return n;
}

char
eio_type_char(enum eio_type type)
{
	return (char)('0' + type);
}

size_t
eio_open_encode(char *buf, size_t size, const struct eio_open *o)
{
	struct put w = { buf, size, 0 };

	put_char(&w, eio_type_char(EIO_OPEN));
	put_text(&w, "{\"sid\":\"");
	put_text(&w, o->sid);
	put_text(&w, "\",\"upgrades\":[");
	if (o->upgrade_websocket)
		put_text(&w, "\"websocket\"");
	put_text(&w, "],\"pingInterval\":");
	put_u64(&w, o->ping_interval);
	put_text(&w, ",\"pingTimeout\":");
	put_u64(&w, o->ping_timeout);
	put_text(&w, ",\"maxPayload\":");
	put_u64(&w, o->max_payload);
	put_char(&w, '}');
	return w.len <= size ? w.len : 0;
}

const char *
eio_error_text(enum eio_error error)
{
	return error_texts[error];
}

size_t
eio_refuse(char *buf, size_t size, const struct eio_refusal *r)
{
	const char *text = r->text != NULL ? r->text : error_texts[r->error];
	struct http_response res = {
		.status = r->error == EIO_FORBIDDEN && !r->upgrade ? 403 : 400,
		.close = r->close || r->upgrade,
		.head_only = r->head_only,
		.type = r->upgrade ? "text/html" : "application/json",
		.date = r->date,
		.headers = r->headers,
	};
	char body[REFUSAL_MAX];
	struct put w = { body, sizeof(body), 0 };

	if (r->upgrade) {
		res.body = text;
		res.body_len = strlen(text);
		return http_respond(buf, size, &res);
	}
	put_text(&w, "{\"code\":");
	put_u64(&w, (uint64_t)r->error);
	put_text(&w, ",\"message\":\"");
	put_text(&w, text);
	put_text(&w, "\"}");
	if (w.len > sizeof(body))
		return 0;
	res.body = body;
	res.body_len = w.len;
	return http_respond(buf, size, &res);
}
