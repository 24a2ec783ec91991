/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * fuzz_forwarded - X-Forwarded-For: what is found stands in the field as an
 * address, and all that stands right of it is trusted.  Lines of the input
 * are values of fields; the first byte chooses who is trusted.
 */

#include <arpa/inet.h>
#include <stdint.h>
#include <stdlib.h>

#include "common/log.h"
#include "proto/forwarded.h"

#define ASKED_MAX 8192

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct world {
	uint8_t mask;
	unsigned asked;
	/* the last answer was no */
	bool stopped;
	struct net_address last;
};

static bool
trusts(void *arg, const struct net_address *addr)
{
	struct world *w = arg;

	CHECK(addr->family == AF_INET || addr->family == AF_INET6);
	CHECK(!w->stopped);
	CHECK(w->asked++ < ASKED_MAX);
	w->last = *addr;
	w->stopped = (addr->addr[0] & w->mask) == 0;
	return !w->stopped;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct http_request req;
	struct world w = { 0 };
	struct net_address client = { .port = 1, .family = 77 };
	/* a copy that ends where it ends */
	char *copy = malloc(size > 0 ? size : 1), *p, *end;
	bool found;

	CHECK(copy != NULL);
	if (size > 0) {
		memcpy(copy, data, size);
		w.mask = data[0];
	}
	req.nheaders = 0;
	for (p = copy; p < copy + size; p = end + 1) {
		end = memchr(p, '\n', size - (size_t)(p - copy));
		end = end == NULL ? copy + size : end;
		if (req.nheaders == HTTP_HEADERS_MAX)
			break;
		req.headers[req.nheaders++] = (struct http_header){
			.name = { "x-forwarded-for", 15 },
			.value = { p, (size_t)(end - p) },
		};
	}
	found = forwarded_for(&req, trusts, &w, &client);
	CHECK(found == (w.asked > 0));
	CHECK(found || client.family == 77);
	if (found)
		CHECK(memcmp(&client, &w.last, sizeof(client)) == 0);
	free(copy);
	return 0;
}
