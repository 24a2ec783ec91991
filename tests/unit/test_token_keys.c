/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_token_keys - all algorithms, with tokens of other software; which key
 * is taken for which token; and that no algorithm is mistaken for another.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/token_fixture.h"

#define WRONG "the signature is wrong"
#define LENGTH "the signature has another length"
#define NO_KEY "no key for alg"
#define ALL_JWKS \
	SECRET_JWK "," RSA_JWK "," P256_JWK "," P384_JWK "," P521_JWK "," ED_JWK
#define ALL_PEM RSA_PUBLIC P256_PUBLIC P384_PUBLIC P521_PUBLIC ED_PUBLIC

static const struct how rs256 = { .pem = RSA_PRIVATE, .md = EVP_sha256 };
static const struct how ps256 = { .pem = RSA_PRIVATE,
	.md = EVP_sha256,
	.pss = true };
static const struct how es256 = { .pem = P256_PRIVATE,
	.md = EVP_sha256,
	.half = 32 };
static const struct how eddsa = { .pem = ED_PRIVATE };

/* Verified with these keys, and with none of them if one bit is another. */
static void
assert_vectors(struct keys *keys)
{
	struct config cfg = config_with(keys);
	struct identity *id;
	enum chat_error err;
	char issuer[] = "https://issuer.example", audience[] = "chat";
	char *t;

	cfg.auth_issuer = issuer;
	cfg.auth_audience = audience;
	for (size_t i = 0; i < sizeof(token_vectors) / sizeof(token_vectors[0]);
	     i++) {
		id = verify(&cfg, token_vectors[i].token, &err);
		if (id == NULL)
			fail_msg("%s %s: %s", token_vectors[i].by,
			    token_vectors[i].alg, why);
		assert_string_equal(id->user_id, "ada");
		assert_string_equal(id->user_name, "Ada L");
		assert_string_equal(id->token_id, "t-1");
		assert_int_equal(id->role, IDENTITY_AGENT);
		assert_int_equal(id->expires_ms, 1700003600000);
		assert_int_equal(id->issued_ms, 1699999999000);
		assert_true(identity_allows(id, "w1", "x", NULL));
		assert_true(identity_allows(id, "w2", "s1", NULL));
		assert_false(identity_allows(id, "w2", "s2", NULL));
		identity_free(&id);
		/* in the payload */
		assert_non_null(t = strdup(token_vectors[i].token));
		strchr(t, '.')[20] = strchr(t, '.')[20] == 'A' ? 'B' : 'A';
		assert_invalid(&cfg, t, WRONG, token_vectors[i].alg);
		/* in the signature */
		assert_non_null(t = strdup(token_vectors[i].token));
		strrchr(t, '.')[20] = strrchr(t, '.')[20] == 'A' ? 'B' : 'A';
		assert_invalid(&cfg, t, WRONG, token_vectors[i].alg);
	}
	keys_free(&keys);
}

static void
tokens_of_other_software_are_let_in(void **state)
{
	struct keys *keys = keys_of_jwks(ALL_JWKS);

	assert_int_equal(keys->n, 6);
	assert_int_equal(keys->nnotes, 0);
	assert_vectors(keys);
}

static void
the_same_with_keys_of_a_pem_file(void **state)
{
	struct keys *keys = keys_of_pem("text before\n" ALL_PEM);

	assert_true(keys_add_secret(keys, SECRET, strlen(SECRET)));
	assert_vectors(keys);
	keys = keys_of_pem(
	    RSA_PKCS1 P256_CERTIFICATE P384_PUBLIC P521_PUBLIC ED_PUBLIC);
	assert_true(keys_add_secret(keys, SECRET, strlen(SECRET)));
	assert_vectors(keys);
}

/* What they sign is no token of ours, but their signatures are right. */
static void
the_rfcs_examples_are_signed(void **state)
{
	size_t i, n = sizeof(rfc_vectors) / sizeof(rfc_vectors[0]);

	for (i = 0; i < n; i++) {
		struct keys *keys = keys_of_jwks(rfc_vectors[i].jwk);
		struct config cfg = config_with(keys);
		bool is_json = i < 3;
		char *t = strdup(rfc_vectors[i].token);

		assert_invalid(&cfg, t,
		    is_json ? "sub is missing or no user id"
			    : "the payload is no JSON object",
		    rfc_vectors[i].of);
		/* and not by chance: one bit, far from the end */
		assert_non_null(t = strdup(rfc_vectors[i].token));
		strrchr(t, '.')[2] = strrchr(t, '.')[2] == 'A' ? 'B' : 'A';
		assert_invalid(&cfg, t, WRONG, rfc_vectors[i].of);
		keys_free(&keys);
	}
	assert_int_equal(n, 9);
}

/* --- algorithms are not mistaken for each other --------------------------------- */

/* What everybody knows is no secret, in whatever form. */
static void
a_public_key_is_no_secret(void **state)
{
	static const char *const known[] = { RSA_PUBLIC, RSA_PKCS1, RSA_JWK,
		P256_PUBLIC, ED_PUBLIC, "" };
	struct keys *keys = keys_of_pem(ALL_PEM);
	struct config cfg = config_with(keys);
	struct how how = { .md = EVP_sha256 };

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		how.secret = known[i];
		how.secret_len = strlen(known[i]);
		assert_invalid(&cfg,
		    token_signed("{\"alg\":\"HS256\"}", CLAIMS, &how), NO_KEY,
		    known[i]);
	}
	/* nor if there is one besides */
	assert_true(keys_add_secret(keys, SECRET, strlen(SECRET)));
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		how.secret = known[i];
		how.secret_len = strlen(known[i]);
		assert_invalid(&cfg,
		    token_signed("{\"alg\":\"HS256\"}", CLAIMS, &how), WRONG,
		    known[i]);
	}
	keys_free(&keys);
}

static void
alg_is_what_was_signed_with(void **state)
{
	static const struct {
		const char *alg;
		const struct how *how;
		const char *why;
	} rows[] = {
		{ "RS256", &rs256, NULL },
		{ "RS384", &rs256, WRONG },
		{ "RS512", &rs256, WRONG },
		{ "PS256", &rs256, WRONG },
		{ "PS256", &ps256, NULL },
		{ "PS384", &ps256, WRONG },
		{ "RS256", &ps256, WRONG },
		{ "ES256", &es256, NULL },
		{ "ES384", &es256, LENGTH },
		{ "ES512", &es256, LENGTH },
		{ "EdDSA", &es256, WRONG },
		{ "RS256", &es256, LENGTH },
		{ "HS256", &es256, NO_KEY },
		{ "EdDSA", &eddsa, NULL },
		{ "ES256", &eddsa, WRONG },
		{ "HS512", &eddsa, NO_KEY },
		{ "none", &rs256, "alg is none" },
	};
	struct keys *keys = keys_of_pem(ALL_PEM);
	struct config cfg = config_with(keys);
	char header[60];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		(void)snprintf(header, sizeof(header), "{\"alg\":\"%s\"}",
		    rows[i].alg);
		if (rows[i].why == NULL)
			assert_accepted(&cfg,
			    token_signed(header, CLAIMS, rows[i].how), header);
		else
			assert_invalid(&cfg,
			    token_signed(header, CLAIMS, rows[i].how),
			    rows[i].why, header);
	}
	keys_free(&keys);
}

/* RFC 7518 3.5: as many bytes as the hash has. */
static void
the_salt_has_its_length(void **state)
{
	static const int salts[] = { 20, 31, 33, 64, RSA_PSS_SALTLEN_MAX };
	struct keys *keys = keys_of_pem(RSA_PUBLIC);
	struct config cfg = config_with(keys);
	struct how how = ps256;

	for (size_t i = 0; i < sizeof(salts) / sizeof(salts[0]); i++) {
		how.salt = salts[i];
		assert_invalid(&cfg,
		    token_signed("{\"alg\":\"PS256\"}", CLAIMS, &how), WRONG,
		    "salt");
	}
	how.no_salt = true;
	assert_invalid(&cfg, token_signed("{\"alg\":\"PS256\"}", CLAIMS, &how),
	    WRONG, "no salt");
	keys_free(&keys);
}

/* RFC 7518 3.4: r and s, each as long as the field. */
static void
signatures_of_curves_are_r_and_s(void **state)
{
	static const uint8_t zeros[64], ones[64] = { [31] = 1, [63] = 1 };
	static const char header[] = "{\"alg\":\"ES256\"}";
	struct keys *keys = keys_of_pem(P256_PUBLIC);
	struct config cfg = config_with(keys);
	struct how how = es256;
	uint8_t sig[66];
	char *t;

	how.der = true;
	assert_invalid(&cfg, token_signed(header, CLAIMS, &how), LENGTH, "DER");
	how.der = false;
	how.half = 33;
	assert_invalid(&cfg, token_signed(header, CLAIMS, &how), LENGTH,
	    "33 bytes each");
	/* without its last byte, and with one more */
	t = token_signed(header, CLAIMS, &es256);
	assert_int_equal(base64url_decode(sig, strrchr(t, '.') + 1,
			     strlen(strrchr(t, '.') + 1)),
	    64);
	free(t);
	assert_invalid(&cfg, token_of(header, CLAIMS, sig, 63), LENGTH, "63");
	sig[64] = 0;
	assert_invalid(&cfg, token_of(header, CLAIMS, sig, 65), LENGTH, "65");
	/* of an implementation that does not look */
	assert_invalid(&cfg, token_of(header, CLAIMS, zeros, 64), WRONG,
	    "zeros");
	assert_invalid(&cfg, token_of(header, CLAIMS, ones, 64), WRONG, "ones");
	keys_free(&keys);
}

/* RFC 8032 5.1.7: s is below the order of the group; s + order is the same
 * point, and another text for the same token. */
static void
there_is_one_signature_of_ed25519(void **state)
{
	static const uint8_t order[32] = { 0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63,
		0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde,
		0x14, [31] = 0x10 };
	static const char header[] = "{\"alg\":\"EdDSA\"}";
	struct keys *keys = keys_of_pem(ED_PUBLIC);
	struct config cfg = config_with(keys);
	char *t = token_signed(header, CLAIMS, &eddsa);
	uint8_t sig[66];
	unsigned carry = 0, i;

	assert_int_equal(base64url_decode(sig, strrchr(t, '.') + 1,
			     strlen(strrchr(t, '.') + 1)),
	    64);
	assert_accepted(&cfg, t, "as it is");
	for (i = 0; i < 32; i++) {
		carry += (unsigned)sig[32 + i] + order[i];
		sig[32 + i] = (uint8_t)carry;
		carry >>= 8;
	}
	assert_invalid(&cfg, token_of(header, CLAIMS, sig, 64), WRONG,
	    "s and the order");
	assert_invalid(&cfg, token_of(header, CLAIMS, sig, 63), LENGTH, "63");
	keys_free(&keys);
}

/* --- which key -------------------------------------------------------------------- */

/* Rows of members, and the JWK that they go into. */
static struct keys *
keys_with(const char *const rows[][2], size_t n)
{
	struct keys *keys;
	char *text = strdup(""), *more;

	for (size_t i = 0; i < n; i++) {
		assert_true(
		    asprintf(&more, "%s%s{%s,%s", text, i == 0 ? "" : ",",
			rows[i][0], rows[i][1] + 1) > 0);
		free(text);
		text = more;
	}
	keys = keys_of_jwks(text);
	free(text);
	return keys;
}

static void
the_key_that_kid_names_is_taken(void **state)
{
	static const char *const rows[][2] = { { "\"kid\":\"a\"", RSA2_JWK },
		{ "\"kid\":\"b\"", RSA_JWK }, { "\"kid\":\"c\"", P256_JWK } };
	struct keys *keys = keys_with(rows, 3);
	struct config cfg = config_with(keys);

	assert_accepted(&cfg,
	    token_signed("{\"alg\":\"RS256\",\"kid\":\"b\"}", CLAIMS, &rs256),
	    "b");
	/* without one each that fits is tried */
	assert_accepted(&cfg,
	    token_signed("{\"alg\":\"RS256\"}", CLAIMS, &rs256), "none");
	/* and no other than it says, though it would verify */
	assert_invalid(&cfg,
	    token_signed("{\"alg\":\"RS256\",\"kid\":\"a\"}", CLAIMS, &rs256),
	    WRONG, "a");
	assert_invalid(&cfg,
	    token_signed("{\"alg\":\"RS256\",\"kid\":\"c\"}", CLAIMS, &rs256),
	    "the key of this kid is not for alg", "c");
	assert_invalid(&cfg,
	    token_signed("{\"alg\":\"RS256\",\"kid\":\"d\"}", CLAIMS, &rs256),
	    "no key of this kid", "d");
	assert_invalid(&cfg,
	    token_signed("{\"alg\":\"RS256\",\"kid\":\"B\"}", CLAIMS, &rs256),
	    "no key of this kid", "B");
	assert_invalid(&cfg,
	    token_signed("{\"alg\":\"RS256\",\"kid\":\"\"}", CLAIMS, &rs256),
	    "no key of this kid", "empty");
	keys_free(&keys);
}

/* A secret and the keys of a PEM file have no names. */
static void
keys_without_a_name_go_with_unknown_kids(void **state)
{
	static const char *const rows[][2] = { { "\"kid\":\"a\"", RSA2_JWK } };
	struct keys *keys = keys_with(rows, 1);
	struct config cfg = config_with(keys);

	assert_true(
	    keys_add_pem(keys, RSA_PUBLIC, strlen(RSA_PUBLIC), on_wrong, NULL));
	assert_accepted(&cfg,
	    token_signed("{\"alg\":\"RS256\",\"kid\":\"x\"}", CLAIMS, &rs256),
	    "x");
	assert_invalid(&cfg,
	    token_signed("{\"alg\":\"RS256\",\"kid\":\"a\"}", CLAIMS, &rs256),
	    WRONG, "a");
	keys_free(&keys);
}

static void
a_key_with_an_alg_is_for_nothing_else(void **state)
{
	static const char *const rows[][2] = { { "\"alg\":\"RS256\"",
	    RSA_JWK } };
	struct keys *keys = keys_with(rows, 1);
	struct config cfg = config_with(keys);
	const struct how rs512 = { .pem = RSA_PRIVATE, .md = EVP_sha512 };

	assert_accepted(&cfg,
	    token_signed("{\"alg\":\"RS256\"}", CLAIMS, &rs256), "RS256");
	assert_invalid(&cfg,
	    token_signed("{\"alg\":\"RS512\"}", CLAIMS, &rs512), NO_KEY,
	    "RS512");
	assert_invalid(&cfg,
	    token_signed("{\"alg\":\"PS256\"}", CLAIMS, &ps256), NO_KEY,
	    "PS256");
	keys_free(&keys);
}

/* A client without a kid cannot have us try whatever there is. */
static void
eight_keys_are_tried(void **state)
{
	const char *rows[9][2];
	char kids[9][20];
	struct keys *keys;
	struct config cfg;

	for (int right = 7; right < 9; right++) {
		for (int i = 0; i < 9; i++) {
			(void)snprintf(kids[i], sizeof(kids[i]),
			    "\"kid\":\"%d\"", i);
			rows[i][0] = kids[i];
			rows[i][1] = i == right ? RSA_JWK : RSA2_JWK;
		}
		keys = keys_with(rows, 9);
		cfg = config_with(keys);
		if (right == 7)
			assert_accepted(&cfg,
			    token_signed("{\"alg\":\"RS256\"}", CLAIMS, &rs256),
			    "the eighth");
		else
			assert_invalid(&cfg,
			    token_signed("{\"alg\":\"RS256\"}", CLAIMS, &rs256),
			    WRONG, "the ninth");
		keys_free(&keys);
	}
}

/* Another set is there after a reload. */
static void
tokens_of_a_key_that_is_gone_are_refused(void **state)
{
	static const char *const before[][2] = { { "\"kid\":\"a\"", RSA_JWK } };
	static const char *const both[][2] = { { "\"kid\":\"b\"", P256_JWK },
		{ "\"kid\":\"a\"", RSA_JWK } };
	static const char *const after[][2] = { { "\"kid\":\"b\"", P256_JWK } };
	static const char *const other[][2] = { { "\"kid\":\"a\"", RSA2_JWK } };
	const char *header = "{\"alg\":\"RS256\",\"kid\":\"a\"}";
	struct {
		const char *const (*rows)[2];
		size_t n;
		const char *why;
	} steps[] = { { before, 1, NULL }, { both, 2, NULL },
		{ after, 1, "no key of this kid" }, { other, 1, WRONG } };
	struct keys *keys;
	struct config cfg;

	for (size_t i = 0; i < 4; i++) {
		keys = keys_with(steps[i].rows, steps[i].n);
		cfg = config_with(keys);
		if (steps[i].why == NULL)
			assert_accepted(&cfg,
			    token_signed(header, CLAIMS, &rs256), "there");
		else
			assert_invalid(&cfg,
			    token_signed(header, CLAIMS, &rs256), steps[i].why,
			    "gone");
		keys_free(&keys);
	}
}

/* What the header brings along is nobody's key. */
static void
a_token_brings_no_key(void **state)
{
	static const char header[] = "{\"alg\":\"RS256\",\"jwk\":" RSA_JWK
				     ",\"jku\":\"https://evil.example/\","
				     "\"x5u\":\"https://evil.example/\"}";
	struct keys *keys = keys_of_pem(P256_PUBLIC);
	struct config cfg = config_with(keys);

	assert_invalid(&cfg, token_signed(header, CLAIMS, &rs256), NO_KEY,
	    "jwk");
	keys_free(&keys);
	keys = keys_of_jwks(RSA2_JWK);
	cfg = config_with(keys);
	assert_invalid(&cfg, token_signed(header, CLAIMS, &rs256), WRONG,
	    "jwk");
	keys_free(&keys);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tokens_of_other_software_are_let_in),
		cmocka_unit_test(the_same_with_keys_of_a_pem_file),
		cmocka_unit_test(the_rfcs_examples_are_signed),
		cmocka_unit_test(a_public_key_is_no_secret),
		cmocka_unit_test(alg_is_what_was_signed_with),
		cmocka_unit_test(the_salt_has_its_length),
		cmocka_unit_test(signatures_of_curves_are_r_and_s),
		cmocka_unit_test(there_is_one_signature_of_ed25519),
		cmocka_unit_test(the_key_that_kid_names_is_taken),
		cmocka_unit_test(keys_without_a_name_go_with_unknown_kids),
		cmocka_unit_test(a_key_with_an_alg_is_for_nothing_else),
		cmocka_unit_test(eight_keys_are_tried),
		cmocka_unit_test(tokens_of_a_key_that_is_gone_are_refused),
		cmocka_unit_test(a_token_brings_no_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
