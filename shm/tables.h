/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * tables - everything that the processes share, except for the rings.
 *
 * One segment (shm/segment.h), made by the master before the first child:
 *
 *   head | wake area | state | closed bitmap | counters | addresses
 *   | bursts | lost | client table | users || users' columns | I/O area 0 | 1 | ... | 63
 *   | streams
 *
 * What is before the double line is backed by memory at once; what is behind
 * it is address space until tables_open_slot(), or until a stream needs it.
 *
 * Every field names its writer; a field with more than one is an atomic
 * whose protocol stands with it.
 */

#ifndef SHM_TABLES_H
#define SHM_TABLES_H

#include <stddef.h>
#include <stdint.h>

#include "shm/atomic.h"
#include "shm/segment.h"

#define TABLES_WORKERS 64
/* the place of the scribe among the children */
#define TABLES_SCRIBE 64
/* ... and of the bridge */
#define TABLES_BRIDGE 65
#define TABLES_CHILDREN 66
#define TABLES_STORES 16
#define TABLES_SECRET 192

/* a bit a slab of streams (stream_impl.h) */
#define TABLES_STREAM_SLABS 2048

struct burst;
struct client;
struct counter_row;
struct stream_layout;
struct streams;
struct users;

struct tables_geometry {
	/* connections at the same time */
	uint32_t max_clients;
	/* rows of the user table: a power of two, >= 2 * max_clients; even at
	 * half full a window of 32 rows without a free one is rare */
	uint32_t users;
	/* addresses remembered: a power of two, >= ADDRESS_WAYS */
	uint32_t addresses;
	/* of each worker: read buffer, encode arena, chunk pool; multiples
	 * of 4096, the pool one of IOBUF_SLAB */
	size_t read_bytes;
	size_t encode_bytes;
	size_t chunk_bytes;
	/* of all streams together (stream.h); 0: there can be none */
	size_t stream_bytes;
};

/* --- the state page ---------------------------------------------------- */

enum tables_store_state {
	TABLES_STORE_STARTING,
	TABLES_STORE_OK,
	/* disk full: messages are refused, the rest goes on */
	TABLES_STORE_FULL,
	/* cannot be written, or no scribe stays alive */
	TABLES_STORE_FAILED,
};

/* Why the store is not OK. */
enum tables_store_why {
	TABLES_STORE_WHY_NONE,
	/* the disk is full, or the quota is used up */
	TABLES_STORE_WHY_DISK,
	/* store.max_bytes */
	TABLES_STORE_WHY_SIZE,
	/* reading or writing fails */
	TABLES_STORE_WHY_IO,
	/* scribes die one after the other */
	TABLES_STORE_WHY_SCRIBE,
};

enum tables_child_state {
	TABLES_CHILD_NONE,
	TABLES_CHILD_STARTING,
	TABLES_CHILD_READY,
	TABLES_CHILD_STOPPING,
	/* died; to be replaced when its back-off is over */
	TABLES_CHILD_DEAD,
};

/* Written by the master but for 'beats'; may be read at any time. */
struct tables_child {
	_Atomic uint32_t pid;
	_Atomic uint32_t incarnation;
	/* enum tables_child_state */
	_Atomic uint32_t state;
	_Atomic uint32_t restarts;
	/* ms since the epoch */
	_Atomic uint64_t started_ms;
	/* the child's: goes on as long as its loop does */
	_Atomic uint64_t beats;
	/* the child's: nobody takes its log lines; the master takes it back */
	_Atomic uint32_t log_lost;
};

/* A table of the store, and how much is in it. */
struct tables_store_table {
	/* set before tables_store.ntables counts it, never changed */
	char name[16];
	_Atomic uint64_t entries;
};

/* Written by the scribe, words that may be read at any time. */
struct tables_store {
	/* enum tables_store_state; FAILED also by the master, when it gives
	 * up on scribes */
	_Atomic uint32_t state;
	/* stored with release after the names */
	_Atomic uint32_t ntables;
	/* bytes of the file that hold something, and it may use at most */
	_Atomic uint64_t map_used;
	_Atomic uint64_t map_max;
	_Atomic uint64_t last_txn;
	/* ms since the epoch of the last commit */
	_Atomic uint64_t last_commit_ms;
	/* records in the last batch, and in the largest */
	_Atomic uint64_t batch_last;
	_Atomic uint64_t batch_max;
	/* enum tables_store_why, and errno of the last failure; both 0 when
	 * the store is OK */
	_Atomic uint32_t why;
	_Atomic uint32_t error;
	/* bytes of the file, pages that are free in it included; bytes that
	 * are free on its disk; bytes kept for when there are none */
	_Atomic uint64_t file_bytes;
	_Atomic uint64_t disk_free;
	_Atomic uint64_t ballast;
	/* who holds the oldest snapshot (0: nobody), for how long, and how
	 * many transactions were committed since */
	_Atomic uint64_t reader_pid;
	_Atomic uint64_t reader_ms;
	_Atomic uint64_t reader_txns;
	/* ms since the epoch: the clock was set, and retention by age waits
	 * until then; 0: it does not */
	_Atomic uint64_t retention_held_ms;
	/* message ids that are only in the scribe's memory */
	_Atomic uint64_t ids_unmerged;
	/* struct steps_state of the scribe, for its successor */
	_Atomic uint64_t clock_ahead_ms;
	_Atomic uint64_t clock_ahead_ns;
	_Atomic uint64_t clock_held_ns;
	_Atomic uint64_t reserved[5];
	struct tables_store_table table[TABLES_STORES];
};

struct tables_state {
	/* written by the master before the first child starts */
	uint64_t daemon_started_ms;
	uint64_t daemon_started_ns;
	uint32_t daemon_pid;
	uint32_t reserved0;
	uint64_t reserved1[13];
	struct tables_store store __attribute__((aligned(128)));
	struct tables_child child[TABLES_CHILDREN]
	    __attribute__((aligned(128)));
};

/* --- one process's view ------------------------------------------------ */

struct tables {
	struct segment seg;
	struct tables_geometry geometry;
	/* for wake_attach() */
	void *wake;
	struct tables_state *state;
	struct client *clients;
	_Atomic uint64_t *closed;
	_Atomic uint32_t *clients_used;
	struct users *users;
	_Atomic uint64_t *addresses;
	struct burst *bursts;
	/* see lost.h */
	_Atomic uint64_t *lost;
	struct counter_row *counters;
	/* offset of worker 0's I/O area, and the bytes of each */
	size_t io_at;
	size_t io_stride;
	/* the key of all hashes */
	const uint8_t *secret;
	/* where users_sweep() goes on; this process's */
	uint32_t sweep_at;
	/* streams: NULL when there can be none; where its parts are; this
	 * process's: where the last block was found, which slabs were free
	 * when it looked last, and who holds how much (NULL: not counted) */
	struct streams *streams;
	struct stream_layout *stream_at;
	uint32_t stream_hint;
	uint64_t stream_free[TABLES_STREAM_SLABS / 64];
	struct stream_census *stream_census;
};

/*
 * Sizes for so many connections when events are at most 'max_payload'
 * bytes: what chatd uses.
 */
void tables_geometry_init(struct tables_geometry *g, uint32_t max_clients,
    size_t max_payload);

/* Bytes of the segment, or 0 if the geometry is not acceptable. */
size_t tables_size(const struct tables_geometry *g);

/* A hash over the layout of everything in the tables. */
uint64_t tables_abi(void);

/*
 * Make the tables.  NULL with errno and *why_r set to a sentence.  Master;
 * t->seg.fd goes to the children.
 */
struct tables *tables_create(const struct tables_geometry *g,
    const char **why_r);

/*
 * Attach to the tables behind 'fd', which then belongs to them.  NULL with
 * errno and *why_r; then the descriptor stays the caller's.
 */
struct tables *tables_attach(int fd, const char **why_r);

/* Unmap and close; the tables live on in other processes. */
void tables_free(struct tables **t);

/*
 * Back what the worker in 'slot' needs with memory: its column of the user
 * table, read buffer, encode arena.  Master, before it starts the worker;
 * again is harmless.  0 or -1 with errno: there is no memory.
 */
int tables_open_slot(struct tables *t, unsigned slot);

/*
 * Give that memory back: the worker has been reaped and will not be
 * replaced.  Its column of the user table is 0 afterwards.
 */
void tables_close_slot(struct tables *t, unsigned slot);

/*
 * Make read-only for this process what only others write: the head, and
 * columns and I/O areas of the other workers ('slot' TABLES_SCRIBE: of all,
 * and the streams).
 * A stray store kills its process then, and not its neighbours.  0 or -1
 * with errno.
 */
int tables_protect(struct tables *t, unsigned slot);

/*
 * Keep nothing but state and counters, the rest is unmapped for good: for
 * a process that strangers may talk to.  0 or -1 with errno.
 */
int tables_narrow(struct tables *t);

#endif /* SHM_TABLES_H */
