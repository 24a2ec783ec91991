/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * write - how the scribe changes the store.
 *
 * One transaction at a time.  Its first error sticks: everything after it
 * does nothing, and store_commit() returns it.  So a batch is written
 * without looking, and looked at once.  The reading functions of store.h
 * work on a transaction too and see what it has written so far.
 *
 * What store_commit() said 0 to survives the death of every process and,
 * if the disk keeps its promises, the loss of power.
 */

#ifndef STORE_WRITE_H
#define STORE_WRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sys/types.h>

#include "store/rows.h"
#include "store/store.h"

/* --- transactions ------------------------------------------------------ */

/* NULL with errno. */
struct store_txn *store_begin(struct store *s);
/*
 * 0, or -1 with errno: nothing of it happened.  ENOSPC, EIO, EDQUOT: the
 * disk is full or fails, it may be tried again.  ENOTRECOVERABLE: only a
 * new process can go on.  *t is NULL afterwards.
 */
int store_commit(struct store_txn **t);
void store_abort(struct store_txn **t);
/* The error that sticks, 0 if there is none. */
int store_error(const struct store_txn *t);

/*
 * What the last EUCLEAN was about; it is not forgotten with the
 * transaction.  With a room, only what concerns that room cannot be
 * written, and a batch without it goes through.
 */
struct store_damage {
	/* name of the table */
	const char *table;
	/* the room whose rows were touched; 0: not a room's */
	uint64_t room;
	/* number of the page; 0: not known */
	uint64_t page;
};

/* false: there was none since the last call. */
bool store_take_damage(struct store *s, struct store_damage *d_r);

/*
 * Bring everything that the file holds to the disk: what a predecessor
 * committed while it was killed may still be in memory only.
 */
int store_sync(struct store *s);

/*
 * Is there room for so many bytes?  Writes them and takes them away again;
 * that a small transaction succeeds says nothing about a disk that is full.
 * 0, or -1 with errno.
 */
int store_try(struct store *s, size_t bytes);

/* Free the places of readers that have died; returns how many. */
unsigned store_reader_check(struct store *s);

/* --- meta -------------------------------------------------------------- */

/* Which ring, and how far it is in the store. */
struct store_ring {
	uint8_t id[16];
	uint64_t base;
	uint64_t pos;
};

/* ENOENT: the store is new. */
int store_ring_get(struct store_txn *t, struct store_ring *ring_r);
void store_ring_put(struct store_txn *t, const struct store_ring *ring);

/* The daemon's run: its ring's base, and when it began (ms since the epoch). */
struct store_run {
	uint64_t base;
	uint64_t begun_ms;
};

/* ENOENT: the store is new, or of a chatd that knew no recovery. */
int store_run_get(struct store_txn *t, struct store_run *run_r);
void store_run_put(struct store_txn *t, const struct store_run *run);

/* The numbers that the next new room and the next new user get. */
struct store_next {
	uint64_t room;
	uint64_t user;
};

int store_next_get(struct store_txn *t, struct store_next *next_r);
void store_next_put(struct store_txn *t, const struct store_next *next);

/* --- rows -------------------------------------------------------------- */

/* A room or a user under its name and under its number; must be new. */
void store_room_add(struct store_txn *t, const struct store_room *room);
void store_user_add(struct store_txn *t, const struct store_user *user);
/* What the room is now: 0, or -1 with ENOENT, EBADMSG or the error that
 * sticks.  Neither text is the store's own. */
int store_status_put(struct store_txn *t, uint64_t room,
    struct store_text status, struct store_text reason, uint64_t time_ms,
    uint64_t gseq);
/* New name and time for a user that is there. */
void store_user_update(struct store_txn *t, const struct store_user *user);

/* A message in 'msg' and 'log'; seq and gseq must be new in the room. */
void store_message_add(struct store_txn *t, const struct store_message *m,
    const uint64_t id_hash[2]);

/*
 * Replace a message's body, or leave its tombstone, with the room's next
 * revision; the change names 'gseq'.  'body' must not be the store's own.
 * 0, or -1 with ENOENT (none, or a tombstone), EBADMSG, or the error that
 * sticks.
 */
int store_message_edit(struct store_txn *t, uint64_t room, uint64_t seq,
    struct store_text body, uint64_t time_ms, uint64_t gseq,
    uint64_t *revision_r);
int store_message_delete(struct store_txn *t, uint64_t room, uint64_t seq,
    uint64_t time_ms, uint64_t gseq, uint64_t *revision_r);

/*
 * Somebody has read up to 'seq': with the room's next revision.  0, or -1
 * with EALREADY (so far already: nothing is written) or the error that
 * sticks.  That 'seq' exists is for the caller to see.
 */
int store_receipt_put(struct store_txn *t, uint64_t room, uint64_t user,
    uint64_t seq, uint64_t time_ms, uint64_t gseq, uint64_t *revision_r);

void store_member_put(struct store_txn *t, const struct store_member *m);
void store_member_del(struct store_txn *t, uint64_t room, uint64_t user);

/* Put or replace; an id that is no key: EINVAL. */
void store_ban_put(struct store_txn *t, const struct store_ban *ban);
/* Was there one? */
bool store_ban_del(struct store_txn *t, unsigned kind, struct store_text id);
/*
 * Look at the next STORE_BAN_SWEEP rows from *place on, and delete those that
 * have ended: 0 with how many, or -1 with errno.
 */
#define STORE_BAN_SWEEP 128
int store_ban_sweep(struct store_txn *t, struct store_place *place,
    uint64_t now_ms, unsigned *removed_r);
/* Pieces that there are stay: a stream that begins anew is deleted first. */
void store_stream_put(struct store_txn *t, const struct store_stream *st);
/* With its pieces, but for what is on a damaged page, which is no error here;
 * was there one? */
bool store_stream_del(struct store_txn *t, uint64_t room, struct store_text id);
/* Put or replace. */
void store_piece_put(struct store_txn *t, uint64_t room, struct store_text id,
    const struct store_piece *p);

/* --- retention --------------------------------------------------------- */

/*
 * Take messages from the front of a room: as long as the first one has a
 * seq below 'below_seq' or a time before 'before_ms', and at most 'max' of
 * them.  What belongs to them in 'log' and 'change' goes with them, the
 * floor moves, and the ids of those with a time of at least 'keep_ids_ms'
 * are put into 'dedupe' (under the first half of XXH3-128, as in 'log')
 * and counted in the room's store_merged, all in this transaction.
 */
struct store_trim {
	uint64_t room;
	uint64_t below_seq;
	uint64_t before_ms;
	/* UINT64_MAX: keep no ids */
	uint64_t keep_ids_ms;
	unsigned max;

	/* what it has done */
	unsigned removed;
	unsigned ids_kept;
	/* the room's floor now */
	struct store_floor floor;
	/* the first one may go too: call again */
	bool more;
};

/* 0, or -1 with the error that sticks; ENOENT: no such room. */
int store_trim(struct store_txn *t, struct store_trim *trim);

/* --- duplicates -------------------------------------------------------- */

/* Put or replace: doing it again changes nothing. */
void store_dedupe_put(struct store_txn *t, const struct store_dedupe *d);
void store_merged_put(struct store_txn *t, const struct store_merged *m);

/* Put or replace. */
void store_presence_put(struct store_txn *t, const struct store_presence *p);
/* ENOENT is not an error here. */
void store_presence_del(struct store_txn *t, uint64_t room, uint64_t user,
    struct store_text socket);
/* Nobody is anywhere. */
void store_presence_clear(struct store_txn *t);

/*
 * Put or replace the row of a pid, which has STORE_PID bytes; at least one
 * room.  Text of the row must not be the store's own: it moves with the put.
 */
void store_recovery_put(struct store_txn *t, struct store_text pid,
    const struct store_recovery *row);
/* ENOENT is not an error here. */
void store_recovery_del(struct store_txn *t, struct store_text pid);

/*
 * Go on from *place through at most 'max' rows of 'dedupe' and delete those
 * of before 'before_ms', which the rooms' store_merged count no more.
 */
int store_dedupe_sweep(struct store_txn *t, struct store_place *place,
    unsigned max, uint64_t before_ms, unsigned *removed_r);

typedef bool store_recovery_fn(struct store_text pid,
    const struct store_recovery *row, void *arg);

/*
 * As store_presence_walk(), through all recovery rows; a row that is damaged
 * is counted, and given as NULL.
 */
int store_recovery_walk(struct store_txn *t, struct store_place *place,
    unsigned max, store_recovery_fn *fn, void *arg);

/* Called with each, newest first; returns whether to go on. */
int store_log_newest(struct store_txn *t, uint64_t room, store_log_fn *fn,
    void *arg);

/* --- how much there is ------------------------------------------------- */

#define STORE_TABLES 13

struct store_stat {
	struct {
		const char *name;
		uint64_t entries;
	} table[STORE_TABLES];
	/* bytes of the file in use, and the most that it may grow to */
	uint64_t map_used;
	uint64_t map_max;
	uint64_t last_txn;
	unsigned readers;
};

int store_stat(struct store *s, struct store_stat *stat_r);

/*
 * The file.  What is free in it is used again once no reader can see it any
 * more; the file never shrinks by itself.
 */
struct store_space {
	unsigned page_bytes;
	/* its size, and how far pages have been given out */
	uint64_t file_bytes;
	uint64_t used_bytes;
	/* of those: free */
	uint64_t free_bytes;
	/* free, but some reader may still look at it */
	uint64_t held_bytes;
	uint64_t last_txn;
	/* the oldest snapshot of any process; last_txn if there is none */
	uint64_t oldest_txn;
};

/* 0 or -1.  Its time grows with what is free: some 10 us a thousand pages. */
int store_space(struct store *s, struct store_space *space_r);

/* Somebody who holds a snapshot now. */
struct store_holder {
	pid_t pid;
	uint64_t txn;
	/* how many commits ago that was the newest */
	uint64_t age;
};

typedef bool store_holder_fn(const struct store_holder *h, void *arg);
/* All processes' snapshots, in no order: 0 or -1. */
int store_holder_each(struct store *s, store_holder_fn *fn, void *arg);

#endif /* STORE_WRITE_H */
