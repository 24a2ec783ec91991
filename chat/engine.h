/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * engine - what the files of chat/ share.
 *
 *   chat --+-- rooms, by number -- room -- members[]: conn, socket, ...
 *          |                        |         ^ index
 *          +-- sockets -- socket ---+-- joined[], sorted by session
 *                                   +-- pendings: published, not yet back
 *                                   +-- jobs: what is produced piece by piece
 *
 * A room (room.h) is here while somebody of this worker is in it or waits
 * for something in it.  A member is one socket in one room; what the loop
 * over a room's members needs stands in that array.
 *
 * Memory that is not there ends the worker: nothing here is as large as a
 * client likes.
 */

#ifndef CHAT_ENGINE_H
#define CHAT_ENGINE_H

#include <sys/queue.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "chat/chat.h"
#include "chat/count.h"
#include "chat/offset.h"
#include "common/json.h"

#define CHAT_ID_MAX 100
/* public Socket.IO ids have 20 characters */
#define CHAT_SOCKET_ID_MAX 23
#define MS_PER_S 1000

struct expiry;
struct room;
struct steer;
struct streams;
struct typist;

/* The id of a session, workspace, agent or message. */
struct chat_id {
	size_t len;
	char text[CHAT_ID_MAX + 1];
};

/* A LEAVE that nobody waits for. */
struct leave {
	uint64_t room, user;
	struct chat_owner owner;
	unsigned flags;
	struct chat_str socket_id, user_id, reason;
};

/* One that is published later (leave.c). */
struct later;
/* A socket that was disconnected on purpose while it was joining (leave.c). */
struct final;

TAILQ_HEAD(typist_list, typist);
TAILQ_HEAD(later_list, later);

#define SECURITY_KINDS 5

struct chat {
	const struct config *cfg;
	const struct chat_ops *ops;
	void *ctx;
	struct room *rooms;
	LIST_HEAD(, chat_socket) sockets;
	/* those that can be resumed, by their public ids */
	struct chat_socket *by_id;
	size_t nsockets, nmembers;
	/* of by_id: those that were resumed; that may have been taken over
	 * while this worker was not listening */
	size_t nresumed, ndoubtful;
	/* rooms whose members are due a chat:presence-sync */
	size_t nunsynced;
	/* of events that rooms keep (held.h) */
	size_t held_bytes;
	/* of rooms that have one (delta.h) */
	TAILQ_HEAD(, delta) deltas;
	/* whose silence is looked at next (idle.c), when that was done last,
	 * and what is left over of a socket */
	struct chat_socket *sweep;
	uint64_t swept_ms, sweep_rest;
	uint32_t last_request;
	/* everything below this position has been delivered */
	uint64_t pos;
	/* events below this position may have been missed */
	uint64_t gap;
	/* some jobs wait for the store to be readable again */
	bool stalled;
	/* whom an op is called for that may call back; NULL: it is gone */
	struct chat_socket *calling;
	/* who types here, the first to expire first */
	struct typist_list typists;
	/* what is shown of all workers' (typing.c) */
	TAILQ_HEAD(, typing) typings;
	/* the first that is due first */
	struct later_list laters;
	TAILQ_HEAD(, final) finals;
	size_t nfinals;
	/* scratch: one answer to a client; one event to a room; an offset */
	struct json_out reply, event;
	char offset[OFFSET_TEXT_SIZE];
	/* whose tokens end, and when (expiry.h); NULL: nobody's so far */
	struct expiry *expiry;
	/* who may be in what his token does not cover (refresh.c) */
	LIST_HEAD(, uncovered) uncovered;
	/* what operators decided (steer.h) */
	struct steer *steer;
	/* what agents are writing (stream.h) */
	struct streams *streams;
	/* what becomes of texts (content.h) */
	struct content *content;
	/* security events (security.h): told in this second, and how many
	 * were left out */
	uint64_t security_second;
	struct {
		unsigned lines, left_out;
	} security[SECURITY_KINDS];
};

static inline struct chat_str
chat_str(const char *p, size_t len)
{
	return (struct chat_str){ p, len };
}

static inline struct chat_str
chat_cstr(const char *s)
{
	return (struct chat_str){ s, strlen(s) };
}

/* A number in a field of an event: in decimal. */
uint64_t chat_number(struct chat_str s);

/* calloc() and the like that end the worker when there is no memory. */
void *chat_alloc(size_t size);
void *chat_realloc(void *p, size_t n, size_t size);

/* 'id' has been checked before: it fits. */
void chat_id_set(struct chat_id *id_r, struct chat_str id);

/* Ends the worker if 'o' could not be written. */
void chat_check_out(const struct json_out *o);
/*
 * Encode what 'o' holds; ends the worker if it could not be written.
 * 'offset' is NULL for what is not stored.
 */
struct chat_frame chat_encode(struct chat *chat, const char *name,
    const struct json_out *o, const char *offset);
/* The offset of those who have got everything; in chat->offset. */
const char *chat_offset(struct chat *chat);
uint64_t chat_mono_ms(struct chat *chat);
uint64_t chat_real_ms(struct chat *chat);
void chat_count(struct chat *chat, enum chat_count what);
/* The number of the next request; never 0. */
uint32_t chat_next_request(struct chat *chat);

/* Events in their turn: join.c, leave.c, presence.c, deliver.c, typing.c. */
void join_deliver(struct chat *chat, const struct chat_delivery *d);
void leave_deliver(struct chat *chat, const struct chat_delivery *d);
void presence_deliver(struct chat *chat, const struct chat_delivery *d);
void message_deliver(struct chat *chat, const struct chat_delivery *d);
void typing_deliver(struct chat *chat, const struct chat_delivery *d);
void resume_deliver(struct chat *chat, const struct chat_delivery *d);
void ask_deliver(struct chat *chat, const struct chat_delivery *d);
/* edit.c, receipt.c, status.c, steer.c, stream.c */
void edit_deliver(struct chat *chat, const struct chat_delivery *d);
void receipt_deliver(struct chat *chat, const struct chat_delivery *d);
void status_deliver(struct chat *chat, const struct chat_delivery *d);
void steer_deliver(struct chat *chat, const struct chat_delivery *d);
void chunk_deliver(struct chat *chat, const struct chat_delivery *d);
void cancel_deliver(struct chat *chat, const struct chat_delivery *d);

/* Leaves that nobody waits for (leave.c): now, or in 'ms', unless the socket
 * is in the room then. */
void leave_publish(struct chat *chat, const struct leave *l);
void leave_later(struct chat *chat, const struct leave *l, uint64_t ms);
/* The flags of a leave for this reason. */
unsigned leave_flags(const char *reason);
/*
 * The socket goes for good while it is joining: what it enters then is left
 * with these flags and this reason.
 */
void leave_final(struct chat *chat, const struct chat_socket *s,
    const char *reason);
/* It entered 'd' and is gone: leave again. */
void leave_gone(struct chat *chat, const struct chat_delivery *d);
void leave_tick(struct chat *chat, uint64_t now_ms);
void leave_free_all(struct chat *chat);

/* Chunks were missed (stream_show.c). */
void shown_resync(struct chat *chat);
/* That somebody has cancelled a stream of ours may have been missed. */
void cancel_resync(struct chat *chat);

/* steer.c */
void steer_new(struct chat *chat);
void steer_free(struct chat *chat);
/* What was decided from chat->pos to 'pos' may have been missed. */
void steer_resync(struct chat *chat, uint64_t pos);
void steer_tick(struct chat *chat, uint64_t now_ms);

/* security.c */
void security_tick(struct chat *chat);

#endif /* CHAT_ENGINE_H */
