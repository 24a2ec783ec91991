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
	JOB_REPLAY,
	JOB_HISTORY,
};

struct job {
	STAILQ_ENTRY(job) entry;
	enum job_kind kind;
	/* held */
	struct room *room;
	/* REPLAY: the next seq; and up to where its own messages are sent
	 * to it as well */
	uint64_t next, own_to;
	/* HISTORY */
	bool has_before, has_after, has_ack;
	uint64_t before, after, offset, limit, ack;
};

struct job *job_add(struct chat *chat, struct chat_socket *s,
    enum job_kind kind, struct room *room);
void job_remove(struct chat *chat, struct chat_socket *s, struct job *job);
/* The socket is gone: it wants nothing any more. */
void jobs_forget(struct chat *chat, struct chat_socket *s);

/*
 * Send the member the messages from 'from' on, then let it be live.  One
 * that is running is begun anew.
 */
void replay_start(struct chat *chat, struct room *room, struct member *m,
    uint64_t from, uint64_t own_to);
/* Live at once; what was not yet sent is not sent. */
void replay_stop(struct chat *chat, struct member *m);

enum produced {
	PRODUCED_ALL,
	/* there is more */
	PRODUCED_PIECE,
	/* the store cannot be read now */
	PRODUCED_STALLED,
};

/* The next piece of a job. */
enum produced replay_produce(struct chat *chat, struct chat_socket *s,
    struct job *job, uint64_t delivered);
void history_produce(struct chat *chat, struct chat_socket *s,
    const struct job *job);

#endif /* CHAT_REPLAY_H */
