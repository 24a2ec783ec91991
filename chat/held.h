/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * held - what is delivered in a room while the store is read for somebody.
 *
 * What was read is of one position, and what has been delivered meanwhile may
 * lie behind it.  So the changes of presence, and the messages, of a room are
 * kept while somebody waits for its roster or its messages; and those behind
 * the position of what was read are sent after it.  Otherwise a busy room's
 * replay would have to read again and again, and never be level.
 *
 * It is bounded: who finds that too much was forgotten reads again.
 */

#ifndef CHAT_HELD_H
#define CHAT_HELD_H

#include "chat/room.h"

/* bytes that a room keeps, and all of them; older ones are forgotten */
#define HELD_BYTES (256 * 1024)
#define HELD_ALL_BYTES (4 * 1024 * 1024)

/* Somebody waits for something of the store, from now on; no longer. */
void held_begin(struct chat *chat, struct room *room);
void held_end(struct chat *chat, struct room *room);

/* A change at 'gseq', by which 'net' more are there, and which 'except' (may
 * be NULL) is not told of. */
void held_add(struct chat *chat, struct room *room, uint64_t gseq,
    const char *event, int net, const struct json_out *o,
    const struct chat_socket *except);
/* How many more are there since 'pos', by what is kept. */
int64_t held_net(const struct room *room, uint64_t pos);
/* The same of what replays send: an edit, a deletion, a receipt, a status. */
void held_change(struct chat *chat, struct room *room, uint64_t gseq,
    const char *event, const struct json_out *o);
/* A message that was stored. */
void held_message(struct chat *chat, struct room *room,
    const struct chat_delivery *d);
/* Events below 'pos' have been missed. */
void held_gap(struct chat *chat, struct room *room, uint64_t pos);

/* What came below 'pos' is not kept any more. */
void held_forget(struct room *room, uint64_t pos);

/* Is everything kept, or still to come, that is behind a roster of this
 * position? */
bool held_covers(const struct chat *chat, const struct room *room,
    uint64_t pos);
/*
 * Call 'fn' with the messages that came behind the position 'pos', until it
 * returns false.  False, and none, if they are not all here.
 */
bool held_rows(const struct room *room, uint64_t pos, chat_row_fn fn,
    void *arg);
/* The same for changes. */
typedef void (*held_change_fn)(void *arg, uint64_t gseq, const char *event,
    struct chat_str json);
bool held_changes(const struct room *room, uint64_t pos, held_change_fn fn,
    void *arg);
/* Send one who has a roster of this position what came behind it. */
void held_send(struct chat *chat, const struct room *room,
    const struct chat_socket *s, uint64_t pos);

#endif /* CHAT_HELD_H */
