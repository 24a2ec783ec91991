/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * held - changes of presence that come while a roster is being read.
 *
 * The roster is of one position, and what is delivered meanwhile may lie
 * behind it: so the changes of a room are kept while somebody waits for its
 * roster, and those behind the roster's position are sent after it.
 */

#ifndef CHAT_HELD_H
#define CHAT_HELD_H

#include "chat/room.h"

/* bytes of changes that a room keeps; older ones are forgotten */
#define HELD_BYTES (256 * 1024)

/* Somebody waits for the roster, from now on; no longer. */
void held_begin(const struct chat *chat, struct room *room);
void held_end(struct room *room);

/* A change at 'gseq', which 'except' (may be NULL) is not told of. */
void held_add(struct room *room, uint64_t gseq, const char *event,
    const struct json_out *o, const struct chat_socket *except);
/* Changes below 'pos' have been missed. */
void held_gap(struct room *room, uint64_t pos);

/* Is everything kept that came behind a roster of this position? */
bool held_covers(const struct room *room, uint64_t pos);
/* Send one who has a roster of this position what came behind it. */
void held_send(struct chat *chat, const struct room *room,
    const struct chat_socket *s, uint64_t pos);

#endif /* CHAT_HELD_H */
