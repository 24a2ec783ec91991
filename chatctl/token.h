/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * token - signs a token for development: a JWT, by any of the algorithms
 * that the daemon takes.
 */

#ifndef CHATCTL_TOKEN_H
#define CHATCTL_TOKEN_H

#include <stddef.h>
#include <stdint.h>

#include "common/keys.h"

struct options;
struct strbuf;

#define TOKEN_MAX_WORKSPACES 16
#define TOKEN_MAX_SESSIONS 32

struct token_workspace {
	const char *id;
	/* all of its sessions if there is none here */
	const char *sessions[TOKEN_MAX_SESSIONS];
	unsigned nsessions;
};

/* What a token says; strings that are NULL are left out. */
struct token {
	enum key_alg alg;
	/* its key's name, its own */
	const char *kid, *id;
	const char *user, *name, *role;
	const char *issuer, *audience;
	struct token_workspace workspaces[TOKEN_MAX_WORKSPACES];
	unsigned nworkspaces;
	/* seconds since 1970; not_before 0: left out */
	int64_t issued, expires, not_before;
};

/* What it is signed with: a secret, or (pkey not NULL) a private key. */
struct token_key {
	const void *secret;
	size_t secret_len;
	struct evp_pkey_st *pkey;
};

/* sign.c */
/*
 * The private key of a PEM file, and the algorithm that is usual for it.
 * NULL with *why_r what is wrong.
 */
struct evp_pkey_st *token_key_load(const char *path, enum key_alg *alg_r,
    const char **why_r);
/* NULL if this algorithm can be used with this key; else why not. */
const char *token_key_misfit(enum key_alg alg, const struct token_key *key);
/* The signed token.  -1: it cannot be signed so. */
int token_sign(const struct token *t, const struct token_key *key,
    struct strbuf *sb);

/* The command, from its own arguments; returns the exit status. */
int token_main(const struct options *opt, int argc, char *argv[]);

#endif /* CHATCTL_TOKEN_H */
