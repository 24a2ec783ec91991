/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "common/keys_impl.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>

#include "common/base64url.h"
#include "common/log.h"

/* what takes longer to verify is somebody's joke */
#define RSA_MIN 2048
#define RSA_MAX 8192
#define EXPONENT_BITS_MAX 64
#define MEMBER_MAX (RSA_MAX / 8)

static const struct {
	const char *name;
	enum key_type type;
	unsigned bits;
} algs[KEY_ALG__MAX] = {
	[KEY_HS256] = { "HS256", KEY_SECRET, 256 },
	[KEY_HS384] = { "HS384", KEY_SECRET, 384 },
	[KEY_HS512] = { "HS512", KEY_SECRET, 512 },
	[KEY_RS256] = { "RS256", KEY_RSA, 256 },
	[KEY_RS384] = { "RS384", KEY_RSA, 384 },
	[KEY_RS512] = { "RS512", KEY_RSA, 512 },
	[KEY_PS256] = { "PS256", KEY_RSA, 256 },
	[KEY_PS384] = { "PS384", KEY_RSA, 384 },
	[KEY_PS512] = { "PS512", KEY_RSA, 512 },
	[KEY_ES256] = { "ES256", KEY_P256, 256 },
	[KEY_ES384] = { "ES384", KEY_P384, 384 },
	[KEY_ES512] = { "ES512", KEY_P521, 512 },
	[KEY_EDDSA] = { "EdDSA", KEY_ED25519, 0 },
};

static const char *const type_names[KEY_TYPE__MAX] = {
	[KEY_SECRET] = "a secret",
	[KEY_RSA] = "RSA",
	[KEY_P256] = "P-256",
	[KEY_P384] = "P-384",
	[KEY_P521] = "P-521",
	[KEY_ED25519] = "Ed25519",
};

const char *
key_alg_name(enum key_alg alg)
{
	return algs[alg].name;
}

enum key_alg
key_alg_find(const char *name)
{
	unsigned i;

	for (i = 0; i < KEY_ALG__MAX; i++) {
		if (strcmp(name, algs[i].name) == 0)
			break;
	}
	return (enum key_alg)i;
}

const char *
key_type_name(enum key_type type)
{
	return type_names[type];
}

enum key_type
key_alg_type(enum key_alg alg)
{
	return algs[alg].type;
}

unsigned
key_alg_bits(enum key_alg alg)
{
	return algs[alg].bits;
}

unsigned
key_type_algs(enum key_type type)
{
	unsigned i, set = 0;

	for (i = 0; i < KEY_ALG__MAX; i++) {
		if (algs[i].type == type)
			set |= 1U << i;
	}
	return set;
}

/* --- the set --------------------------------------------------------------- */

struct keys *
keys_new(void)
{
	struct keys *keys;

	if ((keys = calloc(1, sizeof(*keys))) == NULL)
		fatal("memory for keys");
	return keys;
}

void
key_clear(struct key *k)
{
	unsigned i;

	for (i = 0; i < 2; i++) {
		if (k->member[i] != NULL)
			explicit_bzero(k->member[i], strlen(k->member[i]));
		free(k->member[i]);
	}
	free(k->kid);
	EVP_PKEY_free(k->pkey);
	memset(k, 0, sizeof(*k));
}

void
keys_free(struct keys **keysp)
{
	struct keys *keys = *keysp;
	size_t i;

	if (keys == NULL)
		return;
	for (i = 0; i < keys->n; i++)
		key_clear(&keys->v[i]);
	for (i = 0; i < keys->nnotes; i++)
		free(keys->notes[i]);
	free(keys->notes);
	free(keys->v);
	free(keys);
	*keysp = NULL;
}

bool
keys_add(struct keys_reader *rd, struct key *k)
{
	struct keys *keys = rd->keys;

	if (keys->n == KEYS_MAX) {
		keys_wrong(rd, "there are more than %d keys", KEYS_MAX);
		key_clear(k);
		return false;
	}
	keys->v = reallocarray(keys->v, keys->n + 1, sizeof(*keys->v));
	if (keys->v == NULL)
		fatal("memory for keys");
	keys->v[keys->n++] = *k;
	return true;
}

static void say(struct keys_reader *rd, char *buf, size_t size, const char *fmt,
    va_list ap) __attribute__((format(printf, 4, 0)));

static void
say(struct keys_reader *rd, char *buf, size_t size, const char *fmt, va_list ap)
{
	int n = 0;

	if (rd->which[0] != '\0')
		n = snprintf(buf, size, "%s: ", rd->which);
	if (n >= 0 && (size_t)n < size)
		(void)vsnprintf(buf + n, size - (size_t)n, fmt, ap);
}

void
keys_wrong(struct keys_reader *rd, const char *fmt, ...)
{
	char text[700];
	va_list ap;

	rd->failed = true;
	if (rd->fn == NULL)
		return;
	va_start(ap, fmt);
	say(rd, text, sizeof(text), fmt, ap);
	va_end(ap);
	rd->fn(rd->arg, text);
}

void
keys_add_note(struct keys *keys, const char *text)
{
	keys->notes =
	    reallocarray(keys->notes, keys->nnotes + 1, sizeof(*keys->notes));
	if (keys->notes == NULL ||
	    (keys->notes[keys->nnotes] = strdup(text)) == NULL)
		fatal("memory for keys");
	keys->nnotes++;
}

void
keys_note(struct keys_reader *rd, const char *fmt, ...)
{
	char text[700];
	va_list ap;

	va_start(ap, fmt);
	say(rd, text, sizeof(text), fmt, ap);
	va_end(ap);
	keys_add_note(rd->keys, text);
}

/* --- one key ----------------------------------------------------------------- */

static char *
encoded(const void *p, size_t len)
{
	size_t n = base64url_size(len);
	char *text;

	if ((text = malloc(n + 1)) == NULL)
		fatal("memory for keys");
	base64url_encode(text, p, len);
	text[n] = '\0';
	return text;
}

void
key_of_secret(struct key *k, const void *secret, size_t len)
{
	unsigned i;

	k->type = KEY_SECRET;
	k->member[0] = encoded(secret, len);
	for (i = 0; i < KEY_ALG__MAX; i++) {
		if (algs[i].type == KEY_SECRET && len >= algs[i].bits / 8)
			k->algs |= 1U << i;
	}
}

bool
keys_add_secret(struct keys *keys, const void *secret, size_t len)
{
	struct keys_reader rd = { .keys = keys };
	struct key k = { .kid = NULL };

	if (len < KEYS_SECRET_MIN || len > KEYS_SECRET_MAX)
		return false;
	key_of_secret(&k, secret, len);
	return keys_add(&rd, &k);
}

/* A number of the key in 'size' bytes; 0: in as many as it needs. */
static char *
number_of(const EVP_PKEY *pkey, const char *name, size_t size)
{
	uint8_t buf[MEMBER_MAX];
	BIGNUM *bn = NULL;
	char *text = NULL;
	size_t len;

	if (EVP_PKEY_get_bn_param(pkey, name, &bn) != 1)
		return NULL;
	len = size > 0 ? size : (size_t)BN_num_bytes(bn);
	if (len > 0 && len <= sizeof(buf) &&
	    BN_bn2binpad(bn, buf, (int)len) == (int)len)
		text = encoded(buf, len);
	BN_free(bn);
	return text;
}

/* Odd and more than 1, and no joke either. */
static bool
exponent_is_sane(const EVP_PKEY *pkey)
{
	BIGNUM *e = NULL;
	bool sane;

	if (EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_E, &e) != 1)
		return false;
	sane = BN_is_odd(e) && !BN_is_one(e) &&
	    BN_num_bits(e) <= EXPONENT_BITS_MAX;
	BN_free(e);
	return sane;
}

static bool
key_of_rsa(struct keys_reader *rd, struct key *k, const EVP_PKEY *pkey)
{
	int bits = EVP_PKEY_get_bits(pkey);

	if (bits < RSA_MIN || bits > RSA_MAX) {
		keys_wrong(rd,
		    "an RSA key of %d bits; %d to %d are taken: make another "
		    "pair with openssl genpkey -algorithm RSA "
		    "-pkeyopt rsa_keygen_bits:3072",
		    bits, RSA_MIN, RSA_MAX);
		return false;
	}
	if (!exponent_is_sane(pkey)) {
		keys_wrong(rd,
		    "the public exponent of an RSA key is an odd "
		    "number from 3 on; 65537 is usual");
		return false;
	}
	k->type = KEY_RSA;
	k->member[0] = number_of(pkey, OSSL_PKEY_PARAM_RSA_N, 0);
	k->member[1] = number_of(pkey, OSSL_PKEY_PARAM_RSA_E, 0);
	k->signature_len = ((size_t)bits + 7) / 8;
	return true;
}

static bool
key_of_ec(struct keys_reader *rd, struct key *k, const EVP_PKEY *pkey)
{
	static const struct {
		const char *group;
		enum key_type type;
		size_t bytes;
	} curves[] = {
		{ "prime256v1", KEY_P256, 32 },
		{ "secp384r1", KEY_P384, 48 },
		{ "secp521r1", KEY_P521, 66 },
	};
	char group[64] = "of its own parameters";
	size_t i, len;

	(void)EVP_PKEY_get_group_name(pkey, group, sizeof(group), &len);
	for (i = 0; i < sizeof(curves) / sizeof(curves[0]); i++) {
		if (strcmp(group, curves[i].group) != 0)
			continue;
		k->type = curves[i].type;
		k->member[0] =
		    number_of(pkey, OSSL_PKEY_PARAM_EC_PUB_X, curves[i].bytes);
		k->member[1] =
		    number_of(pkey, OSSL_PKEY_PARAM_EC_PUB_Y, curves[i].bytes);
		k->signature_len = 2 * curves[i].bytes;
		return true;
	}
	keys_wrong(rd,
	    "an elliptic curve %s; P-256, P-384, P-521 and Ed25519 are taken",
	    group);
	return false;
}

static bool
key_of_type(struct keys_reader *rd, struct key *k, EVP_PKEY *pkey)
{
	const char *name;

	if (EVP_PKEY_is_a(pkey, "RSA"))
		return key_of_rsa(rd, k, pkey);
	if (EVP_PKEY_is_a(pkey, "EC"))
		return key_of_ec(rd, k, pkey);
	if (EVP_PKEY_is_a(pkey, "ED25519")) {
		k->type = KEY_ED25519;
		k->signature_len = 64;
		return true;
	}
	name = EVP_PKEY_get0_type_name(pkey);
	keys_wrong(rd,
	    "a key of type %s; RSA, EC (P-256, P-384, P-521) and Ed25519 are "
	    "taken",
	    name == NULL ? "unknown" : name);
	return false;
}

bool
key_of_pkey(struct keys_reader *rd, struct key *k, EVP_PKEY *pkey)
{
	bool fine = key_of_type(rd, k, pkey);

	if (fine && k->type == KEY_ED25519) {
		k->pkey = pkey;
		pkey = NULL;
	} else if (fine && (k->member[0] == NULL || k->member[1] == NULL)) {
		keys_wrong(rd, "its numbers cannot be read");
		fine = false;
	}
	EVP_PKEY_free(pkey);
	if (fine)
		k->algs = key_type_algs(k->type);
	else
		key_clear(k);
	return fine;
}
