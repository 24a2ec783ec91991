/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * status - what a session is now: said by operators, told to its clients.
 *
 * It is a STATUS event of the session's room (event.h), published by a worker
 * on behalf of chatctl, without anybody who waits or with: the verdict is
 * STORED; REJECTED: there is no such session, or it makes no sense;
 * STORE_UNAVAILABLE.  The store keeps the last one with the session
 * (struct store_room), for "chatctl session show".
 */

#ifndef CHAT_STATUS_H
#define CHAT_STATUS_H

#include <stdbool.h>

/* bytes of the reason */
#define STATUS_REASON_MAX 500

/* active, paused, completed, abandoned, error? */
bool status_ok(const char *status);

#endif /* CHAT_STATUS_H */
