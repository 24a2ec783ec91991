/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * sign - a token's text and its signature, by libcrypto.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "chatctl/token.h"
#include "common/base64url.h"
#include "common/json.h"
#include "common/strbuf.h"

/* of an RSA key of 16384 bits; they are not taken, but may be tried */
#define SIGNATURE_MAX 2048

/* ------------------------------------------------------------------ */
/* What is signed. */

static void
add_base64url(struct strbuf *sb, const void *bytes, size_t len)
{
	char text[4];
	const char *p = bytes;
	size_t n;

	for (; len > 0; p += n, len -= n) {
		n = len < 3 ? len : 3;
		base64url_encode(text, p, n);
		sb_add(sb, text, base64url_size(n));
	}
}

static void
put_text(struct json_out *o, const char *key, const char *text)
{
	if (text == NULL || text[0] == '\0')
		return;
	json_out_key(o, key);
	json_out_cstring(o, text);
}

static void
put_time(struct json_out *o, const char *key, int64_t seconds)
{
	json_out_key(o, key);
	json_out_i64(o, seconds);
}

static void
put_header(struct json_out *o, const struct token *t)
{
	json_out_object(o);
	put_text(o, "alg", key_alg_name(t->alg));
	put_text(o, "typ", "JWT");
	put_text(o, "kid", t->kid);
	json_out_object_end(o);
}

static void
put_workspace(struct json_out *o, const struct token_workspace *w)
{
	if (w->nsessions == 0) {
		json_out_cstring(o, w->id);
		return;
	}
	json_out_object(o);
	put_text(o, "id", w->id);
	json_out_key(o, "sessions");
	json_out_array(o);
	for (unsigned i = 0; i < w->nsessions; i++)
		json_out_cstring(o, w->sessions[i]);
	json_out_array_end(o);
	json_out_object_end(o);
}

static void
put_claims(struct json_out *o, const struct token *t)
{
	json_out_object(o);
	put_text(o, "jti", t->id);
	put_text(o, "sub", t->user);
	put_text(o, "name", t->name);
	put_text(o, "role", t->role);
	json_out_key(o, "workspaces");
	json_out_array(o);
	for (unsigned i = 0; i < t->nworkspaces; i++)
		put_workspace(o, &t->workspaces[i]);
	json_out_array_end(o);
	put_text(o, "iss", t->issuer);
	put_text(o, "aud", t->audience);
	put_time(o, "iat", t->issued);
	if (t->not_before != 0)
		put_time(o, "nbf", t->not_before);
	put_time(o, "exp", t->expires);
	json_out_object_end(o);
}

/* Header and claims with the point between them; -1: no memory. */
static int
put_unsigned(const struct token *t, struct strbuf *sb)
{
	struct json_out o = { 0 };
	int rc;

	put_header(&o, t);
	if (!o.failed) {
		add_base64url(sb, o.p, o.len);
		sb_addc(sb, '.');
		json_out_reset(&o);
		put_claims(&o, t);
	}
	if (!o.failed)
		add_base64url(sb, o.p, o.len);
	rc = o.failed ? -1 : 0;
	json_out_clear(&o);
	return rc;
}

/* ------------------------------------------------------------------ */
/* How. */

static const EVP_MD *
hash_of(enum key_alg alg)
{
	switch (key_alg_bits(alg)) {
	case 256:
		return EVP_sha256();
	case 384:
		return EVP_sha384();
	case 512:
		return EVP_sha512();
	}
	return NULL;
}

static bool
is_pss(enum key_alg alg)
{
	return alg == KEY_PS256 || alg == KEY_PS384 || alg == KEY_PS512;
}

/* From DER to r and s, each as long as the field; 0: that failed. */
static size_t
raw_of(enum key_type type, const unsigned char *der, size_t len,
    unsigned char *raw)
{
	size_t half = type == KEY_P256 ? 32 : type == KEY_P384 ? 48 : 66;
	ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &der, (long)len);
	size_t n = 0;

	if (sig != NULL &&
	    BN_bn2binpad(ECDSA_SIG_get0_r(sig), raw, (int)half) > 0 &&
	    BN_bn2binpad(ECDSA_SIG_get0_s(sig), raw + half, (int)half) > 0)
		n = 2 * half;
	ECDSA_SIG_free(sig);
	return n;
}

/* The length of what 'out' holds then; 0: it failed. */
static size_t
sign_by_key(enum key_alg alg, EVP_PKEY *pkey, const struct strbuf *sb,
    unsigned char out[SIGNATURE_MAX])
{
	enum key_type type = key_alg_type(alg);
	unsigned char der[SIGNATURE_MAX];
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY_CTX *pctx;
	size_t len = sizeof(der);
	bool fine;

	fine = ctx != NULL &&
	    EVP_DigestSignInit(ctx, &pctx, hash_of(alg), NULL, pkey) == 1 &&
	    (!is_pss(alg) ||
		(EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING) >
			0 &&
		    EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx,
			RSA_PSS_SALTLEN_DIGEST) > 0)) &&
	    EVP_DigestSign(ctx, der, &len, (const unsigned char *)sb->data,
		sb->len) == 1;
	EVP_MD_CTX_free(ctx);
	if (!fine)
		return 0;
	if (type == KEY_P256 || type == KEY_P384 || type == KEY_P521)
		return raw_of(type, der, len, out);
	memcpy(out, der, len);
	return len;
}

int
token_sign(const struct token *t, const struct token_key *key,
    struct strbuf *sb)
{
	unsigned char out[SIGNATURE_MAX];
	unsigned maclen = 0;
	size_t len;

	if (put_unsigned(t, sb) == -1)
		return -1;
	if (key->pkey != NULL)
		len = sign_by_key(t->alg, key->pkey, sb, out);
	else
		len = HMAC(hash_of(t->alg), key->secret, (int)key->secret_len,
			  (const unsigned char *)sb->data, sb->len, out,
			  &maclen) == NULL
		    ? 0
		    : maclen;
	ERR_clear_error();
	if (len == 0)
		return -1;
	sb_addc(sb, '.');
	add_base64url(sb, out, len);
	return 0;
}

/* ------------------------------------------------------------------ */
/* Keys. */

/* Nobody is asked. */
static int
no_passphrase(char *buf, int size, int rwflag, void *arg)
{
	return -1;
}

/* KEY_ALG__MAX if it is none that we know. */
static enum key_alg
usual_alg(const EVP_PKEY *pkey)
{
	static const struct {
		const char *group;
		enum key_alg alg;
	} groups[] = { { "prime256v1", KEY_ES256 }, { "secp384r1", KEY_ES384 },
		{ "secp521r1", KEY_ES512 } };
	char group[64] = "";
	size_t len;

	if (EVP_PKEY_is_a(pkey, "RSA"))
		return KEY_RS256;
	if (EVP_PKEY_is_a(pkey, "ED25519"))
		return KEY_EDDSA;
	if (EVP_PKEY_is_a(pkey, "EC"))
		(void)EVP_PKEY_get_group_name(pkey, group, sizeof(group), &len);
	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++)
		if (strcmp(group, groups[i].group) == 0)
			return groups[i].alg;
	return KEY_ALG__MAX;
}

struct evp_pkey_st *
token_key_load(const char *path, enum key_alg *alg_r, const char **why_r)
{
	EVP_PKEY *pkey;
	FILE *fp;

	if ((fp = fopen(path, "re")) == NULL) {
		*why_r = "it cannot be opened";
		return NULL;
	}
	pkey = PEM_read_PrivateKey(fp, NULL, no_passphrase, NULL);
	(void)fclose(fp);
	ERR_clear_error();
	if (pkey == NULL) {
		*why_r = "it holds no private key in PEM, or one with a "
			 "passphrase";
		return NULL;
	}
	if ((*alg_r = usual_alg(pkey)) == KEY_ALG__MAX) {
		*why_r = "the key is none of RSA, EC (P-256, P-384, P-521) "
			 "and Ed25519";
		EVP_PKEY_free(pkey);
		return NULL;
	}
	return pkey;
}

const char *
token_key_misfit(enum key_alg alg, const struct token_key *key)
{
	if (key->pkey == NULL && key_alg_type(alg) != KEY_SECRET)
		return "it takes a private key: use --key-file";
	if (key->pkey == NULL)
		return key->secret_len < key_alg_bits(alg) / 8
		    ? "the secret is shorter than its hash"
		    : NULL;
	return key_alg_type(alg) == key_alg_type(usual_alg(key->pkey))
	    ? NULL
	    : "the key is of another type";
}
