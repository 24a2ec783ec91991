/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * forwarded - whom the proxies in front have seen: X-Forwarded-For.
 *
 * Each proxy adds the address that it was called from at the right end; what
 * stands left of an address that we do not trust is that one's claim, and
 * is not looked at.
 */

#ifndef PROTO_FORWARDED_H
#define PROTO_FORWARDED_H

#include <stdbool.h>

#include "proto/address.h"
#include "proto/http.h"

/* Does what this address writes into the field count? */
typedef bool (*forwarded_trusts_fn)(void *arg, const struct net_address *addr);

/*
 * For a request that came from an address that is trusted itself: walk the
 * elements of all fields from the right, up to the first that is not
 * trusted: that is the client.  If all are trusted it is the leftmost.  What
 * is no address ends the walk at the one before.
 * False, and *client_r untouched, if the field tells nothing: then the
 * request's own address counts.
 */
bool forwarded_for(const struct http_request *req, forwarded_trusts_fn trusts,
    void *arg, struct net_address *client_r);

#endif /* PROTO_FORWARDED_H */
