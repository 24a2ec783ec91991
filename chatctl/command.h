/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * command - the commands as data.
 */

#ifndef CHATCTL_COMMAND_H
#define CHATCTL_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* Exit statuses. */
enum {
	EXIT_DONE,
	/* refused, or failed on the way */
	EXIT_FAILED,
	EXIT_USAGE,
	EXIT_NO_DAEMON,
};

enum command_how {
	HOW_TABLE,
	HOW_LIST,
	HOW_LINE,
	HOW_STREAM,
	HOW_END,
	HOW_CLERK,
	HOW_LOCAL,
};

struct command {
	const char *name;
	const char *group;
	const char *args;
	int min_args, max_args;
	enum command_how how;
	const char *help;
};

/* What was said before the command. */
struct options {
	/* -j */
	bool json;
	const char *socket;
};

/* One after the other; NULL behind the last. */
const struct command *command_at(size_t i);
/* NULL: there is none of that name. */
const struct command *command_find(const char *name);
/* The one that was meant, perhaps; NULL: no idea. */
const char *command_nearest(const char *name);

void command_usage(const struct command *c, FILE *fp);
/* All, or one (not NULL). */
void command_help(const struct command *c, FILE *fp);

#endif /* CHATCTL_COMMAND_H */
