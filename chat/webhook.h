/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * webhook - mode webhook: the token that is shown, and what the application
 * says of it.  (Contract: "Who is calling".)
 */

#ifndef CHAT_WEBHOOK_H
#define CHAT_WEBHOOK_H

#include <stddef.h>
#include <stdint.h>

#include "chat/identity.h"
#include "common/json.h"

/*
 * The token of a CONNECT: 'auth' is its JSON payload (length 0: none),
 * 'bearer' the handshake's (length 0: none), used when auth holds none.
 * Terminated, to be wiped and freed by the caller (webhook_token_free());
 * NULL with *err_r AUTHENTICATION_REQUIRED (there is none) or TOKEN_INVALID
 * (no text, or more than TOKEN_MAX bytes).
 */
char *webhook_token(const char *auth, size_t auth_len, const char *bearer,
    size_t bearer_len, size_t *len_r, enum chat_error *err_r);
/*
 * A string's text as such a token, or NULL: it is none, or has more than
 * TOKEN_MAX bytes.
 */
char *webhook_token_of(struct json_value v, size_t *len_r);
/* What was secret in it is not left behind. */
void webhook_token_free(char **token, size_t len);

/*
 * The identity that the application tells of: {userId, userName, role?,
 * workspaces, expiresAt?}.  NULL with *err_r AUTH_UNAVAILABLE (it makes no
 * sense) or TOKEN_EXPIRED (expiresAt, ms since the epoch, has come).
 */
struct identity *webhook_identity(const char *claims, size_t len,
    uint64_t now_ms, enum chat_error *err_r);

#endif /* CHAT_WEBHOOK_H */
