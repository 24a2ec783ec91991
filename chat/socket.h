/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * socket - a client: the sessions it is in and what it waits for.
 *
 * Events of a socket about one session take effect one after the other:
 * while a join or a leave of it is under way, the others are deferred.
 */

#ifndef CHAT_SOCKET_H
#define CHAT_SOCKET_H

#include "chat/room.h"

#define DEFERRED_MAX 32
#define DEFERRED_BYTES (256 * 1024)
/* history requests that may wait for their turn */
#define JOBS_MAX 64
/* retries over the message rate in one second */
#define RETRIES_PER_SECOND 5

enum pending_kind {
	PENDING_JOIN,
	PENDING_LEAVE,
	PENDING_PRESENCE,
	PENDING_MESSAGE,
	/* over its rate: tell whether it is a retry */
	PENDING_RETRY,
};

/* What was published for a socket and has not come back. */
struct pending {
	STAILQ_ENTRY(pending) entry;
	uint32_t request;
	enum pending_kind kind;
	bool has_ack;
	/* JOIN: replay what is behind after_seq */
	bool has_after;
	uint64_t ack;
	union {
		uint64_t after_seq;
		/* RETRY: when its rate allows the next */
		uint64_t wait_ns;
	};
	/* held; NULL for a JOIN */
	struct room *room;
	/* JOIN: session, workspace and agent id, each with its NUL */
	char names[];
};

/* An event that came while its session was being joined or left. */
struct deferred {
	STAILQ_ENTRY(deferred) entry;
	size_t name_len, args_len, size;
	bool has_ack;
	uint64_t ack;
	/* name and arguments */
	char text[];
};

/* What a socket has under way; most have nothing, and then no such thing. */
struct work {
	STAILQ_HEAD(, pending) pendings;
	STAILQ_HEAD(deferred_list, deferred) deferreds;
	STAILQ_HEAD(, job) jobs;
	LIST_HEAD(, typist) typists;
	/* pendings that are joins and leaves; all jobs; all deferreds */
	uint32_t nbusy, njobs, ndeferred;
	size_t deferred_bytes;
};

struct chat_socket {
	LIST_ENTRY(chat_socket) entry;
	void *conn;
	struct identity *identity;
	/* the user's number, from the first JOIN on */
	uint64_t user;
	/* sorted by hash */
	struct joined *joined;
	uint32_t njoined, joined_cap;
	/* NULL if it has none */
	struct work *work;
	/* retries over the rate in this second (of the engine's clock) */
	uint32_t nretries, retry_second;
	char id[CHAT_SOCKET_ID_MAX + 1];
};

/* To look into: never NULL, but not to be changed. */
const struct work *socket_work(const struct chat_socket *s);
/* To put something in. */
struct work *socket_work_make(struct chat_socket *s);
/* Something was taken out. */
void socket_work_done(struct chat_socket *s);

/* The session of that id that it is in; NULL if in none. */
struct joined *socket_joined(const struct chat_socket *s, const char *session);
/* The same by its room. */
struct joined *socket_joined_room(const struct chat_socket *s,
    const struct room *room);
/* For room.c: keep the list of what is joined. */
void socket_add_joined(struct chat_socket *s, struct room *room,
    uint32_t index);
void socket_remove_joined(struct chat_socket *s, const struct joined *j);

/*
 * Remember a request that is about to be published; 'room' is held.  The
 * caller fills in the rest; a JOIN has 'extra' bytes for its names.
 */
struct pending *pending_add(struct chat *chat, struct chat_socket *s,
    enum pending_kind kind, struct room *room, size_t extra);
/* Take it out; NULL if there is none of that number. */
struct pending *pending_take(struct chat_socket *s, uint32_t request);
/* Of a JOIN. */
const char *pending_workspace(const struct pending *p);
const char *pending_agent(const struct pending *p);
void pending_free(struct chat *chat, struct pending **p);
/* A message of it to this room is on its way. */
bool socket_sends(const struct chat_socket *s, const struct room *room);

/* A join or leave of this session is under way. */
bool socket_busy(const struct chat_socket *s, const char *session);
/* Keep an event for later; false if too much waits already. */
bool socket_defer(struct chat_socket *s, struct chat_str name,
    struct chat_str args, size_t size, bool has_ack, uint64_t ack);
/* A join or leave has come to its end: do what was deferred. */
void socket_resume(struct chat *chat, struct chat_socket *s);

#endif /* CHAT_SOCKET_H */
