/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * post - the contract's POST: what it says, and what its answer means.
 * (Contract: "Who is calling", webhook.)
 */

#ifndef BRIDGE_POST_H
#define BRIDGE_POST_H

#include <stdbool.h>
#include <stddef.h>

#include "common/json.h"
#include "shm/ask.h"

/* The most bytes of an answer that are read. */
#define POST_REPLY_MAX ASK_CLAIMS_MAX

/*
 * {"token":...,"remoteAddress":...,"userAgent":...}; what is not UTF-8 in
 * the last two becomes a question mark.  False if the token is not UTF-8,
 * which no application issued; ends the process if there is no memory.
 */
bool post_body(const struct ask_question *q, struct json_out *o);

/* What came back, as far as anything did. */
struct post_reply {
	/* 0: no HTTP answer at all; and a sentence that says why, or NULL */
	int status;
	const char *why;
	struct ask_text body;
	/* more than POST_REPLY_MAX bytes */
	bool too_large;
	/* Cache-Control fields, or NULL; more than one with commas between */
	const char *cache_control;
};

/* What it means. */
struct post_result {
	enum ask_outcome outcome;
	/* nobody is there: for the breaker */
	bool down;
	/* for how long it may be remembered; 0: not at all */
	unsigned max_age;
	/* UNAVAILABLE: why, in a few words that hold nothing of the answer */
	const char *why;
};

/*
 * Judge an answer.  GRANTED: 'claims' holds a new object with what the
 * contract names, ready for a worker; else it is left alone.
 */
struct post_result post_judge(const struct post_reply *r,
    struct json_out *claims);

/* For how long these Cache-Control fields allow to remember; 0: not. */
unsigned post_max_age(const char *cache_control);

#endif /* BRIDGE_POST_H */
