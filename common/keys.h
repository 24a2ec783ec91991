/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * keys - what tokens are verified with: the secret of a file, public keys of
 * a PEM file (SPKI, PKCS#1, or the key of a certificate, whose dates and
 * names do not matter), and those of a JWK set (RFC 7517, RFC 7518 6, RFC
 * 8037).
 *
 * A key is checked once, when it is read: a short, a private, an unknown one
 * is refused with what would be right.  Keys of a set that are for something
 * else (use enc, key_ops without verify, an unknown kty) are left out, as
 * RFC 7517 5 has it; a set of which nothing is left is refused.
 */

#ifndef COMMON_KEYS_H
#define COMMON_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct evp_pkey_st;

/* So many at most, of all files together. */
#define KEYS_MAX 64
/* Bytes of a secret: as many as the hash of HS256 has; and at most. */
#define KEYS_SECRET_MIN 32
#define KEYS_SECRET_MAX 65536

enum key_type {
	KEY_SECRET,
	KEY_RSA,
	KEY_P256,
	KEY_P384,
	KEY_P521,
	KEY_ED25519,
	KEY_TYPE__MAX,
};

/* Of RFC 7518 3.1 and RFC 8037 3.1: all that chatd takes. */
enum key_alg {
	KEY_HS256,
	KEY_HS384,
	KEY_HS512,
	KEY_RS256,
	KEY_RS384,
	KEY_RS512,
	KEY_PS256,
	KEY_PS384,
	KEY_PS512,
	KEY_ES256,
	KEY_ES384,
	KEY_ES512,
	KEY_EDDSA,
	KEY_ALG__MAX,
};

struct key {
	enum key_type type;
	/* 1 << alg for each that it may verify: that of its own "alg", or
	 * those of its type; of secrets, those they are long enough for */
	unsigned algs;
	/* NULL: it has no name */
	char *kid;
	/* as in a JWK, base64url: RSA n and e; EC x and y; a secret's k */
	char *member[2];
	/* bytes of a signature; 0 for a secret */
	size_t signature_len;
	/* ED25519 */
	struct evp_pkey_st *pkey;
};

struct keys {
	struct key *v;
	size_t n;
	/* what was left out, or is hardly meant: a sentence each */
	char **notes;
	size_t nnotes;
};

/* What is wrong, a sentence without an end each. */
typedef void (*keys_wrong_fn)(void *arg, const char *text);

/* Ends the process if there is no memory. */
struct keys *keys_new(void);
void keys_free(struct keys **keys);

/*
 * Add what a file holds.  False if any of it is wrong: 'fn' (may be NULL)
 * was told each thing, and some keys may have been added.
 */
bool keys_add_secret(struct keys *keys, const void *secret, size_t len);
bool keys_add_pem(struct keys *keys, const void *text, size_t len,
    keys_wrong_fn fn, void *arg);
bool keys_add_jwks(struct keys *keys, const void *text, size_t len,
    keys_wrong_fn fn, void *arg);

/* "HS256", ... */
const char *key_alg_name(enum key_alg alg);
/* KEY_ALG__MAX if it is none of ours; names are exact. */
enum key_alg key_alg_find(const char *name);
/* "RSA", "P-256", ... */
const char *key_type_name(enum key_type type);
enum key_type key_alg_type(enum key_alg alg);
/* Bits of its hash; 0 for EdDSA. */
unsigned key_alg_bits(enum key_alg alg);

#endif /* COMMON_KEYS_H */
