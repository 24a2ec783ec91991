/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "chat/webhook.h"

#include <stdlib.h>
#include <string.h>

#include "chat/claims.h"
#include "chat/token.h"
#include "common/json.h"
#include "common/log.h"

/* of an auth payload; the reference takes any */
#define AUTH_DEPTH 32
#define CLAIMS_DEPTH 16
/* what a double counts exactly */
#define TIME_MAX 9007199254740992.0

/* --- the token ------------------------------------------------------------- */

static char *
keep(size_t size)
{
	char *p;

	if ((p = malloc(size)) == NULL)
		fatalx("out of memory for a token");
	return p;
}

void
webhook_token_free(char **token, size_t len)
{
	if (*token != NULL)
		explicit_bzero(*token, len);
	free(*token);
	*token = NULL;
}

char *
webhook_token_of(struct json_value v, size_t *len_r)
{
	size_t size = json_inside(v).len + 1;
	ssize_t len;
	char *p;

	/* an escape takes six bytes at most for one */
	if (v.kind != JSON_KIND_STRING || size > TOKEN_MAX * 6 + 1)
		return NULL;
	p = keep(size);
	len = json_decode(v, p, size);
	CHECK(len >= 0);
	*len_r = (size_t)len;
	if (*len_r > TOKEN_MAX)
		webhook_token_free(&p, size);
	return p;
}

/* No token: absent, null or empty, as in JavaScript. */
static bool
is_absent(struct json_value v)
{
	return v.kind == JSON_KIND_NONE || v.kind == JSON_KIND_NULL ||
	    (v.kind == JSON_KIND_STRING && json_inside(v).len == 0);
}

char *
webhook_token(const char *auth, size_t auth_len, const char *bearer,
    size_t bearer_len, size_t *len_r, enum chat_error *err_r)
{
	struct json_value v = { JSON_KIND_NONE, { NULL, 0 } };
	const char *why;
	char *p;

	*err_r = CHAT_E_TOKEN_INVALID;
	if (auth_len > 0) {
		if (json_scan(auth, auth_len, AUTH_DEPTH, &why) != JSON_FINE)
			return NULL;
		v = json_value(auth, auth_len);
		if (v.kind != JSON_KIND_OBJECT)
			return NULL;
	}
	v = json_member(v, "token");
	if (!is_absent(v))
		return webhook_token_of(v, len_r);
	if (bearer_len == 0)
		*err_r = CHAT_E_AUTHENTICATION_REQUIRED;
	if (bearer_len == 0 || bearer_len > TOKEN_MAX)
		return NULL;
	p = keep(bearer_len + 1);
	memcpy(p, bearer, bearer_len);
	p[bearer_len] = '\0';
	*len_r = bearer_len;
	return p;
}

/* --- the answer ------------------------------------------------------------ */

/* Absent: never. */
static bool
read_expiry(struct json_value v, uint64_t *ms_r)
{
	double d;

	*ms_r = 0;
	if (v.kind == JSON_KIND_NONE)
		return true;
	if (!json_to_double(v, &d) || d < 1)
		return false;
	*ms_r = d < TIME_MAX ? (uint64_t)d : (uint64_t)TIME_MAX;
	return true;
}

struct identity *
webhook_identity(const char *claims, size_t len, uint64_t now_ms,
    enum chat_error *err_r)
{
	struct identity *id = NULL;
	struct json_value v;
	const char *why;
	uint64_t expires_ms = 0;

	*err_r = CHAT_E_AUTH_UNAVAILABLE;
	if (json_scan(claims, len, CLAIMS_DEPTH, &why) != JSON_FINE)
		return NULL;
	v = json_value(claims, len);
	if (v.kind == JSON_KIND_OBJECT &&
	    read_expiry(json_member(v, "expiresAt"), &expires_ms)) {
		const struct claims c = {
			.user_id = json_member(v, "userId"),
			.user_name = json_member(v, "userName"),
			.role = json_member(v, "role"),
			.workspaces = json_member(v, "workspaces"),
		};

		id = claims_identity(&c);
	}
	if (id == NULL)
		return NULL;
	id->expires_ms = expires_ms;
	/* it says so just now: what was revoked before is its affair */
	id->issued_ms = now_ms;
	if (expires_ms != 0 && now_ms >= expires_ms) {
		*err_r = CHAT_E_TOKEN_EXPIRED;
		identity_free(&id);
	}
	return id;
}
