/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * delta - changes of presence in a large session, told once a second:
 * chat:presence-delta.
 *
 * One event each would be as many as there are members, for each of them.  So
 * what has changed is collected, a socket an entry, and what is left of that
 * is told: who came and went within the second is not.
 *
 *   change --> entry, pending --> told to all, one frame a worker
 *                   |                |
 *                   |                +--> kept while somebody waits for a
 *                   |                     roster, which may be older
 *                   +--> to whose roster is newer than some of it, or who is
 *                        in it: a frame of its own
 *
 * A session begins with this when it has more members than
 * presence.delta_above, and goes on until nothing is left to be told; so
 * whatever is told singly is before or behind all that is told this way.
 */

#ifndef CHAT_DELTA_H
#define CHAT_DELTA_H

#include "chat/room.h"

/* at most so often */
#define DELTA_MS 1000
/* entries of joined, which the roster has all of; and of changed: what is too
 * many of them comes with the next event, as long as it is some */
#define DELTA_MAX 200
/* entries of left in one event: what is too many comes with the next */
#define DELTA_LEFT_MAX 4000

enum delta_kind {
	DELTA_JOINED,
	DELTA_LEFT,
	DELTA_CHANGED,
};

/* Are changes of this room told so? */
bool delta_is_due(const struct chat *chat, const struct room *room);
/*
 * A change at 'gseq'.  Of who has left only the socket's id is looked at.
 * 'except' (may be NULL) is not told of it.
 */
void delta_add(struct chat *chat, struct room *room, enum delta_kind kind,
    const struct chat_member *m, uint64_t gseq,
    const struct chat_socket *except);
/* It has been told of everything below this position. */
uint64_t delta_told(const struct chat *chat, const struct room *room,
    const struct member *m);
/* The member has got a roster: what it is told next is its own. */
void delta_joins(const struct room *room, struct member *m);
/* All but those that wait for one of their own have got one of 'pos'. */
void delta_synced(struct room *room, uint64_t pos);
/* Nobody is there any more. */
void delta_forget(struct chat *chat, struct room *room);
/* What is due. */
void delta_tick(struct chat *chat, uint64_t now_ms);

#endif /* CHAT_DELTA_H */
