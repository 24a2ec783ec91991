/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "tests/conformance/call.h"

#include <string.h>

struct json_value
call_arg(const struct call *c, unsigned i)
{
	struct json_value v = { .kind = JSON_KIND_NONE };
	struct json_iter it;

	if (c->pkt->refused != NULL)
		return v;
	it = json_iter_inside(c->pkt->args.p, c->pkt->args.len);
	do {
		if (!json_next(&it, &v))
			return (struct json_value){ .kind = JSON_KIND_NONE };
	} while (i-- > 0);
	return v;
}

bool
call_is_binary(const struct call *c, struct json_value v)
{
	struct sio_walk walk;
	struct span object;
	unsigned num;

	if (v.kind != JSON_KIND_OBJECT)
		return false;
	sio_walk_begin(&walk, c->pkt);
	/* 'args' and 'raw_args' are the same place of the packet's text */
	while (sio_walk_next(&walk, &object, &num))
		if (object.p == v.text.p)
			return true;
	return false;
}

bool
json_is_true(struct json_value v)
{
	double d;
	bool b;

	switch (v.kind) {
	case JSON_KIND_NONE:
	case JSON_KIND_NULL:
		return false;
	case JSON_KIND_BOOL:
		return json_to_bool(v, &b) && b;
	case JSON_KIND_NUMBER:
		/* what is too large for a double is infinite there */
		return !json_to_double(v, &d) || d != 0;
	case JSON_KIND_STRING:
		return json_inside(v).len > 0;
	case JSON_KIND_OBJECT:
	case JSON_KIND_ARRAY:
		break;
	}
	return true;
}

bool
call_pack(const struct call *c, struct packed *pk)
{
	unsigned order[SIO_ATTACHMENTS_MAX];
	size_t len;

	len = sio_renumber(NULL, 0, c->pkt, order, &pk->n);
	if (pk->n > SIO_ATTACHMENTS_MAX)
		return false;
	if (len > 0 && pk->json.len > 0)
		sb_addc(&pk->json, ',');
	(void)sio_renumber(sb_reserve(&pk->json, len), len, c->pkt, order,
	    &pk->n);
	pk->json.len += len;
	pk->json.data[pk->json.len] = '\0';
	for (unsigned i = 0; i < pk->n; i++)
		pk->attachments[i] = c->attachments[order[i]];
	return true;
}
