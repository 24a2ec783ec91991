/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * stream - messages that are still being written, with their text so far.
 *
 * Every process reads all of them at any time; each has one owner, the
 * worker that its agent is connected to, and only the owner writes.  So a
 * text is a file that grows: what was published stays as it is until the
 * stream ends.  A reader copies and then looks whether the stream is still
 * the same one; it never waits and is never waited for.
 *
 * What one stream has, and whose it is, is told by one word of its row:
 *
 *          begin            confirm            detach
 *     FREE -----> BEGINNING -------> OPEN(i) <--------> DETACHED(i)
 *      ^             |                | ^      claim        |
 *      |             | rival          | | claim, i reaped   |
 *      |             v                | +-------------------+
 *      |          ABORTED         end |
 *      |             |                v
 *      +-------------+------------ ENDING(i)
 *                 free the blocks
 *
 * (i) is the owner's incarnation, which no two processes of a daemon share,
 * and each edge is one compare-and-swap, so that of several who want to take
 * a stream over one does.  Whether an owner lives stands in the tables
 * (struct tables_child): it is dead when the master has reaped it, never
 * before.  Killed where it may be, it leaves a row in one of these states:
 *
 *   OPEN        text as of the last append; whoever claims it goes on
 *   DETACHED    the same; the time to take it up runs on
 *   BEGINNING, ABORTED, ENDING
 *               nothing that anybody has seen: stream_orphans() frees it
 *
 * A block of text is written into the list of its row before it is taken,
 * and names the row that it belongs to: what a row holds can be given back by
 * anybody, twice even, and nothing is lost on the way.
 *
 * Times are CLOCK_MONOTONIC ns.  'tables' are one process's view.
 */

#ifndef SHM_STREAM_H
#define SHM_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shm/atomic.h"

struct tables;

/* the longest strings that a stream is described with, in bytes */
#define STREAM_MAX_ID 128
#define STREAM_MAX_NAME 640
#define STREAM_MAX_HEAD 4096
#define STREAM_MAX_TAIL (64 << 10)
/* stream.max_text is never more */
#define STREAM_MAX_TEXT (1 << 20)

#define STREAM_NO_ROW UINT32_MAX

/* A stream as a process knows it; may be kept as long as it likes. */
struct stream_ref {
	/* STREAM_NO_ROW: none */
	uint32_t row;
	uint32_t generation;
	/* by which incarnation we own it; 0: we only look */
	uint32_t owner;
};

struct stream_text {
	const char *p;
	size_t len;
};

/*
 * How a stream begins.  Its message will be head, the text, tail: the inside
 * of the JSON object of a MESSAGE record, so that whoever finishes it for a
 * dead agent needs to know nothing of it:
 *
 *   head   "id":"m1","content":"
 *   tail   ","type":"assistant","userId":"bot","metadata":{...}
 */
struct stream_new {
	uint64_t room;
	/* the agent's number; its ids and name are copied */
	uint64_t user;
	struct stream_text id;
	struct stream_text user_id;
	struct stream_text user_name;
	/* may be empty */
	struct stream_text agent_id;
	struct stream_text head;
	struct stream_text tail;
	/* the most bytes of text: cfg->stream_max_text */
	uint32_t max_text;
	/* wall clock */
	uint64_t begun_ms;
};

/* How far a stream is. */
struct stream_progress {
	/* index of the chunk that comes next */
	uint64_t next;
	/* bytes of text */
	uint32_t bytes;
};

enum stream_state {
	/* its owner writes it, or has died */
	STREAM_OPEN,
	/* its agent was lost, and may take it up until 'until_ns' */
	STREAM_DETACHED,
};

struct stream_info {
	uint64_t room;
	uint64_t user;
	enum stream_state state;
	uint32_t owner;
	/* the owner has not been reaped */
	bool alive;
	uint64_t begun_ms;
	/* of the last chunk, or of the beginning, or of the last claim */
	uint64_t active_ns;
	/* DETACHED */
	uint64_t until_ns;
	/* cancelled, and to be closed then; 0: not cancelled */
	uint64_t cancel_ns;
	uint32_t max_text;
	/* how often the tail was replaced */
	uint32_t tails;
	struct stream_progress at;
};

/* Not terminated. */
struct stream_names {
	char id[STREAM_MAX_ID];
	char user_id[STREAM_MAX_ID];
	char user_name[STREAM_MAX_NAME];
	char agent_id[STREAM_MAX_ID];
	uint32_t id_len, user_id_len, user_name_len, agent_id_len;
};

/*
 * Errors of all that take a ref: -1 with ESTALE, the stream has ended, or
 * (for what an owner does) is not ours.  Nothing happened then.
 */

/* --- the owner ----------------------------------------------------------- */

/*
 * Begin a stream, which belongs to the process of this incarnation.  0 and
 * *r_r; -1 with errno EEXIST: this id is written in this room already, by
 * *r_r (to be looked at; STREAM_NO_ROW: it begins at this instant, or did
 * not come to be); ENOSPC: no row or no memory for it; EDQUOT: this user's
 * streams hold as much as they may (shm/stream_share.c); EMSGSIZE: a string is
 * too long; EINVAL: no room, no id.
 */
int stream_begin(struct tables *t, uint32_t incarnation,
    const struct stream_new *n, uint64_t now_ns, struct stream_ref *r_r);

/*
 * One more chunk: 'text' is the inside of a JSON string and may be empty.
 * *at_r (may be NULL) is its index and the byte of the text with which it
 * begins.  It is published by one store: a reader sees all of it or nothing.
 * -1 with EMSGSIZE: more than max_text in all; ENOSPC: stream.memory is used
 * up; EDQUOT: what of it the user may have is.
 */
int stream_append(struct tables *t, const struct stream_ref *r,
    const void *text, size_t len, uint64_t now_ns,
    struct stream_progress *at_r);

/*
 * Charge one chunk to the stream's rate, as user_rate() does: 0, or how many
 * ns to wait.  per_minute 0: no limit.  The rate stays with the stream when
 * it is taken over.
 */
uint64_t stream_rate(struct tables *t, const struct stream_ref *r,
    uint32_t per_minute, uint64_t now_ns);

/* Another tail (metadata that came later).  EMSGSIZE, ENOSPC. */
int stream_set_tail(struct tables *t, const struct stream_ref *r,
    const void *tail, size_t len);

/*
 * The agent is lost; it may take the stream up until then, at any worker.
 * The stream is nobody's afterwards.
 */
int stream_detach(struct tables *t, struct stream_ref *r, uint64_t until_ns);

/* It is over: row and memory are free.  *r is no stream afterwards. */
int stream_end(struct tables *t, struct stream_ref *r);

/* --- taking over --------------------------------------------------------- */

/*
 * Become the owner of a stream that is DETACHED or whose owner is dead.
 * 'user': whose it must be, 0: anybody's.  0, and r->owner is set; -1 with
 * EBUSY: its owner lives; EALREADY: that is us (r->owner is set); EPERM:
 * another user's; ESTALE.  Of several claimers one succeeds; the others have
 * EBUSY.
 */
int stream_claim(struct tables *t, struct stream_ref *r, uint32_t incarnation,
    uint64_t user, uint64_t now_ns);

typedef void stream_fn(const struct stream_ref *r,
    const struct stream_info *info, void *arg);

/*
 * Streams that need somebody: OPEN with a dead owner, or DETACHED and over.
 * Claim them: the first kind to be detached for the rest of stream.resume
 * (claim, detach: killed between, it is found again), the second to be
 * closed.  A few times a second by each worker ('incarnation'); what the dead
 * left half made or half freed is freed on the way, and memory that has not
 * been used goes back to the machine.  'fn' may do all that stream.h has.
 * Returns how many were told of.
 */
unsigned stream_orphans(struct tables *t, uint32_t incarnation, uint64_t now_ns,
    stream_fn *fn, void *arg);

/* --- everybody ----------------------------------------------------------- */

/*
 * The stream that runs with this id in this room: 0, or -1 with ENOENT.
 * Looks at all rows, some us a thousand: keep the ref.
 */
int stream_find(const struct tables *t, uint64_t room, const void *id,
    size_t len, struct stream_ref *r_r);

/* All that run in a room, in no order; room 0: all there are. */
void stream_each(const struct tables *t, uint64_t room, stream_fn *fn,
    void *arg);

int stream_info(const struct tables *t, const struct stream_ref *r,
    struct stream_info *info_r);
int stream_names(const struct tables *t, const struct stream_ref *r,
    struct stream_names *names_r);

/* How far it is: some ns. */
int stream_progress(const struct tables *t, const struct stream_ref *r,
    struct stream_progress *p_r);

/*
 * Copy the bytes from 'from' up to 'to' (at most what stream_progress() has
 * told) into 'buf', while the owner goes on.  ERANGE: there are not so many.
 */
int stream_copy(const struct tables *t, const struct stream_ref *r,
    uint32_t from, uint32_t to, void *buf);

/* Copy head or tail, at most 'size' bytes.  Its length, or -1; ERANGE. */
int stream_head(const struct tables *t, const struct stream_ref *r, void *buf,
    size_t size);
int stream_tail(const struct tables *t, const struct stream_ref *r, void *buf,
    size_t size);

/*
 * Anybody, in any state: it is cancelled and to be closed at 'deadline_ns'
 * (not 0).  0; -1 with EALREADY: it was; its deadline stays.
 */
int stream_cancel(struct tables *t, const struct stream_ref *r,
    uint64_t deadline_ns);

/* --- how much there is --------------------------------------------------- */

struct stream_usage {
	/* that run, and those of them that are detached */
	uint32_t streams, detached;
	/* rows in whatever state but FREE */
	uint32_t rows, rows_max;
	/* memory that they use, in bytes, and what there is for them */
	uint64_t used, max;
	/* ... and what the machine has given for it */
	uint64_t backed;
};

/* Looks at all rows and blocks: some 10 us. */
void stream_usage(const struct tables *t, struct stream_usage *usage_r);

/* Rows that the table can have, and may have had so far: their numbers are
 * below. */
uint32_t stream_rows(const struct tables *t);
uint32_t stream_rows_used(const struct tables *t);

/* --- for tables.c -------------------------------------------------------- */

/*
 * Bytes of the area for so much text, which is rounded down to whole slabs;
 * 0: it is too little.  What of it is backed at once; a hash of its layout.
 */
size_t streams_size(size_t memory);
size_t streams_fixed_size(size_t memory);
uint64_t streams_abi(void);

/* Point t->streams at the area, which is not there when it has no memory: 0,
 * or -1 with errno ENOMEM. */
int streams_open(struct tables *t, void *mem);
void streams_close(struct tables *t);

#endif /* SHM_STREAM_H */
