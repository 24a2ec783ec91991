/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * stream - an agent's message while it is being written.
 *
 * Two halves.  A struct stream is one that this worker owns: it takes the
 * agent's chunks, puts them into shared memory and on the live ring, and in
 * the end makes a message of them.  A struct shown is one that the members of
 * a room here are being shown, whoever owns it: how far it was delivered, so
 * that who joins, who was slow and who missed a part of the live ring are
 * given exactly what they lack.
 *
 *            chunk, claim                last chunk, or its end    verdict
 *   (none) --------------> RUNNING ----------------------> ENDING -------+
 *      ^   \                 | cancel        ^               |  ^        |
 *      |    \ detached,      v               |     the store |  | 1 s    v
 *      |     \ its worker  CANCELLED --------+         fails v  |      ENDED
 *      |      \ has died      5 s                        RETRYING        |
 *      +-------+---------------------------------------------------------+
 *                                                               2 s
 *
 * The tail of its row (what stands behind the text in the message's body)
 * tells all processes that no more text comes: a tail is open or closed.
 * That is set before the last chunk is published, and the row stays until
 * the message has its verdict, and a while longer for those who have not got
 * the end.  So whoever takes a stream over knows what is left to be done, and
 * doing it twice is harmless: the message's id is known.
 */

#ifndef CHAT_STREAM_H
#define CHAT_STREAM_H

#include "chat/request.h"

/* how long an agent has for its last words when somebody has cancelled */
#define STREAM_CANCEL_MS 5000
/* how long a row outlives its message */
#define STREAM_LINGER_MS 2000
/* when a message that could not be stored is tried again */
#define STREAM_AGAIN_MS 1000
/* streams that one socket may write at a time */
#define STREAMS_A_SOCKET 1000

enum stream_state {
	STREAM_RUNNING,
	/* somebody wants it to end: its agent may say one last thing */
	STREAM_CANCELLED,
	/* its message was published */
	STREAM_ENDING,
	/* ... and could not be stored */
	STREAM_RETRYING,
	/* it has its verdict */
	STREAM_ENDED,
	STREAM__MAX,
};

TAILQ_HEAD(stream_list, stream);

struct stream {
	UT_hash_handle hh;
	/* of those in its state; the first to be due first */
	TAILQ_ENTRY(stream) entry;
	uint64_t due_ms;
	/* of its socket's */
	LIST_ENTRY(stream) of_socket;
	enum stream_state state;
	/* its agent's; NULL: it is not here */
	struct chat_socket *s;
	uint64_t handle, room, user;
	/* as in its row */
	uint64_t nchunks, len;
	/* CHAT_F_INTERRUPTED, CHAT_F_CANCELLED: how it ends */
	unsigned flags;
	/* the last chunk is to be answered, perhaps with an acknowledgement */
	bool waits, has_ack;
	uint64_t ack;
	/* ENDED: what became of the message; its id was taken before the
	 * stream began ('known'); it was there ('duplicate') */
	enum chat_error err;
	bool known, duplicate;
	uint64_t seq, time_ms;
	size_t id_len, agent_len;
	/* the room's number, id, agent */
	char key[];
};

struct shown;

/* What the engine has of both halves. */
struct streams {
	struct stream *own;
	struct stream_list list[STREAM__MAX];
	struct shown *shown;
	/* members that are behind (stream_lag.c) */
	size_t nlags;
	uint64_t tick_ms;
	/* scratch: a stream's text; what is made of it */
	char *text;
	size_t size;
	struct json_out body;
};

/* --- for the engine ---------------------------------------------------------- */

void streams_new(struct chat *chat);
void streams_free(struct chat *chat);
/* Those that run have the time that others will have. */
void streams_configure(struct chat *chat, const struct config *cfg);
void streams_tick(struct chat *chat, uint64_t now_ms);
/* Stored events were missed: verdicts may be among them. */
void streams_resync(struct chat *chat);

/* --- for sockets and rooms ------------------------------------------------------ */

/* The socket was lost, or goes on elsewhere: so may its streams. */
void streams_detach(struct chat *chat, struct chat_socket *s);
/* It leaves the room: what it writes there ends. */
void streams_leave(struct chat *chat, struct chat_socket *s,
    const struct room *room);
/* The socket is gone: nobody waits for a verdict. */
void streams_forget(struct chat *chat, struct chat_socket *s);

/* The room has its first member here; it has lost its last. */
void shown_enter(struct chat *chat, struct room *room);
void shown_leave(struct chat *chat, struct room *room);

/* --- for joins, recoveries and messages -------------------------------------------- */

/*
 * The array of streams in progress for the member, which has them then: what
 * comes later comes as chunks.  What would be too much comes so, too.
 */
void streams_put(struct chat *chat, struct room *room, struct member *m,
    struct json_out *o);
/* chat:stream-sync for each of the socket's sessions that has streams. */
void streams_sync(struct chat *chat, struct chat_socket *s);
/* Is it the id of a stream that runs in this room? */
bool stream_runs(const struct chat *chat, const struct room *room,
    const struct chat_id *id);

/*
 * A message with CHAT_F_STREAM comes.  stream_comes() before it is shown: the
 * room has the last chunk then; returns who is not sent the message (or
 * NULL).  stream_verdict() afterwards, and of what nobody waits for: its
 * agent is answered.
 */
struct chat_socket *stream_comes(struct chat *chat, struct room *room,
    const struct chat_delivery *d);
void stream_verdict(struct chat *chat, const struct chat_delivery *d);
/* The same for who asked with PENDING_STREAM. */
void stream_asked(struct chat *chat, struct chat_socket *s,
    const struct pending *p, const struct chat_delivery *d);

/* --- stream_own.c: what this worker owns --------------------------------------------- */

/* NULL: it does not. */
struct stream *stream_own(const struct chat *chat, uint64_t room,
    struct chat_str id);
/* One more that is ours by its row; runs, without a socket. */
struct stream *stream_add(struct chat *chat, const struct chat_stream *row);
/* It is written by this socket from now on. */
void stream_attach(struct stream *st, struct chat_socket *s);
/* Something was heard of its agent; or its time is set otherwise. */
void stream_enter(struct chat *chat, struct stream *st,
    enum stream_state state);
/* Publish a chunk that was appended, or (with 'flags') the end. */
void stream_publish(struct chat *chat, const struct stream *st, uint64_t index,
    uint64_t start, struct chat_str text, unsigned flags);
/*
 * No more text comes: 'text' is what its last chunk (index, start) says, and
 * 'flags' tell why it ends.
 */
struct stream_last {
	uint64_t index, start;
	struct chat_str text;
	unsigned flags;
};
void stream_close(struct chat *chat, struct stream *st,
    const struct stream_last *last);
/* The message of one that was closed: published, or refused. */
void stream_store(struct chat *chat, struct stream *st);
/*
 * There was no room (in this user's share) for what it says: the oldest that
 * only lingers, of anybody's or of its own, is no more.  False: that helps
 * nothing, or there is none.
 */
bool streams_make_room(struct chat *chat, enum chat_stream_result rc,
    uint64_t user);
/*
 * Ask the store's writer whether its id is a message's: the verdict comes by
 * stream_verdict().
 */
void stream_ask(struct chat *chat, const struct stream *st);
/* Answer who sent the last chunk, if that is still waited for. */
void stream_answer(struct chat *chat, struct stream *st, enum chat_error err);
/* Whoever claims it may have it. */
void stream_give_up(struct chat *chat, struct stream *st);
/* It is no more, here and in shared memory. */
void stream_remove(struct chat *chat, struct stream *st);
struct chat_str stream_id(const struct stream *st);
struct chat_str stream_agent(const struct stream *st);

/* --- stream_body.c: of what the message consists --------------------------------------- */

/* What stands before the text. */
void stream_put_head(struct json_out *o, const struct chat_id *id);
/* ... and behind it, while it is being written. */
void stream_put_tail(struct json_out *o, const struct request *r);
/* Why the stream of a closed tail has ended: CHAT_F_... */
unsigned stream_tail_flags(struct chat_str tail);
/* Closed; 'socket_id' is its agent's, or NULL. */
void stream_put_closed(struct json_out *o, struct chat_str tail, unsigned flags,
    const char *socket_id);
/* Its text as the message will have it, into streams->body; or why not. */
enum chat_error stream_put_body(struct chat *chat, const struct stream *st);
/* Bytes of its text, in streams->text; NULL: it has ended. */
const char *stream_get_text(struct chat *chat, uint64_t handle, uint64_t from,
    uint64_t to);

/* --- stream_show.c ------------------------------------------------------------------- */

void shown_tick(struct chat *chat, uint64_t now_ms);
/* The message of that id comes: whoever has not got its end gets it now. */
void shown_message(struct chat *chat, struct room *room, struct chat_str id);
struct shown *shown_find(const struct chat *chat, const struct room *room,
    struct chat_str id);
/* Its id and agent. */
struct chat_str shown_id(const struct shown *sh);
struct chat_str shown_agent(const struct shown *sh);
/* May the member be sent chunks? */
bool shown_to(const struct member *m);
void shown_unref(struct shown *sh);
/*
 * A chunk of what 'sh' has from byte 'from' on, merged, as the frame of an
 * event; *len_r (may be NULL) is its length.
 */
struct chat_frame shown_merged(struct chat *chat, const struct shown *sh,
    uint64_t from, size_t *len_r);

/* --- stream_lag.c: members who read slowly ------------------------------------------ */

struct lag;

struct shown {
	UT_hash_handle hh;
	LIST_ENTRY(shown) of_room;
	/* NULL: out of both, for who is behind */
	struct room *room;
	/* 0: it was not found */
	uint64_t handle;
	/* what was delivered here */
	uint64_t nchunks, len;
	/* marks of lags */
	uint32_t refs;
	/* the last chunk was; and why it was the last */
	bool done;
	unsigned flags;
	/* its row is gone, since so many looks */
	unsigned gone;
	size_t id_len, agent_len;
	/* the room's number, id, agent */
	char key[];
};

/* The member was not sent a chunk: 'sh' had so much before. */
void lag_begin(struct chat *chat, struct room *room, struct member *m,
    struct shown *sh, uint64_t nchunks, uint64_t len);
/* It is sent what is left of this stream, whose message comes now. */
void lag_end_stream(struct chat *chat, struct room *room, struct member *m,
    struct shown *sh);
void lag_free(struct chat *chat, struct lag **lag);
/* Its socket has drained. */
enum produced lag_produce(struct chat *chat, struct chat_socket *s,
    struct job *job, size_t *bytes);

#endif /* CHAT_STREAM_H */
