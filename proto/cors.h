/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * cors - which pages of other sites may read our answers (wire page 2.4).
 *
 * What Engine.IO's reference does by the package cors with a list of
 * origins; fields in the same order.  Without a list nothing is written.
 */

#ifndef PROTO_CORS_H
#define PROTO_CORS_H

#include <stdbool.h>
#include <stddef.h>

#include "proto/http.h"
#include "proto/put.h"

/* a longer Access-Control-Request-Headers is not reflected */
#define CORS_REQUEST_HEADERS_MAX 2048
/* what is written, besides an origin and the reflected headers */
#define CORS_HEADERS_MAX 320

/* Borrowed from the configuration. */
struct cors {
	/* each exactly as browsers write it; "*" alone: all */
	char *const *origins;
	size_t norigins;
	bool credentials;
};

static inline bool
cors_configured(const struct cors *c)
{
	return c->norigins > 0;
}

/*
 * The header lines of any answer to this request that is no preflight:
 * errors and 101 have them, too.  Not terminated.
 */
void cors_headers(struct put *w, const struct cors *c,
    const struct http_request *req);

/*
 * OPTIONS, if origins are configured, is a preflight whatever else it asks:
 * answer 204 with these lines, before anything else is looked at.  The last
 * of them is a Content-Length, without which old Safaris wait.
 */
bool cors_is_preflight(const struct cors *c, const struct http_request *req);
void cors_preflight(struct put *w, const struct cors *c,
    const struct http_request *req);

/*
 * May this WebSocket be opened?  Browsers open them for any page, whatever
 * the other headers say, so it is refused here.  True if nothing is
 * configured, and for requests without an Origin, which no browser sends;
 * an Origin must be in the list, that of the daemon's own site, too.
 */
bool cors_allows(const struct cors *c, const struct http_request *req);

#endif /* PROTO_CORS_H */
