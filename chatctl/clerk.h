/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * clerk - the commands that take their time: backup, verify, compact,
 * export, retention run.
 *
 * While they run they tell how far they are, on one line of a terminal or,
 * with -j, as lines of JSON; the outcome comes last.  When the data itself
 * goes to standard output, everything else goes to stderr.
 */

#ifndef CHATCTL_CLERK_H
#define CHATCTL_CLERK_H

struct command;
struct options;

/* The command from its own arguments; returns the exit status. */
int clerk_main(const struct options *opt, const struct command *cmd, int argc,
    char *argv[]);

#endif /* CHATCTL_CLERK_H */
