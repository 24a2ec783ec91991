/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * typing - who is typing: for the clients of this worker, when it ends; for
 * its rooms, what the members have been told.
 */

#ifndef CHAT_TYPING_H
#define CHAT_TYPING_H

#include "chat/socket.h"

/* The socket leaves the room: it types no more, and that is told at once. */
void typing_socket_leaves(struct chat *chat, struct chat_socket *s,
    struct room *room);
/* A message of the socket is on its way: it will end the typing. */
void typing_message_sent(struct chat *chat, struct chat_socket *s,
    struct room *room);
/* Its verdict: it has ended the typing; or it was not stored after all. */
void typing_message_stored(struct chat *chat, struct chat_socket *s,
    struct room *room);
void typing_message_failed(struct chat *chat, struct chat_socket *s,
    struct room *room);
/* It has come: members are told before they get it. */
void typing_message_comes(struct chat *chat, struct room *room, uint64_t user);
/* A socket of the user has left. */
void typing_user_left(struct chat *chat, struct room *room, uint64_t user,
    struct chat_str socket_id);
/* The socket is gone: forget what it typed, without telling. */
void typing_forget(struct chat *chat, struct chat_socket *s);
/* Nobody types any more in this room; tell (the room stays), or not. */
void typing_clear(struct chat *chat, struct room *room, bool tell);
/* Those who type have the time that others will have. */
void typing_configure(struct chat *chat, const struct config *cfg);
/* What has expired. */
void typing_tick(struct chat *chat, uint64_t now_ms);

#endif /* CHAT_TYPING_H */
