/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * chat - the chat itself: one engine a worker.
 *
 * It knows events, sessions, members, identities and limits, and neither
 * sockets nor bytes on the wire nor LMDB nor shared memory: what it wants
 * done it asks for through struct chat_ops.  Events that change something
 * go out by ops->publish(); they come back, in the one order that all
 * workers share, by chat_deliver(), and only then take effect.
 *
 * Everything is single-threaded.  No op calls back into chat.  JSON handed
 * to ops is compact UTF-8 and valid for the duration of the call.
 */

#ifndef CHAT_CHAT_H
#define CHAT_CHAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chat/identity.h"
#include "common/config.h"

struct chat;
/* A connected Socket.IO socket of the namespace "/". */
struct chat_socket;

struct chat_str {
	const char *p;
	size_t len;
};

enum chat_event_type {
	CHAT_JOIN,
	CHAT_LEAVE,
	CHAT_PRESENCE,
	CHAT_MESSAGE,
	CHAT_TYPING,
};

#define CHAT_MAX_FIELDS 8

enum {
	/* TYPING: is typing; absent: has stopped */
	CHAT_F_TYPING = 1 << 0,
	/* TYPING: shown before and to be shown again */
	CHAT_F_RENEW = 1 << 1,
	/* LEAVE: for a socket whose worker died */
	CHAT_F_ORPHAN = 1 << 2,
	/* MESSAGE: over its rate: tell only whether it is a duplicate, and
	 * store nothing */
	CHAT_F_ONLY_DUPLICATE = 1 << 3,
};

/*
 * What is published and what is delivered.  Fields by type:
 *   JOIN      workspace, session, user id, user name, socket id, agent id
 *   LEAVE     socket id, user id, reason
 *   PRESENCE  socket id, user id, user name, status, when it joined (ms since
 *             the epoch, in decimal)
 *   MESSAGE   message id, socket id, body
 *   TYPING    socket id, user id, agent id
 * body: the inside of the ChatMessage object without sessionId, timestamp
 * and seq, which are added when it is shown.
 */
struct chat_event {
	enum chat_event_type type;
	unsigned flags;
	/* numbers given out by the store's writer; room is 0 in a JOIN that
	 * is published */
	uint64_t room;
	uint64_t user;
	unsigned nfields;
	struct chat_str field[CHAT_MAX_FIELDS];
};

/* What became of a published event. */
enum chat_outcome {
	CHAT_STORED,
	CHAT_DUPLICATE,
	CHAT_ID_TAKEN,
	CHAT_SESSION_FULL,
	CHAT_STORE_UNAVAILABLE,
	CHAT_REJECTED,
};

struct chat_delivery {
	struct chat_event ev;
	enum chat_outcome outcome;
	/* position in the order of all events */
	uint64_t gseq;
	/* MESSAGE: its seq.  JOIN: the session's last seq.  LEAVE: sockets
	 * that the user still has in the session. */
	uint64_t seq;
	uint64_t revision;
	/* ms since the epoch */
	uint64_t time_ms;
	/* published by this worker: */
	bool own;
	/* ... for this socket, NULL if it is gone */
	struct chat_socket *socket;
	/* ... and this is the number it was published with */
	uint32_t request;
};

/* Rates a user, shared by all workers. */
enum chat_rate {
	CHAT_RATE_MESSAGE,
	CHAT_RATE_TYPING,
	CHAT_RATE_JOIN,
	CHAT_RATE_HISTORY,
	CHAT_RATE_PRESENCE,
	CHAT_RATE__MAX,
};

/* How badly an event must arrive when its reader is slow. */
enum chat_priority {
	/* may be dropped: typing */
	CHAT_DROPPABLE,
	/* must arrive, or the connection is closed */
	CHAT_EVENT,
	/* the client asked for it: does not count against its budget */
	CHAT_ANSWER,
};

/* One message of the store; spans are valid within the callback. */
struct chat_row {
	uint64_t seq;
	uint64_t gseq;
	uint64_t time_ms;
	struct chat_str body;
};

/* One entry of a session's roster. */
struct chat_member {
	uint64_t user;
	uint64_t joined_ms;
	uint64_t active_ms;
	/* position of the entry's last change */
	uint64_t gseq;
	struct chat_str user_id, user_name, socket_id, status;
};

/* Callbacks return false to stop. */
typedef bool (*chat_row_fn)(void *arg, const struct chat_row *row);
typedef bool (*chat_member_fn)(void *arg, const struct chat_member *m);

/* An event encoded once for many receivers; opaque, lives one turn. */
struct chat_frame {
	uint32_t off;
	uint32_t len;
};

/* 'ctx' is what chat_new() got, 'conn' what chat_connect() got. */
struct chat_ops {
	/*
	 * Publish an event: TYPING on the ephemeral path, the others on the
	 * stored one.  'from' (may be NULL) waits for the verdict; 'request'
	 * comes back with it.  Cannot fail: what cannot go out now is queued,
	 * and the worker reads no more from its clients meanwhile.
	 */
	void (*publish)(void *ctx, struct chat_socket *from, uint32_t request,
	    const struct chat_event *ev);

	/* Encode the event 'name' with the JSON argument 'json' once. */
	struct chat_frame (
	    *encode)(void *ctx, const char *name, const char *json, size_t len);
	void (*send)(void *ctx, void *conn, struct chat_frame frame,
	    enum chat_priority prio);
	/* Answer the acknowledgement 'ack' with one JSON argument. */
	void (*ack)(void *ctx, void *conn, uint64_t ack, const char *json,
	    size_t len);
	/*
	 * Call chat_produce() once what was sent to 'conn' has left: used for
	 * what a client asked for and gets piece by piece.
	 */
	void (*want_produce)(void *ctx, void *conn);

	/* Charge one event; 0, or the ns until the next is allowed. */
	uint64_t (*rate)(void *ctx, void *conn, enum chat_rate kind);
	/* The event charged last turned out to be free. */
	void (*rate_give_back)(void *ctx, void *conn, enum chat_rate kind);

	/* This worker has (on) or no longer has members in 'room'. */
	void (*interest)(void *ctx, uint64_t room, bool on);

	/*
	 * Reading the store.  0, or -1 if it cannot be read now.  All see
	 * everything that was delivered so far and perhaps more; *pos_r is the
	 * position below which everything is included.
	 */
	int (*roster)(void *ctx, uint64_t room, chat_member_fn fn, void *arg,
	    uint64_t *pos_r);
	/* Messages with from <= seq <= to, ascending or descending. */
	int (*messages)(void *ctx, uint64_t room, uint64_t from, uint64_t to,
	    bool descending, chat_row_fn fn, void *arg);
	int (*last_seq)(void *ctx, uint64_t room, uint64_t *seq_r);

	uint64_t (*mono_ms)(void *ctx);
	uint64_t (*real_ms)(void *ctx);
	/* Count something by name of a row of chat/tbl_counts.h. */
	void (*count)(void *ctx, unsigned what);
};

/* NULL with errno ENOMEM.  'cfg' must outlive the engine or the next
 * chat_configure(). */
struct chat *chat_new(const struct config *cfg, const struct chat_ops *ops,
    void *ctx);
void chat_free(struct chat **chat);
/* New limits after a reload; what is under way goes on. */
void chat_configure(struct chat *chat, const struct config *cfg);

/*
 * A socket that has been let in.  Takes the identity over; 'socket_id' is
 * the public Socket.IO id (20 characters).  NULL with errno ENOMEM.
 */
struct chat_socket *chat_connect(struct chat *chat, void *conn,
    struct identity **identity, const char *socket_id);
const struct identity *chat_socket_identity(const struct chat_socket *s);
/* What chat_connect() got as 'conn'. */
void *chat_socket_conn(const struct chat_socket *s);
/*
 * The socket is gone; 'reason' is Socket.IO's name for why.  Its sessions
 * are left (LEAVE is published for each), its typing ends.
 */
void chat_disconnect(struct chat *chat, struct chat_socket **s,
    const char *reason);

/* The same without telling anybody: the daemon ends, and all with it. */
void chat_forget(struct chat *chat, struct chat_socket **s);

/*
 * An event from a client: its name, the JSON text of the arguments after
 * the name (an array's inside: "" or "{...}" or "{...},2"), and the
 * acknowledgement id, if it asked for one.  The text has passed the strict
 * scanner.  'size' is the whole event's length in bytes as received.
 */
void chat_receive(struct chat *chat, struct chat_socket *s,
    struct chat_str name, struct chat_str args, size_t size, bool has_ack,
    uint64_t ack);

/* An event in its turn, from the stored or the ephemeral path. */
void chat_deliver(struct chat *chat, const struct chat_delivery *d);

/* Does this worker have members in the room? */
bool chat_has_room(const struct chat *chat, uint64_t room);

/*
 * Send the next piece of what this socket asked for (at most some 64 KiB);
 * 'delivered' is the position below which everything has been delivered to
 * this worker.
 */
void chat_produce(struct chat *chat, struct chat_socket *s, uint64_t delivered);

/*
 * The worker had fallen behind and goes on at 'pos': send each member what
 * it missed of the store below 'pos', and a chat:presence-sync.
 */
void chat_resync(struct chat *chat, uint64_t pos);
/* Ephemeral events were lost: nobody is typing any more. */
void chat_resync_live(struct chat *chat);

/* Called about ten times a second: typing that expires. */
void chat_tick(struct chat *chat);

/* Tell every socket {code, message} by chat:disconnect-reason. */
void chat_announce(struct chat *chat, const char *code, const char *message);

/* For chatctl and gauges. */
struct chat_totals {
	size_t sockets, rooms, members;
};
void chat_totals(const struct chat *chat, struct chat_totals *t_r);

#endif /* CHAT_CHAT_H */
