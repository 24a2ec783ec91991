/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * complete - the commands for a shell that completes words.
 */

#ifndef CHATCTL_COMPLETE_H
#define CHATCTL_COMPLETE_H

#include <stdio.h>

#include "chatctl/command.h"

/*
 * A script for "bash" or "zsh", made from the table of commands: names, their
 * options and what else is typed as it stands in their usages.  -1: it is
 * another shell.
 */
int complete_print(const char *shell, FILE *fp);

#endif /* CHATCTL_COMPLETE_H */
