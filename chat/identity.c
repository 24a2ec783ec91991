/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "chat/identity.h"

#include <stdlib.h>
#include <string.h>

#include "chat/claims.h"
#include "chat/token.h"
#include "common/json.h"
#include "common/log.h"

/* of an auth payload; the reference takes any */
#define AUTH_DEPTH 32

/* It is one allocation (claims.c). */
void
identity_free(struct identity **id)
{
	free(*id);
	*id = NULL;
}

static bool
workspace_allows(const struct identity_workspace *w, const char *session)
{
	size_t i;

	if (w->all_sessions)
		return true;
	for (i = 0; i < w->nsessions; i++) {
		if (strcmp(w->sessions[i], session) == 0)
			return true;
	}
	return false;
}

bool
identity_allows(const struct identity *id, const char *workspace,
    const char *session, enum identity_role *role_r)
{
	enum identity_role role = id->role;
	bool allowed = id->all_workspaces;
	size_t i;

	for (i = 0; i < id->nworkspaces && !allowed; i++) {
		if (strcmp(id->workspaces[i].id, workspace) != 0)
			continue;
		allowed = workspace_allows(&id->workspaces[i], session);
		role = id->workspaces[i].role;
	}
	if (allowed && role_r != NULL)
		*role_r = role;
	return allowed;
}

/* --- mode none --------------------------------------------------------------- */

static struct identity *
authenticate_none(struct json_value auth, enum chat_error *err_r)
{
	struct claims c = { .user_id = json_member(auth, "userId"),
		.user_name = json_member(auth, "userName"),
		.role = json_member(auth, "role"),
		.workspaces = json_member(auth, "workspaces") };
	struct identity *id;

	if (c.user_id.kind == JSON_KIND_NONE) {
		*err_r = CHAT_E_AUTHENTICATION_REQUIRED;
		return NULL;
	}
	if ((id = claims_identity(&c)) == NULL) {
		*err_r = CHAT_E_TOKEN_INVALID;
		return NULL;
	}
	id->all_workspaces = c.workspaces.kind == JSON_KIND_NONE;
	return id;
}

/* --- mode jwt ------------------------------------------------------------------- */

/* No token: absent, null or empty, as in JavaScript. */
static bool
is_absent(struct json_value v)
{
	return v.kind == JSON_KIND_NONE || v.kind == JSON_KIND_NULL ||
	    (v.kind == JSON_KIND_STRING && json_inside(v).len == 0);
}

static struct identity *
verify(const struct config *cfg, const char *token, size_t len, uint64_t now_ms,
    enum chat_error *err_r)
{
	const char *why;
	struct identity *id;

	id = token_verify(cfg, token, len, now_ms, err_r, &why);
	if (id == NULL)
		log_debug("token refused why=%s", log_text(why, strlen(why)));
	return id;
}

struct identity *
identity_of_token(const struct config *cfg, struct json_value token,
    uint64_t now_ms, enum chat_error *err_r)
{
	struct identity *id;
	size_t size;
	char *copy;
	ssize_t len;

	*err_r = CHAT_E_TOKEN_INVALID;
	if (token.kind != JSON_KIND_STRING)
		return NULL;
	size = json_inside(token).len + 1;
	if ((copy = malloc(size)) == NULL)
		fatalx("out of memory for a token");
	len = json_decode(token, copy, size);
	CHECK(len >= 0);
	id = verify(cfg, copy, (size_t)len, now_ms, err_r);
	free(copy);
	return id;
}

static struct identity *
authenticate_jwt(const struct config *cfg, struct json_value auth,
    const char *bearer, size_t bearer_len, uint64_t now_ms,
    enum chat_error *err_r)
{
	struct json_value token = json_member(auth, "token");

	if (!is_absent(token))
		return identity_of_token(cfg, token, now_ms, err_r);
	if (bearer_len > 0)
		return verify(cfg, bearer, bearer_len, now_ms, err_r);
	*err_r = CHAT_E_AUTHENTICATION_REQUIRED;
	return NULL;
}

struct identity *
identity_authenticate(const struct config *cfg, const char *auth,
    size_t auth_len, const char *bearer, size_t bearer_len, uint64_t now_ms,
    enum chat_error *err_r)
{
	struct json_value v = { JSON_KIND_NONE, { NULL, 0 } };
	const char *why;

	*err_r = CHAT_E_TOKEN_INVALID;
	if (auth_len > 0) {
		if (json_scan(auth, auth_len, AUTH_DEPTH, &why) != JSON_FINE)
			return NULL;
		v = json_value(auth, auth_len);
		if (v.kind != JSON_KIND_OBJECT)
			return NULL;
	}
	if (cfg->auth_mode == AUTH_MODE_NONE)
		return authenticate_none(v, err_r);
	return authenticate_jwt(cfg, v, bearer, bearer_len, now_ms, err_r);
}
