/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * RSA and ECDSA, with their comparisons, are libjose's, HMAC (in a fifth of
 * the time that libjose needs for it) and Ed25519 are libcrypto's.  What they
 * do not look at is refused here, before they see anything: algorithms that
 * the key is not for, extensions (crit, b64), other serializations, base64
 * that is not the one way to write it, signatures of another length.
 */

#include "chat/token.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <jose/cfg.h>
#include <jose/jws.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "chat/claims.h"
#include "common/base64url.h"
#include "common/json.h"
#include "common/keys.h"
#include "common/log.h"

#define TOKEN_DEPTH 16
#define MS_PER_S 1000.0
/* what a double counts exactly */
#define TIME_MAX 9007199254740992.0

/* a client's token makes us try no more than so many */
#define KEYS_TRIED 8
#define ALG_MAX 16
#define KID_MAX 256

struct part {
	const char *p;
	size_t len;
};

/* A token on its way; 'why' is what is wrong about it. */
struct check {
	const struct config *cfg;
	uint64_t now_ms;
	struct part parts[3];
	/* what its header names */
	enum key_alg alg;
	bool has_kid;
	char kid[KID_MAX + 1];
	const char *why;
	enum chat_error err;
};

static bool
refuse(struct check *ck, const char *why)
{
	ck->why = why;
	return false;
}

/* header.payload.signature */
static bool
split(struct check *ck, const char *token, size_t len)
{
	const char *p = token, *end = token + len, *dot;
	struct part *part;
	int i;

	for (i = 0; i < 3; i++) {
		part = &ck->parts[i];
		dot = memchr(p, '.', (size_t)(end - p));
		if ((dot == NULL) != (i == 2))
			return refuse(ck, "not header.payload.signature");
		part->p = p;
		part->len = (size_t)((dot == NULL ? end : dot) - p);
		if (part->len == 0)
			return refuse(ck, "a part is empty");
		/* so that jansson takes it for a text, too */
		if (!base64url_valid(part->p, part->len))
			return refuse(ck, "a part is no base64url");
		p = dot == NULL ? end : dot + 1;
	}
	return true;
}

/* The bytes of a part. */
static uint8_t *
decode(const struct part *part, size_t *len_r)
{
	uint8_t *p;
	ssize_t n;

	if ((p = malloc(part->len)) == NULL)
		fatalx("out of memory for a token");
	n = base64url_decode(p, part->p, part->len);
	CHECK(n > 0);
	*len_r = (size_t)n;
	return p;
}

/* A part's JSON object; *text_r is what its spans point into. */
static bool
decode_object(const struct part *part, char **text_r, struct json_value *v_r)
{
	const char *why;
	size_t len;
	char *p = (char *)decode(part, &len);

	if (json_scan(p, len, TOKEN_DEPTH, &why) != JSON_FINE ||
	    (*v_r = json_value(p, len)).kind != JSON_KIND_OBJECT) {
		free(p);
		return false;
	}
	*text_r = p;
	return true;
}

/* --- the header ------------------------------------------------------------- */

static bool
read_alg(struct check *ck, struct json_value header)
{
	struct json_value v = json_member(header, "alg");
	char name[ALG_MAX];

	if (v.kind != JSON_KIND_STRING)
		return refuse(ck, "alg is missing or no string");
	if (json_decode(v, name, sizeof(name)) == -1 ||
	    (ck->alg = key_alg_find(name)) == KEY_ALG__MAX)
		return refuse(ck,
		    json_is(v, "none") ? "alg is none" : "alg is unknown");
	return true;
}

static bool
read_kid(struct check *ck, struct json_value header)
{
	struct json_value v = json_member(header, "kid");

	ck->has_kid = v.kind != JSON_KIND_NONE;
	if (!ck->has_kid)
		return true;
	if (v.kind != JSON_KIND_STRING)
		return refuse(ck, "kid is no string");
	if (json_decode(v, ck->kid, sizeof(ck->kid)) == -1)
		return refuse(ck, "kid is too long");
	return true;
}

static bool
check_header(struct check *ck)
{
	struct json_value header, typ;
	char *text;
	bool fine;

	if (!decode_object(&ck->parts[0], &text, &header))
		return refuse(ck, "the header is no JSON object");
	typ = json_member(header, "typ");
	if (json_member(header, "crit").kind != JSON_KIND_NONE)
		fine = refuse(ck, "the header has crit");
	else if (json_member(header, "b64").kind != JSON_KIND_NONE)
		fine = refuse(ck, "the header has b64");
	else if (typ.kind != JSON_KIND_NONE && typ.kind != JSON_KIND_STRING)
		fine = refuse(ck, "typ is no string");
	else
		fine = read_alg(ck, header) && read_kid(ck, header);
	free(text);
	return fine;
}

/* --- the signature ------------------------------------------------------------ */

static void
on_jose_error(void *misc, const char *file, int line, uint64_t err,
    const char *fmt, va_list ap)
{
	/* the default writes to stderr what a client can make it write */
}

static json_t *
jwk_of(const struct key *k, const char *alg)
{
	if (k->type == KEY_RSA)
		return json_pack("{s:s,s:s,s:s,s:s}", "kty", "RSA", "alg", alg,
		    "n", k->member[0], "e", k->member[1]);
	return json_pack("{s:s,s:s,s:s,s:s,s:s}", "kty", "EC", "crv",
	    key_type_name(k->type), "alg", alg, "x", k->member[0], "y",
	    k->member[1]);
}

static bool
verify_by_jose(const struct check *ck, const struct key *k)
{
	const struct part *parts = ck->parts;
	jose_cfg_auto_t *jose = NULL;
	json_auto_t *jwk = NULL, *jws = NULL;

	jwk = jwk_of(k, key_alg_name(ck->alg));
	jws = json_pack("{s:s%,s:s%,s:s%}", "protected", parts[0].p,
	    parts[0].len, "payload", parts[1].p, parts[1].len, "signature",
	    parts[2].p, parts[2].len);
	if ((jose = jose_cfg()) == NULL || jwk == NULL || jws == NULL)
		return false;
	jose_cfg_set_err_func(jose, on_jose_error, NULL);
	return jose_jws_ver(jose, jws, NULL, jwk, false);
}

/* Header and payload with the dot between them. */
static const uint8_t *
signed_text(const struct check *ck, size_t *len_r)
{
	const struct part *parts = ck->parts;

	*len_r = (size_t)(parts[1].p + parts[1].len - parts[0].p);
	return (const uint8_t *)parts[0].p;
}

static bool
verify_hmac(const struct check *ck, const struct key *k,
    const uint8_t *signature, size_t len)
{
	const struct part encoded = { k->member[0], strlen(k->member[0]) };
	unsigned bits = key_alg_bits(ck->alg), n = 0;
	const EVP_MD *md = bits == 256 ? EVP_sha256()
	    : bits == 384	       ? EVP_sha384()
				       : EVP_sha512();
	uint8_t mac[EVP_MAX_MD_SIZE], *secret;
	size_t text_len, secret_len;
	const uint8_t *text = signed_text(ck, &text_len);
	bool right;

	secret = decode(&encoded, &secret_len);
	right = HMAC(md, secret, (int)secret_len, text, text_len, mac, &n) !=
		NULL &&
	    n == len && CRYPTO_memcmp(mac, signature, len) == 0;
	OPENSSL_cleanse(secret, secret_len);
	free(secret);
	return right;
}

static bool
verify_ed25519(const struct check *ck, const struct key *k,
    const uint8_t *signature, size_t len)
{
	size_t text_len;
	const uint8_t *text = signed_text(ck, &text_len);
	EVP_MD_CTX *ctx;
	bool right;

	if ((ctx = EVP_MD_CTX_new()) == NULL)
		fatalx("out of memory for a token");
	right = EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, k->pkey) == 1 &&
	    EVP_DigestVerify(ctx, signature, len, text, text_len) == 1;
	EVP_MD_CTX_free(ctx);
	return right;
}

/* The key that its kid names; or, if it names none, those that fit. */
static size_t
find_keys(struct check *ck, const struct key *found[KEYS_TRIED])
{
	const struct keys *keys = ck->cfg->keys;
	const struct key *k;
	size_t i, n = 0;

	for (i = 0; i < keys->n && ck->has_kid; i++) {
		k = &keys->v[i];
		if (k->kid == NULL || strcmp(k->kid, ck->kid) != 0)
			continue;
		if ((k->algs & 1U << ck->alg) == 0) {
			(void)refuse(ck, "the key of this kid is not for alg");
			return 0;
		}
		found[0] = k;
		return 1;
	}
	/* a secret and keys of PEM files have no names to be told by */
	for (i = 0; i < keys->n && n < KEYS_TRIED; i++) {
		k = &keys->v[i];
		if ((k->algs & 1U << ck->alg) != 0 &&
		    (!ck->has_kid || k->kid == NULL))
			found[n++] = k;
	}
	if (n == 0)
		(void)refuse(ck,
		    ck->has_kid ? "no key of this kid" : "no key for alg");
	return n;
}

static bool
verify(const struct check *ck, const struct key *k, const uint8_t *signature,
    size_t len)
{
	switch (k->type) {
	case KEY_SECRET:
		return verify_hmac(ck, k, signature, len);
	case KEY_ED25519:
		return verify_ed25519(ck, k, signature, len);
	default:
		return verify_by_jose(ck, k);
	}
}

static bool
check_signature(struct check *ck)
{
	const struct key *found[KEYS_TRIED];
	size_t i, want, len, n = find_keys(ck, found);
	uint8_t *signature;
	bool right = false;

	if (n == 0)
		return false;
	signature = decode(&ck->parts[2], &len);
	ck->why = "the signature has another length";
	for (i = 0; i < n && !right; i++) {
		want = found[i]->type == KEY_SECRET ? key_alg_bits(ck->alg) / 8
						    : found[i]->signature_len;
		if (len != want)
			continue;
		ck->why = "the signature is wrong";
		right = verify(ck, found[i], signature, len);
	}
	free(signature);
	ERR_clear_error();
	return right;
}

/* --- the claims ---------------------------------------------------------------- */

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
read_times(struct check *ck, struct json_value claims, double *exp_r,
    double *iat_r)
{
	double nbf = 0;
	bool has_exp, has_nbf, has_iat;

	if (!read_time(claims, "exp", exp_r, &has_exp))
		return refuse(ck, "exp is no number");
	if (!has_exp)
		return refuse(ck, "exp is missing");
	if (!read_time(claims, "nbf", &nbf, &has_nbf))
		return refuse(ck, "nbf is no number");
	if (!read_time(claims, "iat", iat_r, &has_iat))
		return refuse(ck, "iat is no number");
	if (has_nbf && (double)ck->now_ms < nbf)
		return refuse(ck, "nbf has not come");
	return true;
}

static bool
check_issuer(struct check *ck, struct json_value iss)
{
	const char *want = ck->cfg->auth_issuer;

	if (want[0] == '\0' || json_is(iss, want))
		return true;
	return refuse(ck,
	    iss.kind == JSON_KIND_STRING ? "iss is another"
					 : "iss is missing or no string");
}

static bool
check_audience(struct check *ck, struct json_value aud)
{
	const char *want = ck->cfg->auth_audience;
	struct json_iter it = json_iter(aud);
	struct json_value v;
	bool found = json_is(aud, want);

	if (aud.kind != JSON_KIND_NONE && aud.kind != JSON_KIND_STRING &&
	    aud.kind != JSON_KIND_ARRAY)
		return refuse(ck, "aud is no string and no list");
	while (aud.kind == JSON_KIND_ARRAY && json_next(&it, &v)) {
		if (v.kind != JSON_KIND_STRING)
			return refuse(ck, "aud holds something but strings");
		found = found || json_is(v, want);
	}
	if (found || want[0] == '\0')
		return true;
	return refuse(ck,
	    aud.kind == JSON_KIND_NONE ? "aud is missing" : "aud is another");
}

static uint64_t
ms_of(double ms)
{
	if (ms <= 0)
		return 0;
	return ms < TIME_MAX ? (uint64_t)ms : (uint64_t)TIME_MAX;
}

static struct identity *
identity_of(struct check *ck, struct json_value claims)
{
	struct claims c = { .user_id = json_member(claims, "sub"),
		.user_name = json_member(claims, "name"),
		.role = json_member(claims, "role"),
		.workspaces = json_member(claims, "workspaces"),
		.token_id = json_member(claims, "jti") };
	double exp = 0, iat = 0;
	struct identity *id;

	if (!read_times(ck, claims, &exp, &iat) ||
	    !check_issuer(ck, json_member(claims, "iss")) ||
	    !check_audience(ck, json_member(claims, "aud")) ||
	    (id = claims_identity_why(&c, &ck->why)) == NULL)
		return NULL;
	if ((double)ck->now_ms >= exp) {
		identity_free(&id);
		ck->err = CHAT_E_TOKEN_EXPIRED;
		(void)refuse(ck, "exp is over");
		return NULL;
	}
	id->expires_ms = ms_of(exp);
	id->issued_ms = ms_of(iat);
	return id;
}

static struct identity *
check_claims(struct check *ck)
{
	struct json_value claims;
	struct identity *id;
	char *text;

	if (!decode_object(&ck->parts[1], &text, &claims)) {
		(void)refuse(ck, "the payload is no JSON object");
		return NULL;
	}
	id = identity_of(ck, claims);
	free(text);
	return id;
}

struct identity *
token_verify(const struct config *cfg, const char *token, size_t len,
    uint64_t now_ms, enum chat_error *err_r, const char **why_r)
{
	struct check ck = { .cfg = cfg,
		.now_ms = now_ms,
		.err = CHAT_E_TOKEN_INVALID };
	struct identity *id = NULL;

	if (cfg->keys == NULL || cfg->keys->n == 0) {
		ck.err = CHAT_E_AUTH_UNAVAILABLE;
		ck.why = "there are no keys";
	} else if (len > TOKEN_MAX) {
		ck.why = "it is too long";
	} else if (split(&ck, token, len) && check_header(&ck) &&
	    check_signature(&ck)) {
		/* nothing of the payload is looked at before its signature */
		id = check_claims(&ck);
	}
	if (id == NULL) {
		*err_r = ck.err;
		*why_r = ck.why;
	}
	return id;
}
