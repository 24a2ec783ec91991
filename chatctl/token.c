/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * token - the command that signs a token for development.
 */

#include "chatctl/token.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/evp.h>

#include "chatctl/client.h"
#include "chatctl/command.h"
#include "common/config.h"
#include "common/json.h"
#include "common/strbuf.h"

#define SECRET_MIN KEYS_SECRET_MIN
#define SECRET_MAX KEYS_SECRET_MAX
#define EXPIRES_DEFAULT_S 3600

/* ------------------------------------------------------------------ */
/* What the daemon expects. */

struct settings {
	char secret_file[4096];
	char issuer[1024];
	char audience[1024];
	/* a daemon has told them */
	bool told;
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
	s->told = client_ask(&ask, "config", NULL, 0) == EXIT_DONE;
	if (s->told)
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
	n = fread(buf, 1, SECRET_MAX + 1, fp);
	(void)fclose(fp);
	if (n > 0 && buf[n - 1] == '\n')
		n--;
	if (n < SECRET_MIN || n > SECRET_MAX) {
		(void)fprintf(stderr,
		    "chatctl: %s holds %zu bytes; a secret has %d to %d\n",
		    path, n, SECRET_MIN, SECRET_MAX);
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
	ARG_NOT_BEFORE,
	ARG_ID,
	ARG_KID,
	ARG_ALGORITHM,
	ARG_SECRET_FILE,
	ARG_KEY_FILE,
};

static const struct option longopts[] = {
	{ "user", required_argument, NULL, ARG_USER },
	{ "name", required_argument, NULL, ARG_NAME },
	{ "role", required_argument, NULL, ARG_ROLE },
	{ "workspace", required_argument, NULL, ARG_WORKSPACE },
	{ "session", required_argument, NULL, ARG_SESSION },
	{ "expires", required_argument, NULL, ARG_EXPIRES },
	{ "not-before", required_argument, NULL, ARG_NOT_BEFORE },
	{ "id", required_argument, NULL, ARG_ID },
	{ "kid", required_argument, NULL, ARG_KID },
	{ "algorithm", required_argument, NULL, ARG_ALGORITHM },
	{ "secret-file", required_argument, NULL, ARG_SECRET_FILE },
	{ "key-file", required_argument, NULL, ARG_KEY_FILE },
	{ NULL, 0, NULL, 0 },
};

/* What the arguments say. */
struct request {
	struct token token;
	/* the algorithm was named */
	bool has_alg;
	const char *secret_file, *key_file;
};

/* "90s", "15m", "1h", "7d" to seconds; -1. */
static int64_t
parse_duration(const char *s)
{
	static const struct {
		char unit;
		int64_t seconds;
	} units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 } };
	char *end;
	long n;

	errno = 0;
	n = strtol(s, &end, 10);
	if (end == s || errno != 0 || n < 1 || n > 10 * 365 * 86400L)
		return -1;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (*end == units[i].unit && end[1] == '\0')
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

static int
take_time(const struct token *t, int64_t *at)
{
	int64_t seconds = parse_duration(optarg);

	if (seconds == -1)
		return -1;
	*at = t->issued + seconds;
	return 0;
}

static int
take_role(struct token *t)
{
	t->role = optarg;
	return strcmp(optarg, "user") == 0 || strcmp(optarg, "agent") == 0 ||
		strcmp(optarg, "service") == 0
	    ? 0
	    : -1;
}

static int
take_algorithm(struct request *r)
{
	r->has_alg = true;
	r->token.alg = key_alg_find(optarg);
	return r->token.alg == KEY_ALG__MAX ? -1 : 0;
}

/* Why take_argument() did not take what stands behind this option. */
static const char *
misfit(int c)
{
	switch (c) {
	case ARG_ROLE:
		return "--role is user, agent or service";
	case ARG_WORKSPACE:
		return "--workspace: there are too many of them";
	case ARG_SESSION:
		return "--session: it stands behind the --workspace that it "
		       "restricts, and there is a limit";
	case ARG_EXPIRES:
		return "--expires is a whole number and s, m, h or d";
	case ARG_NOT_BEFORE:
		return "--not-before is a whole number and s, m, h or d";
	case ARG_ALGORITHM:
		return "--algorithm: there is none of that name";
	}
	/* getopt_long() has said it */
	return NULL;
}

/* 0, or -1: that is no argument of ours, or too many of them. */
static int
take_argument(struct request *r, int c)
{
	struct token *t = &r->token;
	const struct {
		int c;
		const char **text;
	} texts[] = {
		{ ARG_USER, &t->user },
		{ ARG_NAME, &t->name },
		{ ARG_ID, &t->id },
		{ ARG_KID, &t->kid },
		{ ARG_SECRET_FILE, &r->secret_file },
		{ ARG_KEY_FILE, &r->key_file },
	};

	switch (c) {
	case ARG_ROLE:
		return take_role(t);
	case ARG_WORKSPACE:
		return add_workspace(t, optarg);
	case ARG_SESSION:
		return add_session(t, optarg);
	case ARG_EXPIRES:
		return take_time(t, &t->expires);
	case ARG_NOT_BEFORE:
		return take_time(t, &t->not_before);
	case ARG_ALGORITHM:
		return take_algorithm(r);
	}
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (texts[i].c == c) {
			*texts[i].text = optarg;
			return 0;
		}
	}
	return -1;
}

/* NULL, or why there is no 'request' in it; "" when that was said. */
static const char *
parse(struct request *r, int argc, char *argv[])
{
	struct token *t = &r->token;
	const char *why;
	int c;

	t->issued = time(NULL);
	t->expires = t->issued + EXPIRES_DEFAULT_S;
	/* 0: start over, main() has used getopt() before */
	optind = 0;
	while ((c = getopt_long(argc, argv, "", longopts, NULL)) != -1)
		if (take_argument(r, c) == -1)
			return (why = misfit(c)) == NULL ? "" : why;
	if (optind < argc)
		return "every argument has its option; a user stands behind "
		       "--user";
	if (t->user == NULL || t->user[0] == '\0')
		return "--user says whose token it is";
	if (r->secret_file != NULL && r->key_file != NULL)
		return "it is either --secret-file or --key-file";
	return NULL;
}

/* A private key, or else the secret; -1: told. */
static int
find_key(struct request *r, const struct settings *settings,
    struct token_key *key)
{
	static unsigned char secret[SECRET_MAX + 1];
	enum key_alg usual = KEY_HS256;
	const char *why;

	if (r->key_file != NULL) {
		key->pkey = token_key_load(r->key_file, &usual, &why);
		if (key->pkey == NULL) {
			(void)fprintf(stderr, "chatctl: %s: %s\n", r->key_file,
			    why);
			return -1;
		}
	} else {
		if (r->secret_file == NULL)
			r->secret_file = settings->secret_file;
		if (r->secret_file[0] == '\0') {
			(void)fprintf(stderr,
			    settings->told
				? "chatctl: the daemon has no "
				  "auth.secret_file; use --secret-file or "
				  "--key-file\n"
				: "chatctl: no daemon answers, "
				  "and " CONFIG_DEFAULT_FILE
				  " has no auth.secret_file; use -s to ask "
				  "another, --secret-file or --key-file\n");
			return -1;
		}
		if (read_secret(r->secret_file, secret, &key->secret_len) == -1)
			return -1;
		key->secret = secret;
	}
	if (!r->has_alg)
		r->token.alg = usual;
	if ((why = token_key_misfit(r->token.alg, key)) == NULL)
		return 0;
	(void)fprintf(stderr, "chatctl: %s: %s\n", key_alg_name(r->token.alg),
	    why);
	return -1;
}

static int
sign_and_print(const struct options *opt, const struct request *r,
    const struct token_key *key)
{
	struct strbuf sb = STRBUF_INIT;
	int rc = EXIT_DONE;

	if (r->token.nworkspaces == 0)
		(void)fprintf(stderr,
		    "chatctl: without --workspace the token "
		    "gives access to nothing\n");
	if (token_sign(&r->token, key, &sb) == -1) {
		(void)fprintf(stderr, "chatctl: cannot sign\n");
		rc = EXIT_FAILED;
	} else {
		/* nothing in a token needs an escape */
		(void)printf(opt->json ? "{\"token\":\"%s\"}\n" : "%s\n",
		    sb.data);
	}
	sb_clear(&sb);
	return rc;
}

int
token_main(const struct options *opt, int argc, char *argv[])
{
	static struct settings settings;
	static struct request r;
	struct token_key key = { .secret = NULL };
	const char *why;
	int rc;

	if ((why = parse(&r, argc, argv)) != NULL) {
		if (why[0] != '\0')
			(void)fprintf(stderr, "chatctl: %s\n", why);
		command_usage(command_find("token"), stderr);
		return EXIT_USAGE;
	}
	find_settings(opt, &settings);
	r.token.issuer = settings.issuer;
	r.token.audience = settings.audience;
	if (find_key(&r, &settings, &key) == -1)
		return EXIT_FAILED;
	rc = sign_and_print(opt, &r, &key);
	EVP_PKEY_free(key.pkey);
	return rc;
}
