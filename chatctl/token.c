/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * token - signs a token for development: a JWT with HS256.
 */

#include "chatctl/token.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "chatctl/client.h"
#include "chatctl/command.h"
#include "common/config.h"
#include "common/json.h"
#include "common/strbuf.h"

#define SECRET_MIN 32
#define SECRET_MAX 65536
#define EXPIRES_DEFAULT_S 3600

static const char header[] = "{\"alg\":\"HS256\",\"typ\":\"JWT\"}";

/* ------------------------------------------------------------------ */
/* Signing. */

static void
add_base64url(struct strbuf *sb, const void *bytes, size_t len)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				     "abcdefghijklmnopqrstuvwxyz0123456789-_";
	const unsigned char *p = bytes;
	uint32_t group;
	size_t n;

	for (; len > 0; p += n, len -= n) {
		n = len < 3 ? len : 3;
		group = (uint32_t)p[0] << 16;
		if (n > 1)
			group |= (uint32_t)p[1] << 8;
		if (n > 2)
			group |= p[2];
		for (size_t i = 0; i <= n; i++)
			sb_addc(sb, digits[group >> (18 - 6 * i) & 63]);
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
	json_out_key(o, "iat");
	json_out_i64(o, t->issued);
	json_out_key(o, "exp");
	json_out_i64(o, t->expires);
	json_out_object_end(o);
}

int
token_sign(const struct token *t, const void *secret, size_t len,
    struct strbuf *sb)
{
	unsigned char mac[EVP_MAX_MD_SIZE];
	struct json_out o = { 0 };
	unsigned maclen;

	put_claims(&o, t);
	if (o.failed) {
		json_out_clear(&o);
		return -1;
	}
	add_base64url(sb, header, sizeof(header) - 1);
	sb_addc(sb, '.');
	add_base64url(sb, o.p, o.len);
	json_out_clear(&o);
	if (HMAC(EVP_sha256(), secret, (int)len,
		(const unsigned char *)sb->data, sb->len, mac, &maclen) == NULL)
		return -1;
	sb_addc(sb, '.');
	add_base64url(sb, mac, maclen);
	return 0;
}

/* ------------------------------------------------------------------ */
/* What the daemon expects. */

struct settings {
	char secret_file[4096];
	char issuer[1024];
	char audience[1024];
};

/* As the configuration writes it: perhaps in quotes, with escapes. */
static void
unquote(char *buf, size_t size, const char *value)
{
	bool quoted = *value == '"';
	size_t n = 0;

	for (value += quoted; *value != '\0' && n + 1 < size; value++) {
		if (quoted && *value == '"')
			break;
		if (quoted && *value == '\\' && value[1] != '\0')
			value++;
		buf[n++] = *value;
	}
	buf[n] = '\0';
}

static void
keep(struct settings *s, const char *option, const char *value)
{
	const struct {
		const char *option;
		char *buf;
		size_t size;
	} wanted[] = {
		{ "auth.secret_file", s->secret_file, sizeof(s->secret_file) },
		{ "auth.issuer", s->issuer, sizeof(s->issuer) },
		{ "auth.audience", s->audience, sizeof(s->audience) },
	};

	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
		if (strcmp(option, wanted[i].option) == 0)
			unquote(wanted[i].buf, wanted[i].size, value);
}

static void
on_config(const char *json, size_t len, void *arg)
{
	struct json_iter it = json_iter(json_value(json, len));
	char option[64], value[4096];
	struct json_value row;

	while (json_next(&it, &row)) {
		struct json_value o = json_member(row, "option");
		struct json_value v = json_member(row, "value");

		if (o.kind == JSON_KIND_STRING && v.kind == JSON_KIND_STRING &&
		    json_decode(o, option, sizeof(option)) != -1 &&
		    json_decode(v, value, sizeof(value)) != -1)
			keep(arg, option, value);
	}
}

static void
on_option(const char *name, const char *value, const char *where, void *arg)
{
	keep(arg, name, value);
}

/* A daemon that runs knows best; else what is in its file. */
static void
find_settings(const struct options *opt, struct settings *s)
{
	struct config_source src = {
		.file = CONFIG_DEFAULT_FILE,
		.without_files = true,
	};
	const struct client ask = {
		.path = opt->socket,
		.how = HOW_TABLE,
		.quiet = true,
		.fn = on_config,
		.arg = s,
	};
	struct config_errors errors;
	struct config *cfg;

	memset(s, 0, sizeof(*s));
	if (client_ask(&ask, "config", NULL, 0) == EXIT_DONE)
		return;
	if ((cfg = config_load(&src, &errors)) != NULL)
		config_each(cfg, on_option, s);
	config_errors_clear(&errors);
	config_free(&cfg);
}

/* As the daemon reads it: one line end does not count. */
static int
read_secret(const char *path, unsigned char *buf, size_t *len_r)
{
	FILE *fp;
	size_t n;

	if ((fp = fopen(path, "re")) == NULL) {
		(void)fprintf(stderr, "chatctl: %s: %s\n", path,
		    strerror(errno));
		return -1;
	}
	n = fread(buf, 1, SECRET_MAX, fp);
	(void)fclose(fp);
	if (n > 0 && buf[n - 1] == '\n')
		n--;
	if (n < SECRET_MIN || n == SECRET_MAX) {
		(void)fprintf(stderr,
		    "chatctl: %s holds %zu bytes; a secret has %d to %d\n",
		    path, n, SECRET_MIN, SECRET_MAX - 1);
		return -1;
	}
	*len_r = n;
	return 0;
}

/* ------------------------------------------------------------------ */
/* The command. */

enum {
	ARG_USER = 1,
	ARG_NAME,
	ARG_ROLE,
	ARG_WORKSPACE,
	ARG_SESSION,
	ARG_EXPIRES,
	ARG_SECRET_FILE,
};

static const struct option longopts[] = {
	{ "user", required_argument, NULL, ARG_USER },
	{ "name", required_argument, NULL, ARG_NAME },
	{ "role", required_argument, NULL, ARG_ROLE },
	{ "workspace", required_argument, NULL, ARG_WORKSPACE },
	{ "session", required_argument, NULL, ARG_SESSION },
	{ "expires", required_argument, NULL, ARG_EXPIRES },
	{ "secret-file", required_argument, NULL, ARG_SECRET_FILE },
	{ NULL, 0, NULL, 0 },
};

/* "90", "15m", "1h", "7d" to seconds; -1. */
static int64_t
parse_expires(const char *s)
{
	static const struct {
		char unit;
		int64_t seconds;
	} units[] = { { '\0', 1 }, { 's', 1 }, { 'm', 60 }, { 'h', 3600 },
		{ 'd', 86400 } };
	char *end;
	long n;

	errno = 0;
	n = strtol(s, &end, 10);
	if (end == s || errno != 0 || n < 1 || n > 10 * 365 * 86400L)
		return -1;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (*end == units[i].unit && (*end == '\0' || end[1] == '\0'))
			return n * units[i].seconds;
	return -1;
}

static int
add_workspace(struct token *t, const char *id)
{
	if (t->nworkspaces == TOKEN_MAX_WORKSPACES)
		return -1;
	t->workspaces[t->nworkspaces++].id = id;
	return 0;
}

static int
add_session(struct token *t, const char *id)
{
	struct token_workspace *w;

	if (t->nworkspaces == 0)
		return -1;
	w = &t->workspaces[t->nworkspaces - 1];
	if (w->nsessions == TOKEN_MAX_SESSIONS)
		return -1;
	w->sessions[w->nsessions++] = id;
	return 0;
}

/* 0, or -1: that is no argument of ours, or too many of them. */
static int
take_argument(struct token *t, const char **secret_file, int c)
{
	int64_t seconds;

	switch (c) {
	case ARG_USER:
		t->user = optarg;
		return 0;
	case ARG_NAME:
		t->name = optarg;
		return 0;
	case ARG_ROLE:
		t->role = optarg;
		return strcmp(optarg, "user") == 0 ||
			strcmp(optarg, "agent") == 0 ||
			strcmp(optarg, "service") == 0
		    ? 0
		    : -1;
	case ARG_WORKSPACE:
		return add_workspace(t, optarg);
	case ARG_SESSION:
		return add_session(t, optarg);
	case ARG_EXPIRES:
		if ((seconds = parse_expires(optarg)) == -1)
			return -1;
		t->expires = t->issued + seconds;
		return 0;
	case ARG_SECRET_FILE:
		*secret_file = optarg;
		return 0;
	}
	return -1;
}

static int
parse(struct token *t, const char **secret_file, int argc, char *argv[])
{
	int c;

	t->issued = time(NULL);
	t->expires = t->issued + EXPIRES_DEFAULT_S;
	/* 0: start over, main() has used getopt() before */
	optind = 0;
	while ((c = getopt_long(argc, argv, "", longopts, NULL)) != -1)
		if (take_argument(t, secret_file, c) == -1)
			return -1;
	return optind == argc && t->user != NULL && t->user[0] != '\0' ? 0 : -1;
}

int
token_main(const struct options *opt, int argc, char *argv[])
{
	static unsigned char secret[SECRET_MAX];
	static struct settings settings;
	static struct token t;
	struct strbuf sb = STRBUF_INIT;
	const char *secret_file = NULL;
	size_t len;

	if (parse(&t, &secret_file, argc, argv) == -1) {
		command_usage(command_find("token"), stderr);
		return EXIT_USAGE;
	}
	find_settings(opt, &settings);
	t.issuer = settings.issuer;
	t.audience = settings.audience;
	if (secret_file == NULL)
		secret_file = settings.secret_file;
	if (secret_file[0] == '\0') {
		(void)fprintf(stderr,
		    "chatctl: no auth.secret_file is "
		    "configured; use --secret-file\n");
		return EXIT_FAILED;
	}
	if (read_secret(secret_file, secret, &len) == -1)
		return EXIT_FAILED;
	if (t.nworkspaces == 0)
		(void)fprintf(stderr,
		    "chatctl: without --workspace the token "
		    "gives access to nothing\n");
	if (token_sign(&t, secret, len, &sb) == -1) {
		(void)fprintf(stderr, "chatctl: cannot sign\n");
		sb_clear(&sb);
		return EXIT_FAILED;
	}
	/* nothing in a token needs an escape */
	(void)printf(opt->json ? "{\"token\":\"%s\"}\n" : "%s\n", sb.data);
	sb_clear(&sb);
	return EXIT_DONE;
}
