/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_keys - what keys.h takes, and what it says of what it does not.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/keys.h"
#include "common/strbuf.h"
#include "tests/unit/token_keys.h"

static struct keys *keys;
static struct strbuf said = STRBUF_INIT;

static void
on_wrong(void *arg, const char *text)
{
	sb_addf(&said, "%s%s", said.len == 0 ? "" : "\n", text);
}

static int
teardown(void **state)
{
	keys_free(&keys);
	sb_clear(&said);
	return 0;
}

/* What is wrong with it, "" if nothing is. */
static const char *
read_text(bool jwks, const char *text, size_t len)
{
	char *copy = malloc(len == 0 ? 1 : len);
	bool fine;

	assert_non_null(copy);
	memcpy(copy, text, len);
	keys_free(&keys);
	keys = keys_new();
	sb_reset(&said);
	sb_adds(&said, "");
	if (jwks)
		fine = keys_add_jwks(keys, copy, len, on_wrong, NULL);
	else
		fine = keys_add_pem(keys, copy, len, on_wrong, NULL);
	assert_int_equal(fine, said.len == 0);
	free(copy);
	return said.data == NULL ? "" : said.data;
}

static const char *
pem(const char *text)
{
	return read_text(false, text, strlen(text));
}

static const char *
jwks(const char *text)
{
	return read_text(true, text, strlen(text));
}

/* The only key of a set. */
static const char *
jwk(const char *text)
{
	static char buf[8000];

	(void)snprintf(buf, sizeof(buf), "{\"keys\":[%s]}", text);
	return jwks(buf);
}

static void
assert_says(const char *got, const char *want)
{
	if (strstr(got, want) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", got, want);
}

static unsigned
bits(unsigned first, unsigned last)
{
	unsigned i, set = 0;

	for (i = first; i <= last; i++)
		set |= 1U << i;
	return set;
}

/* --- PEM --------------------------------------------------------------------- */

static void
public_keys_of_all_types_are_read(void **state)
{
	assert_string_equal(pem("# ours\n" RSA_PUBLIC P256_PUBLIC
				"in between\n" P384_PUBLIC P521_PUBLIC
				    ED_PUBLIC),
	    "");
	assert_int_equal(keys->n, 5);
	assert_int_equal(keys->v[0].type, KEY_RSA);
	assert_int_equal(keys->v[0].algs, bits(KEY_RS256, KEY_PS512));
	assert_int_equal(keys->v[0].signature_len, 256);
	assert_string_equal(keys->v[0].member[1], "AQAB");
	assert_int_equal(keys->v[1].type, KEY_P256);
	assert_int_equal(keys->v[1].algs, bits(KEY_ES256, KEY_ES256));
	assert_int_equal(keys->v[1].signature_len, 64);
	assert_int_equal(keys->v[2].type, KEY_P384);
	assert_int_equal(keys->v[2].algs, bits(KEY_ES384, KEY_ES384));
	assert_int_equal(keys->v[2].signature_len, 96);
	assert_int_equal(keys->v[3].type, KEY_P521);
	assert_int_equal(keys->v[3].algs, bits(KEY_ES512, KEY_ES512));
	assert_int_equal(keys->v[3].signature_len, 132);
	assert_int_equal(strlen(keys->v[3].member[0]), 88);
	assert_int_equal(keys->v[4].type, KEY_ED25519);
	assert_int_equal(keys->v[4].algs, bits(KEY_EDDSA, KEY_EDDSA));
	assert_int_equal(keys->v[4].signature_len, 64);
	for (size_t i = 0; i < keys->n; i++)
		assert_null(keys->v[i].kid);
}

static void
pkcs1_and_certificates_are_read(void **state)
{
	char *n;

	assert_string_equal(pem(RSA_PUBLIC), "");
	assert_non_null(n = strdup(keys->v[0].member[0]));
	assert_string_equal(pem(RSA_PKCS1), "");
	assert_string_equal(keys->v[0].member[0], n);
	free(n);
	assert_string_equal(pem(P256_CERTIFICATE), "");
	assert_int_equal(keys->v[0].type, KEY_P256);
	assert_int_equal(keys->nnotes, 0);
	assert_string_equal(pem("\n" P256_OLD_CERTIFICATE), "");
	assert_int_equal(keys->n, 1);
	assert_int_equal(keys->nnotes, 1);
	assert_says(keys->notes[0], "line 2: the certificate has expired");
}

static void
what_does_not_belong_into_a_pem_file_is_named(void **state)
{
	static const struct {
		const char *text, *says;
	} rows[] = {
		{ RSA_PRIVATE, "line 1: a private key does not belong here" },
		{ "x\n\n" ED_PRIVATE, "line 3: a private key" },
		{ "-----BEGIN EC PRIVATE KEY-----\nAAAA\n"
		  "-----END EC PRIVATE KEY-----\n",
		    "a private key" },
		{ "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n"
		  "-----END ENCRYPTED PRIVATE KEY-----\n",
		    "a private key" },
		{ RSA1024_PUBLIC, "an RSA key of 1024 bits; 2048 to 8192" },
		{ K256_PUBLIC,
		    "an elliptic curve secp256k1; P-256, P-384, P-521 and "
		    "Ed25519 are taken" },
		{ ED448_PUBLIC, "a key of type ED448; RSA, EC" },
		{ "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n"
		  "-----END CERTIFICATE REQUEST-----\n",
		    "is no key; PUBLIC KEY" },
		{ "-----BEGIN PUBLIC KEY-----\nAAAA\n"
		  "-----END PUBLIC KEY-----\n",
		    "PUBLIC KEY cannot be read" },
		{ "-----BEGIN PUBLIC KEY-----\nAAAA\n", "is damaged" },
		{ "-----BEGIN PUBLIC KEY-----\n!!!!\n"
		  "-----END PUBLIC KEY-----\n",
		    "is damaged" },
		{ "hello\n", "no PEM block in it; -----BEGIN PUBLIC KEY" },
		{ " {\"keys\":[]}", "looks like a JWK set" },
		{ "0\202\001", "looks like DER" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_says(pem(rows[i].text), rows[i].says);
	assert_says(read_text(false, "", 0), "no PEM block");
	/* each is told, not the first only */
	assert_says(pem(RSA1024_PUBLIC RSA_PRIVATE K256_PUBLIC P256_PUBLIC),
	    "line 1: an RSA key of 1024");
	assert_says(said.data, "line 7: a private key");
	assert_says(said.data, "line 35: an elliptic curve");
	assert_int_equal(keys->n, 1);
}

static void
a_block_that_is_cut_anywhere_is_refused(void **state)
{
	size_t n = strlen(P256_PUBLIC) - 1;

	for (size_t len = 0; len < n; len++)
		assert_string_not_equal(read_text(false, P256_PUBLIC, len), "");
	assert_string_equal(read_text(false, P256_PUBLIC, n), "");
}

/* --- JWK sets ------------------------------------------------------------------- */

static void
keys_of_a_set_are_read(void **state)
{
	assert_string_equal(jwks("{\"x\":1,\"keys\":[" RSA_JWK "," P256_JWK
				 "," P384_JWK "," P521_JWK "," ED_JWK
				 "," SECRET_JWK "]}"),
	    "");
	assert_int_equal(keys->n, 6);
	assert_int_equal(keys->v[0].algs, bits(KEY_RS256, KEY_PS512));
	assert_int_equal(keys->v[3].signature_len, 132);
	assert_int_equal(keys->v[4].type, KEY_ED25519);
	assert_int_equal(keys->v[5].type, KEY_SECRET);
	assert_int_equal(keys->v[5].algs, bits(KEY_HS256, KEY_HS512));
}

/* The same key from both kinds of files. */
static void
a_key_is_the_same_wherever_it_stands(void **state)
{
	char *x, *y;

	assert_string_equal(pem(P521_PUBLIC), "");
	assert_non_null(x = strdup(keys->v[0].member[0]));
	assert_non_null(y = strdup(keys->v[0].member[1]));
	assert_string_equal(jwk(P521_JWK), "");
	assert_string_equal(keys->v[0].member[0], x);
	assert_string_equal(keys->v[0].member[1], y);
	free(x);
	free(y);
}

#define K32 "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"
#define K31 "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZQ"
#define OCT "\"kty\":\"oct\",\"k\":\"" K32 "\""

static void
members_say_what_a_key_is_for(void **state)
{
	assert_string_equal(jwk("{" OCT ",\"kid\":\"a\\u0062\",\"use\":\"sig\","
				"\"key_ops\":[\"sign\",\"verify\"],"
				"\"alg\":\"HS256\",\"x5t\":\"zz\"}"),
	    "");
	assert_string_equal(keys->v[0].kid, "ab");
	assert_int_equal(keys->v[0].algs, bits(KEY_HS256, KEY_HS256));
	/* of 32 bytes it is for one hash only */
	assert_string_equal(jwk("{" OCT "}"), "");
	assert_int_equal(keys->v[0].algs, bits(KEY_HS256, KEY_HS256));
}

/* RFC 7517 5; but then something else must be there. */
static void
keys_for_something_else_are_left_out(void **state)
{
	static const struct {
		const char *members, *says;
	} rows[] = {
		{ OCT ",\"use\":\"enc\"",
		    "left out: its use is enc; sig is for tokens" },
		{ OCT ",\"key_ops\":[\"encrypt\"]",
		    "left out: its key_ops do not hold verify" },
		{ OCT ",\"key_ops\":[]", "do not hold verify" },
		{ "\"kty\":\"RSA\",\"alg\":\"RSA-OAEP-256\"",
		    "left out: its alg RSA-OAEP-256 is for encryption" },
		{ "\"kty\":\"AKP\",\"alg\":\"ML-DSA-44\"",
		    "left out: kty AKP is unknown" },
	};
	char text[400];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		(void)snprintf(text, sizeof(text),
		    "{%s,\"kid\":\"x\"},{" OCT ",\"kid\":\"y\"}",
		    rows[i].members);
		assert_string_equal(jwk(text), "");
		assert_int_equal(keys->n, 1);
		assert_string_equal(keys->v[0].kid, "y");
		assert_int_equal(keys->nnotes, 1);
		assert_says(keys->notes[0], rows[i].says);
		assert_says(keys->notes[0], "key 1 (kid x): ");
		/* alone */
		(void)snprintf(text, sizeof(text), "{%s}", rows[i].members);
		assert_says(jwk(text), rows[i].says);
		assert_says(said.data, "no key of the set is for verifying");
		assert_int_equal(keys->nnotes, 0);
	}
}

static void
what_is_wrong_with_a_key_is_told(void **state)
{
	static const struct {
		const char *jwk, *says;
	} rows[] = {
		{ "7", "key 1: it is no object" },
		{ "{}", "it has no kty" },
		{ "{\"kty\":7}", "kty is no string" },
		{ ED_PRIVATE_JWK, "it is a private key" },
		{ "{\"kty\":\"RSA\",\"d\":\"AQAB\",\"use\":\"enc\"}",
		    "it is a private key" },
		{ RSA1024_JWK, "an RSA key of 1024 bits; 2048 to 8192" },
		{ "{\"kty\":\"RSA\",\"n\":\"AQAB\"}", "has n and e" },
		{ "{\"kty\":\"RSA\",\"n\":\"A+AB\",\"e\":\"AQAB\"}",
		    "has n and e, base64url" },
		{ "{\"kty\":\"EC\",\"crv\":\"secp256k1\"}",
		    "crv secp256k1 is unknown; an EC key's is P-256" },
		{ "{\"kty\":\"EC\",\"crv\":7}", "crv is no string" },
		{ "{\"kty\":\"EC\"}", "is unknown; an EC key's is" },
		{ "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AQ\",\"y\":"
		  "\"AQ\"}",
		    "no point of P-256: each is base64url without padding of "
		    "32 bytes" },
		/* of the right length, and not on the curve */
		{ "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" K32
		  "\",\"y\":\"" K32 "\"}",
		    "no point of P-256" },
		{ "{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"" K32 "\"}",
		    "crv X25519 is unknown; an OKP key's is Ed25519" },
		{ "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"" K31 "\"}",
		    "of 32 bytes" },
		{ "{\"kty\":\"oct\"}", "an oct key has k" },
		{ "{\"kty\":\"oct\",\"k\":\"" K32 "=\"}", "has k, base64url" },
		{ "{\"kty\":\"oct\",\"k\":\"" K31 "\"}",
		    "a secret of 31 bytes; it has 32 to 65536" },
		{ "{" OCT ",\"alg\":\"HS512\"}",
		    "too short for HS512: it takes at least 64 bytes" },
		{ "{" OCT ",\"alg\":\"RS256\"}",
		    "alg RS256 does not go with a key of type a secret" },
		{ "{" OCT ",\"alg\":\"hs256\"}", "alg hs256 is unknown" },
		{ "{" OCT ",\"alg\":\"none\"}", "alg none is unknown" },
		{ "{" OCT ",\"alg\":7}", "alg is no string" },
		{ "{" OCT ",\"use\":7}", "use is no string" },
		{ "{" OCT ",\"key_ops\":\"verify\"}", "key_ops is no list" },
		{ "{" OCT ",\"key_ops\":[7]}", "no string" },
		{ "{" OCT ",\"kid\":7}", "kid is no string of 1 to 256" },
		{ "{" OCT ",\"kid\":\"\"}", "kid is no string of 1 to 256" },
		{ "{" OCT ",\"kid\":\"a\"},{" OCT ",\"kid\":\"a\"}",
		    "key 2 (kid a): another key of the set has this kid" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_says(jwk(rows[i].jwk), rows[i].says);
}

static void
exponents_that_are_no_exponents_are_refused(void **state)
{
	static const char *const exponents[] = { "AQ", "Ag", "AQAA",
		"AQAAAAAAAAAB" };
	char text[600];

	for (size_t i = 0; i < sizeof(exponents) / sizeof(exponents[0]); i++) {
		assert_string_equal(jwk(RSA_JWK), "");
		(void)snprintf(text, sizeof(text),
		    "{\"kty\":\"RSA\",\"n\":\"%s\",\"e\":\"%s\"}",
		    keys->v[0].member[0], exponents[i]);
		assert_says(jwk(text), "odd number from 3 on");
	}
}

static void
what_is_no_set_is_told(void **state)
{
	static const struct {
		const char *text, *says;
	} rows[] = {
		{ "", "it is not JSON" },
		{ "{\"keys\":[]", "it is not JSON" },
		{ "{\"keys\":[],\"keys\":[]}", "it is not JSON" },
		{ "{\"keys\":[]}", "the set is empty" },
		{ "{}", "it is no JWK set: {\"keys\": [...]}" },
		{ "[]", "it is no JWK set" },
		{ "{\"keys\":{}}", "it is no JWK set" },
		{ "{" OCT "}", "it is one JWK; a set is {\"keys\": [it]}" },
		{ RSA_PUBLIC, "it is not JSON" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_says(jwks(rows[i].text), rows[i].says);
}

static void
there_is_room_for_so_many(void **state)
{
	struct strbuf sb = STRBUF_INIT;

	for (int n = KEYS_MAX; n <= KEYS_MAX + 1; n++) {
		sb_reset(&sb);
		sb_adds(&sb, "{\"keys\":[");
		for (int i = 0; i < n; i++)
			sb_addf(&sb, "%s{" OCT ",\"kid\":\"%d\"}",
			    i == 0 ? "" : ",", i);
		sb_adds(&sb, "]}");
		if (n == KEYS_MAX)
			assert_string_equal(jwks(sb.data), "");
		else
			assert_says(jwks(sb.data), "more than 64 keys");
		assert_int_equal(keys->n, KEYS_MAX);
	}
	sb_clear(&sb);
}

static void
secrets_have_a_length(void **state)
{
	static const char secret[KEYS_SECRET_MAX + 1];

	keys_free(&keys);
	keys = keys_new();
	assert_false(keys_add_secret(keys, secret, KEYS_SECRET_MIN - 1));
	assert_false(keys_add_secret(keys, secret, KEYS_SECRET_MAX + 1));
	assert_true(keys_add_secret(keys, secret, KEYS_SECRET_MIN));
	assert_true(keys_add_secret(keys, secret, 48));
	assert_true(keys_add_secret(keys, secret, KEYS_SECRET_MAX));
	assert_int_equal(keys->v[0].algs, bits(KEY_HS256, KEY_HS256));
	assert_int_equal(keys->v[1].algs, bits(KEY_HS256, KEY_HS384));
	assert_int_equal(keys->v[2].algs, bits(KEY_HS256, KEY_HS512));
}

static void
names_are_exact(void **state)
{
	for (unsigned i = 0; i < KEY_ALG__MAX; i++)
		assert_int_equal(key_alg_find(key_alg_name((enum key_alg)i)),
		    i);
	assert_int_equal(key_alg_find("none"), KEY_ALG__MAX);
	assert_int_equal(key_alg_find("rs256"), KEY_ALG__MAX);
	assert_int_equal(key_alg_find(""), KEY_ALG__MAX);
	assert_int_equal(key_alg_type(KEY_ES512), KEY_P521);
	assert_int_equal(key_alg_bits(KEY_PS384), 384);
	assert_string_equal(key_type_name(KEY_P521), "P-521");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(public_keys_of_all_types_are_read),
		cmocka_unit_test(pkcs1_and_certificates_are_read),
		cmocka_unit_test(what_does_not_belong_into_a_pem_file_is_named),
		cmocka_unit_test(a_block_that_is_cut_anywhere_is_refused),
		cmocka_unit_test(keys_of_a_set_are_read),
		cmocka_unit_test(a_key_is_the_same_wherever_it_stands),
		cmocka_unit_test(members_say_what_a_key_is_for),
		cmocka_unit_test(keys_for_something_else_are_left_out),
		cmocka_unit_test(what_is_wrong_with_a_key_is_told),
		cmocka_unit_test(exponents_that_are_no_exponents_are_refused),
		cmocka_unit_test(what_is_no_set_is_told),
		cmocka_unit_test(there_is_room_for_so_many),
		cmocka_unit_test(secrets_have_a_length),
		cmocka_unit_test(names_are_exact),
	};

	return cmocka_run_group_tests(tests, NULL, teardown);
}
