/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * room - the sessions that this worker's clients are in, and who of them.
 */

#ifndef CHAT_ROOM_H
#define CHAT_ROOM_H

#include "common/log.h"

#define uthash_fatal(msg) fatalx("out of memory for a room")
#include <uthash.h>

#include "chat/engine.h"

struct delta;
struct held;
struct job;
struct shown;
struct typing;

/* With which offset a member gets its live messages. */
enum member_frame {
	/* without */
	MEMBER_PLAIN,
	/* with that of all who have got everything */
	MEMBER_SHARED,
	/* with its own: some replay of its socket is running */
	MEMBER_OWN,
};

/* What it is told of the next delta (delta.h). */
enum member_delta {
	MEMBER_AS_ALL,
	/* without its own change */
	MEMBER_IN_IT,
	/* what is behind the roster that it has got */
	MEMBER_ROSTER,
};

/* In the order in which the server sets them. */
enum status {
	STATUS_ACTIVE,
	STATUS_IDLE,
	STATUS_AWAY,
	STATUS__MAX,
};

/* One socket in one room: 48 bytes here and 16 in the socket. */
struct member {
	void *conn;
	struct chat_socket *s;
	/* not live: its messages come out of the store */
	struct job *replay;
	/* changes of presence below were told by the roster; UINT64_MAX:
	 * they will be */
	uint64_t roster_pos;
	uint64_t joined_ms : 48;
	/* enum identity_role */
	uint64_t role : 4;
	/* enum member_frame */
	uint64_t frame : 2;
	/* enum member_delta */
	uint64_t delta : 2;
	/* enum status, as it is stored; 'idled': the server has set it */
	uint64_t status : 2;
	uint64_t idled : 1;
	/* chunks were left out for it: it gets them when it has drained
	 * (stream_lag.c) */
	uint64_t lags : 1;
	/* named at join; NULL without one */
	char *agent;
};

/* The other end, in the socket. */
struct joined {
	/* of the session's id */
	uint32_t hash;
	/* in the room's members */
	uint32_t index;
	struct room *room;
};

_Static_assert(sizeof(struct member) + sizeof(struct joined) <= 64,
    "a joined member takes at most 64 bytes");

TAILQ_HEAD(typing_list, typing);
LIST_HEAD(shown_list, shown);

struct room {
	uint64_t number;
	/* of the session's id */
	uint32_t hash;
	/* pendings and jobs that hold it */
	uint32_t refs;
	struct member *members;
	uint32_t nmembers, cap;
	/* of the messages delivered here; 'gap': there may be others */
	uint64_t last_seq;
	/* of what was changed: the position, and the last revision */
	uint64_t last_change, last_revision;
	bool gap;
	/* a chat:presence-sync is due to all members */
	bool unsynced;
	/* sockets that are in it, of all workers, as the last join or leave
	 * that was delivered told it; or it is not known */
	bool counted;
	uint32_t count;
	/* what comes while the store is read for somebody; or NULL */
	struct held *held;
	/* what is to be told together (delta.h); or NULL; the last of what was
	 * told so is below this position */
	struct delta *delta;
	uint64_t delta_pos;
	/* who types, as the members have been told (typing.c) */
	struct typing_list typing;
	/* streams that the members are shown, or were (stream.h) */
	struct shown_list shown;
	UT_hash_handle hh;
	/* behind session in the same allocation */
	const char *workspace;
	char session[];
};

uint32_t room_hash(const char *session);
struct room *room_find(const struct chat *chat, uint64_t number);
/* Find it or make it; held once more. */
struct room *room_get(struct chat *chat, uint64_t number,
    struct chat_str workspace, struct chat_str session);
void room_ref(struct room *room);
/* Frees it when nobody holds it and nobody is in it. */
void room_unref(struct chat *chat, struct room *room);

/* The socket is in; returns its member, good until the next change. */
struct member *room_add(struct chat *chat, struct room *room,
    struct chat_socket *s);
/* The socket is out; does not free the room. */
void room_remove(struct chat *chat, struct room *room, struct chat_socket *s);
/* NULL if it is not in. */
struct member *room_member(struct room *room, const struct chat_socket *s);

/* One of its members has this id. */
bool room_has_socket(const struct room *room, struct chat_str socket_id);

/*
 * Send an event to members: a message to all that are live but 'except',
 * encoded once for all that can share it;
 * of a change of presence at 'gseq', by which 'net' more are there, to all but
 * 'except' that were not told by the roster; of typing to all but the sockets of 'user', so that what is
 * 'droppable' may be left out for a slow one.
 */
void room_send_message(struct chat *chat, struct room *room, const char *event,
    const struct json_out *o, const struct chat_socket *except);
void room_send_presence(struct chat *chat, struct room *room, const char *event,
    int net, const struct json_out *o, const struct chat_socket *except,
    uint64_t gseq);
void room_send_typing(struct chat *chat, struct room *room,
    struct chat_frame frame, uint64_t user, bool droppable);

#endif /* CHAT_ROOM_H */
