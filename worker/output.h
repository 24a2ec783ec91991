/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * output - frames on their way to clients.
 *
 * A frame is encoded once into the worker's arena (shared memory).  Each
 * connection it is for notes a reference; at the end of the turn all that
 * is due to a connection leaves with one sendmsg, and what the kernel does
 * not take is copied to the connection's chain of chunks.  Then the arena
 * is empty again.
 */

#ifndef WORKER_OUTPUT_H
#define WORKER_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chat/chat.h"

struct conn;
struct worker;

/* A connection's reference to a frame. */
struct output_ref {
	uint32_t off;
	uint32_t len;
	/* index + 1 of the connection's next one; 0: none */
	uint32_t next;
};

struct output {
	struct output_ref *refs;
	uint32_t nrefs, maxrefs;
	/* connections with references */
	struct conn **dirty;
	uint32_t ndirty, maxdirty;
	/* frames that did not fit into the arena: in the heap, this turn */
	char **spill;
	uint32_t nspill, maxspill;
	/* what is sent now is made piece by piece, as sockets drain */
	bool by_piece;
	/* reserved last: in the arena, or the last of the spilled */
	char *reserved;
	size_t reserved_len;
};

/*
 * Room for a frame of exactly 'len' bytes; write it, then output_commit().
 */
char *output_reserve(struct worker *w, size_t len);
struct chat_frame output_commit(struct worker *w);
/* Only the first 'len' bytes of what was reserved were written. */
struct chat_frame output_commit_part(struct worker *w, size_t len);
/* The bytes of a frame of this turn. */
char *output_frame(const struct worker *w, struct chat_frame frame);

/*
 * Send a frame at the end of the turn.  A connection over its budget loses
 * droppable frames, and is closed when it would lose another.
 */
void output_send(struct conn *c, struct chat_frame frame,
    enum chat_priority prio);

/* The same for bytes of one receiver. */
void output_bytes(struct conn *c, const void *bytes, size_t len,
    enum chat_priority prio);

/* The connection is closed at the end of the turn. */
void output_doom(struct conn *c);

/* Bytes that wait for the connection, this turn's included. */
size_t output_queued(const struct conn *c);

/* Does it ask and ask, and not read what it is answered? */
bool output_is_unread(const struct conn *c);

/* Write everything that is due, then empty the arena. */
void output_flush(struct worker *w);

/* So much is due that it should be flushed before more is encoded. */
bool output_full(const struct worker *w);

/* The socket is writable again. */
void output_on_writable(struct conn *c);

void output_free(struct output *o);

#endif /* WORKER_OUTPUT_H */
