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
	/* of a member that has joined again: the answer */
	JOB_JOIN,
	JOB_HISTORY,
	/* the roster, after a recovery */
	JOB_SYNC,
	/* a page of the roster (roster.c) */
	JOB_ROSTER,
	/* an edit or a deletion: the message is looked up (edit.c) */
	JOB_EDIT,
	/* chunks that were left out (stream_lag.c) */
	JOB_CHUNKS,
};

struct edit;
struct lag;

/* Which changes of a room are still to be sent. */
struct changes_place {
	/* those at or behind this position */
	uint64_t pos;
	/* but first those with a higher revision than this one */
	bool has_revision;
	uint64_t after_revision;
};

struct job {
	STAILQ_ENTRY(job) entry;
	enum job_kind kind;
	/* held */
	struct room *room;
	/* REPLAY: the next seq; and up to where its own messages are sent to
	 * it as all others are */
	uint64_t next, own_to;
	/* REPLAY: of the changes; 'at_changes': the messages that were
	 * delivered below 'level_pos' have been sent (changes.c) */
	struct changes_place place;
	uint64_t level_pos;
	bool at_changes;
	/* its own messages below this position are answered otherwise */
	uint64_t silent_below;
	/* its own messages are answered here and nowhere else */
	bool owes;
	/* the join has to be answered first, as it was when the session had
	 * 'last_seq'; 'fresh': it is undone if it cannot be answered now */
	bool unanswered, truncated, fresh;
	uint64_t last_seq, last_revision;
	/* something is being read for it; nothing else of the session is done
	 * before it */
	bool awaits, busy;
	/* where the worker was when it was made, or first asked for this: what
	 * is read is not older */
	uint64_t since;
	/* JOIN: what the member had */
	uint64_t roster_pos;
	char *agent;
	/* ROSTER: the socket and, behind its NUL, the user behind whom it
	 * begins; or NULL */
	char *behind;
	/* ANSWERS: the position where they end */
	uint64_t end;
	/* JOIN, REPLAY, HISTORY, ROSTER, EDIT */
	bool has_after, has_ack;
	uint64_t after, ack;
	/* JOIN */
	bool has_revision;
	uint64_t after_revision;
	/* HISTORY */
	bool has_before;
	uint64_t before, offset, limit;
	/* EDIT: one piece of memory; and how far the search is */
	struct edit *edit;
	uint64_t find_at;
	/* CHUNKS */
	struct lag *lag;
};

/* At the end of the queue; or, 'first', at its head. */
struct job *job_add(struct chat *chat, struct chat_socket *s,
    enum job_kind kind, struct room *room, bool first);
/* The socket is gone: it wants nothing any more. */
void jobs_forget(struct chat *chat, struct chat_socket *s);
/* A join of this session is not answered yet. */
bool jobs_busy(const struct chat_socket *s, const char *session);

/*
 * Send the member the messages from 'from' on, then let it be live.  One
 * that is running is begun anew.  'from' may be 0 while it is not known.
 */
struct job *replay_start(struct chat *chat, struct room *room, struct member *m,
    uint64_t from, uint64_t own_to);
/*
 * The member has joined again, as 'join' says: its replay, or a new one,
 * sends the messages from 'from' on (0: none are missed, unless some are on
 * their way and were not named) and the changes that were asked for.
 */
void replay_again(struct chat *chat, struct room *room, struct member *m,
    const struct job *join, uint64_t from);
/* Live at once, or gone; only what it owes is still sent. */
void replay_stop(struct chat *chat, struct member *m);
/* A message of its own was stored and not answered: the replay does it. */
void replay_owes(struct member *m);

static inline bool
job_is_replay(const struct job *job)
{
	return job->kind == JOB_REPLAY;
}

/*
 * The job's join is to be answered, perhaps 'first' of what the socket waits
 * for.  Nothing else of the session is done until then.
 */
void job_unanswered(struct chat_socket *s, struct job *job, bool first);
/* What was to be answered has been. */
void job_answered(struct chat_socket *s, struct job *job);
/* Do at once what can be done at once; may free the job. */
void job_try(struct chat *chat, struct chat_socket *s, struct job *job);

/* What comes to the room from now on is kept, until the job has ended. */
void job_awaits(struct chat *chat, struct job *job);
void job_got_it(struct chat *chat, struct job *job);

/* Has it sent all that was delivered in its room? */
bool replay_is_level(const struct job *job);
/* How far it is, for an offset. */
struct offset_pair replay_position(const struct job *job);

enum produced {
	PRODUCED_ALL,
	/* there is more */
	PRODUCED_PIECE,
	/* it is being read: chat_produce() will be called */
	PRODUCED_LATER,
	/* the store cannot be read now */
	PRODUCED_STALLED,
};

/*
 * Is there what the first pieces of the socket's replays need?  False: it is
 * being read, and chat_produce() will be called.
 */
bool replays_are_there(struct chat *chat, struct chat_socket *s);

/*
 * The next piece of what the socket waits for; what is left is wanted when
 * that has gone.
 */
enum produced jobs_produce(struct chat *chat, struct chat_socket *s,
    uint64_t delivered);

/* edit.c */
enum produced edit_produce(struct chat *chat, struct chat_socket *s,
    struct job *job);
/* history.c */
enum produced history_produce(struct chat *chat, struct chat_socket *s,
    const struct job *job);
/* sync.c */
enum produced sync_produce(struct chat *chat, struct chat_socket *s,
    struct job *job, size_t *bytes);
/* The members of rooms that are due one. */
void sync_tick(struct chat *chat);
/* The room is no more. */
void sync_forget(struct chat *chat, struct room *room);
/* roster.c */
enum produced roster_produce(struct chat *chat, struct chat_socket *s,
    struct job *job, size_t *bytes);
/* join.c */
enum produced join_again_produce(struct chat *chat, struct chat_socket *s,
    struct job *job, size_t *bytes);

#endif /* CHAT_REPLAY_H */
