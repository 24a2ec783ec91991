/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "proto/ws_extension.h"

#include "common/utf8.h"
#include "proto/put.h"
#include "proto/ws.h"

#define NAME "permessage-deflate"

/* What may stand in an offer, each once at most. */
enum param {
	PARAM_SERVER_NO_TAKEOVER,
	PARAM_CLIENT_NO_TAKEOVER,
	PARAM_SERVER_BITS,
	PARAM_CLIENT_BITS,
	PARAM__MAX,
};

enum value {
	VALUE_NONE,
	VALUE_MAY,
	VALUE_MUST,
};

/* indexed by enum param */
static const struct {
	const char *name;
	enum value value;
} params[] = {
	{ "server_no_context_takeover", VALUE_NONE },
	{ "client_no_context_takeover", VALUE_NONE },
	{ "server_max_window_bits", VALUE_MUST },
	{ "client_max_window_bits", VALUE_MAY },
};
_Static_assert(sizeof(params) / sizeof(params[0]) == PARAM__MAX,
    "each parameter has its row");

/* What is left of a field, and what was found wrong with the offer so far. */
struct reader {
	struct span rest;
	/* the offer cannot be taken */
	bool declined;
	/* bit i: enum param i is there */
	unsigned seen;
	/* of the window asked of us; 0 */
	unsigned bits;
};

static void
skip_blanks(struct span *s)
{
	while (s->len > 0 && (s->p[0] == ' ' || s->p[0] == '\t')) {
		s->p++;
		s->len--;
	}
}

/* Is 'c' next, with blanks around it?  Then it is taken. */
static bool
take(struct span *s, char c)
{
	skip_blanks(s);
	if (s->len == 0 || s->p[0] != c)
		return false;
	s->p++;
	s->len--;
	skip_blanks(s);
	return true;
}

static bool
ends_token(char c)
{
	return c == ';' || c == ',' || c == '=' || c == '"' || c == ' ' ||
	    c == '\t';
}

static bool
take_token(struct span *s, struct span *token_r)
{
	struct span token = { s->p, 0 };

	while (token.len < s->len && !ends_token(s->p[token.len]))
		token.len++;
	if (!http_is_token(token))
		return false;
	s->p += token.len;
	s->len -= token.len;
	*token_r = token;
	return true;
}

/*
 * RFC 6455 9.1: a token, or one in quotes.  Escapes inside of quotes would
 * have to be undone; a token needs none, so that nobody writes them.
 */
static bool
take_value(struct span *s, struct span *value_r)
{
	if (s->len == 0 || s->p[0] != '"')
		return take_token(s, value_r);
	s->p++;
	s->len--;
	if (!take_token(s, value_r) || s->len == 0 || s->p[0] != '"')
		return false;
	s->p++;
	s->len--;
	return true;
}

/* "8" to "15", written so; 0 for anything else. */
static unsigned
window_bits(struct span value)
{
	if (value.len == 1 && (value.p[0] == '8' || value.p[0] == '9'))
		return (unsigned)(value.p[0] - '0');
	if (value.len == 2 && value.p[0] == '1' && value.p[1] >= '0' &&
	    value.p[1] <= '5')
		return 10 + (unsigned)(value.p[1] - '0');
	return 0;
}

static bool
note_param(struct reader *r, struct span name, const struct span *value)
{
	unsigned i, bits;

	for (i = 0; i < PARAM__MAX; i++)
		if (span_is(name, params[i].name))
			break;
	if (i == PARAM__MAX || (r->seen & 1u << i) != 0)
		return false;
	r->seen |= 1u << i;
	if (value == NULL)
		return params[i].value != VALUE_MUST;
	if (params[i].value == VALUE_NONE || (bits = window_bits(*value)) == 0)
		return false;
	if (i == PARAM_SERVER_BITS)
		r->bits = bits;
	return i != PARAM_SERVER_BITS || bits >= DEFLATE_BITS_MIN;
}

/* One offer with its parameters; false if it is no extension's. */
static bool
read_offer(struct reader *r)
{
	struct span name, value;

	if (!take_token(&r->rest, &name))
		return false;
	r->declined = !span_is(name, NAME);
	r->seen = 0;
	r->bits = 0;
	while (take(&r->rest, ';')) {
		bool has_value;

		if (!take_token(&r->rest, &name))
			return false;
		has_value = take(&r->rest, '=');
		if (has_value && !take_value(&r->rest, &value))
			return false;
		if (!r->declined &&
		    !note_param(r, name, has_value ? &value : NULL))
			r->declined = true;
	}
	return r->rest.len == 0 || r->rest.p[0] == ',';
}

/* Look through one field.  False if it is no list of extensions. */
static bool
read_field(struct span field, struct ws_deflate *params_r)
{
	struct reader r = { .rest = field };

	for (;;) {
		/* empty elements are none */
		while (take(&r.rest, ','))
			;
		if (r.rest.len == 0)
			return true;
		if (!read_offer(&r))
			return false;
		if (r.declined || params_r->bits > 0)
			continue;
		params_r->bits_asked = r.bits > 0;
		params_r->bits =
		    (uint8_t)(r.bits > 0 ? r.bits : DEFLATE_BITS_MAX);
	}
}

bool
ws_deflate_negotiate(const struct http_request *req,
    struct ws_deflate *params_r)
{
	struct ws_deflate found = { 0 };
	unsigned i;

	for (i = 0; i < req->nheaders && found.bits == 0; i++)
		if (span_is_nocase(req->headers[i].name,
			"Sec-WebSocket-Extensions") &&
		    !read_field(req->headers[i].value, &found))
			return false;
	if (found.bits == 0)
		return false;
	*params_r = found;
	return true;
}

size_t
ws_deflate_answer(char *buf, size_t size, const struct ws_deflate *agreed)
{
	struct put w = { buf, size, 0 };

	put_text(&w,
	    NAME "; server_no_context_takeover; client_no_context_takeover");
	if (agreed->bits_asked) {
		put_text(&w, "; server_max_window_bits=");
		put_u64(&w, agreed->bits);
	}
	put_char(&w, '\0');
	return w.len - 1;
}

unsigned
ws_deflate_verdict(enum deflate_result result, bool text, const char *p,
    size_t len, const char **why_r)
{
	if (result == DEFLATE_TOO_BIG)
		return WS_CODE_BIG;
	if (result == DEFLATE_BAD)
		return WS_CODE_INVALID;
	if (text && !utf8_valid(p, len)) {
		*why_r = "text is not UTF-8";
		return WS_CODE_INVALID;
	}
	return 0;
}
