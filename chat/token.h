/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * token - JSON Web Tokens: one signature, in the compact form, made with the
 * configured secret by HS256, HS384 or HS512; nothing else.
 */

#ifndef CHAT_TOKEN_H
#define CHAT_TOKEN_H

#include <stddef.h>
#include <stdint.h>

#include "chat/identity.h"

/* The longest token that is looked at. */
#define TOKEN_MAX 16384

/*
 * Who the token says its bearer is; or NULL with *err_r TOKEN_EXPIRED (all
 * else about it is right), AUTH_UNAVAILABLE (there is no secret) or
 * TOKEN_INVALID.
 */
struct identity *token_verify(const struct config *cfg, const char *token,
    size_t len, uint64_t now_ms, enum chat_error *err_r);

#endif /* CHAT_TOKEN_H */
