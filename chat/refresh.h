/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * refresh - chat:refresh-token: a socket goes on by another token.
 *
 * The new rights are there at once: what the socket asks for from now on is
 * judged by them, its roles change, and sessions that they do not cover are
 * left.  One that it is just joining or leaving is looked at again when that
 * has come to its end.
 */

#ifndef CHAT_REFRESH_H
#define CHAT_REFRESH_H

#include "chat/socket.h"

/* What it was joining may be revoked by now; frees neither it nor its work. */
void refresh_cover(struct chat *chat, struct chat_socket *s);
/* It is gone. */
void refresh_forget(struct chat *chat, struct chat_socket *s);
void refresh_tick(struct chat *chat);

#endif /* CHAT_REFRESH_H */
