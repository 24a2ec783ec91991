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

struct resume;

#define DEFERRED_MAX 32
#define DEFERRED_BYTES (256 * 1024)
/* pages, replays and edits that may wait for their turn */
#define JOBS_MAX 64
/* retries over the message rate in one second */
#define RETRIES_PER_SECOND 5

/* Why it is let go: what the others are told (contract, details 8). */
enum socket_end {
	/* it is not */
	SOCKET_STAYS,
	SOCKET_DISCONNECTED,
	SOCKET_KICKED,
	SOCKET_REVOKED,
};

enum pending_kind {
	PENDING_JOIN,
	PENDING_LEAVE,
	PENDING_PRESENCE,
	/* the same, because of its silence */
	PENDING_IDLE,
	PENDING_MESSAGE,
	/* over its rate: tell whether it is a retry */
	PENDING_RETRY,
	PENDING_RESUME,
	/* the application is asked about its new token */
	PENDING_REFRESH,
	/* an edit or a deletion */
	PENDING_EDIT,
	PENDING_RECEIPT,
	/* is it the id of a message? (stream.c) */
	PENDING_STREAM,
};

/* What was published for a socket and has not come back. */
struct pending {
	STAILQ_ENTRY(pending) entry;
	uint32_t request;
	enum pending_kind kind;
	bool has_ack;
	/* JOIN: replay what is behind after_seq, and after_revision */
	bool has_after, has_revision;
	uint64_t ack, after_revision;
	union {
		uint64_t after_seq;
		/* RETRY: when its rate allows the next; 0: it is refused as a
		 * part of a burst */
		uint64_t wait_ns;
		/* MESSAGE: to be given back if it is a retry (content.h) */
		uint64_t mark;
		/* JOIN of a socket that is resumed: which of its rooms */
		size_t index;
	};
	/* held; NULL for a JOIN and a RESUME */
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
	/* what it writes, and what that became until it is told (stream.h) */
	LIST_HEAD(, stream) streams;
	/* pendings that are joins and leaves, and joins that are not answered
	 * yet; all jobs; all deferreds */
	uint32_t nbusy, njobs, ndeferred;
	size_t deferred_bytes;
	/* what some deferreds were deferred for has come to its end */
	bool answered;
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
	/* NULL unless it is being resumed */
	struct resume *resume;
	/* in chat->by_id, unless it has no pid */
	UT_hash_handle hh;
	struct chat_owner owner;
	/* rooms whose replay is running */
	uint32_t nreplays;
	/* retries over the rate in this second (of the engine's clock) */
	uint32_t nretries, retry_second;
	/* where it stands in the heap of expiry.c; 0: nowhere */
	uint32_t expiry_at;
	/* when an event came last (idle.c) */
	uint32_t heard;
	/* it may be idle or away in some session because of its silence */
	bool idled;
	/* stored events have an offset behind them */
	bool offsets;
	/* it is not a new one, but was resumed */
	bool resumed;
	/* it may have been taken over while nobody listened */
	bool doubtful;
	/* a join of it may have been decided while nobody listened */
	bool joins_doubtful;
	/* another connection has taken it over: it is in nothing any more */
	bool taken;
	/* its token has ended, and the client has been told */
	bool expired;
	/* it may be in sessions that its token does not cover (refresh.c) */
	bool uncovered;
	/* enum socket_end: nothing of it is taken any more */
	uint8_t end;
	char id[CHAT_SOCKET_ID_MAX + 1];
	/* empty: it cannot be recovered */
	char pid[CHAT_SID_SIZE];
};

/*
 * A socket without an id, or NULL; takes the identity over.  And the end of
 * one: 'reason' NULL without telling.
 */
struct chat_socket *socket_new(struct chat *chat, void *conn,
    struct identity **identity, const struct chat_connect *options);
void socket_free(struct chat *chat, struct chat_socket *s, const char *reason);
/* Name it; 'pid' NULL: it cannot be recovered. */
void socket_name(struct chat *chat, struct chat_socket *s, const char *id,
    const char *pid);
void socket_unname(struct chat *chat, struct chat_socket *s);
/* Is that its id? */
bool socket_is(const struct chat_socket *s, struct chat_str id);
/* Of those that can be resumed; NULL if there is none. */
struct chat_socket *socket_by_id(const struct chat *chat, struct chat_str id);
/*
 * Another connection has taken the socket over: it is in nothing any more,
 * and nobody is told: that is the other's.  Its connection is to be closed.
 */
void socket_take(struct chat *chat, struct chat_socket *s);
/*
 * Tell it {code, message, retryAfter?} by chat:disconnect-reason and have it
 * disconnected with a packet before the turn ends, so that the stock client
 * stays away; until then it is as before, but nothing of it is taken.  One
 * that is being resumed has its CONNECT refused instead (SESSION_INVALID).
 * 'code' is one of the contract's (details 14); 'retry_after' in seconds, 0:
 * none.  Done once; frees nothing; may be called anywhere.
 */
void socket_disconnect(struct chat *chat, struct chat_socket *s,
    const char *code, const char *message, uint64_t retry_after);
/* Its turn to be refused has come; frees it. */
void socket_refuse(struct chat *chat, struct chat_socket *s);
/* CONNECT is answered, the socket is like any other; may free it. */
void socket_connected(struct chat *chat, struct chat_socket *s, bool recovered);

/* Publish an event of the socket; 'request' 0: nobody waits for it. */
void socket_publish(struct chat *chat, struct chat_socket *s, uint32_t request,
    struct chat_event *ev);

/* Which frames it gets, and with which offset (in chat->offset; or NULL). */
enum member_frame socket_frame(const struct chat_socket *s);
const char *socket_offset(struct chat *chat, const struct chat_socket *s);
/*
 * After a gap: a join that is under way may have been decided in it, and is
 * published again.  Until it is answered no offset can say that it is not:
 * where it stands is not known, and what is sent meanwhile stands behind it.
 */
void socket_doubt_joins(struct chat_socket *s);
/* A join has its verdict. */
void socket_join_settled(struct chat_socket *s);
/* One replay more or less is running. */
void socket_count_replays(struct chat_socket *s, int change);

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
/* What it was deferred for has come to its end: do it. */
void socket_do_deferred(struct chat *chat, struct chat_socket *s);
/* Joins that are under way. */
uint32_t socket_njoins(const struct chat_socket *s);

#endif /* CHAT_SOCKET_H */
