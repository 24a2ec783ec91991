/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "proto/payload.h"

#include <sys/uio.h>

#include "common/log.h"
#include "proto/base64.h"
#include "proto/put.h"
#include "proto/ws.h"

#define SEPARATOR '\x1e'

/* A place in the pieces; frames and packets may go across their ends. */
struct cursor {
	const struct iovec *iov;
	int n;
	/* in the first piece */
	size_t at;
};

/* A frame's content; the cursor stands at its first byte. */
struct packet {
	bool binary;
	size_t len;
};

/* What stays contiguous of the next 'max' bytes; there is one at least. */
static struct span
take(struct cursor *cur, size_t max)
{
	struct span piece;

	while (cur->n > 0 && cur->at == cur->iov->iov_len) {
		cur->iov++;
		cur->n--;
		cur->at = 0;
	}
	/* the caller's frames are whole */
	CHECK(cur->n > 0);
	piece.p = (const char *)cur->iov->iov_base + cur->at;
	piece.len = cur->iov->iov_len - cur->at;
	if (piece.len > max)
		piece.len = max;
	cur->at += piece.len;
	return piece;
}

static void
copy(struct cursor *cur, void *dst, size_t len)
{
	char *p = dst;

	while (len > 0) {
		struct span piece = take(cur, len);

		memcpy(p, piece.p, piece.len);
		p += piece.len;
		len -= piece.len;
	}
}

static void
pass(struct cursor *cur, size_t len)
{
	while (len > 0)
		len -= take(cur, len).len;
}

/* JavaScript's length of a packet, which is UTF-8. */
static size_t
utf16_length(struct cursor *cur, size_t len)
{
	size_t units = 0, i;

	while (len > 0) {
		struct span piece = take(cur, len);

		/* each character has one first byte, some are worth two */
		for (i = 0; i < piece.len; i++) {
			uint8_t c = (uint8_t)piece.p[i];

			units += (c & 0xc0) != 0x80;
			units += c >= 0xf0;
		}
		len -= piece.len;
	}
	return units;
}

static bool
at_end(const struct cursor *cur)
{
	int i;

	for (i = 0; i < cur->n; i++)
		if (cur->iov[i].iov_len > (i == 0 ? cur->at : 0))
			return false;
	return true;
}

/* Read a frame's header; control frames are passed over. */
static bool
next_packet(struct cursor *cur, struct packet *pkt_r)
{
	uint8_t h[WS_HEADER_MAX];
	unsigned opcode, more, i;
	uint64_t len;

	while (!at_end(cur)) {
		copy(cur, h, 2);
		/* final, no extension, not masked */
		CHECK((h[0] & 0xf0) == 0x80 && h[1] <= 127);
		opcode = h[0] & 0x0f;
		more = h[1] == 126 ? 2 : h[1] == 127 ? 8 : 0;
		copy(cur, h + 2, more);
		len = more == 0 ? h[1] : 0;
		for (i = 0; i < more; i++)
			len = len << 8 | h[2 + i];
		if (opcode == WS_TEXT || opcode == WS_BINARY) {
			pkt_r->binary = opcode == WS_BINARY;
			pkt_r->len = len;
			return true;
		}
		CHECK(opcode >= WS_CLOSE);
		pass(cur, len);
	}
	return false;
}

static size_t
decimal_length(uint64_t n)
{
	size_t digits = 1;

	for (; n > 9; n /= 10)
		digits++;
	return digits;
}

/* --- the plan ------------------------------------------------------------ */

/* Sizes of one packet in each framing; the cursor passes it. */
struct sizes {
	size_t v4;
	size_t v3_text;
	size_t v3_binary;
};

static struct sizes
measure(struct cursor *cur, struct packet pkt, bool v3)
{
	struct sizes s = { 0 };
	size_t units, text;

	/* there is a type, but for binary messages of revision 4 */
	CHECK(pkt.len > 0 || (pkt.binary && !v3));
	if (pkt.binary) {
		text = v3 ? 2 + base64_size(pkt.len - 1)
			  : 1 + base64_size(pkt.len);
		units = text;
		pass(cur, pkt.len);
	} else if (v3) {
		text = pkt.len;
		units = utf16_length(cur, pkt.len);
	} else {
		text = units = pkt.len;
		pass(cur, pkt.len);
	}
	s.v4 = text;
	s.v3_text = decimal_length(units) + 1 + text;
	s.v3_binary = 1 + decimal_length(pkt.len) + 1 + pkt.len;
	return s;
}

void
payload_plan(struct payload_plan *plan_r, unsigned revision, bool b64,
    const struct iovec *iov, int n)
{
	struct cursor cur = { iov, n, 0 };
	struct sizes sum = { 0 };
	struct packet pkt;
	size_t packets = 0;
	bool v3 = revision == EIO_REVISION_3, binary = false;

	while (next_packet(&cur, &pkt)) {
		struct sizes s = measure(&cur, pkt, v3);

		/* with the separator in front, if it is not the first */
		sum.v4 += s.v4 + (packets > 0);
		sum.v3_text += s.v3_text;
		sum.v3_binary += s.v3_binary;
		binary = binary || pkt.binary;
		packets++;
	}
	plan_r->packets = packets;
	if (!v3) {
		plan_r->format = PAYLOAD_V4;
		plan_r->size = sum.v4;
	} else if (binary && !b64) {
		plan_r->format = PAYLOAD_V3_BINARY;
		plan_r->size = sum.v3_binary;
	} else {
		plan_r->format = PAYLOAD_V3_TEXT;
		plan_r->size = sum.v3_text;
	}
}

/* --- writing ------------------------------------------------------------- */

static void
put_copy(struct put *w, struct cursor *cur, size_t len)
{
	while (len > 0) {
		struct span piece = take(cur, len);

		put_bytes(w, piece.p, piece.len);
		len -= piece.len;
	}
}

static void
put_base64(struct put *w, struct cursor *cur, size_t len)
{
	/* multiples of three, so that only the last is padded */
	char raw[768], text[1024];
	size_t n;

	for (; len > 0; len -= n) {
		n = len < sizeof(raw) ? len : sizeof(raw);
		copy(cur, raw, n);
		base64_encode(text, raw, n);
		put_bytes(w, text, base64_size(n));
	}
}

/* "b", in revision 3 the type, and the data. */
static void
put_binary_text(struct put *w, struct cursor *cur, struct packet pkt, bool v3)
{
	uint8_t type;

	put_char(w, 'b');
	if (v3) {
		copy(cur, &type, 1);
		put_char(w, (char)('0' + type));
		pkt.len--;
	}
	put_base64(w, cur, pkt.len);
}

static void
put_v3_text(struct put *w, struct cursor *cur, struct packet pkt)
{
	struct cursor ahead = *cur;

	if (pkt.binary) {
		put_u64(w, 2 + base64_size(pkt.len - 1));
		put_char(w, ':');
		put_binary_text(w, cur, pkt, true);
		return;
	}
	put_u64(w, utf16_length(&ahead, pkt.len));
	put_char(w, ':');
	put_copy(w, cur, pkt.len);
}

static void
put_v3_binary(struct put *w, struct cursor *cur, struct packet pkt)
{
	char digits[20];
	struct put number = { digits, sizeof(digits), 0 };
	size_t i;

	put_char(w, pkt.binary ? '\1' : '\0');
	put_u64(&number, pkt.len);
	for (i = 0; i < number.len; i++)
		put_char(w, (char)(digits[i] - '0'));
	put_char(w, '\xff');
	put_copy(w, cur, pkt.len);
}

static void
put_v4(struct put *w, struct cursor *cur, struct packet pkt)
{
	if (w->len > 0)
		put_char(w, SEPARATOR);
	if (pkt.binary)
		put_binary_text(w, cur, pkt, false);
	else
		put_copy(w, cur, pkt.len);
}

void
payload_write(char *dst, const struct payload_plan *plan,
    const struct iovec *iov, int n)
{
	struct cursor cur = { iov, n, 0 };
	struct put w = { dst, plan->size, 0 };
	struct packet pkt;

	while (next_packet(&cur, &pkt)) {
		switch (plan->format) {
		case PAYLOAD_V4:
			put_v4(&w, &cur, pkt);
			break;
		case PAYLOAD_V3_TEXT:
			put_v3_text(&w, &cur, pkt);
			break;
		case PAYLOAD_V3_BINARY:
			put_v3_binary(&w, &cur, pkt);
			break;
		}
	}
	CHECK(w.len == plan->size);
}
