/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * steer_args - what chatctl's steering commands are told.
 */

#ifndef WORKER_STEER_ARGS_H
#define WORKER_STEER_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/json.h"

#define STEER_ARGS_POSITIONS 4

enum steer_option {
	OPTION_FOR,
	OPTION_REASON,
	OPTION_WORKSPACE,
	OPTION_SESSION,
	OPTION_NAME,
	OPTION_CONN,
	OPTION_TOKEN,
	OPTION__MAX,
};

/* Spans of the request's tree, which must outlive it; NULL: not told. */
struct steer_args {
	const char *at[STEER_ARGS_POSITIONS];
	size_t n;
	const char *option[OPTION__MAX];
};

/*
 * Take them apart: 'allowed' has a bit for each option that the command
 * knows.  NULL, or a sentence that says what is wrong, in 'why'.
 */
const char *steer_args_parse(struct steer_args *args_r,
    const struct json_tree *args, unsigned allowed, char *why, size_t size);

/* "90s", "1h": the milliseconds; false: it is none, or 0. */
bool steer_args_duration(const char *text, uint64_t *ms_r);

/* Is it what a user's id, or a token's, can be?  (The contract's rules.) */
bool steer_args_is_user(const char *id);
/* Of a session, a workspace or a message. */
bool steer_args_is_id(const char *id, size_t len);
/* workspace/session, each of them an id. */
bool steer_args_is_session(const char *name);
/* A text without control characters, of at most 'max' bytes. */
bool steer_args_is_line(const char *text, size_t max);

#endif /* WORKER_STEER_ARGS_H */
