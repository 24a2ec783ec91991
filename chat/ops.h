/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * ops - what the chat asks of the worker it is in.
 *
 * 'ctx' is what chat_new() got, 'conn' what chat_connect() or chat_resume()
 * got.  JSON and texts are compact UTF-8 and valid for the duration of the
 * call.  No op calls back into chat but connected(), refused() and close():
 * each of them is the last that a call of chat does.
 */

#ifndef CHAT_OPS_H
#define CHAT_OPS_H

#include "chat/error.h"
#include "chat/event.h"

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
	/* of the last edit or deletion; revision 0: it is as it was sent */
	uint64_t revision;
	uint64_t edited_ms;
	/* what is left: its id and its place */
	bool deleted;
	struct chat_str id;
	struct chat_str body;
};

/* What was changed in a room, in its latest state. */
struct chat_change {
	/* CHAT_EDIT, CHAT_DELETE, CHAT_RECEIPT; CHAT_STATUS: has no revision */
	enum chat_event_type type;
	uint64_t revision;
	/* position of the change, and when it was */
	uint64_t gseq;
	uint64_t changed_ms;
	/* RECEIPT: what was read; EDIT, DELETE: of the message */
	uint64_t seq;
	/* EDIT: when the message was sent */
	uint64_t time_ms;
	/* EDIT, DELETE: of the message */
	struct chat_str id, body;
	/* RECEIPT */
	struct chat_str user_id;
	struct chat_str status, reason;
};

/* Which changes of a room, ascending by revision. */
struct chat_change_query {
	uint64_t room;
	/* those behind a revision, and the status if it was decided at or
	 * behind 'from'; or all at or behind the position 'from' */
	bool has_revision;
	uint64_t after_revision;
	uint64_t from;
	/* about so many, and so many bytes */
	uint64_t count;
	size_t bytes;
};

/* What is at or behind a position. */
struct chat_seek {
	/* of the first message; if there is none, of the next that will be */
	uint64_t seq;
	/* everything below this position is included */
	uint64_t pos;
	/* something was changed there */
	bool changes;
	/* of the first change there; if there is none, of the next that will
	 * be.  It stands for those before it that were replaced since. */
	uint64_t revision;
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

/* Which entries of a session's roster, in its order. */
struct chat_roster_query {
	uint64_t room;
	/* those behind this socket; length 0: from the beginning.  Of that
	 * user: found at once; length 0: looked for */
	struct chat_str after, after_user;
	/* the entry of this socket of that user is to be among them, the last
	 * then if it would not be */
	struct chat_str self;
	uint64_t self_user;
	/* at most so many */
	uint64_t limit;
	/* count all of them, which takes as long as there are many */
	bool count;
};

/* What is known of it. */
struct chat_roster {
	/* everything below this position is included */
	uint64_t pos;
	/* there are others behind the last */
	bool more;
	/* if they were to be counted */
	uint64_t count;
};

/* One session of a socket that may be resumed. */
struct chat_recovery_room {
	uint64_t room;
	/* the JOIN's position */
	uint64_t gseq;
	/* what the JOIN asked for */
	bool has_after, has_revision;
	uint64_t after_seq, after_revision;
	struct chat_str agent;
	/* what the room's number stands for */
	struct chat_str workspace, session;
};

/* What the store keeps of a socket under its pid. */
struct chat_recovery {
	struct chat_str user_id, socket_id;
	uint64_t user;
	/* since when its connection is lost (ms since the epoch); 0: it is
	 * there, as far as the store knows */
	uint64_t lost_ms;
	/* it was in more sessions than are kept */
	bool partial;
	/* it belongs to a socket of this worker (this incarnation): 'owner' */
	bool own;
	struct chat_owner owner;
	size_t nrooms;
	const struct chat_recovery_room *rooms;
};

/* What an operator decided (chat/steer.h). */
enum steer_kind {
	/* the numbers are the store's (enum store_ban_kind) */
	STEER_BAN = 1,
	STEER_MUTE,
	/* a token by its id; a user's that were issued before some time */
	STEER_TOKEN,
	STEER_USER,
	/* for those who were not listening: who had to go */
	STEER_KICK,
	STEER_KICK_SOCKET,
	STEER__MAX,
};

/* One entry of the list, as the store has it (chat/steer.h). */
struct chat_steered {
	enum steer_kind kind;
	/* user, token or socket */
	struct chat_str id;
	/* ms since the epoch, or STEER_EVER */
	uint64_t until_ms;
	/* USER: tokens issued before are revoked; others: when it was decided */
	uint64_t since_ms;
	/* position of the decision */
	uint64_t gseq;
	struct chat_str reason;
};

#define CHAT_PLACE_MAX 511

/* A place in that list, and what is known of the part before it. */
struct chat_place {
	/* where to go on; length 0: at the beginning */
	uint8_t key[CHAT_PLACE_MAX];
	size_t len;
	/* there is nothing behind it */
	bool done;
};

/* How an op that reads the store ends. */
enum chat_read {
	/* 'fn' was called with what there is, from within the call */
	CHAT_READ_DONE,
	/*
	 * It is under way, and 'fn' was not called.  chat_produce() will be
	 * called for 'conn' (if there is one) when the same call is worth
	 * being made again; what was read is kept for a while.
	 */
	CHAT_READ_LATER,
	/* it cannot be read now; 'fn' was not called */
	CHAT_READ_FAILED,
};

/* Which messages of a room. */
struct chat_query {
	uint64_t room;
	/* the first seq that is wanted; backward: the last */
	uint64_t from;
	bool backward;
	/* backward with from UINT64_MAX: without so many of the newest */
	uint64_t offset;
	/* at most so many, and so many bytes of bodies with 'extra' for each
	 * of them; but always one */
	uint64_t count;
	size_t bytes, extra;
	/* the newest seq that the asker knows of, so that the answer has it */
	uint64_t newest;
};

/* What is known of them. */
struct chat_page {
	/* there are others in the direction of the query */
	bool more;
	/* everything below this position is included */
	uint64_t pos;
	/* the newest seq of the room below that position */
	uint64_t last;
};

/* Who may write a stream. */
enum chat_stream_owner {
	CHAT_STREAM_OURS,
	/* another worker that is alive */
	CHAT_STREAM_OTHERS,
	/* nobody: its connection was lost, or its worker died */
	CHAT_STREAM_NOBODYS,
};

/*
 * An agent's message while it is being written, as it was at one instant;
 * spans are valid within the callback.
 */
struct chat_stream {
	/* names it in this daemon; never used again */
	uint64_t handle;
	uint64_t room, user;
	struct chat_str id, user_id, agent;
	enum chat_stream_owner owner;
	/* somebody wants it to end */
	bool cancelled;
	/* chunks and bytes of text that it has; the text is the inside of a
	 * JSON string */
	uint64_t nchunks, len;
	/* what stands behind the text in the message's body: it tells whether
	 * more text may come (chat_stream_is_open()) */
	struct chat_str tail;
};

/* What is said of one that begins. */
struct chat_stream_new {
	uint64_t room, user;
	struct chat_str id, user_id, user_name, agent;
	/* the message's body is head, text, tail */
	struct chat_str head, tail;
};

enum chat_stream_result {
	CHAT_STREAM_DONE,
	/* another is writing it, or did so before */
	CHAT_STREAM_TAKEN,
	/* there is no memory for it */
	CHAT_STREAM_FULL,
	/* ... for this user, for whom others would have to go without */
	CHAT_STREAM_SHARE,
	/* it would be longer than stream.max_text */
	CHAT_STREAM_LONG,
	/* it has ended, or is not ours */
	CHAT_STREAM_GONE,
};

/* Callbacks return false to stop. */
typedef bool (*chat_row_fn)(void *arg, const struct chat_row *row);
typedef bool (*chat_change_fn)(void *arg, const struct chat_change *c);
typedef bool (
    *chat_receipt_fn)(void *arg, struct chat_str user_id, uint64_t seq);
typedef bool (*chat_member_fn)(void *arg, const struct chat_member *m);
typedef void (*chat_recovery_fn)(void *arg, const struct chat_recovery *r);
typedef bool (*chat_steered_fn)(void *arg, const struct chat_steered *e);
typedef bool (*chat_stream_fn)(void *arg, const struct chat_stream *st);

/* receipts that a join is told */
#define CHAT_RECEIPTS_MAX 200

/* An event encoded once for many receivers; opaque, lives one turn. */
struct chat_frame {
	uint32_t off;
	uint32_t len;
};

/* Characters of socket ids and pids, and room for them with their NUL. */
#define CHAT_SID_LEN 20
#define CHAT_SID_SIZE (CHAT_SID_LEN + 1)

struct chat_ops {
	/*
	 * Publish an event: TYPING on the ephemeral path, the others on the
	 * stored one.  'from' (may be NULL) waits for the verdict; 'request'
	 * comes back with it.  Cannot fail: what cannot go out now is queued,
	 * and the worker reads no more from its clients meanwhile.
	 */
	void (*publish)(void *ctx, struct chat_socket *from, uint32_t request,
	    const struct chat_event *ev);

	/*
	 * Encode the event 'name' with the JSON argument 'json' and, unless
	 * 'offset' is NULL, that as a string behind it; letters, digits,
	 * points and colons.
	 */
	struct chat_frame (*encode)(void *ctx, const char *name,
	    const char *json, size_t len, const char *offset);
	/* Also to a socket whose CONNECT has not been answered. */
	void (*send)(void *ctx, void *conn, struct chat_frame frame,
	    enum chat_priority prio);
	/*
	 * The same unless much waits for it already: false, it was not sent,
	 * and the caller sends later what takes its place.
	 */
	bool (*offer)(void *ctx, void *conn, struct chat_frame frame);
	/* Answer the acknowledgement 'ack' with one JSON argument. */
	void (*ack)(void *ctx, void *conn, uint64_t ack, const char *json,
	    size_t len);
	/*
	 * Call chat_produce() in a later turn, once what was sent to 'conn'
	 * has left: used for what a client gets piece by piece, and also
	 * while its CONNECT has not been answered.
	 */
	void (*want_produce)(void *ctx, void *conn);

	/*
	 * Charge one event; 0, or the ns until the next is allowed.  *busy_r:
	 * its rate would have allowed it, but there is too much to do.
	 */
	uint64_t (
	    *rate)(void *ctx, void *conn, enum chat_rate kind, bool *busy_r);
	/*
	 * It was refused for its rate: for how long it is held off now, at
	 * least the 'wait_ns' that rate() told.  *out_r: it does not stop,
	 * and is to be disconnected.
	 */
	uint64_t (*rate_refused)(void *ctx, void *conn, enum chat_rate kind,
	    uint64_t wait_ns, bool *out_r);
	/*
	 * Mode webhook: ask the application whose token this is.  In a later
	 * turn chat_verified() tells, with this request number, unless the
	 * socket is gone before.
	 */
	void (*verify)(void *ctx, void *conn, uint32_t request,
	    struct chat_str token);
	/*
	 * The connection is lost, with which it was in this session; and: was
	 * that so, not long ago, with one of this user?  Once for each time.
	 */
	void (*lost)(void *ctx, void *conn, const char *workspace,
	    const char *session);
	bool (*was_lost)(void *ctx, void *conn, const char *workspace,
	    const char *session);
	/* The event charged last turned out to be free. */
	void (*rate_give_back)(void *ctx, void *conn, enum chat_rate kind);
	/*
	 * Its user says a text with this mark.  False, and it is not counted:
	 * that was said content.burst times in the last minute.
	 */
	bool (*burst)(void *ctx, void *conn, uint64_t mark);
	void (*burst_give_back)(void *ctx, void *conn, uint64_t mark);

	/* This worker has (on) or no longer has members in 'room'. */
	void (*interest)(void *ctx, uint64_t room, bool on);

	/*
	 * Reading the store.  All see everything that was delivered when they
	 * were first asked, and perhaps more; *pos_r is the position below
	 * which everything is included.  'conn' may be NULL for a roster:
	 * nobody is called then.  With 'fn' NULL a roster or messages are
	 * only asked for, and nothing is taken: DONE, the same call with 'fn'
	 * is worth being made.
	 */
	enum chat_read (*roster)(void *ctx, void *conn,
	    const struct chat_roster_query *q, chat_member_fn fn, void *arg,
	    struct chat_roster *roster_r);
	/* Ascending, whichever way they were looked for. */
	enum chat_read (*messages)(void *ctx, void *conn,
	    const struct chat_query *q, chat_row_fn fn, void *arg,
	    struct chat_page *page_r);
	/* With 'fn' NULL as above; page_r->last is not told. */
	enum chat_read (*changes)(void *ctx, void *conn,
	    const struct chat_change_query *q, chat_change_fn fn, void *arg,
	    struct chat_page *page_r);
	/* How far the users of a room have read, at most CHAT_RECEIPTS_MAX of
	 * them, that of 'user' first.  With 'fn' NULL as above. */
	enum chat_read (*receipts)(void *ctx, void *conn, uint64_t room,
	    uint64_t user, chat_receipt_fn fn, void *arg);
	/*
	 * The newest message with this id, however old it is; 'fn' is not
	 * called if there is none.  *at is 0 at first, and the caller's to
	 * keep: an old one is looked for in several steps.
	 */
	enum chat_read (*find)(void *ctx, void *conn, uint64_t room,
	    struct chat_str id, uint64_t *at, chat_row_fn fn, void *arg);
	enum chat_read (*seek)(void *ctx, void *conn, uint64_t room,
	    uint64_t gseq, struct chat_seek *seek_r);
	/* 'fn' is called with the row of a pid, unless there is none; 'pid'
	 * may be anything that a client says. */
	enum chat_read (*recovery)(void *ctx, void *conn, struct chat_str pid,
	    chat_recovery_fn fn, void *arg);
	/*
	 * Some of the list of steer.h from *place on, which then is where to
	 * go on; everything below 'pos' is included.  Nobody but steer_turn()
	 * asks, and that is called when the answer is there.
	 */
	enum chat_read (*bans)(void *ctx, struct chat_place *place,
	    uint64_t pos, chat_steered_fn fn, void *arg);

	/*
	 * Streams, in memory that all workers share (shm/stream.h).  Only the
	 * owner of one changes it, all see it grow.
	 *
	 * open() makes one that is ours; TAKEN: there is one of that id in
	 * that room, *handle_r (0: for an instant only).
	 * append() adds one chunk, also an empty one.
	 * rate() charges one chunk: 0, or the ns until the next is allowed.
	 * tail() sets another tail.
	 * detach() gives it up for the time of stream.resume.
	 * claim() makes it ours if it is nobody's, and 'user' (0: whoever)'s.
	 * end(): there is no such stream any more.
	 * cancel(), by anybody: it is to end within 'ms'; TAKEN: it was
	 * cancelled before.
	 */
	enum chat_stream_result (*stream_open)(void *ctx,
	    const struct chat_stream_new *st, uint64_t *handle_r);
	enum chat_stream_result (
	    *stream_append)(void *ctx, uint64_t handle, struct chat_str text);
	uint64_t (*stream_rate)(void *ctx, uint64_t handle);
	enum chat_stream_result (
	    *stream_tail)(void *ctx, uint64_t handle, struct chat_str tail);
	void (*stream_detach)(void *ctx, uint64_t handle);
	enum chat_stream_result (
	    *stream_claim)(void *ctx, uint64_t handle, uint64_t user);
	void (*stream_end)(void *ctx, uint64_t handle);
	enum chat_stream_result (
	    *stream_cancel)(void *ctx, uint64_t handle, uint64_t ms);
	/* The handle of the one of that id, 0: there is none.  Looks at all. */
	uint64_t (*stream_find)(void *ctx, uint64_t room, struct chat_str id);
	/* 'fn' is called with it; false: it has ended. */
	bool (*stream_look)(void *ctx, uint64_t handle, chat_stream_fn fn,
	    void *arg);
	/* How far it is, at little cost; false: it has ended. */
	bool (*stream_progress)(void *ctx, uint64_t handle, uint64_t *nchunks_r,
	    uint64_t *len_r);
	/* All of a room, or of all (0); and, some ten times a second, those
	 * that are nobody's and have to be closed. */
	void (*streams)(void *ctx, uint64_t room, chat_stream_fn fn, void *arg);
	void (*streams_lost)(void *ctx, chat_stream_fn fn, void *arg);
	/*
	 * Bytes 'from' to 'to' of its text into 'buf', which holds them.
	 * False: it has ended, and nothing in 'buf' is to be used.
	 */
	bool (*stream_text)(void *ctx, uint64_t handle, uint64_t from,
	    uint64_t to, char *buf);

	/*
	 * The end of a chat_resume(): exactly one of these, from within
	 * chat_produce().  new_ids() makes a socket id and a pid that nobody
	 * has had.  connected(): answer CONNECT with 'sid' and (unless NULL)
	 * 'pid'.  refused(): answer CONNECT_ERROR; the socket is freed when
	 * this returns.
	 */
	void (*new_ids)(void *ctx, void *conn, char sid[CHAT_SID_SIZE],
	    char pid[CHAT_SID_SIZE]);
	void (*connected)(void *ctx, void *conn, const char *sid,
	    const char *pid, bool recovered);
	void (*refused)(void *ctx, void *conn, enum chat_error err);
	/*
	 * Another connection has taken this socket over: close it, so that a
	 * client that is there comes back by itself.  chat_disconnect() or
	 * chat_forget() is still to be called, now or later.
	 */
	void (*close)(void *ctx, void *conn);
	/*
	 * Let go of a connected socket with a DISCONNECT packet, behind what
	 * was sent to it, so that its client does not come back by itself.
	 * Not within this call but before the turn ends: chat_disconnect()
	 * will be called with 'reason', which is a constant.  For
	 * socket_disconnect() only.
	 */
	void (*disconnect)(void *ctx, void *conn, const char *reason);

	/* Where it comes from, as text. */
	void (*address)(void *ctx, void *conn, char *buf, size_t size);

	uint64_t (*mono_ms)(void *ctx);
	uint64_t (*real_ms)(void *ctx);
	/* Count something by name of a row of chat/tbl_counts.h. */
	void (*count)(void *ctx, unsigned what);
};

#endif /* CHAT_OPS_H */
