/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * fuzz_token - files of keys, and tokens: a text as it comes, a header and
 * claims that are signed as they should be.  The first byte says which.
 * What is let in has said what it must.
 */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "chat/identity.h"
#include "chat/token.h"
#include "common/base64url.h"
#include "common/json.h"
#include "common/keys.h"
#include "common/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NOW_MS UINT64_C(1700000000000)
#define SECRET "0123456789abcdef0123456789abcdef"
#define DEPTH 16
#define TEXT_MAX (64 * 1024)

static const char set[] =
    "{\"keys\":[{\"kty\":\"oct\",\"kid\":\"a\",\"k\":"
    "\"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY\"},"
    "{\"kty\":\"EC\",\"kid\":\"b\",\"crv\":\"P-256\",\"x\":"
    "\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\",\"y\":"
    "\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"},"
    "{\"kty\":\"OKP\",\"kid\":\"c\",\"crv\":\"Ed25519\",\"x\":"
    "\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}";

static unsigned nwrong;

static void
on_wrong(void *arg, const char *text)
{
	CHECK(text[0] != '\0');
	nwrong++;
}

/* --- files of keys ------------------------------------------------------------- */

static void
check_key(const struct key *k)
{
	uint8_t buf[KEYS_SECRET_MAX + 2];
	unsigned i,
	    n = k->type == KEY_ED25519 ? 0
	    : k->type == KEY_SECRET    ? 1
				       : 2;

	CHECK(k->algs != 0);
	CHECK((k->type == KEY_SECRET) == (k->signature_len == 0));
	CHECK((k->type == KEY_ED25519) == (k->pkey != NULL));
	for (i = 0; i < KEY_ALG__MAX; i++) {
		if (k->algs & 1U << i)
			CHECK(key_alg_type((enum key_alg)i) == k->type);
	}
	for (i = 0; i < n; i++) {
		CHECK(strlen(k->member[i]) <= base64url_size(KEYS_SECRET_MAX));
		CHECK(base64url_decode(buf, k->member[i],
			  strlen(k->member[i])) > 0);
	}
}

static void
read_file(bool jwks, const uint8_t *data, size_t size)
{
	struct keys *keys = keys_new();
	bool fine;
	size_t i;

	nwrong = 0;
	fine = jwks ? keys_add_jwks(keys, data, size, on_wrong, NULL)
		    : keys_add_pem(keys, data, size, on_wrong, NULL);
	CHECK(fine == (nwrong == 0));
	CHECK(!fine || keys->n > 0);
	CHECK(keys->n <= KEYS_MAX);
	for (i = 0; i < keys->n; i++)
		check_key(&keys->v[i]);
	keys_free(&keys);
}

/* --- tokens -------------------------------------------------------------------- */

static struct identity *
verify(const char *token, size_t len)
{
	static struct keys *keys;
	static char nothing[] = "";
	struct config cfg = { .auth_mode = AUTH_MODE_JWT,
		.auth_issuer = nothing,
		.auth_audience = nothing };
	enum chat_error err = CHAT_OK;
	const char *why = NULL;
	struct identity *id;

	if (keys == NULL) {
		keys = keys_new();
		CHECK(keys_add_jwks(keys, set, sizeof(set) - 1, NULL, NULL));
	}
	cfg.keys = keys;
	id = token_verify(&cfg, token, len, NOW_MS, &err, &why);
	CHECK((id == NULL) == (why != NULL));
	if (id == NULL)
		CHECK(
		    err == CHAT_E_TOKEN_INVALID || err == CHAT_E_TOKEN_EXPIRED);
	return id;
}

static size_t
put(char *to, const void *p, size_t len)
{
	base64url_encode(to, p, len);
	return base64url_size(len);
}

/* Signed by HS256, whatever stands in it. */
static struct identity *
verify_signed(const void *header, size_t header_len, const void *claims,
    size_t claims_len)
{
	static char text[TEXT_MAX];
	uint8_t mac[EVP_MAX_MD_SIZE];
	unsigned mac_len;
	size_t n;

	n = put(text, header, header_len);
	text[n++] = '.';
	n += put(text + n, claims, claims_len);
	CHECK(HMAC(EVP_sha256(), SECRET, sizeof(SECRET) - 1,
		  (const uint8_t *)text, n, mac, &mac_len) != NULL);
	text[n++] = '.';
	n += put(text + n, mac, mac_len);
	return verify(text, n);
}

static void
try_header(const char *p, size_t len)
{
	static const char claims[] = "{\"sub\":\"ada\",\"exp\":1700003600}";
	struct identity *id;
	struct json_value v, kid;
	const char *why;

	id = verify_signed(p, len, claims, sizeof(claims) - 1);
	if (id == NULL)
		return;
	CHECK(json_scan(p, len, DEPTH, &why) == JSON_FINE);
	v = json_value(p, len);
	CHECK(json_is(json_member(v, "alg"), "HS256"));
	CHECK(json_member(v, "crit").kind == JSON_KIND_NONE);
	CHECK(json_member(v, "b64").kind == JSON_KIND_NONE);
	/* there is no key without a name */
	kid = json_member(v, "kid");
	CHECK(kid.kind == JSON_KIND_NONE || json_is(kid, "a"));
	identity_free(&id);
}

static void
try_claims(const char *p, size_t len)
{
	static const char header[] = "{\"alg\":\"HS256\"}";
	struct identity *id;

	id = verify_signed(header, sizeof(header) - 1, p, len);
	if (id == NULL)
		return;
	CHECK(id->user_id[0] != '\0' && strlen(id->user_id) <= 128);
	CHECK(id->user_name[0] != '\0');
	CHECK(id->expires_ms >= NOW_MS && !id->all_workspaces);
	CHECK(id->token_id == NULL || strlen(id->token_id) <= 256);
	identity_free(&id);
}

/* Nobody but who has a key makes one that is let in. */
static void
try_text(const char *p, size_t len)
{
	CHECK(verify(p, len) == NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data + 1;
	size_t len = size - 1;

	if (size == 0 || size > TEXT_MAX / 4)
		return 0;
	log_set_level(LOG_LEVEL_ERROR);
	switch (data[0]) {
	case 'j':
		read_file(true, data + 1, len);
		break;
	case 'p':
		read_file(false, data + 1, len);
		break;
	case 'h':
		try_header(text, len);
		break;
	case 'c':
		try_claims(text, len);
		break;
	default:
		try_text(text, len);
		break;
	}
	return 0;
}
