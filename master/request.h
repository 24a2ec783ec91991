/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * request - one line of a chatctl, taken apart.
 */

#ifndef MASTER_REQUEST_H
#define MASTER_REQUEST_H

#include <stddef.h>

#define REQUEST_MAX_ARGS 16

struct request {
	char command[32];
	size_t nargs;
	/* of malloc() */
	char *args[REQUEST_MAX_ARGS];
};

/*
 * Parse a line without its end.  0, or -1 with *why_r a sentence; then
 * there is nothing to clear.
 */
int request_parse(struct request *r, const char *line, size_t len,
    const char **why_r);
void request_clear(struct request *r);

#endif /* MASTER_REQUEST_H */
