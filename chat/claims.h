/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * claims - what somebody says about who he is, made an identity: from a
 * token whose signature has been checked, or in mode none from himself.
 */

#ifndef CHAT_CLAIMS_H
#define CHAT_CLAIMS_H

#include "chat/identity.h"
#include "common/json.h"

/* Values of a text that json_scan() found fine; KIND_NONE: not there. */
struct claims {
	struct json_value user_id;
	/* the user's id stands in for it */
	struct json_value user_name;
	/* user, agent or service; default user */
	struct json_value role;
	/* a list of ids or of {id, role?, sessions?} */
	struct json_value workspaces;
	/* a name of the token */
	struct json_value token_id;
};

/*
 * NULL if anything that is there makes no sense, or there is no user_id;
 * then *why_r tells which, by the names of a token's claims.
 */
struct identity *claims_identity_why(const struct claims *c,
    const char **why_r);
struct identity *claims_identity(const struct claims *c);

#endif /* CHAT_CLAIMS_H */
