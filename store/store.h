/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * store - what is kept: sessions, users, messages, who is present, and who
 * may come back.
 *
 * One LMDB environment in "db" below the current directory.  The scribe
 * writes it (store/write.h); everybody else reads it through snapshots.
 * A snapshot is a consistent view: it holds everything that was decided
 * about the ring's positions below store_pos(), and nothing of what came
 * later.  Text in what a snapshot gives points into the map: it is valid
 * until the snapshot ends and is never written to.
 *
 * A snapshot must end before its process waits for anything: pages that it
 * can see are not reused, so a forgotten one makes the file grow with each
 * commit.  store_snapshot() and store_snapshot_end() cost about 0.2 us.
 *
 * Every value carries a version and a checksum over its key and itself.  A
 * value that fails its check is never given out: it is counted
 * (store_bad_values()), named in the log, and where one value was asked for
 * it is EBADMSG.
 *
 * Every read is guarded: a page that is damaged, or that the disk does not
 * give (SIGBUS), is EUCLEAN of that call, and named in the log once; pages
 * and walks go on behind what cannot be read.  The guard covers the calls,
 * not what a caller does with the text that they give: see store_guarded().
 *
 * Functions that return int: 0, or -1 with errno: ENOENT there is none,
 * EBADMSG the value is damaged, EUCLEAN its page is, EIO and others the
 * store cannot be read.
 */

#ifndef STORE_STORE_H
#define STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STORE_SCHEMA 2
#define STORE_MAX_READERS 256
/* the longest id and name that a key holds */
#define STORE_MAX_NAME 240
/* a room's status and its reason together */
#define STORE_MAX_STATUS 1024
/* bytes of a pid, by which a client takes its socket up again */
#define STORE_PID 20
/* the most rooms that a recovery row holds */
#define STORE_RECOVERY_ROOMS 256

enum store_mode {
	/*
	 * wait up to two seconds for the writer to have made it, and as long
	 * as a migration goes on
	 */
	STORE_READ,
	/*
	 * make it if it is not there, swap a compacted copy in (compact.h),
	 * migrate it from an older schema; one process only
	 */
	STORE_WRITE,
	/* as it is, also of an older schema: for looking at it (check.h) */
	STORE_LOOK,
	/* the same, without a lock: nobody else uses it, and it may be on a
	 * disk that cannot be written; instead of a directory also a copy of
	 * the file by itself */
	STORE_LOOK_OFFLINE,
};

/* One process's environment; opaque. */
struct store;
/* A snapshot, or the scribe's transaction; opaque. */
struct store_txn;

/* Bytes in the map; not terminated. */
struct store_text {
	const char *p;
	size_t len;
};

/*
 * Open after fork and exec, once a process.  NULL with *why_r set to a
 * sentence (valid until the next call) and errno set.
 */
struct store *store_open(enum store_mode mode, const char **why_r);
/*
 * The same in another directory than "db"; a descriptor's is
 * "/proc/self/fd/N".
 */
struct store *store_open_dir(const char *dir, enum store_mode mode,
    const char **why_r);
void store_close(struct store **s);

/* What the library underneath calls itself. */
const char *store_library(void);

/* --- snapshots --------------------------------------------------------- */

/* Begin a snapshot; one at a time a process.  NULL with errno. */
struct store_txn *store_snapshot(struct store *s);
void store_snapshot_end(struct store_txn **t);

/* The first position of the ring that the snapshot does not cover. */
uint64_t store_pos(const struct store_txn *t);

/*
 * A reader of its own for a helper thread: one snapshot at a time each, of
 * the same environment, with the same reading calls and the same
 * store_snapshot_end().  At most STORE_MAX_READERS of all processes.  To be
 * freed before store_close(), by any thread, without a snapshot.
 */
struct store_reader;

/* NULL with errno ENOMEM. */
struct store_reader *store_reader_new(struct store *s);
void store_reader_free(struct store_reader **r);
/* NULL with errno. */
struct store_txn *store_reader_snapshot(struct store_reader *r);

/*
 * Run 'fn' so that a page which cannot be read does not end the process: 0,
 * or -1 with EUCLEAN when it was left in the middle.  For copying text out
 * of a snapshot; it may hold no lock and allocate nothing.
 */
int store_guarded(struct store_txn *t, void (*fn)(void *arg), void *arg);

/* How many values failed their check since store_open(). */
uint64_t store_bad_values(const struct store *s);
/* How many reads met a damaged page since store_open(). */
uint64_t store_bad_pages(const struct store *s);

/* --- sessions and users ------------------------------------------------ */

/* What retention has removed from the front of a room; 0: nothing. */
struct store_floor {
	/* the last seq, and the time of its message */
	uint64_t seq;
	uint64_t ms;
	/* the greatest revision whose change is gone */
	uint64_t revision;
};

struct store_room {
	uint64_t room;
	struct store_text workspace;
	struct store_text session;
	uint64_t created_ms;
	struct store_floor floor;
	/* what it was said to be last, at which position and when; empty:
	 * nothing was said */
	struct store_text status;
	struct store_text status_reason;
	uint64_t status_gseq;
	uint64_t status_ms;
};

struct store_user {
	uint64_t user;
	struct store_text id;
	/* the name that the user had last */
	struct store_text name;
	uint64_t last_seen_ms;
};

int store_room_find(struct store_txn *t, struct store_text workspace,
    struct store_text session, uint64_t *room_r);
int store_room_get(struct store_txn *t, uint64_t room,
    struct store_room *room_r);
int store_user_find(struct store_txn *t, struct store_text id,
    uint64_t *user_r);
int store_user_get(struct store_txn *t, uint64_t user,
    struct store_user *user_r);

/* Called with each; returns whether to go on. */
typedef bool store_room_fn(const struct store_room *room, void *arg);
/* All rooms with a number of at least 'from', ascending. */
int store_room_each(struct store_txn *t, uint64_t from, store_room_fn *fn,
    void *arg);

/* --- messages ---------------------------------------------------------- */

struct store_message {
	uint64_t room;
	uint64_t seq;
	uint64_t gseq;
	uint64_t time_ms;
	uint64_t user;
	/* enum record_type */
	unsigned type;
	/* of the last edit or deletion; 0: it is as it was sent */
	uint64_t revision;
	uint64_t edited_ms;
	/* a tombstone: who, when and the id, but no body */
	bool deleted;
	struct store_text id;
	/* the inside of the JSON object, as in the record */
	struct store_text body;
};

struct store_query {
	uint64_t room;
	/* the first seq that is wanted; backward: the last, UINT64_MAX newest */
	uint64_t from;
	bool backward;
	/* at most so many messages, and so many bytes of bodies (but always
	 * one message); 0 bytes: no bound */
	unsigned count;
	size_t bytes;
};

/*
 * One page of a room's messages into 'm', which holds q->count.  They are
 * ascending by seq, whichever way they were looked for.  *more_r tells
 * whether there are further ones in the direction of the query.  An empty
 * page is a success.  Tombstones are in it; messages that cannot be read
 * are not.
 */
int store_page(struct store_txn *t, const struct store_query *q,
    struct store_message *m, unsigned *n_r, bool *more_r);

int store_message_get(struct store_txn *t, uint64_t room, uint64_t seq,
    struct store_message *m_r);

/*
 * The newest seq that was given in a room, whether or not its message is
 * still there; 0 when it never had one (or is unknown).
 */
int store_last_seq(struct store_txn *t, uint64_t room, uint64_t *seq_r);

/* What is known of a stored event by its position in the ring. */
struct store_log {
	uint64_t room;
	uint64_t gseq;
	uint64_t seq;
	uint64_t time_ms;
	uint64_t user;
	uint64_t id_hash[2];
	unsigned type;
};

/*
 * Was the message that was published at 'gseq' stored?  For one's own
 * records after an eviction, when gseq < store_pos(): ENOENT means that it
 * was not stored as a new message (send it again: duplicates are known).
 */
int store_log_get(struct store_txn *t, uint64_t room, uint64_t gseq,
    struct store_log *log_r);

/*
 * The room's first stored event at or behind 'gseq'; ENOENT: there is none.
 * Its seq is the first that somebody misses who has everything below 'gseq'.
 */
int store_log_seek(struct store_txn *t, uint64_t room, uint64_t gseq,
    struct store_log *log_r);

/*
 * The room's stored events from the position 'gseq' back, newest first
 * (UINT64_MAX: from the newest).  *sure_r: no row was passed by because it, or
 * its page, is damaged.
 */
typedef bool store_log_fn(const struct store_log *log, void *arg);
int store_log_back(struct store_txn *t, uint64_t room, uint64_t gseq,
    store_log_fn *fn, void *arg, bool *sure_r);

/* --- presence ---------------------------------------------------------- */

struct store_presence {
	uint64_t room;
	uint64_t user;
	struct store_text socket;
	struct store_text user_id;
	struct store_text user_name;
	/* "active", "idle", "away" */
	struct store_text status;
	/* empty when the socket joined without one */
	struct store_text agent;
	/* there is a recovery row, which holds the room; or empty */
	struct store_text pid;
	uint64_t joined_ms;
	uint64_t activity_ms;
	/* position of the last change of this row */
	uint64_t gseq;
	/* whose it is: the worker's incarnation, and the session's number and
	 * serial there */
	uint32_t incarnation;
	uint32_t client;
	uint32_t generation;
};

typedef bool store_presence_fn(const struct store_presence *p, void *arg);

/* Everybody in the room, by user number and then by socket id. */
int store_roster(struct store_txn *t, uint64_t room, store_presence_fn *fn,
    void *arg);

/* The same, of those behind this socket of this user. */
int store_roster_behind(struct store_txn *t, uint64_t room, uint64_t user,
    struct store_text socket, store_presence_fn *fn, void *arg);

int store_presence_get(struct store_txn *t, uint64_t room, uint64_t user,
    struct store_text socket, struct store_presence *p_r);

/* Sockets of one user in the room; of everybody (user 0). */
int store_presence_count(struct store_txn *t, uint64_t room, uint64_t user,
    uint64_t *n_r);

/* --- recovery ---------------------------------------------------------- */

/* A membership that can be restored. */
struct store_recovery_room {
	uint64_t room;
	/* position of the JOIN, kept when it is restored: what was stored
	 * from here on was live to the socket */
	uint64_t gseq;
	/* the JOIN asked for the messages behind this seq */
	bool has_after;
	uint64_t after_seq;
	/* ... and for what was changed behind this revision */
	bool has_revision;
	uint64_t after_revision;
	/* the owner is in the room: there is a presence row */
	bool present;
	/* empty when the socket joined without one */
	struct store_text agent;
};

/*
 * What is kept of a socket, by its pid, while it is in a room and for the
 * recovery window after that.
 */
struct store_recovery {
	struct store_text socket;
	struct store_text user_id;
	uint64_t user;
	/*
	 * ms since the epoch: since when the socket is in none of its rooms;
	 * the window runs from here.  0: it is there.  A row that a former
	 * run of the daemon left with a socket is lost since this run began.
	 */
	uint64_t lost_ms;
	/* whose it is: the ring's base names the daemon's run; the others as
	 * in struct store_presence */
	uint64_t run;
	uint32_t incarnation;
	uint32_t client;
	uint32_t generation;
	/* the socket was in more rooms than the row holds: it cannot be
	 * recovered */
	bool partial;
	/* by the order in which they were joined first; never none */
	unsigned nrooms;
	struct store_recovery_room room[STORE_RECOVERY_ROOMS];
};

/*
 * ENOENT also for what cannot be a pid.  The row may be there when its
 * window is over: ask store_recovery_usable().
 */
int store_recovery_get(struct store_txn *t, struct store_text pid,
    struct store_recovery *row_r);

/* Is its window over?  Of a row with a socket that is there: no. */
bool store_recovery_over(const struct store_recovery *row, uint64_t now_ms,
    uint64_t window_ms);
/* May it be resumed by this user now?  A window of 0: never. */
bool store_recovery_usable(const struct store_recovery *row,
    struct store_text user_id, uint64_t now_ms, uint64_t window_ms);

#endif /* STORE_STORE_H */
