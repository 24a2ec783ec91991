/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * rooms - what the scribe remembers of rooms while it writes.
 *
 * A cache: everything in it can be read from the store again, and the rooms
 * that were not used for longest are forgotten when it grows.  What a batch
 * changed can be taken back exactly, for the batch whose commit failed.
 *
 * The ids of a room's messages are in its table or, up to room->merged.seq,
 * in the store ("merged").  Which room is to be merged next is known here;
 * that it is done, is merge.c's.
 */

#ifndef SCRIBE_ROOMS_H
#define SCRIBE_ROOMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sys/queue.h>

#include <uthash.h>

#include "scribe/dedupe.h"
#include "store/write.h"

/* members: not counted yet */
#define ROOM_UNCOUNTED UINT64_MAX
/* last_revision: what would tell it is damaged */
#define ROOM_UNKNOWN UINT64_MAX

struct room_state {
	uint64_t last_seq;
	/* the last time that was given to an event */
	uint64_t last_ms;
	/* of what was changed; or ROOM_UNKNOWN */
	uint64_t last_revision;
	/* presence rows, or ROOM_UNCOUNTED */
	uint64_t members;
};

/* What the store says of merged ids; read with the ids. */
struct room_merged {
	/* there are some: those up to 'seq', and of messages that retention
	 * has removed */
	bool any;
	uint64_t seq;
	uint64_t count;
};

struct room {
	uint64_t room;
	struct room_state now;
	struct dedupe ids;
	struct room_merged merged;

	/* of rooms.c: the state before the batch that touched it last */
	struct room_state before;
	uint64_t batch;
	bool created;
	size_t counted_bytes;
	uint32_t counted_ids;
	/* on the list of those that are to be merged */
	bool due;
	bool unmergeable;
	TAILQ_ENTRY(room) due_next;
	UT_hash_handle hh;
	TAILQ_ENTRY(room) lru;
	SLIST_ENTRY(room) touched;
};

struct rooms;

/* more ids than this in memory, and a sixteenth of those that are merged:
 * it is time to merge */
#define ROOMS_MERGE_IDS 4096
/* so many are merged only because memory is short */
#define ROOMS_MERGE_MIN 64

/* How much to remember: so many rooms, so many bytes of message ids. */
struct rooms *rooms_new(size_t max_rooms, size_t max_bytes);
void rooms_free(struct rooms **rs);
size_t rooms_count(const struct rooms *rs);
size_t rooms_bytes(const struct rooms *rs);
/* Message ids in memory. */
size_t rooms_ids(const struct rooms *rs);

/*
 * A room of the store, or NULL with errno: ENOENT there is no such room.
 * It stays valid until rooms_commit() or rooms_rollback().
 */
struct room *rooms_get(struct rooms *rs, struct store_txn *t, uint64_t room);
/* A room that this batch creates.  NULL with errno ENOMEM. */
struct room *rooms_create(struct rooms *rs, uint64_t room);

/* Fill room->ids if they are not there: 0, or -1 with errno. */
int rooms_load_ids(struct rooms *rs, struct store_txn *t, struct room *room,
    uint64_t since_ms);
/* Remember the id of a message of this batch: 0, or -1 with errno. */
int rooms_add_id(struct rooms *rs, struct room *room, uint64_t hash,
    uint64_t seq);
/* Forget the ids of a room: they are not kept up to date any more. */
void rooms_drop_ids(struct rooms *rs, struct room *room);
/* Count room->now.members if that was not done: 0, or -1 with errno. */
int rooms_count_members(struct store_txn *t, struct room *room);

/*
 * Between batches: the room whose ids are to be merged next, 0 if there is
 * none.  The same one is not told again before it has a new id.
 */
uint64_t rooms_merge_next(struct rooms *rs);
/* Merging this room falls behind what comes: it should not wait. */
bool rooms_merge_urgent(const struct rooms *rs, uint64_t room);
/* Its ids cannot be merged: do not try again before it was forgotten. */
void rooms_merge_failed(struct rooms *rs, uint64_t room);
/* Between batches: ids up to 'seq' are in the store, 'count' in all. */
void rooms_merged(struct rooms *rs, uint64_t room, uint64_t seq,
    uint64_t count);
/* Between batches: retention has left ids of removed messages there. */
void rooms_trimmed(struct rooms *rs, uint64_t room);

/*
 * Between batches: what is remembered may be wrong; forget all of it.
 */
void rooms_clear(struct rooms *rs);

/* The batch is in the store, or it is as if it had never been. */
void rooms_commit(struct rooms *rs);
void rooms_rollback(struct rooms *rs);

#endif /* SCRIBE_ROOMS_H */
