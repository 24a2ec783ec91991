/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_token - a good token is let in; each bad one is refused for what is
 * bad about it, and would be let in without that.
 *
 * Tokens are made here with libcrypto's HMAC, not with what checks them.
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

#define HEADER "{\"alg\":\"HS256\",\"typ\":\"JWT\"}"
/* in an hour */
#define EXP "\"exp\":1700003600"

static char issuer[] = "https://issuer.example";
static char audience[] = "chat";
static struct keys *keys;

/* With the first 'len' bytes of the secret. */
static struct config
config_of(size_t len)
{
	keys_free(&keys);
	keys = keys_new();
	assert_int_equal(keys_add_secret(keys, SECRET, len),
	    len >= KEYS_SECRET_MIN);
	return config_with(keys);
}

static struct config
config(void)
{
	return config_of(sizeof(SECRET) - 1);
}

static int
teardown(void **state)
{
	keys_free(&keys);
	return 0;
}

/* Sign 'header'.'claims' with this hash and key. */
static char *
sign(const char *header, const char *claims, const EVP_MD *(*md)(void),
    const char *key, size_t key_len)
{
	const struct how how = { .secret = key,
		.secret_len = key_len,
		.md = md };

	return token_signed(header, claims, &how);
}

static char *
token(const char *header, const char *claims)
{
	return sign(header, claims, EVP_sha256, SECRET, sizeof(SECRET) - 1);
}

static void
a_good_token_tells_who_it_is(void **state)
{
	struct config cfg = config();
	enum chat_error err;
	char *t = token(HEADER,
	    "{\"sub\":\"auth0|17\",\"name\":\"Ada L\",\"exp\":1700003600.5,"
	    "\"nbf\":1700000000,\"iat\":1699999999.25,\"jti\":\"t-1\",\"role\":"
	    "\"agent\","
	    "\"workspaces\":[\"w1\",{\"id\":\"w2\",\"role\":\"service\","
	    "\"sessions\":[\"s1\"]}],\"unknown\":{\"x\":[1]}}");
	struct identity *id = verify(&cfg, t, &err);

	assert_non_null(id);
	assert_string_equal(id->user_id, "auth0|17");
	assert_string_equal(id->user_name, "Ada L");
	assert_int_equal(id->role, IDENTITY_AGENT);
	assert_int_equal(id->expires_ms, 1700003600500);
	assert_int_equal(id->issued_ms, 1699999999250);
	assert_string_equal(id->token_id, "t-1");
	assert_false(id->all_workspaces);
	assert_true(identity_allows(id, "w1", "any", NULL));
	assert_true(identity_allows(id, "w2", "s1", NULL));
	assert_false(identity_allows(id, "w2", "s2", NULL));
	identity_free(&id);
	free(t);
}

static void
without_workspaces_it_gives_none(void **state)
{
	struct config cfg = config();
	enum chat_error err;
	char *t = token(HEADER, CLAIMS);
	struct identity *id = verify(&cfg, t, &err);

	assert_non_null(id);
	assert_false(identity_allows(id, "w1", "s1", NULL));
	assert_string_equal(id->user_name, "ada");
	assert_null(id->token_id);
	assert_int_equal(id->issued_ms, 0);
	identity_free(&id);
	free(t);
}

static void
three_algorithms_are_known(void **state)
{
	struct config cfg = config();

	assert_accepted(&cfg, token(HEADER, CLAIMS), "HS256");
	assert_accepted(&cfg,
	    sign("{\"alg\":\"HS384\"}", CLAIMS, EVP_sha384, SECRET, 64),
	    "HS384");
	assert_accepted(&cfg,
	    sign("{\"alg\":\"HS512\"}", CLAIMS, EVP_sha512, SECRET, 64),
	    "HS512");
}

static void
a_secret_must_be_as_long_as_the_hash(void **state)
{
	static const struct {
		const char *header;
		const EVP_MD *(*md)(void);
		size_t bytes;
	} rows[] = { { "{\"alg\":\"HS256\"}", EVP_sha256, 32 },
		{ "{\"alg\":\"HS384\"}", EVP_sha384, 48 },
		{ "{\"alg\":\"HS512\"}", EVP_sha512, 64 } };
	struct config cfg;
	size_t i;

	for (i = 0; i < 3; i++) {
		cfg = config_of(rows[i].bytes);
		assert_accepted(&cfg,
		    sign(rows[i].header, CLAIMS, rows[i].md, SECRET,
			rows[i].bytes),
		    rows[i].header);
		cfg = config_of(rows[i].bytes - 1);
		assert_refused(&cfg,
		    sign(rows[i].header, CLAIMS, rows[i].md, SECRET,
			rows[i].bytes - 1),
		    i == 0 ? CHAT_E_AUTH_UNAVAILABLE : CHAT_E_TOKEN_INVALID,
		    i == 0 ? "there are no keys" : "no key for alg",
		    rows[i].header);
	}
}

static void
without_keys_nobody_can_tell(void **state)
{
	struct config cfg = config_of(0);

	assert_refused(&cfg, token(HEADER, CLAIMS), CHAT_E_AUTH_UNAVAILABLE,
	    "there are no keys", "an empty set");
	cfg.keys = NULL;
	assert_refused(&cfg, token(HEADER, CLAIMS), CHAT_E_AUTH_UNAVAILABLE,
	    "there are no keys", "no set");
}

#define WRONG "the signature is wrong"
#define NO_JSON "the header is no JSON object"
#define NO_ALG "alg is missing or no string"

static const struct {
	const char *header, *why;
} bad_headers[] = {
	{ "{}", NO_ALG },
	{ "{\"typ\":\"JWT\"}", NO_ALG },
	{ "{\"alg\":null}", NO_ALG },
	{ "{\"alg\":256}", NO_ALG },
	{ "{\"alg\":[\"HS256\"]}", NO_ALG },
	{ "{\"alg\":\"\"}", "alg is unknown" },
	{ "{\"alg\":\"none\"}", "alg is none" },
	{ "{\"alg\":\"None\"}", "alg is unknown" },
	{ "{\"alg\":\"nOnE\"}", "alg is unknown" },
	{ "{\"alg\":\"hs256\"}", "alg is unknown" },
	{ "{\"alg\":\"HS1\"}", "alg is unknown" },
	{ "{\"alg\":\"HS2567\"}", "alg is unknown" },
	{ "{\"alg\":\"HS256 \"}", "alg is unknown" },
	{ "{\"alg\":\"ES256K\"}", "alg is unknown" },
	{ "{\"alg\":\"Ed25519\"}", "alg is unknown" },
	{ "{\"alg\":\"A128KW\"}", "alg is unknown" },
	{ "{\"alg\":\"HS256HS256HS256HS256\"}", "alg is unknown" },
	{ "{\"alg\":\"RS256\"}", "no key for alg" },
	{ "{\"alg\":\"PS256\"}", "no key for alg" },
	{ "{\"alg\":\"ES256\"}", "no key for alg" },
	{ "{\"alg\":\"EdDSA\"}", "no key for alg" },
	{ "{\"alg\":\"HS384\"}", "the signature has another length" },
	{ "{\"alg\":\"HS512\"}", "the signature has another length" },
	{ "{\"alg\":\"HS256\",\"alg\":\"HS256\"}", NO_JSON },
	{ "{\"alg\":\"HS256\",\"\\u0061lg\":\"none\"}", NO_JSON },
	{ "{\"alg\":\"HS256\",\"crit\":[\"exp\"],\"exp\":1}",
	    "the header has crit" },
	{ "{\"alg\":\"HS256\",\"crit\":[]}", "the header has crit" },
	{ "{\"alg\":\"HS256\",\"crit\":null}", "the header has crit" },
	{ "{\"alg\":\"HS256\",\"b64\":false}", "the header has b64" },
	{ "{\"alg\":\"HS256\",\"b64\":false,\"crit\":[\"b64\"]}",
	    "the header has crit" },
	{ "{\"alg\":\"HS256\",\"b64\":true}", "the header has b64" },
	{ "{\"alg\":\"HS256\",\"typ\":1}", "typ is no string" },
	{ "{\"alg\":\"HS256\",\"kid\":1}", "kid is no string" },
	{ "{\"alg\":\"HS256\",\"kid\":null}", "kid is no string" },
	{ "{\"alg\":\"HS256\",\"kid\":[\"a\"]}", "kid is no string" },
	{ "{\"alg\":\"HS256\"", NO_JSON },
	{ "{\"alg\":\"HS256\"}x", NO_JSON },
	{ "[\"HS256\"]", NO_JSON },
	{ "\"HS256\"", NO_JSON },
	{ "null", NO_JSON },
	{ "{alg:\"HS256\"}", NO_JSON },
	{ "{\"alg\":\"HS256\",\"x\":\"\\ud800\"}", NO_JSON },
};

/* Signed with the right key by the right hash, and still refused. */
static void
bad_headers_are_refused(void **state)
{
	struct config cfg = config();
	char kid[400];
	size_t i;

	for (i = 0; i < sizeof(bad_headers) / sizeof(bad_headers[0]); i++)
		assert_invalid(&cfg, token(bad_headers[i].header, CLAIMS),
		    bad_headers[i].why, bad_headers[i].header);
	(void)snprintf(kid, sizeof(kid),
	    "{\"alg\":\"HS256\",\"kid\":\"%0257d\"}", 0);
	assert_invalid(&cfg, token(kid, CLAIMS), "kid is too long", kid);
}

static void
harmless_headers_are_let_in(void **state)
{
	static const char *const headers[] = { "{\"alg\":\"HS256\"}",
		"{\"typ\":\"at+jwt\",\"alg\":\"HS256\"}",
		"{\"alg\":\"\\u0048S256\",\"kid\":\"k1\"}",
		" { \"alg\" : \"HS256\" } " };
	struct config cfg = config();
	size_t i;

	for (i = 0; i < sizeof(headers) / sizeof(headers[0]); i++)
		assert_accepted(&cfg, token(headers[i], CLAIMS), headers[i]);
}

/* A key that the token brings along is no key. */
static void
keys_in_the_header_are_not_used(void **state)
{
	struct config cfg = config();
	static const char mine[] = "attackerattackerattackerattacker";

	assert_invalid(&cfg,
	    sign("{\"alg\":\"HS256\",\"jwk\":{\"kty\":\"oct\",\"k\":"
		 "\"YXR0YWNrZXJhdHRhY2tlcmF0dGFja2VyYXR0YWNrZXI\"}}",
		CLAIMS, EVP_sha256, mine, 32),
	    WRONG, "jwk");
	assert_invalid(&cfg,
	    sign("{\"alg\":\"HS256\",\"jku\":\"http://evil/\"}", CLAIMS,
		EVP_sha256, mine, 32),
	    WRONG, "jku");
	assert_invalid(&cfg,
	    sign("{\"alg\":\"HS256\",\"kid\":\"/dev/null\"}", CLAIMS,
		EVP_sha256, "", 0),
	    WRONG, "kid of a file");
	/* nor is an empty one, nor the hash of another length */
	assert_invalid(&cfg, sign(HEADER, CLAIMS, EVP_sha256, "", 0), WRONG,
	    "empty key");
	assert_invalid(&cfg, sign(HEADER, CLAIMS, EVP_sha512, SECRET, 64),
	    "the signature has another length", "HS512 said to be HS256");
	assert_invalid(&cfg,
	    sign("{\"alg\":\"HS512\"}", CLAIMS, EVP_sha256, SECRET, 64),
	    "the signature has another length", "HS256 said to be HS512");
	assert_invalid(&cfg, sign(HEADER, CLAIMS, EVP_sha256, SECRET, 63),
	    WRONG, "secret without its last byte");
}

#define NO_OBJECT "the payload is no JSON object"
#define NO_LIST "workspaces is no list of workspaces"

static const struct {
	const char *claims, *why;
} bad_claims[] = {
	{ "{\"sub\":\"ada\"}", "exp is missing" },
	{ "{" EXP "}", "sub is missing or no user id" },
	{ "{}", "exp is missing" },
	{ "[]", NO_OBJECT },
	{ "\"ada\"", NO_OBJECT },
	{ "{\"sub\":\"ada\"," EXP "", NO_OBJECT },
	{ "{\"sub\":\"ada\"," EXP "}{}", NO_OBJECT },
	{ "{\"sub\":\"ada\",\"sub\":\"bob\"," EXP "}", NO_OBJECT },
	{ "{\"sub\":\"ada\",\"exp\":\"1700003600\"}", "exp is no number" },
	{ "{\"sub\":\"ada\",\"exp\":null}", "exp is no number" },
	{ "{\"sub\":\"ada\",\"exp\":1e400}", "exp is no number" },
	{ "{\"sub\":\"ada\",\"exp\":[1700003600]}", "exp is no number" },
	{ "{\"sub\":\"ada\",\"exp\":true}", "exp is no number" },
	{ "{\"sub\":\"ada\",\"exp\":1700000000}", "exp is over" },
	{ "{\"sub\":\"ada\",\"exp\":1699999999}", "exp is over" },
	{ "{\"sub\":\"ada\",\"exp\":1699999999.999}", "exp is over" },
	{ "{\"sub\":\"ada\",\"exp\":0}", "exp is over" },
	{ "{\"sub\":\"ada\",\"exp\":-1e300}", "exp is over" },
	{ "{\"sub\":\"ada\",\"nbf\":1700000001," EXP "}", "nbf has not come" },
	{ "{\"sub\":\"ada\",\"nbf\":1700000000.001," EXP "}",
	    "nbf has not come" },
	{ "{\"sub\":\"ada\",\"nbf\":\"0\"," EXP "}", "nbf is no number" },
	{ "{\"sub\":\"ada\",\"iat\":\"0\"," EXP "}", "iat is no number" },
	{ "{\"sub\":\"ada\",\"iat\":{}," EXP "}", "iat is no number" },
	{ "{\"sub\":\"\"," EXP "}", "sub is missing or no user id" },
	{ "{\"sub\":7," EXP "}", "sub is missing or no user id" },
	{ "{\"sub\":null," EXP "}", "sub is missing or no user id" },
	{ "{\"sub\":[\"ada\"]," EXP "}", "sub is missing or no user id" },
	{ "{\"sub\":\"a\\nb\"," EXP "}", "sub is missing or no user id" },
	{ "{\"sub\":\"ada\",\"name\":7," EXP "}", "name is no user name" },
	{ "{\"sub\":\"ada\",\"name\":\"\"," EXP "}", "name is no user name" },
	{ "{\"sub\":\"ada\",\"name\":\"a\\u0007\"," EXP "}",
	    "name is no user name" },
	{ "{\"sub\":\"ada\",\"role\":\"root\"," EXP "}", "role is unknown" },
	{ "{\"sub\":\"ada\",\"role\":[\"user\"]," EXP "}", "role is unknown" },
	{ "{\"sub\":\"ada\",\"role\":null," EXP "}", "role is unknown" },
	{ "{\"sub\":\"ada\",\"workspaces\":\"w1\"," EXP "}", NO_LIST },
	{ "{\"sub\":\"ada\",\"workspaces\":{\"id\":\"w1\"}," EXP "}", NO_LIST },
	{ "{\"sub\":\"ada\",\"workspaces\":null," EXP "}", NO_LIST },
	{ "{\"sub\":\"ada\",\"workspaces\":[{\"id\":\"w1\",\"role\":"
	  "\"root\"}]," EXP "}",
	    NO_LIST },
	{ "{\"sub\":\"ada\",\"workspaces\":[\"w/1\"]," EXP "}", NO_LIST },
	{ "{\"sub\":\"ada\",\"workspaces\":[7]," EXP "}", NO_LIST },
	{ "{\"sub\":\"ada\",\"workspaces\":[{\"sessions\":[]}]," EXP "}",
	    NO_LIST },
	{ "{\"sub\":\"ada\",\"workspaces\":[{\"id\":\"w1\","
	  "\"sessions\":\"s1\"}]," EXP "}",
	    NO_LIST },
	{ "{\"sub\":\"ada\",\"workspaces\":[{\"id\":\"w1\","
	  "\"sessions\":[\"s/1\"]}]," EXP "}",
	    NO_LIST },
	{ "{\"sub\":\"ada\",\"jti\":7," EXP "}", "jti is no id" },
	{ "{\"sub\":\"ada\",\"jti\":\"\"," EXP "}", "jti is no id" },
	{ "{\"sub\":\"ada\",\"jti\":\"a\\tb\"," EXP "}", "jti is no id" },
	{ "{\"sub\":\"ada\",\"aud\":7," EXP "}",
	    "aud is no string and no list" },
	{ "{\"sub\":\"ada\",\"aud\":{\"chat\":1}," EXP "}",
	    "aud is no string and no list" },
	{ "{\"sub\":\"ada\",\"aud\":[\"chat\",7]," EXP "}",
	    "aud holds something but strings" },
	/* wrong and expired: wrong */
	{ "{\"sub\":\"\",\"exp\":1}", "sub is missing or no user id" },
};

static void
bad_claims_are_refused(void **state)
{
	struct config cfg = config();
	char text[600];
	size_t i;

	for (i = 0; i < sizeof(bad_claims) / sizeof(bad_claims[0]); i++)
		assert_refused(&cfg, token(HEADER, bad_claims[i].claims),
		    strcmp(bad_claims[i].why, "exp is over") == 0
			? CHAT_E_TOKEN_EXPIRED
			: CHAT_E_TOKEN_INVALID,
		    bad_claims[i].why, bad_claims[i].claims);
	(void)snprintf(text, sizeof(text), "{\"sub\":\"%0129d\"," EXP "}", 0);
	assert_invalid(&cfg, token(HEADER, text),
	    "sub is missing or no user id", text);
	(void)snprintf(text, sizeof(text),
	    "{\"sub\":\"ada\",\"name\":\"%0129d\"," EXP "}", 0);
	assert_invalid(&cfg, token(HEADER, text), "name is no user name", text);
	(void)snprintf(text, sizeof(text),
	    "{\"sub\":\"ada\",\"jti\":\"%0257d\"," EXP "}", 0);
	assert_invalid(&cfg, token(HEADER, text), "jti is no id", text);
}

static void
expired_is_only_what_is_else_right(void **state)
{
	struct config cfg = config();

	assert_invalid(&cfg,
	    sign(HEADER, "{\"sub\":\"ada\",\"exp\":1}", EVP_sha256,
		"anothersecretanothersecretanothersecret", 39),
	    WRONG, "another secret");
	cfg.auth_issuer = issuer;
	assert_invalid(&cfg, token(HEADER, "{\"sub\":\"ada\",\"exp\":1}"),
	    "iss is missing or no string", "no issuer");
}

static void
issuer_and_audience_are_checked_when_configured(void **state)
{
	static const struct {
		const char *claims, *why;
	} rows[] = {
		{ "{\"iss\":\"https://"
		  "issuer.example\",\"aud\":\"chat\",\"sub\":\"ada\"," EXP "}",
		    NULL },
		{ "{\"iss\":\"https://"
		  "issuer.example\",\"aud\":[\"x\",\"chat\"],\"sub\":"
		  "\"ada\"," EXP "}",
		    NULL },
		{ "{\"aud\":\"chat\",\"sub\":\"ada\"," EXP "}",
		    "iss is missing or no string" },
		{ "{\"iss\":\"https://issuer.example/"
		  "\",\"aud\":\"chat\",\"sub\":\"ada\"," EXP "}",
		    "iss is another" },
		{ "{\"iss\":[\"https://"
		  "issuer.example\"],\"aud\":\"chat\",\"sub\":\"ada\"," EXP "}",
		    "iss is missing or no string" },
		{ "{\"iss\":\"https://issuer.example\",\"sub\":\"ada\"," EXP
		  "}",
		    "aud is missing" },
		{ "{\"iss\":\"https://"
		  "issuer.example\",\"aud\":\"Chat\",\"sub\":\"ada\"," EXP "}",
		    "aud is another" },
		{ "{\"iss\":\"https://"
		  "issuer.example\",\"aud\":[],\"sub\":\"ada\"," EXP "}",
		    "aud is another" },
		{ "{\"iss\":\"https://"
		  "issuer.example\",\"aud\":[[\"chat\"]],\"sub\":\"ada\"," EXP
		  "}",
		    "aud holds something but strings" },
		{ "{\"iss\":\"https://"
		  "issuer.example\",\"aud\":{\"chat\":1},\"sub\":\"ada\"," EXP
		  "}",
		    "aud is no string and no list" },
	};
	struct config cfg = config();
	size_t i;

	cfg.auth_issuer = issuer;
	cfg.auth_audience = audience;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (rows[i].why == NULL)
			assert_accepted(&cfg, token(HEADER, rows[i].claims),
			    rows[i].claims);
		else
			assert_invalid(&cfg, token(HEADER, rows[i].claims),
			    rows[i].why, rows[i].claims);
	}
	/* and are nobody's business otherwise */
	cfg = config();
	assert_accepted(&cfg, token(HEADER, rows[0].claims), "any");
}

/* A good token, changed in its text; 'from' NULL: at its end. */
static char *
changed(const char *from, const char *to)
{
	char *t = token(HEADER, CLAIMS), *r;
	const char *p = from == NULL ? t + strlen(t) : strstr(t, from);

	assert_non_null(p);
	assert_true(asprintf(&r, "%.*s%s%s", (int)(p - t), t, to,
			from == NULL ? "" : p + strlen(from)) > 0);
	free(t);
	return r;
}

#define NO_PARTS "not header.payload.signature"
#define NO_BASE64 "a part is no base64url"

static void
other_forms_are_refused(void **state)
{
	static const struct {
		const char *text, *why;
	} texts[] = { { "", NO_PARTS }, { ".", "a part is empty" },
		{ "..", "a part is empty" }, { "...", "a part is empty" },
		{ "a", NO_PARTS }, { "a.b.c", NO_BASE64 }, { "AA", NO_PARTS },
		{ "AA.AA", NO_PARTS }, { "AA.AA.AA", NO_JSON },
		{ "AA.AA.AA.AA", NO_PARTS }, { "AA.AA.AA.AA.AA", NO_PARTS },
		{ "null", NO_PARTS }, { "{}", NO_PARTS } };
	/* where, instead of what, why */
	static const struct {
		const char *from, *to, *why;
	} rows[] = { { NULL, "=", NO_BASE64 }, { NULL, " ", NO_BASE64 },
		{ NULL, "\n", NO_BASE64 }, { NULL, ".", NO_PARTS },
		{ NULL, ".e30", NO_PARTS },
		{ NULL, "A", "the signature has another length" },
		{ NULL, "AA", NO_BASE64 }, { "eyJ", " eyJ", NO_BASE64 },
		{ ".", " .", NO_BASE64 }, { ".", ".\n", NO_BASE64 },
		{ ".", ".=", NO_BASE64 }, { "J", "+", NO_BASE64 },
		{ ".", ".\xff", NO_BASE64 }, { ".", ".\xc3\xa4", NO_BASE64 },
		{ NULL, "\xd5\xc6", NO_BASE64 } };
	struct config cfg = config();
	char *t, *q;
	size_t i;

	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_invalid(&cfg, strdup(texts[i].text), texts[i].why,
		    texts[i].text);
	assert_accepted(&cfg, changed(NULL, ""), "unchanged");
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_invalid(&cfg, changed(rows[i].from, rows[i].to),
		    rows[i].why, rows[i].to);
	/* without a signature */
	t = token(HEADER, CLAIMS);
	*strrchr(t, '.') = '\0';
	assert_invalid(&cfg, t, NO_PARTS, "two parts");
	t = token(HEADER, CLAIMS);
	strrchr(t, '.')[1] = '\0';
	assert_invalid(&cfg, t, "a part is empty", "empty signature");
	/* cut short, at every length */
	t = token(HEADER, CLAIMS);
	for (i = strlen(t) - 1; i > 0; i--) {
		q = strdup(t);
		assert_non_null(q);
		q[i] = '\0';
		assert_not_accepted(&cfg, q);
	}
	free(t);
}

/* The last character of 32 bytes has two bits too many: they must be 0. */
static void
there_is_one_way_to_write_a_signature(void **state)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				     "abcdefghijklmnopqrstuvwxyz0123456789-_";
	struct config cfg = config();
	char *t = token(HEADER, CLAIMS), *q;
	size_t last = strlen(t) - 1, v;

	v = (size_t)(strchr(digits, t[last]) - digits);
	assert_int_equal(v & 3, 0);
	for (size_t bits = 1; bits < 4; bits++) {
		assert_non_null(q = strdup(t));
		q[last] = digits[v | bits];
		assert_invalid(&cfg, q, NO_BASE64, "spare bits");
	}
	free(t);
}

static void
every_byte_counts(void **state)
{
	struct config cfg = config();
	char *t = token(HEADER, CLAIMS), *q;
	size_t i;

	for (i = 0; i < strlen(t); i++) {
		if (t[i] == '.')
			continue;
		assert_non_null(q = strdup(t));
		q[i] = t[i] == 'A' ? 'B' : 'A';
		assert_not_accepted(&cfg, q);
	}
	free(t);
}

static void
the_json_serializations_are_refused(void **state)
{
	struct config cfg = config();
	char *t = token(HEADER, CLAIMS), *json;
	const char *payload = strchr(t, '.') + 1;
	const char *sig = strrchr(t, '.') + 1;
	int hlen = (int)(payload - t) - 1, plen = (int)(sig - payload) - 1;

	assert_true(asprintf(&json,
			"{\"protected\":\"%.*s\",\"payload\":\"%.*s\","
			"\"signature\":\"%s\"}",
			hlen, t, plen, payload, sig) > 0);
	assert_invalid(&cfg, json, NO_PARTS, "flattened");
	assert_true(asprintf(&json,
			"{\"payload\":\"%.*s\",\"signatures\":[{"
			"\"protected\":\"%.*s\",\"signature\":\"%s\"},{"
			"\"protected\":\"%.*s\",\"signature\":\"AAAA\"}]}",
			plen, payload, hlen, t, sig, hlen, t) > 0);
	assert_invalid(&cfg, json, NO_PARTS, "general");
	free(t);
}

static void
a_token_has_a_length(void **state)
{
	struct config cfg = config();
	char *claims, *t;
	int n;

	for (n = 12000; n <= 13000; n += 1000) {
		assert_true(asprintf(&claims, "{\"x\":\"%0*d\",%s", n, 0,
				&CLAIMS[1]) > 0);
		t = token(HEADER, claims);
		free(claims);
		assert_int_equal(strlen(t) <= TOKEN_MAX, n == 12000);
		if (n == 12000)
			assert_accepted(&cfg, t, "long");
		else
			assert_invalid(&cfg, t, "it is too long", "longer");
	}
}

/* --- where a token is found (identity.h) ------------------------------------- */

static enum chat_error
authenticate(const char *auth, const char *bearer)
{
	struct config cfg = config();
	enum chat_error err = CHAT_OK;
	struct identity *id;
	id = identity_authenticate(&cfg, auth, strlen(auth), bearer,
	    bearer == NULL ? 0 : strlen(bearer), NOW_MS, &err);
	if (id != NULL)
		err = CHAT_OK;
	identity_free(&id);
	return err;
}

/* {"token":"..."} and what else. */
static enum chat_error
authenticate_with(const char *tok, const char *bearer)
{
	enum chat_error err;
	char *auth;

	assert_true(asprintf(&auth, "{\"token\":\"%s\",\"x\":[]}", tok) > 0);
	err = authenticate(auth, bearer);
	free(auth);
	return err;
}

static void
auth_goes_before_the_header(void **state)
{
	char *t = token(HEADER, CLAIMS);
	char *old = token(HEADER, "{\"sub\":\"ada\",\"exp\":1}");

	assert_int_equal(authenticate_with(t, NULL), CHAT_OK);
	assert_int_equal(authenticate_with(t, old), CHAT_OK);
	assert_int_equal(authenticate_with(old, t), CHAT_E_TOKEN_EXPIRED);
	assert_int_equal(authenticate_with("", t), CHAT_OK);
	assert_int_equal(authenticate("{}", t), CHAT_OK);
	assert_int_equal(authenticate("", t), CHAT_OK);
	assert_int_equal(authenticate("{\"token\":null}", t), CHAT_OK);
	assert_int_equal(authenticate("", old), CHAT_E_TOKEN_EXPIRED);
	free(t);
	free(old);
}

static void
no_token_is_told_apart_from_a_bad_one(void **state)
{
	static const char *const absent[] = { "", "{}", "{\"token\":null}",
		"{\"token\":\"\"}", "{\"userId\":\"ada\"}" };
	static const char *const bad[] = { "{\"token\":7}", "{\"token\":true}",
		"{\"token\":{}}", "{\"token\":[\"x\"]}", "{\"token\":\"x\"}",
		"{\"token\":\"a.b.c\"}", "[]", "1",
		"{\"token\":\"x\",\"token\":\"y\"}", "{\"token\":" };
	char *t = token(HEADER, CLAIMS);
	size_t i;

	for (i = 0; i < sizeof(absent) / sizeof(absent[0]); i++)
		assert_int_equal(authenticate(absent[i], NULL),
		    CHAT_E_AUTHENTICATION_REQUIRED);
	/* a header does not help */
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(authenticate(bad[i], t), CHAT_E_TOKEN_INVALID);
	}
	free(t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_good_token_tells_who_it_is),
		cmocka_unit_test(without_workspaces_it_gives_none),
		cmocka_unit_test(three_algorithms_are_known),
		cmocka_unit_test(a_secret_must_be_as_long_as_the_hash),
		cmocka_unit_test(without_keys_nobody_can_tell),
		cmocka_unit_test(bad_headers_are_refused),
		cmocka_unit_test(harmless_headers_are_let_in),
		cmocka_unit_test(keys_in_the_header_are_not_used),
		cmocka_unit_test(bad_claims_are_refused),
		cmocka_unit_test(expired_is_only_what_is_else_right),
		cmocka_unit_test(
		    issuer_and_audience_are_checked_when_configured),
		cmocka_unit_test(other_forms_are_refused),
		cmocka_unit_test(there_is_one_way_to_write_a_signature),
		cmocka_unit_test(every_byte_counts),
		cmocka_unit_test(the_json_serializations_are_refused),
		cmocka_unit_test(a_token_has_a_length),
		cmocka_unit_test(auth_goes_before_the_header),
		cmocka_unit_test(no_token_is_told_apart_from_a_bad_one),
	};

	return cmocka_run_group_tests(tests, NULL, teardown);
}
