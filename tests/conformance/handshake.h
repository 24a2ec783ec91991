/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * handshake - what the reference shows an application of a handshake.
 */

#ifndef CONFORMANCE_HANDSHAKE_H
#define CONFORMANCE_HANDSHAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/json.h"
#include "proto/span.h"

struct handshake {
	/* the request's head, as it was sent */
	struct span head;
	/* the CONNECT's payload, a JSON object */
	struct span auth;
	const char *address;
	/* ms since the epoch */
	uint64_t issued_ms;
};

/*
 * Write the object {headers, time, address, xdomain, secure, issued, url,
 * query, auth}.  Header names are in lower case.
 */
void handshake_json(struct json_out *o, const struct handshake *h);

/* Does the request's query have this parameter? */
bool handshake_has(struct span head, const char *key);

/* A time as JavaScript's Date.toISOString() shows it, terminated. */
#define ISO_SIZE 32
void iso_date(char buf[ISO_SIZE], uint64_t ms);

#endif /* CONFORMANCE_HANDSHAKE_H */
