/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * join - what joining a session and being resumed in it have in common.
 */

#ifndef CHAT_JOIN_H
#define CHAT_JOIN_H

#include "chat/replay.h"
#include "chat/request.h"

/* A JOIN to be published. */
struct join_wish {
	const struct chat_id *session, *workspace, *agent;
	bool has_after, has_revision;
	uint64_t after_seq, after_revision;
	/* CHAT_F_RESUME or 0 */
	unsigned flags;
};
/* Returns what waits for it; the caller fills in the rest. */
struct pending *join_publish(struct chat *chat, struct chat_socket *s,
    const struct join_wish *wish);

/*
 * The first seq to replay to one who has everything up to 'after_seq' in a
 * session that has 'last_seq'; 0: nothing.  Many are cut to the newest, and
 * *truncated_r is set.
 */
uint64_t replay_from(const struct chat *chat, bool has_after,
    uint64_t after_seq, uint64_t last_seq, bool *truncated_r);

/*
 * Answer the join of a member whose replay is not answered, as that says it
 * was.
 */
enum chat_read join_answer_late(struct chat *chat, struct chat_socket *s,
    struct job *job, size_t *bytes);
/* It cannot be answered: it is not in, and is told so. */
void join_undo(struct chat *chat, struct chat_socket *s, struct job *job);

/* chat:join-session-error for a request that is not there any more. */
void join_refuse(struct chat *chat, struct chat_socket *s,
    const struct chat_id *session, const struct chat_id *workspace,
    const struct chat_id *agent, enum chat_error err);

#endif /* CHAT_JOIN_H */
