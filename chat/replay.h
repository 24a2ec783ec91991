/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * replay - what a client gets out of the store, piece by piece as its
 * connection drains: messages that it missed, and pages of history.
 */

#ifndef CHAT_REPLAY_H
#define CHAT_REPLAY_H

#include "chat/socket.h"

/* about so much is produced at a time */
#define PIECE_BYTES (64 * 1024)
/* and a page of history holds at most so much */
#define PAGE_BYTES (512 * 1024)

enum job_kind {
	/* of a member: it is not live while this runs */
	JOB_REPLAY,
	/* what is left of one whose member has gone: the answers that it
	 * still owes */
	JOB_ANSWERS,
	JOB_HISTORY,
	/* the roster, after a recovery */
	JOB_SYNC,
};

struct job {
	STAILQ_ENTRY(job) entry;
	enum job_kind kind;
	/* held */
	struct room *room;
	/* REPLAY: the next seq; and up to where its own messages are sent to
	 * it as all others are */
	uint64_t next, own_to;
	/* its own messages below this position are answered otherwise */
	uint64_t silent_below;
	/* its own messages are answered here and nowhere else */
	bool owes;
	/* of a member that is resumed: the join has to be answered first,
	 * as it was when the session had 'last_seq' */
	bool unanswered, truncated;
	uint64_t last_seq;
	/* ANSWERS: the position where they end */
	uint64_t end;
	/* HISTORY */
	bool has_before, has_after, has_ack;
	uint64_t before, after, offset, limit, ack;
};

/* At the end of the queue; or, 'first', at its head. */
struct job *job_add(struct chat *chat, struct chat_socket *s,
    enum job_kind kind, struct room *room, bool first);
/* The socket is gone: it wants nothing any more. */
void jobs_forget(struct chat *chat, struct chat_socket *s);

/*
 * Send the member the messages from 'from' on, then let it be live.  One
 * that is running is begun anew.  'from' may be 0 while it is not known.
 */
struct job *replay_start(struct chat *chat, struct room *room, struct member *m,
    uint64_t from, uint64_t own_to);
/* Live at once, or gone; only what it owes is still sent. */
void replay_stop(struct chat *chat, struct member *m);
/* A message of its own was stored and not answered: the replay does it. */
void replay_owes(struct member *m);

static inline bool
job_is_replay(const struct job *job)
{
	return job->kind == JOB_REPLAY;
}

/* How far it is, for an offset. */
struct offset_pair replay_position(const struct job *job);

enum produced {
	PRODUCED_ALL,
	/* there is more */
	PRODUCED_PIECE,
	/* the store cannot be read now */
	PRODUCED_STALLED,
};

/*
 * The next piece of what the socket waits for; what is left is wanted when
 * that has gone.
 */
void jobs_produce(struct chat *chat, struct chat_socket *s, uint64_t delivered);

/* history.c */
void history_produce(struct chat *chat, struct chat_socket *s,
    const struct job *job);
/* sync.c */
enum produced sync_produce(struct chat *chat, struct chat_socket *s,
    const struct job *job, size_t *bytes);

#endif /* CHAT_REPLAY_H */
