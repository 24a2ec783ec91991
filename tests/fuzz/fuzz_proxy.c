/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * fuzz_proxy - PROXY headers: the outcome does not depend on where the bytes
 * are cut, and addresses come back from what is printed of them.
 */

#include <arpa/inet.h>
#include <stdint.h>
#include <stdlib.h>

#include "common/log.h"
#include "proto/proxy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct outcome {
	enum proxy_result result;
	size_t used;
	struct net_address source;
};

/* From a copy that ends where it ends. */
static struct outcome
parse(const uint8_t *data, size_t size)
{
	char *copy = malloc(size > 0 ? size : 1);
	struct outcome o = { 0 };
	const char *why = NULL;

	CHECK(copy != NULL);
	if (size > 0)
		memcpy(copy, data, size);
	o.result = proxy_parse(copy, size, &o.source, &o.used, &why);
	CHECK((o.result == PROXY_BAD) == (why != NULL));
	CHECK(o.used <= size && o.used <= PROXY_V2_MAX);
	CHECK((o.result == PROXY_OK) == (o.used > 0));
	CHECK(o.result != PROXY_MORE || size < PROXY_V2_MAX);
	free(copy);
	return o;
}

static void
check_address(const struct net_address *addr)
{
	struct net_address again;
	char text[NET_ADDRESS_TEXT];

	net_address_print(addr, text);
	if (addr->family != AF_INET && addr->family != AF_INET6) {
		CHECK(addr->family == AF_UNIX || addr->family == AF_UNSPEC);
		CHECK(addr->port == 0);
		return;
	}
	CHECK(net_address_parse((struct span){ text, strlen(text) }, &again));
	CHECK(again.family == addr->family && again.port == addr->port);
	CHECK(memcmp(again.addr, addr->addr, 16) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct outcome want = parse(data, size), got = { 0 };
	struct net_address addr;
	size_t n, last = size < 600 ? size : 600;

	got.result = PROXY_MORE;
	for (n = 0; n <= last && got.result == PROXY_MORE; n++)
		got = parse(data, n);
	if (got.result == PROXY_MORE)
		got = parse(data, size);
	CHECK(got.result == want.result && got.used == want.used);
	if (want.result == PROXY_OK) {
		CHECK(memcmp(&got.source, &want.source, sizeof(addr)) == 0);
		check_address(&want.source);
	}
	/* the same bytes as an address alone */
	if (net_address_parse((struct span){ (const char *)data, size }, &addr))
		check_address(&addr);
	return 0;
}
