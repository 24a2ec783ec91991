/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * identity - who a client is and which sessions it may reach.
 * (Contract: "Who is calling".)
 */

#ifndef CHAT_IDENTITY_H
#define CHAT_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chat/error.h"
#include "common/config.h"
#include "common/json.h"

enum identity_role {
	IDENTITY_USER,
	IDENTITY_AGENT,
	IDENTITY_SERVICE,
};

struct identity_workspace {
	char *id;
	/* the role in this workspace */
	enum identity_role role;
	/* all sessions of the workspace, or those listed */
	bool all_sessions;
	char **sessions;
	size_t nsessions;
};

struct identity {
	char *user_id;
	char *user_name;
	enum identity_role role;
	/* mode none without a list: every workspace */
	bool all_workspaces;
	struct identity_workspace *workspaces;
	size_t nworkspaces;
	/* ms since the epoch, 0: never */
	uint64_t expires_ms;
	/* of the token that told all this, by which it can be revoked: its id
	 * or NULL, and when it was issued (ms since the epoch, 0: not told) */
	char *token_id;
	uint64_t issued_ms;
};

/*
 * Authenticate a CONNECT: 'auth' is its JSON payload (length 0: none),
 * 'bearer' the handshake's Authorization token (length 0: none), used when
 * auth holds no token.  Returns the identity, owned by the caller; or NULL
 * with *err_r the reason; what is wrong with a token is logged (debug).
 */
struct identity *identity_authenticate(const struct config *cfg,
    const char *auth, size_t auth_len, const char *bearer, size_t bearer_len,
    uint64_t now_ms, enum chat_error *err_r);
/* The same of a token alone, as mode jwt has it; 'token' is scanned JSON. */
struct identity *identity_of_token(const struct config *cfg,
    struct json_value token, uint64_t now_ms, enum chat_error *err_r);
void identity_free(struct identity **id);

/* May it reach this session, and in which role?  role_r may be NULL. */
bool identity_allows(const struct identity *id, const char *workspace,
    const char *session, enum identity_role *role_r);

#endif /* CHAT_IDENTITY_H */
