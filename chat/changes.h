/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * changes - edits, deletions, receipts and the status of a session: as they
 * come, and out of the store for who was not there.
 *
 * A member whose replay runs gets none of them live.  The replay sends the
 * messages first, and then what was changed, each item once and as it is
 * now, until it has caught up with both (replay.c).  How far it is, is a
 * position: the changes of a room have rising positions and rising revisions
 * alike.
 */

#ifndef CHAT_CHANGES_H
#define CHAT_CHANGES_H

#include "chat/replay.h"

/* --- as they come ---------------------------------------------------------- */

/*
 * A change was delivered: send it to all members that are live, the changer
 * included, and keep it for those who read.
 */
void changes_send(struct chat *chat, struct room *room,
    const struct chat_delivery *d, const char *event, const struct json_out *o);

/* What the answer to who made it tells: session, seq, revision, timestamp. */
void changes_answer(struct json_out *o, const struct room *room,
    const struct chat_delivery *d);

/* --- for a join ------------------------------------------------------------ */

/*
 * The verdict of a JOIN has come: before its member is added and the room's
 * gap is closed.
 */
void changes_join(struct room *room, const struct chat_delivery *d);
/*
 * The replay that answers the JOIN at 'gseq' sends what is changed behind
 * that; and first, if 'has', what has a revision above 'after'.
 */
void changes_from_join(struct job *job, uint64_t gseq, bool has,
    uint64_t after);

/*
 * "receipts" of a join's answer.  receipts_ask() sees to it that they are
 * there (LATER: they are being read); receipts_render() takes them.
 * 'last_revision' is the room's: 0: there can be none.
 */
enum chat_read receipts_ask(struct chat *chat, const struct chat_socket *s,
    struct job *job, uint64_t last_revision);
enum chat_read receipts_render(struct chat *chat, const struct chat_socket *s,
    struct job *job, uint64_t last_revision, struct json_out *o);

/* --- for a replay ---------------------------------------------------------- */

/* Where this replay (NULL: who is live) is. */
struct changes_place changes_place(const struct room *room,
    const struct job *job);
/* Behind that revision, for one that is live. */
struct changes_place changes_place_behind(const struct chat *chat,
    const struct room *room, uint64_t after_revision);
/* Nothing that was delivered in the room is behind it. */
bool changes_place_level(const struct room *room,
    const struct changes_place *place);
/* What an offset says of it: 0 if it is level. */
uint64_t changes_position(const struct job *job);

/* Are those that it sends next there?  Else they are asked for. */
bool changes_are_there(struct chat *chat, const struct chat_socket *s,
    struct job *job);
/*
 * Send the next changes, and the messages that came meanwhile.  ALL: it has
 * caught up with what was delivered.  PIECE with job->at_changes false: it
 * has to read messages again.
 */
enum produced changes_produce(struct chat *chat, struct chat_socket *s,
    struct job *job, uint64_t delivered, chat_row_fn message, void *arg,
    size_t *bytes);

#endif /* CHAT_CHANGES_H */
