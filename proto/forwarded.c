/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "proto/forwarded.h"

/* Cut the last element off the right end of *rest, without its blanks. */
static struct span
cut_last(struct span *rest)
{
	const char *comma = memrchr(rest->p, ',', rest->len);
	size_t from = comma == NULL ? 0 : (size_t)(comma + 1 - rest->p);
	struct span last = { rest->p + from, rest->len - from };

	rest->len = comma == NULL ? 0 : from - 1;
	while (last.len > 0 && (last.p[0] == ' ' || last.p[0] == '\t')) {
		last.p++;
		last.len--;
	}
	while (last.len > 0 &&
	    (last.p[last.len - 1] == ' ' || last.p[last.len - 1] == '\t'))
		last.len--;
	return last;
}

/* Walk one field; true if the walk ends in it. */
static bool
walk(struct span field, forwarded_trusts_fn trusts, void *arg,
    struct net_address *client, bool *found)
{
	struct net_address addr;
	struct span element;

	while (field.len > 0) {
		element = cut_last(&field);
		/* RFC 9110 5.6.1: empty elements do not count */
		if (element.len == 0)
			continue;
		if (!net_address_parse(element, &addr))
			return true;
		*client = addr;
		*found = true;
		if (!trusts(arg, &addr))
			return true;
	}
	return false;
}

bool
forwarded_for(const struct http_request *req, forwarded_trusts_fn trusts,
    void *arg, struct net_address *client_r)
{
	struct net_address client;
	bool found = false;
	unsigned i;

	/* fields of one name are one list, the last of them its end */
	for (i = req->nheaders; i > 0; i--) {
		const struct http_header *h = &req->headers[i - 1];

		if (span_is_nocase(h->name, "X-Forwarded-For") &&
		    walk(h->value, trusts, arg, &client, &found))
			break;
	}
	if (found)
		*client_r = client;
	return found;
}
