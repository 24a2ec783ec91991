/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * fuzz_query - query strings: what is decoded is UTF-8 and fits where it is
 * promised to fit.
 */

#include <stdint.h>
#include <stdlib.h>

#include "common/log.h"
#include "common/utf8.h"
#include "proto/query.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_part(struct span raw)
{
	size_t size = 3 * raw.len + 1;
	char *buf = malloc(size), *exact;
	long len;

	CHECK(buf != NULL);
	len = query_decode(raw, buf, size);
	CHECK(len >= 0 && (size_t)len < size);
	CHECK(utf8_valid(buf, (size_t)len));
	CHECK(buf[len] == '\0');
	exact = malloc((size_t)len + 1);
	CHECK(exact != NULL);
	CHECK(query_decode(raw, exact, (size_t)len + 1) == len);
	CHECK(memcmp(exact, buf, (size_t)len + 1) == 0);
	CHECK(query_decode(raw, exact, (size_t)len) == -1);
	free(exact);
	free(buf);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* a copy that ends where it ends */
	char *copy = malloc(size > 0 ? size : 1);
	char buf[32];
	struct span query, rest, key, value, last = { NULL, 0 };
	size_t len = 0;

	CHECK(copy != NULL);
	if (size > 0)
		memcpy(copy, data, size);
	query = rest = (struct span){ copy, size };
	while (query_next(&rest, &key, &value)) {
		CHECK(memchr(key.p, '=', key.len) == NULL);
		check_part(key);
		check_part(value);
		if (span_is(key, "sid"))
			last = value;
	}
	switch (query_get(query, "sid", buf, sizeof(buf), &len)) {
	case QUERY_NONE:
		CHECK(last.p == NULL);
		break;
	case QUERY_FOUND:
		CHECK(len < sizeof(buf) && buf[len] == '\0');
		break;
	case QUERY_LONG:
		break;
	}
	free(copy);
	return 0;
}
