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

#include <stdbool.h>

#include "proto/put.h"
#include "proto/span.h"

/* what follows a name that is configured alone: the reference's defaults */
#define COOKIE_ATTRIBUTES "; Path=/; HttpOnly; SameSite=Lax"

/*
 * The line "Set-Cookie: <name>=<sid><attributes>", not terminated.  'config'
 * is a name, or a name and, behind the first ';', attributes as they are;
 * nothing is written if it is empty or cannot be a cookie.
 */
void cookie_header(struct put *w, const char *config, struct span sid);

/* False with a sentence if it cannot be a cookie; "" is fine. */
bool cookie_valid(const char *config, const char **why_r);

#endif /* PROTO_COOKIE_H */
