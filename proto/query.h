/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * query - query strings, read as URLSearchParams reads them.
 *
 * '+' is a blank, %XX a byte (also %00), any other '%' stands for itself,
 * what is not UTF-8 becomes U+FFFD, and of a repeated key the last value
 * counts.
 */

#ifndef PROTO_QUERY_H
#define PROTO_QUERY_H

#include <stdbool.h>
#include <stddef.h>

#include "proto/span.h"

enum query_result {
	QUERY_NONE,
	QUERY_FOUND,
	/* the decoded value does not fit into the buffer */
	QUERY_LONG,
};

/*
 * The last value of 'key' (plain ASCII), decoded into 'buf' and terminated;
 * *len_r, without the terminator, tells a value that holds NULs.
 */
enum query_result query_get(struct span query, const char *key, char *buf,
    size_t size, size_t *len_r);

/*
 * Cut the next pair off the front of *rest, both parts still encoded.
 * False when there is none.
 */
bool query_next(struct span *rest, struct span *key_r, struct span *value_r);

/*
 * Decode one part into 'buf', terminated.  Its length, or -1 if it does
 * not fit; 3 * raw.len + 1 bytes always suffice.
 */
long query_decode(struct span raw, char *buf, size_t size);

#endif /* PROTO_QUERY_H */
