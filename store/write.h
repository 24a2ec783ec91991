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
/* New name and time for a user that is there. */
void store_user_update(struct store_txn *t, const struct store_user *user);

/* A message in 'msg' and 'log'; seq and gseq must be new in the room. */
void store_message_add(struct store_txn *t, const struct store_message *m,
    const uint64_t id_hash[2]);

/* Put or replace. */
void store_presence_put(struct store_txn *t, const struct store_presence *p);
/* ENOENT is not an error here. */
void store_presence_del(struct store_txn *t, uint64_t room, uint64_t user,
    struct store_text socket);
/* Nobody is anywhere. */
void store_presence_clear(struct store_txn *t);

/* Sockets of one user in the room; of everybody (user 0). */
int store_presence_count(struct store_txn *t, uint64_t room, uint64_t user,
    uint64_t *n_r);

/* Where a walk through all rows of a table has come to; zero it to begin. */
struct store_place {
	uint8_t key[16 + STORE_MAX_NAME];
	size_t len;
	bool done;
};

/*
 * Go on from *place with at most 'max' rows; sets place->done behind the
 * last one.  If 'fn' returns false, the walk stops before that row.
 */
int store_presence_walk(struct store_txn *t, struct store_place *place,
    unsigned max, store_presence_fn *fn, void *arg);

/*
 * Put or replace the row of a pid, which has STORE_PID bytes; at least one
 * room.  Text of the row must not be the store's own: it moves with the put.
 */
void store_recovery_put(struct store_txn *t, struct store_text pid,
    const struct store_recovery *row);
/* ENOENT is not an error here. */
void store_recovery_del(struct store_txn *t, struct store_text pid);

typedef bool store_recovery_fn(struct store_text pid,
    const struct store_recovery *row, void *arg);

/*
 * As store_presence_walk(), through all recovery rows; a row that is damaged
 * is counted, and given as NULL.
 */
int store_recovery_walk(struct store_txn *t, struct store_place *place,
    unsigned max, store_recovery_fn *fn, void *arg);

/* Called with each, newest first; returns whether to go on. */
typedef bool store_log_fn(const struct store_log *log, void *arg);
int store_log_newest(struct store_txn *t, uint64_t room, store_log_fn *fn,
    void *arg);

/* --- how much there is ------------------------------------------------- */

#define STORE_TABLES 7

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

#endif /* STORE_WRITE_H */
