/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * JWK sets.
 */

#include "common/keys_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/param_build.h>

#include "common/base64url.h"
#include "common/json.h"
#include "common/log.h"

#define DEPTH 16
#define KID_MAX 256
/* of a member that is a text */
#define TEXT_MAX 64

/* What becomes of a key of the set. */
enum verdict {
	KEY_FINE,
	/* for something else */
	KEY_LEFT_OUT,
	/* told */
	KEY_WRONG,
};

/* What a member holds, decoded; 'p' NULL: nothing that can be. */
struct bytes {
	uint8_t *p;
	size_t len;
};

static struct bytes
bytes_of(struct json_value jwk, const char *name)
{
	struct json_value v = json_member(jwk, name);
	struct bytes b = { NULL, 0 };
	struct json_span text;
	ssize_t n;

	if (v.kind != JSON_KIND_STRING)
		return b;
	text = json_inside(v);
	if (text.len == 0 || (b.p = malloc(text.len)) == NULL)
		return b;
	/* no character of it needs an escape */
	if ((n = base64url_decode(b.p, text.p, text.len)) <= 0) {
		free(b.p);
		b.p = NULL;
	} else {
		b.len = (size_t)n;
	}
	return b;
}

static void
bytes_free(struct bytes *b)
{
	if (b->p != NULL)
		explicit_bzero(b->p, b->len);
	free(b->p);
	b->p = NULL;
}

/* False and told if it is there and no text, or too long for one of ours. */
static bool
read_text(struct keys_reader *rd, struct json_value jwk, const char *name,
    char buf[TEXT_MAX], bool *has_r)
{
	struct json_value v = json_member(jwk, name);

	buf[0] = '\0';
	*has_r = v.kind != JSON_KIND_NONE;
	if (*has_r && v.kind != JSON_KIND_STRING) {
		keys_wrong(rd, "%s is no string", name);
		return false;
	}
	/* what does not fit is none of those that we know */
	if (*has_r && json_decode(v, buf, TEXT_MAX) == -1)
		(void)snprintf(buf, TEXT_MAX, "?");
	return true;
}

/* --- what it is for ---------------------------------------------------------- */

static enum verdict
check_use(struct keys_reader *rd, struct json_value jwk)
{
	char use[TEXT_MAX];
	bool has;

	if (!read_text(rd, jwk, "use", use, &has))
		return KEY_WRONG;
	if (!has || strcmp(use, "sig") == 0)
		return KEY_FINE;
	keys_note(rd, "left out: its use is %s; sig is for tokens",
	    log_text(use, strlen(use)));
	return KEY_LEFT_OUT;
}

static enum verdict
check_key_ops(struct keys_reader *rd, struct json_value jwk)
{
	struct json_value ops = json_member(jwk, "key_ops"), v;
	struct json_iter it = json_iter(ops);
	bool verifies = false;

	if (ops.kind == JSON_KIND_NONE)
		return KEY_FINE;
	if (ops.kind != JSON_KIND_ARRAY) {
		keys_wrong(rd, "key_ops is no list");
		return KEY_WRONG;
	}
	while (json_next(&it, &v)) {
		if (v.kind != JSON_KIND_STRING) {
			keys_wrong(rd,
			    "key_ops holds something that is no "
			    "string");
			return KEY_WRONG;
		}
		verifies = verifies || json_is(v, "verify");
	}
	if (verifies)
		return KEY_FINE;
	keys_note(rd, "left out: its key_ops do not hold verify");
	return KEY_LEFT_OUT;
}

/* An algorithm of RFC 7518 4 or 5: for encryption. */
static bool
is_for_encryption(const char *alg)
{
	static const char *const begins[] = { "RSA-OAEP", "RSA1_5", "ECDH-ES",
		"A128", "A192", "A256", "PBES2", "dir" };
	size_t i;

	for (i = 0; i < sizeof(begins) / sizeof(begins[0]); i++) {
		if (strncmp(alg, begins[i], strlen(begins[i])) == 0)
			return true;
	}
	return false;
}

/* Once its type is known: its own algorithm is the only one. */
static bool
narrow(struct keys_reader *rd, struct key *k, const char *name)
{
	enum key_alg alg = key_alg_find(name);

	if (alg == KEY_ALG__MAX) {
		keys_wrong(rd,
		    "alg %s is unknown; HS256 and on, RS256 and on, PS256 and "
		    "on, ES256, ES384, ES512 and EdDSA are known",
		    log_text(name, strlen(name)));
		return false;
	}
	if (key_alg_type(alg) != k->type) {
		keys_wrong(rd, "alg %s does not go with a key of type %s", name,
		    key_type_name(k->type));
		return false;
	}
	if ((k->algs & 1U << alg) == 0) {
		keys_wrong(rd,
		    "the secret is too short for %s: it takes at least %u "
		    "bytes",
		    name, key_alg_bits(alg) / 8);
		return false;
	}
	k->algs = 1U << alg;
	return true;
}

/* --- types -------------------------------------------------------------------- */

static EVP_PKEY *
pkey_from(const char *type, OSSL_PARAM_BLD *bld)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(bld);
	EVP_PKEY *pkey = NULL;

	if (ctx == NULL || params == NULL || EVP_PKEY_fromdata_init(ctx) != 1 ||
	    EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params) != 1)
		pkey = NULL;
	OSSL_PARAM_free(params);
	EVP_PKEY_CTX_free(ctx);
	ERR_clear_error();
	return pkey;
}

static EVP_PKEY *
rsa_of(const struct bytes *n, const struct bytes *e)
{
	BIGNUM *bn[2] = { BN_bin2bn(n->p, (int)n->len, NULL),
		BN_bin2bn(e->p, (int)e->len, NULL) };
	OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
	EVP_PKEY *pkey = NULL;

	if (bn[0] == NULL || bn[1] == NULL || bld == NULL)
		fatalx("memory for keys");
	if (OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_N, bn[0]) == 1 &&
	    OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_E, bn[1]) == 1)
		pkey = pkey_from("RSA", bld);
	OSSL_PARAM_BLD_free(bld);
	BN_free(bn[0]);
	BN_free(bn[1]);
	return pkey;
}

static enum verdict
read_rsa(struct keys_reader *rd, struct key *k, struct json_value jwk)
{
	struct bytes n = bytes_of(jwk, "n"), e = bytes_of(jwk, "e");
	EVP_PKEY *pkey = NULL;
	bool there = n.p != NULL && e.p != NULL;

	if (there)
		pkey = rsa_of(&n, &e);
	bytes_free(&n);
	bytes_free(&e);
	if (pkey == NULL) {
		keys_wrong(rd,
		    "an RSA key has n and e, base64url without "
		    "padding");
		return KEY_WRONG;
	}
	return key_of_pkey(rd, k, pkey) ? KEY_FINE : KEY_WRONG;
}

/* The point x, y of the group; NULL if it is none. */
static EVP_PKEY *
ec_of(const char *group, const struct bytes *x, const struct bytes *y)
{
	uint8_t point[1 + 2 * 66];
	OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
	EVP_PKEY *pkey = NULL;

	if (bld == NULL)
		fatalx("memory for keys");
	point[0] = POINT_CONVERSION_UNCOMPRESSED;
	memcpy(point + 1, x->p, x->len);
	memcpy(point + 1 + x->len, y->p, y->len);
	if (OSSL_PARAM_BLD_push_utf8_string(bld, OSSL_PKEY_PARAM_GROUP_NAME,
		group, 0) == 1 &&
	    OSSL_PARAM_BLD_push_octet_string(bld, OSSL_PKEY_PARAM_PUB_KEY,
		point, 1 + x->len + y->len) == 1)
		pkey = pkey_from("EC", bld);
	OSSL_PARAM_BLD_free(bld);
	return pkey;
}

static enum verdict
read_ec(struct keys_reader *rd, struct key *k, struct json_value jwk)
{
	static const struct {
		const char *crv, *group;
		size_t bytes;
	} curves[] = {
		{ "P-256", "prime256v1", 32 },
		{ "P-384", "secp384r1", 48 },
		{ "P-521", "secp521r1", 66 },
	};
	char crv[TEXT_MAX];
	struct bytes x, y;
	EVP_PKEY *pkey = NULL;
	size_t i = 0;
	bool has;

	if (!read_text(rd, jwk, "crv", crv, &has))
		return KEY_WRONG;
	while (i < 3 && strcmp(crv, curves[i].crv) != 0)
		i++;
	if (i == 3) {
		keys_wrong(rd,
		    "crv %s is unknown; an EC key's is P-256, P-384 or P-521",
		    log_text(crv, strlen(crv)));
		return KEY_WRONG;
	}
	x = bytes_of(jwk, "x");
	y = bytes_of(jwk, "y");
	if (x.len == curves[i].bytes && y.len == curves[i].bytes)
		pkey = ec_of(curves[i].group, &x, &y);
	bytes_free(&x);
	bytes_free(&y);
	if (pkey == NULL) {
		keys_wrong(rd,
		    "x and y are no point of %s: each is base64url without "
		    "padding of %zu bytes",
		    curves[i].crv, curves[i].bytes);
		return KEY_WRONG;
	}
	return key_of_pkey(rd, k, pkey) ? KEY_FINE : KEY_WRONG;
}

static enum verdict
read_okp(struct keys_reader *rd, struct key *k, struct json_value jwk)
{
	EVP_PKEY *pkey = NULL;
	char crv[TEXT_MAX];
	struct bytes x;
	bool has;

	if (!read_text(rd, jwk, "crv", crv, &has))
		return KEY_WRONG;
	if (strcmp(crv, "Ed25519") != 0) {
		keys_wrong(rd, "crv %s is unknown; an OKP key's is Ed25519",
		    log_text(crv, strlen(crv)));
		return KEY_WRONG;
	}
	x = bytes_of(jwk, "x");
	if (x.len == 32)
		pkey = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, x.p,
		    x.len);
	bytes_free(&x);
	if (pkey == NULL) {
		keys_wrong(rd,
		    "x of an Ed25519 key is base64url without "
		    "padding of 32 bytes");
		return KEY_WRONG;
	}
	return key_of_pkey(rd, k, pkey) ? KEY_FINE : KEY_WRONG;
}

static enum verdict
read_secret(struct keys_reader *rd, struct key *k, struct json_value jwk)
{
	struct bytes secret = bytes_of(jwk, "k");
	enum verdict v = KEY_WRONG;

	if (secret.p == NULL) {
		keys_wrong(rd, "an oct key has k, base64url without padding");
	} else if (secret.len < KEYS_SECRET_MIN ||
	    secret.len > KEYS_SECRET_MAX) {
		keys_wrong(rd, "a secret of %zu bytes; it has %d to %d",
		    secret.len, KEYS_SECRET_MIN, KEYS_SECRET_MAX);
	} else {
		key_of_secret(k, secret.p, secret.len);
		v = KEY_FINE;
	}
	bytes_free(&secret);
	return v;
}

/* --- one key ------------------------------------------------------------------ */

static bool
check_public(struct keys_reader *rd, struct json_value jwk)
{
	if (json_member(jwk, "d").kind == JSON_KIND_NONE)
		return true;
	keys_wrong(rd,
	    "it is a private key, and only what verifies belongs "
	    "here: leave out d (and p, q, dp, dq, qi), and keep "
	    "the private one where tokens are signed");
	return false;
}

static enum verdict
read_type(struct keys_reader *rd, struct key *k, struct json_value jwk)
{
	static const struct {
		const char *kty;
		enum verdict (*read)(struct keys_reader *rd, struct key *k,
		    struct json_value jwk);
	} types[] = {
		{ "RSA", read_rsa },
		{ "EC", read_ec },
		{ "OKP", read_okp },
		{ "oct", read_secret },
	};
	char kty[TEXT_MAX];
	bool has;
	size_t i;

	if (!read_text(rd, jwk, "kty", kty, &has))
		return KEY_WRONG;
	if (!has) {
		keys_wrong(rd, "it has no kty; RSA, EC, OKP or oct");
		return KEY_WRONG;
	}
	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		if (strcmp(kty, types[i].kty) == 0)
			return types[i].read(rd, k, jwk);
	}
	keys_note(rd,
	    "left out: kty %s is unknown; RSA, EC, OKP and oct are known",
	    log_text(kty, strlen(kty)));
	return KEY_LEFT_OUT;
}

static bool
read_kid(struct keys_reader *rd, struct key *k, struct json_value jwk)
{
	struct json_value v = json_member(jwk, "kid");
	const struct keys *keys = rd->keys;
	size_t i;

	if (v.kind == JSON_KIND_NONE)
		return true;
	if (v.kind != JSON_KIND_STRING || json_inside(v).len == 0 ||
	    (k->kid = malloc(v.text.len)) == NULL ||
	    json_decode(v, k->kid, v.text.len) > KID_MAX) {
		keys_wrong(rd, "its kid is no string of 1 to %d bytes",
		    KID_MAX);
		return false;
	}
	for (i = 0; i < keys->n; i++) {
		if (keys->v[i].kid == NULL ||
		    strcmp(keys->v[i].kid, k->kid) != 0)
			continue;
		keys_wrong(rd,
		    "another key of the set has this kid, which "
		    "is to tell them apart");
		return false;
	}
	return true;
}

static void
name_key(struct keys_reader *rd, size_t number, struct json_value kid)
{
	char text[KID_MAX + 1];
	ssize_t n = -1;

	if (kid.kind == JSON_KIND_STRING)
		n = json_decode(kid, text, sizeof(text));
	if (n > 0)
		(void)snprintf(rd->which, sizeof(rd->which), "key %zu (kid %s)",
		    number, log_text(text, (size_t)n));
	else
		(void)snprintf(rd->which, sizeof(rd->which), "key %zu", number);
}

static enum verdict
read_key(struct keys_reader *rd, struct key *k, struct json_value jwk)
{
	enum verdict v;
	char alg[TEXT_MAX];
	bool has_alg;

	if (jwk.kind != JSON_KIND_OBJECT) {
		keys_wrong(rd, "it is no object");
		return KEY_WRONG;
	}
	/* not even for something else: whoever reads the file could sign */
	if (!check_public(rd, jwk) || !read_text(rd, jwk, "alg", alg, &has_alg))
		return KEY_WRONG;
	if ((v = check_use(rd, jwk)) != KEY_FINE ||
	    (v = check_key_ops(rd, jwk)) != KEY_FINE)
		return v;
	if (has_alg && is_for_encryption(alg)) {
		keys_note(rd, "left out: its alg %s is for encryption", alg);
		return KEY_LEFT_OUT;
	}
	if ((v = read_type(rd, k, jwk)) != KEY_FINE)
		return v;
	if ((has_alg && !narrow(rd, k, alg)) || !read_kid(rd, k, jwk))
		return KEY_WRONG;
	return KEY_FINE;
}

/* --- the set ------------------------------------------------------------------ */

/* Nothing is left: what was a note is wrong now. */
static void
tell_left_out(struct keys_reader *rd, size_t from)
{
	struct keys *keys = rd->keys;

	while (keys->nnotes > from) {
		keys_wrong(rd, "%s", keys->notes[from]);
		free(keys->notes[from]);
		memmove(&keys->notes[from], &keys->notes[from + 1],
		    (keys->nnotes - from - 1) * sizeof(*keys->notes));
		keys->nnotes--;
	}
}

static void
read_keys(struct keys_reader *rd, struct json_value list)
{
	struct json_iter it = json_iter(list);
	size_t number = 0, had = rd->keys->n, notes = rd->keys->nnotes;
	struct json_value jwk;
	enum verdict v;

	while (json_next(&it, &jwk)) {
		struct key k = { .kid = NULL };

		name_key(rd, ++number, json_member(jwk, "kid"));
		v = read_key(rd, &k, jwk);
		if (v != KEY_FINE)
			key_clear(&k);
		else if (!keys_add(rd, &k))
			break;
	}
	rd->which[0] = '\0';
	if (number == 0) {
		keys_wrong(rd, "the set is empty; nobody could be let in");
	} else if (rd->keys->n == had && !rd->failed) {
		tell_left_out(rd, notes);
		keys_wrong(rd, "no key of the set is for verifying tokens");
	}
}

bool
keys_add_jwks(struct keys *keys, const void *text, size_t len, keys_wrong_fn fn,
    void *arg)
{
	struct keys_reader rd = { .keys = keys, .fn = fn, .arg = arg };
	struct json_value set, list;
	const char *why;

	if (json_scan(text, len, DEPTH, &why) != JSON_FINE) {
		keys_wrong(&rd, "it is not JSON: %s", why);
		return false;
	}
	set = json_value(text, len);
	list = json_member(set, "keys");
	if (list.kind == JSON_KIND_ARRAY)
		read_keys(&rd, list);
	else if (json_member(set, "kty").kind != JSON_KIND_NONE)
		keys_wrong(&rd, "it is one JWK; a set is {\"keys\": [it]}");
	else
		keys_wrong(&rd, "it is no JWK set: {\"keys\": [...]}");
	return !rd.failed;
}
