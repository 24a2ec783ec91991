/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * token_fixture - sets of keys for tests, and tokens that are signed as the
 * test wants it, with libcrypto and not with what checks them.
 */

#ifndef TOKEN_FIXTURE_H
#define TOKEN_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/bio.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "chat/identity.h"
#include "chat/token.h"
#include "common/base64url.h"
#include "common/keys.h"
#include "tests/unit/token_keys.h"

#define UNUSED __attribute__((unused))
#define NOW_MS 1700000000000ULL
#define CLAIMS "{\"sub\":\"ada\",\"exp\":1700003600}"

static char nothing[] = "";

static void
on_wrong(void *arg, const char *text)
{
	fail_msg("a key is refused: %s", text);
}

static UNUSED struct config
config_with(struct keys *keys)
{
	struct config cfg = { .auth_mode = AUTH_MODE_JWT,
		.auth_issuer = nothing,
		.auth_audience = nothing,
		.keys = keys };

	return cfg;
}

/* {"keys":[...]} of JWKs with commas between them. */
static UNUSED struct keys *
keys_of_jwks(const char *jwks)
{
	struct keys *keys = keys_new();
	char *text;

	assert_true(asprintf(&text, "{\"keys\":[%s]}", jwks) > 0);
	assert_true(keys_add_jwks(keys, text, strlen(text), on_wrong, NULL));
	free(text);
	return keys;
}

static UNUSED struct keys *
keys_of_pem(const char *pem)
{
	struct keys *keys = keys_new();

	assert_true(keys_add_pem(keys, pem, strlen(pem), on_wrong, NULL));
	return keys;
}

/* --- signing ------------------------------------------------------------------ */

/* How; members that are 0 are as they should be. */
struct how {
	/* HMAC */
	const void *secret;
	size_t secret_len;
	/* others */
	const char *pem;
	const EVP_MD *(*md)(void);
	bool pss;
	/* of PSS: bytes, or RSA_PSS_SALTLEN_...; 0 is as it should be */
	int salt;
	bool no_salt;
	/* of EC: as DER, not as r and s */
	bool der;
	/* of EC: bytes of r, and of s */
	size_t half;
};

static size_t
sign_hmac(const struct how *how, const char *text, uint8_t *out)
{
	unsigned len;

	assert_non_null(HMAC(how->md(), how->secret, (int)how->secret_len,
	    (const uint8_t *)text, strlen(text), out, &len));
	return len;
}

/* From DER to r and s. */
static size_t
raw_of(const struct how *how, const uint8_t *der, size_t len, uint8_t *out)
{
	ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &der, (long)len);

	assert_non_null(sig);
	assert_true(
	    BN_bn2binpad(ECDSA_SIG_get0_r(sig), out, (int)how->half) > 0);
	assert_true(BN_bn2binpad(ECDSA_SIG_get0_s(sig), out + how->half,
			(int)how->half) > 0);
	ECDSA_SIG_free(sig);
	return 2 * how->half;
}

static void
set_padding(const struct how *how, EVP_PKEY_CTX *pctx)
{
	int salt = how->salt == 0 ? RSA_PSS_SALTLEN_DIGEST : how->salt;

	if (!how->pss)
		return;
	assert_true(
	    EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING) > 0);
	assert_true(EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx,
			how->no_salt ? 0 : salt) > 0);
}

static size_t
sign_key(const struct how *how, const char *text, uint8_t *out, size_t size)
{
	BIO *bio = BIO_new_mem_buf(how->pem, -1);
	EVP_PKEY *pkey = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY_CTX *pctx;
	uint8_t der[200];

	assert_non_null(pkey);
	assert_int_equal(EVP_DigestSignInit(ctx, &pctx,
			     how->md == NULL ? NULL : how->md(), NULL, pkey),
	    1);
	set_padding(how, pctx);
	assert_int_equal(EVP_DigestSign(ctx, out, &size, (const uint8_t *)text,
			     strlen(text)),
	    1);
	if (how->half > 0 && !how->der) {
		memcpy(der, out, size);
		size = raw_of(how, der, size, out);
	}
	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(pkey);
	BIO_free(bio);
	return size;
}

static void
put_base64url(char **at, const void *p, size_t len)
{
	base64url_encode(*at, p, len);
	*at += base64url_size(len);
}

/* A token with these bytes behind it. */
static UNUSED char *
token_of(const char *header, const char *claims, const void *signature,
    size_t len)
{
	char *t = calloc(1, 2 * (strlen(header) + strlen(claims) + len) + 20);
	char *at = t;

	assert_non_null(t);
	put_base64url(&at, header, strlen(header));
	*at++ = '.';
	put_base64url(&at, claims, strlen(claims));
	*at++ = '.';
	put_base64url(&at, signature, len);
	return t;
}

static UNUSED char *
token_signed(const char *header, const char *claims, const struct how *how)
{
	uint8_t sig[1200];
	char *text = token_of(header, claims, "", 0), *t;
	size_t len;

	text[strlen(text) - 1] = '\0';
	len = how->secret != NULL ? sign_hmac(how, text, sig)
				  : sign_key(how, text, sig, sizeof(sig));
	t = token_of(header, claims, sig, len);
	free(text);
	return t;
}

/* --- verdicts ----------------------------------------------------------------- */

static const char *why;

static UNUSED struct identity *
verify(const struct config *cfg, const char *t, enum chat_error *err)
{
	size_t len = strlen(t);
	char *copy = malloc(len == 0 ? 1 : len);
	struct identity *id;

	assert_non_null(copy);
	memcpy(copy, t, len);
	*err = CHAT_OK;
	why = NULL;
	id = token_verify(cfg, copy, len, NOW_MS, err, &why);
	assert_int_equal(id == NULL, *err != CHAT_OK);
	assert_int_equal(id == NULL, why != NULL);
	free(copy);
	return id;
}

static UNUSED void
assert_accepted(const struct config *cfg, char *t, const char *what)
{
	enum chat_error err;
	struct identity *id = verify(cfg, t, &err);

	if (id == NULL)
		fail_msg("%s: refused: %s: %s", what, chat_error_code(err),
		    why);
	identity_free(&id);
	free(t);
}

/* Refused, and for nothing but this. */
static UNUSED void
assert_refused(const struct config *cfg, char *t, enum chat_error want,
    const char *because, const char *what)
{
	enum chat_error err;
	struct identity *id = verify(cfg, t, &err);

	if (id != NULL)
		fail_msg("%s: let in", what);
	if (err != want || strcmp(why, because) != 0)
		fail_msg("%s: %s: %s; not %s: %s", what, chat_error_code(err),
		    why, chat_error_code(want), because);
	free(t);
}

static UNUSED void
assert_invalid(const struct config *cfg, char *t, const char *because,
    const char *what)
{
	assert_refused(cfg, t, CHAT_E_TOKEN_INVALID, because, what);
}

/* Refused, whatever for. */
static UNUSED void
assert_not_accepted(const struct config *cfg, char *t)
{
	enum chat_error err;

	assert_null(verify(cfg, t, &err));
	assert_int_equal(err, CHAT_E_TOKEN_INVALID);
	free(t);
}

#endif /* TOKEN_FIXTURE_H */
