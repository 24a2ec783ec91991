/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "proto/sio.h"

#include "common/json.h"
#include "proto/sio_binary.h"

/* Names that belong to the library on either side. */
static const char *const reserved_names[] = {
	"connect",
	"connect_error",
	"disconnect",
	"disconnecting",
	"newListener",
	"removeListener",
};

static bool
bad(const char **why_r, const char *why)
{
	*why_r = why;
	return false;
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void
skip(struct span *s, size_t n)
{
	s->p += n;
	s->len -= n;
}

static struct span
trim(struct span s)
{
	while (s.len > 0 && is_blank(s.p[0]))
		skip(&s, 1);
	while (s.len > 0 && is_blank(s.p[s.len - 1]))
		s.len--;
	return s;
}

/* --- what stands in front of the payload --------------------------------- */

/* "1-" to "10-": nothing else is looked at, however long it is. */
static bool
decode_attachments(struct span *rest, struct sio_packet *pkt,
    const char **why_r)
{
	size_t n = 0;

	while (n < rest->len && n < 2 && is_digit(rest->p[n]))
		pkt->nattach =
		    pkt->nattach * 10 + (unsigned)(rest->p[n++] - '0');
	if (n == 0 || n == rest->len || rest->p[n] != '-' ||
	    rest->p[0] == '0' || pkt->nattach > SIO_ATTACHMENTS_MAX)
		return bad(why_r, "illegal number of attachments");
	skip(rest, n + 1);
	return true;
}

static void
decode_nsp(struct span *rest, struct sio_packet *pkt)
{
	const char *comma;

	if (rest->len == 0 || rest->p[0] != '/') {
		pkt->nsp = (struct span){ "/", 1 };
		return;
	}
	comma = memchr(rest->p, ',', rest->len);
	pkt->nsp = *rest;
	if (comma != NULL)
		pkt->nsp.len = (size_t)(comma - rest->p);
	skip(rest, pkt->nsp.len + (comma != NULL));
}

static bool
decode_id(struct span *rest, struct sio_packet *pkt, const char **why_r)
{
	while (rest->len > 0 && is_digit(rest->p[0])) {
		pkt->has_id = true;
		pkt->id = pkt->id * 10 + (uint64_t)(rest->p[0] - '0');
		if (pkt->id > SIO_ID_MAX)
			return bad(why_r, "acknowledgement id too large");
		skip(rest, 1);
	}
	return true;
}

/* --- the payload --------------------------------------------------------- */

/*
 * Take the name off the elements of an array.  The grammar is known to be
 * right, so that a string has its end.
 */
static bool
decode_name(struct span *elements, struct sio_packet *pkt, const char **why_r)
{
	struct span s = *elements;
	size_t n = 0;

	if (s.len == 0)
		return bad(why_r, "event without a name");
	if (s.p[0] == '"') {
		skip(&s, 1);
		for (; n < s.len && s.p[n] != '"'; n++) {
			if (s.p[n] != '\\')
				continue;
			pkt->name_has_escapes = true;
			n++;
		}
	} else if (is_digit(s.p[0]) || s.p[0] == '-') {
		pkt->name_is_number = true;
		while (n < s.len && s.p[n] != ',' && !is_blank(s.p[n]))
			n++;
	} else {
		return bad(why_r, "event name is no string and no number");
	}
	pkt->name = (struct span){ s.p, n };
	skip(&s, pkt->name_is_number ? n : n + 1);
	*elements = trim(s);
	return true;
}

struct span
sio_name_json(const struct sio_packet *pkt)
{
	if (pkt->name_is_number || pkt->name.p == NULL)
		return pkt->name;
	return (struct span){ pkt->name.p - 1, pkt->name.len + 2 };
}

static struct json_value
name_value(const struct sio_packet *pkt)
{
	return (struct json_value){
		.kind = JSON_KIND_STRING,
		.text = { pkt->name.p - 1, pkt->name.len + 2 },
	};
}

bool
sio_name_is(const struct sio_packet *pkt, const char *name)
{
	if (pkt->name_has_escapes)
		return json_is(name_value(pkt), name);
	return !pkt->name_is_number && span_is(pkt->name, name);
}

static bool
name_is_reserved(const struct sio_packet *pkt)
{
	size_t i;

	for (i = 0; i < sizeof(reserved_names) / sizeof(reserved_names[0]); i++)
		if (sio_name_is(pkt, reserved_names[i]))
			return true;
	return false;
}

/* A name that is itself no text for us is nobody's. */
static void
drop_refused_name(struct sio_packet *pkt)
{
	struct json_span text;
	const char *why;

	if (pkt->name_is_number)
		return;
	text = name_value(pkt).text;
	if (json_scan(text.p, text.len, 1, &why) == JSON_FINE)
		return;
	pkt->name = (struct span){ 0 };
	pkt->name_has_escapes = false;
}

static bool
check_placeholders(struct sio_packet *pkt, const char **why_r)
{
	bool deep;

	if (!sio_placeholders_fit(pkt->raw_args, pkt->nattach, &deep, why_r))
		return false;
	if (deep)
		pkt->raw_args.len = 0;
	return true;
}

static bool
decode_array(struct span text, struct sio_packet *pkt, const char **why_r)
{
	bool event = pkt->type == SIO_EVENT || pkt->type == SIO_BINARY_EVENT;
	struct span elements = text;

	if (text.p[0] != '[')
		return bad(why_r, "payload is no array");
	skip(&elements, 1);
	elements.len--;
	elements = trim(elements);
	if (event) {
		if (!decode_name(&elements, pkt, why_r))
			return false;
		if (pkt->refused != NULL)
			drop_refused_name(pkt);
		if (name_is_reserved(pkt))
			return bad(why_r, "reserved event name");
		if (elements.len > 0)
			skip(&elements, 1);
		elements = trim(elements);
	}
	pkt->args = elements;
	pkt->raw_args = elements;
	if (pkt->refused != NULL)
		pkt->args.len = 0;
	return pkt->nattach == 0 || check_placeholders(pkt, why_r);
}

static bool
decode_payload(struct span text, struct sio_packet *pkt, const char **why_r)
{
	bool array = pkt->type != SIO_CONNECT && pkt->type != SIO_DISCONNECT &&
	    pkt->type != SIO_CONNECT_ERROR;
	const char *why = NULL;

	pkt->payload = trim(text);
	if (text.len == 0) {
		if (pkt->type == SIO_CONNECT || pkt->type == SIO_DISCONNECT)
			return true;
		return bad(why_r, "packet without payload");
	}
	/* the array around the arguments is not the client's */
	switch (json_scan(text.p, text.len, SIO_DEPTH_MAX + array, &why)) {
	case JSON_BAD:
		return bad(why_r, why);
	case JSON_REFUSED:
		pkt->refused = why;
		break;
	case JSON_FINE:
		break;
	}
	switch (pkt->type) {
	case SIO_CONNECT:
		return pkt->payload.p[0] == '{' ||
		    bad(why_r, "payload is no object");
	case SIO_DISCONNECT:
		return bad(why_r, "disconnect with a payload");
	case SIO_CONNECT_ERROR:
		return pkt->payload.p[0] == '{' || pkt->payload.p[0] == '"' ||
		    bad(why_r, "payload is no string and no object");
	case SIO_EVENT:
	case SIO_ACK:
	case SIO_BINARY_EVENT:
	case SIO_BINARY_ACK:
	case SIO_TYPE__MAX:
		break;
	}
	return decode_array(pkt->payload, pkt, why_r);
}

bool
sio_decode(const char *p, size_t len, struct sio_packet *pkt_r,
    const char **why_r)
{
	struct span rest = { p, len };
	struct sio_packet pkt = { 0 };

	if (len == 0)
		return bad(why_r, "empty packet");
	if (p[0] < '0' || p[0] >= '0' + SIO_TYPE__MAX)
		return bad(why_r, "unknown packet type");
	pkt.type = (enum sio_type)(p[0] - '0');
	skip(&rest, 1);
	if (pkt.type >= SIO_BINARY_EVENT &&
	    !decode_attachments(&rest, &pkt, why_r))
		return false;
	decode_nsp(&rest, &pkt);
	if (!decode_id(&rest, &pkt, why_r) ||
	    !decode_payload(rest, &pkt, why_r))
		return false;
	*pkt_r = pkt;
	return true;
}
