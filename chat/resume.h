/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * resume - a socket that is taken up again, from its CONNECT to the answer.
 */

#ifndef CHAT_RESUME_H
#define CHAT_RESUME_H

#include "chat/socket.h"

/* Go on with it as far as that is possible now; may free the socket. */
void resume_produce(struct chat *chat, struct chat_socket *s,
    uint64_t delivered);
/*
 * The verdict about one of its joins: it is in, or (m NULL) it is not,
 * because of 'err'.
 */
void resume_joined(struct chat *chat, struct chat_socket *s,
    const struct pending *p, struct member *m, enum chat_error err);
/* The pid's row forgets a room, or (0) is deleted. */
void resume_release(struct chat *chat, struct chat_socket *s, uint64_t room);
/* It is over, or was cut off. */
void resume_free(struct chat_socket *s);

/* Events were missed: somebody may have taken one of our sockets over. */
void resume_doubt_all(struct chat *chat);
/* Look after some of those. */
void resume_tick(struct chat *chat);

#endif /* CHAT_RESUME_H */
