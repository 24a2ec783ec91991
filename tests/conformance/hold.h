/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * hold - handshakes are held back for a moment.
 *
 * The official client's suite sets a timeout of nothing and expects that no
 * server can answer within it; its own takes 10 ms for a handshake, and only
 * for that.  So a new connection waits here for its first request, and if
 * that names no session it waits a little longer.
 */

#ifndef CONFORMANCE_HOLD_H
#define CONFORMANCE_HOLD_H

#include <stdbool.h>
#include <stddef.h>

struct event_base;
struct hold;
struct sockaddr_in;

/* The connection may go on; it is the callee's. */
typedef void (*hold_fn)(void *arg, int fd, const struct sockaddr_in *peer);

/* NULL: no memory. */
struct hold *hold_new(struct event_base *base, unsigned ms, hold_fn fn,
    void *arg);
/* Those that are held are closed. */
void hold_free(struct hold **h);

/* Takes 'fd' over; -1: no memory, it is still the caller's. */
int hold_take(struct hold *h, int fd, const struct sockaddr_in *peer);
unsigned hold_count(const struct hold *h);

/* Is the beginning of this request a handshake's? */
bool hold_is_handshake(const char *buf, size_t len);

#endif /* CONFORMANCE_HOLD_H */
