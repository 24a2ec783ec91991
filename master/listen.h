/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * listen - the listening sockets, and accepting from them.
 *
 * While nobody is accepted the backlog holds those who come.
 */

#ifndef MASTER_LISTEN_H
#define MASTER_LISTEN_H

#include <stddef.h>
#include <stdint.h>

struct config;
struct config_errors;
struct listeners;
struct master;

/* chatd -t: could they be bound?  One that is in use by a chatd can. */
void listeners_check(const struct config *cfg, struct config_errors *errors);

/*
 * Bind all; before the privileges are dropped.  A stale Unix socket is
 * replaced, one that somebody answers on is not.  No return on failure,
 * which names the address.
 */
struct listeners *listeners_open(struct master *m);

/* Say where. */
void listeners_log(const struct config *cfg);

/* Accept from now on.  Pauses by itself when that is not possible. */
void listeners_start(struct listeners *l);
/* There is room again: go on if that was what was missing. */
void listeners_room(struct listeners *l);
/* Close; Unix sockets are removed. */
void listeners_free(struct listeners **l);

/* "accepting", or why not. */
const char *listeners_state(const struct listeners *l);

#endif /* MASTER_LISTEN_H */
