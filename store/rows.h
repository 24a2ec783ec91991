/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * rows - what else is kept of a room and of users: changes, receipts,
 * members, known ids, unfinished streams, bans.
 *
 * For reading; promises and errors as in store/store.h.
 */

#ifndef STORE_ROWS_H
#define STORE_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/store.h"

/* Where a walk through all rows of a table has come to; zero it to begin. */
struct store_place {
	uint8_t key[511];
	size_t len;
	bool done;
};

/*
 * Go on from *place with at most 'max' rooms, ascending by number; sets
 * place->done behind the last one.  If 'fn' returns false, the walk stops
 * before that row.
 */
int store_room_walk(struct store_txn *t, struct store_place *place,
    unsigned max, store_room_fn *fn, void *arg);

/* The same of users, ascending by number; and of presence, by room, user and
 * socket. */
typedef bool store_user_fn(const struct store_user *user, void *arg);
int store_user_walk(struct store_txn *t, struct store_place *place,
    unsigned max, store_user_fn *fn, void *arg);
int store_presence_walk(struct store_txn *t, struct store_place *place,
    unsigned max, store_presence_fn *fn, void *arg);

/* --- changes ----------------------------------------------------------- */

enum store_change_kind {
	STORE_CHANGE_EDIT = 1,
	STORE_CHANGE_DELETE,
	STORE_CHANGE_RECEIPT,
};

/*
 * The latest change of a message or of a receipt: each has at most one row,
 * under its newest revision.  Revisions of a room are given out without
 * holes, from 1.
 */
struct store_change {
	uint64_t room;
	uint64_t revision;
	enum store_change_kind kind;
	/* of the message, or 0 */
	uint64_t seq;
	/* whose receipt, or 0 */
	uint64_t user;
	uint64_t gseq;
	uint64_t time_ms;
};

typedef bool store_change_fn(const struct store_change *c, void *arg);
/* Those with a revision of at least 'from', ascending. */
int store_change_each(struct store_txn *t, uint64_t room, uint64_t from,
    store_change_fn *fn, void *arg);
/*
 * From which revision on the changes are at or behind the position 'gseq'.
 */
int store_change_seek(struct store_txn *t, uint64_t room, uint64_t gseq,
    uint64_t *revision_r);
/* The newest change; ENOENT: there is none (any more). */
int store_change_last(struct store_txn *t, uint64_t room,
    struct store_change *c_r);
/* The last revision that was given in a room; 0: none. */
int store_last_revision(struct store_txn *t, uint64_t room,
    uint64_t *revision_r);

/* --- receipts and members ---------------------------------------------- */

struct store_receipt {
	uint64_t room;
	uint64_t user;
	/* has read up to here */
	uint64_t seq;
	uint64_t revision;
	uint64_t time_ms;
};

typedef bool store_receipt_fn(const struct store_receipt *r, void *arg);
int store_receipt_get(struct store_txn *t, uint64_t room, uint64_t user,
    struct store_receipt *r_r);
/* By user number. */
int store_receipt_each(struct store_txn *t, uint64_t room, store_receipt_fn *fn,
    void *arg);

/* A right that was granted in the store. */
struct store_member {
	uint64_t room;
	uint64_t user;
	/* what it means is the chat's; at most 255 */
	unsigned role;
	uint64_t joined_ms;
	/* sees messages from here on */
	uint64_t from_seq;
};

typedef bool store_member_fn(const struct store_member *m, void *arg);
int store_member_get(struct store_txn *t, uint64_t room, uint64_t user,
    struct store_member *m_r);
int store_member_each(struct store_txn *t, uint64_t room, store_member_fn *fn,
    void *arg);

/* --- duplicates -------------------------------------------------------- */

/* A message id that is known without the message. */
struct store_dedupe {
	uint64_t room;
	/* the first half of the id's XXH3-128, as in store_log */
	uint64_t hash;
	uint64_t seq;
	uint64_t time_ms;
	uint64_t user;
	struct store_text id;
};

/* The newest row of this room with exactly this id; ENOENT: none. */
int store_dedupe_find(struct store_txn *t, uint64_t room, uint64_t hash,
    struct store_text id, struct store_dedupe *d_r);

/*
 * The ids of all messages of a room up to 'seq' (at position 'gseq') are in
 * 'dedupe', or their window was over.
 */
struct store_merged {
	uint64_t room;
	uint64_t seq;
	uint64_t gseq;
	/* rows of the room, about */
	uint64_t count;
};

/* ENOENT: nothing of the room is in 'dedupe'. */
int store_merged_get(struct store_txn *t, uint64_t room,
    struct store_merged *m_r);

/* --- streams and bans -------------------------------------------------- */

/*
 * A message that is still being written: how it began, and its text so far,
 * which goes on in pieces.
 */
struct store_stream {
	uint64_t room;
	/* the message's, at most STORE_MAX_NAME bytes, none of them 0 */
	struct store_text id;
	/* the agent's */
	uint64_t user;
	/* of the chunk that comes next; and when: as in struct store_piece,
	 * which tells better */
	uint64_t next;
	uint64_t time_ms;
	struct store_text text;
	/* which run of the daemon it belongs to, as in struct store_recovery */
	uint64_t run;
	uint64_t begun_ms;
	struct store_text user_id;
	struct store_text user_name;
	struct store_text agent;
	/* what stands around the text in the message's body (shm/stream.h) */
	struct store_text head;
	struct store_text tail;
};

/* A part of the text behind what the stream's own row has. */
struct store_piece {
	/* from 1, without holes */
	uint32_t no;
	/* with which byte of the whole text it begins */
	uint64_t start;
	/* of the chunk behind it, and when it was written */
	uint64_t next;
	uint64_t time_ms;
	struct store_text text;
};

typedef bool store_stream_fn(const struct store_stream *st, void *arg);
typedef bool store_piece_fn(const struct store_piece *p, void *arg);
int store_stream_get(struct store_txn *t, uint64_t room, struct store_text id,
    struct store_stream *st_r);
/* As store_room_walk(), by room and id. */
int store_stream_walk(struct store_txn *t, struct store_place *place,
    unsigned max, store_stream_fn *fn, void *arg);
/*
 * The pieces of a stream, as far as the text has no hole; 'fn' returns
 * whether to go on.
 */
int store_piece_each(struct store_txn *t, const struct store_stream *st,
    store_piece_fn *fn, void *arg);

/* What an operator decided; the numbers stand in stores. */
enum store_ban_kind {
	STORE_BAN_BAN = 1,
	STORE_BAN_MUTE,
	/* a token by its id; a user's that were issued before some time */
	STORE_BAN_TOKEN,
	STORE_BAN_USER,
	/* for those who were not listening: who had to go */
	STORE_BAN_KICK,
	STORE_BAN_KICK_SOCKET,
};

struct store_ban {
	/* one of those, or of a newer version: from 1 to 255 */
	unsigned kind;
	/* whom it is about, at most STORE_MAX_NAME bytes */
	struct store_text id;
	/* UINT64_MAX: for ever */
	uint64_t until_ms;
	/* since when */
	uint64_t since_ms;
	/* position of the decision */
	uint64_t gseq;
	struct store_text reason;
	/* who decided */
	struct store_text by;
};

typedef bool store_ban_fn(const struct store_ban *ban, void *arg);
int store_ban_get(struct store_txn *t, unsigned kind, struct store_text id,
    struct store_ban *ban_r);
/* As store_room_walk(), by kind and id. */
int store_ban_walk(struct store_txn *t, struct store_place *place, unsigned max,
    store_ban_fn *fn, void *arg);

#endif /* STORE_ROWS_H */
