/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * client - one question to the daemon, and its answer.
 */

#ifndef CHATCTL_CLIENT_H
#define CHATCTL_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

/* Called with each document of the answer, in order. */
typedef void (*client_fn)(const char *json, size_t len, void *arg);

/*
 * Ask and wait.  Returns an exit status (chatctl/command.h); unless it is
 * 0, what is wrong has been said on stderr, or not if 'quiet'.  'forever':
 * the answer may take as long as it likes.
 */
int client_ask(const char *path, const char *command, char *const *args,
    int nargs, bool forever, bool quiet, client_fn fn, void *arg);

#endif /* CHATCTL_CLIENT_H */
