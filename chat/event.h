/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * event - what the chat publishes and what comes back to it.  (Mirrored by
 * shm/record.h: the same fields, the same flags.)
 */

#ifndef CHAT_EVENT_H
#define CHAT_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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
	/* this socket goes on where that of the pid was */
	CHAT_RESUME,
	/* the pid's row forgets a room, or (room 0) is deleted */
	CHAT_RELEASE,
	/* the store's writer asks: is this member there? */
	CHAT_ASK,
	CHAT_TYPING,
	CHAT_EDIT,
	CHAT_DELETE,
	CHAT_RECEIPT,
	CHAT_STATUS,
	CHAT_STEER,
	CHAT_CHUNK,
	CHAT_CANCEL,
	CHAT_SECURITY,
	/* a worker has done what a STEER asks for */
	CHAT_STEERED,
	CHAT_PING,
	CHAT_EVENT__MAX,
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
	/* LEAVE: the connection was lost: the pid's row keeps the room */
	CHAT_F_LOST = 1 << 4,
	/* LEAVE: disconnected on purpose: the pid's row is deleted.  With
	 * neither: the row forgets the room */
	CHAT_F_FINAL = 1 << 5,
	/* JOIN: of a socket that was resumed: the pid's row keeps position
	 * and 'after' of the JOIN that it has */
	CHAT_F_RESUME = 1 << 6,
	/* EDIT, DELETE: also of a message of somebody else.  MESSAGE: of
	 * nobody: the server says it */
	CHAT_F_SERVICE = 1 << 7,
	/* MESSAGE: the text of a stream that has ended */
	CHAT_F_STREAM = 1 << 8,
	/* CHUNK: the last; because it was interrupted; or cancelled */
	CHAT_F_LAST = 1 << 9,
	CHAT_F_INTERRUPTED = 1 << 10,
	CHAT_F_CANCELLED = 1 << 11,
};

/* Published on the ephemeral path: no store, no verdict. */
static inline bool
chat_event_is_live(enum chat_event_type type)
{
	return type == CHAT_TYPING || type == CHAT_CHUNK ||
	    type == CHAT_CANCEL || type == CHAT_SECURITY ||
	    type == CHAT_STEERED || type == CHAT_PING;
}

/* Names a socket within its worker's incarnation, never used again. */
struct chat_owner {
	uint32_t number;
	uint32_t serial;
};

/*
 * Fields by type:
 *   JOIN      workspace, session, user id, user name, socket id, agent id,
 *             pid (empty: cannot be recovered), after (the afterSeq that was
 *             asked for, a colon and the afterRevision, in decimal; without
 *             what was not asked for)
 *   LEAVE     socket id, user id, reason
 *   PRESENCE  socket id, user id, user name, status, when it joined and, behind
 *             a blank, was active last (ms since the epoch, in decimal)
 *   MESSAGE   message id, socket id, body
 *   RESUME    pid, user id, socket id
 *   RELEASE   pid, user id, socket id
 *   ASK       socket id, user id
 *   TYPING    socket id, user id, agent id
 *   EDIT      message id, socket id, seq, body, time
 *   DELETE    message id, socket id, seq
 *   RECEIPT   socket id, user id, seq
 *   STATUS    status, reason, by, workspace, session
 *   STEER     action, user id, id, until, reason, by, workspace, session
 *   CHUNK     message id, user id, agent id, index, start, text
 *   CANCEL    message id, user id
 *   SECURITY  line
 *   STEERED   position, sockets
 *   PING      user id
 * (shm/record.h says more of these.)
 * body: the inside of the ChatMessage object without sessionId, timestamp
 * and seq, which are added when it is shown.
 */
struct chat_event {
	enum chat_event_type type;
	unsigned flags;
	/* numbers given out by the store's writer; 0 in a JOIN and a RESUME
	 * that is published */
	uint64_t room;
	uint64_t user;
	/*
	 * Whose event it is: always told, also when nobody waits for it.  A
	 * LEAVE of anybody but the member's owner is REJECTED; so is a JOIN
	 * or a RELEASE that names a pid whose row is another's.
	 */
	struct chat_owner owner;
	unsigned nfields;
	struct chat_str field[CHAT_MAX_FIELDS];
};

/* What became of a published event. */
enum chat_outcome {
	/* RESUME: the row is ours now */
	CHAT_STORED,
	/* JOIN: it was in already */
	CHAT_DUPLICATE,
	CHAT_ID_TAKEN,
	CHAT_SESSION_FULL,
	CHAT_STORE_UNAVAILABLE,
	/* RESUME: there is no row, or not for us */
	CHAT_REJECTED,
	/* EDIT, DELETE */
	CHAT_NOT_FOUND,
	CHAT_FORBIDDEN,
};

struct chat_delivery {
	struct chat_event ev;
	enum chat_outcome outcome;
	/* position in the order of all events */
	uint64_t gseq;
	/* MESSAGE, EDIT, DELETE: its seq.  JOIN: the session's last seq.
	 * LEAVE: sockets that the user still has in the session.  RECEIPT:
	 * what was read. */
	uint64_t seq;
	/* EDIT, DELETE, RECEIPT: theirs.  JOIN: the session's last */
	uint64_t revision;
	/* JOIN, LEAVE that is STORED, JOIN that is DUPLICATE: the sockets
	 * that are in the session now */
	uint32_t members;
	/* ms since the epoch */
	uint64_t time_ms;
	/* published by this worker; ASK: it is this worker that is asked */
	bool own;
	/* ... for this socket, NULL if it is gone */
	struct chat_socket *socket;
	/* ... and this is the number it was published with */
	uint32_t request;
};

#endif /* CHAT_EVENT_H */
