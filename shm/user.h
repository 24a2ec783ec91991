/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * user - how often a user is connected and how fast it talks, for all
 * workers together.
 *
 * For limits only: a user is found by a keyed 64-bit hash of its id, and
 * the key is made anew at each start, so nobody can choose ids that meet.
 * The table has a fixed number of rows; a row belongs to a user while it
 * is connected or still under the effect of a rate.
 *
 * Memory is by column, not by row, so that a user costs no page of its
 * own and a dead worker's counts are one memset:
 *
 *   keys u64[N] | rate 0 u64[N] | ... | rate 4 u64[N] | strikes u64[N]
 *   | seen u32[N] | counts of worker 0 u16[N] | ... | counts of worker 63 u16[N]
 *
 * Connections: only worker w writes column w, so nothing can drift; the sum
 * is made when it is asked for.  Rates: one word a user and kind, changed by
 * a compare-and-swap, so that a process killed anywhere leaves no trace.
 */

#ifndef SHM_USER_H
#define SHM_USER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tables;

/* A user as the table knows it; may be kept while it is connected. */
struct user_ref {
	uint64_t key;
	/* where this connection is counted, see user_connect() */
	uint32_t row;
};

/*
 * Bytes of the table, what of it is backed by memory at once, and where the
 * column of a worker is; for shm/tables.c.
 */
size_t users_size(uint32_t rows);
size_t users_fixed_size(uint32_t rows);
size_t users_column_at(uint32_t rows, unsigned slot);
size_t users_column_size(uint32_t rows);

enum user_rate {
	USER_RATE_MESSAGE,
	USER_RATE_TYPING,
	USER_RATE_JOIN,
	USER_RATE_HISTORY,
	USER_RATE_PRESENCE,
	USER_RATE__MAX,
};

/* What the table knows a user with this id by, also without a row; not 0. */
uint64_t user_key(const struct tables *t, const void *id, size_t len);

/*
 * Find the user with this id, or make it a row.  0; -1 with errno ENOSPC:
 * the table is full around its place.
 */
int user_find_or_add(struct tables *t, const void *id, size_t len,
    struct user_ref *u_r);

/* Find only.  0 or -1 with errno ENOENT. */
int user_find(const struct tables *t, const void *id, size_t len,
    struct user_ref *u_r);

/*
 * Count one more connection of this user at the worker 'slot', unless it
 * has 'limit' already (0: no limit).  u->row may change: it is what
 * user_disconnect() wants.  0; -1 with errno EDQUOT: over the limit, ENOSPC:
 * no row.  Never lets in more than 'limit' of all workers together; of
 * several at the same instant it may refuse one too many.
 */
int user_connect(struct tables *t, struct user_ref *u, unsigned slot,
    uint32_t limit, uint64_t now_ns);
void user_disconnect(struct tables *t, const struct user_ref *u, unsigned slot,
    uint64_t now_ns);

/* How many connections the user has at all workers. */
uint32_t user_connections(const struct tables *t, const struct user_ref *u);

/*
 * Charge one event of this kind: 'per_minute' at once, then one each
 * 60 / per_minute seconds.  Returns 0, or how many ns to wait; then nothing
 * was charged.  per_minute 0: no limit.  'now_ns' is CLOCK_MONOTONIC.
 */
uint64_t user_rate(struct tables *t, const struct user_ref *u,
    enum user_rate kind, uint32_t per_minute, uint64_t now_ns);

/* An event that was charged turned out not to count. */
void user_rate_give_back(struct tables *t, const struct user_ref *u,
    enum user_rate kind, uint32_t per_minute);

/*
 * As user_rate(), when there is too much to do: see 'shed' in shm/gcra.h.
 * *busy_r tells that nothing else is the reason.
 */
uint64_t user_rate_shed(struct tables *t, const struct user_ref *u,
    enum user_rate kind, uint32_t per_minute, unsigned shed, uint64_t now_ns,
    bool *busy_r);

/*
 * Who goes on although it is refused is held off for longer.  (Contract,
 * details 13.)  Each USER_STRIKES refusals of whatever kind within a minute
 * double the time until the next event of 'kind' is allowed, to at most
 * 'max_ns'; at USER_STRIKES_OUT *out_r is true: it is to be disconnected, and
 * is held (user_held()) for that time.  A minute without a refusal, and all
 * of this is forgotten.  'wait_ns' is what user_rate() has just returned;
 * returns what it is now.
 */
#define USER_STRIKES 10
#define USER_STRIKES_OUT 100
uint64_t user_refused(struct tables *t, const struct user_ref *u,
    enum user_rate kind, uint32_t per_minute, uint64_t wait_ns, uint64_t max_ns,
    uint64_t now_ns, bool *out_r);

/*
 * For looking at: how many events of this kind are allowed now, and how many
 * ns until the next is (0 if some are).
 */
uint32_t user_rate_left(struct tables *t, const struct user_ref *u,
    enum user_rate kind, uint32_t per_minute, uint64_t now_ns,
    uint64_t *wait_r);
/* How many refusals there were in the minute that is under way. */
uint32_t user_strikes(struct tables *t, const struct user_ref *u,
    uint64_t now_ns);
/* For how many ns it must not connect; 0: it may. */
uint64_t user_held(struct tables *t, const struct user_ref *u, uint64_t now_ns);

/* --- master ------------------------------------------------------------ */

/* The worker in 'slot' has been reaped: none of its connections is left. */
void users_clear_column(struct tables *t, unsigned slot);

/*
 * Look at the next 'budget' rows and free those of users who are neither
 * connected nor limited.  Returns how many were freed.
 */
uint32_t users_sweep(struct tables *t, uint64_t now_ns, uint32_t budget);

/* How many rows are in use; looks at all of them. */
uint32_t users_count(const struct tables *t);

#endif /* SHM_USER_H */
