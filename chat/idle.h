/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * idle - who says nothing for presence.idle_after is idle, and away after
 * presence.away_after, in all its sessions; and active with its next event.
 *
 * A socket knows when it was heard last, and is looked at now and then: all
 * of them within a sixteenth of the shorter time, a few each tick.  So an
 * event costs a store to memory, and there are no timers.
 *
 * What a client has chosen itself, only the client takes back; the server
 * goes only further, from idle to away.
 */

#ifndef CHAT_IDLE_H
#define CHAT_IDLE_H

#include "chat/socket.h"

/* It has sent an event; of the session 'except' (may be NULL) that tells its
 * status itself. */
void idle_heard(struct chat *chat, struct chat_socket *s, const char *except);
/* It is new, or what was known of it is over. */
void idle_begin(struct chat *chat, struct chat_socket *s);
/* For how long nothing has come from it. */
uint64_t idle_silent_ms(struct chat *chat, const struct chat_socket *s);
/* It is no more. */
void idle_forget(struct chat *chat, const struct chat_socket *s);
/* A member's status has been stored, or could not be: is it right? */
void idle_settle(struct chat *chat, struct chat_socket *s, struct member *m,
    struct room *room);
/* The store says what it is; who has set that is not known. */
void idle_found(struct chat_socket *s, struct member *m, struct chat_str text);
/* Look at some. */
void idle_tick(struct chat *chat, uint64_t now_ms);

/* presence.c: store this status; 'kind' tells who says so. */
struct pending *presence_publish(struct chat *chat, struct chat_socket *s,
    struct room *room, enum status status, enum pending_kind kind);
/* The text as it is told; and back, STATUS__MAX for any other. */
const char *status_text(enum status status);
enum status status_of(struct chat_str text);

#endif /* CHAT_IDLE_H */
