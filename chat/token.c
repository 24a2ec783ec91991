/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * The HMAC and its comparison in constant time are libjose's; what it does
 * not look at is refused here, before it sees anything: other algorithms
 * than the three, extensions (crit, b64), other serializations, base64 that
 * is not the one way to write it, a secret shorter than the hash.
 */

#include "chat/token.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <jose/b64.h>
#include <jose/cfg.h>
#include <jose/jws.h>

#include "chat/claims.h"
#include "common/json.h"
#include "common/log.h"

#define TOKEN_DEPTH 16
#define MS_PER_S 1000.0
/* what a double counts exactly */
#define TIME_MAX 9007199254740992.0

static const struct {
	const char *name;
	/* of the hash */
	size_t bytes;
} algorithms[] = {
	{ "HS256", 32 },
	{ "HS384", 48 },
	{ "HS512", 64 },
};

struct part {
	const char *p;
	size_t len;
};

static int
base64url_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '-')
		return 62;
	return c == '_' ? 63 : -1;
}

/* No padding, no blanks, no bits left over: one text for one content. */
static bool
is_base64url(struct part part)
{
	size_t i;
	int last;

	if (part.len == 0 || part.len % 4 == 1)
		return false;
	for (i = 0; i < part.len; i++) {
		if (base64url_value(part.p[i]) == -1)
			return false;
	}
	last = base64url_value(part.p[part.len - 1]);
	if (part.len % 4 == 2)
		return (last & 15) == 0;
	return part.len % 4 == 0 || (last & 3) == 0;
}

/* header.payload.signature */
static bool
split(const char *token, size_t len, struct part parts[3])
{
	const char *p = token, *end = token + len, *dot;
	int i;

	for (i = 0; i < 3; i++) {
		dot = memchr(p, '.', (size_t)(end - p));
		if ((dot == NULL) != (i == 2))
			return false;
		parts[i].p = p;
		parts[i].len = (size_t)((dot == NULL ? end : dot) - p);
		if (!is_base64url(parts[i]))
			return false;
		p = dot == NULL ? end : dot + 1;
	}
	return true;
}

/* A part's JSON object; *text_r is what its spans point into. */
static bool
decode(struct part part, char **text_r, struct json_value *v_r)
{
	const char *why;
	size_t len;
	char *p;

	if ((p = malloc(part.len)) == NULL)
		fatalx("out of memory for a token");
	len = jose_b64_dec_buf(part.p, part.len, p, part.len);
	if (len == SIZE_MAX ||
	    json_scan(p, len, TOKEN_DEPTH, &why) != JSON_FINE) {
		free(p);
		return false;
	}
	*v_r = json_value(p, len);
	*text_r = p;
	return true;
}

/* The algorithm that the header names, if all of the header is fine. */
static const char *
check_header(struct json_value header, size_t secret_len)
{
	struct json_value alg = json_member(header, "alg");
	struct json_value typ = json_member(header, "typ");
	size_t i;

	if (header.kind != JSON_KIND_OBJECT ||
	    json_member(header, "crit").kind != JSON_KIND_NONE ||
	    json_member(header, "b64").kind != JSON_KIND_NONE ||
	    (typ.kind != JSON_KIND_NONE && typ.kind != JSON_KIND_STRING))
		return NULL;
	for (i = 0; i < sizeof(algorithms) / sizeof(algorithms[0]); i++) {
		if (json_is(alg, algorithms[i].name))
			return secret_len >= algorithms[i].bytes
			    ? algorithms[i].name
			    : NULL;
	}
	return NULL;
}

static void
on_jose_error(void *misc, const char *file, int line, uint64_t err,
    const char *fmt, va_list ap)
{
	/* the default writes to stderr what a client can make it write */
}

static bool
check_signature(const struct config *cfg, const char *alg,
    const struct part parts[3])
{
	jose_cfg_auto_t *jose = NULL;
	json_auto_t *jwk = NULL, *jws = NULL, *secret = NULL;

	secret = jose_b64_enc(cfg->auth_secret, cfg->auth_secret_len);
	jwk = json_pack("{s:s,s:s,s:O}", "kty", "oct", "alg", alg, "k", secret);
	jws = json_pack("{s:s%,s:s%,s:s%}", "protected", parts[0].p,
	    parts[0].len, "payload", parts[1].p, parts[1].len, "signature",
	    parts[2].p, parts[2].len);
	if ((jose = jose_cfg()) == NULL || jwk == NULL || jws == NULL)
		fatalx("out of memory for a token");
	jose_cfg_set_err_func(jose, on_jose_error, NULL);
	return jose_jws_ver(jose, jws, NULL, jwk, false);
}

/* A member that, if it is there, must be a number. */
static bool
read_time(struct json_value claims, const char *key, double *ms_r, bool *has_r)
{
	struct json_value v = json_member(claims, key);
	double d;

	*has_r = v.kind != JSON_KIND_NONE;
	if (!*has_r)
		return true;
	if (!json_to_double(v, &d))
		return false;
	*ms_r = d * MS_PER_S;
	return true;
}

static bool
check_audience(struct json_value aud, const char *want)
{
	struct json_iter it = json_iter(aud);
	struct json_value v;
	bool found = json_is(aud, want);

	if (aud.kind != JSON_KIND_NONE && aud.kind != JSON_KIND_STRING &&
	    aud.kind != JSON_KIND_ARRAY)
		return false;
	while (aud.kind == JSON_KIND_ARRAY && json_next(&it, &v)) {
		if (v.kind != JSON_KIND_STRING)
			return false;
		found = found || json_is(v, want);
	}
	return found || want[0] == '\0';
}

static struct identity *
check_claims(const struct config *cfg, struct json_value claims,
    uint64_t now_ms, enum chat_error *err_r)
{
	struct claims c = { .user_id = json_member(claims, "sub"),
		.user_name = json_member(claims, "name"),
		.role = json_member(claims, "role"),
		.workspaces = json_member(claims, "workspaces") };
	double exp = 0, nbf = 0, iat, now = (double)now_ms;
	bool has_exp, has_nbf, has_iat;
	struct identity *id;

	if (claims.kind != JSON_KIND_OBJECT ||
	    !read_time(claims, "exp", &exp, &has_exp) || !has_exp ||
	    !read_time(claims, "nbf", &nbf, &has_nbf) ||
	    !read_time(claims, "iat", &iat, &has_iat) ||
	    (has_nbf && now < nbf) ||
	    (cfg->auth_issuer[0] != '\0' &&
		!json_is(json_member(claims, "iss"), cfg->auth_issuer)) ||
	    !check_audience(json_member(claims, "aud"), cfg->auth_audience) ||
	    (id = claims_identity(&c)) == NULL)
		return NULL;
	if (now >= exp) {
		identity_free(&id);
		*err_r = CHAT_E_TOKEN_EXPIRED;
		return NULL;
	}
	id->expires_ms = exp < TIME_MAX ? (uint64_t)exp : (uint64_t)TIME_MAX;
	return id;
}

struct identity *
token_verify(const struct config *cfg, const char *token, size_t len,
    uint64_t now_ms, enum chat_error *err_r)
{
	struct part parts[3];
	struct json_value header, claims;
	struct identity *id = NULL;
	char *header_text = NULL, *claims_text = NULL;
	const char *alg;

	if (cfg->auth_secret == NULL) {
		*err_r = CHAT_E_AUTH_UNAVAILABLE;
		return NULL;
	}
	*err_r = CHAT_E_TOKEN_INVALID;
	if (len > TOKEN_MAX || !split(token, len, parts))
		return NULL;
	/* nothing of the payload is looked at before its signature */
	if (decode(parts[0], &header_text, &header) &&
	    (alg = check_header(header, cfg->auth_secret_len)) != NULL &&
	    check_signature(cfg, alg, parts) &&
	    decode(parts[1], &claims_text, &claims))
		id = check_claims(cfg, claims, now_ms, err_r);
	free(header_text);
	free(claims_text);
	return id;
}
