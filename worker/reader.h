/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * reader - the store is read beside the loop: a page that is not in memory
 * is a wait for the disk, and a worker has thousands of clients who want
 * nothing from it.
 *
 * One thread a worker takes what is asked for, one read after the other, each
 * in a short snapshot, copies the rows out and hands them back:
 *
 *   reader_ask() --> WAITING --> SUBMITTED --> READY --> reader_ask() again
 *                    in turn      the thread     |         gives it
 *                                   has it       +-> dropped when it is old
 *
 * So an answer is a cache of one use: whoever finds nothing asks again.  Few
 * are submitted at a time, in the order in which they were asked; an asker
 * has one of a kind under way for a room, so that a long replay takes its
 * turn with all others, piece by piece.
 *
 * All functions are the loop's.  The thread has the signals blocked but those
 * that it causes itself; it waits for nobody and holds no lock.
 */

#ifndef WORKER_READER_H
#define WORKER_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/rows.h"
#include "store/store.h"

/* reads that the thread is given at a time */
#define READER_DEPTH 16
/* bytes of answers that wait to be taken; while there are more, none is
 * submitted, and those that have waited so long are dropped */
#define READER_READY_BYTES (4 * 1024 * 1024)
#define READER_CROWD_MS 200
/* an answer that nobody takes is dropped; one that is not there is an error */
#define READER_PATIENCE_MS 10000

struct reader;

enum read_kind {
	/* messages of a room: 'from' (backward: the last; from UINT64_MAX:
	 * without the 'offset' newest), 'count', 'bytes', 'extra' */
	READ_MESSAGES,
	/* who is in a room (READ_ROSTER_TEXT): 'count' at most; among them,
	 * unless 0, a socket of the user 'from'; 'offset' 1: and how many
	 * there are */
	READ_ROSTER,
	/* the seq of a room's first message at or behind the position 'from';
	 * or the next that will be given */
	READ_SEEK,
	/* the row of the pid 'text' */
	READ_RECOVERY,
	/* 'text' is workspace/session: its room, and its messages as above */
	READ_SESSION,
	/* what operators decided: 'count' entries from the place 'text' on
	 * (empty: from the first) */
	READ_BANS,
	/* what was changed in a room: from the revision 'offset' on, or (0)
	 * from the position 'from' on; the status if it was decided at 'from'
	 * or behind it; 'count', 'bytes' */
	READ_CHANGES,
	/* how far the users of a room have read, the user 'from' first;
	 * 'count' at most */
	READ_RECEIPTS,
	/* the newest message with the id 'text': from 0 on through 'count'
	 * messages; if there are 'more', again from the answer's 'seq' on.
	 * EUCLEAN: not found, but not all could be read */
	READ_FIND,
	/* streams that were running when a former run of the daemon ended:
	 * those of another run than 'from' (ring_run()), from the place 'text'
	 * on (empty: the first); 'count', 'bytes' of text.  One worker, that
	 * in slot 0, reads them when it starts and stores each as an
	 * interrupted message, RECORD_F_STREAM; the row is gone with that
	 * message's verdict.  So whoever begins again, because a worker was
	 * killed over it, finds what is still to be done */
	READ_STREAMS,
	/* chatctl: sessions, and users, 'count' from the place 'text' on
	 * (empty: the first); the session, and the user, that is called
	 * 'text' */
	READ_ROOMS,
	READ_USERS,
	READ_ROOM,
	READ_USER,
};

/* Of a row of CHANGES, besides enum store_change_kind. */
#define READ_CHANGE_STATUS 0

struct read_query {
	enum read_kind kind;
	bool backward;
	uint64_t room, from, offset, count;
	/* everything below this position had been decided when it was asked;
	 * no part of the question */
	uint64_t decided;
	/* at most so many bytes of bodies, with 'extra' for each; but always
	 * one message */
	size_t bytes, extra;
	struct store_text text;
	/* called when the answer is there; may be NULL */
	void (*notify)(void *asker);
};

/*
 * The text of a ROSTER: the socket that is to be among them, the one behind
 * which they begin (or none), and its user (none: it is looked for).
 */
#define READ_ROSTER_TEXT "%.*s\n%.*s\n%.*s"

struct read_answer {
	/* 0, or why it cannot be read; of a SESSION ENOENT: there is none */
	int error;
	/* everything below this position is included; at least 'decided' */
	uint64_t pos;
	/* MESSAGES, ROSTER, BANS, CHANGES, STREAMS: there are others in that
	 * direction;
	 * FIND: it may be older than 'seq'; SEEK: something was changed there */
	bool more;
	/* MESSAGES: the newest of the room; SEEK: the answer; ROSTER: how many
	 * there are; FIND: the position where to go on */
	uint64_t seq;
	/* SESSION */
	uint64_t room;
	/* SEEK: of the first change there, or the next that will be given */
	uint64_t revision;
	/* rows, in the order in which they are told of below */
	unsigned nrows;
	uint8_t *bytes;
	size_t len, size, last;
	bool backward;
};

#define READ_NUMBERS 6
#define READ_TEXTS 4

/*
 * A row.
 * MESSAGES, ascending, and FIND: seq, gseq, ms, revision, edited ms, deleted;
 * id, body.
 * ROSTER: user, joined ms, activity ms, gseq; user id, name, socket, status.
 * RECOVERY: user, lost ms, run, incarnation, client << 32 | generation,
 * partial; user id, socket.  Then its rooms: room, gseq, has after, after
 * seq, has revision, after revision; agent, workspace, session.  No row: there
 * is none for that pid.
 * CHANGES, ascending: kind, seq, gseq, revision, changed ms, ms; id and body,
 * user id, or status and reason.
 * RECEIPTS: seq; user id.
 * BANS: kind, until ms, since ms, gseq; id, reason, by.  Then one of kind 0:
 * the place where it goes on, if there are 'more'.
 * ROOMS, ROOM: room, created ms, last seq, last revision, sockets, the seq up
 * to which retention has removed all; workspace, session, status, its reason.
 * USERS, USER: user, last seen ms; id, name.  USER, then, a socket in a room:
 * room, joined ms, activity ms; workspace, session, socket, status.  ROOMS and
 * USERS end with the place, as BANS.
 * STREAMS, two each: room, user, next index, ms of the last chunk, ms when it
 * began; id, user id, user name, agent.  And: head, text, tail.  Then one of
 * room 0, as in BANS.
 */
struct read_row {
	uint64_t n[READ_NUMBERS];
	struct store_text text[READ_TEXTS];
};

/*
 * Takes the store over, which only the reader uses from now on.  'wake' is
 * called by the thread when there is an answer.  To be called before the
 * sandbox is entered.  NULL with errno.
 */
struct reader *reader_new(struct store **store, void (*wake)(void *arg),
    void *arg);
/*
 * The end; what is under way is forgotten.  A read that the disk does not let
 * end within 'ms' keeps its thread and the store until the process ends.
 */
void reader_free(struct reader **r, unsigned ms);

/*
 * The answer to this question of 'asker' (may be NULL: of nobody's), or NULL:
 * it will be read, q->notify is called then, from reader_collect().  A
 * question of the same kind about the same room that differs is forgotten.
 */
const struct read_answer *reader_ask(struct reader *r, void *asker,
    const struct read_query *q, uint64_t now_ms);
/* It was used. */
void reader_taken(struct reader *r, const struct read_answer *a);
/* The asker is no more. */
void reader_forget(struct reader *r, const void *asker);

/* Something is there for reader_collect(); sequentially consistent. */
bool reader_has_answers(const struct reader *r);
/* Take in what the thread has done, and give it more to do. */
void reader_collect(struct reader *r, uint64_t now_ms);
/* Some ten times a second: what is too old. */
void reader_tick(struct reader *r, uint64_t now_ms);

/* What waits for its turn or is being read. */
size_t reader_pending(const struct reader *r);
/* When the oldest of that was asked; 0: there is none. */
uint64_t reader_oldest_ms(const struct reader *r);

/* The next row; 'at' is 0 at first.  False at the end. */
bool reader_row(const struct read_answer *a, size_t *at, struct read_row *row);

/* --- for reader_store.c ----------------------------------------------------- */

/* Answer 'q' in a snapshot of its own; a->error tells how it went. */
void reader_read(struct store_reader *sr, const struct read_query *q,
    struct read_answer *a);
/* One more row: 0, or -1 with errno. */
int reader_put_row(struct store_txn *t, struct read_answer *a,
    const struct read_row *row);
/* reader_roster.c */
int reader_roster(struct store_txn *t, const struct read_query *q,
    struct read_answer *a);
struct read_row reader_message_row(const struct store_message *m);
/* reader_changes.c */
int reader_changes(struct store_txn *t, const struct read_query *q,
    struct read_answer *a);
int reader_receipts(struct store_txn *t, const struct read_query *q,
    struct read_answer *a);
int reader_find(struct store_txn *t, const struct read_query *q,
    struct read_answer *a);
bool reader_changed_since(struct store_txn *t, uint64_t room, uint64_t gseq);
/* reader_look.c */
int reader_rooms(struct store_txn *t, const struct read_query *q,
    struct read_answer *a);
int reader_room(struct store_txn *t, const struct read_query *q,
    struct read_answer *a);
int reader_users(struct store_txn *t, const struct read_query *q,
    struct read_answer *a);
int reader_user(struct store_txn *t, const struct read_query *q,
    struct read_answer *a);
/* reader_bans.c */
int reader_bans(struct store_txn *t, const struct read_query *q,
    struct read_answer *a);
/* reader_streams.c */
int reader_streams(struct store_txn *t, const struct read_query *q,
    struct read_answer *a);

#endif /* WORKER_READER_H */
