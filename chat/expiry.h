/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * expiry - tokens end while their sockets are there (contract, "Who is
 * calling").
 *
 *   expires_ms           + auth.expiry_grace
 *       |                        |
 *   chat:auth-expired    chat:disconnect-reason TOKEN_EXPIRED, DISCONNECT
 *
 * unless chat:refresh-token comes in time.  The times are the wall clock's,
 * which is looked at with each tick of the engine.  Sockets are kept in a
 * heap, those alone whose tokens have an end: O(log n) for each of them that
 * comes, goes or is told something, 16 bytes in memory.
 */

#ifndef CHAT_EXPIRY_H
#define CHAT_EXPIRY_H

#include "chat/socket.h"

/* Of one whose CONNECT has been answered, or who has a new token. */
void expiry_set(struct chat *chat, struct chat_socket *s);
/* It is gone, or will be. */
void expiry_clear(struct chat *chat, struct chat_socket *s);
/* Those whose time has come: at most EXPIRY_PIECE of them. */
void expiry_tick(struct chat *chat);
#define EXPIRY_PIECE 4096

void expiry_free(struct chat *chat);

#endif /* CHAT_EXPIRY_H */
