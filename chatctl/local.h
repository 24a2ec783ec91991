/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * local - a clerk without a daemon.
 *
 * chatctl knows no store, chatd does: so chatctl starts chatd's clerk itself
 * and is to it what the master is otherwise.
 */

#ifndef CHATCTL_LOCAL_H
#define CHATCTL_LOCAL_H

#include <stddef.h>

struct client;

/*
 * Where chatd is: beside chatctl, in the sbin of its prefix, in PATH.  -1:
 * nowhere.  Never what the daemon's socket says: who asks may be root.
 */
int local_find(char *path, size_t size);

/*
 * Have a clerk do a command on 'store' (a directory or a file, which stays
 * the caller's).  As client_ask().
 */
int local_ask(const struct client *c, const char *command, int store);

#endif /* CHATCTL_LOCAL_H */
