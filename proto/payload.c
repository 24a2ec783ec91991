/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "proto/payload.h"

#include "common/utf8.h"
#include "proto/base64.h"

#define SEPARATOR '\x1e'
/* digits of a length in revision 3: enough for any body that is taken */
#define LENGTH_DIGITS_MAX 10
/* ends a length in binary framing */
#define LENGTH_END 0xff

const char *
payload_type(enum payload_format format)
{
	/* UTF-8 is said for pages that are in something else */
	return format == PAYLOAD_V3_BINARY ? "application/octet-stream"
					   : "text/plain; charset=UTF-8";
}

void
payload_init(struct payload *it, enum payload_format format, char *body,
    size_t len)
{
	*it = (struct payload){
		.p = body,
		.len = len,
		.format = format,
		/* the reference finds no packet, and no error, in nothing */
		.done = format == PAYLOAD_V3_BINARY && len == 0,
	};
}

/* Done with the first 'n' bytes; returns where they were. */
static char *
skip(struct payload *it, size_t n)
{
	char *p = it->p;

	it->p += n;
	it->len -= n;
	return p;
}

static enum payload_result
bad(struct payload *it, const char **why_r, const char *why)
{
	it->done = true;
	*why_r = why;
	return PAYLOAD_BAD;
}

/* 'start' is the packet in the body, which may be changed. */
static void
decode_base64(char *start, struct eio_packet *pkt)
{
	char *data = start + (pkt->data.p - start);

	if (!pkt->base64)
		return;
	pkt->data.len = base64_decode(data, data, pkt->data.len);
	pkt->base64 = false;
}

/* --- revision 4 ---------------------------------------------------------- */

static enum payload_result
next_v4(struct payload *it, struct eio_packet *pkt_r, const char **why_r)
{
	struct eio_packet pkt;
	char *end = NULL, *start;
	size_t len = it->len;
	const char *why;

	if (len > 0)
		end = memchr(it->p, SEPARATOR, len);
	if (end != NULL)
		len = (size_t)(end - it->p);
	/* a separator is followed by a packet, even if by an empty one */
	it->done = end == NULL;
	start = skip(it, len + (end != NULL));
	if (!eio_decode(start, len, &pkt, &why))
		return bad(it, why_r, why);
	decode_base64(start, &pkt);
	*pkt_r = pkt;
	return PAYLOAD_PACKET;
}

/* --- revision 3 ---------------------------------------------------------- */

/*
 * The length in front of a packet: 'zero' is its digit 0, 'end' what stands
 * behind it.  NULL and skipped, or why not.
 */
static const char *
take_length(struct payload *it, unsigned zero, unsigned end, uint64_t *len_r)
{
	uint64_t length = 0;
	size_t i;

	for (i = 0; i < it->len; i++) {
		unsigned c = (uint8_t)it->p[i];

		if (c == end) {
			skip(it, i + 1);
			*len_r = length;
			return i > 0 ? NULL : "packet without a length";
		}
		if (c < zero || c > zero + 9)
			return "malformed packet length";
		if (i == LENGTH_DIGITS_MAX)
			return "packet length too large";
		length = length * 10 + (c - zero);
	}
	return "packet length is cut off";
}

/* Bytes of 'units' UTF-16 code units; false if no character ends there. */
static bool
utf16_bytes(const char *p, size_t len, uint64_t units, size_t *bytes_r)
{
	size_t pos = 0;

	while (units > 0 && pos < len) {
		uint8_t c = (uint8_t)p[pos];
		unsigned n = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
		unsigned width = n == 4 ? 2 : 1;

		if (n > len - pos || width > units)
			return false;
		pos += n;
		units -= width;
	}
	*bytes_r = pos;
	return units == 0;
}

static enum payload_result
next_v3_text(struct payload *it, struct eio_packet *pkt_r, const char **why_r)
{
	struct eio_packet pkt;
	uint64_t units;
	size_t len;
	char *start;
	const char *why;

	do {
		if ((why = take_length(it, '0', ':', &units)) != NULL)
			return bad(it, why_r, why);
		if (!utf16_bytes(it->p, it->len, units, &len))
			return bad(it, why_r, "packet is cut off");
		it->done = len == it->len;
	} while (len == 0 && !it->done);
	if (len == 0)
		return PAYLOAD_END;
	start = skip(it, len);
	if (!eio3_decode(start, len, &pkt, &why))
		return bad(it, why_r, why);
	decode_base64(start, &pkt);
	*pkt_r = pkt;
	return PAYLOAD_PACKET;
}

static bool
decode_v3_binary(char *start, size_t len, bool binary, struct eio_packet *pkt_r,
    const char **why_r)
{
	if (binary)
		return eio3_decode_binary(start, len, pkt_r, why_r);
	if (!eio3_decode(start, len, pkt_r, why_r))
		return false;
	if (!pkt_r->base64 && !utf8_valid(start, len)) {
		*why_r = "packet is not UTF-8";
		return false;
	}
	decode_base64(start, pkt_r);
	return true;
}

static enum payload_result
next_v3_binary(struct payload *it, struct eio_packet *pkt_r, const char **why_r)
{
	struct eio_packet pkt;
	uint8_t kind = (uint8_t)*skip(it, 1);
	uint64_t len;
	const char *why;

	if (kind > 1)
		return bad(it, why_r, "packet is neither text nor binary");
	if ((why = take_length(it, 0, LENGTH_END, &len)) != NULL)
		return bad(it, why_r, why);
	if (len > it->len)
		return bad(it, why_r, "packet is cut off");
	it->done = len == it->len;
	if (!decode_v3_binary(skip(it, len), len, kind == 1, &pkt, &why))
		return bad(it, why_r, why);
	*pkt_r = pkt;
	return PAYLOAD_PACKET;
}

enum payload_result
payload_next(struct payload *it, struct eio_packet *pkt_r, const char **why_r)
{
	if (it->done)
		return PAYLOAD_END;
	switch (it->format) {
	case PAYLOAD_V4:
		return next_v4(it, pkt_r, why_r);
	case PAYLOAD_V3_TEXT:
		return next_v3_text(it, pkt_r, why_r);
	case PAYLOAD_V3_BINARY:
		break;
	}
	return next_v3_binary(it, pkt_r, why_r);
}
