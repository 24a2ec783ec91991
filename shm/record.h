/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * record - what stands in an arena: a header of 64 bytes, then the body.
 *
 * The body is a sequence of fields, each a 32-bit length (native byte order,
 * shared memory only) and its bytes, in the order given below for each type;
 * all of them are always there, an absent one has length 0.
 *
 *   JOIN      workspace, session, user id, user name, socket id, agent id,
 *             pid, after
 *   LEAVE     socket id, user id, reason
 *   PRESENCE  socket id, user id, user name, status, when it joined and, behind
 *             a blank, was active last (ms since the epoch, in decimal)
 *   MESSAGE   message id, socket id, body
 *   RESUME    pid, user id, socket id
 *   RELEASE   pid, user id, socket id
 *   ASK       socket id, user id
 *   EDIT      message id, socket id, seq, body, time
 *   DELETE    message id, socket id, seq
 *   RECEIPT   socket id, user id, seq
 *   STATUS    status, reason, by, workspace, session
 *   STEER     action, user id, id, until, reason, by, workspace, session
 *   TYPING    socket id, user id, agent id
 *   CHUNK     message id, user id, agent id, index, start, text
 *   CANCEL    message id, user id
 *   SECURITY  line
 *   STEERED   position, sockets
 *   PING      user id
 *
 * seq, time, index, start, until: in decimal.
 *
 * EDIT, DELETE: which message, by its id and its seq; the body is the whole
 * of what it is now, time is that of the message, for those who show it.
 * Verdict: its seq, the room's new revision, and when it was changed;
 * RING_NOT_FOUND, RING_FORBIDDEN; RING_DUPLICATE for one that was published
 * again and is what the message is already.  RECEIPT: RING_DUPLICATE for what
 * was read before (then the index tells what was), RING_REJECTED for a seq
 * that there is not.
 *
 * STATUS: what the session is now (active, paused, completed, abandoned,
 * error); of the header's room.  It names the session as well, for workers
 * that have nobody in it.
 *
 * STEER: what an operator decided about a user, an id (a token's, a
 * socket's), or all; see chat/steer.h for the actions.  until: ms since the
 * epoch, empty for ever.
 *
 * CHUNK: a part of a stream's text, as the inside of a JSON string, and with
 * which byte of that text it begins (shm/stream.h).  CANCEL: somebody wants a
 * stream to end; with RECORD_F_LOST: its user has another connection, and
 * whoever owns it is to give it up.  SECURITY: a security event, a JSON object, for who watches.
 * STEERED: a worker has done what the STEER at that position in the log asks
 * for; so many of its sockets were met.  Both in decimal.
 *
 * pid: the 20 characters by which a client may take its socket up again
 * (the store's recovery rows); empty in a JOIN: it never will.
 * after: the seq behind which the client asked for missed messages, and
 * behind a colon the revision behind which it asked for what was changed, in
 * decimal; "" or "7" or "7:3" or ":3": what is not there it did not ask for.
 *
 * MESSAGE's body is the inside of the ChatMessage's JSON object as every
 * client and the history will see it, without what the scribe decides and
 * what the reader knows: no "sessionId", "timestamp", "seq".  For example
 *   "id":"m1","content":"hi","type":"user","userId":"ada","metadata":{...}
 *
 * A JOIN's header has room 0: the scribe's verdict tells room and user
 * number.  All others carry the numbers that the verdict of a JOIN told,
 * but for RESUME and STEER: room 0, user 0.
 *
 * Who a membership belongs to is told by the headers of JOIN, LEAVE, RESUME
 * and RELEASE, also when nobody waits for their verdict (request 0):
 * client and generation are the number and the serial of the session in its
 * worker, and with the worker's incarnation they are the owner.  A LEAVE of
 * anybody but the owner that the last JOIN named is REJECTED and changes
 * nothing; so is a JOIN or a RELEASE of a pid whose row is another's.
 *
 * RESUME, ASK, STATUS and STEER have room 0 in the index, so a worker that wants to be
 * woken for them sets its interest in room 0.  Every worker reads every
 * RESUME that was STORED: a socket with that pid which is not the
 * publisher's has been taken over, and is closed.  What the owner of an ASK
 * (id_hash[0]: incarnation, client, generation) does, stands there.
 */

#ifndef SHM_RECORD_H
#define SHM_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum record_type {
	RECORD_NONE,
	/* log ring: stored events */
	RECORD_JOIN,
	RECORD_LEAVE,
	RECORD_PRESENCE,
	RECORD_MESSAGE,
	/*
	 * Take the socket of a pid over.  STORED: its recovery row belongs to
	 * the publisher, and nobody else changes it before the next RESUME;
	 * it is to be read now, and its rooms to be joined, each with
	 * RECORD_F_RESUME.  REJECTED: there is no such
	 * row, it is another user's or socket's, its window is over.  The
	 * index tells the user number.
	 */
	RECORD_RESUME,
	/*
	 * What a LEAVE cannot say, because the socket is not in the room: the
	 * row of the pid forgets 'room' (access to it was withdrawn), or is
	 * deleted (room 0: disconnected on purpose, and in no room).
	 */
	RECORD_RELEASE,
	/*
	 * From a scribe that takes over: is this member's socket still there?
	 * A predecessor that could not write may have taken its LEAVE along.
	 * The owner that has no such socket in the room (any more) publishes
	 * a LEAVE, with RECORD_F_LOST; else it does nothing.
	 */
	RECORD_ASK,
	/* log ring: nothing but a position, for a self-test of the path */
	RECORD_PROBE,
	/* live ring: ephemeral events */
	RECORD_TYPING,
	/* log ring again: these numbers stand in stores */
	RECORD_EDIT,
	RECORD_DELETE,
	RECORD_RECEIPT,
	RECORD_STATUS,
	RECORD_STEER,
	/* live ring */
	RECORD_CHUNK,
	RECORD_CANCEL,
	RECORD_SECURITY,
	RECORD_STEERED,
	/* whoever has connections of this user pings them at once */
	RECORD_PING,
	RECORD__MAX,
};

/* flags */
enum {
	/* TYPING: is typing; absent: stopped */
	RECORD_F_TYPING = 1 << 0,
	/* TYPING: a renewal that is to be shown again */
	RECORD_F_RENEW = 1 << 1,
	/* LEAVE: written by the scribe for a dead worker's socket */
	RECORD_F_ORPHAN = 1 << 2,
	/* MESSAGE: over its rate: RING_DUPLICATE if it is one, else
	 * RING_REJECTED; nothing is stored */
	RECORD_F_ONLY_DUPLICATE = 1 << 3,
	/* LEAVE: the transport was lost: the membership can be restored until
	 * the recovery window is over; without it: the client left the room.
	 * RECORD_F_ORPHAN implies it */
	RECORD_F_LOST = 1 << 4,
	/* LEAVE: the socket was disconnected on purpose, by either side: none
	 * of its memberships can be restored */
	RECORD_F_FINAL = 1 << 5,
	/* JOIN: a membership of the pid's row, which keeps the position and
	 * the 'after' that it had */
	RECORD_F_RESUME = 1 << 6,
	/* EDIT, DELETE: also of a message of somebody else.  MESSAGE: of
	 * nobody (user 0): the server says it */
	RECORD_F_SERVICE = 1 << 7,
	/* MESSAGE: the text of a stream that has ended; whoever wrote it is
	 * not sent it.  Socket id and owner are its agent's, or (it is not
	 * there) empty and 0 */
	RECORD_F_STREAM = 1 << 8,
	/* CHUNK: the last one; because it was interrupted; or cancelled */
	RECORD_F_LAST = 1 << 9,
	RECORD_F_INTERRUPTED = 1 << 10,
	RECORD_F_CANCELLED = 1 << 11,
	/* published again by a worker that does not know what became of it */
	RECORD_F_AGAIN = 1 << 12,
};

struct record {
	/* the whole record, header included */
	uint32_t len;
	uint16_t type;
	uint16_t flags;
	uint64_t room;
	uint64_t user;
	/* MESSAGE: XXH3-128 of the message id; finds candidates only.
	 * LEAVE with RECORD_F_ORPHAN, ASK: [0] is the owner's incarnation */
	uint64_t id_hash[2];
	/* whose it is and who waits for the verdict: the session's number and
	 * serial, and the worker's own number for the request (0: nobody
	 * waits) */
	uint32_t client;
	uint32_t generation;
	uint32_t request;
	/* 32 bits of XXH3 of the header with this field 0, and of the body */
	uint32_t sum;
	/* CLOCK_MONOTONIC ns when the event was read from its client */
	uint64_t received_ns;
};

_Static_assert(sizeof(struct record) == 64, "a record header is 64 bytes");

/* One field of a body; points into the record. */
struct record_field {
	const char *p;
	uint32_t len;
};

#define RECORD_MAX_FIELDS 8

/* How many fields a type has; 0 for an unknown type. */
unsigned record_nfields(unsigned type);

/*
 * Lay out a record in 'buf': header 'h' (len and sum are filled in) and 'n'
 * fields.  Returns its length, or 0 if it does not fit or n is not what the
 * type wants.
 */
size_t record_build(void *buf, size_t size, const struct record *h,
    const struct record_field *fields, unsigned n);

/* The length that record_build() would need. */
size_t record_length(const struct record_field *fields, unsigned n);

/*
 * Check type, lengths and checksum of the record at 'rec' ('len' bytes,
 * 8-aligned) and point 'fields' at its fields.  Returns their number, or -1
 * if it makes no sense; then nothing of it may be used.
 */
int record_parse(const void *rec, size_t len,
    struct record_field fields[RECORD_MAX_FIELDS]);

/* Are length and checksum right?  ring_read() and ring_fetch() ask this. */
bool record_intact(const void *rec, size_t len);

/* It is published again: the same with RECORD_F_AGAIN. */
void record_set_again(void *rec);

#endif /* SHM_RECORD_H */
