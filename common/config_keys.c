/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * config_keys - from the contents of files to the keys of tokens; in every
 * process that has a configuration, so that they are read once.
 */

#include "common/config_table.h"

#include "common/keys.h"

struct teller {
	const struct config *cfg;
	struct config_errors *errors;
	enum config_option opt;
	const char *path;
};

static void
on_wrong(void *arg, const char *text)
{
	const struct teller *t = arg;

	config_wrong(t->cfg, t->errors, t->opt, "%s: %s", t->path, text);
}

int
config_keys(struct config *cfg, struct config_errors *errors)
{
	const struct config_blob *pem = &cfg->blob[CONFIG_BLOB_KEYS];
	const struct config_blob *jwks = &cfg->blob[CONFIG_BLOB_JWKS];
	struct teller t = { .cfg = cfg, .errors = errors };
	bool fine = true;

	keys_free(&cfg->keys);
	cfg->keys = keys_new();
	if (cfg->auth_secret != NULL)
		fine = keys_add_secret(cfg->keys, cfg->auth_secret,
		    cfg->auth_secret_len);
	if (pem->p != NULL) {
		t.opt = CONFIG_auth_key_file;
		t.path = cfg->auth_key_file;
		fine =
		    keys_add_pem(cfg->keys, pem->p, pem->len, on_wrong, &t) &&
		    fine;
	}
	if (jwks->p != NULL) {
		t.opt = CONFIG_auth_jwks_file;
		t.path = cfg->auth_jwks_file;
		fine = keys_add_jwks(cfg->keys, jwks->p, jwks->len, on_wrong,
			   &t) &&
		    fine;
	}
	return fine ? 0 : -1;
}
