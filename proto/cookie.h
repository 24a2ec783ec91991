/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * cookie - the session id in a cookie, for proxies that choose by it.
 *
 * It is only written, in the answer to a polling handshake (wire page 2.4),
 * and never read.
 */

#ifndef PROTO_COOKIE_H
#define PROTO_COOKIE_H

#include "proto/put.h"
#include "proto/span.h"

/*
 * The line "Set-Cookie: <name>=<sid>; <attributes>", not terminated.
 * 'attributes' may be NULL; both come from the configuration, which has
 * checked them.
 */
void cookie_header(struct put *w, const char *name, const char *attributes,
    struct span sid);

#endif /* PROTO_COOKIE_H */
