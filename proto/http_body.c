/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "proto/http_body.h"

/*
 * Chunked framing is read byte by byte, its content in pieces:
 *
 *            .------------------------- data and CR LF -------------------.
 *            v                                                            |
 *   SIZE -> (BLANK) -> (EXTENSION) -> SIZE_LF --- size > 0 ---> DATA -> DATA_CR
 *                                        |                        -> DATA_LF
 *                                        '--- size 0 ---> TRAILER
 *   TRAILER -> NAME -> VALUE -> VALUE_LF -> TRAILER
 *   TRAILER -> END_LF -> DONE
 *
 * Two readers who disagree about where a body ends are what request
 * smuggling needs, so nothing is repaired: no bare LF, no blanks around a
 * size, no signs, no 0x.
 */
enum body_state {
	STATE_LENGTH,
	STATE_SIZE,
	/* between a size and the ';' of an extension */
	STATE_BLANK,
	STATE_EXTENSION,
	STATE_SIZE_LF,
	STATE_DATA,
	STATE_DATA_CR,
	STATE_DATA_LF,
	/* at the beginning of a trailer field, or of the last line */
	STATE_TRAILER,
	STATE_NAME,
	STATE_VALUE,
	STATE_VALUE_LF,
	STATE_END_LF,
	STATE_DONE,
	STATE_BAD,
};

_Static_assert(sizeof(struct http_body) == 32, "32 bytes, as promised");

void
http_body_init(struct http_body *b, const struct http_request *req)
{
	*b = (struct http_body){ 0 };
	if (req->chunked) {
		b->state = STATE_SIZE;
	} else {
		b->state = STATE_LENGTH;
		b->left = req->content_length;
	}
}

static int
hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* Of chunk extensions and trailers: anything but controls. */
static bool
is_text(char c)
{
	unsigned char u = (unsigned char)c;

	return (u >= ' ' && u != 0x7f) || u == '\t';
}

static bool
is_token_char(char c)
{
	return http_is_token((struct span){ &c, 1 });
}

/* NULL, or why this byte cannot follow. */
static const char *
feed_size(struct http_body *b, char c)
{
	int digit = hex(c);

	if (digit >= 0) {
		if (b->digits == HTTP_CHUNK_DIGITS_MAX)
			return "chunk size has too many digits";
		if (b->left > (uint64_t)INT64_MAX >> 4)
			return "chunk size too large";
		b->digits++;
		b->left = b->left << 4 | (uint64_t)digit;
		return NULL;
	}
	if (b->digits == 0)
		return "chunk without a size";
	if (c == '\r')
		b->state = STATE_SIZE_LF;
	else if (c == ';')
		b->state = STATE_EXTENSION;
	else if (c == ' ' || c == '\t')
		b->state = STATE_BLANK;
	else
		return "malformed chunk size";
	return NULL;
}

static const char *
feed_extension(struct http_body *b, char c)
{
	if (c == '\r' && b->state == STATE_EXTENSION)
		b->state = STATE_SIZE_LF;
	else if (c == ';')
		b->state = STATE_EXTENSION;
	else if (!is_text(c) ||
	    (b->state == STATE_BLANK && c != ' ' && c != '\t'))
		return "malformed chunk extension";
	return NULL;
}

static const char *
feed_trailer(struct http_body *b, char c)
{
	if (b->state == STATE_TRAILER) {
		if (c == '\r') {
			b->state = STATE_END_LF;
			return NULL;
		}
		if (b->trailers++ == HTTP_TRAILERS_MAX)
			return "too many trailer fields";
		b->state = STATE_NAME;
		return is_token_char(c) ? NULL : "malformed trailer field";
	}
	if (b->state == STATE_NAME) {
		if (c == ':')
			b->state = STATE_VALUE;
		else if (!is_token_char(c))
			return "malformed trailer field";
		return NULL;
	}
	if (c == '\r')
		b->state = STATE_VALUE_LF;
	else if (!is_text(c))
		return "malformed trailer field";
	return NULL;
}

/* The LF that has to stand behind a CR. */
static const char *
feed_lf(struct http_body *b, char c)
{
	if (c != '\n')
		return "CR without LF";
	switch ((enum body_state)b->state) {
	case STATE_SIZE_LF:
		b->state = b->left > 0 ? STATE_DATA : STATE_TRAILER;
		b->digits = 0;
		break;
	case STATE_DATA_LF:
		b->state = STATE_SIZE;
		break;
	case STATE_VALUE_LF:
		b->state = STATE_TRAILER;
		break;
	default:
		b->state = STATE_DONE;
		break;
	}
	return NULL;
}

static const char *
feed(struct http_body *b, char c)
{
	enum body_state before = b->state;
	const char *why = NULL;

	switch (before) {
	case STATE_SIZE:
		return feed_size(b, c);
	case STATE_BLANK:
	case STATE_EXTENSION:
		why = feed_extension(b, c);
		break;
	case STATE_TRAILER:
	case STATE_NAME:
	case STATE_VALUE:
		why = feed_trailer(b, c);
		break;
	case STATE_DATA_CR:
		if (c != '\r')
			return "chunk longer than its size";
		b->state = STATE_DATA_LF;
		return NULL;
	default:
		return feed_lf(b, c);
	}
	/* as llhttp had to learn: CVE-2024-22019 */
	if (why == NULL && b->extra++ == HTTP_BODY_EXTRA_MAX)
		why = "chunk extensions or trailers too long";
	return why;
}

enum http_body_result
http_body_next(struct http_body *b, const char *buf, size_t len, size_t *used_r,
    struct span *data_r, struct http_error *err_r)
{
	const char *why = NULL;
	size_t pos = 0;

	if (b->state == STATE_LENGTH && b->left == 0)
		b->state = STATE_DONE;
	while (b->state != STATE_DONE && b->state != STATE_BAD && pos < len) {
		if (b->state == STATE_LENGTH || b->state == STATE_DATA) {
			size_t n = len - pos < b->left ? len - pos : b->left;

			*data_r = (struct span){ buf + pos, n };
			*used_r = pos + n;
			b->left -= n;
			b->total += n;
			if (b->left == 0 && b->state == STATE_DATA)
				b->state = STATE_DATA_CR;
			return HTTP_BODY_DATA;
		}
		if ((why = feed(b, buf[pos])) != NULL)
			b->state = STATE_BAD;
		else
			pos++;
	}
	*used_r = pos;
	if (b->state == STATE_DONE)
		return HTTP_BODY_DONE;
	if (b->state != STATE_BAD)
		return HTTP_BODY_MORE;
	err_r->status = 400;
	err_r->why = why != NULL ? why : "malformed request body";
	return HTTP_BODY_BAD;
}

bool
http_body_exceeds(const struct http_body *b, uint64_t max)
{
	/* neither can overflow: each part is at most INT64_MAX */
	if (b->state == STATE_LENGTH || b->state == STATE_DATA)
		return b->total > max || b->left > max - b->total;
	return b->total > max;
}
