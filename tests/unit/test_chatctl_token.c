/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_chatctl_token - what token.h promises about what is signed: it is what
 * anybody else would have made, and the daemon takes it.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "chatctl/token.h"
#include "common/strbuf.h"
#include "tests/unit/token_fixture.h"

/* made with Python's hmac and base64 from the same claims */
#define EXPECTED \
	"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhZGEiLCJuYW1" \
	"lIjoiQWRhIMOkIiwicm9sZSI6ImFnZW50Iiwid29ya3NwYWNlcyI6WyJ3MSI" \
	"seyJpZCI6IncyIiwic2Vzc2lvbnMiOlsiczEiLCJzMiJdfV0sImlzcyI6InV" \
	"zIiwiaWF0IjoxMDAwMDAwMDAwLCJleHAiOjEwMDAwMDM2MDB9.3xk9wqUeRA" \
	"U-jI-dob7UBq_41A1bMgdKq1wMUJTt_JU"

static void
a_token_is_what_anybody_else_would_have_made(void **state)
{
	static const char secret[] = "0123456789abcdef0123456789abcdef";
	const struct token_key key = { .secret = secret,
		.secret_len = sizeof(secret) - 1 };
	const struct token t = {
		.user = "ada",
		.name = "Ada \xc3\xa4",
		.role = "agent",
		.issuer = "us",
		.audience = "",
		.workspaces = { { .id = "w1" },
		    { .id = "w2",
			.sessions = { "s1", "s2" },
			.nsessions = 2 } },
		.nworkspaces = 2,
		.issued = 1000000000,
		.expires = 1000003600,
	};
	struct strbuf sb = STRBUF_INIT;

	assert_int_equal(token_sign(&t, &key, &sb), 0);
	assert_string_equal(sb.data, EXPECTED);
	sb_clear(&sb);
}

static const struct token_key short_key = { .secret = "k", .secret_len = 1 };

/* One, two and three bytes behind the last whole group. */
static void
every_length_is_encoded_without_padding(void **state)
{
	static const char *const users[] = { "a", "ab", "abc" };
	struct strbuf sb = STRBUF_INIT;
	struct token t = { 0 };

	for (size_t i = 0; i < 3; i++) {
		t.user = users[i];
		sb_reset(&sb);
		assert_int_equal(token_sign(&t, &short_key, &sb), 0);
		assert_null(strpbrk(sb.data, "=+/\n"));
		/* 32 bytes of signature are 43 characters */
		assert_int_equal(strlen(strrchr(sb.data, '.') + 1), 43);
	}
	sb_clear(&sb);
}

static void
claims_that_are_not_there_are_left_out(void **state)
{
	struct strbuf sb = STRBUF_INIT;
	const struct token t = { .user = "a", .issued = 1, .expires = 2 };

	assert_int_equal(token_sign(&t, &short_key, &sb), 0);
	/* {"sub":"a","workspaces":[],"iat":1,"exp":2} */
	assert_non_null(strstr(sb.data,
	    ".eyJzdWIiOiJhIiwid29ya3NwYWNlcyI6W10sImlhdCI6MSwiZXhwIjoyfQ."));
	sb_clear(&sb);
}

/* The key of a file with this text. */
static EVP_PKEY *
load(const char *pem, enum key_alg *alg)
{
	char path[] = "/tmp/chatd-test-key-XXXXXX";
	const char *reason = NULL;
	int fd = mkstemp(path);
	EVP_PKEY *pkey;

	assert_int_not_equal(fd, -1);
	assert_int_equal(write(fd, pem, strlen(pem)), strlen(pem));
	(void)close(fd);
	pkey = token_key_load(path, alg, &reason);
	assert_int_equal(pkey == NULL, reason != NULL);
	(void)unlink(path);
	return pkey;
}

static const struct {
	const char *pem;
	enum key_alg usual, last;
} key_files[] = {
	{ RSA_PRIVATE, KEY_RS256, KEY_PS512 },
	{ P256_PRIVATE, KEY_ES256, KEY_ES256 },
	{ P384_PRIVATE, KEY_ES384, KEY_ES384 },
	{ P521_PRIVATE, KEY_ES512, KEY_ES512 },
	{ ED_PRIVATE, KEY_EDDSA, KEY_EDDSA },
};

static void
assert_taken(const struct token *t, const struct token_key *key,
    const struct config *cfg)
{
	struct strbuf sb = STRBUF_INIT;
	struct identity *id;
	enum chat_error err;

	assert_null(token_key_misfit(t->alg, key));
	assert_int_equal(token_sign(t, key, &sb), 0);
	id = verify(cfg, sb.data, &err);
	if (id == NULL)
		fail_msg("%s: %s", key_alg_name(t->alg), why);
	assert_string_equal(id->token_id, "t-1");
	identity_free(&id);
	sb_clear(&sb);
}

static void
the_daemon_takes_all_algorithms(void **state)
{
	struct keys *keys = keys_of_jwks(SECRET_JWK
	    "," RSA_JWK "," P256_JWK "," P384_JWK "," P521_JWK "," ED_JWK);
	struct config cfg = config_with(keys);
	struct token t = { .user = "ada",
		.id = "t-1",
		.issued = NOW_MS / 1000,
		.not_before = NOW_MS / 1000,
		.expires = NOW_MS / 1000 + 60 };
	struct token_key key = { .secret = SECRET,
		.secret_len = strlen(SECRET) };
	enum key_alg usual;
	unsigned i, alg, n = 3;

	for (alg = KEY_HS256; alg <= KEY_HS512; alg++) {
		t.alg = (enum key_alg)alg;
		assert_taken(&t, &key, &cfg);
	}
	for (i = 0; i < sizeof(key_files) / sizeof(key_files[0]); i++) {
		key.pkey = load(key_files[i].pem, &usual);
		assert_non_null(key.pkey);
		assert_int_equal(usual, key_files[i].usual);
		for (alg = usual; alg <= key_files[i].last; alg++, n++) {
			t.alg = (enum key_alg)alg;
			assert_taken(&t, &key, &cfg);
		}
		EVP_PKEY_free(key.pkey);
	}
	assert_int_equal(n, KEY_ALG__MAX);
	keys_free(&keys);
}

static void
its_key_is_named(void **state)
{
	struct keys *keys = keys_of_jwks("{\"kty\":\"oct\",\"kid\":\"k1\","
					 "\"k\":\"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0N"
					 "TY3ODlhYmNkZWY\"}");
	struct config cfg = config_with(keys);
	const struct token_key key = { .secret = SECRET, .secret_len = 32 };
	struct token t = { .user = "ada",
		.id = "t-1",
		.kid = "k1",
		.expires = NOW_MS / 1000 + 60 };
	struct strbuf sb = STRBUF_INIT;
	enum chat_error err;

	assert_taken(&t, &key, &cfg);
	t.kid = "k2";
	assert_int_equal(token_sign(&t, &key, &sb), 0);
	assert_null(verify(&cfg, sb.data, &err));
	assert_string_equal(why, "no key of this kid");
	sb_clear(&sb);
	keys_free(&keys);
}

static void
what_cannot_be_signed_is_told(void **state)
{
	struct token_key key = { .secret = SECRET, .secret_len = 47 };
	enum key_alg usual;

	assert_null(token_key_misfit(KEY_HS256, &key));
	assert_non_null(token_key_misfit(KEY_HS384, &key));
	assert_non_null(token_key_misfit(KEY_RS256, &key));
	key.pkey = load(RSA_PRIVATE, &usual);
	assert_null(token_key_misfit(KEY_PS384, &key));
	assert_non_null(token_key_misfit(KEY_HS256, &key));
	assert_non_null(token_key_misfit(KEY_ES256, &key));
	EVP_PKEY_free(key.pkey);
	/* public, another text, none */
	assert_null(load(RSA_PUBLIC, &usual));
	assert_null(load("hello\n", &usual));
	assert_null(load("", &usual));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_token_is_what_anybody_else_would_have_made),
		cmocka_unit_test(every_length_is_encoded_without_padding),
		cmocka_unit_test(claims_that_are_not_there_are_left_out),
		cmocka_unit_test(the_daemon_takes_all_algorithms),
		cmocka_unit_test(its_key_is_named),
		cmocka_unit_test(what_cannot_be_signed_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
