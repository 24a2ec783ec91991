/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * filter - chatctl filter test.
 */

#ifndef CHATCTL_FILTER_H
#define CHATCTL_FILTER_H

#include "chatctl/command.h"

/* Bytes of a text as a request has it, and as a file or standard input. */
#define FILTER_MAX 60000

/*
 * The text that the arguments behind "test" name: the text itself, a file by
 * --file, or standard input.  A string of malloc(); NULL with *why_r a
 * sentence, or with *why_r NULL if that is no way to name one.
 */
char *filter_text(int argc, char *argv[], const char **why_r);

/* The command, from its own name on; returns the exit status. */
int filter_main(const struct options *opt, const struct command *c, int argc,
    char *argv[]);

#endif /* CHATCTL_FILTER_H */
