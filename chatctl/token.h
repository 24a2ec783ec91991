/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * token - signs a token for development: a JWT with HS256.
 */

#ifndef CHATCTL_TOKEN_H
#define CHATCTL_TOKEN_H

#include <stddef.h>
#include <stdint.h>

struct json_span;
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
	const char *user, *name, *role;
	const char *issuer, *audience;
	struct token_workspace workspaces[TOKEN_MAX_WORKSPACES];
	unsigned nworkspaces;
	/* seconds since 1970 */
	int64_t issued, expires;
};

/* The signed token.  -1: out of memory. */
int token_sign(const struct token *t, const void *secret, size_t len,
    struct strbuf *sb);

/* The command, from its own arguments; returns the exit status. */
int token_main(const struct options *opt, int argc, char *argv[]);

#endif /* CHATCTL_TOKEN_H */
