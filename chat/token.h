/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * token - JSON Web Tokens: one signature, in the compact form, made by one of
 * the algorithms of common/keys.h with a key of the configuration.
 *
 *   kid?  - yes: the key of that name, and no other; if there is none, as
 *         |      without one, but of the keys that have no name
 *         - no: each key that fits alg, at most 8
 *   alg   - one that the key is for: its own, or those of its type.  None
 *           goes with a secret and a public key both, so that nobody can
 *           sign by HMAC with what is public.
 */

#ifndef CHAT_TOKEN_H
#define CHAT_TOKEN_H

#include <stddef.h>
#include <stdint.h>

#include "chat/identity.h"

/* The longest token that is looked at. */
#define TOKEN_MAX 16384

/*
 * Who the token says its bearer is, with expires_ms and issued_ms; or NULL
 * with *err_r TOKEN_EXPIRED (all else about it is right), AUTH_UNAVAILABLE
 * (there are no keys) or TOKEN_INVALID, and *why_r what is wrong, which is
 * for the log and not for the client.
 */
struct identity *token_verify(const struct config *cfg, const char *token,
    size_t len, uint64_t now_ms, enum chat_error *err_r, const char **why_r);

#endif /* CHAT_TOKEN_H */
