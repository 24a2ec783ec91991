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

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "chat/identity.h"
#include "chat/token.h"

#define NOW_MS 1700000000000ULL
/* 64 bytes, enough for all three */
#define SECRET \
	"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define HEADER "{\"alg\":\"HS256\",\"typ\":\"JWT\"}"
/* in an hour */
#define EXP "\"exp\":1700003600"
#define CLAIMS "{\"sub\":\"ada\"," EXP "}"

static char issuer[] = "https://issuer.example";
static char audience[] = "chat";
static char nothing[] = "";
static uint8_t secret[] = SECRET;

static struct config
config(void)
{
	struct config cfg = { .auth_mode = AUTH_MODE_JWT,
		.auth_issuer = nothing,
		.auth_audience = nothing,
		.auth_secret = secret,
		.auth_secret_len = sizeof(secret) - 1 };

	return cfg;
}

static size_t
base64url(const void *in, size_t len, char *out)
{
	size_t i, n;

	n = (size_t)EVP_EncodeBlock((unsigned char *)out, in, (int)len);
	while (n > 0 && out[n - 1] == '=')
		n--;
	for (i = 0; i < n; i++) {
		if (out[i] == '+')
			out[i] = '-';
		else if (out[i] == '/')
			out[i] = '_';
	}
	out[n] = '\0';
	return n;
}

/* Sign 'header'.'claims' with this hash and key. */
static char *
sign(const char *header, const char *claims, const EVP_MD *md, const char *key,
    size_t key_len)
{
	unsigned char mac[EVP_MAX_MD_SIZE];
	unsigned int mac_len;
	char *t = malloc(2 * strlen(header) + 2 * strlen(claims) + 200);
	size_t n;

	assert_non_null(t);
	n = base64url(header, strlen(header), t);
	t[n++] = '.';
	n += base64url(claims, strlen(claims), t + n);
	assert_non_null(
	    HMAC(md, key, (int)key_len, (unsigned char *)t, n, mac, &mac_len));
	t[n++] = '.';
	base64url(mac, mac_len, t + n);
	return t;
}

static char *
token(const char *header, const char *claims)
{
	return sign(header, claims, EVP_sha256(), SECRET, sizeof(SECRET) - 1);
}

static struct identity *
verify(const struct config *cfg, const char *t, enum chat_error *err)
{
	size_t len = strlen(t);
	char *copy = malloc(len == 0 ? 1 : len);
	struct identity *id;

	assert_non_null(copy);
	memcpy(copy, t, len);
	*err = CHAT_OK;
	id = token_verify(cfg, copy, len, NOW_MS, err);
	assert_int_equal(id == NULL,
	    *err != CHAT_OK && *err != 0 && id == NULL);
	free(copy);
	return id;
}

/* Let in or refused with 'want'? */
static void
assert_verdict(const struct config *cfg, char *t, enum chat_error want,
    const char *what)
{
	enum chat_error err;
	struct identity *id = verify(cfg, t, &err);

	if (want == CHAT_OK && id == NULL)
		fail_msg("%s: refused: %s", what, chat_error_code(err));
	if (want != CHAT_OK && id != NULL)
		fail_msg("%s: let in", what);
	if (want != CHAT_OK)
		assert_int_equal(err, want);
	identity_free(&id);
	free(t);
}

static void
a_good_token_tells_who_it_is(void **state)
{
	struct config cfg = config();
	enum chat_error err;
	char *t = token(HEADER,
	    "{\"sub\":\"auth0|17\",\"name\":\"Ada L\",\"exp\":1700003600.5,"
	    "\"nbf\":1700000000,\"iat\":1699999999,\"role\":\"agent\","
	    "\"workspaces\":[\"w1\",{\"id\":\"w2\",\"role\":\"service\","
	    "\"sessions\":[\"s1\"]}],\"unknown\":{\"x\":[1]}}");
	struct identity *id = verify(&cfg, t, &err);

	assert_non_null(id);
	assert_string_equal(id->user_id, "auth0|17");
	assert_string_equal(id->user_name, "Ada L");
	assert_int_equal(id->role, IDENTITY_AGENT);
	assert_int_equal(id->expires_ms, 1700003600500);
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
	identity_free(&id);
	free(t);
}

static void
three_algorithms_are_known(void **state)
{
	struct config cfg = config();

	assert_verdict(&cfg, token(HEADER, CLAIMS), CHAT_OK, "HS256");
	assert_verdict(&cfg,
	    sign("{\"alg\":\"HS384\"}", CLAIMS, EVP_sha384(), SECRET, 64),
	    CHAT_OK, "HS384");
	assert_verdict(&cfg,
	    sign("{\"alg\":\"HS512\"}", CLAIMS, EVP_sha512(), SECRET, 64),
	    CHAT_OK, "HS512");
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
	struct config cfg = config();
	size_t i;

	for (i = 0; i < 3; i++) {
		cfg.auth_secret_len = rows[i].bytes;
		assert_verdict(&cfg,
		    sign(rows[i].header, CLAIMS, rows[i].md(), SECRET,
			rows[i].bytes),
		    CHAT_OK, rows[i].header);
		cfg.auth_secret_len--;
		assert_verdict(&cfg,
		    sign(rows[i].header, CLAIMS, rows[i].md(), SECRET,
			rows[i].bytes - 1),
		    CHAT_E_TOKEN_INVALID, rows[i].header);
	}
}

static void
without_a_secret_nobody_can_tell(void **state)
{
	struct config cfg = config();

	cfg.auth_secret = NULL;
	cfg.auth_secret_len = 0;
	assert_verdict(&cfg, token(HEADER, CLAIMS), CHAT_E_AUTH_UNAVAILABLE,
	    "no secret");
}

/* Signed with the right key by the right hash, and still refused. */
static void
bad_headers_are_refused(void **state)
{
	static const char *const headers[] = { "{}", "{\"typ\":\"JWT\"}",
		"{\"alg\":null}", "{\"alg\":256}", "{\"alg\":[\"HS256\"]}",
		"{\"alg\":\"\"}", "{\"alg\":\"none\"}", "{\"alg\":\"None\"}",
		"{\"alg\":\"nOnE\"}", "{\"alg\":\"hs256\"}",
		"{\"alg\":\"HS1\"}", "{\"alg\":\"HS2567\"}",
		"{\"alg\":\"RS256\"}", "{\"alg\":\"PS256\"}",
		"{\"alg\":\"ES256\"}", "{\"alg\":\"EdDSA\"}",
		"{\"alg\":\"A128KW\"}", "{\"alg\":\"HS384\"}",
		"{\"alg\":\"HS512\"}", "{\"alg\":\"HS256\",\"alg\":\"HS256\"}",
		"{\"alg\":\"HS256\",\"\\u0061lg\":\"none\"}",
		"{\"alg\":\"HS256\",\"crit\":[\"exp\"],\"exp\":1}",
		"{\"alg\":\"HS256\",\"crit\":[]}",
		"{\"alg\":\"HS256\",\"crit\":null}",
		"{\"alg\":\"HS256\",\"b64\":false}",
		"{\"alg\":\"HS256\",\"b64\":false,\"crit\":[\"b64\"]}",
		"{\"alg\":\"HS256\",\"b64\":true}",
		"{\"alg\":\"HS256\",\"typ\":1}", "{\"alg\":\"HS256\"",
		"{\"alg\":\"HS256\"}x", "[\"HS256\"]", "\"HS256\"", "null",
		"{alg:\"HS256\"}", "{\"alg\":\"HS256\",\"x\":\"\\ud800\"}" };
	struct config cfg = config();
	size_t i;

	for (i = 0; i < sizeof(headers) / sizeof(headers[0]); i++)
		assert_verdict(&cfg, token(headers[i], CLAIMS),
		    CHAT_E_TOKEN_INVALID, headers[i]);
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
		assert_verdict(&cfg, token(headers[i], CLAIMS), CHAT_OK,
		    headers[i]);
}

/* A key that the token brings along is no key. */
static void
keys_in_the_header_are_not_used(void **state)
{
	struct config cfg = config();
	static const char mine[] = "attackerattackerattackerattacker";

	assert_verdict(&cfg,
	    sign("{\"alg\":\"HS256\",\"jwk\":{\"kty\":\"oct\",\"k\":"
		 "\"YXR0YWNrZXJhdHRhY2tlcmF0dGFja2VyYXR0YWNrZXI\"}}",
		CLAIMS, EVP_sha256(), mine, 32),
	    CHAT_E_TOKEN_INVALID, "jwk");
	assert_verdict(&cfg,
	    sign("{\"alg\":\"HS256\",\"jku\":\"http://evil/\"}", CLAIMS,
		EVP_sha256(), mine, 32),
	    CHAT_E_TOKEN_INVALID, "jku");
	/* nor is an empty one, nor the hash of another length */
	assert_verdict(&cfg, sign(HEADER, CLAIMS, EVP_sha256(), "", 0),
	    CHAT_E_TOKEN_INVALID, "empty key");
	assert_verdict(&cfg, sign(HEADER, CLAIMS, EVP_sha512(), SECRET, 64),
	    CHAT_E_TOKEN_INVALID, "HS512 said to be HS256");
	assert_verdict(&cfg,
	    sign("{\"alg\":\"HS512\"}", CLAIMS, EVP_sha256(), SECRET, 64),
	    CHAT_E_TOKEN_INVALID, "HS256 said to be HS512");
	assert_verdict(&cfg, sign(HEADER, CLAIMS, EVP_sha256(), SECRET, 63),
	    CHAT_E_TOKEN_INVALID, "secret without its last byte");
}

static void
bad_claims_are_refused(void **state)
{
	static const struct {
		const char *claims;
		enum chat_error err;
	} rows[] = {
		{ "{\"sub\":\"ada\"}", CHAT_E_TOKEN_INVALID },
		{ "{" EXP "}", CHAT_E_TOKEN_INVALID },
		{ "{}", CHAT_E_TOKEN_INVALID },
		{ "[]", CHAT_E_TOKEN_INVALID },
		{ "\"ada\"", CHAT_E_TOKEN_INVALID },
		{ "{\"sub\":\"ada\"," EXP, CHAT_E_TOKEN_INVALID },
		{ "{\"sub\":\"ada\"," EXP "}{}", CHAT_E_TOKEN_INVALID },
		{ "{\"sub\":\"ada\",\"sub\":\"bob\"," EXP "}",
		    CHAT_E_TOKEN_INVALID },
		{ "{\"sub\":\"ada\",\"exp\":\"1700003600\"}",
		    CHAT_E_TOKEN_INVALID },
		{ "{\"sub\":\"ada\",\"exp\":null}", CHAT_E_TOKEN_INVALID },
		{ "{\"sub\":\"ada\",\"exp\":1e400}", CHAT_E_TOKEN_INVALID },
		{ "{\"sub\":\"ada\",\"exp\":[1700003600]}",
		    CHAT_E_TOKEN_INVALID },
		{ "{\"sub\":\"ada\",\"exp\":1700000000}",
		    CHAT_E_TOKEN_EXPIRED },
		{ "{\"sub\":\"ada\",\"exp\":1699999999}",
		    CHAT_E_TOKEN_EXPIRED },
		{ "{\"sub\":\"ada\",\"exp\":0}", CHAT_E_TOKEN_EXPIRED },
		{ "{\"sub\":\"ada\",\"exp\":-1e300}", CHAT_E_TOKEN_EXPIRED },
		{ "{\"sub\":\"ada\",\"nbf\":1700000001," EXP "}",
		    CHAT_E_TOKEN_INVALID },
		{ "{\"sub\":\"ada\",\"nbf\":\"0\"," EXP "}",
		    CHAT_E_TOKEN_INVALID },
		{ "{\"sub\":\"ada\",\"iat\":\"0\"," EXP "}",
		    CHAT_E_TOKEN_INVALID },
		{ "{\"sub\":\"\"," EXP "}", CHAT_E_TOKEN_INVALID },
		{ "{\"sub\":7," EXP "}", CHAT_E_TOKEN_INVALID },
		{ "{\"sub\":null," EXP "}", CHAT_E_TOKEN_INVALID },
		{ "{\"sub\":\"a\\nb\"," EXP "}", CHAT_E_TOKEN_INVALID },
		{ "{\"sub\":\"ada\",\"name\":7," EXP "}",
		    CHAT_E_TOKEN_INVALID },
		{ "{\"sub\":\"ada\",\"name\":\"\"," EXP "}",
		    CHAT_E_TOKEN_INVALID },
		{ "{\"sub\":\"ada\",\"role\":\"root\"," EXP "}",
		    CHAT_E_TOKEN_INVALID },
		{ "{\"sub\":\"ada\",\"workspaces\":\"w1\"," EXP "}",
		    CHAT_E_TOKEN_INVALID },
		{ "{\"sub\":\"ada\",\"workspaces\":[{\"id\":\"w1\",\"role\":"
		  "\"root\"}]," EXP "}",
		    CHAT_E_TOKEN_INVALID },
		{ "{\"sub\":\"ada\",\"workspaces\":[\"w/1\"]," EXP "}",
		    CHAT_E_TOKEN_INVALID },
		{ "{\"sub\":\"ada\",\"aud\":7," EXP "}", CHAT_E_TOKEN_INVALID },
		{ "{\"sub\":\"ada\",\"aud\":[\"chat\",7]," EXP "}",
		    CHAT_E_TOKEN_INVALID },
		/* wrong and expired: wrong */
		{ "{\"sub\":\"\",\"exp\":1}", CHAT_E_TOKEN_INVALID },
	};
	struct config cfg = config();
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_verdict(&cfg, token(HEADER, rows[i].claims), rows[i].err,
		    rows[i].claims);
}

static void
expired_is_only_what_is_else_right(void **state)
{
	struct config cfg = config();

	assert_verdict(&cfg,
	    sign(HEADER, "{\"sub\":\"ada\",\"exp\":1}", EVP_sha256(),
		"anothersecretanothersecretanothersecret", 39),
	    CHAT_E_TOKEN_INVALID, "another secret");
	cfg.auth_issuer = issuer;
	assert_verdict(&cfg, token(HEADER, "{\"sub\":\"ada\",\"exp\":1}"),
	    CHAT_E_TOKEN_INVALID, "no issuer");
}

static void
issuer_and_audience_are_checked_when_configured(void **state)
{
	static const struct {
		const char *claims;
		bool ok;
	} rows[] = {
		{ "{\"iss\":\"https://issuer.example\",\"aud\":\"chat\","
		  "\"sub\":\"ada\"," EXP "}",
		    true },
		{ "{\"iss\":\"https://issuer.example\",\"aud\":[\"x\","
		  "\"chat\"],\"sub\":\"ada\"," EXP "}",
		    true },
		{ "{\"aud\":\"chat\",\"sub\":\"ada\"," EXP "}", false },
		{ "{\"iss\":\"https://issuer.example/\",\"aud\":\"chat\","
		  "\"sub\":\"ada\"," EXP "}",
		    false },
		{ "{\"iss\":[\"https://issuer.example\"],\"aud\":\"chat\","
		  "\"sub\":\"ada\"," EXP "}",
		    false },
		{ "{\"iss\":\"https://issuer.example\",\"sub\":\"ada\"," EXP
		  "}",
		    false },
		{ "{\"iss\":\"https://issuer.example\",\"aud\":\"Chat\","
		  "\"sub\":\"ada\"," EXP "}",
		    false },
		{ "{\"iss\":\"https://issuer.example\",\"aud\":[],\"sub\":"
		  "\"ada\"," EXP "}",
		    false },
		{ "{\"iss\":\"https://issuer.example\",\"aud\":[[\"chat\"]],"
		  "\"sub\":\"ada\"," EXP "}",
		    false },
		{ "{\"iss\":\"https://issuer.example\",\"aud\":{\"chat\":1},"
		  "\"sub\":\"ada\"," EXP "}",
		    false },
	};
	struct config cfg = config();
	size_t i;

	cfg.auth_issuer = issuer;
	cfg.auth_audience = audience;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_verdict(&cfg, token(HEADER, rows[i].claims),
		    rows[i].ok ? CHAT_OK : CHAT_E_TOKEN_INVALID,
		    rows[i].claims);
	/* and are nobody's business otherwise */
	cfg = config();
	assert_verdict(&cfg, token(HEADER, rows[0].claims), CHAT_OK, "any");
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

static void
other_forms_are_refused(void **state)
{
	struct config cfg = config();
	char *t, *q;
	size_t i;

	static const char *const texts[] = { "", ".", "..", "...", "a", "a.b",
		"a.b.c", "a.b.c.d", "a.b.c.d.e", "null", "{}" };
	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_verdict(&cfg, strdup(texts[i]), CHAT_E_TOKEN_INVALID,
		    texts[i]);
	assert_verdict(&cfg, changed(NULL, ""), CHAT_OK, "unchanged");
	/* the text around and within */
	assert_verdict(&cfg, changed(NULL, "="), CHAT_E_TOKEN_INVALID, "pad");
	assert_verdict(&cfg, changed(NULL, " "), CHAT_E_TOKEN_INVALID, "tail");
	assert_verdict(&cfg, changed(NULL, "\n"), CHAT_E_TOKEN_INVALID, "nl");
	assert_verdict(&cfg, changed(NULL, "."), CHAT_E_TOKEN_INVALID, "dot");
	assert_verdict(&cfg, changed(NULL, ".e30"), CHAT_E_TOKEN_INVALID,
	    "4 parts");
	assert_verdict(&cfg, changed(NULL, "A"), CHAT_E_TOKEN_INVALID, "long");
	assert_verdict(&cfg, changed("eyJ", " eyJ"), CHAT_E_TOKEN_INVALID,
	    "leading blank");
	assert_verdict(&cfg, changed(".", " ."), CHAT_E_TOKEN_INVALID, "blank");
	assert_verdict(&cfg, changed(".", ".\n"), CHAT_E_TOKEN_INVALID,
	    "line end");
	assert_verdict(&cfg, changed(".", ".="), CHAT_E_TOKEN_INVALID,
	    "padding");
	assert_verdict(&cfg, changed("J", "+"), CHAT_E_TOKEN_INVALID, "+");
	/* without a signature */
	t = token(HEADER, CLAIMS);
	*strrchr(t, '.') = '\0';
	assert_verdict(&cfg, t, CHAT_E_TOKEN_INVALID, "two parts");
	t = token(HEADER, CLAIMS);
	strrchr(t, '.')[1] = '\0';
	assert_verdict(&cfg, t, CHAT_E_TOKEN_INVALID, "empty signature");
	/* cut short, at every length */
	t = token(HEADER, CLAIMS);
	for (i = strlen(t) - 1; i > 0; i--) {
		q = strdup(t);
		assert_non_null(q);
		q[i] = '\0';
		assert_verdict(&cfg, q, CHAT_E_TOKEN_INVALID, "cut");
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
		assert_verdict(&cfg, q, CHAT_E_TOKEN_INVALID, "spare bits");
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
		assert_verdict(&cfg, q, CHAT_E_TOKEN_INVALID, q);
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
	assert_verdict(&cfg, json, CHAT_E_TOKEN_INVALID, "flattened");
	assert_true(asprintf(&json,
			"{\"payload\":\"%.*s\",\"signatures\":[{"
			"\"protected\":\"%.*s\",\"signature\":\"%s\"},{"
			"\"protected\":\"%.*s\",\"signature\":\"AAAA\"}]}",
			plen, payload, hlen, t, sig, hlen, t) > 0);
	assert_verdict(&cfg, json, CHAT_E_TOKEN_INVALID, "general");
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
		assert_verdict(&cfg, t,
		    n == 12000 ? CHAT_OK : CHAT_E_TOKEN_INVALID, "long");
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
		cmocka_unit_test(without_a_secret_nobody_can_tell),
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

	return cmocka_run_group_tests(tests, NULL, NULL);
}
